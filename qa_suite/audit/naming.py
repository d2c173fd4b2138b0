"""The primary family: which cells are named, by Holm's procedure over all its comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from qa_suite.audit.findings import Looked, gap_of
from qa_suite.audit.gaps import Contrast
from qa_suite.audit.power import chance_of_naming
from qa_suite.core.records import CellTest, Reach
from qa_suite.judging.comparisons import holm_levels, holm_p_values


def tests_of(
    looked: Sequence[Looked], *, confidence: float, size_in_sd: float
) -> tuple[CellTest | None, ...]:
    """Decide who is named, in the order given; None for what is no comparison of the family.

    Parameters
    ----------
    looked
        Every measure in every cell.
    confidence
        Family-wise: the chance of naming anybody wrongly is at most one minus this.
    size_in_sd
        The gap looked for where none was declared in the measure's unit.
    """
    family = [(one, one.tested) for one in looked if one.tested is not None]
    p_values = [found.p for _, found in family]
    levels = holm_levels(p_values, confidence=confidence)
    adjusted = holm_p_values(p_values)
    tests = {
        id(one): _test(one, found, level, p, (1 - confidence) / len(family), size_in_sd, confidence)
        for (one, found), level, p in zip(family, levels, adjusted, strict=True)
    }
    return tuple(tests.get(id(one)) for one in looked)


def size_of(one: Looked, size_in_sd: float) -> float | None:
    """Return the gap looked for in the measure's unit; None where no spread was seen."""
    if one.question.size is not None:
        return one.question.size
    return None if not one.sd else size_in_sd * one.sd


def _test(
    one: Looked,
    found: Contrast,
    level: float,
    p: float,
    first_level: float,
    size_in_sd: float,
    confidence: float,
) -> CellTest:
    gap = gap_of(found, one.against, level)
    size = size_of(one, size_in_sd)
    in_sd = size / one.sd if size is not None and one.sd else 0.0
    rejected = p <= 1 - confidence
    return CellTest(
        gap=gap,
        level=level,
        p=p,
        named=rejected and one.question.worse(found.gap, found.mean) > 0,
        reach=_reach(one, gap.low, gap.high, size),
        power=chance_of_naming(in_sd, found.n, found.sizes, found.shares, alpha=first_level),
    )


def _reach(one: Looked, low: float | None, high: float | None, size: float | None) -> Reach:
    """Say whether an interval reaches the size looked for as a whole, excludes it, or neither."""
    if low is None or high is None or size is None:
        return "open"
    if one.question.better == "zero":  # worse is farther from zero, so either side may be it
        if low >= size or high <= -size:
            return "reached"
        return "excluded" if -size < low and high < size else "open"
    worst, best = (high, low) if one.question.better == "lower" else (-low, -high)
    if best >= size:
        return "reached"
    return "excluded" if worst < size else "open"
