"""The data of a run: `load_parts` reads it, splits it and scales it, as the run's options say."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.data.examples import Examples, prepare
from mlp.data.mnist import load_mnist
from mlp.data.preparation import Preparation
from mlp.data.roles import read_description
from mlp.data.sources import read_data

#: The options that decide what the data is, and what they are where they are left out.
OPTIONS: dict[str, Any] = {
    "data": None, "target": None, "categorical": None, "ignore": None, "columns": None, "task": None, "scale": None,
    "validation": None, "test": None, "folds": None, "fold": None, "dtype": "float32", "seed": 0, "resume": None,
}  # fmt: skip

#: At most so many examples are held out where nothing else is said, and at most a fifth.
_MOST_HELD_OUT = 10_000


@dataclass(frozen=True)
class Parts:
    """The training, validation and test set of a run, all scaled by the training set; the last two may be empty."""

    training: Examples
    validation: Examples
    test: Examples

    @property
    def all(self) -> tuple[Examples, Examples, Examples]:
        """The three of them."""
        return self.training, self.validation, self.test

    @property
    def preparation(self) -> Preparation:
        """What was done to the raw data."""
        assert self.training.preparation is not None  # every reader gives one
        return self.training.preparation

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes' names; None in regression."""
        return self.training.classes

    @property
    def outputs(self) -> int:
        """How many outputs a network for this data has."""
        return 1 if self.classes is None else len(self.classes)

    @property
    def noun(self) -> str:
        """What the examples are called."""
        return "images" if self.training.image_shape else "examples"

    def weights(self, kind: str | None) -> dict[str, Any]:
        """The argument `weights` of the training objective, for --class-weight: wᵢ = n / (classes · examples of i's class)."""
        if kind is None:
            return {}
        if self.classes is None:
            raise ValueError("class_weight: received 'balanced', but the target is a number and has no classes")
        counts = np.bincount(self.training.y, minlength=len(self.classes))
        weights: Array = len(self.training) / (np.count_nonzero(counts) * counts[self.training.y])
        return {"weights": weights}


def load_parts(options: argparse.Namespace) -> Parts:
    """Read, split and scale the data, as the `OPTIONS` say; with `resume`, as the run in that directory did."""
    data, test = _read(options)
    published = data.name == "MNIST"
    if options.folds is not None:
        if published or test is not None:
            test = None  # the folds are of the training examples
        if options.folds > len(data):
            raise ValueError(f"folds: received {options.folds}, but there are {len(data):,} examples")
        data, test = data.fold(options.fold or 1, options.folds, options.seed)
    elif test is None:
        data, test = _hold_out(data, options.test, options.seed, "test")
    elif options.test is not None:
        raise ValueError(f"test: {data.name} has a test set of its own, of {len(test):,} examples")
    count = min(_MOST_HELD_OUT, round(len(data) / 5)) if options.validation is None else options.validation
    if published and options.folds is None:
        taken = count if isinstance(count, int) else round(count * len(data))
        if not taken < len(data):
            raise ValueError(f"validation: received {count}, but there are {len(data):,} training examples")
        training, validation = data[: len(data) - taken], data[len(data) - taken :]  # as everybody does
    else:
        training, validation = _hold_out(data, count, options.seed, "validation")
    columns = _columns_file(options)
    scaling = options.scale or (read_description(columns).scaling if columns else None)
    return Parts(*prepare(training, validation, test, scaling=scaling, dtype=options.dtype))


def _read(options: argparse.Namespace) -> tuple[Examples, Examples | None]:
    """All examples, and those of the test set, where the data has one of its own."""
    if options.data is None:
        training, _, test = load_mnist(validation=0)
        return training, test
    place = Path(options.data)
    inner = place / "mnist"
    return read_data(
        inner if inner.is_dir() and not any(place.glob("*-ubyte*")) else place,
        options.target,
        categorical=options.categorical or (),
        ignore=options.ignore or (),
        task=options.task,
        columns=_columns_file(options),
    )


def _columns_file(options: argparse.Namespace) -> str | Path | None:
    """Where the columns are described: a run that goes on has the file that it was given, or what became of it."""
    if options.columns and options.resume and (options.resume / "columns.json").exists():
        described: Path = options.resume / "columns.json"
        return described
    given: str | None = options.columns
    return given


def _hold_out(data: Examples, share: float | None, seed: int, name: str) -> tuple[Examples, Examples]:
    """The rest, and a share of the examples, drawn by the seed."""
    if share is None:
        share = min(_MOST_HELD_OUT, round(len(data) / 5))
    if share == 0:
        return data, data[:0]
    try:
        return data.split(share, seed)
    except ValueError as error:
        raise ValueError(f"{name}: {str(error).removeprefix('fraction: ')}") from None
