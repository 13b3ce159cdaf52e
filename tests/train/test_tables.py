"""`python -m mlp.train` on data of one's own: tables and arrays of data sets that come with scikit-learn."""

import json
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets, metrics

import mlp
from mlp import train
from mlp.checkpoint import load_notes
from mlp.data import prepare
from mlp.plots.__main__ import main as plots_command
from mlp.runs import find_runs
from mlp.runs import main as runs_command


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A directory with iris.csv, whose first column is text, diabetes.csv and digits.npz."""
    room = tmp_path_factory.mktemp("tables")
    iris, diabetes, digits = datasets.load_iris(), datasets.load_diabetes(scaled=False), datasets.load_digits()
    lines = ["wide,length,petal length,petal width,species"]
    for row, label in zip(iris.data, iris.target_names[iris.target], strict=True):
        lines.append(f"{'yes' if row[1] > 3 else 'no'},{row[0]},{row[2]},{row[3]},{label}")
    (room / "iris.csv").write_text("\n".join(lines))
    rows = np.column_stack([diabetes.data, diabetes.target])
    header = ",".join([*diabetes.feature_names, "progression"])
    np.savetxt(room / "diabetes.csv", rows, "%.8g", delimiter=",", header=header, comments="")
    (room / "huge.csv").write_text("a,y\n" + "".join(f"{1e300 if row == 3 else row},{row % 2}\n" for row in range(40)))
    np.savez(room / "digits.npz", X=digits.images, y=digits.target)
    return room


@pytest.fixture
def command(files, tmp_path, monkeypatch):
    """Runs the command in this process beside the files; returns (status, the run's directory)."""
    monkeypatch.chdir(files)

    def run(text, out="run"):
        out = tmp_path / out
        try:
            return train.main([*shlex.split(text), "--no-plots", "--out", str(out)]), out
        except SystemExit as ended:
            return ended.code, out

    return run


def raw(path, **wishes):
    """The parts that the command makes of a file, in their own units."""
    rest, test = mlp.read_table(path, **wishes).split(0.2, 0)
    return *rest.split(0.2, 0), test


def test_what_was_understood_is_printed_and_saved(command, capsys):
    status, out = command("iris.csv --epochs 5")
    assert status == 0
    lines = capsys.readouterr().out.splitlines()
    training, _, _ = raw("iris.csv")
    petal = training.X[:, 3]
    assert lines[0].split() == ["column", "kind", "values"]
    assert lines[1].split() == ["wide", "categorical", "no,", "yes"]
    summary = f"{petal.mean():.4g} ± {petal.std():.4g} ({petal.min():.4g} … {petal.max():.4g})"
    assert lines[3].split() == ["petal", "length", "numeric", *summary.split()]
    assert lines[5].split() == ["species", "target", "setosa,", "versicolor,", "virginica"]
    assert lines[6] == "Data: iris.csv, 96 training, 24 validation, 30 test examples"
    assert lines[7].startswith("Network: 5-256-3, relu hidden units, softmax output")
    columns = json.loads((out / "columns.json").read_text(encoding="utf-8"))
    assert columns["columns"][0] == {"name": "wide", "kind": "categorical", "values": ["no", "yes"]}
    assert columns["columns"][2]["deviation"] == pytest.approx(petal.std())


def test_classes_stand_in_the_report_and_a_loaded_model_answers_raw_rows_with_them(command, capsys):
    _, out = command("iris.csv --target species --quiet --per-class")
    first, *table, saved = capsys.readouterr().out.splitlines()
    net = mlp.load(out / "model.npz")
    _, _, test = raw("iris.csv")
    columns = {"wide": np.where(test.X[:, 1] == 1, "yes", "no"), "length": test.X[:, 2]}
    columns |= {"petal length": test.X[:, 3], "petal width": test.X[:, 4]}
    answers = net.predict(columns)
    names = np.array(test.classes)[test.y]
    assert first.startswith(f"Test accuracy: {100 * metrics.accuracy_score(names, answers):.2f} % (")
    assert "always 'setosa': 33.33 %" in first
    recalls = metrics.recall_score(names, answers, average=None)
    precisions = metrics.precision_score(names, answers, average=None)
    for line, name, recall, precision in zip(table[1:], test.classes, recalls, precisions, strict=True):
        assert line.split() == [name, "10", f"{100 * recall:.2f}", "%", f"{100 * precision:.2f}", "%"]
    assert saved == f"Saved in {out}"
    assert metrics.accuracy_score(names, answers) > 0.85


def test_regression_is_reported_in_the_targets_own_units(command, capsys):
    _, out = command("diabetes.csv --quiet")
    line = capsys.readouterr().out.splitlines()[0]
    training, _, test = raw("diabetes.csv")
    answers = mlp.load(out / "model.npz").predict(test.X)
    rmse = metrics.root_mean_squared_error(test.y, answers)
    plain = metrics.root_mean_squared_error(test.y, np.full(len(test), training.y.mean()))
    assert line.startswith(f"Test error: {rmse:.4g} (root mean square, 88 examples; predicting the mean: {plain:.4g})")
    assert f"R² {metrics.r2_score(test.y, answers):.4f}" in line
    assert rmse < 0.85 * plain
    assert load_notes(out / "model.npz")["test_rmse"] == pytest.approx(rmse)


def test_the_command_does_with_a_table_what_a_script_does(command):
    _, out = command("iris.csv --epochs 4 --batch-size 10 --hidden 7 --learning-rate 0.1 --quiet")
    training, _, _ = prepare(*raw("iris.csv"))
    net = mlp.MLP([5, 7, 3], seed=0)
    objective = mlp.Objective(net, training.X, training.y, weight_decay=5e-4)
    mlp.sgd(objective, net.theta, learning_rate=0.1, momentum=0.9, batch_size=10, schedule="cosine", epochs=4, seed=0)
    np.testing.assert_array_equal(mlp.load(out / "model.npz").theta, net.theta)


def test_the_columns_file_is_taken_back_edited(command, tmp_path):
    _, first = command("iris.csv --epochs 2 --quiet")
    _, same = command(f"iris.csv --epochs 2 --quiet --columns {first}/columns.json", "same")
    assert (first / "model.npz").read_bytes() == (same / "model.npz").read_bytes()
    columns = json.loads((first / "columns.json").read_text(encoding="utf-8"))
    columns["scaling"] = "range"
    del columns["columns"][:2]
    (tmp_path / "edited.json").write_text(json.dumps(columns), encoding="utf-8")
    status, edited = command(f"iris.csv --epochs 2 --columns {tmp_path}/edited.json", "edited")
    assert status == 0
    preparation = mlp.load(edited / "model.npz").preparation
    assert [column.name for column in preparation.columns] == ["petal length", "petal width"]
    assert preparation.scaling == "range"
    (tmp_path / "edited.json").unlink()  # a run keeps what became of it
    assert train.main(["--resume", str(edited), "--quiet", "--no-plots"]) == 0


@pytest.mark.parametrize("text", ["iris.csv --target species --optimizer adam", "diabetes.csv --seed 3", "digits.npz"])
def test_an_interrupted_run_ends_at_the_same_bits(command, runs, text):
    text += " --hidden 8 --epochs 4 --quiet --categorical '' " if "iris" in text else " --hidden 8 --epochs 4 --quiet"
    status, whole = command(text, "whole")
    assert status == 0
    with runs.killed_at(9, 2):
        assert command(text, "stopped")[0] == 130
    assert train.main(["--resume", str(whole.parent / "stopped"), "--quiet", "--no-plots"]) == 0
    assert (whole / "model.npz").read_bytes() == (whole.parent / "stopped" / "model.npz").read_bytes()


def test_a_run_refuses_to_go_on_with_other_data(command, files, capsys):
    (files / "changing.csv").write_text((files / "iris.csv").read_text())
    _, out = command("changing.csv --epochs 1 --quiet")
    (files / "changing.csv").write_text((files / "iris.csv").read_text().replace("5.1", "5.2"))
    assert train.main(["--resume", str(out)]) == 2
    assert "was trained on other data than that of changing.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("--validation 0.1 --test 0.5", "67 training, 8 validation, 75 test"),
        ("--validation 30 --test 20", "100 training, 30 validation, 20 test"),
        ("--validation 0 --test 0.2", "120 training, 30 test"),
        ("--test 0", "120 training, 30 validation"),
    ],
)
def test_splits(command, text, sizes, capsys):
    assert command(f"iris.csv --epochs 1 {text}")[0] == 0
    assert f"Data: iris.csv, {sizes} examples" in capsys.readouterr().out


def test_parts_are_drawn_by_the_seed_and_stratified(command, files):
    digests = []
    for seed in (0, 0, 1):
        _, out = command(f"iris.csv --epochs 0 --quiet --seed {seed}", f"run{len(digests)}")
        digests.append(json.loads((out / "config.json").read_text())["data_sha256"])
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    data = mlp.read_table(files / "iris.csv")
    for part, each in zip(raw(files / "iris.csv"), (32, 8, 10), strict=True):
        assert np.bincount(part.y).tolist() == [each] * 3
    folds = [data.fold(number, 4, 0)[1] for number in (1, 2, 3, 4)]
    assert sorted(len(fold) for fold in folds) == [37, 37, 38, 38]
    assert all(12 <= count <= 13 for fold in folds for count in np.bincount(fold.y))
    together = np.concatenate([fold.X for fold in folds])
    assert sorted(map(tuple, together)) == sorted(map(tuple, data.X))


def test_cross_validation(command, capsys):
    status, out = command("iris.csv --folds 3 --epochs 30 --quiet")
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    accuracies = [float(line.split()[2]) for line in lines if line.startswith("Test accuracy")]
    assert len(accuracies) == 3
    mean, deviation = np.mean(accuracies), np.std(accuracies, ddof=1)
    assert lines[-2] == f"Cross-validation: accuracy {mean:.2f} ± {deviation:.2f} % (mean ± deviation over 3 folds)"
    assert lines[-1] == f"Saved in {out}"
    assert sorted(path.name for path in out.iterdir()) == ["fold-1", "fold-2", "fold-3"]
    _, alone = command("iris.csv --folds 3 --fold 2 --epochs 30 --quiet", "alone")
    assert (alone / "model.npz").read_bytes() == (out / "fold-2" / "model.npz").read_bytes()
    assert train.main(["--resume", str(out / "fold-2"), "--quiet", "--no-plots"]) == 0


def test_a_cross_validation_goes_on_fold_by_fold(command, tmp_path, capsys, monkeypatch):
    """Stopped in fold 2 of 3: fold 1 is taken as it is, fold 2 goes on, fold 3 begins, all as without the interruption."""
    text = "iris.csv --folds 3 --hidden 5 --epochs 6 --batch-size 8"
    status, whole = command(text, out="whole")
    assert status == 0
    expected = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("Test", "Cross"))]
    step_done, epochs = train.session.Session.step_done, []

    def stop_in_fold_2(session, snapshot):
        if session.run.directory.name == "fold-2" and len(snapshot().facts["history"]) == 3:
            session.received = signal.SIGINT
        step_done(session, snapshot)

    with monkeypatch.context() as patch:
        patch.setattr(train.session.Session, "step_done", stop_in_fold_2)
        status, out = command(text)
    assert status == 130
    assert f"To go on with all folds: python -m mlp.train --resume {out}" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["fold-1", "fold-2"]
    epoch_done = train.session.Session.epoch_done

    def note(session, intermediate_result):
        epochs.append((session.run.directory.name, len(intermediate_result.history)))
        epoch_done(session, intermediate_result)

    monkeypatch.setattr(train.session.Session, "epoch_done", note)
    assert train.main(["--resume", str(out), "--no-plots"]) == 0
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("Test", "Cross"))]
    assert found == expected
    assert epochs == [("fold-2", epoch) for epoch in (4, 5, 6)] + [("fold-3", epoch) for epoch in range(1, 7)]
    for fold in ("fold-1", "fold-2", "fold-3"):
        assert np.array_equal(mlp.load(out / fold / "model.npz").theta, mlp.load(whole / fold / "model.npz").theta)
    assert train.main(["--resume", str(out), "--epochs", "7", "--no-plots"]) == 0
    assert epochs[9:] == [(f"fold-{fold}", 7) for fold in (1, 2, 3)]
    assert find_runs([tmp_path]) == [place / f"fold-{fold}" for place in (out, whole) for fold in (1, 2, 3)]
    capsys.readouterr()
    assert runs_command([str(out)]) == 0
    assert [line.split()[5] for line in capsys.readouterr().out.splitlines()[1:]] == ["7", "7", "7"]


def test_balanced_classes_weigh_the_same(command, files, tmp_path):
    lines = (files / "iris.csv").read_text().splitlines()
    (tmp_path / "rare.csv").write_text("\n".join([*lines[:101], *lines[101:111]]))
    _, out = command(f"{tmp_path}/rare.csv --epochs 2 --batch-size 16 --quiet --class-weight balanced")
    training, _, _ = prepare(*raw(tmp_path / "rare.csv"))
    counts = np.bincount(training.y)
    net = mlp.MLP([5, 256, 3], seed=0)
    weights = 1 / counts[training.y]
    objective = mlp.Objective(net, training.X, training.y, weight_decay=5e-4, weights=weights)
    mlp.sgd(objective, net.theta, learning_rate=0.02, momentum=0.9, batch_size=16, schedule="cosine", epochs=2, seed=0)
    np.testing.assert_allclose(mlp.load(out / "model.npz").theta, net.theta, atol=1e-5)


def test_images_in_arrays(command, capsys):
    status, out = command("digits.npz --hidden 32")
    assert status == 0
    printed = capsys.readouterr().out
    assert "Data: digits.npz, 1,150 training, 288 validation, 359 test images" in printed
    assert float(printed.split("Test accuracy: ")[1].split()[0]) > 94
    net = mlp.load(out / "model.npz")
    digits = datasets.load_digits()
    assert net.preparation.image_shape == (8, 8)
    assert np.mean(net.predict(digits.images) == digits.target) > 0.96


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none.csv", "none.csv: there is no such file or directory"),
        ("iris.csv --data iris.csv", "argument --data: received 'iris.csv', and DATA 'iris.csv': one is enough"),
        ("iris.csv --target specie", "target: received 'specie' (str), but it must be one of wide, length, "),
        ("iris.csv --validation 1.0", "argument --validation: received 1.0 (float), but it must be a finite number above 0"),
        ("iris.csv --validation -1", "argument --validation: received -1 (int)"),
        ("iris.csv --validation 0.999", "validation: received 0.999 (float), but of 120 examples"),
        ("iris.csv --test 150", "test: received 150 (int), but of 150 examples that leaves one part empty"),
        ("iris.csv --fold 2", "argument --fold: received 2, but --folds is off"),
        ("iris.csv --folds 3 --test 5", "argument --test: with --folds, each fold is the test set of one run"),
        ("iris.csv --scale norm", "argument --scale: received 'norm' (str), but it must be one of none, standard, range"),
        ("iris.csv --task regression", "column 'species': received 'setosa' (str) in row 1, but it must be a number"),
        ("diabetes.csv --class-weight balanced", "class_weight: received 'balanced', but the target is a number"),
        ("iris.csv --normalise range", "did you mean --scale?"),
        ("iris.csv --distort affine", "distort: received 'affine', but the data is no images to distort"),
        ("iris.csv --folds 151", "folds: received 151, but there are 150 examples"),
        ("huge.csv", "column 'a': received 1e+300, too large for float32 when scaled"),
        ("digits.npz --target y", "holds arrays, whose columns have no names"),
    ],
)
def test_what_cannot_be_is_one_line(command, text, message, capsys):
    assert command(text)[0] == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_command_as_it_is_typed_draws_what_there_is_to_draw(files, tmp_path):
    def run(words, **more):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "mlp.train", *shlex.split(words)],
            cwd=tmp_path, capture_output=True, text=True, check=False, **more,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    table = (files / "iris.csv").read_text()
    printed = run("- --target species --epochs 3 --out iris", input=table)
    assert "Data: standard input, 96 training" in printed
    assert {path.name for path in (tmp_path / "iris").glob("*.png")} == {"confusion.png", "curves.png"}
    run(f"{files}/diabetes.csv --epochs 3 --out diabetes")
    assert {path.name for path in (tmp_path / "diabetes").glob("*.png")} == {"curves.png"}
    run(f"{files}/digits.npz --epochs 3 --out digits")
    assert {path.name for path in (tmp_path / "digits").glob("*.png")} == {
        "confusion.png", "curves.png", "features.png", "mistakes.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("iris.csv", ["curves", "confusion", "activations", "weights"]),
        ("iris.csv --folds 4 --fold 2 --scale range", ["curves", "confusion", "activations", "weights"]),
        ("diabetes.csv", ["curves", "weights"]),
        ("digits.npz", ["features", "curves", "confusion", "mistakes", "activations", "weights"]),
    ],
)
def test_the_figures_of_a_run_are_drawn_again_from_its_own_test_set(command, capsys, monkeypatch, text, figures):
    _, out = command(f"{text} --epochs 2")
    accuracy = re.search(r"Test accuracy: ([\d.]+ %) \((\d+) of (\d+) wrong", capsys.readouterr().out)
    titles = []
    draw = mlp.plots.confusion
    monkeypatch.setattr(mlp.plots, "confusion", lambda *args, **more: titles.append(draw(*args, **more).axes[0].get_title()))
    assert plots_command([str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name}: {out / name}.png" for name in figures]
    for title in titles:
        share, wrong, n = accuracy.groups()
        assert title == f"Accuracy {share} ({int(n) - int(wrong)} of {n} examples)"


def test_figures_are_refused_where_their_data_is_another_or_gone(command, files, tmp_path, capsys):
    table = tmp_path / "table.csv"
    table.write_text((files / "iris.csv").read_text())
    _, out = command(f"{table} --epochs 2 --quiet")
    table.write_text(table.read_text().replace("\nno,", "\nyes,"))
    capsys.readouterr()
    assert plots_command([str(out), "--what", "confusion"]) == 2
    assert f"{out}: learned from other data than that of {table}: give --data" in capsys.readouterr().err
    table.unlink()
    assert plots_command([str(out)]) == 0
    said = [line.partition(": ") for line in capsys.readouterr().out.splitlines()]
    reason = f"left out ({table}: there is no such file or directory)"
    assert [(name, what.startswith("left")) for name, _, what in said] == [
        ("curves", False), ("confusion", True), ("activations", True), ("weights", False),
    ]  # fmt: skip
    assert [what for name, _, what in said if name == "confusion"] == [reason]
    assert plots_command([str(out), "--what", "confusion", "--data", str(files / "iris.csv")]) == 0
    assert plots_command([str(out / "model.npz"), "--what", "confusion", "--data", str(files / "iris.csv")]) == 2
    assert "doesn't know which examples were its test set: give the run's directory" in capsys.readouterr().err
