"""The page of the simulations: docs/simulations.md."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.simulations.studies import Study
from qa_suite.judging.mean_regions import REGIONS
from qa_suite.judging.power import all_must_meet, chance_to_pass, patients_needed

_HEAD = """# What the intervals hold

Written by `make simulations`: {many:,} studies a row for single hospitals and pooled means,
{few:,} where each study takes the judge's own function. Two-sided 95 % intervals. *Misses above*
are studies whose interval lies wholly above the truth: a model exactly at a bound *at least* would
pass falsely; *below*, one at a bound *at most*. Both are shares of all studies, promised to be at
most 2.5 %; coverage is that of the studies with an interval. Width is the median, in units of the
mean. Rows with † lie outside the populations for which the promise is made: nothing in so few
values tells that patients unlike the others exist, which is why profiles bound each patient too.
How often an audit names a bad hospital, and a good one, is
[told with the audit](audit.md#how-often-that-is-right).

## Where an interval of a mean holds

| Kind | Method | Populations | Fewest values | Else undecided |
|---|---|---|---|---|
"""

_TABLE = """| Population | Examined | No interval | Coverage | Misses above | Misses below | Width |
|---|---|---|---|---|---|---|
"""


def page(
    parts: Sequence[tuple[str, str, Sequence[Study]]],
    tost: Sequence[tuple[int, float]],
    *,
    many: int,
    few: int,
) -> str:
    """Return the page.

    Parameters
    ----------
    parts
        Title, a sentence, and the studies of each section.
    tost
        Patients, and the share of equivalences at the margin.
    many, few
        Studies a row, of both ways.
    """
    text = _HEAD.format(many=many, few=few)
    for kind, region in REGIONS.items():
        beyond = "where all are alike"
        if kind == "event":
            beyond = "never"
        elif region.largest_cv is not None:
            beyond += f", CV above {100 * region.largest_cv:g} %"
        cells = (kind, region.method, region.populations, str(region.least), beyond)
        text += "| " + " | ".join(cells).replace("|skewness|", "\\|skewness\\|") + " |\n"
    for title, told, studies in parts:
        text += f"\n## {title}\n\n{told}\n\n{_TABLE}"
        text += "".join(_row(study) + "\n" for study in studies)
    text += "\n## Equivalence\n\nTwo one-sided tests at 5 % of a model exactly at the margin: "
    text += ", ".join(f"{100 * share:.1f} % with {n} patients" for n, share in tost) + ".\n"
    return text + _power()


def _row(study: Study) -> str:
    cells = (
        study.name + ("" if study.inside else " †"),
        study.design,
        f"{100 * study.undecided:.1f} %",
        f"{100 * study.coverage:.1f} %",
        f"{100 * study.too_high:.2f} %",
        f"{100 * study.too_low:.2f} %",
        f"{study.width:.2g}",
    )
    return "| " + " | ".join(cells) + " |"


def _power() -> str:
    text = """
## How many patients a profile needs

One convention for the whole suite: intervals are two-sided at the stated confidence. To show that
95 % of all patients meet a limit takes {two} of {two}; a one-sided 95 % limit, used nowhere, would
take {one} of {one} or {more} of {less}.

A good model lies two standard deviations between patients inside each bound. It passes *all*
findings of means (criteria times sites) with at least 80 % from so many patients a site on
(`qa_suite.judging.power.patients_needed`); the last column is its chance with five patients.

| Findings | Patients a site, 80 % | 90 % | One deviation inside, 80 % | Passes with 5 patients |
|---|---|---|---|---|
""".format(
        two=all_must_meet(0.95),
        one=all_must_meet(0.95, confidence=0.9),
        less=all_must_meet(0.95, confidence=0.9, misses=1),
        more=all_must_meet(0.95, confidence=0.9, misses=1) - 1,
    )
    for findings in range(1, 61):
        five = chance_to_pass(5, sd_inside=2.0) ** findings
        text += (
            f"| {findings} | {patients_needed(findings)} | {patients_needed(findings, power=0.9)} "
            f"| {patients_needed(findings, sd_inside=1.0)} | {100 * five:.0f} % |\n"
        )
    return text
