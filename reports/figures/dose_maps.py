"""Doses as pictures: isodose lines on both images, their difference, gamma; SVG in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from reports.facts.dose_plan import BeamFacts
from reports.facts.dose_volumes import (
    DoseImages,
    FloatArray,
    SectionPoints,
    read_at,
    section_points,
    target_centre,
)
from reports.facts.pictures import CT_WINDOW_HU
from reports.facts.slices import Plane, cut
from reports.figures import marks, panels
from reports.figures.marks import INK, MUTED

ISODOSES: Final[tuple[tuple[float, str], ...]] = (
    (105.0, "#ff6a13"),
    (95.0, "#f7e733"),
    (80.0, "#12c99b"),
    (50.0, "#4fb6ff"),
    (20.0, "#e18ad0"),
)
"""Levels in % of the prescription and their colours; told apart by their dashes as well."""
_DASHES: Final = {105.0: "1 1.5", 95.0: "", 80.0: "7 2", 50.0: "4 1.5 1 1.5", 20.0: "2.5 2.5"}
"""Lengths of dashes and gaps of each level, in widths of the line."""
ROLES: Final = ("reference", "synthetic", "difference", "gamma")
NOTHING: Final = (238, 240, 242)
"""Where there is no dose, no ray, or nothing was judged."""
_ROUNDING: Final = 1e-4  # a dose that is off by exactly the criterion passes
TARGET_INK: Final = "#ffffff"
GAMMA_STOPS: Final = (
    (0.0, (214, 229, 243)),
    (1.0, (93, 163, 214)),
    (1.0, (217, 92, 14)),
    (2.0, (92, 26, 2)),
)
"""Gamma to colour: pale to blue where it passes, orange to brown where it fails; darker all along,
with a jump above 1, so that grey print tells what fails."""


def dose_panel(
    dose: DoseImages,
    role: str,
    plane: Plane,
    index: int,
    *,
    prescription_gy: float,
    limit_pct: float,
    title: str,
    beams: Sequence[BeamFacts] = (),
) -> str:
    """Draw one slice as an SVG.

    Parameters
    ----------
    dose
        Images and doses of a case.
    role
        ``reference`` or ``synthetic``: the image with the isodose lines of the dose computed
        on it; ``difference``: synthetic − reference dose; ``gamma``.
    plane, index
        Which slice of the images.
    prescription_gy
        What isodoses and differences are percentages of.
    limit_pct
        Where the colours of the difference end, in % of the prescription.
    title
        Said by screen readers and shown under the mouse.
    beams
        Marked at the edge of an axial ``reference``, where the couch was not turned.
    """
    section = cut(getattr(dose.images, _image_of(role)), dose.images, plane, index)
    points = section_points(dose.images, plane, index)
    over: list[str] = []
    if role in ("reference", "synthetic"):
        pixels = panels.grey(section.values, CT_WINDOW_HU)
        gy = read_at(getattr(dose, role), points)
        over += isodose_lines(gy, points, prescription_gy)
        over += target_outline(dose, points, dark=True)
        if role == "reference" and plane == "axial":
            over += beam_marks(section.size_mm, dose, beams)
    else:
        inside = cut(dose.images.mask, dose.images, plane, index)
        if role == "difference":
            change = read_at(dose.synthetic, points) - read_at(dose.reference, points)
            body = _stretched(inside.values, change.shape)
            pixels = _difference(100 * change / prescription_gy, limit_pct, body)
        else:
            pixels = _gamma(dose, points)
        over += _body_outline(inside.values, inside.row_mm, inside.column_mm, section.size_mm[0])
        over += target_outline(dose, points, dark=False)
    return panels.panel(
        section.size_mm,
        section.letters,
        pixels,
        over,
        title=title,
        dark=role in ("reference", "synthetic"),
    )


def _image_of(role: str) -> str:
    return "synthetic" if role == "synthetic" else "reference"


def beam_marks(
    size_mm: tuple[float, float], dose: DoseImages, beams: Sequence[BeamFacts]
) -> list[str]:
    """Mark from where each beam comes: an arrow and its label on a line to the target's centre."""
    grid = dose.images.grid
    place = grid.to_index(target_centre(dose))
    width, height = size_mm
    x0, y0 = ((place[axis] + 0.5) * grid.spacing_mm[axis] for axis in (0, 1))
    parts = []
    for beam in beams:
        if beam.couch_deg:
            continue
        angle = np.deg2rad(beam.gantry_deg)
        across, down = float(np.sin(angle)), -float(np.cos(angle))  # towards the source
        room = 0.085 * width  # the letters at the edges stay free
        reach = min(_reach(x0, across, room, width - room), _reach(y0, down, room, height - room))
        parts.append(_beam_mark(beam, x0 + reach * across, y0 + reach * down, 0.02 * width))
    return parts


def _beam_mark(beam: BeamFacts, x: float, y: float, size: float) -> str:
    """Draw an arrow that ends towards the target, its label beside it."""
    angle = np.deg2rad(beam.gantry_deg)
    across, down = float(np.sin(angle)), -float(np.cos(angle))
    tip = f"{x - 2 * size * across:.1f} {y - 2 * size * down:.1f}"
    left = f"{x + 0.7 * size * down:.1f} {y - 0.7 * size * across:.1f}"
    right = f"{x - 0.7 * size * down:.1f} {y + 0.7 * size * across:.1f}"
    beside = 2.1 * size
    edge = {"stroke": "#000000", "stroke_width": size / 6}
    arrow = marks.area(f"M{left}L{tip}L{right}Z", "#ffffff", title=f"beam {beam.label}", **edge)
    return arrow + marks.text(
        x - beside * down,
        y - beside * abs(across),
        f"{beam.gantry_deg:g}°",
        1.8 * size,
        "#ffffff",
        anchor="middle",
        dominant_baseline="central",
        **marks.halo("#000000", size / 4, 0.6),
    )


def _reach(start: float, way: float, low: float, high: float) -> float:
    """Return how far a point may go along an axis before it leaves a range."""
    if abs(way) < 1e-6:
        return float("inf")
    return max(((high if way > 0 else low) - start) / way, 0.0)


def isodose_lines(gy: FloatArray, points: SectionPoints, prescription_gy: float) -> list[str]:
    """Return the isodose lines of a slice as paths, low levels first, over a dark edge."""
    width = points.size_mm[0] / 210
    parts = []
    for level, colour in reversed(ISODOSES):
        path = panels.outline(
            gy,
            row_mm=points.row_mm,
            column_mm=points.column_mm,
            level=level / 100 * prescription_gy,
        )
        if not path:
            continue
        thick = width * (1.5 if level == 95 else 1.0)
        look = {"stroke_linejoin": "round", "dash": _dash(level, thick)}
        said = level_text(level, prescription_gy)
        parts.append(marks.line(path, "#000000", thick + width, stroke_opacity=0.55, **look))
        parts.append(marks.line(path, colour, thick, title=said, **look))
    return parts


def _dash(level: float, thick: float) -> str:
    """Return the dashes of a level, which tell it from the others without colours."""
    return " ".join(f"{float(part) * thick:.1f}" for part in _DASHES[level].split())


def level_text(level_pct: float, prescription_gy: float) -> str:
    """Write an isodose level as ``95 % = 74.1 Gy``."""
    digits = 1 if prescription_gy >= 10 else 2
    text = f"{level_pct:g} % = {level_pct / 100 * prescription_gy:.{digits}f} Gy"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def target_outline(dose: DoseImages, points: SectionPoints, *, dark: bool) -> list[str]:
    """Return the target's outline, dashed; nothing where it was not kept or does not show."""
    if dose.target is None:
        return []
    path = panels.outline(
        np.nan_to_num(read_at(dose.target, points)),
        row_mm=points.row_mm,
        column_mm=points.column_mm,
    )
    if not path:
        return []
    width = points.size_mm[0] / 190
    ink, halo = (TARGET_INK, "#000000") if dark else ("#000000", "#ffffff")
    look = {"dash": f"{3 * width:.1f} {2 * width:.1f}", "title": "target"}
    return [marks.edged(path, ink, width, (halo, 1.9 * width, 0.7), **look)]


def _body_outline(
    inside: NDArray[np.bool_], row_mm: float, column_mm: float, width_mm: float
) -> list[str]:
    path = panels.outline(inside, row_mm=row_mm, column_mm=column_mm)
    return [marks.line(path, MUTED, width_mm / 320)]


def _stretched(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask on the finer or coarser pixels of a picture of the same size."""
    rows = np.minimum((np.arange(shape[0]) + 0.5) * mask.shape[0] / shape[0], mask.shape[0] - 1)
    columns = np.minimum((np.arange(shape[1]) + 0.5) * mask.shape[1] / shape[1], mask.shape[1] - 1)
    return mask[np.ix_(rows.astype(int), columns.astype(int))]


def _difference(
    values_pct: FloatArray, limit_pct: float, inside: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    colours = panels.diverging(values_pct, limit_pct, inside)
    colours[~np.isfinite(values_pct)] = NOTHING
    return colours


def _gamma(dose: DoseImages, points: SectionPoints) -> NDArray[np.uint8]:
    if dose.gamma is None:
        return np.full((*points.places_mm.shape[:2], 3), NOTHING, dtype=np.uint8)
    values = read_at(dose.gamma, points, nearest=True)
    colours = gamma_colours(values)
    colours[~(values >= 0)] = NOTHING
    return colours


def gamma_colours(values: FloatArray) -> NDArray[np.uint8]:
    """Return the colours of gamma: a jump from blue to orange above 1, shape (..., 3)."""
    known = np.clip(np.nan_to_num(values), 0.0, GAMMA_STOPS[-1][0])
    fails = known > GAMMA_STOPS[1][0] + _ROUNDING
    low = np.stack([_between(known, 0, channel) for channel in range(3)], axis=-1)
    high = np.stack([_between(known, 2, channel) for channel in range(3)], axis=-1)
    return np.asarray(np.round(np.where(fails[..., None], high, low)), dtype=np.uint8)


def _between(values: FloatArray, first: int, channel: int) -> FloatArray:
    (a, one), (b, two) = GAMMA_STOPS[first], GAMMA_STOPS[first + 1]
    return np.interp(values, (a, b), (one[channel], two[channel]))


# -------------------------------------------------------------------------------- legends


def isodose_legend(prescription_gy: float, highest_gy: float) -> str:
    """Draw what the lines on the images are: isodose levels in % and Gy, and the target.

    Levels above ``highest_gy``, the maximum of both doses, are said not to be reached.
    """
    row, width = 17, 236
    height = row * (len(ISODOSES) + 1) + 4
    entries = []
    for level, colour in ISODOSES:
        absent = level / 100 * prescription_gy > highest_gy
        words = level_text(level, prescription_gy) + (", not reached" if absent else "")
        entries.append((colour, 3.2 if level == 95 else 2.2, _dash(level, 1.4), words))
    entries.append((TARGET_INK, 2.2, "6 4", "target"))
    parts = [marks.rect(0, 0, width, height, "#2b3137", rx=3)]
    for place, (colour, thick, dash, words) in enumerate(entries):
        y = row * (place + 0.5) + 2
        sample = marks.line(f"M8 {y:g}h26", colour, thick, dash=dash)
        parts.append(marks.key(14, y, sample, words, fill="#ffffff"))
    title = "Isodose lines in % of the prescription and Gy, and the target"
    return _legend((width, height), title, parts)


def difference_legend(limit_pct: float, prescription_gy: float, key: str) -> str:
    """Draw the colour bar of the dose difference, in % of the prescription."""
    return panels.diverging_bar(
        f"{limit_pct:g}", f"% ({limit_pct * prescription_gy / 100:.2f} Gy)", key
    )


def gamma_legend(key: str) -> str:
    """Draw the colours of gamma: 0 to 1 passes, above 1 fails, grey was not judged."""
    ramps = {"pass": (0, 6), "fail": (2, 78)}
    edge = {"stroke": MUTED, "stroke_width": 0.6}
    parts = []
    for name, (first, x) in ramps.items():
        stops = [(n, "rgb({},{},{})".format(*GAMMA_STOPS[first + n][1])) for n in (0, 1)]
        parts.append(marks.gradient(f"{key}-{name}", stops))
        parts.append(marks.rect(x, 2, 72, 12, f"url(#{key}-{name})", **edge))
    parts.append(marks.rect(166, 2, 14, 12, f"rgb{NOTHING}", **edge))
    for x, y, words, anchor in (
        (6, 28, "0", None),
        (78, 28, "1", "middle"),
        (150, 28, "≥ 2", "middle"),
        (184, 12, "not judged", None),
    ):
        parts.append(marks.text(x, y, words, fill=INK, anchor=anchor))
    title = "Colours of gamma: blue passes, orange to brown fails, grey is not judged"
    return _legend((252, 34), title, parts)


def _legend(size: tuple[float, float], title: str, parts: Sequence[str]) -> str:
    return marks.drawing(size, title, "legend", parts, width=size[0], height=size[1])
