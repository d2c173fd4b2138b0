"""An HLUT for each site: which cases it is used for, what the record says, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from qa_suite.cli import run
from qa_suite.cli.dose_settings import DoseOptions, dose_settings
from qa_suite.cli.evaluate import tables_by_site
from qa_suite.cli.site_hluts import parted
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.record_files import read_cases
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.evaluation.models import finished_images
from qa_suite.metrics.dose.family import dose_variants
from qa_suite.metrics.dose.settings import DoseSettings
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.preflight import PreflightSettings
from tests.cli_dose_cases import EVALUATE, arguments, make_cohort, one_sentence
from tests.cli_dose_cases import files as files
from tests.cli_dose_cases import here as here
from tests.cli_dose_cases import material as material

SITES = ("A", "B")
OTHER = "dkfz-flash-b40f"


def settings_of(*hluts: str, sites: tuple[str, ...] = SITES, **more: object) -> DoseSettings:
    asked = DoseOptions(plans=["photon-pelvis"], hluts=list(hluts), device="cpu", **more)
    found = dose_settings(asked, sites=sites)
    assert found is not None
    return found


def test_a_table_of_a_site_holds_there_alone():
    found = settings_of("thomas-1999", f"B={OTHER}")
    assert found.at("A").plans[0].hlut == load_hlut("thomas-1999")
    assert found.at("B").plans[0].hlut == load_hlut(OTHER)
    facts = dose_variants(found)["photon-pelvis"]
    assert facts["hlut"] == "thomas-1999"
    assert facts["hlut_by_site"] == {"B": {"hlut": OTHER, "hlut_sha256": load_hlut(OTHER).digest}}


def test_without_a_table_for_all_every_site_has_its_own():
    found = settings_of("A=thomas-1999", f"B={OTHER}")
    assert [found.at(site).plans[0].hlut.name for site in SITES] == ["thomas-1999", OTHER]
    assert dose_variants(found)["photon-pelvis"]["hlut"] == "of each site"
    with pytest.raises(InputError, match="no HLUT for the site C: it has those of A, B and none"):
        found.at("C")
    with pytest.raises(InputError, match="for A too: --hlut A=TABLE, or"):
        settings_of(f"B={OTHER}")


def test_photons_and_protons_have_each_their_table_at_a_site():
    found = dose_settings(
        DoseOptions(
            plans=["photon-pelvis", "proton-pelvis"],
            hluts=["thomas-1999", "stoichiometric-schneider", "B=matrad-default-rsp"],
            device="cpu",
        ),
        sites=SITES,
    )
    names = [[choice.hlut.name for choice in found.at(site).plans] for site in SITES]
    assert names == [
        ["thomas-1999", "stoichiometric-schneider"],
        ["thomas-1999", "matrad-default-rsp"],
    ]


def test_settings_without_sites_are_written_as_they_always_were():
    plain = settings_of("thomas-1999").model_dump(mode="json")["plans"][0]
    assert {"site_hluts", "only_sites"}.isdisjoint(plain)
    told = settings_of("thomas-1999", f"B={OTHER}")
    assert DoseSettings.model_validate(told.model_dump(mode="json")) == told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["thomas-1999", f"Bb={OTHER}"], ["'Bb'", "did you mean B"]),
        (["thomas-1999", f"X={OTHER}", "Y=thomas-1999", "A="], ["'X'", "'Y'", "A, B", "A=TABLE"]),
        ([f"B={OTHER}", f"B={OTHER}", "thomas-1999"], ["once is enough"]),
    ],
)
def test_a_site_that_there_is_not_is_refused_with_those_that_there_are(words, says):
    with pytest.raises((Problems, InputError)) as told:
        settings_of(*words)
    for part in says:
        assert part in str(told.value)


def test_two_tables_of_a_site_and_one_that_no_plan_takes_are_refused():
    with pytest.raises(InputError, match=r"The site B has the HLUTs .* and .* give it one"):
        settings_of("thomas-1999", f"B={OTHER}", "B=matrad-photons")
    with pytest.raises(InputError, match="No plan takes the HLUT matrad-default-rsp of the site B"):
        settings_of("thomas-1999", "B=matrad-default-rsp")


def test_a_file_with_an_equals_sign_is_a_file(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.csv").write_text("x")
    words = ["a=b.csv", "red:a=b.csv", "B=red:a=b.csv", "folder/x=y.yaml"]
    assert parted(words, SITES) == (
        ["a=b.csv", "red:a=b.csv", "folder/x=y.yaml"],
        {"B": ["red:a=b.csv"]},
    )


def test_one_pair_of_images_is_of_no_site(files, capsys):
    assert run(arguments(hlut="B=thomas-1999")) == 2
    assert "is for the site B, and one pair of images is of none" in one_sentence(capsys)


def test_evaluate_refuses_a_site_that_is_not_examined(here, capsys):
    make_cohort(here, "ss")
    assert run([*EVALUATE, "--hlut", "hospital-Z=thomas-1999"]) == 2
    said = capsys.readouterr().err
    assert "'hospital-Z'" in said and "A, B" in said.replace("site-", "")


def test_each_case_is_computed_with_its_sites_table_and_the_record_says_which(here):
    """Two tables that differ by a tenth in soft tissue: only site B's dose to the target moves."""
    cohort = make_cohort(here, "ss")
    dense = load_hlut("thomas-1999").model_dump(mode="json") | {"name": "dense"}
    dense["points"] = [[hu, v * (1.09 if hu > -200 else 1)] for hu, v in dense["points"]]
    (here / "dense.yaml").write_text(yaml.safe_dump(dense))
    sites = {case.case: case.site for case in cohort.cases}
    other = max(sites.values())
    doses = {}
    for name, words in {
        "one": ["thomas-1999"],
        "two": ["thomas-1999", f"{other}=dense.yaml"],
    }.items():
        asked = DoseOptions(plans=["photons.yaml"], hluts=words, grid_mm=10, device="cpu")
        dose = dose_settings(asked, sites=sorted(set(sites.values())))
        quick = dose.model_copy(update={"causes": False, "bulk": False, "gamma": dose.gamma[:1]})
        facts, translate = finished_images(here / "box", "vendor")
        settings = EvaluationSettings(
            families=("dose",),
            keep_volumes="none",
            preflight=PreflightSettings(estimate_alignment=False),
            measures=MeasureSettings(dose=quick),
        )
        examination = Examination(
            cohort=cohort, folder=here / "tiny", model=facts, translate=translate, settings=settings
        )
        evaluate(replace(examination), here / name)
        rows = pd.read_parquet(here / name / "measurements.parquet")
        here_rows = rows[(rows.metric == "path_length_reference") | (rows.family == "dose")]
        doses[name] = {c: r.set_index(["metric", "region", "variant"]).value
                       for c, r in here_rows.groupby("case")}  # fmt: skip
    for case, site in sites.items():
        same = doses["one"][case].equals(doses["two"][case])
        assert same == (site != other), case
    tables = {case.case: case.hluts["photons"] for case in read_cases(here / "two")}
    for case, site in sites.items():
        table = "dense" if site == other else "thomas-1999"
        assert tables[case].startswith(f"{table} sha256:")
    assert len(tables_by_site(here / "two")) == 2 and tables_by_site(here / "one") == []
    kept = json.loads((here / "two" / "evaluation.json").read_text())
    assert kept["variants"]["photons"]["hlut_by_site"][other]["hlut"] == "dense"
