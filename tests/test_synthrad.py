"""The SynthRAD modes against what the challenges' own public code answered.

The numbers were made by running ``ImageMetrics`` and ``SegmentationMetrics`` of the repositories
``SynthRAD2023/metrics`` (commit 3200007) and ``SynthRAD2025/evaluation`` (commit 17cac47; MONAI
1.6.1) on the pairs of ``synthrad_pairs.py``, arrays indexed x, y, z. None is where that code
answers NaN: no voxel of the mask is left at the fifth scale. ``SynthRAD2025/metrics`` clips to
3000 HU instead of 3071 and is not what the mode means.
"""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.image.comparison import compare
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.image.synthrad import MODES, synthrad
from qa_suite.metrics.run import measure_pair, variants_of
from qa_suite.metrics.segmentation.synthrad import CLASSES, hd95, mode_values
from qa_suite.metrics.settings import MeasureSettings
from tests.synthrad_pairs import FATES, LABELS, describe, make_labels, make_pair, numbers

# (MAE of both, PSNR and SSIM of 2023, PSNR and MS-SSIM of 2025), by the number of the pair
IMAGES = (
    (48.933607183798, 36.797062385412, 0.937535838930, 36.948981066383, 0.995576581702),
    (77.756857855362, 27.530065415670, 0.796562996642, 27.681984096641, 0.928683258126),
    (27.528131191498, 39.600276670679, 0.960361423182, 39.752195351650, 0.996053177942),
    (61.871257077718, 29.743155068605, 0.859240457455, 29.895073749577, 0.968548513022),
    (48.802396694215, 36.848522116778, 0.901464623440, 37.000440797749, 0.979157415969),
    (58.390458730222, 31.215324150167, 0.814167127334, 31.367242831138, None),
    (33.837865259740, 36.111865414532, 0.967155366141, 36.263784095504, 0.996899436857),
    (45.348166431594, 37.131197745607, 0.931803716990, 37.283116426579, 0.996925867762),
    (48.662154796512, 36.838023655750, 0.923500591453, 36.989942336721, 0.993015562812),
    (50.485844642613, 32.560649751220, 0.830308085589, 32.659674263301, 0.948416829104),
    (26.940478740700, 39.653376774608, 0.953884845641, 39.758048151245, 0.994093378367),
    (135.028048388823, 22.433784086850, 0.703803202845, 22.585702767821, None),
    (48.674294670846, 36.826580238617, 0.949801674266, 36.978498919589, 0.996615888386),
    (60.630581108369, 29.889454991480, 0.858266289917, 30.041373672451, 0.956944340953),
    (29.838045918583, 37.828036647043, 0.959601658772, 37.979955328015, 0.995251885651),
    (81.827501576151, 26.211839366873, 0.826868028896, 26.363758047844, 0.903341943288),
    (48.698862669772, 36.836618898324, 0.880587983511, 36.988537579295, 0.989479956561),
    (47.732951495204, 35.705865594288, 0.848826731088, 35.857784275260, None),
    (40.790862068966, 34.087360854948, 0.970995873530, 34.239279535920, 0.997789601589),
    (44.533202646410, 37.218904718545, 0.950258919919, 37.370823399516, 0.998345684654),
    (48.734175289105, 36.830330847369, 0.917048674555, 36.982249528340, 0.992017960398),
    (54.047135724609, 30.072925915486, 0.810772837848, 30.156189796568, 0.925066188273),
    (33.883134920635, 35.249130614678, 0.931977061752, 35.315679329411, 0.968877800391),
    (66.686697454606, 28.641262827417, 0.853146618744, 28.793181508388, None),
    (48.610139311951, 36.847705137829, 0.915448162273, 36.999623818800, 0.993274005080),
    (73.374409512950, 25.932637639921, 0.891418280449, 25.940729796727, 0.791926372633),
    (39.368617021277, 34.457704627436, 0.949577470271, 34.609623308408, 0.995531935508),
    (90.380593123934, 25.325839720679, 0.802629533135, 25.477758401651, 0.901488950101),
)

# (mean Dice, mean HD95 in mm), by the number of the label maps
SEGMENTATIONS = (
    (0.989443779, 0.311905205),
    (0.618036628, 4.265425205),
    (0.371780664, 8.504673958),
    (0.535658240, 4.417806149),
    (0.620812535, 5.460033417),
    (0.525879920, 7.040562630),
    (0.587778628, 6.175694466),
    (0.000000000, 0.000000000),
    (0.000000000, 0.000000000),
    (0.999085069, 0.000000000),
    (0.632255733, 4.440728188),
    (0.428404748, 10.191990852),
    (0.551945806, 6.391305923),
    (0.655882180, 4.425580502),
    (0.543601036, 4.066394329),
    (0.543877602, 5.961075783),
    (0.000000000, 0.000000000),
    (0.000000000, 0.000000000),
    (0.989573777, 0.252103627),
    (0.628541291, 4.634940624),
    (0.461336017, 4.889354706),
    (0.474866241, 5.324839592),
    (0.607755005, 5.387750626),
    (0.571538508, 4.055031300),
    (0.612225235, 5.163331509),
    (0.000000000, 0.000000000),
    (0.000000000, 0.000000000),
)


def pair_of(number: int) -> Pair:
    raw = make_pair(number)
    grid = Grid(shape=raw.reference.shape, spacing_mm=(1.0, 1.0, 3.0))
    reference, synthetic = (
        Volume(array=a.astype(np.float32), grid=grid, quantity="HU")
        for a in (raw.reference, raw.synthetic)
    )
    return Pair(reference=reference, synthetic=synthetic, mask=raw.mask > 0)


@pytest.mark.parametrize("number", numbers(), ids=describe)
def test_the_modes_have_the_numbers_of_the_challenges_code(number):
    mae, psnr_2023, ssim, psnr_2025, ms_ssim = IMAGES[number]
    comparison = compare(pair_of(number), ImageSettings())
    found = {(mode, value.metric): value for mode in MODES for value in synthrad(comparison, mode)}
    exact = pytest.approx
    assert found["synthrad2023", "mae"].value == exact(mae, abs=1e-9)
    assert found["synthrad2025", "mae"].value == exact(mae, abs=1e-9)
    assert found["synthrad2023", "psnr"].value == exact(psnr_2023, abs=1e-9)
    assert found["synthrad2025", "psnr"].value == exact(psnr_2025, abs=1e-9)
    assert found["synthrad2023", "ssim"].value == exact(ssim, abs=1e-7)
    similarity = found["synthrad2025", "ms_ssim"]
    if ms_ssim is None:
        assert similarity.status == "undefined"
        assert "scale 5" in similarity.why
    else:
        assert similarity.value == exact(ms_ssim, abs=1e-7)


def test_the_pairs_are_of_many_kinds():
    pairs = [make_pair(number) for number in numbers()]
    assert sum(row[4] is not None for row in IMAGES) >= 20
    assert any(min(p.mask.shape) >= 97 for p in pairs)
    assert any(n % 2 for p in pairs for n in p.mask.shape)
    assert sum(p.mask.shape[2] < 97 for p in pairs) > 10
    borders = {
        sum(bool(np.take(p.mask, end, axis).any()) for axis in range(3) for end in (0, -1))
        for p in pairs
    }
    assert {0, 1, 2, 3, 6} <= borders


def test_a_mode_sees_the_patient_and_not_the_file():
    """Stored with axes exchanged and mirrored, a pair has the same numbers in both modes."""
    pair = pair_of(0)
    settings = MeasureSettings()

    def rows(pair):
        found = measure_pair(
            pair, families=["image"], settings=settings, case="c", patient="p", site="s"
        ).rows
        return {(r.variant, r.metric): r.value for r in found if r.variant in MODES}

    order, flips = (2, 0, 1), (0, 2)
    matrix = pair.grid.affine.copy()
    shape = pair.grid.shape
    for axis in flips:
        matrix[:3, 3] += matrix[:3, axis] * (shape[axis] - 1)
        matrix[:3, axis] *= -1
    columns = matrix[:3, :3][:, order]
    spacing = np.linalg.norm(columns, axis=0)
    grid = Grid(
        shape=tuple(shape[axis] for axis in order),
        spacing_mm=tuple(spacing),
        origin_mm=tuple(matrix[:3, 3]),
        direction=tuple((columns / spacing).ravel()),
    )

    def stored(array):
        return np.ascontiguousarray(np.flip(array, flips).transpose(order))

    images = [
        Volume(array=stored(v.array), grid=grid, quantity="HU")
        for v in (pair.reference, pair.synthetic)
    ]
    turned = Pair(reference=images[0], synthetic=images[1], mask=stored(pair.mask))
    assert rows(turned) == rows(pair)


# --- segmentation

# the challenge's classes by TotalSegmentator's numbers
NUMBERS = {
    "AB": (2, 3, 5, 6, *range(10, 15), *range(26, 51), 51, 79, *range(92, 116), 116),
    "HN": (15, 16, 17, *range(26, 51), 79, 90, 91),
}
NUMBERS["TH"] = NUMBERS["AB"]


@pytest.mark.parametrize("number", range(len(SEGMENTATIONS)))
def test_the_segmentation_scores_have_the_numbers_of_the_challenges_code(number):
    labels, (dice, distance) = make_labels(number), SEGMENTATIONS[number]
    names = dict(zip(NUMBERS[labels.region], CLASSES[labels.region], strict=True))
    one, two = (
        {name: image == n for n, name in names.items()}
        for image in (labels.reference, labels.synthetic)
    )
    values = mode_values("ts", one, two, labels.spacing_mm, labels.region)
    found = {value.metric: value for value in values}
    assert {value.variant for value in values} == {"ts:synthrad2025"}
    fate = FATES[number % len(FATES)]
    if fate == "none":  # that code writes 0 for both
        assert {value.status for value in values} == {"undefined"}
        return
    assert found["dice"].value == pytest.approx(dice, abs=1e-6)
    if fate == "all missed":  # that code writes 0 mm
        assert found["hd95"].status == "undefined"
        assert "no class" in found["hd95"].why
    else:
        assert found["hd95"].value == pytest.approx(distance, abs=2e-6)


def test_the_classes_by_hand():
    assert set(LABELS["HN"]) <= set(NUMBERS["HN"])
    named = dict(zip(NUMBERS["AB"], CLASSES["AB"], strict=True))
    assert named[5] == "liver" and named[14] == "lung_lower_lobe_right"
    assert named[26] == "vertebrae_S1" and named[50] == "vertebrae_C1"
    assert named[92] == "rib_left_1" and named[115] == "rib_right_12" and named[116] == "sternum"
    assert CLASSES["TH"] == CLASSES["AB"] and CLASSES["HN"][-2:] == ("brain", "skull")


def test_hd95_counts_the_ends_of_the_array():
    """A slab of one voxel against one two voxels on: every distance is 2 voxels of 1.5 mm."""
    one, two = np.zeros((5, 5, 5), dtype=bool), np.zeros((5, 5, 5), dtype=bool)
    one[0], two[2] = True, True
    assert hd95(one, two, (1.5, 1.0, 1.0)) == pytest.approx(3.0)


def test_a_segmenter_without_the_classes_says_so():
    masks = {"Femur_L": np.ones((3, 3, 3), dtype=bool)}
    values = mode_values("own", masks, masks, (1.0, 1.0, 1.0), "TH")
    assert [(v.metric, v.region, v.status) for v in values] == [
        ("dice", "seg:classes", "undefined"),
        ("hd95", "seg:classes", "undefined"),
    ]
    assert "does not know" in values[0].why


class Everything:
    """A segmenter that finds every class everywhere that is dense."""

    structures = CLASSES["HN"]

    def __init__(self) -> None:
        from qa_suite.core.records import InstrumentFacts

        self.facts = InstrumentFacts(
            kind="segmenter", name="all", uri="all", version="1", weights_sha256="0" * 64
        )

    def segment(self, volume, domain):
        return dict.fromkeys(self.structures, domain & (volume.array > 250))


def test_the_family_gives_the_scores_where_they_are_asked_for():
    from dataclasses import replace

    from qa_suite.metrics.base import Instruments
    from qa_suite.metrics.segmentation.settings import SegmentationSettings

    instruments = Instruments(segmenters=(Everything(),))
    pair = replace(pair_of(1), instruments=instruments)

    def rows(region, pair):
        settings = MeasureSettings(segmentation=SegmentationSettings(synthrad_region=region))
        found = measure_pair(
            pair, families=["segmentation"], settings=settings, case="c", patient="p", site="s"
        ).rows
        assert {r.variant for r in found} <= set(variants_of(settings, instruments))
        return {r.metric: r for r in found if r.region == "seg:classes"}

    assert rows(None, pair) == {}
    found = rows("HN", pair)
    assert set(found) == {"dice", "hd95"}
    assert 0 < found["dice"].value < 1 and found["hd95"].value > 0
    array = pair.synthetic.array.copy()
    array[pair.mask] = np.nan
    broken = rows("HN", replace(pair, synthetic=pair.synthetic.with_array(array)))
    assert {r.status for r in broken.values()} == {"error"}
