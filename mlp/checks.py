"""Checks of arguments, in one voice: every message names the argument, what was received and what is allowed."""

from __future__ import annotations

import difflib
import math
import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mlp.blas import Array


def shown(value: Any) -> str:
    """A value as a message shows it: short, with its type."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a number of very many digits"
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def is_sequence(value: Any) -> bool:
    """Whether it is a list, tuple or vector of things, and no text."""
    return value.ndim == 1 if isinstance(value, np.ndarray) else isinstance(value, Sequence) and not isinstance(value, str)


def counted(number: int, unit: str) -> str:
    """A number with its unit: "1 epoch", "1,024 epochs"."""
    return f"{number:,} {unit}" + ("s" if number != 1 else "")


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


def check_name(name: str, value: Any, known: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """The value, if it is one of the known names; otherwise the error suggests the closest, or what a synonym stands for."""
    names = list(known)
    if isinstance(value, str) and value in names:
        return str(value)
    close: list[str] = []
    if isinstance(value, str):
        here = (synonyms or {}).get(value.lower())
        close = [here] if here in names else difflib.get_close_matches(value, names, n=1, cutoff=0.5)
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


def parse_call(
    name: str,
    text: str,
    known: Mapping[str, Sequence[str]],
    synonyms: Mapping[str, str] | None = None,
    values: Mapping[str, Sequence[str]] | None = None,
) -> tuple[str, dict[str, str]]:
    """A text such as "step:0.1:10" or "elastic:sigma=4" as what it names and its parameters by name, still as texts.

    `known` has the parameters' names for each thing that may be named; they are given in that order, or by name. `values` has
    them for what may be a parameter's value and has parameters itself, which stay with it: "conv:20:5:elu:0.5:stride=2".
    """
    called, *given = _split_call(text, values or {})
    parameters = known[check_name(name, called, known, synonyms)]
    found: dict[str, str] = {}
    for position, part in enumerate(given):
        parameter, equals, value = part.rpartition("=")
        if equals:
            check_name(f"{name} {called}", parameter, parameters)
        elif position >= len(parameters):
            takes = f"takes {', '.join(parameters)}" if parameters else "takes no parameters"
            raise ValueError(f"{name}: received {shown(text)}, but {called} {takes}")
        else:
            parameter = parameters[position]
        if parameter in found:
            raise ValueError(f"{name}: received {parameter!r} twice in {shown(text)}, but once is enough")
        found[parameter] = value
    return called, found


def _split_call(text: str, values: Mapping[str, Sequence[str]]) -> list[str]:
    """The parts of a call, in which the parameters of a value are not parts of their own."""
    parts: list[str] = []
    for part in text.split(":"):
        value, *own = parts[-1].rpartition("=")[2].split(":") if parts else [""]
        if "=" not in part and len(own) < len(values.get(value, ())):
            parts[-1] += f":{part}"
        else:
            parts.append(part)
    return parts


def make_call(name: str, text: Any, known: Mapping[str, Any], synonyms: Mapping[str, str] | None = None) -> Any:
    """What a text names among the things known; with parameters, "elu:0.5", one that its class makes of these numbers.

    Which parameters there are says the class's attribute `parameters`. Raises ValueError.
    """
    if not isinstance(text, str):
        check_name(name, text, known, synonyms)
    called, texts = parse_call(name, text, {one: type(thing).parameters for one, thing in known.items()}, synonyms)
    if not texts:
        return known[called]
    numbers = {of: parse_number(f"{name} {called} {of}", word) for of, word in texts.items()}
    try:
        return type(known[called])(**numbers)
    except ValueError as error:
        raise ValueError(f"{name} {called} {error}") from None


def parse_number(name: str, text: str) -> float:
    """The number that a text spells."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: received {shown(text)}, but it must be a number") from None


# Warnings

_warned: set[str] = set()


def warn_once(kind: str, message: str) -> None:
    """Warn, on the line outside this package that led here, unless there was a warning of that kind in this process."""
    if kind in _warned:
        return
    _warned.add(kind)
    package, frame, level = __name__.partition(".")[0], sys._getframe(), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


# Arrays


def check_plain_array(name: str, value: Any) -> None:
    """Refuse a masked array, whose masked numbers would be used like the others, and a sparse one, as it is none to numpy."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: received a masked array of shape {value.shape}, but masks are not heeded: leave out the masked rows, or "
            f"fill them in, as {name}.filled(0) does"
        )
    if is_sparse(value):
        raise TypeError(
            f"{name}: received a sparse array ({type(value).__name__}) of shape {value.shape}, but it must be dense: give "
            f"{name}.toarray(), all at once or a few thousand rows at a time"
        )


def is_sparse(value: Any) -> bool:
    """Whether it is one of scipy's sparse arrays or matrices."""
    return type(value).__module__.startswith("scipy.sparse")


def check_real(name: str, dtype: Any, allowed: str) -> None:
    """Raise TypeError unless it is a dtype of real numbers."""
    if dtype.kind not in "buif":
        raise TypeError(f"{name}: received dtype {dtype}, but it must be {allowed}: real numbers")


def as_array(name: str, value: Any, allowed: str) -> Array:
    """The value as an array of real numbers: of a frame (pandas, Polars, pyarrow, what narwhals knows), its columns side by
    side. Memory-mapped arrays stay mapped."""
    check_plain_array(name, value)
    if isinstance(value, np.ndarray):
        array: Array = np.asarray(value)
    else:
        try:
            array = _from_outside(name, value)
        except ValueError as error:  # rows of different lengths
            raise ValueError(f"{name}: received {shown(value)}, but it must be {allowed}") from error
        except (RuntimeError, OverflowError) as error:  # such as a tensor that is being differentiated
            raise ValueError(f"{name}: received {shown(value)}, but it must be {allowed} ({error})") from error
    check_real(name, array.dtype, allowed)
    return array


def _from_outside(name: str, value: Any) -> Array:
    """What is no numpy array as one, in row-major order: columns of a frame lie apart, and rows would be gathered slowly."""
    array: Array = np.asarray(value)
    if array.ndim == 0 and array.dtype.kind == "O":
        if hasattr(value, "collect"):
            raise TypeError(f"{name}: received a {type(value).__name__}, which isn't computed yet: give {name}.collect()")
        array = _through_narwhals(value)
    if array.dtype.kind == "O" and array.ndim == 2:
        _check_columns(name, array, getattr(value, "columns", None))
        array = array.astype(np.float64)
    return np.ascontiguousarray(array) if array.ndim == 2 else array


def _through_narwhals(value: Any) -> Array:
    """A frame of any library that narwhals knows, if that is installed; of anything else, what numpy makes of it."""
    try:
        import narwhals

        return np.asarray(narwhals.from_native(value, allow_series=True).to_numpy())
    except (ImportError, TypeError):
        return np.asarray(value)


def _check_columns(name: str, array: Array, names: Any) -> None:
    """Refuse a frame's objects (n, columns) unless all are numbers; the error names column and row."""
    labels = list(range(array.shape[1])) if names is None else list(names)
    for label, column in zip(labels, array.T, strict=False):
        for row, one in enumerate(column):
            if not isinstance(one, Real):
                called = "" if names is None else f" in the column {label!r}"
                raise TypeError(
                    f"{name}: received {shown(one)}{called}, row {row:,}, but all must be numbers: leave out such columns or "
                    "rows"
                )


def check_parameters(name: str, value: Any, size: int | None = None) -> Array:
    """The value as a vector of parameters, (P,) real numbers of any dtype; `size` is P where it is known."""
    shape = f"({'P' if size is None else size},)"
    vector = as_array(name, value, f"a vector {shape}")
    if vector.ndim != 1 or vector.size != (vector.size if size is None else size) or vector.size == 0:
        has = "" if size is None else f" the network has {size:,} parameters:"
        raise ValueError(f"{name}: received shape {vector.shape}, but it must be a vector{has} {shape}")
    return vector


def converted(name: str, vector: Any, dtype: Any) -> Array:
    """Parameters in that dtype, in which what is finite must stay so; the array itself where it is of that dtype already."""
    given = np.asarray(vector)
    with np.errstate(over="ignore"):
        own: Array = given.astype(dtype, copy=False)
    beyond = np.isinf(own) & np.isfinite(given)
    if beyond.any():
        raise ValueError(f"{name}: received {given[beyond][0]:g}, but every parameter must be finite in {np.dtype(dtype)}")
    return own


#: What parameters and arithmetic may be in.
DTYPES = ("float32", "float64")


def check_dtype(name: str, dtype: Any) -> np.dtype[Any]:
    """float32 or float64, in any of numpy's spellings."""
    try:
        spelt = None if dtype is None else np.dtype(dtype).name  # None is float64 to numpy
    except (TypeError, ValueError):
        spelt = None
    return np.dtype(spelt if spelt in DTYPES else check_name(name, dtype, DTYPES))


def check_flag(name: str, value: Any) -> bool:
    """The value as a bool, if it is one, or numpy's."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: received {shown(value)}, but it must be True or False")
    return bool(value)


def check_callable(name: str, function: Any) -> None:
    """Raise TypeError unless it is None or can be called."""
    if function is not None and not callable(function):
        raise TypeError(f"{name}: received {shown(function)}, but it must be callable")


def check_generator(name: str, seed: Any) -> np.random.Generator:
    """The generator itself, or one from a seed: an integer of at least 0, or None for another each time."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(None if seed is None else check_integer(name, seed, at_least=0))
