"""What a prediction begins with: a model, and inputs of all kinds as rows that it takes."""

import gzip
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlp.batches import check_input
from mlp.blas import Array
from mlp.checkpoint import load
from mlp.committee import Committee
from mlp.data import Preparation, read_columns, read_idx
from mlp.data.pictures import DIGITS_PART, light_on_dark, read_digit, read_grey, read_scaled
from mlp.network import MLP

#: Endings of tables' names. What a directory's pictures may end in is Pillow's to say, but for these few.
_TABLES = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq")
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".heic", ".avif")

#: Things longer than this, of their image's size, are where they belong in a picture of that size.
_FULL = 0.9


@dataclass(frozen=True)
class Model:
    """A network, or a committee, and what it knows of the data it was trained on."""

    path: Path
    net: MLP | Committee
    in_shape: tuple[int, ...]
    preparation: Preparation | None = None

    def prepared(self, raw: Any) -> Array:
        """Raw data as inputs X (n, features)."""
        X = raw if self.preparation is None else self.preparation.inputs(raw, self.net.dtype)
        inputs: Array = check_input(X, self.net.sizes[0], self.net.dtype)
        return inputs

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of the images that the network takes; a ValueError if it takes none."""
        if len(self.in_shape) > 1:
            return self.in_shape
        known = None if self.preparation is None else self.preparation.image_shape
        side = math.isqrt(self.in_shape[0])
        if known is None and (self.preparation is not None or side * side != self.in_shape[0]):
            raise ValueError(f"is a picture, but the network takes {self.in_shape[0]:,} numbers that are no image")
        return tuple(known or (side, side))


@dataclass(frozen=True)
class Input:
    """An input that was read: X (n, features); of a picture, one row."""

    name: str
    X: Array
    picture: bool = False
    image_shape: tuple[int, ...] | None = None


# Models


def load_model(paths: Sequence[Path], best: bool = False) -> Model:
    """The model at that path, or the committee of those at several; `best` is which of a run's two models is meant."""
    nets = [load(_model_file(path, best)) for path in paths]
    net: MLP | Committee = nets[0]
    in_shape = nets[0].in_shape
    knowledge = [net.preparation for net in nets]
    for path, member, known in zip(paths, nets, knowledge, strict=True):
        if known != knowledge[0] or member.in_shape != in_shape:
            raise ValueError(f"{path}: was trained on data that was prepared in another way than that of {paths[0]}")
    if len(nets) > 1:
        net = Committee(nets)
    return Model(paths[0], net, in_shape, knowledge[0])


def _model_file(path: Path, best: bool) -> Path:
    if not path.is_dir():
        return path
    file = path / ("best.npz" if best else "model.npz")
    if not file.exists():
        others = [name for name in ("model.npz", "best.npz") if (path / name).exists()]
        hint = " (its best so far is there: --best)" if "best.npz" in others else ""
        raise FileNotFoundError(f"{path}: has no {file.name}{hint}")
    return file


# Inputs


def read_inputs(text: str, model: Model, *, whole: bool = False) -> Iterator[Input | Exception]:
    """The inputs that a word of the command line stands for, one unless it is a directory; errors come instead of them."""
    path = Path(text)
    paths = [path]
    if path.is_dir():
        paths = sorted(one for one in path.iterdir() if one.suffix.lower() in _PICTURES and not one.name.startswith("."))
        if not paths:
            yield ValueError(f"{path}: has no pictures in it, files that end in {', '.join(_PICTURES)}")
    for one in paths:
        try:
            yield _read_input(one, model, whole)
        except (ValueError, TypeError, OSError, MemoryError) as error:
            told = str(error)
            yield error if str(one) in told else ValueError(f"{one}: {told}")


def _read_input(path: Path, model: Model, whole: bool) -> Input:
    reader = _reader(path)
    if reader is None:
        return _read_picture(path, model, whole)
    return Input(str(path), model.prepared(reader(path, model)))


def _reader(path: Path) -> Callable[[Path, Model], Any] | None:
    """What reads a file of that name and beginning; None: it is a picture."""
    if str(path) == "-" or path.suffix.lower() in _TABLES:
        return _read_table
    if path.suffix.lower() in (".npz", ".npy"):
        return _read_array
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        begin = stream.read(4)
    if begin[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as packed:
                begin = packed.read(4)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path}: the gzip data is damaged or cut short ({error})") from error
    return _read_idx if len(begin) == 4 and begin[:2] == b"\0\0" and 0x08 <= begin[2] <= 0x0E else None


def _read_table(path: Path, model: Model) -> Any:
    """The columns that the model needs of a table."""
    if model.preparation is None or model.preparation.columns[0].kind == "pixels":
        raise ValueError(f"{path}: is a table, but {model.path} was not trained on one and knows no columns")
    return read_columns(path, model.preparation)


def _read_idx(path: Path, _model: Model) -> Array:
    return _as_rows(path, read_idx(path))


def _read_array(path: Path, _model: Model) -> Array:
    """The array in a .npy file, or X, or the only one, in a .npz file."""
    with path.open("rb") as stream:
        try:
            found = np.load(stream, allow_pickle=False)
            array = found if isinstance(found, np.ndarray) else _inputs_of(found)
        except MemoryError:
            raise
        except Exception as error:  # numpy's and zipfile's parsers raise a dozen kinds over a damaged file
            raise ValueError(f"{path}: not arrays that numpy can read, or damaged: {error}") from error
    return _as_rows(path, array)


def _inputs_of(archive: Any) -> Array:
    names = [name for name in archive.files if name in ("X", "x", "x_test")] or archive.files
    if len(names) != 1:
        raise ValueError(f"it holds {', '.join(archive.files) or 'nothing'}, but it must hold X, or a single array")
    array: Array = archive[names[0]]
    return array


def _as_rows(path: Path, array: Array) -> Array:
    if array.ndim < 2 or 0 in array.shape:
        raise ValueError(f"{path}: holds {array.dtype} of shape {array.shape}, but inputs are (n, features) or images")
    return array.reshape(len(array), -1)


def _read_picture(path: Path, model: Model, whole: bool) -> Input:
    path.stat()  # that there is no such file is said before what the network takes
    shape = model.image_shape
    colour = len(shape) == 3 and shape[2] != 1
    framing = None if model.preparation is None else model.preparation.framing
    part = DIGITS_PART if framing is None else framing.part
    if whole or colour or part is None:
        image = read_scaled(path, shape)
    elif part > _FULL and read_grey(path).shape == shape[:2]:  # a thing that fills its image as the others do
        image = light_on_dark(read_scaled(path, shape))
    else:
        image = read_digit(path, shape, part)
    if framing is not None:
        image = framing.pixels(image, inverted=not whole)
    return Input(str(path), model.prepared(image.reshape(1, -1)), picture=True, image_shape=shape)
