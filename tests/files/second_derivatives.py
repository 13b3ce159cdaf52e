"""Products with the Hessian and the Gauss–Newton matrix of small networks, by PyTorch's double backward.

Nothing here knows of mlp. `python tests/files/second_derivatives.py` writes second_derivatives.json, which
tests/test_curvature.py compares with where PyTorch isn't installed; where it is, that test calls `torch_products`.
"""

import itertools
import json
from pathlib import Path

import numpy as np

SIZES = [3, 4, 3, 2]
EXAMPLES = 5
HIDDEN = ["identity", "relu", "softplus", "threshold", "logistic", "tanh"]
OUTPUTS = [
    ("identity", "quadratic"),
    ("relu", "quadratic"),
    ("softplus", "quadratic"),
    ("logistic", "quadratic"),
    ("tanh", "quadratic"),
    ("softmax", "quadratic"),
    ("logistic", "logistic_cross_entropy"),
    ("softmax", "softmax_cross_entropy"),
]
#: Activations and costs beside the lecture's, each tried in one network.
FURTHER_HIDDEN = ["leaky_relu:0.3", "elu:0.5", "elu:1.5", "gelu", "silu", "exponential"]
FURTHER_OUTPUTS = [
    ("identity", "huber:0.4"),
    ("tanh", "huber:0.4"),
    ("tanh", "absolute"),
    ("exponential", "poisson"),
    ("exponential", "quadratic"),
    ("silu", "quadratic"),
]
FURTHER = [(hidden, *OUTPUTS[-1]) for hidden in FURTHER_HIDDEN] + [("gelu", *output) for output in FURTHER_OUTPUTS]
#: hidden, output, cost of all that is committed: each hidden activation once, and each output.
COMMITTED = [(hidden, *OUTPUTS[-1]) for hidden in HIDDEN] + [("tanh", *output) for output in OUTPUTS[:-1]] + FURTHER


def numbers():
    """X (5, 3), targets Y (5, 2) that are probabilities, θ and v (39,), labels (5,)."""
    size = sum(o * i + o for i, o in itertools.pairwise(SIZES))
    X = np.sin(2.0 * np.arange(EXAMPLES * SIZES[0])).reshape(EXAMPLES, -1)
    first = 0.5 + 0.4 * np.sin(np.arange(EXAMPLES))
    theta, v = 0.9 * np.sin(1.0 + np.arange(size) ** 2), np.cos(3.0 * np.arange(size))
    return X, np.stack([first, 1 - first], axis=1), theta, v, np.arange(EXAMPLES) % 2


def torch_products(hidden, output, cost):
    """H v and G v, each (39,); G as JᵀBJ, B the Hessian of the cost of Z^L (cross-entropies, poisson) or of A^L (others)."""
    import torch

    X, Y, theta, v, _ = (torch.tensor(array) for array in numbers())
    σ = {
        "identity": lambda z: z,
        "relu": torch.relu,
        "softplus": torch.nn.functional.softplus,
        "threshold": lambda z: (z > 0).to(z.dtype) + 0 * z,
        "logistic": torch.sigmoid,
        "tanh": torch.tanh,
        "softmax": lambda z: torch.softmax(z, dim=1),
        "leaky_relu:0.3": lambda z: torch.nn.functional.leaky_relu(z, 0.3),
        "elu:0.5": lambda z: torch.nn.functional.elu(z, 0.5),
        "elu:1.5": lambda z: torch.nn.functional.elu(z, 1.5),
        "gelu": torch.nn.functional.gelu,
        "silu": torch.nn.functional.silu,
        "exponential": torch.exp,
    }
    takes_z = cost.endswith("cross_entropy") or cost == "poisson"

    def weighted(parameters):
        A, start = X, 0
        for number, (n_in, n_out) in enumerate(itertools.pairwise(SIZES)):
            W = parameters[start : start + n_in * n_out].reshape(n_out, n_in)
            start += n_in * n_out
            Z = A @ W.T + parameters[start : start + n_out]
            start += n_out
            A = σ[hidden](Z) if number < len(SIZES) - 2 else Z
        return A

    def cost_of_z(Z):
        if cost == "softmax_cross_entropy":
            return -(Y * torch.log_softmax(Z, dim=1)).sum() / EXAMPLES
        if cost == "poisson":
            return torch.nn.functional.poisson_nll_loss(Z, Y, reduction="sum") / EXAMPLES
        return torch.nn.functional.binary_cross_entropy_with_logits(Z, Y, reduction="sum") / EXAMPLES

    def cost_of_a(A):
        if cost == "absolute":
            return (A - Y).abs().sum() / EXAMPLES
        if cost == "huber:0.4":
            return torch.nn.functional.huber_loss(A, Y, delta=0.4, reduction="sum") / EXAMPLES
        return 0.5 * ((A - Y) ** 2).sum() / EXAMPLES

    def outputs(parameters):
        Z = weighted(parameters)
        return Z if takes_z else σ[output](Z)

    cost_of = cost_of_z if takes_z else cost_of_a
    _, Hv = torch.autograd.functional.hvp(lambda parameters: cost_of(outputs(parameters)), theta, v)
    at, Jv = torch.func.jvp(outputs, (theta,), (v,))
    _, BJv = torch.autograd.functional.hvp(cost_of, at, Jv)
    _, pull = torch.func.vjp(outputs, theta)
    return Hv.numpy(), pull(BJv)[0].numpy()


if __name__ == "__main__":
    products = {", ".join(case): [part.tolist() for part in torch_products(*case)] for case in COMMITTED}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(parts)}" for name, parts in products.items())
    Path(__file__).with_suffix(".json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")
