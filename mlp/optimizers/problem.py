"""`Problem`, what the minimisers ask of an objective, and `as_problem`, which makes one of a plain function.

`mlp.Objective` is a `Problem` as it stands. Any other callable, theta -> (cost, gradient), or with len() also
(theta, rows) -> (cost, gradient), is put behind the same interface here, and nothing else asks what it can do.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mlp.blas import Array, scale
from mlp.checks import shown


@runtime_checkable
class Problem(Protocol):
    """An objective as the minimisers use it."""

    @property
    def dtype(self) -> Any:
        """The dtype of its arithmetic, which θ is converted to; None: any."""

    @property
    def noisy(self) -> bool:
        """Whether steps are to hand over noise of their own."""

    @property
    def max_norm(self) -> float | None:
        """What `constrain` sees to, or None."""

    def __len__(self) -> int:
        """How many examples there are."""

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """The cost and its gradient (P,), over all examples."""

    def accumulate(self, theta: Array, rows: Any, out: Array, alpha: float, beta: float, noise: Any) -> float:
        """out ← β out + α ∂C/∂θ over the rows (None: all); returns the cost without the penalty. out may be theta itself."""

    def penalty(self, theta: Array) -> float:
        """What the cost has besides the mean over examples."""

    def constrain(self, theta: Array) -> None:
        """Put θ back, in place, to where it may be."""

    def fingerprint(self) -> str:
        """A digest of what decides the cost; empty where it is not known."""


class PlainFunction:
    """A function (cost, gradient) as a `Problem`."""

    dtype: Any = None
    noisy = False
    max_norm: float | None = None

    def __init__(self, function: Callable[..., tuple[float, Array]]):
        self.function = function

    def __len__(self) -> int:
        return len(self.function)  # type: ignore[arg-type]

    def __call__(self, theta: Array) -> tuple[float, Array]:
        return self._evaluate(theta)

    def _evaluate(self, theta: Array, *rows: Any) -> tuple[float, Array]:
        returned = self.function(theta, *rows)
        try:
            cost, gradient = returned
            evaluation = float(cost), np.asarray(gradient)
        except (TypeError, ValueError):
            evaluation = math.nan, np.empty(0)
        if evaluation[1].shape != theta.shape or evaluation[1].dtype.kind not in "buif":
            raise TypeError(
                f"objective: returned {shown(returned)}, but it must be (cost, gradient), the gradient {theta.shape}"
            )
        return evaluation

    def accumulate(self, theta: Array, rows: Any, out: Array, alpha: float, beta: float, noise: Any) -> float:
        cost, gradient = self._evaluate(theta) if rows is None else self._evaluate(theta, rows)
        scale(beta, out)
        out += alpha * gradient
        return cost

    def penalty(self, theta: Array) -> float:
        return 0.0

    def constrain(self, theta: Array) -> None:
        pass

    def fingerprint(self) -> str:
        return ""


def as_problem(objective: Any) -> Problem:
    """The objective, or the function, as a `Problem`."""
    if not callable(objective):
        raise TypeError(f"objective: received {shown(objective)}, but it must be callable: theta -> (cost, gradient)")
    return objective if isinstance(objective, Problem) else PlainFunction(objective)


def count_examples(problem: Problem, batch_size: int | None) -> int:
    """How many examples batches range over; 1 for a plain function without a length, in full batches."""
    try:
        examples = len(problem)
    except TypeError:
        if batch_size is None:
            return 1
        raise ValueError(
            f"batch_size: received {batch_size}, but the objective has no len(), so it is not known over how many "
            "examples batches range; only batch_size=None (full-batch descent) is allowed"
        ) from None
    if examples == 0:
        raise ValueError("objective: received no examples, len() = 0, but at least one is needed")
    return examples


def refuse_steps_only(problem: Problem) -> None:
    """Raise ValueError where the problem has what only steps of sgd and adam do justice to."""
    if problem.noisy:
        raise ValueError(
            "objective: has distortions or dropout, which need fresh draws for every step: use sgd or adam, or hold the draws "
            "with objective.with_noise(0)"
        )
    if problem.max_norm is not None:
        raise ValueError("objective: has a max_norm, which is seen to after every step of sgd and adam only")
