"""`MaxPool` and `MeanPool`: layers that make an image smaller. They have no parameters.

Each map of the image is seen through windows, and each window leaves one number, its largest or its mean. The error goes
back to the one place that was the largest (the first of equals), or to all places in equal parts.
"""

from collections.abc import Iterator, Mapping
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

    def _parts(self, A: Array) -> Iterator[Array]:
        """For each place within a window, what all windows have there: views (rows, columns, maps, n) of A (units, n)."""
        (rows, columns), (down, right) = self.windows.places, self.stride
        image = A.reshape(*self.in_shape, A.shape[1])
        for i, j in product(range(self.window[0]), range(self.window[1])):
            yield image[i : i + down * (rows - 1) + 1 : down, j : j + right * (columns - 1) + 1 : right]

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

    def scratch(self, n: int, dtype: Any) -> dict[str, Array]:
        """What a forward pass saw and found ("A", "Z"), and room for which windows have their largest at a place ("hit"),
        and had it at one before ("found"), (rows, columns, maps, n)."""
        shape = (*self.out_shape, n)
        return {"hit": np.empty(shape, bool), "found": np.empty(shape, bool), "share": np.empty(shape, dtype)}

    def forward(self, A: Array, out: Array, scratch: dict[str, Array]) -> None:
        scratch["A"], scratch["Z"] = A, out
        parts = self._parts(A)
        Z = out.reshape(*self.out_shape, A.shape[1])
        Z[...] = next(parts)
        for part in parts:
            np.maximum(Z, part, out=Z)

    def propagate(self, Delta: Array, out: Array, scratch: dict[str, Array]) -> None:
        """out ← Δ where the largest stood, and 0 elsewhere; where windows overlap, the sum."""
        Delta = Delta.reshape(scratch["hit"].shape)
        if not self._tiles:
            out[...] = 0
        for hit, error in zip(self.hits(scratch), self._parts(out), strict=True):
            if self._tiles:
                np.multiply(Delta, hit, out=error)
            else:
                error += np.multiply(Delta, hit, out=scratch["share"])

    def hits(self, scratch: dict[str, Array]) -> Iterator[Array]:
        """For each place within a window, in which windows the largest stood there, (rows, columns, maps, n), in one room."""
        hit, found = scratch["hit"], scratch["found"]
        Z = scratch["Z"].reshape(hit.shape)
        found[...] = False
        for part in self._parts(scratch["A"]):
            np.equal(part, Z, out=hit)
            np.greater(hit, found, out=hit)  # the first of equals
            found |= hit
            yield hit

    def linearised(self) -> Layer:
        return MaxPoolAlong(self)

    @property
    def _tiles(self) -> bool:
        """Whether the windows cover the image, each place once."""
        (rows, columns), (height, width, _) = self.windows.places, self.in_shape
        return self.stride == self.window and (rows * self.window[0], columns * self.window[1]) == (height, width)


class MaxPoolAlong(Layer):
    """`MaxPool` as it acts on changes (curvature.py): of each window, the change where the pass has found the largest."""

    def __init__(self, of: MaxPool):
        self.of = of

    def forward(self, A: Array, out: Array, scratch: dict[str, Array]) -> None:
        Z, share = out.reshape(scratch["hit"].shape), scratch["share"]
        Z[...] = 0
        for hit, part in zip(self.of.hits(scratch), self.of._parts(A), strict=True):
            Z += np.multiply(part, hit, out=share)

    def propagate(self, Delta: Array, out: Array, scratch: dict[str, Array]) -> None:
        self.of.propagate(Delta, out, scratch)


class MeanPool(Pool):
    """The mean of each window. Arguments as of `MaxPool`."""

    kind: ClassVar[str] = "meanpool"

    def forward(self, A: Array, out: Array, scratch: None) -> None:
        parts = self._parts(A)
        Z = out.reshape(*self.out_shape, A.shape[1])
        Z[...] = next(parts)
        for part in parts:
            Z += part
        Z *= 1 / (self.window[0] * self.window[1])

    def propagate(self, Delta: Array, out: Array, scratch: None) -> None:
        """out ← each window's Δ in equal parts; where windows overlap, the sum."""
        share = Delta.reshape(*self.out_shape, Delta.shape[1]) * Delta.dtype.type(1 / (self.window[0] * self.window[1]))
        out[...] = 0
        for error in self._parts(out):
            error += share

    def linearised(self) -> Self:
        """The layer itself: it is linear."""
        return self
