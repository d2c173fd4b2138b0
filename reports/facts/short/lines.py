"""What the short report says beside the findings: whom, worst patients, dose, the reference."""

from __future__ import annotations

from qa_suite.core.wording import count, listing, some
from reports.facts import wording
from reports.facts.dose_spread import Spread
from reports.facts.patients import over_one_site
from reports.facts.readiness import Readiness
from reports.facts.short.records import Line, ShortComparator, ShortDose, WorstCase

MOST_WORST_CASES = 6


def facts_of(found: Readiness) -> list[tuple[str, str]]:
    """Return label and text of what must be known with the verdict."""
    verdict, evaluation = found.verdict, found.evaluation
    whom = verdict.speaks_of_said
    held_out = evaluation.case_counts.get("held_out", 0)
    sites = evaluation.cohort.sites
    return [
        ("Intended use", verdict.profile.intended_use),
        (
            "Evidence",
            f"{count(found.flow[-1].count, 'case')} measured and judged, of {held_out} held out, "
            f"at {count(len(sites), 'site')} ({', '.join(sites)})",
        ),
        ("Speaks of", in_short(whom)),
        *found.standing.rows,
        ("Cost", found.cost or "the record holds no cost"),
    ]


def in_short(whom: str) -> str:
    """Return of whom a verdict speaks without its lists: how many, where, and who is new.

    Examples
    --------
    >>> in_short("It speaks of 2 patients of 1 site (A); sexes M (2). In it, though never trained "
    ...     "on: site B.")
    'It speaks of 2 patients of 1 site (A). In it, though never trained on: site B.'
    """
    first, _, rest = whom.partition(". ")
    first = first.partition("; ")[0].rstrip(".")
    return f"{first}. {rest}" if rest else f"{first}."


def worst_cases_of(found: Readiness) -> tuple[WorstCase, ...]:
    """Return the worst patients of the measures that the profile bounds, the worst site first."""
    worst = []
    for plot in found.distributions:
        if not plot.criteria:
            continue
        better = str(found.evaluation.definitions.get(plot.metric, {}).get("direction", "none"))
        patient = over_one_site(plot, better)
        if patient is not None:
            site, value = patient
            worst.append(
                WorstCase(
                    cases=value.cases,
                    site=site,
                    measure=wording.measure_title(plot.metric, plot.region, plot.variant),
                    text=value.text(plot.unit),
                )
            )
    return tuple(worst[:MOST_WORST_CASES])


def dose_of(found: Readiness) -> list[ShortDose]:
    """Return the numbers of every plan, on both images."""
    rows = []
    for plan in () if found.dose is None else found.dose.plans:
        for metric in plan.metrics:
            rows.append(
                ShortDose(
                    plan=plan.facts.key,
                    what=metric.name,
                    reference=_mean(metric.reference),
                    synthetic=_mean(metric.synthetic),
                    difference=_mean(metric.difference_pct, sign=True),
                    patients=metric.difference.patients,
                )
            )
        for gamma in plan.gammas:
            rows.append(
                ShortDose(
                    plan=plan.facts.key,
                    what=f"γ pass rate {gamma.title}, body",
                    reference="–",
                    synthetic=_mean(gamma.body),
                    difference="–",
                    patients=gamma.body.patients,
                )
            )
    return rows


def _mean(found: Spread, *, sign: bool = False) -> str:
    if found.censored:
        return f"no mean: {found.censored}"
    return wording.dose_quantity(found.mean, found.unit, found.why, sign=sign)


def reference_of(found: Readiness) -> list[Line]:
    """Say how sure the reference itself is: alignment, anatomy, HLUT, the examiner's own tools."""
    lines = []
    for name, label in (
        ("alignment_displacement_95", "Residual registration"),
        ("overlap", "Same part of the body"),
    ):
        checks = [case.preflight[name] for case in found.cases if name in case.preflight]
        values = [one.value for one in checks if one.value is not None]
        if not checks:
            continue
        lacking = len(checks) - len(values)
        words = (
            f"median {wording.quantity(sorted(values)[len(values) // 2], checks[0].unit)}, from "
            f"{wording.quantity(min(values), checks[0].unit)} to "
            f"{wording.quantity(max(values), checks[0].unit)} in {count(len(values), 'case')}"
            if values
            else "determined in no case"
        )
        more = f"; undetermined in {lacking}" if lacking else ""
        lines.append(Line(label=label, text=f"{words}{more}."))
    days = sorted(
        abs(int(case.strata["scan_interval_days"] or 0))
        for case in found.cases
        if case.strata.get("scan_interval_days") is not None
    )
    lines.append(
        Line(
            label="Anatomy between the scans",
            text=f"{days[0]} to {days[-1]} days apart in {count(len(days), 'case')}."
            if days
            else "Days between the scans are not recorded; what changed meanwhile counts as error.",
        )
    )
    hluts = sorted({_short_digest(text) for case in found.cases for text in case.hluts.values()})
    lines.append(
        Line(
            label="HU to density",
            text=f"One table for both images: {listing(some(hluts, 3))}. Its own error is in both "
            f"doses and in no difference."
            if hluts
            else "No dose was computed, so no table of densities took part.",
        )
    )
    for tool in found.evaluation.instruments:
        if tool.noise_floor:
            told = [f"{name} {value:.2f}" for name, value in sorted(tool.noise_floor.items())]
            lines.append(
                Line(
                    label=f"Segmenter {tool.name}",
                    text=f"Dice against true labels on real CTs: {listing(some(told, 6))}; what "
                    f"lies between that and 1 is its own error.",
                )
            )
    return lines


def _short_digest(text: str) -> str:
    """Return a table's name with the beginning of its digest."""
    name, mark, digest = text.partition("sha256:")
    return f"{name.strip()} ({digest[:8]})" if mark else text


def comparators_of(found: Readiness) -> tuple[ShortComparator, ...]:
    """Return each measure at each site beside floor and baseline."""
    return tuple(
        ShortComparator(
            site=row.site,
            measure=wording.measure_title(row.metric, row.region),
            floor=wording.quantity(row.floor, row.unit, "not evaluated"),
            model=wording.quantity(row.model, row.unit, row.why),
            baseline=wording.quantity(row.baseline, row.unit, "not evaluated"),
            improvement=row.why if row.improvement is None else wording.share(row.improvement),
        )
        for row in found.comparison
    )


def changes_of(found: Readiness) -> list[Line]:
    """Say which change asks for which examination again."""
    e = found.evaluation
    return [
        Line(
            label="The model (weights, settings, version)",
            text=f"The whole examination under the same lock, and 'qa-suite compare' with "
            f"{e.model.uri}.",
        ),
        Line(
            label="Scanner, coil, sequence or protocol of the source image",
            text="Check-ups of new patients at once; the whole examination with patients of the "
            "new protocol, since the verdict speaks of those named under Whom.",
        ),
        Line(
            label="CT scanner, kernel or tube voltage of the reference; HU to density table",
            text="The dose criteria anew, with the table of that scanner.",
        ),
        Line(
            label="Planning system, technique or energy",
            text="The dose criteria anew, with a plan of that kind.",
        ),
        Line(
            label=f"qa-suite {e.code.suite_version}",
            text="'qa-suite judge' with the new version on the old record; measured anew where the "
            "changelog says that a measure changed.",
        ),
    ]


def provenance_of(found: Readiness) -> list[Line]:
    """Return what was examined, on what, with which code."""
    e, v = found.evaluation, found.verdict
    code = e.code
    dirty = {True: ", with uncommitted changes", False: "", None: ", changes unknown"}
    cohort = e.cohort
    lines = [
        ("Model", e.model.uri),
        ("Weights SHA-256", e.model.weights_sha256 or "the model carries no weight hash"),
        ("Training sites", ", ".join(e.model.training_sites) or "the model does not say"),
        (
            "Cohort",
            f"{cohort.name}, {wording.direction_text(cohort.direction)}, {cohort.anatomy}, "
            f"{cohort.split}: {count(cohort.patients, 'patient')}, {count(cohort.cases, 'case')}",
        ),
        ("Cohort digest", cohort.digest),
        ("Profile SHA-256", v.profile_sha256),
        (
            "Measured with",
            f"qa-suite {code.suite_version} at {(code.git_commit or 'no commit')[:12]}"
            f"{dirty[code.git_dirty] if code.git_commit else ''}, Python {code.python}",
        ),
        *((f"SHA-256 of {name}", digest) for name, digest in sorted(e.tables_sha256.items())),
    ]
    return [Line(label=label, text=text) for label, text in lines]
