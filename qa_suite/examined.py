"""What can be examined without a registry: finished images of a black box, and oracles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qa_suite.answers import checked
from qa_suite.errors import InputError, UnknownName
from qa_suite.io.cases import LoadedCase, Translate
from qa_suite.io.images import images_by_case, read_image
from qa_suite.record_files import digest_of, sha256_of
from qa_suite.records import ModelFacts
from qa_suite.registry import unknown_name
from qa_suite.volume import Prediction, Volume

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


def oracle(uri: str) -> tuple[ModelFacts, Translate]:
    """Return one of the two translators that know the truth of a virtual patient.

    ``oracle:truth`` gives the reference without its noise: the floor, below which only luck
    can go. ``oracle:twin`` gives it with fresh noise of its modality, slight blur and a smooth
    field (±10 HU for a CT, ±3 % for others): the known-good model.
    """
    kinds: dict[str, Callable[[LoadedCase], Volume]] = {
        "oracle:truth": _truth,
        "oracle:twin": _twin,
    }
    if uri not in kinds:
        raise UnknownName(unknown_name("oracle", uri, list(kinds)))

    def translate(loaded: LoadedCase) -> Prediction:
        return Prediction(mean=kinds[uri](loaded))

    name = uri.replace(":", "-")
    return ModelFacts(uri=uri, name=name, family="oracle"), translate


def _truth(loaded: LoadedCase) -> Volume:
    if "noise_free_reference" not in loaded.truth:
        raise InputError("an oracle needs a virtual patient, and this case knows no truth")
    return loaded.truth["noise_free_reference"]


def _twin(loaded: LoadedCase) -> Volume:
    from qa_suite.phantom import oracle_twin

    seed = int(digest_of(loaded.case.case)[:8], 16)
    return oracle_twin(_truth(loaded), seed=seed)
