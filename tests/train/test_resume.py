"""--resume: what a run may be given anew, what its configuration may lack, and what is refused, each in one line."""

import json
import shutil
import signal

import pytest

import mlp

STEPS = 7
OPTIONS = "--hidden 8 --batch-size 16 --epochs 3"
MOMENTUM = f"{OPTIONS} --dtype float64"


@pytest.fixture
def interrupted(start, runs, capsys):
    """The directory of a run that was stopped in its second epoch."""
    with runs.killed_at(STEPS + 3, signal.SIGTERM):
        _, out = start(f"{MOMENTUM} --patience 5")
    capsys.readouterr()
    return out


@pytest.fixture
def refused(runs, capsys):
    """Checks that the command says why in one line, with status 2, and leaves every file as it was."""

    def check(out, *arguments, message=""):
        before = runs.files(out)
        assert runs.status("--resume", out, "--no-plots", *arguments) == 2
        assert message in runs.error_line(capsys.readouterr().err)
        assert runs.files(out) == before

    return check


def edit(out, change):
    """Change a run's configuration."""
    path = out / "config.json"
    configuration = json.loads(path.read_text(encoding="utf-8"))
    change(configuration)
    path.write_text(json.dumps(configuration), encoding="utf-8")


def make_older(out):
    """Make a run one that was written before there were fingerprints, hashes of the test set, and options for averaging."""

    def change(configuration):
        del configuration["fingerprint"], configuration["options"]["average"], configuration["options"]["max_norm"]
        del configuration["data_sha256"][4:]

    edit(out, change)
    if (out / "state.npz").exists():
        state = mlp.load_state(out / "state.npz")
        del state.facts["run"]
        mlp.save_state(out / "state.npz", state)


# What it goes on with


def test_an_option_that_an_older_run_lacks_has_its_default(start, runs, capsys):
    with runs.killed_at(STEPS + 3, signal.SIGTERM):
        _, out = start(MOMENTUM)
    make_older(out)
    capsys.readouterr()
    assert runs.status("--resume", out, "--no-plots") == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"Not in {out / 'config.json'}, so the defaults are taken: --max-norm off, --average 0"
    runs.assert_same(out, MOMENTUM)
    assert mlp.load_state(out / "state.npz").facts["run"]


def test_the_same_data_in_another_place(interrupted, runs, tmp_path):
    moved = shutil.copytree(runs.data, tmp_path / "moved")
    run = interrupted.rename(tmp_path / "renamed")
    assert runs.resume(run, "--data", moved) == 0
    best = mlp.load(runs.whole(MOMENTUM) / "best.npz")
    assert mlp.load(run / "best.npz").theta.tobytes() == best.theta.tobytes()


# What is refused


def test_no_run(runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("nowhere", "empty", "file"):
        assert runs.resume(tmp_path / name) == 2
        line = runs.error_line(capsys.readouterr().err)
        assert "argument --resume: " in line
        assert str(tmp_path / name) in line
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"options": 3}', b'{"options": {}}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_configuration(content, interrupted, refused):
    (interrupted / "config.json").write_bytes(content)
    refused(interrupted, message=f"{interrupted / 'config.json'}: ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("optimizer", "rprop", "optimizer: received 'rprop' (str), but it must be one of sgd, adam, lbfgs, newton"),
        ("optimizer", ["sgd"], "optimizer: received ['sgd'] (list)"),
        ("hidden", 3, "hidden: received 3 (int), but it must be a list of units"),
        ("hidden", [0], "hidden: received 0 (int)"),
        ("init", [], "init: received [] (list), but it must be a text"),
        ("init", "glorot", "init: received 'glorot' (str)"),
        ("seed", "0", "seed: received '0' (str)"),
        ("cost", 3, "cost: received 3 (int)"),
        ("weight_decay", None, "weight_decay: received None (NoneType)"),
        ("distort", 2, "distort: received 2 (int), but it must be a text"),
        ("distort", "bent", "distort: received 'bent' (str)"),
        ("dropout", [0.5, "x"], "dropout: received 'x' (str)"),
        ("dropout", [0.5], "dropout: received 1 rates, but the network has 2 layers"),
        ("max_norm", 0, "max_norm: received 0 (int)"),
        ("nesterov", "no", "nesterov: received 'no' (str), but it must be true or false"),
        ("batch_size", "all", "batch_size: received 'all' (str)"),
        ("epochs", 10**400, "its options are no longer those that the run was started with"),
        ("validation", 0, "patience: needs a validation set"),
        ("data", 3, "data: received 3 (int), but it must be a text"),
        ("save_minutes", "often", "save_minutes: received 'often' (str)"),
        ("learning_rte", 0.1, "did you mean 'learning_rate'?"),
    ],
)
def test_an_option_with_a_value_that_is_not_allowed(name, value, message, interrupted, refused):
    edit(interrupted, lambda configuration: configuration["options"].update({name: value}))
    refused(interrupted, message=message)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_an_option_that_the_minimiser_has_no_use_for(optimizer, interrupted, refused):
    edit(interrupted, lambda configuration: configuration["options"].update(optimizer=optimizer))
    refused(
        interrupted, message=f"received 0.25, but {optimizer} has no use" if optimizer == "lbfgs" else "momentum: received 0.9"
    )


@pytest.mark.parametrize("with_state", [True, False])
def test_an_option_that_was_changed(with_state, interrupted, refused):
    if not with_state:
        (interrupted / "state.npz").unlink()
    edit(interrupted, lambda configuration: configuration["options"].update(weight_decay=0.001))
    refused(interrupted, message="its options are no longer those that the run was started with")
    if with_state:  # and where the fingerprint was taken out as well, or made to fit
        edit(interrupted, lambda configuration: configuration.pop("fingerprint"))
        refused(interrupted, message="state.npz: is the state of another run")


def test_damaged_hashes_of_the_data(interrupted, refused):
    edit(interrupted, lambda configuration: configuration.update(data_sha256=[]))
    refused(interrupted, message="data_sha256: received []")


@pytest.mark.parametrize("how", ["empty", "truncated", "a byte flipped"])
def test_a_damaged_state(how, interrupted, refused):
    path = interrupted / "state.npz"
    content = bytearray(path.read_bytes())
    if how == "a byte flipped":
        content[len(content) // 2] ^= 1
    else:
        del content[0 if how == "empty" else len(content) // 2 :]
    path.write_bytes(content)
    refused(interrupted, message=f"{path}: not a state, or damaged")


def test_a_model_in_place_of_the_state(interrupted, refused):
    shutil.copy(interrupted / "model.npz", interrupted / "state.npz")
    refused(interrupted, message="state.npz: is 'mlp-model' version 1")


@pytest.mark.parametrize("options", ["--optimizer adam", "--seed 1"])
def test_another_runs_state(options, interrupted, start, refused, capsys):
    _, other = start(f"{MOMENTUM} {options}", "other")
    shutil.copy(other / "state.npz", interrupted / "state.npz")
    capsys.readouterr()
    refused(interrupted, message=f"{interrupted / 'state.npz'}: is the state of another run")


@pytest.mark.parametrize(("fact", "value"), [("rng_state", "x"), ("steps", -1)])
def test_a_state_that_was_tampered_with(fact, value, interrupted, runs, capsys):
    state = mlp.load_state(interrupted / "state.npz")
    state.facts[fact] = value
    mlp.save_state(interrupted / "state.npz", state)
    assert runs.resume(interrupted) == 2
    assert "state" in runs.error_line(capsys.readouterr().err)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_other_data(part, interrupted, runs, refused, tmp_path):
    other = shutil.copytree(runs.data, tmp_path / "other")
    labels = bytearray((other / f"{part}-labels-idx1-ubyte").read_bytes())
    labels[8], labels[9] = labels[9], labels[8]  # the first two labels
    (other / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    refused(interrupted, "--data", other, message=f"was trained on other data than that of {other}")
    refused(interrupted, "--data", tmp_path / "nowhere", message="there is no such file or directory")


@pytest.mark.parametrize("options", ["--out elsewhere", "--nesterov", "--dtype float32", "--seed 0"])
def test_options_that_decide(options, interrupted, refused):
    name = options.split()[0]
    refused(interrupted, *options.split(), message=f"argument {name}: --resume goes on with the run's own options")


# More epochs


def test_a_run_that_ended_goes_on_with_more_epochs_as_if_it_had_been_that_long(start, runs, capsys):
    """With a constant learning rate nothing depends on the number of epochs."""
    options = "--hidden 8 --batch-size 16 --schedule constant --dtype float64"
    _, out = start(f"{options} --epochs 2")
    capsys.readouterr()
    assert runs.status("--resume", out, "--epochs", 4, "--no-plots") == 0
    said = capsys.readouterr().out
    assert "Lengthened from 2 to 4 epochs\n" in said
    assert "schedule" not in said
    runs.assert_same(out, f"{options} --epochs 4")


def test_a_lengthened_run_that_is_stopped_stays_lengthened(start, runs):
    options = "--hidden 8 --batch-size 16 --schedule constant --dtype float64"
    _, out = start(f"{options} --epochs 2")
    with runs.killed_at(STEPS + 3, signal.SIGTERM):
        assert runs.resume(out, "--epochs", 4) == 128 + signal.SIGTERM
    assert runs.resume(out) == 0
    runs.assert_same(out, f"{options} --epochs 4")
    assert len(runs.metrics(out)) == 4


def test_a_schedule_that_depends_on_the_length_says_so(start, runs, capsys):
    _, out = start("--hidden 8 --batch-size 16 --epochs 2 --learning-rate 0.1 --schedule cosine")
    capsys.readouterr()
    runs.status("--resume", out, "--epochs", 4, "--no-plots")
    # by hand: ½(1 + cos π/2) = ½ in the second epoch of two; ½(1 + cos 2π/4) = ½ in the third of four
    assert (
        "The schedule cosine depends on the number of epochs: the learning rate was 0.05 in epoch 2 of 2, and is 0.05 in "
        "epoch 3 of 4\n"
    ) in capsys.readouterr().out


def test_a_run_cannot_be_shortened(start, refused, capsys):
    _, out = start("--hidden 8 --batch-size 16 --epochs 2")
    capsys.readouterr()
    refused(out, "--epochs", "1", message="argument --epochs: received 1, but the run is to have 2 already")


@pytest.mark.parametrize("value", [-1, "many", 2.5, None])
def test_a_length_that_is_none_is_refused(start, refused, capsys, value):
    _, out = start("--hidden 8 --batch-size 16 --epochs 2")
    capsys.readouterr()
    edit(out, lambda configuration: configuration.update(lengthened_to=value))
    refused(out, message="config.json: lengthened_to: received")
