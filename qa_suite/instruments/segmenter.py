"""The learned CT segmenter: a U-Net over axial slices behind the protocol of a segmenter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.executors.travel import by_address
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.volume import Volume
from qa_suite.instruments.frame import check_image, frame_of, mask_to_scan, to_working
from qa_suite.instruments.network import build_unet, multiple_of, set_weights, weights_bytes
from qa_suite.instruments.settings import AIR_HU, SegmenterSettings
from qa_suite.instruments.slices import pad_to, through_windows

if TYPE_CHECKING:
    from torch import nn


_SLICES_AT_A_TIME = 8


@dataclass(frozen=True, kw_only=True)
class TrainedSegmenter:
    """A trained U-Net; may be used by several threads at once.

    Parameters
    ----------
    facts
        What goes into the record.
    settings
        What it was trained with.
    outputs
        The structures of the network's channels, in order.
    structures
        Those of them that are given out.
    network
        In evaluation mode.
    """

    facts: InstrumentFacts
    settings: SegmenterSettings
    outputs: tuple[str, ...]
    structures: tuple[str, ...]
    network: nn.Module = field(repr=False, compare=False)

    def segment(self, volume: Volume, domain: Mask) -> dict[str, Mask]:
        """Segment a CT.

        Parameters
        ----------
        volume
            In HU, finite inside the domain, on any grid.
        domain
            Where the structures may lie; bool, of the grid's shape. All outside is taken for
            air, so that a couch or what a translator puts there makes no difference.

        Returns
        -------
        dict
            Structure to bool mask of the grid's shape, inside the domain.

        Raises
        ------
        InputError
            If the volume is not in HU, or not finite inside the domain.
        GeometryError
            If the domain is not a bool array of the volume's shape.
        """
        check_image(volume, domain)
        masks = {name: np.zeros(volume.grid.shape, dtype=bool) for name in self.structures}
        frame = frame_of(
            volume.grid,
            domain,
            spacing_mm=self.settings.working_spacing_mm,
            margin_mm=self.settings.margin_mm,
        )
        if frame is None:
            return masks
        shares = predict(self.network, to_working(volume, domain, frame), self.settings)
        inside = domain[frame.box]
        for name, mask in masks.items():
            mask[frame.box] = mask_to_scan(shares[self.outputs.index(name)], frame) & inside
        return masks

    def without(self, left_out: Mapping[str, str]) -> TrainedSegmenter:
        """Return the segmenter that keeps some structures to itself, with the reasons."""
        said = {**self.facts.settings.get("left_out", {}), **left_out}
        kept = tuple(name for name in self.structures if name not in left_out)
        settings = {**self.facts.settings, "left_out": said, "structures": list(kept)}
        return replace(
            self, structures=kept, facts=self.facts.model_copy(update={"settings": settings})
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return by_address(
            "qa_suite.instruments.loading:load_segmenter", (self.facts.uri,), self.facts
        )

    def with_facts(self, **changes: Any) -> TrainedSegmenter:
        """Return the segmenter with some of its facts changed."""
        return replace(self, facts=self.facts.model_copy(update=changes))


def predict(
    network: nn.Module,
    hu: NDArray[Any],
    settings: SegmenterSettings,
    *,
    where: Sequence[int] | NDArray[np.int_] | None = None,
) -> Float32Array:
    """Return each structure's share of each working voxel, shape (structures, x, y, slices).

    Parameters
    ----------
    hu
        Shape (x, y, z).
    where
        The axial slices to segment; by default all.
    """
    import torch

    device = next(network.parameters()).device
    chosen = range(hu.shape[2]) if where is None else where
    stack = torch.from_numpy(with_neighbours(hu, chosen, settings.slices))
    x, y = hu.shape[:2]
    count = len(chosen)
    parts = []
    with torch.inference_mode():
        for start in range(0, count, _SLICES_AT_A_TIME):
            part = pad_to(
                stack[start : start + _SLICES_AT_A_TIME].to(device),
                multiple_of(settings),
                value=AIR_HU,
            )
            seen = through_windows(part, settings.windows_hu)
            seen = seen.contiguous(memory_format=torch.channels_last)
            parts.append(network(seen)[..., :x, :y].float().sigmoid().cpu())
    return np.asarray(torch.cat(parts).permute(1, 2, 3, 0).numpy(), dtype=np.float32)


def with_neighbours(hu: NDArray[Any], where: Any, slices: int) -> Float32Array:
    """Return axial slices with their neighbours, shape (slice, neighbour, x, y).

    The first and the last slice stand for what lies beyond them.
    """
    reach = slices // 2
    index = np.asarray(list(where))[:, None] + np.arange(-reach, reach + 1)[None, :]
    index = np.clip(index, 0, hu.shape[2] - 1)
    return np.ascontiguousarray(hu[:, :, index].transpose(2, 3, 0, 1), dtype=np.float32)


# ---------------------------------------------------------------------------------------
# Files

WEIGHTS_FILE = "weights.safetensors"
SPEC_FILE = "instrument.json"


def save_segmenter(segmenter: TrainedSegmenter, folder: Path) -> None:
    """Write ``weights.safetensors`` and ``instrument.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(weights_bytes(segmenter.network))
    described = {
        "schema_version": 1,
        "kind": "segmenter",
        "facts": segmenter.facts.model_dump(mode="json"),
        "settings": segmenter.settings.model_dump(mode="json"),
        "outputs": list(segmenter.outputs),
        "structures": list(segmenter.structures),
    }
    text = json.dumps(described, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / SPEC_FILE).write_text(text + "\n")


def segmenter_of(
    described: dict[str, Any], weights: dict[str, NDArray[np.generic]]
) -> TrainedSegmenter:
    """Make a segmenter of what :func:`save_segmenter` wrote."""
    settings = SegmenterSettings.model_validate(described["settings"])
    network = build_unet(settings, len(described["outputs"]), seed=0)
    set_weights(network, weights)
    return TrainedSegmenter(
        facts=InstrumentFacts.model_validate(described["facts"]),
        settings=settings,
        outputs=tuple(described["outputs"]),
        structures=tuple(described["structures"]),
        network=network.eval().requires_grad_(False),
    )
