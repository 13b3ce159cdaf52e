"""What workers do: read a part, evaluate a block of parts, merge what blocks came to. All are tasks that can be done again.

A task is a plain function of what it is given, so that another worker can repeat it: `read_part` (once a part, kept in
memory by Dask), then in each evaluation `evaluate_block` (once a thread), `merge_blocks` and `finish`.
"""

import functools
import platform
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import scipy
import threadpoolctl

import mlp
from mlp import curvature
from mlp.blas import Array
from mlp.checks import as_array
from mlp.cluster import sums
from mlp.cluster.parts import Part
from mlp.network import MLP
from mlp.objective import Objective


def find_versions() -> dict[str, str]:
    """Of what decides the arithmetic in this process."""
    versions = {"mlp": mlp.__version__, "numpy": np.__version__, "scipy": scipy.__version__}
    return versions | {"python": ".".join(platform.python_version_tuple()[:2])}


def describe_difference(found: dict[str, str], expected: dict[str, str]) -> str:
    """Which versions are others than the client's; empty where none is."""
    others = [f"{name} {found.get(name, 'none')} where the client has {expected[name]}" for name in expected]
    return ", ".join(text for name, text in zip(expected, others, strict=True) if found.get(name) != expected[name])


@functools.lru_cache(maxsize=8)
def _prepare_process(expected: tuple[tuple[str, str], ...]) -> None:
    """Refuse to work with other versions than the client's; one BLAS thread for each thread of the worker.

    More would compete for the cores, and the bits of a product depend on how many share it.
    """
    difference = describe_difference(find_versions(), dict(expected))
    if difference:
        raise OSError(f"cluster: a worker has {difference}")
    threadpoolctl.threadpool_limits(limits=1, user_api="blas")


@dataclass(frozen=True, eq=False)
class LocalPart:
    """A part in a worker's memory: an objective over its rows, whose network is left out so that it can be moved.

    Attributes:
        name: as errors call it.
        objective: without its network.
        rows: how many.
        weight: the sum of its examples' weights; `rows` where all count alike. The objective's own weights have mean 1.
    """

    name: str
    objective: dict[str, Any]
    rows: int
    weight: float

    def __sizeof__(self) -> int:
        """So that Dask knows what it keeps and moves."""
        arrays = (self.objective[name] for name in ("X", "Y", "weights"))
        return object.__sizeof__(self) + sum(int(array.nbytes) for array in arrays if array is not None)

    def objective_of(self, net: MLP) -> Objective:
        """The objective, with a workspace of its own."""
        objective = object.__new__(Objective)
        objective.__setstate__({**self.objective, "net": net})
        return objective

    @contextmanager
    def borrowed(self, net: MLP, kept_bytes: int) -> Iterator[Objective]:
        """The objective as it was left by the last task, with the passes that it keeps for products, of at most so many bytes.

        All other scratch memory belongs to the thread, whose parts take turns in it.
        """
        objective = _objectives.pop(self, None) or self.objective_of(net)
        rooms = _thread.__dict__.setdefault("rooms", WeakKeyDictionary())
        objective._work.buffers, objective._kept.most = rooms.setdefault(net, {}), kept_bytes
        yield objective
        _objectives[self] = objective


#: Objectives that no task is using, by their parts; and, of each thread, the room for passes by their networks.
_objectives: WeakKeyDictionary[LocalPart, Objective] = WeakKeyDictionary()
_thread = threading.local()


@dataclass(frozen=True)
class Description:
    """What the client knows of a part."""

    rows: int
    weight: float
    classifies: bool
    fingerprint: str


def read_part(part: Part, name: str, net: MLP, cost: Any, versions: tuple[tuple[str, str], ...]) -> LocalPart:
    """Read a part and check it; whatever is wrong with it begins with its name.

    Raises:
        OSError: a file can't be read.
        ValueError: what it holds isn't what it should be.
    """
    _prepare_process(versions)
    name = f"{name} ({part})"
    try:
        X, y, weights = part.read()
        weight = float(len(X)) if weights is None else _weight_of(weights)
        objective = Objective(net, X, y, cost=cost, weights=weights if weight else None)
    except OSError as error:
        raise OSError(f"{name}: {error}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error
    state = {key: value for key, value in objective.__getstate__().items() if key != "net"}
    return LocalPart(name, state, len(objective), weight)


def _weight_of(weights: Any) -> float:
    """The sum of weights; 0 is for a part whose examples don't count, which only all parts together may not be."""
    array = as_array("weights", weights, "numbers of at least 0")
    return float(array.astype(np.float64).sum())


def describe(part: LocalPart, net: MLP) -> Description:
    """What the client is to know of a part."""
    objective = part.objective_of(net)
    return Description(part.rows, part.weight, objective.classifies, objective.fingerprint())


def evaluate_block(
    parts: Sequence[LocalPart],
    numbers: Sequence[int],
    shares: Sequence[float],
    net: MLP,
    method: str,
    vectors: Sequence[Array],
    versions: tuple[tuple[str, str], ...],
) -> sums.Nodes:
    """What `method` comes to over each of these parts, times its share of all examples, summed up the tree.

    Args:
        parts: in memory, and their `numbers` among all parts.
        shares: of the sum of weights.
        method: "gradient", "evaluate", "hessp", "gauss_newton" or "squared_gradients".
        vectors: θ, and for the products v.
    """
    _prepare_process(versions)
    nodes: sums.Nodes = {}
    for part, number, share in zip(parts, numbers, shares, strict=True):
        try:
            with part.borrowed(net, curvature.KEPT_BYTES // len(parts)) as objective:
                value = _METHODS[method](objective, share, *vectors)
        except Exception as error:
            error.add_note(f"in {part.name}")
            raise
        sums.add_value(nodes, number, value)
    return nodes


def _gradient(objective: Objective, share: float, theta: Array) -> sums.Value:
    """The share's cost and gradient."""
    gradient = np.zeros_like(theta)
    if not share:
        return np.zeros(1), gradient
    with np.errstate(all="ignore"):  # what overflows shows in the numbers; minimisers look at them
        cost = objective.accumulate(theta, None, gradient, share, 0.0, None)
    return np.array([share * cost]), gradient


def _evaluate(objective: Objective, share: float, theta: Array) -> sums.Value:
    """The share's cost and right answers."""
    cost, accuracy = objective.evaluate(theta) if share else (0.0, 0.0)
    return np.array([share * cost, share * (accuracy or 0.0)]), np.zeros(0, theta.dtype)


def _product(name: str, objective: Any, share: float, theta: Array, *v: Array) -> sums.Value:
    """The share of a product with the Hessian or the Gauss–Newton matrix, or (without a v) of the squared gradients."""
    product = getattr(objective, name)(theta, *v) if share else np.zeros(theta.size)
    return np.zeros(1), share * product


_METHODS: dict[str, Any] = {
    "gradient": _gradient,
    "evaluate": _evaluate,
    "hessp": functools.partial(_product, "hessp"),
    "gauss_newton": functools.partial(_product, "gauss_newton"),
    "squared_gradients": functools.partial(_product, "squared_gradients"),
}


def merge_blocks(*blocks: sums.Nodes) -> sums.Nodes:
    """What several blocks come to."""
    return sums.merge(blocks)


def finish(nodes: sums.Nodes) -> sums.Value:
    """What all blocks come to."""
    return sums.total(nodes)


def carry(thing: Any) -> Any:
    """A thing as a task's result: one that travels with the task, so that it is there again after a worker's death."""
    return thing
