"""The lecture's six activation functions σ and their derivatives σ′, as mlp computes them.

σ comes from an activation's `value`, σ′ from its `derivative`. (Source: the lecture on multilayer perceptrons.)

    python scripts/activation_functions.py
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from picture import add_out, write

from mlp import activations

BLUE, VERMILLION = "#0072B2", "#D55E00"  # two of Okabe and Ito's colours

FUNCTIONS = {
    "identity": ("Identity", r"$\sigma(z) = z$"),
    "relu": ("ReLU", r"$\sigma(z) = \max(z, 0)$"),
    "softplus": ("Softplus, the “soft ReLU”", r"$\sigma(z) = \log(1 + e^z)$"),
    "threshold": ("Hard threshold", r"$\sigma(z) = [z > 0]$"),
    "logistic": ("Logistic", r"$\sigma(z) = 1/(1 + e^{-z})$"),
    "tanh": ("Hyperbolic tangent", r"$\sigma(z) = \tanh z$"),
}


def value_and_derivative(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ(z) and σ′(z), each (n,), for z (n,)."""
    activation = activations.get(name)
    Z = z[:, None]  # (n, 1): n examples of one unit
    A = np.empty_like(Z)
    activation.value(Z, out=A)
    return A[:, 0], activation.derivative(Z)[:, 0]


def broken(curve: np.ndarray) -> np.ndarray:
    """The curve with a gap where it jumps, so that no upright line is drawn there."""
    return np.where(np.abs(np.diff(curve, prepend=curve[0])) > 0.5, np.nan, curve)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
add_out(parser)
arguments = parser.parse_args()

z = np.array([-2.0, 0.0, 2.0])
print(f"{'':10}{'σ(−2)':>9}{'σ(0)':>9}{'σ(2)':>9}   {'σ′(−2)':>9}{'σ′(0)':>9}{'σ′(2)':>9}")
for name in FUNCTIONS:
    value, derivative = value_and_derivative(name, z)
    print(f"{name:10}" + "".join(f"{v:9.4f}" for v in value) + "   " + "".join(f"{d:9.4f}" for d in derivative))

figure = Figure(figsize=(10, 6.4), dpi=144, layout="constrained")
panels = figure.subplots(2, 3, sharex=True, sharey=True)
z = np.linspace(-4, 4, 1601)
for ax, (name, (title, formula)) in zip(panels.flat, FUNCTIONS.items(), strict=True):
    value, derivative = value_and_derivative(name, z)
    ax.axhline(0, color="0.75", linewidth=0.8)
    ax.axvline(0, color="0.75", linewidth=0.8)
    ax.plot(z, broken(value), color=BLUE, linewidth=2.5, label=r"$\sigma(z)$")
    ax.plot(z, broken(derivative), color=VERMILLION, linewidth=2, linestyle="--", label=r"$\sigma'(z)$")
    ax.set(title=f"{title}\n{formula}", xlim=(-4, 4), ylim=(-1.6, 2.6), xticks=range(-4, 5, 2), yticks=range(-1, 3))
    ax.spines[["top", "right"]].set_visible(False)
for ax in panels[-1]:
    ax.set_xlabel("weighted input $z$")
for ax in panels[:, 0]:
    ax.set_ylabel("activation, derivative")
figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=12)
write(figure, arguments.out)
