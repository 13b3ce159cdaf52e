"""Checks of arguments: what passes, and what the messages say."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

from mlp.checks import (
    as_array,
    check_callable,
    check_dtype,
    check_generator,
    check_integer,
    check_name,
    check_number,
    check_parameters,
    converted,
    is_sequence,
    parse_call,
    parse_number,
    shown,
)


def test_shown_has_the_value_and_its_type():
    assert shown(3) == "3 (int)"
    assert shown("tanh") == "'tanh' (str)"
    assert shown(None) == "None (NoneType)"


def test_shown_cuts_what_is_long():
    assert shown("a" * 58) == "'" + "a" * 58 + "' (str)"  # 60 characters with the quotes
    assert shown("a" * 59) == "'" + "a" * 56 + "... (str)"
    assert len(shown(list(range(10_000)))) < 80


def test_shown_takes_an_integer_that_python_does_not_print():
    assert "int" in shown(10**5000)  # sys.set_int_max_str_digits: str() refuses above 4,300 digits


@pytest.mark.parametrize(
    "value", [0.5, 1, 0, -3.25, np.float32(0.5), np.float64(2), np.int64(7), np.uint8(200), Fraction(1, 4)]
)
def test_numbers_pass_as_floats(value):
    number = check_number("rate", value)
    assert type(number) is float
    assert number == value


@pytest.mark.parametrize("value", [True, np.True_, "0.5", None, 1j, [0.5], np.array([0.5, 1.0]), Decimal("0.5")])
def test_what_is_no_number_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"^rate: received .* but it must be a finite number above 0$") as caught:
        check_number("rate", value, above=0)
    assert type(value).__name__ in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_numbers_must_be_finite(value):
    with pytest.raises(ValueError, match=r"^rate: received .*(nan|inf).*, but it must be a finite number$"):
        check_number("rate", value)


@pytest.mark.parametrize("value", [10**400, -(10**400), Fraction(10**400)], ids=["10^400", "-10^400", "a fraction"])
def test_a_number_beyond_floats_is_a_value_error(value):
    with pytest.raises(ValueError, match=r"^rate: received .*, but it must be a finite number above 0$"):
        check_number("rate", value, above=0)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "allowed"),
    [
        ({"above": 0}, [1e-300, 5], [0, -1e-300, -2], "above 0"),
        ({"at_least": 0}, [0, 3], [-1e-300], "at least 0"),
        ({"below": 1}, [0.999999, -7], [1, 1.5], "below 1"),
        ({"at_most": 1}, [1, -7], [1.000001], "at most 1"),
        ({"at_least": 0, "below": 1}, [0, 0.9], [-0.1, 1], "at least 0 and below 1"),
        ({"above": 0, "at_most": 0.5}, [0.25, 0.5], [0, 0.75], "above 0 and at most 0.5"),
    ],
)
def test_bounds_of_numbers(bounds, inside, outside, allowed):
    for value in inside:
        assert check_number("momentum", value, **bounds) == value
    for value in outside:
        message = f"momentum: received {shown(value)}, but it must be a finite number {allowed}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            check_number("momentum", value, **bounds)


@pytest.mark.parametrize("value", [1, 10, np.int32(4), np.uint8(10), np.int64(1)])
def test_integers_pass_as_int(value):
    number = check_integer("epochs", value, at_least=1, at_most=10)
    assert type(number) is int
    assert number == value


@pytest.mark.parametrize("value", [True, np.False_, 2.0, np.float64(2), "2", None, [2], np.array([1, 2])])
def test_what_is_no_integer_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"^epochs: received .* but it must be an integer of at least 1$") as caught:
        check_integer("epochs", value, at_least=1)
    assert type(value).__name__ in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, 10_001, np.int64(-5)])
def test_bounds_of_integers(value):
    message = f"epochs: received {shown(value)}, but it must be an integer of at least 1 and at most 10,000"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_integer("epochs", value, at_least=1, at_most=10_000)


def test_an_enormous_integer_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^epochs: received .* at most 10$"):
        check_integer("epochs", 10**5000, at_least=1, at_most=10)


def test_known_names_pass():
    assert check_name("init", "he_normal", ["glorot_uniform", "he_normal"]) == "he_normal"
    assert check_name("init", "he_normal", {"he_normal": 1}) == "he_normal"


@pytest.mark.parametrize(("typed", "meant"), [("glorot", "glorot_uniform"), ("he_norml", "he_normal")])
def test_an_unknown_name_brings_the_closest(typed, meant):
    message = f"init: received '{typed}' (str), but it must be one of glorot_uniform, he_normal; did you mean {meant!r}?"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_name("init", typed, ["glorot_uniform", "he_normal"])


@pytest.mark.parametrize("value", ["xyz", "", 5, None, ["he_normal"]])
def test_a_name_like_no_other_brings_no_suggestion(value):
    message = f"init: received {shown(value)}, but it must be one of glorot_uniform, lecture"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_name("init", value, ["glorot_uniform", "lecture"])


@pytest.mark.parametrize("value", [10**5000, np.array(["glorot_uniform", "lecture"])], ids=["number", "array"])
def test_a_name_that_is_no_text_is_refused(value):
    with pytest.raises(ValueError, match=r"^init: received .*, but it must be one of glorot_uniform, lecture$"):
        check_name("init", value, ["glorot_uniform", "lecture"])


@pytest.mark.parametrize("value", [[1, 2], (1,), range(3), np.zeros(2)])
def test_sequences(value):
    assert is_sequence(value)


@pytest.mark.parametrize("value", ["12", {1, 2}, {1: 2}, iter([1]), 3, None, np.zeros((2, 2)), np.array(3)])
def test_what_is_no_sequence(value):
    assert not is_sequence(value)


KNOWN = {"constant": (), "step": ("factor", "every")}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("constant", ("constant", {})),
        ("step:0.1:10", ("step", {"factor": "0.1", "every": "10"})),
        ("step:every=10:factor=0.1", ("step", {"every": "10", "factor": "0.1"})),
        ("step:0.1:every=10", ("step", {"factor": "0.1", "every": "10"})),
        ("step", ("step", {})),
    ],
)
def test_a_name_and_its_parameters(text, found):
    assert parse_call("schedule", text, KNOWN) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stp:0.1", "schedule: received 'stp' (str), but it must be one of constant, step; did you mean 'step'?"),
        ("constant:1", "schedule: received 'constant:1' (str), but constant takes no parameters"),
        ("step:1:2:3", "schedule: received 'step:1:2:3' (str), but step takes factor, every"),
        ("step:ever=2", "schedule step: received 'ever' (str), but it must be one of factor, every; did you mean 'every'?"),
        ("step:1:factor=2", "schedule: received 'factor' twice in 'step:1:factor=2' (str), but once is enough"),
    ],
)
def test_a_name_and_parameters_that_make_no_sense(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_call("schedule", text, KNOWN)


def test_a_number_that_a_text_spells():
    assert parse_number("rate", "5e-1") == 0.5
    with pytest.raises(ValueError, match=r"^rate: received 'x' \(str\), but it must be a number$"):
        parse_number("rate", "x")


# Arrays


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float16, np.longdouble, ">f4"])
def test_arrays_of_real_numbers_pass_as_they_are(kind):
    given = np.zeros((2, 3), kind)
    assert as_array("X", given, "an array") is given
    assert as_array("X", given.tolist(), "an array").shape == (2, 3)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            np.ma.masked_less(np.zeros(2), 1),
            TypeError,
            "received a masked array of shape (2,), but masks are not heeded: leave out the masked rows, or "
            "fill them in, as X.filled(0) does",
        ),
        (np.zeros(2, complex), TypeError, "received dtype complex128, but it must be Q: real numbers"),
        (["a"], TypeError, "received dtype <U1, but it must be Q: real numbers"),
        (None, TypeError, "received dtype object, but it must be Q: real numbers"),
        ([10**400], TypeError, "received dtype object, but it must be Q: real numbers"),
        (np.zeros(2, "M8[s]"), TypeError, "received dtype datetime64[s], but it must be Q: real numbers"),
        ([[1], [1, 2]], ValueError, "received [[1], [1, 2]] (list), but it must be Q"),
    ],
    ids=str,
)
def test_what_is_no_array_of_real_numbers(value, error, message):
    with pytest.raises(error, match=f"^{re.escape(f'X: {message}')}$"):
        as_array("X", value, "Q")


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.coo_matrix])
def test_sparse_arrays_are_told_to_become_dense(kind):
    with pytest.raises(
        TypeError, match=r"^X: received a sparse array \(\w+\) of shape \(2, 2\), but it must be dense: give X\.toarray\(\)"
    ):
        as_array("X", kind(np.eye(2)), "Q")


def test_parameters_are_a_vector_of_the_right_size():
    assert check_parameters("theta", [1, 2, 3]).shape == check_parameters("theta", np.zeros(3), 3).shape == (3,)
    for value, size, message in [
        (np.zeros((3, 1)), None, "theta: received shape (3, 1), but it must be a vector (P,)"),
        (0.0, None, "theta: received shape (), but it must be a vector (P,)"),
        ([], None, "theta: received shape (0,), but it must be a vector (P,)"),
        (np.zeros(4), 3, "theta: received shape (4,), but it must be a vector: the network has 3 parameters: (3,)"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message.replace("vector:", "vector"))):
            check_parameters("theta", value, size)


def test_parameters_in_another_dtype():
    vector = np.array([1, np.nan, -np.inf], np.float32)
    assert converted("theta", vector, "float32") is vector
    np.testing.assert_array_equal(converted("theta", vector, "float64"), vector)  # what wasn't finite may stay so
    with pytest.raises(ValueError, match=r"^theta: received -1e\+300, but every parameter must be finite in float32$"):
        converted("theta", [0, -1e300], "float32")


@pytest.mark.parametrize(
    ("given", "name"),
    [("float32", "float32"), (np.float64, "float64"), (np.dtype("f4"), "float32"), (float, "float64"), (">f4", "float32")],
)
def test_dtypes_in_numpys_spellings(given, name):
    assert check_dtype("dtype", given) == np.dtype(name)
    assert check_dtype("dtype", given).isnative


@pytest.mark.parametrize("given", ["float16", "double precision", None, int, 5, {}, [("a", "f4"), ("a", "f4")], "(3"], ids=repr)
def test_other_dtypes_are_refused(given):
    with pytest.raises(ValueError, match=re.escape(f"dtype: received {shown(given)}, but it must be one of float32, float64")):
        check_dtype("dtype", given)


def test_functions():
    check_callable("distort", None)
    check_callable("distort", len)
    with pytest.raises(TypeError, match=r"^distort: received 'elastic' \(str\), but it must be callable$"):
        check_callable("distort", "elastic")


def test_generators():
    rng = np.random.default_rng(3)
    assert check_generator("seed", rng) is rng
    assert check_generator("seed", np.int64(3)).integers(1 << 60) == np.random.default_rng(3).integers(1 << 60)
    assert check_generator("seed", None).integers(1 << 60) != check_generator("seed", None).integers(1 << 60)
    for wrong, error in [("0", TypeError), (-1, ValueError), (np.random.RandomState(0), TypeError)]:
        with pytest.raises(error, match=r"^seed: received .*, but it must be an integer of at least 0$"):
            check_generator("seed", wrong)
