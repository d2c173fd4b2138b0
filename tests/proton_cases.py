"""Water, spots, a target in a box and its plans for the proton surrogate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.plan.plan import Plan, PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import BeamTemplate, PlanTemplate
from qa_suite.dose.protons import protons_range
from qa_suite.dose.protons.dose import beam_dose

MACHINE = load_machine("proton-generic")
PARALLEL = MACHINE.model_copy(update={"sad_mm": None})
JOULE_PER_MEV = 1.602176634e-13

# NIST PSTAR, CSDA range of protons in liquid water in g/cm²
PSTAR = {70: 4.080, 100: 7.718, 150: 15.77, 200: 25.96, 230: 32.95}


def water(shape: tuple[int, int, int], spacing: float = 2.0) -> Grid:
    """A grid around (0, ·, 0) whose first face lies at y = 0."""
    nx, _, nz = shape
    origin = (-(nx - 1) / 2 * spacing, spacing / 2, -(nz - 1) / 2 * spacing)
    return Grid(shape=shape, spacing_mm=(spacing,) * 3, origin_mm=origin)


def distal_depth_mm(depth_mm: FloatArray, dose: FloatArray, *, level: float = 0.8) -> float:
    """Return the depth behind the maximum where a curve falls to ``level`` of it, in mm.

    Linear between the points; depths must rise.
    """
    top = int(np.argmax(dose))
    below = np.flatnonzero(dose[top:] < level * dose[top])
    if below.size == 0:
        return float(depth_mm[-1])
    n = top + int(below[0])
    share = (dose[n - 1] - level * dose[top]) / (dose[n - 1] - dose[n])
    return float(depth_mm[n - 1] + share * (depth_mm[n] - depth_mm[n - 1]))


def widening(angles: FloatArray, depth_mm: FloatArray) -> FloatArray:
    """Return the lateral variance in mm² that scattering adds in water, shape (depths,).

    Parameters
    ----------
    angles
        From :func:`angle_variance`, at ``depth_mm``.
    """
    gained = np.diff(angles)
    step = np.diff(depth_mm)
    a0 = a1 = a2 = 0.0
    out = [0.0]
    for more, dz in zip(gained, step, strict=True):
        a2 += 2 * a1 * dz + a0 * dz * dz + more * dz * dz / 3
        a1 += a0 * dz + more * dz / 2
        a0 += more
        out.append(a2)
    return np.asarray(out)


def one_spot(energy: float, gantry: float = 0.0, protons: float = 1000.0) -> PlannedBeam:
    spots = ProtonSpots(
        energy_mev=np.array([energy]),
        x_mm=np.zeros(1),
        y_mm=np.zeros(1),
        weight=np.array([protons]),
    )
    return PlannedBeam(geometry=BeamTemplate(gantry_deg=gantry), weight=1.0, delivery=spots)


def dose_of(
    density: NDArray[np.float32],
    grid: Grid,
    beam: PlannedBeam,
    isocentre_mm: Triple = (0.0, 50.0, 0.0),
    machine: object = PARALLEL,
) -> NDArray[np.float64]:
    return beam_dose(
        density, grid, beam, isocentre_mm=isocentre_mm, machine=machine, beamlet_mm=5.0
    )  # type: ignore[arg-type]


def template(*gantry: float, dose_gy: float = 60.0) -> PlanTemplate:
    return PlanTemplate.model_validate(
        {
            "name": "test",
            "modality": "protons",
            "anatomy": "box",
            "engine": "protons-range",
            "machine": "proton-generic",
            "technique": "spots",
            "beams": [{"gantry_deg": g} for g in gantry],
            "prescription": {"dose_gy": dose_gy, "fractions": 30},
            "targets": [{"structures": ["PTV"]}],
            "source": "A test.",
        }
    )


BOX = Grid(shape=(52, 52, 30), spacing_mm=(3.0,) * 3, origin_mm=(-76.5, -76.5, -43.5))
PLACES_MM = BOX.to_world(np.moveaxis(np.indices(BOX.shape), 0, -1))
BODY = np.where((np.abs(PLACES_MM[..., :2]) < 72).all(axis=-1), 1.0, 0.0).astype(np.float32)
TARGET = (np.abs(PLACES_MM) < 20).all(axis=-1)
ORGAN = (np.abs(PLACES_MM - [0, -50, 0]) < 12).all(axis=-1)


def make_plan(*gantry: float, density: NDArray[np.float32] = BODY) -> tuple[object, Plan]:
    engine = protons_range("proton-generic")
    plan = engine.plan(
        density,
        BOX,
        target=TARGET,
        avoid={"Organ": ORGAN},
        isocentre_mm=(0.0, 0.0, 0.0),
        template=template(*gantry),
        hlut=load_hlut("electron-density-as-rsp"),
        target_name="PTV",
    )
    return engine, plan
