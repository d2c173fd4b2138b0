"""pix2pix: what makes it one, and all that every family must keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.io.images import read_image, write_image
from qa_suite.learning.loop import Step
from qa_suite.learning.summary import FitSummary
from tests.tiny_cohort import make_tiny_cohort, pair
from tests.tiny_specs import changed, fitted, same_weights
from translators.answers import Asked
from translators.base import Translator, create, load
from translators.families.pix2pix import Pix2Pix
from translators.networks.discriminators import AdversarialSpec, opinion_loss, patch_discriminator
from translators.spec import TranslatorSpec, load_spec, parse_spec
from translators.training.augment import Batch


def tiny(name: str = "pix2pix-demo", **changes: object) -> TranslatorSpec:
    data = load_spec(name).model_dump(mode="json")
    data["network"] |= {"channels": [8, 8, 16], "slices": 1, "dimensions": "2D"}
    data["adversarial"] |= {"channels": [8, 8]}
    data["training"] |= {"batch": 4, "patch": [32, 32], "iterations": 20, "validate_every": 10}
    data["training"] |= {"validation_patches": 2}
    data["inference"] |= {"patch": [64, 64], "air_beyond_mm": None}
    data["uncertainty"] = {}
    data["working_spacing_mm"] = None
    return changed(data, changes)


@pytest.fixture(scope="module")
def trained(
    folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Translator, FitSummary]:
    return fitted(tiny(network__dropout=0.2), folder, cohort, tmp_path_factory.mktemp("work"))


def test_both_play_and_only_the_generator_is_kept(
    trained: tuple[Translator, FitSummary], tmp_path: Path
) -> None:
    translator, summary = trained
    errors = [value for _, value in summary.curves["image_error"]]
    assert np.mean(errors[-3:]) < np.mean(errors[:3])
    assert len(summary.curves["discriminator_loss"]) == len(summary.curves["fooling"]) == 20
    assert all(name.startswith("0.generator.") for name in translator.weights())
    translator.save(tmp_path)
    again = load(tmp_path)
    source, _, _ = pair(4)
    first, second = translator.predict(source).mean.array, again.predict(source).mean.array
    np.testing.assert_array_equal(first, second)


def test_the_seed_decides_and_a_killed_training_carries_on_to_the_bit(
    trained: tuple[Translator, FitSummary], folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    spec = tiny(network__dropout=0.2, training__checkpoint_minutes=0)
    plain, summary = fitted(spec, folder, cohort, tmp_path / "plain", iterations=8)
    again, _ = fitted(spec, folder, cohort, tmp_path / "again", iterations=8)
    assert same_weights(plain, again)

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        torch.rand(3)
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(spec, folder, cohort, tmp_path / "cut", iterations=8, progress=kill)
    resumed, after = fitted(spec, folder, cohort, tmp_path / "cut", iterations=8, resume=True)
    assert same_weights(plain, resumed) and after.curves == summary.curves


def _batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    source, target = torch.randn((2, 2, 1, 32, 32), generator=generator).clamp(-1, 1)
    return Batch(source=source, target=target, weight=torch.ones_like(target))


def _losses(translator: Pix2Pix, batch: Batch) -> tuple[float, float, dict[str, float]]:
    networks = translator._built(0).eval()
    step = Step(iteration=1, iterations=2)
    first, second = (
        float(player.loss(networks, batch, step).detach()) for player in translator.players()
    )
    return first, second, step.figures


def test_the_generator_minimises_a_hundred_times_the_error_and_its_being_found_out() -> None:
    translator = create(tiny())
    assert isinstance(translator, Pix2Pix) and translator.adversarial.l1_weight == 100
    batch = _batch()
    loss, critic, figures = _losses(translator, batch)
    assert loss == pytest.approx(100 * figures["image_error"] + figures["fooling"], rel=1e-5)
    fake = translator._built(0).eval()["generator"](batch.source)
    assert figures["image_error"] == pytest.approx(
        float((fake - batch.target).abs().mean().detach()), 1e-5
    )
    assert critic > 0


def test_what_the_mask_leaves_out_counts_for_nobody() -> None:
    translator = create(tiny(adversarial__norm="none"))
    assert isinstance(translator, Pix2Pix)
    batch = _batch()
    weight = torch.zeros_like(batch.weight)
    weight[:, :, :8, :8] = 1
    other = batch.target.clone()
    other[:, :, 24:] = 0.7  # beyond the reach of what the weighted patches see
    before = Batch(source=batch.source, target=batch.target, weight=weight)
    after = Batch(source=batch.source, target=other, weight=weight)
    assert _losses(translator, before)[:2] == pytest.approx(_losses(translator, after)[:2])


def test_the_discriminator_judges_the_pair_and_not_the_target_alone() -> None:
    translator = create(tiny(adversarial__norm="none"))
    assert isinstance(translator, Pix2Pix)
    batch = _batch()
    other = Batch(source=batch.source.flip(0), target=batch.target, weight=batch.weight)
    networks = translator._built(0).eval()
    one, two = (
        networks["discriminator"](translator._seen(some, batch.target)) for some in (batch, other)
    )
    assert not torch.allclose(one, two)


@pytest.mark.parametrize(("kind", "known"), [("bce", np.log(1 + np.exp(-2.0))), ("lsgan", 1.0)])
def test_opinions_have_the_known_losses(kind: str, known: float) -> None:
    spec = AdversarialSpec(loss=kind)  # type: ignore[arg-type]
    logits, weight = torch.full((1, 1, 4, 4), 2.0), torch.ones(1, 1, 16, 16)
    assert float(opinion_loss(logits, weight, real=True, spec=spec)) == pytest.approx(known, 1e-5)
    fake = known + 2.0 if kind == "bce" else 4.0
    assert float(opinion_loss(logits, weight, real=False, spec=spec)) == pytest.approx(fake, 1e-5)
    half = weight.clone()
    half[..., 8:] = 0
    logits[..., 2:] = -50.0
    assert float(opinion_loss(logits, half, real=True, spec=spec)) == pytest.approx(known, 1e-5)


def test_the_papers_discriminator_sees_seventy_voxels() -> None:
    torch.manual_seed(0)
    network = patch_discriminator(
        AdversarialSpec(channels=(4, 4, 4, 4), norm="none"), inputs=1, axes=2
    )
    image = torch.zeros(1, 1, 160, 160, requires_grad=True)
    logits = network(image)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert image.grad is not None
    rows = torch.nonzero(image.grad.abs().sum((0, 1, 3)))
    assert int(rows.max() - rows.min()) + 1 == 70


def test_dropout_gives_a_spread_and_one_pass_gives_none(
    trained: tuple[Translator, FitSummary],
) -> None:
    data = trained[0].spec.model_dump(mode="json")
    data["uncertainty"] = {"method": "dropout", "members": 3}
    translator = create(parse_spec(data, subject="dropout"))
    translator.set_weights(trained[0].weights())
    source, _, _ = pair(4)
    found, again = translator.predict(source), translator.predict(source)
    assert found.std is not None and found.std.array.max() > 0
    np.testing.assert_array_equal(found.std.array, again.std.array)  # type: ignore[union-attr]
    other = translator.predict(source, asked=Asked(seed=1))
    assert not np.array_equal(found.mean.array, other.mean.array)
    plain = translator.predict(source, asked=Asked(members=1))
    assert plain.std is None
    np.testing.assert_array_equal(plain.mean.array, trained[0].predict(source).mean.array)


@pytest.mark.parametrize(
    "changes",
    [
        {"training__amp": "bf16", "training__amp_on_cpu": True},
        {"network__dimensions": "2.5D", "network__slices": 3},
        {
            "network__dimensions": "3D",
            "network__keep_z": 1,
            "training__patch": [16, 16, 8],
            "inference__patch": [32, 32, 8],
            "adversarial__norm": "instance",
        },
        {"uncertainty": {"method": "ensemble", "members": 2}},
    ],
    ids=["bf16", "2.5D", "3D", "ensemble"],
)
def test_every_kind_takes_a_step_and_translates(
    changes: dict, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    translator, _ = fitted(tiny(**changes), folder, cohort, tmp_path, iterations=2)
    found = translator.predict(pair(4)[0]).mean.array
    assert np.isfinite(found).all() and found.std() > 0


def test_the_full_size_specification_takes_a_step_when_reduced(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    full = load_spec("pix2pix")
    assert full.training is not None and full.adversarial is not None
    assert (full.training.learning_rate, full.training.betas) == (2e-4, (0.5, 0.999))
    assert full.training.weight_decay == 0 and full.adversarial.l1_weight == 100
    data = full.model_dump(mode="json")
    data["working_spacing_mm"] = None
    data["network"]["channels"] = [8] * len(data["network"]["channels"])
    data["adversarial"]["channels"] = [8] * len(data["adversarial"]["channels"])
    data["training"] |= {"patch": [64, 64], "batch": 2}
    data["inference"] |= {"patch": [64, 64]}
    data["uncertainty"] |= {"members": 2}
    translator, _ = fitted(
        parse_spec(data, subject="reduced"), folder, cohort, tmp_path, iterations=1
    )
    assert np.isfinite(translator.predict(pair(4)[0]).mean.array).all()


def test_bad_input_is_said_in_a_sentence(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(Problems, match="family pix2pix needs 'adversarial'"):
        create(tiny(adversarial=None))
    with pytest.raises(Problems, match="family pix2pix takes no 'cycle'"):
        create(tiny(cycle={}))
    lonely = cohort.model_copy(update={"cases": cohort.cases[1:]})
    with pytest.raises(Problems, match="1 patient and training needs two"):
        fitted(tiny(), folder, lonely, tmp_path)
    unpaired = tuple(c.model_copy(update={"reference": None}) for c in cohort.cases)
    with pytest.raises(Problems, match="a paired translator needs one"):
        fitted(tiny(), folder, cohort.model_copy(update={"cases": unpaired}), tmp_path)
    fitted(tiny(), folder, cohort, tmp_path, iterations=1)
    with pytest.raises(InputError, match="another specification"):
        fitted(
            tiny(adversarial__loss="lsgan", adversarial__weight=2.0),
            folder,
            cohort,
            tmp_path,
            iterations=1,
            resume=True,
        )


def test_targets_that_are_not_finite_are_named(tmp_path: Path) -> None:
    cohort = make_tiny_cohort(tmp_path, "tt")
    volume = read_image(tmp_path / str(cohort.cases[1].reference), "HU")
    array = volume.array.copy()
    array[0, 0, 0] = np.nan
    write_image(volume.with_array(array), tmp_path / "nan.mha")
    bad = cohort.cases[1].model_copy(update={"reference": "nan.mha"})
    spoilt = cohort.model_copy(update={"cases": (cohort.cases[0], bad)})
    with pytest.raises(Problems, match="case case2: its reference image has 1 voxels that are NaN"):
        fitted(tiny(), tmp_path, spoilt, tmp_path / "work")
