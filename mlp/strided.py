"""`gemms`: products of stacks of matrices as they lie in memory, overlapping ones too, through BLAS's own function.

f2py's wrappers (blas.py) copy what isn't contiguous. The function behind them takes any distance between rows, costs less
than a microsecond a call through ctypes, and lets other threads run meanwhile. Where it can't be had, numpy does the same.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.threads import one_thread

_REAL: dict[Any, Any] = {np.dtype(np.float32): ctypes.c_float, np.dtype(np.float64): ctypes.c_double}


def _find_gemm(name: str) -> Callable[..., None] | None:
    """BLAS's gemm of that name, with all arguments as addresses, or None where scipy doesn't tell where it is."""
    try:
        from scipy.linalg import cython_blas

        capsule = cython_blas.__pyx_capi__[name]
        api = ctypes.pythonapi
        api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
        api.PyCapsule_GetPointer.restype = ctypes.c_void_p
        api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
        address = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    except (ImportError, AttributeError, KeyError, ValueError):
        return None
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address)


#: Products of fewer multiplications than this cost less than the call that asks for them one by one.
_SMALL = 1 << 17

#: The function for each dtype; where there is none, numpy's products are taken.
GEMM = {dtype: function for dtype, name in zip(_REAL, ("sgemm", "dgemm"), strict=True) if (function := _find_gemm(name))}


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
    real, whole, character = _REAL[C.dtype], ctypes.c_int, ctypes.c_char
    (trans_a, ld_a), (trans_b, ld_b), (_, ld_c) = (_layout(array) for array in (A, B, C))
    # BLAS thinks in columns, and a row-major array is the transpose of a column-major one: Cᵀ ← αBᵀAᵀ + βCᵀ
    values = (
        *(character(trans_b), character(trans_a), whole(C.shape[-1]), whole(C.shape[-2]), whole(A.shape[-1])),
        *(real(alpha), whole(ld_b), whole(ld_a), real(beta), whole(ld_c)),
    )
    tb, ta, n, m, k, al, lb, la, be, lc = map(ctypes.addressof, values)
    function = GEMM[C.dtype]
    for a, b, c in zip(_addresses(A, stack), _addresses(B, stack), _addresses(C, stack), strict=True):
        function(tb, ta, n, m, k, al, b, lb, a, la, be, c, lc)


def _layout(array: Array) -> tuple[bytes, int]:
    """How BLAS is to read a stack's matrices: b"N" where rows are contiguous, b"T" where columns are; and how many numbers
    lie between the starts of two of them."""
    size = array.itemsize
    if array.strides[-1] == size or array.shape[-1] == 1 != array.strides[-2] // size:
        return b"N", max(array.strides[-2] // size, array.shape[-1])
    if array.strides[-2] != size:
        raise ValueError(f"received a matrix of strides {array.strides[-2:]}, but one of them must be {size}")
    return b"T", max(array.strides[-1] // size, array.shape[-2])


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
