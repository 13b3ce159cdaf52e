"""`python -m mlp.train` interrupted by Ctrl-C and SIGTERM: what is saved when, and that --resume goes on to the same bits."""

import shlex
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp.checkpoint import Run, files

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
NEWTON = "--hidden 8 --optimizer newton --epochs 6 --subset 40 --activation tanh"

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits are POSIX's"),
    pytest.mark.usefixtures("signals_as_usual"),
]


# Ctrl-C and SIGTERM


@pytest.mark.parametrize(
    ("rule", "number", "status"), [(rule, signal.SIGINT, 130) for rule in RULES] + [("momentum", signal.SIGTERM, 143)]
)
def test_interrupted_and_resumed_equals_uninterrupted(rule, number, status, start, runs, capsys):
    with runs.killed_at(10, number):
        assert start(RULES[rule], "my run")[0] == status
    *_, told, command = capsys.readouterr().out.splitlines()
    epoch = 10 if rule == "full" else 2
    assert told == f"Stopped: interrupted by {number.name} in epoch {epoch}"
    resumption = shlex.split(command.removeprefix("To go on: "))
    assert resumption[:4] == ["python", "-m", "mlp.train", "--resume"]
    out = Path(resumption[4])
    state = mlp.load_state(out / "state.npz")
    assert len(state.facts["history"]) == epoch - 1 == len(runs.metrics(out))
    assert state.facts["steps"] == 10  # the step in hand was finished
    left = state.arrays["average" if rule == "noise" else "theta"]
    assert mlp.load(out / "model.npz").theta.tobytes() == left.tobytes()

    assert runs.status(*resumption[3:], "--no-plots") == 0
    printed = capsys.readouterr().out
    assert f"Going on with {out} after {epoch - 1} epoch" in printed
    runs.assert_same(out, RULES[rule])


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 1, EPOCHS * STEPS])
def test_interrupted_at_the_edges_of_epochs(step, start, runs):
    with runs.killed_at(step, signal.SIGINT):
        status, out = start(RULES["momentum"])
    assert status == 130
    assert runs.resume(out) == 0
    runs.assert_same(out, RULES["momentum"])


def test_interrupted_again_and_again(start, runs):
    with runs.killed_at(4, signal.SIGTERM):
        status, out = start(RULES["adam"])
    for _ in range(4):
        assert status == 143
        with runs.killed_at(4, signal.SIGTERM):
            status = runs.resume(out)
    assert runs.resume(out) == 0
    runs.assert_same(out, RULES["adam"])


@pytest.mark.parametrize(("number", "status", "patience"), [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, "--patience 20")])
def test_lbfgs_interrupted_goes_on_never_with_a_higher_cost(number, status, patience, start, capsys, runs):
    with runs.killed_at(6, number):
        assert start(f"{LBFGS} {patience}")[0] == status
    out = Path(shlex.split(capsys.readouterr().out.splitlines()[-1])[-1])
    before = runs.metrics(out)
    assert runs.status("--resume", out, "--no-plots") == 0
    printed = capsys.readouterr().out
    assert "without the memory of the steps before it" in printed
    after = runs.metrics(out)
    costs = [float(row["cost"]) for row in after]
    assert after[: len(before)] == before
    assert len(after) > len(before) > 0
    assert costs == sorted(costs, reverse=True)
    assert [row["iteration"] for row in after] == [str(number) for number in range(1, len(after) + 1)]


def test_lbfgs_interrupted_in_its_first_evaluation_keeps_where_it_got(start, runs):
    with runs.killed_at(1, signal.SIGINT):
        status, out = start(LBFGS)
    assert status == 130
    assert len(runs.metrics(out)) == 1
    assert runs.resume(out) == 0


def test_newton_interrupted_and_resumed_equals_uninterrupted(start, runs, capsys):
    with runs.killed_at(3, signal.SIGINT):
        status, out = start(NEWTON)
    assert status == 130
    printed = capsys.readouterr().out
    assert "Minimiser: newton, at most 6 iterations over all examples, curvature of 40 of them, damping 1\n" in printed
    assert "Stopped: interrupted by SIGINT in iteration" in printed
    assert 0 < len(runs.metrics(out)) < 6
    assert runs.resume(out) == 0
    runs.assert_same(out, NEWTON)


def test_a_second_ctrl_c_leaves_at_once_with_the_last_state_whole(start, runs, tmp_path, capsys):
    out = tmp_path / "run"
    saved = {}

    def twice():
        saved.update(runs.files(out))
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one should have ended the run")

    with runs.at_step(STEPS + 3, twice):
        assert start(RULES["nesterov"])[0] == 130
    assert capsys.readouterr().err == "python -m mlp.train: interrupted\n"
    assert runs.files(out) == saved
    assert mlp.load_state(out / "state.npz").facts["epoch"] == 1
    assert runs.resume(out) == 0
    runs.assert_same(out, RULES["nesterov"])


def test_a_second_ctrl_c_in_the_middle_of_the_save_leaves_the_state_before_it(start, runs, tmp_path):
    out = tmp_path / "run"
    saved = {}
    plain = files.write_members

    def write_members(stream, arrays):
        if "velocity" in arrays and saved:
            stream.write(b"half")
            signal.raise_signal(signal.SIGINT)
        plain(stream, arrays)

    def first():
        saved.update(runs.files(out))
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch, runs.at_step(2 * STEPS + 3, first):
        patch.setattr(files, "write_members", write_members)
        assert start(RULES["momentum"])[0] == 130
    assert runs.files(out) == saved
    assert not list(out.glob(".*.part"))
    assert runs.resume(out) == 0
    runs.assert_same(out, RULES["momentum"])


def test_a_signal_while_the_end_is_written_is_no_interruption_of_the_training(start, monkeypatch, runs):
    """After the last step there is nothing to stop: the signal does what it always does."""
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_model", lambda *_: signal.raise_signal(signal.SIGINT))
        status, out = start(f"{RULES['plain']} --validation 0")
    assert status == 130
    assert runs.resume(out) == 0
    assert len(runs.metrics(out)) == EPOCHS


# What is saved when


def test_a_state_is_saved_every_n_epochs_and_at_the_end(start, runs, tmp_path):
    found = []

    def look():
        state = tmp_path / "run" / "state.npz"
        found.append(mlp.load_state(state).facts["epoch"] if state.exists() else 0)

    with runs.at_step(1 + STEPS, look), runs.at_step(1 + 2 * STEPS, look), runs.at_step(3 * STEPS, look):
        status, out = start(f"{RULES['momentum']} --save-every 2")
    assert status == 0
    assert found == [0, 2, 2]
    assert mlp.load_state(out / "state.npz").facts["epoch"] == EPOCHS
    runs.assert_same(out, RULES["momentum"])


def test_resumed_between_two_saves_the_epochs_in_between_are_done_again(start, runs):
    text = f"{RULES['momentum']} --save-every 2"
    with runs.killed_at(3 * STEPS, signal.SIGINT, signal.SIGINT):
        status, out = start(text)
    assert status == 130
    with runs.killed_at(3, signal.SIGINT, signal.SIGINT):  # epoch 3, again
        assert runs.resume(out) == 130
    assert mlp.load_state(out / "state.npz").facts["epoch"] == 2
    assert runs.resume(out) == 0
    runs.assert_same(out, RULES["momentum"])


def test_no_state_is_saved_before_the_run_is_stopped(start, runs, tmp_path):
    text = f"{RULES['momentum']} --save-every 0"
    state = tmp_path / "run" / "state.npz"

    def stop():
        assert not state.exists()
        signal.raise_signal(signal.SIGTERM)

    with runs.at_step(2 * STEPS + 1, stop):
        status, out = start(text)
    assert status == 143
    assert state.exists()
    assert runs.resume(out) == 0
    runs.assert_same(out, RULES["momentum"])


def test_a_run_killed_before_it_ever_saved_starts_again(start, runs, capsys):
    with runs.killed_at(2 * STEPS + 1, signal.SIGINT, signal.SIGINT):
        _, out = start(f"{RULES['momentum']} --save-every 0")
    assert not (out / "state.npz").exists()
    assert len(runs.metrics(out)) == 2
    capsys.readouterr()
    assert runs.status("--resume", out, "--no-plots") == 0
    assert f"Going on with {out} after 0 epochs" in capsys.readouterr().out
    runs.assert_same(out, RULES["momentum"])


def test_save_minutes_saves_within_epochs(start, runs):
    with runs.killed_at(5, signal.SIGINT, signal.SIGINT):
        _, out = start(f"{RULES['adam']} --save-minutes 1e-9")
    state = mlp.load_state(out / "state.npz")
    assert (state.facts["epoch"], state.facts["done"]) == (0, 4)
    assert runs.resume(out) == 0
    runs.assert_same(out, RULES["adam"])


def test_how_often_to_save_may_be_given_again(start, runs):
    with runs.killed_at(3, signal.SIGTERM):
        _, out = start(f"{RULES['momentum']} --save-every 0")
    with runs.killed_at(STEPS, signal.SIGINT, signal.SIGINT):
        assert runs.resume(out, "--save-every", 1) == 130
    assert mlp.load_state(out / "state.npz").facts["epoch"] == 1
    assert runs.resume(out, "--save-minutes", 5) == 0
    runs.assert_same(out, RULES["momentum"])


@pytest.mark.parametrize("text", [RULES["patience"], f"{OPTIONS} --epochs 8", f"{LBFGS} --hidden none"])
def test_best_is_the_best_epochs_model(text, start, runs, parts_of):
    status, out = start(text)
    assert status == 0
    accuracies = [float(row["validation_accuracy"]) for row in runs.metrics(out)]
    notes = mlp.checkpoint.load_notes(out / "best.npz")
    net = mlp.load(out / "best.npz")
    assert notes["validation_accuracy"] == max(accuracies)
    assert accuracies[notes["epoch"] - 1] == max(accuracies)
    _, validation, _ = parts_of(runs.data, 20)
    assert np.mean(net.predict(validation.X) == validation.y) == max(accuracies)


def test_with_patience_the_best_model_is_the_one_the_run_ends_with(start):
    _, out = start(RULES["patience"])
    assert mlp.load(out / "best.npz").theta.tobytes() == mlp.load(out / "model.npz").theta.tobytes()


# A run that has ended


@pytest.mark.parametrize("rule", ["adam", "noise", "patience"])
def test_a_finished_run_resumed_is_as_it_was(rule, start, runs):
    _, out = start(RULES[rule])
    before = runs.files(out)
    assert runs.resume(out) == 0
    assert runs.files(out) == before


def test_a_finished_run_of_lbfgs_resumed_is_no_worse(start, runs):
    _, out = start(LBFGS)
    before, theta = runs.metrics(out), mlp.load(out / "model.npz").theta
    assert runs.resume(out) == 0
    assert runs.metrics(out) == before
    assert mlp.load(out / "model.npz").theta.tobytes() == theta.tobytes()


def test_a_run_that_diverged_resumed_diverges_again(start, capsys, runs):
    text = f"{OPTIONS} --learning-rate 1e30"
    status, out = start(text)
    assert status == 1
    before = runs.files(out)
    assert runs.resume(out) == 1
    assert "diverged" in capsys.readouterr().err
    assert runs.files(out) == before
