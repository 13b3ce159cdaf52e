"""Damaged CSV, .npz and Parquet files and pictures: what is read is what an independent reader reads, and all else is refused
with an error that names what is wrong. (scripts/damaged_tables.py damages and judges them; torture.py has thousands.)"""

import importlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import mlp

pytest.importorskip("PIL")

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
KINDS = ["pyarrow.csv", "pandas.csv", "numpy.csv", "npz", "zipped.npz", "parquet", "png", "jpeg", "gif", "tiff", "bmp"]


@pytest.fixture
def tables(monkeypatch, tmp_path):
    """The script as a module; what escapes goes into the test's directory."""
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setattr(importlib.import_module("damaged_files"), "ESCAPES", tmp_path / "escapes")
    return importlib.import_module("damaged_tables")


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read_as_others_read_them(tables, kind, tmp_path):
    if kind not in [ending for ending, _, _ in tables.kinds_of_tables(tmp_path)]:
        pytest.skip(f"what reads {kind} isn't installed")
    found, counts = tables.try_tables(0, range(100), tmp_path, only=kind)
    assert found == []
    assert counts["read"] > 0 < counts["refused"]


def test_a_table_that_is_believed_wrongly_is_found(tables, tmp_path, monkeypatch):
    path = tmp_path / "table.numpy.csv"
    path.write_bytes(tables.whole_table("csv"))
    assert tables.outcome(tables.READERS["numpy.csv"], path, room=tables.ROOM) == "read"
    right = mlp.read_table

    def read_wrongly(path):
        data = right(path)
        data.X[7, 1] += 1e-9
        return data

    monkeypatch.setattr(mlp, "read_table", read_wrongly)
    assert "another b" in tables.outcome(tables.READERS["numpy.csv"], path, room=tables.ROOM)
    monkeypatch.setattr(mlp, "read_table", lambda path: right(path)[::-1])
    assert "read wrongly" in tables.outcome(tables.READERS["numpy.csv"], path, room=tables.ROOM)


def test_a_picture_that_is_read_wrongly_is_found(tables, tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_bytes(tables.whole_picture("PNG"))
    assert tables.outcome(tables.read_picture, path, room=tables.ROOM) == "read"
    monkeypatch.setattr(tables, "read_scaled", lambda _path, shape: np.zeros(shape, np.uint8))
    assert "other pixels" in tables.outcome(tables.read_picture, path, room=tables.ROOM)


def test_an_archive_that_promises_gigabytes_takes_none(tables, tmp_path, refused):
    path = tmp_path / "promise.npz"
    content = bytearray(tables.whole_table("npz"))
    at = content.rindex(b"PK\1\2") + 20  # the compressed size in the last record of the directory
    content[at : at + 4] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    tracemalloc.start()
    with refused(ValueError, f"{path}: not an .npz file, or damaged: y.npy is said to take 2,147,483,647 bytes of"):
        mlp.read_table(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 22


@pytest.mark.parametrize("letter", [b"\0\0\x11\0", b"b\0\0\0", b"\0\xd8\0\0"], ids=["above", "other byte order", "surrogate"])
def test_texts_that_are_none_are_refused(tables, tmp_path, refused, letter):
    path = tmp_path / "texts.npz"
    y = b"a\0\0\0" * 3 + letter
    order = ">" if letter[:1] == b"b" else "<"
    path.write_bytes(
        tables.packed([("X.npy", tables.npy("<f8", "(4, 1)", bytes(32))), ("y.npy", tables.npy(f"{order}U1", "(4,)", y))])
    )
    with refused(ValueError, f"{path}: not an .npz file, or damaged: y.npy holds texts with letters that Unicode"):
        mlp.read_table(path)


def test_numbers_that_overflow_are_refused_without_a_warning(tmp_path, refused):
    path = tmp_path / "long.npz"
    np.savez(path, X=np.ones((4, 2)), y=np.array([1, 2, 3, np.longdouble("1e4000")]))
    with refused(ValueError, "y"):
        mlp.read_table(path)


def test_arrays_that_python_2_wrote_are_read_without_a_warning(tables, tmp_path):
    X, y = np.arange(80.0).reshape(40, 2), np.array(["a", "b"] * 20)
    header = tables.npy("<f8", "(40L, 2L)", X.tobytes())
    path = tmp_path / "old.npz"
    path.write_bytes(tables.packed([("X.npy", header), ("y.npy", tables.npy("<U1", "(40,)", y.tobytes()))]))
    data = mlp.read_table(path)
    np.testing.assert_array_equal(data.X, X)
    assert data.classes == ("a", "b")
