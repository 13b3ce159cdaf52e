"""`Lowered`: a batch of images, laid out so that all windows of a row of places are one matrix as it lies.

Images come and go as [row][column][channel][example]. Only the kernel's columns are lowered, K copies instead of the K² of
"im2col": the k-th copy holds what the kernel's column k sees from each column of places,

    L[row][k][channel][column of places][example] = image[row][column · S + k][channel][example]

and then the windows of row h of places are L[h·S : h·S + K] as it lies: a matrix without gaps, its rows in W's own order
(kernel's row, kernel's column, channel), and a column for each place of the row and each example. The next row's matrix
begins S rows further on; the two overlap.

The columns of places are cut into parts, which a few threads do side by side (threads.py).
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mlp.blas import Array
from mlp.layers.windows import Windows, cut
from mlp.threads import get_threads, one_thread, run

#: A verb of at least so many multiplications is cut in two, and into more parts where each has so many.
_IN_TWO, _IN_MORE, _MOST_PARTS = 1 << 21, 1 << 26, 8


class Lowered:
    """Room for n images, their windows and what the three verbs make of them.

    Attributes:
        lowered: L, (padded height, K, channels, columns of places, n); where there is padding, zeros remain.
        Z: room for Z or Δ in the order of the products, (rows, maps, columns, n).
        ones: as many as there are columns and examples: a sum over them is a product.
        parts: some columns of places each.
        dW, db: their shares of the gradient, (parts, maps, K·K·channels) and (parts, maps).
    """

    def __init__(self, windows: Windows, maps: int, n: int, dtype: Any):
        self.of, self.n = windows, n
        (rows, columns), (high, wide), channels = windows.places, windows.size, windows.image[2]
        self.lowered = np.zeros((windows.padded[0], wide, channels, columns, n), dtype)
        self.Z = np.empty((rows, maps, columns, n), dtype)
        work = self.Z.size * high * wide * channels
        several = cut(columns, min(max(work // _IN_MORE, 2), _MOST_PARTS) if work >= _IN_TWO else 1)
        self.ones = np.ones(columns * n, dtype)
        self.dW = np.empty((len(several), maps, high * wide * channels), dtype)
        self.db = np.empty((len(several), maps), dtype)
        self.parts = [Part(self, some, *sums) for some, *sums in zip(several, self.dW, self.db, strict=True)]

    @cached_property
    def errors(self) -> Array:
        """Room for the error of what is lowered: the first layer needs none."""
        return np.empty_like(self.lowered)

    @cached_property
    def changes(self) -> "Lowered":
        """A second room, for what isn't the pass's own: only curvature needs it."""
        return Lowered(self.of, self.Z.shape[1], self.n, self.Z.dtype)

    @cached_property
    def _turned(self) -> Array:
        """Room for images that don't lie as they should: those that were gathered as rows."""
        return np.empty((*self.of.image, self.n), self.Z.dtype)

    def images(self, A: Array) -> Array:
        """A (h·w·channels, n) as images (h, w, channels, n), with examples next to each other."""
        images = A.reshape(*self.of.image, self.n)
        if not A.flags.c_contiguous:
            self._turned[...] = images
            images = self._turned
        return images

    def share(self, verb: Callable[["Part"], None]) -> None:
        """Do it to each part, side by side."""
        with one_thread:
            run([partial(verb, part) for part in self.parts])

    def raise_errors(self, out: Array) -> None:
        """Undo the lowering: add up in out (h·w·channels, n) what each copy of a pixel has gathered of the error."""
        images = out.reshape(*self.of.image, self.n)

        def add_up(rows: slice) -> None:
            images[rows] = 0
            for copy, columns in self.copies(self.errors, slice(0, self.of.places[1])):
                images[rows, columns] += copy[rows]

        run([partial(add_up, rows) for rows in cut(self.of.image[0], min(get_threads(), len(self.parts)))])

    def copies(self, lowered: Array, places: slice) -> Iterator[tuple[Array, slice]]:
        """For those columns of places and each of the kernel's columns, what is lowered but for the padding, (height,
        columns, channels, n), and which columns of the images it is from."""
        (height, width, _), ((top, _), (left, _)), step = self.of.image, self.of.padding, self.of.stride[1]
        for k in range(self.of.size[1]):
            first = max(places.start, -(-(left - k) // step))  # so that first · step + k − left is a column of the image
            end = min(places.stop, (width - 1 + left - k) // step + 1)
            if first < end:
                start = first * step + k - left
                columns = slice(start, start + (end - first - 1) * step + 1, step)
                yield lowered[top : top + height, k, :, first:end].swapaxes(1, 2), columns


class Part:
    """Some columns of places.

    Attributes:
        columns: which.
        windows: the matrices of what is lowered, (rows, K·K·channels, columns·n); those of neighbouring rows overlap.
        rows, Z: Z or Δ as matrices (rows, maps, columns·n), and by place (rows, columns, maps, n).
        dW, db: this part's share of the gradient, (maps, K·K·channels) and (maps,).
    """

    def __init__(self, of: Lowered, columns: slice, dW: Array, db: Array):
        self.of, self.columns, self.dW, self.db = of, columns, dW, db
        self.windows = self._matrices(of.lowered)
        self.Z = of.Z[:, :, columns].swapaxes(1, 2)
        self.rows = of.Z.reshape(*of.Z.shape[:2], -1)[:, :, columns.start * of.n : columns.stop * of.n]

    @cached_property
    def errors(self) -> Array:
        """The error of what is lowered: a view of the whole's."""
        return self.of.errors[:, :, :, self.columns]

    @cached_property
    def error_windows(self) -> Array:
        """The errors of the windows, as `windows`."""
        return self._matrices(self.of.errors)

    def _matrices(self, lowered: Array) -> Array:
        """The windows of each row of places, as they lie in what is lowered."""
        row, _, input_, _, number = lowered.strides
        shape = len(self.of.Z), self.dW.shape[1], (self.columns.stop - self.columns.start) * self.of.n
        return as_strided(lowered[:, :, :, self.columns], shape, (self.of.of.stride[0] * row, input_, number))

    def lower(self, images: Array) -> None:
        """Copy what the kernel's columns see out of images (height, width, channels, n)."""
        for copy, columns in self.of.copies(self.of.lowered, self.columns):
            copy[...] = images[:, columns]
