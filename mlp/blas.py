"""The matrix product that everything else is made of: `gemm`, which computes C ← αAB + βC in place.

All products go through scipy's BLAS, those of vectors too: unlike numpy's it has the factors α and β, and a second
library's threads, which stay awake for a while after each call, would compete with its own for the cores. Large products
are cut into parts (parts.py), so that the numbers are the same on any number of threads.
"""

from typing import Any

import numpy as np
from scipy.linalg.blas import daxpy, ddot, dgemm, dgemv, dscal, saxpy, sdot, sgemm, sgemv, sscal

from mlp.parts import can_be_cut, multiply_in_parts

Array = np.ndarray[Any, np.dtype[Any]]

_GEMM = {np.dtype(np.float32): sgemm, np.dtype(np.float64): dgemm}
_GEMV = {np.dtype(np.float32): sgemv, np.dtype(np.float64): dgemv}
_AXPY = {np.dtype(np.float32): saxpy, np.dtype(np.float64): daxpy}
_DOT = {np.dtype(np.float32): sdot, np.dtype(np.float64): ddot}
_SCAL = {np.dtype(np.float32): sscal, np.dtype(np.float64): dscal}


def read_only(array: Array) -> Array:
    """A view that can't be written to, for functions of the user's own: what they change in place would be lost on us."""
    view = array.view()
    view.flags.writeable = False
    return view


def gemm(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C ← αAB + βC, in place: A (m, k), B (k, n), C (m, n) in row-major order; A and B may be transposed views.

    With β = 0, C need not hold numbers yet. BLAS thinks in columns, and a row-major array is the transpose of a
    column-major one, so what it is asked for is Cᵀ ← αBᵀAᵀ + βCᵀ. A single column (n = 1) is a matter for gemv, which takes
    a quarter of gemm's time.
    """
    if C.shape[1] == 1 and C.flags.c_contiguous:
        gemv(alpha, A, B, beta, C)  # which takes columns (k, 1) as vectors
        return
    if can_be_cut(A, C):
        multiply_in_parts(alpha, A, B, beta, C)
        return
    # A view whose transpose is not column-major is column-major itself: BLAS reads it as it lies and transposes.
    b, trans_b = (B.T, 0) if B.flags.c_contiguous else (B, 1)
    a, trans_a = (A.T, 0) if A.flags.c_contiguous else (A, 1)
    target = C.T
    result = _GEMM[C.dtype](alpha, b, a, beta, target, trans_b, trans_a, 1)
    if result is not target:  # C could not be written in place
        C[...] = result.T


def gemv(alpha: float, A: Array, x: Array, beta: float, y: Array) -> None:
    """y ← αAx + βy, in place: A (m, n) in row-major order or transposed, x (n,), y (m,). With β = 0, y need not hold numbers
    yet."""
    a, trans = (A.T, 1) if A.flags.c_contiguous else (A, 0)
    result = _GEMV[A.dtype](alpha, a, x, beta, y, 0, 1, 0, 1, trans, 1)
    if result is not y:
        y[...] = result


def axpy(alpha: float, x: Array, y: Array) -> None:
    """y ← αx + y, in place, for contiguous vectors; on all cores where the vectors are long."""
    result = _AXPY[y.dtype](x, y, x.size, alpha)
    if result is not y:
        y[...] = result


def scale(alpha: float, x: Array) -> None:
    """x ← αx, in place, for contiguous vectors; on all cores where they are long. With α = 0, x need not hold numbers yet."""
    if alpha == 0:
        x.fill(0)
        return
    result = _SCAL[x.dtype](alpha, x)
    if result is not x:
        x[...] = result


def dot(x: Array, y: Array) -> float:
    """Σ xᵢyᵢ, for contiguous vectors of one dtype; on all cores where they are long."""
    return float(_DOT[x.dtype](x, y))
