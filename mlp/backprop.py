"""Backpropagation: the forward pass, the backward pass (the δ recursion), and the arrays they run over. Start here.

Notation is the lecture's: examples are columns (n of them), ℓ = 1 … L layers and ⊙ the element-wise product:

    A⁰ = Xᵀ,  Z^ℓ = W^ℓ A^{ℓ−1} + b^ℓ,  A^ℓ = σ_ℓ(Z^ℓ)                            forward
    Δ^L = ∇ₐC ⊙ σ′(Z^L),  Δ^ℓ = (W^{ℓ+1})ᵀ Δ^{ℓ+1} ⊙ σ′(Z^ℓ)                      backward
    ∂C/∂W^ℓ = (1/n) Δ^ℓ (A^{ℓ−1})ᵀ,  ∂C/∂b^ℓ = (1/n) Σ columns of Δ^ℓ             gradients

(Nielsen, Neural Networks and Deep Learning, ch. 2, BP1 to BP4, of one example each.)

What a layer computes is its own affair (layers/); here each is three verbs: forward, propagate, gradient. The output
error Δ^L is the cost's affair (costs/), and who calls these passes over which examples is objective.py's. What a batch goes
through may have more layers than the network has: dropout, the turning of images (layers/turn.py) and a row of layers that
takes a few examples at a time (microbatches.py) are layers too, with the same verbs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.layers import Layer

#: How many examples go through the network at a time where there may be many, and how many bytes they may take.
CHUNK, CHUNK_BYTES = 1024, 1 << 27


class Buffers:
    """The arrays of one forward and backward pass over n examples, made once and used again and again.

    Index ℓ is the layer's number in the equations, 1 … L, and 0 the input:

        A[ℓ]       (units of layer ℓ, n), A[0] = Xᵀ, (features, n), a view of the rows X, (n, features)
        Z[ℓ]       as A[ℓ], whose memory it shares in hidden layers whose σ′ can be told from A alone
        Delta[ℓ]   as A[ℓ], for each layer that has parameters and all above it (0, the input, on request)
        scratch[ℓ] whatever layer ℓ needs besides (`Layer.scratch`)
        spare      room for σ′, as large as the widest A of a layer

    Without `learning` there are no Δ, for passes that only go forward.
    """

    def __init__(self, layers: Sequence[Layer], n: int, dtype: Any, learning: bool = True, to_input: bool = False):
        self.n = n
        #: Below this layer, the lowest with parameters, no error is needed.
        self.lowest = 0 if to_input else next((l for l, layer in enumerate(layers, 1) if layer.size), len(layers))
        widths = [layers[0].fan_in, *(layer.units for layer in layers)]
        self.X: Any = layers[0].inputs(n, dtype)
        self.A: list[Array] = [self.X.T]
        for layer in layers:
            below = self.A[-1]
            self.A.append(np.empty_like(below) if layer.elementwise else np.empty((layer.units, n), dtype))
        keeps_z = [False, *(layer.activation.keeps_z or layer is layers[-1] for layer in layers)]
        self.Z = [np.empty_like(A) if own else A for A, own in zip(self.A, keeps_z, strict=True)]
        self.Delta = [np.empty((width, n if learning and l >= self.lowest else 0), dtype) for l, width in enumerate(widths)]
        self.scratch = [None, *(layer.scratch(n, dtype) for layer in layers)]
        self._spare = np.empty(n * (max(widths[1:]) if learning else widths[-1]), dtype)

    def spare(self, like: Array) -> Array:
        """Room in the shape of an array of this pass."""
        return self._spare[: like.size].reshape(like.shape)


def forward_pass(layers: Sequence[Layer], of: Buffers) -> None:
    """From A⁰ to A^L (or as far as the layers given go)."""
    for l, layer in enumerate(layers, 1):
        layer.forward(of.A[l - 1], of.Z[l], of.scratch[l])  # Z^ℓ = W^ℓ A^{ℓ−1} + b^ℓ            (units, n)
        layer.activation.value(of.Z[l], of.A[l])  # A^ℓ = σ(Z^ℓ)                                 (units, n)


def backward_pass(layers: Sequence[Layer], of: Buffers) -> None:
    """The δ recursion: from Δ^L, which the cost has put into Delta[L], down to Δ^lowest."""
    for l in range(len(layers) - 1, of.lowest - 1, -1):
        layers[l].propagate(of.Delta[l + 1], of.Delta[l], of.scratch[l + 1])  # (W^{ℓ+1})ᵀ Δ^{ℓ+1}
        if l > 0:  # the input is no layer, and has no σ
            layers[l - 1].activation.backward(of.Delta[l], of.Z[l], of.A[l], of.spare(of.A[l]))  # ⊙ σ′(Z^ℓ)


def add_gradients(layers: Sequence[Layer], of: Buffers, alpha: float) -> None:
    """Add α Δ^ℓ (A^{ℓ−1})ᵀ and its like to each layer's parameters, after both passes.

    The layers' parameters are views of a gradient vector; or, for a step of gradient descent through layers that allow it
    (`Layer.adds_in_place`), of θ itself: nothing reads θ after the backward pass.
    """
    for l, layer in enumerate(layers, 1):
        if layer.size:
            layer.gradient(of.Delta[l], of.A[l - 1], alpha, of.scratch[l])


def chunk_size(layers: Sequence[Layer], dtype: Any) -> int:
    """How many examples to take through these layers at a time, so that memory stays bounded whatever their number."""
    return max(1, min(CHUNK, CHUNK_BYTES // bytes_each(layers, dtype)))


def bytes_each(layers: Sequence[Layer], dtype: Any) -> int:
    """How much memory an example takes on its way through both passes, about."""
    inputs: int = layers[0].inputs(1, dtype).size
    numbers = 3 * (inputs + sum(layer.units for layer in layers)) + sum(layer.scratch_numbers for layer in layers)
    return numbers * int(np.dtype(dtype).itemsize)
