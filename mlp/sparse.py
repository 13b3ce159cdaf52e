"""Sparse X, most of whose numbers are 0, such as bags of words: rows of a `scipy.sparse.csr_array`.

`check_sparse` says what X may be. `SparseRows` are examples on their way through a pass, with the two products of a first
layer, which is `DenseOfSparse` then (layers/sparse.py). Where another layer is the first one, and for an autoencoder's
targets, batches are made dense as they are gathered: `fill_rows` does whichever it is.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mlp.blas import Array
from mlp.checks import check_real, is_sparse
from mlp.threads import equal_bounds, run

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: A row of a product is long from so many numbers on, read in X and passed over in W: it takes some 20 µs. Shorter ones only
#: keep Python's threads waiting for each other. All rows of a product in so many parts.
LONG, PARTS = 1 << 15, 8


def check_sparse(name: str, value: Any, allowed: str) -> "csr_array":
    """A sparse array or matrix of any format, its real numbers as a csr_array: each row's columns in order, none twice.

    What is like that already shares its memory; the caller's own is never changed.
    """
    from scipy.sparse import csr_array

    check_real(name, value.dtype, allowed)
    if value.ndim != 2:
        raise ValueError(f"{name}: received shape {value.shape}, but it must be {allowed}")
    try:
        rows = csr_array(value)
        rows.check_format(full_check=True)  # products would read and write wherever an index points
    except ValueError as error:
        raise ValueError(f"{name}: received a {type(value).__name__} whose indices are not right ({error})") from error
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return rows


class SparseRows:
    """n rows of a sparse X in a pass, (n, features), in the pass's dtype: X and A⁰ = Xᵀ to a `DenseOfSparse`.

    Both products are added to what is there, row by row of B and C: B's row times what X stores. Of W, no more is read or
    written than the columns that occur, and no matrix of its size is made (as it is by scipy's `@`, which calls the same
    two functions).
    """

    #: How many numbers it has room for: none, the rows bring theirs.
    size = 0

    def __init__(self, n: int, features: int, dtype: Any):
        self.shape = n, features
        self.dtype = np.dtype(dtype)
        self._numbers = np.empty(0, dtype)
        self._places: tuple[Array, Array] = np.empty(0, np.int32), np.empty(0, np.int32)

    @property
    def T(self) -> Self:
        """Itself: one thing for X and for Xᵀ."""
        return self

    def fill(self, rows: "csr_array") -> None:
        """Take these rows of X, (n, features)."""
        self._numbers, self._places = stored_as(rows, self.dtype), (rows.indptr, rows.indices)

    def add_forward(self, B: Array, C: Array) -> None:
        """C ← C + B Xᵀ, for B (m, features) and C (m, n)."""
        from scipy.sparse._sparsetools import csr_matvec

        self._add_rows(csr_matvec, self.shape, self._numbers, B, C)

    def add_gradient(self, alpha: float, B: Array, C: Array) -> None:
        """C ← C + αBX, for B (m, n) and C (m, features)."""
        from scipy.sparse._sparsetools import csc_matvec

        # by columns, what is stored is Xᵀ
        self._add_rows(csc_matvec, self.shape[::-1], self._numbers * self.dtype.type(alpha), B, C)

    def _add_rows(self, add: Callable[..., None], shape: tuple[int, int], numbers: Array, B: Array, C: Array) -> None:
        """Each row of C by itself; some of them at the same time where that is worth a thread."""

        def add_some(start: int, stop: int) -> None:
            for b, c in zip(B[start:stop], C[start:stop], strict=True):
                add(*shape, *self._places, numbers, b, c)

        if numbers.size + self.shape[1] < LONG:
            add_some(0, len(B))
        else:
            run([partial(add_some, *some) for some in pairwise(equal_bounds(len(B), PARTS))])

    def __pow__(self, exponent: int) -> "SparseRows":
        """The powers of all numbers, of exponents above 0."""
        powers = SparseRows(*self.shape, self.dtype)
        powers._numbers, powers._places = self._numbers**exponent, self._places
        return powers


def fill_rows(rows: "csr_array", out: Any) -> None:
    """out ← rows, (n, features): `SparseRows`, or an array."""
    if isinstance(out, SparseRows):
        out.fill(rows)
    else:
        out[...] = 0
        at = np.repeat(np.arange(len(out)), np.diff(rows.indptr)), rows.indices
        out[at] = stored_as(rows, out.dtype)


def stored_in(X: Any) -> Array:
    """The numbers that are there: X itself, or the vector of all that a sparse one stores."""
    numbers: Array = X.data if is_sparse(X) else X
    return numbers


def place_of(X: Any, number: int) -> tuple[Any, Any]:
    """In which row and column a number of `stored_in(X)` is, counted as it lies."""
    if not is_sparse(X):
        row, column = divmod(number, X.shape[1])
        return row, column
    return np.searchsorted(X.indptr, number, side="right") - 1, X.indices[number]


def stored_as(rows: "csr_array", dtype: Any) -> Array:
    """The numbers that are stored, in that dtype; 8-bit unsigned ones are scaled from 0 … 255 to 0 … 1."""
    numbers: Array = rows.data.astype(dtype, copy=False)
    return numbers * dtype.type(1 / 255) if rows.dtype == np.uint8 else numbers
