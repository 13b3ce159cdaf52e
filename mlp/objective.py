"""`Objective`: the cost/gradient function of a network over examples, which every minimiser receives.

    C(θ) = (1/n) Σᵢ Cᵢ + (λ/2) Σ_ℓ ‖W^ℓ‖²            biases are never decayed
                       + β Σⱼ KL(ρ ‖ ρ̂ⱼ)             only where a hidden layer's activations are to be sparse

It is a function of the parameter vector alone: calling it changes neither the network nor the vector. `_batches` gathers
the examples, and `accumulate` runs both passes over them; the cost and gradient, and the step of gradient descent that
never stores a gradient, are two ways of calling it.

With distortions or dropout it is a function of one more thing, `noise`: a number that every random draw of a call is made
from. The same noise gives the same distortions and masks, so that gradients can be checked and steps repeated; without
any, images and units are left as they are.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from mlp import costs
from mlp.blas import Array, axpy, dot
from mlp.checks import check_integer, check_number, shown
from mlp.costs import holds_labels
from mlp.network import CHUNK, MLP, Pass, check_input, copy_input
from mlp.noise import Noise, check_noise, generator


class Evaluation(NamedTuple):
    """How a network does on examples: the cost, and the fraction of right labels (None for regression)."""

    cost: float
    accuracy: float | None


@dataclass(frozen=True)
class Sparsity:
    """The sparse autoencoder's penalty β Σⱼ KL(ρ ‖ ρ̂ⱼ) on a hidden layer of logistic units (UFLDL, "Autoencoders").

    ρ̂ⱼ is unit j's mean activation over the examples at hand, ρ what it should be, and
    KL(ρ ‖ ρ̂) = ρ log(ρ/ρ̂) + (1 − ρ) log((1 − ρ)/(1 − ρ̂)).

    Args:
        rho: ρ, from above 0 to below 1.
        beta: β, at least 0.
        layer: which layer, counted from 0.
    """

    rho: float = 0.05
    beta: float = 3.0
    layer: int = 0

    def __post_init__(self) -> None:
        check_number("rho", self.rho, above=0, below=1)
        check_number("beta", self.beta, at_least=0)
        check_integer("layer", self.layer, at_least=0)

    def penalty(self, mean: Array) -> float:
        """β Σⱼ KL(ρ ‖ ρ̂ⱼ) for mean activations ρ̂, (units,)."""
        rho = self.rho
        return self.beta * float(np.sum(rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))))

    def derivative(self, mean: Array) -> Array:
        """What each example's error at the layer gains: β (−ρ/ρ̂ⱼ + (1 − ρ)/(1 − ρ̂ⱼ)), (units,)."""
        gained: Array = self.beta * (-self.rho / mean + (1 - self.rho) / (1 - mean))
        return gained


class Objective:
    """The mean cost of a network over examples plus weight decay, and its gradient, as a function of θ.

    Args:
        net: the network; its own parameters are neither read nor changed.
        X: inputs (n, features). 8-bit unsigned X is taken as pixel intensities: it stays 8 bits in memory and is
            scaled from 0 … 255 to 0 … 1 as a batch is gathered. A memory-mapped array is never held in memory whole.
        y: targets. Class labels, (n,) integers from 0, where the network has several outputs; numbers (n,) or
            (n, 1) where it has one; numbers (n, outputs), such as several 0/1 labels at once, regression targets or
            class probabilities. None: the input itself, scaled alike (an autoencoder); where it is distorted, as it is then,
            and where values are dropped, as it was before.
        cost: a name or an object (see costs.py). None: the output's natural one, which is cross-entropy for softmax and
            logistic outputs and quadratic for others.
        weight_decay: λ, at least 0.
        sparsity: a `Sparsity` penalty on a hidden layer's mean activations, or None.
        distort: what is done to inputs as batches are gathered, a function (X, rng) -> X of the same shape and dtype such as
            a `Distortion`; or None. Drawn anew for each call with other noise.
        dropout: for each layer, the probability that an input of it is dropped, from 0 to below 1: (0.2, 0.5) drops a fifth
            of the network's inputs and half of the hidden units of a network with two layers. None: nothing is dropped.
            Calls without noise, such as SciPy's, drop and distort nothing.
        max_norm: the largest norm that a unit's incoming weights may have, above 0, or None. It is no part of the cost:
            `constrain` sees to it, which `sgd` and `adam` call after every step.

    Scratch memory is kept from call to call, so an objective serves one thread at a time.

    >>> objective = Objective(MLP([784, 10]), train.X, train.y, weight_decay=1e-4)   # doctest: +SKIP
    >>> cost, gradient = objective(theta)                                            # doctest: +SKIP
    """

    def __init__(
        self,
        net: MLP,
        X: Any,
        y: Any = None,
        cost: Any = None,
        weight_decay: float = 0.0,
        sparsity: Sparsity | None = None,
        distort: Callable[[Array, np.random.Generator], Array] | None = None,
        dropout: Sequence[float] | None = None,
        max_norm: float | None = None,
    ):
        if not isinstance(net, MLP):
            raise TypeError(f"net: received {shown(net)}, but it must be an MLP")
        self.net = net
        self.dtype = net.dtype
        self.X = check_input(X, net.layers[0].fan_in, net.dtype)
        self.cost = costs.get(cost, net.output)
        self.Y = None if y is None or y is X else _check_targets(y, len(self.X), net, self.cost)
        if self.Y is None and net.sizes[0] != net.sizes[-1]:
            raise ValueError(
                f"y: received none, so that the input is its own target, but the network has {net.sizes[0]} inputs and "
                f"{net.sizes[-1]} outputs"
            )
        if self.Y is None:
            for start in range(0, len(self.X), CHUNK):
                rows = np.empty_like(self.X[start : start + CHUNK], self.dtype)
                copy_input(self.X[start : start + CHUNK], out=rows)
                _check_numbers("X, being its own target", rows, self.cost)
        self.weight_decay = check_number("weight_decay", weight_decay, at_least=0)
        if sparsity is not None:
            if not isinstance(sparsity, Sparsity):
                raise TypeError(f"sparsity: received {shown(sparsity)}, but it must be None or a Sparsity")
            if len(net.layers) < 2:
                raise ValueError("sparsity: received a Sparsity, but the network has no hidden layer to be sparse")
            check_integer("sparsity.layer", sparsity.layer, at_least=0, at_most=len(net.layers) - 2)
            if (name := net.layers[sparsity.layer].activation.name) != "logistic":
                raise ValueError(
                    f"sparsity: layer {sparsity.layer} is {name!r}, but mean activations must be those of 'logistic'"
                )
        self.sparsity = sparsity
        if distort is not None and not callable(distort):
            raise TypeError(f"distort: received {shown(distort)}, but it must be None or a function (X, rng) -> X")
        self.distort = distort
        self.dropout = None if dropout is None else _check_dropout(dropout, len(net.layers))
        self.max_norm = None if max_norm is None else check_number("max_norm", max_norm, above=0)
        #: The noise of calls that are given none: None, but for `with_noise`.
        self.noise: Noise | None = None
        self._clear()

    def _clear(self) -> None:
        """Fresh scratch memory."""
        self._windows: list[tuple[Array, MLP]] = []
        self._passes: dict[bool, dict[int, Pass]] = {False: {}, True: {}}  # without masks, and with them
        self._step: Array | None = None
        self._taken = np.empty(0)
        self._staged = np.empty((0, self.X.shape[1]), self.X.dtype)

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.X)

    @property
    def noisy(self) -> bool:
        """Whether calls need noise to be what training is to see."""
        return self.noise is None and (self.distort is not None or self.dropout is not None)

    def with_noise(self, noise: Noise) -> Self:
        """The same objective with these distortions and masks in every call: a function of θ and rows alone again, which
        `check_gradient` can check and L-BFGS minimise."""
        held = copy(self)
        held.noise = check_noise(noise)
        held._clear()
        return held

    def __call__(self, theta: Array, rows: Any = None, noise: Noise | None = None) -> tuple[float, Array]:
        """The cost and its gradient at θ, over all examples or over the given rows of X.

        Args:
            theta: parameters (P,), of any real dtype; they are converted to the network's, in which all arithmetic is done.
            rows: indices (integers, repeats allowed) or a slice. None: all examples.
            noise: what distortions and dropout masks are drawn from, where the objective has them: an integer of at least
                0, or a tuple of several. None: nothing is distorted or dropped (but see `with_noise`).

        Returns:
            C as a float and ∂C/∂θ, a new vector (P,) of float64 whatever the network's dtype: SciPy's minimisers go on
            computing with it, and float32 would make their line searches overflow.
        """
        own = self._check_theta(theta)
        gradient = np.empty_like(own)
        with np.errstate(all="ignore"):  # what overflows shows in the numbers returned; minimisers look at them
            drawn = None if noise is None else check_noise(noise)
            cost = self.accumulate(own, self._check_rows(rows), gradient, 1.0, 0.0, drawn) + self.penalty(own)
        return cost, gradient.astype(np.float64, copy=False)

    def accumulate(self, theta: Array, rows: Any, out: Array, alpha: float, beta: float, noise: Noise | None = None) -> float:
        """out ← β out + α ∂C/∂θ over the given rows, as BLAS's gemm would have it; returns the cost without weight decay.

        With `out` a velocity, that is the step of descent with momentum; with `out` theta itself, α = −η and β = 1 it is
        plain descent in place. The learning rate and the decay are then factors of the gradient's matrix products. `noise` is
        handed over where the objective is `noisy`, (a number for the epoch, the batch's number) by sgd and adam.

        For minimisers: theta and out are vectors (P,) in the network's dtype, rows are in range, nothing is checked, and
        numpy's floating-point warnings are the caller's to silence.
        """
        n = len(self) if rows is None else len(rows)
        if out is theta and n > CHUNK:  # the first chunk's step must not move θ under the second
            if self._step is None:
                self._step = np.empty_like(theta)
            cost = self.accumulate(theta, rows, self._step, alpha, 0.0, noise)
            out *= beta
            out += self._step
            return cost
        net, into = self._network_at(theta), self._network_at(out)
        decay = alpha * self.weight_decay
        noise = self.noise if noise is None else noise
        sparse, penalties = self._sparsity(net, rows, n, noise)
        total = 0.0
        for batch, Y in self._batches(rows, n, noise):
            net.propagate_forward(batch)
            total += self.cost.value(batch.Z[-1], batch.A[-1], Y, scratch=batch.Delta[-1])
            self.cost.output_error(batch.Z[-1], batch.A[-1], Y, net.output, out=batch.Delta[-1])
            net.backward(batch, into, alpha / n, beta, decay if out is theta else 0.0, penalties)
            beta = 1.0  # the next chunk adds to this one
        if decay and out is not theta:
            for layer, target in zip(net.layers, into.layers, strict=True):
                axpy(decay, layer.W.ravel(), target.W.ravel())
        return total / n + sparse

    def _sparsity(self, net: MLP, rows: Any, n: int, noise: Noise | None) -> tuple[float, dict[int, Array]]:
        """The sparsity penalty over those rows, and what it adds to each example's error, by layer.

        The penalty is a function of a mean over all rows, so that they pass through the lower layers once before.
        """
        if self.sparsity is None:
            return 0.0, {}
        number = self.sparsity.layer + 1
        mean = np.zeros(net.sizes[number])
        for batch, _ in self._batches(rows, n, noise):
            net.propagate_forward(batch, number)
            mean += batch.A[number].sum(axis=0)
        tiny = np.finfo(net.dtype).eps  # units that are always on or off have a large penalty, not an infinite one
        mean = np.clip(mean / n, tiny, 1 - tiny)
        return self.sparsity.penalty(mean), {self.sparsity.layer: self.sparsity.derivative(mean).astype(net.dtype)}

    def penalty(self, theta: Array) -> float:
        """The weight decay (λ/2) Σ_ℓ ‖W^ℓ‖² at θ."""
        if not self.weight_decay:
            return 0.0
        layers = self._network_at(self._check_theta(theta)).layers
        return 0.5 * self.weight_decay * sum(dot(W, W) for W in (layer.W.ravel() for layer in layers))

    def constrain(self, theta: Array) -> None:
        """Scale down, in place, each row of a W at θ (P,), in the network's dtype, whose norm is above `max_norm`."""
        if self.max_norm is None:
            return
        for layer in self._network_at(theta).layers:
            beyond = np.flatnonzero(np.einsum("uf,uf->u", layer.W, layer.W) > self.max_norm * self.max_norm)
            norms = np.linalg.norm(layer.W[beyond].astype(np.float64), axis=1)  # in which no square overflows
            layer.W[beyond] *= (self.max_norm / norms)[:, None]

    def evaluate(self, theta: Array) -> Evaluation:
        """The cost (penalty included) and the accuracy at θ over all examples, without a gradient.

        This is the network as it is used: nothing is distorted or dropped.
        """
        own = self._check_theta(theta)
        net = self._network_at(own)
        total, right = 0.0, 0.0
        with np.errstate(all="ignore"):
            for batch, Y in self._batches(None, len(self), None):
                net.propagate_forward(batch)
                total += self.cost.value(batch.Z[-1], batch.A[-1], Y, scratch=batch.Delta[-1])
                right += self._right(batch.A[-1], Y)
            cost = total / len(self) + self._sparsity(net, None, len(self), None)[0] + self.penalty(own)
        return Evaluation(cost, right / len(self) if self._classifies else None)

    def input_gradient(self, theta: Array, rows: Any = None) -> Array:
        """∂C/∂X, (n, features): how the mean cost changes with each value of each input, after scaling to 0 … 1.

        The targets are held fixed, an autoencoder's too. Where noise is held (`with_noise`), it is the gradient with respect
        to the distorted input.
        """
        parts = []
        with np.errstate(all="ignore"):
            for net, batch in self._backward_passes(theta, rows):
                part = np.empty_like(batch.A[0])
                net.layers[0].propagate(batch.Delta[0], out=part)  # Δ¹ W¹
                if (M := batch.M[0]) is not None:
                    part *= M  # ⊙ M⁰
                parts.append(part)
        gradient = np.concatenate(parts)
        gradient /= len(gradient)
        return gradient

    def errors(self, theta: Array, rows: Any = None) -> list[Array]:
        """Δ¹, …, Δ^L, each (n, units): the errors of each example, not averaged, by layer."""
        with np.errstate(all="ignore"):
            parts = [[Delta.copy() for Delta in batch.Delta] for _, batch in self._backward_passes(theta, rows)]
        return [np.concatenate(of_layer) for of_layer in zip(*parts, strict=True)]

    def _backward_passes(self, theta: Array, rows: Any) -> Iterator[tuple[MLP, Pass]]:
        """The network at θ and each pass over those rows, after the δ recursion, without gradients."""
        rows = self._check_rows(rows)
        n = len(self) if rows is None else len(rows)
        net = self._network_at(self._check_theta(theta))
        penalties = self._sparsity(net, rows, n, self.noise)[1]
        for batch, Y in self._batches(rows, n, self.noise):
            net.propagate_forward(batch)
            self.cost.output_error(batch.Z[-1], batch.A[-1], Y, net.output, out=batch.Delta[-1])
            net.backward(batch, None, 0.0, 0.0, penalties=penalties)
            yield net, batch

    def layer_norms(self, theta: Array, rows: Any = None) -> dict[str, Array]:
        """How large errors and gradients are by layer, (L,): "delta", the root mean square of ‖δ^ℓ‖ over the examples,
        and "W", ‖∂C/∂W^ℓ‖ (Frobenius). `mlp.plots.gradients` draws a list of these."""
        gradient = self(theta, rows)[1]
        errors = self.errors(theta, rows)
        with np.errstate(all="ignore"):  # what overflows shows in the norms
            return {
                "delta": np.array([np.sqrt(np.vdot(Delta, Delta) / len(Delta)) for Delta in errors]),
                "W": np.array([np.linalg.norm(layer.W) for layer in self._network_at(gradient).layers]),
            }

    def astype(self, dtype: Any) -> Self:
        """The same objective with its arithmetic in another dtype."""
        settings = self.cost, self.weight_decay, self.sparsity, self.distort, self.dropout, self.max_norm
        other = type(self)(self.net.astype(dtype), self.X, self.Y, *settings)
        other.noise = self.noise
        return other

    def name_of(self, component: int) -> str:
        """Which parameter a component of θ is: "layers[0].W[3, 17]"."""
        return self.net.name_of(component)

    # Gathering batches

    def _batches(self, rows: Any, n: int, noise: Noise | None) -> Iterator[tuple[Pass, Array]]:
        """The n rows (all, when None), gathered chunk by chunk into the same buffers: (pass with A⁰ filled, targets).

        Given noise, the inputs are distorted and the passes have masks.
        """
        draws = self.distort is not None or self.dropout is not None
        rng = generator(noise) if noise is not None and draws else None
        rates = self.dropout if rng is not None else None
        for start in range(0, n, CHUNK):
            stop = min(start + CHUNK, n)
            chosen = slice(start, stop) if rows is None else rows[start:stop]
            batch = self._pass(stop - start, masked=rates is not None)
            self._gather(chosen, rng, out=batch.A[0])
            if rng is not None and rates is not None:
                batch.drop(rates, rng)
            yield batch, batch.A[0] if self.Y is None else self._targets(chosen)

    def _gather(self, rows: Any, rng: np.random.Generator | None, out: Array) -> None:
        """out ← those rows of X, distorted if there is a generator, and scaled where they are pixels."""
        if rng is not None and self.distort is not None:
            given = self.X[rows].copy() if isinstance(rows, slice) else self.X[rows]  # its own, to be changed in place too
            distorted = self.distort(given, rng)
            if not isinstance(distorted, np.ndarray) or (distorted.shape, distorted.dtype) != (given.shape, given.dtype):
                found = f"{distorted.dtype} {distorted.shape}" if isinstance(distorted, np.ndarray) else shown(distorted)
                raise ValueError(f"distort: returned {found}, but it must be an array of {given.dtype} {given.shape}")
            copy_input(distorted, out=out)
        elif isinstance(rows, slice):
            copy_input(self.X[rows], out=out)
        elif self.X.dtype == out.dtype:
            self.X.take(rows, 0, out, "clip")  # mode="clip" spares numpy a buffered copy
        else:
            if len(self._staged) < len(rows):
                self._staged = np.empty((len(rows), self.X.shape[1]), self.X.dtype)
            staged = self._staged[: len(rows)]
            self.X.take(rows, 0, staged, "clip")
            copy_input(staged, out=out)

    def _targets(self, rows: Any) -> Array:
        """Those rows of Y, in the same room each time."""
        assert self.Y is not None
        if isinstance(rows, slice):
            return self.Y[rows]
        if len(self._taken) < len(rows):
            self._taken = np.empty((len(rows), *self.Y.shape[1:]), self.Y.dtype)
        taken = self._taken[: len(rows)]
        self.Y.take(rows, 0, taken, "clip")
        return taken

    def _pass(self, n: int, masked: bool) -> Pass:
        """Buffers for n examples: made once, and as views of the largest made so far."""
        passes = self._passes[masked]
        if n not in passes:
            largest = passes[max(passes)] if passes else None
            if largest is None or largest.n < n:
                passes.clear()
                passes[n] = Pass(self.net.layers, n, self.net.dtype)
            else:
                passes[n] = largest.first(n)
        return passes[n]

    def _network_at(self, vector: Array) -> MLP:
        """The network with its windows on that vector; the last two are remembered, for θ and what is added up."""
        for known, network in self._windows:
            if known is vector:
                return network
        network = self.net.at(vector)
        self._windows = [(vector, network), *self._windows[:1]]
        return network

    # Checks, and what targets mean

    def _check_theta(self, theta: Any) -> Array:
        """θ in the network's dtype: the vector itself where it is that already, a copy where it is not."""
        size = self.net.theta.size
        if np.shape(theta) != (size,):
            raise ValueError(f"theta: received shape {np.shape(theta)}, but the network has {size:,} parameters: ({size},)")
        if np.asarray(theta).dtype.kind not in "iuf":
            raise TypeError(f"theta: received dtype {np.asarray(theta).dtype}, but it must be real numbers")
        with np.errstate(all="ignore"):
            own: Array = np.ascontiguousarray(theta, self.net.dtype)
        return own

    def _check_rows(self, chosen: Any) -> Array | None:
        if chosen is None:
            return None
        rows: Array = np.asarray(range(len(self))[chosen] if isinstance(chosen, slice) else chosen)
        if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in "iu":
            raise ValueError(
                f"rows: received shape {rows.shape} of {rows.dtype}, but it must be a slice or one or more integer indices"
            )
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= len(self):
            raise ValueError(f"rows: received {low if low < 0 else high}, but it must be from 0 to {len(self) - 1:,}")
        return rows

    @property
    def _classifies(self) -> bool:
        return self.Y is not None and (holds_labels(self.Y) or self.net.output.name in ("softmax", "logistic"))

    def _right(self, A: Array, Y: Array) -> float:
        """How many examples' labels are right; of several labels at once, each counts for its part."""
        if not self._classifies:
            return 0.0
        if holds_labels(Y):
            return float(np.count_nonzero(A.argmax(axis=1) == Y))
        if self.net.output.name == "softmax":
            return float(np.count_nonzero(A.argmax(axis=1) == Y.argmax(axis=1)))
        return float(np.mean((A > 0.5) == (Y > 0.5))) * len(A)


def _check_targets(targets: Any, n: int, net: MLP, cost: costs.Cost) -> Array:
    """Targets in one of the two forms of costs.py: labels (n,) or numbers (n, outputs) in the network's dtype."""
    outputs = net.sizes[-1]
    allowed = f"class labels ({n},) or numbers ({n}, {outputs})" if outputs > 1 else f"numbers ({n},) or ({n}, 1)"
    try:
        y: Array = np.asarray(targets)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"y: received {shown(targets)}, but it must be {allowed}") from error
    if y.shape not in ((n,), (n, outputs)):
        raise ValueError(f"y: received shape {y.shape} for {n:,} examples, but it must be {allowed}")
    if y.dtype.kind not in "buif":
        raise TypeError(f"y: received dtype {y.dtype}, but it must be {allowed}")
    if y.ndim == 1 and outputs > 1:
        if y.dtype.kind not in "ui":
            raise TypeError(f"y: received dtype {y.dtype}, but class labels must be integers from 0 to {outputs - 1}")
        wrong = np.flatnonzero((y < 0) | (y >= outputs))
        if len(wrong):
            raise ValueError(
                f"y: received label {y[wrong[0]]} at example {wrong[0]:,}, but labels must be from 0 to {outputs - 1}"
            )
        return y.astype(np.intp)
    with np.errstate(over="ignore"):
        Y: Array = y.reshape(n, outputs).astype(net.dtype)
    _check_numbers("y", Y, cost)
    return Y


def _check_dropout(given: Any, layers: int) -> tuple[float, ...] | None:
    """Dropout rates, one for each layer; None where nothing is dropped."""
    if not isinstance(given, Sequence | np.ndarray) or isinstance(given, str):
        raise TypeError(f"dropout: received {shown(given)}, but it must be {layers} probabilities, one for each layer's input")
    if len(given) != layers:
        raise ValueError(
            f"dropout: received {len(given)} probabilities, but it must be {layers}, one for each layer's input, the "
            "network's own first"
        )
    rates = tuple(check_number(f"dropout[{l}]", rate, at_least=0, below=1) for l, rate in enumerate(given))  # noqa: E741
    return rates if any(rates) else None


def _check_numbers(name: str, Y: Array, cost: costs.Cost) -> None:
    """Whether numbers (n, outputs) can be targets of that cost."""
    if not np.isfinite(Y).all():
        raise ValueError(f"{name}: received {Y[~np.isfinite(Y)][0]}, but every target must be finite")
    cost.check_targets(name, Y)
