"""Figures made of lines and counts: `curves`, `confusion`, `weights` and `gradients`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.batches import check_input
from mlp.blas import Array
from mlp.checks import check_name, shown
from mlp.plots.answers import check_labels, labels_and_confidence
from mlp.plots.canvas import BLUE, COLOURS, VERMILLION, add_legend, colours, counted, drawing, tidy
from mlp.plots.runs import columns_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = dict[str, Array]

# How training went

#: What each panel of `curves` shows of the training and of the validation set, by column.
_PANELS = {"cost": ("cost", "validation_cost"), "accuracy": ("accuracy", "validation_accuracy")}


def curves(
    run: Any,
    *,
    show: str | None = None,
    against: str = "epoch",
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """Cost and accuracy of the training and the validation set, by epoch; of one run, or of several on top of each other.

    Args:
        run: a history (records with cost and epoch or iteration; validation_cost and validation_accuracy if there are
            any), a minimiser's result, the path of a metrics.csv or of the run's directory; or several of these by label:
            {"sgd": "runs/1", "adam": result}.
        show: "cost" or "accuracy", for that panel alone; None: both, where there are both.
        against: "epoch" (iterations, where the minimiser has those) or "seconds" of training.
        ax: Axes to draw in: one, or a sequence of one for each panel. file: where to write the figure.

    Costs have a logarithmic axis where they span more than a factor of 10.

    >>> figure = curves([{"epoch": 1, "cost": 0.5}, {"epoch": 2, "cost": 0.2}])
    """
    check_name("against", against, ["epoch", "seconds"])
    several = isinstance(run, Mapping) and not hasattr(run, "x") and not hasattr(run, "history")
    if several and not run:
        raise ValueError("run: received an empty mapping, but it must hold one run or more")
    if several:
        runs = {str(label): columns_of(one, f"run[{label!r}]") for label, one in run.items()}
    else:
        runs = {"": columns_of(run, "run")}
    if against == "seconds" and not all("seconds" in columns for columns in runs.values()):
        raise ValueError("against: received 'seconds', but a run has no such column; 'epoch' is always there")
    panels = [name for name, columns in _PANELS.items() if any(_any(one, name) for one in runs.values() for name in columns)]
    if not panels:
        raise ValueError("run: holds no finite cost")
    if show is not None:
        if check_name("show", show, _PANELS) not in panels:
            raise ValueError(f"show: received {shown(show)}, but only {', '.join(panels)} was recorded")
        panels = [show]
    with drawing(ax, file, size=(4.4 * len(panels), 3.6), panels=len(panels)) as (figure, axes):
        for name, panel in zip(panels, axes, strict=True):
            _curves(panel, runs, name, against)
    return figure


def _any(columns: Columns, name: str) -> bool:
    return name in columns and bool(np.isfinite(columns[name]).any())


def _curves(panel: "Axes", runs: dict[str, Columns], name: str, against: str) -> None:
    """One panel. A single run's lines differ in colour; of several, each has a colour, and training is dashed."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    factor = 100 if name == "accuracy" else 1
    best = np.max if name == "accuracy" else np.min
    training, validation = _PANELS[name]
    drawn: list[Array] = []
    units, dashed = set(), False
    for (label, columns), colour in zip(runs.items(), colours(len(runs)), strict=True):
        unit = "seconds" if against == "seconds" else "iteration" if "iteration" in columns else "epoch"
        units.add(unit)
        # a history of a minimiser of one's own may leave its epochs unnumbered
        x = columns.get(unit, np.arange(1, len(columns["cost"]) + 1))
        for column, kind in ((training, "training"), (validation, "validation")):
            if not _any(columns, column):
                continue
            values = factor * columns[column]
            drawn.append(values[np.isfinite(values)])
            text, line = label or kind, "-"
            if label:
                dashed |= kind == "training"
                line = "--" if kind == "training" else "-"
            else:
                colour = BLUE if kind == "training" else VERMILLION
            if kind == "validation":
                row = int(np.flatnonzero(values == best(drawn[-1]))[0])
                figure = f"{values[row]:.2f} %" if name == "accuracy" else f"{values[row]:.3g}"
                where = f"{x[row]:.3g} s" if unit == "seconds" else f"{unit} {x[row]:.0f}"
                text += f" (best {figure}, {where})"
            elif label and _any(columns, validation):
                text = "_"  # the validation line names the run
            marker = "o" if len(drawn[-1]) <= 30 else ""
            panel.plot(x, values, line, color=colour, label=text, marker=marker, markersize=3.5, linewidth=1.6)
    tidy(panel)
    everything = np.concatenate(drawn)
    if name == "cost" and everything.min() > 0 and everything.max() > 10 * everything.min():
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
    if units == {"seconds"}:
        panel.set_xlabel("training time (s)")
    else:
        panel.set_xlabel(" or ".join(sorted(units)))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    panel.set_ylabel("accuracy (%)" if name == "accuracy" else "cost")
    panel.set_title(name.capitalize() + (" (dashed: training)" if dashed else ""), fontsize=11)
    add_legend(panel)


# What is confused with what


def confusion(
    net: Any = None,
    X: Any = None,
    y: Any = None,
    *,
    predicted: Any = None,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """How often each class was taken for each other: rows are the true classes, columns the labels given.

    Mistakes alone are coloured, so that they stand out from the many right answers on the diagonal; on the right is the
    share of each true class that was recognised.

    Args:
        net, X: a classifier and inputs (n, features); 8-bit unsigned X is taken as pixel intensities.
        y: true labels, (n,) integers, or (n, outputs) with a 1 for the true class.
        predicted: labels (n,), in place of net and X.
        ax: Axes to draw in. file: where to write the figure.

    >>> figure = confusion(y=[0, 0, 1], predicted=[0, 1, 1])
    """
    if y is None or (net is None) != (X is None) or (net is None) == (predicted is None):
        raise TypeError("confusion: it needs net, X and y, or y and predicted")
    if predicted is None:
        inputs = check_input(X, net.sizes[0], net.dtype)
        outputs, given, _ = labels_and_confidence(net, inputs)
        classes = max(2, outputs)
        true = check_labels("y", y, len(inputs), classes)
    else:
        true = check_labels("y", y, None, None)
        given = check_labels("predicted", predicted, len(true), None)
        classes = int(max(true.max(), given.max())) + 1
    counts = np.bincount(true * classes + given, minlength=classes**2).reshape(classes, classes)

    right, total = int(np.trace(counts)), len(true)
    edge = min(12.0, max(2.6, 0.46 * classes))
    with drawing(ax, file, size=(edge + 1.9, edge + 0.9)) as (figure, (panel,)):
        _confusion(panel, counts)
        panel.set_title(f"Accuracy {100 * right / total:.2f} % ({right:,} of {counted(total, 'example')})", fontsize=11)
    return figure


def _confusion(panel: "Axes", counts: Array) -> None:
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
        panel.set_xticks(range(classes))
        panel.set_yticks(range(classes))
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
    """The numbers in their cells, white on the dark ones; zeros are there, but faint."""
    cell = panel.get_window_extent().width / panel.figure.dpi * 72 / len(counts)  # points
    font = max(4.0, min(10.0, 0.75 * cell / (1 + 0.6 * len(f"{counts.max()}") / 2)))
    for row, column in np.ndindex(*counts.shape):
        number = counts[row, column]
        dark = row != column and number > 0.6 * max(most, 2)
        colour = "black" if row == column else "0.75" if number == 0 else "white" if dark else "black"
        weight = "bold" if row == column else "normal"
        panel.text(column, row, f"{number}", ha="center", va="center", color=colour, fontsize=font, weight=weight)


# Layer by layer


def weights(net: Any, *, ax: Any = None, file: Any = None) -> "Figure":
    """Histograms of the weights W, one for each layer, the first on top; biases are left out.

    Args:
        net: the network.
        ax: Axes to draw in. file: where to write the figure.
    """
    layers = getattr(net, "layers", None)
    if not layers:
        raise TypeError(f"net: received {shown(net)}, but it must be an MLP")
    names = [f"layer {number}\n{layer.fan_in} → {layer.units}" for number, layer in enumerate(layers, 1)]
    return ridges([layer.W.ravel() for layer in layers], names, "Weights by layer", "weight", ax, file)


def ridges(samples: Sequence[Array], names: Sequence[str], title: str, label: str, ax: Any, file: Any) -> "Figure":
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
    tables = {}
    for name in (name for name in _NORMS if name in norms):
        try:
            table = np.atleast_2d(np.asarray(norms[name], np.float64))
        except (TypeError, ValueError):
            raise ValueError(f"norms[{name!r}]: received rows of different lengths or no numbers, but {allowed}") from None
        if table.ndim != 2 or table.size == 0:
            raise ValueError(f"norms[{name!r}]: received shape {table.shape}, but it must be (epochs, layers) or (layers,)")
        if not (table >= 0).all() or np.isinf(table).any():
            value = table[~((table >= 0) & np.isfinite(table))][0]
            raise ValueError(f"norms[{name!r}]: received {value:g}, but norms are finite numbers of at least 0")
        tables[name] = table
    if len({table.shape for table in tables.values()}) > 1:
        shapes = ", ".join(f"{name!r}: {table.shape}" for name, table in tables.items())
        raise ValueError(f"norms: received {shapes}, but they must have one shape, (epochs, layers)")
    epochs = len(next(iter(tables.values())))
    numbers = np.atleast_1d(np.asarray(norms.get("epoch", range(1, epochs + 1))))
    if numbers.shape != (epochs,) or numbers.dtype.kind not in "iuf":
        raise ValueError(f"norms['epoch']: received {shown(norms['epoch'])}, but it must be {counted(epochs, 'number')}")
    return tables, numbers


def _gradients(panel: "Axes", table: Array, against: str, x: Array, numbers: Array) -> None:
    """One panel: a line for each column of the table (points on the x axis, lines), by the lines' numbers."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.ticker import MaxNLocator

    other = "layer" if against == "epoch" else "epoch"
    points, lines = table.shape
    steps = colours(lines)
    for norms, number, colour in zip(table.T, numbers, steps, strict=True):
        values = np.where(norms > 0, norms, np.nan)  # 0 has no place on a logarithmic axis
        panel.plot(x, values, color=colour, marker="o" if points <= 30 else "", markersize=3.5, label=f"{other} {number:g}")
    tidy(panel)
    if (table > 0).any():
        panel.set_yscale("log")
    panel.set_xlabel(against)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if lines > len(COLOURS):
        shades = LinearSegmentedColormap.from_list("steps", steps)
        bar = panel.figure.colorbar(ScalarMappable(Normalize(numbers[0], numbers[-1]), shades), ax=panel, label=other, pad=0.02)
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    elif lines > 1:
        add_legend(panel)
