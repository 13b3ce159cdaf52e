"""Examples on their way into a network: what X and y may be, and `Batches`, which gathers and scales them.

8-bit unsigned X is taken as pixel intensities: it stays 8 bits in memory and is scaled from 0 … 255 to 0 … 1 as a batch
is gathered.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import as_array, is_sparse, shown, warn_once
from mlp.costs import Cost, check_numbers, holds_labels
from mlp.sparse import check_sparse, fill_rows, place_of, stored_in

Distort = Callable[[Array, np.random.Generator], Array]

#: How many rows are looked at together where there may be many.
_ROWS = 1024

#: What inputs are warned of is looked for in about so many rows: pixels in so many columns at least, or means of so much.
_SAMPLE, _LEAST_PIXELS, _LARGE = 100, 64, 1000


def draw_batches(n: int, batch_size: int | None, rng: np.random.Generator) -> Iterator[Array]:
    """The n examples in a new random order, as index arrays of batch_size; the last may be shorter. None: one of all."""
    order = rng.permutation(n)
    step = batch_size or n
    for start in range(0, n, step):
        yield order[start : start + step]


def check_input(inputs: Any, features: int, dtype: Any) -> Any:
    """X as an array (n, features) of real numbers that are finite in dtype, a csr_array where it is sparse; or an error that
    says what is wrong with it."""
    X: Any = (check_sparse if is_sparse(inputs) else as_array)("X", inputs, f"an array (examples, {features})")
    if X.ndim != 2:
        raise ValueError(f"X: received shape {X.shape}, but it must be (examples, {features})")
    if X.shape[1] != features:
        raise ValueError(
            f"X: received {X.shape[1]} features, shape {X.shape}, but the network takes {features}: (examples, {features})"
        )
    if X.shape[0] == 0:
        raise ValueError(f"X: received no examples, shape {X.shape}, but at least one is needed")
    if X.dtype.kind == "f":
        for start in range(0, X.shape[0], _ROWS):
            rows = X[start : start + _ROWS]
            with np.errstate(over="ignore"):
                finite = np.isfinite(stored_in(rows).astype(dtype, copy=False))
            if not finite.all():
                row, column = place_of(rows, np.flatnonzero(~finite)[0])
                raise ValueError(
                    f"X: received {rows[row, column]} at example {start + row:,}, feature {column:,}, "
                    f"but every value must be finite in {np.dtype(dtype)}"
                )
    _warn_of_scale(X)
    return X


def _warn_of_scale(X: Any) -> None:
    """Warn of inputs that are legal but almost surely a mistake, as a few rows show."""
    if X.shape[0] == 1 or X.dtype == np.uint8:
        return
    sample = stored_in(X[:: X.shape[0] // _SAMPLE + 1])
    if sample.size == 0:
        return
    if X.dtype.kind in "iu" and X.shape[1] >= _LEAST_PIXELS and sample.min() >= 0 and 127 < sample.max() <= 255:
        warn_once(
            "pixels",
            f"X: {X.dtype} up to {sample.max()} looks like pixels, but is taken as it is: give X.astype(np.uint8), which is "
            "scaled to 0 … 1, or X / 255",
        )
        return
    with np.errstate(over="ignore"):
        mean = float(np.abs(sample, dtype=np.float64).mean())
    if mean > _LARGE:
        warn_once(
            "large",
            f"X: its values are {mean:,.0f} in the mean, but initial weights expect about 1: "
            + ("divide each column" if is_sparse(X) else "subtract each column's mean and divide")
            + " by its standard deviation",
        )


def check_targets(targets: Any, n: int, outputs: int, dtype: Any) -> Array:
    """Targets in one of the two forms of costs/: labels (n,) or numbers (n, outputs) in that dtype."""
    allowed = f"class labels ({n},) or numbers ({n}, {outputs})" if outputs > 1 else f"numbers ({n},) or ({n}, 1)"
    y = as_array("y", targets, allowed)
    if y.shape not in ((n,), (n, outputs)):
        raise ValueError(f"y: received shape {y.shape} for {n:,} examples, but it must be {allowed}")
    if y.ndim == 1 and outputs > 1:
        if y.dtype.kind not in "ui":
            whole = y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.floor(y)).all()
            hint = ": give y.astype(int)" if whole else ""
            raise TypeError(f"y: received dtype {y.dtype}, but class labels must be integers from 0 to {outputs - 1}{hint}")
        wrong = np.flatnonzero((y < 0) | (y >= outputs))
        if len(wrong):
            raise ValueError(
                f"y: received label {y[wrong[0]]} at example {wrong[0]:,}, but labels must be from 0 to {outputs - 1}"
            )
        return y.astype(np.intp)
    with np.errstate(over="ignore"):
        Y: Array = y.reshape(n, outputs).astype(dtype)
    return Y


def check_own_targets(X: Any, sizes: Sequence[int], dtype: Any, cost: Cost) -> None:
    """Raise ValueError unless inputs can be their own targets: for the outputs of a network of these sizes, and that cost."""
    if sizes[0] != sizes[-1]:
        raise ValueError(
            f"y: received none, so that the input is its own target, but the network has {sizes[0]} inputs and "
            f"{sizes[-1]} outputs"
        )
    for start in range(0, X.shape[0], _ROWS):
        rows = np.empty(X[start : start + _ROWS].shape, dtype)
        copy_input(X[start : start + _ROWS], out=rows)
        check_numbers("X, being its own target", rows, cost)


def check_weights(given: Any, n: int, dtype: Any) -> Array | None:
    """The examples' weights (n,), scaled to mean 1; None where all count alike."""
    if given is None:
        return None
    allowed = f"numbers of at least 0, ({n},), and not all 0"
    weights = as_array("weights", given, allowed).astype(np.float64)
    if weights.shape != (n,):
        raise ValueError(f"weights: received shape {weights.shape}, but it must be {allowed}")
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise ValueError(f"weights: received {weights[wrong[0]]} at example {wrong[0]:,}, but it must be {allowed}")
    largest = weights.max()
    if largest == 0:
        raise ValueError(f"weights: received 0 for every example, but it must be {allowed}")
    weights /= largest  # so that the sum can't overflow
    weights *= n / weights.sum()
    return weights.astype(dtype)


def check_rows(chosen: Any, n: int) -> Array | None:
    """Row numbers (m,) of n examples from indices or a slice; None for all of them."""
    if chosen is None:
        return None
    if isinstance(chosen, slice):
        try:
            chosen = range(n)[chosen]
        except (TypeError, ValueError):
            raise TypeError(f"rows: received {shown(chosen)}, but a slice must be of integers, its step not 0") from None
    rows = as_array("rows", chosen, "a slice or one or more integer indices")
    if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in "iu":
        raise ValueError(
            f"rows: received shape {rows.shape} of {rows.dtype}, but it must be a slice or one or more integer indices"
        )
    low, high = int(rows.min()), int(rows.max())
    if low < 0 or high >= n:
        raise ValueError(f"rows: received {low if low < 0 else high}, but it must be from 0 to {n - 1:,}")
    return rows.astype(np.intp, copy=False)


def copy_input(rows: Any, out: Array) -> None:
    """out ← rows, (n, features), in out's dtype; 8-bit unsigned rows are scaled from 0 … 255 to 0 … 1."""
    if not isinstance(rows, np.ndarray):
        fill_rows(rows, out)
    elif rows.dtype == np.uint8:
        np.multiply(rows, out.dtype.type(1 / 255), out=out)
    else:
        out[...] = rows


class Batches:
    """Gathers rows of X, Y and weights. Its scratch: room for 8-bit rows on their way, for targets and weights, made once.

    Args:
        X: inputs (n, features), checked: an array, or a csr_array.
        Y: targets, (n,) labels or (n, outputs) numbers, or None: the inputs themselves, once gathered.
        weights: the examples' weights (n,), or None.
        distort: what is done to inputs as they are gathered, or None.
    """

    def __init__(self, X: Any, Y: Array | None, weights: Array | None, distort: Distort | None):
        self.X = X
        self.Y = Y
        self._weights = weights
        self.distort = distort
        self._rows_of: dict[str, Array] = {}

    def inputs(self, rows: Any, rng: np.random.Generator | None, out: Array) -> None:
        """out ← those rows of X, (n, features): distorted if there is a generator, and scaled where they are pixels."""
        if rng is not None and self.distort is not None:
            copy_input(self._distorted(rows, rng), out=out)
        elif isinstance(rows, slice) or not isinstance(self.X, np.ndarray):
            copy_input(self.X[rows], out=out)
        elif self.X.dtype == out.dtype:
            self.X.take(rows, 0, out, "clip")  # mode="clip" spares numpy a buffered copy
        else:
            copy_input(self._taken("X", self.X, rows), out=out)

    def targets(self, rows: Any, inputs: Array) -> Array:
        """The targets of those rows, labels (m,) or numbers (outputs, m); where there is no Y, the inputs (features, m)."""
        if self.Y is None:
            return inputs
        taken = self._taken("Y", self.Y, rows)
        return taken if holds_labels(taken) else taken.T

    def weights(self, rows: Any) -> Array | None:
        """The weights of those rows, (m,), or None."""
        return None if self._weights is None else self._taken("weights", self._weights, rows)

    def _taken(self, name: str, array: Array, rows: Any) -> Array:
        """Those rows of an array, in the same room each time."""
        if isinstance(rows, slice):
            return array[rows]
        room = self._rows_of.get(name)
        if room is None or len(room) < len(rows):
            room = self._rows_of[name] = np.empty((len(rows), *array.shape[1:]), array.dtype)
        return array.take(rows, 0, room[: len(rows)], "clip")

    def _distorted(self, rows: Any, rng: np.random.Generator) -> Array:
        given = self.X[rows].copy() if isinstance(rows, slice) else self.X[rows]  # its own, to be changed in place too
        assert self.distort is not None
        distorted = self.distort(given, rng)
        if not isinstance(distorted, np.ndarray) or (distorted.shape, distorted.dtype) != (given.shape, given.dtype):
            found = f"{distorted.dtype} {distorted.shape}" if isinstance(distorted, np.ndarray) else shown(distorted)
            raise ValueError(f"distort: returned {found}, but it must be an array of {given.dtype} {given.shape}")
        return distorted
