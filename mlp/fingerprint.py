"""`digest`: what tells an objective from another, so that a run goes on only with the one that it was stopped with."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from mlp.checks import is_sparse


def digest(settings: Any, arrays: Iterable[Any]) -> str:
    """A digest of settings, by what they print, and of a thousand of the examples that the arrays hold."""
    said = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(settings))  # a function's address is another in each process
    found = hashlib.sha256(said.encode())
    for array in arrays:
        if array is not None:
            rows = array[:: max(1, array.shape[0] // 1000)]
            for part in (rows.indptr, rows.indices, rows.data) if is_sparse(rows) else (rows,):
                found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()
