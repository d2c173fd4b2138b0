"""Dose on the command line: the verb, where it is computed, tables of two columns, the lists."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.cli.dose_settings import DoseOptions, dose_settings
from qa_suite.cli.listing import KINDS
from qa_suite.core.volume import Volume
from qa_suite.dose.hlut.tables import shipped_hluts
from qa_suite.dose.plan.template import shipped_templates
from qa_suite.io.images import read_image, write_image
from tests.cli_dose_cases import ONE, arguments, one_sentence
from tests.cli_dose_cases import files as files
from tests.cli_dose_cases import material as material
from tests.cli_dose_cases import no_card as no_card
from tests.cli_dose_cases import two_cards as two_cards
from tests.plan_factory import square_beam, write_plan
from tests.tiny_cohort import SHAPE, grid

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
    goals = "Goals on the synthetic image, the prescription among them: 0 lost"
    assert any(line.startswith(goals) for line in lines)
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
