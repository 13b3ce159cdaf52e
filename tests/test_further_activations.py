"""Leaky ReLU, ELU, GELU, SiLU and the exponential: values by hand and by scipy.special; extremes; parameters in names, files
and layers written as texts. (Second derivatives against PyTorch's are in test_curvature.py.)"""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

import mlp
from mlp import activations
from mlp.layers.spelling import format, parse

Z = np.array([-30.0, -7.5, -2.0, -1.0, -0.25, -1e-3, 1e-3, 0.5, 1.0, 3.0, 12.0, 30.0])
NAMES = ["leaky_relu:0.01", "leaky_relu:0.3", "elu:0.5", "elu:1.0", "elu:1.5", "gelu", "silu", "exponential"]


def value(z, name):
    A = np.empty_like(z)
    activations.get(name).value(z, A)
    return A


def second(z, name):
    E = np.ones_like(z)
    activations.get(name).second(E, z, value(z, name), np.empty_like(z))
    return E


# Values and derivatives


@pytest.mark.parametrize(
    ("name", "z", "expected", "slopes"),
    [
        ("leaky_relu", [-3.0, 0.0, 2.0], [-0.03, 0.0, 2.0], [0.01, 0.01, 1.0]),
        ("leaky_relu:0.25", [-4.0, 2.0], [-1.0, 2.0], [0.25, 1.0]),
        ("leaky_relu:0", [-4.0, 2.0], [0.0, 2.0], [0.0, 1.0]),
        ("leaky_relu:1", [-4.0, 2.0], [-4.0, 2.0], [1.0, 1.0]),
        ("elu", [-math.log(2), 0.0, 3.0], [-1 / 2, 0.0, 3.0], [1 / 2, 1.0, 1.0]),
        ("elu:0.5", [-math.log(4), 2.0], [-3 / 8, 2.0], [1 / 8, 1.0]),
        ("elu:2", [-math.log(2), -1e-9, 0.0, 1e-9], [-1.0, -2e-9, 0.0, 1e-9], [1.0, 2.0, 2.0, 1.0]),
        # Φ(1) = 0.841344746068543 and φ(1) = 0.241970724519143, from tables of the normal distribution
        ("gelu", [0.0, 1.0, -1.0], [0.0, 0.841344746068543, -0.158655253931457], [0.5, 1.083315470587686, -0.083315470587686]),
        # s(log 3) = 3/4
        ("silu", [0.0, math.log(3)], [0.0, 0.75 * math.log(3)], [1 / 2, 3 / 4 * (1 + math.log(3) / 4)]),
        ("exponential", [0.0, math.log(5)], [1.0, 5.0], [1.0, 5.0]),
    ],
)
def test_by_hand(name, z, expected, slopes):
    np.testing.assert_allclose(value(np.array(z), name), expected, rtol=1e-8 if "2" in name else 1e-14)
    np.testing.assert_allclose(activations.get(name).derivative(np.array(z)), slopes, rtol=1e-8 if "2" in name else 1e-13)


@pytest.mark.parametrize(
    ("name", "reference", "slope", "bend"),
    [
        (
            "gelu",
            lambda z: 0.5 * z * scipy.special.erfc(-z / math.sqrt(2)),
            lambda z: scipy.stats.norm.cdf(z) + z * scipy.stats.norm.pdf(z),
            lambda z: (2 - z**2) * scipy.stats.norm.pdf(z),
        ),
        (
            "silu",
            lambda z: z * scipy.special.expit(z),
            lambda z: scipy.special.expit(z) + z * scipy.stats.logistic.pdf(z),
            lambda z: scipy.stats.logistic.pdf(z) * (2 - z * np.tanh(z / 2)),
        ),
        ("elu:1.0", lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.exp(-np.clip(-z, 0, None)), None),
        ("exponential", lambda z: np.power(math.e, z), lambda z: np.power(math.e, z), lambda z: np.power(math.e, z)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_scipy(name, reference, slope, bend, dtype):
    z = Z.astype(dtype)
    precision = 40 * np.finfo(dtype).eps
    for found, expected in ((value, reference), (lambda z, name: activations.get(name).derivative(z), slope), (second, bend)):
        if expected is not None:
            assert found(z, name).dtype == dtype
            np.testing.assert_allclose(found(z, name), expected(z.astype(float)), rtol=precision, atol=precision)


def test_small_answers_keep_their_precision():
    # far on the left, where Φ and s are tiny: relative errors, not absolute ones
    np.testing.assert_allclose(value(np.array([-20.0]), "gelu"), [-20 * scipy.special.ndtr(-20)], rtol=1e-13)
    np.testing.assert_allclose(value(np.array([-40.0]), "silu"), [-40 * math.exp(-40)], rtol=1e-13)
    np.testing.assert_allclose(value(np.array([-1e-12]), "elu:0.5"), [-0.5e-12], rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "values", "slopes"),
    [
        ("leaky_relu:0.5", (-0.5e30, 1e30), (0.5, 1)),
        ("elu:0.5", (-0.5, 1e30), (0, 1)),
        ("elu:1.5", (-1.5, 1e30), (0, 1)),
        ("gelu", (0, 1e30), (0, 1)),
        ("silu", (0, 1e30), (0, 1)),
    ],
)
def test_enormous_weighted_inputs_give_the_limits(name, values, slopes, dtype):
    z = np.array([-1e30, 1e30], dtype)
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(value(z, name), values, rtol=1e-7)
        np.testing.assert_array_equal(activations.get(name).derivative(z), slopes)
        if activations.get(name).curved:
            np.testing.assert_array_equal(second(z, name), 0)


@pytest.mark.parametrize("name", NAMES)
def test_the_passes_leave_z_and_a_alone(name):
    weighted = np.random.default_rng(0).standard_normal((3, 5))
    A, kept = value(weighted, name), weighted.copy()
    kept_A = A.copy()
    one = activations.get(name)
    one.backward(np.ones_like(A), weighted, A, np.empty_like(A))
    one.second_along(np.ones_like(A), weighted, A, np.ones_like(A), np.empty_like(A))
    np.testing.assert_array_equal(weighted, kept)
    np.testing.assert_array_equal(A, kept_A)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layers", [[3, 5, 4, 2], [(4, 4), mlp.Conv(3, 2), mlp.MaxPool(2, 1), 2]], ids=["dense", "convolution"])
def test_gradient_check(name, layers):
    rng = np.random.default_rng(3)
    net = mlp.MLP(layers, hidden=name, dtype="float64", seed=3)
    net.theta += 0.1 * rng.standard_normal(net.theta.size)
    objective = mlp.Objective(net, rng.standard_normal((5, net.sizes[0])), [0, 1, 1, 0, 1], weight_decay=0.1)
    found = mlp.check_gradient(objective, net.theta)
    assert found.worst_error <= 1e-7, found


# Names and parameters


@pytest.mark.parametrize(
    ("name", "full"),
    [("leaky_relu", "leaky_relu:0.01"), ("leaky_relu:slope=.2", "leaky_relu:0.2"), ("elu", "elu:1.0"), ("elu:2", "elu:2.0")],
)
def test_names_say_the_parameter(name, full):
    assert activations.get(name).name == full
    assert activations.get(full).name == full


def test_objects_are_what_names_are():
    assert activations.get("leaky_relu:0.2").slope == activations.LeakyReLU(0.2).slope == 0.2
    assert activations.get("elu:0.2").alpha == activations.ELU(0.2).alpha == 0.2
    net = mlp.MLP([2, 3, 3, 1], hidden=[activations.LeakyReLU(0.2), "elu:0.5"], output="identity", seed=0)
    assert [layer.activation.name for layer in net.layers] == ["leaky_relu:0.2", "elu:0.5", "identity"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("leaky_relu:", r"^activation leaky_relu slope: received '' \(str\), but it must be a number$"),
        ("leaky_relu:nan", r"^activation leaky_relu slope: received nan .* a finite number at least 0 and at most 1$"),
        ("leaky_relu:-0.1", r"^activation leaky_relu slope: received -0\.1 .* at least 0 and at most 1$"),
        ("leaky_relu:2", r"^activation leaky_relu slope: received 2\.0 .* at most 1$"),
        ("leaky_relu:0.1:0.2", r"^activation: received 'leaky_relu:0\.1:0\.2' .*, but leaky_relu takes slope$"),
        ("leaky_relu:alpha=0.1", r"^activation leaky_relu: received 'alpha' .*, but it must be one of slope$"),
        ("elu:-1", r"^activation elu alpha: received -1\.0 .* at least 1e-30 and at most 1e\+30$"),
        ("elu:inf", r"^activation elu alpha: received inf "),
        ("gelu:1", r"^activation: received 'gelu:1' .*, but gelu takes no parameters$"),
        ("swish", r"did you mean 'silu'\?$"),
        ("Swish", r"did you mean 'silu'\?$"),
        ("leaky-relu", r"did you mean 'leaky_relu'\?$"),
        ("LeakyReLU:0.1", r"did you mean 'leaky_relu'\?$"),
        ("exp", r"did you mean 'exponential'\?$"),
        (":0.1", r"^activation: received '' "),
    ],
)
def test_wrong_names_and_parameters(wrong, message):
    with pytest.raises(ValueError, match=message):
        activations.get(wrong)


def test_an_activation_of_ones_own_cannot_be_called_like_these():
    class Mine:
        name = "leaky_relu:0.7"

        def value(self, z):
            return z

        derivative = value

    with pytest.raises(ValueError, match=r"called 'leaky_relu:0\.7', as one of mlp's is: rename it$"):
        mlp.MLP([2, 2], output=Mine())


# Files and texts


def test_files_keep_the_parameter(tmp_path):
    layers = [(4, 4), mlp.Conv(2, 2, "leaky_relu:0.3"), mlp.Dense(18, 3, "elu:0.7"), mlp.Dense(3, 3, activations.ELU(0.7)), 2]
    net = mlp.MLP(layers, hidden="gelu", output="exponential", seed=0)
    mlp.save(tmp_path / "model.npz", net)
    again = mlp.load(tmp_path / "model.npz")
    names = ["leaky_relu:0.3", "elu:0.7", "elu:0.7", "exponential"]
    assert [layer.activation.name for layer in again.layers] == names
    X = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    np.testing.assert_array_equal(again.forward(X), net.forward(X))


@pytest.mark.parametrize("name", ["leaky_relu:9", "elu:", "relu:1", "elu:nan"])
def test_a_file_with_a_senseless_parameter_is_refused(tmp_path, monkeypatch, name):
    net = mlp.MLP([2, 2, 1], hidden="elu", output="identity", seed=0)
    monkeypatch.setattr(net.layers[0].activation, "name", name)
    mlp.save(tmp_path / "model.npz", net)
    with pytest.raises(ValueError, match=rf"model\.npz: not a model: activation.* {name.partition(':')[0]} "):
        mlp.load(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("conv:20:5:leaky_relu:0.1", "conv:20:5:leaky_relu:0.1"),
        ("conv:20:5:leaky_relu:stride=2", "conv:20:5:leaky_relu:0.01:stride=2"),
        ("conv:20:5:activation=elu:2:padding=same", "conv:20:5:elu:2.0:padding=same"),
        ("conv:20:5:elu:0.5:2", "conv:20:5:elu:0.5:stride=2"),
        ("conv:20:5:tanh:2", "conv:20:5:tanh:stride=2"),
    ],
)
def test_layers_as_texts(text, full):
    assert format(parse(text)) == full
    assert format(parse(full)) == full


def test_layers_as_texts_with_a_wrong_slope():
    with pytest.raises(ValueError, match=r"^layers conv activation leaky_relu slope: received 3\.0 "):
        parse("conv:20:5:leaky_relu:3")
