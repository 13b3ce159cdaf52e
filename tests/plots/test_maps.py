"""Pictures of convolutional layers: filters, maps and receptive fields. Expected values are by hand."""

import numpy as np
import pytest

import mlp
from mlp import Conv, MaxPool, plots


@pytest.fixture
def net():
    """A 5 × 5 image, two maps of 4 × 4 through filters (1, 0; 0, 0) and (0, 0; 0, −1), then a pool, a conv and an output."""
    net = mlp.MLP([(5, 5), Conv(2, 2, "identity"), MaxPool(2), Conv(3, 2, "relu"), 4], dtype="float64", seed=0)
    net.layers[0].W[:] = [[1, 0, 0, 0], [0, 0, 0, -1]]
    net.layers[0].b[:] = 0
    return net


@pytest.fixture
def images():
    return np.arange(50.0).reshape(2, 25) / 50


def picture(figure, number=0, panel=0):
    return np.asarray(figure.axes[panel].images[number].get_array())


# Filters


def test_filters_are_tiles_of_the_kernels_size(net):
    figure = plots.features(net, percentile=100)
    assert figure.axes[0].get_title() == "2 first-layer features of 2 × 2"
    image = picture(figure)
    assert image.shape == (24 + 2, 2 * 25 + 1)  # a tile of 2 × 2 is enlarged to 24 × 24
    first, second = image[1:25, 1:25], image[1:25, 26:50]
    assert first[0, 0] == first[11, 11] == 1
    assert second[12, 12] == second[23, 23] == 0
    assert np.count_nonzero(first != 0.5) == np.count_nonzero(second != 0.5) == 144


def test_a_deeper_filters_channels_stand_side_by_side(net):
    W = net.layers[2].W  # (3, 2·2·2)
    W[:] = np.linspace(-1, 1, 24).reshape(3, 8)
    figure = plots.features(net, 2, percentile=100)
    assert figure.axes[0].get_title() == "3 layer-3 features, 2 channels of 2 × 2 each"
    image = figure.axes[0].images[0].get_array()
    times = 5  # a strip of 2 × 5 values, 24/5 rounded
    strip = image[2 : 2 + 2 * times : times, 3 : 3 + 5 * times : times]
    kernel = 0.5 + W[0].reshape(2, 2, 2) / 2
    np.testing.assert_allclose(strip[:, :2], kernel[..., 0])
    np.testing.assert_allclose(strip[:, 3:], kernel[..., 1])
    assert strip.mask[:, 2].all()


def test_a_dense_layers_features_are_laid_out_as_the_maps_below(net):
    title = plots.features(net, 3).axes[0].get_title()
    assert title == "4 layer-4 features, 3 channels of 1 × 1 each"
    wide = mlp.MLP([(4, 6), 5, 3], seed=0)
    assert plots.features(wide).axes[0].get_title() == "5 first-layer features of 4 × 6"
    assert plots.features(wide, shape=(6, 4)).axes[0].get_title() == "5 first-layer features of 6 × 4"


def test_three_channels_of_the_input_are_colours():
    net = mlp.MLP([(6, 6, 3), Conv(2, 3), Conv(4, 2), 2], seed=0)
    figure = plots.features(net, percentile=100)
    assert figure.axes[0].get_title() == "2 first-layer features of 3 × 3 × 3"
    W = net.layers[0].W
    np.testing.assert_allclose(picture(figure)[1, 1], 0.5 + W[0, :3] / (2 * np.abs(W).max()), atol=1e-6)
    three = mlp.MLP([(6, 6), Conv(3, 3), Conv(4, 2), 2], seed=0)
    assert plots.features(three, 1).axes[0].get_title() == "4 layer-2 features, 3 channels of 2 × 2 each"


def test_features_refuse_layers_without_weights(net, refused):
    with refused(ValueError, "net: received a network whose layer 2 is MaxPool(2), but it must have weights W"):
        plots.features(net, 1)
    with refused(ValueError, "layer: received 4 (int), but it must be an integer of at least 0 and at most 3"):
        plots.features(net, 4)
    with refused(ValueError, "layer: received 1 (int), but weights W are of one layer, 0"):
        plots.features(np.eye(4), 1)


# Maps


def test_maps_of_images(net, images, tmp_path):
    figure = plots.activations(net, images, layer=0, file=tmp_path / "maps.png")
    assert (tmp_path / "maps.png").stat().st_size > 5000
    panel = figure.axes[0]
    assert panel.get_title() == "Layer 1: 2 maps of 4 × 4 for 2 images"
    maps, first, second = (np.asarray(image.get_array()) for image in panel.images)
    np.testing.assert_allclose([first, second], images.reshape(2, 5, 5))
    pitch, times = 25, 6  # a map of 4 × 4 becomes 24 × 24
    for row in range(2):
        shown = [maps[1 + row * pitch :: times, 1 + pitch * k :: times][:4, :4] for k in range(2)]
        np.testing.assert_allclose(shown[0], images[row].reshape(5, 5)[:4, :4])
        np.testing.assert_allclose(shown[1], -images[row].reshape(5, 5)[1:, 1:])
    assert panel.images[0].get_clim() == pytest.approx((-0.98, 0.98))


def test_maps_of_one_image_make_a_block(net, images):
    panel = plots.activations(net, images, layer=2, count=1).axes[0]
    assert panel.get_title() == "Layer 3: 3 maps of 1 × 1 for an image"
    assert panel.images[0].get_array().shape == (2 * 25 + 1, 2 * 25 + 1)  # three tiles, two in a row
    assert len(panel.images) == 2


def test_maps_of_the_first_example_of_each_class(net):
    X = np.random.default_rng(0).random((6, 25))
    panel = plots.activations(net, X, [2, 0, 2, 0, 1, 1], layer=1).axes[0]
    assert panel.get_title() == "Layer 2: 2 maps of 2 × 2 for 3 images"
    np.testing.assert_array_equal([image.get_array() for image in panel.images[1:]], X[[1, 4, 0]].reshape(3, 5, 5))
    assert len(plots.activations(net, X, layer=1).axes[0].images) == 1 + 5
    assert len(plots.activations(net, X, layer=1, count=6).axes[0].images) == 1 + 6


def test_histograms_call_pools_by_what_they_are(net, images):
    labels = [label.get_text() for label in plots.activations(net, images, layer=None).axes[0].get_yticklabels()]
    assert labels == ["layer 1\n32 identity", "layer 2\n8 maxpool", "layer 3\n3 relu", "layer 4\n4 softmax"]


# Receptive fields


def field(figure):
    """What is drawn: the image, the strengths, and the frame as (first column, first row, columns, rows)."""
    frames = [panel.patches[0] for panel in figure.axes[:2]]
    boxes = {(*frame.get_xy(), frame.get_width(), frame.get_height()) for frame in frames}
    assert len(boxes) == 1
    x, y, width, height = boxes.pop()
    return picture(figure), picture(figure, panel=1), (x + 0.5, y + 0.5, width, height)


def test_a_first_layers_unit_looks_through_its_filter(net, images):
    net.layers[0].W[0] = [1, -2, 3, 4]
    image, strength, frame = field(plots.receptive_field(net, images, place=(1, 3)))
    np.testing.assert_allclose(image, images[0].reshape(5, 5))
    assert frame == (3, 1, 2, 2)
    expected = np.zeros((5, 5))
    expected[1:3, 3:5] = [[1, 2], [3, 4]]
    np.testing.assert_allclose(strength, expected)


def test_a_pool_looks_where_the_largest_is(net, images):
    # map 1 is minus the image: the largest of each window is its first value
    _, strength, frame = field(plots.receptive_field(net, images, layer=1, unit=1, place=(0, 1)))
    assert frame == (2, 0, 3, 3)
    assert np.argwhere(strength).tolist() == [[1, 3]]
    assert strength[1, 3] == 1


def test_deeper_units_see_more_and_dense_ones_all(net, images):
    figure = plots.receptive_field(net, images, layer=2, unit=2)
    _, _, frame = field(figure)
    assert frame == (0, 0, 5, 5)
    assert figure.axes[0].get_title() == "Layer 3, unit 2:\nit sees 5 × 5 pixels"
    figure = plots.receptive_field(net, images, layer=3, unit=1)
    assert figure.axes[0].get_title() == "Layer 4, unit 1:\nit sees 5 × 5 pixels"
    assert figure.axes[1].get_title() == "How strongly each pixel moves it:\n|∂z/∂x| over 2 images"


def test_a_dense_networks_unit_looks_through_its_weights(classifier):
    _, strength, frame = field(plots.receptive_field(classifier, np.eye(4), unit=3))
    assert frame == (0, 0, 2, 2)
    np.testing.assert_allclose(strength, [[0, 0], [0, 10]])


@pytest.mark.parametrize("n", [3, 4, 5])
def test_many_images_in_chunks(net, n, monkeypatch):
    X = np.random.default_rng(0).standard_normal((n, 25))
    expected = field(plots.receptive_field(net, X, layer=3))[1]
    monkeypatch.setattr(mlp.backprop, "CHUNK", 2)
    np.testing.assert_allclose(field(plots.receptive_field(net, X, layer=3))[1], expected, rtol=1e-12)


def test_zeros_around_an_image_are_not_framed():
    net = mlp.MLP([(6, 7), Conv(1, 3, "identity", padding=1), Conv(1, 3, stride=2, padding="same"), 2], seed=0)
    X = np.ones((1, 42))
    for place, frame in [((0, 0), (0, 0, 3, 4)), ((2, 3), (4, 3, 3, 3)), ((1, 1), (0, 1, 5, 5))]:
        _, strength, found = field(plots.receptive_field(net, X, layer=1, place=place))
        x, y, width, height = found
        rows, columns = np.nonzero(strength)
        assert (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1) == found
        assert frame[:2] == (x, y)
        assert (width, height) == frame[2:]


def test_a_unit_that_nothing_moves_is_black():
    net = mlp.MLP([(4, 4), Conv(1, 2), 2], seed=0)
    net.theta[:] = 0
    figure = plots.receptive_field(net, np.ones((1, 16)))
    assert figure.axes[1].images[0].get_clim() == (0, 1)


def test_colour_images():
    net = mlp.MLP([(4, 4, 3), Conv(2, 2), 2], dtype="float64", seed=0)
    X = np.random.default_rng(0).random((1, 48))
    image, strength, _ = field(plots.receptive_field(net, X, place=(0, 0)))
    assert image.shape == (4, 4, 3)
    np.testing.assert_allclose(strength[:2, :2], np.linalg.norm(net.layers[0].W[0].reshape(2, 2, 3), axis=2))
    assert picture(plots.activations(net, X), 1).shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layer": 4}, ValueError, "layer: received 4 (int), but it must be an integer of at least 0 and at most 3"),
        ({"unit": 2}, ValueError, "unit: received 2 (int), but it must be an integer of at least 0 and at most 1"),
        ({"place": (0, 4)}, ValueError, "place[1]: received 4 (int), but it must be an integer of at least 0 and at most 3"),
        ({"place": 3}, TypeError, "place: received 3 (int), but it must be None or a pair (row, column)"),
        ({"place": (1, 2, 3)}, TypeError, "place: received (1, 2, 3) (tuple), but it must be None or a pair (row, column)"),
        ({"net": 3}, TypeError, "net: received 3 (int), but it must be an MLP"),
        ({"X": np.ones((2, 24))}, ValueError, "X: received 24 features"),
        ({"net": mlp.MLP([3, 2], seed=0), "X": np.ones((2, 3))}, ValueError, "shape: received None for images of 3 values"),
    ],
)
def test_what_is_no_unit_is_refused(net, images, refused, arguments, error, message):
    with refused(error, message):
        plots.receptive_field(**{"net": net, "X": images} | arguments)
