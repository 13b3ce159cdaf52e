"""What figures are drawn from, checked: networks, their inputs and labels, and what a classifier answers."""

from typing import Any

import numpy as np

from mlp.batches import check_input
from mlp.blas import Array
from mlp.checks import check_plain_array, shown
from mlp.network import labels_from


def check_network(name: str, net: Any, *, committees: bool = False) -> Any:
    """The network, if it is one: layers over one θ; or, where they are taken too, a committee of such."""
    needed = ["sizes", "output", "dtype", "forward"] + ([] if committees else ["layers"])
    if isinstance(net, type) or not all(hasattr(net, attribute) for attribute in needed):
        raise TypeError(f"{name}: received {shown(net)}, but it must be an MLP" + (" or a Committee" if committees else ""))
    return net


def first_with_weights(net: Any) -> int:
    """The number of the network's first layer with weights W (a pool has none); 0 where no layer has."""
    return next((number for number, layer in enumerate(net.layers) if getattr(layer, "W", None) is not None), 0)


def feature_shape(net: Any, number: int) -> tuple[int, ...]:
    """The shape in which a row of W of the layer of that number is a picture of what its unit looks for."""
    below = net.layers[number - 1].out_shape if number else net.in_shape
    shape: tuple[int, ...] = tuple(net.layers[number].feature_shape(below))
    return shape


def network_inputs(net: Any, X: Any) -> Array:
    """X as an array (n, features) that the network takes."""
    check_plain_array("X", X)
    found: Array = check_input(X, net.sizes[0], net.dtype)
    return found


def check_array(name: str, given: Any, allowed: str) -> Array:
    """Real numbers of any shape as an array, not empty."""
    try:
        array: Array = np.asarray(given)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name}: received {shown(given)}, but it must be {allowed}")
    if array.size == 0:
        raise ValueError(f"{name}: received shape {array.shape}, but it must be {allowed}")
    return array


def check_labels(name: str, given: Any, n: int | None, classes: int | None) -> Array:
    """Labels as integers (n,), from (n,), (n, 1) or (n, classes) with a 1 for the class."""
    allowed = f"labels ({'n' if n is None else n},)"
    y = check_array(name, given, allowed)
    if y.ndim not in (1, 2) or len(y) != (n or len(y)):
        raise ValueError(f"{name}: received shape {y.shape}, but it must be {allowed}")
    if y.ndim == 2:
        y = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
    labels = y.astype(np.intp) if y.dtype.kind != "f" else np.where(np.isfinite(y), y, -1).astype(np.intp)
    wrong = np.flatnonzero((labels != y) | (labels < 0) | (labels >= (classes or np.inf)))
    if len(wrong):
        allowed = "integers from 0" + (f" to {classes - 1}" if classes else "")
        raise ValueError(f"{name}: received label {y[wrong[0]]} at example {wrong[0]:,}, but labels must be {allowed}")
    return labels


def labels_and_confidence(net: Any, X: Array) -> tuple[int, Array, Array]:
    """How many classes a classifier has, its labels (n,) for X (n, features), and the output behind each, (n,)."""
    units, kind = net.sizes[-1], net.output.name
    if units == 1 and kind != "logistic":
        raise ValueError(f"net: received a network with one {kind} output, but it must be a classifier: one or more classes")
    outputs = net.forward(X)
    confidence: Array = np.maximum(outputs[:, 0], 1 - outputs[:, 0]) if units == 1 else outputs.max(axis=1)
    return max(2, units), labels_from(outputs), confidence
