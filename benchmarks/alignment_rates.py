"""How often preflight lets a misaligned pair pass, and refuses an aligned one.

    python -m benchmarks.alignment_rates --cases 2400 --write docs/appendix/alignment.md

Shifts of 0 to 30 mm and rotations of 0 to 15°, alone and together, in random directions, of
virtual pelves and virtual limbs: whole, cut out by a small field of view, and with low contrast.
The truth is the 95th percentile of the displacement within the body. One line a trial is kept in
``--out``; a run that was stopped goes on there, with what the same code found for the same seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.virtual_limb import limb_grid, make_limb, scan_limb
from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.body import body_of
from qa_suite.imaging.registration.rigid import rotation_matrix
from qa_suite.io.cases import LoadedCase
from qa_suite.lab.phantom import HOSPITALS, VirtualPatient, make_patient
from qa_suite.preflight import preflight

BEGIN, END = "<!-- rates table: begin -->", "<!-- rates table: end -->"
NEAR_MM, FAR_MM = 2.0, 12.0
VIEWS = (
    "pelvis",
    "pelvis, cropped",
    "pelvis, low contrast",
    "limb",
    "limb, cropped",
    "limb, low contrast",
)
GROUPS = ("near", "between", "far")
PATIENTS = 12
PELVIS_MM = (3.0, 3.0, 3.0)
JUDGED = (
    "overlap",
    "body_overlap",
    "alignment_displacement_95",
    "alignment_shift",
    "alignment_rotation",
)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What lies at x in the source lies at R (x - centre) + centre + shift in the reference."""

    shift_mm: np.ndarray
    rotation_deg: np.ndarray
    centre_mm: np.ndarray

    def back(self, points_mm: np.ndarray) -> np.ndarray:
        """Where the reference's scanner looked for what is shown at these points."""
        turn = rotation_matrix(np.radians(self.rotation_deg))
        return (points_mm - self.centre_mm - self.shift_mm) @ turn + self.centre_mm

    def displacement_95_mm(self, points_mm: np.ndarray) -> float:
        turn = rotation_matrix(np.radians(self.rotation_deg))
        moved = (points_mm - self.centre_mm) @ turn.T + self.centre_mm + self.shift_mm
        return float(np.percentile(np.linalg.norm(moved - points_mm, axis=1), 95))


def direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def draw_motion(rng: np.random.Generator, group: str, body_mm: np.ndarray) -> Motion:
    """Draw a shift, a rotation or both whose displacement falls into the group."""
    kind = rng.integers(3)
    along, about = direction(rng), direction(rng)
    centre = body_mm.mean(axis=0)
    while True:
        shift = 0.0 if kind == 1 else rng.uniform(0, 30)
        turn = 0.0 if kind == 0 else rng.uniform(0, 15)
        motion = Motion(shift_mm=shift * along, rotation_deg=turn * about, centre_mm=centre)
        size = motion.displacement_95_mm(body_mm)
        if group == "far" and size > FAR_MM:
            return motion
        if group != "far" and size > 1e-6:
            low, high = (0.0, NEAR_MM) if group == "near" else (NEAR_MM, FAR_MM)
            factor = rng.uniform(low, high) / size
            if turn * factor <= 15 and shift * factor <= 30:
                return replace(
                    motion,
                    shift_mm=factor * motion.shift_mm,
                    rotation_deg=factor * motion.rotation_deg,
                )
        if group == "far" and kind == 1:
            about = direction(rng)  # a turn about a limb's axis moves nothing that far


@lru_cache(maxsize=PATIENTS)
def patient(number: int, seed: int) -> VirtualPatient:
    names = sorted(HOSPITALS)
    name = names[number % len(names)]
    return make_patient(name, 1 + number // len(names), seed=seed, spacing_mm=PELVIS_MM)


def points_of(grid: Grid) -> np.ndarray:
    ticks = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    return np.asarray(grid.to_world(ticks))


def some(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    inside = points[mask]
    return inside[:: max(1, len(inside) // 5000)]


def cropped_box(body: np.ndarray, grid: Grid, rng: np.random.Generator) -> tuple[slice, ...]:
    """A box of 90 to 150 mm around a place within the body."""
    where = np.argwhere(body)
    middle = where[rng.integers(len(where))]
    half = rng.uniform(45, 75, 3) / np.asarray(grid.spacing_mm)
    begin = np.maximum(0, np.round(middle - half)).astype(int)
    end = np.minimum(grid.shape, np.round(middle + half)).astype(int)
    begin = np.minimum(begin, np.maximum(0, end - np.round(1.4 * half).astype(int)))
    return tuple(slice(int(a), int(b)) for a, b in zip(begin, end, strict=True))


def crop(volume: Volume, part: tuple[slice, ...]) -> Volume:
    array = volume.array[part]
    origin = tuple(volume.grid.to_world([p.start for p in part]))
    grid = replace(volume.grid, shape=array.shape, origin_mm=origin)
    return replace(volume, array=array, grid=grid)


def own_field(rng: np.random.Generator, grid: Grid, back: np.ndarray) -> np.ndarray:
    """Where a CT that was cropped as the MR was, or up to 20 mm wider, still has values."""
    corners = points_of(grid).reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    more = rng.uniform(0, 20)
    return ((back >= low - more) & (back <= high + more)).all(axis=-1)


def scan_pelvis(rng: np.random.Generator, group: str, view: str, index: int, seed: int) -> Any:
    from scipy import ndimage

    still = patient((index // len(VIEWS)) % PATIENTS, seed)
    margin = round(45 / PELVIS_MM[2])
    whole = (slice(None), slice(None), slice(margin, still.grid.shape[2] - margin))
    whole = tuple(slice(*s.indices(n)) for s, n in zip(whole, still.grid.shape, strict=True))
    part = cropped_box(still.body, still.grid, rng) if view.endswith("cropped") else whole
    mr, body = crop(still.mr, part), still.body[part]
    points = points_of(mr.grid)
    motion = draw_motion(rng, group, some(body, points))
    back = motion.back(points)
    index_there = np.moveaxis(still.grid.to_index(back), -1, 0)
    values = ndimage.map_coordinates(still.ct.array, index_there, order=1, cval=-1000.0)
    last = np.reshape(np.array(still.grid.shape) - 1, (3, 1, 1, 1))
    seen = ((index_there >= 0) & (index_there <= last)).all(axis=0)
    array = mr.array
    if view.endswith("low contrast"):
        middle = float(array[body].mean())
        array = np.where(body, middle + 0.3 * (array - middle), array)
        array = np.hypot(
            array + rng.normal(0, 0.08 * middle, array.shape),
            rng.normal(0, 0.08 * middle, array.shape),
        )
        values = np.clip(values + rng.normal(0, 35, values.shape), -1000, None)
    ct = Volume(array=values.astype(np.float32), grid=mr.grid, quantity="HU")
    return mr.with_array(array.astype(np.float32)), ct, body, motion, seen, back


def scan_a_limb(rng: np.random.Generator, group: str, view: str) -> Any:
    limb = make_limb(rng)
    within, along = rng.choice([2.0, 2.5, 3.0]), rng.choice([3.0, 4.0])
    spacing = (float(within), float(within), float(along))
    wide = 2.3 * limb.radius
    grid = limb_grid((wide, wide, rng.uniform(110, 200)), spacing)
    sequence = "low contrast" if view.endswith("low contrast") else str(rng.choice(["T1", "T2"]))
    points = points_of(grid)
    body = np.hypot(points[..., 0], points[..., 1]) < 0.9 * limb.radius
    if view.endswith("cropped"):
        grid = crop(
            Volume(array=np.zeros(grid.shape, np.float32), grid=grid, quantity="HU"),
            cropped_box(body, grid, rng),
        ).grid
        points = points_of(grid)
        body = np.hypot(points[..., 0], points[..., 1]) < 0.9 * limb.radius
    motion = draw_motion(rng, group, some(body, points))
    mr, ct, body = scan_limb(
        limb, grid, sequence, rng, motion.shift_mm, motion.rotation_deg, motion.centre_mm
    )
    return mr, ct, body, motion, np.ones(grid.shape, dtype=bool), motion.back(points)


def trial(index: int, seed: int) -> dict[str, Any]:
    """Make one pair, run preflight, and say what it found beside the truth."""
    rng = np.random.default_rng([seed, index])
    view = VIEWS[index % len(VIEWS)]
    group = GROUPS[(index // len(VIEWS)) % len(GROUPS)]
    make = scan_a_limb if view.startswith("limb") else scan_pelvis
    found = make(rng, group, view) if make is scan_a_limb else make(rng, group, view, index, seed)
    mr, ct, body, motion, seen, back = found
    told = True
    if view.endswith("cropped") and rng.random() < 0.5:
        seen = seen & own_field(rng, mr.grid, back)
        told = bool(rng.random() < 0.5)  # a cohort of somebody else's brings no coverage
    ct = ct.with_array(np.where(seen, ct.array, np.float32(-1000)))
    mask = body_of(ct) & seen
    case = Case(case="case", patient="p", site="A", source="mr.nii.gz", reference="ct.nii.gz")
    cohort = Cohort(name="c", source_modality="MR", reference_quantity="HU", cases=(case,))
    loaded = LoadedCase(
        case=case,
        source=mr,
        reference=ct,
        mask=mask if mask.any() else None,
        coverage=seen if told and not seen.all() else None,
    )
    result = preflight(loaded, cohort)
    judged = {k: v for k, v in result.values.items() if k in JUDGED}
    key = result.values.get("alignment_displacement_95")
    return {
        "index": index,
        "view": view,
        "group": group,
        "true_mm": motion.displacement_95_mm(some(body, points_of(mr.grid))),
        "shift_mm": float(np.linalg.norm(motion.shift_mm)),
        "rotation_deg": float(np.linalg.norm(motion.rotation_deg)),
        "status": _worst(judged.values()),
        "refused": result.refused,
        "found_mm": None if key is None else key.value,
        "at_least_mm": None if key is None else key.at_least,
        "body_overlap": judged["body_overlap"].value if "body_overlap" in judged else None,
        "why": result.reason or "; ".join(v.why for v in judged.values() if v.status != "ok"),
        "covered": float(seen.mean()),
    }


def _worst(values: Iterable[Any]) -> str:
    order = ("ok", "warning", "undetermined", "refused")
    return max((value.status for value in values), key=order.index, default="refused")


def table(found: list[dict[str, Any]]) -> str:
    """Write one row a view: how aligned, mildly and grossly misaligned pairs fared."""
    lines = [
        "| view | below 2 mm: n | ok | refused | between: n | ok | refused | above 12 mm: n "
        "| **ok** | warning | undetermined | refused | error of the ok ones, 95 % |",
        "|---|" + "--:|" * 12,
    ]
    for view in (*VIEWS, "all"):
        rows = [r for r in found if view in ("all", r["view"])]
        near = [r for r in rows if r["true_mm"] < NEAR_MM]
        far = [r for r in rows if r["true_mm"] > FAR_MM]
        between = [r for r in rows if NEAR_MM <= r["true_mm"] <= FAR_MM]
        errors = [abs(r["found_mm"] - r["true_mm"]) for r in rows if r["status"] == "ok"]
        error = f"{np.percentile(errors, 95):.1f} mm" if errors else "–"

        def count(group: list[dict[str, Any]], status: str) -> int:
            return sum(r["status"] == status for r in group)

        lines.append(
            f"| {view} | {len(near)} | {count(near, 'ok')} | {count(near, 'refused')} "
            f"| {len(between)} | {count(between, 'ok')} | {count(between, 'refused')} "
            f"| {len(far)} | **{count(far, 'ok')}** | {count(far, 'warning')} "
            f"| {count(far, 'undetermined')} | {count(far, 'refused')} | {error} |"
        )
    return "\n".join(lines)


def maker(seed: int) -> str:
    """Digest of the seed, and of the code that finds and that draws: what a trial depends on."""
    root = Path(__file__).resolve().parents[1]
    files = sorted((root / "qa_suite" / "preflight").glob("*.py"))
    files += [root / "benchmarks" / "virtual_limb.py"]
    digest = hashlib.sha256(f"{seed}".encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def trials(cases: int, *, seed: int, out: Path | None, processes: int) -> list[dict[str, Any]]:
    """Run the trials that ``out`` does not hold from this seed and code, and return all of them."""
    kept: dict[int, dict[str, Any]] = {}
    by = maker(seed)
    if out is not None and out.exists():
        for line in out.read_text().splitlines():
            row = json.loads(line)
            if row.pop("maker", None) == by:
                kept[row["index"]] = row
    wanted = [index for index in range(cases) if index not in kept]
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            _gather(pool.map(trial, wanted, [seed] * len(wanted)), kept, out, by)
    else:
        _gather((trial(index, seed) for index in wanted), kept, out, by)
    return [kept[index] for index in range(cases)]


def _gather(
    results: Iterable[dict[str, Any]], kept: dict[int, dict[str, Any]], out: Path | None, by: str
) -> None:
    for row in results:
        kept[row["index"]] = row
        if out is not None:
            with out.open("a") as file:
                file.write(json.dumps({**row, "maker": by}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="one JSON line a trial; a run goes on there")
    parser.add_argument("--write", type=Path, help="page whose marked table is replaced")
    given = parser.parse_args()
    found = trials(given.cases, seed=given.seed, out=given.out, processes=given.processes)
    text = table(found)
    print(text)
    if given.write is not None:
        page = given.write.read_text()
        head, rest = page.split(BEGIN)
        given.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
