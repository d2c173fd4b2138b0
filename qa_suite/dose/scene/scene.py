"""The two images of a case as a planning system would hold them: bodies, overrides, densities.

Each image keeps its own body outline, since a shared one would hide an error of the contour.
Where the source image saw nothing, the synthetic image cannot be known and carries the
reference; supports are overridden alike on both.

And other images of the same case: bulk densities, and the error of one kind of tissue at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Triple, Volume, require_same_grid
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.plan.targets import find_target
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.dose.scene.gridding import averaged_onto, centre_of, dose_grid, mask_onto
from qa_suite.imaging.body import ct_body

_TOUCHED = 0.05  # of a voxel's volume; less is rounding

AIR_DENSITY = 0.0012
"""Least density inside a body: gas in it is air, not vacuum, and gets dose."""


@dataclass(frozen=True, kw_only=True)
class DoseImage:
    """One image for a dose calculation: HU and its own body, on the case's grid."""

    hu: Float32Array
    body: Mask


@dataclass(frozen=True, kw_only=True)
class DoseScene:
    """Both images of a case, the target and the dose grid.

    Parameters
    ----------
    image_grid
        Of the images and of every mask that is not said to lie on ``grid``.
    reference, synthetic
        The two images; the synthetic one carries the reference outside ``seen``.
    seen
        Where the source image saw the patient.
    structures
        By name.
    target_name, target
        What the plan aims at.
    supports
        Couch and immobilisation: mask and the HU that both images get there, whatever they
        show.
    grid
        The dose grid.
    """

    image_grid: Grid
    reference: DoseImage
    synthetic: DoseImage
    seen: Mask
    structures: Mapping[str, Mask]
    target_name: str
    target: Mask
    supports: tuple[tuple[Mask, float], ...] = field(default=())
    grid: Grid

    def density(self, image: DoseImage, hlut: Hlut) -> Float32Array:
        """Bring an image's density onto the dose grid; 0 outside its body and the supports."""
        hu, inside = image.hu, image.body
        for mask, value in self.supports:
            hu, inside = np.where(mask, np.float32(value), hu), inside | mask
        density = np.where(inside, np.maximum(hlut.convert(hu), AIR_DENSITY), 0.0)
        return averaged_onto(density, self.image_grid, self.grid)

    def beyond(self, image: DoseImage, hlut: Hlut) -> tuple[Mask, Mask]:
        """Say where an image's HU lie below and above a table's ends, on the image's grid.

        Only inside the body: padding around it is no tissue. Supports have HU of their own.
        """
        inside = image.body.copy()
        for mask, _ in self.supports:
            inside &= ~mask
        below, above = hlut.beyond(image.hu)
        return below & inside, above & inside

    @property
    def target_on_grid(self) -> Mask:
        """The target on the dose grid."""
        return mask_onto(self.target, self.image_grid, self.grid)

    @property
    def target_touched(self) -> Mask:
        """Voxels of the dose grid that the target reaches into: those that a plan must cover."""
        share = averaged_onto(self.target, self.image_grid, self.grid)
        return np.asarray(share > _TOUCHED)

    @property
    def isocentre_mm(self) -> Triple:
        """The target's centre of mass, LPS."""
        return centre_of(self.target, self.image_grid)


def dose_scene(
    reference: Volume,
    synthetic: Volume,
    *,
    template: PlanTemplate,
    structures: Mapping[str, Mask],
    seen: Mask | None = None,
    support_hu: Mapping[str, float] | None = None,
    grid_mm: float | None = None,
    grid: Grid | None = None,
) -> DoseScene:
    """Set up the dose calculation of one case.

    Parameters
    ----------
    reference, synthetic
        In HU, on one grid.
    template
        Says what the target is and how fine the dose grid.
    structures
        By name; bool, of the images' shape.
    seen
        Where the source image saw the patient; None is everywhere.
    support_hu
        Name of a structure (couch, immobilisation) to the HU that it gets on both images.
    grid_mm
        Voxels of the dose grid instead of the template's.
    grid
        The dose grid itself, where doses exist already.

    Raises
    ------
    InputError
        If an image is not in HU or holds no body, or there is no target, or the target was not
        seen by the source image at all, or it fills no voxel of the dose grid.
    GeometryError
        If the images lie on different grids.
    """
    image_grid = require_same_grid({"the reference": reference, "the synthetic image": synthetic})
    for name, volume in (("reference", reference), ("synthetic image", synthetic)):
        if volume.quantity != "HU":
            raise InputError(f"Dose needs HU; the {name} holds {volume.quantity}.")
        if not np.isfinite(volume.array).all():
            count = int((~np.isfinite(volume.array)).sum())
            raise InputError(f"The {name} holds {count} voxels that are no number.")
    everywhere = np.ones(image_grid.shape, dtype=bool)
    seen = everywhere if seen is None else seen
    own = _image("reference", np.asarray(reference.array, dtype=np.float32), image_grid)
    mixed = np.where(seen, synthetic.array, reference.array).astype(np.float32)
    other = _image("synthetic image", mixed, image_grid)
    supports = _supports(structures, support_hu or {})
    name, target = find_target(template, structures, own.body, image_grid)
    if not (target & seen).any():
        raise InputError(f"The source image does not see the target {name}.")
    scene = DoseScene(
        image_grid=image_grid,
        reference=own,
        synthetic=other,
        seen=seen,
        structures={n: m for n, m in structures.items() if n not in (support_hu or {})},
        target_name=name,
        target=target,
        supports=supports,
        grid=grid
        or dose_grid(own.body | other.body, target, image_grid, grid_mm or template.grid_mm),
    )
    if not scene.target_on_grid.any():
        raise InputError(
            f"The target {name} fills no voxel of the dose grid ({scene.grid.describe()}); it "
            f"lies outside, or a finer grid is needed."
        )
    return scene


def _image(name: str, hu: Float32Array, grid: Grid) -> DoseImage:
    body = ct_body(hu, grid)
    if not body.any():
        raise InputError(f"The {name} shows no body above -400 HU; is it a CT in HU?")
    if body.all():
        raise InputError(f"The {name} shows no air around the body; is it a CT in HU?")
    return DoseImage(hu=hu, body=body)


def _supports(
    structures: Mapping[str, Mask], support_hu: Mapping[str, float]
) -> tuple[tuple[Mask, float], ...]:
    missing = sorted(set(support_hu) - set(structures))
    if missing:
        raise InputError(f"The case has no structure {', '.join(missing)} to override.")
    return tuple((structures[name], float(hu)) for name, hu in sorted(support_hu.items()))


Cause = Literal["outline", "air", "soft", "bone"]
CAUSES: tuple[Cause, ...] = ("outline", "air", "soft", "bone")
AIR_BELOW_HU = -200.0
BONE_FROM_HU = 150.0
BULK_HU: Mapping[str, float] = {"air": -950.0, "water": 0.0, "bone": 500.0}
"""HU of a bulk-density image: gas, water and a bone between spongy and cortical."""


def bulk_image(image: DoseImage) -> DoseImage:
    """Return an image of three densities: air, water and bone, told apart by HU.

    An independent check: a synthetic image that is further from the reference's dose than this
    one is worth less than no HU at all.
    """
    hu = np.full_like(image.hu, BULK_HU["water"])
    hu[image.hu < AIR_BELOW_HU] = BULK_HU["air"]
    hu[image.hu >= BONE_FROM_HU] = BULK_HU["bone"]
    return DoseImage(hu=hu, body=image.body)


def with_cause(scene: DoseScene, cause: Cause) -> DoseImage:
    """Return the reference with the synthetic image's error of one kind, and no other.

    ``outline``: where one of the two bodies has tissue and the other has none; ``air``: inside
    both bodies, where either image shows gas; ``bone``: elsewhere, where either shows bone;
    ``soft``: the rest. The four share out the whole difference of the two images.
    """
    where = cause_masks(scene)[cause]
    hu = np.where(where, scene.synthetic.hu, scene.reference.hu)
    body = np.where(where, scene.synthetic.body, scene.reference.body)
    return DoseImage(hu=hu, body=body)


def cause_masks(scene: DoseScene) -> dict[Cause, Mask]:
    """Share out the voxels of the two bodies among the causes."""
    one, other = scene.reference, scene.synthetic
    outline = one.body != other.body
    inside = one.body & other.body
    air = inside & ((one.hu < AIR_BELOW_HU) | (other.hu < AIR_BELOW_HU))
    bone = inside & ~air & ((one.hu >= BONE_FROM_HU) | (other.hu >= BONE_FROM_HU))
    return {"outline": outline, "air": air, "bone": bone, "soft": inside & ~air & ~bone}
