"""The muscles, vessels and hollow organs of the virtual pelvis, as hulls of balls.

The same coordinates as in :mod:`qa_suite.phantom.skeleton`: mm, left side, each row x, y, z,
radius. A name stands for one muscle; between two muscles a fat plane is left free. Faces join
rows by their position in the list; ``chain`` joins them one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from qa_suite.phantom.skeleton import Row


class Part(NamedTuple):
    """Rows of balls and how they are joined."""

    rows: Sequence[Row]
    faces: Sequence[tuple[int, int, int]] = ()
    edges: Sequence[tuple[int, int]] = ()


def chain(*rows: Row) -> Part:
    """Join rows one after another into a tube."""
    return Part(rows, (), tuple((i, i + 1) for i in range(len(rows) - 1)))


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
        "tensor_fasciae_latae": chain(
            (130, -48, 66, 6), (145, -44, 30, 11), (152, -34, -18, 11), (156, -18, -60, 6)
        ),
        "sartorius": chain(
            (121, -54, 64, 5),
            (112, -64, 25, 8),
            (92, -70, -25, 9),
            (72, -70, -70, 9),
            (62, -66, -110, 9),
        ),
        "rectus_femoris": chain(
            (101, -43, 30, 5), (113, -51, 0, 10), (118, -54, -40, 13), (116, -56, -110, 16)
        ),
        "iliacus": _sheet(
            ((126, -24, 98, 7), (118, 4, 104, 7), (92, 28, 104, 6)),
            ((112, -30, 66, 9), (102, -4, 74, 9), (84, 20, 76, 7)),
            ((98, -36, 32, 12), (92, -22, 42, 10), (80, -8, 50, 8)),
            ((98, -36, 0, 12), (92, -34, 2, 12), (86, -32, 5, 9)),
        ),
        "psoas": chain(
            (40, 10, 128, 19),
            (46, -2, 96, 18),
            (58, -18, 64, 16),
            (72, -33, 30, 13),
            (80, -38, 0, 12),
            (94, -30, -25, 11),
            (106, -2, -46, 10),
            (113, 18, -58, 6),
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
        "adductor_longus": chain((17, -58, -38, 5), (38, -62, -66, 11), (58, -58, -110, 15)),
        "adductor_brevis": chain((24, -42, -58, 7), (50, -42, -80, 12), (76, -34, -112, 14)),
        "adductor_magnus": chain((36, -14, -84, 8), (52, -4, -100, 16), (66, 4, -125, 22)),
        "gracilis": chain((13, -42, -62, 4), (16, -40, -84, 6), (26, -36, -115, 8)),
        "quadratus_femoris": strip(
            ((72, 36, -44, 7), (106, 34, -38, 6)), ((70, 32, -68, 7), (106, 30, -66, 6))
        ),
        "hamstrings": chain((66, 42, -72, 7), (68, 46, -95, 12), (74, 44, -125, 17)),
        "piriformis": strip(
            ((24, 58, 56, 5), (50, 58, 38, 8), (84, 50, 22, 8), (130, 30, 6, 4)),
            ((22, 64, 36, 5), (50, 60, 24, 8), (84, 52, 12, 7), (132, 30, 4, 4)),
        ),
        "vastus_lateralis": chain((152, 2, -42, 6), (152, 0, -70, 11), (147, -6, -115, 17)),
        "vastus_intermedius": chain((130, -14, -62, 7), (128, -18, -85, 12), (124, -20, -120, 16)),
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
