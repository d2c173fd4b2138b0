"""From the journal to the record: its large tables are written, the rest is kept, case by case.

What stays in memory of a case is its entry in the case table, not its hundreds of measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from qa_suite.core.cohort import Case
from qa_suite.core.errors import Unfinished
from qa_suite.core.record_files import rows_into
from qa_suite.core.record_names import COSTS_FILE, CURVES_FILE, MEASUREMENTS_FILE
from qa_suite.core.records import CaseRecord, CurvePoint, Measurement
from qa_suite.evaluation.journal import CaseEntry, Journal
from qa_suite.evaluation.kept_volumes import ranks
from qa_suite.metrics.set_distances.family import FeaturedCase

ROWS: dict[str, type[BaseModel]] = {
    MEASUREMENTS_FILE: Measurement,
    CURVES_FILE: CurvePoint,
    COSTS_FILE: Measurement,
}


@dataclass
class Gathered:
    """What is known of all cases once their rows are written; lists are in the cohort's order."""

    records: list[CaseRecord] = field(default_factory=list)
    featured: list[FeaturedCase] = field(default_factory=list)
    ranking: list[Measurement] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    dose_devices: dict[str, str] = field(default_factory=dict)
    peak_memory_mib: float = 0.0
    sha256: dict[str, str] = field(default_factory=dict)


def gather(journal: Journal, cases: Sequence[Case], out: Path) -> Gathered:
    """Write the tables with many rows a case; return what else is known.

    Raises
    ------
    Unfinished
        If the journal lost a case meanwhile.
    """
    found: dict[str, Gathered] = {}
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(rows_into(out / name, kind)) for name, kind in ROWS.items()
        }
        for case in sorted(case.case for case in cases):
            entry = journal.read(case)
            if entry is None:
                raise Unfinished(
                    f"The journal in {out} lost the case {case} meanwhile; the same command does "
                    f"it again."
                )
            rows = {
                MEASUREMENTS_FILE: entry.measurements,
                CURVES_FILE: entry.curves,
                COSTS_FILE: entry.costs,
            }
            for name, writer in writers.items():
                writer.add(case, rows[name])
            found[case] = _of_one(entry)
    gathered = _joined([found[case.case] for case in cases])
    gathered.sha256 = {name: writer.sha256 for name, writer in writers.items()}
    return gathered


def _of_one(entry: CaseEntry) -> Gathered:
    record = entry.record
    who = {"case": record.case, "patient": record.patient, "site": record.site}
    features = entry.features
    return Gathered(
        records=[record],
        featured=[] if features is None else [FeaturedCase(**who, features=features)],
        ranking=[row for row in entry.measurements if ranks(row)],
        units={row.metric: row.unit for row in (*entry.measurements, *entry.costs)},
        seconds={record.case: round(entry.seconds, 3)},
        dose_devices={record.case: entry.dose_device} if entry.dose_device else {},
        peak_memory_mib=entry.peak_memory_mib,
    )


def _joined(parts: Sequence[Gathered]) -> Gathered:
    whole = Gathered(peak_memory_mib=max(part.peak_memory_mib for part in parts))
    for part in parts:
        whole.records += part.records
        whole.featured += part.featured
        whole.ranking += part.ranking
        whole.units |= part.units
        whole.seconds |= part.seconds
        whole.dose_devices |= part.dose_devices
    return whole
