"""Write what the exams' tables in the documentation say as data, for the report.

python -m benchmarks.exam_facts
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.exam_table import BEGIN, END
from qa_suite.core.records.profile import NO_EXAM, Profile
from qa_suite.evaluation.profiles import load_profile
from qa_suite.judging.criteria.built_in import TOO_GOOD
from qa_suite.judging.judge import profile_digest
from reports.facts.exams import EXAMS_FILE, CleanFound, ExamOnRecord, FaultFound

ROOT = Path(__file__).resolve().parents[1]
PROFILES = ("mr-to-ct-pelvis", "mr-to-ct-pelvis-dose")
_CANDIDATE = re.compile(
    r"Candidate (\w+): \d+ of \d+ .*? (\d+) of (\d+) clean cohorts? .*?at most ([\d.]+) %"
)


def main() -> None:
    """Write the file of the reports."""
    EXAMS_FILE.write_text(written())


def written() -> str:
    """Return what the file of the reports is to hold."""
    exams = [of_page(load_profile(name)).model_dump(mode="json") for name in PROFILES]
    return json.dumps(exams, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def of_page(profile: Profile) -> ExamOnRecord:
    """Return the exam of a profile as the table of its page says it."""
    told = profile.examined
    if told is None or told.on == NO_EXAM or told.version != profile.version:
        raise ValueError(f"{profile.name} {profile.version} says of no exam of its own: {told}")
    table = (ROOT / told.page).read_text().split(BEGIN)[1].split(END)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    places = {head: n for n, head in enumerate(heads)}
    caught = [n for head, n in places.items() if head.startswith("caught, ")]
    names = [c.name for c in (*profile.criteria, *TOO_GOOD)]
    return ExamOnRecord(
        profile=profile.name,
        version=profile.version,
        asks_sha256=profile_digest(profile),
        on=told.on,
        page=told.page,
        clean=tuple(
            CleanFound(candidate=who, alarms=int(n), cohorts=int(of), at_most_pct=float(rate))
            for who, n, of, rate in _CANDIDATE.findall(table)
        ),
        faults=tuple(
            FaultFound(
                fault=row[places["fault"]],
                severity="" if row[places["severity"]] == "–" else row[places["severity"]],
                caught=tuple(int(row[n].split("/")[0]) for n in caught),
                verdicts=int(row[caught[0]].split("/")[1]),
                answered_by=named(row[places["answered by"]], names),
            )
            for row in rows
            if row[places["matters"]]
        ),
    )


def named(text: str, names: list[str]) -> tuple[str, ...]:
    """Split a list of criteria, of which some hold a comma themselves.

    Raises
    ------
    ValueError
        If the profile has no such criterion.
    """
    found, rest = [], text
    while rest:
        fitting = [name for name in names if rest == name or rest.startswith(f"{name}, ")]
        if not fitting:
            raise ValueError(f"no criterion of the profile is named at the start of {rest!r}")
        found.append(max(fitting, key=len))
        rest = rest[len(found[-1]) :].removeprefix(", ")
    return tuple(found)


if __name__ == "__main__":
    main()
