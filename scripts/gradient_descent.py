"""Four ways down the same cost: stochastic, mini-batch and full-batch descent, and L-BFGS, by epochs and by seconds.

The problem is softmax regression on handwritten digits with weight decay: its cost is convex, and all four are on the way
to the same minimum. Stochastic descent (one example a step) gets furthest in its first passes over the data, but a pass of
small steps takes long, and at a constant learning rate it ends up circling the minimum; mini-batches circle closer and are
quicker; full-batch descent is steady and slow; L-BFGS learns the curvature from the full batches and leaves it behind.

The costs are true ones, over all examples: a callback evaluates them after each epoch and stops the clock meanwhile.
(`result.history` would have the means over an epoch's mini-batches, met while the parameters moved on.) An epoch is a pass
over the data: for L-BFGS, an evaluation of cost and gradient. (Source: the lecture on optimisation; Nielsen, ch. 1.)

    python scripts/gradient_descent.py                                # about 25 seconds
    python scripts/gradient_descent.py --examples 500 --epochs 20     # a moment
"""

import argparse
import time

import numpy as np
from matplotlib.figure import Figure
from picture import add_out, write
from scipy.optimize import OptimizeResult

import mlp

COLOURS = ("#D55E00", "#0072B2", "#000000", "#009E73")  # four of Okabe and Ito's


class Watch:
    """A callback that notes passes over the data, seconds of training and the true cost, its own time left out."""

    def __init__(self, objective: mlp.Objective, theta: np.ndarray):
        self.objective = objective
        self.passes, self.seconds, self.costs = [0], [0.0], [objective.evaluate(theta).cost]
        self.resumed = time.perf_counter()

    def __call__(self, intermediate_result: OptimizeResult) -> None:
        self.seconds.append(self.seconds[-1] + time.perf_counter() - self.resumed)
        self.passes.append(intermediate_result.history[-1].get("evaluations", intermediate_result.nit))
        self.costs.append(self.objective.evaluate(intermediate_result.x).cost)
        self.resumed = time.perf_counter()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--examples", type=int, default=5000, help="how many images to learn from (default: 5,000)")
parser.add_argument("--epochs", type=int, default=100, help="how many epochs or iterations each (default: 100)")
add_out(parser)
arguments = parser.parse_args()

train = mlp.load_mnist(validation=0)[0][: arguments.examples]
net = mlp.MLP([784, 10], output="softmax", dtype="float64", seed=0)
objective = mlp.Objective(net, train.X, train.y, weight_decay=1e-3)
minimum = mlp.lbfgs(objective, net.theta.copy(), maxiter=2000, gtol=1e-8, ftol=0).fun

descent = {"seed": 0, "epochs": arguments.epochs}
methods = {
    "stochastic: 1 example, η = 0.01": (mlp.sgd, {"batch_size": 1, "learning_rate": 0.01, **descent}),
    "mini-batch: 100 examples, η = 0.3": (mlp.sgd, {"batch_size": 100, "learning_rate": 0.3, **descent}),
    f"full batch: {len(train):,} examples, η = 1": (mlp.sgd, {"batch_size": None, "learning_rate": 1.0, **descent}),
    "L-BFGS": (mlp.lbfgs, {"maxiter": arguments.epochs, "gtol": 0, "ftol": 0}),
}
figure = Figure(figsize=(11, 5), dpi=144, layout="constrained")
by_epochs, by_seconds = figure.subplots(1, 2, sharey=True)
print(f"minimum of the cost: {minimum:.6f}\n{'':36}{'passes':>7}{'seconds':>9}{'cost':>10}{'above minimum':>15}")
for (name, (minimise, options)), colour, style in zip(methods.items(), COLOURS, ("-", "--", "-.", "-"), strict=True):
    theta = net.theta.copy()  # all start from the same weights
    watch = Watch(objective, theta)
    minimise(objective, theta, callback=watch, **options)
    excess = np.array(watch.costs) - minimum
    print(f"{name:36}{watch.passes[-1]:7}{watch.seconds[-1]:9.2f}{watch.costs[-1]:10.4f}{excess[-1]:15.1e}")
    by_epochs.semilogy(watch.passes, excess, color=colour, linestyle=style, linewidth=2.2, label=name)
    by_seconds.loglog(watch.seconds[1:], excess[1:], color=colour, linestyle=style, linewidth=2.2)
by_epochs.set(xlabel="epochs (passes over the data)", ylabel="cost above its minimum", title="By epochs", ylim=(1e-5, 5))
by_seconds.set(xlabel="seconds of training", title="By seconds")
for ax in (by_epochs, by_seconds):
    ax.grid(color="0.9")
    ax.spines[["top", "right"]].set_visible(False)
figure.legend(loc="outside lower center", ncols=2, frameon=False)
write(figure, arguments.out)
