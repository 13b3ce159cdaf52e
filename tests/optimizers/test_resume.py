"""Stop and go on: a run resumed from its state ends as if it had never been stopped.

That is the one expectation here, and it comes from outside the resuming code: the same run, left alone. `left` is all that a
run leaves but for its seconds, to the bit.
"""

import copy

import numpy as np
import pytest
import scipy.optimize
from minimising import (
    EPOCHS,
    SETTINGS,
    STEPS,
    Scores,
    Scripted,
    left,
    problem,
    rosen,
    stopped,
    stopped_by_callback,
    strangers,
    through_a_file,
)
from numpy.testing import assert_allclose, assert_array_equal

import mlp


@pytest.mark.parametrize(
    "after",
    [1, 9, 2 * STEPS, 2 * STEPS + 1, EPOCHS * STEPS],
    ids=["first step", "mid-epoch", "last step of an epoch", "first step of an epoch", "last step"],
)
def test_stop_and_resume_equals_uninterrupted(rule, after, tmp_path):
    net, objective = problem("float32")
    whole = rule(objective, net.theta, **SETTINGS)
    assert whole.nfev == STEPS * EPOCHS
    net, objective = problem("float32")
    state = stopped(rule, objective, net.theta, after=after, **SETTINGS)
    assert state.arrays["theta"].dtype == "float32"
    for again in (state, through_a_file(state, tmp_path)):  # as it is, and by way of the disk; with other weights and seed
        net, objective = problem("float32", seed=99)
        resumed = rule(objective, net.theta, **{**SETTINGS, "seed": 77}, state=again)
        assert left(resumed) == left(whole)
        assert resumed.x is net.theta


def distort(X, rng):
    return X + 0.1 * rng.standard_normal(X.shape)


@pytest.mark.parametrize("after", [8, 13, 20])  # averaged are the last two epochs, from step 13 on
def test_stop_and_resume_with_everything_at_once(rule, after, tmp_path):
    """Distorted inputs, dropout, max-norm, an average, validation, patience, a schedule and a network in another dtype."""
    everything = {"dropout": (0.2, 0.5), "distort": distort, "max_norm": 0.9, "dtype": "float32"}
    settings = {**SETTINGS, "average": 2, "patience": 4, "schedule": "cosine", "validation": strangers("float32")}
    net, objective = problem(**everything)
    start = net.theta.astype(np.float64)
    whole = rule(objective, start.copy(), **settings)
    assert len(set(whole.history["learning_rate"])) == EPOCHS
    state = through_a_file(stopped(rule, objective, start.copy(), after=after, **settings), tmp_path)
    resumed = rule(problem(seed=99, **everything)[1], np.zeros_like(start), **{**settings, "seed": 77}, state=state)
    assert left(resumed) == left(whole)
    assert resumed.x.dtype == np.float64


@pytest.mark.parametrize("after", [1, 2, EPOCHS])
def test_a_run_stopped_by_its_callback_goes_on_from_the_end_of_the_epoch(rule, after):
    net, objective = problem()
    whole = rule(objective, net.theta.copy(), **SETTINGS)
    theta = net.theta.copy()
    state = stopped_by_callback(rule, objective, theta, after=after, **SETTINGS)
    assert_array_equal(state.arrays["theta"], theta)
    assert left(rule(objective, net.theta, **SETTINGS, state=state)) == left(whole)


def test_a_run_stopped_again_and_again(rule, tmp_path):
    net, objective = problem()
    whole = rule(objective, net.theta.copy(), **SETTINGS)
    state = None
    for _ in range(STEPS * EPOCHS // 5):
        state = through_a_file(stopped(rule, objective, net.theta.copy(), after=5, **SETTINGS, state=state), tmp_path)
    assert left(rule(objective, net.theta, **SETTINGS, state=state)) == left(whole)


@pytest.mark.parametrize("after", [1, 5])
def test_full_batches_of_a_function_of_theta(rule, after, tmp_path):
    def shallow(theta):
        return scipy.optimize.rosen(theta), 1e-3 * scipy.optimize.rosen_der(theta)

    settings = {"batch_size": None, "epochs": 5}
    whole = rule(shallow, np.array([-1.2, 1.0]), **settings)
    state = through_a_file(stopped(rule, shallow, np.array([-1.2, 1.0]), after=after, **settings), tmp_path)
    assert left(rule(shallow, np.zeros(2), **settings, state=state)) == left(whole)


@pytest.mark.parametrize(
    ("said", "options"),
    [("stopped early", {"patience": 3, "validation": strangers()}), ("converged", {"tol": 0.05, "tol_epochs": 2})],
)
def test_patience_and_tol_end_the_run_where_they_would_have(rule, said, options):
    """Stopped at the end of every epoch in turn, the last one included, at which patience has run out."""
    settings = {**SETTINGS, "epochs": 60, **options}
    net, objective = problem()
    whole = rule(objective, net.theta.copy(), **settings)
    assert whole.message.startswith(said)
    assert ("restored the best parameters" in whole.message) == ("patience" in options)
    assert whole.nit > 2
    for after in range(1, whole.nit + 1):
        state = stopped_by_callback(rule, objective, net.theta.copy(), after=after, **settings)
        assert left(rule(objective, net.theta.copy(), **settings, state=state)) == left(whole)


@pytest.mark.parametrize("options", [{}, {"patience": 9}])
def test_what_has_improved_is_known_still(minimise, options):
    told = []
    settings = {"maxiter": 5} if minimise is mlp.lbfgs else {"learning_rate": 1e-4, "batch_size": None, "epochs": 5}
    settings = {**settings, **options, "validation": Scores(0.5, 0.6, 0.6, 0.55, 0.7)}
    state = stopped_by_callback(minimise, rosen, np.array([-1.2, 1.0]), after=2, **settings)

    def callback(intermediate_result):
        told.append(intermediate_result.improved)

    minimise(rosen, np.zeros(2), callback=callback, state=state, **settings)
    assert told == [False, False, True]


def test_patience_may_begin_where_a_run_goes_on():
    settings = {"learning_rate": 1, "batch_size": None, "epochs": 6}
    states = [
        stopped(mlp.sgd, Scripted(*range(9, 0, -1)), np.zeros(1), after=2, **settings, **options)
        for options in ({}, {"validation": Scores(0.8, 0.9)})
    ]
    for state in states:
        scores, theta = Scores(*(2 - len(state.facts["history"])) * [0.1], 0.5, 0.4, 0.3, 0.2), np.zeros(1)
        result = mlp.sgd(Scripted(*range(7, 0, -1)), theta, validation=scores, patience=2, state=state, **settings)
        assert result.message.startswith("stopped early")
        assert_array_equal(theta, scores.shown[scores.scores.index((1.0, 0.5))])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_resumed_run_diverges_as_it_would_have_and_keeps_the_same_parameters(momentum, after):
    # C = ¼‖θ‖⁴ with η too large: by hand 1 → −0.9 · … grows without bound after a few steps
    def quartic(theta):
        return 0.25 * float(np.sum(theta**2)) ** 2, float(np.sum(theta**2)) * theta

    settings = {"learning_rate": 3.0, "momentum": momentum, "batch_size": None, "epochs": 50}
    whole = mlp.sgd(quartic, np.array([1.0, 0.5]), **settings)
    assert whole.status == 3
    assert whole.nfev > 4
    state = stopped(mlp.sgd, quartic, np.array([1.0, 0.5]), after=after, **settings)
    assert left(mlp.sgd(quartic, np.zeros(2), **settings, state=state)) == left(whole)


def test_a_run_that_diverges_in_its_second_step_after_it_was_resumed_keeps_where_it_went_on():
    """The first step tells that the cost there was finite: those parameters are safe, and not what θ was before."""
    settings = {"learning_rate": 1, "batch_size": None, "epochs": 9}
    state = stopped_by_callback(mlp.sgd, Scripted(5, 4), np.zeros(1), after=2, **settings)
    theta = np.full(1, 77.0)
    result = mlp.sgd(Scripted(3, np.inf), theta, **settings, state=state)
    assert result.status == 3
    assert_array_equal(theta, [-2])  # two steps of 1 down
    assert "end of epoch 2 are kept" in result.message


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_generators_as_seeds(kind, tmp_path):
    def generator(seed):
        return np.random.Generator(getattr(np.random, kind)(seed))

    settings = {"batch_size": 4, "epochs": 3}
    net, objective = problem()
    whole = mlp.sgd(objective, net.theta.copy(), **settings, seed=generator(1))
    state = stopped(mlp.sgd, objective, net.theta.copy(), after=9, **settings, seed=generator(1))
    for again in (copy.deepcopy(state), through_a_file(state, tmp_path)):
        assert left(mlp.sgd(objective, net.theta.copy(), **settings, seed=generator(2), state=again)) == left(whole)


@pytest.mark.parametrize("average", [0, 2])
def test_more_epochs_than_were_planned_go_on_as_if_they_had_been(average):
    """An average over what were to be the last epochs is forgotten."""
    net, objective = problem()
    whole = mlp.sgd(objective, net.theta.copy(), batch_size=4, epochs=6, average=average)
    state = stopped_by_callback(mlp.sgd, objective, net.theta.copy(), after=3, batch_size=4, epochs=3, average=average)
    assert state.facts["averaged"] == average * STEPS
    resumed = mlp.sgd(objective, net.theta, batch_size=4, epochs=6, average=average, state=state)
    assert left(resumed) == left(whole)


def test_a_finished_run_has_nothing_left_to_do():
    net, objective = problem()
    state = stopped_by_callback(mlp.adam, objective, net.theta, after=EPOCHS, **SETTINGS)
    called = []
    for epochs in (EPOCHS, 2):
        settings = {**SETTINGS, "epochs": epochs}
        resumed = mlp.adam(objective, net.theta, **settings, state=state, callback=called.append, each_step=called.append)
        assert called == []
        assert (resumed.nit, resumed.nfev, resumed.message) == (EPOCHS, STEPS * EPOCHS, f"ran all {EPOCHS} epochs")


def test_through_scipy():
    net, objective = problem()
    options = {**SETTINGS, "momentum": 0.9}
    whole = scipy.optimize.minimize(objective, net.theta, jac=True, method=mlp.sgd, options=options)
    options["state"] = stopped(mlp.sgd, objective, net.theta.copy(), after=9, **options)
    assert left(scipy.optimize.minimize(objective, net.theta, jac=True, method=mlp.sgd, options=options)) == left(whole)


def test_the_clock_goes_on():
    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=9, **SETTINGS)
    state.facts["seconds"] = 1000.0
    resumed = mlp.sgd(objective, net.theta, **SETTINGS, state=state)
    assert all(1000 < seconds < 2000 for seconds in resumed.history["seconds"][1:])


def test_a_state_can_be_gone_on_from_twice(minimise):
    net, objective = problem()
    settings = {"maxiter": 9} if minimise is mlp.lbfgs else {**SETTINGS, "average": 3}
    settings = {**settings, "validation": strangers(), "patience": 9}
    state = stopped(minimise, objective, net.theta, after=9, **settings)
    before = copy.deepcopy(state)
    first = minimise(objective, net.theta.copy(), **settings, state=state)
    first.history[0]["cost"] = None
    second = minimise(objective, net.theta.copy(), **settings, state=state)
    assert_array_equal(first.x, second.x)
    assert state.facts == before.facts
    for name, vector in state.arrays.items():
        assert_array_equal(vector, before.arrays[name])


# States of earlier versions


def as_it_was(state):
    """The state as earlier versions wrote it."""
    renamed = {"rng_state": "order", "n_no_change": "calm"}
    added = ("averaged", "settings", "fingerprint")
    facts = {renamed.get(name, name): value for name, value in state.facts.items() if name not in added}
    return mlp.State(state.minimiser, state.arrays, facts)


@pytest.mark.parametrize("options", [{"patience": 9, "validation": strangers()}, {"tol": 1e-9}], ids=["patience", "tol"])
def test_states_of_earlier_versions_are_gone_on_from(rule, options):
    net, objective = problem()
    whole = rule(objective, net.theta.copy(), **SETTINGS, **options)
    state = stopped(rule, objective, net.theta.copy(), after=9, **SETTINGS, **options)
    assert left(rule(objective, net.theta.copy(), **SETTINGS, **options, state=as_it_was(state))) == left(whole)


def test_states_of_earlier_versions_of_lbfgs_are_gone_on_from():
    net, objective = problem()
    state = stopped(mlp.lbfgs, objective, net.theta.copy(), after=4, maxiter=9)
    now, then = (mlp.lbfgs(objective, net.theta.copy(), maxiter=9, state=each) for each in (state, as_it_was(state)))
    assert left(now) == left(then)


# L-BFGS: from the last iterate, never with a higher cost


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("after", [1, 10])
def test_lbfgs_goes_on_from_its_last_iterate(dtype, after, tmp_path):
    net, objective = problem(dtype)
    state = stopped(mlp.lbfgs, objective, net.theta, after=after, maxiter=25)
    cost = state.facts["history"][-1]["cost"]
    assert objective(state.arrays["theta"])[0] == cost

    evaluated = []

    def watched(theta):
        evaluated.append(theta.copy())
        return objective(theta)

    net.theta[:] = 0.5
    resumed = mlp.lbfgs(watched, net.theta, maxiter=25, state=through_a_file(state, tmp_path))
    assert_array_equal(evaluated[0], state.arrays["theta"])
    assert resumed.history[:after] == state.facts["history"]
    assert resumed.history["iteration"] == list(range(1, resumed.nit + 1))
    assert all(later <= earlier for earlier, later in zip(resumed.history["cost"], resumed.history["cost"][1:], strict=False))
    assert resumed.fun <= cost
    assert resumed.nit == 25  # iterations in all, not after those of the state
    assert resumed.nfev == state.facts["evaluations"] + len(evaluated)
    assert f"went on from iteration {after}, without the memory of the steps before it" in resumed.message


def test_lbfgs_ends_at_the_same_minimum():
    """Softmax regression with weight decay has one minimum but for what all biases have in common, which changes nothing."""
    rng = np.random.default_rng(0)
    net = mlp.MLP([4, 3], dtype="float64", seed=0)
    objective = mlp.Objective(net, rng.standard_normal((40, 4)), rng.integers(0, 3, 40), weight_decay=0.1)
    settings = {"gtol": 1e-9, "ftol": 0}
    whole = mlp.lbfgs(objective, net.theta.copy(), **settings)
    state = stopped(mlp.lbfgs, objective, net.theta.copy(), after=3, **settings)
    resumed = mlp.lbfgs(objective, net.theta, **settings, state=state)
    assert_allclose(resumed.fun, whole.fun, rtol=1e-12)
    assert_allclose(resumed.x[:12], whole.x[:12], atol=1e-7)


def test_lbfgs_that_has_made_all_its_iterations_makes_no_more():
    net, objective = problem("float32")
    state = stopped_by_callback(mlp.lbfgs, objective, net.theta, after=5, maxiter=5)
    resumed = mlp.lbfgs(objective, net.theta, maxiter=5, state=state)
    assert (resumed.nit, resumed.status, resumed.success) == (5, 1, False)
    assert_array_equal(resumed.x, state.arrays["theta"].astype(np.float32))
    assert resumed.fun == state.facts["history"][-1]["cost"]


def test_lbfgs_with_patience_remembers_the_best():
    scores, best = Scores(*[1 / k for k in range(1, 9)]), []
    net, objective = problem("float32")
    settings = {"validation": scores, "patience": 5}
    state = stopped(mlp.lbfgs, objective, net.theta, after=3, callback=lambda x: best.append(x.copy()), **settings)
    resumed = mlp.lbfgs(objective, net.theta, **settings, state=state)
    assert resumed.nit == 6
    assert resumed.message.startswith("stopped early: no better validation accuracy in 5 iterations")
    assert "restored the best parameters, of iteration 1" in resumed.message
    assert_array_equal(resumed.x, best[0].astype(np.float32))
    assert resumed.fun == resumed.history[0]["cost"]


def test_lbfgs_stopped_for_good_stays_stopped():
    net, objective = problem()
    settings = {"tol": 0.02, "tol_epochs": 2}
    whole = mlp.lbfgs(objective, net.theta.copy(), **settings)
    assert whole.message.startswith("converged: the cost changed by less than 0.02")
    state = stopped_by_callback(mlp.lbfgs, objective, net.theta.copy(), after=whole.nit, **settings)
    resumed = mlp.lbfgs(objective, net.theta, **settings, state=state)
    assert resumed.nit == whole.nit
    assert_array_equal(resumed.x, whole.x)


def test_lbfgs_that_diverges_after_it_was_resumed_goes_back_no_further_than_where_it_went_on():
    count = 0

    def collapsing(theta):
        nonlocal count
        count += 1
        return (scipy.optimize.rosen(theta) if count <= 8 else np.nan), scipy.optimize.rosen_der(theta)

    theta = np.array([-1.2, 1.0])
    state = stopped(mlp.lbfgs, rosen, theta, after=4)
    resumed = mlp.lbfgs(collapsing, theta, state=state)
    assert resumed.status == 3
    assert "went back to the best parameters met" in resumed.message
    assert scipy.optimize.rosen(theta) <= state.facts["history"][-1]["cost"]
