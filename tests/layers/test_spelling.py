"""Layers as texts: what they mean, the way back, and what is refused."""

import pytest

import mlp
from mlp import Conv, Dense, MaxPool, MeanPool
from mlp.layers import format, parse

SPELT = {
    "500": [500],
    "512,256": [512, 256],
    "none": [],
    "conv:20:5,pool:2,conv:50:5,pool:2,500": [Conv(20, 5), MaxPool(2), Conv(50, 5), MaxPool(2), 500],
    "conv:50:5:stride=2:padding=same": [Conv(50, 5, stride=2, padding="same")],
    "conv:50:5x3:tanh:stride=2x1:padding=2x0": [Conv(50, (5, 3), "tanh", stride=(2, 1), padding=(2, 0))],
    "meanpool:2,10": [MeanPool(2), 10],
    "pool:3x2:stride=1": [MaxPool((3, 2), stride=1)],
}


@pytest.mark.parametrize("text", SPELT)
def test_there_and_back(text):
    entries = parse(text)
    assert repr(entries) == repr(SPELT[text])
    assert format(entries) == format(SPELT[text]) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("maxpool:2", "pool:2"),
        ("conv:maps=20:kernel=5", "conv:20:5"),
        ("conv:20:5:relu:1:0", "conv:20:5:relu"),
        ("conv:20:5:padding=valid", "conv:20:5"),
        ("conv:20:5x5:stride=2x2", "conv:20:5:stride=2"),
        ("pool:2:2", "pool:2"),
        (" conv:20:5 , 500 ", "conv:20:5,500"),
        ("conv:20:5:activation=logistic", "conv:20:5:logistic"),
    ],
)
def test_other_ways_to_say_it(text, written):
    assert format(parse(text)) == written
    assert repr(parse(text)) == repr(parse(written))


def test_what_is_parsed_makes_a_network():
    net = mlp.MLP([(28, 28), *parse("conv:20:5,pool:2,conv:50:5,pool:2,500"), 10], seed=0)
    assert net.theta.size == 431_080
    assert net.sizes == [784, 11520, 2880, 3200, 800, 500, 10]
    assert format(net.layers[:4]) == "conv:20:5:relu,pool:2,conv:50:5:relu,pool:2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "hidden: received '' (str), but it must be a size such as 500, or a layer such as conv:20:5, pool:2 or meanpool:2",
        ),
        ("500,,10", "hidden: received '' (str), but it must be a size such as 500"),
        ("5O0", "hidden: received '5O0' (str), but it must be a size such as 500"),
        ("2.5", "hidden: received '2.5' (str), but it must be a size such as 500"),
        ("0", "hidden: received 0 (int), but it must be an integer of at least 1"),
        ("-5", "hidden: received -5 (int), but it must be an integer of at least 1"),
        ("9" * 5000, "but it must be a number of fewer digits"),
        (
            "conf:20:5",
            "hidden: received 'conf' (str), but it must be one of conv, pool, maxpool, meanpool; did you mean 'conv'?",
        ),
        ("conv", "hidden: received 'conv' (str), but conv needs its maps: conv:20:5"),
        ("conv:20", "hidden: received 'conv:20' (str), but conv needs its kernel: conv:20:5"),
        ("meanpool", "hidden: received 'meanpool' (str), but meanpool needs its size: meanpool:2"),
        ("conv:20:five", "hidden conv kernel: received 'five' (str), but it must be an integer or 5x3"),
        ("conv:20:5x", "hidden conv kernel: received '5x' (str), but it must be an integer or 5x3"),
        ("conv:20:5x5x5", "hidden conv kernel: received '5x5x5' (str)"),
        ("conv:2.5:5", "hidden conv maps: received '2.5' (str), but it must be an integer"),
        ("conv:20:0", "hidden conv kernel: received 0 (int), but it must be an integer of at least 1"),
        ("conv:20:5x-1", "hidden conv kernel[1]: received -1 (int), but it must be an integer of at least 1"),
        ("conv:20:5:sigmoid", "hidden conv activation: received 'sigmoid' (str), but it must be one of identity, relu"),
        ("conv:20:5:strid=2", "hidden conv: received 'strid' (str), but it must be one of maps, kernel, activation, stride"),
        ("conv:20:5:stride=0", "hidden conv stride: received 0 (int)"),
        ("conv:20:5:padding=some", "hidden conv padding: received 'some' (str), but it must be an integer, a pair of them"),
        ("conv:20:5:relu:1:0:7", "hidden: received 'conv:20:5:relu:1:0:7' (str), but conv takes maps, kernel, activation"),
        ("conv:20:5:kernel=3", "hidden: received 'kernel' twice in 'conv:20:5:kernel=3' (str), but once is enough"),
        ("pool:2:padding=1", "hidden pool: received 'padding' (str), but it must be one of size, stride"),
        ("conv:3x3:5", "hidden conv maps: received '3x3' (str), but it must be an integer"),
    ],
)
def test_texts_that_mean_nothing_are_refused(refused, text, message):
    with refused(ValueError, message):
        parse(text, "hidden")


@pytest.mark.parametrize("entry", [Dense(3, 2), Conv(2, 3, init="he_normal"), mlp.Layer()], ids=["dense", "init", "layer"])
def test_layers_without_a_text(refused, entry):
    with refused(ValueError, "layers[1]: received ", "but only sizes, Conv, MaxPool and MeanPool are written as texts"):
        format([5, entry])


class Own(Conv):
    """A kind of one's own."""


def test_what_parse_could_not_make_again_is_refused(refused):
    class Sine:
        name = "sine"

        def value(self, z):
            return z

        def derivative(self, z):
            return z

    for entry in (Own(2, 3), Conv(2, 3, Sine())):
        with refused(ValueError, "layers[0]: received "):
            format([entry])
    with refused(ValueError, "layers[0]: received 0 (int)"):
        format([0])
