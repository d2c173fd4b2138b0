"""What kind of number a measure is, and what values it can take.

The kind decides which interval its mean has (:mod:`qa_suite.judging.mean_intervals`). Every
metric declares it beside its range; the two must agree. The record keeps both, so that judging
needs no registry.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from qa_suite.core.errors import InputError

Kind = Literal["event", "count", "bounded", "positive", "signed"]
"""Of a measure's values:

- ``event``: 0 or 1, such as a missed structure;
- ``count``: whole numbers from an end upwards, such as components;
- ``bounded``: between two ends that values come near to, such as Dice, NCC and pass rates;
- ``positive``: not negative and without an upper end, such as MAE and distances;
- ``signed``: on both sides of nought, such as ME and dose differences.
"""
KINDS: tuple[Kind, ...] = get_args(Kind)

_NUMBER = r"-?(?:inf|\d+(?:\.\d+)?)"
_SPELLING = re.compile(rf"(integers in )?([\[(])({_NUMBER}), ({_NUMBER})([\])])")
_ROUNDING = 1e-9  # of the end's size or of 1: sums round, and 1.0000000000000002 is 1


# ---------------------------------------------------------------------------------------
# The range: one spelling, read by people and held by a test. [0, 1], (0, inf), [-100, 100): a
# closed or open end each; an infinite end is open. "integers in [0, inf)": whole numbers alone.


@dataclass(frozen=True, kw_only=True)
class ValueRange:
    """What values a metric can take.

    Parameters
    ----------
    low, high
        The ends; infinite ones are open.
    holds_low, holds_high
        Whether the ends belong to the range.
    whole
        Whether only whole numbers occur.
    """

    low: float
    high: float
    holds_low: bool
    holds_high: bool
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether a value lies in the range, but for the rounding of a sum."""
        if not math.isfinite(value) or (self.whole and value != round(value)):
            return False
        above = self.low < value or (self.holds_low and value >= self.low - end_slack(self.low))
        below = value < self.high or (self.holds_high and value <= self.high + end_slack(self.high))
        return above and below


def end_slack(end: float) -> float:
    """Return how far a sum may round off an end of a range."""
    return _ROUNDING * max(1.0, abs(end))


def parse_range(text: str) -> ValueRange:
    """Read a range, such as ``[0, 1]`` or ``integers in [0, inf)``.

    Raises
    ------
    InputError
        If it is spelled otherwise, empty, or claims to reach an infinite end.
    """
    found = _SPELLING.fullmatch(text)
    if found is None:
        raise InputError(
            f"{text!r} is no range; write [0, 1], (0, inf) or 'integers in [0, inf)', with round "
            f"brackets where the end is not reached."
        )
    whole, left, low, high, right = found.groups()
    result = ValueRange(
        low=float(low),
        high=float(high),
        holds_low=left == "[",
        holds_high=right == "]",
        whole=whole is not None,
    )
    for end, held in ((result.low, result.holds_low), (result.high, result.holds_high)):
        if math.isinf(end) and held:
            raise InputError(f"The range {text!r} is closed at an infinite end; open it.")
    if not result.low < result.high:
        raise InputError(f"The range {text!r} is empty: its ends must ascend.")
    return result


# ---------------------------------------------------------------------------------------
# The kind


def kinds_of(span: ValueRange) -> tuple[Kind, ...]:
    """Return the kinds that a range allows, the likeliest first.

    A measure with two ends on either side of nought may be ``bounded`` (a correlation, which
    comes near to one) or ``signed`` (a difference of volumes in per cent, which does not).
    """
    if span.whole:
        return ("event",) if (span.low, span.high) == (0, 1) else ("count",)
    if math.isfinite(span.low) and math.isfinite(span.high):
        return ("bounded", "signed") if span.low < 0 < span.high else ("bounded",)
    return ("positive",) if span.low >= 0 else ("signed",)


def require_kind(kind: Kind, span: ValueRange) -> None:
    """Refuse a kind that a range does not allow.

    Raises
    ------
    InputError
        With the kinds that it allows.
    """
    allowed = kinds_of(span)
    if kind not in allowed:
        raise InputError(
            f"a measure with that range is of the kind {' or '.join(allowed)}, not {kind}"
        )


@dataclass(frozen=True, kw_only=True)
class MeasureKind:
    """The kind of a measure and its range, as the interval of its mean needs them.

    Parameters
    ----------
    kind
        Of its values.
    low, high
        Ends of its range; infinite where there is none.
    declared
        Whether the record says the kind; else it follows from the range, or from nothing.
    """

    kind: Kind
    low: float = -math.inf
    high: float = math.inf
    declared: bool = True


UNKNOWN_KIND = MeasureKind(kind="signed", declared=False)
"""Of a measure whose record holds neither kind nor range: values on the whole line."""


def kind_in(definition: Mapping[str, Any] | None) -> MeasureKind:
    """Return a measure's kind by what a record says of it: its entry in ``definitions``.

    A record from before kinds were declared has the range alone, which gives the likeliest
    kind; a record without even that leaves :data:`UNKNOWN_KIND`.
    """
    if not definition or "range" not in definition:
        return UNKNOWN_KIND
    span = parse_range(str(definition["range"]))
    kind = definition.get("kind")
    if kind in KINDS:
        return MeasureKind(kind=kind, low=span.low, high=span.high)
    likeliest = kinds_of(span)
    differs = definition.get("direction") == "zero" and "signed" in likeliest
    return MeasureKind(
        kind="signed" if differs else likeliest[0], low=span.low, high=span.high, declared=False
    )
