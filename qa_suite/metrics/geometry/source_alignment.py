"""Whether the synthetic image lies where its source image lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qa_suite.core.arrays import Mask
from qa_suite.core.volume import Volume
from qa_suite.imaging.registration.alignment import Alignment, estimate_alignment, interior
from qa_suite.imaging.registration.alignment_settings import AlignmentSettings
from qa_suite.imaging.registration.quick import quick_alignment
from qa_suite.metrics.base import Censored, NoValue, Value, as_value
from qa_suite.metrics.facts import MetricFacts, MetricFunctions

Mode = Literal["full", "quick"]

REGION = "body"
QUICK_REACH_MM = 15.0
_AXES = ("x", "y", "z")


@dataclass(frozen=True, kw_only=True)
class InPlace:
    """Where synthetic image and reference lie, relative to the source.

    Parameters
    ----------
    synthetic, reference
        The two alignments.
    reach_mm
        Largest shift that the search can tell.
    """

    synthetic: Alignment
    reference: Alignment
    reach_mm: float


def find_place(
    source: Volume, reference: Volume, synthetic: Volume, mask: Mask, mode: Mode
) -> InPlace:
    """Align the source with the synthetic image and, the same way, with the reference.

    Parameters
    ----------
    source, reference, synthetic
        On one grid, finite.
    mask
        The body.
    mode
        ``full`` or ``quick``.
    """
    settings = AlignmentSettings()
    if mode == "full":
        found = [
            estimate_alignment(source, image, body=mask, settings=settings)
            for image in (synthetic, reference)
        ]
        reach = settings.alignment_reach_mm
    else:
        region = interior(mask, source, settings.alignment_depth_mm)
        found = [
            quick_alignment(source, image, region, settings) for image in (synthetic, reference)
        ]
        reach = QUICK_REACH_MM
    return InPlace(synthetic=found[0], reference=found[1], reach_mm=reach)


_EMPTY = (
    "undefined without a source image, where the images hold too little structure along an axis "
    "that is needed, or (components and rotation) where the shift lies beyond the search"
)
_BEYOND = "the shift lies beyond the search of {:g} mm"
_METHOD = "Studholme, Hill and Hawkes 1999, Pattern Recognit 32:71 (normalised mutual information)"


def _facts(
    title: str,
    unit: str,
    formula: str,
    direction: Literal["lower", "zero"],
    censored: str = "",
    ends: tuple[float, ...] = (),
) -> MetricFacts:
    return MetricFacts(
        family="geometry",
        title=title,
        unit=unit,
        direction=direction,
        range="(-inf, inf)" if direction == "zero" else "[0, inf)",
        kind="signed" if direction == "zero" else "positive",
        formula=formula,
        empty=_EMPTY,
        censored=censored,
        ends=ends,
        reference=_METHOD,
        settings={"source_alignment": "quick"},
    )


_RIGID = "rigid motion of highest normalised mutual information, from source to synthetic image: "


def _axis(found: InPlace, axis: int) -> float | NoValue:
    return _whole(found.synthetic, found.reach_mm, [axis]) or found.synthetic.shift_mm[axis]


def _whole(found: Alignment, reach_mm: float, axes: list[int]) -> NoValue | None:
    """Why these components of a shift have no value, or None."""
    if found.why:
        return NoValue(why=found.why)
    if found.distance_mm > reach_mm:
        return NoValue(why=_BEYOND.format(reach_mm))
    lost = [_AXES[n] for n in axes if not found.shift_determined[n]]
    if lost:
        return NoValue(why=f"the images hold too little structure along {', '.join(lost)}")
    return None


def _is_beyond(found: Alignment, reach_mm: float) -> bool:
    """Whether a shift lies beyond the search; what is undetermined could only lengthen it."""
    return not found.why and found.distance_mm > reach_mm


OF_PLACE: MetricFunctions[Callable[[InPlace], float | Censored | NoValue]] = MetricFunctions(
    "geometry"
)
"""Metrics of the place against the source."""


@OF_PLACE.add(
    "source_shift",
    _facts(
        "Shift from the source",
        "mm",
        _RIGID + "length of the mean displacement",
        "lower",
        "at least the reach of the search, 15 mm (full: alignment_reach_mm), where beyond it",
        (QUICK_REACH_MM,),
    ),
)
def source_shift(found: InPlace) -> float | Censored | NoValue:
    """Length of the shift, in mm."""
    if _is_beyond(found.synthetic, found.reach_mm):
        return Censored(at_least=found.reach_mm, why=_BEYOND.format(found.reach_mm))
    return _whole(found.synthetic, found.reach_mm, [0, 1, 2]) or found.synthetic.distance_mm


@OF_PLACE.add(
    "source_shift_x",
    _facts("Shift from the source, to the left", "mm", _RIGID + "its shift along x", "zero"),
)
def source_shift_x(found: InPlace) -> float | NoValue:
    """Shift along x, in mm; positive where the synthetic image lies to the patient's left."""
    return _axis(found, 0)


@OF_PLACE.add(
    "source_shift_y",
    _facts("Shift from the source, to posterior", "mm", _RIGID + "its shift along y", "zero"),
)
def source_shift_y(found: InPlace) -> float | NoValue:
    """Shift along y, in mm; positive to posterior."""
    return _axis(found, 1)


@OF_PLACE.add(
    "source_shift_z",
    _facts("Shift from the source, to the head", "mm", _RIGID + "its shift along z", "zero"),
)
def source_shift_z(found: InPlace) -> float | NoValue:
    """Shift along z, in mm; positive to the head."""
    return _axis(found, 2)


@OF_PLACE.add(
    "source_rotation",
    _facts("Rotation from the source", "°", _RIGID + "angle of its rotation", "lower"),
)
def source_rotation(found: InPlace) -> float | NoValue:
    """Angle of the rotation, in degrees."""
    lost = _whole(found.synthetic, found.reach_mm, [])
    if lost is not None:
        return lost
    about = [a for a, d in zip(_AXES, found.synthetic.rotation_determined, strict=True) if not d]
    if about:
        return NoValue(why=f"the images hold too little structure about {', '.join(about)}")
    return found.synthetic.angle_deg


@OF_PLACE.add(
    "excess_shift",
    _facts(
        "Shift from the source beyond that of the reference",
        "mm",
        "length of shift(source → synthetic) − shift(source → reference), estimated alike",
        "lower",
        "where one of the two lies beyond the search: at least its reach less the other",
        (2 * QUICK_REACH_MM,),
    ),
)
def excess_shift(found: InPlace) -> float | Censored | NoValue:
    """Length of the difference of both shifts, in mm: what is not the pair's own misalignment."""
    both = (found.synthetic, found.reference)
    for far, near in (both, both[::-1]):
        if _is_beyond(far, found.reach_mm) and _whole(near, found.reach_mm, [0, 1, 2]) is None:
            least = max(0.0, found.reach_mm - near.distance_mm)
            return Censored(at_least=least, why=_BEYOND.format(found.reach_mm))
    for image in (found.synthetic, found.reference):
        lost = _whole(image, found.reach_mm, [0, 1, 2])
        if lost is not None:
            return lost
    apart = np.subtract(found.synthetic.shift_mm, found.reference.shift_mm)
    return float(np.linalg.norm(apart))


def source_values(found: InPlace | NoValue) -> list[Value]:
    """Write the alignments as values."""
    return [
        as_value(name, REGION, found if isinstance(found, NoValue) else function(found))
        for name, function in OF_PLACE.items()
    ]
