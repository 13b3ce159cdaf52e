"""How well a network does on a test set, beside what knowing nothing of the inputs gives: `Score`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import mlp
from mlp.blas import Array
from mlp.checks import counted
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
        r2: the share of the test targets' variance that is explained, 1 − Σ(y − ŷ)²/Σ(y − ȳ)²; NaN where they have none.
        counts: (classes, classes) how often each true class (row) was taken for each.
    """

    n: int
    cost: float
    right: int = 0
    plain: float = 0.0
    largest: str = ""
    rmse: float | None = None
    r2: float | None = None
    counts: Array | None = None

    @property
    def value(self) -> float:
        """What a run is judged by: the accuracy, or the root mean square error."""
        return self.right / self.n if self.rmse is None else self.rmse

    def notes(self) -> dict[str, Any]:
        """What a model file says of it."""
        if self.rmse is None:
            return {"test_cost": self.cost, "test_accuracy": self.right / self.n}
        return {"test_cost": self.cost, "test_rmse": self.rmse, "test_r2": None if np.isnan(self.r2 or 0.0) else self.r2}

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
        return f"Test error: {self.rmse:.4g} (root mean square, {beside}), {explained}, test cost {self.cost:.4f}"

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
    errors = test.preparation.answers(net.forward(test.X)) - true
    spread = float(np.sum((true - true.mean()) ** 2))
    return Score(
        len(test),
        tested.cost,
        plain=float(np.sqrt(np.mean((plain * factor + offset - true) ** 2))),
        rmse=float(np.sqrt(np.mean(errors**2))),
        r2=1 - float(np.sum(errors**2)) / spread if spread else float("nan"),
    )
