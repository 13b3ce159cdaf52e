"""Tables in memory: `Table`, named columns of numbers or of texts (`Texts`), from files (delimited.py) or from frames."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import shown

#: What stands for a missing value, in small letters: in any column, and in columns of numbers only.
MISSING_TEXTS = frozenset({"", "?", "na", "n/a", "nan", "null", "<na>", "#n/a"})
MISSING_NUMBERS = MISSING_TEXTS | {"none", "-", ".", "nat"}


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of texts: the distinct values, sorted, and for each row the place of its own, codes (n,).

    Values that are all numbers are sorted as such, "9" before "10".
    """

    values: tuple[str, ...]
    codes: Array

    @classmethod
    def of(cls, name: str, distinct: Sequence[str], codes: Array) -> "Texts":
        """A column of that name, from distinct texts in any order. The space around them doesn't count; none may be missing."""
        stripped = [text.strip() for text in distinct]
        used = np.bincount(codes, minlength=len(stripped)) > 0
        missing = [place for place in np.flatnonzero(used) if stripped[place].casefold() in MISSING_TEXTS]
        if missing:
            row = int(np.isin(codes, missing).argmax())
            raise missing_value(name, row, stripped[codes[row]])
        values = sort_texts({text for text, is_used in zip(stripped, used, strict=True) if is_used})
        place_of = {value: place for place, value in enumerate(values)}
        places = np.array([place_of.get(text, -1) for text in stripped], np.int32)
        return cls(tuple(values), places[codes] if len(codes) else np.empty(0, np.int32))

    @classmethod
    def from_texts(cls, name: str, texts: Iterable[str]) -> "Texts":
        """A column of that name with these texts, row by row."""
        found: dict[str, int] = {}
        codes = np.fromiter((found.setdefault(text, len(found)) for text in texts), np.int32)
        return cls.of(name, list(found), codes)

    def __len__(self) -> int:
        return len(self.codes)

    def numbers(self, name: str) -> Array:
        """The texts as float64 (n,); a ValueError names the row of one that is no number."""
        numbers = np.array([number_in(value) for value in self.values], np.float64)
        if np.isnan(numbers).any():
            row = int(np.flatnonzero(np.isnan(numbers[self.codes]))[0])
            raise ValueError(
                f"column {name!r}: received {shown(self.values[self.codes[row]])} in row {row + 1:,}, but it must be a number"
            )
        return numbers[self.codes] if len(self.codes) else np.empty(0)


def missing_value(name: str, row: int, text: str) -> ValueError:
    """The error for a missing value; rows count from 0 here, and from 1 in the message."""
    received = f"received {text!r} in" if text else "there is none in"
    return ValueError(f"column {name!r}: a value is missing: {received} row {row + 1:,}; leave out such rows, or fill them in")


def number_in(text: str) -> float:
    """The finite number that a text is, or NaN."""
    if "_" in text:  # which Python allows in numbers, and files don't
        return np.nan
    try:
        number = float(text)
    except ValueError:
        return np.nan
    return number if np.isfinite(number) else np.nan


def sort_texts(texts: Iterable[str]) -> list[str]:
    """Sorted as numbers where all are numbers, otherwise as texts."""
    plain = sorted(texts)
    numbers = [number_in(text) for text in plain]
    return plain if np.isnan(numbers).any() else [text for _, text in sorted(zip(numbers, plain, strict=True))]


class Table:
    """Named columns of equal length, in memory.

    Args:
        names: of all columns, in their order.
        numbers: (n, columns of numbers), float64, finite, in the order of `names`.
        texts: the other columns, by name.
        name: of the table, as it is printed.
    """

    def __init__(self, names: Sequence[str], numbers: Array, texts: Mapping[str, Texts], name: str = ""):
        self.names = tuple(names)
        self.texts = dict(texts)
        self.number_names = tuple(one for one in self.names if one not in self.texts)
        self.numbers = numbers
        self.name = name

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any], name: str = "") -> "Table":
        """A table of arrays (n,) by name: numbers or texts."""
        texts: dict[str, Texts] = {}
        numbers: list[Array] = []
        sizes = set()
        for key, values in columns.items():
            column = _as_column(key, values)
            sizes.add(len(column))
            if isinstance(column, Texts):
                texts[key] = column
            else:
                numbers.append(column)
        if len(sizes) != 1:
            raise ValueError(f"table: received {shown(sorted(sizes))} as its columns' lengths, but all must be of one length")
        return cls(list(columns), np.column_stack(numbers) if numbers else np.empty((sizes.pop(), 0)), texts, name)

    @classmethod
    def of(cls, given: Any, only: Iterable[str] | None = None) -> "Table":
        """The table itself, or one of a frame (pandas, Polars) or of a mapping of columns; `only` those columns, if given."""
        if isinstance(given, Table):
            return given
        names = [str(name) for name in (given if isinstance(given, Mapping) else given.columns)]
        keys = dict(zip(names, given if isinstance(given, Mapping) else given.columns, strict=True))
        if len(keys) < len(names):
            raise ValueError(f"table: received the columns {', '.join(names)}, but no two may have one name")
        wanted = names if only is None else [name for name in only if name in keys]
        _check_columns(wanted if only is None else only, names)
        return cls.from_columns({name: _to_numpy(given[keys[name]]) for name in wanted})

    def __len__(self) -> int:
        return len(self.numbers)

    def column(self, name: str) -> Array | Texts:
        """A column's numbers (n,), or its texts."""
        _check_columns([name], self.names)
        return self.texts[name] if name in self.texts else self.numbers[:, self.number_names.index(name)]


def is_table(given: Any) -> bool:
    """Whether this is a table, a mapping of columns or a frame: anything with named columns."""
    return isinstance(given, Table | Mapping) or (hasattr(given, "columns") and hasattr(given, "__getitem__"))


def _check_columns(wanted: Iterable[str], present: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in present]
    if missing:
        few = ", ".join(map(repr, present[:20])) + (" …" if len(present) > 20 else "")
        raise ValueError(
            f"table: lacks the column{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing[:20]))}; it has {few}"
        )


def _to_numpy(column: Any) -> Any:
    return column.to_numpy() if hasattr(column, "to_numpy") else column


def _as_column(name: str, values: Any) -> Array | Texts:
    """Values (n,) as float64, or as texts; missing ones and infinite ones are refused."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"column {name!r}: received shape {array.shape}, but it must be (n,)")
    if array.dtype.kind in "buif":
        with np.errstate(all="ignore"):  # what overflows or is no number is refused by its row
            numbers = array.astype(np.float64)
        return check_finite(name, numbers)
    if array.dtype.kind == "U":
        return Texts.from_texts(name, array.tolist())
    if array.dtype.kind not in "OT":
        raise TypeError(f"column {name!r}: received dtype {array.dtype}, but it must be numbers or texts")
    objects = array.tolist()
    for row, value in enumerate(objects):
        if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):  # NaN is not itself
            raise missing_value(name, row, "" if value is None else str(value))
    if all(isinstance(value, bool | int | float | np.number) for value in objects):
        return check_finite(name, np.array(objects, np.float64))
    wrong = next((value for value in objects if not isinstance(value, str | bool | int | float | np.number)), None)
    if wrong is not None:
        raise TypeError(f"column {name!r}: received {shown(wrong)}, but it must be numbers or texts")
    return Texts.from_texts(name, map(str, objects))


def check_finite(name: str, column: Array) -> Array:
    """The numbers, if all are finite; NaN counts as missing."""
    wrong = np.flatnonzero(~np.isfinite(column))
    if len(wrong):
        row = int(wrong[0])
        if np.isnan(column[row]):
            raise missing_value(name, row, "nan")
        raise ValueError(f"column {name!r}: received {column[row]} in row {row + 1:,}, but every number must be finite")
    return column


def texts_of_numbers(name: str, numbers: Array) -> Texts:
    """Numbers (n,) as texts: whole ones as integers are written."""
    distinct, codes = np.unique(numbers, return_inverse=True)
    return Texts.of(name, [str(int(one)) if one == int(one) else repr(float(one)) for one in distinct], codes)
