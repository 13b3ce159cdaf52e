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
from typing import Any, Self

from mlp.checks import check_integer, shown
from mlp.layers.base import Layer, show_shape

Pair = tuple[int, int]
Shape = tuple[int, ...]


def check_pair(name: str, value: Any, *, at_least: int) -> Pair:
    """A number for both directions, or a pair (along the height, along the width)."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = check_integer(name, value, at_least=at_least)
        return number, number
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name}: received {shown(value)}, but it must be an integer, or a pair (height, width) of them")
    first, second = (check_integer(f"{name}[{axis}]", part, at_least=at_least) for axis, part in enumerate(value))
    return first, second


def check_padding(name: str, value: Any) -> Pair | str:
    """Zeros around an image: a number, a pair (above and below, left and right), "same" or "valid", which is none."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f"{name}: received {shown(value)}, but it must be an integer, a pair of them, 'same' or 'valid'")
        return value
    return check_pair(name, value, at_least=0)


def check_image_shape(name: str, value: Any) -> tuple[int, int, int]:
    """An image's height, width and channels, from (height, width) or all three."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise ValueError(
            f"{name}: received {shown(value)}, but it must be an image: (height, width) or (height, width, channels)"
        )
    height, width, channels = (check_integer(f"{name}[{axis}]", size, at_least=1) for axis, size in enumerate([*value, 1][:3]))
    return height, width, channels


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

    windows: Windows
    #: How many maps come out.
    maps: int

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.windows.image

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (*self.windows.places, self.maps)

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
