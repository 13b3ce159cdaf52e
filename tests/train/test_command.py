"""`python -m mlp.train`, on a small MNIST made of its first images."""

import csv
import gzip
import json
import os
import shlex
import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest

import mlp
from mlp import train
from mlp.checkpoint import runs as directories


@pytest.fixture
def command(small, tmp_path):
    """Runs the command in this process on the small data; returns (status, the run's directory)."""

    def run(text, out="run"):
        out = tmp_path / out
        status = train.main(["--data", str(small), "--validation", "200", "--no-plots", "--out", str(out), *shlex.split(text)])
        return status, out

    return run


def metrics(out):
    with (out / "metrics.csv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_a_run_says_what_it_does_line_by_line_and_learns(command, capsys):
    status, out = command("--hidden 32 --epochs 3 --batch-size 32")
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert lines[0] == "Data: small-mnist0, 1,000 training, 200 validation, 300 test images"
    assert lines[1].startswith("Network: 784-32-10, relu hidden units, softmax output, 25,450 parameters (float32, ")
    assert lines[2] == "Cost: softmax cross entropy; minimised with the penalty of weight decay 0.0005"
    assert lines[3].startswith("Minimiser: sgd, learning rate 0.25 (cosine), momentum 0.9, batches of 32, 3 epochs")
    assert [line.partition(":")[0] for line in lines[4:7]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert lines[7] == "Stopped: ran all 3 epochs"
    accuracy = float(lines[8].removeprefix("Test accuracy: ").split(" ")[0])
    assert accuracy > 75  # 1,000 images are enough for that; guessing gets 10
    assert lines[10] == f"Saved in {out}: best.npz, config.json, metrics.csv, model.npz, state.npz"


def test_the_saved_model_is_the_one_that_was_tested(command, small, capsys, parts_of):
    _, out = command("--hidden 16 --epochs 2 --quiet")
    printed = capsys.readouterr().out
    net = mlp.load(out / "model.npz")
    _, _, test = parts_of(small, 200)
    assert printed.startswith(f"Test accuracy: {100 * np.mean(net.predict(test.X) == test.y):.2f} %")
    assert printed.splitlines()[1:] == [f"Saved in {out}"]


def test_costs_of_validation_and_test_are_the_same_quantity_without_the_penalty(command, small, capsys, parts_of):
    _, out = command("--hidden 16 --epochs 2 --weight-decay 0.1")
    printed = capsys.readouterr().out
    net = mlp.load(out / "model.npz")
    _, validation, test = parts_of(small, 200)
    costs = [-np.mean(np.log(net.forward(part.X)[np.arange(len(part)), part.y])) for part in (validation, test)]
    rows = metrics(out)
    assert float(rows[1]["validation_cost"]) == pytest.approx(costs[0], rel=1e-5)
    assert (
        f"epoch 2/2: cost minimised {float(rows[1]['cost']):.4f}, validation cost {costs[0]:.4f}, validation accuracy "
        in printed
    )
    assert f" %), test cost {costs[1]:.4f}" in printed
    assert float(rows[1]["cost"]) > costs[0] + 0.5  # the penalty is in it


def test_two_runs_that_start_in_the_same_second_get_directories_of_their_own(small, tmp_path, monkeypatch):
    class Frozen(datetime):
        @classmethod
        def now(cls):
            return cls(2026, 1, 31, 10, 15)

    monkeypatch.setattr(directories, "datetime", Frozen)
    monkeypatch.chdir(tmp_path)
    text = f"--data {small} --validation 0 --hidden none --epochs 0 --no-plots --quiet"
    assert [train.main(text.split()) for _ in range(3)] == [0, 0, 0]
    found = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert found == ["2026-01-31-101500", "2026-01-31-101500-2", "2026-01-31-101500-3"]


def test_progress_on_a_terminal_is_a_bar(command, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert command("--hidden 8 --epochs 3")[0] == 0
    printed = capsys.readouterr().out
    assert "3/3 |" in printed
    assert "epoch 3/3:" not in printed


def test_metrics_have_a_line_an_epoch(command):
    _, out = command("--hidden 16 --epochs 3 --quiet")
    rows = metrics(out)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["epoch", "cost", "validation_cost", "validation_accuracy", "learning_rate", "seconds"]
    assert float(rows[2]["cost"]) < float(rows[0]["cost"])


def test_the_configuration_repeats_the_run_to_the_bit(command):
    _, first = command("--hidden 12,8 --activation tanh --optimizer adam --epochs 2 --batch-size 50 --seed 5 --quiet")
    words = shlex.split(json.loads((first / "config.json").read_text())["command"])
    assert words[:3] == ["python", "-m", "mlp.train"]
    assert train.main([*words[3:], "--out", str(first.parent / "again"), "--quiet", "--no-plots"]) == 0
    assert (first / "model.npz").read_bytes() == (first.parent / "again" / "model.npz").read_bytes()
    other = [word if word != "5" else "6" for word in words[3:]]
    assert train.main([*other, "--out", str(first.parent / "other"), "--quiet", "--no-plots"]) == 0
    assert (first / "model.npz").read_bytes() != (first.parent / "other" / "model.npz").read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        "--hidden none --optimizer lbfgs --epochs 5",
        "--hidden 8 --optimizer newton --epochs 3 --subset 50 --damping 10",
        "--hidden 8 --output logistic",
        "--hidden 8 --output logistic --cost quadratic --activation logistic --momentum 0 --learning-rate 3",
        "--hidden 8 --output identity --cost quadratic --learning-rate 0.01",
        "--hidden 8 --dtype float64 --nesterov --schedule step:0.5:1 --init he_normal",
        "--hidden 8 --activation softplus --schedule exponential:0.9 --init small_normal:0.1 --batch-size full",
        "--hidden 8 --validation 0",
        "--hidden 8 --patience 1 --epochs 4",
    ],
)
def test_every_option_runs(command, text, capsys):
    status, out = command(f"--epochs 2 {text}")
    assert status == 0, capsys.readouterr()
    assert mlp.load(out / "model.npz").sizes[0] == 784
    assert len(metrics(out)) >= 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--learning-rate -1", "argument --learning-rate: received -1.0 (float), but it must be a finite number above 0"),
        ("--momentum 1", "argument --momentum: received 1.0 (float), but it must be a finite number at least 0 and below 1"),
        ("--epochs 1.5", "argument --epochs: received '1.5' (str), but it must be an integer of at least 0"),
        ("--batch-size 0", "argument --batch-size: received 0 (int), but it must be an integer of at least 1"),
        ("--hidden 30,x", "argument --hidden: received 'x' (str), but it must be one of conv, pool"),
        ("--activation relo", "argument --activation: received 'relo' (str), but it must be one of identity, relu, "),
        ("--init glorot", "argument --init: received 'glorot' (str)"),
        ("--schedule cosin", "argument --schedule: received 'cosin' (str), but it must be one of constant, step, "),
        ("--weight-decay nan", "argument --weight-decay: received nan (float)"),
        ("--optimizer adam --momentum 0.9", "argument --momentum: --optimizer adam has no use for it"),
        ("--optimizer sgd --subset 10", "argument --subset: --optimizer sgd has no use for it"),
        ("--optimizer newton --damping 0", "argument --damping: received 0.0 (float), but it must be a finite number above 0"),
        ("--optimizer lbfgs --batch-size 10", "argument --batch-size: --optimizer lbfgs has no use for it"),
        ("--patience 3 --validation 0", "argument --patience: needs a validation set, but --validation is 0"),
        ("--distort bent", "argument --distort: received 'bent' (str), but it must be one of elastic, affine"),
        (
            "--distort elastic:sigma=0",
            "argument --distort: elastic sigma: received 0.0 (float), but it must be a finite number at least 0.1 and",
        ),
        (
            "--distort elastic:sgma=2",
            "argument --distort: received 'sgma' (str), but it must be one of sigma, alpha; did you mean",
        ),
        ("--distort affine,affine", "argument --distort: received 'affine' twice"),
        ("--dropout 0.5", "argument --dropout: received 1 rates, but the network has 2 layers"),
        ("--dropout 0.5,1", "argument --dropout: received 1.0 (float), but it must be a finite number at least 0 and below 1"),
        ("--dropout 0.5,much", "argument --dropout: received 'much' (str)"),
        ("--max-norm 0", "argument --max-norm: received 0.0 (float), but it must be a finite number above 0"),
        ("--optimizer lbfgs --distort affine", "argument --distort: --optimizer lbfgs has no use for it"),
    ],
)
def test_bad_options_are_one_line_and_status_2(command, text, message, capsys):
    with pytest.raises(SystemExit) as exit_status:
        command(text)
    assert exit_status.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m mlp.train: error: ")
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--cost logistic_cross_entropy", "cost: received 'logistic_cross_entropy' with a network whose output is 'softmax'"),
        ("--validation 5000", "validation: received 5000 (int), but of 1,200 examples that leaves one part empty"),
        ("--data nowhere", "nowhere: there is no such file or directory"),
    ],
)
def test_bad_input_is_one_line_and_status_2_and_leaves_no_model(command, text, message, capsys):
    status, out = command(text)
    printed = capsys.readouterr()
    assert status == 2
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("python -m mlp.train: error: ")
    assert message in printed.err
    assert not (out / "model.npz").exists()


def test_a_damaged_data_file_is_named(command, small, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in small.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    images = (damaged / "train-images-idx3-ubyte").read_bytes()
    (damaged / "train-images-idx3-ubyte").unlink()
    (damaged / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images)[:-1000])
    status, _ = command(f"--data {damaged}")
    assert status == 2
    assert "train-images-idx3-ubyte.gz: the gzip data is damaged or cut short" in capsys.readouterr().err


def test_an_existing_run_is_not_overwritten(command, capsys):
    _, out = command("--hidden 8 --epochs 1 --quiet")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    status, _ = command("--hidden 8 --epochs 1 --quiet")
    assert status == 2
    assert "holds files already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_run_that_diverges_says_so_and_keeps_finite_parameters(command, capsys):
    status, out = command("--hidden 8 --epochs 2 --learning-rate 1e30")
    assert status == 1
    assert capsys.readouterr().err.startswith("python -m mlp.train: diverged: the cost became")
    assert np.isfinite(mlp.load(out / "model.npz").theta).all()


def test_the_module_runs_as_a_command_without_warnings(small, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mlp.train", "--data", str(small), "--validation", "200", "--epochs", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (out,) = (tmp_path / "runs").iterdir()
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock",
        "best.npz",
        "config.json",
        "confusion.png",
        "curves.png",
        "features.png",
        "metrics.csv",
        "mistakes.png",
        "model.npz",
        "network.html",
        "state.npz",
    ]


def test_film_of_a_run(command, tmp_path, capsys):
    _, out = command("--hidden 8 --epochs 1 --film --quiet")
    assert (out / "features.gif").read_bytes().startswith(b"GIF89a")
    (tmp_path / "table.csv").write_text("a,b,kind\n" + "1,2,x\n2,1,y\n" * 20)
    status = train.main(["--data", str(tmp_path / "table.csv"), "--film", "--out", str(tmp_path / "table")])
    assert status == 2
    assert "which make no square" in capsys.readouterr().err
    assert not (tmp_path / "table").exists()


def test_network_too_large_for_a_page_is_saved_without_one(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(mlp.export.page, "MOST_PARAMETERS", 3984)
    words = f"--data {small} --validation 200 --hidden 5 --epochs 0 --out {tmp_path / 'run'}"
    assert train.main(words.split()) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Without network.html: net: received a network of 3,985 parameters" in said
    assert (tmp_path / "run" / "model.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_default_run_reaches_98_percent_for_five_seeds(tmp_path, capsys, seed):
    assert train.main(["--seed", str(seed), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    accuracy = float(capsys.readouterr().out.removeprefix("Test accuracy: ").split(" ")[0])
    assert accuracy >= 98.0


@pytest.mark.parametrize("options", ["--epochs 1 --optimizer adam", "--epochs 4 --optimizer lbfgs"])
def test_the_same_seed_gives_the_same_bits_twice_on_two_threads(options, small, tmp_path):
    models = []
    for out in (tmp_path / "first", tmp_path / "second"):
        words = f"--hidden 64 {options} --validation 200 --no-plots --quiet".split()
        subprocess.run(
            [sys.executable, "-m", "mlp.train", *words, "--data", str(small), "--out", str(out)],
            env=os.environ | {"OPENBLAS_NUM_THREADS": "2"},
            check=True,
            capture_output=True,
        )
        models.append((out / "model.npz").read_bytes())
    assert models[0] == models[1]


NOISE = "--distort elastic:sigma=4,affine:shift=1 --dropout 0.1,0.25 --max-norm 1.5 --average 2"


def test_distortions_dropout_max_norm_and_averaging(command, capsys):
    status, out = command(f"--hidden 16 --epochs 3 --batch-size 50 --weight-decay 0 {NOISE}")
    printed = capsys.readouterr().out
    assert status == 0
    assert "batches of 50, 3 epochs, the last 2 averaged\n" in printed
    assert "distort elastic:sigma=4,affine:shift=1, dropout 0.1,0.25, max-norm 1.5\n" in printed
    assert "averaged the parameters over the last 40 steps" in printed
    recorded = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert recorded["options"]["dropout"] == [0.1, 0.25]
    assert NOISE.split(" --average")[0] in recorded["command"].replace("'", "")
    for layer in mlp.load(out / "model.npz").layers:
        assert np.linalg.norm(layer.W, axis=1).max() <= 1.5 * (1 + 1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_command_does_with_these_what_a_script_does(command, small, optimizer, parts_of):
    _, out = command(f"--hidden 16 --epochs 2 --seed 3 --weight-decay 0 --quiet --optimizer {optimizer} {NOISE}")
    train_set, _, _ = parts_of(small, 200, seed=3)
    net = mlp.MLP([784, 16, 10], seed=3)
    distort = mlp.Distortion(mlp.Elastic(sigma=4), mlp.Affine(shift=1))
    objective = mlp.Objective(net, train_set.X, train_set.y, distort=distort, dropout=(0.1, 0.25), max_norm=1.5)
    if optimizer == "sgd":
        mlp.sgd(objective, net.theta, learning_rate=0.25, momentum=0.9, schedule="cosine", epochs=2, seed=3, average=2)
    else:
        mlp.adam(objective, net.theta, schedule="cosine", epochs=2, seed=3, average=2)
    np.testing.assert_array_equal(net.theta, mlp.load(out / "model.npz").theta)
