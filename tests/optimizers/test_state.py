"""`State`: what it holds, and that a run refuses one it can't go on from, in a sentence, before θ is touched."""

import copy
import json
import math

import numpy as np
import pytest
from minimising import RULES, SETTINGS, bowl, problem, stopped, strangers, through_a_file
from numpy.testing import assert_array_equal

import mlp

EVERYTHING = {**SETTINGS, "validation": strangers(), "patience": 9, "average": 3}


def settings_of(minimise):
    return {"maxiter": 9} if minimise is mlp.lbfgs else SETTINGS


def state_of(name, after=9, dtype="float64", **settings):
    """The state of a run by that rule, stopped after so many steps."""
    minimise = RULES.get(name, mlp.lbfgs)
    net, objective = problem(dtype)
    return stopped(minimise, objective, net.theta, after=after, **{**settings_of(minimise), **settings})


def refuses(name, state, kind=ValueError, objective=None, **settings):
    """What a run by that rule says that refuses the state; θ stays as it was."""
    minimise = RULES.get(name, mlp.lbfgs)
    net, own = problem()
    before = net.theta.copy()
    with pytest.raises(kind, match=r"^state: received [^\n]*$") as caught:
        minimise(objective or own, net.theta, **{**settings_of(minimise), **settings}, state=state)
    assert_array_equal(net.theta, before)
    assert len(str(caught.value)) < 500
    return str(caught.value)


# What it holds


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        ("plain", {"theta", "safe"}),
        ("momentum", {"theta", "safe", "velocity"}),
        ("nesterov", {"theta", "safe", "velocity"}),
        ("adam", {"theta", "safe", "m", "v"}),
        ("lbfgs", {"theta"}),
    ],
)
def test_what_a_state_holds(name, vectors):
    state = state_of(name, after=7)
    assert set(state.arrays) == vectors
    assert json.loads(json.dumps(state.facts)) == state.facts
    assert len(state.facts["fingerprint"]) == 64
    if name != "lbfgs":
        assert set(state_of(name, **EVERYTHING).arrays) == vectors | {"best", "average"}


@pytest.mark.parametrize(
    "options", [{"momentum": np.float32(0.5)}, {"learning_rate": np.float32(0.5)}, {"batch_size": np.int64(4)}]
)
def test_settings_of_numpys_own_types_can_be_saved(options, tmp_path):
    net, objective = problem()
    settings = {**SETTINGS, **options}
    state = through_a_file(stopped(mlp.sgd, objective, net.theta, after=9, **settings), tmp_path)
    assert mlp.sgd(objective, net.theta, **settings, state=state).success


def test_validation_figures_of_numpys_own_types_can_be_saved(tmp_path):
    class Validation:
        def evaluate(self, theta):
            return np.float32(theta.sum()), np.float32(0.5)

    state = state_of("plain", validation=Validation())
    assert through_a_file(state, tmp_path).facts["history"] == state.facts["history"]


def test_a_snapshot_is_a_copy(rule):
    """What the run does later doesn't reach it, and what is done to it doesn't reach the run."""
    taken, copies, thetas = [], [], []

    def callback(intermediate_result):
        taken.append(intermediate_result.snapshot())
        copies.append(copy.deepcopy(taken[-1]))
        thetas.append(intermediate_result.x.copy())
        spoilt = intermediate_result.snapshot()
        for vector in spoilt.arrays.values():
            vector.fill(np.nan)
        spoilt.facts["history"][0].clear()

    net, objective = problem()
    settings = {**SETTINGS, "validation": strangers(), "patience": 9}
    whole = rule(objective, net.theta.copy(), **settings)
    assert_array_equal(rule(objective, net.theta, **settings, callback=callback).x, whole.x)
    for number, (state, kept, theta) in enumerate(zip(taken, copies, thetas, strict=True), 1):
        assert state.minimiser == rule.func.__name__
        assert len(state.facts["history"]) == number
        assert state.facts == kept.facts
        assert state.arrays.keys() == kept.arrays.keys()
        for name, vector in state.arrays.items():
            assert_array_equal(vector, kept.arrays[name])
        assert_array_equal(state.arrays["theta"], theta)


# States of another run


@pytest.mark.parametrize("state", [3, "state.npz", {"theta": np.zeros(51)}], ids=lambda state: type(state).__name__)
@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_what_is_no_state_is_refused(name, state):
    assert "but it must be None or a State" in refuses(name, state, TypeError)


@pytest.mark.parametrize("name", [*RULES, "lbfgs"])
def test_states_of_another_minimiser_rule_or_dtype_are_refused(name):
    for other in [*RULES, "lbfgs"]:
        if other != name:
            state = state_of(other, after=3, learning_rate=0.01) if other != "lbfgs" else state_of(other, after=3)
            settings = {} if name == "lbfgs" else {"learning_rate": 0.01}
            theirs, ours = (getattr(RULES.get(each, mlp.lbfgs), "func", mlp.lbfgs).__name__ for each in (other, name))
            message = refuses(name, state, **settings)
            if theirs != ours:
                assert message == f"state: received one of {theirs}, but this is {ours}"
            else:
                assert "received one of a run with rule = '" in message
    if name != "lbfgs":  # whose vector is float64 always
        assert "float32" in refuses(name, state_of(name, dtype="float32"))


@pytest.mark.parametrize("name", [*RULES, "lbfgs"])
def test_states_of_another_network_are_refused(name):
    net = mlp.MLP([4, 5, 3], seed=0, dtype="float64")
    objective = mlp.Objective(net, np.ones((23, 4)), np.arange(23) % 3)
    minimise = RULES.get(name, mlp.lbfgs)
    state = stopped(minimise, objective, net.theta, after=1, **settings_of(minimise))
    assert f"({net.theta.size},)" in refuses(name, state)


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    "settings", [{"examples": 4}, {"weight_decay": 0.1}, {"cost": "quadratic"}], ids=lambda settings: next(iter(settings))
)
def test_states_of_a_run_over_something_else_are_refused(name, settings):
    message = refuses(name, state_of(name, after=2), objective=problem(**settings)[1])
    assert message == "state: received one of a run over other data, another network or another cost"


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("plain", {"learning_rate": 0.2}, "learning_rate = 0.3, but this run has 0.2"),
        ("plain", {"batch_size": 5}, "batch_size = 4, but this run has 5"),
        ("plain", {"batch_size": None}, "batch_size = 4, but this run has None"),
        ("plain", {"schedule": "cosine"}, "schedule = 'constant', but this run has 'cosine'"),
        ("plain", {"momentum": 0.5}, "rule = 'Descent', but this run has 'Momentum'"),
        ("momentum", {"momentum": 0.5}, "momentum = 0.9, but this run has 0.5"),
        ("momentum", {"nesterov": True}, "rule = 'Momentum', but this run has 'Nesterov'"),
        ("adam", {"beta1": 0.8}, "beta1 = 0.9, but this run has 0.8"),
        ("adam", {"beta2": 0.99}, "beta2 = 0.999, but this run has 0.99"),
        ("adam", {"epsilon": 1e-7}, "epsilon = 1e-08, but this run has 1e-07"),
        ("lbfgs", {"memory": 5}, "memory = 10, but this run has 5"),
        ("lbfgs", {"gtol": 1e-3}, "gtol = 1e-05, but this run has 0.001"),
        ("lbfgs", {"ftol": 1e-3}, "ftol = 1e-09, but this run has 0.001"),
    ],
)
def test_states_of_a_run_with_other_settings_are_refused_by_name(name, settings, said):
    assert refuses(name, state_of(name, after=2), **settings) == f"state: received one of a run with {said}"


# Altered states


NEITHER = ["x", None, -1, 1.5, True, math.nan, 10**400, 1 << 62, [], {}]
RECORD = {"epoch": 1, "cost": 0.5, "learning_rate": 0.1, "seconds": 0.1}


@pytest.mark.parametrize(
    ("fact", "values"),
    [
        ("epoch", [*NEITHER, 0, 2]),  # it is 1
        ("done", [*NEITHER, 2, 4, 7]),  # 3
        ("seen", [*NEITHER, 0, 11, 23]),  # 12
        ("steps", [*NEITHER, 0, 8, 10]),  # 9
        ("proven", [*NEITHER, 2]),  # 1
        ("averaged", NEITHER),
        ("total", ["x", None, True, math.nan, math.inf, 10**400, []]),
        ("seconds", ["x", None, True, -1.0, math.nan, 10**400, []]),
        ("n_no_change", NEITHER),
        (
            "history",
            [
                *[
                    "x",
                    None,
                    3,
                    {},
                    [3],
                    [None],
                    [[]],
                    [{}],
                    [{"cost": "x"}],
                    [{"cost": 10**400}],
                    [{"cost": True}],
                    [RECORD] * 2,
                ],
                *[[{**RECORD, "validation_cost": value}] for value in ("x", None)],
                *[[{**RECORD, "validation_cost": 1.0, "validation_accuracy": value}] for value in ("x", [])],
            ],
        ),
        (
            "best",
            ["x", None, [], ["x", 1], [0.5], [0.5, 0], [0.5, 2], [0.5, -1], [0.5, 1.0], [10**400, 1], [None, 1], [0.5, 1, 2]],
        ),
        ("rng_state", ["x", None, {}, [], {"bit_generator": "PCG64"}, np.random.MT19937(1).state["state"]]),
        ("settings", ["x", None, [], {"learning_rate": math.nan}, {"learning_rate": 10**400}, {"batch_size": "4"}]),
        ("fingerprint", ["x", 3]),
    ],
)
def test_altered_facts_are_refused(fact, values):
    state = state_of("momentum", **EVERYTHING)
    for value in values:
        altered = copy.deepcopy(state)
        altered.facts[fact] = value
        refuses("momentum", altered, **EVERYTHING)


@pytest.mark.parametrize("name", ["momentum", "lbfgs"])
def test_facts_that_are_missing_are_refused(name):
    state = state_of(name)
    for fact in state.facts.keys() - {"averaged", "settings", "fingerprint"}:  # which early versions' lack
        altered = copy.deepcopy(state)
        del altered.facts[fact]
        assert f"received 'nothing' (str) as {fact}, but no run leaves such a state" in refuses(name, altered)


@pytest.mark.parametrize("evaluations", NEITHER, ids=lambda value: type(value).__name__)
def test_altered_facts_of_lbfgs_are_refused(evaluations):
    state = state_of("lbfgs")
    state.facts["evaluations"] = evaluations
    refuses("lbfgs", state)


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_altered_generators_are_refused_and_the_callers_stays_as_it_was(kind):
    def generator():
        return np.random.Generator(getattr(np.random, kind)(3))

    state = state_of("plain", seed=generator())
    rng_state = state.facts["rng_state"]
    inner = rng_state["state"]
    altered = [{**rng_state, "state": {**inner, name: value}} for name in inner for value in ("x", None, -1, 10**400, [1])]
    altered += [{**rng_state, name: value} for name in rng_state for value in ("x", None, -1, 10**400, [1])]
    altered += [{**rng_state, "buffer_pos": 5}] if "buffer_pos" in rng_state else []  # beyond its buffer of 4
    altered += [{**rng_state, "state": {**inner, "pos": 625}}] if "pos" in inner else []  # of 624
    altered += [{name: value for name, value in rng_state.items() if name != missing} for missing in rng_state]
    for other in ("PCG64", "MT19937"):
        if other != kind:
            altered.append(getattr(np.random, other)(1).state)
    for value in altered:
        state.facts["rng_state"], used = value, generator()
        assert f"it must be of this {kind}" in refuses("plain", state, seed=used) or not isinstance(value, dict)
        assert used.random() == generator().random()


@pytest.mark.parametrize("vector", ["theta", "safe", "best", "average"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused(vector, value):
    state = state_of("momentum", **EVERYTHING)
    state.arrays[vector][3] = value
    assert f"NaN or infinity in {vector}" in refuses("momentum", state, **EVERYTHING)


@pytest.mark.parametrize("vector", ["theta", "safe", "velocity", "best", "average"])
def test_states_without_one_of_their_vectors_are_refused(vector):
    state = state_of("momentum", **EVERYTHING)
    del state.arrays[vector]
    refuses("momentum", state, **EVERYTHING)


def test_plain_functions_have_no_fingerprint_to_differ_by():
    state = stopped(mlp.sgd, bowl, np.ones(2), after=1, batch_size=None)
    assert state.facts["fingerprint"] == ""
    result = mlp.sgd(lambda theta: bowl(theta), np.ones(2), batch_size=None, state=state)
    assert result.success
