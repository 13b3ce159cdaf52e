"""`gemms`: products of stacks of matrices as they lie in memory, overlapping ones too, through BLAS's own function.

f2py's wrappers (blas.py) copy what isn't contiguous. The function behind them takes any distance between rows, costs less
than a microsecond a call through ctypes, and lets other threads run meanwhile. Where it can't be had, numpy does the same.
"""

import numpy as np

from mlp.blas import GEMM, Array, product
from mlp.threads import one_thread

#: Products of fewer multiplications than this cost less than the call that asks for them one by one.
_SMALL = 1 << 17


def gemms(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C ← αAB + βC for stacks of matrices, one after the other: A (…, m, k), B (…, k, n), C (…, m, n).

    A stack has two leading axes; a single matrix serves for all of a stack. The matrices of C may overlap where β is 1, or be
    a single one, which then adds up all products (β is 1). Each has neighbouring numbers along one of its axes (of C, the
    last), and no matrix is copied.
    """
    with one_thread:
        if alpha == 1 and beta == 0:
            np.matmul(A, B, out=C)  # loops in C, which many small products want
        elif C.ndim == 2 and A[0, 0].size * B.shape[-1] < _SMALL:
            for a, b in zip(A, B, strict=True):
                C += alpha * np.matmul(a, b).sum(axis=0)
        elif C.dtype in GEMM:
            _gemms_of_blas(alpha, A, B, beta, C)
        else:
            _gemms_of_numpy(alpha, A, B, beta, C)


def _gemms_of_blas(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """The same by one call of BLAS's function a product."""
    stack = max((array.shape[:-2] for array in (A, B, C)), key=len)
    multiply = product(alpha, A, B, beta, C)
    for a, b, c in zip(_addresses(A, stack), _addresses(B, stack), _addresses(C, stack), strict=True):
        multiply(a, b, c)


def _addresses(array: Array, stack: tuple[int, ...]) -> list[int]:
    """Where each matrix of the stack begins."""
    start = array.ctypes.data
    if array.ndim == 2:
        return [start] * (stack[0] * stack[1])
    outer, inner = array.strides[:2]
    offsets = outer * np.arange(stack[0])[:, None] + inner * np.arange(stack[1])
    addresses: list[int] = (start + offsets).ravel().tolist()
    return addresses


def _gemms_of_numpy(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """The same, plainly."""
    stack = max((array.shape[:-2] for array in (A, B, C)), key=len)
    for place in np.ndindex(*stack):
        a, b, c = (array if array.ndim == 2 else array[place] for array in (A, B, C))
        if beta == 0:
            c[...] = 0
        elif beta != 1:
            c *= beta
        c += alpha * (a @ b)
