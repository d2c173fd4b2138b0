"""What the source images looked like that a translator was trained on, without whose they were."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from qa_suite.core.records.measurement import STRICT


class TrainingSources(BaseModel):
    """Looks and protocols of the images that a model was trained on, site by site.

    Parameters
    ----------
    features
        Names of the numbers, ``metric@region``, as the family ``appearance`` measures them.
    rows
        Site to one row of those numbers a patient, sorted by value so that their order says
        nothing of the patients; None where an image does not tell one.
    protocols
        Site to stratum (``field_strength_t`` ...) to value, as text, to patients.
    unrecorded
        Site to stratum to patients of whom it is not known; empty in registrations from before
        this was counted.
    left_out
        Patients whose images could not be described.
    """

    model_config = STRICT

    features: tuple[str, ...]
    rows: dict[str, tuple[tuple[float | None, ...], ...]]
    protocols: dict[str, dict[str, dict[str, int]]] = Field(default_factory=dict)
    unrecorded: dict[str, dict[str, int]] = Field(default_factory=dict)
    left_out: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_size(self) -> TrainingSources:
        sizes = {len(row) for rows in self.rows.values() for row in rows}
        if sizes - {len(self.features)}:
            raise ValueError(f"rows of {sorted(sizes)} numbers for {len(self.features)} features")
        return self

    @model_serializer(mode="wrap")
    def _as_it_was(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave an older registration, and the identifiers that rest on it, as they were."""
        said = as_usual(self)
        if not self.unrecorded:
            said.pop("unrecorded", None)
        return said

    @property
    def patients(self) -> dict[str, int]:
        """Patients described, by site."""
        return {site: len(rows) for site, rows in self.rows.items()}
