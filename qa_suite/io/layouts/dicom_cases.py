"""Which series of a DICOM folder make a case: same patient, same frame of reference."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qa_suite.core.errors import InputError
from qa_suite.core.scanners import normalise_manufacturer
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import DicomFolder, Series, scan_dicom
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.layouts.layouts import UNKNOWN_SITE, Drawing, Found, Query
from qa_suite.io.layouts.strata import SITE_WORDS, facts_of_headers, scan_date
from qa_suite.io.problems import ReadProblem
from qa_suite.io.rt.structures import StructureSet, read_structure_set


def list_dicom(source: Path, query: Query) -> list[Found]:
    """List the cases of a DICOM folder tree.

    A case is a source series and a reference series of one patient in one frame of
    reference. Where several series of a patient fit, the choice is left to the user
    (``source_series``, ``reference_series``: patterns for the series description); sources of
    several studies are several examinations.

    Raises
    ------
    InputError
        If the folder holds no DICOM image or the sites cannot be told as asked.
    """
    if query.site_by is not None and query.site_by not in SITE_WORDS:
        raise InputError(
            f"DICOM sites cannot be told by {query.site_by!r}; known: {', '.join(SITE_WORDS)}."
        )
    modalities = {"CBCT": "CT"}  # a cone-beam CT is stored as CT
    wanted = {
        role: (modalities.get(modality, modality), pattern)
        for role, modality, pattern in (
            ("source", query.source_modality, query.source_series),
            ("reference", query.reference_modality, query.reference_series),
        )
    }
    if wanted["source"] == wanted["reference"]:
        raise InputError(
            f"Source and reference are both stored as {wanted['source'][0]}; name their series "
            f"descriptions to tell them apart."
        )
    folder = scan_dicom(source, progress=query.progress)
    if not folder.series:
        first = next(iter(folder.unreadable), None)
        why = f"; {first}: {folder.unreadable[first]}" if first else ""
        raise InputError(f"{source} holds no DICOM image series of CT, MR or PT{why}.")
    sets = _structure_sets(folder, query)
    _report_orphans(folder, query)
    cases = []
    for identifier, series in sorted(_by_patient(_acquired(folder, query)).items()):
        sources = _choose(series, *wanted["source"])
        references = [s for s in _choose(series, *wanted["reference"]) if s not in sources]
        mine = [one for one in sets if one.patient_id in ("", identifier)]
        cases += _pair(identifier, sources, references, mine, folder.series, query)
    return cases


def _acquired(folder: DicomFolder, query: Query) -> list[Series]:
    """Leave out what a model made: it is neither a reference nor anything to learn from."""
    acquired = [one for one in folder.series if not one.synthetic]
    left_out = len(folder.series) - len(acquired)
    if left_out and query.report is not None:
        query.report(f"{left_out} series marked as synthetic: left out.")
    return acquired


def _by_patient(series: Iterable[Series]) -> dict[str, list[Series]]:
    patients: dict[str, list[Series]] = {}
    for one in series:
        identifier = text_of(one.header, "PatientID") or (
            f"study {text_of(one.header, 'StudyInstanceUID')}"
        )
        patients.setdefault(identifier, []).append(one)
    return patients


def _choose(series: Iterable[Series], modality: str, pattern: str | None) -> list[Series]:
    return [
        one
        for one in series
        if one.modality == modality
        and (pattern is None or fnmatch.fnmatch(one.description.lower(), pattern.lower()))
    ]


def _pair(
    identifier: str,
    sources: list[Series],
    references: list[Series],
    sets: list[StructureSet],
    everything: tuple[Series, ...],
    query: Query,
) -> list[Found]:
    names = (query.source_modality, query.reference_modality)
    problem = None
    if not sources or not references:
        lacking = [n for n, found in zip(names, (sources, references), strict=True) if not found]
        problem = f"it has no {' and no '.join(lacking)} series"
        if not sources and not references:
            return []  # another patient of the archive, with nothing that was asked for
    partners = [(s, [r for r in references if _share_frame(s, r)]) for s in sources]
    pairs = [(s, _same_study(s, fitting)) for s, fitting in partners if fitting]
    studies = [text_of(s.header, "StudyInstanceUID") for s, _ in pairs]
    if problem is None and not pairs:
        problem = (
            f"its {names[0]} and {names[1]} are in different frames of reference; register them "
            f"first"
        )
    elif problem is None:
        most = max(studies.count(study) for study in studies)
        widest = max(len(fitting) for _, fitting in pairs)
        if most > 1 or widest > 1:
            problem = (
                f"{count_of(most, names[0] + ' stack')} and "
                f"{count_of(widest, names[1] + ' stack')} fit together; choose by their series "
                f"description"
            )
    if problem is not None:
        first = next(iter(sources), None), next(iter(references), None)
        return [_found(identifier, first, (), everything, query, problem)]
    return [_found(identifier, (s, f[0]), sets, everything, query, None) for s, f in pairs]


def _share_frame(first: Series, second: Series) -> bool:
    frames = (first.frame_of_reference, second.frame_of_reference)
    return None in frames or frames[0] == frames[1]


def _same_study(source: Series, fitting: list[Series]) -> list[Series]:
    study = text_of(source.header, "StudyInstanceUID")
    return [r for r in fitting if text_of(r.header, "StudyInstanceUID") == study] or fitting


def _found(
    identifier: str,
    pair: tuple[Series | None, Series | None],
    sets: Iterable[StructureSet],
    everything: tuple[Series, ...],
    query: Query,
    problem: str | None,
) -> Found:
    source, reference = pair
    nothing: dict[str, Any] = {}
    headers = [nothing if one is None else one.header for one in pair]
    header = headers[0] or headers[1]
    days = [scan_date(one) if one else None for one in headers]
    notes = []
    if source and reference and None in (source.frame_of_reference, reference.frame_of_reference):
        notes.append("no frame of reference in one of the images: taken to be the same")
    drawings = _drawings(pair, sets, everything)
    external = [d for d in drawings.values() if d.structure.kind == "EXTERNAL"]
    facts = facts_of_headers(
        *headers, source_modality=query.source_modality, reference_modality=query.reference_modality
    )
    return Found(
        identifier=identifier,
        source=source,
        reference=reference,
        mask=external[0] if len(external) == 1 else None,
        structures=dict(drawings),
        site=_site(headers[0], query),
        anatomy=text_of(header, "BodyPartExamined").lower() or None,
        strata=facts,
        order=str(days[0] or days[1] or ""),
        source_date=days[0],
        reference_date=days[1],
        notes=tuple(notes),
        problem=problem,
    )


def _site(header: Any, query: Query) -> str:
    word = query.site_by or "manufacturer"
    text = text_of(header, SITE_WORDS[word])
    if word == "manufacturer":
        text = normalise_manufacturer(text, query.source_modality) or ""
    return text or UNKNOWN_SITE


def _drawings(
    pair: tuple[Series | None, Series | None],
    sets: Iterable[StructureSet],
    everything: tuple[Series, ...],
) -> dict[str, Drawing]:
    """Take the structures drawn on one of the two images, or in their frame on none we know."""
    images = [one for one in pair if one is not None]
    known = {one.series_uid for one in everything}
    drawings: dict[str, Drawing] = {}
    for one in sets:
        if not one.frames_of_reference & {image.frame_of_reference for image in images}:
            continue
        drawn_on = next((i for i in images if i.series_uid in one.series_uids), None)
        if drawn_on is None and one.series_uids & known:
            continue
        for name, structure in one.structures.items():
            free = next(n for n in _names(name) if n not in drawings)
            drawings[free] = Drawing(path=one.path, structure=structure, drawn_on=drawn_on)
    return drawings


def _names(name: str) -> Iterable[str]:
    yield name
    number = 2
    while True:
        yield f"{name} {number}"
        number += 1


def _structure_sets(folder: DicomFolder, query: Query) -> list[StructureSet]:
    sets = []
    for path in folder.structure_sets:
        try:
            sets.append(read_structure_set(path))
        except ReadProblem as problem:
            if query.report is not None:
                query.report(f"{problem}; its structures are left out.")
    return sets


def _report_orphans(folder: DicomFolder, query: Query) -> None:
    """Tell of damaged files that lie beside no series, and so spoil none."""
    folders = {one.path.parent for series in folder.series for one in series.slices}
    for path, what in folder.unreadable.items():
        if path.parent not in folders and query.report is not None:
            query.report(f"{path}: {what}; no series lies in its folder.")
