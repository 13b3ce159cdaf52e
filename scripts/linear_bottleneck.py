"""A bottleneck of linear units does principal component analysis.

An autoencoder x → h = W¹x + b¹ → x̂ = W²h + b², trained to give its input back through k identity units, can at best project
onto the k directions in which the inputs vary most. That is PCA: the least cost is half the variance left out, ½ Σ_{j>k} λⱼ,
and there the columns of W² span the subspace of the first k principal components. Any invertible map of the codes h does as
well, if W² undoes it, so the network's codes are PCA's, but turned, mirrored or stretched. (Source: the lecture on linear
networks; Baldi and Hornik 1989. PCA is done by numpy's singular value decomposition.)

    python scripts/linear_bottleneck.py                                         # about 20 seconds
    python scripts/linear_bottleneck.py --examples 500 --iterations 100         # a moment
"""

import argparse

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from picture import add_out, write
from scipy.linalg import subspace_angles

import mlp

COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")  # Okabe and Ito's


def autoencoder(X: np.ndarray, units: int, iterations: int) -> tuple[mlp.MLP, float]:
    """A trained linear autoencoder, and its cost: the mean of ½‖x̂ − x‖² (y=None: the input is its own target)."""
    net = mlp.MLP([X.shape[1], units, X.shape[1]], hidden="identity", output="identity", dtype="float64", seed=0)
    result = mlp.lbfgs(mlp.Objective(net, X, y=None), net.theta, maxiter=iterations, memory=50, gtol=1e-6)
    return net, result.fun


def draw_codes(ax: Axes, codes: np.ndarray, labels: np.ndarray, title: str, axes: tuple[str, str]) -> None:
    """Codes (n, 2), each drawn as the digit that it stands for."""
    for digit in range(10):
        ax.scatter(*codes[labels == digit].T, s=30, marker=f"${digit}$", color=COLOURS[digit % 7], linewidths=0.3)
    ax.set(title=title, xlabel=axes[0], ylabel=axes[1])
    ax.spines[["top", "right"]].set_visible(False)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--examples", type=int, default=2000, help="how many images (default: 2,000)")
parser.add_argument("--units", type=int, default=10, help="width of the second bottleneck; the first is 2 (default: 10)")
parser.add_argument("--iterations", type=int, default=600, help="at most so many of L-BFGS (default: 600)")
add_out(parser)
arguments = parser.parse_args()

train = mlp.load_mnist(validation=0)[0][: arguments.examples]
X = train.X / 255  # (n, 784)
mean = X.mean(axis=0)
_, singular, components = np.linalg.svd(X - mean, full_matrices=False)  # row j: the j-th principal component
variances = singular**2 / len(X)  # λ₁ ≥ λ₂ ≥ …

figure = Figure(figsize=(10, 8.4), dpi=144, layout="constrained")
panels = figure.subplot_mosaic([["PCA", "network"], ["images", "images"]], height_ratios=[5, 4.2])
ones = [int(np.flatnonzero(train.y == digit)[0]) for digit in np.unique(train.y)]  # the first image of each digit
rows = {"original": X[ones]}
print("  k   network's cost   PCA's, ½ Σ λⱼ    above it   largest angle between the subspaces")
for k in (2, arguments.units):
    net, cost = autoencoder(X, k, arguments.iterations)
    optimum = variances[k:].sum() / 2
    angle = np.degrees(subspace_angles(net.layers[1].W, components[:k].T).max())
    print(f"{k:3}{cost:17.5f}{optimum:16.5f}{cost / optimum - 1:12.1e}{angle:20.3f}°")
    codes = (X - mean) @ components[:k].T  # (n, k)
    rows[f"PCA, k = {k}"] = (codes @ components[:k] + mean)[ones]
    rows[f"network, k = {k}"] = net.forward(X[ones])
    if k == 2:
        some = slice(1000)
        draw_codes(panels["PCA"], codes[some], train.y[some], "PCA: two components", ("first component", "second component"))
        hidden = net.forward(X[some], layer=0)
        draw_codes(panels["network"], hidden, train.y[some], "Network: two identity units", ("$h_1$", "$h_2$"))
tiles = np.stack(list(rows.values())).reshape(len(rows), len(ones), 28, 28)
panels["images"].imshow(tiles.transpose(0, 2, 1, 3).reshape(28 * len(rows), -1), cmap="gray_r", vmin=0, vmax=1)
panels["images"].set(title="One image of each digit, and what is left of it", xticks=[])
panels["images"].set_yticks(14 + 28 * np.arange(len(rows)), rows)
panels["images"].tick_params(length=0)
panels["images"].spines[:].set_visible(False)
write(figure, arguments.out)
