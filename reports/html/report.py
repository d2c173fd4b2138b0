"""The report: one self-contained HTML page of a verdict and the record it rests on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from markupsafe import Markup

from qa_suite.core.errors import QAError
from qa_suite.core.records import Finding, SiteGap, Verdict
from qa_suite.core.signing.reviewers import Reviewers
from qa_suite.core.wording import some
from reports.facts import slices, wording
from reports.facts.exams import exam_of, exam_said, known_to_find
from reports.facts.meaning import sites_compared, verdict_meaning
from reports.facts.pictures import PictureCase, captions, windows_of
from reports.facts.plain_rows import plain_rows
from reports.facts.readiness import (
    Readiness,
    gather,
    preflight_counts,
    preflight_doubts,
    told_one_by_one,
)
from reports.facts.worst import worst_site
from reports.figures import curve_plots, numbers, panels, strips
from reports.figures import intervals as figures
from reports.html.dose import plan_views
from reports.html.page import filled, write_page

PANEL_ROLES = ("source", "reference", "synthetic", "difference")


@dataclass(frozen=True, kw_only=True)
class FindingRow:
    """One finding and its drawing."""

    finding: Finding
    bar: Markup


@dataclass(frozen=True, kw_only=True)
class GapRow:
    """One site's gap and its drawing."""

    gap: SiteGap
    bar: Markup


@dataclass(frozen=True, kw_only=True)
class PictureView:
    """One case's picture rows, or the reason why there are none."""

    picture: PictureCase
    rows: tuple[tuple[str, tuple[Markup, ...]], ...] = ()
    captions: tuple[str, ...] = ()
    colour_bar: str = ""
    problem: str = ""


def write_report(
    folder: Path,
    verdict: Verdict,
    out: Path,
    *,
    floor: Path | None = None,
    baseline: Path | None = None,
    reviewers: Reviewers | None = None,
) -> Path:
    """Write the report of one verdict (all at once or not at all); return its path.

    Parameters
    ----------
    folder
        The evaluation.
    verdict
        Its verdict under one profile.
    out
        The HTML file to write.
    floor
        Evaluation of the oracle (the noise-free truth) on the same cohort: what nobody can
        beat.
    baseline
        Evaluation of the simplest translator on the same cohort: what must be beaten.
    reviewers
        Whose signatures count; without it none does.

    Raises
    ------
    InputError
        If the record is not whole, or verdict or companions belong to something else.
    """
    found = gather(folder, verdict, floor=floor, baseline=baseline, reviewers=reviewers)
    return write_page(render(found), out)


def render(readiness: Readiness) -> str:
    """Return the page; the same record gives the same bytes."""
    gaps = gap_tables(readiness.verdict.site_gaps)
    return filled(
        "report.html.j2",
        {
            "words": wording.OUTCOME_WORDS,
            "plain": plain_rows,
            "title_of": partial(wording.metric_title, definitions=readiness.evaluation.definitions),
        },
        r=readiness,
        verdict=readiness.verdict,
        evaluation=readiness.evaluation,
        meaning=verdict_meaning(readiness.verdict, readiness.cases),
        worst_site=worst_site(readiness.verdict),
        exam=exam_of(readiness.verdict.profile),
        exam_said=exam_said(readiness.verdict.profile),
        finds=known_to_find(
            readiness.verdict.profile, [f.criterion.name for f in readiness.verdict.findings]
        ),
        findings=finding_rows(readiness.verdict.findings),
        gaps=gaps,
        notable_gaps=[rows for rows in gaps if any(row.gap.shifted for row in rows)],
        quiet_gaps=[rows for rows in gaps if not any(row.gap.shifted for row in rows)],
        compared=sites_compared(readiness.verdict.site_gaps, readiness.evaluation.model),
        uncompared=_uncompared,
        shifted_sites=_worse(readiness.verdict.site_gaps, in_training=False),
        uneven_sites=_worse(readiness.verdict.site_gaps, in_training=True),
        flow=Markup(figures.flow_diagram(readiness.flow)),
        strips=[
            (plot, Markup(strips.strip_plot(plot)), numbers.strip_numbers(plot))
            for plot in readiness.distributions
        ],
        curves=[
            (
                figure,
                Markup(curve_plots.curve_plot(figure)),
                curve_plots.curve_caption(figure),
                numbers.curve_numbers(figure),
            )
            for figure in readiness.curves
        ],
        doses=plan_views(readiness.dose),
        pictures=[picture_view(picture) for picture in readiness.pictures],
        picture_titles=_picture_titles(readiness),
        preflight_counts=preflight_counts(readiness.cases),
        preflight_doubts=preflight_doubts(readiness.cases),
        told=told_one_by_one(readiness.cases),
    )


def finding_rows(findings: Sequence[Finding]) -> tuple[tuple[FindingRow, ...], ...]:
    """Draw the findings, one group a criterion; those of one measure share one axis."""
    by_criterion: dict[str, list[FindingRow]] = defaultdict(list)
    for f, bar in zip(findings, figures.finding_bars(findings), strict=True):
        by_criterion[f.criterion.model_dump_json()].append(FindingRow(finding=f, bar=Markup(bar)))
    return tuple(tuple(rows) for rows in by_criterion.values())


def gap_tables(gaps: Sequence[SiteGap]) -> tuple[tuple[GapRow, ...], ...]:
    """Group the site gaps by measure, training sites first, and draw them on one axis each."""
    groups: dict[tuple[str, str, str], list[SiteGap]] = defaultdict(list)
    for gap in gaps:
        groups[(gap.metric, gap.region, gap.variant)].append(gap)
    tables = []
    for members in groups.values():
        span = figures.gap_range(members)
        ordered = sorted(members, key=lambda gap: (not gap.in_training, gap.site))
        rows = tuple(GapRow(gap=gap, bar=Markup(figures.gap_bar(gap, span))) for gap in ordered)
        tables.append(rows)
    return tuple(tables)


def _uncompared(tables: Sequence[Sequence[GapRow]]) -> int:
    """Count the measures in which no site could be compared."""
    return sum(all(row.gap.shifted is None for row in rows) for rows in tables)


def _worse(
    gaps: Sequence[SiteGap], *, in_training: bool
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Name the sites, new ones or training ones, and the first measures in which they are worse."""
    found: dict[str, list[str]] = defaultdict(list)
    for gap in gaps:
        if gap.shifted and gap.in_training == in_training:
            found[gap.site].append(wording.measure_title(gap.metric, gap.region, gap.variant))
    return tuple((site, tuple(some(measures, 5))) for site, measures in sorted(found.items()))


def picture_view(picture: PictureCase) -> PictureView:
    """Draw a case's axial and coronal slices; a volume that cannot be read gives its reason."""
    try:
        images = picture.load()
    except QAError as error:
        return PictureView(picture=picture, problem=str(error))
    windows = windows_of(images)
    roles = [r for r in PANEL_ROLES if r != "source" or images.source is not None]
    planes: tuple[slices.Plane, ...] = ("axial", "coronal")
    rows = []
    for plane in planes:
        index = slices.worst_slice(images, plane)
        label = slices.slice_label(images, plane, index)
        drawn = tuple(
            Markup(
                panels.case_panel(
                    images, role, plane, index, windows, title=f"{picture.case}, {role}, {label}"
                )
            )
            for role in roles
        )
        rows.append((label, drawn))
    return PictureView(
        picture=picture,
        rows=tuple(rows),
        captions=captions(images, windows),
        colour_bar=Markup(panels.colour_bar(windows, f"bar-{picture.case}")),
    )


def _picture_titles(readiness: Readiness) -> tuple[str, ...]:
    modalities = wording.direction_text(readiness.evaluation.cohort.direction).split(" → ")
    source, reference = [*modalities, "", ""][:2]
    return (
        f"Source {source}".strip(),
        f"Reference {reference}".strip(),
        f"Synthetic {reference}".strip(),
        "Synthetic − reference",
    )
