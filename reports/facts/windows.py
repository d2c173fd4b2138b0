"""From which to which value the pictures of a case are shown, and how that is said.

What has a unit of its own has a fixed window, so that pictures of two cases can be compared; an
image in arbitrary units without a known scale is shown between percentiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.wording import number
from reports.facts.slices import CaseImages

ARBITRARY: Final = "a.u."
PERCENT_OF: Final = "% of P"
"""How a unit begins whose arbitrary scale was removed: ``% of P99``."""

CT_WINDOW_HU: Final = (-400.0, 600.0)
"""Shown from black to white for CT: W 1000, L 100; soft tissue and bone both visible."""

PET_WINDOW_SUV: Final = (0.0, 7.0)
"""Shown from white to black, as PET is read: a choice of this suite."""

SOURCE_PERCENTILES: Final = (1.0, 99.5)


@dataclass(frozen=True, kw_only=True)
class Window:
    """How one kind of picture is shown.

    ``limits`` are its darkest and brightest value; of an ``inverted`` one high values are dark.
    ``told`` says the limits as people read them.
    """

    limits: tuple[float, float]
    told: str
    inverted: bool = False


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How each picture of a case is shown: source, reference and synthetic alike, difference."""

    source: Window | None
    value: Window
    difference: float
    unit: str

    def of(self, role: str) -> Window:
        """Return the window of 'source', 'reference' or 'synthetic'."""
        return self.source if role == "source" and self.source is not None else self.value


def windows_of(images: CaseImages) -> Windows:
    """Choose the display windows of a case: fixed where the unit is known, else percentiles."""
    source = None
    if images.source is not None:
        source = _fixed(images.source_unit) or _percentiles(
            images.source, images, images.source_unit
        )
    value = _fixed(images.unit) or _percentiles(images.reference, images, images.unit)
    low, high = value.limits
    limit = 300.0 if images.unit == "HU" else (high - low) / 2
    return Windows(source=source, value=value, difference=limit, unit=images.unit)


def captions(images: CaseImages, windows: Windows) -> tuple[str, ...]:
    """Say how each picture of a case is shown: source, reference, synthetic, difference."""
    told = [] if windows.source is None else [windows.source.told]
    outside = "faded outside the mask" if images.masked else "no mask was kept"
    return (*told, windows.value.told, windows.value.told, outside)


def _fixed(unit: str) -> Window | None:
    if unit == "HU":
        low, high = CT_WINDOW_HU
        told = f"W {high - low:.0f} / L {(high + low) / 2:.0f} HU"
        return Window(limits=CT_WINDOW_HU, told=told)
    if unit == "SUVbw":
        low, high = PET_WINDOW_SUV
        told = f"{low:g} (white) to {high:g} SUVbw (black)"
        return Window(limits=PET_WINDOW_SUV, told=told, inverted=True)
    if unit.startswith(PERCENT_OF):
        return Window(limits=(0.0, 100.0), told=f"0 to 100 {unit}")
    return None


def _percentiles(values: NDArray[Any], images: CaseImages, unit: str) -> Window:
    inside = images.mask if images.mask.any() else np.ones_like(images.mask)
    low, high = (float(v) for v in np.percentile(values[inside], SOURCE_PERCENTILES))
    if not high > low:
        high = low + 1.0
    share = f"{SOURCE_PERCENTILES[0]:g}st to {SOURCE_PERCENTILES[1]:g}th percentile"
    where = "in the mask" if images.masked else "of the image"
    told = f"{number(low)} to {number(high)} {unit}, {share} {where}"
    return Window(limits=(low, high), told=told)
