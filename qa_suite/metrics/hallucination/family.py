"""Structures that appear, vanish or have a wrong value, counted component by component.

A mean over voxels hardly moves for one invented lesion. Here every place where one image shows
bone, gas or a lesion and the other does not is found, sized and counted, once as false and once
as missed. The rules and what they find stand in ``docs/measures/hallucination.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from qa_suite.metrics.base import Censored, NoValue, Pair, Value, as_value, failed, undefined
from qa_suite.metrics.facts import FAMILIES, FamilyFacts, MetricFacts, MetricFunctions
from qa_suite.metrics.hallucination.component import KINDS, Component
from qa_suite.metrics.hallucination.depth import REGION, outside_depth
from qa_suite.metrics.hallucination.fields import fields_of
from qa_suite.metrics.hallucination.search import find_components
from qa_suite.metrics.hallucination.settings import HallucinationSettings
from qa_suite.metrics.hallucination.values import (
    OF_STRUCTURES,
    VALUE_KINDS,
    contrast_change,
    find_structures,
    is_listed,
)

__all__ = ["Component", "find_components", "hallucination"]

OF_COMPONENTS: MetricFunctions[Callable[[Sequence[Component]], float | Censored | NoValue]] = (
    MetricFunctions("hallucination")
)
"""Metrics of the components of one kind that appeared or vanished."""

_EMPTY = "nothing appeared or vanished: 0; empty mask or image not in HU: undefined"
_EMPTY_CONTRAST = "no such component: undefined; empty mask or image not in HU: undefined"
_OURS = "Definition of this suite"


def _facts(title: str, unit: str, formula: str, *, of_size: bool = False) -> MetricFacts:
    contrast = unit == "HU" and not of_size
    size = "integers in [0, inf)" if unit == "1" else "[0, inf)"
    return MetricFacts(
        family="hallucination",
        title=title,
        unit=unit,
        direction="none" if contrast else "lower",
        range="(-inf, inf)" if contrast else size,
        kind="signed" if contrast else "count" if unit == "1" else "positive",
        formula=formula,
        empty=_EMPTY_CONTRAST if contrast else _EMPTY,
        reference=_OURS,
        quantities=("HU",),
        because="bone and gas are known by their HU, and limits of contrast are in HU",
    )


@OF_COMPONENTS.add(
    "false_components",
    _facts("False components", "1", "number of components that only the synthetic image shows"),
)
def false_components(components: Sequence[Component]) -> float:
    """Count what appeared."""
    return float(len(_of(components, false=True)))


@OF_COMPONENTS.add(
    "missed_components",
    _facts("Missed components", "1", "number of components that only the reference shows"),
)
def missed_components(components: Sequence[Component]) -> float:
    """Count what vanished."""
    return float(len(_of(components, false=False)))


@OF_COMPONENTS.add(
    "false_volume",
    _facts("Volume of false components", "cc", "sum of the volumes of the false components"),
)
def false_volume(components: Sequence[Component]) -> float:
    """Volume of all that appeared, in cm³."""
    return sum(c.volume_cc for c in _of(components, false=True))


@OF_COMPONENTS.add(
    "missed_volume",
    _facts("Volume of missed components", "cc", "sum of the volumes of the missed components"),
)
def missed_volume(components: Sequence[Component]) -> float:
    """Volume of all that vanished, in cm³."""
    return sum(c.volume_cc for c in _of(components, false=False))


@OF_COMPONENTS.add(
    "largest_false",
    _facts("Largest false component", "cc", "volume of the largest false component"),
)
def largest_false(components: Sequence[Component]) -> float:
    """Volume of the largest that appeared, in cm³."""
    return max((c.volume_cc for c in _of(components, false=True)), default=0.0)


@OF_COMPONENTS.add(
    "largest_missed",
    _facts("Largest missed component", "cc", "volume of the largest missed component"),
)
def largest_missed(components: Sequence[Component]) -> float:
    """Volume of the largest that vanished, in cm³."""
    return max((c.volume_cc for c in _of(components, false=False)), default=0.0)


@OF_COMPONENTS.add(
    "false_contrast",
    _facts(
        "Contrast of the largest false component",
        "HU",
        "mean of (synthetic - reference) inside minus that of the shell around",
    ),
)
def false_contrast(components: Sequence[Component]) -> float | NoValue:
    """Contrast of the largest that appeared; positive is brighter than its surroundings."""
    return _contrast_of_largest(components, false=True)


@OF_COMPONENTS.add(
    "missed_contrast",
    _facts(
        "Contrast of the largest missed component",
        "HU",
        "mean of (reference - synthetic) inside minus that of the shell around",
    ),
)
def missed_contrast(components: Sequence[Component]) -> float | NoValue:
    """Contrast of the largest that vanished; positive is brighter than its surroundings."""
    return _contrast_of_largest(components, false=False)


@OF_COMPONENTS.add(
    "largest_false_contrast",
    _facts(
        "Strongest false component",
        "HU",
        "largest mean difference of a false component, smoothed, less what edges displaced by "
        "2 mm explain",
        of_size=True,
    ),
)
def largest_false_contrast(components: Sequence[Component]) -> float:
    """Contrast of the strongest that appeared, in HU, beyond a displacement; positive."""
    return max((c.unexplained_hu for c in _of(components, false=True)), default=0.0)


@OF_COMPONENTS.add(
    "largest_missed_contrast",
    _facts(
        "Strongest missed component",
        "HU",
        "largest mean difference of a missed component, smoothed, less what edges displaced by "
        "2 mm explain",
        of_size=True,
    ),
)
def largest_missed_contrast(components: Sequence[Component]) -> float:
    """Contrast of the strongest that vanished, in HU, beyond a displacement; positive."""
    return max((c.unexplained_hu for c in _of(components, false=False)), default=0.0)


@OF_COMPONENTS.add(
    "largest_false_depth",
    _facts(
        "Depth of the deepest false component",
        "mm",
        "largest change of the water-equivalent depth along one ray through a false component",
    ),
)
def largest_false_depth(components: Sequence[Component]) -> float:
    """Millimetres of water that the deepest that appeared adds to a ray, or takes away."""
    return max((c.depth_mm for c in _of(components, false=True)), default=0.0)


@OF_COMPONENTS.add(
    "largest_missed_depth",
    _facts(
        "Depth of the deepest missed component",
        "mm",
        "largest change of the water-equivalent depth along one ray through a missed component",
    ),
)
def largest_missed_depth(components: Sequence[Component]) -> float:
    """Millimetres of water that the deepest that vanished added to a ray, or took away."""
    return max((c.depth_mm for c in _of(components, false=False)), default=0.0)


def _of(components: Sequence[Component], *, false: bool) -> list[Component]:
    return [c for c in components if c.false == false]


def _contrast_of_largest(components: Sequence[Component], *, false: bool) -> float | NoValue:
    found = _of(components, false=false)
    if not found:
        return NoValue(why=f"there is no {'false' if false else 'missed'} component")
    return max(found, key=lambda c: c.volume_cc).contrast_hu


# ---------------------------------------------------------------------------------------
# The family


@FAMILIES.add(
    "hallucination",
    FamilyFacts(
        title="Bone, air and lesions that appear, vanish or have a wrong value, one by one",
        needs=("reference in HU", "mask", "delineated lesions for their contrast (any quantity)"),
        common_scale=True,
    ),
)
def hallucination(pair: Pair, settings: HallucinationSettings) -> list[Value]:
    """Count what the synthetic image invents and what it leaves out.

    Parameters
    ----------
    pair
        Reference and synthetic image of one quantity; components are looked for in HU only.
    settings
        Contrasts, sizes and tolerances; see :class:`HallucinationSettings`.

    Returns
    -------
    list of Value
        Regions ``bone``, ``air``, ``lesion``, ``lesion_near_bone`` and ``bone_lesion``, ``dense``
        and ``metal`` for the values, ``outside``, and ``structure:NAME`` for every structure that
        the settings list.
    """
    why = _why_empty(pair)
    if why is not None:
        return [undefined(metric, region, why) for metric, region in _rows(pair, settings)]
    inside = pair.mask if pair.coverage is None else pair.mask & pair.coverage
    wrong = sum(
        int(np.count_nonzero(~np.isfinite(volume.array[inside])))
        for volume in (pair.reference, pair.synthetic)
    )
    if wrong:
        why = f"{wrong} voxels inside the mask are not finite"
        return [failed(metric, region, why) for metric, region in _rows(pair, settings)]
    changes = []
    for name in _listed(pair, settings):
        change, share = contrast_change(pair, name, settings)
        where = f"structure:{name}"
        changes.append(as_value("lesion_contrast_change", where, change, coverage=share))
    return [*_components(pair, settings), *changes]


def _components(pair: Pair, settings: HallucinationSettings) -> list[Value]:
    for what, volume in (("reference", pair.reference), ("synthetic image", pair.synthetic)):
        if volume.quantity != "HU":
            why = f"bone and gas are known by their HU, and the {what} is in {volume.quantity}"
            missing = [*_keys(), ("outside_depth", REGION)]
            return [undefined(metric, kind, why) for metric, kind in missing]
    outside = as_value("outside_depth", REGION, outside_depth(pair, settings))
    fields = fields_of(pair, settings)
    if fields is None:  # nothing was searched, which is not the same as nothing found
        why = "no working voxel lies at least half inside the mask"
        return [*(undefined(metric, kind, why) for metric, kind in _keys()), outside]
    components = find_components(pair, settings, fields=fields)
    values = [
        as_value(metric, kind, function([c for c in components if c.kind == kind]))
        for kind in KINDS
        for metric, function in OF_COMPONENTS.items()
    ]
    structures = find_structures(fields, settings)
    values += [
        as_value(metric, kind, function([c for c in structures if c.kind == kind]))
        for kind in VALUE_KINDS
        for metric, function in OF_STRUCTURES.items()
    ]
    return [*values, outside]


def _why_empty(pair: Pair) -> str | None:
    if not pair.mask.any():
        return "the mask is empty"
    if pair.coverage is not None and not (pair.mask & pair.coverage).any():
        return "the reference covers nothing of the mask"
    return None


def _keys() -> list[tuple[str, str]]:
    """Return every (metric, kind) of components and of the reference's structures."""
    return [(metric, kind) for kind in KINDS for metric in OF_COMPONENTS] + [
        (metric, kind) for kind in VALUE_KINDS for metric in OF_STRUCTURES
    ]


def _rows(pair: Pair, settings: HallucinationSettings) -> list[tuple[str, str]]:
    """Return every (metric, region) that a pair gets."""
    listed = [("lesion_contrast_change", f"structure:{n}") for n in _listed(pair, settings)]
    return [*_keys(), ("outside_depth", REGION), *listed]


def _listed(pair: Pair, settings: HallucinationSettings) -> list[str]:
    return [name for name in sorted(pair.structures) if is_listed(name, settings)]
