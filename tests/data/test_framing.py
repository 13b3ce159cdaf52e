"""How images show things is measured: MNIST's own, as published, and images made by hand."""

import numpy as np
import pytest

import mlp
from mlp.data.framing import Framing, measure


def bars(paper, ink, size=10, tall=6, n=5, dtype=np.uint8):
    """Images (n, size, size) with an upright bar, `tall` pixels long, in the middle."""
    images = np.full((n, size, size), paper, dtype)
    top = (size - tall) // 2
    images[:, top : top + tall, size // 2] = ink
    return images


def test_mnist_is_framed_as_published():
    """ "… to fit in a 20×20 pixel box … centered in a 28×28 image" (http://yann.lecun.com/exdb/mnist)."""
    training, *_ = mlp.load_mnist()
    assert training.preparation.framing == Framing(20 / 28, dark=False, low=0.0, high=255.0, integers=True)


@pytest.mark.parametrize(
    ("images", "framing"),
    [
        (bars(0, 255), Framing(0.6, False, 0.0, 255.0, True)),
        (bars(250, 10), Framing(0.6, True, 0.0, 255.0, True)),
        (bars(0, 16, tall=10), Framing(1.0, False, 0.0, 16.0, True)),
        (bars(1.0, -1.0, dtype=float), Framing(0.6, True, -1.0, 1.0, False)),
        (bars(0, 255).reshape(5, 10, 10, 1), Framing(0.6, False, 0.0, 255.0, True)),
        (np.zeros((5, 4, 4, 3), np.uint8), Framing(None, False, 0.0, 0.0, True)),
        (np.full((5, 4, 4), 7.0), Framing(None, False, 7.0, 7.0, False)),
        (np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8), Framing(None, False, 0.0, 255.0, True)),
    ],
    ids=["light on dark", "dark on light", "small integers", "floats", "one channel", "colours", "blank", "photographs"],
)
def test_what_is_measured(images, framing):
    assert measure(images) == framing
    assert Framing.from_description(framing.describe()) == framing


def test_a_picture_gets_the_images_range_and_their_side():
    picture = np.array([[0, 51, 255]], np.uint8)
    assert Framing(0.6, True, -1.0, 1.0, False).pixels(picture, inverted=True).tolist() == [[1.0, pytest.approx(0.6), -1.0]]
    assert Framing(0.6, True, -1.0, 1.0, False).pixels(picture, inverted=False).tolist() == [[-1.0, pytest.approx(-0.6), 1.0]]
    small = Framing(1.0, False, 0.0, 16.0, True).pixels(picture, inverted=True)
    assert (small.dtype, small.tolist()) == (np.uint8, [[0, 3, 16]])
    whole = Framing(0.6, False, 0.0, 255.0, True).pixels(picture, inverted=True)
    assert (whole.dtype, whole.tolist()) == (np.uint8, picture.tolist())


@pytest.mark.parametrize(
    "change",
    [
        {"part": 0},
        {"part": 1.5},
        {"part": "all"},
        {"low": 3, "high": 2},
        {"high": 1e999},
        {"high": 256},
        {"dark": 1},
        {"more": 1},
    ],
)
def test_damaged_descriptions_are_refused(refused, change):
    described = Framing(0.6, False, 0.0, 255.0, True).describe()
    with refused(ValueError, "framing: received", "must have part, dark, low, high and integers"):
        Framing.from_description(described | change)
