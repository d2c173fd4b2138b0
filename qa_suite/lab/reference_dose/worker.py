"""Compute doses with pyRadPlan; run by the reference environment, never imported by the suite.

``python worker.py JOB.npz ANSWER.npz``. The job holds a JSON text ``facts`` and arrays, see
``job.py``; the answer holds one dose per image, ``dose_NAME``, shape of the grid, float32, and
a JSON text ``facts`` with the versions and the energies used. What goes wrong is said in one
line on stderr that starts with ``reference:``.

pyRadPlan is given *densities* and the identity as its look-up table, beams whose fluence or
spots are those of the job, and a body that is the whole image with densities outside contours
kept: so that nothing depends on its own planning, its default table, or a contour.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import Any

import numpy as np

FINE_MM = 0.5  # fluence grid of pyRadPlan's convolution
SHARP_MM = 1.2  # least penumbra that this grid can carry; the fluence holds the machine's own
LEAST_FLUENCE = 1e-3  # of the largest: beyond it the map is cut off
PHOTON_ENERGY = 6.0


def main(job_file: str, answer_file: str) -> None:
    """Read a job, compute it, write the answer."""
    with np.load(job_file) as data:
        facts = json.loads(str(data["facts"]))
        arrays = {name: data[name] for name in data.files if name != "facts"}
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    answer: dict[str, Any] = {}
    if facts["engine"] == "pyradmc":
        from worker_montecarlo import mc_doses  # lies beside this script

        told = mc_doses(facts, arrays, answer)
    else:
        told = _pyradplan_doses(facts, arrays, answer)
    told["seconds"] = time.perf_counter() - started
    np.savez_compressed(answer_file, facts=np.array(json.dumps(told)), **answer)


def _pyradplan_doses(
    facts: dict[str, Any], arrays: dict[str, Any], answer: dict[str, Any]
) -> dict[str, Any]:
    import pyRadPlan

    beams, told = _beams(facts, arrays, answer)
    for name in facts["images"]:
        answer[f"dose_{name}"] = _dose(facts, arrays[f"density_{name}"], beams)
    return {"pyRadPlan": pyRadPlan.__version__, "numpy": np.__version__, **told}


def _dose(facts: dict[str, Any], density: Any, beams: list[dict[str, Any]]) -> Any:
    """Return the dose in Gy on the job's grid, array [i, j, k]."""
    import SimpleITK as sitk
    from pyRadPlan.core import Grid
    from pyRadPlan.cst import StructureSet, create_voi
    from pyRadPlan.ct import create_ct
    from pyRadPlan.stf import SteeringInformation

    image = sitk.GetImageFromArray(np.ascontiguousarray(density.T.astype(np.float64)))
    image.SetSpacing(facts["spacing_mm"])
    image.SetOrigin(facts["origin_mm"])
    image.SetDirection(facts["direction"])
    ct = create_ct(cube_hu=image)
    everywhere = np.ones(density.shape[::-1], dtype=np.uint8)
    voi = create_voi(voi_type="EXTERNAL", name="image", ct_image=ct, mask=everywhere)
    cst = StructureSet(vois=[voi], ct_image=ct)
    engine = _engine(facts)
    engine.dose_grid = Grid.from_sitk_image(ct.cube_hu)
    stf = SteeringInformation.model_validate({"beams": [dict(beam) for beam in beams]})
    result = engine.calc_dose_forward(ct, cst, stf, None)
    dose = sitk.GetArrayFromImage(result["physical_dose"]).T
    return np.ascontiguousarray(dose, dtype=np.float32)


def _engine(facts: dict[str, Any]) -> Any:
    from pyRadPlan import IonPlan, PhotonPlan
    from pyRadPlan.dose.engines import get_engine

    if facts["modality"] == "photons":
        plan = PhotonPlan(machine=facts["machine"], prop_dose_calc={"engine": "SVDPB"})
    else:
        plan = IonPlan(
            radiation_mode="protons", machine=facts["machine"], prop_dose_calc={"engine": "HongPB"}
        )
    engine = get_engine(plan)
    engine.hlut = np.array([[0.0, 0.0], [10.0, 10.0]])
    engine.ignore_outside_densities = False
    engine.geometric_lateral_cutoff = float(facts["lateral_cutoff_mm"])
    if facts["modality"] == "protons":
        engine.dosimetric_lateral_cutoff = 0.999
        engine.lateral_model = "auto"  # the most accurate that the machine has
        engine.air_offset_correction = False  # a spot's range is the one that was asked for
    else:  # what leaves the machine is in the job's fluence, off-axis profile and all
        engine.force_penumbra = SHARP_MM
        engine.force_uniform_fluence = True
    return engine


def _beams(
    facts: dict[str, Any], arrays: dict[str, Any], answer: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the beams of pyRadPlan's steering information, and what is to be told."""
    if facts["modality"] == "photons":
        return [_photon_beam(facts, arrays, n) for n in range(len(facts["beams"]))], {}
    machine = _proton_machine(facts["machine"])
    ranges = _ranges_mm(machine)
    made = [_proton_beam(facts, arrays, n, machine, ranges) for n in range(len(facts["beams"]))]
    for number, (_, used) in enumerate(made):
        answer[f"range_{number}"] = used
    return [beam for beam, _ in made], {"machine_r80_mm": ranges.tolist()}


def _photon_beam(facts: dict[str, Any], arrays: dict[str, Any], number: int) -> dict[str, Any]:
    """One ray along the axis that carries the whole fluence as a mask."""
    from pyRadPlan.stf import FieldShapeAsMask

    beam = _common(facts, number, "photons")
    about = facts["beams"][number]
    fluence = arrays[f"fluence_{number}"]  # [y, x] of the beam limiting device
    far = np.abs(
        np.argwhere(fluence > LEAST_FLUENCE * fluence.max()) + 0.5 - np.array(fluence.shape) / 2
    )
    half = (far.max() + 0.5) * about["pixel_mm"] + FINE_MM
    if about["collimator_deg"]:
        half *= np.sqrt(2)
    steps = int(np.ceil(half / FINE_MM))
    grid = FINE_MM * np.arange(-steps, steps + 1)
    fine = fine_fluence(fluence, about["pixel_mm"], grid, about["collimator_deg"])
    # pyRadPlan turns its mask by a quarter before it reads it as [x, z]
    mask = np.ascontiguousarray(np.rot90(fine.T, k=1)).astype(np.float32)
    shape = FieldShapeAsMask(
        energy=PHOTON_ENERGY, mask=mask, grid=grid, weight=float(about["weight"])
    )
    beam["rays"] = [_ray(beam, 0.0, 0.0, [shape])]
    beam["bixel_width"] = float(grid[-1] - grid[0])
    return beam


def fine_fluence(fluence: Any, pixel_mm: float, grid: Any, collimator_deg: float) -> Any:
    """Average a pixel map over the cells of a fine grid, turned by the collimator; [y, x]."""
    offsets = (np.arange(4) - 1.5) / 4 * (grid[1] - grid[0])
    turn = np.deg2rad(collimator_deg)
    total = np.zeros((grid.size, grid.size))
    rows, columns = fluence.shape
    for dy in offsets:
        for dx in offsets:
            y, x = (grid + dy)[:, None], (grid + dx)[None, :]
            # a point of the fixed plane in the axes of the turned device
            u = x * np.cos(turn) + y * np.sin(turn)
            v = -x * np.sin(turn) + y * np.cos(turn)
            i = np.floor(v / pixel_mm + rows / 2).astype(int)
            j = np.floor(u / pixel_mm + columns / 2).astype(int)
            inside = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
            total += np.where(
                inside, fluence[np.clip(i, 0, rows - 1), np.clip(j, 0, columns - 1)], 0.0
            )
    return total / offsets.size**2


def _proton_machine(name: str) -> Any:
    from pyRadPlan.machines import load_from_name

    return load_from_name("protons", name)


def _ranges_mm(machine: Any) -> Any:
    """Depth behind the peak where the depth dose in water falls to 80 %, for every energy."""
    found = []
    for number in range(len(machine.energies)):
        kernel = machine.get_kernel_by_index(np.int64(number))
        dose, depth = np.asarray(kernel.idd), np.asarray(kernel.depths) + kernel.offset
        peak = int(dose.argmax())
        below = peak + int(np.argmax(dose[peak:] < 0.8 * dose[peak]))
        pair = slice(below - 1, below + 1)
        found.append(np.interp(-0.8 * dose[peak], -dose[pair], depth[pair]))
    return np.asarray(found)


def _proton_beam(
    facts: dict[str, Any], arrays: dict[str, Any], number: int, machine: Any, ranges: Any
) -> tuple[dict[str, Any], Any]:
    """Rays with spots; every spot gets the machine's energy that reaches as deep in water."""
    from pyRadPlan.stf import IonSpot

    beam = _common(facts, number, "protons")
    spots = arrays[f"spots_{number}"]  # rows of range in water, x, y, weight
    known = np.asarray(machine.energies, dtype=float)
    nearest = np.abs(ranges[None, :] - spots[:, :1]).argmin(axis=1)
    turn = np.deg2rad(facts["beams"][number]["collimator_deg"])
    x = spots[:, 1] * np.cos(turn) - spots[:, 2] * np.sin(turn)
    y = spots[:, 1] * np.sin(turn) + spots[:, 2] * np.cos(turn)
    by_place: dict[tuple[float, float], list[int]] = {}
    for spot in range(len(spots)):
        by_place.setdefault((round(float(x[spot]), 6), round(float(y[spot]), 6)), []).append(spot)
    rays = []
    for (at_x, at_y), members in by_place.items():
        carried = [
            IonSpot(energy=float(known[nearest[m]]), weight=float(spots[m, 3])) for m in members
        ]
        rays.append(_ray(beam, at_x, at_y, carried))
    beam["rays"] = rays
    beam["bixel_width"] = 5.0
    return beam, ranges[nearest]


def _common(facts: dict[str, Any], number: int, mode: str) -> dict[str, Any]:
    about = facts["beams"][number]
    return {
        "gantry_angle": float(about["gantry_deg"]),
        "couch_angle": float(about["couch_deg"]),
        "radiation_mode": mode,
        "sad": float(about["sad_mm"]),
        "iso_center": np.asarray(facts["isocentre_mm"], dtype=float),
        "machine": facts["machine"],
    }


def _ray(beam: dict[str, Any], x: float, y: float, beamlets: list[Any]) -> dict[str, Any]:
    """One ray through (x, y) of the isocentre plane; its beam's eye view is x, -, y."""
    from pyRadPlan.geometry import lps

    turn = np.asarray(lps.get_beam_rotation_matrix(beam["gantry_angle"], beam["couch_angle"]))
    at = np.array([x, 0.0, y])
    source = np.array([0.0, -beam["sad"], 0.0])
    target = 2 * at - source
    return {
        "ray_pos_bev": at,
        "ray_pos": turn @ at,
        "target_point_bev": target,
        "target_point": turn @ target,
        "beamlets": beamlets,
    }


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2])
    except Exception as error:  # one line for the caller, whatever it was
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"reference: {type(error).__name__}: {reason[:400]}", file=sys.stderr)
        sys.exit(1)
