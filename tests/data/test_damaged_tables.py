"""Damaged CSV, .npz and Parquet files, made by hypothesis: what is read is what an independent reader reads, and all else is
refused with a ValueError that names what is wrong. (scripts/torture.py calls `read_damaged` too.)"""

import csv
import io
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import mlp


@cache
def whole_file(kind):
    """The content of an undamaged file: 40 rows, two columns of numbers, one of texts, and classes."""
    rng = np.random.default_rng(0)
    numbers, texts = rng.normal(size=(40, 2)).round(3), rng.choice(["red", "blue"], 40)
    labels = rng.choice(["yes", "no", "both"], 40)
    stream = io.BytesIO()
    if kind == "npz":
        np.savez(stream, X=numbers, y=labels)
    elif kind == "zipped":
        np.savez_compressed(stream, X=numbers, y=labels)
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as parquet

        columns = {"a": numbers[:, 0], "b": numbers[:, 1], "colour": texts, "label": labels}
        parquet.write_table(pa.table(columns), stream)
    else:
        rows = [f'{a},"{b}",{c},{label}' for (a, b), c, label in zip(numbers, texts, labels, strict=True)]
        stream.write("\n".join(["a,b,colour,label", *rows]).encode())
    return stream.getvalue()


@st.composite
def damages(draw, content):
    """The content with some bytes changed, left out, doubled or put in, or cut short."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.integers(1, 12))
        match draw(st.sampled_from(["change", "leave out", "double", "put in", "cut"])):
            case "change":
                content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "leave out":
                del content[place : place + length]
            case "double":
                content[place:place] = content[place : place + length]
            case "put in":
                content[place:place] = draw(st.sampled_from([b",", b"\n", b'"', b"\0", b"nan", b"\xff", b"1e999", b";", b"-"]))
            case "cut":
                del content[place:]
    return bytes(content)


def read_damaged(path):
    """What `read_table` makes of a file: examples, or None if it refuses it as it should."""
    try:
        return mlp.read_table(path)
    except ValueError as error:
        if not str(error):
            raise
        return None


def columns_of(kind, path, data):
    """The file's columns by name, as an independent reader has them."""
    if kind == "parquet":
        import pyarrow.parquet as parquet

        return parquet.read_table(path).to_pydict()
    delimiter = max(",\t;|", key=path.read_text("utf-8-sig").count)
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""), delimiter=delimiter))
    rows = [row for row in rows if "".join(row).strip() or len(row) > 1]
    assert len({len(row) for row in rows}) == 1
    header = [name.strip() for name in rows[0]] if len(rows) > len(data) else [str(n) for n in range(1, len(rows[0]) + 1)]
    return dict(zip(header, zip(*rows[len(rows) - len(data) :], strict=True), strict=True))


def assert_believed_rightly(kind, path, data):
    """Examples that were read are what an independent reader reads in the file."""
    assert np.isfinite(data.X).all()
    if kind in ("npz", "zipped"):
        with np.load(path) as arrays:
            np.testing.assert_array_equal(data.X, arrays["X"].reshape(len(data.X), -1))
            labels = arrays["y"].tolist()
    else:
        columns = columns_of(kind, path, data)
        labels = columns[data.preparation.target.name]
        place = 0
        for column in data.preparation.columns:
            if column.kind == "numeric":
                assert data.X[:, place].tolist() == [float(value) for value in columns[column.name]]
            else:
                chosen = data.X[:, place : place + column.width].argmax(axis=1)
                assert [column.values[one] for one in chosen] == [str(value).strip() for value in columns[column.name]]
            place += column.width
    if data.classes:
        assert [data.classes[label] for label in data.y] == [str(label).strip() for label in labels]
    else:
        np.testing.assert_array_equal(np.array(labels, float), data.y)


@pytest.mark.parametrize("kind", ["npz", "zipped", "parquet", "csv by pyarrow", "csv by pandas", "csv by numpy"])
def test_damaged_files_are_refused_or_read_as_others_read_them(kind, tmp_path, use_parser):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    if kind.startswith("csv"):
        use_parser(kind.rpartition(" ")[2])
    path = tmp_path / ("data.parquet" if kind == "parquet" else "data")
    content = whole_file(kind)
    path.write_bytes(content)
    assert len(mlp.read_table(path)) == 40

    @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(damages(content))
    @example(b"")
    @example(content[:-1])
    @example(content[1:])
    def check(damaged):
        path.write_bytes(damaged)
        data = read_damaged(path)
        if data is not None:
            assert_believed_rightly(kind, path, data)

    check()
