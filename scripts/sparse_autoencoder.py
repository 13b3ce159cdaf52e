"""A sparse autoencoder finds by itself, without a single label, that digits are made of pen strokes.

The network, 784-196-784, learns to reproduce its input while each hidden unit is kept at a mean activation of ρ:

    C = (1/n) Σᵢ ½‖a(xᵢ) − xᵢ‖² + (λ/2) Σ_ℓ ‖W^ℓ‖² + β Σⱼ KL(ρ ‖ ρ̂ⱼ)

Sources: UFLDL, "Exercise: Vectorization" (10,000 MNIST images, ρ = 0.1, λ = 3e-3, β = 3, 400 iterations of L-BFGS: its
picture shows pen strokes) and, with --patches, "Exercise: Sparse Autoencoder" (10,000 patches of 8 × 8 pixels, 64-25-64,
ρ = 0.01, λ = 1e-4, β = 3: its picture shows edges). UFLDL's images come whitened, as Olshausen and Field (1996) do it,
and so are those here: any picture, or else the photograph that matplotlib brings along.

    python scripts/sparse_autoencoder.py                     # strokes, in a minute
    python scripts/sparse_autoencoder.py --patches           # edges, in seconds
    python scripts/sparse_autoencoder.py --patches my.png
"""

import argparse

import matplotlib.cbook
import matplotlib.image
import numpy as np
import scipy.optimize
from picture import add_out, write

import mlp


def whitened(image: np.ndarray) -> np.ndarray:
    """A picture, grey or in colour, in grey with all spatial frequencies f alike: its spectrum times f e^−(f/0.4)⁴."""
    grey = image[..., :3].mean(axis=2) if image.ndim == 3 else image
    f = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1]))  # cycles a pixel
    return np.fft.ifft2(np.fft.fft2(grey) * f * np.exp(-((f / 0.4) ** 4))).real


def patches_of(image: np.ndarray, count: int, side: int = 8) -> np.ndarray:
    """Patches from anywhere in a picture, (count, side²): less their means, cut off at ±3 standard deviations, 0.1 to 0.9."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (side, side)).reshape(-1, side, side)
    patches = windows[np.random.default_rng(0).choice(len(windows), 3 * count)].reshape(3 * count, -1)
    patches = patches - patches.mean(axis=1, keepdims=True)
    patches = patches[np.argsort(-patches.std(axis=1))[:count]]  # the third with most contrast: there is little in a wall
    return 0.5 + 0.4 * np.clip(patches / (3 * patches.std()), -1, 1)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--patches", nargs="?", const="", metavar="PICTURE", help="learn from patches of a picture (PNG)")
add_out(parser)
parser.add_argument("--iterations", type=int, default=400, help="of L-BFGS (default: 400)")
parser.add_argument("--examples", type=int, default=10_000, help="how many images or patches (default: 10,000)")
arguments = parser.parse_args()

if arguments.patches is None:
    X, hidden = mlp.load_mnist(validation=0)[0].X[: arguments.examples], 196  # (n, 784)
    weight_decay, sparsity = 3e-3, mlp.Sparsity(rho=0.1, beta=3, layer=0)
else:
    picture = arguments.patches or matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    X, hidden = patches_of(whitened(matplotlib.image.imread(picture)), arguments.examples), 25  # (n, 64)
    weight_decay, sparsity = 1e-4, mlp.Sparsity(rho=0.01, beta=3, layer=0)

n, inputs = X.shape
net = mlp.MLP([inputs, hidden, inputs], hidden="logistic", output="logistic", init="lecture_uniform", seed=0)
objective = mlp.Objective(net, X, cost="quadratic", weight_decay=weight_decay, sparsity=sparsity)  # no y: X itself
print(f"{inputs}-{hidden}-{inputs} on {n:,} examples: cost {objective(net.theta)[0]:.4f}")

costs = []


def report(intermediate_result: scipy.optimize.OptimizeResult) -> None:
    """Called by SciPy after each iteration."""
    costs.append(intermediate_result.fun)
    if len(costs) % 50 == 0:
        print(f"iteration {len(costs):4d}: cost {costs[-1]:.4f}", flush=True)


options = {"maxiter": arguments.iterations, "maxfun": 2 * arguments.iterations + 20}
result = scipy.optimize.minimize(objective, net.theta, jac=True, method="L-BFGS-B", callback=report, options=options)
net.theta[...] = result.x

activation = net.forward(X, layer=0).mean(axis=0)  # ρ̂, (hidden,)
print(f"cost {result.fun:.4f}; mean activations {activation.min():.3f} to {activation.max():.3f}, wanted {sparsity.rho}")
write(mlp.plots.features(net, scaling="unit_norm"), arguments.out)
