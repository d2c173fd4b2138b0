"""Downstream utility: dealing, resuming, differences by hand, and a tiny real run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qa_suite.cli import run
from qa_suite.core.cohort import Case, Cohort, load_cohort, save_cohort
from qa_suite.core.errors import InputError, LeakageError
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import InstrumentFacts, ModelFacts
from qa_suite.core.volume import Volume
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination
from qa_suite.instruments.settings import SegmenterSettings
from qa_suite.io.images import write_image
from qa_suite.judging.statistics import mean_interval
from qa_suite.lab.utility import RESULT_FILE, UtilityExperiment, UtilitySettings, measure_utility
from qa_suite.lab.utility.material import UtilityCase, deal
from qa_suite.lab.utility.result import ARMS, OVERALL, FitScores, UtilityResult
from qa_suite.lab.utility.summary import clustered_interval, summarise
from qa_suite.preflight import PreflightSettings
from tests.tiny_cohort import pair, tissue_labels

MODEL = ModelFacts(uri="test:shadow", name="shadow", family="test")
TINY = SegmenterSettings(
    working_spacing_mm=(8.0, 8.0, 8.0), channels=(4, 8, 8), iterations=2, batch=2, slices=1
)


def make_cohort(folder: Path, patients: int = 8, bare: tuple[int, ...] = ()) -> None:
    """Tiny patients with two structures; those in ``bare`` are not delineated."""
    cases = []
    for number in range(1, patients + 1):
        labels = tissue_labels(number)
        volumes = dict(zip(("source", "reference", "mask"), pair(number), strict=True))
        masks = {"Bone": labels == 3, "Fat": labels == 1} if number not in bare else {}
        files = {}
        for role, volume in volumes.items():
            files[role] = f"volumes/{number}_{role}.nii.gz"
            write_image(volume, folder / files[role])
        structures = {}
        for name, mask in masks.items():
            structures[name] = f"volumes/{number}_{name}.nii.gz"
            label = Volume(array=mask.astype(np.int32), grid=volumes["mask"].grid, quantity="label")
            write_image(label, folder / structures[name])
        cases.append(
            Case(
                case=f"case{number}",
                patient=f"patient{number}",
                site="AB"[number % 2],
                split="test",
                structures=structures,
                **files,
            )
        )
    save_cohort(
        Cohort(name="tiny", source_modality="MR", anatomy="pelvis", cases=tuple(cases)), folder
    )


class Threshold:
    """A segmenter that remembers how bright bone was in what it was trained on."""

    def __init__(self, level: float, calls: list) -> None:
        self.level, self.calls = level, calls
        self.facts = InstrumentFacts(
            kind="segmenter", name="threshold", uri="test:threshold", weights_sha256=f"{level:.0f}"
        )

    def segment(self, volume, domain):
        bone = (volume.array > self.level) & domain
        return {"Bone": bone, "Fat": (volume.array < 0) & (volume.array > -200) & domain}


def learn(calls: list):
    def fit(training, validation, settings, *, seed, structures, name):
        calls.append((seed, name, sorted({t.patient for t in training}), len(training)))
        bone = np.concatenate([t.volume.array[t.structures["Bone"]] for t in training])
        return Threshold(float(bone.min()) - 50, calls)

    return fit


def too_bright(loaded) -> Prediction:
    """The reference with bone 600 HU too bright: a threshold learnt on it misses real bone."""
    array = loaded.reference.array
    return Prediction(mean=loaded.reference.with_array(array + 600 * (array > 400)))


def experiment_of(folder: Path, calls: list, translate=too_bright, **more) -> UtilityExperiment:
    settings = {"folds": 2, "seeds": 2, "segmenter": TINY} | more.pop("settings", {})
    return UtilityExperiment(
        examination=Examination(
            cohort=load_cohort(folder),
            folder=folder,
            model=more.pop("model", MODEL),
            translate=translate,
            settings=EvaluationSettings(
                preflight=PreflightSettings(estimate_alignment=False), **more
            ),
        ),
        settings=UtilitySettings(**settings),
        fit=learn(calls),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("cohort")
    make_cohort(where)
    return where


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory) -> tuple[UtilityResult, list]:
    """The experiment, run once, and what was trained for it."""
    calls: list = []
    return measure_utility(experiment_of(folder, calls), tmp_path_factory.mktemp("whole")), calls


def test_a_translator_with_wrong_bone_is_of_no_use_for_bone(whole):
    result, _ = whole
    found = {s.structure: s for s in result.structures}
    assert list(found) == [OVERALL, "Bone", "Fat"]
    bone = found["Bone"]
    assert bone.dice["real"] > 0.95 and bone.dice["synthetic"] == 0
    assert bone.dice["both"] == pytest.approx(bone.dice["real"], abs=0.02)
    synthetic, both = bone.differences
    assert (synthetic.arm, synthetic.patients) == ("synthetic", 8)
    assert synthetic.low <= synthetic.estimate <= synthetic.high < -0.9
    assert both.low <= 0 <= both.high or abs(both.estimate) < 0.02
    assert found["Fat"].differences[0].estimate == 0
    assert found[OVERALL].dice["synthetic"] == pytest.approx(found["Fat"].dice["real"] / 2)
    assert result.patients == 8 and result.seeds == (0, 1)
    assert any("repetition" in notice for notice in result.notices)


def test_no_patient_is_tested_by_what_saw_him(whole):
    result, calls = whole
    assert len(calls) == 2 * 2 * 3
    for (seed, name, trained, images), scores in zip(calls, result.scores, strict=True):
        tested = {case.replace("case", "patient") for case in scores.dice}
        assert not tested & set(trained) and len(tested | set(trained)) == 8
        assert (seed, name) == (scores.seed, f"utility-{scores.arm}")
        assert images == (2 if scores.arm == "both" else 1) * len(trained)
    by_arm = {arm: [c[2] for c in calls if c[1] == f"utility-{arm}"] for arm in ARMS}
    assert by_arm["real"] == by_arm["synthetic"] == by_arm["both"]


def test_killed_it_carries_on_and_ends_alike(folder, whole, tmp_path):
    calls: list = []
    experiment = experiment_of(folder, calls)

    def stop(done, total, what):
        if "fold" in what and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_utility(experiment, tmp_path / "cut", progress=stop)
    assert len(calls) == 5
    again = measure_utility(experiment, tmp_path / "cut")
    assert len(calls) == 12
    assert again.structures == whole[0].structures
    untouched = measure_utility(experiment, tmp_path / "cut")
    assert len(calls) == 12 and untouched == again
    other = experiment_of(folder, [], settings={"folds": 3})
    with pytest.raises(InputError, match="another utility experiment"):
        measure_utility(other, tmp_path / "cut")


def test_cases_that_cannot_take_part_are_named(tmp_path):
    make_cohort(tmp_path / "cohort", 9, bare=(4,))

    def translate(loaded) -> Prediction:
        if loaded.case.case == "case2":
            raise RuntimeError("no such luck")
        array = loaded.reference.array.copy()
        if loaded.case.case == "case3":
            array[20, 16, 5] = np.nan
        return Prediction(mean=loaded.reference.with_array(array))

    result = measure_utility(experiment_of(tmp_path / "cohort", [], translate), tmp_path / "out")
    assert set(result.left_out) == {"case2", "case3", "case4"}
    assert result.left_out["case2"] == "RuntimeError: no such luck"
    assert "finite" in result.left_out["case3"]
    assert "no delineated structure" in result.left_out["case4"]
    assert result.patients == 6 and any("3 of 9 cases" in n for n in result.notices)


def test_too_few_patients_and_leakage_are_refused(tmp_path):
    make_cohort(tmp_path / "few", 4)
    with pytest.raises(InputError, match="4 patients of the set 'test' can take part and 6"):
        measure_utility(experiment_of(tmp_path / "few", []), tmp_path / "out")
    make_cohort(tmp_path / "seen", 8)
    seen = MODEL.model_copy(update={"training_patients": ("patient3",)})
    with pytest.raises(LeakageError, match="case3"):
        measure_utility(experiment_of(tmp_path / "seen", [], model=seen), tmp_path / "out2")
    allowed = experiment_of(tmp_path / "seen", [], model=seen, allow_leakage=True)
    result = measure_utility(allowed, tmp_path / "out3")
    assert any("was trained on 1 of the examined cases" in notice for notice in result.notices)


def test_a_structure_that_a_training_set_lacks_is_left_out(tmp_path):
    make_cohort(tmp_path / "cohort", 8)
    manifest = load_cohort(tmp_path / "cohort")
    cases = [
        c
        if c.case in ("case1", "case2", "case3")
        else c.model_copy(update={"structures": {"Bone": c.structures["Bone"]}})
        for c in manifest.cases
    ]
    save_cohort(manifest.model_copy(update={"cases": tuple(cases)}), tmp_path / "cohort")
    result = measure_utility(experiment_of(tmp_path / "cohort", []), tmp_path / "out")
    assert [s.structure for s in result.structures] == [OVERALL, "Bone"]
    assert "Fat" in result.structures_left_out


def test_patients_are_dealt_evenly_and_site_by_site():
    def case(number: int, patient: str, site: str) -> UtilityCase:
        return UtilityCase(
            case=f"c{number:02d}", patient=patient, site=site, real=None, synthetic=None
        )

    cases = [case(n, f"p{n // 2}", "AB"[n // 2 % 2]) for n in range(28)]  # two scans a patient
    dealt = deal(cases, 3, seed=4)
    assert len(dealt) == 14
    sizes = np.bincount(list(dealt.values()))
    assert sizes.max() - sizes.min() <= 1
    for site in (0, 1):
        within = np.bincount([f for p, f in dealt.items() if int(p[1:]) % 2 == site], minlength=3)
        assert within.max() - within.min() <= 1
    assert dealt == deal(cases[::-1], 3, seed=4)
    assert dealt != deal(cases, 3, seed=5)


def test_differences_by_hand():
    """Two patients, two repetitions; one with two scans, one without the second structure."""
    dice = {
        ("real", 0): {"a1": {"X": 0.8, "Y": 0.6}, "a2": {"X": 0.6, "Y": 0.6}, "b": {"X": 0.9}},
        ("real", 1): {"a1": {"X": 0.8, "Y": 0.6}, "a2": {"X": 0.6, "Y": 0.6}, "b": {"X": 0.7}},
        ("synthetic", 0): {"a1": {"X": 0.7, "Y": 0.5}, "a2": {"X": 0.5, "Y": 0.5}, "b": {"X": 0.6}},
        ("synthetic", 1): {"a1": {"X": 0.6, "Y": 0.5}, "a2": {"X": 0.4, "Y": 0.5}, "b": {"X": 0.6}},
    }
    dice |= {("both", seed): dice["real", seed] for seed in (0, 1)}
    scores = [
        FitScores(
            seed=seed,
            fold=0,
            arm=arm,
            training_patients=4,
            weights_sha256="0",
            dice=found,
            seconds=0,
        )
        for (arm, seed), found in dice.items()
    ]
    patients = {"a1": "a", "a2": "a", "b": "b"}
    overall, x, y = summarise(scores, patients, UtilitySettings())
    assert (x.structure, x.patients, y.patients) == ("X", 2, 1)
    assert x.dice == pytest.approx({"real": 0.75, "synthetic": 0.575, "both": 0.75})
    # patient a: 0.55 against 0.7; b: 0.6 against 0.8
    difference = x.differences[0]
    assert difference.estimate == pytest.approx(-0.175)
    # patients differ by 0.05, and so do the two networks (one fold, two repetitions): 0.025² for
    # either; the single values, 0.0275 / 16 · 4 / 3, take away more than that, so 0.025² stays
    half = 12.7062 * 0.025
    assert difference.low == pytest.approx(-0.175 - half, abs=1e-4)
    assert difference.high == pytest.approx(-0.175 + half, abs=1e-4)
    assert difference.seed_range == pytest.approx((-0.2, -0.15))
    assert (y.differences[0].low, y.differences[0].high) == (None, None)
    # all structures: a has both (−0.15 and −0.1), b the first alone (−0.2)
    assert overall.differences[0].estimate == pytest.approx((-0.125 - 0.2) / 2)


def test_the_interval_holds_the_luck_of_training():
    """No difference in truth: both patients and networks scatter. 12 patients, 3 folds, 3 seeds."""
    rng = np.random.default_rng(0)
    patients = np.arange(12)
    ours, patients_only = [], []
    for _ in range(400):
        own = rng.normal(0, 0.02, 12)
        rows = []
        for seed in range(3):
            fold = rng.permutation(patients) % 3
            luck = rng.normal(0, 0.03, 3)
            value = own + luck[fold] + rng.normal(0, 0.01, 12)
            rows += [(p, seed, f, v) for p, f, v in zip(patients, fold, value, strict=True)]
        table = pd.DataFrame(rows, columns=["patient", "seed", "fold", "value"])
        values = table.set_index(["patient", "seed", "fold"])["value"]
        found = clustered_interval(values, confidence=0.95)
        ours.append(found.low <= 0 <= found.high)
        plain = mean_interval(values.groupby("patient").mean().to_numpy())
        patients_only.append(plain.low <= 0 <= plain.high)
    assert np.mean(ours) >= 0.93
    assert np.mean(patients_only) < 0.9


def test_one_training_has_no_interval():
    index = pd.MultiIndex.from_tuples(
        [(f"p{n}", 0, 0) for n in range(5)], names=["patient", "seed", "fold"]
    )
    found = clustered_interval(pd.Series(np.arange(5.0), index=index), confidence=0.95)
    assert (found.low, found.estimate, found.n) == (None, 2.0, 5)


def test_the_command_runs_a_real_segmenter(folder, tmp_path, capsys):
    images = tmp_path / "images"
    cohort = load_cohort(folder)
    for case in cohort.cases:
        number = int(case.case.removeprefix("case"))
        write_image(pair(number)[1], images / f"{case.case}.nii.gz")
    command = [
        "utility",
        str(folder),
        "--images",
        str(images),
        "--folds",
        "2",
        "--seeds",
        "1",
        "--iterations",
        "2",
        "--spacing-mm",
        "8,8,8",
        "--out",
        str(tmp_path / "out"),
    ]
    assert run([*command, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["structures"][0]["structure"] == OVERALL
    # the images are the real ones, byte by byte: so are the segmenters and their scores
    assert data["structures"][0]["differences"][0]["estimate"] == 0
    assert (tmp_path / "out" / RESULT_FILE).exists()
    assert run(command) == 0
    assert OVERALL in capsys.readouterr().out
    assert run(["utility", str(folder)]) == 2
    assert run([*command[:-1], str(tmp_path / "o2"), "--folds", "1"]) == 2
    assert run([*command[:-1], str(tmp_path / "o2"), "--spacing-mm", "8;8"]) == 2
