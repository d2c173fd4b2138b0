"""In which order mutants are tried, and which of those tried are a random sample of all."""

from __future__ import annotations

import itertools
import random
from collections.abc import Container, Sequence


def in_order(names: Sequence[str], seed: int) -> list[str]:
    """Return the mutants in the random order in which they are tried."""
    order = sorted(names)
    random.Random(seed).shuffle(order)
    return order


def random_sample(order: Sequence[str], tried: Container[str]) -> list[str]:
    """Return those from the first on that were tried, up to the first that was not.

    A mutant further on that an earlier run has found is not among them: those that it did not find
    are missing there, and a score with it would be too good.
    """
    return list(itertools.takewhile(tried.__contains__, order))
