"""SciPy's minimisers with second derivatives, handed an objective and its `hessp` as they stand, beside those without.

Trust-region Newton by Krylov subspaces (`trust-krylov`; Gould, Lucidi, Roma and Toint 1999), truncated Newton with a line
search (`Newton-CG`; Nash 1984), L-BFGS-B and nonlinear conjugate gradients (`CG`) start from the same weights. Work is counted
in passes: a cost with its gradient is one, a Hessian product is one. A product costs about as much as a gradient.

    python scripts/newton_from_scipy.py                                                       # about a minute
    python scripts/newton_from_scipy.py --examples 300 --units 5 --passes 100                 # a moment
"""

import argparse
import time

import numpy as np
import scipy.optimize
from matplotlib.figure import Figure
from picture import add_out, write

import mlp

COLOURS = {"trust-krylov": "#D55E00", "Newton-CG": "#E69F00", "L-BFGS-B": "#0072B2", "CG": "#009E73"}
#: SciPy's limits, none of which is to end a run before its passes are used up.
OPTIONS = {
    "trust-krylov": {"gtol": 1e-9, "maxiter": 100_000},
    "Newton-CG": {"xtol": 1e-12, "maxiter": 100_000},
    "L-BFGS-B": {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 100_000, "maxfun": 1_000_000},
    "CG": {"gtol": 1e-9, "maxiter": 100_000},
}


class Counted:
    """An objective that counts its passes, notes the least cost after each and ends the run when they are used up."""

    def __init__(self, objective: mlp.Objective, passes: int):
        self.objective, self.limit = objective, passes
        self.passes, self.products, self.started = 0, 0, time.perf_counter()
        self.costs: list[tuple[int, float, float]] = []  # passes, seconds, least cost

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        self._count()
        cost, gradient = self.objective(theta)
        least = min(cost, self.costs[-1][2] if self.costs else np.inf)
        self.costs.append((self.passes, time.perf_counter() - self.started, least))
        return cost, gradient

    def hessp(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """H v."""
        self._count()
        self.products += 1
        return self.objective.hessp(theta, v)

    def _count(self) -> None:
        if self.passes == self.limit:
            raise UsedUp
        self.passes += 1


class UsedUp(Exception):
    """No passes are left."""


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--examples", type=int, default=1000, help="how many images (default: 1,000)")
parser.add_argument("--units", type=int, default=30, help="hidden tanh units (default: 30)")
parser.add_argument("--passes", type=int, default=1000, help="gradients and products for each method (default: 1,000)")
add_out(parser)
arguments = parser.parse_args()

train = mlp.load_mnist(validation=0)[0][: arguments.examples]
net = mlp.MLP([784, arguments.units, 10], hidden="tanh", dtype="float64", seed=0)
objective = mlp.Objective(net, train.X, train.y, weight_decay=1e-3)

figure = Figure(figsize=(10, 4.8), dpi=144, layout="constrained")
panels = figure.subplots(1, 2, sharey=True)
found = {}
for method, options in OPTIONS.items():
    counted = Counted(objective, arguments.passes)
    second = {"hessp": counted.hessp} if method in ("trust-krylov", "Newton-CG") else {}
    try:
        ended = scipy.optimize.minimize(counted, net.theta, jac=True, method=method, options=options, **second).message
    except UsedUp:
        ended = "used all passes"
    found[method] = counted
    _, seconds, cost = counted.costs[-1]
    passes = f"{counted.passes:5,} passes, {counted.products:5,} of them products"
    print(f"{method:13} {cost:.8f} after {passes}, {seconds:5.1f} s: {ended}", flush=True)

least = min(counted.costs[-1][2] for counted in found.values())
for method, counted in found.items():
    passes, seconds, costs = np.array(counted.costs).T
    for ax, spent in zip(panels, (passes, seconds), strict=True):
        ax.semilogy(spent, costs - least + 1e-10, color=COLOURS[method], linewidth=1.4, label=method)
panels[0].set(xlabel="passes: gradients and Hessian products", ylabel="cost, above the least found", title="By work")
panels[1].set(xlabel="seconds", title="By the clock")
panels[0].set_ylim(bottom=1e-5)
panels[0].legend(frameon=False)
for ax in panels:
    ax.spines[["top", "right"]].set_visible(False)
write(figure, arguments.out)
