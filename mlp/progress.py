"""The progress of a minimiser, an epoch at a time: a bar on a terminal or in a notebook, plain lines anywhere else."""

import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from tqdm import tqdm

#: A bar shorter than this says nothing; rather than that, the figures are abbreviated.
_SHORTEST_BAR = 10


class Progress:
    """Shows the records of a history as they come. Where nobody can read it any more, it goes silent and raises nothing.

    Args:
        total: how many epochs or iterations there may be.
        unit: what a record calls its number: "epoch" or "iteration".
        stream: where to write. None: stdout.
        quiet: show nothing.
    """

    def __init__(self, total: int, unit: str, stream: TextIO | None = None, quiet: bool = False):
        self.total = total
        self.unit = unit
        self.stream = stream or sys.stdout
        self.quiet = quiet or self.stream is None  # which it is where stdout was closed before the process started
        self.bar: Any = None
        if not self.quiet and total and _is_live(self.stream):
            start = f"{unit} {{n}}/{{total}} |{{bar}}|"
            self.bar = tqdm(total=total, file=self.stream, ncols=_columns(), bar_format=start, mininterval=0.05)

    def show(self, record: Mapping[str, Any]) -> None:
        """Show a record: its number, "cost", and "validation_cost" and "validation_accuracy" where it has them."""
        if self.quiet:
            return
        number = record[self.unit]
        figures = ", ".join(_figures(record))
        line = f"{self.unit} {number:{len(str(self.total))}}/{self.total}: {figures}, {record['seconds']:.1f} s"
        try:
            if self.bar is None:
                print(line, file=self.stream, flush=True)
            else:
                self.bar.ncols = _columns()
                self.bar.bar_format = self._layout(record)
                self.bar.update(number - self.bar.n)
        except (OSError, ValueError):  # the reader has gone, the disk is full, or the stream was closed
            self.quiet = True

    def close(self) -> None:
        """End the bar's line."""
        if self.bar is not None:
            try:
                self.bar.close()
            except (OSError, ValueError):
                self.quiet = True

    def _layout(self, record: Mapping[str, Any]) -> str:
        """The most detailed line, for tqdm to fill in, in which there is room for the bar."""
        long, short, bare = (", ".join(_figures(record, names)) for names in (_NAMES, _SHORT_NAMES, _NO_NAMES))
        time, both = "{remaining} left", "{elapsed}, {remaining} left"
        if record[self.unit] >= self.total:
            time = both = "{elapsed}"
        layouts = [
            f"{self.unit} {{n}}/{{total}} |{{bar}}| {both}, {long}",
            f"{self.unit} {{n}}/{{total}} |{{bar}}| {time}, {short}",
            f"{{n}}/{{total}} |{{bar}}| {time}, {bare}",
        ]
        for layout in layouts:
            filled = layout.format(n=self.total, total=self.total, bar="", elapsed="00:00", remaining="00:00")
            if len(filled) + _SHORTEST_BAR <= self.bar.ncols:
                return layout
        return f"{{n}}/{{total}} {bare}"


_NAMES = ("cost minimised ", "validation cost ", "validation accuracy ")
_SHORT_NAMES = ("minimised ", "validation ", "")
_NO_NAMES = ("", "", "")


def _figures(record: Mapping[str, Any], names: tuple[str, str, str] = _NAMES) -> list[str]:
    """The record's figures. The cost that is minimised has the penalty in it, where there is one; that of validation has what
    its objective has."""
    figures = [f"{names[0]}{record['cost']:.4f}"]
    if "validation_cost" in record:
        figures.append(f"{names[1]}{record['validation_cost']:.4f}")
        if record["validation_accuracy"] is not None:
            figures.append(f"{names[2]}{100 * record['validation_accuracy']:.2f} %")
    return figures


def _is_live(stream: TextIO) -> bool:
    """Whether a line can be written over: on a terminal, and in a notebook."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel")


def _columns() -> int:
    """How wide a line may be; one less than the terminal, since some go on to the next line in the last column."""
    return shutil.get_terminal_size((100, 24)).columns - 1
