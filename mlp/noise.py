"""What the random draws of a call are made from: `Noise`, the generator that it stands for, and draws of 16 bits.

Distortions and dropout masks are functions of noise, so that a cost and its gradient are so too (see objective.py).
"""

from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_integer

#: A number of at least 0, or several.
Noise = int | tuple[int, ...]


def check_noise(noise: Any) -> Noise:
    """Noise that a generator can be made from."""
    if isinstance(noise, tuple) and noise:
        return tuple(check_integer("noise", part, at_least=0) for part in noise)
    try:
        return check_integer("noise", noise, at_least=0)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}, or a tuple of such") from None


def generator(noise: Noise) -> np.random.Generator:
    """The generator that all draws of a call come from."""
    return np.random.Generator(np.random.SFC64(noise))


def draw_16_bits(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Uniform integers from 0 to 65,535, uint16 of that shape: four of each 64 bits drawn, which is what makes it quick."""
    size = int(np.prod(shape))
    return rng.integers(0, 1 << 64, -(-size // 4), dtype=np.uint64).view(np.uint16)[:size].reshape(shape)
