"""`SummedObjective`: the cost/gradient function of examples that are spread over a Dask cluster.

    C(θ) = Σ_p s_p C_p(θ) + (λ/2) Σ_ℓ ‖W^ℓ‖²          s_p: part p's share of the weights of all examples

An evaluation is one graph of tasks (`_submit`): θ, a block of parts for each thread, merges, and what they come to. Dask places
the tasks, moves θ and sums, and repeats what a dead worker had done; the client adds the penalty.
"""

import contextlib
import functools
import hashlib
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import dask
import distributed
import numpy as np

from mlp import costs
from mlp.blas import Array, axpy, scale
from mlp.checks import check_number, check_parameters, shown
from mlp.cluster import work
from mlp.cluster.client import AllReplaced, ClusterError, check_client, check_versions, placed, wait_for, wait_for_workers
from mlp.cluster.parts import DelayedPart, check_parts
from mlp.cluster.placement import place, share_among_threads
from mlp.network import MLP, check_network
from mlp.objective import Evaluation
from mlp.penalties import WeightDecay, shorten_rows

#: Why some of `mlp.Objective`'s options aren't had here.
_REFUSED = {
    "sparsity": "is a function of a mean over all examples, which no part can know by itself",
    "distort": "would need draws that don't depend on who makes them, which is for mini-batches and one machine",
    "dropout": "would need draws that don't depend on who makes them, which is for mini-batches and one machine",
}


class SummedObjective:
    """The mean cost over the examples of all parts plus weight decay, and its gradient, as a function of θ.

    Minimisers that want all examples at once take it as they take `mlp.Objective`: `mlp.lbfgs`, `mlp.newton`, `mlp.sgd`
    with batch_size=None, every method of `scipy.optimize.minimize`. Its values have the same bits on one worker as on many, and
    whether or not some of them are killed: only the parts decide them (and the processors, where workers' differ).

    Args:
        client: a `distributed.Client`.
        net: the network; its own parameters are neither read nor changed.
        parts: a list of `Idx`, `Npz`, `Table`, or what `cut` or `cut_frame` give. Each is read on the worker that uses it and
            stays in its memory; parts of files are read again by another one where that worker dies. A few for each thread
            spread evenly.
        cost, weight_decay, max_norm: as of `mlp.Objective`. Weights of examples come with the parts.
        wait: for how many seconds to wait for a worker where the cluster has none left; None: for ever. After a few
            seconds a RuntimeWarning says so.
        sparsity, distort, dropout: refused; their names are here so that the error can say why.

    Workers run one BLAS thread for each of their own threads. (In workers that are threads of this very process that holds for
    the whole process.)

    Raises:
        OSError, ValueError: a part can't be read, or doesn't fit the network; the message begins with its name.
        ClusterError: a worker has another version of mlp, numpy, scipy or Python; no worker came in time; or workers died
            again and again over one part. Evaluations raise these too.

    >>> parts = Idx("/data/train-images", "/data/train-labels").cut(60_000, pieces=16)      # doctest: +SKIP
    >>> objective = SummedObjective(Client("tcp://10.0.0.1:8786"), net, parts)              # doctest: +SKIP
    >>> result = mlp.lbfgs(objective, net.theta)                                            # doctest: +SKIP
    """

    noisy = False

    def __init__(
        self,
        client: Any,
        net: MLP,
        parts: Any,
        cost: Any = None,
        weight_decay: float = 0.0,
        max_norm: float | None = None,
        *,
        wait: float | None = None,
        sparsity: Any = None,
        distort: Any = None,
        dropout: Any = None,
    ):
        for name, value in (("sparsity", sparsity), ("distort", distort), ("dropout", dropout)):
            if value is not None:
                raise ValueError(f"{name}: received {shown(value)}, but it {_REFUSED[name]}: only None is allowed on a cluster")
        self.client = check_client(client)
        self.net = check_network("net", net)
        if any(layer.draws for layer in net.layers):
            raise ValueError("net: has a layer that draws at random, but noise isn't allowed on a cluster")
        self.dtype = net.dtype
        self.cost = costs.get(cost, net.output)
        self.decay = WeightDecay(weight_decay)
        self.max_norm = None if max_norm is None else check_number("max_norm", max_norm, above=0)
        self.wait = None if wait is None else check_number("wait", wait, at_least=0)
        self._given_cost = cost
        self._parts = check_parts(parts)
        self._versions = tuple(work.find_versions().items())
        self._checked: set[str] = set()
        self._threads: dict[str, int] = {}
        self._homes: list[str] = []
        self._read: list[Any] = [None] * len(self._parts)
        self._net = self.client.submit(work.carry, self.net, key=f"net-{uuid.uuid4().hex}")
        self._described = self._describe()
        self._total = sum(one.weight for one in self._described)
        if not 0 < self._total < np.inf:
            raise ValueError("weights: received 0 for every example, but not all may be 0")

    # What minimisers ask

    def __len__(self) -> int:
        """How many examples all parts have."""
        return sum(one.rows for one in self._described)

    @property
    def weight_decay(self) -> float:
        """λ."""
        return self.decay.rate

    @property
    def classifies(self) -> bool:
        """Whether there is an accuracy."""
        return self._described[0].classifies

    def name_of(self, component: int) -> str:
        """Which parameter a component of θ is: "layers[0].W[3, 17]"."""
        return self.net.name_of(component)

    def __call__(self, theta: Array, rows: Any = None, noise: Any = None) -> tuple[float, Array]:
        """The cost and its gradient (P,), float64, at θ (P,) over all examples."""
        _refuse_some(rows, noise)
        own = self._check_theta(theta)
        gradient = np.empty_like(own)
        with np.errstate(all="ignore"):
            cost = self.accumulate(own, None, gradient, 1.0, 0.0, None) + self.penalty(own)
        return cost, gradient.astype(np.float64, copy=False)

    def accumulate(self, theta: Array, rows: Any, out: Array, alpha: float, beta: float, noise: Any) -> float:
        """out ← β out + α ∂C/∂θ over all examples; returns the cost without the penalty. out may be theta itself."""
        _refuse_some(rows, noise)
        (cost,), found = self._sum("gradient", theta)
        gradient = np.array(found)  # what came over the wire may be read-only
        self.decay.add_gradient(self.net.at(theta).layers, self.net.at(gradient).layers, 1.0)
        scale(beta, out)
        axpy(alpha, gradient, out)
        return float(cost)

    def penalty(self, theta: Array) -> float:
        """The weight decay (λ/2) Σ_ℓ ‖W^ℓ‖² at θ."""
        return self.decay.value(self.net.at(self._check_theta(theta)).layers)

    def constrain(self, theta: Array) -> None:
        """Scale down, in place, each row of a W at θ whose norm is above `max_norm`."""
        if self.max_norm is not None:
            shorten_rows(self.net.at(theta).layers, self.max_norm)

    def evaluate(self, theta: Array) -> Evaluation:
        """The cost (penalty included) and the accuracy at θ over all examples, without a gradient."""
        own = self._check_theta(theta)
        (cost, right), _ = self._sum("evaluate", own)
        return Evaluation(float(cost) + self.penalty(own), float(right) if self.classifies else None)

    def hessp(self, theta: Array, v: Array, rows: Any = None) -> Array:
        """H v, the product of the Hessian of C at θ with v (P,); a new vector (P,) of float64."""
        return self._product("hessp", theta, v, rows)

    def gauss_newton(self, theta: Array, v: Array, rows: Any = None) -> Array:
        """G v, the product of the generalised Gauss–Newton matrix at θ with v; all else as in `hessp`."""
        return self._product("gauss_newton", theta, v, rows)

    def squared_gradients(self, theta: Array, rows: Any = None) -> Array:
        """(1/n) Σᵢ wᵢ (∂Cᵢ/∂θ)², element by element, without the penalty: a new vector (P,) of float64."""
        _refuse_some(rows, None)
        return np.array(self._sum("squared_gradients", self._check_theta(theta))[1], np.float64)

    def _product(self, method: str, theta: Array, v: Array, rows: Any) -> Array:
        _refuse_some(rows, None)
        own = self._check_theta(theta)
        direction = check_parameters("v", v, own.size).astype(np.float64)
        product = np.array(self._sum(method, own, direction)[1], np.float64)
        net = self.net.astype(np.float64)
        self.decay.add_gradient(net.at(direction).layers, net.at(product).layers, 1.0)
        return product

    def fingerprint(self) -> str:
        """A digest of all that decides the cost: settings, and some of the examples of each part."""
        settings = repr((self.weight_decay, self.max_norm, [(one.weight, one.fingerprint) for one in self._described]))
        return hashlib.sha256(settings.encode()).hexdigest()

    def _check_theta(self, theta: Any) -> Array:
        """θ in the network's dtype."""
        vector = check_parameters("theta", theta, self.net.theta.size)
        with np.errstate(all="ignore"):
            own: Array = np.ascontiguousarray(vector, self.dtype)
        return own

    # The cluster

    def _sum(self, method: str, *vectors: Array) -> Any:
        """What a method comes to over all parts: a few numbers, and a vector."""
        everything = range(len(self._parts))
        try:
            return self._attempt(everything, lambda: self._submit(method, vectors, everything))
        except distributed.KilledWorker as error:
            self._name_killer(lambda number: self._submit(method, vectors, [number]), error)

    def _attempt(self, numbers: Sequence[int], submit: Callable[[], Any]) -> Any:
        """The result of what `submit` sends, once the parts of these numbers are with workers or on their way there.

        Dask repeats what dies with a worker on another one, and gives up with KilledWorker after some deaths; where no worker
        was left, it is repeated here, as many times.
        """
        allowed = dask.config.get("distributed.scheduler.allowed-failures")
        for _ in range(allowed + 1):
            self._place(numbers)
            with contextlib.suppress(AllReplaced):
                return wait_for(self.client, submit(), self.wait, self._threads)
        raise distributed.KilledWorker(f"parts {list(numbers)}", None, allowed)

    def _place(self, numbers: Sequence[int]) -> None:
        """See which workers there are, give each its parts, and let those of these numbers be read that no worker has."""
        threads = wait_for_workers(self.client, self.wait)
        if not threads.keys() & self._threads.keys():  # whatever had been read is lost, or waits for a worker that is gone
            self._read = [None] * len(self._parts)
        if threads != self._threads:
            check_versions(self.client, threads.keys() - self._checked)
            self._checked = set(threads)
            known = [one for one in self._read if one is not None]
            holders = self.client.who_has(known) if known else {}
            keys = [None if one is None else one.key for one in self._read]
            self._homes = place([holders.get(key, ()) for key in keys], threads)
            self._threads = threads
        for number in numbers:
            self._submit_part(number)

    def _submit_part(self, number: int) -> None:
        """Let a part be read where it is to be, unless it is in some worker's memory or on its way there."""
        if self._read[number] is not None and self._read[number].status in ("pending", "finished"):
            return
        part = self._parts[number]
        source = self.client.compute(part.as_part()) if isinstance(part, DelayedPart) else part
        key = f"read_part-{number}-{uuid.uuid4().hex}"
        arguments = source, f"parts[{number}]", self._net, self._given_cost, self._versions
        with placed({key: self._homes[number]}):
            self._read[number] = self.client.submit(work.read_part, *arguments, key=key)

    def _describe(self) -> list[work.Description]:
        """Let all parts be read, and ask what is to be known of them."""

        def ask(number: int) -> Any:
            return self.client.submit(work.describe, self._read[number], self._net, pure=False)

        everything = range(len(self._parts))
        try:
            found: list[work.Description] = self._attempt(everything, lambda: [ask(number) for number in everything])
        except distributed.KilledWorker as error:
            self._name_killer(ask, error)
        return found

    def _submit(self, method: str, vectors: Sequence[Array], numbers: Sequence[int]) -> Any:
        """The graph of an evaluation over some parts, on its way: a future of what they come to."""
        run = uuid.uuid4().hex
        blocks = share_among_threads([self._homes[number] for number in numbers], self._threads)
        graph: dict[str, Any] = {}
        homes: dict[str, str] = {}

        def enter(name: str, home: str, *task: Any) -> str:
            key = f"{name}-{run}"
            graph[key], homes[key] = task, home
            return key

        carried = [enter(f"theta-{i}", blocks[0][0], work.carry, vector) for i, vector in enumerate(vectors)]
        level = []
        for home, places in blocks:
            chosen = [numbers[one] for one in places]
            shares = [self._described[number].weight / self._total for number in chosen]
            parts = [self._read[number] for number in chosen]
            task = (work.evaluate_block, parts, chosen, shares, self._net, method, carried, self._versions)
            level.append(enter(f"evaluate_block-{chosen[0]}", home, *task))
        while len(level) > 1:
            pairs = [level[start : start + 2] for start in range(0, len(level), 2)]
            level = [
                enter(f"merge_{pair[0]}", homes[pair[0]], work.merge_blocks, *pair) if pair[1:] else pair[0] for pair in pairs
            ]
        root = enter("finish", homes[level[0]], work.finish, level[0])
        with placed(homes):
            return self.client.get(graph, root, sync=False)

    def _name_killer(self, submit: Callable[[int], Any], error: Exception) -> NoReturn:
        """Say which part it is whose work ends with the worker's death, by working on one part at a time."""
        for number, part in enumerate(self._parts):
            try:
                self._attempt([number], functools.partial(submit, number))
            except distributed.KilledWorker as last:
                raise ClusterError(f"parts[{number}] ({part}): a worker died each time it worked on this part") from last
        raise ClusterError(
            "cluster: workers died again and again, though not over any one part by itself: they may lack the memory for "
            "what all their threads work on at once"
        ) from error


def _refuse_some(rows: Any, noise: Any) -> None:
    if rows is not None:
        raise ValueError(
            "rows: received some, but a sum over a cluster is over all examples: batch_size=None, subset=None, or mlp.lbfgs"
        )
    if noise is not None:
        raise ValueError(f"noise: received {shown(noise)}, but it isn't allowed on a cluster")
