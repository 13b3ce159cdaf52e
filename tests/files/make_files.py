"""Writes the model and state files beside it, which later versions of mlp must go on reading. They were written by mlp 0.1.0.

Nothing here depends on random numbers but the order of the mini-batches: examples and parameters come from sines.
"""

from pathlib import Path

import numpy as np

import mlp

DIRECTORY = Path(__file__).parent

#: What each model's constructor is given, and its notes.
MODELS = {
    "model-float32": ({"layers": [4, 3, 2]}, None),
    "model-float64": (
        {"layers": [2, 3, 1], "hidden": "tanh", "output": "identity", "dtype": "float64"},
        {"epoch": 3, "δ": [0.5, None]},
    ),
    "model-activations": (
        {"layers": [3, 2, 3, 2, 3, 2], "hidden": ["identity", "softplus", "threshold", "logistic"], "output": "softmax"},
        "five layers",
    ),
    "model-one-layer": ({"layers": [5, 1], "output": "logistic", "dtype": "float64"}, [1, 2.5]),
}

#: Each state's minimiser, its settings, the steps (iterations, of lbfgs) after which it was stopped, and the dtype.
#: 23 examples in batches of 5 are 5 steps an epoch, so that 7, 13 and 23 are within one.
SETTINGS = {"batch_size": 5, "epochs": 6, "seed": 3}
STATES = {
    "state-sgd": ("sgd", {}, 7, "float64"),
    "state-momentum": ("sgd", {"momentum": 0.9, "schedule": "cosine"}, 13, "float32"),
    "state-nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}, 13, "float64"),
    "state-average": ("sgd", {"average": 3}, 23, "float64"),
    "state-patience": ("sgd", {"learning_rate": 0.5, "patience": 4, "epochs": 20}, 13, "float64"),
    "state-adam": ("adam", {"learning_rate": 0.01}, 13, "float64"),
    "state-lbfgs": ("lbfgs", {"gtol": 1e-7, "ftol": 0}, 4, "float64"),
}


def sines(*shape, start=0):
    """Numbers from −1 to 1 that look random."""
    return np.sin((1 + start + np.arange(np.prod(shape))) * 12.9898).reshape(shape)


def model(name):
    """The network of that name, and its notes."""
    settings, notes = MODELS[name]
    settings = dict(settings)
    net = mlp.MLP(settings.pop("layers"), **settings, seed=0)
    net.theta[...] = sines(net.theta.size)
    return net, notes


def minimise(name, **more):
    """Run the state's minimiser, with its settings and some more: the result, and the parameters at the end."""
    minimiser, settings, _, dtype = STATES[name]
    lbfgs = minimiser == "lbfgs"  # which can't be resumed to the bit: one minimum, to which all ways lead
    net = mlp.MLP([4, 1] if lbfgs else [4, 6, 3], hidden="tanh", output="logistic" if lbfgs else "softmax", dtype=dtype, seed=0)
    net.theta[...] = 0.5 * sines(net.theta.size)
    X = sines(23, 4, start=100)
    objective = mlp.Objective(net, X, np.arange(23) % (2 if lbfgs else 3), weight_decay=0.01)
    settings = settings if lbfgs else {**SETTINGS, **settings}
    if "patience" in settings:
        settings = {**settings, "validation": objective}
    return getattr(mlp, minimiser)(objective, net.theta, **settings, **more), net.theta


def stopped(name):
    """The state of that name."""
    states = []

    def each_step(snapshot):
        states.append(snapshot())
        if len(states) == STATES[name][2]:
            raise StopIteration

    minimise(name, each_step=each_step)
    return states[-1]


if __name__ == "__main__":
    for name in MODELS:
        mlp.save(DIRECTORY / f"{name}.npz", *model(name))
    for name in STATES:
        mlp.save_state(DIRECTORY / f"{name}.npz", stopped(name))
