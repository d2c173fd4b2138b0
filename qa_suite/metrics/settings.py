"""What all families of measures can be told; the resolved settings go into the record.

Each family's settings stand beside it, in a file of its own.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from qa_suite.metrics.dose.settings import DoseSettings
from qa_suite.metrics.geometry.settings import GeometrySettings
from qa_suite.metrics.hallucination.settings import HallucinationSettings
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.pet.settings import PetSettings
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings
from qa_suite.metrics.scale import ScaleSettings
from qa_suite.metrics.segmentation.settings import SegmentationSettings
from qa_suite.metrics.set_distances.settings import SetDistanceSettings
from qa_suite.metrics.uncertainty.settings import UncertaintySettings


class MeasureSettings(BaseModel):
    """Settings of all families of measures; each reads the field of its own name.

    ``scale`` belongs to no family: how images in arbitrary units are made comparable.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scale: ScaleSettings = ScaleSettings()
    image: ImageSettings = ImageSettings()
    segmentation: SegmentationSettings = SegmentationSettings()
    geometry: GeometrySettings = GeometrySettings()
    dose: DoseSettings = DoseSettings()
    pet: PetSettings = PetSettings()
    hallucination: HallucinationSettings = HallucinationSettings()
    uncertainty: UncertaintySettings = UncertaintySettings()
    reference_free: ReferenceFreeSettings = ReferenceFreeSettings()
    set_distances: SetDistanceSettings = SetDistanceSettings()
