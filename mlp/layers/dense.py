"""`Dense`, a fully connected layer: W, b and the three verbs of the backpropagation lecture, in batched matrix form.

Examples are columns, as the lectures write them: z = W a + b for one, Z = W A + b for n of them.
"""

from copy import copy
from typing import Any, ClassVar, Self

import numpy as np

from mlp import activations, initializers
from mlp.blas import Array, gemm, gemv
from mlp.checks import check_integer
from mlp.layers.base import Layer, Shapes

#: What BLAS can count.
MOST_UNITS = (1 << 31) - 1


class Dense(Layer):
    """A layer of `units` units, each connected to all `fan_in` inputs. Row j of W is what unit j looks for in its input.

    Args:
        fan_in: number of inputs.
        units: number of outputs.
        activation: a name, or an object with value(z) and derivative(z).
        init: how W is drawn: a name, or a function (n_in, n_out, rng) -> (n_out, n_in). None: the network's choice.

    Attributes:
        W, b: weights (units, fan_in) and biases (units,), views of the network's θ; zeros in a layer by itself.
    """

    kind: ClassVar[str] = "dense"
    decayed = ("W",)
    normed = ("W",)
    adds_in_place = True
    W: Array
    b: Array

    def __init__(self, fan_in: int, units: int, activation: Any = "identity", init: Any = None):
        self.fan_in = check_integer("fan_in", fan_in, at_least=1, at_most=MOST_UNITS)
        self.units = check_integer("units", units, at_least=1, at_most=MOST_UNITS)
        self.activation = activations.get(activation)
        self.init = None if init is None else initializers.get(init)

    def shapes(self) -> Shapes:
        return {"W": (self.units, self.fan_in), "b": (self.units,)}

    def initialize(self, rng: np.random.Generator, init: Any = "glorot_uniform") -> None:
        """Draw W anew, by the layer's own initialiser or else by `init`; b ← 0."""
        self.draw_into("W", (self.init or initializers.get(init))(self.fan_in, self.units, rng))
        self.b[...] = 0

    def scratch(self, n: int, dtype: Any) -> Array:
        """Ones (n,): a sum over examples is a product with them."""
        return np.ones(n, dtype)

    def forward(self, A: Array, out: Array, scratch: Array) -> None:
        """out ← Z = W A + b: from the activations below (fan_in, n) to the weighted inputs (units, n)."""
        out[...] = self.b[:, None]
        gemm(1.0, self.W, A, 1.0, out)

    def propagate(self, Delta: Array, out: Array, scratch: Array) -> None:
        """out ← Wᵀ Δ: the error (units, n) sent to the layer below (fan_in, n), before that layer's σ′."""
        gemm(1.0, self.W.T, Delta, 0.0, out)

    def gradient(self, Delta: Array, A: Array, alpha: float, scratch: Array) -> None:
        """W ← W + α Δ Aᵀ and b ← b + α Σ columns of Δ, with Δ (units, n) and A (fan_in, n) of a pass.

        On a layer with views of a gradient vector this adds up ∂C/∂W and ∂C/∂b; on one with views of θ itself and
        α = −η/n, the same two products are the step of gradient descent, and no gradient is ever stored.
        """
        gemm(alpha, Delta, A.T, 1.0, self.W)
        gemv(alpha, Delta, scratch, 1.0, self.b)

    def linearised(self) -> Self:
        """Z = W A, with gradients of W alone: what goes to b goes to zeros of its own."""
        layer = copy(self)
        layer.b = np.zeros_like(self.b)
        return layer

    def __repr__(self) -> str:
        return f"Dense({self.fan_in}, {self.units}, {self.activation.name!r})"
