"""`python -m mlp.train` interrupted: Ctrl-C, SIGTERM, SIGKILL, full disks, lost directories, damaged runs; and --resume.

Most runs here are in this process, with something planted in one of their steps: `at_step`. What ends a process, or needs
another one, runs `CHILD`, with the same planted in it. What is compared with is the same run left alone: `whole`.
"""

import csv
import io
import itertools
import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp import train
from mlp.checkpoint import Run
from mlp.checkpoint import files as files_on_disk

MNIST = Path(__file__).parent.parent / "data" / "mnist"

#: 100 training images in batches of 16 are 7 steps an epoch.
STEPS, EPOCHS = 7, 3
OPTIONS = f"--hidden 8 --batch-size 16 --epochs {EPOCHS}"
RULES = {
    "plain": f"{OPTIONS} --momentum 0",
    "momentum": f"{OPTIONS} --dtype float64",
    "nesterov": f"{OPTIONS} --nesterov --schedule step:0.5:1",
    "adam": f"{OPTIONS} --optimizer adam --activation tanh",
    "noise": f"{OPTIONS} --distort elastic,affine --dropout 0.1,0.2 --max-norm 2 --average 2",
    "full": f"--hidden 8 --batch-size full --epochs {EPOCHS * STEPS}",
    "patience": f"{OPTIONS} --patience 1 --epochs 40 --learning-rate 0.5 --schedule constant",
}
LBFGS = "--hidden 8 --optimizer lbfgs --epochs 12"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are POSIX's")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A directory with MNIST's first 120 training images, 20 of them for validation, and 30 test images."""
    directory = tmp_path_factory.mktemp("tiny-mnist")
    for name, count in (("train", 120), ("t10k", 30)):
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            array = mlp.read_idx(MNIST / f"{name}-{kind}.gz")[:count]
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (directory / f"{name}-{kind}").write_bytes(header + array.tobytes())
    return directory


def words(small, out, text):
    return ["--data", str(small), "--validation", "20", "--no-plots", "--out", str(out), *shlex.split(text)]


def status_of(arguments):
    """The command's exit status, however it comes out."""
    try:
        return train.main([str(argument) for argument in arguments])
    except SystemExit as exit_status:
        return exit_status.code


@pytest.fixture
def start(small, tmp_path):
    """Starts a run in this process: (status, directory)."""

    def run(text, out="run"):
        return status_of(words(small, tmp_path / out, text)), tmp_path / out

    return run


@pytest.fixture(scope="session")
def whole(small, tmp_path_factory):
    """The directory of the uninterrupted run with those options, made once."""
    made = {}

    def run(text):
        if text not in made:
            made[text] = tmp_path_factory.mktemp("whole") / "run"
            assert status_of([*words(small, made[text], text), "--quiet"]) == 0
        return made[text]

    return run


def resume(out, *more):
    return status_of(["--resume", out, "--no-plots", "--quiet", *more])


@pytest.fixture(autouse=True)
def handlers():
    """Ctrl-C as usual, whatever the tests were started from; and the command leaves it and SIGTERM as they were."""

    def unexpected(*_):
        raise AssertionError("SIGTERM came where the command doesn't take care of it")

    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, unexpected)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is unexpected
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


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


def kill(*signals):
    """What at_step may do: send this process those signals."""

    def act():
        for number in signals:
            signal.raise_signal(number)

    return act


def metrics(out):
    with (out / "metrics.csv").open(encoding="utf-8", newline="") as table:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(table)]


def files(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != ".lock" and path.is_file()}


def same_run(out, other):
    """Both runs have left the same model, to the byte, the same best model and the same metrics."""
    assert (out / "model.npz").read_bytes() == (other / "model.npz").read_bytes()
    assert mlp.load(out / "best.npz").theta.tobytes() == mlp.load(other / "best.npz").theta.tobytes()
    assert metrics(out) == metrics(other)
    assert not list(out.glob(".*.part"))


def one_error_line(text):
    (line,) = text.splitlines()
    assert line.startswith("python -m mlp.train: error: ")
    return line


# Ctrl-C and SIGTERM


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("rule", RULES)
def test_interrupted_and_resumed_equals_uninterrupted(rule, number, status, start, whole, capsys):
    with at_step(10, kill(number)):
        assert start(RULES[rule], "my run")[0] == status
    last = capsys.readouterr().out.splitlines()[-1]
    told, command = last.split(" To go on: ")
    epoch = 10 if rule == "full" else 2
    assert told == f"Stopped: interrupted by {number.name} in epoch {epoch}."
    resumption = shlex.split(command)
    assert resumption[:4] == ["python", "-m", "mlp.train", "--resume"]
    out = Path(resumption[4])
    state = mlp.load_state(out / "state.npz")
    assert len(state.facts["history"]) == epoch - 1 == len(metrics(out))
    assert state.facts["steps"] == 10  # the step in hand was finished
    left = state.arrays["average" if rule == "noise" else "theta"]
    assert mlp.load(out / "model.npz").theta.tobytes() == left.tobytes()

    assert status_of([*resumption[3:], "--no-plots"]) == 0
    printed = capsys.readouterr().out
    assert f"Going on with {out} after {epoch - 1} epoch" in printed
    same_run(out, whole(RULES[rule]))


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 1, EPOCHS * STEPS])
def test_interrupted_at_the_edges_of_epochs(step, start, whole):
    with at_step(step, kill(signal.SIGINT)):
        status, out = start(RULES["momentum"])
    assert status == 130
    assert resume(out) == 0
    same_run(out, whole(RULES["momentum"]))


def test_interrupted_again_and_again(start, whole):
    with at_step(4, kill(signal.SIGTERM)):
        status, out = start(RULES["adam"])
    for _ in range(4):
        assert status == 143
        with at_step(4, kill(signal.SIGTERM)):
            status = resume(out)
    assert resume(out) == 0
    same_run(out, whole(RULES["adam"]))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("patience", ["", "--patience 20"])
def test_lbfgs_interrupted_goes_on_never_with_a_higher_cost(number, status, patience, start, capsys):
    with at_step(6, kill(number)):
        assert start(f"{LBFGS} {patience}")[0] == status
    out = Path(shlex.split(capsys.readouterr().out.splitlines()[-1])[-1])
    before = metrics(out)
    assert status_of(["--resume", out, "--no-plots"]) == 0
    printed = capsys.readouterr().out
    assert "without the memory of the steps before it" in printed
    after = metrics(out)
    costs = [float(row["cost"]) for row in after]
    assert after[: len(before)] == before
    assert len(after) > len(before) > 0
    assert costs == sorted(costs, reverse=True)
    assert [row["iteration"] for row in after] == [str(number) for number in range(1, len(after) + 1)]


def test_lbfgs_interrupted_in_its_first_evaluation_keeps_where_it_got(start):
    with at_step(1, kill(signal.SIGINT)):
        status, out = start(LBFGS)
    assert status == 130
    assert len(metrics(out)) == 1
    assert resume(out) == 0


def test_a_second_ctrl_c_leaves_at_once_with_the_last_state_whole(start, whole, tmp_path, capsys):
    out = tmp_path / "run"
    saved = {}

    def twice():
        saved.update(files(out))
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one should have ended the run")

    with at_step(STEPS + 3, twice):
        assert start(RULES["nesterov"])[0] == 130
    assert capsys.readouterr().err == "python -m mlp.train: interrupted\n"
    assert files(out) == saved
    assert mlp.load_state(out / "state.npz").facts["epoch"] == 1
    assert resume(out) == 0
    same_run(out, whole(RULES["nesterov"]))


def test_a_second_ctrl_c_in_the_middle_of_the_save_leaves_the_state_before_it(start, whole, tmp_path):
    out = tmp_path / "run"
    saved = {}
    plain = files_on_disk.write_members

    def write_members(stream, vectors):
        if "velocity" in vectors and saved:
            stream.write(b"half")
            signal.raise_signal(signal.SIGINT)
        plain(stream, vectors)

    def first():
        saved.update(files(out))
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch, at_step(2 * STEPS + 3, first):
        patch.setattr(files_on_disk, "write_members", write_members)
        assert start(RULES["momentum"])[0] == 130
    assert files(out) == saved
    assert not list(out.glob(".*.part"))
    assert resume(out) == 0
    same_run(out, whole(RULES["momentum"]))


def test_a_signal_while_the_end_is_written_is_no_interruption_of_the_training(start, monkeypatch):
    """After the last step there is nothing to stop: the signal does what it always does."""
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_model", lambda *_: signal.raise_signal(signal.SIGINT))
        status, out = start(f"{RULES['plain']} --validation 0")
    assert status == 130
    assert resume(out) == 0
    assert len(metrics(out)) == EPOCHS


# What is saved when


def test_a_state_is_saved_every_n_epochs_and_at_the_end(start, whole, tmp_path):
    found = []

    def look():
        state = tmp_path / "run" / "state.npz"
        found.append(mlp.load_state(state).facts["epoch"] if state.exists() else 0)

    with at_step(1 + STEPS, look), at_step(1 + 2 * STEPS, look), at_step(3 * STEPS, look):
        status, out = start(f"{RULES['momentum']} --save-every 2")
    assert status == 0
    assert found == [0, 2, 2]
    assert mlp.load_state(out / "state.npz").facts["epoch"] == EPOCHS
    same_run(out, whole(RULES["momentum"]))


def test_resumed_between_two_saves_the_epochs_in_between_are_done_again(start, whole):
    text = f"{RULES['momentum']} --save-every 2"
    with at_step(3 * STEPS, kill(signal.SIGINT, signal.SIGINT)):
        status, out = start(text)
    assert status == 130
    with at_step(3, kill(signal.SIGINT, signal.SIGINT)):  # epoch 3, again
        assert resume(out) == 130
    assert mlp.load_state(out / "state.npz").facts["epoch"] == 2
    assert resume(out) == 0
    same_run(out, whole(RULES["momentum"]))


def test_no_state_is_saved_before_the_run_is_stopped(start, whole, tmp_path):
    text = f"{RULES['momentum']} --save-every 0"
    state = tmp_path / "run" / "state.npz"

    def stop():
        assert not state.exists()
        signal.raise_signal(signal.SIGTERM)

    with at_step(2 * STEPS + 1, stop):
        status, out = start(text)
    assert status == 143
    assert state.exists()
    assert resume(out) == 0
    same_run(out, whole(RULES["momentum"]))


def test_a_run_killed_before_it_ever_saved_starts_again(start, whole, capsys):
    with at_step(2 * STEPS + 1, kill(signal.SIGINT, signal.SIGINT)):
        _, out = start(f"{RULES['momentum']} --save-every 0")
    assert not (out / "state.npz").exists()
    assert len(metrics(out)) == 2
    capsys.readouterr()
    assert status_of(["--resume", out, "--no-plots"]) == 0
    assert f"Going on with {out} after 0 epochs" in capsys.readouterr().out
    same_run(out, whole(RULES["momentum"]))


def test_save_minutes_saves_within_epochs(start, whole):
    with at_step(5, kill(signal.SIGINT, signal.SIGINT)):
        _, out = start(f"{RULES['adam']} --save-minutes 1e-9")
    state = mlp.load_state(out / "state.npz")
    assert (state.facts["epoch"], state.facts["done"]) == (0, 4)
    assert resume(out) == 0
    same_run(out, whole(RULES["adam"]))


def test_how_often_to_save_may_be_said_anew(start, whole):
    with at_step(3, kill(signal.SIGTERM)):
        _, out = start(f"{RULES['momentum']} --save-every 0")
    with at_step(STEPS, kill(signal.SIGINT, signal.SIGINT)):
        assert resume(out, "--save-every", 1) == 130
    assert mlp.load_state(out / "state.npz").facts["epoch"] == 1
    assert resume(out, "--save-minutes", 5) == 0
    same_run(out, whole(RULES["momentum"]))


@pytest.mark.parametrize("text", [RULES["patience"], f"{OPTIONS} --epochs 8", f"{LBFGS} --hidden none"])
def test_best_is_the_best_epochs_model(text, start, small):
    status, out = start(text)
    assert status == 0
    accuracies = [float(row["validation_accuracy"]) for row in metrics(out)]
    notes = mlp.checkpoint.load_notes(out / "best.npz")
    net = mlp.load(out / "best.npz")
    assert notes["validation_accuracy"] == max(accuracies)
    assert accuracies[notes["epoch"] - 1] == max(accuracies)
    _, validation, _ = mlp.load_mnist(small, validation=20)
    assert np.mean(net.predict(validation.X) == validation.y) == max(accuracies)


def test_with_patience_the_best_model_is_the_one_the_run_ends_with(start):
    _, out = start(RULES["patience"])
    assert mlp.load(out / "best.npz").theta.tobytes() == mlp.load(out / "model.npz").theta.tobytes()


# A run that has ended


@pytest.mark.parametrize("rule", RULES)
def test_a_finished_run_resumed_is_as_it_was(rule, start):
    _, out = start(RULES[rule])
    before = files(out)
    assert resume(out) == 0
    assert files(out) == before


def test_a_finished_run_of_lbfgs_resumed_is_no_worse(start):
    _, out = start(LBFGS)
    before, theta = metrics(out), mlp.load(out / "model.npz").theta
    assert resume(out) == 0
    assert metrics(out) == before
    assert mlp.load(out / "model.npz").theta.tobytes() == theta.tobytes()


def test_a_run_that_diverged_resumed_diverges_again(start, capsys):
    text = f"{OPTIONS} --learning-rate 1e30"
    status, out = start(text)
    assert status == 1
    before = files(out)
    assert resume(out) == 1
    assert "diverged" in capsys.readouterr().err
    assert files(out) == before


# Other processes


CHILD = """
import itertools, os, pathlib, resource, shutil, signal, sys, time
import numpy as np
import mlp
from mlp import checkpoint, train

where, number, act, *arguments = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
acts = {}
acts["kill"] = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

def half(stream, _vectors):
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
owners = {"accumulate": mlp.Objective, "write_members": checkpoint.files, "fsync": os, "replace": pathlib.Path}
owner = owners.get(where, checkpoint.Run)
plain, count = getattr(owner, where), itertools.count(1)

def planted(*given, **named):
    if next(count) == int(number):
        acts[act.partition(":")[0]](*given, **named)
    return plain(*given, **named)

setattr(owner, where, planted)
sys.exit(train.main(arguments))
"""


@contextmanager
def child(small, out, text, where, number, act):
    """A process of its own that trains, and does the act in the call of that number to what is named."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CHILD, where, str(number), act, *words(small, out, text)],
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
def test_killed_and_resumed_equals_uninterrupted(where, number, act, epochs, small, whole, tmp_path):
    text = f"{RULES['momentum']} --validation 20"
    out = tmp_path / "run"
    with child(small, out, text, where, number, act) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (mlp.load_state(out / "state.npz").facts["epoch"] if (out / "state.npz").exists() else 0) == epochs
    for name in ("best.npz", "model.npz"):
        assert not (out / name).exists() or mlp.load(out / name)
    assert resume(out) == 0
    same_run(out, whole(RULES["momentum"]))


def test_killed_before_the_configuration_was_written_there_is_nothing_to_go_on_with(small, whole, tmp_path, capsys):
    out = tmp_path / "run"
    with child(small, out, RULES["momentum"], "replace", 1, "kill") as process:
        process.communicate()
    assert resume(out) == 2
    assert f"{out}: no run to go on with" in one_error_line(capsys.readouterr().err)
    assert status_of([*words(small, out, RULES["momentum"]), "--quiet"]) == 0
    same_run(out, whole(RULES["momentum"]))


def test_two_processes_in_one_directory_and_two_ctrl_c(small, whole, tmp_path, capsys):
    out = tmp_path / "run"
    with child(small, out, RULES["momentum"], "accumulate", STEPS + 2, "wait") as process:
        while process.stdout.readline().strip() != "waiting":
            assert process.poll() is None
        before = files(out)
        for arguments in (["--resume", out, "--no-plots"], words(small, out, RULES["momentum"])):
            assert status_of(arguments) == 2
            line = one_error_line(capsys.readouterr().err)
            assert str(out) in line
            assert ("another process is writing this run" if "--resume" in arguments else "holds files already") in line
            assert files(out) == before
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline().strip() == "noted"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "python -m mlp.train: interrupted\n")
    assert files(out) == before
    assert resume(out) == 0
    same_run(out, whole(RULES["momentum"]))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_finishes_the_step_in_hand_and_leaves_with_its_status(number, status, small, whole, tmp_path):
    out = tmp_path / "run"
    with child(small, out, RULES["adam"], "accumulate", STEPS + 2, "wait") as process:
        while process.stdout.readline().strip() != "waiting":
            assert process.poll() is None
        process.send_signal(number)
        if number == signal.SIGTERM:  # whose note takes Ctrl-C back too
            assert process.stdout.readline().strip() == "noted"
        printed, errors = process.communicate("go on\n")
    assert (process.returncode, errors) == (status, "")
    assert printed.splitlines()[-1].endswith(f"To go on: {shlex.join(['python', '-m', 'mlp.train', '--resume', str(out)])}")
    assert mlp.load_state(out / "state.npz").facts["steps"] == STEPS + 2
    assert resume(out) == 0
    same_run(out, whole(RULES["adam"]))


def test_a_run_that_is_open_in_a_script_is_refused_and_can_be_had_once_it_is_closed(start, capsys):
    _, out = start(RULES["plain"])
    run, configuration, state = Run.resume(out)
    assert configuration["options"]["hidden"] == [8]
    assert len(state.facts["history"]) == EPOCHS
    capsys.readouterr()
    assert resume(out) == 2
    assert f"{out}: another process is writing this run" in one_error_line(capsys.readouterr().err)
    run.close()
    assert resume(out) == 0


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
def test_a_full_disk_is_one_line_and_what_was_there_is_whole(where, number, limit, small, whole, tmp_path):
    out = tmp_path / "run"
    with child(small, out, RULES["momentum"], where, number, f"full:{limit}") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "too large" in one_error_line(errors)
    assert str(out) in errors
    mlp.load_state(out / "state.npz")
    mlp.load(out / "best.npz")
    assert not list(out.glob(".*.part"))
    assert resume(out) == 0
    same_run(out, whole(RULES["momentum"]))


def test_a_full_disk_at_the_start(small, tmp_path):
    out = tmp_path / "run"
    with child(small, out, RULES["momentum"], "fsync", 1, "full:0") as process:
        process.communicate()
    assert process.returncode == 2
    with child(small, tmp_path / "other", RULES["momentum"], "replace", 1, "full:0") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    one_error_line(errors)
    assert json.loads((tmp_path / "other" / "config.json").read_text())


def test_a_directory_that_vanishes_during_the_run(start, tmp_path, capsys):
    with at_step(STEPS + 2, lambda: shutil.rmtree(tmp_path / "run")):
        status, out = start(OPTIONS)
    assert status == 2
    assert str(out) in one_error_line(capsys.readouterr().err)
    assert not out.exists()


@pytest.mark.parametrize("name", ["metrics.csv", "best.npz", "state.npz", "model.npz"])
def test_a_file_that_cannot_be_replaced(name, start, tmp_path, capsys):
    """Something else, a directory, has got the file's name."""
    out = tmp_path / "run"

    def act():
        (out / name).unlink(missing_ok=True)
        (out / name).mkdir()

    with at_step(STEPS + 2, act):
        status, _ = start(OPTIONS)
    assert status == 2
    assert name in one_error_line(capsys.readouterr().err)
    assert not list(out.glob(".*.part"))
    for other in {"best.npz", "state.npz"} - {name}:
        assert (mlp.load_state if other == "state.npz" else mlp.load)(out / other)


@pytest.mark.parametrize("below", ["", "run", "deep/run"])
def test_a_file_in_place_of_the_directory(below, start, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    status, out = start(OPTIONS, Path("file") / below)
    assert status == 2
    assert str(out) in one_error_line(capsys.readouterr().err)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory(start, tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    status, out = start(OPTIONS, "locked/run")
    assert status == 2
    assert str(out) in one_error_line(capsys.readouterr().err)
    _, out = start(OPTIONS)
    capsys.readouterr()
    before = files(out)
    out.chmod(0o500)
    assert resume(out) == 2
    one_error_line(capsys.readouterr().err)
    out.chmod(0o700)
    assert files(out) == before


# --resume with what can't be resumed


@pytest.fixture
def interrupted(start, capsys):
    """The directory of a run that was stopped in its second epoch."""
    with at_step(STEPS + 3, kill(signal.SIGTERM)):
        _, out = start(f"{RULES['momentum']} --patience 5")
    capsys.readouterr()
    return out


def refused(out, capsys, *arguments, message=""):
    """The command says why in one line, with status 2, and leaves every file as it was."""
    before = files(out)
    assert status_of(["--resume", out, "--no-plots", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in one_error_line(printed.err)
    assert files(out) == before


def test_resume_no_run(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("nowhere", "empty", "file"):
        assert resume(tmp_path / name) == 2
        line = one_error_line(capsys.readouterr().err)
        assert "argument --resume: " in line
        assert str(tmp_path / name) in line
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"3", b"null", b'{"options": 3}', b'{"options": {}}', b"\xff\xfe", b"[" * 100_000]
)
def test_resume_a_damaged_configuration(content, interrupted, capsys):
    (interrupted / "config.json").write_bytes(content)
    refused(interrupted, capsys, message=str(interrupted))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer", "newton"),
        ("optimizer", 3),
        ("hidden", 3),
        ("hidden", ["x"]),
        ("hidden", [0]),
        ("activation", "relo"),
        ("output", None),
        ("init", []),
        ("dtype", "float16"),
        ("seed", -1),
        ("seed", "0"),
        ("cost", "cubic"),
        ("weight_decay", "0"),
        ("weight_decay", -1),
        ("learning_rate", None),
        ("learning_rate", -1.0),
        ("schedule", "cosin"),
        ("schedule", 3),
        ("momentum", 2),
        ("nesterov", "no"),
        ("batch_size", 0),
        ("batch_size", "all"),
        ("epochs", 1.5),
        ("patience", 0),
        ("validation", "20"),
        ("save_every", -1),
        ("save_every", "often"),
        ("save_minutes", "often"),
        ("data", 3),
    ],
)
def test_resume_a_configuration_that_was_tampered_with(name, value, interrupted, capsys):
    path = interrupted / "config.json"
    configuration = json.loads(path.read_text())
    configuration["options"][name] = value
    path.write_text(json.dumps(configuration))
    refused(interrupted, capsys)


def test_resume_a_configuration_that_lacks_options(interrupted, capsys):
    path = interrupted / "config.json"
    configuration = json.loads(path.read_text())
    del configuration["options"]["seed"], configuration["options"]["hidden"]
    path.write_text(json.dumps(configuration))
    refused(interrupted, capsys, message=f"argument --resume: {interrupted}: its options lack hidden, seed")


def damaged(path, how):
    content = bytearray(path.read_bytes())
    if how == "empty":
        content.clear()
    elif how == "truncated":
        del content[len(content) // 2 :]
    elif how == "a byte flipped":
        content[len(content) // 2] ^= 1
    elif how == "longer":
        content += b"x"
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["empty", "truncated", "a byte flipped", "longer"])
def test_resume_a_damaged_state(how, interrupted, capsys):
    damaged(interrupted / "state.npz", how)
    refused(interrupted, capsys, message=f"{interrupted / 'state.npz'}: not a state, or damaged")


def test_resume_with_a_model_in_place_of_the_state(interrupted, capsys):
    shutil.copy(interrupted / "model.npz", interrupted / "state.npz")
    refused(interrupted, capsys, message="state.npz: is 'mlp-model' version 1")


@pytest.mark.parametrize("options", ["--optimizer adam", "--momentum 0", "--hidden 9", "--dtype float32"])
def test_resume_with_another_runs_state(options, interrupted, start, capsys):
    _, other = start(f"{OPTIONS} --dtype float64 {options}", "other")
    shutil.copy(other / "state.npz", interrupted / "state.npz")
    before = {name: content for name, content in files(interrupted).items() if name != "metrics.csv"}
    capsys.readouterr()
    assert resume(interrupted) == 2
    assert "state: received " in one_error_line(capsys.readouterr().err)
    assert {name: content for name, content in files(interrupted).items() if name != "metrics.csv"} == before


@pytest.mark.parametrize("fact", ["history", "epoch", "order", "done", "total", "seen", "steps", "calm", "best", "seconds"])
@pytest.mark.parametrize("value", ["missing", "x"])
def test_resume_a_state_that_was_tampered_with(fact, value, interrupted, capsys):
    state = mlp.load_state(interrupted / "state.npz")
    if value == "missing":
        del state.facts[fact]
    else:
        state.facts[fact] = value
    header = {"format": "mlp-state", "version": 1, "minimiser": state.minimiser, "facts": state.facts}
    encoded = files_on_disk.encode_header(header, "header", header)
    files_on_disk.write_archive(interrupted / "state.npz", encoded, state.arrays)
    assert resume(interrupted) == 2
    assert "state" in one_error_line(capsys.readouterr().err)


def test_resume_on_other_data(interrupted, small, tmp_path, capsys):
    other = shutil.copytree(small, tmp_path / "other")
    labels = bytearray((other / "train-labels-idx1-ubyte").read_bytes())
    labels[8], labels[9] = labels[9], labels[8]
    (other / "train-labels-idx1-ubyte").write_bytes(labels)
    refused(interrupted, capsys, "--data", other, message=f"was trained on other data than that of {other}")
    refused(interrupted, capsys, "--data", tmp_path / "nowhere", message="MNIST was not found")


def test_resume_on_the_same_data_in_another_place(interrupted, small, whole, tmp_path):
    moved = shutil.copytree(small, tmp_path / "moved")
    run = interrupted.rename(tmp_path / "renamed")
    assert resume(run, "--data", moved) == 0
    assert mlp.load(run / "best.npz").theta.tobytes() == mlp.load(whole(RULES["momentum"]) / "best.npz").theta.tobytes()


@pytest.mark.parametrize(
    "options",
    [
        "--epochs 9",
        "--hidden 9",
        "--out elsewhere",
        "--seed 3",
        "--nesterov",
        "--optimizer adam",
        "--validation 10",
        "--patience 2",
        "--hidden 256",  # the defaults, which are not this run's
        "--dtype float32",
        "--seed 0",
    ],
)
def test_resume_with_other_options(options, interrupted, capsys):
    name = options.split()[0]
    refused(interrupted, capsys, *options.split(), message=f"argument {name}: --resume goes on with the run's own options")


# A terminal


def test_progress_on_a_terminal_is_a_bar(start, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with at_step(STEPS + 3, kill(signal.SIGINT)):
        status, out = start(OPTIONS)
    assert status == 130
    printed = capsys.readouterr().out
    assert "epoch 1/3 |" in printed
    assert ", cost " in printed
    assert status_of(["--resume", out, "--no-plots"]) == 0
    assert "epoch 3/3 |" in capsys.readouterr().out


# Where else a run may find itself


def test_a_run_that_finished_no_epoch_is_resumed_and_drawn(small, tmp_path, capsys):
    arguments = [word for word in words(small, tmp_path / "run", f"{OPTIONS} --learning-rate 1e30") if word != "--no-plots"]
    assert status_of(arguments) == 1
    pictures = {"features.png", "confusion.png", "mistakes.png"}
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == pictures  # curves there are none
    capsys.readouterr()
    assert status_of(["--resume", tmp_path / "run"]) == 1
    assert "diverged: " in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == pictures


def test_a_resumed_run_is_drawn_with_all_its_epochs(start):
    with at_step(STEPS + 3, kill(signal.SIGTERM)):
        _, out = start(OPTIONS)
    assert not list(out.glob("*.png"))
    assert status_of(["--resume", out, "--quiet"]) == 0
    assert len(list(out.glob("*.png"))) == 4


def test_in_another_thread_there_are_no_signals_to_see_to(start, whole):
    done = []
    thread = threading.Thread(target=lambda: done.append(start(RULES["momentum"])))
    thread.start()
    thread.join()
    ((status, out),) = done
    assert status == 0
    same_run(out, whole(RULES["momentum"]))


class BrokenPipe(io.StringIO):
    """An output that nobody reads any more, as `head` leaves it."""

    def write(self, _text):
        raise BrokenPipeError


def test_a_run_goes_on_when_nobody_reads_what_it_prints(start, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", BrokenPipe())
        status, out = start(RULES["momentum"])
        sys.stdout.close()  # the command's own, which leads nowhere
    assert status == 0
    same_run(out, whole(RULES["momentum"]))
