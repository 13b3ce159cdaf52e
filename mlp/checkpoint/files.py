"""Files that are written whole or not at all, and the archives that hold models and states.

Read `atomic_write` first, then `write_archive` and `read_archive`, which face each other. An archive is a NumPy .npz file, a
zip of .npy arrays, with nothing executable in it:

    header.npy          JSON as bytes (uint8): {"format": "mlp-model" or "mlp-state", "version": 1, …}
    theta.npy, …        vectors of float32 or float64, by name: `[a-z][a-z0-9_]*`

Nothing in a file is believed: sizes are checked against the file before memory is taken, and content against checksums.
"""

import errno
import json
import os
import re
import secrets
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from mlp.blas import Array
from mlp.checks import check_path, shown

VERSION = 1

#: What a file of each format is called in messages.
FORMATS = {"mlp-model": "a model", "mlp-state": "a state"}

_HEADER_LIMIT = 1 << 24
_CHUNK = 1 << 20

_VECTOR_NAME = re.compile(r"[a-z][a-z0-9_]*")

#: A .npy header of a vector of unsigned bytes or of floating-point numbers.
_VECTOR = re.compile(
    rb"\{'descr': '(?P<dtype>\|u1|[<>]f[48])', 'fortran_order': False, 'shape': \((?P<size>[0-9]{1,19}),\), \} *\n"
)


# Writing


@contextmanager
def atomic_write(path: str | os.PathLike[str], argument: str = "path") -> Iterator[IO[bytes]]:
    """A file to write that takes the path's name only when it is complete and on the disk; otherwise nothing changes.

    Any number of threads and processes may write to one path: the last to finish wins. A symbolic link stays one (its
    target is written), and an existing file's permissions are kept.

    Args:
        path: where.
        argument: what errors call the path.
    """
    path = check_path(argument, path)
    existing = _stat(path)
    target = Path(os.path.realpath(path))
    part = None
    try:
        with _open_part(target, None if existing is None else stat.S_IMODE(existing.st_mode)) as stream:
            part = Path(stream.name)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if sys.platform == "win32":  # where an open file can't be renamed
                stream.close()
            part.replace(target)  # while it is locked: `remove_leftovers` of another run must not take it
        _sync_directory(target.parent)
    except BaseException as error:
        if part is not None:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        name_file(error, path, own=f".{target.name}.")
        raise


def _open_part(target: Path, mode: int | None) -> IO[bytes]:
    """A new, locked file beside the target, with that mode or else the default one."""
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        stream = open(  # noqa: SIM115  (the caller closes it)
            part, "x+b", opener=lambda name, flags: os.open(name, flags, 0o666 if mode is None else mode)
        )
        with suppress(OSError):  # some file systems have no locks
            try_lock(stream, wait=True)
        if mode is not None and stat.S_IMODE(os.fstat(stream.fileno()).st_mode) != mode:
            os.chmod(part, mode)  # the umask took something off it
        if os.fstat(stream.fileno()).st_nlink:
            return stream
        stream.close()  # taken for a leftover before it was locked


def remove_leftovers(directory: Path) -> None:
    """Delete the unfinished files of processes that were killed as they wrote; what is being written is locked, and stays."""
    for part in directory.glob(".*.part"):
        with suppress(OSError):
            _stat(part)
            with part.open("rb") as stream:
                if try_lock(stream):
                    part.unlink(missing_ok=True)


def try_lock(stream: IO[bytes], wait: bool = False) -> bool:
    """Whether this open file now holds the file's only lock; the system lets go of it when it is closed or its process dies."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def _sync_directory(directory: Path) -> None:
    """Have the disk keep the directory's entries, without which a power cut could undo a renaming."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except PermissionError:  # it may be written, but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # those of file systems that can't
            raise
    finally:
        os.close(descriptor)


def name_file(error: BaseException, path: Path, own: str = "\0") -> None:
    """Let an error of the system's that names no file, or one that begins so, say which file it is about."""
    if not isinstance(error, OSError) or error.errno is None:
        return
    if error.filename is None or Path(str(error.filename)).name.startswith(own):
        error.filename = str(path)
        del error.filename2


def _stat(path: Path) -> os.stat_result | None:
    """What the system says of a file, None if there is none; what is no regular file is refused."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        kind = "a pipe" if stat.S_ISFIFO(found.st_mode) else "a socket" if stat.S_ISSOCK(found.st_mode) else "a device"
        raise ValueError(f"{path}: is {kind}, but it must be a file")
    return found


def open_regular(path: Path) -> IO[bytes]:
    """A file open for reading; never a device or a pipe, which may have no end."""
    _stat(path)
    return path.open("rb")


# Archives


def encode_header(header: Mapping[str, Any], argument: str, value: Any) -> Array:
    """A header as bytes (n,), uint8; the argument is what may be unfit in it, and errors show its value."""
    try:
        encoded = np.frombuffer(json.dumps(header).encode(), np.uint8)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{argument}: received {shown(value)}, but JSON must be able to hold it ({error})") from error
    if encoded.size > _HEADER_LIMIT:
        raise ValueError(
            f"{argument}: received {encoded.size:,} bytes with the header, but at most {_HEADER_LIMIT:,} are allowed"
        )
    return encoded


def is_vector_name(name: Any) -> bool:
    """Whether a vector in an archive may have that name."""
    return isinstance(name, str) and name != "header" and _VECTOR_NAME.fullmatch(name) is not None


def write_archive(path: str | os.PathLike[str], header: Array, vectors: Mapping[str, Array]) -> None:
    """Write an archive, whole or not at all: a header from `encode_header` and vectors by name."""
    with atomic_write(path) as stream:
        write_members(stream, {"header": header, **vectors})


def write_members(stream: IO[bytes], vectors: Mapping[str, Array]) -> None:
    """Write vectors to an open file as numpy.savez does, but with all closed when it fails (numpy 1.26 leaves it open)."""
    with zipfile.ZipFile(stream, "w") as archive:
        for name, vector in vectors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(vector), allow_pickle=False)


class _Source:
    """An open file that remembers an error of the disk, which zipfile would call a damaged archive."""

    error: OSError | None = None

    def __init__(self, stream: IO[bytes]):
        self.stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        try:
            return self.stream.read(size)
        except OSError as error:
            self.error = error
            raise


def read_archive(
    path: Path, kind: str, parse_int: Callable[[str], int] | None = None
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the vectors, by name, of an archive of that format; every vector (n,), in the machine's byte order.

    Raises:
        ValueError: it is no such archive, or damaged.
        OSError, MemoryError: the disk failed, or memory did not suffice, which says nothing about the file.
    """
    with open_regular(path) as stream:
        source = _Source(stream)
        size = os.fstat(stream.fileno()).st_size
        try:
            vectors = _read_members(source, size)
            header = _decode(vectors.pop("header"), parse_int)
        except MemoryError as error:
            raise MemoryError(f"{path}: not enough memory to read its {size:,} bytes") from error
        except Exception as error:  # zipfile's, numpy's and json's parsers raise a dozen kinds over a damaged file
            if source.error is not None:
                name_file(source.error, path)
                raise source.error from None
            raise ValueError(f"{path}: not {FORMATS[kind]}, or damaged: {error}") from error
    found = header["format"], header["version"]
    if found != (kind, VERSION):
        raise ValueError(
            f"{path}: is {found[0]!r:.60} version {found[1]!r:.60}, but this version of mlp reads {kind!r} version {VERSION} "
            "here"
        )
    return header, vectors


def _decode(encoded: Array, parse_int: Callable[[str], int] | None) -> dict[str, Any]:
    if encoded.dtype != np.uint8:
        raise ValueError(f"its header is {encoded.dtype}, not uint8")
    header: Any = json.loads(encoded.tobytes(), parse_int=parse_int)
    if not isinstance(header, dict) or not {"format", "version"} <= set(header):
        raise ValueError("its header lacks the format or the version")
    return header


def _read_members(source: _Source, size: int) -> dict[str, Array]:
    """The arrays in an open file of that size, by name."""
    with zipfile.ZipFile(cast(IO[bytes], source)) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        vectors = set(names) - {"header"}
        if (
            len(names) != len(set(names))
            or not all(name.endswith(".npy") for name in archive.namelist())
            or not {"header", "theta"} <= set(names)
            or not all(map(is_vector_name, vectors))
        ):
            raise ValueError(f"it holds {', '.join(archive.namelist()) or 'nothing'}")
        source.seek(size - 22)
        if source.read(4) != b"PK\5\6":  # the archive's last record, of 22 bytes
            raise ValueError("more follows the end of its archive")
        if min(member.header_offset for member in archive.infolist()):
            raise ValueError("more stands before its archive")
        members = {}
        for member in archive.infolist():
            limit = _HEADER_LIMIT + 128 if member.filename == "header.npy" else size  # 128: the array's own header
            if member.compress_type != zipfile.ZIP_STORED or max(member.file_size, member.compress_size) > size:
                raise ValueError(f"{member.filename} is compressed or larger than the file")
            if member.file_size > limit:
                raise ValueError(f"{member.filename} has {member.file_size:,} bytes, more than the {limit:,} allowed")
            try:
                with archive.open(member) as stream:
                    members[member.filename.removesuffix(".npy")] = _read_vector(stream, member.file_size)
            except MemoryError:
                raise
            except Exception as error:
                raise ValueError(f"{member.filename} is damaged ({error or type(error).__name__})") from error
    return members


def _read_vector(stream: IO[bytes], length: int) -> Array:
    """The vector in a .npy file of that length, whose own header must be as numpy writes it and fit what follows."""
    magic = stream.read(10)
    text = stream.read(int.from_bytes(magic[8:], "little"))
    header = _VECTOR.fullmatch(text)
    if not magic.startswith(b"\x93NUMPY\x01\x00") or header is None:
        raise ValueError(
            f"its header is {text[:100].strip()!r}, but it must be that of a vector of uint8, float32 or float64 in .npy's "
            "version 1.0"
        )
    dtype, size = np.dtype(header["dtype"].decode()), int(header["size"])
    left = length - len(magic) - len(text)
    if size * dtype.itemsize != left:
        raise ValueError(f"it promises {size:,} numbers of {dtype}, but {left:,} bytes follow")
    vector = np.empty(size, dtype)
    content = vector.view(np.uint8)
    for start in range(0, left, _CHUNK):  # the last of these reads checks the archive's CRC
        piece = stream.read(min(_CHUNK, left - start))
        if len(piece) < min(_CHUNK, left - start):
            raise ValueError(f"it ends after {start + len(piece):,} of {left:,} bytes")
        content[start : start + _CHUNK] = np.frombuffer(piece, np.uint8)
    return vector.astype(dtype.newbyteorder("="), copy=False)
