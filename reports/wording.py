"""How the report writes numbers, units, names and outcomes."""

from __future__ import annotations

from typing import Final

METRIC_TITLES: Final[dict[str, str]] = {
    "mae": "mean absolute error",
    "me": "mean error",
    "rmse": "root mean square error",
    "psnr": "peak signal-to-noise ratio",
    "ssim": "structural similarity",
    "dice": "Dice coefficient",
    "surface_dice": "surface Dice",
    "hd95": "95th percentile Hausdorff distance",
    "mean_surface_distance": "mean surface distance",
}
STATISTIC_WORDS: Final[dict[str, str]] = {
    "mean": "mean",
    "median": "median",
    "max": "largest value",
    "min": "smallest value",
    "fraction_within": "share of patients",
}
OUTCOME_SYMBOLS: Final[dict[str, str]] = {"pass": "✓", "fail": "✕", "inconclusive": "?"}
UNIT_SIGNS: Final[dict[str, str]] = {"1": "", "": "", "deg": "°", "percent": "%"}
_DECIMALS: Final[dict[str, int]] = {"HU": 1, "1": 3, "": 3, "mm": 2, "dB": 1, "Gy": 2}


def measure_title(metric: str, region: str) -> str:
    """Write a metric in a region as people say it: ``mean absolute error, soft tissue``."""
    return f"{METRIC_TITLES.get(metric, metric.replace('_', ' '))}, {region.replace('_', ' ')}"


def unit_text(unit: str) -> str:
    """Return the unit as printed after a number; empty for plain numbers."""
    return UNIT_SIGNS.get(unit, unit)


def number(value: float, unit: str = "") -> str:
    """Write a number with the decimals usual for its unit, and a true minus sign.

    >>> number(-4.26, "HU")
    '−4.3'
    """
    decimals = _DECIMALS.get(unit)
    if decimals is None:
        size = abs(value)
        decimals = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def quantity(value: float | None, unit: str = "", why: str = "no reason was recorded") -> str:
    """Write a value with its unit, or ``undefined`` with the reason; never a blank."""
    if value is None:
        return f"undefined: {why}"
    unit = unit_text(unit)
    gap = "" if unit in ("", "°") else "\N{NO-BREAK SPACE}"
    return f"{number(value, unit_key(unit))}{gap}{unit}"


def unit_key(unit: str) -> str:
    """Return the unit's key in the table of decimals."""
    return "1" if unit == "" else unit


def interval(low: float | None, high: float | None, unit: str = "") -> str:
    """Write an interval as ``58.1 to 67.0``, or say that there is none."""
    if low is None and high is None:
        return "no interval"
    left = "unbounded" if low is None else number(low, unit_key(unit_text(unit)))
    right = "unbounded" if high is None else number(high, unit_key(unit_text(unit)))
    return f"{left} to {right}"


def signed(value: float, unit: str = "") -> str:
    """Write a difference with its sign."""
    text = number(value, unit_key(unit_text(unit)))
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"


def percent(share: float) -> str:
    """Write a share as whole per cent."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%".replace("-", "−")


def bound_text(direction: str, bound: float, unit: str) -> str:
    """Write a bound as ``≤ 80.0 HU``, ``≥ 0.800`` or ``within ±20.0 HU``."""
    sign = {"at_most": "≤ ", "at_least": "≥ ", "within": "within ±"}[direction]
    return sign + quantity(bound, unit)
