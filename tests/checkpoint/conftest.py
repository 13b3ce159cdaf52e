"""What the tests of files share: a path, refusals, and model files made by hand from the description of the format:

a zip of two .npy arrays (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
"""

import json
import re
import struct
import zipfile
from contextlib import contextmanager

import pytest

HEADER = {
    "format": "mlp-model",
    "version": 1,
    "dtype": "float32",
    "layers": [{"fan_in": 2, "units": 3, "activation": "relu"}, {"fan_in": 3, "units": 1, "activation": "identity"}],
    "notes": {"made": "by hand"},
}
THETA = [1, 2, 3, 4, 5, 6, 0.5, -0.5, 0.25, 7, 8, 9, -1]  # W¹ row by row, b¹, W², b²


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


@pytest.fixture(scope="session")
def refused():
    """The error must be of that kind, and its message must have all these parts."""

    @contextmanager
    def expect(kind, *parts):
        with pytest.raises(kind, match=re.escape(str(parts[0]))) as caught:
            yield
        for part in parts:
            assert str(part) in str(caught.value)

    return expect


def npy(descr, shape, content, text=None):
    """The bytes of a .npy file."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}" if text is None else text
    header = header + " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin1") + content


@pytest.fixture(scope="session")
def hand_made():
    """Writes a model file: its header, vectors by name as what `npy` makes arrays of, or whole members as bytes."""

    def write(path, *, header=HEADER, compression=zipfile.ZIP_STORED, members=None, **vectors):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        arrays = {
            "header": ("|u1", (len(text),), text),
            "theta": ("<f4", (len(THETA),), struct.pack(f"<{len(THETA)}f", *THETA)),
            **vectors,
        }
        content = {f"{name}.npy": npy(*array) for name, array in arrays.items()} | (members or {})
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, member in content.items():
                archive.writestr(name, member)
        return path

    write.header, write.theta = HEADER, THETA
    return write
