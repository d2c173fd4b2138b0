"""The dashboard's tables of measures and drawings of curves."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from qa_suite.core.record_files import read_curves, read_measurements
from qa_suite.core.records import Criterion, Verdict
from reports.dashboard.store import Record
from reports.dashboard.widgets import drawing
from reports.facts import wording
from reports.facts.curves import curve_figures
from reports.facts.dose import without_dose
from reports.facts.measures import FamilyTable, MeasureRow, family_tables
from reports.figures import curve_plots


def show_measures(record: Record, verdict: Verdict | None) -> None:
    """List every measure over the patients, filtered by family and metric."""
    table = without_dose(read_measurements(record.folder))
    criteria: Sequence[Criterion] = ()
    if verdict is not None:
        table = table[~table["case"].isin(set(verdict.excluded))]
        criteria = verdict.profile.criteria
    families = family_tables(table, record.evaluation, criteria)
    if not families:
        st.info("undefined: the record holds no measurement.")
        return
    left, right = st.columns((1, 2))
    titles = [family.title for family in families]
    place = left.selectbox(
        "Family", range(len(titles)), format_func=lambda i: titles[i], key="family"
    )
    rows = [row for group in families[place].groups for row in group.rows]
    metrics = right.multiselect(
        "Metric", sorted({row.metric for row in rows}), key=f"metrics-{titles[place]}"
    )
    shown = [_cells(row) for row in rows if not metrics or row.metric in metrics]
    if shown:
        st.dataframe(shown, hide_index=True, width="stretch")
        st.caption(
            "Mean and standard deviation (SD) over patients, a patient's examinations averaged "
            "first; § marks what the profile bounds."
        )
    _show_without(families[place])
    _show_sets(record)


def _cells(row: MeasureRow) -> dict[str, object]:
    missing = [
        f"{count} {word}"
        for count, word in ((row.undefined, "undefined"), (row.errors, "error"))
        if count
    ]
    return {
        "measure": row.title + (" §" if row.judged else ""),
        "metric": row.metric,
        "region": wording.region_title(row.region),
        "variant": row.variant,
        "unit": wording.unit_text(row.unit),
        "better": wording.DIRECTION_WORDS.get(row.direction, row.direction),
        "patients": row.patients,
        "mean": f"no mean: {row.censored}" if row.mean is None else wording.number(row.mean),
        "SD": _spread(row),
        "worst": row.worst_text,
        "worst patient": row.worst,
        "without a value": ", ".join(missing) + (f": {row.why}" if row.why else ""),
    }


def _spread(row: MeasureRow) -> str:
    if row.censored:
        return row.range_text
    return "one patient" if row.sd is None else wording.number(row.sd)


def _show_without(family: FamilyTable) -> None:
    for row in family.without:
        st.markdown(f"*{row.status}: {row.why}*")
        st.caption(row.measures)


def _show_sets(record: Record) -> None:
    found = record.evaluation.set_measurements
    if not found:
        return
    st.markdown("**Distances between the sets of images**")
    rows = [
        {
            "distance": wording.metric_title(s.metric, record.evaluation.definitions),
            "scope": s.scope,
            "variant": s.variant,
            "value ± standard error": wording.without_value(s)
            if s.value is None
            else wording.with_error(s.value, s.standard_error, s.unit),
            "patients": s.patients,
            "features of real images": s.n_reference,
            "of synthetic images": s.n_synthetic,
        }
        for s in found
    ]
    st.dataframe(rows, hide_index=True, width="stretch")


def show_curves(record: Record, verdict: Verdict | None) -> None:
    """Draw every kind of curve, a line a patient."""
    table = without_dose(read_curves(record.folder))
    excluded: Sequence[str] = () if verdict is None else tuple(verdict.excluded)
    figures = curve_figures(table[~table["case"].isin(excluded)], record.evaluation)
    if not figures:
        st.info("undefined: the record holds no curve.")
    columns = st.columns(2)
    for place, figure in enumerate(figures):
        with columns[place % 2]:
            title = f"{figure.facts.title}, {wording.region_title(figure.region)}"
            st.markdown(f"**{title}**")
            st.html(drawing(curve_plots.curve_plot(figure), "strip", title))
            st.caption(curve_plots.curve_caption(figure))
