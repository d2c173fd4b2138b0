"""What one component is: its size, its contrast, what it means to a beam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Triple
from qa_suite.imaging.robust import MAD_TO_SD
from qa_suite.metrics.hallucination.blobs import Box, Mask, dilated, enlarged, shell_of
from qa_suite.metrics.hallucination.depth import along_rays, reach, water_equivalent
from qa_suite.metrics.hallucination.fields import Fields
from qa_suite.metrics.hallucination.settings import HallucinationSettings

Kind = Literal["bone", "air", "lesion", "lesion_near_bone", "bone_lesion"]
KINDS: tuple[Kind, ...] = ("bone", "air", "lesion", "lesion_near_bone", "bone_lesion")


@dataclass(frozen=True, kw_only=True)
class Component:
    """One structure that appeared or vanished.

    Parameters
    ----------
    kind
        ``bone``, ``air``, ``lesion`` in soft tissue, ``lesion_near_bone`` in soft tissue that
        borders on bone, or ``bone_lesion`` in what both images show as bone.
    false
        True where the synthetic image shows it and the reference does not; False where it is
        missed.
    volume_cc
        Its size at half height.
    contrast_hu
        How much it stands out from its shell in the image that shows it, compared with the
        other image; positive is brighter.
    unexplained_hu
        Mean of its smoothed difference beyond what displaced borders explain; positive.
    depth_mm
        Most that it adds to, or takes from, the water-equivalent depth along one ray, in mm.
    position_mm
        Its centre, LPS.
    to_bone_mm
        Distance from what both images show as bone, median over the component; infinite where
        there is none.
    seen_in_source
        Whether the place differs from its shell in the source too; None without a source.
    """

    kind: Kind
    false: bool
    volume_cc: float
    contrast_hu: float
    unexplained_hu: float
    depth_mm: float
    position_mm: Triple
    to_bone_mm: float
    seen_in_source: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A part of the working grid, and the difference in which it stands out."""

    kind: Kind
    false: bool
    box: Box
    mask: Mask
    excess: Float32Array


def described(spot: Spot, fields: Fields, settings: HallucinationSettings) -> Component | None:
    """Measure a spot; None where a shift explains it, or where it hardly stands out."""
    spacing = fields.grid.spacing_mm
    gap = max(spacing)
    voxels = int(np.ceil((gap + settings.shell_mm) / min(spacing))) + 1  # the core's own step
    box, mask = enlarged(spot.box, spot.mask, voxels, fields.domain.shape)
    within = fields.support[box]
    core = _half_height(spot.excess[box], mask, fields.domain[box])
    shell = shell_of(
        core | mask, spacing, gap_mm=gap, thickness_mm=settings.shell_mm, within=within
    )
    reference, synthetic = fields.raw_reference[box], fields.raw_synthetic[box]
    around = (synthetic - reference)[shell] if shell.any() else np.zeros(1, dtype=np.float32)
    step = float((synthetic - reference)[core].mean() - around.mean())
    noise = _robust_sd(around) / np.sqrt(np.count_nonzero(core))
    needed = max(settings.lesion_soft_contrast_hu, settings.lesion_significance * noise)
    if spot.kind == "lesion" and (
        abs(step) < needed or _partly_air(reference[core], synthetic[core], settings)
    ):
        return None
    explained = _explained(fields, box, core, np.sign(step), settings)
    unexplained = float(spot.excess[box][core].mean()) - explained
    if unexplained <= 0:
        return None
    water, was = (water_equivalent(i, settings.water_points) for i in (synthetic, reference))
    change = np.float32(np.sign(step)) * (water - was)
    change -= change[shell].mean() if shell.any() else np.float32(0)
    centre = np.argwhere(core).mean(axis=0) + [s.start for s in box]
    x, y, z = fields.grid.to_world(centre)
    to_bone = float(np.median(fields.to_bone_mm[box][core]))
    return Component(
        kind=_kind(spot.kind, reference[core], synthetic[core], to_bone, settings),
        false=spot.false,
        volume_cc=float(np.count_nonzero(core)) * fields.grid.voxel_volume_cc,
        contrast_hu=step if spot.false else -step,
        unexplained_hu=unexplained,
        depth_mm=along_rays(change, dilated(core, 1) & within, spacing),
        position_mm=(float(x), float(y), float(z)),
        to_bone_mm=to_bone,
        seen_in_source=_seen_in_source(fields, box, core, shell, settings),
    )


def _explained(
    fields: Fields, box: Box, core: Mask, sign: float, settings: HallucinationSettings
) -> float:
    """Mean difference that either image would show if it were the other, a little displaced."""
    reaches = []
    for image, towards in ((fields.reference, sign), (fields.synthetic, -sign)):
        known = np.where(fields.support[box], image[box], np.nan)
        far = reach(known, towards, settings.edge_tolerance_mm, fields.grid.spacing_mm)
        reaches.append(float(np.nanmean(far[core])))
    return max(reaches)


def _robust_sd(values: Float32Array) -> float:
    """Return the robust standard deviation: a bone beside it must not hide a lesion."""
    return MAD_TO_SD * float(np.median(np.abs(values - np.median(values))))


def _partly_air(
    reference: Float32Array, synthetic: Float32Array, settings: HallucinationSettings
) -> bool:
    """Whether a place is a mixture with air, whose value follows a border displaced by little."""
    least = min(float(np.median(reference)), float(np.median(synthetic)))
    return least < settings.lesion_lowest_hu


def _kind(
    kind: Kind,
    reference: Float32Array,
    synthetic: Float32Array,
    to_bone_mm: float,
    settings: HallucinationSettings,
) -> Kind:
    """Tell a lesion in bone, which neither image takes for soft tissue, from one in soft tissue.

    Near bone a translator that places a border of bone a little wrong makes places that look like
    lesions; farther away it does not.
    """
    if kind != "lesion":
        return kind
    least = min(float(np.median(reference)), float(np.median(synthetic)))
    if least >= settings.bone_tissue_hu:
        return "bone_lesion"
    return "lesion_near_bone" if to_bone_mm <= settings.near_bone_mm else "lesion"


def _half_height(excess: Float32Array, mask: Mask, domain: Mask) -> Mask:
    """Return the component as far as its difference exceeds half of its own height.

    The height is the 90th percentile of the component, which a single peak does not move. The
    skin's own voxels are none of it: how they change with a displaced skin lies beyond the mask.
    """
    height = float(np.percentile(excess[mask], 90))
    near = dilated(mask, 1) & domain
    core = near & (excess >= height / 2)
    return np.asarray(core)


def _seen_in_source(
    fields: Fields, box: Box, core: Mask, shell: Mask, settings: HallucinationSettings
) -> bool | None:
    """Whether the source differs between a place and its shell by more than the shell varies."""
    if fields.source is None or np.count_nonzero(shell) < settings.fewest_voxels:
        return None
    inside, around = fields.source[box][core], fields.source[box][shell]
    spread = float(around.std())
    step = abs(float(inside.mean()) - float(np.median(around)))
    return step > settings.source_contrast * spread
