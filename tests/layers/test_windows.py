"""How windows stand on images: sizes, zeros around them, receptive fields, summaries; and what is refused when a network is
made."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import mlp
from mlp import Conv, Dense, MaxPool, MeanPool

# Sizes, (H − K + 2P)/S + 1 rounded down, by hand


@pytest.mark.parametrize(
    ("image", "layer", "expected"),
    [
        ((28, 28), Conv(20, 5), (24, 24, 20)),
        ((32, 32, 3), Conv(10, 5, padding=2), (32, 32, 10)),
        ((227, 227, 3), Conv(96, 11, stride=4), (55, 55, 96)),  # AlexNet's first layer, as CS231n counts it
        ((7, 7), Conv(1, 3, stride=2), (3, 3, 1)),
        ((8, 7), Conv(1, 3, stride=(2, 3)), (3, 2, 1)),  # 5/2 and 4/3 leave a rest
        ((5, 9, 2), Conv(4, (1, 9)), (5, 1, 4)),
        ((5, 5), Conv(1, 5), (1, 1, 1)),
        ((3, 3), Conv(1, 5, padding=1), (1, 1, 1)),
        ((4, 6), Conv(1, (3, 2), padding=(2, 1)), (6, 7, 1)),
        ((7, 6), Conv(1, 3, padding="valid"), (5, 4, 1)),
        ((7, 6), Conv(1, 3, padding="same"), (7, 6, 1)),
        ((7, 6), Conv(1, (4, 2), padding="same"), (7, 6, 1)),
        ((7, 6), Conv(1, 3, padding="same", stride=2), (4, 3, 1)),  # ⌈7/2⌉, ⌈6/2⌉
        ((7, 6), Conv(1, 2, padding="same", stride=4), (2, 2, 1)),
        ((24, 24, 20), MaxPool(2), (12, 12, 20)),
        ((7, 5, 3), MaxPool(2), (3, 2, 3)),
        ((7, 5, 3), MaxPool(3, stride=2), (3, 2, 3)),
        ((7, 5, 3), MeanPool((1, 5)), (7, 1, 3)),
        ((7, 5, 3), MeanPool(2, stride=1), (6, 4, 3)),
    ],
)
def test_output_shapes(image, layer, expected):
    placed = mlp.MLP([image, layer, 2], seed=0).layers[0]
    assert placed.out_shape == expected
    assert placed.units == np.prod(expected)
    assert placed.in_shape == (*image, 1)[:3]


def test_uneven_zeros_of_same_go_below_and_to_the_right():
    # as TensorFlow and PyTorch have it: a kernel of 2 needs one zero in all
    net = mlp.MLP([(2, 2), Conv(1, 2, "identity", padding="same")], output="identity", seed=0)
    net.layers[0].W[:] = [[1, 10, 100, 1000]]
    assert_array_equal(net.forward([[1, 2, 3, 4]]), [[4321, 402, 43, 4]])


def test_layers_of_another_network_bring_their_image():
    first = mlp.MLP([(6, 5, 2), Conv(3, 3), MaxPool(2), 4, 2], hidden="tanh", seed=0)
    again = mlp.MLP(first.layers, seed=1)
    assert repr(again) == repr(first)
    assert again.in_shape == (6, 5, 2)
    assert again.sizes == first.sizes == [60, 36, 6, 4, 2]


# What a unit sees

LENET = [(28, 28), Conv(20, 5), MaxPool(2), Conv(50, 5), MaxPool(2), 500, 10]


def test_summary():
    table = [line.split("  ") for line in mlp.MLP(LENET, seed=0).summary().splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in table]
    # parameters: 20·(25 + 1), 50·(500 + 1), 500·(800 + 1), 10·(500 + 1); products: 24²·20·25, 8²·50·500, 800·500, 500·10
    assert cells == [
        ["layer", "output", "parameters", "multiply-adds", "sees"],
        ["input 28 × 28"],
        ["Conv(20, 5, 'relu')", "24 × 24 × 20", "520", "288,000", "5 × 5"],
        ["MaxPool(2)", "12 × 12 × 20", "0", "0", "6 × 6"],
        ["Conv(50, 5, 'relu')", "8 × 8 × 50", "25,050", "1,600,000", "14 × 14"],
        ["MaxPool(2)", "4 × 4 × 50", "0", "0", "16 × 16"],
        ["Dense(800, 500, 'relu')", "500", "400,500", "400,000", "all"],
        ["Dense(500, 10, 'softmax')", "10", "5,010", "5,000", "all"],
        ["total", "431,080", "2,293,000"],
    ]


@pytest.mark.parametrize(
    "entries",
    [
        [(11, 11), Conv(1, 3), Conv(1, 3), Conv(1, 3)],  # 3, 5, 7
        [(15, 13), Conv(1, (3, 2), stride=2), MeanPool(2, stride=1), Conv(1, 2, stride=(1, 2))],
        [(12, 12, 2), Conv(2, 3), MeanPool(2), Conv(1, 3, padding=1)],
    ],
)
def test_receptive_fields_are_what_input_gradients_measure(entries):
    """The middle unit of each layer depends on just so many rows and columns of the image."""
    for depth in range(1, len(entries)):
        net = mlp.MLP(entries[: depth + 1], hidden="identity", output="identity", dtype="float64", seed=0)
        net.theta[:] = 1 + np.random.default_rng(0).random(net.theta.size)
        rows, columns, maps = net.layers[-1].out_shape
        unit = (rows // 2 * columns + columns // 2) * maps
        X = np.ones((1, net.sizes[0]))
        target = net.forward(X)
        target[0, unit] -= 1  # the error of this unit alone is 1
        seen = mlp.Objective(net, X, target).input_gradient(net.theta).reshape(*entries[0][:2], -1).any(axis=2)
        high, wide = seen.any(axis=1).sum(), seen.any(axis=0).sum()
        assert mlp.layers.windows.receptive_fields(net.layers)[-1] == (high, wide)


def test_below_a_dense_layer_all_is_seen():
    net = mlp.MLP([(8, 8), Conv(2, 3), 5, 3], seed=0)
    assert mlp.layers.windows.receptive_fields(net.layers) == [(3, 3), None, None]


# Bad input


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [(28, 28), Conv(20, 5), MaxPool(2), Conv(50, 13), 10],
            "layers: layer 3, Conv(50, 13): its input is 12 × 12 × 20 and a window that is 13 high doesn't fit on it",
        ),
        (
            [(28, 20), Conv(20, 25), 10],
            "layers: layer 1, Conv(20, 25): its input is 28 × 20 × 1 and a window that is 25 wide doesn't fit on it",
        ),
        (
            [(4, 4), Conv(2, (2, 7), padding=1), 10],
            "layers: layer 1, Conv(2, (2, 7), padding=1): its input is 4 × 4 × 1, 6 with its zeros, and a window that is 7",
        ),
        ([(28, 28), MaxPool(30), 10], "layers: layer 1, MaxPool(30): its input is 28 × 28 × 1 and a window that is 30 high"),
        (
            [(28, 28), Conv(20, 5, padding=5), 10],
            "layers: layer 1, Conv(20, 5, padding=5): padding: received 5, but it must be below the window's size, 5",
        ),
        (
            [(28, 28), 100, Conv(20, 5), 10],
            "layers: layer 2, Conv(20, 5): its input is 100, but it takes an image: (height, width) or (height, width, ch",
        ),
        ([784, Conv(20, 5), 10], "layers: layer 1, Conv(20, 5): its input is 784, but it takes an image"),
        ([784, MaxPool(2), 10], "layers: layer 1, MaxPool(2): its input is 784, but it takes an image"),
        (
            [(2, 28, 28, 1), Conv(20, 5), 10],
            "layers: layer 1, Conv(20, 5): its input is 2 × 28 × 28 × 1, but it takes an image",
        ),
        ([Conv(20, 5), 10], "layers: received Conv(20, 5) first, but its input must stand before it: (height, width)"),
        (
            [(28, 28), Conv(20, 5), Dense(100, 10)],
            "layers: layer 2, Dense(100, 10, 'identity'): its input is 24 × 24 × 20, but it takes 100",
        ),
        (
            [(28, 28), *mlp.MLP([(28, 28, 3), Conv(20, 5), 10], seed=0).layers],
            "layers: layer 1, Conv(20, 5, 'relu'): its input is 28 × 28, but it takes 28 × 28 × 3",
        ),
        (
            [(28, 28), *mlp.MLP([(14, 56), MaxPool(2), 10], seed=0).layers],
            "layers: layer 1, MaxPool(2): its input is 28 × 28, but it takes 14 × 56 × 1",
        ),
        ([(28, 0), Conv(20, 5), 10], "layers[0][1]: received 0 (int), but it must be an integer of at least 1"),
        ([(28, 28), Conv(2, 5, "softmax"), 10], "hidden: layer 1 is 'softmax', which is allowed for the output layer only"),
    ],
)
def test_networks_that_make_no_sense_are_refused_when_they_are_made(refused, entries, message):
    with refused(ValueError, message):
        mlp.MLP(entries)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Conv(0, 5),
            ValueError,
            "maps: received 0 (int), but it must be an integer of at least 1 and at most 2,147,483,647",
        ),
        (lambda: Conv(2, 0), ValueError, "kernel: received 0 (int), but it must be an integer of at least 1"),
        (lambda: Conv(2, (3, 0)), ValueError, "kernel[1]: received 0 (int), but it must be an integer of at least 1"),
        (lambda: Conv(2, (3,)), ValueError, "kernel: received (3,) (tuple), but it must be an integer, or a pair (height, wid"),
        (lambda: Conv(2, "5"), TypeError, "kernel: received '5' (str), but it must be an integer, or a pair (height, width)"),
        (lambda: Conv(2, 5.0), TypeError, "kernel: received 5.0 (float)"),
        (lambda: Conv(2, True), TypeError, "kernel: received True (bool)"),
        (lambda: Conv(2, 5, stride=0), ValueError, "stride: received 0 (int), but it must be an integer of at least 1"),
        (lambda: Conv(2, 5, stride=None), TypeError, "stride: received None"),
        (lambda: Conv(2, 5, padding=-1), ValueError, "padding: received -1 (int), but it must be an integer of at least 0"),
        (lambda: Conv(2, 5, padding="sam"), ValueError, "padding: received 'sam' (str), but it must be an integer, a pair of"),
        (lambda: Conv(2, 5, "rlu"), ValueError, "activation: received 'rlu' (str), but it must be one of identity"),
        (lambda: Conv(2, 5, init="glorot"), ValueError, "init: received 'glorot'"),
        (lambda: MaxPool(0), ValueError, "size: received 0 (int), but it must be an integer of at least 1"),
        (lambda: MaxPool(2, 0), ValueError, "stride: received 0 (int), but it must be an integer of at least 1"),
        (lambda: MeanPool((2, 3, 4)), ValueError, "size: received (2, 3, 4) (tuple), but it must be an integer, or a pair"),
    ],
)
def test_bad_arguments_are_named(refused, make, error, message):
    with refused(error, message):
        make()


def test_images_of_another_size_are_refused():
    net = mlp.MLP([(28, 28), Conv(2, 5), 10], seed=0)
    with pytest.raises(ValueError, match=r"^X: received 1024 features, shape \(1, 1024\), but the network takes 784"):
        net.forward(np.zeros((1, 1024)))


NONSENSE = [
    *(0, -1, 1, 2, 3, 5, 10**30, 2.5, float("nan"), True, None, "same", "2", "", b"2", (), (2,), (2, 3), (0, 1), (1, 2, 3)),
    *([2, 2], [2, "2"], (2, None), (2, (2, 2)), {}, {"a": 1}, np.int32(3), np.array([2, 2]), np.zeros(0), object(), print),
]


@pytest.mark.parametrize("kind", [Conv, MaxPool, MeanPool])
def test_no_argument_makes_another_error_than_a_clear_one(kind):
    """Arguments drawn from nonsense: what comes out is a layer that its repr makes again, or an error that names one."""
    rng = np.random.default_rng(0)
    names = ("maps", "kernel", "activation", "stride", "padding", "init") if kind is Conv else ("size", "stride")
    made, said = 0, []
    for _ in range(3000):
        given = {name: NONSENSE[rng.integers(len(NONSENSE))] for name in names}
        for name in rng.permutation(names)[: rng.integers(len(names))]:
            given[name] = {"activation": "relu", "init": "he_normal"}.get(name, 2)
        try:
            layer = kind(**given)
        except (TypeError, ValueError) as error:
            said.append(str(error))
        else:
            again = eval(repr(layer), {kind.__name__: kind})
            assert repr(again) == repr(layer)
            made += 1
    assert made > 20
    assert len(said) > 20
    assert [message for message in said if message.split(":")[0].split("[")[0] not in names] == []


def test_no_geometry_makes_another_error_than_a_clear_one():
    """Random stacks of layers: a network with outputs of the shapes it says, or an error that names the layer."""
    rng = np.random.default_rng(1)
    made, said = 0, []
    for _ in range(1000):
        entries = [tuple(int(size) for size in rng.integers(1, 9, rng.integers(2, 4)))]
        for _ in range(rng.integers(1, 5)):
            size, stride = (tuple(int(number) for number in rng.integers(1, 4, 2)) for _ in range(2))
            padding = [0, 1, "same", (1, 0)][rng.integers(4)]
            entries.append([Conv(2, size, None, stride, padding), MaxPool(size, stride), MeanPool(size), 3][rng.integers(4)])
        try:
            net = mlp.MLP(entries, seed=0, output="identity")
        except ValueError as error:
            said.append(str(error))
            continue
        made += 1
        X = rng.standard_normal((2, net.sizes[0]))
        for number, layer in enumerate(net.layers):
            assert net.forward(X, layer=number).shape == (2, np.prod(layer.out_shape))
        if net.theta.size:
            cost, gradient = mlp.Objective(net, X, np.zeros((2, net.sizes[-1])))(net.theta)
            assert np.isfinite(cost)
            assert gradient.shape == net.theta.shape
    assert 200 < made < 900
    assert [message for message in said if not message.startswith("layers: layer ")] == []
