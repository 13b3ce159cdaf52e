"""Exact curvature: products of the Hessian and of the Gauss–Newton matrix with a vector, by the recursion of backprop.py.

R{·} = ∂/∂r at r = 0, with θ + r v in place of θ: how each quantity of the two passes changes along a direction v, whose
numbers lie in layers V^ℓ, v^ℓ as θ's lie in W^ℓ, b^ℓ (Pearlmutter 1994, "Fast exact multiplication by the Hessian"). With E
for the error as it comes from above, E^ℓ = (W^{ℓ+1})ᵀ Δ^{ℓ+1} and Δ^ℓ = E^ℓ ⊙ σ′(Z^ℓ):

    R{A⁰} = 0,  R{Z^ℓ} = W^ℓ R{A^{ℓ−1}} + V^ℓ A^{ℓ−1} + v^ℓ,  R{A^ℓ} = σ′(Z^ℓ) ⊙ R{Z^ℓ}           forward
    R{Δ^L}: see costs/
    R{E^ℓ} = (W^{ℓ+1})ᵀ R{Δ^{ℓ+1}} + (V^{ℓ+1})ᵀ Δ^{ℓ+1}
    R{Δ^ℓ} = R{E^ℓ} ⊙ σ′(Z^ℓ) + E^ℓ ⊙ σ″(Z^ℓ) ⊙ R{Z^ℓ}                                           backward
    R{∂C/∂W^ℓ} = (1/n) (R{Δ^ℓ} (A^{ℓ−1})ᵀ + Δ^ℓ R{A^{ℓ−1}}ᵀ),  R{∂C/∂b^ℓ} = (1/n) Σ columns of R{Δ^ℓ}

All of it is H v. The Gauss–Newton matrix G leaves out each term with a Δ of the cost in it, and so how the network itself
curves (Schraudolph 2002, "Fast curvature matrix-vector products"): what is left is a change of outputs, sent back. Weight decay
and sparsity are in both.

Read `forward_along` and `backward_along` first, beside backprop.py; then `product`, which takes examples through them, and
`Kept`, which keeps what doesn't depend on v from one product to the next.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from mlp.backprop import Buffers, add_gradients
from mlp.batches import check_rows
from mlp.blas import Array
from mlp.checks import check_parameters, converted
from mlp.layers import Layer
from mlp.workspace import Workspace

if TYPE_CHECKING:
    from mlp.objective import Objective

#: Passes are kept between products where all their arrays take no more bytes than this (`kept_each`: 8 to 16 a unit and
#: example in float32, and what layers need besides); where they would take more, each product goes through them again, a chunk
#: at a time.
KEPT_BYTES = 1 << 30


class Along:
    """R{Z}, R{A} and R{Δ} of n examples, indexed as in `Buffers`; none below the lowest layer with parameters: all 0 there."""

    def __init__(self, layers: Sequence[Layer], of: Buffers):
        def room(like: Array, l: int) -> Array:
            return np.empty(like.shape if l >= of.lowest else (0, 0), like.dtype)

        self.Z = [room(A, l) for l, A in enumerate(of.A)]
        # R{Z} is no longer needed where σ″ = 0; the output's cost may still ask for it
        spent = [l < len(layers) and (l == 0 or not layers[l - 1].activation.curved) for l in range(len(of.A))]
        self.A = [RZ if done else np.empty_like(RZ) for RZ, done in zip(self.Z, spent, strict=True)]
        self.Delta = [room(A, l) for l, A in enumerate(of.A)]


class Chunk:
    """Some examples after both passes: their buffers, targets, weights, and E^ℓ ⊙ σ″(Z^ℓ) once that is asked for."""

    def __init__(self, of: Buffers, Y: Array, weights: Array | None):
        self.of, self.Y, self.weights = of, Y, weights
        self._bends: list[Array | None] = []

    def bends(self, layers: Sequence[Layer]) -> list[Array | None]:
        """E^ℓ ⊙ σ″(Z^ℓ) of each hidden layer, (units, n); None where σ″ = 0 or no error is needed."""
        of = self.of
        if not self._bends:
            self._bends = [None] * len(layers)
            for l in range(of.lowest, len(layers)):
                σ = layers[l - 1].activation
                if σ.curved:
                    self._bends[l] = E = np.empty(of.Delta[l].shape, of.Delta[l].dtype)
                    layers[l].propagate(of.Delta[l + 1], E, of.scratch[l + 1])
                    σ.second(E, of.Z[l], of.A[l], of.spare(E))
        return self._bends


class Direction:
    """One stack of layers, four times: at θ, at θ without what is constant, at v, and where the product is added up."""

    def __init__(self, objective: "Objective", theta: Array, v: Array, out: Array):
        def stack_at(vector: Array) -> list[Layer]:
            return objective._work.stack(objective.net.at(vector).layers, objective.noise)

        self.layers, self.v, self.out = stack_at(theta), stack_at(v), stack_at(out)
        self.linear = [layer.linearised() for layer in self.layers]
        self.out_linear = [layer.linearised() for layer in self.out]


def forward_along(d: Direction, of: Buffers, along: Along, top: int) -> None:
    """R{Z^ℓ} and R{A^ℓ}, from the lowest layer with parameters to layer `top`."""
    for l in range(of.lowest, top + 1):
        layer, RZ, RA, scratch = d.layers[l - 1], along.Z[l], along.A[l], of.scratch[l]
        if l > of.lowest:  # below it, R{A} = 0
            d.linear[l - 1].forward(along.A[l - 1], RZ, scratch)  # W^ℓ R{A^{ℓ−1}}                (units, n)
        if layer.size:
            VA = of.spare(RZ) if l > of.lowest else RZ
            d.v[l - 1].forward(of.A[l - 1], VA, scratch)  # + V^ℓ A^{ℓ−1} + v^ℓ                   (units, n)
            if VA is not RZ:
                RZ += VA
        if RA is not RZ:
            RA[...] = RZ
        layer.activation.backward(RA, of.Z[l], of.A[l], of.spare(RA))  # σ′(Z^ℓ) ⊙ R{Z^ℓ}


def backward_along(d: Direction, chunk: Chunk, along: Along, exact: bool) -> None:
    """From R{Δ^L}, in along.Delta[L], down to the lowest layer with parameters: the Hessian's where `exact`, else G's."""
    of = chunk.of
    for l in range(len(d.layers) - 1, of.lowest - 1, -1):
        σ, RE, scratch = d.layers[l - 1].activation, along.Delta[l], of.scratch[l + 1]
        d.linear[l].propagate(along.Delta[l + 1], RE, scratch)  # (W^{ℓ+1})ᵀ R{Δ^{ℓ+1}}           (units, n)
        if exact and d.v[l].size:
            d.v[l].propagate(of.Delta[l + 1], of.spare(RE), scratch)
            RE += of.spare(RE)  # + (V^{ℓ+1})ᵀ Δ^{ℓ+1}
        σ.backward(RE, of.Z[l], of.A[l], of.spare(RE))  # ⊙ σ′(Z^ℓ)
        bend = chunk.bends(d.layers)[l] if exact else None
        if bend is not None:
            RE += np.multiply(bend, along.Z[l], out=of.spare(RE))  # + E^ℓ ⊙ σ″(Z^ℓ) ⊙ R{Z^ℓ}


def add_gradients_along(d: Direction, of: Buffers, along: Along, alpha: float, exact: bool) -> None:
    """Add α (R{Δ^ℓ} (A^{ℓ−1})ᵀ + Δ^ℓ R{A^{ℓ−1}}ᵀ) and its like to each layer of `d.out`."""
    for l in range(of.lowest, len(d.layers) + 1):
        if d.out[l - 1].size:
            d.out[l - 1].gradient(along.Delta[l], of.A[l - 1], alpha, of.scratch[l])
            if exact and l > of.lowest:
                d.out_linear[l - 1].gradient(of.Delta[l], along.A[l - 1], alpha, of.scratch[l])


class Kept:
    """Both passes at the θ and rows last asked for, kept between products as long as they fit into so many bytes, `most`."""

    def __init__(self) -> None:
        self.most = KEPT_BYTES
        self._theta: Array | None = None
        self._rows: Array | None = None
        self._buffers: dict[int, Buffers] = {}
        self._chunks: list[Chunk] = []
        self._sparse: tuple[Array, Array] | None = None
        self._cost = 0.0
        self._along: dict[int, Along] = {}

    def chunks(self, objective: "Objective", theta: Array, rows: Array | None) -> Iterator[Chunk]:
        """The rows after both passes at θ."""
        work, n = objective._work, len(objective) if rows is None else len(rows)
        if self._theta is not None and np.array_equal(self._theta, theta) and _same(self._rows, rows):
            if work.sparse is not None and self._sparse is not None:
                work.sparse.gained, work.sparse.curvature = self._sparse
            yield from self._again(work)
            return
        stack = work.stack(work.layers_at(theta), objective.noise)
        keep = n * kept_each(stack, objective.dtype) <= self.most
        if not keep or n != sum(chunk.of.n for chunk in self._chunks):
            self._buffers = {}
        self._theta, self._chunks = None, []
        self._cost = work.prepare_sparsity(theta, rows, objective.noise)
        for of, Y, weights in work.passes(stack, rows, objective.noise, kept=self._buffers if keep else None):
            self._cost += objective._learn(stack, of, Y, weights) / n
            if keep:  # targets and weights lie in room that the next chunk's will take
                own = Y if Y is of.A[0] else Y.copy()
                self._chunks.append(Chunk(of, own, None if weights is None else weights.copy()))
            else:
                yield Chunk(of, Y, weights)
        if keep:
            self._theta, self._rows = theta.copy(), rows
            self._sparse = None if work.sparse is None else (work.sparse.gained, work.sparse.curvature)
            yield from self._again(work)

    def _again(self, work: Workspace) -> Iterator[Chunk]:
        """The chunks that are kept, each as if it had just come from its passes."""
        for chunk in self._chunks:
            if work.sparse is not None:
                work.sparse.weights = chunk.weights
            yield chunk

    def serves(self, rows: Array | None) -> bool:
        """Whether products over these rows have been asked for, and their passes are kept."""
        return self._theta is not None and _same(self._rows, rows)

    def accumulate(self, objective: "Objective", theta: Array, rows: Array | None, out: Array) -> float:
        """out ← ∂C/∂θ as `Objective.accumulate` has it, to the same bits (but for layers of images, whose sums it adds up in
        another order), with the passes kept for products at θ."""
        n = len(objective) if rows is None else len(rows)
        out[...] = 0
        with objective._work.alone:
            layers, into = objective._work.layers_at(theta), objective._work.layers_at(out)
            objective.decay.add_gradient(layers, into, 1.0)
            for chunk in self.chunks(objective, theta, rows):
                add_gradients(objective._work.stack(into, objective.noise), chunk.of, 1.0 / n)
        return self._cost

    def along(self, layers: Sequence[Layer], of: Buffers) -> Along:
        """Room for a direction through so many examples: that of a full chunk and that of the last are kept."""
        if of.n not in self._along:
            while len(self._along) >= 2:
                del self._along[next(iter(self._along))]
            self._along[of.n] = Along(layers, of)
        return self._along[of.n]


def kept_each(stack: Sequence[Layer], dtype: Any) -> int:
    """How many bytes an example takes where its passes are kept: their buffers, targets, E ⊙ σ″ and what layers need besides.

    Of that, products make more as they go: the room for changes, and for their errors.
    """
    one, two = Buffers(stack, 1, dtype), Buffers(stack, 2, dtype)
    passes, scratch = (
        _bytes_in(more, set()) - _bytes_in(less, set())
        for less, more in (
            ((one.A, one.Z, one.Delta, one.spare(one.A[-1])), (two.A, two.Z, two.Delta, two.spare(two.A[-1]))),
            (one.scratch, two.scratch),
        )
    )
    bends = sum(A.nbytes for A, layer in zip(one.A[1:-1], stack, strict=False) if layer.activation.curved)
    return passes + 3 * scratch + bends + one.A[-1].nbytes


def _bytes_in(thing: Any, seen: set[int]) -> int:
    """How many bytes the arrays in there have, each counted once."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return thing.nbytes if thing.base is None else _bytes_in(thing.base, seen)
    if isinstance(thing, list | tuple):
        return sum(_bytes_in(part, seen) for part in thing)
    return sum(
        _bytes_in(part, seen) for part in (thing if isinstance(thing, dict) else getattr(thing, "__dict__", {})).values()
    )


def _same(rows: Array | None, others: Array | None) -> bool:
    return rows is others or (rows is not None and others is not None and np.array_equal(rows, others))


def product(objective: "Objective", kept: Kept, theta: Any, v: Any, rows: Any, exact: bool) -> Array:
    """H v where `exact`, else G v: (P,) of float64, weight decay and sparsity penalty included."""
    refuse(objective)
    chosen = check_rows(rows, len(objective))
    n = len(objective) if chosen is None else len(chosen)
    own = objective._check_theta(theta)
    direction = np.ascontiguousarray(converted("v", check_parameters("v", v, own.size), own.dtype))
    out = np.zeros_like(own)
    with np.errstate(all="ignore"), objective._work.alone:
        d = Direction(objective, own, direction, out)
        objective.decay.add_gradient(d.v, d.out, 1.0)  # R{λW} = λV
        _prepare_sparsity(objective, kept, d, own, chosen)
        for chunk in kept.chunks(objective, own, chosen):
            along = kept.along(d.layers, chunk.of)
            forward_along(d, chunk.of, along, len(d.layers))
            _output_error_along(objective, chunk, along, exact)
            backward_along(d, chunk, along, exact)
            add_gradients_along(d, chunk.of, along, 1.0 / n, exact)
    return out.astype(np.float64, copy=False)


def _output_error_along(objective: "Objective", chunk: Chunk, along: Along, exact: bool) -> None:
    """R{Δ^L}, times the examples' weights as Δ^L is."""
    of, out = chunk.of, along.Delta[-1]
    spare, σ = of.spare(out), objective.net.output
    objective.cost.error_along(of.Z[-1], of.A[-1], chunk.Y, along.Z[-1], along.A[-1], σ, exact, out, spare)
    if chunk.weights is not None:
        out *= chunk.weights


def _prepare_sparsity(objective: "Objective", kept: Kept, d: Direction, theta: Array, rows: Array | None) -> None:
    """R{gained}, of the sparsity penalty's derivative, which is a function of a mean over all rows: they pass before."""
    sparse = objective._work.sparse
    if sparse is None:
        return
    below = d.layers.index(sparse)  # so many layers
    total, n = np.zeros(sparse.units), 0
    for chunk in kept.chunks(objective, theta, rows):
        along = kept.along(d.layers, chunk.of)
        forward_along(d, chunk.of, along, below)
        total += along.A[below].sum(axis=1) if chunk.weights is None else along.A[below] @ chunk.weights
        n += chunk.of.n
    sparse.gained_along = (sparse.curvature * total / n).astype(objective.dtype)


def refuse(objective: "Objective") -> None:
    """Raise ValueError where the cost is no function of θ alone."""
    if objective.noisy:
        raise ValueError(
            "objective: has distortions or dropout, without which the product would be that of another cost: hold the draws "
            "with objective.with_noise(0)"
        )
    if objective.max_norm is not None:
        raise ValueError(
            "objective: has a max_norm, which is no part of the cost, so that no product knows of it: use weight_decay instead"
        )


class Curvature(LinearOperator):  # type: ignore[misc]
    """The Hessian at θ, or the Gauss–Newton matrix, as SciPy's solvers and eigensolvers take it: (P, P), symmetric."""

    def __init__(self, objective: "Objective", theta: Any, rows: Any, exact: bool):
        refuse(objective)
        self.objective, self.exact = objective, exact
        self.theta = objective._check_theta(theta).copy()
        self.rows = check_rows(rows, len(objective))
        self._kept = Kept()
        super().__init__(np.dtype(np.float64), (self.theta.size, self.theta.size))

    def _matvec(self, v: Array) -> Array:
        return product(self.objective, self._kept, self.theta, np.reshape(v, -1), self.rows, self.exact)

    def _adjoint(self) -> "Curvature":
        return self


def squared_gradients(objective: "Objective", kept: Kept, theta: Any, rows: Any) -> Array:
    """(1/n) Σᵢ wᵢ (∂Cᵢ/∂θ)², element by element, (P,): of one example, ∂C/∂W = δ aᵀ, whose squares are δ² (a²)ᵀ.

    Where a layer shares parameters among several places, it is the sum of the places' squares.
    """
    refuse(objective)
    chosen = check_rows(rows, len(objective))
    own = objective._check_theta(theta)
    out = np.zeros_like(own)
    with np.errstate(all="ignore"), objective._work.alone:
        into = objective._work.stack(objective.net.at(out).layers, objective.noise)
        for chunk in kept.chunks(objective, own, chosen):
            of, w = chunk.of, chunk.weights
            root = None if w is None else np.divide(1, np.sqrt(w), out=np.zeros_like(w), where=w > 0)
            for l, layer in enumerate(into, 1):
                if layer.size:  # of the wᵢδᵢ that Δ holds, √wᵢ δᵢ is to be squared
                    layer.add_squares(of.Delta[l] if root is None else of.Delta[l] * root, of.A[l - 1], of.scratch[l])
        out /= len(objective) if chosen is None else len(chosen)
    return out.astype(np.float64, copy=False)
