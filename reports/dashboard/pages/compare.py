"""Two models or versions on the same patients: differences with their intervals."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd
import streamlit as st
from markupsafe import Markup

from qa_suite.core.records import Comparison, PairedFinding
from qa_suite.core.wording import count
from reports.dashboard import parts, selection
from reports.dashboard.catalogue import Known
from reports.dashboard.hands import hands
from reports.dashboard.opening import folder_of, measurements_of, open_known
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
    _bland_altman(by_name[new], by_name[old], found)


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


def paired(new: pd.DataFrame, old: pd.DataFrame) -> pd.DataFrame:
    """Return the patients that both have a value of: mean of both, and new minus old.

    Parameters
    ----------
    new, old
        Rows of one measure. A patient's examinations are averaged first.
    """
    values = [
        table[table["status"] == "ok"].groupby("patient")["value"].mean() for table in (new, old)
    ]
    both = pd.DataFrame({"new": values[0], "old": values[1]}).dropna()
    sites = new.drop_duplicates("patient").set_index("patient")["site"]
    return pd.DataFrame(
        {
            "patient": both.index,
            "site": sites.reindex(both.index).to_numpy(),
            "mean": both.mean(axis=1).to_numpy(),
            "difference": (both["new"] - both["old"]).to_numpy(),
        }
    )


def _bland_altman(new: Known, old: Known, found: Comparison) -> None:
    """Draw each patient's difference over the mean of both, with the limits of agreement.

    Bland JM, Altman DG (1986), Lancet 327:307-310: mean difference ± 1.96 SD.
    """
    measures = [(one.metric, one.region, one.variant) for one in found.findings]
    st.subheader("Patient by patient")
    place = st.selectbox(
        "Measure", range(len(measures)), format_func=lambda n: wording.measure_title(*measures[n]),
        key="agreement",
    )  # fmt: skip
    metric, region, variant = measures[place]
    sides = []
    for one in (new, old):
        table = measurements_of(open_known(one), (metric,))
        sides.append(table[(table["region"] == region) & (table["variant"] == variant)])
    points = paired(*sides)
    if len(points) < 2:
        st.info("Fewer than two patients have a value in both.")
        return
    unit = found.findings[place].unit
    middle, spread = points["difference"].mean(), points["difference"].std(ddof=1)
    lines = [middle - 1.96 * spread, middle, middle + 1.96 * spread]
    import altair as alt

    title = wording.measure_title(metric, region, variant)
    suffix = f" ({unit})" if unit not in ("", "1") else ""
    dots = (
        alt.Chart(points)
        .mark_point(filled=True, size=60)
        .encode(
            x=alt.X("mean:Q", title=f"mean of both{suffix}", scale=alt.Scale(zero=False)),
            y=alt.Y("difference:Q", title=f"new − old{suffix}"),
            shape="site:N",
            color="site:N",
            tooltip=["patient:N", "site:N", alt.Tooltip("difference:Q", format=".4g")],
        )
    )
    rules = (
        alt.Chart(pd.DataFrame({"at": lines, "what": ["limit", "mean", "limit"]}))
        .mark_rule()
        .encode(y="at:Q", strokeDash=alt.StrokeDash("what:N", legend=None))
    )
    st.altair_chart((dots + rules).properties(height=320), width="stretch")
    said = ", ".join(wording.signed(value, unit) for value in lines)
    st.caption(
        parts.plain(
            f"{title}: mean difference and limits of agreement (± 1.96 SD, Bland and Altman 1986) "
            f"at {said}, {count(len(points), 'patient')}."
        )
    )
