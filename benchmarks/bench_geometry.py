"""Geometric fidelity: what known motions are measured as, how fast, and beside SimpleITK.

    python benchmarks/bench_geometry.py --patients 5     # per hospital: 20; about ten minutes
    python benchmarks/bench_geometry.py --write docs/measures/geometry.md

Each virtual patient's true CT is sampled anew on a grid that was moved rigidly, so that the
known motion needs no interpolation, and given to the oracle translator. Faults in HU must
not be taken for motions.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.registration.rigid import rotation_matrix
from qa_suite.lab.phantom import HOSPITALS, make_patient, oracle_translate
from qa_suite.metrics.base import Pair, Value
from qa_suite.metrics.geometry import geometry
from qa_suite.metrics.geometry.settings import GeometrySettings, PositioningSettings

SPACING_MM = (6.0, 6.0, 6.0)
BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
HEADING = f"""
## Accuracy

`python benchmarks/bench_geometry.py`: virtual pelves of four hospitals at {SPACING_MM[0]:g} mm
voxels, moved by a known motion (sampled there, not interpolated) and given to the oracle
translator; then faults of HU, which are no motions and must not be taken for one. Errors are
measured minus true.

"""
AXES = "xyz"
MOTIONS = [
    ("none (clean twin)", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    *(
        (f"{s} mm along {AXES[a]}", tuple(s * np.eye(3)[a]), (0.0, 0.0, 0.0))
        for s, a in itertools.product((1, 2, 5), range(3))
    ),
    *((f"1° about {AXES[a]}", (0.0, 0.0, 0.0), tuple(np.eye(3)[a])) for a in range(3)),
]
FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "HU + 100": lambda a: a + 100,
    "HU scale 1.2 (about −1000)": lambda a: (a + 1000) * 1.2 - 1000,
    "bone clipped at 300 HU": lambda a: np.minimum(a, 300),
    "no bone (clipped at 80 HU)": lambda a: np.minimum(a, 80),
    "noise of 60 HU": lambda a: a + np.random.default_rng(5).normal(0, 60, a.shape),
}


def moved_grid(
    grid: Grid, shift_mm: np.ndarray, rotation_deg: np.ndarray, centre: np.ndarray
) -> Grid:
    """Return the grid on which the patient must be sampled to appear moved on ``grid``."""
    turn = rotation_matrix(np.radians(rotation_deg))
    origin = turn.T @ (np.asarray(grid.origin_mm) - centre - shift_mm) + centre
    return replace(grid, origin_mm=tuple(origin), direction=tuple((turn.T @ grid.axes).ravel()))


def centre_of(mask: np.ndarray, grid: Grid) -> np.ndarray:
    return grid.to_world(np.argwhere(mask).mean(axis=0))


def value(found: list[Value], metric: str, variant: str = "default", region: str = "body") -> float:
    (one,) = [v for v in found if (v.metric, v.variant, v.region) == (metric, variant, region)]
    return float("nan") if one.value is None else one.value


def vector(found: list[Value], variant: str) -> np.ndarray:
    """Six components: shift and rotation vector (LPS)."""
    read = [
        value(found, f"positioning_{n}", variant) for n in ("x", "y", "z", "pitch", "yaw", "roll")
    ]
    return np.array(read) * (1, 1, 1, 1, -1, 1)


def measured(patients: int, seed: int) -> dict[str, dict[str, list[Any]]]:
    """For every motion and fault: errors of the six components, local and source shifts."""
    result: dict[str, dict[str, list[Any]]] = {}
    settings = GeometrySettings()
    for name, index in itertools.product(sorted(HOSPITALS), range(1, patients + 1)):
        still = make_patient(name, index, seed=seed, spacing_mm=SPACING_MM)
        mask = still.structures["Body"]
        centre = centre_of(mask, still.grid)
        images = []
        for label, shift, turn in MOTIONS:
            grid = moved_grid(still.grid, np.array(shift), np.array(turn), centre)
            truth = make_patient(name, index, seed=seed, grid=grid).ct_noise_free
            moved = oracle_translate(replace(truth, grid=still.grid), seed=index)
            images.append((label, moved, np.array([*shift, *turn])))
        clean = images[0][1]
        for label, fault in FAULTS.items():
            images.append((label, clean.with_array(fault(clean.array)), np.zeros(6)))
        for label, image, truth_vector in images:
            pair = Pair(reference=still.ct, synthetic=image, mask=mask, source=still.mr)
            found = geometry(pair, settings)
            into = result.setdefault(label, {})
            for variant in ("cbct", "drr"):
                into.setdefault(variant, []).append(vector(found, variant) - truth_vector)
                into.setdefault(f"{variant} floor", []).append(
                    value(found, "positioning_truth_error", variant)
                )
            for metric in ("local_shift_median", "local_shift_95", "excess_shift", "source_shift"):
                into.setdefault(metric, []).append(value(found, metric))
            for metric in ("contour_distance", "contour_bias"):
                for region in ("seg:Body", "seg:Bone"):
                    into.setdefault(f"{metric} {region}", []).append(
                        value(found, metric, region=region)
                    )
        print(f"hospital {name}, patient {index}: done", flush=True)
    return result


def accuracy_table(found: dict[str, dict[str, list[Any]]]) -> str:
    """Write one row for each motion and fault."""
    lines = [
        "| synthetic image | n | cbct: shift error, mean ± SD of a component, mm | worst, mm "
        "| rotation error, worst, ° | drr: shift error, mm | worst, mm | worst, ° "
        "| local shift median, 95th, mm (worst) | `excess_shift`, mm (worst) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for label, one in found.items():
        cells = [label, str(len(one["cbct"]))]
        for variant in ("cbct", "drr"):
            errors = np.array(one[variant])
            shift, turn = errors[:, :3], errors[:, 3:]
            lost = int(np.isnan(errors).any(axis=1).sum())
            note = f" ({lost} undefined)" if lost else ""
            cells += [
                f"{np.nanmean(shift):+.2f} ± {np.nanstd(shift):.2f}{note}",
                f"{np.nanmax(np.linalg.norm(shift, axis=1)):.2f}",
                f"{np.nanmax(np.linalg.norm(turn, axis=1)):.2f}",
            ]
        median, p95 = (np.array(one[m]) for m in ("local_shift_median", "local_shift_95"))
        lost = int(np.isnan(p95).sum())
        note = f" ({lost} undefined)" if lost else ""
        if lost < len(p95):
            cells.append(
                f"{np.nanmean(median):.2f}, {np.nanmean(p95):.2f} ({np.nanmax(p95):.2f}){note}"
            )
        else:
            cells.append("undefined")
        excess = np.array(one["excess_shift"])
        cells.append(f"{np.nanmean(excess):.2f} ({np.nanmax(excess):.2f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------
# Speed, side by side


def best_of(task: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Processor seconds of one thread, which others on the machine hardly change."""
    task()
    times, result = [], None
    for _ in range(repeats):
        begin = time.process_time()
        result = task()
        times.append(time.process_time() - begin)
    return min(times), result


def rigid_by_simpleitk(
    fixed: np.ndarray, moving: np.ndarray, grid: Grid, centre: np.ndarray
) -> np.ndarray:
    """Shift and rotation (Euler) found by SimpleITK's correlation metric, six components."""
    import SimpleITK as sitk

    images = []
    for array in (fixed, moving):
        image = sitk.GetImageFromArray(np.ascontiguousarray(array.T.astype(np.float32)))
        image.SetSpacing(grid.spacing_mm)
        image.SetOrigin(grid.origin_mm)
        image.SetDirection(grid.direction)
        images.append(image)
    start = sitk.Euler3DTransform()
    start.SetCenter(tuple(centre))
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.25)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.005, 200, 0.5, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1.0, 0.7])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(start, inPlace=False)
    method.SetNumberOfThreads(1)
    found = sitk.Euler3DTransform(method.Execute(*images).GetNthTransform(0))
    return np.array([*found.GetTranslation(), *np.degrees(found.GetParameters()[:3])])


def _row(
    task: str, grid: Grid, ours: float, peer: str, theirs: float | None, agreement: str
) -> dict[str, Any]:
    return {
        "task": task,
        "sizes": grid.describe(),
        "peer": peer,
        "ours_s": ours,
        "peer_s": theirs,
        "ratio": None if theirs is None else theirs / ours,
        "agreement": agreement,
    }


def _timed_grid(spacing: tuple[float, float, float]) -> list[dict[str, Any]]:
    from qa_suite.metrics.geometry.source_alignment import find_place

    patient = make_patient("A", 1, seed=1, spacing_mm=spacing)
    grid, mask = patient.grid, patient.structures["Body"]
    clean = oracle_translate(patient.ct_noise_free, seed=3)
    moved = clean.with_array(_shifted(clean, 2.0))
    pair = Pair(reference=patient.ct, synthetic=moved, mask=mask, source=patient.mr)
    off = PositioningSettings(cbct=False, drr=False)
    bare = GeometrySettings(source_alignment="off", local_shift=False, positioning=off)
    base, _ = best_of(lambda: geometry(pair, bare))
    rows = [_row("contours of body and bone", grid, base, "none", None, "")]
    for variant in ("cbct", "drr"):
        only = bare.model_copy(update={"positioning": off.model_copy(update={variant: True})})
        took, found = best_of(lambda only=only: geometry(pair, only))
        shift = value(found, "positioning_x", variant)
        if variant == "drr":
            rows.append(
                _row("positioning, drr", grid, took - base, "none", None, f"2 mm: {shift:.2f} mm")
            )
            continue
        theirs, apart = _peer_registrations(patient, moved)
        rows.append(
            _row(
                "positioning, cbct (two registrations)",
                grid,
                took - base,
                "SimpleITK, correlation, 1 thread",
                theirs,
                f"2 mm: {shift:.2f} mm, SimpleITK {apart:.2f} mm",
            )
        )
    local, found = best_of(lambda: geometry(pair, bare.model_copy(update={"local_shift": True})))
    rows.append(
        _row(
            "local shifts",
            grid,
            local - base,
            "none",
            None,
            f"2 mm: {value(found, 'local_shift_median'):.2f} mm",
        )
    )
    volumes = patient.mr, patient.ct, moved, mask
    quick, near = best_of(lambda: find_place(*volumes, "quick"))
    slow, far = best_of(lambda: find_place(*volumes, "full"), repeats=1)
    apart = np.linalg.norm(np.subtract(near.synthetic.shift_mm, far.synthetic.shift_mm))
    rows.append(
        _row(
            "source alignment, quick",
            grid,
            quick,
            "full (as preflight)",
            slow,
            f"{apart:.2f} mm apart",
        )
    )
    whole, _ = best_of(lambda: geometry(pair, GeometrySettings()))
    rows.append(_row("whole family", grid, whole, "none", None, ""))
    return rows


def _peer_registrations(patient: Any, moved: Volume) -> tuple[float, float]:
    """Seconds of SimpleITK's two registrations of one day, and the shift between them along x."""
    from qa_suite.metrics.geometry import cbct, images

    rule, grid = PositioningSettings(), patient.grid
    box = tuple(slice(0, n) for n in grid.shape)
    how: dict[str, Any] = {
        "resolution_mm": rule.resolution_mm,
        "window": rule.window_hu,
        "box": box,
    }
    plans = [images.averaged(v.array, grid, **how) for v in (patient.ct, moved)]
    day = cbct.make_day(plans[0], centre_of(patient.structures["Body"], grid), rule)
    day_image = _day_image(plans[0], day, rule)
    seconds, both = best_of(
        lambda: [rigid_by_simpleitk(day_image, p.values, p.grid, day.centre_mm) for p in plans],
        repeats=1,
    )
    return seconds, float(both[1][0] - both[0][0])


def _shifted(volume: Volume, x_mm: float) -> np.ndarray:
    from scipy import ndimage

    index = (x_mm / volume.grid.spacing_mm[0], 0, 0)
    return ndimage.shift(volume.array, index, order=3, mode="nearest")


def _day_image(reference: Any, day: Any, rule: PositioningSettings) -> np.ndarray:
    """The moved reference with the day's calibration and noise, on the whole grid."""
    from scipy import ndimage

    grid = reference.grid
    matrix = np.linalg.inv(grid.affine[:3, :3]) @ day.offset.turn @ grid.affine[:3, :3]
    corner = np.asarray(grid.origin_mm) - day.centre_mm
    first = grid.to_index(day.offset.turn @ corner + day.offset.shift + day.centre_mm)
    moved = ndimage.affine_transform(reference.values, matrix, first, order=3, mode="nearest")
    noise = np.random.default_rng(1).normal(0, rule.cbct_noise_hu, moved.shape)
    return rule.cbct_slope * moved + rule.cbct_offset_hu + noise


def rows() -> list[dict[str, Any]]:
    """Time every part, on the exam's grid and on a clinical one."""
    return [*_timed_grid((6.0, 6.0, 6.0)), *_timed_grid((1.75, 1.3, 2.05))]


def table(found: list[dict[str, Any]]) -> str:
    lines = [
        "| task | sizes | ours, s | peer | peer, s | ratio | agreement |",
        "|---|---|--:|---|--:|--:|---|",
    ]
    for row in found:
        peer = "" if row["peer_s"] is None else f"{row['peer_s']:.2f}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.1f}"
        lines.append(
            f"| {row['task']} | {row['sizes']} | {row['ours_s']:.3f} | {row['peer']} | {peer} "
            f"| {ratio} | {row['agreement']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=5, help="per hospital")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    given = parser.parse_args()
    accuracy = accuracy_table(measured(given.patients, given.seed))
    print(accuracy, table(rows()), sep="\n\n")
    if given.write is not None:
        head, rest = given.write.read_text().split(BEGIN)
        text = f"{head}{BEGIN}\n{HEADING}{accuracy}\n{END}{rest.split(END)[1]}"
        given.write.write_text(text)


if __name__ == "__main__":
    main()
