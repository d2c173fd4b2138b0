"""CycleGAN: two lists, two directions, a pool of fakes; and all that every family must keep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.volume import Volume
from qa_suite.io.images import read_image, write_image
from qa_suite.learning.summary import FitSummary
from tests.cyclegan_cases import tiny
from tests.tiny_cohort import make_tiny_cohort, pair
from tests.tiny_specs import fitted, same_weights
from translators.base import create, load
from translators.data import prepare, to_unit
from translators.families.cyclegan import UNPAIRED_FILE, CycleGAN
from translators.spec import TargetSpec, load_spec, parse_spec
from translators.spec.inverse import inverted


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
