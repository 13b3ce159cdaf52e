"""Data of one's own: `read_table`, and `read_data`, which takes directories of IDX files too and keeps a test set apart.

Read `read_table` first, then `_examples_of`. What the columns of a table are is decided in roles.py.
"""

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from mlp.checks import check_name, check_path, shown
from mlp.data.arrays import read_npz
from mlp.data.delimited import Delimited
from mlp.data.examples import Examples
from mlp.data.mnist import read_idx_directory
from mlp.data.parquet import Parquet
from mlp.data.preparation import Preparation
from mlp.data.roles import MOST_CLASSES, TASKS, Wishes, describe_column, describe_target, is_number, read_description
from mlp.data.tables import Table

#: What the column to predict is often called.
_TARGETS = ("target", "label", "class", "y")


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
        if wishes != Wishes(task=task):
            raise ValueError(f"{place}: holds images, which have no columns to choose the target, or others, from")
        return read_idx_directory(place)
    start = b""
    if place.is_file():
        with place.open("rb") as stream:
            start = stream.read(4)
    if start == b"PK\3\4":
        return read_npz(place, wishes)
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


# Tables


def _examples_of(file: Delimited | Parquet, wishes: Wishes) -> Examples:
    """All of a table as examples."""
    target = _find_target(file, wishes)
    known = {} if wishes.described is None else {column.name: column for column in wishes.described.columns}
    ignored = {_find(file, "ignore", name) for name in wishes.ignore}
    categorical = {_find(file, "categorical", name) for name in wishes.categorical}
    names = [_find(file, "columns", name) for name in known] or [name for name in file.names if name and name != target]
    names = [name for name in names if name not in ignored]
    if not names or target in names:
        raise ValueError(f"{file.name}: there must be columns to predict {target!r} from, itself not among them")
    categorical |= {column.name for column in known.values() if column.kind == "categorical"}
    texts = categorical | ({target} if _may_be_classes(file.sample(target), wishes.task) else set())
    table = file.read([*names, target], texts)
    columns = tuple(describe_column(name, table.column(name), known.get(name), name in categorical) for name in names)
    wanted = None if wishes.described is None else wishes.described.target
    y, described = describe_target(target, table.column(target), wishes.task, wanted)
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
    return len(set(sample)) <= MOST_CLASSES or not all(map(is_number, sample))
