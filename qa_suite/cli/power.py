"""The verb ``power``: how many patients and hospitals a question needs."""

from __future__ import annotations

from typing import Any

import typer

from qa_suite.cli import console
from qa_suite.cli.options import REQUIRED, Options, add_verb, argument, option
from qa_suite.core.wording import count

_SIZES = (5, 8, 10, 15, 20, 30, 40)
CONVENTION = (
    "Every interval of the suite is two-sided at the confidence, so each side errs with half of "
    "the rest (2.5 % at 95 %)."
)


def add_to(app: typer.Typer) -> None:
    """Add the verb of this file to the command."""
    add_verb(app, power, PowerOptions)


class PowerOptions(Options):
    """What is to be shown or found."""

    question: str = argument(
        REQUIRED,
        "share: of patients within a limit; mean: within a bound; gap: a bad site named; "
        "new-site: a further site within a bound.",
    )
    share: float = option(0.95, "share: of all patients that is to be shown.", gt=0, le=0.9999)
    inside: float = option(
        2.0,
        "mean, new-site: SD by which a good model lies inside (of patients; of site means).",
        gt=0,
    )
    findings: int = option(
        1, "mean, new-site: bounds that must all be met (criteria × sites).", ge=1
    )
    size: float = option(2.0, "gap: SD of patients by which the bad site is worse.", gt=0)
    measures: int = option(3, "gap: declared primary measures.", ge=1)
    sites: int = option(8, "gap: sites.", ge=2)
    training_sites: int = option(0, "gap: sites trained on, which others are compared with.", ge=0)
    strata: int = option(0, "gap: cells of other strata that may be named as well.", ge=0)
    chance: float | None = option(
        None,
        "Wanted; default: 0.8 that a good model passes, 0.95 that a bad site is named.",
        gt=0,
        lt=1,
    )
    confidence: float = option(
        0.95, "Of intervals, and family-wise of what is named.", gt=0.5, lt=1
    )
    as_json: bool = option(False, "Print JSON.", "json")


def power(asked: PowerOptions) -> None:
    """Say how many patients or sites a question needs, before anybody is measured.

    Example: `qa-suite power gap --size 2 --measures 3 --sites 8`
    """
    from qa_suite.core.errors import UnknownName
    from qa_suite.core.registry import unknown_name

    questions = {"share": _share, "mean": _mean, "gap": _gap, "new-site": _new_site}
    if asked.question not in questions:
        raise UnknownName(unknown_name("question", asked.question, list(questions)))
    answer, columns, rows = questions[asked.question](asked)
    if asked.as_json:
        table = [dict(zip(columns, row, strict=True)) for row in rows]
        console.show_json({"answer": answer, "convention": CONVENTION, "table": table})
        return
    console.show(answer)
    if rows:
        console.show_table("", columns, rows)
    console.show(CONVENTION)


Answer = tuple[str, tuple[str, ...], list[tuple[Any, ...]]]


def _share(asked: PowerOptions) -> Answer:
    from qa_suite.core.wording import percent
    from qa_suite.judging.power import all_must_meet

    def needed(confidence: float, misses: int) -> int:
        return all_must_meet(asked.share, confidence=confidence, misses=misses)

    one_sided = 2 * asked.confidence - 1
    rows: list[tuple[Any, ...]] = []
    for misses in range(4):
        two, one = needed(asked.confidence, misses), needed(one_sided, misses)
        rows.append((misses, f"{two - misses} of {two}", f"{one - misses} of {one}"))
    text = (
        f"That {percent(asked.share)} of all patients are within a limit is shown by "
        f"{needed(asked.confidence, 0)} of {needed(asked.confidence, 0)}."
    )
    columns = ("patients outside", "needed (two-sided, as the suite judges)", "one-sided")
    return text, columns, rows


def _mean(asked: PowerOptions) -> Answer:
    from qa_suite.core.wording import percent
    from qa_suite.judging.power import chance_to_pass, patients_needed

    chance = 0.8 if asked.chance is None else asked.chance
    found = patients_needed(
        asked.findings, sd_inside=asked.inside, power=chance, confidence=asked.confidence
    )
    rows: list[tuple[Any, ...]] = [
        (n, percent(round(p, 3)), percent(round(p**asked.findings, 3)))
        for n in _SIZES
        for p in [chance_to_pass(n, sd_inside=asked.inside, confidence=asked.confidence)]
    ]
    text = (
        f"A model whose mean lies {asked.inside:g} SD of patients inside each bound passes all of "
        f"{count(asked.findings, 'finding')} in at least {percent(chance)} of studies with "
        f"{count(found, 'patient')} a finding."
    )
    return text, ("patients", "passes one", "passes all"), rows


def _gap(asked: PowerOptions) -> Answer:
    from qa_suite.audit.power import TARGET, chance_at_a_site, patients_a_site
    from qa_suite.core.wording import percent

    audit: dict[str, Any] = {
        "size_in_sd": asked.size,
        "measures": asked.measures,
        "sites": asked.sites,
        "training_sites": asked.training_sites,
        "strata": asked.strata,
        "confidence": asked.confidence,
    }
    chance = TARGET if asked.chance is None else asked.chance
    found = patients_a_site(**audit, power=chance)
    rows: list[tuple[Any, ...]] = [
        (n, percent(round(chance_at_a_site(n, **audit), 3))) for n in _SIZES
    ]
    text = (
        f"A site {asked.size:g} SD worse in one of {count(asked.measures, 'measure')} would be "
        f"named in at least {percent(chance)} of audits with {count(found, 'patient')} a site, "
        "among "
        f"{count(asked.sites, 'site')}."
    )
    return text, ("patients a site", "named"), rows


def _new_site(asked: PowerOptions) -> Answer:
    from qa_suite.core.wording import percent
    from qa_suite.judging.power import hospitals_needed

    chance = 0.8 if asked.chance is None else asked.chance
    found = hospitals_needed(
        sd_inside=asked.inside, findings=asked.findings, power=chance, confidence=asked.confidence
    )
    text = (
        f"Where the mean over sites lies {asked.inside:g} SD of site means inside the bound, a "
        f"further site is shown to lie inside in at least {percent(chance)} of audits of "
        f"{count(found, 'site')} ({count(asked.findings, 'finding')})."
    )
    return text, (), []
