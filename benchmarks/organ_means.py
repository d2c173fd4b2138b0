"""The null of a PET: every voxel takes up what its organ takes up on average in training patients.

Such an image knows the anatomy of the patient in hand, delineated as well as the cohort has it, and
nothing of his uptake. A translator that is no better has learnt where the organs are. Means
are those of the patients' means, patients alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Mask
from qa_suite.core.cohort import Cohort, Split
from qa_suite.core.errors import InputError
from qa_suite.io.cases import LoadedCase, load_case

Array = NDArray[np.floating]
Parts = Mapping[str, Mask]
PartsOf = Callable[[LoadedCase], Parts]

HIDDEN = ("GTV_Bone",)
"""Structures that only the PET shows: a null that knew them would have seen the answer."""

TISSUES = ("dark", "middle", "bright")


def structures_of(loaded: LoadedCase, *, without: Collection[str] = HIDDEN) -> Parts:
    """Divide a case into its delineated structures; a smaller one wins over a larger.

    What is left of the mask is ``rest``, what lies beyond ``outside``.
    """
    return _divided(loaded, {"rest": _body(loaded)}, without)


def labels_of(loaded: LoadedCase) -> Parts:
    """Divide a virtual patient into the 22 parts of his true anatomy.

    Raises
    ------
    InputError
        If the case has no true labels, or was loaded without them.
    """
    if "labels" not in loaded.truth:
        raise InputError(f"Case {loaded.case.case} has no true labels.")
    labels = loaded.truth["labels"].array
    return {str(int(value)): labels == value for value in np.unique(labels)}


def tissues_of(loaded: LoadedCase, *, without: Collection[str] = HIDDEN) -> Parts:
    """Divide a case without organs by its MR: dark, middle and bright third of the body.

    Structures that there are, such as a tumour, stand above the thirds.
    """
    body = _body(loaded)
    signal = loaded.source.array
    low, high = np.percentile(signal[body], [100 / 3, 200 / 3])
    tissue = np.digitize(signal, [low, high])
    thirds = {name: body & (tissue == number) for number, name in enumerate(TISSUES)}
    return _divided(loaded, thirds, without)


def _divided(loaded: LoadedCase, ground: Parts, without: Collection[str]) -> Parts:
    body = _body(loaded)
    masks = {name: mask for name, mask in loaded.structures.items() if name not in without}
    order = [*ground, *sorted(masks, key=lambda name: (-int(masks[name].sum()), name))]
    number = np.zeros(body.shape, dtype=int)
    for place, name in enumerate(order, 1):
        number[{**ground, **masks}[name]] = place
    parts = {"outside": number == 0}
    return parts | {name: number == place for place, name in enumerate(order, 1)}


def _body(loaded: LoadedCase) -> Mask:
    if loaded.mask is None:
        return np.ones(loaded.source.grid.shape, dtype=bool)
    return loaded.mask


@dataclass(frozen=True, kw_only=True)
class OrganMeans:
    """Mean uptake of every part over the patients that it was learnt from.

    Parameters
    ----------
    means
        By the part's name, in the unit of the reference.
    parts_of
        What divides a case.
    """

    means: Mapping[str, float]
    parts_of: PartsOf

    def image(self, loaded: LoadedCase) -> Array:
        """Paint a case with the means; a part that no training patient had is refused.

        Raises
        ------
        InputError
            If the case has such a part.
        """
        image = np.zeros(loaded.source.grid.shape, dtype=np.float32)
        for name, mask in self.parts_of(loaded).items():
            if not mask.any():
                continue
            if name not in self.means:
                raise InputError(
                    f"Case {loaded.case.case} has {name}, and no training patient had it; leave "
                    f"it out of the parts."
                )
            image[mask] = self.means[name]
        return image


def organ_means(
    cohort: Cohort, folder: Path, *, parts_of: PartsOf = structures_of, split: Split = "train"
) -> OrganMeans:
    """Measure the mean of every part over the patients of a set.

    Raises
    ------
    InputError
        If the set has no case with a reference.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for case in cohort.in_split(split):
        if case.reference is None:
            continue
        loaded = load_case(cohort, case, folder, truth=parts_of is labels_of)
        assert loaded.reference is not None
        for name, mask in parts_of(loaded).items():
            if mask.any():
                value = float(loaded.reference.array[mask].mean(dtype=np.float64))
                found.setdefault(name, {}).setdefault(case.patient, []).append(value)
    if not found:
        raise InputError(f"Cohort {cohort.name} has no {split} case with a reference.")
    means = {
        name: float(np.mean([np.mean(values) for values in patients.values()]))
        for name, patients in found.items()
    }
    return OrganMeans(means=means, parts_of=parts_of)
