"""A small LeNet reads digits: what its filters look for, what its maps are of a digit, and where its units look.

Two convolutions of 5 × 5, each followed by 2 × 2 max pooling, and a fully connected layer on top (LeCun et al. 1998, with ReLU
and max pooling in place of tanh and trained means). It has a tenth of the parameters of the 784-256-10 network of
features_mnist.py, and makes fewer mistakes.

    python scripts/lenet.py                                    # three epochs: 25 s, 99.06 % right
    python scripts/lenet.py --examples 2000 --epochs 1         # a moment
    python scripts/lenet.py --layers conv:20:5,pool:2,conv:50:5,pool:2,500
"""

import argparse
import time

import numpy as np
from picture import add_out, write

import mlp
from mlp.layers import parse

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
add_out(parser)
parser.add_argument("--layers", default="conv:8:5,pool:2,conv:16:5,pool:2,64", help="the hidden layers (default: %(default)s)")
parser.add_argument("--epochs", type=int, default=3, help="passes over the images (default: 3)")
parser.add_argument("--examples", type=int, default=60_000, help="how many training images to use (default: all 60,000)")
arguments = parser.parse_args()


def report(intermediate_result) -> None:
    """Called after each epoch."""
    print(
        f"epoch {intermediate_result.nit}: cost {intermediate_result.fun:.4f}, {time.perf_counter() - start:.1f} s", flush=True
    )


train, _, test = mlp.load_mnist(validation=0)
train = train[: arguments.examples]

net = mlp.MLP([(28, 28), *parse(arguments.layers), 10], hidden="relu", seed=0)
print(net.summary())
start = time.perf_counter()
descent = {"learning_rate": 0.05, "schedule": "cosine", "momentum": 0.9, "batch_size": 64, "epochs": arguments.epochs}
mlp.sgd(mlp.Objective(net, train.X, train.y, weight_decay=1e-4), net.theta, **descent, callback=report)
print(f"test accuracy: {np.mean(net.predict(test.X) == test.y):.2%}")

convolutions = [number for number, layer in enumerate(net.layers) if layer.size and len(layer.out_shape) == 3]
for number in convolutions:
    name = f"{arguments.out.stem}-%s-{number + 1}{arguments.out.suffix}"
    write(mlp.plots.features(net, number), arguments.out.with_name(name % "filters"))
    write(mlp.plots.activations(net, test.X, test.y, layer=number), arguments.out.with_name(name % "maps"))
    write(mlp.plots.receptive_field(net, test.X[:200], number), arguments.out.with_name(name % "sees"))
write(mlp.plots.mistakes(net, test.X, test.y), arguments.out)
