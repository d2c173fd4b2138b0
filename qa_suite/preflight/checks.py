"""The checks of one case, each a value against its bound, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from qa_suite.cohort import Cohort
from qa_suite.errors import GeometryError, Problems, QAError
from qa_suite.io.cases import LoadedCase
from qa_suite.preflight import bodies
from qa_suite.preflight.hounsfield import Hounsfield, looks_like_ct, read_hounsfield
from qa_suite.preflight.settings import PreflightSettings, Window
from qa_suite.records import PreflightValue
from qa_suite.volume import Grid, Volume

Status = Literal["ok", "warning", "refused", "undetermined"]
Mask = NDArray[np.bool_]
Values = dict[str, PreflightValue]


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
        return {key: v.why for key, v in self.values.items() if v.status == "warning"}


def conclude(values: Values) -> PreflightResult:
    """Gather the checks of a case into a result."""
    reasons = [value.why for value in values.values() if value.status == "refused"]
    reason = "; ".join(reasons)
    if reason:
        reason = reason[0].upper() + reason[1:] + "."
    return PreflightResult(values=values, refused=bool(reasons), reason=reason)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One loaded case and what several checks look at, computed once."""

    loaded: LoadedCase
    reference: Volume
    settings: PreflightSettings

    @property
    def source(self) -> Volume:
        """The image to translate."""
        return self.loaded.source

    @property
    def grid(self) -> Grid:
        """The grid of the source, on which everything lies."""
        return self.source.grid

    @property
    def mask(self) -> Mask | None:
        """The mask of the case, if it brings one."""
        return self.loaded.mask

    @property
    def is_hu(self) -> bool:
        """Whether the reference's numbers should be HU."""
        return self.reference.quantity == "HU"

    @cached_property
    def boxes(self) -> tuple[bodies.Box, bodies.Box]:
        """The parts of the grid in which source and reference hold data."""
        found = [bodies.data_box(v.array) for v in (self.source, self.reference)]
        if found[0] is None or found[1] is None:
            raise ValueError("a constant image has no data; check 'content' before")
        return found[0], found[1]

    @cached_property
    def hounsfield(self) -> Hounsfield:
        """What the reference's numbers say about being HU."""
        return read_hounsfield(self.reference.array[self.boxes[1]])

    @cached_property
    def source_body(self) -> Mask:
        """The body as the source shows it."""
        if self.source.quantity == "HU":
            return bodies.ct_body(self.source.array, self.grid)
        return bodies.signal_body(self.source.array, self.grid)

    @cached_property
    def reference_body(self) -> Mask:
        """The body as the reference shows it, whatever was done to its numbers."""
        if self.is_hu and not self.hounsfield.mistake:
            return bodies.ct_body(self.reference.array, self.grid)
        return bodies.signal_body(self.reference.array, self.grid)

    @cached_property
    def common_body(self) -> Mask:
        """The body that source, reference and mask share; the source's where they share none."""
        body = self.source_body
        for part in (self.reference_body if self.is_hu else None, self.mask):
            if part is not None and (body & part).any():
                body = body & part
        return body


def fraction(value: float | None, bound: str, status: Status, why: str = "") -> PreflightValue:
    """Return a check whose value is a share of something."""
    return PreflightValue(value=value, unit="1", bound=bound, status=status, why=why)


def undetermined(why: str, *, unit: str = "", bound: str = "") -> PreflightValue:
    """Return a check that this case cannot answer, with its reason."""
    return PreflightValue(unit=unit, bound=bound, status="undetermined", why=why)


def _window(window: Window) -> str:
    return f"{window[0]:g} to {window[1]:g}"


def _outside(value: float, window: Window) -> bool:
    return not window[0] <= value <= window[1]


# ---------------------------------------------------------------------------------------
# Is there anything to read


def unreadable(error: QAError) -> PreflightResult:
    """Return the refusal of a case whose volumes could not be read.

    Parameters
    ----------
    error
        What reading raised; a :class:`~qa_suite.errors.GeometryError` counts as volumes that
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


# ---------------------------------------------------------------------------------------
# Geometry


def check_frame(evidence: Evidence) -> Values:
    """Compare the frames of reference and the grids of source and reference."""
    one, other = evidence.source.grid, evidence.reference.grid
    if not one.same_frame_as(other):
        why = (
            f"source and reference lie in different frames of reference "
            f"({one.frame_of_reference} and {other.frame_of_reference})"
        )
        return {
            "frame_of_reference": PreflightValue(value=0.0, bound="1", status="refused", why=why)
        }
    if one.frame_of_reference is None or other.frame_of_reference is None:
        why = "the files carry no frame of reference; it is taken to be one"
        return {"frame_of_reference": undetermined(why, bound="1")}
    return {"frame_of_reference": PreflightValue(value=1.0, bound="1", status="ok")}


def check_orientation(evidence: Evidence) -> Values:
    """Measure by how much the axes differ from x, y, z, and name a left-handed grid."""
    axes = evidence.grid.axes
    nearest = np.zeros((3, 3))
    nearest[np.abs(axes).argmax(axis=0), range(3)] = 1
    oblique = float(np.degrees(np.arccos(np.clip(np.abs(axes).max(axis=0).min(), 0, 1))))
    problems = []
    if np.linalg.det(axes) < 0:
        problems.append("the grid is left-handed (one axis is mirrored)")
    if not np.array_equal(nearest, np.eye(3)):
        problems.append("the axes of the array are not x, y, z in this order")
    elif (np.diag(axes) < 0).any():
        problems.append("an axis of the array runs against x, y or z")
    if oblique > 30:
        problems.append(f"the axes are {oblique:.0f}° oblique")
    status: Status = "warning" if problems else "ok"
    why = "; ".join(problems)
    value = PreflightValue(value=oblique, unit="deg", bound="<= 30", status=status, why=why)
    return {"orientation": value}


def check_spacing(evidence: Evidence) -> Values:
    """Compare the voxel spacing with what scanners make, and its anisotropy with its bound."""
    settings, spacing = evidence.settings, evidence.grid.spacing_mm
    sane, possible = settings.sane_spacing_mm, settings.impossible_spacing_mm
    bad = [s for s in spacing if _outside(s, sane)]
    worst = bad[0] if bad else max(spacing)
    status: Status = "ok"
    why = ""
    if bad:
        refused = any(_outside(s, possible) for s in bad)
        status = "refused" if refused else "warning"
        why = f"the spacing of {'×'.join(f'{s:.3g}' for s in spacing)} mm is outside "
        why += f"{_window(possible if refused else sane)} mm"
    ratio = max(spacing) / min(spacing)
    tall = ratio > settings.max_anisotropy
    return {
        "spacing": PreflightValue(
            value=worst, unit="mm", bound=_window(sane), status=status, why=why
        ),
        "anisotropy": fraction(
            ratio,
            f"<= {settings.max_anisotropy:g}",
            "warning" if tall else "ok",
            f"the voxels are {ratio:.1f} times as long as they are wide" if tall else "",
        ),
    }


def check_slices(evidence: Evidence) -> Values:
    """Count blank and repeated slices inside the field of view: signs of a missing slice."""
    found = {}
    for role, volume, box in zip(
        ("source", "reference"), (evidence.source, evidence.reference), evidence.boxes, strict=True
    ):
        inside = volume.array[box]
        blank = (inside.max(axis=(0, 1)) == inside.min(axis=(0, 1))).sum()
        same = (inside[:, :, 1:] == inside[:, :, :-1]).all(axis=(0, 1)).sum()
        if blank or same:
            found[role] = int(max(blank, same))
    why = " and ".join(
        f"{n} slices of the {role} are blank or repeated" for role, n in found.items()
    )
    value = PreflightValue(
        value=float(sum(found.values())),
        unit="slices",
        bound="0",
        status="warning" if found else "ok",
        why=why,
    )
    return {"slices": value}


def check_overlap(evidence: Evidence) -> Values:
    """Compare the fields of view, and the bodies seen in source and reference."""
    settings = evidence.settings
    covered = bodies.box_mask(evidence.boxes[1], evidence.grid.shape)
    seen = bodies.share(covered, evidence.source_body)
    least = settings.min_overlap_fraction
    bound = f">= {least:g}"
    if seen is None:
        overlap = undetermined("no body stands out in the source", unit="1", bound=bound)
    elif seen == 0:
        why = "the fields of view of source and reference do not overlap"
        overlap = fraction(0.0, bound, "refused", why)
    else:
        why = f"the reference covers only {seen:.0%} of the body in the source"
        overlap = fraction(seen, bound, *(("ok", "") if seen >= least else ("warning", why)))
    both = bodies.dice(evidence.source_body, evidence.reference_body)
    least = settings.min_body_overlap
    bound = f">= {least:g}"
    if both is None or not evidence.is_hu:
        agreement = undetermined("only a CT shows the whole body", unit="1", bound=bound)
    else:
        why = f"the bodies in source and reference agree only to a Dice of {both:.2f}"
        agreement = fraction(both, bound, *(("ok", "") if both >= least else ("warning", why)))
    return {"overlap": overlap, "body_overlap": agreement}


def check_body_cut(evidence: Evidence) -> Values:
    """Measure how much of the lateral faces of the field of view the body touches."""
    body = evidence.reference_body[evidence.boxes[1]]
    faces = np.concatenate([body[[0, -1]].ravel(), body[:, [0, -1]].ravel()])
    value = float(faces.mean())
    why = "the body is cut by the field of view" if value > 0.01 else ""
    return {"body_cut": fraction(value, "recorded only", "ok", why)}


# ---------------------------------------------------------------------------------------
# Numbers


def check_hounsfield(evidence: Evidence) -> Values:
    """Compare air, soft tissue and their distance with Hounsfield's scale."""
    settings = evidence.settings
    bounds = {
        "hu_air": ("HU", settings.air_hu),
        "hu_soft_tissue": ("HU", settings.soft_tissue_hu),
        "hu_scale": ("1", settings.hu_slope),
    }
    if not evidence.is_hu:
        why = f"the reference is in {evidence.reference.quantity}, not HU"
        return {
            key: undetermined(why, unit=unit, bound=_window(window))
            for key, (unit, window) in bounds.items()
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
        bound = _window(window)
        if value is None:
            values[key] = undetermined(missing[key], unit=unit, bound=bound)
            continue
        what = {"hu_air": "air", "hu_soft_tissue": "soft tissue", "hu_scale": "the HU scale"}[key]
        why = f"{what} is at {value:.3g} {'HU' if unit == 'HU' else 'of its size'}"
        refused = impossible is not None and _outside(value, impossible)
        status: Status = "refused" if refused else "warning" if _outside(value, window) else "ok"
        values[key] = PreflightValue(
            value=value, unit=unit, bound=bound, status=status, why="" if status == "ok" else why
        )
    if facts.mistake:
        why = f"the reference is no CT in HU: {facts.mistake}"
        values["hu_scale"] = values["hu_scale"].model_copy(update={"status": "refused", "why": why})
    return values | _saturation(evidence)


def _saturation(evidence: Evidence) -> Values:
    settings = evidence.settings
    if evidence.hounsfield.mistake:
        return {}
    high = bodies.share(evidence.reference.array >= settings.saturation_hu, evidence.reference_body)
    bound = f"<= {settings.max_saturated_fraction:g}"
    if high is None:
        return {"hu_saturated": undetermined("no body stands out", unit="1", bound=bound)}
    why = f"{high:.1%} of the body is at or above {settings.saturation_hu:.0f} HU (metal, padding)"
    too_many = high > settings.max_saturated_fraction
    return {
        "hu_saturated": fraction(
            high, bound, "warning" if too_many else "ok", why if too_many else ""
        )
    }


def check_swapped(evidence: Evidence, cohort: Cohort) -> Values:
    """Refuse a case whose source looks like a CT while its CT does not."""
    key = "modalities_swapped"
    if not evidence.is_hu or evidence.source.quantity == "HU":
        why = f"{cohort.source_modality} and {cohort.reference_modality} cannot be told apart"
        return {key: undetermined(why, bound="0")}
    source = looks_like_ct(evidence.source.array[evidence.boxes[0]])
    reference = looks_like_ct(evidence.reference.array[evidence.boxes[1]])
    swapped = source and not reference
    why = ""
    if swapped:
        why = (
            f"{cohort.source_modality} and {cohort.reference_modality} are swapped: the source "
            "holds HU and the reference does not"
        )
    elif source:
        why = f"the source looks like a CT and should be {cohort.source_modality}"
    status: Status = "refused" if swapped else "warning" if source else "ok"
    return {key: PreflightValue(value=float(swapped), bound="0", status=status, why=why)}


# ---------------------------------------------------------------------------------------
# Mask


def check_mask(evidence: Evidence) -> Values:
    """Check that the mask holds something, lies on the body and is not its complement."""
    settings, mask = evidence.settings, evidence.mask
    bounds = (f">= {settings.min_mask_cc:g} cc", f">= {settings.min_mask_on_body:g}", "0")
    keys = ("mask", "mask_inside", "mask_inverted")
    if mask is None:
        why = "the case brings no mask"
        return {k: undetermined(why, bound=b) for k, b in zip(keys, bounds, strict=True)}
    volume_cc = float(mask.sum()) * evidence.grid.voxel_volume_cc
    if volume_cc == 0:
        why = "the mask is empty"
        return {
            "mask": PreflightValue(
                value=0.0, unit="cc", bound=bounds[0], status="refused", why=why
            ),
            "mask_inside": undetermined(why, unit="1", bound=bounds[1]),
            "mask_inverted": undetermined(why, bound=bounds[2]),
        }
    small = volume_cc < settings.min_mask_cc
    values: Values = {
        "mask": PreflightValue(
            value=volume_cc,
            unit="cc",
            bound=bounds[0],
            status="warning" if small else "ok",
            why=f"the mask is only {volume_cc:.2g} cc" if small else "",
        )
    }
    body = evidence.reference_body if evidence.is_hu else evidence.source_body
    on_body = bodies.share(body, mask)
    of_body = bodies.share(mask, body)
    assert on_body is not None
    if of_body is None:
        why = "no body stands out in the images"
        return values | {
            "mask_inside": undetermined(why, unit="1", bound=bounds[1]),
            "mask_inverted": undetermined(why, bound=bounds[2]),
        }
    inverted = on_body < 0.5 and of_body < 0.5 and bodies.share(~mask, body) is not None
    outer = bodies.share(~body, ~mask)
    inverted = inverted and volume_cc > 0 and outer is not None and outer < 0.5
    outside = on_body < 0.01
    low = on_body < settings.min_mask_on_body
    status: Status = "refused" if outside and not inverted else "warning" if low else "ok"
    why = f"only {on_body:.0%} of the mask lies on the body" if low else ""
    values["mask_inside"] = fraction(on_body, bounds[1], status, why)
    values["mask_inverted"] = PreflightValue(
        value=float(inverted),
        bound=bounds[2],
        status="refused" if inverted else "ok",
        why="the mask is inverted: it covers the air and leaves out the body" if inverted else "",
    )
    return values


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
    check_mask,
)
