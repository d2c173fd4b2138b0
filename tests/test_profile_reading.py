"""Criteria files: everything that is wrong with one is said at once, with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.core.errors import InputError, Problems, QAError
from qa_suite.core.records import Criterion, Profile
from qa_suite.evaluation.profiles import load_profile
from tests.judging_record import BONE_DICE, Record, criterion, profile

HEAD = """\
schema_version: 1
name: mine
version: "1"
direction: MR->CT
anatomy: pelvis
intended_use: Tests.
criteria:
"""
GOOD = {
    "name": "body MAE",
    "metric": "mae",
    "region": "body",
    "bound": 70,
    "direction": "at_most",
    "unit": "HU",
    "scope": "each_site",
    "min_patients": 5,
    "source": "Local decision of the physics group.",
}
DICE = {"metric": "dice", "region": "seg:Bone", "unit": "1", "bound": 0.8, "direction": "at_least"}
SHARE = {"statistic": "fraction_within", "per_patient_bound": 90, "scope": "pooled", "bound": 0.9}
GAMMA = {
    "metric": "gamma_pass_rate",
    "variant": "photon-pelvis:2pct2mm",
    "unit": "%",
    "direction": "at_least",
    "bound": 95,
}
RANGE = {"metric": "wepl_difference_mean", "variant": "proton-pelvis", "region": "beam:G090",
         "unit": "mm", "direction": "within", "bound": 3}  # fmt: skip


def written(folder: Path, *criteria: dict[str, Any] | str, head: str = HEAD) -> Path:
    """Write a profile, a criterion a line in flow style, so that its line is known: 8, 9 …"""
    path = folder / "mine.yaml"
    lines = [
        one if isinstance(one, str) else yaml.safe_dump(one, default_flow_style=True, width=10**6)
        for one in criteria
    ]
    path.write_text(head + "".join(f"  - {line.strip()}\n" for line in lines), encoding="utf-8")
    return path


def said(path: Path, **more: Any) -> str:
    with pytest.raises(QAError) as caught:
        load_profile(path, **more)
    return str(caught.value)


def flow(**more: Any) -> str:
    """A criterion in flow style, with values as they are typed."""
    text = {key: value for key, value in GOOD.items() if key not in more}
    body = yaml.safe_dump(text, default_flow_style=True, width=10**6).strip()
    return body[:-1] + "".join(f", {key}: {value}" for key, value in more.items()) + "}"


BAD: list[tuple[dict[str, Any] | str, str]] = [
    # a bound on the wrong side of the measure
    (DICE | {"direction": "at_most"}, "dice is better when higher: it is bounded 'at_least'"),
    ({"direction": "at_least"}, "mae is better when lower: it is bounded 'at_most'"),
    ({"direction": "within"}, "mae is better when lower"),
    ({"metric": "me"}, "me is best at zero, and errs to both sides: it is bounded 'within'"),
    (GAMMA | {"direction": "at_most"}, "gamma_pass_rate is better when higher"),
    (RANGE | {"direction": "at_most"}, "wepl_difference_mean is best at zero"),
    # bounds that everything meets, or nothing
    (SHARE | {"bound": 0}, "a share of zero asks nothing"),
    (SHARE | {"bound": 1}, "no number of patients proves a share of 1"),
    (SHARE | {"bound": 95}, "a share between 0 and 1"),
    (DICE | {"bound": 0}, "every dice meets 0"),
    (DICE | {"bound": 80}, "no dice meets 80: its values lie between 0 and 1"),
    ({"bound": -1}, "no mae meets -1"),
    (GAMMA | {"bound": 0.95}, "gamma_pass_rate is told in %: write 95"),
    ({"bound": 7e9}, "asks nothing of mae"),
    ({"metric": "me", "direction": "within", "bound": 0}, "met by nothing that is measured"),
    ({"metric": "missed", "region": "seg:Bone", "unit": "1", "bound": 1}, "every missed meets 1"),
    # sources
    ({"source": ""}, "it is blank"),
    ({"source": "  \n "}, "it is blank"),
    ({"source": "TODO"}, "'TODO' is no source"),
    ({"source": "n/a"}, "'n/a' is no source"),
    ({"source": None}, "source: a text is needed"),
    # types
    (flow(bound="yes"), "'yes' is read as true"),
    (flow(bound="on"), "bound: a number is needed"),
    (flow(bound="true"), "bound: a number is needed"),
    (flow(bound="'70'"), "bound: a number is needed"),
    (flow(bound=".nan"), "bound: input should be a finite number"),
    (flow(bound=".inf"), "bound: input should be a finite number"),
    (flow(bound="1.0e+400"), "bound: input should be a finite number"),
    (flow(bound="1:30"), "'1:30' is no plain decimal number"),
    (flow(bound="0x46"), "'0x46' is no plain decimal number"),
    (flow(bound="070"), "'070' is no plain decimal number"),
    (flow(bound="7_0"), "'7_0' is no plain decimal number"),
    (flow(bound="70 HU"), "bound: a number is needed"),
    (flow(bound="[70]"), "bound: a number is needed"),
    (flow(bound="~"), "bound: a number is needed"),
    (flow(min_patients="5.5"), "min_patients: a whole number is needed"),
    (flow(min_patients="true"), "min_patients: a whole number is needed"),
    (flow(name="yes"), "name: a text is needed"),
    (flow(unit="1"), "unit: a text is needed"),
    # keys twice, and what stands elsewhere
    (flow() [:-1] + ", bound: 7}", "'bound' is there twice, in lines 8 and 8"),
    (flow()[:-1] + ", 'bound': 7}", "'bound' is there twice"),
    (flow(source="&a Local decision, rationale: *a"), "'*a' stands for what is written elsewhere"),
    (flow(**{"<<": "{bound: 7}"}), "'<<' takes values from elsewhere"),
    (flow(bonus="5"), "bonus: unknown key"),
    # names that are not known
    ({"metric": "maee"}, "there is no metric 'maee'; did you mean mae"),
    ({"metric": "family"}, "there is no metric 'family'"),
    ({"region": "boddy"}, "mae has no region 'boddy'; did you mean body"),
    ({"region": "seg:Bone"}, "mae has no region 'seg:Bone'"),
    (DICE | {"region": "bone"}, "dice has no region 'bone'"),
    ({"region": "structure:"}, "mae has no region 'structure:'"),
    ({"region": "shell:5-mm"}, "mae has no region 'shell:5-mm'; did you mean shell:"),
    ({"variant": "cbct"}, "mae has no variant 'cbct'"),
    (GAMMA | {"variant": "photon-pelvis"}, "it has photon-pelvis:2pct2mm (an example)"),
    (GAMMA | {"variant": "photon-pelvis:2mm2pct"}, "has no variant 'photon-pelvis:2mm2pct'"),
    (RANGE | {"region": "G090"}, "wepl_difference_mean has no region 'G090'"),
    ({"metric": "fid", "region": "all", "unit": "1"}, "fid is told of sets of images"),
    # units
    ({"unit": "mm"}, "mae is told in 'HU', not in 'mm'"),
    (DICE | {"unit": "%"}, "dice is told in '1', not in '%'"),
    # extremes, confidence, patients
    ({"statistic": "min"}, "the extreme to bound is max at_most or min at_least"),
    ({"statistic": "median", "scope": "worst_patient"}, "the worst patient has no median"),
    ({"confidence": 95}, "confidence: input should be less than 1"),
    ({"confidence": 0.51}, "0.51 is no confidence to judge by"),
    ({"confidence": 0.99999}, "is no confidence to judge by"),
    ({"min_patients": 0}, "min_patients: input should be greater than or equal to 1"),
    ({"min_patients": 1}, "one patient has no interval"),
    ({"min_patients": 10**7}, "more than anybody has"),
    ({"missed_penalty": 10}, "the missed_penalty 10 would meet the bound of 70"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "sentence"), BAD, ids=[sentence[:40] for _, sentence in BAD])
def test_a_bad_criterion_is_refused_with_its_line(tmp_path, wrong, sentence):
    one = wrong if isinstance(wrong, str) else GOOD | wrong
    other = GOOD | {"name": "other", "region": "bone"}
    text = said(written(tmp_path, other, one))
    assert text.startswith(f"{tmp_path / 'mine.yaml'} has ")
    assert "line 9: " in text.replace("lines 8 and 8", "") and "line 8" not in text
    assert sentence.replace("lines 8 and 8", "lines 9 and 9") in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "../../etc/passwd"}, "line 2: name: '../../etc/passwd' cannot name"),
        ({"name": "/tmp/x"}, "cannot name"),
        ({"name": "a\\\\b"}, "cannot name"),
        ({"name": "'a:b'"}, "cannot name"),
        ({"name": "'a b'"}, "cannot name"),
        ({"name": "'.hidden'"}, "cannot name"),
        ({"name": "ends."}, "cannot name"),
        ({"name": "'*'"}, "cannot name"),
        ({"name": "nul"}, "cannot name"),
        ({"name": "ä"}, "cannot name"),
        ({"name": "x" * 300}, "cannot name"),
        ({"name": "''"}, "cannot name"),
        ({"version": "2.0"}, "line 3: version: a text is needed"),
        ({"version": "''"}, "version: it is blank"),
        ({"direction": "MR to CT"}, "is no direction; write it as MR->CT"),
        ({"direction": "->CT"}, "is no direction"),
        ({"anatomy": "' '"}, "line 5: anatomy: it is blank"),
        ({"intended_use": "''"}, "line 6: intended_use: it is blank"),
        ({"schema_version": "7"}, "line 1: schema_version"),
        ({"schema_version": "true"}, "line 1: schema_version"),
    ],
)  # fmt: skip
def test_a_bad_head_is_refused_with_its_line(tmp_path, change, sentence):
    ((key, value),) = change.items()
    lines = [f"{key}: {value}" if line.startswith(f"{key}:") else line for line in HEAD.split("\n")]
    assert sentence in said(written(tmp_path, GOOD, head="\n".join(lines)))


def test_everything_is_said_at_once(tmp_path):
    wrong = [
        GOOD | DICE | {"direction": "at_most", "source": " ", "unit": "%"},
        flow(bound="yes", metric="maee"),
        flow(name="again")[:-1] + ", bound: 7}",
        GOOD | {"name": "body MAE", "bound": 80, "confidence": 2},
    ]
    head = HEAD.replace("name: mine", "name: a/b")
    text = said(written(tmp_path, *wrong, head=head))
    for what in (
        "line 2: name: 'a/b' cannot",
        "line 8: criteria.0.direction",
        "line 8: criteria.0.source",
        "line 8: criteria.0.unit",
        "line 9: 'yes' is read as true",
        "line 9: criteria.1.bound",
        "line 9: criteria.1.metric",
        "line 10: 'bound' is there twice, in lines 10 and 10",
        "line 11: criteria.3.confidence",
        "two criteria are named 'body MAE'",
        "it asks the same as",
    ):
        assert what in text, what
    lines = [int(part.split(":")[0]) for part in text.split("line ")[1:]]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    "twice",
    [
        {"name": "b", "bound": 80},
        {"name": "b", "confidence": 0.9},
        {"name": "b", "min_patients": 9, "source": "Another decision."},
    ],
)
def test_one_measure_and_scope_is_bounded_once(tmp_path, twice):
    text = said(written(tmp_path, GOOD, GOOD | twice))
    assert "line 9: criteria.1 ('b'): it asks the same as 'body MAE'" in text


def test_worst_patients_are_the_same_by_any_statistic(tmp_path):
    worst = GOOD | {"scope": "worst_patient"}
    more = worst | {"name": "b", "statistic": "max"}
    assert "it asks the same as" in said(written(tmp_path, worst, more))


def test_what_may_stand_side_by_side(tmp_path):
    two = [
        GOOD,
        GOOD | {"name": "worst", "scope": "worst_patient"},
        GOOD | {"name": "median", "statistic": "median"},
        GOOD | {"name": "bone", "region": "bone"},
        GOOD | SHARE | {"name": "share"},
        GOOD | SHARE | {"name": "stricter share", "per_patient_bound": 120, "bound": 0.95},
        GOOD | DICE | {"name": "by a network", "variant": "my-segmenter"},
        GOOD | GAMMA | {"name": "of a plan of one's own", "variant": "clinic:3pct2mm"},
        GOOD | {"name": "shell", "region": "shell:>20mm"},
        GOOD | {"name": "organ", "region": "structure:Bladder wall"},
    ]
    assert len(load_profile(written(tmp_path, *two)).criteria) == len(two)


def test_a_measure_without_a_meaning_for_the_direction_is_refused(tmp_path):
    head = HEAD.replace("MR->CT", "MR->PT")
    text = said(written(tmp_path, GOOD | DICE, GOOD | {"name": "b"}, head=head))
    assert "dice has no meaning for a PT" in text
    assert "mae is told in 'SUVbw', not in 'HU'" in text


def test_a_direction_of_any_has_any_unit(tmp_path):
    head = HEAD.replace("MR->CT", "any")
    assert load_profile(written(tmp_path, GOOD | {"unit": "SUVbw"}, head=head))


def test_a_described_measure_is_held_to_the_registry_too(tmp_path):
    path = written(tmp_path, GOOD)
    path.write_text(path.read_text() + "describe:\n  - {metric: maee, region: body}\n")
    assert "line 10: describe.0.metric: there is no metric 'maee'" in said(path)


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "[" * 5000, "a: 2026-13-45\nb: !!int x", "a: !!int x", "--- 1\n--- 2"]
)
def test_yaml_that_is_none_or_endless_is_one_sentence(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.yaml"):
        load_profile(path)


def test_a_thousand_laughs_are_one_sentence(tmp_path):
    path = tmp_path / "mine.yaml"
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path.write_text("a0: &a0 lol\n" + "\n".join(rows))
    with pytest.raises(InputError, match=r"mine\.yaml holds more than"):
        load_profile(path)


def odd(key: str) -> list[str]:
    """Values that no field of a profile takes, by what it is."""
    if key in ("describe", "criteria"):
        return ["yes", "1", "text", "{a: 1}"]
    if key in ("exclude", "hazards"):
        return ["yes", "1", "text"]
    return ["yes", ".nan", "-.inf", "[1]", "{a: 1}", "!!binary aGk="]


@pytest.mark.parametrize("key", list(Criterion.model_fields))
def test_no_field_of_a_criterion_takes_what_it_is_not(tmp_path, key):
    for value in odd(key):
        text = said(written(tmp_path, flow(**{key: value})))
        assert "mine.yaml" in text and ("line 8" in text), (key, value, text)


@pytest.mark.parametrize("key", [k for k in Profile.model_fields if k != "criteria"])
def test_no_field_of_a_profile_takes_what_it_is_not(tmp_path, key):
    kept = "\n".join(line for line in HEAD.split("\n") if not line.startswith(f"{key}:"))
    for value in odd(key):
        text = said(written(tmp_path, GOOD, head=f"{key}: {value}\n{kept}"))
        assert "mine.yaml" in text and "line 1" in text, (key, value, text)


def test_a_stored_profile_is_read_though_a_file_like_it_is_refused():
    """A verdict's profile is read as it was written: checks of files are stricter."""
    old = profile(criterion(source="x", direction="at_least", name="a/b", min_patients=1))
    assert Profile.model_validate_json(old.model_dump_json()) == old


# ---------------------------------------------------------------------------------------
# Against the record


def test_a_bound_on_the_wrong_side_is_refused_by_the_record(monkeypatch):
    record = Record()
    plain = record.evaluation()
    definitions = {
        "dice": {"direction": "higher", "unit": "1"},
        "mae": {"direction": "lower", "unit": "HU"},
    }
    told = plain.model_copy(update={"definitions": definitions})
    monkeypatch.setattr(record, "evaluation", lambda: told)
    with pytest.raises(InputError, match="bounds dice 'at_most', which passes what is worse"):
        record.judge(profile(BONE_DICE.model_copy(update={"direction": "at_most"})))
    wrong = criterion(direction="at_least", unit="mm")
    with pytest.raises(Problems) as caught:
        record.judge(profile(wrong, BONE_DICE.model_copy(update={"direction": "at_most"})))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"region": "boddy"}, "the record holds mae in body"),
        ({"variant": "synthrad2023"}, "the record holds mae in body as default"),
        ({"metric": "maes"}, "the record holds mae"),
    ],
)
def test_a_measure_that_the_record_holds_for_no_case_names_what_it_holds(change, sentence):
    verdict = Record().judge(profile(criterion(scope="pooled", **change)))
    (found,) = verdict.findings
    assert found.outcome == "inconclusive"
    assert sentence in found.sentence


def test_a_measure_of_the_record_needs_no_registry(tmp_path):
    """A profile on another package's metric is read where the package is not installed."""
    record = Record()
    folder = tmp_path / "record"
    folder.mkdir()
    record.write(folder)
    acme = {"family": "acme", "unit": "HU", "direction": "lower", "range": "[0, inf)"}
    told = json.loads((folder / "evaluation.json").read_text())
    told["definitions"]["acme_spread"] = acme
    (folder / "evaluation.json").write_text(json.dumps(told))
    path = written(tmp_path, GOOD | {"metric": "acme_spread", "region": "anywhere"})
    assert "there is no metric 'acme_spread'" in said(path)
    assert load_profile(path, record=folder).criteria[0].metric == "acme_spread"
