"""What is added to the mean cost, once whatever the number of examples, and what keeps weights short.

(λ/2) Σ_ℓ ‖W^ℓ‖²          `WeightDecay`; biases are never decayed: each layer says what of it is (`Layer.decayed`)
β Σⱼ KL(ρ ‖ ρ̂ⱼ)           `Sparsity`, a function of a hidden layer's mean activations
‖row of W^ℓ‖ ≤ c          `shorten_rows`, which is no part of the cost: descent does it after each step
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mlp.blas import Array, axpy, dot
from mlp.checks import check_integer, check_number, shown
from mlp.layers import Layer


class WeightDecay:
    """The penalty (λ/2) Σ ‖W‖² over all parameters that their layers call decayed."""

    def __init__(self, rate: float):
        self.rate = check_number("weight_decay", rate, at_least=0)

    def value(self, layers: Sequence[Layer]) -> float:
        """(λ/2) Σ ‖W‖² for layers with views of θ."""
        if not self.rate:
            return 0.0
        return 0.5 * self.rate * sum(dot(W, W) for layer in layers for W in decayed_vectors(layer))

    def add_gradient(self, layers: Sequence[Layer], into: Sequence[Layer], alpha: float) -> None:
        """Add α λ W of `layers` to the same parameters of `into`, which may be the same layers."""
        if not self.rate:
            return
        for layer, target in zip(layers, into, strict=True):
            for W, out in zip(decayed_vectors(layer), decayed_vectors(target), strict=True):
                axpy(alpha * self.rate, W, out)


def decayed_vectors(layer: Layer) -> list[Array]:
    """What of a layer is decayed, each a vector."""
    return [getattr(layer, name).reshape(-1) for name in layer.decayed]


def norm_of_decayed(layer: Layer) -> float:
    """The Frobenius norm of all that is decayed in a layer; NaN where nothing is."""
    if not layer.decayed:
        return float("nan")
    return float(np.sqrt(sum(float(np.vdot(W, W)) for W in decayed_vectors(layer))))


def shorten_rows(layers: Sequence[Layer], longest: float) -> None:
    """Scale down, in place, each row of a layer's normed matrices whose norm is above `longest`."""
    for W in (getattr(layer, name) for layer in layers for name in layer.normed):
        beyond = np.flatnonzero(np.einsum("uf,uf->u", W, W) > longest * longest)
        norms = np.linalg.norm(W[beyond].astype(np.float64), axis=1)  # in which no square overflows
        W[beyond] *= (longest / norms)[:, None]


@dataclass(frozen=True)
class Sparsity:
    """The sparse autoencoder's penalty β Σⱼ KL(ρ ‖ ρ̂ⱼ) on a hidden layer of logistic units (UFLDL, "Autoencoders").

    ρ̂ⱼ is unit j's mean activation over the examples at hand, ρ what it should be, and
    KL(ρ ‖ ρ̂) = ρ log(ρ/ρ̂) + (1 − ρ) log((1 − ρ)/(1 − ρ̂)).

    Args:
        rho: ρ, from above 0 to below 1.
        beta: β, at least 0.
        layer: which layer, counted from 0.
    """

    rho: float = 0.05
    beta: float = 3.0
    layer: int = 0

    def __post_init__(self) -> None:
        check_number("rho", self.rho, above=0, below=1)
        check_number("beta", self.beta, at_least=0)
        check_integer("layer", self.layer, at_least=0)

    def penalty(self, mean: Array) -> float:
        """β Σⱼ KL(ρ ‖ ρ̂ⱼ) for mean activations ρ̂, (units,)."""
        rho = self.rho
        return self.beta * float(np.sum(rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))))

    def derivative(self, mean: Array) -> Array:
        """What each example's error at the layer gains: β (−ρ/ρ̂ⱼ + (1 − ρ)/(1 − ρ̂ⱼ)), (units,)."""
        gained: Array = self.beta * (-self.rho / mean + (1 - self.rho) / (1 - mean))
        return gained

    def curvature(self, mean: Array) -> Array:
        """The derivative of that: β (ρ/ρ̂ⱼ² + (1 − ρ)/(1 − ρ̂ⱼ)²), (units,)."""
        curvature: Array = self.beta * (self.rho / mean**2 + (1 - self.rho) / (1 - mean) ** 2)
        return curvature


def check_sparsity(sparsity: Any, layers: Sequence[Layer]) -> Sparsity | None:
    """A `Sparsity` that these layers can have, or None."""
    if sparsity is None:
        return None
    if not isinstance(sparsity, Sparsity):
        raise TypeError(f"sparsity: received {shown(sparsity)}, but it must be None or a Sparsity")
    if len(layers) < 2:
        raise ValueError("sparsity: received a Sparsity, but the network has no hidden layer to be sparse")
    check_integer("sparsity.layer", sparsity.layer, at_least=0, at_most=len(layers) - 2)
    if (name := layers[sparsity.layer].activation.name) != "logistic":
        raise ValueError(f"sparsity: layer {sparsity.layer} is {name!r}, but mean activations must be those of 'logistic'")
    return sparsity


class SparseUnits(Layer):
    """Stands above a hidden layer that is to be sparse: activations go through it as they are, and the error that comes
    back gains the sparsity penalty's derivative, (units,)."""

    inserted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    def __init__(self, units: int):
        self.fan_in = self.units = units
        self.gained: Array = np.zeros(units)
        #: The weights of the examples at hand, (n,), or None.
        self.weights: Array | None = None
        #: How `gained` changes with the mean activations; and by how much it does along a direction (curvature.py).
        self.curvature: Array = np.zeros(units)
        self.gained_along: Array = np.zeros(units)

    def forward(self, A: Array, out: Array, scratch: None) -> None:
        out[...] = A

    def propagate(self, Delta: Array, out: Array, scratch: None) -> None:
        np.add(Delta, self._of_each(self.gained), out=out)

    def _of_each(self, gained: Array) -> Array:
        """What each example's error gains, (units, 1), or (units, n) where they have weights."""
        return gained[:, None] if self.weights is None else gained[:, None] * self.weights

    def linearised(self) -> Layer:
        return SparseUnitsAlong(self)


class SparseUnitsAlong(Layer):
    """`SparseUnits` as it acts on changes (curvature.py): the error gains R{gained}."""

    def __init__(self, of: SparseUnits):
        self.of = of

    def forward(self, A: Array, out: Array, scratch: None) -> None:
        out[...] = A

    def propagate(self, Delta: Array, out: Array, scratch: None) -> None:
        np.add(Delta, self.of._of_each(self.of.gained_along), out=out)
