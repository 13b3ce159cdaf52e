"""`mlp.estimators`: scikit-learn's own checks, its numbers beside ours, and what is more than scikit-learn's."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from scipy.sparse import csc_array, csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

import mlp
from mlp.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: Mini-batches are drawn from a random order, in which a row that is there twice stands elsewhere than one of weight 2;
#: scikit-learn lets its own check pass by solver="lbfgs" for the classifier and a tolerance for the regressor.
EXPECTED = dict.fromkeys(
    ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"),
    "mini-batches of a row twice are others than of a row of weight 2",
)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize(
    "estimator", [MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)], ids=["classifier", "regressor"]
)
def test_scikit_learns_checks(estimator, legacy):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, legacy=legacy, expected_failed_checks=EXPECTED, on_fail=None, on_skip=None)
    ended = {result["check_name"]: (result["status"], result["exception"]) for result in results}
    assert {name: said for name, said in ended.items() if said[0] == "failed"} == {}
    assert {name for name, said in ended.items() if said[0] == "xfail"} <= set(EXPECTED)
    assert sum(said[0] == "passed" for said in ended.values()) >= (55 if legacy else 5)


def test_weights_are_repetitions_with_lbfgs():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    times = np.random.default_rng(0).integers(0, 3, len(y))
    settings = {"hidden_layer_sizes": (5,), "solver": "lbfgs", "max_iter": 15, "alpha": 0.0, "random_state": 0}
    weighted = MLPClassifier(**settings).fit(X, y, sample_weight=times).predict_proba(X)
    repeated = MLPClassifier(**settings).fit(np.repeat(X, times, axis=0), np.repeat(y, times)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-6, atol=1e-8)


DATA = {"digits": load_digits, "cancer": load_breast_cancer, "wine": load_wine}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_as_accurate_as_scikit_learns_classifier(name, solver):
    X, y = DATA[name](return_X_y=True)
    settings = {"hidden_layer_sizes": (30,), "solver": solver, "max_iter": 200, "random_state": 0}
    ours, others = (
        cross_val_score(make_pipeline(StandardScaler(), kind(**settings)), X, y, cv=3).mean()
        for kind in (MLPClassifier, theirs.MLPClassifier)
    )
    assert ours >= others - 0.02  # three folds of one seed scatter by about that


def test_as_good_as_scikit_learns_regressor():
    X, y = load_diabetes(return_X_y=True)
    settings = {"hidden_layer_sizes": (20,), "solver": "lbfgs", "alpha": 10.0, "max_iter": 100, "random_state": 0}
    ours, others = (
        cross_val_score(make_pipeline(StandardScaler(), kind(**settings)), X, y / y.std(), cv=3).mean()
        for kind in (MLPRegressor, theirs.MLPRegressor)
    )
    assert ours >= others - 0.05


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "newton"])
def test_alpha_is_scikit_learns(solver):
    # scikit-learn's loss at our parameters, penalty included, is our objective's
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours = MLPClassifier((6,), solver=solver, alpha=3.0, batch_size=len(X), max_iter=3, random_state=0).fit(X, y)
    objective = mlp.Objective(ours.network_, X, y, weight_decay=3.0 / len(X))
    other = theirs.MLPClassifier((6,), solver="lbfgs", alpha=3.0, max_iter=1, random_state=0).fit(X, y)
    other.coefs_, other.intercepts_ = [W.copy() for W in ours.coefs_], [b.copy() for b in ours.intercepts_]
    activations = [X] + [np.empty((len(X), size)) for size in (6, 3)]
    deltas = [np.empty_like(a) for a in activations[1:]]
    one_hot = np.eye(3)[y]
    gradients = [np.empty_like(W) for W in other.coefs_], [np.empty_like(b) for b in other.intercepts_]
    loss, W_gradients, _ = other._backprop(X, one_hot, None, activations, deltas, *gradients)
    cost, gradient = objective(ours.network_.theta)
    assert cost == pytest.approx(loss, rel=1e-9)
    np.testing.assert_allclose(ours.network_.at(gradient).layers[0].W.T, W_gradients[0], rtol=1e-7, atol=1e-10)


def test_the_same_numbers_in_another_dtype_give_the_same_fit():
    X, y = load_digits(return_X_y=True)
    fits = [
        MLPClassifier((10,), max_iter=3, random_state=0).fit(X.astype(dtype), y).loss_ for dtype in ("uint8", "int64", "f8")
    ]
    assert fits[0] == fits[1] == fits[2]
    assert MLPClassifier((10,), max_iter=3, random_state=0).fit(X.astype("f4"), y).network_.dtype == np.float32


def test_what_scikit_learn_refuses_is_there():
    X, y = load_digits(return_X_y=True)
    X, Xv, y, yv = train_test_split(X / 16, y, random_state=0)
    net = MLPClassifier((20, 10), activation=("tanh", "relu"), dropout=0.1, class_weight="balanced", max_iter=8, random_state=0)
    net.fit(X, y, validation=(Xv, yv))
    assert [layer.activation.name for layer in net.network_.layers] == ["tanh", "relu", "softmax"]
    assert len(net.validation_scores_) == len(net.loss_curve_) == net.n_iter_ == 8
    assert net.best_validation_score_ == max(net.validation_scores_) == pytest.approx(net.score(Xv, yv))
    assert net.transform(Xv).shape == (len(Xv), 10)
    np.testing.assert_array_equal(net.transform(Xv), net.network_.forward(Xv, layer=1))
    assert list(net.get_feature_names_out()) == [f"mlpclassifier{k}" for k in range(10)]
    lbfgs = MLPClassifier((5,), solver="lbfgs", max_iter=7, random_state=0).fit(X, y, validation=(Xv, yv))
    assert len(lbfgs.loss_curve_) == len(lbfgs.validation_scores_) == lbfgs.n_iter_ == 7


def test_class_weights_are_sample_weights():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    settings = {"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0}
    by_class = MLPClassifier(**settings, class_weight={0: 1.0, 1: 5.0, 2: 0.0}).fit(X, y)
    by_sample = MLPClassifier(**settings).fit(X, y, sample_weight=np.array([1.0, 5.0, 0.0])[y])
    np.testing.assert_array_equal(by_class.network_.theta, by_sample.network_.theta)


def test_several_labels_and_several_targets():
    X, Y = make_multilabel_classification(200, random_state=0)
    X = StandardScaler().fit_transform(X)
    net = MLPClassifier((20,), max_iter=200, learning_rate_init=0.01, random_state=0).fit(X, Y)
    assert net.predict(X).shape == Y.shape
    assert (net.predict(X) == Y).mean() > 0.9
    np.testing.assert_array_equal(net.predict(X), net.predict_proba(X) > 0.5)
    targets = np.column_stack([X[:, 0], X[:, 1] - X[:, 2]])
    net = MLPRegressor(hidden_layer_sizes=(20,), max_iter=200, learning_rate_init=0.01, random_state=0).fit(X, targets)
    assert net.score(X, targets) > 0.9


def test_partial_fit_goes_on_and_keeps_the_moments():
    X, y = load_digits(return_X_y=True)
    settings = {"hidden_layer_sizes": (10,), "batch_size": 100, "random_state": 0}
    parts = MLPClassifier(**settings)
    for start in (0, 600, 1200):
        parts.partial_fit(X[start : start + 600] / 16, y[start : start + 600], classes=range(10))
    assert parts.t_ == 1797
    assert parts.n_iter_ == 3
    whole = MLPClassifier(**settings, max_iter=4).fit(X / 16, y)
    stepwise = MLPClassifier(**settings)
    for _ in range(4):
        stepwise.partial_fit(X / 16, y)
    np.testing.assert_array_equal(stepwise.network_.theta, whole.network_.theta)
    with pytest.raises(ValueError, match="classes="):
        parts.partial_fit(X, y, classes=[0, 1])
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")


def test_warm_start_goes_on_and_a_fresh_fit_does_not():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    warm = MLPClassifier((4,), max_iter=5, random_state=0, warm_start=True).fit(X, y)
    first = warm.loss_
    assert warm.fit(X, y).loss_ < first
    cold = MLPClassifier((4,), max_iter=5, random_state=0).fit(X, y)
    assert cold.fit(X, y).loss_ == first


def test_stops_when_the_loss_has_settled_or_the_validation_score_has():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    net = MLPClassifier((4,), max_iter=2000, tol=1e-3, learning_rate_init=0.02, n_iter_no_change=5, random_state=0).fit(X, y)
    assert net.n_iter_ < 2000
    *_, sixth = (max(0.0, a - b) for a, b in zip(net.loss_curve_[-7:], net.loss_curve_[-6:], strict=False))
    assert sixth <= 1e-3
    early = MLPClassifier((4,), max_iter=500, early_stopping=True, n_iter_no_change=3, random_state=0).fit(X, y)
    assert early.n_iter_ < 500
    assert max(early.validation_scores_) == early.best_validation_score_
    assert early.best_loss_ is None


def test_newton_finds_the_minimum_that_lbfgs_finds():
    X, y = load_wine(return_X_y=True)  # no hidden layer: the minimum is unique
    X = StandardScaler().fit_transform(X)
    settings = {"hidden_layer_sizes": (), "alpha": 1.0, "tol": 1e-6, "max_iter": 500, "random_state": 0}
    newton, lbfgs = (MLPClassifier(solver=solver, **settings).fit(X, y) for solver in ("newton", "lbfgs"))
    assert newton.n_iter_ < lbfgs.n_iter_
    np.testing.assert_allclose(newton.coefs_[0], lbfgs.coefs_[0], atol=1e-4)
    assert not hasattr(newton, "partial_fit")


class Heard:
    """A callback that notes what it is told, and asks to stop at the end of that epoch's task."""

    def __init__(self, stop=None):
        self.told, self.stop = [], stop

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(("begin", context.task_name, context.task_id, context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        loss = None if fitted_estimator is None else fitted_estimator.score(X, y, **(metadata or {}))
        self.told.append(("end", context.task_name, context.task_id, loss))
        return context.task_name == "epoch" and context.task_id == self.stop


def test_callbacks_are_told_of_epochs_and_may_stop():
    pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from version 1.9 on")
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    heard, weights = Heard(stop=2), np.linspace(0, 1, len(y))
    net = MLPClassifier((4,), max_iter=9, random_state=0).set_callbacks(heard).fit(X, y, sample_weight=weights)
    assert net.n_iter_ == 3
    names = [one if isinstance(one, str) else one[:3] for one in heard.told]
    epochs = [(what, "epoch", number) for number in range(3) for what in ("begin", "end")]
    assert names == ["setup", ("begin", "fit", 0), *epochs, ("end", "fit", 0), "teardown"]
    assert heard.told[1][3] == 9
    scores = [
        MLPClassifier((4,), max_iter=k, random_state=0).fit(X, y, sample_weight=weights).score(X, y, weights) for k in (1, 2, 3)
    ]
    assert [one[3] for one in heard.told if one[0] == "end"] == [*scores, scores[-1]]  # of the network as it was then
    heard.told.clear()
    MLPClassifier((4,), solver="lbfgs", max_iter=50).set_callbacks(heard).fit(X, y)
    assert heard.told[-3][:2] == ("end", "iteration")
    assert heard.told[-3][3] is None  # the iteration that lbfgs had no need of
    begun = [one[1:3] for one in heard.told if one[0] == "begin"]
    assert sorted(begun) == sorted(one[1:3] for one in heard.told if one[0] == "end")
    heard.told.clear()
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        MLPClassifier((4,), activation="rleu").set_callbacks(heard).fit(X, y)
    assert heard.told == []


def test_callbacks_of_a_search_reach_the_networks():
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from version 1.9 on")
    X, y = load_wine(return_X_y=True)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    network = MLPClassifier((4,), max_iter=3, random_state=0).set_callbacks(monitor)
    GridSearchCV(network, {"alpha": [1e-4, 1.0]}, cv=2).fit(StandardScaler().fit_transform(X), y)
    rows = [row for row in monitor.get_logs().data if "accuracy" in row]
    assert sum(row["task_name"] == "epoch" for row in rows) == 3 * (2 * 2 + 1)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_sparse_inputs_give_the_same_fit_as_the_tags_say(kind, solver):
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X) * (X.mean(axis=0) < X)
    assert get_tags(kind()).input_tags.sparse is True
    settings = {"hidden_layer_sizes": (4,), "solver": solver, "max_iter": 5, "random_state": 0, "early_stopping": True}
    found, expected = kind(**settings).fit(csr_array(X), y), kind(**settings).fit(X, y)
    for given in (csr_array(X), csc_array(X)):
        np.testing.assert_allclose(found.predict(given), expected.predict(X), rtol=1e-7)
    np.testing.assert_allclose(found.score(csr_array(X), y), expected.score(X, y))
    np.testing.assert_allclose(found.transform(csr_array(X)), expected.transform(X), rtol=1e-7)


def test_sparse_inputs_go_through_no_hidden_layer_as_they_are():
    X, y = load_wine(return_X_y=True)
    assert (MLPClassifier((), max_iter=1).fit(csr_array(X), y).transform(csr_array(X)) != csr_array(X)).nnz == 0


@pytest.mark.parametrize("rate", ["invscaling", "adaptive"])
def test_learning_rates_that_fall(rate):
    X, y = load_wine(return_X_y=True)
    net = MLPClassifier((4,), solver="sgd", learning_rate=rate, learning_rate_init=0.1, max_iter=200, tol=1e-2, random_state=0)
    net.fit(StandardScaler().fit_transform(X), y)
    assert net.loss_ < net.loss_curve_[0] - 0.3
    assert net.n_iter_ < 200


def test_unshuffled_batches_are_in_the_given_order():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    fits = [MLPClassifier((4,), shuffle=False, max_iter=2, random_state=0).fit(X, y) for _ in range(2)]
    objective = mlp.Objective(fits[0].network_, X, y, weight_decay=1e-4 / 178)
    net = mlp.MLP([13, 4, 3], dtype="float64", seed=int(np.random.RandomState(0).randint(1 << 31)))
    mlp.adam(objective, net.theta, epochs=2, batch_size=178, learning_rate=1e-3)  # one batch: the order doesn't count
    np.testing.assert_allclose(fits[0].network_.theta, net.theta, rtol=1e-10)
    np.testing.assert_array_equal(fits[0].network_.theta, fits[1].network_.theta)


def test_clones_pickles_pipelines_and_searches():
    X, y = load_wine(return_X_y=True)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MLPClassifier(max_iter=20, random_state=0)),
        {"mlpclassifier__hidden_layer_sizes": [(3,), (8,)]},
        cv=2,
    ).fit(X, y)
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))
    assert clone(search.best_estimator_[-1]).get_params() == search.best_estimator_[-1].get_params()


def test_says_when_it_has_not_converged():
    X, y = load_wine(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        MLPClassifier((4,), max_iter=2).fit(X / 100, y)
    with pytest.warns(ConvergenceWarning, match="not converged in 2 iterations"):
        MLPClassifier((4,), solver="lbfgs", max_iter=2).fit(X / 100, y)


def test_verbose_prints_a_line_an_iteration(capsys):
    X, y = load_wine(return_X_y=True)
    MLPClassifier((4,), solver="lbfgs", max_iter=3, verbose=True, random_state=0).fit(X / 100, y)
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [f"Iteration {k}" for k in (1, 2, 3)]


def test_parameters_out_of_range_are_named():
    X, y = load_wine(return_X_y=True)
    for settings, said in [
        ({"solver": "newtno"}, "did you mean 'newton'"),
        ({"alpha": -1}, "alpha: received -1"),
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes\[1\]: received 0"),
        ({"learning_rate": "fast"}, "learning_rate: received 'fast'"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
    ]:
        with pytest.raises(ValueError, match=said):
            MLPClassifier(**settings).fit(X, y)


def test_nothing_else_imports_scikit_learn():
    code = "import sys, mlp; assert not [name for name in sys.modules if name.startswith('sklearn')]"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys; sys.modules['sklearn'] = None; import mlp.estimators"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "layerwise-mlp[sklearn]" in ended.stderr
