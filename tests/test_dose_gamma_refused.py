"""What γ refuses to compare or to be asked for, each in one sentence."""

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.dose.gamma import parse_criteria
from tests.gamma_cases import TWO, one, replace_local, smooth


def broken(how):
    a, b = smooth(), smooth(scale=1.01)
    spoilt = b.array.copy()
    if how == "nan":
        spoilt[3, 3, 3] = np.nan
        return a, b.with_array(spoilt)
    if how == "nan in the reference":
        spoilt[3, 3, 3] = np.inf
        return a.with_array(spoilt), b
    if how == "cGy":
        return a, b.with_array(b.array * 100)
    if how == "HU":
        return a, replace(b, quantity="HU")
    if how == "no dose":
        return a.with_array(np.zeros_like(a.array)), b
    if how == "apart":
        return a, replace(b, grid=replace(b.grid, origin_mm=(500.0, 0, 0)))
    frames = ["1.2.3", "1.2.4"]
    return tuple(
        replace(v, grid=replace(v.grid, frame_of_reference=f))
        for v, f in zip((a, b), frames, strict=True)
    )


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("nan", InputError, "1 voxels that are NaN"),
        ("nan in the reference", InputError, "The reference dose has 1 voxels"),
        ("cGy", InputError, "looks like cGy"),
        ("HU", InputError, "holds HU"),
        ("no dose", InputError, "no voxel above 0 Gy"),
        ("apart", GeometryError, "do not overlap"),
        ("frames", GeometryError, "different frames of reference"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(how, kind, words):
    with pytest.raises(kind, match=words):
        one(*broken(how))


def test_a_scale_of_a_hundred_can_be_meant():
    a, b = broken("cGy")
    assert one(a, b, any_scale=True).pass_rate().share_pct == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"normalisation": "prescription"}, "no prescription is given"),
        ({"cutoff_of": "prescription", "prescription_gy": -3.0}, "must be above 0"),
        ({"threads": 0}, "at least one thread"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(settings, words):
    with pytest.raises(InputError, match=words):
        one(smooth(), smooth(), **settings)


def test_conventions_say_what_they_cannot_do():
    a = smooth()
    other = replace(a, grid=replace(a.grid, origin_mm=(1.0, 0, 0)))
    with pytest.raises(GeometryError, match="one grid"):
        one(a, other, mode="matrad")
    turned = replace(a, grid=replace(a.grid, direction=(0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)))
    with pytest.raises(GeometryError, match="parallel axes"):
        one(a, turned, mode="pymedphys")
    with pytest.raises(InputError, match="cut-off above 0"):
        one(a, a, replace_local(TWO, True), cutoff_pct=0)
    with pytest.raises(GeometryError, match="bool array"):
        one(a, a).pass_rate(np.ones((2, 2, 2), dtype=bool))


@pytest.mark.parametrize("text", ["3/x", "3", "0/2", "2/-1", "2/2,2/2", "", "nan/2"])
def test_bad_criteria_are_one_sentence(text):
    with pytest.raises(InputError):
        parse_criteria(text)
