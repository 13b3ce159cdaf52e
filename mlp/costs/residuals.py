"""Costs that are functions of the residuals r = a − y, and go with every output activation: quadratic, huber, absolute."""

import numpy as np

from mlp.blas import Array
from mlp.checks import check_number
from mlp.costs.base import Cost, subtract_targets


class Quadratic(Cost):
    """Cᵢ = ½‖a − y‖², with ∇ₐC = a − y, and Δ^L = (a − y) ⊙ σ′(z), or through the whole Jacobian of a softmax."""

    name = "quadratic"

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        _take_residuals(A, Y, spare)
        costs: Array = np.add.reduce(np.square(spare, out=spare), axis=0)
        return np.multiply(costs, 0.5, out=costs)

    def gradient(self, A: Array, Y: Array, out: Array) -> None:
        """out ← A − Y."""
        _take_residuals(A, Y, out)

    def curvature(self, A: Array, Y: Array, RA: Array, out: Array) -> None:
        """out ← R{A}."""
        out[...] = RA


class Huber(Cost):
    """Cᵢ = Σⱼ ½rⱼ² where |rⱼ| ≤ δ, else δ(|rⱼ| − ½δ), with r = a − y: squared for small errors, absolute for outliers.

    (Huber 1964, "Robust estimation of a location parameter"; with δ = 1.35 standard deviations of normal errors, 95 % as
    efficient as least squares.) ∇ₐC is r cut to ±δ; its own derivative is taken as 1 at |r| = δ. As δ grows it becomes the
    quadratic cost; divided by δ, the absolute error as δ → 0.
    """

    name = "huber"
    parameters = ("delta",)

    def __init__(self, delta: float = 1.0):
        self._delta = check_number("delta", delta, at_least=1e-30, at_most=1e30)
        self.name = f"{self.name}:{self._delta!r}"

    @property
    def delta(self) -> float:
        return self._delta

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        _take_residuals(A, Y, spare)
        np.abs(spare, out=spare)
        near = np.minimum(spare, self.delta)
        spare -= 0.5 * near
        costs: Array = np.multiply(spare, near, out=spare).sum(axis=0)  # min(|r|, δ) (|r| − ½ min(|r|, δ))
        return costs

    def gradient(self, A: Array, Y: Array, out: Array) -> None:
        """out ← r, cut to ±δ."""
        _take_residuals(A, Y, out)
        np.clip(out, -self.delta, self.delta, out=out)

    def curvature(self, A: Array, Y: Array, RA: Array, out: Array) -> None:
        """out ← R{A} where |r| ≤ δ, else 0."""
        _take_residuals(A, Y, out)
        np.less_equal(np.abs(out, out=out), self.delta, out=out)
        out *= RA


class Absolute(Cost):
    """Cᵢ = Σⱼ |aⱼ − yⱼ|, least where a is the median of y; ∇ₐC is the sign of a − y, and 0 where they are equal.

    The limit of Huber's cost divided by δ, as δ → 0. It has no curvature: minimisers that need some do better on Huber's.
    """

    name = "absolute"

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        _take_residuals(A, Y, spare)
        costs: Array = np.abs(spare, out=spare).sum(axis=0)
        return costs

    def gradient(self, A: Array, Y: Array, out: Array) -> None:
        """out ← the signs of A − Y."""
        _take_residuals(A, Y, out)
        np.sign(out, out=out)

    def curvature(self, A: Array, Y: Array, RA: Array, out: Array) -> None:
        """out ← 0."""
        out[...] = 0


def _take_residuals(A: Array, Y: Array, out: Array) -> None:
    """out ← A − Y."""
    out[...] = A
    subtract_targets(out, Y)
