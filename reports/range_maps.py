"""Range errors of a proton beam as SVG: a map in the beam's eye view and a histogram, in mm."""

from __future__ import annotations

from typing import Final

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from qa_suite.volume import Volume
from qa_suite.wording import number
from reports import panels
from reports.dose_facts import BeamFacts
from reports.dose_figures import NOTHING
from reports.figures import FAINT, INK, MUTED, open_svg
from reports.strips import nice_ticks

LIMITS_MM: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0)
_LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))
"""Of the negative and positive end of x, y, z in LPS."""
_OBLIQUE: Final = 0.35
_EDGE_MM: Final = 12.0
_BINS: Final = 24


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
    """Draw the range error of each ray: blue where the synthetic path is shorter, red longer.

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
    edge = f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="{width / 260:.2f}"/>'
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


def range_histogram(volume: Volume, limit_mm: float, label: str) -> str:
    """Draw how many of a beam's rays have which error; the colours are the map's."""
    from matplotlib import colormaps, colors

    width, height, left, right, top, bottom = 320.0, 210.0, 44.0, 12.0, 22.0, 40.0
    values = volume.array[np.isfinite(volume.array)]
    end = max(limit_mm, float(np.abs(values).max()))
    counts, edges = np.histogram(values, bins=_BINS, range=(-end, end))
    share = 100 * counts / values.size
    most = max(float(share.max()), 1.0)

    def x(value: float) -> float:
        return left + (width - left - right) * (value + end) / (2 * end)

    def y(value: float) -> float:
        return height - bottom - (height - top - bottom) * value / most

    title = f"Range errors of beam {label}, {values.size} rays"
    small = f'font-size="11" fill="{MUTED}"'
    parts = [open_svg(width, height, title, "histogram")]
    for tick in nice_ticks((0.0, most), 4):
        parts.append(
            f'<path d="M{left - 3} {y(tick):.1f}H{width - right}" stroke="{FAINT}"/>'
            f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end" {small}>{tick:g}</text>'
        )
    colour = colormaps[panels.DIVERGING_MAP]
    for n, value in enumerate(share):
        if value:
            middle = (edges[n] + edges[n + 1]) / 2
            fill = colors.to_hex(colour(float(np.clip((middle / limit_mm + 1) / 2, 0, 1))))
            parts.append(
                f'<rect x="{x(edges[n]):.1f}" y="{y(value):.1f}" '
                f'width="{x(edges[n + 1]) - x(edges[n]):.1f}" height="{y(0) - y(value):.1f}" '
                f'fill="{fill}" stroke="{MUTED}" stroke-width="0.5"/>'
            )
    for tick in nice_ticks((-end, end), 6):
        text = f"{tick:g}".replace("-", "−")
        parts.append(
            f'<path d="M{x(tick):.1f} {y(0):.1f}v4" stroke="{MUTED}"/>'
            f'<text x="{x(tick):.1f}" y="{y(0) + 15:.1f}" text-anchor="middle" {small}>'
            f"{text}</text>"
        )
    mean = float(values.mean())
    middle = (top + height - bottom) / 2
    parts.append(
        f'<path d="M{left} {y(0):.1f}H{width - right}M{x(0):.1f} {top}V{y(0):.1f}" '
        f'stroke="{MUTED}"/><path d="M{x(mean):.1f} {top - 4}V{y(0):.1f}" stroke="{INK}" '
        f'stroke-width="1.6" stroke-dasharray="4 2"/>'
        f'<text x="{x(mean):.1f}" y="{top - 8}" text-anchor="middle" font-size="11" fill="{INK}">'
        f"mean {escape(number(mean))} mm</text>"
        f'<text x="{width - right}" y="{height - 6}" text-anchor="end" font-size="11.5" '
        f'fill="{INK}">WEPL, synthetic − reference (mm)</text>'
        f'<text x="12" y="{middle}" transform="rotate(-90 12 {middle})" text-anchor="middle" '
        f'font-size="11.5" fill="{INK}">rays (%)</text></svg>'
    )
    return "".join(parts)
