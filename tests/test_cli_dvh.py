"""DVHs on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.volume import Volume
from qa_suite.io.images import write_image
from tests.dicom_factory import write_structures
from tests.dose_solids import place_at_share, sphere
from tests.dvh_cases import BASE_GY, GRID, ball, linear


def test_the_command(tmp_path, capsys):
    write_image(linear(), tmp_path / "dose.nii.gz")
    image = Volume(array=ball(9.0).mask.astype(np.int32), grid=GRID, quantity="label")
    write_image(image, tmp_path / "ptv.nii.gz")
    contours, _ = sphere(10.0, 2.5, 0.5)
    write_structures(tmp_path / "rs.dcm", {"S": contours, "Empty": []})
    (tmp_path / "goals.yaml").write_text(
        '- {structure: S, goal: "D95 >= 80 %", source: local}\n'
        '- {structure: Absent, goal: "Dmean <= 9 Gy", source: local}\n'
    )
    arguments = [str(tmp_path / name) for name in ("dose.nii.gz", "ptv.nii.gz", "rs.dcm")]
    options = [
        "--prescription-gy",
        "50",
        "--metrics",
        "D95,V95%",
        "--json",
        "--goals",
        str(tmp_path / "goals.yaml"),
        "--curves",
        str(tmp_path / "c.csv"),
    ]
    assert run(["dvh", *arguments, *options]) == 3
    data = json.loads(capsys.readouterr().out)
    values = {(row["structure"], row["metric"]): row["value"] for row in data["metrics"]}
    exact = BASE_GY + place_at_share("sphere", 10.0, 0.95)
    assert values["S", "D95"] == pytest.approx(exact, abs=0.1)
    assert values["Empty", "D95"] is None
    assert [goal["met"] for goal in data["goals"]] == [True, None]
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert lines[0] == "structure,dose_gy,volume_pct,remark"
    assert lines[1] == "ptv,0,100,"
    assert run(["dvh", *arguments, "--structure", "s", "--metrics", "D95"]) == 2
    assert "Unknown structure 's'; known: Empty, S, ptv." in capsys.readouterr().err
