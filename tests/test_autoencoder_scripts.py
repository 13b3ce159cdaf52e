"""The programs of scripts/ that learn features: each in a small setting, and (slow) each with the figures it promises."""

import re

import matplotlib.image
import numpy as np
import pytest


def assert_picture(path, output):
    """It was written, its path printed, and it shows something: many shades of grey."""
    assert output.endswith(f"wrote {path.name}\n")
    picture = matplotlib.image.imread(path)
    assert len(np.unique(picture[..., 0])) > 20


def numbers(pattern, output):
    """The numbers that the groups of a regular expression find in the output."""
    found = re.search(pattern, output)
    assert found, output
    return [float(group) for group in found.groups()]


ACCURACY = r"(\d+\.\d\d)%"


def test_features_mnist(run_script, tmp_path):
    output = run_script("features_mnist.py", "--examples", "1000", "--epochs", "3")
    (accuracy,) = numbers(f"test accuracy: {ACCURACY}", output)
    assert accuracy > 75
    assert_picture(tmp_path / "features_mnist.png", output)


def test_sparse_autoencoder(run_script, tmp_path):
    output = run_script("sparse_autoencoder.py", "--examples", "300", "--iterations", "50", "--out", "strokes.png")
    first, last = numbers(r"784-196-784 on 300 examples: cost (\S+)\n(?:.*\n)*iteration   50: cost (\S+)\n", output)
    assert last < first / 5
    assert_picture(tmp_path / "strokes.png", output)


def test_sparse_autoencoder_of_patches_of_the_photograph(run_script, tmp_path):
    output = run_script("sparse_autoencoder.py", "--patches", "--examples", "500", "--iterations", "50")
    assert "64-25-64 on 500 examples" in output
    assert_picture(tmp_path / "sparse_autoencoder.png", output)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sparse_autoencoder_of_patches_of_a_picture(run_script, tmp_path, channels):
    noise = np.random.default_rng(0).uniform(size=(40, 50, channels)).squeeze()
    if channels == 4:
        noise[..., 3] = 1
    matplotlib.image.imsave(tmp_path / "noise.png", noise, cmap="gray")
    output = run_script("sparse_autoencoder.py", "--patches", "noise.png", "--examples", "500", "--iterations", "50")
    assert "64-25-64 on 500 examples" in output
    assert_picture(tmp_path / "sparse_autoencoder.png", output)


def test_self_taught(run_script, tmp_path):
    output = run_script("self_taught.py", "--examples", "600", "--iterations", "30")
    features, pixels = numbers(rf"from the features: {ACCURACY} right\n  from raw pixels: +{ACCURACY} right", output)
    assert features > 85
    assert pixels > 85
    assert_picture(tmp_path / "self_taught.png", output)


def test_stacked_autoencoders(run_script, tmp_path):
    output = run_script("stacked_autoencoders.py", "--examples", "500", "--iterations", "30")
    before, after = numbers(f"Test accuracy: {ACCURACY} before fine-tuning, {ACCURACY} after", output)
    assert 30 < before < after  # 10 is chance
    assert_picture(tmp_path / "stacked_autoencoders.png", output)


@pytest.mark.slow
def test_features_mnist_in_full(run_script):
    (accuracy,) = numbers(f"test accuracy: {ACCURACY}", run_script("features_mnist.py"))
    assert accuracy >= 98.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "rho", "most"),
    [([], 0.1, 12.3), (["--patches"], 0.01, 0.42)],
    ids=["digits", "patches"],
)
def test_sparse_autoencoder_in_full(run_script, arguments, rho, most):
    output = run_script("sparse_autoencoder.py", *arguments)
    cost, low, high = numbers(r"cost (\S+); mean activations (\S+) to (\S+), wanted", output)
    assert cost < most
    assert rho / 2 < low < high < 2 * rho


@pytest.mark.slow
def test_self_taught_in_full(run_script):
    # UFLDL: about 98 % from the features, 96 % from raw pixels
    output = run_script("self_taught.py")
    features, pixels = numbers(rf"from the features: {ACCURACY} right\n  from raw pixels: +{ACCURACY} right", output)
    assert features >= 97.5
    assert 96 <= pixels < features


@pytest.mark.slow
def test_stacked_autoencoders_in_full(run_script):
    # UFLDL: 87.7 % before, 97.6 % after
    output = run_script("stacked_autoencoders.py")
    before, after = numbers(f"Test accuracy: {ACCURACY} before fine-tuning, {ACCURACY} after", output)
    assert before >= 86
    assert after >= 97
