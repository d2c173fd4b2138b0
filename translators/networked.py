"""What families with networks share: training, windows, members, weights.

A family says which networks it has, who is moved by which loss, and how windows of the
source become windows of the target. All else is here.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.wording import count as count_of
from qa_suite.learning.checkpoints import identity_of
from qa_suite.learning.devices import is_deep, pick_device, to_channels_last
from qa_suite.learning.loop import Player, Validate, autocast, optimise
from qa_suite.learning.parallel import join
from qa_suite.learning.summary import FitSummary, Progress
from translators.answers import AS_SPECIFIED, Asked, Inferred
from translators.base import Translator
from translators.calibration import smallest_std
from translators.data import Prepared, check_cohort, from_unit, load_pairs, valued
from translators.networks.sliding import slide
from translators.networks.windows import Window
from translators.spec import InferenceSpec, NetworkSpec, TrainingSpec, TranslatorSpec
from translators.training.augment import Batch, augment
from translators.training.losses import weighted_mean
from translators.training.patches import CachedPair, cache_pairs, draw_batch, fixed_patches
from translators.training.stages import counting_members, joined_members

Material = Any
"""What a family draws its batches from: cached pairs, or two unpaired lists."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One of the answers that are averaged: which network, which seed, which flips."""

    member: int = 0
    seed: int = 0
    flips: tuple[int, ...] = ()
    dropout: bool = False


class NetworkTranslator(Translator):
    """A translator whose answer comes of networks.

    A family implements :meth:`build`, :meth:`players` and :meth:`answer`, and overrides what it
    does in another way.
    """

    kept: tuple[str, ...] = ("network",)
    """Names of the networks that are averaged, saved and used in prediction."""

    noise_channels: int = 0
    """Fields of noise that a prediction starts from."""

    network_spec: NetworkSpec
    training: TrainingSpec
    inference: InferenceSpec

    def __init__(self, spec: TranslatorSpec) -> None:
        super().__init__(spec)
        assert spec.network and spec.training and spec.inference, "every such family needs them"
        self.network_spec, self.training, self.inference = (
            spec.network,
            spec.training,
            spec.inference,
        )
        self._trained = False
        self._count = 0
        count = spec.uncertainty.members if spec.uncertainty.method == "ensemble" else 1
        self._members = [self._only_kept(self._built(number)) for number in range(count)]

    # --- what a family says -------------------------------------------------------------

    @abstractmethod
    def build(self) -> dict[str, nn.Module]:
        """Make the networks by name, with first weights from the global generator."""

    @abstractmethod
    def players(self) -> tuple[Player, ...]:
        """Say who is moved by which loss, in the order of their turns."""

    @abstractmethod
    def answer(self, networks: nn.ModuleDict, window: Window) -> torch.Tensor:
        """Translate windows; return (batch, 1, x, y[, z]) on the unit scale.

        Every pass through a network must be noted with :meth:`passed`.
        """

    def extras(self) -> dict[str, Any]:
        """Return more that a checkpoint must hold, by name; made anew for each member."""
        return {}

    def before_fit(
        self, cohort: Cohort, folder: Path, *, workdir: Path, device: torch.device
    ) -> None:
        """Do what must be done once before the networks are trained."""

    def sampling_steps(self, asked: Asked) -> int:
        """Return the steps of the sampler for one answer; 1 where there is none."""
        return 1

    # --- material -----------------------------------------------------------------------

    def materials(self, cohort: Cohort, folder: Path) -> tuple[Material, Material | None]:
        """Read what is trained on and what is validated on (None where there is nothing)."""
        train, validation = (
            cache_pairs(load_pairs(cohort, folder, self.spec, split), self.spec, self.training.loss)
            for split in ("train", "validation")
        )
        return train, validation or None

    def draw(self, material: Material, rng: np.random.Generator, device: torch.device) -> Batch:
        """Draw one batch and augment it, on the device."""
        batch = draw_batch(material, self.spec, rng, self.training.batch).to(device)
        return augment(batch, self.training.augmentation, rng)

    def validation(self, material: Material, device: torch.device) -> Validate:
        """Return the function from networks to their error: masked MAE, patients alike."""
        pairs: tuple[CachedPair, ...] = material
        fixed = fixed_patches(pairs, self.spec, self.training.seed)
        target = self.spec.target

        @torch.no_grad()
        def validate(networks: nn.ModuleDict) -> float:
            networks.eval()
            errors: dict[str, list[float]] = {}
            for number, (patient, batch) in enumerate(fixed):
                moved = batch.to(device)
                with autocast(self.training, device):
                    found = self.answer(networks, self._window(moved.source, number))
                answer = valued(found.float().clamp(-1, 1), target)
                error = weighted_mean((answer - valued(moved.target, target)).abs(), moved.weight)
                errors.setdefault(patient, []).append(float(error))
            return float(np.mean([np.mean(values) for values in errors.values()]))

        return validate

    # --- training -----------------------------------------------------------------------

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

        Without ``validation`` patients there is no early stop and the last average is kept. An
        ensemble trains its members one after the other, each with a seed of its own; one that
        was fitted or loaded before starts from its weights.
        """
        check_cohort(cohort, self.spec)
        budget = self.training.iterations if iterations is None else iterations
        if budget < 1:
            raise InputError(f"The budget must be at least one iteration, got {budget}.")
        world, where = join(pick_device(device))
        self.before_fit(cohort, folder, workdir=Path(workdir), device=where)
        train, validation = self.materials(cohort, folder)
        begun_from = self._weights_digest() if self._trained else ""
        summaries = []
        for number, member in enumerate(self._members):
            networks = self._built(number)
            if self._trained:
                networks.load_state_dict(member.state_dict(), strict=False)
            alone = len(self._members) == 1
            weights, summary = optimise(
                networks,
                self.players(),
                self._training_of(number),
                kept=self.kept,
                make_batch=lambda rng, on: self.draw(train, rng, on),
                validate=None if validation is None else self.validation(validation, where),
                identity=identity_of(
                    self.spec.digest,
                    str(budget),
                    str(number),
                    cohort.data_digest("train", "validation"),
                    begun_from,
                ),
                workdir=Path(workdir) if alone else Path(workdir) / f"member-{number}",
                resume=resume,
                iterations=budget,
                device=where,
                world=world,
                extras=self.extras(),
                progress=counting_members(progress, number, len(self._members)),
            )
            member.load_state_dict(weights)
            summaries.append(summary)
        self._trained = True
        return joined_members(summaries)

    def _training_of(self, member: int) -> TrainingSpec:
        return self.training.model_copy(update={"seed": self._seed_of(member)})

    def _seed_of(self, member: int) -> int:
        return self.training.seed + 1000 * member

    def _built(self, member: int) -> nn.ModuleDict:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed_of(member))
            return nn.ModuleDict(self.build())

    def _only_kept(self, networks: nn.ModuleDict) -> nn.ModuleDict:
        return nn.ModuleDict({name: networks[name] for name in self.kept})

    # --- prediction ---------------------------------------------------------------------

    def passed(self, count: int) -> None:
        """Note that ``count`` windows went through a network once."""
        self._count += count

    def draws(self, asked: Asked) -> tuple[Draw, ...]:
        """Say which answers are averaged."""
        settings = self.spec.uncertainty
        count = asked.members or settings.members
        match settings.method:
            case "ensemble":
                if count > len(self._members):
                    has = count_of(len(self._members), "member")
                    raise InputError(f"{self.spec.name} has {has}, not {count}.")
                return tuple(Draw(member=n, seed=asked.seed) for n in range(count))
            case "flips" if asked.members != 1:
                axes = ["xyz".index(name) for name in settings.flip_axes]
                return tuple(
                    Draw(flips=some, seed=asked.seed)
                    for size in range(len(axes) + 1)
                    for some in itertools.combinations(axes, size)
                )
            case "dropout" if count > 1:
                return tuple(Draw(seed=asked.seed + n, dropout=True) for n in range(count))
            case "samples":
                return tuple(Draw(seed=asked.seed + n) for n in range(count))
        return (Draw(seed=asked.seed),)

    def infer(self, prepared: Prepared, asked: Asked = AS_SPECIFIED) -> Inferred:
        """Translate in sliding windows, on the GPU where there is one.

        σ is held above the least that an interval is scaled by: where the window of the target
        clips every answer they agree to the bit, and a σ of zero would claim certainty.
        """
        if not self._trained:
            raise InputError(f"Translator {self.spec.name} was not trained yet.")
        self._count = 0
        answers = [self._finished(prepared, draw, asked) for draw in self.draws(asked)]
        many = len(answers) > 1
        stack = np.stack(answers)
        cost = {"network_evaluations": float(self._count)}
        steps = self.sampling_steps(asked)
        if steps > 1:
            cost["steps"] = float(steps)
        sampled = self.spec.uncertainty.method == "samples"
        return Inferred(
            mean=stack.mean(axis=0, dtype=np.float64).astype(np.float32) if many else answers[0],
            std=self._spread(stack) if many else None,
            samples=tuple(answers) if many and sampled else (),
            cost=cost,
        )

    def _spread(self, answers: Float32Array) -> Float32Array:
        least = smallest_std(self.spec.target.low, self.spec.target.high)
        found = answers.std(axis=0, ddof=1, dtype=np.float64).astype(np.float32)
        return np.maximum(found, np.float32(least))

    def _finished(self, prepared: Prepared, draw: Draw, asked: Asked) -> Float32Array:
        """One answer in the unit of the target, with air far from the body."""
        unit = self.translate(prepared, draw, asked)
        answer = from_unit(unit, self.spec.target)
        if self.inference.air_beyond_mm is not None:
            from scipy import ndimage

            away = ndimage.distance_transform_edt(
                ~prepared.body, sampling=prepared.frame.spacing_mm
            )
            answer[away > self.inference.air_beyond_mm] = self.spec.target.outside
        return answer

    def translate(self, prepared: Prepared, draw: Draw, asked: Asked) -> Float32Array:
        """Make one answer for a whole volume on the unit scale, shape (x, y, z)."""
        networks, device = self.ready(draw)
        image = np.flip(prepared.image, draw.flips) if draw.flips else prepared.image
        generator = torch.Generator(device).manual_seed(draw.seed)
        flat = not is_deep(networks)

        @torch.inference_mode()
        def apply(windows: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
            layout = torch.channels_last if flat else torch.contiguous_format
            window = Window(
                source=windows.to(device, memory_format=layout),
                noise=noise.to(device),
                generator=generator,
                asked=asked,
            )
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(draw.seed)  # dropout alone uses it
                return self.answer(networks, window)

        noise = self.noise(prepared.image.shape, draw.seed)
        unit = slide(image, self.network_spec, self.inference, apply, noise=noise)
        return np.ascontiguousarray(np.flip(unit, draw.flips)) if draw.flips else unit

    def noise(self, shape: tuple[int, ...], seed: int) -> Float32Array:
        """Noise that a prediction starts from, shape (channels, x, y, z)."""
        rng = np.random.default_rng([seed, 20])
        return rng.standard_normal((self.noise_channels, *shape), dtype=np.float32)

    def ready(self, draw: Draw) -> tuple[nn.ModuleDict, torch.device]:
        """Return the networks of a draw on their device, ready to predict."""
        device = pick_device("auto")
        networks = self._members[draw.member].to(device).eval()
        if not is_deep(networks):
            networks = to_channels_last(networks)
        if draw.dropout:
            for module in networks.modules():
                if isinstance(module, nn.Dropout | nn.Dropout2d | nn.Dropout3d):
                    module.train()
        return networks, device

    def _window(self, source: torch.Tensor, seed: int) -> Window:
        """Make a window of patches outside any volume, as validation cuts them."""
        rng = np.random.default_rng([seed, 21])
        shape = (source.shape[0], self.noise_channels, *source.shape[2:])
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        return Window(
            source=source,
            noise=noise.to(source.device),
            generator=torch.Generator(source.device).manual_seed(seed),
            asked=AS_SPECIFIED,
        )

    # --- weights ------------------------------------------------------------------------

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the parameters and buffers of every member's kept networks by name."""
        if not self._trained:
            raise InputError(f"Translator {self.spec.name} was not trained yet.")
        return {
            f"{number}.{name}": value.detach().cpu().numpy()
            for number, member in enumerate(self._members)
            for name, value in member.state_dict().items()
        }

    def set_weights(self, weights: dict[str, NDArray[Any]]) -> None:
        """Take over weights of exactly this specification's networks."""
        all_members = nn.ModuleList(self._members)
        state = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        try:
            all_members.load_state_dict(state, strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"The weights are not of the networks of {self.spec.name}: {reason}"
            ) from None
        self._trained = True

    def _weights_digest(self) -> str:
        from safetensors.numpy import save

        return identity_of(
            save({k: np.ascontiguousarray(v) for k, v in self.weights().items()}).hex()
        )
