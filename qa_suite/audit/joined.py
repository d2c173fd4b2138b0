"""Evaluations of one model by one set of rules, joined into one table of patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from qa_suite.core.dimensions import Scan
from qa_suite.core.errors import raise_problems
from qa_suite.core.record_files import read_cases, read_evaluation, read_measurements
from qa_suite.core.records import AuditedEvaluation, CaseRecord, Evaluation
from qa_suite.core.wording import count, listing, some
from qa_suite.judging.examinations import as_one_patient, without_copies
from qa_suite.judging.judged_cases import is_examined, not_imported
from qa_suite.judging.tables import require_sound_tables

_SHORT = 12  # digits of a hash that people compare


@dataclass(frozen=True, kw_only=True)
class Source:
    """One evaluation as it was read."""

    folder: Path
    evaluation: Evaluation
    measurements: pd.DataFrame
    cases: tuple[CaseRecord, ...]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What is audited: held-out cases of every evaluation, each examination once."""

    evaluations: tuple[Evaluation, ...]
    measurements: pd.DataFrame
    scans: tuple[Scan, ...]
    everybody: tuple[CaseRecord, ...] = ()
    """Every case of the records, those that could not be imported among them."""
    notices: tuple[str, ...] = ()

    @property
    def cases(self) -> tuple[CaseRecord, ...]:
        """The cases, in the order of their names."""
        return tuple(scan.case for scan in self.scans)

    @property
    def facts(self) -> tuple[AuditedEvaluation, ...]:
        """What the audit says of each evaluation."""
        return tuple(
            AuditedEvaluation(
                evaluation=one.evaluation,
                model_uri=one.model.uri,
                cohort=one.cohort.name,
                direction=one.cohort.direction,
                anatomy=one.cohort.anatomy,
                split=one.cohort.split,
                cases=one.cohort.cases,
                patients=one.cohort.patients,
                sites=one.cohort.sites,
            )
            for one in self.evaluations
        )

    def definition(self, metric: str) -> dict[str, object]:
        """Return what a metric is by the records; empty where none measured it."""
        return next(
            (e.definitions[metric] for e in self.evaluations if metric in e.definitions), {}
        )


def read_source(folder: Path) -> Source:
    """Read an evaluation, its tables held against their digests."""
    folder = Path(folder)
    return Source(
        folder=folder,
        evaluation=read_evaluation(folder),
        measurements=read_measurements(folder),
        cases=read_cases(folder),
    )


def join(sources: Sequence[Source], *, one_model: bool = True) -> Material:
    """Join evaluations; the order in which they are given does not matter.

    A patient who is in two of them is one patient: his examinations count together, and the same
    examination (patient, site and case alike, or alike in all of its values) counts once. Who has
    two names is recognised by the voxels of his scans.

    Parameters
    ----------
    sources
        At least one.
    one_model
        Whether all must be of the same weights; models that each left out another site are not.

    Raises
    ------
    Problems
        If they are of different models, directions or definitions, with every difference; or if
        a table contradicts itself.
    """
    ordered = sorted(sources, key=lambda source: source.evaluation.evaluation)
    raise_problems("The audit", _differences(ordered, one_model=one_model))
    for source in ordered:
        require_sound_tables(source.measurements, source.cases)
    names = Counter(case.case for source in ordered for case in source.cases)
    seen: dict[tuple[str, str, str], str] = {}
    tables: list[pd.DataFrame] = []
    scans: list[Scan] = []
    notices: list[str] = []
    twice: list[str] = []
    for source in ordered:
        evaluation = source.evaluation
        notices += list(evaluation.announced)
        held_out = [case for case in source.cases if is_examined(case, evaluation)]
        notices += list(not_imported(source.cases, held_out))
        renamed: dict[str, str] = {}
        for case in held_out:
            key = (case.case, case.patient, case.site)
            if key in seen:
                twice.append(case.case)
                continue
            seen[key] = evaluation.evaluation
            name = case.case
            if names[name] > 1:
                name = f"{case.case} ({evaluation.cohort.name})"
                if name in renamed.values() or any(s.case.case == name for s in scans):
                    name = f"{case.case} ({evaluation.evaluation[:_SHORT]})"
            renamed[case.case] = name
            scans.append(
                Scan(
                    case=case.model_copy(update={"case": name}),
                    anatomy=evaluation.cohort.anatomy,
                    source=evaluation.cohort.direction.partition("->")[0],
                )
            )
        rows = source.measurements[source.measurements["case"].isin(list(renamed))]
        tables.append(rows.assign(case=rows["case"].map(renamed)))
    if twice:
        notices.append(
            f"{count(len(twice), 'examination')} {'is' if len(twice) == 1 else 'are'} in more than "
            f"one evaluation and counted once: {listing(some(sorted(twice)))}."
        )
    notices += _of_other_code(ordered)
    by_name = {scan.case.case: scan for scan in scans}
    rows, cases, merged = as_one_patient(
        pd.concat(tables, ignore_index=True), [by_name[name].case for name in sorted(by_name)]
    )
    cases, copies = without_copies(rows, cases)
    return Material(
        evaluations=tuple(source.evaluation for source in ordered),
        measurements=rows[rows["case"].isin([case.case for case in cases])],
        scans=tuple(
            replace(by_name[case.case], case=case)
            for case in sorted(cases, key=lambda case: case.case)
        ),
        everybody=tuple(case for source in ordered for case in source.cases),
        notices=tuple(dict.fromkeys((*notices, *merged, *copies))),
    )


def _differences(sources: Sequence[Source], *, one_model: bool) -> Iterator[str]:
    first = sources[0]
    times = Counter(source.evaluation.evaluation for source in sources)
    for identifier, n in times.items():
        if n > 1:
            yield f"the evaluation {identifier[:_SHORT]} was given {n} times"
    for other in sources[1:]:
        if one_model:
            yield from _other_model(first, other)
        yield from rule_differences(first, other)


def _other_model(first: Source, other: Source) -> Iterator[str]:
    a, b = first.evaluation.model, other.evaluation.model
    way_out = "audit one model at a time"
    if a.weights_sha256 or b.weights_sha256:
        if a.weights_sha256 != b.weights_sha256:
            yield (
                f"{other.folder} is of other weights ({_short(b.weights_sha256)}, {b.uri}) than "
                f"{first.folder} ({_short(a.weights_sha256)}, {a.uri}); {way_out}"
            )
            return
    elif (a.uri, a.name, a.version) != (b.uri, b.name, b.version):
        yield f"{other.folder} is of {b.uri}, {first.folder} of {a.uri}; {way_out}"
        return
    if a.training_sites != b.training_sites:
        yield (
            f"{other.folder} says that the model was trained at {_sites(b.training_sites)}, "
            f"{first.folder} at {_sites(a.training_sites)}; evaluate the registered model again"
        )
    if a.asked != b.asked:
        yield (
            f"{other.folder} asked the model for {b.asked or 'nothing'}, {first.folder} for "
            f"{a.asked or 'nothing'}; evaluate again, asking the same"
        )


def rule_differences(first: Source, other: Source) -> Iterator[str]:
    """Say what keeps the values of two evaluations apart: direction, definitions, settings."""
    a, b = first.evaluation, other.evaluation
    if a.cohort.direction != b.cohort.direction:
        yield (
            f"{other.folder} is of {b.cohort.direction}, {first.folder} of "
            f"{a.cohort.direction}; take evaluations of one direction"
        )
    way_out = "evaluate both again with the same version and settings of the suite"
    for what, here, there in (
        ("defines", a.definitions, b.definitions),
        ("has for the variant", a.variants, b.variants),
    ):
        other_words = sorted(name for name in set(here) & set(there) if here[name] != there[name])
        if other_words:
            yield (
                f"{other.folder} {what} {listing(some(other_words))} otherwise than "
                f"{first.folder}; {way_out}"
            )
    mine, its = (one.settings.get("measures") or {} for one in (a, b))
    changed = sorted(key for key in set(mine) | set(its) if mine.get(key) != its.get(key))
    if changed:
        yield (
            f"{other.folder} measured {listing(changed)} with other settings than {first.folder}; "
            f"{way_out}"
        )


def _of_other_code(sources: Sequence[Source]) -> list[str]:
    versions = sorted({source.evaluation.code.suite_version for source in sources})
    if len(versions) < 2:
        return []
    return [
        f"The evaluations were made by the versions {listing(versions)} of the suite; what they "
        f"define alike is taken as alike."
    ]


def _short(digest: str | None) -> str:
    return digest[:_SHORT] if digest else "no weights recorded"


def _sites(names: Sequence[str]) -> str:
    return listing(names) if names else "sites that it does not say"
