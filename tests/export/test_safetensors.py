"""Files of tensors, against PyTorch and against the network that went in."""

import json

import numpy as np
import pytest

import mlp

safetensors = pytest.importorskip("safetensors")
safetensors_numpy = pytest.importorskip("safetensors.numpy")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def open_file(path):
    """The metadata and the tensors."""
    with safetensors.safe_open(path, "numpy") as file:
        return file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (it is no dictionary)


def test_pytorch_computes_the_same(net, path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    mlp.save(path, net)
    sequential = eval(open_file(path)[0]["sequential"], {"torch": torch})
    sequential.load_state_dict(load_file(path), strict=True)
    X = np.random.default_rng(2).normal(size=(30, net.sizes[0])).astype(np.float32)
    own = net.forward(X)
    if "Conv" in repr(net) or "Pool" in repr(net):  # then it takes images as PyTorch has them
        X = np.ascontiguousarray(X.reshape(30, *(*net.in_shape, 1)[:3]).transpose(0, 3, 1, 2))
    given = sequential(torch.from_numpy(X)).detach().numpy()
    shape = net.layers[-1].out_shape
    if len(shape) == 3:
        given = given.reshape(30, shape[2], *shape[:2]).transpose(0, 2, 3, 1).reshape(30, -1)
    np.testing.assert_allclose(given, own, rtol=1e-5, atol=1e-5)


def test_pytorch_takes_a_trained_network(trained, digits, path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    mlp.save(path, trained)
    sequential = eval(open_file(path)[0]["sequential"], {"torch": torch})
    sequential.load_state_dict(load_file(path))
    images = torch.from_numpy(digits.astype(np.float32) / 255)
    given = sequential(images.reshape(-1, 1, 28, 28) if len(trained.in_shape) == 2 else images).detach().numpy()
    np.testing.assert_allclose(given, trained.forward(digits), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_load_makes_the_same_network_again(net, path, dtype):
    net = net.astype(dtype)
    mlp.save(path, net, notes={"epoch": 3})
    again = mlp.load(path)
    assert repr(again) == repr(net)
    assert again.theta.tobytes() == net.theta.tobytes()
    assert mlp.checkpoint.load_notes(path) == {"epoch": 3}


def test_tensors_lie_as_pytorch_orders_them(path):
    net = mlp.MLP([(2, 2, 2), mlp.Conv(1, (1, 2)), 1], output="identity", seed=0)
    # One filter over (columns, channels), on two places, one above the other, then a dense layer over them.
    net.theta = [1, 2, 3, 4, 0.5, 7, 8, 0.25]
    mlp.save(path, net)
    metadata, tensors = open_file(path)
    assert tensors["0.weight"].tolist() == [[[[1, 3]], [[2, 4]]]]  # (maps, channels, rows, columns)
    assert (tensors["0.bias"].tolist(), tensors["3.weight"].tolist(), tensors["3.bias"].tolist()) == ([0.5], [[7, 8]], [0.25])
    assert metadata["sequential"] == (
        "torch.nn.Sequential(torch.nn.Conv2d(2, 1, (1, 2), stride=(1, 1), padding=(0, 0)), torch.nn.ReLU(), "
        "torch.nn.Flatten(), torch.nn.Linear(2, 1))"
    )


def test_columns_above_maps_go_map_by_map(path):
    net = mlp.MLP([(1, 3), mlp.Conv(2, (1, 2)), 1], output="identity", seed=0)  # two places of two maps
    net.theta = [0, 0, 0, 0, 0, 0, 11, 12, 21, 22, 0]  # place 1: maps 1 and 2; place 2: maps 1 and 2
    mlp.save(path, net)
    assert open_file(path)[1]["3.weight"].tolist() == [[11, 21, 12, 22]]


def test_threshold_has_no_module(path, refused):
    with refused(ValueError, "net.layers[0]: has the activation 'threshold', but PyTorch can express identity, relu, "):
        mlp.save(path, mlp.MLP([3, 2, 2], hidden="threshold"))
    assert not path.exists()


# Damaged files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, tensors: tensors.pop("0.bias"), "it holds 6 parameters, but its layers have 8"),
        (
            lambda _, tensors: tensors.update({"0.bias": np.zeros(2)}),
            "0.bias is (2,) of float64, but it must be (2,) of float32",
        ),
        (
            lambda _, tensors: tensors.update({"1.bias": tensors.pop("0.bias")}),
            "it holds 0.weight, 1.bias, but its layers have ",
        ),
        (
            lambda _, tensors: tensors.update({"0.weight": np.zeros((3, 2), "f4")}),
            "0.weight is (3, 2) of float32, but it must be",
        ),
        (lambda header, _: header.update(version=2), "is not of version 1"),
        (lambda header, _: header.pop("format"), "is not of version 1"),
        (lambda header, _: header.update(dtype="int8"), "its header lacks the dtype, the layers or the notes"),
        (lambda header, _: header["layers"][0].update(units=1 << 31), "units: received 2147483648 (int)"),
    ],
)
def test_contradictory_files_are_refused(path, refused, change, message):
    mlp.save(path, mlp.MLP([3, 2], seed=0))
    metadata, tensors = open_file(path)
    header = json.loads(metadata["mlp-model"])
    change(header, tensors)
    path.write_bytes(safetensors_numpy.save(tensors, {"mlp-model": json.dumps(header)}))
    with refused(ValueError, f"{path}: ", message):
        mlp.load(path)


def test_damaged_files_are_refused(path, refused):
    mlp.save(path, mlp.MLP([3, 2], seed=0))
    content = path.read_bytes()
    for damaged in (b"", content[:7], content[:-1], b"\xff" * 8 + content[8:], content[:12] + b"\xff" + content[13:]):
        path.write_bytes(damaged)
        with refused(ValueError, f"{path}: not a model, or damaged: "):
            mlp.load(path)
    path.write_bytes(safetensors_numpy.save({"0.weight": np.zeros((2, 3), "f4")}))
    with refused(ValueError, f"{path}: not a model, or damaged: its metadata hold no 'mlp-model'"):
        mlp.load(path)
    for header in ("[1]", "[" * 100_000, "{"):
        path.write_bytes(safetensors_numpy.save({"0.weight": np.zeros((2, 3), "f4")}, {"mlp-model": header}))
        with refused(ValueError, f"{path}: not a model, or damaged: "):
            mlp.load(path)
