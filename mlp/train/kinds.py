"""The kinds of values that options have: how one is read from a command line, checked, and written again.

A value is checked in the same way whether it comes from the command line or from a run's config.json.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp import layers
from mlp.checks import check_integer, check_name, check_number, make_call, shown


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        check: (name, value) -> the value if it is allowed, or a ValueError or TypeError that begins with the name.
        parse: a word of a command line -> the value, not checked yet.
        write: a value -> the word that it is parsed from.
    """

    check: Callable[[str, Any], Any]
    parse: Callable[[str], Any] = str
    write: Callable[[Any], str] = str

    def read(self, word: str) -> Any:
        """The value of a word, checked; errors begin with "value"."""
        return self.check("value", self.parse(word))


def _parser_of(number: Callable[[str], Any]) -> Callable[[str], Any]:
    """Parses a number; anything else is left as it is, for the check to refuse."""

    def parse(word: str) -> Any:
        try:
            return number(word)
        except ValueError:
            return word

    return parse


_float, _int = _parser_of(float), _parser_of(int)


def number(**bounds: float) -> Kind:
    """A finite number within bounds, those of `check_number`."""
    return Kind(lambda name, value: check_number(name, value, **bounds), _float)


def integer(at_least: int) -> Kind:
    """An integer of at least that."""
    return Kind(lambda name, value: check_integer(name, value, at_least=at_least), _int)


def one_of(known: Iterable[str], synonyms: Mapping[str, str] | None = None) -> Kind:
    """One of the known names; of a synonym, the error says which of them is meant."""
    names = list(known)
    return Kind(lambda name, value: check_name(name, value, names, synonyms))


def named(known: Mapping[str, Any], synonyms: Mapping[str, str], *others: str) -> Kind:
    """One of the things known by name, with parameters or without, "elu:0.5"; the value is its whole name. Or another word."""

    def check_named(name: str, value: Any) -> str:
        if ":" not in str(value):
            check_name(name, value, [*others, *known], synonyms)
        return str(value if value in others else make_call(name, value, known, synonyms).name)

    return Kind(check_named)


def text(check: Callable[[str], Any] | None = None) -> Kind:
    """A text that the check, whose errors begin with the option's name, makes something of."""

    def check_text(name: str, value: Any) -> str:
        text = _check_text(name, value)
        if check is not None:
            check(text)
        return text

    return Kind(check_text)


def _check_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: received {shown(value)}, but it must be a text")
    return value


def _list(what: str, check: Callable[[str, Any], Any], parse: Callable[[str], Any], write: Callable[[Any], str]) -> Kind:
    def check_list(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError(f"{name}: received {shown(value)}, but it must be a list of {what}")
        return [check(name, part) for part in value]

    return Kind(check_list, parse, write)


def _check_layer(name: str, value: Any) -> int | str:
    """Units, or a layer as a text such as "conv:20:5"."""
    if not isinstance(value, str):
        return check_integer(name, value, at_least=1)
    layers.parse(value, name)
    return value


#: Each hidden layer, its units or a text: [512, 256] for "512,256", ["conv:20:5", "pool:2", 500]; [] for "none".
LAYERS = _list(
    "units and layers",
    _check_layer,
    lambda word: [] if word == "none" else [_int(part.strip()) for part in word.split(",")],
    lambda value: ",".join(map(str, value)) or "none",
)

#: A rate from 0 to below 1 for each layer, [0.2, 0.5] for "0.2,0.5".
RATES = _list(
    "rates",
    lambda name, value: check_number(name, value, at_least=0, below=1),
    lambda word: [_float(part) for part in word.split(",")],
    lambda value: ",".join(map(str, value)),
)

#: Examples a step; None, for all of them, is "full".
BATCH_SIZE = Kind(
    lambda name, value: None if value is None else check_integer(name, value, at_least=1),
    lambda word: None if word == "full" else _int(word),
    lambda value: "full" if value is None else str(value),
)


def _check_share(name: str, value: Any) -> float:
    if isinstance(value, float):
        return check_number(name, value, above=0, below=1)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name}: received {shown(value)}, but it must be an integer of at least 0, or a fraction below 1")
    return value


#: A part of the examples: how many, 1000, or which fraction, 0.2.
SHARE = Kind(_check_share, lambda word: _int(word) if isinstance(_int(word), int) else _float(word))


#: Names of columns, ["a", "b, c"] for 'a,"b, c"'.
NAMES = _list("names", _check_text, lambda word: next(csv.reader([word]), []), lambda value: _joined(value))


def _joined(names: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


PATH = Kind(lambda _name, value: value, Path)


def _check_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: received {shown(value)}, but it must be true or false")
    return value


#: True if the option is there; it takes no word.
FLAG = Kind(_check_flag)
