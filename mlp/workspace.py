"""`Workspace`: batches of examples on their way through a network's layers, and all the memory that this takes.

It is made once for a network and its examples, and kept from call to call. Who owns what: `buffers` the arrays of passes,
by their sizes (backprop.py); `_views` the layers at the last vectors met; `_batches` the room that rows are gathered in; a
layer's own scratch is in the buffers.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlp.backprop import Buffers, chunk_size, forward_pass
from mlp.batches import Batches, Distort
from mlp.blas import Array
from mlp.layers import Dropout, Layer
from mlp.layers.sparse import on_inputs
from mlp.layers.turn import arranged
from mlp.microbatches import in_micro_batches
from mlp.network import MLP
from mlp.noise import Noise, generator
from mlp.penalties import SparseUnits, Sparsity
from mlp.threads import one_thread


class Alone:
    """Lets one call at a time in: `with` it; a second one, from another thread or further up this one, is refused. BLAS has
    no threads of its own meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "objective: is at work already, and its scratch memory serves one call at a time: give each thread an "
                "Objective of its own (copy.copy(objective) shares the examples)"
            )
        one_thread.__enter__()

    def __exit__(self, *_: object) -> None:
        one_thread.__exit__()
        self._lock.release()


class Workspace:
    """What a network's passes over examples need.

    Args:
        net: the network.
        X, Y: inputs (n, features), sparse or not, and targets, (n,) labels or (n, outputs) numbers, or None: the inputs;
            checked.
        weights: the examples' weights (n,), or None.
        distort: what is done to inputs as they are gathered, or None.
        dropout: the rate for each layer's inputs, or None.
        sparsity: which hidden layer is to be sparse, or None.
    """

    def __init__(
        self,
        net: MLP,
        X: Any,
        Y: Array | None,
        weights: Array | None,
        distort: Distort | None,
        dropout: Sequence[float] | None,
        sparsity: Sparsity | None,
    ):
        self.net = net
        self.examples = X.shape[0]
        #: Whether one chunk's gradient may be added straight into θ.
        self.in_place = all(layer.adds_in_place for layer in in_micro_batches(net.layers) if layer.size)
        #: To be held while anything here is in use.
        self.alone = Alone()
        self.sparsity = sparsity
        #: Stands above the layer that is to be sparse; `prepare_sparsity` sets its `gained` before a backward pass.
        self.sparse = None if sparsity is None else SparseUnits(net.layers[sparsity.layer].units)
        self._sparse_above = -1 if sparsity is None else sparsity.layer
        rates = dropout or [0.0] * len(net.layers)
        pairs = zip(net.layers, rates, strict=True)
        self._dropout = [Dropout(layer.fan_in, rate) if rate else None for layer, rate in pairs]
        #: What the lowest layer finds: X as it is; or arrays, where values are dropped, or are targets too.
        self._inputs = None if Y is None or self._dropout[0] is not None else X
        self.chunk = chunk_size(on_inputs(self._inputs, net.layers), net.dtype)
        self._batches = Batches(X, Y, weights, distort)
        self.buffers: dict[tuple[Any, ...], Buffers] = {}
        self._of_images = any(layer.of_images for layer in net.layers)
        self._views: list[tuple[Array, list[Layer]]] = []

    def layers_at(self, vector: Array) -> list[Layer]:
        """The network's layers with views of that vector; the last two are remembered, for θ and what is added up."""
        for known, layers in self._views:
            if known is vector:
                return layers
        layers = self.net.at(vector).layers
        self._views = [(vector, layers), *self._views[:1]]
        return layers

    def stack(self, layers: list[Layer], noise: Noise | None) -> list[Layer]:
        """What a batch goes through: those layers, with `Dropout` below and `SparseUnits` above where they are wanted, and
        images turned as layers want them; over a sparse X, its first layer is for that."""
        layers = on_inputs(self._inputs, layers)
        if self.sparse is None and (noise is None or not any(self._dropout)):
            return arranged(layers) if self._of_images else layers
        stack: list[Layer] = []
        for number, (layer, dropout) in enumerate(zip(layers, self._dropout, strict=True)):
            if dropout is not None and noise is not None:
                stack.append(dropout)
            stack.append(layer)
            if self.sparse is not None and number == self._sparse_above:
                stack.append(self.sparse)
        return arranged(stack)

    def grouped(self, layers: list[Layer], noise: Noise | None, learning: bool = True) -> list[Layer]:
        """The same, with neighbouring layers of images as one."""
        stack = self.stack(layers, noise)
        return in_micro_batches(stack, learning) if self._of_images else stack

    def passes(
        self,
        stack: Sequence[Layer],
        rows: Any,
        noise: Noise | None,
        learning: bool = True,
        to_input: bool = False,
        kept: dict[int, Buffers] | None = None,
    ) -> Iterator[tuple[Buffers, Array, Array | None]]:
        """The rows (all, when None), gathered chunk by chunk into the same buffers, for passes through the stack: (buffers with
        A⁰ filled, targets, weights).

        Given noise, the inputs are distorted and masks are drawn. Targets are labels (n,) or numbers (outputs, n), weights
        (n,) or None. Given `kept`, each chunk has buffers of its own, which are found and left there by the number of the
        chunk's first row.
        """
        n = self.examples if rows is None else len(rows)
        chunk = chunk_size(self.net.layers, self.net.dtype) if to_input else self.chunk  # errors at a sparse X are dense
        rng = None if noise is None else generator(noise)
        for start in range(0, n, chunk):
            stop = min(start + chunk, n)
            chosen = slice(start, stop) if rows is None else rows[start:stop]
            if kept is None:
                buffers = self._buffers_for(stack, stop - start, noise is None, learning, to_input)
            else:
                buffers = kept.get(start) or Buffers(stack, stop - start, self.net.dtype, learning, to_input)
                kept[start] = buffers
            self._batches.inputs(chosen, rng, out=buffers.X)
            if rng is not None:
                for layer, scratch in zip(stack, buffers.scratch[1:], strict=True):
                    layer.draw(scratch, rng)
            weights = self._batches.weights(chosen)
            if self.sparse is not None:
                self.sparse.weights = weights
            yield buffers, self._batches.targets(chosen, buffers.A[0]), weights

    def prepare_sparsity(self, theta: Array, rows: Any, noise: Noise | None, learning: bool = True) -> float:
        """The sparsity penalty over those rows, whose derivative the passes will add to each example's error.

        The penalty is a function of a mean over all rows, so that they pass through the lower layers once before.
        """
        if self.sparsity is None or self.sparse is None:
            return 0.0
        stack = self.stack(self.layers_at(theta), noise)
        below = stack.index(self.sparse)  # so many layers
        total = np.zeros(self.sparse.units)
        n = 0
        for buffers, _, weights in self.passes(stack, rows, noise, learning):
            forward_pass(stack[:below], buffers)
            A = buffers.A[below]
            total += A.sum(axis=1) if weights is None else A @ weights
            n += buffers.n
        tiny = np.finfo(self.net.dtype).eps  # units that are always on or off have a large penalty, not an infinite one
        mean = np.clip(total / n, tiny, 1 - tiny)
        self.sparse.gained = self.sparsity.derivative(mean).astype(self.net.dtype)
        self.sparse.curvature = self.sparsity.curvature(mean)
        return self.sparsity.penalty(mean)

    def _buffers_for(self, stack: Sequence[Layer], n: int, as_is: bool, learning: bool, to_input: bool) -> Buffers:
        """Buffers for n examples on their way through layers of these kinds, which draw nothing where examples are taken as
        they are: the last few are kept."""
        key = n, as_is, learning, to_input, *map(type, stack)
        if key not in self.buffers:
            while len(self.buffers) >= 4:
                del self.buffers[next(iter(self.buffers))]
            self.buffers[key] = Buffers(stack, n, self.net.dtype, learning, to_input)
        return self.buffers[key]
