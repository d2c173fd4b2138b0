"""The bones of a male pelvis as hulls of balls, on the left side.

Coordinates are in mm from the middle between the centres of the femoral heads: x to the side
(mirrored for the right), y to posterior, z to the head. Each row is x, y, z, radius and, for
bones, the thickness of the cortical layer. Distances follow common anatomical dimensions
(femoral heads 175 mm apart and 48 mm wide, anterior superior iliac spines 245 mm apart in
the coronal plane of the pubic symphysis, neck-shaft angle 127°, anteversion 12°).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

Row = tuple[float, ...]

HEAD_CENTRE_MM = (88.0, 0.0, 0.0)
HEAD_RADIUS_MM = 24.0
SOCKET_RADIUS_MM = 27.0

HIP: Mapping[str, Row] = MappingProxyType(
    {
        # around the socket
        "wall": (57, 3, 2, 4.5, 1.6),
        "roof": (80, 2, 37, 11, 2.4),
        "roof_side": (103, 5, 31, 6, 2.2),
        "front": (68, -27, 6, 8, 2.0),
        "back": (85, 35, 0, 8, 2.2),
        "back_side": (103, 30, 4, 5, 2.0),
        "column": (66, 35, -2, 9.5, 2.0),
        "floor": (73, 8, -31, 6, 2.0),
        "aiis": (97, -34, 35, 7, 1.8),
        # the ilium
        "body": (80, 10, 57, 9, 2.4),
        "notch": (66, 45, 42, 8, 2.4),
        "front_notch": (110, -36, 56, 6, 1.8),
        "asis": (123, -44, 78, 7, 1.6),
        "crest_front": (137, -20, 106, 7.5, 1.6),
        "crest_top": (132, 16, 127, 7, 1.6),
        "crest_back": (92, 62, 120, 7.5, 1.6),
        "psis": (47, 85, 80, 9, 1.6),
        "piis": (47, 74, 51, 8, 1.6),
        "joint_low": (56, 58, 60, 9, 2.0),
        "joint_high": (60, 54, 84, 9, 2.0),
        "fossa": (114, 8, 88, 3.6, 1.5),
        "fossa_low": (99, 6, 68, 5.5, 1.8),
        "fossa_back": (86, 38, 92, 6, 1.7),
        # pubis
        "eminence": (60, -33, 4, 8.5, 1.8),
        "ramus": (36, -43, -9, 7, 1.8),
        "pubis_high": (13, -46, -23, 9.5, 1.6),
        "pubis_low": (11.5, -41, -46, 8.0, 1.6),
        "ramus_low": (25, -28, -65, 5.5, 1.6),
        "ramus_ischium": (42, -6, -81, 6.5, 1.6),
        # ischium
        "ischium": (70, 30, -32, 11, 2.2),
        "ischium_front": (67, 10, -37, 7.5, 2.0),
        "spine": (51, 45, -7, 3.5, 1.5),
        "tuber_high": (62, 29, -59, 12.5, 2.0),
        "tuber_low": (55, 16, -81, 10.5, 1.8),
    }
)

HIP_FACES: Sequence[str] = (
    "wall front roof",
    "wall roof column",
    "wall front floor",
    "wall column floor",
    "roof back column",
    "roof roof_side back_side",
    "roof back back_side",
    "front aiis roof",
    "roof roof_side aiis",
    "roof aiis body",
    "roof roof_side body",
    "roof notch body",
    "roof column notch",
    "body aiis front_notch",
    "body front_notch fossa_low",
    "front_notch asis fossa_low",
    "asis fossa fossa_low",
    "asis crest_front fossa",
    "crest_front crest_top fossa",
    "crest_top fossa fossa_back",
    "crest_top crest_back fossa_back",
    "fossa fossa_low fossa_back",
    "fossa_low body fossa_back",
    "body notch fossa_back",
    "notch joint_low fossa_back",
    "joint_low joint_high fossa_back",
    "joint_high crest_back fossa_back",
    "joint_high crest_back psis",
    "joint_low joint_high psis",
    "joint_low piis psis",
    "notch joint_low piis",
    "front eminence wall",
    "ramus pubis_high pubis_low",
    "column ischium floor",
    "column back ischium",
    "column spine ischium",
    "ischium ischium_front tuber_high",
    "floor ischium_front ischium",
    "tuber_high tuber_low ischium_front",
)

HIP_EDGES: Sequence[str] = (
    "eminence ramus",
    "pubis_low ramus_low",
    "ramus_low ramus_ischium",
    "ramus_ischium tuber_low",
)

FEMUR: Mapping[str, Row] = MappingProxyType(
    {
        "head": (88, 0, 0, 16, 1.8),
        "neck": (109, 5, -15, 15, 2.4),
        "between": (125, 12, -32, 19, 2.6),
        "trochanter": (141, 21, -6, 12, 1.6),
        "trochanter_side": (146, 17, -22, 13, 1.8),
        "trochanter_small": (115, 27, -57, 9, 2.0),
        "shaft_high": (126, 13, -58, 17, 4.0),
        "shaft_mid": (125, 11, -85, 15, 6.0),
        "shaft_low": (123, 9, -150, 14, 6.5),
    }
)

FEMUR_FACES: Sequence[str] = (
    "neck between trochanter",
    "between trochanter trochanter_side",
    "between shaft_high trochanter_side",
    "between shaft_high trochanter_small",
)

FEMUR_EDGES: Sequence[str] = ("head neck", "shaft_high shaft_mid", "shaft_mid shaft_low")

# both halves; rows with x > 0 are mirrored, those with x = 0 stand once
SACRUM: Mapping[str, Row] = MappingProxyType(
    {
        "s1_front": (13, 28, 91, 13, 1.2),
        "s1_back": (13, 44, 94, 13, 1.2),
        "s2": (10, 48, 68, 11.5, 1.1),
        "s3": (8, 62, 46, 9, 1.1),
        "s4": (6, 69, 25, 7, 1.0),
        "s5": (0, 69, 6, 6, 1.0),
        "coccyx": (0, 63, -9, 4.5, 0.9),
        "coccyx_tip": (0, 54, -22, 3.5, 0.9),
        "ala": (39, 44, 88, 14, 1.2),
        "ala_low": (36, 55, 65, 13, 1.2),
        "side_s3": (27, 66, 45, 8, 1.1),
        "side_s4": (17, 70, 22, 5.5, 1.0),
        "arch_s1": (19, 75, 88, 5, 1.2),
        "arch_s2": (15, 80, 64, 5, 1.2),
        "arch_s3": (11, 80, 43, 4, 1.1),
        "crest_s1": (0, 84, 86, 4.5, 1.2),
        "crest_s2": (0, 89, 62, 4.5, 1.2),
        "crest_s3": (0, 86, 42, 4, 1.1),
    }
)

SACRUM_FACES: Sequence[str] = (
    "s1_front s1_back ala",
    "s1_back ala ala_low",
    "s1_front ala s2",
    "s2 ala ala_low",
    "s2 ala_low side_s3",
    "s2 s3 side_s3",
    "s3 s4 side_s3",
    "s4 side_s3 side_s4",
    "s4 s5 side_s4",
    "ala arch_s1 arch_s2",
    "ala ala_low arch_s2",
    "ala_low arch_s2 arch_s3",
    "ala_low side_s3 arch_s3",
    "arch_s1 arch_s2 crest_s2",
    "arch_s1 crest_s1 crest_s2",
    "arch_s2 arch_s3 crest_s3",
    "arch_s2 crest_s2 crest_s3",
)

# joined across the middle, left to right
SACRUM_BRIDGES: Sequence[str] = ("s1_front s1_back s2", "s1_front s2 s2", "s2 s3 s3", "s3 s4 s4")
SACRUM_EDGES: Sequence[str] = ("s5 coccyx", "coccyx coccyx_tip")

CANAL: Sequence[Row] = (
    (0, 66, 125, 9),
    (0, 63, 95, 8.5),
    (0, 68, 72, 6.5),
    (0, 75, 46, 4.0),
    (0, 77, 24, 2.5),
)

# front and back ends of the foramina between S1 and S4, on the left
FORAMINA: Sequence[tuple[Row, Row]] = (
    ((23, 34, 76, 5.5), (20, 77, 78, 2.6)),
    ((19, 48, 55, 5.0), (17, 82, 54, 2.4)),
    ((15, 58, 35, 4.0), (14, 80, 33, 2.0)),
)

LUMBAR: Mapping[str, Row] = MappingProxyType(
    {
        "front": (12, 8, 123, 14, 1.0),
        "front_low": (12, 16, 118, 12, 1.0),
        "back": (11, 32, 124, 13, 1.0),
        "back_low": (11, 34, 121, 12, 1.0),
        "pedicle": (20, 54, 122, 6, 1.5),
        "facet": (24, 66, 108, 9, 1.8),
        "lamina": (8, 76, 112, 4.5, 1.5),
        "spinous": (0, 88, 108, 4.5, 1.2),
        "transverse": (46, 50, 126, 6, 1.2),
    }
)
LUMBAR_FACES: Sequence[str] = ("front front_low back", "front_low back_low back")
LUMBAR_BRIDGES: Sequence[str] = ("front front_low back", "front_low back_low back")
LUMBAR_EDGES: Sequence[str] = (
    "back pedicle",
    "pedicle facet",
    "facet lamina",
    "lamina spinous",
    "pedicle transverse",
)
