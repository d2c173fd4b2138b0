"""The measures that are told first, and alone where there is room for few."""

from __future__ import annotations

from collections.abc import Iterable

Measure = tuple[str, str, str]
"""Metric, region and variant."""

HEADLINES: tuple[Measure, ...] = (
    ("mae", "body", "default"),
    ("me", "body", "default"),
    ("rmse", "body", "default"),
    ("psnr", "body", "default"),
    ("ssim", "body", "default"),
    ("mae", "bone", "default"),
    ("me", "bone", "default"),
    ("mae", "air", "default"),
)
"""After them stands the Dice of every structure."""


def first_of(
    known: Iterable[Measure], asked: Iterable[Measure] = (), most: int = 0
) -> list[Measure]:
    """Return the measures to tell of, the most telling first.

    Parameters
    ----------
    known
        Those that have a value.
    asked
        Those that a profile bounds: they come after the headlines.
    most
        How many; 0: the headlines, what is asked and the Dice of every structure alone. With a
        number the others follow, by name, until it is reached.
    """
    there = dict.fromkeys(known)
    dice = [one for one in there if one[0] == "dice" and one[2] == "default"]
    order = dict.fromkeys((*HEADLINES, *asked, *sorted(dice)))
    found = [one for one in order if one in there]
    if not most:
        return found
    return [*found, *sorted(one for one in there if one not in order)][:most]
