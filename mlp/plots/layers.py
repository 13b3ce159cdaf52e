"""Figures layer by layer: `activations`, `weights` and `gradients`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer, check_name, counted, shown
from mlp.plots.canvas import COLOURS, add_legend, colours, drawing, number_axis, tidy
from mlp.plots.inputs import check_array, check_labels, check_network, network_inputs
from mlp.plots.maps import draw_maps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def activations(
    net: Any,
    X: Any,
    y: Any = None,
    layer: int | None = 0,
    *,
    count: int | None = None,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """A layer's outputs A as an image, a row an example and a column a unit; of a layer with maps, the maps of each example;
    or, of every layer, histograms.

    Args:
        net: the network.
        X: inputs (n, features); 8-bit unsigned X is taken as pixel intensities.
        y: labels (n,); with them, examples are grouped by class, and units by the class that excites them most. Of maps, an
            example of each class is shown, the first.
        layer: which, counted as in net.layers; None: histograms of every layer's outputs over all examples.
        count: how many examples to show, the first of X: 200, and 5 of a layer with maps, unless told otherwise. Units of
            constant output are counted over all examples.
        ax: Axes to draw in. file: where to write the figure.

    >>> activations(net, test.X, test.y, layer=0)   # doctest: +SKIP
    """
    inputs = network_inputs(check_network("net", net), X)
    if layer is None:
        every = [net.forward(inputs, layer=number) for number in range(len(net.layers))]
        kinds = [f"{A.shape[1]} {_kind(one)}" for A, one in zip(every, net.layers, strict=True)]
        return _draw_ridges(
            [A.ravel() for A in every],
            [f"layer {number}\n{kind}" for number, kind in enumerate(kinds, 1)],
            f"Activations by layer, {counted(len(inputs), 'example')}",
            "activation",
            ax,
            file,
        )
    check_integer("layer", layer, at_least=0, at_most=len(net.layers) - 1)
    if count is not None:
        check_integer("count", count, at_least=1)
    if len(net.layers[layer].out_shape) == 3:
        chosen: Any = slice(count or 5)
        if y is not None:
            chosen = np.unique(check_labels("y", y, len(inputs), None), return_index=True)[1][:count]
        return draw_maps(net, inputs[chosen], layer, ax, file)
    count = count or 200
    A = net.forward(inputs, layer=layer)  # (n, units)
    rows, groups = A[:count], None
    if y is not None:
        labels = check_labels("y", y, len(inputs), None)
        order = np.argsort(labels[:count], kind="stable")
        groups = labels[:count][order]
        rows = rows[order][:, _by_class(A, labels)]

    idle = int(np.count_nonzero(np.ptp(A, axis=0) == 0))
    place = "Output layer" if layer == len(net.layers) - 1 else f"Hidden layer {layer + 1}"
    title = f"{place}: outputs of {counted(A.shape[1], _kind(net.layers[layer]) + ' unit')} for {counted(len(rows), 'example')}"
    if idle:
        title += f"\n{counted(idle, 'unit')} of constant output over all {counted(len(A), 'example')}"
    with drawing(ax, file, size=(7.5, 5)) as (figure, (panel,)):
        largest = float(np.abs(rows).max()) or 1.0
        cmap, low = ("PuOr", -largest) if A.min() < 0 else ("viridis", 0.0)
        picture = panel.imshow(rows, cmap=cmap, vmin=low, vmax=largest, aspect="auto", interpolation="nearest")
        panel.set_title(title, fontsize=11)
        panel.set_xlabel("unit" if groups is None else "unit, by the class that excites it most")
        panel.set_ylabel("example" if groups is None else "example, by class")
        if groups is not None:
            classes, starts, numbers = np.unique(groups, return_index=True, return_counts=True)
            panel.set_yticks(starts + numbers / 2 - 0.5, [str(label) for label in classes])
            panel.tick_params(axis="y", length=0)
            for start in starts[1:]:
                panel.axhline(start - 0.5, color="white", linewidth=0.8)
        figure.colorbar(picture, ax=panel, label="activation", pad=0.02)
    return figure


def _kind(layer: Any) -> str:
    """What a layer's units are called: by their activation, or, where they only hand on what is below, by what the layer is."""
    activation = getattr(layer, "activation", None)
    if activation is None or (activation.name == "identity" and getattr(layer, "W", None) is None):
        return str(getattr(layer, "kind", "") or type(layer).__name__)
    return str(activation.name)


def _by_class(A: Array, labels: Array) -> Array:
    """The order of the units: by the class for which their mean output stands out most, and in a class by how much."""
    means = np.stack([A[labels == label].mean(axis=0) for label in np.unique(labels)])  # (classes, units)
    excess = means.max(axis=0) - means.mean(axis=0)
    return np.lexsort((-excess, means.argmax(axis=0)))


def weights(net: Any, *, ax: Any = None, file: Any = None) -> "Figure":
    """Histograms of the weights W, one for each layer that has some, the first on top; biases are left out.

    Args:
        net: the network.
        ax: Axes to draw in. file: where to write the figure.
    """
    arrays = {
        f"layer {number}\n{W.size // len(W)} → {len(W)}": W
        for number, layer in enumerate(check_network("net", net).layers, 1)
        if (W := getattr(layer, "W", None)) is not None
    }
    if not arrays:
        raise ValueError("net: received a network without weights, but a layer of it at least must have W")
    return _draw_ridges([W.ravel() for W in arrays.values()], list(arrays), "Weights by layer", "weight", ax, file)


def _draw_ridges(samples: Sequence[Array], names: Sequence[str], title: str, label: str, ax: Any, file: Any) -> "Figure":
    """Histograms of several samples on one axis, each on a base line of its own, and each as high as the others.

    Values that are exactly 0, as those of ReLUs at rest, would be a spike that hides the rest; where they are more than 1 %
    they are left out and their share is written instead.
    """
    for name, values in zip(names, samples, strict=True):
        if not np.isfinite(values).all():
            value = values[~np.isfinite(values)][0]
            raise ValueError(f"net: received {value} among the {label}s of {name.splitlines()[0]}, but all must be finite")
    low, high = min(float(v.min()) for v in samples), max(float(v.max()) for v in samples)
    if low == high:
        low, high = low - 0.5, high + 0.5
    bins = np.linspace(low, high, 121)
    with drawing(ax, file, size=(6.5, 1.1 + max(0.28, min(0.9, 9 / len(samples))) * len(samples))) as (figure, (panel,)):
        for number, (values, colour) in enumerate(zip(samples, colours(len(samples)), strict=True)):
            base = len(samples) - 1 - number
            resting = np.count_nonzero(values == 0) / values.size
            moving = values[values != 0] if resting > 0.01 else values
            heights = np.histogram(moving, bins)[0].astype(float)
            heights *= 0.85 / max(1.0, heights.max())
            panel.stairs(base + heights, bins, baseline=base, fill=True, color=colour, alpha=0.75)
            note = f"sd {values.std(dtype=np.float64):.2g}" + (f"\n{100 * resting:.0f} % are 0" if resting > 0.01 else "")
            if len(samples) <= 12:
                panel.text(1.01, base, note, transform=panel.get_yaxis_transform(), va="bottom", fontsize=9, color="0.25")
        few = len(samples) <= 20
        step = 1 if few else -(-len(samples) // 15)
        labels = [name if few else name.splitlines()[0] for name in names]
        panel.set_yticks([len(samples) - 1 - k for k in range(0, len(samples), step)], labels[::step], va="bottom")
        panel.set_ylim(-0.05, len(samples))
        panel.set_xlim(low, high)
        tidy(panel, grid="x")
        panel.spines["left"].set_visible(False)
        panel.tick_params(axis="y", length=0)
        panel.set_xlabel(f"{label} (each histogram is as high as the others)")
        panel.set_title(title, fontsize=11)
    return figure


#: What `gradients` shows: its titles and its axes' labels.
_NORMS = {
    "delta": ("Errors", r"$\|\Delta^\ell\|$"),
    "W": ("Gradients of the weights", r"$\|\partial C / \partial W^\ell\|$"),
}


def gradients(
    norms: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, against: str | None = None, ax: Any = None, file: Any = None
) -> "Figure":
    """Norms of the errors Δ^ℓ and of the weights' gradients ∂C/∂W^ℓ, by layer and epoch, on a logarithmic axis.

    Args:
        norms: {"delta": (epochs, layers), "W": (epochs, layers)}, either or both, where (layers,) is a single epoch; or a
            list of such mappings, one for each epoch. "epoch" beside them numbers the epochs, which otherwise are 1, 2, ….
            A layer that has no such norm, as pooling has no W, is NaN or None in every epoch.
        against: "epoch" (a line for each layer) or "layer" (a line for each epoch). None: the longer of the two.
        ax: Axes to draw in: one, or a sequence of one for each quantity. file: where to write the figure.

    >>> figure = gradients({"delta": [1e-3, 1e-2, 1e-1]})   # vanishing towards the first of three layers
    """
    tables, numbers = _norms(norms)
    epochs, layers = next(iter(tables.values())).shape
    if against is None:
        against = "epoch" if epochs >= layers else "layer"
    check_name("against", against, ["epoch", "layer"])
    with drawing(ax, file, size=(4.6 * len(tables), 3.6), panels=len(tables)) as (figure, axes):
        for panel, (name, table) in zip(axes, tables.items(), strict=True):
            x, lines = (numbers, np.arange(1, layers + 1)) if against == "epoch" else (np.arange(1, layers + 1), numbers)
            _gradients(panel, table if against == "epoch" else table.T, against, x, lines)
            panel.set_title(_NORMS[name][0], fontsize=11)
            panel.set_ylabel(f"norm {_NORMS[name][1]}")
    return figure


def _norms(norms: Any) -> tuple[dict[str, Array], Array]:
    """Tables (epochs, layers) by name, in the order in which they are drawn, and the epochs' numbers (epochs,)."""
    allowed = 'it must be {"delta": (epochs, layers), "W": (epochs, layers)} or a list of mappings, one for each epoch'
    if not isinstance(norms, Mapping):
        records = norms
        if not isinstance(records, Sequence) or not records or not all(isinstance(one, Mapping) for one in records):
            raise TypeError(f"norms: received {shown(norms)}, but {allowed}")
        if any(set(one) != set(records[0]) for one in records):
            raise ValueError("norms: received epochs with different names, but each must have those of the first")
        norms = {name: [one[name] for one in records] for name in records[0]}
    for name in norms:
        check_name("norms", name, [*_NORMS, "epoch"])
    if not set(norms) & set(_NORMS):
        raise ValueError(f"norms: received {', '.join(norms) or 'nothing'}, but {allowed}")
    tables = {name: _table(f"norms[{name!r}]", norms[name], allowed) for name in _NORMS if name in norms}
    if len({table.shape for table in tables.values()}) > 1:
        shapes = ", ".join(f"{name!r}: {table.shape}" for name, table in tables.items())
        raise ValueError(f"norms: received {shapes}, but they must have one shape, (epochs, layers)")
    epochs = len(next(iter(tables.values())))
    allowed = counted(epochs, "number")
    numbers = np.atleast_1d(check_array("norms['epoch']", norms.get("epoch", range(1, epochs + 1)), allowed))
    if numbers.shape != (epochs,):
        raise ValueError(f"norms['epoch']: received {shown(norms['epoch'])}, but it must be {allowed}")
    return tables, numbers


def _table(name: str, norms: Any, allowed: str) -> Array:
    """Norms (epochs, layers), NaN where a layer has none."""
    try:
        table = np.atleast_2d(np.asarray(norms, np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{name}: received rows of different lengths or no numbers, but {allowed}") from None
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"{name}: received shape {table.shape}, but it must be (epochs, layers) or (layers,)")
    wrong = ~(np.isfinite(table) & (table >= 0) | np.isnan(table).all(axis=0))
    if wrong.any():
        raise ValueError(f"{name}: received {table[wrong][0]:g}, but norms are finite numbers of at least 0")
    return table


def _gradients(panel: "Axes", table: Array, against: str, x: Array, numbers: Array) -> None:
    """One panel: a line for each column of the table (points on the x axis, lines), by the lines' numbers."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.ticker import MaxNLocator

    other = "layer" if against == "epoch" else "epoch"
    points, lines = table.shape
    steps, marker = colours(lines), "o" if points <= 30 else ""
    for norms, number, colour in zip(table.T, numbers, steps, strict=True):
        there = ~np.isnan(norms)  # not where a layer has no such norm
        if not there.any():
            continue
        values = np.where(norms > 0, norms, np.nan)[there]  # 0 has no place on a logarithmic axis
        panel.plot(x[there], values, color=colour, marker=marker, markersize=3.5, label=f"{other} {number:g}")
    tidy(panel)
    if (table > 0).any():
        panel.set_yscale("log")
    panel.set_xlabel(against)
    number_axis(panel)
    if lines > len(COLOURS):
        shades = LinearSegmentedColormap.from_list("steps", steps)
        bar = panel.figure.colorbar(ScalarMappable(Normalize(numbers[0], numbers[-1]), shades), ax=panel, label=other, pad=0.02)
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    elif lines > 1:
        add_legend(panel)
