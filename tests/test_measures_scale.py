"""What has no meaning for a quantity is left out; an arbitrary scale is removed as stated."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair, at_common_scale
from qa_suite.metrics.facts import FAMILIES
from qa_suite.metrics.meaning import families_for, left_out, require_meaning
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.scale import ScaleSettings
from qa_suite.metrics.settings import MeasureSettings

SHAPE = (24, 20, 14)
GRID = Grid(shape=SHAPE, spacing_mm=(4.0, 4.0, 4.0))
MASK = np.zeros(SHAPE, dtype=bool)
MASK[3:21, 3:17, :] = True


def signal(seed: int = 1) -> np.ndarray:
    """Two tissues with a texture, in air."""
    rng = np.random.default_rng(seed)
    array = np.where(MASK, 400.0, 0.0)
    array[8:14, 6:12, 4:10] = 900
    return array + rng.uniform(0, 40, SHAPE) * MASK


def pair_of(reference, synthetic, quantity="arbitrary", **more) -> Pair:
    return Pair(
        reference=Volume(array=reference.astype(np.float32), grid=GRID, quantity=quantity),
        synthetic=Volume(array=synthetic.astype(np.float32), grid=GRID, quantity=quantity),
        mask=MASK,
        **more,
    )


def rows_of(pair: Pair, families=("image",), **settings) -> list:
    return measure_pair(
        pair,
        families=families,
        settings=MeasureSettings(**settings),
        case="c",
        patient="p",
        site="s",
    ).rows


def by_name(rows) -> dict:
    return {(r.metric, r.region): r for r in rows if r.variant == "default"}


def test_a_gain_is_no_error_and_stands_in_the_record():
    reference, synthetic = signal(1), signal(2)
    plain = by_name(rows_of(pair_of(reference, synthetic)))
    gained = by_name(rows_of(pair_of(0.25 * reference, 3 * synthetic)))
    assert plain.keys() == gained.keys()
    for key, row in plain.items():
        if key[0] in ("reference_scale", "scale_ratio"):
            continue
        assert (row.status, row.unit) == (gained[key].status, gained[key].unit)
        if row.value is not None:
            assert gained[key].value == pytest.approx(row.value, rel=2e-3, abs=2e-4), key
    ratio = gained["scale_ratio", "body"].value / plain["scale_ratio", "body"].value
    assert ratio == pytest.approx(3 / 0.25)
    assert gained["reference_scale", "body"].value == pytest.approx(
        0.25 * np.percentile(reference[MASK], 99), rel=1e-5
    )


def test_errors_of_an_mr_are_in_percent_of_the_stated_percentile():
    reference = np.where(MASK, 200.0, 0.0)
    reference[4:8, 4:16] = 800  # more than a hundredth of the mask: P99 is 800
    synthetic = reference.copy()
    synthetic[10:14, 5:9, 2:6] = 400
    rows = by_name(rows_of(pair_of(reference, synthetic)))
    share = 4 * 4 * 4 / MASK.sum()
    assert rows["mae", "body"].value == pytest.approx(100 * 200 / 800 * share, rel=1e-4)
    assert rows["mae", "body"].unit == "% of P99"
    assert rows["gradient_error", "body"].unit == "% of P99/mm"
    assert rows["reference_scale", "body"].value == 800
    assert rows["ssim", "body"].status == "ok"
    assert {r.region for r in rows.values()} == {
        "body",
        "shell:0-5mm",
        "shell:5-20mm",
        "shell:>20mm",
    }


def test_by_the_reference_alone_a_gain_is_an_error():
    reference = signal()
    scale = ScaleSettings(of="reference", percentile=95)
    rows = by_name(rows_of(pair_of(reference, 1.1 * reference), scale=scale))
    mean = reference[MASK].mean() / np.percentile(reference[MASK], 95)
    assert rows["me", "body"].value == pytest.approx(10 * mean, rel=1e-4)
    assert rows["me", "body"].unit == "% of P95"
    assert rows["scale_ratio", "body"].value == pytest.approx(1.1)


def test_padding_of_the_reference_does_not_decide_its_scale():
    reference = signal()
    coverage = np.zeros(SHAPE, dtype=bool)
    coverage[:, :, :2] = True
    reference[~coverage] = 0
    found = at_common_scale(pair_of(reference, signal(2), coverage=coverage), ScaleSettings())
    assert found.scale.reference == pytest.approx(np.percentile(reference[MASK & coverage], 99))


def test_the_spread_is_scaled_with_the_synthetic_image():
    reference, synthetic = signal(1), signal(2)
    std = np.full(SHAPE, 12.0)
    found = []
    for gain in (1.0, 5.0):
        pair = pair_of(reference, gain * synthetic)
        spread = Volume(array=gain * std, grid=GRID, quantity="arbitrary")
        said = Prediction(mean=pair.synthetic, std=spread, samples=(pair.synthetic, spread))
        pair = Pair(**{**vars(pair), "prediction": said})
        found.append([r.value for r in rows_of(pair, ["uncertainty"]) if r.status == "ok"])
    assert len(found[0]) >= 4
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (np.zeros(SHAPE), "99th percentile of the synthetic image in the mask is 0"),
        (np.full(SHAPE, -5.0), "of the synthetic image in the mask is -5"),
        (np.full(SHAPE, np.nan), "of the synthetic image in the mask has no finite voxel"),
    ],
)
def test_an_image_without_signal_is_an_error_and_no_number(image, why):
    (row,) = rows_of(pair_of(signal(), image))
    assert (row.metric, row.status) == ("family", "error")
    assert why in row.why


def test_hu_and_suv_keep_their_scale():
    for quantity in ("HU", "SUVbw"):
        pair = pair_of(signal(), 2 * signal(), quantity)
        assert at_common_scale(pair, ScaleSettings()) is pair
    rows = by_name(rows_of(pair_of(signal() / 100, signal() / 50, "SUVbw")))
    assert rows["mae", "body"].unit == "SUVbw"
    # the stated range is 10 SUVbw
    rmse, psnr = (rows[m, "body"].value for m in ("rmse", "psnr"))
    assert psnr == pytest.approx(20 * np.log10(10 / rmse))
    assert ("scale_ratio", "body") not in rows


# ---------------------------------------------------------------------------------------
# What is left out


def test_every_quantity_has_its_families():
    assert families_for("HU") == [e.name for e in FAMILIES if e.name != "pet"]
    for quantity in ("arbitrary", "SUVbw"):
        found = families_for(quantity)
        assert {"segmentation", "dose"}.isdisjoint(found)
        assert {"image", "uncertainty", "hallucination"} <= set(found)


@pytest.mark.parametrize("quantity", ["HU", "arbitrary", "SUVbw"])
def test_what_is_left_out_is_named_with_its_reason_and_leaves_no_row(quantity):
    structures = {"GTV": MASK & (signal() > 500), "Liver": MASK}
    source = Volume(array=signal(3).astype(np.float32), grid=GRID, quantity="arbitrary")
    pair = pair_of(signal(1), signal(2), quantity, structures=structures, source=source)
    rows = rows_of(pair, families=None)
    lost = left_out(quantity)
    families = {one.family for one in lost if one.whole}
    metrics = {metric for one in lost for metric in one.metrics}
    assert families.isdisjoint({r.family for r in rows})
    assert metrics.isdisjoint({r.metric for r in rows})
    silent = {"dose"}  # without a plan it has nothing to say
    assert {r.family for r in rows} | families >= {e.name for e in FAMILIES} - silent
    assert all(quantity in one.why for one in lost)
    assert not [r for r in rows if r.status == "error"]
    if quantity != "HU":
        assert not [r for r in rows if "HU" in r.unit or "HU" in r.why]


def test_measures_that_were_asked_for_are_refused_where_they_mean_nothing():
    require_meaning("SUVbw", None)
    require_meaning("HU", ["dose"])
    with pytest.raises(UnknownName, match=r"'imagee'.*did you mean image"):
        require_meaning("HU", ["imagee"])
    with pytest.raises(InputError, match=r"dose: dose is computed from HU, and the .* in SUVbw"):
        require_meaning("SUVbw", ["image", "dose"])
