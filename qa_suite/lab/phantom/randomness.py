"""Where every random number comes from: one generator for each purpose of each patient."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return the generator for one purpose; other purposes do not disturb it."""
    text = "/".join(str(part) for part in purpose)
    words = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype="<u4")
    return np.random.default_rng([seed, *(int(word) for word in words)])


def pseudonym(seed: int, hospital: str, index: int) -> str:
    """Return the stable, meaningless name of a virtual patient."""
    text = f"virtual patient {seed}/{hospital}/{index}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
