"""Activations: values and derivatives against tables, scipy.special and scipy.stats; extremes; the user's own.

A network with no hidden layer, W = 0 and X = 0 has Z = b, so its output is σ(b); and under the cost Σⱼ gⱼaⱼ its gradient
with respect to b is gⱼ σ′(bⱼ) (Jᵀg for softmax). All of it goes through what scripts use: `MLP` and `Objective`.
"""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

import mlp
from mlp import activations
from mlp.activations import lecture

ELEMENTWISE = ["identity", "relu", "softplus", "threshold", "logistic", "tanh"]
Z = np.array([-30.0, -7.5, -2.0, -1.0, -0.25, -1e-3, 1e-3, 0.5, 1.0, 3.0, 12.0, 30.0])


class Weighted:
    """The cost Σⱼ gⱼaⱼ, which has g as its gradient."""

    def __init__(self, g):
        self.g = np.asarray(g)

    def value(self, A, Y):
        return A @ self.g.astype(A.dtype)

    def gradient(self, A, Y):
        return np.broadcast_to(self.g, A.shape)


def network_at(z, activation, dtype="float64"):
    """A network whose weighted input is z for X = 0."""
    net = mlp.MLP([1, len(z)], output=activation, dtype=dtype, seed=0)
    net.layers[0].b[:] = z
    return net


def value(z, activation, dtype="float64"):
    return network_at(z, activation, dtype).forward([[0.0]])[0]


def backward(z, activation, dtype="float64", g=None):
    """σ′(z), or Jᵀg."""
    net = network_at(z, activation, dtype)
    g = np.ones(len(z)) if g is None else g
    objective = mlp.Objective(net, [[0.0]], np.zeros((1, len(z))), cost=Weighted(g))
    return objective(net.theta)[1][len(z) :]  # after W (len(z), 1) come the biases


# Values


@pytest.mark.parametrize(
    ("activation", "z", "expected"),
    [
        ("identity", [-2.5, 0.0, 4.0], [-2.5, 0.0, 4.0]),
        ("relu", [-2.5, 0.0, 4.0], [0.0, 0.0, 4.0]),
        ("threshold", [-2.5, -1e-300, 0.0, 1e-300, 4.0], [0.0, 0.0, 0.0, 1.0, 1.0]),
        ("logistic", [0.0, math.log(3), -math.log(4)], [1 / 2, 3 / 4, 1 / 5]),
        ("logistic", [1.0, -2.0], [0.7310585786300049, 0.11920292202211755]),  # e/(1 + e), 1/(1 + e²)
        ("tanh", [0.0, math.log(2), -math.log(3)], [0.0, 3 / 5, -4 / 5]),
        ("tanh", [0.5], [0.46211715726000975]),  # (e − 1)/(e + 1)
        ("softplus", [0.0, math.log(3), -math.log(3)], [math.log(2), math.log(4), math.log(4 / 3)]),
        ("softplus", [0.0], [0.6931471805599453]),
        ("softmax", [0.0, math.log(2), math.log(5)], [1 / 8, 2 / 8, 5 / 8]),
        ("softmax", [1.0, 2.0, 3.0], [0.09003057317038046, 0.24472847105479764, 0.6652409557748218]),  # (1, e, e²)/(1 + e + e²)
    ],
)
def test_value_by_hand(activation, z, expected):
    np.testing.assert_allclose(value(z, activation), expected, rtol=2e-15, atol=1e-16)


@pytest.mark.parametrize(
    ("activation", "reference"),
    [
        ("logistic", scipy.special.expit),
        ("softplus", lambda z: -scipy.special.log_expit(-z)),
        ("tanh", lambda z: [math.tanh(each) for each in z]),
        ("relu", lambda z: np.clip(z, 0, None)),
        ("threshold", lambda z: np.heaviside(z, 0)),
        ("softmax", scipy.special.softmax),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_agrees_with_scipy(activation, reference, dtype):
    z = Z.astype(dtype)
    # 1 + tanh(z/2) cancels for very negative z: the logistic is right to the precision of 1, not of itself
    precision = 4 * np.finfo(dtype).eps
    result = value(z, activation, dtype)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, reference(z.astype(float)), rtol=precision, atol=precision)


# Derivatives


@pytest.mark.parametrize(
    ("activation", "z", "expected"),
    [
        ("identity", [-2.0, 0.0, 3.0], [1.0, 1.0, 1.0]),
        ("relu", [-2.0, 0.0, 1e-300, 0.5, 3.0], [0.0, 0.0, 1.0, 1.0, 1.0]),
        ("threshold", [-2.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
        ("logistic", [0.0, math.log(3), -math.log(4)], [1 / 4, 3 / 16, 4 / 25]),
        ("tanh", [0.0, math.log(2), -math.log(3)], [1.0, 16 / 25, 9 / 25]),
        ("softplus", [0.0, math.log(3), -math.log(4)], [1 / 2, 3 / 4, 1 / 5]),
    ],
)
def test_derivative_by_hand(activation, z, expected):
    np.testing.assert_allclose(backward(z, activation), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("activation", "reference"),
    [
        ("logistic", scipy.stats.logistic.pdf),  # the logistic function is the logistic distribution's cdf
        ("softplus", scipy.stats.logistic.cdf),
        ("tanh", lambda z: 2 * scipy.stats.logistic.pdf(z, scale=0.5)),  # tanh z = 2σ(2z) − 1
        ("relu", lambda z: np.heaviside(z, 0)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivative_agrees_with_scipy(activation, reference, dtype):
    z = Z.astype(dtype)
    precision = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(backward(z, activation, dtype), reference(z.astype(float)), rtol=precision, atol=precision)


def test_softmax_sends_back_the_whole_jacobian():
    # a = (1, 2, 5)/8 and g = (1, 0, 0): Jᵀg = a₁(e₁ − a) = (1/8)(7/8, −2/8, −5/8)
    z = [0.0, math.log(2), math.log(5)]
    np.testing.assert_allclose(backward(z, "softmax", g=[1, 0, 0]), [7 / 64, -2 / 64, -5 / 64], rtol=1e-14)
    # g = (0, 1, 3): g·a = 17/8, so Jᵀg = a ⊙ (g − 17/8) = (−17, 2·(−9), 5·7)/64
    np.testing.assert_allclose(backward(z, "softmax", g=[0, 1, 3]), [-17 / 64, -18 / 64, 35 / 64], rtol=1e-14)


def test_softmax_ignores_a_shift_of_its_row_and_not_of_another_row():
    net = mlp.MLP([2, 2], output="softmax", dtype="float64", seed=0)
    net.layers[0].W[:] = np.eye(2)
    X = np.array([[0.0, math.log(3)], [700.0, 700 + math.log(3)], [-5000.0, -5000.0]])
    np.testing.assert_allclose(net.forward(X), [[1 / 4, 3 / 4], [1 / 4, 3 / 4], [1 / 2, 1 / 2]], rtol=1e-12)


# Extremes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("activation", "values", "derivatives"),
    [
        ("identity", (-1e4, 1e4), (1, 1)),
        ("relu", (0, 1e4), (0, 1)),
        ("softplus", (0, 1e4), (0, 1)),
        ("threshold", (0, 1), (0, 0)),
        ("logistic", (0, 1), (0, 0)),
        ("tanh", (-1, 1), (0, 0)),
        ("softmax", (0, 1), (0, 0)),
    ],
)
def test_weighted_inputs_of_ten_thousand_give_the_limits_exactly(activation, dtype, values, derivatives):
    z = [-1e4, 1e4]
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(value(z, activation, dtype), values)
        np.testing.assert_array_equal(backward(z, activation, dtype), derivatives)


# By name


@pytest.mark.parametrize("name", [*ELEMENTWISE, "softmax"])
def test_get_finds_every_name(name):
    assert activations.get(name).name == name
    assert activations.get(activations.get(name)) is activations.get(name)


@pytest.mark.parametrize(
    ("wrong", "closest"), [("rellu", "relu"), ("sofplus", "softplus"), ("logistics", "logistic"), ("Tanh", "tanh")]
)
def test_unknown_name_is_told_the_closest_known_one(wrong, closest):
    with pytest.raises(ValueError, match=rf"^activation: received '{wrong}'.* one of identity, relu.*did you mean '{closest}'"):
        activations.get(wrong)


def test_unknown_name_far_from_all_lists_what_is_known():
    with pytest.raises(
        ValueError,
        match=r"hidden: received 'qqqq'.*identity, relu, softplus, threshold, logistic, tanh, softmax, leaky_relu, "
        r"elu, gelu, silu, exponential$",
    ):
        mlp.MLP([2, 2, 2], hidden="qqqq")


@pytest.mark.parametrize("wrong", [None, 3, np.tanh, object(), mlp.MLP])
def test_what_is_no_activation_is_refused_with_what_one_needs(wrong):
    with pytest.raises(TypeError, match=r"^activation: received .*an object with value\(z\) and derivative\(z\)"):
        activations.get(wrong)


# The user's own


class Sine:
    """Not monotone: σ′ can't be had from σ, so z must have been kept."""

    name = "sine"

    def value(self, z):
        return np.sin(z)

    def derivative(self, z):
        return np.cos(z)


class Step:
    """Returns booleans and integers."""

    def value(self, z):
        return z > 0

    def derivative(self, z):
        return np.zeros(z.shape, int)


class Returning:
    """An activation that returns wrong shapes."""

    name = "mine"

    def __init__(self, value=np.tanh, derivative=np.cos):
        self.value = value
        self.derivative = derivative


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_users_activation_at_the_output(dtype):
    z = np.array([0.0, math.pi / 6, math.pi / 2, math.pi, 4.0], dtype)
    precision = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(value(z, Sine(), dtype), [math.sin(each) for each in z], rtol=precision, atol=precision)
    np.testing.assert_allclose(backward(z, Sine(), dtype), [math.cos(each) for each in z], rtol=precision, atol=precision)


@pytest.mark.parametrize("hidden", [[Sine(), "relu"], ["tanh", Sine()], [Sine(), Sine()]])
def test_users_activation_in_hidden_layers_passes_the_gradient_check(hidden):
    rng = np.random.default_rng(5)
    net = mlp.MLP([3, 4, 3, 2], hidden=hidden, output="softmax", dtype="float64", seed=5)
    net.theta[:] = rng.standard_normal(net.theta.size)
    objective = mlp.Objective(net, rng.standard_normal((4, 3)), [0, 1, 1, 0], weight_decay=0.1)
    check = mlp.check_gradient(objective, net.theta)
    assert check.worst_error <= 1e-7, check


def test_users_activation_is_called_by_its_name_or_its_class():
    assert "'sine'" in repr(mlp.MLP([2, 2], output=Sine()))
    assert "'Step'" in repr(mlp.MLP([2, 2], output=Step()))


def test_users_activation_may_return_booleans_and_integers():
    np.testing.assert_array_equal(value([-1.0, 0.0, 2.0], Step(), "float32"), [0, 0, 1])
    np.testing.assert_array_equal(backward([-1.0, 0.0, 2.0], Step(), "float32"), [0, 0, 0])


def test_activation_subclass_of_the_users_is_taken_as_it_is():
    class Doubled(mlp.Activation):
        name = "doubled"

        def value(self, Z, out):
            np.multiply(Z, 2, out=out)

        def backward(self, Delta, Z, A, spare):
            Delta *= 2

    np.testing.assert_array_equal(value([-1.0, 3.0], Doubled()), [-2, 6])
    np.testing.assert_array_equal(backward([-1.0, 3.0], Doubled()), [2, 2])


@pytest.mark.parametrize("wrong", [lambda z: z.sum(), lambda z: z[0], lambda z: z[:, :1], lambda z: z.T])
@pytest.mark.parametrize("method", ["value", "derivative"])
@pytest.mark.parametrize("place", ["hidden", "output"])
def test_wrong_shape_from_the_users_method_is_named(wrong, method, place):
    net = mlp.MLP([3, 2, 2], **{"hidden": "relu", "output": "identity", place: Returning(**{method: wrong})}, seed=0)
    before = net.theta.copy()
    objective = mlp.Objective(net, np.ones((5, 3)), np.ones((5, 2)))
    message = rf"activation 'mine': its {method}\(z\) returned shape .*, but it must return z's own shape, \(5, 2\)"
    with pytest.raises(ValueError, match=message):
        objective(net.theta)
    np.testing.assert_array_equal(net.theta, before)


@pytest.mark.parametrize("method", ["value", "derivative"])
def test_a_users_method_that_writes_into_z_is_refused(method):
    # z would be another to the derivative, and the gradient silently wrong
    def double(z):
        z *= 2
        return z

    net = mlp.MLP([1, 1, 1], hidden=Returning(**{method: double}), output="identity", seed=0)
    with pytest.raises(ValueError, match="read-only"):
        mlp.Objective(net, [[1.0]], [1.0])(net.theta)


@pytest.mark.parametrize("name", [*ELEMENTWISE, "softmax"])
def test_the_backward_pass_leaves_z_and_a_alone(name):
    sigma = activations.get(name)
    weighted = np.random.default_rng(0).standard_normal((3, 5))
    A = np.empty_like(weighted)
    sigma.value(weighted, A)
    kept = weighted.copy(), A.copy()
    sigma.backward(np.ones_like(A), weighted, A, np.empty_like(A))
    np.testing.assert_array_equal(weighted, kept[0])
    np.testing.assert_array_equal(A, kept[1])


@pytest.mark.parametrize(
    ("shape", "joined"), [((4096, 4), (8, 2048)), ((1026, 16), (513, 32)), ((12, 5000),) * 2, ((12, 4),) * 2]
)
def test_short_rows_are_taken_together(shape, joined):
    """As many as divide both the units and 2048 // n; where there are few numbers in all, it is not worth it."""
    [rows] = lecture._long_rows(np.ones(shape))
    assert rows.shape == joined


@pytest.mark.parametrize("order", ["C", "F"])
def test_relu_in_whatever_order_numbers_lie(order):
    Z = np.random.default_rng(0).standard_normal((4096, 4)).copy(order)
    A, Delta = np.empty_like(Z), np.full_like(Z, 7.0)
    relu = activations.get("relu")
    relu.value(Z, A)
    relu.backward(Delta, Z, A, np.empty_like(Z))
    np.testing.assert_array_equal(A, np.where(Z > 0, Z, 0))
    np.testing.assert_array_equal(Delta, np.where(Z > 0, 7, 0))
