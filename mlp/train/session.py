"""A run from beginning to end: `main` and `train` tell the story; a `Session` is what goes on while the minimiser runs.

Everything that is done here, a script can do in the same few calls.
"""

import argparse
import json
import shlex
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import mlp
from mlp import cli, layers
from mlp.checkpoint import Run, atomic_write
from mlp.checkpoint.runs import new_dated_directory, new_directory
from mlp.checks import counted
from mlp.data.parts import Parts, load_parts
from mlp.optimizers import CALLBACK, DIVERGED
from mlp.progress import Progress
from mlp.train import kinds, report
from mlp.train.configuration import check_run, configure, lengthen, read_options
from mlp.train.options import MINIMISERS, OPTIONS, PROG, Kept, arguments_for, build_parser, complete, suit
from mlp.train.scores import Score, plain_answer, score

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: Exit statuses above this say which signal ended a command.
_SIGNALLED = 128

#: Options that a run doesn't keep, or that may be given again with --resume.
_AGAIN = tuple(option.name for option in OPTIONS if option.kept is not Kept.DECIDES and option.name != "out")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 diverged, 2 bad input, 130 or 143 stopped by Ctrl-C or SIGTERM."""
    started = time.perf_counter()
    cli.forgive_encoding()
    parser = build_parser()
    given = vars(parser.parse_args(arguments))
    if "given_data" in given:
        if "data" in given:
            parser.error(f"argument --data: received {given['data']!r}, and DATA {given['given_data']!r}: one is enough")
        given["data"] = given.pop("given_data")
    try:
        folds = folds_in(given.get("resume"))
        recorded = given | {"resume": folds[0]} if folds else given
        options, lacking = read_options(recorded) if "resume" in given else (complete(given), [])
    except (ValueError, OSError) as error:
        name, _, message = str(error).partition(": ")
        parser.error(f"argument --{name.replace('_', '-')}: {message}")
    if lacking:
        report.say(options, f"Not in {options.resume / 'config.json'}, so the defaults are taken: {', '.join(lacking)}")
    command = cross_validate if folds or (options.folds and options.fold is None) else train
    return cli.run(PROG, lambda: command(options, given, started)[0])


def train(options: argparse.Namespace, given: Collection[str], started: float) -> tuple[int, Score | None]:
    """Train, test and save a network as the options say, of which some were given; returns the exit status and the score."""
    ended = _fit(options, given)
    run, net, test, message = ended.run, ended.net, ended.test, ended.message
    if ended.interrupted:
        run.save_model(net, {"message": message})
        cli.say(cli.wrapped(f"Stopped: {message}"))
        cli.say(f"To go on: {shlex.join(['python', '-m', 'mlp.train', '--resume', str(run.directory)])}")
        return ended.status, None
    scored = score(net, test, options.cost, ended.plain) if len(test) else None
    run.save_model(net, {"message": message, "status": ended.status, **(scored.notes() if scored else {})})
    if ended.status:
        cli.complain(f"{PROG}: {message}")
    else:
        report.say(options, f"Stopped: {message}")
    cli.say(cli.wrapped(scored.line() if scored else "Test: no examples were held out"))
    if options.per_class and scored and test.classes:
        for line in scored.per_class(test.classes):
            cli.say(line)
    report.say(options, f"Time: {time.perf_counter() - started:.1f} s")
    if not options.no_plots:
        report.draw(options, run, net, test)
    if options.quiet:
        cli.say(f"Saved in {run.directory}")
    report.say(options, f"Saved in {run.directory}: {', '.join(sorted(path.name for path in run.directory.glob('[!.]*')))}")
    run.close()
    return ended.status, scored


def cross_validate(options: argparse.Namespace, given: Collection[str], started: float) -> tuple[int, Score | None]:
    """`train` for each of the folds, in directories of their own, and their mean; returns the exit status.

    With `resume`, which is one of the folds then, those that are there go on, and the others begin as it did.
    """
    if options.resume:
        directory = options.resume.parent
        given = vars(options)
    else:
        directory = new_directory(options.out) if options.out else new_dated_directory(Path("runs"))
    scores = []
    for fold in range(1, options.folds + 1):
        report.say(options, f"Fold {fold} of {options.folds}:")
        place = directory / f"fold-{fold}"
        if (place / "config.json").exists():
            own, _ = read_options({name: getattr(options, name) for name in _AGAIN} | {"resume": place})
        else:
            own = argparse.Namespace(**{**vars(options), "fold": fold, "out": place, "resume": None})
        status, scored = train(own, given, started)
        if status or scored is None:
            if status > _SIGNALLED:
                cli.say(f"To go on with all folds: {shlex.join(['python', '-m', 'mlp.train', '--resume', str(directory)])}")
            return status, None
        scores.append(scored)
    values = [one.value for one in scores]
    cli.say(cli.wrapped(report.describe_folds(values, scores[0].rmse is None)))
    cli.say(f"Saved in {directory}")
    return 0, None


def folds_in(directory: Path | None) -> list[Path]:
    """The folds of a cross-validation in its directory; none in a run's, or where nothing is."""
    if directory is None or (directory / "config.json").exists():
        return []
    return sorted(path for path in directory.glob("fold-*") if (path / "config.json").exists())


@dataclass(frozen=True)
class _Ended:
    """What is left of a training: its run, network and test set, the answer that needs no network, why it ended, the exit
    status."""

    run: Run
    net: mlp.MLP
    test: mlp.Examples
    plain: float
    message: str
    status: int
    interrupted: bool = False


def _make_network(options: argparse.Namespace, parts: Parts) -> mlp.MLP:
    """An untrained network for this data, which keeps how the data was prepared."""
    arguments = arguments_for("network", options)
    arguments["output"] = arguments["output"] or ("identity" if parts.classes is None else "softmax")
    hidden = layers.parse(kinds.LAYERS.write(options.hidden), "hidden")
    inputs = parts.training.image_shape or parts.training.X.shape[1]
    if parts.training.image_shape is None and any(isinstance(layer, layers.Layer) for layer in hidden):
        raise ValueError(f"hidden: received {kinds.LAYERS.write(options.hidden)}, but the data is no images to look at")
    if options.distort and parts.training.image_shape is None:
        raise ValueError(f"distort: received {options.distort!r}, but the data is no images to distort")
    net = mlp.MLP([inputs, *hidden, parts.outputs], **arguments)
    net.preparation = parts.preparation
    return net


def _fit(options: argparse.Namespace, given: Collection[str]) -> _Ended:
    """Train as the options say. The training set's memory is free again when this returns."""
    parts = load_parts(options)
    if not options.resume and options.data is not None and not Path(options.data).is_dir():
        table = parts.preparation.columns[0].kind != "pixels"
        suit(options, given, len(parts.training), table=table, classifies=parts.classes is not None)
    net = _make_network(options, parts)
    with _objective_over(parts, net, options) as objective:
        return _minimise(objective, net, parts, options)


@contextmanager
def _objective_over(parts: Parts, net: mlp.MLP, options: argparse.Namespace) -> Iterator[Any]:
    """The objective over the training set, in this process or on the cluster that the options name."""
    training = parts.training
    settings, weights = arguments_for("objective", options), parts.weights(options.class_weight)
    if options.cluster is None:
        yield mlp.Objective(net, training.X, training.y, **weights, **settings)
        return
    try:
        from mlp import cluster
    except ImportError as error:
        raise ValueError(f"cluster: {error}") from error
    with cluster.connect(options.cluster) as client:
        yield cluster.SummedObjective(client, net, cluster.cut(training.X, training.y, **weights), **settings)


def _minimise(objective: Any, net: mlp.MLP, parts: Parts, options: argparse.Namespace) -> _Ended:
    """Minimise it, as a run that can be stopped and resumed."""
    training, validation, test = parts.all
    validated = mlp.Objective(net, validation.X, validation.y, cost=options.cost) if len(validation) else None
    if options.patience is not None and validated is None:
        raise ValueError("patience: needs a validation set, but there are too few examples for one: give --validation")
    film = mlp.plots.Film(net, validation=validated) if options.film else None
    run, state, fingerprint = _open_run(options, parts)
    for line in report.describe(options, net, objective, parts):
        report.say(options, line)
    unit = report.unit_of(options)
    if options.resume:
        done = len(state.facts["history"]) if state is not None else 0
        report.say(options, f"Going on with {run.directory} after {counted(done, unit)}")
        before = lengthen(run.directory, options.epochs)
        for line in report.describe_lengthening(options, before, done):
            report.say(options, line)
    with Session(run, net, options, fingerprint, film) as session:
        result = MINIMISERS[options.optimizer](
            objective,
            net.theta,
            **arguments_for(options.optimizer, options),
            validation=validated,
            callback=session.epoch_done,
            each_step=session.step_done,
            state=state,
        )
    if film is not None:
        film.save(run.directory / "features.gif")
    plain = plain_answer(training)
    if session.received is not None and result.status == CALLBACK:
        message = f"interrupted by {session.received.name} in {unit} {len(result.history) + 1}"
        return _Ended(run, net, test, plain, message, 128 + session.received, interrupted=True)
    return _Ended(run, net, test, plain, result.message, 1 if result.status == DIVERGED else 0)


def _open_run(options: argparse.Namespace, parts: Parts) -> tuple[Run, mlp.State | None, str]:
    """The run's directory, new or, with --resume, as it was left; its state, if it has one; its fingerprint."""
    if options.resume:
        fingerprint = check_run(options.resume, parts.all, options.data or "this place")
        run, _, state = Run.resume(options.resume)
        return run, state, fingerprint
    configuration = configure(options, parts.all)
    run = Run.create(options.out, configuration) if options.out else Run.create_dated(Path("runs"), configuration)
    if parts.preparation.columns[0].kind != "pixels":
        with atomic_write(run.directory / "columns.json") as stream:
            stream.write(json.dumps(parts.preparation.describe(), indent=2, ensure_ascii=False).encode() + b"\n")
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
        film: of the features, or None.
    """

    def __init__(
        self, run: Run, net: mlp.MLP, options: argparse.Namespace, fingerprint: str, film: mlp.plots.Film | None = None
    ):
        self.run = run
        self.film = film
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
        if self.film is not None:
            self.film(intermediate_result)
        if intermediate_result.improved:
            self.best.theta = intermediate_result.x
            self.run.save_model(self.best, {"epoch": done, **record}, "best.npz")
        every = self.options.save_every
        if every and (done % every == 0 or done == self.options.epochs):
            self._save_state(intermediate_result.snapshot())
        self.progress.show(record)

    def step_done(self, snapshot: Callable[[], mlp.State]) -> None:
        """After a step: stop if that was asked for, with the state saved; save it if --save-minutes are over."""
        if self.film is not None:
            self.film.each_step(snapshot)
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
