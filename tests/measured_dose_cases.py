"""A patient of known HU with organs and plans, whose images are measured by the family of dose."""

from __future__ import annotations

import numpy as np

from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import PlanTemplate, load_template
from qa_suite.lab.phantom import make_patient
from qa_suite.metrics.base import Pair
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.run import Measured, measure_pair
from qa_suite.metrics.settings import MeasureSettings

PATIENT = make_patient("A", 1, seed=1, spacing_mm=(6, 6, 8))
CT = PATIENT.ct_noise_free
BODY = PATIENT.body
BONE = PATIENT.structures["Bone"]
X, Y, Z = np.moveaxis(CT.grid.to_world(np.stack(np.indices(CT.grid.shape), -1)), -1, 0)
ORGANS = ("Bladder", "Prostate", "Rectum", "Femur_Head_L")
STRUCTURES = {name: PATIENT.structures[name] for name in ORGANS}
PHOTONS = load_template("photon-pelvis")
PROTONS = load_template("proton-pelvis")
PLAIN = {"causes": False, "bulk": False, "scenarios": False, "grid_mm": 10.0}
TISSUE = ("outline", "air", "soft", "bone")


def beams(template: PlanTemplate, *gantry: float, **more: object) -> PlanTemplate:
    """The template with other beams; few, to be fast."""
    data = template.model_dump(mode="json", exclude={"goals"})
    data["goals"] = more.pop("goals", [])
    return PlanTemplate.model_validate(data | {"beams": [{"gantry_deg": g} for g in gantry]} | more)


TWO_PHOTON = beams(PHOTONS, 0, 90)
ONE_PROTON = beams(PROTONS, 90)


def choice(template: PlanTemplate, *others: str) -> PlanChoice:
    photons = template.modality == "photons"
    return PlanChoice(
        template=template,
        hlut=load_hlut("thomas-1999" if photons else "matrad-default-rsp"),
        other_hluts=tuple(load_hlut(name) for name in others),
    )


def settings_of(*templates: PlanTemplate, **more: object) -> DoseSettings:
    return DoseSettings(plans=tuple(choice(t) for t in templates), **(PLAIN | more))


def pair_of(image: np.ndarray, **more: object) -> Pair:
    made = CT.with_array(image.astype(np.float32))
    given = {"reference": CT, "synthetic": made, "mask": BODY, "structures": STRUCTURES} | more
    return Pair(**given)  # type: ignore[arg-type]


def measured(pair: Pair, dose: DoseSettings) -> Measured:
    return measure_pair(
        pair,
        families=["dose"],
        settings=MeasureSettings(dose=dose),
        case="c",
        patient="p",
        site="A",
    )


def value(done: Measured, metric: str, region: str, variant: str = "photon-pelvis") -> float:
    (row,) = [r for r in done.rows if (r.metric, r.region, r.variant) == (metric, region, variant)]
    assert row.status == "ok" and row.value is not None, row
    return row.value


def curve(
    done: Measured, name: str, region: str, variant: str = "photon-pelvis"
) -> tuple[np.ndarray, np.ndarray]:
    points = [
        (p.x, p.y) for p in done.curves if (p.curve, p.region, p.variant) == (name, region, variant)
    ]
    x, y = np.array(points).T
    return x, y


def causes(done: Measured, variant: str = "photon-pelvis") -> dict[str, float]:
    return {c: value(done, "cause_dmean", f"cause:{c}", variant) for c in TISSUE}
