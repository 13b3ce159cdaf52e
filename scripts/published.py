"""The best-known results of neural networks on MNIST, fully connected and convolutional, repeated, each by a named recipe.

A row's recipe is options of `python -m mlp.train`, in the table below, to read and to change. This script trains the row's
network from several seeds, as many at a time as there are cores, or on a cluster, each on one BLAS thread. It ends with the
mean and the spread of their test errors beside the published one. Runs are saved: if one is stopped, the same command goes on
with it, and what is finished is not trained again. A changed recipe has runs of its own.

The figure is the test error of the last epoch of a run over all 60,000 training images. The recipes were chosen without the
test set: by the error on the last 10,000 training images of networks trained on the other 50,000, as --validate does; those
of Nielsen's and Cireşan's convolutional networks are LeNet-5's and Simard's, untried.

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
import statistics
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mlp
from mlp import cli
from mlp.checkpoint import load_notes, read_configuration
from mlp.checks import check_integer, check_name
from mlp.plots.runs import columns_of
from mlp.sweep import run_all

#: Rows of fewer runs are marked.
FEW = 3

LECUN = "LeCun et al. 1998"
HINTON = "Hinton 2005"
SIMARD = "Simard et al. 2003"
CIRESAN = "Cireşan et al. 2010"
CIRESAN_2011 = "Cireşan et al. 2011"
MEIER = "Meier et al. 2011"
SRIVASTAVA = "Srivastava et al. 2014"
NIELSEN = "Nielsen 2015"


@dataclass(frozen=True)
class Row:
    """A published result, and the options of mlp.train that are to match it."""

    published: float | None  # the test error of one network, %
    source: str
    recipe: str
    seeds: int = 3
    committee: float | None = None  # that of all the networks together, %

    def figure(self) -> str:
        """What was published."""
        one = [] if self.published is None else [f"{self.published:.2f}"]
        all_of_them = [] if self.committee is None else [f"{self.seeds} together {self.committee:.2f}"]
        return f"{', '.join(one + all_of_them)} ({self.source})"


# What recipes have in common
PLAIN = "--learning-rate 0.2 --weight-decay 1e-4 --epochs 30 --average 8"
WARPED = "--distort elastic,affine:shear=0.1:shift=1"
SHIFTED = "--distort affine:rotation=0:scaling=0:shift=1"
BENT = f"--learning-rate 0.1 --weight-decay 1e-5 {WARPED}"
QUADRATIC = "--output softmax --cost quadratic --learning-rate 0.3 --weight-decay 0"
DROPPED = "--max-norm 3 --learning-rate 0.1 --weight-decay 0"
SMALL_STEPS = "--batch-size 64 --learning-rate 0.05"
SLOW_UNITS = "--activation logistic --batch-size 64 --learning-rate 0.1 --weight-decay 0"

# Networks of the papers: full connections where LeNet's table has some, means where its pools are trained, ReLU;
# Simard's and Cireşan's inputs of 29 × 29 are 28 × 28 with a frame of zeros
LENET_1 = "--hidden conv:4:5,meanpool:2,conv:12:5,meanpool:2"
LENET_4 = "--hidden conv:4:5:padding=2,meanpool:2,conv:16:5,meanpool:2,120"
LENET_5 = "--hidden conv:6:5:padding=2,meanpool:2,conv:16:5,meanpool:2,120,84"
SIMARD_CONV = "--hidden conv:5:5:stride=2:padding=1,conv:50:5:stride=2,100"
NIELSEN_20 = "--hidden conv:20:5,pool:2,100"
NIELSEN_40 = "--hidden conv:20:5,pool:2,conv:40:5,pool:2"
CIRESAN_CONV = "--hidden conv:20:4:padding=1,pool:2,conv:40:5,pool:3,150"

ROWS = {
    "linear": Row(12.0, LECUN, "--hidden none --learning-rate 0.05 --weight-decay 0 --epochs 20 --average 10"),
    "300-quadratic": Row(4.7, LECUN, f"--hidden 300 {QUADRATIC} --epochs 30 --average 8"),
    "300-quadratic-distorted": Row(3.6, LECUN, f"--hidden 300 {QUADRATIC} {WARPED} --epochs 30"),
    "1000": Row(4.5, LECUN, f"--hidden 1000 {PLAIN}"),
    "1000-distorted": Row(3.8, LECUN, f"--hidden 1000 {BENT} --epochs 30"),
    "300-100": Row(3.05, LECUN, f"--hidden 300,100 {PLAIN}"),
    "300-100-distorted": Row(2.5, LECUN, f"--hidden 300,100 {BENT} --epochs 30"),
    "500-150": Row(2.95, LECUN, f"--hidden 500,150 {PLAIN}"),
    "500-150-distorted": Row(2.45, LECUN, f"--hidden 500,150 {BENT} --epochs 30"),
    "500-300": Row(1.53, HINTON, f"--hidden 500,300 {PLAIN}"),
    "800": Row(1.6, SIMARD, f"--hidden 800 {PLAIN}"),
    "800-affine": Row(1.1, SIMARD, "--hidden 800 --learning-rate 0.1 --weight-decay 0 --distort affine:shift=1 --epochs 60"),
    "800-quadratic-elastic": Row(0.9, SIMARD, f"--hidden 800 {QUADRATIC} --distort elastic --epochs 60"),
    "800-elastic": Row(0.7, SIMARD, f"--hidden 800 {BENT} --epochs 100"),
    "1024-1024-1024-dropout": Row(
        1.06, SRIVASTAVA, f"--hidden 1024,1024,1024 {DROPPED} --dropout 0.2,0.5,0.5,0.5 --epochs 120"
    ),
    "1024-1024-1024-dropout-affine": Row(
        1.06,
        SRIVASTAVA,
        f"--hidden 1024,1024,1024 {DROPPED} --dropout 0.1,0.3,0.3,0.3 --distort affine:shift=1 --epochs 40",
    ),
    "1000-500": Row(0.49, CIRESAN, f"--hidden 1000,500 {BENT} --epochs 250"),
    "1500-1000-500": Row(0.46, CIRESAN, f"--hidden 1500,1000,500 {BENT} --epochs 150"),
    "2000-1500-1000-500": Row(0.41, CIRESAN, f"--hidden 2000,1500,1000,500 {BENT} --epochs 120"),
    "2500-2000-1500-1000-500": Row(0.35, CIRESAN, f"--hidden 2500,2000,1500,1000,500 {BENT} --epochs 250"),
    "committee-800": Row(None, MEIER, f"--hidden 800 {BENT} --epochs 60", seeds=25, committee=0.39),
    "lenet-1": Row(1.7, LECUN, f"{LENET_1} {SMALL_STEPS} --weight-decay 1e-5 --epochs 20"),
    "lenet-4": Row(1.1, LECUN, f"{LENET_4} {SMALL_STEPS} --weight-decay 5e-4 --epochs 20 --average 4"),
    "lenet-5": Row(0.95, LECUN, f"{LENET_5} {SMALL_STEPS} --weight-decay 5e-4 --epochs 20 --average 4"),
    "lenet-5-distorted": Row(0.8, LECUN, f"{LENET_5} {SMALL_STEPS} --weight-decay 1e-5 {WARPED} --epochs 30"),
    "simard-affine": Row(
        0.6, SIMARD, f"{SIMARD_CONV} {SMALL_STEPS} --weight-decay 1e-5 --distort affine:shear=0.1:shift=1 --epochs 40"
    ),
    "simard-elastic": Row(0.4, SIMARD, f"{SIMARD_CONV} {SMALL_STEPS} --weight-decay 1e-5 {WARPED} --epochs 150"),
    "nielsen-20": Row(1.22, NIELSEN, f"{NIELSEN_20} {SLOW_UNITS} --epochs 30"),
    "nielsen-20-40": Row(0.94, NIELSEN, f"{NIELSEN_40},100 {SLOW_UNITS} --epochs 30"),
    "nielsen-relu": Row(0.77, NIELSEN, f"{NIELSEN_40},100 {SMALL_STEPS} --weight-decay 5e-4 --epochs 20 --average 4"),
    "nielsen-shifted": Row(0.63, NIELSEN, f"{NIELSEN_40},100 {SMALL_STEPS} --weight-decay 1e-4 {SHIFTED} --epochs 30"),
    "nielsen-dropout": Row(
        0.4,
        NIELSEN,
        f"{NIELSEN_40},1000,1000 {SMALL_STEPS} --weight-decay 0 {SHIFTED} --dropout 0,0,0,0,0.5,0.5,0.5 --epochs 40",
        seeds=5,
        committee=0.33,
    ),
    "1-20-P-40-P-150": Row(
        None,
        CIRESAN_2011,
        f"{CIRESAN_CONV} {SMALL_STEPS} --weight-decay 1e-5 {WARPED} --epochs 60",
        seeds=7,
        committee=0.27,
    ),
}

#: Of every run: momentum descent over all images, the learning rate falling along half a cosine to 0.
ALL = "--momentum 0.9 --schedule cosine --validation 0 --no-plots --save-every 5"


def words_of(name: str, arguments: argparse.Namespace) -> list[str]:
    """A row's options for mlp.train; where one comes twice, the last counts."""
    validate = ["--validation", "10000"] if arguments.validate else []
    return [*shlex.split(f"{ALL} {ROWS[name].recipe}"), *validate, *arguments.options]


def places_of(name: str, arguments: argparse.Namespace) -> list[Path]:
    """Where a row's runs are, by seed: elsewhere for other options, so that no recipe goes on with another one's runs."""
    row = arguments.out / f"{name}-{zlib.crc32(shlex.join(words_of(name, arguments)).encode()):08x}"
    return [row / f"seed-{seed}" for seed in range(arguments.seeds or ROWS[name].seeds)]


def read_ending(run: Path) -> dict[str, Any]:
    """What a finished run's model has in its notes: status, message, test_accuracy. Empty where it isn't finished."""
    notes = load_notes(run / "model.npz") if (run / "model.npz").exists() else {}
    return notes if "test_accuracy" in notes else {}


def find_finished(places: Sequence[Path], arguments: argparse.Namespace) -> dict[Path, float]:
    """The runs that came to a good end, and the error of each, in %."""
    found = {}
    for run in places:
        notes = read_ending(run)
        if notes.get("status") == 0:
            accuracy = columns_of(run, "run")["validation_accuracy"][-1] if arguments.validate else notes["test_accuracy"]
            found[run] = 100 - 100 * float(accuracy)
    return found


def measure_committee(runs: Sequence[Path], arguments: argparse.Namespace) -> float:
    """The error in % of the mean of these runs' networks' outputs."""
    settings = read_configuration(runs[0])["options"]
    _, validation, test = mlp.load_mnist(settings["data"], validation=settings["validation"])
    examples = validation if arguments.validate else test
    committee = mlp.Committee([mlp.load(run / "model.npz") for run in runs])
    return 100 * float(np.mean(committee.predict(examples.X) != examples.y))


@dataclass(frozen=True)
class Outcome:
    """What a row's finished runs came to: each one's error in %, and of all of them as a committee where the row wants it."""

    row: Row
    errors: list[float]
    committee: float | None

    def __str__(self) -> str:
        """Mean, spread and number of runs; fewer than three are marked."""
        errors = self.errors
        text = f"{statistics.mean(errors):.2f}{'' if len(errors) >= FEW else ' *'}"
        text += f" ({min(errors):.2f} to {max(errors):.2f}, {len(errors)} runs)" if len(errors) > 1 else " (1 run)"
        return text + ("" if self.committee is None else f", {len(errors)} together {self.committee:.2f}")

    def verdict(self) -> str:
        """Whether the published figure is beaten: yes, no, or open where runs are missing."""
        row = self.row
        if len(self.errors) < (FEW if row.committee is None else row.seeds):
            return "open"
        alone = row.published is None or statistics.mean(self.errors) < row.published
        together = row.committee is None or (self.committee is not None and self.committee < row.committee)
        return "yes" if alone and together else "no"


def judge(name: str, arguments: argparse.Namespace) -> Outcome | None:
    """What a row's finished runs came to; None if none is finished."""
    found = find_finished(places_of(name, arguments), arguments)
    row = ROWS[name]
    committee = measure_committee(list(found), arguments) if row.committee is not None and len(found) > 1 else None
    return Outcome(row, list(found.values()), committee) if found else None


def tabulate(arguments: argparse.Namespace) -> str:
    """The rows with finished runs, in Markdown."""
    of = "validation error, %" if arguments.validate else "measured, %"
    lines = [f"| row | published, % | {of} | beaten | epochs | minutes a network |", "| --- | --- | --- | --- | ---: | ---: |"]
    for name, row in ROWS.items():
        found = judge(name, arguments)
        if found is not None:
            columns = [columns_of(run, "run") for run in find_finished(places_of(name, arguments), arguments)]
            minutes = statistics.mean(one["seconds"][-1] / 60 for one in columns)
            epochs = len(columns[0]["cost"])
            lines.append(f"| `{name}` | {row.figure()} | {found} | {found.verdict()} | {epochs} | {minutes:.1f} |")
    return "\n".join([*lines, "", f"\\* fewer than {FEW} runs"])


def judge_together(names: Sequence[str], arguments: argparse.Namespace) -> str:
    """What the finished networks of several rows come to as one committee."""
    runs = [run for name in names for run in find_finished(places_of(name, arguments), arguments)]
    if not runs:
        raise ValueError(f"--together: no run of {', '.join(names)} is finished in {arguments.out}")
    of = "validation" if arguments.validate else "test"
    return f"{len(runs)} networks of {', '.join(names)} together: {of} error {measure_committee(runs, arguments):.2f} %"


def list_rows() -> str:
    """The rows and their recipes, as text."""
    lines = [f"{name}: published {row.figure()}; {row.seeds} networks\n    {row.recipe}" for name, row in ROWS.items()]
    return "\n".join([*lines, f"all:\n    {ALL}"])


def run_row(name: str, arguments: argparse.Namespace) -> int:
    """Train a row's networks, those that aren't finished, and say what they came to; returns the exit status."""
    words = words_of(name, arguments)
    places = places_of(name, arguments)
    diverged = {place: read_ending(place)["message"] for place in places if read_ending(place).get("status")}
    for place, message in diverged.items():
        cli.say(f"{message} (remove {place} to train it anew)")
    if diverged:
        return 1
    cli.say(f"{name}: published {ROWS[name].figure()}\npython -m mlp.train {shlex.join(words)}")
    cli.say(f"seeds 0 to {len(places) - 1}, each on one BLAS thread, in {places[0].parent}")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # whatever --jobs: the last digits depend on it
    commands = {place: [*words, "--seed", str(seed)] for seed, place in enumerate(places) if not read_ending(place)}
    failed = 0
    for place, status, lines in run_all(commands, arguments.cluster or arguments.jobs):
        said = f"ended with status {status}: {lines}" if status else f"{find_finished([place], arguments)[place]:.2f} %"
        cli.say(f"{place.name}: {said}")
        failed = failed or (status if status >= 0 else 128 - status)
    found = judge(name, arguments)
    if failed or found is None:
        return failed
    of = "validation" if arguments.validate else "test"
    cli.say(f"{name}: {of} error, %: {found}; published {ROWS[name].figure()}")
    return 0


@cli.checked
def split_options(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"value: received {text!r}: {error}") from error


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line's arguments, checked."""
    positive = cli.checked(lambda text: check_integer("value", int(text) if text.isdecimal() else text, at_least=1))
    names = cli.checked(lambda text: [check_name("value", part, ROWS) for part in text.split(",")])
    parser = cli.Parser("published.py", description=__doc__)
    add = parser.add_argument
    add("row", nargs="?", type=cli.checked(lambda text: check_name("value", text, ROWS)), metavar="ROW", help="a row's name")
    add("--seeds", type=positive, metavar="N", help="train from seeds 0 to N − 1 (the row's own number)")
    add("--jobs", type=positive, default=os.cpu_count() or 1, metavar="N", help="networks at a time (as many as cores)")
    add("--cluster", metavar="ADDRESS", help="train on a Dask cluster: tcp://HOST:8786, or local")
    add("--validate", action="store_true", help="hold out 10,000 training images, and report the error on them")
    add("--options", type=split_options, default=[], metavar="TEXT", help='over the recipe\'s, as in --options="--nesterov"')
    add("--out", type=Path, default=Path("runs/published"), metavar="DIR", help="(runs/published)")
    add("--list", action="store_true", help="print the rows and their recipes")
    add("--together", type=names, metavar="ROW,…", help="print these rows' finished networks' error as one committee")
    add("--table", action="store_true", help="print the rows that have finished runs, in Markdown")
    arguments = parser.parse_args(given)
    if arguments.row is None and not (arguments.list or arguments.together or arguments.table):
        parser.error("argument ROW is missing: --list shows the rows")
    return arguments


def answer(arguments: argparse.Namespace) -> int:
    """Do what was asked for; returns the exit status."""
    if arguments.list:
        cli.say(list_rows())
    elif arguments.table:
        cli.say(tabulate(arguments))
    elif arguments.together:
        cli.say(judge_together(arguments.together, arguments))
    else:
        return run_row(arguments.row, arguments)
    return 0


def main(given: Sequence[str] | None = None) -> int:
    cli.forgive_encoding()
    arguments = parse(given)
    return cli.run("published.py", lambda: answer(arguments))


if __name__ == "__main__":
    sys.exit(main())
