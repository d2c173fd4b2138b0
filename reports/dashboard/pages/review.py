"""Review and sign: what waits for whom, what was said, and the signatures under each verdict."""

from __future__ import annotations

from typing import Final, cast

import streamlit as st

from qa_suite.core.errors import InputError, QAError
from qa_suite.core.records import preflight_status
from qa_suite.core.review_queue import Did, Item, add_event, items_of, new_event, read_queue
from qa_suite.core.signing.reviewers import Reviewers, read_reviewers
from qa_suite.core.signing.signatures import sign_off
from qa_suite.core.signing.signing import sign_verdict
from qa_suite.core.verdict_files import WrittenVerdict
from qa_suite.core.wording import count
from reports.dashboard import parts, selection
from reports.dashboard.catalogue import Known
from reports.dashboard.hands import hands
from reports.dashboard.opening import open_known
from reports.dashboard.pages.case import why_read_only
from reports.dashboard.store import Record

UNAUTHENTICATED: Final = "(unauthenticated)"
DEEDS: Final[dict[str, Did]] = {
    "accept": "accepted",
    "reject": "rejected",
    "comment": "commented",
    "ask somebody to look": "asked",
    "open again": "reopened",
}
MEANINGS: Final = ("approved", "rejected", "reviewed")


def show() -> None:
    """Show the queue of one evaluation and its signatures, and let a reviewer add to them."""
    st.header("Review and sign")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    events = read_queue(record.folder)
    if events.problems:
        for problem in events.problems:
            st.error(parts.plain(problem))
    items = items_of(events.lines)
    _queue(record, items)
    writes = bool(hands().options.local_reviewer) and known.folder is not None
    if writes:
        _say(record, items)
        _uneventful(record, items)
    else:
        st.caption(why_read_only(known))
    st.subheader("Signatures")
    _signatures(known, record)


def _queue(record: Record, items: tuple[Item, ...]) -> None:
    """List what is to be looked at, the open ones first, with everything that was said."""
    if not items:
        st.info("Nobody asked for a review of this evaluation, and nobody commented on it yet.")
        return
    waiting = [item for item in items if item.state == "open"]
    st.caption(f"{count(len(items), 'item')}, {len(waiting)} open.")
    titles = {one.identifier: one.title for one in record.judged.written}
    ordered = sorted(items, key=lambda item: item.state != "open")
    name = record.evaluation.evaluation[:12]
    heads = ("What", "State", "Waits for", "Accepted by", "Last comment")
    rows = []
    for item in ordered:
        what: object = titles.get(item.verdict, item.verdict[:8]) or "the evaluation"
        if item.case:
            what = parts.link("case", item.case, evaluation=name, case=item.case)
        last = item.comments[-1] if item.comments else None
        comment = "" if last is None else f"{last.comment} ({last.who}, {last.at[:10]})"
        state = {"open": "○ open", "accepted": "✓ accepted", "rejected": "✕ rejected"}[item.state]
        rows.append((what, state, item.waits_for, ", ".join(item.people), comment))
    parts.show_table(heads, rows, "Queue of reviews")


def _say(record: Record, items: tuple[Item, ...]) -> None:
    """Let the reviewer accept, reject, comment or ask; nothing is edited, all of it is added."""
    who = f"{hands().options.local_reviewer} {UNAUTHENTICATED}"
    verdicts = {one.title: one.identifier for one in record.judged.standing}
    cases = [case.case for case in record.cases]
    with st.form("review", clear_on_submit=True):
        st.markdown(f"**Add to the queue** as {parts.plain(who)}")
        left, middle, right = st.columns((2, 1, 1))
        target = left.selectbox("Of", ["the evaluation", *verdicts, *cases], key="review-of")
        deed = middle.selectbox("What", list(DEEDS), key="review-what")
        to = right.text_input("Whom (if somebody is asked)", key="review-to")
        comment = st.text_area("Comment", key="review-comment")
        sent = st.form_submit_button("Add")
    if not sent:
        return
    event = {
        "case": target if target in cases else "",
        "verdict": verdicts.get(target, ""),
        "comment": comment.strip(),
        "to": to.strip(),
        "role": hands().options.local_role,
    }
    try:
        made = new_event(who, DEEDS[deed], record.evaluation.evaluation, **event)
        add_event(record.folder, made)
    except (InputError, ValueError) as error:
        st.error(parts.plain(_said(error)))
        return
    st.rerun()


def _said(error: Exception) -> str:
    """Return why an event was refused, in its own words."""
    problems = getattr(error, "errors", None)
    if callable(problems):
        return "; ".join(str(one["msg"]).removeprefix("Value error, ") for one in problems()) + "."
    return str(error)


def uneventful(record: Record, items: tuple[Item, ...]) -> list[str]:
    """Return the cases that were examined, that preflight found in order, and nobody spoke of."""
    spoken = {item.case for item in items}
    named = {
        case
        for one in record.judged.standing
        for finding in one.verdict.findings
        if finding.outcome == "fail"
        for case in (*finding.missing_cases, finding.scope_name)
    }
    return [
        case.case
        for case in record.cases
        if case.status == "evaluated"
        and preflight_status(case.preflight) == "ok"
        and case.case not in spoken | named
    ]


def _uneventful(record: Record, items: tuple[Item, ...]) -> None:
    cases = uneventful(record, items)
    if not cases:
        return
    with st.expander(f"Accept {count(len(cases), 'uneventful case')} at once"):
        st.caption(
            "Examined, in order by preflight, named by no missed bound and spoken of by nobody: "
            + parts.plain(", ".join(cases))
        )
        if st.button("Accept all of them", key="bulk"):
            for case in cases:
                add_event(
                    record.folder,
                    new_event(
                        f"{hands().options.local_reviewer} {UNAUTHENTICATED}", "accepted",
                        record.evaluation.evaluation, case=case, comment="uneventful",
                        role=hands().options.local_role,
                    ),
                )  # fmt: skip
            st.rerun()


def _reviewers(record: Record) -> Reviewers | None:
    path = hands().options.reviewers
    return None if path is None else read_reviewers(path, outside=record.folder)


def _signatures(known: Known, record: Record) -> None:
    try:
        reviewers = _reviewers(record)
    except QAError as error:
        st.error(parts.plain(str(error)))
        return
    if not record.judged.written:
        st.info("There is no verdict to sign; `qa-suite judge FOLDER --profile NAME` writes one.")
        return
    rows = []
    for one in record.judged.written:
        off = sign_off(record.folder, one, reviewers)
        stands = "superseded" if one.superseded_by else "stands"
        said = "; ".join(signature.sentence for signature in off.signatures) or "none"
        rows.append((one.title, stands, parts.outcome_mark(one.outcome), off.sentence, said))
    heads = ("Verdict", "Stands", "Outcome", "What the signatures come to", "Signatures")
    parts.show_table(heads, rows, "Signatures")
    if reviewers is None:
        st.caption(
            "No file of reviewers was given (`--reviewers`), so no signature counts: a key that an "
            "evaluation brings along proves nothing."
        )
    if known.folder is not None:
        _sign(record)


def why_not_signed(one: WrittenVerdict) -> str:
    """Return why a verdict cannot be signed here; empty where it can."""
    evidence = one.verdict.evidence
    if evidence is None:
        return "it holds no digests of what it rests on; judge again"
    if one.superseded_by:
        return f"verdict {one.superseded_by[:8]} superseded it"
    if evidence.protocol.state != "locked":
        return (
            "its protocol was not locked before the first case was translated, so that bounds "
            "could have been chosen by their outcome"
        )
    return ""


def _sign(record: Record) -> None:
    """Let the holder of the key sign a verdict that stands under a locked protocol."""
    options = hands().options
    if options.key is None:
        st.caption(
            "To sign here, start with `--key FILE`: the key stays on the reviewer's own machine. "
            "`qa-suite sign FOLDER --key FILE --meaning approved` does the same without the page."
        )
        return
    able = {one.title: one for one in record.judged.standing if not why_not_signed(one)}
    for one in record.judged.standing:
        if why := why_not_signed(one):
            st.caption(parts.plain(f"{one.title} cannot be signed here: {why}."))
    if not able:
        return
    with st.form("sign", clear_on_submit=True):
        title = st.selectbox("Verdict to sign", list(able), key="sign-which")
        meaning = st.radio("Meaning", MEANINGS, horizontal=True, key="sign-meaning")
        comment = st.text_area("Comment, signed too", key="sign-comment")
        passphrase = st.text_input("Passphrase of the key", type="password", key="sign-passphrase")
        sent = st.form_submit_button("Sign")
    if not sent:
        return
    try:
        _, path = sign_verdict(
            record.folder, able[title], key=options.key, passphrase=passphrase,
            name=options.local_reviewer, role=options.local_role,
            meaning=cast(str, meaning), comment=comment.strip(),
        )  # fmt: skip
    except QAError as error:
        st.error(parts.plain(str(error)))
        return
    st.success(parts.plain(f"Signed: {path.name}. {hands().log(record.folder)}"))
