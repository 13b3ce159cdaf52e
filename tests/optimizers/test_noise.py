"""Minimisers with distortions, dropout and max-norm: each step's noise, the same bits after a resume, what is refused."""

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Affine, Distortion, Elastic

RATES = (0.25, 0.5, 0.375)
DISTORTION = Distortion(Elastic(1, 2), Affine(), (2, 3))


RULES = {
    "plain": (mlp.sgd, {"learning_rate": 0.5}),
    "momentum": (mlp.sgd, {"learning_rate": 0.2, "momentum": 0.9}),
    "nesterov": (mlp.sgd, {"learning_rate": 0.2, "momentum": 0.9, "nesterov": True}),
    "adam": (mlp.adam, {"learning_rate": 0.05}),
}


for_each_rule = pytest.mark.parametrize("rule", RULES)


SETTINGS = {"batch_size": 4, "epochs": 4, "seed": 5}
EVERYTHING = {"dropout": RATES, "distort": DISTORTION, "max_norm": 0.9, "weight_decay": 0.01}


NOISES = pytest.mark.parametrize(
    "settings", [{"dropout": RATES}, {"distort": DISTORTION}, {"dropout": (0, 0, 0.5), "distort": DISTORTION}], ids=str
)


@for_each_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_step_ends_beyond_max_norm(problem, rule, dtype):
    minimise, options = RULES[rule]
    norms = []

    def each_step(snapshot):
        at = net.at(snapshot().arrays["theta"])
        norms.append(max(np.linalg.norm(layer.W.astype(float), axis=1).max() for layer in at.layers))

    for max_norm in (None, 0.8):
        net, objective = problem(23, dtype=dtype, max_norm=max_norm, dropout=RATES)
        minimise(objective, net.theta, batch_size=4, epochs=4, each_step=each_step, **options)
    free, held = norms[:24], norms[24:]
    assert min(free) > 0.9
    assert max(held) <= 0.8 * (1 + 1e-6)
    assert max(held) == pytest.approx(0.8, rel=1e-6)  # which they reach


@pytest.mark.parametrize("settings", [{"dropout": RATES}, {"distort": DISTORTION}, {"max_norm": 2.0}], ids=str)
def test_lbfgs_refuses_what_is_noisy_or_held_to_a_norm(problem, settings):
    net, objective = problem(**settings)
    before = net.theta.copy()
    with pytest.raises(ValueError, match=r"^objective: has (distortions or dropout|a max_norm), which .* sgd (or|and) adam"):
        mlp.lbfgs(objective, net.theta)
    assert_array_equal(net.theta, before)


@NOISES
def test_lbfgs_and_scipy_minimise_where_the_noise_is_held(problem, settings):
    net, objective = problem(30, weight_decay=0.1, **settings)
    held = objective.with_noise(1)
    theirs = scipy.optimize.minimize(held, net.theta.copy(), jac=True, options={"gtol": 1e-6})
    assert theirs.success, theirs.message
    result = mlp.lbfgs(held, net.theta, gtol=1e-6, ftol=0, maxiter=1000)
    assert result.success, result.message
    for x in (theirs.x, result.x):
        assert np.abs(held(x)[1]).max() < 1e-5
        assert held(x)[0] < held(np.zeros_like(x))[0]


@for_each_rule
@NOISES
def test_noise_is_drawn_from_the_seed(problem, rule, settings):
    minimise, options = RULES[rule]

    def trained(seed):
        net, objective = problem(**settings)
        # full batches: nothing but the noise is random
        minimise(objective, net.theta, batch_size=None, epochs=3, seed=seed, **options)
        return net.theta.tobytes()

    assert trained(1) == trained(1) == trained(np.random.default_rng(1))
    assert trained(1) != trained(2)


def test_every_step_has_noise_of_its_own(problem):
    net, objective = problem(dropout=RATES)
    noises = []
    original = objective.accumulate

    def watched(theta, rows, out, alpha, beta, noise):
        noises.append(noise)
        return original(theta, rows, out, alpha, beta, noise)

    objective.accumulate = watched
    mlp.sgd(objective, net.theta, **SETTINGS)
    assert len(set(noises)) == 4 * 3
    keys = [key for key, _ in noises]
    assert len(set(keys)) == 4  # one for each epoch, and the step's number in it
    assert [number for _, number in noises] == [0, 1, 2] * 4
    # the key is drawn from the generator before the epoch's order
    rng = np.random.default_rng(SETTINGS["seed"])
    for epoch in range(4):
        assert keys[3 * epoch] == rng.integers(1 << 63)
        rng.permutation(9)


@for_each_rule
@pytest.mark.parametrize("settings", [{}, {"max_norm": 0.5}, {"dropout": (0, 0, 0)}], ids=str)
@pytest.mark.parametrize("average", [0, 2])
def test_a_run_without_noise_draws_the_orders_and_nothing_more(problem, rule, settings, average):
    minimise, options = RULES[rule]
    net, objective = problem(**settings)
    used, rng = np.random.default_rng(3), np.random.default_rng(3)
    minimise(objective, net.theta, batch_size=4, epochs=3, seed=used, average=average, **options)
    orders = [rng.permutation(9) for _ in range(3)]
    assert used.bit_generator.state == rng.bit_generator.state
    if rule == "plain" and not settings and not average:
        theta = problem()[0].theta
        for order in orders:
            for start in (0, 4, 8):
                theta -= options["learning_rate"] * objective(theta, order[start : start + 4])[1]
        assert_allclose(net.theta, theta, atol=1e-13)


def test_a_step_of_sgd_is_down_the_gradient_of_its_noise_and_back_within_max_norm(problem):
    net, objective = problem(**EVERYTHING)
    theta, rng = net.theta.copy(), np.random.default_rng(5)
    mlp.sgd(objective, net.theta, learning_rate=0.5, **SETTINGS)
    for _ in range(4):
        key, order = int(rng.integers(1 << 63)), rng.permutation(9)
        for number, start in enumerate((0, 4, 8)):
            theta -= 0.5 * objective(theta, order[start : start + 4], noise=(key, number))[1]
            objective.constrain(theta)
    assert_allclose(net.theta, theta, atol=1e-12)


def test_a_held_noise_stays_the_same_in_every_step(problem):
    net, objective = problem(**EVERYTHING)
    held, theta = objective.with_noise(4), net.theta.copy()
    mlp.sgd(held, net.theta, learning_rate=0.5, batch_size=None, epochs=5)
    for _ in range(5):
        theta -= 0.5 * objective(theta, noise=4)[1]
        objective.constrain(theta)
    assert_allclose(net.theta, theta, atol=1e-12)


def left(result):
    """All that a run leaves, but for the seconds it took."""
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in result.history]
    return result.x.tobytes(), history, result.fun, result.nit, result.nfev, result.status, result.success, result.message


@for_each_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("after", [1, 8, 12, 13, 20, 24], ids="after {}".format)
def test_stop_and_resume_equals_uninterrupted(problem, rule, dtype, after, tmp_path):
    # 23 examples in batches of 4 are 6 steps an epoch; the last two of four epochs, from step 13, are averaged
    minimise, options = RULES[rule]
    settings = {**SETTINGS, **options, "average": 2}

    def fresh():
        net, objective = problem(23, dtype=dtype, **EVERYTHING)
        return net, objective, {**settings, "validation": problem(15, dtype=dtype)[1]}

    net, objective, arguments = fresh()
    whole = minimise(objective, net.theta, **arguments)
    assert whole.nfev == 24

    states = []

    def each_step(snapshot):
        states.append(snapshot())
        if len(states) == after:
            raise StopIteration

    net, objective, arguments = fresh()
    minimise(objective, net.theta, **arguments, each_step=each_step)
    mlp.save_state(tmp_path / "state.npz", states[-1])
    net, objective, arguments = fresh()
    net.theta[:] = 0.1
    resumed = minimise(objective, net.theta, **{**arguments, "seed": 77}, state=mlp.load_state(tmp_path / "state.npz"))
    assert left(resumed) == left(whole)


def test_states_of_runs_with_and_without_an_average_are_not_taken_for_each_other(problem):
    for given, wanted in ((2, 0), (0, 2)):
        net, objective = problem()
        states = []
        mlp.sgd(objective, net.theta, **SETTINGS, average=given, each_step=lambda snapshot, to=states: to.append(snapshot()))
        with pytest.raises(ValueError, match=r"^state: received the vectors .*average.*: the settings or the network differ"):
            mlp.sgd(objective, net.theta, **SETTINGS, average=wanted, state=states[0])


def test_scipys_front_end_drops_too(problem):
    results = []
    for _ in range(2):
        net, objective = problem(**EVERYTHING)
        mlp.sgd(objective, net.theta, **SETTINGS)
        start = problem()[0].theta
        result = scipy.optimize.minimize(objective, start, jac=True, method=mlp.sgd, options=SETTINGS)
        assert_array_equal(result.x, net.theta)
        results.append(result.x.tobytes())
    assert results[0] == results[1]
