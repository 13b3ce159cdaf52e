"""`multiply_in_parts`: a large matrix product, cut into parts by its size alone, in one call of BLAS's batched product.

Each part is the work of one thread, so that the numbers don't depend on how many threads there are, and thus not on what
else the machine was doing (threads.py). OpenBLAS has a batched product (`cblas_?gemm_batch`, as others do) from 0.3.28 on,
which came with scipy 1.15; earlier ones take products whole, on one thread where that can be set.
"""

import ctypes
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from mlp.threads import Multiply, blas_libraries, one_thread

Array = np.ndarray[Any, np.dtype[Any]]

#: A product of at least so many multiplications is cut in two, and into 4 or 8 parts where each has so many.
IN_TWO, IN_MORE, MOST_PARTS = 1 << 23, 1 << 27, 8

#: Parts begin at a multiple of so many rows or columns, with which BLAS's kernels go along.
STEP = 32

#: What CBLAS calls row-major order, and matrices as they lie or transposed.
ROW_MAJOR, AS_IT_LIES, TRANSPOSED = 101, 111, 112

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


def can_be_cut(A: Array, C: Array) -> bool:
    """Whether C = AB is a product that `multiply_in_parts` is for."""
    return C.size * A.shape[1] >= IN_TWO and max(C.shape) >= 2 * STEP and C.dtype in BATCHED and C.flags.c_contiguous


def cut(longer: int, multiplications: int) -> list[int]:
    """Where parts of a product begin, along the longer side of C.

    None is small: on processors with AVX-512, OpenBLAS (before 0.3.34) takes batches of products of up to 100³
    multiplications to kernels that crash.
    """
    most = min(max(multiplications // IN_MORE, 2), MOST_PARTS, longer // STEP)
    parts = 1 << (most.bit_length() - 1)  # 2, 4 or 8: with three, one of two threads would have nothing to do for a third
    return [round(number * longer / (parts * STEP)) * STEP for number in range(parts)]


def multiply_in_parts(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C ← αAB + βC: A (m, k), B (k, n), C (m, n) row by row, A and B row by row or column by column. With β = 0, C need not
    hold numbers yet."""
    shape = A.shape, A.strides, B.shape, B.strides
    addresses = A.ctypes.data, B.ctypes.data, C.ctypes.data
    one_thread.share(*_prepare(C.dtype, shape, addresses, beta), alpha, shape)


@lru_cache(maxsize=256)
def _prepare(dtype: Any, shape: Any, addresses: tuple[int, ...], beta: float) -> tuple[Multiply, list[Multiply]]:
    """A function of α that makes this product, of matrices that lie there, and one for each part of it alone: buffers stay
    where they are from step to step."""
    (m, inner), (down_a, right_a), (_, n), (down_b, right_b) = shape
    size = dtype.itemsize
    starts = cut(max(m, n), m * n * inner)
    layouts = [
        (AS_IT_LIES, down // size) if right == size else (TRANSPOSED, right // size)
        for down, right in ((down_a, right_a), (down_b, right_b))
    ]
    strides = (down_a, 0, n * size) if m >= n else (0, right_b, size)  # by which parts of A, B and C follow each other
    parts = []
    for start, stop in pairwise([*starts, max(m, n)]):
        rows, columns = (stop - start, n) if m >= n else (m, stop - start)
        parts.append((rows, columns, [first + start * stride for first, stride in zip(addresses, strides, strict=True)]))
    return _batch(dtype, parts, inner, layouts, n, beta), [_batch(dtype, [part], inner, layouts, n, beta) for part in parts]


def _batch(
    dtype: Any, parts: list[tuple[int, int, list[int]]], inner: int, layouts: list[tuple[int, int]], ldc: int, beta: float
) -> Multiply:
    """A function of α that makes several products, each of so many rows and columns, of matrices at such addresses."""
    number = len(parts)
    whole, real, address = ctypes.c_int * number, _REAL[dtype] * number, ctypes.c_void_p * number

    def same(value: int) -> Any:
        return whole(*[value] * number)

    rows, columns, addresses = zip(*parts, strict=True)
    a, b, c = (address(*of_each) for of_each in zip(*addresses, strict=True))
    (trans_a, lda), (trans_b, ldb) = layouts
    factor, beta_each = real(), real(*[beta] * number)
    function = BATCHED[dtype]
    sizes = ROW_MAJOR, same(trans_a), same(trans_b), whole(*rows), whole(*columns), same(inner)
    arguments = *sizes, factor, a, same(lda), b, same(ldb), beta_each, c, same(ldc), number, same(1)

    def multiply(alpha: float) -> None:
        factor[:] = [alpha] * number
        function(*arguments)

    return multiply
