"""What the user says of a dose file, where the file alone may not be taken for a plan's dose.

Without a word a dose is taken that is physical, in Gy, of a whole plan and of a volume. Anything
else that clinics export is taken on request: a :class:`DoseRequest` says what the file holds, and
is written into the record. A file that holds something else than was said is refused by
:class:`NotAsked`, whose advice is spelled as the verb that refuses spells its options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.validation import describe_validation
from qa_suite.io.rt.dose.scale import DoseUnit

DoseKind = Literal["physical", "effective", "error"]
Summation = Literal[
    "plan",
    "multi_plan",
    "fraction",
    "beam",
    "brachy",
    "fraction_session",
    "beam_session",
    "brachy_session",
    "control_point",
    "record",
    "any",
]
"""Defined terms of DoseSummationType (DICOM PS3.3, C.8.8.3), and ``any`` for a term of a vendor's
own or none. PLAN_OVERVIEW counts as ``plan`` or ``multi_plan`` by the plans it describes."""

SUMMABLE = (
    "fraction",
    "beam",
    "brachy",
    "fraction_session",
    "beam_session",
    "brachy_session",
    "control_point",
)
"""Parts of a plan, whose files may be added up."""

MOST_PLANE_MM = 100.0
"""No plane of dose is thicker."""

OPTIONS = "--{option} {value}"
"""How verbs spell a request, unless they say otherwise."""


class DoseRequest(BaseModel):
    """What one dose is said to be.

    Parameters
    ----------
    dose_type
        ``physical``, ``effective`` (weighted by biological effect) or ``error`` (a difference
        of doses, which may be negative).
    summation
        What the dose is the sum of.
    fractions
        Number of fractions that the dose is multiplied by: from that of one fraction to that of
        a course.
    relative_unit_gy
        Gy that the value 1 of a dose in DoseUnits RELATIVE stands for.
    plane_mm
        Thickness that a dose of a single plane is taken to have.
    dose_unit
        Of files that do not say it themselves (NIfTI, MHA, NRRD).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dose_type: DoseKind = "physical"
    summation: Summation = "plan"
    fractions: int = Field(default=1, ge=1, le=200)
    relative_unit_gy: float | None = Field(default=None, gt=0, le=500)
    plane_mm: float | None = Field(default=None, gt=0, le=MOST_PLANE_MM)
    dose_unit: DoseUnit = "Gy"

    def asked(self) -> dict[str, Any]:
        """Return what was asked for beyond what is taken without a word, by option."""
        return self.model_dump(mode="json", exclude_defaults=True)


@dataclass(frozen=True, kw_only=True)
class Need:
    """A request that a file cannot be taken without.

    Parameters
    ----------
    option, value
        Field of :class:`DoseRequest`, and the value that would take the file; a word in capitals
        where only the user knows it.
    what
        What the file is: ``is the dose of a BEAM``.
    """

    option: str
    value: str
    what: str


class NotAsked(InputError):
    """A usable dose, but another than the one that was asked for."""

    def __init__(self, where: Path, needs: Sequence[Need], spelling: str = OPTIONS) -> None:
        self.where, self.needs, self.spelling = where, tuple(needs), spelling
        said = "; ".join(f"{n.what}: {spelled(n.option, n.value, spelling)}" for n in needs)
        super().__init__(f"{where} {said}.")

    def __reduce__(self) -> tuple[type[NotAsked], tuple[Path, tuple[Need, ...], str]]:
        return (NotAsked, (self.where, self.needs, self.spelling))


def spelled(option: str, value: str, spelling: str = OPTIONS) -> str:
    """Write a request as a verb takes it: ``--dose-type effective``."""
    return spelling.format(option=option.replace("_", "-"), value=value)


def parse_requests(said: dict[str, str], count: int) -> tuple[DoseRequest, ...]:
    """Read what was said of ``count`` doses: one value for all, or one for each by commas.

    Parameters
    ----------
    said
        Option (with ``-`` or ``_``) to its text; an empty text says nothing.

    Raises
    ------
    Problems
        With everything that is unknown, no number or of the wrong count.
    """
    problems: list[str] = []
    values: list[dict[str, str]] = [{} for _ in range(count)]
    for option, text in said.items():
        key = option.replace("-", "_")
        if key not in DoseRequest.model_fields:
            known = ", ".join(field.replace("_", "-") for field in DoseRequest.model_fields)
            problems.append(f"{option} is unknown; known: {known}")
            continue
        parts = [part.strip() for part in text.split(",")] if text else []
        if len(parts) not in (0, 1, count):
            expected = "one value" if count == 1 else f"one value, or {count} by commas"
            problems.append(f"{option} takes {expected}, got {text!r}")
            continue
        for number, part in enumerate(parts * count if len(parts) == 1 else parts):
            values[number][key] = part
    requests = []
    for one in values:
        try:
            requests.append(DoseRequest.model_validate(one))
        except ValidationError as error:
            problems += [p.replace("_", "-", 1) for p in describe_validation(error)]
    if problems:
        raise Problems("What is said of the doses", list(dict.fromkeys(problems)))
    return tuple(requests)


def terms(kind: Any) -> str:
    """List the values that an option takes."""
    return ", ".join(get_args(kind))
