"""What all formats share: they are checked before they are there, refuse what they can't express, and leave nothing behind."""

import subprocess
import sys

import numpy as np
import pytest

import mlp
from mlp.export import FORMATS, Agreement, operators, write
from mlp.export.__main__ import main
from mlp.export.agreement import Answers, compare
from mlp.export.samples import draw_samples


@pytest.fixture(params=FORMATS)
def path(request, tmp_path):
    """A file of each format whose packages are installed."""
    extra = FORMATS[request.param].extra
    if extra:
        pytest.importorskip(extra)
    return tmp_path / f"model{request.param}"


class Cube:
    """An activation of one's own."""

    def value(self, z):
        return z**3

    def derivative(self, z):
        return 3 * z**2


class Doubled(mlp.Dense):
    """A layer of one's own."""


def test_what_a_format_cannot_express_is_refused(path, refused):
    path.write_text("what was there")
    with refused(ValueError, "net.layers[0]: has the activation 'Cube', but ", " can express identity, relu, "):
        mlp.save(path, mlp.MLP([3, 2, 2], hidden=Cube(), seed=0))
    with refused(ValueError, "net.layers[1]: is a Doubled, but ", " can express dense, conv, maxpool, meanpool alone"):
        mlp.save(path, mlp.MLP([mlp.Dense(3, 2), Doubled(2, 2, "softmax")], seed=0))
    with refused(TypeError, "net: received 3 (int), but it must be an MLP or a Committee"):
        mlp.save(path, 3)
    assert [(one.name, one.read_text()) for one in path.parent.iterdir()] == [(path.name, "what was there")]


def test_only_onnx_holds_a_committee(path, refused):
    committee = mlp.Committee([mlp.MLP([3, 2], seed=0)])
    if path.suffix == ".onnx":
        mlp.save(path, committee)
    else:
        with refused(
            ValueError, f"net: received a Committee for {path.name}, but only these files hold several networks: .onnx"
        ):
            mlp.save(path, committee)
    assert path.exists() == (path.suffix == ".onnx")


def test_capital_endings_count_as_well(path):
    mlp.save(path.with_suffix(path.suffix.upper()), mlp.MLP([3, 2], seed=0))
    assert path.with_suffix(path.suffix.upper()).read_bytes()[:2] != b"PK"


def test_load_says_which_files_it_reads(path, refused):
    mlp.save(path, mlp.MLP([3, 2], seed=0))
    if path.suffix != ".safetensors":
        with refused(ValueError, f"{path}: {path.suffix} files are for other programs; ", "are .npz, .safetensors"):
            mlp.load(path)


@pytest.mark.parametrize("where", ["nowhere/model", "directory", "file/model"])
def test_places_that_cannot_be_written(path, where):
    (path.parent / f"directory{path.suffix}").mkdir()
    (path.parent / "file").touch()
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(OSError, match=where):
        mlp.save(path.parent / f"{where}{path.suffix}", mlp.MLP([3, 2], seed=0))
    assert sorted(path.parent.rglob("*")) == before


def test_unknown_endings_are_refused(tmp_path, refused):
    with refused(ValueError, "path: received 'model.pt' (str), but its ending must be one of .npz, .onnx, .safetensors, .h"):
        mlp.save(tmp_path / "model.pt", mlp.MLP([3, 2], seed=0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("ending", "extra"), [(ending, of.extra) for ending, of in FORMATS.items() if of.extra])
def test_missing_packages_are_named(tmp_path, monkeypatch, refused, ending, extra):
    monkeypatch.setitem(sys.modules, extra, None)
    monkeypatch.delitem(sys.modules, FORMATS[ending].module, raising=False)
    with refused(ModuleNotFoundError, f"{ending} files need the package {extra!r}", f"pip install 'layerwise-mlp[{extra}]'"):
        mlp.save(tmp_path / f"model{ending}", mlp.MLP([3, 2], seed=0))
    assert list(tmp_path.iterdir()) == []


def test_importing_mlp_imports_no_exporter():
    code = "import mlp, sys; print([name for name in sys.modules if name.startswith(('mlp.export', 'onnx', 'safetensors'))])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


# Whether it agrees


def test_a_graph_that_computes_something_else_is_not_written(tmp_path, monkeypatch, refused):
    pytest.importorskip("onnx")
    monkeypatch.setitem(operators.LAYERS, "maxpool", operators.LAYERS["meanpool"])  # the planted bug
    net = mlp.MLP([(6, 6), mlp.MaxPool(2), 3], seed=0)
    (tmp_path / "model.onnx").write_text("what was there")
    with refused(ValueError, "model.onnx: not written: read back, it answers otherwise than the network, by "):
        mlp.save(tmp_path / "model.onnx", net)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["what was there"]


def compared(net, change, labels=None):
    """What `compare` says of the network's own answers, changed."""
    samples = draw_samples(net)
    return compare("FILE", net, samples, Answers(change(net.forward(samples.X)), labels, "test"))


def test_small_deviations_are_measured_and_large_ones_refused(refused):
    net = mlp.MLP([4, 3], output="identity", seed=0)
    assert compared(net, lambda A: A) == Agreement(32, 0.0, "test")
    assert compared(net, lambda A: A.astype(float) + 2e-6).deviation == pytest.approx(2e-6)
    for change in (lambda A: A + 1e-3, lambda A: A * np.nan, lambda A: A * np.inf):
        with refused(ValueError, "FILE: not written: read back, it answers otherwise"):
            compared(net, change)
    with refused(ValueError, "FILE: not written: read back, its outputs are (32, 2), but the network's (32, 3)"):
        compared(net, lambda A: A[:, :2])


def test_one_wrong_example_or_label_is_enough(refused):
    net = mlp.MLP([4, 3], seed=0)
    labels = net.predict(draw_samples(net).X)
    assert compared(net, lambda A: A, labels).examples == 32
    labels[7] = (labels[7] + 1) % 3
    with refused(ValueError, "FILE: not written"):
        compared(net, lambda A: A, labels)
    with refused(ValueError, "FILE: not written"):
        compared(net, lambda A: A + np.eye(32, 3) * [1e-3, 0, 0])


def test_threshold_units_may_jump_in_a_few_examples(refused):
    net = mlp.MLP([4, 3, 2], hidden="threshold", output="identity", seed=0)
    assert compared(net, lambda A: A + (np.arange(32) < 3)[:, None]).examples == 32
    with refused(ValueError, "FILE: not written"):
        compared(net, lambda A: A + (np.arange(32) < 4)[:, None])


def test_agreement_says_how_closely():
    assert str(Agreement(32, 1.23e-7, "onnxruntime")) == "the network's answers within 1.2e-07 on 32 examples (onnxruntime)"
    assert str(Agreement(32, 0.0, "mlp.load")) == "exactly the network's answers on 32 examples (mlp.load)"


# The command


def test_command_exports_runs_models_and_committees(tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    nets = [mlp.MLP([4, 3, 2], seed=seed) for seed in (0, 1)]
    (tmp_path / "run").mkdir()
    mlp.save(tmp_path / "run" / "model.npz", nets[0])
    mlp.save(tmp_path / "other.npz", nets[1])
    assert main([str(tmp_path / "run"), str(tmp_path / "model.onnx")]) == 0
    assert main([str(tmp_path / "run"), str(tmp_path / "other.npz"), str(tmp_path / "both.onnx")]) == 0
    lines = capsys.readouterr().out.splitlines()
    sizes = [(tmp_path / name).stat().st_size for name in ("model.onnx", "both.onnx")]
    assert lines[0].startswith(f"wrote {tmp_path / 'model.onnx'} ({sizes[0]:,} bytes): the network's answers within ")
    assert lines[1].startswith(f"wrote {tmp_path / 'both.onnx'} ({sizes[1]:,} bytes): ")
    assert "Mean" in [node.op_type for node in onnx.load(tmp_path / "both.onnx").graph.node]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["DIR/no.npz", "DIR/a.onnx"], "no.npz"),
        (["DIR/model.npz", "DIR/a.pt"], "path: received 'a.pt' (str), but its ending must be one of .npz, .onnx"),
        (["DIR/model.npz", "DIR/model.npz", "DIR/a.h"], "net: received a Committee for a.h, but only "),
        (["DIR", "DIR/nowhere/a.h"], "nowhere"),
    ],
)
def test_command_refuses(tmp_path, capsys, arguments, message):
    mlp.save(tmp_path / "model.npz", mlp.MLP([3, 2], seed=0))
    assert main([argument.replace("DIR", str(tmp_path)) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("python -m mlp.export: error: ")
    assert message in printed.err
    assert [one.name for one in tmp_path.iterdir()] == ["model.npz"]


def test_written_without_the_command(tmp_path):
    assert write(tmp_path / "model.h", mlp.MLP([3, 2], seed=0)).deviation < 1e-6
