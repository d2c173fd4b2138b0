"""Why a model may not be released by an evaluation: every reason at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from qa_suite.core.records import Evaluation, ModelFacts, Profile, Verdict
from qa_suite.core.records.signature import Review
from qa_suite.core.signing.reviewers import Reviewers, moment
from qa_suite.core.signing.signatures import SignOff, sign_off
from qa_suite.core.verdict_files import Overall, WrittenVerdict
from qa_suite.core.wording import listing, some
from qa_suite.judging.doubts import Doubt

Code = Literal[
    "altered",
    "other_model",
    "unknown_weights",
    "withdrawn",
    "not_judged",
    "superseded",
    "did_not_pass",
    "overall",
    "not_locked",
    "rejected",
    "not_signed",
    "expired",
]
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One reason why a model may not be released."""

    code: Code
    words: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A registered model, and the evaluation and profile by which it is to be released."""

    folder: Path
    evaluation: Evaluation
    judged: Overall
    doubts: tuple[Doubt, ...]
    model: ModelFacts
    withdrawn: str
    profile: Profile
    profile_sha256: str

    @property
    def verdict(self) -> WrittenVerdict | None:
        """The newest verdict under the profile that stands; None where there is none."""
        return next((one for one in reversed(self.judged.standing) if self._under(one)), None)

    @property
    def superseded(self) -> tuple[WrittenVerdict, ...]:
        """Verdicts under the profile that stand no longer."""
        return tuple(one for one in self.judged.written if one.superseded_by and self._under(one))

    def _under(self, one: WrittenVerdict) -> bool:
        return one.verdict.profile_sha256 == self.profile_sha256

    def signed(self, reviewers: Reviewers | None, now: datetime) -> SignOff | None:
        """Return what the signatures under the verdict come to."""
        one = self.verdict
        return None if one is None else sign_off(self.folder, one, reviewers, now=now)


def refusals(
    candidate: Candidate, reviewers: Reviewers | None, now: datetime
) -> tuple[Refusal, ...]:
    """Return every reason why the model may not be released by this evaluation; none: it may.

    Parameters
    ----------
    candidate
        Model, evaluation and profile.
    reviewers
        Whose signatures count, and what the hospital asks for.
    now
        The time, to which signatures and verdicts are valid or not.
    """
    return tuple(
        Refusal(code=code, words=words) for code, words in _reasons(candidate, reviewers, now)
    )


def _reasons(
    asked: Candidate, reviewers: Reviewers | None, now: datetime
) -> Iterator[tuple[Code, str]]:
    if asked.doubts:
        told = listing(some([doubt.sentence.rstrip(".") for doubt in asked.doubts], _SHOWN))
        yield "altered", f"the record is not as it was written: {told}"
    yield from _of_the_model(asked)
    one = asked.verdict
    if one is None:
        yield from _without_verdict(asked)
        return
    yield from _of_the_verdict(asked, one.verdict)
    off = asked.signed(reviewers, now)
    assert off is not None
    if off.state == "rejected":
        yield "rejected", off.sentence.rstrip(".")
    elif off.state != "signed":
        why = [
            f"{x.signed.statement.name}: {'; '.join(x.why_not)}"
            for x in off.signatures
            if x.why_not
        ]
        yield "not_signed", "; ".join([off.sentence.rstrip("."), *some(why, _SHOWN)])
    yield from _expired(one.verdict, off, reviewers, now)


def _of_the_model(asked: Candidate) -> Iterator[tuple[Code, str]]:
    examined, registered = asked.evaluation.model, asked.model
    if examined.weights_sha256 is None or registered.weights_sha256 is None:
        yield (
            "unknown_weights",
            f"the weights of {registered.uri} or of what was examined ({examined.uri}) are not "
            f"known, so nobody can say that they are the same",
        )
    elif examined.weights_sha256 != registered.weights_sha256:
        yield (
            "other_model",
            f"{examined.uri} was examined (weights {examined.weights_sha256[:12]}), and "
            f"{registered.uri} has other weights ({registered.weights_sha256[:12]})",
        )
    elif None not in (examined.digest, registered.digest) and examined.digest != registered.digest:
        yield (
            "other_model",
            f"{examined.uri} was examined with other files beside its weights (digest "
            f"{str(examined.digest)[:19]}) than {registered.uri} has "
            f"({str(registered.digest)[:19]}): specification, training facts or code differ",
        )
    elif dict(examined.asked) != dict(registered.asked):
        said = ", ".join(f"{key}={value}" for key, value in examined.asked.items())
        yield (
            "other_model",
            f"it was examined with settings of its own ({said}), which the registered version "
            f"does not have",
        )
    if asked.withdrawn:
        yield "withdrawn", f"{registered.uri} was withdrawn: {asked.withdrawn}"


def _without_verdict(asked: Candidate) -> Iterator[tuple[Code, str]]:
    name = f"{asked.profile.name} {asked.profile.version}"
    if gone := asked.superseded:
        yield (
            "superseded",
            f"its verdict under {name} stands no longer: {gone[-1].superseded_by[:8]} superseded "
            f"{gone[-1].identifier[:8]}",
        )
        return
    alike = [one for one in asked.judged.standing if one.verdict.profile.name == asked.profile.name]
    more = f"; {alike[-1].title} is of other criteria of that name" if alike else ""
    yield "not_judged", f"no verdict under {name} stands{more}"


def _of_the_verdict(asked: Candidate, verdict: Verdict) -> Iterator[tuple[Code, str]]:
    if verdict.outcome_word != "pass":
        missed = [one.sentence for one in verdict.findings if one.outcome != "pass"]
        told = " ".join(some(missed, _SHOWN))
        yield "did_not_pass", f"its outcome is {verdict.outcome_word}: {told or verdict.sentence}"
    elif asked.judged.outcome != "pass":
        yield "overall", f"another verdict stands: {asked.judged.sentence.rstrip('.')}"
    protocol = None if verdict.evidence is None else verdict.evidence.protocol
    if protocol is None or protocol.state != "locked":
        said = "it does not say" if protocol is None else protocol.sentence.rstrip(".")
        yield "not_locked", f"the protocol was not locked before the first case: {said}"


def _expired(
    verdict: Verdict, off: SignOff, reviewers: Reviewers | None, now: datetime
) -> Iterator[tuple[Code, str]]:
    days = None if reviewers is None else reviewers.policy.valid_days
    judged = moment("" if verdict.evidence is None else verdict.evidence.judged_at)
    if days is None or judged is None:
        return
    if now - judged > timedelta(days=days):
        reached = judged.astimezone(UTC).date()
        yield (
            "expired",
            f"the verdict is of {reached}, and the policy lets it be used for {days} d",
        )


def reviews_of(off: SignOff | None) -> tuple[str, ...]:
    """Return the digests of the signatures that a release rests on."""
    if off is None:
        return ()
    return tuple(one.sha256 for one in off.approved if isinstance(one.signed.statement, Review))
