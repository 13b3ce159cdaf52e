"""python -m mlp.sweep on a tiny data set: what is run, what is not run again, and what it ends in."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mlp import sweep


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_digits):
    """A directory with 80 images to learn from and 10 to be tested on."""
    return write_digits(tmp_path_factory.mktemp("digits"), 80, 10)


def words(data, out, *arguments, epochs=1):
    options = f"--data {data} --validation 20 --epochs {epochs}"
    return [str(out), "--options", options, "--jobs", "2", *arguments]


GRID = ("--try", "learning-rate", "0.05", "0.1", "--try", "hidden", "none", "5,4")


def test_a_grid_ends_in_a_table_and_a_figure_and_is_not_run_again(data, tmp_path, capsys):
    out = tmp_path / "sweep"
    assert sweep.main(words(data, out, *GRID)) == 0
    with (out / "sweep.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    tried = {(row["learning_rate"], row["hidden"]) for row in rows}
    assert tried == {("0.05", "none"), ("0.05", "5,4"), ("0.1", "none"), ("0.1", "5,4")}
    accuracies = [float(row["validation_accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert "| learning_rate | hidden | validation_accuracy |" in capsys.readouterr().out
    models = {path: path.stat().st_mtime_ns for path in out.glob("*/model.npz")}
    assert len(models) == 4
    assert sweep.main(words(data, out, *GRID)) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/model.npz")} == models


def test_an_interrupted_sweep_goes_on(data, tmp_path):
    out = tmp_path / "sweep"
    command = [sys.executable, "-m", "mlp.sweep", *words(data, out, *GRID[:4], epochs=200)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    while len(list(out.glob("*/state.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not (out / "sweep.csv").exists()
    begun = {path.name for path in out.iterdir()}
    assert sweep.main(words(data, out, *GRID[:4], epochs=200)) == 0
    assert {path.name for path in out.iterdir()} == begun | {"sweep.csv", "sweep.png"}
    for metrics in out.glob("*/metrics.csv"):
        assert len(metrics.read_text().splitlines()) == 201


def test_what_is_drawn_is_within_its_range_and_drawn_again():
    choices = {"learning_rate": ["0.01", "1"], "hidden": ["none", "5"]}
    trials = sweep.list_trials(choices, ["learning_rate"], 200, seed=1)
    rates = np.array([float(trial["learning_rate"]) for trial in trials])
    assert rates.min() >= 0.01
    assert rates.max() <= 1
    assert 0.4 < np.mean(rates < 0.1) < 0.6  # half of a logarithmic scale
    assert {trial["hidden"] for trial in trials} == {"none", "5"}
    assert sweep.list_trials(choices, ["learning_rate"], 200, seed=1) == trials
    assert sweep.list_trials(choices, ["learning_rate"], 200, seed=2) != trials


def test_runs_on_a_cluster(data, tmp_path):
    out = tmp_path / "sweep"
    assert sweep.main(words(data, out, *GRID[:4], "--cluster", "local")) == 0
    assert len(list(out.glob("*/model.npz"))) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--try: received none"),
        (("--try", "learning-rat", "1"), "did you mean 'learning_rate'?"),
        (("--try", "learning-rate", "-1"), "above 0"),
        (("--try", "momentum", "0.5", "--try", "momentum", "0.9"), "received momentum twice"),
        (("--range", "learning-rate", "0.1", "0.5"), "--draw 20"),
        (("--range", "learning-rate", "0.5", "0.1", "--draw", "2"), "received 0.5 and 0.1"),
    ],
)
def test_what_is_refused(tmp_path, capsys, arguments, said):
    assert sweep.main([str(tmp_path / "none"), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_fails_is_told(tmp_path, capsys):
    assert sweep.main([str(tmp_path / "out"), "--try", "epochs", "1", "--options", "--data /nowhere"]) == 2
    said = capsys.readouterr()
    assert "epochs 1: ended with status 2: python -m mlp.train: error" in said.out
    assert "no run came to an end" in said.err


def test_no_run_is_begun_after_one_that_was_stopped_by_ctrl_c(monkeypatch, tmp_path):
    """The run may end, and its thread look for the next one, before this process hears of the Ctrl-C."""
    begun = []

    def train(_words, place, _threads):
        begun.append(Path(place).name)
        return (0, "") if len(begun) == 1 else (130, "")

    monkeypatch.setattr(sweep, "run_training", train)
    with pytest.raises(KeyboardInterrupt):
        list(sweep.run_all({tmp_path / name: [] for name in "abcd"}, 1))
    assert begun == ["a", "b"]
