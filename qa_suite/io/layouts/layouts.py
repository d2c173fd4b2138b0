"""Which cases a folder or table holds, by its layout; only names and headers are read here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

from qa_suite.core.cohort import Strata
from qa_suite.core.errors import InputError
from qa_suite.core.scanners import normalise_manufacturer
from qa_suite.core.table_files import read_cells
from qa_suite.core.wording import count
from qa_suite.io.dicom.headers import Series
from qa_suite.io.rt.structures import Structure

Layout = Literal["dicom", "synthrad2023", "synthrad2025", "table", "sts"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
UNKNOWN_SITE = "unknown"

_SYNTHRAD_ID = re.compile(r"^([12])(HN|TH|AB|B|P)([A-Z])(\d{2,4})$")
_SYNTHRAD_ANATOMY = {
    "B": "brain",
    "P": "pelvis",
    "HN": "head and neck",
    "TH": "thorax",
    "AB": "abdomen",
}
_STS_FILES = {"MR": "MR_T1", "CT": "CT", "PT": "PET"}
_MOST_TITLES = 1 << 16
_TABLE_PATHS = ("source", "reference", "mask")
_TABLE_OTHERS = ("patient", "site", "structures", "examination", "anatomy")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A structure of an RTSTRUCT file and the series it was drawn on, where that is known."""

    path: Path
    structure: Structure
    drawn_on: Series | None


Image = Path | Series


@dataclass(frozen=True, kw_only=True)
class Found:
    """One case as it lies on the disk, before anything of it is read.

    ``identifier`` and the dates stay on the machine; ``problem`` is a sentence without them.
    ``without_reference`` is said by whoever described the case, never guessed from a missing file.
    """

    identifier: str
    source: Image | None
    reference: Image | None
    mask: Path | Drawing | None = None
    structures: dict[str, Path | Drawing] = field(default_factory=dict)
    site: str = UNKNOWN_SITE
    anatomy: str | None = None
    strata: dict[str, Any] = field(default_factory=dict)
    order: str = ""
    source_date: date | None = None
    reference_date: date | None = None
    notes: tuple[str, ...] = ()
    without_reference: bool = False
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked of a layout: the direction, how to name sites, which series to take."""

    source_modality: str
    reference_modality: str
    site_by: str | None = None
    source_series: str | None = None
    reference_series: str | None = None
    progress: Callable[[int, int, str], None] | None = None
    report: Callable[[str], None] | None = None


def detect_layout(source: Path) -> Layout:
    """Say how a folder or file is laid out.

    Raises
    ------
    InputError
        If there is nothing there, no known layout, or more than one.
    """
    source = Path(source)
    if source.is_file():
        if source.suffix.lower() in (".csv", ".tsv"):
            return "table"
        raise InputError(f"{source} is neither a folder nor a table (.csv) of pairs.")
    if not source.is_dir():
        raise InputError(f"There is no folder or table at {source}.")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    if not files:
        raise InputError(f"The folder {source} holds no files.")
    if any(_is_pair_table(path) for path in source.glob("*.csv")):
        return "table"  # somebody wrote down what the pairs are
    names = {path.name for path in files}
    found: list[Layout] = []
    if {f"{stem}_image.nii.gz" for stem in _STS_FILES.values()} & names:
        found.append("sts")
    for layout, ending in (("synthrad2023", ".nii.gz"), ("synthrad2025", ".mha")):
        if {f"{stem}{ending}" for stem in ("ct", "mr", "cbct")} & names:
            found.append(layout)  # type: ignore[arg-type]
    if any(_looks_like_dicom(path) for path in files):
        found.append("dicom")
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{source} holds several layouts ({', '.join(found)}); name one of its folders, or "
            f"the layout."
        )
    raise InputError(
        f"{source} holds no known layout ({', '.join(LAYOUTS)}); describe the pairs in a table "
        f"with the columns source and reference."
    )


def _looks_like_dicom(path: Path) -> bool:
    if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def list_sts(source: Path, query: Query) -> list[Found]:
    """List the cases of the layout ``ID/{MR_T1,CT,PET}_image.nii.gz`` with ``_mask`` beside.

    The mask is a tumour contour (GTV), not the body. Scanner and sex come from a
    ``patients.csv`` in the folder or above it.
    """
    for modality in (query.source_modality, query.reference_modality):
        if modality not in _STS_FILES:
            known = ", ".join(_STS_FILES)
            raise InputError(f"The sts layout holds {known}, and no {modality}.")
    facts = _sts_patients(source)
    site_by = query.site_by or "manufacturer"
    column = {"manufacturer": "mr_manufacturer", "model": "mr_model"}.get(site_by, site_by)
    columns = {name for row in facts.values() for name in row}
    if query.site_by and column not in columns:
        raise InputError(
            f"The sites cannot be told by {site_by!r}: patients.csv has the columns "
            f"{', '.join(sorted(columns)) or '(no such file)'}."
        )
    source_stem = _STS_FILES[query.source_modality]
    folders = sorted({path.parent for path in source.rglob("*_image.nii.gz")})
    cases = []
    for folder in folders:
        row = facts.get(folder.name, {})
        manufacturer = normalise_manufacturer(row.get("mr_manufacturer"))
        strata: dict[str, Any] = {"sex": row.get("sex") or None}
        if query.source_modality == "MR":
            strata["source_manufacturer"] = manufacturer
            strata["source_model"] = row.get("mr_model") if manufacturer else None
            strata["sequence"] = "T1"
        site = manufacturer if column == "mr_manufacturer" else row.get(column)
        if column == "mr_model" and manufacturer is None:
            site = None
        gtv = folder / f"{source_stem}_mask.nii.gz"
        cases.append(
            Found(
                identifier=folder.name,
                source=folder / f"{source_stem}_image.nii.gz",
                reference=folder / f"{_STS_FILES[query.reference_modality]}_image.nii.gz",
                structures={"GTV": gtv} if gtv.is_file() else {},
                site=site or UNKNOWN_SITE,
                anatomy="extremities",
                strata={key: value for key, value in strata.items() if value},
            )
        )
    return cases


def _sts_patients(source: Path) -> dict[str, dict[str, str]]:
    for folder in (source, source.parent):
        path = folder / "patients.csv"
        if path.is_file():
            return {row.get("patient", ""): row for row in _read_rows(path)[1]}
    return {}


def list_synthrad(source: Path, query: Query, *, ending: str) -> list[Found]:
    """List the cases ``ID/{ct,mr|cbct,mask}`` of SynthRAD2023 (.nii.gz) or 2025 (.mha).

    The ID says the task (1 MR, 2 CBCT), the anatomy and the centre: ``1BA001``, ``2HNC014``.

    References
    ----------
    Thummerer A et al. (2023) SynthRAD2023 Grand Challenge dataset, Med Phys 50:4664; and
    (2025) SynthRAD2025 Grand Challenge dataset, Med Phys 52:e17981.
    """
    if query.site_by not in (None, "centre"):
        raise InputError(
            f"The SynthRAD layouts know the site by 'centre' only, not by {query.site_by!r}."
        )
    stems = {"MR": "mr", "CBCT": "cbct", "CT": "ct"}
    for modality in (query.source_modality, query.reference_modality):
        if modality not in stems:
            raise InputError(f"The SynthRAD layouts hold {', '.join(stems)}, and no {modality}.")
    folders = sorted(
        {path.parent for stem in stems.values() for path in source.rglob(f"{stem}{ending}")}
    )
    ours, other = stems[query.source_modality], "cbct" if query.source_modality == "MR" else "mr"
    wanted = [f for f in folders if (f / f"{ours}{ending}").exists() or not _has(f, other, ending)]
    if not wanted:
        raise InputError(
            f"{source} holds {other.upper()} and no {ours.upper()}; state the source modality "
            f"{other.upper()}."
        )
    cases = []
    for folder in wanted:
        match = _SYNTHRAD_ID.match(folder.name.upper())
        mask = folder / f"mask{ending}"
        cases.append(
            Found(
                identifier=folder.name,
                source=folder / f"{ours}{ending}",
                reference=folder / f"{stems[query.reference_modality]}{ending}",
                mask=mask if mask.exists() else None,
                site=match[3] if match else UNKNOWN_SITE,
                anatomy=_SYNTHRAD_ANATOMY[match[2]] if match else None,
            )
        )
    return cases


def _has(folder: Path, stem: str, ending: str) -> bool:
    return (folder / f"{stem}{ending}").exists()


def list_table(source: Path, query: Query) -> list[Found]:
    """List the cases of a table: one row a pair, paths relative to the table.

    Columns: ``source`` and ``reference`` (required; an empty reference says that there is none);
    ``mask``; ``structures`` as
    ``GTV=gtv.nii.gz;Bladder=bladder.nii.gz``; ``patient``, ``site``, ``examination`` (order
    of a patient's scans), ``anatomy``; and any field of :class:`qa_suite.core.cohort.Strata`.

    Raises
    ------
    InputError
        If the table is unreadable or lacks a column; every faulty cell is named.
    """
    path = _table_path(source)
    columns, rows = _read_rows(path)
    missing = [name for name in ("source", "reference") if name not in columns]
    if missing:
        raise InputError(f"{path} lacks the column {' and '.join(missing)}; it has {columns}.")
    if not rows:
        raise InputError(f"{path} lists no pairs.")
    aliases = {"manufacturer": "source_manufacturer", "model": "source_model"}
    site_by = query.site_by or "site"
    column = site_by if site_by in columns else aliases.get(site_by, site_by)
    if query.site_by and column not in columns:
        raise InputError(
            f"{path} has no column {site_by!r} to tell the sites by; it has {columns}."
        )
    fields = set(Strata.model_fields)
    unused = sorted(set(columns) - fields - {*_TABLE_PATHS, *_TABLE_OTHERS, column})
    if unused and query.report is not None:
        query.report(f"{path}: the columns {', '.join(unused)} are not used.")
    cases = []
    for row in rows:
        notes = () if row.get("patient") else ("no patient given: counted as one of its own",)
        cases.append(
            Found(
                identifier=row.get("patient") or str((path.parent / row["source"]).resolve()),
                source=path.parent / row["source"] if row["source"] else None,
                reference=path.parent / row["reference"] if row["reference"] else None,
                mask=path.parent / row["mask"] if row.get("mask") else None,
                structures=_structures(row.get("structures", ""), path),
                site=row.get(column) or UNKNOWN_SITE,
                anatomy=row.get("anatomy") or None,
                strata={name: row[name] for name in columns if name in fields and row[name]},
                order=row.get("examination", ""),
                notes=notes,
                without_reference=not row["reference"],
            )
        )
    return cases


def _structures(text: str, table: Path) -> dict[str, Path | Drawing]:
    structures: dict[str, Path | Drawing] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, equals, file = (piece.strip() for piece in part.partition("="))
        if not (name and equals and file) or name in structures:
            raise InputError(
                f"{table}: structures must be written NAME=file;NAME=file with each name once, "
                f"got {text!r}."
            )
        structures[name] = table.parent / file
    return structures


def _table_path(source: Path) -> Path:
    if source.is_file():
        return source
    tables = sorted(path for path in source.glob("*.csv") if _is_pair_table(path))
    if len(tables) != 1:
        found = count(len(tables), "table")
        raise InputError(f"{source} holds {found} of pairs; name one of them.")
    return tables[0]


def _is_pair_table(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline(_MOST_TITLES)
    return {"source", "reference"} <= {cell.strip().lower() for cell in re.split("[,;\t]", first)}


def _read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a table with commas, semicolons or tabs; names in lower case, cells without blanks."""
    lines = read_cells(path, delimiters=",\t;")
    if not any(cell.strip() for line in lines for cell in line):
        raise InputError(f"The table {path} is empty.")
    columns = [name.strip().lower() for name in lines[0]]
    wrong = [str(n) for n, line in enumerate(lines, 1) if line and len(line) != len(columns)]
    if wrong:
        raise InputError(
            f"{path} has {count(len(columns), 'column')} and another number of cells in line "
            f"{', '.join(wrong[:5])}."
        )
    rows = [[cell.strip() for cell in line] for line in lines[1:] if any(c.strip() for c in line)]
    return columns, [dict(zip(columns, row, strict=True)) for row in rows]
