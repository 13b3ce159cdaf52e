"""Activations of the user's own: `CustomActivation` is what one offers, `Custom` makes it an `Activation`."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mlp.activations.base import Activation
from mlp.blas import Array, read_only


@runtime_checkable
class CustomActivation(Protocol):
    """What an activation of the user's own offers: σ and σ′, element by element, each an array of z's shape, (n, units)."""

    def value(self, z: Array, /) -> Array: ...
    def derivative(self, z: Array, /) -> Array: ...


class Custom(Activation):
    """A user's activation behind the in-place interface."""

    keeps_z = True

    def __init__(self, custom: CustomActivation):
        self.custom = custom
        self.name = str(getattr(custom, "name", type(custom).__name__))

    def value(self, Z: Array, out: Array) -> None:
        out[...] = self._asked("value", Z)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        Delta *= self._asked("derivative", Z)

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        asked = getattr(self.custom, "curvature", None)
        if callable(asked):
            E *= self._asked("curvature", Z)
        elif asked == NUMERICAL:
            wide = Z.astype(np.float64)
            E *= central_difference(lambda z: self._asked("derivative", z), wide, 1.0, np.maximum(np.abs(wide), 1))
        else:
            raise TypeError(
                f"activation {self.name!r}: has no curvature(z), its second derivative, which Hessian products need; write it, "
                f"or set curvature = {NUMERICAL!r} for central differences of its derivative(z)"
            )

    def _asked(self, method: str, Z: Array) -> Array:
        """What the user's method makes of Z, which it is given with examples as rows."""
        result = getattr(self.custom, method)(read_only(Z.T))
        if np.shape(result) != Z.T.shape:
            raise ValueError(
                f"activation {self.name!r}: its {method}(z) returned shape {np.shape(result)}, "
                f"but it must return z's own shape, {Z.T.shape}"
            )
        return np.asarray(result).T


#: What the attribute `curvature` of an activation or a cost of your own says where central differences are to do.
NUMERICAL = "numerical"


def central_difference(function: Callable[[Array], Array], x: Array, direction: Any, extent: Array) -> Array:
    """The derivative of a function at x along a direction of about unit size, where x is of that extent; off by order h⁴."""
    h = np.finfo(np.float64).eps ** 0.2 * extent
    near = function(x + h * direction) - function(x - h * direction)
    far = function(x + 2 * h * direction) - function(x - 2 * h * direction)
    difference: Array = (8 * near - far) / (12 * h)
    return difference
