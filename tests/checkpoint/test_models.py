"""Model files: read and written as described, round trips, activations and layers of one's own, layers that cannot be."""

import copy
import json
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import mlp
from mlp import MLP, Dense
from mlp.checkpoint import load, load_notes, save

DTYPES = ("float32", "float64")


class Cube:
    """An activation of one's own."""

    name = "cube"

    def value(self, z):
        return z**3

    def derivative(self, z):
        return 3 * z**2


class Masked(Dense):
    """A layer of one's own: some of its inputs are never looked at, whatever W says."""

    def __init__(self, fan_in, units, activation="identity", hidden=()):
        super().__init__(fan_in, units, activation)
        self.hidden = list(hidden)

    def forward(self, A, out, scratch):
        A = A.copy()
        A[self.hidden] = 0
        super().forward(A, out, scratch)

    def describe(self):
        return {**super().describe(), "hidden": self.hidden}

    @classmethod
    def from_description(cls, description, activations):
        if max(description["hidden"]) >= description["fan_in"]:
            raise ValueError("more is hidden than there is")
        activation = activations[description["activation"]]
        return cls(description["fan_in"], description["units"], activation, description["hidden"])


def small_net(dtype="float32", seed=0):
    return MLP([4, 3, 2], hidden="tanh", init="he_normal", dtype=dtype, seed=seed)


def same(net, other):
    return (
        net.dtype == other.dtype
        and net.theta.tobytes() == other.theta.tobytes()
        and [(layer.fan_in, layer.units, layer.activation.name) for layer in net.layers]
        == [(layer.fan_in, layer.units, layer.activation.name) for layer in other.layers]
    )


# The format, by hand


def test_a_file_made_by_hand_is_read(path, hand_made):
    net = load(hand_made(path))
    assert net.dtype == np.float32
    assert net.sizes == [2, 3, 1]
    assert [layer.activation.name for layer in net.layers] == ["relu", "identity"]
    assert net.layers[0].W.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert net.layers[0].b.tolist() == [0.5, -0.5, 0.25]
    assert net.layers[1].W.tolist() == [[7, 8, 9]]
    assert net.layers[1].b.tolist() == [-1]
    # W¹(1, −1) + b¹ = (−0.5, −1.5, −0.75): no unit fires, and y = b² = −1
    # W¹(1, 1) + b¹ = (3.5, 6.5, 11.25): y = 24.5 + 52 + 101.25 − 1
    assert net.forward([[1.0, -1.0], [1.0, 1.0]]).tolist() == [[-1], [176.75]]
    assert load_notes(path) == {"made": "by hand"}


def test_a_file_from_a_big_endian_machine_is_read(path, hand_made):
    net = load(hand_made(path, theta=(">f4", (13,), struct.pack(">13f", *hand_made.theta))))
    assert net.theta.tolist() == hand_made.theta
    assert net.theta.dtype.isnative


def test_a_saved_file_is_as_described(path, hand_made):
    net = MLP([2, 3, 1], output="identity", dtype="float32", seed=0)
    net.theta[...] = hand_made.theta
    save(path, net, notes={"made": "by hand"})
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["header.npy", "theta.npy"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        header, theta = archive.read("header.npy"), archive.read("theta.npy")
    assert header[:6] == theta[:6] == b"\x93NUMPY"
    assert json.loads(header[10 + int.from_bytes(header[8:10], "little") :]) == hand_made.header
    assert struct.unpack("<13f", theta[10 + int.from_bytes(theta[8:10], "little") :]) == tuple(hand_made.theta)
    with np.load(path) as archive:
        assert archive["theta"].tolist() == hand_made.theta


# Round trips


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[1, 1], [4, 3], [3, 4, 5, 6, 2], [700, 500, 2]])
def test_what_was_saved_is_loaded(path, dtype, sizes):
    net = MLP(sizes, hidden="softplus", output="logistic", init="he_normal", dtype=dtype, seed=1)
    net.theta += np.random.default_rng(2).standard_normal(net.theta.size).astype(dtype)  # biases as well
    X = np.random.default_rng(3).standard_normal((6, sizes[0]))
    before = net.theta.copy()
    mlp.save(path, net)
    loaded = mlp.load(path)
    assert same(net, loaded)
    assert net.theta.tobytes() == before.tobytes()
    assert net.forward(X).tobytes() == loaded.forward(X).tobytes()
    loaded.theta[...] = 1  # the windows are on the loaded network's own vector
    assert loaded.layers[0].W[0, 0] == loaded.layers[-1].b[-1] == 1
    assert net.theta.tobytes() == before.tobytes()


def test_every_built_in_activation_comes_back(path):
    names = ["identity", "relu", "softplus", "threshold", "logistic", "tanh", "softmax"]
    save(str(path), MLP([Dense(2, 2, name) for name in names], seed=0))
    assert [layer.activation.name for layer in load(str(path)).layers] == names


@pytest.mark.parametrize("dtype", DTYPES)
def test_unusual_numbers_come_back_bit_by_bit(path, dtype):
    net = small_net(dtype)
    limits = np.finfo(dtype)
    net.theta[:5] = [-0.0, limits.smallest_subnormal, limits.max, -limits.tiny, limits.eps]
    save(path, net)
    assert load(path).theta.tobytes() == net.theta.tobytes()


@pytest.mark.parametrize("notes", [None, 0, "δ", [1, [2.5, None]], {"seed": 3, "lists": {"a": [True, False]}}, 10**400])
def test_notes_come_back(path, notes):
    save(path, small_net(), notes)
    assert load_notes(path) == notes


@pytest.mark.parametrize("notes", [{1, 2}, object(), b"bytes", {"array": np.zeros(3)}, {(1, 2): 3}])
def test_notes_that_json_cannot_hold(path, notes, refused):
    path.write_bytes(b"as it was")
    with refused(TypeError, "notes: received", "JSON"):
        save(path, small_net(), notes)
    assert path.read_bytes() == b"as it was"
    assert os.listdir(path.parent) == [path.name]


def test_notes_beyond_the_headers_limit_are_not_saved(path, refused):
    save(path, small_net(), "x" * (1 << 23))  # 8 MB are allowed
    assert load_notes(path) == "x" * (1 << 23)
    with refused(ValueError, "notes"):  # load would refuse them
        save(path, small_net(), "x" * (1 << 24))
    assert load_notes(path) == "x" * (1 << 23)


def test_a_copied_network_is_saved(path):
    net = copy.deepcopy(small_net())  # its activations are copies too
    save(path, net)
    assert same(load(path), net)


@pytest.mark.parametrize("net", [None, "model", np.zeros(3), [4, 3, 2]])
def test_only_networks_are_saved(path, net, refused):
    with refused(TypeError, f"net: received {net!r}"[:20], type(net).__name__, "must be an MLP"):
        save(path, net)
    assert not path.exists()


def test_loading_leaves_randomness_alone(path):
    save(path, small_net())
    before = np.random.get_state()[1].tolist()  # noqa: NPY002  (it is what must not be used)
    load(path)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


# Activations and layers of one's own


def test_an_activation_of_ones_own(path, refused):
    net = MLP([4, 3, 2], hidden=Cube(), output="identity", dtype="float64", seed=0)
    save(path, net)
    with refused(ValueError, path, "'cube'", "none of identity, relu", "activations={'cube': …}"):
        load(path)
    loaded = load(path, activations={"cube": Cube()})
    assert same(net, loaded)
    X = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_array_equal(loaded.forward(X), net.forward(X))
    with refused(ValueError, path, "'cube'", "none of", "other"):
        load(path, activations={"other": Cube()})


def test_an_activation_of_ones_own_that_is_called_like_a_built_in_one(path, refused):
    # the file would say "relu", and be loaded with another function than the one that was trained
    cube = Cube()
    cube.name = "relu"
    with refused(ValueError, "'relu'"):
        save(path, MLP([4, 3, 2], hidden=cube, output="identity", seed=0))
    assert not path.exists()


@pytest.mark.parametrize("argument", ["activations", "layers"])
@pytest.mark.parametrize("given", [5, [Cube()], {3: Cube()}])
def test_what_is_no_dictionary_of_ones_own(path, argument, given, refused):
    save(path, small_net())
    with refused(TypeError, f"{argument}: received ", f"must be a dictionary of {argument} by name"):
        load(path, **{argument: given})


def test_what_is_no_activation_of_ones_own_is_not_blamed_on_the_file(path, refused):
    save(path, MLP([4, 3, 2], hidden=Cube(), output="identity", seed=0))
    with refused(TypeError, "activations['cube']: received 5 (int)"):
        load(path, activations={"cube": 5})


def test_a_layer_of_ones_own(path, refused):
    net = MLP([Masked(4, 3, "tanh", hidden=[1, 2]), Dense(3, 2, "softmax")], seed=0)
    save(path, net)
    with refused(ValueError, path, "a layer of the kind 'Masked', which is none of dense", "layers={'Masked': …}"):
        load(path)
    loaded = load(path, layers={"Masked": Masked})
    assert type(loaded.layers[0]) is Masked
    X = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_array_equal(loaded.forward(X), net.forward(X))


def test_a_layer_that_refuses_its_description_is_named_with_the_file(path, refused):
    save(path, MLP([Masked(4, 3, "tanh", hidden=[7]), Dense(3, 2, "softmax")], seed=0))
    with refused(ValueError, path, "more is hidden than there is"):
        load(path, layers={"Masked": Masked})


def test_a_layer_that_is_made_otherwise_but_described_as_dense_is_not_saved(path, refused):
    class Unsaid(Dense):
        def __init__(self, fan_in, units, gain=2.0):
            super().__init__(fan_in, units, "tanh")
            self.gain = gain

    with refused(TypeError, "net.layers[0]: is a Unsaid", "describe()"):
        save(path, MLP([Unsaid(4, 3), Dense(3, 2, "softmax")], seed=0))
    assert not path.exists()


# Headers and parameters that make no network


@pytest.mark.parametrize(
    ("theta", "said"),
    [
        (("<f8", (13,), bytes(104)), ["float64", "header says float32"]),
        (("|u1", (13,), bytes(13)), ["uint8", "header says float32"]),
        (("<f2", (13,), bytes(26)), ["<f2", "must be that of a vector"]),
        (("<f4", (1, 13), bytes(52)), ["(1, 13)", "must be that of a vector"]),
        (("<f4", (12,), bytes(48)), ["12 parameters", "its layers have 13"]),
        (("<f4", (14,), bytes(56)), ["14 parameters", "its layers have 13"]),
    ],
)
def test_parameters_that_do_not_fit(path, theta, said, hand_made, refused):
    hand_made(path, theta=theta)
    with refused(ValueError, path, *said):
        load(path)


def test_a_model_holds_theta_alone(path, hand_made, refused):
    hand_made(path, velocity=("<f4", (13,), bytes(52)))
    with refused(ValueError, path, "it holds theta, velocity, but a model holds theta alone"):
        load(path)


@pytest.mark.parametrize("dtype", ["float16", "", None, 32, ["float32"], {"float32": 1}])
def test_other_dtypes(path, dtype, hand_made, refused):
    hand_made(path, header=hand_made.header | {"dtype": dtype})
    with refused(ValueError, path, "dtype"):
        load(path)


@pytest.mark.parametrize("missing", ["format", "version", "dtype", "layers", "notes"])
def test_a_header_without_one_of_its_parts(path, missing, hand_made, refused):
    hand_made(path, header={key: value for key, value in hand_made.header.items() if key != missing})
    with refused(ValueError, f"{path}: not a model", missing):
        load(path)


FIRST, SECOND = {"fan_in": 2, "units": 3, "activation": "relu"}, {"fan_in": 3, "units": 1, "activation": "identity"}


@pytest.mark.parametrize(
    "layers",
    [
        None,
        "relu",
        {},
        [],
        [[2, 3, "relu"], SECOND],
        [None, SECOND],
        [{"fan_in": 2, "units": 3}, SECOND],
        [FIRST | {"init": "zeros"}, SECOND],
        [FIRST | {"kind": 3}, SECOND],
        [FIRST | {"kind": "Dense"}, SECOND],
        *([FIRST | {"fan_in": value}, SECOND] for value in ("2", 2.0, True, None, 0, -2, 2**64, 10**4_000)),
        *([FIRST | {"activation": value}, SECOND] for value in (None, 3, ["relu"], {"name": "relu"}, "ReLU")),
        [FIRST | {"activation": "softmax"}, SECOND],  # at the output only
        [FIRST, SECOND | {"activation": "softmax"}],  # over a single unit
        [FIRST, SECOND | {"fan_in": 4}],  # on three units
        [FIRST],
        [SECOND, FIRST],
        [{"fan_in": 1, "units": 1, "activation": "relu"}] * 20_000,
    ],
    ids=range(29),
)
def test_layers_that_cannot_be(path, layers, hand_made, refused):
    hand_made(path, header=hand_made.header | {"layers": layers})
    with refused(ValueError, f"{path}: not a model"):
        load(path)


def test_layers_that_do_not_fit_on_each_other_though_the_count_is_right(path, hand_made, refused):
    # 2·3 + 3 = 9 and 1·2 + 2 = 4 make 13 parameters
    layers = [FIRST, {"fan_in": 1, "units": 2, "activation": "identity"}]
    hand_made(path, header=hand_made.header | {"layers": layers})
    with refused(ValueError, path, "layer 2, Dense(1, 2, 'identity'): its input is 3, but it takes 1"):
        load(path)


@pytest.mark.parametrize(("fan_in", "units"), [(3_000, 3_000), (10**9, 10**9)])
def test_sizes_that_are_not_those_of_the_parameters_take_no_memory(path, fan_in, units, hand_made, refused):
    layers = [{"fan_in": fan_in, "units": units, "activation": "relu"}, SECOND | {"fan_in": units}]
    hand_made(path, header=hand_made.header | {"layers": layers})
    tracemalloc.start()
    try:
        with refused(ValueError, path, "13 parameters", f"{units * fan_in + units + units + 1:,}"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("fan_in", "units"), [(10**18, 1), (1, 10**18), (2**32, 2**32), (10**400, 1)])
def test_absurd_sizes_are_refused_by_name(path, fan_in, units, hand_made, refused):
    layers = [{"fan_in": fan_in, "units": units, "activation": "relu"}, SECOND | {"fan_in": units}]
    hand_made(path, header=hand_made.header | {"layers": layers})
    with refused(ValueError, path, "not a model"):
        load(path)
