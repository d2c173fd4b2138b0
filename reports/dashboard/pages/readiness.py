"""One model against one profile: the answer first, then the findings that decide it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import streamlit as st
from markupsafe import Markup

from qa_suite.core.errors import QAError
from qa_suite.core.examination_log import LogLine, append, log_beside, read_log
from qa_suite.core.records import Finding, Profile, ProfileTried, Verdict
from qa_suite.core.suite import suite_code
from qa_suite.core.wording import count, listing
from reports.dashboard import parts, selection
from reports.dashboard.catalogue import Known
from reports.dashboard.hands import hands
from reports.dashboard.opening import open_known
from reports.dashboard.store import Record
from reports.facts import wording
from reports.facts.meaning import verdict_meaning
from reports.facts.short.findings import deciding
from reports.facts.worst import worst_site
from reports.html import report as html


def show() -> None:
    """Show the verdict of the chosen evaluation, and what it would be under another profile."""
    st.header("Readiness")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    verdict = chosen_verdict(known, record)
    if verdict is None:
        return
    parts.verdict_box(record, verdict)
    st.markdown(parts.plain(verdict_meaning(verdict, record.cases)))
    st.markdown(f"**Worst site.** {parts.plain(worst_site(verdict))}")
    st.subheader("The findings that decide")
    findings_table(deciding(verdict))
    with st.expander(f"All {count(len(verdict.findings), 'finding')}"):
        findings_table(
            [row.finding for group in html.finding_rows(verdict.findings) for row in group]
        )
    _not_asked(verdict)
    _take_away(record, verdict)


def chosen_verdict(known: Known, record: Record) -> Verdict | None:
    """Let the user choose a verdict that was written, or another profile to be judged by."""
    written = record.judged.written
    labels = {
        one.identifier: f"{one.title}{', superseded' if one.superseded_by else ''}"
        for one in reversed(written)
    }
    others = {} if known.folder is None else _other_profiles(record)
    options = [*labels, *others]
    if not options:
        st.warning(
            "This evaluation was not judged yet. Judge it with "
            "`qa-suite judge FOLDER --profile mr-to-ct-pelvis`."
        )
        return None
    if written:
        st.markdown(f"**Overall:** {parts.plain(record.judged.sentence)}")
    wanted = selection.asked("verdict")
    start = next((n for n, one in enumerate(options) if wanted and one.startswith(wanted)), 0)
    name = st.selectbox(
        "Verdict",
        options,
        index=start,
        format_func=lambda one: labels.get(one) or f"look at it under {others[one].name}",
        key=f"verdict-{record.evaluation.evaluation}-{start}",
        help="A profile that is looked at is noted in the log, and counted.",
    )
    selection.put("verdict", name[:12] if name in labels else name)
    if name in labels:
        verdict: Verdict | None = next(w.verdict for w in written if w.identifier == name)
    else:
        verdict = _looked_at(record, others[name])
    _say_tried(record)
    return verdict


def _other_profiles(record: Record) -> dict[str, Profile]:
    """Return the profiles for this direction and anatomy that no verdict was written under."""
    cohort = record.evaluation.cohort
    done = {one.verdict.profile.name for one in record.judged.written}
    return {
        f"profile:{one.name}": one
        for one in hands().profiles()
        if one.name not in done
        and one.direction in (cohort.direction, "any")
        and one.anatomy in (cohort.anatomy, "any")
    }


def _looked_at(record: Record, profile: Profile) -> Verdict | None:
    """Judge under a profile and note in the log that somebody looked at it."""
    st.warning(
        "This verdict was computed for this page: it is not written, nobody can sign it, and that "
        "it was looked at stands in the log. 'qa-suite judge' writes one."
    )
    with st.spinner("being recomputed"):
        tables = tuple(sorted(record.evaluation.tables_sha256.items()))
        code = suite_code()
        try:
            verdict = _judged(record.folder, tables, _Asked(profile), code.words)
        except QAError as error:
            st.error(parts.plain(str(error)))
            return None
    if problem := _note(record, verdict):
        st.error(parts.plain(f"What was looked at cannot be noted, so it is not shown: {problem}."))
        return None
    return verdict


class _Asked:
    """A profile that is the same to a cache where it asks the same."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._said = profile.model_dump_json()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and other._said == self._said

    def __hash__(self) -> int:
        return hash(self._said)


@lru_cache(maxsize=32)
def _judged(folder: Path, _: tuple[tuple[str, str], ...], asked: _Asked, __: str) -> Verdict:
    return hands().judge(folder, asked.profile)


def _note(record: Record, verdict: Verdict) -> str:
    """Note once for each profile and evaluation that it was looked at; return what hinders it."""
    evaluation, path = record.evaluation, log_beside(record.folder)
    if any(
        line.what == "looked"
        and line.evaluation == evaluation.evaluation
        and line.profile is not None
        and line.profile.sha256 == verdict.profile_sha256
        for line in read_log(path).lines
    ):
        return ""
    who = hands().options.local_reviewer
    return append(
        path,
        LogLine(
            what="looked",
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            cohort=evaluation.cohort.name,
            cohort_digest=evaluation.cohort.digest,
            split=evaluation.cohort.split,
            evaluation=evaluation.evaluation,
            folder=record.folder.name,
            model=evaluation.model.uri,
            weights_sha256=evaluation.model.weights_sha256,
            profile=ProfileTried(
                name=verdict.profile.name,
                version=verdict.profile.version,
                sha256=verdict.profile_sha256,
                outcome=verdict.outcome_word,
                bounds=len(verdict.profile.criteria),
            ),
            who=who and f"{who} (unauthenticated)",
        ),
    )


def _say_tried(record: Record) -> None:
    """Say how many profiles were applied or looked at: who may choose among many finds one."""
    mine = record.evaluation.evaluation
    looked = {
        line.profile.name
        for line in read_log(log_beside(record.folder)).lines
        if line.what == "looked" and line.evaluation == mine and line.profile is not None
    }
    tried = [one.name for one in record.judged.tried]
    said = f"{count(len(tried), 'profile')} applied: {listing(tried) or 'none'}"
    more = sorted(looked - set(tried))
    if more:
        said += f"; {count(len(more), 'more')} looked at: {listing(more)}"
    st.caption(parts.plain(f"{said}."))


def findings_table(findings: list[Finding]) -> None:
    """Show findings with their interval against the bound; the source stands under each."""
    rows = []
    bars = {id(row.finding): row.bar for group in html.finding_rows(findings) for row in group}
    for one in findings:
        name = Markup('{}<br><small title="{}">{}<br>Source: {}</small>').format(
            one.criterion.name, one.criterion.source,
            wording.criterion_text(one.criterion), _cut(one.criterion.source),
        )  # fmt: skip
        estimate = Markup("{}<br><small>{}</small>").format(
            wording.estimate_text(one), wording.finding_interval(one)
        )
        bar = Markup(parts.drawing(bars[id(one)], "bar", one.sentence))
        outcome = Markup("{}<br><small>{}</small>").format(
            parts.outcome_mark(one.outcome), one.because
        )
        rows.append(
            (name, wording.scope_text(one), estimate, bar, one.patients, one.missing, outcome)
        )
    heads = (
        "Criterion", "Scope", "Estimate", "Against the bound", "Patients", "Missing", "Outcome",
    )  # fmt: skip
    parts.show_table(heads, rows, "Findings")


def _cut(source: str) -> str:
    return source if len(source) <= 90 else f"{source[:88]} …"


def _not_asked(verdict: Verdict) -> None:
    asked = verdict.profile.does_not_ask
    if asked:
        with st.expander("What this profile does not ask"):
            for text in asked:
                st.markdown(f"- {parts.plain(text)}")


def _take_away(record: Record, verdict: Verdict) -> None:
    """Offer the verdict as data; of a verdict that was written the report in every form too."""
    st.subheader("To take away")
    name = record.evaluation.evaluation[:12]
    one, two, three, four = st.columns(4)
    one.download_button(
        "Verdict (JSON)", verdict.model_dump_json(indent=2), f"verdict-{name}.json",
        "application/json",
    )  # fmt: skip
    two.download_button("Findings (CSV)", _csv(verdict), f"findings-{name}.csv", "text/csv")
    if record.report is not None:
        three.download_button(
            "Report (HTML)", record.report.read_bytes(), f"report-{name}.html", "text/html"
        )
    if verdict.evidence is None:
        return
    made = f"made-{verdict.evidence.verdict}"
    if four.button("Make PDF, DICOM, card", key="make", help="Of this verdict, as it stands now."):
        with st.spinner("being typeset"):
            reviewers = hands().options.reviewers
            st.session_state[made] = hands().reports(record.folder, verdict, reviewers)
    files = st.session_state.get(made, {})
    if files:
        for column, (file, content) in zip(st.columns(len(files)), files.items(), strict=True):
            column.download_button(file, content, file, key=f"take-{file}")


def _csv(verdict: Verdict) -> str:
    import pandas as pd

    rows = [
        {
            "criterion": one.criterion.name,
            "metric": one.criterion.metric,
            "region": one.criterion.region,
            "scope": wording.scope_text(one),
            "estimate": one.estimate,
            "low": one.low,
            "high": one.high,
            "bound": one.criterion.bound,
            "unit": one.criterion.unit,
            "patients": one.patients,
            "missing": one.missing,
            "outcome": one.outcome,
            "because": one.because,
        }
        for one in verdict.findings
    ]
    return str(pd.DataFrame(rows).to_csv(index=False))
