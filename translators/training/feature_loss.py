"""A loss of anatomy: distance between features of a frozen segmentation network.

In the spirit of the recipe that won SynthRAD2025: half the image's own error, half the L1
distance of channel-normalised features of a network that knows anatomy. The network is a
small one of this file, trained on target images of the ``train`` patients alone; it shares
neither patients nor architecture with the examiner's instruments, and its SHA-256 is stored
with the model, so that an examiner whose own network it were could refuse.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn
from torch.nn import functional

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.io.cases import load_case
from qa_suite.learning.checkpoints import identity_of
from translators.data import PreparedPair, load_pairs, to_unit
from translators.spec import Block, TranslatorSpec
from translators.training.augment import Batch

_SEED = 7_700_001  # of its first weights and patches; no other network here begins with it
_PATCH = 96  # voxels along x and y at most


class FeaturesSpec(Block):
    """The anatomical feature loss: L1 between features of a frozen segmentation network.

    The network is trained on target images of the ``train`` patients before the translator is,
    and then frozen; its SHA-256 is stored with the model. It is never the examiner's own.
    """

    weight: float = Field(
        default=0.5, ge=0, le=1, description="of the loss; the image has the rest"
    )
    labels: Literal["structures", "tissues"] = Field(
        default="structures",
        description="what it segments: the cohort's structures, or bands of the target's value",
    )
    bands: tuple[float, ...] = Field(
        default=(-300.0, -20.0, 150.0), description="tissues: bounds in the unit of the target"
    )
    channels: tuple[int, ...] = Field(default=(8, 16, 32), min_length=2)
    iterations: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    batch: int = Field(default=8, ge=1)


class FeatureNetwork(nn.Module):
    """An encoder of slices with a skip-free decoder; its levels are the features."""

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        widths = (1, *channels)
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=1 if level == 0 else 2, padding=1),
                nn.BatchNorm2d(after),  # once frozen it looks at no other voxel, unlike group norm
                nn.SiLU(),
                nn.Conv2d(after, after, 3, padding=1),
                nn.SiLU(),
            )
            for level, (before, after) in enumerate(itertools.pairwise(widths))
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in channels)

    def features(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features of every level, from fine to coarse; image (batch, 1, x, y)."""
        found = []
        for level in self.levels:
            image = level(image)
            found.append(image)
        return found

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes, x, y): the sum of what every level says."""
        size = image.shape[-2:]
        logits = [
            functional.interpolate(head(found), size=size, mode="bilinear", align_corners=False)
            for head, found in zip(self.heads, self.features(image), strict=True)
        ]
        return torch.stack(logits).sum(dim=0)


@dataclass(frozen=True, kw_only=True)
class FeatureLoss:
    """A frozen network and its identity.

    Parameters
    ----------
    network
        In evaluation, without gradients of its own.
    sha256
        Over its weights.
    """

    network: FeatureNetwork
    sha256: str

    def __call__(self, found: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weighted mean L1 between the features of the answer and of the target.

        Features are scaled to unit length over their channels, voxel by voxel, so that no
        channel outweighs the others; each level counts alike.

        Parameters
        ----------
        found
            The answer on the unit scale, shape of ``batch.target``.
        """
        self.network.to(found.device)
        answer, target, weight = (_slices(t) for t in (found.float(), batch.target, batch.weight))
        with torch.no_grad():
            aims = self.network.features(target)
        losses = []
        for mine, aim in zip(self.network.features(answer), aims, strict=True):
            size = (int(mine.shape[-2]), int(mine.shape[-1]))
            here = functional.adaptive_avg_pool2d(weight, size)
            error = (functional.normalize(mine, dim=1) - functional.normalize(aim, dim=1)).abs()
            losses.append((here * error).sum() / (here.sum().clamp_min(1e-6) * mine.shape[1]))
        return torch.stack(losses).mean()


def _slices(image: torch.Tensor) -> torch.Tensor:
    """Put the slices of a volume (batch, 1, x, y, z) into the batch; slices stay as they are."""
    if image.ndim == 4:
        return image
    return image.permute(0, 4, 1, 2, 3).flatten(0, 1)


def train_features(
    cohort: Cohort, folder: Path, spec: TranslatorSpec, device: torch.device
) -> FeatureLoss:
    """Train the segmentation network of a feature loss on targets of the ``train`` patients.

    Parameters
    ----------
    spec
        With a ``features`` block.

    Raises
    ------
    InputError
        If the labels are to be structures and no two train cases share one.
    """
    settings = spec.own(FeaturesSpec)
    pairs = load_pairs(cohort, folder, spec, "train")
    if settings.labels == "structures":
        labels, classes = _structure_labels(cohort, folder, pairs)
    else:
        bands = np.asarray(settings.bands, dtype=np.float32)
        labels = [np.digitize(pair.target, bands).astype(np.int64) for pair in pairs]
        classes = len(bands) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network = FeatureNetwork(settings.channels, classes).to(device)
    images = [to_unit(pair.target, spec.target) for pair in pairs]
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    for image, label in _batches(images, labels, settings):
        loss = functional.cross_entropy(network(image.to(device)), label.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return freeze(network)


def freeze(network: FeatureNetwork) -> FeatureLoss:
    """Take a network as it is for a loss."""
    from safetensors.torch import save

    network.requires_grad_(False).eval()
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    return FeatureLoss(network=network, sha256=identity_of(save(weights).hex()))


def _structure_labels(
    cohort: Cohort, folder: Path, pairs: tuple[PreparedPair, ...]
) -> tuple[list[NDArray[np.int64]], int]:
    """Give the structures that all train cases share a number; a smaller one wins over a larger."""
    shared = sorted(set.intersection(*(set(pair.case.structures) for pair in pairs)))
    if not shared:
        raise InputError(
            f"The train cases of cohort {cohort.name} share no structure, so the feature loss has "
            f"nothing to segment; take 'features.labels: tissues'."
        )
    labels = []
    for pair in pairs:
        loaded = load_case(cohort, pair.case, folder)
        numbered = np.zeros(pair.prepared.frame.shape, dtype=np.int64)
        # large ones first, so that a femoral head is not lost in the bone that holds it
        masks = {name: loaded.structures[name] for name in shared}
        for name in sorted(shared, key=lambda name: -int(masks[name].sum())):
            inside = pair.prepared.frame.to_working(masks[name]) >= 0.5
            numbered[inside] = 1 + shared.index(name)
        labels.append(numbered)
    return labels, len(shared) + 1


def _batches(
    images: list[Float32Array], labels: list[NDArray[np.int64]], settings: FeaturesSpec
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Draw slices, cut or padded to one size, with a little noise and shift of values."""
    rng = np.random.default_rng(_SEED)
    step = 2 ** (len(settings.channels) - 1)
    size = min(_PATCH, max(step, max(max(image.shape[:2]) for image in images) // step * step))
    for _ in range(settings.iterations):
        some, truth = [], []
        for _ in range(settings.batch):
            number = int(rng.integers(len(images)))
            z = int(rng.integers(images[number].shape[2]))
            start = [int(rng.integers(max(n - size, 0) + 1)) for n in images[number].shape[:2]]
            pad = [(0, max(size - n, 0)) for n in images[number].shape[:2]]
            x, y = (slice(first, first + size) for first in start)
            image = np.pad(images[number][x, y, z], pad, mode="edge")
            # blurred, noisy answers must be understood too, not real images alone
            noise = rng.normal(0, 0.02 * rng.random(), image.shape)
            some.append((image + noise)[None].astype(np.float32))
            truth.append(np.pad(labels[number][x, y, z], pad, mode="edge"))
        yield torch.from_numpy(np.stack(some)), torch.from_numpy(np.stack(truth))
