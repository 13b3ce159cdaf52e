"""Minimisers of a function of one vector: `sgd`, `adam`, `lbfgs`. They know an objective and θ, and no network.

An objective is called as `objective(theta, rows) -> (cost, gradient)`, and `len(objective)` says over how many examples
rows range; without a length it is a plain function `objective(theta)`, for full-batch descent. Where it offers
`accumulate`, as `mlp.Objective` does, descent steps are taken through that (see there); where it is `noisy`, each of them
with noise of its own, drawn from the run's generator; and where it offers `constrain`, θ is put through that after each. A
validation set is anything with `evaluate(theta) -> (cost, accuracy or None)`, again such as an `mlp.Objective`.

Read the update rules first (`_Descent` to `_Adam`), then `_descend`, the one loop that runs them, and `_Monitor`, which
keeps the history and decides when to stop for all three minimisers. All return `scipy.optimize.OptimizeResult`:

    x        θ, the vector given, updated in place
    fun      the last cost recorded (history[-1]["cost"], or the restored epoch's). Of sgd and adam that is the mean over
             the epoch's batches as they were met, before their steps: the cost at x is objective(x)[0]
    nit      epochs (sgd, adam) or iterations (lbfgs);  nfev: evaluations of the gradient
    history  one record for each of them, a `History`
    status   0 converged or ran as asked · 1 not converged within the limit ·
             2 line search failed (lbfgs) · 3 diverged · 99 stopped by the callback
    success, message   whether that is good, and why it stopped

They serve `scipy.optimize.minimize(objective, theta, jac=True, method=mlp.sgd, options={...})` too; there, as is SciPy's
way, the vector given is left alone.
"""

import difflib
import inspect
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from mlp.blas import Array, axpy, dot, scale
from mlp.checks import check_integer, check_name, check_number, converted, shown
from mlp.data import batches

Callback = Callable[..., Any]
Schedule = Callable[[int], float]

CONVERGED, LIMIT, DIVERGED, CALLBACK = 0, 1, 3, 99  # 2 is SciPy's, for a line search that failed


@dataclass
class State:
    """Where a run stands: enough to go on from, with the same minimiser, settings and data (`mlp.save_state` keeps it).

    sgd and adam go on to the same bits as if nothing had happened, from the middle of an epoch too. L-BFGS goes on from
    its last iterate; its memory of past steps is SciPy's own and cannot be kept, so it builds a new one.

    Attributes:
        minimiser: "sgd", "adam" or "lbfgs".
        arrays: "theta", the update rule's vectors ("velocity"; "m", "v"), "safe", and "best" and "average" where patience
            and average keep them.
        facts: everything else, as JSON can hold it: position, random state, history.
    """

    minimiser: str
    arrays: dict[str, Array]
    facts: dict[str, Any]


class History(list[dict[str, Any]]):
    """One record (a dict) per epoch or iteration; `history["cost"]` is the column of that name."""

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return [record[key] for record in self]
        return super().__getitem__(key)


# Update rules. η is the learning rate, λ the objective's weight decay, ∂C the mini-batch gradient, penalty included.


class _Descent:
    """θ ← θ − η ∂C: the step is added up into θ itself."""

    #: The vectors that a step depends on besides θ, and that a `State` keeps.
    kept: tuple[str, ...] = ()
    #: How many steps have been taken.
    steps = 0

    def __init__(self, objective: Any):
        self.objective = objective

    def step(self, theta: Array, rows: Any, rate: float, *noise: Any) -> float:
        cost: float = self.objective.accumulate(theta, rows, theta, -rate, 1.0, *noise)
        return cost


class _Momentum(_Descent):
    """v ← μv − η ∂C, θ ← θ + v (Polyak 1964)."""

    kept = ("velocity",)

    def __init__(self, objective: Any, theta: Array, momentum: float):
        super().__init__(objective)
        self.momentum = momentum
        self.velocity = np.zeros_like(theta)

    def step(self, theta: Array, rows: Any, rate: float, *noise: Any) -> float:
        cost: float = self.objective.accumulate(theta, rows, self.velocity, -rate, self.momentum, *noise)
        axpy(1.0, self.velocity, theta)
        return cost


class _Nesterov(_Momentum):
    """v ← μv − η ∂C, θ ← θ + μv − η ∂C: θ stands where the gradient is taken (Sutskever et al. 2013; Bengio's form)."""

    def __init__(self, objective: Any, theta: Array, momentum: float):
        super().__init__(objective, theta, momentum)
        self.descent = np.empty_like(theta)

    def step(self, theta: Array, rows: Any, rate: float, *noise: Any) -> float:
        cost: float = self.objective.accumulate(theta, rows, self.descent, -rate, 0.0, *noise)
        self.velocity *= self.momentum
        self.velocity += self.descent
        theta += self.descent
        axpy(self.momentum, self.velocity, theta)
        return cost


class _Adam(_Descent):
    """m ← β₁m + (1 − β₁) ∂C, v ← β₂v + (1 − β₂) ∂C², θ ← θ − η m̂/(√v̂ + ε), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    (Kingma and Ba 2015, algorithm 1; weight decay is part of the cost, hence of ∂C.) Kept are m/(1 − β₁) and
    v/(1 − β₂), which saves two products. BLAS does what is linear, on all cores; the rest goes block by block, so that a
    block stays in cache.
    """

    kept = ("m", "v")
    BLOCK = 32768

    def __init__(self, objective: Any, theta: Array, beta1: float, beta2: float, epsilon: float):
        super().__init__(objective)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.m, self.v, self.gradient = np.zeros_like(theta), np.zeros_like(theta), np.empty_like(theta)
        starts = range(0, theta.size, self.BLOCK)
        self.blocks = [
            tuple(vector[start : start + self.BLOCK] for vector in (self.gradient, self.m, self.v)) for start in starts
        ]

    def step(self, theta: Array, rows: Any, rate: float, *noise: Any) -> float:
        cost: float = self.objective.accumulate(theta, rows, self.gradient, 1.0, 0.0, *noise)
        t = self.steps + 1
        # θ − η m̂/(√v̂ + ε) with numerator and denominator divided by √((1 − β₂)/(1 − β₂ᵗ)), in terms of what is kept
        root = math.sqrt((1 - self.beta2) / (1 - self.beta2**t))
        factor = -rate * (1 - self.beta1) / (1 - self.beta1**t) / root
        epsilon = self.epsilon / root
        scale(self.beta1, self.m)
        axpy(1.0, self.gradient, self.m)
        scale(self.beta2, self.v)
        for g, m, v in self.blocks:
            v += np.square(g, out=g)
            np.sqrt(v, out=g)
            g += epsilon
            np.divide(m, g, out=g)
        axpy(factor, self.gradient, theta)
        return cost


# Learning-rate schedules: functions of the epoch, counted from 0, that return a factor of the learning rate


def get_schedule(schedule: str | Schedule, epochs: int) -> Schedule:
    """The schedule of that name, "step:0.1:10" with its parameters, or the user's own function of the epoch."""
    if callable(schedule):
        return schedule
    if not isinstance(schedule, str):
        raise TypeError(
            f"schedule: received {shown(schedule)}, but it must be constant, step, exponential, cosine or a function of the "
            "epoch that returns a factor of the learning rate"
        )
    name, *given = schedule.split(":")
    defaults = {"constant": [], "step": [0.1, max(1, epochs // 3)], "exponential": [0.95], "cosine": []}
    check_name("schedule", name, defaults)
    try:
        numbers = [float(text) for text in given]
        if name == "step" and len(numbers) == 2 and not numbers[1].is_integer():
            raise ValueError
        if len(numbers) > len(defaults[name]) or not all(number > 0 and math.isfinite(number) for number in numbers):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"schedule: received {shown(schedule)}, but it must be constant, step:FACTOR:EPOCHS, exponential:FACTOR or "
            "cosine, with parameters above 0"
        ) from None
    parameters = numbers + defaults[name][len(numbers) :]
    if name == "step":
        factor, every = parameters
        return lambda epoch: float(np.float64(factor) ** (epoch // every))  # which may be infinite, and is then refused
    if name == "exponential":
        return lambda epoch: float(np.float64(parameters[0]) ** epoch)
    if name == "cosine":
        return lambda epoch: 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    return lambda _epoch: 1.0


# What all minimisers share: history, callback and the reasons to stop


class _Stop(Exception):
    """Ends a run: why, and how that is reported."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class _Monitor:
    """Keeps the history and the best parameters, tells the callback, and raises `_Stop` when it is time."""

    def __init__(
        self,
        unit: str,
        validation: Any,
        patience: int | None,
        tol: float | None,
        tol_epochs: int,
        callback: Callback | None,
    ):
        if validation is not None and not hasattr(validation, "evaluate"):
            raise TypeError(f"validation: received {shown(validation)}, but it must have evaluate(theta), as an Objective has")
        if patience is not None:
            check_integer("patience", patience, at_least=1)
            if validation is None:
                raise ValueError(f"patience: received {patience} without a validation set to be patient about")
        _check_callable("callback", callback)
        self.unit = unit
        self.validation = validation
        self.patience = patience
        self.tol = None if tol is None else check_number("tol", tol, at_least=0)
        self.tol_epochs = check_integer("tol_epochs", tol_epochs, at_least=1)
        self.callback = callback
        self.passes_result = callback is not None and _takes_result(callback)
        self.history = History()
        self.calm = 0  # for how many records |ΔC| has been below tol
        self.best: tuple[float, int, Array] | None = None  # score, number of the record, parameters
        self.started = time.perf_counter()

    def restore(self, state: State) -> None:
        """Go on from there: as if the history, the best parameters and the clock had been this run's own."""
        facts = state.facts
        self.history = History(facts["history"])
        self.calm = facts["calm"]
        self.best = (*facts["best"], state.arrays["best"].copy()) if facts["best"] else None
        self.started = time.perf_counter() - facts["seconds"]

    def state(self, minimiser: str, arrays: dict[str, Array], **facts: Any) -> State:
        """The run's state: what the minimiser says of itself, copied, and what the monitor knows."""
        if self.best is not None:
            arrays = {**arrays, "best": self.best[2]}
        return State(
            minimiser,
            {name: array.copy() for name, array in arrays.items()},
            {
                **facts,
                "history": list(self.history),
                "calm": self.calm,
                "best": list(self.best[:2]) if self.best is not None else None,
                "seconds": time.perf_counter() - self.started,
            },
        )

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
            self.calm = self.calm + 1 if abs(cost - self.history[-1]["cost"]) < self.tol else 0
        self.history.append(record)
        if self.patience is not None:
            self._compare(theta, record)
        self._tell(theta, record, snapshot)
        self.stop_if_due()

    def stop_if_due(self) -> None:
        """Raise `_Stop` if the cost has settled or patience has run out: after a record, and where a run goes on."""
        if self.tol is not None and self.calm >= self.tol_epochs:
            raise _Stop(
                f"converged: the cost changed by less than {self.tol:g} in {_count(self.tol_epochs, self.unit)} running",
                CONVERGED,
            )
        if self.patience is not None and self.best is not None and len(self.history) - self.best[1] >= self.patience:
            raise _Stop(
                f"stopped early: no better validation {_measure(self.history[-1])} in {_count(self.patience, self.unit)}",
                CONVERGED,
            )

    def _compare(self, theta: Array, record: dict[str, Any]) -> None:
        """Keep θ if it is the best so far: by accuracy on the validation set, or by cost where there is no accuracy."""
        score = -record["validation_cost"] if _measure(record) == "cost" else record["validation_accuracy"]
        if self.best is None or score > self.best[0] or math.isnan(self.best[0]):
            self.best = score, len(self.history), theta.copy()

    def _tell(self, theta: Array, record: dict[str, Any], snapshot: Callable[[], State]) -> None:
        """Call back as SciPy does: with an `intermediate_result` if that is what the callback takes, or else with θ."""
        if self.callback is None:
            return
        told = OptimizeResult(x=theta, fun=record["cost"], nit=len(self.history), history=self.history, snapshot=snapshot)
        if self.passes_result:
            _call(self.callback, intermediate_result=told)
        else:
            _call(self.callback, theta.copy())

    def finish(self, theta: Array, message: str, status: int, success: bool, chosen: int, **facts: Any) -> OptimizeResult:
        """The result with θ as the chosen record left it; with patience, θ is first put back to the best parameters."""
        if self.best is not None and (self.best[1] != chosen or status == DIVERGED):
            _, chosen, best_theta = self.best
            theta[...] = best_theta
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
    """What validation is judged by."""
    return "cost" if record["validation_accuracy"] is None else "accuracy"


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" + ("s" if number != 1 else "")


def _check_callable(name: str, function: Any) -> None:
    if function is not None and not callable(function):
        raise TypeError(f"{name}: received {shown(function)}, but it must be callable")


def _takes_result(callback: Callback) -> bool:
    """SciPy's rule: a callback whose one parameter is called intermediate_result gets the result; any other, θ."""
    try:
        return set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # some built-in callables have no signature
        return False


# The loop of sgd and adam


def _descend(
    minimiser: Any,
    objective: Any,
    theta: Array,
    rule: Callable[[Any, Array], _Descent],
    *,
    learning_rate: float,
    schedule: str | Schedule,
    batch_size: int | None,
    epochs: int,
    seed: int | np.random.Generator | None,
    average: int,
    monitor: _Monitor,
    state: State | None,
    each_step: Callable[[Callable[[], State]], Any] | None,
    scipy: dict[str, Any],
) -> OptimizeResult:
    """Epochs of mini-batch steps by one of the update rules."""
    _check_callable("each_step", each_step)
    objective, given = _unwrap(minimiser, objective, theta, scipy)
    check_number("learning_rate", learning_rate, above=0)
    check_integer("epochs", epochs, at_least=0)
    check_integer("average", average, at_least=0)
    factor = get_schedule(schedule, epochs)
    n = len(objective) if hasattr(objective, "__len__") else None
    if batch_size is not None:
        check_integer("batch_size", batch_size, at_least=1)
        if n is None:
            raise ValueError(
                f"batch_size: received {batch_size}, but the objective has no len(), so it is not known over how many "
                "examples batches range; only batch_size=None (full-batch descent) is allowed"
            )
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(_check_seed(seed))
    constrain = getattr(objective, "constrain", None)
    if not hasattr(objective, "accumulate"):
        objective = _Plain(objective)
    # θ itself is what is updated, unless the objective's arithmetic is in another dtype
    theta = np.ascontiguousarray(converted("theta", given, getattr(objective, "dtype", given.dtype)))
    update = rule(objective, theta)
    noisy = getattr(objective, "noisy", False)
    # The last parameters known to have a finite cost, and after how many epochs they were met; and those of the last
    # epoch's end, whose cost the next step will tell
    safe, proven, latest = theta.copy(), 0, theta.copy()
    # Where the run stands: epochs done; and in the current one its generator, batches done, their cost and examples
    epoch, order, done, total, seen = 0, _order(rng), 0, 0.0, 0
    averaged = 0  # over how many steps the parameters have been averaged
    vectors = {"theta": theta, "safe": safe, **{name: getattr(update, name) for name in update.kept}}
    if average:
        vectors["average"] = np.zeros_like(theta)
    if state is not None:
        facts = _check_state(state, minimiser.__name__, vectors, _POSITION)
        try:
            rng.bit_generator.state = facts["order"]
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            kind = type(rng.bit_generator).__name__
            raise ValueError(f"state: received {shown(facts['order'])} as order, but it must be of this {kind}") from error
        for name, vector in vectors.items():
            vector[...] = state.arrays[name]
        epoch, order, done, total, seen = (facts[name] for name in ("epoch", "order", "done", "total", "seen"))
        update.steps, proven, averaged = facts["steps"], facts["proven"], facts["averaged"]
        latest[...] = theta
        monitor.restore(state)

    def snapshot() -> State:
        position = {"epoch": epoch, "order": order, "done": done, "total": total, "seen": seen}
        return monitor.state(minimiser.__name__, vectors, **position, steps=update.steps, proven=proven, averaged=averaged)

    message, status, success = f"ran all {_count(epochs, 'epoch')}", CONVERGED, True
    try:
        monitor.stop_if_due()
        with np.errstate(all="ignore"):  # what overflows shows in the cost, which is looked at after every step
            while epoch < epochs:
                rate = learning_rate * _check_factor(factor(epoch), epoch)
                key = int(rng.integers(1 << 63)) if noisy else 0
                drawn = [None] if batch_size is None else batches(n or 0, batch_size, rng)
                for rows in islice(drawn, done, None):
                    count = (n or 1) if rows is None else len(rows)
                    total += update.step(theta, rows, rate, *([(key, done)] if noisy else [])) * count
                    seen += count
                    done += 1
                    update.steps += 1
                    if not math.isfinite(total):
                        raise _Diverged(f"the cost became {total:g} in epoch {epoch + 1}, step {update.steps:,}")
                    if constrain is not None:
                        constrain(theta)
                    if epoch >= epochs - average:
                        averaged += 1
                        scale(1 - 1 / averaged, vectors["average"])
                        axpy(1 / averaged, theta, vectors["average"])
                    if done == 1:
                        safe[...], proven = latest, epoch
                    if each_step is not None:
                        _call(each_step, snapshot)
                cost = total / seen + (objective.penalty(theta) if hasattr(objective, "penalty") else 0.0)
                if not math.isfinite(cost) or not _is_finite(theta):
                    raise _Diverged(f"parameters became infinite or NaN in epoch {epoch + 1}, by step {update.steps:,}")
                if not all(_is_finite(getattr(update, name)) for name in update.kept):
                    raise _Diverged(f"what steps depend on overflowed in epoch {epoch + 1}, by step {update.steps:,}")
                latest[...] = theta
                epoch, order, done, total, seen = epoch + 1, _order(rng), 0, 0.0, 0
                monitor.record(vectors["average"] if averaged else theta, cost, snapshot, learning_rate=rate)
        if monitor.tol is not None:
            message = f"not converged: {message} without the cost settling to within tol={monitor.tol:g}"
            status, success = LIMIT, False
    except _Diverged as reason:
        theta[...], averaged = safe, 0
        kept = f"of the end of epoch {proven}" if proven else "from before the first step"
        if monitor.best is not None:
            kept = "that did best"
        message = (
            f"diverged: {reason}; the parameters {kept} are kept. Try a learning rate below {learning_rate:g}, or inputs "
            "scaled to about 1"
        )
        status, success = DIVERGED, False
    except _Stop as reason:
        message, status, success = str(reason), reason.status, reason.status == CONVERGED
    if averaged:
        theta[...] = vectors["average"]
        message += f"; averaged the parameters over the last {_count(averaged, 'step')}"
    chosen = proven if status == DIVERGED else len(monitor.history)
    result = monitor.finish(theta, message, status, success, chosen, nfev=update.steps)
    if theta is not given:
        given[...] = theta
        result.x = given
    return result


def _is_finite(vector: Array) -> bool:
    """Whether every number is; its extremes tell, without memory for more."""
    return math.isfinite(vector.max()) and math.isfinite(vector.min())


def _call(function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Call the caller back; StopIteration ends the run."""
    try:
        function(*arguments, **named)
    except StopIteration:
        raise _Stop("stopped by the callback", CALLBACK) from None


def _order(rng: np.random.Generator) -> dict[str, Any]:
    """The generator's state, in numbers that JSON can hold."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return value.tolist() if isinstance(value, np.ndarray) else value

    state: dict[str, Any] = plain(rng.bit_generator.state)
    return state


#: The facts of a state and their kinds: of all minimisers, and of sgd and adam.
_KNOWN = {"history": list, "calm": int, "best": list | None, "seconds": int | float}
_POSITION = {
    "epoch": int,
    "order": dict,
    "done": int,
    "total": int | float,
    "seen": int,
    "steps": int,
    "proven": int,
    "averaged": int,
}


def _check_state(state: Any, minimiser: str, vectors: dict[str, Array], kinds: dict[str, Any]) -> dict[str, Any]:
    """The facts of a state that this run can go on from; `kinds` are those that only this minimiser's have."""
    if not isinstance(state, State):
        raise TypeError(f"state: received {shown(state)}, but it must be None or a State")
    if state.minimiser != minimiser:
        raise ValueError(f"state: received one of {state.minimiser}, but this is {minimiser}")
    found = {name: f"{array.dtype} {array.shape}" for name, array in state.arrays.items()}
    wanted = {name: f"{vector.dtype} {vector.shape}" for name, vector in vectors.items()}
    if "best" in found:
        wanted["best"] = wanted["theta"]
    if found != wanted:
        raise ValueError(f"state: received the vectors {found}, but this run has {wanted}: the settings or the network differ")
    if not np.isfinite(state.arrays["theta"]).all():
        raise ValueError("state: received parameters that are NaN or infinite, but every one must be finite")
    facts = state.facts
    for name, kind in {**_KNOWN, **kinds}.items():
        value = facts.get(name, "nothing")
        if not isinstance(value, kind) or (isinstance(value, int) and not 0 <= value < 1 << 63):
            raise ValueError(f"state: received {shown(value)} as {name}, but no run leaves such a state")
    best, history = facts["best"], facts["history"]
    if (best is not None) != ("best" in found):
        raise ValueError("state: received the best parameters without their score, or the reverse")
    if best is not None and not (
        len(best) == 2 and isinstance(best[0], int | float) and type(best[1]) is int and 1 <= best[1] <= len(history)
    ):
        raise ValueError(f"state: received {shown(best)} as best, but no run leaves such a state")
    for record in history:
        if not isinstance(record, dict) or not isinstance(record.get("cost"), int | float):
            raise ValueError(f"state: received {shown(record)} in its history, but no run leaves such a record")
    if facts.get("averaged") and "average" not in found:
        raise ValueError(f"state: received {shown(facts['averaged'])} as averaged, but no average")
    return facts


class _Diverged(Exception):
    """A cost or parameter is no longer finite."""


class _Plain:
    """A function (cost, gradient) behind the interface that descent steps are taken through."""

    def __init__(self, function: Callable[..., tuple[float, Array]]):
        self.function = function

    def accumulate(self, theta: Array, rows: Any, out: Array, alpha: float, beta: float) -> float:
        cost, gradient = self.function(theta) if rows is None else self.function(theta, rows)
        if beta:
            out *= beta
        else:
            out.fill(0)  # as with BLAS, it need not hold numbers yet
        out += alpha * gradient
        return float(cost)


def _check_seed(seed: Any) -> int | None:
    return None if seed is None else check_integer("seed", seed, at_least=0)


def _check_factor(factor: Any, epoch: int) -> float:
    return check_number(f"schedule at epoch {epoch}", factor, at_least=0)


_SCIPY_ARGUMENTS = ("args", "jac", "hess", "hessp", "bounds", "constraints")


def _unwrap(minimiser: Any, objective: Any, theta: Any, scipy: dict[str, Any]) -> tuple[Any, Array]:
    """The objective and the vector to update, however they were handed over.

    `scipy.optimize.minimize(..., jac=True)` wraps the objective in an object that remembers its gradient; the original
    is that object's `fun`. It passes x0 itself, which SciPy's methods never change, so a copy is updated.
    """
    for name in scipy:
        if name not in _SCIPY_ARGUMENTS:
            raise TypeError(f"received the unknown argument {name!r}{_closest(name, minimiser)}")
    for name in ("args", "hess", "hessp", "bounds", "constraints"):
        if scipy.get(name) is not None and (not isinstance(scipy[name], tuple) or scipy[name]):
            raise ValueError(f"{name}: received {shown(scipy[name])}, but this method takes none")
    if not callable(objective):
        raise TypeError(f"objective: received {shown(objective)}, but it must be callable: theta -> (cost, gradient)")
    if "jac" in scipy:  # called by SciPy
        jac = scipy["jac"]
        theta = np.array(theta)
        if getattr(jac, "__self__", None) is objective and hasattr(objective, "fun"):
            objective = objective.fun  # type: ignore[union-attr]
        elif jac is not True:
            raise ValueError(
                f"jac: received {shown(jac)}, but this method needs jac=True, with an objective that returns (cost, gradient)"
            )
    if not isinstance(theta, np.ndarray) or theta.ndim != 1 or theta.dtype not in (np.float32, np.float64) or not theta.size:
        raise TypeError(
            f"theta: received {shown(theta)}, but it must be a vector (P,) of float32 or float64, which is updated in place"
        )
    if not theta.flags.writeable:
        raise ValueError(f"theta: received the read-only {shown(theta)}, but it must be writeable: it is updated in place")
    if not np.isfinite(theta).all():
        raise ValueError(f"theta: received {theta[~np.isfinite(theta)][0]}, but every parameter must be finite")
    return objective, theta


def _closest(name: str, minimiser: Callable[..., Any]) -> str:
    known = [p for p in inspect.signature(minimiser).parameters if p not in ("objective", "theta", "scipy")]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f", but it must be one of {', '.join(known)}" + (f"; did you mean {close[0]!r}?" if close else "")


# The three minimisers


def sgd(
    objective: Any,
    theta: Array,
    *,
    learning_rate: float = 0.1,
    schedule: str | Schedule = "constant",
    momentum: float = 0.0,
    nesterov: bool = False,
    batch_size: int | None = 128,
    epochs: int = 10,
    seed: int | np.random.Generator | None = 0,
    average: int = 0,
    validation: Any = None,
    patience: int | None = None,
    tol: float | None = None,
    tol_epochs: int = 3,
    callback: Callback | None = None,
    state: State | None = None,
    each_step: Callable[[Callable[[], State]], Any] | None = None,
    **scipy: Any,
) -> OptimizeResult:
    """Stochastic, mini-batch or full-batch gradient descent on θ, in place.

    One step, with η the learning rate, μ the momentum and ∂C the gradient over the mini-batch:

        μ = 0:     θ ← θ − η ∂C
        momentum:  v ← μv − η ∂C,  θ ← θ + v
        Nesterov:  v ← μv − η ∂C,  θ ← θ + μv − η ∂C

    Args:
        objective: `mlp.Objective`; an object with len() that is called as objective(theta, rows) -> (cost, gradient); or,
            with batch_size=None, a function theta -> (cost, gradient).
        theta: parameters (P,), updated in place.
        learning_rate: η, above 0.
        schedule: what η is multiplied by in each epoch: "constant", "step:FACTOR:EPOCHS", "exponential:FACTOR",
            "cosine", or a function of the epoch (counted from 0).
        momentum: μ, from 0 to below 1.
        nesterov: whether the momentum is Nesterov's.
        batch_size: examples a step: 1 is stochastic descent, None full-batch. The last, shorter batch is used too.
        epochs: how many times to go through all examples, in a new random order each time.
        seed: of the order, and of the objective's distortions and dropout: an integer, a Generator, or None for another
            each time.
        average: over so many of the last epochs (all, where there are fewer), average the parameters, each step's (Polyak
            and Juditsky 1992): the average is what is evaluated after those epochs, and returned. 0: none.
        validation: what to evaluate after each epoch: an `Objective` over the validation set.
        patience: stop after so many epochs without a better validation accuracy (cost, for regression); with it, the
            best parameters are restored at the end.
        tol: stop once the cost changes by less than this, tol_epochs epochs running.
        callback: called after each epoch, in SciPy's way: `callback(intermediate_result)` gets an OptimizeResult with
            x (live: copy it; the average, where there is one), fun, nit, history, and snapshot, which returns the run's
            `State`; a callback with another parameter gets θ; StopIteration ends the run.
        state: where to go on from: a `State` of a run with the same settings. θ is overwritten with the state's.
        each_step: called after every step with a function that returns the run's `State`; StopIteration ends the run.

    Returns:
        `OptimizeResult` (see the top of this module). History records: epoch, cost (the mean over the epoch's
        mini-batches as they were met, plus the penalty at the end of it), validation_cost and validation_accuracy if
        there is a validation set, learning_rate, seconds.
    """
    check_number("momentum", momentum, at_least=0, below=1)
    if not isinstance(nesterov, bool | np.bool_):
        raise TypeError(f"nesterov: received {shown(nesterov)}, but it must be True or False")

    def rule(objective: Any, theta: Array) -> _Descent:
        if not momentum:
            return _Descent(objective)
        return (_Nesterov if nesterov else _Momentum)(objective, theta, momentum)

    return _descend(
        sgd,
        objective,
        theta,
        rule,
        learning_rate=learning_rate,
        schedule=schedule,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        average=average,
        monitor=_Monitor("epoch", validation, patience, tol, tol_epochs, callback),
        state=state,
        each_step=each_step,
        scipy=scipy,
    )


def adam(
    objective: Any,
    theta: Array,
    *,
    learning_rate: float = 1e-3,
    schedule: str | Schedule = "constant",
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    batch_size: int | None = 128,
    epochs: int = 10,
    seed: int | np.random.Generator | None = 0,
    average: int = 0,
    validation: Any = None,
    patience: int | None = None,
    tol: float | None = None,
    tol_epochs: int = 3,
    callback: Callback | None = None,
    state: State | None = None,
    each_step: Callable[[Callable[[], State]], Any] | None = None,
    **scipy: Any,
) -> OptimizeResult:
    """Adam (Kingma and Ba 2015) on θ, in place. One step, t counting from 1:

        m ← β₁m + (1 − β₁) ∂C,  v ← β₂v + (1 − β₂) ∂C²
        θ ← θ − η (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

    beta1 and beta2 are from 0 to below 1, epsilon above 0. All else is as in `sgd`.
    """
    check_number("beta1", beta1, at_least=0, below=1)
    check_number("beta2", beta2, at_least=0, below=1)
    check_number("epsilon", epsilon, above=0)
    return _descend(
        adam,
        objective,
        theta,
        lambda objective, theta: _Adam(objective, theta, beta1, beta2, epsilon),
        learning_rate=learning_rate,
        schedule=schedule,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        average=average,
        monitor=_Monitor("epoch", validation, patience, tol, tol_epochs, callback),
        state=state,
        each_step=each_step,
        scipy=scipy,
    )


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
    each_step: Callable[[Callable[[], State]], Any] | None = None,
    **scipy: Any,
) -> OptimizeResult:
    """SciPy's L-BFGS-B (Zhu, Byrd, Lu and Nocedal 1997) over all examples; the result is written into θ.

    The minimiser's arithmetic is float64, whatever θ's. Where SciPy would call a cost that turned NaN a success, this
    goes back to the best parameters met, and says that it diverged.

    Args:
        objective: `mlp.Objective`, or any function theta -> (cost, gradient).
        theta: parameters (P,), where to start; the result is written into it.
        maxiter: at most so many iterations, each of one evaluation or a few.
        memory: how many past steps the curvature is estimated from.
        gtol: stop when no component of the gradient is larger.
        ftol: stop when the cost falls by no more than this, times the cost where that is above 1.
        validation, patience, tol, tol_epochs, callback, state, each_step: as in `sgd`, by iteration.

    Returns:
        `OptimizeResult`, with njev and, where it was SciPy that ended the run at x, its jac and hess_inv. History
        records: iteration, cost,
        validation_cost and validation_accuracy if there is a validation set, gradient_norm, evaluations, seconds.
    """
    _check_callable("each_step", each_step)
    objective, given = _unwrap(lbfgs, objective, theta, scipy)
    if getattr(objective, "noisy", False):
        raise ValueError(
            "objective: has distortions or dropout, which need fresh draws for every step: use sgd or adam, or hold the draws "
            "with objective.with_noise(0)"
        )
    if getattr(objective, "max_norm", None) is not None:
        raise ValueError("objective: has a max_norm, which is seen to after every step of sgd and adam only")
    check_integer("maxiter", maxiter, at_least=0)
    check_integer("memory", memory, at_least=1)
    check_number("gtol", gtol, at_least=0)
    check_number("ftol", ftol, at_least=0)
    monitor = _Monitor("iteration", validation, patience, tol, tol_epochs, callback)
    evaluated = _Evaluated(objective)
    theta = given.astype(np.float64)
    if state is not None:
        evaluated.count = _check_state(state, "lbfgs", {"theta": theta}, {"evaluations": int})["evaluations"]
        theta[...] = state.arrays["theta"]
        monitor.restore(state)

    def snapshot() -> State:
        return monitor.state("lbfgs", {"theta": theta}, evaluations=evaluated.count)

    def record(intermediate_result: OptimizeResult) -> None:
        theta[...] = intermediate_result.x  # SciPy's own is one live buffer
        facts = {"gradient_norm": evaluated.gradient_norm, "evaluations": evaluated.count}
        monitor.record(theta, float(intermediate_result.fun), snapshot, **facts)
        if each_step is not None:
            _call(each_step, snapshot)

    ended: dict[str, Any] = {}
    try:
        monitor.stop_if_due()
        left = maxiter - len(monitor.history)
        if left <= 0:  # SciPy would make one iteration
            evaluated(theta)
            raise _Stop(f"ran {len(monitor.history) or 'no'} iterations", LIMIT)
        found = minimize(
            evaluated,
            theta.copy(),
            jac=True,
            method="L-BFGS-B",
            callback=record,
            options={"maxiter": left, "maxcor": memory, "gtol": gtol, "ftol": ftol, "maxfun": max(15_000, 20 * maxiter)},
        )
        theta[...] = found.x
        message, status, success = found.message, found.status, bool(found.success)
        if monitor.best is None or monitor.best[1] == len(monitor.history):  # x will be where SciPy ended
            ended = {name: found[name] for name in ("jac", "hess_inv")}
        if status == LIMIT:
            message = f"not converged in {_count(len(monitor.history), 'iteration')}; a larger maxiter goes on"
    except _Diverged as reason:
        if evaluated.best is None:
            kept = "the parameters are left as they were given"
        else:
            theta[...] = evaluated.best[1]
            kept = "went back to the best parameters met"
        message = f"diverged: {reason}; {kept}. Try smaller initial weights, or inputs scaled to about 1"
        status, success = DIVERGED, False
    except _Stop as reason:
        message, status, success = str(reason), reason.status, reason.status == CONVERGED
    if state is not None:
        message += f"; went on from iteration {len(state.facts['history'])}, without the memory of the steps before it"
    chosen = len(monitor.history)
    result = monitor.finish(theta, message, status, success, chosen, nfev=evaluated.count, njev=evaluated.count, **ended)
    if evaluated.best is not None and (status == DIVERGED or not monitor.history) and monitor.best is None:
        result.fun = evaluated.best[0]
    with np.errstate(all="ignore"):
        given[...] = theta
    result.x = given
    return result


class _Evaluated:
    """An objective that counts its evaluations, remembers the best and refuses to go on from what isn't finite."""

    def __init__(self, objective: Any):
        self.objective = objective
        self.count = 0
        self.gradient_norm = math.nan
        self.best: tuple[float, Array] | None = None

    def __call__(self, theta: Array) -> tuple[float, Array]:
        cost, gradient = self.objective(theta)
        gradient = np.ascontiguousarray(gradient, np.float64)
        self.count += 1
        self.gradient_norm = math.sqrt(dot(gradient, gradient))
        if not math.isfinite(cost) or not math.isfinite(self.gradient_norm):
            raise _Diverged(
                f"the cost became {cost:g}, its gradient's norm {self.gradient_norm:g}, in evaluation {self.count:,}"
            )
        if self.best is None or cost < self.best[0]:
            self.best = cost, theta.copy()
        return cost, gradient
