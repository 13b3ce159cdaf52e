"""Update rules: how a mini-batch gradient changes θ. Each is a class that names its settings, and the vectors it keeps from
step to step; a function such as `sgd` (descent.py) runs it, and states are saved and resumed without a further word.

η is the learning rate, and ∂C the gradient of the mini-batch's cost, penalty included. An objective's `accumulate(theta,
rows, out, alpha, beta, noise)` adds α ∂C to β out, which may be θ itself: the rate is then a factor of the gradient's
matrix products, and no gradient is stored.
"""

import math
from typing import Any

import numpy as np

from mlp.blas import Array, axpy, scale
from mlp.checks import check_number
from mlp.optimizers.problem import Problem


class Descent:
    """θ ← θ − η ∂C: the step is added up into θ itself."""

    #: Attributes that a step depends on besides θ, vectors as long as θ: a `State` keeps them.
    kept: tuple[str, ...] = ()
    #: Attributes that are numbers given by the caller, under the same names: a run goes on from a `State` of the same only.
    settings: tuple[str, ...] = ()

    def __init__(self, problem: Problem, theta: Array):
        self.problem = problem
        #: How many steps have been taken.
        self.steps = 0

    def vectors(self) -> dict[str, Array]:
        """What is kept, by name."""
        return {name: getattr(self, name) for name in self.kept}

    def step(self, theta: Array, rows: Any, rate: float, noise: Any) -> float:
        """Take one step on θ, in place; returns the mini-batch's cost before it, without the penalty."""
        return self.problem.accumulate(theta, rows, theta, -rate, 1.0, noise)


class Momentum(Descent):
    """v ← μv − η ∂C, θ ← θ + v (Polyak 1964)."""

    kept = ("velocity",)
    settings = ("momentum",)

    def __init__(self, problem: Problem, theta: Array, momentum: float):
        super().__init__(problem, theta)
        self.momentum = check_number("momentum", momentum, at_least=0, below=1)
        self.velocity = np.zeros_like(theta)

    def step(self, theta: Array, rows: Any, rate: float, noise: Any) -> float:
        cost = self.problem.accumulate(theta, rows, self.velocity, -rate, self.momentum, noise)
        axpy(1.0, self.velocity, theta)
        return cost


class Nesterov(Momentum):
    """v ← μv − η ∂C, θ ← θ + μv − η ∂C: θ stands where the gradient is taken (Sutskever et al. 2013; Bengio's form)."""

    def __init__(self, problem: Problem, theta: Array, momentum: float):
        super().__init__(problem, theta, momentum)
        self.descent = np.empty_like(theta)

    def step(self, theta: Array, rows: Any, rate: float, noise: Any) -> float:
        cost = self.problem.accumulate(theta, rows, self.descent, -rate, 0.0, noise)
        self.velocity *= self.momentum
        self.velocity += self.descent
        theta += self.descent
        axpy(self.momentum, self.velocity, theta)
        return cost


class Adam(Descent):
    """m ← β₁m + (1 − β₁) ∂C, v ← β₂v + (1 − β₂) ∂C², θ ← θ − η m̂/(√v̂ + ε), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    (Kingma and Ba 2015, algorithm 1; weight decay is part of the cost, hence of ∂C.) Kept are m/(1 − β₁) and
    v/(1 − β₂), which saves two products. BLAS does what is linear, on all cores; the rest goes block by block, so that a
    block stays in cache.
    """

    kept = ("m", "v")
    settings = ("beta1", "beta2", "epsilon")
    BLOCK = 32768

    def __init__(self, problem: Problem, theta: Array, beta1: float, beta2: float, epsilon: float):
        super().__init__(problem, theta)
        self.beta1 = check_number("beta1", beta1, at_least=0, below=1)
        self.beta2 = check_number("beta2", beta2, at_least=0, below=1)
        self.epsilon = check_number("epsilon", epsilon, above=0)
        self.m, self.v, self.gradient = np.zeros_like(theta), np.zeros_like(theta), np.empty_like(theta)
        self.blocks = [
            tuple(vector[start : start + self.BLOCK] for vector in (self.gradient, self.m, self.v))
            for start in range(0, theta.size, self.BLOCK)
        ]

    def step(self, theta: Array, rows: Any, rate: float, noise: Any) -> float:
        cost = self.problem.accumulate(theta, rows, self.gradient, 1.0, 0.0, noise)
        t = self.steps + 1
        # θ − η m̂/(√v̂ + ε) with numerator and denominator divided by √((1 − β₂)/(1 − β₂ᵗ)), in terms of what is kept
        root = math.sqrt((1 - self.beta2) / (1 - self.beta2**t))
        factor = -rate * (1 - self.beta1) / (1 - self.beta1**t) / root
        epsilon = self.epsilon / root
        scale(self.beta1, self.m)
        axpy(1.0, self.gradient, self.m)
        scale(self.beta2, self.v)
        for g, m, v in self.blocks:
            v += np.square(g, out=g)
            np.sqrt(v, out=g)
            g += epsilon
            np.divide(m, g, out=g)
        axpy(factor, self.gradient, theta)
        return cost
