"""The names of DVH metrics (``D95``, ``V20Gy`` ...): their grammar and their readings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from qa_suite.core.errors import InputError
from qa_suite.dose.dvh.curve import Dvh, UndefinedDvh

Kind = Literal["D_pct", "D_cc", "Dmean", "Dmax", "Dmin", "V_gy", "V_pct", "HI", "volume"]

_NUMBER = r"(\d+(?:\.\d+)?)"
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("D_cc", re.compile(rf"D{_NUMBER}\s*cc", re.IGNORECASE)),
    ("D_pct", re.compile(rf"D{_NUMBER}\s*%?", re.IGNORECASE)),
    ("V_gy", re.compile(rf"V{_NUMBER}\s*Gy(_cc)?", re.IGNORECASE)),
    ("V_pct", re.compile(rf"V{_NUMBER}\s*%(_cc)?", re.IGNORECASE)),
)
_WORDS: dict[str, Kind] = {
    "dmean": "Dmean",
    "dmax": "Dmax",
    "dmin": "Dmin",
    "hi": "HI",
    "volume": "volume",
}
_UNITS: dict[Kind, str] = {"HI": "1", "volume": "cc"}


@dataclass(frozen=True, kw_only=True)
class DvhMetric:
    """One parsed metric; ``value`` is its number (95 of ``D95``), ``cc`` the unit of a volume."""

    kind: Kind
    value: float = 0.0
    cc: bool = False

    @property
    def name(self) -> str:
        """Its canonical name, as it stands in tables."""
        suffix = "_cc" if self.cc else ""
        return {
            "D_pct": f"D{self.value:g}",
            "D_cc": f"D{self.value:g}cc",
            "V_gy": f"V{self.value:g}Gy{suffix}",
            "V_pct": f"V{self.value:g}%{suffix}",
        }.get(self.kind, self.kind)

    @property
    def is_dose(self) -> bool:
        """Whether its value is a dose."""
        return self.kind.startswith("D")

    @property
    def unit(self) -> str:
        """``Gy``, ``%`` (of the structure's volume), ``cc`` or ``1``."""
        if self.is_dose:
            return "Gy"
        return _UNITS.get(self.kind, "cc" if self.cc else "%")

    @property
    def needs_prescription(self) -> bool:
        """Whether its name speaks of the prescribed dose."""
        return self.kind == "V_pct"


@dataclass(frozen=True, kw_only=True)
class MetricReading:
    """One metric of one structure: a value, or the reason why there is none."""

    structure: str
    metric: str
    value: float | None
    unit: str
    why: str = ""


def parse_metric(text: str | DvhMetric) -> DvhMetric:
    """Parse the name of a metric.

    ``D95``, ``D95%`` (dose to the hottest 95 % of the volume), ``D0.03cc`` (to the hottest
    0.03 cc), ``Dmean``, ``Dmax``, ``Dmin``, ``V20Gy`` (% of the volume with at least 20 Gy),
    ``V20Gy_cc`` (the same in cc), ``V95%`` and ``V95%_cc`` (with at least 95 % of the
    prescription), ``HI``, ``volume``.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if isinstance(text, DvhMetric):
        return text
    word = text.strip()
    if word.lower() in _WORDS:
        return DvhMetric(kind=_WORDS[word.lower()])
    for kind, pattern in _PATTERNS:
        found = pattern.fullmatch(word)
        if found is None:
            continue
        value = float(found.group(1))
        if kind == "D_pct" and value > 100:
            raise InputError(f"{word} asks for more than the whole volume; write D0 to D100.")
        if kind == "D_cc" and value == 0:
            raise InputError(f"{word} asks for no volume; write Dmax for the maximum.")
        return DvhMetric(kind=kind, value=value, cc=kind[0] == "V" and bool(found.group(2)))
    raise InputError(
        f"{word!r} is no DVH metric; known: D95, D0.03cc, Dmean, Dmax, Dmin, V20Gy, V20Gy_cc, "
        f"V95%, V95%_cc, HI, volume."
    )


def read_metric(
    dvh: Dvh, metric: str | DvhMetric, *, prescription_gy: float | None = None
) -> MetricReading:
    """Read one metric off a DVH; undefined, with its reason, where there is none to read."""
    wanted = parse_metric(metric)
    value, why = None, ""
    try:
        value = _value(dvh, wanted, prescription_gy)
    except UndefinedDvh as error:
        why = str(error)
    return MetricReading(
        structure=dvh.name, metric=wanted.name, value=value, unit=wanted.unit, why=why
    )


def _value(dvh: Dvh, metric: DvhMetric, prescription_gy: float | None) -> float:
    if metric.kind == "D_pct":
        return dvh.dose_at_volume_pct(metric.value)
    if metric.kind == "D_cc":
        return dvh.dose_at_volume_cc(metric.value)
    if metric.kind in ("V_gy", "V_pct"):
        level = metric.value
        if metric.kind == "V_pct":
            if prescription_gy is None:
                raise UndefinedDvh(f"{metric.name} needs the prescription in Gy")
            level = metric.value * prescription_gy / 100
        pct, cc = dvh.volume_at_dose_gy(level)
        return cc if metric.cc else pct
    return {
        "Dmean": lambda: dvh.mean_gy,
        "Dmax": lambda: dvh.max_gy,
        "Dmin": lambda: dvh.min_gy,
        "HI": lambda: dvh.homogeneity_index,
        "volume": lambda: dvh.require_volume_cc(),
    }[metric.kind]()
