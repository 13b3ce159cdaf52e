"""What is minimised in these tests, and by what: the update rules, a small network, and functions that do as they are told."""

from functools import partial

import numpy as np
import scipy.optimize

import mlp

MINIMISERS = [mlp.sgd, mlp.adam, mlp.lbfgs]
RULES = {
    "plain": partial(mlp.sgd, learning_rate=0.3),
    "momentum": partial(mlp.sgd, learning_rate=0.1, momentum=0.9),
    "nesterov": partial(mlp.sgd, learning_rate=0.1, momentum=0.9, nesterov=True),
    "adam": partial(mlp.adam, learning_rate=0.03),
}
#: The 23 examples of `problem` in batches of 4 are 6 steps an epoch, the last of 3 examples.
STEPS, EPOCHS = 6, 4
SETTINGS = {"batch_size": 4, "epochs": EPOCHS, "seed": 5}


def problem(dtype="float64", seed=1, n=23, examples=3, **settings):
    """A network and its objective over examples that are the same whatever the seed, which is of the weights."""
    rng = np.random.default_rng(examples)
    X, y = rng.standard_normal((n, 4)), rng.integers(0, 3, n)
    net = mlp.MLP([4, 6, 3], hidden="tanh", dtype=dtype, seed=seed)
    return net, mlp.Objective(net, X, y, **{"weight_decay": 1e-2, **settings})


def strangers(dtype="float64"):
    """A validation set that has little to do with the examples, so that patience runs out."""
    return problem(dtype, n=15, examples=8)[1]


def full_batch(minimise, steps):
    """The arguments that make it take so many steps over all examples."""
    return {"maxiter": steps} if minimise is mlp.lbfgs else {"batch_size": None, "epochs": steps}


def bowl(theta):
    """C = ½‖θ‖², ∂C/∂θ = θ: the minimum is 0, and every component behaves like every other."""
    return 0.5 * float(theta @ theta), theta.copy()


def slope(theta):
    """C = Σ θ, ∂C/∂θ = 1: plain descent goes down by the learning rate, whatever θ."""
    return float(theta.sum()), np.ones_like(theta)


def rosen(theta):
    """Rosenbrock's valley."""
    return scipy.optimize.rosen(theta), scipy.optimize.rosen_der(theta)


class Scripted:
    """Each evaluation returns the next of the costs; the gradient is 1, so that sgd's θ counts the steps down."""

    def __init__(self, *costs):
        self.costs = list(costs)

    def __call__(self, theta):
        return self.costs.pop(0), np.ones_like(theta)


class Scores:
    """A validation set that plays back (cost, accuracy) pairs, or accuracies, and remembers what it was shown."""

    def __init__(self, *scores):
        self.scores = [score if isinstance(score, tuple) else (1.0, score) for score in scores]
        self.shown = []

    def evaluate(self, theta):
        self.shown.append(theta.copy())
        return self.scores[len(self.shown) - 1]


class Steps:
    """An each_step that keeps the state of every step, and ends the run after `last` of them."""

    def __init__(self, last=None):
        self.states = []
        self.last = last

    def __call__(self, snapshot):
        self.states.append(snapshot())
        if len(self.states) == self.last:
            raise StopIteration

    @property
    def thetas(self):
        return [state.arrays["theta"] for state in self.states]

    def mean(self, first, last=None):
        """The mean of θ over those steps."""
        return np.mean(np.array(self.thetas[first:last], np.float64), axis=0)


def stopped(minimise, objective, theta, *, after, **settings):
    """The state of a run that was stopped after so many steps (iterations, of lbfgs)."""
    steps = Steps(last=after)
    result = minimise(objective, theta, each_step=steps, **settings)
    assert (result.status, result.success, result.message[:23]) == (99, False, "stopped by the callback")
    return steps.states[-1]


def stopped_by_callback(minimise, objective, theta, *, after, **settings):
    """The state of a run that its callback stopped after so many epochs or iterations."""
    states = []

    def callback(intermediate_result):
        if intermediate_result.nit == after:
            states.append(intermediate_result.snapshot())
            raise StopIteration

    minimise(objective, theta, callback=callback, **settings)
    (state,) = states
    return state


def through_a_file(state, directory):
    mlp.save_state(directory / "state.npz", state)
    return mlp.load_state(directory / "state.npz")


def left(result):
    """All that a run leaves, but for the seconds it took."""
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in result.history]
    return result.x.tobytes(), history, result.fun, result.nit, result.nfev, result.status, result.success, result.message
