"""Plan on a real CT, compute the plan on every twin, and measure the difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.dose_real.images import RealCase
from benchmarks.dose_real.twins import TWINS, ground_of
from qa_suite.core.volume import Volume
from qa_suite.dose.dvh.curve import Dvh, dvhs_of
from qa_suite.dose.dvh.goals import constraint_flips, evaluate_goals
from qa_suite.dose.dvh.metrics import read_metric
from qa_suite.dose.engines import DoseEngine, engine_of
from qa_suite.dose.gamma import GammaCriterion, GammaSettings, gamma
from qa_suite.dose.hlut.tables import Hlut, load_hlut
from qa_suite.dose.plan.plan import Plan
from qa_suite.dose.plan.template import Modality, PlanTemplate
from qa_suite.dose.range.errors import RangeComparison, compare_ranges
from qa_suite.dose.range.raytrace import beam_frame
from qa_suite.dose.scene.gridding import mask_onto
from qa_suite.dose.scene.scene import (
    CAUSES,
    Cause,
    DoseImage,
    DoseScene,
    bulk_image,
    cause_masks,
    dose_scene,
    with_cause,
)
from qa_suite.dose.structures.samples import MaskStructure, StructureSamples
from qa_suite.dose.structures.structures import sample_structures
from qa_suite.imaging.body import ct_body
from qa_suite.metrics.base import Pair, Value
from qa_suite.metrics.dose import dose as dose_family
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice

HLUTS: Mapping[Modality, str] = {"photons": "thomas-1999", "protons": "electron-density-as-rsp"}
CRITERIA = (GammaCriterion(dose_pct=2, distance_mm=2), GammaCriterion(dose_pct=1, distance_mm=1))
GAMMA = GammaSettings(normalisation="prescription", max_gamma=2.0)
TARGET = "target"
IDENTITY = "the same CT"
BULK = "bulk override"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One plan on one real CT, with its dose there."""

    case: RealCase
    template: PlanTemplate
    hlut: Hlut
    scene: DoseScene
    engine: DoseEngine
    plan: Plan
    dose: Volume

    @property
    def prescription_gy(self) -> float:
        return self.template.prescribed.dose_gy

    @cached_property
    def samples(self) -> Mapping[str, StructureSamples]:
        grid = self.scene.image_grid
        masks = {TARGET: self.scene.target, **self.scene.structures}
        return sample_structures(
            [MaskStructure(name=n, mask=m, grid=grid) for n, m in masks.items()], self.scene.grid
        )

    @cached_property
    def dvhs(self) -> Mapping[str, Dvh]:
        return self.dvhs_of(self.dose)

    def dvhs_of(self, dose: Volume) -> Mapping[str, Dvh]:
        return dvhs_of(dose, self.samples.values(), prescription_gy=self.prescription_gy)

    def dose_on(self, image: DoseImage) -> Volume:
        """Compute the plan on another image of the scene."""
        return self.engine.recalculate(self.scene.density(image, self.hlut), self.plan)

    def target_change_pct(self, dose: Volume, metric: str) -> float | None:
        """Change of one of the target's metrics, of the prescription."""
        return change_pct(self.dvhs, self.dvhs_of(dose), metric, self.prescription_gy)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one twin costs one plan; differences in % of the prescription.

    ``gamma_pct`` by criterion, in the body; ``ranges`` by beam, protons only; ``causes`` of
    the change of Dmean, where they were asked for.
    """

    twin: str
    dmean_pct: float | None
    d95_pct: float | None
    gamma_pct: Mapping[str, float | None]
    ranges: Mapping[str, RangeComparison] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    causes: Mapping[Cause, float | None] = field(default_factory=dict)


def make_plan(case: RealCase, template: PlanTemplate, grid_mm: float | None = None) -> Planned:
    """Plan on the real CT and compute the dose there."""
    scene = dose_scene(
        case.ct, case.ct, template=template, structures=case.structures, grid_mm=grid_mm
    )
    hlut = load_hlut(HLUTS[template.modality])
    engine: DoseEngine = engine_of(template)
    density = scene.density(scene.reference, hlut)
    organs = {goal.structure for goal in template.goals} & set(scene.structures)
    plan = engine.plan(
        density,
        scene.grid,
        target=scene.target_on_grid,
        isocentre_mm=scene.isocentre_mm,
        avoid={
            n: mask_onto(scene.structures[n], scene.image_grid, scene.grid) for n in sorted(organs)
        },
        template=template,
        hlut=hlut,
        target_name=scene.target_name,
    )
    return Planned(
        case=case,
        template=template,
        hlut=hlut,
        scene=scene,
        engine=engine,
        plan=plan,
        dose=engine.recalculate(density, plan),
    )


def twin_images(planned: Planned, only: Sequence[str] = ()) -> Iterator[tuple[str, DoseImage]]:
    """Yield the CT itself, its faulted twins and the bulk override; each with its own body."""
    ground = ground_of(planned.case)
    grid = planned.scene.image_grid
    made: dict[str, Callable[[], DoseImage]] = {IDENTITY: lambda: planned.scene.reference}
    for name, fault in TWINS.items():
        made[name] = lambda fault=fault: _image(fault(ground), grid)  # type: ignore[misc]
    made[BULK] = lambda: bulk_image(planned.scene.reference)
    for name, make in made.items():
        if not only or name in only:
            yield name, make()


def measure_twin(
    planned: Planned, name: str, image: DoseImage, *, causes: bool = True
) -> tuple[Row, Volume]:
    """Compute the frozen plan on a twin and compare, synthetic - reference."""
    scene = replace(planned.scene, synthetic=image)
    dose = planned.dose_on(image)
    after = planned.dvhs_of(dose)
    results = gamma(
        planned.dose, dose, CRITERIA, GAMMA, prescription_gy=planned.prescription_gy, threads=2
    )
    body = mask_onto(scene.reference.body, scene.image_grid, scene.grid)
    goals = [
        evaluate_goals(d, planned.template.goals, prescription_gy=planned.prescription_gy)
        for d in (planned.dvhs, after)
    ]
    flips = constraint_flips(goals[0], goals[1])
    said = {
        kind: tuple(f"{f.goal.structure} {f.goal.text}" for f in flips if f.kind == kind)
        for kind in ("lost", "gained")
    }
    row = Row(
        twin=name,
        dmean_pct=change_pct(planned.dvhs, after, "Dmean", planned.prescription_gy),
        d95_pct=change_pct(planned.dvhs, after, "D95", planned.prescription_gy),
        gamma_pct={r.criterion.key: r.region("body", body).pass_pct for r in results},
        ranges=_ranges(planned, scene),
        lost=said["lost"],
        gained=said["gained"],
        causes=_causes(planned, scene) if causes else {},
    )
    return row, dose


def share_cut(planned: Planned) -> dict[str, float]:
    """Share of each beam that enters through the image's edge, by the suite's own family."""
    case, template = planned.case, planned.template
    settings = DoseSettings(
        plans=(PlanChoice(template=template, hlut=planned.hlut),),
        causes=False,
        bulk=False,
        scenarios=False,
        grid_mm=planned.scene.grid.spacing_mm[0],
    )
    pair = Pair(
        reference=case.ct,
        synthetic=case.ct,
        mask=planned.scene.reference.body,
        structures=case.structures,
    )
    found = {
        row.region.removeprefix("beam:"): row.value
        for row in dose_family(pair, settings)
        if isinstance(row, Value) and row.metric == "path_cut"
    }
    return {beam: value for beam, value in found.items() if value is not None}


def change_pct(
    before: Mapping[str, Dvh], after: Mapping[str, Dvh], metric: str, prescription_gy: float
) -> float | None:
    """Change of one of the target's metrics in % of the prescription; None where undefined."""
    one = read_metric(before[TARGET], metric, prescription_gy=prescription_gy).value
    two = read_metric(after[TARGET], metric, prescription_gy=prescription_gy).value
    return None if one is None or two is None else 100 * (two - one) / prescription_gy


def _image(hu: NDArray[np.float32], grid: object) -> DoseImage:
    hu = np.asarray(hu, dtype=np.float32)
    return DoseImage(hu=hu, body=ct_body(hu, grid))  # type: ignore[arg-type]


def _ranges(planned: Planned, scene: DoseScene) -> dict[str, RangeComparison]:
    if planned.template.modality != "protons":
        return {}
    one, two = (scene.density(i, planned.hlut) for i in (scene.reference, scene.synthetic))
    return {
        beam.label: compare_ranges(
            one,
            two,
            scene.grid,
            target=scene.target_on_grid,
            label=beam.label,
            frame=beam_frame(beam, planned.plan.isocentre_mm, sad_mm=planned.engine.sad_mm),
        )
        for beam in planned.template.beams
    }


def _causes(planned: Planned, scene: DoseScene) -> dict[Cause, float | None]:
    """Tell the change of Dmean by cause; a cause without a difference costs nothing."""
    found: dict[Cause, float | None] = {}
    masks = cause_masks(scene)
    differs = (scene.reference.hu != scene.synthetic.hu) | (
        scene.reference.body != scene.synthetic.body
    )
    for cause in CAUSES:
        if not (masks[cause] & differs).any():
            found[cause] = 0.0
        else:
            found[cause] = planned.target_change_pct(
                planned.dose_on(with_cause(scene, cause)), "Dmean"
            )
    return found
