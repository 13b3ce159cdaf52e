"""Figures: what is in them, where they go, and what they refuse. Expected values are by hand."""

import gzip
import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure
from matplotlib.image import imread

import mlp
from mlp import plots
from mlp.plots.__main__ import main
from mlp.plots.mosaic import columns_for, tiled

HISTORY = [
    {"epoch": 1, "cost": 0.5, "validation_cost": 0.4, "validation_accuracy": 0.90, "learning_rate": 0.1, "seconds": 1.5},
    {"epoch": 2, "cost": 0.2, "validation_cost": 0.3, "validation_accuracy": 0.95, "learning_rate": 0.1, "seconds": 3.0},
    {"epoch": 3, "cost": 0.1, "validation_cost": 0.35, "validation_accuracy": 0.94, "learning_rate": 0.1, "seconds": 4.5},
]


@pytest.fixture(autouse=True)
def _nothing_left_open():
    yield
    assert Gcf.figs == {}  # no figure is pyplot's, so no window opens and none leaks


@pytest.fixture
def classifier():
    """Softmax of 10 x: the label is the number of the largest of four inputs, a 2 × 2 image."""
    net = mlp.MLP([4, 4], output="softmax", dtype="float64", seed=0)
    net.layers[0].W[...] = 10 * np.eye(4)
    net.layers[0].b[...] = 0
    return net


def picture(figure):
    """The numbers of the figure's one image."""
    return np.asarray(figure.axes[0].images[0].get_array())


def texts(ax):
    return [text.get_text() for text in ax.texts]


def lines(ax):
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in ax.lines}


# Features


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
    (bar,) = (child for child in figure.axes[0].child_axes)
    assert [label.get_text() for label in bar.get_yticklabels()] == ["≤ −1", "0", "≥ +1"]
    assert texts(bar) == ["weight\n(the largest is 1e+03)"]
    unclipped = plots.features(W, percentile=100).axes[0].child_axes[0]
    assert texts(unclipped) == ["weight"]
    assert [label.get_text() for label in unclipped.get_yticklabels()] == ["−1e+03", "0", "+1e+03"]


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
    first = picture(plots.features(W, shape=(3, 24, 24)))
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
        ({"net": "model.npz"}, "net: received 'model.npz' .str., but it must be an MLP"),
        ({"net": np.array([[0, 1], [2, np.nan]]), "shape": (1, 2)}, r"net: received the weight nan at W\[1, 1\]"),
    ],
)
def test_features_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        plots.features(**arguments)


def test_mosaic():
    assert [columns_for(count, 28, 28) for count in (1, 2, 3, 9, 10, 25, 196, 256)] == [1, 2, 2, 3, 4, 5, 14, 16]
    mosaic = tiled(np.arange(3.0).reshape(3, 1, 1).repeat(24, 1).repeat(24, 2), gap=(2, 3), columns=2)
    assert mosaic.image.shape == (2 * 26 + 2, 2 * 27 + 3)
    assert [mosaic.image[y, x] for y, x in zip(mosaic.top, mosaic.left, strict=True)] == [0, 1, 2]
    assert (list(mosaic.top), list(mosaic.left)) == ([2, 2, 28], [3, 30, 3])
    assert np.isnan(mosaic.image).sum() == mosaic.image.size - 3 * 24 * 24


# Where figures go


def drawers(net):
    """Each function with arguments that fit."""
    X, y = np.eye(4), np.array([0, 1, 2, 0])
    return {
        "features": lambda **where: plots.features(net, **where),
        "curves": lambda **where: plots.curves(HISTORY, **where),
        "confusion": lambda **where: plots.confusion(net, X, y, **where),
        "mistakes": lambda **where: plots.mistakes(net, X, y, **where),
        "activations": lambda **where: plots.activations(net, X, y, **where),
        "weights": lambda **where: plots.weights(net, **where),
        "gradients": lambda **where: plots.gradients({"delta": [[1, 2]], "W": [[3, 4]]}, **where),
    }


NAMES = ["features", "curves", "confusion", "mistakes", "activations", "weights", "gradients"]


@pytest.mark.parametrize("name", NAMES)
def test_file_and_ax(name, classifier, tmp_path):
    draw = drawers(classifier)[name]
    figure = draw(file=tmp_path / "a.png")
    assert isinstance(figure, Figure)
    width, height = figure.get_size_inches() * figure.dpi
    image = imread(tmp_path / "a.png")
    assert abs(image.shape[1] - width) <= 1
    assert abs(image.shape[0] - height) <= 1
    assert image[..., :3].std() > 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    mine = Figure()
    ax = mine.subplots(1, 2)
    assert draw(ax=ax[0]) is mine
    assert not ax[1].has_data()
    assert ax[0].has_data() or all(child.has_data() for child in ax[0].child_axes)


def test_open_files_and_notebooks():
    stream = io.BytesIO()
    figure = plots.features(np.eye(4), file=stream)
    assert stream.getvalue().startswith(b"\x89PNG")
    assert figure._repr_png_() == stream.getvalue()


def test_text_stays_inside_and_apart():
    """No text leaves the figure, and no two overlap."""
    rng = np.random.default_rng(0)
    net = mlp.MLP([784, 64, 10], seed=0)
    X, y = rng.random((400, 784)), rng.integers(0, 10, 400)
    for figure in (
        plots.features(net),
        plots.curves({"one": HISTORY, "two": HISTORY[:2]}),
        plots.confusion(net, X, y),
        plots.mistakes(net, X, y),
        plots.activations(net, X, y),
        plots.activations(net, X, layer=None),
        plots.weights(net),
        plots.gradients({"delta": rng.random((4, 3)), "W": rng.random((4, 3))}),
    ):
        figure.draw_without_rendering()
        boxes = []
        for ax in [*figure.axes, *(child for parent in figure.axes for child in parent.child_axes)]:
            words = [ax.title, *ax.texts]
            for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
                low, high = sorted(axis.get_view_interval())
                ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
                words += [axis.label, *(label for place, label in ticks if low <= place <= high)]
            boxes += [text.get_window_extent() for text in words if text.get_text() and text.get_visible()]
        for number, box in enumerate(boxes):
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y1 <= figure.bbox.y1 + 1
            assert box.count_overlaps(boxes[:number]) == 0


def test_panels_in_axes_of_ones_own():
    mine = Figure()
    axes = mine.subplots(2, 1)
    assert plots.curves(HISTORY, ax=axes) is mine
    assert [ax.get_title() for ax in axes] == ["Cost", "Accuracy"]
    whole = Figure().subplots()
    plots.curves(HISTORY, ax=whole)
    assert [ax.get_title() for ax in whole.child_axes] == ["Cost", "Accuracy"]
    with pytest.raises(ValueError, match=r"ax: received 3 Axes, but the figure has 2 panels"):
        plots.curves(HISTORY, ax=Figure().subplots(3))
    with pytest.raises(TypeError, match=r"ax: received 'left' .str., but it must be matplotlib Axes, or a sequence of them"):
        plots.curves(HISTORY, ax="left")
    with pytest.raises(TypeError, match=r"ax: received 1 .int., but it must be matplotlib Axes$"):
        plots.features(np.eye(4), ax=1)


def test_files_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"file: received '.*a.bmp', but its name must end in .png, .pdf, .svg"):
        plots.features(np.eye(4), file=f"{tmp_path}/a.bmp")
    with pytest.raises(FileNotFoundError, match=r"file: received .*, but there is no directory .*nowhere"):
        plots.features(np.eye(4), file=tmp_path / "nowhere" / "a.png")
    with pytest.raises(TypeError, match=r"file: received .*, but it must be a path or a file open for writing bytes"):
        plots.features(np.eye(4), file=io.StringIO())
    assert list(tmp_path.iterdir()) == []


def test_importing_mlp_does_not_import_matplotlib():
    code = "import mlp, sys; sys.exit(any(name.startswith('matplotlib') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Curves


def write_metrics(path, history):
    rows = [",".join(history[0])] + [",".join("" if v is None else str(v) for v in record.values()) for record in history]
    path.write_text("\n".join(rows) + "\n")


def test_curves_of_a_history():
    cost, accuracy = plots.curves(HISTORY).axes
    drawn = lines(cost)
    assert list(drawn) == ["training", "validation (best 0.3, epoch 2)"]
    np.testing.assert_array_equal(drawn["training"], ([1, 2, 3], [0.5, 0.2, 0.1]))
    ((label, (x, y)),) = lines(accuracy).items()
    assert label == "validation (best 95.00 %, epoch 2)"
    np.testing.assert_allclose((x, y), ([1, 2, 3], [90, 95, 94]))
    assert (cost.get_xlabel(), cost.get_ylabel()) == ("epoch", "cost")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel(), accuracy.get_title()) == ("epoch", "accuracy (%)", "Accuracy")


def test_curves_are_the_same_from_everywhere(tmp_path):
    write_metrics(tmp_path / "metrics.csv", HISTORY)
    result = mlp.optimizers.OptimizeResult(history=HISTORY)
    expected = [lines(ax) for ax in plots.curves(HISTORY).axes]
    for run in (tmp_path, str(tmp_path / "metrics.csv"), result):
        found = [lines(ax) for ax in plots.curves(run).axes]
        assert [list(panel) for panel in found] == [list(panel) for panel in expected]
        for panel, same in zip(found, expected, strict=True):
            for label in panel:
                np.testing.assert_array_equal(panel[label], same[label])


def test_curves_of_a_real_run():
    net = mlp.MLP([4, 3], seed=0)
    objective = mlp.Objective(net, np.eye(4), np.array([0, 1, 2, 0]))
    result = mlp.sgd(objective, net.theta, epochs=3)
    (cost,) = plots.curves(result.history).axes
    np.testing.assert_array_equal(lines(cost)["training"][1], result.history["cost"])
    (cost,) = plots.curves(mlp.lbfgs(objective, net.theta, maxiter=3)).axes
    assert cost.get_xlabel() == "iteration"


def test_several_runs_and_seconds():
    cost, accuracy = plots.curves({"a": HISTORY, "b": HISTORY[:2]}, against="seconds").axes
    assert cost.get_title() == "Cost (dashed: training)"
    assert cost.get_xlabel() == "training time (s)"
    assert [line.get_linestyle() for line in cost.lines] == ["--", "-", "--", "-"]
    assert cost.lines[0].get_color() == cost.lines[1].get_color() != cost.lines[2].get_color()
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["a (best 95.00 %, 3 s)", "b (best 95.00 %, 3 s)"]
    np.testing.assert_array_equal(cost.lines[2].get_xdata(), [1.5, 3.0])
    (only,) = plots.curves(HISTORY, show="accuracy").axes
    assert only.get_title() == "Accuracy"


def test_curves_scale_and_gaps():
    (cost,) = plots.curves([{"epoch": 1, "cost": 1.0}, {"epoch": 2, "cost": 0.05}]).axes
    assert cost.get_yscale() == "log"
    regression = [{**record, "validation_accuracy": None} for record in HISTORY]
    (cost,) = plots.curves(regression).axes
    assert cost.get_yscale() == "linear"
    (cost,) = plots.curves([{"cost": float("nan")}, {"cost": 2.0}]).axes
    np.testing.assert_array_equal(cost.lines[0].get_ydata(), [np.nan, 2.0])


def test_curves_refuse(tmp_path):
    write_metrics(tmp_path / "metrics.csv", HISTORY)
    for run, error, message in [
        ([], ValueError, "run: holds no records"),
        (3, TypeError, "run: received 3 .int., but it must be a history .a list of records"),
        ({"a": 3}, TypeError, r"run\['a'\]: received 3 .int."),
        ({}, ValueError, "run: received an empty mapping"),
        ([{"epoch": 1}], ValueError, "run: has no cost, only epoch"),
        ([{"cost": "high"}], ValueError, "run: the column cost holds 'high' .str., but it must hold numbers"),
        (tmp_path / "nowhere", FileNotFoundError, "nowhere: there is no such file"),
    ]:
        with pytest.raises(error, match=message):
            plots.curves(run)
    with pytest.raises(ValueError, match=r"show: received 'accuracy' .str., but only cost was recorded"):
        plots.curves([{"cost": 1.0}], show="accuracy")
    with pytest.raises(ValueError, match=r"against: received 'seconds', but a run has no such column"):
        plots.curves([{"cost": 1.0}], against="seconds")
    with pytest.raises(ValueError, match=r"run: holds no finite cost"):
        plots.curves([{"cost": float("nan")}])
    (tmp_path / "metrics.csv").write_text("")
    with pytest.raises(ValueError, match=r"metrics.csv: is empty"):
        plots.curves(tmp_path)
    (tmp_path / "metrics.csv").write_bytes(b"\xff\xfe\x00cost")
    with pytest.raises(ValueError, match=r"metrics.csv: not a table of metrics"):
        plots.curves(tmp_path)


# Confusion and mistakes


def test_confusion_counts():
    true, given = [0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 0, 1, 1, 1, 0, 2, 0, 2]
    figure = plots.confusion(y=true, predicted=given)
    ax = figure.axes[0]
    assert texts(ax) == ["2", "1", "0", "0", "2", "0", "2", "0", "2"]
    assert ax.get_title() == "Accuracy 66.67 % (6 of 9 examples)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("label given", "true label")
    image = ax.images[0].get_array()
    assert image.mask.diagonal().all()  # the right ones are no part of the colours
    assert (image[0, 1], image[2, 0]) == (1, 2)
    side = ax.child_axes[0]
    assert [label.get_text() for label in side.get_yticklabels()] == ["66.7 %", "100.0 %", "50.0 %"]


def test_confusion_of_a_network(classifier):
    figure = plots.confusion(classifier, np.eye(4), np.array([0, 1, 2, 2]))
    assert texts(figure.axes[0])[2 * 4 : 3 * 4] == ["0", "0", "1", "1"]
    one_hot = plots.confusion(classifier, np.eye(4), np.eye(4))
    assert one_hot.axes[0].get_title() == "Accuracy 100.00 % (4 of 4 examples)"
    binary = mlp.MLP([1, 1], output="logistic", seed=0)
    binary.layers[0].W[...] = 1
    figure = plots.confusion(binary, np.array([[-1.0], [1.0], [2.0]]), np.array([[0.0], [0.0], [1.0]]))
    assert texts(figure.axes[0]) == ["1", "1", "0", "1"]
    many = plots.confusion(y=range(40), predicted=range(40))
    assert texts(many.axes[0]) == []  # too many for numbers


def test_mistakes_show_the_most_confident_first(classifier):
    X = np.array([[1, 0, 0, 0], [0, 0.9, 0, 0], [0, 0, 0.2, 0], [0, 0, 0, 0.05]])
    y = np.array([0, 2, 3, 0])  # the first is right
    figure = plots.mistakes(classifier, X, y, count=2)
    ax = figure.axes[0]
    # softmax of (0, 9, 0, 0) and of (0, 0, 2, 0): 1/(1 + 3 e^-9) = 0.99963, 1/(1 + 3 e^-2) = 0.7112
    assert texts(ax) == ["2 → 1   >99.9 %", "3 → 2   71.1 %"]
    assert ax.get_title() == "The 2 most confident of 3 mistakes (25.00 % of 4 right)\ntrue → given label, confidence"
    image = ax.images[0].get_array()
    assert sorted(set(image.compressed())) == [0, 0.2, 0.9]
    everything = plots.mistakes(classifier, X, y)
    assert everything.axes[0].get_title().startswith("All 3 mistakes")
    assert plots.mistakes(classifier, X[:2], y[:2]).axes[0].get_title().startswith("The only mistake")
    assert texts(plots.mistakes(classifier, X[:1], y[:1]).axes[0]) == ["none (100.00 % of 1 right)"]


def test_mistakes_of_pixels_and_of_a_linear_output(classifier):
    pixels = plots.mistakes(classifier, np.diag([255] * 4).astype(np.uint8), np.array([1, 1, 2, 3]))
    assert set(picture(pixels)[~np.isnan(picture(pixels))]) <= {0.0, 1.0}
    linear = mlp.MLP([4, 4], output="identity", seed=0)
    linear.layers[0].W[...] = 2 * np.eye(4)
    assert texts(plots.mistakes(linear, -1 + 2 * np.eye(4), np.array([1, 1, 2, 3])).axes[0]) == ["1 → 0   2.00"]


def test_classifiers_and_labels_refused(classifier):
    X = np.eye(4)
    for function in (plots.confusion, plots.mistakes):
        with pytest.raises(ValueError, match=r"X: received 3 features"):
            function(classifier, np.eye(3), [0, 1, 2])
        with pytest.raises(ValueError, match=r"y: received shape \(3,\), but it must be labels \(4,\)"):
            function(classifier, X, [0, 1, 2])
        with pytest.raises(ValueError, match=r"y: received label 4 at example 3, but labels must be integers from 0 to 3"):
            function(classifier, X, [0, 1, 2, 4])
        with pytest.raises(ValueError, match=r"y: received label 0.5 at example 0"):
            function(classifier, X, [0.5, 1, 2, 3])
        with pytest.raises(ValueError, match=r"net: received a network with one identity output, but it must be a classifier"):
            function(mlp.MLP([4, 1], output="identity", seed=0), X, [0, 1, 1, 0])
    with pytest.raises(TypeError, match=r"confusion: it needs net, X and y, or y and predicted"):
        plots.confusion(y=[0, 1])
    with pytest.raises(ValueError, match=r"predicted: received shape \(1,\), but it must be labels \(2,\)"):
        plots.confusion(y=[0, 1], predicted=[0])
    with pytest.raises(ValueError, match=r"count: received 0 .int., but it must be an integer of at least 1"):
        plots.mistakes(classifier, X, [0, 1, 2, 3], count=0)


# Layer by layer


def test_activations():
    net = mlp.MLP([2, 3, 2], hidden="relu", dtype="float64", seed=0)
    net.layers[0].W[...] = [[0, 1], [1, 0], [-1, -1]]
    X, y = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]), np.array([0, 1, 0])
    figure = plots.activations(net, X)
    np.testing.assert_array_equal(picture(figure), [[0, 1, 0], [2, 0, 0], [0, 3, 0]])
    assert figure.axes[0].get_title() == (
        "Hidden layer 1: outputs of 3 relu units for 3 examples\n1 unit of constant output over all 3 examples"
    )
    # examples of class 0 first, and the unit that it excites; the third unit is excited by none, and so comes after it
    np.testing.assert_array_equal(picture(plots.activations(net, X, y)), [[1, 0, 0], [3, 0, 0], [0, 0, 2]])
    assert picture(plots.activations(net, X, count=2)).shape == (2, 3)
    output = plots.activations(net, X, layer=1)
    np.testing.assert_allclose(picture(output), net.forward(X))
    assert output.axes[0].get_title().startswith("Output layer: outputs of 2 softmax units")
    every = plots.activations(net, X, layer=None).axes[0]
    assert [label.get_text() for label in every.get_yticklabels()] == ["layer 1\n3 relu", "layer 2\n2 softmax"]
    assert "67 % are 0" in every.texts[0].get_text()
    with pytest.raises(ValueError, match=r"layer: received 2 .int., but it must be an integer of at least 0 and at most 1"):
        plots.activations(net, X, layer=2)


def test_weights():
    net = mlp.MLP([4, 3, 2], seed=0)
    ax = plots.weights(net).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["layer 1\n4 → 3", "layer 2\n3 → 2"]
    heights, edges, base = ax.patches[0].get_data()
    counts = np.histogram(net.layers[0].W, np.linspace(net_min(net), net_max(net), 121))[0]
    np.testing.assert_allclose((heights - base) / 0.85 * counts.max(), counts)
    assert (edges[0], edges[-1]) == (net_min(net), net_max(net))
    net.theta[0] = np.inf
    with pytest.raises(ValueError, match=r"net: received inf among the weights of layer 1, but all must be finite"):
        plots.weights(net)
    with pytest.raises(TypeError, match=r"net: received 3 .int., but it must be an MLP"):
        plots.weights(3)


def net_min(net):
    return min(float(layer.W.min()) for layer in net.layers)


def net_max(net):
    return max(float(layer.W.max()) for layer in net.layers)


def test_gradients():
    table = [[1e-3, 1e-2], [2e-3, 0], [3e-3, 3e-2]]  # three epochs, two layers
    figure = plots.gradients({"W": table, "delta": table})
    assert [ax.get_title() for ax in figure.axes] == ["Errors", "Gradients of the weights"]
    ax = figure.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", r"norm $\|\Delta^\ell\|$", "log")
    np.testing.assert_array_equal(lines(ax)["layer 1"], ([1, 2, 3], [1e-3, 2e-3, 3e-3]))
    np.testing.assert_array_equal(lines(ax)["layer 2"][1], [1e-2, np.nan, 3e-2])  # 0 has no logarithm
    records = [{"epoch": epoch, "delta": row} for epoch, row in enumerate(table)]
    (ax,) = plots.gradients(records).axes
    np.testing.assert_array_equal(lines(ax)["layer 1"][0], [0, 1, 2])
    (ax,) = plots.gradients(records, against="layer").axes
    np.testing.assert_array_equal(lines(ax)["epoch 2"], ([1, 2], [3e-3, 3e-2]))
    (ax,) = plots.gradients({"delta": [1, 2, 3]}).axes  # one epoch: against the layers
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 1], [2, 2], [3, 3]])
    many = plots.gradients({"delta": np.ones((50, 20))})
    assert many.axes[1].get_ylabel() == "layer"  # the lines' colours


@pytest.mark.parametrize(
    ("norms", "error", "message"),
    [
        ({}, ValueError, "norms: received nothing, but it must be"),
        ({"epoch": [1]}, ValueError, "norms: received epoch, but it must be"),
        ([], TypeError, r"norms: received \[\] .list."),
        ({"Delta": [1]}, ValueError, "norms: received 'Delta' .str., .*did you mean 'delta'"),
        ({"delta": [[1, 2], [3]]}, ValueError, r"norms\['delta'\]: received rows of different lengths"),
        ({"delta": [1, -1]}, ValueError, r"norms\['delta'\]: received -1, but norms are finite numbers of at least 0"),
        ({"delta": [1], "W": [1, 2]}, ValueError, r"norms: received 'delta': \(1, 1\), 'W': \(1, 2\), but they must have one"),
        ({"delta": [1], "epoch": [1, 2]}, ValueError, r"norms\['epoch'\]: received .*, but it must be 1 number"),
        ([{"delta": [1]}, {"W": [1]}], ValueError, "norms: received epochs with different names"),
    ],
)
def test_gradients_refuse(norms, error, message):
    with pytest.raises(error, match=message):
        plots.gradients(norms)


# python -m mlp.plots


@pytest.fixture
def run(tmp_path):
    """A run's directory, and a little MNIST."""
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    data.mkdir()
    for part in ("train", "t10k"):
        images, labels = rng.integers(0, 256, (30, 28, 28), np.uint8), rng.integers(0, 10, 30).astype(np.uint8)
        (data / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 30) + labels.tobytes())
        with gzip.open(data / f"{part}-images-idx3-ubyte.gz", "wb") as stream:
            stream.write(struct.pack(">HBBIII", 0, 8, 3, 30, 28, 28) + images.tobytes())
    run = tmp_path / "run"
    run.mkdir()
    mlp.save(run / "model.npz", mlp.MLP([784, 9, 10], seed=0))
    write_metrics(run / "metrics.csv", HISTORY)
    (run / "config.json").write_text(f'{{"options": {{"data": "{data}"}}}}')
    return run


def test_command_draws_a_run(run, capsys):
    assert main([str(run)]) == 0
    names = ["features", "curves", "confusion", "mistakes", "activations", "weights"]
    assert capsys.readouterr().out.splitlines() == [f"{name}: {run / name}.png" for name in names]
    for name in names:
        assert imread(run / f"{name}.png").std() > 0


def test_command_draws_a_model(run, tmp_path):
    out = tmp_path / "pictures"
    command = [sys.executable, "-W", "error", "-m", "mlp.plots", run / "model.npz", "--what", "weights,features", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"weights: {out}/weights.png", f"features: {out}/features.png"]
    assert sorted(path.name for path in out.iterdir()) == ["features.png", "weights.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN/nowhere"], "nowhere: there is no such run or model"),
        (["RUN", "--what", "feature"], "--what: received 'feature' (str), but it must be one of features, curves"),
        (["RUN/model.npz", "--what", "curves"], "--what: received 'curves', but "),
        (["RUN", "--data", "RUN"], "MNIST was not found in"),
        (["RUN/metrics.csv"], "metrics.csv: not a model, or damaged"),
        (["RUN", "--out", "RUN/metrics.csv"], "metrics.csv"),
    ],
)
def test_command_refuses(run, capsys, arguments, message):
    before = sorted(run.iterdir())
    assert main([argument.replace("RUN", str(run)) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("python -m mlp.plots: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(run.iterdir()) == before


def test_command_refuses_unknown_options(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--colour"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "python -m mlp.plots: error: unrecognized arguments: --colour\n"
