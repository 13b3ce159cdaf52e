"""Checks of arguments, in one voice: every message names the argument, what was received and what is allowed."""

import difflib
import math
import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from mlp.blas import Array


def shown(value: Any) -> str:
    """A value as a message shows it: short, with its type."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a number of very many digits"
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """The value as a float, if it is a finite real number within the bounds."""
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("above", above), ("at least", at_least), ("below", below), ("at most", at_most))
        if bound is not None
    ]
    allowed = "a finite number" + (" " + " and ".join(bounds) if bounds else "")
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: received {shown(value)}, but it must be {allowed}")
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction beyond the floats
        number = math.inf
    if (
        not math.isfinite(number)
        or (above is not None and not number > above)
        or (at_least is not None and not number >= at_least)
        or (below is not None and not number < below)
        or (at_most is not None and not number <= at_most)
    ):
        raise ValueError(f"{name}: received {shown(value)}, but it must be {allowed}")
    return number


def check_integer(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """The value as an int, if it is an integer within the bounds."""
    allowed = f"an integer of at least {at_least:,}" + (f" and at most {at_most:,}" if at_most is not None else "")
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: received {shown(value)}, but it must be {allowed}")
    if int(value) < at_least or (at_most is not None and int(value) > at_most):
        raise ValueError(f"{name}: received {shown(value)}, but it must be {allowed}")
    return int(value)


def check_name(name: str, value: Any, known: Iterable[str]) -> str:
    """The value, if it is one of the known names; otherwise the error suggests the closest."""
    names = list(known)
    if value in names:
        return str(value)
    close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{name}: received {shown(value)}, but it must be one of {', '.join(names)}{hint}")


def check_path(name: str, value: Any) -> Path:
    """The value as a path, if it is one: a text or an `os.PathLike`, not empty and without NUL."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(f"{name}: received {shown(value)}, but it must be a path: a str or a pathlib.Path")
    if not text or "\0" in text:
        raise ValueError(f"{name}: received {shown(value)}, but it must be the path of a file or a directory")
    return Path(text)


def converted(name: str, vector: Any, dtype: Any) -> Array:
    """Parameters in that dtype, in which what is finite must stay so; the array itself where it is of that dtype already."""
    given = np.asarray(vector)
    with np.errstate(over="ignore"):
        own: Array = given.astype(dtype, copy=False)
    beyond = np.isinf(own) & np.isfinite(given)
    if beyond.any():
        raise ValueError(f"{name}: received {given[beyond][0]:g}, but every parameter must be finite in {np.dtype(dtype)}")
    return own
