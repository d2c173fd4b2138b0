"""The rules that every verdict is held to, applied: :mod:`qa_suite.judging.criteria.built_in`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from qa_suite.core.records import CaseRecord, Finding, Reason
from qa_suite.core.wording import listing, some
from qa_suite.judging.collect import collect
from qa_suite.judging.criteria.built_in import (
    BEYOND_TABLE,
    TOO_GOOD,
    TOO_GOOD_METRICS,
    beyond_table,
)
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.patient_values import Measure


def too_good(rows: pd.DataFrame, cases: Sequence[CaseRecord], rules: Rules) -> tuple[Finding, ...]:
    """Find scores too good to be true; a finding where there is one, else none."""
    found: list[Finding] = []
    for criterion in TOO_GOOD:
        values = collect(rows, cases, Measure.of(criterion)) if cases else None
        if values is not None and values.measured:
            found += apply_criterion(criterion, values, rules)
    return tuple(finding for finding in found if finding.outcome == "fail")


def beyond_tables(
    rows: pd.DataFrame, cases: Sequence[CaseRecord], rules: Rules
) -> tuple[Finding, ...]:
    """Find plans whose beams met HU beyond their table's ends: their doses decide nothing."""
    found: list[Finding] = []
    asked = rows.loc[(rows["metric"] == BEYOND_TABLE) & (rows["region"] == "all"), "variant"]
    for variant in sorted(asked.unique()) if cases else ():
        criterion = beyond_table(str(variant))
        found += apply_criterion(criterion, collect(rows, cases, Measure.of(criterion)), rules)
    return tuple(
        finding.model_copy(
            update={
                "outcome": "inconclusive",
                "reasons": (Reason(code="beyond_hlut", words="doses rest on the end of the HLUT"),),
                "sentence": f"{finding.sentence.rstrip('.')}: the doses of those beams rest on "
                f"the end of the HLUT.",
            }
        )
        for finding in found
        if finding.outcome == "fail"
    )


def not_asked(rows: pd.DataFrame, cases: Sequence[CaseRecord]) -> tuple[str, ...]:
    """Say where nobody asked whether the scores are too good to be true."""
    asked = set(rows.loc[rows["metric"].isin(TOO_GOOD_METRICS), "case"])
    open_ = [c.case for c in cases if c.status == "evaluated" and c.case not in asked]
    if not open_:
        return ()
    return (
        f"Whether the synthetic image repeats the reference's own noise was not measured for "
        f"{listing(some(sorted(open_)))}; evaluate again to ask.",
    )
