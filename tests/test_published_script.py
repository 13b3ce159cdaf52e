"""scripts/published.py, on a small MNIST: its table of recipes, what it prints, and that it goes on where it was stopped."""

import importlib.util
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp import train

SCRIPT = Path(__file__).parent.parent / "scripts" / "published.py"


@pytest.fixture(scope="module")
def published():
    """The script as a module."""
    description = importlib.util.spec_from_file_location("published", SCRIPT)
    module = importlib.util.module_from_spec(description)
    sys.modules["published"] = module  # where its dataclasses look for their module
    description.loader.exec_module(module)
    yield module
    del sys.modules["published"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A directory with the first 600 training images of MNIST to learn from and the next 200 to be tested on."""
    directory = tmp_path_factory.mktemp("published-mnist")
    whole = mlp.load_mnist(validation=0)[0]
    for name, part in (("train", whole[:600]), ("t10k", whole[600:800])):
        for kind, array in (("images-idx3", part.X.reshape(-1, 28, 28)), ("labels-idx1", part.y.astype(np.uint8))):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (directory / f"{name}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return directory


def command(tmp_path, *arguments):
    return [sys.executable, str(SCRIPT), *arguments, "--out", str(tmp_path / "runs")]


def run(tmp_path, *arguments):
    ended = subprocess.run(
        command(tmp_path, *arguments),
        env=os.environ | {"PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended


def test_every_recipe_is_a_command_for_the_network_of_its_row(published, data, tmp_path, capsys):
    for name, row in published.ROWS.items():
        words = shlex.split(f"{published.ALL} {row.recipe}")
        place = tmp_path / name
        small = ["--data", str(data), "--epochs", "0", "--quiet", "--out", str(place)]
        assert train.main([*words, *small]) == 0, capsys.readouterr().err
        hidden = mlp.load(place / "model.npz").sizes[1:-1]
        assert "+".join(map(str, hidden)) in row.what or (row.what == "none" and not hidden)
        options = [word for word in words if word.startswith("--")]
        assert sorted(options) == sorted(set(options))  # none is overridden
        (place / "model.npz").unlink()
    capsys.readouterr()


def test_a_row_is_trained_from_its_seeds_and_not_again(data, tmp_path):
    options = f"--data {data} --hidden 8 --epochs 2 --distort affine"
    first = run(tmp_path, "800-elastic", "--seeds", "3", "--options", options)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("800-elastic: 800, cross-entropy, elastic")
    lines = first.stdout.splitlines()
    for seed in range(3):
        own = [line for line in lines if line.startswith(f"seed {seed} | ")]
        assert any("epoch 2/2" in line for line in own)
        assert any("Test accuracy" in line for line in own)
    errors = [100 - float(text) for text in re.findall(r"Test accuracy: ([0-9.]+) %", first.stdout)]
    said = re.search(r"^800-elastic: test error ([0-9.]+) \(([0-9., ]+)\) %, published 0\.70 %", first.stdout, re.MULTILINE)
    assert float(said[1]) == pytest.approx(np.mean(errors), abs=0.006)
    assert sorted(map(float, said[2].split(", "))) == pytest.approx(sorted(errors), abs=0.006)
    again = run(tmp_path, "800-elastic", "--seeds", "3", "--options", options)
    assert again.returncode == 0
    assert "seed 0 |" not in again.stdout
    assert said[0] in again.stdout


def test_the_test_set_is_not_seen_where_a_recipe_is_chosen(data, tmp_path):
    options = f"--data {data} --hidden 8 --epochs 1 --validation 200"
    ended = run(tmp_path, "300-100", "--validate", "--seeds", "1", "--options", options)
    assert ended.returncode == 0, ended.stderr
    assert "Test accuracy" not in ended.stdout
    accuracy = float(re.search(r"validation accuracy ([0-9.]+) %", ended.stdout)[1])
    error = float(re.search(r"validation error ([0-9.]+) %", ended.stdout)[1])
    assert error == pytest.approx(100 - accuracy, abs=0.011)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_row_that_was_stopped_goes_on(data, tmp_path, number):
    arguments = ["1000", "--seeds", "2", "--jobs", "1", "--options", f"--data {data} --hidden 8 --epochs 400"]
    with subprocess.Popen(command(tmp_path, *arguments), stdout=subprocess.PIPE, encoding="utf-8") as process:
        for line in process.stdout:
            if "| epoch" in line:
                process.send_signal(number)
                break
        rest = process.stdout.read()
    assert process.returncode == 128 + number
    assert rest.endswith("the same command goes on with the runs\n")
    assert "seed 1" not in rest  # nothing new was begun
    ended = run(tmp_path, *arguments)
    assert ended.returncode == 0
    assert "seed 0 | Going on with" in ended.stdout
    assert ended.stdout.count("epoch 400/400") == 2


def test_a_committee_is_judged_by_its_mean_output(data, tmp_path):
    options = f"--data {data} --hidden 8 --epochs 1"
    ended = run(tmp_path, "committee-800", "--seeds", "3", "--options", options)
    assert ended.returncode == 0, ended.stderr
    nets = [mlp.load(path) for path in (tmp_path / "runs").glob("*/seed-*/model.npz")]
    assert len(nets) == 3
    test = mlp.load_mnist(data, validation=0)[2]
    error = 100 * np.mean(np.mean([net.forward(test.X) for net in nets], axis=0).argmax(axis=1) != test.y)
    assert f"test error {error:.2f} (3 networks, " in ended.stdout
    fewer = run(tmp_path, "committee-800", "--seeds", "2", "--options", options)
    assert "(2 networks, " in fewer.stdout
    again = run(tmp_path, "--together", "committee-800,800", "--seeds", "3", "--options", options)
    assert again.stdout == f"3 networks of committee-800, 800 together: test error {error:.2f} %\n"
    nothing = run(tmp_path, "--together", "800")
    assert nothing.returncode == 2
    assert "no run of 800 is finished in" in nothing.stderr


def test_a_table_has_what_is_finished(data, tmp_path):
    assert run(tmp_path, "linear", "--seeds", "1", "--options", f"--data {data} --epochs 1").returncode == 0
    nothing = run(tmp_path, "--table")
    assert len(nothing.stdout.splitlines()) == 2  # those runs are of other options than the recipe's
    table = run(tmp_path, "--table", "--options", f"--data {data} --epochs 1").stdout.splitlines()
    assert re.fullmatch(r"\| `linear` \| none \| 12\.00 \(LeCun et al\. 1998\) \| \d+\.\d\d \| 1 \| 0\.0 \|", table[2])


def test_a_run_that_diverged_is_neither_counted_nor_trained_again(data, tmp_path):
    arguments = ["800", "--seeds", "1", "--options", f"--data {data} --hidden 8 --epochs 3 --learning-rate 1e30"]
    first = run(tmp_path, *arguments)
    assert first.returncode == 1
    assert "seed 0 | ended with status 1" in first.stdout
    again = run(tmp_path, *arguments)
    assert again.returncode == 1
    assert "seed 0 | diverged: " in again.stdout
    assert "test error" not in first.stdout + again.stdout


def test_a_child_that_is_killed_is_a_failure(published, tmp_path, monkeypatch, capsys):
    dies = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    start = subprocess.Popen
    monkeypatch.setattr(published.subprocess, "Popen", lambda _words, **settings: start(dies, **settings))
    assert published.main(["800", "--seeds", "2", "--jobs", "1", "--out", str(tmp_path)]) == 137
    assert "seed 0 | ended with status -9" in capsys.readouterr().out


def test_who_reads_may_go_and_need_not_know_every_letter(data, tmp_path):
    whole = command(tmp_path, "linear", "--seeds", "2", "--options", f"--data {data} --epochs 2")
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    listed = subprocess.run(
        command(tmp_path, "--list"), env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True
    )
    assert b"Cire?an" in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["801"], "argument ROW: received '801' (str), but it must be one of linear, "),
        ([], "argument ROW is missing: --list shows the rows"),
        (["800", "--seeds", "0"], "argument --seeds: received '0', but it must be an integer of at least 1"),
        (["800", "--jobs", "two"], "argument --jobs: received 'two'"),
        (["800", "--options", "'"], 'argument --options: received "\'": No closing quotation'),
        (["800", "--options", "--hidden nine"], "argument --hidden: received 'nine'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, arguments, said):
    ended = run(tmp_path, *arguments)
    assert ended.returncode == 2
    assert said in ended.stdout + ended.stderr


def test_the_list_has_every_row(published, tmp_path):
    listed = run(tmp_path, "--list").stdout
    for name, row in published.ROWS.items():
        assert f"{name}: {row.what}" in listed
        assert f"published {row.published:.2f} % ({row.source})" in listed
