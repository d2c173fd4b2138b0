"""What profiles and tables of risk refer to: sources, hazards and checklists, as data beside this.

Everything is said in the words of this suite; a source that could not be looked up says so.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.measurement import STRICT
from qa_suite.core.yaml_files import read_yaml

_FOLDER = Path(__file__).parent
Answer = Literal["answered", "partly", "not answered"]


class Source(BaseModel):
    """A publication or rule, and what a reader of a bound has to know of it."""

    model_config = STRICT

    reference: str = Field(min_length=1)
    says: str = Field(min_length=1, description="in the words of this suite")
    population: str = Field(min_length=1, description="whom or what it rests on")
    confirmed: bool = Field(description="whether its text or abstract was looked up")
    confirmed_by: str = Field(default="", description="what was read of it, where it is not itself")
    open: str = Field(default="", description="what of it could not be confirmed")


class Hazard(BaseModel):
    """One way in which a translated image can harm a patient."""

    model_config = STRICT

    hazard: str
    cause: str
    effect: str
    shown_by: tuple[str, ...] = Field(
        description="metrics, alone or as METRIC@REGION, whose bound would show it; none where no "
        "measurement of images can"
    )
    remains: str = Field(description="what is left where no bound was missed")


class Item(BaseModel):
    """One item of a checklist."""

    model_config = STRICT

    id: str
    asks: str
    needs: tuple[str, ...] = Field(
        default=(), description="facts of a record that answer it; none where no record does"
    )
    whole: bool = Field(default=True, description="whether all of them together answer it whole")
    where: str = Field(min_length=1, description="where the answer stands, or who has to give it")


class Checklist(BaseModel):
    """A published list of what an evaluation should answer."""

    model_config = STRICT

    title: str
    source: str = Field(description="key of the source")
    items: tuple[Item, ...] = Field(min_length=1)


@cache
def sources() -> dict[str, Source]:
    """Return every source by its key."""
    data = read_yaml(_FOLDER / "sources.yaml")
    return {key: Source.model_validate(one) for key, one in data.items()}


@cache
def hazards() -> dict[str, Hazard]:
    """Return every hazard by its key, in the order of the file."""
    data = read_yaml(_FOLDER / "hazards.yaml")
    return {key: Hazard.model_validate(one) for key, one in data.items()}


@cache
def checklists() -> dict[str, Checklist]:
    """Return every checklist by its key."""
    data = read_yaml(_FOLDER / "checklists.yaml")
    return {key: Checklist.model_validate(one) for key, one in data.items()}


def hazard_keys() -> tuple[str, ...]:
    """Return the keys of all hazards, which a profile may name."""
    return tuple(hazards())
