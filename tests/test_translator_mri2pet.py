"""MR to PET: pseudo-PET, two phases; seeds, bits, files, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qa_suite.cli.checks import without_refused
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.learning.loop import Step
from tests.direction_cohorts import make_direction_cohort, picture
from tests.tiny_sampled import tiny_sampled
from tests.tiny_specs import same_weights
from translators.answers import Asked
from translators.base import create, load
from translators.data import load_pairs, to_unit
from translators.families.mri2pet import MRI2PET
from translators.registry.card import _limits
from translators.spec import LossSpec, TranslatorSpec, facts_of, parse_spec
from translators.training.augment import Batch
from translators.training.patches import CachedPair
from translators.training.pictures import sample_picture
from translators.training.style import Style, redrawn, train_style
from translators.training.unpaired import PreparedSource, cache_sources

CPU = torch.device("cpu")


def tiny(**changes: Any) -> TranslatorSpec:
    """The demo's specification, shrunk: 2 iterations on pseudo-PET, 6 on pairs."""
    spec = tiny_sampled("mri2pet-demo", **changes).model_dump(mode="json")
    spec["pretraining"]["share"] = changes.get("pretraining__share", 0.25)
    spec["pretraining"]["style_iterations"] = changes.get("pretraining__style_iterations", 3)
    return parse_spec(spec, subject="tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    """Two train pairs, MR of a third train patient, a validation pair."""
    made = make_direction_cohort(folder, "MR->PT", patients=4)
    changes = [
        {"split": "train"},
        {"split": "train"},
        {"split": "train", "reference": None},
        {"split": "validation"},
    ]
    cases = tuple(c.model_copy(update=u) for c, u in zip(made.cases, changes, strict=True))
    return made.model_copy(update={"cases": cases})


@pytest.fixture(scope="module")
def trained(
    folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MRI2PET, list[dict[str, float]]]:
    seen: list[dict[str, float]] = []
    translator = _fit(
        tiny(),
        folder,
        cohort,
        tmp_path_factory.mktemp("work"),
        progress=lambda done, total, figures: seen.append(figures),
    )
    return translator, seen


def _fit(spec: TranslatorSpec, folder: Path, cohort: Cohort, workdir: Path, **more: Any) -> MRI2PET:
    translator = create(spec)
    assert isinstance(translator, MRI2PET)
    translator.fit(cohort, folder, workdir=workdir, device="cpu", **more)
    return translator


# ------------------------------------------------------------------ pseudo-PET


@pytest.fixture(scope="module")
def redrawing(folder: Path, cohort: Cohort) -> dict[str, Any]:
    """Pseudo-PET of the first patient, after a training of the style alone."""
    spec = tiny(pretraining__style_iterations=60)
    paired = cohort.model_copy(update={"cases": cohort.cases[:2]})
    pairs = load_pairs(paired, folder, spec, "train")
    style = Style.of([(to_unit(p.target, spec.target), p.mask) for p in pairs])
    sources = cache_sources(
        [PreparedSource(case=p.case, prepared=p.prepared) for p in pairs],
        LossSpec(outside_weight=0),
    )
    drawn: tuple[CachedPair, ...] = tuple(source.pair for source in sources)
    network = train_style(drawn, style, spec, CPU)
    first = pairs[0].prepared
    return {
        "spec": spec,
        "style": style,
        "first": first,
        "sources": drawn,
        "pseudo": redrawn(first.image, first.body, network, spec),
        "network": network,
    }


def test_pseudo_pet_has_the_statistics_of_pet_and_the_edges_of_the_mr(
    redrawing: dict[str, Any],
) -> None:
    style, first, spec = redrawing["style"], redrawing["first"], redrawing["spec"]

    def tensor(volume: np.ndarray) -> torch.Tensor:
        slices = np.ascontiguousarray(volume.transpose(2, 0, 1), dtype=np.float32)
        return torch.from_numpy(slices)[:, None]

    body, mr = tensor(first.body), tensor(first.image)
    pseudo = tensor(to_unit(redrawing["pseudo"], spec.target))
    flat = torch.full_like(mr, style.mean)
    assert float(style.distance(pseudo, body)) < 0.5 * float(style.distance(flat, body))
    assert float(style.edge_loss(pseudo, mr, body)) < 0.5 < float(style.edge_loss(flat, mr, body))
    assert (redrawing["pseudo"][~first.body] == 0).all()
    assert 0 < redrawing["pseudo"][first.body].mean() < 3


def test_the_same_style_comes_of_the_same_images(redrawing: dict[str, Any]) -> None:
    spec = tiny(pretraining__style_iterations=2)
    one, two = (train_style(redrawing["sources"], redrawing["style"], spec, CPU) for _ in "ab")
    mine, theirs = one.state_dict(), two.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


# ------------------------------------------------------------------ phases


def test_the_phases_switch_where_they_should(
    trained: tuple[MRI2PET, list[dict[str, float]]], tmp_path: Path
) -> None:
    _, seen = trained
    assert len(seen) == 8
    assert all("pretraining_train_loss" in figures for figures in seen[:2])
    assert all("train_loss" in figures and "pyramid_loss" in figures for figures in seen[2:])
    assert not any("validation" in name for figures in seen[:2] for name in figures)
    for figures in seen[2:]:
        both = figures["denoising_loss"] + figures["pyramid_loss"]
        assert figures["train_loss"] == pytest.approx(both, rel=1e-5)


def test_mr_without_pet_is_practised_on_and_pairs_alone_are_learnt_from(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    translator = create(tiny())
    assert isinstance(translator, MRI2PET)
    translator._phase = "pretraining"
    translator.before_fit(cohort, folder, workdir=tmp_path, device=CPU)
    pseudo, nothing = translator.materials(cohort, folder)
    assert [p.patient for p in pseudo] == ["patient1", "patient2", "patient3"]
    assert nothing is None
    translator._phase = "fine-tuning"
    pairs, validation = translator.materials(cohort, folder)
    assert [p.patient for p in pairs] == ["patient1", "patient2"]
    assert [p.patient for p in validation] == ["patient4"]
    for made, real in zip(pseudo, pairs, strict=False):
        np.testing.assert_array_equal(made.source, real.source)
        assert np.abs(made.target - real.target).max() > 0.2


@pytest.mark.parametrize("killed_at", [1, 2, 3, 6])
def test_a_killed_training_carries_on_with_the_same_bits(
    killed_at: int,
    trained: tuple[MRI2PET, list[dict[str, float]]],
    folder: Path,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    spec = tiny(training__checkpoint_minutes=0)

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        assert total == 8
        if done == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(spec, folder, cohort, tmp_path, progress=kill)
    torch.rand(3)
    seen: list[int] = []
    resumed = _fit(
        spec, folder, cohort, tmp_path, resume=True, progress=lambda d, t, f: seen.append(d)
    )
    # the checkpoint is written after progress was told: the iteration that was killed is repeated
    assert seen[0] == killed_at and seen[-1] == 8
    assert same_weights(resumed, trained[0])


def test_a_translator_that_knows_pairs_already_does_not_go_back_to_pseudo_pet(
    trained: tuple[MRI2PET, list[dict[str, float]]], folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    begun = create(tiny())
    begun.set_weights(trained[0].weights())
    seen: list[dict[str, float]] = []
    begun.fit(
        cohort,
        folder,
        workdir=tmp_path,
        device="cpu",
        iterations=2,
        progress=lambda done, total, figures: seen.append(figures),
    )
    assert len(seen) == 2 and all("pyramid_loss" in figures for figures in seen)
    assert not (tmp_path / "pretraining").exists()


def test_the_pyramid_weighs_what_it_should() -> None:
    target = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(4)) * 0.4 - 0.9
    batch = Batch(source=torch.zeros_like(target), target=target, weight=torch.ones_like(target))
    losses = []
    for weight in (0.0, 1.0, 3.0):
        translator = create(tiny(pyramid__weight=weight))
        assert isinstance(translator, MRI2PET)
        torch.manual_seed(0)
        step = Step(iteration=1, iterations=2)
        loss = translator._loss_with_pyramid(translator._members[0], batch, step)
        losses.append(float(loss.detach()))
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-4)


# ------------------------------------------------------------------ answers, files


def test_answers_are_suv_and_samples_spread(
    trained: tuple[MRI2PET, list[dict[str, float]]], tmp_path: Path
) -> None:
    translator, _ = trained
    source = picture("MR", 5)
    found = translator.predict(source)
    assert found.mean.quantity == "SUVbw" and len(found.samples) == 2
    assert found.std is not None and float(found.std.array.max()) > 0
    assert found.mean.array.min() >= 0 and found.mean.array.max() <= 60
    again = translator.predict(source)
    np.testing.assert_array_equal(again.mean.array, found.mean.array)
    other = translator.predict(source, asked=Asked(seed=1))
    assert np.abs(other.mean.array - found.mean.array).max() > 1e-3
    translator.save(tmp_path)
    after = load(tmp_path).predict(source)
    np.testing.assert_array_equal(after.mean.array, found.mean.array)
    np.testing.assert_array_equal(after.std.array, found.std.array)  # type: ignore[union-attr]


def test_the_same_seed_gives_the_same_bits_and_half_precision_runs(
    trained: tuple[MRI2PET, list[dict[str, float]]], folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    assert same_weights(_fit(tiny(), folder, cohort, tmp_path / "again"), trained[0])
    half = tiny(training__amp="bf16", training__amp_on_cpu=True)
    other = _fit(half, folder, cohort, tmp_path / "half")
    assert not same_weights(other, trained[0])
    assert np.isfinite(other.predict(picture("MR", 5)).mean.array).all()


def test_the_card_says_what_is_clipped_and_what_mr_cannot_know(
    trained: tuple[MRI2PET, list[dict[str, float]]], cohort: Cohort
) -> None:
    limits = " ".join(_limits(trained[0], cohort))
    assert "from 0 to 60 SUVbw; what lies beyond was clipped" in limits
    assert "Uptake that the MR does not show is not in the answer" in limits


def test_preflight_leaves_mr_without_pet_to_the_family_that_learns_from_it(
    folder: Path, cohort: Cohort
) -> None:
    settings = {"max_misalignment_mm": 50.0}
    kept, fewer = (
        without_refused(cohort, folder, sources_alone=alone, **settings).in_split("train")
        for alone in (facts_of("mri2pet").sources_alone, facts_of("diffusion").sources_alone)
    )
    assert [case.case for case in kept] == ["case1", "case2", "case3"]
    assert [case.case for case in fewer] == ["case1", "case2"]


def test_a_picture_of_the_training_shows_pet_in_suv(
    trained: tuple[MRI2PET, list[dict[str, float]]], folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    spec = trained[0].spec
    (pair,) = load_pairs(cohort, folder, spec, "validation")
    path = sample_picture(pair, pair.target, (8.0, 8.0, 8.0), spec.target, tmp_path / "a.png")
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize("name", ["mri2pet", "mri2pet-sts"])
def test_the_other_specifications_take_a_step_when_reduced(
    name: str, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    spec = tiny_sampled(name, pretraining={"share": 0.5, "style_iterations": 1})
    translator = _fit(spec, folder, cohort, tmp_path, iterations=2)
    found = translator.predict(picture("MR", 5))
    assert np.isfinite(found.mean.array).all() and found.std is not None


# ------------------------------------------------------------------ bad input


def test_wrong_specifications_are_refused() -> None:
    for block in ("pretraining", "pyramid", "diffusion"):
        with pytest.raises(Problems, match=f"needs '{block}'"):
            create(tiny_sampled("mri2pet-demo", **{block: None}))
    to_ct = tiny_sampled("mri2pet-demo", direction="MR->CT", target={})
    with pytest.raises(Problems, match="the target is CT in HU"):
        create(to_ct)
    data = tiny().model_dump(mode="json")
    data["source"]["modality"], data["direction"] = "CT", "CT->PT"
    data["target"]["quantity"], data["diffusion"]["prediction"] = "arbitrary", "epsilon"
    with pytest.raises(Problems) as caught:
        create(parse_spec(data, subject="wrong"))
    for part in ("the source is CT", "PT in arbitrary", "must be v or x0"):
        assert part in str(caught.value)


def test_wrong_cohorts_are_refused(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    in_bq = cohort.model_copy(update={"reference_quantity": "arbitrary"})
    with pytest.raises(Problems, match="is in arbitrary and mri2pet-demo needs SUVbw"):
        _fit(tiny(), folder, in_bq, tmp_path)
    lonely = cohort.model_copy(update={"cases": cohort.cases[1:]})
    with pytest.raises(InputError, match="1 train patient with a PET"):
        _fit(tiny(), folder, lonely, tmp_path)
    last = cohort.cases[3].model_copy(update={"reference": None})
    blind = cohort.model_copy(update={"cases": (*cohort.cases[:3], last)})
    with pytest.raises(Problems, match="case4: it has no reference image"):
        _fit(tiny(), folder, blind, tmp_path)
    with pytest.raises(InputError, match="leaves none for the pretraining"):
        _fit(tiny(), folder, cohort, tmp_path, iterations=1)


def test_a_checkpoint_of_another_specification_is_refused(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    _fit(tiny(), folder, cohort, tmp_path)
    with pytest.raises(InputError, match="another specification, budget or cohort"):
        _fit(tiny(training__learning_rate=0.5), folder, cohort, tmp_path, resume=True)
