"""The parts that a virtual body is painted with, and the tissues that each is made of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PARTS = (
    "air",
    "skin",
    "fat",
    "muscle",
    "bone_cortical",
    "marrow_pelvis",
    "marrow_sacrum",
    "marrow_femur",
    "marrow_shaft",
    "cartilage",
    "bladder_wall",
    "urine",
    "prostate",
    "lesion",
    "seminal_vesicles",
    "rectum_wall",
    "stool",
    "gas",
    "bowel_wall",
    "bowel_content",
    "blood",
    "nerve",
)
LABELS: Mapping[str, int] = MappingProxyType({name: i for i, name in enumerate(PARTS)})
"""Label values of :attr:`VirtualPatient.labels`: the part with the largest share of the voxel."""

STRUCTURES = (
    "Body",
    "Bladder",
    "Prostate",
    "SeminalVes",
    "Rectum",
    "GTV",
    "Femur_Head_L",
    "Femur_Head_R",
    "Femur_L",
    "Femur_R",
    "Sacrum",
    "Bone_Pelvic",
    "Bone",
)
"""Names of the delineated structures, after AAPM TG-263 where it has one."""

BONE_SHARE: Mapping[str, float] = {
    "marrow_pelvis": 0.10,
    "marrow_sacrum": 0.070,
    "marrow_femur": 0.145,
}
"""Volume of trabecular bone over total volume at age 68 (estimated; BV/TV of 0.08 to 0.2)."""

_RED_SHARE = {"marrow_pelvis": 0.75, "marrow_sacrum": 0.80, "marrow_femur": 0.12}
_TISSUE_OF = {
    "air": "air",
    "skin": "skin",
    "fat": "adipose",
    "muscle": "muscle",
    "bone_cortical": "cortical_bone",
    "marrow_shaft": "yellow_marrow",
    "cartilage": "cartilage",
    "bladder_wall": "bladder_wall",
    "urine": "urine",
    "prostate": "prostate",
    "lesion": "tumour",
    "seminal_vesicles": "prostate",
    "rectum_wall": "bowel",
    "stool": "stool",
    "gas": "air",
    "bowel_wall": "bowel",
    "bowel_content": "stool",
    "blood": "blood",
    "nerve": "bowel",
}


def composition(part: str, bone_density: float) -> dict[str, float]:
    """Return the volume shares of the tissues that make up one part of the body.

    Trabecular bone is a mixture of cortical bone and of red and yellow marrow;
    ``bone_density`` scales the patient's share of bone.
    """
    if part in _TISSUE_OF:
        return {_TISSUE_OF[part]: 1.0}
    bone = BONE_SHARE[part] * bone_density
    red = _RED_SHARE[part]
    return {
        "cortical_bone": bone,
        "red_marrow": (1 - bone) * red,
        "yellow_marrow": (1 - bone) * (1 - red),
    }
