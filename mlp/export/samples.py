"""Examples on which a file's answers are compared with its network's: `draw_samples`."""

from dataclasses import dataclass

import numpy as np

from mlp.blas import Array
from mlp.committee import Committee
from mlp.data.columns import Column
from mlp.data.preparation import Preparation
from mlp.export.parts import preparation_of
from mlp.network import MLP

#: Of each of two kinds.
_HALF = 16


@dataclass(frozen=True)
class Samples:
    """The same examples, as a network takes them and as the data has them.

    Attributes:
        X: (n, features), for `MLP.forward`.
        raw: (n, columns): the table's numbers, and for categories their places in the column's values; else X itself.
        columns: a table's columns by name, (n,) numbers or texts; empty if the network takes no table.
        labels: what the classes are called, (classes,); None if the data doesn't say.
        offset, factor: of outputs that are numbers: raw = output · factor + offset.
    """

    X: Array
    raw: Array
    columns: dict[str, Array]
    labels: Array | None = None
    offset: float = 0.0
    factor: float = 1.0


def draw_samples(net: MLP | Committee) -> Samples:
    """Examples for a network: such as its preparation expects; without one, half from 0 to 1, as pixels are, half standard
    normal."""
    rng, preparation = np.random.default_rng(0), preparation_of(net)
    if preparation is None:
        X = np.concatenate([rng.random((_HALF, net.sizes[0])), rng.standard_normal((_HALF, net.sizes[0]))]).astype(np.float32)
        return Samples(X, X, {})
    answer = class_names(preparation, net.sizes[-1]), *preparation.target_offset_and_factor
    if takes_pixels(preparation):
        raw = rng.integers(0, 256, (2 * _HALF, net.sizes[0]), np.uint8)
        raw = raw if takes_8_bit(preparation) else raw.astype(np.float64)
        return Samples(preparation.inputs(raw), raw, {}, *answer)
    raw = np.column_stack([_draw_column(column, rng) for column in preparation.columns])
    columns = {
        column.name: np.array(column.values)[part.astype(int)] if column.kind == "categorical" else part
        for column, part in zip(preparation.columns, raw.T, strict=True)
    }
    return Samples(preparation.inputs(columns), raw, columns, *answer)


def _draw_column(column: Column, rng: np.random.Generator) -> Array:
    """Numbers (n,) of the column's mean and deviation, if they are known, exact in float32; or places of its values."""
    if column.kind == "categorical":
        return rng.integers(0, len(column.values), 2 * _HALF)
    mean, deviation = column.mean or 0.0, column.deviation or 1.0
    return (mean + deviation * rng.standard_normal(2 * _HALF)).astype(np.float32).astype(float)


def takes_pixels(preparation: Preparation) -> bool:
    """Whether raw data is images, rather than a table."""
    return bool(preparation.columns[0].kind == "pixels")


def takes_8_bit(preparation: Preparation) -> bool:
    """Whether raw data is 8-bit pixels, from 0 to 255, which networks take as 0 to 1; pixels of other kinds have statistics."""
    return takes_pixels(preparation) and preparation.scaling == "none" and not preparation.columns[0].known


def has_classes(net: MLP | Committee, preparation: Preparation | None) -> bool:
    """Whether the answer is a class: what the data says, or else what the output is for."""
    if preparation is not None and preparation.target is not None:
        return preparation.classes is not None
    return net.output.name in ("softmax", "logistic")


def class_names(preparation: Preparation | None, units: int) -> Array | None:
    """What the classes are called, texts or integers, in the order of the outputs; None where the answer is no class."""
    if preparation is None or preparation.classes is None:
        return None
    names: Array = preparation.answers(np.eye(units) if units > 1 else np.array([[0.0], [1.0]]))
    return names
