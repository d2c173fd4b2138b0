"""The voxels that a plan is optimised on: target, organs with goals, and a sample of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.dose.plan.plan import Mask

_MOST_VOXELS = 4000  # of one structure; more say nothing new of a smooth dose
_SEED = 20


@dataclass(frozen=True, kw_only=True)
class PlanningVoxels:
    """Flat indices (C order) of the sampled voxels, and which of them are the target's rows."""

    flat: NDArray[np.intp]
    target: NDArray[np.intp]


def planning_voxels(
    target: Mask, organs: Mapping[str, Mask], body: Mask
) -> tuple[PlanningVoxels, dict[str, NDArray[np.intp]]]:
    """Choose the voxels of an optimisation.

    Parameters
    ----------
    target, body
        Bool, of the dose grid's shape.
    organs
        Organs with goals; what lies in the target is the target's.

    Returns
    -------
    voxels
        The sampled voxels and the target's rows among them.
    rows
        Rows of each organ.
    """
    rng = np.random.default_rng(_SEED)
    groups = {"": target}
    groups |= {name: mask & ~target for name, mask in organs.items()}
    chosen = {name: _some(np.flatnonzero(mask), rng) for name, mask in groups.items()}
    rest = _some(np.flatnonzero(body & ~target), rng)
    flat = np.unique(np.concatenate([*chosen.values(), rest]))
    rows = {name: np.searchsorted(flat, places) for name, places in chosen.items()}
    return PlanningVoxels(flat=flat, target=rows.pop("")), rows


def _some(places: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    if places.size <= _MOST_VOXELS:
        return places
    return np.sort(rng.choice(places, _MOST_VOXELS, replace=False))
