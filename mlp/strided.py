"""`add_products`: the products of two stacks of matrices, as they lie in memory, overlapping ones too, added up.

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
    """C ← C + α Σ AᵢBᵢ, in place: A (stack, m, k), B (stack, k, n), C (m, n).

    The matrices of a stack may overlap. Each has neighbouring numbers along one of its axes (C along the last).
    """
    gemm = GEMM.get(C.dtype)
    if gemm is None or A[0].size * B.shape[-1] < _SMALL:
        C += alpha * np.matmul(A, B).sum(axis=0)
        return
    (trans_a, ld_a), (trans_b, ld_b), (_, ld_c) = (_layout(array) for array in (A, B, C))
    a, b, c = (array.ctypes.data for array in (A, B, C))
    (m, n), k = C.shape, A.shape[-1]
    for i in range(len(A)):
        of_a, of_b = a + i * A.strides[0], b + i * B.strides[0]
        gemm(ROW_MAJOR, trans_a, trans_b, m, n, k, alpha, of_a, ld_a, of_b, ld_b, 1.0, c, ld_c)


def _layout(array: Array) -> tuple[int, int]:
    """Whether matrices are transposed, and how many numbers lie between the starts of two of their rows."""
    size = array.itemsize
    if array.strides[-1] == size or array.shape[-1] == 1 != array.strides[-2] // size:
        return AS_IT_LIES, max(array.strides[-2] // size, array.shape[-1])
    if array.strides[-2] != size:
        raise ValueError(f"received a matrix of strides {array.strides[-2:]}, but one of them must be {size}")
    return TRANSPOSED, max(array.strides[-1] // size, array.shape[-2])
