"""Populations that patients' values are drawn from, by the kind of the measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.measure_kinds import Kind, MeasureKind

Array = NDArray[np.float64]
SIGNED = MeasureKind(kind="signed")
POSITIVE = MeasureKind(kind="positive", low=0)
SHARE = MeasureKind(kind="bounded", low=0, high=1)
COUNT = MeasureKind(kind="count", low=0)
EVENT = MeasureKind(kind="event", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Population:
    """A distribution of one patient's value.

    ``inside`` says whether it belongs to those for which the interval makes its promise,
    ``of_mean`` draws so many patients of each hospital from its own mean (counts).
    """

    name: str
    kind: MeasureKind
    mean: float
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]
    inside: bool = True
    of_mean: Callable[[np.random.Generator, Array, int], Array] | None = None


def _normal(kind: MeasureKind, cv: float) -> Population:
    return Population(
        name=f"normal, CV {cv:g}" if kind is POSITIVE else "normal",
        kind=kind,
        mean=1.0,
        draw=lambda rng, shape: np.maximum(rng.normal(1, cv, shape), kind.low),
    )


def _log_normal(kind: MeasureKind, cv: float, *, inside: bool = True) -> Population:
    sigma = np.sqrt(np.log1p(cv**2))
    return Population(
        name=f"log-normal, CV {cv:g}, skewness {3 * cv + cv**3:.2g}",
        kind=kind,
        mean=1.0,
        draw=lambda rng, shape: np.exp(rng.normal(-(sigma**2) / 2, sigma, shape)),
        inside=inside,
    )


def _gamma(cv: float) -> Population:
    return Population(
        name=f"gamma, CV {cv:g}",
        kind=POSITIVE,
        mean=1.0,
        draw=lambda rng, shape: rng.gamma(1 / cv**2, cv**2, shape),
    )


def _beta(mean: float, sd: float) -> Population:
    size = mean * (1 - mean) / sd**2 - 1
    return Population(
        name=f"beta, {mean:g} ± {sd:g}",
        kind=SHARE,
        mean=mean,
        draw=lambda rng, shape: rng.beta(mean * size, (1 - mean) * size, shape),
    )


def _ends(mean: float, sd: float, full: float) -> Population:
    """Beta values, of which some patients lie exactly at the end."""
    inner = _beta(mean, sd)
    return Population(
        name=f"{inner.name}, {100 * full:g} % of patients exactly 1",
        kind=SHARE,
        mean=mean * (1 - full) + full,
        draw=lambda rng, shape: np.where(rng.random(shape) < full, 1.0, inner.draw(rng, shape)),
    )


def _outliers(kind: MeasureKind, share: float, far: float, *, inside: bool) -> Population:
    cv = 0.15
    return Population(
        name=f"normal, {100 * share:g} % of patients {far:g} SD away",
        kind=kind,
        mean=1 + cv * far * share,
        draw=lambda rng, shape: (
            1 + cv * (rng.normal(0, 1, shape) + far * (rng.random(shape) < share))
        ),
        inside=inside,
    )


def _counts(mean: float, size: float | None) -> Population:
    def of_mean(rng: np.random.Generator, means: Array, patients: int) -> Array:
        shape = (*means.shape, patients)
        rate = np.broadcast_to(means[..., None], shape)
        if size is not None:
            rate = rng.gamma(size, 1 / size, shape) * rate
        return rng.poisson(rate).astype(np.float64)

    name = "Poisson" if size is None else f"negative binomial (k {size:g})"
    return Population(
        name=f"{name}, mean {mean:g}",
        kind=COUNT,
        mean=mean,
        draw=lambda rng, shape: of_mean(rng, np.full(shape[:-1], mean), shape[-1]),
        of_mean=of_mean,
    )


POPULATIONS: dict[Kind, tuple[Population, ...]] = {
    "signed": (
        _normal(SIGNED, 0.3),
        _log_normal(SIGNED, 0.05),
        _log_normal(SIGNED, 0.2, inside=False),
        _log_normal(SIGNED, 1.0, inside=False),
        _outliers(SIGNED, 0.05, 4, inside=False),
    ),
    "positive": (
        *(_normal(POSITIVE, cv) for cv in (0.1, 0.3)),
        *(_log_normal(POSITIVE, cv) for cv in (0.1, 0.3, 0.5)),
        _log_normal(POSITIVE, 1.0, inside=False),
        *(_gamma(cv) for cv in (0.3, 0.7, 1.0)),
        _outliers(POSITIVE, 0.05, 4, inside=False),
        _outliers(POSITIVE, 0.05, 8, inside=False),
    ),
    "bounded": (
        *(_beta(m, s) for m, s in ((0.8, 0.05), (0.9, 0.03), (0.95, 0.02), (0.95, 0.05))),
        _beta(0.98, 0.02),
        _ends(0.97, 0.02, 0.2),
    ),
    "count": (_counts(0.3, None), _counts(3, None), _counts(3, 1), _counts(20, 3)),
}
"""By kind; events are exact by theory, and simulated over hospitals."""
