"""What the record of :mod:`tests.record_factory` holds: sites, metrics, instruments, profile."""

from __future__ import annotations

import hashlib
from typing import Literal

from qa_suite.core.record_names import evaluation_identifier
from qa_suite.core.records import Criterion, Evaluation, InstrumentFacts, Profile, SetMeasurement

Kind = Literal["model", "floor", "baseline"]

TRAINING_SITES = ("A", "B")

UNITS = {"mae": "HU", "me": "HU", "rmse": "HU", "dice": "1", "fat_level": "HU", "cycle_error": "HU"}
FAMILIES = {"dice": "segmentation", "fat_level": "reference_free", "cycle_error": "reference_free"}
DEFINITIONS = {
    "mae": ("Mean absolute error", "lower"),
    "me": ("Mean error (signed bias)", "zero"),
    "rmse": ("Root mean square error", "lower"),
    "dice": ("Dice similarity coefficient", "higher"),
    "fat_level": ("Level of fat", "none"),
    "cycle_error": ("Error of the way there and back", "lower"),
}  # title and better side
STANDARD_THRESHOLD_HU = 250.0
SEGMENTER = "pelvis-unet"


def instruments() -> tuple[InstrumentFacts, ...]:
    """Return a segmenter with its noise floor, and an extractor."""
    return (
        InstrumentFacts(
            kind="segmenter",
            name=SEGMENTER,
            uri=f"models:/{SEGMENTER}/2",
            version="2",
            weights_sha256=hashlib.sha256(b"segmenter").hexdigest(),
            training_patients=tuple(f"{n:016x}" for n in range(40)),
            noise_floor={"Bladder": 0.934, "Bone": 0.951},
        ),
        InstrumentFacts(
            kind="extractor",
            name="pelvis-features",
            uri="models:/pelvis-features/1",
            weights_sha256=hashlib.sha256(b"extractor").hexdigest(),
        ),
    )


def set_measurements() -> tuple[SetMeasurement, ...]:
    """Return a distance between the sets, that of real from real, and one too small."""

    def row(scope: str, value: float | None, **more: object) -> SetMeasurement:
        few = {"status": "undefined", "why": "6 patients are fewer than the 10 required"}
        facts = {
            "metric": "kid",
            "scope": scope,
            "value": value,
            "unit": "1",
            "patients": 19,
            "n_reference": 380,
            "n_synthetic": 380,
        }
        return SetMeasurement.model_validate(facts | (few if value is None else {}) | more)

    return (
        row("pooled", 0.0312, standard_error=0.0041),
        row("pooled", 0.0007, standard_error=0.0019, variant="floor"),
        row("C", None, patients=6),
    )


def _criterion(metric: str, region: str, **more: object) -> Criterion:
    facts = {
        "name": f"{metric} {region}",
        "metric": metric,
        "region": region,
        "unit": UNITS[metric],
        "direction": "at_most",
        "min_patients": 5,
        "source": "local decision of this test factory",
    }
    return Criterion.model_validate(facts | more)


CRITERIA = (
    _criterion(
        "mae",
        "body",
        bound=80.0,
        source="Boulanger M et al. (2021), Deep learning methods to generate synthetic CT from "
        "MRI in radiotherapy: a literature review, Phys Med 89:265",
    ),
    _criterion("mae", "body", name="mae body at every site", bound=80.0, scope="each_site"),
    _criterion("me", "body", bound=20.0, direction="within"),
    _criterion("mae", "bone", bound=215.0),
    _criterion("dice", "seg:Bone", bound=0.8, direction="at_least", scope="each_site"),
    _criterion(
        "mae",
        "body",
        name="mae body of nearly every patient",
        statistic="fraction_within",
        bound=0.5,
        per_patient_bound=100.0,
    ),
    _criterion("mae", "body", name="worst patient", statistic="max", bound=120.0),
)

PROFILE = Profile(
    name="pelvis-mr-ct",
    version="1",
    direction="MR->CT",
    anatomy="pelvis",
    intended_use="Dose calculation for photon radiotherapy of the male pelvis, research only.",
    exclude={"alignment_shift": 5.0},
    criteria=CRITERIA,
)


def identified(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation with the identifier that follows from its cohort, model and settings."""
    data = evaluation.model_dump(mode="json")
    name = evaluation_identifier(
        cohort_digest=data["cohort"]["digest"],
        model=data["model"],
        settings=data["settings"],
        instruments=data["instruments"],
    )
    return evaluation.model_copy(update={"evaluation": name})
