"""Shows that mlp loses no work, believes no damaged file and refuses no good one. Five tortures, with a tally of each:

    kills    runs of `python -m mlp.train` are killed with SIGKILL at random moments, start-up included, and resumed (and
             killed again, and resumed) until done; then parameters and metrics must be, bit for bit, those of the same run
             left alone. (L-BFGS's memory of its steps is not kept: its metrics from before a kill must be there, and its
             cost may not rise.) After every kill, every file that the run has must be whole.
    files    IDX, gzip, model and state files, damaged and made up by hypothesis, are read, and runs resumed from altered
             states, under a limit of memory and of time. Each must be read rightly (as numpy and the gzip module read it) or
             refused in words that name it; and what is undamaged must be read.
    tables   CSV, .npz and Parquet files and pictures, damaged likewise, are read, and compared with what other readers find in
             them.
    offsets  writing a model and a state fails at every byte, as on a full disk, and at the flush and at the renaming. The
             old file must be whole, nothing must be left beside it, and the error must be an OSError.
    saves    two threads and two processes save to one path; what is loaded meanwhile must be whole.

The exit status is 0 only if all is as it should be. What escapes is kept in a directory, ./torture-escapes, and printed with
the command that reads it again. It needs Linux, whose limits it sets.

    python scripts/torture.py                    100 kills, 100,000 files, 20,000 tables, all offsets, 4,000 saves
    python scripts/torture.py --only files --files 5000 --seed 7
"""

import argparse
import csv
import errno
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from damaged_files import idx, try_files
from damaged_tables import try_tables

import mlp
from mlp.checkpoint import load_notes

CORES = os.cpu_count() or 1

# Kills

OPTIMIZERS = (
    "--batch-size 20 --momentum 0.9",
    "--optimizer lbfgs",
    "--batch-size 20 --optimizer adam --distort elastic,affine --dropout 0.1,0.2 --max-norm 2 --average 60",
    "--batch-size 20 --momentum 0.9 --nesterov --average 30",
    "--batch-size 20 --optimizer adam",
    "--batch-size 20 --momentum 0",
)
#: Saving after every epoch, within epochs every 30 ms and nothing else, and after nearly every step.
SAVING = ("", "--save-every 0 --save-minutes 0.0005", "--save-every 7 --save-minutes 0.00001 --patience 60")

#: When a run was killed, and the costs in its state then.
Kill = tuple[str, list[float]]


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
    command = [sys.executable, "-W", "error", "-m", "mlp.train", *words, "--no-plots", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, complaint = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    if process.returncode or complaint:
        raise RuntimeError(f"mlp.train {' '.join(words)}: status {process.returncode}: {complaint}")
    return True


def stage(run: Path) -> Kill:
    """How far a run has come, by its files, of which each must be whole; and the costs in its state."""
    for path in run.glob("*.npz"):
        (mlp.load_state if path.name == "state.npz" else mlp.load)(path)
    facts = mlp.load_state(run / "state.npz").facts if (run / "state.npz").exists() else {"history": []}
    costs = [record["cost"] for record in facts["history"]]
    if (run / "model.npz").exists():
        return "after the model was written", costs
    if not (run / "state.npz").exists():
        return "before the first state" if (run / "config.json").exists() else "before the configuration", costs
    return "within an epoch" if facts.get("done") else "between epochs", costs


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


def went_back(run: Path, killed: list[Kill]) -> str | None:
    """What a run of L-BFGS has lost of what it had when it was killed, or None."""
    costs = [float(row["cost"]) for row in metrics(run)]
    if any(costs[: len(before)] != before for _, before in killed):
        return "metrics from before a kill are lost"
    return "the cost has risen" if any(later > earlier for earlier, later in pairwise(costs)) else None


def survive(run: Path, options: list[str], duration: float, chance: random.Random) -> list[Kill]:
    """Start a run, and kill and resume it until it is done: its kills, one at least."""
    killed: list[Kill] = []
    while True:
        # without a configuration nothing has begun: the same command again, whatever the killed process left there
        words = ["--resume", str(run)] if (run / "config.json").exists() else [*options, "--out", str(run)]
        if not train(words, chance.uniform(0, duration) if not killed or chance.random() < 0.5 else None):
            killed.append(stage(run))
        elif killed:
            return killed
        else:  # it was quicker than the kill
            shutil.rmtree(run)


def kills(count: int, seed: int, room: Path) -> tuple[str, bool]:
    """So many runs killed and resumed until done: the tally, and whether all is well."""
    fixed = f"--data {small_mnist(room / 'mnist')} --hidden 16 --validation 200 --epochs 100 --seed {seed}"
    ways = [f"{fixed} {optimizer} {saving}".split() for saving in SAVING for optimizer in OPTIMIZERS][:count]

    def uninterrupted(way: int) -> float:
        started = time.monotonic()
        train([*ways[way], "--out", str(room / f"alone-{way}")])
        return time.monotonic() - started

    def one(number: int) -> tuple[str | None, list[Kill]]:
        way, run = number % len(ways), room / f"killed-{number}"
        try:
            killed = survive(run, ways[way], durations[way], random.Random(f"{seed} {number}"))
            inexact = "lbfgs" in ways[way] and any(costs for _, costs in killed)
            problem = went_back(run, killed) if inexact else difference(run, room / f"alone-{way}")
        except Exception as error:
            return f"{type(error).__name__}: {error}", []
        shutil.rmtree(run)
        return problem, killed

    survived, stages = 0, Counter[str]()
    with ThreadPoolExecutor(CORES) as pool:
        durations = list(pool.map(uninterrupted, range(len(ways))))
        durations = [min(duration, 3 * min(durations)) for duration in durations]  # one may have had to wait
        print(f"kills: {len(ways)} ways to train, left alone, took {min(durations):.1f} to {max(durations):.1f} s")
        for number, (problem, killed) in enumerate(pool.map(one, range(count)), 1):
            stages.update(name for name, _ in killed)
            survived += problem is None
            if problem is not None:
                print(f"kills: run {number - 1}, {' '.join(ways[(number - 1) % len(ways)])}: {problem}")
            if number % 10 == 0:
                print(f"kills: {survived} of {number} runs survived {stages.total()} kills", flush=True)
    where = ", ".join(f"{number} {name}" for name, number in stages.most_common())
    return f"kills survived: {survived} of {count} runs ({stages.total()} kills: {where})", survived == count


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process of its own; BrokenProcessPool if that dies of it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def files(count: int, seed: int, room: Path) -> tuple[str, bool]:
    """So many damaged files read: the tally, and whether all is well."""
    return read_damaged("files", try_files, count, seed, room)


def tables(count: int, seed: int, room: Path) -> tuple[str, bool]:
    """So many damaged tables and pictures read: the tally, and whether all is well."""
    return read_damaged("tables", try_tables, count, seed, room / "tables")


def read_damaged(what: str, try_them: Callable[..., Any], count: int, seed: int, room: Path) -> tuple[str, bool]:
    """So many damaged files of some kinds, tried in processes of their own: the tally, and whether all is well."""
    room.mkdir(exist_ok=True)
    pieces = [range(start, min(start + 5_000, count)) for start in range(0, count, 5_000)]

    def one(numbers: range) -> Any:
        try:
            return in_a_process(try_them, seed, numbers, room)
        except BrokenProcessPool:
            return [f"the process died of a file, the last in {room / f'files-{numbers.start}'}"], Counter(escaped=1)

    counts = Counter[str]()
    with ThreadPoolExecutor(CORES) as pool:
        for numbers, (found, counted) in zip(pieces, pool.map(one, pieces), strict=True):
            for text in found[: max(0, 20 - counts["escaped"])]:
                print(f"{what}: {text}")
            counts += counted
            if numbers.stop % 10_000 == 0 or numbers.stop == count:
                print(f"{what}: {counts['escaped']:,} of {numbers.stop:,} escaped", flush=True)
    tally = f"mutated {what} that escaped: {counts['escaped']:,} of {count:,}"
    return f"{tally} ({counts['read']:,} read, {counts['refused']:,} refused)", counts["escaped"] == 0 < counts["read"]


# Offsets and saves


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


def save_model(path: Path, number: int) -> None:
    """Save a model whose parameters are all that number; like the state, it is larger than Python's buffer."""
    net = mlp.MLP([40, 30, 10], dtype="float64", seed=0)
    net.theta[...] = number
    mlp.save(path, net)


def save_state(path: Path, number: int) -> None:
    vectors = {name: np.full(300, float(number)) for name in ("theta", "safe", "velocity", "best", "average")}
    mlp.save_state(path, mlp.State("sgd", vectors, {"history": []}))


def read_numbers(path: Path) -> set[float]:
    """The numbers in a model or a state; of a whole one, one number."""
    if path.name == "model":
        return set(mlp.load(path).theta.tolist())
    return {number for vector in mlp.load_state(path).arrays.values() for number in vector.tolist()}


SAVE = {"model": save_model, "state": save_state}


def loss(save: Callable[[Path, int], None], path: Path, trouble: Any) -> str | None:
    """What is lost when a save meets with trouble: None if the error is an OSError and all is as it was before."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    try:
        with trouble:
            save(path, 1)
        return "there was no error"
    except OSError:
        pass
    except BaseException as error:
        return f"{type(error).__name__}, not an OSError: {error}"
    if {file.name: file.read_bytes() for file in path.parent.iterdir()} != before:
        return f"the directory now holds {', '.join(sorted(os.listdir(path.parent))) or 'nothing'}, or other content"
    return "the old file has other numbers" if path.exists() and read_numbers(path) != {0} else None


def try_writes(kind: str, count: int | None, room: Path) -> tuple[int, list[str]]:
    """Save a model or a state where it fails, at so many offsets (None: all): how often, and what was lost."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # write() then fails with EFBIG
    save, path = SAVE[kind], room / f"offsets-{kind}" / kind
    path.parent.mkdir()
    save(path, 0)
    size = path.stat().st_size
    offsets = range(size) if count is None else sorted({round(at) for at in np.linspace(0, size - 1, count)})
    numbers = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)
    tried, lost = 0, []
    for there in (True, False):
        troubles = [(f"at byte {offset:,} of {size:,}", full_after(offset)) for offset in offsets]
        troubles += [
            (f"at os.{name}, {errno.errorcode[of]}", failing(name, of)) for name in ("fsync", "replace") for of in numbers
        ]
        for where, trouble in troubles:
            if there != path.exists():
                save(path, 0) if there else path.unlink()
            what = loss(save, path, trouble)
            tried += 1
            if what is not None:
                lost.append(f"{kind} {where}, {'over an old file' if there else 'where there was none'}: {what}")
                for file in path.parent.iterdir():
                    file.unlink()
    return tried, lost


def offsets(count: int | None, _seed: int, room: Path) -> tuple[str, bool]:
    """Writes that fail, everywhere or at so many offsets: the tally, and whether all is well."""
    with ThreadPoolExecutor(CORES) as pool:
        outcomes = list(pool.map(lambda kind: in_a_process(try_writes, kind, count, room), SAVE))
    tried, lost = sum(number for number, _ in outcomes), [text for _, texts in outcomes for text in texts]
    for text in lost[:20]:
        print(f"offsets: {text}")
    return f"checkpoints lost: {len(lost):,} of {tried:,} failing writes", not lost


def save_many(kind: str, path: Path, number: int, count: int) -> None:
    for _ in range(count):
        SAVE[kind](path, number)


def saves(count: int, _seed: int, room: Path) -> tuple[str, bool]:
    """So many saves, a model's and a state's, by two threads and two processes each: the tally, and whether all is well."""
    each, loads, lost = math.ceil(count / 8), 0, []
    for kind in SAVE:
        path = room / f"saves-{kind}" / kind
        path.parent.mkdir()
        SAVE[kind](path, 0)
        with ThreadPoolExecutor(4) as pool:
            savers = [pool.submit(save_many, kind, path, number, each) for number in (0, 1)]
            savers += [pool.submit(in_a_process, save_many, kind, path, number, each) for number in (2, 3)]
            while not all(saver.done() for saver in savers):
                loads += 1
                try:
                    if len(numbers := read_numbers(path)) != 1:
                        lost.append(f"a {kind} of {numbers}")
                except Exception as error:
                    lost.append(f"{type(error).__name__}: {error}")
        lost += [f"a save of a {kind}: {saver.exception()}" for saver in savers if saver.exception()]
        lost += [f"beside the {kind}: {file.name}" for file in path.parent.iterdir() if file != path]
    for text in lost[:20]:
        print(f"saves: {text}")
    return f"concurrent saves that damaged something: {len(lost):,} of {8 * each:,} ({loads:,} loads)", not lost


def whole(text: str) -> int:
    """An option's number, above 0."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=whole, default=100, help="how many runs to kill (default: 100)")
    parser.add_argument("--files", type=whole, default=100_000, help="how many files to damage (default: 100000)")
    parser.add_argument("--tables", type=whole, default=20_000, help="how many tables and pictures (default: 20000)")
    parser.add_argument(
        "--offsets",
        type=lambda text: None if text == "all" else whole(text),
        default="all",
        help="at how many offsets writing fails, of a model and of a state each, or all (default: all)",
    )
    parser.add_argument("--saves", type=whole, default=4_000, help="how many concurrent saves (default: 4000)")
    parts = {"kills": kills, "files": files, "tables": tables, "offsets": offsets, "saves": saves}
    parser.add_argument("--only", choices=parts, help="only one of the five")
    parser.add_argument("--seed", type=int, default=0, help="of the runs, the moments and the damage (default: 0)")
    arguments = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes to be started
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
