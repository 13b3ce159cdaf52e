"""`mlp.newton`: its conjugate gradients against linear algebra, its minima against scikit-learn and known functions."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import hilbert
from sklearn.linear_model import LogisticRegression

import mlp
from mlp.optimizers.conjugate import conjugate_gradients


class Rosenbrock:
    """½(10(y − x²))² + ½(1 − x)²: least squares, G = JᵀJ; the minimum, 0, is at (1, 1)."""

    dtype, noisy, max_norm = None, False, None

    def __call__(self, theta):
        r, J = self.parts(theta)
        return 0.5 * r @ r, J.T @ r

    @staticmethod
    def parts(theta):
        x, y = theta
        return np.array([10 * (y - x * x), 1 - x]), np.array([[-20 * x, 10.0], [-1.0, 0.0]])

    def __len__(self):
        return 1

    def gauss_newton(self, theta, v, rows=None):
        J = self.parts(theta)[1]
        return J.T @ (J @ v)

    def squared_gradients(self, theta, rows=None):
        return self(theta)[1] ** 2

    def accumulate(self, *given):
        raise AssertionError("newton asks for gradients")

    def penalty(self, theta):
        return 0.0

    def constrain(self, theta):
        pass

    def fingerprint(self):
        return ""


def problem(n=200, sizes=(4, 6, 3), dtype="float64", **settings):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((n, 4))
    y = (X @ rng.standard_normal((4, 3)) + 0.5 * rng.standard_normal((n, 3))).argmax(axis=1)
    net = mlp.MLP(list(sizes), hidden="tanh", dtype=dtype, seed=1)
    return net, mlp.Objective(net, X, y, **{"weight_decay": 0.01} | settings)


# Conjugate gradients


def test_conjugate_gradients_solve_linear_systems():
    B = hilbert(6) + 0.1 * np.eye(6)
    g = np.cos(np.arange(6))
    expected = np.linalg.solve(B, -g)
    for start in (np.zeros(6), np.ones(6)):
        for precondition in (np.ones(6), np.diag(B).copy()):
            solutions = conjugate_gradients(lambda v: B @ v, g, start, precondition, 30, 0.0)
            assert_allclose(solutions[-1].p, expected, rtol=1e-8)
            for p, q in solutions:
                assert q == pytest.approx(g @ p + 0.5 * p @ B @ p)
            assert (np.diff([q for _, q in solutions]) <= 1e-15).all()


def test_conjugate_gradients_with_the_right_preconditioner_need_one_iteration():
    curvature = np.array([1.0, 10.0, 100.0])
    times = []
    conjugate_gradients(lambda v: times.append(v) or curvature * v, np.ones(3), np.zeros(3), curvature, 50, 1e-9)
    assert len(times) <= 2


def test_conjugate_gradients_stop_by_martens_rule():
    """(φᵢ − φᵢ₋ₖ)/φᵢ < kε with k = max(10, i/10) (Martens 2010, section 4.4), here from q as it was found on the way."""
    B = np.diag(np.logspace(0, 4, 300))
    g = np.ones(300)
    found = []
    counts = [len(conjugate_gradients(lambda v: B @ v, g, np.zeros(300), np.ones(300), i, 0.0)) for i in (1, 2)]
    assert counts == [1, 2]
    for i in range(1, 200):
        found.append(conjugate_gradients(lambda v: B @ v, g, np.zeros(300), np.ones(300), i, 0.0)[-1].q)
        k = max(10, i // 10)
        if i > k and (found[-1] - found[-1 - k]) / found[-1] < k * 2e-3:
            break
    times = []
    conjugate_gradients(lambda v: times.append(v) or B @ v, g, np.zeros(300), np.ones(300), 500, 2e-3)
    assert len(times) == i < 200


def test_conjugate_gradients_stop_where_the_matrix_is_not_positive():
    B = np.diag([1.0, -2.0])
    assert conjugate_gradients(lambda v: B @ v, np.array([0.1, 1.0]), np.zeros(2), np.ones(2), 10, 0.0) == []
    (solution,) = conjugate_gradients(lambda v: B @ v, np.array([1.0, 0.1]), np.zeros(2), np.ones(2), 10, 0.0)
    assert solution.q < 0


# Minima


def test_rosenbrock_s_valley():
    theta = np.array([-1.2, 1.0])
    result = mlp.newton(Rosenbrock(), theta, damping=1e-3, gtol=1e-10, maxiter=200)
    assert result.success
    assert result.x is theta
    assert_allclose(theta, 1, atol=1e-9)
    costs = result.history["cost"]
    assert all(after <= before for before, after in pairwise(costs))


def test_softmax_regression_is_scikit_learn_s():
    net, objective = problem(sizes=(4, 3))
    result = mlp.newton(objective, net.theta, gtol=1e-8)
    W = LogisticRegression(C=1 / (200 * 0.01), tol=1e-12, max_iter=10_000).fit(objective.X, objective.Y).coef_
    assert_allclose(net.layers[0].W, W, atol=1e-5)
    assert (result.status, result.success) == (0, True)
    assert "no component of the gradient is above 1e-08" in result.message
    assert result.fun == pytest.approx(objective(net.theta)[0], abs=1e-14)
    assert result.nit < 30


def test_a_network_is_trained_on_subsets():
    net, objective = problem()
    before = objective.evaluate(net.theta)
    result = mlp.newton(objective, net.theta, maxiter=15, subset=100)
    after = objective.evaluate(net.theta)
    assert after.cost < 0.5 * before.cost
    assert after.accuracy > 0.85
    assert result.status == 1
    assert "not converged in 15 iterations" in result.message
    other, again = problem()
    mlp.newton(again, other.theta, maxiter=15, subset=100, seed=5)
    assert not np.allclose(net.theta, other.theta)


def test_damping_goes_by_how_well_the_model_foretold():
    """A quadratic's model is right but for the damping, so that λ falls by 2/3 each time; steps of a rate of 1."""

    class Bowl(Rosenbrock):
        def parts(self, theta):
            J = np.diag([1.0, 3.0])
            return J @ theta - np.array([1.0, 2.0]), J

    theta = np.zeros(2)
    result = mlp.newton(Bowl(), theta, damping=0.09, maxiter=3, gtol=0)
    assert_allclose(result.history["damping"], [0.09, 0.06, 0.04])
    assert result.history["rate"] == [1.0, 1.0, 1.0]
    assert_allclose(theta, [1, 2 / 3], rtol=0.01)


def test_float32_networks_are_updated_in_place():
    net, objective = problem(dtype="float32")
    result = mlp.newton(objective, net.theta, maxiter=3)
    assert result.x is net.theta
    assert net.theta.dtype == np.float32
    assert objective(net.theta)[0] == pytest.approx(result.fun, rel=1e-5)


# As the other minimisers


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path):
    whole, objective = problem()
    states = []
    uninterrupted = mlp.newton(
        objective, whole.theta, maxiter=6, subset=50, each_step=lambda snapshot: states.append(snapshot())
    )
    assert len(states) == 6
    for state in states[1:5:3]:
        mlp.save_state(tmp_path / "state.npz", state)
        net, again = problem()
        result = mlp.newton(again, net.theta, maxiter=6, subset=50, state=mlp.load_state(tmp_path / "state.npz"))
        assert_array_equal(net.theta, whole.theta)
        assert (result.fun, result.nfev, result.njev) == (uninterrupted.fun, uninterrupted.nfev, uninterrupted.njev)
        for ours, theirs in zip(result.history, uninterrupted.history, strict=True):
            assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
    net, again = problem()
    with pytest.raises(ValueError, match="subset = 50, but this run has 60"):
        mlp.newton(again, net.theta, subset=60, state=states[0])


def test_callback_validation_and_patience():
    net, objective = problem()
    _, validation = problem(n=60)
    seen = []

    def stop(intermediate_result):
        seen.append(intermediate_result.fun)
        if len(seen) == 3:
            raise StopIteration

    result = mlp.newton(objective, net.theta, callback=stop)
    assert (result.status, result.nit, result.history["cost"]) == (99, 3, seen)
    result = mlp.newton(objective, net.theta, validation=validation, patience=3, gtol=0)
    assert validation.evaluate(net.theta).accuracy == max(result.history["validation_accuracy"])
    net.theta[:] = problem()[0].theta
    result = mlp.newton(objective, net.theta, tol=0.05, tol_epochs=2)
    assert "converged: the cost changed by less than 0.05 in 2 iterations running" in result.message


def test_it_is_a_method_of_scipy_s_minimize():
    net, objective = problem()
    before = net.theta.copy()
    result = scipy.optimize.minimize(objective, net.theta, jac=True, method=mlp.newton, options={"maxiter": 4, "subset": 100})
    assert_array_equal(net.theta, before)
    mlp.newton(objective, net.theta, maxiter=4, subset=100)
    assert_array_equal(result.x, net.theta)


def test_held_noise_is_what_is_minimised():
    net, objective = problem(dropout=(0.0, 0.5))
    held = objective.with_noise(0)
    result = mlp.newton(held, net.theta, maxiter=5)
    assert held(net.theta)[0] == pytest.approx(result.fun, abs=1e-14)


# Ends that are no success, and refusals


def test_no_step_lowers_the_cost():
    class Misled(Rosenbrock):
        def __call__(self, theta):
            cost, gradient = super().__call__(theta)
            return cost, -gradient

    theta = np.array([-1.2, 1.0])
    result = mlp.newton(Misled(), theta)
    assert (result.status, result.success) == (2, False)
    assert "line search failed" in result.message
    assert_array_equal(theta, [-1.2, 1.0])


def test_a_cost_that_is_not_finite():
    net, objective = problem()
    net.theta[:] = 1e200
    result = mlp.newton(objective, net.theta)
    assert (result.status, result.success) == (3, False)
    assert result.message.startswith("diverged: the cost became")


def test_what_newton_cannot_minimise_is_refused():
    with pytest.raises(TypeError, match=r"without gauss_newton\(theta, v, rows\)"):
        mlp.newton(lambda theta: (theta @ theta, 2 * theta), np.ones(2))
    for settings, said in (({"dropout": (0, 0.5)}, "dropout"), ({"max_norm": 1.0}, "max_norm")):
        net, objective = problem(**settings)
        with pytest.raises(ValueError, match=said):
            mlp.newton(objective, net.theta)


@pytest.mark.parametrize(
    ("option", "value"),
    [("maxiter", -1), ("subset", 0), ("damping", 0.0), ("cg_maxiter", 0), ("cg_tol", -1.0), ("gtol", -1.0), ("seed", -1)],
)
def test_options_out_of_range_are_refused(option, value):
    net, objective = problem()
    with pytest.raises(ValueError, match=f"{option}: received {value}"):
        mlp.newton(objective, net.theta, **{option: value})
