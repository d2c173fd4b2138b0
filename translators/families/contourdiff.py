"""An unpaired diffusion model that knows the source by its contours alone.

After Chen et al. 2025 (ContourDiff, MELBA 2025:031, arXiv:2403.10786): a diffusion model learns to
draw images of the *target* modality around their own Canny contours. No source takes part in the
training. A source image is translated by drawing a target image around the *source's* contours,
slice by slice, each drawn towards its finished neighbour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import raise_problems
from translators.answers import AS_SPECIFIED, Asked, Inferred
from translators.data import SEEN_SPLITS, Bool, Frame, Prepared, PreparedPair, body_mask, from_unit
from translators.families.diffusion import Diffusion, DiffusionSpec
from translators.networked import Draw, Material, Window
from translators.networks.contours import (
    ContoursSpec,
    disagreement,
    distance_to,
    find_contours,
    recoloured,
)
from translators.networks.noising import clean_from, sample
from translators.networks.sliding import slide
from translators.networks.windows import drawing
from translators.spec import FAMILIES, FamilyFacts, TranslatorSpec
from translators.training.patches import CachedPair, cache_pairs
from translators.training.unpaired import PreparedTarget, load_targets

_CANDIDATE = 1_000_003  # seeds of a slice's candidates lie this far apart


@FAMILIES.add(
    "contourdiff",
    FamilyFacts(
        title="Contour-guided diffusion, trained on targets alone",
        paired=False,
        trained_by="AdamW on the denoising error of targets around their own contours, in their "
        "own and in made-up greys, EMA",
        uncertainty="samples of several seeds",
        reference="Chen et al. 2025, ContourDiff, MELBA 2025:031, arXiv:2403.10786",
        needs=("network", "training", "inference"),
        blocks={"diffusion": DiffusionSpec, "contours": ContoursSpec},
    ),
)
class ContourDiff(Diffusion):
    """The conditional diffusion model, with contours in the place of the source."""

    def __init__(self, spec: TranslatorSpec) -> None:
        super().__init__(spec)
        self.contours = spec.own(ContoursSpec)
        _check(spec)

    # --- training: targets alone -----------------------------------------------------------

    def materials(self, cohort: Cohort, folder: Path) -> tuple[Material, Material | None]:
        """Read the targets and their contours; sources take no part."""
        train, validation = (
            self._cached(load_targets(cohort, cohort.in_split(split), folder, self.spec))
            for split in SEEN_SPLITS
        )
        return train, validation or None

    def _cached(self, targets: Iterable[PreparedTarget]) -> tuple[CachedPair, ...]:
        """Put each target beside its contours, in the body that is found in itself."""
        pairs = []
        for found in targets:
            for told in self._contours_of(found):
                pairs.append(
                    PreparedPair(
                        case=found.case, prepared=told, target=found.target, mask=found.mask
                    )
                )
        return cache_pairs(tuple(pairs), self.spec, self.training.loss)

    def _contours_of(self, found: PreparedTarget) -> Iterator[Prepared]:
        """Yield what is told of one target: its own contours, then those in made-up greys."""
        image, frame = found.target, found.frame
        body = body_mask(image, frame.spacing_mm, self.spec.source.body)
        yield self._told(image, body, frame, "target")
        name = int.from_bytes(sha256(found.case.case.encode()).digest()[:8], "big")
        rng = np.random.default_rng([self.training.seed, name])
        for _ in range(self.contours.recoloured):
            yield self._told(recoloured(image, self.contours, rng), body, frame, "source")

    def _told(
        self, image: Float32Array, body: Bool, frame: Frame, role: Literal["source", "target"]
    ) -> Prepared:
        """Put what the network is told of an image in the place of the image."""
        lines = find_contours(image, body, frame.spacing_mm, self.contours, role)
        field = condition(lines, body, frame.spacing_mm, self.contours)
        return Prepared(image=field, body=body, frame=frame)

    # --- prediction: contours of the source ------------------------------------------------

    def infer(self, prepared: Prepared, asked: Asked = AS_SPECIFIED) -> Inferred:
        """Draw targets around the contours of the source."""
        told = self._told(prepared.image, prepared.body, prepared.frame, "source")
        return super().infer(told, asked)

    def translate(self, prepared: Prepared, draw: Draw, asked: Asked) -> Float32Array:
        """Make the slices from the feet up; each knows the one before it."""
        settings = self.contours
        if settings.candidates == 1 and settings.guidance == 0:
            return super().translate(prepared, draw, asked)  # no slice waits for another
        field, body = np.flip(prepared.image, draw.flips), np.flip(prepared.body, draw.flips)
        seeds = [draw.seed + _CANDIDATE * number for number in range(settings.candidates)]
        noises = [self.noise(field.shape, seed) for seed in seeds]
        networks, device = self.ready(draw)
        generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        unit = np.empty(field.shape, dtype=np.float32)
        for k in range(field.shape[2]):
            before = [] if k == 0 or settings.guidance == 0 else [unit[:, :, k - 1]]
            drawn = [
                self._slice(networks, field, k, [noise[0, :, :, k], *before], generator, asked)
                for noise, generator in zip(noises, generators, strict=True)
            ]
            wanted = lines_of(field[:, :, k], settings)
            best = self.best(drawn, wanted, body[:, :, k], prepared.frame.spacing_mm)
            unit[:, :, k] = drawn[best]
        return np.ascontiguousarray(np.flip(unit, draw.flips))

    def best(
        self,
        drawn: list[Float32Array],
        wanted: Bool,
        body: Bool,
        spacing_mm: tuple[float, float, float],
    ) -> int:
        """Return the number of the candidate whose own contours agree best with those wanted.

        Parameters
        ----------
        drawn
            Candidates of one slice on the unit scale, each of shape (x, y).
        wanted, body
            The contours of the source and its body in this slice.
        """
        if len(drawn) == 1:
            return 0
        settings = self.contours
        far = []
        for unit in drawn:
            image = from_unit(unit, self.spec.target)[..., None]
            lines = find_contours(image, body[..., None], spacing_mm, settings, "target")
            far.append(disagreement(lines[..., 0], wanted, spacing_mm[0], settings.reach_mm))
        return int(np.argmin(far))

    def _slice(
        self,
        networks: nn.ModuleDict,
        field: Float32Array,
        k: int,
        planes: list[Float32Array],
        generator: torch.Generator,
        asked: Asked,
    ) -> Float32Array:
        """Draw one slice from a plane of noise, towards the neighbour where there is one."""
        half = self.network_spec.slices // 2
        context = np.pad(field, [(0, 0), (0, 0), (half, half)], mode="reflect")
        context = context[:, :, k : k + 2 * half + 1].transpose(2, 0, 1)
        device = generator.device
        told = len(context)

        @torch.inference_mode()
        def apply(_: torch.Tensor, cut: torch.Tensor) -> torch.Tensor:
            moved = cut.to(device)
            window = Window(
                source=moved[:, :told], noise=moved[:, told:], generator=generator, asked=asked
            )
            return self.answer(networks, window)

        stacked = np.concatenate([context, np.stack(planes)])[..., None]
        flat = self.network_spec.model_copy(update={"dimensions": "2D", "slices": 1})
        found = slide(field[:, :, k : k + 1], flat, self.inference, apply, noise=stacked)
        return found[:, :, 0]

    def answer(self, networks: nn.ModuleDict, window: Window) -> torch.Tensor:
        """Draw one sample for each window.

        A second field beside the noise is the finished neighbour on the unit scale. Each
        estimate of the clean image is drawn towards it by ``guidance`` times the share of noise,
        so that the neighbour decides while little is known, and the contours in the end.
        """
        settings, pull = self.diffusion, self.contours.guidance
        neighbour = self.scale.inward(window.noise[:, 1:])
        window = replace(window, noise=window.noise[:, :1])

        def denoise(noisy: torch.Tensor, time: int) -> torch.Tensor:
            self.passed(len(noisy))
            level = float(self.levels[time])
            told = torch.full((len(noisy),), time, device=noisy.device)
            found = self._pass(networks, noisy, window.source, told)
            clean = clean_from(settings.prediction, found, noisy, level)
            if settings.clip:
                clean = clean.clamp(*self.scale.window)
            if neighbour.shape[1]:
                clean = clean + pull * (1 - level) * (neighbour - clean)
            return clean

        return self.scale.outward(
            sample(
                denoise,
                window.noise,
                self.levels,
                self.sampling_steps(window.asked),
                sampler=window.asked.sampler or settings.sampler,
                eta=settings.eta,
                draw=drawing(window, shared=self._shared),
            )
        )


def condition(
    lines: Bool, body: Bool, spacing_mm: tuple[float, float, float], settings: ContoursSpec
) -> Float32Array:
    """Turn contours into what the network is told; see ``ContoursSpec.condition``.

    Returns
    -------
    ndarray of float32, shape of ``lines``
        ``lines``: 1 on a contour, else 0. ``distance``: distance to the nearest contour of the
        slice over ``reach_mm``, at most 1, negative outside the body; zero on contours alone.
    """
    if settings.condition == "lines":
        return lines.astype(np.float32)
    distance = distance_to(lines, spacing_mm, settings.reach_mm) / np.float32(settings.reach_mm)
    return np.where(body, distance, -distance).astype(np.float32)


def lines_of(field: Float32Array, settings: ContoursSpec) -> Bool:
    """Return the contours that a condition was made of."""
    return field == (1 if settings.condition == "lines" else 0)


def _check(spec: TranslatorSpec) -> None:
    """Refuse what means nothing to contours."""
    assert spec.training and spec.network
    change = spec.training.augmentation
    problems = [
        f"training.augmentation.{name} changes intensities and contours have none; set it to 0"
        for name in ("intensity_scale", "gamma", "bias", "noise")
        if getattr(change, name)
    ]
    if spec.network.axes == 3:
        problems.append("contours are found in slices: network.dimensions must be 2D or 2.5D")
    raise_problems(f"Specification {spec.name}", problems)
