"""MR to PET in SUVbw: a conditional diffusion model that has practised on pseudo-PET.

After MRI2PET (Theodorou et al. 2025, medRxiv): paired PET is rare and MR is not, so the model is
first trained on MR with pseudo-PET made by style transfer (:mod:`translators.training.style`),
then on real pairs with a Laplacian-pyramid loss (:mod:`translators.training.pyramid`) beside the
denoising error. The MR is concatenated to the noisy PET, voxel by voxel.

Uptake that the MR does not show cannot be known: samples differ there, and their mean is what
such tissue takes up on average.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from pydantic import Field
from torch import nn

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.wording import count
from qa_suite.learning.checkpoints import identity_of, read_checkpoint, write_checkpoint
from qa_suite.learning.loop import Player, Step
from qa_suite.learning.parallel import rank_of_environment
from qa_suite.learning.summary import FitSummary, Progress
from translators.data import PreparedPair, load_pairs, to_unit
from translators.families.diffusion import Diffusion, DiffusionSpec
from translators.networked import Material
from translators.networks.noising import clean_from
from translators.networks.unets import UnitNetwork
from translators.spec import FAMILIES, Block, FamilyFacts, LossSpec, TranslatorSpec
from translators.training.augment import Batch
from translators.training.patches import CachedPair, cache_pairs
from translators.training.pyramid import pyramid_error
from translators.training.stages import train_in_turn
from translators.training.style import PretrainingSpec, Style, redrawn, style_network, train_style
from translators.training.unpaired import PreparedSource, cache_sources, load_sources


class PyramidSpec(Block):
    """A Laplacian-pyramid loss: L1 of every band and of what remains, each alike."""

    levels: int = Field(default=3, ge=1, le=6, description="bands above what remains")
    weight: float = Field(default=1.0, ge=0, description="beside the denoising loss")


STYLE_FILE = "style.pt"
_PRETRAINING, _FINE_TUNING = "pretraining", "fine-tuning"


@FAMILIES.add(
    "mri2pet",
    FamilyFacts(
        title="MR to PET: conditional diffusion, pretrained on pseudo-PET",
        paired=True,
        trained_by=(
            "AdamW: first on MR with pseudo-PET by style transfer, then on pairs with a "
            "Laplacian-pyramid loss; EMA, early stop on validation patients"
        ),
        uncertainty="samples of several seeds",
        reference=(
            "Theodorou et al. 2025, MRI2PET, medRxiv; Ho 2020, arXiv:2006.11239; Gatys 2016, "
            "doi:10.1109/CVPR.2016.265; Bojanowski 2018, arXiv:1707.05776"
        ),
        needs=("network", "training", "inference"),
        blocks={"diffusion": DiffusionSpec, "pretraining": PretrainingSpec, "pyramid": PyramidSpec},
        sources_alone=True,
        limits=(
            "Uptake that the MR does not show is not in the answer: a lesion takes up what such "
            "tissue took up on average, and one that the MR does not show is missing.",
        ),
    ),
)
class MRI2PET(Diffusion):
    """The conditional diffusion model in two phases: pretraining, fine-tuning."""

    def __init__(self, spec: TranslatorSpec) -> None:
        super().__init__(spec)
        self.pretraining, self.pyramid = spec.own(PretrainingSpec), spec.own(PyramidSpec)
        self._phase = _FINE_TUNING
        self._pseudo: tuple[CachedPair, ...] = ()
        self._resume = False
        _check(spec)

    # --- training -------------------------------------------------------------------------

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
        """Train on pseudo-PET, then on pairs; see :meth:`Translator.fit`.

        Train cases without a reference serve as MR in the first phase, beside the MR of all
        others. The phases have a learning-rate schedule and a checkpoint each; the first has no
        validation and keeps its last average. A translator that was fitted or loaded before goes
        on with pairs alone.
        """
        _require_pairs(cohort, self.spec)
        budget = self.training.iterations if iterations is None else iterations
        share = 0.0 if self._trained else self.pretraining.share
        first = round(budget * share)
        if (share > 0 and first == 0) or first == budget:
            raise InputError(
                f"A budget of {count(budget, 'iteration')} leaves none for the pretraining or "
                f"none for the pairs; pretraining.share is {share:g}."
            )

        fit = partial(super().fit, cohort, folder, resume=resume, device=device)

        def train(phase: str, count: int, told: Progress | None) -> FitSummary:
            self._phase, self._resume = phase, resume
            try:
                return fit(workdir=Path(workdir) / phase, iterations=count, progress=told)
            finally:
                self._phase, self._pseudo = _FINE_TUNING, ()

        phases = {_PRETRAINING: first} if first else {}
        return train_in_turn(phases | {_FINE_TUNING: budget - first}, train, progress)

    def players(self) -> tuple[Player, ...]:
        """One player, whose loss has the pyramid once there are real PETs."""
        loss = self._loss if self._phase == _PRETRAINING else self._loss_with_pyramid
        return (Player(name="denoising", moves=("network",), loss=loss),)

    def _loss_with_pyramid(self, networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        attempt = self.attempt(networks, batch)
        denoising = self.denoising_error(attempt, batch)
        if self.pyramid.weight == 0:
            return denoising
        clean = clean_from(self.diffusion.prediction, attempt.found, attempt.noisy, attempt.level)
        bands = pyramid_error(clean, attempt.clean, batch.weight, self.pyramid.levels)
        step.figures |= {
            "denoising_loss": float(denoising.detach()),
            "pyramid_loss": float(bands.detach()),
        }
        return denoising + self.pyramid.weight * bands

    # --- material -------------------------------------------------------------------------

    def materials(self, cohort: Cohort, folder: Path) -> tuple[Material, Material | None]:
        """Give MR with pseudo-PET and no validation in the first phase, pairs in the second."""
        if self._phase == _PRETRAINING:
            return self._pseudo, None
        return super().materials(_with_reference(cohort), folder)

    def before_fit(
        self, cohort: Cohort, folder: Path, *, workdir: Path, device: torch.device
    ) -> None:
        """Learn the style and redraw every MR, before the first phase."""
        if self._phase != _PRETRAINING:
            return
        pairs = load_pairs(_with_reference(cohort), folder, self.spec, "train")
        alone = tuple(c for c in cohort.in_split("train") if c.reference is None)
        sources = (
            *(PreparedSource(case=pair.case, prepared=pair.prepared) for pair in pairs),
            *load_sources(cohort, alone, folder, self.spec),
        )
        network = self._style(cohort, pairs, sources, workdir, device)
        pseudo = tuple(
            PreparedPair(
                case=source.case,
                prepared=source.prepared,
                target=redrawn(source.prepared.image, source.prepared.body, network, self.spec),
                mask=source.prepared.body,
            )
            for source in sources
        )
        self._pseudo = cache_pairs(pseudo, self.spec, self.training.loss)

    def _style(
        self,
        cohort: Cohort,
        pairs: tuple[PreparedPair, ...],
        sources: tuple[PreparedSource, ...],
        workdir: Path,
        device: torch.device,
    ) -> UnitNetwork:
        """Return the style network of these data: that of ``workdir``, or trained and kept there.

        A training that is resumed must go on with the very pseudo-PET that it began with.
        """
        identity = identity_of(self.spec.digest, cohort.data_digest("train"))
        path = workdir / STYLE_FILE
        network = style_network(self.spec)
        if self._resume and path.is_file():
            state = read_checkpoint(path, {"network": network}, identity, device)
            network.centre, network.gain = state["centre"], state["gain"]
            return network.to(device).eval()
        style = Style.of([(to_unit(pair.target, self.spec.target), pair.mask) for pair in pairs])
        bodies = cache_sources(sources, LossSpec(outside_weight=0))
        network = train_style(tuple(body.pair for body in bodies), style, self.spec, device)
        if rank_of_environment() == 0:
            state = {"centre": network.centre, "gain": network.gain}
            write_checkpoint(path, {"network": network}, state, identity)
        return network


def _with_reference(cohort: Cohort) -> Cohort:
    """Leave out the train cases that have no reference; those of other sets stay to be told."""
    kept = tuple(c for c in cohort.cases if c.split != "train" or c.reference is not None)
    return cohort.model_copy(update={"cases": kept})


def _require_pairs(cohort: Cohort, spec: TranslatorSpec) -> None:
    """Refuse a cohort with fewer than two patients whose PET can be learnt from."""
    cases = [case for case in cohort.in_split("train") if case.reference is not None]
    count = len({case.patient for case in cases})
    if count < 2:
        raise InputError(
            f"Cohort {cohort.name} has {count} train patient{'s' if count != 1 else ''} with a "
            f"PET; {spec.name} needs pairs of two or more, beside MR alone."
        )


def _check(spec: TranslatorSpec) -> None:
    """Refuse a specification that is not of MR to PET, or whose loss has no clean image."""
    problems = []
    if spec.source.modality != "MR":
        problems.append(f"family mri2pet translates MR, and the source is {spec.source.modality}")
    if spec.target.modality != "PT" or spec.target.quantity != "SUVbw":
        problems.append(
            f"family mri2pet answers PET in SUVbw (target.modality PT, target.quantity SUVbw), and "
            f"the target is {spec.target.modality} in {spec.target.quantity}"
        )
    if spec.own(DiffusionSpec).prediction == "epsilon":
        problems.append(
            "the pyramid loss compares clean images, and near time T epsilon tells next to nothing "
            "of them: diffusion.prediction must be v or x0"
        )
    raise_problems(f"Specification {spec.name}", problems)
