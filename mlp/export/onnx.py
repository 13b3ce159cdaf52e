"""Networks as ONNX graphs, which most runtimes read: `encode` builds one, `answer` runs one.

A graph takes `X` (n, features) in float32, rows as `MLP.forward` takes them (pixels from 0 to 1; an image row by row, channels
last), n being any number, and gives

    label           (n,) integers, as `predict` does, and
    probabilities   (n, units), of a softmax or logistic output;
    prediction      (n, units), of any other.

All arithmetic is in float32, which is what runtimes have operators for. Between convolutions and pools an image lies as ONNX
wants it, (n, channels, height, width); its order is brought back before a dense layer, so that W stays as it lies. Several
networks make one graph, which gives the mean of their outputs.

Read `encode`, then the two tables: what a kind of layer, and what an activation, is made of.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import mlp
from mlp import activations as σ
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import converted
from mlp.committee import Committee
from mlp.export.agreement import Answers, members_of
from mlp.layers import kind_of
from mlp.network import MLP

#: Old enough that runtimes of 2022 read it.
OPSET, IR_VERSION = 17, 8

#: A serialised graph must stay below 2 GiB.
_LARGEST = 2**31 - 2**20


@dataclass
class Graph:
    """Nodes and constants of a graph in the making; each `add` returns the name of what it computes."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    scope: str = ""
    taken: set[str] = field(default_factory=set)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = self._free(self.scope + operator)
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value: Any) -> str:
        name = self._free(self.scope + name)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def call_last(self, name: str) -> str:
        """Give what the last node computes another name."""
        self.nodes[-1].output[0] = name
        return name

    def _free(self, name: str) -> str:
        free, number = name, 1
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


def _as_rows(graph: Graph, value: Value) -> str:
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
    return Value(graph.add("Gemm", _as_rows(graph, value), W, b, transB=1))


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
    return lambda graph, activation, Z: graph.add(operator, Z, **attributes)


def _add_threshold(graph: Graph, activation: Any, Z: str) -> str:
    above = graph.add("Greater", Z, graph.constant("zero", np.float32(0)))
    return graph.add("Cast", above, to=TensorProto.FLOAT)


ActivationWriter = Callable[[Graph, Any, str], str]

#: How a class of activations is written, from the name of Z to that of A; identity adds nothing.
ACTIVATIONS: dict[type[Activation], ActivationWriter] = {
    σ.Identity: lambda graph, activation, Z: Z,
    σ.ReLU: _operator("Relu"),
    σ.Softplus: _operator("Softplus"),
    σ.Threshold: _add_threshold,
    σ.Logistic: _operator("Sigmoid"),
    σ.Tanh: _operator("Tanh"),
    σ.Softmax: _operator("Softmax", axis=1),
}


# Networks


def encode(net: MLP | Committee, name: str, notes: Any = None) -> bytes:  # noqa: ARG001  (ONNX has no place for notes)
    """The network as a serialised ONNX model; ValueError names a layer or activation that it can't express."""
    members = members_of(net)
    size = sum(one.theta.size for one in members)
    if 4 * size > _LARGEST:
        raise ValueError(f"net: has {size:,} parameters, but an ONNX file holds less than {_LARGEST // 4:,}")
    graph = Graph()
    rows = [_add_network(graph, one, f"members.{at}." if len(members) > 1 else "") for at, one in enumerate(members)]
    graph.scope = ""
    if len(rows) > 1:
        graph.add("Mean", *rows)
    outputs = _add_answers(graph, net)
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", net.sizes[0]])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, name or "network", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mlp",
        producer_version=mlp.__version__,
        doc_string=repr(net),
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _add_network(graph: Graph, net: MLP, scope: str) -> str:
    """A network's nodes, from X to its outputs (n, units); their name."""
    value = Value("X")
    for number, layer in enumerate(net.layers):
        graph.scope = f"{scope}layers.{number}."
        kind, activation = kind_of(layer), layer.activation
        if kind not in LAYERS:
            raise ValueError(f"net.layers[{number}]: is a {kind}, but ONNX has operators for {', '.join(LAYERS)} alone")
        if type(activation) not in ACTIVATIONS:
            known = ", ".join(one.name for one in ACTIVATIONS)
            raise ValueError(
                f"net.layers[{number}]: has the activation {activation.name!r}, but what goes into an ONNX file is {known}"
            )
        value = LAYERS[kind](graph, layer, value)
        if layer is net.layers[-1]:
            value = Value(_as_rows(graph, value))
        value = Value(ACTIVATIONS[type(activation)](graph, activation, value.name), value.image)
    return value.name


def _add_answers(graph: Graph, net: MLP | Committee) -> list[Any]:
    """What the graph gives, from what its last node computes; see the module's docstring."""
    units = net.sizes[-1]
    if net.output.name not in ("softmax", "logistic"):
        graph.call_last("prediction")
        return [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["n", units])]
    outputs = graph.call_last("probabilities")
    if units > 1:
        graph.add("ArgMax", outputs, axis=1, keepdims=0)
    else:
        single = graph.add("Squeeze", outputs, graph.constant("axis", [1]))
        graph.add("Cast", graph.add("Greater", single, graph.constant("half", np.float32(0.5))), to=TensorProto.INT64)
    graph.call_last("label")
    return [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", units]),
    ]


def answer(content: bytes, X: Array) -> Answers:
    """What a serialised model makes of X (n, features): by onnxruntime where it is installed, else by onnx itself."""
    given, by = _run(content, X)
    return Answers(given.get("probabilities", given.get("prediction")), given.get("label"), by)


def _run(content: bytes, X: Array) -> tuple[dict[str, Array], str]:
    """The outputs by name, and what computed them."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        session, by = ReferenceEvaluator(onnx.load_from_string(content)), "onnx's reference evaluator"
        names = session.output_names
    else:
        session, by = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]), "onnxruntime"
        names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X.astype(np.float32)}), strict=True)), by
