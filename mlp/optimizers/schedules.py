"""Learning-rate schedules: functions of the epoch, counted from 0, that return a factor of the learning rate."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlp.checks import check_number, parse_call, parse_number, shown

Schedule = Callable[[int], float]

#: The schedules by name, and their parameters.
SCHEDULES: dict[str, tuple[str, ...]] = {"constant": (), "step": ("factor", "epochs"), "exponential": ("factor",), "cosine": ()}


def get(schedule: Any, epochs: int) -> Schedule:
    """The schedule of that name, "step:0.1:10" with its parameters, over so many epochs; or the user's own function."""
    if callable(schedule):
        return schedule  # type: ignore[no-any-return]
    if not isinstance(schedule, str):
        raise TypeError(
            f"schedule: received {shown(schedule)}, but it must be {', '.join(SCHEDULES)} or a function of the epoch that "
            "returns a factor of the learning rate"
        )
    name, texts = parse_call("schedule", schedule, SCHEDULES)
    label = {of: f"schedule {name} {of}" for of in texts}
    given = {of: check_number(label[of], parse_number(label[of], text), above=0) for of, text in texts.items()}
    if name == "step":
        every = given.get("epochs", max(1, epochs // 3))
        if not float(every).is_integer():
            raise ValueError(f"schedule: received {shown(schedule)}, but epochs in step:FACTOR:EPOCHS must be a whole number")
        return lambda epoch: float(np.float64(given.get("factor", 0.1)) ** (epoch // every))  # infinity is refused later
    if name == "exponential":
        return lambda epoch: float(np.float64(given.get("factor", 0.95)) ** epoch)
    if name == "cosine":
        return lambda epoch: 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    return lambda _epoch: 1.0
