"""Planes of dose: γ within a plane, between a plane and a volume, and planes that lie apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from tests.given_dose_cases import DOSE
from tests.given_dose_cases import said as said
from tests.rt_factory import write_dose


def a_plane(orientation: tuple[float, ...], dose: np.ndarray, path: Path, **tags: object) -> None:
    write_dose(path, dose[:, :, None], orientation=orientation, **tags)


@pytest.mark.parametrize("mode", ["trilinear", "simplex", "pymedphys"])
@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_gamma_of_planes_is_searched_within_them(name, mode, tmp_path, said):
    """Known: a ramp of 1 Gy/mm raised by 1 Gy has gamma 1/√2 at 1 Gy and 1 mm."""
    turn = {
        "axial": (1, 0, 0, 0, 1, 0),
        "coronal": (1, 0, 0, 0, 0, -1),
        "sagittal": (0, 1, 0, 0, 0, -1),
    }[name]
    ramp = np.broadcast_to(30.0 + 2 * np.arange(15.0)[:, None], (15, 9))
    a_plane(turn, ramp, tmp_path / "a.dcm")
    a_plane(turn, ramp + 1, tmp_path / "b.dcm")
    words = [
        "gamma",
        str(tmp_path / "a.dcm"),
        str(tmp_path / "b.dcm"),
        "--plane-mm",
        "1",
        "--criteria",
        "2/1",
        "--normalisation",
        "50",
        "--mode",
        mode,
        "--threads",
        "1",
        "--json",
        "--interp-fraction",
        "200",
    ]
    status, text = said(words)
    assert status == 0, text
    told = json.loads(text)
    (result,) = told["results"]
    assert result["searched"] == "plane"
    assert told["doses"][0]["plane"] is True
    assert told["doses"][0]["asked"] == {"plane_mm": 1.0}
    assert "gamma was searched within the plane alone" in text
    region = result["regions"][0]
    assert region["judged"] == 15 * 9
    assert region["median"] == pytest.approx(1 / np.sqrt(2), abs=2e-3)


def test_the_mode_pymedphys_gives_its_numbers_on_planes(tmp_path):
    from pymedphys import gamma as theirs

    from qa_suite.dose.gamma import GammaCriterion, GammaSettings, gamma

    rng = np.random.default_rng(5)
    x, y = np.arange(20) * 2.0, np.arange(16) * 2.5
    first = 50 * np.exp(-((x[:, None] - 18) ** 2 + (y - 19) ** 2) / 200)
    second = first * 1.02 + rng.normal(0, 0.4, first.shape)
    expected = theirs((y, x), first.T, (y, x), second.T, 2, 2).T
    grid = Grid(shape=(20, 16, 1), spacing_mm=(2.0, 2.5, 1.0))
    doses = [
        Volume(array=d[:, :, None].astype(np.float32), grid=grid, quantity="Gy")
        for d in (first, second)
    ]
    (found,) = gamma(
        *doses, [GammaCriterion(dose_pct=2, distance_mm=2)], GammaSettings(mode="pymedphys")
    )
    known = np.isfinite(expected)
    assert known.sum() > 50
    assert np.array_equal(found.judged[:, :, 0], known)
    assert np.abs(found.values[:, :, 0][known] - expected[known]).max() < 2e-5


def test_planes_apart_are_not_compared(tmp_path, said):
    plane = DOSE[:, :, 4]
    a_plane((1, 0, 0, 0, 1, 0), plane, tmp_path / "a.dcm")
    words = ["gamma", str(tmp_path / "a.dcm"), str(tmp_path / "b.dcm"), "--plane-mm", "5"]
    a_plane((1, 0, 0, 0, 1, 0), plane, tmp_path / "b.dcm", origin_mm=(-10, -20, -30.04))
    assert said([*words, "--threads", "1"])[0] == 0  # rounding in a header
    a_plane((1, 0, 0, 0, 1, 0), plane, tmp_path / "b.dcm", origin_mm=(-10, -20, -31))
    status, text = said(words)
    assert status == 2
    assert "within 0.1 mm of it" in text


def test_a_plane_against_a_volume_is_searched_in_the_volume(tmp_path, said):
    """A measured plane against a computed volume: the nearest point may lie beside the plane."""
    ramp = np.broadcast_to(30.0 + 4 * np.arange(9.0), (15, 9, 9))
    write_dose(tmp_path / "v.dcm", ramp + 1)
    write_dose(tmp_path / "p.dcm", ramp[:, :, 4:5], origin_mm=(-10, -20, -14))
    words = [
        "gamma",
        str(tmp_path / "p.dcm"),
        str(tmp_path / "v.dcm"),
        "--plane-mm",
        "1",
        "--json",
        "--criteria",
        "2/1",
        "--normalisation",
        "50",
        "--threads",
        "1",
    ]
    status, text = said(words)
    assert status == 0
    (result,) = json.loads(text)["results"]
    assert result["searched"] == "volume"
    assert result["regions"][0]["median"] == pytest.approx(1 / np.sqrt(2), abs=1e-3)
