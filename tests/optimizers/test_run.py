"""The loop: batches, noise, averaged parameters, divergence. What is averaged is collected here, step by step."""

import re
from functools import partial

import numpy as np
import pytest
from minimising import (
    EPOCHS,
    RULES,
    SETTINGS,
    STEPS,
    Scores,
    Scripted,
    Steps,
    left,
    problem,
    slope,
    strangers,
)
from numpy.testing import assert_allclose, assert_array_equal

import mlp

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}

for_each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)

# Batches


class Rows:
    """Cost: the mean of the numbers of the rows asked for, which are remembered; the gradient is 0."""

    def __init__(self, n):
        self.n = n
        self.asked = []

    def __len__(self):
        return self.n

    def __call__(self, theta, rows=None):
        rows = np.arange(self.n) if rows is None else np.array(rows)
        self.asked.append(rows)
        return float(rows.mean()), np.zeros_like(theta)


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (3, [3, 2]), (5, [5]), (7, [5]), (None, [5]), (np.int64(4), [4, 1])]
)
def test_every_row_is_used_once_an_epoch(descent, batch_size, sizes):
    objective = Rows(5)
    result = descent(objective, np.zeros(2), batch_size=batch_size, epochs=3)
    assert [len(rows) for rows in objective.asked] == 3 * sizes
    for epoch in range(3):
        asked = objective.asked[epoch * len(sizes) : (epoch + 1) * len(sizes)]
        assert sorted(np.concatenate(asked)) == [0, 1, 2, 3, 4]
    assert (result.nit, result.nfev) == (3, 3 * len(sizes))
    # each row's cost is its number: the epoch's is their mean, (0 + 1 + 2 + 3 + 4)/5, the shorter batch weighing less
    assert_allclose(result.history["cost"], 2, rtol=1e-14)


def test_each_epoch_has_a_new_order_and_the_seed_decides_it(descent):
    def orders(seed):
        objective = Rows(50)
        descent(objective, np.zeros(1), batch_size=8, epochs=4, seed=seed)
        return np.concatenate(objective.asked).reshape(4, 50).tolist()

    first = orders(5)
    assert len({tuple(order) for order in [*first, list(range(50))]}) == 5
    assert orders(5) == first
    assert orders(np.random.default_rng(5)) == first
    assert orders(6) != first
    assert orders(None) != orders(None)


def test_the_same_seed_gives_the_same_bits(rule):
    def train(seed):
        net, objective = problem("float32")
        return left(rule(objective, net.theta, batch_size=7, seed=seed))

    assert train(1) == train(1)
    assert train(1)[0] != train(2)[0]


# Noise, and what is done to θ after a step


class Noisy:
    """A whole `Problem` of 5 examples with C = Σθ; remembers its noise, and keeps θ at or above `least`."""

    dtype, noisy, max_norm = None, True, None

    def __init__(self, least=-np.inf):
        self.least = least
        self.noises = []

    def __len__(self):
        return 5

    def __call__(self, theta):
        return slope(theta)

    def accumulate(self, theta, rows, out, alpha, beta, noise):
        self.noises.append(noise)
        cost = float(theta.sum())
        out *= beta
        out += alpha
        return cost

    def penalty(self, theta):
        return 1000.0 * len(theta)

    def constrain(self, theta):
        np.maximum(theta, self.least, out=theta)

    def fingerprint(self):
        return "five"


def test_every_step_has_noise_of_its_own(descent):
    objective = Noisy()
    descent(objective, np.zeros(2), batch_size=2, epochs=4, seed=5)
    keys, numbers = np.array(objective.noises, object).reshape(4, 3, 2).transpose(2, 0, 1)
    assert numbers.tolist() == 4 * [[0, 1, 2]]  # a key for each epoch, and the step's number in it
    # the key is drawn from the generator before the epoch's order
    rng = np.random.default_rng(5)
    expected = []
    for _ in range(4):
        expected.append(3 * [int(rng.integers(1 << 63))])
        rng.permutation(5)
    assert keys.tolist() == expected
    assert len(set(keys.ravel())) == 4


def test_the_penalty_is_part_of_the_cost_recorded_and_theta_is_constrained_after_every_step():
    theta, steps = np.zeros(2), Steps()
    # down by 1 a step, but not below −2, from 0; the average is of 0 − 1, −2, −2 (constrained), −2
    result = mlp.sgd(Noisy(least=-2), theta, learning_rate=1, batch_size=None, epochs=4, average=4, each_step=steps)
    assert [step[0] for step in steps.thetas] == [-1, -2, -2, -2]
    assert_allclose(theta, -7 / 4, rtol=1e-14)
    assert result.history["cost"] == [2000 + 0, 2000 - 2, 2000 - 4, 2000 - 4]


# Averages


@for_each_dtype
@pytest.mark.parametrize("average", [1, 2, EPOCHS, 100])
def test_the_result_is_the_mean_over_the_steps_of_the_last_epochs(rule, dtype, average):
    net, objective = problem(dtype)
    steps = Steps()
    result = rule(objective, net.theta, **SETTINGS, average=average, each_step=steps)
    count = STEPS * min(average, EPOCHS)
    assert len(steps.thetas) == STEPS * EPOCHS
    assert_allclose(result.x, steps.mean(-count), atol=TOLERANCE[dtype])
    assert np.abs(result.x - steps.thetas[-1]).max() > 1e-3
    assert result.x is net.theta
    assert result.message == f"ran all {EPOCHS} epochs; averaged the parameters over the last {count} steps"
    assert (result.success, result.status, result.nfev) == (True, 0, STEPS * EPOCHS)


def test_an_average_changes_no_step_and_none_leaves_the_bits(rule):
    def run(**average):
        net, objective = problem("float32")
        steps = Steps()
        result = rule(objective, net.theta, **SETTINGS, **average, each_step=steps)
        return left(result), [theta.tobytes() for theta in steps.thetas]

    (plain, steps), (none, same_steps), (averaged, again) = run(), run(average=0), run(average=2)
    assert steps == same_steps == again
    assert plain == none
    assert averaged[1] == plain[1]  # the cost recorded is that of the batches as met
    assert plain[0] == steps[-1]


def test_what_is_validated_and_told_is_the_average_once_there_is_one(rule):
    net, objective = problem()
    validation, steps, told = strangers(), Steps(), []
    result = rule(
        objective, net.theta, **SETTINGS, average=2, validation=validation, each_step=steps, callback=lambda x: told.append(x)
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


def test_averages_of_functions_that_are_no_objective_and_in_another_dtype():
    net, objective = problem("float32")
    steps = Steps()
    result = mlp.sgd(lambda theta: objective(theta), net.theta, batch_size=None, epochs=7, average=5, each_step=steps)
    assert_allclose(result.x, steps.mean(2), atol=1e-6)
    assert result.message.endswith("; averaged the parameters over the last 5 steps")
    theta, steps = net.theta.astype(np.float64), Steps()
    result = mlp.sgd(objective, theta, **SETTINGS, average=2, each_step=steps)
    assert result.x is theta
    assert_allclose(theta, steps.mean(2 * STEPS), atol=1e-6)


def test_an_average_over_many_steps_stays_exact_in_float32():
    # Parameters that do not move are their own average, whatever the number of steps
    theta = np.linspace(-1, 1, 51, dtype=np.float32)
    start = theta.copy()
    mlp.sgd(Rows(25), theta, batch_size=1, epochs=200, average=200)  # 5,000 steps
    assert_allclose(theta, start, rtol=2e-5)


@pytest.mark.parametrize(
    ("scores", "average", "patience", "ran", "best"),
    [
        ([0.5, 0.4, 0.3], 2, 2, 3, 1),  # patience runs out before there is an average (of 10 epochs)
        ([0.1, 0.5, 0.4, 0.3], 9, 2, 4, 2),  # among the averages
        ([0.1, 0.2, 0.9] + 7 * [0.3], 8, 9, 10, 3),  # an average was best
        ([0.9] + 9 * [0.3], 8, 9, 10, 1),  # θ of the first epoch was
        ([k / 10 for k in range(10)], 8, 9, 10, 10),  # the last average was
    ],
)
def test_patience_restores_what_did_best_be_it_an_average_or_not(scores, average, patience, ran, best):
    net, objective = problem()
    steps, validation = Steps(), Scores(*scores)
    settings = {**SETTINGS, "epochs": 10, "average": average, "patience": patience}
    result = mlp.sgd(objective, net.theta, **settings, validation=validation, each_step=steps)
    assert result.nit == ran
    first, end = STEPS * (10 - average), STEPS * best
    assert_array_equal(result.x, validation.shown[best - 1])
    assert_allclose(result.x, steps.mean(first, end) if end > first else steps.thetas[end - 1], atol=1e-12)
    assert result.fun == result.history[best - 1]["cost"]
    assert result.message.endswith(f"; restored the best parameters, of epoch {best}") == (best != ran)
    assert ("averaged" in result.message) == (STEPS * ran > first)


@pytest.mark.parametrize(("after", "said"), [(2 * STEPS, ""), (2 * STEPS + 1, "1 step"), (3 * STEPS + 2, "8 steps")])
def test_a_step_that_stops_the_run_among_averages(after, said):
    net, objective = problem()
    steps = Steps(last=after)
    result = mlp.sgd(objective, net.theta, **SETTINGS, average=2, each_step=steps)
    assert_allclose(result.x, steps.mean(2 * STEPS if said else after - 1), atol=1e-12)
    assert result.message == "stopped by the callback" + (f"; averaged the parameters over the last {said}" if said else "")


# Divergence


@pytest.mark.parametrize(("dtype", "rate"), [("float32", 1e30), ("float64", 1e200)])
@pytest.mark.parametrize("batch_size", [7, None])
@pytest.mark.parametrize("name", RULES)
def test_divergence_in_the_first_epochs(name, dtype, rate, batch_size):
    net, objective = problem(dtype)
    result = partial(RULES[name], learning_rate=rate)(objective, net.theta, batch_size=batch_size, epochs=9)
    assert (result.status, result.success) == (3, False)
    assert np.isfinite(net.theta).all()
    assert np.isfinite(result.history["cost"]).all()
    assert re.match(rf"diverged: .* in epoch {result.nit + 1}, (by )?step \d+", result.message)
    assert f"learning rate below {rate:g}" in result.message


def test_divergence_later_on_keeps_the_last_finite_parameters(rule):
    good, objective = problem("float32")
    rule(objective, good.theta, batch_size=4, epochs=2)
    net, objective = problem("float32")
    result = rule(objective, net.theta, schedule=lambda epoch: 1 if epoch < 2 else 1e38, batch_size=4, epochs=5)
    assert (result.status, result.success, result.nit) == (3, False, 2)
    assert_array_equal(net.theta, good.theta)
    assert re.search(r"in epoch 3, (by )?step 1[3-8]\b", result.message)  # the third epoch's steps are 13 to 18
    assert "end of epoch 2 are kept" in result.message
    assert result.fun == result.history[-1]["cost"]


def test_divergence_of_a_plain_function(descent):
    theta = np.zeros(1)
    result = descent(Scripted(3.0, 2.0, np.inf), theta, learning_rate=1, batch_size=None, epochs=5)
    assert (result.status, result.success, result.nit, result.fun) == (3, False, 2, 3.0)
    assert_allclose(theta, [-1])  # the last place where a finite cost was met; after a second step of 1 down it is infinite
    assert "cost became inf in epoch 3" in result.message


def test_divergence_of_parameters_under_a_finite_cost(descent):
    theta = np.zeros(1)
    result = descent(lambda _: (1.0, np.array([np.nan])), theta, batch_size=None, epochs=5)
    assert (result.status, result.success, result.nit) == (3, False, 0)
    assert_array_equal(theta, [0])
    assert "before the first step" in result.message


def test_divergence_of_what_steps_depend_on_under_a_finite_cost_and_finite_parameters():
    # the square of 1e30 is beyond float32: every later step would be η m/∞ = 0
    theta = np.zeros(2, np.float32)
    result = mlp.adam(lambda _: (1.0, np.full(2, 1e30, np.float32)), theta, batch_size=None, epochs=5)
    assert (result.status, result.nit) == (3, 0)
    assert_array_equal(theta, 0)
    assert "what steps depend on overflowed in epoch 1, by step 1" in result.message


def exploding(at, **settings):
    """A problem whose `at`-th step meets an infinite cost."""
    net, objective = problem(**settings)
    accumulate, count = objective.accumulate, 0

    def watched(*arguments):
        nonlocal count
        count += 1
        cost = accumulate(*arguments)
        return np.inf if count == at else cost

    objective.accumulate = watched
    return net, objective


@pytest.mark.parametrize("average", [0, 3])
@pytest.mark.parametrize(("at", "end"), [(2 * STEPS + 4, 2), (3 * STEPS + 1, 2), (3 * STEPS + 3, 3), (4, 0)])
def test_a_run_that_diverges_keeps_the_last_parameters_known_to_be_safe_and_no_average(rule, at, end, average):
    """Those of an epoch's end are known to be safe once a step has met a finite cost there."""
    net, objective = exploding(at)
    start, steps = net.theta.copy(), Steps()
    result = rule(objective, net.theta, **SETTINGS, average=average, each_step=steps)
    assert (result.status, result.success) == (3, False)
    assert_array_equal(result.x, steps.thetas[STEPS * end - 1] if end else start)
    kept = f"of the end of epoch {end}" if end else "from before the first step"
    assert f"the parameters {kept} are kept" in result.message
    assert "averaged" not in result.message


@pytest.mark.parametrize(("scores", "best"), [((0.1, 0.5, 0.4), 2), ((0.1, 0.4, 0.5), 3), ((0.5, 0.1, 0.4), 1)])
@pytest.mark.parametrize("average", [0, 4])
def test_with_patience_a_run_that_diverges_goes_back_to_what_did_best(scores, best, average):
    """Also where the best epoch is the one whose plain parameters are kept otherwise: the average of it did best."""
    net, objective = exploding(at=21)
    steps, validation = Steps(), Scores(*scores)
    result = mlp.sgd(objective, net.theta, **SETTINGS, average=average, validation=validation, patience=3, each_step=steps)
    assert result.status == 3
    assert_array_equal(result.x, validation.shown[best - 1])
    assert_allclose(result.x, steps.mean(0 if average else STEPS * best - 1, STEPS * best), atol=1e-12)
    assert result.fun == result.history[best - 1]["cost"]
    assert "the parameters that did best are kept" in result.message
    assert result.message.endswith(f"; restored the best parameters, of epoch {best}")
