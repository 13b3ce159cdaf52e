"""A tiny MNIST, and the places where MNIST is looked for."""

import sys

import numpy as np
import pytest

from mlp.data import delimited, mnist


@pytest.fixture(scope="session")
def tiny_mnist():
    """A function (mark) of the four files' arrays: five training and three test examples. The first label is `mark`.

    Every pixel of a training image is 0, 1, … 4, of a test image 100, 101, 102.
    """

    def images(first, last):
        return np.tile(np.arange(first, last, dtype=np.uint8)[:, None, None], (1, 28, 28))

    def four_files(mark=0):
        train_y, test_y = np.array([mark, 1, 2, 3, 9], np.uint8), np.array([7, 8, 0], np.uint8)
        return dict(zip(mnist.MNIST, (images(0, 5), train_y, images(100, 103), test_y), strict=True))

    return four_files


@pytest.fixture
def put(write_idx):
    """A function that writes files, {name: array or bytes}, into a directory, and returns it."""

    def put_files(directory, files):
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if isinstance(content, bytes):
                (directory / name).write_bytes(content)
            else:
                write_idx(directory / name, content)
        return directory

    return put_files


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The places where MNIST is looked for, all of them in the test's own directory and not there yet; no mirrors."""
    monkeypatch.setenv("MLP_DATA", str(tmp_path / "variable"))
    monkeypatch.setattr(mnist, "__file__", str(tmp_path / "checkout" / "mlp" / "data" / "mnist.py"))
    monkeypatch.setattr(mnist, "cache_directory", lambda: tmp_path / "cache")
    monkeypatch.setattr(mnist, "MIRRORS", ())
    return {
        "variable": tmp_path / "variable",
        "checkout": tmp_path / "checkout" / "data",
        "cache": tmp_path / "cache",
        "given": tmp_path / "given",
    }


@pytest.fixture
def use_parser(monkeypatch):
    """A function (name) that has CSV read by pyarrow, by pandas, or by numpy alone, however small the file is."""

    def use(name):
        if name != "numpy":
            pytest.importorskip(name)
        for other in {"pyarrow": [], "pandas": ["pyarrow"], "numpy": ["pyarrow", "pandas"]}[name]:
            monkeypatch.setitem(sys.modules, other, None)  # as if it weren't installed
        monkeypatch.setattr(delimited, "FEW", 0)

    return use
