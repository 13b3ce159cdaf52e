"""Inputs from other libraries, and what is legal but almost surely a mistake. Expected arrays are those of numpy's lists."""

import sys
import warnings

import numpy as np
import pytest

import mlp
from mlp import checks
from mlp.checks import as_array

ROWS = [[1, 0.5], [2, 1.5], [3, 2.5]]


def pandas_frame(rows):
    return pytest.importorskip("pandas").DataFrame(rows, columns=["a", "b"])


def nullable_frame(rows):
    return pandas_frame(rows).convert_dtypes()


def polars_frame(rows):
    return pytest.importorskip("polars").DataFrame(rows, schema=["a", "b"], orient="row", strict=False)


def arrow_table(rows):
    return pytest.importorskip("pyarrow").table({"a": [row[0] for row in rows], "b": [row[1] for row in rows]})


def torch_tensor(rows):
    return pytest.importorskip("torch").tensor(rows)


FRAMES = [pandas_frame, nullable_frame, polars_frame, arrow_table]


@pytest.mark.parametrize("make", [*FRAMES, torch_tensor])
def test_a_frame_is_taken_as_its_rows_are(make):
    array = as_array("X", make(ROWS), "an array (examples, 2)")
    assert array.tolist() == ROWS
    assert array.flags.c_contiguous  # rows are gathered from it again and again


@pytest.mark.parametrize("make", FRAMES)
def test_networks_and_objectives_take_frames(make):
    net = mlp.MLP([2, 3, 2], seed=0)
    frame, X, y = make(ROWS), np.array(ROWS), np.array([0, 1, 1])
    assert net.predict(frame).tolist() == net.predict(X).tolist()
    np.testing.assert_array_equal(net.forward(frame), net.forward(X))
    assert mlp.Objective(net, frame, y)(net.theta)[0] == mlp.Objective(net, X, y)(net.theta)[0]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_labels_may_be_a_series(library):
    series = pytest.importorskip(library).Series([0, 1, 1])
    net = mlp.MLP([2, 3, 2], seed=0)
    assert mlp.Objective(net, ROWS, series)(net.theta)[0] == mlp.Objective(net, ROWS, [0, 1, 1])(net.theta)[0]


def test_8_bit_columns_stay_pixels():
    pandas = pytest.importorskip("pandas")
    assert as_array("X", pandas.DataFrame(np.full((2, 2), 255, np.uint8)), "").dtype == np.uint8


def test_a_frame_that_numpy_does_not_know_goes_through_narwhals(monkeypatch):
    class Frame:
        pass

    class Narwhals:
        @staticmethod
        def from_native(value, allow_series):
            assert isinstance(value, Frame)
            assert allow_series
            return np.ma  # anything with to_numpy

    monkeypatch.setattr(np.ma, "to_numpy", lambda: np.array(ROWS), raising=False)
    monkeypatch.setitem(sys.modules, "narwhals", Narwhals)
    assert as_array("X", Frame(), "").tolist() == ROWS
    monkeypatch.setitem(sys.modules, "narwhals", None)  # as if it were not installed
    with pytest.raises(TypeError, match="X: received dtype object"):
        as_array("X", Frame(), "an array")


@pytest.mark.parametrize("make", [pandas_frame, polars_frame])
def test_a_column_of_text_is_named(make, refused):
    with refused(TypeError, "X: received 'x' (str) in the column 'b', row 0", "but all must be numbers"):
        as_array("X", make([[1, "x"], [2, "y"]]), "an array (examples, 2)")


def test_a_missing_value_is_named(refused):
    pandas = pytest.importorskip("pandas")
    with refused(TypeError, "X: received <NA> (NAType) in the column 'a', row 1"):
        as_array("X", pandas.DataFrame({"a": pandas.array([1, None], "Int64"), "b": pandas.array([1, 2], "Int32")}), "")
    with refused(ValueError, "X: received nan at example 1, feature 0"):
        mlp.MLP([1, 1], output="identity", seed=0).forward(pandas.DataFrame({"a": [1.0, None]}))


def test_a_lazy_frame_is_to_be_computed_first(refused):
    with refused(TypeError, "X: received a LazyFrame, which isn't computed yet: give X.collect()"):
        as_array("X", polars_frame(ROWS).lazy(), "")


def test_a_tensor_that_is_being_differentiated_is_refused(refused):
    torch = pytest.importorskip("torch")
    with refused(ValueError, "X: received tensor(", "detach()"):
        as_array("X", torch.ones((2, 2), requires_grad=True), "an array (examples, 2)")


# What is legal but almost surely a mistake


@pytest.fixture
def fresh(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(checks, "_warned", set())


PIXELS = np.tile(np.arange(256), (3, 1))


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint64])
def test_pixels_as_wide_integers_get_one_warning(dtype):
    net = mlp.MLP([256, 2], seed=0)
    with pytest.warns(UserWarning, match=r"X: u?int\d\d up to 255 looks like pixels, .* give X.astype\(np.uint8\)") as caught:
        net.forward(PIXELS.astype(dtype))
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mlp.Objective(net, PIXELS.astype(dtype), [0, 1, 1])


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("make", [lambda: np.full((500, 2), 2000.0), lambda: np.full((3, 2), -5_000_000)])
def test_large_inputs_get_one_warning(make):
    net = mlp.MLP([2, 2], seed=0)
    with pytest.warns(UserWarning, match=r"X: its values are [\d,]+ in the mean, but initial weights expect about 1"):
        mlp.Objective(net, make(), np.zeros(len(make()), int))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.predict(make())


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    "X",
    [
        PIXELS.astype(np.uint8),
        PIXELS / 255,
        PIXELS % 17,  # 8 × 8 digits are 0 … 16
        PIXELS * 2,
        PIXELS - 1,
        PIXELS.astype(float),
        np.full((3, 256), 900.0),
        PIXELS[:1],  # a single row is answered without a look
    ],
)
def test_everything_else_gets_none(X):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mlp.MLP([256, 2], seed=0).forward(X)


def test_labels_as_whole_floats_are_told_what_to_do(refused):
    net = mlp.MLP([2, 2], seed=0)
    with refused(TypeError, "y: received dtype float64, but class labels must be integers from 0 to 1: give y.astype(int)"):
        mlp.Objective(net, ROWS, [0.0, 1.0, 1.0])
    with pytest.raises(TypeError, match=r"integers from 0 to 1$"):
        mlp.Objective(net, ROWS, [0.5, 1.0, 1.0])


@pytest.mark.parametrize(("theirs", "ours"), [("sigmoid", "logistic"), ("Sigmoid", "logistic"), ("linear", "identity")])
def test_other_names_of_activations_are_told_ours(theirs, ours, refused):
    with refused(ValueError, f"hidden: received '{theirs}' (str), but it must be one of ", f"; did you mean '{ours}'?"):
        mlp.MLP([2, 2, 2], hidden=theirs)
