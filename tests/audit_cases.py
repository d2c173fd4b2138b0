"""Evaluations of hospitals to audit: many sites, strata, and what is planted in some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa_suite.audit.joined import Source
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
    Evaluation,
    Measurement,
    ModelFacts,
    Profile,
    When,
)
from tests.record_facts import identified

SITES = tuple("ABCDEFGH")
DEFINITIONS = {
    name: {
        "title": title,
        "direction": better,
        "unit": unit,
        "kind": kind,
        "range": values,
        "formula": "drawn",
        "empty": "drawn",
        "reference": "this test factory",
    }
    for name, title, better, unit, kind, values in (
        ("mae", "Mean absolute error", "lower", "HU", "positive", "[0, inf)"),
        ("me", "Mean error", "zero", "HU", "signed", "(-inf, inf)"),
        ("dice", "Dice", "higher", "1", "bounded", "[0, 1]"),
        ("missed", "Missed structure", "lower", "1", "event", "integers in [0, 1]"),
    )
}
MEASURES = (
    ("mae", "body", "HU", 60.0, 6.0),
    ("me", "body", "HU", 0.0, 5.0),
    ("dice", "seg:Bone", "1", 0.88, 0.02),
)
PRIMARY = ("mae:body", "me:body", "dice:seg:Bone")
VENDORS = ("SIEMENS", "Philips Medical Systems", "GE MEDICAL SYSTEMS", "Siemens Healthineers")

Change = Callable[[CaseRecord, str], float]
"""What is added to a case's metric, in its SD and to the worse side."""


def nothing(case: CaseRecord, metric: str) -> float:
    """Leave every case as it is."""
    return 0.0


def at_site(site: str, size: float, metric: str = "mae") -> Change:
    """Make every patient of a site worse by some SD in a metric."""
    return lambda case, name: size if case.site == site and name == metric else 0.0


def where(fact: str, wanted: Any, size: float, metric: str = "mae") -> Change:
    """Make every patient of a stratum worse by some SD in a metric."""
    return lambda case, name: size if case.strata.get(fact) == wanted and name == metric else 0.0


def source(
    *,
    seed: int = 5,
    sites: Sequence[str] = SITES,
    patients: int = 20,
    change: Change = nothing,
    name: str = "hospitals",
    evaluation: str = "0" * 16,
    training_sites: Sequence[str] = ("A", "B"),
    prefix: str = "",
) -> Source:
    """Draw an evaluation; the same seed gives the same patients."""
    rng = np.random.default_rng(seed)
    cases, rows = [], []
    for place, site in enumerate(sites):
        for number in range(patients):
            case = f"{prefix}{site}{number:02d}"
            strata: dict[str, Any] = {
                "source_manufacturer": VENDORS[place % 4],
                "source_model": f"Model {place % 4}",
                "field_strength_t": (1.5, 3.0, 1.494, 0.35)[place % 4],
                "sequence": ("T1w GRE", "Dixon  in-phase")[place % 2],
                "sex": "FM"[int(rng.integers(2))],
                "age_band": f"{(decade := int(rng.integers(5, 9)) * 10)}-{decade + 9}",
                "body_width_mm": float(rng.normal(380, 30)),
                "implant": "yes" if rng.random() < 0.15 else "no",
                "scan_interval_days": int(rng.integers(0, 20)),
            }
            record = CaseRecord(
                case=case,
                patient=f"patient-{case}",
                site=site,
                split="test",
                status="evaluated",
                strata=strata,
            )
            cases.append(record)
            for metric, region, unit, centre, spread in MEASURES:
                worse = -1.0 if DEFINITIONS[metric]["direction"] == "higher" else 1.0
                value = centre + spread * (rng.standard_normal() + worse * change(record, metric))
                rows.append(
                    Measurement(
                        case=case,
                        patient=record.patient,
                        site=site,
                        family="image",
                        metric=metric,
                        region=region,
                        value=float(value),
                        unit=unit,
                    )
                )
    return Source(
        folder=Path(name),
        evaluation=_evaluation(name, evaluation, sites, len(cases), training_sites),
        measurements=pd.DataFrame([row.model_dump() for row in rows]),
        cases=tuple(cases),
    )


def _evaluation(
    name: str, identifier: str, sites: Sequence[str], n: int, training_sites: Sequence[str]
) -> Evaluation:
    return Evaluation(
        evaluation=identifier,
        model=ModelFacts(
            uri="models:/pelvis/1",
            name="pelvis",
            version="1",
            family="regression",
            weights_sha256="ab" * 32,
            direction="MR->CT",
            training_sites=tuple(training_sites),
        ),
        cohort=CohortFacts(
            name=name,
            digest=identifier,
            direction="MR->CT",
            anatomy="pelvis",
            split="test",
            cases=n,
            patients=n,
            sites=tuple(sites),
        ),
        code=CodeFacts(
            suite_version="0", git_commit=None, git_dirty=None, python="3.11", packages={}
        ),
        settings={"measures": {"image": {}}},
        definitions=DEFINITIONS,
        case_counts={"held_out": n},
        when=When(started="2026-01-01", finished="2026-01-01"),
    )


def write(found: Source, folder: Path) -> Path:
    """Write an evaluation as a record."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        Measurement.model_validate({k: None if v != v else v for k, v in row.items()})
        for row in found.measurements.to_dict(orient="records")
    ]
    tables = {
        MEASUREMENTS_FILE: write_table(folder / MEASUREMENTS_FILE, rows, Measurement),
        CASES_FILE: write_table(folder / CASES_FILE, list(found.cases), CaseRecord),
    }
    evaluation = identified(found.evaluation.model_copy(update={"tables_sha256": tables}))
    write_model(folder / EVALUATION_FILE, evaluation)
    return folder


def profile(**more: Any) -> Profile:
    """Return a profile with a bound on each of the three measures, at each site."""
    criteria = [
        {"name": "body MAE", "metric": "mae", "region": "body", "bound": 75.0, "unit": "HU"},
        {
            "name": "body ME",
            "metric": "me",
            "region": "body",
            "bound": 20.0,
            "unit": "HU",
            "direction": "within",
        },
        {
            "name": "bone Dice",
            "metric": "dice",
            "region": "seg:Bone",
            "bound": 0.8,
            "unit": "1",
            "direction": "at_least",
        },
    ]
    common = {"direction": "at_most", "scope": "each_site", "min_patients": 5, "source": "made up"}
    return Profile.model_validate(
        {
            "name": "hospitals",
            "version": "1.0",
            "direction": "MR->CT",
            "anatomy": "pelvis",
            "intended_use": "tests",
            "criteria": [common | one for one in criteria],
        }
        | more
    )
