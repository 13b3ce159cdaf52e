"""How fast a training step is, beside PyTorch, JAX and scikit-learn, and beside the bare matrix products.

    python -m pip install -e '.[bench]'          torch, jax and scikit-learn; what is missing is left out of the table
    python scripts/benchmark.py --quick          a first look, a minute or two
    python scripts/benchmark.py                  every row; --rows b,c for some; --json FILE; --plot FILE
    python scripts/benchmark.py --scaling        time and memory against the number of examples, 10,000 to 1,000,000

Every engine trains the same network on the same 60,000 MNIST images with the same batches in float32, written as its own
users would write it well. Each runs warm in a process of its own; the processes take turns, round by round, so that a
machine whose speed drifts drifts for all of them alike. What is printed is the median time, and the median of the
round-by-round ratios of mlp's time to each engine's: below 1, mlp is faster. "products" is the floor: mlp's matrix
products alone, with the same shapes and buffers.

Environment variables that tie a numeric library to other kernels or threads than it would choose by itself are left out
for all engines, and named (--keep-environment keeps them).
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import benchmark_images as images
import numpy as np

#: layers, hidden activation, batch size (None: all examples at once) and how to train; "what" says what a round does.
ROWS = {
    "a": {"sizes": [784, 30, 10], "hidden": "logistic", "cost": "quadratic", "batch": 10, "rate": 0.5},
    "b": {"sizes": [784, 256, 10], "hidden": "relu", "batch": 128, "rate": 0.05},
    "c": {"sizes": [784, 800, 10], "hidden": "relu", "batch": 128, "rate": 0.01, "momentum": 0.9},
    "d": {"sizes": [784, 512, 256, 10], "hidden": "relu", "batch": 64, "rate": 0.05, "decay": 1e-4},
    "e": {"sizes": [784, 1000, 500, 10], "hidden": "tanh", "batch": 128, "rate": 0.01, "momentum": 0.9, "decay": 1e-4},
    "f": {"sizes": [784, 256, 10], "hidden": "relu", "batch": 128, "rate": 0.001, "adam": True},
    "g": {"sizes": [784, 256, 10], "hidden": "relu", "batch": None, "what": "gradient"},
    "g800": {"sizes": [784, 800, 10], "hidden": "relu", "batch": None, "what": "gradient"},
    "h": {"sizes": [784, 256, 10], "hidden": "logistic", "batch": None, "decay": 1e-4, "what": "lbfgs"},
    "i": {"what": "command"},
    **{
        f"j{batch}": {"images": "conv:20:5,pool:2,conv:50:5,pool:2,500", "hidden": "relu", "batch": batch}
        for batch in (64, 32, 128)
    },
    "k": {"images": "conv:6:5:padding=2,meanpool:2,conv:16:5,meanpool:2,120,84", "hidden": "tanh", "batch": 64},
    "l": {"images": "conv:5:5:stride=2:padding=1,conv:50:5:stride=2,100", "hidden": "tanh", "batch": 64},
    "m": {"sizes": [784, 256, 10], "hidden": "relu", "batch": None, "what": "product"},
    "n": {"sizes": [784, 100, 10], "hidden": "relu", "batch": 200, "what": "fit"},
    "o": {"sizes": [784, 256, 10], "hidden": "relu", "batch": 1, "what": "predict"},
    "m30": {"sizes": [784, 500, 250, 30, 250, 500, 784], "hidden": "logistic", "batch": None, "what": "product"},
}
for row in ROWS.values():
    if "images" in row:
        row.update(rate=0.01, momentum=0.9)
ENGINES = ("mlp", "products", "torch", "torch.channels_last", "torch.compile", "jax", "jax.scan", "scikit-learn", "onnxruntime")
MODULES = {
    "mlp": "mlp",
    "products": "mlp",
    "torch": "torch",
    "torch.channels_last": "torch",
    "torch.compile": "torch",
    "jax": "jax",
    "jax.scan": "jax",
    "scikit-learn": "sklearn",
    "onnxruntime": "onnxruntime",
}
TYING = ("OPENBLAS_", "OMP_", "MKL_", "BLIS_", "GOTO_", "KMP_", "XLA_FLAGS", "TORCH_NUM_THREADS", "NPVL_")


def title(key, row):
    if row.get("what") == "fit":
        return f"{key}  MLPClassifier as it comes (100 relu units, Adam, batch 200): fit, 3 epochs"
    if row.get("what") == "command":
        return "i  the whole command (mlp with --quiet --no-plots), to a model of ≥ 98 %"
    name = f"{row['images']},10" if "images" in row else "-".join(map(str, row["sizes"]))
    name += f" {row['hidden']}"
    what = {
        "gradient": "cost and gradient",
        "lbfgs": "50 L-BFGS iterations",
        "product": "a Hessian product, 10,000 examples",
        "predict": "predict, 2,000 images one by one",
    }
    how = what.get(row.get("what"), "")
    if not how:
        how = f"batch {row['batch']}" + (", Adam" if row.get("adam") else "")
        how += f", momentum {row['momentum']}" if row.get("momentum") else ""
    return f"{key[0]}  {name}, {how}" + (", weight decay" if row.get("decay") else "")


# One round of each engine: a function that does the row's work once over the n examples


def load(n):
    import mlp

    train, _, _ = mlp.load_mnist(validation=0)
    return train.X[:n], train.y[:n]


def mlp_round(row, n):
    import mlp

    X, y = load(n)
    output = "logistic" if "cost" in row else "softmax"
    net = images.make(row) if "images" in row else mlp.MLP(row["sizes"], hidden=row["hidden"], output=output, seed=0)
    objective = mlp.Objective(net, X, y, cost=row.get("cost"), weight_decay=row.get("decay", 0.0))
    start = net.theta.copy()
    if row.get("what") == "gradient":
        return lambda: objective(start)
    if row.get("what") == "lbfgs":
        return lambda: mlp.lbfgs(objective, start.copy(), maxiter=50, gtol=0, ftol=0)
    settings = {"learning_rate": row["rate"], "batch_size": row["batch"], "epochs": 1, "seed": 0}
    if row.get("adam"):
        return lambda: mlp.adam(objective, net.theta, **settings)
    return lambda: mlp.sgd(objective, net.theta, momentum=row.get("momentum", 0.0), **settings)


def products_round(row, n):
    """The matrix products of mlp's steps alone: forward, propagate and gradient of every layer."""
    if "images" in row:
        return images.products_round(row, n)
    from mlp.backprop import CHUNK
    from mlp.blas import gemm

    if row.get("what") == "lbfgs":
        return None
    rng = np.random.default_rng(0)
    sizes, batch = row["sizes"], row["batch"] or CHUNK
    W = [0.01 * rng.standard_normal((o, i), dtype=np.float32) for i, o in pairwise(sizes)]

    def arrays(m):
        """Activations, the input's a view of rows, and errors of m examples, which are columns."""
        A = [rng.random((m, sizes[0]), dtype=np.float32).T, *(rng.random((size, m), dtype=np.float32) for size in sizes[1:])]
        return A, [1e-6 * rng.standard_normal((size, m), dtype=np.float32) for size in sizes]

    sets = {m: arrays(m) for m in {min(batch, n), n % batch or batch}}

    def epoch():
        for start in range(0, n, batch):
            A, Delta = sets[min(batch, n - start)]
            for l in range(len(W)):
                gemm(1.0, W[l], A[l], 0.0, A[l + 1])
            for l in reversed(range(1, len(W))):
                gemm(1.0, W[l].T, Delta[l + 1], 0.0, Delta[l])
            for l in range(len(W)):
                gemm(-1e-9, Delta[l + 1], A[l].T, 1.0, W[l])

    return epoch


def torch_round(row, n, compiled=False, channels_last=False):
    import torch

    X, y = load(n)
    if "images" in row:
        return None if compiled else images.torch_round(row, X, y, channels_last)
    if channels_last:
        return None
    X, y = torch.from_numpy(X.astype(np.float32) / 255), torch.from_numpy(y)
    activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "logistic": torch.nn.Sigmoid}[row["hidden"]]
    torch.manual_seed(0)
    modules = []
    for i, o in zip(row["sizes"], row["sizes"][1:], strict=False):
        modules += [torch.nn.Linear(i, o), activation()]
    if "cost" in row:  # quadratic over logistic outputs
        model, target = torch.nn.Sequential(*modules[:-1], torch.nn.Sigmoid()), torch.nn.functional.one_hot(y, 10).float()

        def loss(x, t):
            return 0.5 * (model(x) - t).square().sum(1).mean()
    else:
        model, target = torch.nn.Sequential(*modules[:-1]), y
        cross_entropy = torch.nn.CrossEntropyLoss()

        def loss(x, t):
            return cross_entropy(model(x), t)

    if compiled:
        loss = torch.compile(loss)
    decay = row.get("decay", 0.0)
    if row.get("what") == "gradient":

        def gradient():
            model.zero_grad()
            loss(X, target).backward()

        return gradient
    if row.get("what") == "lbfgs":
        start = [parameter.detach().clone() for parameter in model.parameters()]
        weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]

        def lbfgs():
            with torch.no_grad():
                for parameter, value in zip(model.parameters(), start, strict=True):
                    parameter.copy_(value)
            optimizer = torch.optim.LBFGS(
                model.parameters(),
                max_iter=50,
                max_eval=1000,
                history_size=10,
                tolerance_grad=0,
                tolerance_change=0,
                line_search_fn="strong_wolfe",
            )

            def closure():
                optimizer.zero_grad()
                cost = loss(X, target) + 0.5 * decay * sum(w.square().sum() for w in weights)
                cost.backward()
                return cost

            optimizer.step(closure)

        return lbfgs
    groups = [
        {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": decay},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    if row.get("adam"):
        optimizer = torch.optim.Adam(groups, lr=row["rate"], fused=True)
    else:
        optimizer = torch.optim.SGD(groups, lr=row["rate"], momentum=row.get("momentum", 0.0), fused=True)

    def epoch():
        order = torch.randperm(n)
        for rows in order.split(row["batch"]):
            optimizer.zero_grad()
            loss(X[rows], target[rows]).backward()
            optimizer.step()

    return epoch


def jax_round(row, n, scanned=False):
    import jax
    import jax.numpy as jnp

    if row.get("what") == "lbfgs":
        return None
    X, y = load(n)
    if "images" in row:
        return None if scanned else images.jax_round(row, X, y)
    X, y = jnp.asarray(X.astype(np.float32) / 255), jnp.asarray(y.astype(np.int32))
    rng = np.random.default_rng(0)
    sizes = list(zip(row["sizes"], row["sizes"][1:], strict=False))
    theta = [(jnp.asarray(0.05 * rng.standard_normal((i, o), dtype=np.float32)), jnp.zeros(o, jnp.float32)) for i, o in sizes]
    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh, "logistic": jax.nn.sigmoid}[row["hidden"]]
    decay, momentum, rate = row.get("decay", 0.0), row.get("momentum", 0.0), row.get("rate", 0.0)

    def cost(theta, x, t):
        for W, b in theta[:-1]:
            x = activation(x @ W + b)
        W, b = theta[-1]
        z = x @ W + b
        if "cost" in row:
            data = 0.5 * jnp.mean(jnp.sum((jax.nn.sigmoid(z) - jax.nn.one_hot(t, 10)) ** 2, 1))
        else:
            data = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), t[:, None], 1))
        return data + (0.5 * decay * sum(jnp.sum(W * W) for W, _ in theta) if decay else 0.0)

    if row.get("what") == "gradient":
        whole = jax.jit(jax.value_and_grad(cost))
        return lambda: jax.block_until_ready(whole(theta, X, y))
    zeros = jax.tree.map(jnp.zeros_like, theta)

    def step(state, X, y, rows):
        theta, first, second, t = state
        gradient = jax.grad(cost)(theta, X[rows], y[rows])
        if row.get("adam"):
            t = t + 1
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
            c1, c2 = 1 - 0.9**t, 1 - 0.999**t
            theta = jax.tree.map(lambda p, m, v: p - rate * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), theta, first, second)
        elif momentum:
            first = jax.tree.map(lambda v, g: momentum * v - rate * g, first, gradient)
            theta = jax.tree.map(jnp.add, theta, first)
        else:
            theta = jax.tree.map(lambda p, g: p - rate * g, theta, gradient)
        return theta, first, second, t

    if scanned:  # the whole epoch is one compiled function

        def steps(state, X, y, order):
            return jax.lax.scan(lambda state, rows: (step(state, X, y, rows), None), state, order)[0]

        steps = jax.jit(steps, donate_argnums=0)
    one = jax.jit(step, donate_argnums=0)
    state = [(theta, zeros, jax.tree.map(jnp.zeros_like, theta) if row.get("adam") else None, jnp.float32(0))]
    if not (momentum or row.get("adam")):
        state[0] = (theta, None, None, jnp.float32(0))

    def epoch():
        order = rng.permutation(n)
        whole = n - n % row["batch"] if scanned else 0
        if whole:
            state[0] = steps(state[0], X, y, order[:whole].reshape(-1, row["batch"]))
        for start in range(whole, n, row["batch"]):
            state[0] = one(state[0], X, y, order[start : start + row["batch"]])
        jax.block_until_ready(state[0])

    return epoch


def sklearn_round(row, n):
    import warnings

    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if row.get("what") == "gradient" or "images" in row:
        return None
    warnings.simplefilter("ignore")  # it warns that it has not converged
    X, y = load(n)
    X = X.astype(np.float32) / 255
    settings = {
        "hidden_layer_sizes": row["sizes"][1:-1],
        "activation": row["hidden"],
        # it divides its penalty by the number of examples at hand once more
        "alpha": row.get("decay", 0.0) * (row["batch"] or n),
        "learning_rate_init": row.get("rate", 0.001),
        "random_state": 0,
    }
    if row.get("what") == "lbfgs":
        return lambda: MLPClassifier(**settings, solver="lbfgs", max_iter=50, max_fun=10**6, tol=0).fit(X, y)
    settings.update(batch_size=row["batch"], momentum=row.get("momentum", 0.0), nesterovs_momentum=False)
    settings["solver"] = "adam" if row.get("adam") else "sgd"
    if "cost" in row:  # it has no quadratic classifier; the nearest is regression on the ten indicators
        model, target = MLPRegressor(**settings), np.eye(10, dtype=np.float32)[y]
        return lambda: model.partial_fit(X, target)
    model = MLPClassifier(**settings)
    return lambda: model.partial_fit(X, y, classes=np.arange(10))


def fit_round(engine, n):
    """The same class name, settings and data; only the import differs."""
    import warnings

    if engine == "mlp":
        from mlp.estimators import MLPClassifier
    elif engine == "scikit-learn":
        from sklearn.neural_network import MLPClassifier
    else:
        return None
    warnings.simplefilter("ignore")  # both warn that three epochs are few
    X, y = load(n)
    X = X.astype(np.float32) / 255
    return lambda: MLPClassifier(max_iter=3, random_state=0).fit(X, y)


def predict_round(engine, row):
    """Classes of 2,000 images that come one at a time, (1, 784) floats, each engine's network with weights of its own."""
    X, y = load(2000)
    images = [image[None] for image in X.astype(np.float32) / 255]
    if engine == "mlp":
        import mlp

        answer = mlp.MLP(row["sizes"], seed=0).predict
    elif engine == "torch":
        import torch
        from torch import nn

        inputs, hidden, outputs = row["sizes"]
        model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)).eval()

        @torch.inference_mode()
        def answer(image):
            return model(torch.from_numpy(image)).argmax(1).numpy()

    elif engine == "jax":
        import jax
        import jax.numpy as jnp

        theta = [(jnp.ones((o, i)), jnp.zeros(o)) for i, o in pairwise(row["sizes"])]

        @jax.jit
        def classes(theta, x):
            (W, b), (V, c) = theta
            return (jax.nn.relu(x @ W.T + b) @ V.T + c).argmax(1)

        def answer(image):
            return np.asarray(classes(theta, image))

    elif engine == "scikit-learn":
        import warnings

        from sklearn.neural_network import MLPClassifier

        warnings.simplefilter("ignore")  # one epoch is few
        answer = MLPClassifier(row["sizes"][1], max_iter=1).fit(X.astype(np.float32) / 255, y).predict
    elif engine == "onnxruntime":
        import onnxruntime

        import mlp

        with tempfile.TemporaryDirectory() as room:
            mlp.save(f"{room}/net.onnx", mlp.MLP(row["sizes"], seed=0))
            session = onnxruntime.InferenceSession(f"{room}/net.onnx")
        name, output = session.get_inputs()[0].name, session.get_outputs()[0].name

        def answer(image):
            return session.run([output], {name: image})[0]  # the class

    else:
        return None

    def each():
        for image in images:
            answer(image)

    return each


def product_round(engine, row, n):
    """H v at one θ again and again; engines that can keep what doesn't depend on v do. The network's input is its target
    where they are of one size, with a logistic output."""
    sizes, auto = row["sizes"], row["sizes"][0] == row["sizes"][-1]
    X, y = load(min(n, 10_000))
    rng = np.random.default_rng(0)
    if engine == "mlp":
        import mlp

        net = mlp.MLP(sizes, hidden=row["hidden"], output="logistic" if auto else "softmax", seed=0)
        objective = mlp.Objective(net, X, None if auto else y)
        v = rng.standard_normal(net.theta.size, dtype=np.float32)
        return lambda: objective.hessp(net.theta, v)
    X = X.astype(np.float32) / 255
    W = [0.05 * rng.standard_normal((i, o), dtype=np.float32) for i, o in pairwise(sizes)]
    theta = [part for w in W for part in (w, np.zeros(w.shape[1], np.float32))]
    v = [rng.standard_normal(part.shape, dtype=np.float32) for part in theta]
    if engine == "torch":  # double backward: the gradient's graph is kept
        import torch

        σ = {"relu": torch.relu, "logistic": torch.sigmoid}[row["hidden"]]
        X, y = torch.from_numpy(X), torch.from_numpy(y.astype(np.int64))
        theta, v = [torch.from_numpy(part).requires_grad_() for part in theta], [torch.from_numpy(part) for part in v]
        z = X
        for number, (w, b) in enumerate(zip(theta[::2], theta[1::2], strict=True)):
            z = torch.addmm(b, z if number == 0 else σ(z), w)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits
        cost = entropy(z, X, reduction="sum") / len(X) if auto else torch.nn.functional.cross_entropy(z, y)
        gradient = torch.autograd.grad(cost, theta, create_graph=True)
        return lambda: torch.autograd.grad(gradient, theta, v, retain_graph=True)
    if engine == "jax":
        import jax
        import jax.numpy as jnp

        σ = {"relu": jax.nn.relu, "logistic": jax.nn.sigmoid}[row["hidden"]]
        X, y = jnp.asarray(X), jnp.asarray(y.astype(np.int32))
        theta, v = [jnp.asarray(part) for part in theta], [jnp.asarray(part) for part in v]

        def cost(theta, x, t):
            z = x
            for number, (w, b) in enumerate(zip(theta[::2], theta[1::2], strict=True)):
                z = (z if number == 0 else σ(z)) @ w + b
            if auto:
                return jnp.mean(jnp.sum(jax.nn.softplus(z) - x * z, 1))
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), t[:, None], 1))

        def product(theta, v, x, t):
            return jax.jvp(lambda theta: jax.grad(cost)(theta, x, t), (theta,), (v,))[1]

        product = jax.jit(product)
        return lambda: jax.block_until_ready(product(theta, v, X, y))
    return None


ROUNDS = {
    "mlp": mlp_round,
    "products": products_round,
    "torch": torch_round,
    "torch.channels_last": lambda row, n: torch_round(row, n, channels_last=True),
    "torch.compile": lambda row, n: None if row.get("what") == "lbfgs" else torch_round(row, n, compiled=True),
    "jax": jax_round,
    "jax.scan": lambda row, n: None if row["batch"] is None else jax_round(row, n, scanned=True),
    "scikit-learn": sklearn_round,
}

# Row i: whole commands, from process start

TORCH_SCRIPT = """
import gzip, sys
import numpy as np, torch

def read(name, offset):
    with gzip.open(f"{sys.argv[1]}/{name}.gz") as stream:
        return np.frombuffer(stream.read(), np.uint8, offset=offset)

X = torch.from_numpy(read("train-images-idx3-ubyte", 16).reshape(-1, 784).astype(np.float32) / 255)[:50000]
y = torch.from_numpy(read("train-labels-idx1-ubyte", 8).astype(np.int64))[:50000]
test_X = torch.from_numpy(read("t10k-images-idx3-ubyte", 16).reshape(-1, 784).astype(np.float32) / 255)
test_y = torch.from_numpy(read("t10k-labels-idx1-ubyte", 8).astype(np.int64))
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
epochs = 12
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=5e-4, fused=True)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
loss = torch.nn.CrossEntropyLoss()
for _ in range(epochs):
    for rows in torch.randperm(len(X)).split(128):
        optimizer.zero_grad()
        loss(model(X[rows]), y[rows]).backward()
        optimizer.step()
    schedule.step()
with torch.no_grad():
    accuracy = (model(test_X).argmax(1) == test_y).float().mean().item()
torch.save(model.state_dict(), sys.argv[2])
print(f"Test accuracy: {100 * accuracy:.2f} %")
"""


def command_round(engine, environment):
    """Time a whole command; returns (seconds, peak memory in MB, test accuracy in %)."""
    data = Path(__file__).resolve().parent.parent / "data" / "mnist"
    with tempfile.TemporaryDirectory() as room:
        if engine == "mlp":
            command = [sys.executable, "-m", "mlp.train", "--quiet", "--no-plots", "--data", data, "--out", f"{room}/run"]
        else:
            command = [sys.executable, "-c", TORCH_SCRIPT, data, f"{room}/model.pt"]
        # a process of its own to wait for it, so that the memory measured is the command's
        waiting = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); " + (
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", waiting, *map(str, command)], env=environment, capture_output=True, text=True, check=True
        )
        seconds = time.perf_counter() - begun
    accuracy, *_, memory = done.stdout.splitlines()
    return seconds, int(memory) / 1024, float(accuracy.removeprefix("Test accuracy: ").split(" ")[0])


# Taking turns


class Worker:
    """An engine in a process of its own, which does a round when told to."""

    def __init__(self, engine, key, n, environment):
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (`close` closes it)
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", engine, key, "--examples", str(n)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def answer(self):
        line = self.process.stdout.readline().strip()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"{' '.join(self.process.args[1:])} ended early:\n{self.errors.read()[-2000:]}")
        return line

    def round(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.answer())

    def close(self):
        self.process.communicate()  # ends its input, waits and closes
        self.errors.close()


def work(engine, key, n):
    """The worker's side: prepare, warm up, then a round for each line of input."""
    row = ROWS[key]
    special = {
        "product": lambda: product_round(engine, row, n),
        "fit": lambda: fit_round(engine, n),
        "predict": lambda: predict_round(engine, row),
    }
    do = special.get(row.get("what"), lambda: ROUNDS[engine](row, n) if engine in ROUNDS else None)()
    if do is None:
        print("none", flush=True)
        return
    do()
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        do()
        print(time.perf_counter() - begun, flush=True)


def measure(key, engines, n, rounds, environment):
    """Seconds by engine, a list with one figure for each round."""
    if key == "i":
        seconds = {engine: [] for engine in engines if engine in ("mlp", "torch")}
        for _ in range(rounds):
            for engine, figures in seconds.items():
                figures.append(command_round(engine, environment))
        for engine, figures in seconds.items():
            memory, accuracy = (statistics.median(f[k] for f in figures) for k in (1, 2))
            below = "" if accuracy >= 98 else ", BELOW 98 %"
            print(f"     {engine}: peak memory {memory:.0f} MB, test accuracy {accuracy:.2f} %{below}")
        return {engine: [f[0] for f in figures] for engine, figures in seconds.items()}
    workers = {}
    for engine in engines:  # one after the other: warming up is part of no figure
        worker = Worker(engine, key, n, environment)
        if worker.answer() == "ready":
            workers[engine] = worker
        else:
            worker.close()
    seconds = {engine: [] for engine in workers}
    for number in range(rounds + 1):
        for engine, worker in workers.items():
            time.sleep(0.1)  # the last engine's threads have stopped spinning
            figure = worker.round()
            if number:
                seconds[engine].append(figure)
    for worker in workers.values():
        worker.close()
    return seconds


def report(key, seconds):
    """Print a row; returns it as data."""
    own = seconds["mlp"]
    print(f"{title(key, ROWS[key])}")
    facts = {}
    for engine, figures in seconds.items():
        ratio = statistics.median(mine / other for mine, other in zip(own, figures, strict=True))
        facts[engine] = {"seconds": statistics.median(figures), "ratio": ratio, "rounds": figures}
        note = "" if engine == "mlp" else f"   mlp / {engine}: {ratio:.2f}"
        print(f"     {engine:14}{statistics.median(figures):9.3f} s{note}", flush=True)
    return facts


def draw(results, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1 + 1.1 * len(results)), layout="constrained")
    axes = figure.subplots(len(results), 1, squeeze=False)[:, 0]
    colours = dict(
        zip(
            ENGINES,
            ("#0072B2", "#999999", "#D55E00", "#F0E442", "#E69F00", "#009E73", "#56B4E9", "#CC79A7", "#882255"),
            strict=True,
        )
    )
    for ax, (key, facts) in zip(axes, results.items(), strict=True):
        names = list(facts)
        bars = ax.barh(names, [facts[name]["seconds"] for name in names], color=[colours[name] for name in names])
        ax.bar_label(bars, fmt="%.2f s", padding=3, fontsize=8)
        ax.invert_yaxis()
        ax.set_title(title(key, ROWS[key]), loc="left", fontsize=9)
        ax.tick_params(labelsize=8)
        ax.margins(x=0.12)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("seconds a round (an epoch, a gradient, 50 iterations, the command): shorter is better")
    figure.savefig(path, dpi=130)
    print(f"Bar chart: {path}")


# Scaling


def scaling(path, most):
    """Seconds an epoch against examples (in a file that is mapped, not read), layers and widths; memory against examples."""
    import resource

    from matplotlib.figure import Figure

    import mlp

    def epoch(X, y, sizes):
        net = mlp.MLP(sizes, seed=0)
        objective = mlp.Objective(net, X, y)
        mlp.sgd(objective, net.theta, learning_rate=0.01, epochs=1)
        best = np.inf
        for _ in range(3):
            begun = time.perf_counter()
            mlp.sgd(objective, net.theta, learning_rate=0.01, epochs=1)
            best = min(best, time.perf_counter() - begun)
        return best

    def weights(sizes):
        return sum(i * o for i, o in pairwise(sizes))

    images, labels = load(60_000)
    counts = sorted({*(n for n in (10_000, 30_000, 100_000, 300_000, 1_000_000) if n < most), most})
    panels = []  # x label, title, xs, seconds, what they should be proportional to
    with tempfile.TemporaryDirectory() as room:
        file = Path(room) / "images-idx3-ubyte"
        with file.open("wb") as stream:
            stream.write(struct.pack(">BBBB3I", 0, 0, 8, 3, most, 28, 28))
            for start in range(0, most, len(images)):
                stream.write(images[: most - start].tobytes())
        X, y = mlp.read_idx(file, mapped=True).reshape(most, 784), np.resize(labels, most)
        few = images[:10_000].copy()
        del images
        seconds = []
        for n in counts:
            seconds.append(epoch(X[:n], y[:n], [784, 256, 10]))
            print(
                f"{n:,} examples: {seconds[-1]:.3f} s, {1e6 * seconds[-1] / n:.2f} µs each, "
                f"{_anonymous_memory():.0f} MB of anonymous memory"
            )
        panels.append(("examples", "784-256-10, IDX file mapped into memory", counts, seconds, counts))
        y = labels[:10_000]
        for label, name, xs, shape in (
            ("hidden layers of 256", "10,000 examples", [1, 2, 4, 8, 16], lambda d: [784, *[256] * d, 10]),
            ("width w", "10,000 examples, 784-w-w-10", [64, 128, 256, 512, 1024], lambda w: [784, w, w, 10]),
        ):
            seconds = [epoch(few, y, shape(x)) for x in xs]
            for x, s in zip(xs, seconds, strict=True):
                print(f"{name}, {x:,} {label}: {s:.3f} s, {1e9 * s / 1e4 / weights(shape(x)):.3f} ns an example and weight")
            panels.append((label, name, xs, seconds, [weights(shape(x)) for x in xs]))
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for ax, (label, name, xs, seconds, work) in zip(figure.subplots(1, 3), panels, strict=True):
        ax.loglog(xs, seconds, "o-", color="#0072B2", label="measured")
        straight = [seconds[-1] * amount / work[-1] for amount in work]
        ax.loglog(xs, straight, "--", color="#999999", label="proportional to the " + ("examples" if work is xs else "weights"))
        ax.set(xlabel=label, ylabel="seconds an epoch", title=name)
        ax.legend(frameon=False)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"The file has {most * 784 / 1e6:,.0f} MB; {resident:.0f} MB were resident at the peak, its pages included")
    figure.savefig(path, dpi=130)
    print(f"Plot: {path}")


def _anonymous_memory():
    """Memory of this process that no file stands behind, in MB (0 where the system doesn't say)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)


def machine():
    try:
        names = [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help="which, such as b,c,g800 (all)")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which, such as mlp,jax (all that are installed)")
    parser.add_argument("--rounds", type=int, default=9, help="how often each engine takes its turn (9)")
    parser.add_argument("--examples", type=int, default=60_000, help="how many training images (60000)")
    parser.add_argument("--quick", action="store_true", help="3 rounds over 12,800 images, without row i")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="draw the bar chart there")
    parser.add_argument("--scaling", action="store_true", help="time against examples, layers and widths instead; see --plot")
    parser.add_argument("--most", type=int, default=1_000_000, help="examples of the largest scaling run (1000000)")
    parser.add_argument("--keep-environment", action="store_true", help="keep variables such as OPENBLAS_CORETYPE")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(*options.worker, options.examples)
    if options.scaling:
        return scaling(options.plot or Path("scaling.png"), options.most)
    if options.quick:
        options.examples, options.rounds = min(options.examples, 12_800), min(options.rounds, 3)
    for option, given, known in (("--rows", options.rows, ROWS), ("--engines", options.engines, ENGINES)):
        for name in given.split(","):
            if name not in known:
                parser.error(f"{option}: received {name!r}, but it must be among {', '.join(known)}")
    if options.rounds < 1 or "mlp" not in options.engines.split(","):
        parser.error("--rounds must be at least 1, and --engines must hold mlp, with which the others are compared")
    tying = [] if options.keep_environment else [name for name in os.environ if name.startswith(TYING)]
    environment = {name: value for name, value in os.environ.items() if name not in tying}
    engines = [engine for engine in options.engines.split(",") if importlib.util.find_spec(MODULES[engine])]
    versions = {
        name: importlib.metadata.version(name) for name in ("numpy", "scipy", "torch", "jax", "scikit-learn") if _has(name)
    }
    print(f"{machine()}; Python {platform.python_version()}, " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    if tying:
        print(f"left out of the environment: {', '.join(sorted(tying))}")
    results = {}
    for key in options.rows.split(","):
        if key == "i" and options.quick:
            continue
        results[key] = report(key, measure(key, engines, options.examples, options.rounds, environment))
        if options.json:
            facts = {"machine": machine(), "versions": versions, "examples": options.examples, "rows": results}
            options.json.write_text(json.dumps(facts, indent=1))
    if options.plot:
        draw(results, options.plot)
    return None


def _has(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
