"""Mosaics: many small images as tiles of one, so that a hundred of them are drawn as quickly as one."""

import math
from typing import Any, NamedTuple

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer, shown

#: Tiles smaller than this many pixels are enlarged, so that the gaps between them stay thin.
_LEAST = 24


class Mosaic(NamedTuple):
    """An image (height, width) or (height, width, 3) of tiles; NaN between them, or white in colour.

    left and top (tiles,) are the first column and row of each tile, and height and width the size of one, in pixels.
    """

    image: Array
    left: Array
    top: Array
    height: int
    width: int


def check_shape(shape: Any, features: int) -> tuple[int, ...]:
    """The shape of images of so many values: as given, (h, w), (h, w, 3) or (3, h, w); without that, a square's."""
    if shape is None:
        side = math.isqrt(features)
        if side * side != features:
            raise ValueError(
                f"shape: received None for images of {features:,} values, which make no square; give (height, width), "
                "or (height, width, 3) or (3, height, width) for colour"
            )
        return side, side
    allowed = "it must be (height, width), (height, width, 3) or (3, height, width)"
    if not isinstance(shape, tuple | list) or len(shape) not in (2, 3):
        raise ValueError(f"shape: received {shown(shape)}, but {allowed}")
    sizes = tuple(check_integer(f"shape[{axis}]", size, at_least=1) for axis, size in enumerate(shape))
    if len(sizes) == 3 and 3 not in (sizes[0], sizes[2]):
        raise ValueError(f"shape: received {sizes}, but {allowed}")
    if math.prod(sizes) != features:
        raise ValueError(f"shape: received {sizes}, which holds {math.prod(sizes):,} values, but the images have {features:,}")
    return sizes


def images(rows: Array, shape: tuple[int, ...]) -> Array:
    """Rows (n, values) as images (n, h, w) or (n, h, w, 3)."""
    tiles: Array = rows.reshape(-1, *shape)
    return np.moveaxis(tiles, 1, -1) if len(shape) == 3 and shape[2] != 3 else tiles


def channels_beside(rows: Array, shape: tuple[int, ...], colour: bool) -> Array:
    """Rows (n, values), each an image (h, w) or (h, w, channels), as tiles (n, h, width): its channels side by side, with NaN
    between them; or, of three channels that are colours, as they are, (n, h, w, 3)."""
    height, width, channels = (*shape, 1)[:3]
    pictures: Array = rows.reshape(-1, height, width, channels)
    if colour and channels == 3:
        return pictures
    strips = np.full((len(pictures), height, channels, width + 1), math.nan)
    strips[..., :width] = pictures.transpose(0, 1, 3, 2)
    beside: Array = strips.reshape(len(pictures), height, channels * (width + 1))[..., :-1]
    return beside


def columns_for(count: int, height: int, width: int) -> int:
    """How many columns make a mosaic about square, with the fewest empty places."""
    columns = max(1, math.ceil(math.sqrt(count * height / width)))
    rows = math.ceil(count / columns)
    return math.ceil(count / rows)


def enlargement(tiles: Array) -> int:
    """How many times as high and wide images (n, h, w, …) become as tiles."""
    largest: int = max(tiles.shape[1:3])
    return max(1, round(_LEAST / largest))


def tiled(tiles: Array, gap: tuple[int, int] = (1, 1), columns: int | None = None) -> Mosaic:
    """Images (n, h, w) or (n, h, w, 3) in rows of `columns`, left to right and top to bottom; gap: vertical, horizontal."""
    times = enlargement(tiles)
    tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
    count, height, width = tiles.shape[:3]
    pitch_y, pitch_x = height + gap[0], width + gap[1]
    columns = columns or columns_for(count, pitch_y, pitch_x)
    rows = math.ceil(count / columns)
    empty = 1.0 if tiles.ndim == 4 else math.nan
    image = np.full((rows * pitch_y + gap[0], columns * pitch_x + gap[1], *tiles.shape[3:]), empty)
    top = gap[0] + pitch_y * (np.arange(count) // columns)
    left = gap[1] + pitch_x * (np.arange(count) % columns)
    for tile, y, x in zip(tiles, top, left, strict=True):
        image[y : y + height, x : x + width] = tile
    return Mosaic(image, left, top, height, width)
