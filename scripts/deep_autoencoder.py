"""A deep autoencoder of the digits: 30 numbers an image, and far less lost than by PCA's 30 components.

The network 784-1000-500-250-30-250-500-1000-784 gives its input back through 30 linear units; Hinton and Salakhutdinov (2006,
"Reducing the dimensionality of data with neural networks") had to pretrain it layer by layer, and Martens (2010, "Deep
learning via Hessian-free optimization") trained it from random weights by what `mlp.newton` does. Their figure is the squared
error of a test image, Σ (x̂ − x)², on average: 3.00 by the former, 2.78 by the latter (2.55 with weight decay), 13.87 by PCA.
Hidden units are of tanh here, the code linear, the output logistic, the cost its cross-entropy. Another network, of 2 codes,
trained by adam, makes a map of the digits. In the two minutes of the default, descent is far ahead of `newton`.

    python scripts/deep_autoencoder.py                                                     # two minutes, of smaller layers
    python scripts/deep_autoencoder.py --sizes 1000 500 250 30 --seconds 3600 --examples 60000 --subset 5000     # three hours
    python scripts/deep_autoencoder.py --examples 300 --sizes 20 5 --seconds 1             # a moment
"""

import argparse
import time

import numpy as np
from matplotlib.figure import Figure
from picture import add_out, write

import mlp

COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999", "#882255")
PUBLISHED = {"Hinton and Salakhutdinov, pretrained": 3.00, "Martens, Hessian-free": 2.78}


def squared_error(X: np.ndarray, given_back: np.ndarray) -> float:
    """Σ (x̂ − x)² of an image, on average."""
    return float(np.mean(np.sum((given_back - X) ** 2, axis=1)))


def autoencoder(sizes: list[int]) -> mlp.MLP:
    """784-…-code-…-784."""
    hidden = ["tanh"] * (len(sizes) - 1)
    both = [784, *sizes, *sizes[-2::-1], 784]
    return mlp.MLP(both, hidden=[*hidden, "identity", *hidden], output="logistic", init="glorot_uniform", seed=0)


class Watch:
    """Ends a run after so many seconds, and notes the error on test images a few times on the way, off the clock."""

    def __init__(self, net: mlp.MLP, X: np.ndarray, seconds: float, looks: int = 12):
        self.net, self.X, self.seconds, self.interval = net, X, seconds, seconds / looks
        self.spent, self.steps = 0.0, 0
        self.seen = [(0.0, squared_error(X, net.forward(X)))]  # seconds, error
        self._resumed = time.perf_counter()

    def __call__(self, snapshot) -> None:
        """Called by the minimiser after each step or iteration."""
        self.steps += 1
        now = self.spent + time.perf_counter() - self._resumed
        over = now >= self.seconds
        if over or now >= self.seen[-1][0] + self.interval:
            theta = snapshot().arrays["theta"].astype(self.net.dtype)
            self.seen.append((now, squared_error(self.X, self.net.at(theta).forward(self.X))))
            self.spent, self._resumed = now, time.perf_counter()
        if over:
            raise StopIteration


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--sizes", type=int, nargs="+", default=[300, 100, 30], help="from the first hidden layer to the code")
parser.add_argument("--seconds", type=float, default=32, help="for each of three networks (default: 32)")
parser.add_argument("--examples", type=int, default=10_000, help="training images (default: 10,000)")
parser.add_argument("--subset", type=int, default=1000, help="images for newton's products (default: 1,000)")
parser.add_argument("--learning-rate", type=float, default=0.003, help="of descent (default: 0.003)")
add_out(parser)
arguments = parser.parse_args()

train, _, test = mlp.load_mnist(validation=0)
X = test.X / 255
some = train[: arguments.examples]
codes = arguments.sizes[-1]

whole = train.X / 255
mean = whole.mean(axis=0)
components = np.linalg.eigh(np.cov(whole, rowvar=False))[1][:, ::-1][:, :codes]  # (784, codes), the largest first
by_pca = (X - mean) @ components @ components.T + mean
errors = {f"PCA, {codes} components": squared_error(X, by_pca)}
print(f"PCA, {codes} components, of all 60,000 training images: {errors[f'PCA, {codes} components']:.3f}", flush=True)

descent = {"learning_rate": arguments.learning_rate, "momentum": 0.9, "batch_size": 128, "epochs": 1_000_000}
runs = {
    "sgd": (mlp.sgd, arguments.sizes, descent),
    "newton": (mlp.newton, arguments.sizes, {"maxiter": 1_000_000, "subset": arguments.subset, "gtol": 0.0}),
    "2 codes": (mlp.adam, [*arguments.sizes[:-1], 2], {"learning_rate": 0.001, "batch_size": 128, "epochs": 1_000_000}),
}
nets, watches = {}, {}
for name, (minimiser, sizes, options) in runs.items():
    net = nets[name] = autoencoder(sizes)
    watch = watches[name] = Watch(net, X, arguments.seconds)
    minimiser(mlp.Objective(net, some.X), net.theta, each_step=watch, **options)
    seconds, error = watch.seen[-1]
    print(f"{name:8} {'-'.join(map(str, net.sizes))}: {error:.2f} after {seconds:.0f} s, {watch.steps:,} steps", flush=True)

figure = Figure(figsize=(12, 9), dpi=144, layout="constrained")
panels = figure.subplot_mosaic([["errors", "map"], ["images", "images"]], height_ratios=[5, 3.6])
ax = panels["errors"]
for name, colour in (("sgd", "#0072B2"), ("newton", "#D55E00")):
    ax.semilogy(*zip(*watches[name].seen, strict=True), ".-", color=colour, label=name)
for (name, error), style in zip((errors | PUBLISHED).items(), ("-", "--", ":"), strict=True):
    ax.axhline(error, color="#666666", linestyle=style, linewidth=1, label=f"{name}: {error:.2f}")
ax.set(xlabel="seconds", ylabel="squared error of a test image", title=f"{codes} codes an image")
ax.legend(frameon=False, fontsize=8)
places = nets["2 codes"].forward(X[:3000], layer=len(arguments.sizes) - 1)  # (n, 2)
for digit, colour in enumerate(COLOURS):
    panels["map"].scatter(*places[test.y[:3000] == digit].T, s=14, marker=f"${digit}$", color=colour, linewidths=0.2)
panels["map"].set(title="Two codes: test images, each drawn as its digit", xticks=[], yticks=[])
shown = [int(np.flatnonzero(test.y == digit)[0]) for digit in range(10)]
rows = {"original": X[shown], "PCA": by_pca[shown], **{name: nets[name].forward(X[shown]) for name in ("sgd", "newton")}}
tiles = np.stack(list(rows.values())).reshape(len(rows), 10, 28, 28)
panels["images"].imshow(tiles.transpose(0, 2, 1, 3).reshape(28 * len(rows), -1), cmap="gray_r", vmin=0, vmax=1)
panels["images"].set(xticks=[], title=f"One test image of each digit, and what {codes} numbers leave of it")
panels["images"].set_yticks(14 + 28 * np.arange(len(rows)), rows)
for ax in panels.values():
    ax.spines[["top", "right"]].set_visible(False)
write(figure, arguments.out)
