"""What the beams pass on their way to the target, and how much of it was never seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qa_suite.dose.gridding import averaged_onto
from qa_suite.dose.plan import PlannedBeam
from qa_suite.dose.raytrace import beam_frame, path_integral
from qa_suite.dose.scene import Mask
from qa_suite.dose.template import BeamTemplate
from qa_suite.measures.base import Value, ok, undefined
from qa_suite.measures.dose.computed import ComputedPlan
from qa_suite.volume import Grid

FloatArray = NDArray[np.float64]
_MOST_RAYS = 500
_SEED = 21
_REACH_MM = 10_000.0  # parallel rays start outside any image


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
