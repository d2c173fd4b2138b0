"""Image panels as SVG, drawn in millimetres: pixels, mask outline, letters, scale bar.

The picture element is stretched to its physical size, so that spacing is always respected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from reports.facts.pictures import Windows
from reports.facts.slices import CaseImages, Cut, Plane, cut
from reports.figures import marks

DIVERGING_STOPS: Final = (
    (5, 25, 75),
    (40, 90, 165),
    (128, 128, 128),
    (225, 160, 80),
    (255, 240, 200),
)
"""From the lowest to the highest difference, grey at none: lightness rises all along, so that the
sign stays in grey print."""
OUTLINE: Final = "#ffb000"
FADE_OUTSIDE: Final = 0.65


def case_panel(
    images: CaseImages, role: str, plane: Plane, index: int, windows: Windows, *, title: str
) -> str:
    """Draw one slice of 'source', 'reference', 'synthetic' or 'difference' as an SVG.

    Parameters
    ----------
    images
        The case, along the patient's axes.
    role, plane, index
        What to draw, how it is cut, and which slice.
    windows
        Display windows, from :func:`reports.facts.pictures.windows_of`.
    title
        Said by screen readers and shown under the mouse.
    """
    volume = getattr(images, role)
    section = cut(volume, images, plane, index)
    inside = cut(images.mask, images, plane, index).values
    light = role == "difference"
    if role == "difference":
        pixels = diverging(section.values, windows.difference, inside)
    else:
        window = windows.of(role)
        light = window.inverted
        pixels = grey(section.values, window.limits)
        pixels = 255 - pixels if window.inverted else pixels
    return _svg(section, pixels, inside if images.masked else None, title, dark=not light)


def grey(values: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Return grey pixels from black to white over a window."""
    low, high = window
    share = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1)
    return np.asarray(np.round(255 * share), dtype=np.uint8)


def diverging(values: NDArray[Any], limit: float, inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return colours from dark blue (−limit) over grey to light orange, faded outside a mask."""
    colours = diverging_colours(np.nan_to_num(values) / limit)
    faded = FADE_OUTSIDE * 238 + (1 - FADE_OUTSIDE) * colours
    return np.asarray(np.round(np.where(inside[..., None], colours, faded)), dtype=np.uint8)


def diverging_colours(shares: NDArray[Any]) -> NDArray[np.float64]:
    """Return the colours of differences as shares of their limit, −1 to 1; shape (..., 3)."""
    places = np.linspace(-1, 1, len(DIVERGING_STOPS))
    held = np.clip(shares, -1, 1)
    return np.stack(
        [np.interp(held, places, [one[n] for one in DIVERGING_STOPS]) for n in range(3)], axis=-1
    )


def diverging_hex(share: float) -> str:
    """Return the colour of one difference, as drawings name it."""
    red, green, blue = np.round(diverging_colours(np.asarray(share))).astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _svg(
    section: Cut,
    pixels: NDArray[np.uint8],
    inside: NDArray[np.bool_] | None,
    title: str,
    *,
    dark: bool,
) -> str:
    over = []
    if inside is not None:
        path = outline(inside, row_mm=section.row_mm, column_mm=section.column_mm)
        ink = OUTLINE if dark else marks.INK
        over.append(marks.line(path, ink, section.size_mm[0] / 260, stroke_opacity=0.9))
    return panel(section.size_mm, section.letters, pixels, over, title=title, dark=dark)


def panel(
    size_mm: tuple[float, float],
    letters: tuple[str, str, str, str],
    pixels: NDArray[np.uint8],
    over: Sequence[str] = (),
    *,
    title: str,
    dark: bool,
) -> str:
    """Draw a picture in mm with letters at its edges and a scale bar.

    Parameters
    ----------
    size_mm
        Width and height.
    letters
        At the left, right, top and bottom edge.
    pixels
        Grey (h, w) or colour (h, w, 3), stretched to the size.
    over
        SVG elements in mm from the top left corner, drawn over the picture.
    title
        Said by screen readers and shown under the mouse.
    dark
        Whether the picture is dark, so that what is written on it must be light.
    """
    colours = ("#ffffff", "#000000") if dark else ("#16212b", "#ffffff")
    parts = [
        marks.picture(pixels, size_mm),
        *over,
        *_letters(size_mm, letters, colours),
        *_scale_bar(size_mm, colours),
    ]
    return marks.drawing(size_mm, title, "panel", parts, title=title)


def outline(
    inside: NDArray[np.bool_] | NDArray[np.float64],
    *,
    row_mm: float,
    column_mm: float,
    level: float = 0.5,
) -> str:
    """Return the path of a mask's edge, or of a level of a field, in mm.

    A mask is closed where it meets the edge of the picture; the lines of a field end there,
    and where it is NaN.
    """
    from skimage.measure import approximate_polygon, find_contours

    mask = inside.dtype == np.bool_
    field = np.pad(inside.astype(float), 1) if mask else inside
    paths = []
    for line in find_contours(field, level):
        points = approximate_polygon(line - mask, tolerance=0.2 if mask else 0.1) + 0.5
        points = points * (row_mm, column_mm)  # a pixel's centre is at half
        paths.append("M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in points))
    return "".join(paths)


def _letters(
    size_mm: tuple[float, float], letters: tuple[str, str, str, str], colours: tuple[str, str]
) -> list[str]:
    width, height = size_mm
    size = 0.048 * width
    places = (
        (0.6 * size, height / 2),
        (width - 0.6 * size, height / 2),
        (width / 2, 0.75 * size),
        (width / 2, height - 0.5 * size),
    )
    return [
        _text(letter, x, y, size, colours, "central")
        for letter, (x, y) in zip(letters, places, strict=True)
    ]


def _scale_bar(size_mm: tuple[float, float], colours: tuple[str, str]) -> list[str]:
    width, height = size_mm
    ink, halo = colours
    length = next((n for n in (100, 50, 20, 10, 5, 2, 1) if n <= 0.4 * width), 1)
    size = 0.045 * width
    x, y = width - 0.035 * width - length, height - 0.045 * width
    bar = f"M{x:.1f} {y:.1f}h{length}"
    return [
        marks.edged(bar, ink, width / 130, (halo, width / 70, 0.6)),
        _text(f"{length} mm", x + length / 2, y - 0.35 * size, size, colours, "auto"),
    ]


def _text(
    text: str, x: float, y: float, size: float, colours: tuple[str, str], baseline: str
) -> str:
    ink, halo = colours
    return marks.text(
        x,
        y,
        text,
        size,
        ink,
        anchor="middle",
        font_weight=600,
        dominant_baseline=baseline,
        **marks.halo(halo, size / 6, 0.55),
    )


def colour_bar(windows: Windows, key: str) -> str:
    """Draw the colour bar of the difference picture as an SVG; ``key`` is unique on its page."""
    return diverging_bar(f"{windows.difference:.3g}", windows.unit, key)


def diverging_bar(limit: str, unit: str, key: str) -> str:
    """Draw a colour bar from −limit to +limit; ``key`` is unique on its page."""
    stops = [(float(at), diverging_hex(2 * at - 1)) for at in np.linspace(0, 1, 17)]
    title = f"Colour bar: dark blue below, grey equal, light orange above; ±{limit} {unit}"
    parts = [
        marks.gradient(key, stops),
        marks.rect(12, 2, 216, 12, f"url(#{key})", stroke=marks.MUTED, stroke_width=0.6),
        marks.line("M120 0v16", marks.INK, 1.4, title="no difference"),
        marks.text(12, 28, f"−{limit}", fill=marks.INK),
        marks.text(120, 28, "0", fill=marks.INK, anchor="middle"),
        marks.text(228, 28, f"+{limit} {unit}", fill=marks.INK, anchor="end"),
    ]
    return marks.drawing((240, 34), title, "colourbar", parts)
