"""The passes: worked examples by hand, the equations in plain numpy, the buffers, errors and the input's gradient."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from numpy.testing import assert_allclose

import mlp
from mlp import Dense, Layer, Objective
from mlp.backprop import Buffers, chunk_size


def test_buffers_share_memory_where_z_is_not_needed_and_hold_no_error_where_none_is():
    layers = [Dense(3, 4, "relu"), Dense(4, 5, "tanh"), Dense(5, 2, "softmax")]
    of = Buffers(layers, 6, np.dtype("float32"))
    assert [A.shape for A in of.A] == [(3, 6), (4, 6), (5, 6), (2, 6)]
    assert of.A[0].base is of.X
    assert of.X.shape == (6, 3)
    assert [Z is A for Z, A in zip(of.Z, of.A, strict=True)][1:] == [True, True, False]
    assert [Delta.shape for Delta in of.Delta] == [(3, 0), (4, 6), (5, 6), (2, 6)]
    assert [Delta.shape for Delta in Buffers(layers, 6, "f4", to_input=True).Delta] == [(3, 6), (4, 6), (5, 6), (2, 6)]
    assert [Delta.size for Delta in Buffers(layers, 6, "f4", learning=False).Delta] == [0] * 4
    room = of.spare(of.A[1])
    assert room.shape == (4, 6)
    assert np.shares_memory(room, of.spare(of.A[2]))


class Still(Layer):
    """Lets everything through, and has no parameters."""

    def __init__(self, units):
        self.fan_in = self.units = units

    def forward(self, A, out, scratch):
        out[...] = A

    def propagate(self, Delta, out, scratch):
        out[...] = Delta


def test_no_error_is_sent_below_the_lowest_layer_with_parameters():
    layers = [Still(3), Still(3), Dense(3, 2), Still(2), Dense(2, 2)]
    of = Buffers(layers, 4, np.dtype(float))
    assert of.lowest == 3
    assert [Delta.shape[1] for Delta in of.Delta] == [0, 0, 0, 4, 4, 4]
    net = mlp.MLP(layers, dtype="float64", seed=0)
    objective = Objective(net, np.random.default_rng(0).standard_normal((4, 3)), np.ones((4, 2)))
    assert mlp.check_gradient(objective, net.theta)
    assert objective.input_gradient(net.theta).shape == (4, 3)


@pytest.mark.parametrize(("fan_in", "chunk"), [(784, 1024), (100_000, 223), (10**8, 1)])
def test_chunks_are_bounded_in_memory(fan_in, chunk):
    # 3 · (fan_in + 10 outputs) · 2 bytes a float16 … of 128 MB, and 1,024 at most
    assert chunk_size([Dense(fan_in, 10)], np.dtype(np.float16)) == chunk


# Worked examples


def unpack(net, vector):
    """The (W, b) of each layer in a vector laid out like θ, by counting: W row by row, then b."""
    pairs, start = [], 0
    for n_in, n_out in zip(net.sizes, net.sizes[1:], strict=False):
        middle, end = start + n_in * n_out, start + n_in * n_out + n_out
        pairs.append((vector[start:middle].reshape(n_out, n_in), vector[middle:end]))
        start = end
    return pairs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_lectures_worked_example(dtype):
    # x = (1, 2), t = 1, hidden ReLU weights (−1, 1) and (1, −2), output weights v = (3, −1), no biases, C = ½(y − t)²
    net = mlp.MLP([2, 2, 1], hidden="relu", output="identity", dtype=dtype, seed=0)
    theta = np.array([-1, 1, 1, -2, 0, 0, 3, -1, 0], dtype)
    objective = Objective(net, [[1, 2]], [1])
    cost, gradient = objective(theta)
    assert cost == 2
    (dW, db), (dv, dc) = unpack(net, gradient)
    np.testing.assert_array_equal(dv, [[2, 0]])
    np.testing.assert_array_equal(dW, [[6, 12], [0, 0]])
    np.testing.assert_array_equal(objective.input_gradient(theta), [[-6, 6]])
    # With biases where the lecture has none: δ² = y − t = 2 and δ¹ = (2·3, 0)
    np.testing.assert_array_equal(dc, [2])
    np.testing.assert_array_equal(db, [6, 0])
    first, second = objective.errors(theta)
    np.testing.assert_array_equal(first, [[6, 0]])
    np.testing.assert_array_equal(second, [[2]])
    # and with λ = ½: C + ¼(1 + 1 + 1 + 4 + 9 + 1) and ∂C/∂W + W/2
    cost, gradient = Objective(net, [[1, 2]], [1], weight_decay=0.5)(theta)
    assert cost == 2 + 17 / 4
    np.testing.assert_array_equal(gradient, [5.5, 12.5, 0.5, -1, 6, 0, 3.5, -0.5, 2])


@pytest.mark.parametrize(
    ("w", "b", "x", "t", "decay", "cost", "dw", "db"),
    [
        # z = ½·2 + log 3 − 1 = log 3, a = σ(z) = 3/4, a − t = −1/4, σ′ = 3/16
        # C = ½·1/16 + 0.05·¼ = 0.03125 + 0.0125
        # ∂C/∂w = (−1/4)(3/16)·2 + 0.1·½ = −0.09375 + 0.05; ∂C/∂b = −3/64, b not being decayed
        (0.5, math.log(3) - 1, 2.0, 1.0, 0.1, 0.04375, -0.04375, -0.046875),
        # z = −1·1.5 + 0.5 = −1, a = σ(−1) = 0.2689414214, t = 0.2, a − t = 0.0689414214,
        # σ′ = 0.2689414214 · 0.7310585786 = 0.1966119332, (a − t)σ′ = 0.0135547061
        # C = ½·0.0047529196 + 0.3·1 = 0.0023764598 + 0.3
        # ∂C/∂w = 0.0135547061·1.5 + 0.6·(−1) = 0.0203320592 − 0.6
        (-1.0, 0.5, 1.5, 0.2, 0.6, 0.3023764598, -0.5796679408, 0.0135547061),
    ],
)
def test_regularised_univariate_logistic_least_squares(w, b, x, t, decay, cost, dw, db):
    net = mlp.MLP([1, 1], output="logistic", dtype="float64", seed=0)
    value, gradient = Objective(net, [[x]], [t], cost="quadratic", weight_decay=decay)([w, b])
    assert value == pytest.approx(cost, abs=1e-10)
    assert_allclose(gradient, [dw, db], rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_two_steps_equal_the_equations_in_plain_numpy(dtype, weight_decay, momentum):
    """Two layers written out with @, transposes and a sum, as in the lecture, in float64."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((20, 7)), rng.integers(0, 3, 20)
    net = mlp.MLP([7, 5, 3], hidden="tanh", output="softmax", dtype=dtype, seed=2)
    W1, b1, W2, b2 = (np.array(part, np.float64) for layer in net.layers for part in (layer.W, layer.b))
    objective = mlp.Objective(net, X, y, weight_decay=weight_decay)
    mlp.sgd(objective, net.theta, learning_rate=0.5, momentum=momentum, batch_size=None, epochs=2)

    v = [0.0, 0.0, 0.0, 0.0]
    for _ in range(2):
        A1 = np.tanh(X @ W1.T + b1)
        Delta2 = scipy.special.softmax(A1 @ W2.T + b2, axis=1) - np.eye(3)[y]
        Delta1 = (Delta2 @ W2) * (1 - A1**2)
        gradients = [
            Delta1.T @ X / 20 + weight_decay * W1,
            Delta1.sum(axis=0) / 20,
            Delta2.T @ A1 / 20 + weight_decay * W2,
            Delta2.sum(axis=0) / 20,
        ]
        v = [momentum * old - 0.5 * g for old, g in zip(v, gradients, strict=True)]
        W1, b1, W2, b2 = (p + step for p, step in zip((W1, b1, W2, b2), v, strict=True))
    expected = np.concatenate([W1.ravel(), b1, W2.ravel(), b2])
    assert_allclose(net.theta, expected, rtol=0, atol=1e-14 if dtype == "float64" else 2e-6)


# What else the recursion tells


def test_the_gradient_with_respect_to_the_input_is_the_costs_slope():
    rng = np.random.default_rng(9)
    net = mlp.MLP([3, 4, 4, 2], hidden=["softplus", "tanh"], dtype="float64", seed=9)
    X, y = rng.standard_normal((5, 3)), [0, 1, 1, 0, 1]
    ours = Objective(net, X, y).input_gradient(net.theta)
    slope = scipy.optimize.approx_fprime(X.ravel(), lambda x: Objective(net, x.reshape(5, 3), y)(net.theta)[0], 1e-7)
    assert_allclose(ours.ravel(), slope, rtol=0, atol=1e-6)
    assert np.abs(slope).max() > 0.01
    # of rows, it is the mean over those rows
    assert_allclose(Objective(net, X, y).input_gradient(net.theta, [4, 2])[0], ours[4] * 5 / 2, rtol=1e-12)


@pytest.mark.parametrize("rows", [None, [6, 5, 5]])
@pytest.mark.usefixtures("small_chunks")
def test_errors_of_any_layer_are_what_the_gradients_are_made_of(problem, rows):
    # Their means are the biases' gradients, and one example's are its gradients
    net, objective = problem(9, (4, 3, 5))
    errors = objective.errors(net.theta, rows)
    n = 9 if rows is None else 3
    assert [error.shape for error in errors] == [(n, 3), (n, 5)]
    for error, (_, db) in zip(errors, unpack(net, objective(net.theta, rows)[1]), strict=True):
        assert_allclose(error.mean(axis=0), db, atol=1e-15)
    for error, (_, db) in zip(errors, unpack(net, objective(net.theta, [5])[1]), strict=True):
        assert_allclose(error[5 if rows is None else 1], db, atol=1e-15)
