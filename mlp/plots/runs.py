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

#: A run's columns by name, each (records,) of floats; NaN where nothing was recorded.
Columns = dict[str, Array]

_ALLOWED = (
    "a history (a list of records such as {'epoch': 1, 'cost': 0.3}), a minimiser's result, a metrics.csv or the run's "
    "directory that holds one"
)


def runs_of(run: Any) -> dict[str, Columns]:
    """The columns of one run, under "", or of several by label: those of a mapping, or in a list the directories' names."""
    if isinstance(run, Mapping) and not _is_run(run):
        if not run:
            raise ValueError("run: received an empty mapping, but it must hold one run or more")
        return {str(label): columns_of(one, f"run[{label!r}]") for label, one in run.items()}
    if not isinstance(run, str) and isinstance(run, Sequence) and any(map(_is_run, run)):
        names = [_name(one, number) for number, one in enumerate(run, 1)]
        labels = [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)]
        return {label: columns_of(one, f"run[{place}]") for place, (label, one) in enumerate(zip(labels, run, strict=True))}
    return {"": columns_of(run, "run")}


def _is_run(one: Any) -> bool:
    """Whether this is a run by itself, and not a record of one or a mapping of several."""
    result = hasattr(one, "history") or hasattr(one, "x")
    return result or isinstance(one, str | os.PathLike) or (isinstance(one, Sequence) and not isinstance(one, Mapping))


def _name(run: Any, number: int) -> str:
    if not isinstance(run, str | os.PathLike):
        return f"run {number}"
    path = Path(run).resolve()
    return path.parent.name if path.name == METRICS else path.name


def columns_of(run: Any, argument: str) -> Columns:
    """The columns of a run, which have a cost at least."""
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
    except (TypeError, ValueError, OverflowError):
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
