"""`Lowered`: a batch of images, laid out so that all windows of a row of places are one matrix as it lies.

Images lie [row][channel][column][example] (turn.py). Only the kernel's columns are lowered, K copies instead of the K² of
"im2col": the k-th copy holds what the kernel's column k sees from each column of places,

    L[row][k][channel][column of places][example] = image[row][channel][column of places · S + k][example]

and then the windows of row h of places are L[h·S : h·S + K] as it lies: a matrix without gaps, its rows in W's own order
(kernel's row, kernel's column, channel), and a column for each place of the row and each example. The next row's matrix
begins S rows further on; the two overlap.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mlp.blas import Array
from mlp.layers.windows import Windows


class Lowered:
    """Room for n images as the kernel's columns see them, and for their errors.

    Attributes:
        lowered: L, (padded height, K, channels, columns of places, n); where there is padding, zeros remain.
        windows: its matrices, (rows of places, K·K·channels, columns·n); those of neighbouring rows overlap.
        ones: as many as there are columns and examples: a sum over them is a product.
    """

    def __init__(self, windows: Windows, n: int, dtype: Any):
        self.of, self.n = windows, n
        (rows, columns), (high, wide), channels = windows.places, windows.size, windows.image[2]
        self.lowered = np.zeros((windows.padded[0], wide, channels, columns, n), dtype)
        row, _, input_, _, number = self.lowered.strides
        shape, strides = (rows, high * wide * channels, columns * n), (windows.stride[0] * row, input_, number)
        self.windows = as_strided(self.lowered, shape, strides)
        self.ones = np.ones(columns * n, dtype)

    @cached_property
    def errors(self) -> Array:
        """Room for the error of what is lowered: the first layer needs none. A matrix for each row of the padded image,
        (padded height, K·channels, columns·n)."""
        return np.empty((len(self.lowered), self.windows.shape[1] // self.of.size[0], len(self.ones)), self.lowered.dtype)

    @cached_property
    def changes(self) -> "Lowered":
        """A second room, for what isn't the pass's own: only curvature needs it."""
        return Lowered(self.of, self.n, self.lowered.dtype)

    def lower(self, A: Array) -> None:
        """Copy what the kernel's columns see out of images A (h·channels·w, n)."""
        images = self._as_images(A)
        for copy, columns in self._copies(self.lowered):
            copy[...] = images[:, :, columns]

    def raise_errors(self, out: Array) -> None:
        """Undo the lowering: add up in out (h·channels·w, n) what each copy of a pixel has gathered of the error."""
        images = self._as_images(out)
        images[...] = 0
        for copy, columns in self._copies(self.errors.reshape(self.lowered.shape)):
            images[:, :, columns] += copy

    def _as_images(self, A: Array) -> Array:
        height, width, channels = self.of.image
        return A.reshape(height, channels, width, self.n)

    def _copies(self, lowered: Array) -> Iterator[tuple[Array, slice]]:
        """For each of the kernel's columns, its copy but for the padding, (height, channels, columns, n), and which columns
        of the images that is from."""
        (height, width, _), ((top, _), (left, _)), step = self.of.image, self.of.padding, self.of.stride[1]
        for k in range(self.of.size[1]):
            first = max(0, -(-(left - k) // step))  # so that first · step + k − left is a column of the image
            end = min(self.of.places[1], (width - 1 + left - k) // step + 1)
            if first < end:
                start = first * step + k - left
                columns = slice(start, start + (end - first - 1) * step + 1, step)
                yield lowered[top : top + height, k, :, first:end], columns
