"""Dropout, distortions and max-norm in `Objective` and the minimisers: gradients, masks, bits, resumed runs, bad input.

Expectations come from central differences, from passes written out example by example, and from runs left alone.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal

import mlp
import mlp.network
import mlp.objective
from mlp import Affine, Distortion, Elastic, Objective, Sparsity
from mlp.network import Pass

SIZES = (6, 5, 4, 3)
#: In whole 65,536ths, as they are drawn: what is left is then exactly 1 − p.
RATES = (0.25, 0.5, 0.375)
DISTORTION = Distortion(Elastic(1, 2), Affine(), (2, 3))


class Bent:
    """An activation of the user's own: sin z."""

    name = "sine"

    def __repr__(self):
        return "Bent"

    def value(self, z):
        return np.sin(z)

    def derivative(self, z):
        return np.cos(z)


def problem(n=9, sizes=SIZES, hidden="tanh", output="softmax", dtype="float64", y="labels", **settings):
    """A network with random parameters, biases too, and its objective; y=None is an autoencoder."""
    rng = np.random.default_rng(1)
    net = mlp.MLP(list(sizes), hidden=hidden, output=output, dtype=dtype, seed=1)
    net.theta[:] = 0.5 * rng.standard_normal(net.theta.size)
    X = rng.uniform(0.05, 0.95, (n, sizes[0])).astype(dtype)
    if isinstance(y, str):
        y = rng.integers(0, sizes[-1], n) if y == "labels" else rng.uniform(size=(n, sizes[-1]))
    return net, Objective(net, X, y, **settings)


def autoencoder(n=9, **settings):
    return problem(n, (6, 4, 5, 6), hidden="logistic", output="logistic", y=None, **settings)


@pytest.fixture
def small_chunks(monkeypatch):
    """Four examples at a time, so that nine are three chunks."""
    monkeypatch.setattr(mlp.network, "CHUNK", 4)
    monkeypatch.setattr(mlp.objective, "CHUNK", 4)
    return 4


def same(one, other):
    """Whether two results (cost, gradient) are the same to the bit."""
    return one[0] == other[0] and one[1].tobytes() == other[1].tobytes()


# Noise


NOISES = pytest.mark.parametrize(
    "settings", [{"dropout": RATES}, {"distort": DISTORTION}, {"dropout": (0, 0, 0.5), "distort": DISTORTION}], ids=str
)


@NOISES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [None, [3, 1, 1, 7], slice(2, 8)])
@pytest.mark.usefixtures("small_chunks")
def test_without_noise_nothing_is_distorted_or_dropped(settings, dtype, rows):
    net, noisy = problem(dtype=dtype, weight_decay=0.1, **settings)
    _, plain = problem(dtype=dtype, weight_decay=0.1)
    assert noisy.noisy
    assert not plain.noisy
    noisy(net.theta, rows, noise=3)  # which leaves nothing behind
    assert same(noisy(net.theta, rows), plain(net.theta, rows))
    assert noisy.evaluate(net.theta) == plain.evaluate(net.theta)
    assert same(plain(net.theta, rows, noise=3), plain(net.theta, rows))  # noise is nothing to a plain objective
    assert_array_equal(noisy.input_gradient(net.theta, rows), plain.input_gradient(net.theta, rows))


@NOISES
@pytest.mark.usefixtures("small_chunks")
def test_the_same_noise_gives_the_same_bits_and_other_noise_others(settings):
    net, objective = problem(**settings)
    noises = [0, 1, 2, 2**63, (1, 2), (2, 1), (1, 2, 3), 2**200]
    results = [objective(net.theta, noise=noise) for noise in noises]
    assert len({cost for cost, _ in results}) == len({gradient.tobytes() for _, gradient in results}) == len(noises)
    _, fresh = problem(**settings)
    for noise, result in zip(reversed(noises), reversed(results), strict=True):
        assert same(fresh(net.theta, noise=noise), result)
        assert same(fresh.with_noise(noise)(net.theta), result)
    assert same(objective(net.theta, noise=np.int64(2)), results[2])


@NOISES
def test_an_objective_with_noise_holds_it(settings):
    net, objective = problem(weight_decay=0.1, **settings)
    held = objective.with_noise(7)
    assert (held.noise, held.noisy, objective.noise, objective.noisy) == (7, False, None, True)
    assert same(held(net.theta), objective(net.theta, noise=7))
    assert same(held(net.theta, [1, 4]), objective(net.theta, [1, 4], noise=7))
    assert same(held(net.theta, noise=8), objective(net.theta, noise=8))  # what is said goes before
    assert not same(held(net.theta), objective(net.theta))
    assert held.evaluate(net.theta) == objective.evaluate(net.theta)  # as the network is used
    assert same(held.with_noise((7, 1))(net.theta), objective(net.theta, noise=(7, 1)))
    assert same(held.astype("float64")(net.theta), held(net.theta))
    single = held.astype("float32")
    assert (single.noise, single.dtype) == (7, np.float32)
    cost, gradient = held(net.theta)
    assert single(net.theta)[0] == pytest.approx(cost, rel=1e-5)
    assert_allclose(single(net.theta)[1], gradient, atol=1e-5)


def test_an_objective_with_noise_has_scratch_memory_of_its_own():
    # so that it may be called amid a call of the one it was made from
    class Interrupted(Bent):
        by = None

        def value(self, z):
            by, self.by = self.by, None
            if by is not None:
                by(net.theta + 1)
            return np.sin(z)

    activation = Interrupted()
    net, objective = problem(hidden=activation, dropout=RATES)
    held, alone = objective.with_noise(7), problem(hidden=Bent(), dropout=RATES)[1]
    for one, other, noise in ((objective, held, 7), (held, objective, None), (held, held.with_noise(8), None)):
        for of in (one, other):
            of(net.theta)
        activation.by = other
        assert same(one(net.theta, noise=noise), alone(net.theta, noise=7))
        assert activation.by is None


def test_rows_are_what_is_distorted_and_dropped():
    # As an objective over those rows alone, of the same noise
    net, objective = problem(dropout=RATES, distort=DISTORTION, weight_decay=0.1)
    for rows in ([5], [2, 2, 8, 0], slice(1, 9, 3)):
        y = objective.Y[rows]
        alone = Objective(net, objective.X[rows], y, weight_decay=0.1, dropout=RATES, distort=DISTORTION)
        assert_allclose(objective(net.theta, rows, noise=4)[1], alone(net.theta, noise=4)[1], atol=1e-14)


@pytest.mark.parametrize("rates", [(0, 0, 0), (0.0, 0, 0.0), np.zeros(3)], ids=str)
def test_rates_of_zero_drop_nothing(rates):
    net, objective = problem(dropout=rates)
    assert (objective.dropout, objective.noisy) == (None, False)
    assert same(objective(net.theta, noise=1), problem()[1](net.theta))


def test_a_shorter_batch_after_a_longer_one_and_the_reverse():
    net, objective = problem(dropout=RATES)
    for rows in ([1, 2, 3], [4], [0, 1, 2, 3, 4], [5, 6]):
        _, fresh = problem(dropout=RATES)
        assert same(objective(net.theta, rows, noise=6), fresh(net.theta, rows, noise=6))
        assert same(objective(net.theta, rows), fresh(net.theta, rows))


# Gradients against central differences


def check(objective, theta, noise=3):
    found = mlp.check_gradient(objective.with_noise(noise), theta, tolerance=1e-7)
    assert found, found


@pytest.mark.parametrize("hidden", ["relu", "softplus", "tanh", "logistic", "identity", Bent(), ["logistic", Bent()]], ids=str)
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
def test_gradient(hidden, output, cost, y):
    net, objective = problem(hidden=hidden, output=output, cost=cost, y=y, dropout=RATES, weight_decay=0.1)
    assert not same(objective(net.theta, noise=3), objective(net.theta))
    check(objective, net.theta)


@pytest.mark.parametrize("rates", [(0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5), (0.9, 0.9, 0.9)])
@pytest.mark.parametrize("distort", [None, DISTORTION], ids=["", "distorted"])
@pytest.mark.usefixtures("small_chunks")
def test_gradient_with_masks_here_and_there(rates, distort):
    net, objective = problem(dropout=rates, distort=distort)
    check(objective, net.theta)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("settings", [{}, {"dropout": RATES}, {"dropout": (0, 0.5, 0.5), "distort": DISTORTION}], ids=str)
@pytest.mark.usefixtures("small_chunks")
def test_gradient_of_an_autoencoder_with_sparsity(layer, settings):
    net, objective = autoencoder(sparsity=Sparsity(0.1, 3, layer), weight_decay=0.01, **settings)
    check(objective, net.theta)


def test_gradient_of_pixels_and_without_a_hidden_layer():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (7, 6), dtype=np.uint8), rng.integers(0, 3, 7)
    net = mlp.MLP([6, 3], dtype="float64", seed=0)
    check(Objective(net, X, y, dropout=(0.3,), distort=DISTORTION, weight_decay=0.01), net.theta)


def test_gradient_over_many_examples():
    net, objective = problem(2 * mlp.network.CHUNK + 3, (3, 2, 2), dropout=(0.2, 0.5))
    check(objective, net.theta)


def test_gradient_checker_sees_an_error_that_bypasses_the_masks(monkeypatch):
    net, objective = problem(dropout=(0, 0.5, 0.5))
    original = mlp.MLP.backward

    def unmasked(self, batch, *arguments):
        masks, batch.M = batch.M, [None] * len(batch.M)
        original(self, batch, *arguments)
        batch.M = masks

    monkeypatch.setattr(mlp.MLP, "backward", unmasked)
    assert not mlp.check_gradient(objective.with_noise(3), net.theta, tolerance=1e-7)


# The passes, written out example by example


def redrawn(rng, rates, widths, n):
    """The masks (n, width) of each layer's input, drawn as a pass draws them: 16 bits a unit."""
    masks = []
    for rate, width in zip(rates, widths, strict=False):
        mask = np.ones((n, width))
        if rate:
            words = rng.integers(0, 2**64, math.ceil(n * width / 4), dtype=np.uint64)
            bits = np.frombuffer(words.tobytes(), np.uint16)[: n * width].reshape(n, width)
            mask = (bits >= round(65536 * rate)) / (1 - rate)
        masks.append(mask)
    return masks


def by_hand(net, X, targets, masks, weight_decay):
    """Cost and gradient of a tanh network with softmax outputs: cross-entropy, one example at a time."""
    cost, gradients = 0.0, [[np.zeros_like(layer.W), np.zeros_like(layer.b)] for layer in net.layers]
    for i, x in enumerate(X):
        seen, values = [], x
        for l, layer in enumerate(net.layers):  # noqa: E741
            seen.append(values * masks[l][i])
            z = layer.W @ seen[-1] + layer.b
            values = np.tanh(z)
        p = np.exp(z) / np.exp(z).sum()
        cost -= math.log(p[targets[i]])
        delta = p - np.eye(len(p))[targets[i]]
        for l in reversed(range(len(net.layers))):  # noqa: E741
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
def test_passes_are_those_written_out(rates, distort, rows, small_chunks):
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
def test_a_step_is_down_that_gradient(n):
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


# Masks


def masks(rates, n=4000, widths=(30, 20, 7), dtype="float64", seed=0):
    layers = [mlp.Dense(a, b, mlp.activations.get("tanh")) for a, b in pairwise(widths)]
    drawn = Pass(layers, n, np.dtype(dtype))
    drawn.drop(rates, np.random.default_rng(seed))
    return drawn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9, 0.999999])
def test_masks_are_zero_at_the_rate_and_one_over_what_is_left(rate, dtype):
    M = masks((rate, 0.5), dtype=dtype).M[0]
    assert M.shape == (4000, 30)
    assert M.dtype == dtype
    kept = M[M != 0]
    assert len(set(kept)) == 1
    if rate < 0.99:
        assert_allclose(kept, 1 / (1 - rate), rtol=1.01 * 2**-17 / (1 - rate))  # rates are in 65,536ths
    assert abs(kept.size - M.size * (1 - rate)) < 5 * math.sqrt(M.size * rate * (1 - rate)) + M.size / 65536 + 1


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
def test_what_is_seen_is_on_average_what_there_is(rate):
    drawn = masks((rate, 0))
    A = np.random.default_rng(2).standard_normal(30)
    seen = (A * drawn.M[0]).mean(axis=0)
    deviation = np.abs(A) * math.sqrt(rate / (1 - rate) / 4000)
    assert (np.abs(seen - A) < 5 * deviation).all()


def test_masks_are_independent_and_drawn_anew():
    drawn = masks((0.5, 0.5), n=4000)
    M = (drawn.M[0] != 0) - 0.5
    for a, b in [(M[1:], M[:-1]), (M[:, 1:], M[:, :-1]), (M[:, :20], (drawn.M[1] != 0) - 0.5), (M[2000:], M[:2000])]:
        assert abs((a * b).mean()) < 5 * 0.25 / math.sqrt(a.size)
    before = drawn.M[0].copy()
    drawn.drop((0.5, 0.5), np.random.default_rng(1))
    assert 0.48 < (drawn.M[0] != before).mean() < 0.52


def test_layers_of_rate_zero_have_no_mask_and_share_their_memory():
    drawn = masks((0, 0.5))
    assert drawn.M[0] is None
    assert drawn.D[0] is drawn.A[0]
    assert drawn.M[1] is not None
    assert not np.may_share_memory(drawn.D[1], drawn.A[1])
    part = drawn.first(3)
    assert part.D[0] is part.A[0]
    assert_array_equal(part.M[1], drawn.M[1][:3])
    assert np.may_share_memory(part.M[1], drawn.M[1])


# Distortions of the user's own


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.usefixtures("small_chunks")
def test_a_function_of_ones_own_is_called_with_a_batch_and_a_generator(dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (9, 6)).astype(dtype)
    net, seen = mlp.MLP([6, 3], dtype="float64", seed=0), []

    def mirrored(given, rng):
        assert isinstance(rng, np.random.Generator)
        seen.append(given.copy())
        return given[:, ::-1]

    y = np.arange(9) % 3
    objective = Objective(net, X, y, distort=mirrored)
    assert same(objective(net.theta), Objective(net, X, y)(net.theta))
    assert seen == []
    assert same(objective(net.theta, noise=1), Objective(net, np.ascontiguousarray(X[:, ::-1]), y)(net.theta))
    assert_array_equal(np.concatenate(seen), X)
    assert {part.dtype.name for part in seen} == {dtype}


@pytest.mark.parametrize(
    "distort",
    [
        lambda X, _rng: X[:-1],
        lambda X, _rng: X[:, :-1],
        lambda X, _rng: X.reshape(-1, 2, 3),
        lambda X, _rng: X.astype(np.float32),
        lambda X, _rng: X.mean(),
        lambda _X, _rng: None,
    ],
)
@pytest.mark.parametrize("rows", [None, [0, 1]])
def test_what_it_returns_must_be_as_what_it_was_given(distort, rows):
    net, objective = problem(distort=distort, dropout=RATES)
    with pytest.raises(ValueError, match=r"^distort: returned .*, but it must be an array of float64 \(\d, 6\)"):
        objective(net.theta, rows, noise=1)
    assert same(objective(net.theta, rows), problem()[1](net.theta, rows))  # which goes on working


def test_an_autoencoder_of_distorted_inputs_is_to_return_the_distorted_and_undropped_ones():
    net, objective = autoencoder(dropout=(0.5, 0, 0), distort=lambda X, _rng: X**2)
    explicit = Objective(net, objective.X, objective.X**2, dropout=(0.5, 0, 0), distort=lambda X, _rng: X**2)
    assert same(objective(net.theta, noise=2), explicit(net.theta, noise=2))


# Max-norm


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constrain_scales_down_the_rows_beyond_and_nothing_else(dtype):
    net, objective = problem(dtype=dtype, max_norm=1.0)
    theta = net.theta.copy()
    before, after = net.at(theta.copy()), net.at(theta)
    objective.constrain(theta)
    scaled = 0
    for old, new in zip(before.layers, after.layers, strict=True):
        assert_array_equal(new.b, old.b)
        for was, row in zip(old.W, new.W, strict=True):
            norm = np.linalg.norm(was.astype(float))
            if norm <= 1:
                assert_array_equal(row, was)
            else:
                scaled += 1
                assert_allclose(row, was / norm, rtol=1e-6)
    assert 0 < scaled < sum(SIZES[1:])


def test_constrain_without_max_norm_does_nothing_and_it_is_no_part_of_the_cost():
    net, objective = problem()
    theta = 1000 * net.theta
    objective.constrain(theta)
    assert_array_equal(theta, 1000 * net.theta)
    assert same(objective(net.theta), problem(max_norm=0.01)[1](net.theta))
    assert not problem(max_norm=0.01)[1].noisy
    assert problem(max_norm=0.5, dropout=RATES)[1].astype("float32").max_norm == 0.5


RULES = {
    "plain": (mlp.sgd, {"learning_rate": 0.5}),
    "momentum": (mlp.sgd, {"learning_rate": 0.2, "momentum": 0.9}),
    "nesterov": (mlp.sgd, {"learning_rate": 0.2, "momentum": 0.9, "nesterov": True}),
    "adam": (mlp.adam, {"learning_rate": 0.05}),
}
for_each_rule = pytest.mark.parametrize("rule", RULES)


@for_each_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_step_ends_beyond_max_norm(rule, dtype):
    minimise, options = RULES[rule]
    norms = []

    def each_step(snapshot):
        at = net.at(snapshot().arrays["theta"])
        norms.append(max(np.linalg.norm(layer.W.astype(float), axis=1).max() for layer in at.layers))

    for max_norm in (None, 0.8):
        net, objective = problem(23, dtype=dtype, max_norm=max_norm, dropout=RATES)
        minimise(objective, net.theta, batch_size=4, epochs=4, each_step=each_step, **options)
    free, held = norms[:24], norms[24:]
    assert min(free) > 0.9
    assert max(held) <= 0.8 * (1 + 1e-6)
    assert max(held) == pytest.approx(0.8, rel=1e-6)  # which they reach


# Minimisers


SETTINGS = {"batch_size": 4, "epochs": 4, "seed": 5}
EVERYTHING = {"dropout": RATES, "distort": DISTORTION, "max_norm": 0.9, "weight_decay": 0.01}


@pytest.mark.parametrize("settings", [{"dropout": RATES}, {"distort": DISTORTION}, {"max_norm": 2.0}], ids=str)
def test_lbfgs_refuses_what_is_noisy_or_held_to_a_norm(settings):
    net, objective = problem(**settings)
    before = net.theta.copy()
    with pytest.raises(ValueError, match=r"^objective: has (distortions or dropout|a max_norm), which .* sgd (or|and) adam"):
        mlp.lbfgs(objective, net.theta)
    assert_array_equal(net.theta, before)


@NOISES
def test_lbfgs_and_scipy_minimise_where_the_noise_is_held(settings):
    net, objective = problem(30, weight_decay=0.1, **settings)
    held = objective.with_noise(1)
    theirs = scipy.optimize.minimize(held, net.theta.copy(), jac=True, options={"gtol": 1e-6})
    assert theirs.success, theirs.message
    result = mlp.lbfgs(held, net.theta, gtol=1e-6, ftol=0, maxiter=1000)
    assert result.success, result.message
    for x in (theirs.x, result.x):
        assert np.abs(held(x)[1]).max() < 1e-5
        assert held(x)[0] < held(np.zeros_like(x))[0]


@for_each_rule
@NOISES
def test_noise_is_drawn_from_the_seed(rule, settings):
    minimise, options = RULES[rule]

    def trained(seed):
        net, objective = problem(**settings)
        # full batches: nothing but the noise is random
        minimise(objective, net.theta, batch_size=None, epochs=3, seed=seed, **options)
        return net.theta.tobytes()

    assert trained(1) == trained(1) == trained(np.random.default_rng(1))
    assert trained(1) != trained(2)


def test_every_step_has_noise_of_its_own():
    net, objective = problem(dropout=RATES)
    noises = []
    original = objective.accumulate

    def watched(theta, rows, out, alpha, beta, noise):
        noises.append(noise)
        return original(theta, rows, out, alpha, beta, noise)

    objective.accumulate = watched
    mlp.sgd(objective, net.theta, **SETTINGS)
    assert len(set(noises)) == 4 * 3
    keys = [key for key, _ in noises]
    assert len(set(keys)) == 4  # one for each epoch, and the step's number in it
    assert [number for _, number in noises] == [0, 1, 2] * 4
    # the key is drawn from the generator before the epoch's order
    rng = np.random.default_rng(SETTINGS["seed"])
    for epoch in range(4):
        assert keys[3 * epoch] == rng.integers(1 << 63)
        rng.permutation(9)


@for_each_rule
@pytest.mark.parametrize("settings", [{}, {"max_norm": 0.5}, {"dropout": (0, 0, 0)}], ids=str)
@pytest.mark.parametrize("average", [0, 2])
def test_a_run_without_noise_draws_the_orders_and_nothing_more(rule, settings, average):
    minimise, options = RULES[rule]
    net, objective = problem(**settings)
    used, rng = np.random.default_rng(3), np.random.default_rng(3)
    minimise(objective, net.theta, batch_size=4, epochs=3, seed=used, average=average, **options)
    orders = [rng.permutation(9) for _ in range(3)]
    assert used.bit_generator.state == rng.bit_generator.state
    if rule == "plain" and not settings and not average:
        theta = problem()[0].theta
        for order in orders:
            for start in (0, 4, 8):
                theta -= options["learning_rate"] * objective(theta, order[start : start + 4])[1]
        assert_allclose(net.theta, theta, atol=1e-13)


def test_a_step_of_sgd_is_down_the_gradient_of_its_noise_and_back_within_max_norm():
    net, objective = problem(**EVERYTHING)
    theta, rng = net.theta.copy(), np.random.default_rng(5)
    mlp.sgd(objective, net.theta, learning_rate=0.5, **SETTINGS)
    for _ in range(4):
        key, order = int(rng.integers(1 << 63)), rng.permutation(9)
        for number, start in enumerate((0, 4, 8)):
            theta -= 0.5 * objective(theta, order[start : start + 4], noise=(key, number))[1]
            objective.constrain(theta)
    assert_allclose(net.theta, theta, atol=1e-12)


def test_a_held_noise_stays_the_same_in_every_step():
    net, objective = problem(**EVERYTHING)
    held, theta = objective.with_noise(4), net.theta.copy()
    mlp.sgd(held, net.theta, learning_rate=0.5, batch_size=None, epochs=5)
    for _ in range(5):
        theta -= 0.5 * objective(theta, noise=4)[1]
        objective.constrain(theta)
    assert_allclose(net.theta, theta, atol=1e-12)


def left(result):
    """All that a run leaves, but for the seconds it took."""
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in result.history]
    return result.x.tobytes(), history, result.fun, result.nit, result.nfev, result.status, result.success, result.message


@for_each_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("after", [1, 8, 12, 13, 20, 24], ids="after {}".format)
def test_stop_and_resume_equals_uninterrupted(rule, dtype, after, tmp_path):
    # 23 examples in batches of 4 are 6 steps an epoch; the last two of four epochs, from step 13, are averaged
    minimise, options = RULES[rule]
    settings = {**SETTINGS, **options, "average": 2}

    def fresh():
        net, objective = problem(23, dtype=dtype, **EVERYTHING)
        return net, objective, {**settings, "validation": problem(15, dtype=dtype)[1]}

    net, objective, arguments = fresh()
    whole = minimise(objective, net.theta, **arguments)
    assert whole.nfev == 24

    states = []

    def each_step(snapshot):
        states.append(snapshot())
        if len(states) == after:
            raise StopIteration

    net, objective, arguments = fresh()
    minimise(objective, net.theta, **arguments, each_step=each_step)
    mlp.save_state(tmp_path / "state.npz", states[-1])
    net, objective, arguments = fresh()
    net.theta[:] = 0.1
    resumed = minimise(objective, net.theta, **{**arguments, "seed": 77}, state=mlp.load_state(tmp_path / "state.npz"))
    assert left(resumed) == left(whole)


def test_states_of_runs_with_and_without_an_average_are_not_taken_for_each_other():
    for given, wanted in ((2, 0), (0, 2)):
        net, objective = problem()
        states = []
        mlp.sgd(objective, net.theta, **SETTINGS, average=given, each_step=lambda snapshot, to=states: to.append(snapshot()))
        with pytest.raises(ValueError, match=r"^state: received the vectors .*average.*: the settings or the network differ"):
            mlp.sgd(objective, net.theta, **SETTINGS, average=wanted, state=states[0])


def test_scipys_front_end_drops_too():
    results = []
    for _ in range(2):
        net, objective = problem(**EVERYTHING)
        mlp.sgd(objective, net.theta, **SETTINGS)
        start = problem()[0].theta
        result = scipy.optimize.minimize(objective, start, jac=True, method=mlp.sgd, options=SETTINGS)
        assert_array_equal(result.x, net.theta)
        results.append(result.x.tobytes())
    assert results[0] == results[1]


# Bad input


@pytest.mark.parametrize(
    ("dropout", "error", "message"),
    [
        ((0.5,), ValueError, r"^dropout: received 1 probabilities, but it must be 3, one for each layer's input"),
        ((0.1, 0.2, 0.3, 0.4), ValueError, r"^dropout: received 4 probabilities, but it must be 3"),
        ((), ValueError, r"^dropout: received 0 probabilities"),
        (0.5, TypeError, r"^dropout: received 0\.5 \(float\), but it must be 3 probabilities, one for each layer's input"),
        ("0.5", TypeError, r"^dropout: received '0\.5' \(str\)"),
        ({0.1, 0.2, 0.3}, TypeError, r"^dropout: received \{.*\} \(set\)"),
        ((0, 1, 0), ValueError, r"^dropout\[1\]: received 1 \(int\), but it must be a finite number at least 0 and below 1"),
        ((0, 0, -0.1), ValueError, r"^dropout\[2\]: received -0\.1"),
        ((math.nan, 0, 0), ValueError, r"^dropout\[0\]: received nan"),
        ((0, "0.5", 0), TypeError, r"^dropout\[1\]: received '0\.5' \(str\)"),
        ((0, None, 0), TypeError, r"^dropout\[1\]: received None"),
        ((False, True, 0), TypeError, r"^dropout\[0\]: received False"),
    ],
)
def test_bad_dropout_is_refused(dropout, error, message):
    with pytest.raises(error, match=message):
        problem(dropout=dropout)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_norm": 0}, ValueError, r"^max_norm: received 0 \(int\), but it must be a finite number above 0"),
        ({"max_norm": -2.0}, ValueError, r"^max_norm: received -2\.0"),
        ({"max_norm": math.inf}, ValueError, r"^max_norm: received inf"),
        ({"max_norm": "3"}, TypeError, r"^max_norm: received '3' \(str\)"),
        ({"max_norm": True}, TypeError, r"^max_norm: received True"),
        ({"distort": 3}, TypeError, r"^distort: received 3 \(int\), but it must be None or a function \(X, rng\) -> X"),
        ({"distort": "elastic"}, TypeError, r"^distort: received 'elastic' \(str\)"),
        ({"distort": Elastic()}, TypeError, r"^distort: received Elastic"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        problem(**settings)


@pytest.mark.parametrize(
    ("noise", "error"),
    [
        (-1, ValueError),
        ((1, -1), ValueError),
        (0.5, TypeError),
        (1.0, TypeError),
        (True, TypeError),
        ((), TypeError),
        ((1, 0.5), TypeError),
        ((1, (2,)), TypeError),
        ([1, 2], TypeError),
        ("1", TypeError),
    ],
    ids=str,
)
def test_bad_noise_is_refused(noise, error):
    net, objective = problem(dropout=RATES)
    for plain in (objective, problem()[1]):
        with pytest.raises(error, match=r"^noise: received .*, but it must be an integer of at least 0"):
            plain(net.theta, noise=noise)
        with pytest.raises(error, match=r"^noise: received"):
            plain.with_noise(noise)
    with pytest.raises(TypeError, match=r"^noise: received None"):
        objective.with_noise(None)


# Faults that are known


@pytest.mark.parametrize("rate", [0.99999, 0.999999])
def test_what_is_seen_is_on_average_what_there_is_at_rates_near_one(rate):
    # drawn from evenly spread bits, so that the mean is exact
    class Even:
        def integers(self, low, high, size, dtype):
            return np.arange(65536, dtype=np.uint16).view(np.uint64)[:size]

    drawn = Pass([mlp.Dense(256, 1, mlp.activations.get("tanh"))], 256, np.dtype(np.float64))
    drawn.drop((rate,), Even())
    assert drawn.M[0].mean() == pytest.approx(1, rel=1e-3)


def test_input_gradient_where_the_noise_is_held():
    net, objective = problem(dropout=RATES)
    held, X = objective.with_noise(3), objective.X
    numerical = np.empty_like(X)
    for place in np.ndindex(X.shape):
        costs = []
        for step in (1e-5, -1e-5):
            moved = X.copy()
            moved[place] += step
            costs.append(Objective(net, moved, objective.Y, dropout=RATES)(net.theta, noise=3)[0])
        numerical[place] = (costs[0] - costs[1]) / 2e-5
    assert_allclose(held.input_gradient(net.theta), numerical, atol=1e-8)


def test_a_function_that_distorts_in_place_leaves_the_examples_alone():
    def doubled(X, _rng):
        X *= 2
        return X

    net, objective = problem(distort=doubled)
    before = objective.X.copy()
    objective(net.theta, noise=1)
    assert_array_equal(objective.X, before)


def test_a_function_that_returns_a_list_is_refused():
    net, objective = problem(distort=lambda X, _rng: X.tolist())
    with pytest.raises(ValueError, match=r"^distort: returned"):
        objective(net.theta, noise=1)


def test_constrain_keeps_the_direction_of_very_long_rows():
    net, objective = problem(dtype="float32", max_norm=1.0)
    net.layers[0].W[0] = 1e25
    with np.errstate(all="ignore"):
        objective.constrain(net.theta)
    assert_allclose(net.layers[0].W[0], 1 / math.sqrt(6), rtol=1e-6)


def test_any_objective_that_offers_constrain_is_asked_to():
    class Held:
        def __init__(self, objective):
            self.objective, self.count = objective, 0

        def __len__(self):
            return len(self.objective)

        def __call__(self, theta, rows=None):
            return self.objective(theta, rows)

        def constrain(self, theta):
            self.count += 1

    net, objective = problem()
    held = Held(objective)
    mlp.sgd(held, net.theta, **SETTINGS)
    assert held.count == 12


def test_a_gradient_check_that_would_leave_the_noise_out_is_refused():
    net, objective = problem(dropout=RATES)
    with pytest.raises(ValueError, match=r"^objective: has distortions or dropout, .* objective\.with_noise\(0\)"):
        mlp.check_gradient(objective, net.theta)
