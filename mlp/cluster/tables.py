"""Parts of tables: `Table`, rows of a CSV or Parquet file, and `Frame`, a partition of a Dask frame.

What columns become features, and how they are scaled, must be known before: all parts have one `Preparation`, such as that of
a network trained on some of the rows, or `mlp.prepare(mlp.read_table("some.csv"))[0].preparation`.
"""

import os
from dataclasses import dataclass
from typing import Any

from mlp.checks import check_path, shown
from mlp.cluster.parts import Delayed, FileRows, Rows
from mlp.data import Preparation, read_columns, tables


@dataclass(frozen=True)
class Table(FileRows):
    """Rows of a CSV, TSV or Parquet file. Of a Parquet file only the groups are read that these rows are in; of a CSV file,
    the lines before them are skipped.

    Args:
        path: the file.
        preparation: says which columns become features and how, and which is the target; None in it: the input itself.
        weights: the column with the examples' weights, or None.
    """

    path: str | os.PathLike[str]
    preparation: Preparation
    weights: str | None = None
    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        check_path("path", self.path)
        check_preparation(self.preparation)
        self._check_start()

    def __str__(self) -> str:
        return f"{self.path}, rows {self._range()}"

    def read(self) -> Rows:
        try:
            more = besides(self.preparation, self.weights)
            table = read_columns(self.path, self.preparation, more=more, rows=slice(self.start, self.stop))
            if len(table) < (1 if self.stop is None else self.stop - self.start):
                has = f"it has {self.start + len(table):,}" if len(table) else "there are fewer"
                raise ValueError(f"{self.path}: rows {self._range()} are asked for, but {has}")
            return rows_of(table, self.preparation, self.weights)
        except ValueError as error:
            if self.start and " in row " in str(error):
                raise ValueError(f"{error} (rows are counted from the part's first)") from error
            raise


@dataclass(frozen=True, eq=False)
class Frame:
    """A partition of a frame, once it is computed."""

    frame: Any
    preparation: Preparation
    weights: str | None
    name: str

    def __str__(self) -> str:
        return self.name

    def read(self) -> Rows:
        return rows_of(tables.Table.of(self.frame, names_in(self.preparation, self.weights)), self.preparation, self.weights)


def cut_frame(frame: Any, preparation: Preparation, weights: str | None = None) -> list[Delayed]:
    """Parts of a Dask frame, one for each of its partitions; no row passes through the client.

    Args:
        frame: of `dask.dataframe`.
        preparation, weights: as of `Table`.
    """
    if not hasattr(frame, "to_delayed") or not hasattr(frame, "columns"):
        raise TypeError(f"frame: received {shown(frame)}, but it must be a Dask frame")
    check_preparation(preparation)
    names = names_in(preparation, weights)
    missing = [name for name in names if name not in list(frame.columns)]
    if missing:
        raise ValueError(f"frame: lacks the columns {', '.join(map(repr, missing[:20]))}")
    partitions = frame[names].to_delayed()
    count = len(partitions)
    return [
        Delayed(Frame, (partition, preparation, weights), f"Dask frame, partition {number} of {count}")
        for number, partition in enumerate(partitions, 1)
    ]


def besides(preparation: Preparation, weights: str | None) -> list[str]:
    """The columns that are no inputs: the target's and the weights', where there are any."""
    return [name for name in (preparation.target_name, weights) if name is not None]


def names_in(preparation: Preparation, weights: str | None) -> list[str]:
    """All columns that are used."""
    return [*(column.name for column in preparation.columns), *besides(preparation, weights)]


def check_preparation(preparation: Any) -> None:
    """Raise TypeError unless it is one."""
    if not isinstance(preparation, Preparation):
        raise TypeError(f"preparation: received {shown(preparation)}, but it must be a Preparation")


def rows_of(table: tables.Table, preparation: Preparation, weights: str | None) -> Rows:
    """X, y and weights, as `mlp.prepare` makes them of a table, in float64."""
    X = preparation.scale(preparation.encode(table), "float64")
    y, target = None, preparation.target
    if target is not None:
        column = table.column(target.name)
        if preparation.classes is not None:
            y = target.codes(column)
        else:
            offset, factor = preparation.target_offset_and_factor
            y = (target.numbers(column) - offset) / factor
    return X, y, None if weights is None else table.column(weights)  # type: ignore[return-value]  # texts are refused later
