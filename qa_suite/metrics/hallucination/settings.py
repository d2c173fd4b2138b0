"""What the search for false and missed components can be told.

Every default is a choice of this suite; ``docs/measures/hallucination.md`` says why, and what
was found with it on clean twins and on planted components.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

WATER_POINTS = ((-1000.0, 0.0), (100.0, 1.1), (195.0, 1.1), (3000.0, 2.5385))
"""HU and relative electron density: Thomas 1999, Br J Radiol 72:781."""


class HallucinationSettings(BaseModel):
    """Settings of the search for false and missed components.

    Parameters
    ----------
    working_mm
        Voxels are averaged in blocks of at most this edge before anything is compared; larger
        voxels stay as they are.
    blur_mm
        FWHM of the smoothing of both images, the voxel's own width included.
    border_mm
        Nothing is looked for closer than this to the mask's border, and at least one working
        voxel.
    edge_tolerance_mm
        A difference that an edge seen in both images, or a border displaced up to this in one
        of them, explains is no component.
    ball_radius_mm
        A component contains a ball of this radius, and of at least one working voxel.
    smallest_cc
        Smaller components do not count.
    bone_hu, bone_contrast_hu
        False bone: at least so high in the synthetic image, and so much above the reference.
    gas_hu, gas_contrast_hu
        False air: at most so low in the synthetic image, and so much below the reference.
    dense_hu, metal_hu
        Dense bone, and metal: at least so high in the reference.
    lesion_soft_contrast_hu, lesion_bone_contrast_hu
        How far a lesion's difference stands out from the surroundings, where both images
        are below ``bone_hu``, and where one of them is not.
    lesion_peaks_hu, lesion_patch
        What stands out so much farther (HU, in steps), within a patch of at least so many times
        its size at the step before, is a lesion of its own.
    lesion_significance
        A lesion's contrast is at least so many standard errors: the difference's robust standard
        deviation in the shell over the root of the lesion's working voxels.
    lesion_spread
        A lesion is compact: its volume is at most so many times that of the largest ball in it.
    lesion_background_mm
        Edge of the cube whose mean difference is taken as the surroundings' level.
    lesion_lowest_hu
        A place that one of the images shows below it is partly air, and no lesion of soft tissue.
    bone_tissue_hu
        A lesion lies in bone where neither image is below this in half of its voxels.
    near_bone_mm
        A lesion of soft tissue lies near bone where half of it is at most so far from what both
        images show as bone.
    water_points
        (HU, relative electron density), for the depth of water that a component is worth.
    matched_share
        A bone or air component of which at least this share is the same in the other image
        is matched: its values are off, but it is there.
    shell_mm
        Thickness of the shell that a component or structure is contrasted with.
    source_contrast
        How many standard deviations of its shell a place differs from it in the source to
        count as seen there.
    lesion_structures
        Names of structures whose contrast is compared; ``*`` and ``?`` stand for anything.
    fewest_voxels
        A structure or shell of fewer voxels has no contrast.
    """

    model_config = _STRICT

    working_mm: float = Field(default=4.0, gt=0)
    blur_mm: float = Field(default=7.0, gt=0)
    border_mm: float = Field(default=6.0, ge=0)
    edge_tolerance_mm: float = Field(default=2.0, ge=0)
    ball_radius_mm: float = Field(default=4.0, gt=0)
    smallest_cc: float = Field(default=1.0, ge=0)
    bone_hu: float = 150.0
    bone_contrast_hu: float = Field(default=120.0, gt=0)
    gas_hu: float = -300.0
    gas_contrast_hu: float = Field(default=300.0, gt=0)
    dense_hu: float = 600.0
    metal_hu: float = 2000.0
    lesion_soft_contrast_hu: float = Field(default=20.0, gt=0)
    lesion_bone_contrast_hu: float = Field(default=65.0, gt=0)
    lesion_peaks_hu: tuple[float, ...] = (20.0, 40.0)
    lesion_patch: float = Field(default=3.0, ge=1)
    lesion_significance: float = Field(default=7.0, ge=0)
    lesion_spread: float = Field(default=25.0, ge=1)
    lesion_background_mm: float = Field(default=60.0, gt=0)
    lesion_lowest_hu: float = -150.0
    bone_tissue_hu: float = 100.0
    near_bone_mm: float = Field(default=12.0, ge=0)
    water_points: tuple[tuple[float, float], ...] = Field(default=WATER_POINTS, min_length=2)
    matched_share: float = Field(default=0.5, gt=0, le=1)
    shell_mm: float = Field(default=8.0, gt=0)
    source_contrast: float = Field(default=1.5, gt=0)
    lesion_structures: tuple[str, ...] = ("GTV*", "Lesion*", "Tumor*", "Tumour*")
    fewest_voxels: int = Field(default=8, ge=1)
