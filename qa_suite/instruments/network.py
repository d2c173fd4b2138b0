"""The segmenter's network and its weights as bytes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.instruments.settings import SegmenterSettings

if TYPE_CHECKING:
    import torch
    from torch import nn


_FIRST_LOGIT = -3.0  # most voxels are of no structure: else the first steps only learn that


def build_unet(settings: SegmenterSettings, structures: int, *, seed: int) -> nn.Module:
    """Build MONAI's DynUNet over axial slices; the same seed gives the same first weights.

    Batch norm, so that what is found in one place does not depend on the rest of the image.
    """
    import torch
    from monai.networks.nets import DynUNet

    levels = len(settings.channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DynUNet(
            spatial_dims=2,
            in_channels=settings.slices * len(settings.windows_hu),
            out_channels=structures,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=list(settings.channels),
            norm_name=("BATCH", {"affine": True}),
        )
    with torch.no_grad():
        network.output_block.conv.conv.bias.fill_(_FIRST_LOGIT)
    found: nn.Module = network.to(memory_format=torch.channels_last)
    return found


def multiple_of(settings: SegmenterSettings) -> int:
    """Return what the in-plane sizes must be a multiple of."""
    return int(2 ** (len(settings.channels) - 1))


def weights_of(network: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Return a network's weights and buffers as arrays by name."""
    return {
        name: np.ascontiguousarray(value.detach().cpu().numpy())
        for name, value in network.state_dict().items()
    }


def arrays_of(state: dict[str, torch.Tensor], prefix: str) -> dict[str, NDArray[np.generic]]:
    """Return one network's tensors out of those of several, as arrays by name."""
    return {
        name.removeprefix(prefix): np.ascontiguousarray(value.numpy())
        for name, value in state.items()
        if name.startswith(prefix)
    }


def set_weights(network: nn.Module, weights: dict[str, NDArray[np.generic]]) -> None:
    """Put weights into a network.

    Raises
    ------
    InputError
        If they are of another network.
    """
    import torch

    try:
        network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"The weights do not fit their network: {reason}.") from None


def weights_bytes(network: nn.Module) -> bytes:
    """Return a network's weights as the bytes of a safetensors file."""
    from safetensors.numpy import save

    return bytes(save(weights_of(network)))


def sha256_of_bytes(data: bytes) -> str:
    """SHA-256 of bytes, as of the file that holds them."""
    return hashlib.sha256(data).hexdigest()
