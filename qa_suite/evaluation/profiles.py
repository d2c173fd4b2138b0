"""Criteria files against all that is known of the measures: the one door by which they are read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from qa_suite.core.record_files import EVALUATION_FILE, read_evaluation
from qa_suite.core.records import Evaluation, Profile
from qa_suite.judging.criteria import load_profile as read_checked
from qa_suite.judging.criteria.measures import REFERENCE_UNITS, KnownMeasure, Measures, reference_of
from qa_suite.metrics.facts import REFERENCE_UNIT, parse_range
from qa_suite.metrics.places import places_of

OF_SETS = ("set_distance",)
"""Families that are told of sets of images, and of no patient."""


def load_profile(
    name_or_path: str | Path, *, record: Path | None = None, bands: Mapping[str, Any] | None = None
) -> Profile:
    """Read a profile and hold it against the registry of metrics, and a record where there is one.

    Parameters
    ----------
    name_or_path
        Name of a profile that comes with the suite, or the path of a YAML file.
    record
        Folder of the evaluation that will be judged. What it measured needs no registry: neither
        the package that brought a metric, nor the time to load it.
    bands
        Tissue bands of the image measures where they are not the default ones, as the settings
        say them; those of the record are known from it.

    Raises
    ------
    UnknownName, InputError, Problems
        See :func:`qa_suite.judging.criteria.load_profile`.
    """
    evaluation = None
    if record is not None and (record / EVALUATION_FILE).is_file():
        evaluation = read_evaluation(record)
        bands = evaluation.settings.get("measures", {}).get("image", {}).get("bands")
    return read_checked(name_or_path, known_measures(evaluation, bands=bands))


def known_measures(
    evaluation: Evaluation | None = None, *, bands: Mapping[str, Any] | None = None
) -> Measures:
    """Return what is known of every metric: of a record first, then of the registry."""
    held = {} if evaluation is None else evaluation.definitions
    more = tuple(band["name"] for some in (bands or {}).values() for band in some)

    def facts(metric: str, direction: str) -> KnownMeasure | None:
        entry = held.get(metric) or _registered().get(metric)
        return None if entry is None else _known(metric, entry, direction, more)

    return Measures(names=lambda: tuple(sorted({*held, *_registered()})), facts=facts)


@cache
def _registered() -> dict[str, dict[str, Any]]:
    from qa_suite.metrics.run import FAMILIES, METRICS  # seconds: where the record does not say it

    found = {}
    for entry in METRICS:
        facts = entry.facts.model_dump(mode="json")
        family = FAMILIES[entry.facts.family].facts if entry.facts.family in FAMILIES else None
        if family is not None and not facts["quantities"]:
            facts |= {"quantities": list(family.quantities), "because": family.because}
        found[entry.name] = facts
    return found


def _known(
    metric: str, entry: Mapping[str, Any], direction: str, bands: tuple[str, ...]
) -> KnownMeasure:
    family = str(entry.get("family", ""))
    places = places_of(metric, family)
    regions = None if places is None else places.regions
    if regions is not None and family in ("image", "uncertainty") and len(regions) > 1:
        regions = (*regions, *bands)
    values = parse_range(entry.get("range", "(-inf, inf)"))
    return KnownMeasure(
        unit=_unit(str(entry["unit"]), direction),
        better=entry.get("direction", "none"),
        low=values.low,
        high=values.high,
        regions=regions,
        variants=None if places is None else places.variants,
        not_for=_not_for(family, entry, direction),
    )


def _unit(unit: str, direction: str) -> str | None:
    if REFERENCE_UNIT not in unit:
        return unit
    told = REFERENCE_UNITS.get(reference_of(direction) or "")
    return None if told is None else unit.replace(REFERENCE_UNIT, told)


def _not_for(family: str, entry: Mapping[str, Any], direction: str) -> str:
    if family in OF_SETS:
        return "is told of sets of images and of no patient, so no patient can meet a bound on it"
    target = reference_of(direction)
    quantity = None if target is None else REFERENCE_UNITS.get(target, "arbitrary")
    quantities = entry.get("quantities") or ()
    if quantity is None or not quantities or quantity in quantities:
        return ""
    return f"has no meaning for a {target}: {entry.get('because') or 'it is of another quantity'}"
