"""Update rules: by hand, by other libraries' numbers, to minima in closed form; and a rule of one's own."""

from functools import partial

import numpy as np
import pytest
from minimising import RULES, SETTINGS, bowl, full_batch, left, problem, slope, stopped, through_a_file
from numpy.testing import assert_allclose

import mlp
from mlp.optimizers.descent import descend, with_options
from mlp.optimizers.rules import Descent


@pytest.mark.parametrize(
    ("options", "factors"),
    [
        # C = ½θ², so that ∂C = θ; η = 0.1, θ₀ = 1.
        # θ ← θ − 0.1θ
        ({}, [0.9, 0.81, 0.729]),
        # v ← 0.5v − 0.1θ, θ ← θ + v: v = −0.1, −0.05 − 0.09 = −0.14, −0.07 − 0.076 = −0.146
        ({"momentum": 0.5}, [0.9, 0.76, 0.614]),
        # v as above, θ ← θ + 0.5v − 0.1θ: v = −0.1 (θ = 1 − 0.05 − 0.1); v = −0.05 − 0.085 = −0.135
        # (θ = 0.85 − 0.0675 − 0.085); v = −0.0675 − 0.06975 = −0.13725 (θ = 0.6975 − 0.068625 − 0.06975)
        ({"momentum": 0.5, "nesterov": True}, [0.85, 0.6975, 0.559125]),
    ],
    ids=["plain", "momentum", "nesterov"],
)
def test_sgd_steps_on_a_bowl_by_hand(options, factors):
    start, seen = np.array([1.0, -2.0]), []
    theta = start.copy()
    mlp.sgd(bowl, theta, learning_rate=0.1, batch_size=None, epochs=3, callback=seen.append, **options)
    assert_allclose(seen, np.outer(factors, start), rtol=1e-14)
    assert_allclose(theta, factors[-1] * start, rtol=1e-14)


def test_adam_steps_on_a_bowl_by_hand():
    # C = ½θ², η = 0.1, θ₀ = 1.
    # t = 1: m = 0.1, v = 0.001, m̂ = v̂ = 1, θ = 1 − 0.1/(1 + 1e-8) = 0.900000001
    # t = 2: m = 0.09 + 0.09 = 0.18, v = 0.000999 + 0.00081 = 0.001809; m̂ = 0.18/0.19 = 0.947368,
    #        v̂ = 0.001809/0.001999 = 0.904952, θ = 0.9 − 0.1 · 0.947368/0.951290 = 0.800412
    # (the digits below: the same in 30-digit decimal arithmetic). Of many components, more than are worked on at a time.
    seen = []
    mlp.adam(bowl, np.ones(40_001), learning_rate=0.1, batch_size=None, epochs=3, callback=seen.append)
    assert_allclose(seen, np.outer([0.900000001, 0.80041222971233739, 0.70158627450441421], np.ones(40_001)), rtol=1e-14)


@pytest.mark.parametrize("gradient", [1e-3, -0.5, 7.0, -1e6])
def test_adams_first_step_is_the_learning_rate_whatever_the_gradient(gradient):
    theta = np.zeros(1)
    mlp.adam(lambda _: (0.0, np.array([gradient])), theta, learning_rate=0.01, batch_size=None, epochs=1)
    assert_allclose(theta, -0.01 * np.sign(gradient), rtol=2e-5)  # ε/|g| is 1e-5 at most


def test_adam_with_its_own_betas_and_epsilon_by_hand():
    # C = Σθ, so that ∂C = 1 and m̂ = v̂ = 1 at every step, whatever the betas: θ ← θ − η/(1 + ε)
    theta = np.zeros(2)
    mlp.adam(slope, theta, learning_rate=1.0, beta1=0.5, beta2=0.7, epsilon=1.0, batch_size=None, epochs=4)
    assert_allclose(theta, -4 / 2, rtol=1e-14)
    # β₁ = β₂ = 0: m̂ = g, v̂ = g², so that every step is η g/(|g| + ε): with C = ½θ², ε = 1, η = 1, from 1:
    # 1 − 1/2 = 1/2, 1/2 − (1/2)/(3/2) = 1/6
    theta = np.ones(1)
    mlp.adam(bowl, theta, learning_rate=1.0, beta1=0.0, beta2=0.0, epsilon=1.0, batch_size=None, epochs=2)
    assert_allclose(theta, 1 / 6, rtol=1e-14)


@pytest.mark.parametrize(
    ("minimise", "expected"),
    [
        (partial(mlp.sgd, learning_rate=0.1), [0.81707280688755, 0.6648326359915, 0.5386151140949]),
        (partial(mlp.sgd, learning_rate=0.1, momentum=0.5), [0.6848486952183, 0.44803321781003, 0.27431190123502]),
        (
            partial(mlp.sgd, learning_rate=0.1, momentum=0.5, nesterov=True),
            [0.67466543592725, 0.44108468114241, 0.2769002108997],
        ),
        (partial(mlp.adam, learning_rate=0.01), [0.90034972009036, 0.90034967993061, 0.90034966654402]),
    ],
    ids=RULES,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ten_steps_agree_with_torch(minimise, expected, dtype):
    """Numbers of torch.optim, as published in Lasagne's tests/test_updates.py: C = 0.1x² + 0.2y² + 0.3z² from (1, 1, 1)."""
    scale = np.array([0.1, 0.2, 0.3], dtype)
    theta = np.ones(3, dtype)
    minimise(lambda t: (float(scale @ t**2), 2 * scale * t), theta, batch_size=None, epochs=10)
    assert_allclose(theta, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "w", "b"),
    [
        # One example x = 2, t = 1, y = wx + b, C = ½(y − t)² + ¼w² (λ = 0.5); w₀ = 1, b₀ = 0, η = 0.1.
        # step 1: y − t = 1, ∂w = 2 + 0.5 = 2.5, ∂b = 1
        # plain: w = 0.75, b = −0.1; y − t = 0.4, ∂w = 0.8 + 0.375 = 1.175, ∂b = 0.4
        ({}, [0.75, 0.6325], [-0.1, -0.14]),
        # momentum 0.5: v = (−0.25, −0.1); the same gradients; v = (−0.125 − 0.1175, −0.05 − 0.04)
        ({"momentum": 0.5}, [0.75, 0.5075], [-0.1, -0.19]),
        # Nesterov: w = 1 − 0.125 − 0.25, b = −0.05 − 0.1; y − t = 0.1, ∂w = 0.2 + 0.3125, ∂b = 0.1;
        # v = (−0.125 − 0.05125, −0.05 − 0.01); w = 0.625 − 0.088125 − 0.05125, b = −0.15 − 0.03 − 0.01
        ({"momentum": 0.5, "nesterov": True}, [0.625, 0.485625], [-0.15, -0.19]),
    ],
    ids=["plain", "momentum", "nesterov"],
)
@pytest.mark.parametrize(("copies", "batch_size"), [(1, None), (3000, None), (3000, 3000)])  # 3,000 come in chunks
def test_weight_decay_is_for_weights_alone_by_hand(options, w, b, copies, batch_size):
    net = mlp.MLP([1, 1], output="identity", dtype="float64")
    net.theta[...] = [1, 0]
    objective = mlp.Objective(net, np.full((copies, 1), 2.0), np.ones(copies), weight_decay=0.5)
    seen = []
    result = mlp.sgd(objective, net.theta, learning_rate=0.1, batch_size=batch_size, epochs=2, callback=seen.append, **options)
    assert_allclose(seen, np.column_stack([w, b]), rtol=1e-12)
    # recorded is the cost as the step met it, and the penalty after it: ½·1² + ¼w²
    assert_allclose(result.history["cost"][0], 0.5 + 0.25 * w[0] ** 2, rtol=1e-12)


@pytest.mark.parametrize("name", [*RULES, "lbfgs"])
def test_no_rule_reads_memory_that_holds_no_numbers_yet(name, monkeypatch):
    """Whatever np.empty_like happens to return must not matter, NaN included."""
    monkeypatch.setattr(np, "empty_like", lambda array, *_, **__: np.full_like(array, np.nan))
    minimise = RULES.get(name, mlp.lbfgs)
    theta = np.ones(2)
    assert minimise(bowl, theta, **full_batch(minimise, 3)).status in (0, 1)
    assert np.linalg.norm(theta) < np.sqrt(2)
    net, objective = problem()
    before, _ = objective(net.theta)
    assert minimise(objective, net.theta, **full_batch(minimise, 3)).status in (0, 1)
    assert objective(net.theta)[0] < before


# Minima in closed form


def least_squares(weight_decay):
    """A linear network's objective over (40, 3), the parameters of least cost, and that cost."""
    rng = np.random.default_rng(0)
    n, features = 40, 3
    X, y = rng.standard_normal((n, features)), rng.standard_normal(n)
    # min (1/2n)‖Xw + b − y‖² + (λ/2)‖w‖² is the least squares of further rows √(nλ) w = 0
    rows = np.vstack([np.column_stack([X, np.ones(n)]), np.sqrt(n * weight_decay) * np.eye(features, features + 1)])
    solution = np.linalg.lstsq(rows, np.append(y, np.zeros(features)), rcond=None)[0]
    residual = rows @ solution - np.append(y, np.zeros(features))
    net = mlp.MLP([features, 1], output="identity", dtype="float64", seed=0)
    return net, mlp.Objective(net, X, y, weight_decay=weight_decay), solution, residual @ residual / (2 * n)


@pytest.mark.parametrize(
    "minimise",
    [
        partial(mlp.sgd, learning_rate=0.5, epochs=600, batch_size=None),
        partial(mlp.sgd, learning_rate=0.1, momentum=0.9, epochs=500, batch_size=None),
        partial(mlp.sgd, learning_rate=0.1, momentum=0.9, nesterov=True, epochs=500, batch_size=None),
        partial(mlp.adam, learning_rate=0.1, schedule="exponential:0.99", epochs=1500, batch_size=None),
        partial(mlp.lbfgs, gtol=1e-9, ftol=0),
    ],
    ids=[*RULES, "lbfgs"],
)
@pytest.mark.parametrize("weight_decay", [0, 0.1])
def test_linear_regression_reaches_the_least_squares_solution(minimise, weight_decay):
    net, objective, solution, cost = least_squares(weight_decay)
    result = minimise(objective, net.theta)
    assert_allclose(net.theta, solution, atol=1e-6)
    assert_allclose(result.fun, cost, rtol=1e-6)


class LeastSquares:
    """C = ½ mean (Xθ − y)², over rows: a function of one's own with a length."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.y)

    def __call__(self, theta, rows):
        error = self.X[rows] @ theta - self.y[rows]
        return 0.5 * float(error @ error) / len(rows), self.X[rows].T @ error / len(rows)


@pytest.mark.parametrize(
    "minimise",
    [
        partial(mlp.sgd, learning_rate=0.1, batch_size=1, epochs=40),
        partial(mlp.sgd, learning_rate=0.2, batch_size=7, epochs=150),
        partial(mlp.sgd, learning_rate=0.02, batch_size=7, momentum=0.9, epochs=150),
        partial(mlp.sgd, learning_rate=0.02, batch_size=7, momentum=0.9, nesterov=True, epochs=150),
        partial(mlp.adam, learning_rate=0.05, batch_size=7, schedule="exponential:0.98", epochs=500),
    ],
    ids=["one by one", *RULES],
)
def test_mini_batches_of_a_function_with_a_length_find_the_exact_solution(minimise):
    """Where Xθ = y has a solution, every mini-batch is content with it, and stochastic descent ends there."""
    X, solution = np.random.default_rng(0).standard_normal((30, 3)), np.array([1.0, -2.0, 0.5])
    theta = np.zeros(3)
    assert minimise(LeastSquares(X, X @ solution), theta).success
    assert_allclose(theta, solution, atol=1e-6)


# A rule of one's own: a class and a function, and nothing else


class RMSProp(Descent):
    """v ← ρv + (1 − ρ) ∂C², θ ← θ − η ∂C/(√v + ε) (Tieleman and Hinton 2012)."""

    kept = ("v",)
    settings = ("rho",)

    def __init__(self, problem, theta, rho):
        super().__init__(problem, theta)
        self.rho = rho
        self.v, self.gradient = np.zeros_like(theta), np.empty_like(theta)

    def step(self, theta, rows, rate, noise):
        cost = self.problem.accumulate(theta, rows, self.gradient, 1.0, 0.0, noise)
        self.v += (1 - self.rho) * (self.gradient**2 - self.v)
        theta -= rate * self.gradient / (np.sqrt(self.v) + 1e-8)
        return cost


@with_options
def rmsprop(objective, theta, *, learning_rate=1e-3, rho=0.9, **options):
    return descend(rmsprop, objective, theta, partial(RMSProp, rho=rho), learning_rate=learning_rate, **options)


def test_a_rule_of_ones_own_by_hand():
    # C = ½θ², ρ = 0.75, η = 0.1, from 1: v = 0.25, θ = 1 − 0.1/0.5 = 0.8; v = 0.1875 + 0.16 = 0.3475,
    # θ = 0.8 − 0.08/0.589491 = 0.664290
    theta = np.ones(1)
    rmsprop(bowl, theta, learning_rate=0.1, rho=0.75, batch_size=None, epochs=2)
    assert_allclose(theta, 0.664290, atol=1e-6)


def test_a_rule_of_ones_own_is_saved_and_resumed_and_refuses_what_it_must(tmp_path):
    net, objective = problem()
    whole = rmsprop(objective, net.theta.copy(), **SETTINGS)
    state = through_a_file(stopped(rmsprop, objective, net.theta.copy(), after=9, **SETTINGS), tmp_path)
    assert left(rmsprop(objective, net.theta.copy(), **SETTINGS, state=state)) == left(whole)
    with pytest.raises(ValueError, match=r"^state: received one of a run with rho = 0\.9, but this run has 0\.8$"):
        rmsprop(objective, net.theta, rho=0.8, **SETTINGS, state=state)
    with pytest.raises(TypeError, match=r"unknown argument 'beta1', but it must be one of learning_rate, rho, schedule, "):
        rmsprop(objective, net.theta, beta1=0.8)
