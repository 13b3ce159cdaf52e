"""`python -m mlp.train`: trains a network on MNIST from the command line. The only file that parses arguments or prints.

`main` tells the story from top to bottom; everything it does, a script can do in the same few calls.
"""

import argparse
import hashlib
import importlib.metadata
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from tqdm import tqdm

import mlp
from mlp import activations, costs, initializers
from mlp.checkpoint import Run
from mlp.checks import check_integer, check_number
from mlp.network import DTYPES
from mlp.optimizers import DIVERGED, get_schedule

EPILOG = """\
examples:
  python -m mlp.train                                             784-256-10, a few seconds
  python -m mlp.train --hidden 512,256 --optimizer adam --epochs 5
  python -m mlp.train --hidden none --optimizer lbfgs --weight-decay 1e-4     softmax regression
  python -m mlp.train --hidden 30 --activation logistic --output logistic --cost quadratic \\
      --momentum 0 --learning-rate 3 --schedule constant --batch-size 10 --epochs 30    Nielsen's chapter 1
"""

#: What the options mean that are left out, by minimiser; an option that a minimiser has no use for is refused.
DEFAULTS: dict[str, dict[str, Any]] = {
    "sgd": {"learning_rate": 0.2, "schedule": "cosine", "momentum": 0.9, "nesterov": False, "batch_size": 128, "epochs": 12},
    "adam": {"learning_rate": 0.001, "schedule": "cosine", "batch_size": 128, "epochs": 10},
    "lbfgs": {"epochs": 200},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 diverged, 2 bad input, 130 interrupted."""
    started = time.perf_counter()
    parser = _parser()
    options = _options(parser, arguments)
    try:
        return _train(options, started)
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2


def _train(options: argparse.Namespace, started: float) -> int:
    say: Callable[[str], None] = (lambda _line: None) if options.quiet else print

    run, net, test, message, status = _fit(options, say)
    tested = mlp.Objective(net, test.X, test.y, cost=options.cost).evaluate(net.theta)
    accuracy = tested.accuracy or 0.0
    run.save_model(net, {"message": message, "test_cost": tested.cost, "test_accuracy": accuracy})
    say(f"Stopped: {message}")
    wrong = round((1 - accuracy) * len(test))
    print(f"Test accuracy: {100 * accuracy:.2f} % ({wrong:,} of {len(test):,} wrong), cost {tested.cost:.4f}", flush=True)
    say(f"Time: {time.perf_counter() - started:.1f} s")
    if not options.no_plots:
        _draw(run, net, test)
    say(f"Saved in {run.directory}: {', '.join(sorted(path.name for path in run.directory.iterdir()))}")
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
    objective = mlp.Objective(net, train.X, train.y, cost=options.cost, weight_decay=options.weight_decay)
    watched = mlp.Objective(net, validation.X, validation.y, cost=options.cost) if len(validation) else None
    run = Run.create(options.out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S"), _configuration(options, train))
    for line in _description(options, net, objective, (train, validation, test)):
        say(line)
    progress = _Bar(options) if sys.stdout.isatty() else _Lines(options)

    def epoch_done(intermediate_result: Any) -> None:
        net.theta = intermediate_result.x  # which it is already, but for L-BFGS's, that are its own until the end
        record = intermediate_result.history[-1]
        run.append(record)
        if not options.quiet:
            progress.show(record)

    minimiser = {"sgd": mlp.sgd, "adam": mlp.adam, "lbfgs": mlp.lbfgs}[options.optimizer]
    settings = {name: getattr(options, name) for name in DEFAULTS[options.optimizer] if name != "epochs"}
    if options.optimizer == "lbfgs":
        settings["maxiter"] = options.epochs
    else:
        settings.update(epochs=options.epochs, seed=options.seed)
    try:
        result = minimiser(objective, net.theta, validation=watched, patience=options.patience, callback=epoch_done, **settings)
        message, status = result.message, 1 if result.status == DIVERGED else 0
    except KeyboardInterrupt:
        message, status = "interrupted", 130
    finally:
        progress.close()
    return run, net, test, message, status


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
            + f", {options.epochs} epochs"
        )
    return [
        f"Data: MNIST, {', '.join(counts)} images",
        f"Network: {'-'.join(map(str, net.sizes))}, {hidden}{net.output.name} output, {net.theta.size:,} parameters "
        f"({net.dtype}, {options.init}, seed {options.seed})",
        f"Cost: {objective.cost.name.replace('_', ' ')}{decay}",
        f"Minimiser: {options.optimizer}, {how}",
    ]


class _Lines:
    """Progress where the output is not a terminal: one plain line an epoch."""

    def __init__(self, options: argparse.Namespace):
        self.total = options.epochs
        self.unit = "iteration" if options.optimizer == "lbfgs" else "epoch"

    def show(self, record: dict[str, Any]) -> None:
        number = record[self.unit]
        figures = ", ".join(_figures(record))
        print(f"{self.unit} {number:{len(str(self.total))}}/{self.total}: {figures}, {record['seconds']:.1f} s", flush=True)

    def close(self) -> None:
        pass


class _Bar:
    """Progress on a terminal: a bar with the latest figures and the time left."""

    def __init__(self, options: argparse.Namespace):
        self.unit = "iteration" if options.optimizer == "lbfgs" else "epoch"
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
        self.bar.update()

    def close(self) -> None:
        self.bar.close()


def _figures(record: dict[str, Any]) -> list[str]:
    figures = [f"cost {record['cost']:.4f}"]
    if "validation_cost" in record:
        figures.append(f"validation cost {record['validation_cost']:.4f}")
        figures.append(f"accuracy {100 * record['validation_accuracy']:.2f} %")
    return figures


# Options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlp.train",
        description="Train a multilayer perceptron on MNIST and save it.",
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=110),
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
        "--activation", choices=names, default="relu", metavar="NAME", help=f"of the hidden layers: {', '.join(names)} (relu)"
    )
    network.add_argument(
        "--output",
        choices=["softmax", "logistic", "identity", "tanh"],
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
    network.add_argument("--dtype", choices=DTYPES, default="float32", metavar="NAME", help="float32 or float64 (float32)")
    network.add_argument(
        "--seed", type=_integer(at_least=0), default=0, metavar="N", help="of the weights and of the order of examples (0)"
    )
    cost = parser.add_argument_group("cost")
    cost.add_argument(
        "--cost",
        choices=["cross_entropy", *costs.COSTS],
        metavar="NAME",
        help=f"cross_entropy (of the output) or {', '.join(costs.COSTS)} (the output's natural one)",
    )
    cost.add_argument(
        "--weight-decay", type=_number(at_least=0), default=5e-4, metavar="LAMBDA", help="λ in the penalty (λ/2)·Σ‖W‖² (0.0005)"
    )
    minimiser = parser.add_argument_group("minimiser")
    minimiser.add_argument(
        "--optimizer", choices=list(DEFAULTS), default="sgd", metavar="NAME", help="sgd, adam or lbfgs (sgd)"
    )
    minimiser.add_argument(
        "--learning-rate", type=_number(above=0), metavar="ETA", help="step size η (0.2 for sgd, 0.001 for adam)"
    )
    minimiser.add_argument(
        "--schedule",
        type=_schedule,
        metavar="NAME",
        help="of the learning rate: constant, step:FACTOR:EPOCHS, exponential:FACTOR, cosine (cosine)",
    )
    minimiser.add_argument("--momentum", type=_number(at_least=0, below=1), metavar="MU", help="for sgd (0.9)")
    minimiser.add_argument("--nesterov", action="store_true", default=None, help="make the momentum Nesterov's")
    minimiser.add_argument("--batch-size", type=_batch_size, metavar="N", help="examples a step, or full (128)")
    minimiser.add_argument(
        "--epochs",
        type=_integer(at_least=0),
        metavar="N",
        help="passes over the training set (12 for sgd, 10 for adam), or iterations of lbfgs (200)",
    )
    minimiser.add_argument(
        "--patience",
        type=_integer(at_least=1),
        metavar="N",
        help="stop after N epochs without a better validation accuracy, and keep the best parameters (off)",
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
    files.add_argument("--no-plots", action="store_true", help="draw no pictures of the run")
    files.add_argument("--quiet", action="store_true", help="print the test accuracy only")
    return parser


def _options(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with the minimiser's own defaults filled in and those that don't go together refused."""
    options = parser.parse_args(arguments)
    defaults = DEFAULTS[options.optimizer]
    for name in {name for known in DEFAULTS.values() for name in known}:
        if name not in defaults and getattr(options, name) is not None:
            parser.error(f"argument --{name.replace('_', '-')}: --optimizer {options.optimizer} has no use for it")
        if name in defaults and getattr(options, name) is None:
            setattr(options, name, defaults[name])
    if options.batch_size == "full":
        options.batch_size = None
    if options.patience is not None and options.validation == 0:
        parser.error("argument --patience: needs a validation set, but --validation is 0")
    return options


def _checked(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """A check as argparse wants it: its message is the error, behind the option's name."""

    def checked(text: str) -> Any:
        try:
            return check(text)
        except (ValueError, TypeError) as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix("value: ")) from error

    return checked


def _number(**bounds: float) -> Callable[[str], Any]:
    return _checked(lambda text: check_number("value", _parsed(text, float), **bounds))


def _integer(**bounds: int) -> Callable[[str], Any]:
    return _checked(lambda text: check_integer("value", _parsed(text, int), **bounds))


def _parsed(text: str, kind: Callable[[str], Any]) -> Any:
    """The number that a text spells, or the text, for the check to refuse."""
    try:
        return kind(text)
    except ValueError:
        return text


@_checked
def _sizes(text: str) -> list[int]:
    return [] if text == "none" else [check_integer("value", _parsed(part, int), at_least=1) for part in text.split(",")]


@_checked
def _batch_size(text: str) -> int | str:
    return text if text == "full" else check_integer("value", _parsed(text, int), at_least=1)


@_checked
def _schedule(text: str) -> str:
    get_schedule(text, 1)
    return text


@_checked
def _init(text: str) -> str:
    initializers.get(text)
    return text


def _configuration(options: argparse.Namespace, train: mlp.Examples) -> dict[str, Any]:
    """Everything that decides how the run goes, enough to repeat it to the bit on the same machine."""
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "quiet", "no_plots")}
    words = ["python", "-m", "mlp.train"]
    for name, value in settings.items():
        if name == "nesterov":
            words += ["--nesterov"] if value else []
        elif name == "hidden":
            words += ["--hidden", ",".join(map(str, value)) or "none"]
        elif name == "batch_size":
            words += (
                ["--batch-size", "full" if value is None else str(value)] if "batch_size" in DEFAULTS[options.optimizer] else []
            )
        elif value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return {
        "command": shlex.join(words),
        "options": settings,
        "data_sha256": [hashlib.sha256(np.ascontiguousarray(part).data).hexdigest() for part in (train.X, train.y)],
        "versions": {
            "mlp": importlib.metadata.version("mlp"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "machine": platform.machine(),
        },
    }


if __name__ == "__main__":
    sys.exit(main())
