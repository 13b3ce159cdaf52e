"""The table of options: a row is all that an option needs; suggestions; what one row's values are."""

import json
import shlex

import numpy as np
import pytest

import mlp
from mlp.train import configuration, options
from mlp.train.options import OPTIONS, ByMinimiser, Kept, Option, build_parser, complete


@pytest.fixture
def with_beta1(monkeypatch):
    """The table with a row more: Adam's β₁."""
    row = Option(
        "beta1",
        options.number(at_least=0, below=1),
        "minimiser",
        "decay rate β₁ of the mean gradient",
        ByMinimiser(adam=0.9),
        "BETA",
        to=("adam",),
    )
    for module in (options, configuration):
        monkeypatch.setattr(module, "OPTIONS", (*OPTIONS, row))


@pytest.mark.usefixtures("with_beta1")
def test_a_new_option_is_one_row(start, runs, capsys, parts_of):
    text = "--hidden 8 --batch-size 16 --epochs 2 --optimizer adam"
    assert "--beta1 BETA" in build_parser().format_help()
    assert "β₁ of the mean gradient (0.9 for adam)" in " ".join(build_parser().format_help().split())

    status, out = start(f"{text} --beta1 0.5")
    assert status == 0
    training, validation, _ = parts_of(runs.data, 20)
    net = mlp.MLP([784, 8, 10], seed=0)
    objective = mlp.Objective(net, training.X, training.y, weight_decay=5e-4)
    mlp.adam(objective, net.theta, schedule="cosine", beta1=0.5, batch_size=16, epochs=2, validation=None)
    assert len(validation) == 20
    np.testing.assert_array_equal(mlp.load(out / "model.npz").theta, net.theta)

    recorded = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert recorded["options"]["beta1"] == 0.5
    assert "--beta1 0.5" in recorded["command"]
    capsys.readouterr()
    assert runs.resume(out) == 0
    assert runs.resume(out, "--beta1", "0.5") == 2
    assert "--beta1: --resume goes on" in runs.error_line(capsys.readouterr().err)
    assert start("--optimizer sgd --beta1 0.5", "sgd")[0] == 2
    assert "--beta1: --optimizer sgd has no use for it" in runs.error_line(capsys.readouterr().err)
    assert start("--optimizer adam --beta1 1", "one")[0] == 2
    assert "--beta1: received 1.0 (float)" in runs.error_line(capsys.readouterr().err)


def test_the_table_itself():
    names = [option.name for option in OPTIONS]
    synonyms = [synonym for option in OPTIONS for synonym in option.synonyms]
    assert len(set(names)) == len(names)
    assert not set(synonyms) & set(names)
    assert len(set(synonyms)) == len(synonyms)


@pytest.mark.parametrize("minimiser", ["sgd", "adam", "lbfgs", "newton"])
def test_every_default_is_allowed_and_read_again_from_its_own_words(minimiser):
    values = vars(complete({"optimizer": minimiser}))
    kept = [option for option in OPTIONS if option.kept is not Kept.NOT]
    assert all(option.check(values[option.name], minimiser) == values[option.name] for option in kept)
    words = [word for option in kept for word in option.words(values[option.name], minimiser)]
    assert vars(complete(vars(build_parser().parse_args(words)))) == values


@pytest.mark.parametrize(
    "text",
    [
        "--batch-size full",
        "--hidden none",
        "--hidden 5,4 --dropout 0,0.1,0.2",
        "--nesterov",
        "--max-norm 0.1234567890123",
    ],
)
def test_words_are_read_again(text):
    values = complete(vars(build_parser().parse_args(shlex.split(text))))
    words = [word for option in OPTIONS for word in option.words(getattr(values, option.name), "sgd")]
    assert complete(vars(build_parser().parse_args(words))) == values


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--lr", "--learning-rate"),
        ("-lr", "--learning-rate"),
        ("--optimiser", "--optimizer"),
        ("--decay", "--weight-decay"),
        ("--l2", "--weight-decay"),
        ("--lambda", "--weight-decay"),
        ("--layers", "--hidden"),
        ("--units", "--hidden"),
        ("--batchsize", "--batch-size"),
        ("--batch_size", "--batch-size"),
        ("--momemtum", "--momentum"),
        ("--shedule", "--schedule"),
        ("--loss=mse", "--cost"),
    ],
)
def test_the_option_that_was_meant_is_suggested(word, meant, capsys):
    with pytest.raises(SystemExit) as ended:
        mlp.train.main([word, "1"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"; did you mean {meant}?\n")


def test_nothing_is_suggested_where_nothing_is_close(capsys):
    with pytest.raises(SystemExit):
        mlp.train.main(["--xyzzy"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --xyzzy\n")
