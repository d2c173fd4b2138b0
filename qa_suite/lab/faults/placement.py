"""Faults of place: slices, orientation, position and size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Volume
from qa_suite.core.wording import count as count_of
from qa_suite.lab.faults.base import AIR_HU, FAULTS, FaultFacts, Scene, changed
from qa_suite.lab.faults.numbers import DOSE_RULE

MM_RULE = (
    "imaging and treatment coordinates must coincide within 2 mm (AAPM TG-142: Klein et al. 2009, "
    "Med Phys 36:4197)"
)
_PLACE = (
    ("positioning_shift", "body"),
    ("local_shift_95", "body"),
    ("contour_distance_95", "seg:Body"),
)
_ONE_SLICE_OFF = f"everything beyond lies one slice off; {MM_RULE}, and a slice is 6 mm here"
_SLICES_ALONE = ("slice_repeat", "source_mutual_information", "source_contour_distance")


@FAULTS.add(
    "slice_missing",
    FaultFacts(
        title="Slice missing",
        unit="slices",
        severities=(1, 2, 4),
        clinical=1,
        why_clinical=_ONE_SLICE_OFF,
        hits="patient",
        answers=(*_PLACE, ("hd95", "seg:Bone")),
        answers_alone=_SLICES_ALONE,
    ),
)
def slice_missing(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Leave slices of the middle out and close the gap; the last slice is repeated."""
    count, depth = int(severity), scene.grid.shape[2]
    first = int(rng.integers(depth // 3, depth // 2))
    kept = [k for k in range(depth) if not first <= k < first + count]
    order = kept + [depth - 1] * count
    return changed(
        scene.clean,
        scene.clean.array[..., order],
        f"{count_of(count, 'slice')} from {first} missing",
    )


@FAULTS.add(
    "slice_duplicated",
    FaultFacts(
        title="Slice duplicated",
        unit="slices",
        severities=(1, 2, 4),
        clinical=1,
        why_clinical=_ONE_SLICE_OFF,
        hits="patient",
        answers=(*_PLACE, ("hd95", "seg:Bone")),
        answers_alone=_SLICES_ALONE,
    ),
)
def slice_duplicated(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Repeat one slice of the middle; those beyond move on and the last ones are lost."""
    count, depth = int(severity), scene.grid.shape[2]
    k = int(rng.integers(depth // 3, depth // 2))
    order = [*range(k + 1), *([k] * count), *range(k + 1, depth)][:depth]
    return changed(scene.clean, scene.clean.array[..., order], f"slice {k} {count} times more")


@FAULTS.add(
    "slices_reversed",
    FaultFacts(
        title="Slices reversed",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="head and feet are exchanged",
        hits="patient",
        answers=(*_PLACE, ("ncc", "body"), ("dice", "seg:Bone"), ("mae", "body")),
        answers_alone=("reversal_evidence", "source_mutual_information"),
    ),
)
def slices_reversed(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Stack the slices from the other end."""
    return changed(scene.clean, scene.clean.array[..., ::-1], "slices reversed")


@FAULTS.add(
    "left_right_flip",
    FaultFacts(
        title="Left-right flip",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="the wrong side is treated",
        hits="patient",
        answers=(("mirror_evidence", "body"), *_PLACE, ("dice", "seg:Bone"), ("mae", "body")),
        answers_alone=("mirror_evidence", "source_mutual_information"),
    ),
)
def left_right_flip(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Mirror the image about the middle of the grid."""
    return changed(scene.clean, scene.clean.array[::-1], "left and right exchanged")


@FAULTS.add(
    "axes_swapped",
    FaultFacts(
        title="Axes swapped",
        unit="1",
        severities=(1,),
        clinical=1,
        why_clinical="the anatomy is turned and mirrored",
        hits="patient",
        answers=(*_PLACE, ("dice", "seg:Body"), ("mae", "body")),
        answers_alone=("swap_evidence", "source_mutual_information", "source_contour_distance"),
    ),
)
def axes_swapped(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Exchange x and y; what no longer fits the grid is cut, what is missing is air."""
    turned = scene.clean.array.transpose(1, 0, 2)
    array = np.full(scene.grid.shape, AIR_HU, dtype=np.float32)
    spans = []
    for there, here in zip(turned.shape, array.shape, strict=True):
        size = min(there, here)
        spans.append(
            (
                slice((there - size) // 2, (there - size) // 2 + size),
                slice((here - size) // 2, (here - size) // 2 + size),
            )
        )
    array[tuple(s[1] for s in spans)] = turned[tuple(s[0] for s in spans)]
    return changed(scene.clean, array, "x and y exchanged")


@FAULTS.add(
    "shift",
    FaultFacts(
        title="Shift",
        unit="mm",
        severities=(1, 2, 5),
        clinical=2,
        why_clinical=MM_RULE,
        hits="all",
        answers=_PLACE,
        answers_alone=("source_shift", "excess_shift", "source_contour_distance"),
    ),
)
def shift(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Move the anatomy in a random direction."""
    direction = rng.standard_normal(3)
    direction *= severity / np.linalg.norm(direction)
    array = moved(scene, np.eye(3), direction)
    return changed(scene.clean, array, f"moved by {severity:g} mm")


@FAULTS.add(
    "rotation",
    FaultFacts(
        title="Rotation",
        unit="°",
        severities=(0.5, 1, 2, 4),
        clinical=2,
        why_clinical=f"2° move what lies 60 mm from the axis by 2 mm; {MM_RULE}",
        hits="all",
        answers=(("positioning_rotation", "body"), *_PLACE),
        answers_alone=("source_rotation", "source_contour_distance"),
    ),
)
def rotation(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Turn the anatomy about a random axis through the middle of the body."""
    axis = rng.standard_normal(3)
    array = moved(scene, _turn(axis / np.linalg.norm(axis), np.radians(severity)), np.zeros(3))
    return changed(scene.clean, array, f"turned by {severity:g}°")


@FAULTS.add(
    "spacing",
    FaultFacts(
        title="Wrong spacing",
        unit="%",
        severities=(1, 2, 5),
        clinical=2,
        why_clinical=f"the skin lies 2 to 4 mm off; {MM_RULE}; and 3.1 mm of water in the mean",
        hits="all",
        changes_dose=True,
        answers=(("contour_bias", "seg:Body"), ("volume_difference", "seg:Body"), *_PLACE),
        answers_alone=("source_contour_distance", "source_contour_bias", "tissue_volume"),
    ),
)
def spacing(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Enlarge the anatomy about the middle of the body, as a spacing read too large does."""
    array = moved(scene, np.eye(3) / (1 + severity / 100), np.zeros(3))
    return changed(scene.clean, array, f"{severity:g} % too large")


@FAULTS.add(
    "truncated",
    FaultFacts(
        title="Truncated field",
        unit="mm",
        severities=(1, 3, 6, 12),
        clinical=3,
        why_clinical=f"{DOSE_RULE}; measured: 5.8 mm in a lateral beam",
        hits="patient",
        changes_dose=True,
        answers=(
            ("contour_loss", "seg:Body"),
            ("contour_distance_95", "seg:Body"),
            ("contour_distance", "seg:Body"),
            ("dice", "seg:Body"),
            ("hd95", "seg:Body"),
        ),
        answers_alone=("cut_body", "source_contour_distance_95", "source_contour_distance"),
    ),
)
def truncated(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Cut the field of view on its left and right side, so that half of the slices lose that."""
    columns = np.asarray(scene.body.any(axis=1))
    columns = columns[:, np.asarray(columns.any(axis=0))]
    first = float(np.median(columns.argmax(axis=0)))
    last = scene.grid.shape[0] - 1 - float(np.median(columns[::-1].argmax(axis=0)))
    step = scene.grid.spacing_mm[0]
    x = np.arange(scene.grid.shape[0]) * step
    inside = np.minimum(x - (first - 0.5) * step, (last + 0.5) * step - x) - severity
    kept = np.clip(0.5 + inside / step, 0, 1)[:, None, None].astype(np.float32)
    array = scene.clean.array * kept + np.float32(AIR_HU) * (1 - kept)
    return changed(scene.clean, array, f"field cut {severity:g} mm inside the skin")


def _turn(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Matrix of a rotation about a unit axis (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def moved(
    scene: Scene, matrix: NDArray[np.float64], shift_mm: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Image that shows at ``c + x`` what the clean one shows at ``c + matrix @ x - shift``, in mm.

    ``c`` is the centre of gravity of the body. Cubic interpolation, so that the motion does
    not blur, within the range of the clean image's own values.
    """
    from scipy import ndimage

    spacing = np.asarray(scene.grid.spacing_mm)
    centre = np.argwhere(scene.body).mean(axis=0)
    linear = matrix * spacing[None, :] / spacing[:, None]
    offset = centre - linear @ centre - shift_mm / spacing
    array = scene.clean.array
    shown = ndimage.affine_transform(array, linear, offset=offset, order=3, mode="nearest")
    return np.clip(shown, array.min(), array.max()).astype(np.float32)
