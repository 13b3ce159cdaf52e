"""Softmax regression on MNIST by SciPy's L-BFGS-B: how a script calls mlp's cost/gradient function itself.

`mlp.Objective` is a function of one vector: `cost, gradient = objective(theta)`. That is what
`scipy.optimize.minimize(..., jac=True)` asks for, so any of its gradient methods trains the network; none of mlp's own
minimisers is used here.

    python scripts/lbfgs_from_scipy.py                                   # all 60,000 images: about 92.6 % right
    python scripts/lbfgs_from_scipy.py --examples 1000 --iterations 20   # a moment
"""

import argparse

import numpy as np
import scipy.optimize

import mlp

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--examples", type=int, default=60_000, help="how many training images to use (default: all 60,000)")
parser.add_argument("--iterations", type=int, default=100, help="at most so many steps of L-BFGS (default: 100)")
arguments = parser.parse_args()

train, _, test = mlp.load_mnist(validation=0)
train = train[: arguments.examples]

net = mlp.MLP([784, 10], output="softmax", seed=0)  # no hidden layer: softmax regression
objective = mlp.Objective(net, train.X, train.y, weight_decay=1e-4)

cost, gradient = objective(net.theta)
print(f"{len(train):,} examples, {net.theta.size:,} parameters: cost {cost:.4f}, |gradient| {np.linalg.norm(gradient):.4f}")

costs = []


def report(intermediate_result: scipy.optimize.OptimizeResult) -> None:
    """Called by SciPy after each iteration."""
    costs.append(intermediate_result.fun)
    if len(costs) % 10 == 0:
        print(f"iteration {len(costs):4d}: cost {costs[-1]:.4f}")


result = scipy.optimize.minimize(
    objective, net.theta, jac=True, method="L-BFGS-B", callback=report, options={"maxiter": arguments.iterations}
)
net.theta[...] = result.x  # the layers' W and b are windows onto theta

print(f"{result.message} after {result.nit} iterations, {result.nfev} evaluations: cost {result.fun:.4f}")
print(f"test accuracy: {np.mean(net.predict(test.X) == test.y):.2%}")
