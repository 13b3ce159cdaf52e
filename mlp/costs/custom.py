"""Costs of the user's own: `CustomCost` is what one offers, `Custom` makes it a `Cost`."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from mlp.activations import NUMERICAL, central_difference
from mlp.blas import Array, read_only
from mlp.costs.base import Cost, holds_labels, one_hot


@runtime_checkable
class CustomCost(Protocol):
    """What a cost of the user's own offers, with A and Y of shape (n, units)."""

    def value(self, A: Array, Y: Array, /) -> Array: ...
    def gradient(self, A: Array, Y: Array, /) -> Array: ...


class Custom(Cost):
    """A user's cost behind the in-place interface: Δ^L = ∇ₐC ⊙ σ′(Z)."""

    def __init__(self, custom: CustomCost):
        self.custom = custom
        self.name = str(getattr(custom, "name", type(custom).__name__))

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        costs = self.custom.value(*self._as_rows(A, Y))
        if np.shape(costs) != Z.shape[1:]:
            raise ValueError(
                f"cost {self.name!r}: its value(A, Y) returned shape {np.shape(costs)}, "
                f"but it must return one cost for each example, ({A.shape[1]},)"
            )
        return np.asarray(costs)

    def gradient(self, A: Array, Y: Array, out: Array) -> None:
        out[...] = self._asked("gradient(A, Y)", self.custom.gradient(*self._as_rows(A, Y)), A)

    def curvature(self, A: Array, Y: Array, RA: Array, out: Array) -> None:
        asked = getattr(self.custom, "curvature", None)
        outputs, targets = self._as_rows(A, Y)
        if callable(asked):
            out[...] = self._asked("curvature(A, Y, V)", asked(outputs, targets, read_only(RA.T)), A)
        elif asked == NUMERICAL:
            at, along = outputs.astype(np.float64), RA.T.astype(np.float64)
            length = np.abs(along).max(axis=1, keepdims=True)  # (n, 1)
            unit = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
            extent = np.maximum(np.abs(at).max(axis=1, keepdims=True), 1)
            slope = central_difference(lambda a: np.asarray(self.custom.gradient(a, targets)), at, unit, extent)
            out[...] = (slope * length).T
        else:
            raise TypeError(
                f"cost {self.name!r}: has no curvature(A, Y, V), the product of its second derivative with V (n, units), which "
                f"products with the Hessian and the Gauss–Newton matrix need; write it, or set curvature = {NUMERICAL!r} for "
                "central differences of its gradient(A, Y)"
            )

    def _asked(self, method: str, result: Any, A: Array) -> Array:
        """What the user's method returned, (n, units), with examples as columns."""
        if np.shape(result) != A.T.shape:
            raise ValueError(
                f"cost {self.name!r}: its {method} returned shape {np.shape(result)}, "
                f"but it must return A's own shape, {A.T.shape}"
            )
        return np.asarray(result).T

    @staticmethod
    def _as_rows(A: Array, Y: Array) -> tuple[Array, Array]:
        """Outputs and targets as numbers (n, units)."""
        numbers = one_hot(Y, len(A), A.dtype) if holds_labels(Y) else Y
        return read_only(A.T), read_only(numbers.T)
