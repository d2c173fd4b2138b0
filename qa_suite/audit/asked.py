"""What an audit is asked, and what of it the record can answer."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qa_suite.audit.joined import Material
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.records import Criterion, Profile
from qa_suite.core.wording import count, listing, measure_name, some
from qa_suite.judging.patient_values import Measure

Better = Literal["lower", "higher", "zero"]
_BETTER: Mapping[str, Better] = {"at_most": "lower", "at_least": "higher", "within": "zero"}
_OF_SITES = ("each_site", "pooled", "new_site")
SD = "SD"
MOST_PRIMARY = 5


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """What an audit is asked beside its profile.

    Parameters
    ----------
    primary
        The few measures among which a site or stratum may be named: names of criteria, or
        ``METRIC:REGION`` with ``[VARIANT]``; empty takes what the profile declares.
    size
        The gap looked for: a number of SD of patients for every measure, and for single ones
        ``METRIC:REGION`` to a number in its unit.
    divided_by
        Keys of :data:`qa_suite.core.dimensions.DIMENSIONS`, crossed by ``×``; empty takes all.
    small_below
        Patients; a cell with fewer is shown and never interpreted.
    confidence
        Of intervals, and family-wise of what is named.
    new_site_patients
        Of the further hospital whose mean is predicted.
    """

    primary: tuple[str, ...] = ()
    size_in_sd: float = 2.0
    sizes: Mapping[str, float] = field(default_factory=dict)
    divided_by: tuple[str, ...] = ()
    small_below: int = 5
    confidence: float = 0.95
    new_site_patients: int | None = None

    def __post_init__(self) -> None:
        raise_problems("The audit", self._problems())

    def _problems(self) -> Iterator[str]:
        if not self.size_in_sd > 0:
            yield f"the size looked for must be above zero, got {self.size_in_sd:g} SD"
        for name, size in self.sizes.items():
            if not size > 0:
                yield f"the size looked for in {name} must be above zero, got {size:g}"
        if self.small_below < 2:
            yield f"an interval needs two patients, so no cell below {self.small_below} is small"
        if not 0.5 < self.confidence < 1:
            yield f"the confidence must lie between 0.5 and 1, got {self.confidence:g}"
        if self.new_site_patients is not None and self.new_site_patients < 1:
            yield f"a hospital has at least one patient, got {self.new_site_patients}"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One measure of the audit."""

    measure: Measure
    unit: str
    title: str
    better: Better
    primary: bool
    criterion: Criterion | None
    size: float | None
    """In the measure's unit, where it was declared so."""

    @property
    def name(self) -> str:
        """The measure as people say it."""
        return measure_name(self.measure.metric, self.measure.region, self.measure.variant)

    def worse(self, gap: float, mean: float) -> float:
        """Return how far a gap goes to the worse side; negative where it is better."""
        if self.better == "zero":
            return abs(mean) - abs(mean - gap)
        return gap if self.better == "lower" else -gap


def parse_measure(text: str) -> Measure:
    """Read ``METRIC:REGION`` or ``METRIC:REGION[VARIANT]``, such as ``dice:seg:Bone``."""
    match = re.fullmatch(r"\s*([^:\[\]]+):([^\[\]]+?)(?:\[(.+)\])?\s*", text)
    if match is None:
        raise InputError(
            f"{text!r} is no measure; write METRIC:REGION, such as mae:body or dice:seg:Bone, "
            f"with [VARIANT] where there is one."
        )
    return Measure(metric=match[1], region=match[2], variant=match[3] or "default")


def key_of(measure: Measure) -> str:
    """Write a measure as :func:`parse_measure` reads it."""
    more = "" if measure.variant == "default" else f"[{measure.variant}]"
    return f"{measure.metric}:{measure.region}{more}"


def questions(
    material: Material, profile: Profile, settings: AuditSettings
) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """Return the measures of an audit, the primary ones first, and what must be said of them.

    Raises
    ------
    Problems
        With every measure that is asked for and not in the record, and every size without one.
    """
    units = _units(material)
    criteria = _criteria(profile)
    problems: list[str] = []
    primary = _primary(profile, settings, units, problems)
    sizes = {}
    for name, size in settings.sizes.items():
        measure = _named(name, profile, units, problems, "--size")
        if measure is not None:
            sizes[measure] = size
            if measure not in primary:
                problems.append(f"a size is looked for in {name}, which is no primary measure")
    raise_problems("The audit", problems)
    wanted = [*primary, *criteria, *(_described(profile))]
    found, lacking, sideless = [], [], []
    for measure in dict.fromkeys(wanted):
        if measure not in units:
            lacking.append(key_of(measure))
            continue
        criterion = criteria.get(measure)
        definition = material.definition(measure.metric)
        better = _better(criterion, definition)
        if better is None:
            sideless.append(key_of(measure))
            continue
        found.append(
            Question(
                measure=measure,
                unit=units[measure],
                title=str(definition.get("title") or measure.metric),
                better=better,
                primary=measure in primary,
                criterion=criterion,
                size=sizes.get(measure),
            )
        )
    return tuple(found), tuple(_notices(primary, lacking, sideless))


def _notices(
    primary: Sequence[Measure], lacking: Sequence[str], sideless: Sequence[str]
) -> Iterator[str]:
    if not primary:
        yield (
            "No primary measure was declared, so everything is described and nothing is named: "
            "'--primary METRIC:REGION', or 'primary' in the profile, declares the few to decide by."
        )
    if len(primary) > MOST_PRIMARY:
        yield (
            f"{count(len(primary), 'primary measure')} are many: each further one takes from "
            "the chance "
            f"that a bad site is named in any of them."
        )
    if lacking:
        yield f"Asked for by the profile and not in the record: {listing(some(lacking))}."
    if sideless:
        yield f"Without a better side, and so not compared: {', '.join(sideless)}."


def _units(material: Material) -> dict[Measure, str]:
    """Return every measure that the record holds, with its unit."""
    table = material.measurements[["metric", "region", "variant", "unit"]].drop_duplicates()
    found: dict[Measure, str] = {}
    for metric, region, variant, unit in sorted(table.itertuples(index=False, name=None)):
        found.setdefault(Measure(metric=metric, region=region, variant=variant), unit)
    return found


def _criteria(profile: Profile) -> dict[Measure, Criterion | None]:
    """Return the profile's measures, each with its bound on a mean, at each site if it has one."""
    found: dict[Measure, Criterion | None] = {}
    for criterion in profile.criteria:
        found.setdefault(Measure.of(criterion), None)
    means = [c for c in profile.criteria if c.statistic == "mean" and c.scope in _OF_SITES]
    for criterion in sorted(means, key=lambda c: _OF_SITES.index(c.scope), reverse=True):
        found[Measure.of(criterion)] = criterion
    return found


def _described(profile: Profile) -> list[Measure]:
    return [
        Measure(metric=one.metric, region=one.region, variant=one.variant)
        for one in profile.describe
    ]


def _better(criterion: Criterion | None, definition: Mapping[str, Any]) -> Better | None:
    if criterion is not None:
        return _BETTER[criterion.direction]
    said = definition.get("direction")
    return said if said in ("lower", "higher", "zero") else None


def _primary(
    profile: Profile, settings: AuditSettings, units: Mapping[Measure, str], problems: list[str]
) -> tuple[Measure, ...]:
    if settings.primary:
        named, where = settings.primary, "--primary"
    else:
        named, where = profile.primary, f"primary of {profile.name}"
    found = [_named(name, profile, units, problems, where) for name in named]
    return tuple(dict.fromkeys(measure for measure in found if measure is not None))


def _named(
    name: str, profile: Profile, units: Mapping[Measure, str], problems: list[str], where: str
) -> Measure | None:
    """Return the measure that a name means: of a criterion, or by metric and region."""
    for criterion in profile.criteria:
        if criterion.name == name:
            measure = Measure.of(criterion)
            if measure not in units:
                problems.append(
                    f"{where}: {name} bounds {key_of(measure)}, not in the record; "
                    f"'--primary METRIC:REGION' declares other ones"
                )
                return None
            return measure
    known = [*(c.name for c in profile.criteria), *map(key_of, units)]
    try:
        measure = parse_measure(name)
    except InputError as error:
        said = _unknown(name, known) if ":" not in name else str(error).rstrip(".")
        problems.append(f"{where}: {said}")
        return None
    if measure not in units:
        problems.append(f"{where}: {_unknown(name, known)}")
        return None
    return measure


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "'qa-suite list metrics' names them"
    return f"the record holds no {name!r}; {hint}"
