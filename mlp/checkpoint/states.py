"""State files, from which a stopped run goes on: `save_state` and `load_state`.

A state file is an archive (see `files`) with the header

    {"format": "mlp-state", "version": 1, "minimiser": "sgd", "facts": {…, "history": [{…}, …]}}

and the vectors of the state by name: theta, and others of its length, whatever the update rule keeps. What the facts mean is
for the minimiser to check; here they must be what any state has. The same check comes before a file is written and after one is
read, so that whatever can be saved can be loaded.
"""

import json
import os
from numbers import Real

import numpy as np

from mlp.checkpoint.files import VERSION, encode_header, is_vector_name, read_archive, write_archive
from mlp.checks import DTYPES, check_path, shown
from mlp.optimizers import State

FORMAT = "mlp-state"

#: No number of a state has more digits: 128 bits, of a random generator, make 39.
_DIGITS = 100


def save_state(path: str | os.PathLike[str], state: State) -> None:
    """Write where a run stands to a file, whole or not at all; an existing file is replaced once the new one is complete."""
    check_path("path", path)
    if not isinstance(state, State):
        raise TypeError(f"state: received {shown(state)}, but it must be a State")
    header = {"format": FORMAT, "version": VERSION, "minimiser": state.minimiser, "facts": state.facts}
    encoded = encode_header(header, "state.facts", state.facts)
    try:
        read_back = json.loads(encoded.tobytes(), parse_int=_short_integer)
        _check(State(read_back["minimiser"], state.arrays, read_back["facts"]))
    except ValueError as error:
        raise ValueError(f"state: received {error}") from error
    write_archive(path, encoded, state.arrays)


def load_state(path: str | os.PathLike[str]) -> State:
    """The state in a file that `save_state` wrote; raises as `load` does."""
    path = check_path("path", path)
    header, arrays = read_archive(path, FORMAT, _short_integer)
    state = State(header.get("minimiser", ""), arrays, header.get("facts", {}))
    try:
        _check(state)
    except ValueError as error:
        raise ValueError(f"{path}: not a state: it has {error}") from error
    return state


def _short_integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"an integer of {len(text):,} digits, but no state has one of more than {_DIGITS}")
    return int(text)


def _check(state: State) -> None:
    """Raise ValueError, with what is wrong, unless this is such a state as any minimiser leaves."""
    minimiser, facts, arrays = state.minimiser, state.facts, state.arrays
    if not isinstance(minimiser, str) or not minimiser:
        raise ValueError(f"{shown(minimiser)} as the minimiser, but that must be a name")
    if not isinstance(facts, dict) or not isinstance(facts.get("history"), list):
        raise ValueError("no facts with a history, a list of records")
    history = facts["history"]
    for number, record in enumerate(history, 1):
        if not isinstance(record, dict) or not record or record.keys() != history[0].keys():
            raise ValueError(f"{shown(record)} as record {number} of its history, but all must have the same names")
        for name, value in record.items():
            if isinstance(value, bool) or not isinstance(value, Real | None):
                raise ValueError(
                    f"{shown(value)} as {name} in record {number} of its history, but that must be a number or None"
                )
    if not isinstance(arrays, dict) or "theta" not in arrays:
        raise ValueError("no theta")
    for name, vector in arrays.items():
        if not is_vector_name(name):
            raise ValueError(f"a vector called {shown(name)}, but names must be like velocity or m2, and not header")
        if not isinstance(vector, np.ndarray) or vector.dtype.name not in DTYPES:
            raise ValueError(f"{shown(vector)} as {name}, but it must be a vector of float32 or float64")
        if vector.ndim != 1 or vector.shape != arrays["theta"].shape:
            raise ValueError(f"a {name} of shape {vector.shape}, but all its vectors must be as long as theta")
