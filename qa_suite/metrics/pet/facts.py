"""The facts of every metric of the family ``pet``.

The numbers of a structure come out of its voxels together, so the metrics are declared here and
have no functions of their own.
"""

from __future__ import annotations

from typing import Any

from qa_suite.metrics.facts import METRICS, MetricFacts
from qa_suite.metrics.pet.settings import PetSettings

FAMILY = "pet"
SIDES = ("reference", "synthetic", "difference", "difference_pct")
ORGAN_QUANTITIES = ("suv_mean",)
LESION_QUANTITIES = ("suv_mean", "suv_max", "suv_peak", "lesion_to_background")
THRESHOLD_QUANTITIES = ("mtv", "tlg")
ERRORS = ("suv_mae", "suv_mae_pct")
LOST = "lesion_lost"

_DEFAULTS = PetSettings()
_OWN = "Definition of this suite"
_EANM = "Boellaard et al. 2015, Eur J Nucl Med Mol Imaging 42:328 (EANM guideline 2.0)"
_PERCIST = "Wahl, Jacene, Kasamon, Lodge 2009, J Nucl Med 50 suppl 1:122S (PERCIST 1.0)"
_EMPTY = (
    "undefined where the structure has no voxel in the mask, or the case no such structure; an "
    "error where a voxel of it is not finite"
)
_BECAUSE = "uptake is told in SUVbw"


def _declare(name: str, **facts: Any) -> None:
    given = {"family": FAMILY, "empty": _EMPTY, "quantities": ("SUVbw",), "because": _BECAUSE}
    METRICS.declare(name, MetricFacts(**(given | facts)))


def _declare_quantity(
    name: str, title: str, unit: str, formula: str, reference: str, *, empty: str = "", **more: Any
) -> None:
    """Register a number of each image, their difference and its share of the reference's."""
    rule = f"{_EMPTY}; {empty}" if empty else _EMPTY
    common = {"reference": reference, "empty": rule, "settings": more}
    capital = title[0].upper() + title[1:]
    for side in ("reference", "synthetic"):
        positive = unit in ("cc", "g")
        _declare(
            f"{name}_{side}", title=f"{capital}, {side} image", unit=unit, direction="none",
            range="[0, inf)" if positive else "(-inf, inf)",
            kind="positive" if positive else "signed", formula=formula, **common,
        )  # fmt: skip
    _declare(
        f"{name}_difference", title=f"Difference of the {title}", unit=unit, direction="zero",
        range="(-inf, inf)",
        kind="signed", formula=f"synthetic - reference; each: {formula}", **common,
    )  # fmt: skip
    common["empty"] = f"{rule}; undefined where the reference's is not positive"
    _declare(
        f"{name}_difference_pct", title=f"Relative difference of the {title}", unit="%",
        direction="zero", range="(-inf, inf)", kind="signed",
        formula=f"100 (synthetic - reference) / reference; each: {formula}", **common,
    )  # fmt: skip


_declare_quantity(
    "suv_mean", "SUVmean", "SUVbw", "mean over the structure's voxels", _EANM,
)  # fmt: skip
_declare_quantity(
    "suv_max", "SUVmax", "SUVbw", "highest voxel of the lesion; each image its own", _EANM,
)  # fmt: skip
_declare_quantity(
    "suv_peak", "SUVpeak", "SUVbw",
    "highest mean of a sphere of 1 cm³ centred on any voxel of the lesion; a voxel that the "
    "sphere cuts counts by its share inside it",
    f"{_PERCIST}; {_EANM}",
    empty="undefined where no such sphere lies whole in what was scanned",
    sphere_cc=_DEFAULTS.peak_cc, centre="voxel centres of the lesion, highest mean",
)  # fmt: skip
_declare_quantity(
    "lesion_to_background", "lesion-to-background ratio", "1",
    "SUVmean of the lesion / mean of the shell around it, other lesions left out",
    "After Boellaard et al. 2015, Eur J Nucl Med Mol Imaging 42:328; the shell is this suite's",
    empty="undefined where the shell has too few voxels or its mean is not positive",
    shell_gap_mm=_DEFAULTS.shell_gap_mm, shell_mm=_DEFAULTS.shell_mm,
)  # fmt: skip
_THRESHOLD = "voxels of the lesion at or above the variant's threshold"
_OF_MAX = "undefined where a threshold in % meets a SUVmax that is not positive"
_declare_quantity(
    "mtv", "metabolic tumour volume", "cc",
    f"volume of the {_THRESHOLD}: % of the image's own SUVmax there, or SUVbw", _EANM,
    empty=_OF_MAX,
)  # fmt: skip
_declare_quantity(
    "tlg", "total lesion glycolysis", "g",
    f"sum of SUV × voxel volume over the {_THRESHOLD}: SUVmean × MTV, SUVbw in g/cm³",
    "Larson et al. 1999, Clin Positron Imaging 2:159", empty=_OF_MAX,
)  # fmt: skip
_declare(
    "suv_mae", title="Mean absolute error of the SUV in a structure", unit="SUVbw",
    direction="lower", range="[0, inf)", kind="positive",
    formula="mean |synthetic - reference| over the structure's voxels in the mask", reference=_OWN,
)  # fmt: skip
_declare(
    "suv_mae_pct", title="Mean absolute error of the SUV, of the reference's SUVmean", unit="%",
    direction="lower", range="[0, inf)", kind="positive",
    formula="100 suv_mae / suv_mean_reference",
    empty=f"{_EMPTY}; undefined where the reference's SUVmean is not positive", reference=_OWN,
)  # fmt: skip
_declare(
    LOST, title="Lesion that the synthetic image does not show", unit="1", direction="lower",
    range="integers in [0, inf)",
    kind="count",
    formula="1 where the lesion is visible in the reference and not in the synthetic image, 0 "
    "where in both; of 'lesions': how many. Visible: SUVpeak > 1.5 × mean + 2 SD of the shell",
    empty=f"{_EMPTY}; undefined where the reference does not show it, or has no SUVpeak or shell",
    reference="After PERCIST's smallest measurable lesion (Wahl et al. 2009), with the lesion's "
    "own surroundings in the liver's place",
    settings={"visible_factor": _DEFAULTS.visible_factor, "visible_sd": _DEFAULTS.visible_sd},
)  # fmt: skip
