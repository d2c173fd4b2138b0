"""What the verb ``dose`` reads: images and structures, from single files or DICOM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qa_suite.cli import console
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qa_suite.core.volume import Grid, Volume
    from qa_suite.io.dicom.headers import Series
    from qa_suite.io.rt.plan.types import ImportedPlan
    from qa_suite.io.rt.structures import Structure, StructureSet
    from qa_suite.metrics.base import Pair

    Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One ``--structure``: from which file, which one of it, and what it is to be called.

    Parameters
    ----------
    path
        A mask, an RTSTRUCT, or a folder with one.
    drawn
        Name in the RTSTRUCT; None takes all of them.
    name
        What the plan's templates call it.
    """

    path: Path
    drawn: str | None = None
    name: str | None = None


@dataclass(kw_only=True)
class _Material:
    """Everything that is read, until it is known to belong together."""

    volumes: dict[str, Volume] = field(default_factory=dict)
    dicom: list[Series | StructureSet | ImportedPlan] = field(default_factory=list)
    masks: dict[str, Mask] = field(default_factory=dict)

    def add_mask(self, name: str, mask: Mask) -> None:
        if name in self.masks:
            raise InputError(f"--structure names {name} twice; name each one once.")
        self.masks[name] = mask


def read_pair(
    reference: Path,
    synthetic: Path,
    source: Path | None,
    structures: Sequence[str],
    *,
    plan: ImportedPlan | None = None,
) -> Pair:
    """Read images and structures of one patient.

    Parameters
    ----------
    reference, synthetic
        CT in HU: NIfTI, MHA or NRRD, or a folder with one DICOM CT series.
    source
        The image that was translated, likewise; of a folder its one series.
    structures
        As :func:`parse_structure` takes them.
    plan
        The RTPLAN that is computed; must be of the same patient.

    Raises
    ------
    QAError
        If something cannot be read, is of another patient or in another frame of reference, or
        lies on another grid.
    """
    from qa_suite.core.volume import require_same_grid
    from qa_suite.dose.clinic.given import ClinicCase
    from qa_suite.imaging.threshold import body
    from qa_suite.io.rt.same_patient import check_same_frame, check_same_patient
    from qa_suite.metrics.base import Pair

    wanted = [parse_structure(text) for text in structures]
    found = _Material()
    ct = _image(reference, "CT", found)
    other = ct if synthetic == reference else _image(synthetic, "CT", found)
    seen = None if source is None else _image(source, "any", found)
    sets = {one.path: structure_set(one.path) for one in wanted if not _is_image(one.path)}
    found.dicom += [*sets.values(), *([] if plan is None else [plan])]
    check_same_patient(found.dicom)
    check_same_frame(found.dicom)
    if found.dicom and not reference.is_dir():
        console.say(f"Taken on trust: {reference} does not say whose it is.")
    for one in wanted:
        if one.path in sets:
            _add_contours(one, sets[one.path], ct.grid, found)
        else:
            _add_mask(one, found)
    require_same_grid(found.volumes)
    return Pair(
        reference=ct,
        synthetic=other,
        source=seen,
        mask=body(ct),
        structures=found.masks,
        clinic=None if plan is None else ClinicCase(plan=_named_targets(plan, wanted, sets)),
    )


def _named_targets(
    plan: ImportedPlan, wanted: Sequence[Wanted], sets: Mapping[Path, StructureSet]
) -> ImportedPlan:
    """Say what the plan's targets are called here, where its own structure set is at hand.

    A plan refers to its targets by the numbers that their contours have in one structure set.
    """
    names = {}
    for one in wanted:
        drawn = sets.get(one.path)
        if drawn is None or drawn.uid != plan.structure_set_uid:
            continue
        for structure in drawn.structures.values():
            if one.drawn in (None, structure.name):
                names[structure.number] = one.name or structure.name
    doses = tuple(replace(t, structure=names.get(t.roi_number or 0)) for t in plan.target_doses)
    return replace(plan, target_doses=doses, remarks=(*plan.remarks, *_other_set(plan, sets)))


def _other_set(plan: ImportedPlan, sets: Mapping[Path, StructureSet]) -> Iterator[str]:
    """Yield that a plan was made on another structure set, or that nobody can tell."""
    from qa_suite.dose.clinic.trust import MASKS_ON_TRUST

    if plan.structure_set_uid and not sets:
        yield MASKS_ON_TRUST
    others = [str(path) for path, drawn in sets.items() if drawn.uid != plan.structure_set_uid]
    if plan.structure_set_uid and sets and len(others) == len(sets):
        yield f"it was made on another structure set than {', '.join(others)}"


def parse_structure(text: str) -> Wanted:
    """Read ``NAME=MASK``, ``RTSTRUCT``, ``NAME=RTSTRUCT`` or ``NAME=RTSTRUCT:DRAWN``.

    Raises
    ------
    InputError
        If a mask has no name.
    """
    name, equals, rest = text.rpartition("=")
    if not equals or Path(text).exists():
        if _is_image(Path(text)):
            raise InputError(f"--structure reads NAME=FILE for a mask, not {text!r}.")
        return Wanted(path=Path(text))
    if not name:
        raise InputError(f"--structure reads NAME=FILE, not {text!r}.")
    if _is_image(Path(rest)) or Path(rest).exists():
        return Wanted(path=Path(rest), drawn=name, name=name)
    parts = rest.split(":")
    for count in range(1, len(parts)):
        path = Path(":".join(parts[:count]))
        if path.is_file() or path.is_dir():
            return Wanted(path=path, drawn=":".join(parts[count:]), name=name)
    return Wanted(path=Path(rest), drawn=name, name=name)


def _is_image(path: Path) -> bool:
    from qa_suite.io.images import is_image_file

    return is_image_file(path) and not path.is_dir()


def _image(path: Path, kind: Literal["CT", "any"], found: _Material) -> Volume:
    """Read an image as HU, or as an image of any kind."""
    from qa_suite.core.volume import canonical
    from qa_suite.io.dicom.series import read_series
    from qa_suite.io.images import read_image

    if path.is_dir():
        series = _one_series(path, kind)
        found.dicom.append(series)
        volume = read_series(series)
    else:
        volume = read_image(path, "HU" if kind == "CT" else "arbitrary")
    volume = found.volumes[str(path)] = canonical(volume)
    return volume


def _one_series(folder: Path, kind: Literal["CT", "any"]) -> Series:
    from qa_suite.io.dicom.headers import scan_dicom

    scanned = scan_dicom(folder)
    fitting = [one for one in scanned.series if kind in ("any", one.modality)]
    if len(fitting) == 1:
        return fitting[0]
    why = next((f"; {path}: {what}" for path, what in scanned.unreadable.items()), "")
    what = "image" if kind == "any" else kind
    if not fitting:
        raise InputError(f"{folder} holds no DICOM {what} series{why}.")
    raise InputError(
        f"{folder} holds {len(fitting)} DICOM {what} series; name a folder with the one that is "
        f"meant."
    )


def structure_set(path: Path) -> StructureSet:
    """Read an RTSTRUCT, or the one of a folder."""
    from qa_suite.io.dicom.headers import scan_dicom
    from qa_suite.io.rt.structures import read_structure_set

    if path.is_dir():
        files = scan_dicom(path).structure_sets
        if len(files) != 1:
            raise InputError(
                f"{path} holds {len(files)} RTSTRUCT files; name the one that is meant."
            )
        path = files[0]
    if not path.is_file():
        raise InputError(f"There are no structures at {path}.")
    return read_structure_set(path)


def _add_mask(one: Wanted, found: _Material) -> None:
    import numpy as np

    from qa_suite.core.volume import canonical
    from qa_suite.io.images import read_image

    volume = found.volumes[str(one.path)] = canonical(read_image(one.path, "label"))
    assert one.name is not None
    found.add_mask(one.name, np.asarray(volume.array > 0))


def _add_contours(one: Wanted, drawn: StructureSet, grid: Grid, found: _Material) -> None:
    """Fill one structure that was named, or every organ and target of a structure set.

    Of a whole set, the patient's outline and what is empty are left out, and told; one that was
    named must hold something.
    """
    from qa_suite.core.registry import unknown_name

    if one.drawn is not None and one.drawn not in drawn.structures:
        raise InputError(
            f"{drawn.path}: {unknown_name('structure', one.drawn, list(drawn.structures))}"
        )
    chosen = [one.drawn] if one.drawn is not None else list(drawn.structures)
    for name in chosen:
        structure = drawn.structures[name]
        if one.drawn is None and structure.kind == "EXTERNAL":
            console.say(f"{drawn.path}: {name} left out, the patient's outline.")
            continue
        mask, notes = _filled(structure, grid)
        if mask is None:
            why = "; ".join(notes) or "it has no closed contour"
            if one.drawn is not None:
                raise InputError(f"{drawn.path}: {name} fills no voxel of the CT ({why}).")
            console.say(f"{drawn.path}: {name} left out, it fills no voxel of the CT ({why}).")
            continue
        if notes:
            console.say(f"{drawn.path}: {name}: {'; '.join(notes)}.")
        found.add_mask(one.name or name, mask)


def _filled(structure: Structure, grid: Grid) -> tuple[Mask | None, tuple[str, ...]]:
    from qa_suite.io.rt.structures import structure_mask

    if not structure.contours:
        return None, structure.notes
    mask, notes = structure_mask(structure, grid)
    return (mask if mask.any() else None), (*structure.notes, *notes)
