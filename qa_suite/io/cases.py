"""Reading one case of a cohort: all its volumes, on one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.cohort import Case, Cohort, case_files
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Quantity, Volume, canonical, require_same_grid
from qa_suite.io.images import read_image


@dataclass(frozen=True, kw_only=True)
class LoadedCase:
    """The volumes of one case, all on the grid of its source image, in canonical orientation.

    Whichever way its files store them, preflight, translators and measures see i, j, k run
    nearest to x, y, z (:func:`qa_suite.core.volume.canonical`).

    Parameters
    ----------
    case
        Its entry in the manifest.
    source, reference
        The image to translate and the real one (None where the case has none).
    mask
        Where it may be measured, or None where the case brings no mask.
    coverage
        Where both images have values, or None where they have them everywhere.
    structures
        Delineated structures by name.
    truth
        What only a virtual patient has, such as ``noise_free_reference``.
    """

    case: Case
    source: Volume
    reference: Volume | None = None
    mask: NDArray[np.bool_] | None = None
    coverage: NDArray[np.bool_] | None = None
    structures: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    truth: Mapping[str, Volume] = field(default_factory=dict)

    def __post_init__(self) -> None:
        turn = self.source.grid.turn
        turned: dict[str, Any] = {
            "source": self.source.turned(turn),
            "reference": None if self.reference is None else self.reference.turned(turn),
            "mask": None if self.mask is None else turn.apply(self.mask),
            "coverage": None if self.coverage is None else turn.apply(self.coverage),
            "structures": {name: turn.apply(mask) for name, mask in self.structures.items()},
            "truth": {name: volume.turned(turn) for name, volume in self.truth.items()},
        }
        for name, value in turned.items():
            object.__setattr__(self, name, value)


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
        If a file cannot be read or was changed since, or the import could not read the case.
    GeometryError
        If its volumes do not lie on one grid.
    """
    if case.import_problem is not None:
        raise InputError(f"Case {case.case} could not be imported: {case.import_problem}")
    reference = cast(Quantity, cohort.reference_quantity)
    quantities: dict[str, Quantity] = {
        "source": cast(Quantity, cohort.source_quantity),
        "reference": reference,
        "truth noise_free_reference": reference,
        "truth distortion_mm": "arbitrary",
    }
    files = {
        role: file
        for role, file in case_files(case).items()
        if truth or not role.startswith("truth ")
    }
    _require_unchanged(case, files, folder)
    volumes = {
        role: canonical(read_image(folder / file, quantities.get(role, "label")))
        for role, file in files.items()
    }
    require_same_grid(volumes)

    def masked(role: str) -> NDArray[np.bool_] | None:
        return volumes[role].array > 0 if role in volumes else None

    return LoadedCase(
        case=case,
        source=volumes["source"],
        reference=volumes.get("reference"),
        mask=masked("mask"),
        coverage=masked("coverage"),
        structures={name: volumes[f"structure {name}"].array > 0 for name in case.structures},
        truth={name: volumes[f"truth {name}"] for name in case.truth if truth},
    )


def _require_unchanged(case: Case, files: Mapping[str, str], folder: Path) -> None:
    """Refuse files that are not those that the manifest was made with."""
    raise_problems(
        f"Case {case.case}",
        (
            f"its {role} file {file} was changed after the cohort was made; import it again"
            for role, file in files.items()
            if case.file_sha256.get(role, "") not in ("", sha256_of(folder / file))
        ),
    )
