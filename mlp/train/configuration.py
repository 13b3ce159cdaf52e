"""A run's configuration, config.json: everything that decides how the run goes, and how --resume takes it up again.

command       the command that repeats the run to the bit, on the same machine
options       the options that are kept, by name
data_sha256   of X and y of the training, validation and test set
fingerprint   of options and data, so that neither changes unnoticed; each state of the run has it too
versions      of what the run was made with
lengthened_to how many epochs there are to be instead of those in the options, if --resume has raised them
"""

import argparse
import hashlib
import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy

import mlp
from mlp.checkpoint import load_state, read_configuration, write_configuration
from mlp.checks import check_integer, check_name, shown
from mlp.train.options import OPTIONS, Kept, check_together

#: Beside the options, which stay as the run was started with: its states have their fingerprint.
_LENGTHENED = "lengthened_to"


def configure(options: argparse.Namespace, data: Sequence[mlp.Examples]) -> dict[str, Any]:
    """The configuration of a new run on the training, validation and test set."""
    kept = [option for option in OPTIONS if option.kept is not Kept.NOT]
    words = [word for option in kept for word in option.words(getattr(options, option.name), options.optimizer)]
    configuration = {
        "command": shlex.join(["python", "-m", "mlp.train", *words]),
        "options": {option.name: getattr(options, option.name) for option in kept},
        "data_sha256": _digests(data),
    }
    return configuration | {"fingerprint": fingerprint_of(configuration), "versions": _versions()}


def _digests(data: Sequence[mlp.Examples]) -> list[str]:
    arrays = [array for examples in data for array in (examples.X, examples.y)]
    return [hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() for array in arrays]


def fingerprint_of(configuration: Mapping[str, Any]) -> str:
    """The SHA-256 of the options, as they were recorded, and of the data."""
    anew = {option.name for option in OPTIONS if option.kept is Kept.ANEW}
    deciding = {name: value for name, value in configuration["options"].items() if name not in anew}
    text = json.dumps([deciding, configuration["data_sha256"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _versions() -> dict[str, Any]:
    return {
        "mlp": mlp.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")},
    }


def read_options(given: Mapping[str, Any]) -> tuple[argparse.Namespace, list[str]]:
    """The options of the run that `given["resume"]` names, and those that its configuration lacks, as words.

    What was given besides counts where a run allows it. An option that the configuration lacks, because the program that
    wrote it had no such option, has its default. A ValueError or OSError begins with the name of the option to blame.
    """
    for option in OPTIONS:
        if option.name in given and (option.kept is Kept.DECIDES or option.name == "out"):
            raise ValueError(f"{option.name}: --resume goes on with the run's own options")
    try:
        recorded = _read(given["resume"])
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"resume: {error}") from error
    minimiser = recorded.get("optimizer", "sgd")
    options, lacking = {}, []
    for option in OPTIONS:
        value = recorded.get(option.name, option.default_for(minimiser))
        counts = option.kept is not Kept.NOT and option.group != "data"  # a run without options of data is one on MNIST
        if counts and option.name not in recorded and option.serves(minimiser):
            lacking.append(" ".join(option.words(value, minimiser)) or f"{option.flag} {option.absent}")
        options[option.name] = given.get(option.name, value) if option.kept is not Kept.DECIDES else value
        if option.kept is Kept.LONGER and options[option.name] < value:
            raise ValueError(f"{option.name}: received {options[option.name]}, but the run is to have {value} already")
    return argparse.Namespace(**options), lacking


def _read(directory: Path) -> dict[str, Any]:
    """The options in a run's configuration, each checked, and all of them against their fingerprint."""
    configuration = read_configuration(directory)
    recorded: dict[str, Any] = configuration["options"]
    digests = configuration.get("data_sha256")
    path = directory / "config.json"
    known = {option.name: option for option in OPTIONS if option.kept is not Kept.NOT}
    try:
        for name in ("optimizer", *recorded):
            check_name("options", name, known)
        minimiser = known["optimizer"].check(recorded.get("optimizer", "sgd"), "")
        for name, value in recorded.items():
            known[name].check(value, minimiser)
        check_together({name: recorded.get(name, option.default_for(minimiser)) for name, option in known.items()})
        if not isinstance(digests, list) or not digests or not all(isinstance(digest, str) for digest in digests):
            raise ValueError(f"data_sha256: received {shown(digests)}, but it must be a list of SHA-256 sums")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    if configuration.get("fingerprint", fingerprint_of(configuration)) != fingerprint_of(configuration):
        raise ValueError(f"{path}: its options are no longer those that the run was started with")
    if _LENGTHENED in configuration:
        try:
            return recorded | {"epochs": check_integer(_LENGTHENED, configuration[_LENGTHENED], at_least=0)}
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error
    return recorded


def lengthen(directory: Path, epochs: int) -> int:
    """Let a run have so many epochs, in its configuration too; returns how many it was to have."""
    configuration = read_configuration(directory)
    before: int = configuration.get(_LENGTHENED, configuration["options"].get("epochs", epochs))
    if epochs != before:
        write_configuration(directory, configuration | {_LENGTHENED: epochs})
    return before


def check_run(directory: Path, data: Sequence[mlp.Examples], source: str) -> str:
    """The fingerprint of a run to go on with; a ValueError if its data were others, or its state is another run's.

    Runs of before the fingerprint are taken as they are.
    """
    configuration = read_configuration(directory)
    recorded = configuration["data_sha256"]
    if recorded != _digests(data)[: len(recorded)]:
        raise ValueError(f"{directory}: was trained on other data than that of {source}")
    fingerprint = fingerprint_of(configuration)
    state = directory / "state.npz"
    if state.exists() and load_state(state).facts.get("run", fingerprint) != fingerprint:
        raise ValueError(f"{state}: is the state of another run, or of this one with other options or data")
    return fingerprint
