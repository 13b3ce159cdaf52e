"""Committees: the mean of the members' outputs, its labels, the figures that take a committee, and what is refused."""

import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import Committee, plots
from mlp.data.columns import Column
from mlp.data.preparation import Preparation

matplotlib.use("Agg")


def networks(count, sizes=(4, 5, 3), output="softmax", **settings):
    nets = [mlp.MLP(list(sizes), output=output, seed=seed, **settings) for seed in range(count)]
    for net in nets:
        net.theta *= 3
    return nets


def inputs(n=50, features=4):
    return np.random.default_rng(0).standard_normal((n, features)).astype(np.float32)


@pytest.mark.parametrize("output", ["softmax", "logistic", "identity", "tanh"])
@pytest.mark.parametrize("outputs", [3, 2, 1])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_answers_are_those_of_the_mean(output, outputs, count):
    if (output, outputs) == ("softmax", 1):
        outputs = 4
    nets, X = networks(count, (4, 5, outputs), output), inputs()
    committee = Committee(nets)
    mean = sum(net.forward(X).astype(float) for net in nets) / count
    assert_allclose(committee.forward(X), mean, atol=1e-6)
    assert committee.forward(X).shape == (50, outputs)
    predicted = committee.predict(X)
    if output in ("identity", "tanh"):
        assert_array_equal(predicted, committee.forward(X)[:, 0] if outputs == 1 else committee.forward(X))
    else:
        labels = mean.argmax(axis=1) if outputs > 1 else mean[:, 0] > 0.5
        assert_array_equal(predicted, labels)
        assert predicted.dtype.kind == "i"
        assert len(set(predicted)) > 1


@pytest.mark.parametrize("output", ["softmax", "logistic", "identity"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_committee_of_one_is_that_one(output, dtype):
    (net,) = networks(1, output=output, dtype=dtype)
    committee, X = Committee([net]), inputs()
    assert committee.forward(X).tobytes() == net.forward(X).tobytes()
    assert committee.forward(X).dtype == dtype
    assert_array_equal(committee.predict(X), net.predict(X))
    assert committee.output is net.output
    assert committee.sizes == [net.sizes[0], net.sizes[-1]]


def test_the_mean_is_no_vote_by_labels():
    # two of three say 0 by a hair, the third says 1 for sure
    nets = [mlp.MLP([1, 2], dtype="float64", seed=0) for _ in range(3)]
    for net, first in zip(nets, (0.1, 0.1, -3), strict=True):
        net.theta[:] = [0, 0, first, 0]
    assert [int(net.predict([[1.0]])[0]) for net in nets] == [0, 0, 1]
    assert Committee(nets).predict([[1.0]])[0] == 1
    # (2/(1 + e^-0.1) + 1/(1 + e^3))/3 = (2 · 0.5249792 + 0.0474259)/3
    assert Committee(nets).forward([[1.0]])[0, 0] == pytest.approx(0.3657947, abs=1e-7)


def test_members_may_differ_inside_and_come_in_any_order():
    X = inputs()
    nets = [
        mlp.MLP([4, 5, 3], seed=0),
        mlp.MLP([4, 3], seed=1),
        mlp.MLP([4, 7, 6, 3], hidden=["tanh", "logistic"], dtype="float64", seed=2),
    ]
    forwards = [Committee(order).forward(X) for order in (nets, nets[::-1])]
    assert_allclose(*forwards, atol=1e-7)
    assert_allclose(forwards[0], sum(net.forward(X).astype(float) for net in nets) / 3, atol=1e-7)
    twice = Committee([nets[0], nets[0], nets[1]]).forward(X)
    assert_allclose(twice, (2 * nets[0].forward(X) + nets[1].forward(X)) / 3, atol=1e-6)


def test_pixels_are_scaled_as_a_network_scales_them():
    X = np.random.default_rng(1).integers(0, 256, (20, 4), dtype=np.uint8)
    committee = Committee(networks(3))
    assert_allclose(committee.forward(X), committee.forward(X / 255), atol=1e-6)
    assert not np.allclose(committee.forward(X), committee.forward(X.astype(float)), atol=1e-2)


def test_members_are_a_list_of_the_committees_own_and_go_on_learning():
    nets, X = networks(2), inputs()
    given = list(nets)
    committee = Committee(given)
    from_an_iterator = Committee(net for net in nets)
    given.clear()
    assert committee.members == from_an_iterator.members == nets
    before = committee.forward(X)
    nets[0].theta *= 2
    assert_allclose(committee.forward(X), (nets[0].forward(X) + nets[1].forward(X)) / 2, atol=1e-7)
    assert not np.array_equal(committee.forward(X), before)
    assert repr(committee) == f"Committee([{nets[0]!r}, {nets[1]!r}])"


# Figures


@pytest.mark.parametrize(("output", "outputs"), [("softmax", 3), ("logistic", 3), ("logistic", 1)])
def test_figures_of_a_committee_are_those_of_its_answers(output, outputs):
    committee, X = Committee(networks(3, (4, 5, outputs), output)), inputs()
    y = np.random.default_rng(2).integers(0, max(outputs, 2), 50)
    accuracy = 100 * np.mean(committee.predict(X) == y)
    assert f"Accuracy {accuracy:.2f} %" in plots.confusion(committee, X, y).axes[0].get_title()
    wrong = np.count_nonzero(committee.predict(X) != y)
    assert f"of {wrong} mistakes ({accuracy:.2f} % of 50 right)" in plots.mistakes(committee, X, y, count=4).axes[0].get_title()


# Bad input


def test_a_committee_of_none_is_refused():
    with pytest.raises(ValueError, match=r"^members: received none, but a committee needs one network at least"):
        Committee(iter([]))


@pytest.mark.parametrize("other", ["model.npz", mlp.MLP, Committee(networks(1))], ids=lambda other: type(other).__name__)
@pytest.mark.parametrize("place", [0, 1])
def test_members_that_are_no_network_are_refused(other, place):
    members = networks(1)
    members.insert(place, other)
    with pytest.raises(TypeError, match=rf"^members: number {place} is .*, but each must be an MLP"):
        Committee(members)


@pytest.mark.parametrize(
    ("sizes", "output", "said"),
    [
        ((5, 5, 3), "softmax", "5 inputs and 3 softmax outputs"),
        ((4, 5, 2), "softmax", "4 inputs and 2 softmax outputs"),
        ((4, 5, 3), "logistic", "4 inputs and 3 logistic outputs"),
    ],
)
def test_members_that_do_not_go_together_are_refused(sizes, output, said):
    with pytest.raises(ValueError, match=rf"^members: number 2 has {said}, but .* first: 4 and 3 softmax"):
        Committee([*networks(2), *networks(1, sizes, output)])


def test_inputs_are_checked_as_a_network_checks_them():
    for method in ("forward", "predict"):
        with pytest.raises(ValueError, match=r"^X: received 5 features, shape \(2, 5\), but the network takes 4"):
            getattr(Committee(networks(2)), method)(np.zeros((2, 5)))


def test_outputs_that_are_nan_are_no_class():
    nets = networks(2)
    nets[1].theta[-1] = np.nan
    with pytest.raises(ValueError, match=r"^X: the outputs are NaN at example 0"):
        Committee(nets).predict(inputs())


def test_a_network_that_is_in_no_list_is_refused():
    with pytest.raises(TypeError, match=r"^members: received "):
        Committee(networks(1)[0])


def test_members_with_one_preparation_answer_raw_data_with_names():
    column = Column("x", mean=2.0, deviation=4.0, minimum=-2.0, maximum=8.0)
    members = [mlp.MLP([1, 2], dtype="float64", seed=seed) for seed in (0, 1)]
    committee = Committee(members)
    X = np.linspace(-10, 10, 9)[:, None]
    labels = committee.predict((X - 2) / 4)
    for net in members:
        net.preparation = Preparation((column,), Column("kind", "categorical", ("no", "yes")), "standard")
    assert committee.predict({"x": X[:, 0]}).tolist() == [("no", "yes")[label] for label in labels]
    members[1].preparation = None
    assert_array_equal(committee.predict((X - 2) / 4), labels)
