"""`Objective`: the cost and gradient against scikit-learn; a function of θ alone; the step; evaluation; what it refuses."""

import math

import numpy as np
import pytest
import scipy.optimize
import sklearn.decomposition
import sklearn.linear_model
import sklearn.neural_network
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Objective


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
    assert_allclose(actual, expected, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(expected).max())


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
    assert_allclose(ours[1], gradient, rtol=0, atol=1e-14)


@pytest.mark.usefixtures("small_chunks")
def test_several_chunks_agree_with_scikit_learn():
    net, X, y, objective = problem(n=11, weight_decay=1e-3)
    model = sklearn.neural_network.MLPClassifier([3], "tanh", alpha=1e-3 * len(X), random_state=0)
    cost, gradient = scikit_learn_cost_and_gradient(model, net, X, y, classes=np.arange(5))
    ours = objective(net.theta)
    assert ours[0] == pytest.approx(cost, rel=1e-12)
    assert_allclose(ours[1], gradient, rtol=0, atol=1e-13)


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
    assert_allclose(result.x, [1, -2, 0.5, 0, 3], atol=1e-3 if dtype == "float32" else 1e-4)
    assert_array_equal(net.theta, kept)


# Many examples


def test_the_cost_is_the_mean_over_examples_and_the_penalty_is_not():
    # y = x with w = 1: residuals 1, 2, 3, so that C = (1 + 4 + 9)/6 + ½λ, ∂C/∂w = (1·1 + 2·2 + 3·3)/3 + λ, ∂C/∂b = 6/3
    net = mlp.MLP([1, 1], output="identity", dtype="float64", seed=0)
    objective = Objective(net, [[1], [2], [3]], [0, 0, 0], weight_decay=0.25)
    cost, gradient = objective([1.0, 0.0])
    assert cost == pytest.approx(14 / 6 + 0.125, rel=1e-15)
    assert_allclose(gradient, [14 / 3 + 0.25, 2], rtol=1e-15)
    cost, gradient = objective([1.0, 0.0], [1])
    assert cost == 2 + 0.125
    assert_array_equal(gradient, [4.25, 2])
    assert objective.penalty(np.array([2.0, 100.0])) == 0.5


@pytest.mark.parametrize("n", [3, 4, 5, 11])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("small_chunks")
def test_chunks_add_up_to_the_whole(n, weight_decay, dtype):
    net, X, y, objective = problem(n, dtype, weight_decay=weight_decay)
    # the mean of what each example has by itself; the penalty comes once
    theta = net.theta.astype(float)
    plain = Objective(net.astype("float64"), X, y)
    cost, gradient = (sum(parts) / n for parts in zip(*(plain(theta, [row]) for row in range(n)), strict=True))
    for layer, into in zip(net.layers, net.astype("float64").at(gradient).layers, strict=True):
        cost += 0.5 * weight_decay * np.sum(layer.W.astype(float) ** 2)
        into.W[...] += weight_decay * layer.W
    shuffled = np.random.default_rng(0).permutation(n)
    for rows in (None, slice(None), np.arange(n), shuffled):
        ours = objective(net.theta, rows)
        assert ours[0] == pytest.approx(cost, rel=20 * float(np.finfo(dtype).eps))
        assert_close(ours[1], gradient, dtype)
    assert objective.evaluate(net.theta).cost == pytest.approx(cost, rel=20 * float(np.finfo(dtype).eps))
    assert_close(objective.input_gradient(net.theta, shuffled), objective.input_gradient(net.theta)[shuffled], dtype)


# A function of θ alone


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
    assert_array_equal(after[1], before[1])


@pytest.mark.parametrize("given", ["float32", "float64", ">f4", "int64", "strided", "list"])
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
    assert_array_equal(gradient, expected[1])
    assert objective.evaluate(theta).cost == pytest.approx(cost, rel=1e-6)
    assert_array_equal(objective.input_gradient(theta), objective.input_gradient(numbers.astype(dtype)))
    assert objective.penalty(theta) == objective.penalty(numbers.astype(dtype))


def test_the_arithmetic_is_the_networks_whatever_theta_is():
    # 1 + 2^-30 is 1 in float32
    net = mlp.MLP([1, 1], output="identity", dtype="float32", seed=0)
    objective = Objective(net, [[1.0]], [0.0])
    theta = np.array([1 + 2.0**-30, 0.0])
    assert objective(theta)[0] == 0.5
    assert objective.astype("float64")(theta)[0] == 0.5 * (1 + 2.0**-30) ** 2
    assert_array_equal(theta, [1 + 2.0**-30, 0])


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


def test_fingerprints_are_of_what_decides_the_cost():
    def distortion():
        return lambda X, _rng: X + 1  # another function, at another address, each time

    net, X, y, _ = problem()

    def digest(X=X, y=y, net=net, noise=None, **settings):
        objective = Objective(net, X, y, **settings)
        return (objective if noise is None else objective.with_noise(noise)).fingerprint()

    assert digest() == digest() == Objective(net, X.copy(), y.copy()).fingerprint()
    assert digest(distort=distortion()) == digest(distort=distortion())
    assert digest(net=net.at(net.theta + 1)) == digest()  # where it starts is not what is minimised
    others = [
        digest(weight_decay=0.1),
        digest(cost="quadratic"),
        digest(distort=distortion()),
        digest(dropout=(0.5, 0)),
        digest(dropout=(0.5, 0), noise=1),
        digest(dropout=(0.5, 0), noise=2),
        digest(max_norm=1.0),
        digest(X=X + 1),
        digest(y=(y + 1) % 5),
        digest(net=net.astype("float32")),
        digest(net=mlp.MLP([4, 3, 5], hidden="relu", dtype="float64")),
    ]
    assert len({digest(), *others}) == len(others) + 1


# The step that stores no gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("n", [1, 4, 11])
@pytest.mark.parametrize(("alpha", "beta"), [(-0.5, 1.0), (1.0, 0.0), (-0.5, 0.9), (2.0, -0.5)])
@pytest.mark.parametrize("rows", ["all", "some"])
@pytest.mark.usefixtures("small_chunks")
def test_accumulate(dtype, weight_decay, n, alpha, beta, rows):
    net, _, _, objective = problem(n, dtype, weight_decay=weight_decay)
    rows = None if rows == "all" else np.random.default_rng(0).integers(0, n, n)
    cost, gradient = objective(net.theta, rows)
    theta, velocity = net.theta.copy(), np.random.default_rng(4).standard_normal(net.theta.size).astype(dtype)
    for out in (velocity, theta):  # θ itself last: with β = 1 and α = −η that is a step of descent
        before = out.astype(float)
        returned = objective.accumulate(theta, rows, out, alpha, beta, None)
        assert_close(out, beta * before + alpha * gradient, dtype)
        assert returned == pytest.approx(cost - objective.penalty(net.theta), rel=20 * float(np.finfo(dtype).eps))
        assert (out is theta) or np.array_equal(theta, net.theta)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 4, 11])
@pytest.mark.usefixtures("small_chunks")
def test_with_beta_0_the_vector_need_not_hold_numbers_yet(dtype, n):
    net, _, _, objective = problem(n, dtype, weight_decay=0.1)
    out = np.full(net.theta.size, np.nan, dtype)
    objective.accumulate(net.theta, None, out, 1.0, 0.0, None)
    assert_close(out, objective(net.theta)[1], dtype)


def test_several_steps_in_place_follow_the_gradient_at_each():
    net, _, _, objective = problem(n=30, weight_decay=0.01)
    theta, slow = net.theta.copy(), net.theta.copy()
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.permutation(30)[:7]
        objective.accumulate(theta, rows, theta, -0.3, 1.0, None)
        slow -= 0.3 * objective(slow, rows)[1]
    assert_allclose(theta, slow, rtol=1e-11, atol=1e-13)
    assert np.abs(theta - net.theta).max() > 0.1


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


@pytest.mark.usefixtures("small_chunks")
def test_evaluate_includes_the_penalty_and_goes_through_all_chunks():
    # λ/2 · 2 with the unit matrix for weights
    X, y = np.zeros((11, 2)), np.zeros(11, int)
    y[-3:] = 1  # equal outputs: label 0
    net = outputs_as_given(2, "softmax")
    cost, accuracy = Objective(net, X, y, weight_decay=0.5).evaluate(net.theta)
    assert cost == pytest.approx(math.log(2) + 0.5, rel=1e-14)
    assert accuracy == pytest.approx((8) / (11), rel=1e-14)


# Bad input


NET, X = mlp.MLP([3, 2], seed=0), np.ones((4, 3))


@pytest.mark.parametrize("net", [[3, 2], mlp.MLP])
def test_what_is_no_network_is_named(net):
    with pytest.raises(TypeError, match=r"^net: received .*, but it must be an MLP"):
        Objective(net, X, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("theta", "error", "message"),
    [
        (
            np.zeros(7),
            ValueError,
            r"^theta: received shape \(7,\), but it must be a vector the network has 8 parameters: \(8,\)",
        ),
        (np.zeros((8, 1)), ValueError, r"^theta: received shape \(8, 1\)"),
        (np.zeros(8, complex), TypeError, r"^theta: received dtype complex128, but it must be a vector \(8,\): real numbers"),
        (10**400, TypeError, r"^theta: received dtype object"),
    ],
)
def test_bad_theta_is_named_by_all_that_take_it(theta, error, message):
    objective = Objective(NET, X, [0, 1, 0, 1], weight_decay=0.1)
    for call in (objective, objective.evaluate, objective.input_gradient, objective.errors, objective.penalty):
        with pytest.raises(error, match=message):
            call(theta)


@pytest.mark.parametrize("distort", [3, "elastic", mlp.Elastic()], ids=repr)
def test_what_is_no_distortion_is_named(distort):
    with pytest.raises(TypeError, match=r"^distort: received .*, but it must be callable"):
        Objective(NET, X, [0, 1, 0, 1], distort=distort)
