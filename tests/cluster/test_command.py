"""`python -m mlp.train --cluster`: workers read the data themselves, split and scaled as the command has it."""

import io

import numpy as np
import pytest

import mlp
from mlp.train.session import main
from mlp.train.shares import share_out

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def table(tmp_path):
    """A CSV file of two classes, one rare, that a text and a number tell apart."""
    rng = np.random.default_rng(0)
    rows = [(rng.normal(label, 0.4), "xy"[label], ["no", "yes"][label]) for label in rng.binomial(1, 0.2, 90)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["number,text,class", *(f"{a:.4f},{b},{c}" for a, b, c in rows)]) + "\n")
    return path


WORDS = ("--hidden", "4", "--dtype", "float64", "--epochs", "2", "--class-weight", "balanced", "--quiet", "--no-plots")


@pytest.mark.parametrize("minimiser", [("--optimizer", "lbfgs"), ("--optimizer", "newton"), ("--batch-size", "full")])
def test_a_run_on_a_cluster_is_the_run_on_this_machine(client, table, tmp_path, minimiser, monkeypatch):
    monkeypatch.chdir(tmp_path)  # which is not where workers are
    words = [table.name, *WORDS, *minimiser]
    assert main([*words, "--out", "here"]) == 0
    assert main([*words, "--out", "there", "--cluster", client.scheduler.address]) == 0
    here, there = (mlp.load(tmp_path / place / "model.npz").theta for place in ("here", "there"))
    np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("read", [True, False])
def test_examples_travel_only_where_workers_can_t_read_them(client, table, tmp_path, read, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("shared out in the other way")

    monkeypatch.setattr("mlp.cluster.cut" if read else "mlp.train.session.share_out", forbidden)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(table.read_bytes())))
    words = [str(table) if read else "-", *WORDS, "--optimizer", "lbfgs", "--cluster", client.scheduler.address]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0


def test_other_examples_on_a_worker_are_noticed(client, table, tmp_path, capsys, monkeypatch):
    """The file is changed after this process has read it, and before workers do."""

    def share_out_and_change(*arguments):
        shares = share_out(*arguments)
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0], *(line.replace(".", "1.") for line in lines[1:]), ""]))
        return shares

    monkeypatch.setattr("mlp.train.session.share_out", share_out_and_change)
    words = [str(table), *WORDS, "--optimizer", "lbfgs", "--cluster", client.scheduler.address]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    assert "holds other examples where this worker reads it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--batch-size", "8"), "cluster: sums over all examples"),
        (("--optimizer", "newton", "--subset", "9"), "--subset isn't allowed"),
        (("--batch-size", "full", "--dropout", "0.1,0.1"), "--distort and --dropout draw noise"),
    ],
)
def test_what_is_refused(table, capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        main([str(table), "--hidden", "4", "--cluster", "tcp://nowhere:1", *words])
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
