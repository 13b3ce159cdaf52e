"""The convolutional rows of benchmark.py: the same network for each engine, built from mlp's own layers.

Each function makes an epoch of mini-batch descent with momentum over X (n, 784) and y, as benchmark.py's do. Images are
floats in [0, 1] in memory for PyTorch and JAX, 8-bit for mlp.
"""

from math import prod

import numpy as np


def make(row):
    import mlp
    from mlp.layers import parse

    return mlp.MLP([(28, 28), *parse(row["images"]), 10], hidden=row["hidden"], seed=0)


def products_round(row, n):
    """The products of "im2col" alone: every window of a batch in a column of one contiguous matrix."""
    from mlp.blas import gemm

    net, rng, batch = make(row), np.random.default_rng(0), row["batch"]
    layers = []
    for number, layer in enumerate(layer for layer in net.layers if layer.size):
        columns = batch * prod(layer.out_shape[:-1])  # places; of a dense layer, examples
        maps, inputs = layer.W.shape
        W, windows, Z = (rng.random(shape, dtype=np.float32) for shape in ((maps, inputs), (inputs, columns), (maps, columns)))
        layers.append((number > 0, W, windows, Z, np.empty_like(windows)))

    def epoch():
        for _ in range(0, n, batch):
            for propagates, W, windows, Z, errors in layers:
                gemm(1.0, W, windows, 0.0, Z)
                if propagates:
                    gemm(1.0, W.T, Z, 0.0, errors)
                gemm(1e-9, Z, windows.T, 0.0, W)

    return epoch


def torch_round(row, X, y, channels_last):
    import torch
    from torch import nn

    activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[row["hidden"]]
    torch.manual_seed(0)
    modules, net = [], make(row)
    for layer in net.layers:
        if layer.kind == "conv":
            channels, padding = layer.in_shape[2], (layer.windows.padding[0][0], layer.windows.padding[1][0])
            modules += [nn.Conv2d(channels, layer.maps, layer.window, layer.stride, padding), activation()]
        elif layer.kind in ("maxpool", "meanpool"):
            modules.append({"maxpool": nn.MaxPool2d, "meanpool": nn.AvgPool2d}[layer.kind](layer.window, layer.stride))
        else:
            flatten = [] if any(isinstance(module, nn.Flatten) for module in modules) else [nn.Flatten()]
            modules += [*flatten, nn.Linear(layer.fan_in, layer.units), activation()]
    model = nn.Sequential(*modules[:-1])  # the output is the loss's affair
    X, y = torch.from_numpy(X.astype(np.float32).reshape(-1, 1, 28, 28) / 255), torch.from_numpy(y)
    if channels_last:
        model, X = model.to(memory_format=torch.channels_last), X.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=row["rate"], momentum=row["momentum"], fused=True)
    loss = nn.CrossEntropyLoss()

    def epoch():
        for rows in torch.randperm(len(X)).split(row["batch"]):
            optimizer.zero_grad()
            loss(model(X[rows]), y[rows]).backward()
            optimizer.step()

    return epoch


def jax_round(row, X, y):
    import jax
    import jax.numpy as jnp
    from jax import lax

    net, activation, rate, momentum = (
        make(row),
        {"relu": jax.nn.relu, "tanh": jnp.tanh}[row["hidden"]],
        row["rate"],
        row["momentum"],
    )
    kinds = [(layer.kind, layer) for layer in net.layers]
    theta = []
    for kind, layer in kinds:
        W = layer.W.T if layer.size else None  # filters lie row by row, channels last, as JAX wants them
        if kind == "conv":
            W = W.reshape(*layer.window, layer.in_shape[2], layer.maps)
        theta.append((jnp.asarray(W), jnp.asarray(layer.b)) if layer.size else ())

    def cost(theta, x, t):
        x = x.reshape(-1, 28, 28, 1)
        for (kind, layer), parameters in zip(kinds, theta, strict=True):
            if kind == "conv":
                W, b = parameters
                x = lax.conv_general_dilated(
                    x, W, layer.stride, layer.windows.padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
                x = activation(x + b)
            elif kind in ("maxpool", "meanpool"):
                window, stride = (1, *layer.window, 1), (1, *layer.stride, 1)
                if kind == "maxpool":
                    x = lax.reduce_window(x, -jnp.inf, lax.max, window, stride, "VALID")
                else:
                    x = lax.reduce_window(x, 0.0, lax.add, window, stride, "VALID") / prod(layer.window)
            else:
                W, b = parameters
                x = x.reshape(len(x), -1) @ W + b
                x = x if layer is net.layers[-1] else activation(x)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], 1))

    def step(state, X, y, rows):
        theta, velocity = state
        gradient = jax.grad(cost)(theta, X[rows], y[rows])
        velocity = jax.tree.map(lambda v, g: momentum * v - rate * g, velocity, gradient)
        return jax.tree.map(jnp.add, theta, velocity), velocity

    one = jax.jit(step, donate_argnums=0)
    X, y = jnp.asarray(X.astype(np.float32) / 255), jnp.asarray(y.astype(np.int32))
    state, rng = [(theta, jax.tree.map(jnp.zeros_like, theta))], np.random.default_rng(0)

    def epoch():
        order = rng.permutation(len(X))
        for start in range(0, len(X), row["batch"]):
            state[0] = one(state[0], X, y, order[start : start + row["batch"]])
        jax.block_until_ready(state[0])

    return epoch
