"""`draw_maps`: what a layer's maps are of some images, a row an image; `activations` draws them of layers that have maps."""

from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.batches import copy_input
from mlp.blas import Array
from mlp.checks import counted
from mlp.plots.canvas import drawing
from mlp.plots.mosaic import check_shape, tiled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Room between the images and their maps, in pixels of the maps.
_GAP = 6


def draw_maps(net: Any, inputs: Array, layer: int, ax: Any, file: Any) -> "Figure":
    """The layer's maps of the inputs (n, features), an image and its maps in each row, all maps on one scale."""
    rows, columns, maps = net.layers[layer].out_shape
    A = net.forward(inputs, layer=layer).reshape(-1, rows, columns, maps)
    # a row an image; the maps of one image alone make a block
    mosaic = tiled(A.transpose(0, 3, 1, 2).reshape(-1, rows, columns), columns=maps if len(A) > 1 else None)
    height, width = mosaic.image.shape
    pixels = np.empty((len(inputs), inputs.shape[1]), net.dtype)
    copy_input(inputs, out=pixels)
    shape = net.in_shape if len(net.in_shape) > 1 else check_shape(None, net.in_shape[0])
    images = pixels.reshape(len(inputs), *shape[:2], -1)
    images = images.clip(0, 1) if images.shape[3] == 3 else images.mean(axis=3)
    tall, tops = (mosaic.height, mosaic.top[::maps]) if len(A) > 1 else (height - 2, mosaic.top[:1])
    wide = tall * shape[1] / shape[0]  # an image is as high as its maps

    share = min(3.0, max(0.15, height / (width + _GAP + wide)))
    with drawing(ax, file, size=(9, 1.1 + 8 * share)) as (figure, (panel,)):
        largest = float(np.abs(A).max()) or 1.0
        cmap, low = ("PuOr", -largest) if A.min() < 0 else ("viridis", 0.0)
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        picture = panel.imshow(mosaic.image, cmap=cmap, vmin=low, vmax=largest, extent=extent, interpolation="nearest")
        for image, top in zip(images, tops, strict=True):
            box = (-_GAP - wide, -_GAP, top + tall - 0.5, top - 0.5)
            panel.imshow(image, cmap="gray", extent=box, interpolation="nearest")
        panel.set_xlim(-_GAP - wide - 1, width - 0.5)
        panel.set_ylim(height - 0.5, -0.5)
        panel.set_axis_off()
        whose = "an image" if len(inputs) == 1 else counted(len(inputs), "image")
        panel.set_title(f"Layer {layer + 1}: {counted(maps, 'map')} of {rows} × {columns} for {whose}", fontsize=11)
        figure.colorbar(picture, cax=panel.inset_axes((1.02, 0, 0.02, 1)), label="activation")
    return figure
