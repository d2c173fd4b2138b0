"""Rows of the record: measurements of cases and of sets, and points of curves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
SchemaVersion = Literal[1, 2]
"""Of evaluations; both are read, 2 is written."""


def unsaid(schema: SchemaVersion) -> tuple[str, ...]:
    """Return what a record of this schema cannot tell."""
    return (NO_CENSORING,) if schema == 1 else ()


MeasurementStatus = Literal["ok", "censored", "undefined", "error"]
NO_CENSORING = (
    "This evaluation was recorded before censored values had a status of their own (schema 1): a "
    "value that lies at the end of its search window, such as a contour distance of 10 mm, cannot "
    "be told from a measured one and may stand in means; evaluate again to tell them apart."
)
"""What everybody must know who reads a record of schema 1."""


class Measurement(BaseModel):
    """One number about one case, the bound that is known of it, or why there is neither.

    ``variant`` is a short key into the evaluation's ``variants``, so that two settings never
    collide on one row. ``coverage`` is the share of the region that could be measured. An
    *undefined* row is ``absent_in_reference`` where the reference alone left nothing to measure. A
    *censored* row has no value: the search ended at its window, a cap or the image, and the
    true value is only known to be at least ``at_least`` or at most ``at_most``.
    """

    model_config = STRICT

    case: str
    patient: str
    site: str
    family: str
    metric: str
    region: str
    variant: str = "default"
    value: float | None
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    status: MeasurementStatus = "ok"
    why: str = ""
    coverage: float | None = Field(default=None, ge=0, le=1)
    absent_in_reference: bool | None = Field(
        default=None, description="of an undefined row; None where a record does not say"
    )

    @model_validator(mode="after")
    def _one_statement(self) -> Measurement:
        require_one_statement(self)
        if self.absent_in_reference and self.status != "undefined":
            raise ValueError("only a measurement that is undefined is absent in the reference")
        return self


class SetMeasurement(BaseModel):
    """One number about a set of cases: how far the synthetic images lie from the real ones."""

    model_config = STRICT

    metric: str
    scope: str = Field(description="'pooled' or a site")
    value: float | None
    at_least: float | None = None
    at_most: float | None = None
    standard_error: float | None = None
    unit: str
    status: MeasurementStatus = "ok"
    why: str = ""
    variant: str = "default"
    patients: int
    n_reference: int = Field(description="feature vectors of the reference images")
    n_synthetic: int

    @model_validator(mode="after")
    def _one_statement(self) -> SetMeasurement:
        require_one_statement(self)
        return self


class CurvePoint(BaseModel):
    """One point of one curve of one case."""

    model_config = STRICT

    case: str
    patient: str
    site: str
    family: str
    curve: str
    region: str
    variant: str = "default"
    x: float
    x_unit: str
    y: float
    y_unit: str


def require_one_statement(row: Measurement | SetMeasurement) -> None:
    """Refuse a row that says anything but one thing: a value, a bound, or why neither."""
    bounds = [bound for bound in (row.at_least, row.at_most) if bound is not None]
    if row.status == "ok":
        if row.value is None:
            raise ValueError("a measurement that is ok needs a value")
    elif row.value is not None or not row.why:
        raise ValueError("a measurement without a value needs its reason, and no value")
    if (row.status == "censored") != bool(bounds):
        raise ValueError("at_least and at_most are for censored measurements, which need one")
    if bounds != sorted(bounds):
        raise ValueError(f"at least {bounds[0]:g} and at most {bounds[1]:g} cannot both hold")
