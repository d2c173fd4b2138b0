"""How often the check-up alarms on clean twins of new patients: the table of docs/check-up.md.

python -m benchmarks.checkup_alarms [patients a hospital]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from qa_suite.checkup import check_up
from qa_suite.checkup.cohort import limits_of
from qa_suite.core.records import Measurement
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.reference_free import FAMILY, Patient, examine
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings

SPACING_MM = (6.0, 6.0, 6.0)
HOSPITALS = ("A", "B", "C")


def measured(hospital: str, index: int) -> list[Measurement]:
    patient = make_patient(hospital, index, seed=1, spacing_mm=SPACING_MM)
    twin = oracle_translate(patient.ct_noise_free, seed=1000 + index)
    return [
        Measurement(
            case=patient.case,
            patient=patient.case,
            site=hospital,
            family=FAMILY,
            metric=v.metric,
            region=v.region,
            value=v.value,
            unit=METRICS[v.metric].facts.unit,
            status=v.status,
            why=v.why,
        )
        for v in examine(Patient(synthetic=twin, source=patient.mr), ReferenceFreeSettings())
    ]


def alarms(
    cohort: Sequence[list[Measurement]], fresh: Sequence[list[Measurement]], n: int, draws: int
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        picked = [row for i in rng.permutation(len(cohort))[:n] for row in cohort[i]]
        limits = limits_of(pd.DataFrame([row.model_dump() for row in picked]))
        found += [check_up(rows, limits) for rows in fresh]
    return {
        "n": n,
        "draws": draws,
        "checked": len(found),
        "expected findings": round(found[0].false_alarms, 2),
        "any outside": sum(bool(f.outside) for f in found),
        "any far outside": sum(any(x.far_outside for x in f.findings) for f in found),
    }


def rows(per_hospital: int = 20, fresh_per_hospital: int = 31) -> list[dict[str, Any]]:
    cohort = [measured(h, i) for h in HOSPITALS for i in range(1, per_hospital + 1)]
    fresh = [measured(h, 100 + i) for h in HOSPITALS for i in range(1, fresh_per_hospital + 1)]
    everyone = len(cohort)
    return [alarms(cohort, fresh, everyone, 1)] + [
        alarms(cohort, fresh, n, 5) for n in (20, 12) if n < everyone
    ]


if __name__ == "__main__":
    started = time.perf_counter()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(pd.DataFrame(rows(count)).to_string(index=False))
    print(f"{time.perf_counter() - started:.0f} s")
