"""Detection without a reference: one image against the control limits of a clean cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from qa_suite.checkup.charts import Limits
from qa_suite.checkup.cohort import limits_of
from qa_suite.checkup.findings import check_up
from qa_suite.exam.readings import ALONE, Reading, is_alone
from qa_suite.records import Measurement
from qa_suite.samples import Measure

AloneFindings = Mapping[Measure, Limits]


def limits_from(readings: Sequence[Reading]) -> AloneFindings:
    """Learn what is usual from the clean images of a cohort that no fault is planted into."""
    return limits_of(pd.DataFrame([row.model_dump() for r in readings for row in _rows(r)]))


def look_alone(reading: Reading, limits: AloneFindings) -> tuple[str, ...]:
    """Return the metrics that lie outside the limits that hold for all of them together."""
    found = check_up(_rows(reading), limits).findings
    return tuple(dict.fromkeys(finding.metric for finding in found if finding.far_outside))


def _rows(reading: Reading) -> list[Measurement]:
    """Return what needed no reference, as one family."""
    return [row.model_copy(update={"family": ALONE}) for row in reading.rows if is_alone(row)]
