"""Images of which the reference has, or lacks, what is measured, by every family that asks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

import qa_suite.metrics.run  # noqa: F401  registers them
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import InstrumentFacts, Measurement
from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Instruments, Pair
from qa_suite.metrics.dose.settings import DoseSettings
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings
from tests import measured_dose_cases as plans

Rows = Mapping[tuple[str, str, str], Measurement]
SHAPE = (32, 32, 24)
GRID = Grid(shape=SHAPE, spacing_mm=(3.0, 3.0, 3.0))
BODY = np.s_[4:28, 4:28, :]
PARTS = {  # kind of region -> where, and the HU there
    "bone": (np.s_[7:13, 7:13, 4:20], 700.0),
    "dense": (np.s_[19:25, 7:13, 4:20], 1200.0),
    "air": (np.s_[12:18, 17:23, 6:16], -990.0),
    "metal": (np.s_[20:27, 18:26, 4:20], 3000.0),
}
SETTINGS = MeasureSettings(image=ImageSettings(ms_ssim_weights=(0.6, 0.4), skin_mm=3.0))
MATERIAL = ("bone", "dense", "air", "metal", "seg:Bone", "seg:Femur")
SYNTHETIC = ("copy", "flat", "gas", "bare", "full", "noisy")


def ct(*parts: str) -> np.ndarray:
    array = np.full(SHAPE, -1000.0, dtype=np.float32)
    array[BODY] = 20 + 5 * np.random.default_rng(1).standard_normal(array[BODY].shape)
    for name in parts:
        where, hu = PARTS[name]
        array[where] += hu - 20
    return array


REFERENCES = {"full": ct(*PARTS), "bare": ct()}


def synthetic_of(reference: str, drawn: str) -> np.ndarray:
    if drawn in REFERENCES:
        return REFERENCES[drawn] + 3
    image = REFERENCES[reference].copy()
    noise = np.random.default_rng(2).normal(0, 30, SHAPE).astype(np.float32)
    return {
        "copy": image,
        "flat": np.where(image > -500, 20, -1000).astype(np.float32),
        "gas": np.full(SHAPE, -1000, np.float32),
        "noisy": image + noise,
    }[drawn]


class Window:
    """A stand-in for a learned segmenter: what lies between two HU is the femur."""

    structures = ("Femur",)
    facts = InstrumentFacts(
        kind="segmenter",
        name="window",
        uri="models:/window/1",
        weights_sha256="0" * 64,
        noise_floor={"Femur": 0.9},
    )

    def segment(self, volume: Volume, domain: np.ndarray) -> dict[str, np.ndarray]:
        return {"Femur": (volume.array > 600) & (volume.array < 800) & domain}


def by_key(pair: Pair, settings: MeasureSettings, families: list[str] | None = None) -> Rows:
    done = measure_pair(pair, families=families, settings=settings, case="c", patient="p", site="s")
    assert not [row.why for row in done.rows if row.metric == "family"]
    return {(row.metric, row.region, row.variant): row for row in done.rows}


@cache
def in_hu(reference: str, drawn: str) -> Rows:
    """Measure a CT by every family, with a learned segmenter and an uncertainty."""
    mask, nothing = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    mask[BODY] = True
    organ = nothing.copy()
    organ[PARTS["bone"][0]] = True
    one, two = (
        Volume(array=image, grid=GRID, quantity="HU")
        for image in (REFERENCES[reference], synthetic_of(reference, drawn))
    )
    std = Volume(array=np.abs(one.array) / 50 + 5, grid=GRID, quantity="HU")
    pair = Pair(
        reference=one,
        synthetic=two,
        source=one.with_array(one.array[::-1].copy()),
        mask=mask,
        structures={"GTV": organ if reference == "full" else nothing},
        prediction=Prediction(mean=two, std=std),
        instruments=Instruments(segmenters=(Window(),)),
    )
    return by_key(pair, SETTINGS)


# ---------------------------------------------------------------------------------------
# PET


def ball(*centre: int, radius: float) -> np.ndarray:
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    return np.linalg.norm(index - np.array(centre), axis=-1) <= radius


LESION, LIVER = ball(10, 10, 12, radius=5), ball(22, 20, 12, radius=5)


def suv(name: str) -> np.ndarray:
    image = np.where(LESION, 6.0, np.where(LIVER, 2.0, 1.0))
    image += np.random.default_rng(4).uniform(0, 0.2, SHAPE)
    return {
        "full": image,
        "bare": image,
        "copy": image,
        "cold": np.where(LIVER, 2.0, 1.0),
        "nothing": np.zeros(SHAPE),
        "noisy": image + np.random.default_rng(3).uniform(0, 0.5, SHAPE),
    }[name]


@cache
def in_suv(reference: str, drawn: str) -> Rows:
    """Measure a PET; in the bare reference lesion and liver are delineated without a voxel."""
    one, two = (
        Volume(array=suv(name).astype(np.float32), grid=GRID, quantity="SUVbw")
        for name in (reference, drawn)
    )
    there = reference == "full"
    structures = {"GTV": LESION & there, "Liver": LIVER & there}
    mask = np.ones(SHAPE, dtype=bool)
    pair = Pair(reference=one, synthetic=two, mask=mask, structures=structures)
    return by_key(pair, SETTINGS)


@cache
def in_arbitrary_units(reference: str, drawn: str) -> Rows:
    """Measure an MR; in the bare reference the organ is delineated without a voxel."""
    image = 100 * suv("full")
    images = {"copy": image, "louder": 2.5 * image, "mirrored": image[::-1].copy()}
    one, two = (
        Volume(array=found.astype(np.float32), grid=GRID, quantity="arbitrary")
        for found in (image, images[drawn])
    )
    structures = {"GTV": LESION & (reference == "full")}
    mask = np.ones(SHAPE, dtype=bool)
    mask[:2] = False
    return by_key(Pair(reference=one, synthetic=two, mask=mask, structures=structures), SETTINGS)


# ---------------------------------------------------------------------------------------
# Dose

GOALS = [
    {"structure": "Bladder", "goal": "V5Gy <= 60 %", "source": "A test."},
    {"structure": "Prostate", "goal": "D95% >= 50 Gy", "source": "A test."},
]
PHOTONS = plans.beams(plans.PHOTONS, 0, 90, goals=GOALS)
PLANS = DoseSettings(
    plans=(plans.choice(PHOTONS, "schneider-2000"), plans.choice(plans.ONE_PROTON)),
    **(plans.PLAIN | {"causes": True, "bulk": True, "scenarios": True}),
)


def planned_on(name: str) -> np.ndarray:
    return {"copy": plans.CT.array, "boneless": np.where(plans.BONE, 0, plans.CT.array)}[name]


@cache
def in_gy(reference: str, drawn: str) -> Rows:
    """Measure plans of photons and protons; in the bare reference bladder and bone are empty."""
    there = reference == "full"
    structures = {
        name: mask & (there or name != "Bladder")
        for name, mask in plans.STRUCTURES.items()
        if name in ("Bladder", "Prostate")
    }
    pair = plans.pair_of(planned_on(drawn), structures=structures)
    return by_key(pair, MeasureSettings(dose=PLANS), ["dose"])


# ---------------------------------------------------------------------------------------
# All of them


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What one kind of image is measured for.

    Parameters
    ----------
    rows
        From the name of a reference (``full`` or ``bare``) and of a synthetic image to its rows.
    synthetics
        The names of synthetic images; ``copy`` is the reference again.
    regions
        That the full reference has and the bare one lacks.
    """

    rows: Callable[[str, str], Rows]
    synthetics: tuple[str, ...]
    regions: tuple[str, ...]


SCENES = {
    "HU": Scene(rows=in_hu, synthetics=SYNTHETIC, regions=(*MATERIAL, "structure:GTV")),
    "SUV": Scene(
        rows=in_suv,
        synthetics=("copy", "cold", "nothing", "noisy"),
        regions=("structure:GTV", "structure:Liver"),
    ),
    "a.u.": Scene(
        rows=in_arbitrary_units,
        synthetics=("copy", "louder", "mirrored"),
        regions=("structure:GTV",),
    ),
    "Gy": Scene(rows=in_gy, synthetics=("copy", "boneless"), regions=("structure:Bladder",)),
}
