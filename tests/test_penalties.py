"""Penalties: sparsity by hand and numerically, weight decay, max-norm; what they refuse."""

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Objective, Sparsity
from mlp.penalties import WeightDecay

SIZES = (6, 5, 4, 3)
pytestmark = pytest.mark.usefixtures("small_chunks")  # four examples


def sparse(n=9, sizes=(5, 4, 3, 5), layer=0, dtype="float64", weight_decay=0.0, rho=0.1, hidden="logistic", cost=None):
    """An autoencoder with random parameters, biases too, and a penalty on one of its layers."""
    rng = np.random.default_rng(1)
    net = mlp.MLP(list(sizes), hidden=hidden, output="logistic", dtype=dtype, seed=1)
    net.theta[:] = rng.standard_normal(net.theta.size)
    X = rng.uniform(size=(n, sizes[0])).astype(dtype)
    sparsity = Sparsity(rho=rho, beta=3, layer=layer)
    return net, X, Objective(net, X, weight_decay=weight_decay, cost=cost, sparsity=sparsity)


def one_unit(X, rho, beta=3.0):
    """A logistic hidden unit of x log 3, so that x = 1, 0, −1 make it ¾, ½, ¼, and an output that is 0 whatever it is."""
    net = mlp.MLP([1, 1, 1], hidden="logistic", output="identity", dtype="float64", seed=0)
    net.theta[:] = [math.log(3), 0, 0, 0]
    return net, Objective(net, X, np.zeros(len(X)), sparsity=Sparsity(rho, beta))


# Sparsity by hand


@pytest.mark.parametrize(
    ("rho", "mean", "divergence"),
    [
        # KL(ρ ‖ ρ̂) = ρ log(ρ/ρ̂) + (1 − ρ) log((1 − ρ)/(1 − ρ̂))
        (0.5, 0.25, 0.1438410362),  # ½ log 2 + ½ log ⅔ = ½ log 4/3 = ½ · 0.2876820724
        (0.25, 0.75, 0.5493061443),  # ¼ log ⅓ + ¾ log 3 = ½ log 3 = ½ · 1.0986122887
        (0.2, 0.6, 0.3347952867),  # 0.2 log ⅓ + 0.8 log 2 = −0.2197224577 + 0.5545177444
        (0.2, 0.2, 0.0),
    ],
)
def test_value(rho, mean, divergence):
    assert Sparsity(rho, 1.0).penalty(np.array([mean])) == pytest.approx(divergence, abs=1e-10)
    assert Sparsity(rho, 3.0).penalty(np.array([mean, rho, mean])) == pytest.approx(6 * divergence, abs=1e-9)
    other = scipy.special.rel_entr(rho, mean) + scipy.special.rel_entr(1 - rho, 1 - mean)
    assert Sparsity(rho, 1.0).penalty(np.array([mean])) == pytest.approx(other, abs=1e-15)


def test_defaults_are_those_of_the_lecture_notes():
    # Ng, "Sparse autoencoder" (CS294A): "typically a small value close to zero (say ρ = 0.05)"; layer 0 is the hidden one
    assert Sparsity() == Sparsity(rho=0.05, beta=3.0, layer=0)


def test_cost_and_gradient_of_one_unit():
    # ρ̂ = ¾ and ρ = ¼: C = 3 · ½ log 3; δ¹ = 3(−¼/¾ + ¾/¼) · ¾·¼ = 3 · 8/3 · 3/16 = 3/2, times x = 1
    net, objective = one_unit([[1]], rho=0.25)
    cost, gradient = objective(net.theta)
    assert cost == pytest.approx(1.6479184330, abs=1e-10)
    assert_allclose(gradient, [1.5, 1.5, 0, 0], rtol=1e-14)


def test_mean_over_examples_comes_before_the_divergence():
    # ¾ and ½ have the mean ⅝; ρ = ½: C = 3(½ log ⅘ + ½ log 4/3) = 1.5 log 16/15 = 1.5 · 0.0645385211
    # each example's error gains 3(−½/⅝ + ½/⅜) = 3 · 8/15 = 8/5, times σ′ = 3/16 and 1/4, and the gradient is their mean:
    # ∂C/∂w = ½(8/5 · 3/16 · 1 + 0) = 0.15, ∂C/∂b = ½(0.3 + 0.4) = 0.35
    net, objective = one_unit([[1], [0]], rho=0.5)
    cost, gradient = objective(net.theta)
    assert cost == pytest.approx(0.0968077817, abs=1e-10)
    assert_allclose(gradient, [0.15, 0.35, 0, 0], rtol=1e-14)


def test_zero_when_the_mean_activation_is_rho():
    # ¼ and ¾ are both off ρ = ½, but their mean is on it
    net, objective = one_unit([[1], [-1]], rho=0.5)
    cost, gradient = objective(net.theta)
    assert cost == pytest.approx(0, abs=1e-15)
    assert_allclose(gradient, 0, atol=1e-15)
    assert objective(net.theta, [0])[0] > 0.4  # 1.5 log 4/3


def test_beta_is_a_factor_and_zero_is_none():
    net, X, _ = sparse()
    without = Objective(net, X)(net.theta)
    once, twice = (Objective(net, X, sparsity=Sparsity(0.1, beta))(net.theta) for beta in (1.0, 2.0))
    nothing = Objective(net, X, sparsity=Sparsity(0.1, 0.0))(net.theta)
    assert twice[0] - once[0] == pytest.approx(once[0] - without[0], rel=1e-13)
    assert_allclose(twice[1] - once[1], once[1] - without[1], atol=1e-14)
    assert nothing[0] == without[0]
    assert_array_equal(nothing[1], without[1])


def test_layers_above_the_penalised_one_gain_nothing():
    net, X, objective = sparse(layer=1)
    with_it, without = objective(net.theta)[1], Objective(net, X)(net.theta)[1]
    below = net.layers[0].size + net.layers[1].size
    assert np.all(with_it[:below] != without[:below])
    assert_array_equal(with_it[below:], without[below:])


# Sparsity's gradient against numerical ones


@pytest.mark.parametrize("n", [1, 9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize(("sizes", "layer"), [((4, 3, 4), 0), ((4, 3, 2, 4), 0), ((4, 3, 2, 4), 1), ((4, 3, 2, 3, 4), 1)])
def test_sparsity_gradient(n, weight_decay, sizes, layer):
    net, _, objective = sparse(n, sizes, layer, weight_decay=weight_decay)
    check = mlp.check_gradient(objective, net.theta, tolerance=1e-7)
    assert check, check


@pytest.mark.parametrize(
    ("output", "cost"),
    [
        ("logistic", "quadratic"),
        ("logistic", None),
        ("identity", None),
        ("tanh", None),
        ("softmax", None),
        ("softmax", "quadratic"),
    ],
)
def test_sparsity_gradient_with_other_outputs_and_costs(output, cost):
    n, rng = 9, np.random.default_rng(2)
    net = mlp.MLP([4, 3, 5], hidden="logistic", output=output, dtype="float64", seed=0)
    net.theta[:] = rng.standard_normal(net.theta.size)
    X = rng.standard_normal((n, 4))
    y = np.arange(n) % 5 if output in ("softmax", "logistic") else rng.standard_normal((n, 5))
    check = mlp.check_gradient(Objective(net, X, y, cost, sparsity=Sparsity(0.1, 3)), net.theta, tolerance=1e-7)
    assert check, check


def test_sparsity_gradient_checker_sees_a_derivative_that_is_wrong(monkeypatch):
    net, _, objective = sparse()
    monkeypatch.setattr(Sparsity, "derivative", lambda self, mean: -self.beta * self.rho / mean)  # half of it is missing
    assert not mlp.check_gradient(objective, net.theta, tolerance=1e-7)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize(
    "settings", [{}, {"dropout": (0.25, 0.5, 0.375)}, {"dropout": (0, 0.5, 0.5), "distort": lambda X, _: X**2}]
)
@pytest.mark.usefixtures("small_chunks")
def test_sparsity_with_dropout(autoencoder, layer, settings):
    net, objective = autoencoder(sparsity=Sparsity(0.1, 3, layer), weight_decay=0.01, **settings)
    check = mlp.check_gradient(objective.with_noise(3), net.theta, tolerance=1e-7)
    assert check, check


@pytest.mark.usefixtures("small_chunks")
def test_input_gradient_with_sparsity(numerical_input_gradient):
    net, X, objective = sparse(5, layer=1)
    # the target stays as it is
    numerical = numerical_input_gradient(lambda moved: Objective(net, moved, X, sparsity=objective.sparsity)(net.theta)[0], X)
    assert_allclose(objective.input_gradient(net.theta), numerical, atol=1e-8)


# Many examples, some examples, and the other ways of asking


@pytest.mark.parametrize("layer", [0, 1])
def test_chunks_share_one_mean(layer):
    # The same example 4 times and another as often: the mean of two, wherever the chunks end
    net, X, _ = sparse(2)
    many = np.repeat(X, 4, axis=0)
    sparsity = Sparsity(0.1, 3, layer)
    two, all_of_them = (Objective(net, rows, sparsity=sparsity)(net.theta) for rows in (X, many))
    assert all_of_them[0] == pytest.approx(two[0], rel=1e-12)
    assert_allclose(all_of_them[1], two[1], atol=1e-12)


@pytest.mark.parametrize("rows", [[0], [5, 2, 2, 8], slice(3, 7), np.arange(9)[::-1], np.arange(11) % 9])
def test_rows(rows):
    net, X, objective = sparse(weight_decay=0.2)
    chosen = Objective(net, X[rows], weight_decay=0.2, sparsity=objective.sparsity)(net.theta)
    cost, gradient = objective(net.theta, rows)
    assert cost == pytest.approx(chosen[0], rel=1e-13)
    assert_allclose(gradient, chosen[1], atol=1e-13)


@pytest.mark.parametrize("layer", [0, 1])
def test_errors_make_the_gradient(layer):
    n = 4 + 7
    net, X, objective = sparse(n, layer=layer)
    errors, gradient = objective.errors(net.theta), objective(net.theta)[1]
    A, start = X, 0
    for number, (one, Delta) in enumerate(zip(net.layers, errors, strict=True)):
        assert_allclose(gradient[start : start + one.W.size], (Delta.T @ A / n).ravel(), atol=1e-13)
        assert_allclose(gradient[start + one.W.size : start + one.size], Delta.mean(axis=0), atol=1e-13)
        A, start = net.forward(X, layer=number), start + one.size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [1e4, -1e4])
def test_units_always_on_or_off_cost_much_but_not_infinitely(dtype, bias):
    net, _, objective = sparse(dtype=dtype)
    net.layers[0].b[:] = bias
    cost, gradient = objective(net.theta)
    assert 1 < cost < 1e4
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_brings_the_mean_activations_to_rho(dtype):
    net, X, objective = sparse(200, (6, 5, 6), cost="quadratic", dtype=dtype, rho=0.2)
    net.initialize(0)
    assert np.abs(net.forward(X, layer=0).mean(axis=0) - 0.2).max() > 0.2
    mlp.lbfgs(objective, net.theta, maxiter=100)
    assert_allclose(net.forward(X, layer=0).mean(axis=0), 0.2, atol=0.01)


# Weight decay and max-norm


def test_weight_decay_by_hand():
    # λ/2 · (1 + 4 + 9), and λ W; biases are free
    net = mlp.MLP([1, 2, 1], dtype="float64", hidden="relu", output="identity", seed=0)
    theta = np.array([1.0, 2, 50, 60, 3, 0, 70])
    layers = net.at(theta).layers
    assert WeightDecay(0.5).value(layers) == 0.25 * 14
    out = np.ones(7)
    WeightDecay(0.5).add_gradient(layers, net.at(out).layers, -2.0)
    assert_array_equal(out, [0, -1, 1, 1, -2, 1, 1])
    WeightDecay(0.5).add_gradient(layers, layers, -1.0)  # into itself
    assert_array_equal(theta, [0.5, 1, 50, 60, 1.5, 0, 70])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constrain_scales_down_the_rows_beyond_and_nothing_else(problem, dtype):
    net, objective = problem(dtype=dtype, max_norm=0.7)
    theta = net.theta.copy()
    before, after = net.at(theta.copy()), net.at(theta)
    objective.constrain(theta)
    scaled = 0
    for old, new in zip(before.layers, after.layers, strict=True):
        assert_array_equal(new.b, old.b)
        for was, row in zip(old.W, new.W, strict=True):
            norm = np.linalg.norm(was.astype(float))
            if norm <= 0.7:
                assert_array_equal(row, was)
            else:
                scaled += 1
                assert_allclose(row, 0.7 * was / norm, rtol=1e-6)
    assert 0 < scaled < sum(SIZES[1:])


def test_constrain_without_max_norm_does_nothing_and_it_is_no_part_of_the_cost(problem):
    net, objective = problem()
    theta = 1000 * net.theta
    objective.constrain(theta)
    assert_array_equal(theta, 1000 * net.theta)
    assert objective(net.theta)[0] == problem(max_norm=0.01)[1](net.theta)[0]
    assert not problem(max_norm=0.01)[1].noisy
    assert problem(max_norm=0.5, dropout=(0.25, 0.5, 0.375))[1].astype("float32").max_norm == 0.5


def test_constrain_keeps_the_direction_of_very_long_rows(problem):
    net, objective = problem(dtype="float32", max_norm=1.0)
    net.layers[0].W[0] = 1e25
    with np.errstate(all="ignore"):
        objective.constrain(net.theta)
    assert_allclose(net.layers[0].W[0], 1 / math.sqrt(6), rtol=1e-6)


# Bad input


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"rho": 0}, ValueError, r"^rho: received 0 \(int\), but it must be a finite number above 0 and below 1"),
        ({"rho": 1.0}, ValueError, r"^rho: received 1\.0"),
        ({"rho": "0.1"}, TypeError, r"^rho: received '0\.1' \(str\)"),
        ({"beta": -1}, ValueError, r"^beta: received -1 \(int\), but it must be a finite number at least 0"),
        ({"layer": -1}, ValueError, r"^layer: received -1 \(int\), but it must be an integer of at least 0"),
    ],
)
def test_bad_sparsity_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        Sparsity(**settings)


def test_settings_stay_as_they_were_checked():
    with pytest.raises(FrozenInstanceError):
        Sparsity().rho = 2


@pytest.mark.parametrize("sparsity", [0.1, (0.1, 3), {"rho": 0.1}, Sparsity])
def test_other_objects_are_refused(sparsity):
    with pytest.raises(TypeError, match=r"^sparsity: received .*, but it must be None or a Sparsity"):
        Objective(mlp.MLP([3, 2, 3], hidden="logistic", output="logistic", seed=0), np.zeros((2, 3)), sparsity=sparsity)


@pytest.mark.parametrize("layer", [1, 2, 100])  # 1 is the output layer
def test_layer_must_be_a_hidden_one(layer):
    net = mlp.MLP([3, 2, 3], hidden="logistic", output="logistic", seed=0)
    with pytest.raises(ValueError, match=rf"^sparsity\.layer: received {layer} "):
        Objective(net, np.zeros((2, 3)), sparsity=Sparsity(layer=layer))


def test_network_must_have_a_hidden_layer():
    with pytest.raises(ValueError, match=r"^sparsity"):
        Objective(mlp.MLP([3, 3], output="logistic", seed=0), np.zeros((2, 3)), sparsity=Sparsity())


@pytest.mark.parametrize("hidden", ["relu", "tanh", "identity", "softplus"])
def test_mean_activations_must_be_those_of_logistic_units(hidden):
    net = mlp.MLP([3, 2, 2, 3], hidden=["logistic", hidden], seed=0)
    Objective(net, np.zeros((2, 3)), [0, 1], sparsity=Sparsity(layer=0))
    with pytest.raises(ValueError, match=rf"^sparsity: layer 1 is '{hidden}', but .* 'logistic'"):
        Objective(net, np.zeros((2, 3)), [0, 1], sparsity=Sparsity(layer=1))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_norm": 0}, ValueError, r"^max_norm: received 0 \(int\), but it must be a finite number above 0"),
        ({"max_norm": "3"}, TypeError, r"^max_norm: received '3' \(str\)"),
        ({"weight_decay": -1e-4}, ValueError, r"^weight_decay: received -0\.0001 \(float\), but .* a finite number at least 0"),
        ({"weight_decay": None}, TypeError, r"^weight_decay: received None"),
    ],
)
def test_bad_rates_are_refused(problem, settings, error, message):
    with pytest.raises(error, match=message):
        problem(**settings)
