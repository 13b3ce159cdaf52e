"""The eigenvalues of a digit classifier's Hessian, at the start and trained: a bulk near 0, and as many outliers as classes.

The largest eigenvalues are SciPy's (`eigsh`, Lanczos), over exact Hessian products. The whole density is stochastic Lanczos
quadrature: of a random unit vector v, k steps of Lanczos make a tridiagonal T (k, k), whose eigenvalues θᵢ, with the squares
of their eigenvectors' first components as weights, are Gauss's quadrature of the density as v sees it; the mean over a few v
is the density, here as a smoothed histogram (Golub and Welsch 1969; Ghorbani, Krishnan and Xiao 2019).

What to look for: about as many large eigenvalues as there are classes, apart from the rest, after training (Sagun, Bottou and
LeCun 2016, "Eigenvalues of the Hessian in deep learning"; one fewer is to be expected, as softmax probabilities sum to 1);
and that much of the gradient lies in their space, though that is a handful of dimensions out of thousands (Gur-Ari, Roberts
and Dyer 2018, "Gradient descent happens in a tiny subspace"; they find nearly all of it, with larger networks and data).

    python scripts/hessian_spectrum.py                                                       # about a minute
    python scripts/hessian_spectrum.py --examples 200 --units 10 --epochs 5 --steps 30       # a moment
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from picture import add_out, write
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, eigsh

import mlp

CLASSES, BATCH = 10, 50


def lanczos(matrix: LinearOperator, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The nodes and weights, (steps,) each, of the density's Gauss quadrature as one random vector sees it."""
    size = matrix.shape[0]
    Q = np.zeros((steps, size))  # orthonormal, reorthogonalised in full: rounding would make eigenvalues appear twice
    alpha, beta = np.zeros(steps), np.zeros(steps)
    q = rng.standard_normal(size)
    for k in range(steps):
        Q[k] = q / np.linalg.norm(q)
        q = matrix @ Q[k]
        alpha[k] = q @ Q[k]
        for _ in range(2):
            q -= Q[: k + 1].T @ (Q[: k + 1] @ q)
        beta[k] = np.linalg.norm(q)
    nodes, vectors = eigh_tridiagonal(alpha, beta[:-1])
    return nodes, vectors[0] ** 2


def density(matrix: LinearOperator, steps: int, vectors: int, grid: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, float]:
    """The density at the grid's points, as Gaussians of those widths at the quadrature's nodes; and the mean eigenvalue."""
    rng = np.random.default_rng(0)
    found, mean = np.zeros_like(grid), 0.0
    for _ in range(vectors):
        nodes, weights = lanczos(matrix, steps, rng)
        near = (grid[:, None] - nodes) / width[:, None]
        found += (np.exp(-(near**2) / 2) / width[:, None] / np.sqrt(2 * np.pi)) @ weights / vectors
        mean += float(weights @ nodes) / vectors
    return found, mean


def shares(vectors: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """How much of ‖gradient‖² lies in the space of the first k of orthonormal vectors (P, K), for each k: (K,)."""
    of_each: np.ndarray = (vectors.T @ gradient) ** 2 / (gradient @ gradient)
    return np.cumsum(of_each)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--examples", type=int, default=1000, help="how many images (default: 1,000)")
parser.add_argument("--units", type=int, default=30, help="hidden tanh units (default: 30)")
parser.add_argument("--epochs", type=int, default=10, help="of gradient descent between the two (default: 10)")
parser.add_argument("--steps", type=int, default=80, help="of Lanczos for each random vector (default: 80)")
parser.add_argument("--vectors", type=int, default=4, help="random vectors that the density is a mean over (default: 4)")
add_out(parser)
arguments = parser.parse_args()

train = mlp.load_mnist(validation=0)[0][: arguments.examples]
net = mlp.MLP([784, arguments.units, CLASSES], hidden="tanh", dtype="float64", seed=0)
objective = mlp.Objective(net, train.X, train.y)

figure = Figure(figsize=(10, 8), dpi=144, layout="constrained")
panels = figure.subplots(2, 2, width_ratios=[1, 2])
for row, stage in zip(panels, ("At the start", "Trained"), strict=True):
    if stage == "Trained":
        mlp.sgd(objective, net.theta, learning_rate=0.1, batch_size=BATCH, epochs=arguments.epochs, seed=0)
    cost, gradient = objective(net.theta)
    hessian = objective.hessian(net.theta)
    values, vectors = eigsh(hessian, k=3 * CLASSES, which="LA", v0=gradient)
    values, vectors = values[::-1], vectors[:, ::-1]  # the largest first
    lowest = float(eigsh(hessian, k=1, which="SA", v0=gradient, return_eigenvectors=False, tol=1e-3)[0])
    batches = np.arange(len(train) - len(train) % BATCH).reshape(-1, BATCH)
    of_batches = np.mean([shares(vectors, objective(net.theta, rows)[1]) for rows in batches], axis=0)
    gaps = values[:-1] / values[1:]
    outliers = int(np.argmax(gaps[: 2 * CLASSES])) + 1
    grid = np.linspace(lowest * 1.1 - 0.02 * values[0], 1.1 * values[0], 2000)
    found, mean = density(hessian, arguments.steps, arguments.vectors, grid, np.full_like(grid, 0.004 * values[0]))
    print(f"{stage}: cost {cost:.4f}, {np.mean(net.predict(train.X) == train.y):.1%} right, {net.theta.size:,} eigenvalues")
    print(f"  largest:          {' '.join(f'{value:.3f}' for value in values[: CLASSES + 2])}")
    print(f"  smallest:         {lowest:.4f}")
    print(f"  mean:             {mean:.6f}")
    print(f"  widest gap after: {outliers} (a factor of {gaps[outliers - 1]:.2f})")
    for name, inside in (("gradient", shares(vectors, gradient)), (f"batches of {BATCH}", of_batches)):
        of_first = ", ".join(f"{inside[k - 1]:.1%} in the space of the first {k}" for k in (1, CLASSES - 1, CLASSES))
        print(f"  {name + ':':17} {of_first}", flush=True)
    largest, whole = row
    largest.semilogy(np.arange(1, len(values) + 1), values, "o", color="#0072B2", markersize=4)
    largest.axvline(CLASSES + 0.5, color="#999999", linewidth=0.8, linestyle=":")
    largest.set(title=f"{stage}: the {len(values)} largest", xlabel="number", ylabel="eigenvalue")
    whole.semilogy(grid, np.maximum(found, 1e-9), color="#0072B2", linewidth=1)
    whole.plot(values[:CLASSES], np.full(CLASSES, 2e-6), "|", color="#D55E00", markersize=10, label=f"the {CLASSES} largest")
    whole.set(title=f"{stage}: all {net.theta.size:,}", xlabel="eigenvalue", ylabel="density", ylim=(1e-6, None))
    whole.legend(frameon=False)
for ax in panels.flat:
    ax.spines[["top", "right"]].set_visible(False)
write(figure, arguments.out)
