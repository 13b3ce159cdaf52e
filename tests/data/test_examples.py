"""Examples, their parts and what they know; the order of mini-batches."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from mlp.batches import draw_batches as batches
from mlp.data import Examples

# ---- parts


def test_examples_are_sliced_without_a_copy():
    examples = Examples(np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(6))
    assert len(examples) == 6
    part = examples[1:4]
    assert len(part) == 3
    assert part.X.tolist() == [[2, 3], [4, 5], [6, 7]]
    assert part.y.tolist() == [1, 2, 3]
    assert np.shares_memory(part.X, examples.X)
    assert np.shares_memory(part.y, examples.y)


@pytest.mark.parametrize("rows", [[4, 0], np.array([4, 0]), slice(4, None, -4)])
def test_examples_are_picked(rows):
    part = Examples(np.arange(12).reshape(6, 2), np.arange(6) * 10)[rows]
    assert part.X.tolist() == [[8, 9], [0, 1]]
    assert part.y.tolist() == [40, 0]


def test_examples_are_picked_by_a_mask_and_keep_the_columns_of_their_targets():
    part = Examples(np.arange(6).reshape(3, 2), np.eye(3))[np.array([True, False, True])]
    assert part.X.tolist() == [[0, 1], [4, 5]]
    assert part.y.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_parts_keep_what_is_known():
    examples = Examples(np.zeros((6, 8)), np.array([0, 1, 0, 1, 0, 1]), ("cat", "dog"), (2, 4), "pets")
    for part in (examples[2:], examples[[1]], examples[np.arange(6) > 2], *examples.split(0.5)):
        assert (part.classes, part.image_shape, part.name) == (("cat", "dog"), (2, 4), "pets")


def test_examples_do_not_change():
    examples = Examples(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(FrozenInstanceError):
        examples.X = np.ones((2, 3))


# ---- splits


def test_a_split_is_stratified_in_order_and_decided_by_the_seed():
    y = np.repeat([2, 0, 1], [600, 300, 101])
    examples = Examples(np.arange(1001)[:, None], y)
    rest, part = examples.split(0.1, seed=3)
    assert sorted([*rest.X[:, 0], *part.X[:, 0]]) == list(range(1001))
    assert (len(rest), len(part)) == (901, 100)
    for drawing in range(20):
        counts = np.bincount(examples.split(0.1, drawing)[1].y)
        assert (abs(counts - (29.97, 10.09, 59.94)) < 1).all()  # 100/1001 of each class
    for piece in (rest, part):
        assert (np.diff(piece.X[:, 0]) > 0).all()
        assert piece.y.tolist() == y[piece.X[:, 0]].tolist()

    def drawn(seed):
        return examples.split(0.1, seed)[1].X.tolist()

    assert drawn(3) == part.X.tolist() == drawn(np.random.default_rng(3))
    assert drawn(4) != drawn(3)
    assert drawn(None) != drawn(None)


@pytest.mark.parametrize(
    "y", [np.arange(10) % 3, np.arange(10.0), np.eye(10), np.arange(10)], ids=["few", "float", "2-D", "all"]
)
def test_every_example_is_drawn_equally_often(y):
    examples, rng = Examples(np.arange(10)[:, None], y), np.random.default_rng(0)
    drawn = np.concatenate([examples.split(0.3, rng)[1].X[:, 0] for _ in range(2_000)])
    # binomial at most: 600 ± √(2,000 · 0.3 · 0.7) = ± 20; four and a half of these
    np.testing.assert_allclose(np.bincount(drawn), [600] * 10, atol=92)


def test_any_examples_of_a_class_may_be_drawn_together():
    examples, rng = Examples(np.arange(4)[:, None], np.zeros(4, int)), np.random.default_rng(0)
    assert len({tuple(examples.split(0.5, rng)[1].X[:, 0]) for _ in range(200)}) == 6  # "4 choose 2"


@pytest.mark.parametrize(
    ("fraction", "seed", "kind", "message"),
    [
        (1.0, 0, ValueError, r"^fraction: received 1\.0 "),
        (0, 0, ValueError, r"^fraction: received 0 "),
        ("half", 0, TypeError, r"^fraction: received 'half' "),
        (0.01, 0, ValueError, r"^fraction: received 0\.01 \(float\), but of 10 examples that leaves one part empty"),
        (0.99, 0, ValueError, r"^fraction: received 0\.99 \(float\), but of 10 examples that leaves one part empty"),
        (0.5, -1, ValueError, r"^seed: received -1 "),
    ],
)
def test_splits_that_cannot_be(fraction, seed, kind, message):
    with pytest.raises(kind, match=message):
        Examples(np.zeros((10, 2)), np.zeros(10)).split(fraction, seed)


# ---- what is refused


@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [((3, 2), (4,)), ((3, 2), (2, 3)), ((3,), (3,)), ((3, 28, 28), (3,)), ((3, 2), (3, 1, 1)), ((3, 2), ())],
)
def test_examples_must_fit_together(refused, x_shape, y_shape):
    with refused(
        ValueError, f"X of shape {x_shape} and y of shape {y_shape}", "must be (n, features) and (n,) or (n, outputs)"
    ):
        Examples(np.zeros(x_shape), np.zeros(y_shape))


@pytest.mark.parametrize("name", ["X", "y"])
@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([[1.0]], r"received \[\[1\.0\]\] \(list\), but it must be a numpy array"),
        (np.ma.masked_invalid([[np.nan]]), r"received a masked array of shape \(1, 1\)"),
    ],
    ids=["list", "masked"],
)
def test_examples_are_plain_arrays(name, array, message):
    with pytest.raises(TypeError, match=rf"^{name}: {message}"):
        Examples(**{"X": np.zeros((1, 1)), "y": np.zeros((1, 1)), name: array})


@pytest.mark.parametrize(
    ("known", "kind", "message"),
    [
        (
            {"classes": ["a", "b", "c"]},
            TypeError,
            r"^classes: received \['a', 'b', 'c'\] \(list\), but it must be None or a tuple",
        ),
        ({"classes": (0, 1, 2)}, TypeError, r"^classes: received \(0, 1, 2\)"),
        ({"classes": ("a", "b")}, ValueError, r"^classes: received 2 names, but y holds label 2$"),
        ({"image_shape": [2, 3]}, TypeError, r"^image_shape: received \[2, 3\] \(list\), but it must be None, \(height"),
        ({"image_shape": (6,)}, TypeError, r"^image_shape: received \(6,\)"),
        ({"image_shape": (6, 1.0)}, TypeError, r"^image_shape\[1\]: received 1\.0"),
        ({"image_shape": (2, 4)}, ValueError, r"^image_shape: received \(2, 4\), but X has 6 features"),
        ({"name": None}, TypeError, r"^name: received None "),
    ],
)
def test_what_is_known_must_fit_the_arrays(known, kind, message):
    with pytest.raises(kind, match=message):
        Examples(np.zeros((3, 6)), np.arange(3), **known)


# ---- batches


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(10, 3, [3, 3, 3, 1]), (10, 5, [5, 5]), (10, 1, [1] * 10), (10, 10, [10]), (10, 64, [10]), (10, None, [10]), (1, 1, [1])],
)
def test_batches_are_a_permutation_and_the_last_is_used(n, batch_size, sizes):
    drawn = list(batches(n, batch_size, np.random.default_rng(0)))
    assert [len(batch) for batch in drawn] == sizes
    assert sorted(np.concatenate(drawn).tolist()) == list(range(n))
    assert all(batch.dtype.kind == "i" for batch in drawn)


def test_batches_come_in_a_new_order_each_time_that_the_generator_decides():
    def three_epochs(seed):
        rng = np.random.default_rng(seed)
        return [np.concatenate(list(batches(100, 7, rng))).tolist() for _ in range(3)]

    first, second, third = three_epochs(0)
    assert first != second != third != first
    assert list(range(100)) not in (first, second, third)
    assert three_epochs(0) == [first, second, third]
    assert three_epochs(1)[0] != first


def test_every_example_stands_everywhere_alike():
    rng = np.random.default_rng(0)
    first_batches = np.concatenate([next(batches(10, 3, rng)) for _ in range(2_000)])
    # binomial: 600 ± √(6,000 · 0.1 · 0.9) = ± 23; four of these
    np.testing.assert_allclose(np.bincount(first_batches), [600] * 10, atol=93)
