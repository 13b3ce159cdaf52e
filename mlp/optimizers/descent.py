"""`sgd` and `adam`: epochs of mini-batch steps on θ, by one of the update rules of rules.py.

Read `Run.train` first, the one loop. All that a run stands on is in `Run.position`, so that a state can be taken after any
step and gone on from to the same bits.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from mlp.batches import draw_batches
from mlp.blas import Array, axpy, scale
from mlp.checks import check_callable, check_generator, check_integer, check_number, converted
from mlp.optimizers import schedules
from mlp.optimizers.monitor import CONVERGED, DIVERGED, LIMIT, Callback, Diverged, Monitor, Stop, call_back, count
from mlp.optimizers.problem import Problem, count_examples
from mlp.optimizers.rules import Adam, Descent, choose_momentum
from mlp.optimizers.scipy import unwrap
from mlp.optimizers.state import Position, State, check_state, plain_state, read_facts, restore_generator

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

EachStep = Callable[[Callable[[], State]], Any]


class Run:
    """A run of descent: what it was asked for, where it stands, and its loop."""

    def __init__(
        self,
        problem: Problem,
        theta: Array,
        rule: Descent,
        monitor: Monitor,
        *,
        learning_rate: float,
        schedule: str | schedules.Schedule,
        batch_size: int | None,
        epochs: int,
        seed: int | np.random.Generator | None,
        average: int,
        each_step: EachStep | None,
    ):
        self.problem, self.theta, self.rule, self.monitor = problem, theta, rule, monitor
        self.learning_rate = check_number("learning_rate", learning_rate, above=0)
        self.epochs = check_integer("epochs", epochs, at_least=0)
        self.average = check_integer("average", average, at_least=0)
        self.factor = schedules.get(schedule, epochs)
        self.batch_size = None if batch_size is None else check_integer("batch_size", batch_size, at_least=1)
        self.examples = count_examples(problem, batch_size)
        self.rng = check_generator("seed", seed)
        check_callable("each_step", each_step)
        self.each_step = each_step
        self.position = Position(plain_state(self.rng))
        # The last parameters known to have a finite cost; and those of the last epoch's end, whose cost the next step tells
        self.safe, self.latest = theta.copy(), theta.copy()
        self.mean = np.zeros_like(theta) if average else None

    def vectors(self) -> dict[str, Array]:
        """What a state keeps, by name."""
        mean = {} if self.mean is None else {"average": self.mean}
        return {"theta": self.theta, "safe": self.safe, **self.rule.vectors(), **mean}

    def restore(self, state: State, facts: dict[str, Any]) -> None:
        """Go on from a state that has been checked."""
        self.position = read_facts(Position, facts)
        restore_generator(self.rng, self.position.rng_state)
        for name, vector in self.vectors().items():
            vector[...] = state.arrays[name]
        self.latest[...] = self.theta
        self.rule.steps = self.position.steps
        self.monitor.restore(facts, state.arrays)

    def train(self, snapshot: Callable[[], State]) -> None:
        """Take all steps of all epochs; ends early by raising `Stop` or `Diverged`."""
        self.monitor.stop_if_due()
        while self.position.epoch < self.epochs:
            rate = self.learning_rate * check_number(
                f"schedule at epoch {self.position.epoch}", self.factor(self.position.epoch), at_least=0
            )
            key = int(self.rng.integers(1 << 63)) if self.problem.noisy else None
            for rows in self._draw_epoch():
                self._step(rows, rate, None if key is None else (key, self.position.done))
                if self.each_step is not None:
                    call_back(self.each_step, snapshot)
            cost = self._end_epoch()
            averaged = self.mean if self.mean is not None and self.position.averaged else self.theta
            self.monitor.record(averaged, cost, snapshot, learning_rate=rate)

    def _draw_epoch(self) -> Iterator[Array | None]:
        """The rows of each step that is left of the current epoch; None for all rows at once."""
        drawn: Iterator[Array | None] = (
            iter([None]) if self.batch_size is None else draw_batches(self.examples, self.batch_size, self.rng)
        )
        return islice(drawn, self.position.done, None)

    def _step(self, rows: Array | None, rate: float, noise: Any) -> None:
        """One step of the rule, and where the run stands after it."""
        at = self.position
        n = self.examples if rows is None else len(rows)
        at.total += self.rule.step(self.theta, rows, rate, noise) * n
        at.seen += n
        at.done += 1
        at.steps = self.rule.steps = at.steps + 1
        if not math.isfinite(at.total):
            raise Diverged(f"the cost became {at.total:g} in epoch {at.epoch + 1}, step {at.steps:,}")
        self.problem.constrain(self.theta)
        if self.mean is not None and at.epoch >= self.epochs - self.average:
            at.averaged += 1
            scale(1 - 1 / at.averaged, self.mean)
            axpy(1 / at.averaged, self.theta, self.mean)
        if at.done == 1:  # the step's cost was that of the last epoch's parameters, and it was finite
            self.safe[...], at.proven = self.latest, at.epoch

    def _end_epoch(self) -> float:
        """The epoch's cost; the position moves on to the next one."""
        at = self.position
        cost = at.total / at.seen + self.problem.penalty(self.theta)
        if not math.isfinite(cost) or not _is_finite(self.theta):
            raise Diverged(f"parameters became infinite or NaN in epoch {at.epoch + 1}, by step {at.steps:,}")
        if not all(map(_is_finite, self.rule.vectors().values())):
            raise Diverged(f"what steps depend on overflowed in epoch {at.epoch + 1}, by step {at.steps:,}")
        self.latest[...] = self.theta
        at.epoch, at.rng_state, at.done, at.total, at.seen = at.epoch + 1, plain_state(self.rng), 0, 0.0, 0
        return cost

    def end(self) -> tuple[str, int]:
        """How a run reports that took all its steps: message and status."""
        message = f"ran all {count(self.epochs, 'epoch')}"
        if self.monitor.tol is None:
            return message, CONVERGED
        return f"not converged: {message} without the cost settling to within tol={self.monitor.tol:g}", LIMIT

    def recover(self, reason: Diverged) -> str:
        """Go back to the last parameters known to be good; returns what to say."""
        self.theta[...], self.position.averaged = self.safe, 0
        proven = self.position.proven
        kept = f"of the end of epoch {proven}" if proven else "from before the first step"
        if self.monitor.restores_best:
            kept = "that did best"
        return (
            f"diverged: {reason}; the parameters {kept} are kept. Try a learning rate below {self.learning_rate:g}, or inputs "
            "scaled to about 1"
        )


def _is_finite(vector: Array) -> bool:
    """Whether every number is; its extremes tell, without memory for more."""
    return math.isfinite(vector.max()) and math.isfinite(vector.min())


class Options(TypedDict, total=False):
    """What `sgd` and `adam` have in common, documented in `sgd`."""

    schedule: str | schedules.Schedule
    batch_size: int | None
    epochs: int
    seed: int | np.random.Generator | None
    average: int
    validation: Any
    patience: int | None
    tol: float | None
    tol_epochs: int
    callback: Callback | None
    state: State | None
    each_step: EachStep | None
    verbose: bool


def descend(
    minimiser: Callable[..., "OptimizeResult"],
    objective: Any,
    theta: Array,
    rule: type[Descent],
    settings: dict[str, Any],
    *,
    learning_rate: float,
    schedule: str | schedules.Schedule = "constant",
    batch_size: int | None = 128,
    epochs: int = 10,
    seed: int | np.random.Generator | None = 0,
    average: int = 0,
    state: State | None = None,
    each_step: EachStep | None = None,
    validation: Any = None,
    patience: int | None = None,
    tol: float | None = None,
    tol_epochs: int = 3,
    callback: Callback | None = None,
    **scipy: Any,
) -> "OptimizeResult":
    """Minimise by that update rule with those settings; `sgd` and `adam` are two ways of calling this."""
    problem, given = unwrap(minimiser, objective, theta, scipy)
    name = minimiser.__name__
    # θ itself is what is updated, unless the objective's arithmetic is in another dtype
    theta = np.ascontiguousarray(converted("theta", given, problem.dtype or given.dtype))
    monitor = Monitor("epoch", validation=validation, patience=patience, tol=tol, tol_epochs=tol_epochs, callback=callback)
    run = Run(
        problem,
        theta,
        rule(problem, theta, **settings),
        monitor,
        learning_rate=learning_rate,
        schedule=schedule,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        average=average,
        each_step=each_step,
    )
    said = {**settings, "learning_rate": run.learning_rate, "batch_size": run.batch_size}
    said["schedule"] = schedule if isinstance(schedule, str) else "a function"
    if state is not None:
        run.restore(state, check_state(state, name, run.vectors(), said, problem.fingerprint()))

    def snapshot() -> State:
        facts = {**asdict(run.position), "settings": said, "fingerprint": problem.fingerprint()}
        return monitor.state(name, run.vectors(), facts)

    try:
        with np.errstate(all="ignore"):  # what overflows shows in the cost, which is looked at after every step
            run.train(snapshot)
        message, status = run.end()
    except Diverged as reason:
        message, status = run.recover(reason), DIVERGED
    except Stop as reason:
        message, status = str(reason), reason.status
    if run.mean is not None and run.position.averaged:
        theta[...] = run.mean
        message += f"; averaged the parameters over the last {count(run.position.averaged, 'step')}"
    chosen = run.position.proven if status == DIVERGED else len(monitor.history)
    result = monitor.finish(theta, message, status, status == CONVERGED, chosen, nfev=run.position.steps)
    if theta is not given:
        given[...] = theta
        result.x = given
    return result


def sgd(
    objective: Any,
    theta: Array,
    *,
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    nesterov: bool = False,
    **options: Unpack[Options],
) -> "OptimizeResult":
    """Stochastic, mini-batch or full-batch gradient descent on θ, in place.

    One step, with η the learning rate, μ the momentum and ∂C the gradient over the mini-batch:

        μ = 0:     θ ← θ − η ∂C
        momentum:  v ← μv − η ∂C,  θ ← θ + v
        Nesterov:  v ← μv − η ∂C,  θ ← θ + μv − η ∂C

    Args:
        objective: `mlp.Objective`; an object with len() that is called as objective(theta, rows) -> (cost, gradient); or,
            with batch_size=None, a function theta -> (cost, gradient).
        theta: parameters (P,), updated in place.
        learning_rate: η, above 0 (0.1).
        momentum: μ, from 0 to below 1 (0).
        nesterov: whether the momentum is Nesterov's.
        schedule: what η is multiplied by in each epoch: "constant" (the default), "step:FACTOR:EPOCHS",
            "exponential:FACTOR", "cosine", or a function of the epoch (counted from 0).
        batch_size: examples a step: 1 is stochastic descent, None full-batch (128). The last, shorter batch is used too.
        epochs: how many times to go through all examples, in a new random order each time (10).
        seed: of the order, and of the objective's distortions and dropout: an integer (0), a Generator, or None for another
            each time.
        average: over how many of the last epochs (all, where there are fewer) to average the parameters of every step
            (Polyak and Juditsky 1992): the average is what is evaluated after those epochs, and returned. 0: none.
        validation: what to evaluate after each epoch: an `Objective` over the validation set.
        patience: stop after so many epochs without a better validation accuracy (cost, for regression); with it, the
            best parameters are restored at the end.
        tol: stop once the cost changes by less than this, tol_epochs (3) epochs running.
        callback: called after each epoch, in SciPy's way: `callback(intermediate_result)` gets an OptimizeResult with
            x (live: copy it; the average, where there is one), fun, nit, history, improved (whether this record's validation
            score is the best so far), and snapshot, which returns the run's `State`; a callback with another parameter gets
            θ; StopIteration ends the run.
        state: where to go on from: a `State` of a run with the same settings, of which epochs may be more. θ is overwritten
            with the state's.
        each_step: called after every step with a function that returns the run's `State`; StopIteration ends the run.

    Returns:
        `OptimizeResult` (see the top of mlp.optimizers). History records: epoch, cost (the mean over the epoch's
        mini-batches as they were met, plus the penalty at the end of it), validation_cost and validation_accuracy if
        there is a validation set, learning_rate, seconds.
    """
    rule, settings = choose_momentum(momentum, nesterov)
    return descend(sgd, objective, theta, rule, settings, learning_rate=learning_rate, **options)


def adam(
    objective: Any,
    theta: Array,
    *,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    **options: Unpack[Options],
) -> "OptimizeResult":
    """Adam (Kingma and Ba 2015) on θ, in place. One step, t counting from 1:

        m ← β₁m + (1 − β₁) ∂C,  v ← β₂v + (1 − β₂) ∂C²
        θ ← θ − η (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

    beta1 and beta2 are from 0 to below 1, epsilon above 0. All else is as in `sgd`.
    """
    settings = {"beta1": beta1, "beta2": beta2, "epsilon": epsilon}
    return descend(adam, objective, theta, Adam, settings, learning_rate=learning_rate, **options)
