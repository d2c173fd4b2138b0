"""The dashboard's doses: one plan on both images, in numbers and in pictures."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from qa_suite.core.errors import QAError
from qa_suite.core.record_files import read_curves, read_measurements
from qa_suite.core.records import Verdict
from reports.dashboard.parts import drawing
from reports.dashboard.store import Record
from reports.facts import slices, wording
from reports.facts.dose import DosePlan, DoseReport, dose_report
from reports.facts.dose_cases import DoseCase
from reports.facts.dose_spread import Spread
from reports.facts.dose_volumes import DoseImages, centre_slice, load_dose_images
from reports.figures import dose_curves
from reports.html import dose as dose_views

TITLES = (
    "Reference CT, its isodoses",
    "Synthetic image, its isodoses",
    "Dose, synthetic − reference",
    "Gamma",
)


def show_dose(record: Record, verdict: Verdict | None) -> None:
    """Show the doses of an evaluation, a plan and a case at a time."""
    report = gathered(record, verdict)
    if report is None:
        st.info(
            "No dose was computed; evaluate with a plan and its table, such as "
            "`--plan photon-pelvis --hlut thomas-1999`."
        )
        return
    for problem in report.unassigned:
        st.error(f"{problem.status}: {problem.why} ({', '.join(problem.cases)})")
    names = [plan.facts.key for plan in report.plans]
    place = st.selectbox("Plan", range(len(names)), format_func=lambda i: names[i], key="dose-plan")
    plan = report.plans[place]
    st.caption(
        "The same beams, isocentre, fluence and monitor units on both images; neither dose is "
        "renormalised. Differences are synthetic − reference, percentages of the prescription. "
        "A surrogate shows the difference between two images, never a dose to treat by."
        if not plan.facts.from_clinic
        else "Both doses are those of the clinic's planning system. Differences are synthetic − "
        "reference, percentages of the prescription."
    )
    with st.expander("What was planned"):
        facts = [*plan.facts.lines, ("To be believed for", _believed(plan))]
        st.dataframe(
            [{"": name, "as recorded": text} for name, text in facts],
            hide_index=True,
            width="stretch",
        )
    for text in plan.warnings:
        st.warning(text)
    for case, site, why in plan.failed:
        st.error(f"{case}, site {site}: {why}")
    if plan.cases:
        _show_tables(plan)
        _show_case(plan)
        _show_beside(plan)


def gathered(record: Record, verdict: Verdict | None) -> DoseReport | None:
    """Return the doses of an evaluation, arranged once as long as its tables stay."""
    key = (*sorted(record.evaluation.tables_sha256.values()), verdict and verdict.profile_sha256)
    return _gathered(key, record, verdict)


@st.cache_resource(max_entries=4, show_spinner="Reading doses ...")
def _gathered(
    key: tuple[object, ...], _record: Record, _verdict: Verdict | None
) -> DoseReport | None:
    record, verdict = _record, _verdict  # streamlit asks the key alone whether it knows them
    excluded = set() if verdict is None else set(verdict.excluded)
    table, curves = read_measurements(record.folder), read_curves(record.folder)
    return dose_report(
        record.folder,
        table[~table["case"].isin(excluded)],
        curves[~curves["case"].isin(excluded)],
        record.evaluation,
        record.cases,
        () if verdict is None else verdict.profile.criteria,
    )


def _believed(plan: DosePlan) -> str:
    if plan.facts.from_clinic:
        return "whatever the clinic's own commissioning says"
    return plan.facts.believed_for or "undefined: the record does not hold it"


def _over(spread: Spread, *, sign: bool = False) -> str:
    """Write mean and range over the patients."""
    if spread.censored:
        return f"no mean: {spread.censored}"
    if spread.mean is None or spread.low is None or spread.high is None:
        return spread.why
    mean = wording.dose_quantity(spread.mean, spread.unit, sign=sign)
    if spread.patients < 2:
        return mean
    return f"{mean} ({wording.dose_range(spread.low, spread.high, spread.unit, sign=sign)})"


def _show_tables(plan: DosePlan) -> None:
    st.markdown("**Target**")
    st.dataframe(
        [
            {
                "metric": metric.name + (" §" if metric.judged else ""),
                "reference": _over(metric.reference),
                "synthetic": _over(metric.synthetic),
                "difference": _over(metric.difference, sign=True),
                "of the prescription": _over(metric.difference_pct, sign=True),
                "patients": metric.difference_pct.patients,
                "farthest from zero": metric.difference_pct.worst,
            }
            for metric in plan.metrics
        ],
        hide_index=True,
        width="stretch",
    )
    if plan.goals:
        st.markdown("**Prescription and clinical goals**")
        st.caption(plan.goals_said)
        st.dataframe(_goal_rows(plan), hide_index=True, width="stretch")
    if plan.gammas:
        st.markdown("**Gamma pass rate**")
        gammas = [
            {
                "criterion": gamma.title + (" §" if gamma.judged else ""),
                "voxels judged, body": _over(gamma.voxels),
                "body": _over(gamma.body),
                "lowest in body": gamma.body.worst,
                "target": _over(gamma.target),
                "lowest in target": gamma.target.worst,
            }
            | ({"bulk densities, body": _over(gamma.bulk)} if gamma.bulk.unit else {})
            for gamma in plan.gammas
        ]
        st.dataframe(gammas, hide_index=True, width="stretch")
        if plan.differently_judged:
            st.warning(
                f"The criteria were judged on different voxels in "
                f"{', '.join(plan.differently_judged)}: their pass rates do not compare with each "
                f"other."
            )
        st.caption(plan.facts.gamma_said)
    if plan.ranges:
        st.markdown("**Range**")
        st.dataframe(_range_rows(plan), hide_index=True, width="stretch")


def _show_beside(plan: DosePlan) -> None:
    """Show what makes the difference, what stands beside it, and what has no value."""
    if plan.causes:
        st.markdown("**What makes the difference**")
        bars = dose_curves.cause_bars(plan.causes)
        st.html(drawing(bars, "strip", "Difference of the target's mean dose by cause"))
        st.caption("One kind of tissue at a time; the parts need not add up to the whole.")
    if plan.asides:
        st.markdown("**Beside it**")
        asides = [
            {"measure": f"{a.title} {a.region}".strip(), "mean and range": _over(a.spread)}
            for a in plan.asides
        ]
        st.dataframe(asides, hide_index=True, width="stretch")
    if plan.problems:
        with st.expander("Without a value"):
            rows = [
                {
                    "status": p.status,
                    "why": p.why,
                    "measurements": p.count,
                    "of": p.measures,
                    "cases": ", ".join(p.cases),
                }
                for p in plan.problems
            ]
            st.dataframe(rows, hide_index=True, width="stretch")


def _goal_rows(plan: DosePlan) -> list[dict[str, object]]:
    rows = []
    for goal in plan.goals:
        unit = goal.readings[0].unit
        row: dict[str, object] = {"goal": f"{goal.goal.structure} {goal.goal.text}"}
        for side in ("reference", "synthetic", "difference"):
            known = goal.values(side)
            sign = side == "difference"
            row[side] = (
                wording.dose_quantity(sum(known) / len(known), unit, sign=sign)
                if known
                else goal.no_mean
            )
        for state in ("met", "missed", "lost", "gained", "undecided"):
            names = goal.named(state)
            named = state in ("lost", "gained")
            row[state] = (", ".join(names) or "none") if named else len(names)
        rows.append(row)
    return rows


def _range_rows(plan: DosePlan) -> list[dict[str, str]]:
    heads = ("mean WEPL difference", "95th percentile", "largest", "of the path", "beyond margin")
    return [
        {"beam": beam.label}
        | {
            h: _over(v, sign=n in (0, 3))
            for n, (h, v) in enumerate(zip(heads, beam.values, strict=True))
        }
        for beam in plan.ranges
    ]


def _show_case(plan: DosePlan) -> None:
    labels = [_case_label(case) for case in plan.case_views]
    left, right = st.columns((2, 1))
    place = left.selectbox(
        "Case with doses",
        range(len(labels)),
        format_func=lambda i: labels[i],
        key=f"dose-case-{plan.facts.key}",  # the labels differ between plans
    )
    plane = right.radio("Plane", dose_views.PLANES, horizontal=True, key="dose-plane")
    case = plan.case_views[place]
    try:
        dose = _load(tuple(sorted(case.volumes.items())))
    except QAError as error:
        st.info(f"undefined: {error}")
    else:
        _show_slice(plan, case, dose, plane)
    title = f"DVH of {case.case}, reference solid, synthetic dashed"
    st.html(drawing(dose_curves.dvh_plot(case), "dvh", title))
    for column, histogram in zip(
        st.columns(2), dose_views.histogram_views(plan, case), strict=True
    ):
        with column:
            st.markdown(f"**Dose difference in the {histogram.region}** · {histogram.voxels}")
            if histogram.problem:
                st.info(histogram.problem)
            else:
                alt = f"Histogram of the dose difference in the {histogram.region}, {case.case}"
                st.html(drawing(histogram.drawing, "strip", alt))
    for view in dose_views.range_views(plan, case):
        st.markdown(f"**Range error, beam {view.label}** · beam's eye view, isocentre plane")
        if view.problem:
            st.info(f"undefined: {view.problem}")
            continue
        one, two, _ = st.columns((2, 3, 3))
        with one:
            st.html(drawing(view.drawing, "panel", f"Range error map, beam {view.label}"))
            st.html(drawing(view.colour_bar, "colourbar", "colour bar in mm"))
        with two:
            st.html(drawing(view.histogram, "panel", f"Range errors of the rays, {view.label}"))


def _case_label(case: DoseCase) -> str:
    gamma = wording.quantity(case.gamma_pct, "%", case.why)
    kept = "" if "dose_reference" in case.volumes else ", doses not kept"
    return f"{case.case}, site {case.site}, γ in body {gamma}{kept}"


@st.cache_resource(max_entries=4, show_spinner="Reading doses ...")
def _load(files: tuple[tuple[str, Path], ...]) -> DoseImages:
    return load_dose_images(dict(files))


def _show_slice(plan: DosePlan, case: DoseCase, dose: DoseImages, plane: slices.Plane) -> None:
    last = dose.images.mask.shape[slices.AXIS_OF[plane]] - 1
    index = centre_slice(dose, plane)
    if last:
        key = f"dose-slice-{plan.facts.key}-{case.case}-{plane}"
        index = st.slider("Slice of the dose", 0, last, index, key=key)
    drawings = dose_views.draw_slice(plan, case, dose, plane, index)
    legends = dose_views.legends_of(plan, case, dose)
    captions = dose_views.captions_of(plan, dose)
    for column, title, panel, legend, caption in zip(
        st.columns(4), TITLES, drawings, legends, captions, strict=True
    ):
        with column:
            st.markdown(f"**{title}**")
            st.html(drawing(panel, "panel", f"{title}, {case.case}"))
            if legend:
                st.html(drawing(legend, "legend", f"legend of {title}"))
            st.caption(caption)
    where = slices.slice_label(dose.images, plane, index)
    st.caption(f"{where}. Radiological view: the patient's right is on the left of the image.")
