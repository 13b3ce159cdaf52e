"""`multiply_in_parts`: a large matrix product, cut into parts by its size alone, in one call of BLAS's batched product.

Each part is the work of one thread, so that the numbers don't depend on how many threads there are, and thus not on what
else the machine was doing (threads.py). OpenBLAS has a batched product (`cblas_?gemm_batch`, as others do) from 0.3.28 on, which
came with scipy 1.15; earlier ones take products whole.
"""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mlp.threads import blas_libraries, find_function, one_thread

Array = np.ndarray[Any, np.dtype[Any]]

#: A product of at least so many multiplications is cut in two, and into more parts where each has so many.
IN_TWO, IN_MORE, MOST_PARTS = 1 << 23, 1 << 26, 8

#: Parts begin at a multiple of so many rows or columns, with which BLAS's kernels go along.
STEP = 32

#: What CBLAS calls matrices: row by row; and whether they are to be transposed.
_ROW_MAJOR, _AS_IS, _TRANSPOSED = 101, 111, 112

_REAL: dict[Any, Any] = {np.dtype(np.float32): ctypes.c_float, np.dtype(np.float64): ctypes.c_double}


def _find_batched() -> dict[Any, Any]:
    """BLAS's batched product for each dtype, in scipy's library; none where it has none."""
    found = {}
    for dtype, letter in zip(_REAL, "sd", strict=True):
        for library in blas_libraries()[:1]:
            function = getattr(library, f"scipy_cblas_{letter}gemm_batch", None)
            if function is not None:
                function.restype = None
                found[dtype] = function
    return found


BATCHED = _find_batched()


class _Plan(NamedTuple):
    """What products of one shape have in common: how many parts, the arguments of the call, and where parts begin."""

    parts: int
    before: Sequence[Any]
    leading: Sequence[Any]
    offsets: Sequence[Sequence[int]]
    group: Any


def can_be_cut(A: Array, C: Array) -> bool:
    """Whether C = AB is a product that `multiply_in_parts` is for."""
    return C.size * A.shape[1] >= IN_TWO and C.dtype in BATCHED and C.flags.c_contiguous


def multiply_in_parts(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C ← αAB + βC: A (m, k), B (k, n), C (m, n) row by row, A and B row by row or column by column. With β = 0, C need not hold
    numbers yet."""
    shape = C.dtype, A.shape, A.strides, B.shape, B.strides
    plan = _plan(*shape)
    real = _REAL[C.dtype] * plan.parts
    a, b, c = (
        (ctypes.c_void_p * plan.parts)(*[array.ctypes.data + offset for offset in offsets])
        for array, offsets in zip((A, B, C), plan.offsets, strict=True)
    )
    lda, ldb, ldc = plan.leading
    arguments = *plan.before, real(*[alpha] * plan.parts), a, lda, b, ldb, real(*[beta] * plan.parts), c, ldc
    function = BATCHED[C.dtype]
    one_thread.share(lambda: function(*arguments, ctypes.c_int(plan.parts), plan.group), shape)


@lru_cache(maxsize=256)
def _plan(dtype: Any, shape_a: Any, strides_a: Any, shape_b: Any, strides_b: Any) -> _Plan:
    """How to cut a product along the longer side of C."""
    (m, inner), n, size = shape_a, shape_b[1], dtype.itemsize
    wanted = min(max(m * n * inner // IN_MORE, 2), MOST_PARTS)
    step = -(-max(m, n) // (wanted * STEP)) * STEP
    starts = range(0, max(m, n), step)
    lengths = [min(step, max(m, n) - start) for start in starts]
    parts = len(starts)
    whole = ctypes.c_int * parts
    (trans_a, lda), (trans_b, ldb) = (
        (_AS_IS, strides[0] // size) if strides[1] == size else (_TRANSPOSED, strides[1] // size)
        for strides in (strides_a, strides_b)
    )
    nothing = [0] * parts
    if m >= n:
        rows, columns = lengths, [n] * parts
        offsets = [start * strides_a[0] for start in starts], nothing, [start * n * size for start in starts]
    else:
        rows, columns = [m] * parts, lengths
        offsets = nothing, [start * strides_b[1] for start in starts], [start * size for start in starts]
    inners = whole(*[inner] * parts)
    before = (
        ctypes.c_int(_ROW_MAJOR),
        whole(*[trans_a] * parts),
        whole(*[trans_b] * parts),
        whole(*rows),
        whole(*columns),
        inners,
    )
    leading = tuple(whole(*[stride] * parts) for stride in (lda, ldb, n))
    return _Plan(parts, before, leading, offsets, whole(*[1] * parts))
