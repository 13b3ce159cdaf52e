"""model.h, compiled by a strict C99 compiler."""

import shutil
import subprocess

import numpy as np
import pytest

import mlp
from mlp.export import c

COMPILER = shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="neither gcc nor clang is installed, to compile a model with")

STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Wshadow", "-Werror", "-O2"]

PROGRAM = """
#include <stdio.h>
#include "model.h"

int main(void)
{
    static float x[MODEL_INPUTS], outputs[MODEL_OUTPUTS];
    while (fread(x, sizeof x, 1, stdin) == 1) {
        model_forward(x, outputs);
        fwrite(outputs, sizeof outputs, 1, stdout);
    }
    return 0;
}
"""


def run(directory, X, program=PROGRAM):
    """What a program with directory/model.h writes, given X."""
    (directory / "program.c").write_text(program)
    subprocess.run([COMPILER, *STRICT, "program.c", "-o", "program", "-lm"], cwd=directory, check=True)
    ran = subprocess.run([directory / "program"], input=X.astype(np.float32).tobytes(), capture_output=True, check=True)
    return ran.stdout


@needs_compiler
def test_program_answers_as_the_network(net, tmp_path):
    mlp.save(tmp_path / "model.h", net)
    X = np.random.default_rng(2).normal(size=(50, net.sizes[0])).astype(np.float32)
    given = np.frombuffer(run(tmp_path, X), np.float32).reshape(50, -1)
    np.testing.assert_allclose(given, net.forward(X), rtol=1e-5, atol=1e-5)


@needs_compiler
def test_program_reads_test_digits(trained, digits, tmp_path):
    mlp.save(tmp_path / "model.h", trained)
    given = np.frombuffer(run(tmp_path, digits / 255), np.float32).reshape(-1, 10)
    np.testing.assert_array_equal(given.argmax(axis=1), trained.predict(digits))
    np.testing.assert_allclose(given, trained.forward(digits), rtol=0, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize(("units", "output"), [(4, "softmax"), (3, "logistic"), (1, "logistic")])
def test_predict_gives_labels(tmp_path, units, output):
    net = mlp.MLP([5, 6, units], hidden="threshold", output=output, seed=3)
    mlp.save(tmp_path / "model.h", net)
    body = 'printf("%ld\\n", model_predict(x));'
    program = PROGRAM.replace(", outputs[MODEL_OUTPUTS]", "").replace("model_forward(x, outputs);", body)
    program = program.replace("fwrite(outputs, sizeof outputs, 1, stdout);", "")
    X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    labels = [int(line) for line in run(tmp_path, X, program).split()]
    assert len(set(labels)) > 1
    assert labels == net.predict(X).tolist()


def test_numbers_are_the_very_same(tmp_path):
    net = mlp.MLP([2, 2], output="identity", seed=0)
    net.theta = [1, 0.1, 1e-30, -3.4e38, 12345.6789, 1 / 3]
    mlp.save(tmp_path / "model.h", net)
    text = (tmp_path / "model.h").read_text()
    assert "{\n1.0f, 0.1f, 1e-30f, -3.4e+38f\n}" in text
    assert "{\n12345.679f, 0.33333334f\n}" in text
    assert "malloc" not in text
    assert "predict" not in text  # it gives numbers, not classes


@pytest.mark.parametrize(
    ("name", "prefix"), [("digits", "digits"), ("My model-2", "my_model_2"), ("3d", "model_3d"), ("é", "model"), ("_a_", "a")]
)
def test_functions_are_called_by_the_name_of_the_file(tmp_path, name, prefix):
    mlp.save(tmp_path / f"{name}.h", mlp.MLP([2, 2], seed=0))
    text = (tmp_path / f"{name}.h").read_text()
    assert f"#ifndef {prefix.upper()}_H\n" in text
    assert f"static inline void {prefix}_forward(const {prefix}_input *x, float *outputs)\n" in text
    assert "@" not in text


def test_parameters_that_c_has_no_numbers_for(tmp_path, refused):
    net = mlp.MLP([2, 2], seed=0)
    net.theta[1] = np.nan
    with refused(ValueError, "net: has parameters that are not finite"):
        mlp.save(tmp_path / "model.h", net)
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_the_numbers_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(c, "find_compiler", lambda: None)
    agreement = mlp.export.write(tmp_path / "model.h", mlp.MLP([3, 2], seed=0))
    assert str(agreement) == "its parameters are the network's; not run: there is no C compiler here"


def test_compiler_that_fails_is_named(tmp_path, monkeypatch):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'math.h: no such file' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(c, "find_compiler", lambda: str(broken))
    agreement = mlp.export.write(tmp_path / "model.h", mlp.MLP([3, 2], seed=0))
    assert str(agreement) == f"its parameters are the network's; not run: {broken} failed: math.h: no such file"


def test_wrong_numbers_are_not_written(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(c, "_show", lambda numbers: ", ".join(f"{number:.3f}f" for number in numbers))  # too few digits
    with refused(ValueError, "net: not written: read back, W1 is not the same"):
        mlp.save(tmp_path / "model.h", mlp.MLP([3, 2], seed=0))
    assert list(tmp_path.iterdir()) == []
