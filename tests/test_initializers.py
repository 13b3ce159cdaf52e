"""Initialisers against the formulas of their papers, worked out by hand for layers whose sizes make the numbers round."""

import numpy as np
import pytest

from mlp import MLP
from mlp.initializers import INITIALIZERS, get, small_normal

# 200 inputs, 400 units, so n_in + n_out = 600
# name: (bound or None, variance)
PUBLISHED = {
    "glorot_uniform": (0.1, 1 / 300),  # Glorot and Bengio 2010, eq. 16: √6/√(n_in + n_out); bound²/3
    "glorot_normal": (None, 1 / 300),  # the same, eq. 12: 2/(n_in + n_out)
    "he_uniform": (0.17320508, 0.01),  # He et al. 2015, eq. 10: 2/n_in; √0.03
    "he_normal": (None, 0.01),
    "lecun_uniform": (0.12247449, 0.005),  # LeCun et al. 1998, eq. 16: 1/n_in; √0.015
    "lecun_normal": (None, 0.005),
    "lecture_uniform": (0.09991677, 0.00332779),  # √(6/601); 2/601
    "small_normal": (None, 0.0001),  # ε = 0.01
}


def test_every_initializer_has_its_published_numbers_here():
    assert set(INITIALIZERS) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_shape_and_dtype(name):
    W = get(name)(200, 400, np.random.default_rng(0))
    assert W.shape == (400, 200)
    assert W.dtype == np.float64


@pytest.mark.parametrize("name", PUBLISHED)
def test_mean_and_variance(name):
    variance = PUBLISHED[name][1]
    W = get(name)(200, 400, np.random.default_rng(1))
    # of 80,000 draws the variance has a relative standard error of √(2/80,000) = 0.5% (normal; uniform: 0.3%), and the
    # mean has one of √(variance/80,000): four of them are allowed
    assert W.var() == pytest.approx(variance, rel=0.02)
    assert abs(W.mean()) < 4 * np.sqrt(variance / 80_000)


@pytest.mark.parametrize("name", [name for name, (bound, _) in PUBLISHED.items() if bound])
def test_uniform_ones_fill_their_interval_evenly(name):
    bound = PUBLISHED[name][0]
    W = get(name)(200, 400, np.random.default_rng(2))
    assert -bound * 1.000001 <= W.min() < -bound * 0.9995
    assert bound * 0.9995 < W.max() <= bound * 1.000001
    counts, _ = np.histogram(W, bins=8, range=(-bound * 1.000001, bound * 1.000001))
    np.testing.assert_allclose(counts, 10_000, atol=4 * 94)  # binomial: √(80,000 · 1/8 · 7/8) = 94


@pytest.mark.parametrize("name", [name for name, (bound, _) in PUBLISHED.items() if not bound])
def test_normal_ones_have_the_normal_distribution(name):
    z = get(name)(200, 400, np.random.default_rng(3)).ravel() / np.sqrt(PUBLISHED[name][1])
    # the normal distribution's table: within one, two and three deviations
    for deviations, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert np.mean(np.abs(z) < deviations) == pytest.approx(share, abs=0.007)


@pytest.mark.parametrize(("name", "bound"), [("lecture_uniform", 1.0), ("glorot_uniform", 1.09544512)])
def test_the_lectures_bound_for_two_inputs_and_three_units(name, bound):
    # √(6/(2 + 3 + 1)) = 1; Glorot's own: √(6/5)
    rng = np.random.default_rng(4)
    largest = max(np.abs(get(name)(2, 3, rng)).max() for _ in range(2_000))
    assert 0.999 * bound < largest <= bound


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_generator_decides_every_number(name):
    first, again, other = (get(name)(30, 20, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)
    assert len(np.unique(first)) == 600  # no number stands twice


@pytest.mark.parametrize("name", PUBLISHED)
def test_global_randomness_is_left_alone(name):
    before = np.random.get_state()[1:3]  # noqa: NPY002  (it is what must not be used)
    get(name)(30, 20, np.random.default_rng(0))
    after = np.random.get_state()[1:3]  # noqa: NPY002
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]


@pytest.mark.parametrize("init", [small_normal(0.5), "small_normal:0.5", "small_normal:5e-1"])
def test_small_normal_takes_its_epsilon(init):
    W = get(init)(200, 400, np.random.default_rng(7))
    assert W.var() == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("small_normal:", r"^init small_normal epsilon: received '' \(str\), but it must be a number$"),
        ("small_normal:0", r"^epsilon: received 0\.0 \(float\), but it must be a finite number above 0$"),
        ("small_normal:nan", r"^epsilon: received nan \(float\), but it must be a finite number above 0$"),
        ("lecun_normal:0.1", r"^init: received 'lecun_normal:0\.1' \(str\), but lecun_normal takes no parameters$"),
        ("he_normal:2", r"^slope: received 2\.0 \(float\), but it must be a finite number at least 0 and at most 1$"),
        ("glorot_unifrom", r"^init: received 'glorot_unifrom' .*, lecun_normal, .*did you mean 'glorot_uniform'\?$"),
    ],
)
def test_a_text_that_makes_no_sense(init, message):
    with pytest.raises(ValueError, match=message):
        get(init)


@pytest.mark.parametrize("init", [None, np.zeros((2, 2))])
def test_what_is_neither_name_nor_function(init):
    with pytest.raises(TypeError, match=r"^init: received ") as caught:
        get(init)
    assert type(init).__name__ in str(caught.value)
    assert "he_normal" in str(caught.value)
    assert "(n_in, n_out, rng)" in str(caught.value)


def test_an_initializer_of_ones_own():
    asked = []

    def count_up(n_in, n_out, rng):
        asked.append((n_in, n_out, type(rng)))
        return np.arange(n_in * n_out).reshape(n_out, n_in)

    net = MLP([2, 3, 1], output="identity", init=count_up, seed=0)
    assert asked == [(2, 3, np.random.Generator), (3, 1, np.random.Generator)]
    assert net.theta.tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 1, 2, 0]  # W¹ row by row, b¹, W², b²


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (np.zeros((2, 3)), ValueError, r"^init: returned W of shape \(2, 3\), but it must be \(3, 2\)$"),
        (np.full((3, 2), np.nan), ValueError, r"^init: W: received nan, but every parameter must be finite$"),
        (np.full((3, 2), 1e300), ValueError, r"^init: W: received 1e\+300, but every parameter must be finite in float32$"),
        (
            np.full((3, 2), 1j),
            TypeError,
            r"^init: W: received dtype complex128, but it must be an array \(3, 2\): real numbers$",
        ),
        (None, TypeError, r"^init: W: received dtype object"),
    ],
)
def test_an_initializer_of_ones_own_that_returns_what_is_no_w(returned, error, message):
    with pytest.raises(error, match=message):
        MLP([2, 3], init=lambda *_: returned)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_start_with_drawn_weights_and_zero_biases(name, dtype):
    net = MLP([20, 30, 10], init=name, dtype=dtype, seed=0)
    for layer in net.layers:
        assert np.all(layer.W != 0)
        assert np.all(layer.b == 0)
        assert layer.W.dtype == layer.b.dtype == dtype
