"""What a written verdict rests on: digests, code, person, time, and what was tried before it.

Judging says the same of the same record; what differs from one judgement to the next stands here
and nowhere else.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.measurement import STRICT
from qa_suite.core.wording import count, listing, ordinal, some

LockState = Literal["locked", "not locked", "locked after the fact", "broken"]
WHY_COUNTED = "trying bounds until one passes is the commonest way to be deceived by one's own data"


class Supersession(BaseModel):
    """A verdict that no longer stands, and why."""

    model_config = STRICT

    verdict: str = Field(description="identifier of the verdict that is superseded")
    because: str = Field(min_length=1)


class ProfileTried(BaseModel):
    """A profile that was applied, and what came of it the last time."""

    model_config = STRICT

    name: str
    version: str
    sha256: str
    outcome: str
    bounds: int = Field(description="criteria; a profile without any describes and tries nothing")
    evaluation: str = Field(default="", description="another one of the same model and cohort")

    @property
    def title(self) -> str:
        """Name and version, with the beginning of the digest: two may share a name."""
        return f"{self.name} {self.version} ({self.sha256[:8]}, {self.outcome})"


class CohortUse(BaseModel):
    """One time that the test cohort, or a part of it, was examined."""

    model_config = STRICT

    evaluation: str
    model: str = Field(description="URI of the model that was examined")
    weights_sha256: str | None
    begun: str
    shared: int | None = Field(
        default=None, description="of this evaluation's cases, where another cohort holds some"
    )
    seen_in: tuple[str, ...] = Field(description="'log', 'folder', 'store'")


class Protocol(BaseModel):
    """Whether criteria, cohort and settings were fixed before the first case was translated."""

    model_config = STRICT

    state: LockState = "not locked"
    lock: str = Field(default="", description="identifier of the lock")
    written: str = ""
    reasons: tuple[str, ...] = Field(
        default=(), description="what breaks it, or makes it one after the fact"
    )

    @property
    def sentence(self) -> str:
        """Say how far the protocol was locked."""
        if self.state == "not locked":
            return (
                "Not locked: criteria, cohort and settings were not written down with "
                "'qa-suite lock' before the first case was translated."
            )
        what = f"lock {self.lock[:8]} of {self.written[:16].replace('T', ' ')} UTC"
        if self.state == "locked":
            return (
                f"Locked: criteria, cohort and settings are those of {what}, whose digest stood "
                f"in the evaluation's plan before the first case was translated."
            )
        return f"{self.state[:1].upper()}{self.state[1:]} ({what}): {'; '.join(self.reasons)}."


class Evidence(BaseModel):
    """What a verdict rests on beside what it says."""

    model_config = STRICT

    verdict: str = Field(description="identifier: digest of all that the file says beside it")
    number: int = Field(ge=1, description="in the order in which this evaluation was judged")
    previous: str = Field(default="", description="identifier of the verdict written before it")
    statement_sha256: str = Field(description="of what judging alone says")
    repeats: str = Field(default="", description="earlier verdict that says the same")
    supersedes: tuple[Supersession, ...] = ()
    evaluation_sha256: str = Field(description="of evaluation.json")
    tables_sha256: dict[str, str] = Field(description="of every table beside it")
    model: str
    weights_sha256: str | None
    suite_version: str
    git_commit: str | None
    git_dirty: bool | None
    judged_at: str
    judged_by: str | None
    person_from: Literal["said", "account", "unknown"]
    tried: tuple[ProfileTried, ...] = Field(
        description="on this evaluation up to now, this profile included"
    )
    tried_elsewhere: tuple[ProfileTried, ...] = Field(
        default=(), description="on other evaluations of the same model and cohort"
    )
    cohort_digest: str
    split: str
    examinations: tuple[CohortUse, ...] = Field(
        default=(), description="of this test cohort up to now, this one included"
    )
    looked_in: tuple[str, ...] = Field(
        default=(), description="where tries and examinations were looked for; only those count"
    )
    log_head: str = Field(default="", description="digest of the log's last line at that time")
    protocol: Protocol = Protocol()

    @property
    def judged_sentence(self) -> str:
        """Say when and by whom it was judged, and with which code."""
        who = {
            "said": f"by {self.judged_by}",
            "account": f"by {self.judged_by} (name of the account)",
            "unknown": "by nobody whose name is known",
        }[self.person_from]
        commit = f" at {self.git_commit[:8]}" if self.git_commit else ""
        changed = ", with uncommitted changes" if self.git_dirty else ""
        when = self.judged_at[:16].replace("T", " ")
        return f"{when} UTC {who}, with qa-suite {self.suite_version}{commit}{changed}"

    @property
    def tried_sentence(self) -> str:
        """Say how many profiles have been tried on this evaluation."""
        return tried_sentence(self.tried)

    @property
    def cohort_sentence(self) -> str:
        """Say how often the test cohort has been examined, and by which models."""
        if not self.examinations:
            where = "; ".join(self.looked_in) or "nowhere"
            return f"No record of when this test cohort was examined; looked in: {where}."
        models = list(dict.fromkeys(one.model for one in self.examinations))
        whole = [one for one in self.examinations if one.shared is None]
        parts = [one for one in self.examinations if one.shared is not None]
        said = f"Examined {count(len(whole), 'time')}"
        if parts:
            said += f", and {count(len(parts), 'time')} in part or under another name"
        return (
            f"{said}, by {count(len(models), 'model version')} ({listing(some(models, 6))}); "
            f"only what lies in {listing(self.looked_in) or 'this folder'} is counted."
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be read before the verdict."""
        found = []
        if several := many_tried(self.tried):
            found.append(several)
        if self.tried_elsewhere:
            names = some([f"{one.title} on {one.evaluation[:8]}" for one in self.tried_elsewhere])
            found.append(
                f"{count(len(self.tried_elsewhere), 'further profile')} tried on other evaluations "
                f"of the same model and test cohort: {listing(names)}."
            )
        if self.protocol.state in ("locked after the fact", "broken"):
            found.append(f"Protocol: {self.protocol.sentence}")
        found += [
            f"This verdict supersedes verdict {one.verdict[:8]}, because: {one.because}"
            for one in self.supersedes
        ]
        if self.repeats:
            found.append(f"This verdict repeats verdict {self.repeats[:8]}: it says the same.")
        return tuple(found)


def many_tried(tried: tuple[ProfileTried, ...]) -> str:
    """Say that several profiles with bounds have been tried; nothing where there was one."""
    bounded = [one for one in tried if one.bounds]
    return f"{tried_sentence(tried)}: {WHY_COUNTED}." if len(bounded) > 1 else ""


def tried_sentence(tried: tuple[ProfileTried, ...]) -> str:
    """Say which profile with bounds the last one is, and which were tried before it.

    Parameters
    ----------
    tried
        In the order of their first try, but the one that is spoken of last.
    """
    bounded = [one for one in tried if one.bounds]
    if not bounded:
        return "No profile with bounds was tried on this evaluation"
    *before, last = bounded
    if not before:
        return "First profile tried on this evaluation"
    names = listing(some([one.title for one in before]))
    return (
        f"{ordinal(len(bounded)).capitalize()} profile tried on this evaluation "
        f"({last.name} {last.version}, after {names})"
    )
