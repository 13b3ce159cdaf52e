"""Digits as a network that trains on distorted images sees them: another version in every epoch, and still the same digit.

The first column has a training image of each digit as it is; each block beside it shows it distorted in one way, six times.
Elastic distortion bends the image as if it were on a rubber sheet (Simard, Steinkraus and Platt 2003); an affine one turns,
stretches, slants and shifts it. With too little of it the network has nothing new to learn from, with too much a 7 becomes
a 1: try a few settings, and look.

    python scripts/distortions.py
    python scripts/distortions.py elastic:sigma=4:alpha=34 elastic:sigma=8:alpha=90 affine:rotation=30:shear=0.3:shift=3
"""

import argparse
import time

import numpy as np
from matplotlib.figure import Figure
from picture import add_out, write

import mlp
from mlp.data.distortions import parse

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument(
    "distort",
    nargs="*",
    default=["elastic", "affine", "elastic,affine"],
    help="as mlp.train's --distort takes it (default: elastic affine elastic,affine)",
)
add_out(parser)
parser.add_argument("--versions", type=int, default=6, help="of each digit, in each block (default: 6)")
parser.add_argument("--seed", type=int, default=0, help="of the distortions (default: 0)")
arguments = parser.parse_args()
try:
    distortions = {text: parse(text) for text in arguments.distort}
except ValueError as error:
    parser.error(str(error))
if arguments.versions < 1:
    parser.error(f"argument --versions: received {arguments.versions}, but it must be at least 1")

train, _, _ = mlp.load_mnist()
digits = train.X[[int(np.argmax(train.y == digit)) for digit in range(10)]]
blocks = [("as it is", digits[:, None])]
rng = np.random.default_rng(arguments.seed)
for text, distortion in distortions.items():
    versions = distortion(np.repeat(digits, arguments.versions, axis=0), rng)  # (10 · versions, 784), each in its own way
    blocks.append((text.replace(":", " ").replace(",", ", "), versions.reshape(10, arguments.versions, 784)))

widths = [images.shape[1] for _, images in blocks]
figure = Figure(figsize=(0.45 * (sum(widths) + 0.6 * len(widths)), 0.45 * 10.9), dpi=144, layout="constrained")
for ax, (title, images) in zip(figure.subplots(1, len(blocks), width_ratios=widths), blocks, strict=True):
    count = images.shape[1]
    framed = np.pad(images.reshape(10, count, 28, 28), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=96)
    sheet = framed.transpose(0, 2, 1, 3).reshape(10 * 30, count * 30)  # row by row of pixels, digits downwards
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
write(figure, arguments.out)

for text, distortion in distortions.items():
    started = time.perf_counter()
    distortion(train.X[:10_000], rng)
    print(f"{text}: {10_000 / (time.perf_counter() - started):,.0f} images a second")
