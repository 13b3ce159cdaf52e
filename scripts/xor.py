"""XOR, which no single line separates: by hard thresholds set by hand, then learned from random weights.

By hand, h₁ = [x₁ + x₂ − 0.5 > 0] is "x₁ or x₂", h₂ = [x₁ + x₂ − 1.5 > 0] is "x₁ and x₂", and y = [h₁ − h₂ − 0.5 > 0] is
"one but not both". Thresholds have no slope to descend, so what learns is the same network with logistic units. From some
weights it gets stuck: often with two points right and the other two undecided, y = ½, which costs ½ log 2 = 0.347. The
picture has the hand-made network, the first one that learned, and the first one that got stuck.
(Source: the lecture on multilayer perceptrons.)

    python scripts/xor.py
"""

import argparse

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from picture import add_out, write

import mlp

BLUE, VERMILLION, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"  # four of Okabe and Ito's colours

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([0, 1, 1, 0])


def by_hand() -> mlp.MLP:
    """Two hidden thresholds and one at the output."""
    net = mlp.MLP([2, 2, 1], hidden="threshold", output="threshold", dtype="float64")
    net.layers[0].W[...], net.layers[0].b[...] = [[1, 1], [1, 1]], [-0.5, -1.5]
    net.layers[1].W[...], net.layers[1].b[...] = [[1, -1]], [-0.5]
    return net


def learned(seed: int, epochs: int) -> tuple[mlp.MLP, float]:
    """The same with logistic units after full-batch descent from random weights, and the cost it came to."""
    net = mlp.MLP([2, 2, 1], hidden="logistic", output="logistic", init="small_normal:1", dtype="float64", seed=seed)
    objective = mlp.Objective(net, X, y)
    result = mlp.sgd(objective, net.theta, learning_rate=1.0, momentum=0.9, batch_size=None, epochs=epochs)
    return net, result.fun


def draw(ax: Axes, net: mlp.MLP, title: str) -> AxesImage:
    """The output over the plane, the four points, and the line on which each hidden unit's weighted input is 0."""
    side = np.linspace(-0.5, 1.5, 401)
    x1, x2 = np.meshgrid(side, side)
    output = net.forward(np.column_stack([x1.ravel(), x2.ravel()])).reshape(x1.shape)
    shades = LinearSegmentedColormap.from_list("", ["#8fc0de", "white", "#f0ae80"])  # of BLUE and VERMILLION
    image = ax.imshow(output, origin="lower", extent=(-0.5, 1.5, -0.5, 1.5), cmap=shades, vmin=0, vmax=1)
    hidden = net.layers[0]
    for unit, (colour, style) in enumerate([(GREEN, "-"), (BLACK, "--")]):
        z = hidden.W[unit, 0] * x1 + hidden.W[unit, 1] * x2 + hidden.b[unit]
        ax.contour(x1, x2, z, [0], colors=colour, linestyles=style, linewidths=2.5)
        ax.plot([], [], color=colour, linestyle=style, linewidth=2.5, label=f"$z_{unit + 1} = 0$")
    for label, colour, marker in [(0, BLUE, "o"), (1, VERMILLION, "s")]:
        ax.scatter(*X[y == label].T, s=120, c=colour, marker=marker, edgecolors="white", zorder=3, label=f"XOR = {label}")
    ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", xticks=[0, 1], yticks=[0, 1], aspect="equal")
    return image


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seeds", type=int, default=8, help="how many random starts to learn from (default: 8)")
parser.add_argument("--epochs", type=int, default=1000, help="steps of descent for each (default: 1,000)")
add_out(parser)
arguments = parser.parse_args()

net = by_hand()
print("by hand:  x1 x2 | h1 h2 | y")
for x, h, output in zip(X, net.forward(X, layer=0), net.forward(X), strict=True):
    print(f"           {x[0]:.0f}  {x[1]:.0f} |  {h[0]:.0f}  {h[1]:.0f} | {output[0]:.0f}")
pictures = {"By hand: thresholds": net}

print(f"learned, {arguments.epochs:,} steps of descent: y at the four points")
for seed in range(arguments.seeds):
    net, cost = learned(seed, arguments.epochs)
    outputs = net.forward(X)[:, 0]
    outcome = "learned" if np.abs(outputs - y).max() < 0.1 else "stuck"
    print(f"  seed {seed}: cost {cost:.3f}, y = {', '.join(f'{output:.2f}' for output in outputs)}: {outcome}")
    if not any(outcome in title.lower() for title in pictures):
        pictures[f"{outcome.capitalize()}: logistic units, seed {seed}"] = net

figure = Figure(figsize=(4 * len(pictures) + 0.8, 4.6), dpi=144, layout="constrained")
panels = figure.subplots(1, len(pictures), squeeze=False)[0]
for ax, (title, net) in zip(panels, pictures.items(), strict=True):
    image = draw(ax, net, title)
figure.colorbar(image, ax=panels, label="output $y$", ticks=[0, 0.5, 1], shrink=0.8)
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
write(figure, arguments.out)
