"""Activations, weights and gradients, layer by layer."""

from types import SimpleNamespace

import numpy as np
import pytest

import mlp
from mlp import plots


def picture(figure):
    """The numbers of the figure's one image."""
    return np.asarray(figure.axes[0].images[0].get_array())


def lines(ax):
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in ax.lines}


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
    low, high = (float(end(np.concatenate([layer.W.ravel() for layer in net.layers]))) for end in (np.min, np.max))
    heights, edges, base = ax.patches[0].get_data()
    counts = np.histogram(net.layers[0].W, np.linspace(low, high, 121))[0]
    np.testing.assert_allclose((heights - base) / 0.85 * counts.max(), counts)
    assert (edges[0], edges[-1]) == (low, high)
    net.theta[0] = np.inf
    with pytest.raises(ValueError, match=r"net: received inf among the weights of layer 1, but all must be finite"):
        plots.weights(net)


def test_networks_refused(classifier):
    for draw in (plots.weights, lambda net: plots.activations(net, np.eye(4))):
        for net in (3, mlp.Committee([classifier])):
            with pytest.raises(TypeError, match=r"(?s)^net: received .*, but it must be an MLP$"):
                draw(net)


class Pooling(SimpleNamespace):
    """A layer of no W, no b and no activation, as a network has it that was built of such layers."""

    kind, fan_in, units, out_shape = "mean_pool", 4, 2, (2,)


def test_layers_without_weights(classifier):
    def ticks(figure):
        return [label.get_text() for label in figure.axes[0].get_yticklabels()]

    outputs = [np.ones((3, 4)), np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])]
    net = SimpleNamespace(
        layers=[classifier.layers[0], Pooling()],
        sizes=[4, 4, 2],
        output=None,
        dtype=classifier.dtype,
        forward=lambda _, layer: outputs[layer],
    )
    assert ticks(plots.weights(net)) == ["layer 1\n4 → 4"]
    assert ticks(plots.activations(net, np.eye(4), layer=None)) == ["layer 1\n4 softmax", "layer 2\n2 mean_pool"]
    assert (
        plots.activations(net, np.eye(4)[:3], layer=1)
        .axes[0]
        .get_title()
        .startswith("Output layer: outputs of 2 mean_pool units for 3 examples\n1 unit of constant output")
    )
    with pytest.raises(ValueError, match="net: received a network without weights, but a layer of it at least must have W"):
        plots.weights(SimpleNamespace(**vars(net) | {"layers": [Pooling()]}))
    (ax,) = plots.gradients({"W": [[1, None, 3], [2, None, 4], [3, None, 5]]}).axes
    assert list(lines(ax)) == ["layer 1", "layer 3"]
    (ax,) = plots.gradients({"W": [1, np.nan, 3]}, against="layer").axes
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 1], [3, 3]])  # joined across the layer that has none


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
        ({"delta": [[1, 2], [np.nan, 2]]}, ValueError, r"norms\['delta'\]: received nan, but norms are finite numbers"),
        ({"delta": [1], "epoch": [[1], [1, 2]]}, ValueError, r"norms\['epoch'\]: received .*, but it must be 1 number"),
        ([{"delta": [1]}, {"W": [1]}], ValueError, "norms: received epochs with different names"),
    ],
)
def test_gradients_refuse(norms, error, message):
    with pytest.raises(error, match=message):
        plots.gradients(norms)
