"""CSV and its like: `Delimited`, a file of records whose columns are named, and which is read into a `Table`.

Large files are parsed by pyarrow where it is installed (parsers.py). Otherwise, and to say in which row and column the fault
is where it refuses a file, by the parser here, made of Python's csv and what turns lines into numbers: pandas, or numpy.
"""

import csv
import io
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from mlp.blas import Array
from mlp.data.parsers import Kind, Layout, NotFiniteError, gather, numbers_in_lines, pyarrow_batches
from mlp.data.tables import MISSING_NUMBERS, MISSING_TEXTS, Table, Texts, missing_value, number_in

#: How many records are parsed at a time, how many decide what a column holds, and how many bytes are scanned at a time.
_CHUNK, _SAMPLE, _PIECE = 20_000, 1000, 1 << 22

#: Of fewer lines than this, our own parser has made numbers before another one is imported.
FEW = 5000

#: Characters that no text has: all of ASCII's that control something, but for tabs and ends of lines.
_CONTROL = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r")

_DELIMITERS = ",\t;|"

_INFINITE = ("inf", "infinity")
_TOO_LARGE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Delimited:
    """A file of records, one a line, with fields between commas, tabs, semicolons or bars; a field may be "quoted".

    The first record has the columns' names if none of its fields is a number, or if a column is text there and a number in
    the record below. Without names, columns are called "1", "2" …

    Args:
        source: a path, or the file's content.
        name: of the file, for errors.
        expected: names that columns are known to have: a first record with one of them is a header.

    Attributes:
        names: of the columns; "" where a header has none.

    Raises:
        ValueError: it is no such file, or holds no records.
    """

    def __init__(self, source: Path | bytes, name: str, expected: Collection[str] = ()):
        self._source = source
        self.name = name
        self._lines, self._quoted = self._scan()
        with self._open() as stream:
            start = self._text(stream.read(1 << 16) + stream.readline())
        self._delimiter = "\t" if Path(name).suffix in (".tsv", ".tab") else _delimiter_of(start)
        self._sample = list(itertools.islice(self._rows(), _SAMPLE + 1))
        if not self._sample:
            raise ValueError(f"{name}: holds no records")
        self._header = _is_header(self._sample, expected)
        if self._header and len(self._sample) == 1:
            raise ValueError(f"{name}: holds the columns' names, {', '.join(self._sample[0][:20])}, but no records")
        first, self._sample = self._sample[0], self._sample[1:] if self._header else self._sample
        self.names = [field.strip() for field in first] if self._header else [str(n) for n in range(1, len(first) + 1)]
        twice = next((one for one in self.names if one and self.names.count(one) > 1), None)
        if twice is not None:
            raise ValueError(f"{name}: two columns are called {twice!r}, but no two may have one name")

    def sample(self, name: str) -> list[str]:
        """A column's fields in the first thousand records."""
        place = self.names.index(name)
        return [row[place].strip() for row in self._sample if len(row) > place]

    def read(self, names: Sequence[str], texts: Collection[str] = (), rows: slice | None = None) -> Table:
        """These columns as a table; those in `texts`, and those that aren't all numbers, as texts; only those rows, if given.

        Raises:
            ValueError: a value is missing, a number infinite, or a record too short or too long; the row is named, from 1
                for the first that is read.
        """
        as_text = {name for name in names if name in texts or not all(map(_may_be_number, self.sample(name)))}
        while True:
            kinds = [(name, self.names.index(name), name in as_text) for name in names]
            try:
                return (self._parse_with_pyarrow(kinds) if rows is None else None) or self._parse(kinds, rows)
            except _NoNumber as found:
                as_text.add(found.column)
            except UnicodeDecodeError as error:
                raise self._no_text(error) from None
            except csv.Error as error:
                raise ValueError(f"{self.name}: not a table, or damaged: {error}") from None

    # The file

    def _open(self) -> IO[bytes]:
        return io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")

    def _scan(self) -> tuple[int, bool]:
        """How many lines there are at most, and whether there are quotation marks."""
        lines, quoted = 1, False
        with self._open() as stream:
            while piece := stream.read(_PIECE):
                if len(piece.translate(None, _CONTROL)) < len(piece):
                    raise ValueError(f"{self.name}: not a table: it holds control characters (text must be saved as UTF-8)")
                lines += piece.count(b"\n") + piece.count(b"\r")
                quoted = quoted or b'"' in piece
        return lines, quoted

    def _text(self, content: bytes) -> str:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if error.end == len(content):  # the end is within a character
                return content[: error.start].decode("utf-8-sig")
            raise self._no_text(error) from None

    def _no_text(self, error: UnicodeDecodeError) -> ValueError:
        return ValueError(
            f"{self.name}: not a table in UTF-8: {error.reason} ({error.object[error.start : error.start + 1]!r})"
        )

    def _rows(self, header: bool = False) -> Iterator[list[str]]:
        """The records' fields, without empty lines; also without the header, if it is to be left out."""
        with self._open() as stream:
            text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
            reader = csv.reader(text, delimiter=self._delimiter)
            rows = (row for row in reader if len(row) > 1 or "".join(row).strip())
            try:
                first = next(rows, None)
                self._lines_of_first = reader.line_num
                if first is not None and not header:
                    yield first
                yield from rows
            except UnicodeDecodeError as error:
                raise self._no_text(error) from None
            except csv.Error as error:
                raise ValueError(f"{self.name}: not a table, or damaged: {error}") from None

    # pyarrow's parser

    def _parse_with_pyarrow(self, kinds: Sequence[Kind]) -> Table | None:
        """As `_parse`; None where pyarrow isn't installed, refuses the file, or takes longer to be imported than to read it."""
        if self._lines < FEW:
            return None
        layout = Layout(self._delimiter, len(self.names), self._lines_of_first if self._header else 0, self._quoted)
        try:
            with self._open() as stream:
                return gather(pyarrow_batches(stream, layout, kinds), kinds, self._lines, self.name)
        except (ImportError, NotFiniteError, ValueError):
            return None

    # The parser of our own

    def _parse(self, kinds: Sequence[Kind], rows: slice | None = None) -> Table:
        """The columns (name, place, whether it is to be text) as a table; only those rows, if given."""
        start, stop, _ = (rows or slice(None)).indices(self._lines)
        numeric = [(name, place) for name, place, is_text in kinds if not is_text]
        numbers = np.empty((stop - start, len(numeric)))
        found: dict[int, dict[str, int]] = {place: {} for _, place, is_text in kinds if is_text}
        codes = {place: np.empty(stop - start, np.int32) for place in found}
        n = 0
        records: Iterator[Any] = self._rows(self._header) if self._quoted else self._lines_below()
        records = itertools.islice(records, start, stop)
        while chunk := list(itertools.islice(records, _CHUNK)):
            self._check_widths(chunk, n)
            if numeric:
                numbers[n : n + len(chunk)] = self._numbers(chunk, numeric, n)
            split = map(self._fields, chunk) if found else ()
            for row, fields in enumerate(split, n):
                for place, values in found.items():
                    codes[place][row] = values.setdefault(fields[place], len(values))
            n += len(chunk)
        texts = {name: Texts.of(name, list(found[place]), codes[place][:n]) for name, place, is_text in kinds if is_text}
        return Table([name for name, _, _ in kinds], numbers[:n], texts, self.name)

    def _lines_below(self) -> Iterator[str]:
        """The lines under the header that aren't empty, each of which is a record where nothing is quoted."""
        with self._open() as stream:
            text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
            above = self._lines_of_first if self._header else 0
            yield from (line for line in itertools.islice(text, above, None) if line.strip(" \r\n"))

    def _fields(self, record: str | list[str]) -> list[str]:
        return record.rstrip("\r\n").split(self._delimiter) if isinstance(record, str) else record

    def _check_widths(self, chunk: Sequence[str | list[str]], first: int) -> None:
        """Refuse records that are too short or too long; the first is that row."""
        width = len(self.names)
        for row, record in enumerate(chunk, first):
            found = record.count(self._delimiter) + 1 if isinstance(record, str) else len(record)
            if found != width:
                raise ValueError(f"{self.name}: row {row + 1:,} has {found} fields, but there are {width} columns")

    def _numbers(self, chunk: list[Any], numeric: Sequence[tuple[str, int]], first: int) -> Array:
        """The numbers (records, columns) in some records, the first of which is that row."""
        places = [place for _, place in numeric]
        shape = len(chunk), len(numeric)
        lines, delimiter = chunk, self._delimiter
        if self._quoted:
            lines, delimiter = ["\t".join([fields[place] for place in places]) for fields in chunk], "\t"
            places = list(range(len(places)))
        try:
            numbers = numbers_in_lines(lines, delimiter, places, many=self._lines >= FEW)
            if numbers.shape == shape and np.isfinite(numbers).all():
                return numbers
        except ValueError:
            pass  # what is wrong is found out below
        numbers = np.empty(shape)
        for row, fields in enumerate(map(self._fields, chunk)):
            for column, (name, place) in enumerate(numeric):
                numbers[row, column] = _number_in_field(name, first + row, fields[place].strip())
        return numbers


class _NoNumber(Exception):
    """A column that was taken to hold numbers holds something else."""

    def __init__(self, column: str):
        super().__init__(column)
        self.column = column


def _number_in_field(name: str, row: int, text: str) -> float:
    """The number that a field is; it may be missing, infinite or a text."""
    number = number_in(text)
    if number == number:
        return number
    if text.casefold() in MISSING_NUMBERS:
        raise missing_value(name, row, text)
    if text.casefold().lstrip("+-") in _INFINITE or _TOO_LARGE.fullmatch(text):
        raise ValueError(f"column {name!r}: received {text} in row {row + 1:,}, but every number must be finite")
    raise _NoNumber(name)


def _is_number(text: str) -> bool:
    return number_in(text) == number_in(text)


def _may_be_number(text: str) -> bool:
    """Whether a column that has this may be one of numbers; missing and infinite ones are refused later."""
    infinite = text.casefold().lstrip("+-") in _INFINITE or _TOO_LARGE.fullmatch(text) is not None
    return _is_number(text) or text.casefold() in MISSING_NUMBERS or infinite


def _delimiter_of(text: str) -> str:
    """What stands between the fields: the one that is most often in the first line, outside quotation marks."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    bare = "".join(line.split('"')[::2])
    return max(_DELIMITERS, key=bare.count)


def _is_header(rows: Sequence[Sequence[str]], expected: Collection[str]) -> bool:
    """Whether the first of these records has the columns' names."""
    first = [field.strip() for field in rows[0]]
    if any(field in expected for field in first):
        return True
    named = [not _is_number(field) and field.casefold() not in MISSING_TEXTS for field in first]
    below = rows[1] if len(rows) > 1 and len(rows[1]) == len(first) else [""] * len(first)
    return all(named) or any(is_text and _is_number(field) for is_text, field in zip(named, below, strict=True))
