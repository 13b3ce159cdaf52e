"""`lbfgs`: SciPy's L-BFGS-B, with the history, the stopping rules and the honesty of the other minimisers."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from mlp.blas import Array, dot
from mlp.checks import check_callable, check_integer, check_number
from mlp.optimizers.descent import EachStep
from mlp.optimizers.monitor import CONVERGED, DIVERGED, LIMIT, Best, Callback, Diverged, Monitor, Stop, call_back, count
from mlp.optimizers.problem import Problem, refuse_steps_only
from mlp.optimizers.scipy import unwrap
from mlp.optimizers.state import State, check_state, read_facts


@dataclass
class Position:
    """Where a run of L-BFGS stands, besides θ and its history."""

    evaluations: int = 0


class Evaluated:
    """A problem that counts its evaluations, remembers the best and refuses to go on from what isn't finite."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.count = 0
        self.gradient_norm = math.nan
        self.best = Best()

    def __call__(self, theta: Array) -> tuple[float, Array]:
        cost, gradient = self.problem(theta)
        gradient = np.ascontiguousarray(gradient, np.float64)
        self.count += 1
        self.gradient_norm = math.sqrt(dot(gradient, gradient))
        if not math.isfinite(cost) or not math.isfinite(self.gradient_norm):
            raise Diverged(
                f"the cost became {cost:g}, its gradient's norm {self.gradient_norm:g}, in evaluation {self.count:,}"
            )
        self.best.offer(-cost, self.count, theta)
        return cost, gradient


def lbfgs(
    objective: Any,
    theta: Array,
    *,
    maxiter: int = 200,
    memory: int = 10,
    gtol: float = 1e-5,
    ftol: float = 1e-9,
    validation: Any = None,
    patience: int | None = None,
    tol: float | None = None,
    tol_epochs: int = 3,
    callback: Callback | None = None,
    state: State | None = None,
    each_step: EachStep | None = None,
    **scipy: Any,
) -> OptimizeResult:
    """SciPy's L-BFGS-B (Zhu, Byrd, Lu and Nocedal 1997) over all examples; the result is written into θ.

    The minimiser's arithmetic is float64, whatever θ's. Where SciPy would call a cost that turned NaN a success, this
    goes back to the best parameters met, and says that it diverged.

    Args:
        objective: `mlp.Objective`, or any function theta -> (cost, gradient).
        theta: parameters (P,), where to start; the result is written into it.
        maxiter: at most so many iterations, each of one evaluation or a few.
        memory: how many past steps the curvature is estimated from, at most 10,000.
        gtol: stop when no component of the gradient is larger.
        ftol: stop when the cost falls by no more than this, times the cost where that is above 1.
        validation, patience, tol, tol_epochs, callback, state, each_step: as in `sgd`, by iteration.

    Returns:
        `OptimizeResult`, with njev and, where it was SciPy that ended the run at x, its jac and hess_inv. History
        records: iteration, cost, validation_cost and validation_accuracy if there is a validation set, gradient_norm,
        evaluations, seconds.
    """
    check_callable("each_step", each_step)
    problem, given = unwrap(lbfgs, objective, theta, scipy)
    refuse_steps_only(problem)
    check_integer("maxiter", maxiter, at_least=0)
    settings = {
        "maxcor": check_integer("memory", memory, at_least=1, at_most=10_000),
        "gtol": check_number("gtol", gtol, at_least=0),
        "ftol": check_number("ftol", ftol, at_least=0),
    }
    monitor = Monitor("iteration", validation=validation, patience=patience, tol=tol, tol_epochs=tol_epochs, callback=callback)
    evaluated = Evaluated(problem)
    theta = given.astype(np.float64)
    if state is not None:
        facts = check_state(state, "lbfgs", {"theta": theta}, settings, problem.fingerprint())
        evaluated.count = read_facts(Position, facts).evaluations
        theta[...] = state.arrays["theta"]
        monitor.restore(facts, state.arrays)

    def snapshot() -> State:
        facts = {**asdict(Position(evaluated.count)), "settings": settings, "fingerprint": problem.fingerprint()}
        return monitor.state("lbfgs", {"theta": theta}, facts)

    def record(intermediate_result: OptimizeResult) -> None:
        theta[...] = intermediate_result.x  # SciPy's own is one live buffer
        facts = {"gradient_norm": evaluated.gradient_norm, "evaluations": evaluated.count}
        monitor.record(theta, float(intermediate_result.fun), snapshot, **facts)
        if each_step is not None:
            call_back(each_step, snapshot)

    ended: dict[str, Any] = {}
    try:
        found = _minimize(evaluated, theta, maxiter, monitor, record, settings)
        theta[...] = found.x
        message, status = found.message, found.status
        if not monitor.restores_best or monitor.best.number == len(monitor.history):  # x will be where SciPy ended
            ended = {name: found[name] for name in ("jac", "hess_inv")}
        if status == LIMIT:
            message = f"not converged in {count(len(monitor.history), 'iteration')}; a larger maxiter goes on"
    except Diverged as reason:
        message, status = _recover(reason, evaluated, theta), DIVERGED
    except Stop as reason:
        message, status = str(reason), reason.status
    if state is not None:
        message += f"; went on from iteration {len(state.facts['history'])}, without the memory of the steps before it"
    evaluations = {"nfev": evaluated.count, "njev": evaluated.count}
    result = monitor.finish(theta, message, status, status == CONVERGED, len(monitor.history), **evaluations, **ended)
    if evaluated.best.number and (status == DIVERGED or not monitor.history) and not monitor.restores_best:
        result.fun = -evaluated.best.score
    with np.errstate(all="ignore"):
        given[...] = theta
    result.x = given
    return result


def _minimize(
    evaluated: Evaluated, theta: Array, maxiter: int, monitor: Monitor, record: Any, settings: dict[str, Any]
) -> OptimizeResult:
    """SciPy's L-BFGS-B for the iterations that are left; ends early by raising `Stop` or `Diverged`."""
    monitor.stop_if_due()
    left = maxiter - len(monitor.history)
    if left <= 0:  # SciPy would make one iteration
        evaluated(theta)
        raise Stop(f"ran {len(monitor.history) or 'no'} iterations", LIMIT)
    options = {"maxiter": left, "maxfun": max(15_000, 20 * maxiter), **settings}
    return minimize(evaluated, theta.copy(), jac=True, method="L-BFGS-B", callback=record, options=options)


def _recover(reason: Diverged, evaluated: Evaluated, theta: Array) -> str:
    """Go back to the best parameters met; returns what to say."""
    kept = "the parameters are left as they were given"
    if evaluated.best.theta is not None:
        theta[...] = evaluated.best.theta
        kept = "went back to the best parameters met"
    return f"diverged: {reason}; {kept}. Try smaller initial weights, or inputs scaled to about 1"
