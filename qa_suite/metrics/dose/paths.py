"""What the beams pass on their way to the target: what was never seen, and errors of range."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import QAError
from qa_suite.core.volume import Grid, Volume
from qa_suite.core.wording import count as count_of
from qa_suite.dose.dvh.curve import Dvh
from qa_suite.dose.dvh.metrics import read_metric
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.plan.plan import PlannedBeam
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.errors import RangeComparison, compare_ranges
from qa_suite.dose.range.raytrace import beam_frame, path_integral
from qa_suite.dose.range.scenarios import recalculate_scenarios
from qa_suite.dose.scene.gridding import averaged_onto
from qa_suite.dose.scene.scene import DoseImage, Mask
from qa_suite.metrics.base import Kept, Value, failed, ok, undefined
from qa_suite.metrics.dose.computed import TARGET, ComputedPlan

_MOST_RAYS = 500
_SEED = 21
_THROUGH_MM = 0.01  # of voxels beyond; less is rounding
_REACH_MM = 10_000.0  # parallel rays start outside any image
NO_RAY = -9999.0
"""Value of a range map where no ray meets the target."""
RANGE_METRICS = (
    "wepl_difference_mean",
    "wepl_difference_95",
    "wepl_difference_max",
    "range_error_pct",
    "range_beyond_margin",
)


def beam_region(beam: BeamTemplate) -> str:
    """Return the region of a beam's rows."""
    return f"beam:{beam.label}"


def sad_mm(done: ComputedPlan, beam: PlannedBeam) -> float | None:
    """Return the distance from source to isocentre, the beam's own or its machine's."""
    return done.engine.sad_mm if beam.sad_mm is None else beam.sad_mm


def path_rows(done: ComputedPlan) -> Iterator[Value]:
    """Yield the unseen share of each beam's path, and what enters through the image's edge."""
    scene, key = done.scene, done.key
    unseen = averaged_onto(~scene.seen, scene.image_grid, scene.grid)
    density = done.reference_density
    ends = _target_points(done)
    for beam in done.plan.beams:
        region = beam_region(beam.geometry)
        frame = beam_frame(beam.geometry, done.plan.isocentre_mm, sad_mm=sad_mm(done, beam))
        starts = frame.upstream_mm(ends, _REACH_MM)
        whole = path_integral(density, scene.grid, starts, ends)
        hidden = path_integral(density * unseen, scene.grid, starts, ends)
        reached = whole > 0
        if reached.any():
            share = 100 * float(np.mean(hidden[reached] / whole[reached]))
            yield ok("path_unseen", region, share, variant=key)
        else:
            yield undefined("path_unseen", region, "no ray passes the body", variant=key)
        cut = _enters_inside(starts, ends, scene.reference.body, scene.image_grid)
        yield ok("path_cut", region, 100 * float(cut.mean()), variant=key)


def table_rows(done: ComputedPlan) -> Iterator[Value]:
    """Yield how many voxels lie beyond the HLUT's ends, and what share of the rays meets them."""
    scene, table, key = done.scene, done.choice.hlut, done.key
    met = np.zeros(scene.image_grid.shape, dtype=bool)
    for name, image in (("reference", scene.reference), ("synthetic", scene.synthetic)):
        below, above = scene.beyond(image, table)
        met |= below | above
        said = _beyond_said(image, table, below, above)
        number = float(below.sum() + above.sum())
        yield ok(f"hu_beyond_{name}", "body", number, variant=key, why=said)
    field = averaged_onto(met, scene.image_grid, scene.grid)
    ends, worst = _target_points(done), 0.0
    for beam in done.plan.beams if met.any() else ():
        frame = beam_frame(beam.geometry, done.plan.isocentre_mm, sad_mm=sad_mm(done, beam))
        through = path_integral(field, scene.grid, frame.upstream_mm(ends, _REACH_MM), ends)
        share = 100 * float(np.mean(through > _THROUGH_MM))
        worst = max(worst, share)
        yield ok("path_beyond_table", beam_region(beam.geometry), share, variant=key)
    yield ok("path_beyond_table", "all", worst, variant=key)


def _beyond_said(image: DoseImage, table: Hlut, below: Mask, above: Mask) -> str:
    """Say how far voxels lie beyond a table; empty where none do."""
    (lowest, _), (highest, _) = table.points[0], table.points[-1]
    said = []
    if below.any():
        least = float(image.hu[below].min())
        said.append(
            f"{count_of(int(below.sum()), 'voxel')} below {lowest:g} HU (down to {least:.0f})"
        )
    if above.any():
        most = float(image.hu[above].max())
        said.append(
            f"{count_of(int(above.sum()), 'voxel')} above {highest:g} HU (up to {most:.0f})"
        )
    return f"{', '.join(said)}, where {table.name} ends" if said else ""


def _target_points(done: ComputedPlan) -> FloatArray:
    places = np.argwhere(done.scene.target_on_grid)
    if len(places) > _MOST_RAYS:
        rng = np.random.default_rng(_SEED)
        places = places[np.sort(rng.choice(len(places), _MOST_RAYS, replace=False))]
    return done.scene.grid.to_world(places)


def _enters_inside(
    starts: FloatArray, ends: FloatArray, body: Mask, grid: Grid
) -> NDArray[np.bool_]:
    """Say of each ray whether it enters the image inside the body, through the image's edge."""
    first, last = grid.to_index(starts), grid.to_index(ends)
    step = last - first
    size = np.asarray(grid.shape) - 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        faces = np.stack([(-0.5 - first) / step, (size - first) / step])
    entry = np.where(step == 0, -np.inf, faces.min(axis=0)).max(axis=1)
    place = first + np.clip(entry, 0.0, 1.0)[:, None] * step
    i, j, k = np.clip(np.rint(place), 0, np.asarray(grid.shape) - 1).astype(int).T
    return np.asarray((entry > 0) & body[i, j, k])


# ---------------------------------------------------------------------------------------
# Errors of range of proton beams, and what the plan was made robust against


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
