"""Which measures say something about a reference of which quantity, and why others are left out.

A family or metric without a meaning for the examined quantity is left out of the whole
evaluation, once and with its reason, instead of leaving a row without a value in every case.
"""

from __future__ import annotations

from collections.abc import Sequence

from qa_suite.core.errors import InputError
from qa_suite.core.records import LeftOutMeasures
from qa_suite.core.registry import Declared
from qa_suite.core.volume import Quantity
from qa_suite.metrics.facts import FAMILIES, METRICS, FamilyFacts, MetricFacts


def families_for(quantity: Quantity, families: Sequence[str] | None = None) -> list[str]:
    """Return the families that have a meaning for a quantity, in the order they are measured.

    Parameters
    ----------
    quantity
        Of the reference.
    families
        To choose from; None is all.

    Raises
    ------
    UnknownName
        If a family is not registered.
    """
    entries = list(FAMILIES) if families is None else [FAMILIES[name] for name in families]
    return [entry.name for entry in entries if _fits(entry.facts.quantities, quantity)]


def has_meaning(metric: str, quantity: Quantity) -> bool:
    """Whether a metric has a meaning for a reference of this quantity."""
    return _fits(METRICS[metric].facts.quantities, quantity)


def left_out(
    quantity: Quantity, families: Sequence[str] | None = None
) -> tuple[LeftOutMeasures, ...]:
    """Name the families, and the metrics of others, that have no meaning for a quantity.

    Parameters
    ----------
    quantity
        Of the reference.
    families
        Those that are measured otherwise; None is all.
    """
    by_family = _metrics_by_family()
    found = []
    for name in by_family if families is None else families:
        entries = by_family.get(name, [])
        lost: dict[str, list[str]] = {}
        if name in FAMILIES and not _fits(FAMILIES[name].facts.quantities, quantity):
            lost[_because(FAMILIES[name], quantity)] = [entry.name for entry in entries]
        else:
            for entry in entries:
                if not _fits(entry.facts.quantities, quantity):
                    lost.setdefault(_because(entry, quantity), []).append(entry.name)
        for why, metrics in lost.items():
            whole = len(metrics) == len(entries)
            found.append(LeftOutMeasures(family=name, whole=whole, metrics=tuple(metrics), why=why))
    return tuple(found)


def require_meaning(quantity: Quantity, families: Sequence[str] | None) -> None:
    """Refuse families that were asked for by name and are unknown or mean nothing for a quantity.

    Raises
    ------
    UnknownName
        If a family is not registered.
    InputError
        With every family that has no meaning and its reason.
    """
    families_for(quantity, families)
    lost = [one for one in left_out(quantity, families) if one.whole]
    if families is not None and lost:
        said = "; ".join(f"{one.family}: {one.why}" for one in lost)
        raise InputError(f"These measures were asked for and have no meaning here: {said}.")


def _metrics_by_family() -> dict[str, list[Declared[MetricFacts]]]:
    """Return every metric by its family; a family that has none of its own is there as well."""
    found: dict[str, list[Declared[MetricFacts]]] = {entry.name: [] for entry in FAMILIES}
    for entry in METRICS:
        found.setdefault(entry.facts.family, []).append(entry)
    return found


def _fits(quantities: tuple[Quantity, ...], quantity: Quantity) -> bool:
    return not quantities or quantity in quantities


def _because(entry: Declared[MetricFacts] | Declared[FamilyFacts], quantity: Quantity) -> str:
    wanted = " or ".join(entry.facts.quantities)
    why = entry.facts.because or f"defined for a reference in {wanted}"
    return f"{why}, and the reference is in {quantity}"
