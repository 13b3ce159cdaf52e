"""The matrix product that everything else is made of: `gemm`, which computes C ← αAB + βC in place.

Two things live here because they must be decided in one place: that all products go through one library (scipy's BLAS;
a second pool of threads in numpy's would compete with it for the cores), and which of that library's kernels are used.

This module is imported before anything that imports numpy: OpenBLAS chooses its kernels at the moment it is loaded.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def _unrecognised_avx512() -> bool:
    """Whether this is an AMD processor of family 26 or later (Zen 5) with AVX-512.

    OpenBLAS up to 0.3.31 takes these for processors without AVX-512, and is 1.3 to 3 times slower than it need be
    (https://github.com/OpenMathLib/OpenBLAS/issues/6029).
    """
    if not sys.platform.startswith("linux"):
        return False
    facts: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if not line.strip():
                    break  # the first processor is described; the others are its equals
                key, _, value = line.partition(":")
                facts[key.strip()] = value.strip()
    except OSError:
        return False
    family = facts.get("cpu family", "")
    return (
        facts.get("vendor_id") == "AuthenticAMD"
        and family.isdigit()
        and int(family) >= 26
        and set(facts.get("flags", "").split()) >= _AVX512
    )


@contextmanager
def _kernels_named() -> Iterator[None]:
    """Name the AVX-512 kernels while OpenBLAS loads, where it would overlook them and the user has named none."""
    name = "OPENBLAS_CORETYPE"
    if name in os.environ or not _unrecognised_avx512():
        yield
        return
    os.environ[name] = "SkylakeX"
    try:
        yield
    finally:
        del os.environ[name]


with _kernels_named():
    import numpy as np
    from scipy.linalg.blas import daxpy, dgemm, dgemv, saxpy, sgemm, sgemv

from typing import Any  # noqa: E402

Array = np.ndarray[Any, np.dtype[Any]]

_GEMM = {np.dtype(np.float32): sgemm, np.dtype(np.float64): dgemm}
_GEMV = {np.dtype(np.float32): sgemv, np.dtype(np.float64): dgemv}
_AXPY = {np.dtype(np.float32): saxpy, np.dtype(np.float64): daxpy}


def gemm(alpha: float, A: Array, B: Array, beta: float, C: Array) -> None:
    """C ← αAB + βC, in place: A (m, k), B (k, n), C (m, n) in row-major order; A and B may be transposed views.

    With β = 0, C need not hold numbers yet. BLAS thinks in columns, and a row-major array is the transpose of a
    column-major one, so what it is asked for is Cᵀ ← αBᵀAᵀ + βCᵀ.
    """
    # A view whose transpose is not column-major is column-major itself: BLAS reads it as it lies and transposes.
    b, trans_b = (B.T, 0) if B.flags.c_contiguous else (B, 1)
    a, trans_a = (A.T, 0) if A.flags.c_contiguous else (A, 1)
    target = C.T
    result = _GEMM[C.dtype](alpha, b, a, beta, target, trans_b, trans_a, 1)
    if result is not target:  # C could not be written in place
        C[...] = result.T


def add_column_sums(alpha: float, A: Array, ones: Array, beta: float, out: Array) -> None:
    """out ← α Σ rows of A + β out, in place: A (m, n), ones (m,), out (n,). With β = 0, out need not hold numbers yet."""
    result = _GEMV[A.dtype](alpha, A.T, ones, beta, out, 0, 1, 0, 1, 0, 1)
    if result is not out:
        out[...] = result


def axpy(alpha: float, x: Array, y: Array) -> None:
    """y ← αx + y, in place, for contiguous vectors; on all cores where the vectors are long."""
    result = _AXPY[y.dtype](x, y, x.size, alpha)
    if result is not y:
        y[...] = result
