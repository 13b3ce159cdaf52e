"""Numbers at the edge: saturated and overflowing units, constant features, one example, one class, subnormal and huge values.

The answer is right, or there is a clear error or a run that says it diverged: never a silent NaN, and never a warning from
numpy (warnings are errors here). Expected values are limits taken by hand.
"""

import csv
import math
import shlex

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import train

for_each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
MINIMISERS = {
    "sgd": (mlp.sgd, {"epochs": 3, "batch_size": 2}),
    "momentum": (mlp.sgd, {"epochs": 3, "batch_size": 2, "momentum": 0.9}),
    "nesterov": (mlp.sgd, {"epochs": 3, "batch_size": 2, "momentum": 0.9, "nesterov": True}),
    "full batch": (mlp.sgd, {"epochs": 3, "batch_size": None}),
    "adam": (mlp.adam, {"epochs": 3, "batch_size": 2}),
    "lbfgs": (mlp.lbfgs, {"maxiter": 3}),
}
for_each_minimiser = pytest.mark.parametrize("name", MINIMISERS)


def linear(weights, biases, output, dtype):
    """A network without hidden layers with those weights."""
    W = np.array(weights, dtype)
    net = mlp.MLP(W.shape[::-1], output=output, dtype=dtype, seed=0)
    net.layers[0].W[...], net.layers[0].b[...] = W, biases
    return net


# Extreme logits


@for_each_dtype
@pytest.mark.parametrize("s", [1e3, 1e4, 1e19, 1e38])
def test_softmax_of_extreme_logits(s, dtype):
    # z = (s, −s): a = (1, 0). −log a₀ = log(1 + e^−2s) = 0, −log a₁ = 2s; ∂C/∂z = a − y
    net = linear([[s], [-s]], 0, "softmax", dtype)
    assert_array_equal(net.forward([[1.0]]), [[1, 0]])
    cost, gradient = mlp.Objective(net, [[1.0]], [0])(net.theta)
    assert cost == 0
    assert_array_equal(gradient, 0)
    cost, gradient = mlp.Objective(net, [[1.0]], [1])(net.theta)
    assert_allclose(cost, 2 * s, rtol=1e-6)
    assert_array_equal(gradient, [1, -1, 1, -1])
    for targets in ([[1.0, 0.0]], [[0.0, 1.0]], [[0.5, 0.5]]):  # the other form of targets
        cost, gradient = mlp.Objective(net, [[1.0]], targets)(net.theta)
        assert_allclose(cost, 2 * s * targets[0][1], rtol=1e-6)
        assert_array_equal(gradient, np.tile([targets[0][1], -targets[0][1]], 2))


@for_each_dtype
@pytest.mark.parametrize("s", [1e3, 1e4, 1e19, 3e38, -1e3, -1e4, -1e19, -3e38])
def test_logistic_of_extreme_logits(s, dtype):
    # a = [s > 0]; C = log(1 + e^−|s|) = 0 where that is right, and |s| where it is wrong
    net = linear([[s]], 0, "logistic", dtype)
    right = float(s > 0)
    assert_array_equal(net.forward([[1.0]]), [[right]])
    assert_array_equal(net.predict([[1.0]]), [right])
    cost, gradient = mlp.Objective(net, [[1.0]], [right])(net.theta)
    assert cost == 0
    assert_array_equal(gradient, 0)
    cost, gradient = mlp.Objective(net, [[1.0]], [1 - right])(net.theta)
    assert_allclose(cost, abs(s), rtol=1e-6)
    assert_array_equal(gradient, np.sign(s))


@for_each_dtype
@pytest.mark.parametrize(("output", "low"), [("logistic", 0.0), ("tanh", -1.0)])
def test_saturated_units_have_no_slope(output, low, dtype):
    # a = (1, low), y = (low, 1): C = ½ (1 − low)² 2; σ′ = 0
    net = linear([[1e30], [-1e30]], 0, output, dtype)
    cost, gradient = mlp.Objective(net, [[1.0]], [[low, 1.0]], cost="quadratic")(net.theta)
    assert cost == (1 - low) ** 2
    assert_array_equal(gradient, 0)


@for_each_dtype
def test_softplus_is_relu_far_from_zero(dtype):
    net = linear([[1e30], [-1e30], [0]], 0, "softplus", dtype)
    assert_allclose(net.forward([[1.0]]), [[1e30, 0, math.log(2)]], rtol=1e-6)
    cost, gradient = mlp.Objective(net, [[1.0]], net.forward([[1.0]]) - [[0, 0, 1]])(net.theta)  # errors: 0, 0, 1
    assert_allclose(cost, 0.5, rtol=1e-5)
    assert_allclose(gradient, [0, 0, 0.5, 0, 0, 0.5], rtol=1e-5)


# Small numbers


@for_each_dtype
@pytest.mark.parametrize("hidden", ["relu", "tanh", "logistic", "softplus", "identity"])
def test_subnormal_weights_are_as_good_as_zeros(hidden, dtype):
    rng = np.random.default_rng(0)
    net = mlp.MLP([3, 4, 3], hidden=hidden, dtype=dtype, seed=0)
    objective = mlp.Objective(net, rng.uniform(0.5, 1, (5, 3)), [0, 1, 2, 0, 1], weight_decay=1e-3)
    tiny = np.finfo(dtype).smallest_subnormal
    cost, gradient = objective(np.full(net.theta.size, tiny))
    assert_allclose(cost, math.log(3), rtol=1e-6)
    at_zero = objective(np.zeros(net.theta.size))[1]
    output = net.at(np.zeros_like(net.theta)).layers[-1].size
    assert_allclose(gradient[-output:], at_zero[-output:], atol=1e-30)
    assert np.abs(gradient[:-output]).max() < 1e-30  # Δ¹ = Δ² W²
    net.theta[:] = tiny
    assert mlp.sgd(objective, net.theta, learning_rate=0.1, batch_size=2, epochs=30).fun < math.log(3)


@for_each_dtype
def test_the_slope_of_relu_just_above_zero_is_one(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    net = mlp.MLP([1, 1, 1], hidden="relu", output="identity", dtype=dtype, seed=0)
    net.theta[:] = [tiny, 0, 1, 0]  # z¹ = tiny, a² = tiny, C = ½(0 − 1)²: ∂C/∂W¹ = −1 · 1 · 1
    _, gradient = mlp.Objective(net, [[1.0]], [1.0])(net.theta)
    assert_allclose(gradient, [-1, -1, -tiny, -1])
    net.theta[0] = -tiny
    assert_array_equal(mlp.Objective(net, [[1.0]], [1.0])(net.theta)[1], [0, 0, 0, -1])


@for_each_dtype
@for_each_minimiser
def test_subnormal_inputs_and_a_subnormal_learning_rate(name, dtype):
    minimise, options = MINIMISERS[name]
    rates = {} if minimise is mlp.lbfgs else {"learning_rate": 5e-324}
    net = mlp.MLP([2, 3], dtype=dtype, seed=0)
    objective = mlp.Objective(net, np.full((4, 2), np.finfo(dtype).smallest_subnormal), [0, 1, 2, 0])
    start = net.theta.copy()
    result = minimise(objective, net.theta, **options, **rates)
    assert result.status in (0, 1)
    assert np.isfinite(net.theta).all()
    if rates:
        assert_allclose(net.theta, start, rtol=1e-6)


# Huge numbers: what overflows is said


@for_each_dtype
def test_saturating_networks_bear_any_weights(dtype):
    huge = np.finfo(dtype).max / 4
    net = mlp.MLP([2, 2, 1], hidden="tanh", output="logistic", dtype=dtype, seed=0)
    net.theta[:] = [huge, huge, -huge, huge, 0, 0, huge, huge, 0]
    # (1, 1): z¹ = (2h, 0), a¹ = (1, 0), z² = h; (−1, −1) is its negative; (0, 0): z² = 0, a = ½
    assert_array_equal(net.forward([[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]]), [[1], [0], [0.5]])


OVERFLOWING = [
    ("relu", "softmax"),
    ("identity", "softmax"),
    ("relu", "logistic"),
    ("identity", "identity"),
    ("softplus", "tanh"),
]


def overflowing(hidden, output, dtype):
    """A network whose weighted inputs overflow, into infinities of both signs, and its objective."""
    net = mlp.MLP([2, 3, 2], hidden=hidden, output=output, dtype=dtype, seed=0)
    net.theta[:] = np.resize([0.9, 0.8, 0.7, -0.9, 0.6], net.theta.size) * np.finfo(dtype).max
    return net, mlp.Objective(net, np.array([[3.0, 4.0], [5.0, -2.0], [2.0, 2.0]]), np.eye(2)[[0, 1, 1]])


@for_each_dtype
@pytest.mark.parametrize(("hidden", "output"), OVERFLOWING)
@for_each_minimiser
def test_huge_weights_are_a_run_that_diverged_and_stay_as_they_were(name, hidden, output, dtype):
    minimise, options = MINIMISERS[name]
    net, objective = overflowing(hidden, output, dtype)
    start = net.theta.copy()
    cost = objective(net.theta)[0]
    result = minimise(objective, net.theta, **options)
    assert np.isfinite(net.theta).all()
    if not math.isfinite(cost):
        assert (result.status, result.success) == (3, False)
        assert result.message.startswith("diverged: ")
        assert_array_equal(net.theta, start)


@for_each_dtype
@pytest.mark.parametrize(("hidden", "output"), OVERFLOWING[:2])
def test_classes_are_not_predicted_from_outputs_that_are_not_numbers(hidden, output, dtype):
    net, _ = overflowing(hidden, output, dtype)
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert np.isnan(net.forward(X)).any()
    with pytest.raises(ValueError, match=r"NaN.* at example \d"):
        net.predict(X)


@for_each_dtype
@for_each_minimiser
def test_huge_inputs(name, dtype):
    """Near the dtype's limit they overflow, or saturate, in the first step."""
    minimise, options = MINIMISERS[name]
    X = np.array([[1, -1], [1, 1], [-1, 1], [0.5, 1]]) * (np.finfo(dtype).max / 2)
    for hidden, output in OVERFLOWING:
        net = mlp.MLP([2, 3, 2], hidden=hidden, output=output, dtype=dtype, seed=0)
        result = minimise(mlp.Objective(net, X, np.eye(2)[[0, 1, 1, 0]]), net.theta, **options)
        assert np.isfinite(net.theta).all()
        assert result.status in (0, 1, 2, 3)
        if result.status != 3:
            assert np.isfinite(result.history["cost"]).all()
        else:
            assert result.message.startswith("diverged: ")


@for_each_dtype
def test_inputs_beyond_the_dtype_are_refused(dtype):
    net = mlp.MLP([2, 2], dtype=dtype, seed=0)
    beyond = np.longdouble(np.finfo(dtype).max) * 2
    for call in (net.forward, net.predict, lambda X: mlp.Objective(net, X, [0])):
        with pytest.raises(ValueError, match=rf"^X: received .* at example 0, feature 1, but .* finite in {dtype}"):
            call(np.array([[1.0, beyond]]))


def test_targets_beyond_the_dtype_are_refused():
    net = mlp.MLP([2, 1], output="identity", dtype="float32", seed=0)
    with pytest.raises(ValueError, match=r"^y: received .*must be finite"):
        mlp.Objective(net, np.ones((2, 2)), [1.0, 1e300])


def test_weights_beyond_the_dtype_are_refused():
    with pytest.raises(ValueError, match=r"^init: .*finite in float32"):
        mlp.MLP([2, 2], init="small_normal:1e300", dtype="float32", seed=0)
    net = mlp.MLP([2, 2], dtype="float64", seed=0)
    net.theta[3] = 1e300
    with pytest.raises(ValueError, match=r"^theta: received 1e\+300.*finite in float32"):
        net.astype("float32")
    single = mlp.MLP([2, 2], dtype="float32", seed=0)
    before = single.theta.copy()
    with pytest.raises(ValueError, match=r"^theta: received 1e\+300.*finite in float32"):
        single.theta = net.theta
    assert_array_equal(single.theta, before)


@for_each_minimiser
def test_parameters_beyond_the_networks_dtype(name):
    """A float64 vector whose numbers the float32 network can't hold: refused, or said to diverge; and left alone."""
    minimise, options = MINIMISERS[name]
    net = mlp.MLP([2, 2], dtype="float32", seed=0)
    objective = mlp.Objective(net, np.ones((3, 2)), [0, 1, 1])
    theta = np.array([1e300, 0, 0, 1, 0, 0])
    if minimise is mlp.lbfgs:
        assert minimise(objective, theta, **options).status == 3
    else:
        with pytest.raises(ValueError, match=r"^theta: received 1e\+300.*finite in float32"):
            minimise(objective, theta, **options)
    assert_array_equal(theta, [1e300, 0, 0, 1, 0, 0])


@for_each_dtype
@for_each_minimiser
@pytest.mark.parametrize("weight_decay", [1e30, 1e39, 1e308])
def test_huge_weight_decay(name, weight_decay, dtype):
    minimise, options = MINIMISERS[name]
    net = mlp.MLP([2, 3, 2], dtype=dtype, seed=0)
    objective = mlp.Objective(net, np.ones((3, 2)), [0, 1, 1], weight_decay=weight_decay)
    result = minimise(objective, net.theta, **options)
    assert np.isfinite(net.theta).all()
    assert result.success == (result.status == 0)
    assert result.status == 3 or np.isfinite(result.history["cost"]).all()


@for_each_dtype
@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "full batch", "adam"])
@pytest.mark.parametrize("rate", [1e30, 1e39, 1e308])
def test_huge_learning_rates_say_what_to_lower(name, rate, dtype):
    minimise, options = MINIMISERS[name]
    net = mlp.MLP([2, 3, 2], hidden="identity", output="identity", dtype=dtype, seed=0)
    start = net.theta.copy()
    X = np.array([[1.0, -1.0], [2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])
    result = minimise(
        mlp.Objective(net, X, np.eye(2)[[0, 1, 1, 0]]), net.theta, learning_rate=rate, **{**options, "epochs": 60}
    )
    assert np.isfinite(net.theta).all()
    if name == "adam" and result.status == 0:  # its steps are of the rate's size: their squares may yet be finite
        assert np.isfinite(result.history["cost"]).all()
        return
    assert (result.status, result.success) == (3, False)
    assert f"Try a learning rate below {rate:g}" in result.message
    assert result.nit > 0 or (net.theta == start).all()


def test_adam_whose_second_moment_overflows_does_not_pretend_to_learn():
    # ∂C ≈ 1e30, whose square no float32 holds: v = ∞ would make every step 0
    net = mlp.MLP([1, 1], output="identity", dtype="float32", seed=0)
    net.theta[:] = [1e-10, 0]
    objective = mlp.Objective(net, np.full((4, 1), 1e15), np.ones(4))
    start = net.theta.copy()
    result = mlp.adam(objective, net.theta, learning_rate=1e-12, epochs=5)
    assert (result.status, result.success) == (3, False)
    assert_array_equal(net.theta, start)


@for_each_dtype
@pytest.mark.parametrize(
    ("rho", "beta"), [(5e-324, 3.0), (1e-300, 1e300), (1 - 1e-16, 3.0), (0.5, 1e308), (0.5, 5e-324), (0.05, 0)]
)
@pytest.mark.parametrize("scale", [0, 1, 1e30])
def test_sparsity_at_its_limits(rho, beta, scale, dtype):
    net = mlp.MLP([2, 3, 2], hidden="logistic", output="identity", dtype=dtype, seed=0)
    net.theta *= scale
    objective = mlp.Objective(net, np.full((4, 2), 0.5), sparsity=mlp.Sparsity(rho, beta))
    cost, _ = objective(net.theta)
    assert not math.isnan(cost)
    result = mlp.sgd(objective, net.theta, epochs=2)
    assert result.status in (0, 3)
    assert np.isfinite(net.theta).all()


@for_each_dtype
def test_the_gradient_checker_and_the_norms_where_everything_overflows(dtype):
    net, objective = overflowing("relu", "softmax", dtype)
    check = mlp.check_gradient(objective, net.theta, directions=2)
    assert bool(check) == (dtype == "float32")  # which is checked in float64, where nothing of it overflows
    assert set(objective.layer_norms(net.theta)) == {"delta", "W"}
    assert objective.input_gradient(net.theta).shape == (3, 2)
    assert len(objective.errors(net.theta)) == 2
    assert not math.isfinite(objective.evaluate(net.theta).cost)


# Little to learn from


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
@pytest.mark.parametrize(
    ("minimise", "options"),
    [
        (mlp.sgd, {"learning_rate": 0.2, "batch_size": None, "epochs": 400}),
        (mlp.adam, {"learning_rate": 0.05, "batch_size": None, "epochs": 400}),
        (mlp.lbfgs, {"gtol": 1e-8, "ftol": 0}),
    ],
)
def test_of_constant_features_the_class_frequencies_are_learned(minimise, options, value):
    y = [0, 1, 1, 2, 2, 2, 1, 1]  # 1/8, 1/2, 3/8: the cost can't go below their entropy
    frequencies = np.array([1, 4, 3]) / 8
    net = mlp.MLP([2, 3], dtype="float64", seed=0)
    start = net.layers[0].W.copy()
    X = np.full((8, 2), value)
    result = minimise(mlp.Objective(net, X, y), net.theta, **options)
    assert_allclose(net.forward(X[:1])[0], frequencies, atol=1e-3)
    assert_allclose(result.fun, -np.sum(frequencies * np.log(frequencies)), atol=1e-5)
    if value == 0:
        assert_array_equal(net.layers[0].W, start)


@for_each_dtype
@for_each_minimiser
def test_one_example(name, dtype):
    minimise, options = MINIMISERS[name]
    options = {**options, **({"maxiter": 50} if minimise is mlp.lbfgs else {"epochs": 50, "learning_rate": 0.1})}
    net = mlp.MLP([3, 4, 3], hidden="tanh", dtype=dtype, seed=0)
    objective = mlp.Objective(net, [[0.5, -1.0, 2.0]], [2])
    assert mlp.check_gradient(objective, net.theta)
    result = minimise(objective, net.theta, **options)
    assert result.fun < 0.05
    assert objective.evaluate(net.theta).accuracy == 1
    assert_array_equal(net.predict([[0.5, -1.0, 2.0]]), [2])


@for_each_dtype
@for_each_minimiser
def test_one_class(name, dtype):
    minimise, options = MINIMISERS[name]
    options = {**options, **({"maxiter": 50} if minimise is mlp.lbfgs else {"epochs": 100, "learning_rate": 0.1})}
    X = np.random.default_rng(0).standard_normal((7, 3))
    net = mlp.MLP([3, 3], dtype=dtype, seed=0)
    objective = mlp.Objective(net, X, np.full(7, 1))
    result = minimise(objective, net.theta, **options)
    assert 0 <= result.fun < 0.1
    assert_array_equal(net.predict(X), 1)
    assert objective.evaluate(net.theta).accuracy == 1


@for_each_dtype
@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize("batch_size", [8, 1000, 1 << 62])
def test_a_batch_larger_than_the_data_is_all_of_it(rule, batch_size, dtype):
    minimise, options = MINIMISERS[rule]
    X, y = np.random.default_rng(0).standard_normal((7, 3)), [0, 1, 1, 0, 1, 0, 0]
    found = {}
    for size in (7, batch_size, None):
        net = mlp.MLP([3, 4, 2], dtype=dtype, seed=0)
        result = minimise(mlp.Objective(net, X, y), net.theta, **{**options, "batch_size": size})
        assert result.nfev == 3
        found[size] = net.theta
    assert_array_equal(found[batch_size], found[7])
    assert_allclose(found[None], found[7], rtol=1e-3, atol=1e-5)  # the same sums in another order


# The same in the command


@pytest.fixture
def write_mnist(write_idx):
    """Writes a data set of those images (n, 28, 28) and labels, for training and for testing alike."""

    def write(directory, images, labels):
        for name in ("train", "t10k"):
            write_idx(directory / f"{name}-images-idx3-ubyte", np.asarray(images, np.uint8))
            write_idx(directory / f"{name}-labels-idx1-ubyte", np.asarray(labels, np.uint8))
        return directory

    return write


@pytest.fixture
def command(tmp_path, capsys, write_mnist):
    """Trains on images and labels; returns (status, what was printed, the records of metrics.csv, the directory)."""

    def run(images, labels, text):
        data = write_mnist(tmp_path / "data", images, labels)
        status = train.main(["--data", str(data), "--no-plots", "--out", str(tmp_path / "run"), *shlex.split(text)])
        printed = capsys.readouterr()
        table = tmp_path / "run" / "metrics.csv"  # which there isn't where no epoch was finished
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines())) if table.exists() else []
        assert status == 1 or all(math.isfinite(float(value)) for row in rows for value in row.values())
        assert np.isfinite(mlp.load(tmp_path / "run" / "model.npz").theta).all()
        return status, printed, rows, tmp_path / "run"

    return run


OPTIMIZERS = ["sgd", "sgd --momentum 0.9 --nesterov", "adam", "lbfgs"]


def some_images(n):
    return np.random.default_rng(0).integers(0, 256, (n, 28, 28))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_command_without_a_validation_set(command, optimizer):
    status, printed, rows, out = command(
        some_images(12), np.arange(12) % 10, f"--validation 0 --epochs 2 --optimizer {optimizer}"
    )
    assert status == 0, printed.err
    assert len(rows) == 2
    assert not [column for column in rows[0] if "validation" in column]
    assert "nan" not in printed.out
    assert "validation" not in printed.out
    assert sorted(path.name for path in out.glob("[!.]*")) == ["config.json", "metrics.csv", "model.npz", "state.npz"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_command_on_one_image(command, optimizer):
    status, printed, rows, _ = command(some_images(1), [7], f"--validation 0 --hidden 8 --epochs 9 --optimizer {optimizer}")
    assert status == 0, printed.err
    assert float(rows[-1]["cost"]) < float(rows[0]["cost"])
    assert "Test accuracy: 100.00 % (0 of 1 wrong" in printed.out


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("pixel", [0, 255])
def test_the_command_on_one_class_of_images_that_are_all_the_same(command, optimizer, pixel):
    images = np.full((9, 28, 28), pixel)
    status, printed, _, _ = command(images, np.full(9, 3), f"--validation 2 --hidden 8 --epochs 9 --optimizer {optimizer}")
    assert status == 0, printed.err
    assert "Test accuracy: 100.00 % (0 of 9 wrong" in printed.out


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_command_from_huge_weights_says_so(command, optimizer, dtype):
    deviation = np.finfo(dtype).max / 100
    status, printed, _, _ = command(
        some_images(12),
        np.arange(12) % 10,
        f"--validation 2 --dtype {dtype} --epochs 2 --optimizer {optimizer} --init small_normal:{deviation:g}",
    )
    assert status == 1
    (line,) = printed.err.splitlines()
    assert "diverged: " in line
    assert "Try " in line


def test_the_command_with_weights_beyond_the_dtype(tmp_path, capsys, write_mnist):
    data = write_mnist(tmp_path / "data", some_images(12), np.arange(12) % 10)
    status = train.main(
        ["--data", str(data), "--validation", "2", "--out", str(tmp_path / "run"), "--init", "small_normal:1e300"]
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2
    assert "init: " in line
    assert not (tmp_path / "run").exists()
