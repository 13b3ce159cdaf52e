"""How layers warp space until a line separates what no line separated before.

Above: a layer of two ReLU units with weights set by hand. z = W x only stretches and shears the plane, but ReLU flattens
whatever lies on the far side of a unit's line. Below: two circles through a trained network whose last hidden layer has two
units, which show what became of the plane, before training and after. The line that separates the classes there is drawn
back into the space they came from, where it is bent. The titles say what share a logistic regression gets right in each
space, and what share the network gets right whose line is drawn there. (Source: the lecture on multilayer perceptrons;
"space warping" in Michigan's EECS 498, lecture 5.)

    python scripts/space_warping.py
"""

import argparse
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from picture import add_out, write

import mlp

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"  # three of Okabe and Ito's colours
BOUNDARY = "the network's boundary: a line in the space of h, bent where it is drawn back into the space of x"
Points = np.ndarray  # (n, 2)


def clouds(n: int, rng: np.random.Generator) -> tuple[Points, np.ndarray]:
    """Clouds at the corners of a square, opposite ones of the same class: XOR."""
    corner = np.arange(n) % 4
    return np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])[corner] + 0.15 * rng.standard_normal((n, 2)), corner % 2


def circles(n: int, rng: np.random.Generator) -> tuple[Points, np.ndarray]:
    """A circle around another."""
    y, angle = np.arange(n) % 2, rng.uniform(0, 2 * np.pi, n)
    radius = np.where(y == 0, 0.5, 1.3) + 0.1 * rng.standard_normal(n)
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]), y


def draw(ax: Axes, warp: Callable[[Points], Points], X: Points, y: np.ndarray, title: str, symbol: str) -> None:
    """Grid lines and points where `warp` takes them, and how far a logistic regression gets with that."""
    regression = mlp.MLP([2, 1], output="logistic", dtype="float64", seed=0)
    mlp.lbfgs(mlp.Objective(regression, warp(X), y, weight_decay=1e-3), regression.theta)
    accuracy = np.mean(regression.predict(warp(X)) == y)
    print(f"  {title:<32} logistic regression: {accuracy:6.1%} right")
    along = np.linspace(-1.8, 1.8, 301)
    for distance in np.linspace(-1.8, 1.8, 19):
        line = np.column_stack([along, np.full(301, distance)])
        for ends in (line, line[:, ::-1]):
            ax.plot(*warp(ends).T, color="0.78", linewidth=0.8, zorder=1)
    looks = {"s": 24, "edgecolors": "white", "linewidths": 0.4, "zorder": 3}
    for label, colour, marker in [(0, BLUE, "o"), (1, VERMILLION, "s")]:
        ax.scatter(*warp(X[y == label]).T, c=colour, marker=marker, label=f"class {label}", **looks)
    ax.set(title=f"{title}\nlogistic regression: {accuracy:.0%} right", xlabel=f"${symbol}_1$", ylabel=f"${symbol}_2$")


def draw_line(here: Axes, back: Axes, net: mlp.MLP, X: Points, y: np.ndarray) -> None:
    """The line v·h + b = 0 of the output unit, in the space of the h, and drawn back, in that of the x."""
    v, b = net.layers[-1].W[0], net.layers[-1].b[0]
    start = -b * v / (v @ v)
    here.autoscale(False)
    here.axline(start, start + np.array([-v[1], v[0]]), color=GREEN, linewidth=2.5, label=BOUNDARY)
    side = np.linspace(-1.8, 1.8, 301)
    plane = np.stack(np.meshgrid(side, side), axis=-1)  # (301, 301, 2)
    back.contour(side, side, net.forward(plane.reshape(-1, 2)).reshape(301, 301), [0.5], colors=GREEN, linewidths=2.5)
    for ax in (here, back):
        ax.set_title(f"{ax.get_title()}\nthe network (green): {np.mean(net.predict(X) == y):.0%} right")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--points", type=int, default=240, help="how many points in each row (default: 240)")
parser.add_argument("--epochs", type=int, default=60, help="of training the network below (default: 60)")
add_out(parser)
arguments = parser.parse_args()
rng = np.random.default_rng(0)
figure = Figure(figsize=(11.5, 9), dpi=144, layout="constrained")
above, below = figure.subplots(2, 3)

print("four clouds, two ReLU units with weights set by hand")
X, y = clouds(arguments.points, rng)
net = mlp.MLP([mlp.Dense(2, 2, "relu"), mlp.Dense(2, 1, "logistic")], dtype="float64")
linear = mlp.MLP([mlp.Dense(2, 2, "identity")], dtype="float64")
for layer in (net.layers[0], linear.layers[0]):
    layer.W[...] = [[1, -0.7], [-0.7, 1]]
net.layers[1].W[...], net.layers[1].b[...] = 1, -0.95  # the line h₁ + h₂ = 0.95
draw(above[0], lambda x: x, X, y, "Input x", "x")
draw(above[1], linear.forward, X, y, "Linear layer, z = W x", "z")
draw(above[2], lambda x: net.forward(x, layer=0), X, y, "ReLU layer, h = max(z, 0)", "h")
draw_line(above[2], above[0], net, X, y)

print("two circles, a trained network: 8 tanh units, 2 linear ones, a logistic output")
X, y = circles(arguments.points, rng)
net = mlp.MLP([mlp.Dense(2, 8, "tanh"), mlp.Dense(8, 2, "identity"), mlp.Dense(2, 1, "logistic")], dtype="float64", seed=1)
draw(below[0], lambda x: x, X, y, "Input x", "x")
draw(below[1], lambda x: net.forward(x, layer=1), X, y, "Layer of 2 units, before training", "h")
mlp.sgd(mlp.Objective(net, X, y), net.theta, learning_rate=0.1, momentum=0.9, batch_size=20, epochs=arguments.epochs)
draw(below[2], lambda x: net.forward(x, layer=1), X, y, "Layer of 2 units, after training", "h")
draw_line(below[2], below[0], net, X, y)
for ax in (*above, below[0]):
    ax.set_aspect("equal")
figure.get_layout_engine().set(h_pad=0.12)  # else the three lines of a title touch the figure's edge
figure.legend(*above[2].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
write(figure, arguments.out)
