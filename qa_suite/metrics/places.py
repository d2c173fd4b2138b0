"""Where each metric is measured: how its regions and variants are spelled.

A name that only the material or the settings know (a structure, a beam, a plan, a segmenter) stands
as NAME or PLAN, a number as N. A profile is checked against this before there is a record. The
golden record and every family's own regions hold it in ``tests/test_places.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Places(NamedTuple):
    """Spellings of a metric's regions and variants."""

    regions: tuple[str, ...]
    variants: tuple[str, ...] = ("default",)


BANDS = ("air", "lung", "fat", "soft", "spongy", "bone", "cortical", "metal")
"""Tissue bands of the image measures with the default settings, for real images in HU."""
_BODY = Places(("body",))
_IN_IMAGE = ("body", *BANDS, "structure:NAME", "shell:N-Nmm", "shell:>Nmm")
_STRUCTURES = ("seg:NAME",)
_BY_FINDER = ("default", "NAME")
_TOLERANCE = ("tolNmm", "NAME:tolNmm")
_COMPONENTS = ("bone", "air", "lesion", "lesion_near_bone", "bone_lesion")
_VALUES = ("bone", "dense", "air", "metal")
_CLAIMED = ("body", "soft", "bone", "air")
_TISSUES = ("air", "fat", "soft", "bone")
_BY_PLAN = ("PLAN",)
_IN_DOSE = ("target", "structure:NAME", "body")
_BOTH = ("reference", "synthetic")
_LESION = ("structure:NAME", "lesions")
_DVH = Places(("target", "structure:NAME"), _BY_PLAN)
_TARGET = Places(("target",), _BY_PLAN)
_BEAM = Places(("beam:NAME",), _BY_PLAN)
_PLAN = Places(("all",), _BY_PLAN)
_GAMMA = Places(_IN_DOSE, ("PLAN:NpctNmm",))


def _each(names: str, places: Places) -> Iterable[tuple[str, Places]]:
    return ((name, places) for name in names.split())


OF_METRIC: dict[str, Places] = dict(
    [
        # image
        *_each(
            "arc_depth_error beam_depth_error block_error error_to_noise high_frequency_ratio "
            "octant_error plane_jitter reference_scale scale_ratio shading shared_noise "
            "slice_error spectral_error",
            _BODY,
        ),
        *_each("mae psnr", Places(_IN_IMAGE, ("default", "synthrad2023", "synthrad2025"))),
        ("ssim", Places(_IN_IMAGE, ("default", "synthrad2023"))),
        ("ms_ssim", Places(("body",), ("default", "synthrad2025"))),
        # segmentation
        *_each("dice hd95", Places(_STRUCTURES, ("default", "NAME", "NAME:synthrad2025"))),
        ("surface_dice", Places(_STRUCTURES, _TOLERANCE)),
        *_each("dice_at_best_threshold threshold_shift", Places(("seg:Bone",))),
        ("noise_floor_gap", Places(_STRUCTURES, ("NAME",))),
        # geometry
        *_each(
            "contour_bias contour_distance contour_distance_95 contour_gain contour_loss "
            "contour_unmatched",
            Places(("seg:Body", "seg:Bone")),
        ),
        *_each(
            "positioning_pitch positioning_roll positioning_rotation positioning_shift "
            "positioning_truth_error positioning_x positioning_y positioning_yaw positioning_z",
            Places(("body",), ("cbct", "drr")),
        ),
        ("structure_shift", Places(("structure:NAME", "structures"))),
        # hallucination
        *_each("value_depth value_error", Places(_VALUES)),
        ("outside_depth", Places(("outside",))),
        ("lesion_contrast_change", Places(("structure:NAME",))),
        # reference_free
        ("air_error", Places(("air",))),
        *_each("tissue_ratio tissue_volume", Places(_TISSUES)),
        ("nonfinite_voxels", Places(("all",))),
        ("sharpness", Places(("bone", "skin"))),
        ("fat_level", Places(("fat",))),
        *_each("muscle_level noise_level streak_index", Places(("soft",))),
        # uncertainty
        *_each(
            "interval_kept interval_level interval_patients interval_voxel_share std_samples", _BODY
        ),
        # dose
        *_each(
            "goals_gained goals_judged goals_lost goals_undecided synthrad_dose_mae "
            "synthrad_dvh_error",
            _PLAN,
        ),
        ("path_beyond_table", Places(("all", "beam:NAME"), _BY_PLAN)),
        *_each(
            "machine_energy path_cut path_unseen range_beyond_margin range_error_pct "
            "wepl_difference_95 wepl_difference_max wepl_difference_mean",
            _BEAM,
        ),
        *_each("hu_beyond_reference hu_beyond_synthetic", Places(("body",), _BY_PLAN)),
        *_each("dose_difference_95 dose_difference_mean", Places(_IN_DOSE, _BY_PLAN)),
        *_each("gamma_mean gamma_pass_rate gamma_voxels", _GAMMA),
        ("bulk_gamma_pass_rate", Places(("body",), ("PLAN:NpctNmm",))),
        (
            "cause_dmean",
            Places(tuple(f"cause:{c}" for c in ("outline", "air", "soft", "bone")), _BY_PLAN),
        ),
        ("goal_volume_difference", Places(("structure:NAME",), ("PLAN:VNGy", "PLAN:VN%"))),
        ("hlut_dmean", Places(("target",), ("PLAN:NAME",))),
        *_each(
            "coverage_dose_difference coverage_dose_reference coverage_dose_synthetic "
            "coverage_met_reference coverage_met_synthetic band_d95 band_misses_d95 "
            "band_samples bulk_dmean prescribed_dose "
            "scenario_excess_d95 homogeneity_difference homogeneity_reference "
            "homogeneity_synthetic conformity_paddick_difference conformity_paddick_reference "
            "conformity_paddick_synthetic conformity_rtog_difference conformity_rtog_reference "
            "conformity_rtog_synthetic",
            _TARGET,
        ),
        # appearance: of the images as such
        ("edge_steepness", Places(("bone", "fat"), _BOTH)),
        ("image_noise", Places(("body",), _BOTH)),
        ("tissue_hu", Places(("air", "bone", "fat", "muscle"), _BOTH)),
        ("source_shape", Places(("p10", "p25", "p75", "p90"))),
        ("source_texture", Places(("2mm", "4mm", "8mm", "16mm"))),
        ("voxel_size", Places(("in_plane", "slice"))),
        # pet
        *_each("lesion_lost", Places(_LESION)),
        *_each(
            " ".join(
                f"{name}_{side}"
                for name in ("mtv", "tlg")
                for side in ("reference", "synthetic", "difference", "difference_pct")
            ),
            Places(_LESION, ("Npct", "suvN")),
        ),
    ]
)
"""Metrics with places of their own; the others have those of their family."""

OF_FAMILY: dict[str, Places] = {
    "image": Places(_IN_IMAGE),
    "segmentation": Places(_STRUCTURES, _BY_FINDER),
    "geometry": _BODY,
    "hallucination": Places(_COMPONENTS),
    "reference_free": _BODY,
    "uncertainty": Places(_CLAIMED),
    "dose": _DVH,
    "pet": Places(_LESION),
    "appearance": _BODY,
    "cost": Places(("all",)),
}
"""Where the metrics of a family are measured. Sets have no case to bound; families from outside say
nothing of their regions."""


def places_of(metric: str, family: str) -> Places | None:
    """Return how a metric's regions and variants are spelled; None where nothing is known."""
    if family not in OF_FAMILY:
        return None
    return OF_METRIC.get(metric, OF_FAMILY[family])
