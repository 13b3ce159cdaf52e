"""Parts of the examples: each says where its rows are, and is read on the worker that will use them.

`Idx` and `Npz` name rows of files, as `Table` does (tables.py), which every worker must find under the same path; `Arrays` are
rows that the client has at hand and sends; `cut` makes parts of numpy or Dask arrays. Anything else that has `read` (see
`Part`) can be a part too.
"""

import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from mlp.blas import Array
from mlp.checks import as_array, check_integer, check_path, shown
from mlp.data import read_idx
from mlp.threads import equal_bounds

#: What a part holds: X (n, features), y or None, weights or None, as `mlp.Objective` takes them.
Rows = tuple[Array, Array | None, Array | None]


@runtime_checkable
class Part(Protocol):
    """Some of the examples."""

    def __str__(self) -> str:
        """What errors call it: the file, and which rows."""

    def read(self) -> Rows:
        """Its rows, read where this is called."""


@runtime_checkable
class DelayedPart(Protocol):
    """Some of the examples that Dask has yet to compute."""

    def __str__(self) -> str:
        """What errors call it."""

    def as_part(self) -> Any:
        """The `Part`, delayed."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Rows in memory, which travel with the task that uses them.

    Args:
        X, y, weights: as `mlp.Objective` takes them.
        name: what errors call them.
    """

    X: Any
    y: Any = None
    weights: Any = None
    name: str = "arrays"

    def __str__(self) -> str:
        return self.name

    def read(self) -> Rows:
        return self.X, self.y, self.weights


class FileRows:
    """Rows `start` to `stop` (not included; None: to the end) of files: what `Idx`, `Npz` and `Table` share."""

    start: int
    stop: int | None

    def _check_start(self) -> None:
        check_integer("start", self.start, at_least=0)
        if self.stop is not None:
            check_integer("stop", self.stop, at_least=self.start + 1)

    def cut(self, rows: int, pieces: int) -> list[Self]:
        """Equal parts of the first so many rows of the same files, which need not be within this process's reach."""
        check_integer("rows", rows, at_least=1)
        itself: Any = self
        return [replace(itself, start=low, stop=high) for low, high in pairwise(_bounds(rows, pieces))]

    def _check_range(self, path: Any, rows: int) -> slice:
        if self.start >= rows or (self.stop is not None and self.stop > rows):
            raise ValueError(f"{path}: has {rows:,} rows, but rows {self._range()} are asked for")
        return slice(self.start, self.stop)

    def _range(self) -> str:
        return f"{self.start:,} to {'the last' if self.stop is None else f'{self.stop - 1:,}'}"


@dataclass(frozen=True)
class Idx(FileRows):
    """Rows of IDX files, such as MNIST's. Of an uncompressed file only these rows are read, of a compressed one all.

    Args:
        images: the file of X, whose arrays are flattened to rows.
        labels: the file of y, or None: X is its own target.
        weights: the file of the examples' weights, or None.
    """

    images: str | os.PathLike[str]
    labels: str | os.PathLike[str] | None = None
    weights: str | os.PathLike[str] | None = None
    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        for name in ("images", "labels", "weights"):
            if name == "images" or getattr(self, name) is not None:
                check_path(name, getattr(self, name))
        self._check_start()

    def __str__(self) -> str:
        return f"{self.images}, rows {self._range()}"

    def read(self) -> Rows:
        X = self._rows_of(self.images)
        y = None if self.labels is None else self._rows_of(self.labels)
        weights = None if self.weights is None else self._rows_of(self.weights)
        return X.reshape(len(X), -1), y, weights

    def _rows_of(self, path: str | os.PathLike[str]) -> Array:
        with open(path, "rb") as stream:
            compressed = stream.read(2) == b"\x1f\x8b"
        whole = read_idx(path, mapped=not compressed)
        rows = whole[self._check_range(path, len(whole))]
        return np.array(rows, rows.dtype.newbyteorder("="))


@dataclass(frozen=True)
class Npz(FileRows):
    """Rows of arrays in an npz file. Of an array that isn't compressed only these rows are read.

    Args:
        path: the file.
        X, y, weights: what the arrays are called there; None where there are none.
    """

    path: str | os.PathLike[str]
    X: str = "X"
    y: str | None = "y"
    weights: str | None = None
    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        check_path("path", self.path)
        self._check_start()

    def __str__(self) -> str:
        return f"{self.path}, rows {self._range()}"

    def read(self) -> Rows:
        try:
            with zipfile.ZipFile(self.path) as archive:
                X, y, weights = (name and self._rows_of(archive, name) for name in (self.X, self.y, self.weights))
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{self.path}: not an npz file, or damaged: {error}") from error
        return X, y, weights  # type: ignore[return-value]  # X has a name

    def _rows_of(self, archive: zipfile.ZipFile, name: str) -> Array:
        where = f"{self.path}: {name}"
        if f"{name}.npy" not in archive.namelist():
            present = ", ".join(entry.removesuffix(".npy") for entry in archive.namelist())
            raise ValueError(f"{self.path}: has no array {name!r}, but {present or 'none'}")
        with archive.open(f"{name}.npy") as stream:
            major, _ = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            shape, in_columns, dtype = header(stream)
            if dtype.hasobject or not shape or in_columns:
                raise ValueError(f"{where}: holds {dtype} {shape}, but it must be rows of numbers, in row-major order")
            chosen = self._check_range(where, shape[0])
            low, high, _ = chosen.indices(shape[0])
            row = dtype.itemsize * int(np.prod(shape[1:]))
            stream.seek(low * row, io.SEEK_CUR)
            content = stream.read((high - low) * row)
        if len(content) < (high - low) * row:
            raise ValueError(f"{where}: is cut short")
        return np.frombuffer(content, dtype).reshape(high - low, *shape[1:])


@dataclass(frozen=True, eq=False)
class Delayed:
    """What a part is made of, delayed blocks of a Dask array or frame among it, which workers compute where it is wanted.

    Args:
        kind: the part's class.
        arguments: those that come before its name.
        name: what errors call it.
    """

    kind: type[Part]
    arguments: tuple[Any, ...]
    name: str

    def __str__(self) -> str:
        return self.name

    def as_part(self) -> Any:
        import dask

        return dask.delayed(self.kind, pure=False)(*self.arguments, self.name)


def cut(X: Any, y: Any = None, weights: Any = None, *, pieces: int = 16) -> list[Any]:
    """Parts of arrays: X (n, features), y and weights as `mlp.Objective` takes them.

    Numpy's are cut into so many equal parts, and sent with the tasks: for data that the client has anyway. Dask's are cut where
    the chunks of X's rows end, whatever `pieces` is, and no row passes through the client. (Dask frames: `cut_frame`.)
    """
    if hasattr(X, "to_delayed"):
        return _cut_dask(X, y, weights)
    given = {"X": X, "y": y, "weights": weights}
    arrays = {name: None if value is None else as_array(name, value, "an array") for name, value in given.items()}
    n = len(X)
    for name, array in arrays.items():
        if array is not None and (array.ndim == 0 or len(array) != n):
            raise ValueError(f"{name}: received shape {array.shape}, but it must have a row for each of the {n:,} of X")
    parts = []
    for low, high in pairwise(_bounds(n, pieces)):
        rows = [None if array is None else array[low:high] for array in arrays.values()]
        parts.append(Arrays(rows[0], rows[1], rows[2], f"arrays, rows {low:,} to {high - 1:,}"))
    return parts


def _cut_dask(X: Any, y: Any, weights: Any) -> list[Delayed]:
    if X.ndim != 2 or np.isnan(sum(X.shape)):
        raise ValueError(f"X: received a Dask array of shape {X.shape}, but it must be (n, features), both known")
    X = X.rechunk({1: -1})
    sizes = X.chunks[0]
    columns: list[Sequence[Any]] = [X.to_delayed()[:, 0]]
    for name, array in (("y", y), ("weights", weights)):
        if array is None:
            columns.append([None] * len(sizes))
            continue
        if not hasattr(array, "to_delayed") or array.shape[:1] != X.shape[:1]:
            raise ValueError(f"{name}: received {shown(array)}, but it must be a Dask array with a row for each of X's")
        aligned = array.rechunk((sizes, *((-1,) * (array.ndim - 1))))
        columns.append(aligned.to_delayed().reshape(len(sizes)))
    ends = np.cumsum(sizes)
    names = [f"Dask array, rows {end - size:,} to {end - 1:,}" for end, size in zip(ends, sizes, strict=True)]
    return [Delayed(Arrays, blocks, name) for blocks, name in zip(zip(*columns, strict=True), names, strict=True)]


def _bounds(rows: int, pieces: int) -> list[int]:
    """Where so many equal parts begin and end, the last with the rest."""
    return equal_bounds(rows, min(check_integer("pieces", pieces, at_least=1), rows))


def check_parts(parts: Any) -> list[Any]:
    """The parts as a list, if there are any and all are parts."""
    if isinstance(parts, str | bytes) or not isinstance(parts, Sequence) or not parts:
        raise TypeError(
            f"parts: received {shown(parts)}, but it must be a list of at least one part: Idx, Npz, Table, or what cut gives"
        )
    for number, part in enumerate(parts):
        if not isinstance(part, Part | DelayedPart):
            raise TypeError(f"parts[{number}]: received {shown(part)}, but it must be an Idx, Npz, Table, or what cut gives")
    return list(parts)
