"""The doses of one plan on the images of one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.dose.dvh import Dvh, dvhs_of
from qa_suite.dose.engines import DoseEngine, engine_of, require_quantity
from qa_suite.dose.gridding import mask_onto
from qa_suite.dose.plan import Plan
from qa_suite.dose.scene import DoseImage, DoseScene, dose_scene
from qa_suite.dose.structures import MaskStructure, StructureSamples, sample_structures
from qa_suite.io.field_of_view import padding_in
from qa_suite.measures.base import Pair
from qa_suite.measures.dose_settings import DoseSettings, PlanChoice
from qa_suite.volume import Volume

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
TARGET = "target"
OUTLINES = ("Body", "External", "BODY", "EXTERNAL")
"""Structures that are the patient himself, not an organ."""


@dataclass(frozen=True, kw_only=True)
class ComputedPlan:
    """One plan, made on the reference and computed on both images.

    Parameters
    ----------
    choice
        Template and tables.
    scene
        Images, target and dose grid.
    engine, plan
        What computed, and what was computed.
    reference, synthetic
        The two doses, in Gy of the whole course.
    """

    choice: PlanChoice
    scene: DoseScene
    engine: DoseEngine
    plan: Plan
    reference: Volume
    synthetic: Volume

    @property
    def prescription_gy(self) -> float:
        """Prescribed dose of the course."""
        return self.choice.template.prescription.dose_gy

    def dose_on(self, image: DoseImage, hlut: Any = None) -> Volume:
        """Compute the same plan on another image, or with another table."""
        density = self.scene.density(image, hlut or self.choice.hlut)
        return self.engine.recalculate(density, self.plan)

    @cached_property
    def samples(self) -> Mapping[str, StructureSamples]:
        """The structures and the target, sampled for DVHs."""
        grid = self.scene.image_grid
        others = {n: m for n, m in self.scene.structures.items() if n not in OUTLINES}
        masks = {TARGET: self.scene.target, **others}
        return sample_structures(
            [MaskStructure(name=n, mask=m, grid=grid) for n, m in masks.items()], self.scene.grid
        )

    def dvhs(self, dose: Volume) -> dict[str, Dvh]:
        """Return the DVH of every structure and of the target."""
        return dvhs_of(dose, self.samples.values(), prescription_gy=self.prescription_gy)

    @cached_property
    def masks(self) -> dict[str, Mask]:
        """The target and the structures on the dose grid, those that have a voxel there."""
        grid, images = self.scene.grid, self.scene.image_grid
        found = {TARGET: self.scene.target_on_grid}
        found |= {
            name: mask_onto(mask, images, grid)
            for name, mask in self.scene.structures.items()
            if name not in OUTLINES
        }
        return {name: mask for name, mask in found.items() if mask.any()}

    @cached_property
    def body(self) -> Mask:
        """The reference's body on the dose grid."""
        return mask_onto(self.scene.reference.body, self.scene.image_grid, self.scene.grid)

    @cached_property
    def reference_density(self) -> Array:
        """Of the reference on the dose grid."""
        return self.scene.density(self.scene.reference, self.choice.hlut)

    @cached_property
    def synthetic_density(self) -> Array:
        """Of the synthetic image on the dose grid."""
        return self.scene.density(self.scene.synthetic, self.choice.hlut)


def compute_plan(pair: Pair, choice: PlanChoice, settings: DoseSettings) -> ComputedPlan:
    """Plan on the reference and compute the plan on both images.

    Raises
    ------
    QAError
        If the images, the target, the table or the beams do not allow it.
    """
    template = choice.template
    require_quantity(template.engine, choice.hlut)
    scene = dose_scene(
        pair.reference, pair.synthetic, template=template, structures=pair.structures,
        seen=seen_by_source(pair), support_hu=settings.support_hu, grid_mm=settings.grid_mm,
    )  # fmt: skip
    engine: DoseEngine = engine_of(template)
    density = scene.density(scene.reference, choice.hlut)
    organs = {goal.structure for goal in template.goals} & set(scene.structures)
    plan = engine.plan(
        density, scene.grid, target=scene.target_on_grid, isocentre_mm=scene.isocentre_mm,
        avoid={n: mask_onto(scene.structures[n], scene.image_grid, scene.grid)
               for n in sorted(organs)},
        template=template, hlut=choice.hlut, target_name=scene.target_name,
    )  # fmt: skip
    return ComputedPlan(
        choice=choice, scene=scene, engine=engine, plan=plan,
        reference=engine.recalculate(density, plan),
        synthetic=engine.recalculate(scene.density(scene.synthetic, choice.hlut), plan),
    )  # fmt: skip


def seen_by_source(pair: Pair) -> Mask:
    """Say where the source image saw the patient: inside its field of view, without padding."""
    seen = np.ones(pair.grid.shape, dtype=bool) if pair.coverage is None else pair.coverage.copy()
    if pair.source is not None:
        seen &= ~padding_in(pair.source, pair.mask)
    return seen
