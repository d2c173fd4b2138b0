"""How the report writes numbers, units, names and outcomes.

Numbers are written as the sentences of findings write them (:mod:`qa_suite.core.wording`), so that
table and sentence never differ by rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from qa_suite.core.records import Criterion, Finding, PreflightValue, SiteGap, Verdict
from qa_suite.core.wording import (
    brief,
    count,
    known,
    listing,
    measure_name,
    number,
    percent,
    some,
    stated,
    suffix,
)

FAMILY_TITLES: Final[dict[str, str]] = {
    "image": "Image",
    "segmentation": "Segmentation",
    "geometry": "Geometry",
    "hallucination": "Hallucination and omission",
    "dose": "Dose",
    "pet": "PET: uptake of organs and lesions",
    "uncertainty": "Uncertainty",
    "reference_free": "Without a reference",
    "appearance": "Appearance of each image",
    "cost": "Cost of a translation",
}
DIRECTION_WORDS: Final[dict[str, str]] = {
    "lower": "↓ lower",
    "higher": "↑ higher",
    "zero": "→ zero",
    "none": "neither",
}
STATISTIC_WORDS: Final[dict[str, str]] = {
    "mean": "mean over patients",
    "median": "median over patients",
    "max": "worst patient",
    "min": "worst patient",
    "fraction_within": "share of patients",
}
UNSAID: Final = "undefined: no reason was recorded"
_HUNDREDTHS: Final = ("Gy", "%", "mm")
OUTCOME_SYMBOLS: Final[dict[str, str]] = {"pass": "✓", "fail": "✕", "inconclusive": "?"}
OUTCOME_WORDS: Final[dict[str, str]] = {
    "pass": "Pass",
    "fail": "Fail",
    "inconclusive": "Inconclusive",
}


DESCRIBED: Final = ("≡", "Described, not judged")
"""Symbol and word of a verdict under a profile that sets no bounds."""
_MODALITIES: Final = {"PT": "PET"}


def outcome_title(verdict: Verdict) -> tuple[str, str]:
    """Return the symbol and the word of a verdict."""
    if not verdict.profile.criteria:
        return DESCRIBED
    return OUTCOME_SYMBOLS[verdict.outcome], OUTCOME_WORDS[verdict.outcome]


def direction_text(direction: str) -> str:
    """Write a direction as people do: ``MR → PET``."""
    return " → ".join(_MODALITIES.get(part, part) for part in direction.split("->"))


def measure_title(metric: str, region: str, variant: str = "default") -> str:
    """Name a measure as the findings do: ``MAE in body``."""
    return measure_name(metric, region, variant)


def metric_title(metric: str, definitions: Mapping[str, Mapping[str, Any]]) -> str:
    """Spell a metric out as the record defines it; without a definition it keeps its name."""
    if metric == "family":
        return "The whole family"
    return str(definitions.get(metric, {}).get("title") or metric.replace("_", " "))


def region_title(region: str) -> str:
    """Name a region without the prefix of its kind."""
    return region.split(":", 1)[-1] if region.startswith(("seg:", "structure:")) else region


def listed(keys: Iterable[tuple[str, str, str, str]], most: int = 12) -> str:
    """Name measures (metric, region, variant, unit), each metric once with its regions."""
    regions: dict[str, list[str]] = {}
    for metric, region, variant, _ in sorted(keys):
        where = region if variant == "default" else f"{region} [{variant}]"
        regions.setdefault(metric, []).append(where)
    said = [f"{metric} ({', '.join(dict.fromkeys(where))})" for metric, where in regions.items()]
    return ", ".join(some(said, most))


def unit_text(unit: str) -> str:
    """Return the unit as printed; empty for plain numbers."""
    return suffix(unit).strip()


def quantity(value: float | None, unit: str = "", why: str = UNSAID) -> str:
    """Write a value with its unit, or what is said in its place; never a blank.

    ``why`` begins with what became of it: ``undefined: ...``, ``error: ...``, ``no mean: ...``,
    or the bound of a censored one.
    """
    if value is None:
        return why or UNSAID
    return f"{number(value)}{suffix(unit)}".replace(" ", "\N{NO-BREAK SPACE}")


def without_value(row: Any) -> str:
    """Say what stands in the place of a measurement's value: its bound, or why there is none."""
    if row.status == "censored":
        low, high = (
            None if end is None or end != end else end for end in (row.at_least, row.at_most)
        )
        return f"{known(low, high, row.unit)}: {row.why}"
    return f"{row.status}: {row.why or 'no reason was recorded'}"


def check_value(check: PreflightValue) -> str:
    """Write what a preflight check found, or that it is undetermined; never a number then."""
    if check.value is not None:
        return quantity(check.value, check.unit)
    if check.at_least is not None:
        return f"at least {quantity(check.at_least, check.unit)}"
    return "undetermined" if check.status == "undetermined" else "no number"


def gap_without(gap: SiteGap) -> str:
    """Say why a site has no mean."""
    if gap.censored:
        return f"no mean: {gap.censored} of {count(gap.patients, 'patient')} censored"
    return "undefined: no patient has a value"


def with_error(value: float, standard_error: float | None, unit: str = "") -> str:
    """Write a value as ``0.031 ± 0.004 HU``, or say that its error is not known."""
    if standard_error is None:
        return f"{quantity(value, unit)} (no standard error)"
    text = f"{number(value)} ± {number(standard_error)}{suffix(unit)}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def interval(low: float | None, high: float | None) -> str:
    """Write an interval as ``58.1 to 67.0``, or say that there is none."""
    if low is None or high is None:
        return "no interval"
    return f"{number(low)} to {number(high)}"


def signed(value: float, unit: str = "") -> str:
    """Write a difference with its sign and unit."""
    text = quantity(value, unit)
    return text if value <= 0 else f"+{text}"


def dose_quantity(value: float | None, unit: str, why: str = "", *, sign: bool = False) -> str:
    """Write a number of a dose table: Gy, % and mm to a hundredth, so that columns line up.

    A difference has its sign, unless it rounds to nothing.
    """
    if value is None or unit not in _HUNDREDTHS:
        return signed(value, unit) if sign and value is not None else quantity(value, unit, why)
    text = "100" if value == 100 and not sign else f"{abs(value):.2f}"
    nothing = float(text) == 0
    before = "" if nothing else "−" if value < 0 else "+" if sign else ""
    return f"{before}{text}{suffix(unit)}".replace(" ", "\N{NO-BREAK SPACE}")


def dose_range(low: float, high: float, unit: str, *, sign: bool = False) -> str:
    """Write a range of a dose table as ``71.20 to 73.40 Gy``."""
    first = dose_quantity(low, unit, sign=sign)
    end = suffix(unit).replace(" ", "\N{NO-BREAK SPACE}")
    return f"{first.removesuffix(end) if end else first} to {dose_quantity(high, unit, sign=sign)}"


def share(value: float) -> str:
    """Write a share as a percentage; whole numbers, as an improvement is read."""
    return f"{round(100 * value) + 0:d}\N{NO-BREAK SPACE}%".replace("-", "−")


def is_share(criterion: Criterion) -> bool:
    """Whether estimate and bound are shares of patients."""
    return criterion.statistic == "fraction_within"


def bound_text(direction: str, bound: str) -> str:
    """Write a bound as ``≤ 80 HU``, ``≥ 0.8`` or ``within ±20 HU``."""
    sign = {"at_most": "≤ ", "at_least": "≥ ", "within": "within ±"}[direction]
    return (sign + bound).replace(" ", "\N{NO-BREAK SPACE}")


def bound_value(criterion: Criterion) -> str:
    """Write the number of a criterion's bound with its unit; of a share as a percentage."""
    c = criterion
    return percent(c.bound) if is_share(c) else stated(c.bound, c.unit)


def criterion_text(criterion: Criterion) -> str:
    """Say what a criterion asks for, in one line."""
    c = criterion
    what = measure_title(c.metric, c.region, c.variant)
    if c.per_patient_bound is not None:
        asked = bound_text(c.direction, stated(c.per_patient_bound, c.unit))
        return f"share of patients with {what} {asked}: {bound_text('at_least', percent(c.bound))}"
    bound = bound_text(c.direction, stated(c.bound, c.unit))
    word = "worst patient" if c.scope == "worst_patient" else STATISTIC_WORDS[c.statistic]
    return f"{what}, {word}: {bound}"


def estimate_text(finding: Finding) -> str:
    """Write a finding's estimate, shares as percentages."""
    if finding.estimate is None:
        return _known_of(finding)
    if is_share(finding.criterion):
        return percent(finding.estimate).replace(" ", "\N{NO-BREAK SPACE}")
    return quantity(finding.estimate, finding.criterion.unit)


def _known_of(finding: Finding) -> str:
    """Say what is known of an estimate that is none."""
    at_least, at_most, unit = finding.at_least, finding.at_most, suffix(finding.criterion.unit)
    if is_share(finding.criterion) and at_least is not None and at_most is not None:
        text = f"{percent(at_least)} to {percent(at_most)}"
    elif at_least is not None or at_most is not None:
        text = f"{brief(at_least, at_most)}{unit}"
    elif finding.censored:
        return f"no estimate: {finding.censored} of {count(finding.patients, 'patient')} censored"
    else:
        return "undefined: no patient has a value"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def gap_word(gap: SiteGap) -> tuple[str, str, str]:
    """Say in a word what a gap's interval shows, and never less: look, symbol and word."""
    if gap.shifted is None or gap.gap_low is None or gap.gap_high is None:
        return "plain", "?", "undecided"
    if gap.shifted:
        return (
            ("plain", "▲", "worse than the other training sites")
            if gap.in_training
            else ("fail", "▲", "shifted")
        )
    if gap.gap_low <= 0 <= gap.gap_high:
        return "plain", "", "no difference shown"
    return "plain", "", "differs, and is not worse"


def finds_text(faults: Sequence[str], examined: bool) -> str:
    """Name the planted faults that a criterion is known to find, the first of many.

    Parameters
    ----------
    faults
        With their severities.
    examined
        Whether an exam of the profile is on record.
    """
    if not examined:
        return "no exam on record"
    if not faults:
        return "others answered first in the exam"
    return listing(some(list(faults), 3))


def finding_interval(finding: Finding) -> str:
    """Write a finding's interval with its level, or that there is none."""
    if finding.low is None or finding.high is None:
        return "no interval"
    level = f"{100 * finding.criterion.confidence:.4g} %"
    kind = "prediction" if finding.criterion.scope == "new_site" else "CI"
    if is_share(finding.criterion):
        low, high = f"{number(100 * finding.low)}", percent(finding.high)
    else:
        low, high = number(finding.low), number(finding.high)
    return f"{low} to {high} ({level} {kind})".replace(" ", "\N{NO-BREAK SPACE}")


def scope_text(finding: Finding) -> str:
    """Name the scope; a worst patient is named by its site, not by its hash."""
    c = finding.criterion
    extreme = c.scope == "worst_patient" or c.statistic in ("max", "min")
    if extreme and finding.scope_name not in finding.sites and finding.patients:
        return f"worst patient ({', '.join(finding.sites) or 'pooled'})"
    return finding.scope_name
