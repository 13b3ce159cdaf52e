"""`answer`: one example on its way through a network, from the input to the answer."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.blas import Array
from mlp.checks import counted, is_sequence, shown
from mlp.plots.canvas import BLUE, VERMILLION, drawing
from mlp.plots.inputs import check_network, network_inputs
from mlp.plots.mosaic import check_shape, columns_for, images, tiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Outputs beyond so many are left out, the smallest first.
_MOST_BARS = 20


def answer(
    net: Any,
    x: Any,
    y: Any = None,
    *,
    classes: Sequence[str] | None = None,
    shape: tuple[int, ...] | None = None,
    ax: Any = None,
    file: Any = None,
) -> "Figure":
    """One example, what each hidden layer makes of it, and the outputs as bars.

    Args:
        net: the network.
        x: an input (features,), or (1, features); 8-bit unsigned x is taken as pixel intensities.
        y: its true label, whose bar has a mark then; or None.
        classes: what the outputs are called. None: as the network's preparation says, or by their numbers.
        shape: of the image that the input is, as in `features`. None: as the network sees it, or a square's; an input that is
            no image is shown as bars.
        ax: Axes to draw in. file: where to write the figure.

    >>> answer(net, test.X[0], test.y[0])   # doctest: +SKIP
    """
    check_network("net", net)
    x = np.asarray(x)
    inputs = network_inputs(net, x.reshape(1, -1) if x.ndim != 2 or len(x) == 1 else x)
    if len(inputs) != 1:
        raise ValueError(f"x: received shape {x.shape}, but it must be one example ({net.sizes[0]},)")
    names = _names(net, classes)
    if y is not None and not (isinstance(y, int | np.integer) and 0 <= int(y) < len(names)):
        raise ValueError(f"y: received {shown(y)}, but it must be a label from 0 to {len(names) - 1}")
    values = inputs[0] / 255 if inputs.dtype == np.uint8 else inputs[0].astype(np.float64)
    sizes = _image_sizes(net, shape, len(values))
    hidden = range(len(net.layers) - 1)
    with drawing(ax, file, size=(2.5 * (2 + len(hidden)), 2.8), panels=2 + len(hidden)) as (figure, panels):
        _draw_input(panels[0], values, sizes, _input_names(net, len(values)))
        for number in hidden:
            _draw_layer(panels[1 + number], net.forward(inputs, layer=number)[0], net.layers[number], number)
        _draw_outputs(panels[-1], net.forward(inputs)[0], names, net.output.name, None if y is None else int(y))
    return figure


def _names(net: Any, classes: Any) -> list[str]:
    """What the outputs are called; a single logistic output is two classes."""
    units = net.sizes[-1]
    count = 2 if units == 1 and net.output.name == "logistic" else units
    known = getattr(getattr(net, "preparation", None), "classes", None)
    if classes is None:
        return [str(name) for name in known] if known is not None and len(known) == count else list(map(str, range(count)))
    if not is_sequence(classes) or len(classes) != count:
        raise ValueError(f"classes: received {shown(classes)}, but it must be {count} names")
    return [str(name) for name in classes]


def _image_sizes(net: Any, shape: Any, features: int) -> tuple[int, ...] | None:
    """The shape of the image that an input is, if it is one."""
    own = getattr(net, "in_shape", (features,))
    if shape is None and len(own) in (2, 3) and (*own, 1)[2] in (1, 3):
        shape = own[:2] if (*own, 1)[2] == 1 else own
    if shape is None and (features < 16 or math.isqrt(features) ** 2 != features):
        return None
    return check_shape(shape, features)


def _input_names(net: Any, features: int) -> list[str]:
    """What the inputs are called: the columns of the table that they come from, or their numbers."""
    names: list[str] = []
    for column in getattr(getattr(net, "preparation", None), "columns", ()):
        names += [f"{column.name} = {value}" for value in column.values] or [column.name]
    return names if len(names) == features else list(map(str, range(features)))


def _draw_input(panel: "Axes", values: Array, sizes: tuple[int, ...] | None, names: list[str]) -> None:
    panel.set_title("Input", fontsize=11)
    if sizes is None:
        panel.barh(np.arange(len(values)), values, color=[BLUE if value >= 0 else VERMILLION for value in values])
        panel.invert_yaxis()
        panel.spines[["top", "right"]].set_visible(False)
        few = len(values) <= _MOST_BARS
        panel.set_yticks(range(len(values)) if few else [], names if few else [], parse_math=False)
        return
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    panel.imshow(images((values[None] - low) / (high - low), sizes)[0], cmap="gray", vmin=0, vmax=1)
    panel.set_xticks([])
    panel.set_yticks([])


def _draw_layer(panel: "Axes", a: Array, layer: Any, number: int) -> None:
    """A layer's outputs: a square for each unit, or its maps as pictures."""
    from matplotlib import colormaps

    shape = layer.out_shape
    if len(shape) == 3:
        image = tiled(np.moveaxis(a.reshape(shape), -1, 0)).image
        words = f"{counted(shape[2], 'map')} of {shape[0]} × {shape[1]}"
    else:
        columns = columns_for(len(a), 1, 1)
        image = np.full(math.ceil(len(a) / columns) * columns, math.nan)
        image[: len(a)] = a
        image = image.reshape(-1, columns)
        name = layer.activation.name
        words = counted(len(a), "unit" if name == "identity" else f"{name} unit")
    largest = float(np.abs(a).max()) or 1.0
    cmap, low = ("PuOr", -largest) if a.min() < 0 else ("viridis", 0.0)
    picture = panel.imshow(image, cmap=colormaps[cmap].with_extremes(bad="white"), vmin=low, vmax=largest)
    panel.set_title(f"Layer {number + 1}\n{words}", fontsize=10)
    panel.set_axis_off()
    panel.figure.colorbar(picture, ax=panel, orientation="horizontal", fraction=0.06, pad=0.04, shrink=0.8)


def _draw_outputs(panel: "Axes", outputs: Array, names: list[str], activation: str, y: int | None) -> None:
    """Bars, the largest in blue; the title is red where the answer is wrong."""
    shares = np.array([1 - outputs[0], outputs[0]]) if len(names) == 2 and len(outputs) == 1 else outputs
    best = int(shares.argmax())
    order = np.arange(len(shares))
    if len(order) > _MOST_BARS:
        order = np.sort(np.argsort(-shares, kind="stable")[:_MOST_BARS])
    panel.barh(range(len(order)), shares[order], color=[BLUE if one == best else "0.75" for one in order])
    panel.set_yticks(range(len(order)), [names[one] + (" (true)" if one == y else "") for one in order], parse_math=False)
    panel.invert_yaxis()
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right"]].set_visible(False)
    classifies = activation in ("softmax", "logistic")
    if classifies:
        panel.set_xlim(0, 1)
    title = f"Answer: {names[best]}, {100 * shares[best]:.1f} %" if classifies else "Output"
    panel.set_title(
        title, fontsize=11, color=VERMILLION if classifies and y is not None and y != best else "black", parse_math=False
    )
