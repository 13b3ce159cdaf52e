"""Noise: what distortions and dropout masks are drawn from, given to a call, held by an objective, or left out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Affine, Distortion, Elastic, Objective
from mlp.noise import draw_16_bits

SIZES = (6, 5, 4, 3)
RATES = (0.25, 0.5, 0.375)
DISTORTION = Distortion(Elastic(1, 2), Affine(), (2, 3))


NOISES = pytest.mark.parametrize(
    "settings", [{"dropout": RATES}, {"distort": DISTORTION}, {"dropout": (0, 0, 0.5), "distort": DISTORTION}], ids=str
)


def same(one, other):
    """Whether two results (cost, gradient) are the same to the bit."""
    return one[0] == other[0] and one[1].tobytes() == other[1].tobytes()


def test_draws_of_16_bits_are_even():
    drawn = draw_16_bits((1000, 131), np.random.default_rng(0))
    assert (drawn.shape, drawn.dtype) == ((1000, 131), np.uint16)
    counts = np.bincount(drawn.ravel() >> 8, minlength=256)
    # χ² of 255 degrees of freedom has mean 255 and deviation √510 = 22.6
    assert abs(np.sum((counts - 131_000 / 256) ** 2) / (131_000 / 256) - 255) < 5 * 22.6
    assert_array_equal(drawn, draw_16_bits((1000, 131), np.random.default_rng(0)))


@NOISES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [None, [3, 1, 1, 7], slice(2, 8)])
@pytest.mark.usefixtures("small_chunks")
def test_without_noise_nothing_is_distorted_or_dropped(problem, settings, dtype, rows):
    net, noisy = problem(dtype=dtype, weight_decay=0.1, **settings)
    _, plain = problem(dtype=dtype, weight_decay=0.1)
    assert noisy.noisy
    assert not plain.noisy
    noisy(net.theta, rows, noise=3)  # which leaves nothing behind
    assert same(noisy(net.theta, rows), plain(net.theta, rows))
    assert noisy.evaluate(net.theta) == plain.evaluate(net.theta)
    assert same(plain(net.theta, rows, noise=3), plain(net.theta, rows))  # noise is nothing to a plain objective
    assert_array_equal(noisy.input_gradient(net.theta, rows), plain.input_gradient(net.theta, rows))


@NOISES
@pytest.mark.usefixtures("small_chunks")
def test_the_same_noise_gives_the_same_bits_and_other_noise_others(problem, settings):
    net, objective = problem(**settings)
    noises = [0, 1, 2, 2**63, (1, 2), (2, 1), (1, 2, 3), 2**200]
    results = [objective(net.theta, noise=noise) for noise in noises]
    assert len({cost for cost, _ in results}) == len({gradient.tobytes() for _, gradient in results}) == len(noises)
    _, fresh = problem(**settings)
    for noise, result in zip(reversed(noises), reversed(results), strict=True):
        assert same(fresh(net.theta, noise=noise), result)
        assert same(fresh.with_noise(noise)(net.theta), result)
    assert same(objective(net.theta, noise=np.int64(2)), results[2])


@NOISES
def test_an_objective_with_noise_holds_it(problem, settings):
    net, objective = problem(weight_decay=0.1, **settings)
    held = objective.with_noise(7)
    assert (held.noise, held.noisy, objective.noise, objective.noisy) == (7, False, None, True)
    assert same(held(net.theta), objective(net.theta, noise=7))
    assert same(held(net.theta, [1, 4]), objective(net.theta, [1, 4], noise=7))
    assert same(held(net.theta, noise=8), objective(net.theta, noise=8))  # what is said goes before
    assert not same(held(net.theta), objective(net.theta))
    assert held.evaluate(net.theta) == objective.evaluate(net.theta)  # as the network is used
    assert same(held.with_noise((7, 1))(net.theta), objective(net.theta, noise=(7, 1)))
    assert same(held.astype("float64")(net.theta), held(net.theta))
    single = held.astype("float32")
    assert (single.noise, single.dtype) == (7, np.float32)
    cost, gradient = held(net.theta)
    assert single(net.theta)[0] == pytest.approx(cost, rel=1e-5)
    assert_allclose(single(net.theta)[1], gradient, atol=1e-5)


def test_rows_are_what_is_distorted_and_dropped(problem):
    # As an objective over those rows alone, of the same noise
    net, objective = problem(dropout=RATES, distort=DISTORTION, weight_decay=0.1)
    for rows in ([5], [2, 2, 8, 0], slice(1, 9, 3)):
        y = objective.Y[rows]
        alone = Objective(net, objective.X[rows], y, weight_decay=0.1, dropout=RATES, distort=DISTORTION)
        assert_allclose(objective(net.theta, rows, noise=4)[1], alone(net.theta, noise=4)[1], atol=1e-14)


def test_a_shorter_batch_after_a_longer_one_and_the_reverse(problem):
    net, objective = problem(dropout=RATES)
    for rows in ([1, 2, 3], [4], [0, 1, 2, 3, 4], [5, 6]):
        _, fresh = problem(dropout=RATES)
        assert same(objective(net.theta, rows, noise=6), fresh(net.theta, rows, noise=6))
        assert same(objective(net.theta, rows), fresh(net.theta, rows))


@pytest.mark.parametrize(
    ("noise", "error"),
    [
        (-1, ValueError),
        ((1, -1), ValueError),
        (True, TypeError),
        ((), TypeError),
        ((1, 0.5), TypeError),
        ([1, 2], TypeError),
    ],
    ids=str,
)
def test_bad_noise_is_refused(problem, noise, error):
    net, objective = problem(dropout=RATES)
    for plain in (objective, problem()[1]):
        with pytest.raises(error, match=r"^noise: received .*, but it must be an integer of at least 0"):
            plain(net.theta, noise=noise)
        with pytest.raises(error, match=r"^noise: received"):
            plain.with_noise(noise)
    with pytest.raises(TypeError, match=r"^noise: received None"):
        objective.with_noise(None)


def test_a_gradient_check_that_would_leave_the_noise_out_is_refused(problem):
    net, objective = problem(dropout=RATES)
    with pytest.raises(ValueError, match=r"^objective: has distortions or dropout, .* objective\.with_noise\(0\)"):
        mlp.check_gradient(objective, net.theta)
