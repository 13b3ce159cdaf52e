"""How raw data becomes inputs and outputs answers, by hand; and descriptions in files, damaged ones too."""

import copy
import json

import numpy as np
import pytest

import mlp
from mlp.data.columns import Column
from mlp.data.examples import Examples, prepare
from mlp.data.preparation import Preparation, image_preparation
from mlp.data.tables import Table

NUMBER = Column("x", mean=2.0, deviation=4.0, minimum=-2.0, maximum=8.0)
CONSTANT = Column("one", mean=0.1, deviation=1e-18, minimum=0.1, maximum=0.1)
COLOUR = Column("colour", "categorical", ("blue", "red"))
KIND = Column("kind", "categorical", ("no", "yes"))
PRICE = Column("price", mean=10.0, deviation=5.0, minimum=0.0, maximum=30.0)
RAW = {"colour": ["red", "blue"], "x": [2, 8], "one": [0.1, 1.1]}


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("none", [[2, 0, 1, 0.1], [8, 1, 0, 1.1]]),
        ("standard", [[0, 0, 1, 0], [1.5, 1, 0, 1]]),
        ("range", [[0.4, 0, 1, 0], [1, 1, 0, 1]]),
    ],
)
def test_inputs_by_hand(scaling, expected):
    preparation = Preparation((NUMBER, COLOUR, CONSTANT), KIND, scaling)
    X = preparation.inputs(RAW)
    assert X.dtype == np.float32
    np.testing.assert_allclose(X, expected, rtol=1e-6)
    np.testing.assert_array_equal(preparation.inputs([[2, "red", 0.1], [8, "blue", 1.1]]), X)
    np.testing.assert_array_equal(preparation.inputs(Table.from_columns(RAW), "float64").astype(np.float32), X)


def test_answers():
    outputs = np.array([[0.7, 0.3], [0.1, 0.9]])
    assert Preparation((NUMBER,), KIND).answers(outputs).tolist() == ["no", "yes"]
    assert Preparation((NUMBER,), KIND).answers(outputs[:, :1]).tolist() == ["yes", "no"]  # a single logistic output
    numbered = Preparation((NUMBER,), Column("y", "categorical", ("-1", "1"))).answers(outputs)
    assert (numbered.tolist(), numbered.dtype) == ([-1, 1], np.int64)
    padded = Preparation((NUMBER,), Column("y", "categorical", ("01", "1")))
    assert padded.answers(outputs).tolist() == ["01", "1"]
    for scaling, expected in (("none", [1, -2]), ("standard", [15, 0]), ("range", [15, 0])):
        assert Preparation((NUMBER,), PRICE, scaling).answers(np.array([[1.0], [-2.0]])).tolist() == expected


def test_statistics_are_those_of_the_first_part():
    raw = Preparation((Column("x"), COLOUR), Column("price"))
    X = np.array([[1.0, 0, 1], [3, 1, 0], [5, 1, 0], [100, 0, 1]])
    examples = Examples(X, np.array([10.0, 20, 30, 40]), preparation=raw)
    training, test = prepare(examples[:3], examples[3:])
    deviation = np.sqrt(8 / 3)
    np.testing.assert_allclose(training.X[:, 0], [-2 / deviation, 0, 2 / deviation], rtol=1e-6)
    np.testing.assert_allclose(test.X, [[97 / deviation, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(test.y, [20 / np.sqrt(200 / 3)])
    assert test.preparation.columns[0] == Column("x", mean=3.0, deviation=deviation, minimum=1.0, maximum=5.0)


def test_pixels():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    plain = image_preparation((3, 4), ("a", "b"))
    np.testing.assert_array_equal(plain.inputs(images), images.reshape(2, 12))
    assert plain.inputs(images).dtype == np.uint8  # networks scale those themselves
    floats = Examples(images.reshape(2, 12) / 2, np.array([0, 1]), ("a", "b"), (3, 4), preparation=plain)
    (scaled,) = prepare(floats)
    np.testing.assert_allclose(scaled.X, images.reshape(2, 12) / 23, rtol=1e-6)


def test_what_columns_cannot_have_is_named(refused):
    preparation = Preparation((NUMBER, COLOUR), KIND, "standard")
    with refused(ValueError, "column 'colour': received 'green' in row 2, but it must be one of 'blue', 'red'"):
        preparation.inputs({"x": [1, 2], "colour": ["red", "green"]})
    with refused(ValueError, "column 'x': received 'many' (str) in row 1, but it must be a number"):
        preparation.inputs({"x": ["many", "2"], "colour": ["red", "red"]})
    with refused(ValueError, "column 'x': a value is missing", "row 2"):
        preparation.inputs({"x": [1, np.nan], "colour": ["red", "red"]})
    with refused(ValueError, "column 'colour': a value is missing", "row 1"):
        preparation.inputs({"x": [1, 2], "colour": [None, "red"]})
    with refused(ValueError, "lacks the column 'colour'; it has 'x'"):
        preparation.inputs({"x": [1, 2]})
    with refused(ValueError, "X: received shape (2, 3), but it must be (n, 2)"):
        preparation.inputs(np.zeros((2, 3)))
    with refused(ValueError, "X: received shape (2, 5), but it must be images, (n, 12) or (n, 3, 4)"):
        image_preparation((3, 4), ("a", "b")).inputs(np.zeros((2, 5), np.uint8))


@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_numbers_too_large_for_the_dtype_are_named(refused, scaling):
    preparation = Preparation((NUMBER, COLOUR), KIND, scaling)
    given = {"x": [1, 1e300], "colour": ["red", "red"]}
    with refused(ValueError, "column 'x': received 1e+300, too large for float32 when scaled"):
        preparation.inputs(given)
    assert np.isfinite(preparation.inputs(given, "float64")).all()


# In files


WHOLE = Preparation((NUMBER, COLOUR), PRICE, "standard")


@pytest.mark.parametrize("preparation", [WHOLE, image_preparation((28, 28), ("a", "b")), Preparation((Column("x"),), KIND)])
def test_descriptions_come_back_through_json(preparation):
    assert Preparation.from_description(json.loads(json.dumps(preparation.describe()))) == preparation


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda d: d.pop("scaling"), "it has scaling, image_shape, columns and target"),
        (lambda d: d.update(scaling="log"), "scaling: received 'log'"),
        (lambda d: d.update(columns=[]), "its columns are a list"),
        (lambda d: d["columns"].append(d["columns"][0]), "columns of different names"),
        (lambda d: d.update(target=d["columns"][0]), "the target not among them"),
        (lambda d: d.update(image_shape=[2, 2]), "image_shape: received (2, 2), but there are 3 features"),
        (lambda d: d.update(image_shape=[0, 2]), "image_shape: received 0"),
        (lambda d: d["columns"][0].update(kind="pixels"), "pixels beside other columns"),
        (lambda d: d["columns"][0].update(mean=float("nan")), "received the mean nan"),
        (lambda d: d["columns"][0].update(mean="2"), "received the mean '2'"),
        (lambda d: d["columns"][0].update(mean=9.0), "can't be those of one column"),
        (lambda d: d["columns"][0].update(deviation=-1.0), "can't be those of one column"),
        (lambda d: d["columns"][0].pop("minimum"), "lacks its minimum"),
        (lambda d: d["columns"][0].update(values=["a"]), "received values, which numeric columns don't have"),
        (lambda d: d["columns"][1].update(values=["a", "a"]), "must be a list of different texts"),
        (lambda d: d["columns"][1].update(values=[]), "received no values"),
        (lambda d: [d["columns"][0].pop(name) for name in ("mean", "deviation", "minimum", "maximum")], "lacks the mean"),
    ],
)
def test_damaged_descriptions_are_refused(refused, change, part):
    described = copy.deepcopy(WHOLE.describe())
    change(described)
    with refused(ValueError, "preparation: ", part):
        Preparation.from_description(described)


def test_models_keep_their_preparation(tmp_path, refused):
    net = mlp.MLP([3, 4, 1], output="identity", seed=0)
    net.preparation = WHOLE
    mlp.save(tmp_path / "model.npz", net)
    again = mlp.load(tmp_path / "model.npz")
    assert again.preparation == WHOLE
    raw = {"x": [1.0, 5.0], "colour": ["red", "blue"]}
    expected = net.forward([[-0.25, 0, 1], [0.75, 1, 0]])[:, 0] * 5.0 + 10.0
    np.testing.assert_allclose(again.predict(raw), expected, rtol=1e-6)
    for copied in (copy.deepcopy(net), net.astype("float64"), net.at(net.theta.copy())):
        assert copied.preparation == WHOLE
    net.preparation = Preparation((NUMBER,), PRICE)
    mlp.save(tmp_path / "other.npz", net)
    with refused(ValueError, "other.npz: not a model: preparation: is for 1 inputs and 1 outputs, but it has 3 and 1"):
        mlp.load(tmp_path / "other.npz")
