"""A column of a table as a network sees it: `Column`, its kind, values and statistics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_name, shown
from mlp.data.tables import Texts, texts_of_numbers

SCALINGS = ("none", "standard", "range")
KINDS = ("numeric", "categorical", "count", "pixels")

#: How many rows are taken at a time, so that float64 in between takes little memory.
ROWS = 4096

_STATISTICS = ("mean", "deviation", "minimum", "maximum")


@dataclass(frozen=True)
class Column:
    """A column of a table, or all the pixels of images, as a network sees it.

    Attributes:
        name: in the table.
        kind: "numeric" (one feature), "categorical" (a feature for each value, 1 where the row has it), "pixels", or, of a
            target alone, "count" (a number of at least 0).
        values: of a categorical column, in the features' order.
        count: how many pixels there are.
        mean, deviation, minimum, maximum: of the numbers in the training part; None before they are known. The deviation is
            the root mean square distance from the mean.
    """

    name: str
    kind: str = "numeric"
    values: tuple[str, ...] = ()
    count: int = 1
    mean: float | None = None
    deviation: float | None = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def width(self) -> int:
        """How many features it becomes."""
        return len(self.values) if self.kind == "categorical" else self.count

    @property
    def known(self) -> bool:
        """Whether what it is scaled by is known."""
        return self.kind == "categorical" or self.mean is not None

    def offset_and_factor(self, scaling: str) -> tuple[float, float]:
        """What is taken from its numbers, and what they are divided by then; a constant column is divided by 1.

        Of counts nothing is taken, since they stay at least 0: they are divided by their mean.
        """
        if scaling == "none" or self.kind == "categorical":
            return 0.0, 1.0
        if self.mean is None or self.deviation is None or self.minimum is None or self.maximum is None:
            raise ValueError(f"column {self.name!r}: its mean and deviation are not known yet")
        if self.kind == "count":
            return 0.0, self.mean if self.mean > 0 else 1.0
        offset, factor = (self.mean, self.deviation) if scaling == "standard" else (self.minimum, self.maximum - self.minimum)
        return offset, factor if self.maximum > self.minimum and factor > 0 else 1.0

    def fit(self, numbers: Array) -> "Column":
        """The same column with the statistics of these numbers (n,) or (n, count)."""
        if self.known:
            return self
        with np.errstate(all="ignore"):
            mean = float(np.mean(numbers, dtype=np.float64))
            pieces = (numbers[start : start + ROWS].astype(np.float64) - mean for start in range(0, len(numbers), ROWS))
            deviation = math.sqrt(sum(float(np.sum(np.square(piece))) for piece in pieces) / numbers.size)
        if not math.isfinite(mean) or not math.isfinite(deviation):
            raise ValueError(f"column {self.name!r}: its numbers are too large for their mean and deviation to be computed")
        least, largest = float(numbers.min()), float(numbers.max())
        return replace(self, mean=min(max(mean, least), largest), deviation=deviation, minimum=least, maximum=largest)

    def codes(self, given: Array | Texts) -> Array:
        """The places (n,) of a categorical column's values in those that it may have."""
        texts = given if isinstance(given, Texts) else texts_of_numbers(self.name, given)
        place_of = {value: place for place, value in enumerate(self.values)}
        places = np.array([place_of.get(value, -1) for value in texts.values], np.intp)
        codes: Array = places[texts.codes] if len(texts.codes) else np.empty(0, np.intp)
        if len(codes) and codes.min() < 0:
            row = int((codes < 0).argmax())
            received = texts.values[texts.codes[row]]
            known = ", ".join(map(repr, self.values[:20])) + (" …" if len(self.values) > 20 else "")
            raise ValueError(f"column {self.name!r}: received {received!r} in row {row + 1:,}, but it must be one of {known}")
        return codes

    def numbers(self, given: Array | Texts) -> Array:
        """A numeric column's numbers (n,)."""
        return given.numbers(self.name) if isinstance(given, Texts) else given

    def describe(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        described: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.kind == "categorical":
            return described | {"values": list(self.values)}
        if self.kind == "pixels":
            described["count"] = self.count
        return described | {name: getattr(self, name) for name in _STATISTICS if getattr(self, name) is not None}

    @classmethod
    def from_description(cls, described: Any) -> "Column":
        """The column that was described; a ValueError says what is wrong with the description."""
        if not isinstance(described, dict) or not isinstance(described.get("name"), str) or not described["name"]:
            raise ValueError(f"received {shown(described)}, but a column has a name and a kind")
        name = f"column {described['name']!r}"
        kind = check_name(f"{name}: kind", described.get("kind", "numeric"), KINDS)
        allowed = {"name", "kind"} | ({"values"} if kind == "categorical" else set(_STATISTICS))
        allowed |= {"count"} if kind == "pixels" else set()
        if not described.keys() <= allowed:
            raise ValueError(
                f"{name}: received {', '.join(sorted(described.keys() - allowed))}, which {kind} columns don't have"
            )
        values = described.get("values", [])
        if (
            not isinstance(values, list)
            or not all(isinstance(value, str) for value in values)
            or len(set(values)) < len(values)
        ):
            raise ValueError(f"{name}: received the values {shown(values)}, but they must be a list of different texts")
        count = described.get("count", 1)
        if type(count) is not int or not 0 < count < 1 << 40:
            raise ValueError(f"{name}: received the count {shown(count)}, but it must be an integer of at least 1")
        return cls(described["name"], kind, tuple(values), count, **_statistics(name, described))


def _statistics(name: str, described: Mapping[str, Any]) -> dict[str, float]:
    """The mean, deviation, minimum and maximum in a description: all of them, or none."""
    given = {key: described[key] for key in _STATISTICS if key in described}
    if not given:
        return {}
    if len(given) < len(_STATISTICS):
        lacking = ", ".join(key for key in _STATISTICS if key not in given)
        raise ValueError(f"{name}: lacks its {lacking}; give all of {', '.join(_STATISTICS)}, or none, to have them computed")
    numbers = {}
    for key, value in given.items():
        if type(value) not in (int, float) or not abs(value) < 1e308:
            raise ValueError(f"{name}: received the {key} {shown(value)}, but it must be a finite number")
        numbers[key] = float(value)
    if numbers["deviation"] < 0 or not numbers["minimum"] <= numbers["mean"] <= numbers["maximum"]:
        received = ", ".join(f"{key} {number:g}" for key, number in numbers.items())
        raise ValueError(f"{name}: received {received}, which can't be those of one column")
    return numbers
