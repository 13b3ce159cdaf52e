"""Pictures of digits as a network takes them: photos, scans and drawings made into images as MNIST's own were made.

"The original black and white images were size normalized to fit in a 20×20 pixel box while preserving their aspect ratio …
centered in a 28×28 image by computing the center of mass of the pixels, and translating the image so as to position this
point at the center" (http://yann.lecun.com/exdb/mnist).

Read `read_digit` first, the whole way: `read_grey` (a file as numbers), `find_ink` (what is paper, what is ink),
`place_ink` (size and place). Where nothing is to be found and moved, `read_scaled` takes a picture as it is.
"""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer, check_path, shown

if TYPE_CHECKING:
    from PIL.Image import Image

#: A digit's longest side, as a part of the image's: 20 pixels of MNIST's 28.
DIGITS_PART = 20 / 28

#: Larger pictures are halved, divided by three …, each pixel the mean of a square, until their longest side is this at most.
_LONGEST = 1000

#: What Pillow needs other programs for.
_REFUSED = ("EPS", "WMF")

#: How far ink must stand out from paper, of the whole way from black to white, and from the paper's own unevenness.
_CONTRAST, _NOISES = 0.08, 6

#: Less ink than this doesn't count as a stroke's edge: around strokes JPEG files have it too.
_FAINT = 0.1


def read_digit(path: str | os.PathLike[str], shape: tuple[int, ...] = (28, 28), part: float = DIGITS_PART) -> Array:
    """The digit in a picture, uint8 of that shape: white on black, sized and centred as MNIST's are.

    The picture may be of any size and kind that Pillow reads, dark on light or light on dark, transparent, turned by a
    camera, in uneven light. What touches the picture's edge (the frame of a scan) or is much smaller than the rest (dust) is
    left out, unless there is nothing else.

    Args:
        path: the picture.
        shape: (height, width) or (height, width, 1) of the image to make.
        part: how long the digit's longest side is to be, of the image's.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no picture, is damaged, blank or too large, or the shape is no grey image's.
    """
    height, width = _check_shape(shape, channels=(1,))[:2]
    path = check_path("path", path)
    try:
        return place_ink(find_ink(read_grey(path)), height, width, part).reshape(shape)
    except _BlankError as error:
        raise ValueError(f"{path}: {error}") from None


def read_scaled(path: str | os.PathLike[str], shape: tuple[int, ...]) -> Array:
    """A picture as it is, uint8 of that shape, (height, width) or (height, width, 1 or 3): scaled, and nothing else.

    Raises as `read_digit` does.
    """
    height, width, *channels = _check_shape(shape, channels=(1, 3))
    path = check_path("path", path)
    numbers = _read(path, "RGB" if channels == [3] else "L")
    rows, columns = _averages(len(numbers), height), _averages(numbers.shape[1], width)
    scaled = np.einsum("hH,HWc,wW->hwc", rows, numbers, columns, optimize=True)
    image: Array = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
    return image.reshape(shape)


def light_on_dark(image: Array) -> Array:
    """An image of uint8, (height, width …), inverted if its edges are light."""
    edges = np.concatenate([edge.ravel() for edge in (image[0], image[-1], image[:, 0], image[:, -1])])
    return 255 - image if np.median(edges) > 127 else image


def _check_shape(shape: Any, channels: tuple[int, ...]) -> tuple[int, ...]:
    allowed = f"(height, width) or (height, width, {' or '.join(map(str, channels))})"
    if not isinstance(shape, tuple) or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in channels):
        raise ValueError(f"shape: received {shown(shape)}, but it must be {allowed}")
    return tuple(check_integer(f"shape[{axis}]", size, at_least=1) for axis, size in enumerate(shape))


# Files


def read_grey(path: str | os.PathLike[str]) -> Array:
    """A picture's brightness, (height, width) of float64 from 0, black, to 1; transparent parts become paper."""
    return _read(check_path("path", path), "L")[:, :, 0]


def _read(path: Path, mode: str) -> Array:
    """A picture's pixels, (height, width, channels) from 0 to 1, in Pillow's mode L or RGB; whatever Pillow says of a bad file
    is a ValueError."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: not a picture, but a directory, a pipe or a device")
    with path.open("rb") as stream:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is odd in a file, but can be read
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(stream) as image:
                    if image.format in _REFUSED:
                        raise ValueError(f"{image.format} is a drawing program's file, not a picture of pixels")
                    image.draft(None, (_LONGEST, _LONGEST))  # a JPEG is decoded at ½, ¼ or ⅛, but not smaller than that
                    return _pixels(ImageOps.exif_transpose(image), mode)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: is too large a picture ({error})") from None
        except MemoryError:
            raise
        except Exception as error:  # Pillow's parsers raise a dozen kinds over a damaged file
            told = "" if isinstance(error, UnidentifiedImageError) else f" ({error or type(error).__name__})"
            raise ValueError(f"{path}: not a picture that Pillow can read, or damaged{told}") from error


def _pixels(image: "Image", mode: str) -> Array:
    """An image's pixels, reduced where it is large."""
    factor = -(-max(image.size) // _LONGEST)
    if image.mode.startswith(("I", "F")):  # grey of more than 8 bits
        full = 65535.0 if image.mode.startswith("I;16") else None
        numbers = np.asarray(image.convert("F").reduce(factor), np.float64)[:, :, None]
        if not np.isfinite(numbers).all():
            raise ValueError("it holds numbers that are not finite")
        low = 0.0 if full else numbers.min()
        return (numbers - low) / ((full or numbers.max()) - low or 1.0) * np.ones(len(mode))
    if not image.has_transparency_data:
        return np.atleast_3d(np.asarray(image.convert(mode).reduce(factor), np.float64) / 255)
    return _flat(np.asarray(image.convert(f"{mode}A").reduce(factor), np.float64) / 255)


def _flat(numbers: Array) -> Array:
    """Pixels (height, width, channels), the last of which is opacity, without it, on paper that fits.

    Where all that can be seen is of one colour, the opacity is the drawing: the paper is black or white, whichever is further.
    Otherwise the paper is of the colour that is seen most.
    """
    colours, opacity = numbers[:, :, :-1], numbers[:, :, -1:]
    visible = colours[opacity[:, :, 0] > 0.5]
    paper = np.ones(colours.shape[-1])
    if len(visible):
        common = np.median(visible, axis=0)
        one_colour = np.ptp(np.percentile(visible.mean(axis=1), [5, 95])) < _CONTRAST
        paper = np.full_like(common, common.mean() < 0.5) if one_colour else common
    flat: Array = colours * opacity + paper * (1 - opacity)
    return flat


# Ink and paper


class _BlankError(ValueError):
    """There is nothing in the picture."""


def find_ink(grey: Array) -> Array:
    """How much ink there is at each pixel, float64 from 0, paper, to 1, in that part of a picture (height, width) which a digit
    fills; raises ValueError for a blank picture."""
    from scipy import ndimage

    residual = grey - _paper(grey)
    if (residual**3).sum() < 0:  # paper is what there is most of, and ink what lies far to one side of it
        residual = -residual
    noise = 1.4826 * float(np.median(np.abs(residual)))  # of normal noise, its standard deviation
    strong = residual[residual > residual.max() / 2]
    full = float(np.percentile(strong, 95)) if strong.size else 0.0
    if full < max(_CONTRAST, _NOISES * noise):
        raise _BlankError("nothing in this picture stands out from its background")
    ink = (residual / full).clip(0, 1)
    labels, count = ndimage.label(ink > max(_FAINT, 3 * noise / full), np.ones((3, 3)))
    kept = _strokes(ink, labels, count)
    whole = ndimage.binary_propagation(kept, np.ones((3, 3)), ink > 2 * noise / full)  # with what is fainter, but connected
    rows, columns = (np.flatnonzero(kept.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return np.where(whole, ink, 0)[box]


def _paper(grey: Array) -> Array:
    """The brightness that the paper has, or would have, at each pixel: the same everywhere, or a paraboloid where that fits
    far better, as it does in uneven light."""
    common = float(np.median(grey))
    off = np.abs(grey - common)
    if np.count_nonzero(off <= 2 / 255) > grey.size / 2:
        return np.full_like(grey, common)
    y, x = (np.linspace(-1, 1, size) for size in grey.shape)
    rows, columns = np.ix_(*(np.linspace(0, size - 1, min(size, 64)).round().astype(int) for size in grey.shape))
    sample = grey[rows, columns].ravel()
    at_y, at_x = (place.ravel() for place in np.broadcast_arrays(y[rows], x[columns]))
    fitted = _fit_most(np.stack([np.ones(len(sample)), at_x, at_x**2, at_y, at_y * at_x, at_y**2], axis=1), sample)
    one, of_x, of_xx, of_y, of_yx, of_yy = fitted
    curved: Array = (one + of_x * x + of_xx * x**2) + y[:, None] * (of_y + of_yx * x) + of_yy * y[:, None] ** 2
    if np.median(np.abs(grey - curved)) < 0.7 * np.median(off):
        return curved
    return np.full_like(grey, common)


def _fit_most(design: Array, sample: Array) -> Array:
    """Coefficients (k,) with which design (n, k) gives most of the sample (n,), whatever the rest is (the ink): least absolute
    differences, then Tukey's biweight, both by least squares reweighted (Huber and Ronchetti, Robust Statistics, 2009)."""
    weights = np.ones(len(sample))
    for step in range(40):
        root = np.sqrt(weights)
        fitted, *_ = np.linalg.lstsq(design * root[:, None], sample * root, rcond=None)
        off = np.abs(sample - design @ fitted)
        if step < 25:
            weights = 1 / np.maximum(off, 1e-3)
        else:
            width = 4.685 * 1.4826 * max(float(np.median(off)), 1e-3)
            weights = np.maximum(1 - (off / width) ** 2, 0) ** 2
    return np.asarray(fitted)


def _strokes(ink: Array, labels: Array, count: int) -> Array:
    """Which pixels belong to the digit, of pieces numbered from 1: those of enough ink, away from the edge if there are any."""
    numbers = np.arange(count + 1)
    mass = np.bincount(labels.ravel(), ink.ravel(), count + 1)
    mass[0] = 0
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    inside = ~np.isin(numbers, edge) & (numbers > 0)
    # a frame, or a shadow, may hold more ink than the digit; dust does not
    if inside.any() and mass[inside].max() > 0.02 * mass.max():
        mass[~inside] = 0
    return np.asarray((mass > 0.01 * mass.max())[labels])


# Size and place


def place_ink(ink: Array, height: int = 28, width: int = 28, part: float = DIGITS_PART) -> Array:
    """Ink that a digit fills (any height, any width), 0 to 1, as an image (height, width) of uint8: its longest side scaled
    to that part of the image's by averaging areas, and its centre of mass moved by whole pixels to the middle one."""
    scale = min(part * height / ink.shape[0], part * width / ink.shape[1])
    tall, wide = (max(1, round(scale * size)) for size in ink.shape)
    small = _averages(ink.shape[0], tall) @ ink @ _averages(ink.shape[1], wide).T  # (tall, wide)
    image = np.zeros((height, width))
    top, left = _corner(small.sum(axis=1), height), _corner(small.sum(axis=0), width)
    image[top : top + tall, left : left + wide] = small
    return np.rint(255 * image).astype(np.uint8)


def _corner(mass: Array, size: int) -> int:
    """Where a profile of mass is to begin, so that its centre of mass is at pixel size // 2, or as close as there is room."""
    centre = float(mass @ np.arange(len(mass)) / mass.sum())
    return int(np.clip(round(size // 2 - centre), 0, size - len(mass)))


def _averages(size: int, new: int) -> Array:
    """The matrix (new, size) that averages areas: each new pixel is the mean of what it covers of the old ones."""
    edges = np.arange(new + 1) * (size / new)
    old = np.arange(size)
    covered = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    averages: Array = covered.clip(0) * (new / size)
    return averages
