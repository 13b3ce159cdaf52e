"""scripts/torture.py with damaged_files.py and damaged_tables.py, each part in a small setting, and with planted bugs, which
it must find."""

import importlib
import os
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import mlp
from mlp import train
from mlp.checkpoint import files as files_on_disk

SCRIPT = Path(__file__).parent.parent / "scripts" / "torture.py"


@pytest.fixture
def torture(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("torture")


@pytest.fixture
def damaged_files(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("damaged_files")


@pytest.mark.parametrize(
    ("part", "count", "expected"),
    [
        ("kills", "1", r"kills survived: 1 of 1 runs \(\d+ kills: .+\), \d+ s"),
        pytest.param("kills", "9", r"kills survived: 9 of 9 runs \(\d+ kills: .+\), \d+ s", marks=pytest.mark.slow),
        ("files", "300", r"mutated files that escaped: 0 of 300 \([1-9]\d* read, [1-9]\d* refused\), \d+ s"),
        ("tables", "150", r"mutated tables that escaped: 0 of 150 \([1-9]\d* read, [1-9]\d* refused\), \d+ s"),
        ("offsets", "50", r"checkpoints lost: 0 of 232 failing writes, \d+ s"),
        ("saves", "96", r"concurrent saves that damaged something: 0 of 96 \([\d,]+ loads\), \d+ s"),
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
    def read(path, *_, **__):
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
        (read_rightly, "read"),
        (raises(ValueError), "refused"),
        (raises(TypeError), "refused"),
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
def test_every_way_to_escape_is_found(damaged_files, tmp_path, read, said):
    came = damaged_files.outcome(read, tmp_path / "file", seconds=0.05)
    assert came == said if said in ("read", "refused") else said in came


def test_a_reader_that_refuses_whole_files_is_found(damaged_files, tmp_path, monkeypatch):
    """As loaders that refuse everything would."""
    assert damaged_files.outcome(raises(ValueError), tmp_path / "file", whole=True).startswith("an undamaged file is refused")
    monkeypatch.setattr(mlp, "load", raises(ValueError))
    monkeypatch.setattr(mlp, "load_state", raises(ValueError))
    monkeypatch.setattr(damaged_files, "ESCAPES", tmp_path / "escapes")
    found, counts = damaged_files.try_files(0, range(25), tmp_path)
    # two models; three states that are read, and three to go on from
    assert len([text for text in found if text.startswith("an undamaged file is refused")]) == 8
    assert counts["escaped"] >= 8
    assert len(list((tmp_path / "escapes").iterdir())) == counts["escaped"]


def test_idx_files_that_are_whole_are_known(damaged_files):
    for content in (*damaged_files.IDX, *damaged_files.GZIP):
        assert damaged_files.idx_content(content) is not None
        assert damaged_files.idx_content(content[:-1]) is None
    assert damaged_files.idx_content(damaged_files.IDX[0] + b"x") is None
    assert damaged_files.idx_content(damaged_files.IDX[1]) == ((5,), bytes(range(10)))


def test_a_minimiser_that_fails_over_an_altered_state_is_found(damaged_files, tmp_path, monkeypatch):
    path = tmp_path / "state"
    states = damaged_files.example_states()
    for state in states:
        path.write_bytes(state)
        assert damaged_files.outcome(damaged_files.resume, path, whole=True) == "read"
    vectors = set().union(*(mlp.load_state(path).arrays for state in states if path.write_bytes(state)))
    assert vectors == {"theta", "safe", "velocity", "m", "v", "best", "average"}
    path.write_bytes(states[0])
    for error, said in (
        (TypeError("unsupported operand"), "resuming: TypeError: unsupported"),
        (ValueError("state: bad"), "refused"),
    ):
        monkeypatch.setattr(mlp, "sgd", raises(type(error), str(error)))
        assert said in damaged_files.outcome(damaged_files.resume, path)


def test_a_reader_that_reads_wrongly_is_found(damaged_files, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(damaged_files.IDX[0])
    assert damaged_files.outcome(damaged_files.read_idx, path) == "read"
    right = mlp.read_idx
    monkeypatch.setattr(mlp, "read_idx", lambda path, **_: right(path)[::-1])
    assert "other numbers" in damaged_files.outcome(damaged_files.read_idx, path)
    mlp.save(path, mlp.MLP([3, 2], seed=0))
    assert damaged_files.outcome(damaged_files.read_model, path) == "read"
    monkeypatch.setattr(mlp, "load", lambda _: mlp.MLP([3, 2], seed=1))
    assert "other parameters" in damaged_files.outcome(damaged_files.read_model, path)


def test_files_are_decided_by_their_seed(damaged_files):
    made = [[damaged_files.made_idx(damaged_files.random.Random(f"0 {number}")) for number in range(200)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0]) - set(damaged_files.IDX)) > 150


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
    path = tmp_path / "room" / "model"
    path.parent.mkdir()
    torture.save_model(path, 0)
    whole = path.read_bytes()
    monkeypatch.setattr(files_on_disk, "atomic_write", writer)
    assert "the directory now holds" in torture.loss(torture.save_model, path, torture.full_after(1000))
    path.write_bytes(whole)
    assert "no error" in torture.loss(torture.save_model, path, torture.failing("fsync", 5))
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


def test_saves_that_get_in_each_others_way_are_found(torture, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files_on_disk, "atomic_write", Careless)
    line, well = torture.saves(400, 0, tmp_path)
    assert not well
    assert "concurrent saves that damaged something: 0 of" not in line
    assert "not a model, or damaged" in capsys.readouterr().out


def test_a_run_of_lbfgs_that_goes_back_is_found(torture, tmp_path):
    (tmp_path / "metrics.csv").write_text("iteration,cost,seconds\n1,0.5,1\n2,0.25,2\n3,0.125,3\n")
    assert torture.went_back(tmp_path, [("between epochs", [0.5]), ("between epochs", [0.5, 0.25])]) is None
    assert "lost" in torture.went_back(tmp_path, [("between epochs", [0.5, 0.2])])
    (tmp_path / "metrics.csv").write_text("cost\n1\n2\n")
    assert "risen" in torture.went_back(tmp_path, [])


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
    stage, costs = torture.stage(one)
    assert stage == "after the model was written"
    assert costs == [float(row["cost"]) for row in torture.metrics(one)]
    assert "parameters" in torture.difference(one, run("other", "--epochs", "2", "--seed", "1"))
    metrics = again / "metrics.csv"
    metrics.write_text(metrics.read_text(encoding="utf-8").replace("\n2,", "\n3,"), encoding="utf-8")
    assert torture.difference(one, again) == "the metrics differ"
    capsys.readouterr()
