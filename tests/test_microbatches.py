"""`MicroBatches`: what it makes of a batch is what its layers make of it one by one, however the batch is cut."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Conv, MaxPool, MeanPool, microbatches
from mlp.backprop import Buffers, add_gradients, backward_pass, forward_pass
from mlp.layers import Dropout
from mlp.layers.turn import Turn, arranged
from mlp.microbatches import MicroBatches, in_micro_batches

N = 13


def network(*layers, dtype="float64"):
    return mlp.MLP([(8, 7, 2), *(layers or (Conv(3, 3), MaxPool(2), Conv(4, 2))), 5, 3], hidden="tanh", dtype=dtype, seed=0)


@pytest.fixture(params=[(64, 1), (13, 1), (4, 1), (1, 1), (64, 1 << 60)], ids=str)
def _cut(request, monkeypatch):
    most, in_two = request.param
    monkeypatch.setattr(microbatches, "MOST", most)
    monkeypatch.setattr(microbatches, "IN_TWO", in_two)


def passes(stack, into, alpha=0.5, to_input=False):
    """Outputs, the error at the input and the gradient (P,), of passes through layers as they are given."""
    of = Buffers(stack, N, np.dtype(float), to_input=to_input)
    rng = np.random.default_rng(1)
    of.X[...] = rng.standard_normal(of.X.shape)
    for _ in range(2):  # nothing of the first time is left
        forward_pass(stack, of)
        of.Delta[-1][...] = rng.standard_normal(of.Delta[-1].shape)
        backward_pass(stack, of)
        add_gradients(into, of, alpha)
    return of.A[-1].copy(), of.Delta[0].copy()


NETWORKS = {
    "conv, pool, conv": (Conv(3, 3), MaxPool(2), Conv(4, 2)),
    "a pool first": (MaxPool(2), Conv(3, 2)),
    "one conv": (Conv(3, 3, stride=2, padding=1),),
    "two pools": (Conv(3, 2), MeanPool(2, stride=1), MaxPool((3, 2))),
}


@pytest.mark.usefixtures("_cut")
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_what_the_layers_are_one_by_one(name):
    net = network(*NETWORKS[name])
    results = []
    for group in (list, in_micro_batches):
        gradient = np.zeros_like(net.theta)
        stacks = [group(arranged(layers)) for layers in (net.layers, net.at(gradient).layers)]
        results.append((*passes(*stacks), gradient))
    assert any(isinstance(layer, MicroBatches) for layer in stacks[0])
    for plain, grouped in zip(*results, strict=True):
        assert_allclose(grouped, plain, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("_cut")
def test_an_error_goes_on_below_where_layers_below_want_one():
    net = network(Conv(3, 3), Conv(2, 2), MaxPool(2))
    results = []
    for group in (list, in_micro_batches):
        gradient = np.zeros_like(net.theta)
        stacks = []
        for layers in (net.layers, net.at(gradient).layers):
            dropout = Dropout(layers[1].fan_in, 0.0)
            stacks.append(group(arranged([layers[0], dropout, *layers[1:]])))
        results.append((*passes(*stacks), gradient))
    kinds = [type(layer) for layer in stacks[0]]
    assert kinds[:3] == [MicroBatches, Dropout, MicroBatches]
    assert [layer.to_input for layer in stacks[0] if isinstance(layer, MicroBatches)] == [False, True]
    for plain, grouped in zip(*results, strict=True):
        assert_allclose(grouped, plain, rtol=1e-12, atol=1e-13)


def test_memory_of_a_forward_pass_is_that_of_one_micro_batch_a_part(monkeypatch):
    monkeypatch.setattr(microbatches, "MOST", 4)
    [group, *_] = in_micro_batches(arranged(network().layers), learning=False)
    parts = group.scratch(64, np.dtype(float)).parts
    assert len(parts) == microbatches.MOST_PARTS
    assert sum(len(part.micro_batches) for part in parts) == 16
    for part in parts:
        assert len({id(buffers) for _, buffers in part.micro_batches}) == 1
        assert all(Delta.size == 0 for Delta in part.micro_batches[0][1].Delta)
    columns = [some for part in parts for some, _ in part.micro_batches]
    assert_array_equal(np.concatenate([np.arange(64)[some] for some in columns]), np.arange(64))


def test_only_neighbours_of_images_are_taken_together_and_never_the_last_layer():
    dense = mlp.MLP([4, 3, 2], seed=0).layers
    assert in_micro_batches(dense) == dense
    assert arranged(dense) == dense
    on_top = in_micro_batches(arranged(mlp.MLP([(6, 6), Conv(2, 3), Conv(1, 3)], seed=0).layers))
    assert [type(layer) for layer in on_top] == [MicroBatches, Turn]


class Drawing(MaxPool):
    """A layer of images that draws something in each pass."""

    def draw(self, scratch, rng):
        rng.random()


def test_a_layer_that_draws_stays_by_itself_where_it_is_asked_to():
    layers = mlp.MLP([(8, 8), Conv(2, 3), Drawing(2), Conv(1, 2), 3], seed=0).layers
    kinds = [type(layer) for layer in in_micro_batches(arranged(layers))]
    assert kinds == [MicroBatches, Drawing, MicroBatches, mlp.Dense]


def test_what_acts_element_by_element_takes_images_as_they_lie():
    first, second, dense = mlp.MLP([(8, 8), Conv(2, 3), Conv(1, 3), 3], seed=0).layers
    kinds = [type(layer) for layer in arranged([first, Dropout(second.fan_in, 0.5), second, dense])]
    assert kinds == [Turn, Conv, Dropout, Conv, Turn, mlp.Dense]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_are_the_same_on_any_number_of_threads(threads, monkeypatch):
    monkeypatch.setattr(microbatches, "IN_TWO", 1)
    monkeypatch.setattr(microbatches, "MOST", 5)
    rng = np.random.default_rng(0)
    X, y = rng.random((40, 112), dtype=np.float32), rng.integers(0, 3, 40)

    def bits():
        net = network(dtype="float32")
        mlp.sgd(mlp.Objective(net, X, y), net.theta, learning_rate=0.1, batch_size=20, epochs=2, seed=0)
        return net.theta.tobytes(), net.forward(X).tobytes()

    expected = bits()
    mlp.threads.set_threads(threads)
    try:
        assert bits() == expected
    finally:
        mlp.threads.set_threads(None)


def test_turning_and_turning_back():
    A = np.arange(2 * 3 * 4 * 5.0).reshape(24, 5)  # two rows, three columns, four channels, five examples
    turn, back = Turn((2, 3, 4)), Turn((2, 4, 3))
    turned, again, error = np.empty_like(A), np.empty_like(A), np.empty_like(A)
    turn.forward(A, turned, None)
    assert_array_equal(turned.reshape(2, 4, 3, 5)[1, 3, 2], A.reshape(2, 3, 4, 5)[1, 2, 3])
    back.forward(turned, again, None)
    assert_array_equal(again, A)
    turn.propagate(turned, error, None)
    assert_array_equal(error, A)
