"""Tests here share `minimising.py`, and the minimisers they run over."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import minimising


@pytest.fixture(params=minimising.RULES)
def rule(request):
    """Each update rule, with a rate at which it learns: called as the minimiser is."""
    return minimising.RULES[request.param]


@pytest.fixture(params=minimising.MINIMISERS, ids=lambda function: function.__name__)
def minimise(request):
    """Each minimiser."""
    return request.param


@pytest.fixture(params=minimising.MINIMISERS[:2], ids=lambda function: function.__name__)
def descent(request):
    """Each minimiser by mini-batches."""
    return request.param
