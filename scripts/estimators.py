"""scikit-learn's multilayer perceptrons beside those of mlp.estimators: the same data, settings and seeds.

    python -m pip install -e '.[sklearn]'
    python scripts/estimators.py                     ten seeds; --seeds N, --solvers adam,lbfgs,sgd, --data wine,…

For each seed the data is split anew, four fifths to train on; both see the same numbers. A row has the mean score on the rest
(accuracy; for diabetes R²), mlp's mean advantage over the seeds, and that mean's standard error.
"""

import argparse
import statistics
import time
import warnings

import numpy as np
import sklearn.neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from mlp import estimators as ours

DATA = {"digits": load_digits, "breast cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes}
SOLVERS = {"adam": {}, "sgd": {"learning_rate_init": 0.05}, "lbfgs": {"alpha": 1.0}}


def compare(name, solver, seeds):
    """Scores of scikit-learn's and of ours, and the seconds that their fits took: four lists, a number for each seed."""
    X, y = DATA[name](return_X_y=True)
    kind = "MLPRegressor" if name == "diabetes" else "MLPClassifier"
    y = y / y.std() if name == "diabetes" else y
    found = [[], [], [], []]
    for seed in range(seeds):
        stratify = y if kind == "MLPClassifier" else None
        training, test, y_training, y_test = train_test_split(X, y, test_size=0.2, stratify=stratify, random_state=seed)
        scaler = StandardScaler().fit(training)
        for module, scores, seconds in zip((theirs, ours), found[:2], found[2:], strict=True):
            net = getattr(module, kind)(
                hidden_layer_sizes=50, solver=solver, max_iter=200, random_state=seed, **SOLVERS[solver]
            )
            begun = time.perf_counter()
            net.fit(scaler.transform(training), y_training)
            seconds.append(time.perf_counter() - begun)
            scores.append(net.score(scaler.transform(test), y_test))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many (10)")
    parser.add_argument("--solvers", default=",".join(SOLVERS), help="which (%(default)s)")
    parser.add_argument("--data", default=",".join(DATA), help="which (%(default)s)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that 200 iterations were too few, from both
    print(f"{'data':14}{'solver':8}{'scikit-learn':>13}{'mlp':>8}{'advantage':>11}   seconds: mlp / scikit-learn")
    for name in options.data.split(","):
        for solver in options.solvers.split(","):
            others, own, other_seconds, seconds = compare(name, solver, options.seeds)
            differences = np.subtract(own, others)
            error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else np.nan
            ratio = statistics.median(np.divide(seconds, other_seconds))
            print(
                f"{name:14}{solver:8}{np.mean(others):13.4f}{np.mean(own):8.4f}{differences.mean():+11.4f} ± {error:.4f}"
                f"{ratio:13.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
