"""The segmenter's network, its device and its weights as bytes."""

from __future__ import annotations

import hashlib
import re
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


def pick_device(name: str) -> torch.device:
    """Return the device asked for; ``auto`` takes the GPU where there is one.

    Raises
    ------
    InputError
        If the device is unknown or absent.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"Unknown device {name!r}; take auto, cpu or cuda.")
    if name != "cpu":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise InputError("There is no CUDA device here; take --device cpu.")
        if int(name.partition(":")[2] or 0) >= count:
            known = ", ".join(f"cuda:{n}" for n in range(count))
            raise InputError(f"There is no device {name} here; there are cpu, {known}.")
    return torch.device(name)


def weights_of(network: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Return a network's weights and buffers as arrays by name."""
    return {
        name: np.ascontiguousarray(value.detach().cpu().numpy())
        for name, value in network.state_dict().items()
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


def average_into(average: nn.Module, network: nn.Module, decay: float, iteration: int) -> None:
    """Move the averaged network a step towards the trained one, statistics included."""
    import torch

    decay = min(decay, iteration / (iteration + 9))
    with torch.no_grad():
        theirs = network.state_dict()
        for name, value in average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], 1 - decay)
            else:
                value.copy_(theirs[name])


def rate_at(iteration: int, iterations: int, highest: float) -> float:
    """Learning rate: linear warm-up over a twentieth, then a cosine down to a hundredth."""
    warmup = max(1, iterations // 20)
    if iteration <= warmup:
        return highest * iteration / warmup
    place = (iteration - warmup) / max(iterations - warmup, 1)
    return float(highest * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * place))))
