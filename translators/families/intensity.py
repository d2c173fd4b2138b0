"""The floor that every translator must beat: the median target value by source intensity."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.learning.summary import FitSummary, Progress
from translators.answers import AS_SPECIFIED, Asked, Inferred
from translators.base import Translator
from translators.data import Prepared, PreparedPair, check_cohort, load_pairs
from translators.spec import FAMILIES, Block, FamilyFacts, TranslatorSpec


class HistogramSpec(Block):
    """Settings of the ``intensity`` family."""

    bins: int = Field(default=64, ge=4, le=4096)
    smallest_count: int = Field(
        default=50, ge=1, description="bins with fewer training voxels take their neighbours'"
    )


@FAMILIES.add(
    "intensity",
    FamilyFacts(
        title="Median target value by normalised source intensity",
        paired=True,
        trained_by="one pass over the train patients",
        reference="own definition: the best voxel-wise map under absolute error, by bins",
        blocks={"histogram": HistogramSpec},
    ),
)
class Intensity(Translator):
    """A table from normalised source intensity to the median target value.

    The median minimises the absolute error, so within its bins no voxel-wise map of
    intensity does better on the training voxels. Outside the body it answers air.
    """

    def __init__(self, spec: TranslatorSpec) -> None:
        super().__init__(spec)
        self._settings = spec.own(HistogramSpec)
        self._edges: NDArray[np.float32] | None = None
        self._values: NDArray[np.float32] | None = None

    def fit(
        self,
        cohort: Cohort,
        folder: Path,
        *,
        workdir: Path,
        resume: bool = False,
        iterations: int | None = None,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> FitSummary:
        """Fill the table from the ``train`` patients; there is nothing to resume."""
        started = time.monotonic()
        check_cohort(cohort, self.spec)
        pairs = load_pairs(cohort, folder, self.spec, "train")
        source = np.concatenate([pair.image[_both(pair)] for pair in pairs])
        target = np.concatenate([pair.target[_both(pair)] for pair in pairs])
        if source.size == 0:
            raise InputError(f"No body of cohort {cohort.name} overlaps its masks.")
        low, high = np.percentile(source, [0.5, 99.5])
        self._edges = np.linspace(low, high, self._settings.bins + 1, dtype=np.float32)
        self._values = self._medians(source, target)
        if progress is not None:
            progress(1, 1, {})
        return FitSummary(
            iterations=1,
            seconds=time.monotonic() - started,
            best_iteration=1,
            best_validation=None,
            stopped_early=False,
        )

    def _medians(self, source: Float32Array, target: Float32Array) -> NDArray[np.float32]:
        """Median target of every bin; thin bins take the interpolated value of others."""
        bins = self._bins(source)
        order = np.argsort(bins, kind="stable")
        starts = np.searchsorted(bins[order], np.arange(self._settings.bins + 1))
        medians = np.full(self._settings.bins, np.nan)
        least = min(self._settings.smallest_count, source.size // self._settings.bins)
        for number in range(self._settings.bins):
            inside = order[starts[number] : starts[number + 1]]
            if inside.size and inside.size >= least:
                medians[number] = np.median(target[inside])
        known = np.flatnonzero(np.isfinite(medians))
        filled = np.interp(np.arange(self._settings.bins), known, medians[known])
        return np.asarray(np.clip(filled, self.spec.target.low, self.spec.target.high), np.float32)

    def _bins(self, image: Float32Array) -> NDArray[np.int64]:
        assert self._edges is not None
        inner = self._edges[1:-1]
        return np.asarray(np.searchsorted(inner, image, side="right"), dtype=np.int64)

    def infer(self, prepared: Prepared, asked: Asked = AS_SPECIFIED) -> Inferred:
        """Look every voxel of the body up in the table; air elsewhere."""
        if self._values is None:
            raise InputError(f"Translator {self.spec.name} was not trained yet.")
        found = self._values[self._bins(prepared.image)]
        outside = np.float32(self.spec.target.outside)
        return Inferred(mean=np.where(prepared.body, found, outside).astype(np.float32))

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return ``edges`` (bins + 1) and ``values`` (bins)."""
        if self._edges is None or self._values is None:
            raise InputError(f"Translator {self.spec.name} was not trained yet.")
        return {"edges": self._edges, "values": self._values}

    def set_weights(self, weights: dict[str, NDArray[Any]]) -> None:
        """Take over a table of this specification's number of bins."""
        bins = self._settings.bins
        shapes = {name: value.shape for name, value in weights.items()}
        if shapes != {"edges": (bins + 1,), "values": (bins,)}:
            raise InputError(
                f"The weights are not of {self.spec.name}: it has {bins} bins and they hold "
                f"{shapes}."
            )
        self._edges = np.asarray(weights["edges"], dtype=np.float32)
        self._values = np.asarray(weights["values"], dtype=np.float32)


def _both(pair: PreparedPair) -> NDArray[np.bool_]:
    return np.asarray(pair.mask & pair.body)
