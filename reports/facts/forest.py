"""What a forest plot shows: a row a hospital or stratum."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One hospital or stratum.

    Parameters
    ----------
    name
        As it is written at the left; a row with nothing but a name is a heading.
    patients
        Written beside the name.
    mean, gap
        Estimate, low and high; the ends are None where there is no interval.
    told
        Words at the right end.
    home
        Whether the model was trained there; None where that does not arise.
    named, small
        Whether it is named, and whether it has too few patients to interpret.
    title
        Shown under the mouse.
    """

    name: str
    patients: int | None = None
    mean: tuple[float, float | None, float | None] | None = None
    gap: tuple[float, float | None, float | None] | None = None
    told: str = ""
    home: bool | None = None
    named: bool = False
    small: bool = False
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Forest:
    """A whole plot.

    Parameters
    ----------
    title, unit
        Of the measure.
    rows
        From above to below.
    bounds
        Values of the mean that the profile bounds, with their words.
    size
        The gap looked for, to the worse side or to both; None without one.
    worse
        ``right``, ``left`` or ``both``.
    overall
        Mean over everybody.
    """

    title: str
    unit: str
    rows: tuple[ForestRow, ...]
    bounds: tuple[tuple[float, str], ...] = ()
    size: float | None = None
    size_words: str = ""
    worse: str = "right"
    overall: float | None = None
    gap_title: str = "gap"
