"""How far source images lie from the training's: known distances, exact rates, planted shifts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from qa_suite.core.records import TrainingSources
from qa_suite.judging.shift import distances_of, moves_of
from qa_suite.judging.shift.features import FeatureTable
from qa_suite.judging.shift.yardstick import Yardstick, shrunk, yardstick
from tests.shift_images import KINDS, hospitals

HOMES = ("A", "B")
LEAST = np.full(3, 1e-6)


def drawn(n: int, seed: int = 1, features: int = 3, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, (n, features))


def ruler(**groups: np.ndarray) -> Yardstick:
    found = yardstick(groups, LEAST)
    assert isinstance(found, Yardstick), found
    return found


# --- the yardstick ------------------------------------------------------------------------------


def test_of_one_feature_the_distance_is_students():
    rows = drawn(20)[:, :1]
    found = Yardstick(groups={"A": rows}, least=LEAST[:1])
    distance, nearest, away = found.distance(np.array([3.0]))
    sd = rows.std(ddof=1)
    assert nearest == "A"
    assert away == pytest.approx((3.0 - rows.mean()) / sd)
    assert distance == pytest.approx(abs(3.0 - rows.mean()) / sd / np.sqrt(1 + 1 / 20))


def test_shrinking_is_that_of_schaefer_and_strimmer():
    """Their formula, entry by entry, on scores whose mean is nought and deviation one."""
    rows = drawn(30, features=4)
    rows[:, 1] += 2 * rows[:, 0]
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    n = len(z)
    total, noise = 0.0, 0.0
    for i in range(4):
        for j in set(range(4)) - {i}:
            w = z[:, i] * z[:, j]
            total += (w.sum() / (n - 1)) ** 2
            noise += np.square(w - w.mean()).sum() / (n - 1) ** 2
    found = shrunk(z, n - 1)
    plain = np.corrcoef(rows.T)
    assert found[0, 1] == pytest.approx((1 - noise / total) * plain[0, 1], rel=1e-6)
    assert np.allclose(np.diag(found), 1)


def test_two_features_that_are_one_do_not_magnify_rounding():
    rows = drawn(30)
    rows[:, 1] = rows[:, 0] + 1e-9 * drawn(30, 5)[:, 0]
    found = ruler(A=rows)
    one = rows[3].copy()
    one[1] += 1e-6
    assert found.distance(one)[0] == pytest.approx(found.distance(rows[3])[0], abs=1e-4)


def test_how_far_a_patient_lies_is_told_without_that_patient():
    rows = drawn(12)
    whole = ruler(A=rows, B=drawn(12, 2))
    rest = ruler(A=np.delete(rows, 4, axis=0), B=drawn(12, 2))
    assert whole.own[4] == pytest.approx(rest.distance(rows[4])[0])


def test_units_and_the_order_of_sites_and_features_change_nothing():
    a, b = drawn(15), drawn(15, 2, mean=4)
    one = ruler(A=a, B=b)
    scaled = Yardstick(groups={"B": b[:, ::-1] * 1e3, "A": a[:, ::-1] * 1e3}, least=LEAST)
    for row in drawn(5, 9, mean=2):
        assert scaled.distance(row[::-1] * 1e3)[0] == pytest.approx(one.distance(row)[0])
        assert scaled.distance(row[::-1] * 1e3)[1] == one.distance(row)[1]


def test_a_hospital_between_two_training_hospitals_is_unlike_both():
    """One covariance over both would call the middle the most usual place of all."""
    found = ruler(A=drawn(25), B=drawn(25, 2, mean=12))
    middle = found.distance(np.full(3, 6.0))[0]
    assert found.p_value(middle) == pytest.approx(1 / 51)
    assert found.p_value(found.distance(np.full(3, 12.0))[0]) > 0.2


def test_the_p_value_counts_and_the_limit_is_where_it_turns():
    found = ruler(A=drawn(39))
    own = np.sort(found.own)
    assert found.p_value(own[-1] * 1.001) == 1 / 40
    assert found.p_value(own[-1]) == 2 / 40
    limit = found.limit(0.95)
    assert limit == own[37]
    assert found.p_value(limit * 1.0001) <= 0.05 < found.p_value(limit)
    assert ruler(A=drawn(18)).limit(0.95) is None
    assert ruler(A=drawn(19)).limit(0.95) == max(ruler(A=drawn(19)).own)


def test_many_beyond_the_limit_are_as_rare_as_orders_of_ranks_make_them():
    """Of 24 and 12: the four largest are all new with 12·11·10·9 / (36·35·34·33)."""
    found = ruler(A=drawn(24))
    expected = np.prod([12, 11, 10, 9]) / np.prod([36, 35, 34, 33])
    assert found.p_of_many(4, 12, 0.95) == pytest.approx(expected)
    assert found.p_of_many(0, 12, 0.95) == 1.0
    rng = np.random.default_rng(3)  # 40 own: beyond the 39th of 40
    own, new = np.sort(rng.random((20000, 40)), axis=1), rng.random((20000, 10))
    counted = (new > own[:, 38:39]).sum(axis=1)
    whole = ruler(A=drawn(40))
    for k in (1, 2, 3):
        share = (counted >= k).mean()
        assert whole.p_of_many(k, 10, 0.95) == pytest.approx(share, abs=0.012)


@pytest.mark.parametrize("draw", ["normal", "heavy", "skewed"])
def test_patients_like_the_training_are_named_at_the_rate_that_is_stated(draw: str):
    """Four standard errors above 5 %, over 600 patients each of their own training."""
    rng = np.random.default_rng(17)
    mixing = rng.normal(size=(5, 5))

    def some(n: int) -> np.ndarray:
        plain = {
            "normal": lambda: rng.normal(size=(n, 5)),
            "heavy": lambda: rng.standard_t(3, size=(n, 5)),
            "skewed": lambda: rng.exponential(size=(n, 5)),
        }[draw]()
        return plain @ mixing

    named = []
    for _ in range(60):
        made = yardstick({"A": some(10), "B": some(12) + 20}, np.full(5, 1e-6))
        assert isinstance(made, Yardstick)
        named += [made.p_value(made.distance(x)[0]) <= 0.05 for x in some(10)]
    assert np.mean(named) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 600) + 0.005


def test_few_images_make_no_yardstick_and_small_sites_are_taken_together():
    assert "too few" in str(yardstick({"A": drawn(5), "B": drawn(3, 2)}, LEAST))
    found = ruler(A=drawn(12), B=drawn(2, 2), C=drawn(2, 3))
    assert set(found.groups) == {"A", "B and C"}
    lost = drawn(12)
    lost[0, 1] = np.nan
    assert ruler(A=lost).patients == 11


# --- hospitals ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen() -> dict[str, FeatureTable]:
    return {kind: hospitals(kind, seed=1) for kind in KINDS}


def registration(table: FeatureTable, *sites: str, features: int | None = None) -> TrainingSources:
    back = np.where([f.ratio for f in table.features], np.exp(table.values), table.values)
    keys = [feature.key for feature in table.features][:features]
    where = np.array(table.sites)
    rows = {s: [tuple(map(float, r[: len(keys)])) for r in back[where == s]] for s in sites}
    return TrainingSources(features=tuple(keys), rows={s: tuple(r) for s, r in rows.items()})


@pytest.mark.parametrize("kind", KINDS)
def test_a_hospital_is_named_where_its_images_were_made_otherwise_and_only_there(seen, kind):
    found = distances_of(seen[kind], "ABCD", training_sites=HOMES)
    assert [one.differs for one in found.sites] == [None, None, False, kind != "none"]
    unlike = {one.patient for one in found.patients if one.unlike}
    otherwise = {f"p{36 + n}" for n in range(12)} if kind != "none" else set()
    if kind == "some patients otherwise":
        otherwise = {f"p{36 + n}" for n in range(0, 12, 3)}
    assert unlike == otherwise
    assert len(found.by_patient) == 48
    assert len(found.usual) == 24 and found.basis == "training sites"
    for one in found.patients:  # who is compared with is measured, and not tested
        assert (one.p_value is None) == (one.site in HOMES) == (one.unlike is None)
        assert one.p_value is None or (one.p_value <= 0.05) == one.unlike


def test_a_few_patients_otherwise_are_seen_by_the_distance_and_not_by_the_mean(seen):
    table = seen["some patients otherwise"]
    by_mean = {m.site: m for m in moves_of({"source": table}, "ABCD", training_sites=HOMES)}
    assert by_mean["D"].moved is False


def test_the_sentence_says_what_moved():
    table = hospitals("half as fine", seed=2)
    (found,) = distances_of(table, "D", training_sites=HOMES).sites
    assert next(iter(found.features)) == "voxel size in plane"
    assert "12 of 12 patients" in found.sentence and "more than chance explains" in found.sentence


def test_registered_images_judge_the_training_sites_too(seen):
    training = registration(hospitals("none", seed=8), *HOMES)
    found = {s.site: s for s in distances_of(seen["more noise"], "ABCD", training=training).sites}
    assert [found[s].differs for s in "ABCD"] == [False, False, False, True]
    assert all(s.basis == "registered" and s.patients_against == 24 for s in found.values())
    assert "training patients lie from each other" in found["D"].sentence


def test_an_older_registration_is_compared_by_what_it_tells(seen):
    older = registration(hospitals("none", seed=8), *HOMES, features=6)
    found = distances_of(seen["more noise"], "CD", training=older)
    assert [one.differs for one in found.sites] == [False, True]
    assert len(found.patients[0].features) == 6


def test_without_training_sites_each_is_held_against_all_others(seen):
    found = distances_of(seen["other sequence"], "ABCD")
    assert {one.site for one in found.sites if one.differs} == {"D"}
    assert found.usual == () and found.limit is None
    assert all(one.basis == "other sites" for one in found.sites)


def test_what_an_image_does_not_tell_is_left_out_of_its_distance(seen):
    table = seen["none"]
    values = table.values.copy()
    values[-1, 3] = np.nan
    values[-2] = np.nan
    found = distances_of(replace(table, values=values), "ABCD", training_sites=HOMES)
    last = [one for one in found.patients if one.patient == "p47"]
    assert len(last) == 1 and len(last[0].features) == values.shape[1] - 1
    assert ("D", "p46") not in found.by_patient


def test_too_few_are_named_and_say_why(seen):
    table = seen["none"]
    keep = [n for n, s in enumerate(table.sites) if (s == "A" and n < 10) or n >= 46]
    few = replace(
        table,
        patients=tuple(table.patients[n] for n in keep),
        sites=tuple(table.sites[n] for n in keep),
        values=table.values[keep],
    )
    found = distances_of(few, "AD", training_sites=HOMES).sites
    assert "registration says nothing of its images" in found[0].why
    assert found[1].differs is None and "2 patients" in found[1].why
    nothing = distances_of(few, "D", training_sites=("D",)).sites
    assert nothing[0].differs is None and "cannot be told" in nothing[0].sentence


def test_distances_are_roots_of_chi_squared_where_all_is_normal():
    rng = np.random.default_rng(2)
    found = yardstick({"A": rng.normal(size=(2000, 4))}, np.full(4, 1e-6))
    assert isinstance(found, Yardstick)
    far = [found.distance(row)[0] ** 2 * 4 for row in rng.normal(size=(400, 4))]
    assert stats.kstest(far, stats.chi2(4).cdf).pvalue > 0.01
