"""`Conv`, a convolutional layer: one W, shared by all windows of the image, and the same three verbs as `Dense`.

Each unit of a map sees one window of its input, K rows and columns of all channels, through the same row of W:

    Z[h, w] = W · window[h, w] + b                    for every place (h, w): a product as Dense's, over every window
    window's error  +=  Wᵀ Δ[h, w]                    the error goes back through the same windows, which overlap
    ∂C/∂W = Σ Δ[h, w] · window[h, w]ᵀ                 since W is shared, its gradient sums over all places

How a window is had as a matrix without copying it out ("im2col" makes K² copies of the image): inside, an image lies as
[row][column][channel][example]. Only the kernel's columns are lowered, K copies:

    L[w][row] = image[row][w·S : w·S + K]             [column of the output][row][kernel's column][channel][example]

and then window (h, w), of all n examples at once, is L[w][h·S : h·S + K] as it lies: a (K·K·channels, n) matrix without
gaps, its rows in W's own order: kernel's row, kernel's column, channel.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mlp import activations, initializers
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import check_integer
from mlp.layers.base import Layer, Shapes, read_description
from mlp.layers.dense import MOST_UNITS
from mlp.layers.windows import ImageLayer, Windows, brief, check_padding, check_pair, zeros_around
from mlp.strided import gemms


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
        layer = self.over(Windows(image, self.window, self.stride, padding), self.maps)
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
        drawn = (self.init or initializers.get(init))(area * self.in_shape[2], area * self.maps, rng)
        self.draw_into("W", drawn[: self.maps])
        self.b[...] = 0

    # The three verbs

    def scratch(self, n: int, dtype: Any) -> "Lowered":
        """The input as its windows are read, and the error as theirs is added up."""
        return Lowered(self.windows, n, dtype)

    def forward(self, A: Array, out: Array, scratch: "Lowered") -> None:
        """out ← Z = W · window + b at every place: from images (h·w·channels, n) to maps (h′·w′·maps, n)."""
        scratch.lower(A)
        Z = self._places(out)
        gemms(1.0, self.W, scratch.windows, 0.0, Z)
        Z += self.b[:, None]

    def propagate(self, Delta: Array, out: Array, scratch: "Lowered") -> None:
        """out ← Σ Wᵀ Δ over the places whose windows saw it, (h·w·channels, n), before the layer below applies its σ′."""
        scratch.errors[...] = 0
        gemms(1.0, self.W.T, self._places(Delta), 1.0, scratch.error_windows)
        scratch.raise_errors(out)

    def gradient(self, Delta: Array, A: Array, alpha: float, scratch: "Lowered") -> None:
        """W ← W + α Σ Δ · windowᵀ over all places, and b ← b + α Σ Δ; the windows are those of the forward pass."""
        gemms(alpha, self._places(Delta), scratch.windows.swapaxes(-1, -2), 1.0, self.W)
        self.b += alpha * Delta.reshape(-1, self.maps, Delta.shape[1]).sum(axis=(0, 2))

    def add_squares(self, Delta: Array, A: Array, scratch: "Lowered") -> None:
        scratch.changes.lower(A**2)
        self.gradient(Delta**2, A, 1.0, scratch.changes)

    def linearised(self) -> Layer:
        return ConvAlong(self)

    def _places(self, Z: Array) -> Array:
        """Z or Δ (units, n) by place: a view (columns, rows, maps, n)."""
        return Z.reshape(*self.out_shape, Z.shape[1]).swapaxes(0, 1)

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

    def forward(self, A: Array, out: Array, scratch: "Lowered") -> None:
        self.of.forward(A, out, scratch.changes)

    def propagate(self, Delta: Array, out: Array, scratch: "Lowered") -> None:
        self.of.propagate(Delta, out, scratch)

    def gradient(self, Delta: Array, A: Array, alpha: float, scratch: "Lowered") -> None:
        self.of.gradient(Delta, A, alpha, scratch.changes)


class Lowered:
    """Images of n examples, [row][column][channel][example] with zeros around them, lowered so that windows are matrices.

    `windows` and `error_windows` are views (columns, rows, K·K·channels, n) by place; those of neighbouring rows overlap.
    """

    def __init__(self, windows: Windows, n: int, dtype: Any):
        self.geometry = windows
        (height, width), channels = windows.padded, windows.image[2]
        self.shape = windows.places[1], height, windows.size[1], channels, n
        self.frame = np.zeros((height, width, channels, n), dtype)  # whose border stays 0
        self.lowered = np.empty(self.shape, dtype)
        self.windows = self._by_place(self.lowered)

    @cached_property
    def errors(self) -> Array:
        """Room for the error of what is lowered: the first layer needs none."""
        return np.empty(self.shape, self.frame.dtype)

    @cached_property
    def error_windows(self) -> Array:
        return self._by_place(self.errors)

    @cached_property
    def changes(self) -> "Lowered":
        """A second room, for what isn't the pass's own: only curvature needs it."""
        return Lowered(self.geometry, self.shape[-1], self.frame.dtype)

    def _by_place(self, lowered: Array) -> Array:
        """The windows as they lie in what is lowered."""
        of, n = self.geometry, lowered.shape[-1]
        (rows, columns), inputs = of.places, of.size[0] * of.size[1] * of.image[2]
        column, row, _, _, example = lowered.strides
        return as_strided(lowered, (columns, rows, inputs, n), (column, of.stride[0] * row, n * example, example))

    def _inside(self) -> Array:
        """The images without the zeros around them."""
        (top, _), (left, _) = self.geometry.padding
        height, width, _ = self.geometry.image
        return self.frame[top : top + height, left : left + width]

    def _by_column(self, lowered: Array, images: Array) -> Iterator[tuple[Array, Array]]:
        """For each column of places, what is lowered and where in the images it is from."""
        step, wide = self.geometry.stride[1], self.geometry.size[1]
        for w, column in enumerate(lowered):
            yield column, images[:, w * step : w * step + wide]

    def lower(self, A: Array) -> None:
        """Copy the kernel's columns of each place out of images A (h·w·channels, n)."""
        images = A.reshape(*self.geometry.image, A.shape[1])
        if images.shape != self.frame.shape or not A.flags.c_contiguous:
            self._inside()[...] = images
            images = self.frame
        for column, source in self._by_column(self.lowered, images):
            column[...] = source

    def raise_errors(self, out: Array) -> None:
        """Undo the lowering: add up in out (h·w·channels, n) what each copy of a pixel has gathered of the error."""
        images = out.reshape(*self.geometry.image, out.shape[1])
        raised = images if images.shape == self.frame.shape else np.zeros_like(self.frame)
        raised[...] = 0
        for column, target in self._by_column(self.errors, raised):
            target += column
        if raised is not images:
            (top, _), (left, _) = self.geometry.padding
            images[...] = raised[top : top + images.shape[0], left : left + images.shape[1]]
