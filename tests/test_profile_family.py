"""Primary criteria and margins of the shipped profiles: audit and compare need no more."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from qa_suite.audit.asked import MOST_PRIMARY, AuditSettings
from qa_suite.audit.audit import audit_material
from qa_suite.audit.compare import CompareSettings, compare_sources
from qa_suite.audit.joined import Source, join
from qa_suite.core.errors import Problems
from qa_suite.core.records import Criterion, Measurement, Profile, margin_of
from qa_suite.evaluation.profiles import load_profile
from qa_suite.judging.criteria import list_profiles
from qa_suite.judging.judge import judge_tables, profile_digest
from qa_suite.metrics.run import METRICS
from tests.audit_cases import source

ROOT = Path(__file__).parent.parent
SHIPPED = list_profiles()
CLINICAL = [profile for profile in SHIPPED if profile.clinical]
BAD_SITE = "H"
BY_SITE = AuditSettings(divided_by=("site",))
every_clinical = pytest.mark.parametrize("profile", CLINICAL, ids=lambda one: one.name)


def primary_of(profile: Profile) -> list[Criterion]:
    by_name = {one.name: one for one in profile.criteria}
    return [by_name[name] for name in profile.primary]


def drawn(
    profile: Profile, *, worse: float = 0.0, at: str = "", seed: int = 3, evaluation: str = "0" * 16
) -> Source:
    """Draw a record of a profile's primary measures; ``worse`` times its margin at one site."""
    made, rng, rows = source(patients=20, evaluation=evaluation), np.random.default_rng(seed), []
    for criterion in primary_of(profile):
        margin = margin_of(profile.margins[criterion.name])
        for case in made.cases:
            shift = worse * margin if at in ("", case.site) else 0.0
            value = margin * (0.2 + 0.1 * rng.standard_normal()) + shift
            value = 99 - value if criterion.direction == "at_least" else value
            rows.append(
                Measurement(
                    case=case.case,
                    patient=case.patient,
                    site=case.site,
                    family=METRICS[criterion.metric].facts.family,
                    metric=criterion.metric,
                    region=criterion.region,
                    variant=criterion.variant,
                    value=float(value),
                    unit=criterion.unit,
                )
            )
    record = made.evaluation
    definitions = {
        one.metric: METRICS[one.metric].facts.model_dump(mode="json") for one in profile.criteria
    }
    cohort = {"direction": profile.direction, "anatomy": profile.anatomy}
    model = {"direction": profile.direction, "name": f"model-{seed}", "version": str(seed)}
    return dataclasses.replace(
        made,
        evaluation=record.model_copy(
            update={
                "definitions": definitions,
                "cohort": record.cohort.model_copy(update=cohort),
                "model": record.model.model_copy(update=model),
            }
        ),
        measurements=pd.DataFrame([row.model_dump() for row in rows]),
    )


@every_clinical
def test_a_clinical_profile_declares_a_small_family_and_its_margins(profile: Profile) -> None:
    assert 2 <= len(profile.primary) <= MOST_PRIMARY
    assert set(profile.margins) == set(profile.primary)
    assert profile.primary_source and profile.primary_rationale
    for criterion in primary_of(profile):
        stated = profile.margins[criterion.name]
        assert not isinstance(stated, float) and stated.source and stated.rationale
        assert (criterion.statistic, criterion.scope) == ("mean", "each_site")
        if criterion.direction == "within":  # a model at the margin has room left to the bound
            assert stated.margin <= criterion.bound / 2
    regions = {criterion.region for criterion in primary_of(profile)}
    assert "target" in regions
    beams = {c.region for c in profile.criteria if c.region.startswith("beam:")}
    assert beams <= regions, "protons fail by range first"


@every_clinical
def test_an_audit_asks_them_without_an_option(profile: Profile) -> None:
    clean = audit_material(join([drawn(profile)]), profile, BY_SITE)
    bad = audit_material(join([drawn(profile, worse=0.25, at=BAD_SITE)]), profile, BY_SITE)
    wanted = [(one.metric, one.region, one.variant) for one in primary_of(profile)]
    for found in (clean, bad):
        asked = [(m.metric, m.region, m.variant) for m in found.measures if m.primary]
        assert asked == wanted
    assert clean.outcome == "none_named" and bad.outcome == "named"
    named = {(one.dimension, one.cell) for one in bad.findings if one.test and one.test.named}
    assert ("site", BAD_SITE) in named


@every_clinical
@pytest.mark.parametrize("asked", ["non-inferiority", "equivalence"])
@pytest.mark.parametrize(("worse", "answer"), [(0.0, "yes"), (2.0, "no"), (1.0, "undecided")])
def test_a_comparison_has_its_margins_without_an_option(
    profile: Profile, asked: str, worse: float, answer: str
) -> None:
    old = drawn(profile)
    new = drawn(profile, worse=worse, seed=4, evaluation="9" * 16)
    found = compare_sources(new, old, profile, CompareSettings(asked=asked))
    margins = {one.metric + one.region: one.margin for one in found.findings if one.primary}
    assert margins == {
        one.metric + one.region: margin_of(profile.margins[one.name]) for one in primary_of(profile)
    }
    assert found.answer == answer


def test_an_option_has_the_last_word_on_a_margin() -> None:
    profile = CLINICAL[0]
    one = primary_of(profile)[0]
    key = f"{one.metric}:{one.region}[{one.variant}]"
    settings = CompareSettings(asked="equivalence", margins={key: 7.0})
    found = compare_sources(
        drawn(profile, seed=4, evaluation="9" * 16), drawn(profile), profile, settings
    )
    assert 7.0 in {finding.margin for finding in found.findings}


FAMILY = """\
primary: [body ME]
primary_source: Decision of the physics group.
primary_rationale: A bias shifts every dose.
margins:
  body ME: {margin: 5, source: Decision of the physics group, rationale: A third of the bound.}
"""


def changed(tmp_path: Path, family: str) -> Path:
    text = (ROOT / "qa_suite/judging/criteria/demo-pelvis.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("exclude: {}\n", f"{family}exclude: {{}}\n"), encoding="utf-8")
    return path


def test_a_family_of_ones_own_is_read(tmp_path: Path) -> None:
    profile = load_profile(changed(tmp_path, FAMILY))
    assert profile.primary == ("body ME",) and margin_of(profile.margins["body ME"]) == 5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("primary_source: Decision of the physics group.\n", "", "primary_source: field required"),
        ("A bias shifts every dose.", "TODO", "primary_rationale: field required"),
        ("margin: 5", "margin: 0", "margins.body ME.margin: input should be greater than 0"),
        ("margin: 5", "margin: 15", "not below the bound of 15"),
        ("  body ME: {", "  body MAE of the worst patient: {", "bounds no mean over patients"),
        ("  body ME: {", "  body Me: {", "margins names body Me, which is no criterion here"),
        ("primary: [body ME]", "primary: [body me]", "primary names body me"),
        (
            "{margin: 5, source: Decision of the physics group, rationale: A third of the bound.}",
            "5",
            "margins.body ME: schema 2 asks for its source and rationale; write '{margin: 5,",
        ),
        ("source: Decision of the physics group, r", "source: tbd, r", "'tbd' is no source"),
        (", rationale: A third of the bound.", "", "margins.body ME.rationale: field required"),
    ],
)
def test_a_family_that_says_too_little_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in FAMILY
    with pytest.raises(Problems, match=re.escape(said)):
        load_profile(changed(tmp_path, FAMILY.replace(old, new)))


# Whether an exam has shown what the bounds catch


def exams() -> dict[str, tuple[str, str]]:
    """Return the page of each exam and the version of its table, by the profile that judged it."""
    found = {}
    for page in (ROOT / "docs").rglob("exam.md"):
        text = page.read_text(encoding="utf-8")
        (name,) = set(
            re.findall(r"^Candidate \w+, one clean cohort: \w+ under ([\w-]+)", text, re.M)
        )
        (version,) = re.findall(r"\*\*version (\S+)\*\*\s+of the profile", text)
        found[name] = (str(page.relative_to(ROOT)), version)
    return found


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda one: one.name)
def test_what_was_examined_is_what_the_pages_of_the_exams_say(profile: Profile) -> None:
    exam = profile.examined
    assert exam is not None
    if profile.name in exams():
        assert (exam.page, exam.version) == exams()[profile.name] and exam.on == "virtual pelves"
    else:
        assert exam.on == "none" and exam.because and profile.exam.startswith("none: ")


def test_the_profile_of_the_exam_is_the_version_that_was_examined() -> None:
    assert exams()["mr-to-ct-pelvis"][0] == "docs/exam.md"
    pelvis = load_profile("mr-to-ct-pelvis")
    assert pelvis.exam == f"virtual pelves, version {pelvis.version} (docs/exam.md)"
    later = pelvis.model_copy(update={"version": "99"})
    assert later.exam == f"virtual pelves, version {pelvis.version}, not this 99 (docs/exam.md)"


def test_an_exam_makes_no_other_profile_of_the_bounds() -> None:
    shipped = load_profile("mr-to-ct-pelvis")
    silent = shipped.model_copy(update={"examined": None})
    assert profile_digest(silent) == profile_digest(shipped)
    looked_up = [c.model_copy(update={"confirmed": not c.confirmed}) for c in shipped.criteria]
    again = shipped.model_copy(update={"criteria": tuple(looked_up)})
    assert profile_digest(again) == profile_digest(shipped), "a source that was looked up"
    other = [c.model_copy(update={"source": "another"}) for c in shipped.criteria]
    assert profile_digest(shipped.model_copy(update={"criteria": tuple(other)})) != profile_digest(
        shipped
    )
    assert profile_digest(shipped.model_copy(update={"version": "4"})) != profile_digest(shipped)


@every_clinical
def test_a_verdict_says_that_its_profile_was_never_examined(profile: Profile) -> None:
    made = drawn(profile)
    verdict = judge_tables(made.evaluation, made.measurements, made.cases, profile, gaps=False)
    assert profile.examined is not None
    (said,) = [one for one in verdict.notices if one.startswith("No exam has shown")]
    assert f"{profile.name} {profile.version}" in said and profile.examined.because in said


def test_an_exam_says_where_it_stands_and_none_says_why(tmp_path: Path) -> None:
    text = (ROOT / "qa_suite/judging/criteria/demo-pelvis.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    path = tmp_path / "mine.yaml"
    for exam, said in (
        ({"on": "none"}, "an exam on 'none' says its because"),
        ({"on": "our phantom"}, "an exam on 'our phantom' says its page"),
        ({"on": "none", "because": "no time", "version": "1"}, "neither its version nor its page"),
    ):
        path.write_text(yaml.safe_dump(data | {"examined": exam}), encoding="utf-8")
        with pytest.raises(Problems, match=said):
            load_profile(path)
