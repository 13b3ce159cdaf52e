"""What a classifier gets wrong: `confusion` counts it, `mistakes` shows it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer, counted
from mlp.plots.canvas import drawing, exact_room, show_image
from mlp.plots.inputs import check_labels, check_network, labels_and_confidence, network_inputs
from mlp.plots.mosaic import check_shape, columns_for, enlargement, images, tiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def confusion(
    net: Any = None,
    X: Any = None,
    y: Any = None,
    *,
    predicted: Any = None,
    classes: Sequence[str] | None = None,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """How often each class was taken for each other: rows are the true classes, columns the labels given.

    Only mistakes are coloured, so that they stand out from the many right answers on the diagonal. On the right is the
    share of each true class that was recognised.

    Args:
        net, X: a classifier, or a committee, and inputs (n, features); 8-bit unsigned X is taken as pixel intensities.
        y: true labels, (n,) integers, or (n, outputs) with a 1 for the true class.
        predicted: labels (n,), in place of net and X.
        classes: the classes' names, in the order of the labels. None: their numbers.
        ax: Axes to draw in. file: where to write the figure.

    >>> figure = confusion(y=[0, 0, 1], predicted=[0, 1, 1])
    """
    if y is None or (net is None) != (X is None) or (net is None) == (predicted is None):
        raise TypeError("confusion: it needs net, X and y, or y and predicted")
    if predicted is None:
        inputs = network_inputs(check_network("net", net, committees=True), X)
        count, given, _ = labels_and_confidence(net, inputs)
        true = check_labels("y", y, len(inputs), count)
    else:
        true = check_labels("y", y, None, None)
        given = check_labels("predicted", predicted, len(true), None)
        count = int(max(true.max(), given.max())) + 1
    names = _names(classes, count)
    count = len(names)
    counts = np.bincount(true * count + given, minlength=count**2).reshape(count, count)

    right, total = int(np.trace(counts)), len(true)
    edge = min(12.0, max(2.6, 0.46 * count))
    room = 0.07 * max(0, max(map(len, names)) - 2)  # inches that long names take at the sides
    with drawing(ax, file, size=(edge + 1.9 + room, edge + 0.9 + room)) as (figure, (panel,)):
        _confusion(panel, counts, names)
        panel.set_title(f"Accuracy {100 * right / total:.2f} % ({right:,} of {counted(total, 'example')})", fontsize=11)
    return figure


def _names(classes: Sequence[str] | None, count: int) -> list[str]:
    """What the classes are called, of which there are so many at least."""
    names = [str(label) for label in range(count)] if classes is None else [str(name) for name in classes]
    if len(names) < count:
        raise ValueError(f"classes: received {len(names)} names, but there are {count} classes")
    return names


def _confusion(panel: "Axes", counts: Array, names: Sequence[str]) -> None:
    from matplotlib import colormaps

    classes = len(counts)
    errors = np.ma.masked_array(counts, np.eye(classes, dtype=bool))
    most = int(errors.max()) if classes > 1 and errors.max() else 1
    shades = colormaps["Oranges"].with_extremes(bad="0.92", under="white")
    panel.imshow(errors, cmap=shades, vmin=0.5, vmax=max(most, 2), interpolation="nearest")
    edges = np.arange(classes + 1) - 0.5
    panel.set_xticks(edges, minor=True)
    panel.set_yticks(edges, minor=True)
    if classes <= 30:
        panel.grid(which="minor", color="0.85", linewidth=0.6)
        _print_counts(panel, counts, most)
        panel.set_xticks(range(classes), names, rotation=90 if max(map(len, names)) > 3 else 0)
        panel.set_yticks(range(classes), names)
        totals = counts.sum(axis=1)
        recognised = [f"{100 * counts[k, k] / totals[k]:.1f} %" if totals[k] else "–" for k in range(classes)]
        side = panel.secondary_yaxis("right")
        side.set_yticks(range(classes), recognised)
        side.tick_params(length=0)
        side.set_ylabel("recognised")
    panel.tick_params(which="both", length=0)
    panel.set_xlabel("label given")
    panel.set_ylabel("true label")


def _print_counts(panel: "Axes", counts: Array, most: int) -> None:
    """The numbers in their cells, white on dark ones; zeros are faint."""
    cell = panel.get_window_extent().width / panel.figure.dpi * 72 / len(counts)  # points
    font = max(4.0, min(10.0, 0.75 * cell / (1 + 0.6 * len(f"{counts.max()}") / 2)))
    for row, column in np.ndindex(*counts.shape):
        number = counts[row, column]
        dark = row != column and number > 0.6 * max(most, 2)
        colour = "black" if row == column else "0.75" if number == 0 else "white" if dark else "black"
        weight = "bold" if row == column else "normal"
        panel.text(column, row, f"{number}", ha="center", va="center", color=colour, fontsize=font, weight=weight)


def mistakes(
    net: Any,
    X: Any,
    y: Any,
    count: int = 25,
    *,
    shape: tuple[int, ...] | None = None,
    classes: Sequence[str] | None = None,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """The most confident wrong answers as images, each with its true label, the label given and the confidence in that.

    Args:
        net: a classifier or a committee of them; the confidence is the output behind its answer.
        X: inputs (n, features); 8-bit unsigned X is taken as pixel intensities.
        y: true labels, (n,) integers, or (n, outputs) with a 1 for the true class.
        count: how many to show at most.
        shape: of the image that an input is, as in `features`.
        classes: the classes' names, in the order of the labels. None: their numbers.
        ax: Axes to draw in. file: where to write the figure.

    >>> mistakes(net, test.X, test.y, file="mistakes.png")   # doctest: +SKIP
    """
    check_integer("count", count, at_least=1)
    inputs = network_inputs(check_network("net", net, committees=True), X)
    sizes = check_shape(shape, inputs.shape[1])
    number_of_classes, given, confidence = labels_and_confidence(net, inputs)
    true = check_labels("y", y, len(inputs), number_of_classes)
    names = _names(classes, number_of_classes)
    wrong = np.flatnonzero(given != true)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    right = f"{100 * (1 - len(wrong) / len(true)):.2f} % of {len(true):,} right"
    if len(chosen) == 0:
        with drawing(ax, file, size=(5, 1.2)) as (figure, (panel,)):
            panel.set_axis_off()
            panel.set_title("Mistakes", fontsize=11)
            panel.text(0.5, 0.5, f"none ({right})", transform=panel.transAxes, ha="center", va="center", fontsize=11)
        return figure

    pictures = images(_intensities(inputs[chosen]), sizes)
    tall, wide = (edge * enlargement(pictures) for edge in pictures.shape[1:3])
    gap = (math.ceil(0.26 * wide), math.ceil(0.12 * wide))
    mosaic = tiled(pictures, gap, columns_for(len(chosen), tall + gap[0], wide + gap[1]))
    image = mosaic.image[: mosaic.top[-1] + mosaic.height + 1]  # nothing is written under the last row
    height, width = image.shape[:2]
    size, box = exact_room(height, width, max(1, 150 // mosaic.width), above=66, least=700)
    with drawing(ax, file, size=size, box=box) as (figure, (panel,)):
        show_image(panel, image)
        number = f"The {len(chosen)} most confident of {counted(len(wrong), 'mistake')}"
        if len(chosen) == len(wrong):
            number = f"All {len(wrong):,} mistakes" if len(wrong) > 1 else "The only mistake"
        title = f"{number} ({right})\ntrue → given label, confidence"
        panel.set_title(title if ax is None else title.replace(" (", "\n("), fontsize=11 if ax is None else 9)
        if ax is not None:
            figure.draw_without_rendering()  # lets the caller's layout settle how large the tiles will be
        extent = panel.get_window_extent()
        points = min(extent.width / width, extent.height / height) / figure.dpi * 72 * (mosaic.width + gap[1])
        font = min(9.0, points / (7.2 if ax is None else 9))  # Axes added later may shrink the tiles
        for example, left, top in zip(chosen, mosaic.left, mosaic.top, strict=True):
            text = f"{names[true[example]]} → {names[given[example]]}   {_confidence(net, float(confidence[example]))}"
            panel.text(left + mosaic.width / 2, top - 0.22 * gap[0], text, ha="center", va="bottom", fontsize=font)
    return figure


def _confidence(net: Any, confidence: float) -> str:
    """A probability in per cent, never rounded up to certainty; other outputs as they are."""
    if net.output.name not in ("softmax", "logistic"):
        return f"{confidence:.2f}"
    return f"{100 * confidence:.1f} %" if confidence < 0.9995 else ">99.9 %"


def _intensities(rows: Array) -> Array:
    """Inputs as intensities from 0 to 1, which are black and white: as they are, or stretched where they go beyond."""
    if rows.dtype == np.uint8:
        return rows / 255
    low, high = float(rows.min()), float(rows.max())
    if low < 0 or high > 1:
        rows = (rows - low) / (high - low or 1.0)
    return rows.astype(np.float64)
