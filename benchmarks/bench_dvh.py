"""DVHs of 30 structures at 256×256×128, from masks and from contours.

    python benchmarks/bench_dvh.py

Masks are bool on the dose's own grid, or on a CT grid of its own; the time includes laying the
structures out. No library peer is left (dicompyler-core does not run with pydicom 3), so the peer
is what scripts do: one numpy histogram a structure, whole voxels, without interpolation.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bench import markdown
from numpy.typing import NDArray

from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.curve import Dvh, dvhs_of
from qa_suite.dose.structures.structures import masks_as_structures, sample_structures
from qa_suite.io.rt.structures import Structure

GRID = Grid(shape=(256, 256, 128), spacing_mm=(2.0, 2.0, 3.0))
SMALL = Grid(shape=(74, 54, 34), spacing_mm=(6.0, 6.0, 8.0))
STRUCTURES, POINTS = 30, 180
Ellipsoids = list[tuple[NDArray[Any], NDArray[Any]]]


def ellipsoids(grid: Grid, seed: int = 0) -> Ellipsoids:
    """A body that fills most of the grid, and organs of 5 to 60 mm radius in it."""
    rng = np.random.default_rng(seed)
    size = np.array(grid.shape) * grid.spacing_mm
    made = [(size / 2, size * np.array([0.42, 0.3, 0.55]))]
    for n in range(STRUCTURES - 1):
        radii = np.array([5.0 + 55.0 * n / (STRUCTURES - 2)] * 3) * rng.uniform(0.8, 1.2, 3)
        made.append((size / 2 + rng.uniform(-0.15, 0.15, 3) * size, radii))
    return made


def masks_of(grid: Grid, shapes: Ellipsoids) -> dict[str, NDArray[np.bool_]]:
    axes = [np.arange(n) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    made = {}
    for number, (centre, radii) in enumerate(shapes):
        x, y, z = (
            (((axis - c) / r) ** 2).reshape([-1 if a == n else 1 for a in range(3)])
            for n, (axis, c, r) in enumerate(zip(axes, centre, radii, strict=True))
        )
        made[f"s{number}"] = np.asarray(x + y + z <= 1)
    return made


def contours_of(grid: Grid, shapes: Ellipsoids) -> list[Structure]:
    turn = 2 * np.pi * np.arange(POINTS) / POINTS
    made = []
    for number, (centre, radii) in enumerate(shapes):
        planes = []
        for z in np.arange(grid.shape[2]) * grid.spacing_mm[2]:
            share = 1 - ((z - centre[2]) / radii[2]) ** 2
            if share > 0:
                x = centre[0] + np.sqrt(share) * radii[0] * np.cos(turn)
                y = centre[1] + np.sqrt(share) * radii[1] * np.sin(turn)
                planes.append(np.stack([x, y, np.full(POINTS, z)], axis=1))
        made.append(Structure(name=f"s{number}", kind="", contours=tuple(planes)))
    return made


def dose_on(grid: Grid) -> Volume:
    """Smooth: 60 Gy at a target, falling off with beams."""
    x, y, z = (np.arange(n) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True))
    x, y, z = (a - a.mean() for a in (x, y, z))
    r2 = x[:, None, None] ** 2 + y[None, :, None] ** 2 + z**2
    array = 45 * np.exp(-r2 / (2 * 60**2)) + 15 * np.exp(-r2 / (2 * 150**2))
    return Volume(array=array.astype(np.float32), grid=grid, quantity="Gy")


def by_numpy(dose: Volume, masks: dict[str, NDArray[np.bool_]]) -> dict[str, float]:
    """D95 of every mask from a histogram of its voxels in steps of 0.01 Gy."""
    edges = np.arange(0, float(dose.array.max()) + 0.02, 0.01)
    found = {}
    for name, mask in masks.items():
        counts, _ = np.histogram(dose.array[mask], bins=edges)
        above = np.cumsum(counts[::-1])[::-1] / max(counts.sum(), 1)
        found[name] = float(edges[np.searchsorted(-above, -0.95, side="right") - 1])
    return found


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    best, answer = np.inf, None
    for _ in range(repeats):
        started = time.perf_counter()
        answer = function()
        best = min(best, time.perf_counter() - started)
    return best, answer


def _apart(found: dict[str, Dvh], peer: dict[str, float]) -> float:
    return max(abs(found[name].dose_at_volume_pct(95) - d95) for name, d95 in peer.items())


def rows() -> list[dict[str, object]]:
    """Time ours and the plain histogram; see ``bench.py`` for the columns."""
    shapes, dose = ellipsoids(GRID), dose_on(GRID)
    masks, contours = masks_of(GRID, shapes), contours_of(GRID, shapes)
    structures = masks_as_structures(masks, GRID)
    dvhs_of(dose, structures[:2])  # compiles
    dvhs_of(dose, contours[1:3])
    made = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peer_s, peer = timed(lambda: by_numpy(dose, masks), 3)
    size = f"{STRUCTURES} structures, 256×256×128"
    for threads in (1, 2):
        ours_s, ours = timed(lambda t=threads: dvhs_of(dose, structures, threads=t), 5)
        word = "1 thread" if threads == 1 else f"{threads} threads"
        made.append(
            _row(
                f"DVHs from masks, {word}",
                size,
                "numpy histogram, whole voxels",
                ours_s,
                peer_s,
                f"D95 within {_apart(ours, peer):.2f} Gy",
            )
        )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made[-1]["agreement"] = f"{made[-1]['agreement']}; +{(after - before) / 1024:.0f} MiB"
    samples = sample_structures(structures, GRID)
    second_s, _ = timed(lambda: dvhs_of(dose, samples.values(), threads=2), 5)
    made.append(_row("DVHs of a second dose, structures laid out", size, "–", second_s, None, "–"))
    laid_s, laid = timed(lambda: sample_structures(contours, GRID), 2)
    drawn_s, drawn = timed(lambda: dvhs_of(dose, laid.values(), threads=2), 3)
    apart = _apart(drawn, peer)
    made.append(
        _row(
            "lay out contours, interpolated and capped",
            size,
            "–",
            laid_s,
            None,
            f"D95 within {apart:.2f} Gy of the masks'",
        )
    )
    made.append(_row("DVHs from laid out contours", size, "–", drawn_s, None, "–"))
    small_shapes, small = ellipsoids(SMALL), dose_on(SMALL)
    few = masks_as_structures(masks_of(SMALL, small_shapes), SMALL)
    small_s, _ = timed(lambda: dvhs_of(small, few), 5)
    made.append(
        _row("DVHs from masks", f"{STRUCTURES} structures, 74×54×34", "–", small_s, None, "–")
    )
    return made


def _row(
    task: str, sizes: str, peer: str, ours_s: float, peer_s: float | None, agreement: str
) -> dict[str, object]:
    ratio = None if peer_s is None else peer_s / ours_s
    return {
        "task": task,
        "sizes": sizes,
        "peer": peer,
        "ours_s": ours_s,
        "peer_s": peer_s,
        "ratio": ratio,
        "agreement": agreement,
    }


if __name__ == "__main__":
    print(markdown(rows()))
