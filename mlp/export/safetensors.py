"""Networks as safetensors, whose tensors `torch.nn.Sequential` takes as they are: `encode` and `read`, which face each other.

Keys are "0.weight", "0.bias", …, by the place of the layer's module in a Sequential, which the file's metadata spell out:

    with safetensors.safe_open("model.safetensors", "pt") as file:
        net = eval(file.metadata()["sequential"])     # torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), …)
    net.load_state_dict(safetensors.torch.load_file("model.safetensors"))

Kernels are in PyTorch's order, (maps, channels, height, width). A Sequential that begins with convolution or pooling takes images
(n, channels, height, width), where `MLP.forward` takes rows with channels last; others take the same rows. PyTorch flattens maps
channel by channel, and so the columns of a dense layer above maps are put in that order, as are outputs that are maps.

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
from mlp.checkpoint.files import open_regular
from mlp.checkpoint.models import describe_model, restore_model
from mlp.export.agreement import Answers
from mlp.layers import Layer, kind_of
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

#: The module of a class of activations; identity needs none.
ACTIVATIONS: dict[type[Activation], Callable[[Any], str]] = {
    σ.Identity: lambda activation: "",
    σ.ReLU: lambda activation: "ReLU()",
    σ.Softplus: lambda activation: "Softplus()",
    σ.Logistic: lambda activation: "Sigmoid()",
    σ.Tanh: lambda activation: "Tanh()",
    σ.Softmax: lambda activation: "Softmax(1)",
}


def list_modules(net: MLP) -> tuple[list[str], list[int]]:
    """The modules of a Sequential that computes what the network does, and which of them each layer's parameters are in.

    Raises:
        ValueError: PyTorch has no module for a layer or for an activation.
    """
    modules: list[str] = []
    places: list[int] = []
    for number, layer in enumerate(net.layers):
        kind, activation = kind_of(layer), layer.activation
        if kind not in LAYERS:
            raise ValueError(f"net.layers[{number}]: is a {kind}, but PyTorch has modules for {', '.join(LAYERS)} alone")
        if type(activation) not in ACTIVATIONS:
            known = ", ".join(one.name for one in ACTIVATIONS)
            raise ValueError(
                f"net.layers[{number}]: has the activation {activation.name!r}, but what PyTorch has modules for is {known}"
            )
        if number and kind == "dense" and len(net.layers[number - 1].out_shape) > 1:
            modules.append("Flatten()")
        modules += LAYERS[kind](layer)
        places.append(len(modules) - 1)
        if layer is net.layers[-1] and len(layer.out_shape) > 1:
            modules.append("Flatten()")
        modules += filter(None, [ACTIVATIONS[type(activation)](activation)])
    return modules, places


# Tensors


def _list_tensors(net: MLP) -> Iterator[tuple[str, Array]]:
    """The keys, and each parameter as PyTorch orders it: a view, if need be with its axes moved, of the network's own."""
    below: tuple[int, ...] = ()
    for place, layer in zip(list_modules(net)[1], net.layers, strict=True):
        if layer.size:
            yield f"{place}.weight", _ordered(layer, below)
            yield f"{place}.bias", layer.b
        below = layer.out_shape


def _ordered(layer: Layer, below: tuple[int, ...]) -> Array:
    """A layer's W with channels (maps) before rows and columns, over a layer with outputs of that shape: a view."""
    W: Array = layer.W
    if len(layer.in_shape) > 1:
        height, width = layer.windows.size
        return W.reshape(len(W), height, width, -1).transpose(0, 3, 1, 2)
    if len(below) > 1:
        return W.reshape(len(W), *below).transpose(0, 3, 1, 2)
    return W


def _shape(key: str, tensor: Array, place: str) -> tuple[int, ...]:
    """The shape in the file: a dense layer's columns are one axis there."""
    return tensor.shape


def encode(net: MLP, name: str, notes: Any = None) -> bytes:  # noqa: ARG001  (a file of tensors has no name)
    """The network as a safetensors file; ValueError names a layer or activation that PyTorch doesn't have."""
    modules, _ = list_modules(net)
    header = describe_model(net, notes)
    metadata = {
        "format": "pt",
        "sequential": f"torch.nn.Sequential({', '.join(f'torch.nn.{module}' for module in modules)})",
        METADATA: json.dumps(header),
    }
    return safetensors.numpy.save(dict(_list_tensors(net)), metadata)
