"""`Run`, a run of descent: epochs of mini-batch steps on θ, by one of the update rules of rules.py.

Read `Run.train` first, the one loop. All that a run stands on is in `Run.position` and in the vectors of `Run.vectors`, so
that a state can be taken after any step and gone on from to the same bits.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.batches import draw_batches
from mlp.blas import Array, axpy, scale
from mlp.checks import check_callable, check_integer, check_number, counted
from mlp.optimizers import schedules
from mlp.optimizers.monitor import CONVERGED, DIVERGED, LIMIT, Diverged, Monitor, Stop, call_back
from mlp.optimizers.problem import Problem, count_examples
from mlp.optimizers.rules import Descent
from mlp.optimizers.state import Position, State, check_position, check_state, plain_state, read_facts, restore_generator

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

EachStep = Callable[[Callable[[], State]], Any]


@dataclass
class Plan:
    """What a run of descent is to do, as `sgd` takes it."""

    learning_rate: float
    schedule: str | schedules.Schedule
    batch_size: int | None
    epochs: int
    average: int

    def __post_init__(self) -> None:
        self.learning_rate = check_number("learning_rate", self.learning_rate, above=0)
        self.batch_size = None if self.batch_size is None else check_integer("batch_size", self.batch_size, at_least=1)
        self.epochs = check_integer("epochs", self.epochs, at_least=0)
        self.average = check_integer("average", self.average, at_least=0)
        self.factor = schedules.get(self.schedule, self.epochs)
        #: From which epoch on, counted from 0, parameters are averaged.
        self.first_averaged = max(0, self.epochs - self.average)

    def rate(self, epoch: int) -> float:
        """The learning rate in that epoch, counted from 0."""
        return self.learning_rate * check_number(f"schedule at epoch {epoch}", self.factor(epoch), at_least=0)

    def settings(self) -> dict[str, Any]:
        """What must stay the same where a run goes on: neither epochs nor average, which are about its end."""
        schedule = self.schedule if isinstance(self.schedule, str) else "a function"
        return {"learning_rate": self.learning_rate, "schedule": schedule, "batch_size": self.batch_size}


class Run:
    """A run of descent: where it stands, and its loop.

    Args:
        name: the minimiser's, for states.
        problem, theta: what is minimised, and the vector that is updated.
        rule: takes the steps.
        plan: what is to be done.
        monitor: keeps the history, and says when to stop.
        rng: draws the order of the examples, and the key of each epoch's noise.
        each_step: called after every step, or None.
    """

    def __init__(
        self,
        name: str,
        problem: Problem,
        theta: Array,
        rule: Descent,
        plan: Plan,
        monitor: Monitor,
        rng: np.random.Generator,
        each_step: EachStep | None,
    ):
        self.name, self.problem, self.theta, self.rule = name, problem, theta, rule
        self.plan, self.monitor, self.rng, self.each_step = plan, monitor, rng, each_step
        check_callable("each_step", each_step)
        self.examples = count_examples(problem, plan.batch_size)
        self.steps_per_epoch = math.ceil(self.examples / (plan.batch_size or self.examples))
        self.settings = {
            "rule": type(rule).__name__,
            **{name: getattr(rule, name) for name in rule.settings},
            **plan.settings(),
        }
        self.position = Position(plain_state(rng))
        # The last parameters known to have a finite cost; and those of the last epoch's end, whose cost the next step tells
        self.safe, self.latest = theta.copy(), theta.copy()
        self.mean = np.zeros_like(theta) if plan.average else None

    def vectors(self) -> dict[str, Array]:
        """What a state keeps, by name."""
        mean = {} if self.mean is None else {"average": self.mean}
        return {"theta": self.theta, "safe": self.safe, **self.rule.vectors(), **mean}

    @cached_property
    def fingerprint(self) -> str:
        """The problem's, which takes a moment; only states need it."""
        return self.problem.fingerprint()

    def snapshot(self) -> State:
        """Where the run stands, as a copy."""
        facts = {**asdict(self.position), "settings": self.settings, "fingerprint": self.fingerprint}
        return self.monitor.state(self.name, self.vectors(), facts)

    def restore(self, state: State) -> None:
        """Go on from there. A state that this run can't go on from is refused before θ is touched."""
        facts = check_state(state, self.name, self.vectors(), self.settings, self.fingerprint)
        at = read_facts(Position, facts)
        self.monitor.restore(facts, state.arrays)
        check_position(at, self.monitor.history, self.examples, self.plan.batch_size)
        restore_generator(self.rng, at.rng_state)
        for name, vector in self.vectors().items():
            vector[...] = state.arrays[name]
        self.latest[...] = self.theta
        self.position, self.rule.steps = at, at.steps
        if at.averaged > at.steps - self.plan.first_averaged * self.steps_per_epoch:
            at.averaged = 0  # over epochs that were to be the last, and are no longer, now that there are more

    def train(self) -> None:
        """Take all steps of all epochs; ends early by raising `Stop` or `Diverged`."""
        self.monitor.stop_if_due()
        while self.position.epoch < self.plan.epochs:
            rate = self.plan.rate(self.position.epoch)
            key = int(self.rng.integers(1 << 63)) if self.problem.noisy else None
            for rows in self._draw_epoch():
                self._step(rows, rate, None if key is None else (key, self.position.done))
                if self.each_step is not None:
                    call_back(self.each_step, self.snapshot)
            cost = self._end_epoch()
            averaged = self.mean if self.mean is not None and self.position.averaged else self.theta
            self.monitor.record(averaged, cost, self.snapshot, learning_rate=rate)

    def _draw_epoch(self) -> Iterator[Array | None]:
        """The rows of each step that is left of the current epoch; None for all rows at once."""
        size = self.plan.batch_size
        drawn: Iterator[Array | None] = iter([None]) if size is None else draw_batches(self.examples, size, self.rng)
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
        if self.mean is not None and at.epoch >= self.plan.first_averaged:
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

    def minimise(self) -> "OptimizeResult":
        """Train, and say how that ended."""
        try:
            with self.monitor, np.errstate(all="ignore"):  # what overflows shows in the cost, looked at after every step
                self.train()
            message, status = self._end()
        except Diverged as reason:
            message, status = self._recover(reason), DIVERGED
        except Stop as reason:
            message, status = str(reason), reason.status
        at = self.position
        if self.mean is not None and at.averaged:
            self.theta[...] = self.mean
            message += f"; averaged the parameters over the last {counted(at.averaged, 'step')}"
        chosen = at.proven if status == DIVERGED else len(self.monitor.history)
        return self.monitor.finish(self.theta, message, status, status == CONVERGED, chosen, nfev=at.steps)

    def _end(self) -> tuple[str, int]:
        """How a run reports that took all its steps: message and status."""
        message = f"ran all {counted(self.position.epoch, 'epoch')}"
        if self.monitor.tol is None:
            return message, CONVERGED
        return f"not converged: {message} without the cost settling to within tol={self.monitor.tol:g}", LIMIT

    def _recover(self, reason: Diverged) -> str:
        """Go back to the last parameters known to be good; returns what to say."""
        self.theta[...], self.position.averaged = self.safe, 0
        proven = self.position.proven
        kept = f"of the end of epoch {proven}" if proven else "from before the first step"
        if self.monitor.restores_best:
            kept = "that did best"
        return (
            f"diverged: {reason}; the parameters {kept} are kept. Try a learning rate below {self.plan.learning_rate:g}, or "
            "inputs scaled to about 1"
        )


def _is_finite(vector: Array) -> bool:
    """Whether every number is; its extremes tell, without memory for more."""
    return math.isfinite(vector.max()) and math.isfinite(vector.min())
