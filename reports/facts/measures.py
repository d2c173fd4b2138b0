"""Every measure of a record as tables: a row a measure, region and variant; patients as unit.

Only means, standard deviations and extremes of recorded values. A patient's examinations are
averaged first. What has no value is counted with its reason; over censored values there is no
mean. Of the rows of the family ``cost``, one line says what the translations cost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median, stdev
from typing import Any, Final

import pandas as pd

from qa_suite.core.records import Criterion, Evaluation, Finding
from qa_suite.core.wording import count, number
from reports.facts.patients import SHOWN, censored_text, over_patients, range_text, worst_patient
from reports.facts.wording import FAMILY_TITLES, listed, metric_title

_FAMILY_ORDER: Final = tuple(FAMILY_TITLES)
_NOT_MEASURED: Final = "run"
"""Family of the rows of failed translations; the cohort flow names those cases."""
_FIRST: Final = (
    "mae",
    "me",
    "rmse",
    "psnr",
    "ssim",
    "ms_ssim",
    "dice",
    "surface_dice",
    "hd95",
    "assd",
    "missed",
)
"""Metrics that stand before all others."""
_WHOLE: Final = ("body", "all")

_ALWAYS_OPEN: Final = 2
_SMALL: Final = 24
"""Groups of so few rows stand open as well."""

Key = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class MeasureRow:
    """One metric in one region under one variant, over the patients.

    ``mean`` and ``sd`` (n − 1) are over ``patients`` patients; ``sd`` is None for fewer than
    two, and both are where a patient is censored, as ``censored`` says. ``worst`` names the
    worst patient by the cases, and is empty where no side is better or all patients are alike;
    ``worst_text`` is the value, ``range_text`` from where to where all lie. ``undefined`` and
    ``errors`` count examinations, ``why`` is their commonest reason. ``wrong`` says that a finding
    on it misses its bound.
    """

    metric: str
    title: str
    region: str
    variant: str
    unit: str
    direction: str
    judged: bool
    patients: int
    mean: float | None
    sd: float | None
    wrong: bool
    alike: bool
    range_text: str
    censored: str
    worst: str
    worst_text: str
    undefined: int
    errors: int
    why: str
    other_reasons: int


@dataclass(frozen=True, kw_only=True)
class RegionGroup:
    """The rows of regions of one kind; ``opened`` says whether they stand open and are printed."""

    title: str
    opened: bool
    rows: tuple[MeasureRow, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a closed group must not hide: how many it holds, are bounded and lack values."""
        judged = sum(row.judged for row in self.rows)
        missing = sum(row.undefined > 0 for row in self.rows)
        censored = sum(bool(row.censored) for row in self.rows)
        errors = sum(row.errors > 0 for row in self.rows)
        wrong = sum(row.wrong for row in self.rows)
        said = [count(len(self.rows), "measure")]
        said += [f"{wrong} beyond the bound"] if wrong else []
        said += [f"{judged} bounded by the profile"] if judged else []
        said += [f"{censored} censored in some patients"] if censored else []
        said += [f"{missing} undefined in some cases"] if missing else []
        return (*said, f"{errors} with errors") if errors else tuple(said)


@dataclass(frozen=True, kw_only=True)
class WithoutValue:
    """Measures that no patient has a value of, for one reason."""

    status: str
    why: str
    measures: str
    count: int


@dataclass(frozen=True, kw_only=True)
class FamilyTable:
    """Everything that one family measured."""

    family: str
    title: str
    groups: tuple[RegionGroup, ...]
    without: tuple[WithoutValue, ...]

    @property
    def count(self) -> int:
        """Number of measures, those without a value included."""
        return sum(len(group.rows) for group in self.groups) + sum(w.count for w in self.without)


def family_tables(
    table: pd.DataFrame,
    evaluation: Evaluation,
    criteria: Sequence[Criterion] = (),
    findings: Sequence[Finding] = (),
) -> tuple[FamilyTable, ...]:
    """Arrange all measurements, one table a family.

    Parameters
    ----------
    table
        The measurements to show, excluded cases left out.
    evaluation
        Names its instruments and defines its metrics.
    criteria
        Of the profile; the measures they bound stand first and are marked.
    findings
        Of the verdict; a group with a measure that misses its bound, or that raised, stands open.
    """
    found: dict[str, dict[Key, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in table.itertuples(index=False):
        if row.family != _NOT_MEASURED:
            key = (str(row.metric), str(row.region), str(row.variant), str(row.unit))
            found[str(row.family)][key].append(row)
    judged = {(c.metric, c.region, c.variant) for c in criteria}
    missed = {
        (f.criterion.metric, f.criterion.region, f.criterion.variant)
        for f in findings
        if f.outcome == "fail"
    }
    marked = _Marked(judged=judged, missed=missed)
    return tuple(_family(name, found[name], evaluation, marked) for name in in_order(found))


@dataclass(frozen=True, kw_only=True)
class _Marked:
    """Measures that the profile bounds, and those of them that miss their bound."""

    judged: set[tuple[str, str, str]]
    missed: set[tuple[str, str, str]]


def in_order(families: Iterable[str]) -> tuple[str, ...]:
    """Return the families that have a table, in the order of the report."""
    known = {name: place for place, name in enumerate(_FAMILY_ORDER)}
    mine = (name for name in families if name != _NOT_MEASURED)
    return tuple(sorted(mine, key=lambda name: (known.get(name, len(known)), name)))


def family_title(family: str) -> str:
    """Return what a family's table is called."""
    return FAMILY_TITLES.get(family, family.replace("_", " ").capitalize())


def _family(
    family: str, found: dict[Key, list[Any]], evaluation: Evaluation, marked: _Marked
) -> FamilyTable:
    segmenters = {i.name for i in evaluation.instruments}
    groups: dict[tuple[int, str], list[MeasureRow]] = defaultdict(list)
    empty: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key, rows in found.items():
        if any(row.status in SHOWN for row in rows):
            made = _row(key, rows, evaluation, marked)
            groups[region_group(made.region, made.variant, segmenters)].append(made)
        else:
            status = "error" if any(row.status == "error" for row in rows) else "undefined"
            why, _ = _commonest(row.why for row in rows if row.status == status)
            empty[status, why].append(key)
    return FamilyTable(
        family=family,
        title=family_title(family),
        groups=tuple(
            RegionGroup(
                title=title,
                opened=place < _ALWAYS_OPEN
                or len(rows) <= _SMALL
                or any(row.wrong or row.errors for row in rows),
                rows=tuple(sorted(rows, key=_order)),
            )
            for (place, title), rows in sorted(groups.items())
        ),
        without=tuple(
            WithoutValue(status=status, why=why, measures=listed(keys), count=len(keys))
            for (status, why), keys in sorted(empty.items())
        ),
    )


def region_group(region: str, variant: str, segmenters: Iterable[str]) -> tuple[int, str]:
    """Say which kind of region this is, and where that kind stands in the order."""
    by = sorted(set(variant.split(":")) & set(segmenters))
    if by:
        return 2, f"Structures found by the segmenter {by[0]}"
    if region == "lesions":
        return 1, "All lesions of a patient"
    if region in _WHOLE:
        return 0, "Whole body"
    if region.startswith("seg:"):
        return 1, "Structures segmented in both images"
    if region.startswith("structure:"):
        return 4, "Inside delineated structures"
    if region.startswith("shell:"):
        return 5, "By distance from the surface"
    return 3, "By tissue and place"


def _order(row: MeasureRow) -> tuple[Any, ...]:
    place = _FIRST.index(row.metric) if row.metric in _FIRST else len(_FIRST)
    return (row.region, not row.judged, place, row.metric, row.variant)


def _row(key: Key, rows: Sequence[Any], evaluation: Evaluation, marked: _Marked) -> MeasureRow:
    metric, region, variant, unit = key
    values = over_patients(rows)
    censored = censored_text(values)
    numbers = [] if censored else [value.low for value in values]
    direction = str(evaluation.definitions.get(metric, {}).get("direction", "none"))
    worst = worst_patient(values, direction)
    missing = [row for row in rows if row.status not in SHOWN]
    why, others = _commonest(row.why for row in missing)
    return MeasureRow(
        metric=metric,
        title=metric_title(metric, evaluation.definitions),
        region=region,
        variant=variant,
        unit=unit,
        direction=direction,
        judged=(metric, region, variant) in marked.judged,
        wrong=(metric, region, variant) in marked.missed,
        patients=len(values),
        mean=float(fmean(numbers)) if numbers else None,
        sd=float(stdev(numbers)) if len(numbers) > 1 else None,
        alike=len({(value.low, value.high) for value in values}) == 1,
        range_text=range_text(values, unit),
        censored=censored,
        worst=worst.cases if worst else "",
        worst_text=worst.text(unit) if worst else "",
        undefined=sum(row.status == "undefined" for row in missing),
        errors=sum(row.status == "error" for row in missing),
        why=why,
        other_reasons=others,
    )


def _commonest(reasons: Iterable[str]) -> tuple[str, int]:
    """Return the reason given most often, and how many others there are."""
    counts = sorted(Counter(reasons).items(), key=lambda item: (-item[1], item[0]))
    return (counts[0][0], len(counts) - 1) if counts else ("", 0)


# -------------------------------------------------------------------------------------------------
# What it cost


_MEMORY = {"cpu": "of the process, on the CPU", "cuda": "on the GPU"}


def cost_line(table: pd.DataFrame) -> str:
    """Say time, memory and network evaluations of a translation; empty without any.

    Parameters
    ----------
    table
        Measurements of an evaluation; every translated case has rows of the family ``cost``.
    """
    rows = table[table["family"] == "cost"]
    asked: list[tuple[str, str, str, Callable[[list[float]], str]]] = [
        ("translation_seconds", "default", "time of a volume", _time),
        *(
            ("translation_memory", variant, f"memory {where}", partial(_memory, where))
            for variant, where in _MEMORY.items()
        ),
        (
            "network_evaluations",
            "default",
            "network evaluations",
            partial(_counted, "network evaluation"),
        ),
        ("sampler_steps", "default", "sampler steps", partial(_counted, "sampler step")),
    ]
    said = []
    for metric, variant, name, write in asked:
        here = rows[(rows["metric"] == metric) & (rows["variant"] == variant)]
        values = [float(value) for value in here.loc[here["status"] == "ok", "value"]]
        censored = int((here["status"] == "censored").sum())
        if censored:
            said.append(f"{name}: {censored} of {count(len(here), 'case')} censored")
        elif values:
            said.append(write(values))
    return "; ".join(said)


def _time(values: list[float]) -> str:
    spread = f", {number(min(values))} to {number(max(values))}" if len(values) > 1 else ""
    return f"{number(median(values))} s a volume ({_of('median', values)}{spread})"


def _memory(where: str, values: list[float]) -> str:
    return f"{max(values):.0f} MiB of memory {where} ({_of('largest', values)})"


def _of(what: str, values: list[float]) -> str:
    """Say of how many cases a number is the median or the largest."""
    return f"{what} of {count(len(values), 'case')}" if len(values) > 1 else "of 1 case"


def _counted(singular: str, values: list[float]) -> str:
    low, high = min(values), max(values)
    if low == high:
        return count(round(low), singular)
    return f"{low:.0f} to {high:.0f} {singular}s"
