"""`Cost`: a cost of each example, with its output error and how that changes; and the two forms of targets."""

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from mlp.activations import Activation
from mlp.blas import Array

#: Up to so many outputs of a batch are few.
_FEW = 1 << 12


def holds_labels(Y: Array) -> bool:
    """Whether Y is in the form of class labels, (n,) integers, and not of numbers, (units, n)."""
    return Y.ndim == 1


def one_hot(labels: Array, units: int, dtype: Any) -> Array:
    """Class labels (n,) as columns of numbers (units, n): 1 at the label, 0 elsewhere."""
    columns = np.zeros((units, len(labels)), dtype)
    columns[labels, np.arange(len(labels))] = 1
    return columns


@lru_cache(maxsize=64)
def numbers_below(n: int) -> Array:
    """0 … n − 1, the columns of a batch: with the labels, they index each example's own output."""
    return np.arange(n)


@lru_cache(maxsize=64)
def _identity(units: int, dtype: Any) -> Array:
    return np.eye(units, dtype=dtype)


def subtract_targets(A: Array, Y: Array) -> None:
    """A ← A − Y, in place."""
    if not holds_labels(Y):
        A -= Y
    elif A.size <= _FEW:
        A -= _identity(len(A), A.dtype).take(Y, 1)  # columns of numbers: where they are few, in a quarter of the time
    else:
        A[Y, numbers_below(len(Y))] -= 1


class Cost:
    """A cost of each example, and the output error it sends back. Subclasses are shared, and hold nothing but parameters.

    A cost with parameters has them in its name as well, "huber:1.5".
    """

    name = ""
    #: What its parameters are called, in the order in which a name has them; they are the constructor's arguments.
    parameters: ClassVar[tuple[str, ...]] = ()
    #: The output activation that it goes with; "" for every one.
    output = ""

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        """Cᵢ (n,) from the output's weighted input Z and activation A (both (units, n), left alone) and targets Y.

        spare (units, n) is room to work in.
        """
        raise NotImplementedError

    def output_error(self, Z: Array, A: Array, Y: Array, activation: Activation, out: Array, spare: Array) -> None:
        """out ← Δ^L = ∇ₐC ⊙ σ′(Z) for every example, not averaged; all (units, n), and spare is room to work in."""
        self.gradient(A, Y, out)
        activation.backward(out, Z, A, spare)

    def error_along(
        self, Z: Array, A: Array, Y: Array, RZ: Array, RA: Array, activation: Activation, exact: bool, out: Array, spare: Array
    ) -> None:
        """out ← R{Δ^L}, the Hessian's where `exact`, else the Gauss–Newton matrix's; all (units, n)."""
        self.curvature(A, Y, RA, out)
        activation.backward(out, Z, A, spare)  # Jᵀ ∇ₐ²C R{A}
        if exact:
            E = np.empty_like(A)
            self.gradient(A, Y, E)
            activation.second_along(E, Z, A, RZ, spare)  # R{J}ᵀ ∇ₐC
            out += E

    def gradient(self, A: Array, Y: Array, out: Array) -> None:
        """out ← ∇ₐC (units, n)."""
        raise TypeError(f"cost {self.name!r}: has no gradient(A, Y, out), out ← ∇ₐC, which Hessian products need")

    def curvature(self, A: Array, Y: Array, RA: Array, out: Array) -> None:
        """out ← ∇ₐ²C R{A} (units, n)."""
        raise TypeError(
            f"cost {self.name!r}: has no curvature(A, Y, RA, out), out ← ∇ₐ²C R{{A}}, which products with the Hessian and the "
            "Gauss–Newton matrix need"
        )

    def goes_with(self, activation: Activation) -> bool:
        """Whether this cost can be taken of that output activation."""
        return self.output in ("", activation.name)

    def check_targets(self, name: str, Y: Array) -> None:
        """Raise ValueError where finite numbers Y (n, units) can't be targets of this cost."""
