"""Tables of what images look like at simulated hospitals, with planted shifts of known size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.records import CaseRecord, Measurement
from qa_suite.core.records.shift import Image
from qa_suite.judging.shift.features import FEATURES, Feature, FeatureTable

USUAL: dict[tuple[str, str, str], tuple[float, float]] = {
    ("source_level", "body", "default"): (500, 0.08),
    ("source_span", "body", "default"): (480, 0.08),
    ("source_asymmetry", "body", "default"): (0.05, 0.08),
    ("source_noise", "body", "default"): (5.0, 0.10),
    ("source_sharpness", "body", "default"): (9.0, 0.07),
    ("source_unevenness", "body", "default"): (5.0, 0.20),
    ("source_shape", "p10", "default"): (0.08, 0.02),
    ("source_shape", "p25", "default"): (0.24, 0.04),
    ("source_shape", "p75", "default"): (0.70, 0.04),
    ("source_shape", "p90", "default"): (0.92, 0.02),
    ("source_texture", "2mm", "default"): (12.0, 0.10),
    ("source_texture", "4mm", "default"): (18.0, 0.09),
    ("source_texture", "8mm", "default"): (25.0, 0.08),
    ("source_texture", "16mm", "default"): (33.0, 0.07),
    ("voxel_size", "in_plane", "default"): (1.2, 0.0),
    ("voxel_size", "slice", "default"): (2.0, 0.0),
} | {
    (metric, region, variant): usual
    for variant in ("reference", "synthetic")
    for metric, region, usual in (
        ("tissue_hu", "air", (-1000, 1.5)),
        ("tissue_hu", "fat", (-102, 4.0)),
        ("tissue_hu", "muscle", (48, 5.0)),
        ("tissue_hu", "bone", (780, 60.0)),
        ("image_noise", "body", (12, 0.12)),
        ("edge_steepness", "fat", (14, 0.08)),
        ("edge_steepness", "bone", (45, 0.10)),
    )
}
"""Mean over patients and their standard deviation: of the logarithm where a feature is a ratio."""

Planted = Mapping[tuple[str, Image], Mapping[str, float]]
"""Site and image to feature (metric, or metric@region) to its shift, in standard deviations."""
LOOKS_ALIKE = 0.7
"""Correlation of a patient's anatomy in the reference and the synthetic image."""


def cohort(
    sizes: Mapping[str, int],
    rng: np.random.Generator,
    *,
    planted: Planted | None = None,
    error: Mapping[str, float] | None = None,
) -> tuple[pd.DataFrame, list[CaseRecord]]:
    """Draw hospitals that image alike but for what is planted.

    Parameters
    ----------
    sizes
        Site to patients.
    planted
        What moved, and by how many standard deviations between patients.
    error
        Site to a gap of its mean absolute error, in standard deviations between patients.
    """
    rows, cases = [], []
    for site, patients in sizes.items():
        for number in range(patients):
            who = {"case": f"{site}{number:03d}", "patient": f"p-{site}{number}", "site": site}
            cases.append(case_of(**who))
            anatomy = dict(zip(USUAL, rng.normal(size=len(USUAL)), strict=True))
            for image, features in FEATURES.items():
                shifts = (planted or {}).get((site, image), {})
                for feature in features:
                    rows.append(_row(who, feature, anatomy, shifts, rng))
            mae = 60 + 8 * (rng.normal() + (error or {}).get(site, 0.0))
            rows.append(measurement(who, "mae", "body", "default", mae, "HU", "image"))
    return pd.DataFrame([row.model_dump() for row in rows]), cases


def tables(
    sizes: Mapping[str, int], rng: np.random.Generator, planted: Planted
) -> dict[Image, FeatureTable]:
    """Draw the features alone, as the tables of :func:`cohort` would give them."""
    sites = [site for site, patients in sizes.items() for _ in range(patients)]
    anatomy = {key: rng.normal(size=len(sites)) for key in USUAL}
    drawn: dict[Image, FeatureTable] = {}
    for image, features in FEATURES.items():
        columns = []
        for feature in features:
            middle, spread = USUAL[feature.metric, feature.region, feature.variant]
            z = _scores(feature, anatomy, rng)
            shift = np.array([_shift(feature, planted.get((s, image), {})) for s in sites])
            centre = np.log(middle) if feature.ratio else middle
            columns.append(centre + spread * z + shift)
        patients = tuple(f"p{n}" for n in range(len(sites)))
        drawn[image] = FeatureTable(
            features=features,
            patients=patients,
            sites=tuple(sites),
            values=np.stack(columns, axis=1),
        )
    return drawn


def case_of(case: str, patient: str, site: str, **more: object) -> CaseRecord:
    """Return a case that was evaluated."""
    facts = {"split": "test", "status": "evaluated", **more}
    return CaseRecord.model_validate({"case": case, "patient": patient, "site": site, **facts})


def measurement(
    who: Mapping[str, str],
    metric: str,
    region: str,
    variant: str,
    value: float,
    unit: str,
    family: str = "appearance",
) -> Measurement:
    """Return one row of the record."""
    return Measurement(
        **who, family=family, metric=metric, region=region, variant=variant, value=value, unit=unit
    )


def _row(
    who: Mapping[str, str],
    feature: Feature,
    anatomy: Mapping[tuple[str, str, str], float],
    shifts: Mapping[str, float],
    rng: np.random.Generator,
) -> Measurement:
    key = (feature.metric, feature.region, feature.variant)
    middle, spread = USUAL[key]
    off = spread * float(_scores(feature, {k: np.array([v]) for k, v in anatomy.items()}, rng)[0])
    off += _shift(feature, shifts)
    return measurement(who, *key, middle * np.exp(off) if feature.ratio else middle + off, "1")


def _scores(
    feature: Feature,
    anatomy: Mapping[tuple[str, str, str], NDArray[np.float64]],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return standard scores, of which reference and synthetic image share the anatomy."""
    variant = "default" if feature.variant == "default" else "reference"
    own = anatomy[feature.metric, feature.region, variant]
    alike = LOOKS_ALIKE if feature.variant == "synthetic" else 1.0
    return alike * own + np.sqrt(1 - alike**2) * rng.normal(size=len(own))


def _shift(feature: Feature, shifts: Mapping[str, float]) -> float:
    _, spread = USUAL[feature.metric, feature.region, feature.variant]
    return shifts.get(feature.key, shifts.get(feature.metric, 0.0)) * (spread or feature.least)


def sizes(sites: Sequence[str], patients: int) -> dict[str, int]:
    """Return so many patients at every site."""
    return dict.fromkeys(sites, patients)
