"""Shifts of delineated structures: an organ that was drawn elsewhere within a body that was not.

A prostate moves by a centimetre and neither the outline nor the mean over the blocks of the
body (``local.py``) tells. Where the reference's structures are delineated, each is looked for
in the synthetic image by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from qa_suite.core.volume import Grid
from qa_suite.imaging.boxes import bounding_box
from qa_suite.metrics.base import Censored, NoValue, Pair, Value, as_value
from qa_suite.metrics.facts import METRICS, MetricFacts
from qa_suite.metrics.geometry.images import Image, blurred, mask_at, smoothed
from qa_suite.metrics.geometry.local import COARSE_FWHM_MM, MIN_CORRELATION, REPEATED, Mask
from qa_suite.metrics.geometry.settings import GeometrySettings

WORST = "structures"
"""Region of the value of the structure that moved most."""

_DEFAULT = GeometrySettings()
_RESIDUAL_HU = 25.0  # between a good translator's image and the reference
_SD_MM = 2.0  # to which the reference must let a shift be known in spite of it


METRICS.declare(
    "structure_shift",
    MetricFacts(
        family="geometry",
        title="Shift of a delineated structure",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "|u|; u: the shift at which the synthetic image, clipped to low_hu and high_hu, "
            "correlates best with the reference in the structure and structure_margin_mm around "
            "it; as what lies around may not have moved, |u| is at most the organ's own way and "
            f"commonly two fifths of it; region '{WORST}': the largest of those that can be told"
        ),
        empty=(
            "undefined where the structure is empty, smaller than structure_min_cc (its "
            "surroundings would answer), larger than structure_max_cc (it moves with the body), "
            "does not stand out from its surroundings in the reference, or is not found again; "
            f"'{WORST}': undefined without a structure that can be told, or where one is not "
            "found again"
        ),
        censored="at least local_reach_mm, where the structure lies beyond it",
        ends=(_DEFAULT.local_reach_mm,),
        reference="Definition of this suite; steps after Lucas and Kanade 1981, Proc IJCAI: 674",
        settings={
            "low_hu": _DEFAULT.positioning.window_hu[0],
            "high_hu": _DEFAULT.positioning.window_hu[1],
            "structure_margin_mm": _DEFAULT.structure_margin_mm,
            "structure_min_cc": _DEFAULT.structure_min_cc,
            "structure_max_cc": _DEFAULT.structure_max_cc,
            "local_reach_mm": _DEFAULT.local_reach_mm,
        },
        quantities=("HU",),
        because="structures are matched in a window of HU",
    ),
)


def structure_shift(found: StructureShift, reach_mm: float) -> float | Censored | NoValue:
    """Shift of one structure, in mm, or what is known of it."""
    if found.why:
        return NoValue(why=found.why, absent_in_reference=found.absent)
    if found.size_mm > reach_mm:
        return Censored(at_least=reach_mm, why="beyond the reach of the search")
    return found.size_mm


@dataclass(frozen=True, kw_only=True)
class StructureShift:
    """What the search for one structure gave.

    Parameters
    ----------
    size_mm
        Length of its shift; inf beyond the reach.
    why
        Why there is none, or empty.
    lost
        Whether the reference shows the structure and the synthetic image was no match for it.
    absent
        Whether the reference alone cannot tell its shift.
    coverage
        Which share of the structure lies where both images may be measured.
    """

    size_mm: float = np.nan
    why: str = ""
    lost: bool = False
    absent: bool = False
    coverage: float | None = None


def structure_values(
    pair: Pair, reference: Image, synthetic: Image, settings: GeometrySettings
) -> list[Value]:
    """Measure the shift of every delineated structure, and the largest.

    Parameters
    ----------
    pair
        Whose structures.
    reference, synthetic
        Its images at the working resolution, on one grid.
    settings
        Of the geometry.
    """
    on = settings.structure_shift
    found = dict(_search(pair, reference, synthetic, settings)) if on else {}
    reach = settings.local_reach_mm
    values = [
        as_value(
            "structure_shift",
            f"structure:{name}",
            structure_shift(one, reach),
            coverage=one.coverage,
        )
        for name, one in found.items()
    ]
    worst = _worst(found, settings)
    return [*values, as_value("structure_shift", WORST, structure_shift(worst, reach))]


def structure_regions(pair: Pair) -> list[str]:
    """Regions that a pair has a row for."""
    return [*(f"structure:{name}" for name in sorted(pair.structures)), WORST]


def _worst(found: dict[str, StructureShift], settings: GeometrySettings) -> StructureShift:
    if not settings.structure_shift:
        return StructureShift(why="switched off by structure_shift")
    lost = {name: one.why for name, one in found.items() if one.lost}
    told = [one.size_mm for one in found.values() if not one.why]
    if told and max(told) > settings.local_reach_mm:
        return StructureShift(size_mm=np.inf)
    if lost:
        return StructureShift(why="; ".join(f"{name}: {why}" for name, why in lost.items()))
    if told:
        return StructureShift(size_mm=max(told))
    if not found:
        return StructureShift(why="no structure is delineated", absent=True)
    why = "; ".join(f"{name}: {one.why}" for name, one in found.items())
    return StructureShift(why=why, absent=all(one.absent for one in found.values()))


def _search(
    pair: Pair, reference: Image, synthetic: Image, settings: GeometrySettings
) -> Iterator[tuple[str, StructureShift]]:
    if not pair.structures:
        return
    cc = float(np.prod(pair.grid.spacing_mm)) / 1000
    grid = reference.grid
    matcher = _Matcher.of(reference, synthetic, settings.local_reach_mm)
    usable = mask_at(pair.mask, pair.grid, grid)
    if pair.coverage is not None:
        usable &= mask_at(pair.coverage, pair.grid, grid)
    for name, structure in sorted(pair.structures.items()):
        volume_cc = float(np.count_nonzero(structure)) * cc
        inside = mask_at(structure, pair.grid, grid) & usable
        if volume_cc > settings.structure_max_cc:
            why = (
                f"its {volume_cc:.0f} cc are more than {settings.structure_max_cc:g} cc: it moves "
                "with the body"
            )
            yield name, StructureShift(why=why, absent=True)
        elif 0 < volume_cc < settings.structure_min_cc:
            why = (
                f"its {volume_cc:.1f} cc are less than {settings.structure_min_cc:g} cc: its "
                "surroundings would answer in its place"
            )
            yield name, StructureShift(why=why, absent=True)
        elif not structure.any():
            yield name, StructureShift(why="the structure is empty", absent=True)
        elif not inside.any():
            yield name, StructureShift(why="the structure lies outside the mask")
        else:
            found = matcher.find(_around(inside, grid, settings.structure_margin_mm) & usable)
            whole = int(np.count_nonzero(mask_at(structure, pair.grid, grid)))
            yield name, replace(found, coverage=float(inside.sum() / whole))


def _around(inside: Mask, grid: Grid, reach_mm: float) -> Mask:
    """Voxels within a distance of a structure, itself included."""
    from scipy import ndimage

    spacing = grid.spacing_mm
    box = bounding_box(inside, margin=int(np.ceil(reach_mm / min(spacing))))
    found = np.zeros_like(inside)
    found[box] = ndimage.distance_transform_edt(~inside[box], sampling=spacing) <= reach_mm
    return found


@dataclass(frozen=True, kw_only=True)
class _Matcher:
    """Both images at the working resolution, smooth and smoother."""

    fixed: Image
    moving: Image
    fixed_coarse: Image
    moving_coarse: Image
    reach_mm: float

    @classmethod
    def of(cls, reference: Image, synthetic: Image, reach_mm: float) -> _Matcher:
        return cls(
            fixed=smoothed(reference),
            moving=smoothed(synthetic),
            fixed_coarse=blurred(reference, COARSE_FWHM_MM),
            moving_coarse=blurred(synthetic, COARSE_FWHM_MM),
            reach_mm=reach_mm,
        )

    def find(self, around: Mask) -> StructureShift:
        """Look for what the reference shows in a region."""
        from qa_suite.metrics.geometry.kernels import match_blocks, structure

        spacing = np.asarray(self.fixed.grid.spacing_mm)
        chosen = np.argwhere(around)
        lows = chosen.min(axis=0)[None].astype(np.int64)
        highs = (chosen.max(axis=0) + 1)[None].astype(np.int64)
        tensors, counts = np.empty((1, 3, 3)), np.empty(1, np.int64)
        structure(self.fixed.values, lows, highs, around, spacing, tensors, counts)
        if np.linalg.eigvalsh(tensors[0])[0] < REPEATED * (_RESIDUAL_HU / _SD_MM) ** 2:
            return StructureShift(
                why="it does not stand out from its surroundings in the reference", absent=True
            )
        shifts, (correlations, variances) = np.zeros((1, 3)), np.empty((2, 1))
        match_blocks(
            self.fixed_coarse.values,
            self.moving_coarse.values,
            self.fixed.values,
            self.moving.values,
            lows,
            highs,
            around,
            spacing,
            self.reach_mm,
            shifts,
            correlations,
            variances,
        )
        correlation = float(correlations[0])
        if not correlation >= MIN_CORRELATION:
            said = "at all" if np.isnan(correlation) else f"(correlation {correlation:.2f})"
            return StructureShift(
                why=f"it is not found again {said} in the synthetic image", lost=True
            )
        return StructureShift(size_mm=float(np.linalg.norm(shifts[0])))
