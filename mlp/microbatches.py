"""`MicroBatches`: neighbouring layers of images as one layer, which a batch goes through a few examples at a time.

Images are large: a batch of them, with all its maps, is far more than a processor's cache holds, and each verb would fetch
all of it anew. So the batch is cut into micro-batches (Huang et al. 2019, "GPipe"), each of which goes through all these
layers before the next one does; and a few threads take them side by side (threads.py). How it is cut depends on its size
alone, and sums over examples are added up in one order, so that results are the same on any number of threads.

`in_micro_batches` puts such a layer in the place of those that it does the work of. Its verbs are the passes of backprop.py,
over the layers inside.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from mlp.backprop import Buffers, add_gradients, backward_pass, forward_pass
from mlp.blas import Array
from mlp.layers import Layer
from mlp.layers.turn import Turn
from mlp.threads import equal_bounds, one_thread, run

#: A micro-batch has at most so many examples; and a batch is cut in two at least where it is work for two threads, which it is
#: from so many multiplications on (Python's threads can't overlap what is small: each call waits for its turn).
MOST, IN_TWO = 64, 1 << 24

#: So many parts of a batch may be at work at the same time.
MOST_PARTS = 8


def in_micro_batches(stack: Sequence[Layer], learning: bool = True) -> list[Layer]:
    """The stack, with `MicroBatches` in the place of layers of images that follow each other; for passes that go forward
    alone where not `learning`. The last layer stays as it is."""
    grouped: list[Layer] = []
    inside: list[Layer] = []
    for layer in stack:
        if layer is not stack[-1] and (layer.of_images or isinstance(layer, Turn)) and not layer.draws:
            inside.append(layer)
            continue
        if inside:
            grouped.append(MicroBatches(inside, learning, to_input=any(below.size for below in grouped)))
            inside = []
        grouped.append(layer)
    return grouped


class MicroBatches(Layer):
    """Those layers as one: the parameters are theirs.

    Attributes:
        learning: whether there is a backward pass.
        to_input: whether the layers below want an error.
    """

    def __init__(self, layers: Sequence[Layer], learning: bool, to_input: bool):
        self.layers, self.learning, self.to_input = layers, learning, to_input
        self.fan_in, self.units = layers[0].fan_in, layers[-1].units
        self.size = sum(layer.size for layer in layers)

    def scratch(self, n: int, dtype: Any) -> "Cut":
        return Cut(self, n, dtype)

    def forward(self, A: Array, out: Array, scratch: "Cut") -> None:
        def look(part: Part) -> None:
            for columns, of in part.micro_batches:
                of.A[0] = A[:, columns]
                forward_pass(self.layers, of)
                out[:, columns] = of.A[-1]

        scratch.layers, scratch.sent_back = self.layers, False
        scratch.share(look)

    def propagate(self, Delta: Array, out: Array, scratch: "Cut") -> None:
        def send_back(part: Part) -> None:
            for columns, of in part.micro_batches:
                scratch.send_back(Delta[:, columns], of)
                out[:, columns] = of.Delta[0]

        scratch.share(send_back)
        scratch.sent_back = True

    def gradient(self, Delta: Array, A: Array, alpha: float, scratch: "Cut") -> None:
        def add_up(part: Part) -> None:
            part.total[...] = 0
            for columns, of in part.micro_batches:
                if not scratch.sent_back:  # as it is where nothing below wants an error
                    scratch.send_back(Delta[:, columns], of)
                add_gradients(part.layers, of, alpha)

        scratch.share(add_up)
        for part in scratch.parts:
            for layer, share in zip(self.layers, part.layers, strict=True):
                for name, view in layer.parameters().items():
                    view += getattr(share, name)


class Cut:
    """A batch of n examples, cut into parts.

    Attributes:
        layers: those that the forward pass went through, at θ.
        sent_back: whether the errors of this pass are known already.
    """

    layers: Sequence[Layer]
    sent_back: bool

    def __init__(self, of: MicroBatches, n: int, dtype: Any):
        work = n * sum(layer.multiply_adds for layer in of.layers)
        number = max(-(-n // MOST), min(2, n) if work >= IN_TWO else 1)
        micro_batches = [slice(*ends) for ends in pairwise(equal_bounds(n, number))]
        ends_of_parts = equal_bounds(number, min(number, MOST_PARTS))
        self.parts = [Part(of, micro_batches[first:end], dtype) for first, end in pairwise(ends_of_parts)]

    def share(self, verb: Callable[["Part"], None]) -> None:
        """Do it to each part, side by side."""
        with one_thread:
            run([partial(verb, part) for part in self.parts])

    def send_back(self, Delta: Array, of: Buffers) -> None:
        """The δ recursion, from the error at the outputs of a micro-batch down."""
        out, σ = of.Delta[-1], self.layers[-1].activation
        out[...] = Delta
        σ.backward(out, of.Z[-1], of.A[-1], of.spare(out))
        backward_pass(self.layers, of)


class Part:
    """Some micro-batches, one after the other.

    Attributes:
        micro_batches: for each its columns of the batch, and its passes' buffers.
        total, layers: room for its share of the gradient, and that as layers.
    """

    def __init__(self, of: MicroBatches, columns: Sequence[slice], dtype: Any):
        self.micro_batches: list[tuple[slice, Buffers]] = []
        known: dict[int, Buffers] = {}
        for some in columns:
            size = some.stop - some.start
            if of.learning or size not in known:  # the backward pass needs what each has left; the forward pass does not
                known[size] = Buffers(of.layers, size, dtype, of.learning, of.to_input)
            self.micro_batches.append((some, known[size]))
        self.total = np.empty(of.size if of.learning else 0, dtype)
        self.layers: list[Layer] = []
        start = 0
        for layer in of.layers if of.learning else ():
            self.layers.append(layer.at(self.total[start : start + layer.size]))
            start += layer.size
