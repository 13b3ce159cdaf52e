"""What all minimisers share: the history, the best parameters so far, the callback, and the reasons to stop."""

import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from mlp.blas import Array
from mlp.checks import check_callable, check_flag, check_integer, check_number, counted, shown
from mlp.optimizers.state import Monitored, State, read_facts
from mlp.progress import Progress
from mlp.threads import one_thread

if TYPE_CHECKING:  # which takes long to import: who only predicts need not wait for it
    from scipy.optimize import OptimizeResult

Callback = Callable[..., Any]

CONVERGED, LIMIT, DIVERGED, CALLBACK = 0, 1, 3, 99  # 2 is SciPy's, for a line search that failed


class Stop(Exception):
    """Ends a run: why, and how that is reported."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class Diverged(Exception):
    """A cost or parameter is no longer finite."""


class History(list[dict[str, Any]]):
    """One record (a dict) per epoch or iteration; `history["cost"]` is the column of that name."""

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return [record[key] for record in self]
        return super().__getitem__(key)


class Best:
    """The best parameters so far: the highest score, which record it was, and θ then. Ties don't count."""

    def __init__(self) -> None:
        self.score = -math.inf
        self.number = 0
        self.theta: Array | None = None

    def offer(self, score: float, number: int, theta: Array | None) -> bool:
        """Take these if they are better than the best so far, θ as a copy; returns whether they were."""
        better = score > self.score or (math.isnan(self.score) and not math.isnan(score))
        if self.number and not better:
            return False
        self.score, self.number, self.theta = score, number, None if theta is None else theta.copy()
        return True


class Monitor:
    """Keeps the history and the best parameters, tells the callback, and raises `Stop` when it is time.

    While a run lasts (`with monitor: …`), a bar or lines show its progress, where that is wanted.

    Args:
        unit: what a record is of: "epoch" or "iteration".
        total: how many of them there may be.
        validation, patience, tol, tol_epochs, callback, verbose: as minimisers take them (see `sgd`).
    """

    def __init__(
        self,
        unit: str,
        total: int,
        *,
        validation: Any = None,
        patience: int | None = None,
        tol: float | None = None,
        tol_epochs: int = 3,
        callback: Callback | None = None,
        verbose: bool = False,
    ):
        if validation is not None and not hasattr(validation, "evaluate"):
            raise TypeError(f"validation: received {shown(validation)}, but it must have evaluate(theta), as an Objective has")
        if patience is not None:
            check_integer("patience", patience, at_least=1)
            if validation is None:
                raise ValueError(f"patience: received {patience} without a validation set to be patient about")
        check_callable("callback", callback)
        self.unit = unit
        self.total = total
        self.validation = validation
        self.patience = patience
        self.tol = None if tol is None else check_number("tol", tol, at_least=0)
        self.tol_epochs = check_integer("tol_epochs", tol_epochs, at_least=1)
        self.callback = callback
        self.passes_result = callback is not None and _takes_result(callback)
        self.verbose = check_flag("verbose", verbose)
        self.progress: Progress | None = None
        self.history = History()
        self.n_no_change = 0  # for how many records |ΔC| has been below tol
        self.best = Best()
        self.started = time.perf_counter()

    def __enter__(self) -> Self:
        one_thread.__enter__()  # for the whole run: what is small is not worth more
        if self.verbose:
            self.progress = Progress(self.total, self.unit)
        return self

    def __exit__(self, *_: object) -> None:
        one_thread.__exit__()
        if self.progress is not None:
            self.progress.close()

    @property
    def restores_best(self) -> bool:
        """Whether the run is to end with the best parameters, and there are any."""
        return self.patience is not None and self.best.theta is not None

    def restore(self, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Go on from there: as if the history, the best parameters and the clock had been this run's own."""
        monitored = read_facts(Monitored, facts)
        if bool(monitored.best) != ("best" in arrays):
            raise ValueError("state: received the best parameters without their score, or the reverse")
        if monitored.best and not 1 <= monitored.best[1] <= len(monitored.history):
            raise ValueError(
                f"state: received {monitored.best} as best, but its history has {counted(len(monitored.history), 'record')}"
            )
        self.history = History(map(dict, monitored.history))
        self.n_no_change = monitored.n_no_change
        self.started = time.perf_counter() - monitored.seconds
        if monitored.best:
            score, number = monitored.best
            self.best.offer(score, number, arrays["best"])
        elif self.patience is None:  # no parameters are kept, but what has improved is told still
            for number, record in enumerate(self.history, 1):
                if "validation_cost" in record:
                    self.best.offer(_score(record), number, None)

    def state(self, minimiser: str, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> State:
        """The run's state: what the minimiser says of itself, copied, and what the monitor knows."""
        kept = dict(arrays)
        if self.restores_best and self.best.theta is not None:
            kept["best"] = self.best.theta
        monitored = Monitored(
            list(self.history),
            self.n_no_change,
            [self.best.score, self.best.number] if self.restores_best else None,
            time.perf_counter() - self.started,
        )
        return State(minimiser, {name: array.copy() for name, array in kept.items()}, {**facts, **asdict(monitored)})

    def record(self, theta: Array, cost: float, snapshot: Callable[[], State], **facts: Any) -> None:
        """Write down how an epoch or iteration went; θ is copied where it is kept."""
        record: dict[str, Any] = {self.unit: len(self.history) + 1, "cost": cost}
        if self.validation is not None:
            evaluation = self.validation.evaluate(theta)
            accuracy = None if evaluation[1] is None else float(evaluation[1])
            record["validation_cost"], record["validation_accuracy"] = float(evaluation[0]), accuracy
        record.update(facts)
        record["seconds"] = time.perf_counter() - self.started
        if self.history and self.tol is not None:
            self.n_no_change = self.n_no_change + 1 if abs(cost - self.history[-1]["cost"]) < self.tol else 0
        self.history.append(record)
        improved = False
        if self.validation is not None:
            improved = self.best.offer(_score(record), len(self.history), None if self.patience is None else theta)
        if self.progress is not None:
            self.progress.show(record)
        self._tell(theta, record, improved, snapshot)
        self.stop_if_due()

    def stop_if_due(self) -> None:
        """Raise `Stop` if the cost has settled or patience has run out: after a record, and where a run goes on."""
        if self.tol is not None and self.n_no_change >= self.tol_epochs:
            raise Stop(
                f"converged: the cost changed by less than {self.tol:g} in {counted(self.tol_epochs, self.unit)} running",
                CONVERGED,
            )
        if self.patience is not None and self.best.number and len(self.history) - self.best.number >= self.patience:
            raise Stop(
                f"stopped early: no better validation {_measure(self.history[-1])} in {counted(self.patience, self.unit)}",
                CONVERGED,
            )

    def _tell(self, theta: Array, record: dict[str, Any], improved: bool, snapshot: Callable[[], State]) -> None:
        """Call back as SciPy does: with an `intermediate_result` if that is what the callback takes, or else with θ."""
        if self.callback is None:
            return
        if self.passes_result:
            from scipy.optimize import OptimizeResult

            told = OptimizeResult(
                x=theta,
                fun=record["cost"],
                nit=len(self.history),
                history=self.history,
                improved=improved,
                snapshot=snapshot,
            )
            call_back(self.callback, intermediate_result=told)
        else:
            call_back(self.callback, theta.copy())

    def finish(self, theta: Array, message: str, status: int, success: bool, chosen: int, **facts: Any) -> "OptimizeResult":
        """The result with θ as the chosen record left it; with patience, θ is first put back to the best parameters."""
        from scipy.optimize import OptimizeResult

        if self.restores_best and (self.best.number != chosen or status == DIVERGED):
            chosen = self.best.number
            theta[...] = self.best.theta
            message += f"; restored the best parameters, of {self.unit} {chosen}"
        return OptimizeResult(
            x=theta,
            fun=self.history[chosen - 1]["cost"] if chosen else math.nan,
            nit=len(self.history),
            success=success,
            status=status,
            message=message,
            history=self.history,
            **facts,
        )


def _measure(record: dict[str, Any]) -> str:
    """What validation is judged by: accuracy, or cost where there is no accuracy."""
    return "cost" if record.get("validation_accuracy") is None else "accuracy"


def _score(record: dict[str, Any]) -> float:
    score = -record["validation_cost"] if _measure(record) == "cost" else record["validation_accuracy"]
    return float(score)


def call_back(function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Call the caller back; StopIteration ends the run."""
    try:
        function(*arguments, **named)
    except StopIteration:
        raise Stop("stopped by the callback", CALLBACK) from None


def _takes_result(callback: Callback) -> bool:
    """SciPy's rule: a callback whose one parameter is called intermediate_result gets the result; any other, θ."""
    try:
        return set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # some built-in callables have no signature
        return False
