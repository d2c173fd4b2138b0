"""The muscles, vessels and hollow organs of the virtual pelvis, as hulls of balls.

The same coordinates as in :mod:`qa_suite.lab.phantom.skeleton`: mm, left side, each row x, y, z,
radius. A name stands for one muscle; between two muscles a fat plane is left free. Faces join
rows by their position in the list; ``chain`` joins them one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from qa_suite.lab.phantom.skeleton import Row


class Part(NamedTuple):
    """Rows of balls and how they are joined."""

    rows: Sequence[Row]
    faces: Sequence[tuple[int, int, int]] = ()
    edges: Sequence[tuple[int, int]] = ()


def chain(*rows: Row) -> Part:
    """Join rows one after another into a tube."""
    return Part(rows, (), tuple((i, i + 1) for i in range(len(rows) - 1)))


def band(half: tuple[float, float, float], *rows: Row) -> Part:
    """Join rows one after another into a flat tube, ``half`` the vector to either edge."""
    near = [(r[0] - half[0], r[1] - half[1], r[2] - half[2], r[3]) for r in rows]
    far = [(r[0] + half[0], r[1] + half[1], r[2] + half[2], r[3]) for r in rows]
    return strip(near, far)


def strip(near: Sequence[Row], far: Sequence[Row]) -> Part:
    """Join two lines of rows into a band; both lines have the same length."""
    count = len(near)
    faces = []
    for i in range(count - 1):
        faces += [(i, i + 1, count + i), (i + 1, count + i, count + i + 1)]
    return Part((*near, *far), tuple(faces))


def _sheet(*lines: Sequence[Row]) -> Part:
    count = len(lines[0])
    rows = [row for line in lines for row in line]
    faces = []
    for level in range(len(lines) - 1):
        base, following = level * count, (level + 1) * count
        for i in range(count - 1):
            faces += [
                (base + i, base + i + 1, following + i),
                (base + i + 1, following + i, following + i + 1),
            ]
    return Part(rows, tuple(faces))


MUSCLES: Mapping[str, Part] = MappingProxyType(
    {
        "gluteus_maximus": _sheet(
            (
                (60, 94, 92, 8),
                (40, 98, 52, 11),
                (32, 92, 12, 13),
                (34, 84, -32, 16),
                (44, 74, -72, 18),
                (50, 62, -105, 17),
            ),
            (
                (84, 86, 78, 9),
                (78, 88, 42, 15),
                (80, 84, 5, 19),
                (82, 78, -38, 21),
                (86, 68, -75, 20),
                (86, 58, -105, 17),
            ),
            (
                (104, 74, 52, 9),
                (114, 68, 20, 12),
                (122, 60, -8, 13),
                (128, 54, -42, 14),
                (128, 46, -75, 13),
                (122, 44, -105, 12),
            ),
        ),
        "gluteus_medius": _sheet(
            ((144, -14, 104, 8), (141, 22, 112, 10), (112, 62, 104, 10)),
            ((140, -26, 68, 11), (131, 20, 68, 16), (110, 54, 66, 14)),
            ((150, -8, 28, 9), (141, 22, 26, 12), (128, 42, 24, 9)),
            ((155, 10, -2, 7), (150, 20, 0, 7), (146, 26, 2, 6)),
        ),
        "gluteus_minimus": _sheet(
            ((121, -22, 70, 7), (116, 14, 76, 8)),
            ((122, -18, 34, 10), (114, 20, 38, 9)),
            ((140, -4, 6, 7), (137, 6, 8, 6)),
        ),
        "tensor_fasciae_latae": band(
            (3, 7, 0), (130, -47, 66, 5), (145, -40, 30, 9), (153, -30, -18, 9), (156, -12, -60, 4)
        ),
        "sartorius": band(
            (6, 2, 0),
            (120, -54, 64, 4),
            (111, -64, 25, 6.5),
            (91, -71, -25, 7),
            (71, -71, -70, 7),
            (62, -67, -110, 7),
        ),
        "rectus_femoris": band(
            (5, -1, 0),
            (101, -43, 30, 4),
            (113, -52, 0, 9),
            (118, -57, -40, 12),
            (117, -59, -110, 15),
        ),
        "iliacus": _sheet(
            ((119, -30, 100, 8), (104, 2, 106, 8), (80, 26, 106, 7)),
            ((106, -34, 68, 10), (92, -6, 76, 10), (76, 14, 78, 8)),
            ((95, -38, 34, 12), (84, -24, 42, 11), (74, -10, 50, 8)),
            ((98, -38, 0, 11), (92, -37, 2, 11), (86, -35, 5, 8)),
        ),
        "psoas": band(
            (-4, 5, 0),
            (42, 10, 128, 16),
            (48, -2, 96, 15),
            (60, -18, 64, 13),
            (73, -33, 30, 11),
            (81, -38, 0, 10),
            (95, -30, -25, 9),
            (107, -2, -46, 8),
            (113, 18, -58, 5),
        ),
        "obturator_internus": _sheet(
            ((47, -22, 2, 4), (49, 10, 10, 6), (51, 34, 14, 5)),
            ((38, -30, -24, 5), (47, 2, -22, 8), (51, 27, -22, 8)),
            ((34, -26, -50, 5), (44, 0, -54, 8), (50, 18, -52, 7)),
        ),
        "obturator_tendon": chain(
            (52, 36, -12, 5), (66, 50, -10, 6), (92, 46, -4, 6), (130, 30, 0, 4)
        ),
        "obturator_externus": chain(
            (34, -36, -42, 7),
            (46, -18, -52, 10),
            (66, 4, -52, 9),
            (96, 26, -34, 6),
            (128, 28, -14, 4),
        ),
        "pectineus": strip(
            ((34, -55, -14, 6), (50, -54, -34, 9), (74, -36, -62, 9)),
            ((54, -50, -8, 6), (66, -50, -32, 9), (94, -16, -72, 7)),
        ),
        "adductor_longus": band(
            (8, -1, 0), (20, -58, -38, 4), (40, -62, -66, 8), (60, -60, -110, 12)
        ),
        "adductor_brevis": band(
            (9, 3, 0), (28, -42, -58, 5), (54, -42, -80, 9), (78, -34, -112, 11)
        ),
        "adductor_magnus": band(
            (8, 12, 0), (38, -12, -86, 6), (58, -4, -100, 12), (72, 4, -125, 18)
        ),
        "gracilis": band((2, 8, 0), (13, -40, -62, 3), (16, -38, -84, 4.5), (26, -34, -115, 6)),
        "quadratus_femoris": strip(
            ((72, 36, -44, 7), (106, 34, -38, 6)), ((70, 32, -68, 7), (106, 30, -66, 6))
        ),
        "hamstrings": band((6, 2, 0), (66, 42, -72, 6), (69, 46, -95, 10), (75, 44, -125, 15)),
        "piriformis": strip(
            ((24, 58, 56, 5), (50, 58, 38, 8), (84, 50, 22, 8), (130, 30, 6, 4)),
            ((22, 64, 36, 5), (50, 60, 24, 8), (84, 52, 12, 7), (132, 30, 4, 4)),
        ),
        "vastus_lateralis": band(
            (0, 12, 0), (150, 4, -40, 5), (151, 2, -70, 9), (147, -2, -115, 14)
        ),
        "vastus_intermedius": chain(
            (129, -4, -56, 15), (127, -4, -75, 22), (125, -8, -95, 25), (122, -12, -125, 27)
        ),
        "erector_spinae": strip(
            ((20, 92, 135, 15), (18, 92, 108, 13), (14, 95, 82, 8), (10, 96, 58, 4)),
            ((46, 84, 135, 17), (40, 86, 112, 14), (28, 92, 90, 8), (20, 94, 66, 4)),
        ),
        "levator_ani": _sheet(
            ((11, -30, -44, 2.2), (22, 2, -38, 2.4), (24, 34, -34, 2.6), (8, 56, -26, 2.6)),
            ((36, -18, -20, 2.0), (40, 8, -18, 2.2), (41, 32, -14, 2.4), (22, 54, -12, 2.4)),
        ),
        "puborectalis": chain(
            (10, -34, -50, 2.8), (15, 8, -57, 3.2), (15, 36, -58, 3.6), (0, 44, -58, 3.6)
        ),
        "crus_penis": chain((37, -6, -90, 5), (22, -30, -76, 6.5), (6, -50, -70, 7)),
        "corpus_penis": chain((4, -52, -68, 8), (5, -84, -66, 9.5), (5, -100, -84, 10)),
        "bulb_penis": chain((0, 2, -72, 9), (0, -22, -80, 8), (0, -48, -78, 7)),
        "spermatic_cord": chain(
            (50, -78, 2, 4.5), (28, -84, -24, 6), (20, -86, -55, 7.5), (18, -86, -110, 10)
        ),
    }
)
GROWTH_MM: Mapping[str, float] = MappingProxyType(
    {
        "levator_ani": 0.0,
        "puborectalis": 0.5,
        "crus_penis": 0.0,
        "corpus_penis": 0.0,
        "bulb_penis": 0.0,
        "spermatic_cord": 0.0,
        "gluteus_maximus": 3.5,
        "gluteus_medius": 4.5,
        "obturator_internus": 1.5,
        "obturator_tendon": 0.5,
        "piriformis": 1.0,
        "rectus_abdominis": 0.0,
        "obliques": 0.0,
    }
)
"""How far a belly bulges beyond the balls of its rows; the others by ``BULGE_MM``."""

BULGE_MM = 5.0

ONCE = ("bulb_penis",)
"""Muscles that stand once, in the middle."""

ABDOMINAL_WALL: Mapping[str, Part] = MappingProxyType(
    {
        "rectus_abdominis": strip(
            (
                (10, -96, 125, 4.5),
                (10, -94, 80, 5),
                (9, -86, 40, 5),
                (9, -72, 5, 5),
                (10, -58, -14, 4),
            ),
            (
                (48, -92, 125, 4.5),
                (46, -90, 80, 5),
                (40, -82, 40, 5),
                (28, -70, 5, 4.5),
                (16, -58, -14, 4),
            ),
        ),
        "obliques": _sheet(
            ((54, -92, 125, 4.5), (52, -88, 80, 4.0), (46, -80, 44, 3.2), (36, -70, 14, 2.5)),
            ((96, -80, 125, 7), (94, -74, 84, 6.5), (84, -68, 56, 4.5), (66, -62, 30, 2.5)),
            ((134, -46, 128, 9), (126, -50, 96, 7), (117, -52, 80, 4.5), (96, -56, 52, 2.5)),
            ((146, -6, 132, 9), (138, -24, 118, 6), (128, -38, 94, 4), (119, -48, 78, 2.5)),
        ),
    }
)

ARTERY: Sequence[Row] = (
    (20, 0, 125, 6),
    (38, -10, 98, 5),
    (48, -22, 70, 5),
    (60, -44, 34, 5),
    (68, -60, 6, 5),
    (72, -60, -40, 4.5),
    (76, -50, -110, 4.5),
)
VEIN: Sequence[Row] = (
    (14, 8, 125, 7),
    (30, 0, 98, 6.5),
    (40, -10, 70, 6.5),
    (51, -36, 34, 6.5),
    (58, -56, 6, 6),
    (64, -54, -40, 5.5),
    (72, -42, -110, 5),
)
INTERNAL_ILIAC: Sequence[Row] = (
    (32, 8, 96, 5),
    (40, 28, 72, 4.5),
    (43, 42, 48, 4),
    (42, 44, 30, 3),
)
SCIATIC_NERVE: Sequence[Row] = (
    (44, 58, 44, 3),
    (64, 58, 18, 4.5),
    (84, 58, -15, 4.5),
    (88, 50, -60, 4.5),
    (90, 42, -110, 4.5),
)

# the hollow tube from the anus to the sigmoid: x, y, z and radius of the outer wall
ANUS: Sequence[Row] = ((0, 52, -110, 7), (0, 44, -84, 8), (0, 30, -60, 9))
RECTUM: Sequence[Row] = (
    (0, 30, -60, 9.5),
    (0, 35, -42, 13.5),
    (1, 37, -20, 15.5),
    (-2, 41, 4, 16.5),
    (-5, 44, 28, 15.5),
    (3, 40, 50, 14.5),
    (16, 26, 64, 13.5),
)
SIGMOID: Sequence[Row] = (
    (16, 26, 64, 13.5),
    (44, 14, 74, 12.5),
    (54, -14, 84, 12.5),
    (30, -34, 88, 13),
    (2, -30, 92, 12.5),
    (-18, -6, 98, 12),
    (10, 0, 110, 12),
)
