"""`check_gradient`: a gradient against central differences of the cost, with the worst component named.

Read `check_gradient` first, then `_compare` (judges one component), `_difference` (one derivative by differences) and
`_compare_by_parts` (on which examples, where there are many).

D(h) = (f(θ + he) − f(θ − he)) / 2h is off by h²f‴/6 and by rounding, about ε|f|/h. Of D(h), D(h/2) and D(h/4),
(D(h) − 20 D(h/2) + 64 D(h/4)) / 45 is off by order h⁶ only, so that h can be large enough for rounding not to matter
(Richardson's extrapolation; Ridders 1982). What is left when the same seven costs are fitted by a polynomial says how far the
result can be trusted: it is large where a kink (of ReLU), a jump or rounding is in the way.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mlp.blas import Array, dot
from mlp.checks import check_integer, check_number, shown

#: Each step is a quarter of the one before it, from `step` down to `step` / 4⁸.
STEPS = 9
#: How many times its estimated error a derivative must be away from the gradient to be called different.
CAUTION = 30.0
#: Of a function that takes rows, on so many examples a component is checked, and a direction: the fewer, the fewer kinks.
PART, FEW = 512, 64


@dataclass(frozen=True)
class GradientCheck:
    """What `check_gradient` found.

    `passed` is false only where a component differs. The check itself is true (`if check: …`) where it has passed and at
    least one component agrees: a check that could decide nothing shows nothing.

    The worst component is that of the largest relative error among those that differ; where none does, among those that
    agree; where none does either, among all. `undecided` of the `components` checked could not be decided, and `reasons`
    says why, a sentence for each.
    """

    passed: bool
    worst_error: float
    worst_component: str
    analytic: float
    numerical: float
    components: int
    tolerance: float
    undecided: int = 0
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.passed and self.undecided < self.components

    def __str__(self) -> str:
        decided = self.components - self.undecided
        verdict = ("agrees with" if decided else "can't be decided by") if self.passed else "DIFFERS from"
        text = (
            f"the gradient {verdict} central differences at {decided or self.components:,} components: worst relative error "
            f"{self.worst_error:.1e} (allowed {self.tolerance:.0e}) at {self.worst_component}, "
            f"analytic {self.analytic:.12g}, numerical {self.numerical:.12g}"
        )
        if self.undecided:
            first = "; ".join(self.reasons[:3]) + ("; …" if self.undecided > 3 else "")
            text += f"; undecided at {self.undecided:,} of {self.components:,} ({first})"
        return text


def check_gradient(
    objective: Callable[[Array], tuple[float, Array]],
    theta: Array,
    *,
    sample: int | None = None,
    directions: int = 0,
    step: float = 1e-2,
    tolerance: float = 1e-7,
    seed: int | np.random.Generator = 0,
) -> GradientCheck:
    """Compare the gradient of an objective at θ with central differences of its cost.

    An objective that can change its arithmetic (`astype`) is checked in float64 whatever its dtype: the equations are the
    same. The relative error of a component is |analytic − numerical| / max(|analytic|, |numerical|); where a component is
    below a thousandth of the largest and the rounding of their common cost shows, relative to what hides it.

    A component agrees where that is within the tolerance at one of the steps. It differs where, at two steps running, it is
    beyond the tolerance by far more than the error that the differences can have. Otherwise it is undecided: a kink is
    nearer than the smallest useful step, or the cost is too coarse (computed in float32, for one).

    Kinks and rounding grow with the number of examples, and the equations are the same for a few. So of an objective that
    has a length and takes rows, `objective(theta, rows)`, a component is checked on the 512 examples in a row on which
    it is steepest, a direction on a random 64. Whether the gradient over all is the mean of those over parts is seen
    first; where it isn't (a penalty on means, noise, an error), the gradient over all is checked as well, in the direction
    in which the two differ.

    Args:
        objective: a function of θ that returns (cost, gradient).
        theta: where to check, (P,).
        sample: how many components to check, drawn at random; None: all. Each costs four evaluations, and more where smaller
            steps are needed.
        directions: how many random directions to check as well, each through all components at once: for networks too
            large to go through one by one (then with sample=0).
        step: the largest h, relative to max(1, |θₖ|), or max(1, ‖θ‖) for a direction.
        tolerance: the largest relative error allowed.
        seed: of the sample, the directions and their examples.

    Returns:
        A `GradientCheck`, true where the gradient passes; printing it names the worst component by layer and index.

    Raises:
        TypeError: the objective doesn't return a cost and a gradient, or theta isn't a vector of real numbers.
        ValueError: an argument is out of range, or the objective needs noise (see `Objective.with_noise`).
    """
    if not callable(objective):
        raise TypeError(f"objective: received {shown(objective)}, but it must be a function of theta")
    if getattr(objective, "noisy", False):
        wanted = "check objective.with_noise(0)"
        raise ValueError(f"objective: has distortions or dropout, which a call without noise leaves out: {wanted}")
    check_number("step", step, above=0)
    check_number("tolerance", tolerance, above=0)
    check_integer("directions", directions, at_least=0)
    theta = _check_theta(theta)
    if sample is not None:
        sample = min(check_integer("sample", sample, at_least=0), theta.size)
    if sample == 0 and directions == 0:
        raise ValueError("sample: received 0 with directions=0, but at least one component or direction is needed")
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(check_integer("seed", seed, at_least=0))
    function: Any = objective.astype(np.float64) if hasattr(objective, "astype") else objective
    name_of = getattr(function, "name_of", lambda k: f"theta[{k}]")
    paths = list(_draw_paths(rng, theta.size, sample, directions, name_of))
    at = _Point(function, theta, step, tolerance)
    if (examples := _count_examples(function)) > 2 * PART:
        findings = _compare_by_parts(at, paths, examples, rng)
    else:
        gradient = at.gradient()
        findings = [_compare(at, path, gradient) for path in paths]
    return _summarise(findings, tolerance)


def _check_theta(theta: Any) -> Array:
    """θ as a float64 vector of its own."""
    allowed = "but it must be a vector of finite real numbers, (P,)"
    try:
        given = np.asarray(theta)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"theta: received {shown(theta)}, {allowed}") from error
    if given.dtype.kind not in "iuf":  # an integer beyond 64 bits is an object to numpy
        raise TypeError(f"theta: received {shown(theta) if given.dtype.kind == 'O' else f'dtype {given.dtype}'}, {allowed}")
    if given.ndim != 1 or given.size == 0 or not np.isfinite(given).all():
        fault = "values that are not finite" if given.ndim == 1 and given.size else f"shape {given.shape}"
        raise ValueError(f"theta: received {fault}, {allowed}")
    return given.astype(np.float64)


class _Path(NamedTuple):
    """A line through θ to differentiate along: where θ changes on it, one component or all, and the unit vector there."""

    name: str
    where: slice
    direction: Array

    def slope(self, gradient: Array) -> float:
        """The derivative along the path that a gradient claims."""
        return dot(gradient[self.where], self.direction)

    def norm(self, vector: Array) -> float:
        """‖vector‖ where θ changes."""
        return math.sqrt(dot(vector[self.where], vector[self.where]))


def _draw_paths(
    rng: np.random.Generator, size: int, sample: int | None, directions: int, name_of: Callable[[int], str]
) -> Iterator[_Path]:
    """The chosen components, and random directions."""
    for k in range(size) if sample is None else rng.choice(size, sample, replace=False).tolist():
        yield _Path(name_of(k), slice(k, k + 1), np.ones(1))
    for number in range(directions):
        direction = rng.standard_normal(size)
        yield _Path(f"random direction {number}", slice(None), direction / math.sqrt(dot(direction, direction)))


@dataclass
class _Point:
    """The function to check, and where and how."""

    function: Any
    theta: Array
    step: float
    tolerance: float

    def gradient(self, rows: Any = None) -> Array:
        """The gradient at θ, if a cost and a gradient are what the function returns."""
        found = self.function(self.theta) if rows is None else self.function(self.theta, rows)
        if not isinstance(found, tuple | list) or len(found) != 2:
            received = f"an array of shape {found.shape}" if isinstance(found, np.ndarray) else shown(found)
            raise TypeError(f"objective: returned {received}, but it must return two things, (cost, gradient)")
        try:
            cost, gradient = (np.asarray(part).astype(np.float64, casting="same_kind") for part in found)
        except (TypeError, ValueError) as error:
            raise TypeError(f"objective: returned {shown(found)}, but cost and gradient must be of real numbers") from error
        if cost.size != 1:
            raise TypeError(f"objective: returned a cost of shape {cost.shape}, but it must be one number")
        if gradient.shape != self.theta.shape:
            raise ValueError(
                f"objective: returned a gradient of shape {gradient.shape}, but theta has shape {self.theta.shape}"
            )
        return gradient

    def cost_along(self, path: _Path, rows: Any) -> Callable[[float], float]:
        """The cost as a function of the distance from θ along a path; each is computed once."""

        def cost(distance: float) -> float:
            moved = self.theta.copy()
            moved[path.where] += distance * path.direction
            return float(np.asarray((self.function(moved) if rows is None else self.function(moved, rows))[0]).item())

        return functools.cache(cost)


class _Difference(NamedTuple):
    """A derivative by differences, and how far it can be trusted."""

    derivative: float
    scatter: float  # how far the costs are from a smooth curve, as an error of the derivative
    rounding: float  # what the rounding of the costs does to it
    doubt: float  # how wrong the derivative may be, to be on the safe side
    flat: bool  # whether all costs are the same


def _difference(cost: Callable[[float], float], h: float, rounding: float) -> _Difference:
    """The derivative at 0 of a cost along a path, from its values at 0, ±h/4, ±h/2 and ±h.

    Odd and even parts of a smooth curve are c₁h + c₃h³ + … and c₂h² + c₄h⁴ + …; the sums below leave nothing of these terms.
    A kink at a distance t changes both by its jump in slope times h − t, and is seen in one at least. The factors
    turn what is left into the error that a kink or rounding of that size causes in the derivative.
    """
    middle = cost(0.0)
    ahead, behind = [np.array([cost(sign * h / part) for part in (1, 2, 4)]) for sign in (1, -1)]
    with np.errstate(all="ignore"):
        odd = (ahead - behind) / 2
        even = (ahead - middle) + (behind - middle)
        derivative = float(odd @ [1, -40, 256]) / (45 * h)
        scatter = max(0.3 * abs(float(odd @ [1, -10, 16])), 0.07 * abs(float(even @ [1, -20, 64]))) / h
    flat = bool(np.all(ahead == middle) and np.all(behind == middle))
    return _Difference(derivative, scatter, rounding, CAUTION * (scatter + rounding), flat)


class _Finding(NamedTuple):
    """What a comparison came to: "agrees", "differs" or "undecided", and why that."""

    error: float
    name: str
    analytic: float
    numerical: float
    verdict: str
    reason: str = ""


def _compare(at: _Point, path: _Path, gradient: Array, rows: Any = None) -> _Finding:
    """Judge the gradient's derivative along a path by differences at smaller and smaller steps."""
    analytic = path.slope(gradient)
    if not math.isfinite(analytic):
        return _Finding(math.inf, path.name, analytic, math.nan, "differs")
    with np.errstate(all="ignore"):
        floor = 1e-3 * float(np.abs(gradient[np.isfinite(gradient)]).max())
        size = path.norm(at.theta * gradient)  # how much the rounding of θ itself matters
        single = gradient.any() and np.array_equal(gradient, gradient.astype(np.float32))  # arithmetic in float32
    precision = float(np.finfo("float32" if single else "float64").eps)
    cost = at.cost_along(path, rows)

    def error(numerical: float, least: float) -> float:
        scale = max(abs(analytic), abs(numerical), least)
        return abs(analytic - numerical) / scale if scale else 0.0

    best, last, suspected = None, None, False
    for number in range(STEPS):
        h = at.step * max(1.0, path.norm(at.theta)) * 0.25**number
        rounding = 8 * precision * (abs(cost(h / 4)) + size) / h
        # (4 D(h/4) − D(h/2)) / 3, off by order h⁴, will do for most
        numerical = (8 * (cost(h / 4) - cost(-h / 4)) - (cost(h / 2) - cost(-h / 2))) / (3 * h)
        least = min(floor, rounding / at.tolerance)
        if error(numerical, least) <= at.tolerance:
            return _Finding(error(numerical, least), path.name, analytic, numerical, "agrees")
        found = _difference(cost, h, rounding)
        if not math.isfinite(found.derivative + found.doubt):
            continue
        # that costs a hundred times further away differ shows that the step is too small for the cost to notice
        unnoticed = found.flat and (not last.flat if last else not cost(100 * h) == cost(-100 * h) == cost(0.0))
        last, best = found, found if best is None or (found.doubt < best.doubt and not unnoticed) else best
        numerical = found.derivative
        off = abs(analytic - numerical) > found.doubt + at.tolerance * max(abs(analytic), abs(numerical), least)
        if off and suspected and not unnoticed:
            return _Finding(error(best.derivative, 0.0), path.name, analytic, best.derivative, "differs")
        suspected = off
        if unnoticed or (not off and CAUTION * found.rounding > best.doubt):
            break  # rounding will be more at smaller steps
    if best is None or last is None:
        return _Finding(math.inf, path.name, analytic, math.nan, "undecided", "the cost is not finite around theta")
    # rounding matters the more the smaller the steps get, a kink does not
    if best.rounding >= best.scatter or last.flat or last.scatter > 2 * best.scatter:
        reason = f"the cost is too coarse: its rounding, or a jump, hides what is below {best.doubt:.0e} in the derivative"
    else:
        reason = f"a kink lies within the smallest useful step, {h:.0e}"
    return _Finding(error(best.derivative, 0.0), path.name, analytic, best.derivative, "undecided", reason)


def _summarise(findings: list[_Finding], tolerance: float) -> GradientCheck:
    """The findings as one result."""
    verdicts = "differs", "agrees", "undecided"
    differs, agrees, undecided = ([each for each in findings if each.verdict == verdict] for verdict in verdicts)
    worst = max(differs or agrees or undecided, key=lambda each: each.error)
    reasons = tuple(f"{each.name}: {each.reason}" for each in undecided)
    return GradientCheck(not differs, *worst[:4], len(findings), tolerance, len(undecided), reasons)


def _count_examples(function: Any) -> int:
    """How many examples the function has and can be restricted to rows of; 0 where it can't."""
    try:
        return len(function) if "rows" in inspect.signature(function).parameters and hasattr(function, "__len__") else 0
    except (TypeError, ValueError):  # a function that doesn't say what it takes
        return 0


def _compare_by_parts(at: _Point, paths: list[_Path], examples: int, rng: np.random.Generator) -> list[_Finding]:
    """Each component on the part of the examples in which it is steepest, each direction on a random part, and the gradient
    over all examples where it is not the mean of those over the parts."""
    gradient = at.gradient()
    mean, largest = np.zeros_like(gradient), 0.0
    steepest = [-1.0] * len(paths)
    chosen = [np.sort(rng.choice(examples, FEW, replace=False))] * len(paths)
    with np.errstate(all="ignore"):
        for start in range(0, examples, PART):
            rows = np.arange(start, min(start + PART, examples))
            part = at.gradient(rows)
            mean += part * (len(rows) / examples)
            largest = max(largest, float(part.max()), float(-part.min()))
            for number, path in enumerate(paths):
                if len(path.direction) < len(gradient):
                    slope = float(np.nan_to_num(abs(path.slope(part)), nan=math.inf))
                    if slope > steepest[number]:
                        steepest[number], chosen[number] = slope, rows
        off = gradient - mean
        scale = np.maximum(np.abs(gradient), 1e-3 * np.abs(gradient).max())
        whole = bool(np.all(np.abs(off) <= at.tolerance * scale + 1e-12 * largest))
        off /= math.sqrt(dot(off, off)) or 1.0
    findings = [_compare(at, path, at.gradient(rows), rows) for path, rows in zip(paths, chosen, strict=True)]
    if not whole:
        findings.append(_compare(at, _Path(f"all {examples:,} examples together", slice(None), off), gradient))
    return findings
