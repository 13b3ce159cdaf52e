"""`Watch`, which an estimator's training reports to after each epoch or iteration, and `Tasks`, which tells scikit-learn's
callbacks of them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlp.blas import Array

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as with_callbacks
except ImportError:  # before 1.9 there are no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """The method as it is."""
        return method


class Tasks:
    """A fit as scikit-learn's callbacks see it: a task, each of whose epochs or iterations is a subtask.

    Args:
        estimator: whose callbacks they are.
        X, y, sample_weight: what it is trained on; sample_weight may be None.
    """

    def __init__(self, estimator: Any, X: Array, y: Array, sample_weight: Array | None):
        self.estimator = estimator
        weights = None if sample_weight is None else {"sample_weight": sample_weight}
        self.facts = {"estimator": estimator, "X": X, "y": y, "metadata": weights}
        self.name = "epoch" if estimator.solver in ("sgd", "adam") else "iteration"
        self.left = int(estimator.max_iter)
        self.fit: Any = None
        self.one: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self.fit = estimator._init_callback_context(max_subtasks=self.left)
            self.fit.call_on_fit_task_begin(**self.facts)
        self.begin_one()

    def begin_one(self) -> None:
        """The next epoch or iteration begins, if there may be another."""
        if self.fit is not None and self.left:
            self.one = self.fit.subcontext(task_name=self.name)
            self.one.call_on_fit_task_begin(**self.facts)

    def end_one(self, theta: Array) -> bool:
        """One has ended with these parameters; whether a callback asks to stop."""
        if self.one is None:
            return False
        self.left -= 1
        net = self.estimator.network_
        one, self.one = self.one, None

        def fitted() -> dict[str, Any]:
            return {"network_": net.at(np.array(theta, net.dtype))}

        return bool(one.call_on_fit_task_end(**self.facts, reconstruction_attributes=fitted))

    def end(self) -> None:
        """The fit has ended, its last subtask perhaps before it did anything."""
        if self.one is not None:
            self.one.call_on_fit_task_end(estimator=self.estimator)
        if self.fit is not None:
            self.fit.call_on_fit_task_end(**self.facts, reconstruction_attributes={})


class Watch:
    """What an estimator looks at after each epoch or iteration: the loss, the validation score, and whether to stop.

    As in scikit-learn, training stops when n_iter_no_change records running have not been better than the best so far by
    more than tol: in the score where there is a validation set, else in the loss.

    Args:
        estimator: whose attributes it writes.
        validation: X and y, by which the score is; or None.
        incremental: whether this is a `partial_fit`, which never stops early.
        tasks: what callbacks are told, or None.
    """

    def __init__(self, estimator: Any, validation: tuple[Array, Array] | None, incremental: bool, tasks: Tasks | None):
        self.of, self.validation, self.tasks = estimator, validation, tasks
        self.stops = estimator.solver in ("sgd", "adam") and not incremental
        self.incremental = incremental
        self.idle = 0
        self.best = -math.inf
        self.best_theta: Array | None = None
        self.factor = 1.0

    def schedule(self, n: int) -> Callable[[int], float]:
        """The factor of the learning rate by epoch, of n samples each."""
        power = self.of.power_t
        if self.of.learning_rate == "invscaling":
            return lambda epoch: float((epoch * n + 1) ** -power)
        return lambda _epoch: self.factor

    def __call__(self, intermediate_result: Any) -> None:
        of, loss = self.of, float(intermediate_result.fun)
        of.loss_curve_.append(loss)
        of.n_iter_ += 1
        said = f"Iteration {of.n_iter_}, loss = {loss:.8f}"
        figure = -loss
        if self.validation is not None:
            of.network_.theta = intermediate_result.x
            figure = of._score(*self.validation)
            of.validation_scores_.append(figure)
            said += f", validation score = {figure:.6f}"
        if of.verbose:
            print(said)
        if self.incremental:
            of._state = intermediate_result.snapshot()
        self.idle = 0 if figure > self.best + of.tol else self.idle + 1
        if figure > self.best:
            self.best = figure
            if self.validation is not None:
                self.best_theta = intermediate_result.x.copy()
        if self.tasks is not None and self.tasks.end_one(intermediate_result.x):
            raise StopIteration
        if self.stops and self.idle >= of.n_iter_no_change:
            self._stop_or_slow_down()
        if self.tasks is not None:
            self.tasks.begin_one()

    def _stop_or_slow_down(self) -> None:
        """An adaptive learning rate is divided by 5 first, until it is below 10⁻⁶."""
        of = self.of
        if of.solver == "sgd" and of.learning_rate == "adaptive" and of.learning_rate_init * self.factor > 1e-6:
            self.factor /= 5
            self.idle = 0
            return
        raise StopIteration
