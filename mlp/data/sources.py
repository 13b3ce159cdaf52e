"""Data of one's own: `read_table`, and `read_data`, which takes directories of IDX files too and keeps a test set apart.

Read `read_table` first, then `_examples_of`, which decides what the columns of a table are. Arrays (.npz) are at the end.
"""

import json
import math
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_name, check_path, shown
from mlp.data.arrays import read_arrays
from mlp.data.columns import SCALINGS, Column
from mlp.data.delimited import Delimited
from mlp.data.examples import Examples
from mlp.data.mnist import read_idx_directory
from mlp.data.parquet import Parquet
from mlp.data.preparation import Preparation
from mlp.data.tables import Table, Texts, sort_texts, texts_of_numbers

TASKS = ("classification", "regression")

#: A column of texts with more values than this becomes features only where it is named categorical.
MOST_VALUES = 100

#: A target of whole numbers with at most so many values is taken for classes.
_MOST_CLASSES = 20

#: What the column to predict is often called.
_TARGETS = ("target", "label", "class", "y")

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


def read_table(
    path: str | os.PathLike[str],
    target: str | None = None,
    *,
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    task: str | None = None,
    columns: Any = None,
) -> Examples:
    """The examples in a table: CSV or TSV (with or without names of columns), Parquet (through pyarrow) or .npz.

    X is (n, features) of float64, not scaled: numbers as they are, and texts as a feature for each value (1 where the row has
    it). y is labels, (n,) integers from 0 whose names are `classes`, or numbers. `preparation` says how they came about;
    `prepare` scales the parts of a split.

    Args:
        path: the file; "-" is standard input.
        target: the column to predict, by name or by number from 1. None: one called target, label, class or y, or the last.
        categorical: columns whose numbers are only names, by name or number. Columns of texts are categorical anyway.
        ignore: columns to leave out.
        task: "classification" or "regression". None: regression if the target's values are numbers, and fractions among them
            or more than 20 different ones.
        columns: a description of the columns to use (`Preparation.describe`) as a dictionary, or the path of its JSON file,
            instead of all these.

    An .npz file holds X and y, or x_train and y_train (x_test and y_test are left to `read_data`); images, (n, height, width)
    or (n, height, width, channels), stay in their own dtype.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged; a value is missing, a number infinite (row and column are named); a column is missing.

    >>> data = read_table("iris.csv", target="species")                              # doctest: +SKIP
    >>> training, test = prepare(*data.split(0.2, seed=0))                           # doctest: +SKIP
    """
    return read_data(path, target, categorical=categorical, ignore=ignore, task=task, columns=columns)[0]


def read_data(
    path: str | os.PathLike[str],
    target: str | None = None,
    *,
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    task: str | None = None,
    columns: Any = None,
) -> tuple[Examples, Examples | None]:
    """The examples, as `read_table` reads them, and those of the test set, where the data has one of its own.

    The path may also be a directory of IDX files, as `read_idx_directory` reads it.
    """
    for name, given in (("categorical", categorical), ("ignore", ignore)):
        if isinstance(given, str) or not all(isinstance(one, str) for one in given):
            raise TypeError(f"{name}: received {shown(given)}, but it must be a list of columns' names")
    if task is not None:
        check_name("task", task, TASKS)
    described = None if columns is None else read_description(columns)
    wishes = Wishes(target, tuple(categorical), tuple(ignore), task, described)
    place = check_path("path", path)
    if str(place) != "-" and not place.exists():
        raise FileNotFoundError(f"{place}: there is no such file or directory")
    if place.is_dir():
        return read_idx_directory(place)
    start = b""
    if place.is_file():
        with place.open("rb") as stream:
            start = stream.read(4)
    if start == b"PK\3\4":
        return _read_npz(place, wishes)
    return _examples_of(_open(place, start), wishes), None


def read_columns(path: str | os.PathLike[str], preparation: Preparation) -> Table:
    """The columns that a preparation needs of a table in a file ("-" is standard input); all others are left unread."""
    place = check_path("path", path)
    start = b""
    if place.is_file():
        with place.open("rb") as stream:
            start = stream.read(4)
    names = [column.name for column in preparation.columns]
    file = _open(place, start, names)
    missing = [name for name in names if name not in file.names]
    if missing:
        has = ", ".join(map(repr, file.names[:20])) + (" …" if len(file.names) > 20 else "")
        raise ValueError(
            f"{place}: lacks the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing[:20]))}; it has {has}"
        )
    return file.read(names, [column.name for column in preparation.columns if column.kind == "categorical"])


def _open(place: Path, start: bytes, expected: Collection[str] = ()) -> Delimited | Parquet:
    """The table in a file that starts so."""
    if start == b"PAR1" or place.suffix in (".parquet", ".pq"):
        return Parquet(place)
    if str(place) == "-":
        return Delimited(sys.stdin.buffer.read(), "standard input", expected)
    return Delimited(place if place.is_file() else place.read_bytes(), str(place), expected)


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


# Tables


def _examples_of(file: Delimited | Parquet, wishes: Wishes) -> Examples:
    """All of a table as examples."""
    target = _find_target(file, wishes)
    known = {} if wishes.described is None else {column.name: column for column in wishes.described.columns}
    ignored = {_find(file, "ignore", name) for name in wishes.ignore}
    categorical = {_find(file, "categorical", name) for name in wishes.categorical}
    names = [_find(file, "columns", name) for name in known] or [
        name for name in file.names if name and name != target and name not in ignored
    ]
    if not names or target in names:
        raise ValueError(f"{file.name}: there must be columns to predict {target!r} from, itself not among them")
    categorical |= {column.name for column in known.values() if column.kind == "categorical"}
    texts = categorical | ({target} if _may_be_classes(file.sample(target), wishes.task) else set())
    table = file.read([*names, target], texts)
    columns = tuple(_describe_column(file, name, table.column(name), known.get(name), name in categorical) for name in names)
    wanted = None if wishes.described is None else wishes.described.target
    y, described = _describe_target(target, table.column(target), wishes.task, wanted)
    preparation = Preparation(columns, described)
    X = preparation.encode(table)
    return Examples(X, y, preparation.classes, None, Path(file.name).name, preparation)


def _find(file: Delimited | Parquet, argument: str, name: str) -> str:
    """The column of that name, or of that number from 1."""
    if name in file.names:
        return name
    if name.isascii() and name.isdigit() and 0 < int(name) <= len(file.names):
        return file.names[int(name) - 1]
    return check_name(argument, name, file.names)


def _find_target(file: Delimited | Parquet, wishes: Wishes) -> str:
    if wishes.target is not None:
        return _find(file, "target", wishes.target)
    if wishes.described is not None and wishes.described.target is not None:
        return _find(file, "target", wishes.described.target.name)
    called = [name for name in file.names if name.casefold() in _TARGETS]
    target = called[0] if len(called) == 1 else file.names[-1]
    if not target:
        raise ValueError("target: received none, and the last column has no name: name the column to predict")
    return target


def _may_be_classes(sample: Sequence[str], task: str | None) -> bool:
    """Whether a target with these texts is read as texts, so that "01" stays "01"."""
    if task is not None:
        return task == "classification"
    return len(set(sample)) <= _MOST_CLASSES or not all(map(_is_number, sample))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _describe_column(
    file: Delimited | Parquet, name: str, column: Array | Texts, known: Column | None, categorical: bool
) -> Column:
    if known is not None and (known.kind == "numeric" or known.values):
        return known
    if not isinstance(column, Texts):
        return Column(name)
    if len(column.values) > MOST_VALUES and not categorical:
        row, text = file.not_numbers.get(name, (None, ""))
        because = "" if row is None else f" (it is no column of numbers: row {row + 1:,} has {text!r})"
        raise ValueError(
            f"column {name!r}: has {len(column.values):,} different texts{because}, too many to make a feature of each: ignore "
            "it, or name it categorical all the same"
        )
    return Column(name, "categorical", column.values)


def _describe_target(name: str, column: Array | Texts, task: str | None, wanted: Column | None) -> tuple[Array, Column]:
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
        raise ValueError(
            f"target {name!r}: received {', '.join(texts.values) or 'nothing'} in every row, but there is no other class"
        )
    return texts.codes.astype(np.int64), Column(name, "categorical", texts.values)


def _is_regression(column: Array | Texts, task: str | None) -> bool:
    if task is not None:
        return task == "regression"
    if isinstance(column, Texts):
        if not all(map(_is_number, column.values)):
            return False
        values = [float(value) for value in column.values]
    else:
        values = np.unique(column).tolist()
    few = len(values) <= min(_MOST_CLASSES, max(2, len(column) // 3))
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


# Arrays


def _read_npz(path: Path, wishes: Wishes) -> tuple[Examples, Examples | None]:
    """The training and the test set in an archive of arrays; the test set is None if it has none."""
    if wishes.target or wishes.categorical or wishes.ignore:
        raise ValueError(f"{path}: holds arrays, whose columns have no names to choose the target, or others, by")
    arrays = read_arrays(path, {"x", "y", "x_train", "y_train", "x_test", "y_test"})
    suffix = "_train" if "x_train" in arrays else ""
    if not {f"x{suffix}", f"y{suffix}"} <= arrays.keys() or len({"x_test", "y_test"} & arrays.keys()) == 1:
        has = ", ".join(arrays) or "none of these"
        raise ValueError(f"{path}: must hold the arrays X and y, or x_train and y_train, x_test and y_test, but has {has}")
    pairs = [(arrays[f"x{suffix}"], arrays[f"y{suffix}"])]
    if "x_test" in arrays:
        pairs.append((arrays["x_test"], arrays["y_test"]))
    try:
        for X, y in pairs:
            _check_pair(X, y)
        if len({X.shape[1:] for X, _ in pairs}) > 1:
            raise ValueError(f"X: received {pairs[0][0].shape} for training, but {pairs[1][0].shape} for the test")
        sizes = [len(X) for X, _ in pairs]
        targets = np.concatenate([_labels_of(y) for _, y in pairs])
        columns, image_shape = _columns_of(pairs[0][0], wishes.described)
        y, target = _describe_arrays_target(targets, wishes, images=image_shape is not None)
        preparation = Preparation(columns, target, image_shape=image_shape)
        parts = [
            Examples(X.reshape(len(X), -1), some, preparation.classes, image_shape, path.name, preparation)
            for (X, _), some in zip(pairs, np.split(y, [sizes[0]]), strict=False)
        ]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return parts[0], parts[1] if len(parts) > 1 else None


def _check_pair(X: Array, y: Array) -> None:
    if X.ndim not in (2, 3, 4) or X.size == 0 or X.dtype.kind not in "buif":
        raise ValueError(
            f"X: received {X.dtype} of shape {X.shape}, but it must be numbers: (n, features), (n, height, width) or (n, height, "
            "width, channels)"
        )
    if y.ndim not in (1, 2) or len(y) != len(X):
        raise ValueError(f"y: received shape {y.shape}, but it must be ({len(X)},), one for each row of X")
    if X.dtype.kind == "f" and not np.isfinite(X).all():
        row, *place = np.argwhere(~np.isfinite(X))[0]
        column = ", ".join(str(one) for one in place)
        raise ValueError(f"X: received {X[(row, *place)]} in row {row + 1:,}, column {column} (from 0), but it must be finite")


def _labels_of(y: Array) -> Array:
    """Targets (n,) from (n,), (n, 1), or (n, classes) with a single 1 in each row."""
    if y.ndim == 1:
        return y
    if y.shape[1] == 1:
        return y[:, 0]
    if y.dtype.kind in "buif" and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        labels: Array = y.argmax(axis=1)
        return labels
    raise ValueError(f"y: received shape {y.shape}, but it must be (n,), or (n, classes) with a 1 for the class")


def _columns_of(X: Array, described: Description | None) -> tuple[tuple[Column, ...], tuple[int, ...] | None]:
    """The columns of an array, which have numbers for names, or its pixels; and the shape of its images."""
    features = math.prod(X.shape[1:])
    side = math.isqrt(features)
    shape: tuple[int, ...] | None = X.shape[1:3] if X.ndim == 4 and X.shape[3] == 1 else X.shape[1:] if X.ndim > 2 else None
    if X.ndim == 2 and X.dtype == np.uint8 and side * side == features and side > 3:
        shape = (side, side)
    columns: tuple[Column, ...] = tuple(Column(str(number)) for number in range(1, features + 1))
    if shape is not None or X.dtype == np.uint8:
        columns = (Column("pixels", "pixels", count=features),)
    if described is not None:
        if [(of.name, of.kind, of.width) for of in described.columns] != [(of.name, of.kind, of.width) for of in columns]:
            raise ValueError(f"columns: received others than the {len(columns):,} of the array X, which can't be chosen from")
        columns = described.columns
    return columns, shape


def _describe_arrays_target(y: Array, wishes: Wishes, images: bool) -> tuple[Array, Column]:
    """`_describe_target` of an array."""
    if y.dtype.kind not in "buifU":
        raise TypeError(f"y: received dtype {y.dtype}, but it must be numbers or texts")
    column = Table.from_columns({"y": y}).column("y")
    task = wishes.task or ("classification" if images and y.dtype.kind in "bui" else None)
    return _describe_target("y", column, task, None if wishes.described is None else wishes.described.target)
