"""What `torture.py --only tables` does: damages tables (CSV by each of its three parsers, .npz, Parquet) and pictures, reads
them, and judges what comes of it: what is read must be what an independent reader finds in the file. How files are damaged,
limited and tried is in damaged_files.py. A file that escaped is read again by

    python scripts/damaged_tables.py torture-escapes/0-12.numpy.csv

Read `try_tables` first, at the end.
"""

import csv
import io
import os
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from damaged_files import (
    ODD_SHAPES,
    ODD_TYPES,
    Kind,
    damaged,
    npy,
    outcome,
    packed,
    try_files,
    with_false_records,
    zip_bomb,
)

import mlp
from mlp.data import delimited
from mlp.data.pictures import read_digit, read_scaled

#: The parsers of CSV, and what must not be installed for each to be used.
PARSERS: dict[str, tuple[str, ...]] = {"pyarrow": (), "pandas": ("pyarrow",), "numpy": ("pyarrow", "pandas")}

#: What a table may hold where it shouldn't.
TOKENS = (b",", b"\n", b'"', b"\0", b"nan", b"\xff", b"1e999", b";", b"-", b"\r", b"\t", b"0x1", b"1_0", b" ", b"9" * 400)

#: Readers have threads, and pools of memory for these, of which little is used.
ROOM = 1 << 29

# How they are made and damaged


def whole_table(kind: str, rows: int = 40) -> bytes:
    """The content of an undamaged file: two columns of numbers, one of texts (but in arrays), and classes."""
    rng = np.random.default_rng(0)
    numbers, texts = rng.normal(size=(rows, 2)).round(3), rng.choice(["red", "blue"], rows)
    labels = rng.choice(["yes", "no", "both"], rows)
    stream = io.BytesIO()
    if kind == "npz":
        np.savez(stream, X=numbers, y=labels)
    elif kind == "zipped.npz":
        np.savez_compressed(stream, X=numbers, y=labels)
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as parquet

        columns = {"a": numbers[:, 0], "b": numbers[:, 1], "colour": texts, "label": labels}
        parquet.write_table(pa.table(columns), stream)
    else:
        lines = [f'{a},"{b}",{c},{label}' for (a, b), c, label in zip(numbers, texts, labels, strict=True)]
        stream.write("\n".join(["a,b,colour,label", *lines]).encode())
    return stream.getvalue()


def whole_picture(format: str) -> bytes:
    """A stroke on paper, 40 × 30 pixels, in a format of Pillow's."""
    from PIL import Image

    grey = np.full((40, 30), 250, np.uint8)
    grey[8:32, 12:17] = np.arange(10, 34, dtype=np.uint8)[:, None]
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, format)
    return stream.getvalue()


def made_text(content: bytes, chance: random.Random) -> bytes:
    """A table in which something is changed, left out, doubled or put in."""
    if chance.random() < 0.3:
        return damaged(content, chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at, length = chance.randrange(len(content) + 1), chance.choice((0, 0, 1, 5, 12))
        content = content[:at] + chance.choice((b"", *TOKENS)) + content[at + length :]
    return content


def made_arrays(archive: bytes, chance: random.Random) -> bytes:
    """An archive of arrays, damaged from outside or, with right checksums, from inside."""
    if chance.random() < 0.5:
        return (damaged if chance.random() < 0.5 else with_false_records)(archive, chance)
    with np.load(io.BytesIO(archive)) as source:
        arrays = {f"{name}.npy": source[name] for name in source.files}
    members = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, array)
        members[name] = stream.getvalue()
    name = chance.choice(list(members))
    content = members[name]
    match chance.randrange(6):
        case 0:
            del members[name]
        case 1:
            members[chance.choice(("Y.npy", "x_train.npy", "../X.npy", "é.npy"))] = members.pop(name)
        case 2 if chance.random() < 0.1:
            return damaged(zip_bomb(name), chance)
        case 3:
            members[name] = damaged(content, chance)
        case _:
            shape = chance.choice((*ODD_SHAPES, "(40,)", "(40, 2)", "(2, 40)", "(40, 1, 2)")).replace("{n}", "40")
            members[name] = npy(chance.choice((*ODD_TYPES, arrays[name].dtype.str)), shape, content[128:])
    return packed(list(members.items()))


# How they are judged


def columns_of(kind: str, path: Path, rows: int) -> dict[str, Any]:
    """The columns by name, as an independent reader has them; `rows` is how many of the last lines hold the examples."""
    if kind == "parquet":
        import pyarrow.parquet as parquet

        columns: dict[str, Any] = parquet.read_table(path).to_pydict()
        return columns
    text = path.read_text("utf-8-sig")
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",\t;|", key=text.count)))
    lines = [line for line in lines if "".join(line).strip() or len(line) > 1]
    assert len({len(line) for line in lines}) == 1, "lines of different lengths"
    header = [name.strip() for name in lines[0]] if len(lines) > rows else [str(n) for n in range(1, len(lines[0]) + 1)]
    return dict(zip(header, zip(*lines[len(lines) - rows :], strict=True), strict=True))


def check_table(kind: str, path: Path, data: mlp.Examples) -> None:
    """Raise unless examples that were read are what an independent reader reads in the file."""
    assert np.isfinite(data.X).all(), "numbers that are not finite"
    if kind.endswith("npz"):
        with warnings.catch_warnings(action="ignore"), np.load(path) as archive:
            arrays = {name.lower(): archive[name] for name in archive.files if name.lower() in ("x", "y", "x_train", "y_train")}
        X, labels = (arrays.get(name, arrays.get(f"{name}_train")) for name in ("x", "y"))
        labels = np.ravel(labels).tolist()
        assert np.array_equal(data.X, X.reshape(len(data.X), -1)), "other X"
    else:
        columns = columns_of(kind, path, len(data))
        labels = columns[data.preparation.target.name]
        place = 0
        for column in data.preparation.columns:
            features = data.X[:, place : place + column.width]
            if column.kind == "numeric":
                assert features[:, 0].tolist() == [float(value) for value in columns[column.name]], f"another {column.name}"
            else:
                chosen = [column.values[one] for one in features.argmax(axis=1)]
                assert chosen == [str(value).strip() for value in columns[column.name]], f"another {column.name}"
            place += column.width
    if data.classes:
        assert [data.classes[label] for label in data.y] == [str(label).strip() for label in labels], "other classes"
    else:
        assert np.array_equal(np.array(labels, float), data.y), "another y"


def read_table(kind: str, path: Path) -> None:
    """Read a table, and check it against another reader. Errors must name the file, or a column of it."""
    try:
        data = mlp.read_table(path)
    except ValueError as error:
        if str(path) in str(error) or not re.match(r"(column|target|columns|labels?|X|y)\b", str(error)):
            raise
        raise ValueError(f"{path}: {error}") from error
    try:
        check_table(kind, path, data)
    except Exception as error:
        raise AssertionError(f"read wrongly, or where another reader refuses: {type(error).__name__}: {error}") from error


@contextmanager
def parser(name: str) -> Iterator[None]:
    """CSV is read by this parser, however small the file is."""
    hidden, few = {other: sys.modules.get(other) for other in PARSERS[name]}, delimited.FEW
    sys.modules.update(dict.fromkeys(hidden))  # None: as if it weren't installed
    delimited.FEW = 0
    try:
        yield
    finally:
        delimited.FEW = few
        for other, module in hidden.items():
            if module is None:
                del sys.modules[other]
            else:
                sys.modules[other] = module


def read_csv(name: str, path: Path) -> None:
    with parser(name):
        read_table("csv", path)


@contextmanager
def silence() -> Iterator[None]:
    """What libtiff says of a damaged file on stderr, past Python, is not shown."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@silence()
def read_picture(path: Path) -> None:
    """Read a picture as a digit and as it is, and check the latter against Pillow's own pixels."""
    from PIL import Image

    digit: Any = None
    try:
        digit = read_digit(path)
    except ValueError as error:
        if "stands out" not in str(error):  # it is blank
            raise
    assert digit is None or (digit.shape, digit.dtype) == ((28, 28), np.uint8)
    with warnings.catch_warnings(action="ignore"), Image.open(path) as image:  # mlp's own are heeded above
        image.load()
        plain = image.mode == "L" and max(image.size) <= 1000 and image.getexif().get(0x0112, 1) == 1
        pixels, size = np.asarray(image.convert("L")), image.size
    if plain and not image.has_transparency_data:
        found = read_scaled(path, size[::-1])
        if not np.array_equal(found, pixels):
            raise AssertionError("other pixels than Pillow's")


#: How each kind of files is read, by the end of its name.
READERS: dict[str, Callable[[Path], Any]] = {
    **{f"{name}.csv": partial(read_csv, name) for name in PARSERS},
    **{kind: partial(read_table, kind) for kind in ("npz", "zipped.npz", "parquet")},
    **dict.fromkeys(("png", "jpeg", "gif", "tiff", "bmp"), read_picture),
}


def is_there(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def kinds_of_tables(_directory: Path) -> list[Kind]:
    """Those kinds for which there is a reader here."""
    kinds: list[Kind] = []
    for ending in READERS:
        if ending.endswith("csv"):
            needed, whole, make = ending.partition(".")[0], whole_table(ending), made_text
        elif ending == "parquet":
            if not is_there("pyarrow"):
                continue
            needed, whole, make = "pyarrow", whole_table(ending), damaged
        elif ending.endswith("npz"):
            needed, whole, make = "numpy", whole_table(ending), made_arrays
        else:
            needed, whole, make = "PIL", whole_picture(ending.upper()), damaged
        if is_there(needed):
            kinds.append((ending, (whole,), partial(make, whole)))
    return kinds


def try_tables(seed: int, numbers: range, directory: Path, only: str = "") -> tuple[list[str], Counter[str]]:
    """Read the files of these numbers, which the seed decides: how some of them escaped, and how many were read and refused."""
    kinds = [kind for kind in kinds_of_tables(directory) if only in ("", kind[0])]
    directory.mkdir(exist_ok=True)
    for ending, (whole,), _ in kinds:  # what they import, and their threads, come before the limits
        path = directory / f"{numbers.start}.{ending}"
        path.write_bytes(whole)
        READERS[ending](path)
        path.unlink()
    return try_files(seed, numbers, directory, kinds, READERS, "damaged_tables.py", ROOM)


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        print(f"{file}: {outcome(READERS[file.name.partition('.')[2]], file, room=ROOM)}")
