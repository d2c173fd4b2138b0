"""Two models or versions on the same patients: differences with their intervals."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import streamlit as st
from markupsafe import Markup

from qa_suite.core.records import Comparison, PairedFinding
from qa_suite.core.wording import count
from reports.dashboard import parts, selection
from reports.dashboard.catalogue import Known
from reports.dashboard.hands import hands
from reports.dashboard.opening import folder_of, open_known
from reports.facts import wording
from reports.html.comparison import difference_bar


def show() -> None:
    """Let the user choose two evaluations of one cohort and compare them patient by patient."""
    st.header("Compare")
    known = selection.everything().known
    if len(known) < 2:
        st.info("Two evaluations of the same patients are needed; there are fewer.")
        return
    titles = {one.evaluation: one.title for one in known}
    left, right = st.columns(2)
    new = _choose(left, "New", list(titles), titles, "new")
    if new is None:
        return
    cohort = next(one.cohort for one in known if one.evaluation == new)
    same = [one.evaluation for one in known if one.cohort == cohort and one.evaluation != new]
    if not same:
        st.info(parts.plain(f"No other evaluation is of the cohort {cohort}."))
        return
    old = _choose(right, "Old", same, titles, "old")
    if old is None:
        return
    by_name = {one.evaluation: one for one in known}
    found = _compared(by_name[new], by_name[old])
    st.markdown(parts.plain(found.sentence))
    for notice in found.notices:
        parts.notice(notice)
    st.caption(
        f"{count(found.patients, 'patient')} examined by both. Differences are new − old; of a "
        f"bias of its magnitudes. Intervals of {found.confidence * 100:g} %."
    )
    heads = ("Measure", "New", "Old", "Difference", "Against zero", "Better / worse / alike")
    parts.show_table(heads, (_row(one) for one in found.findings), "Differences")


def _choose(
    place: object, label: str, names: list[str], titles: dict[str, str], key: str
) -> str | None:
    wanted = selection.asked(key)
    start = next((n for n, one in enumerate(names) if wanted and one.startswith(wanted)), 0)
    name = place.selectbox(  # type: ignore[attr-defined]
        label, names, index=start, format_func=lambda one: titles[one], key=f"{key}-{start}"
    )
    if name is not None:
        selection.put(key, name[:12])
    return name


def _compared(new: Known, old: Known) -> Comparison:
    folders = (folder_of(new), folder_of(old))
    digests = tuple(
        tuple(sorted(open_known(one).evaluation.tables_sha256.items())) for one in (new, old)
    )
    return _cached(*folders, digests)


@lru_cache(maxsize=32)
def _cached(new: Path, old: Path, _: object) -> Comparison:
    return hands().compare(new, old)


def _row(one: PairedFinding) -> tuple[object, ...]:
    title = wording.measure_title(one.metric, one.region, one.variant)
    if one.difference is None:
        return title, "", "", one.sentence, "", ""
    said = wording.signed(one.difference, one.unit)
    if one.low is not None and one.high is not None:
        said += f" ({wording.interval(one.low, one.high)})"
    bar = Markup(parts.drawing(difference_bar(one), "bar", one.sentence))
    return (
        title,
        wording.quantity(one.new, one.unit),
        wording.quantity(one.old, one.unit),
        said,
        bar,
        f"{one.wins} / {one.losses} / {one.ties}",
    )
