"""`python -m mlp.plots RUN_OR_MODEL`: draws the figures of a saved run or model."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlp
from mlp import cli as command
from mlp.checkpoint import read_configuration
from mlp.checks import check_name
from mlp.data.parts import OPTIONS, Parts, load_parts
from mlp.plots.runs import METRICS

EPILOG = """\
figures:
  features      what each unit of the first layer (over a pool, the next) looks for in the image
  curves        cost and accuracy by epoch (of a run)
  confusion     which classes are taken for which (on the test set)
  mistakes      the most confident wrong answers (on the test set, of images)
  activations   the first layer's outputs for test examples, by class; of a convolution, its maps
  weights       histograms of the weights by layer
(mlp.plots.gradients draws a history of gradients, which a run doesn't keep.)

examples:
  python -m mlp.plots runs/2026-01-31-101500
  python -m mlp.plots model.npz --what features,weights --out pictures
"""

#: What each figure is drawn from.
_NEEDS = {
    "features": "model",
    "curves": "metrics",
    "confusion": "data",
    "mistakes": "data",
    "activations": "data",
    "weights": "model",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 2 bad input."""
    command.forgive_encoding()
    parser = _parser()
    options = parser.parse_args(arguments)
    return command.run(parser.prog, lambda: _draw(options))


def _draw(options: argparse.Namespace) -> int:
    source: Path = options.source
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such run or model")
    net = mlp.load(source / "model.npz" if source.is_dir() else source)
    run = source.is_dir() and (source / "config.json").exists()
    recorded = read_configuration(source)["options"] | {"resume": source} if run else {}
    names = _names(options.what, source, net)
    given: dict[str, tuple[Any, ...]] = {"model": (net,), "metrics": (source,)}
    looks: dict[str, dict[str, Any]] = {"features": {"sort_by_norm": True}}  # as mlp.train draws it
    missing = ""
    if any(_NEEDS[name] == "data" for name in names):
        try:
            parts = _read_data(source, recorded, net, options.data)
        except (ValueError, OSError) as error:
            if options.what is not None or options.data is not None:
                raise
            missing = str(error)
        else:
            given["data"] = (net, parts.test.X, parts.test.y)
            looks["confusion"] = {"classes": parts.classes}
            looks["mistakes"] = {"classes": parts.classes, "shape": parts.test.image_shape}
    out: Path = options.out or (source if source.is_dir() else source.parent)
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = out / f"{name}.png"
        try:
            if _NEEDS[name] not in given:
                raise ValueError(missing)
            getattr(mlp.plots, name)(*given[_NEEDS[name]], file=file, **looks.get(name, {}))
        except (ValueError, TypeError) as error:
            if options.what is not None:
                raise
            command.say(f"{name}: left out ({error})")
        else:
            command.say(f"{name}: {file}")
    return 0


def _names(what: str | None, source: Path, net: mlp.MLP) -> list[str]:
    """The figures to draw, each once: those asked for, or all that there are of such a run or model."""
    if what is not None:
        names = [check_name("--what", name.strip(), _NEEDS) for name in what.split(",")]
        if not source.is_dir() and "curves" in names:
            raise ValueError(f"--what: received 'curves', but {source} is a model; only a run's directory has a {METRICS}")
        return list(dict.fromkeys(names))
    known = net.preparation
    images = known is None or known.image_shape is not None
    classes = net.sizes[-1] == 10 if known is None else known.classes is not None  # ten: it may tell digits apart
    possible = {
        "features": images,
        "curves": (source / METRICS).is_file(),
        "confusion": classes,
        "mistakes": classes and images,
        "activations": images or classes,
        "weights": True,
    }
    return [name for name in _NEEDS if possible[name]]


def _read_data(source: Path, recorded: dict[str, Any], net: mlp.MLP, given: str | None) -> Parts:
    """The data of a run with the recorded options (a model has none, and is taken for one on MNIST), or what is `given`; a
    ValueError if the network learned from other data."""
    options = argparse.Namespace(**{name: recorded.get(name, default) for name, default in OPTIONS.items()})
    options.data = given if given is not None else options.data
    if options.data == "-":
        raise ValueError(f"{source}: is a run on standard input, whose data is gone: give --data")
    known = net.preparation
    if not recorded and known is not None and (known.image_shape is None or known.scaling != "none"):
        raise ValueError(f"{source}: doesn't know which examples were its test set: give the run's directory")
    parts = load_parts(options)
    if known is not None and (known != parts.preparation if recorded else known.classes != parts.classes):
        raise ValueError(f"{source}: learned from other data than that of {options.data or 'MNIST'}: give --data")
    if not len(parts.test):
        raise ValueError(f"{source}: no examples were held out for the test")
    return parts


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(
        prog="python -m mlp.plots",
        description="Draw the figures of a saved run, or of a model, and say where each was written.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "source", type=Path, metavar="RUN_OR_MODEL", help="a run's directory (model.npz, metrics.csv), or a model file"
    )
    parser.add_argument("--what", metavar="NAMES", help="which figures, such as features,curves (all there are)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write them (the run's directory, or the model file's)"
    )
    parser.add_argument("--data", metavar="DIR", help="the data (what the run used; of a model, MNIST)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
