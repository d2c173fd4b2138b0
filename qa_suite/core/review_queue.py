"""The queue of reviews: who is to look at what, what was said of it, and where it stands.

``reviews.jsonl`` lies in the folder of the evaluation. A line is an event and is never edited; what
an item has come to follows from its events. A comment may point at a place of the patient, in mm
of the image's own axes (LPS), so that every viewer finds it again. The signature under a verdict is
another thing (:mod:`qa_suite.core.signing`): here nothing is approved.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from qa_suite.core.chained_lines import Chain, append_line, read_lines
from qa_suite.core.errors import InputError
from qa_suite.core.records.measurement import STRICT

QUEUE_FILE = "reviews.jsonl"
Did = Literal["asked", "assigned", "commented", "accepted", "rejected", "reopened"]
State = Literal["open", "accepted", "rejected"]
_ENDS: dict[Did, State] = {
    "accepted": "accepted",
    "rejected": "rejected",
    "reopened": "open",
    "asked": "open",
}


class Place(BaseModel):
    """A point of a patient, in mm of LPS axes, and the frame of reference that it is in."""

    model_config = STRICT

    xyz_mm: tuple[float, float, float]
    frame_of_reference: str = Field(default="", description="as the volume states it")
    image: str = Field(default="", description="that was looked at, such as 'synthetic'")


class Event(BaseModel):
    """Something that a person did in the queue."""

    model_config = STRICT

    id: str = Field(min_length=1, description="of this event; told twice it counts once")
    at: str
    who: str = Field(min_length=1)
    role: str = ""
    did: Did
    evaluation: str = Field(min_length=1)
    case: str = Field(default="", description="empty: the verdict or the evaluation as a whole")
    verdict: str = ""
    to: str = Field(default="", description="whom it was assigned to, or who is asked")
    comment: str = ""
    place: Place | None = None
    before: str = Field(default="", description="digest of the line before")

    @model_validator(mode="after")
    def _says_something(self) -> Event:
        if self.did in ("commented", "rejected", "reopened") and not self.comment.strip():
            raise ValueError(f"what is {self.did} has a comment")
        if self.did == "assigned" and not self.to.strip():
            raise ValueError("what is assigned is assigned to somebody")
        if self.place is not None and not self.case:
            raise ValueError("a place is one of a case")
        if self.place is not None and not all(map(math.isfinite, self.place.xyz_mm)):
            raise ValueError("a place has three finite coordinates")
        return self

    @property
    def item(self) -> tuple[str, str]:
        """What it is about: case and verdict, either may be empty."""
        return self.case, self.verdict


@dataclass(frozen=True, kw_only=True)
class Item:
    """A case, a verdict or the evaluation as a whole, and what was done with it."""

    evaluation: str
    case: str
    verdict: str
    events: tuple[Event, ...]

    @property
    def state(self) -> State:
        """Where it stands, by the last event that ends or opens it."""
        states = [_ENDS[one.did] for one in self.events if one.did in _ENDS]
        return states[-1] if states else "open"

    @property
    def waits_for(self) -> str:
        """Who is to look at it; empty where it is done or nobody was named."""
        named = [one.to for one in self.events if one.to]
        return named[-1] if named and self.state == "open" else ""

    @property
    def people(self) -> tuple[str, ...]:
        """Who accepted it since it was opened last, each once."""
        opened = [n for n, one in enumerate(self.events) if one.did in ("asked", "reopened")]
        since = self.events[opened[-1] if opened else 0 :]
        return tuple(dict.fromkeys(one.who for one in since if one.did == "accepted"))

    @property
    def comments(self) -> tuple[Event, ...]:
        """Everything that was said of it."""
        return tuple(one for one in self.events if one.comment)


def new_event(who: str, did: Did, evaluation: str, **more: object) -> Event:
    """Return an event of this moment; ``more`` are its other fields."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"id": uuid.uuid4().hex, "at": now, "who": who, "did": did, "evaluation": evaluation}
    return Event.model_validate(facts | more)


def add_event(folder: Path, event: Event) -> None:
    """Add an event to the queue of an evaluation; said again under its identifier it is not added.

    Raises
    ------
    InputError
        If the queue cannot be written.
    """
    path = Path(folder) / QUEUE_FILE
    if any(line.id == event.id for line in read_queue(folder).lines):
        return
    try:
        append_line(path, event)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}).") from None


def read_queue(folder: Path) -> Chain[Event]:
    """Read the events of an evaluation and follow their chain; none is no error."""
    return read_lines(Path(folder) / QUEUE_FILE, Event)


def items_of(events: Sequence[Event]) -> tuple[Item, ...]:
    """Put events together by what they are about, in the order of the first; each event once."""
    found: dict[tuple[str, str, str], list[Event]] = {}
    seen: set[str] = set()
    for one in events:
        if one.id not in seen:
            seen.add(one.id)
            found.setdefault((one.evaluation, *one.item), []).append(one)
    return tuple(
        Item(evaluation=evaluation, case=case, verdict=verdict, events=tuple(mine))
        for (evaluation, case, verdict), mine in found.items()
    )
