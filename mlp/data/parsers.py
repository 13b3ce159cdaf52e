"""The parsers of others, which read CSV quickly where they are installed: pyarrow's reads whole files, and pandas' turns lines
into numbers. `gather` makes a table batch by batch, so that the numbers are in memory once.

What they refuse, and what isn't finite, is left to the parser in delimited.py to explain.
"""

import contextlib
import csv
import importlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from mlp.blas import Array
from mlp.data.tables import Table, Texts

#: A column to read: its name, its place among the fields, and whether it is to be text.
Kind = tuple[str, int, bool]

#: Some rows of a column: float64 numbers, or the places of texts in a list of them.
Piece = Array | tuple[Array, list[str]]

#: How many bytes pyarrow takes at a time, several times over.
_BLOCK = 1 << 20


class NotFiniteError(Exception):
    """A column of numbers has one that is missing or infinite."""


@dataclass(frozen=True)
class Layout:
    """How a file is laid out: what is between the fields, how many there are, lines above the first record, whether some
    fields are quoted."""

    delimiter: str
    fields: int
    above: int
    quoted: bool


def gather(batches: Iterable[Sequence[Piece]], kinds: Sequence[Kind], most: int, name: str) -> Table:
    """Batches of rows as a table.

    Args:
        batches: of at most `most` rows in all; each has the columns of `kinds`, in that order.
        kinds: the columns.
        most: how many rows there are at most.
        name: the table's.

    Raises:
        NotFiniteError: a number is missing or infinite.
    """
    numbers = np.empty((most, sum(not is_text for *_, is_text in kinds)))
    codes = {column: np.empty(most, np.int32) for column, (*_, is_text) in enumerate(kinds) if is_text}
    found: dict[int, dict[str, int]] = {column: {} for column in codes}
    n = 0
    for batch in batches:
        place = 0
        for column, piece in enumerate(batch):
            if isinstance(piece, tuple):
                known = found[column]
                places = [known.setdefault(text, len(known)) for text in piece[1]]
                rows = slice(n, n + len(piece[0]))
                codes[column][rows] = np.array(places, np.int32)[piece[0]]
            else:
                rows = slice(n, n + len(piece))
                numbers[rows, place] = piece
                place += 1
        if not np.isfinite(numbers[rows]).all():
            raise NotFiniteError
        n = rows.stop
    texts = {kinds[column][0]: Texts.of(kinds[column][0], list(found[column]), codes[column][:n]) for column in codes}
    return Table([column_name for column_name, *_ in kinds], numbers[:n], texts, name)


def arrow_pieces(batch: Any) -> list[Piece]:
    """A record batch of pyarrow's, whose columns are float64 or dictionaries of texts; what is missing is the text ""."""
    pieces: list[Piece] = []
    for column in batch.columns:
        if hasattr(column, "dictionary"):
            texts = [text or "" for text in column.dictionary.to_pylist()]
            codes = column.indices.fill_null(len(texts)).to_numpy()
            pieces.append((codes, [*texts, ""]))
        else:
            pieces.append(column.to_numpy(zero_copy_only=False))
    return pieces


def pyarrow_batches(stream: IO[bytes], layout: Layout, kinds: Sequence[Kind]) -> Iterator[Sequence[Piece]]:
    """The columns of a CSV file by pyarrow; an ImportError if it isn't installed, a ValueError if it refuses the file."""
    import pyarrow as pa
    import pyarrow.csv

    text = pa.dictionary(pa.int32(), pa.string())
    types = {str(place): text if is_text else pa.float64() for _, place, is_text in kinds}
    try:
        reader = pyarrow.csv.open_csv(
            stream,
            pyarrow.csv.ReadOptions(
                block_size=_BLOCK, column_names=[str(place) for place in range(layout.fields)], skip_rows=layout.above
            ),
            pyarrow.csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=layout.quoted),
            pyarrow.csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[], strings_can_be_null=False
            ),
        )
        for batch in reader:
            yield arrow_pieces(batch)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def numbers_in_lines(lines: Sequence[str], delimiter: str, places: Sequence[int], many: bool) -> Array:
    """The numbers at these places in lines of equally many fields, nothing of which is quoted, (lines, places).

    They are read by pandas if it is installed and there are many lines in the file, and otherwise by numpy. A ValueError, or
    numbers that aren't finite, if some field is none.
    """
    pd: Any = None
    if many:
        with contextlib.suppress(ImportError):
            pd = importlib.import_module("pandas")
    if pd is None:
        numbers: Array = np.loadtxt(lines, delimiter=delimiter, comments=None, usecols=places, ndmin=2)
        return numbers
    version = tuple(int(part) for part in pd.__version__.split(".")[:2])
    exact = {} if version >= (3, 1) else {"float_precision": "round_trip"}  # later ones always are
    try:
        frame = pd.read_csv(
            io.StringIO("".join(line if line.endswith("\n") else f"{line}\n" for line in lines)),
            sep=delimiter,
            header=None,
            usecols=places,
            index_col=False,
            dtype=np.float64,
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            **exact,
        )
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return np.column_stack([frame[place].to_numpy() for place in places])
