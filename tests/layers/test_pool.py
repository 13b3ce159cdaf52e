"""`MaxPool` and `MeanPool` by hand; ties; windows that overlap or leave a rest. (PyTorch's word on them: test_conv.py.)"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Conv, MaxPool, MeanPool

IMAGE = np.array([[1, 3, 2, 1], [4, 2, 0, 1], [5, 1, 9, 8], [0, 2, 7, 6]], float)


def pooled(pool, image, targets=None, dtype="float64"):
    """What a pool makes of one image (h, w[, channels]); and ∂C/∂X, Δ being what comes out less targets."""
    net = mlp.MLP([image.shape, pool], output="identity", dtype=dtype, seed=0)
    out = net.forward(image.reshape(1, -1))
    # A pool alone has no parameters to learn, so a filter of 1 under it lets the image through
    net = mlp.MLP([image.shape, Conv(image.shape[2] if image.ndim == 3 else 1, 1, "identity"), pool], output="identity",
                  dtype=dtype, seed=0)  # fmt: skip
    net.layers[0].W[:] = np.eye(len(net.layers[0].W))
    assert_array_equal(net.forward(image.reshape(1, -1)), out)
    if targets is None:
        return out.reshape(net.layers[1].out_shape)
    objective = mlp.Objective(net, image.reshape(1, -1), np.reshape(targets, (1, -1)))
    return out.reshape(net.layers[1].out_shape), objective.input_gradient(net.theta).reshape(image.shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_max_by_hand(dtype):
    out, error = pooled(MaxPool(2), IMAGE, [[3, 4], [2, 9]], dtype)
    assert_array_equal(out[..., 0], [[4, 2], [5, 9]])
    # Δ = (1, −2; 3, 0), each to where the largest stood
    assert_array_equal(error, [[0, 0, -2, 0], [1, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean_by_hand(dtype):
    out, error = pooled(MeanPool(2), IMAGE, [[-1.5, 5], [6, 7.5]], dtype)
    assert_array_equal(out[..., 0], [[2.5, 1], [2, 7.5]])
    # Δ = (4, −4; −4, 0), in quarters
    assert_array_equal(error, [[1, 1, -1, -1], [1, 1, -1, -1], [-1, -1, 0, 0], [-1, -1, 0, 0]])


def test_overlapping_windows_by_hand():
    out, error = pooled(MaxPool(2, stride=1), IMAGE[:3, :3], [[3, 2], [3, 2]])
    assert_array_equal(out[..., 0], [[4, 3], [5, 9]])
    # Δ = (1, 1; 2, 7): 4, 3, 5 and 9 are each the largest of one window
    assert_array_equal(error, [[0, 1, 0], [1, 0, 0], [2, 0, 7]])
    out, error = pooled(MaxPool((1, 2), stride=1), np.array([[1.0, 5, 2]]), [[3, 2]])
    assert_array_equal(out[..., 0], [[5, 5]])
    assert_array_equal(error, [[0, 2 + 3, 0]])  # the 5 is the largest of both
    _, error = pooled(MeanPool((1, 2), stride=1), np.array([[1.0, 5, 2]]), [[1, 1.5]])
    assert_array_equal(error, [[1, 1 + 1, 1]])  # Δ = (2, 2), in halves


def test_a_rest_is_left_out():
    image = np.arange(35.0).reshape(5, 7)
    for pool, expected in ((MaxPool(2), [[8, 10, 12], [22, 24, 26]]), (MaxPool((2, 3), (3, 4)), [[9, 13], [30, 34]])):
        out, error = pooled(pool, image, np.array(expected) - 1)
        assert_array_equal(out[..., 0], expected)
        assert_array_equal(np.flatnonzero(error), np.ravel(expected))  # pixel number k is k itself
    _, error = pooled(MeanPool(2), image, np.zeros((2, 3)))
    assert not error[4].any()
    assert not error[:, 6].any()


def test_of_equals_the_leftmost_takes_the_error_and_of_these_the_topmost():
    _, error = pooled(MaxPool(2), np.ones((2, 4)), [[0, -1]])
    assert_array_equal(error, [[1, 0, 2, 0], [0, 0, 0, 0]])
    image = np.array([[0.0, 0, 3], [0, 3, 3], [3, 1, 3]])
    _, error = pooled(MaxPool(3), image, [[2]])
    assert_array_equal(error, [[0, 0, 0], [0, 0, 0], [1, 0, 0]])
    _, error = pooled(MaxPool(2), np.array([[1.0, 2], [2, 1]]), [[1]])
    assert_array_equal(error, [[0, 0], [1, 0]])


def test_channels_are_pooled_each_by_itself():
    image = np.stack([IMAGE, -IMAGE], axis=-1)
    assert_array_equal(pooled(MaxPool(2), image), np.stack([[[4, 2], [5, 9]], [[-1, 0], [0, -6]]], axis=-1))
    assert_array_equal(pooled(MeanPool(2), image), np.stack([[[2.5, 1], [2, 7.5]], [[-2.5, -1], [-2, -7.5]]], axis=-1))


def test_negative_images_and_many_examples():
    rng = np.random.default_rng(0)
    X = -5 + rng.standard_normal((40, 6, 8, 3))
    blocks = X.reshape(40, 3, 2, 2, 4, 3)
    for pool, expected in ((MaxPool((2, 4)), blocks.max(axis=(2, 4))), (MeanPool((2, 4)), blocks.mean(axis=(2, 4)))):
        net = mlp.MLP([(6, 8, 3), pool], output="identity", dtype="float64", seed=0)
        assert_allclose(net.forward(X.reshape(40, -1)), expected.reshape(40, -1), rtol=1e-13)


def test_no_parameters():
    net = mlp.MLP([(4, 4), MaxPool(2), MeanPool(2), 3], seed=0)
    pools = net.layers[:2]
    assert [layer.size for layer in pools] == [0, 0]
    assert [layer.parameters() for layer in pools] == [{}, {}]
    assert [layer.multiply_adds for layer in pools] == [0, 0]
    assert net.theta.size == 1 * 3 + 3
