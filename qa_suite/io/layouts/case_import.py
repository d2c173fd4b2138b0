"""One case from its files to the cohort: read, put on one grid, masked, hashed, described."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from qa_suite.core.cohort import Case, Strata
from qa_suite.core.errors import GeometryError, InputError, QAError
from qa_suite.core.failures import is_of_the_run, unfinished
from qa_suite.core.names import plain_name
from qa_suite.core.plain_files import files_of_image
from qa_suite.core.resampling import covered_by, resample
from qa_suite.core.validation import describe_validation
from qa_suite.core.volume import Grid, Quantity, Volume, canonical
from qa_suite.imaging.body import OUTLINE, body_of, body_width_mm, shows_implant
from qa_suite.io.dicom.headers import Series
from qa_suite.io.dicom.series import QUANTITY_OF_MODALITY, read_series, stack_grid
from qa_suite.io.field_of_view import padding_in
from qa_suite.io.identity import fingerprint, voxel_hash
from qa_suite.io.images import ending_of, read_image, write_image
from qa_suite.io.layouts.layouts import Drawing, Found, Image
from qa_suite.io.problems import ReadProblem
from qa_suite.io.rt.structures import structure_mask

OUTSIDE: dict[Quantity, float] = {"HU": -1000.0, "SUVbw": 0.0, "arbitrary": 0.0, "label": 0.0}
"""What stands where a resampled image does not reach; the mask never reaches there either."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One case to import: what was found, its pseudonyms, and where the cohort lies."""

    found: Found
    case: str
    patient: str
    examination: int
    out: Path
    source_modality: str
    reference_modality: str


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One case as the manifest has it, and what only ``private.json`` may hold.

    ``detail`` is the full sentence about what could not be read, paths included; or empty.
    """

    case: Case
    private: dict[str, str | None]
    detail: str = ""


def import_case(task: Task) -> Imported:
    """Read one case and write its volumes; what cannot be read becomes its import problem."""
    found = task.found
    private = {
        "identifier": found.identifier,
        "source": _path_of(found.source),
        "reference": _path_of(found.reference),
        "source_date": str(found.source_date) if found.source_date else None,
        "reference_date": str(found.reference_date) if found.reference_date else None,
    }
    folder = task.out / "volumes" / task.case
    if folder.exists():
        shutil.rmtree(folder)  # links are removed, never what they point at
    try:
        return Imported(case=_import(task, folder), private=private)
    except QAError as error:
        if is_of_the_run(error):
            raise unfinished(f"The case {task.case} could not be imported", error) from error
        public = error.public if isinstance(error, ReadProblem) else str(error)
        if _reveals(public, found):
            public = "one of its files cannot be read"
        if folder.exists():
            shutil.rmtree(folder)
        case = Case(
            case=task.case,
            patient=task.patient,
            site=plain_site(found.site),
            examination=task.examination,
            source=f"volumes/{task.case}/source.nii.gz",
            import_problem=public[:1].upper() + public[1:] + ("" if public.endswith(".") else "."),
        )
        detail = f"{task.case} ({_path_of(found.source) or _path_of(found.reference)}): {error}"
        return Imported(case=case, private=private | {"problem": str(error)}, detail=detail)


def _import(task: Task, folder: Path) -> Case:
    found = task.found
    if found.problem is not None:
        raise ReadProblem(_path_of(found.source) or "the patient", found.problem)
    source = _load(found.source, task.source_modality)
    history = [*found.notes]
    history += [f"source: {step}" for step in source.history]
    covered: NDArray[np.bool_] = np.ones(source.grid.shape, dtype=bool)
    reference = moved = None
    if not found.without_reference:
        reference = _reference(task, source)
        history += [f"reference: {step}" for step in reference.history]
        covered, moved = _onto(reference, source.grid)
        if moved is not reference:
            history.append(f"reference: {moved.history[-1]}")
            history.append(f"reference: covers {100 * covered.mean():.1f} % of the source's voxels")
    writer = _Writer(folder=folder, case=task.case)
    mask, how, mask_path = _mask(found.mask, source, moved)
    if found.mask is None:
        padding = padding_in(source, mask)
        covered = covered & ~padding
        if padding.any():
            share = 100 * padding.sum() / mask.sum()
            history.append(f"source: holds only padding in {share:.1f} % of the body, left out")
    inside = mask & covered
    structures: dict[str, str] = {}
    for name, outline in found.structures.items():
        label = _label(name, found, len(structures))
        voxels, notes = _outline(outline, source.grid, f"structure {label}")
        history += [f"structure {label}: {note}" for note in notes]
        given = outline if isinstance(outline, Path) and not notes else None
        structures[label] = writer.put(f"structure {label}", _labels(voxels, source.grid), given)
    history.append(f"mask: {how}, where both images have values")
    scans = {"source": source} | ({} if reference is None else {"reference": reference})
    return Case(
        case=task.case,
        patient=task.patient,
        site=plain_site(found.site),
        examination=task.examination,
        source=writer.put("source", source, _file(found.source)),
        reference=None
        if moved is None
        else writer.put("reference", moved, _file(found.reference, moved is reference)),
        mask=writer.put(
            "mask", _labels(inside, source.grid), mask_path if (inside == mask).all() else None
        ),
        coverage=None
        if covered.all()
        else writer.put("coverage", _labels(covered, source.grid), None),
        structures=structures,
        linked=tuple(sorted(writer.linked)),
        voxel_hashes={role: voxel_hash(scan) for role, scan in scans.items()},
        fingerprints={role: fingerprint(scan) for role, scan in scans.items()},
        strata=_strata(found, source, reference),
        history=tuple(history),
    )


def _reference(task: Task, source: Volume) -> Volume:
    """Read the reference; refuse one that lies in another frame of reference."""
    reference = _load(task.found.reference, task.reference_modality)
    if not source.grid.same_frame_as(reference.grid):
        raise ReadProblem(
            str(_path_of(task.found.source)),
            f"its {task.source_modality} and {task.reference_modality} are in different frames "
            f"of reference; register them first",
        )
    return reference


def _load(image: Image | None, modality: str) -> Volume:
    if image is None:
        raise ReadProblem("the patient", f"it has no {modality}")
    try:
        if isinstance(image, Series):
            return canonical(read_series(image))
        return _read_file(image, f"{modality} file", QUANTITY_OF_MODALITY[modality])
    except ReadProblem as problem:
        what = "its" if isinstance(image, Path) else f"its {modality} series:"
        raise ReadProblem(problem.where, f"{what} {problem.public}") from None


def _read_file(path: Path, role: str, quantity: Quantity) -> Volume:
    """Read a single-file image; the public sentence says the role in place of the path."""
    if not path.is_file():
        raise ReadProblem(path, f"{role} is missing")
    try:
        return canonical(read_image(path, quantity))
    except GeometryError as error:
        raise ReadProblem(path, f"{role} has an impossible geometry: {error}") from None
    except InputError as error:
        reason = str(error).removeprefix(str(path)).strip().rstrip(".")
        words = [path.name, *(part for part in path.parent.parts if len(part) > 2), "/", "\\"]
        told = not any(word in reason for word in words) and reason[:1].islower()
        what = reason if told else "cannot be read as an image"
        raise ReadProblem(path, f"{role} {what}") from None


def _onto(volume: Volume, grid: Grid) -> tuple[NDArray[np.bool_], Volume]:
    """Put a volume on a grid: where it has values there, and the volume itself if unchanged."""
    if volume.grid.same_as(grid):
        return np.ones(grid.shape, dtype=bool), volume
    moved = resample(volume, grid, interpolation="linear", outside=OUTSIDE[volume.quantity])
    return covered_by(volume.grid, grid), moved


def _mask(
    given: Path | Drawing | None, source: Volume, reference: Volume | None
) -> tuple[NDArray[np.bool_], str, Path | None]:
    """Return where the case may be measured, how that is known, and the file that says so."""
    if given is not None:
        voxels, notes = _outline(given, source.grid, "mask")
        what = "as supplied" if isinstance(given, Path) else "the structure of type EXTERNAL"
        file = given if isinstance(given, Path) and not notes else None
        return voxels, ", ".join([what, *notes]), file
    image, role = source, "source"
    if reference is not None and reference.quantity == "HU":
        image, role = reference, "reference"
    return body_of(image), f"body from the {role}: {OUTLINE.describe(image.quantity)}", None


def _outline(
    outline: Path | Drawing, grid: Grid, role: str
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return a structure or mask on the source's grid, and what was done to it."""
    notes: tuple[str, ...] = ()
    if isinstance(outline, Drawing):
        drawn_on = grid if outline.drawn_on is None else stack_grid(outline.drawn_on)[0]
        voxels, notes = structure_mask(outline.structure, drawn_on)
        notes = (*outline.structure.notes, *notes, "filled from its contours")
        labels = _labels(voxels, drawn_on)
    else:
        try:
            labels = _read_file(outline, f"{role} file", "label")
        except ReadProblem as problem:
            raise ReadProblem(problem.where, f"its {problem.public}") from None
    labels = canonical(labels)
    if not labels.grid.same_as(grid):
        labels = resample(labels, grid, interpolation="nearest", outside=0)
        notes = (*notes, labels.history[-1])
    voxels = labels.array > 0
    return voxels, notes if voxels.any() else (*notes, "empty on the source's grid")


def _labels(voxels: NDArray[np.bool_], grid: Grid) -> Volume:
    return Volume(array=voxels.astype(np.uint8), grid=grid, quantity="label")


def _strata(found: Found, source: Volume, reference: Volume | None) -> Strata:
    facts: dict[str, Any] = dict(found.strata)
    scans = [source] if reference is None else [reference, source]
    widest = scans[0] if scans[0].quantity == "HU" else source
    facts.setdefault("body_width_mm", body_width_mm(widest))
    if facts.get("implant", "unknown") == "unknown" and any(map(shows_implant, scans)):
        facts["implant"] = "yes"
    if found.source_date and found.reference_date:
        interval = abs((found.reference_date - found.source_date).days)
        facts.setdefault("scan_interval_days", interval)
    try:
        return Strata.model_validate(facts)
    except ValidationError as error:
        sentences = "; ".join(describe_validation(error))
        raise ReadProblem(
            "the case", f"its strata are not as they should be: {sentences}"
        ) from None


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """Puts the volumes of one case into its folder and says where, relative to the manifest.

    ``linked`` are the roles whose file is a link to the original, ``taken`` the names of files.
    """

    folder: Path
    case: str
    linked: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def put(self, role: str, volume: Volume, original: Path | None) -> str:
        """Link the original where it holds the very same voxels, else write the volume."""
        name = _file_word(role)
        while name.lower() in self.taken:  # of a structure that differs in a sign or in case
            name += "_"
        self.taken.add(name.lower())
        self.folder.mkdir(parents=True, exist_ok=True)
        # a header that names a file beside itself would be led astray by a link
        if original is None or len(files_of_image(original)) > 1:
            path = self.folder / f"{name}.nii.gz"
            write_image(volume, path)
        else:
            path = self.folder / f"{name}{ending_of(original)}"
            path.symlink_to(original.resolve())
            self.linked.append(role)
        return f"volumes/{self.case}/{path.name}"


def _file(image: Image | None, unchanged: bool = True) -> Path | None:
    """Return the file that may be linked in place of a volume, if there is one."""
    return image if unchanged and isinstance(image, Path) else None


def _path_of(image: Image | None) -> str | None:
    if image is None:
        return None
    return str(image.folder if isinstance(image, Series) else image)


def _label(name: str, found: Found, number: int) -> str:
    """Return a structure's name, unless it carries the patient's."""
    plain = re.sub(r"[^\w .+^~()-]", "_", name).strip()[:64]
    return f"ROI {number + 1}" if not plain or _reveals(plain, found) else plain


def _file_word(label: str) -> str:
    return re.sub(r"[^\w+^~-]", "_", label)


def plain_site(text: str) -> str:
    """Return the name of the site that a header or a column says."""
    return plain_name(text, longest=64)


def _reveals(text: str, found: Found) -> bool:
    """Whether a text holds the patient's identifier, name or a path: a last check."""
    secrets = {found.identifier, *(filter(None, map(_path_of, (found.source, found.reference))))}
    for image in (found.source, found.reference):
        if isinstance(image, Series):
            header: Mapping[str, Any] = image.header
            for keyword in ("PatientName", "PatientID", "AccessionNumber", "PatientBirthDate"):
                secrets.update(re.split(r"[\^=\s]+", str(header.get(keyword) or "")))
    lower = text.lower()
    return any(len(secret) > 3 and secret.lower() in lower for secret in secrets)
