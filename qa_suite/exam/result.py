"""What an exam found: which faults were caught, by what, and how often it cried wolf."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.exam.settings import ExamSettings
from qa_suite.phantom.faults import FAULTS
from qa_suite.records import CodeFacts
from qa_suite.statistics import proportion_interval

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Cell(BaseModel):
    """One fault at one severity.

    ``caught`` counts the verdicts that fail with a finding that is the fault's own; ``turned``
    those that are no longer a pass, whatever the finding.
    """

    model_config = _STRICT

    fault: str
    severity: float
    clinical: bool = Field(description="whether it matters to a patient at this severity")
    verdicts: int
    turned: int
    caught: int
    answered_by: dict[str, int] = Field(description="criterion to verdicts in which it answered")
    twins_passed: int | None = Field(
        default=None, description="verdicts over the fault's own clean twins that passed"
    )
    alone_images: int = 0
    alone_caught: int = Field(default=0, description="named without a reference")
    alone_by: dict[str, int] = Field(default_factory=dict)


class CleanCohorts(BaseModel):
    """Cohorts without a fault."""

    model_config = _STRICT

    cohorts: int
    patients: int
    alarms: int = Field(description="verdicts that were no pass")
    alarmed_by: dict[str, int] = Field(default_factory=dict)
    alone_images: int = 0
    alone_alarms: int = 0
    alone_by: dict[str, int] = Field(default_factory=dict)


class ExamResult(BaseModel):
    """One exam of the examiner."""

    model_config = _STRICT

    schema_version: int = 1
    settings: ExamSettings
    patients_from: str = Field(description="'virtual', or the cohort's name")
    profile_sha256: str
    code: CodeFacts
    cells: tuple[Cell, ...]
    clean: CleanCohorts
    impossible: tuple[str, ...] = Field(
        default=(), description="faults that a patient had no place for"
    )
    seconds: float

    @property
    def missed(self) -> tuple[Cell, ...]:
        """Faults that matter and were not caught in every verdict, or whose twin did not pass."""
        return tuple(c for c in self.cells if c.clinical and c.caught < c.verdicts)

    @property
    def spoilt_twins(self) -> tuple[Cell, ...]:
        """Faults whose own clean twin did not pass."""
        return tuple(
            c for c in self.cells if c.twins_passed is not None and c.twins_passed < c.verdicts
        )

    @property
    def passed(self) -> bool:
        """Whether every fault that matters was caught, and clean cohorts hardly ever alarm.

        At most 1 alarm in 93 cohorts, or none in 59: the exact 95 % upper limit (one-sided) of
        the rate is then 5 %. Fewer cohorts cannot show that; none of them may alarm.
        """
        allowed = 1 if self.clean.cohorts >= 93 else 0
        return not self.missed and not self.spoilt_twins and self.clean.alarms <= allowed


def sentence(result: ExamResult) -> str:
    """Say in two sentences how the exam went."""
    tried = [cell for cell in result.cells if cell.clinical]
    caught = sum(cell.caught == cell.verdicts for cell in tried)
    clean = result.clean
    rate = proportion_interval(clean.alarms, clean.cohorts, side="upper").high
    assert rate is not None  # an exact limit exists for any number of cohorts
    return (
        f"{caught} of {len(tried)} faults and severities that matter were caught and named. "
        f"{clean.alarms} of {clean.cohorts} clean cohorts of {clean.patients} patients alarmed "
        f"(rate at most {100 * rate:.1f} %, one-sided 95 %)."
    )


def sentence_alone(result: ExamResult) -> str:
    """Say how clean images fare without a reference; empty where nobody looked."""
    clean = result.clean
    if not clean.alone_images:
        return ""
    share = 100 * clean.alone_alarms / clean.alone_images
    return (
        f"Without a reference, {clean.alone_alarms} of {clean.alone_images} clean images "
        f"({share:.1f} %) lay outside the limits that hold for all measures together."
    )


def table(result: ExamResult) -> list[tuple[str, ...]]:
    """Return one row a fault and severity, for people."""
    rows: list[tuple[str, ...]] = []
    for cell in result.cells:
        facts = FAULTS[cell.fault].facts
        alone = f"{cell.alone_caught}/{cell.alone_images}" if cell.alone_images else "–"
        rows.append(
            (
                facts.title,
                f"{cell.severity:g} {facts.unit}" if facts.unit != "1" else "–",
                "●" if cell.clinical else "",
                f"{cell.caught}/{cell.verdicts}",
                f"{cell.turned}/{cell.verdicts}",
                ", ".join(list(cell.answered_by)[:3]) or "–",
                alone,
                ", ".join(list(cell.alone_by)[:3]) or "–",
            )
        )
    return rows


COLUMNS = (
    "fault", "severity", "matters", "caught", "turned", "answered by", "alone", "alone, by",
)  # fmt: skip


def markdown(result: ExamResult) -> str:
    """Write the table and what the clean cohorts said, as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|--:|:-:|--:|--:|---|--:|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in table(result)]
    lines += ["", " ".join(filter(None, (sentence(result), sentence_alone(result))))]
    return "\n".join(lines) + "\n"
