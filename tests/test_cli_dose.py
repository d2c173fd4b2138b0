"""Dose on the command line: the verb, the options of ``evaluate``, the lists, bad input."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from qa_suite.cli import run
from qa_suite.cli.dose_settings import DoseOptions, dose_settings
from qa_suite.cli.listing import KINDS
from qa_suite.core.cohort import Cohort, load_cohort, save_cohort
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.dose.hlut.tables import shipped_hluts
from qa_suite.dose.plan.template import load_template, shipped_templates
from qa_suite.evaluation.eligibility import cases_with_dose
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.models import finished_images
from qa_suite.io.images import read_image, write_image
from qa_suite.judging.criteria import load_profile
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.preflight import PreflightSettings
from tests.plan_factory import square_beam, write_plan
from tests.tiny_cohort import SHAPE, grid, make_tiny_cohort, pair


def prostate() -> Volume:
    place = np.stack(np.indices(SHAPE), axis=-1) - (np.array(SHAPE) - 1) / 2
    ball = np.linalg.norm(place * 8.0, axis=-1) <= 22
    return Volume(array=ball.astype(np.int32), grid=grid(), quantity="label")


def tiny_plan(path: Path, shipped: str = "photon-pelvis", **more: object) -> Path:
    """A shipped template with one beam, to be fast."""
    data = load_template(shipped).model_dump(mode="json")
    path.write_text(yaml.safe_dump(data | {"beams": [{"gantry_deg": 90}]} | more))
    return path


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A CT, its twin 30 HU higher, a target, plans, and much that cannot be used."""
    folder = tmp_path_factory.mktemp("dose")
    _, ct, mask = pair(1)
    write_image(ct, folder / "ct.nii.gz")
    write_image(ct.with_array(ct.array + 30 * (mask.array > 0)), folder / "made.nii.gz")
    write_image(prostate(), folder / "prostate.nii.gz")
    tiny_plan(folder / "photons.yaml", name="photons")
    tiny_plan(folder / "protons.yaml", "proton-pelvis", name="protons")
    tiny_plan(folder / "other.yaml", name="other", targets=[{"structures": ["PTV_1"]}])
    tiny_plan(folder / "mixed.yaml", name="mixed", engine="protons-range")
    tiny_plan(folder / "unknown.yaml", name="unknown", engine="photons-pydosrt")
    tiny_plan(folder / "machine.yaml", name="machine", machine="varian_10mv")
    table = {
        "name": "x",
        "quantity": "relative_electron_density",
        "source": "x",
        "points": [[-1000, 0], [0, 1], [100, 0.9]],
    }
    (folder / "falls.yaml").write_text(yaml.safe_dump(table))
    write_image(ct.with_array(np.full(SHAPE, 40.0, np.float32)), folder / "gy.nii.gz")
    write_image(ct.with_array(np.full(SHAPE, -1000.0, np.float32)), folder / "air.nii.gz")
    holes = ct.array.copy()
    holes[5, 5, 5] = np.nan
    write_image(ct.with_array(holes), folder / "holes.nii.gz")
    shorter = replace(grid(), shape=(SHAPE[0] - 1, *SHAPE[1:]))
    write_image(Volume(array=ct.array[:-1], grid=shorter, quantity="HU"), folder / "small.nii.gz")
    return folder


@pytest.fixture
def files(material, monkeypatch) -> Path:
    """The working folder, with all of that."""
    monkeypatch.chdir(material)
    return material


ONE = ("dose", "ct.nii.gz", "--structure", "Prostate=prostate.nii.gz", "--dose-grid-mm", "10")


def arguments(*more: str, plan: str = "photons.yaml", hlut: str = "thomas-1999") -> list[str]:
    return [*ONE, "--plan", plan, "--hlut", hlut, *more]


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in error)
    assert error[-1].startswith("qa-suite: ")
    return error[-1].removeprefix("qa-suite: ")


# --- the verb ----------------------------------------------------------------------------------


def test_two_plans_on_two_images(files, capsys):
    more = ("--plan", "protons.yaml", "--hlut", "matrad-default-rsp", "--hlut", "schneider-2000")
    assert run(arguments("--synthetic", "made.nii.gz", "--json", "--out", "doses", *more)) == 0
    rows = json.loads(capsys.readouterr().out)
    found = {(r["metric"], r["region"], r["variant"]): r["value"] for r in rows}
    assert found[("dmean_difference_pct", "target", "photons")] < -0.3
    assert found[("wepl_difference_mean", "beam:G090", "protons")] > 2
    assert found[("hlut_dmean", "target", "photons:schneider-2000")] is not None
    assert {r["family"] for r in rows} == {"dose"}
    names = {path.name for path in (files / "doses").iterdir()}
    assert names == {
        f"{role}-{plan}.nii.gz"
        for plan in ("photons", "protons")
        for role in ("dose_reference", "dose_synthetic", "gamma", "target")
    } | {"range_error-G090-protons.nii.gz"}
    dose = read_image(files / "doses" / "dose_reference-photons.nii.gz", "Gy")
    assert dose.grid.spacing_mm == (10.0, 10.0, 10.0)
    assert 78 < dose.array.max() < 200  # one beam


def test_a_plan_on_one_image_has_no_difference(files, capsys):
    assert run(arguments("--json")) == 0
    rows = json.loads(capsys.readouterr().out)
    rates = [r["value"] for r in rows if r["metric"] == "gamma_pass_rate" and r["region"] == "body"]
    assert rates == [100, 100, 100]
    assert run(arguments("--all")) == 0  # as a table
    assert "gamma_pass_rate" in capsys.readouterr().out


def test_the_summary_leads_with_target_and_organs(files, capsys):
    assert run(arguments("--synthetic", "made.nii.gz")) == 0
    out = capsys.readouterr().out
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0].startswith("photons: 78 Gy prescribed to the target (template photons)")
    assert "difference (Gy)" in lines[2]
    first = next(line for line in lines if line.startswith("│"))
    assert first.startswith("│ target")
    assert [line for line in lines if line.startswith("│ Prostate")]
    assert any(line.startswith("γ 2 %/2 mm, global: body ") for line in lines)
    assert any(line.startswith("Goals on the synthetic image: 0 lost") for line in lines)
    assert "gamma_pass_rate" not in out
    assert run(arguments()) == 0  # one image: nothing to compare
    out = capsys.readouterr().out
    assert "synthetic" not in out
    assert "γ" not in out


def test_a_stated_prescription_is_planned_and_recorded(files, capsys):
    more = ("--prescription-gy", "60", "--fractions", "20", "--json")
    assert run(arguments(*more)) == 0
    rows = {(r["metric"], r["region"]): r for r in json.loads(capsys.readouterr().out)}
    asked = rows["prescribed_dose", "target"]
    assert (asked["value"], asked["why"]) == (60, "as stated")
    assert rows["d95_reference", "target"]["value"] == pytest.approx(57, rel=0.02)  # 95 % of 60


def test_what_the_source_did_not_see_is_told(files, capsys):
    source = np.where(np.indices(SHAPE)[0] > 28, 0.0, 500.0).astype(np.float32)
    write_image(Volume(array=source, grid=grid(), quantity="arbitrary"), files / "mr.nii.gz")
    assert run(arguments("--synthetic", "made.nii.gz", "--source", "mr.nii.gz", "--json")) == 0
    rows = json.loads(capsys.readouterr().out)
    (unseen,) = [r["value"] for r in rows if r["metric"] == "path_unseen"]
    assert unseen > 20


BAD = {
    "no table for the plan": (
        arguments(plan="protons.yaml"),
        "The plan protons needs an HLUT that gives relative_stopping_power: --hlut with one of "
        "electron-density-as-rsp, matrad-default-rsp, stoichiometric-schneider, or your own file.",
    ),
    "a table for no plan": (
        arguments("--hlut", "matrad-default-rsp"),
        "No plan takes the HLUT matrad-default-rsp.",
    ),
    "unknown plan": (arguments(plan="photon-pelvic"), "did you mean photon-pelvis"),
    "unknown table": (arguments(hlut="thomas-2000"), "did you mean thomas-1999"),
    "no such plan file": (arguments(plan="none.yaml"), "There is no plan template at none.yaml"),
    "no such table file": (arguments(hlut="none.yaml"), "There is no HLUT at none.yaml"),
    "plan twice": (arguments("--plan", "photons.yaml"), "--plan names photons.yaml twice"),
    "table twice": (arguments("--hlut", "thomas-1999"), "--hlut names thomas-1999 twice"),
    "structure twice": (
        arguments("--structure", "Prostate=prostate.nii.gz"),
        "--structure names Prostate twice",
    ),
    "no target": ([*arguments(), "--plan", "other.yaml"], "it looks for PTV_1 and it has Prostate"),
    "no structure file": (arguments("--structure", "GTV=none.nii.gz"), "no image at none.nii.gz"),
    "structure without a name": (
        arguments("--structure", "prostate.nii.gz"),
        "--structure reads NAME=FILE",
    ),
    "other grid": (arguments("--synthetic", "small.nii.gz"), "does not lie on the grid"),
    "a dose for the CT": (
        ["dose", "gy.nii.gz", *arguments()[2:]],
        "The reference shows no air around the body; is it a CT in HU?",
    ),
    "a dose for the synthetic": (
        arguments("--synthetic", "gy.nii.gz"),
        "The synthetic image shows no air around the body; is it a CT in HU?",
    ),
    "air for the CT": (
        arguments("--synthetic", "air.nii.gz"),
        "The synthetic image shows no body above -400 HU",
    ),
    "holes": (arguments("--synthetic", "holes.nii.gz"), "holds 1 voxels that are no number"),
    "a plan of the other beam": (
        arguments(plan="mixed.yaml"),
        "The engine protons-range computes protons; the plan mixed",
    ),
    "an unknown engine": (arguments(plan="unknown.yaml"), "did you mean photons-pydosert"),
    "an unknown machine": (arguments(plan="machine.yaml"), "did you mean varian_10MV"),
    "a table that falls": (
        arguments(hlut="falls.yaml"),
        "it is not monotone: 1 at 0 HU falls to 0.9 at 100 HU",
    ),
    "a coarse grid": (arguments("--dose-grid-mm", "25"), "grid_mm"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_sentence(files, capsys, what):
    given, sentence = BAD[what]
    assert run(given) == 2
    assert sentence in one_sentence(capsys)


# --- where it is computed ----------------------------------------------------------------------


@pytest.fixture
def two_cards(monkeypatch) -> list[str]:
    """A machine with two GPUs, as far as anybody asks; says where photons are computed."""
    import torch

    from qa_suite.dose.photons import engine

    asked: list[str] = []

    class Elsewhere(engine.PhotonEngine):
        def __init__(self, machine: str, *, device: str = "cpu") -> None:
            asked.append(device)
            super().__init__(machine)

    monkeypatch.setattr(engine, "PhotonEngine", Elsewhere)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card of {device}")
    return asked


@pytest.fixture
def no_card(monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("device", "told"),
    [("auto", "cuda (card of cuda)"), ("cuda:1", "cuda:1 (card of cuda:1)"), ("cpu", "cpu")],
)
def test_the_device_reaches_the_photon_engine(files, capsys, two_cards, device, told):
    assert run(arguments("--json", "--device", device)) == 0
    printed = capsys.readouterr()
    assert two_cards == [told.split(" ")[0]]
    assert f"Computed on: {told}\n" in printed.err
    assert "card" not in printed.out


def test_without_a_gpu_it_is_the_cpu(files, capsys, no_card):
    assert run(arguments("--json", "--device", "auto")) == 0
    assert "Computed on: cpu\n" in capsys.readouterr().err


PROTONS = {"plan": "protons.yaml", "hlut": "matrad-default-rsp"}
NO_DEVICE = {
    "absent": ({}, "cuda", "There is no CUDA device here; take --device cpu."),
    "unknown": ({}, "gpu", "Unknown device 'gpu'; take auto, cpu or cuda."),
    "no number": ({}, "cuda:x", "Unknown device 'cuda:x'"),
    "third of two": ({}, "cuda:2", "There is no device cuda:2 here; there are cpu, cuda:0, cuda:1"),
    "no use": (
        PROTONS,
        "cuda",
        "--device cuda has no use: protons can be computed on the CPU only",
    ),
}


@pytest.mark.parametrize("what", NO_DEVICE)
def test_a_device_that_cannot_compute_is_one_sentence(files, capsys, request, what):
    given, device, sentence = NO_DEVICE[what]
    request.getfixturevalue("no_card" if what == "absent" else "two_cards")
    assert run(arguments("--device", device, **given)) == 2
    assert sentence in one_sentence(capsys)


def test_protons_never_ask_for_a_gpu(files, two_cards):
    settings = dose_settings(
        DoseOptions(plans=["protons.yaml"], hluts=["matrad-default-rsp"], device="auto")
    )
    assert settings.device == "cpu"
    both = dose_settings(
        DoseOptions(
            plans=["protons.yaml", "photons.yaml"],
            hluts=["matrad-default-rsp", "thomas-1999"],
            device="auto",
        )
    )
    assert both.device == "cuda"


def test_no_plan_and_no_table_is_bad_usage(files):
    assert run([*ONE, "--hlut", "thomas-1999"]) == 2
    assert run([*ONE, "--plan", "photons.yaml"]) == 2


# --- evaluate ----------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The working folder; nothing is tracked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path


NOISE_HU = {1: 20.0, 3: 65.0, 4: 68.0}  # by case; case 2 is 40 HU off on one side


def make_cohort(folder: Path, splits: str) -> Cohort:
    """Test cases of one kind, and a vendor's images of them."""
    made = make_tiny_cohort(folder / "tiny", splits)
    write_image(prostate(), folder / "tiny" / "volumes" / "prostate.nii.gz")
    cases = tuple(
        case.model_copy(update={"structures": {"Prostate": "volumes/prostate.nii.gz"}})
        for case in made.cases
    )
    save_cohort(made.model_copy(update={"cases": cases}), folder / "tiny")
    rng = np.random.default_rng(5)
    for number, case in enumerate(cases, 1):
        reference = read_image(folder / "tiny" / case.reference, "HU")
        error = rng.normal(0, NOISE_HU[number], SHAPE) if number in NOISE_HU else 40.0
        array = (reference.array + error * (reference.array > -400)).astype(np.float32)
        write_image(reference.with_array(array), folder / "box" / f"{case.case}.nii.gz")
    tiny_plan(folder / "photons.yaml", name="photons")
    return load_cohort(folder / "tiny")


EVALUATE = (
    "evaluate",
    "tiny",
    "--images",
    "box",
    "--name",
    "vendor",
    "--no-track",
    "--out",
    "out",
    "--plan",
    "photons.yaml",
    "--hlut",
    "thomas-1999",
    "--dose-grid-mm",
    "10",
    "--workers",
    "1",
)


def test_evaluate_computes_dose_and_keeps_the_volumes_of_the_lowest_gamma(here):
    cohort = make_cohort(here, "ssss")
    assert run(list(EVALUATE)) == 0
    out = here / "out"
    rows = pd.read_parquet(out / "measurements.parquet")
    mine = rows[rows.family == "dose"]
    assert set(mine.case) == {case.case for case in cohort.cases}
    assert not (mine.status == "error").any()
    gamma = mine[(mine.metric == "gamma_pass_rate") & (mine.region == "body")]
    for site, of_site in gamma.groupby("site"):
        lowest = of_site.sort_values("value").iloc[0].case
        record = _record(out, lowest)
        assert {
            "dose_reference@photons",
            "dose_synthetic@photons",
            "gamma@photons",
            "target@photons",
            "synthetic",
            "reference",
        } <= set(record), site
        for name in record.values():
            assert (out / "volumes" / name).is_file()
    by_error = (
        rows[(rows.metric == "mae") & (rows.region == "body") & (rows.variant == "default")]
        .sort_values("value")
        .case.tolist()
    )
    assert by_error == [f"case{n}" for n in (1, 2, 3, 4)]
    # neither best, median nor worst, nor the worst of its site: kept for its dose alone
    assert gamma.sort_values("value").iloc[0].case == "case2"
    evaluation = json.loads((out / "evaluation.json").read_text())
    dose = evaluation["settings"]["measures"]["dose"]
    assert dose["plans"][0]["hlut"]["points"] and dose["grid_mm"] == 10
    assert set(mine.variant) <= set(evaluation["variants"])


def _record(out: Path, case: str) -> dict[str, str]:
    cases = pd.read_parquet(out / "cases.parquet").set_index("case")
    volumes = cases.loc[case, "volumes"]
    return json.loads(volumes) if isinstance(volumes, str) else dict(volumes)


def test_one_case_of_each_site(here):
    cohort = make_cohort(here, "sss")
    evaluate(quick_examination(here, cohort, ("segmentation", "dose")), here / "out")
    rows = pd.read_parquet(here / "out" / "measurements.parquet")
    mine = rows[rows.family == "dose"]
    first = {case.site: case.case for case in reversed(cohort.cases)}
    assert set(mine.case) == set(first.values()) and len(first) == 2
    assert set(rows.case) == {case.case for case in cohort.cases}


def test_the_choice_of_cases_reaches_the_evaluation(here, monkeypatch):
    make_cohort(here, "s")
    asked: list[Examination] = []

    def stop(examination: Examination, *_: object, **__: object) -> None:
        asked.append(examination)
        raise InputError("far enough")

    monkeypatch.setattr("qa_suite.evaluation.evaluate.evaluate", stop)
    assert run([*EVALUATE, "--dose-cases", "one_per_site"]) == 2
    assert run([*EVALUATE]) == 2
    assert [one.settings.dose_cases for one in asked] == ["one_per_site", "all"]


def quick_examination(
    here: Path, cohort: Cohort, families: tuple[str, ...] = ("dose",)
) -> Examination:
    """Dose of one plan, and of other families those asked for, for one case of each site."""
    facts, translate = finished_images(here / "box", "vendor")
    one = DoseOptions(plans=["photons.yaml"], hluts=["thomas-1999"], grid_mm=10, device="cpu")
    dose = dose_settings(one)
    quick = dose.model_copy(update={"causes": False, "bulk": False, "gamma": dose.gamma[:1]})
    settings = EvaluationSettings(
        families=families,
        keep_volumes="none",
        dose_cases="one_per_site",
        preflight=PreflightSettings(estimate_alignment=False),
        measures=MeasureSettings(dose=quick),
    )
    return Examination(
        cohort=cohort, folder=here / "tiny", model=facts, translate=translate, settings=settings
    )


def test_a_refused_case_is_not_the_one_of_its_site(here):
    """Site B: case 1 lost its intercept, so case 3 is the first that may be measured."""
    cohort = make_cohort(here, "sss")
    path = here / "tiny" / cohort.cases[0].reference
    image = read_image(path, "HU")
    write_image(image.with_array(image.array + 1024), path)
    examination, out = quick_examination(here, cohort), here / "out"
    record = evaluate(examination, out)
    assert record.case_counts["refused"] == 1 and record.case_counts["evaluated"] == 2
    assert set(pd.read_parquet(out / "measurements.parquet").case) == {"case2", "case3"}
    # killed after case 1, and carried on: the same cases, the same bytes
    before = (out / "measurements.parquet").read_bytes()
    (out / "evaluation.json").unlink()
    for case in ("case2", "case3"):
        (out / "journal" / f"case-{case}.json").unlink()
    evaluate(examination, out)
    assert (out / "measurements.parquet").read_bytes() == before


def test_the_device_is_recorded_beside_the_timings_and_changes_no_record(here, two_cards):
    cohort = make_cohort(here, "s")
    quick = quick_examination(here, cohort)
    measures = quick.settings.measures
    dose = measures.dose.model_copy(update={"device": "cuda"})
    settings = quick.settings.model_copy(
        update={"measures": measures.model_copy(update={"dose": dose})}
    )
    records = {
        "cpu": evaluate(quick, here / "cpu"),
        "cuda (card of cuda)": evaluate(replace(quick, settings=settings), here / "gpu"),
    }
    assert two_cards == ["cpu", "cuda"]
    for device, record in records.items():
        assert record.when.dose_device_by_case == {"case1": device}
    one, other = (r.model_dump(mode="json", exclude={"when", "code"}) for r in records.values())
    assert one == other
    assert '"device"' not in json.dumps(one)


def test_where_no_dose_is_computed_no_device_is_recorded(here):
    cohort = make_cohort(here, "s")
    quick = quick_examination(here, cohort)
    settings = quick.settings.model_copy(update={"families": ("segmentation",)})
    assert evaluate(replace(quick, settings=settings), here / "out").when.dose_device_by_case == {}


def test_a_site_without_a_case_that_may_be_measured_has_no_dose(here):
    cohort = make_cohort(here, "ss")
    (here / "tiny" / cohort.cases[0].reference).unlink()
    examination = quick_examination(here, cohort)
    assert cases_with_dose(examination, cohort.cases, {}) == {"case2"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--hlut", "matrad-default-rsp"], "No plan takes the HLUT matrad-default-rsp"),
        (["--plan", "proton-pelvis"], "needs an HLUT that gives relative_stopping_power"),
        (["--plan", "photon-pelvi"], "did you mean photon-pelvis"),
        (["--dose-cases", "some"], "some"),
        (["--profile", "thorax.yaml"], "The profile thorax is for the anatomy 'thorax'"),
        (["--dose-grid-mm", "0"], "grid_mm"),
        (["--device", "gpu"], "Unknown device 'gpu'"),
    ],
)
def test_evaluate_refuses_before_it_measures(here, capsys, change, sentence):
    make_cohort(here, "s")
    profile = load_profile("demo-pelvis").model_dump(mode="json")
    (here / "thorax.yaml").write_text(
        yaml.safe_dump(profile | {"name": "thorax", "anatomy": "thorax"})
    )
    assert run([*EVALUATE, *change]) == 2
    assert sentence in one_sentence(capsys)
    assert not (here / "out").exists()


@pytest.mark.parametrize("option", [("--hlut", "thomas-1999"), ("--device", "cuda")])
def test_an_option_without_a_plan_is_one_sentence(here, capsys, option):
    assert run(["evaluate", "tiny", "--images", "box", *option]) == 2
    assert f"{option[0]} " in (sentence := one_sentence(capsys))
    assert "needs a --plan or an RTPLAN" in sentence


# --- two columns of text -----------------------------------------------------------------------


def test_a_table_of_two_columns(files, capsys):
    (files / "scanner.csv").write_text("HU,RED\n-1000,0\n0,1\n1500,1.8\n")
    more = ("--json", "--hlut", "density:scanner2.csv")
    (files / "scanner2.csv").write_text("-1000 0\n0 1\n1500 1.9\n")
    assert run(arguments(*more, hlut="red:scanner.csv")) == 0
    rows = json.loads(capsys.readouterr().out)
    assert "photons:scanner2" in {row["variant"] for row in rows}  # what the other makes of it


BAD_COLUMNS = {
    "nobody says what": (
        "scanner.csv",
        "scanner.csv does not say what its second column is; "
        "write red:scanner.csv (relative electron density), rsp:",
    ),
    "not what photons take": ("rsp:scanner.csv", "needs an HLUT that gives"),
    "an unknown word": ("ed:scanner.csv", "'ed' before scanner.csv is no quantity"),
    "no such file": ("red:none.csv", "There is no HLUT at none.csv"),
    "falls": ("red:falls.csv", "falls to 0.9 at 10 HU"),
    "twice": ("red:twice.csv", "0 HU is there twice (1 and 1.1)"),
    "unreadable": ("red:bad.csv", "bad.csv has 2 bad lines: line 3"),
}


@pytest.mark.parametrize("what", BAD_COLUMNS)
def test_a_bad_table_of_two_columns_is_one_sentence(files, capsys, what):
    hlut, sentence = BAD_COLUMNS[what]
    for name, rest in {
        "scanner": "1500,1.8",
        "falls": "10,0.9",
        "twice": "0,1.1",
        "bad": "0;1,0\nwater 1",
    }.items():
        (files / f"{name}.csv").write_text(f"-1000,0\n{'' if name == 'bad' else '0,1'}\n{rest}\n")
    assert run(arguments(hlut=hlut)) == 2
    assert sentence in one_sentence(capsys)


# --- lists -------------------------------------------------------------------------------------


def test_lists(capsys):
    listed = {}
    for kind in ("engines", "plans", "machines", "hluts"):
        assert run(["list", kind, "--json"]) == 0
        listed[kind] = json.loads(capsys.readouterr().out)
        assert run(["list", kind]) == 0
        assert listed[kind][0]["name"] in capsys.readouterr().out
    assert [row["name"] for row in listed["engines"]] == ["photons-pydosert", "protons-range"]
    assert [row["name"] for row in listed["plans"]] == list(shipped_templates())
    assert [row["name"] for row in listed["hluts"]] == list(shipped_hluts())
    assert all("lung" in row["believed_for"] for row in listed["engines"])
    assert all(row["source"] and row["prescription"]["dose_gy"] for row in listed["plans"])
    assert all(row["source"] and row["points"] for row in listed["hluts"])
    assert {row["modality"] for row in listed["machines"]} == {"photons", "protons"}
    assert all(row["source"] and row["energy"] for row in listed["machines"])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("plans", ("varian_10MV", "0° 72° 144°", "78 Gy / 39", "photon-pelvis: PTV or PTV_High")),
        ("machines", ("6 MV", "0.6795", "1000 mm", "30 to 230 MeV", "elekta_6MV: 6 MV of an")),
        ("hluts", ("stopping power", "-1024…3000", "1.532", "thomas-1999: Thomas SJ")),
    ],
)
def test_lists_show_the_facts_that_choose_an_entry_in_a_hundred_columns(
    kind, said, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run(["list", kind]) == 0
    text = capsys.readouterr().out
    assert all(part in text for part in said), text
    table = [line for line in text.splitlines() if line.startswith("│")]
    names = [row["name"] for row in KINDS[kind]()]
    assert [line.split("│")[1].strip() for line in table] == names  # nothing is folded
    assert max(map(len, table)) <= 100


def test_the_energy_of_an_rtplan_chooses_the_machine_or_one_stands_in(files, capsys):
    centre = [float(value) for value in grid().centre_mm]
    strange = square_beam(1)
    strange.ControlPointSequence[0].NominalBeamEnergy = 15
    strange.ControlPointSequence[0].IsocenterPosition = centre
    known = square_beam(2)
    known.ControlPointSequence[0].IsocenterPosition = centre
    write_plan(files / "plan15.dcm", [strange, known])
    more = ("--rtplan", "plan15.dcm", "--prescription-gy", "78", "--fractions", "39")
    assert run(arguments(*more)) == 2
    sentence = one_sentence(capsys)
    assert "field 1 of 15 MV" in sentence and "elekta_6MV of 6 MV" in sentence
    assert run(arguments(*more, "--machine", "elekta_10MV")) == 0
    told = capsys.readouterr().out
    assert "elekta_10MV (10 MV) stands in for 15 MV, as asked for (field 1)" in told
    assert "elekta_10MV (10 MV) stands in for 6 MV, as asked for (field 2)" in told
    assert run(arguments("--machine", "proton-generic")) == 2
    assert "--machine proton-generic is one of protons, and no plan is" in one_sentence(capsys)
    assert run(arguments("--machine", "varian_6MV")) == 2
    assert "elekta_6MV" in one_sentence(capsys)
