"""What the network saw, drawn: every input as an image with its answer above."""

import math
from pathlib import Path

import numpy as np

from mlp.plots.canvas import drawing, exact_room, show_image
from mlp.plots.mosaic import check_shape, columns_for, enlargement, images, tiled
from mlp.predict.answers import Answers
from mlp.predict.inputs import Input

#: At most so many images are drawn.
_MOST = 100


def show(answered: list[tuple[Input, Answers]], file: Path) -> None:
    """Write a figure of the inputs as images, each with its answer above; the first hundred, of more."""
    shape = next((read.image_shape for read, _ in answered if read.image_shape), None)
    if shape is not None and len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    rows = np.concatenate([read.X[:_MOST] for read, _ in answered])[:_MOST]
    if rows.dtype == np.uint8:
        rows = rows / 255
    pictures = images(rows, check_shape(shape, rows.shape[1]))
    told = [answers.sentence(row) for _, answers in answered for row in range(min(_MOST, len(answers)))][:_MOST]
    tall, wide = (edge * enlargement(pictures) for edge in pictures.shape[1:3])
    gap = math.ceil(0.4 * wide), math.ceil(0.3 * wide)
    mosaic = tiled(pictures, gap, columns_for(len(pictures), tall + gap[0], wide + gap[1]))
    image = mosaic.image[: mosaic.top[-1] + mosaic.height + 1]  # nothing is written under the last row
    size, box = exact_room(len(image), image.shape[1], max(1, 170 // mosaic.width), above=10, least=100)
    with drawing(None, file, size=size, box=box) as (_, (panel,)):
        show_image(panel, image, low=float(min(0, np.nanmin(image))), high=float(max(1, np.nanmax(image))))
        for text, left, top in zip(told, mosaic.left, mosaic.top, strict=True):
            text = text.replace("; ", "\n")
            panel.text(left + mosaic.width / 2, top - 0.06 * wide, text, ha="center", va="bottom", fontsize=7)
