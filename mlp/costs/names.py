"""Costs by name: `COSTS`, `find` and `get`; and checks of targets."""

from typing import Any

import numpy as np

from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import make_call, shown
from mlp.costs.base import Cost
from mlp.costs.custom import Custom, CustomCost
from mlp.costs.matching import LogisticCrossEntropy, Matching, Poisson, SoftmaxCrossEntropy
from mlp.costs.residuals import Absolute, Huber, Quadratic

#: By the names without parameters, which stand for those with the usual ones.
COSTS: dict[str, Cost] = {
    kind.name: kind() for kind in (Quadratic, LogisticCrossEntropy, SoftmaxCrossEntropy, Huber, Absolute, Poisson)
}

#: The cross-entropy of whatever output there is.
CROSS_ENTROPY = "cross_entropy"

#: What other libraries call them: an error then says what they are called here.
SYNONYMS = {
    "mse": "quadratic",
    "squared_error": "quadratic",
    "mean_squared_error": "quadratic",
    "mae": "absolute",
    "l1": "absolute",
    "absolute_error": "absolute",
    "smooth_l1": "huber",
    "poisson_nll": "poisson",
}


def find(name: Any, argument: str = "cost") -> Cost:
    """The cost of that name: "huber", or "huber:1.5"."""
    found: Cost = make_call(argument, name, COSTS, SYNONYMS)
    return found


def get(cost: Any, output: Activation) -> Cost:
    """The cost of that name for that output activation, or the user's own object made ready.

    None is the output's natural cost, and "cross_entropy" the output's own cross-entropy.
    """
    if cost is None:
        return next((c for c in COSTS.values() if isinstance(c, Matching) and c.goes_with(output)), Quadratic())
    if isinstance(cost, str):
        if cost == CROSS_ENTROPY and output.name in ("logistic", "softmax"):
            cost = f"{output.name}_cross_entropy"
        elif cost == CROSS_ENTROPY:
            raise ValueError(
                f"cost: received 'cross_entropy' with a network whose output is {output.name!r}, but it goes only with "
                "'logistic' and 'softmax' outputs; quadratic goes with every output"
            )
        chosen = find(cost)
    elif isinstance(cost, Cost):
        chosen = cost
    elif isinstance(cost, CustomCost) and not isinstance(cost, type):
        chosen = Custom(cost)
    else:
        raise TypeError(
            f"cost: received {shown(cost)}, but it must be None, one of {', '.join(COSTS)}, "
            "or an object with value(A, Y) and gradient(A, Y)"
        )
    if not chosen.goes_with(output):
        raise ValueError(
            f"cost: received {chosen.name!r} with a network whose output is {output.name!r}, but it goes only with "
            f"{(chosen.output or 'other')!r} outputs; quadratic goes with every output"
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
