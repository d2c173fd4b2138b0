"""A few small pairs on which every registered metric takes a value, and what was measured.

Tests over *everything registered* (storage order, ranges) run over these; measured once a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from scipy.spatial.transform import Rotation

from qa_suite.core.orientation import Turn
from qa_suite.core.prediction import IntervalFacts, Prediction
from qa_suite.core.records import InstrumentFacts, SetMeasurement
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.clinic.given import ClinicCase
from qa_suite.dose.clinic.template import imported_template
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import PlanTemplate, load_template
from qa_suite.io.rt.plan.read import PhotonBeam, read_plan
from qa_suite.lab.phantom import make_patient
from qa_suite.metrics.base import Instruments, Pair
from qa_suite.metrics.cost import stated_rows
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.meaning import families_for
from qa_suite.metrics.reference_free.norms import BINS, NAMES, Norms
from qa_suite.metrics.run import Measured, measure_pair
from qa_suite.metrics.set_distances.family import FeaturedCase, measure_sets
from qa_suite.metrics.set_distances.features import features_of
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.metrics.uncertainty.settings import UncertaintySettings
from tests.plan_factory import square_beam, write_plan
from tests.storage import parts_of

NOT_OF_A_PAIR = {
    "translation_seconds": "differs from run to run",
    "translation_memory": "differs from run to run",
}
"""Registered metrics that no image decides, and why."""

_WHO = {"case": "c", "patient": "p", "site": "s"}
_OBLIQUE = tuple(Rotation.from_euler("zx", [16, -7], degrees=True).as_matrix().ravel())


@dataclass(frozen=True)
class Scene:
    """One pair and how it is measured."""

    pair: Pair
    settings: MeasureSettings
    families: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Window:
    """A stand-in for a network that segments: everything between two HU is the organ."""

    structures: tuple[str, ...] = ("Liver",)

    @property
    def facts(self) -> InstrumentFacts:
        return _facts("segmenter", {"Liver": 0.9})

    def segment(self, volume: Volume, domain: np.ndarray) -> dict[str, np.ndarray]:
        return {"Liver": (volume.array > 20) & (volume.array < 60) & domain}


@dataclass(frozen=True)
class Moments:
    """A stand-in for a feature extractor: moments of every axial slice of the body."""

    facts: InstrumentFacts = field(default_factory=lambda: _facts("extractor", {}))

    def features(self, volume: Volume, mask: np.ndarray) -> np.ndarray:
        rows = [
            (values.mean(), values.std(), np.median(values))
            for k in range(mask.shape[2])
            if (values := volume.array[..., k][mask[..., k]]).size
        ]
        return np.array(rows, dtype=np.float32) / 100


def _facts(kind: str, floor: Mapping[str, float]) -> InstrumentFacts:
    return InstrumentFacts(
        kind=kind,
        name="window" if kind == "segmenter" else "moments",
        uri=f"models:/{kind}/1",
        weights_sha256="0" * 64,
        noise_floor=dict(floor),
    )


# --- the pairs -----------------------------------------------------------------------------


@cache
def scenes() -> dict[str, Scene]:
    """All pairs by name: a CT with doses, MR and PET, and a CT on an oblique grid."""
    return {
        "ct": _ct(),
        "oblique": _oblique(),
        "mr": _mr(),
        "pet": _pet(),
        "clinic": _clinic(),
        "rtplan": _rtplan(),
    }


def _ct() -> Scene:
    """A virtual pelvis with errors of every kind; its translator says all that one can say."""
    patient = make_patient("A", 1, seed=1, spacing_mm=(6, 6, 8))
    ct, inside = patient.ct_noise_free, patient.body
    rng = np.random.default_rng(11)
    away = np.linalg.norm(
        ct.grid.to_world(np.stack(np.indices(ct.grid.shape), -1)) - np.asarray(_spot(inside, ct)),
        axis=-1,
    )
    made = np.roll(ct.array, 1, axis=1) + rng.normal(12, 15, ct.grid.shape) * inside
    made[away < 22] = 600.0  # bone that nobody has
    made[_gas(inside, ct)] = 30.0
    made = made.astype(np.float32)
    structures = {
        name: patient.structures[name] for name in ("Bladder", "Prostate", "Rectum", "Femur_Head_L")
    }
    structures["GTV"] = away < 22
    prediction = Prediction(
        mean=ct.with_array(made),
        std=ct.with_array(rng.uniform(5, 60, ct.grid.shape).astype(np.float32)),
        samples=tuple(
            ct.with_array((ct.array + shift * inside).astype(np.float32)) for shift in (-20, 20)
        ),
        half_width=ct.with_array(rng.uniform(10, 90, ct.grid.shape).astype(np.float32)),
        interval=IntervalFacts(voxel_share=0.9, level=0.8, patients=9),
        cost={"network_evaluations": 12, "steps": 4},
    )
    pair = Pair(
        reference=ct,
        synthetic=ct.with_array(made),
        mask=inside,
        source=patient.mr,
        structures=structures,
        prediction=prediction,
        instruments=Instruments(segmenters=(Window(),), inverse=_back, norms=_norms()),
    )
    settings = MeasureSettings(
        dose=DoseSettings(plans=_plans(), grid_mm=10.0),
        uncertainty=UncertaintySettings(most_ranked=5000),
    )
    return Scene(pair, settings)


def _gas(inside: np.ndarray, ct: Volume) -> np.ndarray:
    """Return the gas inside the body, which the synthetic image lacks."""
    return inside & (ct.array < -300)


def _spot(inside: np.ndarray, image: Volume) -> tuple[float, ...]:
    """Return a place in soft tissue, away from the middle."""
    low, high = (f(np.argwhere(inside), axis=0) for f in (np.min, np.max))
    return tuple(image.grid.to_world(low + (high - low) * np.array([0.3, 0.35, 0.5])))


def _plans() -> tuple[PlanChoice, ...]:
    """Photons and protons with few beams, all that the family of dose can say."""
    photons, protons = load_template("photon-pelvis"), load_template("proton-pelvis")

    def beams(template: PlanTemplate, *gantry: float) -> PlanTemplate:
        data = template.model_dump(mode="json")
        return PlanTemplate.model_validate(
            data | {"beams": [{"gantry_deg": angle} for angle in gantry]}
        )

    return (
        PlanChoice(
            template=beams(photons, 0, 90),
            hlut=load_hlut("thomas-1999"),
            other_hluts=(load_hlut("schneider-2000"),),
        ),
        PlanChoice(template=beams(protons, 90), hlut=load_hlut("matrad-default-rsp")),
    )


def _oblique() -> Scene:
    """A better image of the same patient, on a grid that is turned about two axes."""
    scene = _ct()
    grid = replace(scene.pair.grid, direction=_OBLIQUE)
    rng = np.random.default_rng(6)
    better = 0.97 * scene.pair.reference.array + rng.normal(5, 8, grid.shape)

    def moved(volume: Volume) -> Volume:
        return replace(volume, grid=grid)

    pair = scene.pair
    assert pair.source is not None
    return Scene(
        Pair(
            reference=moved(pair.reference),
            synthetic=moved(pair.reference.with_array(better.astype(np.float32))),
            mask=pair.mask,
            source=moved(pair.source),
            structures=pair.structures,
        ),
        MeasureSettings(),
        ("image", "segmentation", "geometry", "hallucination", "reference_free"),
    )


def _mr() -> Scene:
    shape = (24, 20, 14)
    grid = Grid(shape=shape, spacing_mm=(4.0, 5.0, 6.0), origin_mm=(-40, 3, 0))
    mask = np.zeros(shape, dtype=bool)
    mask[3:21, 3:17, :] = True
    rng = np.random.default_rng(3)
    reference = np.where(mask, 400.0, 0.0)
    reference[8:14, 6:12, 4:10] = 900
    images = [reference + rng.uniform(0, 40, shape) * mask for _ in range(2)]
    volumes = [
        Volume(array=image.astype(np.float32), grid=grid, quantity="arbitrary") for image in images
    ]
    said = Prediction(mean=volumes[1], samples=tuple(volumes))
    pair = Pair(reference=volumes[0], synthetic=volumes[1], mask=mask, prediction=said)
    return Scene(pair, MeasureSettings())


def _pet() -> Scene:
    grid = Grid(shape=(40, 38, 30), spacing_mm=(3.0, 3.0, 4.0))
    place = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    lesion = np.linalg.norm(place - [60, 60, 60], axis=-1) <= 18
    liver = np.linalg.norm(place - [25, 30, 90], axis=-1) <= 15
    rng = np.random.default_rng(4)
    reference = np.where(lesion, 8.0, 1.0) + rng.uniform(0, 0.2, grid.shape)
    synthetic = np.where(lesion, 5.0, 1.1) + rng.uniform(0, 0.2, grid.shape)
    images = [
        Volume(array=image.astype(np.float32), grid=grid, quantity="SUVbw")
        for image in (reference, synthetic)
    ]
    return Scene(
        Pair(
            reference=images[0],
            synthetic=images[1],
            mask=np.ones(grid.shape, dtype=bool),
            structures={"GTV": lesion, "Liver": liver},
        ),
        MeasureSettings(),
    )


def _clinic() -> Scene:
    """Doses of a planning system, on a grid of their own."""
    pair = _ct().pair
    low, high = pair.grid.corners_mm().min(axis=0), pair.grid.corners_mm().max(axis=0)
    grid = Grid(
        shape=tuple(int(n) for n in (high - low) // (9, 8, 7)),  # type: ignore[arg-type]
        spacing_mm=(9, 8, 7),
        origin_mm=tuple(low),
    )
    place = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    target = pair.grid.to_world(np.argwhere(pair.structures["Prostate"])).mean(axis=0)
    doses = [
        Volume(
            array=(60 * np.exp(-((np.linalg.norm(place - target - moved, axis=-1) / 70) ** 4))),
            grid=grid,
            quantity="Gy",
        )
        for moved in (np.zeros(3), np.array([3, -2, 4]))
    ]
    return Scene(
        replace(pair, clinic=ClinicCase(reference=doses[0], synthetic=doses[1])),
        MeasureSettings(dose=DoseSettings(clinic=load_template("photon-pelvis"))),
        ("dose",),
    )


def _rtplan() -> Scene:
    """A plan of the clinic, aimed at the prostate: two fields of two energies."""
    pair = _ct().pair
    target = tuple(pair.grid.to_world(np.argwhere(pair.structures["Prostate"])).mean(axis=0))
    with TemporaryDirectory() as folder:
        beams = [square_beam(1), square_beam(2, gantry=90.0)]
        beams[1].ControlPointSequence[0].NominalBeamEnergy = 6
        plan = read_plan(write_plan(Path(folder) / "plan.dcm", beams))
    moved = tuple(
        replace(
            beam,
            control_points=tuple(
                replace(p, isocentre_mm=target) for p in cast(PhotonBeam, beam).control_points
            ),
        )
        for beam in plan.beams
    )
    choice = PlanChoice(
        template=imported_template("photons", targets=["Prostate"]), hlut=load_hlut("thomas-1999")
    )
    return Scene(
        replace(pair, clinic=ClinicCase(plan=replace(plan, beams=cast(Any, moved)))),
        MeasureSettings(
            dose=DoseSettings(plans=(choice,), rtplans=True, grid_mm=10.0, prescription_gy=60.0)
        ),
        ("dose",),
    )


def _back(volume: Volume) -> Volume:
    """A stand-in for the way back: bright where the CT is dark."""
    return replace(volume, array=(1500 - volume.array).astype(np.float32), quantity="arbitrary")


def _norms() -> Norms:
    size = len(NAMES)
    return Norms(
        cohort="none",
        cohort_digest="0",
        split="train",
        patients=12,
        histogram=tuple([1 / BINS] * BINS),
        names=NAMES,
        centre=tuple([0.0] * size),
        spread=tuple([1.0] * size),
        covariance=tuple(map(tuple, np.eye(size).tolist())),
        shrinkage=0.5,
        distances=tuple(float(n) for n in range(12)),
    )


# --- what was measured ---------------------------------------------------------------------


def measured(name: str, turn: Turn | None = None, *, doses: bool = True) -> Measured:
    """Measure a scene, in other storage where a turn is given; doses take the longest."""
    parts = [_measured(name, turn, False), *([_measured(name, turn, True)] if doses else [])]
    return Measured(
        rows=[row for part in parts for row in part.rows],
        curves=[point for part in parts for point in part.curves],
        volumes={role: volume for part in parts for role, volume in part.volumes.items()},
    )


@cache
def _measured(name: str, turn: Turn | None, doses: bool) -> Measured:
    scene = scenes()[name]
    pair = scene.pair if turn is None else Pair(**parts_of(scene.pair, turn))
    wanted = scene.families or families_for(pair.reference.quantity, None)
    families = [family for family in wanted if (family == "dose") == doses]
    done = measure_pair(pair, families=families, settings=scene.settings, **_WHO)
    if pair.prediction is not None and not doses:
        done.rows.extend(stated_rows(pair.prediction, _WHO))
    return done


@cache
def measured_sets(turn: Turn | None = None) -> tuple[SetMeasurement, ...]:
    """Measure the distances between sets, of ten patients made from the CT."""
    scene = scenes()["ct"]
    cases = []
    for number in range(10):
        pair = replace(
            scene.pair,
            reference=scene.pair.reference.with_array(scene.pair.reference.array + 7 * number),
            prediction=None,
        )
        if turn is not None:
            pair = Pair(**parts_of(pair, turn))
        features = features_of(Moments(), pair.reference, pair.synthetic, pair.mask, most=8)
        cases.append(
            FeaturedCase(case=f"c{number}", patient=f"p{number}", site="s", features=features)
        )
    return measure_sets(cases, scene.settings.set_distances)
