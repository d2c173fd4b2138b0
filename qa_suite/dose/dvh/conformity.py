"""How well the prescription isodose fits the target: Paddick, RTOG and the gradient index."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from qa_suite.core.volume import Grid, Volume, canonical
from qa_suite.dose.dvh.curve import dvh_of, require_gy
from qa_suite.dose.structures.samples import (
    MaskStructure,
    StructureSamples,
    cropped_grid,
    empty_samples,
    parts_for,
)
from qa_suite.dose.structures.structures import AnyStructure, sample_structure

_WHOLE = 0.9999


@dataclass(frozen=True, kw_only=True)
class Conformity:
    """Conformity of one dose to one target; what has no value has its reason in ``why``.

    Parameters
    ----------
    paddick
        TV_PIV² / (TV × PIV), 0 to 1, best 1 (Paddick 2000, J Neurosurg 93 Suppl 3:219).
    rtog
        PIV / TV, best 1 (Shaw et al. 1993, Int J Radiat Oncol Biol Phys 27:1231).
    gradient_index
        Volume at half the prescription / PIV; smaller is steeper (Paddick and Lippitz 2006,
        J Neurosurg 105 Suppl:194).
    target_cc, isodose_cc, covered_cc
        TV; PIV, the volume that gets the prescription; TV_PIV, the target's part of it.
    """

    target: str
    paddick: float | None
    rtog: float | None
    gradient_index: float | None
    target_cc: float
    isodose_cc: float | None
    covered_cc: float | None
    why: str = ""
    why_no_gradient: str = ""


def conformity_of(
    dose: Volume,
    target: AnyStructure,
    prescription_gy: float,
    *,
    region: AnyStructure | None = None,
) -> Conformity:
    """Compare the prescription isodose with the target.

    Parameters
    ----------
    dose
        In Gy, wherever the isodose may reach.
    target
        The structure that the dose is prescribed to.
    prescription_gy
        The isodose; pass 95 % of the prescription for the 95 % isodose.
    region
        Where isodose volumes are counted: the body; None for the whole dose grid.

    Raises
    ------
    InputError
        If dose and prescription do not fit together.
    GeometryError
        If structures and dose lie in different frames of reference.
    """
    require_gy(dose, prescription_gy)
    dose = canonical(dose)
    dvh = dvh_of(dose, target)
    if dvh.why_undefined:
        return _undefined(dvh.name, dvh.volume_cc, dvh.why_undefined)
    within = None if region is None else sample_structure(region, dose.grid)
    whole = within is not None and dvh_of(dose, within).coverage >= _WHOLE
    if not whole and _reaches_edge(dose, prescription_gy):
        why = f"the isodose of {prescription_gy:g} Gy is cut off at the edge of the dose grid"
        return _undefined(dvh.name, dvh.volume_cc, why)
    isodose = isodose_volume_cc(dose, prescription_gy, region=within)
    if isodose <= 0:
        return _undefined(dvh.name, dvh.volume_cc, f"nothing gets {prescription_gy:g} Gy")
    target_cc = dvh.volume_cc
    covered = min(dvh.volume_at_dose_gy(prescription_gy)[1], isodose)  # of the region, too
    half = prescription_gy / 2
    gradient, why = None, ""
    if not whole and _reaches_edge(dose, half):
        why = f"the isodose of {half:g} Gy is cut off at the edge of the dose grid"
    else:
        gradient = isodose_volume_cc(dose, half, region=within) / isodose
    return Conformity(
        target=dvh.name,
        paddick=covered**2 / (target_cc * isodose),
        rtog=isodose / target_cc,
        gradient_index=gradient,
        target_cc=target_cc,
        isodose_cc=isodose,
        covered_cc=covered,
        why_no_gradient=why,
    )


def isodose_volume_cc(
    dose: Volume, dose_gy: float, *, region: StructureSamples | None = None
) -> float:
    """Return the volume that gets ``dose_gy`` or more, in cm³, in sub-voxels as fine as it needs.

    Parameters
    ----------
    dose
        In Gy.
    dose_gy
        The isodose.
    region
        Where it counts; None for the whole dose grid.
    """
    found = np.argwhere(dose.array >= dose_gy)
    if len(found) == 0:  # interpolation never exceeds the voxels
        return 0.0
    low = np.maximum(found.min(axis=0) - 1, 0)
    high = np.minimum(found.max(axis=0) + 1, np.array(dose.array.shape) - 1)
    box = (slice(low[0], high[0] + 1), slice(low[1], high[1] + 1), slice(low[2], high[2] + 1))
    grid = cropped_grid(dose.grid, box)
    if region is None:
        everything = MaskStructure(name="isodose", mask=np.ones(grid.shape, dtype=bool), grid=grid)
        samples = sample_structure(everything, dose.grid)
    else:
        samples = _cut(region, grid)
    cells = len(found) * dose.grid.voxel_volume_cc / samples.grid.voxel_volume_cc
    samples = replace(samples, parts=parts_for(samples.grid, cells, dose.grid))
    if samples.volume_cc <= 0:
        return 0.0
    return dvh_of(dose, samples, least_coverage=0.0).volume_at_dose_gy(dose_gy)[1]


def _cut(region: StructureSamples, box: Grid) -> StructureSamples:
    """Return the part of a region around a box of dose voxels."""
    ends = [(-0.5, n - 0.5) for n in box.shape]
    index = region.grid.to_index(box.to_world(list(itertools.product(*ends))))
    last = np.array(region.grid.shape)
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, last)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, last)
    if not (high > low).all():
        return empty_samples(region.name, region.grid)
    place = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    weights = np.ascontiguousarray(region.weights[place])
    return replace(region, grid=cropped_grid(region.grid, place), weights=weights)


def _reaches_edge(dose: Volume, dose_gy: float) -> bool:
    array = dose.array
    faces = (array[[0, -1]], array[:, [0, -1]], array[:, :, [0, -1]])
    return any(float(face.max()) >= dose_gy for face in faces)


def _undefined(target: str, target_cc: float, why: str) -> Conformity:
    return Conformity(
        target=target,
        paddick=None,
        rtog=None,
        gradient_index=None,
        target_cc=target_cc,
        isodose_cc=None,
        covered_cc=None,
        why=why,
        why_no_gradient=why,
    )
