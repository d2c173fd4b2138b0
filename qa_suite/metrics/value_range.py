"""The range of a metric: one spelling, read by people and held by a test.

``[0, 1]``, ``(0, inf)``, ``[-100, 100)``: a closed or open end each; an infinite end is open.
``integers in [0, inf)`` says that only whole numbers occur.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from qa_suite.core.errors import InputError

_NUMBER = r"-?(?:inf|\d+(?:\.\d+)?)"
_SPELLING = re.compile(rf"(integers in )?([\[(])({_NUMBER}), ({_NUMBER})([\])])")
_ROUNDING = 1e-9  # of the end's size or of 1: sums round, and 1.0000000000000002 is 1


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
        above = self.low < value or (self.holds_low and value >= self.low - _slack(self.low))
        below = value < self.high or (self.holds_high and value <= self.high + _slack(self.high))
        return above and below


def _slack(end: float) -> float:
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
