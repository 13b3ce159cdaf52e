"""Examples on disk and in memory: IDX files, MNIST, and the order in which mini-batches are drawn.

An IDX file is two zero bytes, a byte for the type, a byte for the number of dimensions, each dimension as a 32-bit
big-endian integer, then the numbers in row-major order, big-endian; it may be compressed with gzip.
(http://yann.lecun.com/exdb/mnist, "The IDX file format")
"""

import gzip
import hashlib
import math
import os
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer, shown

#: What a byte of deflate can unpack to at most (https://zlib.net/zlib_tech.html, "Maximum Compression Factor").
_DEFLATE_RATIO = 1032

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

#: The four files of MNIST and the SHA-256 of their uncompressed content.
MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs X, (n, features), and their targets y, (n,) or (n, outputs)."""

    X: Array
    y: Array

    def __post_init__(self) -> None:
        for name, array in (("X", self.X), ("y", self.y)):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name}: received {shown(array)}, but it must be a numpy array")
        if self.X.ndim != 2 or self.y.ndim not in (1, 2) or len(self.X) != len(self.y):
            raise ValueError(
                f"Examples: received X of shape {self.X.shape} and y of shape {self.y.shape}, "
                "but they must be (n, features) and (n,) or (n, outputs)"
            )

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: Any) -> "Examples":
        """Some of the examples: a slice (no copy), indices or a mask."""
        return Examples(self.X[rows], self.y[rows])


def read_idx(path: str | os.PathLike[str], *, mapped: bool = False) -> Array:
    """The array in an IDX file, gzip-compressed or not, in the machine's byte order.

    Args:
        path: the file.
        mapped: map an uncompressed file into memory, read-only and in the file's byte order, instead of reading it: for
            files larger than memory.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the content isn't what its header says. The header is checked against the file before memory is
            taken for the numbers.
    """
    path = Path(path)
    with path.open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if mapped and compressed:
            raise ValueError(f"{path}: is compressed, and only an uncompressed file can be mapped")
        if not compressed:
            return _read_idx(path, raw, size, mapped)
        try:
            with gzip.open(raw, "rb") as stream:
                return _read_idx(path, stream, size * _DEFLATE_RATIO)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: the gzip data is damaged or cut short ({error})") from error


def _read_idx(path: Path, stream: IO[bytes] | gzip.GzipFile, most: int, mapped: bool = False) -> Array:
    """The array in an open IDX file that can't hold more than `most` bytes."""
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
    content = bytearray()  # grows with what is there, not with what was promised
    while len(content) < expected:
        piece = stream.read(min(expected - len(content), 1 << 20))
        if not piece:
            raise ValueError(f"{promise}, but ends after {len(content):,}")
        content += piece
    if stream.read(1):
        raise ValueError(f"{promise}, but more follow")
    numbers = np.frombuffer(content, dtype)
    return _shaped(path, shape, lambda: numbers.reshape(shape).astype(dtype.newbyteorder("="), copy=False))


def _shaped(path: Path, shape: tuple[int, ...], make: Callable[[], Array]) -> Array:
    """What `make` makes, if numpy can have an array of that shape."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of sizes that overflow
            return make()
    except (ValueError, RuntimeWarning) as error:  # too many dimensions, or one of 0 beside others that are too large
        raise ValueError(f"{path}: no array can have the dimensions in the IDX header, {shown(shape)} ({error})") from error


def load_mnist(
    directory: str | os.PathLike[str] | None = None, *, validation: int = 10_000, download: bool = True
) -> tuple[Examples, Examples, Examples]:
    """MNIST as (train, validation, test): X (n, 784) of 8-bit pixel intensities, y (n,) integers 0 … 9.

    The files are looked for in `directory` alone if it is given, and otherwise in $MLP_DATA, the checkout's data/mnist
    and the user's cache, each with or without .gz. If they are nowhere and `download` is true, they are fetched into the
    cache (this needs the extra `download`: pip install pooch), and their SHA-256 is checked.

    Args:
        validation: how many of the last training images to hold out, 0 to 59,999 (of the full set).

    Raises:
        FileNotFoundError: the files are nowhere; the message says which belong where.
        ValueError: a file isn't what it should be.
    """
    found = _find_mnist(directory, download)
    images, labels, test_images, test_labels = (read_idx(path) for path in found)
    train = _mnist_examples(images, labels, found[0], found[1])
    test = _mnist_examples(test_images, test_labels, found[2], found[3])
    check_integer("validation", validation, at_least=0, at_most=len(train) - 1)
    split = len(train) - validation
    return train[:split], train[split:], test


def _mnist_examples(images: Array, labels: Array, images_path: Path, labels_path: Path) -> Examples:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28) or len(images) == 0:
        raise ValueError(f"{images_path}: holds {images.dtype} of shape {images.shape}, but images are uint8, (n, 28, 28)")
    if labels.dtype != np.uint8 or labels.shape != (len(images),):
        raise ValueError(
            f"{labels_path}: holds {labels.dtype} of shape {labels.shape}, but labels are uint8, ({len(images)},), "
            f"one for each image of {images_path.name}"
        )
    if labels.max() > 9:
        raise ValueError(f"{labels_path}: holds label {labels.max()}, but digits are 0 to 9")
    return Examples(images.reshape(len(images), 784), labels.astype(np.int64))


def cache_directory() -> Path:
    """Where downloaded data is kept: ~/.cache/mlp, or its like on other systems."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "mlp"


def _find_mnist(directory: str | os.PathLike[str] | None, download: bool) -> list[Path]:
    """The paths of the four files, downloaded if need be."""
    if directory is not None:
        places = [Path(directory)]
    else:
        variable = os.environ.get("MLP_DATA")
        checkout = Path(__file__).resolve().parent.parent / "data"
        places = ([Path(variable)] if variable else []) + [checkout, cache_directory()]
    places = [place for base in places for place in (base, base / "mnist")]
    for place in places:
        paths = [_either(place / name) for name in MNIST]
        if any(paths):
            missing = [name for name, path in zip(MNIST, paths, strict=True) if path is None]
            if missing and directory is None and download and place == cache_directory() / "mnist":
                break  # a download that was interrupted: fetch the rest
            if missing:
                raise FileNotFoundError(f"{place}: MNIST is incomplete: {', '.join(missing)} (or the same with .gz) is missing")
            return [path for path in paths if path is not None]
    if directory is None and download:
        return _download_mnist(cache_directory() / "mnist")
    raise FileNotFoundError(_nowhere(places, advice=""))


_INSTALL = ", or install the downloader: pip install pooch"


def _nowhere(places: list[Path], advice: str = "") -> str:
    """What to say when MNIST is not to be found."""
    return (
        f"MNIST was not found in {', '.join(map(str, places))}. Put its four files, {', '.join(MNIST)} (each as it is or "
        f"with .gz), into one of these directories{advice}"
    )


def _either(path: Path) -> Path | None:
    """The file, or else the same with .gz, or else nothing."""
    return next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)


def _download_mnist(directory: Path) -> list[Path]:
    """Fetch the four files through pooch: each is checked before it takes its name, so none is ever half-written."""
    try:
        import pooch
    except ImportError as error:
        raise FileNotFoundError(_nowhere([directory], advice=_INSTALL)) from error
    directory.mkdir(parents=True, exist_ok=True)
    return [_either(directory / name) or _download(pooch, name, sha256, directory) for name, sha256 in MNIST.items()]


def _download(pooch: Any, name: str, sha256: str, directory: Path) -> Path:
    """Fetch one file from the first mirror that has it; the checksum is of the content, not of the gzip around it."""
    failures = []
    for mirror in MIRRORS:
        # a directory of this download's own: no other one's leavings are in it, and it goes with all that is in it
        with tempfile.TemporaryDirectory(prefix=".download-", dir=directory) as room:
            try:
                packed = Path(pooch.retrieve(f"{mirror}{name}.gz", known_hash=None, fname=name, path=room, progressbar=True))
                if _sha256_of_content(packed) == sha256:
                    return packed.replace(directory / f"{name}.gz")
                failures.append(f"{mirror}: the content's SHA-256 is not {sha256}")
            except Exception as error:  # whatever the network does, the next mirror may do better
                failures.append(f"{mirror}: {error}")
    raise OSError(f"MNIST: {name} could not be downloaded: {'; '.join(failures)}. {_nowhere([directory])}")


def _sha256_of_content(packed: Path) -> str:
    """The SHA-256 of what a gzip file holds."""
    digest = hashlib.sha256()
    with gzip.open(packed, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
