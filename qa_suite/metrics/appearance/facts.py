"""The facts of every metric of the family ``appearance``.

None of them has a better side: they describe an image, so that an audit can say whose images
differ between hospitals: the sources, the references or the synthetic ones.
"""

from __future__ import annotations

from typing import Any

from qa_suite.imaging.appearance import FEWEST
from qa_suite.imaging.embedding import SHAPE, TEXTURE
from qa_suite.metrics.facts import METRICS, REFERENCE_UNIT, MetricFacts

FAMILY = "appearance"
IMAGES = ("reference", "synthetic", "source")
"""The variants: whose appearance a row is."""
VARIANTS: dict[str, dict[str, Any]] = {image: {"of_image": image} for image in IMAGES}
AIR_BELOW_HU, BONE_HU, FAT_HU = -800.0, 250.0, -30.0
BONE_PERCENTILE = 90
LEVEL_WINDOW_HU, LEVEL_HALFWIDTH_HU = (-300.0, 300.0), 40.0
SOFT_HU = (-250.0, 250.0)

_SUITE = "Definition of this suite"
_INSIDE = "inside: the mask where both images were scanned"
_WITHOUT = "undefined without a source image"
_BROKEN = "an error where a voxel that is looked at is not finite"


def _declare(name: str, **facts: Any) -> None:
    given = {"family": FAMILY, "direction": "none", "reference": _SUITE, "range": "(-inf, inf)"}
    given["empty"] = _BROKEN
    METRICS.declare(name, MetricFacts(**(given | facts)))


_declare(
    "source_level",
    kind="signed",
    title="Signal of the source",
    unit="stored value",
    formula=f"median inside, as the source's file stores it, plus 1000 where that is HU; {_INSIDE}",
    empty=f"{_WITHOUT}; {_BROKEN}",
)
_declare(
    "source_span",
    kind="positive",
    title="Contrast of the source",
    unit="stored value",
    range="[0, inf)",
    formula="95th minus 5th percentile inside, as the source's file stores them",
    empty=f"{_WITHOUT}; {_BROKEN}",
)
_declare(
    "source_asymmetry",
    kind="bounded",
    title="Order of contrasts of the source",
    unit="1",
    range="[-1, 1]",
    formula="(P95 + P5 - 2 P50) / (P95 - P5) inside: which side of the median has the wide tail",
    empty=f"{_WITHOUT}, or where it is flat; {_BROKEN}",
    reference="Quantile skewness: Hinkley 1975, Biometrika 62:101",
)
_declare(
    "source_noise",
    kind="positive",
    title="Noise of the source",
    unit="%",
    range="[0, inf)",
    formula="1.4826 median |r| over source_span, r = the slice filtered with "
    "[1 −2 1] ⊗ [1 −2 1] / 6",
    empty=f"{_WITHOUT}, where it is flat, or with fewer than {FEWEST} such voxels; {_BROKEN}",
    reference="Immerkær 1996, Comput Vis Image Underst 64:300 (the filter)",
)
_declare(
    "source_sharpness",
    kind="positive",
    title="Sharpness of the source",
    unit="%/mm",
    range="[0, inf)",
    formula="median length of the gradient in the cells of eight voxels inside that Otsu's "
    "threshold parts, over the distance of the medians of the two parts",
    empty=f"{_WITHOUT}, where it is flat, or with fewer than {FEWEST} such cells; {_BROKEN}",
    reference="Otsu 1979, IEEE Trans Syst Man Cybern 9:62 (the threshold)",
)
_declare(
    "source_unevenness",
    kind="positive",
    title="Unevenness of the source: bias field, shading",
    unit="%",
    range="[0, inf)",
    formula="standard deviation inside of the quadratic in position fitted to the values of either "
    "side of Otsu's threshold over that side's median (HU + 1000 where the source is in HU), of "
    "those within 40 % of it",
    empty=f"{_WITHOUT}, where it is flat, or with fewer than {FEWEST} such voxels; {_BROKEN}",
)
_declare(
    SHAPE,
    kind="bounded",
    title="Shape of the source's histogram",
    unit="1",
    range="[0, 1]",
    formula="(P - P5) / (P95 - P5) inside, P the percentile that the region names",
    empty=f"{_WITHOUT}, or where it is flat; {_BROKEN}",
)
_declare(
    TEXTURE,
    kind="positive",
    title="Texture of the source at one scale",
    unit="%",
    range="[0, inf)",
    formula="root mean square difference of two voxels inside of a slice, as far apart as the "
    "region says, over source_span; values clipped half a span beyond P5 and P95; between whole "
    "voxels interpolated, from 0 at no distance",
    empty=f"{_WITHOUT}, where it is flat, or with fewer than {FEWEST} such pairs; {_BROKEN}",
    reference="Matheron 1963, Econ Geol 58:1246 (the root of twice the semivariogram)",
)
_declare(
    "voxel_size",
    kind="positive",
    title="Voxel of the source's grid",
    unit="mm",
    range="(0, inf)",
    formula="in_plane: geometric mean of the spacings across the long axis; slice: along it",
    empty="always has a value",
)
_declare(
    "tissue_hu",
    kind="signed",
    title="Level of a tissue in one image",
    unit="HU",
    formula=(
        "air: median outside the mask of all below -800 HU; fat and muscle: peak below and above "
        "Otsu's threshold of the values within ±300 HU inside, as fat_level and muscle_level; "
        "bone: 90th percentile inside of all from 250 HU on"
    ),
    empty=f"undefined with fewer than {FEWEST} such voxels; the source's where it is not in HU; "
    f"{_BROKEN}",
    quantities=("HU",),
    because="defined by HU",
)
_declare(
    "image_noise",
    kind="positive",
    title="Noise of one image",
    unit=REFERENCE_UNIT,
    range="[0, inf)",
    formula="1.4826 median |r| inside, r as in source_noise; in HU of voxels within ±250 HU",
    empty=f"undefined with fewer than {FEWEST} such voxels; {_BROKEN}",
    reference="Immerkær 1996, Comput Vis Image Underst 64:300 (the filter)",
)
_declare(
    "edge_steepness",
    kind="positive",
    title="Steepness of edges in one image: the kernel",
    unit="HU/mm",
    range="[0, inf)",
    formula="median length of the gradient in the cells of eight voxels inside that -30 HU (fat) "
    "or 250 HU (bone) parts",
    empty=f"undefined with fewer than {FEWEST} such cells; {_BROKEN}",
    quantities=("HU",),
    because="defined by HU",
)
