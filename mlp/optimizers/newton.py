"""`newton`: truncated Newton with Gauss–Newton products, known as Hessian-free optimisation (Martens 2010).

Each iteration takes the gradient g over all examples and minimises, by conjugate gradients, the model

    q(p) = gᵀp + ½ pᵀ(G + λI) p            G the Gauss–Newton matrix over a subset, λ the damping

as far as that pays (conjugate.py), goes back along the way for as long as the subset's own cost falls, and takes what
a line search over all examples leaves of that step. λ follows how well the model foretold the cost (Levenberg 1944, Marquardt
1963). Read `Run.step` first. Sources: Martens, "Deep learning via Hessian-free optimization" (ICML 2010), whose numbers
are used; Martens and Sutskever, "Training deep and recurrent networks with Hessian-free optimization" (2012).
"""

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from mlp.blas import Array, dot
from mlp.checks import check_callable, check_integer, check_number, counted
from mlp.optimizers.conjugate import Solution, conjugate_gradients
from mlp.optimizers.monitor import CONVERGED, DIVERGED, LIMIT, Callback, Diverged, Monitor, Stop, call_back
from mlp.optimizers.problem import Problem, refuse_steps_only
from mlp.optimizers.run import EachStep
from mlp.optimizers.scipy import unwrap
from mlp.optimizers.state import State, check_state, read_facts

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

LINE_SEARCH_FAILED = 2

#: How much of the last iteration's step conjugate gradients start from, and the power of the preconditioner.
_MEMORY, _POWER = 0.95, 0.75
#: The largest damping: steps are so short then that no other one will do better.
_LARGEST_DAMPING = 1e12


@runtime_checkable
class Curved(Protocol):
    """What `newton` asks of an objective besides what makes it a `Problem`."""

    def gauss_newton(self, theta: Array, v: Array, rows: Any = None) -> Array:
        """G v over the rows (None: all), (P,)."""

    def squared_gradients(self, theta: Array, rows: Any = None) -> Array:
        """The mean of the examples' squared gradients, (P,)."""


@dataclass
class Position:
    """Where a run of newton stands, besides θ, its last step and its history."""

    damping: float
    #: Costs and gradients together; gradients; products.
    evaluations: int = 0
    gradients: int = 0
    products: int = 0
    #: How many line searches running have found no lower cost.
    failures: int = 0


class Run:
    """A run of newton: where it stands, and its iterations. Read `step` first.

    Args:
        problem, theta: what is minimised, and the vector (P,) of float64 that is updated.
        maxiter, gtol: when to end.
        settings: "subset", "damping", "cg_maxiter", "cg_tol" and "seed".
        monitor: keeps the history, and says when to stop.
        each_step: called after every iteration, or None.
    """

    def __init__(
        self,
        problem: Any,
        theta: Array,
        maxiter: int,
        gtol: float,
        settings: dict[str, Any],
        monitor: Monitor,
        each_step: EachStep | None,
    ):
        check_callable("each_step", each_step)
        self.problem, self.theta, self.maxiter, self.gtol = problem, theta, maxiter, gtol
        self.settings, self.monitor, self.each_step = settings, monitor, each_step
        self.direction = np.zeros_like(theta)
        self.position = Position(settings["damping"])
        self.current: tuple[float, Array] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The problem's, which takes a moment; only states need it."""
        return str(self.problem.fingerprint())

    @property
    def vectors(self) -> dict[str, Array]:
        """What a state keeps, by name."""
        return {"theta": self.theta, "direction": self.direction}

    def snapshot(self) -> State:
        """Where the run stands, as a copy."""
        facts = {**asdict(self.position), "settings": self.settings, "fingerprint": self.fingerprint}
        return self.monitor.state("newton", self.vectors, facts)

    def restore(self, state: State) -> None:
        """Go on from there. A state that this run can't go on from is refused before θ is touched."""
        facts = check_state(state, "newton", self.vectors, self.settings, self.fingerprint)
        position = read_facts(Position, facts)
        self.monitor.restore(facts, state.arrays)
        position.evaluations -= 1  # the cost and gradient at θ, counted already, will be taken again
        position.gradients -= 1
        self.position = position
        for name, vector in self.vectors.items():
            vector[...] = state.arrays[name]

    def minimise(self) -> "OptimizeResult":
        """Iterate, and say how that ended."""
        monitor = self.monitor
        try:
            with monitor, np.errstate(all="ignore"):  # what overflows shows in the cost
                message, status = self._iterate()
        except Diverged as reason:
            message, status = f"diverged: {reason}; the parameters are left as they were. Try smaller initial weights", DIVERGED
        except Stop as reason:
            message, status = str(reason), reason.status
        evaluations = {"nfev": self.position.evaluations, "njev": self.position.gradients}
        result = monitor.finish(self.theta, message, status, status == CONVERGED, len(monitor.history), **evaluations)
        if not monitor.history and self.current is not None:
            result.fun = self.current[0]
        return result

    def _iterate(self) -> tuple[str, int]:
        """The iterations that are left; ends early by raising `Stop` or `Diverged`. Returns message and status."""
        history = self.monitor.history
        self.monitor.stop_if_due()
        while True:
            largest = float(np.abs(self.evaluate()[1]).max())
            if largest <= self.gtol:
                return f"converged: no component of the gradient is above {self.gtol:g}", CONVERGED
            if len(history) >= self.maxiter:
                return f"not converged in {counted(len(history), 'iteration')}; a larger maxiter goes on", LIMIT
            facts = self.step(len(history))
            cost = self.evaluate()[0]
            self.monitor.record(self.theta, cost, self.snapshot, **facts, evaluations=self.position.evaluations)
            if self.each_step is not None:
                call_back(self.each_step, self.snapshot)

    def cost(self, theta: Array, rows: Array | None = None) -> float:
        """The cost at θ, of all examples by a forward pass alone where the objective has one that sees what training does."""
        self.position.evaluations += 1
        if rows is not None:
            return float(self.problem(theta, rows)[0])
        if hasattr(self.problem, "evaluate") and getattr(self.problem, "noise", None) is None:
            return float(self.problem.evaluate(theta)[0])
        return float(self.problem(theta)[0])

    def evaluate(self) -> tuple[float, Array]:
        """The cost and its gradient at θ, once a θ."""
        if self.current is None:
            self.position.evaluations += 1
            self.position.gradients += 1
            cost, gradient = self.problem(self.theta)
            gradient = np.ascontiguousarray(gradient, np.float64)
            norm = math.sqrt(dot(gradient, gradient))
            if not (math.isfinite(cost) and math.isfinite(norm)):
                raise Diverged(f"the cost became {cost:g}, its gradient's norm {norm:g}")
            self.current = cost, gradient
        return self.current

    def step(self, iteration: int) -> dict[str, Any]:
        """One iteration: θ moves to where the cost is lower, if it finds such a place; returns what history says of it."""
        cost, g = self.evaluate()
        rows = self._draw(iteration)
        damping = self.position.damping
        precondition = (self.problem.squared_gradients(self.theta, rows) + damping) ** _POWER
        products = self.position.products

        def times(v: Array) -> Array:
            self.position.products += 1
            Gv: Array = self.problem.gauss_newton(self.theta, v, rows)
            return Gv + damping * v

        limits = self.settings["cg_maxiter"], self.settings["cg_tol"]
        solutions = conjugate_gradients(times, g, _MEMORY * self.direction, precondition, *limits)
        if not solutions:
            raise Diverged("the Gauss–Newton products are not finite")
        self.direction = solutions[-1].p.copy()
        best = self._go_back(solutions, rows)
        reached = self.cost(self.theta + best.p)
        foretold = best.q - 0.5 * damping * dot(best.p, best.p)  # what the model without damping says
        self._adapt_damping((reached - cost) / foretold if foretold < 0 else math.nan)
        rate = self._search_line(best, reached, cost, g)
        self._move(rate, best.p)
        products = self.position.products - products
        return {"damping": damping, "products": products, "rate": rate, "gradient_norm": math.sqrt(dot(g, g))}

    def _draw(self, iteration: int) -> Array | None:
        """The rows of this iteration's products: the same whether or not the run was stopped before it."""
        subset = self.settings["subset"]
        if subset is None or subset >= len(self.problem):
            return None
        rng = np.random.default_rng((self.settings["seed"], iteration))
        return np.sort(rng.choice(len(self.problem), subset, replace=False))

    def _go_back(self, solutions: list[Solution], rows: Array | None) -> Solution:
        """From the last solution back for as long as the rows' cost falls."""
        best, least = solutions[-1], self.cost(self.theta + solutions[-1].p, rows)
        for solution in reversed(solutions[:-1]):
            cost = self.cost(self.theta + solution.p, rows)
            if cost >= least:
                break
            best, least = solution, cost
        return best

    def _adapt_damping(self, ratio: float) -> None:
        """λ ← 3/2 λ where the cost fell by less than a quarter of what the model said, 2/3 λ where by more than three."""
        if not ratio >= 0.25:
            self.position.damping = min(self.position.damping * 1.5, _LARGEST_DAMPING)
        elif ratio > 0.75:
            self.position.damping *= 2 / 3

    def _search_line(self, solution: Solution, reached: float, cost: float, g: Array) -> float:
        """The largest rate of 1, 0.8, 0.8², … at which the cost falls by a hundredth of the slope's part; 0 if none does."""
        slope, rate = dot(g, solution.p), 1.0
        for _ in range(60):
            if reached <= cost + 0.01 * rate * slope and reached < cost:
                return rate
            rate *= 0.8
            reached = self.cost(self.theta + rate * solution.p)
        return 0.0

    def _move(self, rate: float, p: Array) -> None:
        """θ ← θ + rate p; where there was no rate, the next step is to be shorter and starts from nothing."""
        if rate:
            self.theta += rate * p
            self.current, self.position.failures = None, 0
            return
        self.direction[...] = 0
        self.position.failures += 1
        self.position.damping = min(self.position.damping * 10, _LARGEST_DAMPING)
        if self.position.failures >= 8 or self.position.damping >= _LARGEST_DAMPING:
            raise Stop("line search failed: no step of any length lowered the cost", LINE_SEARCH_FAILED)


def newton(
    objective: Any,
    theta: Array,
    *,
    maxiter: int = 100,
    subset: int | None = None,
    damping: float = 1.0,
    cg_maxiter: int = 250,
    cg_tol: float = 5e-4,
    gtol: float = 1e-5,
    seed: int = 0,
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
    """Truncated Newton with Gauss–Newton products (Martens 2010, "Hessian-free"); the result is written into θ.

    One iteration: p ≈ −(G + λI)⁻¹ g by preconditioned conjugate gradients, θ ← θ + εp. The minimiser's arithmetic is float64,
    whatever θ's. The cost never rises: where no step lowers it, damping grows, and in the end the run stops.

    Args:
        objective: an `mlp.Objective`, or what else has its gauss_newton(theta, v, rows) and squared_gradients(theta, rows).
        theta: parameters (P,), where to start; the result is written into it.
        maxiter: at most so many iterations, each of up to cg_maxiter products and a few evaluations.
        subset: over how many examples products are taken, others in each iteration; None: all. Costs and gradients are
            always of all. Large enough for G to be like that of all: some thousands, for digits.
        damping: λ to start from, above 0. It adapts.
        cg_maxiter: at most so many conjugate gradient iterations in each.
        cg_tol: they stop where the model falls by less than this part of itself an iteration.
        gtol: stop when no component of the gradient is larger.
        seed: of the subsets, an integer.
        validation, patience, tol, tol_epochs, callback, verbose, state, each_step: as in `sgd`, by iteration. A run that
            goes on from a state goes on to the same bits.

    Returns:
        `OptimizeResult`, with njev. History records: iteration, cost (after it), validation_cost and validation_accuracy if
        there is a validation set, damping, products, rate, gradient_norm (before it), evaluations (so far), seconds.
    """
    problem, given = unwrap(newton, objective, theta, scipy)
    _check_curved(problem)
    refuse_steps_only(problem)
    maxiter = check_integer("maxiter", maxiter, at_least=0)
    settings: dict[str, Any] = {
        "subset": None if subset is None else check_integer("subset", subset, at_least=1),
        "damping": check_number("damping", damping, above=0),
        "cg_maxiter": check_integer("cg_maxiter", cg_maxiter, at_least=1),
        "cg_tol": check_number("cg_tol", cg_tol, at_least=0),
        "seed": check_integer("seed", seed, at_least=0),
    }
    gtol = check_number("gtol", gtol, at_least=0)
    watched = {"validation": validation, "patience": patience, "tol": tol, "tol_epochs": tol_epochs}
    monitor = Monitor("iteration", maxiter, **watched, callback=callback, verbose=verbose)
    run = Run(problem, given.astype(np.float64), maxiter, gtol, settings, monitor, each_step)
    if state is not None:
        run.restore(state)
    result = run.minimise()
    with np.errstate(all="ignore"):
        given[...] = run.theta
    result.x = given
    return result


def _check_curved(problem: Problem) -> None:
    """Raise TypeError where there are no products with the Gauss–Newton matrix."""
    if not isinstance(problem, Curved):
        raise TypeError(
            "objective: received one without gauss_newton(theta, v, rows) and squared_gradients(theta, rows), which newton "
            "needs: use an mlp.Objective, or lbfgs"
        )
