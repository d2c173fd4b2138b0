"""Whom a verdict speaks of: patients, sites, scanners, protocols; and who is not among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qa_suite.core.records import CaseRecord, TrainingSources
from qa_suite.core.records.shift import SiteProtocol, SpokenOf
from qa_suite.core.wording import count, listing, some
from qa_suite.judging.shift.protocols import site_protocols
from qa_suite.judging.shift.tags import (
    OF_MODALITY,
    STRATA,
    TAGS,
    counted,
    summed,
    value_of,
    words_of,
)


def spoken_of(
    cases: Sequence[CaseRecord],
    *,
    training: TrainingSources | None = None,
    training_sites: Sequence[str] = (),
) -> SpokenOf:
    """Say whom a verdict over these cases speaks of.

    Parameters
    ----------
    cases
        Those that were judged; others are left out.
    training
        What the model's registration says of its training images; None for models that were
        registered without.
    training_sites
        Where it was trained.
    """
    judged = [case for case in cases if case.status == "evaluated"]
    tested = {name: counted(judged, name) for name in STRATA}
    trained = {} if training is None else summed(training.protocols)
    trained = {name: values for name, values in trained.items() if name in TAGS}
    everybody = {case.patient for case in judged}
    unknown = {
        name: len(everybody - _patients_with(judged, name))
        for name in _asked({name for name in STRATA if tested[name] or name in trained})
        if _patients_with(judged, name) != everybody
    }
    days = [case.strata["scan_interval_days"] for case in judged if _has_days(case)]
    found = SpokenOf(
        patients=len(everybody),
        sites=tuple(sorted({case.site for case in judged})),
        tested={name: values for name, values in tested.items() if values},
        unknown=unknown,
        days=(min(map(int, days)), max(map(int, days))) if days else None,  # type: ignore[arg-type]
        not_tested=_lacking(trained, tested),
        not_trained=_lacking({n: tested[n] for n in trained}, trained),
    )
    protocols = site_protocols(judged, training=training, training_sites=training_sites)
    sentence = _sentence(found, training, training_sites, protocols)
    return found.model_copy(update={"sentence": sentence})


def _asked(recorded: set[str]) -> list[str]:
    """Return the strata that can be missing: an MR has no kernel, and a CT no field strength."""
    kinds = [kind for kind in OF_MODALITY if recorded.intersection(kind)] or list(OF_MODALITY)
    return [
        name
        for name in STRATA
        if any(name in kind for kind in kinds) or not any(name in kind for kind in OF_MODALITY)
    ]


def _has_days(case: CaseRecord) -> bool:
    return isinstance(case.strata.get("scan_interval_days"), int)


def _patients_with(cases: Sequence[CaseRecord], name: str) -> set[str]:
    return {case.patient for case in cases if value_of(case, name) is not None}


def _lacking(
    have: Mapping[str, Mapping[str, int]], lack: Mapping[str, Mapping[str, int]]
) -> dict[str, tuple[str, ...]]:
    found = {name: tuple(sorted(set(have[name]) - set(lack.get(name, {})))) for name in have}
    return {name: values for name, values in found.items() if values}


def _sentence(
    found: SpokenOf,
    training: TrainingSources | None,
    training_sites: Sequence[str],
    protocols: Sequence[SiteProtocol],
) -> str:
    parts = [f"{count(found.patients, 'patient')} of {count(len(found.sites), 'site')}"]
    if found.sites:
        parts[0] += f" ({listing(some(found.sites))})"
    parts += [f"{STRATA[name][0]} {_values(name, values)}" for name, values in found.tested.items()]
    if found.days is not None:
        parts.append(f"scans {found.days[0]} to {found.days[1]} days apart")
    text = f"It speaks of {'; '.join(parts)}."
    unseen = sorted(set(training_sites) - set(found.sites))
    absent = [f"training site {site}" for site in unseen]
    absent += [words_of(name, values) for name, values in found.not_tested.items()]
    if absent:
        text += f" Not in it, though trained on: {'; '.join(absent)}."
    text += _new(protocols)
    if training is None or not training.protocols:
        text += " The model's registration does not say with which protocols it was trained."
    if found.unknown:
        by_count: dict[int, list[str]] = {}
        for name, patients in found.unknown.items():
            by_count.setdefault(patients, []).append(STRATA[name][0])
        lost = [f"{listing(n)} of {count(k, 'patient')}" for k, n in sorted(by_count.items())]
        text += f" Not recorded: {'; '.join(lost)}."
    return text


def _new(protocols: Sequence[SiteProtocol]) -> str:
    """Name what was never trained on with the sites that have it, and the shares that differ."""
    new: dict[str, list[str]] = {}
    shares: dict[str, list[str]] = {}
    for one in protocols:
        if one.basis != "registered":
            continue  # held-out patients are not all that was trained on
        for tag, values in one.never.items():
            for value, patients in values.items():
                new.setdefault(words_of(tag, [value]), []).append(f"{patients} at {one.site}")
        for tag, spans in one.beyond.items():
            for span, patients in spans.items():
                said = words_of(tag, [f"outside of {span}"])
                new.setdefault(said, []).append(f"{patients} at {one.site}")
        for share in one.shares:
            if share.differs:
                said = f"{share.here} of {share.here_of} at {one.site}, trained {share.there} of"
                told = shares.setdefault(words_of(share.tag, [share.value]), [])
                told.append(f"{said} {share.there_of}")
    text = ""
    if new:
        told = [f"{what} ({', '.join(some(where))})" for what, where in new.items()]
        text += f" In it, though never trained on: {'; '.join(told)}."
    if shares:
        told = [f"{what} ({'; '.join(some(where))})" for what, where in shares.items()]
        text += f" Mixed otherwise than in training: {', '.join(told)}."
    return text


def _values(name: str, values: Mapping[str, int]) -> str:
    unit = STRATA[name][1]
    told = [f"{value}{f' {unit}' if unit else ''} ({n})" for value, n in values.items()]
    return listing(some(told))
