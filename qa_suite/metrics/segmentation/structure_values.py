"""One structure in two images, in every metric that compares two masks."""

from __future__ import annotations

from collections.abc import Iterator

from qa_suite.core.arrays import Mask
from qa_suite.core.volume import Grid
from qa_suite.metrics.base import Censored, NoValue, Value, as_value
from qa_suite.metrics.segmentation.overlap import (
    Overlap,
    centroid_shift,
    count_overlap,
    dice,
    missed,
    volume_difference,
    why_absent,
)
from qa_suite.metrics.segmentation.surfaces import (
    SurfaceDistances,
    assd,
    hd,
    hd95,
    surface_dice,
    surface_distances,
)

_OVERLAP_METRICS = {
    "dice": dice,
    "volume_difference": volume_difference,
    "centroid_shift": centroid_shift,
    "missed": missed,
}
_SURFACE_METRICS = {"hd": hd, "hd95": hd95, "assd": assd}


def tolerance_variant(tolerance_mm: float, variant: str = "default") -> str:
    """Return the variant key of a surface tolerance: ``tol2mm``, or ``SEGMENTER:tol2mm``."""
    key = f"tol{tolerance_mm:g}mm"
    return key if variant == "default" else f"{variant}:{key}"


def structure_keys(
    tolerances_mm: tuple[float, ...], variant: str = "default"
) -> Iterator[tuple[str, str]]:
    """Yield every (metric, variant) that :func:`compare_masks` gives one structure."""
    for metric in (*_OVERLAP_METRICS, *_SURFACE_METRICS):
        yield metric, variant
    for tolerance in tolerances_mm:
        yield "surface_dice", tolerance_variant(tolerance, variant)


def compare_masks(
    reference: Mask,
    synthetic: Mask,
    grid: Grid,
    *,
    region: str,
    domain: Mask | None,
    tolerances_mm: tuple[float, ...],
    variant: str = "default",
) -> list[Value]:
    """Measure one structure in every metric that compares two masks.

    Parameters
    ----------
    reference, synthetic
        The structure in the two images; bool, of the grid's shape.
    grid
        Where they lie.
    region
        Name of the region in the values.
    domain
        Where both could be found; beyond it there is no surface. None is the whole grid.
    tolerances_mm
        Of the surface Dice.
    variant
        Who found the structure; ``default`` is the threshold.

    Returns
    -------
    list of Value
        By the empty-case table in ``docs/measures.md``.
    """
    overlap = count_overlap(reference, synthetic, grid)
    distances = _distances(reference, synthetic, overlap, grid, domain)
    values = [_value(metric, region, f(overlap), variant) for metric, f in _OVERLAP_METRICS.items()]
    for metric, function in _SURFACE_METRICS.items():
        found = distances if isinstance(distances, NoValue) else function(distances)
        values.append(_value(metric, region, found, variant))
    for tolerance in tolerances_mm:
        found = (
            distances
            if isinstance(distances, NoValue)
            else surface_dice(distances, tolerance_mm=tolerance)
        )
        key = tolerance_variant(tolerance, variant)
        values.append(_value("surface_dice", region, found, key))
    return values


def _distances(
    reference: Mask, synthetic: Mask, overlap: Overlap, grid: Grid, domain: Mask | None
) -> SurfaceDistances | NoValue:
    if overlap.reference == 0 or overlap.synthetic == 0:
        return NoValue(why=why_absent(overlap))
    distances = surface_distances(reference, synthetic, grid.spacing_mm, domain=domain)
    if distances.reference_empty or distances.synthetic_empty:
        which = "the reference" if distances.reference_empty else "the synthetic image"
        return NoValue(why=f"the structure has no surface inside {which}: it fills all of it")
    return distances


def _value(metric: str, region: str, found: float | Censored | NoValue, variant: str) -> Value:
    return as_value(metric, region, found, variant=variant)
