"""Examples on their way in: orders, rows, pixels, mapped files, distortions of one's own, targets; and what is refused."""

import math

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Objective
from mlp.batches import draw_batches

# Orders


def test_batches_are_every_example_once_and_the_last_is_shorter():
    batches = list(draw_batches(11, 4, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert sorted(np.concatenate(batches)) == list(range(11))
    assert_array_equal(np.concatenate(batches), np.random.default_rng(0).permutation(11))
    assert [len(batch) for batch in draw_batches(11, None, np.random.default_rng(0))] == [11]


# Rows


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([4], [4]),
        ([3, 3, 1], [3, 3, 1]),
        ([10, 0, 5], [10, 0, 5]),
        (np.array([2, 7, 2], np.uint8), [2, 7, 2]),
        (np.array([2, 7, 2], np.uint64), [2, 7, 2]),
        (range(1, 9, 3), [1, 4, 7]),
        (slice(3, 6), [3, 4, 5]),
        (slice(None, None, -5), [10, 5, 0]),
        (slice(-2, 100), [9, 10]),
    ],
)
@pytest.mark.parametrize("targets", ["labels", "numbers", "input"])
@pytest.mark.parametrize("pixels", [False, True])
def test_rows_are_those_examples_as_often_as_they_are_named(rows, chosen, targets, pixels):
    rng = np.random.default_rng(6)
    X = rng.integers(0, 256, (11, 3), dtype=np.uint8) if pixels else rng.standard_normal((11, 3))
    y = {"labels": rng.integers(0, 3, 11), "numbers": rng.standard_normal((11, 3)), "input": None}[targets]
    net = mlp.MLP([3, 4, 3], hidden="tanh", output="identity", dtype="float64", seed=6)
    objective = Objective(net, X, y, weight_decay=0.1)
    for theta in (net.theta, -net.theta):
        alone = Objective(net, X[chosen], None if y is None else y[chosen], weight_decay=0.1)
        cost, _ = alone(theta)
        # by one and one: each alone, and their mean
        singly = [objective(theta, [row]) for row in chosen]
        assert cost == pytest.approx(np.mean([each[0] for each in singly]), rel=1e-13)
        for ours in (objective(theta, rows), alone(theta)):
            assert ours[0] == pytest.approx(cost, rel=1e-13)
            assert_allclose(ours[1], np.mean([each[1] for each in singly], axis=0), atol=1e-14)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([0, 4], ValueError, r"^rows: received 4, but it must be from 0 to 3"),
        ([0, -1], ValueError, r"^rows: received -1, but it must be from 0 to 3"),
        ([], ValueError, r"^rows: received shape \(0,\).*a slice or one or more integer indices"),
        (slice(2, 2), ValueError, r"^rows: received shape \(0,\)"),
        (2, ValueError, r"^rows: received shape \(\)"),
        ([[0, 1]], ValueError, r"^rows: received shape \(1, 2\)"),
        ([0.0, 1.0], ValueError, r"^rows: received shape \(2,\) of float64"),
        ([True, False, True, False], ValueError, r"^rows: received shape \(4,\) of bool"),
        (slice("a"), TypeError, r"^rows: received slice\(None, 'a', None\) \(slice\), but a slice must be of integers"),
        (slice(0, 4, 0), TypeError, r"^rows: received slice\(0, 4, 0\) \(slice\), but .* its step not 0"),
        (np.ma.masked_array([0, 1], [True, False]), TypeError, r"^rows: received a masked array of shape \(2,\)"),
        ([[0], [1, 2]], ValueError, r"^rows: received \[\[0\], \[1, 2\]\] \(list\), but it must be a slice or one or more"),
        (["0"], TypeError, r"^rows: received dtype <U1"),
    ],
)
def test_bad_rows_are_named(rows, error, message):
    objective = Objective(NET, X, [0, 1, 0, 1])
    for call in (objective, objective.input_gradient, objective.errors):
        with pytest.raises(error, match=message):
            call(np.zeros(8), rows)


# Inputs and targets


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [None, [3, 0, 3]])
@pytest.mark.parametrize("autoencoder", [False, True])
def test_8_bit_input_is_pixels(dtype, rows, autoencoder):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 4), dtype=np.uint8)
    net = mlp.MLP([4, 3, 4], output="logistic", dtype=dtype, seed=0)
    y = None if autoencoder else rng.integers(0, 2, (9, 4))
    ours, scaled = Objective(net, pixels, y), Objective(net, pixels / 255, y)
    assert ours.X.dtype == np.uint8
    precision = 50 * float(np.finfo(dtype).eps)
    cost, gradient = scaled(net.theta, rows)
    assert ours(net.theta, rows)[0] == pytest.approx(cost, rel=precision)
    assert_allclose(ours(net.theta, rows)[1], gradient, atol=precision * np.abs(gradient).max())
    assert ours.evaluate(net.theta).cost == pytest.approx(scaled.evaluate(net.theta).cost, rel=precision)
    assert_allclose(ours.input_gradient(net.theta, rows), scaled.input_gradient(net.theta, rows), atol=precision)


@pytest.mark.parametrize("kind", [np.int16, np.int64, np.float16, np.float32, np.float64, bool])
def test_input_of_other_kinds_is_numbers(kind):
    X = np.array([[1, 0], [0, 1], [1, 1]])
    net = mlp.MLP([2, 3, 2], dtype="float32", seed=0)
    y = [0, 1, 1]
    expected = Objective(net, X.astype("float32"), y)
    ours = Objective(net, X.astype(kind), y)
    for rows in (None, [2, 0]):
        assert ours(net.theta, rows)[0] == expected(net.theta, rows)[0]
        assert_array_equal(ours(net.theta, rows)[1], expected(net.theta, rows)[1])


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
@pytest.mark.usefixtures("small_chunks")
def test_a_memory_mapped_file_is_input(tmp_path, kind):
    X = np.random.default_rng(0).integers(0, 256, (9, 4)).astype(kind)
    y = np.arange(9) % 3
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    net = mlp.MLP([4, 3], seed=0)
    ours, in_memory = Objective(net, mapped, y), Objective(net, X, y)
    assert np.shares_memory(ours.X, mapped)  # not a copy
    for rows in (None, [8, 0, 7], slice(5, 8)):
        assert ours(net.theta, rows)[0] == in_memory(net.theta, rows)[0]
        assert_array_equal(ours(net.theta, rows)[1], in_memory(net.theta, rows)[1])
    assert_array_equal(np.load(tmp_path / "X.npy"), X)


def test_the_input_as_its_own_target_by_either_spelling():
    X = np.random.default_rng(0).integers(0, 256, (9, 4), dtype=np.uint8)
    net = mlp.MLP([4, 3, 4], output="logistic", dtype="float64", seed=0)
    cost, gradient = Objective(net, X)(net.theta)
    for other in (Objective(net, X, X), Objective(net, X, X / 255)):
        assert other(net.theta)[0] == pytest.approx(cost, rel=1e-13)
        assert_allclose(other(net.theta)[1], gradient, atol=1e-14)


# Distortions


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
    assert objective(net.theta)[0] == Objective(net, X, y)(net.theta)[0]
    assert seen == []
    mirror = Objective(net, np.ascontiguousarray(X[:, ::-1]), y)(net.theta)
    assert_array_equal(objective(net.theta, noise=1)[1], mirror[1])
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
def test_what_it_returns_must_be_as_what_it_was_given(problem, distort, rows):
    net, objective = problem(distort=distort, dropout=(0.25, 0.5, 0.375))
    with pytest.raises(ValueError, match=r"^distort: returned .*, but it must be an array of float64 \(\d, 6\)"):
        objective(net.theta, rows, noise=1)
    assert objective(net.theta, rows)[0] == problem()[1](net.theta, rows)[0]  # which goes on working


def test_an_autoencoder_of_distorted_inputs_is_to_return_the_distorted_and_undropped_ones(autoencoder):
    net, objective = autoencoder(dropout=(0.5, 0, 0), distort=lambda X, _rng: X**2)
    explicit = Objective(net, objective.X, objective.X**2, dropout=(0.5, 0, 0), distort=lambda X, _rng: X**2)
    assert_array_equal(objective(net.theta, noise=2)[1], explicit(net.theta, noise=2)[1])


def test_a_function_that_distorts_in_place_leaves_the_examples_alone(problem):
    def doubled(X, _rng):
        X *= 2
        return X

    net, objective = problem(distort=doubled)
    before = objective.X.copy()
    objective(net.theta, noise=1)
    assert_array_equal(objective.X, before)


# Bad input


NET = mlp.MLP([3, 2], seed=0)
X = np.ones((4, 3))


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (np.ones((4, 5)), ValueError, r"^X: received 5 features, shape \(4, 5\), but the network takes 3"),
        (np.ones(4), ValueError, r"^X: received shape \(4,\), but it must be \(examples, 3\)"),
        (np.ones((0, 3)), ValueError, r"^X: received no examples, shape \(0, 3\), but at least one is needed"),
        (np.full((4, 3), np.nan), ValueError, r"^X: received nan at example 0, feature 0, but every value must be finite"),
        (np.diag([1, np.inf, 1, 1])[:, :3], ValueError, r"^X: received inf at example 1, feature 1"),
        (
            np.full((4, 3), 1j),
            TypeError,
            r"^X: received dtype complex128, but it must be an array \(examples, 3\): real numbers",
        ),
        (np.ma.masked_array(X, X > 0), TypeError, r"^X: received a masked array of shape \(4, 3\)"),
    ],
)
def test_bad_inputs_are_named(inputs, error, message):
    with pytest.raises(error, match=message):
        Objective(NET, inputs, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0, 1, 2, 0], ValueError, r"^y: received label 2 at example 2, but labels must be from 0 to 1"),
        ([0.0, 1.0, 0.0, 1.0], TypeError, r"^y: received dtype float64, but class labels must be integers from 0 to 1"),
        ([True, False, True, False], TypeError, r"^y: received dtype bool, but class labels must be integers"),
        (["a", "b", "a", "b"], TypeError, r"^y: received dtype <U1, but it must be class labels \(4,\) or numbers \(4, 2\)"),
        ([0, 1, 0], ValueError, r"^y: received shape \(3,\) for 4 examples, but it must be class labels \(4,\) or numbers"),
        (np.ones((4, 3)), ValueError, r"^y: received shape \(4, 3\) for 4 examples, but .* numbers \(4, 2\)"),
        (np.full((4, 2), np.nan), ValueError, r"^y: received nan, but every target must be finite"),
        ([[0.5, 0.5]] * 3 + [[1.5, -0.5]], ValueError, r"^y: received -0\.5, but targets of softmax_cross_entropy .* 0 to 1"),
        ([[0.5, 0.5]] * 3 + [[0.5, 0.6]], ValueError, r"^y: received a row that sums to 1\.1, but .* must sum to 1"),
        (np.ma.masked_array([0, 1, 0, 1]), TypeError, r"^y: received a masked array"),
        (scipy.sparse.csr_array(np.ones((4, 2))), TypeError, r"^y: received a sparse array .* but it must be dense"),
        (
            [[0.5, 0.5], [1.0]] * 2,
            ValueError,
            r"^y: received \[\[0\.5, 0\.5\], \[1\.0\], .*class labels \(4,\) or numbers \(4, 2\)",
        ),
        (None, ValueError, r"^y: received none, so that the input is its own target, but .* 3 inputs and 2 outputs"),
    ],
)
def test_bad_targets_are_named(y, error, message):
    with pytest.raises(error, match=message):
        Objective(NET, X, y)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0, 1, 2, 1], ValueError, r"^y: received 2, but targets of logistic_cross_entropy must be from 0 to 1"),
        ([0, 1, -0.25, 1], ValueError, r"^y: received -0\.25, but targets of logistic_cross_entropy must be from 0 to 1"),
        ([0, 1, math.nan, 1], ValueError, r"^y: received nan, but every target must be finite"),
        ([[0, 1]] * 4, ValueError, r"^y: received shape \(4, 2\) for 4 examples, but it must be numbers \(4,\) or \(4, 1\)"),
    ],
)
def test_bad_binary_targets_are_named(y, error, message):
    with pytest.raises(error, match=message):
        Objective(mlp.MLP([3, 1], output="logistic", seed=0), X, y)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (mlp.MLP([3, 2, 3], output="logistic", seed=0), r"^[Xy]\b.*: received 7.* from 0 to 1"),
        (mlp.MLP([3, 2, 3], output="softmax", seed=0), r"^[Xy]\b.*: received "),
    ],
)
def test_an_input_that_can_t_be_its_own_target_is_refused(net, message):
    with pytest.raises(ValueError, match=message):
        Objective(net, np.full((4, 3), 7.0))
