"""What a classifier answers, and what would have been right, as labels."""

from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import shown
from mlp.network import labels_from


def labels_and_confidence(net: Any, X: Array) -> tuple[int, Array, Array]:
    """How many outputs a classifier has, its labels (n,) for X (n, features), and the output behind each, (n,)."""
    units, kind = net.sizes[-1], net.output.name
    if units == 1 and kind != "logistic":
        raise ValueError(f"net: received a network with one {kind} output, but it must be a classifier: one or more classes")
    outputs = net.forward(X)
    labels = labels_from(outputs)
    confidence: Array = np.maximum(outputs[:, 0], 1 - outputs[:, 0]) if units == 1 else outputs.max(axis=1)
    return units, labels, confidence


def check_labels(name: str, given: Any, n: int | None, classes: int | None) -> Array:
    """Labels as integers (n,), from (n,), (n, 1) or (n, classes) with a 1 for the class."""
    y: Array = np.asarray(given)
    rows = n if n is not None else (len(y) if y.ndim else 0)
    if y.dtype.kind not in "buif" or y.ndim not in (1, 2) or len(y) != rows or y.size == 0:
        what = f"shape {y.shape}" if y.dtype.kind in "buif" else shown(given)
        raise ValueError(f"{name}: received {what}, but it must be labels ({'n' if n is None else n},)")
    if y.ndim == 2:
        y = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
    labels = y.astype(np.intp)
    wrong = np.flatnonzero((labels != y) | (labels < 0) | (labels >= (classes or np.inf)))
    if len(wrong):
        allowed = "integers from 0" + (f" to {classes - 1}" if classes else "")
        raise ValueError(f"{name}: received label {y[wrong[0]]} at example {wrong[0]:,}, but labels must be {allowed}")
    return labels
