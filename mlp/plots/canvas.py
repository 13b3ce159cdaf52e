"""Where figures are drawn and written (`drawing`), images in whole pixels, and the looks that figures share."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp.blas import Array
from mlp.checkpoint import atomic_write
from mlp.checks import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

#: Pixels an inch of the figures made here, on the screen and in files.
DPI = 144

#: Okabe and Ito's colours, which people with any kind of colour vision tell apart (https://jfly.uni-koeln.de/color).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
BLUE, VERMILLION = COLOURS[:2]

#: About how many pixels wide or high an image in a figure of ours is, and at most how many a tile of it.
_IMAGE, _TILE = 936, 230

_SUFFIXES = (".png", ".pdf", ".svg")


@contextmanager
def drawing(
    ax: Any, file: Any, *, size: tuple[float, float], panels: int = 1, box: tuple[int, int, int, int] | None = None
) -> Iterator[tuple["Figure", list["Axes"]]]:
    """A figure and its panels to draw in; written to `file`, if there is one, once all is drawn.

    Args:
        ax: where to draw: None for a new figure, one Axes (divided, if there are several panels, which then stand above each
            other), or one for each panel.
        file: where to write: None, a path or an open binary file.
        size: a new figure's width and height in inches.
        panels: how many, side by side in a new figure.
        box: left, bottom, width and height in pixels of a new figure's only panel, where pixels must be exact. None:
            matplotlib's constrained layout finds room for everything.
    """
    _check_file(file)
    if ax is None:
        figure = _new_figure(size, exact=box is not None)
        if box is None:
            axes = list(figure.subplots(1, panels, squeeze=False)[0])
        else:
            width, height = size[0] * DPI, size[1] * DPI
            axes = [figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))]
    else:
        axes = _given(ax, panels)
        figure = axes[0].figure.figure  # the whole figure, even where the Axes are in a part of it
    yield figure, axes
    if file is not None:
        _write(figure, file)


def _new_figure(size: tuple[float, float], exact: bool) -> "Figure":
    from mlp.plots.figure import NotebookFigure

    return NotebookFigure(figsize=size, dpi=DPI, layout=None if exact else "constrained", facecolor="white")


def _given(ax: Any, panels: int) -> list["Axes"]:
    """The caller's Axes as a list, one for each panel."""
    from matplotlib.axes import Axes

    given: list[Any] = [ax] if isinstance(ax, Axes) else list(getattr(ax, "flat", ax)) if hasattr(ax, "__iter__") else []
    if not given or not all(isinstance(one, Axes) for one in given):
        allowed = "matplotlib Axes" + (", or a sequence of them" if panels > 1 else "")
        raise TypeError(f"ax: received {shown(ax)}, but it must be {allowed}")
    if len(given) == 1 and panels > 1:
        given[0].set_axis_off()
        height = 1 / (panels + 0.55 * (panels - 1))
        return [given[0].inset_axes((0, 1.55 * (panels - 1 - number) * height, 1, height)) for number in range(panels)]
    if len(given) != panels:
        raise ValueError(f"ax: received {len(given)} Axes, but the figure has {panels} panel{'s' * (panels > 1)}")
    return given


def _check_file(file: Any) -> None:
    """Refuse what can't be written to before anything is drawn."""
    if file is None:
        return
    if isinstance(file, str | os.PathLike):
        path = Path(file)
        if path.suffix.lower() not in _SUFFIXES:
            raise ValueError(f"file: received {str(file)!r}, but its name must end in {', '.join(_SUFFIXES)}")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"file: received {str(file)!r}, but there is no directory {path.parent}")
        if path.is_dir():
            raise IsADirectoryError(f"file: received {str(file)!r}, but that is a directory")
    elif not hasattr(file, "write") or hasattr(file, "encoding") or getattr(file, "closed", False) or not _writable(file):
        raise TypeError(f"file: received {shown(file)}, but it must be a path or a file open for writing bytes")


def _writable(file: Any) -> bool:
    return bool(file.writable()) if hasattr(file, "writable") else True


def _write(figure: "Figure", file: Any) -> None:
    if isinstance(file, str | os.PathLike):
        with atomic_write(file) as stream:
            figure.savefig(stream, format=Path(file).suffix.lower().removeprefix("."))
    else:
        figure.savefig(file, format="png")


# Images at a whole number of pixels each


def whole_scale(image: Array, tall: int, wide: int) -> int:
    """How many pixels a value of the image takes in a figure of ours, where its tiles are so tall and wide."""
    largest: int = max(image.shape[:2])
    return max(1, min(_IMAGE // largest, _TILE // max(tall, wide)))


def exact_room(
    height: int, width: int, scale: int, *, above: int = 44, least: int = 460
) -> tuple[tuple[float, float], tuple[int, int, int, int]]:
    """A figure's size (inches) and its panel's box (pixels) for height × width values of `scale` pixels each.

    `above` is the room for the title, and `least` the figure's least width for its sake, both in pixels.
    """
    margin = 10
    total = max(least, width * scale + 2 * margin)
    size = (total / DPI, (margin + height * scale + above) / DPI)
    return size, ((total - width * scale) // 2, margin, width * scale, height * scale)


def show_image(panel: "Axes", image: Array, cmap: str = "gray", low: float = 0, high: float = 1) -> "AxesImage":
    """The image alone, without axes; nothing is painted where it is NaN."""
    from matplotlib import colormaps

    panel.set_axis_off()
    shades = colormaps[cmap].with_extremes(bad=(1, 1, 1, 0))
    return panel.imshow(image, cmap=shades, vmin=low, vmax=high)


# Looks


def tidy(ax: "Axes", grid: str | None = "both") -> None:
    """No frame at the top and on the right, and a light grid behind the data along one axis or both."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid is not None:
        ax.grid(True, axis=grid, color="0.9", linewidth=0.8)  # type: ignore[arg-type]


def number_axis(ax: "Axes") -> None:
    """Whole numbers along the x axis."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def add_legend(ax: "Axes") -> None:
    """A legend where it covers least, on a background that keeps the grid from running through its words."""
    ax.legend(fontsize=8, loc="best", framealpha=0.85, edgecolor="none", borderpad=0.2)


def colours(count: int) -> Sequence[Any]:
    """As many colours as asked for: Okabe and Ito's, or, where those are too few, steps of viridis, dark to light."""
    if count <= len(COLOURS):
        return COLOURS[:count]
    from matplotlib import colormaps

    return [colormaps["viridis"](0.92 * number / (count - 1)) for number in range(count)]


def signed(number: float) -> str:
    """A number in three digits with a real minus sign: "−0.21", "+0.21", "0"."""
    return f"{number:+.2g}".replace("-", "−") if number else "0"
