"""`Network`, what the classifier and the regressor share: parameters into a network, an objective and a solver; `Watch`."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from mlp import optimizers
from mlp.blas import Array
from mlp.checks import check_integer, check_name, check_number
from mlp.network import MLP
from mlp.objective import Objective

_SOLVERS: dict[str, Callable[..., Any]] = {"sgd": optimizers.sgd, "adam": optimizers.adam, "lbfgs": optimizers.lbfgs}


#: X is converted to the first of these unless it is of one of them: the network's dtype follows.
_FLOATS = (np.float64, np.float32)


#: What scikit-learn calls activations that are called otherwise here.
_THEIR_NAMES = {"exponential": "exp"}


class _InOrder(np.random.Generator):
    """A generator for which every permutation is the given order: `shuffle=False`."""

    def permutation(self, n: Any, axis: int = 0) -> Array:
        return np.arange(n)


class Watch:
    """What an estimator looks at after each epoch or iteration: the loss, the validation score, and whether to stop.

    As in scikit-learn, training stops when n_iter_no_change records running have not been better than the best so far by
    more than tol: in the score where there is a validation set, else in the loss.
    """

    def __init__(self, estimator: "Network", validation: tuple[Array, Array] | None, incremental: bool):
        self.of = estimator
        self.validation = validation
        self.stops = estimator.solver != "lbfgs" and not incremental
        self.incremental = incremental
        self.idle = 0
        self.best = -math.inf
        self.best_theta: Array | None = None
        self.factor = 1.0

    def schedule(self, n: int) -> Callable[[int], float]:
        """The factor of the learning rate by epoch, of n samples each."""
        power = self.of.power_t
        if self.of.learning_rate == "invscaling":
            return lambda epoch: float((epoch * n + 1) ** -power)
        return lambda _epoch: self.factor

    def __call__(self, intermediate_result: Any) -> None:
        of, loss = self.of, float(intermediate_result.fun)
        of.loss_curve_.append(loss)
        of.n_iter_ += 1
        said = f"Iteration {of.n_iter_}, loss = {loss:.8f}"
        figure = -loss
        if self.validation is not None:
            of.network_.theta = intermediate_result.x
            figure = of._score(*self.validation)
            of.validation_scores_.append(figure)
            said += f", validation score = {figure:.6f}"
        if of.verbose:
            print(said)
        if self.incremental:
            of._state = intermediate_result.snapshot()
        self.idle = 0 if figure > self.best + of.tol else self.idle + 1
        if figure > self.best:
            self.best = figure
            if self.validation is not None:
                self.best_theta = intermediate_result.x.copy()
        if self.stops and self.idle >= of.n_iter_no_change:
            self._stop_or_slow_down()

    def _stop_or_slow_down(self) -> None:
        """An adaptive learning rate is divided by 5 first, until it is below 10⁻⁶."""
        of = self.of
        if of.solver == "sgd" and of.learning_rate == "adaptive" and of.learning_rate_init * self.factor > 1e-6:
            self.factor /= 5
            self.idle = 0
            return
        raise StopIteration


class Network(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share. Parameters are those of scikit-learn's MLPClassifier, and:

    Args:
        activation: the hidden layers', a name or an object, or a sequence with one for each.
        dropout: the probability that a hidden unit is dropped in training (sgd and adam), or one for each layer's inputs, the
            features first. None: nothing is dropped.

    Attributes:
        network_: the `mlp.MLP`; `coefs_` and `intercepts_` are views of its weights, transposed as scikit-learn has them.
        loss_curve_, validation_scores_, n_iter_, loss_, best_loss_, best_validation_score_, n_layers_, n_outputs_,
        out_activation_, t_: as in scikit-learn, for every solver; validation_scores_ where there is a validation set.
    """

    # What classifier and regressor say

    def _encode(self, y: Array, fresh: bool) -> Array:
        """Targets as `Objective` takes them, and the attributes that say what they are."""
        raise NotImplementedError

    def _weigh(self, y: Array, sample_weight: Any, X: Array) -> Array | None:
        """The samples' weights (n,), or None."""
        return None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)

    def _score(self, X: Array, y: Array) -> float:
        raise NotImplementedError

    def _cost(self) -> str | None:
        """The cost's name; None: the output's natural one."""
        return None

    def _outputs(self) -> tuple[int, str]:
        """How many outputs the network needs, and their activation."""
        raise NotImplementedError

    # Fitting

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: Any, incremental: bool = False) -> Self:
        self._check_parameters()
        fresh = not ((self.warm_start or incremental) and hasattr(self, "network_"))
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            dtype=_FLOATS,
            y_numeric=isinstance(self, RegressorMixin),
            reset=fresh,
        )
        targets = self._encode(y, fresh)
        weights = self._weigh(y, sample_weight, X)
        random = check_random_state(self.random_state)
        held = self._held_out(validation, X, y, random) if validation is not None or self.early_stopping else None
        if held is not None and validation is None:
            kept, held = held
            X, y, targets, weights = X[kept], y[kept], targets[kept], None if weights is None else weights[kept]
        if fresh:
            self._make_network(X, random)
        self.best_loss_: float | None
        self.best_validation_score_: float | None
        watch = Watch(self, held, incremental)
        result = self._train(X, targets, weights, watch, random, incremental)
        if watch.best_theta is not None:
            self.network_.theta = watch.best_theta
            self.best_validation_score_, self.best_loss_ = watch.best, None
        else:
            self.best_validation_score_, self.best_loss_ = None, min(self.loss_curve_, default=math.nan)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float(result.fun)
        self.t_ += len(X) * (1 if incremental else len(result.history))
        if not incremental and result.status in (optimizers.LIMIT, optimizers.DIVERGED):
            warnings.warn(f"{self.solver}: {result.message}", ConvergenceWarning, stacklevel=3)
        return self

    def _check_parameters(self) -> None:
        """What the minimisers don't check under these names."""
        check_name("solver", self.solver, _SOLVERS)
        check_name("learning_rate", self.learning_rate, ["constant", "invscaling", "adaptive"])
        check_number("alpha", self.alpha, at_least=0)
        check_number("learning_rate_init", self.learning_rate_init, above=0)
        check_number("tol", self.tol, at_least=0)
        check_integer("max_iter", self.max_iter, at_least=1)
        check_integer("n_iter_no_change", min(self.n_iter_no_change, 1 << 60), at_least=1)
        check_number("validation_fraction", self.validation_fraction, above=0, below=1)
        if self.batch_size != "auto":
            check_integer("batch_size", self.batch_size, at_least=1)

    def _held_out(self, validation: Any, X: Array, y: Array, random: Any) -> Any:
        """The validation set given, checked; or ((rows to train on), (validation set)), drawn."""
        if validation is not None:
            Xv, yv = validation
            return validate_data(self, Xv, yv, multi_output=True, dtype=_FLOATS, reset=False)
        stratify = y if isinstance(self, ClassifierMixin) and y.ndim == 1 else None
        kept, held = train_test_split(
            np.arange(len(X)), test_size=self.validation_fraction, random_state=random, stratify=stratify
        )
        return kept, (X[held], y[held])

    def _make_network(self, X: Array, random: Any) -> None:
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()
        hidden = [check_integer(f"hidden_layer_sizes[{k}]", size, at_least=1) for k, size in enumerate(sizes)]
        outputs, activation = self._outputs()
        per_layer = list(self.activation) if isinstance(self.activation, list | tuple) else self.activation
        self.network_ = MLP(
            [X.shape[1], *hidden, outputs],
            hidden=per_layer,
            output=activation,
            dtype=X.dtype.name,
            seed=int(random.randint(1 << 31)),
        )
        self.n_layers_, self.n_outputs_, self.out_activation_ = (
            len(hidden) + 2,
            outputs,
            _THEIR_NAMES.get(activation, activation),
        )
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] = []
        self.n_iter_ = self.t_ = 0
        self._state: Any = None

    def _train(self, X: Array, targets: Array, weights: Array | None, watch: Watch, random: Any, incremental: bool) -> Any:
        """Hand the objective to the solver."""
        n = len(X)
        batch_size = min(200, n) if self.batch_size == "auto" else min(int(self.batch_size), n)
        objective = Objective(
            self.network_,
            X,
            targets,
            cost=self._cost(),
            weight_decay=self.alpha / (n if self.solver == "lbfgs" else batch_size),
            dropout=None if self.solver == "lbfgs" else self._dropout(),
            weights=weights,
        )
        theta = self.network_.theta.copy()
        settings: dict[str, Any] = {"callback": lambda intermediate_result: watch(intermediate_result)}
        if self.solver == "lbfgs":
            result = optimizers.lbfgs(objective, theta, maxiter=self.max_iter, gtol=self.tol, **settings)
        else:
            seed = int(random.randint(1 << 31))
            state = self._state if incremental else None
            if state is not None:  # the samples are others each time
                state.facts["fingerprint"] = ""
            settings |= {
                "learning_rate": self.learning_rate_init,
                "schedule": watch.schedule(n),
                "batch_size": batch_size,
                "epochs": len(self.loss_curve_) + 1 if incremental else self.max_iter,
                "seed": np.random.default_rng(seed) if self.shuffle else _InOrder(np.random.PCG64(seed)),
                "state": state,
            }
            if self.solver == "sgd":
                momentum = {"momentum": self.momentum, "nesterov": bool(self.nesterovs_momentum)}
                result = optimizers.sgd(objective, theta, **momentum, **settings)
            else:
                moments = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
                result = optimizers.adam(objective, theta, **moments, **settings)
            if not incremental and len(result.history) == self.max_iter and result.status == optimizers.CONVERGED:
                result.status = optimizers.LIMIT
                result.message = f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet."
        self.network_.theta = result.x
        return result

    def _dropout(self) -> Any:
        """A rate for each layer's inputs, or None."""
        if self.dropout is None or isinstance(self.dropout, list | tuple | np.ndarray):
            return self.dropout
        rate = check_number("dropout", self.dropout, at_least=0, below=1)
        return (0.0, *[rate] * (len(self.network_.layers) - 1))

    # What is learned

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, (fan_in, units)."""
        return [layer.W.T for layer in self.network_.layers]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer, (units,)."""
        return [layer.b for layer in self.network_.layers]

    def _forward(self, X: Any, layer: int = -1) -> Array:
        check_is_fitted(self, "network_")
        X = validate_data(self, X, dtype=_FLOATS, reset=False)
        return self.network_.forward(X, layer=layer)

    def transform(self, X: Any) -> Array:
        """The outputs of the last hidden layer, (n, units); X itself where there is none."""
        check_is_fitted(self, "network_")
        if len(self.network_.layers) == 1:
            return np.asarray(validate_data(self, X, dtype=_FLOATS, reset=False))
        return self._forward(X, layer=-2)

    @property
    def _n_features_out(self) -> int:
        return self.network_.layers[-1].fan_in

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        tags.input_tags.sparse = False
        return tags


def takes_steps(estimator: Any) -> bool:
    """`partial_fit` is there for the solvers that take steps."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for the solvers sgd and adam, not for lbfgs")
    return True


def keep(estimator: Any, parameters: dict[str, Any]) -> None:
    """Parameters as they were given, which is what scikit-learn asks of a constructor."""
    for name, value in parameters.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)
