"""How errors vanish or explode on their way down through many layers, and what the initial weights have to do with it.

    Δ^ℓ = (Δ^{ℓ+1} W^{ℓ+1}) ⊙ σ′(Z^ℓ)

Each layer multiplies an example's error by its Jacobian diag(σ′(z)) W, which stretches no vector by more than its spectral
norm. Where that is below 1 layer after layer, the error vanishes exponentially; most directions are stretched less than the
norm allows, so that even at norms of 2 the error may shrink. The networks are untrained, 100 units wide, and see handwritten
digits. (Source: the lecture on deep networks; Glorot and Bengio 2010; He et al. 2015; Nielsen, ch. 5.)

    python scripts/vanishing_gradients.py
"""

import argparse

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from picture import add_out, write

import mlp

WIDTH = 100
ACTIVATIONS = ("logistic", "tanh", "relu")
INITS = {"small_normal:0.01": "N(0, 0.01²)", "glorot_normal": "Glorot", "he_normal": "He"}
COLOURS = ("#D55E00", "#0072B2", "#009E73")  # three of Okabe and Ito's, one for each way to draw the weights


def network(depth: int, activation: str, init: str) -> mlp.MLP:
    """An untrained network of so many layers."""
    return mlp.MLP([784, *[WIDTH] * (depth - 1), 10], hidden=activation, init=init, dtype="float64", seed=0)


def spectral_norms(net: mlp.MLP, X: np.ndarray) -> np.ndarray:
    """‖diag(σ′(z^ℓ)) W^ℓ‖₂ of the hidden layers ℓ = 2 … L − 1, (L − 2,): the mean over a few examples."""
    norms = []
    for number, layer in enumerate(net.layers[1:-1], 1):
        Z = net.forward(X, layer=number - 1) @ layer.W.T + layer.b  # (n, WIDTH)
        slopes = layer.activation.derivative(Z)
        norms.append(np.mean([np.linalg.norm(slope[:, None] * layer.W, 2) for slope in slopes]))
    return np.array(norms)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--depths", type=int, nargs="+", default=[2, 5, 10, 20, 50], help="how many layers (default: 2 5 10 20 50)")
add_out(parser)
arguments = parser.parse_args()
depths = sorted(arguments.depths)
if depths[0] < 2 or depths[-1] < 3:
    parser.error(f"--depths: received {depths}, but each must be at least 2, and the largest at least 3")
images = mlp.load_mnist(validation=0)[0][:100]

figure = Figure(figsize=(13, 8.6), dpi=144, layout="constrained")
panels = figure.subplots(3, 4, sharex=True)
shades = [colormaps["viridis"](0.9 * k / max(1, len(depths) - 1)) for k in range(len(depths))]
print("‖Δ¹‖/‖Δ^L‖ by depth L, and the median spectral norm in the deepest network")
print(f"{'':21}" + "".join(f"{f'L = {depth}':>10}" for depth in depths) + f"{'norm':>8}")
for (*row, beside), activation in zip(panels, ACTIVATIONS, strict=True):
    for ax, (init, name), colour in zip(row, INITS.items(), COLOURS, strict=True):
        ratios = []
        for depth, shade in zip(depths, shades, strict=True):
            net = network(depth, activation, init)
            norms = mlp.Objective(net, images.X, images.y).layer_norms(net.theta)["delta"]
            ratios.append(norms[0] / norms[-1])
            ax.semilogy(np.arange(1, depth + 1), norms, color=shade, linewidth=2.2, label=f"L = {depth}")
        reached = f"$\\Vert\\Delta^1\\Vert/\\Vert\\Delta^{{{depth}}}\\Vert$ = {ratios[-1]:.2g}"
        ax.set(title=f"{activation}, {name}\n{reached}")
        spectral = spectral_norms(net, images.X[:5])
        beside.semilogy(np.arange(2, depth), spectral, color=colour, linewidth=2.2, label=name)
        print(f"{activation:9}{name:12}" + "".join(f"{ratio:10.1e}" for ratio in ratios) + f"{np.median(spectral):8.3f}")
    row[0].set_ylabel(r"error $\Vert\Delta^\ell\Vert$")
    beside.axhline(1, color="black", linewidth=1, linestyle=":")
    beside.set(title=f"{activation}\nJacobians, L = {depth}", ylim=(0.03, 5), ylabel="spectral norm")
    beside.set_yticks([0.1, 1], ["0.1", "1"])
for ax in panels.flat:
    ax.grid(color="0.9")
    ax.spines[["top", "right"]].set_visible(False)
for ax in panels[-1]:
    ax.set_xlabel(r"layer $\ell$, from input to output")
panels[0, 0].legend(frameon=False)
panels[0, 3].legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.15))
write(figure, arguments.out)
