"""Translators for evaluations on several workers: light, and one that ends its worker."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qa_suite.core.prediction import Prediction
from qa_suite.io.cases import LoadedCase


def noisy(loaded: LoadedCase) -> Prediction:
    """The reference with noise that depends on the case alone."""
    assert loaded.reference is not None
    rng = np.random.default_rng(int(loaded.case.case.removeprefix("case")))
    noise = rng.normal(0, 20, loaded.reference.array.shape).astype(np.float32)
    return Prediction(mean=loaded.reference.with_array(loaded.reference.array + noise))


@dataclass(frozen=True)
class Deadly:
    """As :func:`noisy`, but some cases end their worker so many times first."""

    notes: Path
    deaths: tuple[tuple[str, int], ...]

    def __call__(self, loaded: LoadedCase) -> Prediction:
        case = loaded.case.case
        (self.notes / f"{case}-{os.getpid()}").touch()
        if len(list(self.notes.glob(f"{case}-*"))) <= dict(self.deaths).get(case, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return noisy(loaded)


@dataclass(frozen=True)
class Noted:
    """As :func:`noisy`; leaves a file for each case that it begins."""

    notes: Path

    def __call__(self, loaded: LoadedCase) -> Prediction:
        (self.notes / f"{loaded.case.case}-{os.getpid()}-{time.monotonic_ns()}").touch()
        return noisy(loaded)
