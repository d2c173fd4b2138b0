"""What an audit says of shift: what was planted in the images stands behind the gap."""

import dataclasses
import html

import numpy as np
import pytest

from benchmarks.shift_cohorts import cohort, sizes
from qa_suite.audit.asked import AuditSettings
from qa_suite.audit.audit import audit_material
from qa_suite.audit.joined import Source, join
from qa_suite.core.records import Audit
from reports.html.audit import render_audit
from tests.audit_cases import profile, source

SITES = "ABCDEF"
SETTINGS = AuditSettings(primary=("mae:body",), divided_by=("site",))


def described(planted: dict, **error: float) -> Source:
    rows, cases = cohort(sizes(SITES, 15), np.random.default_rng(3), planted=planted, error=error)
    like = source(sites=SITES, patients=15)
    return dataclasses.replace(like, measurements=rows, cases=tuple(cases))


def audited(made: Source) -> Audit:
    return audit_material(join([made]), profile(), SETTINGS)


@pytest.fixture(scope="module")
def moved() -> Audit:
    return audited(described({("D", "source"): {"source_level": 4, "source_span": 4}}, D=3.0))


def test_the_image_that_moved_stands_behind_the_gap(moved):
    assert moved.shift is not None
    answers = {one.site: one.answer for one in moved.shift.whose}
    assert answers["D"] == "source"
    assert {answers[site] for site in "ABCEF"} == {"no gap shown"}
    images = {(one.site, one.image) for one in moved.shift.images if one.moved}
    assert images == {("D", "source")}


def test_a_gap_whose_images_are_alike_says_so():
    found = audited(described({}, D=3.0))
    assert found.shift is not None
    (one,) = [one for one in found.shift.whose if one.site == "D"]
    assert one.answer == "none shown"


def test_the_page_tells_it_and_of_whom(moved):
    page = render_audit(moved)
    assert moved.shift is not None
    assert moved.shift.spoken_of[:60] in page
    (behind,) = [one for one in moved.shift.whose if one.answer == "source"]
    assert behind.sentence in html.unescape(page)


def test_the_page_draws_how_far_the_images_lie_and_what_errors_do_there(moved):
    shift = moved.shift
    assert shift is not None and shift.distances is not None
    assert {one.site for one in shift.distances.patients} == set(SITES)
    unlike = [one for one in shift.distances.patients if one.unlike]
    assert unlike and {one.site for one in unlike} == {"D"}
    (plot,) = shift.plots
    assert (plot.metric, len(plot.points)) == ("mae", 15 * len(SITES))
    page = render_audit(moved)
    for drawn in ("Distance of source images", "MAE in body against distance"):
        assert f'aria-label="{drawn}"' in page
    assert shift.distances.sentences[3] in html.unescape(page)
    assert len(shift.protocols) == len(SITES) and shift.lacking == ()


def test_older_records_say_what_they_do_not_tell():
    like = described({})
    rows = like.measurements
    older = rows[~rows["metric"].isin(["source_shape", "source_texture"])]
    found = audited(dataclasses.replace(like, measurements=older)).shift
    assert found is not None and found.distances is not None
    assert len(found.distances.patients) == 15 * len(SITES)
    (said,) = found.lacking
    assert "texture at 2 mm" in said and "evaluate again" in said
    assert "noise" not in said


def test_an_audit_from_before_distances_is_read(moved):
    data = moved.model_dump(mode="json")
    for name in ("distances", "protocols", "lacking", "plots"):
        del data["shift"][name]
    older = Audit.model_validate(data)
    assert "the source moved" in render_audit(older)


def test_records_that_do_not_describe_their_images_say_so():
    found = audit_material(join([source(patients=5)]), profile(), SETTINGS)
    assert found.shift is None
    assert "do not say what the images look like" in render_audit(found)
