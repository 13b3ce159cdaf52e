"""Parquet files, through pyarrow: `Parquet`, whose columns are read into a `Table`."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlp.data.parsers import Kind, NotFiniteError, Piece, arrow_pieces, gather
from mlp.data.tables import Table, missing_value, texts_of_numbers


class Parquet:
    """A Parquet file of columns of numbers and texts.

    Attributes:
        names: of the columns.

    Raises:
        ImportError: pyarrow isn't installed.
        ValueError: it is no such file, or is damaged.
    """

    def __init__(self, path: Path):
        try:
            import pyarrow as pa
            import pyarrow.parquet
        except ImportError as error:
            raise ValueError(f"{path}: a Parquet file is read through pyarrow: pip install pyarrow") from error
        self.name = path.name
        self._path = path
        self._errors = (pa.ArrowException, OSError, ValueError, KeyError, TypeError)
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
            self._types = {field.name: field.type for field in self._file.schema_arrow}
            self.names = list(self._file.schema_arrow.names)
            if len(set(self.names)) < len(self.names):
                raise ValueError("two columns have one name")
            if self._file.metadata.num_rows < 1:
                raise ValueError("it holds no records")
        except self._errors as error:
            raise self._damaged(error) from error

    def _damaged(self, error: BaseException) -> ValueError:
        return ValueError(
            f"{self._path}: not a Parquet file, or damaged: {str(error).splitlines()[0] if str(error) else error!r}"
        )

    def sample(self, name: str) -> list[str]:
        """Nothing: a column's type says what it holds."""
        return []

    def read(self, names: Sequence[str], texts: Collection[str] = (), rows: slice | None = None) -> Table:
        """These columns as a table; those in `texts`, and those that hold texts, as texts. All else as in `Delimited.read`."""
        import pyarrow as pa

        kinds = [(name, place, self._is_text(name)) for place, name in enumerate(names)]
        types = [pa.dictionary(pa.int32(), pa.string()) if is_text else pa.float64() for *_, is_text in kinds]
        schema = pa.schema([(str(place), kind) for place, kind in enumerate(types)])
        start, stop, _ = (rows or slice(None)).indices(self._file.metadata.num_rows)
        try:
            table = gather(self._batches(names, schema, start, stop), kinds, max(0, stop - start), self.name)
        except NotFiniteError:
            raise self._find_missing(names, kinds, start, stop) from None
        except self._errors as error:
            if str(error).startswith("column "):
                raise
            raise self._damaged(error) from error
        if not len(table) and rows is None:
            raise ValueError(f"{self._path}: holds no records")
        kept, wanted = [], {}
        for place, name in enumerate(table.number_names):
            if name in texts:
                wanted[name] = texts_of_numbers(name, table.numbers[:, place])
            else:
                kept.append(place)
        return Table(names, table.numbers[:, kept], {**table.texts, **wanted}, self.name) if wanted else table

    def _is_text(self, name: str) -> bool:
        import pyarrow as pa

        kind = self._types[name]
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
        if any(is_kind(kind) for is_kind in numeric):
            return False
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return True
        raise ValueError(f"column {name!r}: holds {kind}, but it must hold numbers or texts; ignore it, or convert it")

    def _stored(self, names: Sequence[str], start: int, stop: int) -> Iterator[Any]:
        """The record batches with these columns, as stored, of the rows `start` to `stop`; other groups of rows aren't read."""
        first = 0
        for group in range(self._file.num_row_groups):
            size = self._file.metadata.row_group(group).num_rows
            if first + size > start and first < stop:
                place = first
                for batch in self._file.iter_batches(columns=list(names), row_groups=[group]):
                    low, high = max(0, start - place), min(stop - place, len(batch))
                    if low < high:
                        yield batch.slice(low, high - low)
                    place += len(batch)
            first += size

    def _batches(self, names: Sequence[str], schema: Any, start: int, stop: int) -> Iterator[Sequence[Piece]]:
        """The record batches with these columns, in the schema's types."""
        import pyarrow as pa

        for batch in self._stored(names, start, stop):
            columns = []
            for name, field in zip(names, schema, strict=True):
                column = batch.column(name)
                plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
                if pa.types.is_dictionary(field.type):
                    columns.append(plain.cast(pa.string()).dictionary_encode())
                else:
                    columns.append(plain.cast(pa.float64(), safe=False))
            yield arrow_pieces(pa.record_batch(columns, schema=schema))

    def _find_missing(self, names: Sequence[str], kinds: Sequence[Kind], start: int, stop: int) -> ValueError:
        """The error for the first number that is missing or infinite."""
        row = 0
        for batch in self._stored(names, start, stop):
            for name, _, is_text in kinds:
                if not is_text:
                    numbers = batch.column(name).cast("float64", safe=False).to_numpy(zero_copy_only=False)
                    wrong = np.flatnonzero(~np.isfinite(numbers))
                    if len(wrong) and np.isnan(numbers[wrong[0]]):
                        return missing_value(name, row + int(wrong[0]), "")
                    if len(wrong):
                        place = row + int(wrong[0]) + 1
                        return ValueError(
                            f"column {name!r}: received {numbers[wrong[0]]} in row {place:,}, but it must be finite"
                        )
            row += len(batch)
        raise AssertionError("unreachable: a number was not finite")
