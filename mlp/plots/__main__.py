"""`python -m mlp.plots RUN_OR_MODEL`: draws the figures of a saved run or model."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlp
from mlp import cli as command
from mlp.checks import check_name
from mlp.plots.runs import METRICS

EPILOG = """\
figures:
  features      what each unit of the first layer looks for in the image
  curves        cost and accuracy by epoch (of a run)
  confusion     which digits are taken for which (on the test set)
  mistakes      the most confident wrong answers (on the test set)
  activations   the first layer's outputs for test images, by class; of a convolution, its maps
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
    run = source if source.is_dir() else None
    net = mlp.load(source if run is None else run / "model.npz")
    recorded = run and _data_of(run)
    own = recorded is not None and not Path(recorded).is_dir() and options.data is None
    names = _names(options.what, source, net, images=not own)
    given: dict[str, tuple[Any, ...]] = {"model": (net,), "metrics": (source,)}
    if any(_NEEDS[name] == "data" for name in names):
        if own:
            raise ValueError(f"--what: {source} is a run on {recorded}, but only figures of directories of images are drawn")
        *_, test = mlp.load_mnist(options.data or recorded, validation=0)
        given["data"] = (net, test.X, test.y)
    out: Path = options.out or run or source.parent
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = out / f"{name}.png"
        looks = {"sort_by_norm": True} if name == "features" else {}  # as mlp.train draws it
        try:
            getattr(mlp.plots, name)(*given[_NEEDS[name]], file=file, **looks)
        except (ValueError, TypeError) as error:
            if options.what is not None:
                raise
            command.say(f"{name}: left out ({error})")
        else:
            command.say(f"{name}: {file}")
    return 0


def _names(what: str | None, source: Path, net: mlp.MLP, images: bool) -> list[str]:
    """The figures to draw, each once: those asked for, or all that there are of such a run or model, on images or not."""
    if what is None:
        digits = net.sizes[-1] == 10  # it may tell them apart
        tabular = net.preparation is not None and net.preparation.image_shape is None
        possible = {"model": True, "metrics": (source / METRICS).is_file(), "data": images}
        return [
            name
            for name in _NEEDS
            if possible[_NEEDS[name]]
            and (digits or name not in ("confusion", "mistakes"))
            and not (tabular and name == "features")
        ]
    names = [check_name("--what", name.strip(), _NEEDS) for name in what.split(",")]
    if not source.is_dir() and "curves" in names:
        raise ValueError(f"--what: received 'curves', but {source} is a model; only a run's directory has a {METRICS}")
    return list(dict.fromkeys(names))


def _data_of(run: Path) -> str | None:
    """The data that a run was given, if there was any and it still exists."""
    try:
        configuration = json.loads((run / "config.json").read_text(encoding="utf-8"))
        directory = configuration.get("options", {}).get("data")
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{run / 'config.json'}: not a run's configuration ({error})") from error
    return directory if isinstance(directory, str) and (directory == "-" or Path(directory).exists()) else None


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
    parser.add_argument(
        "--data", metavar="DIR", help="where the MNIST files are (what the run used; $MLP_DATA, data/, or the user's cache)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
