"""Checks of the outline: the synthetic body against that of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qa_suite.imaging.masks import dice
from qa_suite.imaging.robust import thinned
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.reference_free.checks import Answer, Need, check
from qa_suite.metrics.reference_free.patient import Scene

if TYPE_CHECKING:
    from qa_suite.metrics.segmentation.surfaces import SurfaceDistances

_NEEDS: tuple[Need, ...] = ("finite", "outlined", "body", "source", "bodies")
_NO_SURFACE = "undefined where a body has no surface inside the source's field"
_OUTLINES = "outlines by HU (-400) and by signal (a quarter of Otsu's threshold), each on its own"


@check(
    "source_contour_distance",
    title="Distance between the outlines of source and synthetic image",
    unit="mm",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula=f"area-weighted mean distance of both surfaces together; {_OUTLINES}",
    needs=_NEEDS,
    reference="Heimann et al. 2009, IEEE Trans Med Imaging 28:1251",
    empty=_NO_SURFACE,
)
def source_contour_distance(scene: Scene, region: str) -> Answer:
    """Mean distance between the two outlines, in mm."""
    from qa_suite.metrics.segmentation.surfaces import assd

    found = _outlines(scene)
    return found if isinstance(found, NoValue) else assd(found)


@check(
    "source_contour_distance_95",
    title="95th percentile distance between the outlines",
    unit="mm",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula=f"the larger of the two directed 95th percentiles; {_OUTLINES}",
    needs=_NEEDS,
    reference="Nikolov et al. 2021, J Med Internet Res 23:e26151",
    empty=_NO_SURFACE,
)
def source_contour_distance_95(scene: Scene, region: str) -> Answer:
    """Distance within which 95 % of the outlines lie, in mm."""
    from qa_suite.metrics.segmentation.surfaces import hd95

    found = _outlines(scene)
    return found if isinstance(found, NoValue) else hd95(found)


@check(
    "source_contour_bias",
    title="Mean signed distance of the outlines",
    unit="mm",
    formula=(
        "(volume of the synthetic body − volume of the source's) / mean area of their surfaces, "
        "within the source's field; positive where the synthetic body is the larger"
    ),
    needs=_NEEDS,
    empty=_NO_SURFACE,
)
def source_contour_bias(scene: Scene, region: str) -> Answer:
    """How far the synthetic outline lies outside that of the source on average, in mm."""
    found = _outlines(scene)
    if isinstance(found, NoValue):
        return found
    area = float(found.reference_area_mm2.sum() + found.synthetic_area_mm2.sum()) / 2
    known = scene.known
    excess = int((scene.body & known).sum()) - int((scene.source_body & known).sum())
    return excess * scene.grid.voxel_volume_cc * 1000 / area


@check(
    "source_body_dice",
    title="Overlap of the bodies of source and synthetic image",
    unit="1",
    direction="higher",
    value_range="[0, 1]",
    kind="bounded",
    formula=f"2 |A ∩ B| / (|A| + |B|) within the source's field; {_OUTLINES}",
    needs=_NEEDS,
    reference="Dice 1945, Ecology 26:297",
)
def source_body_dice(scene: Scene, region: str) -> Answer:
    """Dice overlap of the two bodies."""
    found = dice(scene.body & scene.known, scene.source_body)
    return found if found is not None else NoValue(why="neither image shows a body there")


@check(
    "cut_body",
    title="Body that the synthetic image lacks",
    unit="%",
    direction="lower",
    value_range="[0, 100]",
    kind="bounded",
    formula=(
        "share of the source's body, deeper than 10 mm below its surface, that is not in the "
        "synthetic image's body: truncated field, holes, empty slices"
    ),
    needs=_NEEDS,
    empty="undefined where no part of the body is that deep",
)
def cut_body(scene: Scene, region: str) -> Answer:
    """Share of the source's inner body where the synthetic image shows none, in %."""
    deep = scene.deep_source_body
    total = int(deep.sum())
    if total == 0:
        return NoValue(why=f"no part of the body is {scene.settings.depth_mm:g} mm deep")
    return 100 * int((deep & ~scene.body).sum()) / total


@check(
    "void_filled",
    title="Largest dark place of the source that is soft tissue in the synthetic image",
    unit="cc",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula=(
        "largest connected part (6 neighbours) of the voxels, deeper than 10 mm in the source's "
        "body, that are dark in the source (below a quarter of Otsu's threshold; in HU: -200) and "
        "between -200 and 150 HU in the synthetic image: gas filled, dark bone lost"
    ),
    needs=("finite", "hu", "body", "source", "bodies"),
    reference="Otsu 1979, IEEE Trans Syst Man Cybern 9:62 (the threshold)",
)
def void_filled(scene: Scene, region: str) -> Answer:
    """Volume of the largest void that was filled with soft tissue, in cc."""
    from scipy import ndimage

    low, high = scene.settings.filled_hu
    filled = scene.deep_source_body & (scene.source.array < scene.dark_level)
    filled &= (scene.hu > low) & (scene.hu < high)
    labels, count = ndimage.label(filled)
    if count == 0:
        return 0.0
    return float(np.bincount(labels.ravel())[1:].max()) * scene.grid.voxel_volume_cc


@check(
    "left_right_symmetry",
    title="Likeness of the left and the right half",
    unit="1",
    value_range="[-1, 1]",
    kind="bounded",
    formula=(
        "Pearson correlation of the synthetic image, clipped to ±500 HU, with its mirror image "
        "about the middle of its body's extent, where both show body"
    ),
    empty="undefined where the body does not meet its mirror image, or is flat",
)
def left_right_symmetry(scene: Scene, region: str) -> Answer:
    """Correlation of the image with its mirror image."""
    (columns,) = np.nonzero(scene.body.any(axis=(1, 2)))
    low, high = int(columns[0]), int(columns[-1]) + 1
    body = scene.body[low:high]
    both = body & body[::-1]
    values = scene.hu[low:high]
    one, other = (np.clip(thinned(part[both]), -500, 500) for part in (values, values[::-1]))
    if one.size < 2 or one.std() == 0:
        return NoValue(why="the body does not meet its mirror image, or is flat")
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1))


def _outlines(scene: Scene) -> SurfaceDistances | NoValue:
    """Distances between the two outlines, computed once a scene."""
    from qa_suite.metrics.segmentation.surfaces import surface_distances

    if "outlines" not in scene.shared:
        found = surface_distances(
            scene.source_body, scene.body, scene.grid.spacing_mm, domain=scene.known
        )
        bare = found.reference_empty or found.synthetic_empty
        scene.shared["outlines"] = (
            NoValue(why="a body has no surface inside the source's field") if bare else found
        )
    result: SurfaceDistances | NoValue = scene.shared["outlines"]
    return result
