"""`Objective`: the cost and gradient by hand and against scikit-learn; batches, dtypes, targets; what it refuses."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import sklearn.decomposition
import sklearn.linear_model
import sklearn.neural_network

import mlp
from mlp import Objective
from mlp.network import CHUNK
from mlp.objective import Sparsity


def unpack(net, vector):
    """The (W, b) of each layer in a vector laid out like θ, by counting: W row by row, then b."""
    pairs, start = [], 0
    for n_in, n_out in zip(net.sizes, net.sizes[1:], strict=False):
        middle, end = start + n_in * n_out, start + n_in * n_out + n_out
        pairs.append((vector[start:middle].reshape(n_out, n_in), vector[middle:end]))
        start = end
    return pairs


def problem(n=11, dtype="float64", sizes=(4, 3, 5), weight_decay=0.0, seed=3):
    """A softmax network with random parameters (biases too) and its objective over random examples."""
    rng = np.random.default_rng(seed)
    net = mlp.MLP(list(sizes), hidden="tanh", dtype=dtype, seed=seed)
    net.theta[:] = rng.standard_normal(net.theta.size)
    X, y = rng.standard_normal((n, sizes[0])), rng.integers(0, sizes[-1], n)
    return net, X, y, Objective(net, X, y, weight_decay=weight_decay)


def assert_close(actual, expected, dtype="float64"):
    """Equal to rounding, measured by the largest of the expected numbers."""
    expected = np.asarray(expected, float)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(expected).max())


# By hand


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
    np.testing.assert_allclose(gradient, [dw, db], rtol=0, atol=1e-10)


def test_the_cost_is_the_mean_over_examples_and_the_penalty_is_not():
    # y = x with w = 1: residuals 1, 2, 3, so that C = (1 + 4 + 9)/6 + ½λ, ∂C/∂w = (1·1 + 2·2 + 3·3)/3 + λ, ∂C/∂b = 6/3
    net = mlp.MLP([1, 1], output="identity", dtype="float64", seed=0)
    objective = Objective(net, [[1], [2], [3]], [0, 0, 0], weight_decay=0.25)
    cost, gradient = objective([1.0, 0.0])
    assert cost == pytest.approx(14 / 6 + 0.125, rel=1e-15)
    np.testing.assert_allclose(gradient, [14 / 3 + 0.25, 2], rtol=1e-15)
    cost, gradient = objective([1.0, 0.0], [1])
    assert cost == 2 + 0.125
    np.testing.assert_array_equal(gradient, [4.25, 2])
    assert objective.penalty(np.array([2.0, 100.0])) == 0.5


# Against scikit-learn


def scikit_learn_cost_and_gradient(model, net, X, y, **classes):
    """The cost and gradient that scikit-learn has at a network's parameters, laid out like θ, through its public face.

    With plain descent, a rate of 1 and all examples in one batch, what `partial_fit` subtracts is the gradient.
    """
    model.set_params(solver="sgd", learning_rate_init=1.0, momentum=0.0, nesterovs_momentum=False, batch_size=len(X))
    model.partial_fit(X, y, **classes)
    for layer, W, b in zip(net.layers, model.coefs_, model.intercepts_, strict=True):
        W[...], b[...] = layer.W.T, layer.b
    model.partial_fit(X, y)
    steps = [(layer.W - W.T, layer.b - b) for layer, W, b in zip(net.layers, model.coefs_, model.intercepts_, strict=True)]
    return model.loss_, np.concatenate([part.ravel() for step in steps for part in step])


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("hidden", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("sizes", [[4, 3], [4, 6, 3], [4, 6, 5, 3]], ids=["0 hidden", "1 hidden", "2 hidden"])
@pytest.mark.parametrize("head", ["multi-class", "binary", "multi-label", "regression"])
def test_cost_and_gradient_agree_with_scikit_learn(head, sizes, hidden, weight_decay):
    rng = np.random.default_rng(8)
    n = 20
    X = rng.standard_normal((n, 4))
    sizes = [*sizes[:-1], 1] if head == "binary" else sizes
    output = {"multi-class": "softmax", "regression": "identity"}.get(head, "logistic")
    net = mlp.MLP(sizes, hidden=hidden, output=output, dtype="float64", seed=8)
    net.theta[:] = 0.5 * rng.standard_normal(net.theta.size)
    y = {
        "multi-class": rng.integers(0, 3, n),
        "binary": rng.integers(0, 2, n),
        "multi-label": rng.integers(0, 2, (n, 3)),
        "regression": rng.standard_normal((n, 3)),
    }[head]
    # its penalty is (α/2n) Σ‖W‖²
    settings = {"hidden_layer_sizes": sizes[1:-1], "activation": hidden, "alpha": weight_decay * n, "random_state": 0}
    if head == "regression":
        cost, gradient = scikit_learn_cost_and_gradient(sklearn.neural_network.MLPRegressor(**settings), net, X, y)
        # it averages the squared errors over the outputs as well, in the cost but not in the gradient
        penalty = 0.5 * weight_decay * sum(np.sum(layer.W**2) for layer in net.layers)
        cost = 3 * (cost - penalty) + penalty
    else:
        classes = {"classes": np.arange(net.sizes[-1] if head != "binary" else 2)}
        model = sklearn.neural_network.MLPClassifier(**settings)
        cost, gradient = scikit_learn_cost_and_gradient(model, net, X, y, **classes)
    ours = Objective(net, X, y, weight_decay=weight_decay)(net.theta)
    assert ours[0] == pytest.approx(cost, rel=1e-12)
    np.testing.assert_allclose(ours[1], gradient, rtol=0, atol=1e-14)


def test_more_examples_than_a_chunk_agree_with_scikit_learn():
    net, X, y, objective = problem(n=2 * CHUNK + 7, weight_decay=1e-3)
    model = sklearn.neural_network.MLPClassifier([3], "tanh", alpha=1e-3 * len(X), random_state=0)
    cost, gradient = scikit_learn_cost_and_gradient(model, net, X, y, classes=np.arange(5))
    ours = objective(net.theta)
    assert ours[0] == pytest.approx(cost, rel=1e-12)
    np.testing.assert_allclose(ours[1], gradient, rtol=0, atol=1e-13)


def test_softmax_regression_is_at_its_minimum_where_scikit_learn_says():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 4)), rng.integers(0, 3, 60)
    decay = 0.05
    # LogisticRegression minimises C Σᵢ Cᵢ + ½‖W‖², biases free
    found = sklearn.linear_model.LogisticRegression(C=1 / (60 * decay), tol=1e-10, max_iter=1000).fit(X, y)
    net = mlp.MLP([4, 3], output="softmax", dtype="float64", seed=0)
    _, gradient = Objective(net, X, y, weight_decay=decay)(np.append(found.coef_, found.intercept_))
    assert np.abs(gradient).max() < 1e-6


def test_linear_regression_is_at_its_minimum_where_scikit_learn_says():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((60, 4)), rng.standard_normal((60, 2)) + 3
    decay = 0.05
    found = sklearn.linear_model.Ridge(alpha=60 * decay).fit(X, Y)  # ‖Y − XWᵀ − b‖² + α‖W‖²
    net = mlp.MLP([4, 2], output="identity", dtype="float64", seed=0)
    _, gradient = Objective(net, X, Y, weight_decay=decay)(np.concatenate([found.coef_.ravel(), found.intercept_]))
    assert np.abs(gradient).max() < 1e-13


def test_a_linear_autoencoder_is_at_rest_in_the_principal_subspace():
    # Baldi and Hornik 1989: the least cost is half the variance that the k components leave over
    X = np.random.default_rng(0).standard_normal((50, 5)) @ np.diag([5, 3, 1, 0.5, 0.2]) + 2
    components = sklearn.decomposition.PCA(5).fit(X)
    V = components.components_[:2]  # (2, 5)
    net = mlp.MLP([5, 2, 5], hidden="identity", output="identity", dtype="float64", seed=0)
    net.layers[0].W[:], net.layers[0].b[:] = V, -V @ components.mean_
    net.layers[1].W[:], net.layers[1].b[:] = V.T, components.mean_
    left_over = components.explained_variance_[2:].sum() * 49 / 50  # its variances divide by n − 1
    cost, gradient = Objective(net, X)(net.theta)
    assert cost == pytest.approx(left_over / 2, rel=1e-12)
    assert np.abs(gradient).max() < 1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["L-BFGS-B", "CG"])
def test_scipy_minimises_it_as_it_stands(method, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    Y = X @ [[1.0], [-2.0], [0.5], [0.0]] + 3
    net = mlp.MLP([4, 1], output="identity", dtype=dtype, seed=0)
    kept = net.theta.copy()
    result = scipy.optimize.minimize(Objective(net, X, Y), net.theta, jac=True, method=method)
    np.testing.assert_allclose(result.x, [1, -2, 0.5, 0, 3], atol=1e-3 if dtype == "float32" else 1e-4)
    np.testing.assert_array_equal(net.theta, kept)


# Batches


@pytest.mark.parametrize("n", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chunks_add_up_to_the_whole(n, weight_decay, dtype):
    net, _, _, objective = problem(n, dtype, weight_decay=weight_decay)
    _, _, _, plain = problem(n, "float64")
    # the mean over n examples is the mean of means over batches of 100, by their sizes; the penalty comes once
    theta = net.theta.astype(float)
    pieces = [np.arange(start, min(start + 100, n)) for start in range(0, n, 100)]
    cost, gradient = 0.0, np.zeros(theta.size)
    for rows in pieces:
        each = plain(theta, rows)
        cost, gradient = cost + each[0] * len(rows) / n, gradient + each[1] * len(rows) / n
    for (W, _), (dW, _) in zip(unpack(net, theta), unpack(net, gradient), strict=True):
        cost += 0.5 * weight_decay * np.sum(W**2)
        dW += weight_decay * W
    for rows in (None, slice(None), np.arange(n)):
        ours = objective(net.theta, rows)
        assert ours[0] == pytest.approx(cost, rel=20 * float(np.finfo(dtype).eps))
        assert_close(ours[1], gradient, dtype)
    shuffled = np.random.default_rng(0).permutation(n)
    assert_close(objective(net.theta, shuffled)[1], gradient, dtype)
    assert objective.evaluate(net.theta).cost == pytest.approx(cost, rel=20 * float(np.finfo(dtype).eps))
    assert_close(objective.input_gradient(net.theta, shuffled), objective.input_gradient(net.theta)[shuffled], dtype)


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([4], [4]),
        ([3, 3, 1], [3, 3, 1]),
        ([10, 0, 5], [10, 0, 5]),
        (np.array([2, 7, 2], np.uint8), [2, 7, 2]),
        (np.array([2, 7, 2], np.int32), [2, 7, 2]),
        (range(1, 9, 3), [1, 4, 7]),
        (slice(3, 6), [3, 4, 5]),
        (slice(None, None, -5), [10, 5, 0]),
        (slice(-2, 100), [9, 10]),
    ],
)
@pytest.mark.parametrize("targets", ["labels", "numbers", "input"])
@pytest.mark.parametrize("pixels", [False, True])
def test_rows_are_those_examples_as_often_as_they_are_named(rows, chosen, targets, pixels):
    rng = np.random.default_rng(6)
    X = rng.integers(0, 256, (11, 3), dtype=np.uint8) if pixels else rng.standard_normal((11, 3))
    y = {"labels": rng.integers(0, 3, 11), "numbers": rng.standard_normal((11, 3)), "input": None}[targets]
    net = mlp.MLP([3, 4, 3], hidden="tanh", output="identity", dtype="float64", seed=6)
    objective = Objective(net, X, y, weight_decay=0.1)
    for theta in (net.theta, -net.theta):
        alone = Objective(net, X[chosen], None if y is None else y[chosen], weight_decay=0.1)
        cost, _ = alone(theta)
        # by one and one: each alone, and their mean
        singly = [objective(theta, [row]) for row in chosen]
        assert cost == pytest.approx(np.mean([each[0] for each in singly]), rel=1e-13)
        for ours in (objective(theta, rows), alone(theta)):
            assert ours[0] == pytest.approx(cost, rel=1e-13)
            assert_close(ours[1], np.mean([each[1] for each in singly], axis=0))


def test_batches_of_changing_sizes_don_t_disturb_each_other():
    net, X, y, objective = problem(n=40)
    for n in (1, 7, 3, 40, 2, 7, 1):
        rows = np.arange(n)
        cost, gradient = objective(net.theta, rows)
        fresh = Objective(net, X, y)(net.theta, rows)
        assert cost == fresh[0]
        np.testing.assert_array_equal(gradient, fresh[1])


# A function of θ alone


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [None, [0, 2, 2]])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_is_pure(dtype, rows, weight_decay):
    net, X, y, objective = problem(dtype=dtype, weight_decay=weight_decay)
    theta = np.random.default_rng(1).standard_normal(net.theta.size).astype(dtype)
    kept = net.theta.copy(), theta.copy(), X.copy(), y.copy()
    first = objective(theta, rows)
    gradient = first[1].copy()
    objective(2 * theta, rows)
    objective.evaluate(-theta)
    objective.input_gradient(3 * theta)
    second = objective(theta, rows)
    assert second[0] == first[0]  # the same bits
    np.testing.assert_array_equal(second[1], gradient)
    np.testing.assert_array_equal(first[1], gradient)  # what was returned stays as it was
    assert not np.shares_memory(first[1], second[1])
    second[1][:] = 0
    np.testing.assert_array_equal(objective(theta, rows)[1], gradient)
    for now, before in zip((net.theta, theta, X, y), kept, strict=True):
        np.testing.assert_array_equal(now, before)


def test_it_follows_a_vector_that_is_changed_in_place():
    net, _, _, objective = problem()
    theta = net.theta.copy()
    before = objective(theta)[0]
    theta *= 2
    after = objective(theta)[0]
    assert after != before
    assert after == objective(2 * net.theta)[0]


def test_the_network_may_be_changed_without_changing_the_function():
    net, _, _, objective = problem()
    theta = net.theta.copy()
    before = objective(theta)
    net.theta[:] = 0
    after = objective(theta)
    assert after[0] == before[0]
    np.testing.assert_array_equal(after[1], before[1])


@pytest.mark.parametrize("given", ["float32", "float64", "int64", "strided", "list"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_theta_of_any_real_dtype_is_taken_as_the_networks(given, dtype):
    net, _, _, objective = problem(dtype=dtype, weight_decay=0.1)
    numbers = np.random.default_rng(1).integers(-3, 4, net.theta.size)  # exact in every dtype
    expected = objective(numbers.astype(dtype))
    if given == "strided":
        theta = np.repeat(numbers.astype(dtype), 2)[::2]
    else:
        theta = numbers.tolist() if given == "list" else numbers.astype(given)
    cost, gradient = objective(theta)
    assert isinstance(cost, float)
    assert cost == expected[0]
    assert gradient.dtype == np.float64
    assert gradient.shape == net.theta.shape
    np.testing.assert_array_equal(gradient, expected[1])
    assert objective.evaluate(theta).cost == pytest.approx(cost, rel=1e-6)
    np.testing.assert_array_equal(objective.input_gradient(theta), objective.input_gradient(numbers.astype(dtype)))
    assert objective.penalty(theta) == objective.penalty(numbers.astype(dtype))


def test_the_arithmetic_is_the_networks_whatever_theta_is():
    # 1 + 2^-30 is 1 in float32
    net = mlp.MLP([1, 1], output="identity", dtype="float32", seed=0)
    objective = Objective(net, [[1.0]], [0.0])
    theta = np.array([1 + 2.0**-30, 0.0])
    assert objective(theta)[0] == 0.5
    assert objective.astype("float64")(theta)[0] == 0.5 * (1 + 2.0**-30) ** 2
    np.testing.assert_array_equal(theta, [1 + 2.0**-30, 0])


def test_float32_agrees_with_float64_to_its_precision():
    net, _, _, objective = problem(n=50, dtype="float32", weight_decay=0.1)
    wide = objective.astype("float64")
    cost, gradient = wide(net.theta)
    assert objective(net.theta)[0] == pytest.approx(cost, rel=1e-6)
    assert_close(objective(net.theta)[1], gradient, "float32")


@pytest.mark.parametrize("y", ["labels", "numbers", "input"])
def test_astype_is_the_same_objective(y):
    rng = np.random.default_rng(2)
    X = rng.integers(0, 256, (6, 3), dtype=np.uint8)
    y = {"labels": rng.integers(0, 3, 6), "numbers": rng.standard_normal((6, 3)).astype("float32"), "input": None}[y]
    net = mlp.MLP([3, 4, 3], output="identity", dtype="float32", seed=2)
    objective = Objective(net, X, y, cost="quadratic", weight_decay=0.2)
    wide = objective.astype("float64")
    assert wide.net.dtype == np.float64
    assert wide.weight_decay == 0.2
    assert wide(net.theta)[0] == pytest.approx(objective(net.theta)[0], rel=1e-6)
    assert objective.net is net


def test_what_overflows_shows_in_the_numbers_without_a_warning():
    net, _, _, objective = problem(dtype="float32")
    for theta in (np.full(net.theta.size, 1e38), np.full(net.theta.size, 1e300), np.full(net.theta.size, np.nan)):
        cost, _ = objective(theta)
        assert not math.isfinite(cost)
        assert not math.isfinite(objective.evaluate(theta).cost)


def test_len_and_names():
    net, _, _, objective = problem(n=11)
    assert len(objective) == 11
    assert objective.name_of(0) == "layers[0].W[0, 0]"
    assert objective.name_of(net.theta.size - 1) == "layers[1].b[4]"


# The step that stores no gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("n", [1, 11, CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize("rows", ["all", "some"])
def test_accumulate_in_place_is_a_step_of_descent(dtype, weight_decay, n, rows):
    net, _, _, objective = problem(n, dtype, weight_decay=weight_decay)
    rows = None if rows == "all" else np.random.default_rng(0).integers(0, n, n)
    cost, gradient = objective(net.theta, rows)
    theta = net.theta.copy()
    returned = objective.accumulate(theta, rows, theta, -0.5, 1.0)
    assert_close(theta, net.theta - 0.5 * gradient, dtype)
    assert not np.array_equal(theta, net.theta)
    assert returned == pytest.approx(cost - objective.penalty(net.theta), rel=20 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("n", [1, 11, 2 * CHUNK + 5])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (-0.5, 0.9), (1.0, 1.0), (2.0, -0.5)])
def test_accumulate_into_a_velocity(dtype, weight_decay, n, alpha, beta):
    net, _, _, objective = problem(n, dtype, weight_decay=weight_decay)
    cost, gradient = objective(net.theta)
    theta, before = net.theta.copy(), np.random.default_rng(4).standard_normal(net.theta.size).astype(dtype)
    velocity = before.copy()
    returned = objective.accumulate(theta, None, velocity, alpha, beta)
    assert_close(velocity, beta * before.astype(float) + alpha * gradient, dtype)
    np.testing.assert_array_equal(theta, net.theta)
    assert returned == pytest.approx(cost - objective.penalty(net.theta), rel=20 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 11, 2 * CHUNK + 5])
def test_with_beta_0_the_vector_need_not_hold_numbers_yet(dtype, n):
    net, _, _, objective = problem(n, dtype, weight_decay=0.1)
    out = np.full(net.theta.size, np.nan, dtype)
    objective.accumulate(net.theta, None, out, 1.0, 0.0)
    assert_close(out, objective(net.theta)[1], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accumulate_on_pixels_and_their_reconstruction(dtype):
    X = np.random.default_rng(0).integers(0, 256, (11, 4), dtype=np.uint8)
    net = mlp.MLP([4, 3, 4], hidden="relu", output="logistic", dtype=dtype, seed=0)
    objective = Objective(net, X, weight_decay=0.1)
    rows = np.array([5, 0, 5])
    theta, gradient = net.theta.copy(), objective(net.theta, rows)[1]
    objective.accumulate(theta, rows, theta, -0.5, 1.0)
    assert_close(theta, net.theta - 0.5 * gradient, dtype)


def test_several_steps_in_place_follow_the_gradient_at_each():
    net, _, _, objective = problem(n=30, weight_decay=0.01)
    theta, slow = net.theta.copy(), net.theta.copy()
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.permutation(30)[:7]
        objective.accumulate(theta, rows, theta, -0.3, 1.0)
        slow -= 0.3 * objective(slow, rows)[1]
    np.testing.assert_allclose(theta, slow, rtol=1e-11, atol=1e-13)
    assert np.abs(theta - net.theta).max() > 0.1


# Sparsity


def test_sparsity_by_hand():
    # One hidden unit, z = log 3 for one example and −log 3 for the other: a = 3/4 and 1/4, ρ̂ = 1/2; ρ = 1/5, β = 2.
    # The output is 0 and its target 0. KL = ⅕ log ⅖ + ⅘ log ⁸⁄₅; ∂/∂ρ̂ = −⅖ + ⁸⁄₅ = 6/5; σ′ = 3/16 for both,
    # so that δ¹ = 2 · 6/5 · 3/16 = 9/20, ∂C/∂w = ½ · 9/20 (log 3 − log 3) = 0 and ∂C/∂b = 9/20.
    net = mlp.MLP([1, 1, 1], hidden="logistic", output="identity", dtype="float64", seed=0)
    theta = np.array([1.0, 0, 0, 0])
    X = np.log([[3], [1 / 3]])
    objective = Objective(net, X, [0, 0], sparsity=Sparsity(rho=0.2, beta=2.0))
    divergence = 0.2 * math.log(0.4) + 0.8 * math.log(1.6)
    cost, gradient = objective(theta)
    assert cost == pytest.approx(2 * divergence, rel=1e-14)
    assert divergence == pytest.approx(scipy.stats.entropy([0.2, 0.8], [0.5, 0.5]), rel=1e-12)
    np.testing.assert_allclose(gradient, [0, 9 / 20, 0, 0], rtol=1e-14, atol=1e-15)
    assert objective.evaluate(theta).cost == cost
    # of the first example alone ρ̂ is 3/4
    expected = 2 * scipy.stats.entropy([0.2, 0.8], [0.75, 0.25])
    assert objective(theta, [0])[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("rows", [None, [3, 0, 3], "many"])
def test_sparsity_passes_the_gradient_check(layer, rows):
    rng = np.random.default_rng(0)
    n = CHUNK + 9 if rows == "many" else 6
    net = mlp.MLP([3, 4, 2, 3], hidden="logistic", output="logistic", dtype="float64", seed=0)
    net.theta[:] = rng.standard_normal(net.theta.size)
    sparsity = Sparsity(rho=0.1, beta=0.7, layer=layer)
    objective = Objective(net, rng.uniform(0, 1, (n, 3)), weight_decay=0.05, sparsity=sparsity)
    chosen = None if rows == "many" else rows
    check = mlp.check_gradient(lambda theta: objective(theta, chosen), net.theta)
    assert check.worst_error <= 1e-7, str(check)
    plain = Objective(net, objective.X, weight_decay=0.05)
    assert objective(net.theta, chosen)[0] > plain(net.theta, chosen)[0] + 0.01
    theta, gradient = net.theta.copy(), objective(net.theta, chosen)[1]
    objective.accumulate(theta, None if chosen is None else np.array(chosen), theta, -0.5, 1.0)
    assert_close(theta, net.theta - 0.5 * gradient)
    assert objective.astype("float32").sparsity == sparsity


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [-1e4, 1e4])
def test_sparsity_of_units_that_are_always_on_or_off_is_finite(dtype, bias):
    net = mlp.MLP([2, 3, 1], hidden="logistic", output="identity", dtype=dtype, seed=0)
    net.layers[0].b[:] = bias
    cost, gradient = Objective(net, np.ones((4, 2)), np.ones(4), sparsity=Sparsity())(net.theta)
    assert math.isfinite(cost)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("sparsity", "error", "message"),
    [
        ({"rho": 0.0}, ValueError, r"^rho: received 0\.0 .*above 0 and below 1"),
        ({"rho": 1.0}, ValueError, r"^rho: received 1\.0 .*above 0 and below 1"),
        ({"beta": -1.0}, ValueError, r"^beta: received -1\.0 .*at least 0"),
        ({"layer": 0.5}, TypeError, r"^layer: received 0\.5"),
        ({"layer": 1}, ValueError, r"^sparsity\.layer: received 1 .*at most 0"),
        ({"layer": 0}, ValueError, r"^sparsity: layer 0 is 'relu', but .*'logistic'"),
    ],
)
def test_bad_sparsity_is_named(sparsity, error, message):
    net = mlp.MLP([3, 2, 3], hidden="relu", output="identity", seed=0)
    with pytest.raises(error, match=message):
        Objective(net, np.ones((4, 3)), sparsity=Sparsity(**sparsity))


def test_what_is_no_sparsity_is_named():
    net = mlp.MLP([3, 2, 3], hidden="logistic", output="identity", seed=0)
    with pytest.raises(TypeError, match=r"^sparsity: received 0\.05 \(float\), but it must be None or a Sparsity"):
        Objective(net, np.ones((4, 3)), sparsity=0.05)


# Inputs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [None, [3, 0, 3]])
@pytest.mark.parametrize("autoencoder", [False, True])
def test_8_bit_input_is_pixels(dtype, rows, autoencoder):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 4), dtype=np.uint8)
    net = mlp.MLP([4, 3, 4], output="logistic", dtype=dtype, seed=0)
    y = None if autoencoder else rng.integers(0, 2, (9, 4))
    ours, scaled = Objective(net, pixels, y), Objective(net, pixels / 255, y)
    assert ours.X.dtype == np.uint8
    precision = 50 * float(np.finfo(dtype).eps)
    cost, gradient = scaled(net.theta, rows)
    assert ours(net.theta, rows)[0] == pytest.approx(cost, rel=precision)
    assert_close(ours(net.theta, rows)[1], gradient, dtype)
    assert ours.evaluate(net.theta).cost == pytest.approx(scaled.evaluate(net.theta).cost, rel=precision)
    assert_close(ours.input_gradient(net.theta, rows), scaled.input_gradient(net.theta, rows), dtype)


@pytest.mark.parametrize("kind", [np.int16, np.int64, np.float16, np.float32, np.float64, bool])
def test_input_of_other_kinds_is_numbers(kind):
    X = np.array([[1, 0], [0, 1], [1, 1]])
    net = mlp.MLP([2, 3, 2], dtype="float32", seed=0)
    y = [0, 1, 1]
    expected = Objective(net, X.astype("float32"), y)
    ours = Objective(net, X.astype(kind), y)
    for rows in (None, [2, 0]):
        assert ours(net.theta, rows)[0] == expected(net.theta, rows)[0]
        np.testing.assert_array_equal(ours(net.theta, rows)[1], expected(net.theta, rows)[1])


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_a_memory_mapped_file_is_input(tmp_path, kind):
    X = np.random.default_rng(0).integers(0, 256, (CHUNK + 5, 4)).astype(kind)
    y = np.arange(CHUNK + 5) % 3
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    net = mlp.MLP([4, 3], seed=0)
    ours, in_memory = Objective(net, mapped, y), Objective(net, X, y)
    assert np.shares_memory(ours.X, mapped)  # not a copy
    for rows in (None, [CHUNK + 4, 0, 7], slice(5, 9)):
        assert ours(net.theta, rows)[0] == in_memory(net.theta, rows)[0]
        np.testing.assert_array_equal(ours(net.theta, rows)[1], in_memory(net.theta, rows)[1])
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)


def test_the_input_as_its_own_target_by_either_spelling():
    X = np.random.default_rng(0).integers(0, 256, (9, 4), dtype=np.uint8)
    net = mlp.MLP([4, 3, 4], output="logistic", dtype="float64", seed=0)
    cost, gradient = Objective(net, X)(net.theta)
    for other in (Objective(net, X, X), Objective(net, X, X / 255)):
        assert other(net.theta)[0] == pytest.approx(cost, rel=1e-13)
        assert_close(other(net.theta)[1], gradient)


def test_the_gradient_with_respect_to_the_input_is_the_costs_slope():
    rng = np.random.default_rng(9)
    net = mlp.MLP([3, 4, 4, 2], hidden=["softplus", "tanh"], dtype="float64", seed=9)
    X, y = rng.standard_normal((5, 3)), [0, 1, 1, 0, 1]
    ours = Objective(net, X, y).input_gradient(net.theta)
    slope = scipy.optimize.approx_fprime(X.ravel(), lambda x: Objective(net, x.reshape(5, 3), y)(net.theta)[0], 1e-7)
    np.testing.assert_allclose(ours.ravel(), slope, rtol=0, atol=1e-6)
    assert np.abs(slope).max() > 0.01
    # of rows, it is the mean over those rows
    np.testing.assert_allclose(Objective(net, X, y).input_gradient(net.theta, [4, 2])[0], ours[4] * 5 / 2, rtol=1e-12)


@pytest.mark.parametrize("rows", [None, "some"])
def test_errors_of_any_layer_are_what_the_gradients_are_made_of(rows):
    # Their means are the biases' gradients, and one example's are its gradients
    net, _, _, objective = problem(n=CHUNK + 9)
    chosen = None if rows is None else np.array([CHUNK + 2, 5, 5])
    errors = objective.errors(net.theta, chosen)
    n = CHUNK + 9 if chosen is None else 3
    assert [error.shape for error in errors] == [(n, 3), (n, 5)]
    for error, (_, db) in zip(errors, unpack(net, objective(net.theta, chosen)[1]), strict=True):
        assert_close(error.mean(axis=0), db)
    row = 7 if chosen is None else 1
    for error, (_, db) in zip(errors, unpack(net, objective(net.theta, [7 if chosen is None else 5])[1]), strict=True):
        assert_close(error[row], db)


# Evaluation


def outputs_as_given(sizes, output):
    """A network whose weighted input is its input."""
    net = mlp.MLP([sizes, sizes], output=output, dtype="float64", seed=0)
    net.theta[:] = np.append(np.eye(sizes), np.zeros(sizes))
    return net


def test_evaluate_labels():
    # a = (3/4, 1/4), (1/4, 3/4), (1/2, 1/2), (1/4, 3/4) against 0, 1, 1, 0: right, right, the first of equals, wrong
    X = np.log([[3, 1], [1, 3], [1, 1], [1, 3]])
    net = outputs_as_given(2, "softmax")
    cost, accuracy = Objective(net, X, [0, 1, 1, 0]).evaluate(net.theta)
    assert accuracy == 0.5
    assert cost == pytest.approx(math.log(4 / 3 * 4 / 3 * 2 * 4) / 4, rel=1e-14)
    # class probabilities as targets: the largest one is the label
    soft = Objective(net, X, [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    assert soft.evaluate(net.theta).accuracy == 0.75


def test_evaluate_binary():
    # a = 3/4, 1/4, 3/4, 1/4, 1/2 against 1, 0, 0, 1, 0: right, right, wrong, wrong, right (½ is not above ½)
    X = np.log([[3], [1 / 3], [3], [1 / 3], [1]])
    net = outputs_as_given(1, "logistic")
    for y in ([1, 0, 0, 1, 0], [[1.0], [0.0], [0.0], [1.0], [0.0]], [True, False, False, True, False]):
        cost, accuracy = Objective(net, X, y).evaluate(net.theta)
        assert accuracy == pytest.approx(0.6, rel=1e-15)
        assert cost == pytest.approx(math.log(4 / 3 * 4 / 3 * 4 * 4 * 2) / 5, rel=1e-14)


def test_evaluate_several_labels_at_once():
    # a > ½ is (1, 0), (1, 1), (0, 0); of (1, 0), (0, 0), (0, 1) that is 2 + 0 + 1 right of 6
    X = np.log([[3, 1 / 3], [3, 3], [1 / 3, 1 / 3]])
    net = outputs_as_given(2, "logistic")
    cost, accuracy = Objective(net, X, [[1, 0], [0, 0], [0, 1]]).evaluate(net.theta)
    assert accuracy == pytest.approx(0.5, rel=1e-15)
    assert cost == pytest.approx(math.log((4 / 3) ** 3 * 4**3) / 3, rel=1e-14)
    # one label of several: the largest output
    assert Objective(net, X, [0, 1, 1]).evaluate(net.theta).accuracy == pytest.approx(1 / 3, rel=1e-15)


def test_evaluate_regression_and_autoencoders_have_no_accuracy():
    X = np.array([[1.0, 2.0], [3.0, 5.0]])
    net = outputs_as_given(2, "identity")
    assert Objective(net, X, [[1, 1], [3, 3]]).evaluate(net.theta) == (5 / 4, None)
    assert Objective(net, X).evaluate(net.theta) == (0, None)
    net = outputs_as_given(2, "logistic")
    assert Objective(net, X / 10).evaluate(net.theta).accuracy is None


def test_evaluate_includes_the_penalty_and_goes_through_all_chunks():
    # λ/2 · 2 with the unit matrix for weights
    X, y = np.zeros((2 * CHUNK + 5, 2)), np.zeros(2 * CHUNK + 5, int)
    y[-3:] = 1  # equal outputs: label 0
    net = outputs_as_given(2, "softmax")
    cost, accuracy = Objective(net, X, y, weight_decay=0.5).evaluate(net.theta)
    assert cost == pytest.approx(math.log(2) + 0.5, rel=1e-14)
    assert accuracy == pytest.approx((2 * CHUNK + 2) / (2 * CHUNK + 5), rel=1e-14)


def test_evaluate_leaves_everything_as_it_was():
    net, _, _, objective = problem(weight_decay=0.1)
    theta = net.theta + 1
    kept = net.theta.copy(), theta.copy()
    first = objective.evaluate(theta)
    assert objective.evaluate(theta) == first
    assert first.cost == objective(theta)[0]
    np.testing.assert_array_equal(net.theta, kept[0])
    np.testing.assert_array_equal(theta, kept[1])


# Bad input

NET = {"sizes": [3, 2], "output": "softmax"}
X = np.ones((4, 3))


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (np.ones((4, 5)), ValueError, r"^X: received 5 features, shape \(4, 5\), but the network takes 3"),
        (np.ones(4), ValueError, r"^X: received shape \(4,\), but it must be \(examples, 3\)"),
        (np.ones((0, 3)), ValueError, r"^X: received no examples, shape \(0, 3\), but at least one is needed"),
        (np.full((4, 3), np.nan), ValueError, r"^X: received nan at example 0, feature 0, but every value must be finite"),
        (np.diag([1, np.inf, 1, 1])[:, :3], ValueError, r"^X: received inf at example 1, feature 1"),
        (np.full((4, 3), "1"), TypeError, r"^X: received dtype <U1, but it must be real numbers"),
        (np.full((4, 3), 1j), TypeError, r"^X: received dtype complex128"),
    ],
)
def test_bad_inputs_are_named(inputs, error, message):
    with pytest.raises(error, match=message):
        Objective(mlp.MLP([3, 2], seed=0), inputs, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0, 1, 2, 0], ValueError, r"^y: received label 2 at example 2, but labels must be from 0 to 1"),
        ([0, 1, 0, -1], ValueError, r"^y: received label -1 at example 3, but labels must be from 0 to 1"),
        ([0.0, 1.0, 0.0, 1.0], TypeError, r"^y: received dtype float64, but class labels must be integers from 0 to 1"),
        ([0, 1, math.nan, 1], TypeError, r"^y: received dtype float64, but class labels must be integers"),
        ([True, False, True, False], TypeError, r"^y: received dtype bool, but class labels must be integers"),
        (["a", "b", "a", "b"], TypeError, r"^y: received dtype <U1, but it must be class labels \(4,\) or numbers \(4, 2\)"),
        ([0, 1, 0], ValueError, r"^y: received shape \(3,\) for 4 examples, but it must be class labels \(4,\) or numbers"),
        ([[0], [1], [0], [1]], ValueError, r"^y: received shape \(4, 1\) for 4 examples"),
        (np.ones((4, 3)), ValueError, r"^y: received shape \(4, 3\) for 4 examples, but .* numbers \(4, 2\)"),
        (np.ones((3, 2)) / 2, ValueError, r"^y: received shape \(3, 2\) for 4 examples"),
        (1, ValueError, r"^y: received shape \(\) for 4 examples"),
        ([], ValueError, r"^y: received shape \(0,\) for 4 examples"),
        (np.full((4, 2), np.nan), ValueError, r"^y: received nan, but every target must be finite"),
        (np.full((4, 2), np.inf), ValueError, r"^y: received inf, but every target must be finite"),
        ([[0.5, 0.5]] * 3 + [[1.5, -0.5]], ValueError, r"^y: received -0\.5, but targets of softmax_cross_entropy .* 0 to 1"),
        ([[0.5, 0.5]] * 3 + [[0.5, 0.6]], ValueError, r"^y: received a row that sums to 1\.1, but .* must sum to 1"),
        (np.ones((4, 2), complex), TypeError, r"^y: received dtype complex128"),
        (
            [[0.5, 0.5], [1.0]] * 2,
            ValueError,
            r"^y: received \[\[0\.5, 0\.5\], \[1\.0\], .*class labels \(4,\) or numbers \(4, 2\)",
        ),
        (None, ValueError, r"^y: received none, so that the input is its own target, but .* 3 inputs and 2 outputs"),
    ],
)
def test_bad_targets_are_named(y, error, message):
    with pytest.raises(error, match=message):
        Objective(mlp.MLP([3, 2], seed=0), X, y)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0, 1, 2, 1], ValueError, r"^y: received 2, but targets of logistic_cross_entropy must be from 0 to 1"),
        ([0, 1, -0.25, 1], ValueError, r"^y: received -0\.25, but targets of logistic_cross_entropy must be from 0 to 1"),
        ([0, 1, math.nan, 1], ValueError, r"^y: received nan, but every target must be finite"),
        ([[0, 1]] * 4, ValueError, r"^y: received shape \(4, 2\) for 4 examples, but it must be numbers \(4,\) or \(4, 1\)"),
    ],
)
def test_bad_binary_targets_are_named(y, error, message):
    with pytest.raises(error, match=message):
        Objective(mlp.MLP([3, 1], output="logistic", seed=0), X, y)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (mlp.MLP([3, 2, 3], output="logistic", seed=0), r"^[Xy]\b.*: received 7.* from 0 to 1"),
        (mlp.MLP([3, 2, 3], output="softmax", seed=0), r"^[Xy]\b.*: received "),
    ],
)
def test_an_input_that_can_t_be_its_own_target_is_refused(net, message):
    with pytest.raises(ValueError, match=message):
        Objective(net, np.full((4, 3), 7.0))


@pytest.mark.parametrize(
    ("weight_decay", "error"),
    [(-1e-4, ValueError), (math.nan, ValueError), (math.inf, ValueError), ("1e-4", TypeError), (None, TypeError)],
)
def test_bad_weight_decay_is_named(weight_decay, error):
    with pytest.raises(error, match=r"^weight_decay: received .*, but it must be a finite number at least 0"):
        Objective(mlp.MLP([3, 2], seed=0), X, [0, 1, 0, 1], weight_decay=weight_decay)


@pytest.mark.parametrize("net", [None, [3, 2], mlp.MLP])
def test_what_is_no_network_is_named(net):
    with pytest.raises(TypeError, match=r"^net: received .*, but it must be an MLP"):
        Objective(net, X, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("theta", "error", "message"),
    [
        (np.zeros(7), ValueError, r"^theta: received shape \(7,\), but the network has 8 parameters: \(8,\)"),
        (np.zeros((8, 1)), ValueError, r"^theta: received shape \(8, 1\)"),
        (0.0, ValueError, r"^theta: received shape \(\)"),
        (np.zeros(8, complex), TypeError, r"^theta: received dtype complex128, but it must be real numbers"),
        (["0"] * 8, TypeError, r"^theta: received dtype <U1, but it must be real numbers"),
    ],
)
def test_bad_theta_is_named_by_all_that_take_it(theta, error, message):
    objective = Objective(mlp.MLP([3, 2], seed=0), X, [0, 1, 0, 1], weight_decay=0.1)
    for call in (objective, objective.evaluate, objective.input_gradient, objective.errors, objective.penalty):
        with pytest.raises(error, match=message):
            call(theta)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([0, 4], ValueError, r"^rows: received 4, but it must be from 0 to 3"),
        ([0, -1], ValueError, r"^rows: received -1, but it must be from 0 to 3"),
        ([], ValueError, r"^rows: received shape \(0,\).*a slice or one or more integer indices"),
        (slice(2, 2), ValueError, r"^rows: received shape \(0,\)"),
        (2, ValueError, r"^rows: received shape \(\)"),
        ([[0, 1]], ValueError, r"^rows: received shape \(1, 2\)"),
        ([0.0, 1.0], ValueError, r"^rows: received shape \(2,\) of float64"),
        ([True, False, True, False], ValueError, r"^rows: received shape \(4,\) of bool"),
    ],
)
def test_bad_rows_are_named(rows, error, message):
    objective = Objective(mlp.MLP([3, 2], seed=0), X, [0, 1, 0, 1])
    for call in (objective, objective.input_gradient, objective.errors):
        with pytest.raises(error, match=message):
            call(np.zeros(8), rows)
