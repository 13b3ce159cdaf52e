"""scripts/drawings.py: its drawings are digits of the page's kind, and it says how often networks know them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import mlp

SCRIPT = Path(__file__).parent.parent / "scripts" / "drawings.py"


def test_a_network_knows_most_of_the_drawings(tmp_path):
    train, _, _ = mlp.load_mnist(validation=50_000)
    net = mlp.MLP([784, 50, 10], seed=0)
    mlp.sgd(mlp.Objective(net, train.X, train.y), net.theta, learning_rate=0.2, batch_size=50, epochs=3, seed=0)
    mlp.save(tmp_path / "model.npz", net)
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), "model.npz", "--count", "100", "--out", "drawings.png"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONWARNINGS": "error", "MPLBACKEND": "agg"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    lines = re.findall(r"^(\S+) +(\d+\.\d\d) +(\d+\.\d\d) +(\d+\.\d\d)$", ended.stdout, re.MULTILINE)
    assert [name for name, *_ in lines] == [str(tmp_path), "model.npz"]
    assert lines[0][1:] == lines[1][1:]
    test, strokes, scikit = map(float, lines[0][1:])
    assert test < 10
    assert strokes < 40  # chance is 90
    assert scikit < 40
    assert (tmp_path / "drawings.png").stat().st_size > 10_000


def test_strokes_are_as_wide_as_the_pen_and_stay_on_the_paper(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import drawings

    rng = np.random.default_rng(0)
    for digit in (1, 7):
        ink = drawings.draw(digit, rng, 24.0)
        assert ink.shape == (280, 280)
        assert max(ink[0].max(), ink[-1].max(), ink[:, 0].max(), ink[:, -1].max()) == 0
        runs = [np.diff(np.flatnonzero(np.diff(np.pad(row > 0.5, 1).astype(int))))[::2] for row in ink if row.any()]
        widths = np.concatenate(runs)
        assert 22 <= np.median(widths) <= 34  # across a stroke that is no further than 45 degrees from upright
