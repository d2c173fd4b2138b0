"""How the model carries over to hospitals: each site against the sites of training."""

from __future__ import annotations

import streamlit as st

from qa_suite.core.records import SiteGap, Verdict
from qa_suite.core.wording import named_cases
from reports.dashboard import parts, selection
from reports.dashboard.opening import measurements_of, open_known
from reports.dashboard.store import Record
from reports.facts import wording
from reports.facts.patients import distributions
from reports.figures import strips


def show() -> None:
    """Show every measure of the profile by site, and how far each site lies from training."""
    st.header("Generalization")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    verdict = standing_verdict(record)
    if verdict is None:
        return
    shifted = [gap for gap in verdict.site_gaps if gap.shifted and not gap.in_training]
    for gap in shifted:
        st.markdown(f"▲ **shifted** {parts.plain(gap.sentence)}")
    if not shifted:
        st.markdown("No site outside of training is shown to be shifted; the intervals say how far "
                    "a shift could still be.")  # fmt: skip
    _gaps(verdict)
    st.subheader("Patients by site")
    _strips(record, verdict)


def standing_verdict(record: Record) -> Verdict | None:
    """Return the verdict that the address names, or the newest that stands."""
    if not record.judged.written:
        st.warning(
            "This evaluation was not judged yet. Judge it with "
            "`qa-suite judge FOLDER --profile mr-to-ct-pelvis`."
        )
        return None
    wanted = selection.asked("verdict")
    for one in record.judged.written:
        if wanted and one.identifier.startswith(wanted):
            return one.verdict
    return (record.judged.standing or record.judged.written)[-1].verdict


def _gaps(verdict: Verdict) -> None:
    """Show the difference of each site to the training sites, with its interval."""
    gaps = [gap for gap in verdict.site_gaps if not gap.in_training]
    if not gaps:
        st.info("There is no site outside of training to be compared.")
        return
    heads = ("Measure", "Site", "Patients", "Difference to the training sites", "Shift")
    parts.show_table(heads, (_gap(gap) for gap in gaps), "Differences of sites")


def _gap(gap: SiteGap) -> tuple[object, ...]:
    title = wording.measure_title(gap.metric, gap.region, gap.variant)
    if gap.gap is None:
        return title, gap.site, gap.patients, wording.gap_without(gap), "not compared"
    said = wording.signed(gap.gap, gap.unit)
    if gap.gap_low is not None and gap.gap_high is not None:
        said += f" ({wording.interval(gap.gap_low, gap.gap_high)})"
    return title, gap.site, gap.patients, said, "▲ shifted" if gap.shifted else "none shown"


def _strips(record: Record, verdict: Verdict) -> None:
    metrics = tuple(sorted({one.metric for one in verdict.profile.criteria}))
    table = measurements_of(record, metrics)
    table = table[~table["case"].isin(set(verdict.excluded))]
    columns = st.columns(2)
    for place, plot in enumerate(distributions(table, record.evaluation, verdict)):
        with columns[place % 2]:
            title = wording.measure_title(plot.metric, plot.region, plot.variant)
            st.markdown(f"**{parts.plain(title)}**")
            st.html(parts.drawing(strips.strip_plot(plot), "strip", f"{title} by site"))
            for site in plot.sites:
                if said := named_cases(dict(site.without)):
                    st.caption(parts.plain(f"{site.site}: {said}"))
