"""`Dense`, a fully connected layer: W, b and the three verbs of the backpropagation lecture, in batched matrix form.

Rows are examples. The lectures write columns, z = Wa + b; a batch of rows is their transpose, Z = A Wᵀ + b.
Other kinds of layer need the same three verbs (forward, propagate, gradient), `at`, `size` and `initialize`.
"""

from copy import copy
from typing import Any, Self

import numpy as np

from mlp import activations, initializers
from mlp.blas import Array, add_column_sums, gemm
from mlp.checks import check_integer


class Dense:
    """A layer of `units` units, each connected to all `fan_in` inputs.

    W (units, fan_in) and b (units,) are windows onto one vector of `size` numbers, the layer's own zeros at first. A
    network makes layers of its own from those it is given, with windows onto its θ and weights drawn anew: they are
    `net.layers`. Row j of W is what unit j looks for in its input.

    Args:
        fan_in: number of inputs.
        units: number of outputs.
        activation: a name, or an object with value(z) and derivative(z).
        init: how W is drawn: a name, or a function (n_in, n_out, rng) -> (n_out, n_in). None: the network's choice.
    """

    def __init__(self, fan_in: int, units: int, activation: Any = "identity", init: Any = None):
        self.fan_in = check_integer("fan_in", fan_in, at_least=1)
        self.units = check_integer("units", units, at_least=1)
        self.activation = activations.get(activation)
        self.init = None if init is None else initializers.get(init)
        self._open_windows(np.zeros(self.size))

    @property
    def size(self) -> int:
        """How many parameters the layer has."""
        return self.units * self.fan_in + self.units

    def _open_windows(self, vector: Array) -> None:
        self.W = vector[: self.units * self.fan_in].reshape(self.units, self.fan_in)
        self.b = vector[self.units * self.fan_in :]

    def at(self, vector: Array) -> Self:
        """The same layer with its windows on another vector (size,); no number is copied."""
        layer = copy(self)
        layer._open_windows(vector)
        return layer

    def initialize(self, rng: np.random.Generator, init: Any = "glorot_uniform") -> None:
        """Draw W anew, by the layer's own initialiser or else by `init`; b ← 0."""
        W = (self.init or initializers.get(init))(self.fan_in, self.units, rng)
        if np.shape(W) != self.W.shape:
            raise ValueError(f"init: returned W of shape {np.shape(W)}, but it must be {self.W.shape}")
        with np.errstate(over="ignore"):
            drawn = np.asarray(W).astype(self.W.dtype, copy=False)
        if not np.isfinite(drawn).all():
            raise ValueError(
                f"init: returned {np.asarray(W)[~np.isfinite(drawn)][0]}, but weights must be finite in {drawn.dtype}"
            )
        self.W[...] = drawn
        self.b[...] = 0

    def forward(self, A: Array, out: Array) -> None:
        """out ← Z = A Wᵀ + b: from the activations below (n, fan_in) to the weighted inputs (n, units)."""
        out[...] = self.b
        gemm(1.0, A, self.W.T, 1.0, out)

    def propagate(self, Delta: Array, out: Array) -> None:
        """out ← Δ W: the error (n, units) sent to the layer below (n, fan_in), before that layer's σ′."""
        gemm(1.0, Delta, self.W, 0.0, out)

    def gradient(self, Delta: Array, A: Array, ones: Array, alpha: float, beta: float, decay: float = 0.0) -> None:
        """W ← βW + decay·W + α ΔᵀA and b ← βb + α Σ rows of Δ, for this layer's own windows.

        Δ (n, units) and A (n, fan_in) come from a pass; ones is (n,). On a layer with windows on a gradient vector this
        adds up ∂C/∂W and ∂C/∂b; on one with windows on θ itself, with α = −η/n, β = 1 and decay = −ηλ, the same two
        products are the step of gradient descent, and no gradient is ever stored.
        """
        gemm(alpha, Delta.T, A, beta + decay, self.W)
        add_column_sums(alpha, Delta, ones, beta, self.b)

    def __repr__(self) -> str:
        return f"Dense({self.fan_in}, {self.units}, {self.activation.name!r})"
