"""Structures of the reference: whether the synthetic image gives them their value.

A pocket of gas drawn at −400 HU is no missed gas, and a ray through it still meets a centimetre
of water that is not there. Here every piece of bone, gas or metal that the reference shows is
held against its value, however much of it the synthetic image shows; and a delineated lesion by
its contrast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Triple
from qa_suite.imaging.boxes import bounding_box
from qa_suite.metrics.base import Censored, NoValue, Pair, absent
from qa_suite.metrics.facts import METRICS, REFERENCE_UNIT, MetricFacts, MetricFunctions
from qa_suite.metrics.hallucination.blobs import Box, Mask, blobs, shell_of
from qa_suite.metrics.hallucination.depth import water_equivalent
from qa_suite.metrics.hallucination.fields import Fields
from qa_suite.metrics.hallucination.settings import HallucinationSettings

ValueKind = Literal["bone", "dense", "air", "metal"]
VALUE_KINDS: tuple[ValueKind, ...] = ("bone", "dense", "air", "metal")

# Beams lie in planes across the patient. Along a column of gas from head to feet, which none of
# them follows, an error that no beam feels would add up.
_ACROSS = (0, 1)  # axes of the canonical grid
_LONG = 0.5  # of the longest way through a component: shorter ways graze its edge


@dataclass(frozen=True, kw_only=True)
class Structure:
    """One structure of the reference.

    Parameters
    ----------
    kind
        ``bone``, ``dense`` (bone, of which a sclerosis is a small part of a large piece),
        ``air`` or ``metal``.
    volume_cc
        Its size in the reference.
    error_hu
        Mean of synthetic minus reference over it.
    depth_mm
        Water-equivalent depth error of the beams through it along that of the two axes across
        the patient on which it is larger; signed, positive where the synthetic image is too
        dense.
    """

    kind: ValueKind
    volume_cc: float
    error_hu: float
    depth_mm: float


def _facts(title: str, unit: str, formula: str, empty: str) -> MetricFacts:
    return MetricFacts(
        family="hallucination",
        title=title,
        unit=unit,
        direction="zero" if unit == "HU" else "lower",
        range="(-inf, inf)" if unit == "HU" else "[0, inf)",
        kind="signed" if unit == "HU" else "positive",
        formula=formula,
        empty=f"{empty}; empty mask or image not in HU: undefined",
        reference="Definition of this suite",
        quantities=("HU",),
        because="bone, gas and metal are known by their HU",
    )


OF_STRUCTURES: MetricFunctions[Callable[[Sequence[Structure]], float | Censored | NoValue]] = (
    MetricFunctions("hallucination")
)
"""Metrics of the reference's structures of one kind."""


@OF_STRUCTURES.add(
    "value_error",
    _facts(
        "Value of the reference's structures",
        "HU",
        "mean (synthetic - reference) over the component of the reference where its magnitude is "
        "largest",
        "the reference shows nothing of the kind: undefined",
    ),
)
def value_error(components: Sequence[Structure]) -> float | NoValue:
    """Signed error of the component whose value is farthest off, in HU."""
    if not components:
        return absent("the reference shows nothing of this kind")
    return max((c.error_hu for c in components), key=lambda hu: (abs(hu), hu))


@OF_STRUCTURES.add(
    "value_depth",
    _facts(
        "Water-equivalent depth error through the reference's structures",
        "mm",
        "largest |sum of (density of synthetic - of reference) along an axis across the patient "
        "within a component of the reference|, in the mean over its ways of at least half the "
        "longest; "
        "density: electrons relative to water",
        "the reference shows nothing of the kind: 0",
    ),
)
def value_depth(components: Sequence[Structure]) -> float:
    """Millimetres of water by which a beam through the worst component errs."""
    return max((abs(c.depth_mm) for c in components), default=0.0)


def find_structures(fields: Fields, settings: HallucinationSettings) -> list[Structure]:
    """Find every piece of bone, dense bone, gas and metal of the reference.

    Returns
    -------
    list of Structure
        By kind, the largest first.
    """
    found = [
        _described(kind, box, mask, fields, settings)
        for kind in VALUE_KINDS
        for box, mask in _structures(kind, fields, settings)
    ]
    return sorted(found, key=lambda c: (VALUE_KINDS.index(c.kind), -c.volume_cc, c.error_hu))


def _structures(
    kind: ValueKind, fields: Fields, settings: HallucinationSettings
) -> Iterator[tuple[Box, Mask]]:
    fewest = max(1, int(np.ceil(settings.smallest_cc / fields.grid.voxel_volume_cc - 1e-6)))
    yield from blobs(
        _shows(kind, fields.reference, settings) & fields.domain,
        fields.grid.spacing_mm,
        fewest=fewest,
        radius_mm=settings.ball_radius_mm,
    )


def _shows(kind: ValueKind, image: Float32Array, settings: HallucinationSettings) -> Mask:
    if kind == "air":
        return np.asarray(image <= settings.gas_hu)
    lowest = {"bone": settings.bone_hu, "dense": settings.dense_hu, "metal": settings.metal_hu}
    return np.asarray(image >= lowest[kind])


def _described(
    kind: ValueKind, box: Box, mask: Mask, fields: Fields, settings: HallucinationSettings
) -> Structure:
    reference, synthetic = fields.raw_reference[box], fields.raw_synthetic[box]
    water, was = (water_equivalent(i, settings.water_points) for i in (synthetic, reference))
    change = np.where(mask, water - was, np.float32(0)).astype(np.float64)
    return Structure(
        kind=kind,
        volume_cc=float(np.count_nonzero(mask)) * fields.grid.voxel_volume_cc,
        error_hu=float((synthetic - reference)[mask].mean(dtype=np.float64)),
        depth_mm=_depth(change, mask, fields.grid.spacing_mm),
    )


def _depth(change: NDArray[np.float64], mask: Mask, spacing_mm: Triple) -> float:
    """Sum of the change along the axis across the patient where it is larger, in mm of water."""
    found = []
    for axis in _ACROSS:
        length = mask.sum(axis=axis)
        ways = length >= max(1.0, _LONG * float(length.max()))
        found.append(float(change.sum(axis=axis)[ways].mean()) * spacing_mm[axis])
    return max(found, key=lambda value: (abs(value), value))


# ---------------------------------------------------------------------------------------
# Delineated lesions


def is_listed(name: str, settings: HallucinationSettings) -> bool:
    """Whether a structure is one of those whose contrast is compared; case does not matter."""
    return any(fnmatchcase(name.lower(), p.lower()) for p in settings.lesion_structures)


METRICS.declare(
    "lesion_contrast_change",
    MetricFacts(
        family="hallucination",
        title="Change of a lesion's contrast",
        unit=REFERENCE_UNIT,
        direction="zero",
        range="(-inf, inf)",
        kind="signed",
        formula=(
            "c(synthetic) - c(reference); c: mean inside the structure minus mean in the shell "
            "around it, both within the mask"
        ),
        empty="structure or shell of too few voxels in the mask: undefined",
        reference="Definition of this suite",
    ),
)


def contrast_change(
    pair: Pair, name: str, settings: HallucinationSettings
) -> tuple[float | NoValue, float | None]:
    """Contrast of one structure in the synthetic image minus that in the reference, in HU.

    Beside it stands which share of the structure lies in the mask.

    The shell leaves out the voxels next to the structure, which hold part of it. A bone next to
    a lesion lies in the shell of both images and cancels.
    """
    spacing = pair.grid.spacing_mm
    gap = min(max(spacing), settings.shell_mm)
    inside = pair.mask if pair.coverage is None else pair.mask & pair.coverage
    margin = int((gap + settings.shell_mm) / min(spacing)) + 1
    box = bounding_box(pair.structures[name], margin=margin)
    if box is None:
        return absent(f"{name} has no voxel"), None
    structure, within = pair.structures[name][box], inside[box]
    core = structure & within
    share = float(core.sum() / structure.sum())
    shell = shell_of(structure, spacing, gap_mm=gap, thickness_mm=settings.shell_mm, within=within)
    for what, voxels in ((name, int(core.sum())), (f"the shell of {name}", int(shell.sum()))):
        if voxels < settings.fewest_voxels:
            none = NoValue(
                why=f"{what} has {voxels} voxels in the mask, fewer than {settings.fewest_voxels}",
                absent_in_reference=int(structure.sum()) < settings.fewest_voxels,
            )
            return none, share
    error = pair.synthetic.array[box].astype("float64") - pair.reference.array[box]
    return float(error[core].mean() - error[shell].mean()), share
