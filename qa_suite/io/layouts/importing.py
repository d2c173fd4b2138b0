"""From scans on disk to a cohort: everything composed, nothing copied that need not be."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from qa_suite.core.cohort import PRIVATE_FILE, Cohort, save_cohort, with_file_hashes
from qa_suite.core.errors import InputError
from qa_suite.core.making_cohorts import make_way, require_no_cohort
from qa_suite.core.names import require_name
from qa_suite.core.one_writer import writing
from qa_suite.core.sites import require_distinct
from qa_suite.core.whole_files import replacing
from qa_suite.io.dicom.series import quantity_of_modality
from qa_suite.io.identity import default_key_file, load_key, patient_hash
from qa_suite.io.layouts.case_import import Imported, Task, import_case, plain_site
from qa_suite.io.layouts.dicom_cases import list_dicom
from qa_suite.io.layouts.layouts import (
    LAYOUTS,
    Found,
    Layout,
    Query,
    detect_layout,
    list_sts,
    list_synthrad,
    list_table,
)

_log = logging.getLogger(__name__)

_LISTERS: dict[Layout, Callable[[Path, Query], list[Found]]] = {
    "dicom": list_dicom,
    "sts": list_sts,
    "synthrad2023": functools.partial(list_synthrad, ending=".nii.gz"),
    "synthrad2025": functools.partial(list_synthrad, ending=".mha"),
    "table": list_table,
}


def import_cohort(
    source: Path,
    out: Path,
    *,
    layout: str = "auto",
    name: str | None = None,
    anatomy: str | None = None,
    source_modality: str = "MR",
    reference_modality: str = "CT",
    site_by: str | None = None,
    source_series: str | None = None,
    reference_series: str | None = None,
    key_file: Path | None = None,
    expected_sites: Sequence[str] = (),
    sites: Sequence[str] = (),
    replace: bool = False,
    workers: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
    report: Callable[[str], None] | None = None,
    deal: Callable[[Cohort], Cohort] | None = None,
) -> Cohort:
    """Make a cohort of the scans in a folder or a table, and write it.

    ``out`` receives ``manifest.yaml``, ``volumes/`` and ``private.json``. Only the latter,
    readable by its owner alone, knows identifiers, dates and original paths. Every volume of
    a case lies on the grid of its source image; a file that lies there already is linked, not
    copied. A case that cannot be read stays in the manifest with the reason. The cases are in
    no split, unless ``deal`` puts them there.

    Parameters
    ----------
    source
        Folder, or table of pairs.
    out
        Folder of the cohort; made if needed.
    layout
        ``auto`` or one of :data:`qa_suite.io.layouts.layouts.LAYOUTS`.
    name, anatomy
        Of the cohort; by default those of the layout (a folder's name may be a patient's).
    source_modality, reference_modality
        ``MR``, ``CBCT``, ``CT`` or ``PT``.
    site_by
        What tells the site: a word of the layout (``manufacturer``, ``model``, ``station``,
        ``institution``, ``field_strength``, ``centre``) or a column of the table.
    source_series, reference_series
        Patterns for the DICOM series description (``*t1*``) where a patient has several.
    key_file
        The key of the pseudonyms, see :func:`qa_suite.io.identity.load_key`.
    expected_sites
        Hospitals that must be judged, whatever is found of them; named as the scans name them.
    sites
        Sites of which a case must be among those found, before one of them is read.
    replace
        Whether a cohort that ``out`` holds already is replaced.
    workers
        Processes to read cases with; the result does not depend on it.
    progress
        Called with cases (or files) done, their number, and what is being done.
    report
        Called with every full sentence about what could not be read, paths included: for
        the user's eyes, not for a log that leaves the machine.
    deal
        What is still to be said of the cohort, such as its patient sets. It is written once, so
        that no cohort without them is ever found there.

    Raises
    ------
    InputError
        If nothing there has a known layout, not one case can be read, ``out`` holds a cohort, or
        another process writes there.
    Problems
        If an expected hospital is named twice, or otherwise than its scans name it.
    Unfinished
        If a case failed for a reason of the run.
    """
    source, out = Path(source), Path(out)
    if name is not None:
        require_name(name, "cohort")
    require_no_cohort(out, replace=replace)
    for modality in (source_modality, reference_modality):
        quantity_of_modality(modality)  # an unknown one is refused before anything is read
    query = Query(
        source_modality=source_modality,
        reference_modality=reference_modality,
        site_by=site_by,
        source_series=source_series,
        reference_series=reference_series,
        progress=progress,
        report=report,
    )
    chosen = _layout(source, layout)
    if report is not None and not (key_file or default_key_file()).exists():
        report(f"Made a new key for pseudonyms: {key_file or default_key_file()}; keep it.")
    key = load_key(key_file)
    found = _LISTERS[chosen](source, query)
    if not found:
        raise InputError(
            f"{source} holds no {source_modality} or {reference_modality} image in the layout "
            f"{chosen}."
        )
    there = {plain_site(one.site) for one in found}
    expected = require_distinct(expected_sites, there)
    require_sites(sites, there)
    tasks = [
        Task(
            found=one,
            case=f"{patient}-{number}",
            patient=patient,
            examination=number,
            out=out,
            source_modality=source_modality,
            reference_modality=reference_modality,
        )
        for one, patient, number in _numbered(found, key)
    ]
    with writing(out, "import"):
        make_way(out)
        imported = list(_run(tasks, workers, progress))
        cohort = _cohort(source, imported, found, query, name, anatomy, chosen, report).model_copy(
            update={"expected_sites": expected}
        )
        if deal is not None:
            cohort = deal(cohort)
        _write_private(out, imported)
        cohort = with_file_hashes(cohort, out)
        save_cohort(cohort, out)
    return cohort


def require_sites(wanted: Sequence[str], found: Iterable[str]) -> None:
    """Refuse sites that no case is from.

    Raises
    ------
    InputError
        With the sites that there are.
    """
    known = set(found)
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise InputError(
            f"No case is from site {', '.join(unknown)}; sites are {', '.join(sorted(known))}."
        )


def _cohort(
    source: Path,
    imported: Sequence[Imported],
    found: Sequence[Found],
    query: Query,
    name: str | None,
    anatomy: str | None,
    chosen: Layout,
    report: Callable[[str], None] | None,
) -> Cohort:
    """Put the cases together; refuse a cohort of which not one can be read."""
    for one in imported:
        if one.detail and report is not None:
            report(one.detail)
    readable = [one for one in imported if one.case.import_problem is None]
    if not readable:
        reasons = sorted({str(one.case.import_problem).rstrip(".") for one in imported})
        raise InputError(
            f"No case in {source} can be read ({len(imported)} tried): {'; '.join(reasons[:3])}."
        )
    _log.info("imported %d of %d cases", len(readable), len(imported))
    return Cohort(
        name=name or chosen,
        source_modality=query.source_modality,
        reference_modality=query.reference_modality,
        source_quantity=quantity_of_modality(query.source_modality),
        reference_quantity=quantity_of_modality(query.reference_modality),
        anatomy=anatomy or _common_anatomy(found),
        import_settings={
            "layout": chosen,
            "site_by": query.site_by,
            "source_series": query.source_series,
            "reference_series": query.reference_series,
        },
        cases=tuple(sorted((one.case for one in imported), key=lambda case: case.case)),
    )


def _layout(source: Path, layout: str) -> Layout:
    if layout == "auto":
        return detect_layout(source)
    if layout not in LAYOUTS:
        raise InputError(f"Unknown layout {layout!r}; known: auto, {', '.join(LAYOUTS)}.")
    if not source.exists():
        raise InputError(f"There is no folder or table at {source}.")
    return next(known for known in LAYOUTS if known == layout)


def _numbered(found: Iterable[Found], key: bytes) -> Iterator[tuple[Found, str, int]]:
    """Give every case its patient's pseudonym and the number of the examination."""
    patients: dict[str, list[Found]] = {}
    for one in found:
        patients.setdefault(patient_hash(one.identifier, key), []).append(one)
    for patient, scans in sorted(patients.items()):
        for number, one in enumerate(sorted(scans, key=lambda scan: _natural(scan.order)), 1):
            yield one, patient, number


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key by which 'scan 10' follows 'scan 2'."""
    parts = re.findall(r"\d+|\D+", text)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _run(
    tasks: list[Task], workers: int, progress: Callable[[int, int, str], None] | None
) -> Iterator[Imported]:
    def told(results: Iterable[Imported]) -> Iterator[Imported]:
        for done, (task, result) in enumerate(zip(tasks, results, strict=True), start=1):
            if progress is not None:
                progress(done, len(tasks), task.case)
            yield result

    if workers <= 1 or len(tasks) == 1:
        yield from told(map(import_case, tasks))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from told(pool.map(import_case, tasks))


def _common_anatomy(found: Iterable[Found]) -> str:
    named = {one.anatomy for one in found if one.anatomy}
    if not named:
        return "unknown"
    return named.pop() if len(named) == 1 else "mixed"


def _write_private(out: Path, imported: Iterable[Imported]) -> None:
    """Write what must not leave the machine, readable by its owner only."""
    data = {one.case.case: one.private for one in imported}
    with replacing(out / PRIVATE_FILE) as draft:
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(data, stream, indent=2, sort_keys=True, ensure_ascii=False)
