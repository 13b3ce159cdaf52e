"""What the tests of exports share: networks of every kind that there is, and two that have learnt digits."""

import numpy as np
import pytest

import mlp

#: Layers by what they try, each with the activation of the hidden layers and of the output.
NETWORKS = {
    "dense": ([7, 5, 4, 3], "relu", "softmax"),
    "no hidden layer": ([7, 3], "relu", "softmax"),
    "softplus, one logistic output": ([7, 5, 1], "softplus", "logistic"),
    "tanh, several logistic outputs": ([7, 5, 3], "tanh", "logistic"),
    "logistic, numbers": ([7, 5, 3], "logistic", "identity"),
    "one number": ([7, 5, 1], "identity", "identity"),
    "outputs from -1 to 1": ([7, 5, 2], "relu", "tanh"),
    "convolution": ([(9, 8), mlp.Conv(3, 3), 4], "relu", "softmax"),
    "channels": ([(9, 8, 3), mlp.Conv(4, (3, 2)), mlp.Conv(2, 2), 5, 4], "tanh", "softmax"),
    "padding and stride": ([(9, 8, 2), mlp.Conv(4, (3, 5), padding=(1, 2), stride=(2, 3)), 4], "relu", "softmax"),
    "same, more below and right": ([(9, 8, 2), mlp.Conv(3, (4, 2), padding="same"), 4], "relu", "softmax"),
    "same with stride": ([(9, 8, 2), mlp.Conv(3, 4, padding="same", stride=3), 4], "relu", "softmax"),
    "pools": ([(12, 12), mlp.Conv(3, 3), mlp.MaxPool(2), mlp.Conv(4, 2), mlp.MeanPool(2), 4], "relu", "softmax"),
    "pools that leave a rest": ([(9, 8, 2), mlp.MaxPool(2), mlp.MeanPool((3, 2), 1), 4], "relu", "softmax"),
    "pools that overlap": ([(9, 8, 2), mlp.MaxPool(3, 2), mlp.MeanPool((2, 3), (1, 2)), 4], "relu", "softmax"),
    "an image into dense layers": ([(4, 3, 2), 5, 4], "relu", "softmax"),
    "one place": ([(4, 3), mlp.Conv(5, (4, 3)), 4], "relu", "softmax"),
    "maps that are classes": ([(4, 3, 2), mlp.Conv(5, (4, 3), "softmax")], "relu", "softmax"),
    "maps as numbers": ([(4, 3, 2), mlp.Conv(3, 2, "identity")], "relu", "identity"),
}


@pytest.fixture(params=NETWORKS)
def net(request):
    """One network after another, with weights and biases that are not 0."""
    layers, hidden, output = NETWORKS[request.param]
    net = mlp.MLP(layers, hidden=hidden, output=output, seed=1)
    net.theta = np.random.default_rng(1).normal(0, 0.5, net.theta.size)
    return net


@pytest.fixture(scope="session", params=[1000, pytest.param(10_000, marks=pytest.mark.slow)])
def digits(request):
    """Test images of MNIST's, 8-bit (1,000 or, slow, all 10,000, 784)."""
    return mlp.load_mnist()[2].X[: request.param]


@pytest.fixture(scope="session", params=["dense", "convolutional"])
def trained(request):
    """A network that tells digits apart."""
    train, _, _ = mlp.load_mnist(validation=55_000)
    lenet = [(28, 28), mlp.Conv(6, 5, padding=2), mlp.MaxPool(2), mlp.Conv(12, 5), mlp.MeanPool(2), 10]
    net = mlp.MLP([784, 100, 10] if request.param == "dense" else lenet, seed=0)
    objective = mlp.Objective(net, train.X, train.y)
    mlp.sgd(objective, net.theta, learning_rate=0.1, momentum=0.9, batch_size=100, epochs=3, seed=0)
    return net
