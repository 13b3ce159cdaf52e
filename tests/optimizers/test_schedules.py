"""Learning-rate schedules, by hand."""

import numpy as np
import pytest
from minimising import slope
from numpy.testing import assert_allclose

import mlp


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ("step", [1, 1, 0.1, 0.1, 0.01, 0.01]),  # a tenth after each third of the epochs
        ("step:0.5", [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ("step:0.5:3", [1, 1, 1, 0.5, 0.5, 0.5]),
        ("step:epochs=1:factor=0.5", [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        ("exponential", [1, 0.95, 0.9025, 0.857375, 0.81450625, 0.7737809375]),
        ("exponential:0.5", [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        ("cosine", [1, 0.5 + 3**0.5 / 4, 0.75, 0.5, 0.25, 0.5 - 3**0.5 / 4]),  # ½(1 + cos 0°, 30°, 60°, …, 150°)
        (lambda epoch: 1 / (1 + epoch), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6]),
        (lambda epoch: [1, 0, 2, 0, 1, 0][epoch], [1, 0, 2, 0, 1, 0]),
        ("step", [1]),  # of one epoch
    ],
)
def test_schedules(descent, schedule, factors):
    seen, rates = [], 0.2 * np.array(factors)
    settings = {"learning_rate": 0.2, "schedule": schedule, "batch_size": None, "epochs": len(factors)}
    result = descent(slope, np.zeros(1), callback=seen.append, **settings)
    assert_allclose(result.history["learning_rate"], rates, rtol=1e-12)
    # With a gradient of 1, both rules go down by η (Adam by η/(1 + 1e-8)): the rate recorded is the one used.
    assert_allclose(-np.ravel(seen), np.cumsum(rates), rtol=1e-7)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("exponentail", r"constant, step, exponential, cosine; did you mean 'exponential'\?"),
        ("", r"^schedule: received '' \(str\), but it must be one of"),
        (3, r"^schedule: received 3 \(int\), but it must be constant, step, exponential, cosine or a function"),
        (None, r"^schedule: received None"),
        ("step:0.1:10:3", r"^schedule: received 'step:0.1:10:3' \(str\), but step takes factor, epochs"),
        ("cosine:2", r"^schedule: received 'cosine:2' \(str\), but cosine takes no parameters"),
        ("step:0", r"^schedule step factor: received 0.0 .* above 0"),
        ("exponential:nan", r"^schedule exponential factor: received nan .* above 0"),
        ("step:0.5:0", r"^schedule step epochs: received 0.0 .* above 0"),
        ("step:0.5:1.5", r"^schedule: received 'step:0.5:1.5' .* whole number"),
        ("step:a:3", r"^schedule step factor: received 'a' \(str\), but it must be a number"),
    ],
)
def test_schedules_that_are_none(schedule, message):
    with pytest.raises((ValueError, TypeError), match=message):
        mlp.sgd(slope, np.zeros(1), schedule=schedule, batch_size=None)


@pytest.mark.parametrize("factor", [-1, np.nan, np.inf, "0.1", None])
def test_a_function_that_returns_no_rate(factor):
    with pytest.raises((ValueError, TypeError), match=r"^schedule at epoch 2: received .*at least 0"):
        mlp.sgd(slope, np.zeros(1), schedule=lambda epoch: 1 if epoch < 2 else factor, batch_size=None, epochs=4)
