"""`python -m mlp.predict`: pictures, tables and arrays in; labels, probabilities and one-line errors out."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets

import mlp
from mlp import train
from mlp.predict import inputs, main


@pytest.fixture(scope="session")
def test_set():
    return mlp.load_mnist()[2]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Softmax regression, quickly trained."""
    train, _, _ = mlp.load_mnist()
    net = mlp.MLP([784, 10], seed=0)
    mlp.sgd(mlp.Objective(net, train.X, train.y), net.theta, learning_rate=0.2, batch_size=128, epochs=1, seed=0)
    path = tmp_path_factory.mktemp("model") / "model.npz"
    mlp.save(path, net)
    return path


@pytest.fixture
def binary(tmp_path):
    """1/(1 + e^−x): one input, one logistic output."""
    net = mlp.MLP([1, 1], output="logistic", seed=0)
    net.layers[0].W[...] = 1
    mlp.save(tmp_path / "binary.npz", net)
    return tmp_path / "binary.npz"


@pytest.fixture
def command(capsys):
    """Runs the command; returns (status, lines on stdout, lines on stderr)."""

    def run(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return run


def draw(path, row):
    """A digit of MNIST's as a dark drawing on white paper."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.kron(255 - row.reshape(28, 28), np.ones((9, 9), np.uint8))).save(path)
    return path


def table_in(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# Pictures


def test_pictures_get_a_line_each(command, model, test_set, tmp_path):
    pictures = [draw(tmp_path / f"{number}.png", test_set.X[number]) for number in range(4)]  # 7, 2, 1, 0
    status, lines, errors = command(model, *pictures)
    assert (status, errors) == (0, [])
    assert [line.partition(" (")[0] for line in lines] == [
        f"{path}: {digit}" for path, digit in zip(pictures, "7210", strict=True)
    ]
    assert all(line.endswith(" %)") for line in lines)


def test_pictures_of_a_directory_are_answered_in_order_of_their_names_but_for_a_damaged_one(command, model, test_set, tmp_path):
    for name, number in (("b.png", 1), ("a.jpg", 0)):
        draw(tmp_path / "drawings" / name, test_set.X[number])
    (tmp_path / "drawings" / "bad.png").write_text("no picture")
    (tmp_path / "drawings" / "notes.md").write_text("not even called a picture")
    status, lines, errors = command(model, tmp_path / "drawings")
    assert status == 2
    assert [line.partition(" (")[0] for line in lines] == [
        f"{tmp_path / 'drawings'}/a.jpg: 7",
        f"{tmp_path / 'drawings'}/b.png: 2",
    ]
    (error,) = errors
    assert error.startswith(f"python -m mlp.predict: error: {tmp_path / 'drawings' / 'bad.png'}: not a picture")


def test_a_second_guess_is_told_where_it_is_not_unlikely(command, binary, tmp_path):
    np.save(tmp_path / "x.npy", np.log([[3.0], [1 / 3]]).astype(np.float32))  # 3/4, 1/4
    _, lines, _ = command(binary, tmp_path / "x.npy")
    assert lines == ["label,p_0,p_1", "1,0.25,0.75", "0,0.75,0.25"]
    net = mlp.load(binary)
    found = inputs.Model(binary, net, (1,))
    from mlp.predict.answers import answer

    assert answer(found, inputs.Input("", np.log([[3.0]]))).sentence() == "1 (75.0 %; 0: 25.0 %)"
    assert answer(found, inputs.Input("", np.array([[50.0]]))).sentence() == "1 (>99.9 %)"


def test_show_draws_what_the_network_saw(command, model, test_set, tmp_path):
    picture = draw(tmp_path / "seven.png", test_set.X[0])
    status, lines, _ = command(model, picture, "--show", tmp_path / "seen.png")
    assert (status, len(lines)) == (0, 1)
    seen = np.asarray(Image.open(tmp_path / "seen.png").convert("L"))
    assert np.mean(seen < 9) > 0.3  # the digit's background, now black


def test_a_picture_as_it_is_is_only_scaled(command, model, test_set, tmp_path):
    Image.fromarray(test_set.X[0].reshape(28, 28)).save(tmp_path / "seven.png")
    command(model, tmp_path / "seven.png", "--whole", "-o", tmp_path / "answers.csv")
    (row,) = table_in(tmp_path / "answers.csv")
    assert float(row["p_7"]) == pytest.approx(mlp.load(model).forward(test_set.X[:1])[0, 7], rel=1e-5)


@pytest.mark.parametrize("how", ["as floats to 16", "as bytes", "dark on light"])
def test_pictures_become_images_as_the_network_learned_from(command, tmp_path, how):
    """scikit-learn's digits fill all of their 8 × 8 pixels, from 0 to 16: drawings must too, and such images stay."""
    digits = datasets.load_digits()
    bytes_of = (255 / 16 * digits.images).astype(np.uint8)
    images = {"as floats to 16": digits.images, "as bytes": bytes_of, "dark on light": 255 - bytes_of}[how]
    np.savez(tmp_path / "digits.npz", X=images, y=digits.target)
    given = ["--hidden", "none", "--epochs", "20", "--quiet", "--no-plots"]
    assert train.main([str(tmp_path / "digits.npz"), *given, "--out", str(tmp_path / "run")]) == 0
    for number in range(20):
        Image.fromarray(bytes_of[number]).save(tmp_path / f"same-{number:02}.png")
        large = Image.fromarray(255 - bytes_of[number]).resize((160, 160), Image.Resampling.BICUBIC)
        drawing = Image.new("L", (300, 240), 255)  # a digit on a large white sheet
        drawing.paste(large, (100, 20))
        drawing.save(tmp_path / f"drawn-{number:02}.png")
    right = {}
    for kind in ("same", "drawn"):
        status, lines, errors = command(tmp_path / "run", *sorted(tmp_path.glob(f"{kind}-*.png")))
        assert (status, errors) == (0, [])
        found = [int(line.split(": ")[1][0]) for line in lines if line.startswith(str(tmp_path / kind))]
        right[kind] = int((np.array(found) == digits.target[:20]).sum())
    assert right["same"] >= 19
    assert right["drawn"] >= 12  # as MNIST has it, by the centre of mass; these are in the middle of their box


def test_networks_of_images_say_their_shape_and_others_take_no_pictures(command, test_set, tmp_path):
    draw(tmp_path / "seven.png", test_set.X[0])
    mlp.save(tmp_path / "colour.npz", mlp.MLP([(8, 6, 3), mlp.Conv(2, 3), 10], seed=0))
    assert command(tmp_path / "colour.npz", tmp_path / "seven.png")[0] == 0
    mlp.save(tmp_path / "numbers.npz", mlp.MLP([30, 10], seed=0))
    status, _, errors = command(tmp_path / "numbers.npz", tmp_path / "seven.png")
    assert (status, len(errors)) == (2, 1)
    assert errors[0].endswith("seven.png: is a picture, but the network takes 30 numbers that are no image")


# Arrays and files of answers


@pytest.mark.parametrize("kind", ["idx", "idx.gz", "npy", "npz", "one.npz"])
def test_arrays_of_all_kinds_are_answered_as_the_network_does(command, model, test_set, tmp_path, write_idx, kind):
    images = test_set.X[:50].reshape(-1, 28, 28)
    path = tmp_path / f"images.{kind}"
    if kind.startswith("idx"):
        path = write_idx(tmp_path / f"images-{kind}", images)
    elif kind == "npy":
        np.save(path, images)
    elif kind == "npz":
        np.savez(path, X=images, y=test_set.y[:50])
    else:
        np.savez(path, whatever=images)
    status, lines, _ = command(model, path, "--output", tmp_path / "answers.csv")
    assert (status, lines) == (0, [f"{tmp_path / 'answers.csv'}: 50 answers"])
    rows = table_in(tmp_path / "answers.csv")
    net = mlp.load(model)
    assert [int(row["label"]) for row in rows] == net.predict(test_set.X[:50]).tolist()
    written = np.array([[float(row[f"p_{digit}"]) for digit in range(10)] for row in rows])
    np.testing.assert_allclose(written, net.forward(test_set.X[:50]), rtol=1e-5)


def test_several_inputs_are_told_apart_in_the_table(command, model, test_set, tmp_path):
    picture = draw(tmp_path / "seven.png", test_set.X[0])
    np.save(tmp_path / "two.npy", test_set.X[1:3])
    _, lines, _ = command(model, tmp_path / "two.npy", picture)
    assert lines[0].startswith("input,label,p_0,")
    assert [line.rsplit(",", 10)[0] for line in lines[1:]] == [
        f"{tmp_path / 'two.npy'},2",
        f"{tmp_path / 'two.npy'},1",
        f"{picture},7",
    ]


def test_numbers_are_written_as_numbers(command, tmp_path):
    net = mlp.MLP([2, 1], output="identity", seed=0)
    net.layers[0].W[...] = [[2, 3]]
    mlp.save(tmp_path / "model.npz", net)
    np.save(tmp_path / "x.npy", [[1.0, 1.0], [0.5, 0.0]])
    assert command(tmp_path / "model.npz", tmp_path / "x.npy")[1] == ["prediction", "5", "1"]


# Models


def test_a_run_answers_by_its_last_model_or_by_its_best(command, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    np.save(tmp_path / "x.npy", [[1.0]])
    net = mlp.MLP([1, 1], output="identity", seed=0)
    for name, weight in (("best", 7), ("model", 5)):
        net.layers[0].W[...] = weight
        mlp.save(run / f"{name}.npz", net)
    assert command(run, tmp_path / "x.npy")[1] == ["prediction", "5"]
    assert command(run, tmp_path / "x.npy", "--best")[1] == ["prediction", "7"]
    (run / "model.npz").unlink()
    status, _, (error,) = command(run, tmp_path / "x.npy")
    assert (status, error) == (2, f"python -m mlp.predict: error: {run}: has no model.npz (its best so far is there: --best)")


def test_models_together_answer_by_their_mean(command, tmp_path):
    np.save(tmp_path / "x.npy", [[1.0]])
    net = mlp.MLP([1, 1], output="identity", seed=0)
    for weight in (5, 7, 12):
        net.layers[0].W[...] = weight
        mlp.save(tmp_path / f"{weight}.npz", net)
    paths = [tmp_path / f"{weight}.npz" for weight in (5, 7, 12)]
    assert command(paths[0], tmp_path / "x.npy", "--with", paths[1], "--with", paths[2])[1] == ["prediction", "8"]


# Tables


@pytest.fixture(scope="session")
def iris(tmp_path_factory):
    """A run on scikit-learn's iris as a table, and that table."""
    data = pytest.importorskip("sklearn.datasets").load_iris()
    room = tmp_path_factory.mktemp("iris")
    names = ["sepal length", "sepal width", "petal length", "petal width", "species"]
    rows = [[*map(str, x), data.target_names[y]] for x, y in zip(data.data, data.target, strict=True)]
    (room / "iris.csv").write_text("\n".join(map(",".join, [names, *rows])) + "\n")
    words = ["--hidden", "8", "--epochs", "40", "--optimizer", "adam", "--learning-rate", "0.02", "--quiet", "--no-plots"]
    assert train.main([str(room / "iris.csv"), "--target", "species", *words, "--out", str(room / "run")]) == 0
    return room / "run", room / "iris.csv"


def test_a_table_is_answered_with_the_names_of_classes_and_their_probabilities(command, iris, tmp_path):
    run, table = iris
    assert command(run, table, "-o", tmp_path / "answers.csv")[0] == 0
    rows, given = table_in(tmp_path / "answers.csv"), table_in(table)
    assert list(rows[0]) == ["label", "p_setosa", "p_versicolor", "p_virginica"]
    assert np.mean([row["label"] == truth["species"] for row, truth in zip(rows, given, strict=True)]) > 0.9
    assert all(sum(float(row[name]) for name in list(row)[1:]) == pytest.approx(1, abs=1e-4) for row in rows)


def test_other_columns_in_another_order_are_no_trouble_and_a_missing_one_is_named(command, iris, tmp_path):
    run, _ = iris
    (tmp_path / "new.csv").write_text("petal width,note,petal length,sepal width,sepal length\n0.2,nice,1.4,3.5,5.1\n")
    status, lines, _ = command(run, tmp_path / "new.csv")
    assert (status, len(lines)) == (0, 2)
    assert lines[1].startswith("setosa,")  # the first flower of the data
    (tmp_path / "less.csv").write_text("petal width,petal length,sepal width\n0.2,1.4,3.5\n")
    status, _, (error,) = command(run, tmp_path / "less.csv")
    assert status == 2
    assert "less.csv: lacks the column 'sepal length'" in error


# Errors and speed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npz", "x.png"], "nowhere.npz"),
        (["MODEL", "nowhere.png"], "No such file or directory: 'nowhere.png'"),
        (["MODEL", "nowhere.npz"], "No such file or directory: 'nowhere.npz'"),
        (["MODEL", "ROOM"], "ROOM: has no pictures in it, files that end in .png, .jpg"),
        (["MODEL", "ROOM/t.csv"], "t.csv: is a table, but MODEL was not trained on one and knows no columns"),
        (["MODEL", "ROOM/few.npy"], "few.npy: X: received 3 features, shape (2, 3), but the network takes 784"),
        (["MODEL", "ROOM/flat.npy"], "flat.npy: holds float64 of shape (3,), but inputs are (n, features) or images"),
        (["MODEL", "ROOM/two.npz"], "two.npz: not arrays that numpy can read, or damaged: it holds a, b, but it must hold X"),
        (["MODEL", "ROOM/bad.npz"], "bad.npz: not arrays that numpy can read, or damaged"),
        (["MODEL", "ROOM/objects.npy"], "objects.npy: not arrays that numpy can read, or damaged"),
        (["MODEL", "ROOM/cut.gz"], "cut.gz: the gzip data is damaged or cut short"),
        (["MODEL"], "the following arguments are required: INPUT"),
        (["MODEL", "x", "--raw"], "unrecognized arguments: --raw; did you mean --whole?"),
        (["ROOM/bad.npz", "x"], "bad.npz: not a model, or damaged"),
    ],
)
def test_bad_input_is_one_line_and_status_2(command, model, tmp_path, arguments, message):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    np.save(tmp_path / "few.npy", np.ones((2, 3)))
    np.save(tmp_path / "flat.npy", np.ones(3))
    np.savez(tmp_path / "two.npz", a=np.ones((2, 3)), b=np.ones((2, 3)))
    (tmp_path / "bad.npz").write_bytes(b"PK\3\4 and no more")
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    (tmp_path / "cut.gz").write_bytes(b"\x1f\x8b\x08\0")

    def placed(text):
        return text.replace("ROOM", str(tmp_path)).replace("MODEL", str(model))

    status, lines, errors = command(*map(placed, arguments))
    assert (status, lines, len(errors)) == (2, [], 1)
    assert placed(message) in errors[0]
    assert errors[0].startswith("python -m mlp.predict: error: ")


def test_a_full_table_survives_an_answer_that_cannot_be_written(command, model, test_set, tmp_path):
    picture = draw(tmp_path / "seven.png", test_set.X[0])
    status, lines, (error,) = command(model, picture, "-o", tmp_path / "nowhere" / "answers.csv")
    assert (status, lines) == (2, [])
    assert "nowhere" in error


def test_an_answer_waits_for_no_figures_and_no_minimisers(model, test_set, tmp_path):
    picture = draw(tmp_path / "seven.png", test_set.X[0])
    code = (
        "import sys; from mlp.predict import main\n"
        f"assert main([{str(model)!r}, {str(picture)!r}]) == 0\n"
        "print([name for name in ('matplotlib', 'scipy.optimize', 'pandas', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["[]"]


def test_the_command_line():
    done = subprocess.run([sys.executable, "-m", "mlp.predict", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: python -m mlp.predict")
