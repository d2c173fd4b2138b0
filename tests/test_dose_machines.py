"""Photon machines as data files: what is shipped, what is refused, what they do in water."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from benchmarks import machines as bench
from benchmarks.published_beams import ARTISTE, RPC_ELEKTA_6MV, RPC_ELEKTA_10MV, SYNERGY
from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.dose.machines.photon import PhotonMachine, load_photon_machine
from tests.machine_cases import SHIPPED, written

FIGURES = (
    "nominal_mv",
    "sad_mm",
    "tpr_20_10",
    "leaf_transmission",
    "penumbra_fwhm_mm",
    "head_scatter",
    "profile",
    "output_factors",
    "calibration",
)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_figure_of_a_shipped_machine_has_its_source(name: str) -> None:
    machine = load_photon_machine(name)
    assert machine.name == name
    assert set(FIGURES) <= set(machine.sources)
    assert "licence" in machine.source


@pytest.mark.parametrize("name", ["varian_10MV", "elekta_10MV"])
def test_the_ten_megavolt_machines_are_the_presets_of_pydosert(name: str) -> None:
    file = resources.files("pydosert.data").joinpath("machine_presets", f"{name}.json")
    preset, machine = json.loads(file.read_text()), load_photon_machine(name)
    assert machine.tpr_20_10 == preset["tpr_20_10"]
    assert machine.leaf_transmission == preset["mlc_transmission"]
    assert list(machine.penumbra_fwhm_mm) == preset["penumbra_fwhm"]
    assert machine.head_scatter is not None
    assert machine.head_scatter.share == preset["head_scatter_amplitude"][0]
    assert [s / 10 for s in machine.head_scatter.sigma_mm] == pytest.approx(
        preset["head_scatter_sigma"], rel=1e-12
    )
    for table, key in (
        (machine.profile, "profile_corrections"),
        (machine.output_factors, "output_factors"),
    ):
        assert np.asarray(table).T.tolist() == preset[key]


def test_six_megavolts_is_what_the_published_set_says() -> None:
    machine = load_photon_machine("elekta_6MV")
    assert machine.tpr_20_10 == pytest.approx(SYNERGY.tpr[100.0][3], abs=1e-4)
    places, told = np.asarray(SYNERGY.off_axis).T
    np.testing.assert_allclose(np.interp(places, *np.asarray(machine.profile).T), told, rtol=0.003)


# --- what they do in water ---------------------------------------------------------------------


def test_depth_dose_of_six_megavolts() -> None:
    """SSD 100 cm, 10×10 cm²: textbooks give a maximum near 15 mm and 66 to 68 % at 10 cm."""
    depth, dose = bench.depth_dose(load_photon_machine("elekta_6MV"), 100.0)
    assert depth[dose.argmax()] == pytest.approx(15, abs=2)
    assert np.interp(100.0, depth, dose) == pytest.approx(67.0, abs=1.0)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_kernel_gives_the_beam_quality_of_the_file(name: str) -> None:
    machine = load_photon_machine(name)
    assert bench.tissue_phantom_ratio(machine) == pytest.approx(machine.tpr_20_10, abs=0.005)


@pytest.mark.parametrize("data", [SYNERGY, ARTISTE])
@pytest.mark.parametrize("side", [40.0, 100.0, 200.0])
def test_tissue_phantom_ratios_of_fields_that_the_file_does_not_hold(data, side) -> None:
    """At 5, 15 and 20 cm; a kernel cut off at 75 mm misses 20×20 cm² at 20 cm by 3.4 %."""
    machine = load_photon_machine("elekta_6MV")
    at_ten = bench.on_axis(machine, side, 100.0)
    for depth, told in (
        (50.0, data.tpr[side][1]),
        (150.0, data.tpr[side][2]),
        (200.0, data.tpr[side][3]),
    ):
        assert bench.on_axis(machine, side, depth) / at_ten == pytest.approx(told, rel=0.02)


@pytest.mark.parametrize(
    ("name", "data"), [("elekta_6MV", RPC_ELEKTA_6MV), ("elekta_10MV", RPC_ELEKTA_10MV)]
)
def test_outputs_are_those_that_auditors_measured(name, data) -> None:
    """Means over accelerators at 10 cm depth; their own spread is 0.3 to 1.5 %."""
    for side in (30.0, 40.0, 60.0):
        made = bench.output(load_photon_machine(name), side)
        assert made == pytest.approx(data.outputs[side], rel=0.01)


# --- one's own ---------------------------------------------------------------------------------


def test_a_machine_of_ones_own_is_taken_by_its_path(tmp_path: Path) -> None:
    mine = load_photon_machine(written(tmp_path))
    assert mine.name == "mine" and mine.digest == load_photon_machine("elekta_6MV").digest
    other = load_photon_machine(written(tmp_path, tpr_20_10=0.67))
    assert other.digest != mine.digest


def test_everything_wrong_in_a_machine_is_said_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        tpr_20_10=67,
        leaf_transmission=-0.1,
        profile=[[0, 1], [50, 1.02], [40, 1.0]],
        output_factors=[[40, 1.01], [200, 1.0]],
        nominal_mv=None,
        wedge=15,
        fluence_mode="flat",
        sources={"tpr_20": "a book"},
    )
    with pytest.raises(Problems) as error:
        load_photon_machine(path)
    text = str(error.value)
    for part in (
        "tpr_20_10",
        "leaf_transmission",
        "profile: its first column must rise",
        "the factor of the reference field of 100 mm is 1",
        "nominal_mv",
        "wedge: unknown",
        "fluence_mode",
        "sources",
        "did you mean tpr_20_10",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"profile": [[5, 1.0], [50, 1.02]]}, "begins on the axis"),
        ({"profile": [[0, 1.0], [50, -0.1]]}, "a ratio is not negative"),
        ({"output_factors": [[100, 1.0]]}, "output_factors"),
        ({"modality": "protons"}, "modality"),
        ({"head_scatter": {"share": 0.1, "sigma_mm": [0, 10]}}, "sigma_mm"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(changes, said, tmp_path: Path) -> None:
    with pytest.raises(Problems, match=said):
        load_photon_machine(written(tmp_path, **changes))


def test_a_machine_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no photon machine at .*linac\.yaml"):
        load_photon_machine(tmp_path / "linac.yaml")
    with pytest.raises(UnknownName) as error:
        load_photon_machine("siemens_6MV")
    assert all(name in str(error.value) for name in SHIPPED)
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(InputError, match="not a readable YAML"):
        load_photon_machine(broken)


def test_a_filter_free_machine_of_ones_own_carries_a_caveat(tmp_path: Path) -> None:
    mine = load_photon_machine(written(tmp_path, fluence_mode="FFF"))
    assert mine.quality == "6 MV FFF" and "flattened beams" in mine.caveat
    assert all(not load_photon_machine(name).caveat for name in SHIPPED)


def test_machines_are_keys(tmp_path: Path) -> None:
    one, two = load_photon_machine("elekta_6MV"), load_photon_machine("elekta_6MV")
    assert one == two and hash(one) == hash(two)
    assert isinstance(one, PhotonMachine) and one != load_photon_machine("elekta_10MV")
