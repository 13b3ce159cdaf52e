"""`MLP`: layers over one parameter vector θ, the forward pass and the δ recursion (`MLP.backward`).

Notation is the lecture's, with rows as examples (n of them), ℓ = 1 … L layers and ⊙ the element-wise product:

    A⁰ = X,  Z^ℓ = A^{ℓ−1} W^ℓᵀ + b^ℓ,  A^ℓ = σ_ℓ(Z^ℓ)                          forward
    Δ^L = ∇ₐC ⊙ σ′(Z^L),  Δ^ℓ = (Δ^{ℓ+1} W^{ℓ+1}) ⊙ σ′(Z^ℓ)                     backward
    ∂C/∂W^ℓ = (1/n) Δ^ℓᵀ A^{ℓ−1},  ∂C/∂b^ℓ = (1/n) Σ rows of Δ^ℓ                gradients

(Nielsen, Neural Networks and Deep Learning, ch. 2, BP1 to BP4; there examples are columns and Δ is δ.)

Dropout (Srivastava et al. 2014, inverted) puts a mask M^ℓ between layers ℓ and ℓ + 1, which is 0 with probability p and
1/(1 − p) otherwise: layer ℓ + 1 sees A^ℓ ⊙ M^ℓ, and the error comes back through the same mask,

    Z^{ℓ+1} = (A^ℓ ⊙ M^ℓ) W^{ℓ+1}ᵀ + b^{ℓ+1},  Δ^ℓ = (Δ^{ℓ+1} W^{ℓ+1}) ⊙ M^ℓ ⊙ σ′(Z^ℓ)
    ∂C/∂W^ℓ = (1/n) Δ^ℓᵀ (A^{ℓ−1} ⊙ M^{ℓ−1})
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np

from mlp import activations
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import check_integer, check_name, converted, shown
from mlp.layers import Dense
from mlp.noise import draw_16_bits

DTYPES = ("float32", "float64")

#: How many examples go through the network at a time where there may be many: memory stays bounded.
CHUNK = 1024


class Pass:
    """The arrays of one forward and backward pass over up to n examples, allocated once and used again and again.

    A[ℓ] (n, width of layer ℓ) with A[0] = X; Z[ℓ−1] and Delta[ℓ−1] (n, units of layer ℓ). Z shares A's memory in
    hidden layers whose σ′ doesn't need it. ones is (n,). M[ℓ] is the dropout mask on A[ℓ], for ℓ < L, or None where nothing
    is dropped, and D[ℓ] = A[ℓ] ⊙ M[ℓ] what layer ℓ + 1 sees: A[ℓ] itself where there is no mask.
    """

    def __init__(self, layers: Sequence[Dense], n: int, dtype: Any):
        last = len(layers) - 1
        self.n = n
        self.ones = np.ones(n, dtype)
        self.A = [np.empty((n, layers[0].fan_in), dtype)] + [np.empty((n, layer.units), dtype) for layer in layers]
        self.Z = [
            np.empty_like(A) if index == last or layer.activation.keeps_z else A
            for index, (layer, A) in enumerate(zip(layers, self.A[1:], strict=True))
        ]
        self.Delta = [np.empty((n, layer.units), dtype) for layer in layers]
        self.M: list[Array | None] = [None for _ in layers]
        self.D = self.A[:-1]

    def drop(self, rates: Sequence[float], rng: np.random.Generator) -> None:
        """Draw masks for these dropout rates, to a 65,536th, one for each layer's input."""
        for l, (rate, A) in enumerate(zip(rates, self.A, strict=False)):  # noqa: E741
            if rate:
                M = self.M[l]
                if M is None:
                    M = self.M[l] = np.empty_like(A)
                    self.D[l] = np.empty_like(A)
                dropped = min(round(65536 * rate), 65535)  # of 65,536
                np.greater_equal(draw_16_bits(A.shape, rng), dropped, out=M)  # 0 or 1
                M *= 65536 / (65536 - dropped)

    def first(self, n: int) -> "Pass":
        """The same arrays' first n rows."""
        part = object.__new__(Pass)
        part.n = n
        part.ones = self.ones[:n]
        part.A = [A[:n] for A in self.A]
        # what is one array here stays one object there: activations ask `out is Z`
        part.Z = [a if Z is A else Z[:n] for Z, A, a in zip(self.Z, self.A[1:], part.A[1:], strict=True)]
        part.Delta = [Delta[:n] for Delta in self.Delta]
        part.M = [None if M is None else M[:n] for M in self.M]
        part.D = [a if D is A else D[:n] for D, A, a in zip(self.D, self.A, part.A, strict=False)]
        return part


class MLP:
    """A multilayer perceptron.

    Args:
        layers: sizes from input to output, `[784, 256, 10]`, or `Dense` layers one by one. With just two sizes the
            network has no hidden layer: softmax, logistic or linear regression.
        hidden: the hidden layers' activation: a name, an object, or a sequence with one for each hidden layer.
        output: the output layer's activation.
        init: how weights are drawn (see initializers.py); biases start at zero.
        dtype: "float32" or "float64", of the parameters and of all arithmetic.
        seed: of the weights: an integer, a `numpy.random.Generator`, or None for a different draw each time.

    `hidden` and `output` belong to a network given by sizes; layers given one by one bring their own.

    Attributes:
        theta: every parameter, one vector: W¹ row by row, b¹, W², b², …
        layers: `Dense` layers whose W and b are windows onto theta.
    """

    def __init__(
        self,
        layers: Sequence[int] | Sequence[Dense],
        hidden: Any = "relu",
        output: Any = "softmax",
        init: Any = "glorot_uniform",
        dtype: Any = "float32",
        seed: int | np.random.Generator | None = None,
    ):
        description = _described(layers, hidden, output)
        for number, layer in enumerate(description[:-1], 1):
            if layer.activation.name == "softmax":
                raise ValueError(f"hidden: layer {number} is 'softmax', which is allowed for the output layer only")
        last = description[-1]
        if last.activation.name == "softmax" and last.units == 1:
            raise ValueError("output: softmax over a single unit is always 1; use 'logistic' for a binary output")
        self.dtype = np.dtype(check_name("dtype", _dtype_name(dtype), DTYPES))
        self._open_windows(description, np.empty(sum(layer.size for layer in description), self.dtype))
        self.initialize(seed, init)

    def _open_windows(self, layers: Sequence[Dense], theta: Array) -> None:
        ends = np.cumsum([layer.size for layer in layers])
        self._theta = theta
        self.layers = [layer.at(theta[end - layer.size : end]) for layer, end in zip(layers, ends, strict=True)]

    @property
    def theta(self) -> Array:
        """Every parameter, one vector; assigning to it copies the numbers in, so that the layers' windows stay on it."""
        return self._theta

    @theta.setter
    def theta(self, theta: Any) -> None:
        if np.shape(theta) != self._theta.shape:
            raise ValueError(f"theta: received shape {np.shape(theta)}, but the network's is {self._theta.shape}")
        self._theta[...] = converted("theta", theta, self.dtype)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy (copy.deepcopy, pickle) has its own vector, and its layers their windows on that one."""
        self.dtype = state["dtype"]
        self._open_windows(state["layers"], state["_theta"])

    def at(self, theta: Array) -> Self:
        """The same network with its windows on another vector, in the network's dtype; no number is copied."""
        if np.shape(theta) != self.theta.shape:
            raise ValueError(
                f"theta: received shape {np.shape(theta)}, but the network has {self.theta.size:,} parameters, one vector"
            )
        network = object.__new__(type(self))
        network.dtype = self.dtype
        network._open_windows(self.layers, theta)
        return network

    def astype(self, dtype: Any) -> Self:
        """A copy of the network in another dtype."""
        dtype = np.dtype(check_name("dtype", _dtype_name(dtype), DTYPES))
        network = object.__new__(type(self))
        network.dtype = dtype
        network._open_windows(self.layers, converted("theta", self.theta, dtype).copy())
        return network

    def initialize(self, seed: int | np.random.Generator | None = None, init: Any = "glorot_uniform") -> None:
        """Draw all parameters anew."""
        if not isinstance(seed, np.random.Generator):
            seed = np.random.default_rng(None if seed is None else check_integer("seed", seed, at_least=0))
        for layer in self.layers:
            layer.initialize(seed, init)

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
        component = check_integer("component", component, at_least=0, at_most=self.theta.size - 1)
        for number, layer in enumerate(self.layers):
            if component < layer.W.size:
                row, column = divmod(component, layer.fan_in)
                return f"layers[{number}].W[{row}, {column}]"
            if component < layer.size:
                return f"layers[{number}].b[{component - layer.W.size}]"
            component -= layer.size
        raise AssertionError("unreachable: component was checked")

    # The two passes over a batch. Costs, and batches gathered from X, belong to objective.py.

    def propagate_forward(self, batch: Pass, layers: int | None = None) -> None:
        """From A⁰, in batch.A[0], to A^L, in batch.A[-1]; or through so many of the layers only."""
        for l, layer in enumerate(self.layers[:layers]):  # noqa: E741
            if (M := batch.M[l]) is not None:
                np.multiply(batch.A[l], M, out=batch.D[l])  # A^{ℓ−1} ⊙ M^{ℓ−1}
            layer.forward(batch.D[l], out=batch.Z[l])  # Z^ℓ = A^{ℓ−1} W^ℓᵀ + b^ℓ         (n, units)
            layer.activation.value(batch.Z[l], out=batch.A[l + 1])  # A^ℓ = σ(Z^ℓ)        (n, units)

    def backward(
        self,
        batch: Pass,
        into: "MLP | None",
        alpha: float,
        beta: float,
        decay: float = 0.0,
        penalties: Mapping[int, Array] | None = None,
    ) -> None:
        """The δ recursion, from Δ^L in batch.Delta[-1] down to Δ¹, adding up gradients on the way:

            into.W ← (β + decay) into.W + α ΔᵀA,   into.b ← β into.b + α Σ rows of Δ

        `into` is this network with its windows on a gradient vector, or, for a step of gradient descent, this network
        itself: each layer is changed only after the error has been sent through it. None leaves the gradients out.
        `penalties` holds, by hidden layer counted from 0, what a penalty on that layer's activations adds to ∇C there.
        """
        for l in reversed(range(len(self.layers))):  # noqa: E741
            if l > 0:
                self.layers[l].propagate(batch.Delta[l], out=batch.Delta[l - 1])  # Δ^{ℓ+1} W^{ℓ+1}
            if into is not None:
                into.layers[l].gradient(batch.Delta[l], batch.D[l], batch.ones, alpha, beta, decay)
            if l > 0:
                if (M := batch.M[l]) is not None:
                    batch.Delta[l - 1] *= M  # ⊙ M^ℓ
                if penalties and l - 1 in penalties:
                    batch.Delta[l - 1] += penalties[l - 1]
                self.layers[l - 1].activation.backward(batch.Delta[l - 1], batch.Z[l - 1], batch.A[l])  # ⊙ σ′(Z^ℓ)

    # What scripts ask of a trained network

    def forward(self, X: Any, layer: int = -1) -> Array:
        """The outputs of a layer, (n, units), for X (n, features): the network's own, A^L, unless told otherwise.

        8-bit unsigned X is taken as pixel intensities and scaled from 0 … 255 to 0 … 1. `layer` counts as in `layers`:
        `forward(X, layer=0)` is A¹, the outputs of the first hidden layer.
        """
        X = check_input(X, self.layers[0].fan_in, self.dtype)
        count = len(self.layers)
        number = check_integer("layer", layer, at_least=-count, at_most=count - 1) % count + 1
        outputs = np.empty((len(X), self.sizes[number]), self.dtype)
        batch = Pass(self.layers[:number], min(len(X), CHUNK), self.dtype)
        with np.errstate(all="ignore"):  # what overflows shows in the outputs
            for start in range(0, len(X), CHUNK):
                part = batch.first(min(CHUNK, len(X) - start))
                copy_input(X[start : start + part.n], out=part.A[0])
                self.propagate_forward(part, number)
                outputs[start : start + part.n] = part.A[-1]
        return outputs

    def predict(self, X: Any) -> Array:
        """Class labels, (n,) integers, from a softmax or logistic output; otherwise the outputs themselves.

        The label is the largest output's number; of a single logistic output, whether it is above ½. (For several
        labels at once, ask `forward(X) > 0.5`.) 8-bit unsigned X is taken as pixel intensities, as in `forward`.
        """
        return answers(self.forward(X), self.output, self.dtype)

    def __repr__(self) -> str:
        return f"MLP([{', '.join(map(repr, self.layers))}], dtype={self.dtype.name!r})"


def answers(outputs: Array, activation: Activation, dtype: Any) -> Array:
    """What `predict` makes of outputs (n, units) of that activation: labels (n,), or the outputs themselves."""
    if activation.name == "softmax" and np.isnan(outputs).any():
        row = int(np.isnan(outputs).any(axis=1).argmax())
        raise ValueError(
            f"X: the outputs are NaN at example {row:,}, so that there is no class to predict: its values or the weights are "
            f"too large for {dtype}"
        )
    return labels_from(outputs) if activation.name in ("softmax", "logistic") else outputs


def labels_from(outputs: Array) -> Array:
    """Class labels (n,) from outputs (n, units): the largest one's number; of a single one, whether it is above ½."""
    labels: Array = (outputs[:, 0] > 0.5).astype(np.intp) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    return labels


def check_input(inputs: Any, features: int, dtype: Any) -> Array:
    """X as an array (n, features) of real numbers that are finite in dtype, or an error that says what is wrong with it."""
    try:
        X: Array = np.asarray(inputs)  # which leaves memory-mapped arrays mapped
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"X: received {shown(inputs)}, but it must be an array (examples, {features})") from error
    if X.ndim != 2:
        raise ValueError(f"X: received shape {X.shape}, but it must be (examples, {features})")
    if X.shape[1] != features:
        raise ValueError(
            f"X: received {X.shape[1]} features, shape {X.shape}, but the network takes {features}: (examples, {features})"
        )
    if len(X) == 0:
        raise ValueError(f"X: received no examples, shape {X.shape}, but at least one is needed")
    if X.dtype.kind not in "buif":
        raise TypeError(f"X: received dtype {X.dtype}, but it must be real numbers (8-bit unsigned: pixel intensities)")
    if X.dtype.kind == "f":
        for start in range(0, len(X), CHUNK):
            with np.errstate(over="ignore"):
                finite = np.isfinite(X[start : start + CHUNK].astype(dtype, copy=False))
            if not finite.all():
                row, column = np.argwhere(~finite)[0]
                raise ValueError(
                    f"X: received {X[start + row, column]} at example {start + row:,}, feature {column:,}, "
                    f"but every value must be finite in {np.dtype(dtype)}"
                )
    return X


def copy_input(rows: Array, out: Array) -> None:
    """out ← rows, (n, features), in out's dtype; 8-bit unsigned rows are scaled from 0 … 255 to 0 … 1."""
    if rows.dtype == np.uint8:
        np.multiply(rows, out.dtype.type(1 / 255), out=out)
    else:
        out[...] = rows


def _dtype_name(dtype: Any) -> str:
    """How a dtype in any of numpy's spellings is called, for `check_name`."""
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return str(dtype)


def _described(layers: Sequence[int] | Sequence[Dense], hidden: Any, output: Any) -> list[Dense]:
    """The layers that the arguments of `MLP` describe, checked to fit on each other."""
    if isinstance(layers, str) or not isinstance(layers, Sequence | np.ndarray) or len(layers) == 0:
        raise TypeError(f"layers: received {shown(layers)}, but it must be sizes, [784, 256, 10], or Dense layers")
    given = [layer for layer in layers if isinstance(layer, Dense)]
    if given:
        if len(given) != len(layers):
            raise TypeError("layers: received both sizes and Dense layers, but they must be all of one kind")
        for number, (below, above) in enumerate(pairwise(given), 1):
            if above.fan_in != below.units:
                raise ValueError(
                    f"layers: layer {number + 1} takes {above.fan_in} inputs, but layer {number} has {below.units} units"
                )
        return given
    sizes = [check_integer(f"layers[{i}]", size, at_least=1) for i, size in enumerate(layers)]
    if len(sizes) < 2:
        raise ValueError(f"layers: received {shown(list(layers))}, but it needs an input and an output size at least")
    count = len(sizes) - 2
    per_layer = list(hidden) if isinstance(hidden, list | tuple) else [activations.get(hidden, "hidden")] * count
    if len(per_layer) != count:
        raise ValueError(f"hidden: received {len(per_layer)} activations, but there are {count} hidden layers")
    chosen = [activations.get(a, "hidden") for a in per_layer] + [activations.get(output, "output")]
    return [Dense(n_in, n_out, a) for (n_in, n_out), a in zip(pairwise(sizes), chosen, strict=True)]
