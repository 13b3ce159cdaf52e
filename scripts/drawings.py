"""What people draw with a mouse or a finger is not like MNIST: how often networks get such drawings right.

    python -m mlp.train --out runs/plain
    python -m mlp.train --distort elastic,affine --out runs/distorted
    python scripts/drawings.py runs/plain runs/distorted

Two kinds of drawings, sized and centred as the page of a run does it (the ink's longest side becomes 20 pixels):

    strokes     drawn by this script on the page's paper of 280 pixels: ten digits in 22 ways of writing, at any place, from
                a quarter of the paper's height to nearly all of it (so that small ones are thick), slanted, turned, wide or
                narrow, by an unsteady hand, with the page's pen, or another (`--pen`).
    scikit      scikit-learn's 1,797 digits, written by 43 people on paper; 8 by 8 pixels, made smooth again.
"""

import argparse
from pathlib import Path

import numpy as np
import picture
from matplotlib.figure import Figure
from scipy.ndimage import distance_transform_edt, zoom

import mlp
from mlp.data.pictures import place_ink

#: The page's paper is so many pixels wide and high, and its pen so wide.
PAPER, PEN = 280, 280 / 12


def arc(x, y, across, down, start, stop, count=9):
    """Points on an ellipse about (x, y), from one angle to another, in degrees: 0 is right, 90 down."""
    angles = np.radians(np.linspace(start, stop, count))
    return [(x + across * np.cos(angle), y + down * np.sin(angle)) for angle in angles]


#: For each digit the ways to write it, each one or more strokes through these points: x to the right, y down, from 0 to 1.
DIGITS = [
    [[arc(0.5, 0.5, 0.36, 0.5, -90, -450, 15)], [arc(0.5, 0.5, 0.3, 0.48, -60, -415, 15)]],
    [[[(0.5, 0), (0.5, 1)]], [[(0.3, 0.22), (0.52, 0), (0.52, 1)]], [[(0.25, 0.25), (0.5, 0), (0.5, 1)], [(0.2, 1), (0.8, 1)]]],
    [
        [[*arc(0.47, 0.28, 0.33, 0.28, 190, 390), (0.5, 0.72), (0.12, 1), (0.9, 1)]],
        [[*arc(0.47, 0.25, 0.3, 0.25, 200, 400), (0.4, 0.8), (0.15, 0.97), (0.17, 0.8), (0.4, 0.82), (0.65, 0.98), (0.9, 0.9)]],
    ],
    [
        [[*arc(0.42, 0.26, 0.34, 0.26, 205, 440), *arc(0.42, 0.74, 0.38, 0.26, -90, 155)]],
        [[(0.12, 0.02), (0.8, 0.02), (0.42, 0.4), *arc(0.42, 0.7, 0.4, 0.3, -75, 155)]],
    ],
    [
        [[(0.25, 0), (0.12, 0.6), (0.9, 0.6)], [(0.68, 0.05), (0.66, 1)]],
        [[(0.62, 1), (0.64, 0), (0.08, 0.66), (0.92, 0.66)]],
        [[(0.2, 0.05), (0.2, 0.5), (0.75, 0.48)], [(0.8, 0), (0.74, 1)]],
    ],
    [
        [[(0.82, 0.02), (0.24, 0.02), (0.2, 0.42), *arc(0.45, 0.68, 0.36, 0.3, -100, 150)]],
        [[(0.25, 0.02), (0.2, 0.44), *arc(0.45, 0.7, 0.36, 0.29, -100, 150)], [(0.24, 0.03), (0.85, 0)]],
    ],
    [
        [[(0.7, 0), (0.3, 0.35), *arc(0.48, 0.72, 0.3, 0.28, 180, -190, 13)]],
        [[(0.45, 0), (0.2, 0.5), *arc(0.5, 0.75, 0.32, 0.25, 165, -170, 13)]],
    ],
    [[[(0.1, 0.03), (0.85, 0.02), (0.4, 1)]], [[(0.1, 0.05), (0.85, 0.02), (0.4, 1)], [(0.3, 0.52), (0.8, 0.5)]]],
    [
        [
            [
                *arc(0.5, 0.26, 0.3, 0.26, -50, -270, 9),
                *arc(0.5, 0.76, 0.36, 0.24, -90, 270, 11),
                *arc(0.5, 0.26, 0.3, 0.26, 90, -50),
            ]
        ],
        [arc(0.5, 0.25, 0.28, 0.25, 90, 450, 13), arc(0.5, 0.75, 0.34, 0.25, -90, 270, 13)],
    ],
    [
        [[*arc(0.5, 0.28, 0.3, 0.28, -20, -370, 13), (0.78, 0.6), (0.72, 1)]],
        [[*arc(0.48, 0.27, 0.3, 0.27, 0, -360, 13), *arc(0.38, 0.66, 0.4, 0.34, 0, 130, 7)]],
    ],
]


def smooth(points, between=8):
    """A Catmull-Rom curve through the points, (n, 2); strokes of few points are lines with corners."""
    if len(points) <= 4:
        return points
    ends = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, between, endpoint=False)[:, None]
    parts = []
    for p, q, r, s in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        parts.append(0.5 * (2 * q + (r - p) * t + (2 * p - 5 * q + 4 * r - s) * t**2 + (3 * q - p - 3 * r + s) * t**3))
    return np.concatenate([*parts, points[-1:]])


def draw(digit, rng, pen):
    """One drawing of a digit, ink (PAPER, PAPER) from 0 to 1."""
    strokes = DIGITS[digit][rng.integers(len(DIGITS[digit]))]
    height = rng.uniform(0.25, 0.9) * PAPER
    width = height * rng.uniform(0.4, 0.9)
    turn, slant = np.radians(rng.uniform(-15, 15)), rng.uniform(-0.35, 0.25)
    change = (
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        @ [[1, -slant], [0, 1]]
        @ np.diag([width, height])
    )
    hand = [smooth((np.array(points) + rng.normal(0, 0.03, (len(points), 2)) - 0.5) @ change.T) for points in strokes]
    drawn = np.concatenate(hand)
    room = np.maximum(PAPER - 1.2 * pen - np.ptp(drawn, axis=0), 0)
    corner = 0.6 * pen + rng.random(2) * room - drawn.min(axis=0)
    paper = np.ones((PAPER, PAPER), bool)
    for line in hand:
        steps = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        along = np.arange(0, steps[-1] + 0.5, 0.5)  # points of half a pixel's distance
        x, y = (np.interp(along, steps, line[:, axis] + corner[axis]).astype(int).clip(0, PAPER - 1) for axis in (0, 1))
        paper[y, x] = False
    return (pen / 2 + 0.5 - distance_transform_edt(paper)).clip(0, 1)


def centre(ink):
    """As the network sees a drawing, uint8 (784,)."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return place_ink(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).reshape(-1)


def draw_strokes(count, seed, pen):
    """Images (count, 784) and digits (count,)."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 10
    return np.stack([centre(draw(digit, rng, pen)) for digit in y]), y


def load_scikit():
    """scikit-learn's digits as images (1797, 784), and labels: enlarged by a smooth surface through their pixels, and what is
    half as dark as the darkest, or nearly, taken for ink."""
    from sklearn.datasets import load_digits

    small, y = load_digits(return_X_y=True)
    large = (zoom(np.pad(image.reshape(8, 8) / 16, 1), 12, order=3) for image in small)
    return np.stack([centre(((ink - 0.4) / 0.2).clip(0, 1)) for ink in large]), y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="RUN-OR-MODEL", help="networks of 28 × 28 digits")
    parser.add_argument("--count", type=int, default=2000, help="how many strokes to draw (2000)")
    parser.add_argument("--pen", type=float, default=PEN, help="the pen's width on paper of 280 pixels (23.3, the page's)")
    parser.add_argument("--seed", type=int, default=0)
    picture.add_out(parser)
    options = parser.parse_args()
    sets = {"strokes": draw_strokes(options.count, options.seed, options.pen), "scikit": load_scikit()}
    test = mlp.load_mnist()[2]
    print("errors, %".ljust(40) + "MNIST's test set".rjust(18) + "".join(name.rjust(12) for name in sets))
    for path in options.models:
        net = mlp.load(path / "model.npz" if path.is_dir() else path)
        errors = [100 * np.mean(net.predict(X) != y) for X, y in ((test.X, test.y), *sets.values())]
        print(str(path).ljust(40) + f"{errors[0]:18.2f}" + "".join(f"{error:12.2f}" for error in errors[1:]))
    figure = Figure(figsize=(8, 5), layout="constrained")
    for ax, (name, (X, y)) in zip(figure.subplots(2, 1), sets.items(), strict=True):
        rows = np.concatenate([np.flatnonzero(y == digit)[:4] for digit in range(10)])
        tiles = X[rows].reshape(10, 4, 28, 28).transpose(1, 2, 0, 3).reshape(4 * 28, 10 * 28)
        ax.imshow(tiles, cmap="gray_r")
        ax.set_title(f"{name}, as the network sees them", fontsize=10)
        ax.set_axis_off()
    picture.write(figure, options.out)


if __name__ == "__main__":
    main()
