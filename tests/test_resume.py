"""Stop and go on: a run resumed from its state ends as if it had never been stopped.

That is the one expectation here, and it comes from outside the resuming code: the same run, left alone. `stopped` cuts a
run off after some steps, `same` compares to the bit all that a run leaves but for its seconds.
"""

import copy
import json
import math

import numpy as np
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal

import mlp

RULES = {
    "plain": (mlp.sgd, {"learning_rate": 0.3}),
    "momentum": (mlp.sgd, {"learning_rate": 0.1, "momentum": 0.9}),
    "nesterov": (mlp.sgd, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (mlp.adam, {"learning_rate": 0.03}),
}
#: 23 examples in batches of 4 are 6 steps an epoch, the last of 3 examples.
STEPS, EPOCHS = 6, 4
SETTINGS = {"batch_size": 4, "epochs": EPOCHS, "seed": 5}

for_each_rule = pytest.mark.parametrize("rule", RULES)


def problem(dtype="float32", seed=1, n=23):
    """A network and its objective; the examples are the same whatever the seed, which is of the weights."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((n, 4)), rng.integers(0, 3, n)
    net = mlp.MLP([4, 6, 3], hidden="tanh", dtype=dtype, seed=seed)
    return net, mlp.Objective(net, X, y, weight_decay=1e-2)


def strangers(dtype="float32"):
    """A validation set that has little to do with the examples, so that patience runs out."""
    rng = np.random.default_rng(8)
    net = mlp.MLP([4, 6, 3], hidden="tanh", dtype=dtype, seed=0)
    return mlp.Objective(net, rng.standard_normal((15, 4)), rng.integers(0, 3, 15))


def stopped(minimise, objective, theta, *, after, **settings):
    """The state of a run that was stopped after so many steps (iterations, of lbfgs)."""
    states = []
    count = 0

    def each_step(snapshot):
        nonlocal count
        count += 1
        if count == after:
            states.append(snapshot())
            raise StopIteration

    result = minimise(objective, theta, each_step=each_step, **settings)
    assert (result.status, result.success) == (99, False)
    (state,) = states
    return state


def stopped_by_callback(minimise, objective, theta, *, after, **settings):
    """The state of a run that its callback stopped after so many epochs or iterations."""
    states = []

    def callback(intermediate_result):
        if intermediate_result.nit == after:
            states.append(intermediate_result.snapshot())
            raise StopIteration

    minimise(objective, theta, callback=callback, **settings)
    (state,) = states
    return state


def through_a_file(state, directory):
    mlp.save_state(directory / "state.npz", state)
    return mlp.load_state(directory / "state.npz")


def left(result):
    """All that a run leaves, but for the seconds it took."""
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in result.history]
    return result.x.tobytes(), history, result.fun, result.nit, result.nfev, result.status, result.success, result.message


def same(result, other):
    assert left(result) == left(other)


# The same bits


@for_each_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "after",
    [1, 9, 2 * STEPS, 2 * STEPS + 1, EPOCHS * STEPS],
    ids=["first step", "mid-epoch", "last step of an epoch", "first step of an epoch", "last step"],
)
def test_stop_and_resume_equals_uninterrupted(rule, dtype, after, tmp_path):
    minimise, options = RULES[rule]
    net, objective = problem(dtype)
    whole = minimise(objective, net.theta, **SETTINGS, **options)
    assert whole.nfev == STEPS * EPOCHS

    net, objective = problem(dtype)
    state = stopped(minimise, objective, net.theta, after=after, **SETTINGS, **options)
    assert state.arrays["theta"].dtype == dtype
    for again in (state, through_a_file(state, tmp_path)):  # as it is, and by way of the disk; with other weights and seed
        net, objective = problem(dtype, seed=99)
        resumed = minimise(objective, net.theta, **{**SETTINGS, "seed": 77}, **options, state=again)
        same(resumed, whole)
        assert resumed.x is net.theta


@for_each_rule
@pytest.mark.parametrize("after", [1, 2, EPOCHS])
def test_a_run_stopped_by_its_callback_goes_on_from_the_end_of_the_epoch(rule, after, tmp_path):
    minimise, options = RULES[rule]
    net, objective = problem()
    whole = minimise(objective, net.theta, **SETTINGS, **options)
    net, objective = problem()
    state = stopped_by_callback(minimise, objective, net.theta, after=after, **SETTINGS, **options)
    assert state.arrays["theta"].tobytes() == net.theta.tobytes()
    net, objective = problem(seed=99)
    same(minimise(objective, net.theta, **SETTINGS, **options, state=through_a_file(state, tmp_path)), whole)


@for_each_rule
def test_a_run_stopped_again_and_again(rule, tmp_path):
    minimise, options = RULES[rule]
    net, objective = problem()
    whole = minimise(objective, net.theta, **SETTINGS, **options)
    state = None
    for _ in range(STEPS * EPOCHS // 5):
        net, objective = problem(seed=99 if state else 1)
        state = stopped(minimise, objective, net.theta, after=5, **SETTINGS, **options, state=state)
        state = through_a_file(state, tmp_path)
    same(minimise(objective, net.theta, **SETTINGS, **options, state=state), whole)


@for_each_rule
@pytest.mark.parametrize("after", [1, 3, 5])
def test_full_batches(rule, after, tmp_path):
    minimise, options = RULES[rule]
    settings = {"batch_size": None, "epochs": 5, **options}
    net, objective = problem()
    whole = minimise(objective, net.theta, **settings)
    net, objective = problem()
    state = through_a_file(stopped(minimise, objective, net.theta, after=after, **settings), tmp_path)
    same(minimise(objective, net.theta, **settings, state=state), whole)


@pytest.mark.parametrize("rule", ["nesterov", "adam"])
@pytest.mark.parametrize(
    "schedule", ["cosine", "step:0.5:2", "exponential:0.8", lambda epoch: 1 / (1 + epoch)], ids=lambda s: str(s)[:12]
)
def test_schedules(rule, schedule, tmp_path):
    minimise, options = RULES[rule]
    net, objective = problem()
    whole = minimise(objective, net.theta, **SETTINGS, **options, schedule=schedule)
    assert len(set(whole.history["learning_rate"])) > 1
    net, objective = problem()
    state = stopped(minimise, objective, net.theta, after=15, **SETTINGS, **options, schedule=schedule)
    same(minimise(objective, net.theta, **SETTINGS, **options, schedule=schedule, state=through_a_file(state, tmp_path)), whole)


@for_each_rule
def test_validation_is_recorded_on(rule, tmp_path):
    minimise, options = RULES[rule]
    net, objective = problem()
    whole = minimise(objective, net.theta, **SETTINGS, **options, validation=strangers())
    net, objective = problem()
    state = stopped(minimise, objective, net.theta, after=9, **SETTINGS, **options, validation=strangers())
    state = through_a_file(state, tmp_path)
    resumed = minimise(objective, net.theta, **SETTINGS, **options, validation=strangers(), state=state)
    same(resumed, whole)
    assert len(resumed.history["validation_cost"]) == EPOCHS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@for_each_rule
def test_patience_runs_out_where_it_would_have(rule, dtype, tmp_path):
    """Stopped at the end of every epoch in turn, the last one included, at which patience has run out."""
    minimise, options = RULES[rule]
    settings = {**SETTINGS, **options, "epochs": 60, "patience": 3, "validation": strangers(dtype)}
    net, objective = problem(dtype)
    whole = minimise(objective, net.theta, **settings)
    assert whole.message.startswith("stopped early")
    assert "restored the best parameters" in whole.message
    for after in range(1, whole.nit + 1):
        net, objective = problem(dtype)
        state = stopped_by_callback(minimise, objective, net.theta, after=after, **settings)
        same(minimise(objective, net.theta, **settings, state=through_a_file(state, tmp_path)), whole)


@for_each_rule
def test_tol_ends_the_run_where_it_would_have(rule, tmp_path):
    minimise, options = RULES[rule]
    settings = {**SETTINGS, **options, "epochs": 60, "tol": 0.05, "tol_epochs": 2}
    net, objective = problem()
    whole = minimise(objective, net.theta, **settings)
    assert whole.message.startswith("converged")
    assert whole.nit > 2
    for after in range(1, whole.nit + 1):
        net, objective = problem()
        state = stopped_by_callback(minimise, objective, net.theta, after=after, **settings)
        same(minimise(objective, net.theta, **settings, state=through_a_file(state, tmp_path)), whole)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_resumed_run_diverges_as_it_would_have_and_keeps_the_same_parameters(momentum, after, tmp_path):
    # C = ¼‖θ‖⁴ with η too large: by hand 1 → −0.9 · … grows without bound after a few steps
    def quartic(theta):
        return 0.25 * float(np.sum(theta**2)) ** 2, float(np.sum(theta**2)) * theta

    settings = {"learning_rate": 3.0, "momentum": momentum, "batch_size": None, "epochs": 50}
    whole = mlp.sgd(quartic, np.array([1.0, 0.5]), **settings)
    assert whole.status == 3
    assert whole.nfev > 4
    state = stopped(mlp.sgd, quartic, np.array([1.0, 0.5]), after=after, **settings)
    same(mlp.sgd(quartic, np.zeros(2), **settings, state=through_a_file(state, tmp_path)), whole)


@for_each_rule
def test_an_ordinary_function_of_theta(rule, tmp_path):
    minimise, options = RULES[rule]

    def rosenbrock(theta):
        return scipy.optimize.rosen(theta), 1e-3 * scipy.optimize.rosen_der(theta)

    settings = {**options, "batch_size": None, "epochs": 9}
    whole = minimise(rosenbrock, np.array([-1.2, 1.0]), **settings)
    state = stopped(minimise, rosenbrock, np.array([-1.2, 1.0]), after=4, **settings)
    same(minimise(rosenbrock, np.zeros(2), **settings, state=through_a_file(state, tmp_path)), whole)


class LeastSquares:
    """C = ½ mean (Xθ − y)² over rows: the user's own, with a length."""

    X = np.random.default_rng(2).standard_normal((11, 3))
    y = X @ np.array([1.0, -2.0, 0.5]) + 0.1

    def __len__(self):
        return len(self.y)

    def __call__(self, theta, rows):
        error = self.X[rows] @ theta - self.y[rows]
        return 0.5 * float(error @ error) / len(error), self.X[rows].T @ error / len(error)


@for_each_rule
def test_a_users_own_objective_over_rows(rule, tmp_path):
    minimise, options = RULES[rule]
    settings = {**options, "batch_size": 3, "epochs": 4, "seed": 1}
    whole = minimise(LeastSquares(), np.zeros(3), **settings)
    state = stopped(minimise, LeastSquares(), np.zeros(3), after=6, **settings)
    same(minimise(LeastSquares(), np.ones(3), **settings, state=through_a_file(state, tmp_path)), whole)


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_generators_as_seeds(kind, tmp_path):
    def generator(seed):
        return np.random.Generator(getattr(np.random, kind)(seed))

    settings = {"learning_rate": 0.2, "batch_size": 4, "epochs": 3}
    net, objective = problem()
    whole = mlp.sgd(objective, net.theta, **settings, seed=generator(1))
    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=9, **settings, seed=generator(1))
    same(mlp.sgd(objective, net.theta, **settings, seed=generator(2), state=copy.deepcopy(state)), whole)
    same(mlp.sgd(objective, net.theta, **settings, seed=generator(2), state=through_a_file(state, tmp_path)), whole)


def test_a_run_without_a_seed_goes_on_in_the_order_it_was_in(tmp_path):
    states = []

    def each_step(snapshot):
        if len(states) < 9:
            states.append(snapshot())

    net, objective = problem()
    whole = mlp.sgd(objective, net.theta, batch_size=4, epochs=3, seed=None, each_step=each_step)
    net, objective = problem()
    same(mlp.sgd(objective, net.theta, batch_size=4, epochs=3, seed=None, state=through_a_file(states[-1], tmp_path)), whole)


def test_parameters_in_another_dtype_than_the_networks(tmp_path):
    net, objective = problem("float32")
    start = net.theta.astype(np.float64)
    whole = mlp.adam(objective, start.copy(), **SETTINGS)
    state = through_a_file(stopped(mlp.adam, objective, start.copy(), after=9, **SETTINGS), tmp_path)
    resumed = mlp.adam(objective, np.zeros_like(start), **SETTINGS, state=state)
    same(resumed, whole)
    assert resumed.x.dtype == np.float64


def test_more_epochs_than_were_planned_go_on_as_if_they_had_been():
    net, objective = problem()
    whole = mlp.sgd(objective, net.theta, batch_size=4, epochs=6)
    net, objective = problem()
    state = stopped_by_callback(mlp.sgd, objective, net.theta, after=3, batch_size=4, epochs=3)
    same(mlp.sgd(objective, net.theta, batch_size=4, epochs=6, state=state), whole)


def test_a_finished_run_has_nothing_left_to_do():
    net, objective = problem()
    state = stopped_by_callback(mlp.adam, objective, net.theta, after=EPOCHS, **SETTINGS)
    called = []
    resumed = mlp.adam(objective, net.theta, **SETTINGS, state=state, callback=called.append, each_step=called.append)
    assert called == []
    assert (resumed.nit, resumed.nfev, resumed.message) == (EPOCHS, STEPS * EPOCHS, f"ran all {EPOCHS} epochs")


def test_through_scipy():
    net, objective = problem()
    start = net.theta.copy()
    options = {**SETTINGS, "momentum": 0.9}
    whole = scipy.optimize.minimize(objective, start, jac=True, method=mlp.sgd, options=options)
    state = stopped(mlp.sgd, objective, start.copy(), after=9, **options)
    same(scipy.optimize.minimize(objective, start, jac=True, method=mlp.sgd, options={**options, "state": state}), whole)


# The state


@for_each_rule
def test_a_snapshot_is_a_copy(rule):
    """What the run does later doesn't reach it, and what is done to it doesn't reach the run."""
    minimise, options = RULES[rule]
    net, objective = problem()
    whole = minimise(objective, net.theta, **SETTINGS, **options, validation=strangers(), patience=9)
    taken, copies, thetas = [], [], []

    def callback(intermediate_result):
        state = intermediate_result.snapshot()
        taken.append(state)
        copies.append(copy.deepcopy(state))
        thetas.append(intermediate_result.x.copy())
        spoilt = intermediate_result.snapshot()
        for vector in spoilt.arrays.values():
            vector.fill(np.nan)
        spoilt.facts["history"].clear()

    net, objective = problem()
    result = minimise(objective, net.theta, **SETTINGS, **options, validation=strangers(), patience=9, callback=callback)
    same(result, whole)
    for number, (state, kept, theta) in enumerate(zip(taken, copies, thetas, strict=True), 1):
        assert state.minimiser == minimise.__name__
        assert len(state.facts["history"]) == number
        assert state.facts == kept.facts
        assert state.arrays.keys() == kept.arrays.keys()
        for name, vector in state.arrays.items():
            assert_array_equal(vector, kept.arrays[name])
        assert_array_equal(state.arrays["theta"], theta)


@pytest.mark.parametrize("minimise", [mlp.sgd, mlp.adam, mlp.lbfgs])
def test_a_state_can_be_gone_on_from_twice(minimise):
    net, objective = problem()
    settings = {"maxiter": 9} if minimise is mlp.lbfgs else SETTINGS
    settings = {**settings, "validation": strangers(), "patience": 9}
    state = stopped(minimise, objective, net.theta, after=3, **settings)
    before = copy.deepcopy(state)
    first = minimise(objective, net.theta.copy(), **settings, state=state)
    same(minimise(objective, net.theta.copy(), **settings, state=state), first)
    assert state.facts == before.facts
    for name, vector in state.arrays.items():
        assert_array_equal(vector, before.arrays[name])


def test_the_clock_goes_on(tmp_path):
    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=9, **SETTINGS)
    state.facts["seconds"] = 1000.0
    resumed = mlp.sgd(objective, net.theta, **SETTINGS, state=through_a_file(state, tmp_path))
    assert all(1000 < seconds < 2000 for seconds in resumed.history["seconds"][1:])


def test_what_a_state_holds():
    net, objective = problem()
    names = {
        rule: set(stopped(minimise, objective, net.theta, after=2, **SETTINGS, **options).arrays)
        for rule, (minimise, options) in RULES.items()
    }
    assert names == {
        "plain": {"theta", "safe"},
        "momentum": {"theta", "safe", "velocity"},
        "nesterov": {"theta", "safe", "velocity"},
        "adam": {"theta", "safe", "m", "v"},
    }


def test_a_state_with_numbers_that_are_not_finite_comes_back_the_same(tmp_path):
    facts = {"history": [], "nan": math.nan, "inf": math.inf, "π": [math.pi, 1 << 127, 5e-324]}
    state = mlp.State("sgd", {"theta": np.array([5e-324, -0.0, 1e308])}, facts)
    back = through_a_file(state, tmp_path)
    assert back.minimiser == "sgd"
    assert back.arrays["theta"].tobytes() == state.arrays["theta"].tobytes()
    assert math.isnan(back.facts.pop("nan"))
    assert back.facts == {name: value for name, value in facts.items() if name != "nan"}


def test_validation_figures_of_numpys_own_types_can_be_saved(tmp_path):
    class Validation:
        def evaluate(self, theta):
            return np.float32(theta.sum()), np.float32(0.5)

    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=8, **SETTINGS, validation=Validation())
    assert through_a_file(state, tmp_path).facts["history"] == state.facts["history"]


@pytest.mark.parametrize("state", [None, 3, {"minimiser": "sgd"}, "state.npz"])
def test_save_state_takes_states_only(state, tmp_path):
    with pytest.raises(TypeError, match=r"^state: received .*, but it must be a State"):
        mlp.save_state(tmp_path / "state.npz", state)
    assert list(tmp_path.iterdir()) == []


def test_facts_that_no_json_holds_are_refused_and_the_file_stays(tmp_path):
    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=2, **SETTINGS)
    mlp.save_state(tmp_path / "state.npz", state)
    before = (tmp_path / "state.npz").read_bytes()
    state.facts["mine"] = object()
    with pytest.raises(TypeError, match=r"^state\.facts: received .*, but JSON must be able to hold"):
        mlp.save_state(tmp_path / "state.npz", state)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]
    assert (tmp_path / "state.npz").read_bytes() == before


def test_models_and_states_are_not_taken_for_each_other(tmp_path):
    net, objective = problem()
    mlp.save(tmp_path / "model.npz", net)
    through_a_file(stopped(mlp.sgd, objective, net.theta, after=2, **SETTINGS), tmp_path)
    with pytest.raises(ValueError, match=r"model\.npz: is 'mlp-model' version 1, but .* 'mlp-state' version 1"):
        mlp.load_state(tmp_path / "model.npz")
    with pytest.raises(ValueError, match=r"state\.npz: is 'mlp-state' version 1, but .* 'mlp-model' version 1"):
        mlp.load(tmp_path / "state.npz")


def write_state(path, header, **arrays):
    """A state file by hand, from the format's description."""
    encoded = np.frombuffer(json.dumps({"format": "mlp-state", "version": 1, **header}).encode(), np.uint8)
    np.savez(path, header=encoded, **arrays)


@pytest.mark.parametrize(
    ("header", "arrays", "message"),
    [
        ({"facts": {"history": []}}, {"theta": np.zeros(3)}, "not a state"),
        ({"minimiser": "sgd", "facts": [1]}, {"theta": np.zeros(3)}, "not a state"),
        ({"minimiser": 3, "facts": {"history": []}}, {"theta": np.zeros(3)}, "not a state"),
        ({"minimiser": "sgd", "facts": {"history": []}}, {"theta": np.zeros((3, 1))}, "theta.npy is damaged"),
        ({"minimiser": "sgd", "facts": {"history": []}}, {"theta": np.zeros(3, int)}, "theta.npy is damaged"),
        (
            {"minimiser": "sgd", "facts": {"history": []}},
            {"theta": np.zeros(3), "velocity": np.zeros(4)},
            "a velocity of shape (4,)",
        ),
        ({"minimiser": "sgd", "facts": {"history": []}}, {"safe": np.zeros(3)}, "not a state, or damaged"),
    ],
)
def test_state_files_that_are_none(header, arrays, message, tmp_path):
    write_state(tmp_path / "state.npz", header, **arrays)
    with pytest.raises(ValueError, match=r"state\.npz: ") as caught:
        mlp.load_state(tmp_path / "state.npz")
    assert message in str(caught.value)


# States of something else


def states_of_all_kinds():
    states = {}
    for dtype in ("float32", "float64"):
        for rule, (minimise, options) in RULES.items():
            net, objective = problem(dtype)
            states[rule, dtype] = stopped(minimise, objective, net.theta, after=3, **SETTINGS, **options)
        net, objective = problem(dtype)
        states["lbfgs", dtype] = stopped(mlp.lbfgs, objective, net.theta, after=3)
    return states


def refuses(minimise, options, state, kind=ValueError):
    net, objective = problem()
    before = net.theta.copy()
    settings = options if minimise is mlp.lbfgs else {**SETTINGS, **options}
    with pytest.raises(kind, match=r"^state: received ") as caught:
        minimise(objective, net.theta, **settings, state=state)
    assert_array_equal(net.theta, before)
    return str(caught.value)


@pytest.mark.parametrize("rule", [*RULES, "lbfgs"])
def test_states_of_another_minimiser_or_rule_are_refused(rule):
    minimise, options = RULES.get(rule, (mlp.lbfgs, {}))
    for (other, dtype), state in states_of_all_kinds().items():
        # momentum and Nesterov keep the same vector; lbfgs's are float64 whatever the network's
        alike = {rule, other} <= {"momentum", "nesterov"} or rule == other
        if alike and (dtype == "float32" or rule == "lbfgs"):
            continue
        message = refuses(minimise, options, state)
        assert "but this " in message
        if state.minimiser != minimise.__name__:
            assert message == f"state: received one of {state.minimiser}, but this is {minimise.__name__}"


@pytest.mark.parametrize("rule", [*RULES, "lbfgs"])
def test_states_of_another_network_are_refused(rule):
    minimise, options = RULES.get(rule, (mlp.lbfgs, {}))
    net = mlp.MLP([4, 5, 3], seed=0)
    objective = mlp.Objective(net, np.ones((5, 4)), [0, 1, 2, 0, 1])
    settings = {} if minimise is mlp.lbfgs else {**SETTINGS, **options}
    state = stopped(minimise, objective, net.theta, after=1, **settings)
    assert f"({net.theta.size},)" in refuses(minimise, options, state)


@pytest.mark.parametrize("rule", [*RULES, "lbfgs"])
@pytest.mark.parametrize(
    "state", [3, "state.npz", {"theta": np.zeros(51)}, np.zeros(51)], ids=lambda state: type(state).__name__
)
def test_what_is_no_state_is_refused(rule, state):
    minimise, options = RULES.get(rule, (mlp.lbfgs, {}))
    assert "but it must be None or a State" in refuses(minimise, options, state, TypeError)


@pytest.mark.parametrize("rule", [*RULES, "lbfgs"])
@pytest.mark.parametrize("missing", ["history", "calm", "best", "seconds"])
def test_states_that_lack_a_fact_are_refused(rule, missing):
    """As one made by hand, or by another version, might."""
    minimise, options = RULES.get(rule, (mlp.lbfgs, {}))
    net, objective = problem()
    state = stopped(minimise, objective, net.theta, after=2, **({} if minimise is mlp.lbfgs else {**SETTINGS, **options}))
    del state.facts[missing]
    refuses(minimise, options, state)


@pytest.mark.parametrize(
    "facts",
    [
        {"best": ["x", 1]},
        {"best": [0.5]},
        {"best": [0.5, 99]},
        {"best": [0.5, 1.0]},
        {"total": 10**400},
        {"done": 1 << 63},
        {"averaged": 3},
        {"history": [{"epoch": 1}]},
        {"history": [{"epoch": 1, "cost": "x"}]},
    ],
    ids=str,
)
def test_states_with_altered_facts_are_refused(facts):
    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=9, **SETTINGS, validation=strangers(), patience=2)
    state.facts.update(facts)
    refuses(mlp.sgd, {"validation": strangers(), "patience": 2}, state)


def test_a_state_whose_best_parameters_are_gone_is_refused():
    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=9, **SETTINGS, validation=strangers(), patience=2)
    del state.arrays["best"]
    refuses(mlp.sgd, {}, state)


def test_a_state_whose_generator_is_of_another_kind_is_refused():
    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=9, **{**SETTINGS, "seed": np.random.Generator(np.random.MT19937(0))})
    refuses(mlp.sgd, {}, state)


def test_a_state_with_nan_in_it_is_refused():
    net, objective = problem()
    state = stopped(mlp.sgd, objective, net.theta, after=9, **SETTINGS)
    state.arrays["theta"][3] = np.nan
    refuses(mlp.sgd, {}, state)


# L-BFGS: from the last iterate, never with a higher cost


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("after", [1, 4, 10])
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
    assert after < resumed.nit <= 25
    assert resumed.nfev == state.facts["evaluations"] + len(evaluated)
    assert f"went on from iteration {after}, without the memory of the steps before it" in resumed.message


def test_lbfgs_ends_at_the_same_minimum(tmp_path):
    """Softmax regression with weight decay has one minimum but for what all biases have in common, which changes nothing."""
    rng = np.random.default_rng(0)
    net = mlp.MLP([4, 3], dtype="float64", seed=0)
    objective = mlp.Objective(net, rng.standard_normal((40, 4)), rng.integers(0, 3, 40), weight_decay=0.1)
    settings = {"gtol": 1e-9, "ftol": 0}
    whole = mlp.lbfgs(objective, net.theta.copy(), **settings)
    state = through_a_file(stopped(mlp.lbfgs, objective, net.theta.copy(), after=3, **settings), tmp_path)
    resumed = mlp.lbfgs(objective, net.theta, **settings, state=state)
    assert_allclose(resumed.fun, whole.fun, rtol=1e-12)
    assert_allclose(resumed.x[:12], whole.x[:12], atol=1e-7)


def test_lbfgs_that_has_made_all_its_iterations_makes_no_more(tmp_path):
    net, objective = problem()
    state = stopped_by_callback(mlp.lbfgs, objective, net.theta, after=5, maxiter=5)
    resumed = mlp.lbfgs(objective, net.theta, maxiter=5, state=through_a_file(state, tmp_path))
    assert (resumed.nit, resumed.status, resumed.success) == (5, 1, False)
    assert_array_equal(resumed.x, state.arrays["theta"].astype(np.float32))
    assert resumed.fun == state.facts["history"][-1]["cost"]


def test_lbfgs_with_patience_remembers_the_best(tmp_path):
    class Scores:
        """Accuracy falls from the first iteration on."""

        count = 0

        def evaluate(self, _theta):
            self.count += 1
            return 1.0, 1 / self.count

    scores = Scores()
    net, objective = problem()
    best = []
    state = stopped(
        mlp.lbfgs, objective, net.theta, after=3, validation=scores, patience=5, callback=lambda x: best.append(x.copy())
    )
    resumed = mlp.lbfgs(objective, net.theta, validation=scores, patience=5, state=through_a_file(state, tmp_path))
    assert resumed.nit == 6
    assert resumed.message.startswith("stopped early: no better validation accuracy in 5 iterations")
    assert "restored the best parameters, of iteration 1" in resumed.message
    assert_array_equal(resumed.x, best[0].astype(np.float32))
    assert resumed.fun == resumed.history[0]["cost"]


def test_lbfgs_stopped_for_good_stays_stopped(tmp_path):
    net, objective = problem("float64")
    whole = mlp.lbfgs(objective, net.theta, tol=0.02, tol_epochs=2)
    assert whole.message.startswith("converged: the cost changed by less than 0.02")
    net, objective = problem("float64")
    state = stopped_by_callback(mlp.lbfgs, objective, net.theta, after=whole.nit, tol=0.02, tol_epochs=2)
    resumed = mlp.lbfgs(objective, net.theta, tol=0.02, tol_epochs=2, state=through_a_file(state, tmp_path))
    assert resumed.nit == whole.nit
    assert_array_equal(resumed.x, whole.x)


def test_lbfgs_that_diverges_after_it_was_resumed_goes_back_no_further_than_where_it_went_on(tmp_path):
    count = 0

    def collapsing(theta):
        nonlocal count
        count += 1
        return (scipy.optimize.rosen(theta) if count <= 8 else np.nan), scipy.optimize.rosen_der(theta)

    theta = np.array([-1.2, 1.0])
    state = stopped(mlp.lbfgs, scipy_rosen, theta, after=4)
    resumed = mlp.lbfgs(collapsing, theta, state=through_a_file(state, tmp_path))
    assert resumed.status == 3
    assert "went back to the best parameters met" in resumed.message
    assert scipy.optimize.rosen(theta) <= state.facts["history"][-1]["cost"]


def scipy_rosen(theta):
    return scipy.optimize.rosen(theta), scipy.optimize.rosen_der(theta)


def test_a_step_calls_back_whatever_can_be_called():
    """Some of Python's own callables have no signature to read; they are given θ, or the snapshot."""
    net, objective = problem()
    whole = mlp.sgd(objective, net.theta, **SETTINGS)
    net, objective = problem()
    same(mlp.sgd(objective, net.theta, **SETTINGS, callback=max, each_step=type), whole)


@pytest.mark.parametrize("minimise", [mlp.sgd, mlp.adam, mlp.lbfgs])
def test_each_step_must_be_callable(minimise):
    net, objective = problem()
    before = net.theta.copy()
    with pytest.raises(TypeError, match=r"^each_step: received 3 \(int\), but it must be callable"):
        minimise(objective, net.theta, each_step=3)
    assert_array_equal(net.theta, before)
