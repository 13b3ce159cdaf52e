"""How images lie during passes, and `Turn`, the layer that turns them.

To the outside an image lies row by row, channels last: its units are counted [row][column][channel]. During a pass, layers
of images have it [row][channel][column], with all examples of a place next to each other: what a row of windows sees is
then one matrix as it lies (lowered.py), and what they do element by element goes along whole rows. `arranged` puts a
`Turn` wherever the one meets the other, and no layer has to know of it.
"""

from collections.abc import Sequence
from copy import copy
from typing import ClassVar, Self

from mlp import activations
from mlp.blas import Array
from mlp.layers.base import Layer


class Turn(Layer):
    """Swaps two axes of images (rows, columns, channels) or (rows, channels, columns), whichever comes in."""

    inserted: ClassVar[bool] = True

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.fan_in = self.units = shape[0] * shape[1] * shape[2]

    def forward(self, A: Array, out: Array, scratch: None) -> None:
        rows, first, second = self.shape
        out.reshape(rows, second, first, -1)[...] = A.reshape(rows, first, second, -1).swapaxes(1, 2)

    def propagate(self, Delta: Array, out: Array, scratch: None) -> None:
        rows, first, second = self.shape
        out.reshape(rows, first, second, -1)[...] = Delta.reshape(rows, second, first, -1).swapaxes(1, 2)

    def linearised(self) -> Self:
        """The layer itself: it is linear."""
        return self


def arranged(layers: Sequence[Layer]) -> list[Layer]:
    """Those layers, and a `Turn` wherever images must be turned; outputs come as they do of the layers alone.

    An activation of the last layer is its Turn's instead: so that the outputs' Z, which the cost asks for, is turned too.
    """
    stack: list[Layer] = []
    turned: tuple[int, ...] | None = None  # the shape of images that lie [row][channel][column] at this point
    for layer in layers:
        if turned is None and layer.of_images:
            stack.append(Turn(layer.in_shape))
        elif turned is not None and not (layer.of_images or layer.elementwise):
            stack.append(_back(turned))
            turned = None
        stack.append(layer)
        if layer.of_images:
            turned = layer.out_shape
    if turned is not None:
        stack.append(_back(turned))
        if not stack[-2].elementwise:
            last, stack[-2] = stack[-2], copy(stack[-2])
            stack[-1].activation, stack[-2].activation = last.activation, activations.get("identity")
    return stack


def _back(shape: tuple[int, ...]) -> Turn:
    rows, columns, channels = shape
    return Turn((rows, channels, columns))
