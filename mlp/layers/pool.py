"""`MaxPool` and `MeanPool`: layers that make an image smaller. They have no parameters.

Each map of the image is seen through windows, and each window leaves one number, its largest or its mean. The error goes
back to the one place that was the largest (the first of equals), or to all places in equal parts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
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

    def places(self, A: Array) -> Iterator[Array]:
        """For each place within a window, what all windows have there: views (rows, columns, maps, n) of A (units, n)."""
        (rows, columns), (down, right) = self.windows.places, self.stride
        image = A.reshape(*self.in_shape, A.shape[1])
        for i, j in product(range(self.window[0]), range(self.window[1])):
            yield image[i : i + down * (rows - 1) + 1 : down, j : j + right * (columns - 1) + 1 : right]

    def pooled(self, Z: Array) -> Array:
        """Z or Δ (units, n) by window: a view (rows, columns, maps, n)."""
        return Z.reshape(*self.out_shape, Z.shape[1])

    @property
    def tiles(self) -> bool:
        """Whether the windows cover the image, each place once."""
        (rows, columns), (height, width, _) = self.windows.places, self.in_shape
        return self.stride == self.window and (rows * self.window[0], columns * self.window[1]) == (height, width)

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
        shape = (*self.out_shape, n)
        places = self.window[0] * self.window[1]
        return Largest(np.empty((places - 1, *shape), bool), np.empty(shape, dtype), np.empty(shape, dtype))

    def forward(self, A: Array, out: Array, scratch: "Largest") -> None:
        """out ← the largest of each window: its places are gone through, and a later one wins where it is larger."""
        Z = self.pooled(out)
        first, *others = self.places(A)
        if not others:
            Z[...] = first
        largest = first
        for part, wins in zip(others, scratch.wins, strict=True):
            np.greater(part, largest, out=wins)
            largest = np.maximum(part, largest, out=Z)

    def propagate(self, Delta: Array, out: Array, scratch: "Largest") -> None:
        """out ← Δ where the largest stood, and 0 elsewhere; where windows overlap, the sum."""
        left = self.pooled(Delta)  # what no later place has taken: the last one that won takes all
        if not self.tiles:
            out[...] = 0
        first, *others = self.places(out)
        for error, wins in zip(others[::-1], scratch.wins[::-1], strict=True):
            share = np.multiply(left, wins, out=error if self.tiles else scratch.share)
            if not self.tiles:
                error += share
            left = np.subtract(left, share, out=scratch.left)
        if self.tiles:
            first[...] = left
        else:
            first += left

    def linearised(self) -> Layer:
        return MaxPoolAlong(self)


@dataclass
class Largest:
    """What max pooling remembers of a pass: for each place within a window but the first, in which windows it was larger than
    all before it, (places − 1, rows, columns, maps, n); and room for what is left of Δ, and for a place's share of it."""

    wins: Array
    left: Array
    share: Array


class MaxPoolAlong(Layer):
    """`MaxPool` as it acts on changes (curvature.py): of each window, the change where the pass has found the largest."""

    def __init__(self, of: MaxPool):
        self.of = of

    def forward(self, A: Array, out: Array, scratch: Largest) -> None:
        first, *others = self.of.places(A)
        Z = self.of.pooled(out)
        Z[...] = first
        for part, wins in zip(others, scratch.wins, strict=True):
            np.copyto(Z, part, where=wins)

    def propagate(self, Delta: Array, out: Array, scratch: Largest) -> None:
        self.of.propagate(Delta, out, scratch)


class MeanPool(Pool):
    """The mean of each window. Arguments as of `MaxPool`."""

    kind: ClassVar[str] = "meanpool"

    def forward(self, A: Array, out: Array, scratch: None) -> None:
        Z = self.pooled(out)
        first, *others = self.places(A)
        Z[...] = first
        for part in others:
            Z += part
        Z *= 1 / (self.window[0] * self.window[1])

    def propagate(self, Delta: Array, out: Array, scratch: None) -> None:
        """out ← each window's Δ in equal parts; where windows overlap, the sum."""
        share = self.pooled(Delta) * Delta.dtype.type(1 / (self.window[0] * self.window[1]))
        if not self.tiles:
            out[...] = 0
        for error in self.places(out):
            if self.tiles:
                error[...] = share
            else:
                error += share

    def linearised(self) -> Self:
        """The layer itself: it is linear."""
        return self
