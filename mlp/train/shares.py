"""A run's training set as parts that a cluster's workers read for themselves: `share_out`.

Workers read, split and scale the data as `load_parts` does, by the same options, so that no example passes through the process
that trains. They must see it under the same path.
"""

import argparse
import threading
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlp.blas import Array
from mlp.data.parts import Parts, load_parts
from mlp.fingerprint import digest
from mlp.threads import equal_bounds

#: Into how many parts a training set is cut: enough for workers of any number to have about as much each.
PIECES = 16


@dataclass(frozen=True, eq=False)
class Share:
    """Rows `start` to `stop` of the training set of these options.

    Attributes:
        options: as `load_parts` takes them, with absolute paths.
        rows: how many the training set has.
        fingerprint: of these rows where the run was started; another one means other files.
    """

    options: argparse.Namespace
    rows: int
    start: int
    stop: int
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.options.data or 'MNIST'}, training examples {self.start + 1:,} to {self.stop:,}"

    def read(self) -> tuple[Array, Array | None, Array | None]:
        """These rows, views of the training set, which is read once a process."""
        whole = _load(self.options)
        rows = _rows_of(whole, self.options, self.start, self.stop)
        if len(whole.training) != self.rows or digest((), rows) != self.fingerprint:
            raise ValueError("holds other examples where this worker reads it than where the run was started")
        return rows


def share_out(parts: Parts, options: argparse.Namespace) -> list[Share]:
    """The training set of a run's parts, which were loaded by these options, as shares of nearly equal size."""
    own = copy(options)
    own.data, own.columns, own.resume = map(_absolute, (options.data, options.columns, options.resume))
    n = len(parts.training)
    ends = pairwise(equal_bounds(n, min(PIECES, n)))
    return [Share(own, n, start, stop, digest((), _rows_of(parts, options, start, stop))) for start, stop in ends]


def _absolute(path: Any) -> Any:
    return None if path is None else type(path)(Path(path).resolve())


def _rows_of(parts: Parts, options: argparse.Namespace, start: int, stop: int) -> tuple[Array, Array, Array | None]:
    weights = parts.weights(options.class_weight).get("weights")
    X, y = parts.training.X, parts.training.y
    return X[start:stop], y[start:stop], None if weights is None else weights[start:stop]


def _load(options: argparse.Namespace) -> Parts:
    """`load_parts`, once a process for the same options: the last parts stay in memory until others are asked for."""
    key = repr(sorted(vars(options).items()))
    with _loading:
        if key not in _loaded:
            _loaded.clear()
            _loaded[key] = load_parts(copy(options))
        return _loaded[key]


_loading, _loaded = threading.Lock(), dict[str, Parts]()
