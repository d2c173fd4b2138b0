"""The contrast of a delineated lesion in the reference and in the synthetic image."""

from __future__ import annotations

from fnmatch import fnmatchcase

from qa_suite.imaging.boxes import bounding_box
from qa_suite.metrics.base import METRICS, MetricFacts, NoValue, Pair
from qa_suite.metrics.hallucination.blobs import shell_of
from qa_suite.metrics.hallucination.settings import HallucinationSettings


def is_listed(name: str, settings: HallucinationSettings) -> bool:
    """Whether a structure is one of those whose contrast is compared; case does not matter."""
    return any(fnmatchcase(name.lower(), p.lower()) for p in settings.lesion_structures)


@METRICS.add(
    "lesion_contrast_change",
    MetricFacts(
        family="hallucination",
        title="Change of a lesion's contrast",
        unit="HU",
        direction="zero",
        range="(-inf, inf)",
        formula=(
            "c(synthetic) - c(reference); c: mean inside the structure minus mean in the shell "
            "around it, both within the mask"
        ),
        empty="structure or shell of too few voxels in the mask: undefined",
        reference="Definition of this suite",
    ),
)
def contrast_change(pair: Pair, name: str, settings: HallucinationSettings) -> float | NoValue:
    """Contrast of one structure in the synthetic image minus that in the reference, in HU.

    The shell leaves out the voxels next to the structure, which hold part of it. A bone next to
    a lesion lies in the shell of both images and cancels.
    """
    spacing = pair.grid.spacing_mm
    gap = min(max(spacing), settings.shell_mm)
    inside = pair.mask if pair.coverage is None else pair.mask & pair.coverage
    margin = int((gap + settings.shell_mm) / min(spacing)) + 1
    box = bounding_box(pair.structures[name], margin=margin)
    if box is None:
        return NoValue(why=f"{name} has no voxel")
    structure, within = pair.structures[name][box], inside[box]
    core = structure & within
    shell = shell_of(structure, spacing, gap_mm=gap, thickness_mm=settings.shell_mm, within=within)
    for what, voxels in ((name, int(core.sum())), (f"the shell of {name}", int(shell.sum()))):
        if voxels < settings.fewest_voxels:
            return NoValue(
                why=f"{what} has {voxels} voxels in the mask, fewer than {settings.fewest_voxels}"
            )
    error = pair.synthetic.array[box].astype("float64") - pair.reference.array[box]
    return float(error[core].mean() - error[shell].mean())
