"""scripts/torture.py, each of its parts in a small setting, and with planted bugs, which it must find."""

import importlib.util
import os
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import mlp
from mlp import checkpoint, train

SCRIPT = Path(__file__).parent.parent / "scripts" / "torture.py"


@pytest.fixture(scope="module")
def torture():
    """The script as a module."""
    description = importlib.util.spec_from_file_location("torture", SCRIPT)
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("part", "count", "expected"),
    [
        ("kills", "3", r"kills survived bit-identically: 3 of 3 runs \(\d+ kills: .+\), \d+ s"),
        ("files", "1000", r"mutated files that escaped: 0 of 1,000, \d+ s"),
        ("offsets", "150", r"checkpoints lost: 0 of 632 failing writes, \d+ s"),
    ],
)
def test_part(tmp_path, part, count, expected):
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "--only", part, f"--{part}", count],
        cwd=tmp_path,
        env=os.environ | {"PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert re.fullmatch(expected, ended.stdout.splitlines()[-1]), ended.stdout
    assert os.listdir(tmp_path) == []


def raises(error, words="{}: what a strange file"):
    def read(path):
        raise error(words.format(path))

    return read


def read_rightly(_path):
    pass


def read_with_a_warning(_path):
    warnings.warn("a strange file", UserWarning, stacklevel=1)


def read_with_too_much_memory(path):
    try:
        raise MemoryError
    except MemoryError as error:
        raise ValueError(f"{path}: is damaged") from error


def read_for_ever(_path):
    while True:
        try:
            sum(range(1000))
        except Exception:
            return


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (read_rightly, None),
        (raises(ValueError), None),
        (raises(TypeError), None),
        (raises(KeyError), "KeyError"),
        (raises(MemoryError), "MemoryError"),
        (raises(RecursionError), "RecursionError"),
        (raises(SystemExit), "SystemExit"),
        (raises(ValueError, "strange"), "doesn't name the file: ValueError: strange"),
        (read_with_too_much_memory, "takes more memory"),
        (read_for_ever, "TookTooLong"),
        (read_with_a_warning, "UserWarning: a strange file"),
    ],
)
def test_every_way_to_escape_is_found(torture, tmp_path, read, said):
    found = torture.escape(read, tmp_path / "file", seconds=0.05)
    assert found is None if said is None else said in found


def test_a_reader_that_reads_wrongly_is_found(torture, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(torture.IDX[0])
    assert torture.escape(torture.read_idx, path) is None
    right = mlp.read_idx
    monkeypatch.setattr(mlp, "read_idx", lambda path, **_: right(path)[::-1])
    assert "other numbers" in torture.escape(torture.read_idx, path)
    mlp.save(path, mlp.MLP([3, 2], seed=0))
    assert torture.escape(torture.read_model, path) is None
    monkeypatch.setattr(mlp, "load", lambda _: mlp.MLP([3, 2], seed=1))
    assert "other parameters" in torture.escape(torture.read_model, path)


def test_files_are_decided_by_their_seed(torture):
    made = [[torture.made_idx(torture.random.Random(f"0 {number}")) for number in range(200)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0]) - set(torture.IDX)) > 150


class Careless:
    """Writes as one shouldn't: into the file itself."""

    def __init__(self, path):
        self.stream = open(path, "wb")  # noqa: SIM115

    def __enter__(self):
        return self.stream

    def __exit__(self, *_):
        self.stream.close()


class Untidy(Careless):
    """Writes a file beside it, and leaves that there."""

    def __init__(self, path):
        super().__init__(path.with_suffix(".part"))


@pytest.mark.parametrize("writer", [Careless, Untidy])
def test_a_write_that_loses_something_is_found(torture, tmp_path, monkeypatch, writer):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ((write_old, write), read) = torture.example_writes()["model"]
    path = tmp_path / "room" / "model.npz"
    path.parent.mkdir()
    write_old(path)
    whole = path.read_bytes()
    monkeypatch.setattr(checkpoint, "atomic_write", writer)
    assert "the directory now holds" in torture.loss(write, read, path, torture.full_after(1000))
    path.write_bytes(whole)
    assert "no error" in torture.loss(write, read, path, torture.failing("fsync", 5))
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


def test_runs_that_differ_are_found(torture, tmp_path, capsys):
    data = torture.small_mnist(tmp_path / "mnist")

    def run(name, *options):
        fixed = [
            "--data",
            str(data),
            "--validation",
            "200",
            "--hidden",
            "4",
            "--no-plots",
            "--quiet",
            "--out",
            str(tmp_path / name),
        ]
        assert train.main([*fixed, *options]) == 0
        return tmp_path / name

    one, again = run("one", "--epochs", "2"), run("again", "--epochs", "2")
    assert torture.difference(one, again) is None
    assert torture.stage(one) == "after the model was written"
    assert "parameters" in torture.difference(one, run("other", "--epochs", "2", "--seed", "1"))
    metrics = again / "metrics.csv"
    metrics.write_text(metrics.read_text(encoding="utf-8").replace("\n2,", "\n3,"), encoding="utf-8")
    assert torture.difference(one, again) == "the metrics differ"
    capsys.readouterr()
