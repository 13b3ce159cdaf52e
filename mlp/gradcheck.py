"""`check_gradient`: a gradient against central differences of the cost, with the worst component named.

D(h) = (f(θ + he) − f(θ − he)) / 2h is off by h²f‴/6 and by rounding, ε|f|/h. Of two such differences, (4D(h) − D(2h))/3
is off by order h⁴ only, so that h can be large enough for rounding not to matter (Abramowitz and Stegun, 25.3.21).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer, check_number


@dataclass(frozen=True)
class GradientCheck:
    """What `check_gradient` found. It is true (`if check: …`) where every component agrees."""

    passed: bool
    worst_error: float
    worst_component: str
    analytic: float
    numerical: float
    components: int
    tolerance: float

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        verdict = "agrees with" if self.passed else "DIFFERS from"
        return (
            f"the gradient {verdict} central differences at {self.components:,} components: worst relative error "
            f"{self.worst_error:.1e} (allowed {self.tolerance:.0e}) at {self.worst_component}, "
            f"analytic {self.analytic:.12g}, numerical {self.numerical:.12g}"
        )


def check_gradient(
    objective: Callable[[Array], tuple[float, Array]],
    theta: Array,
    *,
    sample: int | None = None,
    directions: int = 0,
    step: float = 1e-4,
    tolerance: float = 1e-7,
    seed: int | np.random.Generator = 0,
) -> GradientCheck:
    """Compare the gradient of an objective at θ with central differences of its cost.

    An objective that can change its arithmetic (`astype`) is checked in float64 whatever its dtype: the equations are the
    same. The relative error of a component is |analytic − numerical| / max(|analytic|, |numerical|, 1e-3 · the largest
    component): a component that is tiny beside the others is held to the precision that their common cost has.

    Args:
        objective: a function of θ that returns (cost, gradient).
        theta: where to check, (P,).
        sample: how many components to check, drawn at random; None: all of them. Each costs four evaluations, and up to
            twelve where it disagrees.
        directions: how many random directions to check as well, each through all components at once: for networks too
            large to go through one by one (then with sample=0).
        step: h, relative to max(1, |θₖ|); where the two disagree, a tenth and a hundredth of it are tried too.
        tolerance: the worst relative error allowed.
        seed: of the sample and the directions.

    Returns:
        A `GradientCheck`, true where the gradient passes; printing it names the worst component by layer and index.
    """
    if getattr(objective, "noisy", False):
        raise ValueError(
            "objective: has distortions or dropout, which a call without noise leaves out: check objective.with_noise(0)"
        )
    check_number("step", step, above=0)
    check_number("tolerance", tolerance, above=0)
    check_integer("directions", directions, at_least=0)
    theta = np.array(theta, np.float64)
    if sample is not None:
        sample = min(check_integer("sample", sample, at_least=0), theta.size)
    if sample == 0 and directions == 0:
        raise ValueError("sample: received 0 with directions=0, but at least one component or direction is needed")
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(check_integer("seed", seed, at_least=0))
    function: Any = objective.astype(np.float64) if hasattr(objective, "astype") else objective
    gradient = np.asarray(function(theta)[1], np.float64)
    if gradient.shape != theta.shape:
        raise ValueError(f"objective: returned a gradient of shape {gradient.shape}, but theta has shape {theta.shape}")

    # A component below a thousandth of the largest is no better known than their common cost allows
    floor = 1e-3 * float(np.abs(gradient).max())
    name_of = getattr(function, "name_of", lambda k: f"theta[{k}]")
    worst: tuple[float, str, float, float] = (-1.0, "", 0.0, 0.0)
    for name, direction in _directions(rng, theta.size, sample, directions, name_of):
        analytic = float(gradient @ direction) if isinstance(direction, np.ndarray) else float(gradient[direction])
        error, numerical = _disagreement(function, theta, direction, analytic, floor, step, tolerance)
        if error > worst[0]:
            worst = error, name, analytic, numerical
    error, name, analytic, numerical = worst
    checked = (theta.size if sample is None else sample) + directions
    return GradientCheck(error <= tolerance, error, name, analytic, numerical, checked, tolerance)


def _directions(
    rng: np.random.Generator, size: int, sample: int | None, directions: int, name_of: Callable[[int], str]
) -> Iterator[tuple[str, int | Array]]:
    """What to differentiate along: the chosen components, by their number, and unit vectors through all of them."""
    for k in range(size) if sample is None else rng.choice(size, sample, replace=False):
        yield name_of(int(k)), int(k)
    for number in range(directions):
        direction = rng.standard_normal(size)
        yield f"random direction {number}", direction / np.linalg.norm(direction)


def _disagreement(
    function: Any, theta: Array, direction: int | Array, analytic: float, floor: float, step: float, tolerance: float
) -> tuple[float, float]:
    """The relative error against the central difference, and that difference, at the first step where they agree.

    A right gradient agrees unless the step reaches across a kink (of ReLU), and then a smaller one will do; a wrong
    gradient agrees at none.
    """
    best = math.inf, math.nan
    with np.errstate(over="ignore"):
        extent = np.linalg.norm(theta) if isinstance(direction, np.ndarray) else abs(theta[direction])
    for shrink in (1.0, 0.1, 0.01):
        numerical = _central_difference(function, theta, direction, shrink * step * max(1.0, float(extent)))
        scale = max(abs(analytic), abs(numerical), floor)
        error = abs(analytic - numerical) / scale if scale else 0.0
        if not math.isfinite(error):
            error = math.inf
        if error <= best[0]:
            best = error, numerical
        if error <= tolerance / 10:
            break
    return best


def _central_difference(function: Any, theta: Array, direction: int | Array, h: float) -> float:
    """The derivative along a direction, from two central differences whose errors of order h² cancel."""

    def cost(distance: float) -> float:
        moved = theta.copy()
        if isinstance(direction, np.ndarray):
            moved += distance * direction
        else:
            moved[direction] += distance
        return float(function(moved)[0])

    return (8 * (cost(h) - cost(-h)) - (cost(2 * h) - cost(-2 * h))) / (12 * h)
