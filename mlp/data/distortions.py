"""Distortions of training images: an image that is a little bent, turned or shifted shows the same digit.

    D = mlp.Distortion(elastic=mlp.Elastic(sigma=6, alpha=37), affine=mlp.Affine(rotation=15, scaling=0.15))
    objective = mlp.Objective(net, train.X, train.y, distort=D)

The distorted image at pixel p = (row, column) is the given one at the place (from the image's centre c)

    q(p) = F⁻¹(p − c − t) + c + α (G_σ ∗ u)(p)

with F the rotation, shear and scaling, t the shift, and u an elastic displacement, uniform in (−1, 1) at each pixel and in
each direction, which a Gaussian of standard deviation σ smooths (Simard, Steinkraus and Platt 2003). Between pixels the
image is interpolated bilinearly; beyond its edge it is 0, and so is u.

Everything is drawn anew for every image of every batch. `Distortion.places` computes q, `Distortion.__call__` looks there.
Smoothing is G U Gᵀ, row by row and column by column: with all the images of a batch side by side, two matrix products.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mlp.blas import Array, gemm
from mlp.checks import check_integer, check_number, check_plain_array, parse_call, parse_number, shown
from mlp.noise import draw_16_bits

#: How many images are distorted at a time: what they need stays in cache.
_TOGETHER = 128


@dataclass(frozen=True)
class Elastic:
    """Elastic distortion, as of an image on a rubber sheet (Simard, Steinkraus and Platt 2003, section 2).

    Simard et al. took σ = 4 and α = 34; the defaults are those of later work (Cireşan et al. 2010: σ from 5 to 6, α from 36
    to 38).

    Args:
        sigma: σ, the smoothing Gaussian's standard deviation in pixels, from 0.1 to 1,000: how far the sheet bends as one.
        alpha: α, what the smoothed field, of numbers in (−1, 1), is multiplied by, in pixels, from 0 to a million: how much
            it bends.
    """

    sigma: float = 6.0
    alpha: float = 37.0

    def __post_init__(self) -> None:
        check_number("sigma", self.sigma, at_least=0.1, at_most=1000)
        check_number("alpha", self.alpha, at_least=0, at_most=1e6)


@dataclass(frozen=True)
class Affine:
    """Affine distortion: each parameter is drawn uniformly from ± what is given here.

    The defaults are about those of Cireşan et al. 2010 (±15°, 15 to 20 %), without shear and shift.

    Args:
        rotation: in degrees, from 0 to 180.
        scaling: rows and columns are each stretched by a factor of 1 ± this, from 0 to below 1.
        shear: by how many pixels a row is shifted for each row that it is away from the centre, from 0 to 10.
        shift: in pixels, along rows and along columns, from 0 to a million.
    """

    rotation: float = 15.0
    scaling: float = 0.15
    shear: float = 0.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        check_number("rotation", self.rotation, at_least=0, at_most=180)
        check_number("scaling", self.scaling, at_least=0, below=1)
        check_number("shear", self.shear, at_least=0, at_most=10)
        check_number("shift", self.shift, at_least=0, at_most=1e6)

    def inverse(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """F⁻¹ (n, 2, 2) and t (n, 2) of n images; vectors are (row, column)."""
        angle = math.radians(self.rotation) * rng.uniform(-1, 1, n)
        stretch = 1 + self.scaling * rng.uniform(-1, 1, (n, 2))
        shear = self.shear * rng.uniform(-1, 1, n)
        shift = self.shift * rng.uniform(-1, 1, (n, 2))
        F = np.empty((n, 2, 2))  # rotation · shear · scaling
        F[:, 0, 0] = (np.cos(angle) - shear * np.sin(angle)) * stretch[:, 0]
        F[:, 0, 1] = -np.sin(angle) * stretch[:, 1]
        F[:, 1, 0] = (np.sin(angle) + shear * np.cos(angle)) * stretch[:, 0]
        F[:, 1, 1] = np.cos(angle) * stretch[:, 1]
        return np.linalg.inv(F), shift


class Distortion:
    """Distorts images at random: a function (X, rng) -> X, such as `Objective` takes.

    Args:
        elastic: an `Elastic`, or None for no elastic distortion.
        affine: an `Affine`, or None for no affine distortion.
        shape: an image's rows and columns.
    """

    def __init__(self, elastic: Elastic | None = None, affine: Affine | None = None, shape: tuple[int, int] = (28, 28)):
        for name, value, kind in (("elastic", elastic, Elastic), ("affine", affine, Affine)):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name}: received {shown(value)}, but it must be None or an {kind.__name__}")
        if not isinstance(shape, tuple) or len(shape) != 2:
            raise TypeError(f"shape: received {shown(shape)}, but it must be an image's rows and columns, such as (28, 28)")
        self.elastic = elastic
        self.affine = affine
        self.shape = check_integer("shape[0]", shape[0], at_least=1), check_integer("shape[1]", shape[1], at_least=1)

    def __call__(self, X: Array, rng: np.random.Generator) -> Array:
        """Distorted copies of the images X (n, rows · columns), each in its own way, in X's dtype (integers rounded)."""
        rows, columns = self.shape
        check_plain_array("X", X)
        if not isinstance(X, np.ndarray):
            raise TypeError(f"X: received {shown(X)}, but it must be an array (n, {rows * columns})")
        if X.ndim != 2 or X.shape[1] != rows * columns:
            raise ValueError(f"X: received shape {X.shape}, but it must be (n, {rows * columns}): images of {rows} × {columns}")
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng: received {shown(rng)}, but it must be a generator, such as numpy.random.default_rng(0)")
        distorted = np.empty_like(X)
        for start in range(0, len(X), _TOGETHER):
            images = X[start : start + _TOGETHER].reshape(-1, rows, columns)
            found = _interpolated(images, self.places(len(images), rng))
            if X.dtype.kind in "biu":
                np.rint(found, out=found)
            distorted[start : start + _TOGETHER].reshape(-1, rows, columns)[...] = found.transpose(1, 0, 2)
        return distorted

    def places(self, n: int, rng: np.random.Generator) -> Array:
        """q (rows, 2, n, columns), float32: for each pixel (row, column) of n images, the row and column to look at."""
        rows, columns = self.shape
        shape = rows, 2, n, columns
        q = np.zeros(shape, np.float32)
        if self.elastic is not None:
            sigma, alpha = self.elastic.sigma, self.elastic.alpha
            u, smoothed = np.empty(shape, np.float32), np.empty(shape, np.float32)
            drawn = draw_16_bits(shape, rng).view(np.int16)
            np.add(drawn, np.float32(0.5), out=u)  # in 65,536 steps from −1 to 1, times 32,768
            gemm(alpha / 32768, _gaussian(rows, sigma), u.reshape(rows, -1), 0.0, smoothed.reshape(rows, -1))
            gemm(1.0, smoothed.reshape(-1, columns), _gaussian(columns, sigma), 0.0, q.reshape(-1, columns))
        row, column = np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2  # from the centre
        if self.affine is None:
            inverse, shift = np.broadcast_to(np.eye(2), (n, 2, 2)), np.zeros((n, 2))
        else:
            inverse, shift = self.affine.inverse(n, rng)
        origin = -np.einsum("nij,nj->ni", inverse, shift) + [(rows - 1) / 2, (columns - 1) / 2]
        # F⁻¹(p − c − t) + c is one product over two terms: what the row gives, and 1, times 1, and the column
        terms = np.empty((rows, 2, n, 2), np.float32)
        terms[..., 0] = row[:, None, None] * inverse[:, :, 0].T + origin.T
        terms[..., 1] = inverse[:, :, 1].T
        factors = np.stack([np.ones(columns), column]).astype(np.float32)
        gemm(1.0, terms.reshape(-1, 2), factors, 1.0, q.reshape(-1, columns))
        return q

    def __repr__(self) -> str:
        return f"Distortion(elastic={self.elastic}, affine={self.affine}, shape={self.shape})"


@lru_cache(maxsize=8)
def _gaussian(size: int, sigma: float) -> Array:
    """G (size, size), symmetric: what smooths a vector of that size, beyond whose ends all is 0."""
    distance = np.arange(size)[:, None] - np.arange(size)
    reach = np.arange(-math.ceil(9 * sigma), math.ceil(9 * sigma) + 1)  # beyond which the Gaussian is 0 in float32
    G: Array = np.exp(-(distance**2) / (2 * sigma**2)) / np.exp(-(reach**2) / (2 * sigma**2)).sum()
    return G.astype(np.float32)


def _interpolated(images: Array, q: Array) -> Array:
    """The images (n, rows, columns) at the places q, bilinearly, 0 beyond their edges: (rows, n, columns) of float.

    q is overwritten. The images are framed by zeros, so that a place beyond the edge, moved onto the frame, finds 0.
    """
    n, rows, columns = images.shape
    height, width = rows + 3, columns + 3
    framed = np.zeros((n, height, width), images.dtype)
    framed[:, 1:-2, 1:-2] = images
    q += 1
    np.maximum(q, 0, out=q)
    for axis, size in enumerate((rows, columns)):
        np.minimum(q[:, axis], size + 1, out=q[:, axis])
    corner = q.astype(np.int32)
    q -= corner
    down, right = q[:, 0], q[:, 1]  # how far into the square of four pixels
    index = np.empty(down.shape, np.intp)
    np.multiply(corner[:, 0], width, out=index)
    index += corner[:, 1]
    index += (np.arange(n) * (height * width))[:, None]
    kind = np.result_type(images.dtype, np.float32)

    def pixels(offset: int) -> Array:
        return framed.ravel()[offset:].take(index, mode="clip").astype(kind, copy=False)

    upper, lower = (_between(pixels(first), pixels(first + 1), right) for first in (0, width))
    return _between(upper, lower, down)


def _between(a: Array, b: Array, t: Array) -> Array:
    """(1 − t) a + t b, in the memory of a and b."""
    b -= a
    b *= t
    a += b
    return a


#: What `parse` knows, by name.
KINDS: dict[str, type[Elastic] | type[Affine]] = {"elastic": Elastic, "affine": Affine}


def parse(text: str) -> Distortion:
    """The distortion that a text names: "elastic,affine", or with parameters "elastic:sigma=4:alpha=34,affine:rotation=10"."""
    known = {name: tuple(kind.__dataclass_fields__) for name, kind in KINDS.items()}
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, texts = parse_call("distort", part.strip(), known)
        if name in found:
            raise ValueError(f"distort: received {name!r} twice in {shown(text)}, but once is enough")
        values = {of: parse_number(f"distort {name} {of}", value) for of, value in texts.items()}
        try:
            found[name] = KINDS[name](**values)
        except ValueError as error:
            raise ValueError(f"distort: {name} {error}") from None
    return Distortion(**found)
