"""MNIST, and directories of IDX files named as its files are; where MNIST is looked for, and how it is downloaded.

Read `read_idx_directory` first, then `load_mnist`.
"""

import gzip
import hashlib
import os
import struct
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer, check_path
from mlp.data.examples import Examples
from mlp.data.idx import read_idx
from mlp.data.preparation import image_preparation

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


# Directories of IDX files


def read_idx_directory(directory: str | os.PathLike[str]) -> tuple[Examples, Examples]:
    """The (train, test) examples in a directory of four IDX files named as MNIST's are: Fashion-MNIST, KMNIST, EMNIST …

    X is (n, pixels) of 8-bit intensities, y (n,) integers from 0. The image shape and the number of classes, whose names
    are their numbers, are those of the files. The name is the directory's, but "MNIST" where the files' SHA-256 say so.

    Each file may be compressed (.gz). A prefix that all have in common, such as EMNIST's "emnist-letters-", "test" for
    "t10k", and a dot before "idx" are understood. Images are taken as they are stored (EMNIST's are transposed).

    Raises:
        TypeError: the directory is no text and no `os.PathLike`.
        FileNotFoundError: there is no such directory, or a file is missing.
        ValueError: a file isn't what it should be, the files don't fit together, or there are several sets of them.
    """
    place = _check_directory(directory)
    paths = _find_files(place)
    _refuse_missing(place, paths)
    return _read_files(place, [path for path in paths if path is not None])


def _check_directory(value: Any) -> Path:
    directory = check_path("directory", value)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"directory: received {str(directory)!r}, but it must be a directory")
    return directory


def _find_files(directory: Path) -> list[Path | None]:
    """The paths of training images, training labels, test images and test labels, None where there is none."""
    present = {path.name for path in directory.iterdir() if path.is_file()} if directory.is_dir() else set()

    def find(name: str) -> Path | None:
        spellings = (spelling + ending for spelling in _spellings(name) for ending in ("", ".gz"))
        return next((directory / spelling for spelling in spellings if spelling in present), None)

    prefixes = {file[: file.index(name)] for file in present for name in _spellings(next(iter(MNIST))) if name in file}
    if len(prefixes) > 1 and "" not in prefixes:
        raise ValueError(
            f"{directory}: holds several sets of files, {', '.join(f'{prefix}…' for prefix in sorted(prefixes))}: move the one "
            "that is meant into a directory of its own"
        )
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    return [find(prefix + name) for name in MNIST]


def _spellings(name: str) -> list[str]:
    """One of MNIST's names in the spellings that are in use, the original first."""
    return [spelling.replace("-idx", dot) for dot in ("-idx", ".idx") for spelling in (name, name.replace("t10k-", "test-"))]


def _refuse_missing(place: Path, paths: list[Path | None]) -> None:
    missing = [name for name, path in zip(MNIST, paths, strict=True) if path is None]
    if missing:
        raise FileNotFoundError(f"{place}: {', '.join(missing)} (or the same with .gz) is missing")


def _read_files(place: Path, paths: list[Path]) -> tuple[Examples, Examples]:
    """What `read_idx_directory` returns, from the four files at these paths."""
    train_images, train_labels, test_images, test_labels = arrays = [read_idx(path) for path in paths]
    _check_pair(train_images, train_labels, paths[0], paths[1])
    _check_pair(test_images, test_labels, paths[2], paths[3])
    image_shape = train_images.shape[1:]
    if test_images.shape[1:] != image_shape:
        raise ValueError(
            f"{paths[2]}: holds images of {test_images.shape[1:]}, but those of {paths[0].name} are of {image_shape}"
        )
    classes = tuple(map(str, range(int(max(train_labels.max(), test_labels.max())) + 1)))
    name = place.resolve().name
    if _is_mnist(arrays):
        name = "MNIST"
    elif name.casefold() == "mnist":
        name += " (not as published)"
    preparation = image_preparation(image_shape, classes, train_images)
    train, test = (
        Examples(images.reshape(len(images), -1), labels.astype(np.int64), classes, image_shape, name, preparation)
        for images, labels in ((train_images, train_labels), (test_images, test_labels))
    )
    return train, test


def _check_pair(images: Array, labels: Array, images_path: Path, labels_path: Path) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.size == 0:
        raise ValueError(
            f"{images_path}: holds {images.dtype} of shape {images.shape}, but images are uint8, (n, height, width)"
        )
    if labels.dtype != np.uint8 or labels.shape != (len(images),):
        raise ValueError(
            f"{labels_path}: holds {labels.dtype} of shape {labels.shape}, but labels are uint8, ({len(images)},), "
            f"one for each image of {images_path.name}"
        )


def _is_mnist(arrays: list[Array]) -> bool:
    """Whether these are the arrays of MNIST's files. The smallest are hashed first: what isn't MNIST differs there already."""
    expected = zip(arrays, MNIST.values(), strict=True)
    return all(_sha256_of_idx(array) == sha256 for array, sha256 in sorted(expected, key=lambda pair: pair[0].size))


def _sha256_of_idx(array: Array) -> str:
    """The SHA-256 of the uncompressed IDX file that holds this array of uint8."""
    digest = hashlib.sha256(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape))
    digest.update(array.data)
    return digest.hexdigest()


# MNIST


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
        TypeError: the directory is neither None, a text nor an `os.PathLike`, or `validation` is no integer.
        FileNotFoundError: the files are nowhere; the message says which belong where.
        ValueError: a file isn't what it should be.
    """
    place, paths = _find_mnist(None if directory is None else _check_directory(directory), download)
    train, test = _read_files(place, paths)
    for part, images_path, labels_path in ((train, paths[0], paths[1]), (test, paths[2], paths[3])):
        if part.image_shape != (28, 28):
            raise ValueError(f"{images_path}: holds images of {part.image_shape}, but digits are of (28, 28)")
        if part.y.max() > 9:
            raise ValueError(f"{labels_path}: holds label {part.y.max()}, but digits are 0 to 9")
    digits = tuple("0123456789")
    known = image_preparation((28, 28), digits, train.X.reshape(-1, 28, 28))
    train, test = (replace(part, classes=digits, preparation=known) for part in (train, test))
    check_integer("validation", validation, at_least=0, at_most=len(train) - 1)
    split = len(train) - validation
    return train[:split], train[split:], test


def cache_directory() -> Path:
    """Where downloaded data is kept: ~/.cache/mlp, or its like on other systems."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "mlp"


def _find_mnist(directory: Path | None, download: bool) -> tuple[Path, list[Path]]:
    """The place of the four files and their paths, downloaded if need be."""
    if directory is not None:
        bases = [directory]
    else:
        variable = os.environ.get("MLP_DATA")
        checkout = Path(__file__).resolve().parents[2] / "data"
        bases = ([Path(variable)] if variable else []) + [checkout, cache_directory()]
    places = [place for base in bases for place in (base, base / "mnist")]
    may_download = directory is None and download
    for place in places:
        paths = _find_files(place)
        found = [path for path in paths if path is not None]
        if found and len(found) < len(paths) and may_download and place == cache_directory() / "mnist":
            break  # a download that was interrupted: fetch the rest
        if found:
            _refuse_missing(place, paths)
            return place, found
    if may_download:
        place = cache_directory() / "mnist"
        return place, _download_mnist(place)
    raise FileNotFoundError(_nowhere(places))


# The download


def _nowhere(places: list[Path], advice: str = "") -> str:
    """What to say when MNIST is not to be found."""
    return (
        f"MNIST was not found in {', '.join(map(str, places))}. Put its four files, {', '.join(MNIST)} (each as it is or "
        f"with .gz), into one of these directories{advice}"
    )


def _download_mnist(directory: Path) -> list[Path]:
    """Fetch the files that are missing through pooch: each is checked before it takes its name, so none is half-written."""
    try:
        import pooch
    except ImportError as error:
        advice = ", or install the downloader: pip install pooch"
        raise FileNotFoundError(_nowhere([directory], advice)) from error
    directory.mkdir(parents=True, exist_ok=True)
    present = zip(MNIST.items(), _find_files(directory), strict=True)
    return [path or _download(pooch, name, sha256, directory) for (name, sha256), path in present]


def _download(pooch: Any, name: str, sha256: str, directory: Path) -> Path:
    """Fetch one file from the first mirror that has it; the checksum is of the content, not of the gzip around it."""
    failures = []
    for mirror in MIRRORS:
        # a directory of this attempt's own: it starts empty, and is removed with whatever an attempt leaves in it
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
