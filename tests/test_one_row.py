"""A single row takes a shorter way through a network: to the same answers, from threads too, and with the same errors."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mlp


@pytest.fixture(params=["dense", "convolution", "linear"])
def net(request):
    layers = {"dense": [12, 7, 3], "convolution": [(4, 3), mlp.Conv(2, 2), 5, 3], "linear": [12, 3]}[request.param]
    return mlp.MLP(layers, seed=0)


def rows(count=40):
    return np.random.default_rng(1).normal(size=(count, 12)).astype(np.float32)


@pytest.mark.parametrize("output", ["softmax", "logistic", "identity"])
def test_row_by_row_is_as_all_together(output):
    net = mlp.MLP([12, 7, 3], output=output, seed=0)
    X = rows()
    assert_allclose(np.vstack([net.forward(row[None]) for row in X]), net.forward(X), rtol=1e-5, atol=1e-7)
    assert_allclose(np.concatenate([net.predict(row[None]) for row in X]), net.predict(X), rtol=1e-5, atol=1e-7)


def test_every_kind_of_layer(net):
    X = rows()
    assert_allclose(np.vstack([net.forward(row[None]) for row in X]), net.forward(X), rtol=1e-5, atol=1e-7)
    labels = [net.predict(row[None]) for row in X]
    assert all(label.shape == (1,) and label.dtype == np.intp for label in labels)
    assert np.concatenate(labels).tolist() == net.predict(X).tolist()


def test_pixels_are_scaled(net):
    pixels = np.random.default_rng(2).integers(0, 256, (1, 12), np.uint8)
    assert_allclose(net.forward(pixels), net.forward(pixels / 255), rtol=1e-6)
    assert net.predict(pixels) == net.predict(pixels / 255)


def test_what_is_returned_is_the_callers_own(net):
    X = rows(2)
    first, label = net.forward(X[:1]), net.predict(X[:1])
    kept = first.copy(), label.copy()
    net.forward(X[1:])
    net.predict(X[1:])
    assert (first == kept[0]).all()
    assert label == kept[1]


def test_parameters_are_those_of_the_moment(net):
    row = rows(1)
    before = net.forward(row)
    net.theta[...] *= 2
    assert not np.allclose(net.forward(row), before)
    assert_allclose(net.forward(row), net.forward(np.vstack([row, row]))[:1], rtol=1e-5)


def test_other_networks_over_the_same_layers_have_answers_of_their_own(net):
    row = rows(1)
    net.predict(row)
    for other in (net.at(net.theta * 3), net.astype("float64"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert_allclose(other.forward(row), other.forward(np.vstack([row, row]))[:1], rtol=1e-5)


def test_threads_do_not_mix_their_rows(net):
    X = rows(200)
    expected = net.forward(X)
    with ThreadPoolExecutor(8) as pool:
        found = np.vstack(list(pool.map(lambda row: net.forward(row[None]), [*X] * 5)))
        labels = np.concatenate(list(pool.map(lambda row: net.predict(row[None]), [*X] * 5)))
    assert_allclose(found, np.tile(expected, (5, 1)), rtol=1e-5, atol=1e-7)
    assert labels.tolist() == np.tile(net.predict(X), 5).tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_as_ever(net, value, refused):
    row = rows(1)
    row[0, 3] = value
    for ask in (net.forward, net.predict):
        with refused(ValueError, f"X: received {value} at example 0, feature 3, but every value must be finite in float32"):
            ask(row)


def test_large_finite_rows_are_no_error():
    """Their squares overflow, they do not."""
    net = mlp.MLP([2, 2], output="identity", seed=0)
    net.layers[0].W[...] = np.eye(2)
    assert net.forward(np.array([[3e30, -3e30]], np.float32)).tolist() == [[np.float32(3e30), np.float32(-3e30)]]


def test_outputs_without_a_class_are_refused_as_ever(net, refused):
    net.theta[...] = np.nan
    with refused(ValueError, "X: the outputs are NaN at example 0, so that there is no class to predict"):
        net.predict(rows(1))


@pytest.mark.parametrize("shape", [(1, 11), (1, 13), (12,), (1, 1, 12), (0, 12)])
def test_other_shapes_are_refused_as_ever(net, shape, refused):
    for ask in (net.forward, net.predict):
        with refused(ValueError, "X: received ", f"{shape}"):
            ask(np.zeros(shape, np.float32))


def test_a_column_of_a_larger_array_and_other_dtypes(net):
    X = np.asfortranarray(rows())
    expected = net.forward(X)[:1]
    for row in (X[:1], X[:1].astype(np.float64), X[:1].astype(">f4"), X[:1].tolist()):
        assert_allclose(net.forward(row), expected, rtol=1e-5)
        assert net.predict(row) == expected.argmax()
