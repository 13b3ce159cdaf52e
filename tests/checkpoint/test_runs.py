"""Runs' directories: what is written there, who may write, and what is found where a run was killed."""

import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mlp
from mlp.checkpoint import Run, atomic_write, load, load_notes, read_configuration, runs


def state(epochs):
    history = [{"epoch": epoch, "cost": 1 / epoch} for epoch in range(1, epochs + 1)]
    return mlp.State("sgd", {"theta": np.zeros(3)}, {"history": history})


@pytest.mark.parametrize("there", [False, True])
def test_a_run_writes_its_configuration_metrics_and_model(tmp_path, there):
    directory = tmp_path / "runs" / "first"
    if there:
        directory.mkdir(parents=True)
    run = Run.create(str(directory), {"hidden": [256], "activation": "relu", "note": "σ, δ"})
    assert sorted(os.listdir(directory)) == [".lock", "config.json"]
    assert json.loads((directory / "config.json").read_text("utf-8")) == {"hidden": [256], "activation": "relu", "note": "σ, δ"}
    run.append({"epoch": 1, "cost": 0.1 + 0.2, "validation_cost": None})
    assert (directory / "metrics.csv").read_text("utf-8").count("\n") == 2  # on the disk as soon as the epoch ends
    run.append({"validation_cost": 1e-300, "epoch": 2, "cost": float("nan")})  # another order: the columns stay
    with (directory / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        table = list(csv.reader(stream))
    # the shortest decimals that are read back as the same numbers
    assert table == [["epoch", "cost", "validation_cost"], ["1", "0.30000000000000004", ""], ["2", "nan", "1e-300"]]
    net = mlp.MLP([4, 2], seed=0)
    assert run.save_model(net, notes=7) == directory / "model.npz"
    assert load(directory / "model.npz").theta.tobytes() == net.theta.tobytes()
    assert load_notes(directory / "model.npz") == 7
    assert sorted(os.listdir(directory)) == [".lock", "config.json", "metrics.csv", "model.npz"]


def test_a_run_overwrites_nothing(tmp_path, refused):
    (tmp_path / "config.json").write_bytes(b"an earlier run's")
    with refused(FileExistsError, f"{tmp_path}: holds files already", "must be new or empty"):
        Run.create(tmp_path, {})
    assert (tmp_path / "config.json").read_bytes() == b"an earlier run's"
    with refused(FileExistsError, tmp_path / "config.json"):
        Run.create(tmp_path / "config.json", {})
    assert os.listdir(tmp_path) == ["config.json"]


@pytest.mark.parametrize(("directory", "kind"), [("", ValueError), (None, TypeError), (3, TypeError)])
def test_what_is_no_directory(directory, kind, refused):
    for act in (lambda: Run.create(directory, {}), lambda: Run.resume(directory), lambda: read_configuration(directory)):
        with refused(kind, "directory: received "):
            act()
    with refused(kind, "base: received "):
        Run.create_dated(directory, {})


def test_runs_that_begin_in_the_same_second_have_directories_of_their_own(tmp_path, monkeypatch):
    class Clock:
        @staticmethod
        def now():
            return runs_datetime(2025, 1, 31, 23, 59, 59)

    runs_datetime = runs.datetime
    monkeypatch.setattr(runs, "datetime", Clock)
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda number: Run.create_dated(tmp_path / "runs", {"options": {"number": number}}), range(8)))
    names = ["2025-01-31-235959", *(f"2025-01-31-235959-{number}" for number in range(2, 9))]
    assert sorted(run.directory.name for run in begun) == names
    assert [read_configuration(run.directory)["options"]["number"] for run in begun] == list(range(8))


def test_of_many_that_begin_a_run_in_one_directory_one_does(tmp_path):
    def begin(number):
        try:
            return Run.create(tmp_path / "run", {"options": {"number": number}})
        except (FileExistsError, BlockingIOError):
            return None

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            begun = [run for run in pool.map(begin, range(8)) if run is not None]
        assert len(begun) == 1
        begun[0].close()
        for path in begun[0].directory.iterdir():
            path.unlink()


def test_a_run_that_could_not_begin_can_be_begun_again(tmp_path, refused):
    with refused(TypeError, "not JSON serializable"):
        Run.create(tmp_path, {"options": object()})
    Run.create(tmp_path, {"options": {}}).close()


def test_a_run_belongs_to_one_writer_until_it_is_closed(tmp_path, refused):
    run = Run.create(tmp_path, {"options": {}})
    with refused(BlockingIOError, f"{tmp_path}: another process is writing this run"):
        Run.resume(tmp_path)
    run.close()
    Run.resume(tmp_path)[0].close()


def test_a_resumed_run_has_the_metrics_of_its_state(tmp_path):
    run = Run.create(tmp_path, {"options": {"epochs": 9}})
    for record in state(3).facts["history"]:
        run.append(record)
    run.save_state(state(2))
    run.close()
    run, configuration, found = Run.resume(tmp_path)
    assert configuration == {"options": {"epochs": 9}}
    assert found.facts == state(2).facts
    run.append({"epoch": 3, "cost": 0.25})
    assert (tmp_path / "metrics.csv").read_text().split() == ["epoch,cost", "1,1.0", "2,0.5", "3,0.25"]
    run.close()
    (tmp_path / "state.npz").unlink()  # as if it had been stopped before it first saved one
    run, _, found = Run.resume(tmp_path)
    assert found is None
    assert not (tmp_path / "metrics.csv").exists()


def test_a_run_whose_state_is_damaged_is_let_go(tmp_path, refused):
    Run.create(tmp_path, {"options": {}}).close()
    (tmp_path / "state.npz").write_bytes(b"damaged")
    for _ in range(2):  # the second time it isn't locked either
        with refused(ValueError, f"{tmp_path / 'state.npz'}: not a state, or damaged"):
            Run.resume(tmp_path)


def test_only_what_a_killed_process_left_is_cleaned_up(tmp_path):
    Run.create(tmp_path, {"options": {}}).close()
    killed = (
        "import os, sys\nfrom mlp.checkpoint import atomic_write\nwith atomic_write(sys.argv[1]):\n    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path / "state.npz")], check=False)
    assert len(list(tmp_path.glob(".state.npz.*.part"))) == 1
    with atomic_write(tmp_path / "picture.png") as stream:  # another thread's, say
        stream.write(b"all of it")
        run, _, _ = Run.resume(tmp_path)
        assert [part.name.split(".")[1] for part in tmp_path.glob(".*.part")] == ["picture"]
    assert (tmp_path / "picture.png").read_bytes() == b"all of it"
    run.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"options": 3}', b"\xff\xfe", b"[" * 100_000], ids=range(7))
def test_a_damaged_configuration(tmp_path, content, refused):
    (tmp_path / "config.json").write_bytes(content)
    with refused(ValueError, f"{tmp_path / 'config.json'}: not a run's configuration, or damaged"):
        read_configuration(tmp_path)


def test_a_configuration_that_is_no_file(tmp_path, refused):
    with refused(FileNotFoundError, f"{tmp_path}: no run to go on with: it has no config.json"):
        read_configuration(tmp_path)
    os.mkfifo(tmp_path / "config.json")
    with refused(ValueError, f"{tmp_path / 'config.json'}: is a pipe"):
        read_configuration(tmp_path)
