"""Forest plots: a row a hospital or stratum, its mean beside its gap, with bounds and units."""

from __future__ import annotations

from typing import Final

from reports.facts.forest import Forest, ForestRow
from reports.figures import marks
from reports.figures.marks import ABROAD, BOUND, FAINT, FLAGGED, HOME, INK, MUTED, Place, Range

_WIDTH: Final = 1080.0
_ROW: Final = 23.0
_NAMES: Final = 214.0
_COUNT: Final = 250.0
_LEFT: Final = (272.0, 560.0)
_RIGHT: Final = (600.0, 860.0)
_TOLD: Final = 874.0
_TOP: Final = 58.0
_LIGHT: Final = "#f4f6f7"


def forest(plot: Forest) -> str:
    """Draw the plot: means at the left, gaps at the right, on axes with units."""
    bottom = _TOP + _ROW * len(plot.rows)
    height = bottom + 62
    left, right = _span_of_means(plot), _span_of_gaps(plot)
    parts = [
        marks.rect(0, _TOP + _ROW * place, _WIDTH, _ROW, _LIGHT)
        for place, row in enumerate(plot.rows)
        if row.mean is None and row.patients is None
    ]
    unit = f", {plot.unit}" if plot.unit else ""
    parts += [
        marks.text(_LEFT[0], 15, f"Mean and interval{unit}", 12.5, INK, font_weight=600),
        marks.text(_RIGHT[0], 15, f"{plot.gap_title}{unit}", 12.5, INK, font_weight=600),
        marks.text(_COUNT, _TOP - 10, "n", anchor="end"),
    ]
    if left is not None:
        at = marks.scale(left, _LEFT)
        parts += marks.x_axis(at, marks.nice_ticks(left, 6), _TOP - 4, bottom)
        parts += _means(plot, at, bottom)
    if right is not None:
        at = marks.scale(right, _RIGHT)
        parts += marks.x_axis(at, marks.nice_ticks(right, 6), _TOP - 4, bottom)
        parts += _gaps(plot, at, bottom)
    for place, row in enumerate(plot.rows):
        parts += _words(row, _TOP + _ROW * (place + 0.5))
    parts += _legend(plot, bottom + 46)
    return marks.drawing((_WIDTH, height), f"{plot.title}: forest plot", "forest", parts)


def _span_of_means(plot: Forest) -> Range | None:
    values = [v for row in plot.rows if row.mean for v in row.mean if v is not None]
    if not values:
        return None
    near = [bound for bound, _ in plot.bounds]
    return marks.padded([*values, *near])


def _span_of_gaps(plot: Forest) -> Range | None:
    values = [v for row in plot.rows if row.gap for v in row.gap if v is not None]
    if not values:
        return None
    sizes = [] if plot.size is None else [plot.size, -plot.size]
    keep = {"right": sizes[:1], "left": sizes[1:], "both": sizes}[plot.worse]
    return marks.padded([*values, *keep, 0.0])


def _means(plot: Forest, at: Place, bottom: float) -> list[str]:
    parts = []
    for place, (bound, words) in enumerate(plot.bounds):
        parts.append(marks.line(f"M{at(bound):.1f} {_TOP - 22}V{bottom:g}", BOUND, 1.8, dash="6 3"))
        anchor, shift = ("end", -4) if at(bound) > sum(_LEFT) / 2 else ("start", 4)
        y = 31 + 12 * (place % 2)
        parts.append(marks.text(at(bound) + shift, y, words, 11, BOUND, anchor=anchor))
    if plot.overall is not None:
        parts.append(
            marks.line(f"M{at(plot.overall):.1f} {_TOP - 4}V{bottom:g}", MUTED, 1.2, dash="1.5 3")
        )
    return parts + _marked(plot, at, of_gap=False)


def _gaps(plot: Forest, at: Place, bottom: float) -> list[str]:
    parts = [marks.line(f"M{at(0.0):.1f} {_TOP - 4}V{bottom:g}", INK, 1.2)]
    if plot.size is not None:
        ends = {"right": (1,), "left": (-1,), "both": (-1, 1)}[plot.worse]
        for sign in ends:
            x = at(sign * plot.size)
            parts.append(marks.line(f"M{x:.1f} {_TOP - 12}V{bottom:g}", FLAGGED, 1.4, dash="2 3"))
        x = at(ends[-1] * plot.size)
        anchor = "end" if x > sum(_RIGHT) / 2 else "start"
        said = f"size looked for, {plot.size_words}"
        parts.append(marks.text(x, _TOP - 16, said, 11, FLAGGED, anchor=anchor))
    return parts + _marked(plot, at, of_gap=True)


def _marked(plot: Forest, at: Place, *, of_gap: bool) -> list[str]:
    parts = []
    for place, row in enumerate(plot.rows):
        value = row.gap if of_gap else row.mean
        if value is None:
            continue
        y = _TOP + _ROW * (place + 0.5)
        ink = _ink(row)
        estimate, low, high = value
        if low is not None and high is not None:
            left, right = f"{at(low):.1f}", f"{at(high):.1f}"
            path = f"M{left} {y:g}H{right}M{left} {y - 4}v8M{right} {y - 4}v8"
            parts.append(marks.line(path, ink, 2.4 if row.named else 1.6))
        parts.append(_mark(row, at(estimate), y, ink))
    return parts


def _ink(row: ForestRow) -> str:
    if row.small:
        return MUTED
    if row.named:
        return FLAGGED
    return INK if row.home is None else HOME if row.home else ABROAD


def _mark(row: ForestRow, x: float, y: float, ink: str) -> str:
    """Draw a ring for the small, a square for the named, a circle at home, a diamond abroad."""
    if row.small:
        return marks.dot(x, y, 4.2, "#ffffff", stroke=ink, stroke_width=1.4, title=row.title)
    if row.named:
        return marks.rect(x - 5, y - 5, 10, 10, ink, title=row.title)
    if row.home is False:
        return marks.area(f"M{x:.1f} {y - 5.6:g}l5.6 5.6l-5.6 5.6l-5.6 -5.6Z", ink, title=row.title)
    return marks.dot(x, y, 4.4, ink, title=row.title)


def _words(row: ForestRow, y: float) -> list[str]:
    if row.mean is None and row.patients is None:
        return [marks.text(4, y + 4, row.name, 12, INK, font_weight=600)]
    weight = 650 if row.named else None
    ink = FLAGGED if row.named else MUTED if row.small else INK
    parts = [
        marks.text(12, y + 4, marks.short(row.name, 31), 12, ink, font_weight=weight),
        marks.line(f"M{_NAMES} {y + _ROW / 2:g}H{_WIDTH}", FAINT, 0.5),
    ]
    if row.patients is not None:
        parts.append(marks.text(_COUNT, y + 4, row.patients, 12, ink, anchor="end"))
    if row.told:
        parts.append(
            marks.text(_TOLD, y + 4, marks.short(row.told, 32), 11.5, ink, font_weight=weight)
        )
    return parts


def _legend(plot: Forest, y: float) -> list[str]:
    """Say what the marks mean, those alone that are there."""
    entries = []
    rows = [row for row in plot.rows if row.mean is not None]
    for there, sample, words in (
        (any(r.home and not r.small for r in rows), ForestRow(name="", home=True), "trained on"),
        (
            any(r.home is False and not (r.small or r.named) for r in rows),
            ForestRow(name="", home=False),
            "not trained on",
        ),
        (any(r.named for r in rows), ForestRow(name="", named=True), "named worse"),
        (any(r.small for r in rows), ForestRow(name="", small=True), "too few to interpret"),
    ):
        if there:
            entries.append((_mark(sample, 0, 0, _ink(sample)), words))
    if plot.overall is not None:
        entries.append((marks.line("M-8 0h16", MUTED, 1.2, dash="1.5 3"), "mean of all patients"))
    if plot.bounds:
        entries.append((marks.line("M-8 0h16", BOUND, 1.8, dash="6 3"), "bound of the profile"))
    parts, x = [], 14.0
    for mark, words in entries:
        parts.append(marks.element("g", mark, transform=f"translate({x:g} {y - 4:g})"))
        parts.append(marks.text(x + 13, y, words, 11.5))
        x += 34 + 6.6 * len(words)
    return parts
