"""Activation functions σ and their derivatives σ′, by name: identity, relu, softplus, threshold, logistic, tanh, softmax.

Every one of them but softmax works element by element, and has a derivative that can be read off its output
(tanh′ = 1 − tanh², and so on), so that the weighted input Z need not be kept. An activation of your own is any object
with `value(z)` and `derivative(z)`, both from z (n, units), examples as rows, to an array of that shape; `get` wraps it.

Hessian products (curvature.py) need σ″ as well: of an activation of your own that is `curvature(z)`, or `curvature =
"numerical"` for central differences of its derivative.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mlp.blas import Array, read_only
from mlp.checks import check_name, shown


class Activation:
    """σ and what the backward pass does with σ′. Subclasses write in place; nothing here allocates in a batch's size."""

    name = ""
    #: Whether σ′ is computed from Z, which must then be kept beside A (True), or from A alone (False).
    keeps_z = False
    #: Whether there is a σ″; False where σ is made of straight pieces.
    curved = True

    def value(self, Z: Array, out: Array) -> None:
        """out ← σ(Z); both (units, n), and out may be Z itself unless `keeps_z`."""
        raise NotImplementedError

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        """Δ ← Δ ⊙ σ′(Z), in place, with A = σ(Z) left as it is; all (units, n), and spare is room for σ′."""
        raise NotImplementedError

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        """E ← E ⊙ σ″(Z), in place, where σ is `curved` and works element by element; arguments as in `backward`."""
        raise TypeError(f"activation {self.name!r}: has no second(E, Z, A, spare), E ← E ⊙ σ″(Z), which Hessian products need")

    def second_along(self, E: Array, Z: Array, A: Array, RZ: Array, spare: Array) -> None:
        """E ← E ⊙ R{σ′(Z)} = E ⊙ σ″(Z) ⊙ R{Z}, in place: how σ′ changes as Z does, R{Z} (units, n)."""
        if self.curved:
            self.second(E, Z, A, spare)
            E *= RZ
        else:
            E[...] = 0

    def derivative(self, Z: Array) -> Array:
        """σ′(Z), a new array of Z's shape; of softmax, whose derivative is a matrix, the sums of its columns (0)."""
        A, derivative = np.empty_like(Z), np.ones_like(Z)
        self.value(Z, A)
        self.backward(derivative, Z, A, np.empty_like(Z))
        return derivative


@lru_cache(maxsize=64)
def _constant(value: int, width: int, dtype: np.dtype[Any]) -> Array:
    return np.full(width, value, dtype)


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
        np.maximum(Z, _row(0, Z), out=out)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
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


@runtime_checkable
class CustomActivation(Protocol):
    """What an activation of the user's own offers: σ and σ′, element by element, each an array of z's shape, (n, units)."""

    def value(self, z: Array, /) -> Array: ...
    def derivative(self, z: Array, /) -> Array: ...


class _Custom(Activation):
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


ACTIVATIONS: dict[str, Activation] = {
    kind.name: kind() for kind in (Identity, ReLU, Softplus, Threshold, Logistic, Tanh, Softmax)
}


#: What other libraries call them: an error then says what they are called here.
SYNONYMS = {
    "sigmoid": "logistic",
    "linear": "identity",
    "none": "identity",
    "heaviside": "threshold",
    "step": "threshold",
    "rectifier": "relu",
    "swish": "silu",
    "leakyrelu": "leaky_relu",
    "lrelu": "leaky_relu",
}


def find(name: Any, known: Mapping[str, Activation]) -> Activation:
    """The activation of that name among those known, which may include the user's own."""
    return known[check_name("activation", name, known)]


def get(activation: Any, argument: str = "activation") -> Activation:
    """The activation of that name, or the user's own object made ready for a layer."""
    if isinstance(activation, str):
        return ACTIVATIONS[check_name(argument, activation, ACTIVATIONS, SYNONYMS)]
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, CustomActivation) and not isinstance(activation, type):
        custom = _Custom(activation)
        if custom.name in ACTIVATIONS:
            raise ValueError(
                f"{argument}: received an activation of your own called {custom.name!r}, as one of mlp's is: rename it"
            )
        return custom
    raise TypeError(
        f"{argument}: received {shown(activation)}, but it must be one of {', '.join(ACTIVATIONS)}, "
        "or an object with value(z) and derivative(z)"
    )
