"""Boxes of water with slabs and slopes in them, and the plans that irradiate them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.machines.photon import PhotonMachine, load_photon_machine
from qa_suite.dose.plan.plan import PhotonField, Plan, PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import (
    BeamTemplate,
    Modality,
    PlanTemplate,
    Prescription,
    TargetRule,
)

LUNG, BONE = 0.25, 1.6
"""Relative electron density and stopping power of the slabs; the same number for both."""

ISOCENTRE: Triple = (0.0, 0.0, 0.0)


def box(
    width_mm: float,
    depth_mm: float,
    isocentre_depth_mm: float,
    spacing_mm: float,
    step_mm: float | None = None,
) -> Grid:
    """A box whose front face lies ``isocentre_depth_mm`` before the isocentre, an odd width."""
    step = step_mm or spacing_mm
    across = 2 * int(width_mm / 2 / spacing_mm) + 1
    along = round(depth_mm / step)
    edge = -(across - 1) / 2 * spacing_mm
    return Grid(
        shape=(across, along, across),
        spacing_mm=(spacing_mm, step, spacing_mm),
        origin_mm=(edge, -isocentre_depth_mm + step / 2, edge),
    )


def depths_mm(grid: Grid, isocentre_depth_mm: float) -> NDArray[np.float64]:
    """Depths of the voxel centres below the front face."""
    along = grid.origin_mm[1] + np.arange(grid.shape[1]) * grid.spacing_mm[1]
    return np.asarray(along + isocentre_depth_mm)


def water(grid: Grid) -> Float32Array:
    return np.ones(grid.shape, dtype=np.float32)


def slab(
    grid: Grid, isocentre_depth_mm: float, start_mm: float, end_mm: float, density: float
) -> Float32Array:
    """Water with a slab across the whole box; a voxel cut by its face is mixed."""
    depth = depths_mm(grid, isocentre_depth_mm)
    half = grid.spacing_mm[1] / 2
    inside = np.minimum(depth + half, end_mm) - np.maximum(depth - half, start_mm)
    share = np.clip(inside, 0, None) / (2 * half)
    return np.broadcast_to((1 + share * (density - 1))[None, :, None], grid.shape).astype(
        np.float32
    )


def half_slab(
    grid: Grid, isocentre_depth_mm: float, start_mm: float, end_mm: float, density: float
) -> Float32Array:
    """As a slab, but only where x > 0: every ray beside it crosses water alone."""
    made = water(grid).copy()
    made[grid.shape[0] // 2 + 1 :] = slab(grid, isocentre_depth_mm, start_mm, end_mm, density)[
        grid.shape[0] // 2 + 1 :
    ]
    return made


def slope(grid: Grid, angle_deg: float, isocentre_depth_mm: float) -> Float32Array:
    """Water below a face that is tilted about z; the isocentre lies this deep on the axis."""
    x = grid.origin_mm[0] + np.arange(grid.shape[0]) * grid.spacing_mm[0]
    y = grid.origin_mm[1] + np.arange(grid.shape[1]) * grid.spacing_mm[1]
    fine = (np.arange(5) - 2) / 5
    share = np.zeros((x.size, y.size))
    for dx in fine * grid.spacing_mm[0]:
        for dy in fine * grid.spacing_mm[1]:
            face = -isocentre_depth_mm + np.tan(np.deg2rad(angle_deg)) * (x + dx)
            share += (y + dy)[None, :] > face[:, None]
    return np.broadcast_to((share / 25)[:, :, None], grid.shape).astype(np.float32)


def square_field(
    side_mm: float, machine: PhotonMachine | str, *, gantry_deg: float = 0.0
) -> PlannedBeam:
    """A square field of one monitor unit, sent through the head of a machine."""
    from qa_suite.dose.photons.fluence import PIXEL_MM, PIXELS, machine_fluence

    edge = round(side_mm / 2 / PIXEL_MM)
    middle = PIXELS // 2
    aperture = np.zeros((PIXELS, PIXELS))
    aperture[middle - edge : middle + edge, middle - edge : middle + edge] = 1.0
    fluence = machine_fluence(
        aperture, load_photon_machine(machine) if isinstance(machine, str) else machine
    )
    return PlannedBeam(
        geometry=BeamTemplate(gantry_deg=gantry_deg),
        weight=1.0,
        delivery=PhotonField(fluence=fluence, pixel_mm=PIXEL_MM),
    )


def spot_beam(
    energies_mev: Sequence[float],
    weights: Sequence[float],
    *,
    side_mm: float = 0.0,
    step_mm: float = 4.0,
    gantry_deg: float = 0.0,
) -> PlannedBeam:
    """Spots of some energies, at the axis or on a square raster."""
    half = int(side_mm / 2 / step_mm)
    places = step_mm * np.arange(-half, half + 1)
    x, y, which = np.meshgrid(places, places, np.arange(len(energies_mev)), indexing="ij")
    return PlannedBeam(
        geometry=BeamTemplate(gantry_deg=gantry_deg),
        weight=1.0,
        delivery=ProtonSpots(
            energy_mev=np.asarray(energies_mev, dtype=float)[which.ravel()],
            x_mm=x.ravel().astype(float),
            y_mm=y.ravel().astype(float),
            weight=np.asarray(weights, dtype=float)[which.ravel()],
        ),
    )


def plan_of(
    grid: Grid, beams: Sequence[PlannedBeam], modality: Modality, engine: str, machine: str
) -> Plan:
    """A plan that was not optimised: these beams as they are."""
    template = PlanTemplate(
        name="commissioning",
        modality=modality,
        anatomy="phantom",
        engine=engine,
        machine=machine,
        technique="conformal" if modality == "photons" else "spots",
        beams=tuple(beam.geometry for beam in beams),
        prescription=Prescription(dose_gy=1.0, fractions=1),
        targets=(TargetRule(structures=("none",)),),
        source="commissioning",
    )
    return Plan(
        template=template,
        engine=engine,
        isocentre_mm=ISOCENTRE,
        grid=grid,
        target="none",
        target_mask=np.zeros(grid.shape, dtype=bool),
        beams=tuple(beams),
        hlut=("none", "none"),
    )
