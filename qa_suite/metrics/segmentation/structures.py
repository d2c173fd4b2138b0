"""One structure in two images: counted once, and every metric that compares two masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Mask
from qa_suite.core.volume import Grid
from qa_suite.imaging.boxes import box_of_both
from qa_suite.metrics.base import Censored, NoValue, Value, absent, as_value
from qa_suite.metrics.facts import MetricFacts, MetricFunctions
from qa_suite.metrics.segmentation.surfaces import (
    BY_SURFACE,
    SurfaceDistances,
    surface_dice,
    surface_distances,
)

_BOTH_ABSENT = "neither the reference nor the synthetic image has this structure"
_NOT_IN_REFERENCE = "the reference does not have this structure"
_NOT_IN_SYNTHETIC = "the synthetic image does not have this structure (missed)"


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """One structure in both images, counted.

    Parameters
    ----------
    reference, synthetic, both
        Number of voxels in the one, in the other, in both.
    reference_centre_mm, synthetic_centre_mm
        Centroids in LPS; None where the structure is absent.
    """

    reference: int
    synthetic: int
    both: int
    reference_centre_mm: NDArray[np.float64] | None
    synthetic_centre_mm: NDArray[np.float64] | None


def count_overlap(reference: Mask, synthetic: Mask, grid: Grid) -> Overlap:
    """Count the voxels of one structure in two images, and find their centres."""
    from qa_suite.imaging.surface_kernels import overlap_sums

    box = box_of_both(reference, synthetic)
    if box is None:
        return Overlap(
            reference=0, synthetic=0, both=0, reference_centre_mm=None, synthetic_centre_mm=None
        )
    cut = [np.ascontiguousarray(mask[box]).view(np.uint8) for mask in (reference, synthetic)]
    counts, sums = overlap_sums(*cut)
    first = np.array([span.start for span in box])
    centres = [
        grid.to_world(first + total / voxels) if voxels else None
        for total, voxels in zip(sums, counts[:2], strict=True)
    ]
    return Overlap(
        reference=int(counts[0]),
        synthetic=int(counts[1]),
        both=int(counts[2]),
        reference_centre_mm=centres[0],
        synthetic_centre_mm=centres[1],
    )


def lacking(overlap: Overlap) -> NoValue:
    """Say which of the two images lacks the structure."""
    return absence(in_reference=overlap.reference > 0, in_synthetic=overlap.synthetic > 0)


def absence(*, in_reference: bool, in_synthetic: bool) -> NoValue:
    """Say which of the two images lacks a structure."""
    if in_reference:
        return NoValue(why=_NOT_IN_SYNTHETIC)
    return absent(_NOT_IN_REFERENCE if in_synthetic else _BOTH_ABSENT)


# ---------------------------------------------------------------------------------------
# The metrics of the overlap

BY_OVERLAP: MetricFunctions[Callable[[Overlap], float | Censored | NoValue]] = MetricFunctions(
    "segmentation"
)


@BY_OVERLAP.add(
    "dice",
    MetricFacts(
        family="segmentation",
        title="Dice similarity coefficient",
        unit="1",
        direction="higher",
        range="[0, 1]",
        kind="bounded",
        formula="2 |R ∩ S| / (|R| + |S|); R, S: the structure in reference and synthetic image",
        empty="one of the two absent: 0; both absent: undefined",
        censored="in seg:Body, where the synthetic body goes on beyond the domain: at most that",
        reference="Dice 1945, Ecology 26:297",
    ),
)
def dice(overlap: Overlap) -> float | NoValue:
    """Dice similarity coefficient."""
    total = overlap.reference + overlap.synthetic
    return 2 * overlap.both / total if total else lacking(overlap)


@BY_OVERLAP.add(
    "volume_difference",
    MetricFacts(
        family="segmentation",
        title="Relative volume difference (volume ratio minus one)",
        unit="%",
        direction="zero",
        range="[-100, inf)",
        kind="signed",
        formula="100 (|S| / |R| - 1); positive where the synthetic structure is too large",
        empty="absent in the synthetic image only: -100 %; absent in the reference: undefined",
        censored="in seg:Body, where the synthetic body goes on beyond the domain: at least that",
        reference="Heimann et al. 2009, IEEE Trans Med Imaging 28:1251",
    ),
)
def volume_difference(overlap: Overlap) -> float | NoValue:
    """Relative difference of the volumes, in percent of the reference."""
    if overlap.reference == 0:
        return lacking(overlap)
    return 100 * (overlap.synthetic / overlap.reference - 1)


@BY_OVERLAP.add(
    "centroid_shift",
    MetricFacts(
        family="segmentation",
        title="Centroid shift",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula="distance between the centres of gravity of S and R",
        empty="absent in either image: undefined",
        reference="Taha and Hanbury 2015, BMC Med Imaging 15:29",
    ),
)
def centroid_shift(overlap: Overlap) -> float | NoValue:
    """Distance of the centroids, in mm."""
    if overlap.reference_centre_mm is None or overlap.synthetic_centre_mm is None:
        return lacking(overlap)
    return float(np.linalg.norm(overlap.synthetic_centre_mm - overlap.reference_centre_mm))


@BY_OVERLAP.add(
    "missed",
    MetricFacts(
        family="segmentation",
        title="Missed structure",
        unit="1",
        direction="lower",
        range="integers in [0, 1]",
        kind="event",
        formula="1 where the reference has the structure and the synthetic image has not, else 0",
        empty="absent in the reference: undefined",
        reference="Decision of this suite: a miss must count, and distances cannot count it",
    ),
)
def missed(overlap: Overlap) -> float | NoValue:
    """Whether the synthetic image misses a structure that the reference has."""
    if overlap.reference == 0:
        return lacking(overlap)
    return float(overlap.synthetic == 0)


# ---------------------------------------------------------------------------------------
# All metrics of a structure


def tolerance_variant(tolerance_mm: float, variant: str = "default") -> str:
    """Return the variant key of a surface tolerance: ``tol2mm``, or ``SEGMENTER:tol2mm``."""
    key = f"tol{tolerance_mm:g}mm"
    return key if variant == "default" else f"{variant}:{key}"


def structure_keys(
    tolerances_mm: tuple[float, ...], variant: str = "default"
) -> Iterator[tuple[str, str]]:
    """Yield every (metric, variant) that :func:`compare_masks` gives one structure."""
    for metric in (*BY_OVERLAP, *BY_SURFACE):
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
    found: float | Censored | NoValue
    values = [
        as_value(metric, region, by_overlap(overlap), variant=variant)
        for metric, by_overlap in BY_OVERLAP.items()
    ]
    for metric, by_surface in BY_SURFACE.items():
        found = distances if isinstance(distances, NoValue) else by_surface(distances)
        values.append(as_value(metric, region, found, variant=variant))
    for tolerance in tolerances_mm:
        found = (
            distances
            if isinstance(distances, NoValue)
            else surface_dice(distances, tolerance_mm=tolerance)
        )
        key = tolerance_variant(tolerance, variant)
        values.append(as_value("surface_dice", region, found, variant=key))
    return values


def _distances(
    reference: Mask, synthetic: Mask, overlap: Overlap, grid: Grid, domain: Mask | None
) -> SurfaceDistances | NoValue:
    if overlap.reference == 0 or overlap.synthetic == 0:
        return lacking(overlap)
    distances = surface_distances(reference, synthetic, grid.spacing_mm, domain=domain)
    if distances.reference_empty or distances.synthetic_empty:
        which = "the reference" if distances.reference_empty else "the synthetic image"
        return NoValue(why=f"the structure has no surface inside {which}: it fills all of it")
    return distances
