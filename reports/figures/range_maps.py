"""Range errors of a proton beam as SVG: a map in the beam's eye view and a histogram, in mm."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Volume
from reports.facts.dose_plan import BeamFacts
from reports.figures import marks, panels
from reports.figures.dose_maps import NOTHING
from reports.figures.histograms import histogram
from reports.figures.marks import INK

LIMITS_MM: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0)
_LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))
"""Of the negative and positive end of x, y, z in LPS."""
_OBLIQUE: Final = 0.35
_EDGE_MM: Final = 12.0
_STEPS_MM: Final = tuple(m * 10.0**p for p in range(-3, 2) for m in (1.0, 2.0, 5.0))
_MOST_BINS: Final = 40
_BEYOND: Final = 0.01
"""Share of the rays that may lie beyond the axis, and is said there."""


def map_limit(p95_mm: float | None) -> float:
    """Return where the colours of range maps end: above the largest 95th percentile, rounded up."""
    wanted = 2.0 if p95_mm is None else p95_mm
    return next((limit for limit in LIMITS_MM if limit >= wanted), LIMITS_MM[-1])


def beam_letters(beam: BeamFacts) -> tuple[str, str, str, str]:
    """Return the patient's directions at the left, right, top and bottom of a beam's eye view.

    Seen from the source, collimator at 0: x of IEC 61217 to the right, y to the top; the
    patient lies head first, supine. Between two directions both letters stand, the nearer
    first.
    """
    gantry, couch = np.deg2rad([beam.gantry_deg, beam.couch_deg])
    across = np.array([np.cos(gantry), 0.0, -np.sin(gantry)])  # in the fixed system
    up = np.array([0.0, 1.0, 0.0])
    turn = np.array(
        [[np.cos(couch), np.sin(couch), 0.0], [-np.sin(couch), np.cos(couch), 0.0], [0, 0, 1.0]]
    )  # from the fixed system to the couch
    to_lps = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    x, y = to_lps @ turn @ across, to_lps @ turn @ up
    return _letters(-x), _letters(x), _letters(y), _letters(-y)


def _letters(direction: NDArray[np.float64]) -> str:
    order = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    return "".join(
        _LETTERS[axis][int(direction[axis] > 0)]
        for axis in order
        if abs(direction[axis]) >= _OBLIQUE
    )


def range_map(volume: Volume, beam: BeamFacts | None, limit_mm: float, *, title: str) -> str:
    """Draw the range error of each ray: blue where the synthetic path is shorter, orange longer.

    Parameters
    ----------
    volume
        Shape (x, y, 1), x crossline and y inline in the isocentre plane, mm; NaN without a ray.
    beam
        Whose view it is; without it the patient's directions are not known.
    limit_mm
        Where the colours end.
    title
        Said by screen readers and shown under the mouse.
    """
    x_mm, y_mm, _ = volume.grid.spacing_mm
    values = _framed(volume.array[:, :, 0].T[::-1], round(_EDGE_MM / x_mm), round(_EDGE_MM / y_mm))
    known = np.isfinite(values)
    pixels = panels.diverging(values, limit_mm, np.ones(values.shape, dtype=bool))
    pixels[~known] = NOTHING
    rows, columns = values.shape
    path = panels.outline(known, row_mm=y_mm, column_mm=x_mm)
    width = columns * x_mm
    edge = marks.line(path, INK, width / 260)
    letters = ("", "", "", "") if beam is None else beam_letters(beam)
    return panels.panel(
        (width, rows * y_mm), letters, _blocks(pixels), [edge], title=title, dark=False
    )


def _framed(values: NDArray[np.float32], columns: int, rows: int) -> NDArray[np.float32]:
    """Put empty cells around a map, so that no letter stands on a ray."""
    return np.pad(values, ((rows, rows), (columns, columns)), constant_values=np.nan)


def _blocks(pixels: NDArray[np.uint8], times: int = 6) -> NDArray[np.uint8]:
    """Enlarge pixels, so that a ray stays a square and is not blurred into its neighbours."""
    return np.repeat(np.repeat(pixels, times, axis=0), times, axis=1)


def range_bars(volume: Volume) -> tuple[tuple[tuple[float, float], ...], float, float, float]:
    """Return bars that fit the spread of a beam's errors: (bars, step, end of the axis, mean).

    Bins are as wide as Freedman and Diaconis (1981) advise, a round number of mm, zero in the
    middle of one; the axis ends where at most 1 % of the rays lie beyond, in a bar at either side.
    """
    values = volume.array[np.isfinite(volume.array)].astype(np.float64)
    reach = float(np.quantile(np.abs(values), 1 - _BEYOND))
    low, high = np.percentile(values, (25, 75))
    wanted = max(2 * float(high - low) / values.size ** (1 / 3), 2 * reach / _MOST_BINS)
    step = next((one for one in _STEPS_MM if one >= wanted), _STEPS_MM[-1])
    most = max(3, int(np.ceil(reach / step - 0.5)))
    places = np.clip(np.round(values / step).astype(int), -most - 1, most + 1)
    found, counts = np.unique(places, return_counts=True)
    share = dict(zip(found.tolist(), (100 * counts / values.size).tolist(), strict=True))
    span = range(min(-most, int(found[0])), max(most, int(found[-1])) + 1)
    bars = tuple((n * step, share.get(n, 0.0)) for n in span)
    return bars, step, (most + 0.5) * step, float(values.mean())


def range_histogram(volume: Volume, limit_mm: float, label: str) -> str:
    """Draw how many of a beam's rays have which error; the colours are the map's."""
    bars, step, end, mean = range_bars(volume)
    rays = int(np.isfinite(volume.array).sum())
    return histogram(
        bars,
        step=step,
        end=end,
        limit=limit_mm,
        mean=mean,
        unit="mm",
        title=f"Range errors of beam {label}, {rays} rays",
        x_name="WEPL, synthetic − reference (mm)",
        y_name=f"rays (% per {step:g} mm)",
    )
