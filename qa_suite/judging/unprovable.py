"""What no check of an evaluation's folder can prove, said wherever it is checked."""

from __future__ import annotations

from typing import Final

UNPROVABLE: Final = (
    "That nothing was written anew as a whole: whoever can write everything can make record, "
    "verdicts, lock and log again. A copy elsewhere, the MLflow store on another machine or a "
    "signature holds against that.",
    "That the last lines of the log, or the last verdicts, were not cut off together, where "
    "nothing else names them: the chain shows what is missing in the middle.",
    "When something happened: clocks can lie. Order is taken from the plan's digest and the log's "
    "chain where they hold it.",
    "That this test cohort was not examined elsewhere: a copy of the folder judged on another "
    "machine, or images looked at by eye, are seen by nobody here.",
    "That nobody knew the test patients before the lock: it shows that criteria and settings are "
    "older than the results in this folder, and no more.",
    "That the images are those of the patients: what was measured is proven by digests, where it "
    "came from is not.",
    "That the values were measured as the code says: tables agree with their digests and among "
    "each other, kept volumes with theirs, and nothing is measured anew.",
    "Who sat at the keyboard: a signature shows that a key was used, whose passphrase somebody "
    "knew.",
    "That models and aliases in a registry that is not at hand are still what they were.",
)
"""Sentences that each name one thing, and what holds against it where something does."""
