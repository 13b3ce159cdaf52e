"""Layers of a user's own: subclasses of `mlp.Layer`, none of them a `Dense`, that touch nothing in mlp/.

Pairs keeps scratch and has no parameters, LowRank has weights in two arrays, Residual adds its input to its output before
σ or after it, Noisy draws something in each pass. Each is trained by descent and by L-BFGS, and its gradient is held
against central differences. Values are by hand.
"""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Dense, Layer, activations
from mlp.layers.base import read_description


class Pairs(Layer):
    """The larger of each two neighbours; its scratch says which one that was."""

    def __init__(self, fan_in, activation="identity"):
        self.fan_in, self.units = fan_in, fan_in // 2
        self.activation = activations.get(activation)

    def describe(self):
        return {"fan_in": self.fan_in, "activation": self.activation.name}

    @classmethod
    def from_description(cls, description, known):
        of = read_description(cls, description, fan_in=int, activation=str)
        return cls(of["fan_in"], activations.find(of["activation"], known))

    def scratch(self, n, dtype):
        return np.empty((self.units, n), np.intp)

    def forward(self, A, out, scratch):
        pairs = A.reshape(self.units, 2, A.shape[1])
        pairs.argmax(axis=1, out=scratch)
        pairs.max(axis=1, out=out)

    def propagate(self, Delta, out, scratch):
        for place in (0, 1):
            np.multiply(Delta, scratch == place, out=out[place::2])


class LowRank(Layer):
    """Z = U V A + b. U and V are decayed, V alone is normed; b and the rank's activations are its own affair."""

    decayed = ("U", "V")
    normed = ("V",)

    def __init__(self, fan_in, units, rank, activation="identity"):
        self.fan_in, self.units, self.rank = fan_in, units, rank
        self.activation = activations.get(activation)

    def shapes(self):
        return {"U": (self.units, self.rank), "V": (self.rank, self.fan_in), "b": (self.units,)}

    def initialize(self, rng, init="glorot_uniform"):
        for name in ("U", "V"):
            units, fan_in = self.shapes()[name]
            self.draw_into(name, mlp.initializers.get(init)(fan_in, units, rng))
        self.b[...] = 0

    def scratch(self, n, dtype):
        return {"VA": np.empty((self.rank, n), dtype)}

    def forward(self, A, out, scratch):
        scratch["U"] = self.U  # θ's: `gradient` is called on views of another vector
        np.matmul(self.V, A, out=scratch["VA"])
        np.matmul(self.U, scratch["VA"], out=out)
        out += self.b[:, None]

    def propagate(self, Delta, out, scratch):
        np.matmul(self.V.T, self.U.T @ Delta, out=out)

    def gradient(self, Delta, A, alpha, scratch):
        self.U += alpha * Delta @ scratch["VA"].T
        self.V += alpha * (scratch["U"].T @ Delta) @ A.T
        self.b += alpha * Delta.sum(axis=1)

    def describe(self):
        return {**super().describe(), "rank": self.rank}

    @classmethod
    def from_description(cls, description, known):
        of = read_description(cls, description, fan_in=int, units=int, activation=str, rank=int)
        return cls(of["fan_in"], of["units"], of["rank"], activations.find(of["activation"], known))


class Residual(Dense):
    """σ(W A + b + A): a subclass of `Dense`, which its verbs extend."""

    def forward(self, A, out, scratch):
        super().forward(A, out, scratch)
        out += A

    def propagate(self, Delta, out, scratch):
        super().propagate(Delta, out, scratch)
        out += Delta


class ResidualAfter(Layer):
    """σ(W A) + A: σ is inside, and the network sees the identity."""

    decayed = ("W",)

    def __init__(self, fan_in, units, inner="tanh"):
        self.fan_in = self.units = fan_in
        self.inner = activations.get(inner)

    def shapes(self):
        return {"W": (self.units, self.fan_in)}

    def initialize(self, rng, init="glorot_uniform"):
        self.draw_into("W", mlp.initializers.get(init)(self.fan_in, self.units, rng))

    def scratch(self, n, dtype):
        return [np.empty((self.units, n), dtype) for _ in range(4)]

    def forward(self, A, out, scratch):
        Z, inner, _, _ = scratch
        np.matmul(self.W, A, out=Z)
        self.inner.value(Z, inner)
        np.add(inner, A, out=out)

    def _inner_error(self, Delta, scratch):
        Z, inner, error, spare = scratch
        error[...] = Delta
        self.inner.backward(error, Z, inner, spare)
        return error

    def propagate(self, Delta, out, scratch):
        np.matmul(self.W.T, self._inner_error(Delta, scratch), out=out)
        out += Delta

    def gradient(self, Delta, A, alpha, scratch):
        self.W += alpha * self._inner_error(Delta, scratch) @ A.T

    def describe(self):
        return {**super().describe(), "activation": self.inner.name}


class Noisy(Layer):
    """Adds what is drawn anew for each batch, and nothing where nothing is drawn."""

    def __init__(self, fan_in):
        self.fan_in = self.units = fan_in

    def describe(self):
        return {"fan_in": self.fan_in}

    @classmethod
    def from_description(cls, description, known):  # noqa: ARG003
        return cls(**read_description(cls, description, fan_in=int))

    def scratch(self, n, dtype):
        return np.zeros((self.units, n), dtype)

    def draw(self, scratch, rng):
        scratch[...] = 0.1 * rng.standard_normal(scratch.shape)

    def forward(self, A, out, scratch):
        np.add(A, scratch, out=out)

    def propagate(self, Delta, out, scratch):
        out[...] = Delta


KINDS = {kind.__name__: kind for kind in (Pairs, LowRank, Residual, ResidualAfter, Noisy)}
NETWORKS = {
    "pairs": lambda: [Dense(4, 6, "tanh"), Pairs(6), Dense(3, 3, "softmax")],
    "pairs first": lambda: [Pairs(4), Dense(2, 3, "softmax")],
    "pairs twice, with an activation": lambda: [Dense(4, 8), Pairs(8, activation="tanh"), Pairs(4), Dense(2, 3, "softmax")],
    "low rank": lambda: [LowRank(4, 5, 2, "tanh"), Dense(5, 3, "softmax")],
    "low rank at the output": lambda: [Dense(4, 5, "softplus"), LowRank(5, 3, 2, "softmax")],
    "residual": lambda: [Dense(4, 5, "tanh"), Residual(5, 5, "tanh"), Dense(5, 3, "softmax")],
    "residual first": lambda: [Residual(4, 4, "logistic"), Dense(4, 3, "softmax")],
    "residual after": lambda: [Dense(4, 5, "tanh"), ResidualAfter(5, 5), Dense(5, 3, "softmax")],
    "residual after, first": lambda: [ResidualAfter(4, 4, "softplus"), Dense(4, 3, "softmax")],
    "noisy": lambda: [Dense(4, 5, "tanh"), Noisy(5), Dense(5, 3, "softmax")],
}
for_each_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture
def small(small_chunks):  # noqa: ARG001  (nine examples are three chunks)
    def make(name, dtype="float64", **settings):
        rng = np.random.default_rng(0)
        net = mlp.MLP(NETWORKS[name](), dtype=dtype, seed=3)
        objective = mlp.Objective(net, rng.standard_normal((9, 4)), np.arange(9) % 3, **settings)
        return net, objective.with_noise(5) if name == "noisy" else objective

    return make


# What the equations say


def test_pairs_by_hand():
    net = mlp.MLP([Pairs(4)], dtype="float64")
    assert (net.theta.size, net.sizes, net.layers[0].parameters()) == (0, [4, 2], {})
    assert_array_equal(net.forward([[1, 2, 5, 4], [0, -1, -3, -2]]), [[2, 5], [0, -2]])


def test_low_rank_by_hand():
    net = mlp.MLP([LowRank(2, 2, 1)], dtype="float64")
    net.theta = [1, 2, 3, 4, 5, 6]  # U = (1, 2)ᵀ, V = (3, 4), b = (5, 6)
    assert_array_equal(net.layers[0].U, [[1], [2]])
    assert_array_equal(net.forward([[1, 1]]), [[12, 20]])  # V x = 7
    assert [net.name_of(k) for k in (1, 2, 5)] == ["layers[0].U[1, 0]", "layers[0].V[0, 0]", "layers[0].b[1]"]
    cost, gradient = mlp.Objective(net, [[1, 1]], [[11, 20]], weight_decay=0.5)(net.theta)
    # δ = (1, 0): ∂U = δ · 7, ∂V = (Uᵀδ)(1, 1) = (1, 1), ∂b = δ; and ½ U, ½ V; C = ½ + ¼(1 + 4 + 9 + 16)
    assert cost == 0.5 + 7.5
    assert_array_equal(gradient, [7.5, 1, 2.5, 3, 1, 0])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [(Residual(2, 2, "relu"), [[0, 9]]), (ResidualAfter(2, 2, "relu"), [[1, 9]])],  # σ(Wx + x), σ(Wx) + x
)
def test_residuals_by_hand(layer, expected):
    net = mlp.MLP([layer], dtype="float64")
    net.layers[0].W[...] = [[-3, 0], [1, 3]]  # W x = (−3, 7)
    assert_array_equal(net.forward([[1, 2]]), expected)


# Training


@for_each_network
@pytest.mark.parametrize("rows", [None, [3, 3, 0]])
def test_gradient(small, name, rows):
    net, objective = small(name, weight_decay=0.1)
    rng = np.random.default_rng(1)
    net.theta[:] = rng.standard_normal(net.theta.size)
    if rows is None:
        check = mlp.check_gradient(objective, net.theta, tolerance=1e-7)
    else:
        check = mlp.check_gradient(lambda theta: objective(theta, rows), net.theta, tolerance=1e-7)
    assert check, check


@for_each_network
def test_input_gradient(small, name, numerical_input_gradient):
    net, objective = small(name)

    def cost(X):
        moved = mlp.Objective(net, X, objective.Y)
        return moved(net.theta, noise=objective.noise)[0]

    assert_allclose(objective.input_gradient(net.theta), numerical_input_gradient(cost, objective.X), atol=1e-8)


@for_each_network
@pytest.mark.parametrize("settings", [{"dropout": (0.5,)}, {"weight_decay": 0.2}], ids=str)
def test_a_step_in_place_is_down_the_gradient(small, name, settings):
    if "dropout" in settings:
        settings = {"dropout": (0.5,) * len(NETWORKS[name]())}
    net, objective = small(name, **settings)
    for rows in (None, np.array([2, 0])):
        gradient = objective(net.theta, rows, noise=5)[1]
        theta = net.theta.copy()
        objective.accumulate(theta, rows, theta, -0.3, 1.0, 5)
        assert_allclose(theta, net.theta - 0.3 * gradient, atol=1e-14)


@for_each_network
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sgd_and_lbfgs_learn(small, name, dtype):
    for minimise, options in ((mlp.sgd, {"learning_rate": 0.5, "momentum": 0.9, "epochs": 60}), (mlp.lbfgs, {"maxiter": 60})):
        net, objective = small(name, dtype)
        before = objective.evaluate(net.theta).cost
        result = minimise(objective, net.theta, **options)
        assert result.status != 3
        assert result.fun < 0.8 * before
        assert objective.evaluate(net.theta).cost < 0.8 * before


def test_without_noise_nothing_is_drawn(small):
    net, held = small("noisy")
    plain = mlp.Objective(net, held.X, held.Y)
    assert plain.noisy
    assert not held.noisy
    silent = mlp.MLP([Dense(4, 5, "tanh"), Dense(5, 3, "softmax")], dtype="float64")
    silent.theta = net.theta
    expected = mlp.Objective(silent, held.X, held.Y)(silent.theta)[0]
    for _ in range(2):
        assert plain(net.theta)[0] == pytest.approx(expected, rel=1e-14)
        assert plain(net.theta, noise=5)[0] == held(net.theta)[0] != plain(net.theta, noise=6)[0]  # and leaves nothing behind
    assert plain.evaluate(net.theta).cost == pytest.approx(expected, rel=1e-14)
    assert_allclose(net.forward(held.X), silent.forward(held.X), rtol=1e-14)


# What the layer says of itself


def test_decay_and_max_norm_are_of_what_the_layer_says():
    net = mlp.MLP([LowRank(2, 2, 1)], dtype="float64")
    net.theta = [1, 2, 3, 4, 5, 6]
    objective = mlp.Objective(net, np.zeros((3, 2)), np.zeros((3, 2)), weight_decay=2.0, max_norm=1.0)
    assert objective.penalty(net.theta) == 1 + 4 + 9 + 16
    objective.constrain(net.theta)
    assert_allclose(net.theta, [1, 2, 0.6, 0.8, 5, 6], rtol=1e-15)  # V alone, of norm 5
    bare = mlp.MLP([Pairs(4), Dense(2, 2)], dtype="float64", seed=0)
    penalty = mlp.Objective(bare, np.zeros((3, 4)), np.zeros((3, 2)), weight_decay=2.0).penalty(bare.theta)
    assert penalty == pytest.approx(np.sum(bare.layers[1].W ** 2), rel=1e-14)


@for_each_network
def test_norms_and_errors_are_by_layer(small, name):
    net, objective = small(name)
    norms = objective.layer_norms(net.theta)
    assert norms["delta"].shape == norms["W"].shape == (len(net.layers),)
    assert [error.shape for error in objective.errors(net.theta)] == [(9, layer.units) for layer in net.layers]
    for norm, layer in zip(norms["W"], net.layers, strict=True):
        assert np.isnan(norm) == (not layer.decayed)


@for_each_network
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_copies_have_views_of_their_own(small, name, duplicate):
    net, objective = small(name)
    other = duplicate(net)
    assert_array_equal(other.forward(objective.X), net.forward(objective.X))
    kept = net.theta.copy()
    other.theta[:] = 0
    for layer in other.layers:
        assert not any(view.any() for view in layer.parameters().values())
    assert_array_equal(net.theta, kept)


def test_a_layer_without_an_initialiser_of_its_own_starts_at_zero():
    class Shift(Layer):
        fan_in = units = 3

        def shapes(self):
            return {"b": (3,)}

    assert_array_equal(mlp.MLP([Shift()], seed=0).theta, [0, 0, 0])


# Files


@for_each_network
def test_saved_and_loaded(small, name, tmp_path):
    net, objective = small(name, "float32")
    mlp.save(tmp_path / "model.npz", net)
    loaded = mlp.load(tmp_path / "model.npz", layers=KINDS)
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in net.layers]
    assert_array_equal(loaded.theta, net.theta)
    assert_array_equal(loaded.forward(objective.X), net.forward(objective.X))


def test_an_own_layer_is_not_taken_for_another(small, tmp_path):
    net, _ = small("residual")
    mlp.save(tmp_path / "model.npz", net)
    with pytest.raises((ValueError, TypeError), match="Residual"):
        mlp.load(tmp_path / "model.npz")


# Bad layers


@pytest.mark.parametrize(
    ("attributes", "error", "message"),
    [
        ({"units": 2}, ValueError, r"^layers: received .*Layer.* first, but its input must stand before it"),
        ({"fan_in": 3}, TypeError, r"^layers: units of layer 1: received None \(NoneType\), but it must be an integer"),
        ({"fan_in": 3, "units": 0}, ValueError, r"^layers: units of layer 1: received 0 \(int\)"),
        (
            {"fan_in": 3, "units": 2, "activation": "tanh"},
            TypeError,
            r"^layers: layer 1 has the activation 'tanh' \(str\), but it must be an mlp\.Activation: mlp\.activations\.get",
        ),
    ],
)
def test_a_layer_that_lacks_what_layers_have_is_refused(attributes, error, message):
    layer = Layer()
    for name, value in attributes.items():
        setattr(layer, name, value)
    with pytest.raises(error, match=message):
        mlp.MLP([layer])


def test_the_three_verbs_are_the_layers_own_to_write():
    layer = Layer()
    layer.fan_in, layer.units = 3, 2
    with pytest.raises(NotImplementedError):
        mlp.MLP([layer]).forward(np.ones((1, 3)))
