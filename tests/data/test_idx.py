"""IDX files written by hand, whole, damaged and mislabelled (the format: http://yann.lecun.com/exdb/mnist)."""

import gzip
import math
import os
import struct
import tracemalloc

import numpy as np
import pytest

import mlp
from mlp import read_idx


def idx(code, shape, content):
    """The bytes of an IDX file."""
    return bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + content


@pytest.fixture(params=["plain", "gzip"])
def write(request, tmp_path):
    """A function that writes bytes to a file, as they are or compressed, and returns its path."""

    def write_bytes(content):
        path = tmp_path / "array"
        path.write_bytes(gzip.compress(content) if request.param == "gzip" else content)
        return path

    write_bytes.compressed = request.param == "gzip"
    return write_bytes


@pytest.fixture
def memory():
    """A function that says how many bytes Python and numpy held at most since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize("how", ["plain", "gzip", "mapped"])
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
def test_every_type_is_read_and_mapped_in_big_endian_order(tmp_path, how, code, dtype, content, values):
    path, whole = tmp_path / "array", idx(code, (3, 2), bytes.fromhex(content))
    path.write_bytes(gzip.compress(whole) if how == "gzip" else whole)
    array = read_idx(path, mapped=how == "mapped")
    assert array.dtype.name == dtype
    assert array.dtype.isnative or how == "mapped"
    assert isinstance(array, np.memmap) == (how == "mapped")
    assert array.flags.writeable == (how != "mapped")
    assert array.tolist() == [values[0:2], values[2:4], values[4:6]]  # the last index runs fastest


def test_a_mapped_file_must_be_plain_and_of_its_headers_length(tmp_path, refused):
    path = tmp_path / "array"
    path.write_bytes(idx(8, (2, 3), b"abcdefg"))
    with refused(ValueError, path, "more follow"):
        read_idx(path, mapped=True)
    path.write_bytes(gzip.compress(idx(8, (2, 3), b"abcdef")))
    with refused(ValueError, path, "compressed"):
        read_idx(path, mapped=True)


def test_a_network_takes_mapped_numbers_in_the_files_byte_order(tmp_path, write_idx):
    X, y = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32), np.arange(6) % 3
    path = write_idx(tmp_path / "numbers", X)
    net = mlp.MLP([4, 3], seed=0)
    cost, _ = mlp.Objective(net, read_idx(path, mapped=True), y)(net.theta)
    assert cost == mlp.Objective(net, X, y)(net.theta)[0]


@pytest.mark.parametrize(
    ("shape", "n"), [((0,), 0), ((4,), 4), ((1, 1), 1), ((0, 28, 28), 0), ((2, 3, 4), 24), ((1, 2, 1, 2, 1), 4)]
)
def test_every_shape_is_read(write, shape, n):
    array = read_idx(str(write(idx(8, shape, bytes(range(n))))))
    assert array.shape == shape
    assert array.ravel().tolist() == list(range(n))


# ---- paths


def test_what_is_no_regular_file(tmp_path, refused):
    with refused(FileNotFoundError, tmp_path / "nothing"):
        read_idx(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")  # which nobody writes to: opening it would wait for ever
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with refused(ValueError, f"path: received '{path}', but it must be a regular file"):
            read_idx(path)


@pytest.mark.parametrize(("path", "kind"), [(5, TypeError), ("", ValueError)])
def test_what_is_no_path(path, kind, refused):
    with refused(kind, f"path: received {path!r} ({type(path).__name__})"):
        read_idx(path)


# ---- content that isn't what it should be


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("", "nothing"),
        ("00 00 08", "00 00 08"),
        ("01 00 08 01 00000000", "01 00 08 01"),
        ("00 01 08 01 00000000", "00 01 08 01"),
        ("00 00 0a 01 00000000", "00 00 0a 01"),  # 0a is no type
        ("00 00 08 00 00", "00 00 08 00"),  # no dimensions
        ("89 50 4e 47 0d 0a 1a 0a", "89 50 4e 47"),  # PNG
        ("03 08 00 00 60 ea 00 00", "03 08 00 00"),  # little-endian
    ],
)
def test_what_does_not_start_as_idx_does(write, refused, start, said):
    path = write(bytes.fromhex(start))
    with refused(
        ValueError, f"{path}: not an IDX file: it starts with {said}, but must start with 00 00", "08, 09, 0b, 0c, 0d, 0e"
    ):
        read_idx(path)


def test_a_file_cut_short_anywhere(write, refused):
    whole = idx(0x0B, (2, 3), bytes(12))
    for length in range(len(whole)):
        with refused(ValueError, write(whole[:length])):
            read_idx(write(whole[:length]))


def test_numbers_that_are_missing_or_too_many(write, refused):
    path = write(idx(0x0B, (2, 3), bytes(11)))
    short = "ends after 11" if write.compressed else "too short"
    with refused(ValueError, path, "promises 12 bytes (shape (2, 3), 2 each)", short):
        read_idx(path)
    write(idx(0x0B, (2, 3), bytes(13)))
    with refused(ValueError, path, "promises 12 bytes (shape (2, 3), 2 each)", "more follow"):
        read_idx(path)
    write(idx(0x0B, (2, 3), b"")[:10])
    with refused(ValueError, path, "promises 2 dimensions, but ends after 1"):
        read_idx(path)


@pytest.mark.parametrize("code", [0x08, 0x0E])
@pytest.mark.parametrize("shape", [(2**32 - 1, 28, 28), (2**32 - 1,) * 4, (100_000_000,), (2**32 - 1,) * 255])
def test_a_header_is_not_believed(write, memory, refused, code, shape):
    path = write(idx(code, shape, bytes(1_000)))
    with refused(ValueError, path, f"promises {math.prod(shape) * (1 if code == 8 else 8):,} bytes", "too short"):
        read_idx(path)
    assert memory() < 1_000_000


def test_a_promise_that_gzip_could_keep_takes_no_memory_before_it_is_kept(tmp_path, memory, refused):
    path = tmp_path / "array"
    # deflate's best would make 108,000,000 of this file; the zeros in it fill more than is taken at first
    content = bytes(5_000_000) + np.random.default_rng(0).bytes(100_000)
    path.write_bytes(gzip.compress(idx(8, (100_000_000,), content)))
    with refused(ValueError, path, "promises 100,000,000 bytes", "ends after 5,100,000"):
        read_idx(path)
    assert memory() < 25_000_000


def test_numbers_are_in_memory_once(write, memory):
    path = write(idx(0x0D, (1_000, 1_000), np.random.default_rng(0).bytes(4_000_000)))
    assert read_idx(path).nbytes == 4_000_000
    assert memory() < 16_100_000  # of which 12,000,000 are this test's own


def test_content_that_compresses_best_is_read(tmp_path):
    (tmp_path / "zeros").write_bytes(gzip.compress(idx(8, (5_000, 1_000), bytes(4_999_999) + b"\7")))
    assert (tmp_path / "zeros").stat().st_size < 5_000  # about a thousandth: close to deflate's limit
    array = read_idx(tmp_path / "zeros")
    assert array.shape == (5_000, 1_000)
    assert not array.ravel()[:-1].any()
    assert array[-1, -1] == 7


@pytest.mark.parametrize(
    ("shape", "content"),
    [((1,) * 65, b"\x07"), ((1,) * 255, b"\x07"), ((0, *(2**32 - 1,) * 3), b""), ((2**32 - 1, 2**32 - 1, 0), b"")],
    ids=["65 dimensions", "255 dimensions", "none of too many", "too many of none"],
)
def test_shapes_that_numpy_cannot_have(write, refused, shape, content):
    path = write(idx(8, shape, content))
    with refused(ValueError, path, "dimension"):
        read_idx(path)


# ---- damaged gzip data


def test_a_gzip_file_cut_short_anywhere(tmp_path, refused):
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


def test_a_gzip_file_with_garbage_behind(tmp_path, refused):
    path = tmp_path / "array.gz"
    path.write_bytes(gzip.compress(idx(8, (3,), b"abc")) + b"garbage")
    with refused(ValueError, path, "gzip data is damaged"):
        read_idx(path)
