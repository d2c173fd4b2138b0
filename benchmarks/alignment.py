"""Bias and spread of the alignment estimate for known motions of virtual patients.

    python benchmarks/alignment.py --write docs/appendix/alignment.md

Each virtual patient is scanned by the MR of his hospital; his CT is sampled anew on a grid
that was moved rigidly, so that the known motion needs no interpolation. Every size of shift
and rotation is tried in random directions, on the whole pelvis and on a cube around one hip, cut
out of the body with hardly any skin or air in view. About eight minutes on one core.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.registration.rigid import rotation_matrix
from qa_suite.lab.phantom import HOSPITALS, make_patient
from qa_suite.preflight import PreflightSettings, estimate_alignment

SPACING_MM = (2.5, 2.5, 3.0)
SHIFTS_MM = (0.0, 2.0, 5.0, 10.0)
ROTATIONS_DEG = (0.0, 2.0, 5.0)
CROP_MM = 150.0
BEGIN, END = "<!-- alignment table: begin -->", "<!-- alignment table: end -->"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One estimate against its truth; errors are estimate minus truth."""

    view: str
    shift_mm: float
    rotation_deg: float
    shift_error_mm: np.ndarray
    rotation_error_deg: np.ndarray
    along_shift_mm: float
    along_rotation_deg: float
    undetermined: int


def moved_grid(grid: Grid, shift_mm: np.ndarray, rotation_deg: np.ndarray) -> Grid:
    """Return the grid on which the patient must be sampled to appear moved on ``grid``."""
    turn = rotation_matrix(np.radians(rotation_deg))
    centre = np.asarray(grid.centre_mm)
    origin = turn.T @ (np.asarray(grid.origin_mm) - centre - shift_mm) + centre
    return replace(grid, origin_mm=tuple(origin), direction=tuple((turn.T @ grid.axes).ravel()))


def direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def crop(volume: Volume, slices: tuple[slice, ...]) -> Volume:
    start = [part.start for part in slices]
    array = volume.array[slices]
    origin = tuple(volume.grid.to_world(start))
    return Volume(
        array=array,
        grid=replace(volume.grid, shape=array.shape, origin_mm=origin),
        quantity=volume.quantity,
    )


def hip_crop(body: np.ndarray, grid: Grid) -> tuple[slice, ...]:
    """A box around one hip, as wide as CROP_MM along every axis."""
    where = np.argwhere(body)
    low, high = where.min(axis=0), where.max(axis=0)
    middle = (low + high) / 2
    middle[0] = low[0] + 0.25 * (high[0] - low[0])
    half = CROP_MM / 2 / np.asarray(grid.spacing_mm)
    begin = np.maximum(0, np.round(middle - half)).astype(int)
    end = np.minimum(grid.shape, np.round(middle + half)).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(begin, end, strict=True))


def trials(patients: int, seed: int) -> list[Trial]:
    settings = PreflightSettings()
    found = []
    for number, (name, index) in enumerate(
        itertools.product(sorted(HOSPITALS), range(1, patients + 1))
    ):
        rng = np.random.default_rng([seed, number])
        still = make_patient(name, index, seed=seed, spacing_mm=SPACING_MM)
        box = hip_crop(still.body, still.grid)
        for shift, rotation in itertools.product(SHIFTS_MM, ROTATIONS_DEG):
            shift_axis, turn_axis = direction(rng), direction(rng)
            translation, turn_deg = shift * shift_axis, rotation * turn_axis
            grid = moved_grid(still.grid, translation, turn_deg)
            ct = replace(make_patient(name, index, seed=seed, grid=grid).ct, grid=still.grid)
            everything = tuple(slice(0, n) for n in still.grid.shape)
            for view, part in (("whole pelvis", everything), ("hip crop", box)):
                source, reference = crop(still.mr, part), crop(ct, part)
                estimate = estimate_alignment(
                    source, reference, body=still.body[part], settings=settings
                )
                arm = np.asarray(estimate.centre_mm) - np.asarray(still.grid.centre_mm)
                turn = rotation_matrix(np.radians(turn_deg))
                true_shift = turn @ arm - arm + translation
                shift_error = np.asarray(estimate.shift_mm) - true_shift
                turn_error = np.asarray(estimate.rotation_deg) - turn_deg
                size = np.linalg.norm(true_shift)
                along = shift_error @ (true_shift / size if size > 1e-6 else shift_axis)
                found.append(
                    Trial(
                        view=view,
                        shift_mm=shift,
                        rotation_deg=rotation,
                        shift_error_mm=shift_error,
                        rotation_error_deg=turn_error,
                        along_shift_mm=float(along),
                        along_rotation_deg=float(turn_error @ turn_axis),
                        undetermined=6
                        - sum(estimate.shift_determined)
                        - sum(estimate.rotation_determined),
                    )
                )
        print(f"hospital {name}, patient {index}: done", flush=True)
    return found


def table(found: list[Trial]) -> str:
    """Write one row for each view and motion."""
    lines = [
        "| view | shift, mm | rotation, ° | n | shift: bias along it, mm | SD of a component, mm "
        "| largest error, mm | rotation: bias about it, ° | SD of a component, ° "
        "| largest error, ° | undetermined components |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    views = list(dict.fromkeys(trial.view for trial in found))
    for view, shift, rotation in itertools.product(views, SHIFTS_MM, ROTATIONS_DEG):
        rows = [t for t in found if (t.view, t.shift_mm, t.rotation_deg) == (view, shift, rotation)]
        errors = np.array([t.shift_error_mm for t in rows])
        turns = np.array([t.rotation_error_deg for t in rows])
        lines.append(
            f"| {view} | {shift:g} | {rotation:g} | {len(rows)} "
            f"| {np.mean([t.along_shift_mm for t in rows]):+.2f} "
            f"| {errors.std():.2f} | {np.linalg.norm(errors, axis=1).max():.2f} "
            f"| {np.mean([t.along_rotation_deg for t in rows]):+.2f} "
            f"| {turns.std():.2f} | {np.linalg.norm(turns, axis=1).max():.2f} "
            f"| {sum(t.undetermined for t in rows)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=2, help="per hospital")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    given = parser.parse_args()
    text = table(trials(given.patients, given.seed))
    print(text)
    if given.write is not None:
        page = given.write.read_text()
        head, rest = page.split(BEGIN)
        given.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
