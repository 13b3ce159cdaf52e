"""`Conv`, a convolutional layer: one W, shared by all windows of the image, and the same three verbs as `Dense`.

Each unit of a map sees one window of its input, K rows and columns of all channels, through the same row of W:

    Z[h] = W · windows[h] + b                  for each row h of places: Dense's product, over all windows of the row
    error of row r = Σ Wᵀ Δ[h]                 the error goes back through the same windows: to r from each h that saw it
    ∂C/∂W = Σ Δ[h] · windows[h]ᵀ               since W is shared, its gradient sums over all places

A window is K rows of K columns of all channels, in this order in W too. How the windows of a whole row are had as one matrix
without copying each of them out ("im2col" makes K² copies of the image): lowered.py.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np

from mlp import activations, initializers
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import check_integer
from mlp.layers.base import Layer, Shapes, read_description, show_shape
from mlp.layers.dense import MOST_UNITS
from mlp.layers.lowered import Lowered
from mlp.layers.windows import ImageLayer, Windows, brief, check_padding, check_pair, zeros_around
from mlp.strided import add_products


class Conv(ImageLayer):
    """A layer of `maps` maps, each a picture of where in the image its filter found what it looks for.

    Args:
        maps: how many filters there are.
        kernel: a filter's rows and columns, a number or a pair.
        activation: a name, or an object with value(z) and derivative(z). None: the network's `hidden`.
        stride: by how many rows and columns the window moves, a number or a pair.
        padding: how many rows and columns of zeros are around the image, a number or a pair; "valid" is 0, and "same"
            gives as many places as the image has rows and columns, divided by the stride.
        init: how W is drawn: a name, or a function (n_in, n_out, rng) -> (n_out, n_in), asked for the fan-in and fan-out
            that Glorot and He count, K·K·channels and K·K·maps; its first rows are taken. None: the network's choice.

    Attributes:
        W, b: filters (maps, K·K·channels), each row by row, channels last, and biases (maps,); views of the network's θ.
    """

    kind: ClassVar[str] = "conv"
    decayed = ("W",)
    normed = ("W",)
    adds_in_place = True
    W: Array
    b: Array

    def __init__(self, maps: int, kernel: Any, activation: Any = None, stride: Any = 1, padding: Any = 0, init: Any = None):
        self.maps = check_integer("maps", maps, at_least=1, at_most=MOST_UNITS)
        self.window = check_pair("kernel", kernel, at_least=1)
        self.stride = check_pair("stride", stride, at_least=1)
        self.padding = check_padding("padding", padding)
        self.own_activation = None if activation is None else activations.get(activation)
        self.activation = self.own_activation or activations.get("identity")
        self.init = None if init is None else initializers.get(init)

    def placed(self, shape: tuple[int, ...], hidden: Activation) -> Self:
        """The layer on images of that shape, with `hidden` for an activation where it has none of its own."""
        image = self.image_of(shape)
        padding = zeros_around(self.padding, image, self.window, self.stride)
        windows = Windows(image, self.window, self.stride, padding)
        inputs = self.window[0] * self.window[1] * image[2]
        if inputs > MOST_UNITS:
            raise ValueError(
                f"kernel: its window on {show_shape(image)} has {inputs:,} inputs, but it must have at most {MOST_UNITS:,}"
            )
        layer = self.over(windows, self.maps)
        layer.activation = layer.own_activation = self.own_activation or hidden
        return layer

    def shapes(self) -> Shapes:
        return {"W": (self.maps, self.window[0] * self.window[1] * self.in_shape[2]), "b": (self.maps,)}

    @property
    def multiply_adds(self) -> int:
        return self.units * self.window[0] * self.window[1] * self.in_shape[2]

    def initialize(self, rng: np.random.Generator, init: Any = "glorot_uniform") -> None:
        """Draw W anew, by the layer's own initialiser or else by `init`; b ← 0."""
        area = self.window[0] * self.window[1]
        fans = area * self.in_shape[2], area * self.maps
        self.draw_into("W", initializers.draw_rows(self.init or initializers.get(init), self.maps, *fans, rng))
        self.b[...] = 0

    # The three verbs

    def scratch(self, n: int, dtype: Any) -> Lowered:
        """The input as its windows are read, and the error as theirs is added up."""
        return Lowered(self.windows, n, dtype)

    @property
    def scratch_numbers(self) -> int:
        return 2 * self.windows.padded[0] * self.window[1] * self.in_shape[2] * self.out_shape[1]

    def forward(self, A: Array, out: Array, scratch: Lowered) -> None:
        """out ← Z = W · window + b at every place: from images (h·channels·w, n) to maps (h′·maps·w′, n)."""
        scratch.lower(A)
        Z = self._by_row(out)
        np.matmul(self.W, scratch.windows, out=Z)
        Z += self.b[:, None]

    def propagate(self, Delta: Array, out: Array, scratch: Lowered) -> None:
        """out ← Σ Wᵀ Δ over the places whose windows saw it, before the layer below applies its σ′.

        A row of the image was seen by a few rows of places, by each through another row of the kernel: one product for all.
        """
        by_row, (high, _), step = self._by_row(Delta), self.window, self.stride[0]
        # (K, maps, K·channels), the kernel's last row first: an image's row is seen by the next place through an earlier one
        W = np.ascontiguousarray(self.W.reshape(self.maps, high, -1).swapaxes(0, 1)[::-1])
        for row, error in enumerate(scratch.errors):
            first = max(0, (row - high) // step + 1)  # the first row of places that saw it, and the last one
            last = min(row // step, len(by_row) - 1)
            if first > last:
                error[...] = 0
                continue
            through = W[high - 1 - row + first * step :: step][: last + 1 - first].reshape(-1, len(error))
            np.matmul(through.T, by_row[first : last + 1].reshape(len(through), -1), out=error)
        scratch.raise_errors(out)

    def gradient(self, Delta: Array, A: Array, alpha: float, scratch: Lowered) -> None:
        """W ← W + α Σ Δ · windowᵀ over all places, and b ← b + α Σ Δ; the windows are those of the forward pass."""
        by_row = self._by_row(Delta)
        add_products(alpha, by_row, scratch.windows.swapaxes(1, 2), self.W)
        self.b += alpha * (by_row @ scratch.ones).sum(axis=0)

    def add_squares(self, Delta: Array, A: Array, scratch: Lowered) -> None:
        scratch.changes.lower(A**2)
        self.gradient(Delta**2, A, 1.0, scratch.changes)

    def linearised(self) -> Layer:
        return ConvAlong(self)

    def _by_row(self, Z: Array) -> Array:
        """Z or Δ (units, n) by rows of places: (rows, maps, columns·n)."""
        return Z.reshape(self.out_shape[0], self.maps, -1)

    # Files

    def describe(self) -> dict[str, Any]:
        return {
            "in_shape": list(self.in_shape),
            "maps": self.maps,
            "kernel": list(self.window),
            "stride": list(self.stride),
            "padding": self.padding if isinstance(self.padding, str) else list(self.padding),
            "activation": self.activation.name,
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any], known: Mapping[str, Activation]) -> Self:
        of = read_description(
            cls, description, in_shape=list, maps=int, kernel=list, stride=list, padding=list | str, activation=str
        )
        activation = activations.find(of["activation"], known)
        layer = cls(of["maps"], of["kernel"], activation, of["stride"], of["padding"])
        return layer.placed(tuple(of["in_shape"]), activation)

    def arguments(self) -> dict[str, Any]:
        own: dict[str, Any] = {"maps": self.maps, "kernel": brief(self.window)}
        own |= {} if self.own_activation is None else {"activation": self.own_activation.name}
        own |= {} if self.stride == (1, 1) else {"stride": brief(self.stride)}
        return own | ({} if self.padding in ((0, 0), "valid") else {"padding": brief(self.padding)})


class ConvAlong(Layer):
    """`Conv` as it acts on changes R{A} (curvature.py): Z = W · window, with gradients of W alone.

    Changes are lowered into a room of their own: the windows that the pass has left in scratch are read again.
    """

    def __init__(self, of: Conv):
        self.of = copy(of)
        self.of.b = np.zeros_like(of.b)

    def forward(self, A: Array, out: Array, scratch: Lowered) -> None:
        self.of.forward(A, out, scratch.changes)

    def propagate(self, Delta: Array, out: Array, scratch: Lowered) -> None:
        self.of.propagate(Delta, out, scratch)

    def gradient(self, Delta: Array, A: Array, alpha: float, scratch: Lowered) -> None:
        self.of.gradient(Delta, A, alpha, scratch.changes)
