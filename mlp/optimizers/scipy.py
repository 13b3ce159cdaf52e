"""What SciPy hands to a method of `scipy.optimize.minimize`, taken apart; and the checks of θ and of options.

`scipy.optimize.minimize(objective, theta, jac=True, method=mlp.sgd, options={…})` wraps the objective in an object that
remembers its gradient; the original is that object's `fun`. It passes x0 itself, which SciPy's methods never change, so
that a copy is updated.
"""

import difflib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import DTYPES, check_parameters, shown
from mlp.optimizers.problem import Problem, as_problem

_ARGUMENTS = ("args", "jac", "hess", "hessp", "bounds", "constraints")


def unwrap(minimiser: Callable[..., Any], objective: Any, theta: Any, scipy: dict[str, Any]) -> tuple[Problem, Array]:
    """The objective and the vector to update, however they were handed over."""
    for name in scipy:
        if name not in _ARGUMENTS:
            raise TypeError(f"received the unknown argument {name!r}{_closest(name, minimiser)}")
    for name in ("args", "hess", "hessp", "bounds", "constraints"):
        if scipy.get(name) is not None and (not isinstance(scipy[name], tuple) or scipy[name]):
            raise ValueError(f"{name}: received {shown(scipy[name])}, but this method takes none")
    if "jac" in scipy:  # called by SciPy
        jac = scipy["jac"]
        theta = np.array(theta)
        if getattr(jac, "__self__", None) is objective and hasattr(objective, "fun"):
            objective = getattr(objective, "fun")  # noqa: B009
        elif jac is not True:
            raise ValueError(
                f"jac: received {shown(jac)}, but this method needs jac=True, with an objective that returns (cost, gradient)"
            )
    return as_problem(objective), check_start(theta)


def check_start(theta: Any) -> Array:
    """θ, if it can be updated in place."""
    allowed = "it must be a vector (P,) of float32 or float64, which is updated in place"
    if not isinstance(theta, np.ndarray) or theta.dtype.name not in DTYPES:
        raise TypeError(f"theta: received {shown(theta)}, but {allowed}")
    check_parameters("theta", theta)
    if not theta.dtype.isnative:
        raise TypeError(f"theta: received {theta.dtype.str}, of the other byte order, but {allowed}, in this machine's order")
    if not theta.flags.writeable:
        raise ValueError(f"theta: received the read-only {shown(theta)}, but it must be writeable: it is updated in place")
    if not np.isfinite(theta).all():
        raise ValueError(f"theta: received {theta[~np.isfinite(theta)][0]}, but every parameter must be finite")
    return theta


def _closest(name: str, minimiser: Callable[..., Any]) -> str:
    known = [p for p in inspect.signature(minimiser).parameters if p not in ("objective", "theta", "scipy")]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f", but it must be one of {', '.join(known)}" + (f"; did you mean {close[0]!r}?" if close else "")
