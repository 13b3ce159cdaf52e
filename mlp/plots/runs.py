"""How training went, from wherever it is kept: a history, a minimiser's result, or a run's metrics.csv."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import shown

#: What a run's directory calls its metrics.
METRICS = "metrics.csv"

_ALLOWED = (
    "a history (a list of records such as {'epoch': 1, 'cost': 0.3}), a minimiser's result, a metrics.csv or the run's "
    "directory that holds one"
)


def columns_of(run: Any, argument: str) -> dict[str, Array]:
    """The columns of a run by name, each (records,) of floats; NaN where nothing was recorded."""
    if isinstance(run, str | os.PathLike):
        records, source = _read(Path(run)), str(run)
    else:
        records, source = getattr(run, "history", run), argument
    if isinstance(run, Mapping) and "x" in run and "history" not in run:
        raise TypeError(f"{argument}: received a result without a history, as SciPy's own are, but it must be {_ALLOWED}")
    if not isinstance(records, Sequence) or not all(isinstance(record, Mapping) for record in records):
        raise TypeError(f"{argument}: received {shown(run)}, but it must be {_ALLOWED}")
    if not records:
        raise ValueError(f"{source}: holds no records: not one epoch or iteration was finished")
    names = {name: None for record in records for name in record}  # in order, each once
    if "cost" not in names:
        raise ValueError(f"{source}: has no cost, only {', '.join(map(str, names)) or 'empty records'}")
    return {name: np.array([_number(record.get(name), name, source) for record in records]) for name in names}


def _number(value: Any, name: str, source: str) -> float:
    if value is None or value == "":
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{source}: the column {name} holds {shown(value)}, but it must hold numbers") from None


def _read(path: Path) -> list[dict[str, Any]]:
    """The records in a metrics.csv, given by its own path or its directory's."""
    if path.is_dir():
        path = path / METRICS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file, or it is no file of metrics")
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            table = list(csv.reader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a table of metrics ({error})") from error
    if not table:
        raise ValueError(f"{path}: is empty")
    # the last line may have been cut short while it was written
    return [dict(zip(table[0], row, strict=False)) for row in table[1:] if row]
