"""`lbfgs`: SciPy's L-BFGS-B, with the history, the stopping rules and the honesty of the other minimisers."""

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.blas import Array, dot
from mlp.checks import check_callable, check_integer, check_number, counted
from mlp.optimizers.monitor import CONVERGED, DIVERGED, LIMIT, Best, Callback, Diverged, Monitor, Stop, call_back
from mlp.optimizers.problem import Problem, refuse_steps_only
from mlp.optimizers.run import EachStep
from mlp.optimizers.scipy import unwrap
from mlp.optimizers.state import State, check_state, read_facts

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult


@dataclass
class Position:
    """Where a run of L-BFGS stands, besides θ and its history."""

    evaluations: int


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


class Run:
    """A run of L-BFGS: where it stands after each iteration, and how it ends.

    Args:
        problem, theta: what is minimised, and the vector (P,) of float64 that follows the iterates.
        maxiter, settings: how many iterations there may be, and "memory", "gtol" and "ftol".
        monitor: keeps the history, and says when to stop.
        each_step: called after every iteration, or None.
    """

    def __init__(
        self,
        problem: Problem,
        theta: Array,
        maxiter: int,
        settings: dict[str, Any],
        monitor: Monitor,
        each_step: EachStep | None,
    ):
        check_callable("each_step", each_step)
        self.problem, self.theta, self.maxiter, self.settings = problem, theta, maxiter, settings
        self.monitor, self.each_step = monitor, each_step
        self.evaluated = Evaluated(problem)
        #: From which iteration the run went on.
        self.went_on: int | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The problem's, which takes a moment; only states need it."""
        return self.problem.fingerprint()

    def snapshot(self) -> State:
        """Where the run stands, as a copy."""
        position = asdict(Position(self.evaluated.count))
        facts = {**position, "settings": self.settings, "fingerprint": self.fingerprint}
        return self.monitor.state("lbfgs", {"theta": self.theta}, facts)

    def restore(self, state: State) -> None:
        """Go on from there. A state that this run can't go on from is refused before θ is touched."""
        facts = check_state(state, "lbfgs", {"theta": self.theta}, self.settings, self.fingerprint)
        self.evaluated.count = read_facts(Position, facts).evaluations
        self.monitor.restore(facts, state.arrays)
        self.theta[...] = state.arrays["theta"]
        self.went_on = len(self.monitor.history)

    def minimise(self) -> "OptimizeResult":
        """Let SciPy do it, and say how that ended."""
        monitor, evaluated = self.monitor, self.evaluated
        ended: dict[str, Any] = {}
        try:
            with monitor:
                found = self._minimise()
            self.theta[...] = found.x
            message, status = found.message, found.status
            if not monitor.restores_best or monitor.best.number == len(monitor.history):  # x will be where SciPy ended
                ended = {name: found[name] for name in ("jac", "hess_inv")}
            if status == LIMIT:
                message = f"not converged in {counted(len(monitor.history), 'iteration')}; a larger maxiter goes on"
        except Diverged as reason:
            message, status = self._recover(reason), DIVERGED
        except Stop as reason:
            message, status = str(reason), reason.status
        if self.went_on is not None:
            message += f"; went on from iteration {self.went_on}, without the memory of the steps before it"
        evaluations = {"nfev": evaluated.count, "njev": evaluated.count}
        chosen = len(monitor.history)
        result = monitor.finish(self.theta, message, status, status == CONVERGED, chosen, **evaluations, **ended)
        if evaluated.best.number and (status == DIVERGED or not monitor.history) and not monitor.restores_best:
            result.fun = -evaluated.best.score
        return result

    def _minimise(self) -> "OptimizeResult":
        """SciPy's L-BFGS-B for the iterations that are left; ends early by raising `Stop` or `Diverged`."""
        from scipy.optimize import minimize

        self.monitor.stop_if_due()
        done = len(self.monitor.history)
        if done >= self.maxiter:  # SciPy would make one iteration
            self.evaluated(self.theta)
            raise Stop(f"ran {done or 'no'} iterations", LIMIT)
        options = {"maxiter": self.maxiter - done, "maxfun": max(15_000, 20 * self.maxiter), "maxcor": self.settings["memory"]}
        options |= {name: self.settings[name] for name in ("gtol", "ftol")}
        start = self.theta.copy()
        return minimize(self.evaluated, start, jac=True, method="L-BFGS-B", callback=self._record, options=options)

    def _record(self, intermediate_result: "OptimizeResult") -> None:
        """SciPy calls this after each iteration."""
        self.theta[...] = intermediate_result.x  # SciPy's own is one live buffer
        facts = {"gradient_norm": self.evaluated.gradient_norm, "evaluations": self.evaluated.count}
        self.monitor.record(self.theta, float(intermediate_result.fun), self.snapshot, **facts)
        if self.each_step is not None:
            call_back(self.each_step, self.snapshot)

    def _recover(self, reason: Diverged) -> str:
        """Go back to the best parameters met; returns what to say."""
        kept = "the parameters are left as they were given"
        if self.evaluated.best.theta is not None:
            self.theta[...] = self.evaluated.best.theta
            kept = "went back to the best parameters met"
        return f"diverged: {reason}; {kept}. Try smaller initial weights, or inputs scaled to about 1"


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
    verbose: bool = False,
    state: State | None = None,
    each_step: EachStep | None = None,
    **scipy: Any,
) -> "OptimizeResult":
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
        validation, patience, tol, tol_epochs, callback, verbose, state, each_step: as in `sgd`, by iteration.

    Returns:
        `OptimizeResult`, with njev and, where it was SciPy that ended the run at x, its jac and hess_inv. History
        records: iteration, cost, validation_cost and validation_accuracy if there is a validation set, gradient_norm,
        evaluations, seconds.
    """
    problem, given = unwrap(lbfgs, objective, theta, scipy)
    refuse_steps_only(problem)
    maxiter = check_integer("maxiter", maxiter, at_least=0)
    settings = {
        "memory": check_integer("memory", memory, at_least=1, at_most=10_000),
        "gtol": check_number("gtol", gtol, at_least=0),
        "ftol": check_number("ftol", ftol, at_least=0),
    }
    watched = {"validation": validation, "patience": patience, "tol": tol, "tol_epochs": tol_epochs}
    monitor = Monitor("iteration", maxiter, **watched, callback=callback, verbose=verbose)
    run = Run(problem, given.astype(np.float64), maxiter, settings, monitor, each_step)
    if state is not None:
        run.restore(state)
    result = run.minimise()
    with np.errstate(all="ignore"):
        given[...] = run.theta
    result.x = given
    return result
