"""What many tests share."""

import gzip
import re
from contextlib import contextmanager

import numpy as np
import pytest

_IDX_CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


@pytest.fixture(scope="session")
def write_idx():
    """A function (path, array) that writes an IDX file, compressed where the path ends in .gz, and returns the path."""

    def write(path, array):
        array = np.asarray(array)
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = array.astype(array.dtype.newbyteorder(">")).tobytes()
        whole = bytes([0, 0, _IDX_CODES[array.dtype.name], array.ndim]) + sizes + content
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(whole) if path.suffix == ".gz" else whole)
        return path

    return write


@pytest.fixture(scope="session")
def refused():
    """A context (kind, *parts): an error of that kind must be raised within, and its message must have all these parts."""

    @contextmanager
    def context(kind, *parts):
        with pytest.raises(kind, match=re.escape(str(parts[0]))) as caught:
            yield
        for part in parts:
            assert str(part) in str(caught.value)

    return context
