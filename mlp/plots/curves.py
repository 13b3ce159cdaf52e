"""`curves`: how training went."""

from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_name, shown
from mlp.plots.canvas import BLUE, VERMILLION, add_legend, colours, drawing, number_axis, tidy
from mlp.plots.runs import Columns, runs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What each panel shows of the training and of the validation set, by column.
_PANELS = {"cost": ("cost", "validation_cost"), "accuracy": ("accuracy", "validation_accuracy")}


def curves(
    run: Any,
    *,
    show: str | None = None,
    against: str = "epoch",
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """Cost and accuracy on the training and the validation set, by epoch; of one run, or of several in the same picture.

    Args:
        run: a history (records with cost and epoch or iteration; validation_cost and validation_accuracy if there are
            any), a minimiser's result, the path of a metrics.csv or of the run's directory. Several of these: in a mapping
            by label, {"sgd": "runs/1", "adam": result}, or in a list, where the label is the directory's name, or "run 1",
            "run 2", ….
        show: "cost" or "accuracy", for that panel alone; None: both, where there are both.
        against: "epoch" (iterations, where the minimiser has those) or "seconds" of training.
        ax: Axes to draw in: one, or a sequence of one for each panel. file: where to write the figure.

    Costs have a logarithmic axis where they span more than a factor of 10.

    >>> figure = curves([{"epoch": 1, "cost": 0.5}, {"epoch": 2, "cost": 0.2}])
    """
    check_name("against", against, ["epoch", "seconds"])
    runs = runs_of(run)
    if against == "seconds" and not all("seconds" in columns for columns in runs.values()):
        raise ValueError("against: received 'seconds', but a run has no such column; 'epoch' is always there")
    panels = [name for name, columns in _PANELS.items() if any(_has(one, name) for one in runs.values() for name in columns)]
    if not panels:
        raise ValueError("run: holds no finite cost")
    if show is not None:
        if check_name("show", show, _PANELS) not in panels:
            raise ValueError(f"show: received {shown(show)}, but only {', '.join(panels)} was recorded")
        panels = [show]
    with drawing(ax, file, size=(4.4 * len(panels), 3.6), panels=len(panels)) as (figure, axes):
        for name, panel in zip(panels, axes, strict=True):
            _draw(panel, runs, name, against)
    return figure


def _has(columns: Columns, name: str) -> bool:
    return name in columns and bool(np.isfinite(columns[name]).any())


def _draw(panel: "Axes", runs: dict[str, Columns], name: str, against: str) -> None:
    """One panel. A single run's lines differ in colour; of several, each has a colour, and training is dashed."""
    training, validation = _PANELS[name]
    drawn: list[Array] = []
    units = set()
    for (label, columns), colour in zip(runs.items(), colours(len(runs)), strict=True):
        unit = "seconds" if against == "seconds" else "iteration" if "iteration" in columns else "epoch"
        units.add(unit)
        # a history of a minimiser of one's own may leave its epochs unnumbered
        x = columns.get(unit, np.arange(1, len(columns["cost"]) + 1))
        for column in filter(lambda column: _has(columns, column), (training, validation)):
            values = np.where(np.isfinite(columns[column]), columns[column], np.nan) * (100 if name == "accuracy" else 1)
            drawn.append(values[np.isfinite(values)])
            text = label or ("training" if column == training else "validation")
            if column == validation:
                text += f" (best {_best(name, x, values, unit)})"
            elif label and _has(columns, validation):
                text = "_"  # the validation line names the run
            style = {"color": colour, "linestyle": "--" if column == training else "-"}
            if not label:
                style = {"color": BLUE if column == training else VERMILLION}
            marker = "o" if len(drawn[-1]) <= 30 else ""
            panel.plot(x, values, label=text, marker=marker, markersize=3.5, linewidth=1.6, **style)
    tidy(panel)
    if name == "cost":
        _scale_costs(panel, np.concatenate(drawn))
    panel.set_xlabel("training time (s)" if units == {"seconds"} else " or ".join(sorted(units)))
    if units != {"seconds"}:
        number_axis(panel)
    panel.set_ylabel("accuracy (%)" if name == "accuracy" else "cost")
    dashed = any(label and _has(columns, training) for label, columns in runs.items())
    panel.set_title(name.capitalize() + (" (dashed: training)" if dashed else ""), fontsize=11)
    add_legend(panel)


def _best(name: str, x: Array, values: Array, unit: str) -> str:
    """The best of the values and where it was reached first: "0.3, epoch 2", "95.00 %, 3 s"."""
    row = int(np.nanargmax(values) if name == "accuracy" else np.nanargmin(values))
    figure = f"{values[row]:.2f} %" if name == "accuracy" else f"{values[row]:.3g}"
    return f"{figure}, " + (f"{x[row]:.3g} s" if unit == "seconds" else f"{unit} {x[row]:.0f}")


def _scale_costs(panel: "Axes", costs: Array) -> None:
    """A logarithmic axis, if the costs span more than a factor of 10."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if costs.min() > 0 and costs.max() > 10 * costs.min():
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
