"""Answers: labels with their probabilities, or numbers; and how they are written."""

import csv
import io
from dataclasses import dataclass

import numpy as np

from mlp.blas import Array
from mlp.network import answers as answers_of
from mlp.predict.inputs import Input, Model


@dataclass(frozen=True)
class Answers:
    """What a network answers to n inputs.

    Attributes:
        labels: the classes' names (n,), or None where the answers are numbers.
        columns: of what is written: the classes' names, or what the outputs are called.
        numbers: the classes' probabilities, (n, columns), or the answers themselves.
    """

    labels: Array | None
    columns: tuple[str, ...]
    numbers: Array

    def __len__(self) -> int:
        return len(self.numbers)

    def sentence(self, row: int = 0) -> str:
        """An answer as a person reads it: "7 (99.8 %)", and what it would be otherwise where that is not unlikely."""
        numbers = self.numbers[row]
        if self.labels is None:
            return ", ".join(f"{number:.6g}" for number in numbers)
        first, *others = np.argsort(-numbers, kind="stable")
        told = f"{self.labels[row]} ({_percent(float(numbers[first]))}"
        if others and numbers[others[0]] > 0.05:
            told += f"; {self.columns[others[0]]}: {_percent(float(numbers[others[0]]))}"
        return told + ")"


def answer(model: Model, read: Input) -> Answers:
    """What the model answers to an input."""
    net = model.net
    outputs = net.forward(read.X)
    plain = answers_of(outputs, net.output, net.dtype)  # refuses NaN
    meant = plain if model.preparation is None else np.asarray(model.preparation.answers(outputs))
    if net.output.name not in ("softmax", "logistic"):
        numbers = meant.reshape(len(outputs), -1)
        units = range(numbers.shape[1])
        return Answers(None, ("prediction",) if len(units) == 1 else tuple(f"output_{unit}" for unit in units), numbers)
    probabilities = outputs if outputs.shape[1] > 1 else np.hstack([1 - outputs, outputs])
    known = None if model.preparation is None else model.preparation.classes
    classes = tuple(known or map(str, range(probabilities.shape[1])))
    return Answers(meant, classes, probabilities)


def table_lines(answered: list[tuple[str, Answers]], named: bool) -> list[str]:
    """CSV, line by line: the input's name if wanted, the label, p_CLASS for each class; or the numbers."""
    first = answered[0][1]
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    label = [] if first.labels is None else ["label"]
    columns = first.columns if first.labels is None else [f"p_{name}" for name in first.columns]
    table.writerow([*(["input"] if named else []), *label, *columns])
    for name, answers in answered:
        labels = [[]] * len(answers) if answers.labels is None else [[label] for label in answers.labels.tolist()]
        for label, numbers in zip(labels, answers.numbers.tolist(), strict=True):
            table.writerow([*([name] if named else []), *label, *(f"{number:.6g}" for number in numbers)])
    return text.getvalue().splitlines()


def _percent(probability: float) -> str:
    """Never rounded up to certainty."""
    return f"{100 * probability:.1f} %" if probability < 0.9995 else ">99.9 %"
