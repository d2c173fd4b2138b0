"""Curves as SVG: a thin line a patient, a bold one for each site's median.

Patients of training sites are solid lines, those of other sites dashed, so that colour is not
the only sign. Each line names its patient under the mouse.
"""

from __future__ import annotations

from typing import Final

from qa_suite.core.wording import count, stated
from reports.facts.curves import CurveFigure, Points
from reports.facts.wording import number, region_title, unit_text
from reports.figures import marks
from reports.figures.marks import ABROAD, BOUND, HOME, INK, Place, Range, short

_WIDTH: Final = 520.0
_HEIGHT: Final = 330.0
_LEFT: Final = 62.0
_RIGHT: Final = 84.0
_TOP: Final = 26.0
_BOTTOM: Final = 50.0
_LABEL: Final = 12.5
_MOST_POINTS: Final = 120


def curve_plot(figure: CurveFigure) -> str:
    """Draw one kind of curve of all patients."""
    spans = _spans(figure)
    x = marks.scale(spans[0], (_LEFT, _WIDTH - _RIGHT))
    y = marks.scale(spans[1], (_HEIGHT - _BOTTOM, _TOP))
    parts = _axes(figure, spans, x, y) + _references(figure, spans, x, y)
    for one in figure.lines:
        ink, dash = (HOME, "") if one.in_training else (ABROAD, "5 2")
        path = marks.through(_thinned(one.points), x, y)
        parts.append(marks.line(path, ink, stroke_opacity=0.5, dash=dash, title=one.cases))
    if figure.oracle:
        parts.append(_bold("oracle", figure.oracle, INK, "2 4", x, y))
    home = {one.site for one in figure.lines if one.in_training}
    for site, points in figure.medians:
        if points:
            ink = HOME if site in home else INK if site == "all sites" else ABROAD
            parts.append(_bold(site, points, ink, "", x, y))
    parts += _end_labels(figure, y)
    title = f"{figure.facts.title}, {region_title(figure.region)}, one line a patient"
    return marks.drawing((_WIDTH, _HEIGHT), title, "curve", parts)


def _bold(name: str, points: Points, ink: str, dash: str, x: Place, y: Place) -> str:
    """Draw a median over a white edge, so that it stands out of the patients' lines."""
    path = marks.through(_thinned(points), x, y)
    look = {"stroke_linecap": "round", "dash": dash, "title": f"{name}, median"}
    return marks.edged(path, ink, 3, ("#ffffff", 5, 1), **look)


def _end_labels(figure: CurveFigure, y: Place) -> list[str]:
    """Name the bold lines at their right ends, one below the other where they meet."""
    named = [(site, points) for site, points in figure.medians if points]
    if figure.oracle:
        named.append(("oracle", figure.oracle))
    places, free = [], 0.0
    ordered = sorted((y(points[-1][1]), name) for name, points in named)
    for height, _ in ordered:
        free = max(height + 4, free + _LABEL)
        places.append(free)
    lowest = _HEIGHT - _BOTTOM - 1  # below it stand the numbers of the axis
    for place in reversed(range(len(places))):
        places[place] = min(places[place], lowest)
        lowest = places[place] - _LABEL
    return [
        marks.text(_WIDTH - _RIGHT + 5, at, short(name, 14), fill=INK)
        for at, (_, name) in zip(places, ordered, strict=True)
    ]


def _spans(figure: CurveFigure) -> tuple[Range, Range]:
    every = [*(line.points for line in figure.lines), figure.oracle]
    xs = [x for points in every for x, _ in points]
    ys = [y for points in every for _, y in points]
    if figure.mark is not None:
        xs.append(figure.mark[1])
    if figure.facts.level is not None:
        ys.append(figure.facts.level[1])
    if figure.facts.identity:
        return (0.0, 1.0), (0.0, 1.0)
    low, high = marks.padded(ys)
    if figure.facts.from_zero:
        low = min(0.0, min(ys))
    elif figure.y_unit == "1" and max(ys) <= 1 <= high:
        high = 1.0  # shares and overlaps end here
    return marks.padded(xs, 0.02), (low, high)


def _thinned(points: Points) -> Points:
    """Return every n-th of very many points and the last: enough for the eye."""
    step = max(1, -(-len(points) // _MOST_POINTS))
    return (*points[:-1:step], points[-1])


def _axes(figure: CurveFigure, spans: tuple[Range, Range], x: Place, y: Place) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    names = _label(figure.facts.x, figure.x_unit), _label(figure.facts.y, figure.y_unit)
    return [
        *marks.x_axis(x, marks.nice_ticks(spans[0]), _TOP, bottom),
        *marks.y_axis(y, marks.nice_ticks(spans[1], 6), _LEFT, right),
        marks.line(f"M{_LEFT:g} {_TOP:g}V{bottom:g}H{right:g}"),
        marks.text(right, bottom + 37, names[0], 12.5, INK, anchor="end"),
        marks.upright(names[1], (_TOP + bottom) / 2, size=12.5),
    ]


def _label(name: str, unit: str) -> str:
    return f"{name} ({unit_text(unit)})" if unit_text(unit) else name


def _references(figure: CurveFigure, spans: tuple[Range, Range], x: Place, y: Place) -> list[str]:
    """Draw what the curves are held against: the identity, a level, a setting."""
    left, right = spans[0]

    def reference(d: str, place: tuple[float, float], words: str, anchor: str = "end") -> str:
        return marks.line(d, BOUND, 1.6, dash="5 3") + marks.text(
            *place, words, 11, BOUND, anchor=anchor
        )

    parts = []
    if figure.facts.identity:
        d = f"M{x(0):.1f} {y(0):.1f}L{x(1):.1f} {y(1):.1f}"
        parts.append(reference(d, (x(1) - 4, _TOP - 8), "dashed: identity"))
    if figure.facts.level is not None:
        name, level = figure.facts.level
        d = f"M{x(left):.1f} {y(level):.1f}H{x(right):.1f}"
        parts.append(reference(d, (x(right) - 4, y(level) - 5), name))
    if figure.mark is not None:
        name, value = figure.mark
        anchor, shift = ("start", 4) if value < (left + right) / 2 else ("end", -4)
        d = f"M{x(value):.1f} {_TOP - 16:g}V{y(spans[1][0]):.1f}"
        words = f"{name} {stated(value, figure.x_unit)}"
        parts.append(reference(d, (x(value) + shift, _TOP - 8), words, anchor))
    return parts


def curve_caption(figure: CurveFigure) -> str:
    """Say how many patients there are, and what the medians are at the mark."""
    said = [count(len(figure.lines), "patient")]
    if not any(points for _, points in figure.medians):
        said.append("no median: the patients share no x")
    elif figure.mark is not None:
        name, at = figure.mark
        found = [(site, dict(points).get(at)) for site, points in figure.medians]
        near = [f"{site} {number(value)}" for site, value in found if value is not None]
        said += [f"median at the {name}: {', '.join(near)}"] if near else []
    return "; ".join(said) + (f". {figure.facts.note}" if figure.facts.note else ".")
