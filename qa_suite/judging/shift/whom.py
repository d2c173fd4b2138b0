"""Whom a verdict speaks of: patients, sites, scanners, protocols; and who is not among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qa_suite.core.records import CaseRecord, TrainingSources
from qa_suite.core.records.shift import SpokenOf
from qa_suite.core.wording import count, listing, some

STRATA: dict[str, tuple[str, str]] = {
    "source_manufacturer": ("source scanners", ""),
    "source_model": ("source models", ""),
    "field_strength_t": ("field strengths", "T"),
    "sequence": ("sequences", ""),
    "reference_manufacturer": ("reference scanners", ""),
    "tube_voltage_kv": ("tube voltages", "kV"),
    "ct_kernel": ("kernels", ""),
    "sex": ("sexes", ""),
    "age_band": ("age bands", ""),
    "implant": ("implants", ""),
}
"""Strata that the sentence tells, in its order: their words and unit."""
_PROTOCOL = ("source_manufacturer", "source_model", "field_strength_t", "sequence")
"""Strata of the source image: those by which training and test can differ."""


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
    tested = {name: _counted(judged, name) for name in STRATA}
    everybody = {case.patient for case in judged}
    unknown = {
        name: len(everybody - _patients_with(judged, name))
        for name in STRATA
        if _patients_with(judged, name) != everybody
    }
    trained = _trained(training)
    not_tested = _lacking(trained, tested)
    not_trained = _lacking({n: tested[n] for n in trained}, trained)
    days = [case.strata["scan_interval_days"] for case in judged if _has_days(case)]
    found = SpokenOf(
        patients=len(everybody),
        sites=tuple(sorted({case.site for case in judged})),
        tested={name: values for name, values in tested.items() if values},
        unknown=unknown,
        days=(min(map(int, days)), max(map(int, days))) if days else None,  # type: ignore[arg-type]
        not_tested=not_tested,
        not_trained=not_trained,
    )
    sentence = _sentence(found, training, training_sites)
    return found.model_copy(update={"sentence": sentence})


def _has_days(case: CaseRecord) -> bool:
    return isinstance(case.strata.get("scan_interval_days"), int)


def _value(case: CaseRecord, name: str) -> str | None:
    value = case.strata.get(name)
    if value is None or value == "unknown":
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _patients_with(cases: Sequence[CaseRecord], name: str) -> set[str]:
    return {case.patient for case in cases if _value(case, name) is not None}


def _counted(cases: Sequence[CaseRecord], name: str) -> dict[str, int]:
    """Count the patients of each value of a stratum."""
    patients: dict[str, set[str]] = {}
    for case in cases:
        value = _value(case, name)
        if value is not None:
            patients.setdefault(value, set()).add(case.patient)
    return {value: len(patients[value]) for value in sorted(patients)}


def _trained(training: TrainingSources | None) -> dict[str, dict[str, int]]:
    """Sum the protocols of the training over its sites."""
    found: dict[str, dict[str, int]] = {}
    for strata in {} if training is None else training.protocols.values():
        for name in _PROTOCOL:
            for value, patients in strata.get(name, {}).items():
                counts = found.setdefault(name, {})
                counts[value] = counts.get(value, 0) + patients
    return found


def _lacking(
    have: Mapping[str, Mapping[str, int]], lack: Mapping[str, Mapping[str, int]]
) -> dict[str, tuple[str, ...]]:
    found = {name: tuple(sorted(set(have[name]) - set(lack.get(name, {})))) for name in have}
    return {name: values for name, values in found.items() if values}


def _sentence(
    found: SpokenOf, training: TrainingSources | None, training_sites: Sequence[str]
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
    absent += [f"{STRATA[n][0]} {_names(n, v)}" for n, v in found.not_tested.items()]
    if absent:
        text += f" Not in it, though trained on: {'; '.join(absent)}."
    if found.not_trained:
        new = [f"{STRATA[n][0]} {_names(n, v)}" for n, v in found.not_trained.items()]
        text += f" In it, though never trained on: {'; '.join(new)}."
    if training is None or not training.protocols:
        text += " The model's registration does not say with which protocols it was trained."
    if found.unknown:
        by_count: dict[int, list[str]] = {}
        for name, patients in found.unknown.items():
            by_count.setdefault(patients, []).append(STRATA[name][0])
        lost = [f"{listing(n)} of {count(k, 'patient')}" for k, n in sorted(by_count.items())]
        text += f" Not recorded: {'; '.join(lost)}."
    return text


def _values(name: str, values: Mapping[str, int]) -> str:
    unit = STRATA[name][1]
    told = [f"{value}{f' {unit}' if unit else ''} ({n})" for value, n in values.items()]
    return listing(some(told))


def _names(name: str, values: Sequence[str]) -> str:
    unit = STRATA[name][1]
    return listing(f"{value} {unit}".strip() for value in values)
