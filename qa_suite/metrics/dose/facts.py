"""The facts of every metric of the family ``dose``.

The metrics of a dose come out of a few computations together, so they are declared here and have
no functions of their own.
"""

from __future__ import annotations

import math
from typing import Any

from qa_suite.metrics.dose.settings import DoseSettings
from qa_suite.metrics.facts import METRICS, MetricFacts

DVH_METRICS = {"d98": "D98", "d95": "D95", "d50": "D50", "d2": "D2", "dmean": "Dmean",
               "dmax": "Dmax"}  # fmt: skip
"""Name of a metric in tables to its name in a DVH."""
INDEX_METRICS = {
    "homogeneity": (
        "Homogeneity index (D2 - D98) / D50",
        "ICRU Report 83 (2010), section 3.6",
        ("[0, inf)", "(-inf, inf)"),
    ),
    "conformity_paddick": (
        "Paddick conformity index",
        "Paddick I (2000), J Neurosurg 93 suppl 3:219",
        ("[0, 1]", "[-1, 1]"),
    ),
    "conformity_rtog": (
        "RTOG conformity index",
        "Shaw E et al. (1993), Int J Radiat Oncol Biol Phys 27:1231",
        ("[0, inf)", "(-inf, inf)"),
    ),
}
"""Name of an index of the target: title, source, and the ranges of its value and difference."""
_EMPTY = "no plan, no target or too little of the structure in the dose grid: undefined or error"
_OWN = "Definition of this suite"
_ICRU = "ICRU Report 83 (2010)"
_SYNTHRAD = (
    "Huijben EMC et al. (2024) SynthRAD2023 challenge report, Med Image Anal 97:103276, after "
    "its description of the dose metrics"
)


def _declare(name: str, **facts: Any) -> None:
    facts = {"family": "dose", "empty": _EMPTY, "reference": _OWN} | facts
    if "range" not in facts:
        facts |= {"range": "(-inf, inf)", "kind": "signed"}
    METRICS.declare(name, MetricFacts(**facts))


for _name, _dvh in DVH_METRICS.items():
    for _side, _image in (("reference", "reference CT"), ("synthetic", "synthetic image")):
        _declare(
            f"{_name}_{_side}", title=f"{_dvh} of the plan on the {_image}", unit="Gy",
            direction="none", range="[0, inf)", kind="positive",
            formula=f"{_dvh} of the structure's DVH", reference=_ICRU,
        )  # fmt: skip
    _declare(
        f"{_name}_difference", title=f"Difference of {_dvh}", unit="Gy", direction="zero",
        formula=f"{_dvh} on the synthetic image - {_dvh} on the reference", reference=_ICRU,
    )  # fmt: skip
    _declare(
        f"{_name}_difference_pct", title=f"Difference of {_dvh}, of the prescription", unit="%",
        direction="zero", formula=f"100 × difference of {_dvh} / prescribed dose",
        reference=_ICRU,
    )  # fmt: skip

for _name, (_title, _source, (_values, _changes)) in INDEX_METRICS.items():
    _kind = "bounded" if _values == "[0, 1]" else "positive"
    for _side in ("reference", "synthetic"):
        _declare(
            f"{_name}_{_side}", title=f"{_title}, {_side} image", unit="1", direction="none",
            range=_values, kind=_kind, formula=f"{_title} of the target", reference=_source,
        )  # fmt: skip
    _declare(
        f"{_name}_difference", title=f"Difference: {_title}", unit="1", direction="zero",
        range=_changes, kind="signed", formula="synthetic - reference", reference=_source,
    )  # fmt: skip

_declare(
    "prescribed_dose", title="Prescribed dose of the course", unit="Gy", direction="none",
    range="(0, inf)", kind="positive",
    formula="of the template, or of the clinic's plan where that was used; of each target",
)  # fmt: skip
for _side, _image in (("reference", "reference CT"), ("synthetic", "synthetic image")):
    _declare(
        f"coverage_dose_{_side}",
        title=f"Dose that covers the target on the {_image}, of the prescription", unit="%",
        direction="none", range="[0, inf)", kind="positive",
        formula="100 × dose that the prescribed share of the target gets at least (D95 unless the "
        "prescription says another) / dose prescribed to this target", reference=_ICRU,
    )  # fmt: skip
    _declare(
        f"coverage_met_{_side}", title=f"Prescription met on the {_image}", unit="1",
        direction="none", range="integers in [0, 1]", kind="event",
        formula="1 where the prescribed share of the target (95 %) gets the prescribed share of "
        "its dose (95 %), else 0",
    )  # fmt: skip
_declare(
    "coverage_dose_difference", title="Difference of the dose that covers the target", unit="%",
    direction="zero",
    formula="coverage_dose on the synthetic image - on the reference, of the prescription",
    reference=_ICRU,
)  # fmt: skip
_declare(
    "goal_volume_difference", title="Difference of a goal's volume", unit="%", direction="zero",
    formula="V_x of the goal on the synthetic image - on the reference, % of the structure",
    range="[-100, 100]",
    kind="signed",
)  # fmt: skip
for _name, _title in (
    ("goals_lost", "Clinical goals met on the reference and missed on the synthetic image"),
    ("goals_gained", "Clinical goals missed on the reference and met on the synthetic image"),
):
    _declare(
        _name, title=_title, unit="1", direction="lower",
        range="integers in [0, inf)", kind="count",
        formula="count of the plan's goals that flip, what is prescribed to each target among "
        "them; undecided goals do not",
    )  # fmt: skip
_declare(
    "goals_judged", title="Clinical goals that both images decide", unit="1",
    direction="none", range="integers in [0, inf)", kind="count",
    formula="count of the plan's goals, what is prescribed to each target among them, that are met "
    "or missed on both images",
)  # fmt: skip
_declare(
    "goals_undecided", title="Clinical goals that one of the images leaves undecided", unit="1",
    direction="none", range="integers in [0, inf)", kind="count",
    formula="count of goals whose structure is missing or lies outside the dose grid",
)  # fmt: skip
_declare(
    "dose_difference_mean", title="Mean dose difference, of the prescription", unit="%",
    direction="zero",
    formula="100 × mean (synthetic - reference) / prescribed dose, over the region's voxels "
    "above the cut-off",
)  # fmt: skip
_declare(
    "dose_difference_95", title="95th percentile of the absolute dose difference", unit="%",
    direction="lower", range="[0, inf)", kind="positive",
    formula="95th percentile of 100 × |synthetic - reference| / prescribed dose, over the "
    "region's voxels above the cut-off",
)  # fmt: skip
_declare(
    "gamma_pass_rate", title="Gamma pass rate", unit="%", direction="higher",
    range="[0, 100]", kind="bounded",
    formula="share of the judged voxels with gamma <= 1, see docs/dose/gamma.md",
    reference="Low DA et al. (1998), Med Phys 25:656",
)  # fmt: skip
_declare(
    "gamma_mean", title="Mean gamma", unit="1", direction="lower",
    range="[0, inf)", kind="positive",
    formula="mean gamma of the judged voxels", reference="Low DA et al. (1998), Med Phys 25:656",
    censored="where gamma of a voxel reaches max_gamma, the end of its search: at least that",
    ends=(DoseSettings().gamma_settings.max_gamma or math.inf,),
)  # fmt: skip
_declare(
    "gamma_voxels", title="Voxels judged by gamma", unit="1", direction="none",
    range="integers in [0, inf)",
    kind="count",
    formula="voxels of the region above the cut-off that lie in both doses: what the pass rate and "
    "the mean gamma of this criterion rest on",
)  # fmt: skip
_declare(
    "synthrad_dose_mae", title="SynthRAD dose error", unit="1", direction="lower",
    range="[0, inf)",
    kind="positive",
    formula="mean |synthetic - reference| / prescribed dose over the voxels whose reference dose "
    "exceeds 90 % of the prescription",
    reference=_SYNTHRAD,
)  # fmt: skip
_declare(
    "synthrad_dvh_error", title="SynthRAD DVH error", unit="1", direction="lower",
    range="[0, inf)",
    kind="positive",
    formula="relative differences |s - r| / r of the target's D98 and V95%, and the mean over "
    "the organs with goals of those of D2 and Dmean, added up",
    reference=_SYNTHRAD,
)  # fmt: skip
_declare(
    "cause_dmean", title="Part of the target's mean dose difference by one cause", unit="%",
    direction="zero",
    formula="100 × (Dmean with the synthetic image's outline, air, soft tissue or bone in the "
    "reference - Dmean of the reference) / prescribed dose",
)  # fmt: skip
_declare(
    "hlut_dmean", title="Change of the target's mean dose with another HLUT", unit="%",
    direction="none",
    formula="100 × (Dmean on the reference with the other HLUT - Dmean with the plan's) / "
    "prescribed dose",
)  # fmt: skip
_declare(
    "bulk_dmean", title="Mean target dose difference of the bulk-density image", unit="%",
    direction="none",
    formula="100 × (Dmean on the reference's air, water and bone - Dmean on the reference) / "
    "prescribed dose",
)  # fmt: skip
_declare(
    "bulk_gamma_pass_rate", title="Gamma pass rate of the bulk-density image", unit="%",
    direction="none", range="[0, 100]", kind="bounded",
    formula="as gamma_pass_rate, of the reference's air, water and bone",
    reference="Low DA et al. (1998), Med Phys 25:656",
)  # fmt: skip
_declare(
    "band_samples", title="Samples computed as dose scenarios", unit="1", direction="none",
    range="integers in [2, inf)",
    kind="count",
    formula="number of the prediction's samples behind the bands of D95 and of the DVHs",
)  # fmt: skip
_declare(
    "band_d95", title="Width of D95 over the samples", unit="%", direction="none",
    range="[0, inf)",
    kind="positive",
    formula="100 × (largest - smallest D95 of the prediction's samples) / prescribed dose",
)  # fmt: skip
_declare(
    "band_misses_d95", title="Distance of the reference's D95 from the samples' band", unit="%",
    direction="lower", range="[0, inf)", kind="positive",
    formula="100 × distance of the reference's D95 from [smallest, largest] / prescribed dose",
)  # fmt: skip
_declare(
    "machine_energy", title="Nominal energy of the machine that computes a beam", unit="MV",
    direction="none", range="[1, 50]", kind="bounded",
    formula="nominal energy of the machine of each photon beam of the clinic's plan; the beam's "
    "own, and whether the machine stands in, are said beside it",
)  # fmt: skip
for _side, _image in (("reference", "reference CT"), ("synthetic", "synthetic image")):
    _declare(
        f"hu_beyond_{_side}", title=f"Voxels of the {_image} beyond the HLUT's ends", unit="1",
        direction="none", range="integers in [0, inf)", kind="count",
        formula="number of the image's voxels inside its body whose HU lie more than 1 HU below "
        "the first point (unless that is air) or above the last point of the plan's HLUT",
    )  # fmt: skip
_declare(
    "path_beyond_table", title="Share of a beam's rays that meet voxels beyond the HLUT's ends",
    unit="%", direction="lower", range="[0, 100]", kind="bounded",
    formula="share of the rays to the target's voxels that meet such a voxel of either image on "
    "their way; 'all' is the beam with the most",
)  # fmt: skip
_declare(
    "path_unseen", title="Share of the beam's path that the source did not see", unit="%",
    direction="none", range="[0, 100]", kind="bounded",
    formula="water-equivalent path to the target where both images carry the reference / whole "
    "path in the body, mean over the target's voxels",
)  # fmt: skip
_declare(
    "path_cut", title="Share of the beam that enters through the image's edge", unit="%",
    direction="none", range="[0, 100]", kind="bounded",
    formula="share of the target's voxels whose ray meets the edge of the image inside the body",
)  # fmt: skip
for _name, _title, _direction, _unit in (
    ("wepl_difference_mean", "Mean difference of the water-equivalent path length", "zero", "mm"),
    ("wepl_difference_95", "95th percentile of its absolute difference", "lower", "mm"),
    ("wepl_difference_max", "Largest absolute difference", "lower", "mm"),
    ("range_error_pct", "Mean difference, of the path length", "zero", "%"),
):
    _declare(
        _name, title=_title, unit=_unit, direction=_direction,
        range="[0, inf)" if _direction == "lower" else "(-inf, inf)",
        kind="positive" if _direction == "lower" else "signed",
        formula="water-equivalent path from the skin to the target's distal surface, synthetic "
        "- reference, over the rays of a beam",
        reference="Paganetti H (2012), Phys Med Biol 57:R99",
    )  # fmt: skip
_declare(
    "range_beyond_margin", title="Share of rays whose range error exceeds the margin", unit="%",
    direction="lower", range="[0, 100]", kind="bounded",
    formula="share of a beam's rays with |difference| > 3 % of the path + 1 mm",
    reference="Paganetti H (2012), Phys Med Biol 57:R99: margins in use",
)  # fmt: skip
_declare(
    "scenario_excess_d95", title="D95 below the worst set-up and range scenario", unit="%",
    direction="lower", range="[0, inf)", kind="positive",
    formula="100 × max(0, smallest D95 of the scenarios on the reference - D95 on the synthetic "
    "image) / prescribed dose",
)  # fmt: skip
