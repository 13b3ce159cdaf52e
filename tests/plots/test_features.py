"""Features: the weights as greys, the scale under them, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest

import mlp
from mlp import plots
from mlp.plots.mosaic import columns_for, tiled


def picture(figure):
    """The numbers of the figure's one image."""
    return np.asarray(figure.axes[0].images[0].get_array())


def scale(figure):
    """What the scale under the picture says: its numbers, and of what."""
    (bar,) = figure.axes[0].child_axes
    return [label.get_text() for label in bar.get_xticklabels()], bar.get_xlabel()


def test_features_greys():
    W = np.zeros((4, 784))
    W[0, 0], W[1, 5], W[3, 783] = 2.0, -2.0, 1.0
    image = picture(plots.features(W))
    assert image.shape == (2 * 29 + 1, 2 * 29 + 1)
    first, second, third, fourth = (image[y : y + 28, x : x + 28] for y in (1, 30) for x in (1, 30))
    assert first[0, 0] == 1.0  # white
    assert second[0, 5] == 0.0  # black
    assert fourth[27, 27] == 0.75
    assert (third == 0.5).all()
    assert np.count_nonzero(first != 0.5) == 1
    gaps = plots.features(W).axes[0].images[0].get_array().mask
    assert gaps[[0, 29, 58]].all()
    assert not gaps[1:29, 1:29].any()


def test_features_of_a_network_are_its_rows():
    net = mlp.MLP([784, 6, 10], seed=1)
    W = net.layers[0].W
    figure = plots.features(net, percentile=100)
    image = picture(figure)
    assert figure.axes[0].get_title() == "6 first-layer features of 28 × 28"
    tile = image[1:29, 30:58]  # the second unit's
    np.testing.assert_allclose(tile, 0.5 + W[1].reshape(28, 28) / (2 * np.abs(W).max()), atol=1e-6)


def test_features_percentile_is_said():
    W = np.ones((1, 400))
    W[0, :2] = -1000
    figure = plots.features(W, percentile=90)
    image = picture(figure)
    assert image[1, 1] == 0.0
    assert image[5, 5] == 1.0
    assert scale(figure) == (["≤ −1", "0", "≥ +1"], "weight (the largest is 1e+03)")
    assert scale(plots.features(W, percentile=100)) == (["−1e+03", "0", "+1e+03"], "weight")
    assert scale(plots.features(W, per_tile=True)) == (["−", "0", "+"], "weight, each tile to its own scale")
    assert scale(plots.features(W, scaling="unit_norm", percentile=100))[1] == "weight ÷ its unit's norm"


def test_features_per_tile_unit_norm_and_sorted():
    W = np.zeros((2, 900))
    W[0, 0], W[1, 0], W[1, 1] = 1.0, 3.0, 4.0  # norms 1 and 5
    shared = picture(plots.features(W))
    assert (shared[1, 1], shared[1, 32], shared[1, 33]) == (0.625, 0.875, 1.0)
    own = picture(plots.features(W, per_tile=True))
    assert (own[1, 1], own[1, 32], own[1, 33]) == (1.0, 0.875, 1.0)
    unit = picture(plots.features(W, scaling="unit_norm"))  # 1; 0.6 and 0.8
    np.testing.assert_allclose((unit[1, 1], unit[1, 32], unit[1, 33]), (1.0, 0.8, 0.9))
    ordered = picture(plots.features(W, sort_by_norm=True))
    assert (ordered[1, 1], ordered[1, 2], ordered[1, 32]) == (0.875, 1.0, 0.625)


def test_features_in_colour():
    W = np.zeros((1, 3 * 24 * 24))
    W[0, 0], W[0, -1] = 1.0, -1.0
    figure = plots.features(W, shape=(3, 24, 24))
    first = picture(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["weight,\neach channel from −1 (dark) to +1 (bright)"]
    assert first.shape == (26, 26, 3)
    np.testing.assert_array_equal(first[1, 1], [1.0, 0.5, 0.5])  # red there, and blue absent in the last pixel
    np.testing.assert_array_equal(first[24, 24], [0.5, 0.5, 0.0])
    last = picture(plots.features(W, shape=(24, 24, 3)))
    np.testing.assert_array_equal(last[1, 1], [1.0, 0.5, 0.5])
    np.testing.assert_array_equal(last[0, 0], [1.0, 1.0, 1.0])


def test_features_of_zero_weights_and_of_other_shapes():
    image = plots.features(np.zeros((3, 600)), shape=(30, 20)).axes[0].images[0].get_array()
    assert image.shape == (30 + 2, 3 * 21 + 1)
    assert (image.compressed() == 0.5).all()
    assert image.compressed().size == 3 * 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"net": np.zeros((2, 300))}, "shape: received None for images of 300 values, which make no square; give .height"),
        (
            {"net": np.zeros((2, 300)), "shape": (10, 20)},
            "shape: received .10, 20., which holds 200 values, but the images have",
        ),
        ({"net": np.zeros((2, 300)), "shape": 300}, "shape: received 300 .int., but it must be .height, width."),
        ({"net": np.zeros((2, 300)), "shape": (5, 6, 10)}, "shape: received .5, 6, 10., but it must be .height, width."),
        ({"net": np.zeros((2, 4)), "scaling": "unit"}, "scaling: received 'unit' .str., .* did you mean 'unit_norm'"),
        (
            {"net": np.zeros((2, 4)), "percentile": 101},
            "percentile: received 101 .int., but it must be a finite number above 0",
        ),
        ({"net": np.zeros(4)}, r"net: received shape \(4,\), but it must be an MLP or weights W \(units, fan_in\)"),
        ({"net": np.empty((0, 4))}, r"net: received shape \(0, 4\), but it must be an MLP or weights"),
        ({"net": "model.npz"}, "net: received 'model.npz' .str., but it must be an MLP"),
        ({"net": [[1, 2], [3]]}, r"net: received \[\[1, 2\], \[3\]\] .list., but it must be an MLP"),
        ({"net": np.array([[0, 1], [2, np.nan]]), "shape": (1, 2)}, r"net: received the weight nan at W\[1, 1\]"),
    ],
)
def test_features_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        plots.features(**arguments)


def test_features_of_a_first_layer_without_weights(classifier):
    activation = classifier.layers[0].activation
    classifier.layers[0] = SimpleNamespace(kind="mean_pool", fan_in=4, units=4, activation=activation)
    with pytest.raises(ValueError, match=r"net: received a network whose first layer is .*mean_pool.*, but it must"):
        plots.features(classifier, layer=0)


def test_features_over_pools_are_of_the_first_layer_with_weights():
    net = mlp.MLP([(8, 8), mlp.MaxPool(2), mlp.MeanPool(2, 1), mlp.Conv(2, 3), 3], seed=0)
    net.layers[2].W[...] = 0
    net.layers[2].W[0, 4] = 1
    figure = plots.features(net)
    assert figure.axes[0].get_title() == "2 layer-3 features of 3 × 3"
    assert scale(figure)[1] == "weight of what MaxPool(2), MeanPool(2, stride=1) leaves"
    np.testing.assert_array_equal(picture(figure), picture(plots.features(net, 2)))
    np.testing.assert_array_equal(np.unique(picture(figure)), [0.5, 1, np.nan])
    # of colours they are colours, as in a first layer; and dense units see what the pool leaves
    assert plots.features(mlp.MLP([(6, 6, 3), mlp.MaxPool(2), mlp.Conv(2, 2), 3])).axes[0].images[0].get_array().ndim == 3
    assert plots.features(mlp.MLP([(6, 4), mlp.MaxPool(2), 5])).axes[0].get_title() == "5 layer-2 features of 3 × 2"
    assert scale(plots.features(net, 3))[1] == "weight"


def test_mosaic():
    assert [columns_for(count, 28, 28) for count in (1, 2, 3, 9, 10, 25, 196, 256)] == [1, 2, 2, 3, 4, 5, 14, 16]
    mosaic = tiled(np.arange(3.0).reshape(3, 1, 1).repeat(24, 1).repeat(24, 2), gap=(2, 3), columns=2)
    assert mosaic.image.shape == (2 * 26 + 2, 2 * 27 + 3)
    assert [mosaic.image[y, x] for y, x in zip(mosaic.top, mosaic.left, strict=True)] == [0, 1, 2]
    assert (list(mosaic.top), list(mosaic.left)) == ([2, 2, 28], [3, 30, 3])
    assert np.isnan(mosaic.image).sum() == mosaic.image.size - 3 * 24 * 24
