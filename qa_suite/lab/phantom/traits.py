"""Who the virtual patients are: one patient in numbers, drawn from a hospital's case mix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class CaseMix:
    """Whom a hospital sees: mean and spread of what differs between patients.

    Parameters
    ----------
    age_years, fat_mm
        Mean and standard deviation; ``fat_mm`` is the lateral subcutaneous fat.
    bladder_ml, prostate_ml
        Median and geometric spread.
    """

    age_years: tuple[float, float] = (68.0, 7.0)
    fat_mm: tuple[float, float] = (20.0, 7.0)
    bladder_ml: tuple[float, float] = (170.0, 1.45)
    prostate_ml: tuple[float, float] = (42.0, 1.35)


@dataclass(frozen=True, kw_only=True)
class Traits:
    """One patient in numbers; lengths in mm, angles in degrees.

    ``muscle`` scales the thickness of the muscles, ``marbling`` is the largest share of fat
    within them, ``rectum`` scales its width, ``gas`` says how much of it is filled with gas,
    ``bone_density`` scales the share of bone in trabecular bone.
    """

    age_years: float
    size: tuple[float, float, float]
    fat_mm: float
    visceral_mm: float
    muscle: float
    marbling: float
    tilt_deg: float
    femur_rotation_deg: tuple[float, float]
    bladder_ml: float
    prostate_ml: float
    rectum: float
    gas: float
    bone_density: float
    lesion_side: int


def draw_traits(rng: np.random.Generator, mix: CaseMix) -> Traits:
    """Draw one patient's numbers from a hospital's case mix."""

    def normal(mean: float, spread: float, low: float, high: float) -> float:
        return float(np.clip(rng.normal(mean, spread), low, high))

    age = normal(*mix.age_years, 45, 88)
    stature = normal(1.0, 0.03, 0.93, 1.07)
    fat = normal(*mix.fat_mm, 9, 38)
    return Traits(
        age_years=age,
        size=(
            normal(stature, 0.02, 0.92, 1.07),
            normal(stature, 0.025, 0.92, 1.08),
            normal(stature, 0.02, 0.92, 1.08),
        ),
        fat_mm=fat,
        visceral_mm=normal(6 + 0.5 * (fat - 15), 6, 0, 24),
        muscle=normal(1.0 - 0.004 * (age - 68), 0.05, 0.85, 1.12),
        marbling=normal(0.13 + 0.004 * (age - 68), 0.04, 0.03, 0.30),
        tilt_deg=normal(0, 4, -8, 8),
        femur_rotation_deg=(normal(0, 7, -15, 15), normal(0, 7, -15, 15)),
        bladder_ml=float(
            np.clip(mix.bladder_ml[0] * mix.bladder_ml[1] ** rng.standard_normal(), 60, 420)
        ),
        prostate_ml=float(
            np.clip(mix.prostate_ml[0] * mix.prostate_ml[1] ** rng.standard_normal(), 22, 95)
        ),
        rectum=normal(1.0, 0.12, 0.78, 1.25),
        gas=float(rng.uniform(0.25, 1.0)),
        bone_density=normal(1.0 - 0.008 * (age - 68), 0.10, 0.72, 1.28),
        lesion_side=int(rng.choice([-1, 1])),
    )
