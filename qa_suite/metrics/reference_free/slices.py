"""Checks of the stack: slices that differ from their neighbours, repeat them or lag behind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.wording import count as count_of
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.reference_free.checks import Answer, Need, check
from qa_suite.metrics.reference_free.orientation import normalised
from qa_suite.metrics.reference_free.patient import Mask, Scene

_SOURCE: tuple[Need, ...] = ("finite", "outlined", "body", "source", "bodies")
_FEWEST = 50  # voxels of a slice
_FEW_SLICES = 5
_LAG_FACTOR = 1.1  # thin neighbouring slices are alike: chance alone prefers one of them


@check(
    "slice_jump",
    title="Largest step of one slice against its neighbours",
    unit="HU",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula=(
        "largest |median of (slice − mean of its two neighbours)|, over the voxels of the body "
        "that are soft tissue (±250 HU) in both neighbours; at the ends against their line"
    ),
    empty=f"undefined with fewer than {_FEW_SLICES} slices of soft tissue",
)
def slice_jump(scene: Scene, region: str) -> Answer:
    """Largest offset of a slice, in HU."""
    low, high = scene.settings.soft_window_hu
    planes = scene.planes
    soft = (planes >= low) & (planes <= high) & scene.body_planes
    steps = []
    for k in range(len(planes)):
        mine, one, other = _three(k, len(planes))
        # not soft in the slice itself: one that is far off has left the window as a whole
        inside = scene.body_planes[mine] & soft[one] & soft[other]
        if np.count_nonzero(inside) < _FEWEST:
            continue
        a, b, c = planes[mine][inside], planes[one][inside], planes[other][inside]
        line = 2 * b - c if k in (0, len(planes) - 1) else (b + c) / 2
        steps.append(abs(float(np.median(a - line))))
    if len(steps) < _FEW_SLICES:
        return NoValue(why=f"only {count_of(len(steps), 'slice')} of soft tissue to compare")
    return max(steps)


def _three(k: int, count: int) -> tuple[int, int, int]:
    """Return a slice and its two neighbours: of an end slice the next two, the nearer first."""
    if k == 0:
        return k, min(1, count - 1), min(2, count - 1)
    if k == count - 1:
        return k, k - 1, max(k - 2, 0)
    return k, k - 1, k + 1


@check(
    "slice_repeat",
    title="Slices that repeat their neighbour",
    unit="slices",
    direction="lower",
    value_range="integers in [0, inf)",
    kind="count",
    formula=(
        "pairs of neighbouring slices whose median |difference| in the body is below a quarter of "
        "the median over the pairs, where the source's is above half of its own"
    ),
    needs=_SOURCE,
    empty=f"undefined with fewer than {_FEW_SLICES} pairs of slices",
)
def slice_repeat(scene: Scene, region: str) -> Answer:
    """Count the slices that repeat their neighbour while the source's do not."""
    mine = _steps(scene.planes, scene.body_planes)
    theirs = _steps(scene.source_planes, scene.source_body_planes)
    known = np.isfinite(mine) & np.isfinite(theirs)
    if known.sum() < _FEW_SLICES:
        return NoValue(why=f"only {count_of(int(known.sum()), 'pair')} of slices to compare")
    usual = scene.settings.repeat_ratio * np.median(mine[known])
    alike = mine <= usual
    moves = theirs > 0.5 * np.median(theirs[known])
    return float(np.count_nonzero(alike & moves & known))


def _steps(planes: NDArray[np.float32], body: Mask) -> NDArray[np.float64]:
    """Median absolute difference of each slice and the next; NaN where they share no body."""
    steps = np.full(len(planes) - 1, np.nan)
    for k in range(len(planes) - 1):
        both = body[k] & body[k + 1]
        if np.count_nonzero(both) >= _FEWEST:
            steps[k] = np.median(np.abs(planes[k + 1][both] - planes[k][both]))
    return steps


@check(
    "slice_agreement_drop",
    title="Fall of the agreement with the source in the worst slice",
    unit="1",
    direction="lower",
    value_range="[0, 1]",
    kind="bounded",
    formula=(
        "median minus lowest normalised mutual information of source and synthetic image over the "
        "slices; 12 steps each, in the source's body"
    ),
    needs=_SOURCE,
    reference="Studholme, Hill and Hawkes 1999, Pattern Recognit 32:71 (the measure)",
    empty=f"undefined with fewer than {_FEW_SLICES} slices",
)
def slice_agreement_drop(scene: Scene, region: str) -> Answer:
    """How far the worst slice falls below the usual one."""
    found = _agreement(scene, 0)
    found = found[np.isfinite(found)]
    if found.size < _FEW_SLICES:
        return NoValue(why=f"only {count_of(found.size, 'slice')} to compare")
    return float(np.median(found) - found.min())


@check(
    "slice_lag",
    title="Slices that fit their neighbour's source better",
    unit="%",
    direction="lower",
    value_range="[0, 100]",
    kind="bounded",
    formula=(
        "share of the source's slices whose mutual information (above 1) with the slice before or "
        "after exceeds that with their own by a tenth: a missing or doubled slice, a shift along "
        "the table"
    ),
    needs=_SOURCE,
    reference="Studholme, Hill and Hawkes 1999, Pattern Recognit 32:71 (the measure)",
    empty=f"undefined with fewer than {_FEW_SLICES} slices",
)
def slice_lag(scene: Scene, region: str) -> Answer:
    """Share of slices that fit a neighbour better, in %."""
    own, before, after = (_agreement(scene, lag) for lag in (0, -1, 1))
    known = np.isfinite(own) & (np.isfinite(before) | np.isfinite(after))
    if known.sum() < _FEW_SLICES:
        return NoValue(why=f"only {count_of(int(known.sum()), 'slice')} to compare")
    gain = np.fmax(before, after)[known] - 1 > _LAG_FACTOR * (own[known] - 1)
    return 100 * float(np.mean(gain))


def _agreement(scene: Scene, lag: int) -> NDArray[np.float64]:
    """Mutual information of each slice of the source with the synthetic slice ``lag`` further."""
    from qa_suite.metrics.reference_free.kernels import slice_counts

    if ("agreement", lag) not in scene.shared:
        bins = scene.settings.slice_bins
        source, synthetic = scene.codes(bins)
        counts = slice_counts(source, synthetic, scene.source_body, lag, bins)
        found = [normalised(part) for part in counts]
        scene.shared["agreement", lag] = np.array(
            [np.nan if isinstance(value, NoValue) else value for value in found]
        )
    result: NDArray[np.float64] = scene.shared["agreement", lag]
    return result
