"""What `python -m mlp.train` prints and draws: what is about to be trained, how it ended, pictures."""

import argparse
from collections.abc import Sequence

import mlp
from mlp import cli
from mlp.checkpoint import Run
from mlp.optimizers import schedules


def unit_of(options: argparse.Namespace) -> str:
    """What the minimiser's records count."""
    return "iteration" if options.optimizer == "lbfgs" else "epoch"


def counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}" + ("s" if number != 1 else "")


def say(options: argparse.Namespace, line: str) -> None:
    """Print a line, unless the command is to be quiet."""
    if not options.quiet:
        cli.say(cli.wrapped(line))


def describe(options: argparse.Namespace, net: mlp.MLP, objective: mlp.Objective, data: Sequence[mlp.Examples]) -> list[str]:
    """Lines on what is about to be trained, and how."""
    counts = [f"{len(part):,} {name}" for part, name in zip(data, ("training", "validation", "test"), strict=True) if len(part)]
    hidden = f"{options.activation} hidden units, " if options.hidden else ""
    decay = f"; minimised with the penalty of weight decay {options.weight_decay:g}" if options.weight_decay else ""
    noise = _describe_noise(options)
    return [
        f"Data: MNIST, {', '.join(counts)} images",
        f"Network: {'-'.join(map(str, net.sizes))}, {hidden}{net.output.name} output, {net.theta.size:,} parameters "
        f"({net.dtype}, {options.init}, seed {options.seed})",
        f"Cost: {objective.cost.name.replace('_', ' ')}{decay}",
        f"Minimiser: {options.optimizer}, {_describe_minimiser(options)}",
        *([f"Against overfitting: {noise}"] if noise else []),
    ]


def _describe_minimiser(options: argparse.Namespace) -> str:
    if options.optimizer == "lbfgs":
        return f"at most {counted(options.epochs, 'iteration')} over all examples"
    kind = "Nesterov momentum" if options.nesterov else "momentum"
    parts = [
        f"learning rate {options.learning_rate:g} ({options.schedule})",
        f"{kind} {options.momentum:g}" if options.momentum else "",
        f"batches of {options.batch_size}" if options.batch_size else "full batches",
        counted(options.epochs, "epoch"),
        f"the last {min(options.average, options.epochs)} averaged" if options.average else "",
    ]
    return ", ".join(part for part in parts if part)


def _describe_noise(options: argparse.Namespace) -> str:
    parts = [
        f"distort {options.distort}" if options.distort else "",
        f"dropout {','.join(f'{rate:g}' for rate in options.dropout)}" if options.dropout else "",
        f"max-norm {options.max_norm}" if options.max_norm else "",
    ]
    return ", ".join(part for part in parts if part)


def describe_lengthening(options: argparse.Namespace, before: int, done: int) -> list[str]:
    """Lines on what more epochs than before mean, after those that are done: for a schedule that depends on their number."""
    if options.epochs == before:
        return []
    lines = [f"Lengthened from {before} to {counted(options.epochs, unit_of(options))}"]
    if options.schedule is not None and done:
        last, *following = (
            options.learning_rate * schedules.get(options.schedule, epochs)(epoch)
            for epochs, epoch in ((before, done - 1), (before, done), (options.epochs, done))
        )
        if following[0] != following[1]:
            lines.append(
                f"The schedule {options.schedule} depends on the number of epochs: the learning rate was {last:.3g} in epoch "
                f"{done} of {before}, and is {following[1]:.3g} in epoch {done + 1} of {options.epochs}"
            )
    return lines


def describe_test(test: mlp.Examples, accuracy: float, cost: float) -> str:
    """The line that a run is for."""
    wrong = round((1 - accuracy) * len(test))
    return f"Test accuracy: {100 * accuracy:.2f} % ({wrong:,} of {len(test):,} wrong), test cost {cost:.4f}"


def draw(run: Run, net: mlp.MLP, test: mlp.Examples) -> None:
    """Write the pictures of a run into its directory."""
    mlp.plots.features(net, sort_by_norm=True, file=run.directory / "features.png")
    if (run.directory / "metrics.csv").exists():  # not where no epoch was finished
        mlp.plots.curves(run.directory, file=run.directory / "curves.png")
    mlp.plots.confusion(net, test.X, test.y, file=run.directory / "confusion.png")
    mlp.plots.mistakes(net, test.X, test.y, file=run.directory / "mistakes.png")
