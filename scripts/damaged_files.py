"""What `torture.py --only files` does: damages and makes up files, reads them, and judges what comes of it. A file that escaped
is read again by

    python scripts/damaged_files.py torture-escapes/0-12.model.npz

Read `try_files` first, at the end. Above it are how each kind of file is read (`outcome` judges that), and made.
"""

import gzip
import hashlib
import io
import json
import math
import random
import resource
import shutil
import signal
import struct
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import mlp
from mlp.checkpoint import load_notes
from mlp.checkpoint.files import encode_header, write_members

try:
    import hypothesis
    from hypothesis import HealthCheck, strategies
    from hypothesis.configuration import set_hypothesis_home_dir
except ImportError:
    sys.exit("torture.py: error: needs hypothesis, which makes the damaged files: pip install hypothesis")

ESCAPES = Path("torture-escapes")

# How they are damaged and made up

EXTREMES = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with one to three things done to it: bits and bytes changed, runs removed, doubled, swapped, added."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        a, b, c = sorted(chance.randrange(len(content) + 1) for _ in range(3))
        width, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
        number = (chance.choice(EXTREMES) % 256**width).to_bytes(width, order)
        match chance.randrange(10):
            case 0 | 1:
                new, end = bytes(byte ^ 1 << chance.randrange(8) for byte in content[a : a + 1]), a + 1
            case 2:
                new, end = number, a + width
            case 3:
                new, end = chance.randbytes(chance.randint(1, 40)), a
            case 4:
                new, end = content[a:b] + content[a:c], c
            case 5:
                new, end = content[b:c] + content[a:b], c
            case 6:
                new, end = b"", a + width
            case 7:
                new, end = b"", c
            case 8:
                new, end = b"", len(content)
            case _:
                new, end = content[a:] + chance.choice((content, b"\0", bytes(100))), len(content)
        content = content[:a] + new + content[end:]
    return content


IDX_SIZES = {0x08: 1, 0x09: 1, 0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}


def idx(code: int, shape: tuple[int, ...], content: bytes) -> bytes:
    """An IDX file."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + content


IDX = (idx(8, (3, 4, 4), bytes(range(48))), idx(11, (5,), bytes(range(10))), idx(14, (2, 3), struct.pack(">6d", *range(6))))
GZIP = tuple(gzip.compress(content, mtime=0) for content in IDX)


def made_idx(chance: random.Random) -> bytes:
    """An IDX file that is damaged, or of any type and shape, with as many bytes as that takes, or others."""
    if chance.random() < 0.7:
        return damaged(chance.choice(IDX), chance)
    rank = chance.choice((0, 1, 1, 2, 3, 4, 33, 65, 255))
    shape = tuple(chance.choice((0, 1, 1, 2, 3, 255, 2**16, 2**31, 2**32 - 1)) for _ in range(rank))
    code = chance.choice((*IDX_SIZES, 0x0A, 0xFF))
    length = min(math.prod(shape) * IDX_SIZES.get(code, 1), 300)
    return idx(code, shape, chance.randbytes(max(0, length + chance.choice((0, 0, 0, -1, 1)))))


@cache
def gzip_bomb() -> bytes:
    """64 MiB of zeros, in 64 kB."""
    return gzip.compress(bytes(1 << 26), mtime=0)


@cache
def zip_bomb(name: str) -> bytes:
    """An archive of two members, of which one inflates to 64 MiB."""
    return packed([("header.npy", b""), (name, bytes(1 << 26))], zipfile.ZIP_DEFLATED)


def made_gzip(chance: random.Random) -> bytes:
    if chance.random() < 0.02:  # a gzip file may be several, one after the other
        shape = chance.choice(((4, 4), (0,), (2**16, 2**16), (2**32 - 1, 28, 28), (2**32 - 1,) * 255))
        return gzip.compress(idx(8, shape, bytes(16)), mtime=0) + gzip_bomb()
    return gzip.compress(made_idx(chance), mtime=0) if chance.random() < 0.4 else damaged(chance.choice(GZIP), chance)


#: What may stand in a model's or a state's JSON header instead of what does, and instead of the whole of it.
ODD_TEXTS = ("", "é", "x" * 999, "relu", "softmax", "threshold", "float32", "float64", "int8", "mlp-state", "mlp-model")
ODD_NUMBERS = (True, -1, 0, 1, 2, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, math.nan, math.inf)
ODD_VALUES = (*ODD_TEXTS, *ODD_NUMBERS, None, [], {}, [[]], ["x", 1], {"a": 1}, [None] * 99)
ODD_JSON = (b"[" * 99_999, b'{"format":' * 9_999, b"9" * 9_999, b"\xff", b"", b"null", b"{}", b"NaN", b'"\\ud800"', b"1e999")

#: What may stand in a .npy file's header: a type, and a shape in which {n} is a number that may fit.
ODD_TYPES = ("<f4", ">f4", "<f8", "|u1", "<f2", "<f16", "<i8", "|O", "|S0", "<U1", "|V4", "f4,f4", "(2,)f4", "\\d", "", None, 4)
ODD_SHAPES = (
    "({n},)",
    "({n}L,)",
    "({n}, 1)",
    "()",
    "(0,)",
    "(-1,)",
    "{n}",
    "({n}.0,)",
    "(True,)",
    "({n}if 1else 0,)",
    "1 is 1",
)
ODD_SHAPES += ("({n},), 'a': 1", "(9223372036854775808,)", "(" * 300 + ")" * 300, "-" * 3000 + "1", "9" * 5000)
ODD_NAMES = ("theta", "THETA.npy", "../theta.npy", "/theta.npy", "theta.npy/", "a\0b.npy", "é.npy", "m.npy", "header.npy")


def altered(value: Any, chance: random.Random) -> Any:
    """A JSON value with something in it removed, renamed or replaced."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        rest = {name: of for name, of in value.items() if name != key}
        return chance.choice((rest, rest | {"other": value[key]}, *[rest | {key: altered(value[key], chance)}] * 6))
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return chance.choice((value[:at], value + value, *[[*value[:at], altered(value[at], chance), *value[at + 1 :]]] * 3))
    return chance.choice(ODD_VALUES)


def npy(descr: Any, shape: str, content: bytes, order: str = "False") -> bytes:
    """A .npy file (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)."""
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}".encode("latin-1", "replace")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def packed(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


#: The records of a zip archive: signature, and the (offset, width) of the numbers in them (.ZIP File Format Specification).
ZIP_RECORDS = {
    b"PK\3\4": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\1\2": ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (34, 2), (42, 4)),
    b"PK\5\6": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}


def with_false_records(archive: bytes, chance: random.Random) -> bytes:
    """The archive with some numbers in its records replaced by extreme ones, or by ones nearby."""
    content = bytearray(archive)
    for _ in range(chance.choice((1, 1, 2, 4))):
        signature = chance.choice(list(ZIP_RECORDS))
        offset, width = chance.choice(ZIP_RECORDS[signature])
        at = offset + chance.choice([at for at in range(len(content)) if content.startswith(signature, at)])
        true = int.from_bytes(content[at : at + width], "little")
        false = chance.choice((*EXTREMES, true + 1, true - 1, true + 30, 2 * true)) % 256**width
        content[at : at + width] = false.to_bytes(width, "little")
    return bytes(content[: len(archive)])


def made_archive(archive: bytes, chance: random.Random) -> bytes:
    """A model or a state, damaged from outside or, with right checksums, from inside."""
    if chance.random() < 0.4:
        return (damaged if chance.random() < 0.5 else with_false_records)(archive, chance)
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        members = [(name, source.read(name)) for name in source.namelist()]
    at, other = chance.sample(range(len(members)), 2)
    (name, content), method = members[at], zipfile.ZIP_STORED
    match chance.randrange(20):
        case 0:
            members[at], members[other] = (name, members[other][1]), (members[other][0], content)
        case 1:
            del members[at]
        case 2:
            members.append((name, chance.choice((content, b""))))
        case 3:
            members[at] = (chance.choice(ODD_NAMES), content)
        case 4:
            method = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        case 5 if chance.random() < 0.1:
            return damaged(zip_bomb(name), chance)
        case 6 | 7 | 8:
            members[at] = (name, damaged(content, chance))
        case 9 | 10 | 11 | 12:
            shape = chance.choice(ODD_SHAPES).replace("{n}", str((len(content) - 128) // chance.choice((1, 4, 8))))
            descr = chance.choice((content[21:24].decode(), chance.choice(ODD_TYPES)))
            members[at] = (name, npy(descr, shape, content[128:], chance.choice(("False", "False", "True", "0"))))
        case _:
            text = chance.choice(ODD_JSON)
            if chance.random() < 0.9:
                text = json.dumps(altered(json.loads(members[0][1][128:]), chance)).encode()
            members[0] = ("header.npy", npy("|u1", f"({len(text)},)", text))
    return packed(members, method)


def archive_of(header: dict[str, Any], vectors: dict[str, Any]) -> bytes:
    """The archive of that header and those vectors, unchecked."""
    stream = io.BytesIO()
    write_members(stream, {"header": encode_header(header, "header", header), **vectors})
    return stream.getvalue()


def made_resumable(archive: bytes, chance: random.Random) -> bytes:
    """A state with altered facts, or with a number in one of its vectors altered."""
    with np.load(io.BytesIO(archive)) as source:
        vectors = {name: source[name] for name in source.files}
    header = json.loads(vectors.pop("header").tobytes())
    if chance.random() < 0.1:
        vector = vectors[chance.choice(list(vectors))]
        vector[chance.randrange(vector.size)] = chance.choice((math.nan, math.inf, -math.inf, 1e300, -0.0))
    else:
        for _ in range(chance.choice((1, 1, 2, 3))):
            header["facts"] = altered(header["facts"], chance)
    return archive_of(header, vectors)


# How they are read


def is_gzip(content: bytes) -> bool:
    return content[:2] == b"\x1f\x8b"


def idx_content(content: bytes) -> tuple[tuple[int, ...], bytes] | None:
    """The shape and the numbers' bytes of an IDX file, by its description; None if it is none, or of over 32 dimensions."""
    try:
        if is_gzip(content):
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(1 << 20)  # none but bombs have more
        zeros, code, rank = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
        whole = zeros == 0 and 0 < rank <= 32 and math.prod(shape) * IDX_SIZES[code] == len(content) - 4 - 4 * rank
    except Exception:
        return None
    return (shape, content[4 + 4 * rank :]) if whole and all(shape) else None


def read_idx(path: Path, mapped: bool = False) -> None:
    """Read an IDX file, and check the array against the file's bytes."""
    array = mlp.read_idx(path, mapped=mapped)
    right = idx_content(path.read_bytes())
    if array.size and (right is None or (array.shape, array.astype(array.dtype.newbyteorder(">")).tobytes()) != right):
        raise AssertionError(f"read with other numbers, of shape {array.shape}")


def read_mapped_idx(path: Path) -> None:
    read_idx(path, mapped=True)


def numpy_archive(path: Path) -> Any:
    """What numpy makes of an archive that mlp has read."""
    try:
        return np.load(path)
    except Exception as error:
        raise AssertionError(f"read, where numpy refuses: {error}") from error


def read_model(path: Path) -> None:
    """Read a model, check its parameters against numpy's reader, and use it."""
    net = mlp.load(path)
    load_notes(path)
    with numpy_archive(path) as archive:
        if net.theta.tobytes() != archive["theta"].astype(net.dtype).tobytes():
            raise AssertionError("read with other parameters")
    outputs = net.forward(np.linspace(0, 1, net.sizes[0])[None])
    if outputs.shape != (1, net.sizes[-1]) or outputs.dtype != net.dtype:
        raise AssertionError(f"its outputs are {outputs.dtype} of shape {outputs.shape}")


def read_state(path: Path) -> mlp.State:
    """Read a state, and check its vectors against numpy's reader."""
    state = mlp.load_state(path)
    with numpy_archive(path) as archive:
        for name, vector in state.arrays.items():
            if vector.tobytes() != archive[name].astype(vector.dtype).tobytes():
                raise AssertionError(f"read with another {name}")
    return state


#: Each minimiser's settings in an example, whose state has all the vectors that the minimiser may keep.
EXAMPLES: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "batch_size": 3, "epochs": 3, "average": 2, "patience": 9, "tol": 1e-9},
    "adam": {"batch_size": 3, "epochs": 3, "patience": 9},
    "lbfgs": {"maxiter": 4, "patience": 9},
}


def minimise(minimiser: str, **settings: Any) -> None:
    """Run an example."""
    net = mlp.MLP([2, 2, 2], hidden="tanh", dtype="float64", seed=0)
    objective = mlp.Objective(net, np.sin(np.arange(12.0)).reshape(6, 2), np.arange(6) % 2)
    getattr(mlp, minimiser)(objective, net.theta, validation=objective, **EXAMPLES[minimiser], **settings)


def example_states() -> list[bytes]:
    """For each minimiser a state file, of a run stopped within its third epoch, or after its third iteration."""
    files = []
    for minimiser in EXAMPLES:
        taken: list[mlp.State] = []
        minimise(minimiser, each_step=lambda snapshot, taken=taken: taken.append(snapshot()))
        state = taken[2 if minimiser == "lbfgs" else 4]
        for timed in (state.facts, *state.facts["history"]):
            timed["seconds"] = 1.0  # which alone would be another each time
        header = {"format": "mlp-state", "version": 1, "minimiser": minimiser, "facts": state.facts}
        files.append(archive_of(header, state.arrays))
    return files


def resume(path: Path) -> None:
    """Go on from a state with the minimiser that it names, which must go well or refuse the state by its argument's name."""
    state = read_state(path)
    try:
        minimise(state.minimiser if state.minimiser in EXAMPLES else "sgd", state=state)
    except (ValueError, TypeError) as error:
        if not str(error).startswith("state: "):
            raise AssertionError(f"resuming: {type(error).__name__}: {error}") from error
        raise ValueError(f"{path}: {error}") from error


class TookTooLong(BaseException):
    """A file was being read for longer than allowed; no `except Exception` stops this."""


def take_too_long(*_: Any) -> None:
    raise TookTooLong


@contextmanager
def limits(seconds: float, room: int) -> Iterator[None]:
    """This process may take so many seconds, of its own time, and so many bytes of memory more than it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    signal.signal(signal.SIGPROF, take_too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_PROF, 0)


def outcome(read: Callable[[Path], Any], path: Path, seconds: float = 2, whole: bool = False, room: int = 1 << 25) -> str:
    """What comes of reading a file: "read", rightly, or "refused", in words that name it; anything else is how it escapes.

    A whole file that is refused escapes.
    """
    found = "read"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with limits(seconds, room):
                read(path)
        except (ValueError, TypeError) as error:
            if str(path) not in str(error):
                return f"an error that doesn't name the file: {type(error).__name__}: {error}"
            found = f"an undamaged file is refused: {error}" if whole else "refused"
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, MemoryError):
                    return f"takes more memory than it is allowed ({error})"
                cause = cause.__cause__ or cause.__context__
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
    return f"{warned[0].category.__name__}: {warned[0].message}" if warned else found


#: How each kind of files is read, by the end of its name.
READERS = {
    "idx": read_idx,
    "idx.mapped": read_mapped_idx,
    "idx.gz": read_idx,
    "model.npz": read_model,
    "state.npz": read_state,
    "resumed.npz": resume,
}

#: How a kind of files ends, some that are whole, and how one is damaged or made up.
Kind = tuple[str, tuple[bytes, ...], Callable[[random.Random], bytes]]


def kinds_of_files(directory: Path) -> list[Kind]:
    path = directory / "model"
    mlp.save(path, mlp.MLP([3, 2, 2], seed=0))
    models = (path.read_bytes(),)
    net = mlp.MLP([2, 3, 2, 1], hidden="softplus", output="logistic", dtype="float64", seed=0)
    mlp.save(path, net, {"a": [1, "é"]})
    models += (path.read_bytes(),)
    states = tuple(example_states())
    return [
        ("idx", IDX, made_idx),
        ("idx.mapped", IDX, made_idx),
        ("idx.gz", GZIP, made_gzip),
        ("model.npz", models, lambda chance: made_archive(chance.choice(models), chance)),
        ("state.npz", states, lambda chance: made_archive(chance.choice(states), chance)),
        ("resumed.npz", states, lambda chance: made_resumable(chance.choice(states), chance)),
    ]


def try_files(
    seed: int,
    numbers: range,
    directory: Path,
    kinds: list[Kind] | None = None,
    readers: dict[str, Callable[[Path], Any]] = READERS,
    script: str = "damaged_files.py",
    room: int = 1 << 25,
) -> tuple[list[str], Counter[str]]:
    """Read the files of these numbers, which the seed decides: how some of them escaped, and how many were read and refused.

    `kinds` are those of `kinds_of_files` unless others are given, with their readers, the script that reads one again, and how
    many bytes of memory reading one may take.
    """
    path = directory / f"files-{numbers.start}"
    path.mkdir()
    kinds = kinds_of_files(path) if kinds is None else kinds
    found: list[str] = []
    counts = Counter[str]()
    tried: set[bytes] = set()  # which files, by their digests: it comes back to some

    def try_one(kind: Kind, content: bytes) -> None:
        ending, examples, _ = kind
        digest = hashlib.sha256(ending.encode() + content).digest()
        if digest in tried or len(tried) == len(numbers):
            return
        tried.add(digest)
        (path / ending).write_bytes(content)
        good_idx = "idx" in ending and idx_content(content) is not None and not (ending == "idx.mapped" and is_gzip(content))
        how = outcome(readers[ending], path / ending, whole=content in examples or good_idx, room=room)
        counts[how if how in ("read", "refused") else "escaped"] += 1
        if how not in ("read", "refused"):
            ESCAPES.mkdir(exist_ok=True)
            kept = shutil.copy(path / ending, ESCAPES / f"{seed}-{numbers.start + len(tried)}.{ending}")
            found.append(f"{how}\n    python scripts/{script} {kept}")

    # every choice that a damaged file comes from is hypothesis's to make: it seeks out the odd ones
    @hypothesis.settings(max_examples=len(numbers), database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(strategies.sampled_from(kinds), strategies.randoms(use_true_random=False))
    def try_many(kind: Kind, chance: random.Random) -> None:
        try_one(kind, kind[2](chance))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, about names that are there twice
        for kind in kinds:
            for content in kind[1]:
                try_one(kind, content)
        set_hypothesis_home_dir(path)
        attempt = 0
        while len(tried) < len(numbers):
            attempt += 1
            hypothesis.seed(f"{seed} {numbers.start} {attempt}")(try_many)()
    shutil.rmtree(path)
    return found, counts


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        print(f"{file}: {outcome(READERS[file.name.partition('.')[2]], file)}")
