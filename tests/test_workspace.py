"""The scratch memory of an objective: none is taken by steps, none grows, and it serves one call at a time."""

import concurrent.futures
import copy
import os
import pickle
import threading
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp

N, SIZES, BATCH = 4096, [100, 512, 300, 10], 1024
#: What a step may take: vectors with one number an example (labels, column maxima; 8 KB each), and the buffer of fixed size
#: through which numpy converts pixels (32 KB). The smallest array of an activation's size, a mask of one byte for each of
#: the batch's outputs of the second hidden layer, is three times as large.
VECTORS = 100_000


# Memory


def peak_of_the_second_epoch(minimiser, objective, theta, **settings):
    """The most memory taken at a time, in bytes, beyond what was held at the end of the first (with the epoch's order).

    What else goes on in the process counts too, which is why it is measured in a process that runs this file alone.
    """
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


def pixels_and_labels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (N, SIZES[0]), dtype=np.uint8), rng.integers(0, 10, N)


#: .ci/run runs this file by itself as well.
by_itself = pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="run by: pytest tests/test_workspace.py")


@by_itself
@pytest.mark.parametrize(
    ("minimiser", "settings"),
    [
        (mlp.sgd, {}),
        (mlp.sgd, {"momentum": 0.9}),
        (mlp.sgd, {"momentum": 0.9, "nesterov": True}),
        (mlp.adam, {}),
    ],
    ids=["plain", "momentum", "nesterov", "adam"],
)
def test_steps_take_no_memory_after_the_first_epoch(minimiser, settings):
    net = mlp.MLP(SIZES, hidden=["relu", "tanh"], seed=0)
    objective = mlp.Objective(net, *pixels_and_labels(), weight_decay=1e-4)
    assert peak_of_the_second_epoch(minimiser, objective, net.theta, **settings) < 2 * 8 * N + VECTORS


@by_itself
@pytest.mark.parametrize("hidden", ["logistic", "softplus", "threshold", "identity"])
def test_other_activations_take_no_memory_either(hidden):
    net = mlp.MLP(SIZES, hidden=hidden, seed=0)
    objective = mlp.Objective(net, *pixels_and_labels(), weight_decay=1e-4)
    assert peak_of_the_second_epoch(mlp.sgd, objective, net.theta) < 2 * 8 * N + VECTORS


def test_the_measurement_sees_a_single_mask():
    tracemalloc.start()
    np.greater(np.ones((BATCH, SIZES[2])), 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak > VECTORS


@pytest.mark.parametrize("sparse", [False, True])
def test_evaluating_holds_no_errors(sparse):
    # As float32, 1,024 examples in 1,000 logistic units are 4 MB of activations; errors, and room for σ′, were as much again
    net = mlp.MLP([10, 1000, 10], hidden="logistic", output="identity", seed=0)
    X = np.ones((1024, 10), np.float32)
    objective = mlp.Objective(net, X, sparsity=mlp.Sparsity() if sparse else None)
    tracemalloc.start()
    objective.evaluate(net.theta)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 4 << 20 < held < (9 << 20 if sparse else 5 << 20)  # with sparsity, activations go through a layer of their own


@pytest.mark.usefixtures("small_chunks")
def test_memory_does_not_grow_with_the_sizes_of_batches(problem):
    net, objective = problem(40)
    for n in (1, 7, 3, 40, 2, 7, 1, 13, 4):
        rows = np.arange(n)
        cost, gradient = objective(net.theta, rows)
        objective.evaluate(net.theta)
        objective.input_gradient(net.theta, rows)
        fresh = problem(40)[1](net.theta, rows)
        assert cost == fresh[0]
        assert_array_equal(gradient, fresh[1])
        assert len(objective._work.buffers) <= 4


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
    assert_array_equal(thetas[0], thetas[1])


# One call at a time


class Waiting:
    """tanh; the first call of `value` waits until it is told to go on."""

    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()

    def value(self, z):
        if not self.inside.is_set():
            self.inside.set()
            assert self.go_on.wait(10)
        return np.tanh(z)

    def derivative(self, z):
        return 1 - np.tanh(z) ** 2


CALLS = {
    "call": lambda objective, theta: objective(theta),
    "evaluate": lambda objective, theta: objective.evaluate(theta),
    "input_gradient": lambda objective, theta: objective.input_gradient(theta),
    "errors": lambda objective, theta: objective.errors(theta),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_second_call_from_another_thread_is_refused_and_the_first_is_right(problem, name):
    activation = Waiting()
    net, objective = problem(hidden=activation)
    expected = problem(hidden="tanh")[1](net.theta)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(objective, net.theta)
        try:
            assert activation.inside.wait(10)
            with pytest.raises(RuntimeError, match=r"^objective: is at work already, .*\(copy\.copy\(objective\) shares"):
                CALLS[name](objective, net.theta + 1)
            beside = copy.copy(objective)(net.theta)  # a copy has room of its own
        finally:
            activation.go_on.set()
        cost, gradient = first.result(10)
    assert copy.copy(objective).X is objective.X
    for found in ((cost, gradient), beside, objective(net.theta)):
        assert found[0] == pytest.approx(expected[0], rel=1e-14)
        assert_allclose(found[1], expected[1], atol=1e-15)


def test_a_call_from_within_is_refused_and_one_of_a_copy_is_not(problem):
    class Calling:
        """tanh; its first value calls an objective."""

        by = None

        def value(self, z):
            by, self.by = self.by, None
            if by is not None:
                by(net.theta + 1)
            return np.tanh(z)

        def derivative(self, z):
            return 1 - np.tanh(z) ** 2

    activation = Calling()
    net, objective = problem(hidden=activation, dropout=(0.25, 0.5, 0.375))
    before = objective(net.theta)
    activation.by = objective
    with pytest.raises(RuntimeError, match=r"^objective: is at work already"):
        objective(net.theta)
    assert objective(net.theta)[0] == before[0]  # which is over
    for one, other in ((objective, objective.with_noise(7)), (objective.with_noise(7), objective)):
        alone = one(net.theta)
        activation.by = other
        assert one(net.theta)[0] == alone[0]
        assert activation.by is None


@pytest.mark.parametrize("method", ["value", "gradient"])
def test_after_an_error_it_goes_on_working(problem, method):
    class Failing:
        fails = True

        def value(self, A, Y):
            if self.fails and method == "value":
                raise OSError("no")
            return (A * Y).sum(axis=1)

        def gradient(self, A, Y):
            if self.fails and method == "gradient":
                raise OSError("no")
            return Y

    cost = Failing()
    net, objective = problem(cost=cost)
    for call in CALLS.values():
        if not (call is CALLS["evaluate"] and method == "gradient"):
            with pytest.raises(OSError, match="no"):
                call(objective, net.theta)
    cost.fails = False
    assert mlp.check_gradient(objective, net.theta)


@pytest.mark.parametrize(
    "settings", [{}, {"dropout": (0.25, 0.5, 0.375), "weight_decay": 0.1, "max_norm": 2.0}], ids=["plain", "all"]
)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda objective: pickle.loads(pickle.dumps(objective))])
def test_copies_are_the_same_function(problem, settings, copied):
    net, objective = problem(**settings)
    objective(net.theta)
    other = copied(objective)
    for noise in (None, 3):
        one, two = objective(net.theta, noise=noise), other(net.theta, noise=noise)
        assert one[0] == two[0]
        assert_array_equal(one[1], two[1])
    assert other.fingerprint() == objective.fingerprint()
