"""`Dense`: its views of a vector, its three verbs by hand, how it is drawn, and what it refuses."""

import numpy as np
import pytest

import mlp
from mlp import Dense


def linear(W, b, dtype="float64"):
    """A network of one identity layer with those parameters."""
    W = np.asarray(W)
    net = mlp.MLP([Dense(W.shape[1], W.shape[0])], dtype=dtype, seed=0)
    net.layers[0].W[:] = W
    net.layers[0].b[:] = b
    return net


# Views


def test_a_layer_of_its_own_is_zeros():
    layer = Dense(3, 2, "tanh")
    assert (layer.fan_in, layer.units, layer.size) == (3, 2, 8)
    assert layer.activation.name == "tanh"
    np.testing.assert_array_equal(layer.W, np.zeros((2, 3)))
    np.testing.assert_array_equal(layer.b, np.zeros(2))


def test_the_activation_is_the_identity_unless_told_otherwise():
    assert Dense(3, 2).activation.name == "identity"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_at_makes_views_row_by_row_and_copies_nothing(dtype):
    layer = Dense(3, 2, "tanh")
    vector = np.arange(8, dtype=dtype)
    moved = layer.at(vector)
    np.testing.assert_array_equal(moved.W, [[0, 1, 2], [3, 4, 5]])  # row j is unit j's feature
    np.testing.assert_array_equal(moved.b, [6, 7])
    assert moved.W.dtype == moved.b.dtype == dtype
    moved.W[1, 2] = 50
    vector[7] = 70
    assert vector[5] == 50
    assert moved.b[1] == 70
    assert moved.activation is layer.activation
    np.testing.assert_array_equal(layer.W, np.zeros((2, 3)))  # the layer it came from stays where it was
    np.testing.assert_array_equal(layer.b, np.zeros(2))


def test_a_network_leaves_the_layers_it_is_given_alone():
    given = [Dense(3, 2, "tanh"), Dense(2, 4, "softmax")]
    first, second = mlp.MLP(given, seed=1), mlp.MLP(given, seed=2)
    for layer in given:
        assert not layer.W.any()
    assert not np.shares_memory(first.theta, second.theta)
    assert not np.array_equal(first.theta, second.theta)


# The three verbs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_verbs_by_hand(dtype):
    layer = Dense(2, 3).at(np.array([1, 2, 3, 4, 5, 6, 10, 20, 30], dtype))
    A = np.array([[1, 0], [2, -1]], dtype)  # columns (1, 2) and (0, −1)
    Delta = np.array([[1, 0], [-1, 3], [2, 1]], dtype)
    ones, Z, below = layer.scratch(2, dtype), np.full((3, 2), np.nan, dtype), np.full((2, 2), np.nan, dtype)
    layer.forward(A, Z, ones)
    # (1 + 4 + 10, 3 + 8 + 20, 5 + 12 + 30) and (−2 + 10, −4 + 20, −6 + 30)
    np.testing.assert_array_equal(Z, [[15, 8], [31, 16], [47, 24]])
    layer.propagate(Delta, below, ones)
    # Wᵀ(1, −1, 2) = (1 − 3 + 10, 2 − 4 + 12) and Wᵀ(0, 3, 1) = (9 + 5, 12 + 6)
    np.testing.assert_array_equal(below, [[8, 14], [10, 18]])
    layer.gradient(Delta, A, -0.5, ones)
    # W − ½ (1, −1, 2)(1, 2)ᵀ − ½ (0, 3, 1)(0, −1)ᵀ, and b − ½ (1, 2, 3)
    np.testing.assert_array_equal(layer.W, [[0.5, 1], [3.5, 6.5], [4, 4.5]])
    np.testing.assert_array_equal(layer.b, [9.5, 19, 28.5])


def test_what_is_decayed_normed_and_named():
    layer = Dense(2, 3)
    assert (layer.decayed, layer.normed, list(layer.parameters())) == (("W",), ("W",), ["W", "b"])
    assert [layer.name_of(k) for k in (0, 5, 6, 8)] == ["W[0, 0]", "W[2, 1]", "b[0]", "b[2]"]
    with pytest.raises(IndexError, match=r"^component: received "):
        layer.name_of(9)
    with pytest.raises(AttributeError, match="Dense has no 'V'"):
        _ = layer.V


@pytest.mark.parametrize("order", ["C", "F"])
def test_inputs_in_either_memory_order_and_with_gaps(order):
    net = linear([[1, 2], [3, 4], [5, 6]], [10, 20, 30])
    X = np.array([[1, 2], [0, -1]], float)
    spread = np.zeros((4, 6), order=order)
    spread[::2, 1::4] = X
    for given in (np.array(X, order=order), spread[::2, 1::4]):
        np.testing.assert_array_equal(net.forward(given), [[15, 31, 47], [8, 16, 24]])
        value, _ = mlp.Objective(net, given, [[14, 32, 45], [8, 13, 23]])(net.theta, [1, 0])
        assert value == 4


# Drawing


def test_a_layers_own_initialiser_comes_before_the_networks():
    def sevens(n_in, n_out, _rng):
        return np.full((n_out, n_in), 7.0)

    net = mlp.MLP([Dense(3, 2, "relu", init=sevens), Dense(2, 4)], init=lambda n_in, n_out, _rng: np.full((n_out, n_in), 5.0))
    np.testing.assert_array_equal(net.layers[0].W, np.full((2, 3), 7))
    np.testing.assert_array_equal(net.layers[1].W, np.full((4, 2), 5))
    np.testing.assert_array_equal(net.layers[0].b, [0, 0])


def test_initialize_sets_the_biases_to_zero_and_draws_from_the_generator():
    layer = Dense(4, 3)
    layer.b[:] = 9
    layer.initialize(np.random.default_rng(3), "he_normal")
    np.testing.assert_array_equal(layer.b, [0, 0, 0])
    drawn = layer.W.copy()
    assert np.unique(drawn).size == 12
    rng = np.random.default_rng(3)
    layer.initialize(rng, "he_normal")
    np.testing.assert_array_equal(layer.W, drawn)
    layer.initialize(rng, "he_normal")  # further on in the same generator
    assert not np.intersect1d(layer.W, drawn).size


# Bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (0, 2),
            ValueError,
            r"^fan_in: received 0 \(int\), but it must be an integer of at least 1 and at most 2,147,483,647$",
        ),
        ((3, 0), ValueError, r"^units: received 0 .*at least 1 and at most 2,147,483,647$"),
        ((10**400, 2), ValueError, r"^fan_in: received 1000.* at most 2,147,483,647$"),
        ((3, 1 << 31), ValueError, r"^units: received 2147483648 .* at most 2,147,483,647$"),
        ((3, "2"), TypeError, r"^units: received '2' \(str\), but it must be an integer"),
        ((3, 2, "sigmod"), ValueError, r"^activation: received 'sigmod'.* one of identity, relu"),
        ((3, 2, 7), TypeError, r"^activation: received 7 \(int\)"),
        ((3, 2, "relu", "glorot"), ValueError, r"^init: received 'glorot'.*did you mean 'glorot_\w+'"),
        ((3, 2, "relu", 7), TypeError, r"^init: received 7 \(int\).*function \(n_in, n_out, rng\)"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Dense(*arguments)


def test_an_initialiser_that_returns_a_wrong_shape_changes_nothing():
    layer = Dense(3, 2)
    layer.W[:] = 1
    with pytest.raises(ValueError, match=r"^init: returned W of shape \(6,\), but it must be \(2, 3\)"):
        layer.initialize(np.random.default_rng(0), lambda *_: np.zeros(6))
    np.testing.assert_array_equal(layer.W, np.ones((2, 3)))


def test_repr_says_how_to_make_it():
    assert repr(Dense(784, 256, "relu")) == "Dense(784, 256, 'relu')"
