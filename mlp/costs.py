"""Costs, each with its output error Δ^L = ∇ₐC ⊙ σ′(Z^L) beside it, so that what cancels cancels here.

quadratic              Cᵢ = ½‖a − y‖²                      goes with every output activation
logistic_cross_entropy Cᵢ = −Σⱼ [yⱼ log aⱼ + (1−yⱼ) log(1−aⱼ)] goes with logistic outputs; leaves A − Y
softmax_cross_entropy  Cᵢ = −Σⱼ yⱼ log aⱼ                  goes with a softmax output; leaves A − Y

Targets Y come in one of two forms: numbers, (units, n), or class labels, (n,) integers, which stand for columns that are 1
at the label and 0 elsewhere (one-hot) and are never written out as such. A cost of your own is any object with
`value(A, Y)`, the examples' costs (n,), and `gradient(A, Y)`, ∇ₐC (n, units); it is given A and Y as numbers (n, units),
examples as rows. For second derivatives (curvature.py) it needs `curvature(A, Y, V)` too, ∇ₐ²C V (n, units) for changes V of
A; or `curvature = "numerical"`, for central differences of its gradient.

How the output error changes along a direction in which Z^L changes by R{Z} and A^L by R{A} = J R{Z}, with J = ∂A/∂Z:

    R{Δ^L} = Jᵀ ∇ₐ²C R{A} + R{J}ᵀ ∇ₐC         the Hessian's
             Jᵀ ∇ₐ²C R{A}                     the Gauss–Newton matrix's, positive semidefinite where C is convex in A

The cross-entropies are taken as functions of Z, in which they are convex: both are R{A − Y} = R{A}.
"""

from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mlp.activations import NUMERICAL, Activation, central_difference
from mlp.blas import Array, read_only
from mlp.checks import check_name, shown


def holds_labels(Y: Array) -> bool:
    """Whether Y is in the form of class labels, (n,) integers, and not of numbers, (units, n)."""
    return Y.ndim == 1


def one_hot(labels: Array, units: int, dtype: Any) -> Array:
    """Class labels (n,) as columns of numbers (units, n): 1 at the label, 0 elsewhere."""
    columns = np.zeros((units, len(labels)), dtype)
    columns[labels, np.arange(len(labels))] = 1
    return columns


@lru_cache(maxsize=64)
def _numbers(n: int) -> Array:
    """0 … n − 1, the columns of a batch: with the labels, they index each example's own output."""
    return np.arange(n)


def _subtract_targets(A: Array, Y: Array) -> None:
    """A ← A − Y, in place."""
    if holds_labels(Y):
        A[Y, _numbers(len(Y))] -= 1
    else:
        A -= Y


#: The smallest number of full precision.
_SMALLEST = {np.dtype(dtype): np.finfo(dtype).tiny for dtype in (np.float32, np.float64)}


class Cost:
    """A cost of each example, and the output error it sends back. Subclasses are shared and hold no state."""

    name = ""

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        """Cᵢ (n,) from the output's weighted input Z and activation A (both (units, n), left alone) and targets Y.

        spare (units, n) is room to work in.
        """
        raise NotImplementedError

    def output_error(self, Z: Array, A: Array, Y: Array, activation: Activation, out: Array, spare: Array) -> None:
        """out ← Δ^L = ∇ₐC ⊙ σ′(Z) for every example, not averaged; all (units, n), and spare is room to work in."""
        raise NotImplementedError

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
        return True

    def check_targets(self, name: str, Y: Array) -> None:
        """Raise ValueError where finite numbers Y (n, units) can't be targets of this cost."""


class Quadratic(Cost):
    """Cᵢ = ½‖a − y‖², with ∇ₐC = a − y, and Δ^L = (a − y) ⊙ σ′(z), or through the whole Jacobian of a softmax."""

    name = "quadratic"

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        spare[...] = A
        _subtract_targets(spare, Y)
        costs: Array = np.add.reduce(np.square(spare, out=spare), axis=0)
        return np.multiply(costs, 0.5, out=costs)

    def output_error(self, Z: Array, A: Array, Y: Array, activation: Activation, out: Array, spare: Array) -> None:
        self.gradient(A, Y, out)
        activation.backward(out, Z, A, spare)

    def gradient(self, A: Array, Y: Array, out: Array) -> None:
        """out ← A − Y."""
        out[...] = A
        _subtract_targets(out, Y)

    def curvature(self, A: Array, Y: Array, RA: Array, out: Array) -> None:
        """out ← R{A}."""
        out[...] = RA


class _CrossEntropy(Cost):
    """A cross-entropy with its natural output: the derivative of one undoes the other's, and A − Y is left."""

    output = ""

    def output_error(self, Z: Array, A: Array, Y: Array, activation: Activation, out: Array, spare: Array) -> None:
        out[...] = A
        _subtract_targets(out, Y)

    def error_along(
        self, Z: Array, A: Array, Y: Array, RZ: Array, RA: Array, activation: Activation, exact: bool, out: Array, spare: Array
    ) -> None:
        """out ← R{A − Y} = R{A}, exact or not."""
        out[...] = RA

    def goes_with(self, activation: Activation) -> bool:
        return activation.name == self.output

    def check_targets(self, name: str, Y: Array) -> None:
        if Y.min() < 0 or Y.max() > 1:
            worst = Y.min() if Y.min() < 0 else Y.max()
            raise ValueError(f"{name}: received {worst:g}, but targets of {self.name} must be from 0 to 1")


class LogisticCrossEntropy(_CrossEntropy):
    """Cᵢ = −Σⱼ [yⱼ log aⱼ + (1 − yⱼ) log(1 − aⱼ)], for one binary output or several (multi-label).

    With a = 1/(1 + e^−z) this is Σⱼ max(zⱼ, 0) − yⱼzⱼ + log(1 + e^−|zⱼ|), which no z makes overflow.
    """

    name = "logistic_cross_entropy"
    output = "logistic"

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        np.abs(Z, out=spare)
        np.negative(spare, out=spare)
        np.exp(spare, out=spare)
        costs: Array = np.log1p(spare, out=spare).sum(axis=0)
        # max(z, 0) − yz one by one, before summing: of terms of size |z|, what is left is what counts.
        if holds_labels(Y):
            np.maximum(Z, 0, out=spare)
            chosen = Y, _numbers(len(Y))
            spare[chosen] -= Z[chosen]
        else:
            np.sign(Z, out=spare)
            np.maximum(spare, 0, out=spare)  # [z > 0]
            spare -= Y
            spare *= Z
        costs += spare.sum(axis=0)
        return costs


class SoftmaxCrossEntropy(_CrossEntropy):
    """Cᵢ = −Σⱼ yⱼ log aⱼ = Σⱼ yⱼ (log Σₖ e^zₖ − zⱼ), the negative log-likelihood of the target classes.

    For a label y it is −log a_y, unless a_y is too small a number to have a logarithm: then the form in z is used.
    """

    name = "softmax_cross_entropy"
    output = "softmax"

    def output_error(self, Z: Array, A: Array, Y: Array, activation: Activation, out: Array, spare: Array) -> None:
        """Δ^L = A Σⱼ yⱼ − Y, which is A − Y but for the rounding of probabilities that don't quite sum to 1."""
        if holds_labels(Y):
            super().output_error(Z, A, Y, activation, out, spare)
        else:
            np.multiply(A, Y.sum(axis=0), out=out)
            out -= Y

    def error_along(
        self, Z: Array, A: Array, Y: Array, RZ: Array, RA: Array, activation: Activation, exact: bool, out: Array, spare: Array
    ) -> None:
        """out ← R{A} Σⱼ yⱼ, exact or not."""
        np.multiply(RA, 1 if holds_labels(Y) else Y.sum(axis=0), out=out)

    def check_targets(self, name: str, Y: Array) -> None:
        super().check_targets(name, Y)
        sums = Y.sum(axis=1)
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > 1e-3:
            raise ValueError(f"{name}: received a row that sums to {sums[worst]:g}, but class probabilities must sum to 1")

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        if holds_labels(Y):
            likelihoods = A[Y, _numbers(len(Y))]
            if np.minimum.reduce(likelihoods) >= _SMALLEST[A.dtype]:
                np.log(likelihoods, out=likelihoods)
                return np.negative(likelihoods, out=likelihoods)
        np.subtract(Z, Z.max(axis=0), out=spare)
        chosen = spare[Y, _numbers(len(Y))] if holds_labels(Y) else np.einsum("un,un->n", spare, Y)
        weight = 1.0 if holds_labels(Y) else Y.sum(axis=0)
        np.exp(spare, out=spare)
        costs: Array = weight * np.log(spare.sum(axis=0)) - chosen
        return costs


@runtime_checkable
class CustomCost(Protocol):
    """What a cost of the user's own offers, with A and Y of shape (n, units)."""

    def value(self, A: Array, Y: Array, /) -> Array: ...
    def gradient(self, A: Array, Y: Array, /) -> Array: ...


class _Custom(Cost):
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

    def output_error(self, Z: Array, A: Array, Y: Array, activation: Activation, out: Array, spare: Array) -> None:
        self.gradient(A, Y, out)
        activation.backward(out, Z, A, spare)

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


COSTS: dict[str, Cost] = {kind.name: kind() for kind in (Quadratic, LogisticCrossEntropy, SoftmaxCrossEntropy)}


def get(cost: Any, output: Activation) -> Cost:
    """The cost of that name for that output activation, or the user's own object made ready.

    None is the output's natural cost, and "cross_entropy" the output's own cross-entropy.
    """
    if cost is None:
        return next((c for c in COSTS.values() if isinstance(c, _CrossEntropy) and c.goes_with(output)), Quadratic())
    if isinstance(cost, str):
        if cost == "cross_entropy" and output.name in ("logistic", "softmax"):
            cost = f"{output.name}_cross_entropy"
        elif cost == "cross_entropy":
            raise ValueError(
                f"cost: received 'cross_entropy' with a network whose output is {output.name!r}, but it goes only with "
                "'logistic' and 'softmax' outputs; quadratic goes with every output"
            )
        chosen = COSTS[check_name("cost", cost, COSTS)]
    elif isinstance(cost, Cost):
        chosen = cost
    elif isinstance(cost, CustomCost) and not isinstance(cost, type):
        chosen = _Custom(cost)
    else:
        raise TypeError(
            f"cost: received {shown(cost)}, but it must be None, one of {', '.join(COSTS)}, "
            "or an object with value(A, Y) and gradient(A, Y)"
        )
    if not chosen.goes_with(output):
        raise ValueError(
            f"cost: received {chosen.name!r} with a network whose output is {output.name!r}, but it goes only with "
            f"{getattr(chosen, 'output', 'other')!r} outputs; quadratic goes with every output"
        )
    return chosen


def check_numbers(name: str, Y: Array, cost: Cost) -> None:
    """Whether numbers (n, outputs) can be targets of that cost."""
    if not np.isfinite(Y).all():
        raise ValueError(f"{name}: received {Y[~np.isfinite(Y)][0]}, but every target must be finite")
    cost.check_targets(name, Y)


def add_up(values: Array, weights: Array | None) -> float:
    """Σ values of n examples, each times its weight where there are weights."""
    return float(np.add.reduce(values) if weights is None else values @ weights)
