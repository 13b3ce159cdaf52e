"""`Objective`: the cost/gradient function of a network over examples, which every minimiser receives.

    C(θ) = (1/n) Σᵢ wᵢCᵢ + (λ/2) Σ_ℓ ‖W^ℓ‖²            biases are never decayed; wᵢ = 1 unless given
                       + β Σⱼ KL(ρ ‖ ρ̂ⱼ)             only where a hidden layer's activations are to be sparse

It is a function of the parameter vector alone: calling it changes neither the network nor the vector. Read `accumulate`
first: it takes the examples, chunk by chunk, through the passes of backprop.py. The cost and gradient, and the step of
gradient descent that never stores a gradient, are two ways of calling it.

With distortions or dropout it is a function of one more thing, `noise`: a number that every random draw of a call is made
from. The same noise gives the same distortions and masks, so that gradients can be checked and steps repeated; without
any, images and units are left as they are.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple, Self

import numpy as np

from mlp import costs, curvature
from mlp.backprop import Buffers, add_gradients, backward_pass, forward_pass
from mlp.batches import Distort, check_input, check_own_targets, check_rows, check_targets, check_weights
from mlp.blas import Array, scale
from mlp.checks import check_callable, check_number, check_parameters, is_sparse
from mlp.costs import add_up, holds_labels
from mlp.fingerprint import digest
from mlp.layers import Layer
from mlp.layers.dropout import check_dropout
from mlp.network import MLP, check_network, which_right
from mlp.noise import Noise, check_noise
from mlp.penalties import Sparsity, WeightDecay, check_sparsity, norm_of_decayed, shorten_rows
from mlp.workspace import Workspace


class Evaluation(NamedTuple):
    """How a network does on examples: the cost, and the fraction of right labels (None for regression)."""

    cost: float
    accuracy: float | None


class Objective:
    """The mean cost of a network over examples plus weight decay, and its gradient, as a function of θ.

    Args:
        net: the network; its own parameters are neither read nor changed.
        X: inputs (n, features). 8-bit unsigned X is taken as pixel intensities: it stays 8 bits in memory and is
            scaled from 0 … 255 to 0 … 1 as a batch is gathered. A memory-mapped array is never held in memory whole, nor is a
            sparse X (scipy.sparse) made dense: batches are, unless a Dense layer comes first, without dropout below it.
        y: targets. Class labels, (n,) integers from 0, where the network has several outputs; numbers (n,) or
            (n, 1) where it has one; numbers (n, outputs), such as several 0/1 labels at once, regression targets or
            class probabilities. None: the input itself, scaled alike (an autoencoder); where it is distorted, as it is then,
            and where values are dropped, as it was before.
        cost: a name or an object (see costs/). None: the output's natural one, which is cross-entropy for softmax and
            logistic outputs, poisson for exponential ones and quadratic for others.
        weight_decay: λ, at least 0.
        sparsity: a `Sparsity` penalty on a hidden layer's mean activations, or None.
        distort: what is done to inputs as batches are gathered, a function (X, rng) -> X of the same shape and dtype such as
            a `Distortion`; or None. Drawn anew for each call with other noise.
        dropout: for each layer, the probability that an input of it is dropped, from 0 to below 1: (0.2, 0.5) drops a fifth
            of the network's inputs and half of the hidden units of a network with two layers. None: nothing is dropped.
            Calls without noise, such as SciPy's, drop and distort nothing.
        max_norm: the largest norm that a unit's incoming weights may have, above 0, or None. It is no part of the cost:
            `constrain` sees to it, which `sgd` and `adam` call after every step.
        weights: how much each example counts, (n,) numbers of at least 0, not all 0, which are scaled to mean 1: with a
            weight of 2 as if it were there twice, with 0 not at all, in all that is asked for. None: all alike.

    Scratch memory is kept from call to call (workspace.py), so an objective serves one call at a time; a second one, from
    another thread or from a cost of your own, is refused.

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
        distort: Distort | None = None,
        dropout: Sequence[float] | None = None,
        max_norm: float | None = None,
        weights: Any = None,
    ):
        self.net = check_network("net", net)
        self.dtype = net.dtype
        self.X = check_input(X, net.layers[0].fan_in, net.dtype)
        self.cost = costs.get(cost, net.output)
        self.Y = None if y is None or y is X else check_targets(y, len(self), net.sizes[-1], net.dtype)
        if self.Y is None:
            check_own_targets(self.X, net.sizes, net.dtype, self.cost)
        elif not holds_labels(self.Y):
            costs.check_numbers("y", self.Y, self.cost)
        self.decay = WeightDecay(weight_decay)
        self.sparsity = check_sparsity(sparsity, net.layers)
        check_callable("distort", distort)
        if distort is not None and is_sparse(X):
            raise TypeError("distort: received one for a sparse X, but only arrays can be distorted: give X.toarray()")
        self.distort = distort
        self.dropout = None if dropout is None else check_dropout(dropout, len(net.layers))
        self.max_norm = None if max_norm is None else check_number("max_norm", max_norm, above=0)
        self.weights = check_weights(weights, len(self), net.dtype)
        self.noise: Noise | None = None  # of calls that are given none: None, but for `with_noise`
        self._make_workspace()

    def _make_workspace(self) -> None:
        self._work = Workspace(self.net, self.X, self.Y, self.weights, self.distort, self.dropout, self.sparsity)
        #: Where a step's gradient is added up that goes into θ itself, over several chunks.
        self._step: Array | None = None
        #: The passes that products with the Hessian go through.
        self._kept = curvature.Kept()

    def __getstate__(self) -> dict[str, Any]:
        """Copies (copy.copy, pickle) share the examples, and have a workspace of their own."""
        return {name: value for name, value in vars(self).items() if name not in ("_work", "_step", "_kept")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._make_workspace()

    def __len__(self) -> int:
        """How many examples there are."""
        return int(self.X.shape[0])

    @property
    def weight_decay(self) -> float:
        """λ."""
        return self.decay.rate

    @property
    def noisy(self) -> bool:
        """Whether calls need noise to be what training is to see."""
        random = self.distort is not None or self.dropout is not None or any(layer.draws for layer in self.net.layers)
        return self.noise is None and random

    def with_noise(self, noise: Noise) -> Self:
        """The same objective with these distortions and masks in every call: a function of θ and rows alone again, which
        `check_gradient` can check and L-BFGS minimise."""
        held = copy(self)
        held.noise = check_noise(noise)
        return held

    def astype(self, dtype: Any) -> Self:
        """The same objective with its arithmetic in another dtype."""
        settings = self.cost, self.weight_decay, self.sparsity, self.distort, self.dropout, self.max_norm, self.weights
        other = type(self)(self.net.astype(dtype), self.X, self.Y, *settings)
        other.noise = self.noise
        return other

    def name_of(self, component: int) -> str:
        """Which parameter a component of θ is: "layers[0].W[3, 17]"."""
        return self.net.name_of(component)

    # The cost and its gradient

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

        Raises:
            RuntimeError: it is at work already, in another thread or further up this one.
        """
        own = self._check_theta(theta)
        gradient = np.empty_like(own)
        with np.errstate(all="ignore"):  # what overflows shows in the numbers returned; minimisers look at them
            drawn = None if noise is None else check_noise(noise)
            chosen = check_rows(rows, len(self))
            if drawn is None and self._kept.serves(chosen):  # the next product is likely to be at this θ
                cost = self._kept.accumulate(self, own, chosen, gradient)
            else:
                cost = self.accumulate(own, chosen, gradient, 1.0, 0.0, drawn)
            cost += self.penalty(own)
        return cost, gradient.astype(np.float64, copy=False)

    def accumulate(self, theta: Array, rows: Any, out: Array, alpha: float, beta: float, noise: Noise | None) -> float:
        """out ← β out + α ∂C/∂θ over the given rows, as BLAS's gemm would have it; returns the cost without weight decay.

        With `out` a velocity, that is the step of descent with momentum; with `out` theta itself, α = −η and β = 1 it is
        plain descent in place: the learning rate is a factor of the gradient's matrix products. `noise` is handed over
        where the objective is `noisy`, (a number for the epoch, the batch's number) by sgd and adam.

        For minimisers: theta and out are vectors (P,) in the network's dtype, rows are in range, nothing is checked, and
        numpy's floating-point warnings are the caller's to silence.
        """
        n = len(self) if rows is None else len(rows)
        if out is theta and not (self._work.in_place and n <= self._work.chunk and beta == 1.0):
            # θ must stay what it is until everything has been read off it
            if self._step is None:
                self._step = np.empty_like(theta)
            cost = self.accumulate(theta, rows, self._step, alpha, 0.0, noise)
            out *= beta
            out += self._step
            return cost
        noise = self.noise if noise is None else noise
        total, first = 0.0, True
        with self._work.alone:
            sparse = self._work.prepare_sparsity(theta, rows, noise)
            layers, into = self._work.layers_at(theta), self._work.layers_at(out)
            stack, into_stack = self._work.grouped(layers, noise), self._work.grouped(into, noise)
            for buffers, Y, weights in self._work.passes(stack, rows, noise):
                total += self._learn(stack, buffers, Y, weights)
                if first:
                    if beta != 1.0:
                        scale(beta, out)
                    self.decay.add_gradient(layers, into, alpha)
                    first = False
                add_gradients(into_stack, buffers, alpha / n)
        return total / n + sparse

    def _learn(self, stack: Sequence[Layer], buffers: Buffers, Y: Array, weights: Array | None) -> float:
        """Both passes over a batch: from A⁰ to the errors Δ; returns Σᵢ wᵢCᵢ."""
        forward_pass(stack, buffers)
        Z, A, Delta = buffers.Z[-1], buffers.A[-1], buffers.Delta[-1]
        total = add_up(self.cost.values(Z, A, Y, spare=Delta), weights)
        self.cost.output_error(Z, A, Y, self.net.output, out=Delta, spare=buffers.spare(A))
        if weights is not None:
            Delta *= weights
        backward_pass(stack, buffers)
        return total

    def penalty(self, theta: Array) -> float:
        """The weight decay (λ/2) Σ_ℓ ‖W^ℓ‖² at θ."""
        return self.decay.value(self._work.layers_at(self._check_theta(theta)))

    def constrain(self, theta: Array) -> None:
        """Scale down, in place, each row of a W at θ (P,), in the network's dtype, whose norm is above `max_norm`."""
        if self.max_norm is not None:
            shorten_rows(self._work.layers_at(theta), self.max_norm)

    def evaluate(self, theta: Array) -> Evaluation:
        """The cost (penalty included) and the accuracy at θ over all examples, without a gradient.

        This is the network as it is used: nothing is distorted or dropped.
        """
        own = self._check_theta(theta)
        total, right = 0.0, 0.0
        with np.errstate(all="ignore"), self._work.alone:
            sparse = self._work.prepare_sparsity(own, None, None, learning=False)
            stack = self._work.grouped(self._work.layers_at(own), None, learning=False)
            for buffers, Y, weights in self._work.passes(stack, None, None, learning=False):
                forward_pass(stack, buffers)
                Z, A = buffers.Z[-1], buffers.A[-1]
                right += add_up(which_right(A, Y, self.net.output), weights) if self.classifies else 0.0
                total += add_up(self.cost.values(Z, A, Y, spare=buffers.spare(A)), weights)
        return Evaluation(total / len(self) + sparse + self.penalty(own), right / len(self) if self.classifies else None)

    # Curvature (curvature.py)

    def hessp(self, theta: Array, v: Array, rows: Any = None) -> Array:
        """H v, the exact product of the Hessian of C at θ with v (P,); a new vector (P,) of float64.

        Passes are kept (curvature.py) for more products at θ; and from then on by calls over the same rows. TypeError where
        something of your own has no second derivative; ValueError where noise isn't held, or there is a max-norm.
        """
        return curvature.product(self, self._kept, theta, v, rows, exact=True)

    def gauss_newton(self, theta: Array, v: Array, rows: Any = None) -> Array:
        """G v, the product with the generalised Gauss–Newton matrix, positive semidefinite; all else as in `hessp`."""
        return curvature.product(self, self._kept, theta, v, rows, exact=False)

    def hessian(self, theta: Array, rows: Any = None) -> curvature.Curvature:
        """The Hessian at θ as a `scipy.sparse.linalg.LinearOperator` (P, P), with passes of its own, kept as in `hessp`."""
        return curvature.Curvature(self, theta, rows, exact=True)

    def gauss_newton_matrix(self, theta: Array, rows: Any = None) -> curvature.Curvature:
        """The Gauss–Newton matrix at θ, as `hessian` has the Hessian."""
        return curvature.Curvature(self, theta, rows, exact=False)

    def squared_gradients(self, theta: Array, rows: Any = None) -> Array:
        """(1/n) Σᵢ wᵢ (∂Cᵢ/∂θ)², element by element, without the penalty: a new vector (P,) of float64."""
        return curvature.squared_gradients(self, self._kept, theta, rows)

    # What else the recursion tells

    def input_gradient(self, theta: Array, rows: Any = None) -> Array:
        """∂C/∂X, (n, features): how the mean cost changes with each value of each input, after scaling to 0 … 1.

        The targets are held fixed, an autoencoder's too. Where noise is held (`with_noise`), it is the gradient with respect
        to the distorted input.
        """
        gradient = np.concatenate([buffers.Delta[0].T.copy() for _, buffers in self._backward_passes(theta, rows)])
        gradient /= len(gradient)
        return gradient

    def errors(self, theta: Array, rows: Any = None) -> list[Array]:
        """Δ¹, …, Δ^L, each (n, units): the errors of each example (times its weight), not averaged, by layer."""
        parts = [
            [layer.rows(Delta) for layer, Delta in zip(stack, buffers.Delta[1:], strict=True) if not layer.inserted]
            for stack, buffers in self._backward_passes(theta, rows)
        ]
        return [np.concatenate(of_layer) for of_layer in zip(*parts, strict=True)]

    def layer_norms(self, theta: Array, rows: Any = None) -> dict[str, Array]:
        """How large errors and gradients are by layer, (L,): "delta", the root mean square of ‖δ^ℓ‖ over the examples,
        and "W", ‖∂C/∂W^ℓ‖ (Frobenius), NaN of a layer without weights. `mlp.plots.gradients` draws a list of these."""
        gradient = self(theta, rows)[1]
        errors = self.errors(theta, rows)
        with np.errstate(all="ignore"):  # what overflows shows in the norms
            return {
                "delta": np.array([np.sqrt(np.vdot(Delta, Delta) / len(Delta)) for Delta in errors]),
                "W": np.array([norm_of_decayed(layer) for layer in self.net.astype(np.float64).at(gradient).layers]),
            }

    def _backward_passes(self, theta: Array, rows: Any) -> Iterator[tuple[list[Layer], Buffers]]:
        """The layers at θ and each pass over those rows, after the δ recursion down to the input."""
        chosen = check_rows(rows, len(self))
        own = self._check_theta(theta)
        with np.errstate(all="ignore"), self._work.alone:
            self._work.prepare_sparsity(own, chosen, self.noise)
            stack = self._work.stack(self._work.layers_at(own), self.noise)
            for buffers, Y, weights in self._work.passes(stack, chosen, self.noise, to_input=True):
                self._learn(stack, buffers, Y, weights)
                yield stack, buffers

    def _check_theta(self, theta: Any) -> Array:
        """θ in the network's dtype: the vector itself where it is that already, a copy where it is not."""
        vector = check_parameters("theta", theta, self.net.theta.size)
        with np.errstate(all="ignore"):
            own: Array = np.ascontiguousarray(vector, self.dtype)
        return own

    # What targets mean

    @property
    def classifies(self) -> bool:
        """Whether there is an accuracy: the targets are classes, or the outputs probabilities of some."""
        return self.Y is not None and (holds_labels(self.Y) or self.net.output.name in ("softmax", "logistic"))

    def fingerprint(self) -> str:
        """A digest of all that decides the cost: settings, and a thousand of the examples. States of runs carry it."""
        settings = (
            [(type(layer).__name__, layer.describe()) for layer in self.net.layers],
            (self.cost.name, self.weight_decay, self.sparsity, self.distort, self.dropout, self.max_norm, self.noise),
            (str(self.dtype), self.X.shape, str(self.X.dtype)),
        )
        return digest(settings, (self.X, self.Y, self.weights))
