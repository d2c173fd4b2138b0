"""What people sign: the review of a verdict, the release of a model, a bundle."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.measurement import STRICT

Meaning = Literal["approved", "rejected", "reviewed"]
"""What a reviewer means: it may be used, it may not, or it was seen and nothing is said."""
_CONTEXT = b"qa-suite signature 1\n"
"""Stands before what is signed, so that no signature made for something else fits."""


class _Said(BaseModel):
    model_config = STRICT

    name: str = Field(min_length=1, description="of the person who signs")
    role: str = Field(min_length=1)
    at: str = Field(description="when, by the clock of who signs: a claim that nothing proves")
    comment: str = ""
    log_head: str = Field(default="", description="digest of the log's last line at that time")


class Review(_Said):
    """A person has looked at a verdict."""

    kind: Literal["review"] = "review"
    meaning: Meaning
    verdict: str = Field(description="identifier of the verdict")
    verdict_sha256: str = Field(description="of the verdict's file")
    statement_sha256: str
    evaluation: str
    evaluation_sha256: str
    tables_sha256: dict[str, str]
    profile_sha256: str
    model: str
    weights_sha256: str | None


class Release(_Said):
    """An alias of the registry was moved to a model, by its verdict or in spite of it."""

    kind: Literal["release"] = "release"
    model: str = Field(description="models:/NAME/VERSION")
    weights_sha256: str | None
    alias: str
    was: str = Field(description="version that held the alias before; empty: none")
    evaluation: str
    verdict: str = Field(description="identifier; empty where there is none")
    profile: str
    profile_sha256: str
    reviews: tuple[str, ...] = Field(description="digests of the signatures it rests on")
    in_spite_of: tuple[str, ...] = Field(
        default=(), description="reasons why it would have been refused; an override"
    )
    because: str = Field(default="", description="reason of the override")


class BundleFacts(_Said):
    """A hospital gives a bundle of an evaluation away."""

    kind: Literal["bundle"] = "bundle"
    evaluation: str
    bundle_sha256: str = Field(description="of the file that holds the digests of all others")


Statement = Annotated[Review | Release | BundleFacts, Field(discriminator="kind")]


class Signed(BaseModel):
    """A statement, the public key that it was signed with, and the signature."""

    model_config = STRICT

    schema_version: Literal[1] = 1
    statement: Statement
    key: str = Field(description="ed25519: and Base64 of the public key")
    signature: str = Field(description="Base64, of the statement and the key")

    @property
    def content(self) -> bytes:
        """The bytes that are signed."""
        return content_of(self.statement, self.key)


def content_of(statement: BaseModel, key: str) -> bytes:
    """Return the bytes that a signature is of: the statement and the key, in one way only."""
    data = {"key": key, "statement": statement.model_dump(mode="json")}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return _CONTEXT + text.encode()
