"""Where figures go: files, notebooks and Axes of one's own; and that their words can be read."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

import mlp
from mlp import plots


def drawers(net, history):
    """Each function with arguments that fit."""
    X, y = np.eye(4), np.array([0, 1, 2, 0])
    return {
        "features": lambda **where: plots.features(net, **where),
        "curves": lambda **where: plots.curves(history, **where),
        "confusion": lambda **where: plots.confusion(net, X, y, **where),
        "mistakes": lambda **where: plots.mistakes(net, X, y, **where),
        "activations": lambda **where: plots.activations(net, X, y, **where),
        "weights": lambda **where: plots.weights(net, **where),
        "gradients": lambda **where: plots.gradients({"delta": [[1, 2]], "W": [[3, 4]]}, **where),
    }


@pytest.mark.parametrize("name", drawers(None, None))
def test_file_and_ax(name, classifier, history, tmp_path):
    draw = drawers(classifier, history)[name]
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


def words_of(ax):
    """The texts drawn in Axes and in those within them."""
    words = [ax.title, *ax.texts]
    for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
        low, high = sorted(axis.get_view_interval())
        ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
        words += [axis.label, *(label for place, label in ticks if low <= place <= high)]
    words += [text for child in ax.child_axes for text in words_of(child)]
    return [text for text in words if text.get_text() and text.get_visible()]


def check_texts(figure):
    """No text leaves the figure, and no two overlap."""
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for ax in figure.axes for text in words_of(ax)]
    for number, box in enumerate(boxes):
        assert -1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1
        assert -1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1
        assert box.count_overlaps(boxes[:number]) == 0


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_features_in_axes_of_ones_own(layout):
    W = np.random.default_rng(0).normal(size=(64, 784)) / 100
    many, small = Figure(figsize=(12, 4), layout=layout), Figure(figsize=(4, 4), layout=layout)
    panels = many.subplots(1, 3)
    for ax, options in zip(panels, ({}, {"per_tile": True}, {"scaling": "unit_norm", "percentile": 90}), strict=True):
        plots.features(W, ax=ax, **options)
    plots.features(W, ax=small.subplots(), percentile=90)
    check_texts(many)
    check_texts(small)
    for ax, beside in itertools.pairwise(panels):  # nothing reaches into the next panel
        assert max(text.get_window_extent().x1 for text in words_of(ax)) < beside.get_window_extent().x0


def test_texts_stay_inside_and_apart(history):
    rng = np.random.default_rng(0)
    net = mlp.MLP([784, 64, 10], seed=0)
    X, y = rng.random((400, 784)), rng.integers(0, 10, 400)
    for figure in (
        plots.features(net),
        plots.curves({"one": history, "two": history[:2]}),
        plots.confusion(net, X, y),
        plots.mistakes(net, X, y),
        plots.activations(net, X, y),
        plots.activations(net, X, layer=None),
        plots.weights(net),
        plots.gradients({"delta": rng.random((4, 3)), "W": rng.random((4, 3))}),
    ):
        check_texts(figure)


def test_panels_in_axes_of_ones_own(history):
    mine = Figure()
    axes = mine.subplots(2, 1)
    assert plots.curves(history, ax=axes) is mine
    assert [ax.get_title() for ax in axes] == ["Cost", "Accuracy"]
    whole = Figure().subplots()
    plots.curves(history, ax=whole)
    assert [ax.get_title() for ax in whole.child_axes] == ["Cost", "Accuracy"]
    with pytest.raises(ValueError, match=r"ax: received 3 Axes, but the figure has 2 panels"):
        plots.curves(history, ax=Figure().subplots(3))
    with pytest.raises(TypeError, match=r"ax: received 'left' .str., but it must be matplotlib Axes, or a sequence of them"):
        plots.curves(history, ax="left")
    with pytest.raises(TypeError, match=r"ax: received 1 .int., but it must be matplotlib Axes$"):
        plots.features(np.eye(4), ax=1)


def test_files_refused_before_anything_is_written(tmp_path):
    (tmp_path / "directory.png").mkdir()
    (tmp_path / "old.png").write_bytes(b"old")
    closed = io.BytesIO()
    closed.close()
    with (tmp_path / "old.png").open("rb") as reading:
        for file, error, message in [
            (f"{tmp_path}/a.bmp", ValueError, "received '.*a.bmp', but its name must end in .png, .pdf, .svg"),
            ("", ValueError, "received '', but its name must end in .png, .pdf, .svg"),
            (tmp_path / "nowhere" / "a.png", FileNotFoundError, "received .*, but there is no directory .*nowhere"),
            (tmp_path / "directory.png", IsADirectoryError, "received .*, but that is a directory"),
            (io.StringIO(), TypeError, "received .*, but it must be a path or a file open for writing bytes"),
            (closed, TypeError, "received .*, but it must be a path or a file open for writing bytes"),
            (reading, TypeError, "received .*, but it must be a path or a file open for writing bytes"),
            (5, TypeError, "received 5 .int., but it must be a path or a file"),
        ]:
            with pytest.raises(error, match="^file: " + message):
                plots.features(np.eye(4), file=file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory.png", "old.png"]
    assert (tmp_path / "old.png").read_bytes() == b"old"


def test_importing_mlp_does_not_import_matplotlib():
    code = "import mlp, sys; sys.exit(any(name.startswith('matplotlib') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
