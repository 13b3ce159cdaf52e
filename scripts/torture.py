"""Shows that mlp loses no work and believes no damaged file. Three tortures, and a tally of each at the end:

    kills    runs of `python -m mlp.train` are killed with SIGKILL at random moments, start-up included, and resumed (and
             killed again, and resumed) until done; then parameters and metrics must be, bit for bit, those of the same run
             left alone. After every kill, every file that the run has must be whole.
    files    IDX, gzip, model and state files, damaged and made up by hypothesis, are read, under a limit of memory and of
             time. Each must be read rightly (as numpy and the gzip module read it) or refused with an error that names it.
    offsets  writing a model and a state fails at every byte, as on a full disk, and at the flush and at the renaming. The
             old file must be whole, nothing must be left beside it, and the error must be an OSError.

The exit status is 0 only if all is as it should be. What escapes is kept in a directory, ./torture-escapes, and printed with
the call that repeats it. It needs Linux, whose limits it sets.

    python scripts/torture.py                                    100 kills, 100,000 files, all offsets: about six minutes
    python scripts/torture.py --only files --files 5000 --seed 7
"""

import argparse
import csv
import errno
import gzip
import hashlib
import io
import json
import math
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import mlp
from mlp.checkpoint import load_notes

try:
    import hypothesis
    from hypothesis import HealthCheck, strategies
    from hypothesis.configuration import set_hypothesis_home_dir
except ImportError:
    sys.exit("torture.py: error: needs hypothesis, which makes the damaged files: pip install hypothesis")

CORES = os.cpu_count() or 1
ESCAPES = Path("torture-escapes")

# Kills

OPTIMIZERS = (
    "--optimizer sgd --momentum 0",
    "--optimizer sgd --momentum 0.9",
    "--optimizer sgd --momentum 0.9 --nesterov",
    "--optimizer adam",
    "--optimizer adam --distort elastic,affine --dropout 0.1,0.2 --max-norm 2 --average 60",
)
#: Saving after every epoch, within epochs every 30 ms and nothing else, and after nearly every step.
SAVING = ("", "--save-every 0 --save-minutes 0.0005", "--save-every 7 --save-minutes 0.00001 --patience 60")


def small_mnist(directory: Path) -> Path:
    """A directory with the first 1,000 training images of MNIST, 800 to learn from and 200 to be tested on."""
    train = mlp.load_mnist(validation=0)[0][:1000]
    directory.mkdir()
    for name, part in (("train", train[:800]), ("t10k", train[800:])):
        images, labels = part.X.reshape(-1, 28, 28), part.y.astype(np.uint8)
        (directory / f"{name}-images-idx3-ubyte").write_bytes(idx(8, images.shape, images.tobytes()))
        (directory / f"{name}-labels-idx1-ubyte").write_bytes(idx(8, labels.shape, labels.tobytes()))
    return directory


def train(words: list[str], moment: float | None = None) -> bool:
    """Run the command: True if it ended by itself, and well; False if it was killed, so many seconds after its start."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "mlp.train", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, complaint = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    if process.returncode or complaint:
        raise RuntimeError(f"mlp.train {' '.join(words)}: status {process.returncode}: {complaint}")
    return True


def stage(run: Path) -> str:
    """How far a run has come, by its files, of which each must be whole."""
    for path in run.glob("*.npz"):
        (mlp.load_state if path.name == "state.npz" else mlp.load)(path)
    if (run / "model.npz").exists():
        return "after the model was written"
    if not (run / "state.npz").exists():
        return "before the first state" if (run / "config.json").exists() else "before the configuration"
    return "within an epoch" if mlp.load_state(run / "state.npz").facts["done"] else "between epochs"


def metrics(run: Path) -> list[dict[str, str]]:
    """A run's metrics but for the seconds."""
    with (run / "metrics.csv").open(encoding="utf-8") as table:
        return [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(table)]


def difference(run: Path, other: Path) -> str | None:
    """In what two finished runs differ, or None."""
    for name in ("model.npz", "best.npz"):
        if mlp.load(run / name).theta.tobytes() != mlp.load(other / name).theta.tobytes():
            return f"the parameters in {name} differ"
    if load_notes(run / "model.npz") != load_notes(other / "model.npz"):
        return "the notes in model.npz differ"
    if metrics(run) != metrics(other):
        return "the metrics differ"
    if {path.name for path in run.iterdir()} != {path.name for path in other.iterdir()}:
        return "the names of the files differ"
    return None


def survive(run: Path, options: list[str], duration: float, chance: random.Random) -> list[str]:
    """Start a run, and kill and resume it until it is done: at which stages it was killed, once at least."""
    stages: list[str] = []
    while True:
        # without a configuration nothing has begun: the same command again, whatever the killed process left there
        words = ["--resume", str(run)] if (run / "config.json").exists() else [*options, "--out", str(run)]
        moment = chance.uniform(0, duration) if not stages or chance.random() < 0.5 else None
        if not train([*words, "--no-plots", "--quiet"], moment):
            stages.append(stage(run))
        elif stages:
            return stages
        else:  # it was quicker than the kill
            shutil.rmtree(run)


def kills(count: int, seed: int, room: Path) -> tuple[str, bool]:
    """So many runs killed and resumed until done: the tally, and whether all is well."""
    data = small_mnist(room / "mnist")
    fixed = f"--data {data} --hidden 16 --batch-size 20 --validation 200 --epochs 100 --seed {seed}"
    ways = [f"{fixed} {optimizer} {saving}".split() for saving in SAVING for optimizer in OPTIMIZERS][: max(1, count)]

    def uninterrupted(way: int) -> float:
        started = time.monotonic()
        train([*ways[way], "--out", str(room / f"alone-{way}"), "--no-plots", "--quiet"])
        return time.monotonic() - started

    def one(number: int) -> tuple[str | None, list[str]]:
        way, run = number % len(ways), room / f"killed-{number}"
        try:
            stages = survive(run, ways[way], durations[way], random.Random(f"{seed} {number}"))
            problem = difference(run, room / f"alone-{way}")
        except Exception as error:
            return f"{type(error).__name__}: {error}", []
        shutil.rmtree(run)
        return problem, stages

    survived, stages = 0, Counter[str]()
    with ThreadPoolExecutor(CORES) as pool:
        durations = list(pool.map(uninterrupted, range(len(ways))))
        durations = [min(duration, 3 * min(durations)) for duration in durations]  # one may have had to wait
        print(f"kills: {len(ways)} ways to train, left alone, took {min(durations):.1f} to {max(durations):.1f} s")
        for number, (problem, killed_at) in enumerate(pool.map(one, range(count)), 1):
            stages.update(killed_at)
            survived += problem is None
            if problem is not None:
                print(f"kills: run {number - 1}, {' '.join(ways[(number - 1) % len(ways)])}: {problem}")
            if number % 10 == 0:
                print(f"kills: {survived} of {number} runs survived {stages.total()} kills", flush=True)
    where = ", ".join(f"{number} {name}" for name, number in stages.most_common())
    return f"kills survived bit-identically: {survived} of {count} runs ({stages.total()} kills: {where})", survived == count


# Files: how they are damaged and made up

EXTREMES = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with one to three things done to it."""
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        start, middle, end = sorted(chance.randrange(len(damaged) + 1) for _ in range(3))
        width = chance.choice((1, 2, 4, 8))
        match chance.randrange(10):
            case 0 if damaged:
                damaged[min(start, len(damaged) - 1)] ^= 1 << chance.randrange(8)
            case 1 if damaged:
                damaged[min(start, len(damaged) - 1)] = chance.randrange(256)
            case 2:
                del damaged[start:]
            case 3:
                damaged[start:start] = chance.randbytes(chance.randint(1, 40))
            case 4:
                damaged[end:end] = damaged[start:end]
            case 5:
                del damaged[start:end]
            case 6:
                del damaged[start : start + width]
            case 7:
                damaged[start:end] = damaged[middle:end] + damaged[start:middle]
            case 8:
                number = chance.choice(EXTREMES) % 256**width
                damaged[start : start + width] = number.to_bytes(width, chance.choice(("little", "big")))
            case _:
                damaged += chance.choice((content, b"\0", bytes(100), chance.randbytes(30)))
    return bytes(damaged)


def idx(code: int, shape: tuple[int, ...], content: bytes) -> bytes:
    """An IDX file."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + content


IDX = (idx(8, (3, 4, 4), bytes(range(48))), idx(11, (5,), bytes(range(10))), idx(14, (2, 3), struct.pack(">6d", *range(6))))


def odd_idx(chance: random.Random) -> bytes:
    """An IDX file of any type and shape, with as many bytes as that takes, or others."""
    shape = tuple(
        chance.choice((0, 1, 1, 2, 3, 255, 2**16, 2**31, 2**32 - 1))
        for _ in range(chance.choice((0, 1, 1, 2, 3, 4, 33, 65, 255)))
    )
    code = chance.choice((0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E, 0x0A, 0xFF))
    length = math.prod(shape) * {0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}.get(code, 1)
    return idx(code, shape, chance.randbytes(max(0, min(length, 300) + chance.choice((0, 0, 0, -1, 1)))))


@cache
def gzip_bomb() -> bytes:
    """64 MiB of zeros, in 64 kB."""
    return gzip.compress(bytes(1 << 26), mtime=0)


def made_idx(chance: random.Random) -> bytes:
    return odd_idx(chance) if chance.random() < 0.3 else damaged(chance.choice(IDX), chance)


def made_gzip(chance: random.Random) -> bytes:
    if chance.random() < 0.02:  # a gzip file may be several, one after the other
        shape = chance.choice(((1,), (4, 4), (0,), (2**16, 2**16), (2**32 - 1,), (2**32 - 1, 28, 28), (2**32 - 1,) * 255))
        return gzip.compress(idx(8, shape, bytes(16)), mtime=0) + gzip_bomb()
    if chance.random() < 0.4:
        return gzip.compress(made_idx(chance), mtime=0)
    return damaged(gzip.compress(chance.choice(IDX), mtime=0), chance)


#: What may stand in a model's or a state's JSON header instead of what does, and instead of the whole of it.
ODD_TEXTS = ("", "é", "x" * 999, "relu", "softmax", "threshold", "float32", "float64", "int8", "mlp-state", "mlp-model")
ODD_NUMBERS = (True, -1, 0, 1, 2, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, math.nan, math.inf)
ODD_VALUES = (*ODD_TEXTS, *ODD_NUMBERS, None, [], {}, [[]], {"a": 1}, [None] * 99)
ODD_JSON = (b"[" * 99_999, b'{"format":' * 9_999, b"9" * 9_999, b"\xff", b"", b"null", b"{}", b"NaN", b'"\\ud800"', b"1e999")


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


def npy(text: str, content: bytes) -> bytes:
    """A .npy file with that header (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)."""
    encoded = text.encode("latin-1", "replace") + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded + content


#: What may stand in a .npy file's header; {n} is a number that may fit.
DTYPES = ("<f4", ">f4", "<f8", ">f8", "|u1", "|b1", "<f2", "<f16", "<c8", "<i8", "|O", "|S4", "|S0", "<U1", "|V4", "|V0", "a4")
DTYPES += ("f", "f4,f4", "(2,)f4", "<M8[s]", "\\d", "", None, 4)
SHAPES = ("({n},)", "({n}L,)", "({n}, 1)", "(1, {n})", "()", "(0,)", "(-1,)", "(-{n}, -1)", "{n}", "[{n}]", "({n}.0,)", "None")
SHAPES += (
    "(True,)",
    "(0x0a,)",
    "(1_0,)",
    "({n}if 1else 0,)",
    "'\\d'",
    "1 is 1",
    "({n},), 'a': 1",
    "(0, 4294967296, 4294967296)",
)
SHAPES += ("(9223372036854775808,)", "(" + "1, " * 70 + ")", "(" * 300 + ")" * 300, "-" * 3000 + "1", "[" * 9000, "9" * 5000)


def odd_npy(content: bytes, chance: random.Random) -> bytes:
    """A .npy file of 4-byte numbers or single bytes, with another header."""
    descr = chance.choice((content[21:24].decode(), chance.choice(DTYPES), [("a", chance.choice(DTYPES))]))
    body = content[128:]
    shape = chance.choice(SHAPES).replace("{n}", str(len(body) // chance.choice((1, 4, 8))))
    order = chance.choice(("False", "False", "True", "None", "0"))
    return npy(f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}", body)


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
        places = [at for at in range(len(content)) if content.startswith(signature, at)]
        offset, width = chance.choice(ZIP_RECORDS[signature])
        at = chance.choice(places) + offset
        true = int.from_bytes(content[at : at + width], "little")
        false = chance.choice((*EXTREMES, true + 1, true - 1, true + 30, 2 * true)) % 256**width
        content[at : at + width] = false.to_bytes(width, "little")
    return bytes(content[: len(archive)])


@cache
def zip_bomb(name: str) -> bytes:
    """An archive of two members, of which one inflates to 64 MiB."""
    return packed([("header.npy", b""), (name, bytes(1 << 26))], zipfile.ZIP_DEFLATED)


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
            odd = (
                "theta",
                "THETA.npy",
                "../theta.npy",
                "/theta.npy",
                "theta.npy/",
                "a\0b.npy",
                "é.npy",
                "m.npy",
                "v.npy",
                "best.npy",
            )
            members[at] = (chance.choice(odd), content)
        case 4:
            method = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        case 5 if chance.random() < 0.1:
            return damaged(zip_bomb(name), chance)
        case 6 | 7 | 8:
            members[at] = (name, damaged(content, chance))
        case 9 | 10 | 11 | 12:
            members[at] = (name, odd_npy(content, chance))
        case _:
            text = chance.choice(ODD_JSON)
            if chance.random() < 0.9:
                text = json.dumps(altered(json.loads(members[0][1][128:]), chance)).encode()
            members[0] = ("header.npy", npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({len(text)},), }}", text))
    return packed(members, method)


# Files: how they are read


def read_idx(path: Path, mapped: bool = False) -> None:
    """Read an IDX file, and check the array against the file's bytes."""
    array = mlp.read_idx(path, mapped=mapped)
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    start = 4 + 4 * content[3]
    if array.shape != struct.unpack(f">{content[3]}I", content[4:start]):
        raise AssertionError(f"read as of shape {array.shape}")
    if array.astype(array.dtype.newbyteorder(">")).tobytes() != content[start:]:
        raise AssertionError("read with other numbers")


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


def read_state(path: Path) -> None:
    """Read a state, and check its vectors against numpy's reader."""
    state = mlp.load_state(path)
    with numpy_archive(path) as archive:
        for name in archive.files:
            if name != "header" and state.arrays[name].tobytes() != archive[name].tobytes():
                raise AssertionError(f"read with another {name}")


class TookTooLong(BaseException):
    """A file was being read for longer than allowed; no `except Exception` stops this."""


def take_too_long(*_: Any) -> None:
    raise TookTooLong


@contextmanager
def limits(seconds: float, room: int = 1 << 25) -> Iterator[None]:
    """This process may take so many seconds, of its own time, and so many bytes of memory more than it has, 32 MiB."""
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


def escape(read: Callable[[Path], Any], path: Path, seconds: float = 2) -> str | None:
    """How a file escapes when it is read; None if it doesn't, but is read rightly or refused in words that name it."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with limits(seconds):
                read(path)
        except (ValueError, TypeError) as error:
            if str(path) not in str(error):
                return f"an error that doesn't name the file: {type(error).__name__}: {error}"
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, MemoryError):
                    return f"takes more memory than it is allowed ({error})"
                cause = cause.__cause__ or cause.__context__
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
    return f"{warned[0].category.__name__}: {warned[0].message}" if warned else None


def example_state() -> mlp.State:
    """A state with everything that a state may hold, of a run of 2 epochs."""
    states: list[mlp.State] = []
    generator = np.random.default_rng(0)
    net = mlp.MLP([2, 2, 2], dtype="float64", seed=0)
    objective = mlp.Objective(net, generator.random((6, 2)), np.arange(6) % 2)

    def keep(intermediate_result: Any) -> None:
        states.append(intermediate_result.snapshot())

    mlp.sgd(objective, net.theta, momentum=0.9, batch_size=3, epochs=2, validation=objective, patience=9, callback=keep)
    state = states[-1]
    state.facts["seconds"] = 1.0  # which alone would be another each time
    for record in state.facts["history"]:
        record["seconds"] = 0.5
    return state


def try_files(seed: int, numbers: range, directory: Path) -> list[str]:
    """Read the files of these numbers, each of which the seed decides; returns how some of them escaped, if they did."""
    path = directory / f"files-{numbers.start}"
    path.mkdir()
    mlp.save(path / "model", mlp.MLP([3, 2, 2], seed=0))
    mlp.save(
        path / "deep", mlp.MLP([2, 3, 2, 1], hidden="softplus", output="logistic", dtype="float64", seed=0), {"a": [1, "é"]}
    )
    mlp.save_state(path / "state", example_state())
    models, state = [(path / name).read_bytes() for name in ("model", "deep")], (path / "state").read_bytes()
    kinds: list[tuple[str, Callable[[Path], None], Callable[[random.Random], bytes]]] = [
        ("idx", read_idx, made_idx),
        ("idx.mapped", read_mapped_idx, made_idx),
        ("idx.gz", read_idx, made_gzip),
        ("model.npz", read_model, lambda chance: made_archive(chance.choice(models), chance)),
        ("state.npz", read_state, lambda chance: made_archive(state, chance)),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, about names that are there twice
        found: list[str] = []
        tried: set[bytes] = set()  # which files, by their digests: it comes back to some

        # every choice that a damaged file comes from is hypothesis's to make: it seeks out the odd ones
        @hypothesis.settings(max_examples=len(numbers), database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @hypothesis.given(strategies.sampled_from(kinds), strategies.randoms(use_true_random=False))
        def try_one(of: tuple[str, Callable[[Path], None], Callable[[random.Random], bytes]], chance: random.Random) -> None:
            kind, read, made = of
            file, content = path / kind, made(chance)
            digest = hashlib.sha256(kind.encode() + content).digest()
            if digest in tried or len(tried) == len(numbers):
                return
            tried.add(digest)
            file.write_bytes(content)
            how = escape(read, file)
            if how is not None:
                ESCAPES.mkdir(exist_ok=True)
                kept = shutil.copy(file, ESCAPES / f"{seed}-{numbers.start + len(tried)}.{kind}")
                found.append(f"{how}\n    torture.{read.__name__}(Path('{kept}'))")

        set_hypothesis_home_dir(path)
        attempt = 0
        while len(tried) < len(numbers):
            attempt += 1
            hypothesis.seed(f"{seed} {numbers.start} {attempt}")(try_one)()
    shutil.rmtree(path)
    return found


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process of its own; BrokenProcessPool if that dies of it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def files(count: int, seed: int, room: Path) -> tuple[str, bool]:
    """So many damaged files read: the tally, and whether all is well."""
    pieces = [range(start, min(start + 5_000, count)) for start in range(0, count, 5_000)]

    def one(numbers: range) -> list[str]:
        try:
            return in_a_process(try_files, seed, numbers, room)
        except BrokenProcessPool:
            return [f"the process died of one of the files {numbers}, the last in {room / f'files-{numbers.start}'}"]

    escapes: list[str] = []
    with ThreadPoolExecutor(CORES) as pool:
        for numbers, found in zip(pieces, pool.map(one, pieces), strict=True):
            for text in found[: max(0, 20 - len(escapes))]:
                print(f"files: {text}")
            escapes += found
            if numbers.stop % 10_000 == 0 or numbers.stop == count:
                print(f"files: {len(escapes):,} of {numbers.stop:,} escaped", flush=True)
    return f"mutated files that escaped: {len(escapes):,} of {count:,}", not escapes


# Offsets


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file may grow beyond that size: as on a disk with so much room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def failing(name: str, number: int) -> Iterator[None]:
    """A function of `os` fails with that errno."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    before = getattr(os, name)
    setattr(os, name, fail)
    try:
        yield
    finally:
        setattr(os, name, before)


def loss(write: Callable[[Path], None], read: Callable[[Path], bytes], path: Path, trouble: Any) -> str | None:
    """What is lost when a write meets with trouble: None if the error is an OSError and all is as it was before."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    bits = read(path) if path.exists() else None
    try:
        with trouble:
            write(path)
        return "there was no error"
    except OSError:
        pass
    except BaseException as error:
        return f"{type(error).__name__}, not an OSError: {error}"
    if {file.name: file.read_bytes() for file in path.parent.iterdir()} != before:
        return f"the directory now holds {', '.join(sorted(os.listdir(path.parent))) or 'nothing'}, or other content"
    if bits is not None and read(path) != bits:
        return "the old file has other bits"
    return None


def example_writes() -> dict[str, tuple[list[Callable[[Path], None]], Callable[[Path], bytes]]]:
    """By kind of file, how an old and a new one are written, and how one is read: both larger than Python's buffer."""
    nets = [mlp.MLP([40, 30, 10], dtype="float64", seed=seed) for seed in (0, 1)]
    old, new = example_state(), example_state()
    old.arrays = {name: np.zeros(300) for name in old.arrays}
    new.arrays = {name: np.ones(300) for name in new.arrays}

    def writer(save: Callable[[Path, Any], None], thing: Any) -> Callable[[Path], None]:
        return lambda path: save(path, thing)

    return {
        "model": ([writer(mlp.save, net) for net in nets], lambda path: mlp.load(path).theta.tobytes()),
        "state": (
            [writer(mlp.save_state, state) for state in (old, new)],
            lambda path: b"".join(array.tobytes() for array in mlp.load_state(path).arrays.values()),
        ),
    }


def try_writes(kind: str, count: int | None, room: Path) -> tuple[int, list[str]]:
    """Write a model or a state where it fails, at so many offsets (None: all): how often, and what was lost."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # write() then fails with EFBIG
    (write_old, write), read = example_writes()[kind]
    path = room / f"offsets-{kind}" / f"{kind}.npz"
    path.parent.mkdir()
    write(path)
    size = path.stat().st_size
    offsets = range(size) if count is None else sorted({round(at) for at in np.linspace(0, size - 1, count)})
    tried, lost = 0, []
    for there in (True, False):
        if there:
            write_old(path)
        else:
            path.unlink()
        troubles = [(f"at byte {offset:,} of {size:,}", full_after(offset)) for offset in offsets]
        troubles += [
            (f"at os.{name}, {errno.errorcode[number]}", failing(name, number))
            for name in ("fsync", "replace")
            for number in (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)
        ]
        for where, trouble in troubles:
            what = loss(write, read, path, trouble)
            tried += 1
            if what is not None:
                lost.append(f"{kind} {where}, {'over an old file' if there else 'where there was none'}: {what}")
                for file in path.parent.iterdir():
                    file.unlink()
                if there:
                    write_old(path)
    return tried, lost


def offsets(count: int | None, _seed: int, room: Path) -> tuple[str, bool]:
    """Writes that fail, everywhere or at so many offsets: the tally, and whether all is well."""
    tried, lost = 0, []
    with ThreadPoolExecutor(CORES) as pool:
        for kind, outcome in zip(
            ("model", "state"),
            pool.map(lambda kind: in_a_process(try_writes, kind, count, room), ("model", "state")),
            strict=True,
        ):
            for text in outcome[1][:10]:
                print(f"offsets: {text}")
            tried, lost = tried + outcome[0], lost + outcome[1]
            print(f"offsets: {len(outcome[1]):,} of {outcome[0]:,} failing writes of a {kind} lost something", flush=True)
    return f"checkpoints lost: {len(lost):,} of {tried:,} failing writes", not lost


def whole(text: str) -> int:
    """An option's number, above 0."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=whole, default=100, help="how many runs to kill (default: 100)")
    parser.add_argument("--files", type=whole, default=100_000, help="how many files to damage (default: 100000)")
    parser.add_argument(
        "--offsets",
        type=lambda text: None if text == "all" else whole(text),
        default="all",
        help="at how many offsets writing fails, of a model and of a state each, or all (default: all)",
    )
    parser.add_argument("--only", choices=("kills", "files", "offsets"), help="only one of the three")
    parser.add_argument("--seed", type=int, default=0, help="of the runs, the moments and the damage (default: 0)")
    arguments = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes to be started
    parts = {"kills": kills, "files": files, "offsets": offsets}
    tally = []
    with tempfile.TemporaryDirectory(prefix="torture-") as room:
        for name, part in parts.items():
            if arguments.only in (None, name):
                started = time.monotonic()
                line, well = part(getattr(arguments, name), arguments.seed, Path(room))
                tally.append((f"{line}, {time.monotonic() - started:.0f} s", well))
    print()
    for line, well in tally:
        print(line if well else f"{line}  <-- FAILED")
    return 0 if all(well for _, well in tally) else 1


if __name__ == "__main__":
    sys.exit(main())
