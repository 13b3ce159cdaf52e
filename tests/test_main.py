"""`python -m mlp` and `mlp runs`."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mlp
from mlp import runs
from mlp.__main__ import main
from mlp.checkpoint import Run


@pytest.fixture
def command(capsys):
    """Runs the command; returns (status, stdout, stderr)."""

    def run(*words, of=main):
        try:
            status = of([str(word) for word in words])
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return run


def make_run(directory, *, hidden=16, accuracies=(0.5, 0.75, 0.625), tested=0.8125, when=1_700_000_000, **options):
    """A run's directory as the train command leaves it; tested=None: it was stopped."""
    run = Run.create(directory, {"options": {"optimizer": "sgd", "epochs": len(accuracies), **options}})
    for epoch, accuracy in enumerate(accuracies, 1):
        run.append({"epoch": epoch, "cost": 1 / epoch, "validation_cost": 2 / epoch, "validation_accuracy": accuracy})
    net = mlp.MLP([784, hidden, 10], seed=0)
    run.save_model(net, {"test_accuracy": tested, "test_cost": 0.5} if tested is not None else {"message": "interrupted"})
    run.close()
    os.utime(directory / "config.json", (when, when))
    return directory


# The door


def test_version(command):
    assert command("--version") == (0, f"mlp {mlp.__version__}\n", "")


def test_help_names_every_command_there_is(command):
    for words in (["help"], ["--help"], ["-h"]):
        status, out, err = command(*words)
        assert (status, err) == (0, "")
        assert re.findall(r"^  (\w+)", out, re.MULTILINE)[:4] == ["train", "predict", "plots", "runs"]
    status, out, err = command()
    assert (status, out) == (2, "")
    assert err.startswith("usage: mlp COMMAND")


@pytest.mark.parametrize("name", ["train", "predict", "plots", "runs"])
def test_help_of_a_command(command, name):
    found = [command("help", name), command(name, "--help")]
    assert found[0] == found[1]
    status, out, _ = found[0]
    assert status == 0
    assert out.startswith("usage: ")
    assert name in out.splitlines()[0]


@pytest.mark.parametrize(
    ("typed", "meant"), [("trian", "train"), ("prediction", "predict"), ("plot", "plots"), ("run", "runs")]
)
def test_a_misspelt_command_is_told_what_was_meant(command, typed, meant):
    status, out, err = command(typed, "--epochs", "3")
    assert (status, out) == (2, "")
    assert err.startswith(f"mlp: error: command: received '{typed}' (str), but it must be one of train, ")
    assert err.endswith(f"; did you mean '{meant}'?\n")


def test_export_is_there_where_the_package_has_it(command):
    there = (Path(mlp.__file__).parent / "export").is_dir()
    assert ("export" in command("help")[1]) == there


def test_arguments_and_the_status_are_the_commands_own(command, tmp_path):
    status, _, err = command("predict", tmp_path / "nowhere.npz", "x.png")
    assert status == 2
    assert "nowhere.npz" in err


def test_python_m_mlp_and_the_installed_command_are_this():
    done = subprocess.run([sys.executable, "-m", "mlp", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mlp {mlp.__version__}\n"
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"mlp": "mlp.__main__:main"}


# Runs


def table(out):
    """Rows as lists of cells."""
    return [re.split(r" {2,}", line) for line in out.splitlines()]


def test_runs_are_tabulated_the_oldest_first(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/b"), when=1_700_000_000)
    make_run(Path("runs/a"), when=1_700_100_000, hidden=32, optimizer="adam", tested=None, epochs=9)
    Path("runs/no-run").mkdir()
    status, out, err = command(of=runs.main)
    assert (status, err) == (0, "")
    head, first, second = table(out)
    assert head == ["when", "network", "minimiser", "epochs", "best validation", "test", "directory"]
    assert first[1:] == ["784-16-10 relu", "sgd", "3", "75.00 %", "81.25 %", "runs/b"]
    assert second[1:] == ["784-32-10 relu", "adam", "3/9", "75.00 %", "–", "runs/a"]
    assert re.fullmatch(r"2023-11-1[45] \d\d:\d\d", first[0])  # 1,700,000,000 s after 1970


def test_a_run_by_itself_and_one_of_costs_alone(command, tmp_path):
    run = make_run(tmp_path / "run", accuracies=())
    one = Run.resume(run)[0]
    one.append({"epoch": 1, "cost": 3.0, "validation_cost": 2.5, "validation_accuracy": None})
    one.close()
    _, out, _ = command(run, of=runs.main)
    assert table(out)[1][4] == "2.5"


def test_a_regression_is_told_by_its_error(command, tmp_path):
    run = make_run(tmp_path / "run", tested=None)
    mlp.save(
        run / "model.npz", mlp.MLP([13, 1], output="identity", seed=0), {"test_cost": 3.5, "test_rmse": 4.25, "test_r2": 0.5}
    )
    _, out, _ = command(run, of=runs.main)
    assert (table(out)[1][1], table(out)[1][5]) == ("13-1", "±4.25")


def test_a_run_that_has_just_begun_is_listed(command, tmp_path):
    Run.create(tmp_path / "run", {"options": {"optimizer": "sgd", "epochs": 5}}).close()
    status, out, err = command(tmp_path, of=runs.main)
    assert (status, err) == (0, "")
    assert table(out)[1][1:] == ["–", "sgd", "–", "–", "–", str(tmp_path / "run")]


@pytest.mark.parametrize("content", [b"", b"\0\xff not this", b"[1, 2]"])
def test_damaged_runs_are_listed_with_question_marks_and_reasons(command, tmp_path, content):
    make_run(tmp_path / "good")
    for name in ("config.json", "metrics.csv", "model.npz"):
        make_run(tmp_path / f"bad {name}")
        (tmp_path / f"bad {name}" / name).write_bytes(content)
    status, out, err = command(tmp_path, of=runs.main)
    assert status == 0
    assert len(out.splitlines()) == 5
    lines = {row[-1]: row for row in table(out)}
    assert "?" not in lines[str(tmp_path / "good")]
    for name in ("config.json", "metrics.csv", "model.npz"):
        assert "?" in lines[str(tmp_path / f"bad {name}")]
        assert f"{tmp_path / f'bad {name}'}" in err
    assert all(line.startswith("mlp runs: ") for line in err.splitlines())


@pytest.mark.parametrize(("name", "message"), [("nowhere", "there is no such directory"), ("", "no runs there")])
def test_no_runs_is_an_error(command, tmp_path, name, message):
    status, out, err = command(tmp_path / name, of=runs.main)
    assert (status, out) == (2, "")
    assert message in err
