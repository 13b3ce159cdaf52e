"""A deep network, 784-200-200-10, trained layer by layer without labels, then fine-tuned with them.

Each hidden layer is first the hidden layer of a sparse autoencoder, which learns to reproduce what comes from below; the
output layer is softmax regression on what comes out on top. Together they are a classifier, from which ordinary training
by backpropagation goes on: that is the fine-tuning. The picture shows the same units before and after it: strokes from
which digits can be drawn, and what tells digits apart.

Source: UFLDL, "Exercise: Implement deep networks for digit classification" (ρ = 0.1, λ = 3e-3, β = 3, 400 iterations),
which has 87.7 % right before fine-tuning and 97.6 % after. This has 92.1 % and 98.4 %; its fine-tuning decays the weights
of all layers by λ = 1e-4, where UFLDL's decays those of the output only.

    python scripts/stacked_autoencoders.py                                   # 12 to 16 minutes on one core
    python scripts/stacked_autoencoders.py --examples 2000 --iterations 50   # a few seconds
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from picture import add_out, write

import mlp

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
add_out(parser)
parser.add_argument("--iterations", type=int, default=400, help="of L-BFGS, each time (default: 400)")
parser.add_argument("--examples", type=int, default=60_000, help="how many training images to use (default: all 60,000)")
arguments = parser.parse_args()


def minimise(objective: mlp.Objective) -> None:
    """L-BFGS on the objective's own network, with a line printed every 50 iterations."""

    def report(intermediate_result) -> None:
        if intermediate_result.nit % 50 == 0:
            print(f"  iteration {intermediate_result.nit:3d}: cost {intermediate_result.fun:.4f}", flush=True)

    mlp.lbfgs(objective, objective.net.theta, maxiter=arguments.iterations, callback=report)


def hidden_layer_of_autoencoder(X, units: int) -> tuple[mlp.Dense, np.ndarray]:
    """A layer that has learned to describe X, and its outputs for X."""
    n, inputs = X.shape
    print(f"Autoencoder {inputs}-{units}-{inputs} on {n:,} examples:")
    net = mlp.MLP([inputs, units, inputs], hidden="logistic", output="logistic", init="lecture_uniform", seed=0)
    minimise(mlp.Objective(net, X, cost="quadratic", weight_decay=3e-3, sparsity=mlp.Sparsity(rho=0.1, beta=3)))
    return net.layers[0], net.forward(X, layer=0)


train, _, test = mlp.load_mnist(validation=0)
train = train[: arguments.examples]

first, outputs = hidden_layer_of_autoencoder(train.X, 200)
second, outputs = hidden_layer_of_autoencoder(outputs, 200)

print("Softmax regression on the second layer's outputs:")
softmax = mlp.MLP([200, 10], output="softmax", init="lecture_uniform", seed=0)
minimise(mlp.Objective(softmax, outputs, train.y, weight_decay=1e-4))

net = mlp.MLP([784, 200, 200, 10], hidden="logistic", output="softmax")
for layer, learned in zip(net.layers, [first, second, softmax.layers[0]], strict=True):
    layer.W[...], layer.b[...] = learned.W, learned.b
before = np.mean(net.predict(test.X) == test.y)
strokes = net.layers[0].W.copy()  # (200, 784)

print("Fine-tuning of all layers:")
minimise(mlp.Objective(net, train.X, train.y, weight_decay=1e-4))
after = np.mean(net.predict(test.X) == test.y)

print(f"Test accuracy: {before:.2%} before fine-tuning, {after:.2%} after")

figure = Figure(figsize=(14, 7), dpi=144, layout="constrained")
for ax, W, when in zip(figure.subplots(1, 2), [strokes, net.layers[0].W], ["before", "after"], strict=True):
    mlp.plots.features(W, ax=ax)
    ax.set_title(f"200 first-layer features {when} fine-tuning")
write(figure, arguments.out)
