"""What the columns of data are: which are numbers and which names, and what kind of thing is predicted.

`Wishes` is what is known beforehand; `describe_column` and `describe_target` find out the rest from the values.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_name, check_path, shown
from mlp.data.columns import SCALINGS, Column
from mlp.data.tables import Texts, sort_texts, texts_of_numbers

TASKS = ("classification", "regression")

#: A column of texts with more values than this becomes features only where it is named categorical.
MOST_VALUES = 100

#: Nor does one with more numbers than this among its texts.
_MOST_NUMBERS = 10

#: A target of whole numbers with at most so many values is taken for classes.
MOST_CLASSES = 20

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")

_WHOLE = re.compile(r"-?\d+\.0*")


@dataclass(frozen=True)
class Wishes:
    """What is known beforehand of a table: the arguments of `read_table`."""

    target: str | None = None
    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    task: str | None = None
    described: "Description | None" = None


@dataclass(frozen=True)
class Description:
    """A file of columns, as `Preparation.describe` writes it, in which statistics, values and the scaling may be left out."""

    columns: tuple[Column, ...]
    target: Column | None
    scaling: str | None


def read_description(given: Any) -> Description:
    """The columns that a dictionary or a JSON file describes."""
    where = "columns" if isinstance(given, Mapping) else str(given)
    try:
        described = given if isinstance(given, Mapping) else json.loads(check_path("columns", given).read_bytes())
        if not isinstance(described, Mapping) or not isinstance(described.get("columns"), list) or not described["columns"]:
            raise ValueError(f"received {shown(described)}, but it must have a list of columns")
        found = tuple(map(Column.from_description, described["columns"]))
        target = described.get("target")
        scaling = described.get("scaling")
        return Description(
            found,
            None if target is None else Column.from_description(target),
            None if scaling is None else check_name("scaling", scaling, SCALINGS),
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{where}: not a description of columns: {error}") from error


def describe_column(name: str, column: Array | Texts, known: Column | None, categorical: bool) -> Column:
    """What a column with these values is: as known from a description, or as it seems to be.

    A column of texts that wasn't named categorical must look like one: few values, and not numbers among which there is a text.
    """
    if known is not None and known.kind == "pixels":
        raise ValueError(f"column {name!r}: is described as pixels, but a table's columns are numeric or categorical")
    if known is not None and (known.kind == "numeric" or known.values):
        return known
    if not isinstance(column, Texts):
        return Column(name)
    if not categorical and any(map(_DECIMAL_COMMA.fullmatch, column.values)) and all(map(_may_have_comma, column.values)):
        row = int(np.isin(column.codes, [place for place, value in enumerate(column.values) if "," in value]).argmax())
        raise ValueError(
            f"column {name!r}: received {column.values[column.codes[row]]!r} in row {row + 1:,}, but numbers have a point: "
            "replace the commas, ignore the column, or name it categorical"
        )
    no_numbers = [place for place, value in enumerate(column.values) if not is_number(value)]
    numbers = len(column.values) - len(no_numbers)
    mixed = no_numbers and numbers > max(_MOST_NUMBERS, len(no_numbers))
    if (mixed or len(column.values) > MOST_VALUES) and not categorical:
        row = int(np.isin(column.codes, no_numbers).argmax()) if mixed else 0
        has = f"{column.values[column.codes[row]]!r} in row {row + 1:,} among its numbers, and " if mixed else ""
        raise ValueError(
            f"column {name!r}: has {has}{len(column.values):,} different values that are texts, too many to make a feature of "
            "each: mend it, ignore it, or name it categorical all the same"
        )
    return Column(name, "categorical", column.values)


def describe_target(name: str, column: Array | Texts, task: str | None, wanted: Column | None) -> tuple[Array, Column]:
    """The target's y, labels or numbers, and what it is."""
    if wanted is not None and wanted.kind == "categorical" and wanted.values:
        return replace(wanted, name=name).codes(column), replace(wanted, name=name)
    if wanted is not None and task is None:
        task = "classification" if wanted.kind == "categorical" else "regression"
    if _is_regression(column, task):
        numbers = column.numbers(name) if isinstance(column, Texts) else np.ascontiguousarray(column)
        return numbers, replace(wanted, name=name) if wanted is not None and wanted.kind == "numeric" else Column(name)
    texts = _whole_as_integers(column if isinstance(column, Texts) else texts_of_numbers(name, column))
    if len(texts.values) < 2:
        received = ", ".join(texts.values)
        raise ValueError(f"target {name!r}: received {received} in every row, but there must be two classes at least")
    return texts.codes.astype(np.int64), Column(name, "categorical", texts.values)


def _is_regression(column: Array | Texts, task: str | None) -> bool:
    if task is not None:
        return task == "regression"
    if isinstance(column, Texts):
        if not all(map(is_number, column.values)):
            return False
        values = [float(value) for value in column.values]
    else:
        values = np.unique(column).tolist()
    few = len(values) <= min(MOST_CLASSES, max(2, len(column) // 3))
    return not few or any(value != int(value) for value in values)


def _whole_as_integers(texts: Texts) -> Texts:
    """Labels "1.0" and "2.0" as "1" and "2", where all are whole numbers."""
    if not all(_WHOLE.fullmatch(value) or value.lstrip("-").isdigit() for value in texts.values) or not any(
        "." in value for value in texts.values
    ):
        return texts
    plain = [str(int(value.partition(".")[0])) for value in texts.values]
    values = sort_texts(set(plain))
    return Texts(tuple(values), np.array([values.index(value) for value in plain])[texts.codes])


def _may_have_comma(text: str) -> bool:
    return is_number(text) or _DECIMAL_COMMA.fullmatch(text) is not None


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
