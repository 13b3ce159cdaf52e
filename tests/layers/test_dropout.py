"""`Dropout`: its masks, the passes through it written out example by example, its gradient, and bad rates.

Expectations come from central differences, from passes written out, and from the mathematics of masks.
"""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Affine, Distortion, Elastic, Objective
from mlp.layers import Dropout

SIZES = (6, 5, 4, 3)
#: In whole 65,536ths, as they are drawn: what is left is then exactly 1 − p.
RATES = (0.25, 0.5, 0.375)
DISTORTION = Distortion(Elastic(1, 2), Affine(), (2, 3))


# The layer by itself


def drawn(rate, n=4000, units=30, dtype="float64", seed=0):
    """A mask (units, n)."""
    layer = Dropout(units, rate)
    scratch = layer.scratch(n, np.dtype(dtype))
    layer.draw(scratch, np.random.default_rng(seed))
    return scratch.M


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9, 0.999999])
def test_masks_are_zero_at_the_rate_and_one_over_what_is_left(rate, dtype):
    M = drawn(rate, dtype=dtype)
    assert M.shape == (30, 4000)
    assert M.dtype == dtype
    kept = M[M != 0]
    assert len(set(kept)) == 1
    if rate < 0.99:
        assert_allclose(kept, 1 / (1 - rate), rtol=1.01 * 2**-17 / (1 - rate))  # rates are in 65,536ths
    assert abs(kept.size - M.size * (1 - rate)) < 5 * math.sqrt(M.size * rate * (1 - rate)) + M.size / 65536 + 1


@pytest.mark.parametrize("rate", [0.25, 0.99999, 0.999999])
def test_what_comes_through_is_on_average_what_there_is(rate):
    # drawn from evenly spread bits, so that the mean is exact
    class Even:
        def integers(self, low, high, size, dtype):
            return np.arange(65536, dtype=np.uint16).view(np.uint64)[:size]

    layer = Dropout(256, rate)
    scratch = layer.scratch(256, np.dtype(np.float64))
    layer.draw(scratch, Even())
    assert scratch.M.mean() == pytest.approx(1, rel=1e-3)


def test_masks_are_independent_and_drawn_anew():
    M = (drawn(0.5) != 0) - 0.5
    for a, b in [(M[1:], M[:-1]), (M[:, 1:], M[:, :-1]), (M[:, 2000:], M[:, :2000]), (M, (drawn(0.5, seed=1) != 0) - 0.5)]:
        assert abs((a * b).mean()) < 5 * 0.25 / math.sqrt(a.size)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_error_comes_back_through_the_mask_that_was_seen(order):
    # whatever the order in memory of what is masked: a network's input is the transpose of its rows
    layer = Dropout(5, 0.5)
    scratch = layer.scratch(7, np.dtype(np.float64))
    layer.draw(scratch, np.random.default_rng(0))
    A = np.asarray(np.random.default_rng(1).uniform(1, 2, (5, 7)), order=order)
    through, back = np.empty_like(A), np.empty((5, 7))
    layer.forward(A, through, scratch)
    layer.propagate(np.ones((5, 7)), back, scratch)
    assert_allclose(through, A * back, rtol=1e-15)
    assert set(back.ravel()) == {0.0, 2.0}


def test_until_it_is_drawn_everything_comes_through():
    layer, A, out = Dropout(3, 0.5), np.arange(6.0).reshape(3, 2), np.empty((3, 2))
    layer.forward(A, out, layer.scratch(2, np.dtype(np.float64)))
    assert_array_equal(out, A)


# Gradients against central differences


def check(net, objective, noise=3):
    found = mlp.check_gradient(objective.with_noise(noise), net.theta, sample=25, directions=3, tolerance=1e-7)
    assert found, found


@pytest.mark.parametrize("hidden", ["relu", "tanh", ["logistic", "softplus"]], ids=str)
@pytest.mark.parametrize(
    ("output", "cost", "y"),
    [
        ("softmax", None, "labels"),
        ("logistic", None, "numbers"),
        ("identity", None, "numbers"),
        ("softmax", "quadratic", "labels"),
    ],
)
@pytest.mark.usefixtures("small_chunks")
def test_gradient(problem, hidden, output, cost, y):
    net, objective = problem(hidden=hidden, output=output, cost=cost, y=y, dropout=RATES, weight_decay=0.1)
    assert objective(net.theta, noise=3)[0] != objective(net.theta)[0]
    check(net, objective)


@pytest.mark.parametrize("rates", [(0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5), (0.9, 0.9, 0.9)])
@pytest.mark.parametrize("distort", [None, DISTORTION], ids=["", "distorted"])
@pytest.mark.usefixtures("small_chunks")
def test_gradient_with_masks_here_and_there(problem, rates, distort):
    net, objective = problem(dropout=rates, distort=distort)
    check(net, objective)


def test_gradient_of_pixels_and_without_a_hidden_layer():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (7, 6), dtype=np.uint8), rng.integers(0, 3, 7)
    net = mlp.MLP([6, 3], dtype="float64", seed=0)
    check(net, Objective(net, X, y, dropout=(0.3,), distort=DISTORTION, weight_decay=0.01))


def test_gradient_checker_sees_an_error_that_bypasses_the_masks(problem, monkeypatch):
    net, objective = problem(dropout=(0, 0.5, 0.5))
    monkeypatch.setattr(Dropout, "propagate", lambda _self, Delta, out, _scratch: np.copyto(out, Delta))
    assert not mlp.check_gradient(objective.with_noise(3), net.theta, tolerance=1e-7)


@pytest.mark.parametrize("rates", [RATES, (0.5, 0, 0), (0, 0.5, 0)])
@pytest.mark.usefixtures("small_chunks")
def test_input_gradient_where_the_noise_is_held(problem, numerical_input_gradient, rates):
    net, objective = problem(dropout=rates)
    numerical = numerical_input_gradient(
        lambda X: Objective(net, X, objective.Y, dropout=rates)(net.theta, noise=3)[0], objective.X
    )
    assert_allclose(objective.with_noise(3).input_gradient(net.theta), numerical, atol=1e-8)
    assert np.abs(numerical).max() > 1e-3


def test_errors_are_those_of_the_networks_own_layers(problem):
    net, objective = problem(dropout=RATES)
    errors = objective.with_noise(3).errors(net.theta)
    assert [error.shape for error in errors] == [(9, 5), (9, 4), (9, 3)]
    gradient = net.at(objective(net.theta, noise=3)[1])
    for error, layer in zip(errors, gradient.layers, strict=True):
        assert_allclose(error.mean(axis=0), layer.b, atol=1e-15)


# The passes, written out example by example


def redrawn(rng, rates, widths, n):
    """The masks (n, width) of each layer's input, drawn as a pass draws them: 16 bits a unit.

    An input's values lie in memory example by example, and hidden units' activations unit by unit.
    """
    masks = []
    for rate, width in zip(rates, widths, strict=False):
        mask = np.ones((n, width))
        if rate:
            words = rng.integers(0, 2**64, math.ceil(n * width / 4), dtype=np.uint64)
            bits = np.frombuffer(words.tobytes(), np.uint16)[: n * width]
            bits = bits.reshape(width, n).T if masks else bits.reshape(n, width)
            mask = (bits >= round(65536 * rate)) / (1 - rate)
        masks.append(mask)
    return masks


def by_hand(net, X, targets, masks, weight_decay):
    """Cost and gradient of a tanh network with softmax outputs: cross-entropy, one example at a time."""
    cost, gradients = 0.0, [[np.zeros_like(layer.W), np.zeros_like(layer.b)] for layer in net.layers]
    for i, x in enumerate(X):
        seen, values = [], x
        for l, layer in enumerate(net.layers):
            seen.append(values * masks[l][i])
            z = layer.W @ seen[-1] + layer.b
            values = np.tanh(z)
        p = np.exp(z) / np.exp(z).sum()
        cost -= math.log(p[targets[i]])
        delta = p - np.eye(len(p))[targets[i]]
        for l in reversed(range(len(net.layers))):
            gradients[l][0] += np.outer(delta, seen[l])
            gradients[l][1] += delta
            if l:
                # tanh of layer l, undropped, is what its derivative is read off
                before = np.tanh(net.layers[l - 1].W @ seen[l - 1] + net.layers[l - 1].b)
                delta = (net.layers[l].W.T @ delta) * masks[l][i] * (1 - before**2)
    cost = cost / len(X) + weight_decay / 2 * sum((layer.W**2).sum() for layer in net.layers)
    flat = [
        part.ravel()
        for layer, (W, b) in zip(net.layers, gradients, strict=True)
        for part in (W / len(X) + weight_decay * layer.W, b / len(X))
    ]
    return cost, np.concatenate(flat)


@pytest.mark.parametrize("rates", [RATES, (0, 0.5, 0), (0.75, 0, 0.25)])
@pytest.mark.parametrize("distort", [None, DISTORTION], ids=["", "distorted"])
@pytest.mark.parametrize("rows", [None, [8, 0, 3, 3, 5]])
def test_passes_are_those_written_out(problem, rates, distort, rows, small_chunks):
    net, objective = problem(dropout=rates, distort=distort, weight_decay=0.3)
    noise = (5, 11)
    chosen = np.arange(9) if rows is None else np.array(rows)
    rng = np.random.Generator(np.random.SFC64(noise))
    X, masks = [], []
    for start in range(0, len(chosen), small_chunks):  # an image's distortion is drawn before the chunk's masks
        part = objective.X[chosen[start : start + small_chunks]]
        X.append(part if distort is None else distort(part, rng))
        masks.append(redrawn(rng, rates, SIZES, len(part)))
    cost, gradient = by_hand(
        net, np.concatenate(X), objective.Y[chosen], [np.concatenate(of) for of in zip(*masks, strict=True)], 0.3
    )
    found = objective(net.theta, rows, noise=noise)
    assert found[0] == pytest.approx(cost, rel=1e-12)
    assert_allclose(found[1], gradient, atol=1e-12)


@pytest.mark.parametrize("n", [9, 4])
@pytest.mark.usefixtures("small_chunks")
def test_a_step_is_down_that_gradient(problem, n):
    for alpha, beta in ((-0.3, 1.0), (1.0, 0.0), (-0.1, 0.9)):
        net, objective = problem(n, dropout=RATES, distort=DISTORTION, weight_decay=0.2)
        cost, gradient = objective(net.theta, noise=(1, 2))
        for out in (np.full_like(net.theta, 0.5), net.theta):
            start = out.copy()
            got = objective.accumulate(net.theta, None, out, alpha, beta, (1, 2))
            assert_allclose(out, beta * start + alpha * gradient, atol=1e-14)
            assert got == pytest.approx(
                cost - Objective.penalty(objective, start if out is net.theta else net.theta), rel=1e-13
            )


def test_the_mask_is_on_the_input_of_a_network_that_copies_its_own_input():
    # identity weights: the outputs are the inputs, dropped and scaled up, and their squared distance to 0 is the cost
    net = mlp.MLP([4, 4], output="identity", dtype="float64", seed=0)
    net.layers[0].W[...] = np.eye(4)
    objective = Objective(net, np.ones((200, 4)), np.zeros((200, 4)), dropout=(0.75,))
    cost, gradient = objective(net.theta, noise=0)
    kept = cost * 2 / 16 * 200  # each unit that is kept is 4, and ½ · 4² of the cost
    assert kept == pytest.approx(round(kept), abs=1e-9)
    assert 200 - 5 * math.sqrt(150) < kept < 200 + 5 * math.sqrt(150)  # of 800, a quarter
    assert gradient[-4:].sum() * 200 / 4 == pytest.approx(kept)


@pytest.mark.parametrize("rates", [(0, 0, 0), (0.0, 0, 0.0), np.zeros(3)], ids=str)
def test_rates_of_zero_drop_nothing(problem, rates):
    net, objective = problem(dropout=rates)
    assert (objective.dropout, objective.noisy) == (None, False)
    assert objective(net.theta, noise=1)[0] == problem()[1](net.theta)[0]


# Bad input


@pytest.mark.parametrize(
    ("dropout", "error", "message"),
    [
        ((0.5,), ValueError, r"^dropout: received 1 probabilities, but it must be 3, one for each layer's input"),
        ((0.1, 0.2, 0.3, 0.4), ValueError, r"^dropout: received 4 probabilities, but it must be 3"),
        (0.5, TypeError, r"^dropout: received 0\.5 \(float\), but it must be 3 probabilities, one for each layer's input"),
        ((0, 1, 0), ValueError, r"^dropout\[1\]: received 1 \(int\), but it must be a finite number at least 0 and below 1"),
        (np.array(0.5), TypeError, r"^dropout: received array\(0\.5\)"),
        ((0, 0, "0.5"), TypeError, r"^dropout\[2\]: received '0\.5' \(str\)"),
    ],
)
def test_bad_dropout_is_refused(problem, dropout, error, message):
    with pytest.raises(error, match=message):
        problem(dropout=dropout)
