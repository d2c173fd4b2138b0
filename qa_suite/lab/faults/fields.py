"""Faults of a smooth or stepped field: signed errors that cancel in the mean over the body.

Every field here has the mean zero over the body, so that no bias of the whole names it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import FAULTS, FaultFacts, Scene, changed
from qa_suite.lab.faults.numbers import DOSE_RULE

Field = Callable[[Scene, np.random.Generator], Float32Array]

_FIELD = (
    ("shading", "body"),
    ("octant_error", "body"),
    ("block_error", "body"),
    ("beam_depth_error", "body"),
    ("arc_depth_error", "body"),
)
_ALONE = ("muscle_level", "fat_level", "air_error")


def _add(
    name: str,
    field: Field,
    *,
    title: str,
    severities: tuple[float, ...],
    clinical: float,
    why: str,
    answers: tuple[tuple[str, str], ...] = _FIELD,
) -> None:
    """Register the fault that adds a field of mean zero, scaled by the severity in HU."""

    def fault(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
        pattern = field(scene, rng)
        level = pattern[scene.body].mean(dtype=np.float64)
        added = np.where(scene.body, (pattern - level) * severity, 0)
        array = scene.clean.array + added.astype(np.float32)
        return changed(scene.clean, array, f"{title.lower()}, ±{severity:g} HU")

    facts = FaultFacts(
        title=title,
        unit="HU, ±",
        severities=severities,
        clinical=clinical,
        why_clinical=why,
        hits="all",
        changes_dose=True,
        answers=answers,
        answers_alone=_ALONE,
    )
    FAULTS.add(name, facts)(fault)


def place(scene: Scene, axis: int) -> Float32Array:
    """Where a voxel lies between the two ends of the body along an axis: −1 to 1."""
    others = tuple(other for other in range(3) if other != axis)
    inside = np.flatnonzero(scene.body.any(axis=others))
    middle, half = (inside[0] + inside[-1]) / 2, max((inside[-1] - inside[0]) / 2, 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    along = ((np.arange(scene.grid.shape[axis]) - middle) / half).reshape(shape)
    return np.broadcast_to(along, scene.grid.shape).astype(np.float32)


def _ramp(axis: int) -> Field:
    return lambda scene, _: place(scene, axis)


def _halves(axis: int) -> Field:
    return lambda scene, _: np.sign(place(scene, axis)).astype(np.float32)


def _cup(scene: Scene, _: np.random.Generator) -> Float32Array:
    """From −1 in the middle of the body to 1 at its skin, slice by slice."""
    x, y = place(scene, 0), place(scene, 1)
    return np.asarray(2 * np.clip(x * x + y * y, 0, 1) - 1, dtype=np.float32)


def _saddle(scene: Scene, _: np.random.Generator) -> Float32Array:
    """Quarters of the cross-section that lie too high and too low by turns."""
    return np.asarray(4 * place(scene, 0) * place(scene, 1), dtype=np.float32).clip(-1, 1)


def _patches(scene: Scene, rng: np.random.Generator) -> Float32Array:
    """Cubes of 48 mm that lie too high and too low by turns, as of patches put together."""
    index = [
        np.floor((np.arange(n) * s + rng.uniform(0, 48)) / 48)
        for n, s in zip(scene.grid.shape, scene.grid.spacing_mm, strict=True)
    ]
    i, j, k = np.ix_(*index)
    return np.where((i + j + k) % 2 == 0, 1, -1).astype(np.float32)


def _coil(scene: Scene, rng: np.random.Generator) -> Float32Array:
    """Return a patch of 60 mm (SD) around a place in the body, as under an element of a coil."""
    inside = np.argwhere(scene.body)
    centre = inside[rng.integers(len(inside))]
    axes = [
        (np.arange(n) - c) * s / 60
        for n, c, s in zip(scene.grid.shape, centre, scene.grid.spacing_mm, strict=True)
    ]
    x, y, z = np.ix_(*axes)
    return np.exp(-(x * x + y * y + z * z) / 2).astype(np.float32)


# name: field, title, severities, the clinical one, and the water that it costs
_MEASURED: dict[str, tuple[Field, str, tuple[float, ...], float, str]] = {
    "shading_x": (
        _ramp(0),
        "Shading from left to right",
        (20, 40, 60, 120),
        60,
        "4.6 mm to the middle in a lateral beam, and more beyond",
    ),
    "shading_y": (
        _ramp(1),
        "Shading from front to back",
        (30, 60, 100, 200),
        100,
        "5.1 mm in one beam",
    ),
    "shading_z": (
        _ramp(2),
        "Shading from feet to head",
        (15, 30, 45, 90),
        45,
        "2.6 mm in the mean",
    ),
    "halves_x": (
        _halves(0),
        "Step between the left and the right half",
        (10, 20, 35, 70),
        35,
        "5.3 mm in a lateral beam",
    ),
    "halves_z": (
        _halves(2),
        "Step between the lower and the upper half",
        (10, 25, 50, 100),
        25,
        "2.9 mm in the mean",
    ),
    "cupping": (_cup, "Cupping", (15, 30, 60, 120), 60, "2.5 mm in the mean"),
    "saddle": (
        _saddle,
        "Quarters of the body by turns",
        (20, 40, 65, 130),
        65,
        "5.3 mm in one beam",
    ),
    "coil_patch": (_coil, "One element of a coil", (40, 80, 170, 340), 170, "5.2 mm in one beam"),
    "checkerboard": (
        _patches,
        "Checkerboard of patches",
        (15, 35, 70, 140),
        70,
        "5.2 mm in one beam",
    ),
}
for _name, (_field_of, _title, _severities, _clinical, _found) in _MEASURED.items():
    _add(
        _name,
        _field_of,
        title=_title,
        severities=_severities,
        clinical=_clinical,
        why=f"{DOSE_RULE}; measured here or scaled from another severity: {_found}",
    )
