"""Published checklists against a record: answered by this evaluation, partly, or not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from qa_suite.core.records import CaseRecord, Evaluation, Verdict
from qa_suite.core.records.measurement import STRICT
from qa_suite.judging.fmea import Measured
from qa_suite.judging.references import Answer, Item, checklists

_BY_METRIC: dict[str, tuple[str, ...]] = {
    "dose": ("dmean_difference_pct", "gamma_pass_rate"),
    "positioning": ("positioning_shift",),
    "uncertainty": ("coverage_95", "interval_coverage", "std_ratio", "sample_disagreement"),
    "place": ("structure_shift", "local_shift_95"),
    "contours": ("contour_distance", "dice"),
    "orientation": ("mirror_evidence", "reversal_evidence", "swap_evidence"),
}
"""Facts of a record that any of these metrics shows."""
FACTS = (
    *_BY_METRIC,
    "intended_use",
    "criteria",
    "intervals",
    "weights",
    "data_digest",
    "code_commit",
    "definitions",
    "several_sites",
    "unseen_site",
    "held_out",
    "strata",
    "preflight",
    "failures_named",
    "real_reference",
    "risk_table",
)
"""Everything that an item of a checklist may need."""


class ItemRow(BaseModel):
    """One item of a checklist under one record."""

    model_config = STRICT

    checklist: str
    item: str
    asks: str
    answer: Answer
    lacks: tuple[str, ...] = ()
    where: str


def facts_of(
    evaluation: Evaluation,
    verdict: Verdict,
    cases: Sequence[CaseRecord],
    measured: Iterable[Measured],
) -> frozenset[str]:
    """Return which of :data:`FACTS` hold for a record and its verdict."""
    metrics = {metric for metric, _ in measured}
    judged = [case for case in cases if case.status == "evaluated"]
    sites = {case.site for case in judged}
    home = set(evaluation.model.training_sites)
    holds = {key: bool(metrics & set(names)) for key, names in _BY_METRIC.items()}
    holds |= {
        "intended_use": bool(verdict.profile.intended_use.strip()),
        "criteria": bool(verdict.profile.criteria),
        "intervals": any(one.low is not None for one in verdict.findings),
        "weights": bool(evaluation.model.weights_sha256),
        "data_digest": bool(evaluation.cohort.digest),
        "code_commit": bool(evaluation.code.git_commit) and not evaluation.code.git_dirty,
        "definitions": bool(evaluation.definitions),
        "several_sites": len(sites) > 1,
        "unseen_site": bool(home) and bool(sites - home),
        "held_out": not evaluation.settings.get("allow_leakage") and bool(judged),
        "strata": any(case.strata for case in judged),
        "preflight": any(case.preflight for case in judged),
        "failures_named": bool(cases),
        "real_reference": bool(judged),
        "risk_table": True,
    }
    return frozenset(key for key, held in holds.items() if held)


def checklist_table(facts: Iterable[str]) -> tuple[ItemRow, ...]:
    """Answer every item of every checklist by the facts of a record.

    An item is *answered* where the record shows all that it needs and that is the whole of it;
    *partly* where some of it is shown, or a part of it is for people to answer; else *not*.
    """
    shown = set(facts)
    return tuple(
        ItemRow(
            checklist=key,
            item=item.id,
            asks=item.asks,
            answer=_answer(item, shown),
            lacks=tuple(sorted(set(item.needs) - shown)),
            where=item.where,
        )
        for key, checklist in checklists().items()
        for item in checklist.items
    )


def _answer(item: Item, shown: set[str]) -> Answer:
    held = [need for need in item.needs if need in shown]
    if not held:
        return "not answered"
    return "answered" if item.whole and len(held) == len(item.needs) else "partly"
