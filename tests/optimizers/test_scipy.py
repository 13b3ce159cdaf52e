"""Our minimisers as methods of scipy.optimize.minimize, SciPy's own beside them, and what is refused at the door."""

import inspect
import pydoc
import re

import numpy as np
import pytest
import scipy.optimize
from minimising import bowl, full_batch, problem
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import mlp
from mlp.optimizers.descent import Options


@pytest.mark.parametrize("method", ["L-BFGS-B", "CG", mlp.lbfgs])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scipy_minimises_an_objective_as_it_stands(method, dtype):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((60, 2)), rng.integers(0, 3, 60)
    net = mlp.MLP([2, 3], dtype=dtype, seed=0)
    objective = mlp.Objective(net, X, y, weight_decay=0.01)
    theirs = LogisticRegression(C=1 / (len(X) * 0.01), tol=1e-10, max_iter=10_000).fit(X, y)
    start = net.theta.copy()
    result = scipy.optimize.minimize(objective, net.theta, jac=True, method=method, options={"gtol": 1e-4})
    assert_array_equal(net.theta, start)  # x0, which is the network's own vector here
    their_cost = log_loss(y, theirs.predict_proba(X)) + 0.005 * np.sum(theirs.coef_**2)
    assert_allclose(result.fun, their_cost, rtol=1e-4)
    assert result.success or dtype == "float32"


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (mlp.sgd, {"learning_rate": 0.05, "momentum": 0.9, "batch_size": 7, "epochs": 4, "schedule": "cosine", "seed": 9}),
        (mlp.adam, {"learning_rate": 0.05, "batch_size": 7, "epochs": 4, "beta1": 0.8, "seed": 9}),
        (mlp.lbfgs, {"maxiter": 4, "memory": 3}),
    ],
)
@pytest.mark.parametrize("by_name", [True, False])
def test_our_minimisers_as_scipy_methods(method, options, by_name):
    net, objective = problem("float32")
    start = net.theta.copy()
    theta = start.copy()
    directly = method(objective, theta, **options)
    seen = []

    def by_result(intermediate_result):
        seen.append(intermediate_result.x.copy())

    callback = by_result if by_name else seen.append
    result = scipy.optimize.minimize(objective, net.theta, jac=True, method=method, options=options, callback=callback)
    assert_array_equal(net.theta, start)
    assert not np.shares_memory(result.x, net.theta)
    assert_array_equal(result.x, theta)
    assert result.history["cost"] == directly.history["cost"]
    assert (result.nit, result.nfev, result.status) == (directly.nit, directly.nfev, directly.status)
    assert len(seen) == 4
    assert_allclose(seen[-1], result.x, rtol=1e-6)  # lbfgs counts in float64


def test_a_scipy_method_minimises_a_plain_function_and_takes_tol(minimise):
    start = np.array([1.0, -2.0])
    options = {} if minimise is mlp.lbfgs else {"batch_size": None, "epochs": 1000, "learning_rate": 0.1}
    result = scipy.optimize.minimize(bowl, start, jac=True, method=minimise, tol=1e-9, options=options)
    assert_array_equal(start, [1, -2])
    assert_allclose(result.x, 0, atol=1e-2)
    assert (result.success, result.status) == (True, 0)


def test_a_stop_by_the_callback_within_scipy(minimise):
    def callback(_):
        raise StopIteration

    net, objective = problem()
    result = scipy.optimize.minimize(objective, net.theta, jac=True, method=minimise, callback=callback)
    assert (result.status, result.success, result.nit) == (99, False, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"args": (3,)},
        {"bounds": [(0, 1), (0, 1)]},
        {"constraints": {"type": "eq", "fun": np.sum}},
        {"constraints": [{"type": "eq", "fun": np.sum}]},
        {"hess": np.outer},
        {"hessp": np.multiply},
        {"jac": np.copy},
        {"jac": None},  # without gradients there is nothing to descend by
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_what_a_scipy_method_cannot_take_is_refused(minimise, arguments):
    start = np.ones(2)
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))}: "):
        scipy.optimize.minimize(bowl, start, method=minimise, **({"jac": True} | arguments), options=full_batch(minimise, 2))
    assert_array_equal(start, 1)


# θ


@pytest.mark.parametrize(
    "theta",
    [
        [1.0, 2.0],
        np.ones((2, 2)),
        np.ones(()),
        np.ones(0),
        np.ones(2, int),
        np.ones(2, complex),
        np.array(["a", "b"]),
        np.array([1.0, np.nan]),
        np.array([1.0, -np.inf]),
        None,
        np.ones(2, np.float16),
        np.ones(2, np.longdouble),
        np.ones(2, np.dtype(float).newbyteorder()),
        np.ma.masked_array([1.0, 2.0], [0, 1]),
        np.broadcast_to(1.0, 2),  # read-only: what was found could not be written
    ],
    ids=lambda theta: repr(theta)[:40],
)
def test_bad_theta(minimise, theta):
    with pytest.raises((ValueError, TypeError), match=r"(?s)^theta: received .*(must be|leave out)"):
        minimise(bowl, theta, **full_batch(minimise, 2))


@pytest.mark.parametrize("change", [-1, 1])
def test_theta_of_another_network_is_refused(minimise, change):
    net, objective = problem("float32", weight_decay=0)
    theta = np.full(net.theta.size + change, 0.1, np.float32)
    with pytest.raises(ValueError, match=rf"^theta: received shape \({theta.size},\).*{net.theta.size}"):
        minimise(objective, theta, **full_batch(minimise, 2))
    assert_array_equal(theta, np.float32(0.1))


# Options


@pytest.mark.parametrize(
    ("minimise", "unknown", "suggested"),
    [
        (mlp.sgd, "learning_rat", ["learning_rate"]),
        (mlp.sgd, "batchsize", ["batch_size"]),
        (mlp.adam, "beta_1", ["beta1"]),
        (mlp.adam, "callbacks", ["callback"]),
        (mlp.lbfgs, "max_iter", ["maxiter"]),
        (mlp.sgd, "zzz", []),
        # another minimiser's: neither itself nor what this one doesn't take is suggested
        (mlp.sgd, "maxiter", []),
        (mlp.sgd, "beta_1", []),
        (mlp.lbfgs, "batch_size", []),
        (mlp.lbfgs, "average", []),
        (mlp.adam, "momentum", []),
    ],
)
def test_unknown_options_are_refused_with_what_was_meant(minimise, unknown, suggested):
    start = np.ones(2)
    with pytest.raises(TypeError, match=rf"unknown argument '{unknown}'") as caught:
        minimise(bowl, start, **{unknown: 1})
    assert re.findall(r"did you mean '(\w+)'", str(caught.value)) == suggested
    with pytest.raises(TypeError, match=rf"'{unknown}'"):
        scipy.optimize.minimize(bowl, start, jac=True, method=minimise, options={unknown: 1})
    assert_array_equal(start, 1)


#: What the signature must show, as the documentation has it: the older, written out one.
SIGNATURES = {
    mlp.sgd: "learning_rate=0.1 momentum=0.0 nesterov=False schedule='constant' batch_size=128 epochs=10 seed=0 average=0 "
    "validation=None patience=None tol=None tol_epochs=3 callback=None verbose=False state=None each_step=None",
    mlp.adam: "learning_rate=0.001 beta1=0.9 beta2=0.999 epsilon=1e-08 schedule='constant' batch_size=128 epochs=10 seed=0 "
    "average=0 validation=None patience=None tol=None tol_epochs=3 callback=None verbose=False state=None each_step=None",
    mlp.lbfgs: "maxiter=200 memory=10 gtol=1e-05 ftol=1e-09 validation=None patience=None tol=None tol_epochs=3 callback=None "
    "verbose=False state=None each_step=None",
}


def test_signatures_and_help_show_every_option_with_its_default(minimise):
    parameters = inspect.signature(minimise).parameters.values()
    options = [p for p in parameters if p.kind == p.KEYWORD_ONLY]
    assert " ".join(f"{p.name}={p.default!r}" for p in options) == SIGNATURES[minimise]
    assert "tol_epochs: int = 3" in pydoc.plain(pydoc.render_doc(minimise))


def test_a_default_of_the_signature_is_that_of_the_call(descent):
    """What is written out is what is left out."""
    net, objective = problem("float32")
    defaults = {p.name: p.default for p in inspect.signature(descent).parameters.values() if p.kind == p.KEYWORD_ONLY}
    written, left_out = net.theta.copy(), net.theta.copy()
    assert len(descent(objective, written, **defaults).history) == len(descent(objective, left_out).history) == 10
    assert_array_equal(written, left_out)
    assert Options.__annotations__.keys() <= defaults.keys()


def test_defaults_that_docstrings_state_are_true():
    """They stand in brackets, after the argument's name or, "tol_epochs (3)", after another's."""
    for minimise, many in ((mlp.sgd, 6), (mlp.adam, 3)):
        defaults = {name: p.default for name, p in inspect.signature(minimise).parameters.items()}
        paragraphs = re.findall(r"^        (\w+): ((?:.*\n)(?: {12}.*\n)*)", minimise.__doc__, re.MULTILINE)
        stated = [pair for _, text in paragraphs for pair in re.findall(r"(\w+_\w+) \((\d\S*)\)", text)]
        stated += [(name, value) for name, text in paragraphs for value in re.findall(r"(?<!_epochs) \((\d\S*)\)", text)]
        stated += re.findall(r"(beta1|beta2|epsilon) \((\d\S*)\)", minimise.__doc__)
        assert len(stated) == many
        assert {name: float(value) for name, value in stated} == {name: defaults[name] for name, _ in stated}
