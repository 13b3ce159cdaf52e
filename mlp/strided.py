"""`add_products`: products of stacks of matrices as they lie in memory, overlapping ones too, through BLAS's own function.

numpy's matmul takes such stacks as well, but can't add what it computes to what is there; and f2py's wrappers (blas.py)
copy what isn't contiguous. Where BLAS's own function can't be had, numpy does the same with a copy of each product.
"""

import numpy as np

from mlp.blas import GEMM, Array, product

#: Products of fewer multiplications than this are added up by numpy: a call for each would keep other threads waiting.
_SMALL = 1 << 19


def add_products(A: Array, B: Array, C: Array) -> None:
    """C ← C + AB for stacks of matrices, one after the other: A (stack, m, k), B (stack, k, n), C (stack, m, n).

    A single matrix serves for all of a stack, and a single C adds up all products. The matrices of C may overlap. Each has
    neighbouring numbers along one of its axes (C along the last).
    """
    if C.ndim == 2 and A[0].size * B.shape[-1] < _SMALL:
        C += np.matmul(A, B).sum(axis=0)
        return
    stack = max(len(array) for array in (A, B, C) if array.ndim == 3)
    if C.dtype in GEMM:
        multiply = product(1.0, A, B, 1.0, C)
        for a, b, c in zip(_addresses(A, stack), _addresses(B, stack), _addresses(C, stack), strict=True):
            multiply(a, b, c)
    else:
        for number in range(stack):
            a, b, c = (array if array.ndim == 2 else array[number] for array in (A, B, C))
            c += a @ b


def _addresses(array: Array, stack: int) -> list[int]:
    """Where each matrix of the stack begins."""
    start: int = array.ctypes.data
    step = 0 if array.ndim == 2 else array.strides[0]
    return [start + number * step for number in range(stack)]
