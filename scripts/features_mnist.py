"""What 256 hidden units of a digit classifier look for: one picture each, of strokes, edges and arcs.

A network 784-256-10 of ReLU units learns to tell digits apart. Row j of its first layer's W has one weight for each pixel:
white where ink excites unit j, black where it silences it, grey where it doesn't matter. That these are pictures of
something, and not noise, takes three things:

- weights that start small and decay, so that only what the data ask for is left of them;
- many images, so that no pixel matters for a single one's sake: each comes five times, as it is and shifted by 2 pixels
  in four directions, which makes for fewer mistakes as well;
- a learning rate small enough for few units to fall silent for good (those are the grey tiles at the end).

Source: the lecture on backpropagation, "features of the first layer" (256 units).

    python scripts/features_mnist.py                                # 15 seconds, 98.4 % right
    python scripts/features_mnist.py --examples 2000 --epochs 2     # a moment
"""

import argparse

import numpy as np
from picture import add_out, write

import mlp

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
add_out(parser)
parser.add_argument("--epochs", type=int, default=6, help="passes over the images and their shifts (default: 6)")
parser.add_argument("--examples", type=int, default=60_000, help="how many training images to use (default: all 60,000)")
arguments = parser.parse_args()


def with_shifts(examples: mlp.Examples, pixels: int) -> mlp.Examples:
    """Each image five times: as it is, and shifted right, left, down and up."""
    padded = np.pad(examples.X.reshape(-1, 28, 28), ((0, 0), (pixels, pixels), (pixels, pixels)))
    corners = [(1, 1), (1, 0), (1, 2), (0, 1), (2, 1)]  # of a 28 × 28 window onto it, in units of the shift
    shifted = [padded[:, y * pixels : y * pixels + 28, x * pixels : x * pixels + 28] for y, x in corners]
    return mlp.Examples(np.concatenate(shifted).reshape(-1, 784), np.tile(examples.y, len(corners)))


def report(intermediate_result) -> None:
    """Called after each epoch."""
    print(f"epoch {intermediate_result.nit}: cost {intermediate_result.fun:.4f}", flush=True)


train, _, test = mlp.load_mnist(validation=0)
train = with_shifts(train[: arguments.examples], pixels=2)

net = mlp.MLP([784, 256, 10], hidden="relu", output="softmax", init="small_normal:0.01", seed=0)
objective = mlp.Objective(net, train.X, train.y, weight_decay=1e-3)
descent = {"learning_rate": 0.1, "schedule": "cosine", "momentum": 0.9, "epochs": arguments.epochs}
mlp.sgd(objective, net.theta, **descent, callback=report)  # in place: net is trained now

print(f"test accuracy: {np.mean(net.predict(test.X) == test.y):.2%}")
write(mlp.plots.features(net, sort_by_norm=True), arguments.out)
