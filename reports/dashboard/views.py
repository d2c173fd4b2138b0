"""What the dashboard shows: Streamlit widgets around the report's own drawings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st
from markupsafe import escape

from qa_suite.core.errors import QAError
from qa_suite.core.record_files import read_measurements
from qa_suite.core.records import Verdict
from qa_suite.core.wording import named_cases
from reports.dashboard import dose as doses_page
from reports.dashboard import store, tables
from reports.dashboard.store import EvaluationRun, ModelVersion, Record
from reports.dashboard.tables import drawing, show_cohort
from reports.facts import slices, wording
from reports.facts.exams import exam_said
from reports.facts.patients import distributions
from reports.facts.pictures import PictureCase, captions, windows_of
from reports.facts.standing import standing_among
from reports.figures import panels, strips
from reports.html import report as html

STYLE = """
<style>
.stMainBlockContainer{padding-top:2.6rem}
.verdict{border:1px solid;border-left-width:10px;border-radius:8px;
  padding:14px 20px;margin:4px 0 10px}
.verdict b{font-size:1.7rem;display:block}
.verdict.pass{color:#00664f;background:#e6f2ee}.verdict.fail{color:#a3290f;background:#fbeae5}
.verdict.inconclusive{color:#7a5600;background:#faf1dc}.verdict span{color:#1c2833}
.verdict dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 14px;
  margin:10px 0 0;padding:0;color:#1c2833;font-size:.93rem}
.verdict dt{font-weight:600;margin:0}.verdict dd{margin:0}
img.panel{width:100%;height:auto;border-radius:3px}
img.strip{width:100%;max-width:620px;height:auto}
img.colourbar{width:260px;max-width:100%}
img.dvh{width:100%;max-width:860px;height:auto}img.legend{max-width:100%;height:auto}
img.bar{width:200px;height:30px}
table.plain{border-collapse:collapse;width:100%;font-size:.9rem}
table.plain th,table.plain td{text-align:left;padding:5px 10px 5px 0;
  border-bottom:1px solid #d5dbe0}
</style>
"""
TAGS_SHOWN = ("direction", "anatomy", "training_sites", "family")


def style() -> None:
    """Put the page's style into it."""
    st.html(STYLE)


def when(milliseconds: int) -> str:
    """Write a moment of the store as UTC minutes."""
    moment = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def outcome_text(outcome: str) -> str:
    """Write an outcome as symbol and word."""
    return f"{wording.OUTCOME_SYMBOLS.get(outcome, '–')} {outcome}"


def show_models(versions: Sequence[ModelVersion]) -> None:
    """List the registered models and the tags of one version."""
    st.header("Models")
    if not versions:
        st.info(
            "No model is registered yet. Train one with "
            "`qa-suite train regression cohorts/pelvis --name my-model`, "
            "or run `qa-suite demo`."
        )
        return
    rows = []
    for v in versions:
        tags = dict(v.tags)
        shown = {name.replace("_", " "): _tag(tags, name) for name in TAGS_SHOWN}
        rows.append(
            {"model": v.name, "version": v.version, **shown, "registered": when(v.created_ms)}
        )
    st.dataframe(rows, hide_index=True, width="stretch")
    uri = st.selectbox("All tags of", [v.uri for v in versions], key="model")
    chosen = next(v for v in versions if v.uri == uri)
    st.dataframe(
        [{"tag": name, "value": value} for name, value in chosen.tags]
        or [{"tag": "none", "value": "this version carries no tags"}],
        hide_index=True,
        width="stretch",
    )


def _tag(tags: dict[str, str], name: str) -> str:
    """Return a tag under its own name or with the suite's prefix."""
    found = tags.get(name) or tags.get(f"qa.{name}") or "undefined: no such tag"
    return ", ".join(part.strip() for part in found.split(","))


def show_evaluations(runs: Sequence[EvaluationRun]) -> None:
    """List the evaluations, filtered, and open one."""
    st.header("Evaluations")
    if not runs:
        st.info(
            "No evaluation is in the store yet. Make one with "
            "`qa-suite evaluate COHORT models:/NAME/VERSION --profile mr-to-ct-pelvis`, "
            "or run `qa-suite demo`."
        )
        return
    side = st.sidebar
    kept = store.chosen(
        runs,
        models=side.multiselect("Model", sorted({r.model for r in runs}), key="models"),
        cohorts=side.multiselect("Cohort", sorted({r.cohort for r in runs}), key="cohorts"),
        outcomes=side.multiselect("Outcome", sorted({r.outcome for r in runs}), key="outcomes"),
    )
    if not kept:
        st.warning("No evaluation matches the filter; take a choice away on the left.")
        return
    st.dataframe(
        [
            {
                "outcome": outcome_text(r.outcome),
                "model": r.model,
                "cohort": r.cohort,
                "evaluation": r.evaluation,
                "logged": when(r.started_ms),
            }
            for r in kept
        ],
        hide_index=True,
        width="stretch",
    )
    by_id = {r.run_id: r for r in kept}
    linked = st.query_params.get("evaluation", "")
    places = [i for i, r in enumerate(kept) if linked and r.evaluation.startswith(linked)]
    run_id = st.selectbox(
        "Open",
        list(by_id),
        index=places[0] if places else 0,
        format_func=lambda i: f"{outcome_text(by_id[i].outcome)} · {by_id[i].name}",
        key="run",
    )
    show_record(store.open_record(run_id))


def show_record(record: Record) -> None:
    """Show one evaluation: its verdict and, in tabs, everything behind it."""
    verdict = _choose_verdict(record)
    if verdict is not None:
        _verdict_box(record, verdict)
    else:
        st.warning(
            "This evaluation was not judged yet. Judge it with "
            "`qa-suite judge FOLDER --profile mr-to-ct-pelvis`."
        )
    names = (
        "Findings",
        "Cohort",
        "Sites",
        "Measures",
        "Curves",
        "Dose",
        "Worst cases",
        "Report",
        "Provenance",
    )
    findings, cohort, sites, measures, curves, doses, cases, report, provenance = st.tabs(names)
    with findings:
        _show_findings(verdict)
    with cohort:
        show_cohort(record, verdict)
    with sites:
        _show_sites(record, verdict)
    with measures:
        tables.show_measures(record, verdict)
    with curves:
        tables.show_curves(record, verdict)
    with doses:
        doses_page.show_dose(record, verdict)
    with cases:
        _show_pictures(store.pictures(record))
    with report:
        _show_report(record)
    with provenance:
        st.json(record.evaluation.model_dump(mode="json"), expanded=1)


def _choose_verdict(record: Record) -> Verdict | None:
    written = record.judged.written
    if not written:
        return None
    labels = [
        f"{one.title}{', superseded' if one.superseded_by else ''}" for one in reversed(written)
    ]
    if len(labels) == 1:
        return written[0].verdict
    st.markdown(f"**Overall:** {record.judged.sentence}")
    place = st.selectbox(
        "Verdict", range(len(labels)), format_func=lambda i: labels[i], key="profile"
    )
    return written[-1 - place].verdict


def _verdict_box(record: Record, verdict: Verdict) -> None:
    standing = standing_among(record.judged, record.evaluation, verdict)
    symbol, word = standing.title
    rows = [
        ("Intended use", verdict.profile.intended_use),
        ("Exam of the examiner", exam_said(verdict.profile)),
        *standing.rows,
    ]
    lines = "".join(f"<dt>{label}</dt><dd>{escape(text)}</dd>" for label, text in rows)
    own = f"<strong>{escape(standing.own)}</strong> " if standing.own else ""
    st.html(
        f'<div class="verdict {standing.colour}"><b>{symbol} {word}</b>'
        f"<span>{own}{escape(verdict.sentence)}</span><dl>{lines}</dl></div>"
    )
    for notice in (*standing.warnings, *verdict.announced):
        st.warning(notice)


def _show_findings(verdict: Verdict | None) -> None:
    if verdict is None:
        st.write("undefined: there is no verdict.")
        return
    rows = [row for group in html.finding_rows(verdict.findings) for row in group]
    body = "".join(
        f"<tr><td>{escape(row.finding.criterion.name)}<br><small>"
        f"{escape(wording.criterion_text(row.finding.criterion))}</small></td>"
        f"<td>{escape(wording.scope_text(row.finding))}</td>"
        f"<td>{escape(wording.estimate_text(row.finding))}<br><small>"
        f"{escape(wording.finding_interval(row.finding))}</small></td>"
        f"<td>{drawing(row.bar, 'bar', row.finding.sentence)}</td>"
        f"<td>{row.finding.patients}</td><td>{row.finding.missing}</td>"
        f"<td>{escape(outcome_text(row.finding.outcome))}<br><small>"
        f"{escape(row.finding.because)}</small></td></tr>"
        for row in rows
    )
    head = ("Criterion", "Scope", "Estimate", "Against the bound", "Patients", "Missing", "Outcome")
    titles = "".join(f"<th>{name}</th>" for name in head)
    st.html(f'<table class="plain"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>')


def _show_sites(record: Record, verdict: Verdict | None) -> None:
    if verdict is not None and verdict.site_gaps:
        for gap in verdict.site_gaps:
            if gap.shifted and not gap.in_training:
                st.markdown(f"▲ **shifted** {escape(gap.sentence)}")
    if verdict is None:
        st.write("undefined: there is no verdict whose measures could be shown.")
        return
    table = read_measurements(record.folder)
    table = table[~table["case"].isin(set(verdict.excluded))]
    columns = st.columns(2)
    for place, plot in enumerate(distributions(table, record.evaluation, verdict)):
        with columns[place % 2]:
            title = wording.measure_title(plot.metric, plot.region, plot.variant)
            st.markdown(f"**{title}**")
            st.html(drawing(strips.strip_plot(plot), "strip", f"{title} by site"))
            for site in plot.sites:
                if said := named_cases(dict(site.without)):
                    st.html(f"<small>{escape(site.site)}: {escape(said)}</small>")


def _show_pictures(pictures: Sequence[PictureCase]) -> None:
    if not pictures:
        st.info("No volumes were kept; evaluate with `--keep-volumes worst` to see cases.")
        return
    labels = [_picture_label(p) for p in pictures]
    left, right = st.columns((2, 1))
    start = len(pictures) - 1
    place = left.selectbox(
        "Case", range(len(labels)), index=start, format_func=lambda i: labels[i], key="case"
    )
    planes: tuple[slices.Plane, ...] = ("axial", "coronal", "sagittal")
    plane = right.radio("Plane", planes, horizontal=True, key="plane")
    picture = pictures[place]
    try:
        images = _load(picture.key, picture)
    except QAError as error:
        st.error(str(error))
        return
    last = images.mask.shape[slices.AXIS_OF[plane]] - 1
    index = 0
    if last:
        worst = slices.worst_slice(images, plane)
        index = st.slider("Slice", 0, last, worst, key=f"slice-{picture.case}-{plane}")
    _draw(images, picture, plane, index)


def _picture_label(picture: PictureCase) -> str:
    value = wording.quantity(picture.value, picture.unit, picture.why)
    return f"{', '.join(picture.roles)}: {picture.case}, site {picture.site}, MAE {value}"


@st.cache_resource(max_entries=4, show_spinner="Reading volumes ...")
def _load(key: tuple[object, ...], _picture: PictureCase) -> slices.CaseImages:
    return _picture.load()


def _draw(images: slices.CaseImages, picture: PictureCase, plane: slices.Plane, index: int) -> None:
    windows = windows_of(images)
    roles = [r for r in html.PANEL_ROLES if r != "source" or images.source is not None]
    where = slices.slice_label(images, plane, index)
    told = captions(images, windows)
    for column, role, caption in zip(st.columns(len(roles)), roles, told, strict=True):
        with column:
            st.markdown(f"**{role.capitalize()}**")
            title = f"{picture.case}, {role}, {where}"
            panel = panels.case_panel(images, role, plane, index, windows, title=title)
            st.html(drawing(panel, "panel", title))
            if role == "difference":
                bar = panels.colour_bar(windows, "difference")
                st.html(drawing(bar, "colourbar", f"colour bar in {windows.unit}"))
            st.caption(caption)
    st.caption(f"{where}. Radiological view: the patient's right is on the left of the image.")


def _show_report(record: Record) -> None:
    if record.report is None:
        st.info("No report was written; write one with `qa-suite report FOLDER --profile NAME`.")
        return
    page = record.report.read_text(encoding="utf-8")
    st.download_button(
        "Download the report",
        page,
        file_name=f"report-{record.evaluation.evaluation[:12]}.html",
        mime="text/html",
        key="download",
    )
    # Chromium shows no data address above 2 MB. An empty sandbox gives the page an origin of its
    # own and no script: a page from the store never reaches the dashboard.
    st.iframe(
        f'<iframe sandbox srcdoc="{escape(page)}" title="report" '
        f'style="width:100%;height:990px;border:0"></iframe>',
        height=1000,
    )
