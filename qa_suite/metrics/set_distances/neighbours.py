"""Precision and recall of a set of synthetic images, by nearest neighbours among other patients.

Improved precision and recall of Kynkäänniemi et al. (2019), NeurIPS 32: the real images'
manifold is the union of balls around their feature vectors, each as large as the distance to
its k-th neighbour. Neighbours are looked for among the *other* patients: the next slice of the
same patient is always near, and says nothing of the set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.metrics.facts import MetricFacts
from qa_suite.metrics.set_distances.distances import jackknife_error
from qa_suite.metrics.set_distances.features import OF_SETS, FeatureSet, Result
from qa_suite.metrics.set_distances.settings import SetDistanceSettings

_DEFAULTS = SetDistanceSettings()


def _facts(title: str, formula: str) -> MetricFacts:
    return MetricFacts(
        family="set_distance",
        title=title,
        unit="1",
        direction="higher",
        range="[0, 1]",
        kind="bounded",
        formula=formula,
        empty="too few patients or feature vectors, or no extractor: undefined",
        reference=(
            "Kynkäänniemi et al. 2019, NeurIPS 32: improved precision and recall; neighbours "
            "of the same patient left out"
        ),
        settings={"neighbours": _DEFAULTS.neighbours},
        quantities=("HU",),
        because="the feature extractor reads CT",
    )


@OF_SETS.add(
    "precision",
    _facts(
        "Precision of the synthetic set: how many of its images look real",
        "share of synthetic vectors inside the ball of some reference vector of another patient",
    ),
)
def _precision(
    reference: FeatureSet, synthetic: FeatureSet, settings: SetDistanceSettings
) -> Result:
    return _covered(reference, synthetic, settings)


def precision(reference: FeatureSet, synthetic: FeatureSet, *, neighbours: int = 3) -> float:
    """Share of the synthetic vectors that lie in the manifold of the reference."""
    return float(Coverage(reference, synthetic, neighbours).share())


@OF_SETS.add(
    "recall",
    _facts(
        "Recall of the synthetic set: how many of the real images it could have made",
        "share of reference vectors inside the ball of some synthetic vector of another patient",
    ),
)
def _recall(reference: FeatureSet, synthetic: FeatureSet, settings: SetDistanceSettings) -> Result:
    return _covered(synthetic, reference, settings)


def recall(reference: FeatureSet, synthetic: FeatureSet, *, neighbours: int = 3) -> float:
    """Share of the reference vectors that lie in the manifold of the synthetic set."""
    return float(Coverage(synthetic, reference, neighbours).share())


def _covered(manifold: FeatureSet, asked: FeatureSet, settings: SetDistanceSettings) -> Result:
    coverage = Coverage(manifold, asked, settings.neighbours)
    return coverage.share(), jackknife_error(coverage.without_each())


class Coverage:
    """How much of one set lies in the manifold of another; distances are computed once.

    Parameters
    ----------
    manifold
        Whose balls cover.
    asked
        Whose vectors are covered or not.
    neighbours
        k.
    """

    def __init__(self, manifold: FeatureSet, asked: FeatureSet, neighbours: int) -> None:
        self.manifold, self.asked, self.k = manifold, asked, neighbours
        self.distance = _squared_distances(asked, manifold)
        largest = int(np.bincount(manifold.patients).max())
        self.near, self.near_patient = _nearest(manifold, neighbours + largest)

    def share(self, without: int | None = None) -> float:
        """Return the share that is covered, with one patient left out of both sets."""
        radius = self._radius(without)
        balls = self.manifold.patients != (-1 if without is None else without)
        covered = np.any(self.distance[:, balls] <= radius[balls], axis=1)
        points = self.asked.patients != (-1 if without is None else without)
        return float(covered[points].mean())

    def without_each(self) -> FloatArray:
        """Return the share with each patient left out in turn; shape (patients,)."""
        patients = np.union1d(self.manifold.patients, self.asked.patients)
        return np.array([self.share(int(p)) for p in patients])

    def _radius(self, without: int | None) -> FloatArray:
        """Squared distance of each vector to its k-th neighbour; -1 where it has too few."""
        allowed = np.isfinite(self.near)
        if without is not None:
            allowed = allowed & (self.near_patient != without)
        rank = np.cumsum(allowed, axis=1)
        enough = rank[:, -1] >= self.k
        kth = np.argmax(rank >= self.k, axis=1)
        found = self.near[np.arange(len(kth)), kth]
        return np.where(enough, found, -1.0)


def _squared_distances(a: FeatureSet, b: FeatureSet) -> FloatArray:
    """Between the vectors of two sets; infinite within one patient."""
    centre = b.vectors.mean(axis=0)
    x, y = a.vectors - centre, b.vectors - centre
    squared = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :] - 2 * (x @ y.T)
    np.clip(squared, 0, None, out=squared)
    squared[a.patients[:, None] == b.patients[None, :]] = np.inf
    return squared


def _nearest(found: FeatureSet, count: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the nearest squared distances in order, and the patients they belong to."""
    squared = _squared_distances(found, found)
    count = min(count, squared.shape[1])
    index = np.argpartition(squared, count - 1, axis=1)[:, :count]
    values = np.take_along_axis(squared, index, axis=1)
    order = np.argsort(values, axis=1, kind="stable")
    index = np.take_along_axis(index, order, axis=1)
    return np.take_along_axis(values, order, axis=1), found.patients[index]
