"""`add_products`: products of stacks of matrices as they lie in memory, overlapping ones too, added to what is there.

numpy's matmul takes such stacks, but can't add; and f2py's wrappers (blas.py) copy what isn't contiguous. BLAS's own function
takes any distance between rows, costs about a microsecond a call through ctypes, and lets other threads run meanwhile. It
is taken from numpy's library, whose products of a few dozen rows or columns take 0.7 of the time of scipy's. Where it can't
be had, numpy adds up copies of the products.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.parts import AS_IT_LIES, ROW_MAJOR, TRANSPOSED
from mlp.threads import blas_libraries

#: Products of fewer multiplications than this are added up by numpy: a call for each would keep other threads waiting.
_SMALL = 1 << 19


def _find_gemm(name: str, real: Any) -> Callable[..., None] | None:
    """The function of that name, such as "sgemm", in the BLAS library that came with numpy, or else with scipy, or None."""
    for library in reversed(blas_libraries()):
        for ending, whole in (("64_", ctypes.c_int64), ("", ctypes.c_int)):
            function: Any = getattr(library, f"scipy_cblas_{name}{ending}", None)
            if function is not None:
                matrix = ctypes.c_void_p, whole
                function.argtypes = *[ctypes.c_int] * 3, *[whole] * 3, real, *matrix, *matrix, real, *matrix
                function.restype = None
                found: Callable[..., None] = function
                return found
    return None


#: The function for each dtype for which there is one.
GEMM: dict[Any, Callable[..., None]] = {
    np.dtype(dtype): function
    for dtype, name, real in ((np.float32, "sgemm", ctypes.c_float), (np.float64, "dgemm", ctypes.c_double))
    if (function := _find_gemm(name, real))
}


def add_products(alpha: float, A: Array, B: Array, C: Array) -> None:
    """C ← C + αAB for stacks of matrices, one after the other: A (stack, m, k), B (stack, k, n), C (stack, m, n).

    A single matrix serves for all of a stack, and a single C adds up all products. The matrices of C may overlap. Each has
    neighbouring numbers along one of its axes (C along the last).
    """
    gemm = GEMM.get(C.dtype)
    if C.ndim == 2 and (gemm is None or A[0].size * B.shape[-1] < _SMALL):
        C += alpha * np.matmul(A, B).sum(axis=0)
        return
    stack = max(len(array) for array in (A, B, C) if array.ndim == 3)
    if gemm is None:
        for number in range(stack):
            a, b, c = (array if array.ndim == 2 else array[number] for array in (A, B, C))
            c += alpha * (a @ b)
        return
    (trans_a, ld_a), (trans_b, ld_b), (_, ld_c) = (_layout(array) for array in (A, B, C))
    (m, n), k = C.shape[-2:], A.shape[-1]
    for a, b, c in zip(_addresses(A, stack), _addresses(B, stack), _addresses(C, stack), strict=True):
        gemm(ROW_MAJOR, trans_a, trans_b, m, n, k, alpha, a, ld_a, b, ld_b, 1.0, c, ld_c)


def _layout(array: Array) -> tuple[int, int]:
    """Whether a stack's matrices are transposed, and how many numbers lie between the starts of two of their rows."""
    size = array.itemsize
    if array.strides[-1] == size or array.shape[-1] == 1 != array.strides[-2] // size:
        return AS_IT_LIES, max(array.strides[-2] // size, array.shape[-1])
    if array.strides[-2] != size:
        raise ValueError(f"received a matrix of strides {array.strides[-2:]}, but one of them must be {size}")
    return TRANSPOSED, max(array.strides[-1] // size, array.shape[-2])


def _addresses(array: Array, stack: int) -> list[int]:
    """Where each matrix of the stack begins."""
    start: int = array.ctypes.data
    step = 0 if array.ndim == 2 else array.strides[0]
    return [start + number * step for number in range(stack)]
