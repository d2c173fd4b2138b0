"""Public functions on doses: ``gamma`` and ``dvh``, on files or volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

import numpy as np
from pydantic import ValidationError

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.registry import unknown_name
from qa_suite.core.validation import describe_validation
from qa_suite.core.volume import Volume
from qa_suite.core.wording import count
from qa_suite.dose.dvh.curve import Dvh, dvhs_of
from qa_suite.dose.gamma import GammaResult, GammaSettings, parse_criteria
from qa_suite.dose.gamma import gamma as gamma_of
from qa_suite.dose.structures.structures import AnyStructure, sample_labels
from qa_suite.io.images import is_image_file, read_image
from qa_suite.io.rt.dose.given import read_given_doses
from qa_suite.io.rt.dose.request import parse_requests
from qa_suite.io.rt.structures import StructureSet, read_structure_set

AnyDose = str | Path | Volume
"""A dose: NIfTI, MHA or NRRD in Gy, an RTDOSE file or a folder with one, or a volume in Gy."""


class DoseSaid(TypedDict, total=False):
    """What a dose file holds, where it is not the physical dose of a whole plan in Gy.

    The words are those of the command's options (docs/dose/dicom.md): ``dose_type``,
    ``summation``, ``fractions``, ``relative_unit_gy``, ``plane_mm``, ``dose_unit`` (of images)
    and ``rtplan`` (plans that parts of a plan are held against). Of two doses a text such as
    ``"plan,beam"`` speaks of the first and of the second.
    """

    dose_type: str
    summation: str
    fractions: int | str
    relative_unit_gy: float | str
    plane_mm: float | str
    dose_unit: str
    rtplan: str | Path | Sequence[str | Path]


@overload
def gamma(
    reference: AnyDose,
    evaluated: AnyDose,
    criteria: str = ...,
    *,
    local: bool = ...,
    normalisation: str | float = ...,
    prescription_gy: float | None = ...,
    cutoff_pct: float | None = ...,
    cutoff_of: str = ...,
    mode: str = ...,
    max_gamma: float | None = ...,
    any_scale: bool = ...,
    threads: int = ...,
    **said: Unpack[DoseSaid],
) -> GammaResult: ...


@overload
def gamma(
    reference: AnyDose,
    evaluated: AnyDose,
    criteria: list[str] | tuple[str, ...],
    *,
    local: bool = ...,
    normalisation: str | float = ...,
    prescription_gy: float | None = ...,
    cutoff_pct: float | None = ...,
    cutoff_of: str = ...,
    mode: str = ...,
    max_gamma: float | None = ...,
    any_scale: bool = ...,
    threads: int = ...,
    **said: Unpack[DoseSaid],
) -> list[GammaResult]: ...


def gamma(
    reference: AnyDose,
    evaluated: AnyDose,
    criteria: str | list[str] | tuple[str, ...] = "2%/2mm",
    *,
    local: bool = False,
    normalisation: str | float = "max",
    prescription_gy: float | None = None,
    cutoff_pct: float | None = None,
    cutoff_of: str = "max",
    mode: str = "trilinear",
    max_gamma: float | None = None,
    any_scale: bool = False,
    threads: int = 1,
    **said: Unpack[DoseSaid],
) -> GammaResult | list[GammaResult]:
    """Compare two doses by the gamma index.

    Parameters
    ----------
    reference, evaluated
        Doses in Gy in one frame of reference; their grids may differ.
    criteria
        Dose difference and distance to agreement, such as ``"3%/2mm"``; or a list of them.
    local
        Take the percentage of each voxel's own reference dose.
    normalisation
        What a global percentage is one of: ``"max"`` (of the reference), ``"prescription"``,
        or a dose in Gy.
    prescription_gy
        Prescribed dose, in Gy.
    cutoff_pct
        Voxels whose reference dose is below it are not judged, in % of ``cutoff_of``; None is
        10 (mode ``pymedphys`` 20, ``matrad`` the dose criterion).
    cutoff_of
        ``"max"`` or ``"prescription"``.
    mode
        ``"trilinear"`` (exact), ``"simplex"``, ``"pymedphys"`` or ``"matrad"``.
    max_gamma
        Search no further than this gamma; None searches to the end.
    any_scale
        Take doses that look like Gy and cGy, or like one fraction and a course.
    threads
        Threads; the result does not depend on it.
    **said
        What the files hold, see :class:`DoseSaid`.

    Returns
    -------
    GammaResult
        ``pass_rate()`` gives the share of the judged voxels with gamma of at most 1, in %;
        ``values`` is the map on the reference's grid, NaN where nothing was judged. A list of
        criteria gives a list of results in its order.

    Raises
    ------
    InputError
        If a dose, a criterion or a setting cannot be used.
    GeometryError
        If the frames of reference differ or the grids do not overlap.

    References
    ----------
    Low et al. 1998, Med. Phys. 25(5), 656-661.

    Examples
    --------
    >>> from qa_suite import gamma
    >>> found = gamma("rd_ct.dcm", "rd_synthetic.dcm", "3%/2mm")
    >>> found.pass_rate().share_pct
    """
    asked = [criteria] if isinstance(criteria, str) else list(criteria)
    wanted = parse_criteria(",".join(asked), local=local)
    if len(wanted) != len(asked):
        raise InputError(f"One text holds one criterion; give several as a list, not {criteria!r}.")
    settings = _settings(
        mode=mode,
        normalisation=normalisation,
        cutoff_pct=cutoff_pct,
        cutoff_of=cutoff_of,
        max_gamma=max_gamma,
        any_scale=any_scale,
    )
    first, second = _doses([reference, evaluated], said, any_scale=any_scale)
    results = gamma_of(
        first, second, wanted, settings, prescription_gy=prescription_gy, threads=threads
    )
    return results[0] if isinstance(criteria, str) else results


def dvh(
    dose: AnyDose,
    structure: str | Path | Volume,
    name: str | None = None,
    *,
    prescription_gy: float | None = None,
    any_scale: bool = False,
    **said: Unpack[DoseSaid],
) -> Dvh:
    """Return the dose-volume histogram of one structure, with fractional voxel weights.

    Parameters
    ----------
    dose
        In Gy.
    structure
        A mask or an image of labels (file or volume of quantity ``label``), or an RTSTRUCT.
    name
        Which structure, where there are several: its name in the RTSTRUCT, or its number in
        the image.
    prescription_gy
        Held against the scale of the dose, in Gy.
    any_scale
        Take a dose that looks like cGy beside its prescription.
    **said
        What the file of the dose holds, see :class:`DoseSaid`.

    Returns
    -------
    Dvh
        ``dose_at_volume_pct(95)`` is D95 in Gy, ``volume_at_dose_gy(20)`` V20 in % and cm³,
        ``mean_gy`` and ``max_gy`` are in Gy, ``curve(0.1)`` the cumulative curve in steps of
        0.1 Gy. They raise ``UndefinedDvh`` where too little of the structure has a dose.

    Raises
    ------
    InputError
        If dose or structure cannot be used, or several structures are there and none is named.
    GeometryError
        If they lie in different frames of reference.

    Examples
    --------
    >>> from qa_suite import dvh
    >>> rectum = dvh("rd.dcm", "rs.dcm", "Rectum")
    >>> rectum.dose_at_volume_pct(2), rectum.mean_gy
    """
    drawn = None if isinstance(structure, Volume) else _structure_set(Path(structure))
    (volume,) = _doses(
        [dose],
        said,
        any_scale=any_scale,
        belongs=[] if drawn is None else [drawn],
        prescription_gy=prescription_gy,
        signed=True,
    )
    found: list[AnyStructure]
    if drawn is not None:
        found, where = list(drawn.structures.values()), str(drawn.path)
    else:
        found, where = _labelled(structure, volume)
    known = [one.name for one in found]
    if not found:
        raise InputError(f"{where} holds no structure.")
    if name is None and len(found) > 1:
        raise InputError(
            f"{where} holds {count(len(found), 'structure')}; name one: {', '.join(known)}."
        )
    if name is not None and str(name) not in known:
        raise InputError(f"{where}: {unknown_name('structure', str(name), known)}")
    chosen = found[0] if name is None else found[known.index(str(name))]
    made = dvhs_of(volume, [chosen], prescription_gy=prescription_gy, any_scale=any_scale)
    return made[chosen.name]


def _settings(**given: Any) -> GammaSettings:
    try:
        return GammaSettings(**given)
    except ValidationError as error:
        raise Problems("The comparison", describe_validation(error)) from None


def _doses(doses: Sequence[AnyDose], said: DoseSaid, **more: Any) -> list[Volume]:
    """Read the doses that are files, together, and take volumes as they are."""
    requests = parse_requests({k: str(v) for k, v in said.items() if k != "rtplan"}, len(doses))
    files = [n for n, dose in enumerate(doses) if not isinstance(dose, Volume)]
    if said and not files:
        raise InputError(
            f"{' and '.join(said)} speaks of dose files, and volumes were given: bring them to "
            f"the physical dose of the whole plan in Gy, and leave it away."
        )
    if not files:
        return [dose for dose in doses if isinstance(dose, Volume)]
    plans = said.get("rtplan", ())
    read = read_given_doses(
        [Path(str(doses[n])) for n in files],
        [requests[n] for n in files],
        plans=[Path(plans)] if isinstance(plans, str | Path) else [Path(one) for one in plans],
        **more,
    )
    volumes = {n: one.volume for n, one in zip(files, read, strict=True)}
    return [dose if isinstance(dose, Volume) else volumes[n] for n, dose in enumerate(doses)]


def _structure_set(path: Path) -> StructureSet | None:
    """Read an RTSTRUCT; None where the path is an image."""
    if not path.is_file():
        raise InputError(f"There are no structures at {path}.")
    return None if is_image_file(path) else read_structure_set(path)


def _labelled(structure: str | Path | Volume, dose: Volume) -> tuple[list[AnyStructure], str]:
    """Return every label of an image as a structure, named by its number."""
    labels = structure if isinstance(structure, Volume) else read_image(Path(structure), "label")
    where = "The volume" if isinstance(structure, Volume) else str(structure)
    if labels.quantity != "label":
        raise InputError(f"A structure needs the quantity 'label', not {labels.quantity!r}.")
    values = [int(value) for value in np.unique(labels.array) if value != 0]
    if values and values[0] < 0:
        raise InputError(f"{where} holds the label {values[0]}; labels are 0 (outside) and above.")
    names = {value: str(value) for value in values}
    return list(sample_labels(labels, names, dose.grid).values()), where
