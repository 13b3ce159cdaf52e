"""`MaxPool` and `MeanPool`: layers that make an image smaller. They have no parameters.

Each map of the image is seen through windows, and each window leaves one number, its largest or its mean. The error goes
back to the one place that was the largest (of equals the leftmost, and of these the topmost), or to all places in equal
parts. Both are done in two steps, along the rows of windows and then along their columns: the first goes through whole rows
of images as they lie, and leaves little for the second.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from mlp.activations import Activation
from mlp.blas import Array
from mlp.layers.base import Layer, read_description
from mlp.layers.windows import ImageLayer, Windows, brief, check_pair


class Pool(ImageLayer):
    """What both kinds of pooling share: windows of a `size`, a number or a pair, in steps of `stride`, the size itself
    unless told otherwise."""

    def __init__(self, size: Any, stride: Any = None):
        self.window = check_pair("size", size, at_least=1)
        self.stride = self.window if stride is None else check_pair("stride", stride, at_least=1)

    def placed(self, shape: tuple[int, ...], hidden: Activation) -> Self:
        """The layer on images of that shape."""
        image = self.image_of(shape)
        return self.over(Windows(image, self.window, self.stride), image[2])

    def rows_seen(self, A: Array) -> list[Array]:
        """For each row within a window, what all windows have there: views (rows, maps, width, n) of A (units, n)."""
        (height, width, maps), down = self.in_shape, self.stride[0]
        image, end = A.reshape(height, maps, width, -1), down * (self.windows.places[0] - 1) + 1
        return [image[i : i + end : down] for i in range(self.window[0])]

    def columns_seen(self, tall: Array) -> list[Array]:
        """For each column within a window, what all windows have there: views (rows, maps, columns, n) of an array that has a
        row for each row of windows, (rows, maps, width, n)."""
        right = self.stride[1]
        end = right * (self.windows.places[1] - 1) + 1
        return [tall[:, :, j : j + end : right] for j in range(self.window[1])]

    def pooled(self, Z: Array) -> Array:
        """Z or Δ (units, n) by window: a view (rows, maps, columns, n)."""
        (rows, columns), maps = self.windows.places, self.maps
        return Z.reshape(rows, maps, columns, -1)

    def tall(self, n: int) -> tuple[int, ...]:
        """The shape between the two steps, when rows have been pooled and columns not yet: (rows, maps, width, n)."""
        return self.windows.places[0], self.maps, self.in_shape[1], n

    def tiles(self, axis: int) -> bool:
        """Whether the windows cover the image along that axis, each place once."""
        return self.stride[axis] == self.window[axis] and self.windows.places[axis] * self.window[axis] == self.in_shape[axis]

    def describe(self) -> dict[str, Any]:
        return {"in_shape": list(self.in_shape), "size": list(self.window), "stride": list(self.stride)}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], known: Mapping[str, Activation]) -> Self:  # noqa: ARG003
        of = read_description(cls, description, in_shape=list, size=list, stride=list)
        return cls(of["size"], of["stride"]).placed(tuple(of["in_shape"]), cls.activation)

    def arguments(self) -> dict[str, Any]:
        return {"size": brief(self.window)} | ({} if self.stride == self.window else {"stride": brief(self.stride)})


class MaxPool(Pool):
    """The largest of each window.

    Args:
        size: the window's rows and columns, a number or a pair.
        stride: by how many it moves, a number or a pair; None: the size, so that windows don't overlap.
    """

    kind: ClassVar[str] = "maxpool"

    def scratch(self, n: int, dtype: Any) -> "Largest":
        tall, pooled = self.tall(n), self.pooled(np.empty((self.units, n), dtype))
        return Largest(
            Race(self.window[0], tall, dtype, self.tiles(0)), Race(self.window[1], pooled.shape, dtype, self.tiles(1)),
            np.empty(tall, dtype),
        )  # fmt: skip

    @property
    def scratch_numbers(self) -> int:
        return 4 * math.prod(self.tall(1)) + 3 * self.units

    def forward(self, A: Array, out: Array, scratch: "Largest") -> None:
        """out ← the largest of each window."""
        scratch.of_rows.run(self.rows_seen(A), scratch.tall)
        scratch.of_columns.run(self.columns_seen(scratch.tall), self.pooled(out))

    def propagate(self, Delta: Array, out: Array, scratch: "Largest") -> None:
        """out ← Δ where the largest stood, and 0 elsewhere; where windows overlap, the sum."""
        scratch.of_columns.send_back(self.pooled(Delta), scratch.tall, self.columns_seen(scratch.tall))
        scratch.of_rows.send_back(scratch.tall, out, self.rows_seen(out))

    def linearised(self) -> Layer:
        return MaxPoolAlong(self)


class Race:
    """Which of several is the largest, element by element: they are gone through, and a later one wins where it is larger.

    Attributes:
        wins: for each but the first, where it was larger than all before it, (several − 1, …).
        left, share: room for what is left of Δ, and for one's share of it, (…).
        tiles: whether the several are all that there is, with nothing in common.
    """

    def __init__(self, several: int, shape: tuple[int, ...], dtype: Any, tiles: bool):
        self.wins = np.empty((several - 1, *shape), bool)
        self.left, self.share = np.empty((2, *shape), dtype)
        self.tiles = tiles

    def run(self, several: Sequence[Array], out: Array) -> None:
        """out ← the largest."""
        largest, *others = several
        if not others:
            out[...] = largest
        for one, wins in zip(others, self.wins, strict=True):
            np.greater(one, largest, out=wins)
            largest = np.maximum(one, largest, out=out)

    def send_back(self, Delta: Array, out: Array, several: Sequence[Array]) -> None:
        """To those places of `out` that the several are views of, Δ where it was the largest; else 0."""
        if not self.tiles:
            out[...] = 0
        first, *others = several
        left = Delta  # what no later one has taken: the last one that won takes all
        for error, wins in zip(others[::-1], self.wins[::-1], strict=True):
            share = np.multiply(left, wins, out=error if self.tiles else self.share)
            if not self.tiles:
                error += share
            left = np.subtract(left, share, out=self.left)
        if self.tiles:
            first[...] = left
        else:
            first += left

    def follow(self, several: Sequence[Array], out: Array) -> None:
        """out ← of several others, the one that stands where the largest stood."""
        first, *others = several
        out[...] = first
        for one, wins in zip(others, self.wins, strict=True):
            np.copyto(out, one, where=wins)


@dataclass
class Largest:
    """What max pooling remembers of a pass: of the rows of each window the largest number in each column, and of these the
    largest; and room for what is between, (rows, maps, width, n)."""

    of_rows: Race
    of_columns: Race
    tall: Array


class MaxPoolAlong(Layer):
    """`MaxPool` as it acts on changes (curvature.py): of each window, the change where the pass has found the largest."""

    def __init__(self, of: MaxPool):
        self.of = of

    def forward(self, A: Array, out: Array, scratch: Largest) -> None:
        scratch.of_rows.follow(self.of.rows_seen(A), scratch.tall)
        scratch.of_columns.follow(self.of.columns_seen(scratch.tall), self.of.pooled(out))

    def propagate(self, Delta: Array, out: Array, scratch: Largest) -> None:
        self.of.propagate(Delta, out, scratch)


class MeanPool(Pool):
    """The mean of each window. Arguments as of `MaxPool`."""

    kind: ClassVar[str] = "meanpool"

    def scratch(self, n: int, dtype: Any) -> Array:
        return np.empty(self.tall(n), dtype)

    @property
    def scratch_numbers(self) -> int:
        return math.prod(self.tall(1))

    def forward(self, A: Array, out: Array, scratch: Array) -> None:
        Z = self.pooled(out)
        for several, total in ((self.rows_seen(A), scratch), (self.columns_seen(scratch), Z)):
            total[...] = several[0]
            for one in several[1:]:
                total += one
        Z *= 1 / math.prod(self.window)

    def propagate(self, Delta: Array, out: Array, scratch: Array) -> None:
        """out ← each window's Δ in equal parts; where windows overlap, the sum."""
        share = self.pooled(Delta) * Delta.dtype.type(1 / math.prod(self.window))
        self._spread(share, scratch, self.columns_seen(scratch), self.tiles(1))
        self._spread(scratch, out, self.rows_seen(out), self.tiles(0))

    @staticmethod
    def _spread(share: Array, out: Array, several: Sequence[Array], tiles: bool) -> None:
        """Add the share to each of several views of `out`, which hold nothing yet."""
        if not tiles:
            out[...] = 0
        for error in several:
            if tiles:
                error[...] = share
            else:
                error += share

    def linearised(self) -> Self:
        """The layer itself: it is linear."""
        return self
