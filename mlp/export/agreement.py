"""Whether an exported file answers as its network does: `compare`, on examples from `draw_examples`.

Two programs that add the same numbers in another order differ in the last bits; how much that matters to this network is
measured, by running it in float32 and in float64.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlp.activations import Threshold
from mlp.blas import Array
from mlp.committee import Committee
from mlp.network import MLP, labels_from

#: How far outputs may be off, as a share of the largest (of 1, if that is less).
TOLERANCE = 1e-5

_EXAMPLES = 32


@dataclass(frozen=True)
class Answers:
    """What a file's network makes of examples.

    Attributes:
        outputs: (n, units); None where nothing could run it, and its parameters were compared instead.
        labels: (n,) integers, where the file gives any.
        by: what ran it.
    """

    outputs: Array | None
    labels: Array | None
    by: str


@dataclass(frozen=True)
class Agreement:
    """How closely a file was found to agree with its network; as text, in a few words.

    Attributes:
        examples: on how many examples outputs were compared; 0 if none were.
        deviation: the largest difference of an output.
        by: what ran the file's network, or why nothing did.
    """

    examples: int
    deviation: float
    by: str

    def __str__(self) -> str:
        if not self.examples:
            return f"the same parameters; {self.by}"
        off = f"within {self.deviation:.1e}" if self.deviation else "exactly"
        return f"on {self.examples} examples the network's own answers, {off} ({self.by})"


def draw_examples(features: int) -> Array:
    """Inputs (n, features), float32, to compare answers on: half from 0 to 1, as pixels are, half standard normal."""
    rng = np.random.default_rng(0)
    half = _EXAMPLES // 2
    return np.concatenate([rng.random((half, features)), rng.standard_normal((half, features))]).astype(np.float32)


def compare(path: Path, net: MLP | Committee, X: Array, given: Answers) -> Agreement:
    """How closely a file's answers to X (n, features) agree with the network's; ValueError unless they do.

    Allowed is `TOLERANCE`, or ten times what the network's own answers change from float32 to float64 if that is more.
    Threshold units jump where rounding decides: with them, a tenth of the examples may be off.
    """
    if given.outputs is None:
        return Agreement(0, 0.0, given.by)
    own = net.forward(X)
    if given.outputs.shape != own.shape:
        raise ValueError(f"{path}: not written: read back, its outputs are {given.outputs.shape}, but the net's {own.shape}")
    rounding = _largest(_forward(net, X, "float32"), _forward(net, X, "float64")).max()
    allowed = max(TOLERANCE * max(1.0, float(np.abs(own).max())), 10 * rounding)
    off = _largest(given.outputs, own)
    right = off <= allowed
    if given.labels is not None:
        right &= _chosen(own, given.labels) >= _chosen(own, labels_from(own)) - 2 * allowed
    jumps = any(isinstance(layer.activation, Threshold) for one in members_of(net) for layer in one.layers)
    if right.mean() < (0.9 if jumps else 1):
        raise ValueError(
            f"{path}: not written: read back, it answers otherwise than the network, by {off.max():.1e} where {allowed:.1e} is "
            f"allowed ({given.by})"
        )
    return Agreement(len(X), float(off[right].max()), given.by)


def members_of(net: MLP | Committee) -> list[MLP]:
    """The networks of a committee; a network by itself is one of one."""
    return net.members if isinstance(net, Committee) else [net]


def _forward(net: MLP | Committee, X: Array, dtype: str) -> Array:
    return Committee([one.astype(dtype) for one in members_of(net)]).forward(X)


def _largest(A: Array, B: Array) -> Array:
    """Each example's largest difference, (n,); equal infinities, and NaN beside NaN, differ by nothing."""
    with np.errstate(all="ignore"):
        differences = np.abs(A.astype(float) - B)
    same = (A == B) | (np.isnan(A) & np.isnan(B))
    largest: Array = np.where(same, 0, np.where(np.isnan(differences), np.inf, differences)).max(axis=1)
    return largest


def _chosen(outputs: Array, labels: Array) -> Array:
    """How much speaks for each example's label, (n,): that output; of a single one, how far it is on the label's side of ½."""
    if outputs.shape[1] > 1:
        chosen: Array = np.take_along_axis(outputs, labels[:, None].astype(np.intp), axis=1)[:, 0]
        return chosen
    return np.where(labels, 1, -1) * (outputs[:, 0] - 0.5)
