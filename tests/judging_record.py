"""A record to judge: three sites of eight good patients, in which faults are planted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa_suite.core.record_files import (
    CASES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    write_model,
    write_table,
)
from qa_suite.core.records import (
    CaseRecord,
    CodeFacts,
    CohortFacts,
    Criterion,
    Evaluation,
    Finding,
    Measurement,
    ModelFacts,
    PreflightValue,
    Profile,
    Verdict,
    When,
)
from qa_suite.judging.judge import judge_tables
from qa_suite.metrics.run import METRICS
from tests.record_facts import identified

SITES = ("hospital-A", "hospital-B", "hospital-C")
PATIENTS = 8


def facts_of(metric: str) -> dict[str, Any]:
    """What a record holds of a metric; nothing of one that the suite has not."""
    return METRICS[metric].facts.model_dump(mode="json") if metric in METRICS else {}


class Record:
    """A record in the making: three sites, eight patients each, all good."""

    def __init__(self, *, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        self.cases: list[CaseRecord] = []
        self.rows: list[Measurement] = []
        self.model: dict[str, Any] = {"training_sites": SITES[:2], "direction": "MR->CT"}
        self.cohort: dict[str, Any] = {"direction": "MR->CT", "anatomy": "pelvis"}
        self.settings: dict[str, Any] = {}
        self.notices: tuple[str, ...] = ()
        for site in SITES:
            for number in range(1, PATIENTS + 1):
                name = f"{site[-1]}{number}"
                self.add(
                    name,
                    f"patient-{name}",
                    site,
                    50 + 5 * rng.standard_normal(),
                    dice=0.9 + 0.01 * rng.standard_normal(),
                )

    def add(self, case: str, patient: str, site: str, mae: float, *, dice: float = 0.9) -> None:
        shift = PreflightValue(value=1.0, unit="mm", bound="<= 10 mm", status="ok")
        self.cases.append(
            CaseRecord(
                case=case,
                patient=patient,
                site=site,
                split="test",
                status="evaluated",
                preflight={"alignment_shift": shift},
            )
        )
        for metric, region, value, unit in (
            ("mae", "body", mae, "HU"),
            ("me", "body", (mae - 50) / 5, "HU"),
            ("dice", "seg:Bone", dice, "1"),
            ("missed", "seg:Bone", 0.0, "1"),
            ("hd95", "seg:Bone", 4.0, "mm"),
        ):
            self.rows.append(
                Measurement(
                    case=case,
                    patient=patient,
                    site=site,
                    family="image",
                    metric=metric,
                    region=region,
                    value=value,
                    unit=unit,
                )
            )

    def change(self, keep: Callable[[Measurement], bool], **update: Any) -> None:
        self.rows = [r.model_copy(update=update) if keep(r) else r for r in self.rows]

    def shift(self, case: str, *, metric: str = "mae", by: float) -> None:
        self.rows = [
            r.model_copy(update={"value": (r.value or 0) + by})
            if r.case == case and r.metric == metric
            else r
            for r in self.rows
        ]

    def end(self, case: str, status: str, reason: str) -> None:
        self.rows = [r for r in self.rows if r.case != case]
        self.update_case(case, status=status, reason=reason)

    def update_case(self, case: str, **update: Any) -> None:
        self.cases = [c.model_copy(update=update) if c.case == case else c for c in self.cases]

    def of_site(self, site: str) -> list[str]:
        return [case.case for case in self.cases if case.site == site]

    def evaluation(self) -> Evaluation:
        status = [case.status for case in self.cases]
        return Evaluation(
            evaluation="0123456789abcdef",
            model=ModelFacts(uri="models:/m/1", name="m", family="regression", **self.model),
            cohort=CohortFacts(
                name="three",
                digest="d",
                split="test",
                cases=len(status),
                patients=len({case.patient for case in self.cases}),
                sites=SITES,
                **self.cohort,
            ),
            code=CodeFacts(
                suite_version="0", git_commit=None, git_dirty=None, python="3.11", packages={}
            ),
            settings=self.settings,
            definitions={row.metric: facts_of(row.metric) for row in self.rows},
            case_counts={"held_out": len(status), "refused": status.count("refused")},
            notices=self.notices,
            when=When(started="2026-01-01", finished="2026-01-01"),
        )

    def table(self) -> pd.DataFrame:
        return pd.DataFrame([row.model_dump() for row in self.rows])

    def judge(self, profile: Profile) -> Verdict:
        return judge_tables(self.evaluation(), self.table(), self.cases, profile)

    def write(self, folder: Path) -> None:
        tables = {
            MEASUREMENTS_FILE: write_table(folder / MEASUREMENTS_FILE, self.rows, Measurement),
            CASES_FILE: write_table(folder / CASES_FILE, self.cases, CaseRecord),
        }
        evaluation = identified(self.evaluation().model_copy(update={"tables_sha256": tables}))
        write_model(folder / EVALUATION_FILE, evaluation)


def criterion(**more: Any) -> Criterion:
    facts = {
        "name": "body MAE",
        "metric": "mae",
        "region": "body",
        "bound": 70,
        "unit": "HU",
        "direction": "at_most",
        "scope": "each_site",
        "min_patients": 5,
        "source": "local decision",
    }
    return Criterion.model_validate(facts | more)


BONE = {"metric": "dice", "region": "seg:Bone", "unit": "1", "direction": "at_least"}
WORST = criterion(name="worst MAE", scope="worst_patient", statistic="max", bound=100)
BONE_DICE = criterion(name="bone Dice", bound=0.8, **BONE)


def profile(*criteria: Criterion, **more: Any) -> Profile:
    facts = {
        "name": "pelvis",
        "version": "1.0",
        "direction": "MR->CT",
        "anatomy": "pelvis",
        "intended_use": "tests",
        "criteria": criteria or (criterion(), BONE_DICE, WORST),
    }
    return Profile.model_validate(facts | more)


def failing(verdict: Verdict) -> list[tuple[str, str]]:
    return [(f.criterion.name, f.scope_name) for f in verdict.findings if f.outcome == "fail"]


def codes(finding: Finding) -> list[str]:
    """Why a finding is undecided, the reason that decided first."""
    return [reason.code for reason in finding.reasons]


def sites_said(verdict: Verdict) -> dict[str, list[str]]:
    """Where a verdict says that the model holds, fails or is undecided: the sites it names."""
    parts = re.findall(r"(holds|fails|undecided) at (hospital[^;.]*)", verdict.sentence)
    return {verb: re.findall(r"hospital-[A-Z]", said) for verb, said in parts}


def the(verdict: Verdict, name: str, scope_name: str) -> Finding:
    (found,) = [
        f for f in verdict.findings if (f.criterion.name, f.scope_name) == (name, scope_name)
    ]
    return found
