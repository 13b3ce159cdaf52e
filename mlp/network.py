"""`MLP`: layers over one parameter vector θ, which predicts. How it learns is in backprop.py and objective.py."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mlp import activations
from mlp.activations import Activation
from mlp.backprop import Buffers, chunk_size, forward_pass
from mlp.batches import check_input, copy_input
from mlp.blas import Array, dot
from mlp.checks import check_dtype, check_generator, check_integer, check_parameters, converted, is_sequence, shown
from mlp.costs import holds_labels
from mlp.layers import Dense, Layer
from mlp.layers.base import show_shape
from mlp.layers.dense import MOST_UNITS
from mlp.layers.sparse import on_inputs
from mlp.layers.turn import arranged
from mlp.layers.windows import receptive_fields
from mlp.microbatches import in_micro_batches
from mlp.threads import one_thread

if TYPE_CHECKING:
    from mlp.data.preparation import Preparation

_PIXELS = np.dtype(np.uint8)


class MLP:
    """A multilayer perceptron.

    Args:
        layers: from input to output, sizes, `[784, 256, 10]`, or layers such as `Conv` and `Dense`, or both; the first may be
            an image's shape, (height, width) or (height, width, channels), from which all others follow. With just two
            sizes the network has no hidden layer: softmax, logistic or linear regression.
        hidden: the hidden layers' activation: a name, an object, or a sequence with one for each hidden layer.
        output: the output layer's activation.
        init: how weights are drawn (see initializers.py); biases start at zero.
        dtype: "float32" or "float64", of the parameters and of all arithmetic.
        seed: of the weights: an integer, a `numpy.random.Generator`, or None for a different draw each time.

    `hidden` and `output` are for sizes, and for layers without an activation of their own; others bring theirs. An image
    is a row of X as everywhere: row by row, channels last.

    Attributes:
        in_shape: the shape of an input: (features,), or an image's.
        theta: every parameter, one vector: W¹ row by row, b¹, W², b², …
        layers: the layers, whose W and b are views of theta.
        preparation: what is done to raw data before the network sees it, and what its outputs are called; or None. Files
            keep it (`save`), `predict` uses it, `forward` and all training do not.
    """

    #: Of networks that take numbers as they are.
    preparation: "Preparation | None" = None

    def __init__(
        self,
        layers: Sequence[Any],
        hidden: Any = "relu",
        output: Any = "softmax",
        init: Any = "glorot_uniform",
        dtype: Any = "float32",
        seed: int | np.random.Generator | None = None,
    ):
        self.in_shape, given = _place_layers(layers, hidden, output)
        _check_activations(given)
        self.dtype = check_dtype("dtype", dtype)
        count = check_integer("parameters of all layers", sum(layer.size for layer in given), at_least=0, at_most=1 << 58)
        self._place(given, np.empty(count, self.dtype))
        self.initialize(seed, init)

    def _place(self, layers: Sequence[Layer], theta: Array) -> None:
        """Let the layers' parameters be views of that vector, the network's θ from now on."""
        ends = np.cumsum([layer.size for layer in layers])
        self._theta = theta
        #: Room for the passes of single rows (`_pass_row`).
        self._spare: list[Buffers] = []
        self.layers = [layer.at(theta[end - layer.size : end]) for layer, end in zip(layers, ends, strict=True)]
        self._arranged = arranged(self.layers)

    @property
    def theta(self) -> Array:
        """Every parameter, one vector; assigning to it copies the numbers in, so that the layers' views stay on it."""
        return self._theta

    @theta.setter
    def theta(self, theta: Any) -> None:
        self._theta[...] = converted("theta", check_parameters("theta", theta, self._theta.size), self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: not the room for rows."""
        return {name: value for name, value in vars(self).items() if name not in ("_spare", "_arranged")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy (copy.deepcopy, pickle) has its own vector, and its layers have views of that one."""
        self.dtype, self.in_shape, self.preparation = state["dtype"], state["in_shape"], state.get("preparation")
        self._place(state["layers"], state["_theta"])

    def at(self, theta: Array) -> Self:
        """The same network with its parameters in another vector (P,), of the network's dtype; no number is copied."""
        allowed = f"it must be an array ({self._theta.size},) of {self.dtype}, since no number is copied"
        if not isinstance(theta, np.ndarray):
            raise TypeError(f"theta: received {shown(theta)}, but {allowed}")
        if check_parameters("theta", theta, self._theta.size).dtype != self.dtype:
            raise TypeError(f"theta: received dtype {theta.dtype}, but {allowed}")
        return self._like(theta)

    def _like(self, theta: Array) -> Self:
        network = object.__new__(type(self))
        network.dtype, network.in_shape, network.preparation = theta.dtype, self.in_shape, self.preparation
        network._place(self.layers, theta)
        return network

    def astype(self, dtype: Any) -> Self:
        """A copy of the network in another dtype."""
        return self._like(converted("theta", self.theta, check_dtype("dtype", dtype)).copy())

    def initialize(self, seed: int | np.random.Generator | None = None, init: Any = "glorot_uniform") -> None:
        """Draw all parameters anew."""
        rng = check_generator("seed", seed)
        for layer in self.layers:
            layer.initialize(rng, init)

    @property
    def sizes(self) -> list[int]:
        """The widths from input to output."""
        return [self.layers[0].fan_in, *(layer.units for layer in self.layers)]

    @property
    def output(self) -> Activation:
        """The output layer's activation."""
        return self.layers[-1].activation

    def name_of(self, component: int) -> str:
        """Which parameter a component of θ (or of a gradient) is: "layers[0].W[3, 17]"."""
        left = check_integer("component", component, at_least=0, at_most=self.theta.size - 1)
        for number, layer in enumerate(self.layers):
            if left < layer.size:
                return f"layers[{number}].{layer.name_of(left)}"
            left -= layer.size
        raise AssertionError("unreachable: component was checked")

    def forward(self, X: Any, layer: int = -1) -> Array:
        """The outputs of a layer, (n, units), for X (n, features), which may be sparse (scipy.sparse): the network's own, A^L,
        unless told otherwise.

        8-bit unsigned X is taken as pixel intensities and scaled from 0 … 255 to 0 … 1. `layer` counts as in `layers`:
        `forward(X, layer=0)` is A¹, the outputs of the first hidden layer.
        """
        if layer == -1 and (row := self._pass_row(X)) is not None:
            with np.errstate(all="ignore"):
                self.output.value(row.Z[-1], row.A[-1])
            outputs = row.A[-1].T.copy()
            self._spare.append(row)
            return outputs
        X = check_input(X, self.layers[0].fan_in, self.dtype)
        count = len(self.layers)
        layers = self.layers[: check_integer("layer", layer, at_least=-count, at_most=count - 1) % count + 1]
        n = X.shape[0]
        outputs = np.empty((n, layers[-1].units), self.dtype)
        layers = in_micro_batches(arranged(on_inputs(X, layers)), learning=False)
        size = min(n, chunk_size(layers, self.dtype))
        buffers = Buffers(layers, size, self.dtype, learning=False)
        with one_thread, np.errstate(all="ignore"):  # what overflows shows in the outputs
            for start in range(0, n, size):
                rows = X[start : start + size]
                if rows.shape[0] < buffers.n:
                    buffers = Buffers(layers, rows.shape[0], self.dtype, learning=False)
                copy_input(rows, out=buffers.X)
                forward_pass(layers, buffers)
                outputs[start : start + size] = buffers.A[-1].T
        return outputs

    def _pass_row(self, X: Any) -> Buffers | None:
        """The forward pass, up to Z^L, of a single row that is just as it must be, where the microseconds of all checks would
        count; None for anything else. The buffers are lent: they go back onto `_spare`, and no two threads have the same."""
        if type(X) is not np.ndarray or X.shape != (1, self.layers[0].fan_in) or X.dtype not in (self.dtype, _PIXELS):
            return None
        try:
            row = self._spare.pop()
        except IndexError:
            row = Buffers(self._arranged, 1, self.dtype, learning=False)
        copy_input(X, out=row.X)
        a = row.X[0]
        if not math.isfinite(dot(a, a)):
            return None
        with np.errstate(all="ignore"):
            forward_pass(self._arranged[:-1], row)
            self._arranged[-1].forward(row.A[-2], row.Z[-1], row.scratch[-1])
        return row

    def predict(self, X: Any) -> Array:
        """Class labels, (n,) integers, from a softmax or logistic output; otherwise the outputs themselves.

        The label is the largest output's number; of a single logistic output, whether it is above ½. (For several
        labels at once, ask `forward(X) > 0.5`.) Other outputs are (n, units), or (n,) where there is a single one. 8-bit
        unsigned X is taken as pixel intensities, as in `forward`.

        A network with a `preparation` takes raw data instead, which is prepared first: a table, a frame or an array with the
        table's columns, unscaled (`Preparation.inputs` has the details). It answers with the classes' names (integers, where
        the names are such), or with numbers in the target's own units. `forward` takes prepared numbers always.
        """
        known = self.preparation
        inputs = X if known is None else known.inputs(X, self.dtype)
        if self.output.name == "softmax" and (row := self._pass_row(inputs)) is not None:
            labels: Array = row.Z[-1].argmax(axis=0)  # the largest z has the largest probability
            finite = math.isfinite(row.Z[-1].item(labels.item()))
            self._spare.append(row)
            if finite:
                return labels if known is None or known.classes is None else known.labels[labels]
        outputs = self.forward(inputs)
        found = answers(outputs, self.output, self.dtype)
        return found if known is None else known.answers(outputs)

    def summary(self) -> str:
        """A table of the layers: output shape, parameters, multiply-adds for an example, and the receptive field, which is
        how much of the image a unit sees."""
        rows = [("layer", "output", "parameters", "multiply-adds", "sees"), (f"input {show_shape(self.in_shape)}", *[""] * 4)]
        for layer, field in zip(self.layers, receptive_fields(self.layers), strict=True):
            sees = "all" if field is None else show_shape(field)
            rows.append((repr(layer), show_shape(layer.out_shape), f"{layer.size:,}", f"{layer.multiply_adds:,}", sees))
        products = sum(layer.multiply_adds for layer in self.layers)
        rows.append(("total", "", f"{self.theta.size:,}", f"{products:,}", ""))
        first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
        lines = (f"{row[0]:{first}}  " + "  ".join(map(str.rjust, row[1:], others)) for row in rows)
        return "\n".join(map(str.rstrip, lines))

    def __repr__(self) -> str:
        image = f"{self.in_shape}, " if len(self.in_shape) > 1 else ""
        return f"MLP([{image}{', '.join(map(repr, self.layers))}], dtype={self.dtype.name!r})"


def check_network(name: str, net: Any) -> MLP:
    """The value, if it is an MLP."""
    if not isinstance(net, MLP):
        raise TypeError(f"{name}: received {shown(net)}, but it must be an MLP")
    return net


def answers(outputs: Array, activation: Activation, dtype: Any) -> Array:
    """What `predict` makes of outputs (n, units) of that activation: labels (n,), or the outputs themselves."""
    if activation.name == "softmax" and np.isnan(outputs).any():
        row = int(np.isnan(outputs).any(axis=1).argmax())
        raise ValueError(
            f"X: the outputs are NaN at example {row:,}, so that there is no class to predict: its values or the weights are "
            f"too large for {dtype}"
        )
    if activation.name in ("softmax", "logistic"):
        return labels_from(outputs)
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def labels_from(outputs: Array) -> Array:
    """Class labels (n,) from outputs (n, units): the largest one's number; of a single one, whether it is above ½."""
    labels: Array = (outputs[:, 0] > 0.5).astype(np.intp) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    return labels


def which_right(A: Array, Y: Array, activation: Activation) -> Array:
    """Which of n examples' labels are right, (n,), from outputs A (units, n) of that activation and targets Y, labels (n,) or
    numbers (units, n); of several labels at once, the share that is right."""
    if holds_labels(Y):
        right: Array = np.equal(A.argmax(axis=0), Y)
    elif activation.name == "softmax":
        right = np.equal(A.argmax(axis=0), Y.argmax(axis=0))
    else:
        right = np.equal(A > 0.5, Y > 0.5).mean(axis=0)
    return right


def _place_layers(layers: Any, hidden: Any, output: Any) -> tuple[tuple[int, ...], list[Layer]]:
    """The input's shape and the layers that the arguments of `MLP` describe, each over the shape that those below leave."""
    if not is_sequence(layers) or len(layers) == 0:
        raise TypeError(f"layers: received {shown(layers)}, but it must be sizes, [784, 256, 10], or layers such as Dense")
    first, *rest = layers
    if isinstance(first, Layer):
        if not hasattr(first, "fan_in"):
            raise ValueError(f"layers: received {first!r} first, but its input must stand before it: (height, width)")
        shape, rest = first.in_shape, list(layers)
    elif isinstance(first, tuple | list):
        sizes = enumerate(first)
        shape = tuple(check_integer(f"layers[0][{axis}]", size, at_least=1, at_most=MOST_UNITS) for axis, size in sizes)
    else:
        shape = (check_integer("layers[0]", first, at_least=1, at_most=MOST_UNITS),)
    if not rest:
        raise ValueError(f"layers: received {shown(list(layers))}, but it needs an input and an output size at least")
    placed: list[Layer] = []
    below = shape
    for number, (entry, activation) in enumerate(zip(rest, _activations(rest, hidden, output), strict=True), 1):
        if isinstance(entry, Layer):
            layer = entry
        else:
            units = check_integer(f"layers[{number}]", entry, at_least=1, at_most=MOST_UNITS)
            layer = Dense(math.prod(below), units, activation)
        try:
            placed.append(layer.placed(below, activation))
        except ValueError as error:
            raise ValueError(f"layers: layer {number}, {layer!r}: {error}") from None
        for name in ("fan_in", "units"):
            size = getattr(placed[-1], name, None)
            check_integer(f"layers: {name} of layer {number}", size, at_least=1, at_most=MOST_UNITS)
        below = placed[-1].out_shape
    return shape, placed


def _activations(entries: Sequence[Any], hidden: Any, output: Any) -> list[Activation]:
    """The activation that each entry takes where it has none of its own: `hidden`, or the output's at the end."""
    takes = [not isinstance(entry, Layer) or getattr(entry, "own_activation", entry) is None for entry in entries[:-1]]
    count = sum(takes)
    if isinstance(hidden, list | tuple):
        if len(hidden) != count:
            raise ValueError(f"hidden: received {len(hidden)} activations, but there are {count} hidden layers")
        chosen = iter([activations.get(one, "hidden") for one in hidden])
    else:
        chosen = iter([activations.get(hidden, "hidden")] * count)
    identity = activations.get("identity")
    return [next(chosen) if takes_one else identity for takes_one in takes] + [activations.get(output, "output")]


def _check_activations(layers: Sequence[Layer]) -> None:
    """Softmax belongs at the output, over more than one unit."""
    for number, layer in enumerate(layers, 1):
        if not isinstance(layer.activation, Activation):
            raise TypeError(
                f"layers: layer {number} has the activation {shown(layer.activation)}, but it must be an mlp.Activation: "
                "mlp.activations.get makes one of a name"
            )
    for number, layer in enumerate(layers[:-1], 1):
        if layer.activation.name == "softmax":
            raise ValueError(f"hidden: layer {number} is 'softmax', which is allowed for the output layer only")
    last = layers[-1]
    if last.activation.name == "softmax" and last.units == 1:
        raise ValueError("output: softmax over a single unit is always 1; use 'logistic' for a binary output")
