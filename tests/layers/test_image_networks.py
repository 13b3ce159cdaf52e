"""What works for dense layers works for networks of images: minimisers, penalties, noise, resuming, copies, names."""

import copy
import math
import pickle

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Conv, MaxPool, MeanPool

ENTRIES = [(8, 7, 2), Conv(3, 3), MaxPool(2), Conv(4, 2, padding="same"), MeanPool(2, stride=1), 6, 3]


def problem(dtype="float64", n=23, seed=0, **objective):
    """Images whose class is where the bright spot is: top left, top right or below."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, n)
    images = 0.1 * rng.standard_normal((n, 8, 7, 2))
    for image, label in zip(images, y, strict=True):
        row, column = [(1, 1), (1, 4), (5, 3)][label] + rng.integers(0, 2, 2)
        image[row : row + 2, column : column + 2] += 2
    net = mlp.MLP(ENTRIES, hidden="tanh", dtype=dtype, seed=seed)
    return net, mlp.Objective(net, images.reshape(n, -1), y, **objective)


# Minimisers

MINIMISERS = {
    "sgd": lambda objective, theta: mlp.sgd(objective, theta, learning_rate=0.3, batch_size=8, epochs=60),
    "momentum": lambda objective, theta: mlp.sgd(objective, theta, learning_rate=0.05, momentum=0.9, batch_size=8, epochs=60),
    "full batch": lambda objective, theta: mlp.sgd(objective, theta, learning_rate=0.5, batch_size=None, epochs=200),
    "adam": lambda objective, theta: mlp.adam(objective, theta, learning_rate=0.01, batch_size=8, epochs=60),
    "lbfgs": lambda objective, theta: mlp.lbfgs(objective, theta, maxiter=60),
    "L-BFGS-B": lambda objective, theta: scipy.optimize.minimize(
        objective, theta, jac=True, method="L-BFGS-B", options={"maxiter": 60}
    ),
    "CG": lambda objective, theta: scipy.optimize.minimize(objective, theta, jac=True, method="CG", options={"maxiter": 60}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MINIMISERS)
def test_every_minimiser_learns(name, dtype):
    net, objective = problem(dtype)
    assert objective(net.theta)[0] > 0.7
    result = MINIMISERS[name](objective, net.theta)
    net.theta = result.x
    assert result.fun < 0.05
    assert_array_equal(net.predict(objective.X), objective.Y)


def test_plain_descent_in_place_is_the_step_written_out():
    net, objective = problem(weight_decay=0.01)
    theta = net.theta.copy()
    for _ in range(3):
        theta -= 0.2 * objective(theta)[1]
    mlp.sgd(objective, net.theta, learning_rate=0.2, batch_size=None, epochs=3)
    assert_allclose(net.theta, theta, atol=1e-14)


@pytest.mark.parametrize("minimise", [mlp.sgd, mlp.adam])
def test_a_resumed_run_ends_to_the_bit_as_one_left_alone(minimise):
    settings = {"learning_rate": 0.02, "batch_size": 5, "epochs": 4, "average": 2}
    net, objective = problem("float32", dropout=(0.1, 0, 0.3, 0, 0.2, 0), weight_decay=1e-3)
    start = net.theta.copy()
    whole = minimise(objective, net.theta.copy(), **settings)
    states = []

    def each_step(snapshot):
        states.append(snapshot())
        if len(states) == 8:
            raise StopIteration

    minimise(objective, start.copy(), each_step=each_step, **settings)
    fresh, again = problem("float32", dropout=(0.1, 0, 0.3, 0, 0.2, 0), weight_decay=1e-3, seed=9)
    resumed = minimise(again, fresh.theta, state=states[-1], **settings)
    assert resumed.x.tobytes() == whole.x.tobytes()
    assert resumed.fun == whole.fun


# Penalties, noise


def test_weight_decay_shrinks_filters_but_no_biases():
    net, plain = problem()
    net.theta[:] = np.random.default_rng(1).standard_normal(net.theta.size)
    _, decayed = problem(weight_decay=0.5)
    cost, gradient = decayed(net.theta)
    squares = sum(np.sum(layer.W**2) for layer in net.layers if layer.size)
    assert cost - plain(net.theta)[0] == pytest.approx(0.25 * squares)
    difference = net.at(gradient - plain(net.theta)[1])
    for layer, own in zip(difference.layers, net.layers, strict=True):
        if own.size:
            assert_allclose(layer.W, 0.5 * own.W, atol=1e-13)
            assert_allclose(layer.b, 0, atol=1e-13)


def test_max_norm_shortens_filters():
    net, objective = problem(max_norm=0.5)
    net.theta[:] = 1
    objective.constrain(net.theta)
    for layer in net.layers:
        if layer.size:
            assert_allclose(np.linalg.norm(layer.W, axis=1), 0.5)
            assert (layer.b == 1).all()


def test_gradients_under_dropout():
    net, objective = problem(n=4, dropout=(0.2, 0.3, 0.5, 0.1, 0.2, 0.5))
    held = objective.with_noise(3)
    assert not np.array_equal(held(net.theta)[1], objective(net.theta)[1])
    found = mlp.check_gradient(held, net.theta, sample=60)
    assert found, str(found)


def test_distorted_images_are_what_the_network_sees():
    def mirrored(X, _rng):
        return np.ascontiguousarray(X.reshape(-1, 8, 7, 2)[:, :, ::-1].reshape(X.shape))

    net, objective = problem(distort=mirrored)
    _, plain = problem()
    by_hand = mlp.Objective(net, mirrored(plain.X, None), plain.Y)
    assert_array_equal(objective(net.theta, noise=0)[1], by_hand(net.theta)[1])
    assert not np.allclose(objective(net.theta, noise=0)[1], plain(net.theta)[1])


def test_sparsity_on_a_map():
    rng = np.random.default_rng(0)
    net = mlp.MLP([(5, 5), Conv(2, 3, "logistic"), 25], output="identity", dtype="float64", seed=0)
    objective = mlp.Objective(net, rng.random((6, 25)), None, sparsity=mlp.Sparsity(rho=0.1, beta=2))
    assert mlp.check_gradient(objective, net.theta, sample=100)


def test_mnist_with_its_own_distortions():
    images = mlp.load_mnist(validation=0)[0][:60]
    net = mlp.MLP([(28, 28), Conv(4, 5, stride=2), MaxPool(3), 10], seed=0)
    objective = mlp.Objective(net, images.X, images.y, distort=mlp.Distortion(mlp.Elastic()))
    before = objective(net.theta)[0]
    mlp.sgd(objective, net.theta, learning_rate=0.1, momentum=0.9, batch_size=10, epochs=10)
    assert objective(net.theta)[0] < 0.5 * before


# Passes, looked into


def test_forward_to_a_layer_is_the_network_cut_off_there():
    net, objective = problem()
    for number in range(len(net.layers)):
        cut = mlp.MLP(net.layers[: number + 1], dtype="float64", seed=0)
        if cut.theta.size:
            cut.theta = net.theta[: cut.theta.size]
        assert_array_equal(net.forward(objective.X, layer=number), cut.forward(objective.X))
        assert_array_equal(net.forward(objective.X, layer=number - len(net.layers)), cut.forward(objective.X))


def test_errors_and_norms_by_layer():
    net, objective = problem()
    errors = objective.errors(net.theta)
    assert [error.shape for error in errors] == [(23, layer.units) for layer in net.layers]
    # BP4: ∂C/∂b is the mean of Δ; of a map's, the sum over its places
    for layer, error in zip(net.at(objective(net.theta)[1]).layers, errors, strict=True):
        if layer.size:
            assert_allclose(layer.b, error.mean(axis=0).reshape(-1, len(layer.b)).sum(axis=0), atol=1e-13)
    norms = objective.layer_norms(net.theta)
    assert norms["delta"].shape == norms["W"].shape == (6,)
    assert_array_equal(np.isnan(norms["W"]), [False, True, False, True, False, False])  # pools have no weights
    assert (norms["delta"] > 0).all()
    (line, *_) = mlp.plots.gradients(norms, against="layer").axes[1].lines
    assert_array_equal(line.get_xdata(), [1, 3, 5, 6])


def test_errors_of_maps_of_a_single_place_stay_when_the_next_chunk_passes(small_chunks):  # noqa: ARG001
    net = mlp.MLP([(3, 3), Conv(2, 3), 3], dtype="float64", seed=0)
    objective = mlp.Objective(net, np.random.default_rng(0).random((9, 9)), np.arange(9) % 3)
    errors = objective.errors(net.theta)
    alone = [objective.errors(net.theta, [row]) for row in range(9)]
    for found, *rows in zip(errors, *alone, strict=True):
        assert_allclose(found, np.concatenate(rows), atol=1e-15)


def test_8_bit_images_are_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 112), dtype=np.uint8)
    net, _ = problem()
    assert_allclose(net.forward(pixels), net.forward(pixels / 255), rtol=1e-12)


# A layer of one's own between layers of images


class Scale(mlp.Layer):
    """Each unit times a weight of its own, in the order that X has: row by row, channels last. It says nothing of images but
    their shape, and nothing of how they lie."""

    decayed = ("w",)

    def __init__(self, shape):
        self.shape = shape
        self.fan_in = self.units = math.prod(shape)

    in_shape = out_shape = property(lambda self: self.shape)

    def shapes(self):
        return {"w": self.shape}

    def forward(self, A, out, scratch):
        np.multiply(A, self.w.reshape(-1, 1), out=out)

    def propagate(self, Delta, out, scratch):
        np.multiply(Delta, self.w.reshape(-1, 1), out=out)

    def gradient(self, Delta, A, alpha, scratch):
        w = self.w.reshape(-1)
        w += alpha * (Delta * A).sum(axis=1)

    def linearised(self):
        return self


@pytest.mark.parametrize("in_two", [0, 1 << 60])
def test_an_own_layer_between_layers_of_images_sees_them_as_x_has_them(in_two, monkeypatch):
    monkeypatch.setattr(mlp.microbatches, "IN_TWO", in_two)
    rng = np.random.default_rng(0)
    own = Scale((4, 6, 3))
    assert not any((own.of_images, own.elementwise, own.inserted, own.scratch_numbers))
    net = mlp.MLP([(4, 6, 3), Conv(3, 1, "identity"), own, MaxPool(2), 3], dtype="float64", seed=0)
    net.theta = rng.standard_normal(net.theta.size)
    X, y = rng.standard_normal((7, 4, 6, 3)), rng.integers(0, 3, 7)
    conv, scale, _, _ = net.layers
    scaled = (X @ conv.W.T + conv.b) * scale.w  # (n, rows, columns, maps)
    flat = X.reshape(7, -1)
    assert_allclose(net.forward(flat, layer=1), scaled.reshape(7, -1), atol=1e-13)
    assert_allclose(net.forward(flat, layer=2), scaled.reshape(7, 2, 2, 3, 2, 3).max(axis=(2, 4)).reshape(7, -1), atol=1e-13)
    objective = mlp.Objective(net, flat, y, weight_decay=0.1)
    found = mlp.check_gradient(objective, net.theta)
    assert found, str(found)
    # ∂C/∂w = Δ ⊙ A, and its errors come in the order of w
    errors = objective.errors(net.theta)[1].reshape(7, 4, 6, 3)
    gradient = net.at(objective(net.theta)[1]).layers[1].w
    assert_allclose(gradient, (errors * (X @ conv.W.T + conv.b)).mean(axis=0) + 0.1 * scale.w, atol=1e-13)
    v = rng.standard_normal(net.theta.size)
    ahead, behind = (objective(net.theta + h * v)[1] for h in (1e-6, -1e-6))
    assert_allclose(objective.hessp(net.theta, v), (ahead - behind) / 2e-6, atol=1e-6)


# The network as an object


def test_theta_is_filters_row_by_row_then_biases_and_pools_take_none():
    net, _ = problem()
    net.theta[:] = np.arange(net.theta.size)
    first, _, second, _, third, last = net.layers
    assert_array_equal(first.W, np.arange(54).reshape(3, 18))
    assert_array_equal(first.b, [54, 55, 56])
    assert_array_equal(second.W, np.arange(57, 57 + 48).reshape(4, 12))
    assert_array_equal(second.b, [105, 106, 107, 108])
    assert third.W[0, 0] == 109
    assert last.b[-1] == net.theta.size - 1
    for component in (0, 20, 54, 57, 105, 108, 109, net.theta.size - 1):
        assert eval(f"net.{net.name_of(component)}", {"net": net}) == component
    assert net.name_of(20) == "layers[0].W[1, 2]"
    assert net.name_of(105) == "layers[2].b[0]"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_copies_have_parameters_of_their_own(duplicate):
    net, objective = problem()
    other = duplicate(net)
    assert repr(other) == repr(net)
    assert_array_equal(other.forward(objective.X), net.forward(objective.X))
    other.layers[0].W[:] = 0
    assert not other.theta[:54].any()
    assert net.theta[:54].all()


def test_a_pickled_objective_works():
    net, objective = problem()
    assert_array_equal(pickle.loads(pickle.dumps(objective))(net.theta)[1], objective(net.theta)[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saved_and_loaded(tmp_path, dtype):
    net, objective = problem(dtype)
    mlp.save(tmp_path / "model.npz", net, notes="spots")
    loaded = mlp.load(tmp_path / "model.npz")
    assert repr(loaded) == repr(net)
    assert loaded.in_shape == net.in_shape
    assert loaded.theta.tobytes() == net.theta.tobytes()
    assert_array_equal(loaded.forward(objective.X), net.forward(objective.X))


def test_astype():
    net, objective = problem("float32")
    wide = net.astype("float64")
    assert wide.layers[0].W.dtype == np.float64
    assert wide.in_shape == (8, 7, 2)
    assert_allclose(net.forward(objective.X), wide.forward(objective.X), atol=1e-6)


def test_the_same_entries_make_many_networks():
    entries = [(8, 8), Conv(2, 3), MaxPool(2), 3]
    first, second = mlp.MLP(entries, seed=0), mlp.MLP([(9, 9, 3), *entries[1:]], hidden="tanh", seed=0)
    assert first.layers[0].W.shape == (2, 9)
    assert second.layers[0].W.shape == (2, 27)
    assert (first.layers[0].activation.name, second.layers[0].activation.name) == ("relu", "tanh")
    assert not hasattr(entries[1], "windows")


def test_hidden_activations_go_to_layers_without_one_of_their_own():
    entries = [(8, 8), Conv(2, 3), MaxPool(2), Conv(2, 2, "identity"), 4, 3]
    net = mlp.MLP(entries, hidden=["tanh", "logistic"], seed=0)
    assert [layer.activation.name for layer in net.layers] == ["tanh", "identity", "identity", "logistic", "softmax"]
    with pytest.raises(ValueError, match=r"^hidden: received 3 activations, but there are 2 hidden layers"):
        mlp.MLP(entries, hidden=["tanh", "tanh", "tanh"])


def test_a_committee_of_convolutional_and_dense_networks():
    net, objective = problem()
    other = mlp.MLP([112, 5, 3], dtype="float64", seed=1)
    committee = mlp.Committee([net, other])
    mean = (net.forward(objective.X) + other.forward(objective.X)) / 2
    assert_allclose(committee.forward(objective.X), mean, rtol=1e-14)


def test_single_precision_keeps_to_double_precision():
    net, objective = problem("float32")
    gradient = objective(net.theta)[1]
    exact = objective.astype("float64")(net.theta)[1]
    assert_allclose(gradient, exact, atol=2e-6 * np.abs(exact).max())
