"""`Network`, what the classifier and the regressor share: parameters into a network, an objective and a solver."""

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
from mlp.estimators.watch import CallbackSupportMixin, Tasks, Watch
from mlp.network import MLP
from mlp.objective import Objective

#: Those that see all samples in each iteration; the others take a step for each mini-batch.
_OF_ALL: dict[str, Callable[..., Any]] = {"lbfgs": optimizers.lbfgs, "newton": optimizers.newton}
_SOLVERS = {"sgd": optimizers.sgd, "adam": optimizers.adam, **_OF_ALL}

#: X is converted to the first of these unless it is of one of them: the network's dtype follows.
_FLOATS = (np.float64, np.float32)


#: What scikit-learn calls activations that are called otherwise here.
_THEIR_NAMES = {"exponential": "exp"}


class _InOrder(np.random.Generator):
    """A generator for which every permutation is the given order: `shuffle=False`."""

    def permutation(self, n: Any, axis: int = 0) -> Array:
        return np.arange(n)


class Network(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share. X may be sparse (scipy.sparse). Parameters are those of scikit-learn's
    MLPClassifier, where these differ:

    Args:
        activation: the hidden layers', a name or an object, or a sequence with one for each.
        solver: "adam", "sgd", "lbfgs", or "newton" (`mlp.newton`), which ends as lbfgs does, by tol.
        alpha: scikit-learn's own: the loss has (α / 2m)·Σ‖W‖² in it, m being `batch_size` with sgd and adam, and the number of
            samples with lbfgs and newton. As weight decay λ of an `mlp.Objective` that is α / m. (An epoch's last batch, where
            it is shorter, scikit-learn would decay more.)
        max_fun: not used: `max_iter` says when lbfgs ends.
        dropout: the probability that a hidden unit is dropped in training (sgd and adam), or one for each layer's inputs, the
            features first. None: nothing is dropped.

    `set_callbacks` is there where scikit-learn has callbacks (1.9 or later). They are told of the fit as a task, and of each
    epoch or iteration as one of its subtasks, with a `fitted_estimator` as it is then; one that asks to stop is heard.

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
            accept_sparse="csr",
            dtype=_FLOATS,
            y_numeric=isinstance(self, RegressorMixin),
            reset=fresh,
        )
        targets = self._encode(y, fresh)
        parts: Any = X, y, targets, self._weigh(y, sample_weight, X), Network._weigh(self, y, sample_weight, X)
        random = check_random_state(self.random_state)
        held = self._held_out(validation, X, y, random) if validation is not None or self.early_stopping else None
        if held is not None and validation is None:
            kept, held = held
            parts = tuple(None if part is None else part[kept] for part in parts)
        X, y, targets, weights, sample_weight = parts
        if fresh:
            self._make_network(X, random)
        self.best_loss_: float | None
        self.best_validation_score_: float | None
        watch = Watch(self, held, incremental, None if incremental else Tasks(self, X, y, sample_weight))
        result = self._train(X, targets, weights, watch, random, incremental)
        if watch.best_theta is not None:
            self.network_.theta = watch.best_theta
            self.best_validation_score_, self.best_loss_ = watch.best, None
        else:
            self.best_validation_score_, self.best_loss_ = None, min(self.loss_curve_, default=math.nan)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float(result.fun)
        self.t_ += len(targets) * (1 if incremental else len(result.history))
        if not incremental and result.status in (optimizers.LIMIT, optimizers.DIVERGED):
            warnings.warn(f"{self.solver}: {result.message}", ConvergenceWarning, stacklevel=3)
        if watch.tasks is not None:
            watch.tasks.end()
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
            return validate_data(self, Xv, yv, multi_output=True, accept_sparse="csr", dtype=_FLOATS, reset=False)
        stratify = y if isinstance(self, ClassifierMixin) and y.ndim == 1 else None
        kept, held = train_test_split(
            np.arange(X.shape[0]), test_size=self.validation_fraction, random_state=random, stratify=stratify
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
        n = X.shape[0]
        batch_size = min(200, n) if self.batch_size == "auto" else min(int(self.batch_size), n)
        objective = Objective(
            self.network_,
            X,
            targets,
            cost=self._cost(),
            weight_decay=self.alpha / (n if self.solver in _OF_ALL else batch_size),
            dropout=None if self.solver in _OF_ALL else self._dropout(),
            weights=weights,
        )
        theta = self.network_.theta.copy()
        settings: dict[str, Any] = {"callback": lambda intermediate_result: watch(intermediate_result)}
        if self.solver in _OF_ALL:
            result = _OF_ALL[self.solver](objective, theta, maxiter=self.max_iter, gtol=self.tol, **settings)
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
        X = validate_data(self, X, accept_sparse="csr", dtype=_FLOATS, reset=False)
        return self.network_.forward(X, layer=layer)

    def transform(self, X: Any) -> Any:
        """The outputs of the last hidden layer, (n, units); X itself where there is none."""
        check_is_fitted(self, "network_")
        if len(self.network_.layers) == 1:
            return validate_data(self, X, accept_sparse="csr", dtype=_FLOATS, reset=False)
        return self._forward(X, layer=-2)

    @property
    def _n_features_out(self) -> int:
        return self.network_.layers[-1].fan_in

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        tags.input_tags.sparse = True
        return tags


def takes_steps(estimator: Any) -> bool:
    """`partial_fit` is there for the solvers that take steps."""
    if estimator.solver in _OF_ALL:
        raise AttributeError(f"partial_fit is only available for the solvers sgd and adam, not for {estimator.solver}")
    return True


def keep(estimator: Any, parameters: dict[str, Any]) -> None:
    """Parameters as they were given, which is what scikit-learn asks of a constructor."""
    for name, value in parameters.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)
