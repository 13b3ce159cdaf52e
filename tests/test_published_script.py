"""scripts/published.py, on a tiny data set: its table of recipes, what it prints, and that it goes on where it was stopped."""

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp import train
from mlp.layers import parse
from mlp.plots.runs import columns_of
from mlp.train import options

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
def data(tmp_path_factory, write_digits):
    """A directory with 80 images to learn from and 50 to be tested on."""
    return write_digits(tmp_path_factory.mktemp("digits"), 80, 50)


@pytest.fixture
def run(published, tmp_path, capsys, monkeypatch):
    """Runs the script in this process (its networks are trained in others); returns the exit status and what was printed."""

    def run(*arguments):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")  # what the script sets stays within the test
        try:
            status = published.main([*arguments, "--out", str(tmp_path / "runs")])
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


@pytest.fixture
def finish(published, data, tmp_path, capsys):
    """Trains a row's runs as the script does, but in this process, an epoch of 8 hidden units; returns the script's options."""

    def finish(name, seeds, more="", *flags, status=0):
        over = f"--data {data} --hidden 8 --epochs 1 {more}"
        arguments = published.parse([name, "--out", str(tmp_path / "runs"), "--seeds", str(seeds), *flags, "--options", over])
        for seed, place in enumerate(published.places_of(name, arguments)):
            words = published.words_of(name, arguments)
            assert train.main([*words, "--seed", str(seed), "--out", str(place)]) == status
        capsys.readouterr()
        return "--seeds", str(seeds), *flags, "--options", over

    return finish


def errors_of(place, data):
    """The test error in % of each network in a directory of runs."""
    test = mlp.load_mnist(data, validation=0)[2]
    nets = [mlp.load(path) for path in sorted(place.glob("*/seed-*/model.npz"))]
    return [100 * np.mean(net.predict(test.X) != test.y) for net in nets], nets, test


def test_every_recipe_is_a_command_and_overrides_nothing(published):
    for name, row in published.ROWS.items():
        words = shlex.split(f"{published.ALL} {row.recipe}")
        given = vars(options.build_parser().parse_args(words))
        assert options.complete(given).validation == 0, name  # all images; and the options go together
        flags = [word for word in words if word.startswith("--")]
        assert len(flags) == len(set(flags)), name


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        # LeCun et al. 1998, figure 2
        ("lenet-5", [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (120,), (84,), (10,)]),
        # Simard et al. 2003, section 3: 29 × 29 to 13 × 13 to 5 × 5
        ("simard-elastic", [(13, 13, 5), (5, 5, 50), (100,), (10,)]),
        # Nielsen 2015, chapter 6
        ("nielsen-relu", [(24, 24, 20), (12, 12, 20), (8, 8, 40), (4, 4, 40), (100,), (10,)]),
        # Cireşan et al. 2011: 29 × 29 to 26 × 26, 13 × 13, 9 × 9, 3 × 3; with a frame on both sides, 27 × 27 first
        ("1-20-P-40-P-150", [(27, 27, 20), (13, 13, 20), (9, 9, 40), (3, 3, 40), (150,), (10,)]),
    ],
)
def test_a_convolutional_network_has_its_papers_sizes(published, name, shapes):
    hidden = options.build_parser().parse_args(shlex.split(published.ROWS[name].recipe)).hidden
    net = mlp.MLP([(28, 28), *parse(",".join(map(str, hidden))), 10])
    assert [layer.out_shape for layer in net.layers] == shapes


def test_a_row_is_trained_from_its_seeds_and_not_again(run, data, tmp_path):
    arguments = ["800-elastic", "--seeds", "2", "--options", f"--data {data} --hidden 8 --epochs 2 --distort affine"]
    status, first = run(*arguments)
    assert status == 0
    assert first.startswith("800-elastic: published 0.70 (Simard et al. 2003)\npython -m mlp.train --momentum 0.9")
    errors, *_ = errors_of(tmp_path / "runs", data)
    assert {f"seed-{seed}: {error:.2f} %" for seed, error in enumerate(errors)} < set(first.splitlines())
    told = f"{np.mean(errors):.2f} * ({min(errors):.2f} to {max(errors):.2f}, 2 runs); published 0.70"
    assert f"800-elastic: test error, %: {told}" in first
    configurations = [path.read_text() for path in (tmp_path / "runs").glob("*/seed-*/config.json")]
    assert all(re.search(r'"OPENBLAS_NUM_THREADS": "1"', text) for text in configurations)
    status, again = run(*arguments)
    assert status == 0
    assert "seed-0" not in again
    assert told in again


@pytest.mark.slow
def test_a_row_is_trained_on_a_cluster(run, data, tmp_path):
    status, said = run("linear", "--seeds", "2", "--cluster", "local", "--options", f"--data {data} --epochs 1")
    assert status == 0
    errors, *_ = errors_of(tmp_path / "runs", data)
    assert f"linear: test error, %: {np.mean(errors):.2f} * " in said


def test_a_recipe_is_chosen_by_the_validation_error(run, finish):
    asked = finish("300-100", 1, "--validation 20", "--validate")
    status, said = run("300-100", *asked)
    assert status == 0
    (place,) = Path(re.search(r" in (.*)", said)[1]).iterdir()
    (accuracy,) = columns_of(place, "run")["validation_accuracy"]
    assert f"validation error, %: {100 - 100 * accuracy:.2f} * (1 run)" in said


@pytest.mark.parametrize(
    ("send", "number"),
    [(os.killpg, signal.SIGINT), pytest.param(os.kill, signal.SIGTERM, marks=pytest.mark.slow)],
    ids=["Ctrl-C", "kill"],
)
def test_a_row_that_was_stopped_goes_on(run, data, tmp_path, send, number):
    arguments = ["1000", "--jobs", "1", "--options", f"--data {data} --hidden 8 --epochs 600 --save-every 0"]
    command = [sys.executable, str(SCRIPT), *arguments, "--out", str(tmp_path / "runs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("runs/*/seed-0/metrics.csv")) and time.monotonic() < deadline:
            time.sleep(0.02)
        send(process.pid, number)  # Ctrl-C reaches all of a process group
    assert process.returncode == 128 + number
    (row,) = (tmp_path / "runs").iterdir()
    assert [(place.name, (place / "state.npz").exists()) for place in row.iterdir()] == [("seed-0", True)]
    done = len((row / "seed-0" / "metrics.csv").read_text().splitlines()) - 1
    assert 0 < done < 600
    status, said = run(*arguments, "--seeds", "1")
    assert status == 0
    assert re.search(r"^1000: test error, %: ", said, re.MULTILINE)
    assert len((row / "seed-0" / "metrics.csv").read_text().splitlines()) == 601


def test_a_committee_is_judged_by_its_mean_output(run, finish, data, tmp_path):
    asked = finish("committee-800", 3)
    _, nets, test = errors_of(tmp_path / "runs", data)
    error = 100 * np.mean(np.mean([net.forward(test.X) for net in nets], axis=0).argmax(axis=1) != test.y)
    status, said = run("committee-800", *asked)
    assert status == 0
    assert re.search(rf"3 runs\), 3 together {error:.2f}; published 25 together 0\.39", said)
    _, said = run("--together", "committee-800,800", *asked)
    assert said == f"3 networks of committee-800, 800 together: test error {error:.2f} %\n"
    status, said = run("--together", "800")
    assert status == 2
    assert "no run of 800 is finished in" in said


def test_a_table_has_what_is_finished_and_marks_rows_of_few_runs(run, finish, data, tmp_path):
    asked = finish("linear", 2)
    errors, *_ = errors_of(tmp_path / "runs", data)
    assert "`linear`" not in run("--table")[1]  # those runs are of other options than the recipe's
    _, said = run("--table", *asked)
    measured = f"{np.mean(errors):.2f} * ({min(errors):.2f} to {max(errors):.2f}, 2 runs)"
    assert f"| `linear` | 12.00 (LeCun et al. 1998) | {measured} | open | 1 | 0.0 |\n" in said
    assert said.endswith("\\* fewer than 3 runs\n")


@pytest.mark.parametrize(
    ("errors", "together", "verdict"),
    [
        ([0.4, 0.5, 0.5], None, "yes"),
        ([0.4, 0.5, 0.6], None, "no"),
        ([0.3, 0.3], None, "open"),
        ([0.4] * 5, 0.3, "yes"),
        ([0.4] * 5, 0.4, "no"),
        ([0.6] * 5, 0.3, "no"),
        ([0.4] * 4, 0.3, "open"),
    ],
)
def test_a_row_is_beaten_by_the_mean_of_three_runs_and_by_the_whole_committee(published, errors, together, verdict):
    row = published.Row(0.5, "", "", seeds=5, committee=0.4) if together else published.Row(0.5, "", "")
    assert published.Outcome(row, errors, together).verdict() == verdict


def test_a_run_that_diverged_is_neither_counted_nor_trained_again(run, finish):
    asked = finish("800", 1, "--learning-rate 1e30", status=1)
    status, said = run("800", *asked)
    assert status == 1
    assert said.startswith("diverged: ")
    assert re.search(r"\(remove \S+seed-0 to train it anew\)$", said)
    assert "`800`" not in run("--table", *asked)[1]


def test_a_run_that_fails_is_a_failure(run, data):
    status, said = run("800", "--seeds", "1", "--options", f"--data {data} --hidden nine")
    assert status == 2
    assert re.search(r"seed-0: ended with status 2: .*hidden: received 'nine'", said)
    assert "test error" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["801"], "argument ROW: received '801' (str), but it must be one of linear, "),
        ([], "argument ROW is missing: --list shows the rows"),
        (["800", "--seeds", "0"], "argument --seeds: received 0 (int), but it must be an integer of at least 1"),
        (["800", "--jobs", "two"], "argument --jobs: received 'two'"),
        (["800", "--options", "'"], 'argument --options: received "\'": No closing quotation'),
    ],
)
def test_what_is_wrong_is_said_in_a_line(run, arguments, said):
    status, printed = run(*arguments)
    assert status == 2
    assert said in printed


def test_the_list_has_every_row(run, published):
    _, said = run("--list")
    for name, row in published.ROWS.items():
        assert f"{name}: published {row.figure()}; {row.seeds} networks\n    {row.recipe}\n" in said
