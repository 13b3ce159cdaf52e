"""`DenseOfSparse`, which stands in the place of a first Dense layer during passes over a sparse X. `on_inputs` puts it there,
and that is all that passes know of it.
"""

from collections.abc import Sequence
from typing import Any

from mlp.blas import Array, gemv
from mlp.checks import is_sparse
from mlp.layers.base import Layer
from mlp.layers.dense import Dense
from mlp.sparse import SparseRows


class DenseOfSparse(Dense):
    """A first layer as it acts on sparse examples: its A is `SparseRows`. W and b are those of the layer it stands for."""

    def __init__(self, layer: Dense):
        vars(self).update(vars(layer))

    def inputs(self, n: int, dtype: Any) -> Any:
        return SparseRows(n, self.fan_in, dtype)

    def forward(self, A: Any, out: Array, scratch: Array) -> None:
        """out ← Z = W A + b."""
        out[...] = self.b[:, None]
        A.add_forward(self.W, out)

    def gradient(self, Delta: Array, A: Any, alpha: float, scratch: Array) -> None:
        """W ← W + α Δ Aᵀ and b ← b + α Σ columns of Δ."""
        A.add_gradient(alpha, Delta, self.W)
        gemv(alpha, Delta, scratch, 1.0, self.b)


def on_inputs(X: Any, layers: Sequence[Layer]) -> list[Layer]:
    """Those layers as passes over X go through them. A subclass of Dense may do with its inputs what only arrays can do."""
    if is_sparse(X) and type(layers[0]) is Dense:
        return [DenseOfSparse(layers[0]), *layers[1:]]
    return list(layers)
