"""What the tests of `python -m mlp.train` share: a tiny MNIST, and `runs`, which trains on it, interrupted or not.

Most runs are in this process, with something planted in one of their steps: `runs.at_step`. What is compared with is the
same run left alone: `runs.whole`.
"""

import csv
import itertools
import shlex
import signal
import struct
from contextlib import contextmanager
from pathlib import Path

import pytest

import mlp
from mlp import train

MNIST = Path(__file__).parents[2] / "data" / "mnist"


def write_first_images(directory, training, test):
    """MNIST's first images as a data set of their own."""
    for name, count in (("train", training), ("t10k", test)):
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            array = mlp.read_idx(MNIST / f"{name}-{kind}.gz")[:count]
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (directory / f"{name}-{kind}").write_bytes(header + array.tobytes())
    return directory


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A directory with 1,200 training and 300 test images."""
    return write_first_images(tmp_path_factory.mktemp("small-mnist"), 1200, 300)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A directory with 120 training images, 20 of them for validation, and 30 test images."""
    return write_first_images(tmp_path_factory.mktemp("tiny-mnist"), 120, 30)


@pytest.fixture(scope="session")
def parts_of():
    """A function of the parts that the command makes of a directory of images that aren't all of MNIST."""

    def parts(directory, validation, seed=0):
        training, test = mlp.data.read_idx_directory(directory)
        return *training.split(validation, seed), test

    return parts


class Runs:
    """Runs of the command on the tiny MNIST."""

    def __init__(self, data, room):
        self.data = data
        self.room = room
        self.made = {}

    def words(self, out, text):
        return ["--data", str(self.data), "--validation", "20", "--no-plots", "--out", str(out), *shlex.split(text)]

    @staticmethod
    def status(*arguments):
        """The command's exit status, however it comes out."""
        try:
            return train.main([str(argument) for argument in arguments])
        except SystemExit as exit_status:
            return exit_status.code

    def resume(self, out, *more):
        return self.status("--resume", out, "--no-plots", "--quiet", *more)

    def whole(self, text):
        """The directory of the uninterrupted run with those options, made once."""
        if text not in self.made:
            self.made[text] = self.room / str(len(self.made))
            assert self.status(*self.words(self.made[text], text), "--quiet") == 0
        return self.made[text]

    @staticmethod
    @contextmanager
    def at_step(number, act):
        """While it lasts, `act` is done in the training's step of that number (evaluation, of lbfgs), counted from 1."""
        count = itertools.count(1)
        plain = mlp.Objective.accumulate

        def accumulate(self, *arguments):
            if next(count) == number:
                act()
            return plain(self, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mlp.Objective, "accumulate", accumulate)
            yield

    def killed_at(self, number, *signals):
        """`at_step`, with those signals sent to this process."""

        def act():
            for one in signals:
                signal.raise_signal(one)

        return self.at_step(number, act)

    @staticmethod
    def metrics(out):
        """The records of metrics.csv, but for the seconds."""
        with (out / "metrics.csv").open(encoding="utf-8", newline="") as table:
            return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(table)]

    @staticmethod
    def files(out):
        return {path.name: path.read_bytes() for path in out.iterdir() if path.name != ".lock" and path.is_file()}

    def assert_same(self, out, text):
        """The run has left the model that the uninterrupted one left, to the byte, its best model and its metrics."""
        whole = self.whole(text)
        assert (out / "model.npz").read_bytes() == (whole / "model.npz").read_bytes()
        assert mlp.load(out / "best.npz").theta.tobytes() == mlp.load(whole / "best.npz").theta.tobytes()
        assert self.metrics(out) == self.metrics(whole)
        assert not list(out.glob(".*.part"))

    @staticmethod
    def error_line(text):
        (line,) = text.splitlines()
        assert line.startswith("python -m mlp.train: error: ")
        return line


@pytest.fixture(scope="session")
def runs(tiny, tmp_path_factory):
    return Runs(tiny, tmp_path_factory.mktemp("whole"))


@pytest.fixture
def start(runs, tmp_path):
    """Starts a run in this process: (status, directory)."""

    def run(text, out="run"):
        return runs.status(*runs.words(tmp_path / out, text)), tmp_path / out

    return run


@pytest.fixture
def signals_as_usual():
    """Ctrl-C as usual, whatever the tests were started from; and the command leaves it and SIGTERM as they were."""

    def unexpected(*_):
        raise AssertionError("SIGTERM came where the command doesn't take care of it")

    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, unexpected)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is unexpected
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])
