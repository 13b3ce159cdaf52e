"""The options of `python -m mlp.train`: `OPTIONS`, a row for each, from which all else follows.

A row says what its values are, what it is where it is left out (for which minimiser), whose keyword argument it becomes, and
whether a run keeps it. The parser, the help, the defaults, what a minimiser is handed, config.json, --resume and the command
that repeats a run are made from the rows: a new option is a new row, and nothing else.
"""

import argparse
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import mlp
from mlp import activations, cli, costs, initializers
from mlp.checks import DTYPES
from mlp.data import distortions
from mlp.data.columns import SCALINGS
from mlp.data.roles import TASKS
from mlp.optimizers import schedules
from mlp.train import kinds
from mlp.train.kinds import Kind, integer, named, number, one_of, text

PROG = "python -m mlp.train"

EPILOG = """\
examples:
  python -m mlp.train                                             784-256-10, a few seconds
  python -m mlp.train --hidden none --optimizer lbfgs --weight-decay 1e-4     softmax regression
  python -m mlp.train --hidden 30 --activation logistic --output logistic --cost quadratic --weight-decay 0 \\
      --momentum 0 --learning-rate 3 --schedule constant --batch-size 10 --epochs 30    Nielsen's chapter 1
  python -m mlp.train iris.csv --target species                    a table of one's own
  python -m mlp.train --hidden 800 --learning-rate 0.1 --epochs 60 --weight-decay 0 --distort elastic,affine    99.4 %
  python -m mlp.train --resume runs/2026-01-31-101500 --epochs 40     the same run, longer
  python -m mlp.train --hidden conv:20:5,pool:2,conv:50:5,pool:2,500 --learning-rate 0.05 --epochs 5    a LeNet
"""

MINIMISERS: dict[str, Callable[..., Any]] = {"sgd": mlp.sgd, "adam": mlp.adam, "lbfgs": mlp.lbfgs, "newton": mlp.newton}

#: Those that take steps over mini-batches.
DESCENT = ("sgd", "adam")


class ByMinimiser(dict[str, Any]):
    """A default for each minimiser that has a use for the option; with any other, the option is refused."""


#: Fewer examples than this are gone over more often, for about so many steps in all.
_FEW, _STEPS = 10_000, 2000


def _descent(default: Any) -> ByMinimiser:
    return ByMinimiser(dict.fromkeys(DESCENT, default))


class Kept(Enum):
    """What a run keeps of an option in its config.json."""

    DECIDES = "it decides how the run goes: --resume takes it up again, and it cannot be given with --resume"
    LONGER = "it decides how the run goes, and --resume may only raise it"
    ANEW = "it is kept, but may be given again with --resume"
    NOT = "it concerns only the command it is given to"


@dataclass(frozen=True)
class Option:
    """A row of the table.

    Attributes:
        name: as in Python, learning_rate for --learning-rate.
        kind: what its values are.
        group: under which heading the help has it.
        help: what it is; the defaults are put behind it.
        default: its value where it is left out; None is then allowed in a configuration. Or `ByMinimiser`.
        metavar: what the help calls its value.
        absent: how the help puts a default of None.
        to: whose keyword argument it becomes: "network", "objective", or minimisers. None of these: the session uses it.
        keywords: what it is called by one of those, where that isn't its name.
        make: what they are handed, made from a value that isn't None.
        kept: what a run keeps of it.
        synonyms: what people may call it instead: an error then suggests this name.
    """

    name: str
    kind: Kind
    group: str
    help: str
    default: Any = None
    metavar: str | None = None
    absent: str = "off"
    to: tuple[str, ...] = ()
    keywords: Mapping[str, str] = field(default_factory=dict)
    make: Callable[[Any], Any] = lambda value: value
    kept: Kept = Kept.DECIDES
    synonyms: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    def serves(self, minimiser: str) -> bool:
        """Whether the option means something with this minimiser."""
        return not isinstance(self.default, ByMinimiser) or minimiser in self.default

    def default_for(self, minimiser: str) -> Any:
        """Its value where it is left out; None with a minimiser that has no use for it."""
        return self.default.get(minimiser) if isinstance(self.default, ByMinimiser) else self.default

    def check(self, value: Any, minimiser: str) -> Any:
        """The value, of whatever origin, if it is allowed with this minimiser; otherwise an error that names the option."""
        if value is None and self.default_for(minimiser) is None:
            return None
        if not self.serves(minimiser):
            raise ValueError(f"{self.name}: received {value!r}, but {minimiser} has no use for it")
        return self.kind.check(self.name, value)

    def words(self, value: Any, minimiser: str) -> list[str]:
        """The option with this value as a command line has it; nothing where it is off."""
        if self.kind is kinds.FLAG:
            return [self.flag] if value else []
        if value is None and self.default_for(minimiser) is None:
            return []
        return [self.flag, self.kind.write(value)]

    def add_to(self, group: Any) -> None:
        """Enter the option into a group of an argparse parser."""
        if self.kind is kinds.FLAG:
            group.add_argument(self.flag, action="store_true", default=argparse.SUPPRESS, help=self.help)
        else:
            told = f"{self.help} ({self._defaults()})" if self._defaults() else self.help
            read = cli.checked(self.kind.read)
            group.add_argument(self.flag, type=read, default=argparse.SUPPRESS, metavar=self.metavar, help=told)

    def _defaults(self) -> str:
        """The defaults as the help puts them."""
        if not isinstance(self.default, ByMinimiser):
            return self._shown(self.default)
        by_text: dict[str, list[str]] = {}
        for minimiser, value in self.default.items():
            by_text.setdefault(self._shown(value), []).append(minimiser)
        if len(by_text) == 1 and self.default.keys() >= set(DESCENT):
            return next(iter(by_text))
        return ", ".join(f"{shown} for {' and '.join(minimisers)}" for shown, minimisers in by_text.items())

    def _shown(self, value: Any) -> str:
        return self.absent if value is None else self.kind.write(value)


def _names(known: Iterable[str]) -> str:
    return ", ".join(known)


def _calls(known: Mapping[str, Any]) -> str:
    """Names with their parameters as the help puts them: "elu:ALPHA"."""
    return ", ".join(":".join([name, *map(str.upper, thing.parameters)]) for name, thing in known.items())


_HIDDEN_ACTIVATIONS = {name: each for name, each in activations.ACTIVATIONS.items() if name != "softmax"}
_OUTPUTS = ["softmax", "logistic", "identity", "tanh", "exponential"]

# fmt: off
OPTIONS = (
    Option("data", text(), "data",
           "a directory of IDX files (MNIST and its like), a table (CSV, TSV, Parquet; - is standard input), or arrays "
           "(.npz: X and y, or x_train, y_train, x_test and y_test); the option's name may be left out", None, "DATA",
           kept=Kept.ANEW, absent="MNIST: $MLP_DATA, data/, or the user's cache",
           synonyms=("dataset", "mnist", "input", "data_dir", "file")),
    Option("target", text(), "data", "the column to predict, by name or by number from 1", None, "COLUMN",
           absent="target, label, class or y if there is one, or the last", synonyms=("label", "predict", "y")),
    Option("categorical", kinds.NAMES, "data", "columns whose numbers are only names, such as month,zip", None, "COLUMNS",
           absent="those of texts", synonyms=("categories", "one_hot", "onehot")),
    Option("ignore", kinds.NAMES, "data", "columns to leave out", None, "COLUMNS", absent="none",
           synonyms=("drop_columns", "exclude", "skip")),
    Option("columns", text(), "data", "a run's columns.json, perhaps edited: the columns to use, and what they are", None,
           "FILE", absent="all, as they seem to be"),
    Option("task", one_of(TASKS), "data", "classification, regression, or counts, which poisson is the cost of", None, "NAME",
           absent="regression where the target has many numeric values"),
    Option("scale", one_of(SCALINGS), "data", "what is done to numbers: none, standard (mean 0, deviation 1), range", None,
           "NAME", absent="standard; pixels as images are", synonyms=("scaling", "normalize", "standardize", "normalise")),
    Option("validation", kinds.SHARE, "data", "how many training examples to hold out for validation, or which fraction", None,
           "SHARE", absent="a fifth, at most 10,000",
           synonyms=("holdout", "dev", "validation_fraction", "validation_size", "validation_split")),
    Option("test", kinds.SHARE, "data", "how many examples to hold out for the test, or which fraction", None, "SHARE",
           absent="a fifth, at most 10,000, where the data has no test set", synonyms=("test_size", "test_fraction")),
    Option("folds", integer(2), "data", "cross-validation: train K times, tested on another K-th of the examples each time",
           None, "K", synonyms=("cross_validation", "cv", "k_fold", "kfold")),
    Option("fold", integer(1), "data", "train only the one of --folds with that number", None, "N", absent="all"),
    Option("class_weight", one_of(["balanced"]), "data", "balanced: rare classes weigh as much as frequent ones", None, "NAME",
           absent="every example weighs the same", synonyms=("weights_of_classes", "balance", "balanced", "sample_weight")),
    Option("hidden", kinds.LAYERS, "network",
           "units of each hidden layer, such as 512,256, or none; for images also conv:MAPS:KERNEL, pool:SIZE, meanpool:SIZE, "
           "such as conv:20:5,pool:2,500, with stride= and padding= by name", [256], "LAYERS",
           synonyms=("layers", "units", "sizes", "hidden_layers", "hidden_units", "hidden_layer_sizes", "neurons")),
    Option("activation", named(_HIDDEN_ACTIVATIONS, activations.SYNONYMS), "network",
           f"of the hidden layers: {_calls(_HIDDEN_ACTIVATIONS)}", "relu", "NAME", to=("network",),
           keywords={"network": "hidden"}, synonyms=("nonlinearity", "sigma")),
    Option("output", one_of(_OUTPUTS, activations.SYNONYMS), "network",
           f"activation of the output layer: {_names(_OUTPUTS)}", None, "NAME",
           absent="softmax for classes, identity for numbers, exponential for counts", to=("network",)),
    Option("init", text(initializers.get), "network",
           f"how weights are drawn: {_names(initializers.INITIALIZERS)}, small_normal:EPSILON", "glorot_uniform", "NAME",
           to=("network",), synonyms=("initializer", "initialiser", "initialization", "weights")),
    Option("dtype", one_of(DTYPES), "network", _names(DTYPES), "float32", "NAME", to=("network",),
           synonyms=("precision", "type")),
    Option("seed", integer(0), "network", "of the weights, the order of examples, subsets, distortions and dropout", 0, "N",
           to=("network", *DESCENT, "newton"), synonyms=("random_state", "random_seed", "rng")),
    Option("cost", named(costs.COSTS, costs.SYNONYMS, costs.CROSS_ENTROPY), "cost",
           f"{costs.CROSS_ENTROPY} (of the output) or {_calls(costs.COSTS)}", None, "NAME",
           absent="the output's natural one", to=("objective",), synonyms=("loss", "objective", "criterion", "error")),
    Option("weight_decay", number(at_least=0), "cost", "λ in the penalty (λ/2)·Σ‖W‖²", 5e-4, "LAMBDA", to=("objective",),
           synonyms=("decay", "l2", "lambda", "regularization", "regularisation", "penalty", "wd", "l2_penalty")),
    Option("distort", text(distortions.parse), "against overfitting",
           "distort every training image, differently in every epoch: elastic, affine, or elastic,affine; parameters, in "
           "degrees and pixels, and what they are if left out: elastic:sigma=6:alpha=37, "
           "affine:rotation=15:scaling=0.15:shear=0:shift=0",
           _descent(None), "KINDS", to=("objective",), make=distortions.parse,
           synonyms=("augment", "augmentation", "distortion", "distortions", "elastic", "affine")),
    Option("dropout", kinds.RATES, "against overfitting",
           "what fraction of each layer's inputs to drop, the network's own first, such as 0.2,0.5", _descent(None), "RATES",
           to=("objective",), synonyms=("drop", "dropout_rate", "dropout_rates")),
    Option("max_norm", number(above=0), "against overfitting", "the largest norm of a unit's incoming weights",
           _descent(None), "C", to=("objective",), synonyms=("maxnorm", "norm", "constraint")),
    Option("optimizer", one_of(MINIMISERS), "minimiser", _names(MINIMISERS), "sgd", "NAME",
           synonyms=("optimiser", "minimiser", "minimizer", "solver", "method", "algorithm")),
    Option("learning_rate", number(above=0), "minimiser", "step size η", ByMinimiser(sgd=0.25, adam=0.001), "ETA", to=DESCENT,
           synonyms=("lr", "rate", "eta", "alpha", "step_size", "learningrate", "learning_rate_init")),
    Option("schedule", text(lambda schedule: schedules.get(schedule, 1)), "minimiser",
           "of the learning rate: constant, step:FACTOR:EPOCHS, exponential:FACTOR, cosine", _descent("cosine"), "NAME",
           to=DESCENT, synonyms=("lr_schedule", "learning_rate_schedule", "scheduler")),
    Option("momentum", number(at_least=0, below=1), "minimiser", "μ", ByMinimiser(sgd=0.9), "MU", to=("sgd",),
           synonyms=("mu", "mom")),
    Option("nesterov", kinds.FLAG, "minimiser", "make the momentum Nesterov's", ByMinimiser(sgd=False), to=("sgd",),
           synonyms=("nag", "nesterov_momentum", "nesterovs_momentum")),
    Option("batch_size", kinds.BATCH_SIZE, "minimiser", "examples a step, or full", _descent(128), "N", to=DESCENT,
           synonyms=("batches", "minibatch", "mini_batch", "bs", "mini_batch_size")),
    Option("epochs", integer(0), "minimiser", "passes over the training set, or iterations of lbfgs and newton",
           ByMinimiser(sgd=6, adam=10, lbfgs=200, newton=100), "N", to=tuple(MINIMISERS),
           keywords={"lbfgs": "maxiter", "newton": "maxiter"}, kept=Kept.LONGER,
           synonyms=("iterations", "maxiter", "max_iter", "steps", "passes")),
    Option("patience", integer(1), "minimiser",
           "stop after N epochs without a better validation accuracy, and keep the best parameters", None, "N",
           to=tuple(MINIMISERS), synonyms=("early_stopping", "n_iter_no_change")),
    Option("average", integer(0), "minimiser",
           "end with the mean of the parameters over the steps of the last N epochs; 0: with the last parameters", _descent(0),
           "N", to=DESCENT, synonyms=("swa", "averaging", "polyak")),
    Option("cluster", text(), "minimiser",
           "sum over all examples on a Dask cluster: the scheduler's address, tcp://HOST:8786, or local, for processes on this "
           "machine, which read the data themselves; with lbfgs, newton or full batches", None, "ADDRESS", kept=Kept.ANEW,
           synonyms=("dask", "distributed")),
    Option("subset", integer(1), "minimiser",
           "how many training examples, others in each iteration, curvature is measured on (gradients are always of all)",
           ByMinimiser(newton=None), "N", to=("newton",), absent="all", synonyms=("curvature_examples", "subsample")),
    Option("damping", number(above=0), "minimiser", "λ in G + λI to start from; it adapts", ByMinimiser(newton=1.0), "LAMBDA",
           to=("newton",), synonyms=("levenberg", "marquardt")),
    Option("out", kinds.PATH, "files and output", "the run's directory, which must be new or empty", None, "DIR",
           absent="runs/DATE-TIME", kept=Kept.NOT, synonyms=("directory", "dir", "run", "save", "output_dir", "to")),
    Option("resume", kinds.PATH, "files and output",
           "go on with a run that was stopped, with its own options; with more --epochs, with one that ended too", None, "RUN",
           absent="", kept=Kept.NOT, synonyms=("continue", "restart", "load", "go_on")),
    Option("save_every", integer(0), "files and output",
           "save the run's state every N epochs; 0: only when it is stopped", 1, "N", kept=Kept.ANEW, synonyms=("checkpoint",)),
    Option("save_minutes", number(above=0), "files and output",
           "save the run's state every M minutes too, within epochs", None, "M", kept=Kept.ANEW),
    Option("threads", integer(1), "files and output", "how many threads may share a product; results don't depend on it", None,
           "N", absent="as many as are faster", kept=Kept.ANEW, synonyms=("jobs", "n_jobs", "cpus", "cores", "workers")),
    Option("no_plots", kinds.FLAG, "files and output", "draw no pictures of the run", False, kept=Kept.NOT,
           synonyms=("no_pictures", "no_figures", "plots")),
    Option("film", kinds.FLAG, "files and output", "make a film of the first layer's features as they form, features.gif",
           False, kept=Kept.NOT, synonyms=("movie", "video", "animation", "gif")),
    Option("per_class", kinds.FLAG, "files and output", "report each class", False, kept=Kept.NOT,
           synonyms=("classes", "report", "classification_report")),
    Option("quiet", kinds.FLAG, "files and output", "print the result only, and where the run is", False, kept=Kept.NOT,
           synonyms=("silent", "verbose", "verbosity")),
)
# fmt: on


def build_parser() -> argparse.ArgumentParser:
    """The parser of a command line; what it returns has only the options that were given."""
    parser = cli.Parser(
        PROG,
        {synonym: option.name for option in OPTIONS for synonym in option.synonyms},
        description="Train a multilayer perceptron on MNIST, or on data of one's own, and save it. Defaults are in brackets.",
        epilog=EPILOG,
    )
    parser.add_argument("given_data", nargs="?", default=argparse.SUPPRESS, metavar="DATA", help=argparse.SUPPRESS)
    groups: dict[str, Any] = {}
    for option in OPTIONS:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        option.add_to(groups[option.group])
    return parser


def complete(given: Mapping[str, Any]) -> argparse.Namespace:
    """All options: those given, and the minimiser's defaults; a ValueError names one that doesn't go with another."""
    minimiser = given.get("optimizer", "sgd")
    for option in OPTIONS:
        if option.name in given and not option.serves(minimiser):
            raise ValueError(f"{option.name}: --optimizer {minimiser} has no use for it")
    options = {option.name: given.get(option.name, option.default_for(minimiser)) for option in OPTIONS}
    check_together(options)
    return argparse.Namespace(**options)


def check_together(options: Mapping[str, Any]) -> None:
    """Refuse options of which each is allowed, but not with the others."""
    dropout, layers = options["dropout"], len(options["hidden"]) + 1
    if dropout is not None and len(dropout) != layers:
        raise ValueError(
            f"dropout: received {len(dropout)} rates, but the network has {layers} layers, and each one's input has a rate"
        )
    if options["cluster"] is not None:
        if options["optimizer"] in DESCENT and options["batch_size"] is not None:
            raise ValueError("cluster: sums over all examples: it needs --optimizer lbfgs or newton, or --batch-size full")
        if options["subset"] is not None:
            raise ValueError("cluster: sums over all examples, so that --subset isn't allowed")
        if options["distort"] or options["dropout"]:
            raise ValueError("cluster: received one, but --distort and --dropout draw noise, which isn't allowed on a cluster")
    if options["patience"] is not None and options["validation"] == 0:
        raise ValueError("patience: needs a validation set, but --validation is 0")
    if options["fold"] is not None and (options["folds"] is None or options["fold"] > options["folds"]):
        raise ValueError(f"fold: received {options['fold']}, but --folds is {options['folds'] or 'off'}")
    if options["folds"] is not None and options["test"] is not None:
        raise ValueError("test: with --folds, each fold is the test set of one run")


def suit(options: argparse.Namespace, given: Collection[str], n: int, *, table: bool, classifies: bool) -> None:
    """Let what wasn't given suit data of n examples: of few, shorter batches and more epochs; of tables, smaller steps."""
    wanted: dict[str, Any] = {}
    if options.optimizer in DESCENT and n < _FEW:
        wanted["batch_size"] = min(128, max(8, 1 << round(math.log2(max(n / 24, 1)))))
        batch_size = options.batch_size if "batch_size" in given else wanted["batch_size"]
        wanted["epochs"] = max(options.epochs, math.ceil(_STEPS / math.ceil(n / (batch_size or n))))
    if options.optimizer == "sgd" and table:
        wanted = {"epochs": 12, "learning_rate": 0.02 if classifies else 0.005} | wanted
    for name, value in wanted.items():
        if name not in given:
            setattr(options, name, value)


def arguments_for(receiver: str, options: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments that the options are for the network, the objective or a minimiser."""
    found = {}
    for option in OPTIONS:
        if receiver in option.to:
            value = getattr(options, option.name)
            found[option.keywords.get(receiver, option.name)] = None if value is None else option.make(value)
    return found
