"""The dashboard's cohort, its tables of measures and its drawings of curves."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from qa_suite.core.record_files import read_curves
from qa_suite.core.records import CaseRecord, Verdict, preflight_sentence, preflight_status
from qa_suite.core.wording import count
from reports.dashboard.opening import families_of, family_of
from reports.dashboard.parts import drawing
from reports.dashboard.store import Record
from reports.facts import wording
from reports.facts.curves import curve_figures
from reports.facts.dose import without_dose
from reports.facts.measures import FamilyTable, MeasureRow, family_title
from reports.facts.readiness import preflight_counts
from reports.figures import curve_plots

# -------------------------------------------------------------------------------------------------
# Measures


def show_measures(record: Record, verdict: Verdict | None) -> None:
    """List every measure over the patients, filtered by family and metric."""
    families = families_of(record)
    if not families:
        st.info("undefined: the record holds no measurement.")
        return
    left, right = st.columns((1, 2))
    titles = [family_title(family) for family in families]
    place = left.selectbox(
        "Family", range(len(titles)), format_func=lambda i: titles[i], key="family"
    )
    family = family_of(record, verdict, families[place])
    if family is None:
        st.info("undefined: every case with such a measurement was left out.")
        return
    rows = [row for group in family.groups for row in group.rows]
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
    _show_without(family)
    _show_sets(record)


def _cells(row: MeasureRow) -> dict[str, object]:
    missing = [f"{row.undefined} undefined"] if row.undefined else []
    missing += [count(row.errors, "error")] if row.errors else []
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


# -------------------------------------------------------------------------------------------------
# The cohort


_SYMBOLS = {"ok": "✓", "warning": "⚠", "undetermined": "?", "refused": "✕"}


def show_cohort(record: Record, verdict: Verdict | None) -> None:
    """List every case with its status and its preflight, and the checks of one of them."""
    excluded = {} if verdict is None else verdict.excluded
    cases = sorted(record.cases, key=lambda case: (case.site, case.case))
    st.dataframe([_row(case, excluded) for case in cases], hide_index=True, width="stretch")
    counts = preflight_counts(record.cases)
    if not counts:
        st.info("undefined: no preflight was recorded with this evaluation.")
        return
    st.markdown("**Preflight, by check**")
    st.dataframe(
        [
            {"check": check.name.replace("_", " ")}
            | {status_text(word): n for word, n in check.counts.items()}
            | {"cases not in order": ", ".join(check.cases) or "none"}
            for check in counts
        ],
        hide_index=True,
        width="stretch",
    )
    checked = [case for case in cases if case.preflight]
    place = st.selectbox(
        "Checks of the case",
        range(len(checked)),
        format_func=lambda i: f"{checked[i].case}, {preflight_status(checked[i].preflight)}",
        key="preflight-case",
    )
    st.dataframe(
        [
            {
                "check": name.replace("_", " "),
                "value": wording.check_value(check),
                "bound": check.bound or "no bound",
                "status": status_text(check.status),
                "why": check.why,
            }
            for name, check in checked[place].preflight.items()
        ],
        hide_index=True,
        width="stretch",
    )


def status_text(status: str) -> str:
    """Write a status of preflight as symbol and word."""
    return f"{_SYMBOLS[status]} {status}"


def _row(case: CaseRecord, excluded: dict[str, str]) -> dict[str, str]:
    said = [case.reason, preflight_sentence(case.preflight), excluded.get(case.case, "")]
    checked = status_text(preflight_status(case.preflight)) if case.preflight else "not checked"
    return {
        "case": case.case,
        "site": case.site,
        "set": case.split or "none: not imported",
        "status": "excluded" if case.case in excluded else case.status,
        "preflight": checked,
        "why": "; ".join(dict.fromkeys(part.rstrip(".") for part in said if part)),
    }
