"""`python -m mlp.sweep`: many runs of `python -m mlp.train`, over a grid of options or drawn at random; a table and a figure.

    python -m mlp.sweep runs/rates --try learning-rate 0.05 0.1 0.2 --try hidden 256 512,256 --options "--epochs 5"
    python -m mlp.sweep runs/drawn --range learning-rate 0.01 0.5 --try momentum 0.5 0.9 --draw 20 --cluster tcp://HOST:8786

Each run is a process of its own, several at a time on this machine or one for each thread of a cluster's workers, which must
see the same files. Its directory is named by its options, so that the same command goes on where an interrupted sweep stopped:
what is finished is not trained again, and what had begun is resumed. Runs are judged by their validation accuracy.
"""

import argparse
import itertools
import math
import os
import shlex
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mlp import cli
from mlp.checkpoint import atomic_write, load_notes
from mlp.checks import check_integer, check_name, parse_number
from mlp.plots.canvas import drawing
from mlp.plots.runs import METRICS, columns_of
from mlp.train.options import OPTIONS

PROG = "python -m mlp.sweep"

#: The exit status of a run that was stopped by Ctrl-C.
_BY_CTRL_C = 130

#: This process's runs on this machine.
_running: set[subprocess.Popen[str]] = set()

#: One run's options: the values tried, as words, by option.
Trial = dict[str, str]


def read_choices(given: argparse.Namespace) -> dict[str, list[str]]:
    """The words to try for each option, and of each range, two: its ends."""
    known = {option.name: option for option in OPTIONS if option.name not in ("out", "resume")}
    choices: dict[str, list[str]] = {}
    for flag, entries in (("--try", given.choices), ("--range", given.ranges)):
        for word, *values in entries:
            name = check_name(flag, word.lstrip("-").replace("-", "_"), known)
            if name in choices:
                raise ValueError(f"{flag}: received {name} twice, but once is enough")
            if flag == "--range":
                low, high = (parse_number(f"{flag} {name}", value) for value in values)
                if not 0 < low < high < math.inf:
                    raise ValueError(f"{flag} {name}: received {low:g} and {high:g}, but it must be from above 0 to more")
            for value in values:
                known[name].kind.read(value)
            choices[name] = values
    if not choices:
        raise ValueError("--try: received none, but something must be tried, as in --try learning-rate 0.1 0.2")
    return choices


def list_trials(choices: dict[str, list[str]], ranges: Sequence[str], draw: int | None, seed: int) -> list[Trial]:
    """All combinations; or `draw` at random, each option by itself, a range's values uniformly on a logarithmic scale."""
    if draw is None:
        if ranges:
            raise ValueError(
                f"--range: received {', '.join(ranges)}, but a range is drawn from: say how many runs, as in --draw 20"
            )
        return [dict(zip(choices, words, strict=True)) for words in itertools.product(*choices.values())]
    rng = np.random.default_rng(seed)

    def drawn(name: str) -> str:
        if name not in ranges:
            return choices[name][rng.integers(len(choices[name]))]
        low, high = map(float, choices[name])
        return f"{math.exp(rng.uniform(math.log(low), math.log(high))):.4g}"

    trials = [{name: drawn(name) for name in choices} for _ in range(draw)]
    return list({tuple(trial.items()): trial for trial in trials}.values())  # none twice


def words_of(trial: Trial, options: Sequence[str]) -> list[str]:
    """A run's options for mlp.train; where one comes twice, the last counts."""
    tried = [word for name, value in trial.items() for word in (f"--{name.replace('_', '-')}", value)]
    return ["--no-plots", *options, *tried]


def directory_of(trial: Trial, options: Sequence[str], out: Path) -> Path:
    """Where a run is: named by what decides it."""
    return out / f"{zlib.crc32(shlex.join(words_of(trial, options)).encode()):08x}"


def run_training(words: Sequence[str], place: str, threads: int) -> tuple[int, str]:
    """Run mlp.train into a directory, or go on with the run there; returns the exit status and the last lines it printed.

    A run that is finished is left as it is. This is a task of its own on a cluster's worker, too.
    """
    if is_finished(Path(place)):
        return 0, ""
    begun = (Path(place) / "config.json").exists()
    options = ["--resume", place, "--no-plots"] if begun else [*words, "--out", place]
    with subprocess.Popen(
        [sys.executable, "-m", "mlp.train", *options],
        env={"OPENBLAS_NUM_THREADS": str(threads), **os.environ, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        _running.add(process)
        try:
            said, _ = process.communicate()
        finally:
            _running.discard(process)
    return process.returncode, "\n".join(said.splitlines()[-3:])


@contextmanager
def passing_on_signals() -> Iterator[None]:
    """Within it, what ends this process (SIGTERM, SIGHUP) stops its runs too, which save their states, as Ctrl-C does."""

    def stop(number: int, _frame: Any) -> None:
        for process in list(_running):
            process.terminate()
        raise SystemExit(128 + number)

    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = {number: signal.getsignal(number) for number in known}
    try:
        for number, handler in heard.items():
            if handler is not signal.SIG_IGN:  # as nohup has it for SIGHUP
                signal.signal(number, stop)
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def is_finished(place: Path) -> bool:
    """Whether the run there came to an end and was tested."""
    return (place / "model.npz").exists() and "test_accuracy" in load_notes(place / "model.npz")


def run_all(commands: Mapping[Path, Sequence[str]], workers: int | str) -> Iterator[tuple[Path, int, str]]:
    """Run mlp.train into each of these directories, with these words; yields (directory, exit status, last lines) as each ends.

    Args:
        commands: the words by directory. Where the run there is finished nothing is done; where it has begun it is resumed.
        workers: how many run at a time on this machine; or the address of a Dask cluster whose workers see the same files (as
            `mlp.cluster.connect` takes it), of which each thread runs one. A run whose worker dies is resumed by another.
    """
    tasks = {place: (list(words), str(place.resolve())) for place, words in commands.items()}
    if isinstance(workers, str):
        from distributed import as_completed as completed

        from mlp import cluster

        with cluster.connect(workers) as client:
            sent = {client.submit(run_training, *task, 1, pure=False): place for place, task in tasks.items()}
            for future in completed(sent):
                yield (sent[future], *future.result())
        return
    pool = ThreadPoolExecutor(workers)
    threads = max(1, (os.cpu_count() or 1) // workers)
    stopped = threading.Event()

    def run_next(words: Sequence[str], place: str) -> tuple[int, str]:
        if stopped.is_set():
            return _BY_CTRL_C, ""
        status, lines = run_training(words, place, threads)
        if status == _BY_CTRL_C:  # which the run may hear of before this process does
            stopped.set()
        return status, lines

    try:
        running = {pool.submit(run_next, *task): place for place, task in tasks.items()}
        with passing_on_signals():
            for done in as_completed(running):
                if stopped.is_set():
                    raise KeyboardInterrupt
                yield (running[done], *done.result())
    finally:
        pool.shutdown(cancel_futures=True)  # a Ctrl-C or its like has reached the runs too, and they save their states


def tabulate(trials: Sequence[Trial], given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each finished run, the best first: what was tried, accuracies in %, minutes, where it is."""
    rows = []
    for trial in trials:
        place = directory_of(trial, given.options, given.out)
        if not is_finished(place) or not (place / METRICS).exists():
            continue
        columns = columns_of(place, "run")
        accuracies = columns.get("validation_accuracy", np.array([math.nan]))
        measured = {
            "validation_accuracy": 100 * float(accuracies[-1]),
            "cost": float(columns["cost"][-1]),
            "minutes": float(columns["seconds"][-1]) / 60,
            "run": place.name,
        }
        rows.append({**trial, **measured})
    return sorted(rows, key=lambda row: -np.nan_to_num(row["validation_accuracy"], nan=-math.inf))


def show_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    shown = [{name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows]
    lines = ["| " + " | ".join(shown[0]) + " |", "|" + " --- |" * len(shown[0])]
    return "\n".join([*lines, *("| " + " | ".join(row.values()) + " |" for row in shown)])


def write_table(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """The rows as CSV."""
    with atomic_write(path) as stream:
        lines = [",".join(rows[0]), *(",".join(f'"{value}"' for value in row.values()) for row in rows)]
        stream.write("\n".join([*lines, ""]).encode())


def draw_table(rows: Sequence[dict[str, Any]], tried: Sequence[str], file: Path) -> None:
    """Validation accuracy against each option that was tried, a panel each."""
    with drawing(None, file, size=(4.0 * len(tried), 3.4), panels=len(tried)) as (_, axes):
        accuracies = [row["validation_accuracy"] for row in rows]
        for ax, name in zip(axes, tried, strict=True):
            values = [row[name] for row in rows]
            try:
                ax.plot([float(value) for value in values], accuracies, "o")
                if len(set(values)) > 2 and min(map(float, values)) > 0:
                    ax.set_xscale("log")
            except ValueError:  # words, each at a place of its own
                places = sorted(set(values))
                ax.plot([places.index(value) for value in values], accuracies, "o")
                ax.set_xticks(range(len(places)), places)
            ax.set_xlabel(name.replace("_", " "))
        axes[0].set_ylabel("validation accuracy, %")


def sweep(given: argparse.Namespace) -> int:
    """Run what is left to run, then write the table and the figure; returns the exit status."""
    choices = read_choices(given)
    ranges = [entry[0].lstrip("-").replace("-", "_") for entry in given.ranges]
    trials = list_trials(choices, ranges, given.draw, given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    cli.say(f"{len(trials)} runs in {given.out}")
    jobs = {directory_of(trial, given.options, given.out): trial for trial in trials}
    commands = {place: words_of(trial, given.options) for place, trial in jobs.items()}
    for number, (place, status, lines) in enumerate(run_all(commands, given.cluster or given.jobs), 1):
        what = ", ".join(f"{name} {value}" for name, value in jobs[place].items())
        cli.say(f"{number}/{len(trials)}: {what}: {f'ended with status {status}: {lines}' if status else 'done'}")
        failed = failed or status
    rows = tabulate(trials, given)
    if not rows:
        cli.complain(f"{PROG}: no run came to an end")
        return failed or 1
    cli.say(show_table(rows))
    write_table(rows, given.out / "sweep.csv")
    draw_table(rows, list(choices), given.out / "sweep.png")
    cli.say(f"Saved in {given.out}: sweep.csv, sweep.png")
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, that of a run which failed if one did."""
    cli.forgive_encoding()
    parser = cli.Parser(PROG, description=__doc__)
    at_least_one = cli.checked(lambda text: check_integer("value", int(text) if text.isdecimal() else text, at_least=1))
    parser.add_argument("out", type=Path, metavar="DIR", help="where the runs, the table and the figure are")
    parser.add_argument(
        "--try", dest="choices", nargs="+", action="append", default=[], metavar="WORD", help="an option, and values"
    )
    parser.add_argument(
        "--range", dest="ranges", nargs=3, action="append", default=[], metavar="WORD", help="an option, low, high"
    )
    parser.add_argument("--draw", type=at_least_one, metavar="N", help="N runs at random (all combinations)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn (0)")
    parser.add_argument(
        "--options", type=shlex.split, default=[], metavar="TEXT", help='of every run, as in --options="--epochs 5"'
    )
    parser.add_argument("--jobs", type=at_least_one, default=os.cpu_count() or 1, metavar="N", help="runs at a time (cores)")
    parser.add_argument("--cluster", metavar="ADDRESS", help="run on a Dask cluster: tcp://HOST:8786, or local")
    given = parser.parse_args(arguments)
    return cli.run(PROG, lambda: sweep(given))


if __name__ == "__main__":
    sys.exit(main())
