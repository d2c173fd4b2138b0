"""Weights of beams or spots, optimised once on the reference image against the plan's goals.

What they are optimised on: the target, organs with goals, and a sample of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError
from qa_suite.dose.dvh.goals import Goal
from qa_suite.dose.plan.plan import Mask
from qa_suite.dose.plan.template import Prescription

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


ORGAN_SHARE = 0.3  # weight of all organs together against the target's 1
TAIL_SHARE = 0.05  # keeps dose low where no goal speaks, so that the answer is unique
_ITERATIONS = 400


def optimise_weights(
    influence: Any,
    *,
    target: NDArray[np.intp],
    organs: Mapping[str, NDArray[np.intp]],
    goals: Sequence[Goal],
    prescription: Prescription,
    share: float = 1.0,
) -> FloatArray:
    """Find non-negative weights that give the target its dose and spare the organs.

    The objective is quadratic: the target's mean squared deviation from the prescription,
    and for every organ with an upper goal the mean squared excess over the dose that the goal
    speaks of. It is minimised by L-BFGS-B; then all weights are scaled together so that the
    prescribed share of the target gets its prescribed dose on this image. That scaling is part
    of planning; no dose is scaled afterwards.

    Parameters
    ----------
    influence
        Dose in Gy per unit weight, shape (voxels, weights), dense or sparse: the voxels are
        those of target and organs.
    target
        Rows of the target.
    organs
        Rows of each structure with a goal.
    goals
        Clinical goals; those of the target are met by its prescription.
    prescription
        Dose and coverage of the target.
    share
        Part of the prescription that these weights give, 0 to 1; the goals' doses shrink alike.
        One beam of several is optimised alone so.

    Returns
    -------
    ndarray of float, shape (weights,)

    Raises
    ------
    InputError
        If the target gets no dose from any weight.
    """
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix, issparse

    matrix = csr_matrix(influence) if issparse(influence) else np.asarray(influence, dtype=float)
    inside = matrix[target]
    reach = np.asarray(inside.sum(axis=1)).ravel()
    if reach.size == 0 or reach.max() <= 0:
        raise InputError("No beam reaches the target; check target, isocentre and beams.")
    wanted = prescription.dose_gy * share
    start = np.full(matrix.shape[1], wanted / reach[reach > 0].mean())
    limits = [(n, gy * share) for n, gy in _limits(goals, organs, prescription.dose_gy)]
    rest = np.setdiff1d(np.arange(matrix.shape[0]), target)

    def objective(scaled: FloatArray) -> tuple[float, FloatArray]:
        dose = np.asarray(matrix @ (scaled * start)).ravel()
        slope = np.zeros_like(dose)
        error = (dose[target] - wanted) / wanted
        value = float(error @ error) / target.size
        slope[target] += 2 * error / (wanted * target.size)
        for name, limit in limits:
            rows = organs[name]
            excess = np.maximum(dose[rows] - limit, 0.0) / wanted
            part = ORGAN_SHARE / (len(limits) * rows.size)
            value += part * float(excess @ excess)
            slope[rows] += 2 * part * excess / wanted
        if rest.size:
            low = dose[rest] / wanted
            value += TAIL_SHARE * float(low @ low) / rest.size
            slope[rest] += 2 * TAIL_SHARE * low / (wanted * rest.size)
        gradient = np.asarray(matrix.T @ slope).ravel() * start
        return value, gradient

    found = minimize(
        objective,
        np.ones(matrix.shape[1]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * matrix.shape[1],
        options={"maxiter": _ITERATIONS, "ftol": 1e-6, "gtol": 1e-9},
    )
    weights = found.x * start
    return share * weights * coverage_factor(np.asarray(inside @ weights).ravel(), prescription)


def _limits(
    goals: Sequence[Goal], organs: Mapping[str, NDArray[np.intp]], wanted: float
) -> list[tuple[str, float]]:
    """Return (organ, dose in Gy that its voxels should stay below) of every upper goal."""
    found = []
    for goal in goals:
        dose = goal.upper_dose_gy(wanted)
        if dose is not None and goal.structure in organs and organs[goal.structure].size:
            found.append((goal.structure, dose))
    return found


def coverage_factor(dose: NDArray[Any], prescription: Prescription) -> float:
    """Return the factor that gives the prescribed share of the target its dose.

    Parameters
    ----------
    dose
        Of the target's voxels, in Gy, shape (voxels,).

    Raises
    ------
    InputError
        If less than that share gets any dose.
    """
    reached = float(np.quantile(dose, 1 - prescription.coverage_pct / 100))
    if reached <= 0:
        raise InputError(
            f"Less than {prescription.coverage_pct:g} % of the target gets any dose; "
            f"check target, isocentre and beams."
        )
    return prescription.dose_gy * prescription.coverage_dose_pct / 100 / reached
