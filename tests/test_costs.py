"""Costs and their output errors: by hand, against scipy and scikit-learn; extremes; targets in both forms; the user's own.

A network with no hidden layer, W = 0 and X = 0 has Z = b for every example, and one example's gradient with respect to b
is its output error Δ^L. All of it goes through what scripts use: `Objective`.
"""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics

import mlp
from mlp import activations, costs

NATURAL = {"softmax": "softmax_cross_entropy", "logistic": "logistic_cross_entropy"}
OUTPUTS = ["identity", "relu", "softplus", "threshold", "logistic", "tanh", "softmax"]


def cost_and_error(z, y, output, cost=None, dtype="float64"):
    """C and Δ^L for one example with weighted input z and target y, given as a label or as numbers."""
    net = mlp.MLP([1, len(z)], output=output, dtype=dtype, seed=0)
    net.layers[0].b[:] = z
    y = [y] if np.ndim(y) == 0 else np.reshape(y, (1, -1))
    value, gradient = mlp.Objective(net, [[0.0]], y, cost=cost)(net.theta)
    return value, gradient[len(z) :]


def logits_objective(Z, y, output, cost=None):
    """An objective whose weighted inputs are Z (n, units), one row an example, at its network's own θ."""
    Z = np.asarray(Z, float)
    net = mlp.MLP([Z.shape[1], Z.shape[1]], output=output, dtype="float64", seed=0)
    net.layers[0].W[:] = np.eye(Z.shape[1])
    return mlp.Objective(net, Z, y, cost=cost)


# By hand


@pytest.mark.parametrize(
    ("output", "cost", "z", "y", "value", "error"),
    [
        # ½‖a − y‖², a = z
        ("identity", "quadratic", [1.0, 2.0], [3.0, -1.0], 13 / 2, [-2.0, 3.0]),
        ("identity", "quadratic", [5.0], [5.0], 0.0, [0.0]),
        ("relu", "quadratic", [2.0, -3.0], [1.0, 1.0], 1.0, [1.0, 0.0]),
        # a = 3/4, t = 0: ½·9/16, and (3/4)·(3/4)(1/4)
        ("logistic", "quadratic", [math.log(3)], [0.0], 9 / 32, [9 / 64]),
        # a = (3/4, 1/5), y = (1, 0): ½(1/16 + 1/25); (−1/4)(3/16), (1/5)(4/25)
        ("logistic", "quadratic", [math.log(3), -math.log(4)], [1.0, 0.0], 41 / 800, [-3 / 64, 4 / 125]),
        # a = 3/5, t = 1: ½·4/25, and (−2/5)(16/25)
        ("tanh", "quadratic", [math.log(2)], [1.0], 2 / 25, [-32 / 125]),
        # a = log 4, t = 0: ½ log² 4, and log 4 · 3/4
        ("softplus", "quadratic", [math.log(3)], [0.0], math.log(4) ** 2 / 2, [0.75 * math.log(4)]),
        ("threshold", "quadratic", [0.3, -0.3], [0.0, 0.0], 1 / 2, [0.0, 0.0]),
        # a = (1, 2, 5)/8, y = (0, 0, 1): d = (1, 2, −3)/8, d·a = −10/64; a ⊙ (d − d·a) = (18, 52, −70)/512
        ("softmax", "quadratic", [0.0, math.log(2), math.log(5)], 2, 7 / 64, [18 / 512, 52 / 512, -70 / 512]),
        # The same as numbers: −log 5/8, and a − y
        ("softmax", "softmax_cross_entropy", [0.0, math.log(2), math.log(5)], 2, math.log(1.6), [1 / 8, 2 / 8, -3 / 8]),
        # targets (½, ½, 0): −½ log(1/8) − ½ log(2/8) = 2.5 log 2
        (
            "softmax",
            "softmax_cross_entropy",
            [0.0, math.log(2), math.log(5)],
            [0.5, 0.5, 0.0],
            2.5 * math.log(2),
            [-3 / 8, -2 / 8, 5 / 8],
        ),
        # ten equal classes: log 10
        ("softmax", "softmax_cross_entropy", [7.0] * 10, 3, 2.302585092994046, [0.1] * 3 + [-0.9] + [0.1] * 6),
        # z = 0: log 2
        ("logistic", "logistic_cross_entropy", [0.0], 1, 0.6931471805599453, [-0.5]),
        # z = 2: log(1 + e^-2), and 2 more where the target is 0
        ("logistic", "logistic_cross_entropy", [2.0], 1, 0.12692801104297263, [-0.11920292202211755]),
        ("logistic", "logistic_cross_entropy", [2.0], 0, 2.1269280110429727, [0.8807970779778825]),
        # a = (3/4, 1/5, 1/2), y = (1, 1, 0): −log(3/4 · 1/5 · 1/2)
        (
            "logistic",
            "logistic_cross_entropy",
            [math.log(3), -math.log(4), 0.0],
            [1, 1, 0],
            math.log(40 / 3),
            [-1 / 4, -4 / 5, 1 / 2],
        ),
        # a probability as target, t = 1/3 at a = 3/4: −⅓ log ¾ − ⅔ log ¼
        (
            "logistic",
            "logistic_cross_entropy",
            [math.log(3)],
            [1 / 3],
            math.log(4 / 3) / 3 + 2 * math.log(4) / 3,
            [5 / 12],
        ),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cost_and_output_error_by_hand(output, cost, z, y, value, error, dtype):
    precision = 8 * float(np.finfo(dtype).eps)
    result, gradient = cost_and_error(z, y, output, cost, dtype)
    assert result == pytest.approx(value, rel=precision, abs=0)
    np.testing.assert_allclose(gradient, error, rtol=precision, atol=precision / 8)


# Against other libraries


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def test_softmax_cross_entropy_agrees_with_scikit_learn_and_scipy(rng):
    Z, y = 3 * rng.standard_normal((9, 4)), rng.integers(0, 4, 9)
    objective = logits_objective(Z, y, "softmax")
    value, _ = objective(objective.net.theta)
    probabilities = scipy.special.softmax(Z, axis=1)
    assert value == pytest.approx(sklearn.metrics.log_loss(y, probabilities, labels=range(4)), rel=1e-13)
    assert value == pytest.approx(-scipy.special.log_softmax(Z, axis=1)[np.arange(9), y].mean(), rel=1e-13)


def test_softmax_cross_entropy_of_probabilities_is_entropy_plus_divergence(rng):
    Z, Y = 2 * rng.standard_normal((6, 5)), rng.dirichlet(np.ones(5), 6)
    objective = logits_objective(Z, Y, "softmax")
    value, _ = objective(objective.net.theta)
    probabilities = scipy.special.softmax(Z, axis=1)
    expected = scipy.stats.entropy(Y, axis=1) + scipy.stats.entropy(Y, probabilities, axis=1)
    assert value == pytest.approx(expected.mean(), rel=1e-13)


def test_logistic_cross_entropy_agrees_with_scikit_learn_and_scipy(rng):
    Z, Y = 3 * rng.standard_normal((9, 4)), rng.integers(0, 2, (9, 4))
    objective = logits_objective(Z, Y, "logistic")
    value, _ = objective(objective.net.theta)
    probabilities = scipy.special.expit(Z)
    by_label = [sklearn.metrics.log_loss(Y[:, j], probabilities[:, j], labels=[0, 1]) for j in range(4)]
    assert value == pytest.approx(sum(by_label), rel=1e-13)
    assert value == pytest.approx(-scipy.stats.bernoulli.logpmf(Y, probabilities).sum() / 9, rel=1e-13)


def test_quadratic_is_half_the_squared_error_summed_over_outputs(rng):
    Z, Y = rng.standard_normal((9, 4)), rng.standard_normal((9, 4))
    objective = logits_objective(Z, Y, "identity")
    value, _ = objective(objective.net.theta)
    assert value == pytest.approx(4 / 2 * sklearn.metrics.mean_squared_error(Y, Z), rel=1e-13)


def test_quadratic_over_softmax_is_half_the_brier_score(rng):
    Z, y = rng.standard_normal((9, 3)), rng.permutation([0, 0, 0, 1, 1, 1, 2, 2, 2])
    objective = logits_objective(Z, y, "softmax", "quadratic")
    value, _ = objective(objective.net.theta)
    probabilities = scipy.special.softmax(Z, axis=1)
    # Brier 1950: Σ over classes of the squared difference; of each class by itself scikit-learn has it
    by_class = [sklearn.metrics.brier_score_loss(y == k, probabilities[:, k]) for k in range(3)]
    assert value == pytest.approx(sum(by_class) / 2, rel=1e-13)


# Labels and numbers


@pytest.mark.parametrize(("output", "cost"), [(output, "quadratic") for output in OUTPUTS] + list(NATURAL.items()))
def test_labels_stand_for_rows_of_zeros_and_a_one(output, cost, rng):
    Z, y = rng.standard_normal((6, 3)), np.array([2, 0, 1, 1, 2, 0])
    rows = [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    by_label, by_number = logits_objective(Z, y, output, cost), logits_objective(Z, rows, output, cost)
    value, gradient = by_label(by_label.net.theta)
    expected_value, expected_gradient = by_number(by_number.net.theta)
    assert value == pytest.approx(expected_value, rel=1e-13)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint8, np.int64, np.float32, np.float64])
def test_binary_targets_of_every_kind_of_number(kind):
    # z = 0, log 3, −log 4 against 1, 0, 1: −log(1/2 · 1/4 · 1/5)/3
    net = mlp.MLP([1, 1], output="logistic", dtype="float64", seed=0)
    net.theta[:] = 1, 0
    X = [[0.0], [math.log(3)], [-math.log(4)]]
    for y in (np.array([1, 0, 1], kind), np.array([[1], [0], [1]], kind)):
        assert mlp.Objective(net, X, y)(net.theta)[0] == pytest.approx(math.log(40) / 3, rel=1e-14)


def test_rounded_class_probabilities_have_a_cost_and_a_gradient_that_agree():
    # Probabilities off a sum of 1 by rounding (0.333 three times) are accepted: then they must be treated alike in both
    Y = [[0.333, 0.333, 0.333], [0.667, 0.333, 0.0005]]
    objective = logits_objective([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], Y, "softmax")
    check = mlp.check_gradient(objective, objective.net.theta)
    assert check.worst_error <= 1e-7, check


# Extremes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("output", "cost", "z", "y", "value", "error"),
    [
        ("softmax", "softmax_cross_entropy", [1e4, -1e4], 0, 0, [0, 0]),
        ("softmax", "softmax_cross_entropy", [1e4, -1e4], 1, 20_000, [1, -1]),
        ("softmax", "softmax_cross_entropy", [-1e4, 1e4, -1e4], [0.5, 0.0, 0.5], 20_000, [-0.5, 1, -0.5]),
        ("softmax", "softmax_cross_entropy", [1e4, 1e4], 0, math.log(2), [-0.5, 0.5]),
        ("softmax", "softmax_cross_entropy", [-1e4, -1e4], [0.25, 0.75], math.log(2), [0.25, -0.25]),
        ("softmax", "quadratic", [1e4, -1e4], 0, 0, [0, 0]),
        ("softmax", "quadratic", [1e4, -1e4], 1, 1, [0, 0]),
        ("logistic", "logistic_cross_entropy", [1e4], 1, 0, [0]),
        ("logistic", "logistic_cross_entropy", [1e4], 0, 10_000, [1]),
        ("logistic", "logistic_cross_entropy", [-1e4], 1, 10_000, [-1]),
        ("logistic", "logistic_cross_entropy", [-1e4], 0, 0, [0]),
        ("logistic", "logistic_cross_entropy", [1e4, -1e4, 1e4, -1e4], [1, 0, 0, 1], 20_000, [0, 0, 1, -1]),
        ("logistic", "logistic_cross_entropy", [1e4, -1e4, 0.0], 2, 10_000 + math.log(2), [1, 0, -0.5]),
        ("logistic", "logistic_cross_entropy", [1e4, -1e4], [0.5, 0.5], 10_000, [0.5, -0.5]),
        ("logistic", "quadratic", [1e4, -1e4], [0, 0], 0.5, [0, 0]),
        ("tanh", "quadratic", [1e4, -1e4], [-1, -1], 2, [0, 0]),
        ("identity", "quadratic", [1e4, -1e4], [0, 0], 1e8, [1e4, -1e4]),
        ("relu", "quadratic", [1e4, -1e4], [0, 0], 5e7, [1e4, 0]),
        ("softplus", "quadratic", [1e4, -1e4], [0, 0], 5e7, [1e4, 0]),
        ("threshold", "quadratic", [1e4, -1e4], [0, 0], 0.5, [0, 0]),
    ],
)
def test_logits_of_ten_thousand(output, cost, z, y, value, error, dtype):
    with np.errstate(all="raise", under="ignore"):
        result, gradient = cost_and_error(z, y, output, cost, dtype)
    assert result == pytest.approx(value, rel=2 * float(np.finfo(dtype).eps), abs=0)
    np.testing.assert_array_equal(gradient, np.array(error, float))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_costs_don_t_warn_outside_the_objectives_shelter(dtype):
    # `Objective` silences numpy's floating-point warnings; the costs must not need it
    A = np.array([[0, 1], [1, 0]], dtype)
    Z = np.array([[-1e4, 1e4], [1e4, -1e4]], dtype)
    for name, Y in [("softmax_cross_entropy", np.array([0, 1])), ("softmax_cross_entropy", 1 - A), ("quadratic", 1 - A)]:
        with np.errstate(all="raise", under="ignore"):
            values = costs.COSTS[name].values(Z, A, Y, np.empty_like(Z))
        assert values.tolist() == ([1, 1] if name == "quadratic" else [20_000, 20_000])
    with np.errstate(all="raise", under="ignore"):
        assert costs.COSTS["logistic_cross_entropy"].values(Z, A, 1 - A, np.empty_like(Z)).tolist() == [20_000, 20_000]


@pytest.mark.parametrize(
    ("cost", "output", "expected"),
    [
        # columns z = (log 3, 0) and (0, 0): softmax (3/4, 1/4) and (1/2, 1/2), logistic (3/4, 1/2) and (1/2, 1/2)
        ("softmax_cross_entropy", "softmax", [math.log(4), math.log(2)]),
        ("logistic_cross_entropy", "logistic", [math.log(8), math.log(4)]),
        ("quadratic", "softmax", [(9 + 9) / 32, 1 / 4]),
        ("quadratic", "identity", [(math.log(3) ** 2 + 1) / 2, 1 / 2]),
    ],
)
@pytest.mark.parametrize("labels", [True, False])
def test_values_are_one_an_example_and_leave_z_and_a_alone(cost, output, expected, labels):
    Z = np.array([[math.log(3), 0.0], [0.0, 0.0]])
    A = np.empty_like(Z)
    activations.get(output).value(Z, A)
    kept = Z.copy(), A.copy()
    Y = np.array([1, 1]) if labels else np.array([[0.0, 0.0], [1.0, 1.0]])
    of = costs.get(cost, activations.get(output))
    np.testing.assert_allclose(of.values(Z, A, Y, np.empty_like(Z)), expected, rtol=1e-14)
    of.output_error(Z, A, Y, activations.get(output), np.empty_like(Z), np.empty_like(Z))
    np.testing.assert_array_equal(Z, kept[0])
    np.testing.assert_array_equal(A, kept[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_likelihoods_between_the_smallest_number_and_nothing(dtype):
    # Walk z through where e^-z becomes subnormal and then 0: the cost −log(e^-z/(1 + e^-z)) is z to all digits
    for z in (50.0, 80.0, 87.0, 88.0, 95.0, 103.0, 104.0, 110.0, 700.0, 708.0, 709.0, 740.0, 745.0, 746.0, 750.0, 2000.0):
        value, error = cost_and_error([0.0, z], 0, "softmax", dtype=dtype)
        assert value == pytest.approx(z, rel=4 * float(np.finfo(dtype).eps))
        np.testing.assert_allclose(error, [-1, 1], atol=1e-20)


def test_one_hopeless_example_leaves_the_others_exact():
    # log 2 and 1,000 in one batch: the mean to float64's precision
    objective = logits_objective([[0.0, 0.0], [0.0, 1000.0]], [0, 0], "softmax")
    assert objective(objective.net.theta)[0] == pytest.approx((math.log(2) + 1000) / 2, rel=1e-15)


def test_confident_logits_cost_what_is_left():
    # Terms of size 40 and 1e4 cancel, and log(1 + e^-z) = e^-z(1 − e^-z/2 …) is what the cost is
    for z, expected in [(20.0, 2.061153620314381e-09), (30.0, 9.35762296883974e-14), (40.0, 4.248354255291589e-18)]:
        assert cost_and_error([z], 1, "logistic")[0] == pytest.approx(expected, rel=1e-12)
        assert cost_and_error([-z], 0, "logistic")[0] == pytest.approx(expected, rel=1e-12)


# By name


@pytest.mark.parametrize("output", OUTPUTS)
def test_natural_cost_of_every_output(output):
    assert costs.get(None, activations.get(output)).name == NATURAL.get(output, "quadratic")


@pytest.mark.parametrize("output", ["softmax", "logistic"])
def test_cross_entropy_is_the_outputs_own(output):
    assert costs.get("cross_entropy", activations.get(output)).name == NATURAL[output]


@pytest.mark.parametrize("output", OUTPUTS)
def test_quadratic_goes_with_every_output(output):
    assert costs.get("quadratic", activations.get(output)).name == "quadratic"


@pytest.mark.parametrize(
    ("output", "cost"),
    [(output, cost) for cost in NATURAL.values() for output in OUTPUTS if NATURAL.get(output) != cost],
)
def test_cost_and_output_that_don_t_go_together_are_refused(output, cost):
    net = mlp.MLP([2, 3], output=output, seed=0)
    natural = cost.removesuffix("_cross_entropy")
    message = rf"^cost: received '{cost}' with a network whose output is '{output}', but it goes only with '{natural}' outputs"
    with pytest.raises(ValueError, match=message):
        mlp.Objective(net, np.ones((2, 2)), [0, 1], cost=cost)


def test_unknown_name_is_told_the_closest_known_one():
    output = activations.get("softmax")
    with pytest.raises(ValueError, match=r"^cost: received 'quadratc'.*one of quadratic, .*did you mean 'quadratic'\?"):
        costs.get("quadratc", output)
    with pytest.raises(ValueError, match=r"^cost: received 'softmax_crossentropy'.*did you mean 'softmax_cross_entropy'\?"):
        costs.get("softmax_crossentropy", output)
    with pytest.raises(ValueError, match=r"^cost: received 'cross_entropy' .*'identity', but it goes only with"):
        costs.get("cross_entropy", activations.get("identity"))


@pytest.mark.parametrize("wrong", [3, np.square, object(), [], mlp.Cost])
def test_what_is_no_cost_is_refused_with_what_one_needs(wrong):
    with pytest.raises(TypeError, match=r"^cost: received .*an object with value\(A, Y\) and gradient\(A, Y\)"):
        costs.get(wrong, activations.get("identity"))


# The user's own


class LogCosh:
    """Σⱼ log cosh(aⱼ − yⱼ), a smooth absolute error."""

    name = "log_cosh"

    def value(self, A, Y):
        return np.log(np.cosh(A - Y)).sum(axis=1)

    def gradient(self, A, Y):
        return np.tanh(A - Y)


class Returning:
    """A cost that returns what it is told."""

    name = "mine"

    def __init__(self, value=lambda A, Y: (A - Y).sum(axis=1), gradient=lambda A, Y: np.ones_like(A - Y)):
        self.value = value
        self.gradient = gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_users_cost_by_hand(dtype):
    # a − y = log 2, −log 3: cosh = 5/4, 5/3; tanh = 3/5, −4/5
    value, error = cost_and_error([math.log(2), 0.0], [0.0, math.log(3)], "identity", LogCosh(), dtype)
    precision = 8 * float(np.finfo(dtype).eps)
    assert value == pytest.approx(math.log(25 / 12), rel=precision)
    np.testing.assert_allclose(error, [3 / 5, -4 / 5], rtol=precision)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("y", [[0, 2, 1, 1], [[0.2, 0.3, 0.5]] * 4], ids=["labels", "numbers"])
def test_users_cost_goes_with_every_output_and_passes_the_gradient_check(output, y, rng):
    net = mlp.MLP([3, 4, 3], hidden="tanh", output=output, dtype="float64", seed=1)
    net.theta[:] = rng.standard_normal(net.theta.size)
    objective = mlp.Objective(net, rng.standard_normal((4, 3)), y, cost=LogCosh(), weight_decay=0.05)
    check = mlp.check_gradient(objective, net.theta)
    assert check.worst_error <= 1e-7, check


def test_users_cost_is_given_labels_as_numbers_in_the_networks_dtype():
    seen = []

    def value(A, Y):
        seen.append((A.dtype, Y.dtype, Y.tolist()))
        return np.zeros(len(A))

    net = mlp.MLP([2, 3], output="softmax", dtype="float32", seed=0)
    mlp.Objective(net, np.ones((2, 2)), [2, 0], cost=Returning(value))(net.theta)
    assert seen == [(np.float32, np.float32, [[0, 0, 1], [1, 0, 0]])]


def test_cost_subclass_of_the_users_is_taken_as_it_is():
    class Linear(mlp.Cost):
        name = "linear"

        def values(self, Z, A, Y, spare):
            return (3 * A).sum(axis=0)

        def output_error(self, Z, A, Y, activation, out, spare):
            out[...] = 3

    value, error = cost_and_error([2.0, 5.0], [0.0, 0.0], "identity", Linear())
    assert value == 21
    np.testing.assert_array_equal(error, [3, 3])


@pytest.mark.parametrize(
    "wrong", [lambda A, Y: (A - Y).sum(), lambda A, Y: A - Y, lambda A, Y: (A - Y).sum(axis=0), lambda A, Y: (A - Y)[1:, 0]]
)
def test_wrong_shape_from_the_users_value_is_named(wrong):
    net = mlp.MLP([2, 3], output="identity", seed=0)
    objective = mlp.Objective(net, np.ones((4, 2)), np.ones((4, 3)), cost=Returning(value=wrong))
    message = r"cost 'mine': its value\(A, Y\) returned shape .*, but it must return one cost for each example, \(4,\)"
    for call in (objective, objective.evaluate):
        with pytest.raises(ValueError, match=message):
            call(net.theta)


@pytest.mark.parametrize(
    "wrong", [lambda A, Y: (A - Y).sum(), lambda A, Y: (A - Y)[0], lambda A, Y: (A - Y).T, lambda A, Y: (A - Y)[:, :1]]
)
def test_wrong_shape_from_the_users_gradient_is_named(wrong):
    net = mlp.MLP([2, 3], output="identity", seed=0)
    before = net.theta.copy()
    objective = mlp.Objective(net, np.ones((4, 2)), np.ones((4, 3)), cost=Returning(gradient=wrong))
    message = r"cost 'mine': its gradient\(A, Y\) returned shape .*, but it must return A's own shape, \(4, 3\)"
    with pytest.raises(ValueError, match=message):
        objective(net.theta)
    np.testing.assert_array_equal(net.theta, before)


@pytest.mark.parametrize("method", ["value", "gradient"])
def test_a_users_cost_that_writes_into_its_arguments_is_refused(method):
    def shifted(A, Y):
        Y -= A  # Y are the objective's own targets
        return Y

    objective = mlp.Objective(mlp.MLP([2, 3], output="identity", seed=0), np.ones((4, 2)), np.ones((4, 3)))
    objective = mlp.Objective(objective.net, objective.X, objective.Y, cost=Returning(**{method: shifted}))
    with pytest.raises(ValueError, match="read-only"):
        objective(objective.net.theta)
    np.testing.assert_array_equal(objective.Y, 1)
