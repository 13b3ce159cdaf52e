"""`mlp runs`: a table of runs. What can't be read of one is a question mark, and its reason stands below the table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlp import cli
from mlp.checkpoint import load, load_notes, read_configuration
from mlp.plots.runs import METRICS, columns_of

PROG = "mlp runs"

_HEADINGS = ("when", "network", "minimiser", "epochs", "best validation", "test", "directory")

#: What stands where there is nothing (a run that was stopped has no test), and where it can't be read.
_NOTHING, _DAMAGED = "–", "?"

#: How many characters a network's description may take.
_WIDE = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 2 bad input."""
    cli.forgive_encoding()
    parser = cli.Parser(PROG, description="Tabulate runs: what was trained and how well it did, the oldest first.")
    parser.add_argument(
        "directories", metavar="DIR", nargs="*", type=Path, default=[Path("runs")], help="of runs, or a run's own (runs)"
    )
    options = parser.parse_args(arguments)
    return cli.run(PROG, lambda: _tabulate(options.directories))


def _tabulate(directories: Sequence[Path]) -> int:
    rows = [_row_of(run) for run in find_runs(directories)]
    cells = [_HEADINGS, *(row.cells for row in sorted(rows, key=lambda row: row.cells[0]))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        cli.say("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        for fault in dict.fromkeys(row.faults):
            cli.complain(f"{PROG}: {fault}")
    return 0


def find_runs(directories: Sequence[Path]) -> list[Path]:
    """The runs that these are, or hold: directories with a config.json, and the folds of cross-validations."""
    found: list[Path] = []
    for directory in directories:
        if not directory.is_dir():
            raise FileNotFoundError(f"{directory}: there is no such directory of runs")
        inside = sorted(file.parent for pattern in ("*", "*/fold-*") for file in directory.glob(f"{pattern}/config.json"))
        found += [directory] if (directory / "config.json").exists() else inside
    if not found:
        raise FileNotFoundError(f"{', '.join(map(str, directories))}: no runs there, directories with a config.json")
    return list(dict.fromkeys(found))


@dataclass
class _Row:
    """A run's line of the table, and why some of it is missing."""

    cells: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)

    def read(self, read: Callable[[], str]) -> str:
        """What `read` finds out; a question mark, and the reason noted, where that can't be read."""
        try:
            return read()
        except FileNotFoundError:
            return _NOTHING
        except (ValueError, TypeError, OSError, KeyError, MemoryError) as error:
            self.faults.append(str(error))
            return _DAMAGED


def _row_of(run: Path) -> _Row:
    row = _Row()
    row.cells = (
        row.read(lambda: f"{datetime.fromtimestamp((run / 'config.json').stat().st_mtime):%Y-%m-%d %H:%M}"),
        row.read(lambda: _network(run)),
        row.read(lambda: _option(run, "optimizer")),
        row.read(lambda: _epochs(run)),
        row.read(lambda: _best_validation(run)),
        row.read(lambda: _test(run)),
        str(run),
    )
    return row


def _model_of(run: Path) -> Path:
    path = run / "model.npz"
    return path if path.exists() else run / "best.npz"


def _network(run: Path) -> str:
    net = load(_model_of(run))
    image = "×".join(map(str, net.in_shape)) if len(net.in_shape) > 1 else str(net.sizes[0])
    text = "-".join([image, *map(str, net.sizes[1:])])
    kinds = list(dict.fromkeys(layer.activation.name for layer in net.layers[:-1] if layer.size))
    text += f" {', '.join(kinds)}" if kinds else ""
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"


def _option(run: Path, name: str) -> str:
    value: Any = read_configuration(run)["options"].get(name)
    return _NOTHING if value is None else str(value)


def _epochs(run: Path) -> str:
    done = len(next(iter(columns_of(run, METRICS).values())))
    asked = str(read_configuration(run).get("lengthened_to", _option(run, "epochs")))
    return f"{done}" if asked in (_NOTHING, str(done)) else f"{done}/{asked}"


def _best_validation(run: Path) -> str:
    columns = columns_of(run, METRICS)
    for name, best, shown in (("validation_accuracy", np.nanmax, _percent), ("validation_cost", np.nanmin, _number)):
        if name in columns and np.isfinite(columns[name]).any():
            return shown(float(best(columns[name])))
    return _NOTHING


def _test(run: Path) -> str:
    """The test's result; a run that was stopped, or has no model yet, was not tested."""
    notes = load_notes(run / "model.npz")
    if not isinstance(notes, dict):
        return _NOTHING
    for name, shown in (("test_accuracy", _percent), ("test_rmse", lambda error: f"±{_number(error)}"), ("test_cost", _number)):
        if isinstance(notes.get(name), int | float):
            return shown(notes[name])
    return _NOTHING


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _number(number: float) -> str:
    return f"{number:.4g}"
