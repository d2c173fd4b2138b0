"""What never improves a whole verdict, and what changes none; of findings see the other file."""

from __future__ import annotations

import numpy as np
import pytest

from tests.judged_kinds import RANK
from tests.judging_record import BONE_DICE, WORST, Record, profile
from tests.judging_record import criterion as body_mae


def records(seed: int) -> Record:
    """Three hospitals, some patients with a fault that the seed decides."""
    record, rng = Record(seed=seed), np.random.default_rng([seed, 6])
    for case in rng.choice([c.case for c in record.cases], size=int(rng.integers(0, 4))):
        record.shift(str(case), by=float(rng.choice([10, 60, 200])))
    return record


CRITERIA = (
    body_mae(),
    BONE_DICE,
    WORST,
    body_mae(name="pooled", scope="pooled"),
    body_mae(name="median", scope="pooled", statistic="median"),
    body_mae(name="share", scope="pooled", statistic="fraction_within", per_patient_bound=70,
             bound=0.6),
    body_mae(name="new site", scope="new_site", bound=90),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_a_further_criterion_improves_no_verdict(seed: int) -> None:
    record = records(seed)
    ranks = [RANK[record.judge(profile(*CRITERIA[: n + 1])).outcome] for n in range(len(CRITERIA))]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_copied_case_changes_no_verdict_whoever_it_is_said_to_be_of(seed: int) -> None:
    record = records(seed)
    record.cases = [
        c.model_copy(update={"voxel_hashes": {"source": f"s-{c.case}", "reference": f"r-{c.case}"}})
        for c in record.cases
    ]
    record.add("B1-second", "patient-B1", "hospital-B", 58.0)
    before = record.judge(profile(*CRITERIA))
    twin = record.cases[int(np.random.default_rng(seed).integers(8, 16))]  # of hospital B
    for patient in (twin.patient, "somebody-else"):
        more = records(seed)
        more.cases = [*record.cases, twin.model_copy(update={"case": "copy", "patient": patient})]
        copied = [r for r in record.rows if r.case == twin.case]
        more.rows = [
            *record.rows,
            *(r.model_copy(update={"case": "copy", "patient": patient}) for r in copied),
        ]
        after = more.judge(profile(*CRITERIA))
        assert [(f.outcome, f.estimate, f.patients) for f in after.findings] == [
            (f.outcome, f.estimate, f.patients) for f in before.findings
        ]
        assert any(f"copy of {twin.case}" in notice for notice in after.notices)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", ["undefined", "error", "failed", "no row", "too little"])
def test_a_value_that_goes_missing_gives_no_pass(seed: int, how: str) -> None:
    record = records(seed)
    case = record.cases[int(np.random.default_rng([seed, 7]).integers(len(record.cases)))].case
    if how == "failed":
        record.end(case, "failed", "the translator raised")
    elif how == "no row":
        record.rows = [r for r in record.rows if (r.case, r.metric) != (case, "mae")]
    elif how == "too little":
        record.change(lambda r: (r.case, r.metric) == (case, "mae"), coverage=0.02)
    else:
        record.change(
            lambda r: (r.case, r.metric) == (case, "mae"), value=None, status=how, why="a reason"
        )
    verdict = record.judge(profile(*CRITERIA))
    assert verdict.outcome != "pass"
    asked = [f for f in verdict.findings if f.criterion.metric == "mae" and f.missing]
    assert asked and all(f.outcome != "pass" for f in asked)
