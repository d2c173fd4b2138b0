"""Hospitals that share no image: what leaves them, what is found in it, and what is refused."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.audit.asked import AuditSettings
from qa_suite.audit.audit import audit_material
from qa_suite.audit.joined import Source, join, read_source
from qa_suite.bundles.bundle import facts_of, opened, pack, prepare, write_bundle
from qa_suite.bundles.merge import Accepted, merge
from qa_suite.bundles.stripped import Keys, banded, without_paths
from qa_suite.cli import run
from qa_suite.core.errors import Problems
from qa_suite.core.record_files import read_cases, read_evaluation
from qa_suite.core.records import Audit
from qa_suite.core.signing import keys
from qa_suite.core.signing.reviewers import Reviewers
from qa_suite.core.signing.signatures import signed_with
from tests.audit_cases import PRIMARY, at_site, profile, source, write

PHRASE = "correct horse battery"
NOW = datetime.now(UTC)
SETTINGS = AuditSettings(primary=PRIMARY)
STUDY = b"s" * 32
HOSPITALS = ("AB", "CD", "EF")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hospitals with two sites each, one of them bad, and a key."""
    place = tmp_path_factory.mktemp("hospitals")
    for number, sites in enumerate(HOSPITALS):
        one = source(
            seed=number + 1,
            sites=tuple(sites),
            patients=14,
            change=at_site("F", 2.5),
            name=f"hospital-{sites}",
            evaluation=str(number) * 16,
            prefix="case ",
        )
        write(one, place / sites)
    (place / "key.txt").write_text(keys.make_key(place / "ada.pem", PHRASE))
    return place


def reviewers(place: Path) -> Reviewers:
    days = {
        "valid_from": NOW.date() - timedelta(days=1),
        "valid_until": NOW.date() + timedelta(days=1),
    }
    person = {
        "name": "Ada",
        "role": "physicist",
        "keys": [{"key": (place / "key.txt").read_text(), **days}],
    }
    return Reviewers.model_validate({"reviewers": [person]})


def bundled(
    place: Path, out: Path, sites: str, *, study: bytes | None = STUDY, small: int = 5
) -> Path:
    stripped, sign = prepare(place / sites, study, small_below=small)
    files = pack(place / sites, stripped, sign, small_below=small)
    at = NOW.isoformat(timespec="seconds")
    facts = facts_of(files, name="Ada", role="physicist", at=at, comment="")
    return write_bundle(
        out / f"{sites}.qabundle", files, signed_with(facts, place / "ada.pem", PHRASE)
    )


def merged(place: Path, paths: list[Path], **more: Any) -> Audit:
    more = {"accepted": Accepted(unlocked=True), **more}
    with opened(paths) as bundles:
        material = merge(
            bundles, profile(), reviewers(place), now=NOW + timedelta(minutes=1), **more
        )
        return audit_material(material, profile(), SETTINGS)


def figures(found: Audit) -> Any:
    """What an audit says but for who was in it: identifiers, notices, and their words."""
    said = found.model_dump(mode="json")
    for key in ("audit", "evaluations", "notices", "undivided"):
        del said[key]
    return said


@pytest.fixture(scope="module")
def bundles(place: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("bundles")
    return [bundled(place, out, sites, small=2) for sites in HOSPITALS]


def nearly(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two audits differ by more than the last digits of their numbers."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return [x for key in one for x in nearly(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            x
            for n, (a, b) in enumerate(zip(one, other, strict=True))
            for x in nearly(a, b, f"{where}[{n}]")
        ]
    if isinstance(one, float) and isinstance(other, float):
        return (
            [] if one == pytest.approx(other, rel=1e-12, abs=1e-12) else [f"{where}: {one} {other}"]
        )
    return [] if one == other else [f"{where}: {one} {other}"]


# ---------------------------------------------------------------------------------------
# The merge is the audit of the union


def suppressed(place: Path, bundles: list[Path]) -> list[Source]:
    """Return the hospitals' own records without what the bundles do not tell."""
    found = []
    with opened(bundles) as unpacked:
        for sites, one in zip(HOSPITALS, unpacked, strict=True):
            mine, told = read_source(place / sites), {c.case: c for c in read_cases(one.folder)}
            cases = []
            for case in mine.cases:
                given = told[Keys(STUDY).of("case", case.case)].strata
                left = {
                    fact: case.strata[fact] if said not in (None, "unknown") else said
                    for fact, said in given.items()
                }
                cases.append(case.model_copy(update={"strata": left}))
            found.append(replace(mine, cases=tuple(cases)))
    return found


def test_the_merge_of_three_bundles_is_the_audit_of_the_union(place, bundles) -> None:
    whole = audit_material(join(suppressed(place, bundles)), profile(), SETTINGS)
    found = merged(place, bundles)
    assert whole.outcome == found.outcome == "named"
    assert [(f.dimension, f.cell) for f in found.findings if f.test and f.test.named] == [
        ("site", "F")
    ]
    assert nearly(figures(found), figures(whole)) == []


def test_the_order_of_bundles_says_nothing(place, bundles) -> None:
    assert figures(merged(place, bundles[::-1])) == figures(merged(place, bundles))


def test_a_hospital_that_withdraws_is_left_out(place, bundles) -> None:
    without = merged(place, bundles[:2])
    assert figures(merged(place, bundles, leave_out=("E", "F"))) == figures(without)
    with pytest.raises(Problems, match="Z is left out"):
        merged(place, bundles, leave_out=("Z",))


def test_a_patient_of_two_hospitals_is_seen_by_a_shared_key_alone(place, tmp_path) -> None:
    twin = source(
        seed=1, sites=("A", "B"), patients=14, name="again", prefix="case ", evaluation="7" * 16
    )
    write(twin, tmp_path / "XY")
    for study, patients in ((STUDY, 28), (None, 56)):
        one, two = (
            bundled(place, tmp_path, "AB", study=study),
            bundled_as(place, tmp_path, "XY", study),
        )
        found = merged(place, [one, two])
        assert found.measures[0].patients == patients
        assert any(
            ("share a study key" in x) == (study is not None) and "study key" in x
            for x in found.notices
        )


def bundled_as(place: Path, out: Path, sites: str, study: bytes | None) -> Path:
    (out / "ada.pem").write_bytes((place / "ada.pem").read_bytes())
    return bundled(out, out, sites, study=study)


# ---------------------------------------------------------------------------------------
# What leaves a hospital


def everything(path: Path) -> str:
    """Every text of a bundle, tables included."""
    import io

    import pandas as pd

    with zipfile.ZipFile(path) as archive:
        said = []
        for name in archive.namelist():
            content = archive.read(name)
            table = name.endswith(".parquet")
            said.append(
                pd.read_parquet(io.BytesIO(content)).to_csv() if table else content.decode()
            )
    return "\n".join(said)


def test_no_name_date_or_path_leaves(place: Path, tmp_path: Path) -> None:
    canary = "Zebedee"
    folder = tmp_path / "AB"
    one = source(sites=("A", "B"), patients=6, name="hospital", prefix="zz-case-")
    cases = tuple(
        case.model_copy(
            update={
                "history": (f"{canary} was here",),
                "remarks": (f"{canary} said",),
                "volumes": {"synthetic": f"{canary}.nii.gz"},
                "status": "refused" if n == 0 else "evaluated",
                "reason": f"{canary} moved" if n == 0 else "",
            }
        )
        for n, case in enumerate(one.cases)
    )
    lost = cases[0].case
    evaluation = one.evaluation.model_copy(
        update={
            "notices": (f"{canary} overrode it.",),
            "settings": {
                **one.evaluation.settings,
                "clinic_files": {f"/home/{canary}/plan.dcm": "0"},
            },
        }
    )
    rows = one.measurements[one.measurements["case"] != lost]
    write(replace(one, cases=cases, evaluation=evaluation, measurements=rows), folder)
    (tmp_path / "ada.pem").write_bytes((place / "ada.pem").read_bytes())
    text = everything(bundled(tmp_path, tmp_path, "AB"))
    assert canary not in text
    for case in one.cases:
        assert case.case not in text and case.patient not in text
    signed = json.loads(zipfile.ZipFile(tmp_path / "AB.qabundle").read("signature.json"))
    text = text.replace(signed["statement"]["at"], "")
    assert not re.search(r"\b20\d\d-\d\d-\d\d", text), "a date"
    assert not re.search(r"\.nii|/home/", text)


@pytest.mark.parametrize("small", [2, 5, 9])
def test_every_value_that_is_told_is_shared(place: Path, tmp_path: Path, small: int) -> None:
    path = bundled(place, tmp_path, "CD", small=small)
    with opened([path]) as (one,):
        cases = read_cases(one.folder)
        told = {x.fact for x in one.bundle.suppressed}
    for fact in {fact for case in cases for fact in case.strata}:
        for site in "CD":
            sharing: dict[Any, set[str]] = {}
            for case in cases:
                value = case.strata.get(fact)
                if case.site == site and value not in (None, "unknown"):
                    sharing.setdefault(value, set()).add(case.patient)
            assert all(len(patients) >= small for patients in sharing.values()), fact
    lost = {c: v for c, v in ((c.case, c.strata["sex"]) for c in cases) if v is None}
    assert bool(lost) == ("sex" in told)


@pytest.mark.parametrize(
    ("fact", "value", "band"),
    [
        ("body_width_mm", 399.9, 375.0),
        ("body_width_mm", 400.0, 425.0),
        ("scan_interval_days", 0, 0),
        ("scan_interval_days", 8, 14),
        ("scan_interval_days", 99, 29),
        ("echo_time_ms", 4.602, 4.6),
        ("sex", "F", "F"),
        ("sex", None, None),
    ],
)
def test_facts_are_told_in_bands(fact: str, value: Any, band: Any) -> None:
    assert banded(fact, value) == band


def test_paths_lose_their_folders() -> None:
    said = {"/home/z/a.yaml": ["C:\\Users\\z\\b.csv", "../z/c", "HU/1000", "a / b", "~/d"]}
    assert without_paths(said) == {"a.yaml": ["b.csv", "c", "HU/1000", "a / b", "d"]}


def test_names_of_a_study_follow_from_its_key() -> None:
    one, other = Keys(b"a" * 32), Keys(b"b" * 32)
    assert one.of("patient", "x") == Keys(b"a" * 32).of("patient", "x")
    assert len({one.of("patient", "x"), one.of("case", "x"), other.of("patient", "x")}) == 3


def test_a_bundle_is_itself_a_record(place: Path, bundles: list[Path]) -> None:
    with opened(bundles) as found:
        assert {len(read_evaluation(one.folder).cohort.sites) for one in found} == {2}


def test_the_same_content_gives_the_same_bytes(place: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = bundled(place, tmp_path / "one", "AB"), bundled(place, tmp_path / "two", "AB")
    assert one.read_bytes() == two.read_bytes()


# ---------------------------------------------------------------------------------------
# What is refused


def spoilt(path: Path, out: Path, name: str, change: Any) -> Path:
    with zipfile.ZipFile(path) as archive:
        files = {n: archive.read(n) for n in archive.namelist()}
    files[name] = change(files[name])
    with zipfile.ZipFile(out, "w") as archive:
        for n, content in files.items():
            archive.writestr(n, content)
    return out


@pytest.mark.parametrize(
    "name", ["bundle.json", "evaluation.json", "cases.parquet", "measurements.parquet"]
)
def test_a_changed_file_is_refused(place, bundles, tmp_path, name: str) -> None:
    path = spoilt(bundles[0], tmp_path / "x", name, lambda content: content + b" ")
    with pytest.raises(Problems, match=f"changed after it was made: {name}"):
        merged(place, [path, *bundles[1:]])


def test_a_signature_that_does_not_count_is_refused_or_told(place, bundles, tmp_path) -> None:
    def other(content: bytes) -> bytes:
        said = json.loads(content)
        said["statement"]["name"] = "Eve"
        return json.dumps(said).encode()

    path = spoilt(bundles[0], tmp_path / "x.qabundle", "signature.json", other)
    with pytest.raises(Problems, match="not genuine"):
        merged(place, [path, *bundles[1:]])
    found = merged(place, [path, *bundles[1:]], accepted=Accepted(unlocked=True, unconfirmed=True))
    assert any("x.qabundle" in notice and "--unconfirmed" in notice for notice in found.notices)


def test_without_a_lock_it_is_refused_every_hospital_named(place, bundles) -> None:
    with pytest.raises(Problems) as caught:
        merged(place, bundles, accepted=Accepted())
    assert len(caught.value.problems) == 3


def test_the_same_bundle_twice_is_refused(place, bundles, tmp_path) -> None:
    copy = tmp_path / "copy.qabundle"
    copy.write_bytes(bundles[0].read_bytes())
    with pytest.raises(Problems, match="same evaluation"):
        merged(place, [bundles[0], copy])


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"\x00" * 100])
def test_what_is_no_bundle_is_one_sentence(place, tmp_path, content: bytes) -> None:
    path = tmp_path / "x.qabundle"
    path.write_bytes(content)
    with pytest.raises(Problems, match="no bundle"):
        merged(place, [path])


def test_the_commands_from_bundle_to_merge(place, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("phrase").write_text(PHRASE)
    Path("study").write_text("s" * 40)
    Path("reviewers.yaml").write_text(yaml.safe_dump(reviewers(place).model_dump(mode="json")))
    Path("profile.yaml").write_text(yaml.safe_dump(profile().model_dump(mode="json")))
    who = ["--name", "Ada", "--role", "physicist", "--study-key", "study"]
    for sites in HOSPITALS:
        words = ["bundle", str(place / sites), f"{sites}.qabundle", "--key", str(place / "ada.pem")]
        assert run([*words, "--passphrase-file", "phrase", *who]) == 0
    assert run([*words, "--passphrase-file", "phrase", *who]) == 2
    assert "--replace" in capsys.readouterr().err
    paths = [f"{sites}.qabundle" for sites in HOSPITALS]
    words = ["merge", *paths, "--profile", "profile.yaml", "--primary", ",".join(PRIMARY)]
    words += ["--reviewers", "reviewers.yaml", "--out", "joined", "--no-track"]
    assert run(words) == 2
    assert "--unlocked" in capsys.readouterr().err
    assert run([*words, "--unlocked", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "named"
    assert (tmp_path / "joined" / "audit.html").is_file()
