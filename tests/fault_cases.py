"""What tests of planted faults share: one scene, and what a fault changes in it."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.lab.exam.scenes import virtual_scene
from qa_suite.lab.faults import FAULTS, plant


@pytest.fixture(scope="module")
def scene():
    return virtual_scene("A", 1, seed=3, spacing_mm=(6, 6, 8))


def planted(scene, name, severity=None, seed=0):
    facts = FAULTS[name].facts
    return plant(
        scene, name, facts.clinical if severity is None else severity, np.random.default_rng(seed)
    )


def difference(scene, name, severity=None, seed=0):
    made = planted(scene, name, severity, seed)
    return made.synthetic.array - made.clean.array
