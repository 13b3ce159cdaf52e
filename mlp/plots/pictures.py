"""Figures made of images: `features`, `mistakes` and `activations`."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.batches import check_input
from mlp.blas import Array
from mlp.checks import check_integer, check_name, check_number, shown
from mlp.plots.answers import check_labels, labels_and_confidence
from mlp.plots.canvas import DPI, counted, drawing, signed
from mlp.plots.charts import ridges
from mlp.plots.mosaic import check_shape, columns_for, images, tiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

#: How many pixels wide or high the mosaic of a figure of ours is about, and a tile at most.
_MOSAIC, _TILE = 936, 230


def features(
    net: Any,
    *,
    shape: tuple[int, ...] | None = None,
    sort_by_norm: bool = False,
    per_tile: bool = False,
    scaling: str = "weights",
    percentile: float = 99.5,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """The first layer's weights as images, one tile a unit: grey is 0, white positive, black negative.

    Args:
        net: an `MLP`, or weights W (units, fan_in), whose row j is what unit j looks for in its input.
        shape: of a unit's image: (height, width), or (height, width, 3) or (3, height, width) for colour, where each
            channel is 0 at half its intensity. None: a square.
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
    W = _weights(net)
    sizes = check_shape(shape, W.shape[1])
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
    largest = float(np.abs(W).max())
    grey = 0.5 + np.clip(W / np.where(limit > 0, limit, 1), -1, 1) / 2  # (units, fan_in): 0 … 1, and 0.5 where W is 0
    mosaic = tiled(images(grey, sizes))
    height, width = mosaic.image.shape[:2]

    size, box, fits = _room(
        height, width, mosaic.height, mosaic.width, right=120 if mosaic.image.ndim == 3 or per_tile else 204
    )
    with drawing(ax, file, size=size, box=box) as (figure, (panel,)):
        picture = _show(panel, mosaic.image, "gray", 0, 1)
        tile = " × ".join(str(edge) for edge in images(grey[:1], sizes).shape[1:])
        title = counted(len(W), "first-layer feature" if hasattr(net, "layers") else "feature")
        panel.set_title(f"{title} of {tile}" + (", by norm" if sort_by_norm else ""), fontsize=11 if fits else 9)
        quantity = "weight ÷ its unit's norm" if scaling == "unit_norm" else "weight"
        if per_tile:
            ends, note = ("−", "+"), f"{quantity},\neach tile to its own scale"
        else:
            top = float(limit.item())
            clipped = largest > top
            ends = (("≤ " if clipped else "") + signed(-top), ("≥ " if clipped else "") + signed(top))
            note = quantity + (f"\n(the largest is {largest:.2g})" if clipped else "")
        _scale(figure, panel, picture if mosaic.image.ndim == 2 else None, [0, 0.5, 1], [ends[0], "0", ends[1]], note)
    return figure


def _weights(net: Any) -> Array:
    """W¹ of a network, or the array itself, as float64 (units, fan_in)."""
    given = net.layers[0].W if getattr(net, "layers", None) else net
    W: Array = np.asarray(given)
    if W.dtype.kind not in "iuf" or W.ndim != 2 or W.size == 0:
        what = f"shape {W.shape}" if W.dtype.kind in "iuf" else shown(net)
        raise ValueError(f"net: received {what}, but it must be an MLP or weights W (units, fan_in)")
    finite = np.isfinite(W)
    if not finite.all():
        unit, value = np.argwhere(~finite)[0]
        raise ValueError(f"net: received the weight {W[unit, value]} at W[{unit}, {value}], but every weight must be finite")
    return W.astype(np.float64)


def mistakes(
    net: Any,
    X: Any,
    y: Any,
    count: int = 25,
    *,
    shape: tuple[int, ...] | None = None,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """The most confident wrong answers as images, each with its true label, the label given and the confidence in that.

    Args:
        net: a classifier; the confidence is the output behind its answer.
        X: inputs (n, features); 8-bit unsigned X is taken as pixel intensities.
        y: true labels, (n,) integers, or (n, outputs) with a 1 for the true class.
        count: how many to show, if there are as many.
        shape: of an input's image, as in `features`.
        ax: Axes to draw in. file: where to write the figure.

    >>> mistakes(net, test.X, test.y, file="mistakes.png")   # doctest: +SKIP
    """
    check_integer("count", count, at_least=1)
    inputs = check_input(X, net.sizes[0], net.dtype)
    sizes = check_shape(shape, inputs.shape[1])
    outputs, given, confidence = labels_and_confidence(net, inputs)
    true = check_labels("y", y, len(inputs), max(2, outputs))
    wrong = np.flatnonzero(given != true)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    right = f"{100 * (1 - len(wrong) / len(true)):.2f} % of {len(true):,} right"
    if len(chosen) == 0:
        with drawing(ax, file, size=(5, 1.2)) as (figure, (panel,)):
            panel.set_axis_off()
            panel.set_title("Mistakes", fontsize=11)
            panel.text(0.5, 0.5, f"none ({right})", transform=panel.transAxes, ha="center", va="center", fontsize=11)
        return figure

    tiles, low, high = _intensities(inputs[chosen])
    pictures = images(tiles, sizes)
    tall, wide = (edge * max(1, round(24 / max(pictures.shape[1:3]))) for edge in pictures.shape[1:3])
    gap = (math.ceil(0.26 * wide), math.ceil(0.12 * wide))
    mosaic = tiled(pictures, gap, columns_for(len(chosen), tall + gap[0], wide + gap[1]))
    image = mosaic.image[: mosaic.top[-1] + mosaic.height + 1]  # nothing is written under the last row
    height, width = image.shape[:2]
    scale = max(1, 150 // mosaic.width)
    size, box, _ = _room(height, width, mosaic.height, mosaic.width, right=10, scale=scale, least=700)
    with drawing(ax, file, size=size, box=box) as (figure, (panel,)):
        _show(panel, image, "gray", low, high)
        number = f"The {len(chosen)} most confident of {counted(len(wrong), 'mistake')}"
        if len(chosen) == len(wrong):
            number = f"All {len(wrong):,} mistakes" if len(wrong) > 1 else "The only mistake"
        title = f"{number} ({right})\ntrue → given label, confidence"
        panel.set_title(title if ax is None else title.replace(" (", "\n("), fontsize=11 if ax is None else 9)
        if ax is not None:
            figure.draw_without_rendering()  # lets the caller's layout settle how large the tiles will be
        extent = panel.get_window_extent()
        points = min(extent.width / width, extent.height / height) / figure.dpi * 72 * (mosaic.width + gap[1])
        font = min(9.0, points / (7.2 if ax is None else 9))  # what is drawn beside them may yet make those smaller
        for example, left, top in zip(chosen, mosaic.left, mosaic.top, strict=True):
            text = f"{true[example]} → {given[example]}   {_confidence(net, float(confidence[example]))}"
            panel.text(left + mosaic.width / 2, top - 0.22 * gap[0], text, ha="center", va="bottom", fontsize=font)
    return figure


def _confidence(net: Any, confidence: float) -> str:
    """A probability in per cent, never rounded up to certainty; other outputs as they are."""
    if net.output.name not in ("softmax", "logistic"):
        return f"{confidence:.2f}"
    return f"{100 * confidence:.1f} %" if confidence < 0.9995 else ">99.9 %"


def _intensities(rows: Array) -> tuple[Array, float, float]:
    """Inputs as intensities, and which of them are black and white."""
    if rows.dtype == np.uint8:
        return rows / 255, 0.0, 1.0
    low, high = float(rows.min()), float(rows.max())
    if low >= 0 and high <= 1:
        return rows.astype(np.float64), 0.0, 1.0
    span = high - low or 1.0
    return (rows - low) / span, 0.0, 1.0


def activations(
    net: Any,
    X: Any,
    y: Any = None,
    layer: int | None = 0,
    *,
    count: int = 200,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """A layer's outputs A as an image, a row an example and a column a unit; or, of every layer, histograms.

    Args:
        net: the network.
        X: inputs (n, features); 8-bit unsigned X is taken as pixel intensities.
        y: labels (n,); with them, examples are grouped by class, and units by the class that excites them most.
        layer: which, counted as in net.layers; None: histograms of every layer's outputs over all examples.
        count: how many examples to show, the first of X. Which units never change is judged by all examples.
        ax: Axes to draw in. file: where to write the figure.

    >>> activations(net, test.X, test.y, layer=0)   # doctest: +SKIP
    """
    inputs = check_input(X, net.sizes[0], net.dtype)
    if layer is None:
        names = [f"layer {number}\n{one.units} {one.activation.name}" for number, one in enumerate(net.layers, 1)]
        every = [net.forward(inputs, layer=number).ravel() for number in range(len(net.layers))]
        return ridges(every, names, f"Activations by layer, {counted(len(inputs), 'example')}", "activation", ax, file)
    check_integer("layer", layer, at_least=0, at_most=len(net.layers) - 1)
    check_integer("count", count, at_least=1)
    A = net.forward(inputs, layer=layer)  # (n, units)
    idle = int(np.count_nonzero(np.ptp(A, axis=0) == 0))
    shown_rows, groups = A[:count], None
    if y is not None:
        labels = check_labels("y", y, len(inputs), None)
        order = np.argsort(labels[:count], kind="stable")
        shown_rows, groups = shown_rows[order], labels[:count][order]
        shown_rows = shown_rows[:, _by_class(A, labels)]

    signed_values = bool(A.min() < 0)
    with drawing(ax, file, size=(7.5, 5)) as (figure, (panel,)):
        largest = float(np.abs(shown_rows).max()) or 1.0
        cmap, low = ("PuOr", -largest) if signed_values else ("viridis", 0.0)
        picture = panel.imshow(shown_rows, cmap=cmap, vmin=low, vmax=largest, aspect="auto", interpolation="nearest")
        name = net.layers[layer].activation.name
        kind = "Output layer" if layer == len(net.layers) - 1 else f"Hidden layer {layer + 1}"
        title = f"{kind}: outputs of {counted(A.shape[1], name + ' unit')} for {counted(len(shown_rows), 'example')}"
        if idle:
            title += f"\n{counted(idle, 'unit')} of constant output over all {counted(len(A), 'example')}"
        panel.set_title(title, fontsize=11)
        panel.set_xlabel("unit" if groups is None else "unit, by the class that excites it most")
        if groups is None:
            panel.set_ylabel("example")
        else:
            classes, starts, numbers = np.unique(groups, return_index=True, return_counts=True)
            panel.set_yticks(starts + numbers / 2 - 0.5, [str(label) for label in classes])
            panel.tick_params(axis="y", length=0)
            for start in starts[1:]:
                panel.axhline(start - 0.5, color="white", linewidth=0.8)
            panel.set_ylabel("example, by class")
        figure.colorbar(picture, ax=panel, label="activation", pad=0.02)
    return figure


def _by_class(A: Array, labels: Array) -> Array:
    """An order of the units: by the class whose mean output stands out most, those that stand out most first."""
    means = np.stack([A[labels == label].mean(axis=0) for label in np.unique(labels)])  # (classes, units)
    excess = means.max(axis=0) - means.mean(axis=0)
    return np.lexsort((-excess, means.argmax(axis=0)))


# Pictures in pixels


def _room(
    height: int, width: int, tall: int, wide: int, *, right: int, scale: int | None = None, least: int = 460
) -> tuple[tuple[float, float], tuple[int, int, int, int], bool]:
    """A figure's size (inches) and its picture's box (pixels) that show an image at a whole number of pixels each.

    `right` is how much is kept free on the right, and `least` the least width for the title's sake; the last result is
    whether that was needed not.
    """
    scale = scale or max(1, min(_MOSAIC // max(height, width), _TILE // max(tall, wide)))
    margin, above = 10, 66 if least > 460 else 44
    box_width, box_height = width * scale, height * scale
    total = margin + box_width + right
    spare = max(0, least - total)
    size = ((total + spare) / DPI, (margin + box_height + above) / DPI)
    return size, (margin + spare // 2, margin, box_width, box_height), not spare


def _show(panel: "Axes", image: Array, cmap: str, low: float, high: float) -> "AxesImage":
    """The image alone, without axes; nothing is painted where it is NaN."""
    from matplotlib import colormaps

    panel.set_axis_off()
    shades = colormaps[cmap].with_extremes(bad=(1, 1, 1, 0))
    return panel.imshow(image, cmap=shades, vmin=low, vmax=high)


def _scale(
    figure: "Figure", panel: "Axes", picture: "AxesImage | None", ticks: list[float], names: list[str], label: str
) -> None:
    """What the greys stand for, on the picture's right; for colour in words alone."""
    if picture is None:
        text = f"{label}\neach channel from {names[0]} (dark) to {names[-1]} (bright)"
        panel.text(1.02, 0.5, text, transform=panel.transAxes, rotation=90, va="center", multialignment="center", fontsize=9)
        return
    thick = 10 * figure.dpi / 72 / panel.get_window_extent().width  # 10 points, as part of the picture's width
    bar = figure.colorbar(picture, cax=panel.inset_axes((1 + 0.7 * thick, 0, thick, 1)), ticks=ticks)
    bar.ax.set_yticklabels(names, fontsize=9)
    ends = bar.ax.get_yticklabels()
    ends[0].set_verticalalignment("bottom")
    ends[-1].set_verticalalignment("top")
    beside = 12 + 5.5 * max(map(len, names))  # points
    bar.ax.annotate(
        label,
        (1, 0.5),
        xycoords="axes fraction",
        xytext=(beside, 0),
        textcoords="offset points",
        rotation=90,
        va="center",
        ha="left",
        multialignment="center",
        fontsize=9,
    )
