"""The scripts of second derivatives, each in a small setting with warnings as errors: their numbers, and their pictures."""

import re

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.decomposition import PCA

import mlp


@pytest.fixture
def run(run_script, tmp_path):
    """What the script prints, which must have left a picture."""

    def run_and_look(script, *arguments):
        printed = run_script(script, *arguments)
        picture = tmp_path / script.replace(".py", ".png")
        assert printed.endswith(f"wrote {picture.name}\n")
        pixels = imread(picture)[..., :3]
        assert min(pixels.shape[:2]) > 400
        assert 0.01 < (pixels < 0.9).any(axis=2).mean() < 0.9
        return printed

    return run_and_look


def numbers(line):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?", line.replace(",", ""))]


def lines_with(label, printed):
    return [line.split(label, 1)[1] for line in printed.splitlines() if label in line]


def largest_eigenvalue(objective, theta):
    """By Lanczos over central differences of the gradient, which know nothing of products."""

    def times(v):
        h = 1e-4 / np.linalg.norm(v)
        return (objective(theta + h * v)[1] - objective(theta - h * v)[1]) / (2 * h)

    operator = LinearOperator((theta.size, theta.size), matvec=lambda v: times(np.ravel(v)), dtype=np.float64)
    return eigsh(operator, k=1, which="LA", return_eigenvectors=False)[0]


def test_hessian_spectrum(run):
    printed = run(
        "hessian_spectrum.py", "--examples", "200", "--units", "10", "--steps", "30", "--epochs", "20", "--vectors", "2"
    )
    largest = [numbers(line) for line in lines_with("largest: ", printed)]
    train = mlp.load_mnist(validation=0)[0][:200]
    net = mlp.MLP([784, 10, 10], hidden="tanh", dtype="float64", seed=0)
    objective = mlp.Objective(net, train.X, train.y)
    assert largest[0][0] == pytest.approx(largest_eigenvalue(objective, net.theta), abs=6e-4)
    # The trace over the number of eigenvalues is their mean: here from every hundredth diagonal entry, by central differences
    some = np.arange(0, net.theta.size, 100)
    diagonal = []
    for k in some:
        h = 1e-4 * np.eye(1, net.theta.size, k)[0]
        diagonal.append((objective(net.theta + h)[1][k] - objective(net.theta - h)[1][k]) / 2e-4)
    means = [numbers(line)[0] for line in lines_with("mean: ", printed)]
    assert means[0] == pytest.approx(np.mean(diagonal), rel=0.5)
    for values in largest:
        assert (np.diff(values) <= 0).all()
    # Softmax probabilities sum to 1: nine directions for ten classes (Sagun et al. 2016: as many outliers as classes)
    trained = printed[printed.index("Trained") :]
    assert numbers(lines_with("widest gap after: ", trained)[0])[0] in (8, 9, 10)
    for name in ("gradient", "batches of 50"):
        of_first, of_nine = numbers(lines_with(f"  {name}: ", trained)[0])[0:3:2]
        assert 0 < of_first <= of_nine <= 100
        assert of_nine > 1  # where nine of 7,960 random directions would hold 0.1 %


def test_edge_of_stability(run):
    settings = ["--examples", "100", "--units", "20", "--rates", "0.25", "0.02", "--steps", "1000", "--every", "50"]
    printed = run("edge_of_stability.py", *settings)
    at_edge, far = [numbers(line) for line in printed.splitlines()[1:3]]
    train = mlp.load_mnist(validation=0)[0][:100]
    X = train.X / 255
    net = mlp.MLP([784, 20, 20, 10], hidden="tanh", output="identity", dtype="float64", seed=0)
    first = largest_eigenvalue(mlp.Objective(net, X - X.mean(axis=0), np.eye(10)[train.y]), net.theta)
    for rate, edge, start, late, times, _ in (at_edge, far):
        assert edge == pytest.approx(2 / rate, abs=0.06)
        assert start == pytest.approx(first, rel=2e-3)
        assert times == pytest.approx(late / edge, rel=0.02)
    assert at_edge[4] == pytest.approx(1, abs=0.1)  # Cohen et al. 2021: it hovers at 2/η, just above
    assert far[4] < 0.5  # and on its way there is below


def test_newton_from_scipy(run):
    printed = run("newton_from_scipy.py", "--examples", "300", "--units", "5", "--passes", "100")
    train = mlp.load_mnist(validation=0)[0][:300]
    net = mlp.MLP([784, 5, 10], hidden="tanh", dtype="float64", seed=0)
    start = mlp.Objective(net, train.X, train.y, weight_decay=1e-3)(net.theta)[0]
    for method, second in (("trust-krylov", True), ("Newton-CG", True), ("L-BFGS-B", False), ("CG", False)):
        (line,) = [line for line in printed.splitlines() if line.startswith(f"{method} ")]
        cost, passes, products, seconds = numbers(line.split(" ", 1)[1])[:4]
        assert cost < 0.7 * start
        assert passes == 100
        assert (0 < products < 100) if second else products == 0
        assert seconds > 0


def test_deep_autoencoder(run, monkeypatch):
    train, _, test = mlp.load_mnist(validation=0)
    few = train[:3000], None, test[:1000]
    monkeypatch.setattr(mlp, "load_mnist", lambda **_: few)
    settings = ["--examples", "300", "--sizes", "20", "5", "--seconds", "0.5", "--subset", "50"]
    printed = run("deep_autoencoder.py", *settings)
    train, _, test = few
    pca = PCA(5, svd_solver="covariance_eigh").fit(train.X / 255)
    X = test.X / 255
    error = np.mean(np.sum((pca.inverse_transform(pca.transform(X)) - X) ** 2, axis=1))
    assert numbers(lines_with("training images: ", printed)[0])[0] == pytest.approx(error, abs=2e-3)
    net = mlp.MLP([784, 20, 5, 20, 784], hidden=["tanh", "identity", "tanh"], output="logistic", seed=0)
    untrained = np.mean(np.sum((net.forward(test.X) - X) ** 2, axis=1))
    for line in lines_with("784-20-5-20-784: ", printed) + lines_with("784-20-2-20-784: ", printed):
        error, seconds, steps = numbers(line)
        assert error < untrained  # by how much depends on how busy the machine is
        assert seconds >= 0.5
        assert steps >= 1
