"""The command: exit status, one sentence for bad input, JSON that holds what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qa_suite.cli import app, run
from qa_suite.core.records import Measurement
from qa_suite.io.images import read_image, write_image
from tests.tiny_cohort import HU, TISSUES, make_tiny_cohort, pair, tissue_labels

VERBS = (
    "demo",
    "phantom",
    "import",
    "preflight",
    "train",
    "translate",
    "lock",
    "evaluate",
    "measure",
    "judge",
    "report",
    "dashboard",
    "fmea",
    "audit",
    "compare",
    "bundle",
    "merge",
    "power",
    "verify",
    "key",
    "sign",
    "promote",
    "withdraw",
    "checkup",
    "dose",
    "dvh",
    "gamma",
    "export-dose",
    "exam",
    "instrument",
    "utility",
    "sync",
    "list",
)
KINDS = (
    "metrics",
    "families",
    "segmenters",
    "engines",
    "plans",
    "hluts",
    "translators",
    "criteria",
    "hospitals",
    "faults",
)


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in error)
    assert error[-1].startswith("qa-suite: ")
    return error[-1]


@pytest.fixture
def ct_pair(tmp_path) -> tuple[Path, Path, Path]:
    _, ct, mask = pair(1)
    files = tmp_path / "ct.nii.gz", tmp_path / "synthetic.nii.gz", tmp_path / "mask.nii.gz"
    write_image(ct, files[0])
    write_image(ct.with_array(ct.array + 25), files[1])
    write_image(mask, files[2])
    return files


def test_the_verbs_are_the_contract():
    import typer

    assert tuple(typer.main.get_command(app).commands) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    assert run([verb, "--help"]) == 0
    assert f"Example: qa-suite {verb}" in " ".join(capsys.readouterr().out.split()).replace("`", "")


def test_help_imports_nothing_heavy():
    heavy = {"torch", "monai", "mlflow", "streamlit", "pandas", "scipy", "SimpleITK", "numpy"}
    code = (
        "import sys; from qa_suite.cli import run; run(['--help']); "
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_bad_usage_and_unknown_verbs_exit_with_2():
    assert run(["fly"]) == 2
    assert run(["measure"]) == 2
    assert run(["judge", "x"]) == 2


def test_an_internal_error_exits_with_4(monkeypatch, capsys):
    def broken(*_args, **_more):
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr("qa_suite.api.pairs.read_pair", broken)
    assert run(["measure", "a.nii.gz", "b.nii.gz"]) == 4
    assert "ZeroDivisionError" in one_sentence(capsys)


def test_measure_prints_measurements_as_json(ct_pair, capsys):
    reference, synthetic, mask = map(str, ct_pair)
    assert run(["measure", reference, synthetic, "--mask", mask, "--json"]) == 0
    rows = [Measurement.model_validate(row) for row in json.loads(capsys.readouterr().out)]
    value = {(row.metric, row.region): row.value for row in rows}
    assert value["mae", "body"] == pytest.approx(25, abs=1e-3)
    assert value["me", "body"] == pytest.approx(25, abs=1e-3)


def test_measure_shows_a_table_and_falls_back_on_no_scale(ct_pair, capsys):
    reference, synthetic, _ = map(str, ct_pair)
    assert run(["measure", reference, synthetic]) == 0
    captured = capsys.readouterr()
    assert "mae" in captured.out
    assert "No --mask" in captured.err


def spoil(path: Path, how: str) -> None:
    volume = read_image(path, "HU")
    array = volume.array.copy()
    if how == "nan":
        array[20, 16, 6] = np.nan
    elif how == "zeros":
        array[:] = 0
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:300])
        return
    write_image(volume.with_array(array), path)


@pytest.mark.parametrize(
    ("number", "how", "words"),
    [
        (0, "nan", "no number"),
        (0, "cut", "cut off"),
        (1, "cut", "cut off"),
        (2, "zeros", "mask of zeros"),
    ],
)
def test_a_bad_file_is_one_sentence_with_its_name(ct_pair, capsys, number, how, words):
    spoil(ct_pair[number], how)
    reference, synthetic, mask = map(str, ct_pair)
    assert run(["measure", reference, synthetic, "--mask", mask]) == 2
    sentence = one_sentence(capsys)
    assert words in sentence
    assert ct_pair[number].name in sentence


def test_nan_in_the_synthetic_image_is_an_error_row(ct_pair, capsys):
    spoil(ct_pair[1], "nan")
    reference, synthetic, mask = map(str, ct_pair)
    run(["measure", reference, synthetic, "--mask", mask, "--json"])
    rows = json.loads(capsys.readouterr().out)
    found = [r for r in rows if (r["metric"], r["region"]) == ("mae", "body")]
    assert {r["variant"] for r in found} == {"default", "synthrad2023", "synthrad2025"}
    assert {(r["status"], r["value"]) for r in found} == {("error", None)}


@pytest.mark.parametrize("kind", KINDS)
def test_list_gives_every_fact_as_json(kind, capsys):
    assert run(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert isinstance(rows, list)
    assert all(row["name"] for row in rows)
    assert kind == "engines" or rows
    assert run(["list", kind]) == 0


def test_list_needs_nobody_else_to_register_the_metrics():
    command = [sys.executable, "-m", "qa_suite.cli", "list", "metrics", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {"mae", "ssim", "dice", "hd95"} <= {row["name"] for row in json.loads(done.stdout)}


def test_every_metric_has_its_facts(capsys):
    run(["list", "metrics", "--json"])
    for row in json.loads(capsys.readouterr().out):
        for fact in ("title", "direction", "range", "formula", "empty", "reference"):
            assert row[fact], (row["name"], fact)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "metrix"], "did you mean metrics"),
        (["evaluate", "nowhere", "models:/x/1"], "no cohort manifest at nowhere"),
        (["judge", "nowhere", "--profile", "demo-pelvis"], "nowhere"),
        (["judge", "nowhere", "--profile", "demo-pelvic"], "demo-pelvis"),
        (["train", "regresion", "nowhere"], "regression"),
        (["import", "nowhere", "out"], "nowhere"),
        (["phantom", "out", "--spacing-mm", "4,4"], "three numbers"),
        (["phantom", "out", "--hospitals", "Z"], "Z"),
        (["phantom", "out", "--split", "train=0.5,exam=0.5"], "exam"),
        (["phantom", "out", "--split", "half"], "name=number"),
        (["report", "nowhere", "--profile", "demo-pelvis"], "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert words in one_sentence(capsys)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (["models:/nobody/1"], "models:/nobody/1"),
        (["nobody"], "names no model"),
        (["oracle:trut"], "oracle:truth"),
        ([], "Name a model or give --images"),
        (["--images", "nowhere"], "no folder of synthetic images"),
    ],
)
def test_what_cannot_be_examined_is_one_sentence(own_store, capsys, model, words):
    make_tiny_cohort(own_store.parent / "tiny", "tss")
    assert run(["evaluate", "tiny", *model]) == 2
    assert words in one_sentence(capsys)


def test_a_black_box_is_examined_by_its_images(own_store, capsys):
    folder = own_store.parent
    cohort = make_tiny_cohort(folder / "tiny", "tssss")
    for case in cohort.in_split("test")[:3]:
        reference = read_image(folder / "tiny" / case.reference, "HU")
        write_image(reference.with_array(reference.array + 4), folder / "box" / f"{case.case}.mha")
    arguments = ["evaluate", "tiny", "--images", "box", "--name", "vendor", "--no-track"]
    assert run([*arguments, "--out", "out", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    me = [r for r in rows if (r["metric"], r["region"]) == ("me", "body")]
    assert [round(r["value"], 2) for r in me] == [4, 4, 4]
    missing = [r for r in rows if r["metric"] == "translation"]
    assert [(r["case"], r["status"]) for r in missing] == [("case5", "error")]
    assert "there is no synthetic image case5" in missing[0]["why"]


def test_a_server_that_is_away_costs_no_measurement(own_store, monkeypatch, capsys):
    folder = own_store.parent
    cohort = make_tiny_cohort(folder / "tiny", "tss")
    for case in cohort.in_split("test"):
        reference = read_image(folder / "tiny" / case.reference, "HU")
        write_image(reference, folder / "box" / f"{case.case}.nii.gz")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert run(["evaluate", "tiny", "--images", "box", "--out", "out"]) == 0
    told = capsys.readouterr().err
    assert "http://127.0.0.1:9 takes nothing" in told and "'qa-suite sync out'" in told
    assert (folder / "out" / "outbox.jsonl").is_file()
    assert (folder / "out" / "evaluation.json").is_file()


PROFILE = """
schema_version: 1
name: two-patients
version: "1"
direction: MR->CT
anatomy: any
intended_use: Testing.
criteria:
  - {name: body ME, metric: me, region: body, bound: 30, direction: within, unit: HU,
     scope: pooled, min_patients: 2, source: Local decision.}
"""


@pytest.mark.parametrize(
    ("profile", "shift_hu", "status", "outcome"),
    [
        ("two.yaml", 0, 0, "pass"),
        ("two.yaml", 400, 1, "fail"),
        ("mr-to-ct-any", 0, 3, "inconclusive"),
    ],
)
def test_the_verdict_is_the_exit_status(own_store, capsys, profile, shift_hu, status, outcome):
    folder = own_store.parent
    (folder / "two.yaml").write_text(PROFILE)
    cohort = make_tiny_cohort(folder / "tiny", "tssss")
    for case in cohort.in_split("test"):
        reference = read_image(folder / "tiny" / case.reference, "HU")
        labels = tissue_labels(int(case.case.removeprefix("case")))
        noise = np.random.default_rng(1).normal(0, 10, labels.shape)  # its own, no copy
        array = np.array([HU[tissue] for tissue in TISSUES])[labels] + noise + shift_hu
        write_image(reference.with_array(array), folder / "box" / f"{case.case}.nii.gz")
    arguments = ["evaluate", "tiny", "--images", "box", "--no-track", "--out", "out"]
    assert run([*arguments, "--profile", profile]) == status
    assert (folder / "out" / "report.html").is_file()
    capsys.readouterr()
    assert run(["judge", "out", "--profile", profile, "--json"]) == status
    assert json.loads(capsys.readouterr().out)["outcome"] == outcome
