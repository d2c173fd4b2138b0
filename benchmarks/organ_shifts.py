"""What the shift of a delineated organ is told as: of clean images, and of a prostate that moved.

python -m benchmarks.organ_shifts --patients 33
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from qa_suite.core.volume import Volume
from qa_suite.lab.exam.readings import planted_into
from qa_suite.lab.exam.scenes import virtual_person
from qa_suite.lab.exam.settings import TUNING_SEED
from qa_suite.lab.faults import Scene
from qa_suite.metrics.base import Pair
from qa_suite.metrics.geometry import geometry
from qa_suite.metrics.geometry.settings import GeometrySettings, PositioningSettings

SETTINGS = GeometrySettings(
    source_alignment="off",
    local_shift=False,
    positioning=PositioningSettings(cbct=False, drr=False),
)


def shifts(scene: Scene, synthetic: Volume) -> dict[str, float]:
    """Shift of every delineated structure in mm; NaN where it is not told."""
    pair = Pair(
        reference=scene.reference, synthetic=synthetic, mask=scene.body, structures=scene.structures
    )
    return {
        value.region: np.nan if value.value is None else value.value
        for value in geometry(pair, SETTINGS)
        if value.metric == "structure_shift" and value.region != "structures"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=33, help="of each of three hospitals")
    parser.add_argument("--moved-mm", type=float, default=10.0)
    options = parser.parse_args()
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for hospital in "ABC":
        for index in range(1, options.patients + 1):
            person = virtual_person(hospital, index, seed=TUNING_SEED)
            for candidate in ("twin", "realistic"):
                scene = person.scene(candidate)
                moved = planted_into(scene, "prostate_moved", options.moved_mm).synthetic
                for image, what in (
                    (scene.clean, "clean"),
                    (moved, f"prostate moved by {options.moved_mm:g} mm"),
                ):
                    for region, value in shifts(scene, image).items():
                        found[candidate, what, region].append(value)
    print("| candidate | image | structure | told | median | 95th | least | largest, mm |")
    print("|---|---|---|--:|--:|--:|--:|--:|")
    for (candidate, what, region), values in sorted(found.items()):
        told = np.asarray([v for v in values if np.isfinite(v)])
        if len(told) and (what == "clean" or region == "structure:Prostate"):
            print(
                f"| {candidate} | {what} | {region.removeprefix('structure:')} "
                f"| {len(told)}/{len(values)} | {np.median(told):.1f} "
                f"| {np.quantile(told, 0.95):.1f} | {told.min():.1f} | {told.max():.1f} |"
            )


if __name__ == "__main__":
    main()
