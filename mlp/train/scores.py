"""How well a network does on a test set, beside what knowing nothing of the inputs gives: `Score`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import mlp
from mlp.blas import Array
from mlp.checks import counted
from mlp.costs import Poisson
from mlp.network import labels_from


@dataclass(frozen=True)
class Score:
    """What a network achieves on n examples.

    Attributes:
        n: how many examples there are.
        cost: the mean cost, without any penalty.
        right: in classification, how many are right.
        plain: how many would be right (or the root mean square error), were the answer always the training set's largest
            class (or its mean).
        largest: that class's name.
        rmse: in regression, the root mean square error in the target's own units.
        mae: in regression, the mean absolute error, in the same units.
        r2: the share of the test targets' variance that is explained, 1 − Σ(y − ŷ)²/Σ(y − ȳ)²; NaN where they have none.
        deviance: of counts, the mean Poisson deviance, in the target's own units; and what answering the mean gives.
        counts: (classes, classes) how often each true class (row) was taken for each.
    """

    n: int
    cost: float
    right: int = 0
    plain: float = 0.0
    largest: str = ""
    rmse: float | None = None
    mae: float | None = None
    r2: float | None = None
    deviance: tuple[float, float] | None = None
    counts: Array | None = None

    @property
    def value(self) -> float:
        """What a run is judged by: the accuracy, or the root mean square error."""
        return self.right / self.n if self.rmse is None else self.rmse

    def notes(self) -> dict[str, Any]:
        """What a model file says of it."""
        if self.rmse is None:
            return {"test_cost": self.cost, "test_accuracy": self.right / self.n}
        found = {"test_cost": self.cost, "test_rmse": self.rmse, "test_mae": self.mae, "test_r2": self.r2}
        found |= {} if self.deviance is None else {"test_deviance": self.deviance[0]}
        return {name: None if np.isnan(value or 0.0) else value for name, value in found.items()}

    def line(self) -> str:
        """The line that a run is for."""
        if self.rmse is None:
            alone = f"; always {self.largest!r}: {100 * self.plain / self.n:.2f} %" if self.largest else ""
            return (
                f"Test accuracy: {100 * self.right / self.n:.2f} % ({self.n - self.right:,} of {self.n:,} wrong{alone}), "
                f"test cost {self.cost:.4f}"
            )
        explained = "R² undefined" if self.r2 is None or np.isnan(self.r2) else f"R² {self.r2:.4f}"
        beside = f"{counted(self.n, 'example')}; predicting the mean: {self.plain:.4g}"
        deviance = ""
        if self.deviance is not None:
            own, plain = self.deviance
            deviance = f"mean Poisson deviance {own:.4g} (predicting the mean: {plain:.4g}), "
        return (
            f"Test error: {self.rmse:.4g} (root mean square, {beside}), mean absolute error {self.mae:.4g}, {deviance}"
            f"{explained}, test cost {self.cost:.4f}"
        )

    def per_class(self, classes: tuple[str, ...]) -> list[str]:
        """A table with a line for each class: how many there are, how many of them were recognised, and how many of those
        that were taken for it were it."""
        if self.counts is None:
            return []
        width = max(5, *map(len, classes))
        lines = [f"{'class':{width}}  examples  recognised  rightly so called"]
        for label, name in enumerate(classes):
            true, given, right = self.counts[label].sum(), self.counts[:, label].sum(), self.counts[label, label]
            if not true and not given:  # a number between those of other classes
                continue
            recall = f"{100 * right / true:.2f} %" if true else "–"
            precision = f"{100 * right / given:.2f} %" if given else "–"
            lines.append(f"{name:{width}}  {true:8,}  {recall:>10}  {precision:>17}")
        return lines


def plain_answer(training: mlp.Examples) -> float:
    """The best answer that needs no inputs: the largest class's label, or the mean."""
    if training.classes is None:
        return float(np.mean(training.y))
    return float(np.bincount(training.y).argmax())


def score(net: mlp.MLP, test: mlp.Examples, cost: Any, plain: float) -> Score:
    """How the network does on a test set that isn't empty; `plain` is the training set's `plain_answer`."""
    tested = mlp.Objective(net, test.X, test.y, cost=cost).evaluate(net.theta)
    if test.classes is not None:
        given = labels_from(net.forward(test.X))
        k = max(len(test.classes), 2)
        counts = np.bincount(test.y * k + given, minlength=k * k).reshape(k, k)
        label = int(plain)
        right = round(float(tested.accuracy or 0) * len(test))
        return Score(len(test), tested.cost, right, int((test.y == label).sum()), test.classes[label], counts=counts)
    assert test.preparation is not None
    offset, factor = test.preparation.target_offset_and_factor
    true = test.y * factor + offset
    given = test.preparation.answers(net.forward(test.X))
    errors, mean = given - true, plain * factor + offset
    target = test.preparation.target
    rates = net.output.name == "exponential" and target is not None and target.kind == "count"
    spread = float(np.sum((true - true.mean()) ** 2))
    return Score(
        len(test),
        tested.cost,
        plain=float(np.sqrt(np.mean((mean - true) ** 2))),
        rmse=float(np.sqrt(np.mean(errors**2))),
        mae=float(np.mean(np.abs(errors))),
        r2=1 - float(np.sum(errors**2)) / spread if spread else float("nan"),
        deviance=(_deviance(true, given), _deviance(true, np.full_like(true, mean))) if rates else None,
    )


def _deviance(true: Array, given: Array) -> float:
    """The mean Poisson deviance of rates (n,) for counts (n,)."""
    A = given[None]
    with np.errstate(all="ignore"):
        return 2 * float(np.mean(Poisson().values(np.log(A), A, true[None], np.empty_like(A))))
