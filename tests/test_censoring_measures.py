"""Every registered metric under faults that grow: the end of a window is no measured value.

A metric that declares a window (``MetricFacts.ends``) has no value at its end or beyond, and
the battery drives every one of them there. One whose facts speak of a window, a clip, a cap or a
reach must declare when it is censored, or stand in the table of those whose window is a part of
what is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.core.measure_kinds import parse_range
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import Measurement
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma import GammaSettings, RegionGamma, gamma, parse_criteria
from qa_suite.imaging.registration.motion import RigidMotion
from qa_suite.imaging.registration.rigid import rotation_matrix
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.metrics.base import Censored, Pair
from qa_suite.metrics.dose.rows import mean_gamma
from qa_suite.metrics.dose.settings import DoseSettings
from qa_suite.metrics.facts import METRICS, MetricFacts
from qa_suite.metrics.geometry.positioning import Setup, _what_is_known, positioning_values
from qa_suite.metrics.geometry.rigid_match import Match
from qa_suite.metrics.geometry.settings import GeometrySettings, PositioningSettings
from qa_suite.metrics.hallucination.family import OF_COMPONENTS
from qa_suite.metrics.image.regions import BY_REGION
from qa_suite.metrics.reference_free.norms import beyond_histogram
from qa_suite.metrics.reference_free.texture import streak_index
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.segmentation.structures import BY_OVERLAP
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.metrics.uncertainty.metrics import OF_STD

pytestmark = pytest.mark.timeout(900)  # a fresh clone compiles every kernel here first

FAMILIES = ("geometry", "image", "reference_free", "segmentation")
SETTINGS = MeasureSettings(
    geometry=GeometrySettings(positioning=PositioningSettings(cbct=False, drr=False))
)
Array = np.ndarray


@dataclass(frozen=True)
class Scene:
    """A small virtual patient: the true images, and what a translator makes of them."""

    patient: object
    clean: object

    def pair(self, array: Array) -> Pair:
        p = self.patient
        image = self.clean.with_array(np.ascontiguousarray(array, dtype=np.float32))
        return Pair(
            reference=p.ct,
            synthetic=image,
            mask=p.structures["Body"],
            source=p.mr,
            structures={"Bladder": p.structures["Bladder"]},
        )


@pytest.fixture(scope="module")
def scene() -> Scene:
    patient = make_patient("A", 1, seed=1, spacing_mm=(7.0, 7.0, 9.0))
    return Scene(patient, oracle_translate(patient.ct_noise_free, seed=3))


def shifted(scene: Scene, mm: float) -> Array:
    return np.roll(scene.clean.array, round(mm / 7.0), axis=1)


def noisy(scene: Scene, hu: float) -> Array:
    noise = np.random.default_rng(5).standard_normal(scene.clean.array.shape)
    return scene.clean.array + hu * noise


def brighter(scene: Scene, hu: float) -> Array:
    return scene.clean.array + np.where(scene.patient.structures["Body"], hu, 0)


def one_slice(scene: Scene, hu: float) -> Array:
    array = scene.clean.array.copy()
    array[:, :, array.shape[2] // 2] += hu
    return array


def blurred(scene: Scene, mm: float) -> Array:
    return ndimage.gaussian_filter(scene.clean.array, [mm / s for s in (7.0, 7.0, 9.0)])


def denser_bone(scene: Scene, hu: float) -> Array:
    array = scene.clean.array
    return array + np.where(array > 150, hu, 0)


def grown(scene: Scene, mm: float) -> Array:
    body = scene.patient.structures["Body"]
    reach = ndimage.distance_transform_edt(~body, sampling=(7.0, 7.0, 9.0))
    return np.where(~body & (reach <= mm), 0, scene.clean.array)


def thinner(scene: Scene, mm: float) -> Array:
    body = scene.patient.structures["Body"]
    depth = ndimage.distance_transform_edt(body, sampling=(7.0, 7.0, 9.0))
    return np.where(depth <= mm, -1000, scene.clean.array)


def tiny(scene: Scene, mm: float) -> Array:
    """Nothing but a ball of the radius in the middle of the body."""
    grid, body = scene.patient.ct.grid, scene.patient.structures["Body"]
    centre = np.argwhere(body).mean(axis=0)
    away = (np.indices(grid.shape).T - centre) * grid.spacing_mm
    return np.where(mm >= np.linalg.norm(away, axis=-1).T, scene.clean.array, -1000)


SERIES = {
    "shifted": (shifted, (7, 14, 28, 98)),
    "noisy": (noisy, (10, 80, 300, 3e4)),
    "brighter": (brighter, (20, 235, 270, 1e5)),
    "dimmer": (brighter, (-20, -180, -330)),
    "one slice": (one_slice, (20, 3000, 1e5)),
    "blurred": (blurred, (3, 20)),
    "denser bone": (denser_bone, (-60, 400, 2000)),
    "fainter bone": (denser_bone, (-170,)),
    "grown": (grown, (6, 30, 60)),
    "thinner": (thinner, (6, 30)),
    "tiny": (tiny, (40, 12)),
}
Key = tuple[str, str, str]


def measured(scene: Scene, array: Array) -> dict[Key, Measurement]:
    found = measure_pair(
        scene.pair(array), families=FAMILIES, settings=SETTINGS, case="c", patient="p", site="s"
    )
    assert all(row.metric in METRICS for row in found.rows), "a family raised"
    return {(row.metric, row.region, row.variant): row for row in found.rows}


@pytest.fixture(scope="module")
def steps(scene: Scene) -> dict[str, list[dict[Key, Measurement]]]:
    return {
        name: [measured(scene, make(scene, size)) for size in sizes]
        for name, (make, sizes) in SERIES.items()
    }


def test_no_measured_value_lies_at_the_end_of_its_window(steps):
    wrong = [
        (name, number, *key, row.value)
        for name, found in steps.items()
        for number, rows in enumerate(found)
        for key, row in rows.items()
        if row.status == "ok" and METRICS[key[0]].facts.beyond(row.value)
    ]
    assert not wrong


def test_the_battery_ends_every_search(steps, beyond_the_registration):
    """A declared window that nothing reaches would be tested by nobody."""
    censored = {
        key[0]
        for found in steps.values()
        for rows in found
        for key, row in rows.items()
        if row.status == "censored"
    }
    censored |= beyond_the_registration | gamma_censored()
    assert {entry.name for entry in METRICS if entry.facts.ends} - censored == set()
    declared = {entry.name for entry in METRICS if entry.facts.censored}
    assert censored <= declared, "the facts say nothing of it"
    assert declared - censored <= {"streak_index"}  # tested by itself


def test_bounds_hold_what_is_true(steps):
    """A bound is finite, on its side of the range, and grows or stays while the fault grows."""
    for found in steps.values():
        for rows in found:
            for key, row in rows.items():
                if row.status == "censored":
                    span = parse_range(METRICS[key[0]].facts.range)
                    bounds = [b for b in (row.at_least, row.at_most) if b is not None]
                    assert bounds and all(b in span for b in bounds), (key, bounds)


def test_a_body_beyond_its_domain_has_no_measured_outline(steps):
    """Grown by 30 or by 60 mm looks the same within 10 mm of the mask: no number may say so."""
    small, large, larger = steps["grown"]
    for metric in ("dice", "volume_difference", "hd95", "assd", "centroid_shift"):
        key = (metric, "seg:Body", "default")
        assert small[key].status == "ok"
        assert (large[key].value, larger[key].value) == (None, None), metric
    assert large["dice", "seg:Body", "default"].at_most < small["dice", "seg:Body", "default"].value
    assert larger["volume_difference", "seg:Body", "default"].at_least > 10


def test_a_slice_that_left_the_window_is_the_largest_jump(steps):
    """The window of soft tissue once dropped the whole slice, and with it the jump."""
    for size, rows in zip(SERIES["one slice"][1], steps["one slice"], strict=True):
        found = rows["slice_jump", "body", "default"]
        assert found.status == "ok" and found.value > 0.9 * size


def test_histogram_distance_has_no_cap():
    values = np.array([0.0, 0.0, 5000.0, -3024.0])
    assert beyond_histogram(values) == pytest.approx((5000 - 3076 + 2000) / 4)


# --- searches that take longer than a battery may


@pytest.fixture(scope="module")
def beyond_the_registration() -> set[str]:
    """A set-up whose registration to the synthetic image left its range."""
    motion = RigidMotion(
        shift=np.array([30.0, 0, 0]), turn=rotation_matrix(np.radians([0, 0, 14.0]))
    )
    setup = Setup(
        difference=motion,
        truth_error_mm=0.1,
        determined=np.ones(6, dtype=bool),
        beyond="it left its range",
        least_shift_mm=22.0,
        least_rotation_deg=10.5,
    )
    rows = {row.metric: row for row in positioning_values(setup, "cbct")}
    assert (rows["positioning_shift"].at_least, rows["positioning_rotation"].at_least) == (22, 10.5)
    assert rows["positioning_x"].status == rows["positioning_truth_error"].status == "undefined"
    only = replace(setup, least_rotation_deg=0.0)
    rows_of_shift = {row.metric: row for row in positioning_values(only, "cbct")}
    assert rows_of_shift["positioning_rotation"].status == "undefined"
    lost = replace(setup, determined=np.array([False, *[True] * 5]))
    assert positioning_values(lost, "cbct")[3].status == "undefined"
    return {name for name, row in rows.items() if row.status == "censored"}


def test_a_registration_beyond_its_range_is_at_least_that_less_the_references():
    settings = PositioningSettings(reach_mm=25.0, reach_deg=12.0)
    reference = RigidMotion(shift=np.array([3.0, 0, 4.0]))
    far = Match(motion=RigidMotion(shift=np.array([26.0, 0, 0])))
    known = _what_is_known(reference, far, settings)
    assert known["least_shift_mm"] == pytest.approx(20) and known["least_rotation_deg"] == 0
    near = Match(motion=RigidMotion(shift=np.array([24.0, 0, 0])))
    assert _what_is_known(reference, near, settings) == {}


def gamma_censored() -> set[str]:
    settings = DoseSettings().gamma_settings
    said = RegionGamma(
        region="body",
        pass_pct=90.0,
        passed=9,
        judged=10,
        above_cutoff=10,
        coverage=1.0,
        mean=0.8,
        capped=1,
        at_least=("mean", "max"),
    )
    found = mean_gamma(said, settings)
    assert isinstance(found, Censored) and found.at_least == 0.8
    assert mean_gamma(said.model_copy(update={"capped": 0}), settings) == 0.8
    return {"gamma_mean"}


def test_statistics_of_a_capped_gamma_are_bounds():
    grid = Grid(shape=(20, 4, 4), spacing_mm=(2.0, 2.0, 2.0))
    plan = np.full(grid.shape, 10.0, dtype=np.float32)
    given = plan.copy()
    given[:2] = 30.0
    doses = [Volume(array=a, grid=grid, quantity="Gy") for a in (plan, given)]
    (result,) = gamma(*doses, parse_criteria("2/2"), GammaSettings(max_gamma=1.5))
    region = result.region("all")
    assert region.capped > 0 and {"mean", "max"} <= set(region.at_least)
    (free,) = gamma(*doses, parse_criteria("2/2"), GammaSettings())
    assert free.region("all").at_least == () and free.region("all").max > 1.5


def test_streaks_beyond_the_window_are_at_least_that():
    def index(worst: float) -> object:
        sizes = [1.0] * 9 + [worst]
        values = np.concatenate([np.linspace(-s, s, 400) for s in sizes]).astype(np.float32)
        scene = SimpleNamespace(
            residuals=(values, np.full(10, 400)),
            settings=SimpleNamespace(soft_window_hu=(-250, 250)),
        )
        return streak_index(scene, "soft")

    assert index(50.0) == pytest.approx(50, rel=0.01)
    found = index(200.0)
    assert isinstance(found, Censored) and found.at_least == pytest.approx(200, rel=0.01)


# --- what speaks of a window declares it


BY_DEFINITION = {
    "psnr": "says that nothing is clipped",
    "ssim": "defined on images clipped to the data range",
    "ms_ssim": "defined on images clipped to the data range",
    "mutual_information": "defined on a histogram whose last bins hold what lies beyond",
    "spectral_error": "defined on a window of soft tissue",
    "high_frequency_ratio": "defined on a window of soft tissue",
    "left_right_symmetry": "a correlation of clipped images",
    "mirror_evidence": "the middle of a patient lies near that of the source",
    "reversal_evidence": "as mirror_evidence",
    "swap_evidence": "as mirror_evidence",
    "source_texture": "defined on values clipped around the image's own span",
    "hu_range_99_9": "describes the image, clipped or not",
}
WORDS = re.compile(r"\bclip|\bcapped|\bcut off\b|\breach\b|within \d+ mm|\bsearch", re.IGNORECASE)


def test_what_speaks_of_a_window_says_when_it_is_censored():
    silent = {
        entry.name
        for entry in METRICS
        if WORDS.search(f"{entry.facts.formula} {entry.facts.empty}") and not entry.facts.censored
    }
    unexplained = silent - set(BY_DEFINITION) - SIGNED_PARTS
    assert not unexplained
    assert set(BY_DEFINITION) <= {entry.name for entry in METRICS}


SIGNED_PARTS = {
    *(f"source_shift_{axis}" for axis in "xyz"),
    "source_rotation",
    "contour_unmatched",
    *(f"positioning_{part}" for part in ("x", "y", "z", "pitch", "roll", "yaw", "truth_error")),
}
"""Undefined beyond the search, as no bound of a component follows; or a share of what is beyond."""


def test_facts_whose_window_has_no_rule_are_refused():
    facts = METRICS["contour_distance_95"].facts
    assert facts.beyond(10.0) and facts.beyond(12.0) and not facts.beyond(9.99)
    signed = METRICS["contour_bias"].facts
    assert signed.beyond(-10.0) and not signed.beyond(-9.0) and not signed.beyond(9.0)
    with pytest.raises(ValueError, match="ends of a window"):
        MetricFacts.model_validate({**facts.model_dump(), "censored": ""})


CHOSEN = {
    "image": (BY_REGION, "mae"),
    "segmentation": (BY_OVERLAP, "dice"),
    "uncertainty": (OF_STD, "coverage_68"),
    "hallucination": (OF_COMPONENTS, "false_volume"),
}


@pytest.mark.parametrize("family", CHOSEN)
def test_every_family_passes_on_what_a_metric_knows(scene, family, monkeypatch):
    """A metric of any family may answer with a bound, and not with a number alone."""

    def knows(*_: object) -> Censored:
        return Censored(at_least=7.0, why="planted")

    pair = scene.pair(scene.clean.array)
    std = pair.synthetic.with_array(np.full(pair.grid.shape, 10.0, dtype=np.float32))
    pair = replace(pair, prediction=Prediction(mean=pair.synthetic, std=std))
    functions, metric = CHOSEN[family]
    monkeypatch.setitem(functions._functions, metric, knows)
    found = measure_pair(
        pair, families=(family,), settings=SETTINGS, case="c", patient="p", site="s"
    )
    mine = [row for row in found.rows if (row.metric, row.variant) == (metric, "default")]
    rows = [row for row in mine if row.status != "undefined"]
    assert rows and {(row.status, row.at_least) for row in rows} == {("censored", 7.0)}
