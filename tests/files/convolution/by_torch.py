"""The networks of by_torch.npz, and PyTorch's word on them: outputs, cost and gradients in float64.

    python tests/files/convolution/by_torch.py      # writes by_torch.npz anew beside itself

tests/layers/test_conv.py calls `torch_says` where torch is installed, and reads by_torch.npz everywhere.
"""

import warnings
from pathlib import Path

import numpy as np

import mlp
from mlp import Conv, MaxPool, MeanPool

FILE = Path(__file__).with_name("by_torch.npz")

#: What `mlp.MLP` makes each network of. PyTorch is given the same entries, not what mlp made of them.
NETWORKS = {
    "lenet": [(10, 10), Conv(3, 3, "relu"), MaxPool(2), Conv(4, 3, "relu"), MaxPool(2), 5, 3],
    "strides that leave a rest": [(11, 9, 2), Conv(3, (3, 2), "tanh", stride=(3, 2)), MeanPool(2), 4],
    "padding": [(6, 7, 3), Conv(2, (3, 4), "logistic", padding=(1, 2), stride=2), 3],
    "same, kernel of 4": [(6, 5, 2), Conv(3, (4, 3), "softplus", padding="same"), Conv(2, 1, "tanh"), 3],
    "overlapping pools": [(9, 8, 2), MaxPool(3, stride=2), Conv(3, 2, "tanh"), MeanPool((3, 2), stride=1), 3],
    "mean pool first": [(7, 5, 3), MeanPool((2, 1), stride=(1, 2)), MaxPool(2, stride=1), 4, 3],
}


def make(name, seed=0, n=3):
    """A network, and examples for it: X (n, features) and labels (n,)."""
    rng = np.random.default_rng(seed)
    net = mlp.MLP(NETWORKS[name], hidden="tanh", dtype="float64", seed=rng)
    net.theta[:] = 0.5 * rng.standard_normal(net.theta.size)
    return net, rng.standard_normal((n, net.layers[0].fan_in)), rng.integers(0, net.sizes[-1], n)


def torch_says(name, theta, X, y):
    """(outputs, cost, ∂C/∂θ, ∂C/∂X) of the softmax classifier with these parameters."""
    import torch
    from torch.nn import functional

    vector, images = (torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in (theta, X))
    used = 0

    def take(*shape):
        nonlocal used
        used += np.prod(shape)
        return vector[used - np.prod(shape) : used].reshape(shape)

    shape, *entries = NETWORKS[name]
    A = images.reshape(len(X), *shape[:2], -1).permute(0, 3, 1, 2)  # PyTorch has channels first
    for entry in entries:
        if isinstance(entry, Conv):
            W = take(entry.maps, *entry.window, A.shape[1]).permute(0, 3, 1, 2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch pads even kernels by a copy, and says so
                A = functional.conv2d(A, W, take(entry.maps), stride=entry.stride, padding=entry.padding)
            A = {"relu": functional.relu, "tanh": torch.tanh, "logistic": torch.sigmoid, "softplus": functional.softplus}[
                entry.own_activation.name
            ](A)
        elif isinstance(entry, MaxPool | MeanPool):
            pool = functional.max_pool2d if isinstance(entry, MaxPool) else functional.avg_pool2d
            A = pool(A, entry.window, stride=entry.stride)
        else:
            flat = A.permute(0, 2, 3, 1).reshape(len(X), -1) if A.ndim == 4 else torch.tanh(A)
            A = flat @ take(entry, flat.shape[1]).T + take(entry)
    cost = functional.cross_entropy(A, torch.tensor(y))
    cost.backward()
    return functional.softmax(A, dim=1).detach().numpy(), cost.item(), vector.grad.numpy(), images.grad.numpy()


if __name__ == "__main__":
    arrays = {}
    for number, name in enumerate(NETWORKS):
        net, X, y = make(name)
        outputs, cost, gradient, input_gradient = torch_says(name, net.theta, X, y)
        values = {"theta": net.theta, "X": X, "y": y, "outputs": outputs, "cost": cost, "gradient": gradient}
        values["input_gradient"] = input_gradient
        arrays |= {f"{number}/{key}": value for key, value in values.items()}
    np.savez_compressed(FILE, **arrays)
