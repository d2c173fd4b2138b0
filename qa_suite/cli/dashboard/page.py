"""The page that is run for everybody who looks, with the functions that judge and compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qa_suite.core.records import Comparison, Profile, Verdict
from reports.dashboard.app import main
from reports.dashboard.hands import Hands, Watched, options_said

if TYPE_CHECKING:
    from qa_suite.judging.fmea import HazardRow


def _judged(folder: Path, profile: Profile) -> Verdict:
    from qa_suite.judging.judge import judge

    return judge(folder, profile)


def _profiles() -> tuple[Profile, ...]:
    from qa_suite.judging.criteria import list_profiles

    return list_profiles()


def _compared(new: Path, old: Path) -> Comparison:
    from qa_suite.audit.compare import CompareSettings, compare
    from qa_suite.evaluation.profiles import load_profile

    return compare(new, old, load_profile("descriptive"), CompareSettings())


def _hazards(folder: Path, verdict: Verdict) -> Sequence[HazardRow]:
    from qa_suite.core.record_files import valued_measures
    from qa_suite.judging.fmea import hazard_table

    return hazard_table(verdict, valued_measures(folder))


def _reports(folder: Path, verdict: Verdict, reviewers: Path | None) -> dict[str, bytes]:
    import tempfile

    from qa_suite.cli.report_files import FORMATS, write_formats
    from qa_suite.core.signing.reviewers import read_reviewers

    known = None if reviewers is None else read_reviewers(reviewers, outside=folder)
    asked = [name for name in FORMATS if name != "html"]
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_formats(folder, verdict, asked, Path(scratch), reviewers=known)
        return {path.name: path.read_bytes() for path in paths}


def _watched(log: Path) -> list[Watched]:
    from qa_suite.checkup.over_time import control_over_time, read_log
    from qa_suite.cli.checkup import charts_of

    rows = read_log(log)
    found = []
    for model in reversed(list(dict.fromkeys(row.charted_as for row in rows))):
        one = control_over_time([row for row in rows if row.charted_as == model])
        found.append(
            Watched(
                model=one.model,
                state=one.state,
                sentence=one.sentence,
                charts=tuple(charts_of(one)),
            )
        )
    return found


def _logged(folder: Path) -> str:
    from qa_suite.core.outbox.refused import refused_words
    from qa_suite.core.outbox.runs import stays
    from qa_suite.evaluation.tracking import log_evaluation

    sent = log_evaluation(folder)
    if sent.refused:
        return refused_words(folder, sent.refused)
    return "Its run in MLflow says so too." if sent.why is None else stays(sent, folder)


def handed() -> Hands:
    """Return what the dashboard is given by the rooms that it may not know."""
    return Hands(
        judge=_judged,
        profiles=_profiles,
        compare=_compared,
        hazards=_hazards,
        reports=_reports,
        watched=_watched,
        log=_logged,
        options=options_said(),
    )


if __name__ == "__main__":  # also what streamlit calls it; a process that was spawned does not
    main(handed())
