"""Whether an exported file answers as its network does: `compare`.

Two programs that add the same numbers in another order differ in the last bits; how much that matters to this network is
measured, by running it in float32 and in float64.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlp.activations import Threshold
from mlp.blas import Array
from mlp.committee import Committee
from mlp.export.parts import members_of
from mlp.export.samples import Samples
from mlp.network import MLP, labels_from

#: How far outputs may be off, as a share of the largest (of 1, if that is less).
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Answers:
    """What a file's network makes of examples.

    Attributes:
        outputs: (n, units), in the units of raw data; None where nothing could run it.
        labels: (n,), classes by their places; None where the file gives none.
        by: what ran it, or why nothing did.
    """

    outputs: Array | None
    labels: Array | None
    by: str


@dataclass(frozen=True)
class Agreement:
    """How closely a file was found to agree with its network; as text, in a few words.

    Attributes:
        examples: on how many examples outputs were compared; 0 if only the parameters were.
        deviation: the largest difference of an output.
        by: what ran the file's network, or why nothing did.
    """

    examples: int
    deviation: float
    by: str

    def __str__(self) -> str:
        if not self.examples:
            return f"its parameters are the network's; not run: {self.by}"
        off = f"the network's answers within {self.deviation:.1e}" if self.deviation else "exactly the network's answers"
        return f"{off} on {self.examples} examples ({self.by})"


def compare(path: Path, net: MLP | Committee, samples: Samples, given: Answers) -> Agreement:
    """How closely a file's answers agree with the network's; ValueError unless they do.

    Allowed is `TOLERANCE`, or ten times what the network's own answers change from float32 to float64, or what the file's
    outputs can hold, if that is more.
    Threshold units jump where rounding decides: with them, a tenth of the examples may be off.
    """
    if given.outputs is None:
        return Agreement(0, 0.0, given.by)
    own, outputs = net.forward(samples.X), (given.outputs - samples.offset) / samples.factor
    if outputs.shape != own.shape:
        raise ValueError(f"{path}: not written: read back, its outputs are {outputs.shape}, but the network's {own.shape}")
    allowed = _allow(net, samples, own, np.finfo(given.outputs.dtype).eps)
    off = _largest(outputs, own)
    right = off <= allowed
    if given.labels is not None:
        right &= _chosen(own, given.labels) >= _chosen(own, labels_from(own)) - 2 * allowed
    jumps = any(isinstance(layer.activation, Threshold) for one in members_of(net) for layer in one.layers)
    if right.mean() < (0.9 if jumps else 1):
        raise ValueError(
            f"{path}: not written: read back, it answers otherwise than the network, by {off.max():.1e} where {allowed:.1e} is "
            f"allowed ({given.by})"
        )
    return Agreement(len(off), float(off[right].max()), given.by)


def _allow(net: MLP | Committee, samples: Samples, own: Array, resolution: float) -> float:
    """How far outputs may be off; `resolution` is that of the file's outputs, as a share of them."""
    rounding = _largest(_forward(net, samples.X, "float32"), _forward(net, samples.X, "float64"))
    size = float(np.abs(own[np.isfinite(own)]).max(initial=1.0))
    held = resolution * (size + abs(samples.offset / samples.factor))
    return max(TOLERANCE * size, 10 * float(rounding[np.isfinite(rounding)].max(initial=0.0)), held)


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
