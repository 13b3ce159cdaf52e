"""ONNX graphs in the making: `Graph`, and how each kind of layer and each activation is written with ONNX's operators.

Between convolutions and pools an image lies as ONNX wants it, (n, channels, height, width). Its order is brought back before a
dense layer, so that W stays as it lies.

Read `Graph`, then the two tables, `LAYERS` and `ACTIVATIONS`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from mlp import activations as σ
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import converted


@dataclass
class Graph:
    """A graph in the making. `take` and `add` return the name of what comes in there or is computed."""

    inputs: list[Any] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    scope: str = ""
    taken: set[str] = field(default_factory=set)

    def take(self, name: str, type: int, *shape: int) -> str:
        """An input of n examples, each of that shape."""
        self.inputs.append(helper.make_tensor_value_info(name, type, ["n", *shape]))
        self.taken.add(name)
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = self._free(operator)
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value: Any) -> str:
        name = self._free(name)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name))
        return name

    def cast(self, name: str, type: int) -> str:
        return self.add("Cast", name, to=type)

    def give(self, name: str, type: int, *shape: int) -> str:
        """What the last node computes is an output, and called that."""
        if name in self.taken:
            raise ValueError(f"net: takes a column called {name!r}, as an output of the graph is: rename the column")
        self.taken.add(name)
        self.nodes[-1].output[0] = name
        self.outputs.append(helper.make_tensor_value_info(name, type, ["n", *shape]))
        return name

    def _free(self, name: str) -> str:
        name = free = self.scope + name
        number = 1
        while free in self.taken:
            number += 1
            free = f"{name}_{number}"
        self.taken.add(free)
        return free


@dataclass(frozen=True)
class Value:
    """What a node computes: rows (n, features), or, with an image's (height, width, channels), (n, channels, height, width)."""

    name: str
    image: tuple[int, ...] | None = None


# Layers


def as_rows(graph: Graph, value: Value) -> str:
    """(n, features), an image row by row, channels last."""
    if value.image is None:
        return value.name
    height, width, channels = value.image
    moved = channels > 1 and height * width > 1
    name = graph.add("Transpose", value.name, perm=[0, 2, 3, 1]) if moved else value.name
    return graph.add("Flatten", name, axis=1)


def _as_image(graph: Graph, value: Value, shape: tuple[int, ...]) -> str:
    """(n, channels, height, width) for an image of that height, width and channels."""
    if value.image is not None:
        return value.name
    height, width, channels = shape
    if channels == 1:
        return graph.add("Reshape", value.name, graph.constant("shape", [-1, 1, height, width]))
    name = graph.add("Reshape", value.name, graph.constant("shape", [-1, height, width, channels]))
    return graph.add("Transpose", name, perm=[0, 3, 1, 2])


def _parameter(graph: Graph, layer: Any, name: str) -> str:
    return graph.constant(name, _single(getattr(layer, name)))


def _single(parameters: Array) -> Array:
    return converted("net", parameters, np.float32)


def _add_dense(graph: Graph, layer: Any, value: Value) -> Value:
    W, b = _parameter(graph, layer, "W"), _parameter(graph, layer, "b")
    return Value(graph.add("Gemm", as_rows(graph, value), W, b, transB=1))


def _add_conv(graph: Graph, layer: Any, value: Value) -> Value:
    of = layer.windows
    (top, bottom), (left, right) = of.padding
    kernels = _single(layer.W).reshape(layer.maps, *of.size, -1).transpose(0, 3, 1, 2)
    inputs = _as_image(graph, value, of.image), graph.constant("W", kernels), _parameter(graph, layer, "b")
    padding = [top, left, bottom, right]
    name = graph.add("Conv", *inputs, kernel_shape=list(of.size), strides=list(of.stride), pads=padding)
    return Value(name, layer.out_shape)


def _pool(operator: str) -> "LayerWriter":
    def add(graph: Graph, layer: Any, value: Value) -> Value:
        of = layer.windows
        image = _as_image(graph, value, of.image)
        name = graph.add(operator, image, kernel_shape=list(of.size), strides=list(of.stride))
        return Value(name, layer.out_shape)

    return add


LayerWriter = Callable[[Graph, Any, Value], Value]

#: How a kind of layer is written, up to its Z.
LAYERS: dict[str, LayerWriter] = {
    "dense": _add_dense,
    "conv": _add_conv,
    "maxpool": _pool("MaxPool"),
    "meanpool": _pool("AveragePool"),
}


# Activations


def _operator(operator: str, **attributes: Any) -> "ActivationWriter":
    return lambda graph, _, Z: graph.add(operator, Z, **attributes)


def _of(operator: str, parameter: str) -> "ActivationWriter":
    """An operator whose alpha is the activation's parameter of that name."""
    return lambda graph, activation, Z: graph.add(operator, Z, alpha=getattr(activation, parameter))


def _add_gelu(graph: Graph, _: Any, Z: str) -> str:
    """z (1 + erf(z/√2))/2: an operator for it there is only from opset 20 on."""
    erf = graph.add("Erf", graph.add("Mul", Z, graph.constant("shrink", np.float32(math.sqrt(0.5)))))
    doubled = graph.add("Mul", Z, graph.add("Add", erf, graph.constant("one", np.float32(1))))
    return graph.add("Mul", doubled, graph.constant("half", np.float32(0.5)))


def _add_silu(graph: Graph, _: Any, Z: str) -> str:
    return graph.add("Mul", Z, graph.add("Sigmoid", Z))


def _add_threshold(graph: Graph, _: Any, Z: str) -> str:
    return graph.cast(graph.add("Greater", Z, graph.constant("zero", np.float32(0))), TensorProto.FLOAT)


ActivationWriter = Callable[[Graph, Any, str], str]

#: How a class of activations is written, from the name of Z to that of A; identity adds nothing.
ACTIVATIONS: dict[type[Activation], ActivationWriter] = {
    σ.Identity: lambda _graph, _, Z: Z,
    σ.ReLU: _operator("Relu"),
    σ.Softplus: _operator("Softplus"),
    σ.Threshold: _add_threshold,
    σ.Logistic: _operator("Sigmoid"),
    σ.Tanh: _operator("Tanh"),
    σ.Softmax: _operator("Softmax", axis=1),
    σ.LeakyReLU: _of("LeakyRelu", "slope"),
    σ.ELU: _of("Elu", "alpha"),
    σ.GELU: _add_gelu,
    σ.SiLU: _add_silu,
    σ.Exponential: _operator("Exp"),
}
