"""`receptive_field`: where in an image a unit looks."""

from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.backprop import Buffers, backward_pass, chunk_size, forward_pass
from mlp.batches import copy_input
from mlp.blas import Array
from mlp.checks import check_integer, counted, shown
from mlp.layers.turn import arranged
from mlp.layers.windows import window_on_image
from mlp.plots.canvas import VERMILLION, drawing
from mlp.plots.inputs import check_network, network_inputs
from mlp.plots.mosaic import check_shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def receptive_field(
    net: Any,
    X: Any,
    layer: int = 0,
    unit: int = 0,
    place: tuple[int, int] | None = None,
    *,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """An image with the window that a unit sees, and beside it how strongly each pixel moves the unit.

    The second picture is the root mean square of ∂z/∂x over all images in X, z being the unit's weighted input, by the δ
    recursion: the unit's Δ is 1, all others' are 0. Of a first convolution it is |W|; further up it depends on the images.
    Around the window it is 0 exactly; within, pixels in the middle count more, since more windows below have them in common.

    Args:
        net: the network, of images: of the shape it was made with, or else squares.
        X: images (n, features), the first of which is shown; 8-bit unsigned X is taken as pixel intensities.
        layer: which, counted as in net.layers.
        unit: which map of it, or, of a layer without maps, which unit.
        place: the row and the column where in its map the unit stands. None: the middle.
        ax: two Axes, or one to divide. file: where to write the figure.

    >>> receptive_field(net, test.X[:100], layer=2)   # doctest: +SKIP
    """
    inputs = network_inputs(check_network("net", net), X)
    layers = net.layers[: check_integer("layer", layer, at_least=0, at_most=len(net.layers) - 1) + 1]
    shape = net.in_shape if len(net.in_shape) > 1 else check_shape(None, net.in_shape[0])
    rows, columns, maps = _maps_of(layers[-1].out_shape)
    map_number = check_integer("unit", unit, at_least=0, at_most=maps - 1)
    row, column = _check_place(place, rows, columns)
    seen = window_on_image(layers, (row, column), shape)
    strength = _strengths(net, layers, inputs, (row * columns + column) * maps + map_number)  # (features,)

    of = f"map {map_number}, place ({row}, {column})" if rows * columns > 1 else f"unit {map_number}"
    with drawing(ax, file, size=(8.6, 4.4), panels=2) as (figure, panels):
        first = np.empty((1, inputs.shape[1]), net.dtype)
        copy_input(inputs[:1], out=first)
        image = first.reshape(*shape, -1) if len(shape) == 2 else first.reshape(shape)
        _show(panels[0], image.clip(0, 1) if image.shape[2] == 3 else image.mean(axis=2), seen, "gray")
        panels[0].set_title(f"Layer {layer + 1}, {of}:\nit sees {len(seen[0])} × {len(seen[1])} pixels", fontsize=11)
        by_pixel = np.sqrt(np.square(strength.reshape(image.shape)).sum(axis=2))
        picture = _show(panels[1], by_pixel, seen, "magma")
        panels[1].set_title(f"How strongly each pixel moves it:\n|∂z/∂x| over {counted(len(inputs), 'image')}", fontsize=11)
        figure.colorbar(picture, ax=panels[1], pad=0.02, shrink=0.9)
    return figure


def _maps_of(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows, columns and maps of a layer's outputs; units that are no maps are maps of one place."""
    rows, columns, maps = shape if len(shape) == 3 else (1, 1, shape[0])
    return rows, columns, maps


def _check_place(place: Any, rows: int, columns: int) -> tuple[int, int]:
    if place is None:
        return rows // 2, columns // 2
    if not isinstance(place, tuple | list) or len(place) != 2:
        raise TypeError(f"place: received {shown(place)}, but it must be None or a pair (row, column)")
    row = check_integer("place[0]", place[0], at_least=0, at_most=rows - 1)
    return row, check_integer("place[1]", place[1], at_least=0, at_most=columns - 1)


def _strengths(net: Any, layers: Any, inputs: Array, unit: int) -> Array:
    """√ of the mean of (∂z/∂x)² over the inputs, (features,), for one unit of the last layer."""
    total = np.zeros(inputs.shape[1])
    layers = arranged(layers)
    size = chunk_size(layers, net.dtype)
    for start in range(0, len(inputs), size):
        rows = inputs[start : start + size]
        buffers = Buffers(layers, len(rows), net.dtype, to_input=True)
        copy_input(rows, out=buffers.X)
        with np.errstate(all="ignore"):  # what overflows shows in the picture
            forward_pass(layers, buffers)
            error = buffers.Delta[-1]
            error[...] = 0
            error[unit] = 1
            backward_pass(layers, buffers)
            total += np.square(buffers.Delta[0].astype(np.float64)).sum(axis=1)
    strengths: Array = np.sqrt(total / len(inputs))
    return strengths


def _show(panel: "Axes", image: Array, seen: tuple[range, range], cmap: str) -> "AxesImage":
    """The image, with a frame around the rows and columns that are seen; black is 0."""
    from matplotlib.patches import Rectangle

    rows, columns = seen
    low = min(0.0, float(image.min()))
    picture = panel.imshow(image, cmap=cmap, vmin=low, vmax=float(image.max()) or 1.0, interpolation="nearest")
    frame = columns.start - 0.5, rows.start - 0.5
    panel.add_patch(Rectangle(frame, len(columns), len(rows), fill=False, edgecolor=VERMILLION, linewidth=2, clip_on=False))
    panel.set_xticks([])
    panel.set_yticks([])
    return picture
