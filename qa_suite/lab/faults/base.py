"""What a planted fault is: a scene, one change at a set severity, and the facts about it.

A *scene* is one virtual patient with the *clean image* that a known-good candidate made of him.
A fault spoils that image, and nothing else; where it needs an anatomy that the patient does
not have (a lesion to be lost), the anatomy is planted into the reference and the clean image
first, so that the fault is the only difference between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.errors import InputError
from qa_suite.core.registry import Registry
from qa_suite.core.volume import Grid, Volume
from qa_suite.lab.phantom.parts import LABELS

AIR_HU = -1000.0
Hits = Literal["all", "site", "sites", "patient", "examinations"]
ONE_PATIENT: tuple[Hits, ...] = ("patient", "examinations")
"""Faults that are planted into one patient of a cohort at a time."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One virtual patient and the image that a known-good candidate made of him.

    Parameters
    ----------
    case
        Its name; also seeds what is random in a fault.
    source, reference
        MR and CT with its noise.
    clean
        The candidate's image of him, without a fault.
    body
        The patient's body; bool.
    labels
        Part with the largest share of each voxel, see :data:`qa_suite.lab.phantom.LABELS`.
    structures
        Delineated structures by name.
    stranger
        Makes the candidate's clean image of another patient, on the same grid.
    average
        Makes the mean CT of other patients, on the same grid.
    side
        +1 or −1: which of two that a fault spoils in opposite ways this one is, such as the two
        sites or the two examinations of a fault that cancels between them.
    """

    case: str
    source: Volume
    reference: Volume
    clean: Volume
    body: Mask
    labels: NDArray[np.uint8]
    structures: Mapping[str, Mask] = field(default_factory=dict)
    stranger: Callable[[], Volume]
    average: Callable[[], Volume]
    side: int = 1

    @property
    def grid(self) -> Grid:
        """The grid of all volumes."""
        return self.reference.grid

    @cached_property
    def bone(self) -> Mask:
        """Voxels that are mostly bone or marrow."""
        return self.is_part(
            "bone_cortical", "marrow_pelvis", "marrow_sacrum", "marrow_femur", "marrow_shaft"
        )

    def structure(self, name: str) -> Mask:
        """Mask of a delineated structure.

        Raises
        ------
        InputError
            If the patient has none of that name, or it lies outside the image.
        """
        mask = self.structures.get(name)
        if mask is None or not mask.any():
            raise InputError(f"There is no {name} in this patient's image.")
        return mask

    def is_part(self, *parts: str) -> Mask:
        """Voxels that are mostly one of the named parts of the body."""
        return np.isin(self.labels, [LABELS[part] for part in parts])


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What a fault made of a scene.

    Parameters
    ----------
    synthetic
        The faulted image.
    reference, clean, source
        The reference, the clean image and the source image that it is held against; those of
        the scene unless the fault needed an anatomy of its own.
    """

    synthetic: Volume
    reference: Volume
    clean: Volume
    source: Volume


class FaultFacts(BaseModel):
    """The facts of one fault: how severe it can be, when it matters, and what must answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    title: str = Field(min_length=1)
    unit: str = Field(min_length=1, description="of the severity")
    severities: tuple[float, ...] = Field(min_length=1, description="from mild to severe")
    clinical: float = Field(description="from this severity on it matters to a patient")
    why_clinical: str = Field(min_length=1, description="the reason, by dose, range or mm")
    hits: Hits = Field(
        description="every image; the images of one site; of two sites, in opposite ways; one "
        "image of the cohort; or two examinations of one patient, in opposite ways"
    )
    changes_dose: bool = Field(
        default=False, description="whether a finding of dose or range names this fault too"
    )
    answers: tuple[tuple[str, str], ...] = Field(
        min_length=1, description="(metric, region) of the findings that name this fault"
    )
    answers_alone: tuple[str, ...] = Field(
        default=(), description="metrics that name it where there is no reference"
    )

    @model_validator(mode="after")
    def _clinical_is_tried(self) -> FaultFacts:
        if self.clinical not in self.severities:
            raise ValueError("the clinical severity must be one of those that are tried")
        return self

    def matters(self, severity: float) -> bool:
        """Whether a severity is at least the clinical one, in the order of the list."""
        return self.severities.index(severity) >= self.severities.index(self.clinical)


FAULTS: Registry[FaultFacts] = Registry("fault")
"""Functions ``(scene, severity, generator) -> Volume | Planted``; see :func:`plant`."""


def plant(scene: Scene, name: str, severity: float, rng: np.random.Generator) -> Planted:
    """Plant one fault into a scene.

    Parameters
    ----------
    scene
        The patient; not changed.
    name
        A registered fault.
    severity
        In the unit of the fault's facts.
    rng
        Of whatever is random, such as the place of a lesion.

    Returns
    -------
    Planted

    Raises
    ------
    UnknownName
        If there is no such fault.
    InputError
        If the patient has no place for it, such as no soft tissue thick enough for a lesion.
    """
    made = FAULTS[name].function(scene, severity, rng)
    if isinstance(made, Planted):
        return made
    return Planted(
        synthetic=made, reference=scene.reference, clean=scene.clean, source=scene.source
    )


def changed(volume: Volume, array: Float32Array, step: str) -> Volume:
    """Return the volume with other values, none below what a CT can store."""
    return volume.with_array(
        np.maximum(array, np.float32(-1024.0)).astype(np.float32), step=f"fault: {step}"
    )


def ball(grid: Grid, centre: NDArray[np.float64], radius_mm: float) -> Float32Array:
    """Share of every voxel inside a ball around a fractional voxel index, about exactly."""
    axes = [
        (np.arange(n, dtype=np.float64) - c) * s
        for n, c, s in zip(grid.shape, centre, grid.spacing_mm, strict=True)
    ]
    x, y, z = np.ix_(*axes)
    distance = np.sqrt(x * x + y * y + z * z)
    ramp = float(np.mean(grid.spacing_mm))
    return np.clip(0.5 + (radius_mm - distance) / ramp, 0, 1).astype(np.float32)


def blend(array: Float32Array, share: Float32Array, hu: float) -> Float32Array:
    """Give every voxel its share of another value."""
    return np.asarray(array * (1 - share) + np.float32(hu) * share, dtype=np.float32)


def depth_mm(mask: Mask, grid: Grid) -> NDArray[np.float64]:
    """Distance of every voxel of a mask to the nearest one outside it, in mm."""
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(mask, sampling=grid.spacing_mm))


def place(
    mask: Mask, grid: Grid, radius_mm: float, rng: np.random.Generator, what: str
) -> NDArray[np.float64]:
    """Choose a voxel of a mask around which a ball of a radius fits; an index, shape (3,).

    Raises
    ------
    InputError
        If the ball fits nowhere.
    """
    inside = mask.copy()
    inside[..., :2] = inside[..., -2:] = False
    fits = np.argwhere(depth_mm(inside, grid) > radius_mm)
    if len(fits) == 0:
        raise InputError(f"There is no room for {what} of {2 * radius_mm:.0f} mm in this patient.")
    return np.asarray(fits[rng.integers(len(fits))], dtype=np.float64)
