"""The family of dose with samples of an image: bands of DVHs and of values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.prediction import Prediction
from qa_suite.dose.dvh.curve import Dvh
from qa_suite.metrics.base import Pair
from qa_suite.metrics.dose.bands import dvh_envelope
from tests.measured_dose_cases import (
    BODY,
    CT,
    TWO_PHOTON,
    curve,
    measured,
    pair_of,
    settings_of,
    value,
)


def with_samples(*shifts: float) -> Pair:
    samples = tuple(CT.with_array((CT.array + s * BODY).astype(np.float32)) for s in shifts)
    return pair_of(CT.array, prediction=Prediction(mean=CT, samples=samples))


def test_samples_give_a_band():
    around = measured(with_samples(-30, 0, 30), settings_of(TWO_PHOTON))
    width = value(around, "band_d95", "target")
    assert width > 1 and value(around, "band_misses_d95", "target") == 0
    beside = measured(with_samples(30, 60), settings_of(TWO_PHOTON))
    assert value(beside, "band_misses_d95", "target") == pytest.approx(width / 2, rel=0.3)
    few = measured(with_samples(30, 60, 90), settings_of(TWO_PHOTON, most_samples=2))
    assert value(few, "band_d95", "target") == value(beside, "band_d95", "target")
    assert [value(d, "band_samples", "target") for d in (around, few)] == [3, 2]
    for name in ("dvh_low", "dvh_high"):
        np.testing.assert_array_equal(*(curve(d, name, "target")[1] for d in (few, beside)))


def dvh_of_doses(*doses: float) -> Dvh:
    """The DVH of as many equal parts, each with a dose of its own."""
    return Dvh(
        name="S",
        doses_gy=np.array(sorted(doses)),
        volumes_cc=np.ones(len(doses)),
        lowest_gy=min(doses),
        highest_gy=max(doses),
        volume_cc=len(doses),
        coverage=1.0,
    )


def test_the_envelope_of_two_known_dvhs():
    dvhs = [dvh_of_doses(10.0), dvh_of_doses(5.0, 20.0)]
    x, low, high = dvh_envelope(dvhs, 5.0)
    assert x.tolist() == [0, 5, 10, 15, 20, 25]
    assert low.tolist() == [100, 100, 50, 0, 0, 0]
    assert high.tolist() == [100, 100, 100, 50, 50, 0]
    x, low, high = dvh_envelope(dvhs[:1] * 2, 5.0)
    assert low.tolist() == high.tolist() == dvhs[0].curve(5.0)[1].tolist()


def test_a_dvh_band_is_the_envelope_of_the_samples_own_dvhs():
    done = measured(with_samples(-30, 30), settings_of(TWO_PHOTON))
    alone = [measured(pair_of(CT.array + s * BODY), settings_of(TWO_PHOTON)) for s in (-30, 30)]
    for region in ("target", "structure:Rectum", "structure:Bladder"):
        curves = [curve(d, "dvh_synthetic", region) for d in alone]
        doses = max((x for x, _ in curves), key=len)
        ys = np.array([np.pad(y, (0, len(doses) - len(y))) for _, y in curves])
        for name, expected in (("dvh_low", ys.min(axis=0)), ("dvh_high", ys.max(axis=0))):
            x, y = curve(done, name, region)
            np.testing.assert_array_equal(x, doses)
            np.testing.assert_allclose(y, expected, atol=1e-9)
        assert (ys.max(axis=0) - ys.min(axis=0)).max() > 1


def test_without_samples_there_is_no_band_and_with_bad_ones_an_error():
    alone = measured(with_samples(30), settings_of(TWO_PHOTON))
    rows = [r for r in alone.rows if r.metric.startswith("band")]
    assert [(r.status, r.why) for r in rows] == [("undefined", "fewer than two samples")] * 3
    done = measured(with_samples(0, np.nan), settings_of(TWO_PHOTON))
    rows = [r for r in done.rows if r.metric.startswith("band")]
    assert {r.status for r in rows} == {"error"} and "no number" in rows[0].why
    assert value(done, "dmean_difference_pct", "target") == 0  # the rest stands
    wrong = replace(CT, quantity="arbitrary")
    pair = pair_of(CT.array, prediction=Prediction(mean=CT, samples=(CT, wrong)))
    other = measured(pair, settings_of(TWO_PHOTON))
    rows = [r for r in other.rows if r.metric.startswith("band")]
    assert {(r.status, r.why) for r in rows} == {
        ("error", "a sample: dose needs HU, and it holds arbitrary.")
    }
    for case in (alone, done, other):
        assert not {p.curve for p in case.curves} & {"dvh_low", "dvh_high"}
