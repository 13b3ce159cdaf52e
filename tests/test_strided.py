"""`gemms`: stacks of products by BLAS's own function and by numpy alone, against sums written out by einsum."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.testing import assert_allclose, assert_array_equal

from mlp import strided
from mlp.strided import gemms


@pytest.fixture(params=["blas", "numpy alone"], autouse=True)
def _way(request, monkeypatch):
    if request.param == "numpy alone":
        monkeypatch.setattr(strided, "GEMM", {})


def numbers(*shape, dtype="float64"):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


def test_both_functions_are_found_here():
    """Otherwise all of this, and training, goes the plain way without saying so."""
    found = {strided._find_gemm(name) is not None for name in ("sgemm", "dgemm")}
    assert found == {True}
    assert strided._find_gemm("no_such_gemm") is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "k", "n"), [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1)])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 1.0), (-0.5, 0.0), (-0.5, 2.0)])
def test_a_matrix_times_each_of_a_stack(m, k, n, alpha, beta, dtype):
    A, B, C = numbers(m, k, dtype=dtype), numbers(2, 3, k, n, dtype=dtype), numbers(2, 3, m, n, dtype=dtype)
    expected = beta * C.astype(float) + alpha * np.einsum("mk,hwkn->hwmn", A.astype(float), B.astype(float))
    gemms(alpha, A, B, beta, C)
    assert_allclose(C, expected, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "k", "n"), [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1)])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_transposed_matrices(m, k, n, beta, dtype):
    A, B, C = numbers(k, m, dtype=dtype).T, numbers(2, 3, n, k, dtype=dtype).swapaxes(-1, -2), np.ones((2, 3, m, n), dtype)
    expected = beta + np.einsum("mk,hwkn->hwmn", A.astype(float), B.astype(float))
    gemms(1.0, A, B, beta, C)
    assert_allclose(C, expected, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("m", "k", "n"), [(4, 5, 6), (60, 64, 50)], ids=["small", "large"])
def test_all_products_add_up_in_a_single_matrix(m, k, n):
    A, B, C = numbers(2, 3, m, k), numbers(2, 3, k, n), numbers(m, n)
    expected = C + 2 * np.einsum("hwmk,hwkn->mn", A, B)
    gemms(2.0, A, B, 1.0, C)
    assert_allclose(C, expected, atol=1e-12)


def test_windows_that_overlap():
    # rows 0–2, 1–3 and 2–4 of a (5, 4) array, each a (3, 4) matrix
    image = numbers(5, 4)
    windows = as_strided(image, (1, 3, 3, 4), (0, image.strides[0], *image.strides))
    A, C = numbers(2, 3), np.zeros((1, 3, 2, 4))
    gemms(1.0, A, windows, 0.0, C)
    assert_allclose(C[0], [A @ image[0:3], A @ image[1:4], A @ image[2:5]], atol=1e-14)

    error = np.zeros((5, 4))  # and what overlaps adds up
    gemms(1.0, A.T, C, 1.0, as_strided(error, (1, 3, 3, 4), (0, error.strides[0], *error.strides)))
    expected = np.zeros((5, 4))
    for h in range(3):
        expected[h : h + 3] += A.T @ C[0, h]
    assert_allclose(error, expected, atol=1e-14)


def test_rows_far_apart_and_nothing_else_is_touched():
    whole = np.full((2, 3, 4, 10), 7.0)
    C = whole[..., 2:8]
    A, B = numbers(4, 5), numbers(2, 3, 5, 12)[..., :6]
    gemms(-1.0, A, B, 0.0, C)
    assert_allclose(C, -np.einsum("mk,hwkn->hwmn", A, B), atol=1e-14)
    assert_array_equal(whole[..., :2], np.full((2, 3, 4, 2), 7.0))
    assert_array_equal(whole[..., 8:], np.full((2, 3, 4, 2), 7.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_beta_0_overwrites_what_is_not_finite(alpha, dtype):
    C = np.full((1, 2, 3, 3), np.nan, dtype)
    gemms(alpha, np.eye(3, dtype=dtype), np.ones((1, 2, 3, 3), dtype), 0.0, C)
    assert_array_equal(C, np.full((1, 2, 3, 3), alpha))


@pytest.mark.parametrize("_way", ["blas"], indirect=True)
def test_a_matrix_without_neighbouring_numbers_is_refused():
    with pytest.raises(ValueError, match=r"^received a matrix of strides \(16, 128\), but one of them must be 8$"):
        gemms(1.0, np.ones((8, 8))[::2, ::2].T, np.ones((1, 1, 4, 4)), 1.0, np.ones((1, 1, 4, 4)))


def test_blas_has_one_thread_during_products_and_its_own_number_again_afterwards(monkeypatch):
    counts = {"mine": 4}
    seen = []

    def set_to(count):
        counts["mine"] = count
        seen.append(count)

    monkeypatch.setattr(strided, "_THREAD_COUNTS", [(lambda: counts["mine"], set_to)])
    A = np.ones((2, 3, 4, 5))
    strided.gemms(1.0, A, np.ones((2, 3, 5, 6)), 0.0, np.empty((2, 3, 4, 6)))
    assert seen == [1, 4]
    within = []

    def fail():
        with strided.one_thread():
            within.append(counts["mine"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert within == [1]
    assert counts["mine"] == 4
