"""What the reference engine is asked: one delivered plan, computed on several images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.plan.plan import Plan, PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import Modality
from qa_suite.dose.range.pstar import range_mm

ReferenceEngine = Literal["pyradplan", "pyradmc"]
PHOTON_SAD_MM = 1000.0
PROTON_SAD_MM = 10_000.0  # of pyRadPlan's generic proton machine


@dataclass(frozen=True, kw_only=True)
class ReferenceJob:
    """One plan and the images that it is computed on.

    Parameters
    ----------
    modality
        Photons or protons.
    grid
        Of the densities and the doses; its axes must be those of LPS (no oblique grids).
    densities
        By image name: relative electron density (photons) or relative stopping power (protons),
        water 1, air 0, shape of the grid. No table stands between these and the dose.
    beams
        With fluence and weights, or spots; the same for every image. Spots are matched to the
        machine's by their range in water, not by their nominal energy.
    isocentre_mm
        LPS.
    engine
        ``pyradplan`` (pencil beams, both modalities) or ``pyradmc`` (Monte Carlo, photons).
    machine
        Name of pyRadPlan's machine, or of a linac's spectrum for the Monte Carlo, such as
        ``varian-10mv``.
    sad_mm
        Source to axis distance; None is that of pyRadPlan's generic machine.
    lateral_cutoff_mm
        Distance from a pencil, or from a field's edge, within which dose is computed.
    histories
        Photons started per beam; Monte Carlo only.
    seed
        Of the Monte Carlo.
    """

    modality: Modality
    grid: Grid
    densities: Mapping[str, NDArray[np.float32]] = field(repr=False)
    beams: tuple[PlannedBeam, ...] = field(repr=False)
    isocentre_mm: Triple
    engine: ReferenceEngine = "pyradplan"
    machine: str = "Generic"
    sad_mm: float | None = None
    lateral_cutoff_mm: float = 60.0
    histories: int = 1_000_000
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.densities or not self.beams:
            raise InputError("A reference dose needs at least one image and one beam.")
        if not np.allclose(np.asarray(self.grid.direction), np.eye(3).ravel(), atol=1e-6):
            raise GeometryError(
                "The reference engine takes grids along the patient's axes (LPS) only; resample "
                f"the image first (direction {self.grid.direction})."
            )
        if self.engine == "pyradmc" and self.modality != "photons":
            raise InputError("pyradmc computes photons only; use pyradplan for protons.")
        for name, density in self.densities.items():
            self._require_density(name, density)
        for beam in self.beams:
            if isinstance(beam.delivery, ProtonSpots) != (self.modality == "protons"):
                raise InputError(
                    f"Beam {beam.geometry.label} does not carry what {self.modality} need."
                )

    def _require_density(self, name: str, density: NDArray[np.float32]) -> None:
        if not name.isidentifier():
            raise InputError(f"'{name}' is no name for an image; use letters, digits and '_'.")
        if density.shape != self.grid.shape:
            raise GeometryError(
                f"The density of {name} has shape {density.shape} and the grid {self.grid.shape}."
            )
        if not np.isfinite(density).all() or density.min() < 0:
            raise InputError(f"The density of {name} holds voxels below 0 or that are no number.")

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the answer."""
        digest = hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode())
        for name, array in sorted(self.arrays().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return what is written as JSON."""
        sad_mm = self.sad_mm or (PHOTON_SAD_MM if self.modality == "photons" else PROTON_SAD_MM)
        return {
            "engine": self.engine,
            "modality": self.modality,
            "machine": self.machine,
            "images": sorted(self.densities),
            "spacing_mm": list(self.grid.spacing_mm),
            "origin_mm": list(self.grid.origin_mm),
            "direction": list(self.grid.direction),
            "isocentre_mm": list(self.isocentre_mm),
            "lateral_cutoff_mm": self.lateral_cutoff_mm,
            "histories": self.histories if self.engine == "pyradmc" else 0,
            "seed": self.seed if self.engine == "pyradmc" else 0,
            "beams": [_beam_facts(beam, sad_mm) for beam in self.beams],
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is written as arrays."""
        found: dict[str, NDArray[Any]] = {
            f"density_{name}": np.asarray(density, dtype=np.float32)
            for name, density in self.densities.items()
        }
        for number, beam in enumerate(self.beams):
            if isinstance(beam.delivery, ProtonSpots):
                spots = beam.delivery
                found[f"spots_{number}"] = np.column_stack(
                    [range_mm(spots.energy_mev), spots.x_mm, spots.y_mm, spots.weight * beam.weight]
                )
            else:
                found[f"fluence_{number}"] = np.asarray(beam.delivery.fluence, dtype=np.float32)
        return found

    def write(self, path: Path) -> None:
        """Write the job as the worker reads it."""
        arrays: dict[str, Any] = self.arrays()
        np.savez(path, facts=np.array(json.dumps(self.facts())), **arrays)


def job_of(
    plan: Plan, densities: Mapping[str, NDArray[np.float32]], **settings: Any
) -> ReferenceJob:
    """Return the job that computes a plan of ours on densities of its grid."""
    return ReferenceJob(
        modality=plan.template.modality,
        grid=plan.grid,
        densities=densities,
        beams=plan.beams,
        isocentre_mm=plan.isocentre_mm,
        **settings,
    )


def _beam_facts(beam: PlannedBeam, sad_mm: float) -> dict[str, Any]:
    spots = isinstance(beam.delivery, ProtonSpots)
    return {
        "gantry_deg": beam.geometry.gantry_deg,
        "couch_deg": beam.geometry.couch_deg,
        "collimator_deg": beam.geometry.collimator_deg,
        "weight": 1.0 if spots else beam.weight,
        "pixel_mm": None if isinstance(beam.delivery, ProtonSpots) else beam.delivery.pixel_mm,
        "sad_mm": sad_mm,
    }
