"""The exams of the examiner that are on record: which planted faults a profile's verdict finds.

``exams.json`` holds what the tables of the documentation say (``python -m benchmarks.exam_facts``
writes it from them); it counts for a profile only while its bounds are those that were examined.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from qa_suite.core.record_names import digest_of
from qa_suite.core.records import Profile
from qa_suite.core.wording import count, listing

EXAMS_FILE = Path(__file__).with_name("exams.json")
_STRICT = ConfigDict(extra="forbid", frozen=True)


class FaultFound(BaseModel):
    """One planted fault at the severity from which it matters."""

    model_config = _STRICT

    fault: str
    severity: str = Field(description="with its unit; empty where it has none")
    caught: tuple[int, ...] = Field(description="verdicts, of each candidate")
    verdicts: int
    answered_by: tuple[str, ...] = Field(
        description="the criteria that found it, those that answered most often"
    )

    @property
    def name(self) -> str:
        """The fault with its severity."""
        return f"{self.fault} ({self.severity})" if self.severity else self.fault


class CleanFound(BaseModel):
    """Cohorts of one candidate without a fault."""

    model_config = _STRICT

    candidate: str
    alarms: int
    cohorts: int
    at_most_pct: float = Field(description="one-sided 95 % limit of the rate of false alarms, %")


class ExamOnRecord(BaseModel):
    """One exam: what was planted, and what was found."""

    model_config = _STRICT

    profile: str
    version: str
    asks_sha256: str = Field(description="of everything that the examined profile asks")
    on: str
    page: str
    clean: tuple[CleanFound, ...]
    faults: tuple[FaultFound, ...]

    @property
    def sentence(self) -> str:
        """What was planted and found, and how often it cried wolf."""
        caught = [
            f"{sum(one.caught[n] == one.verdicts for one in self.faults)} ({clean.candidate})"
            for n, clean in enumerate(self.clean)
        ]
        alarms = [f"{one.alarms} of {one.cohorts} ({one.candidate})" for one in self.clean]
        worst = max(one.at_most_pct for one in self.clean)
        return (
            f"{self.on.capitalize()}, version {self.version}: of "
            f"{count(len(self.faults), 'planted fault')}, each as large as matters to a "
            f"patient, {listing(caught)} were caught and named; of "
            f"clean cohorts {listing(alarms)} alarmed (rate at most {worst:.1f} %, "
            f"one-sided 95 %; {self.page})."
        )

    def found_by(self, criterion: str) -> tuple[FaultFound, ...]:
        """Return the faults that a criterion is among the first to find, in every verdict."""
        return tuple(
            one
            for one in self.faults
            if criterion in one.answered_by and min(one.caught) == one.verdicts
        )


@cache
def exams_on_record() -> tuple[ExamOnRecord, ...]:
    """Return every exam that this version knows of."""
    return TypeAdapter(tuple[ExamOnRecord, ...]).validate_json(EXAMS_FILE.read_bytes())


def exam_of(profile: Profile) -> ExamOnRecord | None:
    """Return the exam of a profile with these very bounds; None where there is none."""
    asks = digest_of(profile.asks)
    return next((one for one in exams_on_record() if one.asks_sha256 == asks), None)


def exam_said(profile: Profile) -> str:
    """Say what an exam has shown of a profile, or plainly that none is on record."""
    if found := exam_of(profile):
        return found.sentence
    why = profile.examined.because if profile.examined is not None else ""
    other = [one for one in exams_on_record() if one.profile == profile.name]
    if other and not why:
        why = (
            f"what {other[0].profile} {other[0].version} was examined with are other bounds than "
            f"these"
        )
    said = f": {why}" if why else ""
    return f"No exam on record for this profile{said}."


def known_to_find(profile: Profile, criteria: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the planted faults that each criterion is known to find; without an exam none."""
    exam = exam_of(profile)
    return {
        name: () if exam is None else tuple(one.name for one in exam.found_by(name))
        for name in criteria
    }
