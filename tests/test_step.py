"""The fast training step: it equals the plain equations, and takes no memory of a batch's or a network's size."""

import tracemalloc

import numpy as np
import pytest
import scipy.special

import mlp

N, SIZES, BATCH = 4096, [100, 512, 300, 10], 1024
#: What a step may take: vectors with one number an example (labels, row maxima; 8 KB each), and the buffer of fixed size
#: through which numpy converts pixels (32 KB). The smallest array of an activation's size, a mask of one byte for each of
#: the batch's outputs of the second hidden layer, is three times as large.
VECTORS = 100_000


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (N, SIZES[0]), dtype=np.uint8), rng.integers(0, 10, N)
    net = mlp.MLP(SIZES, hidden=["relu", "tanh"], seed=0)
    return net, mlp.Objective(net, X, y, weight_decay=1e-4)


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("hidden", ["relu", "tanh", "logistic", "softplus", "threshold", "identity"])
def test_steps_of_sgd_take_no_memory_after_the_first_epoch(problem, settings, hidden):
    net, objective = problem
    net = mlp.MLP(SIZES, hidden=hidden, seed=0)
    objective = mlp.Objective(net, objective.X, objective.Y, weight_decay=1e-4)
    assert peak_of_the_second_epoch(mlp.sgd, objective, net.theta, **settings) < 2 * 8 * N + VECTORS


def test_steps_of_adam_take_no_memory_after_the_first_epoch(problem):
    net, objective = problem
    assert peak_of_the_second_epoch(mlp.adam, objective, net.theta) < 2 * 8 * N + VECTORS


def peak_of_the_second_epoch(minimiser, objective, theta, **settings):
    """The most memory taken at a time, in bytes, beyond what was held at the end of the first (with the epoch's order)."""
    held = []

    def callback(intermediate_result):
        if intermediate_result.nit == 1:
            tracemalloc.start()
            held.append(tracemalloc.get_traced_memory()[0])
        else:
            held.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    minimiser(objective, theta, learning_rate=1e-3, batch_size=BATCH, epochs=2, callback=callback, **settings)
    return held[1] - held[0]


def test_the_measurement_sees_a_single_mask():
    tracemalloc.start()
    np.greater(np.ones((BATCH, SIZES[2])), 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak > VECTORS


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
    np.testing.assert_allclose(net.theta, expected, rtol=0, atol=1e-14 if dtype == "float64" else 2e-6)


def test_a_memory_mapped_training_set_gives_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (3000, 30), dtype=np.uint8), rng.integers(0, 10, 3000)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    thetas = []
    for data in (X, mapped):
        net = mlp.MLP([30, 20, 10], seed=0)
        mlp.sgd(mlp.Objective(net, data, y), net.theta, momentum=0.9, epochs=2)
        thetas.append(net.theta)
    np.testing.assert_array_equal(thetas[0], thetas[1])
