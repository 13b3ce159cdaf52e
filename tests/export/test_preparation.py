"""Exports of networks that take raw data: what files make of it is what `predict` makes of it."""

import shutil
import subprocess

import numpy as np
import pytest

import mlp
from mlp.data.columns import Column
from mlp.data.preparation import Preparation, image_preparation
from mlp.export import page

SPECIES = Column("species", "categorical", ("setosa", "versi@color", 'a "rose"', "é*/"))
DIGITS = Column("digit", "categorical", ("3", "5", "7", "12"))
HEIGHT = Column("height", mean=170.0, deviation=10.0, minimum=140.0, maximum=200.0)
YEAR = Column("year", mean=2e6, deviation=2.0, minimum=2e6 - 5, maximum=2e6 + 5)
COLOUR = Column("colour", "categorical", ("red", "green", "blue"))


def prepared(columns, target, scaling="standard", **settings):
    """A network for such columns and such a target, with random parameters."""
    preparation = Preparation(columns, target, scaling)
    units = 1 if target.kind == "numeric" else len(target.values)
    net = mlp.MLP([preparation.features, 6, units], **settings)
    net.theta = np.random.default_rng(0).normal(size=net.theta.size)
    net.preparation = preparation
    return net


def draw(columns, n=200):
    """A table's columns by name."""
    rng = np.random.default_rng(1)
    return {
        column.name: rng.choice(column.values, n) if column.values else rng.normal(column.mean, column.deviation, n).round(1)
        for column in columns
    }


def run(path, feeds):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, feeds), strict=True))


@pytest.mark.parametrize("target", [SPECIES, DIGITS], ids=["texts", "integers"])
@pytest.mark.parametrize("scaling", ["none", "standard", "range"])
def test_graph_takes_numbers_of_a_table(tmp_path, target, scaling):
    net = prepared((HEIGHT, YEAR), target, scaling)
    mlp.save(tmp_path / "model.onnx", net)
    columns = draw((HEIGHT, YEAR))
    given = run(tmp_path / "model.onnx", {"X": np.column_stack(list(columns.values()))})
    assert given["label"].tolist() == net.predict(columns).tolist()
    np.testing.assert_allclose(given["probabilities"], net.forward(net.preparation.inputs(columns)), rtol=0, atol=1e-5)


def test_graph_takes_texts_a_column_each(tmp_path):
    net = prepared((HEIGHT, COLOUR, YEAR), SPECIES)
    mlp.save(tmp_path / "model.onnx", net)
    columns = draw((HEIGHT, COLOUR, YEAR))
    given = run(tmp_path / "model.onnx", columns)
    assert given["label"].tolist() == net.predict(columns).tolist()
    with pytest.raises(Exception, match="Unknown Category"):
        run(tmp_path / "model.onnx", columns | {"colour": np.full(200, "mauve")})


def test_graph_predicts_in_the_targets_own_units(tmp_path):
    net = prepared((HEIGHT, COLOUR), YEAR, output="identity")
    mlp.save(tmp_path / "model.onnx", net)
    columns = draw((HEIGHT, COLOUR))
    given = run(tmp_path / "model.onnx", columns)
    np.testing.assert_allclose(given["prediction"][:, 0] - 2e6, net.predict(columns) - 2e6, rtol=0, atol=1e-4)


def test_graph_names_two_classes_of_one_output(tmp_path):
    net = mlp.MLP([1, 4, 1], output="logistic", seed=0)
    net.preparation = Preparation((HEIGHT,), Column("ill", "categorical", ("no", "yes")), "standard")
    mlp.save(tmp_path / "model.onnx", net)
    columns = draw((HEIGHT,))
    given = run(tmp_path / "model.onnx", {"X": columns["height"][:, None]})
    assert set(given["label"]) == {"no", "yes"}
    assert given["label"].tolist() == net.predict(columns).tolist()


def test_graph_takes_8_bit_pixels(tmp_path, digits):
    net = mlp.MLP([(28, 28), mlp.Conv(3, 5, stride=2), 10], seed=0)
    net.preparation = image_preparation((28, 28), tuple("0123456789"))
    mlp.save(tmp_path / "model.onnx", net)
    given = run(tmp_path / "model.onnx", {"X": digits})
    np.testing.assert_array_equal(given["label"], net.predict(digits))
    np.testing.assert_allclose(given["probabilities"], net.forward(digits), rtol=0, atol=1e-5)


def test_pixels_that_are_not_8_bit_are_taken_as_they_are(tmp_path):
    X = np.random.default_rng(0).integers(0, 17, (40, 4, 4)).astype(np.float32)  # as scikit-learn's digits
    np.savez(tmp_path / "digits.npz", X=X, y=np.arange(40) % 3)
    (data,) = mlp.prepare(mlp.read_table(tmp_path / "digits.npz"), scaling="none")
    net = mlp.MLP([16, 5, 3], seed=0)
    net.preparation = data.preparation
    assert mlp.export.write(tmp_path / "model.h", net).deviation < 1e-6
    assert "typedef float model_input;\n" in (tmp_path / "model.h").read_text()
    shown = page.describe(net)["input"]
    assert (shown["shape"], shown["low"], shown["high"]) == ([4, 4, 1], 0, 16)
    mlp.save(tmp_path / "model.onnx", net)
    given = run(tmp_path / "model.onnx", {"X": X.reshape(40, 16).astype(float)})
    np.testing.assert_allclose(given["probabilities"], net.forward(X.reshape(40, 16)), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(given["label"], net.predict(X))


def test_8_bit_pixels_keep_no_statistics(tmp_path):
    X = np.random.default_rng(0).integers(0, 256, (40, 4, 4), np.uint8)
    np.savez(tmp_path / "digits.npz", X=X, y=np.arange(40) % 3)
    (data,) = mlp.prepare(mlp.read_table(tmp_path / "digits.npz"))
    assert data.preparation.columns == (Column("pixels", "pixels", count=16),)


def test_column_called_as_an_output_is(tmp_path, refused):
    pytest.importorskip("onnx")
    with refused(ValueError, "net: takes a column called 'label', as an output of the graph is: rename the column"):
        mlp.save(tmp_path / "model.onnx", prepared((COLOUR, Column("label", mean=0.0, deviation=1.0)), SPECIES, "none"))


def test_members_must_take_the_same_data(tmp_path, refused):
    pytest.importorskip("onnx")
    nets = [prepared((HEIGHT,), SPECIES), prepared((HEIGHT,), SPECIES, "range")]
    with refused(ValueError, "net: number 1 takes data prepared otherwise than the first"):
        mlp.save(tmp_path / "model.onnx", mlp.Committee(nets))
    mlp.save(tmp_path / "model.onnx", mlp.Committee(nets[:1] * 2))


def test_c_takes_raw_data(tmp_path):
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("neither gcc nor clang is installed, to compile a model with")
    net = prepared((HEIGHT, COLOUR, YEAR), SPECIES)
    mlp.save(tmp_path / "model.h", net)
    assert " * x[1]: colour, 0: red, 1: green, 2: blue\n" in (tmp_path / "model.h").read_text()
    (tmp_path / "program.c").write_text(
        '#include <stdio.h>\n#include "model.h"\nint main(void)\n{\n    float x[MODEL_INPUTS];\n'
        "    while (fread(x, sizeof x, 1, stdin) == 1)\n        puts(model_name(model_predict(x)));\n    return 0;\n}\n"
    )
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    subprocess.run([compiler, *strict, "program.c", "-o", "program", "-lm"], cwd=tmp_path, check=True)
    columns = draw((HEIGHT, COLOUR, YEAR))
    codes = [COLOUR.values.index(text) for text in columns["colour"]]
    raw = np.column_stack([columns["height"], codes, columns["year"].round()]).astype(np.float32)
    columns |= {"height": raw[:, 0].astype(float), "year": raw[:, 2].astype(float)}
    ran = subprocess.run([tmp_path / "program"], input=raw.tobytes(), capture_output=True, check=True)
    assert ran.stdout.decode().splitlines() == net.predict(columns).tolist()


def test_c_takes_8_bit_pixels(tmp_path):
    net = mlp.MLP([(4, 5), mlp.Conv(2, 2), 3], seed=0)
    net.preparation = image_preparation((4, 5), ("cat", "dog", "owl"))
    assert mlp.export.write(tmp_path / "model.h", net).deviation < 1e-6
    assert "typedef unsigned char model_input;\n" in (tmp_path / "model.h").read_text()


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_load_brings_the_preparation_back(tmp_path, ending):
    pytest.importorskip("safetensors")
    net = prepared((HEIGHT, COLOUR), SPECIES)
    mlp.save(tmp_path / f"model{ending}", net)
    assert mlp.load(tmp_path / f"model{ending}").preparation == net.preparation
