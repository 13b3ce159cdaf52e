"""IDX files written by hand, MNIST as published, and MNIST's places on disk and on a server of the test's own.

The IDX format: http://yann.lecun.com/exdb/mnist.
"""

import gzip
import hashlib
import math
import os
import re
import struct
import sys
import threading
import tracemalloc
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp import data
from mlp.data import Examples, batches, cache_directory, load_mnist, read_idx

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(code, shape, content):
    """The bytes of an IDX file."""
    return bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + content


def images_file(n, first=0):
    """An IDX file of n images; every pixel of image i is first + i."""
    return idx(8, (n, 28, 28), b"".join(bytes([first + i]) * 784 for i in range(n)))


def labels_file(labels):
    return idx(8, (len(labels),), bytes(labels))


def tiny_mnist(mark=0):
    """The four files' content: five training and three test examples. The first label is `mark`."""
    return dict(
        zip(
            NAMES,
            (images_file(5), labels_file([mark, 1, 2, 3, 9]), images_file(3, 100), labels_file([7, 8, 0])),
            strict=True,
        )
    )


def put(directory, files):
    """Write files, {name: content}, into a directory, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


@contextmanager
def refused(kind, *parts):
    """The error must be of that kind, and its message must have all these parts."""
    with pytest.raises(kind, match=re.escape(str(parts[0]))) as caught:
        yield
    for part in parts:
        assert str(part) in str(caught.value)


# ---- IDX files


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("code", "dtype", "content", "values"),
    [
        (0x08, "uint8", "00 01 7f 80 ff 2a", [0, 1, 127, 128, 255, 42]),
        (0x09, "int8", "00 01 7f 80 ff 2a", [0, 1, 127, -128, -1, 42]),
        (0x0B, "int16", "0001 0100 7fff 8000 ffff 0203", [1, 256, 32767, -32768, -1, 515]),
        (
            0x0C,
            "int32",
            "00000001 01000000 7fffffff 80000000 ffffffff 01020304",
            [1, 2**24, 2**31 - 1, -(2**31), -1, 16909060],
        ),
        # IEEE 754: sign, 8 bits of exponent + 127, 23 of fraction; sign, 11 bits of exponent + 1023, 52 of fraction
        (0x0D, "float32", "3f800000 c0200000 00000000 3e200000 7f800000 00000001", [1, -2.5, 0, 0.15625, math.inf, 2.0**-149]),
        (
            0x0E,
            "float64",
            "3ff0000000000000 c004000000000000 0000000000000000 3fc4000000000000 7ff0000000000000 0000000000000001",
            [1, -2.5, 0, 0.15625, math.inf, 5e-324],
        ),
    ],
)
def test_every_type_is_read_in_big_endian_order(tmp_path, compressed, code, dtype, content, values):
    path = tmp_path / "array"
    raw = idx(code, (3, 2), bytes.fromhex(content))
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    array = read_idx(path)
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    assert array.tolist() == [values[0:2], values[2:4], values[4:6]]  # the last index runs fastest


@pytest.mark.parametrize(
    ("shape", "n"), [((0,), 0), ((4,), 4), ((1, 1), 1), ((0, 28, 28), 0), ((2, 3, 4), 24), ((1, 2, 1, 2, 1), 4)]
)
def test_every_shape_is_read(tmp_path, shape, n):
    (tmp_path / "array").write_bytes(idx(8, shape, bytes(range(n))))
    array = read_idx(str(tmp_path / "array"))
    assert array.shape == shape
    assert array.ravel().tolist() == list(range(n))


def test_a_file_that_is_not_there(tmp_path):
    with refused(FileNotFoundError, tmp_path / "nothing"):
        read_idx(tmp_path / "nothing")


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("", "nothing"),
        ("00 00 08", "00 00 08"),
        ("01 00 08 01 00000000", "01 00 08 01"),
        ("00 01 08 01 00000000", "00 01 08 01"),
        ("00 00 0a 01 00000000", "00 00 0a 01"),  # 0a is no type
        ("00 00 00 01 00000000", "00 00 00 01"),
        ("00 00 0f 01 00000000", "00 00 0f 01"),
        ("00 00 08 00 00", "00 00 08 00"),  # no dimensions
        ("89 50 4e 47 0d 0a 1a 0a", "89 50 4e 47"),  # PNG
        ("03 08 00 00 60 ea 00 00", "03 08 00 00"),  # little-endian
    ],
)
def test_what_does_not_start_as_idx_does(tmp_path, compressed, start, said):
    path, raw = tmp_path / "array", bytes.fromhex(start)
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    with refused(
        ValueError, f"{path}: not an IDX file: it starts with {said}, but must start with 00 00", "08, 09, 0b, 0c, 0d, 0e"
    ):
        read_idx(path)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_a_file_cut_short_anywhere(tmp_path, compressed):
    path, whole = tmp_path / "array", idx(0x0B, (2, 3), bytes(12))
    for length in range(len(whole)):
        path.write_bytes(gzip.compress(whole[:length]) if compressed else whole[:length])
        with refused(ValueError, path):
            read_idx(path)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_numbers_that_are_missing_or_too_many(tmp_path, compressed):
    pack = gzip.compress if compressed else bytes
    path = tmp_path / "array"
    path.write_bytes(pack(idx(0x0B, (2, 3), bytes(11))))
    with refused(ValueError, path, "promises 12 bytes (shape (2, 3), 2 each)", "ends after 11" if compressed else "too short"):
        read_idx(path)
    path.write_bytes(pack(idx(0x0B, (2, 3), bytes(13))))
    with refused(ValueError, path, "promises 12 bytes (shape (2, 3), 2 each)", "more follow"):
        read_idx(path)
    path.write_bytes(pack(idx(0x0B, (2, 3), b"")[:10]))
    with refused(ValueError, path, "promises 2 dimensions, but ends after 1"):
        read_idx(path)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("code", [0x08, 0x0E])
@pytest.mark.parametrize("shape", [(2**32 - 1, 28, 28), (2**32 - 1,) * 4, (100_000_000,), (2**32 - 1,) * 255])
def test_a_header_is_not_believed(tmp_path, compressed, code, shape):
    path = tmp_path / "array"
    raw = idx(code, shape, bytes(1_000))
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    tracemalloc.start()
    try:
        with refused(ValueError, path, f"promises {math.prod(shape) * (1 if code == 8 else 8):,} bytes", "too short"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_promise_that_gzip_could_keep_takes_no_memory_before_it_is_kept(tmp_path):
    path = tmp_path / "array"
    noise = np.random.default_rng(0).bytes(100_000)
    path.write_bytes(gzip.compress(idx(8, (100_000_000,), noise)))  # deflate's best would make 103,000,000 of this file
    tracemalloc.start()
    try:
        with refused(ValueError, path, "promises 100,000,000 bytes", "ends after 100,000"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_content_that_compresses_best_is_read(tmp_path):
    (tmp_path / "zeros").write_bytes(gzip.compress(idx(8, (5_000, 1_000), bytes(5_000_000))))
    assert (tmp_path / "zeros").stat().st_size < 5_000  # about a thousandth: close to deflate's limit
    array = read_idx(tmp_path / "zeros")
    assert array.shape == (5_000, 1_000)
    assert not array.any()


@pytest.mark.parametrize(
    ("shape", "content"),
    [((1,) * 65, b"\x07"), ((1,) * 255, b"\x07"), ((0, *(2**32 - 1,) * 3), b""), ((2**32 - 1, 2**32 - 1, 0), b"")],
    ids=["65 dimensions", "255 dimensions", "none of too many", "too many of none"],
)
def test_shapes_that_numpy_cannot_have(tmp_path, shape, content):
    path = tmp_path / "array"
    path.write_bytes(idx(8, shape, content))
    with refused(ValueError, path, "dimension"):
        read_idx(path)


def test_a_gzip_file_cut_short_anywhere(tmp_path):
    path = tmp_path / "array.gz"
    whole = gzip.compress(idx(8, (60,), np.random.default_rng(0).bytes(60)))
    path.write_bytes(whole)
    for length in reversed(range(len(whole))):
        os.truncate(path, length)
        with refused(ValueError, path):
            read_idx(path)
    path.write_bytes(whole[:-9])
    with refused(ValueError, f"{path}: the gzip data is damaged or cut short"):
        read_idx(path)


def read_or_error(path):
    """The array in a file, or the words of the ValueError."""
    try:
        return read_idx(path), None
    except ValueError as error:
        return None, str(error)


def test_a_gzip_file_with_a_wrong_bit_anywhere(tmp_path):
    path = tmp_path / "array.gz"
    noise = np.random.default_rng(0).bytes(30)
    whole = gzip.compress(idx(8, (30,), noise), mtime=0)
    path.write_bytes(whole)
    refusals = 0
    with path.open("r+b", buffering=0) as stream:
        for bit in range(8 * len(whole)):
            position = bit // 8
            os.pwrite(stream.fileno(), bytes([whole[position] ^ 1 << bit % 8]), position)
            array, error = read_or_error(path)
            if error is None:
                assert array.tobytes() == noise  # it was a bit of the time stamp or the like
            else:
                assert str(path) in error
                refusals += 1
            os.pwrite(stream.fileno(), whole[position : position + 1], position)
    assert refusals > 8 * (len(whole) - 10)  # all but some of the gzip header's 10 bytes


def test_a_gzip_file_with_garbage_behind(tmp_path):
    path = tmp_path / "array.gz"
    path.write_bytes(gzip.compress(idx(8, (3,), b"abc")) + b"garbage")
    with refused(ValueError, path, "gzip data is damaged"):
        read_idx(path)


# ---- Examples and batches


def test_examples_are_sliced_without_a_copy():
    examples = Examples(np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(6))
    assert len(examples) == 6
    part = examples[1:4]
    assert isinstance(part, Examples)
    assert len(part) == 3
    assert part.X.tolist() == [[2, 3], [4, 5], [6, 7]]
    assert part.y.tolist() == [1, 2, 3]
    assert np.shares_memory(part.X, examples.X)
    assert np.shares_memory(part.y, examples.y)


@pytest.mark.parametrize("rows", [[4, 0], np.array([4, 0]), slice(4, None, -4)])
def test_examples_are_picked(rows):
    part = Examples(np.arange(12).reshape(6, 2), np.arange(6) * 10)[rows]
    assert part.X.tolist() == [[8, 9], [0, 1]]
    assert part.y.tolist() == [40, 0]


def test_examples_are_picked_by_a_mask_and_keep_the_columns_of_their_targets():
    part = Examples(np.arange(6).reshape(3, 2), np.eye(3))[np.array([True, False, True])]
    assert part.X.tolist() == [[0, 1], [4, 5]]
    assert part.y.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_examples_do_not_change():
    examples = Examples(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(FrozenInstanceError):
        examples.X = np.ones((2, 3))


@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [((3, 2), (4,)), ((3, 2), (2, 3)), ((3,), (3,)), ((3, 28, 28), (3,)), ((3, 2), (3, 1, 1)), ((3, 2), ())],
)
def test_examples_must_fit_together(x_shape, y_shape):
    with refused(
        ValueError, f"X of shape {x_shape} and y of shape {y_shape}", "must be (n, features) and (n,) or (n, outputs)"
    ):
        Examples(np.zeros(x_shape), np.zeros(y_shape))


@pytest.mark.parametrize(("X", "y", "named"), [([[1, 2]], np.zeros(1), "X"), (np.zeros((1, 2)), [1], "y"), (None, None, "X")])
def test_examples_are_arrays(X, y, named):
    with refused((TypeError, ValueError), named, "array"):
        Examples(X, y)


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(10, 3, [3, 3, 3, 1]), (10, 5, [5, 5]), (10, 1, [1] * 10), (10, 10, [10]), (10, 64, [10]), (10, None, [10]), (1, 1, [1])],
)
def test_batches_are_a_permutation_and_the_last_is_used(n, batch_size, sizes):
    drawn = list(batches(n, batch_size, np.random.default_rng(0)))
    assert [len(batch) for batch in drawn] == sizes
    assert sorted(np.concatenate(drawn).tolist()) == list(range(n))
    assert all(batch.dtype.kind == "i" for batch in drawn)


def test_batches_come_in_a_new_order_each_time_that_the_generator_decides():
    def three_epochs(seed):
        rng = np.random.default_rng(seed)
        return [np.concatenate(list(batches(100, 7, rng))).tolist() for _ in range(3)]

    first, second, third = three_epochs(0)
    assert first != second != third != first
    assert list(range(100)) not in (first, second, third)
    assert three_epochs(0) == [first, second, third]
    assert three_epochs(1)[0] != first


def test_every_example_stands_everywhere_alike():
    rng = np.random.default_rng(0)
    first_batches = np.concatenate([next(batches(10, 3, rng)) for _ in range(2_000)])
    # binomial: 600 ± √(6,000 · 0.1 · 0.9) = ± 23; four of these
    np.testing.assert_allclose(np.bincount(first_batches), [600] * 10, atol=93)


# ---- MNIST as it was published


@pytest.fixture(scope="module")
def mnist():
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
    assert {name: sha256 for name, _, sha256 in rows} == data.MNIST


def test_mnist_has_its_published_sizes(mnist):
    train, validation, test = mnist
    assert [len(part) for part in mnist] == [50_000, 10_000, 10_000]
    for part in (train, validation, test):
        assert part.X.shape == (len(part), 784)
        assert part.X.dtype == np.uint8
        assert part.y.shape == (len(part),)
        assert part.y.dtype.kind == "i"


def test_mnist_has_its_published_labels(mnist):
    train, validation, test = mnist
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    every = np.concatenate([train.y, validation.y])
    # the well-known counts of the digits
    assert np.bincount(every).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_has_its_published_mean_and_deviation(mnist):
    train, validation, _ = mnist
    X = [part.X[start : start + 10_000] for part in (train, validation) for start in range(0, len(part), 10_000)]
    mean = sum(int(x.sum(dtype=np.int64)) for x in X) / 255 / 47_040_000
    mean_square = sum(int(np.square(x, dtype=np.uint16).sum(dtype=np.int64)) for x in X) / 255**2 / 47_040_000
    assert mean == pytest.approx(0.1307, abs=5e-5)  # the constants in PyTorch's MNIST example
    assert math.sqrt(mean_square - mean**2) == pytest.approx(0.3081, abs=5e-5)


def test_the_last_10_000_are_the_validation_set(mnist, content):
    train, validation, test = mnist
    assert train.X.tobytes() == content["train-images-idx3-ubyte"][16 : 16 + 50_000 * 784]
    assert validation.X.tobytes() == content["train-images-idx3-ubyte"][16 + 50_000 * 784 :]
    assert test.X.tobytes() == content["t10k-images-idx3-ubyte"][16:]
    assert bytes(train.y.tolist()) == content["train-labels-idx1-ubyte"][8 : 8 + 50_000]
    assert bytes(validation.y.tolist()) == content["train-labels-idx1-ubyte"][8 + 50_000 :]
    assert bytes(test.y.tolist()) == content["t10k-labels-idx1-ubyte"][8:]


def test_training_and_validation_share_one_array(mnist):
    train, validation, _ = mnist
    assert train.X.base is not None
    assert train.X.base is validation.X.base


# ---- MNIST's places on disk


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The places where MNIST is looked for, all of them in the test's own directory and not there yet; no mirrors."""
    monkeypatch.setenv("MLP_DATA", str(tmp_path / "variable"))
    monkeypatch.setattr(data, "__file__", str(tmp_path / "checkout" / "mlp" / "data.py"))
    monkeypatch.setattr(data, "cache_directory", lambda: tmp_path / "cache")
    monkeypatch.setattr(data, "MIRRORS", ())
    return {
        "variable": tmp_path / "variable",
        "checkout": tmp_path / "checkout" / "data",
        "cache": tmp_path / "cache",
        "given": tmp_path / "given",
    }


@pytest.mark.parametrize("inside", ["", "mnist"])
@pytest.mark.parametrize("present", [("variable", "checkout", "cache"), ("checkout", "cache"), ("cache",)])
def test_the_order_of_the_places(places, inside, present):
    for label, place in enumerate(present):
        put(places[place] / inside, tiny_mnist(label))
    train, _, _ = load_mnist(validation=0)
    assert train.y.tolist() == [0, 1, 2, 3, 9]  # the first one's


def test_a_directory_that_is_given_is_the_only_place(places):
    for label, place in enumerate(places, 1):
        put(places[place], tiny_mnist(label))
    assert load_mnist(places["given"], validation=0)[0].y[0] == 4
    assert load_mnist(str(places["given"]), validation=0)[0].y[0] == 4
    empty = places["given"].parent / "empty"
    empty.mkdir()
    for directory in (empty, empty / "nowhere"):
        with refused(FileNotFoundError, f"MNIST was not found in {directory}", *NAMES):
            load_mnist(directory, validation=0)


def test_the_variable_may_be_empty_or_unset(places, monkeypatch):
    put(places["checkout"], tiny_mnist(6))
    monkeypatch.setenv("MLP_DATA", "")
    assert load_mnist(validation=0)[0].y[0] == 6
    monkeypatch.delenv("MLP_DATA")
    assert load_mnist(validation=0)[0].y[0] == 6


def test_the_checkouts_data_is_what_a_stranger_gets(mnist, monkeypatch):
    monkeypatch.delenv("MLP_DATA", raising=False)
    monkeypatch.setattr(data, "MIRRORS", ())
    train, validation, test = mlp.load_mnist()
    for found, expected in zip((train, validation, test), mnist, strict=True):
        assert len(found) == len(expected)
    np.testing.assert_array_equal(test.X, mnist[2].X)


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


def test_nowhere_names_the_places_and_the_files(places):
    expected = [f"{places[place] / inside}" for place in ("variable", "checkout", "cache") for inside in ("", "mnist")]
    with refused(FileNotFoundError, "MNIST was not found", *expected, *NAMES, ".gz"):
        load_mnist(download=False)
    assert not places["cache"].exists()


@pytest.mark.parametrize("place", ["given", "variable"])
@pytest.mark.parametrize("missing", [NAMES[:1], NAMES[1:2], NAMES[2:], NAMES[:3]], ids=len)
def test_an_incomplete_set(places, place, missing):
    put(places["checkout"], tiny_mnist())  # it doesn't fall back on these in silence
    put(places[place], {name: content for name, content in tiny_mnist().items() if name not in missing})
    with refused(FileNotFoundError, f"{places[place]}: MNIST is incomplete", ".gz", *missing):
        load_mnist(places["given"] if place == "given" else None)


def test_compressed_and_plain_files_mix(places):
    files = tiny_mnist(5)
    for name in NAMES[::2]:
        files[f"{name}.gz"] = gzip.compress(files.pop(name))
    train, _, test = load_mnist(put(places["given"], files), validation=0)
    assert train.y.tolist() == [5, 1, 2, 3, 9]
    assert train.X[:, 0].tolist() == train.X[:, 783].tolist() == [0, 1, 2, 3, 4]
    assert test.y.tolist() == [7, 8, 0]
    assert test.X[:, 0].tolist() == [100, 101, 102]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_names_do_not_decide_what_is_compressed(places, suffix):
    files = {name + suffix: content if suffix else gzip.compress(content) for name, content in tiny_mnist(5).items()}
    assert load_mnist(put(places["given"], files), validation=0)[0].y.tolist() == [5, 1, 2, 3, 9]


@pytest.mark.parametrize(("validation", "split"), [(0, 5), (1, 4), (np.int64(2), 3), (4, 1)])
def test_the_validation_set_is_the_last_of_the_training_images(places, validation, split):
    train, held_out, test = load_mnist(put(places["given"], tiny_mnist()), validation=validation)
    assert train.y.tolist() == [0, 1, 2, 3, 9][:split]
    assert held_out.y.tolist() == [0, 1, 2, 3, 9][split:]
    assert train.X[:, 7].tolist() == [0, 1, 2, 3, 4][:split]
    assert held_out.X[:, 7].tolist() == [0, 1, 2, 3, 4][split:]
    assert len(test) == 3
    assert held_out.X.shape == (5 - split, 784)


@pytest.mark.parametrize("validation", [-1, 5, 10_000])
def test_a_validation_set_that_cannot_be(places, validation):
    put(places["given"], tiny_mnist())
    with refused(ValueError, f"validation: received {validation} (int)", "at least 0 and at most 4"):
        load_mnist(places["given"], validation=validation)


@pytest.mark.parametrize("validation", [1.0, "1", None, True])
def test_a_validation_set_of_another_kind(places, validation):
    put(places["given"], tiny_mnist())
    with refused(TypeError, f"validation: received {validation!r} ({type(validation).__name__})", "integer"):
        load_mnist(places["given"], validation=validation)


# ---- files that aren't what their names say

TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = NAMES


@pytest.mark.parametrize(
    ("changed", "named", "said"),
    [
        ({TRAIN_X: labels_file([1, 2, 3])}, TRAIN_X, ["uint8 of shape (3,)", "images are uint8, (n, 28, 28)"]),
        ({TEST_X: labels_file([1, 2, 3])}, TEST_X, ["uint8 of shape (3,)", "images are uint8, (n, 28, 28)"]),
        ({TRAIN_Y: images_file(5)}, TRAIN_Y, ["uint8 of shape (5, 28, 28)", "labels are uint8, (5,)", TRAIN_X]),
        ({TEST_Y: images_file(3)}, TEST_Y, ["uint8 of shape (3, 28, 28)", "labels are uint8, (3,)", TEST_X]),
        ({TRAIN_X: images_file(3)}, TRAIN_Y, ["shape (5,)", "(3,)", f"one for each image of {TRAIN_X}"]),
        ({TRAIN_Y: labels_file([1, 2, 3, 4])}, TRAIN_Y, ["shape (4,)", "(5,)", f"one for each image of {TRAIN_X}"]),
        ({TEST_Y: labels_file([0] * 5)}, TEST_Y, ["shape (5,)", "(3,)", f"one for each image of {TEST_X}"]),
        ({TRAIN_Y: labels_file([0, 1, 10, 3, 4])}, TRAIN_Y, ["holds label 10", "digits are 0 to 9"]),
        ({TEST_Y: labels_file([255, 0, 0])}, TEST_Y, ["holds label 255", "digits are 0 to 9"]),
        ({TRAIN_X: idx(8, (5, 32, 32), bytes(5120))}, TRAIN_X, ["(5, 32, 32)", "(n, 28, 28)"]),
        ({TRAIN_X: idx(8, (5, 784), bytes(3920))}, TRAIN_X, ["(5, 784)", "(n, 28, 28)"]),
        ({TRAIN_X: idx(9, (5, 28, 28), bytes(3920))}, TRAIN_X, ["int8 of shape", "images are uint8"]),
        ({TRAIN_X: idx(0x0D, (5, 28, 28), bytes(15680))}, TRAIN_X, ["float32 of shape", "images are uint8"]),
        ({TRAIN_Y: idx(0x0C, (5,), bytes(20))}, TRAIN_Y, ["int32 of shape (5,)", "labels are uint8"]),
        ({TRAIN_X: idx(8, (0, 28, 28), b""), TRAIN_Y: labels_file([])}, TRAIN_X, ["(0, 28, 28)"]),
        ({TEST_X: idx(8, (0, 28, 28), b""), TEST_Y: labels_file([])}, TEST_X, ["(0, 28, 28)"]),
        ({TEST_X: images_file(3)[:-1]}, TEST_X, ["promises 2,352 bytes", "too short"]),
        ({TRAIN_X: images_file(5) + b"\0"}, TRAIN_X, ["promises 3,920 bytes", "more follow"]),
        ({TRAIN_Y: b""}, TRAIN_Y, ["not an IDX file"]),
        ({TEST_Y: gzip.compress(labels_file([7, 8, 0]))[:-4]}, TEST_Y, ["gzip data is damaged or cut short"]),
    ],
)
def test_files_that_are_not_mnist(places, changed, named, said):
    put(places["given"], tiny_mnist() | changed)
    with refused(ValueError, f"{places['given'] / named}: ", *said):
        load_mnist(places["given"], validation=0)


# ---- the download


class Mirrors:
    """A server on this machine with several mirrors of a tiny MNIST, of which each has its own fault."""

    def __init__(self, files):
        packed = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
        other = gzip.compress(images_file(5, 50))
        self.content = {
            "good": lambda name: packed[name],
            "wrong": lambda name: other,  # noqa: ARG005  (an intact file, but not the one)
            "repacked": lambda name: gzip.compress(gzip.decompress(packed[name]), compresslevel=1, mtime=12345),
            "cut": lambda name: packed[name][:-6],
            "text": lambda name: b"<html>Please log in to the network</html>",  # noqa: ARG005
            "half": lambda name: packed[name] if name.startswith(NAMES[:2]) else None,
        }
        self.requests = []
        mirrors = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirrors.requests.append(self.path)
                _, mirror, name = self.path.split("/")
                body = None if mirror == "missing" else mirrors.content.get(mirror, mirrors.content["good"])(name)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if mirror == "dropped" else body)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def addresses(self, *names):
        return tuple(f"http://127.0.0.1:{self.server.server_port}/{name}/" for name in names)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


FAULTS = ("missing", "wrong", "cut", "text", "dropped")


@pytest.fixture
def mirrors(places, monkeypatch):
    pytest.importorskip("pooch")
    assert not places["cache"].exists()
    files = tiny_mnist(4)
    monkeypatch.setattr(data, "MNIST", {name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Mirrors(files)
    yield served
    served.close()


def files_in(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


COMPLETE = sorted(f"mnist/{name}.gz" for name in NAMES)


@pytest.mark.parametrize("kind", ["good", "repacked"])
def test_what_is_nowhere_is_downloaded_once(places, mirrors, monkeypatch, kind):
    # repacked: the checksum is of the content, and another gzip container around it does no harm
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses(kind, "missing"))
    train, _, test = load_mnist(validation=0)
    assert train.y.tolist() == [4, 1, 2, 3, 9]
    assert test.X[:, 0].tolist() == [100, 101, 102]
    assert files_in(places["cache"]) == COMPLETE
    assert sorted(mirrors.requests) == sorted(f"/{kind}/{name}.gz" for name in NAMES)
    assert load_mnist(validation=0)[0].y.tolist() == [4, 1, 2, 3, 9]
    assert len(mirrors.requests) == 4  # the cache served


def test_a_download_shows_its_progress(mirrors, monkeypatch, capfd):
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses("good"))
    load_mnist(validation=0)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("100%") >= 4


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_mirror_is_used(places, mirrors, monkeypatch, fault):
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses(fault, "good"))
    assert load_mnist(validation=0)[0].y.tolist() == [4, 1, 2, 3, 9]
    assert files_in(places["cache"]) == COMPLETE
    assert len(mirrors.requests) == 8


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_download_is_refused_and_leaves_nothing(places, mirrors, monkeypatch, fault):
    first, second = mirrors.addresses(fault, "missing")
    monkeypatch.setattr(data, "MIRRORS", (first, second))
    with refused(OSError, f"{NAMES[0]} could not be downloaded", first, second, "404", str(places["cache"]), *NAMES):
        load_mnist()
    assert files_in(places["cache"]) == []


def test_a_wrong_checksum_is_named(mirrors, monkeypatch):
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses("wrong"))
    with refused(OSError, "SHA-256", data.MNIST[NAMES[0]]):
        load_mnist()


def test_no_server_at_all(places, mirrors, monkeypatch):
    addresses = mirrors.addresses("good")
    mirrors.close()
    monkeypatch.setattr(data, "MIRRORS", addresses)
    with refused(OSError, f"{NAMES[0]} could not be downloaded", *addresses, *NAMES):
        load_mnist()
    assert files_in(places["cache"]) == []


def test_an_interrupted_download_is_taken_up_again(places, mirrors, monkeypatch):
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses("half"))  # it has the first two only
    with refused(OSError, f"{NAMES[2]} could not be downloaded"):
        load_mnist()
    assert set(files_in(places["cache"])) <= set(COMPLETE)
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses("good"))
    assert load_mnist(validation=0)[0].y.tolist() == [4, 1, 2, 3, 9]
    assert files_in(places["cache"]) == COMPLETE


def test_what_another_download_left_behind_is_no_obstacle(places, mirrors, monkeypatch):
    # the process was killed before it could check the file, or another one is still at it
    put(places["cache"] / "mnist", {f"{name}.gz.part": b"half a file" for name in NAMES})
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses("good"))
    assert load_mnist(validation=0)[0].y.tolist() == [4, 1, 2, 3, 9]


def test_ctrl_c_leaves_nothing_unchecked(places, mirrors, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses("good"))
    with monkeypatch.context() as patch:
        patch.setattr(data.gzip, "open", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_mnist()
    assert files_in(places["cache"]) == []


def test_two_downloads_at_once(places, mirrors, monkeypatch):
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses("good"))
    results = []

    def download():
        try:
            results.append(load_mnist(validation=0)[0].y.tolist())
        except Exception as error:
            results.append(error)

    # each request waits for the other thread's: both are inside the download of the same file
    together = threading.Barrier(2)
    serve = mirrors.content["good"]

    def serve_together(name):
        try:
            together.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            together.reset()
        return serve(name)

    mirrors.content["good"] = serve_together
    threads = [threading.Thread(target=download) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[4, 1, 2, 3, 9]] * 2
    assert files_in(places["cache"]) == COMPLETE


def test_without_pooch_the_error_says_what_belongs_where(places, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # import pooch fails
    with refused(FileNotFoundError, places["cache"] / "mnist", *NAMES, ".gz", "pip install pooch"):
        load_mnist()
    assert not places["cache"].exists()


def test_no_download_where_none_is_wanted(places, mirrors, monkeypatch):
    monkeypatch.setattr(data, "MIRRORS", mirrors.addresses("good"))
    with refused(FileNotFoundError, "MNIST was not found", *NAMES):
        load_mnist(download=False)
    with refused(FileNotFoundError, "MNIST was not found", *NAMES):
        load_mnist(places["given"])
    assert mirrors.requests == []


def test_the_advice_fits_the_question(places):
    # a directory that was given is never downloaded into: there the downloader would not help
    with pytest.raises(FileNotFoundError, match="MNIST was not found") as caught:
        load_mnist(places["given"])
    assert "pip install" not in str(caught.value)


def test_the_mirrors_are_as_safe_as_the_checksums():
    assert len(data.MIRRORS) >= 2
    assert all(re.fullmatch(r"https://[\w.-]+/[\w./-]*/", mirror) for mirror in data.MIRRORS)


def test_a_mapped_file_is_the_same_array_and_is_not_read(tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(bytes([0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]))
    mapped = read_idx(path, mapped=True)
    assert isinstance(mapped, np.memmap)
    assert mapped.tolist() == [[1, 2, 3], [4, 5, 6]]
    path.write_bytes(path.read_bytes() + b"7")
    with refused(ValueError, path, "more follow"):
        read_idx(path, mapped=True)
    path.write_bytes(gzip.compress(path.read_bytes()[:-1]))
    with refused(ValueError, path, "compressed"):
        read_idx(path, mapped=True)
