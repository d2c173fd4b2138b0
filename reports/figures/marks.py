"""Marks, scales and axes that every drawing is made of: SVG as text, escaped once, here.

The same record gives the same bytes, and fonts are the reader's own. Nothing is filled that does
not say so. Colour is never the only sign: bounds are dashed, words stand beside.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

INK: Final = "#1c2833"
MUTED: Final = "#5b6670"
FAINT: Final = "#d5dbe0"
BOUND: Final = "#7a2e8e"
FLAGGED: Final = "#a3290f"
HOME: Final = "#1f5f99"
"""Of sites that were trained on."""
ABROAD: Final = "#b4520a"
"""Of other sites."""
SMALL: Final = 11.5
FONT: Final = "system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif"

Range = tuple[float, float]
Point = tuple[float, float]
Place = Callable[[float], float]


# ------------------------------------------------------------------------------ elements


def element(name: str, *inside: str, title: str = "", **look: Any) -> str:
    """Write an element; ``title`` is shown under the mouse, ``look`` are its attributes.

    Attributes are named with ``_`` for ``-``; what is None or empty is left out.
    """
    attributes = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in look.items()
        if value is not None and value != ""
    )
    content = (f"<title>{escape(title)}</title>" if title else "") + "".join(inside)
    return f"<{name}{attributes}>{content}</{name}>" if content else f"<{name}{attributes}/>"


def _number(value: Any) -> Any:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def drawing(
    size: tuple[float, float], name: str, css: str, parts: Iterable[str], **look: Any
) -> str:
    """Put marks into a drawing of a size; ``name`` is said by screen readers."""
    width, height = (_number(float(length)) for length in size)
    return element(
        "svg",
        *parts,
        class_=css,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=name,
        font_family=FONT,
        fill="none",
        **look,
    )


def text(
    x: float, y: float, words: object, size: float = SMALL, fill: str = MUTED, **look: Any
) -> str:
    """Write words; ``anchor`` is ``middle`` or ``end`` where they do not start at ``x``."""
    anchor = look.pop("anchor", None)
    said = str(escape(words))
    return element("text", said, x=x, y=y, text_anchor=anchor, font_size=size, fill=fill, **look)


def upright(words: str, middle: float, x: float = 14.0, size: float = 12.0) -> str:
    """Write the name of an upright axis, from below to above."""
    turn = f"rotate(-90 {_number(x)} {_number(middle)})"
    return text(x, middle, words, size, INK, anchor="middle", transform=turn)


def line(d: str, stroke: str = MUTED, width: float | None = None, **look: Any) -> str:
    """Draw along a path; ``dash`` is its pattern."""
    dash = look.pop("dash", None)
    return element("path", d=d, stroke=stroke, stroke_width=width, stroke_dasharray=dash, **look)


def area(d: str, fill: str, **look: Any) -> str:
    """Fill a path."""
    return element("path", d=d, fill=fill, **look)


def edged(d: str, ink: str, width: float, edge: tuple[str, float, float], **look: Any) -> str:
    """Draw along a path over its edge, so that it stands out: colour, width and opacity."""
    colour, wide, opacity = edge
    shape = {name: value for name, value in look.items() if name not in ("title", "dash")}
    below = line(d, colour, wide, stroke_opacity=opacity, **shape)
    return below + line(d, ink, width, **look)


def halo(colour: str, width: float, opacity: float) -> dict[str, Any]:
    """Return the look of words with an edge of another colour, so that they stand out."""
    return {
        "stroke": colour,
        "stroke_width": width,
        "stroke_opacity": opacity,
        "paint_order": "stroke",
    }


def rect(x: float, y: float, width: float, height: float, fill: str, **look: Any) -> str:
    """Draw a box, or a bar."""
    return element("rect", x=x, y=y, width=width, height=height, fill=fill, **look)


def dot(x: float, y: float, radius: float, fill: str | None, **look: Any) -> str:
    """Draw a dot, or without a fill a ring."""
    return element("circle", cx=x, cy=y, r=radius, fill=fill, **look)


def picture(pixels: NDArray[np.uint8], size: tuple[float, float]) -> str:
    """Draw grey (h, w) or colour (h, w, 3) pixels, stretched to a size."""
    data = base64.b64encode(png_bytes(pixels)).decode()
    return element(
        "image",
        width=size[0],
        height=size[1],
        preserveAspectRatio="none",
        href=f"data:image/png;base64,{data}",
    )


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Encode grey (h, w) or colour (h, w, 3) pixels as PNG; the same pixels, the same bytes."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def gradient(key: str, stops: Sequence[tuple[float, str]]) -> str:
    """Define a ramp of colours from left to right; ``key`` is unique on its page."""
    ramp = (element("stop", offset=f"{at:.3f}", stop_color=colour) for at, colour in stops)
    return element("defs", element("linearGradient", *ramp, id=key))


# -------------------------------------------------------------------------------- scales


def scale(span: Range, ends: Range, *, held: bool = False) -> Place:
    """Return the function from values to places; ``held`` keeps what lies beyond at the ends."""

    def at(value: float) -> float:
        share = (value - span[0]) / (span[1] - span[0])
        share = min(max(share, 0.0), 1.0) if held else share
        return ends[0] + (ends[1] - ends[0]) * share

    return at


def padded(values: Sequence[float], share: float = 0.08) -> Range:
    """Return the range of some values with a little room at both ends.

    Where all are zero it reaches to one: what cannot be negative, such as a Dice of nobody, is not
    drawn on an axis that ends below zero.
    """
    low, high = min(values), max(values)
    if low == high == 0:
        return -share, 1.0
    room = (high - low) * share or abs(high) * share
    return low - room, high + room


def nice_ticks(span: Range, most: int = 7) -> list[float]:
    """Return round numbers inside a range, at most ``most`` of them."""
    raw = (span[1] - span[0]) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = int(np.ceil(span[0] / step))
    last = int(np.floor(span[1] / step))
    return [float(f"{n * step:.10g}") for n in range(first, last + 1)]


def tick_text(value: float, sign: str = "") -> str:
    """Write the number at a tick, with a true minus; ``sign`` is ``+`` where both are written."""
    return f"{value:{sign if value else ''}g}".replace("-", "−")


def through(points: Sequence[Point], x: Place, y: Place) -> str:
    """Return the path through some points."""
    return "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)


def x_axis(
    at: Place,
    ticks: Iterable[float],
    top: float,
    bottom: float,
    *,
    labelled: bool = True,
    stroke: str = FAINT,
) -> list[str]:
    """Draw a line at each tick from ``top`` down beyond ``bottom``, and its number below."""
    parts = []
    for tick in ticks:
        parts.append(line(f"M{at(tick):.1f} {top:g}V{bottom + 4 * labelled:.1f}", stroke))
        if labelled:
            parts.append(text(at(tick), bottom + 17, tick_text(tick), anchor="middle"))
    return parts


def y_axis(
    at: Place, ticks: Iterable[float], left: float, right: float, *, sign: str = ""
) -> list[str]:
    """Draw a line at each tick from before ``left`` to ``right``, and its number on the left."""
    return [
        line(f"M{left - 4:g} {at(tick):.1f}H{right:g}", FAINT if tick or not sign else MUTED)
        + text(left - 8, at(tick) + 4, tick_text(tick, sign), anchor="end")
        for tick in ticks
    ]


def key(x: float, y: float, sample: str, words: str, **look: Any) -> str:
    """Draw an entry of a legend: a sample and what it means."""
    return sample + text(x + 28, y + 4, words, **look)


def short(words: str, most: int = 20) -> str:
    """Cut a long name."""
    return words if len(words) <= most else words[: most - 1] + "…"
