"""What an examination needs beside a registry: finished images, and a cohort's norms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qa_suite.core.answers import checked
from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import ModelFacts
from qa_suite.core.volume import Volume
from qa_suite.io.cases import LoadedCase, Translate
from qa_suite.io.images import images_by_case, read_image
from qa_suite.metrics.base import Instruments
from qa_suite.metrics.reference_free.learning import norms_of

_OUTSIDE = {"HU": -1000.0, "SUVbw": 0.0, "arbitrary": 0.0}


class FinishedImages:
    """A folder of finished synthetic images, one a case, named by the case.

    Parameters
    ----------
    folder
        Holds ``CASE.nii.gz``, ``CASE.mha`` ... with their own geometry. An image in another
        storage order is put in order; one of another size or spacing in the same frame is
        resampled linearly onto the source's grid, and its history says so; one that has the
        source's size and lies elsewhere is refused.

    Raises
    ------
    InputError
        If there is no such folder, no image in it, or two of one case.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"There is no folder of synthetic images at {folder}.")
        self.files = images_by_case(folder)
        if not self.files:
            raise InputError(f"{folder} holds no image; files are named by case: CASE.nii.gz.")

    def __call__(self, loaded: LoadedCase) -> Prediction:
        """Return the finished image of a case, on the grid of its source."""
        case = loaded.case.case
        if case not in self.files:
            raise InputError(f"there is no synthetic image {case}.nii.gz or {case}.mha")
        quantity = loaded.reference.quantity if loaded.reference is not None else "HU"
        path = self.files[case]
        return Prediction(
            mean=checked(
                read_image(path, quantity),
                loaded.source.grid,
                who=str(path),
                other_grid="resample",
                outside=_OUTSIDE[quantity],
            )
        )


def finished_images(folder: Path, name: str) -> tuple[ModelFacts, Translate]:
    """Return the facts and the translator of a folder of finished images.

    The digest over all its files stands for the weights that nobody outside can see.
    """
    images = FinishedImages(folder)
    digest = digest_of({case: sha256_of(path) for case, path in images.files.items()})
    facts = ModelFacts(uri=f"images:{name}", name=name, family="external", weights_sha256=digest)
    return facts, images


@dataclass(frozen=True)
class WayBack:
    """The translator of the reverse direction, from a volume to a volume."""

    translate: Translate

    def __call__(self, volume: Volume) -> Volume:
        """Translate an image back."""
        blank = Case(case="way-back", patient="none", site="none", source="none")
        return self.translate(LoadedCase(case=blank, source=volume)).mean


def brought_along(
    cohort: Cohort, folder: Path, back: Callable[[Volume], Volume] | None
) -> Instruments:
    """Return the norms of the training patients, or why there are none, and the way back."""
    without, norms = {}, None
    try:
        norms = norms_of(cohort, folder)
    except InputError as error:
        without["norms"] = str(error)
    return Instruments(norms=norms, inverse=back, without=without)
