"""Archives that are damaged, cut short, too large or of another kind are refused, in words that name the file."""

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mlp import MLP
from mlp.checkpoint import load, load_notes, save


def small_net():
    return MLP([4, 3, 2], hidden="tanh", init="he_normal", seed=0)


@pytest.fixture
def refused_without_memory(refused):
    """load raises ValueError, naming the path, and never takes more memory than this."""

    def check(path, *parts, limit=1_000_000):
        tracemalloc.start()
        try:
            with refused(ValueError, path, *parts):
                load(path)
            assert tracemalloc.get_traced_memory()[1] < limit
        finally:
            tracemalloc.stop()

    return check


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY\x01\x00", b"not a model at all" * 100, b"\x1f\x8b\x08" + bytes(50)]
)
def test_files_of_other_kinds(path, content, refused):
    path.write_bytes(content)
    with refused(ValueError, f"{path}: not a model"):
        load(path)


def test_a_file_cut_short_anywhere(path, refused):
    save(path, small_net())
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        with refused(ValueError, path):
            load(path)


@pytest.mark.parametrize("garbage", [b"\0", b"garbage" * 3, bytes(100_000)], ids=len)
def test_a_file_that_goes_on(path, garbage, refused):
    save(path, small_net())
    with path.open("ab") as stream:
        stream.write(garbage)
    with refused(ValueError, path):
        load(path)


def loaded_or_error(path):
    """The network in a file, or the words of the ValueError."""
    try:
        return load(path), None
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("bit", range(8))
def test_a_file_with_a_wrong_bit_anywhere(path, bit):
    net = small_net()
    save(path, net, notes="n")
    whole = path.read_bytes()
    refusals = 0
    with path.open("r+b", buffering=0) as stream:
        for position, byte in enumerate(whole):
            os.pwrite(stream.fileno(), bytes([byte ^ 1 << bit]), position)
            loaded, error = loaded_or_error(path)
            if error is None:  # it was a bit of a time stamp or the like
                assert loaded.theta.tobytes() == net.theta.tobytes(), position
                assert load_notes(path) == "n"
            else:
                assert str(path) in error, position
                refusals += 1
            os.pwrite(stream.fileno(), bytes([byte]), position)
    with zipfile.ZipFile(path) as archive:
        assert refusals >= sum(member.file_size for member in archive.infolist())
    assert load(path).theta.tobytes() == net.theta.tobytes()


def test_damaged_places_in_a_large_file(path, refused):
    net = MLP([500, 400, 10], dtype="float64", seed=0)  # 1.6 MB: read in two pieces
    save(path, net)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    with path.open("r+b", buffering=0) as stream:
        for start in rng.integers(0, len(whole) - 100, 50).tolist():
            os.pwrite(stream.fileno(), rng.bytes(100), start)
            with refused(ValueError, path):
                load(path)
            os.pwrite(stream.fileno(), whole[start : start + 100], start)
    assert load(path).theta.tobytes() == net.theta.tobytes()


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_archive(path, compression, hand_made, refused):
    hand_made(path, compression=compression)
    with refused(ValueError, f"{path}: not a model", "header.npy is compressed"):
        load(path)


def test_a_compressed_bomb_takes_no_memory(path, hand_made, refused_without_memory):
    hand_made(path, theta=("<f4", (5_000_000,), bytes(20_000_000)), compression=zipfile.ZIP_DEFLATED)
    refused_without_memory(path)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "it holds nothing"),
        ({"header.npy": b""}, "it holds header.npy"),
        ({"theta.npy": b""}, "it holds theta.npy"),
        ({"Header.npy": b"", "theta.npy": b""}, "it holds Header.npy, theta.npy"),
        ({"header.npy": b"", "../theta.npy": b""}, "it holds header.npy, ../theta.npy"),
        ({"header.npy": b"", "theta.npy": b"", "V.npy": b""}, "it holds header.npy, theta.npy, V.npy"),
        ({"header.npy": b"", "theta.npy": b"", "v": b""}, "it holds header.npy, theta.npy, v"),
    ],
)
def test_archives_with_other_members(path, members, said, refused):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with refused(ValueError, f"{path}: not a model", said):
        load(path)


def test_an_archive_with_a_member_twice(path, hand_made, refused):
    hand_made(path)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("theta.npy", bytes(52))
    with refused(ValueError, f"{path}: not a model"):
        load(path)


def test_a_pickle_is_never_opened(path, tmp_path, hand_made, refused):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    array = io.BytesIO()
    np.save(array, np.array([Trap()], dtype=object), allow_pickle=True)
    for name, member in (("theta", array.getvalue()), ("header", array.getvalue()), ("theta", pickle.dumps(Trap()))):
        hand_made(path, members={f"{name}.npy": member})
        with refused(ValueError, path, f"{name}.npy is damaged"):
            load(path)
    path.write_bytes(pickle.dumps(Trap()))
    with refused(ValueError, path):
        load(path)
    assert not (tmp_path / "sprung").exists()
    np.load(io.BytesIO(array.getvalue()), allow_pickle=True)  # the trap does spring where pickles are allowed
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("member", ["header.npy", "theta.npy"])
@pytest.mark.parametrize("size", [0, 1, 100, 2_000, 2**31, 2**32 - 2])
def test_members_of_another_size_than_claimed(path, member, size, both, hand_made, refused_without_memory):
    """The archive's directory (its offsets: APPNOTE.TXT, 4.3.12) claims another size for a member."""
    raw = bytearray(hand_made(path).read_bytes())
    entry = raw.rindex(b"PK\x01\x02", 0, raw.rindex(member.encode()))
    if both:
        struct.pack_into("<I", raw, entry + 20, size)  # compressed size
    struct.pack_into("<I", raw, entry + 24, size)  # uncompressed size
    path.write_bytes(raw)
    refused_without_memory(path)


BYTES = struct.pack("<13f", *range(13))


@pytest.mark.parametrize("shape", [(10**7,), (10**9, 10**9), (10**18,), (10**30,), (-1,), (14,), (12,), (12.5,), ("13",)])
def test_an_array_that_claims_another_shape_than_its_bytes_have(path, shape, hand_made, refused_without_memory):
    refused_without_memory(hand_made(path, theta=("<f4", shape, BYTES)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (13",
        "{'descr': '<f4', 'fortran_order': 'no', 'shape': (13,)}",
        "{'descr': '<q9', 'fortran_order': False, 'shape': (13,)}",
        "__import__('os').getcwd()",
        "(" * 5_000,
        "\x00",
    ],
    ids=range(7),
)
def test_an_array_whose_own_header_is_garbage(path, text, hand_made, refused):
    hand_made(path, theta=(None, None, BYTES, text))
    with refused(ValueError, path, "theta.npy is damaged"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00" + bytes(60), bytes(100)])
@pytest.mark.parametrize("member", ["header", "theta"])
def test_members_that_are_no_arrays(path, member, content, hand_made, refused):
    hand_made(path, members={f"{member}.npy": content})
    with refused(ValueError, path, f"{member}.npy is damaged"):
        load(path)


# The JSON header


@pytest.mark.parametrize(
    "header",
    [b"", b"not JSON", b"\xff\xfe\xfd", [1, 2], None, "mlp-model", {}, {"format": "mlp-model"}, {"version": 1}, b"[" * 100_000],
    ids=range(10),
)
def test_headers_that_cannot_be_read(path, header, hand_made, refused):
    hand_made(path, header=header)
    with refused(ValueError, f"{path}: not a model, or damaged"):
        load(path)


@pytest.mark.parametrize("descr", ["<f4", "<c8", "<i8", "<U3", "<M8[s]", [("a", "<f4")]], ids=str)
def test_headers_that_are_no_bytes(path, descr, hand_made, refused):
    header = io.BytesIO()
    np.save(header, np.zeros(2, descr))
    hand_made(path, members={"header.npy": header.getvalue()})
    with refused(ValueError, path, "header"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "is 'mlp-model' version 2, but this version of mlp reads 'mlp-model' version 1"),
        ({"version": "1"}, "version '1', but"),
        ({"format": "another-model"}, "is 'another-model' version 1, but"),
        ({"format": "x" * 10_000}, f"is '{'x' * 59} version 1, but"),
        ({"format": {}}, "is {} version 1, but"),
    ],
)
def test_other_formats_and_versions_name_old_and_new(path, changes, said, hand_made, refused):
    hand_made(path, header=hand_made.header | changes)
    with refused(ValueError, path, said):
        load(path)


def test_a_header_beyond_its_limit(path, hand_made, refused):
    hand_made(path, header=hand_made.header | {"notes": "x" * (1 << 24)})
    with refused(ValueError, path, "header.npy", "bytes, more than"):
        load(path)
