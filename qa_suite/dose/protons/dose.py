"""Dose of spots that are given: fluence on the fan, depth dose on its rays, scattering across.

1. Each spot is split into the narrow sub-pencils of the fan's lattice, so that its protons and
   its width are kept.
2. Each sub-pencil loses energy along its own ray: what lies beside it does not matter.
3. What it leaves in a plane is spread over a Gaussian whose width its own ray has given it.
4. The planes are read at the voxel centres by cubic splines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.machines.proton import ProtonMachine
from qa_suite.dose.plan.plan import PlannedBeam, ProtonSpots
from qa_suite.dose.protons.fan import Fan, lattice, make_fan
from qa_suite.dose.protons.physics import STEP_MM, BeamTables, beam_tables
from qa_suite.dose.range.raytrace import beam_frame, in_threads

SUB_SHARE = 0.8
"""σ of a sub-pencil, in distances of the lattice: its sum over the lattice is flat to 10⁻⁵."""
_CUT = 4.0  # σ at which a Gaussian ends
_WIDEST = 0.03  # σ by scattering at the end of a range, in ranges, with room for gaps of air
_BIN_RATIO = 1.15  # σ of neighbouring bins
_MM2_IN_CM2 = 100.0
_PLANES_A_TASK = 8
_RAYS_A_TASK = 64
_ROWS_A_TASK = 8


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """How finely a beam is computed: rays and planes, in mm."""

    ray_mm: float
    plane_mm: float


def resolution_of(grid: Grid, beamlet_mm: float, sigma_mm: float) -> Resolution:
    """Choose rays at half a spot's distance and no wider than the spots allow.

    Parameters
    ----------
    grid
        Of the dose: planes lie at half of its smallest spacing, at most 1.5 mm.
    beamlet_mm
        Distance of the spots.
    sigma_mm
        Smallest σ of a spot in air.
    """
    parts = int(np.ceil(max(2.0, beamlet_mm / 3.0, beamlet_mm * SUB_SHARE / (0.8 * sigma_mm))))
    return Resolution(ray_mm=beamlet_mm / parts, plane_mm=min(1.5, min(grid.spacing_mm) / 2))


def beam_dose(
    density: NDArray[np.float32],
    grid: Grid,
    beam: PlannedBeam,
    *,
    isocentre_mm: Triple,
    machine: ProtonMachine,
    beamlet_mm: float,
) -> FloatArray:
    """Compute the dose of one beam, in Gy at every voxel centre, of the grid's shape.

    Parameters
    ----------
    density
        Relative stopping power on ``grid``, 0 outside the body, where the dose is 0 too.
    grid
        Its voxels.
    beam
        Its spots; ``weight`` multiplies them.
    isocentre_mm
        LPS position.
    machine
        What delivers them.
    beamlet_mm
        Distance of the spots, which decides how finely the beam is sampled.

    Raises
    ------
    InputError
        If the beam has no proton spots.
    """
    spots = beam.delivery
    if not isinstance(spots, ProtonSpots):
        raise InputError(f"The beam {beam.geometry.label} delivers no proton spots.")
    density = np.ascontiguousarray(density, dtype=np.float32)
    out = np.zeros(grid.shape)
    if spots.weight.size == 0 or not spots.weight.any():
        return out
    tables, layer = _layers(machine, spots)
    sampling = resolution_of(grid, beamlet_mm, float(tables.sigma_mm.min()))
    frame = beam_frame(beam.geometry, isocentre_mm, sad_mm=beam.sad_mm or machine.sad_mm)
    margin = halo_mm(tables, sampling)
    fan = make_fan(
        density,
        grid,
        frame,
        x_mm=lattice(spots.x_mm.min() - margin, spots.x_mm.max() + margin, sampling.ray_mm),
        y_mm=lattice(spots.y_mm.min() - margin, spots.y_mm.max() + margin, sampling.ray_mm),
        plane_mm=sampling.plane_mm,
        deepest_mm=float(tables.ends_mm.max()),
    )
    protons = fluence(fan, tables, layer, spots)
    planes = plane_doses(fan, tables, protons * beam.weight)
    return read_planes(fan, planes, density, grid, out)


def _layers(machine: ProtonMachine, spots: ProtonSpots) -> tuple[BeamTables, NDArray[np.intp]]:
    """Return tables of every energy (and width) of spots, and which of them each spot is of."""
    if spots.sigma_mm is None:
        energies, layer = np.unique(spots.energy_mev, return_inverse=True)
        return beam_tables(machine, energies), layer
    pairs = np.column_stack([spots.energy_mev, spots.sigma_mm])
    kinds, layer = np.unique(pairs, axis=0, return_inverse=True)
    return replace(beam_tables(machine, kinds[:, 0]), sigma_mm=kinds[:, 1]), layer.ravel()


def halo_mm(tables: BeamTables, sampling: Resolution) -> float:
    """Return how far from a spot there may be dose, in the isocentre plane."""
    scattered = _WIDEST * float(tables.ends_mm.max())
    return _CUT * float(np.hypot(tables.sigma_mm.max(), scattered)) + sampling.ray_mm


def split_sigma_mm(sigma_mm: float, ray_mm: float) -> float:
    """Return σ of the lattice weights that make a spot out of sub-pencils."""
    return float(np.sqrt(max(sigma_mm**2 - (SUB_SHARE * ray_mm) ** 2, 1e-6)))


def fluence(
    fan: Fan, tables: BeamTables, layer: NDArray[np.intp], spots: ProtonSpots
) -> FloatArray:
    """Return the protons (10⁶) of every sub-pencil, shape (energies, rays).

    A spot's protons are shared by a Gaussian of its width less a sub-pencil's; the shares of
    one spot add up to 1.
    """
    out = np.zeros((tables.energies_mev.size, fan.y_mm.size, fan.x_mm.size))
    for n, sigma in enumerate(tables.sigma_mm):
        chosen = layer == n
        wide = split_sigma_mm(float(sigma), fan.spacing_mm)
        across = _shares(fan.x_mm, spots.x_mm[chosen], wide)
        along = _shares(fan.y_mm, spots.y_mm[chosen], wide)
        out[n] = (along * spots.weight[chosen, None]).T @ across
    return out.reshape(tables.energies_mev.size, -1)


def _shares(points: FloatArray, centres: FloatArray, sigma: float) -> FloatArray:
    away = (points[None, :] - centres[:, None]) / sigma
    value = np.where(np.abs(away) <= _CUT, np.exp(-0.5 * away**2), 0.0)
    return np.asarray(value / value.sum(axis=1, keepdims=True))


def plane_doses(fan: Fan, tables: BeamTables, protons: FloatArray) -> FloatArray:
    """Return the dose in Gy on the fan's planes, shape (planes, y, x)."""
    from qa_suite.dose.protons.kernels import blur, deposit

    sub = SUB_SHARE * fan.spacing_mm
    widest = np.hypot(sub, _WIDEST * float(tables.ends_mm.max()))
    bins = max(2, int(np.ceil(np.log(widest / sub) / np.log(_BIN_RATIO))) + 1)
    sigma: FloatArray = sub * _BIN_RATIO ** np.arange(bins, dtype=float)
    shape = (fan.z_mm.size, fan.y_mm.size, fan.x_mm.size)
    sources = np.zeros((bins, shape[0], shape[1] * shape[2]), dtype=np.float32)
    in_threads(
        lambda a, b: deposit(
            fan.flat_wed,
            protons,
            tables.doses,
            tables.angles,
            tables.ends_mm,
            STEP_MM,
            fan.z_mm,
            fan.scales,
            sigma**2 - sub**2,
            a,
            b,
            sources,
        ),
        protons.shape[1],
        chunk=_RAYS_A_TASK,
    )
    taps, reach = _gaussians(sigma / fan.spacing_mm)
    taps *= np.sqrt(_MM2_IN_CM2) / fan.spacing_mm
    out = np.zeros(shape)
    wide = sources.reshape(bins, *shape)
    in_threads(lambda a, b: blur(wide, taps, reach, a, b, out), shape[0], chunk=_PLANES_A_TASK)
    return out


def _gaussians(sigma: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return halves of kernels that add up to 1, shape (widths, most), and their lengths."""
    reach = np.ceil(_CUT * sigma).astype(np.intp) + 1
    at = np.arange(reach.max())
    half = np.where(at[None] < reach[:, None], np.exp(-0.5 * (at[None] / sigma[:, None]) ** 2), 0)
    return half / (2 * half.sum(axis=1, keepdims=True) - half[:, :1]), reach


def read_planes(
    fan: Fan, planes: FloatArray, density: NDArray[np.float32], grid: Grid, out: FloatArray
) -> FloatArray:
    """Add the dose of a fan's planes to ``out`` at the centres of all voxels in the body."""
    from scipy.ndimage import spline_filter

    from qa_suite.dose.protons.kernels import read_rows

    smooth = spline_filter(planes, order=3, mode="mirror")
    axes = fan.frame.axes.T
    shift = axes @ (grid.affine[:3, 3] - np.asarray(fan.frame.isocentre_mm))
    to_beam = np.column_stack([axes @ grid.affine[:3, :3], shift])
    starts = np.array([fan.z_mm[0], fan.y_mm[0], fan.x_mm[0]])
    steps = np.array([fan.z_mm[1] - fan.z_mm[0], fan.spacing_mm, fan.spacing_mm])
    sad = fan.frame.sad_mm or 0.0
    in_threads(
        lambda a, b: read_rows(smooth, density, to_beam, sad, starts, steps, a, b, out),
        grid.shape[0],
        chunk=_ROWS_A_TASK,
    )
    return out
