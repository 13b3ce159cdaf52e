"""`Film`: a network's first features as they form, from noise to strokes, frame by frame while a network learns."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.blas import Array
from mlp.checkpoint import atomic_write
from mlp.checks import check_integer, check_path, shown
from mlp.plots.inputs import check_network, feature_shape, first_with_weights
from mlp.plots.mosaic import channels_beside, check_shape, images, tiled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Each frame is that many times as many steps from the start as the one before it.
_PACE = 1.2

#: Greys that a frame has, few enough that a film of noise is small; and the pixels above them, for words.
_GREYS, _ROOM = 24, 40

#: At most so many pixels wide and high is a film of features that aren't larger themselves.
_LARGEST = 600

_FRAMES_A_SECOND, _LAST_SECONDS = 8, 3

#: The formats, by a file's ending, and matplotlib's writer of each.
_WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}


class Film:
    """A film of the features of the first layer with weights. It is told of a training's steps, and writes the film at the end.

    Frames are taken at the start and after 1, 2, 3 … 9, 10, 12, 14, 16, 19, 22 … steps, ever further apart, since features
    change fastest at first. Without `each_step`, epochs or iterations are counted in place of steps.

    Args:
        net: the network that is about to learn.
        file: where the film goes, a .gif, or an .mp4 where ffmpeg is installed. None: `save` is told.
        validation: an Objective whose accuracy is told beside the features, of each frame; or None.
        count: how many features to show, the first ones.
        shape: of a feature's image, as in `mlp.plots.features`.

    Raises:
        ValueError: no layer has weights, or these make no image; or the file's ending is another.

    >>> film = Film(net, "features.gif", validation=mlp.Objective(net, test.X, test.y))                  # doctest: +SKIP
    >>> mlp.sgd(objective, net.theta, callback=film, each_step=film.each_step)                           # doctest: +SKIP
    >>> film.save()                                                                                      # doctest: +SKIP
    """

    def __init__(
        self, net: Any, file: Any = None, *, validation: Any = None, count: int = 100, shape: tuple[int, ...] | None = None
    ):
        self.net = check_network("net", net)
        self.file = None if file is None else _check_file(file)
        if validation is not None and not hasattr(validation, "evaluate"):
            raise TypeError(f"validation: received {shown(validation)}, but it must have evaluate(theta), as an Objective has")
        self.validation = validation
        self.count = check_integer("count", count, at_least=1)
        number = first_with_weights(self.net)
        #: The layer that is shown, and where its parameters begin in θ.
        self.layer, self.start = self.net.layers[number], sum(below.size for below in self.net.layers[:number])
        W = getattr(self.layer, "W", None)
        if W is None:
            raise ValueError(f"net: received a network whose first layer is {self.layer!r}, but it must have weights W")
        own = feature_shape(self.net, number)
        self.shape = own if shape is None and len(own) > 1 else check_shape(shape, W.shape[1])
        self.own = shape is None and len(own) > 1
        self.steps = self.epochs = self.next = 0
        self.unit = "epoch"
        #: (number of steps, number of epochs, accuracy or None, W of the features that are shown) of each frame.
        self.frames: list[tuple[int, int, float | None, Array]] = []
        self._take(self.net.theta)

    def each_step(self, snapshot: Callable[[], Any]) -> None:
        """After a step: take a frame if it is time. A minimiser's `each_step`."""
        self.steps += 1
        if self.steps >= self.next:
            self._take(snapshot().arrays["theta"])

    def __call__(self, intermediate_result: Any) -> None:
        """After an epoch or iteration: a minimiser's `callback`."""
        self.epochs += 1
        self.unit = "iteration" if "iteration" in intermediate_result.history[-1] else "epoch"
        if self.steps == 0 and self.epochs >= self.next:
            self._take(intermediate_result.x)

    def _take(self, theta: Array) -> None:
        theta = np.asarray(theta, self.net.dtype)
        W = self.layer.at(theta[self.start : self.start + self.layer.size]).W[: self.count].copy()
        accuracy = None if self.validation is None else self.validation.evaluate(theta).accuracy
        self.frames.append((self.steps, self.epochs, accuracy, W))
        done = self.steps or self.epochs
        self.next = max(done + 1, int(done * _PACE))

    def save(self, file: Any = None) -> None:
        """Write the film, whole or not at all, with the network as it is now for its last frame; `file` as of `Film`."""
        from matplotlib.animation import writers

        path = _check_file(file) if file is not None or self.file is None else self.file
        if self.frames[-1][:2] != (self.steps, self.epochs):
            self._take(self.net.theta)
        limit = float(np.percentile(np.abs(self.frames[-1][3]), 99.5)) or 1.0
        writer = writers[_WRITERS[path.suffix.lower()]](fps=_FRAMES_A_SECOND)
        figure, show = self._screen(limit)
        part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        try:
            with writer.saving(figure, str(part), figure.dpi):
                for frame in [*self.frames, *[self.frames[-1]] * (_FRAMES_A_SECOND * _LAST_SECONDS)]:
                    show(frame)
                    writer.grab_frame()
            with atomic_write(path) as stream:
                stream.write(part.read_bytes())
        finally:
            part.unlink(missing_ok=True)

    def _screen(self, limit: float) -> tuple["Figure", Callable[[tuple[int, int, float | None, Array]], None]]:
        """A figure, and what shows a frame in it: grey is 0, and `limit` white."""
        from mlp.plots.figure import NotebookFigure

        def mosaic(W: Array) -> Array:
            grey = np.rint((0.5 + np.clip(W / limit, -1, 1) / 2) * (_GREYS - 2)) / (_GREYS - 2)  # an even number: 0 is grey
            tiles = channels_beside(grey, self.shape, colour=True) if self.own else images(grey, self.shape)
            return np.nan_to_num(tiled(tiles).image, nan=1.0)

        image = mosaic(self.frames[0][3])
        height, width = image.shape[:2]
        times = max(1, _LARGEST // max(height, width))
        height, width, dpi = times * height, max(times * width, _LARGEST // 2), 100
        figure = NotebookFigure(figsize=(width / dpi, (height + _ROOM) / dpi), dpi=dpi, facecolor="white")
        panel = figure.add_axes((0, 0, 1, height / (height + _ROOM)))
        panel.set_axis_off()
        picture = panel.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        words = figure.text(0.5, 1 - _ROOM / 2 / (height + _ROOM), "", ha="center", va="center", fontsize=10)

        def show(frame: tuple[int, int, float | None, Array]) -> None:
            steps, epochs, accuracy, W = frame
            parts = [f"step {steps:,}"] if self.steps and self.unit == "epoch" else []
            parts += [f"{self.unit} {epochs:,}"] if self.epochs else []
            parts += [] if accuracy is None else [f"accuracy {100 * accuracy:.1f} %"]
            words.set_text(" · ".join(parts))
            picture.set_data(mosaic(W))

        return figure, show


def _check_file(file: Any) -> Path:
    """The path, if a film can be written there."""
    path = check_path("file", file)
    if path.suffix.lower() not in _WRITERS:
        raise ValueError(f"file: received {str(file)!r}, but its name must end in {', '.join(_WRITERS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"file: received {str(file)!r}, but there is no directory {path.parent}")
    from matplotlib.animation import writers

    if not writers.is_available(_WRITERS[path.suffix.lower()]):
        raise ValueError(f"file: received {str(file)!r}, but there is no ffmpeg to write it: install it, or give a .gif")
    return path
