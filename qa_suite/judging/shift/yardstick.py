"""How far one image lies from some sites' images, and how far those lie from each other.

The distance is Mahalanobis' to the nearest site's mean, with a covariance within sites that is
pooled over them and whose correlations are shrunk. What is usual is not read from a table of
chi-squared, which needs normal features and many patients, but from the training patients
themselves: each is left out in turn and measured by all others, exactly as a new one is. A new
image that is one more of them lies beyond k of N with probability (N + 1 - k) / (N + 1), whatever
the distribution (split by leaving one out: the jackknife of conformal prediction).

References
----------
.. [1] Schäfer J, Strimmer K (2005), Stat Appl Genet Mol Biol 4:32: shrinkage of correlations.
.. [2] Barber RF, Candès EJ, Ramdas A, Tibshirani RJ (2021), Ann Stat 49:486: the jackknife's rate.
.. [3] Gumbel EJ, von Schelling H (1950), Ann Math Stat 21:247: the number of exceedances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from qa_suite.core.wording import count, listing, some
from qa_suite.judging.shift.two_groups import FEWEST_FREEDOM, FEWEST_PATIENTS

LEAST_SHRINKAGE = 0.05
"""Two features that are one (textures within one voxel) do not magnify what rounding leaves."""

Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """Images of some sites that a distance is taken from; every value is known.

    Parameters
    ----------
    groups
        Site to rows of the shape (patients, features), at least three patients each.
    least
        Smallest standard deviation that is believed, by feature.
    """

    groups: Mapping[str, Rows]
    least: Rows

    @cached_property
    def patients(self) -> int:
        """How many images there are."""
        return sum(len(rows) for rows in self.groups.values())

    @cached_property
    def own(self) -> Rows:
        """How far each of its own images lies from all others, site by site in their order."""
        found = []
        for name, rows in self.groups.items():
            for place, row in enumerate(rows):
                rest = {**self.groups, name: np.delete(rows, place, axis=0)}
                found.append(_Fit.of(rest, self.least).nearest(row)[0])
        return np.array(found)

    @cached_property
    def _whole(self) -> _Fit:
        return _Fit.of(self.groups, self.least)

    def distance(self, values: Rows) -> tuple[float, str, Rows]:
        """Return how far an image lies, from which site, and by which features, all in SD.

        The distance is the root of Mahalanobis' square over the number of features: about 1
        for one more image of a site.
        """
        return self._whole.nearest(values)

    def p_value(self, distance: float) -> float:
        """Return how often one more of its images would lie so far, or farther."""
        reached = int((self.own >= distance * (1 - 1e-9)).sum())
        return (reached + 1) / (self.patients + 1)

    def limit(self, confidence: float) -> float | None:
        """Return how far an image may lie before it is unlike them; None with too few."""
        rank = self._rank(confidence)
        return float(np.sort(self.own)[rank - 1]) if rank <= self.patients else None

    def p_of_many(self, unlike: int, patients: int, confidence: float) -> float:
        """Return how often so many of some patients, or more, would lie beyond the limit by chance.

        Where all are alike every order of own and new distances is as likely as any other: of the
        largest ``unlike + beyond - 1`` of them so many are new ones (exceedances [3]_).
        """
        beyond = self.patients + 1 - self._rank(confidence)
        whole, drawn = self.patients + patients, unlike + beyond - 1
        return float(stats.hypergeom.sf(unlike - 1, whole, patients, drawn)) if unlike else 1.0

    def _rank(self, confidence: float) -> int:
        return int(np.ceil((self.patients + 1) * confidence - 1e-9))


def yardstick(groups: Mapping[str, Rows], least: Rows) -> Yardstick | str:
    """Make a yardstick of the images of some sites, or say why there is none.

    Parameters
    ----------
    groups
        Site to rows of the shape (patients, features); patients with an unknown value are left
        out, and sites with fewer than three are taken together.
    least
        Smallest standard deviation that is believed, by feature.
    """
    whole = {name: rows[np.isfinite(rows).all(axis=1)] for name, rows in groups.items()}
    found = {name: rows for name, rows in whole.items() if len(rows) >= FEWEST_PATIENTS}
    few = {name: rows for name, rows in whole.items() if 0 < len(rows) < FEWEST_PATIENTS}
    if sum(map(len, few.values())) >= FEWEST_PATIENTS:
        found[listing(some(sorted(few)))] = np.concatenate(list(few.values()))
    if sum(len(rows) - 1 for rows in found.values()) <= FEWEST_FREEDOM:
        patients = count(sum(map(len, whole.values())), "patient")
        return f"{patients} to be compared with: too few to tell what is usual"
    return Yardstick(groups=found, least=least)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Means of some sites, and spread and correlation within them."""

    names: tuple[str, ...]
    means: Rows
    sizes: Rows
    spread: Rows
    precision: Rows

    @classmethod
    def of(cls, groups: Mapping[str, Rows], least: Rows) -> _Fit:
        means = np.stack([rows.mean(axis=0) for rows in groups.values()])
        parts = [rows - mean for rows, mean in zip(groups.values(), means, strict=True)]
        residuals = np.concatenate(parts)
        freedom = len(residuals) - len(groups)
        spread = np.maximum(np.sqrt(np.square(residuals).sum(axis=0) / freedom), least)
        return cls(
            names=tuple(groups),
            means=means,
            sizes=np.array([float(len(rows)) for rows in groups.values()]),
            spread=spread,
            precision=np.linalg.inv(shrunk(residuals / spread, freedom)).astype(np.float64),
        )

    def nearest(self, values: Rows) -> tuple[float, str, Rows]:
        away = (values - self.means) / self.spread
        squares = np.einsum("gi,ij,gj->g", away, self.precision, away)
        squares /= 1 + 1 / self.sizes  # the mean of few is itself uncertain
        at = int(np.argmin(squares))
        return float(np.sqrt(squares[at] / len(values))), self.names[at], away[at]


def shrunk(scores: Rows, freedom: int) -> Rows:
    """Return the correlation of standardised residuals, shrunk towards none.

    Parameters
    ----------
    scores
        Shape (patients, features), of standard deviation 1 or less.
    freedom
        Their degrees of freedom.
    """
    patients, features = scores.shape
    found = scores.T @ scores / freedom
    squares = np.square(scores).T @ np.square(scores)
    variance = (squares - np.square(scores.T @ scores) / patients) / freedom**2
    beside = ~np.eye(features, dtype=bool)
    total = float(np.square(found[beside]).sum())
    share = float(variance[beside].sum()) / total if total > 0 else 1.0
    found = (1 - np.clip(share, LEAST_SHRINKAGE, 1.0)) * found
    np.fill_diagonal(found, 1.0)
    return found
