"""CycleGAN: two lists, two directions, a pool of fakes; and all that every family must keep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.volume import Volume
from qa_suite.io.images import read_image, write_image
from qa_suite.learning.loop import Step
from qa_suite.learning.summary import FitSummary
from tests.tiny_cohort import make_tiny_cohort, pair
from tests.tiny_specs import changed, fitted, same_weights
from translators.base import create, load
from translators.data import prepare, to_unit
from translators.families.cyclegan import UNPAIRED_FILE, CycleGAN
from translators.networks.discriminators import ImagePool
from translators.spec import TargetSpec, TranslatorSpec, load_spec, parse_spec
from translators.spec.inverse import inverted
from translators.training.augment import Batch
from translators.training.losses import spread_distance
from translators.training.unpaired_losses import Sides, from_edges, places


def tiny(name: str = "cyclegan-demo", **changes: object) -> TranslatorSpec:
    data = load_spec(name).model_dump(mode="json")
    data["network"] |= {"channels": [8, 8, 16]}
    data["adversarial"] |= {"channels": [8, 8]}
    data["cycle"] |= {"pool": 6}
    data["training"] |= {"batch": 2, "patch": [32, 32], "iterations": 20}
    data["inference"] |= {"patch": [64, 64], "air_beyond_mm": None}
    data["working_spacing_mm"] = None
    return changed(data, changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort")
    make_tiny_cohort(path, "ttttvs")
    return path


@pytest.fixture(scope="module")
def trained(
    folder: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CycleGAN, FitSummary]:
    translator, summary = fitted(tiny(), folder, cohort, tmp_path_factory.mktemp("work"))
    assert isinstance(translator, CycleGAN)
    return translator, summary


# ------------------------------------------------------------------ never a pair


def test_no_target_of_a_source_patient_is_ever_opened(
    folder: Path, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof by absence: delete what may not be looked at, and train."""
    import shutil

    shutil.copytree(folder, tmp_path / "cohort")
    lists = create(tiny())
    assert isinstance(lists, CycleGAN)
    lists.materials(cohort, folder)
    known = {case.patient: case for case in cohort.cases}
    for patient in lists.dealt["source_patients"]:
        (tmp_path / "cohort" / str(known[patient].reference)).unlink()
    for case in cohort.in_split("validation", "test"):
        (tmp_path / "cohort" / case.source).unlink()
        (tmp_path / "cohort" / str(case.reference)).unlink()
    for patient in lists.dealt["target_patients"]:  # its source: any rubbish of the same size
        file = tmp_path / "cohort" / known[patient].source
        volume = read_image(file, "arbitrary")
        write_image(volume.with_array(np.zeros_like(volume.array)), file)
    one, _ = fitted(tiny(), folder, cohort, tmp_path / "a", iterations=2)
    two, _ = fitted(tiny(), tmp_path / "cohort", cohort, tmp_path / "b", iterations=2)
    assert same_weights(one, two)


def test_who_gave_what_is_written_beside_the_weights(
    trained: tuple[CycleGAN, FitSummary], tmp_path: Path
) -> None:
    translator, summary = trained
    translator.save(tmp_path)
    lists = json.loads((tmp_path / UNPAIRED_FILE).read_text())
    assert sorted(lists["source_patients"] + lists["target_patients"]) == [
        f"patient{n}" for n in range(1, 5)
    ]
    assert len(lists["source_patients"]) == 2
    assert summary.best_validation is None, "there is no error without pairs"


# ------------------------------------------------------------------ losses


class _Fixed(nn.Module):
    """Stands in for a generator: a known map on the unit scale."""

    def __init__(self, gain: float, shift: float) -> None:
        super().__init__()
        self.gain, self.shift = gain, shift

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * self.gain + self.shift


def _batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    source, target = torch.rand((2, 2, 1, 32, 32), generator=generator) - 0.5
    weight = torch.ones_like(target)
    return Batch(source=source, target=target, weight=weight, source_weight=weight)


def test_a_cycle_that_closes_costs_nothing_and_one_that_does_not_its_distance() -> None:
    spec = tiny(cycle={"cycle_weight": 10, "identity_weight": 5, "pool": 6}, adversarial__weight=0)
    translator = create(spec)
    assert isinstance(translator, CycleGAN) and spec.network is not None
    networks = translator._built(0).eval()
    gain, centre = spec.network.output_gain, spec.target.unit_centre

    def cost(shift: float) -> dict[str, float]:
        # on the scale of a source, the map there adds 'shift' and the map back adds nothing
        networks["to_target"] = _Fixed(gain, centre + shift * gain)
        networks["to_source"] = _Fixed(1.0, 0.0)
        step = Step(iteration=1, iterations=2)
        total = translator.players()[0].loss(networks, _batch(), step).detach()
        figures = step.figures
        assert float(total) == pytest.approx(10 * figures["cycle"] + 5 * figures["identity"], 1e-5)
        return figures

    assert cost(0.0)["cycle"] == pytest.approx(0, abs=1e-5)
    assert cost(0.3)["cycle"] == pytest.approx(2 * 0.3, rel=1e-4), "there-and-back on both sides"
    assert cost(0.3)["identity"] == pytest.approx(0.3, rel=1e-4)


def test_the_warm_up_asks_of_the_generators_what_needs_no_adversary() -> None:
    translator = create(tiny())
    assert isinstance(translator, CycleGAN) and translator.cycle.warm_up > 0
    networks = translator._built(0)
    figures = []
    for iteration in (1, 10):
        step = Step(iteration=iteration, iterations=10)
        translator.extras()
        for player in translator.players():
            loss = player.loss(networks, _batch(), step)
        figures.append((set(step.figures), float(loss.detach())))
    assert figures[0] == ({"neighbour", "values", "edges"}, 0.0), "the discriminators wait"
    assert figures[1][0] >= {"neighbour", "values", "fooling", "cycle"} and figures[1][1] > 0
    with pytest.raises(Problems, match="warm_up needs neighbour_weight or values_weight"):
        tiny(cycle={"warm_up": 0.5})


def test_values_are_compared_wherever_they_lie() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((2, 1, 16, 16), generator=generator)
    everywhere = torch.ones_like(image, dtype=torch.bool)
    moved = image.flatten()[torch.randperm(image.numel(), generator=generator)].view_as(image)
    assert float(spread_distance(image, everywhere, moved, everywhere)) == pytest.approx(0)
    brighter = spread_distance(image + 0.25, everywhere, moved, everywhere)
    assert float(brighter) == pytest.approx(0.25, abs=1e-5)
    assert float(spread_distance(image, ~everywhere, moved, everywhere)) == 0


def test_places_count_from_the_middle_of_the_body() -> None:
    weight = torch.full((2, 1, 20, 10), 0.3)
    weight[0, :, 2:7, 4:9] = 1  # the middle is 4, 6
    x, y = places(weight)[0]
    assert torch.allclose(x[:, 0], (torch.arange(20) - 4) / 10)
    assert torch.allclose(y[0], (torch.arange(10) - 6) / 5)
    x, y = places(weight)[1]  # no body: the middle of the patch
    assert float(x[:, 0].mean()) == pytest.approx(0, abs=1e-6)
    assert float(x.max()) == pytest.approx(0.95)
    assert float(y.mean()) == pytest.approx(0, abs=1e-6)
    moved = places(weight.roll((3, 1), dims=(2, 3)))[0]
    assert torch.allclose(moved[:, 3:, 1:], places(weight)[0, :, :-3, :-1])


def test_discriminators_that_are_told_places_know_left_from_right() -> None:
    translator = create(tiny(cycle__told_places=True))
    assert isinstance(translator, CycleGAN)
    networks = translator._built(0).eval()
    flat = torch.zeros(1, 1, 32, 32)
    sides = Sides(
        source=flat, target=flat, source_weight=flat + 1, target_weight=flat + 1
    )  # images that are the same everywhere
    opinion = translator._opinion(networks, sides, real=True)
    assert torch.isfinite(opinion)
    logits = networks["target_critic"](torch.cat([flat, places(flat + 1)], dim=1))
    assert not torch.allclose(logits, logits.flip(2), atol=1e-4)


def test_edges_are_asked_where_the_original_has_them() -> None:
    step = torch.zeros(1, 1, 32, 32)
    step[:, :, 16:] = 1
    flat, one = torch.zeros_like(step), torch.ones_like(step)

    def cost(fake_target: torch.Tensor) -> float:
        real = Sides(source=step, target=flat, source_weight=one, target_weight=one)
        fake = Sides(source=flat, target=fake_target, source_weight=one, target_weight=one)
        return float(from_edges(fake, real))

    assert cost(-0.5 * step) == pytest.approx(cost(0.5 * step), rel=1e-5)
    assert cost(0.5 * step) < 0.1 < 0.9 < cost(flat)
    with pytest.raises(Problems, match="edges_weight"):
        create(
            tiny(
                cycle__edges_weight=1.0,
                network__dimensions="3D",
                training__patch=[16, 16, 8],
                inference__patch=[16, 16, 8],
            )
        )


def test_the_pool_shows_old_fakes_and_survives_a_checkpoint() -> None:
    pool = ImagePool(3)
    torch.manual_seed(0)
    first = torch.arange(3.0).reshape(3, 1, 1, 1)
    assert torch.equal(pool.swapped(first), first), "while it fills, images pass through"
    copy = ImagePool(3)
    copy.load_state_dict(pool.state_dict())
    shown = []
    for some in (pool, copy):
        torch.manual_seed(1)
        shown.append(torch.cat([some.swapped(torch.full((4, 1, 1, 1), 9.0)) for _ in range(5)]))
    assert torch.equal(*shown)
    old = set(shown[0].flatten().tolist())
    assert {0.0, 1.0, 2.0} <= old and 9.0 in old, "old ones come out, each once"
    off = ImagePool(0)
    assert torch.equal(off.swapped(first), first) and not off.images


# ------------------------------------------------------------------ the other direction


def test_the_inverse_answers_in_the_sources_scale_and_knows_its_specification(
    trained: tuple[CycleGAN, FitSummary], tmp_path: Path
) -> None:
    translator, _ = trained
    other = translator.inverse()
    assert other is not None
    assert (other.spec.name, other.spec.direction) == ("cyclegan-demo-inverse", "CT->MR")
    assert (other.spec.target.quantity, other.spec.target.scale) == ("arbitrary", "percentile")
    _, ct, _ = pair(4)
    other.save(tmp_path)
    again = load(tmp_path)
    found = other.predict(ct).mean
    np.testing.assert_array_equal(found.array, again.predict(ct).mean.array)
    assert found.quantity == "arbitrary"
    assert found.array.min() >= 0 and found.array.max() <= 1000
    lists = json.loads((tmp_path / UNPAIRED_FILE).read_text())
    assert lists["source_patients"] == translator.dealt["target_patients"]
    back = other.inverse()
    assert back is not None and same_weights(back, translator)
    with pytest.raises(InputError, match="takes CT in HU"):
        other.predict(pair(4)[0])


def test_the_inverse_generator_is_the_one_that_was_trained(
    trained: tuple[CycleGAN, FitSummary],
) -> None:
    """What the training fed the way back is what the inverse feeds it at prediction."""
    translator, _ = trained
    other = translator.inverse()
    assert other is not None
    _, ct, _ = pair(4)
    unit = to_unit(ct.array, translator.spec.target)
    seen = translator._target_scale.seen(torch.from_numpy(unit))
    np.testing.assert_allclose(prepare(ct, other.spec).image, seen.numpy(), atol=1e-5)
    mine = translator._members[0]["to_source"].eval()
    theirs = other._members[0]["to_target"].eval()
    image = seen[None, None, :, :, 6]
    with torch.no_grad():
        assert torch.equal(mine(image), theirs(image))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "direction": "CBCT->CT",
            "source": {
                "modality": "CBCT",
                "quantity": "HU",
                "normalisation": "window",
                "low": -503,
                "high": 503,
                "clip": [-1024 / 503, 3000 / 503],
            },
        },
    ],
    ids=["MR", "CBCT"],
)
def test_inverting_twice_gives_the_specification_again(changes: dict) -> None:
    spec = tiny(**changes)
    once, twice = inverted(spec), inverted(inverted(spec))
    assert once.direction == "->".join(reversed(spec.direction.split("->")))
    assert twice.name == spec.name
    for name in ("low", "high", "scale", "percentiles", "centre", "quantity"):
        assert getattr(twice.target, name) == pytest.approx(getattr(spec.target, name)), name
    for name in ("low", "high", "normalisation", "clip", "quantity"):
        assert getattr(twice.source, name) == pytest.approx(getattr(spec.source, name)), name


def test_what_cannot_be_inverted_is_refused() -> None:
    cbct = {
        "modality": "CBCT",
        "quantity": "HU",
        "normalisation": "window",
        "low": -500,
        "high": 500,
        "clip": [-2, 5],
    }
    with pytest.raises(Problems, match=r"they must be \(-437.5, 437.5, -2.286, 5.714\)"):
        create(tiny(source=cbct, direction="CBCT->CT"))
    source = {"normalisation": "zscore"}
    with pytest.raises(InputError, match="normalisation zscore cannot be the target"):
        create(tiny(source=source))
    pet = TargetSpec(
        modality="PT", quantity="SUVbw", low=0, high=20, transform="sqrt", outside=0, centre=1
    )
    with pytest.raises(InputError, match="transform sqrt cannot be the source"):
        create(tiny(target=pet.model_dump(mode="json"), direction="MR->PT"))


# ------------------------------------------------------------------ what every family keeps


def test_it_is_saved_and_loaded_to_the_bit(
    trained: tuple[CycleGAN, FitSummary], tmp_path: Path
) -> None:
    translator, summary = trained
    assert {"train_loss", "discriminators_loss", "learning_rate"} <= set(summary.curves)
    translator.save(tmp_path)
    source: Volume = pair(6)[0]
    first, second = translator.predict(source), load(tmp_path).predict(source)
    np.testing.assert_array_equal(first.mean.array, second.mean.array)
    assert first.mean.quantity == "HU" and np.isfinite(first.mean.array).all()


@pytest.mark.parametrize("killed_at", [3, 6])
def test_a_killed_training_carries_on_to_the_bit_with_its_pool(
    killed_at: int, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    spec = tiny(training__checkpoint_minutes=0, cycle__warm_up=0.3)
    plain, summary = fitted(spec, folder, cohort, tmp_path / "plain", iterations=10)

    def kill(done: int, total: int, figures: dict[str, float]) -> None:
        torch.rand(3)
        if done == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(spec, folder, cohort, tmp_path / "cut", iterations=10, progress=kill)
    resumed, after = fitted(spec, folder, cohort, tmp_path / "cut", iterations=10, resume=True)
    assert same_weights(plain, resumed) and after.curves == summary.curves


@pytest.mark.parametrize(
    "changes",
    [
        {"training__amp": "bf16", "training__amp_on_cpu": True},
        {
            "network__dimensions": "3D",
            "network__keep_z": 1,
            "training__patch": [16, 16, 8],
            "inference__patch": [32, 32, 8],
            "cycle__edges_weight": 0.0,
        },
        {"uncertainty": {"method": "ensemble", "members": 2}, "cycle__warm_up": 0.0},
    ],
    ids=["bf16", "3D", "ensemble"],
)
def test_every_kind_takes_a_step_and_translates(
    changes: dict, folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    translator, _ = fitted(tiny(**changes), folder, cohort, tmp_path, iterations=3)
    found = translator.predict(pair(6)[0])
    assert np.isfinite(found.mean.array).all()
    other = translator.inverse()
    assert other is not None and np.isfinite(other.predict(pair(6)[1]).mean.array).all()


def test_the_full_size_specification_takes_a_step_when_reduced(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    full = load_spec("cyclegan")
    assert full.cycle is not None and full.adversarial is not None
    assert (full.cycle.cycle_weight, full.cycle.identity_weight, full.cycle.pool) == (10, 5, 50)
    assert full.adversarial.loss == "lsgan"
    data = full.model_dump(mode="json")
    data["working_spacing_mm"] = None
    data["network"]["channels"] = [8] * len(data["network"]["channels"])
    data["adversarial"]["channels"] = [8] * len(data["adversarial"]["channels"])
    data["training"] |= {"patch": [64, 64], "batch": 1}
    data["inference"] |= {"patch": [64, 64]}
    translator, _ = fitted(
        parse_spec(data, subject="reduced"), folder, cohort, tmp_path, iterations=1
    )
    assert np.isfinite(translator.predict(pair(6)[0]).mean.array).all()


def test_bad_input_is_said_in_a_sentence(folder: Path, cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(Problems, match="family cyclegan needs 'cycle'"):
        create(tiny(cycle=None))
    with pytest.raises(Problems, match="family cyclegan takes no 'diffusion'"):
        create(tiny(diffusion={}))
    with pytest.raises(Problems) as caught:
        create(tiny(network__dimensions="2.5D", network__slices=3, training__in_bone=0.1))
    assert "must be 2D or 3D" in str(caught.value)
    assert "in_bone must be 0, got 0.1" in str(caught.value)
    lonely = cohort.model_copy(update={"cases": cohort.cases[3:]})
    with pytest.raises(Problems, match="1 patient and training needs two"):
        fitted(tiny(), folder, lonely, tmp_path)
    unpaired = tuple(c.model_copy(update={"reference": None}) for c in cohort.cases)
    with pytest.raises(InputError, match="4 patients as sources and 0 as targets"):
        fitted(tiny(), folder, cohort.model_copy(update={"cases": unpaired}), tmp_path)
    fitted(tiny(), folder, cohort, tmp_path, iterations=1)
    with pytest.raises(InputError, match="another specification"):
        fitted(tiny(cycle__pool=7), folder, cohort, tmp_path, iterations=1, resume=True)


def test_targets_that_are_not_finite_are_named(tmp_path: Path) -> None:
    cohort = make_tiny_cohort(tmp_path, "tt")
    spoilt = []
    for case in cohort.cases:  # whichever of the two is the target
        volume = read_image(tmp_path / str(case.reference), "HU")
        array = volume.array.copy()
        array[0, 0, 0] = np.nan
        write_image(volume.with_array(array), tmp_path / f"nan-{case.case}.mha")
        spoilt.append(case.model_copy(update={"reference": f"nan-{case.case}.mha"}))
    with pytest.raises(Problems, match="its reference image has 1 voxels that are NaN"):
        fitted(tiny(), tmp_path, cohort.model_copy(update={"cases": tuple(spoilt)}), tmp_path / "w")
