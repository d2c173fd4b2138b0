"""The patients: worst first, with what preflight found, and why the others were left out."""

from __future__ import annotations

from typing import Final

import pandas as pd
import streamlit as st

from qa_suite.core.records import CaseRecord, Verdict, preflight_status
from qa_suite.core.wording import count, number
from reports.dashboard import parts, selection
from reports.dashboard.opening import measurements_of, open_known
from reports.dashboard.pages.sites import standing_verdict
from reports.dashboard.store import Record
from reports.dashboard.tables import show_cohort, status_text
from reports.facts import wording
from reports.facts.pictures import RANKED_BY

MOST_ROWS: Final = 100


def show() -> None:
    """List the cases by a measure, the worst first; each leads to its images."""
    st.header("Cases")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    verdict = standing_verdict(record)
    measure = _choose_measure(record, verdict)
    table = _values(record, measure)
    _flow(record, verdict)
    left, right = st.columns((2, 1))
    sites = right.multiselect(
        "Site", sorted({case.site for case in record.cases}), key="case-sites"
    )
    words = left.text_input("Search", key="case-search", placeholder="case, site, status, reason")
    better = _better(record, measure[0])
    rows = [_row(record, case, table, verdict, measure) for case in record.cases]
    rows = [
        row
        for row in rows
        if (not sites or row["site"] in sites)
        and all(
            word in " ".join(map(str, row.values())).casefold() for word in words.casefold().split()
        )
    ]
    rows.sort(key=lambda row: _rank(row, better))
    title = wording.measure_title(*measure)
    heads = ("Case", "Site", title, "Status", "Preflight", "Images", "Why")
    name = record.evaluation.evaluation[:12]
    parts.show_table(heads, (_cells(row, name) for row in rows[:MOST_ROWS]), "Cases")
    if len(rows) > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS} of {len(rows)}; the search and the site narrow them.")
    _distribution(rows, title)
    if st.toggle("Show every check of preflight", key="preflight"):
        show_cohort(record, verdict)


def _choose_measure(record: Record, verdict: Verdict | None) -> tuple[str, str, str]:
    """Let the user choose by what the cases are ordered: what the profile bounds comes first."""
    known = [(*RANKED_BY, "default")]
    if verdict is not None:
        bounded = [(c.metric, c.region, c.variant) for c in verdict.profile.criteria]
        known = [*dict.fromkeys([*bounded, *known])]
        known = [known[-1], *known[:-1]] if known[-1][:2] == RANKED_BY else known
    place = st.selectbox(
        "Ordered by",
        range(len(known)),
        format_func=lambda n: wording.measure_title(*known[n]),
        key=f"measure-{record.evaluation.evaluation}",
    )
    return known[place]


def _values(record: Record, measure: tuple[str, str, str]) -> pd.DataFrame:
    metric, region, variant = measure
    table = measurements_of(record, (metric,))
    mine = (table["region"] == region) & (table["variant"] == variant)
    return table[mine].drop_duplicates("case").set_index("case")


def _better(record: Record, metric: str) -> str:
    facts = record.evaluation.definitions.get(metric, {})
    return str(facts.get("direction", "lower"))


def _row(
    record: Record,
    case: CaseRecord,
    table: pd.DataFrame,
    verdict: Verdict | None,
    measure: tuple[str, str, str],
) -> dict[str, object]:
    excluded = {} if verdict is None else verdict.excluded
    value, said = None, ""
    if case.case in table.index:
        found = table.loc[case.case]
        if found["status"] == "ok":
            value = float(str(found["value"]))
            said = wording.quantity(value, str(found["unit"]))
        else:
            said = wording.without_value(found)
    status = "excluded" if case.case in excluded else case.status
    why = excluded.get(case.case, "") or case.reason
    return {
        "case": case.case,
        "site": case.site,
        "value": value,
        "said": said or "not measured",
        "status": status,
        "preflight": status_text(preflight_status(case.preflight))
        if case.preflight
        else "not checked",
        "kept": {"reference", "synthetic"} <= set(case.volumes) or "synthetic" in case.volumes,
        "why": why,
    }


def _rank(row: dict[str, object], better: str) -> tuple[int, float, str]:
    value = row["value"]
    if not isinstance(value, float):  # what could not be measured wants to be seen first
        return 0, 0.0, str(row["case"])
    size = {"higher": value, "zero": -abs(value)}.get(better, -value)
    return 1, size, str(row["case"])


def _cells(row: dict[str, object], evaluation: str) -> list[object]:
    case = str(row["case"])
    images: object = (
        parts.link("case", "look", evaluation=evaluation, case=case) if row["kept"] else "not kept"
    )
    return [case, row["site"], row["said"], row["status"], row["preflight"], images, row["why"]]


def _flow(record: Record, verdict: Verdict | None) -> None:
    """Say how many cases came and what became of them."""
    counts = verdict.case_counts if verdict is not None else record.evaluation.case_counts
    said = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items())
    st.caption(parts.plain(f"{count(len(record.cases), 'case')}: {said}."))


def _distribution(rows: list[dict[str, object]], title: str) -> None:
    """Draw every patient by site; points that are selected are listed."""
    import altair as alt

    known = [
        {"case": row["case"], "site": row["site"], "value": row["value"]}
        for row in rows
        if isinstance(row["value"], float)
    ]
    if not known:
        return
    st.markdown(f"**{parts.plain(title)}, every patient** · select points to list their cases")
    points = alt.selection_interval(name="chosen")
    chart = (
        alt.Chart(pd.DataFrame(known))
        .mark_point(filled=True, size=55, opacity=0.75)
        .encode(
            x=alt.X("value:Q", title=title, scale=alt.Scale(zero=False)),
            y=alt.Y("site:N", title="Site"),
            shape=alt.Shape("site:N", legend=None),
            tooltip=["case:N", "site:N", alt.Tooltip("value:Q", format=".4g")],
        )
        .add_params(points)
        .properties(height=60 + 34 * len({row["site"] for row in known}))
    )
    chosen = st.altair_chart(chart, on_select="rerun", key="distribution", width="stretch")
    span = chosen.get("selection", {}).get("chosen", {}) if chosen else {}
    if not span.get("value"):
        return
    low, high = span["value"]
    picked = [
        row for row in known
        if low <= row["value"] <= high and row["site"] in span.get("site", [row["site"]])
    ]  # fmt: skip
    rows_picked = ((row["case"], row["site"], number(float(str(row["value"])))) for row in picked)
    parts.show_table(("Case", "Site", title), rows_picked, "Chosen cases")
