"""`sgd` and `adam`: descent by update rules. `descend` runs any rule of rules.py; each minimiser is one way of calling it."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import numpy as np

from mlp.blas import Array
from mlp.checks import check_flag, check_generator, check_number, converted
from mlp.optimizers import schedules
from mlp.optimizers.monitor import Callback, Monitor
from mlp.optimizers.problem import Problem
from mlp.optimizers.rules import Adam, Descent, Momentum, Nesterov
from mlp.optimizers.run import EachStep, Plan, Run
from mlp.optimizers.scipy import unwrap
from mlp.optimizers.state import State

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

Minimiser = TypeVar("Minimiser", bound=Callable[..., "OptimizeResult"])


class Options(TypedDict, total=False):
    """What `sgd` and `adam` have in common, documented in `sgd`; `descend` has the defaults."""

    schedule: str | schedules.Schedule
    batch_size: int | None
    epochs: int
    seed: int | np.random.Generator | None
    average: int
    validation: Any
    patience: int | None
    tol: float | None
    tol_epochs: int
    callback: Callback | None
    verbose: bool
    state: State | None
    each_step: EachStep | None


def descend(
    minimiser: Callable[..., "OptimizeResult"],
    objective: Any,
    theta: Array,
    rule: Callable[[Problem, Array], Descent],
    *,
    learning_rate: float,
    schedule: str | schedules.Schedule = "constant",
    batch_size: int | None = 128,
    epochs: int = 10,
    seed: int | np.random.Generator | None = 0,
    average: int = 0,
    validation: Any = None,
    patience: int | None = None,
    tol: float | None = None,
    tol_epochs: int = 3,
    callback: Callback | None = None,
    verbose: bool = False,
    state: State | None = None,
    each_step: EachStep | None = None,
    **scipy: Any,
) -> "OptimizeResult":
    """Minimise by the update rule that `rule` makes of a problem and θ; `sgd` and `adam` are two ways of calling this."""
    problem, given = unwrap(minimiser, objective, theta, scipy)
    # θ itself is what is updated, unless the objective's arithmetic is in another dtype
    theta = np.ascontiguousarray(converted("theta", given, problem.dtype or given.dtype))
    plan = Plan(learning_rate, schedule, batch_size, epochs, average)
    watched = {"validation": validation, "patience": patience, "tol": tol, "tol_epochs": tol_epochs}
    monitor = Monitor("epoch", plan.epochs, **watched, callback=callback, verbose=verbose)
    rng = check_generator("seed", seed)
    run = Run(minimiser.__name__, problem, theta, rule(problem, theta), plan, monitor, rng, each_step)
    if state is not None:
        run.restore(state)
    result = run.minimise()
    if theta is not given:
        given[...] = theta
        result.x = given
    return result


def with_options(minimiser: Minimiser) -> Minimiser:
    """Let help(), `inspect.signature` and error messages show `Options` too, with the defaults that `descend` has."""
    own, common = inspect.signature(minimiser), inspect.signature(descend).parameters
    named = [parameter for parameter in own.parameters.values() if parameter.kind != parameter.VAR_KEYWORD]
    options = [common[name] for name in Options.__annotations__]
    minimiser.__signature__ = own.replace(parameters=[*named, *options])  # type: ignore[attr-defined]
    return minimiser


@with_options
def sgd(
    objective: Any,
    theta: Array,
    *,
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    nesterov: bool = False,
    **options: Unpack[Options],
) -> "OptimizeResult":
    """Stochastic, mini-batch or full-batch gradient descent on θ, in place.

    One step, with η the learning rate, μ the momentum and ∂C the gradient over the mini-batch:

        μ = 0:     θ ← θ − η ∂C
        momentum:  v ← μv − η ∂C,  θ ← θ + v
        Nesterov:  v ← μv − η ∂C,  θ ← θ + μv − η ∂C

    Args:
        objective: `mlp.Objective`; an object with len() that is called as objective(theta, rows) -> (cost, gradient); or,
            with batch_size=None, a function theta -> (cost, gradient).
        theta: parameters (P,), updated in place.
        learning_rate: η, above 0 (0.1).
        momentum: μ, from 0 to below 1 (0).
        nesterov: whether the momentum is Nesterov's.
        schedule: what η is multiplied by in each epoch: "constant" (the default), "step:FACTOR:EPOCHS",
            "exponential:FACTOR", "cosine", or a function of the epoch (counted from 0).
        batch_size: examples a step: 1 is stochastic descent, None full-batch (128). The last, shorter batch is used too.
        epochs: how many times to go through all examples, in a new random order each time (10).
        seed: of the order, and of the objective's distortions and dropout: an integer (0), a Generator, or None for another
            each time.
        average: over how many of the last epochs (all, where there are fewer) to average the parameters of every step
            (Polyak and Juditsky 1992): the average is what is evaluated after those epochs, and returned. 0: none.
        validation: what to evaluate after each epoch: an `Objective` over the validation set.
        patience: stop after so many epochs without a better validation accuracy (cost, for regression); with it, the
            best parameters are restored at the end (of an average, where there is one).
        tol: stop once the cost changes by less than this, tol_epochs (3) epochs running.
        callback: called after each epoch, in SciPy's way: `callback(intermediate_result)` gets an OptimizeResult with
            x (live: copy it; the average, where there is one), fun, nit, history, improved (whether this record's validation
            score is the best so far), and snapshot, which returns the run's `State`; a callback with another parameter gets
            θ; StopIteration ends the run.
        verbose: whether to show each epoch as it ends: a bar on a terminal or in a notebook, lines elsewhere (False).
        state: where to go on from: a `State` of a run over the same data with the same settings, but for epochs, average and
            when to stop. θ is overwritten with the state's.
        each_step: called after every step with a function that returns the run's `State`; StopIteration ends the run.

    Returns:
        `OptimizeResult` (see the top of mlp.optimizers). History records: epoch, cost (the mean over the epoch's
        mini-batches as they were met, plus the penalty at the end of it), validation_cost and validation_accuracy if
        there is a validation set, learning_rate, seconds.
    """
    momentum = check_number("momentum", momentum, at_least=0, below=1)
    chosen = Nesterov if check_flag("nesterov", nesterov) else Momentum
    rule = partial(chosen, momentum=momentum) if momentum else Descent
    return descend(sgd, objective, theta, rule, learning_rate=learning_rate, **options)


@with_options
def adam(
    objective: Any,
    theta: Array,
    *,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    **options: Unpack[Options],
) -> "OptimizeResult":
    """Adam (Kingma and Ba 2015) on θ, in place. One step, t counting from 1:

        m ← β₁m + (1 − β₁) ∂C,  v ← β₂v + (1 − β₂) ∂C²
        θ ← θ − η (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

    The learning rate η is 0.001 unless given; beta1 (0.9) and beta2 (0.999) are from 0 to below 1, epsilon (1e-8) is above 0.
    All else is as in `sgd`.
    """
    rule = partial(Adam, beta1=beta1, beta2=beta2, epsilon=epsilon)
    return descend(adam, objective, theta, rule, learning_rate=learning_rate, **options)
