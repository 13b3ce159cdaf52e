"""`Conv` against a blackboard, SciPy, PyTorch and central differences; how it is drawn. (Bad input: test_windows.py.)"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import correlate2d

import mlp
from mlp import Conv, MaxPool, MeanPool, initializers
from mlp.activations import ACTIVATIONS
from mlp.initializers import INITIALIZERS

# The blackboard


def blackboard(dtype="float64"):
    """A 3 × 3 image of 1 … 9, seen through the 2 × 2 filter (1, 0; 0, −1), bias 10."""
    net = mlp.MLP([(3, 3), Conv(1, 2, "identity")], output="identity", dtype=dtype, seed=0)
    net.layers[0].W[:] = [[1, 0, 0, -1]]
    net.layers[0].b[:] = 10
    return net, np.arange(1.0, 10).reshape(1, 9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_by_hand(dtype):
    net, X = blackboard(dtype)
    # 1 − 5, 2 − 6, 4 − 8, 5 − 9, each + 10
    assert_array_equal(net.forward(X), [[6, 6, 6, 6]])
    net.layers[0].W[:] = [[0, 2, 1, 0]]
    # 2·2 + 4, 2·3 + 5, 2·5 + 7, 2·6 + 8
    assert_array_equal(net.forward(X), [[18, 21, 27, 30]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_error_goes_back_by_hand(dtype):
    net, X = blackboard(dtype)
    objective = mlp.Objective(net, X, [[5, 8, 3, 6]])  # Δ = (1, −2; 3, 0)
    cost, gradient = objective(net.theta)
    assert cost == (1 + 4 + 9 + 0) / 2
    # ∂C/∂W = Σ Δ · window: 1·(1, 2, 4, 5) − 2·(2, 3, 5, 6) + 3·(4, 5, 7, 8); ∂C/∂b = Σ Δ
    assert_array_equal(gradient, [9, 11, 15, 17, 2])
    # Each window's Δ through (1, 0; 0, −1): +1 at (0, 0), −1 at (1, 1); −2 and +2 one to the right; +3 and −3 one down
    assert_array_equal(objective.input_gradient(net.theta), [[1, -2, 0, 3, -1, 2, 0, -3, 0]])


def test_channels_lie_last_and_each_map_has_a_row_of_w():
    net = mlp.MLP([(1, 2, 2), Conv(3, 1, "identity")], output="identity", seed=0)
    net.layers[0].W[:] = [[1, 0], [0, 1], [10, 1]]
    net.layers[0].b[:] = [0, 0, 100]
    # pixels (3, 4) and (5, 6): each becomes (first, second, 10 first + second + 100)
    assert_array_equal(net.forward([[3, 4, 5, 6]]), [[3, 4, 134, 5, 6, 156]])
    assert net.layers[0].out_shape == (1, 2, 3)


# SciPy


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("padding", "mode"), [(0, "valid"), ("valid", "valid"), ("same", "same"), ((4, 2), "full")])
def test_maps_are_scipys_correlations(padding, mode, dtype):
    rng = np.random.default_rng(0)
    net = mlp.MLP([(9, 8, 3), Conv(4, (5, 3), "identity", padding=padding)], output="identity", dtype=dtype, seed=rng)
    X = rng.standard_normal((6, 9, 8, 3))
    net.layers[0].b[:] = rng.standard_normal(4)
    filters = net.layers[0].W.reshape(4, 5, 3, 3).astype(float)
    expected = [
        [
            sum(correlate2d(image[..., c], filters[k, ..., c], mode=mode) for c in range(3)) + net.layers[0].b[k]
            for k in range(4)
        ]
        for image in X
    ]
    maps = net.forward(X.reshape(6, -1)).reshape(6, *net.layers[0].out_shape)
    assert_allclose(maps, np.moveaxis(expected, 1, -1), rtol=0, atol=100 * np.finfo(dtype).eps)


def test_strides_take_every_third_row_and_second_column_of_the_correlation():
    net = mlp.MLP([(11, 8), Conv(1, 3, "identity", stride=(3, 2))], output="identity", dtype="float64", seed=0)
    image = np.random.default_rng(1).standard_normal((11, 8))
    dense = correlate2d(image, net.layers[0].W.reshape(3, 3), mode="valid")
    assert_allclose(net.forward(image.reshape(1, -1)).reshape(3, 3), dense[::3, ::2], atol=1e-14)


# PyTorch: outputs, cost, gradients by parameters and by inputs, to 1e-10

for_each_network = pytest.mark.parametrize("number", range(6))


def compare(reference, number, expected):
    name = list(reference.NETWORKS)[number]
    net = mlp.MLP(reference.NETWORKS[name], hidden="tanh", dtype="float64", seed=0)
    net.theta = expected["theta"]
    objective = mlp.Objective(net, expected["X"], expected["y"])
    cost, gradient = objective(net.theta)
    for found, of in [
        (net.forward(expected["X"]), "outputs"),
        (cost, "cost"),
        (gradient, "gradient"),
        (objective.input_gradient(net.theta), "input_gradient"),
    ]:
        assert_allclose(found, expected[of], rtol=1e-10, atol=1e-12, err_msg=of)


@for_each_network
def test_pytorch_says_the_same(reference, number):
    pytest.importorskip("torch")
    name = list(reference.NETWORKS)[number]
    net, X, y = reference.make(name, seed=1, n=20)
    outputs, cost, gradient, inputs = reference.torch_says(name, net.theta, X, y)
    expected = {"theta": net.theta, "X": X, "y": y, "outputs": outputs, "cost": cost, "gradient": gradient}
    compare(reference, number, expected | {"input_gradient": inputs})


@for_each_network
@pytest.mark.parametrize("way", ["blas", "numpy alone", "in parts"])
def test_pytorch_said_the_same(reference, number, way, monkeypatch):
    """Values in by_torch.npz, for where torch isn't; and the same numbers where BLAS's functions can't be had, and where the
    work is shared out."""
    if way == "blas":
        monkeypatch.setattr(mlp.strided, "_SMALL", 0)
    if way == "numpy alone":
        monkeypatch.setattr(mlp.strided, "GEMM", {})
    if way == "in parts":
        monkeypatch.setattr(mlp.microbatches, "IN_TWO", 0)
        monkeypatch.setattr(mlp.microbatches, "MOST", 7)
    with np.load(reference.FILE) as file:
        compare(reference, number, {name[2:]: file[name] for name in file.files if name.startswith(f"{number}/")})


# Central differences

GRID = {
    "odd sizes": [(7, 5, 2), Conv(3, 3), 3],
    "one channel": [(6, 6), Conv(2, 3), 3],
    "rows only": [(7, 4, 2), Conv(2, (3, 1)), 3],
    "the whole image": [(4, 5, 2), Conv(3, (4, 5)), 3],
    "a rest": [(8, 7, 2), Conv(2, 3, stride=(2, 3)), 3],
    "stride above kernel": [(8, 7), Conv(2, 2, stride=3), 3],
    "padding": [(5, 4, 2), Conv(2, 3, padding=2), 3],
    "padding, pair": [(5, 4), Conv(2, 3, padding=(0, 2), stride=2), 3],
    "same": [(5, 6), Conv(2, (3, 2), padding="same"), 3],
    "same, stride": [(5, 6, 2), Conv(2, 4, padding="same", stride=2), 3],
    "valid": [(5, 5), Conv(2, 2, padding="valid"), 3],
    "1 x 1": [(3, 4, 3), Conv(4, 1), 3],
    "conv after conv": [(7, 6, 2), Conv(3, 3, padding=1), Conv(2, 2, stride=2), 3],
    "three convs": [(5, 5), Conv(2, 3), Conv(3, 1), Conv(2, 3, padding="same"), 3],
    "a pool first": [(7, 7, 2), MaxPool(2), Conv(2, 2), 3],
    "two pools": [(9, 9), Conv(2, 2), MaxPool(3, stride=2), MeanPool(2, stride=1), 3],
    "a pool last but one": [(6, 6), Conv(2, 3), MeanPool(2), 4, 3],
    "dense below": [(4, 4), 5, 3],
    "no dense layer": [(5, 5, 2), Conv(4, 3), Conv(3, 3)],
    "a pool on top": [(6, 6), Conv(3, 3), MeanPool(4)],
}


@pytest.mark.parametrize("number", range(len(GRID)), ids=GRID)
def test_gradients(classify, number):
    entries, hidden = list(GRID.values())[number], ("tanh", "relu")[number % 2]
    output = "identity" if isinstance(entries[-1], MeanPool) else "softmax"
    objective = classify(entries, hidden=hidden, output=output, objective={"weight_decay": 0.1})
    found = mlp.check_gradient(objective, objective.net.theta, sample=40, tolerance=1e-7)
    assert found, str(found)


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name not in ("softmax", "threshold")])
def test_gradients_by_activation(classify, activation):
    objective = classify([(5, 5, 2), Conv(2, 3, activation), MaxPool(2, 1), 3], hidden="tanh")
    assert objective.net.layers[0].activation is ACTIVATIONS[activation]
    found = mlp.check_gradient(objective, objective.net.theta, tolerance=1e-7)
    assert found, str(found)


class Sine:
    """An activation of one's own, which sees rows (n, units)."""

    name = "sine"

    def value(self, z):
        assert z.shape == (len(z), 18)
        return np.sin(z)

    def derivative(self, z):
        return np.cos(z)


def test_an_activation_of_ones_own(classify):
    objective = classify([(5, 5), Conv(2, 3, Sine()), 3])
    assert mlp.check_gradient(objective, objective.net.theta)


@pytest.mark.parametrize("entries", [GRID["conv after conv"], GRID["a pool first"], GRID["same, stride"]])
def test_gradients_by_inputs(classify, entries):
    objective = classify(entries, n=2, hidden="tanh")
    net, X, y = objective.net, objective.X, objective.Y
    n = len(X)

    def by_inputs(flat):
        rows = mlp.Objective(net, flat.reshape(n, -1), y)
        return rows(net.theta)[0], rows.input_gradient(net.theta).ravel()

    found = mlp.check_gradient(by_inputs, X.ravel(), sample=40)
    assert found, str(found)


# Any number of examples


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9])
def test_chunks_of_examples_add_up(classify, monkeypatch, n):
    entries = [(6, 5, 2), Conv(3, 3), MaxPool(2), Conv(2, 1), 3]
    whole = classify(entries, n=n)
    theta = whole.net.theta
    cost, gradient = whole(theta)
    outputs, inputs = whole.net.forward(whole.X), whole.input_gradient(theta)
    monkeypatch.setattr(mlp.backprop, "CHUNK", 4)
    chunked = classify(entries, n=n)
    assert_allclose(chunked(theta)[0], cost, rtol=1e-13)
    assert_allclose(chunked(theta)[1], gradient, atol=1e-14)
    assert_allclose(chunked.net.forward(whole.X), outputs, rtol=1e-12)
    assert_allclose(chunked.input_gradient(theta), inputs, atol=1e-15)
    # a smaller batch after a larger one, and the larger one again, over the same memory
    assert_allclose(chunked(theta, [0])[0], mlp.Objective(whole.net, whole.X[:1], whole.Y[:1])(theta)[0], rtol=1e-12)
    assert_allclose(chunked(theta)[1], gradient, atol=1e-14)


def test_the_last_batch_of_another_size_leaves_nothing_behind(classify):
    objective = classify([(6, 6), Conv(2, 3, padding=1), MaxPool(2), 3], n=10)
    theta = objective.net.theta
    alone = objective(theta, [1, 2, 3])[1]
    for rows in ([4], slice(None), [1, 2, 3, 4, 5], [9]):
        objective(theta + 1, rows)
    assert_array_equal(objective(theta, [1, 2, 3])[1], alone)


# Numbers and drawing


def test_numbers_as_the_field_counts_them():
    # Stanford CS231n, "Convolutional networks": 32 × 32 × 3, ten 5 × 5 filters, stride 1, pad 2
    net = mlp.MLP([(32, 32, 3), Conv(10, 5, padding=2), 10], seed=0)
    layer = net.layers[0]
    assert (layer.out_shape, layer.size, layer.multiply_adds) == ((32, 32, 10), 760, 768_000)
    assert (layer.W.shape, layer.b.shape) == ((10, 75), (10,))


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        # fan-in 5·5·4 = 100, fan-out 5·5·20 = 500 (Glorot and Bengio 2010; He et al. 2015, section 2.2)
        ("glorot_uniform", 2 / 600),
        ("glorot_normal", 2 / 600),
        ("he_uniform", 2 / 100),
        ("he_normal", 2 / 100),
        ("lecun_normal", 1 / 100),
        ("lecture_uniform", 2 / 601),
        ("small_normal:0.5", 0.25),
    ],
)
def test_weights_have_the_variance_that_their_fans_call_for(init, variance):
    W = np.concatenate([mlp.MLP([(6, 6, 4), Conv(20, 5), 2], init=init, seed=seed).layers[0].W for seed in range(10)])
    assert W.size == 20_000
    assert np.var(W) == pytest.approx(variance, rel=0.04)  # four standard deviations of a normal sample's variance
    if "uniform" in init:
        assert np.abs(W).max() <= np.sqrt(3 * variance) * (1 + 1e-6)
    assert W.mean() == pytest.approx(0, abs=4 * np.sqrt(variance / W.size))


def test_a_conv_may_have_an_initialiser_of_its_own():
    asked = []

    def init(n_in, n_out, _rng):
        asked.append((n_in, n_out))
        return np.full((n_out, n_in), 7.0)

    net = mlp.MLP([(5, 6, 2), Conv(3, (2, 4), init=init), 2], seed=0)
    assert asked == [(2 * 4 * 2, 2 * 4 * 3)]
    assert_array_equal(net.layers[0].W, np.full((3, 16), 7))
    assert not net.layers[0].b.any()
    assert net.layers[1].W.max() < 7


class Counting(np.random.Generator):
    """Counts how many numbers are drawn."""

    drawn = 0

    def uniform(self, low, high, size):
        self.drawn += np.prod(size)
        return super().uniform(low, high, size)

    def standard_normal(self, size):
        self.drawn += np.prod(size)
        return super().standard_normal(size)


@pytest.mark.parametrize("init", [*INITIALIZERS, "he_normal:0.1", "small_normal:2"])
def test_no_more_numbers_are_drawn_than_there_are_weights(init):
    rng = Counting(np.random.PCG64(0))
    net = mlp.MLP([(6, 6, 4), Conv(20, 5), 2], init=init, seed=rng)
    assert rng.drawn == 20 * 100 + 2 * 80
    # the first rows of the W (25·20, 25·4) that it would draw for a dense layer of these fans
    W = initializers.get(init)(100, 500, np.random.default_rng(0))
    assert_array_equal(net.layers[0].W, W[:20].astype(np.float32))


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (np.zeros((20, 100)), ValueError, r"^init: returned W of shape \(20, 100\), but it must be \(500, 100\)$"),
        (None, TypeError, r"^init: W: received dtype object"),
    ],
)
def test_an_initialiser_of_ones_own_that_returns_what_is_no_w(returned, error, message):
    with pytest.raises(error, match=message):
        mlp.MLP([(6, 6, 4), Conv(20, 5), 2], init=lambda *_: returned)


def test_repr_says_how_to_make_it():
    for text in (
        "Conv(20, 5)",
        "Conv(20, (5, 3), 'tanh')",
        "Conv(20, 5, 'relu', stride=2, padding='same')",
        "Conv(20, 5, stride=(1, 2), padding=(0, 1))",
        "MaxPool(2)",
        "MaxPool((2, 3), stride=1)",
        "MeanPool(3, stride=2)",
    ):
        assert repr(eval(text, {"Conv": Conv, "MaxPool": MaxPool, "MeanPool": MeanPool})) == text
    assert repr(Conv(20, 5, padding="valid")) == "Conv(20, 5)"


def test_more_inputs_than_blas_can_count_are_refused_before_memory_is_taken():
    message = r"^layers: layer 1, Conv\(1, 50000\): kernel: its window on 50000 × 50000 × 1 has 2,500,000,000 inputs, but"
    with pytest.raises(ValueError, match=message):
        mlp.MLP([(50_000, 50_000), Conv(1, 50_000), 1])
