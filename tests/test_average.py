"""Averaged parameters: the mean of θ over all steps of the last epochs, collected here step by step and averaged at once."""

import numpy as np
import pytest
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
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}

for_each_rule = pytest.mark.parametrize("rule", RULES)
for_each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)


def problem(dtype="float64", n=23, seed=3):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, 4)), rng.integers(0, 3, n)
    net = mlp.MLP([4, 6, 3], hidden="tanh", dtype=dtype, seed=1)
    return net, mlp.Objective(net, X, y, weight_decay=1e-2)


class Steps:
    """An each_step that keeps θ after every step, and ends the run after `last` of them."""

    def __init__(self, last=None):
        self.thetas = []
        self.last = last

    def __call__(self, snapshot):
        self.thetas.append(snapshot().arrays["theta"])
        if len(self.thetas) == self.last:
            raise StopIteration

    def mean(self, first, last=None):
        return np.mean(np.array(self.thetas[first:last], np.float64), axis=0)


def history(result):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in result.history]


@for_each_rule
@for_each_dtype
@pytest.mark.parametrize("average", [1, 2, 3, EPOCHS, EPOCHS + 1, 100])
def test_the_result_is_the_mean_over_the_steps_of_the_last_epochs(rule, dtype, average):
    minimise, options = RULES[rule]
    net, objective = problem(dtype)
    steps = Steps()
    result = minimise(objective, net.theta, **SETTINGS, **options, average=average, each_step=steps)
    count = STEPS * min(average, EPOCHS)
    assert len(steps.thetas) == STEPS * EPOCHS
    assert_allclose(result.x, steps.mean(-count), atol=TOLERANCE[dtype])
    assert np.abs(result.x - steps.thetas[-1]).max() > 1e-3
    assert result.x is net.theta
    assert result.message == f"ran all {EPOCHS} epochs; averaged the parameters over the last {count} steps"
    assert (result.success, result.status, result.nfev) == (True, 0, STEPS * EPOCHS)


@for_each_rule
@for_each_dtype
def test_an_average_changes_no_step_and_none_leaves_the_bits(rule, dtype):
    minimise, options = RULES[rule]
    runs = {}
    for average in (None, 0, 2):
        net, objective = problem(dtype)
        steps = Steps()
        given = {} if average is None else {"average": average}
        result = minimise(objective, net.theta, **SETTINGS, **options, **given, each_step=steps)
        runs[average] = result, [theta.tobytes() for theta in steps.thetas]
    assert runs[0][1] == runs[2][1] == runs[None][1]
    assert history(runs[0][0]) == history(runs[2][0]) == history(runs[None][0])  # the cost is that of the batches as met
    assert runs[0][0].x.tobytes() == runs[None][0].x.tobytes() == runs[0][1][-1]
    assert runs[0][0].message == runs[None][0].message == f"ran all {EPOCHS} epochs"


@for_each_rule
def test_what_is_validated_and_told_is_the_average_once_there_is_one(rule):
    minimise, options = RULES[rule]
    net, objective = problem()
    _, validation = problem(n=40, seed=8)
    steps, told = Steps(), []
    result = minimise(
        objective,
        net.theta,
        **SETTINGS,
        **options,
        average=2,
        validation=validation,
        each_step=steps,
        callback=lambda theta: told.append(theta),
    )
    ends = [steps.thetas[STEPS - 1], steps.thetas[2 * STEPS - 1], steps.mean(2 * STEPS, 3 * STEPS), steps.mean(2 * STEPS)]
    assert_allclose(told, ends, atol=1e-12)
    for record, theta in zip(result.history, ends, strict=True):
        cost, accuracy = validation.evaluate(theta)
        assert record["validation_cost"] == pytest.approx(cost, rel=1e-11)
        assert record["validation_accuracy"] == accuracy
    assert abs(result.history[-1]["validation_cost"] - validation.evaluate(steps.thetas[-1])[0]) > 1e-4
    assert validation.evaluate(result.x).cost == result.history[-1]["validation_cost"]
    assert result.fun == result.history[-1]["cost"]


@for_each_dtype
def test_full_batches_and_functions_that_are_no_objective(dtype):
    net, objective = problem(dtype)
    steps = Steps()
    result = mlp.sgd(lambda theta: objective(theta), net.theta, batch_size=None, epochs=7, average=5, each_step=steps)
    assert_allclose(result.x, steps.mean(2), atol=TOLERANCE[dtype])
    assert result.message.endswith("; averaged the parameters over the last 5 steps")


def test_parameters_of_another_dtype_than_the_objectives():
    net, objective = problem("float32")
    theta, steps = net.theta.astype(np.float64), Steps()
    result = mlp.sgd(objective, theta, **SETTINGS, average=2, each_step=steps)
    assert result.x is theta
    assert_allclose(theta, steps.mean(2 * STEPS), atol=1e-6)


def test_an_average_over_many_steps_stays_exact_in_float32():
    # Parameters that do not move are their own average, whatever the number of steps
    net, objective = problem("float32")
    objective.accumulate = lambda *_: 1.0
    start = net.theta.copy()
    mlp.sgd(objective, net.theta, batch_size=1, epochs=400, average=400)  # 9,200 steps
    assert_allclose(net.theta, start, rtol=2e-5)


def test_no_epochs_no_average():
    net, objective = problem()
    start = net.theta.copy()
    result = mlp.sgd(objective, net.theta, epochs=0, average=3)
    assert_array_equal(net.theta, start)
    assert result.message == "ran all 0 epochs"


# Runs that end before their time


class Scores:
    """A validation set whose accuracies are given, by epoch."""

    def __init__(self, *scores):
        self.scores = iter(scores)
        self.thetas = []

    def evaluate(self, theta):
        self.thetas.append(theta.copy())
        return 1.0, next(self.scores)


def test_patience_that_runs_out_before_there_is_an_average():
    net, objective = problem()
    steps, scores = Steps(), Scores(0.5, 0.4, 0.3)
    settings = {**SETTINGS, "epochs": 10}
    result = mlp.sgd(objective, net.theta, **settings, average=2, validation=scores, patience=2, each_step=steps)
    assert result.nit == 3
    assert_array_equal(result.x, steps.thetas[STEPS - 1])
    assert "averaged" not in result.message
    assert result.message.endswith("; restored the best parameters, of epoch 1")


@pytest.mark.parametrize(("scores", "best"), [((0.9, 0.1, 0.2, 0.3), 1), ((0.1, 0.2, 0.9, 0.8), 3), ((0.1, 0.2, 0.3, 0.4), 4)])
def test_patience_restores_what_did_best_be_it_an_average_or_not(scores, best):
    net, objective = problem()
    steps, validation = Steps(), Scores(*scores)
    result = mlp.sgd(objective, net.theta, **SETTINGS, average=2, validation=validation, patience=4, each_step=steps)
    ends = [steps.thetas[STEPS - 1], steps.thetas[2 * STEPS - 1], steps.mean(2 * STEPS, 3 * STEPS), steps.mean(2 * STEPS)]
    assert_array_equal(result.x, validation.thetas[best - 1])
    assert_allclose(result.x, ends[best - 1], atol=1e-12)
    assert result.fun == result.history[best - 1]["cost"]
    assert ("restored the best parameters, of epoch" in result.message) == (best != 4)


def test_patience_that_runs_out_among_the_averages():
    net, objective = problem()
    steps, validation = Steps(), Scores(0.1, 0.5, 0.4, 0.3)
    settings = {**SETTINGS, "epochs": 10}
    result = mlp.sgd(objective, net.theta, **settings, average=9, validation=validation, patience=2, each_step=steps)
    assert result.nit == 4
    assert_allclose(result.x, steps.mean(STEPS, 2 * STEPS), atol=1e-12)  # of epoch 2, the first that was averaged
    assert result.message.startswith("stopped early: ")
    assert result.message.endswith("; restored the best parameters, of epoch 2")


@for_each_rule
@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_a_callback_that_stops_the_run(rule, epoch):
    minimise, options = RULES[rule]
    net, objective = problem()
    steps = Steps()

    def callback(intermediate_result):
        if intermediate_result.nit == epoch:
            raise StopIteration

    result = minimise(objective, net.theta, **SETTINGS, **options, average=2, callback=callback, each_step=steps)
    count = STEPS * (epoch - 2)
    assert_allclose(result.x, steps.mean(-count) if count else steps.thetas[-1], atol=1e-12)
    assert (result.status, result.nit) == (99, epoch)
    averaged = f"; averaged the parameters over the last {count} steps" if count else ""
    assert result.message == "stopped by the callback" + averaged


@pytest.mark.parametrize(("after", "said"), [(2 * STEPS, ""), (2 * STEPS + 1, "1 step"), (3 * STEPS + 2, "8 steps")])
def test_a_step_that_stops_the_run(after, said):
    net, objective = problem()
    steps = Steps(last=after)
    result = mlp.sgd(objective, net.theta, **SETTINGS, average=2, each_step=steps)
    first = 2 * STEPS if said else after - 1
    assert_allclose(result.x, steps.mean(first), atol=1e-12)
    assert result.message == "stopped by the callback" + (f"; averaged the parameters over the last {said}" if said else "")


def test_a_cost_that_settles_among_the_averages():
    net, objective = problem()
    steps = Steps()
    result = mlp.sgd(objective, net.theta, batch_size=None, epochs=50, average=50, tol=10, tol_epochs=3, each_step=steps)
    assert result.nit == 4
    assert_allclose(result.x, steps.mean(0), atol=1e-12)
    assert result.message.startswith("converged: ")
    assert result.message.endswith("; averaged the parameters over the last 4 steps")


@for_each_rule
@pytest.mark.parametrize(("at", "end"), [(2 * STEPS + 4, 2), (3 * STEPS + 3, 3), (4, 0)])
def test_a_run_that_diverges_keeps_the_last_parameters_known_to_be_safe_and_no_average(rule, at, end):
    minimise, options = RULES[rule]
    net, objective = problem()
    start, steps = net.theta.copy(), Steps()
    accumulate, count = objective.accumulate, 0

    def exploding(*arguments):
        nonlocal count
        count += 1
        cost = accumulate(*arguments)
        return np.inf if count == at else cost

    objective.accumulate = exploding
    result = minimise(objective, net.theta, **SETTINGS, **options, average=3, each_step=steps)
    assert (result.status, result.success) == (3, False)
    assert_array_equal(result.x, steps.thetas[STEPS * end - 1] if end else start)
    assert "averaged" not in result.message
    kept = f"the parameters of the end of epoch {end} are kept" if end else "the parameters from before the first step are kept"
    assert kept in result.message


def test_with_patience_a_run_that_diverges_goes_back_to_the_best_average():
    net, objective = problem()
    steps, validation = Steps(), Scores(0.1, 0.5, 0.4)
    accumulate = objective.accumulate
    objective.accumulate = lambda *arguments: np.nan if len(steps.thetas) == 20 else accumulate(*arguments)
    result = mlp.sgd(objective, net.theta, **SETTINGS, average=4, validation=validation, patience=3, each_step=steps)
    assert result.status == 3
    assert_allclose(result.x, steps.mean(0, 2 * STEPS), atol=1e-12)
    assert result.message.endswith("; restored the best parameters, of epoch 2")


# Bad values


@pytest.mark.parametrize("minimise", [mlp.sgd, mlp.adam])
@pytest.mark.parametrize(
    ("average", "error"),
    [(-1, ValueError), (1.0, TypeError), (0.5, TypeError), ("2", TypeError), (True, TypeError), (None, TypeError)],
)
def test_bad_averages_are_refused(minimise, average, error):
    net, objective = problem()
    before = net.theta.copy()
    with pytest.raises(error, match=r"^average: received .*, but it must be an integer of at least 0"):
        minimise(objective, net.theta, average=average)
    assert_array_equal(net.theta, before)


def test_lbfgs_averages_nothing():
    net, objective = problem()
    with pytest.raises(TypeError, match=r"^received the unknown argument 'average'"):
        mlp.lbfgs(objective, net.theta, average=2)
