"""The whole sentences of findings and verdicts, each with the rows that it is said of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.core.records import CaseRecord
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.outcomes import overall_outcome
from qa_suite.judging.patient_values import PatientValues
from qa_suite.judging.verdict_sentence import verdict_sentence
from tests.judged_values import criterion, values
from tests.judging_record import profile

SAID = yaml.safe_load(
    (Path(__file__).parent / "data" / "judge-sentences.yaml").read_text(encoding="utf-8")
)


def rows(told: dict[str, float | str]) -> PatientValues:
    """Values by case; '>=3' and '<=3' are bounds, words are fates."""
    found: dict[str, Any] = {}
    for case, what in told.items():
        found[case] = what
        if isinstance(what, str) and what[0] in "<>":
            end = float(what[2:])
            found[case] = (end, None) if what[0] == ">" else (None, end)
    return values(**found)


def rules(told: dict[str, Any] | None) -> Rules:
    facts = {"max_refused_fraction": 0.25} | (told or {})
    seen = frozenset(facts.pop("seen_in_training", ()))
    return Rules(**facts, seen_in_training=seen)


@pytest.mark.parametrize("case", SAID["findings"], ids=lambda case: case["told"][0][:50])
def test_findings_say_what_was_found(case: dict[str, Any]) -> None:
    asked = criterion(**case["criterion"])
    found = apply_criterion(asked, rows(case["values"]), rules(case.get("rules")))
    told = [f"{f.outcome} | {f.scope_name} | {f.method} | {f.sentence}" for f in found]
    assert told == case["told"]


@pytest.mark.parametrize("case", SAID["verdicts"], ids=lambda case: case["told"][0][:50])
def test_verdicts_say_where_it_holds_and_where_not(case: dict[str, Any]) -> None:
    asked, sample = [criterion(**one) for one in case["criteria"]], rows(case["values"])
    found = [f for one in asked for f in apply_criterion(one, sample, rules(case.get("rules")))]
    records = [
        CaseRecord(case=str(n), patient=str(n), site="A", split="test", status=status)
        for n, status in enumerate(case.get("cases", ["evaluated"]))
    ]
    outcome = overall_outcome(finding.outcome for finding in found)
    told = verdict_sentence(
        outcome, found, records, profile(*asked), excluded=case.get("excluded", 0)
    )
    assert [told] == case["told"]
