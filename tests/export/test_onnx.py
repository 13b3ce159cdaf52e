"""ONNX graphs, against onnx's checker, its reference evaluator and onnxruntime."""

import numpy as np
import pytest

import mlp

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
reference = pytest.importorskip("onnx.reference")


def run(path, **feeds):
    """The outputs by name, of onnxruntime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, feeds), strict=True))


def evaluate(path, **feeds):
    """The outputs by name, of the reference evaluator."""
    session = reference.ReferenceEvaluator(onnx.load(path))
    return dict(zip(session.output_names, session.run(None, feeds), strict=True))


@pytest.mark.parametrize("runtime", [run, evaluate])
def test_runtimes_answer_as_the_network(net, tmp_path, runtime):
    mlp.save(tmp_path / "model.onnx", net)
    X = np.random.default_rng(2).normal(size=(50, net.sizes[0])).astype(np.float32)
    given = runtime(tmp_path / "model.onnx", X=X)
    if net.output.name in ("softmax", "logistic"):
        assert list(given) == ["label", "probabilities"]
        assert given["label"].dtype == np.int64
        np.testing.assert_array_equal(given["label"], net.predict(X))
        np.testing.assert_allclose(given["probabilities"], net.forward(X), rtol=0, atol=1e-5)
    else:
        assert list(given) == ["prediction"]
        np.testing.assert_allclose(given["prediction"], net.forward(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("runtime", [run, evaluate])
def test_every_test_digit_gets_the_same_label(trained, digits, tmp_path, runtime):
    if runtime is evaluate and len(digits) == 1000:
        digits = digits[:100]  # it takes its time over convolutions
    mlp.save(tmp_path / "model.onnx", trained)
    given = [runtime(tmp_path / "model.onnx", X=part.astype(np.float32) / 255) for part in np.split(digits, 10)]
    np.testing.assert_array_equal(np.concatenate([one["label"] for one in given]), trained.predict(digits))
    probabilities = np.concatenate([one["probabilities"] for one in given])
    np.testing.assert_allclose(probabilities, trained.forward(digits), rtol=0, atol=1e-5)


@pytest.mark.parametrize("runtime", [run, evaluate])
def test_committee_is_one_graph_of_its_mean(tmp_path, runtime):
    members = [mlp.MLP([6, 5, 3], seed=0), mlp.MLP([6, 3], seed=1, dtype="float64"), mlp.MLP([6, 4, 4, 3], "tanh", seed=2)]
    mlp.save(tmp_path / "committee.onnx", mlp.Committee(members))
    X = np.random.default_rng(0).random((40, 6), np.float32)
    given = runtime(tmp_path / "committee.onnx", X=X)
    mean = sum(net.forward(X).astype(float) for net in members) / 3
    np.testing.assert_allclose(given["probabilities"], mean, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(given["label"], mean.argmax(axis=1))


def test_threshold_units_are_0_at_0(tmp_path):
    net = mlp.MLP([2, 2, 1], hidden="threshold", output="identity", seed=0)
    net.theta = [1, 0, 0, 1, 0, 0, 1, 10, 0.5]  # z¹ = x, and the output a₁ + 10 a₂ + ½
    mlp.save(tmp_path / "model.onnx", net)
    X = np.array([[0, 0], [1, 0], [-1, 2], [1e-6, -0.0]], np.float32)
    for runtime in (run, evaluate):
        assert runtime(tmp_path / "model.onnx", X=X)["prediction"].tolist() == [[0.5], [1.5], [10.5], [1.5]]


def test_graph_is_what_older_runtimes_read(tmp_path):
    net = mlp.MLP([4, 3, 2], seed=0)
    mlp.save(tmp_path / "model.onnx", net)
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [(one.domain, one.version) for one in model.opset_import]) == (8, [("", 17)])
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu", "Gemm", "Softmax", "ArgMax"]
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    np.testing.assert_array_equal(constants["layers.0.W"], net.layers[0].W)  # as it lies
    shapes = {one.name: [of.dim_param or of.dim_value for of in one.type.tensor_type.shape.dim] for one in model.graph.input}
    assert shapes == {"X": ["n", 4]}
    assert [one.name for one in model.graph.output] == ["label", "probabilities"]


def test_parameters_beyond_float32_are_refused(tmp_path, refused):
    net = mlp.MLP([2, 2], dtype="float64", seed=0)
    net.theta[0] = 1e300
    with refused(ValueError, "net: received 1e+300, but every parameter must be finite in float32"):
        mlp.save(tmp_path / "model.onnx", net)
    assert list(tmp_path.iterdir()) == []


def test_without_onnxruntime_onnx_itself_checks_the_file(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    agreement = mlp.export.write(tmp_path / "model.onnx", mlp.MLP([(6, 6), mlp.Conv(2, 3), mlp.MaxPool(2), 3], seed=0))
    assert agreement.by == "onnx's reference evaluator"
    assert agreement.deviation < 1e-6
