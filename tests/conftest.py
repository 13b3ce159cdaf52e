"""What many tests share: small problems, chunks of a few examples, IDX files, refusals, the programs of scripts/.

And how tests are run: one BLAS thread each, and by as many processes as there are cores unless files are named.
"""

import gzip
import os
import re
import runpy
import sys
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as numpy is imported; processes that tests start inherit it

import numpy as np
import pytest

import mlp
import mlp.backprop

SCRIPTS = Path(__file__).parent.parent / "scripts"


def pytest_xdist_auto_num_workers(config):
    """No processes of their own for files that are named one by one: starting them takes longer than most files."""
    named = [Path(name.partition("::")[0]) for name in config.option.file_or_dir]
    return 0 if named and all(path.is_file() for path in named) else min(os.cpu_count() or 1, 8)


@pytest.fixture
def small_chunks(monkeypatch):
    """Four examples at a time in objectives made from now on, so that nine are three chunks."""
    monkeypatch.setattr(mlp.backprop, "CHUNK", 4)
    return 4


@pytest.fixture
def problem():
    """Makes a network with random parameters, biases too, and its objective over random examples.

    y is "labels", "numbers" from 0 to 1, targets themselves, or None for an autoencoder.
    """

    def make(n=9, sizes=(6, 5, 4, 3), hidden="tanh", output="softmax", dtype="float64", y="labels", **settings):
        rng = np.random.default_rng(1)
        net = mlp.MLP(list(sizes), hidden=hidden, output=output, dtype=dtype, seed=1)
        net.theta[:] = 0.5 * rng.standard_normal(net.theta.size)
        X = rng.uniform(0.05, 0.95, (n, sizes[0])).astype(dtype)
        if isinstance(y, str):
            y = rng.integers(0, sizes[-1], n) if y == "labels" else rng.uniform(size=(n, sizes[-1]))
        return net, mlp.Objective(net, X, y, **settings)

    return make


@pytest.fixture
def autoencoder(problem):
    """Makes a network of logistic units that is to return its input, and its objective."""

    def make(n=9, sizes=(6, 4, 5, 6), hidden="logistic", output="logistic", **settings):
        return problem(n, sizes, hidden, output, y=None, **settings)

    return make


@pytest.fixture
def numerical_input_gradient():
    """∂C/∂X by central differences of a cost, a function of X."""

    def differences(cost, X, step=1e-5):
        gradient = np.empty_like(X)
        for place in np.ndindex(X.shape):
            moved = X.copy()
            moved[place] += step
            above = cost(moved)
            moved[place] -= 2 * step
            gradient[place] = (above - cost(moved)) / (2 * step)
        return gradient

    return differences


_IDX_CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


@pytest.fixture(scope="session")
def write_idx():
    """A function (path, array) that writes an IDX file, compressed where the path ends in .gz, and returns the path."""

    def write(path, array):
        array = np.asarray(array)
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = array.astype(array.dtype.newbyteorder(">")).tobytes()
        whole = bytes([0, 0, _IDX_CODES[array.dtype.name], array.ndim]) + sizes + content
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(whole) if path.suffix == ".gz" else whole)
        return path

    return write


@pytest.fixture(scope="session")
def write_digits(write_idx):
    """A function (directory, training, test) that writes so many random images of digits as MNIST's files are."""

    def write(directory, training, test):
        rng = np.random.default_rng(0)
        for name, count in (("train", training), ("t10k", test)):
            write_idx(directory / f"{name}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
            write_idx(directory / f"{name}-labels-idx1-ubyte", rng.integers(0, 10, count).astype(np.uint8))
        return directory

    return write


@pytest.fixture(scope="session")
def refused():
    """A context (kind, *parts): an error of that kind must be raised within, and its message must have all these parts."""

    @contextmanager
    def context(kind, *parts):
        with pytest.raises(kind, match=re.escape(str(parts[0]))) as caught:
            yield
        for part in parts:
            assert str(part) in str(caught.value)

    return context


@pytest.fixture
def run_script(tmp_path, monkeypatch, capsys):
    """A function (name, *arguments) that runs a program of scripts/ in this process, in the test's own directory.

    It returns what the program prints. Its warnings are errors, as everywhere; it must print nothing on stderr.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SCRIPTS)

    def run(name, *arguments):
        path = SCRIPTS / name
        if "add_out(" in path.read_text(encoding="utf-8") and "--out" not in arguments:
            arguments = ("--out", f"{path.stem}.png", *arguments)
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as ended:
            assert not ended.code  # noqa: PT017
        printed, errors = capsys.readouterr()
        assert errors == ""
        return printed

    return run
