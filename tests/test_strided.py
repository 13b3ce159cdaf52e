"""`add_products`: stacks of products by BLAS's own function and by numpy alone, against sums written out by einsum."""

import ctypes

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.testing import assert_allclose, assert_array_equal

from mlp import strided
from mlp.strided import add_products


@pytest.fixture(params=["blas", "numpy alone"], autouse=True)
def _way(request, monkeypatch):
    if request.param == "numpy alone":
        monkeypatch.setattr(strided, "GEMM", {})
    else:
        monkeypatch.setattr(strided, "_SMALL", 0)


def numbers(*shape, dtype="float64"):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


def test_both_functions_are_found_here():
    """Otherwise all of this, and training, goes the plain way without saying so."""
    assert strided._find_gemm("sgemm", ctypes.c_float) is not None
    assert strided._find_gemm("dgemm", ctypes.c_double) is not None
    assert strided._find_gemm("no_such_gemm", ctypes.c_float) is None


sizes = pytest.mark.parametrize(("m", "k", "n"), [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@sizes
def test_all_products_add_up(m, k, n, dtype):
    A, B, C = numbers(6, m, k, dtype=dtype), numbers(6, k, n, dtype=dtype), numbers(m, n, dtype=dtype)
    expected = C - 0.5 * np.einsum("smk,skn->mn", A.astype(float), B.astype(float))
    add_products(-0.5, A, B, C)
    assert_allclose(C, expected, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@sizes
def test_transposed_matrices(m, k, n, dtype):
    A, B = numbers(6, k, m, dtype=dtype).swapaxes(1, 2), numbers(6, n, k, dtype=dtype).swapaxes(1, 2)
    C = np.ones((m, n), dtype)
    expected = 1 + np.einsum("smk,skn->mn", A.astype(float), B.astype(float))
    add_products(1.0, A, B, C)
    assert_allclose(C, expected, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("small", [0, 1 << 19], ids=["one by one", "together"])
def test_small_products_are_made_together(small, monkeypatch):
    monkeypatch.setattr(strided, "_SMALL", small)
    A, B, C = numbers(6, 4, 5), numbers(6, 7, 5).swapaxes(1, 2), numbers(4, 7)
    expected = C + np.einsum("smk,skn->mn", A, B)
    add_products(1.0, A, B, C)
    assert_allclose(C, expected, atol=1e-12)


def test_matrices_that_overlap():
    # rows 0–2, 1–3 and 2–4 of a (5, 4) array, each a (3, 4) matrix
    rows = numbers(5, 4)
    A, B = numbers(3, 2, 3), as_strided(rows, (3, 3, 4), (rows.strides[0], *rows.strides))
    C = np.zeros((2, 4))
    add_products(1.0, A, B, C)
    assert_allclose(C, sum(A[h] @ rows[h : h + 3] for h in range(3)), atol=1e-14)


def test_rows_far_apart_and_nothing_else_is_touched():
    whole = np.full((4, 10), 7.0)
    A, B = numbers(3, 4, 5), numbers(3, 5, 12)[..., :6]
    add_products(1.0, A, B, whole[:, 2:8])
    assert_allclose(whole[:, 2:8], 7 + np.einsum("smk,skn->mn", A, B), atol=1e-14)
    assert_array_equal(whole[:, :2], np.full((4, 2), 7.0))
    assert_array_equal(whole[:, 8:], np.full((4, 2), 7.0))


@pytest.mark.parametrize("_way", ["blas"], indirect=True)
def test_a_matrix_without_neighbouring_numbers_is_refused():
    with pytest.raises(ValueError, match=r"^received a matrix of strides \(16, 128\), but one of them must be 8$"):
        add_products(1.0, np.ones((1, 8, 8))[:, ::2, ::2].swapaxes(1, 2), np.ones((1, 4, 4)), np.ones((4, 4)))
