"""Arrays in files, .npz archives: `read_arrays`, and `read_npz`, which makes examples of them.

Each member is checked before memory is taken for it.
"""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.data.columns import Column
from mlp.data.examples import Examples
from mlp.data.framing import measure
from mlp.data.preparation import Preparation
from mlp.data.roles import Description, Wishes, describe_target
from mlp.data.tables import Table

#: What a byte of deflate can unpack to at most (https://zlib.net/zlib_tech.html, "Maximum Compression Factor").
_DEFLATE_RATIO = 1032

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(path: Path, names: set[str] | None = None) -> dict[str, Array]:
    """The arrays in an .npz file by name, in small letters; only those of the names, if given.

    Raises:
        ValueError: it is no such file, is damaged, or holds Python objects, which are not loaded.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy").lower(): info for info in archive.infolist()}
            if len(members) < len(archive.infolist()):
                raise ValueError("two of its arrays have one name")
            return {
                name: _read_member(archive, info)
                for name, info in members.items()
                if info.filename.endswith(".npy") and (names is None or name in names)
            }
    except FileNotFoundError:
        raise
    except MemoryError:
        raise MemoryError(f"{path}: there is not enough memory for its arrays") from None
    except Exception as error:  # zipfile's, zlib's and numpy's parsers raise a dozen kinds over a damaged file
        raise ValueError(f"{path}: not an .npz file, or damaged: {error}") from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """An array of the archive, read-only."""
    if info.flag_bits & 1:
        raise ValueError(f"{info.filename} is encrypted")
    if info.file_size > _DEFLATE_RATIO * info.compress_size + 1:
        raise ValueError(f"{info.filename} promises {info.file_size:,} bytes, more than {info.compress_size:,} can unpack to")
    content = archive.read(info)  # checked against the archive's CRC
    stream = io.BytesIO(content[: 1 << 16])
    version = np.lib.format.read_magic(stream)
    if version not in _READERS:
        raise ValueError(f"{info.filename} is in version {version} of .npy, which is not known")
    shape, fortran, dtype = _READERS[version](stream)
    if dtype.hasobject:
        raise ValueError(
            f"{info.filename} holds Python objects, which are not loaded: save texts with .astype(str), numbers as numbers"
        )
    if dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(
            f"{info.filename} promises {dtype} of shape {shape}, but {len(content) - stream.tell():,} bytes follow"
        )
    array: Any = np.frombuffer(content, dtype, offset=stream.tell())
    return np.asarray(array.reshape(shape, order="F" if fortran else "C"))


def read_npz(path: Path, wishes: Wishes) -> tuple[Examples, Examples | None]:
    """The training and the test set in an archive of arrays; the test set is None if it has none."""
    if wishes.target or wishes.categorical or wishes.ignore:
        raise ValueError(f"{path}: holds arrays, whose columns have no names to choose the target, or others, by")
    arrays = read_arrays(path, {"x", "y", "x_train", "y_train", "x_test", "y_test"})
    suffix = "_train" if "x_train" in arrays else ""
    if not {f"x{suffix}", f"y{suffix}"} <= arrays.keys() or len({"x_test", "y_test"} & arrays.keys()) == 1:
        has = ", ".join(arrays) or "none of these"
        raise ValueError(f"{path}: must hold the arrays X and y, or x_train and y_train, x_test and y_test, but has {has}")
    pairs = [(arrays[f"x{suffix}"], arrays[f"y{suffix}"])]
    if "x_test" in arrays:
        pairs.append((arrays["x_test"], arrays["y_test"]))
    try:
        for X, y in pairs:
            _check_pair(X, y)
        if len({X.shape[1:] for X, _ in pairs}) > 1:
            raise ValueError(f"X: received {pairs[0][0].shape} for training, but {pairs[1][0].shape} for the test")
        sizes = [len(X) for X, _ in pairs]
        targets = np.concatenate([_labels_of(y) for _, y in pairs])
        columns, image_shape = _columns_of(pairs[0][0], wishes.described)
        y, target = _describe_arrays_target(targets, wishes, images=image_shape is not None)
        framing = None if image_shape is None else measure(pairs[0][0].reshape(-1, *image_shape))
        preparation = Preparation(columns, target, image_shape=image_shape, framing=framing)
        parts = [
            Examples(X.reshape(len(X), -1), some, preparation.classes, image_shape, path.name, preparation)
            for (X, _), some in zip(pairs, np.split(y, [sizes[0]]), strict=False)
        ]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return parts[0], parts[1] if len(parts) > 1 else None


def _check_pair(X: Array, y: Array) -> None:
    if X.ndim not in (2, 3, 4) or X.size == 0 or X.dtype.kind not in "buif":
        raise ValueError(
            f"X: received {X.dtype} of shape {X.shape}, but it must be numbers: (n, features), (n, height, width) or "
            "(n, height, width, channels)"
        )
    if y.ndim not in (1, 2) or len(y) != len(X):
        raise ValueError(f"y: received shape {y.shape}, but it must be ({len(X)},), one for each row of X")
    if X.dtype.kind == "f" and not np.isfinite(X).all():
        row, *place = np.argwhere(~np.isfinite(X))[0]
        column = ", ".join(str(one) for one in place)
        raise ValueError(f"X: received {X[(row, *place)]} in row {row + 1:,}, column {column} (from 0), but it must be finite")


def _labels_of(y: Array) -> Array:
    """Targets (n,) from (n,), (n, 1), or (n, classes) with a single 1 in each row."""
    if y.ndim == 1:
        return y
    if y.shape[1] == 1:
        return y[:, 0]
    if y.dtype.kind in "buif" and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        labels: Array = y.argmax(axis=1)
        return labels
    raise ValueError(f"y: received shape {y.shape}, but it must be (n,), or (n, classes) with a 1 for the class")


def _columns_of(X: Array, described: Description | None) -> tuple[tuple[Column, ...], tuple[int, ...] | None]:
    """The columns of an array, which have numbers for names, or its pixels; and the shape of its images."""
    features = math.prod(X.shape[1:])
    side = math.isqrt(features)
    shape: tuple[int, ...] | None = X.shape[1:3] if X.ndim == 4 and X.shape[3] == 1 else X.shape[1:] if X.ndim > 2 else None
    if X.ndim == 2 and X.dtype == np.uint8 and side * side == features and side > 3:
        shape = (side, side)
    columns: tuple[Column, ...] = tuple(Column(str(number)) for number in range(1, features + 1))
    if shape is not None or X.dtype == np.uint8:
        columns = (Column("pixels", "pixels", count=features),)
    if described is not None:
        if [(of.name, of.kind, of.width) for of in described.columns] != [(of.name, of.kind, of.width) for of in columns]:
            raise ValueError(f"columns: received others than the {len(columns):,} of the array X, which can't be chosen from")
        columns = described.columns
    return columns, shape


def _describe_arrays_target(y: Array, wishes: Wishes, images: bool) -> tuple[Array, Column]:
    """`describe_target` of an array."""
    if y.dtype.kind not in "buifU":
        raise TypeError(f"y: received dtype {y.dtype}, but it must be numbers or texts")
    column = Table.from_columns({"y": y}).column("y")
    task = wishes.task or ("classification" if images and y.dtype.kind in "bui" else None)
    return describe_target("y", column, task, None if wishes.described is None else wishes.described.target)
