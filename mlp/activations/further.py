"""Activations beside the lecture's: leaky_relu, elu, gelu and silu for hidden layers, exponential for outputs that are rates.

Those with a parameter are called by their name with it, "elu:0.5", which is what files and command lines say.
"""

import math

import numpy as np

from mlp.activations.base import Activation
from mlp.blas import Array
from mlp.checks import check_number


def _scale_negative(Delta: Array, Z: Array, factor: float, spare: Array) -> None:
    """Δ ← Δ ⊙ (1 where z > 0, else that factor)."""
    if factor <= 1:
        np.greater(Z, 0, out=spare)
        Delta *= np.maximum(spare, factor, out=spare)
    else:
        np.less_equal(Z, 0, out=spare)
        spare *= factor
        Delta *= np.maximum(spare, 1, out=spare)


class LeakyReLU(Activation):
    """σ(z) = max(z, s z) with a slope s from 0 to 1, so that no unit is ever dead; σ′(z) = 1 where z > 0, else s.

    (Maas, Hannun and Ng 2013, "Rectifier nonlinearities improve neural network acoustic models", with s = 0.01; at 0 the
    derivative is taken as s, as ReLU's is as 0.)
    """

    name = "leaky_relu"
    parameters = ("slope",)
    keeps_z = True
    curved = False

    def __init__(self, slope: float = 0.01):
        self._slope = check_number("slope", slope, at_least=0, at_most=1)
        self.name = f"{self.name}:{self._slope!r}"

    @property
    def slope(self) -> float:
        return self._slope

    def value(self, Z: Array, out: Array) -> None:
        np.multiply(Z, self.slope, out=out)
        np.maximum(Z, out, out=out)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        _scale_negative(Delta, Z, self.slope, spare)


class ELU(Activation):
    """The exponential linear unit: σ(z) = z where z > 0, else α (eᶻ − 1); σ′(z) = 1 or α eᶻ; α is above 0.

    (Clevert, Unterthiner and Hochreiter 2016, "Fast and accurate deep network learning by exponential linear units", eq. 15,
    with α = 1. Only then is σ′ continuous; at 0 it is taken as α.)
    """

    name = "elu"
    parameters = ("alpha",)
    keeps_z = True

    def __init__(self, alpha: float = 1.0):
        self._alpha = check_number("alpha", alpha, at_least=1e-30, at_most=1e30)
        self.name = f"{self.name}:{self._alpha!r}"

    @property
    def alpha(self) -> float:
        return self._alpha

    def value(self, Z: Array, out: Array) -> None:
        np.minimum(Z, 0, out=out)
        np.expm1(out, out=out)
        out *= self.alpha
        if self.alpha <= 1:
            np.maximum(Z, out, out=out)  # α (eᶻ − 1) ≥ eᶻ − 1 ≥ z for z ≤ 0
        else:
            np.copyto(out, Z, where=Z > 0)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        np.minimum(Z, 0, out=spare)
        Delta *= np.exp(spare, out=spare)
        _scale_negative(Delta, Z, self.alpha, spare)

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        """σ″ = α eᶻ where z ≤ 0, else 0."""
        self.backward(E, Z, A, spare)
        E *= np.less_equal(Z, 0, out=spare)


class GELU(Activation):
    """The Gaussian error linear unit: σ(z) = z Φ(z), with Φ(z) = (1 + erf(z/√2))/2 the normal distribution's; σ′ = Φ + z φ.

    (Hendrycks and Gimpel 2016, "Gaussian error linear units".) This is the exact one, by erf, as `torch.nn.GELU()` has it. The
    approximation with tanh (GPT-2's, `approximate="tanh"`) is another function, off by up to 4.7e-4, so that weights trained
    with one give slightly different outputs with the other.
    """

    name = "gelu"
    keeps_z = True

    def value(self, Z: Array, out: Array) -> None:
        from scipy.special import ndtr  # imported where it is used: importing mlp shall be quick

        ndtr(Z, out=out)
        out *= Z

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        from scipy.special import ndtr

        slope = ndtr(Z)  # two things are added up here, so that this takes memory of its own
        slope += np.multiply(_normal_density(Z, spare), np.clip(Z, -_FAR, _FAR), out=spare)
        Delta *= slope

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        """σ″ = φ(z) (2 − z²)."""
        E *= _normal_density(Z, spare)
        np.clip(Z, -_FAR, _FAR, out=spare)
        np.square(spare, out=spare)
        E *= np.subtract(2, spare, out=spare)


#: Beyond it, the normal density is 0 in float64 too, and squares of what is within are finite.
_FAR = 64.0


def _normal_density(Z: Array, out: Array) -> Array:
    """out ← φ(z) = exp(−z²/2)/√(2π)."""
    np.clip(Z, -_FAR, _FAR, out=out)
    np.square(out, out=out)
    out *= -0.5
    np.exp(out, out=out)
    return np.multiply(out, 1 / math.sqrt(2 * math.pi), out=out)


class SiLU(Activation):
    """The sigmoid linear unit, or swish: σ(z) = z s(z), with the logistic s(z) = 1/(1 + e^−z); σ′ = s (1 + z − a).

    (Elfwing, Uchibe and Doya 2018, "Sigmoid-weighted linear units", eq. 4; as swish, Ramachandran, Zoph and Le 2017.)
    """

    name = "silu"
    keeps_z = True

    def value(self, Z: Array, out: Array) -> None:
        np.multiply(Z, _logistic(Z, out), out=out)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        Delta *= _logistic(Z, spare)
        np.subtract(Z, A, out=spare)
        Delta *= np.add(spare, 1, out=spare)

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        """σ″ = s (1 − s) (2 + z − 2a)."""
        E *= _logistic(Z, spare)
        E *= np.subtract(1, spare, out=spare)
        np.multiply(A, -2, out=spare)
        spare += Z
        E *= np.add(spare, 2, out=spare)


def _logistic(Z: Array, out: Array) -> Array:
    """out ← 1/(1 + e^−z), to its own precision where it is small: z s(z) would show what (1 + tanh(z/2))/2 loses."""
    with np.errstate(over="ignore"):  # 1/∞ is the 0 that is meant
        np.exp(np.negative(Z, out=out), out=out)
    out += 1
    return np.reciprocal(out, out=out)


class Exponential(Activation):
    """σ(z) = σ′(z) = σ″(z) = eᶻ: for outputs that are rates, above 0, with the cost "poisson", whose log link undoes it."""

    name = "exponential"

    def value(self, Z: Array, out: Array) -> None:
        np.exp(Z, out=out)

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        Delta *= A

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        E *= A
