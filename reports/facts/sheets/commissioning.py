"""The commissioning in short: what was accepted on whom, its baselines, and when to test again."""

from __future__ import annotations

from statistics import fmean, stdev

from qa_suite.core.records import Finding
from reports.facts import wording
from reports.facts.patients import Distribution
from reports.facts.readiness import Readiness
from reports.facts.sheets.records import Cell, Points, Sheet, Table
from reports.facts.short.findings import worst_first
from reports.facts.short.records import Line, Short

_FACTS = ("Intended use", "Evidence", "Speaks of", "Dose", "Protocol", "Signatures", "Release")


def commissioning_sheet(short: Short, found: Readiness) -> Sheet:
    """Say what a clinic's physicist files when a model is taken into use.

    Acceptance: each criterion once, by its worst scope. Baselines: what the bounded measures are
    now, which later examinations and check-ups are held against.

    Parameters
    ----------
    short, found
        Of the verdict, as its report says it.
    """
    by_name = {one.criterion.name: one for one in reversed(worst_first(found.verdict))}
    accepted = [one for one in worst_first(found.verdict) if by_name[one.criterion.name] is one]
    tables = [
        Table(
            title="Acceptance",
            columns=("Criterion", "Asks", "Worst scope", "Estimate", "Interval", "n", "Outcome"),
            numeric=(False, False, False, True, True, True, False),
            rows=tuple(_accepted(one) for one in accepted),
            note="" if accepted else "No bound was tested: nothing is accepted by this profile.",
        ),
        Table(
            title="Baselines for later tests",
            columns=("Measure", "Site", "Patients", "Mean", "SD", "From", "To"),
            numeric=(False, False, True, True, True, True, True),
            rows=tuple(
                row for plot in found.distributions if plot.criteria for row in _baseline(plot)
            ),
            note="Of the judged patients, at sites that have any; none where a value is censored.",
        ),
    ]
    if short.dose:
        tables.append(
            Table(
                title="Dose",
                columns=("Plan", "What", "Reference", "Synthetic", "Difference", "n"),
                numeric=(False, False, True, True, True, True),
                rows=tuple(
                    (
                        Cell(text=row.plan),
                        Cell(text=row.what),
                        Cell(text=row.reference),
                        Cell(text=row.synthetic),
                        Cell(text=row.difference),
                        Cell(text=str(row.patients), value=row.patients),
                    )
                    for row in short.dose
                ),
                note="Means over patients; synthetic − reference.",
            )
        )
    return Sheet(
        kind="commissioning",
        title=f"Commissioning: {short.model}",
        identifier=short.verdict or "verdict not written down",
        evaluation=short.evaluation,
        at=short.at,
        symbol=short.symbol,
        headline=short.headline,
        colour=short.colour,
        sentence=short.sentence,
        facts=(
            Line(label="Model", text=short.model),
            Line(label="Profile", text=short.profile),
            *(line for line in short.front if line.label in _FACTS),
            Line(label="Worst site", text=short.worst_site),
            Line(label="Worst stratum", text=short.worst_stratum.text),
            Line(label="Exam of the examiner", text=short.exam),
            *short.reference,
        ),
        warnings=short.warnings,
        tables=tuple(tables),
        points=(
            Points(
                title="Not part of this commissioning",
                said=short.not_asked or ("The profile does not say what it does not ask.",),
            ),
            Points(
                title="What asks for which test again",
                said=tuple(f"{one.label}: {one.text}" for one in short.changes),
            ),
        ),
        to_sign=2,
        written_by=found.evaluation.code.suite_version,
    )


def _accepted(f: Finding) -> tuple[Cell, ...]:
    return (
        Cell(text=f.criterion.name),
        Cell(text=wording.criterion_text(f.criterion)),
        Cell(text=wording.scope_text(f)),
        Cell(text=wording.estimate_text(f), value=f.estimate),
        Cell(text=wording.finding_interval(f)),
        Cell(text=str(f.patients), value=f.patients),
        Cell(text=f"{wording.OUTCOME_SYMBOLS[f.outcome]} {f.outcome}"),
    )


def _baseline(plot: Distribution) -> list[tuple[Cell, ...]]:
    rows = []
    title = wording.measure_title(plot.metric, plot.region, plot.variant)
    for site in (one for one in plot.sites if one.values):
        numbers = [value.low for value in site.values if not value.censored]
        whole = bool(numbers) and len(numbers) == len(site.values)
        mean = fmean(numbers) if whole else None
        sd = stdev(numbers) if whole and len(numbers) > 1 else None
        rows.append(
            (
                Cell(text=title),
                Cell(text=site.site),
                Cell(text=str(len(site.values)), value=len(site.values)),
                Cell(text=wording.quantity(mean, plot.unit, "censored"), value=mean),
                Cell(
                    text=wording.quantity(sd, plot.unit, "one patient" if whole else "censored"),
                    value=sd,
                ),
                *(
                    Cell(
                        text=wording.quantity(end(numbers), plot.unit) if whole else "–",
                        value=end(numbers) if whole else None,
                    )
                    for end in (min, max)
                ),
            )
        )
    return rows
