"""How the images that a network learned from show things: `Framing`, by which a new picture is made into one of them.

MNIST's digits are light on dark and at most 20 pixels of 28 long; those of other data may fill the image, be dark on light, or
be photographs without any background. All of that is measured (`measure`), once, where images are read.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import shown

#: So many images are looked at, from first to last.
_MOST = 200

#: What differs less than this from the background, of the way from the darkest to the lightest pixel, is background.
_FAINT = 0.1


@dataclass(frozen=True)
class Framing:
    """How images show things.

    Attributes:
        part: how long the thing's longer side is, of the image's; None where there is no background to tell it from.
        dark: whether it is dark on light.
        low, high: the darkest and the lightest pixel.
        integers: whether pixels are 8-bit integers.
    """

    part: float | None
    dark: bool
    low: float
    high: float
    integers: bool

    def pixels(self, picture: Array, inverted: bool) -> Array:
        """A picture of uint8, 0 to 255, in the images' range; if it shows things light on dark, `inverted` makes them dark on
        light where the images' are."""
        brightness = picture / 255
        if inverted and self.dark and self.part is not None:
            brightness = 1 - brightness
        numbers: Array = self.low + (self.high - self.low) * brightness
        return np.rint(numbers).astype(np.uint8) if self.integers else numbers

    def describe(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return asdict(self)

    @classmethod
    def from_description(cls, described: Any) -> "Framing":
        """The framing that was described; a ValueError if the description is damaged."""
        allowed = "but it must have part, dark, low, high and integers"
        if not isinstance(described, dict) or described.keys() != {"part", "dark", "low", "high", "integers"}:
            raise ValueError(f"framing: received {shown(described)}, {allowed}")
        part, low, high = described["part"], described["low"], described["high"]
        numbers = [low, high] if part is None else [low, high, part]
        if (
            not all(type(number) in (int, float) and abs(number) < 1e300 for number in numbers)
            or not all(type(described[name]) is bool for name in ("dark", "integers"))
            or not low <= high
            or not 0 < (1 if part is None else part) <= 1
            or (described["integers"] and not 0 <= low <= high <= 255)
        ):
            raise ValueError(f"framing: received {shown(described)}, {allowed}, which fit together")
        return cls(part, described["dark"], low, high, described["integers"])


def measure(images: Array) -> Framing:
    """How images (n, height, width), or with channels behind, show things; uint8, or other numbers that are finite.

    The background is what most pixels at the edges are like. Where fewer than half of them are alike, and in images of several
    colours, there is none.
    """
    some = images[:: math.ceil(len(images) / _MOST)].astype(np.float64)
    low, high = float(some.min()), float(some.max())
    integers = images.dtype == np.uint8
    if integers and high > 127:  # intensities, although none happens to be the darkest or the lightest
        low, high = 0.0, 255.0
    if some.ndim == 4 and some.shape[3] > 1:
        return Framing(None, False, low, high, integers)
    brightness = (some.reshape(some.shape[:3]) - low) / ((high - low) or 1)
    edges = [brightness[:, 0], brightness[:, -1], brightness[:, :, 0], brightness[:, :, -1]]
    at_edges = np.concatenate([edge.ravel() for edge in edges])
    background = float(np.median(at_edges))
    found: Any = np.abs(brightness - background) > _FAINT
    longest = np.maximum(_extents(found.any(axis=2)) / found.shape[1], _extents(found.any(axis=1)) / found.shape[2])
    part = float(np.median(longest))
    if not part or np.count_nonzero(np.abs(at_edges - background) <= _FAINT) < at_edges.size / 2:
        return Framing(None, False, low, high, integers)
    return Framing(part, background > 0.5, low, high, integers)


def _extents(marked: Array) -> Array:
    """From the first to the last True in each row (n, size), both counted; 0 where there is none."""
    first, last = marked.argmax(axis=1), marked.shape[1] - marked[:, ::-1].argmax(axis=1)
    extents: Array = np.where(marked.any(axis=1), last - first, 0)
    return extents
