"""Confusion and mistakes: counts, the order of what is shown, and what is refused."""

import numpy as np
import pytest

import mlp
from mlp import plots


def picture(figure):
    """The numbers of the figure's one image."""
    return np.asarray(figure.axes[0].images[0].get_array())


def texts(ax):
    return [text.get_text() for text in ax.texts]


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
    committee = mlp.Committee([classifier, classifier])
    assert texts(plots.confusion(committee, np.eye(4), [0, 1, 2, 2]).axes[0])[2 * 4 : 3 * 4] == ["0", "0", "1", "1"]
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
        with pytest.raises(ValueError, match=r"y: received label nan at example 1"):
            function(classifier, X, [0, np.nan, 2, 3])
        with pytest.raises(ValueError, match=r"y: received \[\[0\], \[1, 2\]\] .list., but it must be labels \(2,\)"):
            function(classifier, X[:2], [[0], [1, 2]])
        for net in (5, "model.npz", mlp.MLP, np.eye(4)):
            with pytest.raises(TypeError, match=r"(?s)^net: received .*, but it must be an MLP or a Committee$"):
                function(net, X, [0, 1, 2, 3])
        with pytest.raises(ValueError, match=r"net: received a network with one identity output, but it must be a classifier"):
            function(mlp.MLP([4, 1], output="identity", seed=0), X, [0, 1, 1, 0])
    with pytest.raises(TypeError, match=r"confusion: it needs net, X and y, or y and predicted"):
        plots.confusion(y=[0, 1])
    with pytest.raises(ValueError, match=r"predicted: received shape \(1,\), but it must be labels \(2,\)"):
        plots.confusion(y=[0, 1], predicted=[0])
    with pytest.raises(ValueError, match=r"count: received 0 .int., but it must be an integer of at least 1"):
        plots.mistakes(classifier, X, [0, 1, 2, 3], count=0)


def test_confusion_has_the_classes_names():
    panel = plots.confusion(y=[0, 1, 1], predicted=[0, 1, 0], classes=("healthy", "ill")).axes[0]
    for axis in (panel.xaxis, panel.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["healthy", "ill"]
    with pytest.raises(ValueError, match=r"classes: received 1 names, but there are 2 classes"):
        plots.confusion(y=[0, 1], predicted=[0, 1], classes=["healthy"])
