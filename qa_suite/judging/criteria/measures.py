"""What a profile may bound, as judging has to know it: which measures there are and where.

Judging imports no registry. Whoever reads a profile hands over what is known: of the registry, of a
record, or of both (:mod:`qa_suite.evaluation.profiles`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "zero", "none"]
WAY: dict[str, str] = {"lower": "at_most", "higher": "at_least", "zero": "within"}
"""Which way is better, to the direction of a bound on it."""
REFERENCE_UNITS = {"CT": "HU", "PT": "SUVbw"}
"""Modality of the real images to the unit of their errors; others have none of their own."""


@dataclass(frozen=True, kw_only=True)
class KnownMeasure:
    """The facts of one metric that a bound is held against.

    Parameters
    ----------
    unit
        Of its values; None where it depends on the real images and they are unknown.
    better
        Which way is better; ``none`` has no better side and may be bounded on either.
    low, high
        Ends of the values that it can have.
    whole
        Whether it is a count.
    regions, variants
        How they are spelled (:func:`fits`); None where nothing is known of them.
    not_for
        Why it has no meaning for the real images of this direction, or nothing.
    """

    unit: str | None
    better: Better
    low: float = float("-inf")
    high: float = float("inf")
    whole: bool = False
    regions: tuple[str, ...] | None = None
    variants: tuple[str, ...] | None = None
    not_for: str = ""


@dataclass(frozen=True, kw_only=True)
class Measures:
    """All that is known: every name, and the facts of one for a direction such as ``MR->CT``."""

    names: Callable[[], tuple[str, ...]]
    facts: Callable[[str, str], KnownMeasure | None]


def reference_of(direction: str) -> str | None:
    """Return the modality of the real images of a direction; None for ``any``."""
    _, arrow, target = direction.partition("->")
    return target if arrow else None


_PLACEHOLDERS: Mapping[str, str] = {"NAME": r"[^\s:](?:.*\S)?", "N": r"\d+(?:\.\d+)?"}


def fits(text: str, spellings: tuple[str, ...]) -> bool:
    """Say whether a region or variant is spelled in one of these ways.

    Parameters
    ----------
    text
        Such as ``structure:Rectum`` or ``photon-pelvis:2pct2mm``.
    spellings
        Such as ``structure:NAME`` and ``PLAN:NpctNmm``: NAME and PLAN are any name, N a number.
    """
    return any(_pattern(spelling).fullmatch(text) for spelling in spellings)


def _pattern(spelling: str) -> re.Pattern[str]:
    parts = re.split(r"(NAME|PLAN|N)", spelling)
    kinds = {**_PLACEHOLDERS, "PLAN": r"[^\s:]+"}
    return re.compile("".join(kinds.get(part) or re.escape(part) for part in parts))
