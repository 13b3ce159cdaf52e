"""Curves: of histories, results and files, of one run and of several."""

import numpy as np
import pytest
import scipy.optimize

import mlp
from mlp import plots


def lines(ax):
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in ax.lines}


def test_curves_of_a_history(history):
    cost, accuracy = plots.curves(history).axes
    drawn = lines(cost)
    assert list(drawn) == ["training", "validation (best 0.3, epoch 2)"]
    np.testing.assert_array_equal(drawn["training"], ([1, 2, 3], [0.5, 0.2, 0.1]))
    ((label, (x, y)),) = lines(accuracy).items()
    assert label == "validation (best 95.00 %, epoch 2)"
    np.testing.assert_allclose((x, y), ([1, 2, 3], [90, 95, 94]))
    assert (cost.get_xlabel(), cost.get_ylabel()) == ("epoch", "cost")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel(), accuracy.get_title()) == ("epoch", "accuracy (%)", "Accuracy")


def test_curves_are_the_same_from_everywhere(tmp_path, history, metrics):
    metrics(tmp_path / "metrics.csv")
    result = scipy.optimize.OptimizeResult(history=history)
    expected = [lines(ax) for ax in plots.curves(history).axes]
    for run in (tmp_path, str(tmp_path / "metrics.csv"), result):
        found = [lines(ax) for ax in plots.curves(run).axes]
        assert [list(panel) for panel in found] == [list(panel) for panel in expected]
        for panel, same in zip(found, expected, strict=True):
            for label in panel:
                np.testing.assert_array_equal(panel[label], same[label])


def test_curves_of_a_real_run():
    net = mlp.MLP([4, 3], seed=0)
    objective = mlp.Objective(net, np.eye(4), np.array([0, 1, 2, 0]))
    result = mlp.sgd(objective, net.theta, epochs=3)
    (cost,) = plots.curves(result.history).axes
    np.testing.assert_array_equal(lines(cost)["training"][1], result.history["cost"])
    (cost,) = plots.curves(mlp.lbfgs(objective, net.theta, maxiter=3)).axes
    assert cost.get_xlabel() == "iteration"


def test_several_runs_and_seconds(history):
    cost, accuracy = plots.curves({"a": history, "b": history[:2]}, against="seconds").axes
    assert cost.get_title() == "Cost (dashed: training)"
    assert cost.get_xlabel() == "training time (s)"
    assert [line.get_linestyle() for line in cost.lines] == ["--", "-", "--", "-"]
    assert cost.lines[0].get_color() == cost.lines[1].get_color() != cost.lines[2].get_color()
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["a (best 95.00 %, 3 s)", "b (best 95.00 %, 3 s)"]
    np.testing.assert_array_equal(cost.lines[2].get_xdata(), [1.5, 3.0])
    (only,) = plots.curves(history, show="accuracy").axes
    assert only.get_title() == "Accuracy"


def labels(ax):
    return [text.get_text().split(" (best")[0] for text in ax.get_legend().get_texts()]


def test_a_list_of_runs(tmp_path, history, metrics, monkeypatch):
    for name in ("first", "second"):
        metrics(tmp_path / name / "metrics.csv")
    result = scipy.optimize.OptimizeResult(history=history)
    cost, accuracy = plots.curves([tmp_path / "first", str(tmp_path / "second" / "metrics.csv"), history[:2], result]).axes
    assert labels(cost) == labels(accuracy) == ["first", "second", "run 3", "run 4"]
    assert [len(line.get_xdata()) for line in accuracy.lines] == [3, 3, 2, 3]
    assert labels(plots.curves([result, result]).axes[0]) == ["run 1", "run 2"]  # each a mapping, but no record
    monkeypatch.chdir(tmp_path / "first")
    assert labels(plots.curves([".", "../first"]).axes[0]) == ["first (1)", "first (2)"]
    with pytest.raises(TypeError, match=r"run\[1\]: received 3 .int., but it must be a history"):
        plots.curves([history, 3])
    with pytest.raises(TypeError, match=r"run\[0\]: received .* .dict., but it must be a history"):
        plots.curves([history[0], tmp_path / "first"])


def test_curves_scale_and_gaps(history):
    (cost,) = plots.curves([{"epoch": 1, "cost": 1.0}, {"epoch": 2, "cost": 0.05}]).axes
    assert cost.get_yscale() == "log"
    regression = [{**record, "validation_accuracy": None} for record in history]
    (cost,) = plots.curves(regression).axes
    assert cost.get_yscale() == "linear"
    (cost,) = plots.curves([{"cost": float("nan")}, {"cost": 2.0}]).axes
    np.testing.assert_array_equal(cost.lines[0].get_ydata(), [np.nan, 2.0])


def test_curves_refuse(tmp_path, metrics):
    metrics(tmp_path / "metrics.csv")
    for run, error, message in [
        ([], ValueError, "run: holds no records"),
        (3, TypeError, "run: received 3 .int., but it must be a history .a list of records"),
        ({"a": 3}, TypeError, r"run\['a'\]: received 3 .int."),
        ({}, ValueError, "run: received an empty mapping"),
        ({"x": 1, "fun": 2}, TypeError, r"run\['x'\]: received 1 .int., but it must be a history"),
        (scipy.optimize.OptimizeResult(x=1), TypeError, "run: received a result without a history, as SciPy's own are"),
        ([{"epoch": 1}], ValueError, "run: has no cost, only epoch"),
        ([{"cost": "high"}], ValueError, "run: the column cost holds 'high' .str., but it must hold numbers"),
        (tmp_path / "nowhere", FileNotFoundError, "nowhere: there is no such file"),
    ]:
        with pytest.raises(error, match=message):
            plots.curves(run)
    with pytest.raises(ValueError, match=r"show: received 'accuracy' .str., but only cost was recorded"):
        plots.curves([{"cost": 1.0}], show="accuracy")
    with pytest.raises(ValueError, match=r"against: received 'seconds', but a run has no such column"):
        plots.curves([{"cost": 1.0}], against="seconds")
    with pytest.raises(ValueError, match=r"run: holds no finite cost"):
        plots.curves([{"cost": float("nan")}])
    (tmp_path / "metrics.csv").write_text("")
    with pytest.raises(ValueError, match=r"metrics.csv: is empty"):
        plots.curves(tmp_path)
    (tmp_path / "metrics.csv").write_bytes(b"\xff\xfe\x00cost")
    with pytest.raises(ValueError, match=r"metrics.csv: not a table of metrics"):
        plots.curves(tmp_path)
