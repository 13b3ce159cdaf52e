"""`State`, where a run stands, and the checks that another run can go on from it.

What a state holds follows from dataclasses: `Position` (and lbfgs.py's and newton.py's own) are where a minimiser stands in
its loop, `Monitored` is what the monitor knows, and `read_facts` checks and takes back whatever fields they have.
"""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from mlp.blas import Array
from mlp.checks import shown

Facts = TypeVar("Facts")


@dataclass
class State:
    """Where a run stands: enough to go on from, with the same minimiser, settings and data (`mlp.save_state` keeps it).

    sgd and adam go on to the same bits as if nothing had happened, from the middle of an epoch too; so does newton, from the
    end of an iteration. L-BFGS goes on from its last iterate; its memory of past steps is SciPy's own and cannot be kept, so
    it builds a new one.

    Attributes:
        minimiser: "sgd", "adam", "lbfgs" or "newton".
        arrays: "theta", the update rule's vectors ("velocity"; "m", "v"; newton's "direction"), "safe", and "best" and
            "average" where patience and average keep them.
        facts: everything else, as JSON can hold it: position, random state, history, settings, fingerprint of the data.
    """

    minimiser: str
    arrays: dict[str, Array]
    facts: dict[str, Any]


@dataclass
class Position:
    """Where sgd or adam stands: epochs done; and in the current one its generator, batches done, their cost and examples."""

    #: The generator's state at the start of the current epoch, in numbers that JSON can hold.
    rng_state: dict[str, Any]
    epoch: int = 0
    done: int = 0
    total: float = 0.0
    seen: int = 0
    #: How many steps have been taken in all, and over how many of them the parameters have been averaged.
    steps: int = 0
    averaged: int = 0
    #: After how many epochs the last parameters were met that are known to have a finite cost.
    proven: int = 0


@dataclass
class Monitored:
    """What all minimisers' states say of the run so far."""

    history: list[dict[str, Any]]
    #: How many records running the cost has changed by less than tol.
    n_no_change: int
    #: The best validation score and the number of its record.
    best: list[Any] | None
    seconds: float


#: What earlier versions called some of the facts, and those that the earliest did not have.
_RENAMED = {"order": "rng_state", "calm": "n_no_change"}
_ADDED = {"averaged": 0, "settings": {}, "fingerprint": ""}


def check_state(
    state: Any, minimiser: str, vectors: Mapping[str, Array], settings: Mapping[str, Any], fingerprint: str
) -> dict[str, Any]:
    """The facts of a state that this run, of those vectors, settings and data, can go on from."""
    if not isinstance(state, State):
        raise TypeError(f"state: received {shown(state)}, but it must be None or a State")
    if state.minimiser != minimiser:
        raise ValueError(f"state: received one of {state.minimiser}, but this is {minimiser}")
    facts = {**_ADDED, **{_RENAMED.get(name, name): value for name, value in state.facts.items()}}
    if not isinstance(facts["settings"], dict):
        raise _impossible("settings", facts["settings"])
    for name, value in facts["settings"].items():
        if name in settings and settings[name] != value:
            raise ValueError(f"state: received one of a run with {name} = {value!r:.60}, but this run has {settings[name]!r}")
    found = {name: f"{array.dtype} {array.shape}" for name, array in state.arrays.items()}
    wanted = {name: f"{vector.dtype} {vector.shape}" for name, vector in vectors.items()}
    if "best" in found:
        wanted["best"] = wanted["theta"]
    if found != wanted:
        raise ValueError(f"state: received the vectors {found}, but this run has {wanted}: the settings or the network differ")
    for name in ("theta", "safe", "average", "best"):  # whatever a run may end with
        if name in found and not np.isfinite(state.arrays[name]).all():
            raise ValueError(f"state: received NaN or infinity in {name}, but every parameter must be finite")
    if fingerprint and facts["fingerprint"] and facts["fingerprint"] != fingerprint:
        raise ValueError("state: received one of a run over other data, another network or another cost")
    return facts


def read_facts(kind: type[Facts], facts: Mapping[str, Any]) -> Facts:
    """The facts as a dataclass of that kind, each of its field's type."""
    values = {}
    for known in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = facts.get(known.name, "nothing")
        if not _CHECKS[known.name if known.name in _CHECKS else known.type](value):
            raise _impossible(known.name, value)
        values[known.name] = value
    return kind(**values)


def _impossible(name: str, value: Any) -> ValueError:
    return ValueError(f"state: received {shown(value)} as {name}, but no run leaves such a state")


def check_position(position: Position, history: list[Any], examples: int, batch_size: int | None) -> None:
    """Raise ValueError where the numbers of a position contradict each other, or the size of batches and the data."""
    batch = batch_size or examples
    expected = {
        "epoch": len(history),
        "done": min(position.done, math.ceil(examples / batch)),
        "seen": min(position.done * batch, examples),
        "steps": position.epoch * math.ceil(examples / batch) + position.done,
        "proven": min(position.proven, position.epoch),
    }
    for name, value in expected.items():
        if getattr(position, name) != value:
            raise ValueError(
                f"state: received {getattr(position, name):,} as {name}, but {value:,} fits the rest of it and this run, of "
                f"{examples:,} examples in batches of {batch:,}"
            )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 1 << 62)


def _is_record(value: Any) -> bool:
    """Whether it has what a run that goes on reads of it."""
    if not isinstance(value, dict) or not _is_number(value.get("cost")):
        return False
    accuracy = value.get("validation_accuracy")
    return _is_number(value.get("validation_cost", 0)) and (accuracy is None or _is_number(accuracy))


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_record, value))


def _is_best(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and _is_number(value[0]) and _is_count(value[1]))


#: Whether a value can be a fact, by its name or else by its field's type.
_CHECKS: dict[Any, Any] = {
    int: _is_count,
    float: lambda value: _is_number(value) and math.isfinite(value),
    dict[str, Any]: lambda value: isinstance(value, dict),
    "seconds": lambda value: _is_number(value) and 0 <= value < math.inf,
    "damping": lambda value: _is_number(value) and 0 < value < math.inf,
    "history": _is_history,
    "best": _is_best,
}


def plain_state(rng: np.random.Generator) -> dict[str, Any]:
    """The generator's state, in numbers that JSON can hold."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return value.tolist() if isinstance(value, np.ndarray) else value

    state: dict[str, Any] = plain(rng.bit_generator.state)
    return state


def restore_generator(rng: np.random.Generator, rng_state: dict[str, Any]) -> None:
    """Put the generator where that state was; a state that it cannot have been in leaves it as it is."""
    before = rng.bit_generator.state
    try:
        # numpy takes any place in a generator's buffers, and would read beyond them
        places = (
            (rng_state["state"].get("pos", 0), 624),
            (rng_state.get("buffer_pos", 0), 4),
            (rng_state.get("has_uint32", 0), 1),
        )
        if not all(0 <= place <= end for place, end in places):
            raise ValueError("a place is beyond its buffer")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # early versions of numpy only warn of −1
            rng.bit_generator.state = rng_state
        if plain_state(rng) != rng_state:
            raise ValueError("it has more or less than a state")
    except (AttributeError, ValueError, TypeError, KeyError, IndexError, OverflowError, Warning) as error:
        rng.bit_generator.state = before
        kind = type(rng.bit_generator).__name__
        raise ValueError(f"state: received {shown(rng_state)} as rng_state, but it must be of this {kind}") from error
