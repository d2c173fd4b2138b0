"""The doses of one plan on the images of one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.resampling import resample
from qa_suite.core.volume import Volume
from qa_suite.dose.clinic.trust import surface_remarks
from qa_suite.dose.dvh.curve import Dvh, dvhs_of
from qa_suite.dose.dvh.goals import Goal
from qa_suite.dose.engines import DoseEngine, engine_of, require_modality, require_quantity
from qa_suite.dose.machines.of_beams import in_protons
from qa_suite.dose.plan.plan import Plan
from qa_suite.dose.plan.prescription import coverage_goal, other_targets, prescription_of
from qa_suite.dose.plan.targets import choose_target
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.dose.scene.gridding import mask_onto, require_overlap
from qa_suite.dose.scene.scene import DoseImage, DoseScene, dose_scene
from qa_suite.dose.structures.samples import MaskStructure, StructureSamples
from qa_suite.dose.structures.structures import sample_structures
from qa_suite.io.dicom.series import frame_hash
from qa_suite.io.field_of_view import padding_in
from qa_suite.io.rt.plan.read import require_supported
from qa_suite.io.rt.plan.types import ImportedPlan
from qa_suite.metrics.base import Pair
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice

TARGET = "target"
"""Region of the rows of what a plan aims at."""
AIM = "the plan's target"
"""What a plan aims at, among the structures; a structure may itself be called 'target'."""
CLINIC = "clinic"
"""Variant of the rows of doses that the clinic's planning system computed."""
OUTLINES = ("Body", "External", "BODY", "EXTERNAL")
"""Structures that are the patient himself, not an organ."""


@dataclass(frozen=True, kw_only=True)
class DosePair:
    """One plan's doses on both images of a case, wherever they were computed.

    Parameters
    ----------
    key
        Variant of its rows.
    template
        Says what the target is, what is prescribed, and which goals hold.
    scene
        Images, target, and the grid that both doses lie on.
    prescribed_by
        Where the prescription comes from, as people say it.
    reference, synthetic
        The two doses, in Gy of the whole course.
    further_targets
        Other structures that the clinic's plan prescribes a dose to: Gy of the whole course, and
        where that stands.
    """

    key: str
    template: PlanTemplate
    prescribed_by: str
    scene: DoseScene
    reference: Volume
    synthetic: Volume
    further_targets: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def coverage_goals(self) -> tuple[Goal, ...]:
        """What is prescribed, as a goal of each target, the plan's own first."""
        asked = self.template.prescribed
        return (
            coverage_goal(asked, AIM, self.prescribed_by),
            *(
                coverage_goal(asked, name, why, dose_gy=dose_gy)
                for name, (dose_gy, why) in self.further_targets.items()
            ),
        )

    @property
    def prescription_gy(self) -> float:
        """Prescribed dose of the course, to the target that is judged."""
        return self.template.prescribed.dose_gy

    @cached_property
    def samples(self) -> Mapping[str, StructureSamples]:
        """The structures and the target, sampled for DVHs."""
        grid = self.scene.image_grid
        others = {n: m for n, m in self.scene.structures.items() if n not in OUTLINES}
        masks = {AIM: self.scene.target, **others}
        return sample_structures(
            [MaskStructure(name=n, mask=m, grid=grid) for n, m in masks.items()], self.scene.grid
        )

    def dvhs(self, dose: Volume) -> dict[str, Dvh]:
        """Return the DVH of every structure and of the target."""
        return dvhs_of(dose, self.samples.values(), prescription_gy=self.prescription_gy)

    def target_dvh(self, dose: Volume) -> Dvh:
        """Return the DVH of the target alone."""
        samples = [self.samples[AIM]]
        return dvhs_of(dose, samples, prescription_gy=self.prescription_gy)[AIM]

    @cached_property
    def masks(self) -> dict[str, Mask]:
        """The target and the structures on the dose grid."""
        grid, images = self.scene.grid, self.scene.image_grid
        return {AIM: self.scene.target_on_grid} | {
            name: mask_onto(mask, images, grid)
            for name, mask in self.scene.structures.items()
            if name not in OUTLINES
        }

    @cached_property
    def body(self) -> Mask:
        """The reference's body on the dose grid."""
        return mask_onto(self.scene.reference.body, self.scene.image_grid, self.scene.grid)


@dataclass(frozen=True, kw_only=True)
class ComputedPlan(DosePair):
    """A plan of the surrogate, which can compute it on further images.

    Parameters
    ----------
    choice
        Template and tables.
    engine, plan
        What computed, and what was computed.
    remarks
        What must be known of the clinic's plan, and how it fits the images.
    """

    choice: PlanChoice
    engine: DoseEngine
    plan: Plan
    remarks: tuple[str, ...] = ()

    def dose_on(self, image: DoseImage, hlut: Any = None) -> Volume:
        """Compute the same plan on another image, or with another table."""
        density = self.scene.density(image, hlut or self.choice.hlut)
        return self.engine.recalculate(density, self.plan)

    @cached_property
    def reference_density(self) -> Float32Array:
        """Of the reference on the dose grid."""
        return self.scene.density(self.scene.reference, self.choice.hlut)

    @cached_property
    def synthetic_density(self) -> Float32Array:
        """Of the synthetic image on the dose grid."""
        return self.scene.density(self.scene.synthetic, self.choice.hlut)


def compute_plan(pair: Pair, choice: PlanChoice, settings: DoseSettings) -> ComputedPlan:
    """Plan on the reference, or take the clinic's plan, and compute it on both images.

    Raises
    ------
    QAError
        If the images, the target, the table or the beams do not allow it.
    """
    template = choice.template
    require_modality(template)
    require_quantity(template.engine, choice.hlut)
    imported = _clinic_plan(pair, template) if settings.rtplans else None
    if imported is not None:
        _require_same_frame(imported, pair)
    if imported is not None and settings.protons_per_mu is not None:
        imported = in_protons(imported, settings.protons_per_mu, "as stated")
    template, prescribed_by = _prescribed(template, imported, pair, settings)
    if imported is not None:
        imported = replace(imported, fractions=template.prescribed.fractions)
    scene = dose_scene(
        pair.reference,
        pair.synthetic,
        template=template,
        structures=pair.structures,
        seen=seen_by_source(pair),
        support_hu=settings.support_hu,
        grid_mm=settings.grid_mm,
    )
    engine: DoseEngine = engine_of(template, settings.device)
    density = scene.density(scene.reference, choice.hlut)
    if imported is not None:
        plan = engine.imported(
            imported,
            scene.grid,
            target=scene.target_on_grid,
            target_name=scene.target_name,
            template=template,
            hlut=choice.hlut,
            stand_in=choice.machine_stands_in,
        )
    else:
        plan = engine.plan(
            density,
            scene.grid,
            target=scene.target_touched,
            isocentre_mm=scene.isocentre_mm,
            avoid=_organs(scene, template),
            template=template,
            hlut=choice.hlut,
            target_name=scene.target_name,
        )
    remarks = plan.remarks
    if imported is not None:
        remarks = (*remarks, *surface_remarks(imported, scene.reference.body, scene.image_grid))
        if pair.grid.frame_of_reference is None and imported.frame_of_reference is not None:
            remarks = (
                *remarks,
                "the images do not say their frame of reference, so its isocentre "
                "is taken on trust",
            )
    return ComputedPlan(
        key=choice.key,
        template=template,
        prescribed_by=prescribed_by,
        choice=choice,
        scene=scene,
        engine=engine,
        plan=plan,
        remarks=remarks,
        reference=engine.recalculate(density, plan),
        synthetic=engine.recalculate(scene.density(scene.synthetic, choice.hlut), plan),
        further_targets=_further_targets(template, imported, pair, settings),
    )


def clinic_doses(pair: Pair, template: PlanTemplate, settings: DoseSettings) -> DosePair:
    """Take the two doses of the clinic's planning system.

    The synthetic image's dose is brought onto the grid of the reference's where they differ.

    Raises
    ------
    QAError
        If the case has none, or they do not lie over the images.
    """
    doses = pair.clinic
    if doses is None or doses.reference is None or doses.synthetic is None:
        raise InputError("The case has no doses of the clinic's planning system.")
    template, prescribed_by = _prescribed(template, doses.plan, pair, settings)
    reference, synthetic = doses.reference, doses.synthetic
    require_overlap(reference.grid, pair.grid, "The clinic's dose on the reference", "the images")
    if not synthetic.grid.same_as(reference.grid):
        require_overlap(
            synthetic.grid,
            reference.grid,
            "The clinic's dose on the synthetic image",
            "that on the reference",
        )
        synthetic = resample(synthetic, reference.grid, interpolation="linear", outside=0.0)
    scene = dose_scene(
        pair.reference,
        pair.synthetic,
        template=template,
        structures=pair.structures,
        seen=seen_by_source(pair),
        support_hu=settings.support_hu,
        grid=reference.grid,
    )
    return DosePair(
        key=CLINIC,
        template=template,
        prescribed_by=prescribed_by,
        scene=scene,
        reference=reference,
        synthetic=synthetic,
        further_targets=_further_targets(template, doses.plan, pair, settings),
    )


def _clinic_plan(pair: Pair, template: PlanTemplate) -> ImportedPlan:
    plan = None if pair.clinic is None else pair.clinic.plan
    if plan is None:
        raise InputError("The case has no RTPLAN to drive the surrogate; put it in as plan.dcm.")
    if plan.modality != template.modality:
        raise InputError(
            f"{plan.path} is a plan of {plan.modality} and {template.name} one of "
            f"{template.modality}."
        )
    require_supported(plan)
    return plan


def _require_same_frame(plan: ImportedPlan, pair: Pair) -> None:
    mine, theirs = frame_hash(plan.frame_of_reference), pair.grid.frame_of_reference
    if mine is not None and theirs is not None and mine != theirs:
        raise GeometryError(
            f"{plan.path} is a plan in another frame of reference than the images, so its "
            f"isocentre is none of theirs; give the plan of these images."
        )


def _prescribed(
    template: PlanTemplate, plan: ImportedPlan | None, pair: Pair, settings: DoseSettings
) -> tuple[PlanTemplate, str]:
    """Return the template with the prescription that its target is judged by, and who says it."""
    _, names = choose_target(template, pair.structures)
    found, why = prescription_of(
        template,
        plan,
        names,
        stated_gy=settings.prescription_gy,
        stated_fractions=settings.fractions,
    )
    return template.model_copy(update={"prescription": found}), why


def _further_targets(
    template: PlanTemplate, plan: ImportedPlan | None, pair: Pair, settings: DoseSettings
) -> dict[str, tuple[float, str]]:
    """Return the plan's other targets; none where the course is not the plan's."""
    if plan is None or settings.fractions not in (None, plan.fractions):
        return {}
    _, names = choose_target(template, pair.structures)
    return other_targets(plan, names, (n for n, mask in pair.structures.items() if mask.any()))


def _organs(scene: DoseScene, template: PlanTemplate) -> dict[str, Mask]:
    names = {goal.structure for goal in template.goals} & set(scene.structures)
    return {n: mask_onto(scene.structures[n], scene.image_grid, scene.grid) for n in sorted(names)}


def seen_by_source(pair: Pair) -> Mask:
    """Say where the source image saw the patient: inside its field of view, without padding."""
    seen = np.ones(pair.grid.shape, dtype=bool) if pair.coverage is None else pair.coverage.copy()
    if pair.source is not None:
        seen &= ~padding_in(pair.source, pair.mask)
    return seen
