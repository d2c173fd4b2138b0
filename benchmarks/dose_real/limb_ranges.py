"""Range differences of all limbs in four directions, inside the field of view of their MR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.dose_real.run import source_mm
from benchmarks.dose_real.tables import signed
from qa_suite.core.cohort import load_cohort
from qa_suite.core.record_files import read_cases
from qa_suite.core.record_names import VOLUMES_FOLDER
from qa_suite.core.volume import Volume
from qa_suite.dose.engines import engine_of
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import BeamTemplate, load_template
from qa_suite.dose.range.errors import RangeComparison, compare_ranges
from qa_suite.dose.range.raytrace import beam_frame
from qa_suite.dose.scene.scene import DoseScene, dose_scene
from qa_suite.io.cases import LoadedCase, load_case
from qa_suite.io.images import read_image
from qa_suite.metrics.base import Pair
from qa_suite.metrics.dose.computed import seen_by_source

DIRECTIONS_DEG = (0.0, 90.0, 180.0, 270.0)
HLUT = "electron-density-as-rsp"
PLAN = "proton-extremity"


def range_table(cohort_folder: Path, evaluation: Path) -> str:
    """One line a patient: mean and 95 % of the range difference from four sides."""
    head = ["site", *(f"G{angle:03.0f}: mean / 95 %, mm" for angle in DIRECTIONS_DEG)]
    lines = [_line(head), _line(["---", *["--:"] * len(DIRECTIONS_DEG)])]
    cohort = load_cohort(cohort_folder)
    by_name = {case.case: case for case in cohort.cases}
    means: list[float] = []
    for record in sorted(read_cases(evaluation), key=lambda r: (r.site, r.case)):
        if record.status != "evaluated":
            continue
        loaded = load_case(cohort, by_name[record.case], cohort_folder)
        synthetic = read_image(evaluation / VOLUMES_FOLDER / record.volumes["synthetic"], "HU")
        scene = _scene(loaded, synthetic)
        found = [_ranges(scene, angle) for angle in DIRECTIONS_DEG]
        means += [abs(one.mean_mm) for one in found]
        cells = [f"{signed(one.mean_mm, 1)} / {one.p95_abs_mm:.1f}" for one in found]
        lines.append(_line([record.site, *cells]))
    middle = (
        f"Median of the absolute means: {np.median(means):.1f} mm, largest {max(means):.1f} mm."
    )
    return "\n".join(lines) + f"\n\n{middle}\n"


def _scene(loaded: LoadedCase, synthetic: Volume) -> DoseScene:
    assert loaded.reference is not None
    assert loaded.mask is not None
    pair = Pair(
        reference=loaded.reference,
        synthetic=synthetic,
        mask=loaded.mask,
        source=loaded.source,
        structures=loaded.structures,
        coverage=loaded.coverage,
    )
    return dose_scene(
        pair.reference,
        pair.synthetic,
        template=load_template(PLAN),
        structures=pair.structures,
        seen=seen_by_source(pair),
    )


def _ranges(scene: DoseScene, gantry_deg: float) -> RangeComparison:
    hlut = load_hlut(HLUT)
    beam = BeamTemplate(gantry_deg=gantry_deg)
    away = source_mm(engine_of(load_template(PLAN)))
    one, two = (scene.density(image, hlut) for image in (scene.reference, scene.synthetic))
    return compare_ranges(
        one,
        two,
        scene.grid,
        target=scene.target_on_grid,
        label=beam.label,
        frame=beam_frame(beam, scene.isocentre_mm, sad_mm=away),
    )


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
