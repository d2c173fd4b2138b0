"""Distances between the sets of an evaluation, pooled and by site, with the floor beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.records import SetMeasurement
from qa_suite.core.wording import count
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.set_distances import distances as _distances  # noqa: F401  its metrics
from qa_suite.metrics.set_distances import neighbours as _neighbours  # noqa: F401
from qa_suite.metrics.set_distances.features import OF_SETS, CaseFeatures, FeatureSet, feature_sets
from qa_suite.metrics.set_distances.settings import SetDistanceSettings

FLOOR = "floor"
"""Variant of the distances of one half of the real images from the other half."""


@dataclass(frozen=True, kw_only=True)
class FeaturedCase:
    """A measured case with its features."""

    case: str
    patient: str
    site: str
    features: CaseFeatures


def measure_sets(
    cases: Sequence[FeaturedCase], settings: SetDistanceSettings
) -> tuple[SetMeasurement, ...]:
    """Measure the distances of the synthetic from the real images.

    Parameters
    ----------
    cases
        Every evaluated case; one without features makes its scopes an error, with its name.
    settings
        Kernel, neighbours and the least numbers.

    Returns
    -------
    tuple of SetMeasurement
        Four metrics for ``pooled`` and each site, variants ``default`` and ``floor``.
    """
    rows: list[SetMeasurement] = []
    if not cases:
        return ()
    sites = sorted({case.site for case in cases})
    for scope in ("pooled", *sites) if len(sites) > 1 else ("pooled",):
        chosen = [case for case in cases if scope in ("pooled", case.site)]
        rows += _scope(scope, chosen, settings)
    return tuple(rows)


def _scope(
    scope: str, cases: Sequence[FeaturedCase], settings: SetDistanceSettings
) -> list[SetMeasurement]:
    cases = sorted(cases, key=lambda case: case.case)
    lacking = [case for case in cases if case.features.why]
    if lacking:
        named = ", ".join(case.case for case in lacking)
        why = f"{len(lacking)} of {count(len(cases), 'case')} have no features ({named}): "
        return _nothing(scope, cases, "error", why + lacking[0].features.why)
    widths = {case.features.dimensions for case in cases}
    if len(widths) > 1:
        return _nothing(scope, cases, "error", f"features have {sorted(widths)} dimensions")
    reference, synthetic = feature_sets(
        [case.features for case in cases], [case.patient for case in cases]
    )
    first, second = _dealt(reference, settings.floor_seed)
    return [
        *_rows(scope, "default", reference, synthetic, settings),
        *_rows(scope, FLOOR, first, second, settings),
    ]


def _nothing(
    scope: str, cases: Sequence[FeaturedCase], status: str, why: str
) -> list[SetMeasurement]:
    patients = len({case.patient for case in cases})
    return [
        SetMeasurement.model_validate(
            {
                "metric": name,
                "scope": scope,
                "value": None,
                "unit": METRICS[name].facts.unit,
                "status": status,
                "why": why,
                "variant": variant,
                "patients": patients,
                "n_reference": 0,
                "n_synthetic": 0,
            }
        )
        for variant in ("default", FLOOR)
        for name in OF_SETS
    ]


def _dealt(reference: FeatureSet, seed: int) -> tuple[FeatureSet, FeatureSet]:
    """Halve the patients by a seeded deal."""
    patients = np.unique(reference.patients)
    dealt: NDArray[np.int64] = np.random.default_rng(seed).permutation(patients)
    half = dealt.size // 2
    return reference.of(dealt[:half]), reference.of(dealt[half:])


def _rows(
    scope: str,
    variant: str,
    reference: FeatureSet,
    synthetic: FeatureSet,
    settings: SetDistanceSettings,
) -> list[SetMeasurement]:
    counts = [np.unique(s.patients).size for s in (reference, synthetic)]
    patients = np.union1d(reference.patients, synthetic.patients).size
    rows = []
    for name in OF_SETS:
        why = _too_few(name, variant, reference, synthetic, counts, settings)
        value, error = (None, None) if why else OF_SETS[name](reference, synthetic, settings)
        rows.append(
            SetMeasurement(
                metric=name,
                scope=scope,
                value=value,
                standard_error=error,
                unit=METRICS[name].facts.unit,
                status="undefined" if why else "ok",
                why=why,
                variant=variant,
                patients=patients,
                n_reference=len(reference.vectors),
                n_synthetic=len(synthetic.vectors),
            )
        )
    return rows


def _too_few(
    name: str,
    variant: str,
    reference: FeatureSet,
    synthetic: FeatureSet,
    patients: Sequence[int],
    settings: SetDistanceSettings,
) -> str:
    """Say why a set is too small for a metric; empty where it is not."""
    half = " in each half" if variant == FLOOR else ""
    few, least = min(patients), settings.least_patients
    if few < least:
        counted = count(few, f"patient{half} is", f"patients{half} are")
        return f"{counted} fewer than the {least} required"
    if name != "fid":
        return ""
    dimensions = reference.vectors.shape[1]
    needed = int(np.ceil(settings.fid_vectors_per_dimension * dimensions))
    vectors = min(len(reference.vectors), len(synthetic.vectors))
    if vectors < needed:
        return (
            f"{vectors} feature vectors{half} are fewer than the {needed} that FID needs for "
            f"{count(dimensions, 'dimension')}"
        )
    return ""
