"""The best-known results of fully connected networks on MNIST, repeated: each row of the field's table by a named recipe.

A row's recipe is options of `python -m mlp.train`, in the table below, to read and to change. This script trains the row's
network from several seeds, as many at a time as there are cores, each with one BLAS thread; passes on what every epoch
prints; and ends with the test error beside the published one. Runs are saved: if one is stopped, the same command goes on
with it, and what is finished is not trained again.

The figure is the test error of the last epoch of a run over all 60,000 training images. The recipes were chosen without the
test set: by the error on the last 10,000 training images of networks trained on the other 50,000, as --validate does.

    python scripts/published.py --list
    python scripts/published.py 800-elastic                     # three networks, about 5 minutes on two cores
    python scripts/published.py 800-elastic --validate          # what the recipe's choices were made on
    python scripts/published.py 800-elastic --seeds 1 --options "--epochs 5"
    python scripts/published.py --table                         # of the runs that are finished
"""

import argparse
import csv
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
from mlp.checkpoint import load_notes
from mlp.checks import check_name

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
    recipe: str
    seeds: int = 3
    committee: bool = False  # whether the figure is that of all networks together


#: What the recipes have in common: without distortions, and with them. All are momentum descent (μ = 0.9, batches of 128)
#: on ReLU networks, with the learning rate falling along half a cosine to 0.
PLAIN = "--learning-rate 0.2 --weight-decay 1e-4 --epochs 30 --average 8"
BENT = "--learning-rate 0.1 --weight-decay 1e-5 --distort elastic,affine:shear=0.1:shift=1"
QUADRATIC = "--output softmax --cost quadratic --learning-rate 0.3 --weight-decay 0"

ROWS = {
    "linear": Row("none", 12.0, LECUN, "--hidden none --learning-rate 0.05 --weight-decay 0 --epochs 20 --average 10"),
    "300-quadratic": Row("300, quadratic", 4.7, LECUN, f"--hidden 300 {PLAIN} {QUADRATIC}"),
    "300-quadratic-distorted": Row("300, quadratic, distortions", 3.6, LECUN, f"--hidden 300 {BENT} {QUADRATIC} --epochs 30"),
    "1000": Row("1000", 4.5, LECUN, f"--hidden 1000 {PLAIN}"),
    "1000-distorted": Row("1000, distortions", 3.8, LECUN, f"--hidden 1000 {BENT} --epochs 30"),
    "300-100": Row("300+100", 3.05, LECUN, f"--hidden 300,100 {PLAIN}"),
    "300-100-distorted": Row("300+100, distortions", 2.5, LECUN, f"--hidden 300,100 {BENT} --epochs 30"),
    "500-150": Row("500+150", 2.95, LECUN, f"--hidden 500,150 {PLAIN}"),
    "500-150-distorted": Row("500+150, distortions", 2.45, LECUN, f"--hidden 500,150 {BENT} --epochs 30"),
    "500-300": Row("500+300, softmax, cross-entropy, weight decay", 1.53, HINTON, f"--hidden 500,300 {PLAIN}"),
    "800": Row("800, cross-entropy", 1.6, SIMARD, f"--hidden 800 {PLAIN}"),
    "800-affine": Row(
        "800, cross-entropy, affine", 1.1, SIMARD, f"--hidden 800 {BENT} --distort affine:shift=1 --weight-decay 0 --epochs 60"
    ),
    "800-quadratic-elastic": Row(
        "800, quadratic, elastic", 0.9, SIMARD, f"--hidden 800 {BENT} --distort elastic {QUADRATIC} --epochs 60"
    ),
    "800-elastic": Row("800, cross-entropy, elastic", 0.7, SIMARD, f"--hidden 800 {BENT} --epochs 100"),
    "1024-1024-1024-dropout": Row(
        "1024+1024+1024, ReLU, dropout, max-norm",
        1.06,
        SRIVASTAVA,
        "--hidden 1024,1024,1024 --dropout 0.2,0.5,0.5,0.5 --max-norm 2 --learning-rate 0.3 --weight-decay 0 --epochs 150",
        seeds=1,
    ),
    "1000-500": Row("1000+500", 0.49, CIRESAN, f"--hidden 1000,500 {BENT} --epochs 250", seeds=2),
    "1500-1000-500": Row("1500+1000+500", 0.46, CIRESAN, f"--hidden 1500,1000,500 {BENT} --epochs 250", seeds=1),
    "2000-1500-1000-500": Row("2000+1500+1000+500", 0.41, CIRESAN, f"--hidden 2000,1500,1000,500 {BENT} --epochs 250", seeds=1),
    "2500-2000-1500-1000-500": Row(
        "2500+2000+1500+1000+500", 0.35, CIRESAN, f"--hidden 2500,2000,1500,1000,500 {BENT} --epochs 250", seeds=1
    ),
    "committee-800": Row("800", 0.39, MEIER, f"--hidden 800 {BENT} --epochs 60", seeds=25, committee=True),
}

#: Of every run: all images to learn from, no pictures, and its state saved every 5 epochs.
ALL = "--validation 0 --no-plots --save-every 5"


def words(row: Row, arguments: argparse.Namespace) -> list[str]:
    """The options of mlp.train; where one comes twice, the last counts."""
    validate = "--validation 10000" if arguments.validate else ""
    return shlex.split(f"{ALL} {row.recipe} {validate} {arguments.options}")


def directory(name: str, arguments: argparse.Namespace) -> Path:
    """Where a row's runs are: another place for other options, so that no recipe goes on with another one's runs."""
    return arguments.out / f"{name}-{zlib.crc32(shlex.join(words(ROWS[name], arguments)).encode()):08x}"


class Trainer:
    """Runs mlp.train from one seed after another, several at a time; Ctrl-C and SIGTERM stop all of them in good order."""

    def __init__(self, name: str, seeds: int, arguments: argparse.Namespace):
        self.name = name
        self.seeds = seeds
        self.arguments = arguments
        self.jobs = min(arguments.jobs, seeds)
        self.running: dict[int, subprocess.Popen[str]] = {}
        self.stopped = 0
        self.before = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(self, number: int, _frame: Any) -> None:
        self.stopped = number
        for process in list(self.running.values()):
            process.send_signal(number)

    def run(self) -> int:
        """Train all networks; returns the exit status."""
        with ThreadPoolExecutor(self.jobs) as pool:
            statuses = list(pool.map(self.train, range(self.seeds)))
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.stopped:
            print("stopped; the same command goes on with the runs")
            return 128 + self.stopped
        return max(statuses)

    def train(self, seed: int) -> int:
        """Train one network, or go on with it, and pass on what it prints; nothing where it is finished."""
        place = run_directory(self.name, seed, self.arguments)
        if self.stopped or finished(place):
            return 0
        if (place / "config.json").exists():
            options = ["--resume", str(place)]
        else:
            options = [*words(ROWS[self.name], self.arguments), "--seed", str(seed), "--out", str(place)]
        threads = str(max(1, (os.cpu_count() or 1) // self.jobs))
        with subprocess.Popen(
            [sys.executable, "-m", "mlp.train", *options],
            env={"OPENBLAS_NUM_THREADS": threads, "PYTHONIOENCODING": "utf-8", **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,  # a Ctrl-C at the terminal is for this process to pass on
        ) as process:
            self.running[seed] = process
            for line in process.stdout or ():
                # what a recipe is chosen by is not the test set
                if not (self.arguments.validate and line.startswith("Test accuracy")):
                    print(f"seed {seed} | {line}", end="", flush=True)
        del self.running[seed]
        return process.returncode


def run_directory(name: str, seed: int, arguments: argparse.Namespace) -> Path:
    return directory(name, arguments) / f"seed-{seed}"


def finished(run: Path) -> bool:
    """Whether a run came to its end: its model then has notes of the test."""
    return (run / "model.npz").exists() and "test_accuracy" in load_notes(run / "model.npz")


def last_record(run: Path) -> dict[str, str]:
    """The last line of a run's metrics."""
    with (run / "metrics.csv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table))[-1]


@dataclass
class Outcome:
    """What a row's finished runs came to: each one's error in %, its minutes, and the committee's error if it is one."""

    errors: list[float]
    minutes: float
    epochs: int
    committee: float | None

    @property
    def figure(self) -> float:
        return statistics.mean(self.errors) if self.committee is None else self.committee

    def __str__(self) -> str:
        low, high = min(self.errors), max(self.errors)
        count = len(self.errors)
        if self.committee is not None:
            each = f"mean of its {count} networks {statistics.mean(self.errors):.2f}, from {low:.2f} to {high:.2f}"
            return f"{self.committee:.2f} ({each})"
        return f"{self.figure:.2f}" + (f" ({', '.join(f'{error:.2f}' for error in self.errors)})" if count > 1 else "")


def outcome(name: str, arguments: argparse.Namespace) -> Outcome | None:
    """What a row's finished runs came to; None if there are none."""
    runs = sorted(directory(name, arguments).glob("seed-*"), key=lambda run: int(run.name.removeprefix("seed-")))
    runs = [run for run in runs if finished(run)]
    if not runs:
        return None
    records = [last_record(run) for run in runs]
    minutes = statistics.mean(float(record["seconds"]) / 60 for record in records)
    if arguments.validate:
        errors = [100 - 100 * float(record["validation_accuracy"]) for record in records]
    else:
        errors = [100 - 100 * load_notes(run / "model.npz")["test_accuracy"] for run in runs]
    together = None
    if ROWS[name].committee and len(runs) > 1:
        _, validation, test = mlp.load_mnist(validation=10_000)
        examples = validation if arguments.validate else test
        committee = mlp.Committee([mlp.load(run / "model.npz") for run in runs])
        together = 100 * float(np.mean(committee.predict(examples.X) != examples.y))
    return Outcome(errors, minutes, int(records[-1]["epoch"]), together)


def table(arguments: argparse.Namespace) -> str:
    """The rows with finished runs, in Markdown."""
    lines = ["| row | hidden units | published, % | source | measured, % | minutes a network | epochs |"]
    lines.append("| --- | --- | ---: | --- | --- | ---: | ---: |")
    for name, row in ROWS.items():
        found = outcome(name, arguments)
        if found is not None:
            lines.append(
                f"| `{name}` | {row.what} | {row.published:.2f} | {row.source} | {found} | {found.minutes:.1f} | "
                f"{found.epochs} |"
            )
    return "\n".join(lines)


def listing() -> str:
    """The rows and their recipes, as text."""
    lines = []
    for name, row in ROWS.items():
        number = f", {row.seeds} networks together" if row.committee else ""
        lines.append(f"{name}: {row.what}{number}; published {row.published:.2f} % ({row.source})")
        lines += textwrap.wrap(row.recipe, 110, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="?", metavar="ROW", help=f"one of {', '.join(ROWS)}")
    parser.add_argument("--seeds", type=int, metavar="N", help="train from seeds 0 to N − 1 (default: the row's own number)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="networks at a time (default: cores)"
    )
    parser.add_argument("--validate", action="store_true", help="hold out 10,000 training images, and report the error on them")
    parser.add_argument(
        "--options", default="", metavar="TEXT", help="further options of mlp.train, which override the recipe's"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/published"), metavar="DIR", help="(default: runs/published)")
    parser.add_argument("--list", action="store_true", help="print the rows and their recipes")
    parser.add_argument("--table", action="store_true", help="print the rows that have finished runs, in Markdown")
    arguments = parser.parse_args(given)
    if arguments.list or arguments.table:
        print(listing() if arguments.list else table(arguments))
        return 0
    try:
        name = check_name("ROW", arguments.row, ROWS)
    except ValueError as error:
        parser.error(str(error))
    row = ROWS[name]
    seeds = row.seeds if arguments.seeds is None else arguments.seeds
    if seeds < 1 or arguments.jobs < 1:
        parser.error(f"--seeds and --jobs: received {seeds} and {arguments.jobs}, but both must be at least 1")
    print(f"{name}: {row.what}; published {row.published:.2f} % ({row.source})")
    print(f"python -m mlp.train {shlex.join(words(row, arguments))}", flush=True)
    status = Trainer(name, seeds, arguments).run()
    if status:
        return status
    found = outcome(name, arguments)
    of = "validation" if arguments.validate else "test"
    print(
        f"{name}: {of} error {found} %, published {row.published:.2f} % ({row.source}); {found.minutes:.1f} minutes a network"
    )
    print(f"saved in {directory(name, arguments)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
