"""`MLPRegressor`: scikit-learn's regressor of that name, with mlp underneath."""

import math
from typing import Any, Self

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from mlp import costs
from mlp.blas import Array
from mlp.checks import check_name
from mlp.estimators.base import Network, keep, takes_steps
from mlp.estimators.watch import with_callbacks

#: The losses by scikit-learn's names, and the costs that they are here.
_COSTS = {"squared_error": "quadratic", "absolute_error": "absolute", "huber": "huber", "poisson": "poisson"}


class MLPRegressor(RegressorMixin, Network):  # type: ignore[misc]
    """Regression of one target or several, by squared error or another loss.

    Args:
        loss: "squared_error"; "poisson", for counts, with an exponential output; or, beyond scikit-learn's, "absolute_error" or
            "huber:DELTA", squared for errors below delta and absolute beyond.

    All other parameters and the attributes are those of `Network`.
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        dropout: Any = None,
    ):
        keep(self, locals())

    def _encode(self, y: Array, fresh: bool) -> Array:
        self._cost()
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if fresh:
            self._shape = y.shape[1:]
        elif y.shape[1:] != self._shape:
            raise ValueError(f"y: received shape {y.shape}, but so far each sample had targets of shape {self._shape}")
        return y.reshape(len(y), -1)

    def _cost(self) -> str:
        loss, colon, parameter = str(self.loss).partition(":")
        name = _COSTS[check_name("loss", loss, _COSTS)]
        return costs.find(name + colon + parameter, "loss").name

    def _outputs(self) -> tuple[int, str]:
        return math.prod(self._shape), costs.find(self._cost()).output or "identity"

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> Self:
        """Train on X (n, features) and y (n,) or (n, targets); the rest as in `MLPClassifier.fit`."""
        return self._fit(X, y, sample_weight, validation)

    @available_if(takes_steps)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go once through these samples, from where the last call ended."""
        return self._fit(X, y, sample_weight, None, incremental=True)

    def predict(self, X: Any) -> Array:
        """The targets, (n,) or (n, targets)."""
        outputs = self._forward(X)
        return outputs.reshape(len(outputs), *self._shape)

    def _score(self, X: Array, y: Array) -> float:
        return float(r2_score(y, self.network_.forward(X).reshape(len(y), *self._shape)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
