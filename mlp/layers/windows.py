"""`Windows`: the places over which a kernel or a pool slides on an image; `ImageLayer`, a layer that looks through them.

An image has a height, a width and a number of channels (or maps); a window of K rows and columns moves over it in steps of
S, with P rows and columns of zeros around it. There are (H − K + 2P)/S + 1 places, rounded down, along its height, and as
many along its width in the same way.
"""

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

from mlp.blas import Array
from mlp.checks import check_integer, shown
from mlp.layers.base import Layer, show_shape

#: Arguments that are written with their names.
BY_NAME = ("stride", "padding")

Pair = tuple[int, int]
Shape = tuple[int, ...]


def check_pair(name: str, value: Any, *, at_least: int) -> Pair:
    """A number for both directions, or a pair (along the height, along the width)."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = check_integer(name, value, at_least=at_least)
        return number, number
    allowed = "an integer, or a pair (height, width) of them"
    if not isinstance(value, tuple | list):
        raise TypeError(f"{name}: received {shown(value)}, but it must be {allowed}")
    if len(value) != 2:
        raise ValueError(f"{name}: received {shown(value)}, but it must be {allowed}")
    first, second = (check_integer(f"{name}[{axis}]", part, at_least=at_least) for axis, part in enumerate(value))
    return first, second


def check_padding(name: str, value: Any) -> Pair | str:
    """Zeros around an image: a number, a pair (above and below, left and right), "same" or "valid", which is none."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f"{name}: received {shown(value)}, but it must be an integer, a pair of them, 'same' or 'valid'")
        return value
    return check_pair(name, value, at_least=0)


@dataclass(frozen=True)
class Windows:
    """Where a window of `size` stands on an image, (rows, columns) each.

    Attributes:
        image: the image's height, width and channels.
        size, stride: the window's, each along the height and along the width.
        padding: zeros (above, below) and (left, right).
    """

    image: tuple[int, int, int]
    size: Pair
    stride: Pair
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))

    def __post_init__(self) -> None:
        for axis, direction in enumerate(("high", "wide")):
            if self.size[axis] > self.padded[axis]:
                zeros = f", {self.padded[axis]} with its zeros," if any(self.padding[axis]) else ""
                raise ValueError(
                    f"its input is {show_shape(self.image)}{zeros} and a window that is {self.size[axis]} {direction} doesn't "
                    "fit on it"
                )
            if max(self.padding[axis]) >= self.size[axis]:
                raise ValueError(
                    f"padding: received {max(self.padding[axis])}, but it must be below the window's size, {self.size[axis]}, "
                    "beyond which windows would hold zeros alone"
                )

    @property
    def padded(self) -> Pair:
        """The image's height and width with the zeros around it."""
        return self.image[0] + sum(self.padding[0]), self.image[1] + sum(self.padding[1])

    @property
    def places(self) -> Pair:
        """How many windows there are along the height and along the width."""
        rows, columns = ((self.padded[axis] - self.size[axis]) // self.stride[axis] + 1 for axis in (0, 1))
        return rows, columns


def zeros_around(padding: Pair | str, image: Shape, size: Pair, stride: Pair) -> tuple[Pair, Pair]:
    """The zeros (above, below), (left, right) that a padding means; "same" leaves as many places as ⌈image/stride⌉."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        missing = [
            max(0, (-(-edge // step) - 1) * step + width - edge) for edge, width, step in zip(image, size, stride, strict=False)
        ]
        vertical, horizontal = ((total // 2, total - total // 2) for total in missing)
        return vertical, horizontal
    return (int(padding[0]), int(padding[0])), (int(padding[1]), int(padding[1]))


class ImageLayer(Layer):
    """What convolution and pooling share: `windows` on the image below, known once the layer is in its place."""

    of_images: ClassVar[bool] = True
    windows: Windows
    #: How many maps come out.
    maps: int

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.windows.image

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (*self.windows.places, self.maps)

    def rows(self, A: Array) -> Array:
        rows, columns, maps = self.out_shape
        images = A.reshape(rows, maps, columns, -1).transpose(3, 0, 2, 1)  # a view, and of a single place it would stay one
        return images.copy().reshape(A.shape[::-1])

    def feature_shape(self, below: Shape) -> Shape:
        """A window's rows, columns and channels."""
        return (*self.windows.size, self.in_shape[2])

    def image_of(self, shape: Shape) -> tuple[int, int, int]:
        """The height, width and channels of inputs of that shape, (height, width) or all three; those that the layer is
        over already, if it is."""
        if len(shape) not in (2, 3):
            given = show_shape(shape) or "empty"
            raise ValueError(f"its input is {given}, but it takes an image: (height, width) or (height, width, channels)")
        height, width, channels = (
            check_integer(f"in_shape[{axis}]", size, at_least=1) for axis, size in enumerate((*shape, 1)[:3])
        )
        if hasattr(self, "windows") and self.in_shape != (height, width, channels):
            raise ValueError(f"its input is {show_shape(shape)}, but it takes {show_shape(self.in_shape)}")
        return height, width, channels

    def arguments(self) -> dict[str, Any]:
        """What to make the layer with, by name and as briefly as possible: those that aren't what they are by default."""
        raise NotImplementedError

    def __repr__(self) -> str:
        words = (f"{name}={value!r}" if name in BY_NAME else repr(value) for name, value in self.arguments().items())
        return f"{type(self).__name__}({', '.join(words)})"

    def over(self, windows: Windows, maps: int) -> Self:
        """A copy of the layer over these windows, with so many maps."""
        layer = copy(self)
        layer.windows, layer.maps = windows, maps
        layer.fan_in, layer.units = math.prod(layer.in_shape), math.prod(layer.out_shape)
        return layer


def brief(pair: Any) -> Any:
    """A pair as it is shortest to write: 2 for (2, 2)."""
    return pair[0] if isinstance(pair, tuple) and pair[0] == pair[1] else pair


def receptive_fields(layers: Sequence[Layer]) -> list[Pair | None]:
    """For each layer, how many rows and columns of the image one of its units sees; None where it sees all.

    Through windows of K in steps of S, it grows by K − 1 times the steps of all layers below.
    """
    fields: list[Pair | None] = []
    field, step = (1, 1), (1, 1)
    for layer in layers:
        if not isinstance(layer, ImageLayer):
            return fields + [None] * (len(layers) - len(fields))
        size, stride = layer.windows.size, layer.windows.stride
        field = field[0] + (size[0] - 1) * step[0], field[1] + (size[1] - 1) * step[1]
        step = step[0] * stride[0], step[1] * stride[1]
        fields.append(field)
    return fields


def window_on_image(layers: Sequence[Layer], place: Pair, image: Shape) -> tuple[range, range]:
    """The rows and the columns of the image (height, width, …) that a unit of the last layer sees, which stands at that place
    of its map; zeros around the image are none of them. All of them, where a layer sees all.
    """
    rows = [range(place[axis], place[axis] + 1) for axis in (0, 1)]
    for layer in reversed(layers):
        if not isinstance(layer, ImageLayer):
            return range(image[0]), range(image[1])
        of = layer.windows
        for axis, seen in enumerate(rows):
            first = seen.start * of.stride[axis] - of.padding[axis][0]
            end = (seen.stop - 1) * of.stride[axis] - of.padding[axis][0] + of.size[axis]
            rows[axis] = range(max(0, first), min(of.image[axis], end))
    return rows[0], rows[1]
