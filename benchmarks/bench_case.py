"""One case of clinical size: seconds and memory of everything that is measured on it.

A virtual pelvis of 256×256×100 voxels (1.72×1.25×1.44 mm) and its clean twin. The sum of image
measures, threshold segmentation with surfaces, and the checks without a reference must stay
within 15 s on two cores and 3 GiB; positioning has a row of its own.

    python benchmarks/bench_case.py
"""

from __future__ import annotations

import resource
import time

from qa_suite.lab.exam.scenes import virtual_scene
from qa_suite.lab.faults import Scene
from qa_suite.metrics.base import Pair
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings

SPACING_MM = (440 / 256, 320 / 256, 144 / 100)
FAMILIES = ("image", "segmentation", "reference_free", "hallucination", "geometry")
WITHIN_15_S = ("image", "segmentation", "reference_free")


def scene() -> Scene:
    return virtual_scene("A", 1, seed=1, spacing_mm=SPACING_MM)


def seconds(pair: Pair, family: str, repeats: int = 2) -> float:
    """Best of a few runs; the first compiles."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        rows = measure_pair(
            pair, families=[family], settings=MeasureSettings(), case="c", patient="p", site="s"
        ).rows
        found.append(time.perf_counter() - started)
        wrong = [row.why for row in rows if row.status == "error"]
        if wrong:
            raise SystemExit(f"{family}: {wrong[0]}")
    return min(found)


def rows() -> list[dict[str, object]]:
    patient = scene()
    pair = Pair(
        reference=patient.reference,
        synthetic=patient.clean,
        mask=patient.body,
        source=patient.source,
        structures=patient.structures,
    )
    size = "×".join(str(n) for n in patient.grid.shape)
    taken = {family: seconds(pair, family) for family in FAMILIES}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = [_row(f"family {family}", size, taken[family], "") for family in FAMILIES]
    together = sum(taken[family] for family in WITHIN_15_S)
    found.append(_row(" + ".join(WITHIN_15_S), size, together, f"peak {peak:.2f} GiB in all"))
    return found


def _row(task: str, size: str, ours: float, remark: str) -> dict[str, object]:
    return {
        "task": task,
        "sizes": size,
        "peer": "–",
        "ours_s": ours,
        "peer_s": None,
        "ratio": None,
        "agreement": remark,
    }


if __name__ == "__main__":
    from bench import markdown

    print(markdown(rows()))
