"""Model files: written and read back, written by hand from the description of the format, damaged; and runs' directories."""

import copy
import csv
import io
import json
import os
import pickle
import re
import struct
import tracemalloc
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp import MLP, Dense
from mlp.checkpoint import Run, atomic_write, load, load_notes, save

DTYPES = ("float32", "float64")


class Cube:
    """An activation of one's own."""

    name = "cube"

    def value(self, z):
        return z**3

    def derivative(self, z):
        return 3 * z**2


@contextmanager
def refused(kind, *parts):
    """The error must be of that kind, and its message must have all these parts."""
    with pytest.raises(kind, match=re.escape(str(parts[0]))) as caught:
        yield
    for part in parts:
        assert str(part) in str(caught.value)


def small_net(dtype="float32", seed=0):
    return MLP([4, 3, 2], hidden="tanh", init="he_normal", dtype=dtype, seed=seed)


def same(net, other):
    return (
        net.dtype == other.dtype
        and net.theta.tobytes() == other.theta.tobytes()
        and [(layer.fan_in, layer.units, layer.activation.name) for layer in net.layers]
        == [(layer.fan_in, layer.units, layer.activation.name) for layer in other.layers]
    )


# ---- model files made by hand, from the description of the format:
# a zip of two .npy arrays (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)


def npy(descr, shape, content, text=None):
    """The bytes of a .npy file."""
    header = text or f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    header = header + " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin1") + content


HEADER = {
    "format": "mlp-model",
    "version": 1,
    "dtype": "float32",
    "layers": [{"fan_in": 2, "units": 3, "activation": "relu"}, {"fan_in": 3, "units": 1, "activation": "identity"}],
    "notes": {"made": "by hand"},
}
THETA = [1, 2, 3, 4, 5, 6, 0.5, -0.5, 0.25, 7, 8, 9, -1]  # W¹ row by row, b¹, W², b²


def hand_made(path, *, header=HEADER, theta=THETA, header_npy=None, theta_npy=None, compression=zipfile.ZIP_STORED, extra=()):
    """Write a model file: header and θ as given, or instead of one of them the bytes of its .npy."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    members = {
        "header.npy": npy("|u1", (len(text),), text) if header_npy is None else header_npy,
        "theta.npy": npy("<f4", (len(theta),), struct.pack(f"<{len(theta)}f", *theta)) if theta_npy is None else theta_npy,
        **dict(extra),
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            if content is not ...:
                archive.writestr(name, content)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def test_a_file_made_by_hand_is_read(path):
    net = load(hand_made(path))
    assert net.dtype == np.float32
    assert net.sizes == [2, 3, 1]
    assert [layer.activation.name for layer in net.layers] == ["relu", "identity"]
    assert net.layers[0].W.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert net.layers[0].b.tolist() == [0.5, -0.5, 0.25]
    assert net.layers[1].W.tolist() == [[7, 8, 9]]
    assert net.layers[1].b.tolist() == [-1]
    # W¹(1, −1) + b¹ = (−0.5, −1.5, −0.75): no unit fires, and y = b² = −1
    # W¹(1, 1) + b¹ = (3.5, 6.5, 11.25): y = 24.5 + 52 + 101.25 − 1
    assert net.forward([[1.0, -1.0], [1.0, 1.0]]).tolist() == [[-1], [176.75]]
    assert load_notes(path) == {"made": "by hand"}


def test_a_file_from_a_big_endian_machine_is_read(path):
    net = load(hand_made(path, theta_npy=npy(">f4", (13,), struct.pack(">13f", *THETA))))
    assert net.theta.tolist() == THETA
    assert net.theta.dtype.isnative


def test_a_saved_file_is_as_described(path):
    net = MLP([2, 3, 1], output="identity", dtype="float32", seed=0)
    net.theta[...] = THETA
    save(path, net, notes={"made": "by hand"})
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["header.npy", "theta.npy"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        header, theta = archive.read("header.npy"), archive.read("theta.npy")
    assert header[:6] == theta[:6] == b"\x93NUMPY"
    assert json.loads(header[10 + int.from_bytes(header[8:10], "little") :]) == HEADER
    assert struct.unpack("<13f", theta[10 + int.from_bytes(theta[8:10], "little") :]) == tuple(THETA)


# ---- round trips


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[1, 1], [4, 3], [4, 5, 3], [3, 4, 5, 6, 2]])
def test_what_was_saved_is_loaded(path, dtype, sizes):
    net = MLP(sizes, hidden="softplus", output="logistic", init="he_normal", dtype=dtype, seed=1)
    net.theta += np.random.default_rng(2).standard_normal(net.theta.size).astype(dtype)  # biases as well
    X = np.random.default_rng(3).standard_normal((6, sizes[0]))
    before = net.theta.copy()
    mlp.save(path, net)
    loaded = mlp.load(path)
    assert same(net, loaded)
    assert net.theta.tobytes() == before.tobytes()
    assert net.forward(X).tobytes() == loaded.forward(X).tobytes()
    loaded.theta[...] = 1  # the windows are on the loaded network's own vector
    assert loaded.layers[0].W[0, 0] == loaded.layers[-1].b[-1] == 1
    assert net.theta.tobytes() == before.tobytes()


def test_every_built_in_activation_comes_back(path):
    names = ["identity", "relu", "softplus", "threshold", "logistic", "tanh", "softmax"]
    net = MLP([Dense(2, 2, name) for name in names], seed=0)
    save(str(path), net)
    assert [layer.activation.name for layer in load(str(path)).layers] == names


@pytest.mark.parametrize("dtype", DTYPES)
def test_unusual_numbers_come_back_bit_by_bit(path, dtype):
    net = small_net(dtype)
    limits = np.finfo(dtype)
    net.theta[:5] = [-0.0, limits.smallest_subnormal, limits.max, -limits.tiny, limits.eps]
    save(path, net)
    assert load(path).theta.tobytes() == net.theta.tobytes()


@pytest.mark.parametrize("notes", [None, 0, "δ", [1, [2.5, None]], {"seed": 3, "lists": {"a": [True, False]}}, {}])
def test_notes_come_back(path, notes):
    save(path, small_net(), notes)
    assert load_notes(path) == notes


@pytest.mark.parametrize("notes", [{1, 2}, object(), b"bytes", {"array": np.zeros(3)}, {(1, 2): 3}])
def test_notes_that_json_cannot_hold(path, notes):
    path.write_bytes(b"as it was")
    with refused((TypeError, ValueError), "notes", "JSON"):
        save(path, small_net(), notes)
    assert path.read_bytes() == b"as it was"
    assert os.listdir(path.parent) == [path.name]


def test_notes_beyond_the_headers_limit_are_not_saved(path):
    save(path, small_net(), "x" * (1 << 23))  # 8 MB are allowed
    assert load_notes(path) == "x" * (1 << 23)
    with refused(ValueError, "notes"):  # load would refuse them
        save(path, small_net(), "x" * (1 << 24))
    assert load_notes(path) == "x" * (1 << 23)


def test_an_activation_of_ones_own(path):
    net = MLP([4, 3, 2], hidden=Cube(), output="identity", dtype="float64", seed=0)
    save(path, net)
    with refused(ValueError, path, "'cube'", "none of identity, relu", "activations={'cube': …}"):
        load(path)
    loaded = load(path, activations={"cube": Cube()})
    assert same(net, loaded)
    X = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_array_equal(loaded.forward(X), net.forward(X))
    with refused(ValueError, path, "'cube'", "none of", "other"):
        load(path, activations={"other": Cube()})


def test_an_activation_of_ones_own_that_is_called_like_a_built_in_one(path):
    # the file would say "relu", and be loaded with another function than the one that was trained
    cube = Cube()
    cube.name = "relu"
    with refused(ValueError, "'relu'"):
        save(path, MLP([4, 3, 2], hidden=cube, output="identity", seed=0))
    assert not path.exists()


def test_a_copied_network_is_saved(path):
    net = copy.deepcopy(small_net())  # its activations are copies too
    save(path, net)
    assert same(load(path), net)


@pytest.mark.parametrize("net", [None, "model", np.zeros(3), [4, 3, 2]])
def test_only_networks_are_saved(path, net):
    with refused(TypeError, f"net: received {net!r}"[:20], type(net).__name__, "must be an MLP"):
        save(path, net)
    assert not path.exists()


def test_loading_leaves_randomness_alone(path):
    save(path, small_net())
    before = np.random.get_state()[1].tolist()  # noqa: NPY002  (it is what must not be used)
    load(path)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


# ---- whole or not at all


def test_saving_replaces_the_old_file_and_leaves_nothing_else(path):
    save(path, small_net(seed=1))
    save(path, small_net(seed=2))
    assert same(load(path), small_net(seed=2))
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("old", [b"as it was", None])
@pytest.mark.parametrize(
    "failure", [OSError("the disk is full"), KeyboardInterrupt(), SystemExit(1)], ids=lambda e: type(e).__name__
)
def test_a_failure_while_writing_leaves_everything_as_it_was(path, old, failure):
    def write_half():
        with atomic_write(path) as stream:
            stream.write(b"half of the new")
            stream.flush()
            raise failure

    if old is not None:
        path.write_bytes(old)
    with pytest.raises(type(failure)):
        write_half()
    assert os.listdir(path.parent) == ([path.name] if old else [])
    assert old is None or path.read_bytes() == old


@pytest.mark.parametrize("room", [0, 100, 4_096, 20_000])
def test_a_full_disk_leaves_the_old_model(path, room):
    resource = pytest.importorskip("resource")
    old, new = small_net(seed=1), MLP([100, 100, 10], seed=2)  # the new one has 44 kB
    save(path, old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError):  # noqa: PT011  (the system's words: "File too large")
            save(path, new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same(load(path), old)
    assert os.listdir(path.parent) == [path.name]
    save(path, new)
    assert same(load(path), new)


def test_the_new_file_has_its_name_only_when_it_is_complete(path):
    path.write_bytes(b"old")
    with atomic_write(path) as stream:
        stream.write(b"new" * 1_000)
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" * 1_000
    assert os.listdir(path.parent) == [path.name]


def test_a_directory_that_is_not_there(tmp_path):
    with refused(FileNotFoundError, tmp_path / "nowhere"):
        save(tmp_path / "nowhere" / "model.npz", small_net())
    assert os.listdir(tmp_path) == []


def test_a_directory_in_the_files_place(tmp_path):
    (tmp_path / "model.npz").mkdir()
    with refused(OSError, tmp_path / "model.npz"):
        save(tmp_path / "model.npz", small_net())
    assert os.listdir(tmp_path) == ["model.npz"]
    with refused(OSError, tmp_path / "model.npz"):
        load(tmp_path / "model.npz")


# ---- files that are no models, or no longer


def test_a_file_that_is_not_there(path):
    with refused(FileNotFoundError, path):
        load(path)
    with refused(FileNotFoundError, path):
        load_notes(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY\x01\x00", b"not a model at all" * 100, b"\x1f\x8b\x08" + bytes(50)]
)
def test_files_of_other_kinds(path, content):
    path.write_bytes(content)
    with refused(ValueError, f"{path}: not a model"):
        load(path)


def test_a_file_cut_short_anywhere(path):
    save(path, small_net())
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        with refused(ValueError, path):
            load(path)


@pytest.mark.parametrize("garbage", [b"\0", b"garbage" * 3, bytes(100_000)], ids=len)
def test_a_file_that_goes_on(path, garbage):
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
                assert same(net, loaded), position
                assert load_notes(path) == "n"
            else:
                assert str(path) in error, position
                refusals += 1
            os.pwrite(stream.fileno(), bytes([byte]), position)
    with zipfile.ZipFile(path) as archive:
        assert refusals >= sum(member.file_size for member in archive.infolist())
    assert same(load(path), net)


def test_damaged_places_in_a_large_file(path):
    net = MLP([50, 40, 10], dtype="float64", seed=0)
    save(path, net)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    with path.open("r+b", buffering=0) as stream:
        for start in rng.integers(0, len(whole) - 100, 200).tolist():
            os.pwrite(stream.fileno(), rng.bytes(100), start)
            with refused(ValueError, path):
                load(path)
            os.pwrite(stream.fileno(), whole[start : start + 100], start)
    assert same(load(path), net)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_archive(path, compression):
    hand_made(path, compression=compression)
    with refused(ValueError, f"{path}: not a model", "header.npy is compressed"):
        load(path)


def test_a_compressed_bomb_takes_no_memory(path):
    hand_made(path, theta_npy=npy("<f4", (25_000_000,), bytes(100_000_000)), compression=zipfile.ZIP_DEFLATED)
    assert_refused_without_memory(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"header_npy": ...}, ["theta.npy"]),
        ({"theta_npy": ...}, ["header.npy"]),
        ({"header_npy": ..., "theta_npy": ...}, ["nothing"]),
        ({"extra": {"more.npy": b""}}, ["more.npy"]),
        ({"header_npy": ..., "extra": {"Header.npy": b""}}, ["Header.npy"]),
        ({"theta_npy": ..., "extra": {"../theta.npy": b""}}, ["../theta.npy"]),
    ],
)
def test_archives_with_other_members(path, changes, said):
    hand_made(path, **changes)
    with refused(ValueError, f"{path}: not a model", "it holds", *said):
        load(path)


def test_an_archive_with_a_member_twice(path):
    hand_made(path)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("theta.npy", npy("<f4", (13,), bytes(52)))
    with refused(ValueError, f"{path}: not a model"):
        load(path)


def test_a_pickle_is_never_opened(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    array = io.BytesIO()
    np.save(array, np.array([Trap()], dtype=object), allow_pickle=True)
    for changes in ({"theta_npy": array.getvalue()}, {"header_npy": array.getvalue()}):
        with refused(ValueError, path, "damaged"):
            load(hand_made(path, **changes))
    hand_made(path, theta_npy=pickle.dumps(Trap()))
    with refused(ValueError, path, "damaged"):
        load(path)
    path.write_bytes(pickle.dumps(Trap()))
    with refused(ValueError, path):
        load(path)
    assert not (tmp_path / "sprung").exists()
    np.load(io.BytesIO(array.getvalue()), allow_pickle=True)  # the trap does spring where pickles are allowed
    assert (tmp_path / "sprung").exists()


def claim(path, member, size, both=True):
    """Let the archive's directory (its offsets: APPNOTE.TXT, 4.3.12) claim another size for a member."""
    raw = bytearray(path.read_bytes())
    name = raw.rindex(member.encode())
    entry = raw.rindex(b"PK\x01\x02", 0, name)
    if both:
        struct.pack_into("<I", raw, entry + 20, size)  # compressed size
    struct.pack_into("<I", raw, entry + 24, size)  # uncompressed size
    path.write_bytes(raw)


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("member", ["header.npy", "theta.npy"])
@pytest.mark.parametrize("size", [0, 1, 100, 2_000, 2**31, 2**32 - 2])
def test_members_of_another_size_than_claimed(path, member, size, both):
    hand_made(path)
    claim(path, member, size, both)
    assert_refused_without_memory(path)


def assert_refused_without_memory(path, *parts, limit=1_000_000):
    """load raises ValueError, naming the path, and never takes more memory than this."""
    tracemalloc.start()
    try:
        with refused(ValueError, path, *parts):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "shape", [(10**7,), (10**9, 10**9), (10**18,), (10**30,), (2**40, 2**40), (-1,), (14,), (12.5,), ("13",)]
)
def test_an_array_that_claims_another_shape_than_its_bytes_have(path, shape):
    hand_made(path, theta_npy=npy("<f4", shape, struct.pack("<13f", *THETA)))
    assert_refused_without_memory(path)


@pytest.mark.parametrize("shape", [(10**7,), (10**9, 10**9), (10**18,), (-1,)])
def test_a_header_array_that_claims_another_shape_than_its_bytes_have(path, shape):
    hand_made(path, header_npy=npy("|u1", shape, json.dumps(HEADER).encode()))
    assert_refused_without_memory(path)


def test_an_array_with_bytes_left_over(path):
    hand_made(path, theta_npy=npy("<f4", (13,), struct.pack("<17f", *THETA, 1, 2, 3, 4)))
    with refused(ValueError, path, "theta.npy"):
        load(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (13",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 13}",
        "{'descr': '<f4', 'fortran_order': 'no', 'shape': (13,)}",
        "{'descr': '<f4', 'shape': (13,)}",
        "{'descr': '<q9', 'fortran_order': False, 'shape': (13,)}",
        "{'descr': 5, 'fortran_order': False, 'shape': (13,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1e1,)}",
        "[1, 2, 3]",
        "__import__('os').getcwd()",
        "'''",
        "\\",
        "-" * 9_000 + "1",
        "(" * 5_000,
        " " * 20_000,
        "\x00",
        "\t {\n 'a':\n\t\t1",
    ],
    ids=range(18),
)
def test_an_array_whose_own_header_is_garbage(path, text):
    hand_made(path, theta_npy=npy(None, None, struct.pack("<13f", *THETA), text))
    with refused(ValueError, path, "theta.npy is damaged"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00" + bytes(60), bytes(100)])
@pytest.mark.parametrize("member", ["header.npy", "theta.npy"])
def test_members_that_are_no_arrays(path, member, content):
    hand_made(path, **{member.replace(".", "_"): content})
    with refused(ValueError, path, f"{member} is damaged"):
        load(path)


# ---- θ that doesn't fit its header


@pytest.mark.parametrize(
    ("theta_npy", "said"),
    [
        (npy("<f8", (13,), struct.pack("<13d", *THETA)), ["float64", "header says float32"]),
        (npy("<f2", (13,), struct.pack("<13e", *THETA)), ["<f2", "must be that of a vector"]),
        (npy("<i4", (13,), bytes(52)), ["<i4", "must be that of a vector"]),
        (npy("|u1", (13,), bytes(13)), ["uint8", "header says float32"]),
        (npy("<c8", (13,), bytes(104)), ["<c8", "must be that of a vector"]),
        (npy("<U1", (13,), bytes(52)), ["must be that of a vector"]),
        (npy([("float32", "<f4")], (13,), bytes(52)), ["must be that of a vector"]),
        (npy("<f4", (1, 13), bytes(52)), ["(1, 13)", "must be that of a vector"]),
        (npy("<f4", (), bytes(4)), ["()", "must be that of a vector"]),
        (npy("<f4", (12,), bytes(48)), ["12 parameters", "its layers have 13"]),
        (npy("<f4", (14,), bytes(56)), ["14 parameters", "its layers have 13"]),
        (npy("<f4", (0,), b""), ["0 parameters", "its layers have 13"]),
    ],
)
def test_parameters_that_do_not_fit(path, theta_npy, said):
    hand_made(path, theta_npy=theta_npy)
    with refused(ValueError, path, *said):
        load(path)


# ---- the JSON header


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"not JSON",
        b"\xff\xfe\xfd",
        b"\x80abc",
        b'{"format": "mlp-model", "version": 1',
        [1, 2],
        5,
        None,
        "mlp-model",
        {},
        {"format": "mlp-model"},
        {"version": 1},
        b"[" * 100_000,
        b'{"format": "mlp-model", "version": ' + b"1" * 5_000 + b"}",
    ],
    ids=range(15),
)
def test_headers_that_cannot_be_read(path, header):
    hand_made(path, header=header)
    with refused(ValueError, f"{path}: not a model"):
        load(path)


@pytest.mark.parametrize(
    ("descr", "shape", "content"),
    [
        ("<f4", (3,), struct.pack("<3f", 1, float("nan"), 1e30)),
        ("<c8", (3,), bytes(24)),
        ("<i8", (2,), struct.pack("<2q", -1, 2**40)),
        ("<U3", (2,), bytes(24)),
        ("|S300", (1,), bytes(300)),
        ("<M8[s]", (2,), bytes(16)),
        ([("a", "<f4"), ("b", "|u1")], (2,), bytes(10)),
        ("|u1", (0,), b""),
        ("|u1", (), b"7"),
    ],
    ids=lambda value: str(value) if not isinstance(value, bytes) else "",
)
def test_headers_that_are_no_bytes(path, descr, shape, content):
    hand_made(path, header_npy=npy(descr, shape, content))
    with refused(ValueError, path, "header"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, ["'mlp-model' version 2", "reads 'mlp-model' version 1"]),
        ({"version": 0}, ["version 0", "version 1"]),
        ({"version": "1"}, ["version '1'", "version 1"]),
        ({"version": None}, ["version None", "version 1"]),
        ({"version": [1]}, ["version [1]", "version 1"]),
        ({"format": "another-model"}, ["'another-model' version 1", "'mlp-model' version 1"]),
        ({"format": {}}, ["{} version 1", "'mlp-model' version 1"]),
    ],
)
def test_other_formats_and_versions_name_old_and_new(path, changes, said):
    hand_made(path, header=HEADER | changes)
    with refused(ValueError, path, *said):
        load(path)


@pytest.mark.parametrize("dtype", ["float16", "int32", "float128", "", None, 32, ["float32"], {"float32": 1}])
def test_other_dtypes(path, dtype):
    hand_made(path, header=HEADER | {"dtype": dtype})
    with refused(ValueError, path, "dtype"):
        load(path)


@pytest.mark.parametrize("missing", ["format", "version", "dtype", "layers", "notes"])
def test_a_header_without_one_of_its_parts(path, missing):
    hand_made(path, header={key: value for key, value in HEADER.items() if key != missing})
    with refused(ValueError, f"{path}: not a model", missing):
        load(path)


FIRST, SECOND = HEADER["layers"]


@pytest.mark.parametrize(
    "layers",
    [
        None,
        5,
        "relu",
        {},
        [],
        [[2, 3, "relu"], SECOND],
        [None, SECOND],
        [{"fan_in": 2, "units": 3}, SECOND],
        [FIRST | {"init": "zeros"}, SECOND],
        [FIRST | {"fan_in": "2"}, SECOND],
        [FIRST | {"fan_in": 2.0}, SECOND],
        [FIRST | {"fan_in": True}, SECOND],
        [FIRST | {"fan_in": None}, SECOND],
        [FIRST | {"fan_in": [2]}, SECOND],
        [FIRST | {"fan_in": 0}, SECOND],
        [FIRST | {"fan_in": -2}, SECOND],
        [FIRST | {"units": 0}, SECOND],
        [FIRST | {"units": -3}, SECOND],
        [FIRST | {"units": "3"}, SECOND],
        [FIRST | {"units": {}}, SECOND],
        [FIRST | {"activation": None}, SECOND],
        [FIRST | {"activation": 3}, SECOND],
        [FIRST | {"activation": ["relu"]}, SECOND],
        [FIRST | {"activation": {"name": "relu"}}, SECOND],
        [FIRST | {"activation": ""}, SECOND],
        [FIRST | {"activation": "ReLU"}, SECOND],
        [FIRST | {"activation": "softmax"}, SECOND],  # at the output only
        [FIRST, SECOND | {"activation": "softmax"}],  # over a single unit
        [FIRST, SECOND | {"fan_in": 4}],  # on three units
        [FIRST],
        [SECOND],
        [SECOND, FIRST],
        [FIRST, SECOND, {"fan_in": 1, "units": 1, "activation": "identity"}],
    ],
    ids=range(33),
)
def test_layers_that_cannot_be(path, layers):
    hand_made(path, header=HEADER | {"layers": layers})
    with refused(ValueError, path):
        load(path)


def test_layers_that_do_not_fit_on_each_other_though_the_count_is_right(path):
    # 2·3 + 3 = 9 and 1·2 + 2 = 4 make 13 parameters
    layers = [FIRST, {"fan_in": 1, "units": 2, "activation": "identity"}]
    hand_made(path, header=HEADER | {"layers": layers})
    with refused(ValueError, path, "layer 2 takes 1 inputs", "layer 1 has 3 units"):
        load(path)


@pytest.mark.parametrize(("fan_in", "units"), [(3_000, 3_000), (10**9, 10**9), (10**18, 1), (1, 10**18), (2**32, 2**32)])
def test_absurd_sizes_take_no_memory(path, fan_in, units):
    layers = [{"fan_in": fan_in, "units": units, "activation": "relu"}, SECOND | {"fan_in": units}]
    hand_made(path, header=HEADER | {"layers": layers})
    assert_refused_without_memory(path, "13 parameters", f"{units * fan_in + units + units + 1:,}")


@pytest.mark.parametrize("size", [2**63, 2**64, 10**30, 10**4_000], ids=lambda size: f"{size.bit_length()} bits")
@pytest.mark.parametrize("which", ["fan_in", "units"])
def test_sizes_beyond_numpy_take_no_memory(path, which, size):
    hand_made(path, header=HEADER | {"layers": [FIRST | {which: size}, SECOND]})
    assert_refused_without_memory(path)


def test_very_many_layers(path):
    layers = [{"fan_in": 1, "units": 1, "activation": "relu"}] * 20_000
    hand_made(path, header=HEADER | {"layers": layers})
    with refused(ValueError, path, "13 parameters", "40,000"):
        load(path)


def test_a_header_beyond_its_limit(path):
    hand_made(path, header=HEADER | {"notes": "x" * (1 << 24)})
    with refused(ValueError, path, "header.npy", "bytes, more than"):
        load(path)


# ---- a run's directory


@pytest.mark.parametrize("there", [False, True])
def test_a_run_writes_its_configuration_metrics_and_model(tmp_path, there):
    directory = tmp_path / "runs" / "first"
    if there:
        directory.mkdir(parents=True)
    run = Run.create(str(directory), {"hidden": [256], "activation": "relu", "note": "σ, δ"})
    assert sorted(os.listdir(directory)) == [".lock", "config.json"]
    assert json.loads((directory / "config.json").read_text("utf-8")) == {"hidden": [256], "activation": "relu", "note": "σ, δ"}
    run.append({"epoch": 1, "cost": 0.1 + 0.2, "validation_cost": None})
    run.append({"validation_cost": 1e-300, "epoch": 2, "cost": float("nan")})  # another order: the columns stay
    with (directory / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        table = list(csv.reader(stream))
    # the shortest decimals that are read back as the same numbers
    assert table == [["epoch", "cost", "validation_cost"], ["1", "0.30000000000000004", ""], ["2", "nan", "1e-300"]]
    net = small_net()
    assert run.save_model(net, notes=7) == directory / "model.npz"
    assert same(load(directory / "model.npz"), net)
    assert load_notes(directory / "model.npz") == 7
    assert sorted(os.listdir(directory)) == [".lock", "config.json", "metrics.csv", "model.npz"]


def test_metrics_are_on_the_disk_as_soon_as_the_epoch_ends(tmp_path):
    run = Run.create(tmp_path / "run", {})
    for epoch in (1, 2, 3):
        run.append({"epoch": epoch})
        assert (tmp_path / "run" / "metrics.csv").read_text("utf-8").split() == ["epoch", "1", "2", "3"][: epoch + 1]


def test_a_run_overwrites_nothing(tmp_path):
    (tmp_path / "config.json").write_bytes(b"an earlier run's")
    with refused(FileExistsError, f"{tmp_path}: holds files already", "must be new or empty"):
        Run.create(tmp_path, {})
    assert (tmp_path / "config.json").read_bytes() == b"an earlier run's"
    with refused(FileExistsError, tmp_path / "config.json"):
        Run.create(tmp_path / "config.json", {})
    assert os.listdir(tmp_path) == ["config.json"]
