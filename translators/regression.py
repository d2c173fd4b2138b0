"""A U-Net that regresses the target value: 2D, 2.5D or 3D, masked and weighted L1.

After Han 2017 (Med Phys 44:1408, doi:10.1002/mp.12155) and Nie et al. 2017 (MICCAI,
doi:10.1007/978-3-319-66179-7_48) in spirit. Under L1 the network answers the conditional
median, so where MR and CT do not match to the voxel thin bone is lost against soft tissue;
``loss.bone_weight`` counts that error, at the price of some soft-tissue error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qa_suite.cohort import Cohort
from qa_suite.errors import InputError, raise_problems
from translators.augment import Batch, augment
from translators.base import FAMILIES, FamilyFacts, FitSummary, Inferred, Progress, Translator
from translators.data import Prepared, check_cohort, from_unit, load_pairs
from translators.loop import identity_of, optimise
from translators.networks import build_network, is_deep, pick_device, to_channels_last
from translators.sampling import CachedPair, cache_pairs, draw_batch, fixed_patches
from translators.sliding import slide
from translators.spec import InferenceSpec, NetworkSpec, TrainingSpec, TranslatorSpec


@FAMILIES.add(
    "regression",
    FamilyFacts(
        title="U-Net with masked, weighted L1",
        paired=True,
        trained_by="AdamW, cosine schedule with warm-up, EMA, early stop on validation patients",
        reference="Han 2017, Med Phys 44:1408, doi:10.1002/mp.12155",
    ),
)
class Regression(Translator):
    """The network of a specification and, once trained, its averaged weights."""

    network_spec: NetworkSpec
    training: TrainingSpec
    inference: InferenceSpec

    def __init__(self, spec: TranslatorSpec) -> None:
        super().__init__(spec)
        blocks = ("network", "training", "inference")
        missing = [name for name in blocks if getattr(spec, name) is None]
        raise_problems(
            f"Specification {spec.name}", [f"family regression needs '{b}'" for b in missing]
        )
        assert spec.network and spec.training and spec.inference
        self.network_spec, self.training, self.inference = (
            spec.network,
            spec.training,
            spec.inference,
        )
        self._trained = False
        self._network = build_network(spec.network, spec.target, seed=spec.training.seed)

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
        """Train on patches of the ``train`` patients; see :meth:`Translator.fit`.

        Without ``validation`` patients there is no early stop and the last average is kept.
        """
        check_cohort(cohort, self.spec)
        budget = self.training.iterations if iterations is None else iterations
        if budget < 1:
            raise InputError(f"The budget must be at least one iteration, got {budget}.")
        where = pick_device(device)
        loss = self.training.loss
        train, validation = (
            cache_pairs(load_pairs(cohort, folder, self.spec, split), self.spec, loss)
            for split in ("train", "validation")
        )
        network = build_network(self.network_spec, self.spec.target, seed=self.training.seed)
        weights, summary = optimise(
            network,
            self.training,
            draw=lambda rng: self._draw(train, rng),
            loss_of=self._loss,
            validate=self._validator(validation, where) if validation else None,
            identity=identity_of(
                self.spec.digest, str(budget), cohort.data_digest("train", "validation")
            ),
            workdir=Path(workdir),
            resume=resume,
            iterations=budget,
            device=where,
            progress=progress,
        )
        self._network.load_state_dict(weights)
        self._trained = True
        return summary

    def _draw(self, pairs: tuple[CachedPair, ...], rng: np.random.Generator) -> Batch:
        batch = draw_batch(pairs, self.spec, rng, self.training.batch)
        return augment(batch, self.training.augmentation, rng)

    def _loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        difference = network(batch.source) - batch.target
        error = difference.abs() if self.training.loss.kind == "l1" else difference.square()
        return (batch.weight * error).sum() / batch.weight.sum().clamp_min(1.0)

    def _validator(self, pairs: tuple[CachedPair, ...], device: torch.device) -> Any:
        """Return the function from a network to its error: masked MAE, patients alike."""
        fixed = fixed_patches(pairs, self.spec, self.training.seed)
        half = (self.spec.target.high - self.spec.target.low) / 2

        @torch.no_grad()
        def validate(network: nn.Module) -> float:
            network.eval()
            errors: dict[str, list[float]] = {}
            for patient, batch in fixed:
                moved = batch.to(device)
                answer = network(moved.source).clamp(-1, 1)
                error = (moved.weight * (answer - moved.target).abs()).sum()
                errors.setdefault(patient, []).append(
                    float(error / moved.weight.sum().clamp_min(1)) * half
                )
            return float(np.mean([np.mean(values) for values in errors.values()]))

        return validate

    def infer(self, prepared: Prepared) -> Inferred:
        """Translate in sliding windows, on the GPU where there is one."""
        if not self._trained:
            raise InputError(f"Translator {self.spec.name} was not trained yet.")
        device = pick_device("auto")
        network = self._network.to(device).eval()
        flat = not is_deep(network)
        if flat:
            network = to_channels_last(network)

        @torch.inference_mode()
        def apply(windows: torch.Tensor) -> torch.Tensor:
            layout = torch.channels_last if flat else torch.contiguous_format
            answer: torch.Tensor = network(windows.to(device, memory_format=layout))
            return answer

        unit = slide(prepared.image, self.network_spec, self.inference, apply)
        mean = from_unit(unit, self.spec.target)
        if self.inference.air_beyond_mm is not None:
            from scipy import ndimage

            away = ndimage.distance_transform_edt(
                ~prepared.body, sampling=prepared.frame.spacing_mm
            )
            mean[away > self.inference.air_beyond_mm] = self.spec.target.outside
        return Inferred(mean=mean)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the network's parameters and buffers by name."""
        if not self._trained:
            raise InputError(f"Translator {self.spec.name} was not trained yet.")
        state = self._network.state_dict()
        return {name: value.detach().cpu().numpy() for name, value in state.items()}

    def set_weights(self, weights: dict[str, NDArray[Any]]) -> None:
        """Take over weights of exactly this specification's network."""
        state = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        try:
            self._network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"The weights are not of the network of {self.spec.name}: {reason}"
            ) from None
        self._trained = True
