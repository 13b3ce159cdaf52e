"""Minimisers of a function of one vector: `sgd`, `adam`, `lbfgs`, `newton`. They know an objective and θ, and no network.

An objective is a `Problem` (problem.py), as `mlp.Objective` is, or a plain function theta -> (cost, gradient). A validation
set is anything with `evaluate(theta) -> (cost, accuracy or None)`, again such as an `mlp.Objective`.

Read rules.py first (the update rules), then run.py (the one loop that runs them), descent.py (`sgd` and `adam`) and
monitor.py (history, callback and the reasons to stop, for all minimisers); state.py is what a stopped run goes on from. An
update rule of your own is a class as those of rules.py are, and a function as `adam` is. All minimisers return
`scipy.optimize.OptimizeResult`:

    x        θ, the vector given, updated in place
    fun      the last cost recorded (history[-1]["cost"], or the restored epoch's). Of sgd and adam that is the mean over
             the epoch's batches as they were met, before their steps: the cost at x is objective(x)[0]
    nit      epochs (sgd, adam) or iterations (lbfgs, newton);  nfev: evaluations of the gradient
    history  one record for each of them, a `History`
    status   0 converged or ran as asked · 1 not converged within the limit ·
             2 line search failed (lbfgs, newton) · 3 diverged · 99 stopped by the callback
    success, message   whether that is good, and why it stopped

They serve `scipy.optimize.minimize(objective, theta, jac=True, method=mlp.sgd, options={...})` too; there, as is SciPy's
way, the vector given is left alone.
"""

from mlp.optimizers.descent import adam as adam
from mlp.optimizers.descent import sgd as sgd
from mlp.optimizers.lbfgs import lbfgs as lbfgs
from mlp.optimizers.monitor import CALLBACK as CALLBACK
from mlp.optimizers.monitor import CONVERGED as CONVERGED
from mlp.optimizers.monitor import DIVERGED as DIVERGED
from mlp.optimizers.monitor import LIMIT as LIMIT
from mlp.optimizers.monitor import History as History
from mlp.optimizers.newton import newton as newton
from mlp.optimizers.state import State as State
