"""Costs that match their output activation, whose derivative undoes theirs: cross-entropies and Poisson's; Δ^L = A − Y."""

import numpy as np

from mlp.activations import Activation
from mlp.blas import Array
from mlp.costs.base import Cost, holds_labels, numbers_below, one_hot, subtract_targets

#: The smallest number of full precision.
_SMALLEST = {np.dtype(dtype): np.finfo(dtype).tiny for dtype in (np.float32, np.float64)}


class Matching(Cost):
    """A cost with its natural output: the derivative of one undoes the other's, and A − Y is left."""

    #: Between what bounds targets must be.
    bounds = 0.0, 1.0

    def output_error(self, Z: Array, A: Array, Y: Array, activation: Activation, out: Array, spare: Array) -> None:
        out[...] = A
        subtract_targets(out, Y)

    def error_along(
        self, Z: Array, A: Array, Y: Array, RZ: Array, RA: Array, activation: Activation, exact: bool, out: Array, spare: Array
    ) -> None:
        """out ← R{A − Y} = R{A}, exact or not."""
        out[...] = RA

    def check_targets(self, name: str, Y: Array) -> None:
        low, high = self.bounds
        if Y.min() < low or Y.max() > high:
            worst = Y.min() if Y.min() < low else Y.max()
            allowed = f"from {low:g} to {high:g}" if high < np.inf else f"at least {low:g}"
            raise ValueError(f"{name}: received {worst:g}, but targets of {self.name} must be {allowed}")


class LogisticCrossEntropy(Matching):
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
            chosen = Y, numbers_below(len(Y))
            spare[chosen] -= Z[chosen]
        else:
            np.sign(Z, out=spare)
            np.maximum(spare, 0, out=spare)  # [z > 0]
            spare -= Y
            spare *= Z
        costs += spare.sum(axis=0)
        return costs


class SoftmaxCrossEntropy(Matching):
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
            likelihoods = A[Y, numbers_below(len(Y))]
            if np.minimum.reduce(likelihoods) >= _SMALLEST[A.dtype]:
                np.log(likelihoods, out=likelihoods)
                return np.negative(likelihoods, out=likelihoods)
        np.subtract(Z, Z.max(axis=0), out=spare)
        chosen = spare[Y, numbers_below(len(Y))] if holds_labels(Y) else np.einsum("un,un->n", spare, Y)
        weight = 1.0 if holds_labels(Y) else Y.sum(axis=0)
        np.exp(spare, out=spare)
        costs: Array = weight * np.log(spare.sum(axis=0)) - chosen
        return costs


class Poisson(Matching):
    """Cᵢ = Σⱼ aⱼ − yⱼ + yⱼ log(yⱼ/aⱼ), half the Poisson deviance, for counts, or rates, y of at least 0 and outputs a = eᶻ.

    It is −log of the probability of y under a Poisson distribution of mean a, less what a perfect answer leaves of that, so
    that it is 0 where a = y (McCullagh and Nelder 1989, "Generalized linear models", sec. 2.3). With r = z − log y it is
    y (eʳ − 1 − r), which keeps its precision where a is near y.
    """

    name = "poisson"
    output = "exponential"
    bounds = 0.0, np.inf

    def values(self, Z: Array, A: Array, Y: Array, spare: Array) -> Array:
        if holds_labels(Y):
            Y = one_hot(Y, len(A), A.dtype)
        some = Y > 0
        np.log(Y, out=spare, where=some)
        r = np.subtract(Z, spare, out=np.zeros_like(Z), where=some)
        near = some & (np.abs(r) <= 1)
        np.subtract(A, Y * (1 + r), out=spare)
        np.copyto(spare, Y * (np.expm1(r) - r), where=near)
        costs: Array = spare.sum(axis=0)
        return costs
