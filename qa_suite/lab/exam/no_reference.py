"""Detection without a reference: one image against the control limits of a clean cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from qa_suite.checkup.charts import Limits
from qa_suite.checkup.cohort import limits_of
from qa_suite.checkup.findings import check_up
from qa_suite.core.records import Measurement
from qa_suite.judging.patient_values import Measure
from qa_suite.lab.exam.readings import ImageReading
from qa_suite.lab.exam.taken import ALONE, is_alone

AloneLimits = Mapping[Measure, Limits]


def limits_from(readings: Sequence[ImageReading]) -> AloneLimits:
    """Learn what is usual from the clean images of a cohort that no fault is planted into."""
    return limits_of(pd.DataFrame([row.model_dump() for r in readings for row in _rows(r)]))


def looked_at(reading: ImageReading) -> bool:
    """Whether an image was looked at without a reference too."""
    return any(is_alone(row) for row in reading.rows)


def look_alone(reading: ImageReading, limits: AloneLimits) -> tuple[str, ...]:
    """Return the metrics that lie outside the limits that hold for all of them together."""
    found = check_up(_rows(reading), limits).findings
    return tuple(sorted({finding.metric for finding in found if finding.far_outside}))


def _rows(reading: ImageReading) -> list[Measurement]:
    """Return what needed no reference, as one family."""
    return [row.model_copy(update={"family": ALONE}) for row in reading.rows if is_alone(row)]
