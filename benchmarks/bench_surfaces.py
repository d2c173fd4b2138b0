"""Surface distances of 20 structures in one pass, against MONAI's separate metrics.

    python benchmarks/bench_surfaces.py

Ellipsoids at 128×256×256 (2×1×1 mm), each with a twin that is shifted, stretched and bumpy. Both
sides get one bool mask a structure and as many threads; both measure HD, HD95, mean surface
distance and surface Dice. The disagreement is that of the definitions (area against number of
voxels, surface against voxel centres), see docs/measures/segmentation.md.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from bench import markdown
from numpy.typing import NDArray

from qa_suite.lab.exam.scenes import virtual_scene
from qa_suite.metrics.base import Pair
from qa_suite.metrics.segmentation.family import segmentation
from qa_suite.metrics.segmentation.settings import SegmentationSettings
from qa_suite.metrics.segmentation.surfaces import (
    assd,
    hd,
    hd95,
    surface_dice,
    surface_distances_of,
)

SHAPE, SPACING_MM, TOLERANCE_MM = (128, 256, 256), (2.0, 1.0, 1.0), 2.0
STRUCTURES = 20
Masks = dict[str, NDArray[np.bool_]]


def ellipsoid(centre: NDArray[Any], radii: NDArray[Any], bumps: float = 0.0) -> NDArray[np.bool_]:
    """An ellipsoid, its radius modulated by ``bumps`` in waves; centre and radii in mm."""
    axes = [np.arange(n) * s for n, s in zip(SHAPE, SPACING_MM, strict=True)]
    x, y, z = (
        ((axis - c) / r).astype(np.float32).reshape([-1 if a == n else 1 for a in range(3)])
        for n, (axis, c, r) in enumerate(zip(axes, centre, radii, strict=True))
    )
    waves = np.sin(5 * x) * np.sin(4 * y + 1) * np.sin(6 * z + 2) if bumps else 0
    return np.asarray(x * x + y * y + z * z <= (1 + bumps * waves) ** 2)


def make_structures(seed: int = 0) -> tuple[Masks, Masks]:
    """Structures of 12 to 40 mm radius and their twins: 2 mm off, 5 % larger or smaller, bumpy."""
    rng = np.random.default_rng(seed)
    reference, synthetic = {}, {}
    for n in range(STRUCTURES):
        radii = rng.uniform(12, 40, 3)
        centre = np.array([rng.uniform(r + 8, 255 - r - 8) for r in radii])
        reference[f"s{n}"] = ellipsoid(centre, radii)
        moved, stretched = centre + rng.normal(0, 2, 3), radii * rng.uniform(0.95, 1.05, 3)
        synthetic[f"s{n}"] = ellipsoid(moved, stretched, bumps=0.08)
    return reference, synthetic


def by_us(reference: Masks, synthetic: Masks) -> dict[str, NDArray[Any]]:
    found = surface_distances_of(reference, synthetic, SPACING_MM)
    return {
        "hd": np.array([hd(d) for d in found.values()]),
        "hd95": np.array([hd95(d) for d in found.values()]),
        "assd": np.array([assd(d) for d in found.values()]),
        "surface_dice": np.array(
            [surface_dice(d, tolerance_mm=TOLERANCE_MM) for d in found.values()]
        ),
    }


def by_monai() -> dict[str, Callable[[Any, Any], NDArray[Any]]]:
    from monai import metrics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {
            "hd": metrics.HausdorffDistanceMetric(include_background=True),
            "hd95": metrics.HausdorffDistanceMetric(include_background=True, percentile=95),
            "assd": metrics.SurfaceDistanceMetric(include_background=True, symmetric=True),
            "surface_dice": metrics.SurfaceDiceMetric(
                include_background=True,
                class_thresholds=[TOLERANCE_MM] * STRUCTURES,
                use_subvoxels=True,
            ),
        }
    return {
        name: lambda a, b, m=metric: m(b, a, spacing=SPACING_MM).numpy().ravel()
        for name, metric in made.items()
    }


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Best time, in seconds, and the answer."""
    best, answer = np.inf, None
    for _ in range(repeats):
        started = time.perf_counter()
        answer = function()
        best = min(best, time.perf_counter() - started)
    return best, answer


def small_family() -> float:
    """Seconds of the whole family on one patient of the exam's grid."""
    scene = virtual_scene("A", 1, seed=1, spacing_mm=(6.0, 6.0, 8.0))
    pair = Pair(reference=scene.reference, synthetic=scene.clean, mask=scene.body)
    segmentation(pair, SegmentationSettings())  # compiles
    return timed(lambda: segmentation(pair, SegmentationSettings()), 20)[0]


def rows() -> list[dict[str, object]]:
    """Time ours and MONAI; see ``bench.py`` for the columns."""
    import torch

    reference, synthetic = make_structures()
    by_us(reference, synthetic)  # compiles
    ours_s, ours = timed(lambda: by_us(reference, synthetic), 5)
    tensors = [torch.from_numpy(np.stack(list(m.values())))[None] for m in (reference, synthetic)]
    peer_s, peer = {}, {}
    for name, metric in by_monai().items():
        peer_s[name], peer[name] = timed(lambda metric=metric: metric(*tensors), 2)
    size = f"{STRUCTURES} structures, {'×'.join(map(str, SHAPE))}, 2×1×1 mm"
    off = {name: float(np.abs(ours[name] - peer[name]).max()) for name in ours}
    total = sum(peer_s.values())
    said = "; ".join(
        f"{title} within {off[name]:.2f}{unit}"
        for name, title, unit in (
            ("hd95", "HD95", " mm"),
            ("hd", "HD", " mm"),
            ("assd", "mean distance", " mm"),
            ("surface_dice", "surface Dice", ""),
        )
    )
    return [
        _row(
            "HD, HD95, mean surface distance and surface Dice",
            size,
            "MONAI, four metrics",
            ours_s,
            total,
            f"largest of {STRUCTURES}: {said}",
        ),
        _row(
            "the same, against the three without HD",
            size,
            "MONAI, three metrics",
            ours_s,
            total - peer_s["hd"],
            "as above",
        ),
        _row(
            "the same, against HD95 alone",
            size,
            "MONAI HD95",
            ours_s,
            peer_s["hd95"],
            f"HD95 within {off['hd95']:.2f} mm",
        ),
        _row(
            "segmentation family of one patient of the exam",
            "74×54×34, 6×6×8 mm",
            "–",
            small_family(),
            None,
            "–",
        ),
    ]


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
