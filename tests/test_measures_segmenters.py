"""Learned segmenters in the family of segmentation: alike for both images, errors kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Instruments, Pair, Value
from qa_suite.metrics.segmentation.family import segmentation
from qa_suite.metrics.segmentation.learned import learned_variants, noise_floor_gap
from qa_suite.metrics.segmentation.settings import SegmentationSettings

SHAPE = (24, 22, 16)
GRID = Grid(shape=SHAPE, spacing_mm=(2.0, 2.0, 3.0))
SETTINGS = SegmentationSettings(surface_tolerances_mm=(2.0, 3.0))
ORGAN = np.s_[8:14, 8:14, 5:10]


@dataclass(frozen=True)
class Window:
    """A stand-in for a network: everything between two HU is the organ."""

    name: str = "window"
    structures: tuple[str, ...] = ("Liver",)
    floor: Mapping[str, float] = field(default_factory=lambda: {"Liver": 0.9})
    seen: list = field(default_factory=list)

    @property
    def facts(self):
        return InstrumentFacts(
            kind="segmenter",
            name=self.name,
            uri="models:/window/1",
            weights_sha256="0" * 64,
            noise_floor=dict(self.floor),
        )

    def segment(self, volume, domain):
        self.seen.append((volume, domain))
        organ = (volume.array > 80) & (volume.array < 200) & domain
        return dict.fromkeys(self.structures, organ)


class Broken(Window):
    def segment(self, volume, domain):
        raise InputError("The network takes 3 mm only.")


class Buggy(Window):
    def segment(self, volume, domain):
        return {"Liver": np.zeros((2, 2, 2), dtype=bool)}


def ct(*, organ=True, shift=0):
    array = np.full(SHAPE, -1000.0, dtype=np.float32)
    array[3:21, 3:19] = 20
    if organ:
        array[ORGAN] = 120
    return Volume(array=np.roll(array, shift, axis=0), grid=GRID, quantity="HU")


def measured(*segmenters, synthetic=None, reference=None, mask=None):
    pair = Pair(
        reference=reference or ct(),
        synthetic=synthetic or ct(),
        mask=ct().array > -500 if mask is None else mask,
        instruments=Instruments(segmenters=segmenters),
    )
    found = [v for v in segmentation(pair, SETTINGS) if isinstance(v, Value)]
    return {(v.metric, v.region, v.variant): v for v in found}


def test_both_images_are_segmented_alike():
    network = Window()
    rows = measured(network, synthetic=ct(shift=1))
    (first, domain), (second, other) = network.seen
    assert first.array[3, 3, 3] != second.array[3, 3, 3]
    np.testing.assert_array_equal(domain, other)
    dice = rows["dice", "seg:Liver", "window"].value
    assert dice == pytest.approx(5 / 6)
    assert rows["noise_floor_gap", "seg:Liver", "window"].value == pytest.approx(dice - 0.9)
    assert rows["centroid_shift", "seg:Liver", "window"].value == pytest.approx(2)
    assert rows["hd95", "seg:Liver", "window"].value == pytest.approx(2)
    assert rows["surface_dice", "seg:Liver", "window:tol2mm"].value == pytest.approx(1)
    assert ("dice", "seg:Bone", "default") in rows  # the threshold's structures stay


def test_an_equal_image_lies_above_the_floor():
    rows = measured(Window())
    assert rows["noise_floor_gap", "seg:Liver", "window"].value == pytest.approx(0.1)


def test_a_missed_structure_is_counted():
    rows = measured(Window(), synthetic=ct(organ=False))
    assert rows["missed", "seg:Liver", "window"].value == 1
    assert rows["dice", "seg:Liver", "window"].value == 0
    assert rows["noise_floor_gap", "seg:Liver", "window"].value == pytest.approx(-0.9)
    assert rows["hd", "seg:Liver", "window"].status == "undefined"


def test_without_a_floor_or_a_dice_there_is_no_gap():
    rows = measured(Window(floor={}))
    assert "no noise floor" in rows["noise_floor_gap", "seg:Liver", "window"].why
    rows = measured(Window(), reference=ct(organ=False), synthetic=ct(organ=False))
    assert "no Dice" in rows["noise_floor_gap", "seg:Liver", "window"].why
    assert noise_floor_gap(0.8, 0.8) == 0


def test_a_broken_segmenter_takes_nothing_along():
    rows = measured(Broken(name="broken"), Window(), Buggy(name="buggy"))
    for name, why in (("broken", "3 mm only"), ("buggy", r"shape (2, 2, 2)")):
        mine = [v for v in rows.values() if v.variant.split(":")[0] == name]
        assert len(mine) == 10  # overlap 4, surfaces 3, two tolerances, the gap
        assert {v.status for v in mine} == {"error"}
        assert all(why in v.why and name in v.why for v in mine)
    assert rows["dice", "seg:Liver", "window"].value == 1
    assert rows["dice", "seg:Body", "default"].value == 1


def test_an_unforeseen_error_is_named_with_its_kind():
    class Crash(Window):
        def segment(self, volume, domain):
            return {}["Liver"]

    rows = measured(Crash())
    assert "KeyError" in rows["dice", "seg:Liver", "window"].why


def test_a_promised_structure_that_is_not_there_is_an_error():
    class Less(Window):
        def segment(self, volume, domain):
            return {}

    rows = measured(Less())
    assert "no mask of Liver" in rows["dice", "seg:Liver", "window"].why


def test_every_row_is_there_where_nothing_can_be_measured():
    whole = set(measured(Window()))
    assert set(measured(Window(), mask=np.zeros(SHAPE, dtype=bool))) == whole
    broken = ct()
    broken.array[10, 10, 8] = np.nan
    rows = measured(Window(), synthetic=broken)
    assert set(rows) == whole
    assert {v.status for v in rows.values()} == {"error"}


@pytest.mark.parametrize("names", [("net", "net"), ("default",), ("a:b",)])
def test_names_that_would_mix_up_measurements_are_refused(names):
    with pytest.raises(InputError, match="cannot tell measurements apart"):
        measured(*(Window(name=name) for name in names))


def test_variants_are_described():
    described = learned_variants([Window()], (2.0,))
    assert described == {
        "window": {"segmenter": "window", "weights_sha256": "0" * 64},
        "window:tol2mm": {"segmenter": "window", "weights_sha256": "0" * 64, "tolerance_mm": 2.0},
    }
    rows = measured(Window())
    known = {*learned_variants([Window()], (2.0, 3.0)), "default", "tol2mm", "tol3mm"}
    assert {variant for _, _, variant in rows} <= known
