"""Who is one patient, and what is one examination: copies count once. Pure.

A patient under two names would be two patients to every interval, and an examination that stands
twice would weigh twice in a mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd

from qa_suite.core.records import CaseRecord
from qa_suite.core.wording import listing, some

_KEYS = ["metric", "region", "variant", "status", "value", "at_least", "at_most"]
COST = "cost"
"""Family of time and memory, which differ between two runs of the same."""


def as_one_patient(
    measurements: pd.DataFrame, cases: Sequence[CaseRecord]
) -> tuple[pd.DataFrame, list[CaseRecord], tuple[str, ...]]:
    """Give cases whose source or reference holds the same voxels one patient.

    Returns
    -------
    tables and notices
        Rows and cases with the first name of each such patient, and which cases that were. A
        record without the hashes of its images is returned as it is.
    """
    name_of: dict[str, str] = {}

    def root(patient: str) -> str:
        while name_of.get(patient, patient) != patient:
            patient = name_of[patient]
        return patient

    seen: dict[tuple[str, str], CaseRecord] = {}
    pairs: list[tuple[str, str]] = []
    for case in sorted(cases, key=lambda case: case.case):
        for role, digest in sorted(case.voxel_hashes.items()):
            other = seen.setdefault((role, digest), case)
            one, two = sorted((root(other.patient), root(case.patient)))
            if one != two:
                name_of[two] = one
                pairs.append((other.case, case.case))
    if not pairs:
        return measurements, list(cases), ()
    told = [f"{one} and {two}" for one, two in pairs]
    notice = (
        f"The same scan stands under two patients: {listing(some(told))}; they count as one "
        f"patient each."
    )
    renamed = [case.model_copy(update={"patient": root(case.patient)}) for case in cases]
    return (
        measurements.assign(patient=[root(patient) for patient in measurements["patient"]]),
        renamed,
        (notice,),
    )


def without_copies(
    measurements: pd.DataFrame, cases: Sequence[CaseRecord]
) -> tuple[list[CaseRecord], tuple[str, ...]]:
    """Leave out every examination that repeats another of the same patient in all its values.

    Two scans of one patient never agree in every digit of every measure; a case that is there
    twice does.

    Returns
    -------
    cases and notices
        The first of each such set by name, and which were left out.
    """
    of_patient: dict[str, list[CaseRecord]] = {}
    for case in sorted(cases, key=lambda case: case.case):
        if case.status == "evaluated":
            of_patient.setdefault(case.patient, []).append(case)
    several = {c.case for found in of_patient.values() if len(found) > 1 for c in found}
    if not several:
        return list(cases), ()
    wanted = measurements["case"].isin(several) & (measurements["family"] != COST)
    digests = {
        str(case): _digest(rows) for case, rows in measurements[wanted].groupby("case", sort=False)
    }
    copies: dict[str, str] = {}
    for found in of_patient.values():
        first: dict[tuple[str, str], str] = {}
        for case in found:
            if case.case in digests:
                original = first.setdefault((case.site, digests[case.case]), case.case)
                if original != case.case:
                    copies[case.case] = original
    if not copies:
        return list(cases), ()
    told = [f"{copy} of {original}" for copy, original in sorted(copies.items())]
    notice = f"Copies of an examination, which count once: {listing(some(told))}."
    return [case for case in cases if case.case not in copies], (notice,)


def _digest(rows: pd.DataFrame) -> str:
    lines = sorted(
        "|".join(str(part) for part in row)
        for row in rows.reindex(columns=_KEYS).itertuples(index=False, name=None)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
