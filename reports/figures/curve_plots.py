"""Curves as SVG: a thin line a patient, a bold one for each site's median.

Patients of training sites are solid lines, those of other sites dashed, so that colour is not
the only sign. Each line names its patient under the mouse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from markupsafe import escape

from qa_suite.core.wording import count, stated
from reports.facts.curves import CurveFigure, Points
from reports.facts.wording import number, region_title, unit_text
from reports.figures.intervals import BOUND, FAINT, INK, MUTED, Range, open_svg, padded
from reports.figures.strips import ABROAD, HOME, nice_ticks, short

_WIDTH: Final = 520.0
_HEIGHT: Final = 330.0
_LEFT: Final = 62.0
_RIGHT: Final = 84.0
_TOP: Final = 26.0
_BOTTOM: Final = 50.0
_MOST_POINTS: Final = 120

Place = Callable[[float], float]


def curve_plot(figure: CurveFigure) -> str:
    """Draw one kind of curve of all patients."""
    spans = _spans(figure)
    x, y = _scales(*spans)
    title = f"{figure.facts.title}, {region_title(figure.region)}, one line a patient"
    parts = [open_svg(_WIDTH, _HEIGHT, title, "curve")]
    parts += _axes(figure, spans, x, y)
    parts += _references(figure, spans, x, y)
    for line in figure.lines:
        ink = HOME if line.in_training else ABROAD
        dash = "" if line.in_training else ' stroke-dasharray="5 2"'
        parts.append(
            f'<path d="{_path(line.points, x, y)}" fill="none" stroke="{ink}" '
            f'stroke-opacity="0.5"{dash}><title>{escape(line.cases)}</title></path>'
        )
    if figure.oracle:
        parts += _bold("oracle", figure.oracle, INK, ' stroke-dasharray="2 4"', x, y)
    home = {line.site for line in figure.lines if line.in_training}
    for site, points in figure.medians:
        if points:
            ink = HOME if site in home else INK if site == "all sites" else ABROAD
            parts += _bold(site, points, ink, "", x, y)
    parts += _end_labels(figure, y)
    return "".join([*parts, "</svg>"])


def _bold(name: str, points: Points, ink: str, look: str, x: Place, y: Place) -> list[str]:
    """Draw a median over a white edge, so that it stands out of the patients' lines."""
    path = f'<path d="{_path(points, x, y)}" fill="none" stroke-linecap="round"'
    return [
        f'{path} stroke="#ffffff" stroke-width="5"/>',
        f'{path} stroke="{ink}" stroke-width="3"{look}>'
        f"<title>{escape(name)}, median</title></path>",
    ]


def _end_labels(figure: CurveFigure, y: Place) -> list[str]:
    """Name the bold lines at their right ends, one below the other where they meet."""
    named = [(site, points) for site, points in figure.medians if points]
    if figure.oracle:
        named.append(("oracle", figure.oracle))
    parts, free = [], 0.0
    for height, name in sorted((y(points[-1][1]), name) for name, points in named):
        free = max(height + 4, free + 12.5)
        parts.append(
            f'<text x="{_WIDTH - _RIGHT + 5}" y="{free:.1f}" font-size="11.5" fill="{INK}">'
            f"{escape(short(name, 14))}</text>"
        )
    return parts


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
    low, high = padded(ys)
    if figure.facts.from_zero:
        low = min(0.0, min(ys))
    elif figure.y_unit == "1" and max(ys) <= 1 <= high:
        high = 1.0  # shares and overlaps end here
    return padded(xs, 0.02), (low, high)


def _scales(x_span: Range, y_span: Range) -> tuple[Place, Place]:
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + wide * (value - x_span[0]) / (x_span[1] - x_span[0])

    def y(value: float) -> float:
        return _TOP + tall * (y_span[1] - value) / (y_span[1] - y_span[0])

    return x, y


def _path(points: Points, x: Place, y: Place) -> str:
    """Return a line through some points; of very many every n-th is enough for the eye."""
    step = max(1, -(-len(points) // _MOST_POINTS))
    kept = (*points[:-1:step], points[-1])
    return "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in kept)


def _axes(figure: CurveFigure, spans: tuple[Range, Range], x: Place, y: Place) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    small = f'font-size="11.5" fill="{MUTED}"'
    parts = []
    for tick in nice_ticks(spans[0]):
        parts.append(
            f'<path d="M{x(tick):.1f} {_TOP}V{bottom + 4}" stroke="{FAINT}"/>'
            f'<text x="{x(tick):.1f}" y="{bottom + 17}" text-anchor="middle" {small}>'
            f"{_tick(tick)}</text>"
        )
    for tick in nice_ticks(spans[1], 6):
        parts.append(
            f'<path d="M{_LEFT - 4} {y(tick):.1f}H{right}" stroke="{FAINT}"/>'
            f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" {small}>'
            f"{_tick(tick)}</text>"
        )
    parts.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="{MUTED}"/>')
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text x="{right}" y="{bottom + 37}" text-anchor="end" font-size="12.5" fill="{INK}">'
        f"{escape(_label(figure.facts.x, figure.x_unit))}</text>"
        f'<text x="14" y="{middle}" transform="rotate(-90 14 {middle})" text-anchor="middle" '
        f'font-size="12.5" fill="{INK}">{escape(_label(figure.facts.y, figure.y_unit))}</text>'
    )
    return parts


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _label(name: str, unit: str) -> str:
    return f"{name} ({unit_text(unit)})" if unit_text(unit) else name


def _references(figure: CurveFigure, spans: tuple[Range, Range], x: Place, y: Place) -> list[str]:
    """Draw what the curves are held against: the identity, a level, a setting."""
    (left, right), look = spans[0], f'stroke="{BOUND}" stroke-width="1.6" stroke-dasharray="5 3"'
    small = f'font-size="11" fill="{BOUND}"'
    parts = []
    if figure.facts.identity:
        parts.append(f'<path d="M{x(0):.1f} {y(0):.1f}L{x(1):.1f} {y(1):.1f}" {look}/>')
        parts.append(
            f'<text x="{x(1) - 4:.1f}" y="{_TOP - 8}" text-anchor="end" {small}>'
            "dashed: identity</text>"
        )
    if figure.facts.level is not None:
        name, level = figure.facts.level
        parts.append(
            f'<path d="M{x(left):.1f} {y(level):.1f}H{x(right):.1f}" {look}/>'
            f'<text x="{x(right) - 4:.1f}" y="{y(level) - 5:.1f}" text-anchor="end" {small}>'
            f"{escape(name)}</text>"
        )
    if figure.mark is not None:
        name, value = figure.mark
        anchor, shift = ("start", 4) if value < (left + right) / 2 else ("end", -4)
        text = f"{name} {stated(value, figure.x_unit)}"
        parts.append(
            f'<path d="M{x(value):.1f} {_TOP - 16}V{y(spans[1][0]):.1f}" {look}/>'
            f'<text x="{x(value) + shift:.1f}" y="{_TOP - 8}" text-anchor="{anchor}" {small}>'
            f"{escape(text)}</text>"
        )
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
