"""Reading one case of a cohort: all its volumes, on one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from qa_suite.cohort import Case, Cohort
from qa_suite.errors import InputError
from qa_suite.io.images import read_image
from qa_suite.volume import Prediction, Quantity, Volume, require_same_grid


@dataclass(frozen=True, kw_only=True)
class LoadedCase:
    """The volumes of one case, all on the grid of its source image.

    Parameters
    ----------
    case
        Its entry in the manifest.
    source, reference
        The image to translate and the real one (None where the case has none).
    mask
        Where it may be measured, or None where the case brings no mask.
    structures
        Delineated structures by name.
    truth
        What only a virtual patient has, such as ``noise_free_reference``.
    """

    case: Case
    source: Volume
    reference: Volume | None = None
    mask: NDArray[np.bool_] | None = None
    structures: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    truth: Mapping[str, Volume] = field(default_factory=dict)


Translate = Callable[[LoadedCase], Prediction]
"""What the examiner asks of anything it examines. A registered model sees the source alone."""


def load_case(cohort: Cohort, case: Case, folder: Path, *, truth: bool = False) -> LoadedCase:
    """Read the volumes of a case.

    Parameters
    ----------
    cohort
        Says what the values of source and reference are.
    case
        One of its cases.
    folder
        Where the manifest lies.
    truth
        Whether to read what only a virtual patient has.

    Raises
    ------
    InputError
        If a file cannot be read, or the import could not read the case.
    GeometryError
        If its volumes do not lie on one grid.
    """
    if case.import_problem is not None:
        raise InputError(f"Case {case.case} could not be imported: {case.import_problem}")
    source = read_image(folder / case.source, cast(Quantity, cohort.source_quantity))
    volumes = {"source": source}
    if case.reference is not None:
        quantity = cast(Quantity, cohort.reference_quantity)
        volumes["reference"] = read_image(folder / case.reference, quantity)
    if case.mask is not None:
        volumes["mask"] = read_image(folder / case.mask, "label")
    structures = {n: read_image(folder / f, "label") for n, f in case.structures.items()}
    volumes |= {f"structure {name}": volume for name, volume in structures.items()}
    known: dict[str, Volume] = {}
    if truth:
        quantity = cast(Quantity, cohort.reference_quantity)
        known = {
            name: read_image(folder / file, "label" if name == "labels" else quantity)
            for name, file in case.truth.items()
        }
        volumes |= {f"truth {name}": volume for name, volume in known.items()}
    require_same_grid(volumes)
    mask = volumes.get("mask")
    return LoadedCase(
        case=case,
        source=source,
        reference=volumes.get("reference"),
        mask=None if mask is None else mask.array > 0,
        structures={name: volume.array > 0 for name, volume in structures.items()},
        truth=known,
    )
