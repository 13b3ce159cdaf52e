"""What `python -m mlp.train` prints and draws: what is about to be trained, how it ended, pictures."""

import argparse
from collections.abc import Sequence

import numpy as np

import mlp
from mlp import cli
from mlp.checkpoint import Run
from mlp.checks import counted
from mlp.data import Preparation
from mlp.data.parts import Parts
from mlp.export import page
from mlp.optimizers import schedules
from mlp.train.options import DESCENT


def unit_of(options: argparse.Namespace) -> str:
    """What the minimiser's records count."""
    return "epoch" if options.optimizer in DESCENT else "iteration"


def say(options: argparse.Namespace, line: str) -> None:
    """Print a line, unless the command is to be quiet."""
    if not options.quiet:
        cli.say(cli.wrapped(line))


def describe(options: argparse.Namespace, net: mlp.MLP, objective: mlp.Objective, parts: Parts) -> list[str]:
    """Lines on what is about to be trained, and how."""
    names = ("training", "validation", "test")
    counts = [f"{len(part):,} {name}" for part, name in zip(parts.all, names, strict=True) if len(part)]
    hidden = f"{options.activation} hidden units, " if options.hidden else ""
    decay = f"; minimised with the penalty of weight decay {options.weight_decay:g}" if options.weight_decay else ""
    noise = _describe_noise(options)
    looks = any(isinstance(entry, str) for entry in options.hidden)  # at images, as convolution does
    entries = ["×".join(map(str, net.in_shape)) if looks else net.sizes[0], *options.hidden, net.sizes[-1]]
    return [
        *describe_columns(parts.preparation),
        f"Data: {parts.training.name}, {', '.join(counts)} {parts.noun}",
        f"Network: {'-'.join(map(str, entries))}, {hidden}{net.output.name} output, {net.theta.size:,} parameters "
        f"({net.dtype}, {options.init}, seed {options.seed})",
        f"Cost: {objective.cost.name.replace('_', ' ')}{decay}",
        f"Minimiser: {options.optimizer}, {_describe_minimiser(options)}",
        *([f"Against overfitting: {noise}"] if noise else []),
    ]


def _describe_minimiser(options: argparse.Namespace) -> str:
    if options.optimizer not in DESCENT:
        parts = [
            f"at most {counted(options.epochs, 'iteration')} over all examples",
            f"curvature of {options.subset:,} of them" if options.subset else "",
            f"damping {options.damping:g}" if options.damping else "",
        ]
        return ", ".join(part for part in parts if part)
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


#: How many columns are listed; the files have all.
_MOST_COLUMNS = 30


def describe_columns(preparation: Preparation) -> list[str]:
    """A table of the columns as they were understood, the target last; nothing for images."""
    if preparation.columns[0].kind == "pixels" or preparation.target is None:
        return []
    rows = [("column", "kind", "values")]
    for column in (*preparation.columns[:_MOST_COLUMNS], preparation.target):
        kind = column.kind if column is not preparation.target else "target"
        if column.mean is None:
            rows.append((column.name, kind, _few(column.values)))
        else:
            extremes = f"{column.minimum:.4g} … {column.maximum:.4g}"
            rows.append((column.name, kind, f"{column.mean:.4g} ± {column.deviation:.4g} ({extremes})"))
    left_out = len(preparation.columns) - _MOST_COLUMNS
    if left_out > 0:
        rows.insert(-1, (f"and {left_out:,} more", "", ""))
    first, second = (max(len(row[place]) for row in rows) for place in (0, 1))
    return [f"{name:{first}}  {kind:{second}}  {values}".rstrip() for name, kind, values in rows]


def _few(values: Sequence[str]) -> str:
    more = f" and {len(values) - 12:,} more" if len(values) > 12 else ""
    return ", ".join(values[:12]) + more


def describe_folds(values: Sequence[float], classifies: bool) -> str:
    """The result of a cross-validation: mean and standard deviation (with n − 1) over the folds."""
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    if classifies:
        return (
            f"Cross-validation: accuracy {100 * mean:.2f} ± {100 * deviation:.2f} % (mean ± deviation over {len(values)} folds)"
        )
    return f"Cross-validation: error {mean:.4g} ± {deviation:.2g} (root mean square; mean ± deviation over {len(values)} folds)"


def draw(options: argparse.Namespace, run: Run, net: mlp.MLP, test: mlp.Examples) -> None:
    """Write the pictures of a run into its directory, those of features and mistakes only where examples are images; and the
    page to try the network on, if it is one that a page can show."""
    try:
        page.write(run.directory / "network.html", net, test)
    except page.NoPage as error:
        say(options, f"Without network.html: {error}")
    shape = test.image_shape
    shape = shape[:2] if shape is not None and shape[2:] == (1,) else shape
    pictures = shape is not None and (len(shape) == 2 or shape[2] == 3)
    if pictures:
        mlp.plots.features(net, sort_by_norm=True, file=run.directory / "features.png")
    if (run.directory / "metrics.csv").exists():  # not where no epoch was finished
        mlp.plots.curves(run.directory, file=run.directory / "curves.png")
    if test.classes is None or not len(test):
        return
    mlp.plots.confusion(net, test.X, test.y, classes=test.classes, file=run.directory / "confusion.png")
    if pictures:
        mlp.plots.mistakes(net, test.X, test.y, shape=shape, classes=test.classes, file=run.directory / "mistakes.png")
