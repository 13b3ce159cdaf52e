"""One example on its way through a network, drawn; expected values are by hand."""

import numpy as np
import pytest

import mlp
from mlp.data.columns import Column
from mlp.data.preparation import Preparation
from mlp.plots import answer


@pytest.fixture
def net():
    """Two hidden units, the sum of four inputs and its negative, and two outputs: softmax of (a, 0)."""
    net = mlp.MLP([4, 2, 2], hidden="identity", dtype="float64", seed=0)
    net.theta[:] = 0
    net.layers[0].W[...] = [[1, 1, 1, 1], [-1, -1, -1, -1]]
    net.layers[1].W[0, 0] = 1
    return net


def panels(figure):
    """The Axes that are no colour bars."""
    return [ax for ax in figure.axes if ax.get_title()]


def bars(panel):
    return [bar.get_width() for bar in panel.patches]


def test_input_layers_and_outputs(net):
    figure = answer(net, np.array([1.0, 0, 1, 1]), shape=(2, 2))
    given, hidden, outputs = panels(figure)
    np.testing.assert_array_equal(given.images[0].get_array(), [[1, 0], [1, 1]])
    np.testing.assert_array_equal(hidden.images[0].get_array().compressed(), [3, -3])
    assert hidden.images[0].get_clim() == (-3, 3)  # zero is in the middle of the colours
    assert hidden.get_title() == "Layer 1\n2 units"
    assert bars(outputs) == pytest.approx([np.exp(3) / (1 + np.exp(3)), 1 / (1 + np.exp(3))])  # 0.953, 0.047
    assert outputs.get_title() == "Answer: 0, 95.3 %"
    assert [label.get_text() for label in outputs.get_yticklabels()] == ["0", "1"]


def test_true_label_and_names(net):
    outputs = panels(answer(net, np.full(4, 255, np.uint8), 1, classes=["cat", "dog"], shape=(2, 2)))[-1]
    assert [label.get_text() for label in outputs.get_yticklabels()] == ["cat", "dog (true)"]
    assert outputs.get_title() == "Answer: cat, 98.2 %"  # of 4, since 255 is 1: 1 / (1 + e⁻⁴)
    wrong, right = (panels(answer(net, np.ones(4), y))[-1].title.get_color() for y in (1, 0))
    assert wrong != right == "black"


def test_input_that_is_no_image_is_bars_and_numbers_have_no_answer():
    net = mlp.MLP([3, 2], output="identity", dtype="float64", seed=0)
    net.layers[0].W[...] = [[1, 0, 0], [0, -2, 0]]
    given, outputs = panels(answer(net, [5.0, 1.0, -1.0]))
    assert bars(given) == [5, 1, -1]
    assert (bars(outputs), outputs.get_title()) == ([5, -2], "Output")


def test_single_logistic_output_is_two_classes():
    net = mlp.MLP([1, 1], output="logistic", dtype="float64", seed=0)
    net.layers[0].W[...] = np.log(3)
    outputs = panels(answer(net, [1.0]))[-1]
    assert bars(outputs) == pytest.approx([0.25, 0.75])


def test_columns_and_classes_of_a_table_are_named(tmp_path):
    net = mlp.MLP([3, 2], seed=0)
    columns = (Column("price in $"), Column("colour", "categorical", ("red", "$blue$")))
    net.preparation = Preparation(columns, Column("sort", "categorical", ("$x^$", "</b>")))  # no formulas, but names
    given, outputs = panels(answer(net, [1.0, 0.0, 1.0], file=tmp_path / "answer.png"))
    assert [label.get_text() for label in given.get_yticklabels()] == ["price in $", "colour = red", "colour = $blue$"]
    assert [label.get_text() for label in outputs.get_yticklabels()] == ["$x^$", "</b>"]


def test_maps_are_pictures_side_by_side():
    net = mlp.MLP([(3, 3), mlp.Conv(2, 2), 2], hidden="identity", dtype="float64", seed=0)
    net.layers[0].W[...] = [[1, 0, 0, 0], [0, 0, 0, 1]]  # the upper left of each window, and the lower right
    given, maps, _ = panels(answer(net, np.arange(9.0)))
    assert given.images[0].get_array().shape == (3, 3)
    shown = maps.images[0].get_array()
    assert maps.get_title() == "Layer 1\n2 maps of 2 × 2"
    assert sorted(np.unique(shown.compressed())) == [0, 1, 3, 4, 5, 7, 8]


def test_of_many_outputs_the_largest_are_shown():
    net = mlp.MLP([1, 30], output="identity", dtype="float64", seed=0)
    net.layers[0].W[:, 0] = np.arange(30)
    assert bars(panels(answer(net, [1.0]))[-1]) == list(range(10, 30))


def test_written_to_a_file(net, tmp_path):
    answer(net, np.ones(4), file=tmp_path / "answer.png")
    assert (tmp_path / "answer.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_example_is_refused(net, refused):
    with refused(ValueError, "x: received shape (2, 4)", "one example (4,)"):
        answer(net, np.ones((2, 4)))
    with refused(ValueError, "y: received 2", "from 0 to 1"):
        answer(net, np.ones(4), 2)
    with refused(ValueError, "classes: received", "2 names"):
        answer(net, np.ones(4), classes=["one"])
    with refused(TypeError, "net: received", "MLP"):
        answer("net", np.ones(4))
