"""Ranges of the registry: one spelling, and every value that was ever measured lies in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.core.errors import InputError
from qa_suite.core.measure_kinds import ValueRange, kind_in, kinds_of, parse_range
from qa_suite.core.prediction import IntervalFacts, Prediction
from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.dose.facts import INDEX_METRICS
from qa_suite.metrics.facts import METRICS, MetricFacts
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings
from tests import battery

pytestmark = pytest.mark.timeout(900)  # a fresh clone compiles every kernel here first

SHAPE = (20, 18, 16)
GRID = Grid(shape=SHAPE, spacing_mm=(3.0, 4.0, 5.0))
NAMES = ("ct", "oblique", "mr", "pet", "clinic")


def range_of(metric: str) -> ValueRange:
    return parse_range(METRICS[metric].facts.range)


def outside(rows) -> list[str]:
    """Name the values, and the bounds of censored ones, outside the range of their metric."""
    return [
        f"{row.metric} {value} not in {METRICS[row.metric].facts.range}"
        for row in rows
        for value in (row.value, row.at_least, row.at_most)
        if value is not None and value not in range_of(row.metric)
    ]


# --- the spelling --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "inside", "beyond"),
    [
        ("[0, 1]", (0, 0.5, 1, 1 + 1e-12, -1e-12), (-0.001, 1.001, float("nan"))),
        ("(0, 1)", (1e-9, 0.999), (0, 1)),
        ("[-100, inf)", (-100, 1e30), (-101, float("inf"))),
        ("(-inf, inf)", (-1e30, 0, 1e30), (float("-inf"), float("inf"))),
        ("integers in [2, inf)", (2, 300), (1, 2.5)),
        ("[-2.5, 0.5]", (-2.5, 0.5), (-2.6, 0.6)),
    ],
)
def test_a_range_holds_its_values_and_no_others(text, inside, beyond):
    found = parse_range(text)
    assert all(value in found for value in inside)
    assert not any(value in found for value in beyond)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 or 1",
        "{0, 1, ...}",
        "2, 3, ...",
        "[0,1]",
        "[0, inf]",
        "[1, 0]",
        "[1, 1]",
        "≥ 0",
        "[0, inf); mostly 0",
        "integers [0, 1]",
    ],
)
def test_other_spellings_are_refused(text):
    with pytest.raises(InputError, match=r"range"):
        parse_range(text)
    with pytest.raises(ValidationError):
        MetricFacts.model_validate({**METRICS["mae"].facts.model_dump(), "range": text})


def test_every_registered_range_is_read():
    for entry in METRICS:
        assert parse_range(entry.facts.range).low < parse_range(entry.facts.range).high


def test_a_signed_metric_reaches_both_sides_and_a_distance_none():
    for entry in METRICS:
        found = range_of(entry.name)
        if entry.facts.direction == "zero":
            assert found.low < 0 < found.high, entry.name
        if entry.facts.direction == "lower" and entry.facts.family != "set_distance":
            assert found.low >= 0, entry.name


# --- the kind, which decides the interval of a mean ------------------------------------------


def test_every_metric_is_of_a_kind_that_its_range_allows():
    for entry in METRICS:
        facts = entry.facts
        assert facts.kind in kinds_of(parse_range(facts.range)), entry.name
        if facts.direction == "zero":
            assert facts.kind == "signed", entry.name


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("mae", "positive"),
        ("me", "signed"),
        ("volume_difference", "signed"),
        ("goal_volume_difference", "signed"),
        ("dice", "bounded"),
        ("ncc", "bounded"),
        ("gamma_pass_rate", "bounded"),
        ("missed", "event"),
        ("false_components", "count"),
    ],
)
def test_kinds_that_are_known_by_heart(metric, kind):
    assert METRICS[metric].facts.kind == kind


@pytest.mark.parametrize(
    ("span", "kind"),
    [
        ("[0, inf)", "signed"),
        ("[0, 1]", "event"),
        ("[0, 1]", "signed"),
        ("integers in [0, 1]", "count"),
        ("integers in [0, inf)", "positive"),
        ("(-inf, inf)", "positive"),
        ("[-100, inf)", "bounded"),
    ],
)
def test_a_kind_that_the_range_does_not_allow_is_refused(span, kind):
    facts = METRICS["mae"].facts.model_dump() | {"range": span, "kind": kind}
    with pytest.raises(ValidationError, match="of the kind"):
        MetricFacts.model_validate(facts)


def test_a_metric_without_a_kind_is_refused():
    facts = METRICS["mae"].facts.model_dump()
    del facts["kind"]
    with pytest.raises(ValidationError, match="kind"):
        MetricFacts.model_validate(facts)


def test_the_record_says_the_kind_and_an_old_one_is_read_by_its_range():
    for entry in METRICS:
        told = entry.facts.model_dump(mode="json")
        found = kind_in(told)
        assert (found.kind, found.declared) == (entry.facts.kind, True), entry.name
        old = {name: value for name, value in told.items() if name != "kind"}
        assert not kind_in(old).declared
        if entry.name != "noise_floor_gap":  # whose range could be a correlation's
            assert kind_in(old).kind == entry.facts.kind, entry.name
    assert kind_in({}).kind == kind_in(None).kind == "signed"


# --- the values ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_was_measured_of_the_battery_lies_in_its_range(name):
    assert outside(battery.measured(name).rows) == []


def test_what_was_measured_of_sets_lies_in_its_range():
    assert outside(battery.measured_sets()) == []


def a_body(low: int = 2, high: int = 3) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[low:-high, low:-high, :] = True
    return mask


def adversaries() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs at the ends: inverted, swapped, scaled, noise, far beyond any HU, constant."""
    rng = np.random.default_rng(9)
    body = a_body()
    plain = np.where(body, rng.normal(30, 20, SHAPE), -1000.0)
    plain[8:12, 7:11, 5:11] = 900
    plain[5:7, 5:7, 6:9] = -900
    noise = rng.uniform(-1024, 3000, SHAPE)
    return {
        "inverted": (plain, -plain),
        "exchanged": (plain, plain[::-1, ::-1, ::-1].copy()),
        "tenfold": (plain, 10 * plain),
        "noise against noise": (noise, rng.permutation(noise.ravel()).reshape(SHAPE)),
        "noise against itself": (noise, noise),
        "every value its own": (noise, np.argsort(np.argsort(noise.ravel())).reshape(SHAPE) % 3000),
        "far beyond": (plain, np.where(body, 1e6, -1e6)),
        "constant": (plain, np.full(SHAPE, 40.0)),
        "air": (plain, np.full(SHAPE, -1000.0)),
        "all bone": (plain, np.full(SHAPE, 1500.0)),
    }


@pytest.mark.parametrize("name", adversaries())
@pytest.mark.parametrize("quantity", ["HU", "SUVbw", "arbitrary"])
@pytest.mark.parametrize("claim", [0.0, 1e6])
def test_adversaries_stay_in_range(name, quantity, claim):
    """With a translator that is sure of everything, and one that is sure of nothing."""
    images = adversaries()[name]
    reference, synthetic = (
        Volume(array=image.astype(np.float32), grid=GRID, quantity=quantity) for image in images
    )
    half = np.full(SHAPE, claim, dtype=np.float32)
    half[0] = 1.0  # one that claims nothing at all has no size
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[8:12, 7:11, 5:11] = True
    pair = Pair(
        reference=reference,
        synthetic=synthetic,
        mask=a_body(),
        source=replace(reference, array=np.abs(reference.array) % 700, quantity="arbitrary"),
        structures={"GTV": lesion, "Rectum": ~lesion},
        prediction=Prediction(
            mean=synthetic,
            std=replace(synthetic, array=half),
            half_width=replace(synthetic, array=half),
            interval=IntervalFacts(voxel_share=0.9, level=0.8, patients=9),
        ),
    )
    done = measure_pair(
        pair, families=None, settings=MeasureSettings(), case="c", patient="p", site="s"
    )
    assert done.rows
    assert outside(done.rows) == []


def test_mutual_information_reaches_its_end_and_no_further():
    """Every bin once: an image against itself has log2(128) bits, and no pair has more."""
    array = np.linspace(-1024, 3000, 128 * 36, dtype=np.float32).reshape(16, 16, 18)
    volume = Volume(array=array, grid=Grid(shape=array.shape, spacing_mm=(2, 2, 2)), quantity="HU")
    done = measure_pair(
        Pair(reference=volume, synthetic=volume, mask=np.ones(array.shape, dtype=bool)),
        families=["image"],
        settings=MeasureSettings(),
        case="c",
        patient="p",
        site="s",
    )
    (row,) = [
        r
        for r in done.rows
        if (r.metric, r.region, r.variant) == ("mutual_information", "body", "default")
    ]
    assert row.value == pytest.approx(7, abs=0.01)
    assert range_of("mutual_information") == parse_range("[0, 7]")


def test_calibration_errs_by_half_at_most():
    """Claims of nothing hold no voxel, endless ones hold all: both miss by the mean level."""
    from qa_suite.metrics.uncertainty.metrics import calibration_error

    class Claim:
        levels = np.arange(1, 20) / 20

    for observed in (np.zeros(19), np.ones(19)):
        Claim.observed = observed
        assert calibration_error(Claim) == pytest.approx(0.5)
    rng = np.random.default_rng(2)
    for _ in range(200):  # coverage can only grow with the level
        Claim.observed = np.sort(rng.choice([0.0, 1.0, rng.uniform()], 19))
        assert calibration_error(Claim) in range_of("calibration_error")


def test_indices_of_conformity_have_the_ranges_of_their_definitions():
    assert set(INDEX_METRICS) == {"homogeneity", "conformity_paddick", "conformity_rtog"}
    for side in ("reference", "synthetic"):
        assert range_of(f"conformity_paddick_{side}") == parse_range("[0, 1]")
        assert range_of(f"conformity_rtog_{side}") == parse_range("[0, inf)")
    assert range_of("conformity_paddick_difference") == parse_range("[-1, 1]")
