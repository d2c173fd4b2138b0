"""γ on the command line: what the verb states, masks on other grids, units, bad input."""

import json
from dataclasses import replace

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.volume import Grid, Volume
from qa_suite.io.images import read_image, write_image
from tests.gamma_cases import smooth


@pytest.fixture
def files(tmp_path):
    a, b = smooth(), smooth(shift_mm=(0.8, -0.5, 0.4), scale=1.02)
    paths = [tmp_path / "reference.nii.gz", tmp_path / "evaluated.mha", tmp_path / "organs.nii.gz"]
    write_image(a, paths[0])
    write_image(b, paths[1])
    labels = (a.array > 20).astype(np.int32) + (a.array > 40)
    write_image(replace(a, array=labels, quantity="label"), paths[2])
    return paths


def test_the_command_states_what_it_did(files, tmp_path, capsys):
    reference, evaluated, organs = map(str, files)
    out = tmp_path / "map.nii.gz"
    assert (
        run(
            [
                "gamma",
                reference,
                evaluated,
                "--criteria",
                "3/3,2/2",
                "--cutoff-pct",
                "15",
                "--normalisation",
                "prescription",
                "--prescription-gy",
                "60",
                "--cutoff-of",
                "max",
                "--structures",
                organs,
                "--out",
                str(out),
                "--json",
            ]
        )
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    first = said["results"][0]
    assert first["key"] == "3pct3mm"
    assert first["normalisation_gy"] == 60
    assert first["normalisation_rule"] == "prescription"
    assert first["cutoff_pct"] == 15
    assert first["cutoff_rule"] == "maximum of the reference dose"
    assert first["pass_rule"] == "gamma <= 1.0001"
    assert [region["region"] for region in first["regions"]] == ["all", "organs:1", "organs:2"]
    for region in first["regions"]:
        assert region["judged"] == region["above_cutoff"] > 0
        assert region["pass_pct"] == pytest.approx(100 * region["passed"] / region["judged"])
    assert said["maps"] == [str(tmp_path / f"map.{key}.nii.gz") for key in ("3pct3mm", "2pct2mm")]
    written = read_image(tmp_path / "map.2pct2mm.nii.gz", "arbitrary").array
    judged = written >= 0
    assert (written[~judged] == -1).all()
    assert judged.sum() == first["regions"][0]["judged"]
    assert 100 * np.mean(written[judged] <= 1.0001) == pytest.approx(
        said["results"][1]["regions"][0]["pass_pct"]
    )


def test_the_command_speaks_to_people(files, capsys):
    reference, evaluated, _ = map(str, files)
    assert run(["gamma", reference, evaluated, "--local", "--dose-pct", "3"]) == 0
    text = capsys.readouterr().out
    assert "3 %/2 mm, local" in text
    assert "reference dose of each voxel" in text
    assert (
        run(
            [
                "gamma",
                reference,
                evaluated,
                "--cutoff-of",
                "prescription",
                "--prescription-gy",
                "5000",
            ]
        )
        == 3
    )
    assert "undefined: no dose above" in capsys.readouterr().out


def test_a_mask_on_another_grid_is_brought_to_the_dose_and_said(files, tmp_path, capsys):
    reference, evaluated, _ = map(str, files)
    mask = Volume(
        array=np.ones((10, 10, 10), dtype=np.int32),
        grid=Grid(shape=(10, 10, 10), spacing_mm=(1, 1, 1), origin_mm=(8, 8, 8)),
        quantity="label",
    )
    write_image(mask, tmp_path / "ptv.nii.gz")
    assert (
        run(["gamma", reference, evaluated, "--structures", str(tmp_path / "ptv.nii.gz"), "--json"])
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert "resampled nearest" in said["notes"][0]
    assert said["results"][0]["regions"][1]["region"] == "ptv"
    assert 60 <= said["results"][0]["regions"][1]["above_cutoff"] <= 125


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--criteria", "3/x"], "percent/mm"),
        (["--mode", "guess"], "mode"),
        (["--normalisation", "mean"], "neither 'max' nor 'prescription'"),
        (["--normalisation", "prescription"], "no prescription is given"),
        (["--cutoff-of", "mean"], "cutoff_of"),
        (["--max-gamma", "0.5"], "max_gamma"),
        (["--mode", "matrad", "--normalisation", "60"], "matRad"),
        (["--structures", "nowhere.nii.gz"], "no image at"),
        (["--dose-unit", "mGy"], "Gy"),
    ],
)
def test_bad_input_of_the_command_is_one_sentence(files, capsys, more, words):
    reference, evaluated, _ = map(str, files)
    assert run(["gamma", reference, evaluated, *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("qa-suite: ")
    assert words in error[0]


def test_a_dose_in_cgy_is_found_out_and_can_be_said(files, tmp_path, capsys):
    reference = str(files[0])
    a = read_image(files[0], "Gy")
    write_image(a.with_array(a.array * 100), tmp_path / "cgy.nii.gz")
    assert run(["gamma", reference, str(tmp_path / "cgy.nii.gz")]) == 2
    assert "cGy" in capsys.readouterr().err
