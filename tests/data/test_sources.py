"""Tables and arrays in files: what their columns and targets are taken for, and what is refused."""

import csv
import io
import json
import sys

import numpy as np
import pytest
from sklearn import datasets

import mlp
from mlp.data import Table, delimited, read_columns, read_data
from mlp.data.preparation import Preparation


@pytest.fixture(params=["pyarrow", "pandas", "numpy"])
def parser(request, use_parser):
    """Each parser of CSV in turn, where it is installed."""
    use_parser(request.param)


@pytest.fixture
def write(tmp_path):
    """A function that writes a text to a file, and returns its path."""

    def write_text(text, name="data.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write_text


def rows_of(*rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


SHOP = """size,colour,day,price
1.5,red,1,10.5
2,blue,2,11.25
-3e1, red ,1,9
4.25,green,7,8.125
"""


@pytest.mark.usefixtures("parser")
def test_numbers_stay_numbers_and_texts_are_a_feature_for_each_value(write):
    data = mlp.read_table(write(SHOP), "price", categorical=["day"])
    expected = [
        [1.5, 0, 0, 1, 1, 0, 0],
        [2.0, 1, 0, 0, 0, 1, 0],
        [-30, 0, 0, 1, 1, 0, 0],
        [4.25, 0, 1, 0, 0, 0, 1],
    ]
    np.testing.assert_array_equal(data.X, expected)
    np.testing.assert_array_equal(data.y, [10.5, 11.25, 9, 8.125])
    assert data.classes is None
    columns = data.preparation.columns
    assert [(column.name, column.kind, column.values) for column in columns] == [
        ("size", "numeric", ()),
        ("colour", "categorical", ("blue", "green", "red")),
        ("day", "categorical", ("1", "2", "7")),
    ]


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        (["no", "yes", "no", "yes"], ("no", "yes"), [0, 1, 0, 1]),
        (["2.0", "1.0", "10.0", "1.0"], ("1", "2", "10"), [1, 0, 2, 0]),
        (["-1", "1", "1", "-1"], ("-1", "1"), [0, 1, 1, 0]),
        (["01", "1", "02", "01"], ("01", "1", "02"), [0, 1, 2, 0]),
        (["a,b", 'say "so"', "a,b", "two\nlines"], ("a,b", 'say "so"', "two\nlines"), [0, 1, 0, 2]),
        (["ä", "ß", "ä", "🙂"], ("ß", "ä", "🙂"), [1, 0, 1, 2]),
    ],
)
def test_labels(write, labels, classes, y):
    text = rows_of(["x", "label"], *[[number, label] for number, label in enumerate(labels)] * 3)
    data = mlp.read_table(write(text))
    assert data.classes == classes
    np.testing.assert_array_equal(data.y, y * 3)
    assert data.y.dtype == np.int64


@pytest.mark.usefixtures("parser")
def test_a_target_of_many_numbers_is_regression_unless_the_task_says_otherwise(write):
    text = rows_of(["x", "target"], *[[1, number] for number in range(90)])
    assert mlp.read_table(write(text)).classes is None
    assert len(mlp.read_table(write(text), task="classification").classes) == 90
    few = rows_of(["x", "target"], *[[1, number % 3] for number in range(90)])
    assert mlp.read_table(write(few)).classes == ("0", "1", "2")
    assert mlp.read_table(write(few), task="regression").classes is None
    fractions = rows_of(["x", "target"], *[[1, 0.5 * (number % 3)] for number in range(90)])
    assert mlp.read_table(write(fractions)).classes is None


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1\t2\ta\n3\t4\tb\n", "data.tsv"),
        ("1;2;a\r\n3;4;b\r\n", "data.csv"),
        ("1|2|a\n\n3|4|b", "data.txt"),
        ("\ufeff1,2,a\r3,4,b\r", "data.csv"),
        ('"1","2","a"\n"3","4","b"\n', "data.csv"),
    ],
)
def test_without_a_header_columns_have_numbers(write, text, name):
    data = mlp.read_table(write(text, name))
    np.testing.assert_array_equal(data.X, [[1, 2], [3, 4]])
    assert data.classes == ("a", "b")
    assert data.preparation.target.name == "3"


def test_a_header_is_one_where_a_number_follows_a_text_or_nothing_is_a_number(write):
    assert mlp.read_table(write("0,1,target\n5,6,0\n7,8,1\n")).preparation.target.name == "target"
    assert mlp.read_table(write("a,b\nx,y\nz,w\n")).preparation.target.name == "b"


def test_columns_are_chosen_by_name_or_number_and_those_without_a_name_are_left_out(write):
    path = write(",a,class,b\n0,1,x,5\n1,2,y,6\n")
    data = mlp.read_table(path)
    assert [column.name for column in data.preparation.columns] == ["a", "b"]
    assert mlp.read_table(path, "3", ignore=["4"]).X.tolist() == [[1], [2]]


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b\n1,2\n,3\n", ("column 'a'", "missing", "row 2")),
        ("a,b\n1,2\n4,?\n5,3\n", ("column 'b'", "missing", "'?' in row 2")),
        ("a,b,c\n1,x,1\n2,NA,0\n", ("column 'b'", "missing", "'NA' in row 2")),
        ("a,b\n1,2\nnan,3\n", ("column 'a'", "missing", "row 2")),
        ("a,b\n1,2\n-inf,3\n", ("column 'a'", "-inf in row 2", "finite")),
        ("a,b\n1,2\n1e999,3\n", ("column 'a'", "1e999 in row 2", "finite")),
        ("a,b\n1,2\n1\n", ("data.csv: row 2 has 1 fields, but there are 2 columns",)),
        ("a,b\n1,2\n1,2,3\n", ("data.csv: row 2 has 3 fields, but there are 2 columns",)),
        ("", ("data.csv: holds no records",)),
        ("a,b\n", ("data.csv: holds the columns' names, a, b, but no records",)),
        ("a,a\n1,2\n", ("two columns are called 'a'",)),
        ("a,b\n1,x\n2,x\n", ("target 'b': received x in every row",)),
        ("a,b\n1,2\0\n", ("data.csv: not a table: it holds control characters",)),
        ("a,b\n1,2\n\x1c3,4\n", ("data.csv: not a table: it holds control characters",)),
        ("b\n1\n2\n", ("data.csv: there must be columns to predict 'b' from",)),
    ],
)
def test_what_is_refused_is_named_with_its_row(write, refused, text, parts):
    with refused(ValueError, *parts):
        mlp.read_table(write(text))


@pytest.mark.usefixtures("parser")
def test_a_text_among_many_numbers_is_named(write, refused):
    for count, row in ((5000, 4000), (60, 40)):
        numbers = [[number, number % 2] for number in range(count)]
        numbers[row][0] = "12x"
        with refused(ValueError, f"column 'a': has '12x' in row {row + 1:,} among its numbers", "ignore it"):
            mlp.read_table(write(rows_of(["a", "y"], *numbers)))
    names = [[f"n{number}", number % 2] for number in range(200)]
    with refused(ValueError, "column 'a': has 200 different values that are texts, too many"):
        mlp.read_table(write(rows_of(["a", "y"], *names)))
    assert mlp.read_table(write(rows_of(["a", "y"], *names)), categorical=["a"]).X.shape == (200, 200)


def test_decimal_commas_are_no_categories(write, refused):
    text = "a;b;y\n" + "".join(f"{number},5;x,{number % 2};{number % 2}\n" if number else "7;x,1;1\n" for number in range(9))
    with refused(ValueError, "column 'a': received '1,5' in row 2, but numbers have a point", "name it categorical"):
        mlp.read_table(write(text))
    data = mlp.read_table(write(text), categorical=["a"])
    assert [column.values for column in data.preparation.columns][1] == ("x,0", "x,1")  # texts, whatever is in them


def test_what_is_ignored_is_left_out_of_a_description_too(write):
    description = {"columns": [{"name": "size"}, {"name": "colour", "kind": "categorical"}], "target": {"name": "price"}}
    data = mlp.read_table(write(SHOP), ignore=["size"], columns=description)
    assert [column.name for column in data.preparation.columns] == ["colour"]


def test_other_encodings_are_refused(write, refused):
    with refused(ValueError, "data.csv: not a table in UTF-8"):
        mlp.read_table(write("größe,y\n1,2\n2,1\n", encoding="latin-1"))
    with refused(ValueError, "UTF-8"):
        mlp.read_table(write("a,y\n1,2\n2,1\n", encoding="utf-16"))


def test_wrong_names_are_refused(write, refused, tmp_path):
    path = write(SHOP)
    with refused(ValueError, "target: received 'prize'", "did you mean 'price'?"):
        mlp.read_table(path, "prize")
    with refused(ValueError, "ignore: received 'colou'", "did you mean 'colour'?"):
        mlp.read_table(path, ignore=["colou"])
    with refused(ValueError, "task: received 'regresion'"):
        mlp.read_table(path, task="regresion")
    with refused(TypeError, "ignore: received 'size'"):
        mlp.read_table(path, ignore="size")
    with refused(FileNotFoundError, "there is no such file or directory"):
        mlp.read_table(tmp_path / "none.csv")


@pytest.mark.usefixtures("parser")
def test_numbers_are_read_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(3000, 5)) * 10.0 ** rng.integers(-300, 300, (3000, 5))
    path = tmp_path / "numbers.csv"
    path.write_text("\n".join(",".join(map(repr, row)) for row in numbers.tolist()))
    data = mlp.read_table(path, task="regression")
    np.testing.assert_array_equal(data.X, numbers[:, :4])
    np.testing.assert_array_equal(data.y, numbers[:, 4])


@pytest.mark.parametrize(("name", "other"), [("pyarrow", "_parse"), ("pandas", "loadtxt")])
def test_a_quick_parser_is_used_where_it_is_installed(write, monkeypatch, use_parser, name, other):
    use_parser(name)
    monkeypatch.setattr(delimited.Delimited if name == "pyarrow" else np, other, None)
    assert len(mlp.read_table(write(SHOP))) == 4


# Descriptions of columns


def test_a_description_chooses_columns_and_says_what_they_are(write, tmp_path):
    path = write(SHOP)
    data = mlp.read_table(path, "price")
    described = data.preparation.describe()
    described["columns"] = [
        {"name": "day", "kind": "categorical"},
        {"name": "colour", "kind": "categorical", "values": ["red", "green", "blue"]},
    ]
    file = tmp_path / "columns.json"
    file.write_text(json.dumps(described), encoding="utf-8")
    for columns in (file, described):
        again = mlp.read_table(path, columns=columns)
        np.testing.assert_array_equal(again.X, [[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0], [0, 0, 1, 0, 1, 0]])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not a description of columns"),
        ("[]", "must have a list of columns"),
        ('{"columns": [{"name": "size", "kind": "number"}]}', "kind: received 'number'"),
        ('{"columns": [{"name": "size", "mean": 1}]}', "lacks its deviation"),
        ('{"columns": [{"name": "none"}]}', "columns: received 'none'"),
        ('{"columns": [{"name": "size", "kind": "pixels"}]}', "column 'size': is described as pixels"),
        ('{"columns": [{"name": "colour", "kind": "categorical", "values": ["red"]}]}', "received 'blue' in row 2"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(write, refused, text, part):
    with refused(ValueError, part):
        mlp.read_table(write(SHOP), "price", columns=write(text, "columns.json"))


# Arrays


def test_arrays_x_and_y(tmp_path):
    iris = datasets.load_iris()
    np.savez(tmp_path / "iris.npz", X=iris.data, y=iris.target_names[iris.target])
    data = mlp.read_table(tmp_path / "iris.npz")
    np.testing.assert_array_equal(data.X, iris.data)
    np.testing.assert_array_equal(data.y, iris.target)
    assert data.classes == ("setosa", "versicolor", "virginica")


def test_arrays_as_keras_has_them(tmp_path):
    digits = datasets.load_digits()
    images = digits.images.astype(np.uint8)
    np.savez_compressed(
        tmp_path / "d.npz",
        x_train=images[:1500],
        y_train=digits.target[:1500],
        x_test=images[1500:],
        y_test=digits.target[1500:],
    )
    training, test = read_data(tmp_path / "d.npz")
    assert training.image_shape == (8, 8)
    assert training.X.dtype == np.uint8
    np.testing.assert_array_equal(test.X, images[1500:].reshape(-1, 64))
    np.testing.assert_array_equal(test.y, digits.target[1500:])
    assert len(training) == 1500


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"X": np.zeros((3, 2))}, "must hold the arrays X and y"),
        ({"x_train": np.zeros((3, 2)), "y_train": [0, 1, 0], "x_test": np.zeros((3, 2))}, "must hold the arrays"),
        ({"X": np.zeros((3, 2)), "y": [0, 1]}, "y: received shape (2,)"),
        ({"X": np.full((3, 2), np.nan), "y": [0, 1, 0]}, "in row 1, column 0"),
        ({"X": np.zeros((3, 2)), "y": np.array(["a", 1, 2], object)}, "Python objects"),
        ({"X": np.zeros((3, 2), complex), "y": [0, 1, 0]}, "X: received complex128"),
        ({"X": np.zeros(3), "y": [0, 1, 0]}, "X: received float64 of shape (3,)"),
        ({"X": np.zeros((3, 2)), "y": np.zeros((3, 2))}, "y: received shape (3, 2)"),
    ],
)
def test_arrays_that_are_refused(tmp_path, refused, arrays, part):
    np.savez(tmp_path / "data.npz", **arrays)
    with refused(ValueError, "data.npz", part):
        mlp.read_table(tmp_path / "data.npz")


def test_an_archive_that_promises_more_than_it_holds_is_refused(tmp_path, refused):
    path = tmp_path / "data.npz"
    np.savez(path, X=np.zeros((3, 2)), y=[0, 1, 0])
    path.write_bytes(path.read_bytes().replace(b"'shape': (3, 2)", b"'shape': (9, 2)"))
    with refused(ValueError, "data.npz: not an .npz file, or damaged"):
        mlp.read_table(path)


# Parquet


def test_parquet(tmp_path, refused):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "shop.parquet"
    columns = {"size": [1.5, 2, 4], "kind": [3, 3, 5], "colour": ["red", "blue", "red"], "sold": [True, False, True]}
    parquet.write_table(pa.table(columns), path)
    data = mlp.read_table(path, categorical=["kind"])
    np.testing.assert_array_equal(data.X, [[1.5, 1, 0, 0, 1], [2, 1, 0, 1, 0], [4, 0, 1, 0, 1]])
    np.testing.assert_array_equal(data.y, [1, 0, 1])
    parquet.write_table(pa.table({**columns, "size": [1.5, None, 4]}), path)
    with refused(ValueError, "column 'size': a value is missing: there is none in row 2"):
        mlp.read_table(path)
    parquet.write_table(pa.table({**columns, "colour": ["red", None, "blue"]}), path)
    with refused(ValueError, "column 'colour': a value is missing", "row 2"):
        mlp.read_table(path)
    path.write_bytes(path.read_bytes()[:-20])
    with refused(ValueError, "not a Parquet file, or damaged"):
        mlp.read_table(path)


# What predictions are made from


@pytest.mark.usefixtures("parser")
def test_a_model_reads_the_columns_it_needs_and_no_others(write, refused):
    preparation = mlp.read_table(write(SHOP), "price", categorical=["day"]).preparation
    table = read_columns(write("note,day,colour,size\n?,1,red,2\n,7,blue,3\n", "new.csv"), preparation)
    np.testing.assert_array_equal(preparation.inputs(table), [[2, 0, 0, 1, 1, 0, 0], [3, 1, 0, 0, 0, 0, 1]])
    with refused(ValueError, "lacks the columns 'size', 'colour'; it has 'day'"):
        read_columns(write("day\n1\n", "new.csv"), preparation)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SHOP.encode())))
    data = mlp.read_table("-", "price")
    assert len(data) == 4
    assert data.name == "standard input"


def test_frames(write):
    data = mlp.read_table(write(SHOP), "price", categorical=["day"])
    columns = {"day": [1, 7], "size": [2.0, 3], "colour": ["red", "blue"], "extra": [None, None]}
    expected = [[2, 0, 0, 1, 1, 0, 0], [3, 1, 0, 0, 0, 0, 1]]
    frames = [columns, Table.from_columns({name: column for name, column in columns.items() if name != "extra"})]
    for name in ("pandas", "polars"):
        if name in sys.modules or __import__("importlib.util").util.find_spec(name):
            frames.append(__import__(name).DataFrame(columns))
    for frame in frames:
        np.testing.assert_array_equal(data.preparation.inputs(frame), expected)
    assert Preparation.from_description(data.preparation.describe()) == data.preparation
