"""Huber's, absolute and Poisson cost: by hand, against scipy and scikit-learn; extremes; targets; names and parameters."""

import math
import re

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics

import mlp
from mlp import activations, costs


def cost_and_error(z, y, output, cost, dtype="float64"):
    """C and Δ^L for one example with weighted input z and targets y."""
    net = mlp.MLP([1, len(z)], output=output, dtype=dtype, seed=0)
    net.layers[0].b[:] = z
    value, gradient = mlp.Objective(net, [[0.0]], np.reshape(y, (1, -1)), cost=cost)(net.theta)
    return value, gradient[len(z) :]


def rates(Z, y, dtype="float64"):
    """The Poisson objective whose weighted inputs are Z (n, 1)."""
    net = mlp.MLP([1, 1], output="exponential", dtype=dtype, seed=0)
    net.layers[0].W[:] = 1
    return mlp.Objective(net, np.reshape(Z, (-1, 1)), np.asarray(y, float))


@pytest.mark.parametrize(
    ("output", "cost", "z", "y", "value", "error"),
    [
        ("identity", "huber", [1.5, -3.0], [1.0, 1.0], 1 / 8 + 4 - 1 / 2, [0.5, -1.0]),
        ("identity", "huber:2", [1.5, -3.0], [0.5, 1.0], 1 / 2 + 2 * (4 - 1), [1.0, -2.0]),
        ("identity", "huber:2", [3.0], [1.0], 2.0, [2.0]),  # r = δ, where both forms are δ²/2
        # a = 3/4, y = 0: r σ′(z) = δ · 3/16
        ("logistic", "huber:0.5", [math.log(3)], [0.0], 0.5 * (3 / 4 - 1 / 4), [0.5 * 3 / 16]),
        ("identity", "absolute", [1.5, -3.0, 2.0], [1.0, 1.0, 2.0], 4.5, [1.0, -1.0, 0.0]),
        ("logistic", "absolute", [math.log(3)], [0.0], 3 / 4, [3 / 16]),
        # a = 2, y = 6: 2 − 6 + 6 log 3; a = 5, y = 0: 5
        ("exponential", "poisson", [math.log(2), math.log(5)], [6.0, 0.0], -4 + 6 * math.log(3) + 5, [-4.0, 5.0]),
        ("exponential", "poisson", [math.log(2.5)], [2.5], 0.0, [0.0]),
        ("exponential", "quadratic", [math.log(2)], [6.0], 8.0, [-8.0]),
    ],
)
def test_by_hand(output, cost, z, y, value, error):
    found, delta = cost_and_error(z, y, output, cost)
    assert found == pytest.approx(value, rel=1e-14, abs=1e-15)
    np.testing.assert_allclose(delta, error, rtol=1e-14, atol=2e-15)


@pytest.mark.parametrize("delta", [0.1, 1.0, 1.35, 1e3])
def test_huber_is_scipys(delta):
    r = np.linspace(-5, 5, 41)
    found, error = cost_and_error(r, np.zeros(41), "identity", f"huber:{delta}")
    assert found == pytest.approx(scipy.special.huber(delta, r).sum(), rel=1e-13)
    np.testing.assert_array_equal(error, np.clip(r, -delta, delta))


def test_absolute_is_the_limit_of_huber():
    z, y = np.array([0.3, -2.0, 5.0]), np.array([1.0, 1.0, 1.0])
    small = 1e-9
    assert cost_and_error(z, y, "identity", f"huber:{small}")[0] / small == pytest.approx(8 - 0.3, rel=1e-8)
    assert cost_and_error(z, y, "identity", "absolute")[0] == pytest.approx(8 - 0.3, rel=1e-14)


def test_poisson_is_half_of_scikit_learns_deviance_and_the_likelihood():
    rng = np.random.default_rng(0)
    z, y = rng.normal(1, 1, 200), rng.poisson(3, 200).astype(float)
    objective = rates(z, y)
    found = objective(objective.net.theta)[0]
    assert found == pytest.approx(sklearn.metrics.mean_poisson_deviance(y, np.exp(z)) / 2, rel=1e-13)
    likelihood = scipy.stats.poisson.logpmf(y, np.exp(z)) - scipy.stats.poisson.logpmf(y, y)
    assert found == pytest.approx(-likelihood.mean(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_poisson_of_a_near_y_is_exact(dtype):
    # y (eʳ − 1 − r) = y r²/2 to first order: 10⁶ · (10⁻³)²/2, from numbers of size 10⁷
    z = np.array([[math.log(1e6) + 1e-3]], dtype)
    A, Y = np.exp(z), np.array([[1e6]], dtype)
    found = costs.COSTS["poisson"].values(z, A, Y, np.empty_like(z))
    r = float(z[0, 0]) - math.log(1e6)
    assert found[0] == pytest.approx(1e6 * (math.expm1(r) - r), rel=1e-2 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_poisson_at_the_ends(dtype):
    Z, Y = np.array([[-1e30, 5.0, -200.0, 3.0]], dtype), np.array([[0.0, 0.0, 1.0, 1e-30]], dtype)
    with np.errstate(all="raise", under="ignore"):
        A = np.exp(Z)
        found = costs.COSTS["poisson"].values(Z, A, Y, np.empty_like(Z))
    np.testing.assert_allclose(found, [0, math.exp(5), 199, math.exp(3)], rtol=1e-6)


@pytest.mark.parametrize("whole", [True, False])
def test_counts_may_be_whole_or_not_but_not_below_0(whole):
    net = mlp.MLP([2, 1], output="exponential", seed=0)
    y = [3, 0] if whole else [0.5, 2.25]
    assert mlp.Objective(net, np.ones((2, 2)), y).cost.name == "poisson"
    with pytest.raises(ValueError, match=r"^y: received -1, but targets of poisson must be at least 0$"):
        mlp.Objective(net, np.ones((2, 2)), [3, -1])


@pytest.mark.parametrize("cost", ["huber:0.3", "absolute", "poisson"])
def test_labels_are_the_same_as_their_columns(cost):
    rng = np.random.default_rng(1)
    net = mlp.MLP([3, 4, 3], hidden="tanh", output="exponential", dtype="float64", seed=1)
    X, y = rng.standard_normal((6, 3)), np.array([0, 2, 1, 1, 0, 2])
    by_label, by_column = (mlp.Objective(net, X, targets, cost=cost) for targets in (y, np.eye(3)[y]))
    assert by_label(net.theta)[0] == pytest.approx(by_column(net.theta)[0], rel=1e-14)
    np.testing.assert_allclose(by_label(net.theta)[1], by_column(net.theta)[1], rtol=1e-12)
    np.testing.assert_allclose(by_label.hessp(net.theta, X.sum() + net.theta), by_column.hessp(net.theta, X.sum() + net.theta))


@pytest.mark.parametrize(
    ("output", "cost"),
    [(output, cost) for output in ("identity", "tanh", "softmax", "gelu", "exponential") for cost in ("huber:0.3", "absolute")]
    + [("exponential", "poisson"), ("exponential", "quadratic")],
)
def test_gradient_check(output, cost):
    rng = np.random.default_rng(2)
    net = mlp.MLP([3, 5, 2], hidden="silu", output=output, dtype="float64", seed=2)
    net.theta[:] = 0.5 * rng.standard_normal(net.theta.size)
    weights = rng.random(7)
    objective = mlp.Objective(
        net, rng.standard_normal((7, 3)), rng.random((7, 2)), cost=cost, weight_decay=0.1, weights=weights
    )
    found = mlp.check_gradient(objective, net.theta)
    assert found.worst_error <= 1e-7, found


def test_every_minimiser_finds_the_mean_rate():
    # without features, the best rate is the mean count
    y = np.array([0.0, 1.0, 2.0, 9.0])
    objective = mlp.Objective(mlp.MLP([1, 1], output="exponential", dtype="float64", seed=0), np.zeros((4, 1)), y)
    for minimise in (
        mlp.lbfgs,
        lambda *problem: mlp.newton(*problem, maxiter=50),
        lambda *problem: mlp.sgd(*problem, learning_rate=0.1, batch_size=None, epochs=400),
    ):
        found = minimise(objective, np.zeros(2))
        assert math.exp(found.x[1]) == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize("cost", ["huber:1.5", "absolute"])
def test_outliers_pull_little(cost):
    # the least of Σ|a − y| is the median; of Huber's with δ = 1.5, over 0, 1, 2 and one far away: a + (a−1) + (a−2) = 1.5
    y = np.array([0.0, 1.0, 2.0, 1000.0] if cost != "absolute" else [0.0, 1.0, 1000.0])
    objective = mlp.Objective(mlp.MLP([1, 1], output="identity", dtype="float64", seed=0), np.zeros((len(y), 1)), y, cost=cost)
    found = mlp.sgd(objective, np.zeros(2), learning_rate=0.05, batch_size=None, epochs=1000, schedule="cosine")
    assert found.x[1] == pytest.approx(1.5 if cost != "absolute" else 1, abs=1e-3)


def test_a_rate_that_overflows_is_a_divergence_that_says_so():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 3)).astype(np.float32), rng.poisson(1000, 50)
    net = mlp.MLP([3, 8, 1], output="exponential", seed=0)
    found = mlp.sgd(mlp.Objective(net, X, y), net.theta, learning_rate=5.0, epochs=10, batch_size=10, seed=0)
    assert found.status == mlp.optimizers.DIVERGED
    assert re.search("cost became inf in epoch 1, .* Try a learning rate below 5", found.message)
    assert np.isfinite(found.x).all()


# Names


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("huber:0", r"^cost huber delta: received 0\.0 .*, but it must be a finite number at least 1e-30 and at most 1e\+30$"),
        ("huber:", r"^cost huber delta: received '' \(str\), but it must be a number$"),
        ("huber:-1", r"^cost huber delta: received -1\.0 "),
        ("absolute:1", r"^cost: received 'absolute:1' .*, but absolute takes no parameters$"),
        ("mae", r"did you mean 'absolute'\?$"),
        ("MSE", r"did you mean 'quadratic'\?$"),
        ("poisson", r"^cost: received 'poisson' with .* 'identity', but it goes only with 'exponential' outputs; quadratic"),
    ],
)
def test_wrong_names_and_parameters(wrong, message):
    with pytest.raises(ValueError, match=message):
        costs.get(wrong, activations.get("identity"))


def test_names_say_the_parameter():
    assert costs.get("huber", activations.get("tanh")).name == "huber:1.0"
    assert costs.get("huber:delta=2.5", activations.get("tanh")).delta == costs.Huber(2.5).delta
    assert costs.get(None, activations.get("exponential")).name == "poisson"
