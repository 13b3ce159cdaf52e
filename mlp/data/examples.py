"""Examples in memory, with what is known of them."""

import math
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np

from mlp.blas import Array
from mlp.checks import check_generator, check_integer, check_name, check_number, check_plain_array, is_sparse, shown
from mlp.data.columns import SCALINGS
from mlp.data.preparation import Preparation
from mlp.sparse import check_sparse


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs X, (n, features), and their targets y, (n,) or (n, outputs). What is taken from examples keeps what they know.

    Args:
        X: numbers; 8-bit unsigned ones are taken as pixel intensities wherever they enter. May be sparse (scipy.sparse), and
            is kept as a csr_array then.
        y: labels, integers (n,), or numbers.
        classes: the name of each class, in the order of the labels 0, 1, …
        image_shape: (height, width) or (height, width, channels) of the image in each row of X.
        name: of the data, as it is printed.
        preparation: how X came of raw data, or None. A network that learns from X needs it to `predict` from raw data:
            `net.preparation = examples.preparation`.

    Raises:
        TypeError: an argument is of the wrong type; so are masked arrays, and sparse y.
        ValueError: the arguments do not fit together.
    """

    X: Any
    y: Array
    classes: tuple[str, ...] | None = None
    image_shape: tuple[int, ...] | None = None
    name: str = ""
    preparation: Preparation | None = None

    def __post_init__(self) -> None:
        sparse = is_sparse(self.X)
        if sparse:
            object.__setattr__(self, "X", check_sparse("X", self.X, "(n, features)"))  # the class is frozen
        for name, array in (("y", self.y),) if sparse else (("X", self.X), ("y", self.y)):
            check_plain_array(name, array)
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name}: received {shown(array)}, but it must be a numpy array")
        if self.X.ndim != 2 or self.y.ndim not in (1, 2) or self.X.shape[0] != len(self.y):
            raise ValueError(
                f"Examples: received X of shape {self.X.shape} and y of shape {self.y.shape}, "
                "but they must be (n, features) and (n,) or (n, outputs)"
            )
        self._check_classes()
        self._check_image_shape()
        if not isinstance(self.name, str):
            raise TypeError(f"name: received {shown(self.name)}, but it must be a text")
        if self.preparation is not None and not isinstance(self.preparation, Preparation):
            raise TypeError(f"preparation: received {shown(self.preparation)}, but it must be None or a Preparation")
        if self.preparation is not None and self.preparation.features != self.X.shape[1]:
            raise ValueError(
                f"preparation: received one of {self.preparation.features} features, but X has {self.X.shape[1]} features"
            )

    def _check_classes(self) -> None:
        if self.classes is None:
            return
        allowed = "but it must be None or a tuple of texts, the classes' names"
        if not isinstance(self.classes, tuple) or not all(isinstance(name, str) for name in self.classes):
            raise TypeError(f"classes: received {shown(self.classes)}, {allowed}")
        if self.y.ndim == 1 and self.y.dtype.kind in "iu" and self.y.size:
            for label in (self.y.min(), self.y.max()):
                if not 0 <= label < len(self.classes):
                    raise ValueError(f"classes: received {len(self.classes)} names, but y holds label {label}")

    def _check_image_shape(self) -> None:
        if self.image_shape is None:
            return
        if not isinstance(self.image_shape, tuple) or len(self.image_shape) not in (2, 3):
            raise TypeError(
                f"image_shape: received {shown(self.image_shape)}, but it must be None, (height, width) or "
                "(height, width, channels)"
            )
        sizes = [check_integer(f"image_shape[{i}]", size, at_least=1) for i, size in enumerate(self.image_shape)]
        if math.prod(sizes) != self.X.shape[1]:
            raise ValueError(f"image_shape: received {self.image_shape}, but X has {self.X.shape[1]} features")

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def __getitem__(self, rows: Any) -> "Examples":
        """Some of the examples: a slice (no copy), indices or a mask."""
        return replace(self, X=self.X[rows], y=self.y[rows])

    def split(self, fraction: float, seed: int | np.random.Generator | None = 0) -> tuple["Examples", "Examples"]:
        """Two parts, drawn at random: the rest, and a share of the examples; each part keeps the examples' order.

        Integer labels are stratified: of every class the same share is taken, rounded up or down.

        Args:
            fraction: of the second part: a fraction of the examples, between 0 and 1, or how many; both parts must have some.
            seed: an integer of at least 0, a Generator, or None for another draw every time.
        """
        n = len(self)
        whole = isinstance(fraction, Integral) and not isinstance(fraction, bool)
        taken = int(fraction) if whole else round(check_number("fraction", fraction, above=0, below=1) * n)
        if not 0 < taken < n:
            raise ValueError(f"fraction: received {shown(fraction)}, but of {n:,} examples that leaves one part empty")
        rng = check_generator("seed", seed)
        order = self._drawn(rng)
        # systematic sampling: at even distances along the order, from a random start, so that every class gets its share
        places = (np.arange(taken) * n + rng.integers(n)) // taken
        return self._parted(order[places])

    def fold(self, number: int, of: int, seed: int | np.random.Generator | None = 0) -> tuple["Examples", "Examples"]:
        """Two parts for cross-validation: the rest, and fold `number`, from 1, of so many, which together are all examples.

        The same seed draws the same folds. Integer labels are stratified, as in `split`.
        """
        check_integer("of", of, at_least=2, at_most=len(self))
        check_integer("number", number, at_least=1, at_most=of)
        return self._parted(self._drawn(check_generator("seed", seed))[number - 1 :: of])

    def _drawn(self, rng: np.random.Generator) -> Array:
        """The examples' numbers in a random order, but class after class where there are labels."""
        order = rng.permutation(len(self))
        if self.y.ndim == 1 and self.y.dtype.kind in "iu":
            order = order[np.argsort(self.y[order], kind="stable")]
        return order

    def _parted(self, rows: Array) -> tuple["Examples", "Examples"]:
        second = np.zeros(len(self), bool)
        second[rows] = True
        return self[~second], self[second]


def prepare(training: Examples, *others: Examples, scaling: str | None = None, dtype: Any = "float32") -> list[Examples]:
    """The parts of a data set as a network should see them, all scaled by the mean and deviation of the first.

    The parts come from `read_table` and `Examples.split`, X being unscaled. 8-bit images stay as they are. A numeric target
    is standardised too; counts are divided by their mean.

    Args:
        training: the part whose numbers decide.
        others: further parts of the same data.
        scaling: "none", "standard" (mean 0, deviation 1) or "range" (0 … 1). None: "range" for pixels, and "standard" for
            the columns of tables.
        dtype: of the scaled X.

    >>> training, test = prepare(*data.split(0.2, seed=0))                           # doctest: +SKIP
    >>> net = MLP([training.X.shape[1], 16, len(training.classes)])                  # doctest: +SKIP
    >>> net.preparation = training.preparation                                       # doctest: +SKIP
    """
    raw = training.preparation
    if raw is None or raw.scaling != "none":
        raise ValueError(f"training: received {raw}, but its examples must have the preparation that `read_table` gives them")
    if len(training) == 0:
        raise ValueError("training: received no examples, but what they are scaled by is computed from them")
    pixels = raw.columns[0].kind == "pixels"
    scaling = check_name("scaling", scaling or ("range" if pixels else "standard"), SCALINGS)
    if pixels and training.X.dtype == np.uint8:
        scaling = "none"
    fitted = raw.fit(training.X, training.y, scaling)
    offset, factor = fitted.target_offset_and_factor
    return [
        replace(
            part,
            X=fitted.scale(part.X, dtype),
            y=part.y if fitted.classes is not None else (part.y - offset) / factor,
            preparation=fitted,
        )
        for part in (training, *others)
    ]
