"""Gradients against an independent reference: 50-digit arithmetic, the network written out naively, finite differences.

The reference shares nothing with mlp but the equations of its documentation: numbers are mpmath's, a network is nested
lists, and its derivatives are mpmath's own finite differences of the cost, of which 50 digits leave 25 right ones or so.
After it, properties that every network has, whatever its shape: hypothesis looks for one that hasn't.
"""

import copy
import itertools
from unittest import mock

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from numpy.testing import assert_allclose, assert_array_equal

import mlp

HIDDEN = ["identity", "relu", "softplus", "threshold", "logistic", "tanh"]
#: Every output with every cost that goes with it.
OUTPUTS = [
    ("identity", "quadratic"),
    ("relu", "quadratic"),
    ("softplus", "quadratic"),
    ("logistic", "quadratic"),
    ("tanh", "quadratic"),
    ("softmax", "quadratic"),
    ("logistic", "logistic_cross_entropy"),
    ("softmax", "softmax_cross_entropy"),
]


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


# The reference


ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: max(z, mpf(0)),
    "softplus": lambda z: mpmath.log(1 + mpmath.exp(z)),
    "threshold": lambda z: mpf(1) if z > 0 else mpf(0),
    "logistic": lambda z: 1 / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
}


def activate(name, z):
    if name == "softmax":
        powers = [mpmath.exp(component) for component in z]
        return [power / sum(powers) for power in powers]
    return [ACTIVATIONS[name](component) for component in z]


def cost_of(name, a, y):
    if name == "quadratic":
        return sum((p - q) ** 2 for p, q in zip(a, y, strict=True)) / 2
    if name == "softmax_cross_entropy":
        return -sum(q * mpmath.log(p) for p, q in zip(a, y, strict=True))
    return -sum(q * mpmath.log(p) + (1 - q) * mpmath.log(1 - p) for p, q in zip(a, y, strict=True))


def reference_cost(theta, case):
    """C at θ, a list of mpf, as the equations have it: one example, one layer, one unit at a time."""
    numbers = iter(theta)
    layers = []
    for n_in, n_out in itertools.pairwise(case.sizes):
        W = [[next(numbers) for _ in range(n_in)] for _ in range(n_out)]
        layers.append((W, [next(numbers) for _ in range(n_out)]))
    total = mpf(0)
    means = [mpf(0)] * case.sizes[1]
    for x, y in zip(case.X, case.Y, strict=True):
        a = [mpf(float(value)) for value in x]
        for number, ((W, b), name) in enumerate(zip(layers, case.activations, strict=True)):
            a = activate(name, [sum(w * v for w, v in zip(row, a, strict=True)) + bias for row, bias in zip(W, b, strict=True)])
            if number == 0:
                means = [mean + value / len(case.X) for mean, value in zip(means, a, strict=True)]
        total += cost_of(case.cost, a, [mpf(float(value)) for value in y]) / len(case.X)
    total += mpf(case.weight_decay) / 2 * sum(w**2 for W, _ in layers for row in W for w in row)
    if case.sparsity is not None:
        rho, beta = mpf(case.sparsity.rho), mpf(case.sparsity.beta)
        for mean in means:
            total += beta * (rho * mpmath.log(rho / mean) + (1 - rho) * mpmath.log((1 - rho) / (1 - mean)))
    return total


def reference_gradient(theta, case):
    def along(k):
        return mpmath.diff(lambda value: reference_cost([*theta[:k], value, *theta[k + 1 :]], case), theta[k])

    return [along(k) for k in range(len(theta))]


class Case:
    """A network with random weights and examples, and everything about its cost."""

    def __init__(self, sizes, activations, cost, seed, n=3, weight_decay=0.0, sparsity=None, labels=True):
        rng = np.random.default_rng(seed)
        self.sizes, self.activations, self.cost = sizes, activations, cost
        self.weight_decay, self.sparsity = weight_decay, sparsity
        self.X = rng.standard_normal((n, sizes[0]))
        units = sizes[-1]
        labels = labels and units > 1
        if labels:
            targets = rng.integers(0, units, n)
            self.Y = np.eye(units)[targets]
        elif activations[-1] == "softmax":
            self.Y = targets = rng.dirichlet(np.ones(units), n)
        elif activations[-1] == "logistic":
            self.Y = targets = rng.uniform(0, 1, (n, units))
        else:
            self.Y = targets = rng.standard_normal((n, units))
        layers = [mlp.Dense(*shape, name) for shape, name in zip(itertools.pairwise(sizes), activations, strict=True)]
        self.net = mlp.MLP(layers, dtype="float64", seed=0)
        self.theta = rng.uniform(-1.2, 1.2, self.net.theta.size)
        self.objective = mlp.Objective(self.net, self.X, targets, cost=cost, weight_decay=weight_decay, sparsity=sparsity)

    def worst_error(self):
        """The largest relative error of any component of the gradient, and of the cost."""
        cost, gradient = self.objective(self.theta)
        exact = [mpf(float(component)) for component in self.theta]
        errors = [abs(mpf(cost) / reference_cost(exact, self) - 1)]
        for ours, theirs in zip(gradient, reference_gradient(exact, self), strict=True):
            if abs(theirs) < mpf(10) ** -20:  # a unit that is off: the derivative is 0, but for the differences' last digits
                assert abs(ours) < 1e-20
            else:
                errors.append(abs(mpf(float(ours)) / theirs - 1))
        return float(max(errors))


def test_the_reference_by_hand():
    """1-1-1, tanh and identity, all parameters ½, x = 1, y = 0: z¹ = 1, a = ½ tanh 1 + ½, C = a²/2; ∂C/∂b² = a,
    ∂C/∂W² = a tanh 1, ∂C/∂b¹ = ∂C/∂W¹ = a/2 (1 − tanh² 1)."""
    case = Case([1, 1, 1], ["tanh", "identity"], "quadratic", seed=0, n=1)
    case.X[...], case.Y[...] = 1, 0
    t = mpmath.tanh(1)
    a = t / 2 + mpf("0.5")
    half = [mpf("0.5")] * 4
    assert abs(reference_cost(half, case) - a**2 / 2) < mpf(10) ** -45
    wanted = [a / 2 * (1 - t**2), a / 2 * (1 - t**2), a * t, a]
    for ours, theirs in zip(reference_gradient(half, case), wanted, strict=True):
        assert abs(ours - theirs) < mpf(10) ** -20


def test_a_wrong_gradient_is_found():
    """The checker, with a planted bug: one weight's derivative off by a part in 10⁸."""
    case = Case([3, 4, 2], ["tanh", "softmax"], "softmax_cross_entropy", seed=0)
    right = case.objective

    def wrong(theta):
        cost, gradient = right(theta)
        gradient[5] *= 1 + 1e-8
        return cost, gradient

    assert case.worst_error() < 1e-12
    case.objective = wrong
    assert 0.9e-8 < case.worst_error() < 1.1e-8


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("output", "cost"), OUTPUTS)
def test_every_activation_with_every_output_and_cost(hidden, output, cost):
    case = Case([2, 3, 2], [hidden, output], cost, seed=HIDDEN.index(hidden), labels=False)
    assert case.worst_error() <= 1e-10


@pytest.mark.parametrize("depth", [0, 1, 2, 4])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("labels", [True, False])
def test_depth_decay_and_kind_of_targets(depth, weight_decay, labels):
    hidden = ["tanh", "softplus", "logistic", "tanh"][:depth]
    for output, cost in OUTPUTS[-2:]:
        case = Case([3, *[2] * depth, 2], [*hidden, output], cost, seed=depth, n=2, weight_decay=weight_decay, labels=labels)
        assert case.worst_error() <= 1e-10


@pytest.mark.parametrize(("output", "cost"), OUTPUTS)
@pytest.mark.parametrize("rho", [0.05, 0.6])
def test_sparsity(output, cost, rho):
    case = Case([2, 3, 2], ["logistic", output], cost, seed=4, weight_decay=0.01, sparsity=mlp.Sparsity(rho, 3.0))
    assert case.worst_error() <= 1e-10


@pytest.mark.parametrize("seed", range(16))
def test_random_networks(seed):
    rng = np.random.default_rng([9, seed])
    depth = int(rng.integers(0, 4))
    output, cost = OUTPUTS[rng.integers(len(OUTPUTS))]
    case = Case(
        [int(rng.integers(1, 4)), *map(int, rng.integers(1, 4, depth)), int(rng.integers(1 + (output == "softmax"), 4))],
        [*rng.choice(HIDDEN, depth).tolist(), output],
        cost,
        seed,
        n=int(rng.integers(1, 5)),
        weight_decay=float(rng.choice([0, 0.01, 1])),
        labels=bool(rng.integers(2)),
    )
    assert case.worst_error() <= 1e-10, (case.sizes, case.activations, cost)


# Properties


@st.composite
def cases(draw, hidden=tuple(HIDDEN)):
    output, cost = draw(st.sampled_from(OUTPUTS))
    widths = draw(st.lists(st.integers(1, 6), min_size=0, max_size=3))
    names = [draw(st.sampled_from(hidden)) for _ in widths]
    sparsity = None
    if names and names[0] == "logistic" and draw(st.booleans()):
        sparsity = mlp.Sparsity(draw(st.sampled_from([0.05, 0.5])), draw(st.sampled_from([0.1, 3.0])))
    return Case(
        [draw(st.integers(1, 5)), *widths, draw(st.integers(2 if output == "softmax" else 1, 5))],
        [*names, output],
        cost,
        seed=draw(st.integers(0, 1 << 32)),
        n=draw(st.integers(1, 12)),
        weight_decay=draw(st.sampled_from([0.0, 1e-3, 0.5])),
        sparsity=sparsity,
        labels=draw(st.booleans()),
    )


few = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@few
@given(cases())
def test_central_differences_agree(case):
    check = mlp.check_gradient(case.objective, case.theta)
    assert check, (str(check), case.sizes, case.activations, case.cost)


@few
@given(cases(), st.integers(1, 13))
def test_chunked_equals_unchunked(case, chunk):
    cost, gradient = case.objective(case.theta)
    evaluation = case.objective.evaluate(case.theta)
    stepped = case.theta.copy()
    case.objective.accumulate(stepped, None, stepped, -0.1, 1.0, None)
    with mock.patch("mlp.backprop.CHUNK", chunk):
        in_chunks = copy.copy(case.objective)
    chunked_cost, chunked_gradient = in_chunks(case.theta)
    chunked = in_chunks.evaluate(case.theta)
    chunked_step = case.theta.copy()
    in_chunks.accumulate(chunked_step, None, chunked_step, -0.1, 1.0, None)
    assert_allclose(chunked_cost, cost, rtol=1e-12)
    assert_allclose(chunked_gradient, gradient, rtol=1e-9, atol=1e-12)
    assert_allclose(chunked_step, stepped, rtol=1e-9, atol=1e-12)
    assert_allclose(chunked.cost, evaluation.cost, rtol=1e-12)
    assert chunked.accuracy is evaluation.accuracy is None or chunked.accuracy == pytest.approx(evaluation.accuracy)


@few
@given(cases(), st.data())
def test_a_call_changes_nothing_and_repeats_itself(case, data):
    n = len(case.X)
    rows = data.draw(st.none() | st.lists(st.integers(0, n - 1), min_size=1, max_size=2 * n))
    before = case.theta.copy(), case.net.theta.copy(), case.X.copy()
    given_rows = None if rows is None else list(rows)
    cost, gradient = case.objective(case.theta, rows)
    kept = gradient.copy()
    case.objective(case.theta + 1)
    case.objective.evaluate(case.theta - 1)
    again, gradient_again = case.objective(case.theta, rows)
    assert again == cost
    assert_array_equal(gradient_again, kept)
    assert_array_equal(gradient, kept)  # the first one's is its own, not a buffer
    assert rows == given_rows
    for now, then in zip((case.theta, case.net.theta, case.X), before, strict=True):
        assert_array_equal(now, then)


@few
@given(cases(), st.data())
def test_a_whole_is_the_mean_of_its_parts(case, data):
    """But for penalties: with them, C(all) − P = Σ nₖ/n (C(part k) − P); sparsity is about a mean, and left out."""
    if case.sparsity is not None:
        return
    n = len(case.X)
    cut = data.draw(st.integers(0, n))
    parts = [part for part in (range(cut), range(cut, n)) if len(part)]
    found = [(len(part) / n, case.objective(case.theta, part)) for part in parts]
    cost, gradient = case.objective(case.theta)
    assert_allclose(sum(weight * c for weight, (c, _) in found), cost, rtol=1e-12)
    assert_allclose(sum(weight * g for weight, (_, g) in found), gradient, rtol=1e-9, atol=1e-12)


@few
@given(cases(), st.floats(1e-3, 1.0))
def test_a_step_of_descent_is_minus_the_rate_times_the_gradient(case, rate):
    theta = case.theta.copy()
    mlp.sgd(case.objective, theta, learning_rate=rate, batch_size=None, epochs=1)
    assert_allclose(theta, case.theta - rate * case.objective(case.theta)[1], rtol=1e-9, atol=1e-12)


@few
@given(cases(hidden=("tanh", "logistic", "softplus", "identity")))
def test_float32_is_float64_to_its_precision(case):
    single = case.objective.astype("float32")
    cost, gradient = single(case.theta)
    exact, exact_gradient = case.objective(case.theta)
    assert_allclose(cost, exact, rtol=1e-4)
    assert_allclose(gradient, exact_gradient, rtol=1e-2, atol=1e-3 * np.abs(exact_gradient).max())
