"""A network of torchvision as feature extractor, from weights on this machine; never a download.

The images that such weights have seen are photographs. They serve comparisons with published
FIDs; for CTs the suite's own extractor is the default.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.errors import InputError
from qa_suite.core.executors.travel import by_address
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.tensor_files import read_state_dict
from qa_suite.core.volume import Volume
from qa_suite.instruments.extractor import axial_slices
from qa_suite.instruments.settings import ExtractorSettings
from qa_suite.instruments.slices import through_windows

if TYPE_CHECKING:
    from torch import nn


PREFIX = "torchvision:"
PACKAGE = "torchvision"
NETWORKS = {"resnet18": 512, "resnet50": 2048}
"""Network to the length of its pooled features."""

_MEAN = (0.485, 0.456, 0.406)  # of the photographs that torchvision's weights were trained on
_DEVIATION = (0.229, 0.224, 0.225)
_SLICES_AT_A_TIME = 8


@dataclass(frozen=True, kw_only=True)
class VisionExtractor:
    """A network of torchvision without its last layer; three HU windows are its colours."""

    facts: InstrumentFacts
    settings: ExtractorSettings
    dimensions: int
    file: Path
    network: nn.Module = field(repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        address = f"{self.facts.uri}:{self.file.absolute()}"
        return by_address("qa_suite.instruments.loading:load_extractor", (address,), self.facts)

    def features(self, volume: Volume, mask: Mask) -> Float32Array:
        """Turn a CT into one vector for each axial slice that shows the mask.

        See :meth:`qa_suite.instruments.extractor.TrainedExtractor.features`.
        """
        import torch

        slices = axial_slices(volume, mask, self.settings.working_spacing_mm, self.settings.shape)
        mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _DEVIATION))
        parts = [np.zeros((0, self.dimensions), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(slices), _SLICES_AT_A_TIME):
                part = torch.from_numpy(slices[start : start + _SLICES_AT_A_TIME, None])
                colours = (through_windows(part, self.settings.windows_hu) + 1) / 2
                parts.append(self.network((colours - mean) / deviation).numpy())
        return np.concatenate(parts).astype(np.float32)


def load_vision(uri: str) -> VisionExtractor:
    """Load a network of torchvision with weights from a file.

    Parameters
    ----------
    uri
        ``torchvision:NETWORK:FILE``; the file is safetensors, or a state dict of torch, which
        is read without unpickling code.

    Raises
    ------
    InputError
        If the network is unknown, torchvision or the file is absent, or they do not fit.
    """
    name, _, file = uri.removeprefix(PREFIX).partition(":")
    if name not in NETWORKS:
        raise InputError(f"Unknown torchvision network {name!r}; known: {', '.join(NETWORKS)}.")
    if importlib.util.find_spec(PACKAGE) is None:
        raise InputError(
            "torchvision is not installed here; install the one that fits your torch, or name an "
            "extractor of 'qa-suite list instruments'."
        )
    path = Path(file)
    if not file or not path.is_file():
        raise InputError(
            f"{uri!r} names no weights on this machine; give torchvision:{name}:FILE with their "
            f"path. This suite downloads none."
        )
    return VisionExtractor(
        facts=InstrumentFacts(
            kind="extractor",
            name=f"torchvision-{name}",
            uri=f"{PREFIX}{name}",
            weights_sha256=sha256_of(path),
            settings={"dimensions": NETWORKS[name], "training_patients": "none: photographs"},
        ),
        settings=ExtractorSettings(),
        dimensions=NETWORKS[name],
        file=path,
        network=_network(name, path),
    )


def _network(name: str, path: Path) -> nn.Module:
    import torch
    import torchvision

    network: Any = getattr(torchvision.models, name)(weights=None)
    try:
        network.load_state_dict(_weights(path))
    except Exception as error:  # a damaged file may raise anything
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path} holds no weights of {name} ({reason}).") from None
    network.fc = torch.nn.Identity()
    found: nn.Module = network.eval().requires_grad_(False)
    return found


def _weights(path: Path) -> dict[str, Any]:
    return dict(read_state_dict(path))
