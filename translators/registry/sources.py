"""What the images looked like that a translator was trained on, as its registration keeps it.

So an examiner can say which hospital's images are unlike them, without the images. The rows are of
patients and say nothing of whom: they are sorted by value, rounded, and bear no name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.records import TrainingSources
from qa_suite.core.volume import Volume
from qa_suite.imaging.appearance import Untold
from qa_suite.imaging.body import body_of
from qa_suite.imaging.embedding import EMBEDDING, embed_source
from qa_suite.io.cases import LoadedCase, load_case

FEATURES = tuple(f"{metric}@{region}" for metric, region in EMBEDDING)
PROTOCOLS = (
    "source_manufacturer",
    "source_model",
    "field_strength_t",
    "sequence",
    "repetition_time_ms",
    "echo_time_ms",
    "flip_angle_deg",
    "source_tube_voltage_kv",
    "source_kernel",
    "reference_manufacturer",
    "tube_voltage_kv",
    "ct_kernel",
    "slice_thickness_mm",
)
"""Strata of the two images that are kept."""
_DIGITS = 6

Row = tuple[float | None, ...]


def training_sources(
    cohort: Cohort, folder: Path, cases: Sequence[Case], *, inverse: bool = False
) -> TrainingSources:
    """Describe the source images of the patients that a translator has seen.

    Parameters
    ----------
    cohort, folder
        The cohort and where its manifest lies.
    cases
        Those that it has seen; of each patient the first examination counts.
    inverse
        Whether it translates the cohort's references, as the way back of a cycle does.
    """
    rows: dict[str, list[Row]] = {}
    protocols: dict[str, dict[str, dict[str, int]]] = {}
    unrecorded: dict[str, dict[str, int]] = {}
    left_out = 0
    for case in _one_a_patient(cases):
        try:
            rows.setdefault(case.site, []).append(
                _described(load_case(cohort, case, folder), inverse)
            )
        except QAError:
            left_out += 1
        if not inverse:
            lost = unrecorded.setdefault(case.site, {})
            _count(protocols.setdefault(case.site, {}), lost, case)
    return TrainingSources(
        features=FEATURES,
        rows={site: tuple(sorted(rows[site], key=_order)) for site in sorted(rows) if rows[site]},
        protocols=protocols,
        unrecorded=unrecorded,
        left_out=left_out,
    )


def _one_a_patient(cases: Sequence[Case]) -> list[Case]:
    first: dict[str, Case] = {}
    for case in sorted(cases, key=lambda one: (one.examination, one.case)):
        if case.import_problem is None:
            first.setdefault(case.patient, case)
    return list(first.values())


def _described(loaded: LoadedCase, inverse: bool) -> Row:
    image = _image(loaded, inverse)
    inside = body_of(image) if loaded.mask is None else loaded.mask
    if loaded.coverage is not None:
        inside = inside & loaded.coverage
    values = embed_source(image, inside).values()
    return tuple(None if isinstance(v, Untold) else float(f"{v:.{_DIGITS}g}") for v in values)


def _image(loaded: LoadedCase, inverse: bool) -> Volume:
    if not inverse:
        return loaded.source
    if loaded.reference is None:
        raise InputError("the case has no reference image")
    return loaded.reference


def _count(counts: dict[str, dict[str, int]], lost: dict[str, int], case: Case) -> None:
    for name in PROTOCOLS:
        value = getattr(case.strata, name)
        if value is None:
            lost[name] = lost.get(name, 0) + 1
            continue
        text = f"{value:g}" if isinstance(value, float) else str(value)
        of_name = counts.setdefault(name, {})
        of_name[text] = of_name.get(text, 0) + 1


def _order(row: Row) -> tuple[tuple[bool, float], ...]:
    return tuple((value is None, value or 0.0) for value in row)
