"""Checks of arguments: what passes, and what the messages say."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from mlp.checks import check_integer, check_name, check_number, shown


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
