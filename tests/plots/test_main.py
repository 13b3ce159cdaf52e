"""`python -m mlp.plots`: the figures of a run and of a model, and one-line errors."""

import gzip
import struct
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

import mlp
from mlp.plots.__main__ import main


@pytest.fixture
def run(tmp_path, metrics):
    """A run's directory, and a little MNIST."""
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    data.mkdir()
    for part in ("train", "t10k"):
        images, labels = rng.integers(0, 256, (30, 28, 28), np.uint8), rng.integers(0, 10, 30).astype(np.uint8)
        (data / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 30) + labels.tobytes())
        with gzip.open(data / f"{part}-images-idx3-ubyte.gz", "wb") as stream:
            stream.write(struct.pack(">HBBIII", 0, 8, 3, 30, 28, 28) + images.tobytes())
    run = tmp_path / "run"
    run.mkdir()
    mlp.save(run / "model.npz", mlp.MLP([784, 9, 10], seed=0))
    metrics(run / "metrics.csv")
    (run / "config.json").write_text(f'{{"options": {{"data": "{data}"}}}}')
    return run


def test_command_draws_a_run(run, capsys):
    assert main([str(run)]) == 0
    names = ["features", "curves", "confusion", "mistakes", "activations", "weights"]
    assert capsys.readouterr().out.splitlines() == [f"{name}: {run / name}.png" for name in names]
    for name in names:
        assert imread(run / f"{name}.png").std() > 0


def test_command_draws_a_model(run, tmp_path):
    out = tmp_path / "pictures"
    command = [sys.executable, "-W", "error", "-m", "mlp.plots", run / "model.npz", "--what", "weights,features", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"weights: {out}/weights.png", f"features: {out}/features.png"]
    assert sorted(path.name for path in out.iterdir()) == ["features.png", "weights.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN/nowhere"], "nowhere: there is no such run or model"),
        (["RUN", "--what", "feature"], "--what: received 'feature' (str), but it must be one of features, curves"),
        (["RUN/model.npz", "--what", "curves"], "--what: received 'curves', but "),
        (["RUN", "--data", "RUN"], "(or the same with .gz) is missing"),
        (["RUN/metrics.csv"], "metrics.csv: not a model, or damaged"),
        (["RUN", "--out", "RUN/metrics.csv"], "metrics.csv"),
    ],
)
def test_command_refuses(run, capsys, arguments, message):
    before = sorted(run.iterdir())
    assert main([argument.replace("RUN", str(run)) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("python -m mlp.plots: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(run.iterdir()) == before


def test_command_leaves_out_what_a_model_cannot_show(run, capsys):
    mlp.save(run / "model.npz", mlp.MLP([784, 9, 3], seed=0))  # it doesn't tell ten digits apart
    (run / "metrics.csv").write_text("epoch\n1\n")
    (run / "config.json").unlink()
    assert main([str(run), "--data", str(run.parent / "data")]) == 0
    said = [line.split(": ")[:2] for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in said] == ["features", "curves", "activations", "weights"]
    assert said[1][1].startswith("left out (")
    assert main([str(run), "--what", "curves"]) == 2
    assert "has no cost, only epoch" in capsys.readouterr().err


def test_command_refuses_a_damaged_configuration(run, capsys):
    (run / "config.json").write_text("{")
    assert main([str(run)]) == 2
    assert "config.json: not a run's configuration, or damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "hint"), [("--wat=features", "; did you mean --what?"), ("--dta=x", "; did you mean --data?"), ("--xyz", "")]
)
def test_command_refuses_unknown_options(capsys, option, hint):
    with pytest.raises(SystemExit) as ended:
        main(["run", option])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"python -m mlp.plots: error: unrecognized arguments: {option}{hint}\n"
