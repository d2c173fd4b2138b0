"""Image panels as SVG, drawn in millimetres: pixels, mask outline, letters, scale bar.

The picture element is stretched to its physical size, so that spacing is always respected.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from reports.facts.slices import CaseImages, Cut, Plane, cut
from reports.facts.windows import Windows

DIVERGING_MAP: Final = "RdBu_r"
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
        Display windows, from :func:`reports.facts.windows.windows_of`.
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
    """Return colours from blue (−limit) over white to red (+limit), faded outside a mask."""
    from matplotlib import colormaps

    share = np.clip((np.nan_to_num(values) + limit) / (2 * limit), 0, 1)
    colours = 255 * colormaps[DIVERGING_MAP](share)[..., :3]
    faded = FADE_OUTSIDE * 238 + (1 - FADE_OUTSIDE) * colours
    return np.asarray(np.round(np.where(inside[..., None], colours, faded)), dtype=np.uint8)


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Encode grey (h, w) or colour (h, w, 3) pixels as PNG; the same pixels, the same bytes."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


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
        over.append(
            f'<path d="{path}" fill="none" stroke="{OUTLINE}" '
            f'stroke-width="{section.size_mm[0] / 260:.2f}" stroke-opacity="0.9"/>'
        )
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
    width, height = size_mm
    data = base64.b64encode(png_bytes(pixels)).decode()
    ink, halo = ("#ffffff", "#000000") if dark else ("#16212b", "#ffffff")
    return "".join(
        [
            f'<svg class="panel" xmlns="http://www.w3.org/2000/svg" role="img" '
            f'viewBox="0 0 {width:.2f} {height:.2f}" aria-label="{escape(title)}">',
            f"<title>{escape(title)}</title>",
            f'<image width="{width:.2f}" height="{height:.2f}" preserveAspectRatio="none" '
            f'href="data:image/png;base64,{data}"/>',
            *over,
            *_letters(size_mm, letters, ink, halo),
            *_scale_bar(size_mm, ink, halo),
            "</svg>",
        ]
    )


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
    size_mm: tuple[float, float], letters: tuple[str, str, str, str], ink: str, halo: str
) -> list[str]:
    width, height = size_mm
    size = 0.048 * width
    left, right, top, bottom = letters
    places = [
        (left, 0.6 * size, height / 2, "middle"),
        (right, width - 0.6 * size, height / 2, "middle"),
        (top, width / 2, 0.75 * size, "middle"),
        (bottom, width / 2, height - 0.5 * size, "middle"),
    ]
    return [
        _text(letter, x, y, size, ink, halo, anchor, "central") for letter, x, y, anchor in places
    ]


def _scale_bar(size_mm: tuple[float, float], ink: str, halo: str) -> list[str]:
    width, height = size_mm
    length = next((n for n in (100, 50, 20, 10, 5, 2, 1) if n <= 0.4 * width), 1)
    size = 0.045 * width
    x, y = width - 0.035 * width - length, height - 0.045 * width
    bar = f"M{x:.1f} {y:.1f}h{length}"
    return [
        f'<path d="{bar}" stroke="{halo}" stroke-width="{width / 70:.2f}" stroke-opacity="0.6"/>',
        f'<path d="{bar}" stroke="{ink}" stroke-width="{width / 130:.2f}"/>',
        _text(f"{length} mm", x + length / 2, y - 0.35 * size, size, ink, halo, "middle", "auto"),
    ]


def _text(
    text: str, x: float, y: float, size: float, ink: str, halo: str, anchor: str, baseline: str
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" fill="{ink}" stroke="{halo}" '
        f'stroke-width="{size / 6:.2f}" stroke-opacity="0.55" paint-order="stroke" '
        f'font-family="sans-serif" font-weight="600" text-anchor="{anchor}" '
        f'dominant-baseline="{baseline}">{escape(text)}</text>'
    )


def colour_bar(windows: Windows, key: str) -> str:
    """Draw the colour bar of the difference picture as an SVG; ``key`` is unique on its page."""
    return diverging_bar(f"{windows.difference:.3g}", windows.unit, key)


def diverging_bar(limit: str, unit: str, key: str) -> str:
    """Draw a colour bar from −limit to +limit; ``key`` is unique on its page."""
    from matplotlib import colormaps, colors

    colour = colormaps[DIVERGING_MAP]
    stops = "".join(
        f'<stop offset="{share:.3f}" stop-color="{colors.to_hex(colour(share))}"/>'
        for share in np.linspace(0, 1, 17)
    )
    limit, unit = escape(limit), escape(unit)
    title = f"Colour bar: blue below, white equal, red above the reference; ±{limit} {unit}"
    return (
        f'<svg class="colourbar" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 34" '
        f'role="img" aria-label="{title}"><defs><linearGradient id="{escape(key)}">{stops}'
        f'</linearGradient></defs><rect x="12" y="2" width="216" height="12" '
        f'fill="url(#{escape(key)})" stroke="#5b6670" stroke-width="0.6"/>'
        f'<g font-size="11.5" font-family="sans-serif" fill="#33414d">'
        f'<text x="12" y="28" text-anchor="start">−{limit}</text>'
        f'<text x="120" y="28" text-anchor="middle">0</text>'
        f'<text x="228" y="28" text-anchor="end">+{limit} {unit}</text></g></svg>'
    )
