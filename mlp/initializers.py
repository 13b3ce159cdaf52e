"""Initialisers: how the weights are drawn before training. Biases start at zero.

Each takes (n_in, n_out, rng) and returns W of shape (n_out, n_in) in float64. Those below draw each weight by itself, and are
written as the function of n_in and n_out that says how widely: the bound of a uniform distribution, the deviation of a
normal one. `small_normal(epsilon)` makes one with that deviation, and He's take the slope of a leaky ReLU, as
"he_normal:0.1"; an initialiser of your own is any function (n_in, n_out, rng) -> W.
"""

import math
from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import as_array, check_number, parse_call, parse_number, shown

Initializer = Callable[[int, int, np.random.Generator], Array]


class Independent:
    """An initialiser that draws each weight by itself, by `draw(rng, width, shape)` with width(n_in, n_out): so that it can
    draw some rows of W alone."""

    def __init__(self, draw: Callable[[np.random.Generator, float, tuple[int, int]], Array], width: Callable[..., float]):
        self.draw, self.width = draw, width
        update_wrapper(self, width)

    def __call__(self, n_in: int, n_out: int, rng: np.random.Generator) -> Array:
        return self.rows(n_out, n_in, n_out, rng)

    def rows(self, number: int, n_in: int, n_out: int, rng: np.random.Generator) -> Array:
        """The first rows of W (n_out, n_in), and no others: (number, n_in)."""
        return self.draw(rng, self.width(n_in, n_out), (number, n_in))


def _draw_uniform(rng: np.random.Generator, bound: float, shape: tuple[int, int]) -> Array:
    return rng.uniform(-bound, bound, shape)


def _draw_normal(rng: np.random.Generator, deviation: float, shape: tuple[int, int]) -> Array:
    return deviation * rng.standard_normal(shape)


_uniform, _normal = partial(Independent, _draw_uniform), partial(Independent, _draw_normal)


@_uniform
def glorot_uniform(n_in: int, n_out: int) -> float:
    """Uniform in ±√(6/(n_in + n_out)), variance 2/(n_in + n_out) (Glorot and Bengio 2010, eq. 16)."""
    return math.sqrt(6 / (n_in + n_out))


@_normal
def glorot_normal(n_in: int, n_out: int) -> float:
    """N(0, 2/(n_in + n_out)) (Glorot and Bengio 2010, eq. 12)."""
    return math.sqrt(2 / (n_in + n_out))


@_uniform
def he_uniform(n_in: int, _n_out: int, slope: float = 0.0) -> float:
    """Uniform in ±√(6/((1 + s²) n_in)), variance 2/((1 + s²) n_in): for ReLU, s = 0, or leaky ReLU of slope s (He et al. 2015,
    eq. 10 and 15)."""
    return math.sqrt(6 / ((1 + slope**2) * n_in))


@_normal
def he_normal(n_in: int, _n_out: int, slope: float = 0.0) -> float:
    """N(0, 2/((1 + s²) n_in)): for ReLU, s = 0, or leaky ReLU of slope s (He et al. 2015, eq. 10 and 15)."""
    return math.sqrt(2 / ((1 + slope**2) * n_in))


@_uniform
def lecun_uniform(n_in: int, _n_out: int) -> float:
    """Uniform in ±√(3/n_in), variance 1/n_in (LeCun et al. 1998, "Efficient BackProp", eq. 16)."""
    return math.sqrt(3 / n_in)


@_normal
def lecun_normal(n_in: int, _n_out: int) -> float:
    """N(0, 1/n_in) (LeCun et al. 1998, "Efficient BackProp", eq. 16)."""
    return math.sqrt(1 / n_in)


@_uniform
def lecture_uniform(n_in: int, n_out: int) -> float:
    """Uniform in ±√(6/(n_in + n_out + 1)): Glorot's bound as the lectures and the UFLDL exercises state it."""
    return math.sqrt(6 / (n_in + n_out + 1))


def small_normal(epsilon: float = 0.01) -> Initializer:
    """N(0, ε²), whatever the layer's size: the plain choice, and the one that deep networks suffer from."""
    deviation = check_number("epsilon", epsilon, above=0)

    @_normal
    def small_normal(_n_in: int, _n_out: int) -> float:
        return deviation

    return small_normal


INITIALIZERS: dict[str, Initializer] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "lecture_uniform": lecture_uniform,
    "small_normal": small_normal(),
}


#: What can be said of each after a colon, as in "small_normal:0.1".
PARAMETERS = dict.fromkeys(INITIALIZERS, ()) | {"small_normal": ("epsilon",), "he_uniform": ("slope",), "he_normal": ("slope",)}


def get(init: Any) -> Initializer:
    """The initialiser of that name, or the user's own function. "small_normal:0.1" sets ε, "he_normal:0.1" the slope."""
    if isinstance(init, str):
        name, texts = parse_call("init", init, PARAMETERS)
        if not texts:
            return INITIALIZERS[name]
        numbers = {of: parse_number(f"init {name} {of}", text) for of, text in texts.items()}
        if name == "small_normal":
            return small_normal(**numbers)
        slope = check_number("slope", numbers["slope"], at_least=0, at_most=1)
        he = he_uniform if name == "he_uniform" else he_normal
        return Independent(he.draw, partial(he.width, slope=slope))
    if callable(init):
        return init  # type: ignore[no-any-return]
    raise TypeError(
        f"init: received {shown(init)}, but it must be one of {', '.join(INITIALIZERS)}, "
        "or a function (n_in, n_out, rng) -> W of shape (n_out, n_in)"
    )


def draw_rows(init: Initializer, number: int, n_in: int, n_out: int, rng: np.random.Generator) -> Array:
    """The first rows of the W (n_out, n_in) that an initialiser draws, (number, n_in): for a layer whose weights are shared, so
    that it has fewer rows than its fan-out."""
    if isinstance(init, Independent):
        return init.rows(number, n_in, n_out, rng)
    W = as_array("init: W", init(n_in, n_out, rng), f"an array {(n_out, n_in)}")
    if W.shape != (n_out, n_in):
        raise ValueError(f"init: returned W of shape {W.shape}, but it must be {(n_out, n_in)}")
    return W[:number]
