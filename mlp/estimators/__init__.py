"""`MLPClassifier` and `MLPRegressor`: scikit-learn's estimators of those names, with mlp underneath.

One changed import is enough, `from mlp.estimators import MLPClassifier`: parameters, attributes and methods are
scikit-learn's where they mean the same. What is more: an activation for each layer, `dropout`, `class_weight`,
`fit(X, y, validation=(Xv, yv))`, `transform` (the last hidden layer's outputs), and curves for every solver.

This needs scikit-learn (the extra `sklearn`), and nothing else in mlp imports it. Read `Network._fit` in base.py first;
`Watch` decides when to stop, as scikit-learn does.

alpha. scikit-learn divides its penalty (α/2)·Σ‖W‖² by the number of samples of each call: of a mini-batch with sgd and adam, of
all samples with lbfgs. mlp's weight decay λ stands beside the mean cost as it is. So λ = α / batch_size or α / n_samples here,
which is the same number; only in an epoch's last batch, where it is shorter, would scikit-learn decay more.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("mlp.estimators needs scikit-learn 1.6 or later: pip install 'layerwise-mlp[sklearn]'") from error

from mlp.estimators.classifier import MLPClassifier as MLPClassifier
from mlp.estimators.regressor import MLPRegressor as MLPRegressor
