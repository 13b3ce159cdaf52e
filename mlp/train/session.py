"""A run from beginning to end: `main` and `train` tell the story; a `Session` is what goes on while the minimiser runs.

Everything that is done here, a script can do in the same few calls.
"""

import argparse
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import mlp
from mlp import cli
from mlp.checkpoint import Run
from mlp.optimizers import CALLBACK, DIVERGED
from mlp.progress import Progress
from mlp.train import report
from mlp.train.configuration import check_run, configure, read_options
from mlp.train.options import MINIMISERS, PROG, arguments_for, build_parser, complete

#: MNIST's.
CLASSES = 10

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 diverged, 2 bad input, 130 or 143 stopped by Ctrl-C or SIGTERM."""
    started = time.perf_counter()
    cli.forgive_encoding()
    parser = build_parser()
    given = vars(parser.parse_args(arguments))
    try:
        options, lacking = read_options(given) if "resume" in given else (complete(given), [])
    except (ValueError, OSError) as error:
        name, _, message = str(error).partition(": ")
        parser.error(f"argument --{name.replace('_', '-')}: {message}")
    if lacking:
        report.say(options, f"Not in {options.resume / 'config.json'}, so the defaults are taken: {', '.join(lacking)}")
    return cli.run(PROG, lambda: train(options, started))


def train(options: argparse.Namespace, started: float) -> int:
    """Train, test and save a network as the options say; returns the exit status."""
    ended = _fit(options)
    run, net, test, message = ended.run, ended.net, ended.test, ended.message
    if ended.interrupted:
        run.save_model(net, {"message": message})
        cli.say(cli.wrapped(f"Stopped: {message}"))
        cli.say(f"To go on: {shlex.join(['python', '-m', 'mlp.train', '--resume', str(run.directory)])}")
        return ended.status
    tested = mlp.Objective(net, test.X, test.y, cost=options.cost).evaluate(net.theta)
    accuracy = float(tested.accuracy or 0)
    notes = {"message": message, "status": ended.status, "test_cost": tested.cost, "test_accuracy": accuracy}
    run.save_model(net, notes)
    if ended.status:
        cli.complain(f"{PROG}: {message}")
    else:
        report.say(options, f"Stopped: {message}")
    cli.say(cli.wrapped(report.describe_test(test, accuracy, tested.cost)))
    report.say(options, f"Time: {time.perf_counter() - started:.1f} s")
    if not options.no_plots:
        report.draw(run, net, test)
    report.say(options, f"Saved in {run.directory}: {', '.join(sorted(path.name for path in run.directory.glob('[!.]*')))}")
    run.close()
    return ended.status


@dataclass(frozen=True)
class _Ended:
    """What is left of a training: its run, network and test set, why it ended, the exit status."""

    run: Run
    net: mlp.MLP
    test: mlp.Examples
    message: str
    status: int
    interrupted: bool = False


def _load_data(options: argparse.Namespace) -> tuple[mlp.Examples, mlp.Examples, mlp.Examples]:
    """The training, validation and test set."""
    return mlp.load_mnist(options.data, validation=options.validation)


def _fit(options: argparse.Namespace) -> _Ended:
    """Train as the options say. The training set's memory is free again when this returns."""
    data = training, *_ = _load_data(options)
    sizes = [training.X.shape[1], *options.hidden, CLASSES]
    net = mlp.MLP(sizes, **arguments_for("network", options))
    with _objective_over(training, net, options) as objective:
        return _minimise(objective, net, data, options)


@contextmanager
def _objective_over(training: mlp.Examples, net: mlp.MLP, options: argparse.Namespace) -> Iterator[Any]:
    """The objective over the training set, in this process or on the cluster that the options name."""
    settings = arguments_for("objective", options)
    if options.cluster is None:
        yield mlp.Objective(net, training.X, training.y, **settings)
        return
    try:
        from mlp import cluster
    except ImportError as error:
        raise ValueError(f"cluster: {error}") from error
    with cluster.connect(options.cluster) as client:
        yield cluster.SummedObjective(client, net, cluster.cut(training.X, training.y), **settings)


def _minimise(objective: Any, net: mlp.MLP, data: Sequence[mlp.Examples], options: argparse.Namespace) -> _Ended:
    """Minimise it, as a run that can be stopped and resumed."""
    _, validation, test = data
    validated = mlp.Objective(net, validation.X, validation.y, cost=options.cost) if len(validation) else None
    run, state, fingerprint = _open_run(options, data)
    for line in report.describe(options, net, objective, data):
        report.say(options, line)
    unit = report.unit_of(options)
    if options.resume:
        done = len(state.facts["history"]) if state is not None else 0
        report.say(options, f"Going on with {run.directory} after {report.counted(done, unit)}")
    with Session(run, net, options, fingerprint) as session:
        result = MINIMISERS[options.optimizer](
            objective,
            net.theta,
            **arguments_for(options.optimizer, options),
            validation=validated,
            callback=session.epoch_done,
            each_step=session.step_done,
            state=state,
        )
    if session.received is not None and result.status == CALLBACK:
        message = f"interrupted by {session.received.name} in {unit} {len(result.history) + 1}"
        return _Ended(run, net, test, message, 128 + session.received, interrupted=True)
    return _Ended(run, net, test, result.message, 1 if result.status == DIVERGED else 0)


def _open_run(options: argparse.Namespace, data: Sequence[mlp.Examples]) -> tuple[Run, mlp.State | None, str]:
    """The run's directory, new or, with --resume, as it was left; its state, if it has one; its fingerprint."""
    if options.resume:
        fingerprint = check_run(options.resume, data, options.data or "this place")
        run, _, state = Run.resume(options.resume)
        return run, state, fingerprint
    configuration = configure(options, data)
    run = Run.create(options.out, configuration) if options.out else Run.create_dated(Path("runs"), configuration)
    return run, None, configuration["fingerprint"]


class Session:
    """A run while the minimiser is at work: what is written and shown, and what Ctrl-C does.

    While it lasts (with …), the first Ctrl-C or SIGTERM is noted in `received`, and the step in hand is finished before the
    state is saved and the run stopped; a second one ends the process at once, as always.

    Args:
        run: where everything is written.
        net: the network that is trained.
        options: the command's.
        fingerprint: the run's, for each of its states.
    """

    def __init__(self, run: Run, net: mlp.MLP, options: argparse.Namespace, fingerprint: str):
        self.run = run
        self.best = net.astype(net.dtype)
        self.options = options
        self.fingerprint = fingerprint
        self.progress = Progress(options.epochs, report.unit_of(options), quiet=options.quiet)
        self.saved = time.monotonic()
        self.received: signal.Signals | None = None
        self.handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # the only one that may
            for number in _SIGNALS:
                self.handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore_handlers()
        self.progress.close()

    def _note(self, number: int, _frame: Any) -> None:
        self.received = signal.Signals(number)
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def epoch_done(self, intermediate_result: Any) -> None:
        """Record an epoch, or iteration; save the model if it is the best so far, and the state if it is time."""
        history = intermediate_result.history
        record, done = history[-1], len(history)
        self.run.append(record)
        if intermediate_result.improved:
            self.best.theta = intermediate_result.x
            self.run.save_model(self.best, {"epoch": done, **record}, "best.npz")
        every = self.options.save_every
        if every and (done % every == 0 or done == self.options.epochs):
            self._save_state(intermediate_result.snapshot())
        self.progress.show(record)

    def step_done(self, snapshot: Callable[[], mlp.State]) -> None:
        """After a step: stop if that was asked for, with the state saved; save it if --save-minutes are over."""
        minutes = self.options.save_minutes
        if self.received is not None:
            self._save_state(snapshot())
            raise StopIteration
        if minutes is not None and time.monotonic() - self.saved > 60 * minutes:
            self._save_state(snapshot())

    def _save_state(self, state: mlp.State) -> None:
        state.facts["run"] = self.fingerprint
        self.run.save_state(state)
        self.saved = time.monotonic()
