"""What model files say of layers: `describe` and `from_description` there and back, and descriptions that are refused."""

import json
import tracemalloc

import numpy as np
import pytest

import mlp
from mlp import Conv, Dense, MaxPool, MeanPool
from mlp.activations import ACTIVATIONS
from mlp.layers import KINDS, kind_of
from mlp.layers.dense import MOST_UNITS

ENTRIES = [
    (9, 8, 2),
    Conv(3, (3, 2), "tanh", stride=(1, 2)),
    MaxPool(2),
    Conv(4, 2, padding="same"),
    Conv(2, 3, "logistic", padding=(1, 2)),
    MeanPool((2, 1), stride=1),
    5,
    3,
]


def test_there_and_back():
    net = mlp.MLP(ENTRIES, seed=0)
    described = [(kind_of(layer), json.loads(json.dumps(layer.describe()))) for layer in net.layers]
    assert [kind for kind, _ in described] == ["conv", "maxpool", "conv", "conv", "meanpool", "dense", "dense"]
    layers = [KINDS[kind].from_description(description, ACTIVATIONS) for kind, description in described]
    again = mlp.MLP(layers, seed=1)
    assert repr(again) == repr(net)
    assert [layer.describe() for layer in again.layers] == [layer.describe() for layer in net.layers]
    again.theta = net.theta
    X = np.random.default_rng(0).standard_normal((4, 144))
    np.testing.assert_array_equal(again.forward(X), net.forward(X))


def test_what_is_said():
    first, second, *_ = mlp.MLP(ENTRIES, seed=0).layers
    assert first.describe() == {
        "in_shape": [9, 8, 2],
        "maps": 3,
        "kernel": [3, 2],
        "stride": [1, 2],
        "padding": [0, 0],
        "activation": "tanh",
    }
    assert second.describe() == {"in_shape": [7, 4, 3], "size": [2, 2], "stride": [2, 2]}


def test_an_activation_of_ones_own_goes_by_its_name():
    class Sine:
        name = "sine"

        def value(self, z):
            return np.sin(z)

        def derivative(self, z):
            return np.cos(z)

    layer = mlp.MLP([(4, 4), Conv(1, 2, Sine()), 2], seed=0).layers[0]
    known = {**ACTIVATIONS, "sine": layer.activation}
    assert Conv.from_description(layer.describe(), known).activation is layer.activation
    with pytest.raises(ValueError, match=r"^activation: received 'sine'"):
        Conv.from_description(layer.describe(), ACTIVATIONS)


def test_a_subclass_goes_by_its_own_name():
    class Wide(Conv):
        pass

    assert kind_of(mlp.MLP([(4, 4), Wide(1, 2), 2], seed=0).layers[0]) == "Wide"


GOOD = {
    Dense: {"fan_in": 4, "units": 3, "activation": "relu"},
    Conv: {"in_shape": [6, 5, 2], "maps": 3, "kernel": [3, 3], "stride": [1, 1], "padding": [0, 0], "activation": "relu"},
    MaxPool: {"in_shape": [6, 5, 2], "size": [2, 2], "stride": [2, 2]},
    MeanPool: {"in_shape": [6, 5, 2], "size": [2, 2], "stride": [2, 2]},
}
WRONG = {
    "fan_in": [0, -1, 1.5, "4", [4], None, True, 1 << 62, 10**40],
    "units": [0, -3, 3.0, "3", [], {}, False, 1 << 31, 1 << 70],
    "maps": [0, -1, 2.5, "3", [3], None, True, 1 << 31, 1 << 62],
    "in_shape": [[], [6], [6, 5, 2, 1], [6, 0, 2], [6, -5, 2], [6, 5.0, 2], [[6], 5, 2], [6, 5, [2]], [6, None, 2], "652", 60,
                 None, {}, {"6": 5}, [True, 5, 2], [6, 5, 1 << 62], [1, 1, 1]],
    "kernel": [[], [3], [3, 3, 3], [0, 3], [3, -1], [3, 2.0], [[3, 3]], "33", 3, None, [7, 3], [3, 6], [3, 1 << 63]],
    "size": [[], [2], [2, 2, 2], [0, 2], [2, "2"], [[2, 2], 2], 2, "same", None, [7, 1], [1, 6], [1 << 61, 1]],
    "stride": [[], [1], [1, 1, 1], [0, 1], [1, -1], [1, 1.0], [[1], [1]], 1, "11", None, [1, 1 << 64]],
    "padding": [[], [0], [3, 0], [0, 3], [-1, 0], [0, [0]], 0, "sam", "", None, 1.5, [1 << 61, 0]],
    "activation": ["", "rlu", None, 7, ["relu"], {"relu": 1}, True],
}  # fmt: skip
CASES = [(kind, name, value) for kind, good in GOOD.items() for name in good for value in WRONG[name]]


@pytest.mark.parametrize("kind", GOOD)
def test_the_descriptions_are_good_that_are_damaged_below(kind):
    assert kind.from_description(GOOD[kind], ACTIVATIONS).describe() == GOOD[kind]


@pytest.mark.parametrize(("kind", "name", "value"), CASES, ids=lambda value: getattr(value, "__name__", repr(value)[:30]))
def test_damaged_descriptions_are_refused(kind, name, value):
    message = rf"^({kind.__name__}: )?{name}(\[\d\])?: received |^its input is .*(doesn't fit on it|takes an image)"
    with pytest.raises(ValueError, match=message):
        kind.from_description({**GOOD[kind], name: value}, ACTIVATIONS)


@pytest.mark.parametrize("kind", GOOD)
def test_names_too_few_too_many_and_others(kind):
    good = GOOD[kind]
    for name in good:
        fewer = {key: value for key, value in good.items() if key != name}
        for damaged in (fewer, {**fewer, name.upper(): good[name]}, {**good, "kind": "conv"}):
            with pytest.raises(ValueError, match=rf"^{kind.__name__}: described by .*, but it must be by {', '.join(good)}$"):
                kind.from_description(damaged, ACTIVATIONS)
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: described by nothing"):
        kind.from_description({}, ACTIVATIONS)


def test_sizes_beyond_memory_are_numbers_and_take_none():
    """The file's parameters are counted against them before any memory is taken."""
    tracemalloc.start()
    layer = Conv.from_description({**GOOD[Conv], "maps": MOST_UNITS, "in_shape": [1 << 50, 1 << 50, 1 << 27]}, ACTIVATIONS)
    dense = Dense.from_description({**GOOD[Dense], "fan_in": MOST_UNITS, "units": MOST_UNITS}, ACTIVATIONS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert layer.size == MOST_UNITS * (9 * (1 << 27) + 1)
    assert dense.size == MOST_UNITS * (MOST_UNITS + 1)
    assert peak < 100_000


def test_layers_that_contradict_each_other_make_no_network():
    conv = Conv.from_description(GOOD[Conv], ACTIVATIONS)  # leaves 4 × 3 × 3
    for kind in (MaxPool, MeanPool, Conv):
        above = kind.from_description(GOOD[kind], ACTIVATIONS)
        with pytest.raises(ValueError, match=r"^layers: layer 2, .*: its input is 4 × 3 × 3, but it takes 6 × 5 × 2$"):
            mlp.MLP([conv, above, 2])
    with pytest.raises(ValueError, match=r"^layers: layer 2, .*: its input is 4 × 3 × 3, but it takes 4$"):
        mlp.MLP([conv, Dense.from_description(GOOD[Dense], ACTIVATIONS)])
