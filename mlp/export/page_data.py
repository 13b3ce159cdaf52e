"""What goes into a page and what comes out: `input_of` (an image or a form), `answer_of` (classes, numbers or a picture) and
`examples_of` (some of the test set), each as JSON holds it."""

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.data.examples import Examples
from mlp.network import MLP, labels_from

#: A form has so many fields at most, and a page so many examples of each kind.
MOST_FIELDS, MOST_EXAMPLES = 200, 10

#: Vectors of at least so many values that make a square are taken for images where nothing else is known of them.
_LEAST_SQUARE = 64


class NoPage(ValueError):
    """A page can't show this network."""


def encoded(array: Any, dtype: str) -> str:
    """An array's bytes in base64."""
    return base64.b64encode(np.ascontiguousarray(array).astype(dtype).tobytes()).decode("ascii")


# What goes in


def input_of(net: MLP, test: Examples | None) -> dict[str, Any]:
    """An image's shape, and the inputs' values of paper and of ink; or a form's columns."""
    features = net.sizes[0]
    shape = _image_shape(net, test)
    if shape is None:
        return {"shape": None, "features": features, "columns": _columns(net, test)}
    low, high = _range(net, test)
    if not np.isfinite([low, high]).all():
        raise ValueError("test: received X that isn't finite, but the page must know how dark and bright its images are")
    same = np.ptp(low) == 0 and np.ptp(high) == 0
    return {
        "shape": list(shape),
        "features": features,
        "low": float(low[0]) if same else encoded(low, "<f4"),
        "high": float(high[0]) if same else encoded(high, "<f4"),
        "centred": shape == (28, 28, 1) and _is_centred(test),
    }


def _image_shape(net: MLP, test: Examples | None) -> tuple[int, int, int] | None:
    """The height, width and channels of an input, if it is an image."""
    preparation: Any = getattr(net, "preparation", None)
    known = [net.in_shape, getattr(preparation, "image_shape", None), None if test is None else test.image_shape]
    shape = next((tuple(shape) for shape in known if shape is not None and len(shape) > 1), None)
    side = math.isqrt(net.sizes[0])
    if shape is None and preparation is None and side * side == net.sizes[0] >= _LEAST_SQUARE:
        shape = (side, side)
    if shape is None:
        return None
    height, width, channels = (*shape, 1)[:3]
    if channels not in (1, 3):
        raise NoPage(f"net: received a network of images of {channels} channels, but a page takes 1 or 3")
    return height, width, channels


def _range(net: MLP, test: Examples | None) -> tuple[Array, Array]:
    """What the network takes for paper and for ink, (features,) each."""
    features = net.sizes[0]
    preparation: Any = getattr(net, "preparation", None)
    columns = () if preparation is None else preparation.columns
    low, high = np.zeros(features), np.ones(features)
    if columns and all(column.minimum is not None for column in columns):
        darkest, brightest = (bound(of) for bound, of in ((min, _each(columns, "minimum")), (max, _each(columns, "maximum"))))
        place = 0
        for column in columns:
            stop = place + column.width
            offset, factor = column.offset_and_factor(preparation.scaling)
            low[place:stop], high[place:stop] = (darkest - offset) / factor, (brightest - offset) / factor
            if column.maximum <= column.minimum:  # it tells nothing, and the network has never seen it change
                high[place:stop] = low[place:stop]
            place = stop
    elif test is not None and test.X.dtype != np.uint8 and test.X.size:
        low[:], high[:] = float(test.X.min()), float(test.X.max())
    return low, high


def _each(columns: Any, name: str) -> list[float]:
    return [getattr(column, name) for column in columns]


def _is_centred(test: Examples | None) -> bool:
    """Whether images are as MNIST's: nearly all of 1,000 of them have their ink within 20 × 20. So unless examples tell."""
    if test is None or len(test) == 0:
        return True
    ink = test.X[:1000].reshape(-1, 28, 28)
    ink = ink > ink.min()
    extents = [np.ptp(np.flatnonzero(lines)) + 1 if lines.any() else 0 for axis in (1, 2) for lines in ink.any(axis=axis)]
    return bool(np.mean(np.array(extents) <= 20) > 0.95)


def _columns(net: MLP, test: Examples | None) -> list[dict[str, Any]]:
    """The form's fields: a table's columns, or the inputs as they are."""
    features = net.sizes[0]
    preparation: Any = getattr(net, "preparation", None)
    count = features if preparation is None else len(preparation.columns)
    if count > MOST_FIELDS:
        raise NoPage(f"net: received a network of {count:,} inputs that are no image, but a form has {MOST_FIELDS} at most")
    if preparation is None:
        low, high = np.zeros(features), np.ones(features)
        if test is not None and len(test):
            scale = 255 if test.X.dtype == np.uint8 else 1
            low, high = test.X.min(axis=0) / scale, test.X.max(axis=0) / scale
        names = [f"Input {number}" for number in range(1, features + 1)]
        return [_field(name, float(a), float(b), float(a + b) / 2) for name, a, b in zip(names, low, high, strict=True)]
    return [_field_of(column, preparation.scaling) for column in preparation.columns]


def _field(name: str, minimum: float, maximum: float, start: float, offset: float = 0.0, factor: float = 1.0) -> dict[str, Any]:
    return {
        "name": name, "minimum": minimum, "maximum": maximum, "start": start, "offset": offset, "factor": factor,
    }  # fmt: skip


def _field_of(column: Any, scaling: str) -> dict[str, Any]:
    """A table's column as a field."""
    if column.kind == "categorical":
        return {"name": column.name, "values": list(column.values)}
    known = column.minimum is not None
    minimum, maximum, mean = (column.minimum, column.maximum, column.mean) if known else (0.0, 1.0, 0.5)
    return _field(column.name, minimum, maximum, mean, *column.offset_and_factor(scaling))


# What comes out


def answer_of(net: MLP, test: Examples | None) -> dict[str, Any]:
    """What the outputs are: classes with their names, numbers, or a picture again."""
    preparation: Any = getattr(net, "preparation", None)
    units = net.sizes[-1]
    classes = getattr(preparation, "classes", None) or (None if test is None else test.classes)
    if net.output.name in ("softmax", "logistic") and not _is_autoencoder(net, test):
        count = max(2, units)
        names = list(classes) if classes is not None and len(classes) == count else list(map(str, range(count)))
        return {"kind": "classes", "names": names}
    if _is_autoencoder(net, test):
        return {"kind": "picture", "names": []}
    offset, factor = getattr(preparation, "target_offset_and_factor", (0.0, 1.0))
    target = getattr(preparation, "target_name", None) or "output"
    names = [target] if units == 1 else list(classes or ()) if len(classes or ()) == units else list(map(str, range(units)))
    return {"kind": "numbers", "names": names, "offset": offset, "factor": factor}


def _is_autoencoder(net: MLP, test: Examples | None) -> bool:
    return net.sizes[0] == net.sizes[-1] and _image_shape(net, test) is not None and net.output.name != "softmax"


# Examples


def examples_of(net: MLP, test: Examples, inputs: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Some examples: X (images as 8-bit ink, others as 32-bit numbers), labels and the network's answers; and how many of all
    are right."""
    labelled = answer["kind"] == "classes" and test.y.ndim == 1 and test.y.dtype.kind in "iu"
    if not labelled:
        chosen = np.arange(min(len(test), MOST_EXAMPLES))
        return {"X": _inputs(net, test, chosen, inputs), "labels": [None] * len(chosen), "answers": [], "right": None}
    answers = labels_from(net.forward(test.X))
    right = answers == test.y
    classes = len(answer["names"])
    if test.y.min() < 0 or test.y.max() >= classes:
        raise ValueError(f"test: received labels from {test.y.min()} to {test.y.max()}, but the network has {classes} classes")
    chosen = np.concatenate([_one_of_each(np.flatnonzero(right == kind), test.y) for kind in (True, False)])
    return {
        "X": _inputs(net, test, chosen, inputs),
        "labels": test.y[chosen].tolist(),
        "answers": answers[chosen].tolist(),
        "right": int(right.sum()),
    }


def _one_of_each(rows: Array, y: Array) -> Array:
    """The first row of each class in turn, then the second of each, up to `MOST_EXAMPLES`; in the classes' order."""
    order = np.argsort(y[rows], kind="stable")
    grouped = y[rows][order]
    turn = np.arange(len(rows)) - np.searchsorted(grouped, grouped)  # the how-many-eth of its class
    chosen: Array = rows[order][np.argsort(turn, kind="stable")[:MOST_EXAMPLES]]
    return chosen[np.argsort(y[chosen], kind="stable")]


def _inputs(net: MLP, test: Examples, rows: Array, inputs: Mapping[str, Any]) -> str:
    """Examples in base64: images as ink from 0 to 255, others as the network takes them."""
    X = test.X[rows]
    if inputs["shape"] is not None and X.dtype == np.uint8:
        return encoded(X, "u1")
    if inputs["shape"] is None:
        return encoded(X / 255 if X.dtype == np.uint8 else X, "<f4")
    low, high = _range(net, test)
    ink = (X - low) / np.where(high > low, high - low, 1)
    return encoded(np.rint(255 * np.clip(ink, 0, 1)), "u1")
