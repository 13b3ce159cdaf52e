"""L-BFGS: minima that other libraries find too, its limits, and what it does where the cost turns NaN."""

import numpy as np
import pytest
import scipy.optimize
from minimising import Scores, bowl, problem, rosen
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import mlp


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lbfgs_agrees_with_logistic_regression_of_scikit_learn(classes, dtype):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < classes], y[y < classes]
    X = X - X.mean(axis=0)
    weight_decay = 0.01
    # Scikit-learn minimises ½‖W‖² + C Σᵢ Cᵢ, biases unpenalised as here: C = 1/(nλ)
    theirs = LogisticRegression(C=1 / (len(X) * weight_decay), tol=1e-10, max_iter=10_000).fit(X, y)

    units, output = (1, "logistic") if classes == 2 else (3, "softmax")
    net = mlp.MLP([4, units], output=output, dtype=dtype, seed=0)
    objective = mlp.Objective(net, X, y, weight_decay=weight_decay)
    result = mlp.lbfgs(objective, net.theta, maxiter=1000, gtol=1e-8, ftol=0 if dtype == "float64" else 1e-9)

    W, b = net.layers[0].W, net.layers[0].b
    tolerance = 1e-5 if dtype == "float64" else 1e-2
    assert_allclose(W, theirs.coef_, atol=tolerance)
    # a softmax's biases are known up to a constant
    shift = 0 if units == 1 else b.mean() - theirs.intercept_.mean()
    assert_allclose(b - shift, theirs.intercept_, atol=tolerance)
    their_cost = log_loss(y, theirs.predict_proba(X)) + 0.5 * weight_decay * np.sum(theirs.coef_**2)
    assert_allclose(result.fun, their_cost, rtol=1e-5)
    assert result.success or dtype == "float32"


def test_no_iterations_leave_theta_alone():
    theta = np.ones(2)
    result = mlp.lbfgs(bowl, theta, maxiter=0)
    assert_array_equal(theta, 1)
    assert (result.nit, result.fun, result.success) == (0, 1, False)  # ½(1 + 1)


def test_at_the_minimum_there_is_nothing_to_do():
    result = mlp.lbfgs(bowl, np.zeros(2))
    assert (result.fun, result.nit, result.nfev, result.success, result.status) == (0, 0, 1, True, 0)


def test_history_holds_cost_and_gradient_at_each_iterate():
    seen = []
    result = mlp.lbfgs(rosen, np.zeros(3), callback=seen.append)
    assert_allclose(result.history["cost"], [scipy.optimize.rosen(theta) for theta in seen], rtol=1e-14)
    norms = [np.linalg.norm(scipy.optimize.rosen_der(theta)) for theta in seen]
    assert_allclose(result.history["gradient_norm"], norms, rtol=1e-12)
    assert_allclose(result.x, 1, atol=1e-3)


@pytest.mark.parametrize("memory", [1, 4])
def test_it_remembers_as_many_steps_as_it_is_told(memory):
    result = mlp.lbfgs(rosen, np.zeros(9), memory=memory)
    assert result.hess_inv.sk.shape == result.hess_inv.yk.shape == (memory, 9)
    assert_allclose(result.jac, scipy.optimize.rosen_der(result.x), atol=1e-12)


def test_tolerance():
    net, objective = problem("float32")
    result = mlp.lbfgs(objective, net.theta, maxiter=1000, tol=1e-3, tol_epochs=2)
    changes = np.abs(np.diff(result.history["cost"])) < 1e-3
    assert (result.status, result.success) == (0, True)
    assert result.message == "converged: the cost changed by less than 0.001 in 2 iterations running"
    assert changes[-2:].all()
    assert not (changes[:-2] & changes[1:-1]).any()  # it didn't go on past the first two in a row


def test_at_the_limit_of_iterations_it_is_no_success():
    net, objective = problem("float32")
    result = mlp.lbfgs(objective, net.theta, maxiter=3)
    assert (result.status, result.success, result.nit) == (1, False, 3)
    assert result.message == "not converged in 3 iterations; a larger maxiter goes on"


def test_with_a_wrong_gradient_it_says_that_its_line_search_failed():
    result = mlp.lbfgs(lambda theta: (bowl(theta)[0], -theta), np.ones(2))
    assert (result.status, result.success) == (2, False)
    assert "ABNORMAL" in result.message
    assert np.isfinite(result.x).all()


# Where the cost is no number


class Cliff:
    """C = ½‖θ − 8‖² up to θ = 3; beyond, what the test wants. Remembers every evaluation: (cost, θ)."""

    def __init__(self, beyond, start_too=False):
        self.beyond, self.start_too = beyond, start_too
        self.met = []

    def __call__(self, theta):
        if self.start_too or (theta > 3).any():
            cost, slope_there = self.beyond
            return cost, np.full_like(theta, slope_there)
        self.met.append((0.5 * float((theta - 8) @ (theta - 8)), theta.copy()))
        return self.met[-1][0], theta - 8


@pytest.mark.parametrize(
    "beyond", [(np.nan, 1.0), (np.nan, np.nan), (1.0, np.nan), (-np.inf, 1.0), (np.inf, 1.0), (1.0, np.inf)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_into_nan_it_goes_back_to_its_best_point(beyond, dtype):
    objective = Cliff(beyond)
    theta = np.zeros(2, dtype)
    result = mlp.lbfgs(objective, theta)
    cost, best = min(objective.met, key=lambda pair: pair[0])
    assert (result.status, result.success, result.fun) == (3, False, cost)
    assert "went back to the best parameters met" in result.message
    assert result.x is theta
    assert_allclose(theta, best, rtol=1e-6)


def test_where_it_starts_at_nan_it_leaves_theta_and_does_not_speak_of_going_back():
    theta = np.array([1.0, 2.0])
    result = mlp.lbfgs(Cliff((np.nan, 1.0), start_too=True), theta)
    assert (result.status, result.success, result.nit, result.nfev) == (3, False, 0, 1)
    assert_array_equal(theta, [1, 2])
    assert "the parameters are left as they were given" in result.message


class Collapsing:
    """Rosenbrock's function, which turns NaN after so many evaluations; remembers all costs that were right."""

    def __init__(self, last):
        self.last, self.met = last, []

    def __call__(self, theta):
        self.met.append(scipy.optimize.rosen(theta))
        return self.met[-1] if len(self.met) <= self.last else np.nan, scipy.optimize.rosen_der(theta)


@pytest.mark.parametrize("last", range(1, 16))
def test_into_nan_it_goes_back_to_the_best_of_all_evaluations_not_the_last(last):
    objective, theta = Collapsing(last), np.array([-1.2, 1.0])
    result = mlp.lbfgs(objective, theta)
    assert (result.status, result.success, result.nfev) == (3, False, last + 1)
    assert result.fun == scipy.optimize.rosen(theta) == min(objective.met[:last])


@pytest.mark.parametrize("best", [1, 2, 4])
def test_into_nan_with_patience_it_restores_the_best_on_validation(best):
    scores = Scores(*[0.9 if k == best else 0.1 for k in range(1, 50)])
    theta = np.array([-1.2, 1.0])
    result = mlp.lbfgs(Collapsing(last=12), theta, validation=scores, patience=40)
    assert (result.status, result.success) == (3, False)
    assert len(scores.shown) > 4
    assert_array_equal(theta, scores.shown[best - 1])
    assert result.fun == result.history[best - 1]["cost"] == scipy.optimize.rosen(theta)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maxiter": -1}, r"^maxiter: received -1 .* at least 0"),
        ({"maxiter": None}, r"^maxiter: received None"),
        ({"memory": 0}, r"^memory: received 0 .* at least 1 and at most 10,000"),
        ({"memory": 10**400}, r"^memory: received 1000.* at most 10,000"),
        ({"memory": 1.5}, r"^memory: received 1.5"),
        ({"gtol": -1}, r"^gtol: received -1 .* at least 0"),
        ({"ftol": "1e-9"}, r"^ftol: received '1e-9'"),
        ({"each_step": 3}, r"^each_step: received 3 \(int\), but it must be callable"),
    ],
    ids=lambda options: next(iter(options)) if isinstance(options, dict) else "",
)
def test_bad_options(options, message):
    theta = np.ones(2)
    with pytest.raises((ValueError, TypeError), match=message):
        mlp.lbfgs(bowl, theta, **options)
    assert_array_equal(theta, 1)


@pytest.mark.parametrize("settings", [{"dropout": (0.1, 0.5)}, {"distort": np.add}, {"max_norm": 2.0}], ids=str)
def test_what_only_steps_of_descent_do_justice_to_is_refused(settings):
    net, objective = problem(**settings)
    with pytest.raises(ValueError, match=r"^objective: has (distortions or dropout|a max_norm), which .* sgd (or|and) adam"):
        mlp.lbfgs(objective, net.theta)


@pytest.mark.slow
def test_softmax_regression_by_lbfgs_on_mnist():
    """The UFLDL tutorial's softmax exercise: λ = 1e-4, 100 iterations of L-BFGS, 60,000 images; it states 92.6 %."""
    train, _, test = mlp.load_mnist(validation=0)
    assert len(train) == 60_000
    net = mlp.MLP([784, 10], output="softmax", seed=0)
    result = mlp.lbfgs(mlp.Objective(net, train.X, train.y, weight_decay=1e-4), net.theta, maxiter=100)
    assert result.nit <= 100
    assert np.mean(net.predict(test.X) == test.y) >= 0.92
