"""The target of a plan: a delineated PTV, or a target grown by a margin."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.plan.plan import Mask
from qa_suite.dose.plan.template import PlanTemplate, TargetRule

_SURFACE_VOXEL = 0.3
"""A surface lies this many voxels beyond the centres of the outermost voxels, on average: spheres
of 15 and 30 mm with margins of 5 to 15 mm come out right within 0.2 mm on 1 and 2 mm voxels."""


def find_target(
    template: PlanTemplate, structures: Mapping[str, Mask], body: Mask, grid: Grid
) -> tuple[str, Mask]:
    """Find the target by the template's rules, in their order.

    Parameters
    ----------
    structures
        By name; bool, of the grid's shape.
    body
        The patient; a margin does not grow out of it.

    Returns
    -------
    name
        The structures and their margin, as people write it: ``Prostate + 7 mm``.
    mask
        Bool, of the grid's shape.

    Raises
    ------
    InputError
        If the case has none of the targets, or the target lies outside the body.
    """
    rule, names = choose_target(template, structures)
    mask = np.logical_or.reduce([structures[name] for name in names])
    target = _grown(mask, grid, rule) & body
    if not target.any():
        raise InputError(f"The target {' + '.join(names)} lies outside the patient's body.")
    return called(names, rule), target


def choose_target(
    template: PlanTemplate, structures: Mapping[str, Mask]
) -> tuple[TargetRule, list[str]]:
    """Find the first rule that the structures meet, and the structures that meet it.

    Raises
    ------
    InputError
        If they meet none.
    """
    empty = []
    for rule in template.targets:
        present = [name for name in rule.structures if name in structures]
        filled = [name for name in present if structures[name].any()]
        empty += [name for name in present if name not in filled]
        if filled:
            return rule, filled if rule.unions else filled[:1]
    wanted = ", ".join(dict.fromkeys(n for rule in template.targets for n in rule.structures))
    has = f"it has {', '.join(sorted(structures))}" if structures else "it has no structure"
    hint = f" ({', '.join(empty)} is empty)" if empty else ""
    raise InputError(
        f"The plan {template.name} finds no target: it looks for {wanted} and {has}{hint}."
    )


def _grown(mask: Mask, grid: Grid, rule: TargetRule) -> Mask:
    """Add the voxels whose centre lies within the margin of the mask's surface.

    The surface lies beyond the centres of the outermost voxels; measured from those, a margin
    would come out too small.
    """
    if rule.margin_mm == 0:
        return mask
    from scipy import ndimage

    from qa_suite.imaging.boxes import bounding_box

    margin = int(np.ceil(rule.margin_mm / min(grid.spacing_mm))) + 1
    box = bounding_box(mask, margin=margin)
    assert box is not None
    out = np.zeros_like(mask)
    nearest = ndimage.distance_transform_edt(
        ~mask[box], sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    voxels, distance = np.zeros(mask[box].shape), np.zeros(mask[box].shape)
    here = np.ogrid[tuple(map(slice, distance.shape))]
    for away, place, spacing in zip(nearest, here, grid.spacing_mm, strict=True):
        voxels += (away - place) ** 2.0
        distance += ((away - place) * spacing) ** 2.0
    beyond = 1 - _SURFACE_VOXEL / np.sqrt(np.maximum(voxels, 1.0))
    out[box] = np.sqrt(distance) * beyond <= rule.margin_mm
    return out


def called(names: list[str], rule: TargetRule) -> str:
    """Write a target as people do: its structures and their margin."""
    text = " + ".join(names)
    return text if rule.margin_mm == 0 else f"{text} + {rule.margin_mm:g} mm"
