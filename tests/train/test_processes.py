"""`python -m mlp.train` in processes of its own: SIGKILL, full disks, lost directories, outputs that nobody reads."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp.checkpoint import Run

STEPS, EPOCHS = 7, 3
OPTIONS = f"--hidden 8 --batch-size 16 --epochs {EPOCHS}"
MOMENTUM = f"{OPTIONS} --dtype float64"

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are POSIX's"),
    pytest.mark.usefixtures("signals_as_usual"),
]


# Other processes


CHILD = """
import itertools, os, pathlib, resource, shutil, signal, sys, time
import mlp
from mlp import checkpoint, train
from mlp.checkpoint import files

where, number, act, *arguments = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
acts = {}
acts["kill"] = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

def half(stream, vectors):
    stream.write(b"PK" * 999)
    stream.flush()
    acts["kill"]()

def full(*_, **__):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3].partition(":")[2]), resource.RLIM_INFINITY))

def wait(*_):
    before = signal.getsignal(signal.SIGINT)
    print("waiting", flush=True)
    while signal.getsignal(signal.SIGINT) is before:
        time.sleep(0.005)
    print("noted", flush=True)
    sys.stdin.readline()

acts.update(half=half, full=full, wait=wait)
owners = {"accumulate": mlp.Objective, "write_members": files, "fsync": os}
owner = {**owners, "replace": pathlib.Path, "append": checkpoint.Run}[where]
plain, count = getattr(owner, where), itertools.count(1)

def planted(*given, **named):
    if next(count) == int(number):
        acts[act.partition(":")[0]](*given, **named)
    return plain(*given, **named)

setattr(owner, where, planted)
sys.exit(train.main(arguments))
"""


@contextmanager
def child(runs, out, text, where, number, act):
    """A process of its own that trains, and does the act in the call of that number to what is named."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CHILD, where, str(number), act, *runs.words(out, text)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # if a test has failed, it may be waiting still


@pytest.mark.parametrize(
    ("where", "number", "act", "epochs"),
    [
        ("accumulate", 3, "kill", 0),  # in the first epoch, before anything was saved
        ("append", 2, "kill", 1),  # before the second epoch's metrics are written
        ("write_members", 4, "half", 1),  # in the middle of the second epoch's state, after its best model
        ("replace", 5, "kill", 1),  # when that was complete, but had not got its name
        ("accumulate", 2 * STEPS + 4, "kill", 2),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(where, number, act, epochs, runs, tmp_path):
    text = MOMENTUM
    out = tmp_path / "run"
    with child(runs, out, text, where, number, act) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (mlp.load_state(out / "state.npz").facts["epoch"] if (out / "state.npz").exists() else 0) == epochs
    for name in ("best.npz", "model.npz"):
        assert not (out / name).exists() or mlp.load(out / name)
    assert runs.resume(out) == 0
    runs.assert_same(out, MOMENTUM)


def test_killed_before_the_configuration_was_written_there_is_nothing_to_go_on_with(runs, tmp_path, capsys):
    out = tmp_path / "run"
    with child(runs, out, MOMENTUM, "replace", 1, "kill") as process:
        process.communicate()
    assert runs.resume(out) == 2
    assert f"{out}: no run to go on with" in runs.error_line(capsys.readouterr().err)
    assert runs.status(*runs.words(out, MOMENTUM), "--quiet") == 0
    runs.assert_same(out, MOMENTUM)


def test_two_processes_in_one_directory_and_two_ctrl_c(runs, tmp_path, capsys):
    out = tmp_path / "run"
    with child(runs, out, MOMENTUM, "accumulate", STEPS + 2, "wait") as process:
        while process.stdout.readline().strip() != "waiting":
            assert process.poll() is None
        before = runs.files(out)
        for arguments in (["--resume", out, "--no-plots"], runs.words(out, MOMENTUM)):
            assert runs.status(*arguments) == 2
            line = runs.error_line(capsys.readouterr().err)
            assert str(out) in line
            assert ("another process is writing this run" if "--resume" in arguments else "holds files already") in line
            assert runs.files(out) == before
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline().strip() == "noted"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "python -m mlp.train: interrupted\n")
    assert runs.files(out) == before
    assert runs.resume(out) == 0
    runs.assert_same(out, MOMENTUM)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_finishes_the_step_in_hand_and_leaves_with_its_status(number, status, runs, tmp_path):
    out = tmp_path / "run"
    with child(runs, out, f"{OPTIONS} --optimizer adam --activation tanh", "accumulate", STEPS + 2, "wait") as process:
        while process.stdout.readline().strip() != "waiting":
            assert process.poll() is None
        process.send_signal(number)
        if number == signal.SIGTERM:  # whose note takes Ctrl-C back too
            assert process.stdout.readline().strip() == "noted"
        printed, errors = process.communicate("go on\n")
    assert (process.returncode, errors) == (status, "")
    assert printed.splitlines()[-1].endswith(f"To go on: {shlex.join(['python', '-m', 'mlp.train', '--resume', str(out)])}")
    assert mlp.load_state(out / "state.npz").facts["steps"] == STEPS + 2
    assert runs.resume(out) == 0
    runs.assert_same(out, f"{OPTIONS} --optimizer adam --activation tanh")


def test_a_run_that_is_open_in_a_script_is_refused_and_can_be_had_once_it_is_closed(start, capsys, runs):
    _, out = start(OPTIONS)
    run, configuration, state = Run.resume(out)
    assert configuration["options"]["hidden"] == [8]
    assert len(state.facts["history"]) == EPOCHS
    capsys.readouterr()
    assert runs.resume(out) == 2
    assert f"{out}: another process is writing this run" in runs.error_line(capsys.readouterr().err)
    run.close()
    assert runs.resume(out) == 0


# Disks


@pytest.mark.parametrize(
    ("where", "number", "limit"),
    [
        ("accumulate", STEPS + 2, 0),
        ("accumulate", STEPS + 2, 150),  # metrics.csv can't take its second line whole
        ("accumulate", STEPS + 2, 30_000),  # not the best model
        ("accumulate", STEPS + 2, 100_000),  # not the state
        ("write_members", 2 * EPOCHS + 1, 1000),  # only the model at the end is too much
    ],
)
def test_a_full_disk_is_one_line_and_what_was_there_is_whole(where, number, limit, runs, tmp_path):
    out = tmp_path / "run"
    with child(runs, out, MOMENTUM, where, number, f"full:{limit}") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "too large" in runs.error_line(errors)
    assert str(out) in errors
    mlp.load_state(out / "state.npz")
    mlp.load(out / "best.npz")
    assert not list(out.glob(".*.part"))
    assert runs.resume(out) == 0
    runs.assert_same(out, MOMENTUM)


def test_a_full_disk_at_the_start(runs, tmp_path):
    out = tmp_path / "run"
    with child(runs, out, MOMENTUM, "fsync", 1, "full:0") as process:
        process.communicate()
    assert process.returncode == 2
    with child(runs, tmp_path / "other", MOMENTUM, "replace", 1, "full:0") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    runs.error_line(errors)
    assert json.loads((tmp_path / "other" / "config.json").read_text())


def test_a_directory_that_vanishes_during_the_run(start, tmp_path, capsys, runs):
    with runs.at_step(STEPS + 2, lambda: shutil.rmtree(tmp_path / "run")):
        status, out = start(OPTIONS)
    assert status == 2
    assert str(out) in runs.error_line(capsys.readouterr().err)
    assert not out.exists()


@pytest.mark.parametrize("name", ["metrics.csv", "best.npz", "state.npz", "model.npz"])
def test_a_file_that_cannot_be_replaced(name, start, tmp_path, capsys, runs):
    """Something else, a directory, has got the file's name."""
    out = tmp_path / "run"

    def act():
        (out / name).unlink(missing_ok=True)
        (out / name).mkdir()

    with runs.at_step(STEPS + 2, act):
        status, _ = start(OPTIONS)
    assert status == 2
    assert name in runs.error_line(capsys.readouterr().err)
    assert not list(out.glob(".*.part"))
    for other in {"best.npz", "state.npz"} - {name}:
        assert (mlp.load_state if other == "state.npz" else mlp.load)(out / other)


@pytest.mark.parametrize("below", ["", "run", "deep/run"])
def test_a_file_in_place_of_the_directory(below, start, tmp_path, capsys, runs):
    (tmp_path / "file").write_text("mine")
    status, out = start(OPTIONS, Path("file") / below)
    assert status == 2
    assert str(out) in runs.error_line(capsys.readouterr().err)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory(start, tmp_path, capsys, runs):
    (tmp_path / "locked").mkdir(mode=0o500)
    status, out = start(OPTIONS, "locked/run")
    assert status == 2
    assert str(out) in runs.error_line(capsys.readouterr().err)
    _, out = start(OPTIONS)
    capsys.readouterr()
    before = runs.files(out)
    out.chmod(0o500)
    assert runs.resume(out) == 2
    runs.error_line(capsys.readouterr().err)
    out.chmod(0o700)
    assert runs.files(out) == before


# Where else a run may find itself


def test_a_run_that_finished_no_epoch_is_resumed_and_drawn(runs, tmp_path, capsys):
    assert runs.status(*runs.words(tmp_path / "run", f"{OPTIONS} --learning-rate 1e30")) == 1
    pictures = {"features.png", "confusion.png", "mistakes.png"}  # curves there are none
    capsys.readouterr()
    assert runs.status("--resume", tmp_path / "run") == 1
    assert "diverged: " in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == pictures


def test_a_resumed_run_is_drawn_with_all_its_epochs(start, runs):
    with runs.killed_at(STEPS + 3, signal.SIGTERM):
        _, out = start(OPTIONS)
    assert not list(out.glob("*.png"))
    assert runs.status("--resume", out, "--quiet") == 0
    assert len(list(out.glob("*.png"))) == 4


def test_in_another_thread_there_are_no_signals_to_see_to(start, runs):
    done = []
    thread = threading.Thread(target=lambda: done.append(start(MOMENTUM)))
    thread.start()
    thread.join()
    ((status, out),) = done
    assert status == 0
    runs.assert_same(out, MOMENTUM)


class BrokenPipe(io.StringIO):
    """An output that nobody reads any more, as `head` leaves it."""

    def write(self, _text):
        raise BrokenPipeError


def test_a_run_goes_on_when_nobody_reads_what_it_prints(start, runs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", BrokenPipe())
        status, out = start(MOMENTUM)
    assert status == 0
    runs.assert_same(out, MOMENTUM)


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", ">&- 2>&-"])
def test_a_run_goes_on_when_what_it_prints_cannot_be_written(redirection, runs, tmp_path):
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = shlex.join([sys.executable, "-W", "error", "-m", "mlp.train", *runs.words(tmp_path / "run", MOMENTUM)])
    ended = subprocess.run(f"{words} {redirection}", shell=True, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    runs.assert_same(tmp_path / "run", MOMENTUM)


def test_a_run_that_diverges_keeps_its_status_where_nothing_can_be_said(runs, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        for name in ("stdout", "stderr"):
            patch.setattr(sys, name, BrokenPipe())
        assert runs.status(*runs.words(tmp_path / "run", f"{OPTIONS} --learning-rate 1e30")) == 1
    assert np.isfinite(mlp.load(tmp_path / "run" / "model.npz").theta).all()
