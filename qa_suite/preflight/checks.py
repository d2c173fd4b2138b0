"""Checks of content: readable, finite, in HU, not swapped; and what follows from all checks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import GeometryError, Problems, QAError
from qa_suite.core.records import PreflightValue, preflight_sentence, preflight_status
from qa_suite.imaging.masks import share
from qa_suite.imaging.robust import thinned
from qa_suite.io.cases import LoadedCase
from qa_suite.preflight.evidence import (
    Evidence,
    Status,
    Values,
    fraction,
    is_outside,
    undetermined,
    window_text,
)
from qa_suite.preflight.geometry import (
    check_body_cut,
    check_frame,
    check_mask,
    check_orientation,
    check_overlap,
    check_slices,
    check_spacing,
)
from qa_suite.preflight.hounsfield import looks_like_ct


class PreflightResult(BaseModel):
    """What preflight found about one case.

    Parameters
    ----------
    values
        Every check by its key, with value, bound and status.
    refused
        Whether the case must not be measured.
    reason
        One sentence with every reason for a refusal; empty otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: dict[str, PreflightValue]
    refused: bool
    reason: str

    @property
    def warnings(self) -> dict[str, str]:
        """The checks that are only a warning, with their reason."""
        return self._with_status("warning")

    @property
    def undetermined(self) -> dict[str, str]:
        """The checks that this case cannot answer, with the reason."""
        return self._with_status("undetermined")

    @property
    def status(self) -> Status:
        """The case as a whole: refused, undetermined, warning or ok, the first that holds."""
        return preflight_status(self.values)

    @property
    def sentence(self) -> str:
        """Why the case has its status; empty only where it is ok."""
        return preflight_sentence(self.values)

    def _with_status(self, status: Status) -> dict[str, str]:
        return {key: v.why for key, v in self.values.items() if v.status == status}


def conclude(values: Values) -> PreflightResult:
    """Gather the checks of a case into a result."""
    refused = preflight_status(values) == "refused"
    reason = preflight_sentence(values) if refused else ""
    return PreflightResult(values=values, refused=refused, reason=reason)


def unreadable(error: QAError) -> PreflightResult:
    """Return the refusal of a case whose volumes could not be read.

    Parameters
    ----------
    error
        What reading raised; a :class:`~qa_suite.core.errors.GeometryError` counts as volumes that
        do not share one grid and frame of reference.
    """
    sentence = "; ".join(error.problems) if isinstance(error, Problems) else str(error)
    key = "frame_of_reference" if isinstance(error, GeometryError) else "readable"
    why = sentence.rstrip(".")
    return conclude({key: PreflightValue(value=0.0, bound="1", status="refused", why=why)})


def check_readable(loaded: LoadedCase) -> Values:
    """Say whether source and reference are there; without a reference nothing is compared."""
    if loaded.reference is None:
        why = f"case {loaded.case.case} has no reference image to compare with"
        return {"readable": PreflightValue(value=0.0, bound="1", status="refused", why=why)}
    return {"readable": PreflightValue(value=1.0, bound="1", status="ok")}


def check_finite(loaded: LoadedCase) -> Values:
    """Count the voxels that are NaN or inf in source and reference."""
    counts = {}
    for role, volume in (("source", loaded.source), ("reference", loaded.reference)):
        if volume is not None:
            counts[role] = int(volume.array.size - np.isfinite(volume.array).sum())
    bad = {role: n for role, n in counts.items() if n}
    why = " and ".join(f"the {role} has {n} NaN or infinite voxels" for role, n in bad.items())
    status: Status = "refused" if bad else "ok"
    total = float(sum(counts.values()))
    return {"finite": PreflightValue(value=total, unit="voxels", bound="0", status=status, why=why)}


def check_content(loaded: LoadedCase) -> Values:
    """Refuse a constant image, and a source and reference that are one and the same."""
    assert loaded.reference is not None
    constant = [
        role
        for role, volume in (("source", loaded.source), ("reference", loaded.reference))
        if volume.array.size == 0 or volume.array.max() == volume.array.min()
    ]
    why = " and ".join(f"the {role} is constant" for role in constant)
    if not why and np.array_equal(loaded.source.array, loaded.reference.array):
        why = "source and reference hold the same voxels"
    status: Status = "refused" if why else "ok"
    value = 0.0 if why else 1.0
    return {"content": PreflightValue(value=value, bound="1", status=status, why=why)}


def check_hounsfield(evidence: Evidence) -> Values:
    """Compare air, soft tissue and their distance with Hounsfield's scale; nothing if not HU."""
    if not evidence.is_hu:
        return {}
    settings = evidence.settings
    bounds = {
        "hu_air": ("HU", settings.air_hu),
        "hu_soft_tissue": ("HU", settings.soft_tissue_hu),
        "hu_scale": ("1", settings.hu_slope),
    }
    facts = evidence.hounsfield
    found = {
        "hu_air": (facts.air, None),
        "hu_soft_tissue": (facts.soft_tissue, settings.impossible_soft_tissue_hu),
        "hu_scale": (facts.slope, settings.impossible_hu_slope),
    }
    missing = {
        "hu_air": "there is no air in the field of view",
        "hu_soft_tissue": "no soft tissue stands out",
        "hu_scale": "without air the scale cannot be told",
    }
    values: Values = {}
    for key, (value, impossible) in found.items():
        unit, window = bounds[key]
        bound = window_text(window)
        if value is None:
            values[key] = undetermined(missing[key], unit=unit, bound=bound)
            continue
        what = {"hu_air": "air", "hu_soft_tissue": "soft tissue", "hu_scale": "the HU scale"}[key]
        why = f"{what} is at {value:.3g} {'HU' if unit == 'HU' else 'of its size'}"
        refused = impossible is not None and is_outside(value, impossible)
        status: Status = "refused" if refused else "warning" if is_outside(value, window) else "ok"
        values[key] = PreflightValue(
            value=value, unit=unit, bound=bound, status=status, why="" if status == "ok" else why
        )
    if facts.mistake:
        why = f"the reference is no CT in HU: {facts.mistake}"
        values["hu_scale"] = values["hu_scale"].model_copy(update={"status": "refused", "why": why})
    return values | _saturation(evidence)


def _saturation(evidence: Evidence) -> Values:
    settings = evidence.settings
    bound = f"<= {settings.max_saturated_fraction:g}"
    if evidence.hounsfield.mistake:
        why = "the reference is no CT in HU"
        return {"hu_saturated": undetermined(why, unit="1", bound=bound)}
    high = share(evidence.reference.array >= settings.saturation_hu, evidence.reference_body)
    if high is None:
        return {"hu_saturated": undetermined("no body stands out", unit="1", bound=bound)}
    why = f"{high:.1%} of the body is at or above {settings.saturation_hu:.0f} HU (metal, padding)"
    too_many = high > settings.max_saturated_fraction
    return {
        "hu_saturated": fraction(
            high, bound, "warning" if too_many else "ok", why if too_many else ""
        )
    }


def check_uptake(evidence: Evidence) -> Values:
    """Compare the mean uptake of the body with what SUVbw can be; nothing if not SUVbw.

    By definition the mean SUVbw of a whole body is 1 as long as nothing is excreted, so counts,
    becquerels and percent are far off.
    """
    if evidence.reference.quantity != "SUVbw":
        return {}
    settings = evidence.settings
    bound = window_text(settings.mean_suv)
    body = evidence.source_body if evidence.mask is None else evidence.mask
    if evidence.loaded.coverage is not None:
        body = body & evidence.loaded.coverage
    inside = evidence.reference.array[body]
    if inside.size == 0:
        return {"suv_mean": undetermined("no body stands out", unit="SUVbw", bound=bound)}
    mean = float(inside.mean(dtype=np.float64))
    why = f"the mean of the body is {mean:.3g}"
    refused = is_outside(mean, settings.impossible_mean_suv)
    if refused:
        why = f"the reference is no PET in SUVbw: {why}, and SUVbw is about 1 on average"
    status: Status = "refused" if refused else "ok"
    if not refused and is_outside(mean, settings.mean_suv):
        status = "warning"
    return {
        "suv_mean": PreflightValue(
            value=mean, unit="SUVbw", bound=bound, status=status, why="" if status == "ok" else why
        )
    }


def check_swapped(evidence: Evidence, cohort: Cohort) -> Values:
    """Refuse a case whose images stand in each other's place, where one of them is in HU."""
    key = "modalities_swapped"
    if evidence.is_hu == (evidence.source.quantity == "HU"):
        why = f"{cohort.source_modality} and {cohort.reference_modality} cannot be told apart"
        return {key: undetermined(why, bound="0")}
    looks = {
        role: looks_like_ct(thinned(volume.array[box]))
        for role, volume, box in zip(
            ("source", "reference"),
            (evidence.source, evidence.reference),
            evidence.boxes,
            strict=True,
        )
    }
    ct, other = ("reference", "source") if evidence.is_hu else ("source", "reference")
    swapped = looks[other] and not looks[ct]
    why = ""
    if swapped:
        why = (
            f"{cohort.source_modality} and {cohort.reference_modality} are swapped: the {other} "
            f"holds HU and the {ct} does not"
        )
    elif looks[other]:
        modality = cohort.source_modality if evidence.is_hu else cohort.reference_modality
        why = f"the {other} looks like a CT and should be {modality}"
    status: Status = "refused" if swapped else "warning" if looks[other] else "ok"
    return {key: PreflightValue(value=float(swapped), bound="0", status=status, why=why)}


FIRST_CHECKS: tuple[Callable[[LoadedCase], Values], ...] = (
    check_readable,
    check_finite,
    check_content,
)
CHECKS: tuple[Callable[[Evidence], Values], ...] = (
    check_frame,
    check_orientation,
    check_spacing,
    check_slices,
    check_overlap,
    check_body_cut,
    check_hounsfield,
    check_uptake,
    check_mask,
)
