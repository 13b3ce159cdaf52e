"""Arrays in files: .npz archives, each member checked before memory is taken for it."""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mlp.blas import Array

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
