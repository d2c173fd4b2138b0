"""What geometric fidelity can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GeometrySettings(BaseModel):
    """Settings of geometric fidelity."""

    model_config = _STRICT
