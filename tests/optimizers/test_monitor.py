"""History, callbacks, progress, and the reasons to stop: what all minimisers share."""

import io
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from minimising import Scores, Scripted, bowl, full_batch, problem, rosen, slope, strangers
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import log_loss

import mlp


def in_small_steps(minimise, steps):
    """The arguments to go down Rosenbrock's valley so many times."""
    return full_batch(minimise, steps) | ({} if minimise is mlp.lbfgs else {"learning_rate": 1e-4})


# History


@pytest.mark.parametrize("validated", [False, True])
def test_history_columns(minimise, validated):
    net, objective = problem()
    options = {"validation": strangers()} if validated else {}
    result = minimise(objective, net.theta, **full_batch(minimise, 4), **options)
    unit, further = ("iteration", {"gradient_norm", "evaluations"}) if minimise is mlp.lbfgs else ("epoch", {"learning_rate"})
    validation = {"validation_cost", "validation_accuracy"} if validated else set()
    assert all(set(record) == {unit, "cost", "seconds"} | validation | further for record in result.history)
    assert result.history[unit] == [1, 2, 3, 4]
    assert result.history["cost"] == [record["cost"] for record in result.history]
    assert result.history[-1]["cost"] == result.fun < result.history[0]["cost"]
    assert result.nit == 4
    if minimise is mlp.lbfgs:
        assert result.history["evaluations"][-1] == result.nfev == result.njev
    with pytest.raises(KeyError):
        result.history["no such column"]


def test_validation_is_recorded_as_scikit_learn_counts_it(minimise):
    rng = np.random.default_rng(8)
    X, y = rng.standard_normal((30, 4)), np.arange(30) % 3
    net, objective = problem(weight_decay=0)
    costs, accuracies = [], []

    def look(xk):
        outputs = net.at(xk).forward(X)
        costs.append(log_loss(y, outputs))
        accuracies.append(np.mean(outputs.argmax(axis=1) == y))

    result = minimise(objective, net.theta, validation=mlp.Objective(net, X, y), callback=look, **full_batch(minimise, 6))
    assert_allclose(result.history["validation_cost"], costs, rtol=1e-10)
    assert_allclose(result.history["validation_accuracy"], accuracies, rtol=1e-12)
    assert len(costs) == 6


def test_validation_of_a_regression_has_no_accuracy(minimise):
    net = mlp.MLP([2, 1], output="identity", seed=0)
    X = np.random.default_rng(1).standard_normal((20, 2))
    objective = mlp.Objective(net, X, X.sum(axis=1))
    result = minimise(objective, net.theta, validation=objective, **full_batch(minimise, 2))
    assert result.history["validation_accuracy"] == [None, None]


def test_history_of_descent_holds_the_cost_as_it_was_met():
    # θ = 1, 0.9, 0.81 on C = ½θ²: full-batch steps meet 0.5, 0.405, 0.32805
    result = mlp.sgd(bowl, np.ones(1), learning_rate=0.1, batch_size=None, epochs=3)
    assert_allclose(result.history["cost"], [0.5, 0.405, 0.32805], rtol=1e-14)


# Callbacks


def test_callback_by_the_name_of_intermediate_result(minimise):
    seen = []

    def callback(*, intermediate_result):
        seen.append((intermediate_result.x.copy(), intermediate_result.fun, intermediate_result.nit))
        assert len(intermediate_result.history) == intermediate_result.nit

    result = minimise(rosen, np.array([-1.2, 1.0]), callback=callback, **in_small_steps(minimise, 3))
    assert [nit for _, _, nit in seen] == [1, 2, 3]
    assert [fun for _, fun, _ in seen] == result.history["cost"]
    assert_array_equal(seen[-1][0], result.x)
    assert not np.array_equal(seen[0][0], seen[1][0])


def test_callback_with_any_other_parameter_gets_a_copy_of_theta(minimise):
    seen = []

    def callback(xk):
        seen.append(xk.copy())
        xk[...] = np.nan  # the callback's own: the run goes on undisturbed

    result = minimise(rosen, np.array([-1.2, 1.0]), callback=callback, **in_small_steps(minimise, 3))
    assert len(seen) == 3
    assert_array_equal(seen[-1], result.x)
    assert not np.array_equal(seen[0], seen[1])


def test_callbacks_without_a_signature(minimise):
    """Some of Python's own callables have none to read; they are given θ, or the snapshot."""
    assert minimise(bowl, np.ones(2), callback=max, each_step=type, **full_batch(minimise, 1)).nit == 1


def test_stop_iteration_ends_the_run_with_status_99(minimise):
    seen = []

    def callback(xk):
        seen.append(xk)
        if len(seen) == 3:
            raise StopIteration

    net, objective = problem("float32")
    result = minimise(objective, net.theta, callback=callback, **full_batch(minimise, 50))
    assert (result.status, result.success, result.nit, len(seen)) == (99, False, 3, 3)
    assert result.message == "stopped by the callback"
    assert_allclose(net.theta, seen[-1], rtol=1e-7)
    assert result.fun == result.history[-1]["cost"]


def test_other_errors_of_a_callback_are_the_callers(minimise):
    def callback(_):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        minimise(bowl, np.ones(2), callback=callback, **full_batch(minimise, 5))


@pytest.mark.parametrize("patience", [{}, {"patience": 6}])
def test_what_has_improved_is_told_and_a_tie_has_not(minimise, patience):
    told = []
    minimise(
        rosen,
        np.array([-1.2, 1.0]),
        validation=Scores(0.5, 0.4, 0.5, 0.6, 0.6, 0.7),
        callback=lambda intermediate_result: told.append(intermediate_result.improved),
        **in_small_steps(minimise, 6),
        **patience,
    )
    assert told == [True, False, False, True, False, True]


# Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_verbose_shows_every_record(minimise, monkeypatch):
    for stream, shown in ((io.StringIO(), r"3/3: "), (Terminal(), r"3/3")):
        monkeypatch.setattr(sys, "stdout", stream)
        minimise(rosen, np.array([-1.2, 1.0]), verbose=True, validation=Scores(0.5, 0.4, 0.25), **in_small_steps(minimise, 3))
        assert shown in stream.getvalue()
        assert "25.00 %" in stream.getvalue()
        assert stream.getvalue().endswith("\n")  # the bar was closed


def test_nothing_is_shown_unless_asked_for(minimise, capsys):
    minimise(bowl, np.ones(2), **full_batch(minimise, 3))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("fails", [False, True])
def test_the_bar_is_closed_however_the_run_ends(fails, monkeypatch):
    called = []

    class Recorder:
        def __init__(self, total, unit):
            called.append((total, unit))

        def show(self, record):
            called.append(record["epoch"])

        def close(self):
            called.append("closed")

    monkeypatch.setattr("mlp.optimizers.monitor.Progress", Recorder)
    with pytest.raises(IndexError) if fails else nullcontext():
        mlp.sgd(Scripted(*(3, 2, 1)[: 2 if fails else 3]), np.zeros(1), verbose=True, batch_size=None, epochs=3)
    assert called == [(3, "epoch"), 1, 2, *([] if fails else [3]), "closed"]


# Why a run ended


def test_a_run_to_the_last_epoch_is_a_success_and_says_so(descent):
    result = descent(bowl, np.ones(1), batch_size=None, epochs=7)
    assert (result.status, result.success, result.nit, result.message) == (0, True, 7, "ran all 7 epochs")


@pytest.mark.parametrize(
    ("costs", "tol", "tol_epochs", "ran"),
    [
        # changes: 1, 0.1, 0.1, 1 (not yet: two calm ones were no three), 0.1, 0.1, 0.1: that's three, at the eighth epoch
        ((5, 4, 3.9, 3.8, 4.8, 4.9, 4.8, 4.9, 4.9, 4.9), 0.2, 3, 8),
        ((5, 4, 3, 2.95, 1), 0.1, 1, 4),
    ],
)
def test_tolerance_must_be_met_several_epochs_running(descent, costs, tol, tol_epochs, ran):
    result = descent(Scripted(*costs), np.zeros(1), tol=tol, tol_epochs=tol_epochs, batch_size=None, epochs=len(costs))
    assert (result.status, result.success, result.nit) == (0, True, ran)
    epochs = "1 epoch" if tol_epochs == 1 else f"{tol_epochs} epochs"
    assert result.message == f"converged: the cost changed by less than {tol} in {epochs} running"


def test_tolerance_not_met_is_no_success(descent):
    result = descent(Scripted(5, 4, 3, 2), np.zeros(1), tol=0.1, batch_size=None, epochs=4)
    assert (result.status, result.success, result.nit) == (1, False, 4)
    assert result.message == "not converged: ran all 4 epochs without the cost settling to within tol=0.1"


NAN = np.nan
PATIENCE = [
    # (cost, accuracy) or accuracy by epoch, patience, epochs run, best epoch, whether early. A tie is no improvement.
    ((0.5, 0.7, 0.6, 0.65, 0.7, 0.9), 3, 5, 2, True),
    ((0.5, 0.4, 0.6, 0.5, 0.7, 0.6, 0.6), 2, 7, 5, True),
    ((0.5, 0.4, 0.6), 1, 2, 1, True),
    ((0.5, 0.7, 0.6, 0.65), 3, 4, 2, False),  # the epochs run out first
    ((0.5, 0.4, 0.3, 0.6), 5, 4, 4, False),  # the last is the best: nothing to restore
    (((3, None), (1, None), (2, None), (2, None), (1, None), (0, None)), 3, 5, 2, True),  # by cost, for regression
    (((3, 0.5), (2, 0.4), (1, 0.3), (0, 0.2)), 2, 3, 1, True),  # by accuracy, where there is one
    (((NAN, None), (2, None), (1, None), (3, None), (4, None)), 2, 5, 3, True),  # NaN is no best to beat
    (((NAN, None), (NAN, None), (NAN, None), (1, None)), 2, 3, 1, True),  # and no better than NaN
    (((np.inf, None), (2, None), (1, None), (3, None), (4, None)), 2, 5, 3, True),
]


@pytest.mark.parametrize(("scores", "patience", "ran", "best", "early"), PATIENCE)
def test_patience_stops_early_and_restores_the_best_parameters(scores, patience, ran, best, early):
    theta = np.zeros(1, np.float32)
    settings = {"learning_rate": 1, "batch_size": None, "epochs": len(scores), "patience": patience}
    result = mlp.sgd(slope, theta, validation=Scores(*scores), **settings)
    assert result.x is theta
    assert_array_equal(theta, [-best])  # each epoch goes down by 1
    assert result.nit == len(result.history) == ran
    assert result.fun == result.history[best - 1]["cost"] == 1 - best  # Σθ as epoch `best` met it
    assert (result.status, result.success) == (0, True)
    assert result.message.startswith("stopped early" if early else f"ran all {ran} epochs")
    assert result.message.endswith(f"restored the best parameters, of epoch {best}") == (best != ran)


@pytest.mark.parametrize("steps", [20, 5])  # patience ends the first run after 2 + 4; the limit ends the second
def test_patience_with_each_minimiser(minimise, steps):
    scores = Scores(0.1, 0.5, *18 * [0.4])
    theta = np.array([-1.2, 1.0])
    result = minimise(rosen, theta, validation=scores, patience=4, **in_small_steps(minimise, steps))
    assert result.nit == len(scores.shown) == min(steps, 6)
    assert_array_equal(theta, scores.shown[1])
    assert not np.array_equal(theta, scores.shown[-1])
    assert result.fun == result.history[1]["cost"]
    assert result.message.endswith(f"restored the best parameters, of {'iteration' if minimise is mlp.lbfgs else 'epoch'} 2")
    assert result.success == (steps == 20 or minimise is not mlp.lbfgs)


def test_patience_restores_the_best_parameters_after_a_stop_by_the_callback_too(minimise):
    def callback(intermediate_result):
        if intermediate_result.nit == 3:
            raise StopIteration

    scores, theta = Scores(0.1, 0.5, 0.4), np.array([-1.2, 1.0])
    settings = {"validation": scores, "patience": 9, "callback": callback}
    result = minimise(rosen, theta, **settings, **in_small_steps(minimise, 10))
    assert (result.status, result.success) == (99, False)
    assert_array_equal(theta, scores.shown[1])


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0, "validation": Scores()}, r"^patience: received 0 .* at least 1"),
        ({"patience": 1.5, "validation": Scores()}, r"^patience: received 1.5"),
        ({"patience": 3}, r"^patience: received 3 without a validation set"),
        ({"tol": -1e-9}, r"^tol: received -1e-09 .* at least 0"),
        ({"tol": "0.1"}, r"^tol: received '0.1'"),
        ({"tol_epochs": 0}, r"^tol_epochs: received 0 .* at least 1"),
        ({"validation": bowl}, r"^validation: received <function bowl .* must have evaluate"),
        ({"callback": 3}, r"^callback: received 3 \(int\), but it must be callable"),
        ({"verbose": 1}, r"^verbose: received 1 \(int\), but it must be True or False"),
    ],
    ids=lambda options: next(iter(options)) if isinstance(options, dict) else "",
)
def test_bad_options(minimise, options, message):
    theta = np.ones(2)
    with pytest.raises((ValueError, TypeError), match=message):
        minimise(bowl, theta, **full_batch(minimise, 2), **options)
    assert_array_equal(theta, 1)
