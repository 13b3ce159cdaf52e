"""`MLP`: worked examples, its one vector and the views of it, forward and predict, and what it refuses."""

import copy
import math
import pickle

import numpy as np
import pytest
import scipy.special

import mlp
from mlp import Dense


def set_layers(net, *parameters):
    """Set (W, b) of each layer."""
    for layer, (W, b) in zip(net.layers, parameters, strict=True):
        layer.W[:] = W
        layer.b[:] = b
    return net


# Worked examples


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_lectures_worked_example_forward(dtype):
    # x = (1, 2), hidden ReLU weights (−1, 1) and (1, −2), output weights (3, −1), no biases
    W, v, x = [[-1, 1], [1, -2]], [[3, -1]], [[1, 2]]
    z = set_layers(mlp.MLP([Dense(2, 2)], dtype=dtype), (W, 0)).forward(x)
    h = set_layers(mlp.MLP([Dense(2, 2, "relu")], dtype=dtype), (W, 0)).forward(x)
    y = set_layers(mlp.MLP([2, 2, 1], hidden="relu", output="identity", dtype=dtype), (W, 0), (v, 0)).forward(x)
    np.testing.assert_array_equal(z, [[1, -3]])
    np.testing.assert_array_equal(h, [[1, 0]])
    np.testing.assert_array_equal(y, [[3]])
    net = set_layers(mlp.MLP([2, 2, 1], hidden="relu", output="identity", dtype=dtype), (W, 0), (v, 0))
    for layer, outputs in [(0, h), (1, y), (-1, y), (-2, h)]:
        np.testing.assert_array_equal(net.forward(x, layer=layer), outputs)


def test_xor_by_hard_thresholds():
    # h₁ = [x₁ + x₂ − 0.5 > 0], h₂ = [x₁ + x₂ − 1.5 > 0], y = [h₁ − h₂ − 0.5 > 0]
    net = mlp.MLP([2, 2, 1], hidden="threshold", output="threshold")
    set_layers(net, ([[1, 1], [1, 1]], [-0.5, -1.5]), ([[1, -1]], [-0.5]))
    X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    np.testing.assert_array_equal(net.forward(X), [[0], [1], [1], [0]])


@pytest.mark.parametrize("seed", range(5))
def test_xor_learned_by_descent_from_random_weights(seed):
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), [0, 1, 1, 0]
    net = mlp.MLP([2, 4, 1], hidden="logistic", output="logistic", init="small_normal:1", dtype="float64", seed=seed)
    objective = mlp.Objective(net, X, y)
    before = objective(net.theta)[0]
    result = mlp.sgd(objective, net.theta, learning_rate=1.0, momentum=0.9, batch_size=None, epochs=1000, seed=seed)
    assert before > 0.6  # no better than a coin, log 2 = 0.693
    assert result.fun < 0.01
    np.testing.assert_array_equal(net.predict(X), y)
    assert np.abs(net.forward(X)[:, 0] - y).max() < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_identity_layers_are_one_linear_layer_with_the_product_of_their_weights(dtype):
    rng = np.random.default_rng(2)
    net = mlp.MLP([5, 4, 6, 3], hidden="identity", output="identity", dtype=dtype, seed=2)
    net.theta[:] = rng.integers(-3, 4, net.theta.size)  # small integers: exact in either dtype
    (W1, b1), (W2, b2), (W3, b3) = [(layer.W, layer.b) for layer in net.layers]
    one = mlp.MLP([5, 3], output="identity", dtype=dtype)
    set_layers(one, (W3 @ W2 @ W1, W3 @ (W2 @ b1 + b2) + b3))
    X = rng.integers(-3, 4, (7, 5))
    np.testing.assert_array_equal(net.forward(X), one.forward(X))
    assert np.ptp(net.forward(X)) > 10  # they say something


def test_each_layer_has_its_own_activation():
    net = mlp.MLP([1, 1, 1, 1], hidden=["threshold", "tanh"], output="logistic", dtype="float64")
    set_layers(net, ([[1]], [0]), ([[math.log(2)]], [0]), ([[5]], [math.log(3) - 3]))
    # x > 0: 1, tanh log 2 = 3/5, σ(5·3/5 + log 3 − 3) = 3/4; x ≤ 0: 0, 0, σ(log 3 − 3) = 3/(3 + e³)
    np.testing.assert_allclose(net.forward([[4.0], [-4.0]]), [[3 / 4], [3 / (3 + math.e**3)]], rtol=1e-14)


# One vector


@pytest.mark.parametrize(
    ("sizes", "parameters"),
    [
        ([784, 10], 7_850),  # softmax regression on MNIST
        ([784, 30, 10], 23_860),  # Nielsen, chapter 1
        ([784, 256, 10], 203_530),
        ([784, 512, 512, 10], 669_706),  # Keras' mnist_mlp example: "Total params: 669,706"
        ([2, 3, 4, 5], 50),  # (6 + 3) + (12 + 4) + (20 + 5)
    ],
)
def test_theta_holds_every_parameter_once(sizes, parameters):
    net = mlp.MLP(sizes, seed=0)
    assert net.theta.shape == (parameters,)
    assert sum(layer.W.size + layer.b.size for layer in net.layers) == parameters
    assert net.sizes == sizes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_theta_is_w_row_by_row_then_b_layer_after_layer_and_the_layers_are_views_of_it(dtype):
    net = mlp.MLP([2, 3, 2], dtype=dtype, seed=0)
    net.theta[:] = np.arange(17)
    np.testing.assert_array_equal(net.layers[0].W, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(net.layers[0].b, [6, 7, 8])
    np.testing.assert_array_equal(net.layers[1].W, [[9, 10, 11], [12, 13, 14]])
    np.testing.assert_array_equal(net.layers[1].b, [15, 16])
    net.layers[0].W[2, 1] = -5
    net.layers[1].b[:] = -15, -16
    np.testing.assert_array_equal(net.theta[[5, 15, 16]], [-5, -15, -16])
    for layer in net.layers:
        assert layer.W.dtype == layer.b.dtype == net.theta.dtype == dtype


def test_name_of_every_component_finds_it():
    net = mlp.MLP([3, 4, 2], dtype="float64", seed=0)
    net.theta[:] = np.arange(26)
    names = [net.name_of(k) for k in range(26)]
    assert names[0] == "layers[0].W[0, 0]"
    assert names[5] == "layers[0].W[1, 2]"
    assert names[15] == "layers[0].b[3]"
    assert names[16] == "layers[1].W[0, 0]"
    assert names[23] == "layers[1].W[1, 3]"
    assert names[25] == "layers[1].b[1]"
    assert [eval(f"net.{name}", {"net": net}) for name in names] == list(range(26))


@pytest.mark.parametrize("component", [-1, 26, 10**9])
def test_name_of_refuses_what_is_not_in_theta(component):
    with pytest.raises(ValueError, match=rf"^component: received {component} .*at least 0 and at most 25"):
        mlp.MLP([3, 4, 2], seed=0).name_of(component)


def test_at_is_the_same_network_on_another_vector():
    net = mlp.MLP([2, 3, 2], hidden="tanh", dtype="float64", seed=0)
    kept, X = net.theta.copy(), [[1.0, -1.0]]
    vector = np.zeros(17)
    moved = net.at(vector)
    assert moved.theta is vector
    assert (moved.sizes, moved.dtype, moved.output) == (net.sizes, net.dtype, net.output)
    np.testing.assert_array_equal(moved.forward(X), [[0.5, 0.5]])  # all zeros: softmax has nothing to choose by
    vector[:] = net.theta
    np.testing.assert_allclose(moved.forward(X), net.forward(X), rtol=1e-14)
    moved.layers[0].W[:] = 9
    assert (vector[:6] == 9).all()
    np.testing.assert_array_equal(net.theta, kept)


def test_astype_is_a_copy():
    net = mlp.MLP([2, 3, 2], hidden="tanh", dtype="float32", seed=0)
    wide = net.astype("float64")
    assert (wide.dtype, wide.theta.dtype, wide.layers[1].W.dtype) == (np.float64,) * 3
    np.testing.assert_array_equal(wide.theta, net.theta)
    assert wide.forward([[1, 2]]).dtype == np.float64
    kept = net.theta.copy()
    for copied in (wide, net.astype(np.float32)):
        copied.layers[0].W[:] = 9
        assert (copied.theta[:6] == 9).all()
        np.testing.assert_array_equal(net.theta, kept)
    assert net.dtype == np.float32


def test_assigning_theta_sets_the_parameters():
    # `net.theta = result.x` after scipy.optimize.minimize must not leave the layers on the old vector
    net = mlp.MLP([2, 3, 2], hidden="tanh", dtype="float32", seed=0)
    found = np.arange(17.0)
    net.theta = found
    np.testing.assert_array_equal(net.layers[1].W, [[9, 10, 11], [12, 13, 14]])
    assert net.theta.dtype == np.float32
    net.theta *= 2
    np.testing.assert_array_equal(net.layers[1].b, [30, 32])
    np.testing.assert_array_equal(found, np.arange(17))
    net.theta = found.astype(">f4")
    np.testing.assert_array_equal(net.theta, found)
    with pytest.raises(ValueError, match=r"^theta: received shape \(16,\)"):
        net.theta = np.zeros(16)
    np.testing.assert_array_equal(net.theta, found)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_a_copied_networks_layers_are_views_of_its_own_theta(duplicate):
    net = mlp.MLP([2, 3, 2], hidden="tanh", dtype="float64", seed=0)
    other = duplicate(net)
    kept = net.theta.copy()
    other.theta[:] = 0
    assert not other.layers[0].W.any()
    np.testing.assert_array_equal(other.forward([[1, 2]]), [[0.5, 0.5]])
    np.testing.assert_array_equal(net.theta, kept)


# Drawing


@pytest.mark.parametrize("init", ["glorot_uniform", "he_normal", "lecture_uniform", "small_normal"])
def test_the_same_seed_draws_the_same_bits(init):
    first, again, other = (mlp.MLP([5, 4, 3], init=init, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.theta, again.theta)
    assert not np.array_equal(first.theta, other.theta)
    again.initialize(8, init)
    np.testing.assert_array_equal(again.theta, other.theta)


def test_seed_is_an_integer_a_generator_or_none():
    by_number = mlp.MLP([5, 4, 3], seed=7).theta
    np.testing.assert_array_equal(mlp.MLP([5, 4, 3], seed=np.random.default_rng(7)).theta, by_number)
    np.testing.assert_array_equal(mlp.MLP([5, 4, 3], seed=np.int64(7)).theta, by_number)
    assert not np.array_equal(mlp.MLP([5, 4, 3], seed=None).theta, mlp.MLP([5, 4, 3], seed=None).theta)


def test_the_seed_doesn_t_depend_on_the_dtype_and_numpys_global_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    single, double = mlp.MLP([5, 4, 3], seed=7), mlp.MLP([5, 4, 3], dtype="float64", seed=7)
    np.testing.assert_array_equal(single.theta, double.theta.astype("float32"))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_the_default_network_is_relu_softmax_float32():
    net = mlp.MLP([3, 2, 2], seed=0)
    assert repr(net) == "MLP([Dense(3, 2, 'relu'), Dense(2, 2, 'softmax')], dtype='float32')"


# Forward and predict


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_hidden_layer_is_softmax_regression(dtype):
    rng = np.random.default_rng(4)
    net = mlp.MLP([5, 3], output="softmax", dtype=dtype, seed=4)
    net.theta[:] = rng.standard_normal(18)
    X = rng.standard_normal((6, 5)).astype(dtype)
    W, b = net.theta[:15].reshape(3, 5).astype(float), net.theta[15:].astype(float)
    expected = scipy.special.softmax(X @ W.T + b, axis=1)
    np.testing.assert_allclose(net.forward(X), expected, rtol=20 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(net.predict(X), expected.argmax(axis=1))


@pytest.mark.parametrize("n", [1, 3, 4, 5, 11])
@pytest.mark.usefixtures("small_chunks")
def test_many_examples_come_out_as_few_do(n):
    net = mlp.MLP([2, 3, 2], hidden=["softplus"], output="softmax", dtype="float64", seed=1)
    X = np.random.default_rng(1).standard_normal((n, 2))
    outputs = net.forward(X)
    assert outputs.shape == (n, 2)
    pieces = [net.forward(X[row : row + 1]) for row in range(n)]
    np.testing.assert_allclose(outputs, np.concatenate(pieces), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_8_bit_input_is_pixels(dtype):
    net = mlp.MLP([4, 3, 2], dtype=dtype, seed=0)
    identity = set_layers(mlp.MLP([Dense(3, 3)], dtype=dtype), (np.eye(3), 0))
    # 51 = 255/5
    np.testing.assert_allclose(
        identity.forward(np.array([[0, 51, 255]], np.uint8)), [[0, 0.2, 1]], rtol=2 * np.finfo(dtype).eps
    )
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4), dtype=np.uint8)
    np.testing.assert_allclose(net.forward(pixels), net.forward(pixels / 255), rtol=50 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(net.predict(pixels), net.predict(pixels / 255))
    # other integers are numbers
    np.testing.assert_array_equal(identity.forward(np.array([[0, 51, 255]], np.int16)), [[0, 51, 255]])


@pytest.mark.usefixtures("small_chunks")
def test_a_memory_mapped_file_is_input(tmp_path):
    X = np.random.default_rng(0).standard_normal((9, 3))
    np.save(tmp_path / "X.npy", X)
    net = mlp.MLP([3, 2], seed=0)
    np.testing.assert_array_equal(net.forward(np.load(tmp_path / "X.npy", mmap_mode="r")), net.forward(X))


@pytest.mark.parametrize(
    ("output", "z", "expected"),
    [
        ("softmax", [[0, 1, 2], [5, 4, 3], [0, 9, 0]], [2, 0, 1]),
        ("logistic", [[0, 1, 2], [5, 4, 3], [-9, -8, -9]], [2, 0, 1]),  # the largest, whether or not above ½
        ("logistic", [[0.1], [-0.1], [50], [-50], [0]], [1, 0, 1, 0, 0]),  # exactly ½ is not above it
        ("softmax", [[7, 7, 7], [1, 2, 2]], [0, 1]),  # the first of equals
    ],
)
def test_predicted_labels(output, z, expected):
    z = np.array(z, float)
    net = set_layers(mlp.MLP([z.shape[1], z.shape[1]], output=output), (np.eye(z.shape[1]), 0))
    labels = net.predict(z)
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("output", ["identity", "relu", "tanh", "softplus"])
def test_predicted_values_are_the_outputs(output):
    net = mlp.MLP([2, 3], output=output, seed=0)
    X = [[1, 2], [3, -4]]
    assert net.predict(X).shape == (2, 3)
    np.testing.assert_array_equal(net.predict(X), net.forward(X))
    single = mlp.MLP([2, 1], output=output, seed=0)
    np.testing.assert_array_equal(single.predict(X), single.forward(X)[:, 0])  # (n,), as a single target is given


# Bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"layers": []},
            TypeError,
            r"^layers: received \[\] \(list\), but it must be sizes, \[784, 256, 10\], or layers such as Dense",
        ),
        ({"layers": np.array(784)}, TypeError, r"^layers: received array\(784\)"),
        ({"layers": [784]}, ValueError, r"^layers: received \[784\].*an input and an output size at least"),
        (
            {"layers": [784, 0, 10]},
            ValueError,
            r"^layers\[1\]: received 0 \(int\), but it must be an integer of at least 1 and at most",
        ),
        ({"layers": [10**400, 10]}, ValueError, r"^layers\[0\]: received 1000.* at most 2,147,483,647"),
        ({"layers": [1 << 30, 1 << 30, 2]}, ValueError, r"^parameters of all layers: received 1152921.* at most"),
        ({"layers": [784, 2.5, 10]}, TypeError, r"^layers\[1\]: received 2\.5 \(float\), but it must be an integer"),
        (
            {"layers": [3, 2, Dense(3, 2)]},
            ValueError,
            r"^layers: layer 2, Dense\(3, 2, 'identity'\): its input is 2, but it takes 3",
        ),
        (
            {"layers": [Dense(3, 2), Dense(4, 2)]},
            ValueError,
            r"^layers: layer 2, Dense\(4, 2, 'identity'\): its input is 2, but it takes 4",
        ),
        ({"layers": [3, 2, 2], "hidden": "rlu"}, ValueError, r"^hidden: received 'rlu'.*one of identity, .*mean 'relu'\?"),
        ({"layers": [3, 2, 2], "hidden": ["relu", "tanh"]}, ValueError, r"^hidden: received 2 .*there are 1 hidden layers"),
        ({"layers": [3, 2, 2], "hidden": "softmax"}, ValueError, r"^hidden: layer 1 is 'softmax'.*the output layer only"),
        (
            {"layers": [Dense(3, 2), Dense(2, 2, "softmax"), Dense(2, 2)]},
            ValueError,
            r"^hidden: layer 2 is 'softmax', which is allowed for the output layer only",
        ),
        ({"layers": [3, 2], "output": "softmx"}, ValueError, r"^output: received 'softmx'.*did you mean 'softmax'\?"),
        ({"layers": [3, 2], "output": None}, TypeError, r"^output: received None"),
        ({"layers": [3, 1], "output": "softmax"}, ValueError, r"^output: softmax over a single unit.*use 'logistic'"),
        ({"layers": [3, 2], "init": "glorot_unifrm"}, ValueError, r"^init: received .*did you mean 'glorot_uniform'\?"),
        ({"layers": [3, 2], "dtype": "float16"}, ValueError, r"^dtype: received 'float16'.*one of float32, float64"),
        ({"layers": [3, 2], "dtype": None}, ValueError, r"^dtype: received None"),
        ({"layers": [3, 2], "seed": "0"}, TypeError, r"^seed: received '0' \(str\)"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        mlp.MLP(**arguments)


def test_an_unknown_hidden_activation_is_refused_where_there_is_no_hidden_layer_to_use_it():
    with pytest.raises(ValueError, match=r"^hidden: received 'rlu'.*did you mean 'relu'\?"):
        mlp.MLP([3, 2], hidden="rlu")


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones((5, 4)), ValueError, r"^X: received 4 features, shape \(5, 4\), but the network takes 3: \(examples, 3\)"),
        (np.ones(3), ValueError, r"^X: received shape \(3,\), but it must be \(examples, 3\)"),
        (np.ones((0, 3)), ValueError, r"^X: received no examples, shape \(0, 3\), but at least one is needed"),
        ([["a", "b", "c"]], TypeError, r"^X: received dtype <U1, but it must be an array \(examples, 3\): real numbers"),
        (np.ma.masked_array([[1, 2, 3]]), TypeError, r"^X: received a masked array"),
        ([[1, 2, 3], [4, math.nan, 6]], ValueError, r"^X: received nan at example 1, feature 1, but .*finite"),
    ],
)
@pytest.mark.parametrize("method", ["forward", "predict"])
def test_bad_input_is_named(X, error, message, method):
    net = mlp.MLP([3, 2], seed=0)
    with pytest.raises(error, match=message):
        getattr(net, method)(X)


@pytest.mark.parametrize(("layer", "error"), [(2, ValueError), (-3, ValueError), ("output", TypeError)])
def test_a_layer_that_is_not_there_is_named(layer, error):
    with pytest.raises(error, match=rf"^layer: received {layer!r} .*at least -2 and at most 1"):
        mlp.MLP([3, 2, 2], seed=0).forward(np.ones((1, 3)), layer=layer)


@pytest.mark.parametrize(
    ("theta", "error", "message"),
    [
        (np.zeros(16, "f4"), ValueError, r"received shape \(16,\), but it must be a vector: the network has 17 parameters"),
        (
            [0.0] * 17,
            TypeError,
            r"received \[0\.0, .*\(list\), but it must be an array \(17,\) of float32, since no number is copied",
        ),
        (np.zeros(17), TypeError, r"received dtype float64, but it must be an array \(17,\) of float32"),
        (np.zeros(17, ">f4"), TypeError, r"received dtype >f4, but it must be an array \(17,\) of float32"),
        (np.zeros(17, complex), TypeError, r"received dtype complex128"),
    ],
)
def test_at_takes_a_vector_that_needs_no_copy(theta, error, message):
    with pytest.raises(error, match="^theta: " + message.replace("vector:", "vector")):
        mlp.MLP([2, 3, 2], seed=0).at(theta)


def test_a_value_that_is_not_finite_is_found_far_down():
    X = np.zeros((3000, 3), np.float32)
    X[2047, 2] = np.inf
    with pytest.raises(ValueError, match=r"^X: received inf at example 2,047, feature 2"):
        mlp.MLP([3, 2], seed=0).forward(X)
