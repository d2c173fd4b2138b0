"""HU to density: the shipped tables, tables of one's own, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks import stoichiometric_hlut
from qa_suite.core.errors import InputError, Problems, QAError, UnknownName
from qa_suite.dose.hlut.tables import Hlut, load_hlut, shipped_hluts

GOOD = {
    "name": "mine",
    "quantity": "relative_electron_density",
    "points": [[-1000, 0.0], [0, 1.0], [1000, 1.5]],
    "source": "Our phantom, 2024.",
}


def written(path: Path, **changed: object) -> Path:
    import yaml

    path.write_text(yaml.safe_dump({**GOOD, **changed}))
    return path


@pytest.mark.parametrize("name", shipped_hluts())
def test_shipped_tables_are_sound(name):
    hlut = load_hlut(name)
    hu, value = np.array(hlut.points).T
    assert hlut.name == name
    assert (np.diff(hu) > 0).all() and (np.diff(value) >= 0).all() and value[0] >= 0
    assert hlut.at(0) == pytest.approx(1.0, abs=0.03)  # water
    assert hlut.at(-1000) < 0.03  # air
    assert 1.5 < hlut.at(1500) < 2.1  # bone
    assert any(c.isdigit() for c in hlut.source) and len(hlut.source) > 20


def test_tables_of_every_quantity_are_shipped_and_differ_for_bone():
    tables = [load_hlut(name) for name in shipped_hluts()]
    assert {t.quantity for t in tables} == {
        "relative_electron_density",
        "relative_stopping_power",
        "mass_density_g_cm3",
    }
    protons = [t.at(2000) for t in tables if t.quantity == "relative_stopping_power"]
    assert max(protons) / min(protons) == pytest.approx(1.28, abs=0.01)


def test_values_lie_on_straight_lines_and_are_clamped_at_the_ends():
    hlut = Hlut.model_validate(GOOD)
    hu = np.array([[-3000.0, -1000.0, -500.0], [0.0, 500.0, 4000.0]], dtype=np.float32)
    density = hlut.convert(hu)
    assert density.dtype == np.float32 and density.shape == hu.shape
    np.testing.assert_allclose(density, [[0, 0, 0.5], [1, 1.25, 1.5]], atol=1e-6)
    assert [hlut.at(h) for h in (-5000, 250, 9999)] == [0.0, 1.125, 1.5]


def test_integers_and_an_empty_image_are_converted_too():
    hlut = Hlut.model_validate(GOOD)
    assert hlut.convert(np.array([-1000, 0], dtype=np.int16)).tolist() == [0.0, 1.0]
    assert hlut.convert(np.zeros((0, 3))).shape == (0, 3)


def test_the_digest_is_that_of_what_the_table_says():
    one = Hlut.model_validate(GOOD)
    renamed = Hlut.model_validate({**GOOD, "name": "ours", "source": "elsewhere"})
    moved = Hlut.model_validate({**GOOD, "points": [[-1000, 0.0], [0, 1.0], [1000, 1.51]]})
    other = Hlut.model_validate({**GOOD, "quantity": "mass_density_g_cm3"})
    assert one.digest == renamed.digest
    assert len({one.digest, moved.digest, other.digest}) == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_image_with_holes_is_refused(bad):
    hu = np.zeros((3, 3, 3))
    hu[0, 0, :2] = bad
    with pytest.raises(InputError, match=r"holds 2 voxels that are no number; mend it first\.$"):
        Hlut.model_validate(GOOD).convert(hu)


# --- tables of one's own -----------------------------------------------------------------------


def test_a_yaml_file(tmp_path):
    hlut = load_hlut(written(tmp_path / "ours.yaml"), quantity="relative_electron_density")
    assert hlut == Hlut.model_validate(GOOD)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".hlut"])
@pytest.mark.parametrize("between", [" ", ",", ";", "\t"])
def test_two_columns(tmp_path, suffix, between):
    path = tmp_path / f"scanner{suffix}"
    lines = ["# HU, density", "", f"-1000{between}0.001", f"0{between}1  # water", "1e3 , 1.5"]
    path.write_text("\n".join(lines))
    hlut = load_hlut(path, quantity="mass_density_g_cm3")
    assert hlut.points == ((-1000.0, 0.001), (0.0, 1.0), (1000.0, 1.5))
    assert (hlut.name, hlut.quantity) == ("scanner", "mass_density_g_cm3")


WRONG = {
    "falls": (
        {"points": [[-1000, 0], [0, 1.0], [100, 0.9]]},
        "it is not monotone: 1 at 0 HU falls to 0.9 at 100 HU",
    ),
    "HU backwards": (
        {"points": [[0, 1.0], [-1000, 0], [100, 1.1]]},
        "its HU must rise from point to point, not 0, -1000",
    ),
    "HU twice": (
        {"points": [[-1000, 0], [0, 1.0], [0, 1.1]]},
        "its HU must rise from point to point, and 0 HU is there twice (1 and 1.1)",
    ),
    "several": (
        {"points": [[-1000, 0], [0, 1.0], [0, 1.1], [100, 1.05]]},
        "there twice (1 and 1.1); it is not monotone: 1.1 at 0 HU falls to 1.05 at 100",
    ),
    "very many": ({"points": [[-n, 1.0] for n in range(9)]}, "not -2, -3; and 5 more"),
    "no water": (
        {"points": [[-1000, 0], [0, 1.5], [100, 1.6]]},
        "water (0 HU) must come out near 1, got 1.5",
    ),
    "in percent": ({"points": [[-1000, 0], [0, 100], [1000, 150]]}, "near 1, got 100"),
    "negative": ({"points": [[-1000, -0.1], [0, 1.0]]}, "a density is not negative, got -0.1"),
    "one point": ({"points": [[0, 1.0]]}, "points: at least 2 items"),
    "not finite": ({"points": [[-1000, 0], [0, float("nan")]]}, "finite number"),
    "quantity": ({"quantity": "HU"}, "quantity: input should be 'relative_electron_density'"),
    "no source": ({"source": ""}, "source:"),
    "unknown key": ({"kvp": 120}, "kvp: unknown key"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_bad_file_is_one_sentence(tmp_path, what):
    changed, sentence = WRONG[what]
    with pytest.raises(Problems) as error:
        load_hlut(written(tmp_path / "bad.yaml", **changed))
    assert sentence in str(error.value) and "bad.yaml" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValidationError):
        Hlut.model_validate({**GOOD, **changed})


def test_all_problems_of_a_file_are_told_at_once(tmp_path):
    path = written(tmp_path / "bad.yaml", quantity="HU", source="", kvp=120)
    with pytest.raises(Problems, match="3 problems"):
        load_hlut(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("-1000 0\n0 1 2\n", r"line 2: '0 1 2' is not HU and value"),
        ("-1000;0\nHU;density\n", r"line 2: 'HU;density' is not HU and value"),
        ("HU;density\nair;water\n", r"line 2: 'air;water' is not HU and value"),
        ("density;HU\n0;-1000\n", r"line 1: its titles are density, HU; HU must come first"),
        ("-1000 0\n0 one\n", r"line 2: '0 one'"),
        ("-1000 0\n0,1,2\n", r"line 2: '0,1,2' is not HU and value"),
        ("-1000;0\n0;1,0\n", r"line 2: '0;1,0' has a decimal comma; write decimal points"),
        ("", "at least 2 items"),
        ("HU,density\n", "at least 2 items"),
        ("-1000 0\n0 nan\n", "line 2: '0 nan' holds no finite number"),
        ("-1000 0\n-500 half\n0 1\n100 1,1\n7\n", "3 bad lines: line 2.*; line 4.*; line 5: '7'"),
        (
            "x 1\n" * 3 + "-1000 0\n" + "x 1\n" * 7,
            "10 bad lines: line 1: .*; line 6: .*; and 5 more",
        ),
        ("-1000 0\n0 1\n0 1.1\n", r"0 HU is there twice \(1 and 1.1\)"),
        ("-1000 0\n0 1\n50 0.9\n", "it is not monotone: 1 at 0 HU falls to 0.9 at 50 HU"),
        ("0.001 -1000\n1 0\n1.5 1000\n", "a density is not negative, got -1000"),
        ("-1000 0\0\n", "is no text file"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, sentence):
    path = tmp_path / "scanner.txt"
    path.write_text(text)
    with pytest.raises(QAError, match=sentence) as error:
        load_hlut(path, quantity="mass_density_g_cm3")
    assert "\n" not in str(error.value)


def test_what_a_spreadsheet_writes_is_read(tmp_path):
    path = tmp_path / "scanner.csv"
    rows = '"HU","ρ (g/cm³)",,', "-1000,0.001,,", '"0","1.0",,', ",,,", "1500,1.9,,"
    path.write_bytes(
        "\ufeff".encode() + "\r\n".join(rows).encode() + "\r\n# kV²\r\n".encode("cp1252")
    )
    hlut = load_hlut(path, quantity="mass_density_g_cm3")
    assert hlut.points == ((-1000.0, 0.001), (0.0, 1.0), (1500.0, 1.9))


# --- what the values are -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "quantity"),
    [
        ("red", "relative_electron_density"),
        ("rsp", "relative_stopping_power"),
        ("density", "mass_density_g_cm3"),
        ("RED", "relative_electron_density"),
    ],
)
def test_a_word_before_a_text_file_says_what_it_gives(tmp_path, word, quantity):
    path = tmp_path / "scanner.csv"
    path.write_text("-1000,0\n0,1\n")
    hlut = load_hlut(f"{word}:{path}")
    assert (hlut.quantity, hlut.name, hlut.source) == (quantity, "scanner", "scanner.csv")


def test_a_text_file_alone_must_be_told_its_quantity(tmp_path):
    path = tmp_path / "scanner.txt"
    path.write_text("-1000 0\n0 1\n")
    with pytest.raises(InputError) as error:
        load_hlut(path)
    assert str(error.value) == (
        f"{path} does not say what its second column is; write red:{path} (relative electron "
        f"density), rsp:{path} (relative stopping power) or density:{path} (mass density)."
    )


def test_an_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'electron' before x\.csv is no quantity .* red:x\.csv"):
        load_hlut("electron:x.csv")


def test_a_word_must_agree_with_what_a_table_says_itself(tmp_path):
    ours = written(tmp_path / "ours.yaml")
    assert load_hlut(f"red:{ours}") == load_hlut(ours)
    assert load_hlut("red:thomas-1999") == load_hlut("thomas-1999")
    with pytest.raises(InputError, match="gives relative electron density, not mass density as"):
        load_hlut(f"density:{ours}")
    with pytest.raises(InputError, match="relative stopping power is needed"):
        load_hlut("red:thomas-1999", quantity="relative_stopping_power")


def test_a_colon_in_the_name_of_a_file_is_no_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "red:ours.yaml", quantity="mass_density_g_cm3")
    assert load_hlut("red:ours.yaml").quantity == "mass_density_g_cm3"


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path):
    path = tmp_path / "scanner.xlsx"
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"scanner.xlsx is no HLUT by its name; .*\.csv"):
        load_hlut(f"red:{path}")


def test_another_quantity_than_needed_is_refused_with_those_that_fit():
    with pytest.raises(InputError) as error:
        load_hlut("thomas-1999", quantity="relative_stopping_power")
    text = str(error.value)
    assert "gives relative electron density and relative stopping power is needed" in text
    assert "matrad-default-rsp" in text and "electron-density-as-rsp" in text
    assert "schneider-2000" not in text


@pytest.mark.parametrize("name", ["pyradplan-protons", "matrad-protons"])
def test_an_old_name_is_refused_with_the_new_one(name):
    with pytest.raises(InputError, match=r"is called .*-rsp now, for what it is"):
        load_hlut(name)


# --- the stoichiometric table ------------------------------------------------------------------


def test_the_stoichiometric_table_is_what_its_script_derives():
    shipped = load_hlut(stoichiometric_hlut.NAME)
    assert shipped == stoichiometric_hlut.derived()


def test_the_compositions_add_up_and_bragg_gives_water_its_excitation_energy():
    for low, _, weights in stoichiometric_hlut.BINS:
        assert sum(weights) == pytest.approx(100.0, abs=0.35), low
    # ICRU 49 states 75.0 eV for liquid water
    assert stoichiometric_hlut.excitation_ev(stoichiometric_hlut.WATER) == pytest.approx(75, abs=1)


def test_known_stopping_powers_of_tissues_come_out():
    """Tables of proton therapy agree: muscle 1.04 to 1.05, cortical bone of 1.92 about 1.70."""
    water = stoichiometric_hlut.tissue(0.0, stoichiometric_hlut.WATER)
    assert water.stopping_power == pytest.approx(load_hlut("schneider-2000").at(0.0))
    bone = stoichiometric_hlut.tissues()[-3]
    assert bone.stopping_power / bone.density_g_cm3 * 1.92 == pytest.approx(1.70, abs=0.015)
    muscle = next(one for one in stoichiometric_hlut.tissues() if 19 < one.hu < 80)
    assert muscle.stopping_power == pytest.approx(1.05, abs=0.01)
    assert load_hlut(stoichiometric_hlut.NAME).at(1000.0) == pytest.approx(1.464, abs=0.005)


def test_stopping_powers_hardly_depend_on_the_energy():
    low, high = (stoichiometric_hlut.tissues(energy) for energy in (100.0, 200.0))
    for one, two in zip(low, high, strict=True):
        assert one.stopping_power == pytest.approx(two.stopping_power, rel=0.005)


def test_bone_stops_less_than_its_electron_density_says_and_fat_more():
    for one in stoichiometric_hlut.tissues():
        assert (one.stopping_power > one.electron_density) == (one.excitation_ev < 75.32)


@pytest.mark.parametrize("name", shipped_hluts())
def test_a_shipped_table_says_where_it_is_from(name):
    table = load_hlut(name)
    assert table.name == name and len(table.source) > 20


@pytest.mark.parametrize("name", ["none.yaml", "none.txt"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(InputError, match=f"There is no HLUT at .*{name}"):
        load_hlut(tmp_path / name, quantity="mass_density_g_cm3")


@pytest.mark.parametrize("text", ["points: [[1, 2", "\tname: x", "a: b: c"])
def test_a_file_that_is_no_yaml(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"broken.yaml is not a readable YAML file"):
        load_hlut(path)


@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "just words"])
def test_a_yaml_file_that_holds_no_table(tmp_path, text):
    path = tmp_path / "empty.yaml"
    path.write_text(text)
    with pytest.raises(QAError):
        load_hlut(path)


def test_an_unknown_name_suggests():
    with pytest.raises(UnknownName, match="did you mean thomas-1999"):
        load_hlut("thomas-1998")
