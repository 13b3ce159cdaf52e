"""`Dropout`: a layer that lets some of its inputs through and drops the others (Srivastava et al. 2014, inverted).

Its mask M is 0 with probability p and 1/(1 − p) otherwise, so that the mean of what comes through stays what it was:

    Z = A ⊙ M,    and the error comes back through the same mask,    Δ ⊙ M

It stands before a layer of the network only while that is trained with dropout (objective.py puts it there).
"""

from typing import Any, ClassVar, Self

import numpy as np

from mlp.blas import Array
from mlp.checks import check_number, is_sequence, shown
from mlp.layers.base import Layer
from mlp.noise import draw_16_bits


class Dropout(Layer):
    """Drops each of `fan_in` inputs with a probability of `rate`, to a 65,536th; each example's mask is drawn anew."""

    inserted: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    def __init__(self, fan_in: int, rate: float):
        self.fan_in = self.units = fan_in
        self.rate = rate

    def scratch(self, n: int, dtype: Any) -> "Mask":
        return Mask(self.units, n, dtype)

    def draw(self, scratch: "Mask", rng: np.random.Generator) -> None:
        """A mask of 0 and 1/(1 − p)."""
        dropped = min(round(65536 * self.rate), 65535)  # of 65,536
        np.greater_equal(draw_16_bits(scratch.drawn.shape, rng), dropped, out=scratch.drawn)  # 0 or 1
        scratch.drawn *= 65536 / (65536 - dropped)

    def forward(self, A: Array, out: Array, scratch: "Mask") -> None:
        scratch.lie_as(A)
        np.multiply(A, scratch.M, out=out)

    def propagate(self, Delta: Array, out: Array, scratch: "Mask") -> None:
        np.multiply(Delta, scratch.M, out=out)

    def linearised(self) -> Self:
        """The layer itself: the mask doesn't depend on θ."""
        return self


class Mask:
    """M (units, n), in the order in memory of what it masks: numbers are drawn one after the other as they lie."""

    def __init__(self, units: int, n: int, dtype: Any):
        self.drawn = np.ones(units * n, dtype)
        self.M = self.drawn.reshape(units, n)

    def lie_as(self, A: Array) -> None:
        """Let M be a view in A's order: of an input's values, those of one example lie together (A⁰ is a transpose)."""
        self.M = self.drawn.reshape(A.shape) if A.flags.c_contiguous else self.drawn.reshape(A.T.shape).T


def check_dropout(given: Any, layers: int) -> tuple[float, ...] | None:
    """Dropout rates, one for each layer; None where nothing is dropped."""
    if not is_sequence(given):
        raise TypeError(f"dropout: received {shown(given)}, but it must be {layers} probabilities, one for each layer's input")
    if len(given) != layers:
        raise ValueError(
            f"dropout: received {len(given)} probabilities, but it must be {layers}, one for each layer's input, the "
            "network's own first"
        )
    rates = tuple(check_number(f"dropout[{l}]", rate, at_least=0, below=1) for l, rate in enumerate(given))
    return rates if any(rates) else None
