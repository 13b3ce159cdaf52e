"""`MLP`: layers over one parameter vector θ, which predicts. How it learns is in backprop.py and objective.py."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np

from mlp import activations
from mlp.activations import Activation
from mlp.backprop import Buffers, chunk_size, forward_pass
from mlp.batches import check_input, copy_input
from mlp.blas import Array
from mlp.checks import check_dtype, check_generator, check_integer, check_parameters, converted, is_sequence, shown
from mlp.costs import holds_labels
from mlp.layers import Dense, Layer
from mlp.layers.dense import MOST_UNITS


class MLP:
    """A multilayer perceptron.

    Args:
        layers: sizes from input to output, `[784, 256, 10]`, or layers one by one, such as `Dense`. With just two sizes the
            network has no hidden layer: softmax, logistic or linear regression.
        hidden: the hidden layers' activation: a name, an object, or a sequence with one for each hidden layer.
        output: the output layer's activation.
        init: how weights are drawn (see initializers.py); biases start at zero.
        dtype: "float32" or "float64", of the parameters and of all arithmetic.
        seed: of the weights: an integer, a `numpy.random.Generator`, or None for a different draw each time.

    `hidden` and `output` belong to a network given by sizes; layers given one by one bring their own.

    Attributes:
        theta: every parameter, one vector: W¹ row by row, b¹, W², b², …
        layers: the layers, whose W and b are views of theta.
    """

    def __init__(
        self,
        layers: Sequence[int] | Sequence[Layer],
        hidden: Any = "relu",
        output: Any = "softmax",
        init: Any = "glorot_uniform",
        dtype: Any = "float32",
        seed: int | np.random.Generator | None = None,
    ):
        given = _given_layers(layers, hidden, output)
        _check_activations(given)
        self.dtype = check_dtype("dtype", dtype)
        count = check_integer("parameters of all layers", sum(layer.size for layer in given), at_least=0, at_most=1 << 58)
        self._place(given, np.empty(count, self.dtype))
        self.initialize(seed, init)

    def _place(self, layers: Sequence[Layer], theta: Array) -> None:
        """Let the layers' parameters be views of that vector, the network's θ from now on."""
        ends = np.cumsum([layer.size for layer in layers])
        self._theta = theta
        self.layers = [layer.at(theta[end - layer.size : end]) for layer, end in zip(layers, ends, strict=True)]

    @property
    def theta(self) -> Array:
        """Every parameter, one vector; assigning to it copies the numbers in, so that the layers' views stay on it."""
        return self._theta

    @theta.setter
    def theta(self, theta: Any) -> None:
        self._theta[...] = converted("theta", check_parameters("theta", theta, self._theta.size), self.dtype)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy (copy.deepcopy, pickle) has its own vector, and its layers have views of that one."""
        self.dtype = state["dtype"]
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
        network.dtype = theta.dtype
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
        """The outputs of a layer, (n, units), for X (n, features): the network's own, A^L, unless told otherwise.

        8-bit unsigned X is taken as pixel intensities and scaled from 0 … 255 to 0 … 1. `layer` counts as in `layers`:
        `forward(X, layer=0)` is A¹, the outputs of the first hidden layer.
        """
        X = check_input(X, self.layers[0].fan_in, self.dtype)
        count = len(self.layers)
        layers = self.layers[: check_integer("layer", layer, at_least=-count, at_most=count - 1) % count + 1]
        outputs = np.empty((len(X), layers[-1].units), self.dtype)
        size = min(len(X), chunk_size(layers, self.dtype))
        buffers = Buffers(layers, size, self.dtype, learning=False)
        with np.errstate(all="ignore"):  # what overflows shows in the outputs
            for start in range(0, len(X), size):
                rows = X[start : start + size]
                if len(rows) < buffers.n:
                    buffers = Buffers(layers, len(rows), self.dtype, learning=False)
                copy_input(rows, out=buffers.X)
                forward_pass(layers, buffers)
                outputs[start : start + size] = buffers.A[-1].T
        return outputs

    def predict(self, X: Any) -> Array:
        """Class labels, (n,) integers, from a softmax or logistic output; otherwise the outputs themselves.

        The label is the largest output's number; of a single logistic output, whether it is above ½. (For several
        labels at once, ask `forward(X) > 0.5`.) Other outputs are (n, units), or (n,) where there is a single one. 8-bit
        unsigned X is taken as pixel intensities, as in `forward`.
        """
        return answers(self.forward(X), self.output, self.dtype)

    def __repr__(self) -> str:
        return f"MLP([{', '.join(map(repr, self.layers))}], dtype={self.dtype.name!r})"


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


def count_right(A: Array, Y: Array, activation: Activation) -> float:
    """How many of n examples' labels are right, from outputs A (units, n) of that activation and targets Y, labels (n,) or
    numbers (units, n); of several labels at once, each counts for its part."""
    if holds_labels(Y):
        return float(np.count_nonzero(A.argmax(axis=0) == Y))
    if activation.name == "softmax":
        return float(np.count_nonzero(A.argmax(axis=0) == Y.argmax(axis=0)))
    right: float = np.mean((A > 0.5) == (Y > 0.5)) * A.shape[1]
    return right


def _given_layers(layers: Sequence[int] | Sequence[Layer], hidden: Any, output: Any) -> list[Layer]:
    """The layers that the arguments of `MLP` describe, checked to fit on each other."""
    if not is_sequence(layers) or len(layers) == 0:
        raise TypeError(f"layers: received {shown(layers)}, but it must be sizes, [784, 256, 10], or layers such as Dense")
    given = [layer for layer in layers if isinstance(layer, Layer)]
    if not given:
        return _dense_layers(list(layers), hidden, output)
    if len(given) != len(layers):
        raise TypeError("layers: received both sizes and layers, but they must be all of one kind")
    for number, layer in enumerate(given, 1):
        for name in ("fan_in", "units"):
            check_integer(f"layers: {name} of layer {number}", getattr(layer, name, None), at_least=1, at_most=MOST_UNITS)
    for number, (below, above) in enumerate(pairwise(given), 1):
        if above.fan_in != below.units:
            raise ValueError(
                f"layers: layer {number + 1} takes {above.fan_in} inputs, but layer {number} has {below.units} units"
            )
    return given


def _dense_layers(entries: list[Any], hidden: Any, output: Any) -> list[Layer]:
    """Dense layers of those sizes."""
    sizes = [check_integer(f"layers[{i}]", size, at_least=1, at_most=MOST_UNITS) for i, size in enumerate(entries)]
    if len(sizes) < 2:
        raise ValueError(f"layers: received {shown(sizes)}, but it needs an input and an output size at least")
    count = len(sizes) - 2
    per_layer = list(hidden) if isinstance(hidden, list | tuple) else [activations.get(hidden, "hidden")] * count
    if len(per_layer) != count:
        raise ValueError(f"hidden: received {len(per_layer)} activations, but there are {count} hidden layers")
    chosen = [activations.get(a, "hidden") for a in per_layer] + [activations.get(output, "output")]
    return [Dense(n_in, n_out, a) for (n_in, n_out), a in zip(pairwise(sizes), chosen, strict=True)]


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
