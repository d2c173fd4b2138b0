"""What a comparison of two models says, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from qa_suite.core.records import Answer, Asked, Compared, PairedFinding
from qa_suite.core.wording import (
    count,
    listing,
    measure_name,
    number,
    quantity,
    some,
    stated,
    suffix,
)

_ANSWERS = {"yes": "shown", "no": "excluded", "undecided": "not shown"}


def told(one: PairedFinding, asked: Asked, confidence: float) -> str:
    """Say one measure of both."""
    unit, n = one.unit, one.patients
    name = _name(one)
    if one.new is None or one.old is None or one.difference is None:
        return f"{name}: {count(n, 'patient')} with a value of both, too few to compare."
    text = f"{name}: {quantity(one.new, unit)} against {quantity(one.old, unit)}, difference "
    text += quantity(one.difference, unit)
    if one.low is None or one.high is None:
        text += f" (no interval, n = {n})"
    else:
        level = f"{100 * confidence:.4g} %"
        text += f" ({level} CI {number(one.low)} to {number(one.high)}{suffix(unit)}, n = {n})"
    text += f"; better in {one.wins}, worse in {one.losses}, alike in {one.ties}"
    if one.answer is not None and one.margin is not None:
        text += f"; {asked} by {stated(one.margin, unit)}: {_ANSWERS[one.answer]}"
    if one.lost_by_new:
        text += f"; the new one has no value of {listing(some(one.lost_by_new))}"
    return f"{text}."


def overall_sentence(
    found: Sequence[PairedFinding],
    asked: Asked,
    overall: Answer | None,
    new: Compared,
    old: Compared,
    confidence: float,
) -> str:
    """Say what the comparison comes to."""
    who = " against ".join(f"{one.model} {one.model_version or ''}".strip() for one in (new, old))
    primary = sum(one.primary for one in found)
    if overall is not None:
        return (
            f"{who}: {asked} is {_ANSWERS[overall]} in all of "
            f"{count(primary, 'primary measure')} together."
        )
    if not primary:
        return f"{who}: described; no primary measure was declared."
    shown = [one for one in found if one.p_holm is not None and one.p_holm <= 1 - confidence]
    if not shown:
        return f"{who}: no difference is shown, which is no proof that there is none."
    return f"{who}: a difference is shown in {listing(_name(one) for one in shown)}."


def rules(found: Sequence[PairedFinding], confidence: float) -> tuple[str, ...]:
    """Say how many questions there are and how they count."""
    primary = sum(one.primary for one in found)
    tail = 100 * (1 - confidence) / 2
    return (
        f"Differences are new minus old in the same patients; of a bias, of its magnitudes. "
        f"Intervals are two-sided at {100 * confidence:.4g} %.",
        f"Non-inferiority and equivalence are read off the interval: each of their one-sided tests "
        f"errs with at most {tail:.3g} %. All {count(primary, 'primary measure')} must answer yes "
        f"(intersection-union, no correction).",
        "That a difference is shown is told by Holm's procedure over the primary measures.",
        "A patient of whom the new one lost the value takes a yes away.",
    )


def _name(one: PairedFinding) -> str:
    name = measure_name(one.metric, one.region, one.variant)
    return f"{name}, magnitude" if one.better == "zero" else name
