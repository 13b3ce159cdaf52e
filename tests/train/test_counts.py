"""`python -m mlp.train` on counts: Poisson's cost, an exponential output, and predictions in the target's own units; other
costs of regression; activations with parameters."""

import json
import re
import shlex

import numpy as np
import pytest
from sklearn import metrics

import mlp
from mlp import train
from mlp.checkpoint import load_notes
from mlp.data import Preparation, prepare
from mlp.estimators import MLPRegressor
from mlp.train.options import build_parser


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    """counts.csv: a, b, and Poisson counts whose rate is exp(3 + a/2 − b/2)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)).round(4)
    y = rng.poisson(np.exp(3 + X @ [0.5, -0.5]))
    path = tmp_path_factory.mktemp("counts") / "counts.csv"
    np.savetxt(path, np.column_stack([X, y]), "%.8g", delimiter=",", header="a,b,visits", comments="")
    return path


def run(counts, out, text):
    """The exit status of the command, run in this process."""
    return train.main([str(counts), *shlex.split(text), "--no-plots", "--out", str(out)])


@pytest.mark.parametrize("text", ["--cost poisson", "--task counts", "--output exponential"])
def test_counts_are_predicted_in_their_own_units(counts, tmp_path, capsys, text):
    assert run(counts, tmp_path / "run", f"{text} --hidden 8 --activation elu:0.5 --optimizer lbfgs --epochs 40") == 0
    printed = capsys.readouterr().out
    assert "Cost: poisson" in printed
    assert "elu:0.5 hidden units, exponential output" in printed
    net = mlp.load(tmp_path / "run" / "model.npz")
    assert [layer.activation.name for layer in net.layers] == ["elu:0.5", "exponential"]
    rest, test = mlp.read_table(counts, task="counts").split(0.2, 0)
    training = rest.split(0.2, 0)[0]
    given = net.predict({"a": test.X[:, 0], "b": test.X[:, 1]})
    deviance = metrics.mean_poisson_deviance(test.y, given)
    plain = metrics.mean_poisson_deviance(test.y, np.full(len(test), training.y.mean()))
    assert f"mean Poisson deviance {deviance:.4g} (predicting the mean: {plain:.4g})" in printed
    assert f"mean absolute error {metrics.mean_absolute_error(test.y, given):.4g}" in printed
    assert deviance < 0.35 * plain
    notes = load_notes(tmp_path / "run" / "model.npz")
    assert notes["test_deviance"] == pytest.approx(deviance, rel=1e-6)
    assert notes["test_mae"] == pytest.approx(metrics.mean_absolute_error(test.y, given), rel=1e-6)
    columns = json.loads((tmp_path / "run" / "columns.json").read_text())
    assert columns["target"]["kind"] == "count"
    assert run(counts, tmp_path / "again", f"--columns {tmp_path / 'run' / 'columns.json'} --epochs 1") == 0
    assert "exponential output" in capsys.readouterr().out


def test_counts_are_divided_by_their_mean_and_nothing_is_taken_from_them(counts):
    raw = mlp.read_table(counts, task="counts")
    (scaled,) = prepare(raw)
    np.testing.assert_allclose(scaled.y, raw.y / raw.y.mean(), rtol=1e-15)
    again = Preparation.from_description(scaled.preparation.describe())
    np.testing.assert_allclose(again.answers(scaled.y[:, None]), raw.y, rtol=1e-15)


def test_a_feature_cannot_be_a_count(counts):
    described = prepare(mlp.read_table(counts))[0].preparation.describe()
    described["columns"][0]["kind"] = "count"
    with pytest.raises(ValueError, match="column 'a': received the kind 'count', but that is for targets: make it numeric"):
        Preparation.from_description(described)


def test_numbers_below_0_are_no_counts(counts, tmp_path, capsys):
    text = counts.read_text().splitlines()
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([*text, "0.5,0.5,-3"]))
    assert run(bad, tmp_path / "run", "--cost poisson --test 0 --validation 0") == 2
    assert "targets of poisson must be at least 0" in capsys.readouterr().err


@pytest.mark.parametrize("cost", ["huber:0.5", "absolute"])
def test_other_costs_of_regression(counts, tmp_path, capsys, cost):
    assert run(counts, tmp_path / "run", f"--cost {cost} --epochs 3 --activation leaky_relu --hidden 4") == 0
    printed = capsys.readouterr().out
    assert f"Cost: {cost};" in printed
    assert "leaky_relu:0.01 hidden units, identity output" in printed
    assert "deviance" not in printed
    command = json.loads((tmp_path / "run" / "config.json").read_text())["command"]
    assert f"--cost {cost}" in command
    assert "--activation leaky_relu:0.01" in command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--activation swish", r"argument --activation: received 'swish'.*did you mean 'silu'\?"),
        ("--activation leaky_relu:nan", r"argument --activation: received nan .* at least 0 and at most 1"),
        ("--activation softmax", r"argument --activation: received 'softmax'"),
        ("--cost huber:0", r"argument --cost: received 0\.0 .* at least 1e-30"),
        ("--cost mae", r"argument --cost: received 'mae'.*cross_entropy, quadratic.*did you mean 'absolute'\?"),
        ("--output gelu", r"argument --output: received 'gelu'"),
    ],
)
def test_wrong_words(words, message, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(words.split())
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_regressors_losses(counts):
    from sklearn.neural_network import MLPRegressor as Theirs

    data = mlp.read_table(counts, task="counts")
    settings = {"hidden_layer_sizes": (5,), "solver": "lbfgs", "max_iter": 200, "random_state": 0}
    ours = MLPRegressor("poisson", activation="silu", **settings).fit(data.X, data.y)
    assert ours.out_activation_ == "exp"
    given = ours.predict(data.X)
    theirs = Theirs("poisson", activation="tanh", **settings).fit(data.X, data.y)
    assert given.min() > 0
    assert ours.loss_ == pytest.approx(metrics.mean_poisson_deviance(data.y, given) / 2, rel=1e-3)  # and the penalty
    assert ours.loss_ < 1.1 * theirs.loss_
    robust = MLPRegressor("huber:0.5", **settings).fit(data.X, data.y)
    assert (robust.out_activation_, robust.score(data.X, data.y) > 0.8) == ("identity", True)
    assert MLPRegressor("absolute_error", solver="adam", max_iter=2).fit(data.X, data.y).loss_ > 0
    for wrong in ("poison", "quadratic", "huber:0"):
        with pytest.raises(ValueError, match=r"^loss"):
            MLPRegressor(wrong).fit(data.X, data.y)
    with pytest.raises(ValueError, match=r"^y: received -1, but targets of poisson must be at least 0$"):
        MLPRegressor("poisson").fit(data.X, data.y - data.y.min() - 1)
