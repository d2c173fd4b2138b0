"""Proton surrogate: exact depths against sampled ones, and what a whole case costs.

    python benchmarks/bench_protons.py

The patient is an elliptical cylinder of water with two rods of bone and one of air; the target a
ball in its middle. The peer of the ray tracer samples the same rays with SciPy every ½ mm at the
nearest voxel, as many codes do; its disagreement is its own error. The proton cases have no peer
in this environment; docs/appendix/commissioning.md compares doses with pyRadPlan, which takes 20 to
40 s for one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bench import markdown
from numpy.typing import NDArray
from scipy import ndimage

from qa_suite.core.volume import Grid
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import BeamTemplate, PlanTemplate
from qa_suite.dose.protons import protons_range
from qa_suite.dose.range.errors import compare_ranges
from qa_suite.dose.range.raytrace import beam_frame, depth_map, path_integral
from qa_suite.dose.range.scenarios import recalculate_scenarios

SIZES = {
    "96×96×48 at 3 mm, target 60 mm": (Grid(shape=(96, 96, 48), spacing_mm=(3.0,) * 3), 30.0),
    "256×256×128 at 2 mm, target 80 mm": (Grid(shape=(256, 256, 128), spacing_mm=(2.0,) * 3), 40.0),
}
RAYS, STEP_MM = 20_000, 0.5


def patient(grid: Grid, radius_mm: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Densities and the target's mask."""
    x, y, z = (
        (np.arange(n) - (n - 1) / 2).astype(np.float32) * s
        for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    )
    half = x[-1]
    plane = (x[:, None] / (0.9 * half)) ** 2 + (y[None] / (0.65 * half)) ** 2 <= 1
    density = np.repeat(plane[:, :, None], grid.shape[2], axis=2).astype(np.float32)
    for centre, value in ((0.5 * half, 1.5), (-0.5 * half, 1.5), (0.0, 0.02)):
        away = (x[:, None] - centre) ** 2 + (y[None] - (0.45 * half if not centre else 0)) ** 2
        density[away < 225] = value
    ball = x[:, None, None] ** 2 + y[:, None] ** 2 + z**2 < radius_mm**2
    return density, np.asarray(ball)


def best(task: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Shortest of several runs after one that compiles, and what came out."""
    found, shortest = task(), float("inf")
    for _ in range(times):
        start = time.perf_counter()
        found = task()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest, found


def sampled(density: Any, grid: Grid, starts: Any, ends: Any) -> NDArray[np.float64]:
    lengths = np.linalg.norm(ends - starts, axis=1)
    out = np.zeros(len(ends))
    first, last = grid.to_index(starts), grid.to_index(ends)
    for n in range(len(ends)):
        count = max(1, int(lengths[n] / STEP_MM))
        at = first[n] + (np.arange(count)[:, None] + 0.5) / count * (last[n] - first[n])
        values = ndimage.map_coordinates(density, at.T, order=0, mode="constant")
        out[n] = values.mean() * lengths[n]
    return out


def row(
    task: str,
    sizes: str,
    ours: float,
    agreement: str,
    peer: str = "none",
    peer_s: float | None = None,
) -> dict[str, object]:
    ratio = None if peer_s is None else peer_s / ours
    return {
        "task": task,
        "sizes": sizes,
        "peer": peer,
        "ours_s": ours,
        "peer_s": peer_s,
        "ratio": ratio,
        "agreement": agreement,
    }


def tracing(name: str, grid: Grid, density: Any) -> list[dict[str, object]]:
    frame = beam_frame(BeamTemplate(gantry_deg=35), grid.centre_mm, sad_mm=2300.0)
    rng = np.random.default_rng(0)
    ends = grid.to_world(rng.uniform(0, np.asarray(grid.shape) - 1, (RAYS, 3)))
    starts = ends + 500 * frame.axes[:, 2]
    ours, exact = best(lambda: path_integral(density, grid, starts, ends))
    peer, rough = best(lambda: sampled(density, grid, starts, ends), times=1)
    away = np.abs(rough - exact)
    whole, _ = best(lambda: depth_map(density, grid, frame))
    return [
        row(
            "water-equivalent depth",
            f"{RAYS} rays, {name}",
            ours,
            f"mean {away.mean():.2f} mm, largest {away.max():.2f} mm",
            f"SciPy, nearest voxel every {STEP_MM:g} mm",
            peer,
        ),
        row("water-equivalent depth", f"every voxel, {name}", whole, "exact"),
    ]


def case(name: str, grid: Grid, density: Any, target: Any) -> list[dict[str, object]]:
    template = PlanTemplate.model_validate(
        {
            "name": "bench",
            "modality": "protons",
            "anatomy": "none",
            "engine": "protons-range",
            "machine": "proton-generic",
            "technique": "spots",
            "beams": [{"gantry_deg": 90}, {"gantry_deg": 270}],
            "prescription": {"dose_gy": 60, "fractions": 30},
            "targets": [{"structures": ["PTV"]}],
            "source": "A benchmark.",
        }
    )
    engine, hlut = protons_range("proton-generic"), load_hlut("electron-density-as-rsp")
    faulted = np.where(density > 1.2, np.float32(1.05), density)

    def run() -> Any:
        plan = engine.plan(
            density,
            grid,
            target=target,
            avoid={},
            isocentre_mm=grid.centre_mm,
            template=template,
            hlut=hlut,
            target_name="PTV",
        )
        doses = [engine.recalculate(image, plan).array for image in (density, faulted)]
        ranges = [
            compare_ranges(
                density,
                faulted,
                grid,
                target=target,
                label=beam.label,
                frame=beam_frame(beam, plan.isocentre_mm, sad_mm=2300.0),
            )
            for beam in template.beams
        ]
        return plan, doses, ranges

    ours, (plan, doses, ranges) = best(run, times=2)
    inside = doses[0][target]
    words = (
        f"{plan.facts['spots']} spots; D95 {np.quantile(inside, 0.05):.1f} of 57 Gy; bone lost: "
        f"{ranges[0].mean_mm:+.1f} mm of range, D95 {np.quantile(doses[1][target], 0.05):.1f} Gy"
    )
    robust, _ = best(lambda: recalculate_scenarios(engine, density, plan), times=2)
    return [
        row("proton case: plan, two doses, range errors", name, ours, words),
        row("proton case: eight robust scenarios", name, robust, "same plan"),
    ]


def rows() -> list[dict[str, object]]:
    found = []
    for name, (grid, radius_mm) in SIZES.items():
        density, target = patient(grid, radius_mm)
        found += tracing(name, grid, density) + case(name, grid, density, target)
    return found


if __name__ == "__main__":
    print(markdown(rows()))
