"""What patients and scans are divided by, each with its words and its fixed bands.

Bands never depend on the values of the audit at hand: edges that follow the data would find
what they were moved to find. What was not recorded is a cell of its own, shown and not tested.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from qa_suite.core.errors import UnknownName
from qa_suite.core.records import CaseRecord
from qa_suite.core.registry import unknown_name
from qa_suite.core.scanners import normalise_manufacturer

NOT_RECORDED = "not recorded"
SITE = "site"
CROSSED = " × "
_NOMINAL_T = (0.2, 0.23, 0.35, 0.5, 0.55, 0.6, 1.0, 1.5, 3.0, 5.0, 7.0)
"""Field strengths that MR scanners are sold with; what lies within 5 % of one is that one."""
_WIDTH_MM = 50
_DAYS = (0, 7, 14, 28)
"""Last day of each band of days between scans; the day itself is a band of its own."""
_SEXES = {"M": "men", "F": "women", "O": "other"}


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One case with what an evaluation as a whole says of it."""

    case: CaseRecord
    anatomy: str
    source: str
    """Modality of the source image, such as MR."""

    def fact(self, name: str) -> Any:
        """Return what the importer stored under a name; None where it could not tell."""
        value = self.case.strata.get(name)
        return None if value == "" else value


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """Something that patients or scans are divided by."""

    key: str
    title: str
    label: Callable[[Scan], str | None]
    said: str = "{}"
    """How a label is said in a sentence, such as ``age {}``."""


def _site(scan: Scan) -> str | None:
    return None if scan.case.site == "unknown" else scan.case.site


def _scanner(scan: Scan, end: str) -> str | None:
    model = scan.fact(f"{end}_model")
    maker = _maker(scan, end)
    if maker is None and model is None:
        return None
    words = " ".join(str(model or "model not recorded").split())
    if maker and words.lower().startswith(maker.lower()):
        words = words[len(maker) :].strip(" -/") or "model not recorded"
    return f"{maker} {words}" if maker else words


def _maker(scan: Scan, end: str) -> str | None:
    text = scan.fact(f"{end}_manufacturer")
    modality = scan.source if end == "source" else "CT"
    return None if text is None else normalise_manufacturer(str(text), modality)


def _field(scan: Scan) -> str | None:
    value = scan.fact("field_strength_t")
    if value is None:
        return None
    nearest = min(_NOMINAL_T, key=lambda nominal: abs(float(value) / nominal - 1))
    tesla = nearest if abs(float(value) / nearest - 1) <= 0.05 else round(float(value), 2)
    return f"{tesla:g} T"


def _age(scan: Scan) -> str | None:
    band = scan.fact("age_band")
    return None if band is None else f"{str(band).replace('-', '–')} years"


def _width(scan: Scan) -> str | None:
    value = scan.fact("body_width_mm")
    if value is None:
        return None
    low = int(float(value) // _WIDTH_MM) * _WIDTH_MM
    return f"{low} to below {low + _WIDTH_MM} mm"


def _days(scan: Scan) -> str | None:
    value = scan.fact("scan_interval_days")
    if value is None:
        return None
    days, first = abs(int(value)), 0
    for last in _DAYS:
        if days <= last:
            return "0 days" if last == 0 else f"{first} to {last} days"
        first = last + 1
    return f"more than {_DAYS[-1]} days"


def _rounded(name: str, unit: str, digits: int = 1) -> Callable[[Scan], str | None]:
    def label(scan: Scan) -> str | None:
        value = scan.fact(name)
        return None if value is None else f"{round(float(value), digits):g} {unit}"

    return label


def _words(name: str) -> Callable[[Scan], str | None]:
    def label(scan: Scan) -> str | None:
        value = scan.fact(name)
        return None if value is None else " ".join(str(value).split())

    return label


def _implant(scan: Scan) -> str | None:
    return {"yes": "implant", "no": "no implant"}.get(str(scan.fact("implant")))


_ALL = (
    Dimension(key=SITE, title="site", label=_site, said="site {}"),
    Dimension(
        key="vendor", title="vendor", label=lambda scan: _maker(scan, "source"), said="vendor {}"
    ),
    Dimension(
        key="scanner",
        title="scanner",
        label=lambda scan: _scanner(scan, "source"),
        said="scanner {}",
    ),
    Dimension(key="field", title="field strength", label=_field, said="field strength {}"),
    Dimension(key="protocol", title="protocol", label=_words("sequence"), said="protocol {}"),
    Dimension(key="anatomy", title="anatomy", label=lambda scan: scan.anatomy or None),
    Dimension(key="sex", title="sex", label=lambda scan: _SEXES.get(str(scan.fact("sex")))),
    Dimension(key="age", title="age", label=_age, said="age {}"),
    Dimension(key="width", title="body width", label=_width, said="body width {}"),
    Dimension(key="implant", title="implant", label=_implant),
    Dimension(key="days", title="days between the scans", label=_days, said="scans {} apart"),
    Dimension(
        key="reference-scanner",
        title="scanner of the reference",
        label=lambda scan: _scanner(scan, "reference"),
        said="reference from {}",
    ),
    Dimension(
        key="kv",
        title="tube voltage",
        label=_rounded("tube_voltage_kv", "kV", 0),
        said="tube voltage {}",
    ),
    Dimension(key="kernel", title="CT kernel", label=_words("ct_kernel"), said="CT kernel {}"),
    Dimension(
        key="slice",
        title="slice thickness",
        label=_rounded("slice_thickness_mm", "mm"),
        said="slices of {}",
    ),
)
DIMENSIONS: Mapping[str, Dimension] = MappingProxyType({one.key: one for one in _ALL})
"""Everything that an audit may divide by, in the order of the page."""


def dimension(key: str) -> Dimension:
    """Return the dimension of that name, or of two crossed by ``×``, such as ``site×sex``.

    Raises
    ------
    UnknownName
        If there is none; the message lists the close matches.
    """
    parts = [part.strip() for part in re.split("[×*]", key)]
    for part in parts:
        if part not in DIMENSIONS:
            raise UnknownName(unknown_name("stratum", part, list(DIMENSIONS)))
    if len(parts) == 1:
        return DIMENSIONS[parts[0]]
    crossed = [DIMENSIONS[part] for part in parts]

    def label(scan: Scan) -> str | None:
        found = [one.label(scan) for one in crossed]
        return None if None in found else CROSSED.join(str(word) for word in found)

    return Dimension(
        key="×".join(one.key for one in crossed),
        title=CROSSED.join(one.title for one in crossed),
        label=label,
    )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The cases that share one label of one dimension."""

    dimension: Dimension
    label: str
    cases: frozenset[str]

    @property
    def recorded(self) -> bool:
        """Whether the cases share a fact, and not the lack of one."""
        return self.label != NOT_RECORDED

    @property
    def name(self) -> str:
        """The cell as in a sentence: ``site C``, ``age 60–69 years``."""
        if not self.recorded:
            return f"{self.dimension.title} {NOT_RECORDED}"
        return self.dimension.said.format(self.label)


def cells_of(scans: Sequence[Scan], dimensions: Iterable[Dimension]) -> tuple[Cell, ...]:
    """Divide the scans; every scan stands in one cell of every dimension.

    Labels that differ in case and white space alone are one. A dimension of which nothing was
    recorded has a single cell, which says so.
    """
    found = []
    for one in dimensions:
        spellings: dict[str, Counter[str]] = {}
        members: dict[str, set[str]] = {}
        for scan in scans:
            label = one.label(scan) or NOT_RECORDED
            key = label if one.key == SITE else " ".join(label.lower().split())
            spellings.setdefault(key, Counter())[label] += 1
            members.setdefault(key, set()).add(scan.case.case)
        cells = [
            Cell(
                dimension=one,
                label=min(spellings[key], key=lambda word: (-spellings[key][word], word)),
                cases=frozenset(members[key]),
            )
            for key in members
        ]
        found += sorted(cells, key=_place)
    return tuple(found)


def _place(cell: Cell) -> tuple[bool, bool, list[Any]]:
    """Order by the numbers in a label where it has any, else by the alphabet; the unknown last."""
    last = cell.label.startswith("more than")
    parts = re.split(r"(\d+(?:\.\d+)?)", cell.label)
    return (
        not cell.recorded,
        last,
        [(0, float(part), "") if part[:1].isdigit() else (1, 0.0, part.lower()) for part in parts],
    )
