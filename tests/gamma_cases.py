"""Doses whose γ is compared: smooth and noisy fields, and one criterion at a time."""

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma import GammaCriterion, GammaSettings, gamma

EXACT = ("trilinear", "simplex")
TWO = GammaCriterion(dose_pct=2, distance_mm=2)


def dose(array, spacing_mm=(2.0, 2.0, 2.0), **more) -> Volume:
    array = np.asarray(array, dtype=np.float32)
    return Volume(
        array=array, grid=Grid(shape=array.shape, spacing_mm=spacing_mm, **more), quantity="Gy"
    )


def one(reference, evaluated, criterion=TWO, **settings):
    keywords = {k: settings.pop(k) for k in ("prescription_gy", "threads") if k in settings}
    return gamma(reference, evaluated, [criterion], GammaSettings(**settings), **keywords)[0]


def smooth(shape=(14, 13, 12), shift_mm=(0.0, 0.0, 0.0), scale=1.0, spacing_mm=(2.0, 2.0, 2.0)):
    """A field with penumbrae and a hot spot."""
    x, y, z = (
        (np.arange(n) - (n - 1) / 2).reshape([-1 if a == n_ else 1 for a in range(3)]) * s - m
        for n_, (n, s, m) in enumerate(zip(shape, spacing_mm, shift_mm, strict=True))
    )
    edge = lambda t, half: 1 / (1 + np.exp((np.abs(t) - half) / 2.0))  # noqa: E731
    field = 60 * edge(x, 8) * edge(y, 7) * edge(z, 6) + 8 * np.exp(-(x**2 + y**2 + z**2) / 50)
    return dose(scale * field, spacing_mm)


def noisy(seed, shape=(6, 7, 5), spacing_mm=(2.0, 2.5, 3.0)):
    return dose(20 + np.random.default_rng(seed).normal(0, 0.4, shape), spacing_mm)


def replace_local(criterion, local):
    return criterion.model_copy(update={"local": local})
