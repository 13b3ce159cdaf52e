"""What the tests of figures share. Expected values are by hand."""

import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf

import mlp


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


@pytest.fixture
def history():
    """Three epochs of a run, as a minimiser records them."""
    return [
        {"epoch": number, "cost": cost, "validation_cost": other, "validation_accuracy": right, "seconds": 1.5 * number}
        for number, cost, other, right in [(1, 0.5, 0.4, 0.90), (2, 0.2, 0.3, 0.95), (3, 0.1, 0.35, 0.94)]
    ]


@pytest.fixture
def metrics(history):
    """Writes a history as a run's metrics.csv."""

    def write(path, records=history):
        rows = [",".join(records[0])] + [",".join(map(str, record.values())) for record in records]
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(rows) + "\n")

    return write
