"""What a training cohort looks like: the yardstick of the checks without a reference."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Norms(BaseModel):
    """What the images of a cohort look like, in numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
