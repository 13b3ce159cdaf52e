"""`MLPClassifier`: scikit-learn's classifier of that name, with mlp underneath."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d

from mlp.blas import Array
from mlp.estimators.base import Network, keep, takes_steps
from mlp.estimators.watch import with_callbacks
from mlp.network import labels_from


class MLPClassifier(ClassifierMixin, Network):  # type: ignore[misc]
    """Classification: softmax over several classes, a logistic output for two, one for each of several labels at once.

    Args:
        class_weight: None, "balanced", or a dictionary of class: weight, by which samples count besides sample_weight.

    All other parameters and the attributes are those of `Network`; classes_ are the labels in order.

    >>> MLPClassifier(max_iter=5).fit([[0.0], [1.0]], [0, 1]).predict([[2.0]]).shape   # doctest: +SKIP
    (1,)
    """

    def __init__(
        self,
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
        class_weight: Any = None,
    ):
        keep(self, locals())

    def _encode(self, y: Array, fresh: bool) -> Array:
        """Labels as numbers from 0; of two classes 0.0 and 1.0, (n, 1); of several labels at once as they are."""
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        kind = type_of_target(y, input_name="y")
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            raise ValueError(f"Unknown label type: {kind}: y must be classes, or 0/1 indicators of several labels at once")
        if fresh:
            self.classes_ = self._declared if self._declared is not None else unique_labels(y)
            self._multilabel = kind == "multilabel-indicator"
        if not set(np.unique(y) if not self._multilabel else range(y.shape[1])) <= set(self.classes_):
            raise ValueError(f"y: received classes {unique_labels(y)}, but the classes so far are {self.classes_}")
        if self._multilabel:
            return np.asarray(y, np.float64)
        labels = np.searchsorted(self.classes_, y)
        return labels.astype(np.float64)[:, None] if len(self.classes_) <= 2 else labels

    _declared: Array | None = None

    def _outputs(self) -> tuple[int, str]:
        if self._multilabel:
            return len(self.classes_), "logistic"
        return (1, "logistic") if len(self.classes_) <= 2 else (len(self.classes_), "softmax")

    def _weigh(self, y: Array, sample_weight: Any, X: Array) -> Array | None:
        weights = super()._weigh(y, sample_weight, X)
        if self.class_weight is None:
            return weights
        by_class = compute_sample_weight(self.class_weight, y)
        return np.asarray(by_class if weights is None else by_class * weights)

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> Self:
        """Train on X (n, features) and y (n,), or (n, labels) of 0 and 1.

        Args:
            sample_weight: how much each sample counts, (n,).
            validation: (Xv, yv), by which training stops and whose best parameters are kept; with it, nothing is held out.
        """
        self._declared = None
        return self._fit(X, y, sample_weight, validation)

    @available_if(takes_steps)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go once through these samples, from where the last call ended; the first call may name all classes."""
        if not hasattr(self, "network_"):
            self._declared = None if classes is None else np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"classes={classes} is not the same as on the last call to partial_fit: {self.classes_}")
        return self._fit(X, y, sample_weight, None, incremental=True)

    def predict_proba(self, X: Any) -> Array:
        """The probabilities of the classes, (n, classes); of several labels at once, of each by itself."""
        outputs = self._forward(X)
        return np.hstack([1 - outputs, outputs]) if self.out_activation_ == "logistic" and not self._multilabel else outputs

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms, (n, classes)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    def predict(self, X: Any) -> Array:
        """The most probable class, (n,); of several labels at once 0 and 1, (n, labels)."""
        return self._label(self._forward(X))

    def _label(self, outputs: Array) -> Array:
        if self._multilabel:
            return np.asarray(outputs > 0.5, int)
        labels: Array = self.classes_[np.minimum(labels_from(outputs), len(self.classes_) - 1)]
        return labels

    def _score(self, X: Array, y: Array) -> float:
        return float(accuracy_score(y, self._label(self.network_.forward(X))))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
