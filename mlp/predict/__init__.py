"""`python -m mlp.predict`: what a trained network answers to new data, pictures, tables or arrays.

Read command.py first, the story; inputs.py reads models and inputs, answers.py names and writes what came out.
"""

from mlp.predict.command import main as main
