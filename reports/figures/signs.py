"""Signs that tell structures apart in grey print, beside their colours."""

from __future__ import annotations

from reports.figures import marks

SHAPES = 7
"""As many are told apart; filled they are the first round, open the second."""


def sign_of(place: int, x: float, y: float, colour: str, size: float = 4.0) -> str:
    """Draw the sign of the structure at a place of the legend; nothing for the first, the target.

    Seven shapes, filled, then the same open.
    """
    if place == 0:
        return ""
    shape, again = (place - 1) % 7, (place - 1) // 7 % 2
    s = size
    shapes = (
        f"M{x - s:.1f} {y:.1f}a{s:g} {s:g} 0 1 0 {2 * s:g} 0a{s:g} {s:g} 0 1 0 {-2 * s:g} 0Z",
        f"M{x - s:.1f} {y - s:.1f}h{2 * s:g}v{2 * s:g}h{-2 * s:g}Z",
        f"M{x:.1f} {y - s:.1f}l{s:g} {2 * s:g}h{-2 * s:g}Z",
        f"M{x:.1f} {y + s:.1f}l{s:g} {-2 * s:g}h{-2 * s:g}Z",
        f"M{x:.1f} {y - 1.3 * s:.1f}l{1.3 * s:g} {1.3 * s:g}l{-1.3 * s:g} {1.3 * s:g}"
        f"l{-1.3 * s:g} {-1.3 * s:g}Z",
        f"M{x - s:.1f} {y - s / 2.5:.1f}h{s - s / 2.5:g}v{s / 2.5 - s:g}h{s / 1.25:g}"
        f"v{s - s / 2.5:g}h{s - s / 2.5:g}v{s / 1.25:g}h{s / 2.5 - s:g}v{s - s / 2.5:g}"
        f"h{-s / 1.25:g}v{s / 2.5 - s:g}h{s / 2.5 - s:g}Z",
        f"M{x - s:.1f} {y - s:.1f}h{2 * s:g}l{-2 * s:g} {2 * s:g}h{2 * s:g}Z",
    )
    fill, edge = ("#ffffff", colour) if again else (colour, "#ffffff")
    look = {"stroke": edge, "stroke_width": 1.4 if again else 0.8, "class_": f"sign s{place}"}
    return marks.area(shapes[shape], fill, **look)
