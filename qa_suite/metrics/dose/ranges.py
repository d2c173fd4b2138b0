"""Range errors of proton beams, and whether they exceed what the plan was made robust against."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qa_suite.core.errors import QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.curve import Dvh
from qa_suite.dose.dvh.metrics import read_metric
from qa_suite.dose.range.errors import RangeComparison, compare_ranges
from qa_suite.dose.range.raytrace import beam_frame
from qa_suite.dose.range.scenarios import recalculate_scenarios
from qa_suite.metrics.base import Kept, Value, failed, ok, undefined
from qa_suite.metrics.dose.computed import TARGET, ComputedPlan
from qa_suite.metrics.dose.paths import beam_region, sad_mm

NO_RAY = -9999.0
"""Value of a range map where no ray meets the target."""
RANGE_METRICS = (
    "wepl_difference_mean",
    "wepl_difference_95",
    "wepl_difference_max",
    "range_error_pct",
    "range_beyond_margin",
)


def range_rows(done: ComputedPlan) -> Iterator[Value | Kept]:
    """Yield the range errors of every beam, and their maps in the beam's eye view."""
    key = done.key
    for beam in done.plan.beams:
        region = beam_region(beam.geometry)
        try:
            found = compare_ranges(
                done.reference_density,
                done.synthetic_density,
                done.scene.grid,
                target=done.scene.target_on_grid,
                label=beam.geometry.label,
                frame=beam_frame(beam.geometry, done.plan.isocentre_mm, sad_mm=sad_mm(done, beam)),
            )
        except QAError as error:
            for metric in RANGE_METRICS:
                yield failed(metric, region, str(error), variant=key)
            continue
        values = (
            found.mean_mm,
            found.p95_abs_mm,
            found.max_abs_mm,
            found.mean_pct,
            100 * found.share_beyond_margin(),
        )
        for metric, value in zip(RANGE_METRICS, values, strict=True):
            yield ok(metric, region, value, variant=key)
        yield Kept(role=f"range_error:{beam.geometry.label}@{key}", volume=_map_of(found))


def scenario_rows(done: ComputedPlan, synthetic: Dvh) -> Iterator[Value]:
    """Yield how far the synthetic D95 falls below the worst scenario on the reference."""
    name, key = "scenario_excess_d95", done.key
    doses = recalculate_scenarios(done.engine, done.reference_density, done.plan)
    found = [read_metric(done.target_dvh(dose), "D95") for dose in doses.values()]
    mine = read_metric(synthetic, "D95")
    known = [reading.value for reading in found if reading.value is not None]
    if mine.value is None or len(known) < len(found):
        why = mine.why or next(r.why for r in found if r.value is None)
        yield undefined(name, TARGET, why, variant=key)
        return
    below = max(0.0, min(known) - mine.value)
    yield ok(name, TARGET, 100 * below / done.prescription_gy, variant=key)


def _map_of(found: RangeComparison) -> Volume:
    """Return the map as a volume of one slice: x crossline, y inline, isocentre plane, in mm."""
    array = np.where(found.hit, found.map_mm, NO_RAY).T.astype(np.float32)[..., None]
    step_x = float(found.x_mm[1] - found.x_mm[0]) if len(found.x_mm) > 1 else 1.0
    step_y = float(found.y_mm[1] - found.y_mm[0]) if len(found.y_mm) > 1 else 1.0
    nx, ny, nz = array.shape
    grid = Grid(
        shape=(nx, ny, nz),
        spacing_mm=(step_x, step_y, 1.0),
        origin_mm=(float(found.x_mm[0]), float(found.y_mm[0]), 0.0),
    )
    step = f"WEPL difference in mm, beam's eye view of {found.beam}; {NO_RAY:g} holds no ray"
    return Volume(array=array, grid=grid, quantity="arbitrary", history=(step,))
