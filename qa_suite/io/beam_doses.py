"""The doses of the beams of one plan, added up to the dose of the plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from qa_suite.errors import InputError, raise_problems
from qa_suite.io.rtdose import DoseFile, describe_sum
from qa_suite.volume import require_same_grid


def sum_beam_doses(
    doses: Sequence[DoseFile], *, planned_beams: Collection[int] | None = None
) -> DoseFile:
    """Add the beam doses of one plan.

    Parameters
    ----------
    doses
        From :func:`qa_suite.io.rtdose.read_rtdose`, of summation ``BEAM``.
    planned_beams
        Numbers of all beams of the plan; then each must be there, exactly once. Without it
        the sum cannot know of a beam whose dose is missing.

    Raises
    ------
    Problems
        If they are of several plans, patients or dose types, name no plan or beam, or a beam
        is there twice or missing: all at once.
    GeometryError
        If they lie on different grids.
    """
    if not doses:
        raise InputError("There is no beam dose to sum.")
    raise_problems("The sum of beam doses", _problems(doses, planned_beams))
    require_same_grid({str(dose.path): dose.volume for dose in doses})
    total = np.zeros(doses[0].volume.grid.shape, dtype=np.float64)
    for dose in doses:
        total += dose.volume.array
    first = doses[0]
    volume = replace(
        first.volume,
        array=total.astype(np.float32),
        history=(*first.volume.history[:1], describe_sum(doses)),
    )
    numbers = tuple(sorted(number for dose in doses for number in dose.beam_numbers))
    return replace(first, volume=volume, beam_numbers=numbers)


def _problems(doses: Sequence[DoseFile], planned: Collection[int] | None) -> list[str]:
    problems = []
    for dose in doses:
        if dose.summation != "BEAM":
            problems.append(f"{dose.path} is the dose of a {dose.summation}")
        if len(dose.plan_uids) != 1:
            problems.append(f"{dose.path} does not name the one plan that it belongs to")
        if not dose.beam_numbers:
            problems.append(f"{dose.path} does not name its beam")
    if len({dose.plan_uids for dose in doses}) > 1:
        problems.append("the doses belong to different plans")
    if len({dose.dose_type for dose in doses}) > 1:
        problems.append("physical and effective doses are mixed")
    if len({dose.patient_id.strip().upper() for dose in doses}) > 1:
        problems.append("the doses are of different patients")
    numbers = [number for dose in doses for number in dose.beam_numbers]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    problems += [f"beam {number} is there {numbers.count(number)} times" for number in twice]
    if planned is not None:
        missing = sorted(set(planned) - set(numbers))
        strange = sorted(set(numbers) - set(planned))
        problems += [f"the dose of beam {number} is missing" for number in missing]
        problems += [f"the plan has no beam {number}" for number in strange]
    return problems
