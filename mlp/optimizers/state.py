"""`State`, where a run stands, and the checks that another run can go on from it.

What a state holds follows from dataclasses: `Position` (and lbfgs.py's own) are where a minimiser stands in its loop, and
`read_facts` checks and takes back whatever fields they have.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from mlp.blas import Array
from mlp.checks import shown

Facts = TypeVar("Facts")


@dataclass
class State:
    """Where a run stands: enough to go on from, with the same minimiser, settings and data (`mlp.save_state` keeps it).

    sgd and adam go on to the same bits as if nothing had happened, from the middle of an epoch too. L-BFGS goes on from
    its last iterate; its memory of past steps is SciPy's own and cannot be kept, so it builds a new one.

    Attributes:
        minimiser: "sgd", "adam", "lbfgs" or "newton".
        arrays: "theta", the update rule's vectors ("velocity"; "m", "v"), "safe", and "best" and "average" where patience
            and average keep them.
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
class Progress:
    """What all minimisers' states say of the run so far."""

    history: list[dict[str, Any]] = field(default_factory=list)
    #: How many records running the cost has changed by less than tol.
    n_no_change: int = 0
    #: The best validation score and the number of its record.
    best: list[Any] | None = None
    seconds: float = 0.0


#: What earlier versions called some of the facts.
_RENAMED = {"order": "rng_state", "calm": "n_no_change"}


def check_state(
    state: Any, minimiser: str, vectors: Mapping[str, Array], settings: Mapping[str, Any], fingerprint: str
) -> dict[str, Any]:
    """The facts of a state that this run, of those vectors, settings and data, can go on from."""
    if not isinstance(state, State):
        raise TypeError(f"state: received {shown(state)}, but it must be None or a State")
    if state.minimiser != minimiser:
        raise ValueError(f"state: received one of {state.minimiser}, but this is {minimiser}")
    found = {name: f"{array.dtype} {array.shape}" for name, array in state.arrays.items()}
    wanted = {name: f"{vector.dtype} {vector.shape}" for name, vector in vectors.items()}
    if "best" in found:
        wanted["best"] = wanted["theta"]
    if found != wanted:
        raise ValueError(f"state: received the vectors {found}, but this run has {wanted}: the settings or the network differ")
    if not np.isfinite(state.arrays["theta"]).all():
        raise ValueError("state: received parameters that are NaN or infinite, but every one must be finite")
    facts = {_RENAMED.get(name, name): value for name, value in state.facts.items()}
    for name, value in facts.get("settings", settings).items():
        if name in settings and settings[name] != value:
            raise ValueError(f"state: received one of a run with {name} = {value}, but this run has {settings[name]}")
    if fingerprint and facts.get("fingerprint") and facts["fingerprint"] != fingerprint:
        raise ValueError("state: received one of a run over other data, another network or another cost")
    return facts


def read_facts(kind: type[Facts], facts: Mapping[str, Any]) -> Facts:
    """The facts as a dataclass of that kind, each of its field's type; what has a default may be missing."""
    values = {}
    for known in dataclasses.fields(kind):  # type: ignore[arg-type]
        missing = known.default is dataclasses.MISSING and known.default_factory is dataclasses.MISSING
        if known.name not in facts and not missing:
            continue
        value = facts.get(known.name)
        if not _CHECKS[known.name if known.name in _CHECKS else known.type](value):
            raise ValueError(f"state: received {shown(value)} as {known.name}, but no run leaves such a state")
        values[known.name] = value
    return kind(**values)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 1 << 62)


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(record, dict) and _is_number(record.get("cost")) for record in value)


def _is_best(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and _is_number(value[0]) and _is_count(value[1]))


#: Whether a value can be a fact, by its name or else by its field's type.
_CHECKS: dict[Any, Any] = {
    int: _is_count,
    float: lambda value: _is_number(value) and math.isfinite(value),
    dict[str, Any]: lambda value: isinstance(value, dict),
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
    """Put the generator where that state was."""
    try:
        rng.bit_generator.state = rng_state
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        kind = type(rng.bit_generator).__name__
        raise ValueError(f"state: received {shown(rng_state)} as rng_state, but it must be of this {kind}") from error
