"""What the page of an audit says, in sentences; every number in them stands in the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qa_suite.audit.asked import AuditSettings, Question
from qa_suite.audit.findings import Looked
from qa_suite.audit.naming import size_of
from qa_suite.audit.power import TARGET
from qa_suite.core.records import AuditOutcome, CellTest, Finding, Gap
from qa_suite.core.wording import count, listing, number, percent, quantity, some, stated, suffix

Tested = tuple[Looked, CellTest | None]


def cell_sentence(one: Looked, test: CellTest | None, *, small_below: int) -> str:
    """Say one measure in one cell: estimate, gap, and what follows."""
    found, unit = one.judged, one.question.unit
    text = f"{one.question.name}, {one.group.name}: {_estimate(one, small_below)}"
    gap = gap_to_tell(one, test)
    untested = "" if one.group.facts.untested else one.untested
    if gap is None:
        return f"{text}; not compared: {untested}." if untested else f"{text}."
    text += f"; {_more(one.question, gap, unit)}"
    if test is None:
        return f"{text}: cannot be named, {untested}." if untested else f"{text}."
    if test.named:
        return f"{text}: named worse{_reach_words(one, test)}."
    lost = f" {found.missing} without a value." if found.missing else ""
    if one.question.worse(gap.estimate, found.estimate or 0.0) <= 0:
        return f"{text}: not worse.{lost}"
    return f"{text}: not named (the chance of naming was {chance(test.power)}).{lost}"


def gap_to_tell(one: Looked, test: CellTest | None) -> Gap | None:
    """Return the gap that says most: that of the test, else to those most alike."""
    if test is not None:
        return test.gap
    if one.group.is_site:
        return one.to_training or one.to_rest
    return one.within or one.to_rest


def why_no_interval(found: Finding, small_below: int) -> str:
    """Say why no interval of a cell is shown; empty where one is."""
    if found.estimate is None:
        return ""
    if found.patients < small_below:
        return "too few to interpret"
    if found.low is None or found.high is None:
        why = next((one.words for one in found.reasons if one.code == "no_interval"), "")
        return f"no interval: {why}" if why else "no interval"
    return ""


def _estimate(one: Looked, small_below: int) -> str:
    found, unit = one.judged, one.question.unit
    if found.estimate is None:
        return "no estimate" if found.patients else "no patient has a value"
    told = quantity(found.estimate, unit)
    why = why_no_interval(found, small_below)
    if why:
        return f"{told} in {count(found.patients, 'patient')}, {why}"
    assert found.low is not None and found.high is not None
    confidence = 100 * found.criterion.confidence
    return (
        f"{told} ({confidence:.4g} % CI {number(found.low)} to {number(found.high)}, "
        f"n = {found.patients})"
    )


def _more(question: Question, gap: Gap, unit: str) -> str:
    more = "more" if gap.estimate > 0 else "less"
    where = gap.to if gap.to.startswith(("other", "everybody")) else f"at {gap.to}"
    text = f"{quantity(abs(gap.estimate), unit)} {more} than {where}"
    if gap.low is None or gap.high is None:
        return text
    return f"{text} (gap interval {number(gap.low)} to {number(gap.high)}{suffix(unit)})"


def _reach_words(one: Looked, test: CellTest) -> str:
    return {
        "reached": ", by at least the size looked for",
        "excluded": ", though by less than the size looked for",
        "open": "",
    }[test.reach]


def chance(power: float) -> str:
    """Write a chance without ever rounding it to certainty: ``above 99 %``."""
    if power > 0.99:
        return "above 99 %"
    return "below 1 %" if power < 0.01 else percent(round(power, 2))


def overall(
    tested: Sequence[Tested], settings: AuditSettings, declared: int, missing: Mapping[str, str]
) -> tuple[AuditOutcome, str]:
    """Return the outcome of an audit and its sentence.

    Nothing named is no all-clear by itself: it is one only where every hospital could have been
    named with the chance that is asked for.
    """
    if not declared:
        return "described", "Described: no primary measure was declared, so nothing is named."
    named: dict[str, list[str]] = {}
    for one, test in tested:
        if test is not None and test.named:
            named.setdefault(one.group.name, []).append(one.question.name)
    if named:
        who = listing(some([f"{cell} ({listing(what)})" for cell, what in named.items()]))
        return "named", f"Named worse: {who}."
    doubts = _doubts(tested, missing)
    if doubts:
        return "undecided", f"Nothing is named, and that is no all-clear: {'; '.join(doubts)}."
    return "none_named", (
        f"No hospital and no stratum is named; one {_size_words(settings)} worse would have been, "
        f"at every hospital, in at least {percent(TARGET)} of audits."
    )


def _doubts(tested: Sequence[Tested], missing: Mapping[str, str]) -> list[str]:
    sites = [(one, test) for one, test in tested if one.group.is_site and one.question.primary]
    out = dict.fromkeys(missing, "no case")
    out |= {one.group.facts.cell: one.untested for one, test in sites if test is None}
    weak = {
        one.group.facts.cell: test.power
        for one, test in sorted(sites, key=lambda pair: -(pair[1].power if pair[1] else 0))
        if test is not None and test.power < TARGET
    }
    doubts = []
    if out:
        told = [f"{cell} ({why})" for cell, why in sorted(out.items())]
        doubts.append(f"not compared: {listing(some(told))}")
    if weak:
        told = [f"{cell} {chance(power)}" for cell, power in sorted(weak.items())]
        doubts.append(
            f"the chance of naming a hospital that is worse by the size looked for is below "
            f"{percent(TARGET)} at {listing(some(told))}"
        )
    return doubts


def power_sentence(tested: Sequence[Tested], settings: AuditSettings, declared: int) -> str:
    """Say what an audit of these patients finds."""
    sites = [(one, t) for one, t in tested if one.group.is_site and t is not None]
    if not declared or not sites:
        return "No hospital could be named, whatever its patients' values."
    weakest, least = min(sites, key=lambda pair: (pair[1].power, pair[0].group.name))
    counts = sorted({one.judged.patients for one, _ in sites})
    span = count(counts[-1], "patient")
    if len(counts) > 1:
        span = f"{counts[0]} to {span}"
    text = (
        f"A hospital {_size_words(settings)} worse in one of {count(declared, 'measure')} would "
        f"be named in {_at_least(least.power)} of audits with {span} a hospital"
    )
    if len(counts) > 1:
        text += f" (the least at {weakest.group.facts.cell}, n = {weakest.judged.patients})"
    others = [t for one, t in tested if not one.group.is_site and t is not None]
    if not others:
        return f"{text}."
    able = sum(t.power >= TARGET for t in others)
    return (
        f"{text}; of {count(len(others), 'comparison')} of other strata {able} have a chance of "
        f"{percent(TARGET)} or more."
    )


def _at_least(power: float) -> str:
    return "more than 99 %" if power > 0.99 else f"at least {percent(np_floor(power))}"


def np_floor(power: float) -> float:
    """Round a chance down to a hundredth, since it is promised."""
    return int(100 * power + 1e-9) / 100


def _size_words(settings: AuditSettings) -> str:
    text = f"{settings.size_in_sd:g} SD"
    if settings.sizes:
        own = [f"{name} {stated(size)}" for name, size in settings.sizes.items()]
        text += f" ({', '.join(own)} in its unit)"
    return text


def rules(family: int, declared: int, settings: AuditSettings) -> tuple[str, ...]:
    """Say how many questions there are and how they count."""
    alpha = percent(1 - settings.confidence)
    return (
        f"Primary family: {count(declared, 'declared measure')}, "
        f"{count(family, 'comparison')} of hospitals with the training sites and of strata with "
        f"other patients of the same hospitals. Holm's procedure (1979) over all of them keeps "
        f"the chance of naming anybody wrongly at or below {alpha}.",
        "All other measures are described: their intervals are not corrected, and nothing is "
        "named by them.",
        "That every hospital meets a bound is asked of each by itself, without correction: to "
        "pass, all must (intersection-union). To name a bad one is another question, and is "
        "corrected.",
        f"A cell with fewer than {count(settings.small_below, 'patient')} is shown and not "
        "interpreted. "
        f"Strata that are whole hospitals are not named: nothing tells them from the hospital.",
    )


def lead(tested: Sequence[Tested], settings: AuditSettings) -> str:
    """Say which cell is worst: among the named where there are any, else by its gap."""
    ranked = sorted(
        (place for pair in tested if (place := _badness(pair, settings)) is not None),
        key=lambda place: (place[0], place[1]),
        reverse=True,
    )
    if not ranked:
        return "No cell with enough patients is worse than those that it is compared with."
    _, _, (one, test) = ranked[0]
    text = cell_sentence(one, test, small_below=settings.small_below)
    criterion = one.question.criterion
    if criterion is not None and one.judged.outcome == "fail":
        text += f" The bound of {stated(criterion.bound, one.question.unit)} is missed there."
    same = one.group.facts.same_as
    if same:
        text += f" The same cases are {listing(some(same))}."
    return f"{'Worst' if test and test.named else 'Worst by its estimate, not named'}: {text}"


def _badness(
    pair: Tested, settings: AuditSettings
) -> tuple[tuple[bool, bool, float], str, Tested] | None:
    one, test = pair
    gap = gap_to_tell(one, test)
    if gap is None or one.judged.estimate is None or one.group.facts.untested == "not recorded":
        return None
    worse = one.question.worse(gap.estimate, one.judged.estimate)
    size = size_of(one, settings.size_in_sd)
    if worse <= 0 or not size:
        return None
    named = test is not None and test.named
    fails = one.question.criterion is not None and one.judged.outcome == "fail"
    return (named, fails, worse / size), one.group.name, pair
