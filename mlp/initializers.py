"""Initialisers: how the weights are drawn before training. Biases start at zero.

Each takes (n_in, n_out, rng) and returns W of shape (n_out, n_in) in float64. `small_normal(epsilon)` makes one with that
deviation, and He's take the slope of a leaky ReLU; an initialiser of your own is any such function.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_number, parse_call, parse_number, shown

Initializer = Callable[[int, int, np.random.Generator], Array]


def _uniform(bound: float, n_in: int, n_out: int, rng: np.random.Generator) -> Array:
    return rng.uniform(-bound, bound, (n_out, n_in))


def _normal(deviation: float, n_in: int, n_out: int, rng: np.random.Generator) -> Array:
    return deviation * rng.standard_normal((n_out, n_in))


def glorot_uniform(n_in: int, n_out: int, rng: np.random.Generator) -> Array:
    """Uniform in ±√(6/(n_in + n_out)), variance 2/(n_in + n_out) (Glorot and Bengio 2010, eq. 16)."""
    return _uniform(math.sqrt(6 / (n_in + n_out)), n_in, n_out, rng)


def glorot_normal(n_in: int, n_out: int, rng: np.random.Generator) -> Array:
    """N(0, 2/(n_in + n_out)) (Glorot and Bengio 2010, eq. 12)."""
    return _normal(math.sqrt(2 / (n_in + n_out)), n_in, n_out, rng)


def he_uniform(n_in: int, n_out: int, rng: np.random.Generator, slope: float = 0.0) -> Array:
    """Uniform in ±√(6/((1 + s²) n_in)), variance 2/((1 + s²) n_in): for ReLU, s = 0, or leaky ReLU of slope s (He et al. 2015,
    eq. 10 and 15)."""
    return _uniform(math.sqrt(6 / ((1 + slope**2) * n_in)), n_in, n_out, rng)


def he_normal(n_in: int, n_out: int, rng: np.random.Generator, slope: float = 0.0) -> Array:
    """N(0, 2/((1 + s²) n_in)): for ReLU, s = 0, or leaky ReLU of slope s (He et al. 2015, eq. 10 and 15)."""
    return _normal(math.sqrt(2 / ((1 + slope**2) * n_in)), n_in, n_out, rng)


def lecun_uniform(n_in: int, n_out: int, rng: np.random.Generator) -> Array:
    """Uniform in ±√(3/n_in), variance 1/n_in (LeCun et al. 1998, "Efficient BackProp", eq. 16)."""
    return _uniform(math.sqrt(3 / n_in), n_in, n_out, rng)


def lecun_normal(n_in: int, n_out: int, rng: np.random.Generator) -> Array:
    """N(0, 1/n_in) (LeCun et al. 1998, "Efficient BackProp", eq. 16)."""
    return _normal(math.sqrt(1 / n_in), n_in, n_out, rng)


def lecture_uniform(n_in: int, n_out: int, rng: np.random.Generator) -> Array:
    """Uniform in ±√(6/(n_in + n_out + 1)): Glorot's bound as the lectures and the UFLDL exercises state it."""
    return _uniform(math.sqrt(6 / (n_in + n_out + 1)), n_in, n_out, rng)


def small_normal(epsilon: float = 0.01) -> Initializer:
    """N(0, ε²), whatever the layer's size: the plain choice, and the one that deep networks suffer from."""
    deviation = check_number("epsilon", epsilon, above=0)

    def small_normal(n_in: int, n_out: int, rng: np.random.Generator) -> Array:
        return _normal(deviation, n_in, n_out, rng)

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
        return partial(he_uniform if name == "he_uniform" else he_normal, slope=slope)
    if callable(init):
        return init  # type: ignore[no-any-return]
    raise TypeError(
        f"init: received {shown(init)}, but it must be one of {', '.join(INITIALIZERS)}, "
        "or a function (n_in, n_out, rng) -> W of shape (n_out, n_in)"
    )
