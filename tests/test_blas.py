"""The in-place products against numpy's own, on integers small enough for float32 to be exact."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mlp.blas import axpy, dot, gemm, gemv, scale

ROOT = Path(__file__).resolve().parent.parent
DTYPES = ("float32", "float64")

# ways for the same matrix to lie in memory
LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "every other row": lambda M: np.repeat(M, 2, axis=0)[::2],
    "every other column": lambda M: np.repeat(M, 2, axis=1)[:, ::2],
    "part of a wider one": lambda M: np.pad(M, 3)[3:-3, 3:-3],
    "backwards": lambda M: np.ascontiguousarray(M[::-1, ::-1])[::-1, ::-1],
}


def integers(shape, seed):
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(np.float64)


def peak_of(function, *arguments):
    """The most memory that a call took at once, in bytes."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_by_hand(dtype):
    A, B = np.array([[1, 2], [3, 4]], dtype), np.array([[5, 6], [7, 8]], dtype)
    C = np.array([[1, 1], [1, 1]], dtype)
    gemm(1.0, A, B, 0.0, C)
    assert C.tolist() == [[19, 22], [43, 50]]
    gemm(2.0, A.T, B, -1.0, C)  # 2 · [[26, 30], [38, 44]] − C
    assert C.tolist() == [[33, 38], [33, 38]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout_a", LAYOUTS)
@pytest.mark.parametrize("layout_b", LAYOUTS)
def test_gemm_equals_numpy_however_the_matrices_lie(dtype, layout_a, layout_b):
    A, B, C = integers((5, 7), 0), integers((7, 4), 1), integers((5, 4), 2)
    for layout_c in LAYOUTS:
        a, b, c = (LAYOUTS[layout](M.astype(dtype)) for layout, M in ((layout_a, A), (layout_b, B), (layout_c, C)))
        gemm(0.5, a, b, -2.0, c)
        np.testing.assert_array_equal(c, 0.5 * (A @ B) - 2 * C, layout_c)
        np.testing.assert_array_equal(a, A)
        np.testing.assert_array_equal(b, B)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (1, 7, 4), (5, 1, 4), (5, 7, 1), (1, 7, 1), (1, 1, 4), (64, 100, 33)])
@pytest.mark.parametrize("transposed", ["", "A", "B", "AB"])
def test_gemm_equals_numpy_for_every_shape(dtype, m, k, n, transposed):
    A, B, C = integers((m, k), 0), integers((k, n), 1), integers((m, n), 2)
    a = A.T.astype(dtype, order="C").T if "A" in transposed else A.astype(dtype)
    b = B.T.astype(dtype, order="C").T if "B" in transposed else B.astype(dtype)
    c = C.astype(dtype)
    gemm(-1.0, a, b, 1.0, c)
    np.testing.assert_array_equal(c, C - A @ B)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("garbage", [np.nan, np.inf])
@pytest.mark.parametrize("size", [1, 3, 8, 17, 64, 130])
@pytest.mark.parametrize("layout", ["rows", "every other column"])
def test_gemm_with_beta_zero_does_not_read_the_output(dtype, garbage, size, layout):
    A, B = integers((size, 5), 0), integers((5, size), 1)
    C = LAYOUTS[layout](np.full((size, size), garbage, dtype))
    gemm(1.0, A.astype(dtype), B.astype(dtype), 0.0, C)
    np.testing.assert_array_equal(C, A @ B)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gemm_writes_into_a_window_and_nowhere_else(dtype):
    theta = np.arange(10, dtype=dtype)
    gemm(1.0, np.array([[1], [2]], dtype), np.array([[10, 20, 30]], dtype), 1.0, theta[2:8].reshape(2, 3))
    assert theta.tolist() == [0, 1, 12, 23, 34, 25, 46, 67, 8, 9]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", ["A", "B", ""])
def test_gemm_takes_no_memory(dtype, transposed):
    # the layouts of the backward pass WᵀΔ, of the gradient ΔAᵀ (and A⁰ = Xᵀ) and of the forward pass WA
    A = np.ones((300, 200), dtype).T if transposed == "A" else np.ones((200, 300), dtype)
    B = np.ones((250, 300), dtype).T if transposed == "B" else np.ones((300, 250), dtype)
    C = np.ones((200, 250), dtype)
    gemm(0.0, A, B, 1.0, C)  # how a product of this shape is cut is found out once
    assert peak_of(gemm, 1.0, A, B, 1.0, C) < 10_000  # the smallest of the three, as float32, has 200,000 bytes
    assert np.all(C == 301)


@pytest.mark.parametrize("dtype", DTYPES)
def test_matrix_times_vector_by_hand(dtype):
    A, y = np.array([[1, 10], [2, 20], [3, 30]], dtype), np.array([100, 200, 300], dtype)
    gemv(2.0, A, np.array([1, -1], dtype), -1.0, y)  # 2 · (−9, −18, −27) − y
    assert y.tolist() == [-118, -236, -354]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("garbage", [np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 10, 257])
def test_gemv_with_beta_zero_does_not_read_the_output(dtype, garbage, n):
    A, y = integers((n, 20), 0), np.full(n, garbage, dtype)
    gemv(1.0, A.astype(dtype), np.ones(20, dtype), 0.0, y)
    np.testing.assert_array_equal(y, A.sum(axis=1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gemv_writes_into_a_window_with_gaps(dtype):
    row = np.arange(8, dtype=dtype)
    gemv(1.0, np.ones((4, 3), dtype), np.ones(3, dtype), 1.0, row[::2])
    assert row.tolist() == [3, 1, 5, 3, 7, 5, 9, 7]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gemv_takes_no_memory(dtype):
    A, ones, y = np.ones((5_000, 300), dtype), np.ones(300, dtype), np.zeros(5_000, dtype)
    assert peak_of(gemv, 1.0, A, ones, 1.0, y) < 10_000  # y, as float32, has 20,000 bytes
    assert np.all(y == 300)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 1_000, 100_003])
def test_axpy_equals_numpy(dtype, n):
    x, y = integers(n, 0), integers(n, 1)
    target = y.astype(dtype)
    axpy(0.25, x.astype(dtype), target)
    np.testing.assert_array_equal(target, y + 0.25 * x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_axpy_takes_no_memory_and_keeps_to_its_window(dtype):
    theta = np.zeros(100_002, dtype)
    assert peak_of(axpy, 3.0, np.ones(100_000, dtype), theta[1:-1]) < 10_000
    assert theta[0] == theta[-1] == 0
    assert np.all(theta[1:-1] == 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dot_and_scale_by_hand(dtype):
    x = np.array([1, -2, 3], dtype)
    assert dot(x, np.array([4, 5, -6], dtype)) == -24
    scale(-0.5, x)
    assert x.tolist() == [-0.5, 1, -1.5]
    x[1] = np.nan
    scale(0.0, x)
    assert x.tolist() == [0, 0, 0]


def test_importing_mlp_leaves_the_environment_as_it_was():
    """The choice of kernels and threads is BLAS's and the user's: a fresh interpreter's environment does not change."""
    code = "import os; before = dict(os.environ); import mlp; assert dict(os.environ) == before"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=inherited,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("strided", [False, True])
def test_gemm_of_a_single_column(dtype, transposed, strided):
    """[[1, 2, 3], [4, 5, 6]] · [1, 10, 100]ᵀ = [321, 654]ᵀ, by hand; 2 · that + 3 · [1, 1]ᵀ."""
    A = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    A = np.ascontiguousarray(A.T).T if transposed else A
    B = np.array([[1, -1], [10, -1], [100, -1]], dtype)[:, :1]
    C = np.ones((2, 2), dtype)[:, :1] if strided else np.ones((2, 1), dtype)
    gemm(2.0, A, B, 3.0, C)
    assert C.tolist() == [[645], [1311]]
    C[...] = np.nan
    gemm(1.0, A, np.ascontiguousarray(B), 0.0, C)
    assert C.tolist() == [[321], [654]]
