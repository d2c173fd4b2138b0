"""What an instrument is: a network of the examiner's own, with facts that go into the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Mask
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.volume import Volume


class Segmenter(Protocol):
    """Finds structures in a CT; sees one image, and not which of the two it is."""

    @property
    def facts(self) -> InstrumentFacts:
        """Who it is: name, hash of the weights, patients it was trained on, noise floor."""
        ...

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of what it finds, after AAPM TG-263 where that has one."""
        ...

    def segment(self, volume: Volume, domain: Mask) -> Mapping[str, Mask]:
        """Return a mask for every structure (possibly empty), on the volume's grid.

        Parameters
        ----------
        volume
            A CT in HU, finite inside the domain.
        domain
            Where the structures may lie; bool, of the grid's shape.
        """
        ...


class Extractor(Protocol):
    """Turns a CT into feature vectors, one for each axial slice that shows the body."""

    @property
    def facts(self) -> InstrumentFacts:
        """Who it is: name, hash of the weights, patients it was trained on."""
        ...

    def features(self, volume: Volume, mask: Mask) -> NDArray[np.float32]:
        """Return shape (slices, dimensions); slices without a voxel of the mask are left out."""
        ...
