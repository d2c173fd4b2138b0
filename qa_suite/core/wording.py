"""How numbers, measures and cases are said in the sentences of findings and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

_NAMES = {
    "mae": "MAE",
    "me": "ME",
    "rmse": "RMSE",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "ncc": "NCC",
    "dice": "Dice",
    "hd": "HD",
    "hd95": "HD95",
    "assd": "ASSD",
    "surface_dice": "Surface Dice",
    "missed": "Missed structure",
}
for _name, _title in {
    "suv_mean": "SUVmean",
    "suv_max": "SUVmax",
    "suv_peak": "SUVpeak",
    "mtv": "MTV",
    "tlg": "TLG",
    "lesion_to_background": "Lesion-to-background ratio",
}.items():
    _NAMES |= {
        f"{_name}_reference": f"{_title} of the reference",
        f"{_name}_synthetic": f"{_title} of the synthetic image",
        f"{_name}_difference": f"{_title} difference",
        f"{_name}_difference_pct": f"{_title} difference, relative",
    }
_NAMES |= {"suv_mae": "MAE of the SUV", "suv_mae_pct": "MAE of the SUV, relative"}
for _name in ("D98", "D95", "D50", "D2", "Dmean", "Dmax"):
    _NAMES |= {
        f"{_name.lower()}_reference": f"{_name} on the reference",
        f"{_name.lower()}_synthetic": f"{_name} on the synthetic image",
        f"{_name.lower()}_difference": f"{_name} difference",
        f"{_name.lower()}_difference_pct": f"{_name} difference (of the prescription)",
    }
_UNITS = {"arbitrary": "a.u."}
_MOST_NAMED = 4
_LONGEST_SETTING = 5
FAR_FROM_PRESCRIPTION_PCT = 10.0
"""A target's mean dose further than this from its prescription is told; ICRU Report 50 wants the
whole target within 95 and 107 %."""


def measure_name(metric: str, region: str, variant: str = "default") -> str:
    """Say a measure: ``MAE in body``, ``Dice of Bone``, ``slice error in body [variant]``."""
    segmented = region.startswith("seg:")
    name = region.removeprefix("seg:").removeprefix("structure:")
    where = f"of {name}" if segmented else f"in {name}"
    more = "" if variant == "default" else f" [{variant}]"
    return f"{_NAMES.get(metric, metric.replace('_', ' '))} {where}{more}"


def number(value: float, *, apart_from: float | None = None) -> str:
    """Write a number with three significant digits, whole from 100 on.

    More digits are shown where rounding would make its magnitude look equal to that of
    ``apart_from``: −5.001 lies beyond ±5, and −5.00 would not.
    """
    size, other = abs(value), None if apart_from is None else abs(apart_from)
    for digits in range(3, 10):
        if other is None or size == other or _rounded(size, digits) != _rounded(other, digits):
            break
    return _rounded(value, digits)


def quantity(value: float, unit: str, *, apart_from: float | None = None) -> str:
    """Write a number with its unit; a dimensionless one has none."""
    return f"{number(value, apart_from=apart_from)}{suffix(unit)}"


def stated(value: float, unit: str = "") -> str:
    """Write a bound just as it was given, with its unit."""
    text = f"{abs(value):.10g}{suffix(unit)}"
    return f"−{text}" if value < 0 else text


def known(at_least: float | None, at_most: float | None, unit: str = "") -> str:
    """Say what is known of a censored value: ``at least 10 mm``."""
    low, high = (None if end is None else bound_number(end) for end in (at_least, at_most))
    if low is not None and high is not None:
        return f"between {low} and {high}{suffix(unit)}"
    if low is not None:
        return f"at least {low}{suffix(unit)}"
    return "unknown" if high is None else f"at most {high}{suffix(unit)}"


def brief(at_least: float | None, at_most: float | None) -> str:
    """Write what is known of a censored value as in a table: ``≥ 10``, ``≤ 3``, ``2 … 3``."""
    low, high = (None if end is None else bound_number(end) for end in (at_least, at_most))
    if low is not None and high is not None:
        return f"{low} … {high}"
    return f"≥ {low}" if low is not None else f"≤ {high}"


def bound_number(value: float) -> str:
    """Write the end of a window as it was set (10, not 10.0), another bound like any number."""
    as_set = stated(value)
    return as_set if len(as_set) <= _LONGEST_SETTING else number(value)


def suffix(unit: str) -> str:
    """Return the unit as it follows a number."""
    return "" if unit in ("", "1") else f" {_UNITS.get(unit, unit)}"


def percent(share: float) -> str:
    """Write a share as a percentage, to a tenth."""
    return f"{round(100 * share, 1):g} %"


def bound_text(direction: Literal["at_most", "at_least", "within"], bound: str) -> str:
    """Say what a bound asks for."""
    return {"at_most": f"at most {bound}", "at_least": f"at least {bound}", "within": f"±{bound}"}[
        direction
    ]


def count(n: int, singular: str, plural: str | None = None) -> str:
    """Say a number of things."""
    return f"{n} {singular if n == 1 else plural or singular + 's'}"


_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip


def ordinal(n: int) -> str:
    """Say a place in a row: ``third``, ``12th``."""
    if 1 <= n <= len(_ORDINALS):
        return _ORDINALS[n - 1]
    teen = n % 100 in (11, 12, 13)
    return f"{n}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def listing(names: Iterable[str]) -> str:
    """Join names as in a sentence: ``a, b and c``."""
    items = list(names)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def some(names: Sequence[str], most: int = 8) -> list[str]:
    """Return the first few names, and how many more there are."""
    if len(names) <= most:
        return list(names)
    return [*names[: most - 1], f"{len(names) - most + 1} more"]


def by_machine(beams: Iterable[tuple[str, str]]) -> list[str]:
    """Say which beams are computed by what.

    Parameters
    ----------
    beams
        Pairs of a beam's name and the words of what computes it.

    Returns
    -------
    list of str
        One sentence without a full stop for each of those words.
    """
    named: dict[str, list[str]] = {}
    for beam, why in beams:
        named.setdefault(why, []).append(beam)
    return [f"{why} ({', '.join(some(names))})" for why, names in named.items()]


def far_from_prescription(mean_gy: float, prescribed_gy: float) -> str:
    """Say that a target's mean dose is far from its prescription; empty where it is not.

    Parameters
    ----------
    mean_gy, prescribed_gy
        Of the whole course.
    """
    off = 100 * (mean_gy - prescribed_gy) / prescribed_gy
    if abs(off) <= FAR_FROM_PRESCRIPTION_PCT:
        return ""
    return (
        f"the target's mean dose is {mean_gy:.1f} Gy where {prescribed_gy:g} Gy are prescribed "
        f"({off:+.0f} %): percentages of the prescription, goals and gamma mean little before "
        f"that is understood (another target, fractions, machine or image than the plan's?)"
    )


def named_cases(reasons: Mapping[str, str]) -> str:
    """Name cases with their reasons, the first few in full and the others by count."""
    shown = [f"{case}: {reason}" for case, reason in sorted(reasons.items())[:_MOST_NAMED]]
    if len(reasons) > _MOST_NAMED:
        shown.append(f"and {len(reasons) - _MOST_NAMED} more")
    return "; ".join(shown)


def _rounded(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    rounded = abs(float(f"{value:.{digits}g}"))  # 0.9999 is written as 1
    whole = len(str(int(rounded))) if rounded >= 1 else 0
    if whole:
        places = max(0, digits - whole)
    else:
        # Three significant digits below one, but no longer tail than a reader can use.
        leading = len(f"{abs(value):.12f}".split(".")[1]) - len(
            f"{abs(value):.12f}".split(".")[1].lstrip("0")
        )
        places = min(digits + leading, digits + 3)
    text = f"{abs(value):.{places}f}"
    return f"−{text}" if value < 0 and float(text) != 0 else text
