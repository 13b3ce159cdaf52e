"""Every gradient against central differences, and the checker itself against planted errors and functions of SciPy's."""

import functools
import itertools

import numpy as np
import pytest
import scipy.optimize

import mlp
from mlp import Dense, Objective, check_gradient
from mlp.backprop import CHUNK

ELEMENTWISE = ["identity", "relu", "softplus", "threshold", "logistic", "tanh"]
GO_TOGETHER = [
    *((output, "quadratic") for output in [*ELEMENTWISE, "softmax"]),
    ("logistic", "logistic_cross_entropy"),
    ("softmax", "softmax_cross_entropy"),
]
WORST = 1e-7  # the relative error that the project allows itself


def network(sizes, hidden, output, dtype="float64", seed=0):
    """A network with random parameters, biases pushed upwards so that no ReLU is dead for all examples."""
    net = mlp.MLP(sizes, hidden=hidden, output=output, dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    for layer in net.layers:
        layer.W[:] = 0.7 * rng.standard_normal(layer.W.shape)
        layer.b[:] = 0.4 + 0.5 * rng.standard_normal(layer.b.shape)
    return net


def targets(kind, n, units, rng):
    """Random targets of a kind."""
    if kind == "labels":
        return rng.integers(0, units, n)
    if kind == "multi-label":
        return rng.integers(0, 2, (n, units))
    if kind == "probabilities":
        return rng.dirichlet(np.ones(units), n)
    return rng.standard_normal((n, units))


def assert_agrees(objective, theta, least=1e-3, **how):
    """The gradient passes the check, and there is one: `least` keeps a network that is dead from passing."""
    gradient = objective(theta)[1]
    assert np.abs(gradient).max() >= least
    check = check_gradient(objective, theta, **how)
    assert check.worst_error <= WORST, str(check)
    assert check.passed


# Every activation, cost, depth, decay and batch


BODIES = [(0, "relu"), *itertools.product([1, 2, 3], ELEMENTWISE)]


@pytest.mark.parametrize("body", range(len(BODIES)), ids=[f"{hidden}-{depth}" for depth, hidden in BODIES])
@pytest.mark.parametrize("top", range(len(GO_TOGETHER)), ids=map("-".join, GO_TOGETHER))
def test_gradients_agree_with_central_differences(top, body):
    (output, cost), (depth, hidden) = GO_TOGETHER[top], BODIES[body]
    n, weight_decay = [(1, 0.0), (1, 0.1), (5, 0.0), (5, 0.1)][(top + body) % 4]  # each with every output and every body
    rng = np.random.default_rng(n)
    net = network([3] + [2] * depth + [3], hidden, output, seed=depth)
    X = rng.standard_normal((n, 3))
    y = targets({"logistic": "multi-label", "softmax": "labels"}.get(output, "numbers"), n, 3, rng)
    objective = Objective(net, X, y, cost=cost, weight_decay=weight_decay)
    # a hard threshold at the output is flat: only the penalty has a slope
    flat = output == "threshold" and not weight_decay
    assert_agrees(objective, net.theta, least=0 if flat else 1e-3)
    if flat:
        assert not objective(net.theta)[1].any()


@pytest.mark.parametrize("order", range(6))
def test_different_activations_in_one_network(order):
    hidden = ELEMENTWISE[order:] + ELEMENTWISE[:order]
    hidden.remove("threshold")  # below it nothing arrives: see the next test
    net = network([3, 4, 3, 4, 3, 4, 2], hidden, "softmax", seed=order)
    X = np.random.default_rng(order).standard_normal((4, 3))
    assert_agrees(Objective(net, X, [0, 1, 1, 0], weight_decay=0.01), net.theta)


def test_below_a_hard_threshold_only_the_penalty_has_a_slope():
    net = network([3, 4, 4, 2], ["tanh", "threshold"], "softmax")
    X = np.random.default_rng(0).standard_normal((4, 3))
    objective = Objective(net, X, [0, 1, 1, 0], weight_decay=0.1)
    assert_agrees(objective, net.theta)
    gradient = net.at(objective(net.theta)[1])
    for layer, slope in zip(net.layers[:2], gradient.layers[:2], strict=True):
        np.testing.assert_allclose(slope.W, 0.1 * layer.W, rtol=1e-15)
        assert not slope.b.any()


# Every kind of target


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize(
    ("output", "cost", "kind"),
    [
        ("softmax", "softmax_cross_entropy", "probabilities"),
        ("softmax", "quadratic", "probabilities"),
        ("softmax", "quadratic", "numbers"),
        ("logistic", "logistic_cross_entropy", "labels"),
        ("logistic", "logistic_cross_entropy", "probabilities"),
        ("logistic", "quadratic", "labels"),
        ("logistic", "quadratic", "numbers"),
        ("identity", "quadratic", "labels"),
        ("tanh", "quadratic", "labels"),
    ],
)
def test_every_kind_of_target(output, cost, kind, n):
    rng = np.random.default_rng(7)
    net = network([3, 4, 3], "tanh", output)
    objective = Objective(net, rng.standard_normal((n, 3)), targets(kind, n, 3, rng), cost=cost, weight_decay=0.05)
    assert_agrees(objective, net.theta)


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
@pytest.mark.parametrize(("output", "cost"), [pair for pair in GO_TOGETHER if pair[0] not in ("softmax", "threshold")])
def test_a_single_output(output, cost, shape):
    rng = np.random.default_rng(7)
    net = network([3, 4, 1], "softplus", output)
    objective = Objective(net, rng.standard_normal((5, 3)), rng.integers(0, 2, shape), cost=cost, weight_decay=0.05)
    assert_agrees(objective, net.theta)


@pytest.mark.parametrize("sizes", [[4, 4], [4, 2, 4], [4, 3, 2, 3, 4]])
@pytest.mark.parametrize(
    ("output", "cost"), [pair for pair in GO_TOGETHER if pair not in [("threshold", "quadratic"), ("softmax", "quadratic")]]
)
@pytest.mark.parametrize("pixels", [False, True])
def test_autoencoders(output, cost, sizes, pixels):
    rng = np.random.default_rng(3)
    net = network(sizes, "tanh", output, seed=2)
    if output == "softmax":
        X = rng.dirichlet(np.ones(4), 5)  # an input that is its own target must be class probabilities
        if pixels:
            X = np.array([[255, 0, 0, 0], [51, 51, 51, 102], [0, 0, 204, 51]], np.uint8)
    else:
        X = rng.integers(0, 256, (5, 4), dtype=np.uint8) if pixels else rng.uniform(0, 1, (5, 4))
    assert_agrees(Objective(net, X, cost=cost, weight_decay=0.05), net.theta)


# Batches


@pytest.mark.parametrize("rows", [[4], [0, 3], [2, 2, 5, 2], slice(1, None, 2), np.arange(7)[::-1]])
@pytest.mark.parametrize("hidden", ["relu", "tanh"])
def test_mini_batches_by_rows(rows, hidden):
    rng = np.random.default_rng(1)
    net = network([3, 4, 2], hidden, "softmax", seed=1)
    objective = Objective(net, rng.standard_normal((7, 3)), rng.integers(0, 2, 7), weight_decay=0.05)
    assert_agrees(lambda theta: objective(theta, rows), net.theta)


@pytest.mark.parametrize("rows", [None, "shuffled"])
def test_more_examples_than_a_chunk(rows):
    rng = np.random.default_rng(1)
    n = CHUNK + 9
    net = network([3, 4, 2], "tanh", "softmax", seed=1)
    objective = Objective(net, rng.standard_normal((n, 3)), rng.integers(0, 2, n), weight_decay=0.05)
    chosen = None if rows is None else rng.integers(0, n, n)
    assert_agrees(lambda theta: objective(theta, chosen), net.theta)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_objective_is_checked_in_float64_whatever_its_dtype(dtype):
    rng = np.random.default_rng(1)
    net = network([3, 4, 2], "tanh", "softmax", dtype)
    objective = Objective(net, rng.standard_normal((5, 3)), [0, 1, 1, 0, 1], weight_decay=0.05)
    kept = net.theta.copy()
    assert_agrees(objective, net.theta)
    np.testing.assert_array_equal(net.theta, kept)
    assert net.dtype == dtype


# Planted errors of 0.05 %


class Planted:
    """A name's own activation, but a derivative that is 1.0005 times too large."""

    def __init__(self, factor=1.0005):
        self.factor = factor

    def value(self, z):
        return np.tanh(z)

    def derivative(self, z):
        return self.factor / np.cosh(z) ** 2


class PlantedCost:
    """½‖a − y‖² with a gradient that is 1.0005 times too large."""

    def __init__(self, factor=1.0005):
        self.factor = factor

    def value(self, A, Y):
        return 0.5 * ((A - Y) ** 2).sum(axis=1)

    def gradient(self, A, Y):
        return self.factor * (A - Y)


def planted_at(layer, factor):
    """An objective whose layer of that number (from 0, of 4) has the planted activation."""
    rng = np.random.default_rng(11)
    given = ["tanh", "tanh", "tanh", "identity"]
    given[layer] = Planted(factor)
    net = mlp.MLP([Dense(*sizes, a) for sizes, a in zip([(3, 4), (4, 3), (3, 4), (4, 2)], given, strict=True)], dtype="float64")
    net.theta[:] = 0.6 * np.random.default_rng(12).standard_normal(net.theta.size)
    return Objective(net, rng.standard_normal((5, 3)), rng.standard_normal((5, 2))), net.theta


@pytest.mark.parametrize("layer", range(4))
def test_a_planted_derivative_fails_and_names_a_layer_that_has_it(layer):
    objective, theta = planted_at(layer, 1.0005)
    check = check_gradient(objective, theta)
    assert not check
    assert not check.passed
    assert check.worst_error == pytest.approx(5e-4, rel=0.01)
    # Δ is wrong there and below, where it is sent
    assert check.worst_component.startswith(tuple(f"layers[{wrong}]." for wrong in range(layer + 1)))
    assert check.worst_component in str(check)
    assert "DIFFERS" in str(check)
    assert_agrees(*planted_at(layer, 1.0))


def test_a_planted_derivative_of_the_first_layer_names_the_first_layer():
    objective, theta = planted_at(0, 1.0005)
    assert check_gradient(objective, theta).worst_component.startswith("layers[0].")


def test_a_planted_cost_fails_and_the_right_one_passes():
    rng = np.random.default_rng(11)
    net = network([3, 4, 2], "tanh", "identity")
    X, Y = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    check = check_gradient(Objective(net, X, Y, cost=PlantedCost()), net.theta)
    assert not check
    assert check.worst_error == pytest.approx(5e-4, rel=0.01)
    assert_agrees(Objective(net, X, Y, cost=PlantedCost(1.0)), net.theta)


def perturbed(components, factor=1.0005):
    """A gradient that is wrong in the given components only, and what it belongs to."""
    rng = np.random.default_rng(13)
    net = network([3, 4, 3, 2], "tanh", "softmax", seed=13)
    right = Objective(net, rng.standard_normal((6, 3)), [0, 1, 1, 0, 1, 0], weight_decay=0.05)

    def wrong(theta):
        cost, gradient = right(theta)
        gradient[components] *= factor
        return cost, gradient

    wrong.name_of = right.name_of
    return wrong, net


@pytest.mark.parametrize(
    ("component", "name"),
    [
        (0, "layers[0].W[0, 0]"),
        (11, "layers[0].W[3, 2]"),
        (14, "layers[0].b[2]"),
        (21, "layers[1].W[1, 1]"),  # 16 + 4·1 + 1
        (28, "layers[1].b[0]"),
        (34, "layers[2].W[1, 0]"),  # 16 + 15 + 3·1 + 0
        (38, "layers[2].b[1]"),
    ],
)
def test_one_wrong_component_is_named_by_layer_and_index(component, name):
    wrong, net = perturbed([component])
    check = check_gradient(wrong, net.theta)
    assert not check
    assert check.worst_component == name
    assert check.worst_error == pytest.approx(5e-4, rel=0.01)
    assert check.analytic == pytest.approx(1.0005 * check.numerical, rel=1e-6)
    assert check_gradient(perturbed([])[0], net.theta)


@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("part", ["W", "b"])
def test_a_wrong_layer_is_named(layer, part):
    _, net = perturbed([])
    names = [net.name_of(component) for component in range(net.theta.size)]
    wrong, _ = perturbed([component for component, name in enumerate(names) if name.startswith(f"layers[{layer}].{part}")])
    check = check_gradient(wrong, net.theta)
    assert not check
    assert check.worst_component.startswith(f"layers[{layer}].{part}[")


def test_the_worst_of_several_errors_is_the_one_that_is_named():
    wrong, net = perturbed([3, 20, 33], np.array([1.0005, 1.002, 1.001]))
    check = check_gradient(wrong, net.theta)
    assert check.worst_component == net.name_of(20)
    assert check.worst_error == pytest.approx(2e-3, rel=0.01)


def test_a_penalty_without_its_slope_fails():
    rng = np.random.default_rng(13)
    net = network([3, 4, 2], "tanh", "softmax")
    objective = Objective(net, rng.standard_normal((6, 3)), [0, 1, 1, 0, 1, 0])

    def decayed_outside(theta):
        cost, gradient = objective(theta)
        return cost + 0.05 * theta[:12] @ theta[:12], gradient

    check = check_gradient(decayed_outside, net.theta)
    assert not check
    assert check.worst_component.startswith("theta[")
    assert int(check.worst_component[6:-1]) < 12


def test_a_gradient_that_is_not_finite_fails():
    wrong, net = perturbed([21], np.nan)
    check = check_gradient(wrong, net.theta)
    assert not check
    assert check.worst_component == "layers[1].W[1, 1]"
    assert check.worst_error == np.inf


# Samples and directions


def rosenbrock(theta):
    """SciPy's function and SciPy's gradient."""
    return scipy.optimize.rosen(theta), scipy.optimize.rosen_der(theta)


def planted_rosenbrock(component, factor=1.0005):
    def function(theta):
        cost, gradient = rosenbrock(theta)
        gradient[component] *= factor
        return cost, gradient

    return function


THETA = np.array([0.3, -1.2, 0.7, 1.9, -0.4, 0.8])


@pytest.mark.parametrize(
    ("how", "components"),
    [
        ({}, 6),
        ({"sample": 4}, 4),
        ({"sample": 100}, 6),
        ({"sample": 0, "directions": 3}, 3),
        ({"sample": 2, "directions": 3}, 5),
        ({"directions": 1}, 7),
    ],
)
def test_functions_of_others_can_be_checked_in_every_way(how, components):
    check = check_gradient(rosenbrock, THETA, **how)
    assert check
    assert check.worst_error <= WORST
    assert check.components == components


def test_components_of_a_plain_function_are_called_theta():
    check = check_gradient(planted_rosenbrock(4), THETA)
    assert not check
    assert check.worst_component == "theta[4]"
    # SciPy's own number for that component
    assert check.numerical == pytest.approx(scipy.optimize.rosen_der(THETA)[4], rel=1e-8)
    assert check.analytic == pytest.approx(1.0005 * scipy.optimize.rosen_der(THETA)[4], rel=1e-12)


def test_a_random_direction_finds_a_planted_error():
    check = check_gradient(planted_rosenbrock(3), THETA, sample=0, directions=4)
    assert not check
    assert check.worst_component.startswith("random direction ")
    assert check_gradient(rosenbrock, THETA, sample=0, directions=4)


def test_a_direction_finds_what_the_sample_missed():
    sampled = [check_gradient(planted_rosenbrock(3), THETA, sample=1, seed=seed) for seed in range(30)]
    found = [check.worst_component for check in sampled if not check]
    assert set(found) == {"theta[3]"}
    assert len({check.worst_component for check in sampled}) == 6  # every component's turn comes
    missed = next(seed for seed, check in enumerate(sampled) if check)
    assert not check_gradient(planted_rosenbrock(3), THETA, sample=1, directions=1, seed=missed)


def test_a_sample_has_no_component_twice():
    planted = planted_rosenbrock(2)
    for seed in range(10):  # six of six: the wrong one is among them whatever the order
        assert not check_gradient(planted, THETA, sample=6, seed=seed)


def test_the_same_seed_checks_the_same_components():
    net = network([3, 4, 2], "tanh", "softmax")
    objective = Objective(net, np.random.default_rng(0).standard_normal((5, 3)), [0, 1, 1, 0, 1])
    checks = [check_gradient(objective, net.theta, sample=2, directions=1, seed=seed) for seed in (5, 5, 6, 7, 8)]
    assert checks[0] == checks[1]
    assert len(set(checks)) > 1
    assert check_gradient(objective, net.theta, sample=2, directions=1, seed=np.random.default_rng(5)) == checks[0]


@pytest.mark.parametrize("how", [{"sample": 25}, {"sample": 0, "directions": 5}])
def test_a_large_network_by_a_sample_or_by_directions(how):
    rng = np.random.default_rng(0)
    net = network([64, 40, 30, 10], "tanh", "softmax")
    objective = Objective(net, rng.standard_normal((20, 64)), rng.integers(0, 10, 20), weight_decay=1e-3)
    assert_agrees(objective, net.theta, **how)

    def wrong(theta):
        cost, gradient = objective(theta)
        return cost, 1.0005 * gradient

    assert not check_gradient(wrong, net.theta, **how)


def test_a_component_costs_four_evaluations():
    calls = []

    def counted(theta):
        calls.append(theta.copy())
        return rosenbrock(theta)

    assert check_gradient(counted, THETA)
    assert len(calls) <= 1 + 4 * 6 + 8  # a smaller step now and then
    before = len(calls)
    check_gradient(counted, THETA, sample=1)
    assert len(calls) - before <= 1 + 4 * 3


def test_theta_stays_as_it_was_and_may_be_a_list():
    theta = THETA.copy()
    check_gradient(rosenbrock, theta, directions=1)
    np.testing.assert_array_equal(theta, THETA)
    assert check_gradient(rosenbrock, THETA.tolist())


def test_the_step_follows_the_size_of_the_parameters():
    # f = Σ (θₖ/sₖ)²/2 with slopes θₖ/sₖ²: at θₖ of millions a step of 0.0001 would drown in rounding
    scale = np.array([1e6, 2e6, 3e6])

    def bowl(theta):
        return 0.5 * np.sum((theta / scale) ** 2), theta / scale**2

    assert check_gradient(bowl, 3 * scale)
    assert check_gradient(bowl, 3 * scale, sample=0, directions=3)


def test_a_kink_within_the_step_is_stepped_around():
    # |θ| at 0.00005: a step of 0.0001 reaches across the kink, a tenth of it doesn't
    def kinked(theta):
        return np.abs(theta).sum(), np.sign(theta)

    assert check_gradient(kinked, [5e-5, -5e-5, 1.0])
    assert not check_gradient(lambda theta: (kinked(theta)[0], 1.0005 * np.sign(theta)), [5e-5, -5e-5, 1.0])


def test_tolerance_decides():
    planted = planted_rosenbrock(4)
    assert not check_gradient(planted, THETA, tolerance=4e-4)
    assert check_gradient(planted, THETA, tolerance=6e-4)
    assert check_gradient(planted, THETA, tolerance=6e-4).tolerance == 6e-4


def test_a_flat_function_passes():
    check = check_gradient(lambda theta: (3.0, np.zeros_like(theta)), THETA)
    assert check
    assert check.worst_error == 0
    assert not check_gradient(lambda theta: (3.0, np.full_like(theta, 1e-12)), THETA)


def test_what_it_found_reads_well():
    passed, failed = check_gradient(rosenbrock, THETA), check_gradient(planted_rosenbrock(4), THETA)
    assert str(passed).startswith("the gradient agrees with central differences at 6 components: worst relative error ")
    assert "DIFFERS from central differences at 6 components: worst relative error 5.0e-04 (allowed 1e-07) at theta[4]" in str(
        failed
    )


# Right gradients over many examples: no false alarm


def right_problem(seed, most):
    """An objective over 100 to `most` digits, its network and how to check it; every third of a few is a plain function."""
    images = mnist()
    rng = np.random.default_rng(seed)
    output, cost = GO_TOGETHER[seed % len(GO_TOGETHER)]
    hidden = ELEMENTWISE[seed // len(GO_TOGETHER) % len(ELEMENTWISE)]
    n = round(100 * (most / 100) ** rng.uniform())
    widths = rng.integers(5, 60, rng.integers(0, 4)).tolist()
    net = mlp.MLP([784, *widths, 10], hidden=hidden, output=output, dtype=["float32", "float64"][seed % 2], seed=seed)
    net.theta *= rng.choice([1, 1, 1, 3])
    net.theta += rng.choice([0, 0.05]) * rng.standard_normal(net.theta.size)
    X = images.X[:n] if rng.integers(2) else images.X[:n] / np.float32(255)
    y = images.y[:n] if rng.integers(2) else np.eye(10)[images.y[:n]]
    settings = {"weight_decay": rng.choice([0, 1e-4, 0.1])}
    if hidden == "logistic" and widths and rng.integers(2):
        settings["sparsity"] = mlp.Sparsity(0.1, float(rng.choice([1e-6, 0.1, 3])))
    dropped = rng.integers(4) == 0
    if dropped:
        settings["dropout"] = (0.2,) + (0.5,) * len(widths)
    objective = Objective(net, X, y, cost, **settings)
    if dropped:
        objective = objective.with_noise(seed)
    if rng.integers(3) == 0:
        mlp.sgd(objective, net.theta, epochs=1, learning_rate=0.05, seed=seed)
    how = {"sample": int(rng.integers(1, 8)), "directions": int(rng.integers(0, 3)), "seed": seed}
    if n <= 5000 and rng.integers(3) == 0:
        plain = objective.astype(rng.choice([net.dtype.name, "float64"]))
        return lambda theta: plain(theta), net, how
    return objective, net, how


@functools.cache
def mnist():
    return mlp.load_mnist(validation=0)[0]


def assert_no_false_alarm(seeds, most):
    """None of them is called wrong, and nearly all that float64 can decide are decided."""
    undecided = components = 0
    for seed in seeds:
        objective, net, how = right_problem(seed, most)
        check = check_gradient(objective, net.theta, **how)
        assert check.passed, (seed, str(check))
        assert check.undecided == len(check.reasons) <= check.components
        if isinstance(objective, Objective):
            components += check.components
            undecided += check.undecided
    assert undecided <= 0.02 * components


def test_no_false_alarm():
    assert_no_false_alarm(range(20), 2000)


@pytest.mark.slow
def test_no_false_alarm_in_a_thousand_checks():
    assert_no_false_alarm(range(1000), 60_000)


# Planted errors of 0.05 % over many examples


class Altered:
    """An objective whose gradient is changed, by `alter(gradient, examples)`, in place."""

    def __init__(self, objective, alter):
        self.objective = objective.astype(np.float64)
        self.alter = alter
        self.name_of = objective.name_of
        self.examples = 0

    def __len__(self):
        return len(self.objective)

    def __call__(self, theta, rows=None):
        cost, gradient = self.objective(theta, rows)
        examples = len(self) if rows is None else len(rows)
        self.examples += examples
        self.alter(gradient, examples)
        return cost, gradient


def digits(n, hidden="relu", widths=(30,)):
    net = mlp.MLP([784, *widths, 10], hidden=hidden, seed=0)
    return net, Objective(net, mnist().X[:n], mnist().y[:n], weight_decay=1e-4)


@pytest.mark.parametrize("n", [100, 3000])
@pytest.mark.parametrize("hidden", ["relu", "tanh", "softplus"])
def test_an_error_in_a_single_component_is_found_over_many_examples(hidden, n):
    net, objective = digits(n, hidden)
    components = {net.name_of(k): k for k in range(net.theta.size)}
    for seed in range(3):
        name = check_gradient(objective, net.theta, sample=1, seed=seed).worst_component  # which one that seed draws
        wrong = components[name]

        def alter(gradient, _, wrong=wrong):
            gradient[wrong] *= 1.0005

        check = check_gradient(Altered(objective, alter), net.theta, sample=1, seed=seed)
        # where no image has ink and there is no weight there is nothing to multiply
        assert not check or check.analytic == 0
        assert check.worst_component == name
        if not check:
            assert check.worst_error == pytest.approx(5e-4, rel=0.01)


@pytest.mark.parametrize("layer", [0, 1])
def test_an_error_in_a_bias_is_found_over_many_examples(layer):
    net = mlp.MLP([4, 5, 3], seed=0)
    rng = np.random.default_rng(0)
    objective = Objective(net, rng.standard_normal((3000, 4)), rng.integers(0, 3, 3000))
    wrong = next(k for k in range(net.theta.size) if net.name_of(k) == f"layers[{layer}].b[1]")

    def alter(gradient, _):
        gradient[wrong] *= 1.0005

    check = check_gradient(Altered(objective, alter), net.theta)
    assert not check
    assert check.worst_component == f"layers[{layer}].b[1]"
    assert check_gradient(objective, net.theta)


@pytest.mark.parametrize("n", [100, 3000])
@pytest.mark.parametrize("how", [{"sample": 0, "directions": 1}, {"sample": 4}])
def test_an_error_of_the_whole_gradient_is_found_over_many_examples(how, n):
    net, objective = digits(n)

    def alter(gradient, _):
        gradient *= 1.0005

    check = check_gradient(Altered(objective, alter), net.theta, **how)
    assert not check
    assert check.worst_error == pytest.approx(5e-4, rel=0.01)
    assert check_gradient(objective, net.theta, **how)


def test_an_error_of_the_gradient_over_all_examples_alone_is_found():
    net, objective = digits(3000, "tanh")

    def alter(gradient, examples):
        if examples == 3000:
            gradient *= 1.0005

    check = check_gradient(Altered(objective, alter), net.theta, sample=2)
    assert not check
    assert check.worst_component == "all 3,000 examples together"
    # the direction of the difference is that of the gradient itself
    assert check.worst_error == pytest.approx(5e-4, rel=0.01)
    assert check.components == 3


def test_a_component_without_a_slope_in_most_examples_is_checked_where_it_has_one():
    # the first feature is 0 but in one of 5,000 examples
    X, y = np.random.default_rng(0).standard_normal((5000, 3)), np.arange(5000) % 2
    X[:, 0] = 0
    X[4321, 0] = 1
    net = mlp.MLP([3, 2], seed=0)
    objective = Objective(net, X, y)

    def alter(gradient, _):
        gradient[0] *= 1.0005

    check = check_gradient(Altered(objective, alter), net.theta)
    assert not check
    assert check.worst_component == "layers[0].W[0, 0]"


def test_a_check_over_many_examples_costs_little_more_than_two_gradients_over_all():
    net, objective = digits(20_000)
    counted = Altered(objective, lambda *_: None)
    assert check_gradient(counted, net.theta, sample=10, directions=2)
    # two over all, one of them in parts; twelve paths over 512 examples or fewer, with a gradient and 4 to 12 costs each
    assert counted.examples <= 2 * 20_000 + 12 * 512 * 13


# What can't be decided


def kinked(theta):
    return np.abs(theta).sum(), np.where(theta >= 0, 1.0, -1.0)


def test_a_kink_within_the_smallest_step_is_undecided():
    check = check_gradient(kinked, [1e-10, 0.5, -1.0])
    assert check
    assert (check.components, check.undecided) == (3, 1)
    assert check.reasons[0].startswith("theta[0]: a kink lies within the smallest useful step")
    assert str(check).startswith("the gradient agrees with central differences at 2 components: ")
    assert "undecided at 1 of 3 (theta[0]: a kink" in str(check)


def test_a_check_that_decides_nothing_is_not_true():
    check = check_gradient(kinked, [0.0, 1e-10])
    assert not check
    assert check.passed  # nothing differs
    assert (check.components, check.undecided) == (2, 2)
    assert str(check).startswith("the gradient can't be decided by central differences at 2 components")


def test_a_difference_counts_whatever_is_undecided():
    check = check_gradient(lambda theta: (kinked(theta)[0], 1.0005 * kinked(theta)[1]), [1e-10, 0.5])
    assert not check
    assert not check.passed
    assert (check.worst_component, check.undecided) == ("theta[1]", 1)


def test_a_cost_in_float32_is_too_coarse_and_never_wrong():
    def single(theta):
        cost, gradient = rosenbrock(theta)
        return np.float32(cost), gradient.astype(np.float32)

    check = check_gradient(single, THETA, directions=2)
    assert check.passed
    assert check.undecided
    assert all("the cost is too coarse" in reason for reason in check.reasons)
    # what is grossly wrong is seen all the same
    assert not check_gradient(lambda theta: (single(theta)[0], -single(theta)[1]), THETA).passed


def test_a_cost_of_few_digits_is_never_wrong():
    for digits_kept in (1, 3, 6, 9):
        check = check_gradient(lambda theta, kept=digits_kept: (round(float(theta @ theta), kept), 2 * theta), THETA / 100)
        assert check.passed, str(check)


def test_a_cost_that_is_not_finite_is_undecided():
    check = check_gradient(lambda theta: (np.nan, theta), THETA)
    assert not check
    assert check.undecided == 6
    assert check.reasons[0] == "theta[0]: the cost is not finite around theta"


# Bad input


@pytest.mark.parametrize(
    ("function", "received"),
    [
        (lambda theta: float(theta @ theta), r"2\..* \(float\)"),
        (lambda theta: 2 * theta, r"an array of shape \(6,\)"),
        (lambda theta: (1.0, theta, theta), r"\(1\.0, "),
        (lambda _: None, "None"),
        (lambda theta: (2 * theta, theta @ theta), r"a cost of shape \(6,\)"),
        (lambda theta: (1j, theta), r"\(1j, .* must be of real numbers"),
        (lambda theta: ("low", theta), r"\('low', .* must be of real numbers"),
    ],
)
def test_what_returns_no_cost_and_gradient_is_told_so(function, received):
    with pytest.raises(TypeError, match=r"(?s)^objective: returned " + received):
        check_gradient(function, np.full(6, 0.6))


def test_an_objective_that_is_no_function_is_named():
    with pytest.raises(TypeError, match=r"^objective: received 5 \(int\), but it must be a function"):
        check_gradient(5, THETA)


@pytest.mark.parametrize(
    ("theta", "error"),
    [
        (10**400, TypeError),
        ([10**400, 1], TypeError),
        (THETA * 1j, TypeError),
        (["a"], TypeError),
        (1.0, ValueError),
        (np.eye(2), ValueError),
        ([], ValueError),
        ([[1.0], [1.0, 2.0]], ValueError),
        ([np.nan, 1.0], ValueError),
    ],
)
def test_a_theta_that_is_no_vector_is_named(theta, error):
    with pytest.raises(error, match=r"^theta: received .* must be a vector of finite real numbers"):
        check_gradient(rosenbrock, theta)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sample": 0}, ValueError, r"^sample: received 0 with directions=0, but at least one"),
        ({"sample": -1}, ValueError, r"^sample: received -1 .*at least 0"),
        ({"sample": 2.5}, TypeError, r"^sample: received 2\.5 \(float\)"),
        ({"directions": -1}, ValueError, r"^directions: received -1 .*at least 0"),
        ({"directions": "all"}, TypeError, r"^directions: received 'all'"),
        ({"step": 0}, ValueError, r"^step: received 0 .*above 0"),
        ({"step": np.nan}, ValueError, r"^step: received nan"),
        ({"tolerance": -1e-7}, ValueError, r"^tolerance: received -1e-07 .*above 0"),
        ({"tolerance": None}, TypeError, r"^tolerance: received None"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        check_gradient(rosenbrock, THETA, **arguments)


@pytest.mark.parametrize("gradient", [np.zeros(5), np.zeros((6, 1)), 0.0])
def test_a_gradient_of_the_wrong_shape_is_named(gradient):
    with pytest.raises(ValueError, match=r"^objective: returned a gradient of shape .*, but theta has shape \(6,\)"):
        check_gradient(lambda theta: (theta.sum(), gradient), THETA)
