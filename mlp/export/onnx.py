"""Networks as ONNX graphs, which most runtimes read: `encode` builds one, `answer` runs one.

A graph takes raw data for n examples, n being any number:

    X               (n, features) as `MLP.forward` takes them: float32, pixels from 0 to 1, an image row by row, channels last.

    With a preparation (see data/preparation.py), which is done inside:
    X               (n, features) pixels, unsigned 8-bit from 0 to 255 (float64, where they are scaled by what the data was);
                    or (n, columns), a table's columns, float64, if all are numeric;
    a column each   (n,), by the columns' names, if some are categorical: those are texts, the others float64.

and gives

    label           (n,) as `predict` does: integers, or the classes' names, and
    probabilities   (n, units) of a softmax or logistic output ("outputs", of any other with classes);
    prediction      (n, units) where there are no classes, in the target's own units (float64, if it has some).

All else is in float32, which is what runtimes have operators for. Several networks make one graph, which gives the mean of
their outputs. Layers and activations are in operators.py.
"""

import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import mlp
from mlp.blas import Array
from mlp.committee import Committee
from mlp.data.preparation import Preparation
from mlp.export.agreement import Answers
from mlp.export.operators import ACTIVATIONS, LAYERS, Graph, Value, as_rows
from mlp.export.parts import look_up, members_of, preparation_of
from mlp.export.samples import Samples, class_names, has_classes, takes_8_bit, takes_pixels
from mlp.network import MLP

#: Old enough that runtimes of 2022 read it.
OPSET, IR_VERSION = 17, 8

#: The operators for categories, where they are needed.
ML, ML_OPSET = "ai.onnx.ml", 3

#: A serialised graph must stay below 2 GiB.
_LARGEST = 2**31 - 2**20


# Raw data


def _add_preparation(graph: Graph, preparation: Preparation) -> str:
    """The inputs, and what makes of them what `MLP.forward` takes, (n, features)."""
    graph.scope, columns = "preparation.", preparation.columns
    if takes_8_bit(preparation):
        pixels = graph.cast(graph.take("X", TensorProto.UINT8, preparation.features), TensorProto.FLOAT)
        return graph.add("Mul", pixels, graph.constant("factor", np.float32(1 / 255)))
    if takes_pixels(preparation):
        pixels = graph.take("X", TensorProto.DOUBLE, preparation.features)
        return _add_scaling(graph, pixels, *columns[0].offset_and_factor(preparation.scaling))
    pairs = [column.offset_and_factor(preparation.scaling) for column in columns]
    if not _by_column(preparation):
        offsets, factors = np.array(pairs).T
        return _add_scaling(graph, graph.take("X", TensorProto.DOUBLE, len(columns)), offsets, factors)
    types = {"categorical": TensorProto.STRING, "numeric": TensorProto.DOUBLE}
    taken = [graph.take(column.name, types[column.kind]) for column in columns]
    features = []
    for name, column, pair in zip(taken, columns, pairs, strict=True):
        if column.kind == "categorical":  # with zeros=0 a text that is none of the values is an error
            features.append(graph.add("OneHotEncoder", name, domain=ML, cats_strings=list(column.values), zeros=0))
        else:
            features.append(graph.add("Unsqueeze", _add_scaling(graph, name, *pair), graph.constant("axis", [1])))
    return graph.add("Concat", *features, axis=1)


def _by_column(preparation: Preparation) -> bool:
    """Whether each column is an input of its own: texts and numbers can't be one."""
    return any(column.kind == "categorical" for column in preparation.columns)


def _add_scaling(graph: Graph, name: str, offset: Any, factor: Any) -> str:
    """(x − offset)/factor in float64, rounded to float32 then."""
    if np.any(offset) or np.any(np.not_equal(factor, 1)):
        name = graph.add("Sub", name, graph.constant("offset", np.float64(offset)))
        name = graph.add("Div", name, graph.constant("factor", np.float64(factor)))
    return graph.cast(name, TensorProto.FLOAT)


# Networks


def encode(net: MLP | Committee, name: str, notes: Any = None) -> bytes:  # noqa: ARG001  (ONNX has no place for notes)
    """The network as a serialised ONNX model; ValueError names a layer or activation that it can't express."""
    members, preparation = members_of(net), preparation_of(net)
    size = sum(one.theta.size for one in members)
    if 4 * size > _LARGEST:
        raise ValueError(f"net: has {size:,} parameters, but an ONNX file holds less than {_LARGEST // 4:,}")
    if not all(np.isfinite(one.theta).all() for one in members):
        raise ValueError("net: has parameters that are not finite, of which runtimes make different answers")
    graph = Graph()
    X = graph.take("X", TensorProto.FLOAT, net.sizes[0]) if preparation is None else _add_preparation(graph, preparation)
    rows = [_add_network(graph, one, X, f"members.{at}." if len(members) > 1 else "") for at, one in enumerate(members)]
    graph.scope = ""
    if len(rows) > 1:
        graph.add("Mean", *rows)
    _add_answers(graph, net, preparation)
    domains = {"": OPSET} | {node.domain: ML_OPSET for node in graph.nodes if node.domain}
    model = helper.make_model(
        helper.make_graph(graph.nodes, name or "network", graph.inputs, graph.outputs, graph.constants),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in domains.items()],
        ir_version=IR_VERSION,
        producer_name="mlp",
        producer_version=mlp.__version__,
        doc_string=repr(net),
    )
    if preparation is not None:
        helper.set_model_props(model, {"columns": json.dumps([column.name for column in preparation.columns])})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _add_network(graph: Graph, net: MLP, X: str, scope: str) -> str:
    """A network's nodes, from what `forward` takes to its outputs (n, units); their name."""
    value = Value(X)
    for number, layer in enumerate(net.layers):
        graph.scope = f"{scope}layers.{number}."
        add_layer, add_activation = look_up(net, number, LAYERS, ACTIVATIONS, "ONNX")
        value = add_layer(graph, layer, value)
        if layer is net.layers[-1]:
            value = Value(as_rows(graph, value))
        value = Value(add_activation(graph, layer.activation, value.name), value.image)
    return value.name


def _add_answers(graph: Graph, net: MLP | Committee, preparation: Preparation | None) -> None:
    """The outputs, from what the last node computes; see the module's docstring."""
    units, names = net.sizes[-1], class_names(preparation, net.sizes[-1])
    if not has_classes(net, preparation):
        offset, factor = (0.0, 1.0) if preparation is None else preparation.target_offset_and_factor
        if (offset, factor) == (0, 1):
            graph.give("prediction", TensorProto.FLOAT, units)
            return
        graph.scope = "target."
        scaled = graph.add("Mul", graph.cast(graph.nodes[-1].output[0], TensorProto.DOUBLE), graph.constant("factor", factor))
        graph.add("Add", scaled, graph.constant("offset", offset))
        graph.give("prediction", TensorProto.DOUBLE, units)
        return
    outputs = graph.give("probabilities" if net.output.name in ("softmax", "logistic") else "outputs", TensorProto.FLOAT, units)
    graph.scope = "answer."
    if units > 1:
        label = graph.add("ArgMax", outputs, axis=1, keepdims=0)
    else:
        single = graph.add("Squeeze", outputs, graph.constant("axis", [1]))
        label = graph.cast(graph.add("Greater", single, graph.constant("half", np.float32(0.5))), TensorProto.INT64)
    if names is not None and not np.array_equal(names, range(len(names))):
        texts = names.dtype.kind == "U"
        graph.add("Gather", graph.constant("classes", names.astype(object) if texts else names), label)
    graph.give("label", TensorProto.STRING if names is not None and names.dtype.kind == "U" else TensorProto.INT64)
    graph.outputs.reverse()


# Reading back


def answer(content: bytes, net: MLP | Committee, samples: Samples) -> Answers:
    """What a serialised model makes of examples: by onnxruntime where it is installed, else by onnx itself."""
    preparation = preparation_of(net)
    feeds = samples.columns if preparation is not None and _by_column(preparation) else {"X": samples.raw}
    given, by = run(content, feeds)
    labels, names = given.pop("label", None), samples.labels
    if labels is not None and names is not None:
        labels = np.array([names.tolist().index(label) for label in labels.tolist()])
    (outputs,) = given.values()
    return Answers(outputs, labels, by)


def run(content: bytes, feeds: dict[str, Array]) -> tuple[dict[str, Array], str]:
    """The outputs of a serialised model by name, and what computed them."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        session, by = ReferenceEvaluator(onnx.load_from_string(content)), "onnx's reference evaluator"
        names = session.output_names
    else:
        session, by = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]), "onnxruntime"
        names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True)), by
