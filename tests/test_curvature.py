"""Products with the Hessian and the Gauss–Newton matrix: against PyTorch, central differences and formulas of textbooks.

H v is the gradient of ∂C·v, so that `mlp.check_gradient` checks it, and names the component where it is wrong.
"""

import gc
import importlib.util
import json
import tracemalloc
from copy import copy, deepcopy
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.linear_model import LogisticRegression

import mlp
from mlp import activations, backprop, curvature

FILES = Path(__file__).parent / "files"


def _load_reference():
    spec = importlib.util.spec_from_file_location("second_derivatives", FILES / "second_derivatives.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load_reference()
GRID = [(hidden, *output) for hidden in reference.HIDDEN for output in reference.OUTPUTS] + reference.FURTHER


class Slope:
    """∂C·v, whose gradient is H v, as `check_gradient` takes it."""

    def __init__(self, objective, v):
        self.objective, self.v, self.name_of = objective, v, objective.name_of

    def __call__(self, theta):
        return float(self.objective(theta)[1] @ self.v), self.objective.hessp(theta, self.v)


def check(objective, theta, seed=0):
    """H v against central differences of the gradient, to 1e-7; H and G symmetric."""
    u, v = np.random.default_rng(seed).standard_normal((2, theta.size))
    found = mlp.check_gradient(Slope(objective, v), theta, sample=20, directions=2, tolerance=1e-7)
    assert found, str(found)
    for times in (objective.hessp, objective.gauss_newton):
        uv, vu = u @ times(theta, v), v @ times(theta, u)
        assert abs(uv - vu) <= 1e-10 * max(np.linalg.norm(u) * np.linalg.norm(times(theta, v)), 1e-300)


def network(hidden="tanh", output="softmax", sizes=(4, 5, 6, 3), **settings):
    return mlp.MLP(list(sizes), hidden=hidden, output=output, dtype="float64", seed=1, **settings)


def examples(n=9, seed=2):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 4)), rng.integers(0, 3, n)


# Against other sources


@pytest.mark.parametrize("case", reference.COMMITTED, ids=", ".join)
def test_products_are_those_committed(case):
    """The committed values are PyTorch's double backward, see tests/files/second_derivatives.py."""
    Hv, Gv = json.loads((FILES / "second_derivatives.json").read_text(encoding="utf-8"))[", ".join(case)]
    _compare_with_reference(case, np.array(Hv), np.array(Gv))


@pytest.mark.parametrize("case", GRID, ids=", ".join)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_products_are_those_of_pytorch(case):
    pytest.importorskip("torch")
    _compare_with_reference(case, *reference.torch_products(*case))


def _compare_with_reference(case, Hv, Gv):
    hidden, output, cost = case
    X, Y, theta, v, _ = reference.numbers()
    objective = mlp.Objective(network(hidden, output, reference.SIZES), X, Y, cost=cost)
    for expected, found in ((Hv, objective.hessp(theta, v)), (Gv, objective.gauss_newton(theta, v))):
        assert_allclose(found, expected, rtol=0, atol=1e-9 * max(np.abs(expected).max(), 1e-3))


@pytest.mark.parametrize("number", range(len(GRID)), ids=map("-".join, GRID))
def test_products_agree_with_central_differences(number):
    hidden, output, cost = GRID[number]
    X, Y, theta, _, labels = reference.numbers()
    targets = (Y, labels)[(number + number // len(reference.OUTPUTS)) % 2]  # every activation and every output with both
    check(mlp.Objective(network(hidden, output, reference.SIZES), X, targets, cost=cost, weight_decay=0.1), theta)


def test_hessian_of_softmax_regression_is_the_textbook_s():
    """(1/n) Σ (diag p − p pᵀ) ⊗ x xᵀ + λI on the weights (Böhning 1992), and the Gauss–Newton matrix is the same."""
    X, y = examples()
    net = network(sizes=(4, 3))
    net.layers[0].b[:] = 0.3, -0.2, 0.1
    powers = np.exp(X @ net.layers[0].W.T + net.layers[0].b)
    P = powers / powers.sum(axis=1, keepdims=True)
    expected = np.zeros((15, 15))
    for x, p in zip(X, P, strict=True):
        S = np.diag(p) - np.outer(p, p)
        x1 = np.append(x, 1)  # of unit j: w_j1 … w_j4, b_j
        expected += np.kron(S, np.outer(x1, x1)) / len(X)
    expected += 0.5 * np.diag([1.0, 1.0, 1.0, 1.0, 0.0] * 3)
    order = [5 * unit + i for unit in range(3) for i in range(4)] + [4, 9, 14]  # W row by row, then b
    objective = mlp.Objective(net, X, y, weight_decay=0.5)
    for matrix in (objective.hessian(net.theta), objective.gauss_newton_matrix(net.theta)):
        assert_allclose(matrix @ np.eye(15), expected[np.ix_(order, order)], atol=1e-14)


@pytest.mark.parametrize(("output", "cost"), reference.OUTPUTS)
def test_gauss_newton_matrix_is_positive_semidefinite(output, cost):
    X, y = examples()
    net = network(output=output)
    G = mlp.Objective(net, X, y, cost=cost).gauss_newton_matrix(net.theta) @ np.eye(net.theta.size)
    assert np.linalg.eigvalsh(G).min() >= -1e-12 * np.abs(G).max()
    assert_allclose(G, G.T, atol=1e-14)


# Everything that a cost may hold


def test_sparsity_and_weight_decay_are_in_the_product():
    X, y = examples()
    net = network(["logistic", "tanh"])
    objective = mlp.Objective(net, X, y, weight_decay=0.01, sparsity=mlp.Sparsity(rho=0.1, beta=2.0))
    check(objective, net.theta)
    G = objective.gauss_newton_matrix(net.theta) @ np.eye(net.theta.size)
    assert np.linalg.eigvalsh(G).min() > -1e-12


@pytest.mark.parametrize("dropout", [(0.3, 0.5, 0.5), (0.0, 0.5, 0.2)])
def test_held_noise_is_held_in_the_product(dropout):
    X, y = examples()
    net = network()

    def shift(X, rng):
        return X + rng.standard_normal(len(X))[:, None]

    objective = mlp.Objective(net, X, y, dropout=dropout, distort=shift)
    check(objective.with_noise(3), net.theta)
    v = np.ones(net.theta.size)
    assert not np.allclose(objective.with_noise(3).hessp(net.theta, v), objective.with_noise(4).hessp(net.theta, v))


def test_autoencoders_and_single_outputs():
    X, _ = examples()
    check(mlp.Objective(net := network(output="tanh", sizes=(4, 2, 4)), X), net.theta)
    check(mlp.Objective(net := network(output="logistic", sizes=(4, 3, 1)), X, X[:, 0] > 0), net.theta)


def test_product_over_rows_is_that_of_these_examples():
    X, y = examples()
    net = network()
    rows = [5, 1, 1]
    v = np.cos(np.arange(net.theta.size))
    objective, those = mlp.Objective(net, X, y), mlp.Objective(net, X[rows], y[rows])
    assert_array_equal(objective.hessp(net.theta, v, rows), those.hessp(net.theta, v))
    assert_array_equal(objective.gauss_newton(net.theta, v, slice(2, 5)), objective.gauss_newton(net.theta, v, [2, 3, 4]))
    assert_array_equal(objective.hessian(net.theta, rows) @ v, those.hessp(net.theta, v))


@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_chunks_are_added_up(kept, monkeypatch):
    X, y = examples(n=20)
    net = network("logistic")
    v = np.cos(np.arange(net.theta.size))
    settings = {"sparsity": mlp.Sparsity(layer=1), "dropout": (0.5, 0, 0.2)}
    whole = mlp.Objective(net, X, y).hessp(net.theta, v)
    monkeypatch.setattr(backprop, "CHUNK", 8)
    monkeypatch.setattr(curvature, "KEPT_BYTES", kept)
    assert_allclose(mlp.Objective(net, X, y).hessp(net.theta, v), whole, rtol=1e-11, atol=1e-14)
    check(mlp.Objective(net, X, y, **settings).with_noise(0), net.theta)


def test_float32_networks_give_float64_products():
    X, y = examples()
    net = network("softplus")
    v = np.cos(np.arange(net.theta.size))
    exact = mlp.Objective(net, X, y).hessp(net.theta, v)
    found = mlp.Objective(net.astype("float32"), X, y).hessp(net.theta.astype("float32"), v)
    assert found.dtype == np.float64
    assert_allclose(found, exact, atol=2e-6 * np.abs(exact).max())


def test_squared_gradients_are_those_of_the_examples():
    X, y = examples()
    net = network()
    objective = mlp.Objective(net, X, y, weight_decay=0.1)
    alone = mlp.Objective(net, X, y)
    expected = np.mean([alone(net.theta, [row])[1] ** 2 for row in range(len(X))], axis=0)
    assert_allclose(objective.squared_gradients(net.theta), expected, rtol=1e-10, atol=1e-16)


# One's own activations, costs and layers


class Swish:
    def value(self, z):
        return z / (1 + np.exp(-z))

    def derivative(self, z):
        s = 1 / (1 + np.exp(-z))
        return s + z * s * (1 - s)


class CurvedSwish(Swish):
    def curvature(self, z):
        s = 1 / (1 + np.exp(-z))
        return s * (1 - s) * (2 + z * (1 - 2 * s))


class NumericalSwish(Swish):
    curvature = "numerical"


class Square:
    """σ′ = 0 at 0, where σ″ isn't."""

    def value(self, z):
        return z * z

    def derivative(self, z):
        return 2 * z

    def curvature(self, z):
        return np.full_like(z, 2)


class LogCosh:
    def value(self, A, Y):
        return np.log(np.cosh(A - Y)).sum(axis=1)

    def gradient(self, A, Y):
        return np.tanh(A - Y)


class CurvedLogCosh(LogCosh):
    def curvature(self, A, Y, V):
        return V / np.cosh(A - Y) ** 2


class NumericalLogCosh(LogCosh):
    curvature = "numerical"


@pytest.mark.parametrize("activation", [CurvedSwish(), NumericalSwish()])
@pytest.mark.parametrize("cost", [CurvedLogCosh(), NumericalLogCosh()])
def test_own_activations_and_costs(activation, cost):
    X, y = examples()
    net = network(activation, "tanh")
    objective = mlp.Objective(net, X, y, cost=cost)
    check(objective, net.theta)
    check(mlp.Objective(network(activation, activation), X, y, cost=cost), net.theta)
    G = objective.gauss_newton_matrix(net.theta) @ np.eye(net.theta.size)
    assert np.linalg.eigvalsh(G).min() > -1e-11


def test_second_derivative_counts_where_the_first_is_zero():
    net = network(Square(), "identity", sizes=(4, 3, 2))
    theta = np.cos(np.arange(net.theta.size))
    theta[:12] = 0  # W¹ = 0 and b¹ = 0: Z¹ = 0
    theta[12:15] = 0
    check(mlp.Objective(net, *examples()[:1], np.ones((9, 2))), theta)
    H = mlp.Objective(net, examples()[0], np.ones((9, 2))).hessian(theta) @ np.eye(theta.size)
    assert np.abs(H[:15, :15]).max() > 0.1


def test_without_a_second_derivative_the_error_says_so():
    X, y = examples()
    net = network(Swish(), "identity")
    objective = mlp.Objective(net, X, y)
    v = np.ones(net.theta.size)
    with pytest.raises(TypeError, match=r"activation 'Swish': has no curvature\(z\).*\"?numerical"):
        objective.hessp(net.theta, v)
    assert objective.gauss_newton(net.theta, v) @ v > 0  # which needs no σ″
    with pytest.raises(TypeError, match=r"cost 'LogCosh': has no curvature\(A, Y, V\).*numerical"):
        mlp.Objective(network(), X, y, cost=LogCosh()).gauss_newton(network().theta, np.ones(network().theta.size))


class Gated(mlp.Layer):
    """Z = w ⊙ A + c, element by element: a layer of one's own that is linear in A and in its parameters."""

    def __init__(self, units):
        self.fan_in = self.units = units
        self.activation = activations.get("tanh")

    def shapes(self):
        return {"w": (self.units,), "c": (self.units,)}

    def initialize(self, rng, init="glorot_uniform"):
        self.w[...] = rng.standard_normal(self.units)

    def forward(self, A, out, scratch):
        out[...] = self.w[:, None] * A + self.c[:, None]

    def propagate(self, Delta, out, scratch):
        out[...] = self.w[:, None] * Delta

    def gradient(self, Delta, A, alpha, scratch):
        self.w += alpha * (Delta * A).sum(axis=1)
        self.c += alpha * Delta.sum(axis=1)


class LinearisedGated(Gated):
    def linearised(self):
        layer = copy(self)
        layer.c = np.zeros(self.units)
        return layer


def test_own_layers():
    X, y = examples()

    def objective(kind):
        layers = [kind(4), mlp.Dense(4, 5, "tanh"), kind(5), mlp.Dense(5, 3, "softmax")]
        return mlp.Objective(mlp.MLP(layers, dtype="float64", seed=0), X, y)

    able = objective(LinearisedGated)
    check(able, able.net.theta)
    unable = objective(Gated)
    with pytest.raises(TypeError, match=r"Gated: has no linearised\(\)"):
        unable.hessp(unable.net.theta, unable.net.theta)


# Planted errors


def _without_second(*arguments):
    arguments[1][...] = 0  # E


@pytest.mark.parametrize(
    ("where", "planted", "named"),
    [
        ((activations.Tanh, "second"), _without_second, "layers[0]"),
        ((mlp.Dense, "linearised"), copy, "layers[1].b"),  # the biases' Δ Σ counted twice
    ],
)
def test_planted_errors_are_caught_and_named(where, planted, named, monkeypatch):
    X, y = examples()
    net = network(sizes=(4, 5, 3))
    slope = Slope(mlp.Objective(net, X, y), np.cos(np.arange(net.theta.size)))
    assert mlp.check_gradient(slope, net.theta)
    monkeypatch.setattr(*where, planted)
    found = mlp.check_gradient(slope, net.theta)
    assert not found
    assert found.worst_component.startswith(named)
    assert "DIFFERS" in str(found)


# Images

CONVOLUTIONAL = {
    "LeNet": [mlp.Conv(3, 3, padding=1), mlp.MaxPool(2), mlp.Conv(4, 2), mlp.MeanPool(2), 5, 3],
    "overlapping": [mlp.Conv(3, 3, stride=2, padding="same"), mlp.MaxPool(3, 2), mlp.Conv(2, 1, "logistic"), 3],
    "pool first": [mlp.MaxPool(2), mlp.Conv(3, (2, 3)), mlp.MeanPool(2, 1), 3],
    "no hidden weights above": [mlp.Conv(3, 7), mlp.MaxPool((2, 1), 1)],
}


def convolutional(name, hidden="tanh", output="softmax"):
    net = mlp.MLP([(8, 8, 2), *CONVOLUTIONAL[name]], hidden=hidden, output=output, dtype="float64", seed=1)
    return net, *images(net.sizes[-1])


def images(outputs, n=7):
    rng = np.random.default_rng(4)
    return rng.standard_normal((n, 8 * 8 * 2)), rng.integers(0, outputs, n)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("hidden", ["tanh", "softplus", "relu"])
def test_products_of_convolutional_networks(name, hidden):
    output = "identity" if name == "no hidden weights above" else "softmax"
    net, X, y = convolutional(name, hidden, output)
    Y = np.eye(net.sizes[-1])[y]
    objective = mlp.Objective(net, X, Y, weight_decay=0.1, weights=[1, 2, 0, 1, 3, 1, 0.5])
    check(objective, net.theta)
    Vs = np.random.default_rng(0).standard_normal((10, net.theta.size))
    assert all(v @ objective.gauss_newton(net.theta, v) > 0 for v in Vs)


def test_gauss_newton_matrix_of_a_lenet_is_positive_semidefinite():
    net, X, y = convolutional("LeNet")
    G = mlp.Objective(net, X, y).gauss_newton_matrix(net.theta) @ np.eye(net.theta.size)
    assert_allclose(G, G.T, atol=1e-10 * np.abs(G).max())
    assert np.linalg.eigvalsh(G).min() >= -1e-12 * np.abs(G).max()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("overlap", [False, True])
def test_products_of_a_lenet_are_those_of_pytorch(overlap):
    torch = pytest.importorskip("torch")
    pool = mlp.MaxPool(3, 1) if overlap else mlp.MaxPool(2)
    layers = [mlp.Conv(3, 3, padding=1), pool, mlp.Conv(4, 2, stride=2), mlp.MeanPool(2), 5, 3]
    net = mlp.MLP([(8, 8, 2), *layers], hidden="tanh", output="softmax", dtype="float64", seed=1)
    X, y = images(3)
    F, inputs, labels = torch.nn.functional, torch.tensor(X).reshape(-1, 8, 8, 2).permute(0, 3, 1, 2), torch.tensor(y)
    shapes = [(3, 3, 3, 2), (3,), (4, 2, 2, 3), (4,), net.layers[4].W.shape, (5,), (3, 5), (3,)]

    def outputs(parameters):
        parts, start = [], 0
        for shape in shapes:
            parts.append(parameters[start : start + int(np.prod(shape))].reshape(shape))
            start += int(np.prod(shape))
        W1, b1, W2, b2, W3, b3, W4, b4 = parts  # of maps: row, column, channel
        A = torch.tanh(F.conv2d(inputs, W1.permute(0, 3, 1, 2), b1, padding=1))
        A = F.max_pool2d(A, 3, 1) if overlap else F.max_pool2d(A, 2)
        A = torch.tanh(F.conv2d(A, W2.permute(0, 3, 1, 2), b2, stride=2))
        A = F.avg_pool2d(A, 2).permute(0, 2, 3, 1).flatten(1)
        return torch.tanh(A @ W3.T + b3) @ W4.T + b4

    def cost_of(Z):
        return F.cross_entropy(Z, labels)

    theta, v = torch.tensor(net.theta), torch.cos(torch.arange(net.theta.size, dtype=torch.float64))
    _, Hv = torch.autograd.functional.hvp(lambda parameters: cost_of(outputs(parameters)), theta, v)
    at, Jv = torch.func.jvp(outputs, (theta,), (v,))
    _, BJv = torch.autograd.functional.hvp(cost_of, at, Jv)
    _, pull = torch.func.vjp(outputs, theta)
    objective = mlp.Objective(net, X, y)
    for expected, found in ((Hv, objective.hessp), (pull(BJv)[0], objective.gauss_newton)):
        assert_allclose(found(net.theta, v.numpy()), expected.numpy(), rtol=0, atol=1e-9 * float(expected.abs().max()))


def test_products_leave_the_passes_windows_alone():
    net, X, y = convolutional("LeNet")
    objective, fresh = mlp.Objective(net, X, y), mlp.Objective(net, X, y)
    v = np.cos(np.arange(net.theta.size))
    expected = fresh(net.theta), objective.hessp(net.theta, v), objective.squared_gradients(net.theta)
    found = objective(net.theta), objective.hessp(net.theta, v), objective.squared_gradients(net.theta)
    assert found[0][0] == expected[0][0]
    for one, other in ((found[0][1], expected[0][1]), *zip(found[1:], expected[1:], strict=True)):
        assert_array_equal(one, other)


def test_squared_gradients_of_a_convolution_are_the_sum_of_its_places():
    """As if each place had filters of its own: by hand, over 2 × 2 windows of a 3 × 3 image, each with its own Δ = A − Y."""
    image = np.array([[1.0, 2.0, -1.0], [0.5, 3.0, 1.0], [-2.0, 0.0, 4.0]])
    net = mlp.MLP([(3, 3), mlp.Conv(1, 2)], output="identity", dtype="float64", seed=0)
    net.theta[:] = 0  # so that Δ = −Y
    Y = np.array([1.0, -2.0, 0.5, 3.0])
    windows = np.array([image[h : h + 2, w : w + 2].ravel() for h in (0, 1) for w in (0, 1)])
    objective = mlp.Objective(net, image.reshape(1, 9), Y[None])
    assert_allclose(objective.squared_gradients(net.theta), [*(Y**2 @ windows**2), (Y**2).sum()], rtol=1e-12)


# Weights of examples


@pytest.mark.parametrize("kept", [0, 1 << 30])
@pytest.mark.parametrize("settings", [{}, {"sparsity": mlp.Sparsity(rho=0.1, beta=2.0)}])
def test_a_weight_of_two_is_the_example_twice(kept, settings, monkeypatch):
    monkeypatch.setattr(curvature, "KEPT_BYTES", kept)
    monkeypatch.setattr(backprop, "CHUNK", 4)
    X, y = examples()
    net = network("logistic")
    weights = np.array([1, 2, 1, 0, 1, 2, 1, 1, 3])
    rows = np.repeat(np.arange(len(X)), weights)
    weighed = mlp.Objective(net, X, y, weight_decay=0.1, weights=weights, **settings)
    repeated = mlp.Objective(net, X[rows], y[rows], weight_decay=0.1, **settings)
    v = np.cos(np.arange(net.theta.size))
    for times in ("hessp", "gauss_newton"):
        expected = getattr(repeated, times)(net.theta, v)
        for _ in range(2):
            assert_allclose(getattr(weighed, times)(net.theta, v), expected, atol=1e-12 * np.abs(expected).max(), rtol=0)
    expected = repeated.squared_gradients(net.theta)
    assert_allclose(weighed.squared_gradients(net.theta), expected, atol=1e-12 * expected.max(), rtol=0)
    check(weighed, net.theta)


def test_weights_follow_their_rows():
    X, y = examples()
    net = network()
    weights = np.arange(1.0, 10.0)
    v = np.cos(np.arange(net.theta.size))
    rows = [7, 1, 1, 4]
    weighed = mlp.Objective(net, X, y, weights=weights)
    expected = np.mean([weights[row] / 5 * mlp.Objective(net, X, y).hessp(net.theta, v, [row]) for row in rows], axis=0)
    assert_allclose(weighed.hessp(net.theta, v, rows), expected, rtol=1e-11, atol=1e-14)


# What is kept


def counted(objective, monkeypatch):
    """How many chunks have gone through both passes since."""
    count = []
    learn = type(objective)._learn
    monkeypatch.setattr(type(objective), "_learn", lambda self, *given: count.append(self) or learn(self, *given))
    return count


def test_passes_are_kept_between_products_and_calls(monkeypatch):
    X, y = examples()
    net = network()
    objective, fresh = mlp.Objective(net, X, y, weight_decay=0.1), mlp.Objective(net, X, y, weight_decay=0.1)
    first, second = net.theta, net.theta + 0.1
    v = np.cos(np.arange(net.theta.size))
    expected = fresh(second)
    products = mlp.Objective(net, X, y, weight_decay=0.1).hessp(second, v)
    count = counted(objective, monkeypatch)
    objective.hessp(first, v)
    objective.hessp(first, -v)
    objective.gauss_newton(first, v)
    assert len(count) == 1
    cost, gradient = objective(second)  # θ moves: one pass for cost, gradient and product
    assert_array_equal(objective.hessp(second, v), products)
    assert len(count) == 2
    assert cost == expected[0]
    assert_array_equal(gradient, expected[1])
    objective(first, [0, 1])  # over other rows: leaves what is kept alone
    assert_array_equal(objective.hessp(second, v), products)
    assert len(count) == 3


def test_theta_changed_in_place_is_noticed():
    X, y = examples()
    net = network()
    objective = mlp.Objective(net, X, y)
    v = np.cos(np.arange(net.theta.size))
    before = objective.hessp(net.theta, v)
    net.theta += 0.1
    after = objective.hessp(net.theta, v)
    assert not np.allclose(after, before)
    assert_array_equal(after, mlp.Objective(net, X, y).hessp(net.theta, v))
    assert_array_equal(deepcopy(objective).hessp(net.theta, v), after)


def test_other_calls_in_between_leave_products_as_they_are():
    X, y = examples()
    net = network("logistic")
    objective = mlp.Objective(net, X, y, sparsity=mlp.Sparsity())
    v = np.cos(np.arange(net.theta.size))
    expected = objective.hessp(net.theta, v)
    objective.evaluate(net.theta + 1)
    objective.accumulate(net.theta + 1, [0, 1], np.zeros_like(net.theta), 1.0, 0.0, None)
    assert_array_equal(objective.hessp(net.theta, v), expected)


@pytest.mark.parametrize("kept", [1 << 20, 1 << 22])
def test_memory_is_bounded_whatever_the_number_of_examples(kept, monkeypatch):
    monkeypatch.setattr(curvature, "KEPT_BYTES", kept)
    monkeypatch.setattr(backprop, "CHUNK", 64)
    net = network("tanh", sizes=(4, 50, 50, 3))
    v = np.ones(net.theta.size)
    peaks = []
    for n in (1 << 13, 1 << 15):
        objective = mlp.Objective(net, *examples(n=n))
        gc.collect()
        tracemalloc.start()
        objective.hessp(net.theta, v)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < (1 << 21)  # either number of examples takes more than is kept: 21 and 84 MB


@pytest.mark.parametrize("curved", [False, True])
def test_what_an_example_takes_is_counted_with_the_images_that_convolutions_lower(curved):
    """Measured by tracemalloc, at two numbers of examples, so that what isn't theirs cancels."""
    hidden = [mlp.Conv(6, 3, padding=1), mlp.MaxPool(2), mlp.Conv(8, 3), 20]
    net = mlp.MLP([(12, 12), *hidden, 4], hidden="tanh" if curved else "relu", seed=0)
    held = []
    for n in (64, 128):
        rng = np.random.default_rng(0)
        objective = mlp.Objective(net, rng.random((n, 144), np.float32), rng.integers(0, 4, n))
        gc.collect()
        tracemalloc.start()
        objective.hessp(net.theta, np.ones(net.theta.size))
        objective._kept._along.clear()  # room for directions is kept of two chunks at most, whatever n
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    each = (held[1] - held[0]) / 64
    assert each <= curvature.kept_each(net.layers, np.float32) < 1.7 * each


# SciPy


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"])
def test_scipy_s_minimisers_find_the_minimum_of_softmax_regression(method):
    X, y = examples(n=60)
    net = network(sizes=(4, 3))
    objective = mlp.Objective(net, X, y, weight_decay=0.1)
    result = scipy.optimize.minimize(objective, net.theta, jac=True, hessp=objective.hessp, method=method, tol=1e-7)
    # scikit-learn minimises C Σ cost + ½‖W‖²: C = 1/(n λ)
    W = LogisticRegression(C=1 / (60 * 0.1), tol=1e-12, max_iter=10_000).fit(X, y).coef_
    assert_allclose(net.at(result.x).layers[0].W, W, atol=1e-5)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"])
def test_scipy_s_minimisers_train_a_network(method):
    X, y = examples(n=30)
    net = network(sizes=(4, 6, 3))
    objective = mlp.Objective(net, X, y, weight_decay=0.01)
    result = scipy.optimize.minimize(objective, net.theta, jac=True, hessp=objective.hessp, method=method, tol=1e-7)
    assert np.abs(objective(result.x)[1]).max() < 1e-6
    assert np.linalg.eigvalsh(objective.hessian(result.x) @ np.eye(result.x.size)).min() > -1e-6  # of no saddle point


def test_eigenvalues_by_scipy():
    X, y = examples()
    net = network()
    objective = mlp.Objective(net, X, y)
    operators = objective.hessian(net.theta), objective.hessian(net.theta + 0.1), objective.gauss_newton_matrix(net.theta)
    matrices = [operator @ np.eye(net.theta.size) for operator in operators]
    for operator, matrix in zip(operators, matrices, strict=True):
        assert isinstance(operator, LinearOperator)
        assert operator.dtype == np.float64
        largest = eigsh(operator, k=3, which="LA", return_eigenvectors=False, v0=np.ones(net.theta.size))
        assert_allclose(np.sort(largest), np.linalg.eigvalsh(matrix)[-3:], atol=1e-10)
        assert_allclose(operator.T @ np.ones((net.theta.size, 1)), matrix @ np.ones((net.theta.size, 1)), atol=1e-12)


# Refusals


def test_unheld_noise_and_max_norm_are_refused():
    X, y = examples()
    net = network()
    dropped = mlp.Objective(net, X, y, dropout=(0, 0.5, 0))
    for ask in (lambda: dropped.hessp(net.theta, net.theta), lambda: dropped.hessian(net.theta)):
        with pytest.raises(ValueError, match=r"dropout.*with_noise\(0\)"):
            ask()
    short = mlp.Objective(net, X, y, max_norm=1.0)
    for ask in (short.gauss_newton, short.hessp):
        with pytest.raises(ValueError, match="max_norm, which is no part of the cost"):
            ask(net.theta, net.theta)


def test_a_vector_of_another_size_is_refused():
    objective = mlp.Objective(net := network(), *examples())
    with pytest.raises(ValueError, match=r"v: received shape \(3,\)"):
        objective.hessp(net.theta, np.ones(3))


def test_activations_and_costs_that_are_subclasses_are_asked_too():
    class Bare(activations.Activation):
        name = "bare"

        def value(self, Z, out):
            np.tanh(Z, out=out)

        def backward(self, Delta, Z, A, spare):
            Delta *= 1 - A**2

    class Half(mlp.Cost):
        name = "half"

        def values(self, Z, A, Y, spare):
            return 0.25 * ((A - Y) ** 2).sum(axis=0)

        def output_error(self, Z, A, Y, activation, out, spare):
            out[...] = 0.5 * (A - Y)
            activation.backward(out, Z, A, spare)

    X, _ = examples()
    bare, half = (
        mlp.Objective(network(Bare()), *examples()),
        mlp.Objective(network(output="tanh", sizes=(4, 4)), X, cost=Half()),
    )
    with pytest.raises(TypeError, match="activation 'bare': has no second"):
        bare.hessp(bare.net.theta, bare.net.theta)
    with pytest.raises(TypeError, match="cost 'half': has no curvature"):
        half.hessp(half.net.theta, half.net.theta)
