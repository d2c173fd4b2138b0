"""Checks of geometry: frames, axes, spacing, slices, fields of view and the mask."""

from __future__ import annotations

import numpy as np

from qa_suite.core.records import PreflightValue
from qa_suite.core.wording import count
from qa_suite.imaging.boxes import box_mask
from qa_suite.imaging.masks import dice, share
from qa_suite.preflight.evidence import (
    Evidence,
    Status,
    Values,
    fraction,
    is_outside,
    undetermined,
    window_text,
)

_MAX_OBLIQUE_DEG = 30.0


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
    """Measure by how much the axes differ from x, y, z; how they are stored does not matter."""
    nearest = np.diag(evidence.grid.turned(evidence.grid.turn).axes)
    oblique = float(np.degrees(np.arccos(np.clip(nearest.min(), 0, 1))))
    tilted = oblique > _MAX_OBLIQUE_DEG
    value = PreflightValue(
        value=oblique,
        unit="deg",
        bound=f"<= {_MAX_OBLIQUE_DEG:g}",
        status="warning" if tilted else "ok",
        why=f"the axes are {oblique:.0f}° oblique" if tilted else "",
    )
    return {"orientation": value}


def check_spacing(evidence: Evidence) -> Values:
    """Compare the voxel spacing with what scanners make, and its anisotropy with its bound."""
    settings, spacing = evidence.settings, evidence.grid.spacing_mm
    sane, possible = settings.sane_spacing_mm, settings.impossible_spacing_mm
    bad = [s for s in spacing if is_outside(s, sane)]
    worst = bad[0] if bad else max(spacing)
    status: Status = "ok"
    why = ""
    if bad:
        refused = any(is_outside(s, possible) for s in bad)
        status = "refused" if refused else "warning"
        why = f"the spacing of {'×'.join(f'{s:.3g}' for s in spacing)} mm is outside "
        why += f"{window_text(possible if refused else sane)} mm"
    ratio = max(spacing) / min(spacing)
    tall = ratio > settings.max_anisotropy
    return {
        "spacing": PreflightValue(
            value=worst, unit="mm", bound=window_text(sane), status=status, why=why
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
    depths = [box[2].stop - box[2].start for box in evidence.boxes]
    if min(depths) < 2:
        why = "there is one slice only, and none beside it to compare it with"
        return {"slices": undetermined(why, unit="slices", bound="0")}
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
        f"{count(n, 'slice')} of the {role} are blank or repeated" for role, n in found.items()
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
    covered = box_mask(evidence.boxes[1], evidence.grid.shape)
    seen = share(covered, evidence.source_body)
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
    return {"overlap": overlap, "body_overlap": _body_overlap(evidence)}


def _body_overlap(evidence: Evidence) -> PreflightValue:
    """Compare the bodies where both images were scanned: far apart, they are refused."""
    settings = evidence.settings
    bound = f">= {settings.min_body_overlap:g}"
    if not evidence.is_hu:
        return undetermined("only a CT shows the whole body", unit="1", bound=bound)
    parts = {
        "source": evidence.source_body & evidence.common_field,
        "reference": evidence.reference_body & evidence.common_field,
    }
    missing = [role for role, part in parts.items() if not part.any()]
    if missing:
        why = f"no body stands out in the {' and the '.join(missing)}, where both were scanned"
        return undetermined(why, unit="1", bound=bound)
    both = dice(parts["source"], parts["reference"])
    assert both is not None
    if both >= settings.min_body_overlap:
        return fraction(both, bound, "ok")
    refused = both < settings.impossible_body_overlap
    least = settings.impossible_body_overlap if refused else settings.min_body_overlap
    why = f"the bodies in source and reference overlap by only {both:.2f} (Dice, bound {least:g})"
    return fraction(both, bound, "refused" if refused else "warning", why)


def check_body_cut(evidence: Evidence) -> Values:
    """Measure how much of the lateral faces of the field of view the body touches."""
    body = evidence.reference_body[evidence.boxes[1]]
    if not body.any():
        why = "no body stands out in the reference"
        return {"body_cut": undetermined(why, unit="1", bound="recorded only")}
    faces = np.concatenate([body[[0, -1]].ravel(), body[:, [0, -1]].ravel()])
    value = float(faces.mean())
    why = "the body is cut by the field of view" if value > 0.01 else ""
    return {"body_cut": fraction(value, "recorded only", "ok", why)}


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
    on_body = share(body, mask)
    of_body = share(mask, body)
    assert on_body is not None
    if of_body is None:
        why = "no body stands out in the images"
        return values | {
            "mask_inside": undetermined(why, unit="1", bound=bounds[1]),
            "mask_inverted": undetermined(why, bound=bounds[2]),
        }
    complement = share(body, ~mask)
    inverted = on_body < 0.5 and of_body < 0.5 and complement is not None and complement > 0.5
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
