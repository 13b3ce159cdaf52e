"""`python -m mlp.train`: trains a network on MNIST from the command line. (The other command line is plots/__main__.py.)

Read options.py first, the one table of options; a row's values are of one of the kinds in kinds.py. session.py is the story
of a run: data, network, minimiser, what is saved when, and what Ctrl-C does. configuration.py writes a run's options to its
config.json and takes them up again with --resume; report.py is what the command prints and draws.
"""

from mlp.train.session import main as main
