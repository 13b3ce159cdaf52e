"""The lecture's activations: identity, relu, softplus, threshold, logistic, tanh and softmax."""

from collections.abc import Sequence
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np

from mlp.activations.base import Activation
from mlp.blas import Array


@lru_cache(maxsize=64)
def _constant(value: int, width: int, dtype: np.dtype[Any]) -> Array:
    return np.full(width, value, dtype)


def _long_rows(*arrays: Array) -> Sequence[Array]:
    """Views of arrays (units, n) with several of their rows next to each other, as they lie: numpy's loops over a short row
    take as long as over a long one."""
    units, n = arrays[0].shape
    several = gcd(units, 2048 // n) if units * n >= 1 << 14 else 1
    if several <= 1 or not all(A.flags.c_contiguous for A in arrays):
        return arrays
    return [A.reshape(units // several, several * n) for A in arrays]


def _row(value: int, like: Array) -> Array:
    """A constant row to broadcast: numpy's minimum and maximum take it at more than twice the speed of a scalar."""
    return _constant(value, like.shape[-1], like.dtype)


class Identity(Activation):
    """σ(z) = z, σ′(z) = 1."""

    name = "identity"
    curved = False

    def value(self, Z: Array, out: Array) -> None:
        if out is not Z:
            out[...] = Z

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        pass


class ReLU(Activation):
    """σ(z) = max(z, 0), σ′(z) = [z > 0]: the derivative at 0 is taken as 0."""

    name = "relu"
    curved = False

    def value(self, Z: Array, out: Array) -> None:
        Z, out = _long_rows(Z, out)
        np.maximum(Z, _row(0, Z), out=out)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        A, Delta = _long_rows(A, Delta)
        bits = spare.reshape(-1).view(bool)[: A.size].reshape(A.shape)
        Delta *= np.greater(A, _row(0, A), out=bits)


class Softplus(Activation):
    """The "soft ReLU": σ(z) = log(1 + eᶻ), σ′(z) = 1/(1 + e^−z) = 1 − e^−σ(z)."""

    name = "softplus"

    def value(self, Z: Array, out: Array) -> None:
        np.logaddexp(Z, 0, out=out)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        np.negative(A, out=spare)
        np.expm1(spare, out=spare)
        Delta *= np.negative(spare, out=spare)

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        """σ″ = σ′ (1 − σ′), and 1 − σ′ = e^−a."""
        self.backward(E, Z, A, spare)
        np.negative(A, out=spare)
        E *= np.exp(spare, out=spare)


class Threshold(Activation):
    """The hard threshold: σ(z) = [z > 0], σ′(z) = 0 (it is not differentiable at 0, and flat elsewhere)."""

    name = "threshold"
    curved = False

    def value(self, Z: Array, out: Array) -> None:
        np.sign(Z, out=out)
        np.maximum(out, _row(0, out), out=out)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        Delta[...] = 0


class Logistic(Activation):
    """σ(z) = 1/(1 + e^−z) = (1 + tanh(z/2))/2, σ′(z) = σ(z)(1 − σ(z)). The form with tanh never overflows."""

    name = "logistic"

    def value(self, Z: Array, out: Array) -> None:
        np.multiply(Z, 0.5, out=out)
        np.tanh(out, out=out)
        out *= 0.5
        out += 0.5

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        Delta *= A
        Delta *= np.subtract(1, A, out=spare)

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        """σ″ = σ′ (1 − 2a)."""
        self.backward(E, Z, A, spare)
        np.multiply(A, -2, out=spare)
        spare += 1
        E *= spare


class Tanh(Activation):
    """σ(z) = tanh z, σ′(z) = 1 − tanh² z."""

    name = "tanh"

    def value(self, Z: Array, out: Array) -> None:
        np.tanh(Z, out=out)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        np.square(A, out=spare)
        Delta *= np.subtract(1, spare, out=spare)

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        """σ″ = −2a σ′."""
        self.backward(E, Z, A, spare)
        E *= np.multiply(A, -2, out=spare)


class Softmax(Activation):
    """σ(z)ⱼ = e^zⱼ / Σₖ e^zₖ down each column. It belongs at the output, and its Jacobian is no element-wise factor."""

    name = "softmax"

    def value(self, Z: Array, out: Array) -> None:
        np.subtract(Z, np.maximum.reduce(Z, axis=0), out=out)  # the largest exponent is 0: nothing overflows
        np.exp(out, out=out)
        out /= np.add.reduce(out, axis=0)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        """Δ ← Jᵀ Δ column by column, with J = diag(a) − a aᵀ: Δ ← A ⊙ (Δ − Σ Δ ⊙ A)."""
        Delta -= np.add.reduce(np.multiply(Delta, A, out=spare), axis=0)
        Delta *= A

    def second_along(self, E: Array, Z: Array, A: Array, RZ: Array, spare: Array) -> None:
        """E ← R{J} E, with R{J} = diag(r) − r aᵀ − a rᵀ and r = J R{Z} = R{A}: R{J} E = r ⊙ (E − Σ E ⊙ A) − A Σ E ⊙ r."""
        r = RZ.copy()
        self.backward(r, Z, A, spare)
        along = np.add.reduce(np.multiply(E, r, out=spare), axis=0)
        E -= np.add.reduce(np.multiply(E, A, out=spare), axis=0)
        E *= r
        E -= np.multiply(A, along, out=spare)
