"""Further scans of a virtual patient: PET and cone-beam CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Quantity, Triple, Volume
from qa_suite.lab.phantom import cbct, pet
from qa_suite.lab.phantom.anatomy import sample
from qa_suite.lab.phantom.parts import LABELS
from qa_suite.lab.phantom.randomness import generator
from qa_suite.lab.phantom.scan import VirtualPatient
from qa_suite.lab.phantom.uptake import PatientUptake, draw_uptake, uptake_map


@dataclass(frozen=True, kw_only=True)
class PETScan:
    """The FDG-PET of one patient, on the grid of his other scans; all in SUVbw.

    Parameters
    ----------
    image, noise_free
        What the scanner shows, and the same before noise.
    truth
        The uptake itself, before the point spread and without the calibration error.
    focus
        Mask of the focus in the marrow that MR and CT do not show; empty where he has none.
    uptake
        His uptake in numbers.
    """

    image: Volume
    noise_free: Volume
    truth: Volume
    focus: NDArray[np.bool_]
    uptake: PatientUptake


@dataclass(frozen=True, kw_only=True)
class CBCTScan:
    """The cone-beam CT of one patient, on the grid of his other scans.

    Parameters
    ----------
    image
        In HU; outside the field of view stands :data:`qa_suite.lab.phantom.cbct.OUTSIDE_HU`.
    seen
        Where the scanner looked.
    isocentre_mm
        Middle of the field of view: that of the prostate, LPS.
    """

    image: Volume
    seen: NDArray[np.bool_]
    isocentre_mm: Triple


def scan_pet(patient: VirtualPatient) -> PETScan:
    """Scan a patient with the PET of his hospital."""
    protocol, grid = patient.hospital.pet, patient.grid
    rng = generator(patient.seed, patient.hospital.name, patient.index, "pet")
    uptake = draw_uptake(patient.anatomy, protocol.urine_suv, rng)
    true, focus = uptake_map(patient.anatomy, grid, uptake)
    clean = pet.blurred(true, grid, protocol)
    noisy = pet.clip(clean + pet.noise(clean, patient.body, grid, protocol, rng))
    step = f"FDG-PET, {protocol.reconstruction}, {protocol.fwhm_mm:g} mm"
    return PETScan(
        image=_volume(patient, noisy, "SUVbw", step),
        noise_free=_volume(patient, clean, "SUVbw", step, "without noise"),
        truth=_volume(patient, true, "SUVbw", "true uptake"),
        focus=focus >= 0.5,
        uptake=uptake,
    )


def scan_cbct(patient: VirtualPatient) -> CBCTScan:
    """Scan a patient with the cone-beam CT of his hospital, as he lay for the CT.

    Raises
    ------
    InputError
        If the patient's grid is not axial: the field of view is a cylinder along z.
    """
    protocol, grid = patient.hospital.cbct, patient.grid
    if not np.allclose(grid.axes, np.eye(3), atol=1e-6):
        raise InputError(
            f"A cone-beam CT needs an axial grid with axes along x, y, z, got {grid.direction}."
        )
    rng = generator(patient.seed, patient.hospital.name, patient.index, "cbct")
    isocentre = patient.anatomy.pose.to_scanner(patient.anatomy.prostate.centre_mm)
    gas = np.concatenate(
        [slab.shares[LABELS["gas"]] for slab in sample(patient.anatomy, grid)], axis=2
    )
    hu, seen = cbct.image(
        patient.ct_noise_free.array, gas, patient.body, grid, isocentre, protocol, rng
    )
    step = f"cone-beam CT, {protocol.diameter_mm:g} mm wide, {protocol.length_mm:g} mm long"
    return CBCTScan(image=_volume(patient, hu, "HU", step), seen=seen, isocentre_mm=isocentre)


def _volume(
    patient: VirtualPatient, array: NDArray[np.float32], quantity: Quantity, *steps: str
) -> Volume:
    history = (*patient.ct.history, *steps)
    return Volume(array=array, grid=patient.grid, quantity=quantity, history=history)
