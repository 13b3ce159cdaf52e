"""`features`: what each unit of a layer looks for."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer, check_name, check_number, counted, shown
from mlp.plots.canvas import DPI, drawing, exact_room, show_image, signed, whole_scale
from mlp.plots.inputs import check_array, check_network, feature_shape, first_with_weights
from mlp.plots.mosaic import channels_beside, check_shape, images, tiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

#: Points under the picture for its scale: a gap of 6, a bar of 8, its numbers and what they are of.
_ROOM = 46


def features(
    net: Any,
    layer: int | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    sort_by_norm: bool = False,
    per_tile: bool = False,
    scaling: str = "weights",
    percentile: float = 99.5,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """A layer's weights as images, one tile a unit: grey is 0, white positive, black negative.

    Args:
        net: an `MLP`, or weights W (units, fan_in), whose row j is what unit j looks for in its input.
        layer: which, counted as in net.layers. None: the first that has weights, which over a pool is the second.
        shape: of a unit's image: (height, width), or (height, width, 3) or (3, height, width) for colour, where each
            channel is 0 at half its intensity. None: as the layer sees its input, a filter's kernel or the shape of the layer
            below, with channels side by side (three channels of the network's input, or of what pools leave of it, are
            colours); or else a square.
        sort_by_norm: show the units with the largest ‖W[j]‖ first.
        per_tile: give each tile a scale of its own; otherwise all tiles share one. Both are symmetric about 0.
        scaling: "weights" shows W; "unit_norm" shows W[j]/‖W[j]‖, the input of norm 1 that unit j answers to most (UFLDL,
            "Visualizing a Trained Autoencoder").
        percentile: white and black stand for this percentile of the scale's |W| and for all beyond, so that a few large
            weights don't make the rest pale; the scale beside the picture says so. 100: for the largest |W|.
        ax: Axes to draw in. file: where to write the figure.

    Raises:
        ValueError: the weights make no image of that shape, or aren't finite.

    >>> figure = features(np.eye(4))   # four units, each looking at one pixel of 2 × 2
    """
    W, number, own_shape = _weights(net, layer)
    first = hasattr(net, "layers") and number == first_with_weights(net)
    if shape is not None or len(own_shape) < 2:
        own_shape, sizes = (), check_shape(shape, W.shape[1])
    check_name("scaling", scaling, ["weights", "unit_norm"])
    check_number("percentile", percentile, above=0, at_most=100)
    norms = np.linalg.norm(W, axis=1)  # (units,)
    if scaling == "unit_norm":
        W = W / np.where(norms > 0, norms, 1)[:, None]
    if sort_by_norm:
        W = W[np.argsort(-norms, kind="stable")]

    # "higher": a weight that is there, so that the scale of a few weights is their largest
    over = 1 if per_tile else None
    limit = np.percentile(np.abs(W), percentile, axis=over, keepdims=True, method="higher")
    limit = np.where(limit > 0, limit, np.abs(W).max(axis=over, keepdims=True))  # nearly all weights may be 0
    grey = 0.5 + np.clip(W / np.where(limit > 0, limit, 1), -1, 1) / 2  # (units, fan_in): 0 … 1, and 0.5 where W is 0
    tiles = channels_beside(grey, own_shape, colour=first) if own_shape else images(grey, sizes)
    quantity = "weight" if scaling == "weights" else "weight ÷ its unit's norm"
    if first and number:  # over pools
        quantity += f" of what {', '.join(map(repr, net.layers[:number]))} leaves"
    ends, note = _legend(limit, float(np.abs(W).max()), per_tile, quantity)

    many = len(own_shape) == 3 and tiles.ndim == 3 and own_shape[2] > 1  # channels, with a gap of 1 between them
    mosaic = tiled(tiles, gap=(2, 3) if many else (1, 1))
    height, width = mosaic.image.shape[:2]
    scale = whole_scale(mosaic.image, mosaic.height, own_shape[1] if many else mosaic.width)
    room = math.ceil(_ROOM / 72 * DPI / scale)
    size, box = exact_room(height + room, width, scale)
    with drawing(ax, file, size=size, box=box) as (figure, (panel,)):
        picture = show_image(panel, mosaic.image)
        font = 11 if ax is None and box[2] > 440 else 9
        if ax is not None:
            points = 72 / figure.dpi * np.array(panel.get_window_extent().size)
            # the picture keeps most of Axes that are small
            room = _ROOM * max(width / points[0], height / max(points[1] - _ROOM, 0.7 * points[1]))
        panel.set_ylim(height + room - 0.5, -0.5)  # the scale stands under the picture, within the Axes
        which = ("first-layer " if number == 0 else f"layer-{number + 1} ") if hasattr(net, "layers") else ""
        title = counted(len(W), which + "feature")
        title += f", {own_shape[2]} channels" if many else ""
        title += " of " + " × ".join(map(str, own_shape[:2] if many else tiles.shape[1:])) + " each" * many
        panel.set_title(title + (", by norm" if sort_by_norm else ""), fontsize=font)
        _scale(panel, picture, height / (height + room), ends, note)
    return figure


def _legend(limit: Array, largest: float, per_tile: bool, quantity: str) -> tuple[tuple[str, str], str]:
    """What black and white stand for, and of what."""
    if per_tile:
        return ("−", "+"), f"{quantity}, each tile to its own scale"
    top = float(limit.item())
    if largest > top:
        return ("≤ " + signed(-top), "≥ " + signed(top)), f"{quantity} (the largest is {largest:.2g})"
    return (signed(-top), signed(top)), quantity


def _scale(panel: "Axes", picture: "AxesImage", share: float, ends: tuple[str, str], note: str) -> None:
    """What the greys stand for, under the picture, which takes that share of the Axes' height; colours, in words alone."""
    point = (1 - share) / _ROOM
    if np.asarray(picture.get_array()).ndim == 3:
        text = f"{note},\neach channel from {ends[0]} (dark) to {ends[1]} (bright)"
        panel.text(0.5, 1 - share - 6 * point, text, transform=panel.transAxes, va="top", ha="center", fontsize=9)
        return
    bar = panel.inset_axes((0, 1 - share - 14 * point, 1, 8 * point))
    panel.figure.colorbar(picture, cax=bar, orientation="horizontal", ticks=[0, 0.5, 1])
    bar.set_xticks([0, 0.5, 1], [ends[0], "0", ends[1]], fontsize=9)
    bar.set_xlabel(note, fontsize=9)
    first, _, last = bar.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _weights(net: Any, layer: int | None) -> tuple[Array, int, tuple[int, ...]]:
    """W of a network's layer, or the array itself, as float64 (units, fan_in); the layer's number; and the shape of W's rows
    as the layer sees them, () where there is none."""
    allowed = "an MLP or weights W (units, fan_in)"
    given, number = net, 0
    shape: tuple[int, ...] = ()
    if hasattr(net, "layers"):
        layers = check_network("net", net).layers
        number = (
            first_with_weights(net) if layer is None else check_integer("layer", layer, at_least=0, at_most=len(layers) - 1)
        )
        own = layers[number]
        given = getattr(own, "W", None)
        if given is None:
            which = "first layer" if number == 0 else f"layer {number + 1}"
            raise ValueError(f"net: received a network whose {which} is {own!r}, but it must have weights W")
        shape = feature_shape(net, number)
    elif layer not in (None, 0):
        raise ValueError(f"layer: received {shown(layer)}, but weights W are of one layer, 0")
    W = check_array("net", given, allowed)
    if W.ndim != 2:
        raise ValueError(f"net: received shape {W.shape}, but it must be {allowed}")
    finite = np.isfinite(W)
    if not finite.all():
        unit, value = np.argwhere(~finite)[0]
        raise ValueError(f"net: received the weight {W[unit, value]} at W[{unit}, {value}], but every weight must be finite")
    return W.astype(np.float64), number, shape
