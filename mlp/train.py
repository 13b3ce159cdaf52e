"""`python -m mlp.train`: trains a network on MNIST from the command line. (The other command line is plots/__main__.py.)

`main` tells the story from top to bottom; everything it does, a script can do in the same few calls.
"""

import argparse
import hashlib
import os
import platform
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy
from tqdm import tqdm

import mlp
from mlp import activations, command, costs, initializers
from mlp.checkpoint import Run, read_configuration
from mlp.checks import DTYPES, check_integer, check_name, check_number
from mlp.data import distortions
from mlp.optimizers import CALLBACK, DIVERGED, schedules

PROG = "python -m mlp.train"

EPILOG = """\
examples:
  python -m mlp.train                                             784-256-10, a few seconds
  python -m mlp.train --hidden 512,256 --optimizer adam --epochs 5
  python -m mlp.train --hidden none --optimizer lbfgs --weight-decay 1e-4     softmax regression
  python -m mlp.train --hidden 30 --activation logistic --output logistic --cost quadratic --weight-decay 0 \\
      --momentum 0 --learning-rate 3 --schedule constant --batch-size 10 --epochs 30    Nielsen's chapter 1
  python -m mlp.train --hidden 800 --learning-rate 0.1 --epochs 60 --weight-decay 0 --distort elastic,affine
      every image bent and turned anew in every epoch: 99.4 % in about a minute
"""

#: What belongs to the objective, but needs steps over mini-batches.
_NO_NOISE: dict[str, Any] = {"distort": None, "dropout": None, "max_norm": None}

#: What the options mean that are left out, by minimiser; an option that a minimiser has no use for is refused.
DEFAULTS: dict[str, dict[str, Any]] = {
    "sgd": {
        "learning_rate": 0.2,
        "schedule": "cosine",
        "momentum": 0.9,
        "nesterov": False,
        "batch_size": 128,
        "epochs": 12,
        "average": 0,
        **_NO_NOISE,
    },
    "adam": {"learning_rate": 0.001, "schedule": "cosine", "batch_size": 128, "epochs": 10, "average": 0, **_NO_NOISE},
    "lbfgs": {"epochs": 200},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 diverged, 2 bad input, 130 or 143 stopped by Ctrl-C or SIGTERM."""
    started = time.perf_counter()
    command.forgive_encoding()
    parser = _parser()
    options = _options(parser, arguments)
    return command.run(parser.prog, lambda: _train(options, started))


def _train(options: argparse.Namespace, started: float) -> int:
    say: Callable[[str], None] = (lambda _line: None) if options.quiet else command.say

    run, net, test, message, status = _fit(options, say)
    if status in _INTERRUPTED:
        run.save_model(net, {"message": message})
        command.say(
            f"Stopped: {message}. To go on: {shlex.join(['python', '-m', 'mlp.train', '--resume', str(run.directory)])}"
        )
        return status
    tested = mlp.Objective(net, test.X, test.y, cost=options.cost).evaluate(net.theta)
    accuracy = float(tested.accuracy or 0)
    run.save_model(net, {"message": message, "status": status, "test_cost": tested.cost, "test_accuracy": accuracy})
    if status:
        print(f"{PROG}: {message}", file=sys.stderr)
    else:
        say(f"Stopped: {message}")
    wrong = round((1 - accuracy) * len(test))
    command.say(f"Test accuracy: {100 * accuracy:.2f} % ({wrong:,} of {len(test):,} wrong), cost {tested.cost:.4f}")
    say(f"Time: {time.perf_counter() - started:.1f} s")
    if not options.no_plots:
        _draw(run, net, test)
    say(f"Saved in {run.directory}: {', '.join(sorted(path.name for path in run.directory.glob('[!.]*')))}")
    run.close()
    return status


def _fit(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[Run, mlp.MLP, mlp.Examples, str, int]:
    """Train as the options say: the run, the network, the test set, why it stopped, and the exit status.

    The training set's memory is free again when this returns.
    """
    train, validation, test = mlp.load_mnist(options.data, validation=options.validation)
    net = mlp.MLP(
        [train.X.shape[1], *options.hidden, 10],
        hidden=options.activation,
        output=options.output,
        init=options.init,
        dtype=options.dtype,
        seed=options.seed,
    )
    objective = mlp.Objective(
        net,
        train.X,
        train.y,
        cost=options.cost,
        weight_decay=options.weight_decay,
        distort=distortions.parse(options.distort) if options.distort else None,
        dropout=options.dropout,
        max_norm=options.max_norm,
    )
    watched = None
    if len(validation):  # with the same penalty, so that its cost can be compared with the training set's
        watched = mlp.Objective(net, validation.X, validation.y, cost=options.cost, weight_decay=options.weight_decay)
    run, state = _open_run(options, (train, validation))
    for line in _description(options, net, objective, (train, validation, test)):
        say(line)
    if options.resume:
        done = len(state.facts["history"]) if state is not None else 0
        say(f"Going on with {run.directory} after {done} {_unit(options)}{'s' if done != 1 else ''}")
    progress = _Bar(options) if sys.stdout.isatty() else _Lines(options)
    best = net.astype(net.dtype)
    saved = time.monotonic()

    def epoch_done(intermediate_result: Any) -> None:
        nonlocal saved
        history = intermediate_result.history
        run.append(history[-1])
        if watched is not None and history[-1]["validation_accuracy"] > max(history["validation_accuracy"][:-1], default=-1):
            best.theta = intermediate_result.x
            run.save_model(best, {"epoch": len(history), **history[-1]}, "best.npz")
        if options.save_every and (len(history) % options.save_every == 0 or len(history) == options.epochs):
            run.save_state(intermediate_result.snapshot())
            saved = time.monotonic()
        if not options.quiet:
            progress.show(history[-1])

    def step_done(snapshot: Callable[[], mlp.State]) -> None:
        nonlocal saved
        if interruption.received is not None:
            run.save_state(snapshot())
            raise StopIteration
        if options.save_minutes is not None and time.monotonic() - saved > 60 * options.save_minutes:
            run.save_state(snapshot())
            saved = time.monotonic()

    minimiser: Any = {"sgd": mlp.sgd, "adam": mlp.adam, "lbfgs": mlp.lbfgs}[options.optimizer]
    settings = {name: getattr(options, name) for name in DEFAULTS[options.optimizer] if name not in ("epochs", *_NO_NOISE)}
    if options.optimizer == "lbfgs":
        settings["maxiter"] = options.epochs
    else:
        settings.update(epochs=options.epochs, seed=options.seed)
    settings.update(validation=watched, patience=options.patience, callback=epoch_done, state=state, each_step=step_done)
    with _Interruption() as interruption:
        try:
            result = minimiser(objective, net.theta, **settings)
        finally:
            progress.close()
    message, status = result.message, 1 if result.status == DIVERGED else 0
    if interruption.received is not None and result.status == CALLBACK:
        message = f"interrupted by {interruption.received.name} in {_unit(options)} {len(result.history) + 1}"
        status = 128 + interruption.received
    return run, net, test, message, status


def _open_run(options: argparse.Namespace, data: Sequence[mlp.Examples]) -> tuple[Run, mlp.State | None]:
    """The run's directory, new or, with --resume, as it was left."""
    configuration = _configuration(options, data)
    if not options.resume:
        return Run.create(options.out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S"), configuration), None
    run, recorded, state = Run.resume(options.resume)
    if recorded.get("data_sha256") != configuration["data_sha256"]:
        raise ValueError(f"{options.resume}: was trained on other data than that of {options.data or 'this place'}")
    return run, state


class _Interruption:
    """While it lasts, the first Ctrl-C or SIGTERM is noted in `received`, and a second one ends the process as ever."""

    received: signal.Signals | None = None

    def __enter__(self) -> Self:
        self.before = {}
        if threading.current_thread() is threading.main_thread():  # the only one that may
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, _frame: Any) -> None:
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        self._restore()


_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def _draw(run: Run, net: mlp.MLP, test: mlp.Examples) -> None:
    """Write the pictures of a run into its directory."""
    mlp.plots.features(net, sort_by_norm=True, file=run.directory / "features.png")
    if (run.directory / "metrics.csv").exists():  # not where no epoch was finished
        mlp.plots.curves(run.directory, file=run.directory / "curves.png")
    mlp.plots.confusion(net, test.X, test.y, file=run.directory / "confusion.png")
    mlp.plots.mistakes(net, test.X, test.y, file=run.directory / "mistakes.png")


# What is printed


def _description(
    options: argparse.Namespace, net: mlp.MLP, objective: mlp.Objective, data: tuple[mlp.Examples, ...]
) -> list[str]:
    counts = [f"{len(part):,} {name}" for part, name in zip(data, ("training", "validation", "test"), strict=True) if len(part)]
    decay = f", weight decay {options.weight_decay:g}" if options.weight_decay else ""
    hidden = f"{options.activation} hidden units, " if options.hidden else ""
    if options.optimizer == "lbfgs":
        how = f"at most {options.epochs} iterations over all examples"
    else:
        momentum = getattr(options, "momentum", None)
        kind = "Nesterov momentum" if getattr(options, "nesterov", False) else "momentum"
        how = (
            f"learning rate {options.learning_rate:g} ({options.schedule}), "
            + (f"{kind} {momentum:g}, " if momentum else "")
            + (f"batches of {options.batch_size}" if options.batch_size else "full batches")
            + f", {options.epochs} epoch{'s' if options.epochs != 1 else ''}"
            + (f", the last {min(options.average, options.epochs)} averaged" if options.average else "")
        )
    noise = [
        f"{name} {of}"
        for name, of in (
            ("distort", options.distort),
            ("dropout", options.dropout and ",".join(f"{rate:g}" for rate in options.dropout)),
            ("max-norm", options.max_norm),
        )
        if of is not None
    ]
    return [
        f"Data: MNIST, {', '.join(counts)} images",
        f"Network: {'-'.join(map(str, net.sizes))}, {hidden}{net.output.name} output, {net.theta.size:,} parameters "
        f"({net.dtype}, {options.init}, seed {options.seed})",
        f"Cost: {objective.cost.name.replace('_', ' ')}{decay}",
        f"Minimiser: {options.optimizer}, {how}",
        *([f"Against overfitting: {', '.join(noise)}"] if noise else []),
    ]


def _unit(options: argparse.Namespace) -> str:
    return "iteration" if options.optimizer == "lbfgs" else "epoch"


class _Lines:
    """Progress where the output is not a terminal: one plain line an epoch."""

    def __init__(self, options: argparse.Namespace):
        self.total = options.epochs
        self.unit = _unit(options)

    def show(self, record: dict[str, Any]) -> None:
        number = record[self.unit]
        figures = ", ".join(_figures(record))
        command.say(f"{self.unit} {number:{len(str(self.total))}}/{self.total}: {figures}, {record['seconds']:.1f} s")

    def close(self) -> None:
        pass


class _Bar:
    """Progress on a terminal: a bar with the latest figures and the time left."""

    def __init__(self, options: argparse.Namespace):
        self.unit = _unit(options)
        self.bar = tqdm(
            total=options.epochs,
            disable=options.quiet,
            file=sys.stdout,
            dynamic_ncols=True,
            unit=self.unit,
            bar_format="{desc}{n}/{total} |{bar}| {elapsed}, {remaining} left{postfix}",
            desc=f"{self.unit} ",
        )

    def show(self, record: dict[str, Any]) -> None:
        self.bar.set_postfix_str(", ".join(_figures(record)), refresh=False)
        self.bar.update(record[self.unit] - self.bar.n)

    def close(self) -> None:
        self.bar.close()


def _figures(record: dict[str, Any]) -> list[str]:
    figures = [f"cost {record['cost']:.4f}"]
    if "validation_cost" in record:
        figures.append(f"validation cost {record['validation_cost']:.4f}")
        figures.append(f"validation accuracy {100 * record['validation_accuracy']:.2f} %")
    return figures


# Options


def _defaults(name: str) -> str:
    """An option's defaults, by minimiser."""
    return ", ".join(f"{values[name]} for {minimiser}" for minimiser, values in DEFAULTS.items() if name in values)


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(
        prog=PROG,
        description="Train a multilayer perceptron on MNIST and save it. Defaults are in brackets.",
        epilog=EPILOG,
    )
    names = [name for name in activations.ACTIVATIONS if name != "softmax"]
    network = parser.add_argument_group("network")
    network.add_argument(
        "--hidden",
        type=_sizes,
        default=[256],
        metavar="SIZES",
        help="units of each hidden layer, such as 512,256, or none (256)",
    )
    network.add_argument(
        "--activation",
        type=_name(names),
        default="relu",
        metavar="NAME",
        help=f"of the hidden layers: {', '.join(names)} (relu)",
    )
    network.add_argument(
        "--output",
        type=_name(["softmax", "logistic", "identity", "tanh"]),
        default="softmax",
        metavar="NAME",
        help="activation of the output layer: softmax, logistic, identity, tanh (softmax)",
    )
    network.add_argument(
        "--init",
        type=_init,
        default="glorot_uniform",
        metavar="NAME",
        help=f"how weights are drawn: {', '.join(initializers.INITIALIZERS)}, small_normal:EPSILON (glorot_uniform)",
    )
    network.add_argument("--dtype", type=_name(DTYPES), default="float32", metavar="NAME", help="float32 or float64 (float32)")
    network.add_argument(
        "--seed",
        type=_integer(at_least=0),
        default=0,
        metavar="N",
        help="of the weights, the order of examples, distortions and dropout (0)",
    )
    cost = parser.add_argument_group("cost")
    cost.add_argument(
        "--cost",
        type=_name(["cross_entropy", *costs.COSTS]),
        metavar="NAME",
        help=f"cross_entropy (of the output) or {', '.join(costs.COSTS)} (the output's natural one)",
    )
    cost.add_argument(
        "--weight-decay", type=_number(at_least=0), default=5e-4, metavar="LAMBDA", help="λ in the penalty (λ/2)·Σ‖W‖² (0.0005)"
    )
    noise = parser.add_argument_group("against overfitting")
    noise.add_argument(
        "--distort",
        type=_distortion,
        metavar="KINDS",
        help="distort every training image anew in every epoch: elastic, affine, or elastic,affine (off). Parameters, in "
        "degrees and pixels, and what they are if left out: elastic:sigma=6:alpha=37, "
        "affine:rotation=15:scaling=0.15:shear=0:shift=0",
    )
    noise.add_argument(
        "--dropout",
        type=_rates,
        metavar="RATES",
        help="what fraction of each layer's inputs to drop, the network's own first, such as 0.2,0.5 (off)",
    )
    noise.add_argument(
        "--max-norm", type=_number(above=0), metavar="C", help="the largest norm of a unit's incoming weights (off)"
    )
    minimiser = parser.add_argument_group("minimiser")
    minimiser.add_argument("--optimizer", type=_name(DEFAULTS), default="sgd", metavar="NAME", help="sgd, adam or lbfgs (sgd)")
    minimiser.add_argument(
        "--learning-rate", type=_number(above=0), metavar="ETA", help=f"step size η ({_defaults('learning_rate')})"
    )
    minimiser.add_argument(
        "--schedule",
        type=_schedule,
        metavar="NAME",
        help="of the learning rate: constant, step:FACTOR:EPOCHS, exponential:FACTOR, cosine (" + _defaults("schedule") + ")",
    )
    minimiser.add_argument("--momentum", type=_number(at_least=0, below=1), metavar="MU", help=f"μ ({_defaults('momentum')})")
    minimiser.add_argument("--nesterov", action="store_true", default=None, help="make the momentum Nesterov's")
    minimiser.add_argument(
        "--batch-size", type=_batch_size, metavar="N", help=f"examples a step, or full ({_defaults('batch_size')})"
    )
    minimiser.add_argument(
        "--epochs",
        type=_integer(at_least=0),
        metavar="N",
        help=f"passes over the training set, or iterations of lbfgs ({_defaults('epochs')})",
    )
    minimiser.add_argument(
        "--patience",
        type=_integer(at_least=1),
        metavar="N",
        help="stop after N epochs without a better validation accuracy, and keep the best parameters (off)",
    )
    minimiser.add_argument(
        "--average",
        type=_integer(at_least=0),
        metavar="N",
        help="end with the mean of the parameters over the steps of the last N epochs (0: with the last)",
    )
    files = parser.add_argument_group("files and output")
    files.add_argument("--data", metavar="DIR", help="where the MNIST files are ($MLP_DATA, data/, or the user's cache)")
    files.add_argument(
        "--validation",
        type=_integer(at_least=0),
        default=10_000,
        metavar="N",
        help="how many training images to hold out for validation (10000)",
    )
    files.add_argument(
        "--out", type=Path, metavar="DIR", help="the run's directory, which must be new or empty (runs/DATE-TIME)"
    )
    files.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on with a run that was stopped, with the options it was started with"
    )
    files.add_argument(
        "--save-every",
        type=_integer(at_least=0),
        default=1,
        metavar="N",
        help="save the run's state every N epochs (1), or only when it is stopped (0)",
    )
    files.add_argument(
        "--save-minutes", type=_number(above=0), metavar="M", help="save the run's state every M minutes too, within epochs"
    )
    files.add_argument("--no-plots", action="store_true", help="draw no pictures of the run")
    files.add_argument("--quiet", action="store_true", help="print the test accuracy only")
    return parser


def _options(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with the minimiser's own defaults filled in and those that don't go together refused."""
    options = parser.parse_args(arguments)
    if options.resume:
        unsaid = object()
        said = parser.parse_args(arguments, argparse.Namespace(**dict.fromkeys(vars(options), unsaid)))
        return _resumed(parser, options, {name for name, value in vars(said).items() if value is not unsaid})
    defaults = DEFAULTS[options.optimizer]
    for name in dict.fromkeys(name for known in DEFAULTS.values() for name in known):
        if name not in defaults and getattr(options, name) is not None:
            parser.error(f"argument --{name.replace('_', '-')}: --optimizer {options.optimizer} has no use for it")
        if name in defaults and getattr(options, name) is None:
            setattr(options, name, defaults[name])
    if options.batch_size == "full":
        options.batch_size = None
    if options.dropout is not None and len(options.dropout) != len(options.hidden) + 1:
        parser.error(
            f"argument --dropout: received {len(options.dropout)} rates, but the network has {len(options.hidden) + 1} layers, "
            "and each one's input has a rate"
        )
    if options.patience is not None and options.validation == 0:
        parser.error("argument --patience: needs a validation set, but --validation is 0")
    return options


#: What may be said anew when a run is resumed.
_ANEW = ("resume", "data", "save_every", "save_minutes", "no_plots", "quiet")


def _resumed(parser: argparse.ArgumentParser, options: argparse.Namespace, said: set[str]) -> argparse.Namespace:
    """The options that the run to resume was started with, but for those that were said anew."""
    for name in vars(options):
        if name in said and name not in _ANEW:
            parser.error(f"argument --{name.replace('_', '-')}: --resume goes on with the run's own options")
    try:
        recorded = read_configuration(options.resume)["options"]
    except (ValueError, OSError) as error:
        parser.error(f"argument --resume: {error}")
    known = {name for name in vars(options) if name not in _ANEW and name != "out"}
    if not known <= set(recorded):
        parser.error(f"argument --resume: {options.resume}: its options lack {', '.join(sorted(known - set(recorded)))}")
    settings = {name: recorded[name] for name in known}
    for name in ("data", "save_every", "save_minutes"):
        settings[name] = getattr(options, name) if name in said else recorded.get(name, getattr(options, name))
    try:  # what is not checked where it is used
        check_name("optimizer", settings["optimizer"], DEFAULTS)
        check_integer("save_every", settings["save_every"], at_least=0)
        if settings["save_minutes"] is not None:
            check_number("save_minutes", settings["save_minutes"], above=0)
    except (ValueError, TypeError) as error:
        parser.error(f"argument --resume: {options.resume / 'config.json'}: {error}")
    return argparse.Namespace(**{**vars(options), **settings})


def _name(known: Iterable[str]) -> Callable[[str], Any]:
    return command.checked(lambda text: check_name("value", text, known))


def _number(**bounds: float) -> Callable[[str], Any]:
    return command.checked(lambda text: check_number("value", _parsed(text, float), **bounds))


def _integer(**bounds: int) -> Callable[[str], Any]:
    return command.checked(lambda text: check_integer("value", _parsed(text, int), **bounds))


def _parsed(text: str, kind: Callable[[str], Any]) -> Any:
    """The number that a text spells, or the text, for the check to refuse."""
    try:
        return kind(text)
    except ValueError:
        return text


@command.checked
def _sizes(text: str) -> list[int]:
    return [] if text == "none" else [check_integer("value", _parsed(part, int), at_least=1) for part in text.split(",")]


@command.checked
def _rates(text: str) -> list[float]:
    return [check_number("value", _parsed(part, float), at_least=0, below=1) for part in text.split(",")]


@command.checked
def _distortion(text: str) -> str:
    distortions.parse(text)
    return text


@command.checked
def _batch_size(text: str) -> int | str:
    return text if text == "full" else check_integer("value", _parsed(text, int), at_least=1)


@command.checked
def _schedule(text: str) -> str:
    schedules.get(text, 1)
    return text


@command.checked
def _init(text: str) -> str:
    initializers.get(text)
    return text


def _configuration(options: argparse.Namespace, data: Sequence[mlp.Examples]) -> dict[str, Any]:
    """Everything that decides how the run goes, enough to repeat it to the bit on the same machine."""
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "resume", "quiet", "no_plots")}
    words = ["python", "-m", "mlp.train"]
    for name, value in settings.items():
        if name == "nesterov":
            words += ["--nesterov"] if value else []
        elif isinstance(value, list):
            words += [f"--{name.replace('_', '-')}", ",".join(map(str, value)) or "none"]
        elif name == "batch_size":
            words += (
                ["--batch-size", "full" if value is None else str(value)] if "batch_size" in DEFAULTS[options.optimizer] else []
            )
        elif value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return {
        "command": shlex.join(words),
        "options": settings,
        "data_sha256": [
            hashlib.sha256(np.ascontiguousarray(part).data).hexdigest()
            for part in (array for examples in data for array in (examples.X, examples.y))
        ],
        "versions": {
            "mlp": mlp.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "threads": {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")},
        },
    }


if __name__ == "__main__":
    sys.exit(main())
