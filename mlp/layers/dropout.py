"""`Dropout`: a layer that lets some of its inputs through and drops the others (Srivastava et al. 2014, inverted).

Its mask M is 0 with probability p and 1/(1 − p) otherwise, so that the mean of what comes through stays what it was:

    Z = A ⊙ M,    and the error comes back through the same mask,    Δ ⊙ M

It stands before a layer of the network only while that is trained with dropout (objective.py puts it there).
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from mlp.blas import Array
from mlp.checks import check_number, shown
from mlp.layers.base import Layer
from mlp.noise import draw_16_bits


class Dropout(Layer):
    """Drops each of `fan_in` inputs with a probability of `rate`, to a 65,536th; each example's mask is drawn anew."""

    inserted: ClassVar[bool] = True

    def __init__(self, fan_in: int, rate: float):
        self.fan_in = self.units = fan_in
        self.rate = rate

    def scratch(self, n: int, dtype: Any) -> Array:
        """M, a vector of n · units, which lies in memory as what it masks does."""
        return np.ones(n * self.units, dtype)

    def draw(self, M: Array, rng: np.random.Generator) -> None:
        """A mask of 0 and 1/(1 − p)."""
        dropped = min(round(65536 * self.rate), 65535)  # of 65,536
        np.greater_equal(draw_16_bits(M.shape, rng), dropped, out=M)  # 0 or 1
        M *= 65536 / (65536 - dropped)

    def forward(self, A: Array, out: Array, scratch: Array) -> None:
        np.multiply(A, _laid_out_as(A, scratch), out=out)

    def propagate(self, Delta: Array, out: Array, scratch: Array) -> None:
        np.multiply(Delta, _laid_out_as(out, scratch), out=out)

    def linearised(self) -> Self:
        """The layer itself: the mask doesn't depend on θ."""
        return self


def _laid_out_as(A: Array, M: Array) -> Array:
    """The mask as a matrix of A's shape and order in memory."""
    return M.reshape(A.shape) if A.flags.c_contiguous else M.reshape(A.T.shape).T


def check_dropout(given: Any, layers: int) -> tuple[float, ...] | None:
    """Dropout rates, one for each layer; None where nothing is dropped."""
    if not isinstance(given, Sequence | np.ndarray) or isinstance(given, str):
        raise TypeError(f"dropout: received {shown(given)}, but it must be {layers} probabilities, one for each layer's input")
    if len(given) != layers:
        raise ValueError(
            f"dropout: received {len(given)} probabilities, but it must be {layers}, one for each layer's input, the "
            "network's own first"
        )
    rates = tuple(check_number(f"dropout[{l}]", rate, at_least=0, below=1) for l, rate in enumerate(given))
    return rates if any(rates) else None
