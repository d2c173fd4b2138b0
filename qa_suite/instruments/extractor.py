"""The feature extractor: axial slices of a CT as vectors, by an encoder of our own.

No translator has seen this network, and it shares neither architecture nor task with the
segmenter. A feature is standardised over the reference CTs it was trained on, so distances
between sets come in their standard deviations and no feature drowns the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.errors import InputError
from qa_suite.core.executors.travel import by_address
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.imaging.boxes import bounding_box
from qa_suite.instruments.frame import check_image, crop, tent_resample
from qa_suite.instruments.network import set_weights, weights_bytes
from qa_suite.instruments.segmenter import SPEC_FILE, WEIGHTS_FILE
from qa_suite.instruments.settings import AIR_HU, ExtractorSettings
from qa_suite.instruments.slices import through_windows

if TYPE_CHECKING:
    from torch import nn


_SLICES_AT_A_TIME = 16


@dataclass(frozen=True, kw_only=True)
class TrainedExtractor:
    """A trained encoder; may be used by several threads at once."""

    facts: InstrumentFacts
    settings: ExtractorSettings
    network: nn.Module = field(repr=False, compare=False)

    @property
    def dimensions(self) -> int:
        """Length of a feature vector."""
        return self.settings.channels[-1]

    def features(self, volume: Volume, mask: Mask) -> Float32Array:
        """Turn a CT into one vector for each axial slice that shows the mask.

        Parameters
        ----------
        volume
            In HU, finite inside the mask, on any grid; all outside the mask is taken for air.
        mask
            The body; bool, of the grid's shape.

        Returns
        -------
        ndarray of float32, shape (slices, dimensions)
            Slices at the working spacing along the patient's axis, from foot to head; those
            without a voxel of the mask are left out. No slice: shape (0, dimensions).

        Raises
        ------
        InputError
            If the volume is not in HU, or not finite inside the mask.
        GeometryError
            If the mask is not a bool array of the volume's shape.
        """
        slices = axial_slices(volume, mask, self.settings.working_spacing_mm, self.settings.shape)
        return encode(self.network, slices, self.settings)

    def __reduce__(self) -> tuple[Any, ...]:
        return by_address(
            "qa_suite.instruments.loading:load_extractor", (self.facts.uri,), self.facts
        )

    def with_facts(self, **changes: Any) -> TrainedExtractor:
        """Return the extractor with some of its facts changed."""
        return replace(self, facts=self.facts.model_copy(update=changes))


def axial_slices(
    volume: Volume, mask: Mask, spacing_mm: Triple, shape: tuple[int, int]
) -> Float32Array:
    """Resample a CT to axial slices of one spacing and size around the mask.

    Returns
    -------
    ndarray of float32, shape (slices, x, y), in HU
        Slices with at least one voxel of the mask.
    """
    check_image(volume, mask)
    box = bounding_box(mask)
    if box is None:
        return np.zeros((0, *shape), dtype=np.float32)
    part = crop(volume.grid, box)
    corners = part.corners_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle, spacing = (low + high) / 2, np.asarray(spacing_mm)
    count = int(np.floor((high[2] - low[2]) / spacing[2] + 1e-6)) + 1
    size = np.array([*shape, count])
    start = middle - (size - 1) / 2 * spacing
    grid = Grid(
        shape=(shape[0], shape[1], count),
        spacing_mm=spacing_mm,
        origin_mm=(float(start[0]), float(start[1]), float(start[2])),
        frame_of_reference=volume.grid.frame_of_reference,
    )
    inside = mask[box]
    above_air = np.where(inside, volume.array[box] - AIR_HU, 0).astype(np.float32)
    hu = tent_resample(above_air, part, grid) + np.float32(AIR_HU)
    shown = (tent_resample(inside.astype(np.float32), part, grid) > 0).any(axis=(0, 1))
    return np.ascontiguousarray(hu[:, :, shown].transpose(2, 0, 1))


def encode(network: nn.Module, slices: Float32Array, settings: ExtractorSettings) -> Float32Array:
    """Return the standardised features of axial slices in HU, shape (slices, dimensions)."""
    import torch

    device = next(network.parameters()).device
    parts = [np.zeros((0, settings.channels[-1]), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(slices), _SLICES_AT_A_TIME):
            part = torch.from_numpy(slices[start : start + _SLICES_AT_A_TIME, None])
            seen = through_windows(part.to(device), settings.windows_hu)
            parts.append(network.features(seen).float().cpu().numpy())  # type: ignore[operator]
    found = np.concatenate(parts).astype(np.float32)
    if not np.isfinite(found).all():
        raise InputError("The feature extractor gave features that are not finite.")
    return found


def build_encoder(settings: ExtractorSettings, *, seed: int) -> nn.Module:
    """Build the encoder with its two heads; the same seed gives the same first weights."""
    import torch

    from qa_suite.instruments.encoder import Encoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(windows=len(settings.windows_hu), channels=settings.channels)


def save_extractor(extractor: TrainedExtractor, folder: Path) -> None:
    """Write ``weights.safetensors`` and ``instrument.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(weights_bytes(extractor.network))
    described = {
        "schema_version": 1,
        "kind": "extractor",
        "facts": extractor.facts.model_dump(mode="json"),
        "settings": extractor.settings.model_dump(mode="json"),
    }
    text = json.dumps(described, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / SPEC_FILE).write_text(text + "\n")


def extractor_of(
    described: dict[str, Any], weights: dict[str, NDArray[np.generic]]
) -> TrainedExtractor:
    """Make an extractor of what :func:`save_extractor` wrote."""
    settings = ExtractorSettings.model_validate(described["settings"])
    network = build_encoder(settings, seed=0)
    set_weights(network, weights)
    return TrainedExtractor(
        facts=InstrumentFacts.model_validate(described["facts"]),
        settings=settings,
        network=network.eval().requires_grad_(False),
    )
