"""The lectures' scripts, each in a small setting with warnings as errors: their numbers, and their pictures."""

import math
import re

import numpy as np
import pytest
from matplotlib.image import imread
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

import mlp


def check_picture(printed, path):
    """The picture was written where the script says, and there is something on it."""
    assert printed.endswith(f"wrote {path.name}\n")
    pixels = imread(path)[..., :3]
    assert min(pixels.shape[:2]) > 400
    inked = (pixels < 0.9).any(axis=2)
    assert 0.01 < inked.mean() < 0.9
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


def numbers_after(label, printed):
    """The numbers on the line that starts with the label."""
    (line,) = re.findall(rf"^ *{re.escape(label)}(.*)$", printed, re.MULTILINE)
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?", line)]


@pytest.fixture
def digits():
    """The images that scripts run with --examples 500 learn from, (500, 784) from 0 to 1, and their labels."""
    train = mlp.load_mnist(validation=0)[0][:500]
    return train.X / 255, train.y


def test_worked_example(run_script):
    printed = run_script("worked_example.py")
    # The lecture's numbers: x = (1, 2), t = 1, W = ((−1, 1), (1, −2)), v = (3, −1)
    by_hand = {
        "z = W x": "[1.0, -3.0]",
        "h = ReLU(z)": "[1.0, 0.0]",
        "y = v·h": "3.0",
        "C = ½(y − t)²": "2.0",
        "δ² = ∂C/∂y = y − t": "2.0",
        "∂C/∂v = δ² h": "[2.0, 0.0]",
        "∂C/∂h = δ² v": "[6.0, -2.0]",
        "δ¹ = ∂C/∂z = ∂C/∂h ⊙ ReLU′(z)": "[6.0, 0.0]",
        "∂C/∂W = δ¹ xᵀ": "[[6.0, 12.0], [0.0, 0.0]]",
        "∂C/∂x = Wᵀ δ¹": "[-6.0, 6.0]",
    }
    by_mlp = {
        "net.forward(X, layer=0)": "[1.0, 0.0]",
        "net.forward(X)": "3.0",
        "cost": "2.0",
        "errors[1]": "2.0",
        "errors[0]": "[6.0, 0.0]",
        "net.at(gradient).layers[1].W": "[2.0, 0.0]",
        "net.at(gradient).layers[0].W": "[[6.0, 12.0], [0.0, 0.0]]",
        "objective.input_gradient(theta)": "[-6.0, 6.0]",
    }
    steps = dict(re.findall(r"^  (.*?) += ((?:-|\[)*\d.*)$", printed, re.MULTILINE))
    assert steps == by_hand | by_mlp
    assert "the gradient agrees with central differences at 9 components" in printed


def test_xor(run_script, tmp_path):
    printed = run_script("xor.py", "--seeds", "4", "--epochs", "1000")
    # x₁ x₂ | "or", "and" | "one but not both"
    for row in ("0  0 |  0  0 | 0", "0  1 |  1  0 | 1", "1  0 |  1  0 | 1", "1  1 |  1  1 | 0"):
        assert row in printed
    outcomes = re.findall(r"cost (\S+), y = (.*): (learned|stuck)", printed)
    assert len(outcomes) == 4
    learned = [outputs for _, outputs, outcome in outcomes if outcome == "learned"]
    assert learned
    for outputs in learned:
        np.testing.assert_allclose([float(output) for output in outputs.split(", ")], [0, 1, 1, 0], atol=0.02)
    # Two of four points undecided: C = 2 log 2 / 4; three of four: (3/4) (log 3 − (2/3) log 2)
    stuck = [float(cost) for cost, _, outcome in outcomes if outcome == "stuck"]
    for cost in stuck:
        assert min(abs(cost - math.log(2) / 2), abs(cost - 0.75 * (math.log(3) - 2 / 3 * math.log(2)))) < 0.01
    check_picture(printed, tmp_path / "xor.png")


def test_space_warping(run_script, tmp_path):
    printed = run_script("space_warping.py", "--points", "120")
    shares = [float(share) for share in re.findall(r"logistic regression: +([\d.]+)% right", printed)]
    assert len(shares) == 6
    # A line gets at most three of XOR's four clouds right, and a linear layer changes nothing about that
    assert max(shares[:2]) <= 76
    assert shares[2] == 100
    # A line outside of the inner circle cuts off, at most, less than half of the outer one
    assert max(shares[3:5]) < 76
    assert shares[5] == 100
    check_picture(printed, tmp_path / "space_warping.png")


def test_activation_functions(run_script, tmp_path):
    printed = run_script("activation_functions.py")
    # σ(−2), σ(0), σ(2), σ′(−2), σ′(0), σ′(2), from tables of eˣ: e² = 7.389056
    expected = {
        "identity": [-2, 0, 2, 1, 1, 1],
        "relu": [0, 0, 2, 0, 0, 1],
        "softplus": [0.1269, 0.6931, 2.1269, 0.1192, 0.5, 0.8808],
        "threshold": [0, 0, 1, 0, 0, 0],
        "logistic": [0.1192, 0.5, 0.8808, 0.1050, 0.25, 0.1050],
        "tanh": [-0.9640, 0, 0.9640, 0.0707, 1, 0.0707],
    }
    for name, row in expected.items():
        np.testing.assert_allclose(numbers_after(name, printed), row, atol=5.1e-5)
    check_picture(printed, tmp_path / "activation_functions.png")


def test_gradient_descent(run_script, tmp_path, digits):
    printed = run_script("gradient_descent.py", "--examples", "500", "--epochs", "20")
    X, y = digits
    # scikit-learn's softmax regression minimises C Σ cost + ½‖W‖²: C = 1/(n λ) is λ = 1e-3
    regression = LogisticRegression(C=1 / (500 * 1e-3), tol=1e-7, max_iter=5000).fit(X, y)
    cost = -np.mean(regression.predict_log_proba(X)[np.arange(500), y]) + 0.5e-3 * np.sum(regression.coef_**2)
    assert numbers_after("minimum of the cost:", printed)[0] == pytest.approx(cost, abs=2e-5)
    for label, constants in {"stochastic:": 2, "mini-batch:": 2, "full batch:": 2, "L-BFGS": 0}.items():
        passes, seconds, last, above = numbers_after(label, printed)[constants:]
        assert passes >= 20
        assert seconds > 0
        assert last < math.log(10)  # what guessing costs
        assert last - cost == pytest.approx(above, rel=0.06, abs=1e-4)
    check_picture(printed, tmp_path / "gradient_descent.png")


def test_vanishing_gradients(run_script, tmp_path):
    printed = run_script("vanishing_gradients.py", "--depths", "2", "20")
    table = {
        (activation, init): [float(number) for number in numbers.split()]
        for activation, init, numbers in re.findall(
            r"^(logistic|tanh|relu) +(N\(0, 0.01²\)|Glorot|He) +(.*)$", printed, re.MULTILINE
        )
    }
    assert len(table) == 9
    # The largest singular value of a 100 × 100 matrix of N(0, s²) is near 2s√100 (Geman 1980), s² = 2/200 by Glorot and
    # 2/100 by He; σ′ is 1/4 for logistic units near 0, 1 for tanh. ReLU keeps a random half of the rows: s(√100 + √50).
    largest = {"N(0, 0.01²)": 0.2, "Glorot": 2.0, "He": 2 * math.sqrt(2)}
    factor = {"logistic": 1 / 4, "tanh": 1.0, "relu": (1 + math.sqrt(0.5)) / 2}
    for (activation, init), (_, _, norm) in table.items():
        assert norm == pytest.approx(largest[init] * factor[activation], rel=0.22)
    # The squared error grows by n s² σ′² a layer, on average: by He's choice not at all through ReLU (He et al. 2015, eq. 14)
    assert table["relu", "He"][1] == pytest.approx(1, abs=0.5)
    assert table["tanh", "Glorot"][1] == pytest.approx(1, abs=0.8)
    assert table["logistic", "N(0, 0.01²)"][1] == pytest.approx((0.1 / 4) ** 19, rel=3)
    check_picture(printed, tmp_path / "vanishing_gradients.png")


def test_linear_bottleneck(run_script, tmp_path, digits):
    printed = run_script("linear_bottleneck.py", "--examples", "500", "--units", "5", "--iterations", "150")
    X, _ = digits
    for k, largest_angle in ((2, 0.5), (5, 5)):
        pca = PCA(k, svd_solver="full").fit(X)
        optimum = 0.5 * np.mean(np.sum((pca.inverse_transform(pca.transform(X)) - X) ** 2, axis=1))
        cost, of_pca, _, angle = numbers_after(f"{k} ", printed)
        assert of_pca == pytest.approx(optimum, abs=1e-5)
        assert optimum - 1e-5 < cost < 1.001 * optimum
        assert angle < largest_angle
    check_picture(printed, tmp_path / "linear_bottleneck.png")


def test_convolution(run_script, tmp_path):
    printed = run_script("convolution.py")
    # (0 0 9 9) in three rows: both windows are 9·(1 + 2 + 1)
    assert "by the filter of edges: [36 36]" in printed
    assert "output volume 32 × 32 × 10, 760 parameters, 768,000 products" in printed
    # 3,072 inputs and a bias for each of 10,240 units
    assert "has 31,467,520 parameters: 41,405 times as many" in printed
    assert float(re.search(r"differ by at most (\S+)\n", printed)[1]) < 1e-12
    assert re.findall(r"(\d+) × \(3 × 3\): (\d+) × (\d+) pixels", printed) == [
        (str(depth), str(2 * depth + 1), str(2 * depth + 1)) for depth in range(1, 6)
    ]
    assert "the largest: [6 8 3 4]" in printed
    assert "goes back to 10 at (1, 1), 20 at (1, 3), 30 at (2, 0), 40 at (3, 3)" in printed
    assert "the maps differ by 0.0e+00 from the shifted maps" in printed
    check_picture(printed, tmp_path / "convolution.png")


def test_lenet(run_script, tmp_path):
    printed = run_script("lenet.py", "--examples", "2000", "--epochs", "2")
    assert re.search(r"^total +20,522 +337,024$", printed, re.MULTILINE)
    assert numbers_after("test accuracy:", printed)[0] > 85
    names = [f"lenet-{what}-{number}.png" for number in (1, 3) for what in ("filters", "maps", "sees")]
    assert re.findall(r"wrote (.*)", printed) == [*names, "lenet.png"]
    for name in names:
        assert min(imread(tmp_path / name).shape[:2]) > 400
    check_picture(printed, tmp_path / "lenet.png")
