"""Full-batch descent at the edge of stability: the largest eigenvalue of the Hessian climbs to 2/η and stays there.

On a quadratic whose largest eigenvalue is λ, steps of rate η shrink the distance along its eigenvector by 1 − ηλ: beyond
λ = 2/η they overshoot and diverge. Descent on a network comes there by itself, "progressive sharpening", and doesn't
diverge: λ hovers just above 2/η, the cost goes up and down from step to step and still falls in the long run. (Source: Cohen,
Kaur, Li, Kolter and Talwalkar 2021, "Gradient descent on neural networks typically occurs at the edge of stability"; their
networks are of tanh units too, with a quadratic cost. λ is from SciPy's Lanczos method over exact Hessian products.)

    python scripts/edge_of_stability.py                                       # about a minute
    python scripts/edge_of_stability.py --examples 100 --units 20 --rates 0.25 --steps 1000       # a moment
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from picture import add_out, write
from scipy.sparse.linalg import eigsh

import mlp

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")  # Okabe and Ito's


class Sharpness:
    """λ, the largest eigenvalue of an objective's Hessian, every so many steps of descent."""

    def __init__(self, objective: mlp.Objective, every: int):
        self.objective, self.every = objective, every
        self.steps: list[int] = []
        self.values: list[float] = []
        self._vector = np.ones(objective.net.theta.size)  # the last eigenvector: the next one is much the same

    def __call__(self, intermediate_result) -> None:
        """Called by `mlp.sgd` after each step (each epoch, of a full batch)."""
        if intermediate_result.nit % self.every == 0:
            self.look(intermediate_result.x, intermediate_result.nit)

    def look(self, theta: np.ndarray, step: int) -> None:
        """Write down the largest eigenvalue at θ."""
        value, vector = eigsh(self.objective.hessian(theta), k=1, which="LA", v0=self._vector, tol=1e-3)
        self._vector = vector[:, 0]
        self.steps.append(step)
        self.values.append(float(value[0]))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rates", type=float, nargs="+", default=[0.15, 0.2, 0.25], help="learning rates (default: 0.15 0.2 0.25)")
parser.add_argument("--steps", type=int, default=2500, help="steps of descent for each (default: 2,500)")
parser.add_argument("--every", type=int, default=50, help="how many steps from one eigenvalue to the next (default: 50)")
parser.add_argument("--examples", type=int, default=500, help="how many images (default: 500)")
parser.add_argument("--units", type=int, default=50, help="tanh units in each of two hidden layers (default: 50)")
add_out(parser)
arguments = parser.parse_args()

train = mlp.load_mnist(validation=0)[0][: arguments.examples]
X = train.X / 255
X -= X.mean(axis=0)
targets = np.eye(10)[train.y]

figure = Figure(figsize=(10, 7.5), dpi=144, layout="constrained")
above, below = figure.subplots(2, sharex=True, height_ratios=[3, 2])
print("   η     2/η   λ at first   λ, last third   times η/2      cost")
for rate, colour in zip(arguments.rates, COLOURS, strict=False):
    sizes = [784, arguments.units, arguments.units, 10]
    net = mlp.MLP(sizes, hidden="tanh", output="identity", seed=0)
    objective = mlp.Objective(net, X, targets)  # the identity's natural cost is ½‖a − y‖²
    sharpness = Sharpness(objective, arguments.every)
    sharpness.look(net.theta, 0)
    result = mlp.sgd(objective, net.theta, learning_rate=rate, batch_size=None, epochs=arguments.steps, callback=sharpness)
    late = float(np.median(sharpness.values[-max(1, len(sharpness.values) // 3) :]))
    print(
        f"{rate:5g} {2 / rate:7.1f} {sharpness.values[0]:12.2f} {late:15.2f} {late * rate / 2:11.3f} {result.fun:9.5f}",
        flush=True,
    )
    above.plot(sharpness.steps, sharpness.values, ".-", color=colour, linewidth=1, label=f"$\\eta$ = {rate:g}")
    above.axhline(2 / rate, color=colour, linestyle="--", linewidth=1)
    end = arguments.steps, 2 / rate  # curves hover above the line
    above.annotate(f"2/{rate:g}", end, (0, -11), textcoords="offset points", ha="right", color=colour, fontsize=9)
    below.semilogy(result.history["epoch"], result.history["cost"], color=colour, linewidth=1)
above.set(ylabel="largest eigenvalue of the Hessian, $\\lambda$", title="Full-batch descent sharpens up to 2/η, and no further")
above.set_ylim(bottom=0)
above.legend(frameon=False)
below.set(ylabel="cost", xlabel="step")
for ax in (above, below):
    ax.spines[["top", "right"]].set_visible(False)
write(figure, arguments.out)
