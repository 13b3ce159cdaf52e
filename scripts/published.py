"""The best-known results of fully connected networks on MNIST, repeated: each row of the field's table by a named recipe.

A row's recipe is options of `python -m mlp.train`, in the table below, to read and to change. This script trains the row's
network from several seeds, as many at a time as there are cores; passes on what every epoch prints; and ends with the test
error beside the published one. Runs are saved: if one is stopped, the same command goes on with it, and what is finished is
not trained again. A changed recipe has runs of its own.

The figure is the test error of the last epoch of a run over all 60,000 training images. The recipes were chosen without the
test set: by the error on the last 10,000 training images of networks trained on the other 50,000, as --validate does.

    python scripts/published.py --list
    python scripts/published.py 800-elastic                     # three networks, about 7 minutes on two cores
    python scripts/published.py 800-elastic --validate          # what the recipe was chosen by
    python scripts/published.py 800-elastic --seeds 1 --options "--epochs 5"
    python scripts/published.py --table                         # of the runs that are finished
    python scripts/published.py --together 800-elastic,1000-500 # their finished networks as one committee
"""

import argparse
import os
import shlex
import signal
import statistics
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mlp
from mlp import cli
from mlp.checkpoint import load_notes, read_configuration
from mlp.checks import check_name
from mlp.plots.runs import METRICS, columns_of

LECUN = "LeCun et al. 1998"
HINTON = "Hinton 2005"
SIMARD = "Simard et al. 2003"
SRIVASTAVA = "Srivastava et al. 2014"
CIRESAN = "Cireşan et al. 2010"
MEIER = "Meier et al. 2011"


@dataclass(frozen=True)
class Row:
    """A published result, and the options of mlp.train that are to match it."""

    what: str  # the hidden units, and what is particular about the row
    published: float  # test error, %
    source: str
    minutes: float  # that a network takes on one core of the machine of the README's figures
    recipe: str
    seeds: int = 3
    committee: bool = False  # whether the figure is that of all networks together


# What recipes have in common
PLAIN = "--learning-rate 0.2 --weight-decay 1e-4 --epochs 30 --average 8"
BENT = "--learning-rate 0.1 --weight-decay 1e-5 --distort elastic,affine:shear=0.1:shift=1"
QUADRATIC = "--output softmax --cost quadratic --learning-rate 0.3 --weight-decay 0"
DROPPED = "--max-norm 3 --learning-rate 0.1 --weight-decay 0"

ROWS = {
    "linear": Row("none", 12.0, LECUN, 0.1, "--hidden none --learning-rate 0.05 --weight-decay 0 --epochs 20 --average 10"),
    "300-quadratic": Row("300, quadratic", 4.7, LECUN, 0.2, f"--hidden 300 {QUADRATIC} --epochs 30 --average 8"),
    "300-quadratic-distorted": Row(
        "300, quadratic, distortions",
        3.6,
        LECUN,
        0.9,
        f"--hidden 300 {QUADRATIC} --distort elastic,affine:shear=0.1:shift=1 --epochs 30",
    ),
    "1000": Row("1000", 4.5, LECUN, 0.7, f"--hidden 1000 {PLAIN}"),
    "1000-distorted": Row("1000, distortions", 3.8, LECUN, 1.6, f"--hidden 1000 {BENT} --epochs 30"),
    "300-100": Row("300+100", 3.05, LECUN, 0.2, f"--hidden 300,100 {PLAIN}"),
    "300-100-distorted": Row("300+100, distortions", 2.5, LECUN, 0.9, f"--hidden 300,100 {BENT} --epochs 30"),
    "500-150": Row("500+150", 2.95, LECUN, 0.5, f"--hidden 500,150 {PLAIN}"),
    "500-150-distorted": Row("500+150, distortions", 2.45, LECUN, 0.8, f"--hidden 500,150 {BENT} --epochs 30"),
    "500-300": Row("500+300, softmax, cross-entropy, weight decay", 1.53, HINTON, 0.7, f"--hidden 500,300 {PLAIN}"),
    "800": Row("800, cross-entropy", 1.6, SIMARD, 0.7, f"--hidden 800 {PLAIN}"),
    "800-affine": Row(
        "800, cross-entropy, affine",
        1.1,
        SIMARD,
        1.7,
        "--hidden 800 --learning-rate 0.1 --weight-decay 0 --distort affine:shift=1 --epochs 60",
    ),
    "800-quadratic-elastic": Row(
        "800, quadratic, elastic", 0.9, SIMARD, 1.8, f"--hidden 800 {QUADRATIC} --distort elastic --epochs 60"
    ),
    "800-elastic": Row("800, cross-entropy, elastic", 0.7, SIMARD, 3.6, f"--hidden 800 {BENT} --epochs 100"),
    "1024-1024-1024-dropout": Row(
        "1024+1024+1024, ReLU, dropout, max-norm",
        1.06,
        SRIVASTAVA,
        15,
        f"--hidden 1024,1024,1024 {DROPPED} --dropout 0.2,0.5,0.5,0.5 --epochs 120",
        seeds=1,
    ),
    "1024-1024-1024-dropout-affine": Row(
        "1024+1024+1024, ReLU, dropout, max-norm, and distortions",
        1.06,
        SRIVASTAVA,
        6,
        f"--hidden 1024,1024,1024 {DROPPED} --dropout 0.1,0.3,0.3,0.3 --distort affine:shift=1 --epochs 40",
        seeds=1,
    ),
    "1000-500": Row("1000+500", 0.49, CIRESAN, 15, f"--hidden 1000,500 {BENT} --epochs 250", seeds=2),
    "1500-1000-500": Row("1500+1000+500", 0.46, CIRESAN, 23, f"--hidden 1500,1000,500 {BENT} --epochs 150", seeds=1),
    "2000-1500-1000-500": Row(
        "2000+1500+1000+500", 0.41, CIRESAN, 37, f"--hidden 2000,1500,1000,500 {BENT} --epochs 120", seeds=1
    ),
    "2500-2000-1500-1000-500": Row(
        "2500+2000+1500+1000+500", 0.35, CIRESAN, 120, f"--hidden 2500,2000,1500,1000,500 {BENT} --epochs 250", seeds=1
    ),
    "committee-800": Row("25 networks of 800", 0.39, MEIER, 1.9, f"--hidden 800 {BENT} --epochs 60", seeds=25, committee=True),
}

#: Of every run: momentum descent on ReLU networks over all images, the learning rate falling along half a cosine to 0.
ALL = "--momentum 0.9 --batch-size 128 --schedule cosine --activation relu --validation 0 --no-plots --save-every 5"


def words(row: Row, arguments: argparse.Namespace) -> list[str]:
    """The options of mlp.train; where one comes twice, the last counts."""
    validate = ["--validation", "10000"] if arguments.validate else []
    return [*shlex.split(f"{ALL} {row.recipe}"), *validate, *arguments.options]


def directory(name: str, arguments: argparse.Namespace) -> Path:
    """Where a row's runs are: another place for other options, so that no recipe goes on with another one's runs."""
    return arguments.out / f"{name}-{zlib.crc32(shlex.join(words(ROWS[name], arguments)).encode()):08x}"


class Trainer:
    """Runs mlp.train from one seed after another, several at a time; Ctrl-C and its like stop all of them in good order."""

    def __init__(self, name: str, seeds: int, arguments: argparse.Namespace):
        self.name = name
        self.arguments = arguments
        self.seeds = seeds
        self.jobs = min(arguments.jobs, seeds)
        self.threads = max(1, cores() // self.jobs)
        self.running: dict[int, subprocess.Popen[str]] = {}
        self.stopped = 0
        self.failed = False

    def stop(self, number: int, _frame: Any) -> None:
        self.stopped = number
        for process in list(self.running.values()):
            process.terminate()

    def run(self) -> int:
        """Train all networks; returns the exit status."""
        known = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in known}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # as nohup has it for SIGHUP
                signal.signal(number, self.stop)
        try:
            with ThreadPoolExecutor(self.jobs) as pool:
                statuses = list(pool.map(self.train, range(self.seeds)))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.stopped:
            cli.say("stopped; the same command goes on with the runs")
            return 128 + self.stopped
        return next((status for status in statuses if status), 0)

    def train(self, seed: int) -> int:
        """Train one network, or go on with it, and pass on what it prints; nothing where it is finished."""
        place = directory(self.name, self.arguments) / f"seed-{seed}"
        notes = ending(place)
        if self.stopped or self.failed or notes.get("status") == 0:
            return 0
        if notes.get("status"):
            cli.say(f"seed {seed} | {notes['message']} (remove {place} to train it anew)")
            return 1
        if (place / "config.json").exists():
            options = ["--resume", str(place), "--no-plots"]
        else:
            options = [*words(ROWS[self.name], self.arguments), "--seed", str(seed), "--out", str(place)]
        with subprocess.Popen(
            [sys.executable, "-m", "mlp.train", *options],
            env={"OPENBLAS_NUM_THREADS": str(self.threads), **os.environ, "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,  # a Ctrl-C at the terminal is for this process to pass on
        ) as process:
            self.running[seed] = process
            if self.stopped:  # just before
                process.terminate()
            for line in process.stdout or ():
                # what a recipe is chosen by is not the test set
                if not (self.arguments.validate and line.startswith("Test accuracy")):
                    cli.say(f"seed {seed} | {line.rstrip()}")
        del self.running[seed]
        if process.returncode and not self.stopped:
            self.failed = True
            cli.say(f"seed {seed} | ended with status {process.returncode}")
        return process.returncode if process.returncode >= 0 else 128 - process.returncode


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ending(run: Path) -> dict[str, Any]:
    """What a finished run's model has in its notes: status, message, test_accuracy. Empty where it isn't finished."""
    notes = load_notes(run / "model.npz") if (run / "model.npz").exists() else {}
    return notes if "test_accuracy" in notes else {}


@dataclass
class Outcome:
    """What a row's finished runs came to: each one's error in %, its minutes and epochs, and their error as a committee."""

    errors: list[float]
    minutes: float
    epochs: int
    committee: float | None

    def __str__(self) -> str:
        mean, low, high = statistics.mean(self.errors), min(self.errors), max(self.errors)
        if self.committee is not None:
            return f"{self.committee:.2f} ({len(self.errors)} networks, {mean:.2f} on average, from {low:.2f} to {high:.2f})"
        return f"{mean:.2f}" + (f" ({', '.join(f'{error:.2f}' for error in self.errors)})" if len(self.errors) > 1 else "")


def outcome(name: str, seeds: int, arguments: argparse.Namespace) -> Outcome | None:
    """What a row's runs from that many seeds came to, of those that are finished; None if none is."""
    runs = finished(name, seeds, arguments)
    if not runs:
        return None
    # where no epoch was asked for, there are no metrics
    tables = [columns_of(run, "run") if (run / METRICS).exists() else {"seconds": [0.0]} for run in runs]
    minutes = statistics.mean(table["seconds"][-1] / 60 for table in tables)
    accuracies = [table["validation_accuracy"][-1] for table in tables] if arguments.validate else list(runs.values())
    errors = [100 - 100 * float(accuracy) for accuracy in accuracies]
    together = committee_error(list(runs), arguments) if ROWS[name].committee else None
    return Outcome(errors, minutes, len(tables[0].get("cost", [])), together)


def finished(name: str, seeds: int, arguments: argparse.Namespace) -> dict[Path, float]:
    """A row's runs from that many seeds, those that came to a good end, and the test accuracy of each."""
    runs = [directory(name, arguments) / f"seed-{seed}" for seed in range(seeds)]
    endings = {run: ending(run) for run in runs}
    return {run: notes["test_accuracy"] for run, notes in endings.items() if notes.get("status") == 0}


def committee_error(runs: Sequence[Path], arguments: argparse.Namespace) -> float:
    """The error in % of the mean of these runs' networks' outputs."""
    settings = read_configuration(runs[0])["options"]
    _, validation, test = mlp.load_mnist(settings["data"], validation=settings["validation"])
    examples = validation if arguments.validate else test
    committee = mlp.Committee([mlp.load(run / "model.npz") for run in runs])
    return 100 * float(np.mean(committee.predict(examples.X) != examples.y))


def together(names: Sequence[str], arguments: argparse.Namespace) -> str:
    """What the finished networks of several rows come to as one committee."""
    runs = [run for name in names for run in finished(name, arguments.seeds or ROWS[name].seeds, arguments)]
    if not runs:
        raise ValueError(f"--together: no run of {', '.join(names)} is finished in {arguments.out}")
    of = "validation" if arguments.validate else "test"
    return f"{len(runs)} networks of {', '.join(names)} together: {of} error {committee_error(runs, arguments):.2f} %"


def table(arguments: argparse.Namespace) -> str:
    """The rows with finished runs, in Markdown."""
    measured = "validation error, %" if arguments.validate else "measured, %"
    lines = [f"| row | hidden units | published, % | {measured} | epochs | minutes a network |"]
    lines.append("| --- | --- | ---: | --- | ---: | ---: |")
    for name, row in ROWS.items():
        found = outcome(name, arguments.seeds or row.seeds, arguments)
        if found is not None:
            published = f"{row.published:.2f} ({row.source})"
            lines.append(f"| `{name}` | {row.what} | {published} | {found} | {found.epochs} | {found.minutes:.1f} |")
    return "\n".join(lines)


def listing() -> str:
    """The rows and their recipes, as text."""
    lines = []
    for name, row in ROWS.items():
        lines.append(f"{name}: {row.what}; published {row.published:.2f} % ({row.source})")
        networks = f"{row.seeds} networks, each" if row.seeds > 1 else "a network,"
        lines.append(f"    {networks} about {row.minutes:g} minutes on one core")
        lines += textwrap.wrap(row.recipe, 110, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join([*lines, "all:", f"    {ALL}"])


def run_row(name: str, arguments: argparse.Namespace) -> int:
    """Train a row's networks and say what they came to; returns the exit status."""
    row = ROWS[name]
    trainer = Trainer(name, arguments.seeds or row.seeds, arguments)
    cli.say(f"{name}: {row.what}; published {row.published:.2f} % ({row.source})")
    cli.say(f"python -m mlp.train {shlex.join(words(row, arguments))}")
    cli.say(f"seeds 0 to {trainer.seeds - 1}, {trainer.jobs} at a time, each with BLAS threads: {trainer.threads}")
    status = trainer.run()
    found = outcome(name, trainer.seeds, arguments)
    if status or found is None:
        return status
    of = "validation" if arguments.validate else "test"
    cli.say(f"{name}: {of} error {found} %, published {row.published:.2f} % ({row.source})")
    cli.say(f"{found.epochs} epochs in {found.minutes:.1f} minutes a network, saved in {directory(name, arguments)}")
    return 0


@cli.checked
def split_options(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"value: received {text!r}: {error}") from error


@cli.checked
def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"value: received {text!r}, but it must be an integer of at least 1")
    return int(text)


@cli.checked
def row_names(text: str) -> list[str]:
    return [check_name("value", part, ROWS) for part in text.split(",")]


@cli.checked
def row_name(text: str) -> str:
    return check_name("value", text, ROWS)


def main(given: Sequence[str] | None = None) -> int:
    cli.forgive_encoding()
    parser = cli.Parser("published.py", description=__doc__)
    parser.add_argument("row", nargs="?", type=row_name, metavar="ROW", help="a row's name, as --list shows them")
    parser.add_argument("--seeds", type=positive, metavar="N", help="train from seeds 0 to N − 1 (the row's own number)")
    parser.add_argument("--jobs", type=positive, default=cores(), metavar="N", help="networks at a time (as many as cores)")
    parser.add_argument("--validate", action="store_true", help="hold out 10,000 training images, and report the error on them")
    parser.add_argument(
        "--options",
        type=split_options,
        default=[],
        metavar="TEXT",
        help='options over the recipe\'s, as in --options="--nesterov"',
    )
    parser.add_argument("--out", type=Path, default=Path("runs/published"), metavar="DIR", help="(runs/published)")
    parser.add_argument("--list", action="store_true", help="print the rows and their recipes")
    parser.add_argument(
        "--together",
        type=row_names,
        metavar="ROW,…",
        help="print the error of these rows' finished networks as one committee",
    )
    parser.add_argument("--table", action="store_true", help="print the rows that have finished runs, in Markdown")
    arguments = parser.parse_args(given)
    if arguments.list:
        cli.say(listing())
        return 0
    if arguments.table:
        return cli.run("published.py", lambda: cli.say(table(arguments)) or 0)
    if arguments.together:
        return cli.run("published.py", lambda: cli.say(together(arguments.together, arguments)) or 0)
    if arguments.row is None:
        parser.error("argument ROW is missing: --list shows the rows")
    return cli.run("published.py", lambda: run_row(arguments.row, arguments))


if __name__ == "__main__":
    sys.exit(main())
