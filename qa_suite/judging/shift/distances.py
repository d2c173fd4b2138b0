"""How far each patient's source image lies from the training's, and which site's lie too far.

Two questions of two kinds: a *patient* is unlike where the image lies farther than 95 % of the
training patients lie from each other (so 5 % of these are named too); a *site* differs where more
of its patients are unlike than chance explains (the exact distribution of exceedances, Holm over
the sites). A site whose mean is shifted in one number is found earlier by
:mod:`qa_suite.judging.shift.moves`; this finds one in which some patients are unlike, or whose
numbers do not go together as they do in the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.records import CaseRecord, TrainingSources
from qa_suite.core.records.shift import Basis, PatientDistance, SiteDistance
from qa_suite.core.wording import count, listing, number, percent
from qa_suite.judging.comparisons import holm_p_values
from qa_suite.judging.shift.features import FeatureTable, feature_table
from qa_suite.judging.shift.moves import registered_rows
from qa_suite.judging.shift.two_groups import FEWEST_PATIENTS
from qa_suite.judging.shift.yardstick import Yardstick, yardstick

_MOST_FEATURES = 3
_SMALL_P = 0.0001
_COMMON = 0.5  # of the images that are compared with: a number that fewer have is not compared
_WORDS: dict[Basis, str] = {
    "registered": "training patients",
    "training sites": "held-out patients of training sites",
    "other sites": "patients of the other sites",
}

Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Distances:
    """How far the images of an evaluation lie from the training's.

    ``usual`` are the distances of the images that are compared with, each from the others, and
    ``limit`` the distance that so many of them as asked stay within; both are empty where each
    site has others to be compared with.
    """

    patients: tuple[PatientDistance, ...] = ()
    sites: tuple[SiteDistance, ...] = ()
    usual: tuple[float, ...] = ()
    limit: float | None = None
    basis: Basis = "other sites"

    @property
    def against(self) -> str:
        """What they are compared with, in words."""
        return _WORDS[self.basis]

    @property
    def by_patient(self) -> dict[tuple[str, str], float]:
        """Site and patient to distance."""
        return {(one.site, one.patient): one.distance for one in self.patients}


def source_distances(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    *,
    training: TrainingSources | None = None,
    training_sites: Sequence[str] = (),
    confidence: float = 0.95,
) -> Distances:
    """Say how far each patient's source image lies from the training's.

    Parameters
    ----------
    measurements, cases
        The tables of an evaluation.
    training
        What the model's registration says of its training images. Without it the held-out
        patients of the training sites stand for them, without known training sites each site
        is compared with all others.
    training_sites
        Where the model was trained.
    confidence
        Share of the training patients that is usual, and of the answer over the sites.
    """
    table = feature_table(measurements, cases, "source")
    return distances_of(
        table,
        sorted({case.site for case in cases}),
        training=training,
        training_sites=training_sites,
        confidence=confidence,
    )


def distances_of(
    table: FeatureTable,
    sites: Sequence[str],
    *,
    training: TrainingSources | None = None,
    training_sites: Sequence[str] = (),
    confidence: float = 0.95,
) -> Distances:
    """Say it of features that are at hand."""
    registered = {} if training is None else registered_rows(training, table.features)
    homes = [site for site in table.site_names if site in training_sites]
    basis: Basis = "registered" if registered else "training sites" if homes else "other sites"
    shared: _Ruler | None = None
    if basis != "other sites":
        groups = registered or {site: table.at(site) for site in homes}
        shared = _Ruler(groups=groups, table=table)
    patients, found = [], []
    for site in sites:
        blank = SiteDistance(
            site=site,
            in_training=site in training_sites or site in registered,
            patients=0,
            basis=basis,
        )
        ruler = shared or _Ruler(
            groups={s: table.at(s) for s in table.site_names if s != site}, table=table
        )
        held_out = basis == "training sites" and site in homes
        own = ruler.left_out(site) if held_out else ruler.measured(site, confidence)
        patients += own
        found.append(_site(blank, own, ruler, confidence, held_out=held_out))
    usual = shared.typical if shared is not None else None
    return Distances(
        patients=tuple(patients),
        sites=_settled(found, confidence),
        usual=() if usual is None else tuple(map(float, usual.own)),
        limit=None if usual is None else usual.limit(confidence),
        basis=basis,
    )


@dataclass(frozen=True, kw_only=True)
class _Ruler:
    """The images compared with, and one yardstick for each set of numbers that an image tells."""

    groups: Mapping[str, Rows]
    table: FeatureTable
    made: dict[tuple[bool, ...], Yardstick | str] = field(default_factory=dict)

    @property
    def common(self) -> NDArray[np.bool_]:
        """Which features most of the images that are compared with tell."""
        rows = [np.isfinite(group) for group in self.groups.values() if len(group)]
        if not rows:
            return np.zeros(len(self.table.features), dtype=bool)
        return np.concatenate(rows).mean(axis=0) >= _COMMON

    def by(self, told: NDArray[np.bool_]) -> Yardstick | str:
        """Return the yardstick of some features."""
        key = tuple(map(bool, told))
        if key not in self.made:
            least = np.array([one.least for one in self.table.features])[told]
            groups = {name: rows[:, told] for name, rows in self.groups.items() if len(rows)}
            self.made[key] = yardstick(groups, least) if told.any() else "no number is shared"
        return self.made[key]

    @property
    def whole(self) -> Yardstick | str:
        return self.by(self.common)

    @property
    def typical(self) -> Yardstick | None:
        """The yardstick of all features that are common, where there is one."""
        return None if isinstance(self.whole, str) else self.whole

    def measured(self, site: str, confidence: float) -> list[PatientDistance]:
        """Measure the patients of a site that have no part in the yardstick."""
        found = []
        for patient, values in self._of(site):
            told = np.isfinite(values) & self.common
            ruler = self.by(told)
            if isinstance(ruler, str):
                continue
            distance, nearest, away = ruler.distance(values[told])
            p, known = ruler.p_value(distance), ruler.limit(confidence) is not None
            found.append(
                PatientDistance(
                    site=site,
                    patient=patient,
                    distance=distance,
                    nearest=nearest,
                    p_value=p if known else None,
                    unlike=p <= 1 - confidence + 1e-12 if known else None,
                    features=self._by_size(told, away),
                )
            )
        return found

    def left_out(self, site: str) -> list[PatientDistance]:
        """Measure the patients of a site whose images are part of what is compared with."""
        ruler = self.typical
        if ruler is None:
            return []
        own = iter(ruler.own)
        by_group = {name: [next(own) for _ in rows] for name, rows in ruler.groups.items()}
        whole = [
            (patient, values)
            for patient, values in self._of(site)
            if np.isfinite(values[self.common]).all()
        ]
        return [
            PatientDistance(site=site, patient=patient, distance=distance, nearest=site)
            for (patient, _), distance in zip(whole, by_group.get(site, ()), strict=False)
        ]

    def _of(self, site: str) -> list[tuple[str, Rows]]:
        named = [p for p, s in zip(self.table.patients, self.table.sites, strict=True) if s == site]
        return list(zip(named, self.table.at(site), strict=True))

    def _by_size(self, told: NDArray[np.bool_], away: Rows) -> dict[str, float]:
        names = [one.name for one, known in zip(self.table.features, told, strict=True) if known]
        order = np.argsort(-np.abs(away), kind="stable")
        return {names[at]: float(away[at]) for at in order}


# ---------------------------------------------------------------------------------------
# Sites


def _site(
    blank: SiteDistance,
    own: Sequence[PatientDistance],
    ruler: _Ruler,
    confidence: float,
    *,
    held_out: bool,
) -> SiteDistance:
    whole = ruler.typical
    found = blank.model_copy(
        update={
            "patients": len(own),
            "patients_against": 0 if whole is None else whole.patients,
            "median": float(np.median([one.distance for one in own])) if own else None,
        }
    )
    if held_out:
        why = "it is a training site, and the model's registration says nothing of its images"
        return found.model_copy(update={"why": why})
    if whole is None:
        return found.model_copy(update={"why": str(ruler.whole)})
    known = [one.unlike for one in own if one.unlike is not None]
    found = found.model_copy(
        update={"unlike": sum(known) if known else None, "features": _features(own)}
    )
    if len(own) < FEWEST_PATIENTS:
        few = f"{count(len(own), 'patient')} of it could be described"
        return found.model_copy(update={"why": f"{few}, and {FEWEST_PATIENTS} are needed"})
    if not known:
        needed = int(np.ceil(1 / (1 - confidence) - 1e-9)) - 1
        why = f"{found.patients_against} {_WORDS[found.basis]} are fewer than {needed}"
        return found.model_copy(update={"why": why})
    p = whole.p_of_many(sum(known), len(known), confidence)
    return found.model_copy(update={"p_value": p})


def _features(own: Sequence[PatientDistance]) -> dict[str, float]:
    """Return the features that the patients who are unlike are farthest in, in SD."""
    unlike = [one.features for one in own if one.unlike] or [one.features for one in own]
    names = dict.fromkeys(name for one in unlike for name in one)
    means = {n: float(np.mean([one[n] for one in unlike if n in one])) for n in names}
    return dict(sorted(means.items(), key=lambda pair: -abs(pair[1]))[:_MOST_FEATURES])


def _settled(found: Sequence[SiteDistance], confidence: float) -> tuple[SiteDistance, ...]:
    tested = [one for one in found if one.p_value is not None]
    adjusted = holm_p_values([one.p_value for one in tested if one.p_value is not None])
    by_site = {one.site: p for one, p in zip(tested, adjusted, strict=True)}
    settled = []
    for one in found:
        p = by_site.get(one.site)
        if p is not None:
            one = one.model_copy(update={"p_adjusted": p, "differs": p <= 1 - confidence})
        said = _sentence(one, confidence, len(tested))
        settled.append(one.model_copy(update={"sentence": said}))
    return tuple(settled)


def _sentence(one: SiteDistance, confidence: float, tests: int) -> str:
    against = f"{one.patients_against} {_WORDS[one.basis]}"
    if one.median is None:
        return f"How far the source images of {one.site} lie cannot be told: {one.why}."
    text = f"The source images of {one.site} lie {number(one.median)} SD away (median)"
    if one.unlike is not None:
        usual = percent(confidence)
        text += (
            f"; {one.unlike} of {count(one.patients, 'patient')} lie farther than {usual} of the "
            f"{against} lie from each other"
        )
    if one.differs is None:
        return f"{text}. Whether the site differs cannot be told: {one.why}."
    p = one.p_adjusted or 0.0
    small = f"p = {number(p)}" if p >= _SMALL_P else f"p < {_SMALL_P:g}"
    said = f"{small}, Holm over {count(tests, 'site')}"
    if not one.differs:
        return f"{text}: no more than chance explains ({said})."
    by = listing(f"{name} {sd:+.1f} SD" for name, sd in one.features.items())
    return f"{text}: more than chance explains ({said}). They differ by {by}."
