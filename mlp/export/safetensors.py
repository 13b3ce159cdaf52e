"""Networks as safetensors, which `torch.nn.Sequential` takes as they are: `encode` and `read`, which face each other.

Keys are "0.weight", "0.bias", …, by the place of the layer's module in a Sequential, which the file's metadata spell out:

    with safetensors.safe_open("model.safetensors", "pt") as file:
        net = eval(file.metadata()["sequential"])     # torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), …)
    net.load_state_dict(safetensors.torch.load_file("model.safetensors"))

Kernels are in PyTorch's order, (maps, channels, height, width). A Sequential that begins with convolution or pooling takes
images (n, channels, height, width), where `MLP.forward` takes rows with channels last; others take the same rows. PyTorch
flattens maps channel by channel: the columns of a dense layer above maps are put in that order, as are outputs that are maps.

The metadata also hold the "mlp-model", the header of a model file (see checkpoint/models.py), from which `mlp.load` makes the
same network again.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from mlp import activations as σ
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checkpoint.files import VERSION, open_regular
from mlp.checkpoint.models import FORMAT, check_header, describe_model, restore_model
from mlp.export.agreement import Answers
from mlp.export.parts import look_up
from mlp.export.samples import Samples
from mlp.network import MLP

METADATA = "mlp-model"

# Modules: how torch.nn spells what a layer computes


def _list_dense(layer: Any) -> list[str]:
    return [f"Linear({layer.fan_in}, {layer.units})"]


def _list_conv(layer: Any) -> list[str]:
    of = layer.windows
    (top, bottom), (left, right) = of.padding
    even = top == bottom and left == right
    conv = f"Conv2d({of.image[2]}, {layer.maps}, {of.size}, stride={of.stride}"
    if even:
        return [f"{conv}, padding={(top, left)})"]
    return [f"ZeroPad2d({(left, right, top, bottom)})", f"{conv})"]


def _pool(module: str) -> Callable[[Any], list[str]]:
    return lambda layer: [f"{module}({layer.windows.size}, {layer.windows.stride})"]


#: The modules of a kind of layer, up to its Z; the last of them has the parameters.
LAYERS: dict[str, Callable[[Any], list[str]]] = {
    "dense": _list_dense,
    "conv": _list_conv,
    "maxpool": _pool("MaxPool2d"),
    "meanpool": _pool("AvgPool2d"),
}

#: PyTorch has no module for eᶻ: one is made where it is used.
_EXPONENTIAL = "type('Exp', (torch.nn.Module,), {'forward': lambda self, z: z.exp()})()"

#: The module of a class of activations; identity needs none.
ACTIVATIONS: dict[type[Activation], Callable[[Any], str]] = {
    σ.Identity: lambda _: "",
    σ.ReLU: lambda _: "ReLU()",
    σ.Softplus: lambda _: "Softplus()",
    σ.Logistic: lambda _: "Sigmoid()",
    σ.Tanh: lambda _: "Tanh()",
    σ.Softmax: lambda _: "Softmax(1)",
    σ.LeakyReLU: lambda σ: f"LeakyReLU({σ.slope!r})",
    σ.ELU: lambda σ: f"ELU({σ.alpha!r})",
    σ.GELU: lambda _: "GELU()",
    σ.SiLU: lambda _: "SiLU()",
    σ.Exponential: lambda _: _EXPONENTIAL,
}


def list_modules(net: MLP) -> tuple[list[str], list[int]]:
    """The modules of a Sequential that computes what the network does, and which of them each layer's parameters are in.

    Raises:
        ValueError: PyTorch has no module for a layer or for an activation.
    """
    modules: list[str] = []
    places: list[int] = []
    for number, layer in enumerate(net.layers):
        list_layer, show_activation = look_up(net, number, LAYERS, ACTIVATIONS, "PyTorch")
        if number and len(layer.in_shape) == 1 and len(net.layers[number - 1].out_shape) > 1:
            modules.append("Flatten()")
        modules += list_layer(layer)
        places.append(len(modules) - 1)
        if layer is net.layers[-1] and len(layer.out_shape) > 1:
            modules.append("Flatten()")
        modules += filter(None, [show_activation(layer.activation)])
    return modules, places


def _in_full(module: str) -> str:
    """A module as an expression in which `torch` is known."""
    return module if module == _EXPONENTIAL else f"torch.nn.{module}"


# Tensors


def _list_tensors(net: MLP) -> Iterator[tuple[str, tuple[int, ...], Array]]:
    """The tensors of a file: key, shape, and a view of the network's own parameters in that order, of as many numbers."""
    below: tuple[int, ...] = ()
    for place, layer in zip(list_modules(net)[1], net.layers, strict=True):
        if layer.size:
            weight = _ordered(layer, below)
            yield f"{place}.weight", weight.shape if len(layer.in_shape) > 1 else layer.W.shape, weight
            yield f"{place}.bias", layer.b.shape, layer.b
        below = layer.out_shape


def _ordered(layer: Any, below: tuple[int, ...]) -> Array:
    """A layer's W, with channels (or, above maps of the shape `below`, these) before rows and columns: a view."""
    W: Array = layer.W
    if len(layer.in_shape) > 1:
        return W.reshape(len(W), *layer.windows.size, -1).transpose(0, 3, 1, 2)
    return W.reshape(len(W), *below).transpose(0, 3, 1, 2) if len(below) > 1 else W


def encode(net: MLP, name: str, notes: Any = None) -> bytes:  # noqa: ARG001  (a file of tensors has no name)
    """The network as a safetensors file; ValueError names a layer or activation that PyTorch doesn't have."""
    modules, _ = list_modules(net)
    metadata = {
        "format": "pt",
        "sequential": f"torch.nn.Sequential({', '.join(map(_in_full, modules))})",
        METADATA: json.dumps(describe_model(net, notes)),
    }
    # Contiguous copies: of other strides the library takes no notice.
    tensors = {key: np.ascontiguousarray(view).reshape(shape) for key, shape, view in _list_tensors(net)}
    return safetensors.numpy.save(tensors, metadata)


# Reading back


def read(path: Path) -> tuple[dict[str, Any], int, Callable[[MLP], None]]:
    """The header of the model in a file, how many parameters it has, and what puts them into a network.

    Raises:
        ValueError: it is no such file, or damaged, or one without a description of a network.
    """
    with open_regular(path) as stream:
        content = stream.read()
    try:
        header, tensors = _decode(content)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: not a model, or damaged: {error}") from error
    check_header(path, header)

    def fill(net: MLP) -> None:
        _fill(net, tensors)

    return header, sum(tensor.size for tensor in tensors.values()), fill


def _decode(content: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the tensors in a file. The library checks sizes and places against the file's length."""
    tensors = safetensors.numpy.load(content)
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    if METADATA not in metadata:
        raise ValueError(f"its metadata hold no {METADATA!r}, from which a network could be made")
    header = json.loads(metadata[METADATA])
    if not isinstance(header, dict) or (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        raise ValueError(f"its {METADATA!r} is not of version {VERSION}, which this version of mlp reads")
    return header, tensors


def _fill(net: MLP, tensors: Mapping[str, Array]) -> None:
    """Put the tensors of a file into the network that its description made."""
    wanted = {key: (shape, view) for key, shape, view in _list_tensors(net)}
    if tensors.keys() != wanted.keys():
        raise ValueError(f"it holds {', '.join(sorted(tensors))}, but its layers have {', '.join(sorted(wanted))}")
    for key, (shape, view) in wanted.items():
        tensor = tensors[key]
        if tensor.shape != shape or tensor.dtype != net.dtype:
            raise ValueError(f"{key} is {tensor.shape} of {tensor.dtype}, but it must be {shape} of {net.dtype}")
        view[...] = tensor.reshape(view.shape)


def answer(content: bytes, net: MLP, samples: Samples) -> Answers:
    """What the network in a file makes of examples, once `mlp.load` has made it."""
    header, tensors = _decode(content)
    copy = restore_model(header, net.theta.size)
    _fill(copy, tensors)
    if not np.array_equal(copy.theta, net.theta, equal_nan=True):
        raise ValueError("net: not written: read back, its parameters are not the same")
    return Answers(copy.forward(samples.X).astype(np.float64) * samples.factor + samples.offset, None, "mlp.load")
