"""Progress: a bar that fits into a terminal of any width, plain lines elsewhere, and silence where nobody reads."""

import io

import pytest

from mlp import cli
from mlp.progress import Progress

RECORDS = [
    {
        "epoch": number,
        "cost": 0.5 / number,
        "validation_cost": 0.4 / number,
        "validation_accuracy": 0.9 + number / 200,
        "seconds": 1.25 * number,
    }
    for number in range(1, 13)
]


class Terminal(io.StringIO):
    """A terminal that remembers what was written to it."""

    def isatty(self):
        return True

    def frames(self):
        """The states that its line went through."""
        return [frame.rstrip() for frame in self.getvalue().replace("\n", "\r").split("\r") if frame.strip()]


@pytest.fixture
def terminal(monkeypatch):
    def make(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        return Terminal()

    return make


@pytest.mark.parametrize(
    ("columns", "start", "figures"),
    [
        (140, "epoch 12/12 |", "cost minimised 0.0417, validation cost 0.0333, validation accuracy 96.00 %"),
        (100, "epoch 12/12 |", "minimised 0.0417, validation 0.0333, 96.00 %"),
        (80, "epoch 12/12 |", "minimised 0.0417, validation 0.0333, 96.00 %"),
        (60, "12/12 |", "0.0417, 0.0333, 96.00 %"),
        (30, "12/12 0.0417", "0.0417, 0.0333, 96.00 %"),
    ],
)
def test_the_bar_fits_into_the_terminal_with_all_its_figures(terminal, columns, start, figures):
    stream = terminal(columns)
    progress = Progress(12, "epoch", stream)
    for record in RECORDS:
        progress.show(record)
    progress.close()
    frames = stream.frames()
    assert max(map(len, frames)) < columns
    assert frames[-1].startswith(start)
    assert frames[-1].endswith(figures)
    if "|" in start:
        assert frames[-1].count("#") >= 10  # as tqdm draws it where an encoding has no blocks


def test_elsewhere_there_is_a_plain_line_for_each_record():
    stream = io.StringIO()
    progress = Progress(12, "epoch", stream)
    progress.show(RECORDS[1])
    progress.show({"epoch": 12, "cost": 2.0, "validation_cost": 1.0, "validation_accuracy": None, "seconds": 3.0})
    progress.close()
    assert stream.getvalue().splitlines() == [
        "epoch  2/12: cost minimised 0.2500, validation cost 0.2000, validation accuracy 91.00 %, 2.5 s",
        "epoch 12/12: cost minimised 2.0000, validation cost 1.0000, 3.0 s",
    ]


def test_quiet_is_quiet(terminal):
    for stream in (terminal(80), io.StringIO()):
        progress = Progress(12, "epoch", stream, quiet=True)
        progress.show(RECORDS[0])
        progress.close()
        assert stream.getvalue() == ""


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_stream_that_was_closed_or_is_not_there_raises_nothing(kind, monkeypatch):
    stream = kind()
    progress = Progress(12, "epoch", stream)
    stream.close()
    progress.show(RECORDS[0])
    progress.close()
    monkeypatch.setattr("sys.stdout", None)
    Progress(12, "epoch").show(RECORDS[0])


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_line_is_wrapped_between_words_on_a_terminal_only(terminal, columns):
    line = "Network: 784-256-10, relu hidden units, softmax output, 203,530 parameters (float32, glorot_uniform, seed 0)"
    lines = cli.wrapped(line, terminal(columns)).splitlines()
    assert max(map(len, lines)) <= columns
    assert all(part.startswith("    ") for part in lines[1:])
    assert " ".join(part.strip() for part in lines) == line
    assert cli.wrapped(line, io.StringIO()) == line
