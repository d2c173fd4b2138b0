"""Models that each left out a site: trained without it, and audited there alone."""

import dataclasses

import pytest

from qa_suite.audit.asked import AuditSettings
from qa_suite.audit.audit import audit
from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.errors import Problems
from tests.audit_cases import PRIMARY, at_site, profile, source, write
from translators.registry.leaving_out import without_sites

SITES = "ABCDEF"


@pytest.fixture
def folders(tmp_path):
    made = []
    for number, site in enumerate(SITES):
        one = source(
            sites=SITES,
            patients=10,
            change=at_site("D", 4),
            name=f"without-{site}",
            evaluation=str(number) * 16,
            training_sites=[s for s in SITES if s != site],
        )
        model = one.evaluation.model.model_copy(update={"weights_sha256": site * 64})
        one = dataclasses.replace(
            one, evaluation=one.evaluation.model_copy(update={"model": model})
        )
        made.append(write(one, tmp_path / site))
    return made


def test_each_site_is_taken_from_the_model_that_left_it_out(folders):
    found = audit(folders, profile(), AuditSettings(primary=PRIMARY), left_out=True)
    sites = [cell for cell in found.cells if cell.dimension == "site"]
    assert [(cell.cell, cell.patients) for cell in sites] == [(site, 10) for site in SITES]
    named = {f.cell for f in found.findings if f.test and f.test.named}
    assert named == {"D"}
    assert found.new_sites[0].sites == tuple(SITES)
    assert "Each hospital is examined by a model that was trained without it" in found.notices[0]


def test_without_the_option_other_weights_are_refused(folders):
    with pytest.raises(Problems, match="other weights"):
        audit(folders, profile())


def test_two_that_left_out_the_same_site_are_refused(folders, tmp_path):
    again = source(
        sites=SITES, name="again", evaluation="9" * 16, training_sites=[*SITES[1:]], patients=10
    )
    folders.append(write(again, tmp_path / "again"))
    with pytest.raises(Problems, match="both left out A"):
        audit(folders, profile(), left_out=True)


def cohort() -> Cohort:
    cases = [("A", "p1"), ("A", "p2"), ("B", "p2"), ("B", "p3"), ("C", "p4")]
    return Cohort(
        name="three",
        source_modality="MR",
        cases=tuple(
            Case(case=f"{site}-{who}", patient=who, site=site, split="train", source="x.nii.gz")
            for site, who in cases
        ),
    )


def test_a_site_is_left_out_with_its_patients_wherever_they_were():
    left = without_sites(cohort(), ["B"])
    assert [case.case for case in left.cases] == ["A-p1", "C-p4"]


def test_unknown_sites_and_all_sites_are_refused():
    with pytest.raises(Problems, match="Unknown site of three 'D'"):
        without_sites(cohort(), ["D"])
    with pytest.raises(Problems, match="no site of three is left"):
        without_sites(cohort(), ["A", "B", "C"])


def test_the_verb_trains_without_a_site_and_the_model_says_so(own_store, tmp_path, capsys):
    from qa_suite.cli import run
    from qa_suite.evaluation.registered import registered_models
    from tests.tiny_cohort import make_tiny_cohort

    sites = make_tiny_cohort(tmp_path / "cohort", "ttttvvs").sites
    words = ["train", "intensity", str(tmp_path / "cohort"), "--no-preflight", "--name", "without"]
    more = ["--work", str(tmp_path / "work"), "--leave-out-site"]
    assert run([*words, *more, "nowhere"]) == 2
    told = capsys.readouterr().err
    assert "nowhere" in told and all(site in told for site in sites)
    assert not run([*words, *more, sites[-1]]), capsys.readouterr().err
    (model,) = registered_models()
    assert model["left_out_sites"] == sites[-1]
    assert sites[-1] not in model["training_sites"].split(",")
