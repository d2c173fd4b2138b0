"""False and missed components: silence on clean twins, what is found of planted ones, speed.

    python benchmarks/bench_hallucination.py --write docs/appendix/hallucination.md
    python benchmarks/bench_hallucination.py --patients 3     # per hospital; default 16

Balls are planted at random places of virtual patients, into the synthetic image (false) or the
reference (missed); the synthetic image is the oracle translator's in any case.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from qa_suite.core.volume import Grid, Volume
from qa_suite.lab.phantom import HOSPITALS, LABELS, VirtualPatient, make_patient, oracle_translate
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.family import Component, find_components, hallucination
from qa_suite.metrics.hallucination.settings import HallucinationSettings

BEGIN, END = "<!-- found: begin -->", "<!-- found: end -->"
TWINS = 5
SETTINGS = HallucinationSettings()
BONE = [LABELS[n] for n in LABELS if n.startswith(("bone", "marrow"))]
SOFT = [LABELS[n] for n in LABELS if n not in ("air", "skin", "fat", "cartilage", "gas")]
SOFT = [label for label in SOFT if label not in BONE]
LESIONS = ("lesion", "lesion_near_bone", "bone_lesion")
"""A lesion planted into bone is of one of these kinds, by how dense what it lies in is."""


@dataclass(frozen=True, kw_only=True)
class Plant:
    kinds: tuple[str, ...]
    what: str
    tissue: list[int]
    share: float  # of the ball that lies in the tissue
    radius_mm: float
    change_hu: float | None = None
    value_hu: float | None = None

    def into(self, array: np.ndarray, ball: np.ndarray) -> np.ndarray:
        if self.value_hu is not None:
            return (array * (1 - ball) + self.value_hu * ball).astype(np.float32)
        return (array + self.change_hu * ball).astype(np.float32)


def _bone(change: float, radius: float) -> Plant:
    return Plant(
        kinds=LESIONS,
        what=f"bone lesion {change:+.0f} HU",
        tissue=BONE,
        share=0.7,
        radius_mm=radius,
        change_hu=change,
    )


def _soft(change: float, radius: float) -> Plant:
    return Plant(
        kinds=LESIONS[:1],
        what=f"soft-tissue lesion {change:+.0f} HU",
        tissue=SOFT,
        share=0.9,
        radius_mm=radius,
        change_hu=change,
    )


def _filled(kind: str, what: str, value: float, radius: float) -> Plant:
    return Plant(kinds=(kind,), what=what, tissue=SOFT, share=0.9, radius_mm=radius, value_hu=value)


PLANTS = [
    _bone(300, 7.5),
    _bone(-300, 7.5),
    _bone(200, 7.5),
    _bone(300, 5.0),
    _soft(80, 10),
    _soft(60, 10),
    _soft(-60, 10),
    _soft(40, 10),
    _soft(60, 7.5),
    _filled("air", "gas", -1000, 8.95),
    _filled("air", "gas", -1000, 6.2),
    _filled("bone", "bone of 400 HU", 400, 8.95),
    _filled("bone", "bone of 400 HU", 400, 6.2),
]


def patients(per_hospital: int, spacing_mm: float, seed: int) -> Iterator[VirtualPatient]:
    for hospital in HOSPITALS:
        for index in range(1, per_hospital + 1):
            yield make_patient(hospital, index, seed=seed, spacing_mm=(spacing_mm,) * 3)


def ball_in(grid: Grid, centre_mm: np.ndarray, radius_mm: float, sub: int = 4) -> np.ndarray:
    """Share of every voxel inside a ball."""
    sides = []
    for n, s, o, c in zip(grid.shape, grid.spacing_mm, grid.origin_mm, centre_mm, strict=True):
        sides.append(o + s * ((np.arange(n * sub) + 0.5) / sub - 0.5) - c)
    low, high = [], []
    for side in sides:
        near = np.flatnonzero(np.abs(side) <= radius_mm) // sub
        low.append(int(near.min()))
        high.append(int(near.max()) + 1)
    x, y, z = np.ix_(*(v[a * sub : b * sub] for v, a, b in zip(sides, low, high, strict=True)))
    inside = (x**2 + y**2 + z**2 <= radius_mm**2).astype(np.float32)
    shape = [m for a, b in zip(low, high, strict=True) for m in (b - a, sub)]
    share = np.zeros(grid.shape, dtype=np.float32)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    share[box] = inside.reshape(shape).mean(axis=(1, 3, 5))
    return share


def place(
    patient: VirtualPatient, plant: Plant, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a random centre and the ball there, or None where the patient has no room."""
    grid, labels = patient.grid, patient.labels.array
    spacing = np.array(grid.spacing_mm)
    tissue = np.isin(labels, plant.tissue)
    depth = ndimage.distance_transform_edt(patient.body, sampling=spacing)
    where = np.argwhere(tissue & (depth > plant.radius_mm + 10))
    margin = (plant.radius_mm + 6) / spacing
    inside = (where > margin) & (where < np.array(grid.shape) - 1 - margin)
    where = where[inside.all(axis=1)]
    for _ in range(300 if len(where) else 0):
        centre = grid.to_world(where[rng.integers(len(where))] + rng.uniform(-0.5, 0.5, 3))
        ball = ball_in(grid, centre, plant.radius_mm)
        if (ball * tissue).sum() >= plant.share * ball.sum():
            return centre, ball
    return None


def components(
    patient: VirtualPatient,
    seed: int,
    reference: np.ndarray,
    truth: np.ndarray,
    source: Volume | None = None,
) -> list[Component]:
    twin = oracle_translate(patient.ct_noise_free.with_array(truth), seed=seed)
    pair = Pair(
        reference=patient.ct.with_array(reference), synthetic=twin, mask=patient.body, source=source
    )
    return find_components(pair, SETTINGS)


def sensitivity(cohort: list[VirtualPatient], plant: Plant) -> dict[str, float]:
    """Share found, of the right kind within 10 mm, and how well it is described."""
    rng = np.random.default_rng(11)
    hits, right, size, bright = [], [], [], []
    for number, patient in enumerate(cohort):
        placed = place(patient, plant, rng)
        if placed is None:
            continue
        centre, ball = placed
        ct, truth = patient.ct.array, patient.ct_noise_free.array
        for false in (True, False):
            found = components(
                patient,
                1000 + number,
                ct if false else plant.into(ct, ball),
                plant.into(truth, ball) if false else truth,
            )
            near = [
                c
                for c in found
                if c.kind in plant.kinds and np.linalg.norm(np.array(c.position_mm) - centre) < 10
            ]
            hits.append(bool(near))
            if near:
                right.append(near[0].false == false)
                size.append(near[0].volume_cc)
                bright.append(near[0].contrast_hu)
    nothing = float("nan")
    return {
        "n": len(hits),
        "found": float(np.mean(hits)) if hits else nothing,
        "right": float(np.mean(right)) if right else nothing,
        "volume": float(np.median(size)) if size else nothing,
        "contrast": float(np.median(bright)) if bright else nothing,
    }


def clean_alarms(cohort: list[VirtualPatient], twins: int) -> tuple[int, int]:
    """Return clean twins with any component, and all of them."""
    alarms = [
        bool(components(p, 10_000 * t + n, p.ct.array, p.ct_noise_free.array))
        for t in range(twins)
        for n, p in enumerate(cohort)
    ]
    return sum(alarms), len(alarms)


def shifted(cohort: list[VirtualPatient], shift_mm: float) -> dict[str, float]:
    """Components per patient and kind where the whole image is moved along x."""
    counts = dict.fromkeys(("bone", "air", *LESIONS), 0)
    for number, patient in enumerate(cohort):
        step = (shift_mm / patient.grid.spacing_mm[0], 0, 0)
        truth = ndimage.shift(patient.ct_noise_free.array, step, order=1, mode="nearest")
        for found in components(patient, number, patient.ct.array, truth):
            counts[found.kind] += 1
    return {kind: n / len(cohort) for kind, n in counts.items()}


def report(per_hospital: int) -> str:
    lines = []
    cohorts = {}
    for spacing in (6.0, 3.0):
        count = per_hospital if spacing == 6 else max(1, per_hospital // 4)
        cohorts[spacing] = list(patients(count, spacing, seed=78))
        alarms, twins = clean_alarms(cohorts[spacing], twins=TWINS)
        lines.append(
            f"Clean twins at {spacing:g} mm with any false or missed component: "
            f"{alarms} of {twins} ({len(cohorts[spacing])} patients, {TWINS} twins each)."
        )
    columns = (
        "Planted",
        "diameter, cm³",
        "found",
        "false/missed right",
        "volume, cm³",
        "contrast, HU",
    )
    lines += ["", "Each at voxels of 6 mm; 3 mm:", ""]
    lines += ["| " + " | ".join(columns) + " |", "|---|---|--:|--:|--:|--:|"]
    for plant in PLANTS:
        told = [_told(sensitivity(cohort, plant)) for cohort in cohorts.values()]
        size = f"{2 * plant.radius_mm:g} mm, {4.19e-3 * plant.radius_mm**3:.1f}"
        cells = [plant.what, size, *map("; ".join, zip(*told, strict=True))]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    lines += [
        "",
        "| Whole image moved by | 0.5 mm | 1 mm | 1.5 mm | 2 mm | 3 mm | 5 mm |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for spacing, cohort in cohorts.items():
        moves = [shifted(cohort[::4], mm) for mm in (0.5, 1, 1.5, 2, 3, 5)]
        cells = [f"{sum(m.values()):.1f} ({m['bone']:.1f}, {m['air']:.1f})" for m in moves]
        lines.append(
            f"| components a patient (of them bone, air), {spacing:g} mm | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


def _told(f: dict[str, float]) -> tuple[str, ...]:
    described = (f"{f['right']:.2g}", f"{f['volume']:.2g}", f"{f['contrast']:.0f}")
    return f"{f['found']:.2f} of {f['n']}", *("–" if c == "nan" else c for c in described)


def rows() -> list[dict[str, object]]:
    """Time the whole family; nobody else's code counts components this way."""
    found = []
    coarse = make_patient("A", 1, seed=1, spacing_mm=(6.0, 6.0, 6.0))
    large = Grid(
        shape=(256, 256, 100), spacing_mm=(1.7, 1.3, 2.0), origin_mm=(-217.0, -166.0, -91.0)
    )
    fine = make_patient("A", 1, seed=1, grid=large)
    for patient, repeats in ((coarse, 7), (fine, 3)):
        twin = oracle_translate(patient.ct_noise_free, seed=1)
        pair = Pair(
            reference=patient.ct,
            synthetic=twin,
            mask=patient.body,
            source=patient.mr,
            structures=patient.structures,
        )
        hallucination(pair, SETTINGS)
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            hallucination(pair, SETTINGS)
            times.append(time.perf_counter() - started)
        found.append(
            {
                "task": "false and missed components",
                "sizes": patient.grid.describe(),
                "peer": "–",
                "ours_s": min(times),
                "peer_s": None,
                "ratio": None,
                "agreement": "–",
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=16, help="per hospital, at 6 mm")
    parser.add_argument("--write", type=Path, help="page whose marked part is replaced")
    options = parser.parse_args()
    for row in rows():
        print(f"{row['sizes']}: {row['ours_s']:.3f} s")
    text = report(options.patients)
    print(text)
    if options.write is not None:
        head, rest = options.write.read_text().split(BEGIN)
        tail = rest.split(END)[1]
        options.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


if __name__ == "__main__":
    main()
