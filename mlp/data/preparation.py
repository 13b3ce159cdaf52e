"""How raw data becomes a network's inputs, and its outputs answers: `Preparation`, which a model file keeps.

A column is in columns.py, a table in tables.py.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import as_array, check_integer, check_name, check_plain_array, shown
from mlp.data.columns import ROWS, SCALINGS, Column
from mlp.data.framing import Framing, measure
from mlp.data.tables import Table, is_table


@dataclass(frozen=True)
class Preparation:
    """What is done to raw data before a network sees it, and to what the network puts out before a person does.

    A table's columns become features, side by side in the columns' order. 8-bit images stay as they are: networks scale
    them themselves.

    Args:
        columns: of the table, in the features' order; or a single one of the kind "pixels".
        target: what is predicted: a categorical column, whose values are the classes' names, or a numeric one.
        scaling: of numeric columns and pixels: "none", "standard" (mean 0, deviation 1) or "range" (0 … 1). A numeric target
            is standardised unless it is "none"; counts are divided by their mean.
        image_shape: of the image that a row is, (height, width) or (height, width, channels), or None.
        framing: how the images show things, or None where that isn't known.

    Raises:
        ValueError: the arguments contradict each other.
    """

    columns: tuple[Column, ...]
    target: Column | None = None
    scaling: str = "none"
    image_shape: tuple[int, ...] | None = None
    framing: Framing | None = None

    def __post_init__(self) -> None:
        check_name("scaling", self.scaling, SCALINGS)
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names) or (self.target is not None and self.target.name in names):
            raise ValueError(
                f"columns: received {shown(names)} to predict {self.target_name or 'nothing'}, but there must be columns of "
                "different names, the target not among them"
            )
        for column in self.columns:
            if column.kind == "count":
                raise ValueError(f"column {column.name!r}: received the kind 'count', but that is for targets: make it numeric")
            if column.kind == "categorical" and not column.values:
                raise ValueError(f"column {column.name!r}: received no values, but a categorical column has some")
        if any(column.kind == "pixels" for column in self.columns) and len(names) > 1:
            raise ValueError(f"columns: received pixels beside other columns, {shown(names)}, but they go alone")
        if self.image_shape is not None and (
            len(self.image_shape) not in (2, 3) or math.prod(self.image_shape) != self.features
        ):
            raise ValueError(f"image_shape: received {self.image_shape}, but there are {self.features:,} features")
        if self.target is not None and self.target.kind not in ("numeric", "count") and not self.target.values:
            raise ValueError(
                f"target: received {self.target.kind} without values, but it must be numeric, a count, or have classes"
            )

    @property
    def features(self) -> int:
        """How many features the network sees."""
        return sum(column.width for column in self.columns)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes' names, or None where the target is a number."""
        return self.target.values if self.target is not None and self.target.kind == "categorical" else None

    @property
    def target_name(self) -> str | None:
        """What is predicted."""
        return None if self.target is None else self.target.name

    @property
    def target_offset_and_factor(self) -> tuple[float, float]:
        """What is taken from a numeric target, and what it is divided by then."""
        if self.target is None or self.classes is not None:
            return 0.0, 1.0
        return self.target.offset_and_factor("none" if self.scaling == "none" else "standard")

    # Inputs

    def inputs(self, raw: Any, dtype: Any = "float32") -> Array:
        """X (n, features), as the network takes it.

        Args:
            raw: a `Table`, a frame (pandas, Polars) or a mapping of columns by name, which may have other columns besides;
                or an array with the columns in order, (n, columns), images also (n, height, width …).
            dtype: of X; 8-bit pixels that aren't scaled stay as they are.

        Raises:
            ValueError: a column is missing, or has a value that it can't have, which is named with its row.
        """
        return self.scale(self.encode(raw), dtype)

    def encode(self, raw: Any) -> Array:
        """X (n, features) before it is scaled, float64 (pixels: in their own dtype), from what `inputs` takes."""
        if self.columns[0].kind == "pixels" and not is_table(raw):
            return self._pixels(raw)
        if not is_table(raw):
            raw = self._named(raw)
        table = Table.of(raw, [column.name for column in self.columns])
        names = tuple(column.name for column in self.columns)
        if table.number_names[: len(names)] == names and all(column.kind == "numeric" for column in self.columns):
            return table.numbers[:, : len(names)]  # no copy of what may be large
        X = np.zeros((len(table), self.features))
        place = 0
        for column in self.columns:
            if column.kind == "categorical":
                X[np.arange(len(table)), place + column.codes(table.column(column.name))] = 1
            else:
                X[:, place] = column.numbers(table.column(column.name))
            place += column.width
        return X

    def _pixels(self, raw: Any) -> Array:
        X = as_array("X", raw, f"images (n, {self.features})")
        if X.ndim < 2 or math.prod(X.shape[1:]) != self.features:
            shape = f" or (n, {', '.join(map(str, self.image_shape))})" if self.image_shape else ""
            raise ValueError(f"X: received shape {X.shape}, but it must be images, (n, {self.features}){shape}")
        return X.reshape(len(X), self.features)

    def _named(self, raw: Any) -> dict[str, Any]:
        """An array (n, columns) as columns by name."""
        check_plain_array("X", raw)
        array = np.asarray(raw)
        if array.ndim != 2 or array.shape[1] != len(self.columns):
            few = ", ".join(column.name for column in self.columns[:20]) + (" …" if len(self.columns) > 20 else "")
            raise ValueError(
                f"X: received shape {array.shape}, but it must be (n, {len(self.columns)}), the columns {few} in this order"
            )
        return {column.name: array[:, place] for place, column in enumerate(self.columns)}

    def scale(self, X: Array, dtype: Any = "float32") -> Array:
        """X (n, features) of `encode`, scaled; computed in float64 and rounded to the dtype, in which it must be finite."""
        if self.columns[0].kind == "pixels" and self.scaling == "none":
            return X
        pairs = [column.offset_and_factor(self.scaling) for column in self.columns for _ in range(column.width)]
        offsets, factors = np.array(pairs).T
        scaled = np.empty(X.shape, dtype)
        with np.errstate(over="ignore"):
            for start in range(0, len(X), ROWS):
                some = scaled[start : start + ROWS]
                some[...] = (X[start : start + ROWS] - offsets) / factors
                if not np.isfinite(some).all():
                    row, feature = np.argwhere(~np.isfinite(some))[0]
                    name = [column.name for column in self.columns for _ in range(column.width)][feature]
                    raise ValueError(
                        f"column {name!r}: received {X[start + row, feature]:g}, too large for {scaled.dtype} when scaled"
                    )
        return scaled

    def fit(self, X: Array, y: Array, scaling: str) -> "Preparation":
        """The preparation with that scaling, by the statistics of X (n, features), as encoded, and of y, as read.

        Statistics that are known already stay as they are; 8-bit pixels, which networks scale themselves, have none.
        """
        columns, place = [], 0
        for column in self.columns:
            stop = place + column.width
            as_is = column.kind == "categorical" or X.dtype == np.uint8
            columns.append(column if as_is else column.fit(X[:, place:stop]))
            place = stop
        target = self.target if self.target is None or self.target.kind == "categorical" else self.target.fit(y)
        return replace(self, columns=tuple(columns), target=target, scaling=scaling)

    # Answers

    def answers(self, outputs: Any) -> Array:
        """What a network's outputs (n, units) mean, (n,): class labels, or numbers in the target's own units.

        Class labels are `labels`: texts, the classes' names, or integers.
        """
        outputs = np.asarray(outputs)
        if self.classes is None:
            offset, factor = self.target_offset_and_factor
            numbers: Array = outputs.astype(np.float64) * factor + offset
            return numbers[:, 0] if numbers.shape[1] == 1 else numbers
        codes = (outputs[:, 0] > 0.5).astype(np.intp) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        named: Array = self.labels[codes]
        return named

    @cached_property
    def labels(self) -> Array:
        """What the classes are called in answers, (classes,): integers where all names are such as integers are written ("10",
        but not "01"), otherwise texts."""
        names = self.classes or ()
        if all(_is_integer(name) for name in names):
            return np.array([int(name) for name in names], np.int64)
        return np.array(names, np.str_)

    # Files

    def describe(self) -> dict[str, Any]:
        """What JSON can hold of it, for `from_description`."""
        return {
            "scaling": self.scaling,
            "image_shape": None if self.image_shape is None else list(self.image_shape),
            "columns": [column.describe() for column in self.columns],
            "target": None if self.target is None else self.target.describe(),
            **({} if self.framing is None else {"framing": self.framing.describe()}),
        }

    @classmethod
    def from_description(cls, described: Any) -> "Preparation":
        """The preparation that was described; a ValueError if the description is damaged or contradicts itself."""
        needed = {"scaling", "image_shape", "columns", "target"}
        if not isinstance(described, dict) or not needed <= described.keys() <= needed | {"framing"}:
            raise ValueError(f"preparation: received {shown(described)}, but it has scaling, image_shape, columns and target")
        shape, target = described["image_shape"], described["target"]
        if not isinstance(described["columns"], list) or not described["columns"]:
            raise ValueError(f"preparation: received {shown(described['columns'])}, but its columns are a list")
        try:
            if shape is not None:
                if not isinstance(shape, list):
                    raise ValueError(f"image_shape: received {shown(shape)}, but it must be a list of sizes")
                shape = tuple(check_integer("image_shape", size, at_least=1, at_most=1 << 20) for size in shape)
            columns = tuple(map(Column.from_description, described["columns"]))
            wanted = None if target is None else Column.from_description(target)
            unknown = [column.name for column in (*columns, wanted) if column is not None and not column.known]
            if described["scaling"] != "none" and unknown:
                raise ValueError(f"column {unknown[0]!r}: lacks the mean and deviation that it is scaled by")
            framing = described.get("framing")
            return cls(
                columns, wanted, described["scaling"], shape, None if framing is None else Framing.from_description(framing)
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"preparation: {error}") from None


def image_preparation(shape: tuple[int, ...], classes: tuple[str, ...], images: Array | None = None) -> Preparation:
    """That of images of one shape, which are one of these classes; images (n, *shape) show how they are framed."""
    return Preparation(
        (Column("pixels", "pixels", count=math.prod(shape)),),
        Column("label", "categorical", classes),
        "none",
        shape,
        None if images is None else measure(images),
    )


def read_preparation(described: Any, net: Any) -> Preparation | None:
    """The preparation in a model file, if there is one; a ValueError if it isn't one for this network."""
    if described is None:
        return None
    found = Preparation.from_description(described)
    inputs, outputs = net.sizes[0], net.sizes[-1]
    wanted = 1 if found.classes is None else len(found.classes)
    if inputs != found.features or (found.target is not None and outputs != wanted and not (wanted == 2 and outputs == 1)):
        raise ValueError(
            f"preparation: is for {found.features:,} inputs and {wanted:,} outputs, but it has {inputs:,} and {outputs:,}"
        )
    return found


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 19 and str(int(text)) == text
