"""How far source images lie from the training's, and what errors do along that distance."""

from __future__ import annotations

from typing import Final

from qa_suite.core.records import AuditDistances, FollowPlot
from qa_suite.core.wording import measure_name
from reports.facts.wording import unit_text
from reports.figures import marks
from reports.figures.marks import ABROAD, BOUND, FLAGGED, HOME, INK, MUTED

_WIDTH: Final = 760.0
_ROW: Final = 28.0
_LEFT: Final = 200.0
_RIGHT: Final = 640.0
_TOP: Final = 44.0
_AXIS: Final = "Distance of the source image from the training, SD"
_USUAL: Final = "compared with"


def distance_plot(found: AuditDistances, homes: tuple[str, ...]) -> str:
    """Draw a row a hospital, a mark a patient, the limit of what is usual as a line.

    Circles are patients of hospitals that were trained on, diamonds of others, squares patients
    whose image is unlike those of the training.
    """
    sites = sorted({one.site for one in found.patients})
    rows = ([_USUAL] if found.usual else []) + sites
    bottom = _TOP + _ROW * len(rows)
    values = [*found.usual, *(one.distance for one in found.patients)]
    ends = [0.0, *values, *([] if found.limit is None else [found.limit])]
    at = marks.scale((0.0, marks.padded(ends)[1]), (_LEFT, _RIGHT))
    parts = marks.x_axis(at, marks.nice_ticks((0.0, max(ends))), _TOP - 4, bottom)
    if found.limit is not None:
        parts.append(marks.line(f"M{at(found.limit):.1f} {_TOP - 12}V{bottom:g}", BOUND, 1.8,
                                dash="6 3"))  # fmt: skip
        words = f"limit of the usual, {found.limit:.2f}"
        parts.append(marks.text(at(found.limit) + 4, _TOP - 16, words, 11, BOUND))
    for place, name in enumerate(rows):
        y = _TOP + _ROW * (place + 0.5)
        parts.append(marks.text(12, y + 4, marks.short(name, 26), 12, INK))
        if name == _USUAL and found.usual:
            parts += [marks.dot(at(v), y, 3.2, None, stroke=MUTED) for v in found.usual]
            parts.append(marks.text(_RIGHT + 10, y + 4, f"n = {len(found.usual)}", 11.5))
            continue
        mine = [one for one in found.patients if one.site == name]
        for one in mine:
            title = f"{name}: {one.distance:.2f} SD{', unlike the training' if one.unlike else ''}"
            shape = "unlike" if one.unlike else "home" if name in homes else "abroad"
            parts.append(_mark(shape, at(one.distance), y, title))
        known = [one for one in mine if one.unlike is not None]
        said = f"{sum(bool(one.unlike) for one in known)} of {len(known)} unlike" if known else ""
        parts.append(marks.text(_RIGHT + 10, y + 4, said, 11.5))
    parts.append(marks.text((_LEFT + _RIGHT) / 2, bottom + 36, _AXIS, 12, INK, anchor="middle"))
    parts += _legend({"home", "abroad", "unlike"}, bottom + 58)
    return marks.drawing((_WIDTH, bottom + 70), "Distance of source images", "forest", parts)


def follow_plot(found: FollowPlot, homes: tuple[str, ...]) -> str:
    """Draw a measure against the distance of the source image, a mark a patient."""
    name = measure_name(found.metric, found.region, found.variant)
    title = f"{'Size of ' if found.magnitude else ''}{name} against distance"
    if not found.points:
        return marks.drawing(
            (_WIDTH, 60), title, "forest", [marks.text(8, 30, "No patient has both.")]
        )
    left, right, top, bottom = 84.0, _RIGHT, 20.0, 260.0
    far = [distance for _, distance, _ in found.points]
    values = [value for _, _, value in found.points]
    across, up = marks.padded(far), marks.padded(values)
    x, y = marks.scale(across, (left, right)), marks.scale(up, (bottom, top))
    parts = marks.x_axis(x, marks.nice_ticks(across), top, bottom)
    parts += marks.y_axis(y, marks.nice_ticks(up, 6), left, right)
    for site, distance, value in found.points:
        shape = "home" if site in homes else "abroad"
        parts.append(_mark(shape, x(distance), y(value), f"{site}: {distance:.2f} SD, {value:.4g}"))
    unit = unit_text(found.unit)
    words = f"{'Size of ' if found.magnitude else ''}{name}{f', {unit}' if unit else ''}"
    parts.append(marks.upright(words, (top + bottom) / 2, 18))
    parts.append(marks.text((left + right) / 2, bottom + 36, _AXIS, 12, INK, anchor="middle"))
    parts += _legend({"home", "abroad"}, bottom + 58)
    return marks.drawing((_WIDTH, bottom + 70), title, "forest", parts)


def _mark(shape: str, x: float, y: float, title: str = "") -> str:
    """Draw a circle of a training hospital, a diamond of another, a square where unlike."""
    if shape == "unlike":
        return marks.rect(x - 4, y - 4, 8, 8, FLAGGED, title=title, fill_opacity=0.8)
    if shape == "home":
        return marks.dot(x, y, 4, HOME, title=title, fill_opacity=0.7)
    path = f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5Z"
    return marks.area(path, ABROAD, title=title, fill_opacity=0.7)


def _legend(shapes: set[str], y: float) -> list[str]:
    words = {"home": "trained on", "abroad": "not trained on", "unlike": "unlike the training"}
    parts, x = [], 84.0
    for shape, said in words.items():
        if shape in shapes:
            parts.append(_mark(shape, x, y - 4) + marks.text(x + 12, y, said, 11.5))
            x += 44 + 6.6 * len(said)
    return parts
