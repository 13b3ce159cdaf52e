"""`Run`, a training run's directory, which one process at a time may write. It holds

config.json    everything that decides how the run goes
metrics.csv    a line for each epoch, written as the epoch ends
state.npz      where the run stands
best.npz       the model that did best on the validation set
model.npz      the model at the end
columns.json   of data from a table: what its columns were taken for
"""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import IO, Any, Self

from mlp.checkpoint.files import atomic_write, name_file, open_regular, remove_leftovers, try_lock
from mlp.checkpoint.models import save
from mlp.checkpoint.states import load_state, save_state
from mlp.checks import check_path
from mlp.network import MLP
from mlp.optimizers import State


class Run:
    """A run's directory, locked until `close`. `create`, `create_dated` and `resume` make one."""

    _lock: IO[bytes] | None = None

    def __init__(self, directory: Path):
        self._lock = _lock(directory)
        self.directory = directory
        self._columns: list[str] = []
        remove_leftovers(directory)

    @classmethod
    def create(cls, directory: str | os.PathLike[str], configuration: Mapping[str, Any]) -> Self:
        """A new run, in a directory that is new or empty; its configuration is written at once."""
        directory = new_directory(directory)
        run = cls(directory)
        try:
            _check_empty(directory)  # again, now that no other process can begin a run there
            write_configuration(directory, configuration)
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def create_dated(cls, base: str | os.PathLike[str], configuration: Mapping[str, Any]) -> Self:
        """A new run in a directory of its own in `base`, called by date and time: 2025-01-31-235959, or that with -2, -3, …"""
        return cls.create(new_dated_directory(base), configuration)

    @classmethod
    def resume(cls, directory: str | os.PathLike[str]) -> tuple[Self, dict[str, Any], State | None]:
        """An existing run, its configuration and its state (None: it was stopped before it first saved one).

        Whatever metrics.csv has beyond the state is dropped: it will be written again.
        """
        directory = check_path("directory", directory)
        configuration = read_configuration(directory)
        run = cls(directory)
        try:
            state = load_state(directory / "state.npz") if (directory / "state.npz").exists() else None
            if state is not None and state.facts["history"]:
                with atomic_write(directory / "metrics.csv") as stream:
                    stream.write(run._lines(state.facts["history"]).encode())
            else:
                (directory / "metrics.csv").unlink(missing_ok=True)
        except BaseException:
            run.close()
            raise
        return run, configuration, state

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record to metrics.csv; the first one's names head the columns."""
        path = self.directory / "metrics.csv"
        try:
            with path.open("a", newline="", encoding="utf-8") as stream:
                stream.write(self._lines([record]))
        except OSError as error:
            name_file(error, path)
            raise

    def _lines(self, records: Sequence[Mapping[str, Any]]) -> str:
        """Records as CSV, with the columns' names where none have been written yet."""
        text = io.StringIO(newline="")
        table = csv.writer(text)
        for record in records:
            if not self._columns:
                self._columns = list(record)
                table.writerow(self._columns)
            table.writerow(["" if record[name] is None else record[name] for name in self._columns])
        return text.getvalue()

    def save_state(self, state: State) -> None:
        """Write state.npz, from which the run can go on."""
        save_state(self.directory / "state.npz", state)

    def save_model(self, net: MLP, notes: Any = None, name: str = "model.npz") -> Path:
        """Write model.npz; returns its path."""
        path = self.directory / name
        save(path, net, notes)
        return path

    def close(self) -> None:
        """Let other processes have the directory."""
        if self._lock is not None:  # None if another process has it
            self._lock.close()

    __del__ = close


def read_configuration(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """A run's config.json."""
    directory = check_path("directory", directory)
    path = directory / "config.json"
    try:
        with open_regular(path) as stream:
            configuration: dict[str, Any] = json.load(stream)
        if not isinstance(configuration, dict) or not isinstance(configuration.get("options"), dict):
            raise ValueError("it holds no options")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{directory}: no run to go on with: it has no config.json") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a run's configuration, or damaged: {error}") from error
    return configuration


def write_configuration(directory: Path, configuration: Mapping[str, Any]) -> None:
    """Write a run's config.json, whole or not at all."""
    with atomic_write(directory / "config.json") as stream:
        stream.write(json.dumps(configuration, indent=2, ensure_ascii=False).encode() + b"\n")


def new_directory(directory: str | os.PathLike[str]) -> Path:
    """That directory, made if need be; it must be empty."""
    directory = check_path("directory", directory)
    directory.mkdir(parents=True, exist_ok=True)
    _check_empty(directory)
    return directory


def new_dated_directory(base: str | os.PathLike[str]) -> Path:
    """A new directory in `base`, called by date and time: 2025-01-31-235959, or that with -2, -3, …"""
    base = check_path("base", base)
    base.mkdir(parents=True, exist_ok=True)
    now = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    for number in count(1):
        directory = base / (now if number == 1 else f"{now}-{number}")
        try:
            directory.mkdir()  # of several processes, one succeeds
            return directory
        except FileExistsError:
            continue
    raise AssertionError("unreachable: count has no end")


def _check_empty(directory: Path) -> None:
    if any(directory.glob("[!.]*")):  # what a process that was killed at its very start leaves begins with a dot
        raise FileExistsError(
            f"{directory}: holds files already, but a run's directory must be new or empty (--resume goes on with a run)"
        )


def _lock(directory: Path) -> IO[bytes]:
    """A file in the directory that this process holds the only lock of."""
    path = directory / ".lock"
    stream = path.open("ab")
    try:
        locked = try_lock(stream)
    except OSError as error:
        stream.close()
        name_file(error, path)
        raise
    if not locked:
        stream.close()
        raise BlockingIOError(f"{directory}: another process is writing this run")
    return stream
