"""MNIST as published; directories of files named as its are; its places on disk."""

import gzip
import hashlib
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp.data import cache_directory, load_mnist, mnist, read_idx_directory

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = NAMES


def labels(*values):
    return np.array(values, np.uint8)


def images(n, first=0, shape=(28, 28)):
    """n images (n, height, width); every pixel of image i is first + i."""
    return np.tile(np.arange(first, first + n, dtype=np.uint8)[:, None, None], (1, *shape))


# ---- MNIST as it was published


@pytest.fixture(scope="module")
def published():
    return load_mnist(ROOT / "data")


@pytest.fixture(scope="module")
def content():
    """The content of the files in data/mnist, unpacked without the package's help."""
    return {name: gzip.decompress((ROOT / "data" / "mnist" / f"{name}.gz").read_bytes()) for name in NAMES}


def test_the_files_are_those_that_the_readme_and_the_package_state(content):
    rows = re.findall(r"^\| (\S+) \| ([\d,]+) \| ([0-9a-f]{64}) \|$", (ROOT / "data" / "README.md").read_text("utf-8"), re.M)
    assert [row[0] for row in rows] == list(NAMES)
    for name, size, sha256 in rows:
        assert len(content[name]) == int(size.replace(",", ""))
        assert hashlib.sha256(content[name]).hexdigest() == sha256
    assert {name: sha256 for name, _, sha256 in rows} == mnist.MNIST


def test_mnist_has_its_published_sizes_and_is_known_by_its_hashes(published):
    assert [len(part) for part in published] == [50_000, 10_000, 10_000]
    for part in published:
        assert part.X.shape == (len(part), 784)
        assert part.X.dtype == np.uint8
        assert part.y.shape == (len(part),)
        assert part.y.dtype.kind == "i"
        assert (part.name, part.image_shape, part.classes) == ("MNIST", (28, 28), tuple("0123456789"))


def test_mnist_has_its_published_labels(published):
    train, validation, test = published
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    every = np.concatenate([train.y, validation.y])
    # the well-known counts of the digits
    assert np.bincount(every).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_has_its_published_mean_and_deviation(published):
    train, validation, _ = published
    X = [part.X[start : start + 10_000] for part in (train, validation) for start in range(0, len(part), 10_000)]
    mean = sum(int(x.sum(dtype=np.int64)) for x in X) / 255 / 47_040_000
    mean_square = sum(int(np.square(x, dtype=np.uint16).sum(dtype=np.int64)) for x in X) / 255**2 / 47_040_000
    assert mean == pytest.approx(0.1307, abs=5e-5)  # the constants in PyTorch's MNIST example
    assert math.sqrt(mean_square - mean**2) == pytest.approx(0.3081, abs=5e-5)


def test_the_last_10_000_are_the_validation_set(published, content):
    train, validation, test = published
    assert train.X.tobytes() == content["train-images-idx3-ubyte"][16 : 16 + 50_000 * 784]
    assert validation.X.tobytes() == content["train-images-idx3-ubyte"][16 + 50_000 * 784 :]
    assert test.X.tobytes() == content["t10k-images-idx3-ubyte"][16:]
    assert bytes(train.y.tolist()) == content["train-labels-idx1-ubyte"][8 : 8 + 50_000]
    assert bytes(validation.y.tolist()) == content["train-labels-idx1-ubyte"][8 + 50_000 :]
    assert bytes(test.y.tolist()) == content["t10k-labels-idx1-ubyte"][8:]


def test_training_and_validation_share_one_array(published):
    train, validation, _ = published
    assert train.X.base is not None
    assert train.X.base is validation.X.base


# ---- directories of files named as MNIST's are


def letters():
    """The four files' arrays of 2 × 3 images in 26 classes."""
    arrays = images(4, shape=(2, 3)), labels(25, 0, 3, 3), images(2, 50, shape=(2, 3)), labels(1, 24)
    return dict(zip(NAMES, arrays, strict=True))


@pytest.mark.parametrize(
    "spelled",
    [
        lambda name: name,
        lambda name: f"{name}.gz",
        lambda name: f"emnist-letters-{name.replace('t10k', 'test')}.gz",
        lambda name: name.replace("-idx", ".idx"),
        lambda name: f"my.{name.replace('t10k', 'test').replace('-idx', '.idx')}",
    ],
)
def test_a_directory_says_what_its_examples_are(tmp_path, put, spelled):
    files = {spelled(name): array for name, array in letters().items()}
    train, test = read_idx_directory(put(tmp_path / "drawings", files))
    assert train.X.tolist() == [[i] * 6 for i in range(4)]
    assert test.X.tolist() == [[50] * 6, [51] * 6]
    assert (train.y.tolist(), test.y.tolist()) == ([25, 0, 3, 3], [1, 24])
    for part in (train, test):
        assert (part.name, part.image_shape) == ("drawings", (2, 3))
        assert part.classes == tuple(str(k) for k in range(26))


def test_mnist_is_called_so_only_where_every_file_is_as_published(tmp_path, put, content):
    assert {part.name for part in read_idx_directory(ROOT / "data" / "mnist")} == {"MNIST"}
    for altered in (TRAIN_X, TEST_Y):
        last = bytes([content[altered][-1] ^ 1])
        place = put(tmp_path / "MNIST", content | {altered: content[altered][:-1] + last})
        assert {part.name for part in read_idx_directory(place)} == {"MNIST (not as published)"}


def test_the_original_stands_before_other_sets_and_one_of_several_must_be_chosen(tmp_path, tiny_mnist, put, refused):
    for prefix in ("emnist-balanced-", "emnist-letters-"):
        place = put(tmp_path, {prefix + name: array for name, array in letters().items()})
    with refused(ValueError, f"{place}: holds several sets of files, emnist-balanced-…, emnist-letters-…: move"):
        read_idx_directory(place)
    assert read_idx_directory(put(place, tiny_mnist()))[0].image_shape == (28, 28)


def test_directories_that_cannot_be_read(tmp_path, put, refused):
    for load in (read_idx_directory, load_mnist):
        with refused(TypeError, "directory: received 5 (int), but it must be a path"):
            load(5)
        with refused(ValueError, "directory: received '' (str)"):
            load("")
        file = tmp_path / "data.csv"
        file.touch()
        with refused(ValueError, "directory: received", "data.csv", "must be a directory"):
            load(str(file))
    with refused(FileNotFoundError, f"{tmp_path}: {', '.join(NAMES)} (or the same with .gz) is missing"):
        read_idx_directory(tmp_path)
    put(tmp_path, letters() | {TEST_X: images(2, shape=(3, 2))})
    with refused(ValueError, f"{tmp_path / TEST_X}: holds images of (3, 2), but those of {TRAIN_X} are of (2, 3)"):
        read_idx_directory(tmp_path)


# ---- MNIST's places on disk


@pytest.mark.parametrize("inside", ["", "mnist"])
@pytest.mark.parametrize("present", [("variable", "checkout", "cache"), ("checkout", "cache"), ("cache",)])
def test_the_order_of_the_places(places, tiny_mnist, put, inside, present):
    for label, place in enumerate(present):
        put(places[place] / inside, tiny_mnist(label))
    train, _, _ = load_mnist(validation=0)
    assert train.y.tolist() == [0, 1, 2, 3, 9]  # the first one's


def test_a_directory_that_is_given_is_the_only_place(places, tiny_mnist, put, refused):
    for label, place in enumerate(places, 1):
        put(places[place], tiny_mnist(label))
    assert load_mnist(places["given"], validation=0)[0].y[0] == 4
    assert load_mnist(str(places["given"]), validation=0)[0].y[0] == 4
    empty = places["given"].parent / "empty"
    empty.mkdir()
    for directory in (empty, empty / "nowhere"):
        with refused(FileNotFoundError, f"MNIST was not found in {directory}", *NAMES):
            load_mnist(directory, validation=0)


def test_the_variable_may_be_empty_or_unset(places, tiny_mnist, put, monkeypatch):
    put(places["checkout"], tiny_mnist(6))
    monkeypatch.setenv("MLP_DATA", "")
    assert load_mnist(validation=0)[0].y[0] == 6
    monkeypatch.delenv("MLP_DATA")
    assert load_mnist(validation=0)[0].y[0] == 6


def test_the_checkouts_data_is_what_a_stranger_gets(published, monkeypatch):
    monkeypatch.delenv("MLP_DATA", raising=False)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    train, validation, test = mlp.load_mnist()
    for found, expected in zip((train, validation, test), published, strict=True):
        assert len(found) == len(expected)
    np.testing.assert_array_equal(test.X, published[2].X)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_cache_is_where_the_system_keeps_such_things(tmp_path, monkeypatch, platform):
    # XDG Base Directory Specification; Apple's File System Programming Guide; Windows' known folders
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    usual = {"linux": ".cache", "darwin": "Library/Caches", "win32": "AppData/Local"}[platform]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        assert cache_directory() == tmp_path / usual / "mlp"
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
        patch.setenv("LOCALAPPDATA", str(tmp_path / "l"))
        chosen = {"linux": tmp_path / "x", "darwin": tmp_path / "Library" / "Caches", "win32": tmp_path / "l"}[platform]
        assert cache_directory() == chosen / "mlp"


def test_nowhere_names_the_places_and_the_files(places, refused):
    expected = [f"{places[place] / inside}" for place in ("variable", "checkout", "cache") for inside in ("", "mnist")]
    with refused(FileNotFoundError, "MNIST was not found", *expected, *NAMES, ".gz"):
        load_mnist(download=False)
    assert not places["cache"].exists()


@pytest.mark.parametrize("place", ["given", "variable"])
@pytest.mark.parametrize("missing", [NAMES[:1], NAMES[1:2], NAMES[2:], NAMES[:3]], ids=len)
def test_an_incomplete_set(places, tiny_mnist, put, refused, place, missing):
    put(places["checkout"], tiny_mnist())  # it doesn't fall back on these in silence
    put(places[place], {name: content for name, content in tiny_mnist().items() if name not in missing})
    with refused(FileNotFoundError, f"{places[place]}: {', '.join(missing)} (or the same with .gz) is missing"):
        load_mnist(places["given"] if place == "given" else None)


def test_compressed_and_plain_files_mix(places, tiny_mnist, put):
    files = tiny_mnist(5)
    for name in NAMES[::2]:
        files[f"{name}.gz"] = files.pop(name)
    train, _, test = load_mnist(put(places["given"], files), validation=0)
    assert train.y.tolist() == [5, 1, 2, 3, 9]
    assert train.X[:, 0].tolist() == train.X[:, 783].tolist() == [0, 1, 2, 3, 4]
    assert test.y.tolist() == [7, 8, 0]
    assert test.X[:, 0].tolist() == [100, 101, 102]


def test_names_do_not_decide_what_is_compressed(tmp_path, tiny_mnist, write_idx):
    for name, array in tiny_mnist(5).items():
        write_idx(tmp_path / "plain" / name, array).rename(tmp_path / "plain" / f"{name}.gz")
        write_idx(tmp_path / "packed" / f"{name}.gz", array).rename(tmp_path / "packed" / name)
    for place in ("plain", "packed"):
        assert load_mnist(tmp_path / place, validation=0)[0].y.tolist() == [5, 1, 2, 3, 9]


def test_there_are_ten_digits_even_where_some_do_not_occur(places, put, tiny_mnist):
    put(places["given"], tiny_mnist() | {TRAIN_Y: labels(0, 1, 0, 1, 0)})
    assert {part.classes for part in load_mnist(places["given"], validation=1)} == {tuple("0123456789")}


@pytest.mark.parametrize(("validation", "split"), [(0, 5), (1, 4), (np.int64(2), 3), (4, 1)])
def test_the_validation_set_is_the_last_of_the_training_images(places, tiny_mnist, put, validation, split):
    train, held_out, test = load_mnist(put(places["given"], tiny_mnist()), validation=validation)
    assert train.y.tolist() == [0, 1, 2, 3, 9][:split]
    assert held_out.y.tolist() == [0, 1, 2, 3, 9][split:]
    assert train.X[:, 7].tolist() == [0, 1, 2, 3, 4][:split]
    assert held_out.X[:, 7].tolist() == [0, 1, 2, 3, 4][split:]
    assert len(test) == 3
    assert held_out.X.shape == (5 - split, 784)


@pytest.mark.parametrize(("validation", "kind"), [(-1, ValueError), (5, ValueError), (1.0, TypeError)])
def test_a_validation_set_that_cannot_be(places, tiny_mnist, put, refused, validation, kind):
    put(places["given"], tiny_mnist())
    with refused(kind, f"validation: received {validation} (", "at least 0 and at most 4"):
        load_mnist(places["given"], validation=validation)


# ---- files that aren't what their names say


@pytest.mark.parametrize(
    ("changed", "named", "said"),
    [
        ({TRAIN_X: labels(1, 2, 3)}, TRAIN_X, ["uint8 of shape (3,)", "images are uint8, (n, height, width)"]),
        ({TEST_X: images(5).reshape(5, 784)}, TEST_X, ["uint8 of shape (5, 784)", "images are uint8, (n, height, width)"]),
        ({TRAIN_Y: images(5)}, TRAIN_Y, ["uint8 of shape (5, 28, 28)", "labels are uint8, (5,)", TRAIN_X]),
        ({TRAIN_X: images(3)}, TRAIN_Y, ["shape (5,)", "(3,)", f"one for each image of {TRAIN_X}"]),
        ({TEST_Y: labels(0, 0, 0, 0)}, TEST_Y, ["shape (4,)", "(3,)", f"one for each image of {TEST_X}"]),
        ({TRAIN_Y: labels(0, 1, 10, 3, 4)}, TRAIN_Y, ["holds label 10", "digits are 0 to 9"]),
        ({TEST_Y: labels(255, 0, 0)}, TEST_Y, ["holds label 255", "digits are 0 to 9"]),
        ({name: images(n, shape=(32, 32)) for name, n in ((TRAIN_X, 5), (TEST_X, 3))}, TRAIN_X, ["(32, 32)", "(28, 28)"]),
        ({TRAIN_X: images(5).astype(np.int8)}, TRAIN_X, ["int8 of shape", "images are uint8"]),
        ({TRAIN_Y: labels(0, 1, 2, 3, 4).astype(np.int32)}, TRAIN_Y, ["int32 of shape (5,)", "labels are uint8"]),
        ({TRAIN_X: images(0), TRAIN_Y: labels()}, TRAIN_X, ["(0, 28, 28)"]),
        ({TEST_X: images(3, shape=(28, 0))}, TEST_X, ["(3, 28, 0)"]),
        ({TRAIN_Y: b""}, TRAIN_Y, ["not an IDX file"]),
        ({TEST_Y: gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 0]))[:-4]}, TEST_Y, ["gzip data is damaged or cut short"]),
    ],
)
def test_files_that_are_not_mnist(places, tiny_mnist, put, refused, changed, named, said):
    put(places["given"], tiny_mnist() | changed)
    with refused(ValueError, f"{places['given'] / named}: ", *said):
        load_mnist(places["given"], validation=0)
