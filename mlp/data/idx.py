"""IDX files, in which MNIST and its like are published.

An IDX file is two zero bytes, a byte for the type, a byte for the number of dimensions, each dimension as a 32-bit
big-endian integer, then the numbers in row-major order, big-endian; it may be compressed with gzip.
(http://yann.lecun.com/exdb/mnist, "The IDX file format")
"""

import gzip
import math
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

import numpy as np

from mlp.blas import Array
from mlp.checks import check_path, shown

#: What a byte of deflate can unpack to at most (https://zlib.net/zlib_tech.html, "Maximum Compression Factor").
_DEFLATE_RATIO = 1032

#: How many bytes are read at a time: they stay in cache while they are copied into the array.
_PIECE = 1 << 18

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str], *, mapped: bool = False) -> Array:
    """The array in an IDX file, gzip-compressed or not, in the machine's byte order.

    Args:
        path: the file.
        mapped: map an uncompressed file into memory, read-only and in the file's byte order, instead of reading it: for
            files larger than memory.

    Raises:
        TypeError: the path is no text and no `os.PathLike`.
        FileNotFoundError: there is no such file.
        ValueError: it is not a regular file, or the content isn't what its header says. The header is checked against the
            file before memory is taken for the numbers.
    """
    path = check_path("path", path)
    if path.exists() and not path.is_file():  # opening a pipe would wait for its writer; a device may have no end
        raise ValueError(f"path: received {str(path)!r}, but it must be a regular file, not a directory, pipe or device")
    with path.open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if mapped and compressed:
            raise ValueError(f"{path}: is compressed, and only an uncompressed file can be mapped")
        if not compressed:
            return _read_array(path, raw, size, size, mapped)
        try:
            with gzip.open(raw, "rb") as stream:
                return _read_array(path, stream, size, size * _DEFLATE_RATIO)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: the gzip data is damaged or cut short ({error})") from error


def _read_array(path: Path, stream: BufferedReader | gzip.GzipFile, size: int, most: int, mapped: bool = False) -> Array:
    """The array in an open IDX file of `size` bytes on disk, which can't hold more than `most`."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_TYPES or magic[3] == 0:
        raise ValueError(
            f"{path}: not an IDX file: it starts with {magic.hex(' ') or 'nothing'}, but must start with 00 00, "
            f"a type ({', '.join(f'{code:02x}' for code in _IDX_TYPES)}) and a number of dimensions"
        )
    dtype, rank = np.dtype(_IDX_TYPES[magic[2]]), magic[3]
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise ValueError(f"{path}: the IDX header promises {rank} dimensions, but ends after {len(sizes) // 4}")
    shape = struct.unpack(f">{rank}I", sizes)
    expected = math.prod(shape) * dtype.itemsize
    promise = f"{path}: the IDX header promises {expected:,} bytes (shape {shape}, {dtype.itemsize} each)"
    if expected > most - 4 - 4 * rank:
        raise ValueError(f"{promise}, but the file is too short to hold them")
    if mapped:
        if expected < most - 4 - 4 * rank:
            raise ValueError(f"{promise}, but more follow")
        return _shaped(path, shape, lambda: np.memmap(path, dtype, "r", 4 + 4 * rank, shape))
    content = _read_content(stream, expected, capacity=16 * size)
    if len(content) < expected:
        raise ValueError(f"{promise}, but ends after {len(content):,}")
    if stream.read(1):
        raise ValueError(f"{promise}, but more follow")
    numbers = content.view(dtype)
    if not dtype.isnative:
        numbers = numbers.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return _shaped(path, shape, lambda: numbers.reshape(shape))


def _read_content(stream: BufferedReader | gzip.GzipFile, expected: int, capacity: int) -> Array:
    """The next bytes of a stream, uint8: `expected` of them, or fewer where it ends.

    They are read into the array that is returned. It has the given capacity at first, which files usually don't exceed,
    and grows with what is there, not with what was promised.
    """
    content = np.empty(min(expected, capacity), np.uint8)
    filled = 0
    while filled < expected:
        if filled == len(content):
            content.resize(min(2 * filled, expected), refcheck=False)
        count = stream.readinto(content.data[filled : filled + _PIECE])
        if not count:
            break
        filled += count
    return content[:filled]


def _shaped(path: Path, shape: tuple[int, ...], make: Callable[[], Array]) -> Array:
    """What `make` makes, if numpy can have an array of that shape."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of sizes that overflow
            return make()
    except (ValueError, RuntimeWarning) as error:  # too many dimensions, or one of 0 beside others that are too large
        raise ValueError(f"{path}: no array can have the dimensions in the IDX header, {shown(shape)} ({error})") from error
