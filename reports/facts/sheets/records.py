"""What a sheet says, as data: a commissioning, the check-up of one patient, a comparison."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reports.facts.short.records import Line

_STRICT = ConfigDict(extra="forbid", frozen=True)

Kind = Literal["commissioning", "check-up", "comparison"]


class Cell(BaseModel):
    """What stands in a cell, and the number that it is made of."""

    model_config = _STRICT

    text: str
    value: float | None = None


class Table(BaseModel):
    """Rows under named columns; ``numeric`` says which columns are numbers."""

    model_config = _STRICT

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


class Points(BaseModel):
    """A list of sentences under a title."""

    model_config = _STRICT

    title: str
    said: tuple[str, ...]


class Sheet(BaseModel):
    """Everything that a sheet says."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    kind: Kind
    title: str
    identifier: str = Field(description="of what the sheet is about, in the margin of every page")
    evaluation: str = Field(description="whose record it rests on")
    at: str = Field(default="", description="when; empty where the record does not say")
    symbol: str
    headline: str
    colour: Literal["pass", "fail", "inconclusive"]
    sentence: str
    facts: tuple[Line, ...]
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...]
    points: tuple[Points, ...] = ()
    to_sign: int = Field(default=0, description="lines for names on paper")
    written_by: str = Field(description="version of the suite")
