"""Which sites were scanned by other protocols than the training: what was never seen, and shares.

A value that no training patient has is told as it is: no statistics are needed. Where both have
a value its share of the patients is compared by Fisher's exact test, Holm's procedure over all
shares of all sites; the patients of a hospital share its scanner, so a share that differs says
that other patients were mixed in, and no more. A tag that is missing is counted as missing and is
neither alike nor different.

References
----------
.. [1] Fisher RA (1935), J R Stat Soc 98:39; Holm S (1979), Scand J Stat 6:65.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from qa_suite.core.records import CaseRecord, TrainingSources
from qa_suite.core.records.shift import Basis, SiteProtocol, TagShare
from qa_suite.core.wording import count, listing, number, some
from qa_suite.judging.comparisons import holm_p_values
from qa_suite.judging.shift.tags import NUMBERS, STRATA, TAGS, counted, summed, values_of, words_of

_WORDS: dict[Basis | None, str] = {
    "registered": "in training",
    "training sites": "among the held-out patients of training sites",
}


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is known of the training's protocols: tag to value to patients, and of how many not."""

    basis: Basis | None
    tags: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, int]
    patients: int


def site_protocols(
    cases: Sequence[CaseRecord],
    *,
    training: TrainingSources | None = None,
    training_sites: Sequence[str] = (),
    confidence: float = 0.95,
) -> tuple[SiteProtocol, ...]:
    """Hold each site's protocol tags against the training's.

    Parameters
    ----------
    cases
        Of an evaluation; those that were not evaluated are left out.
    training
        What the model's registration says of its training images. Without protocols in it the
        held-out patients of the training sites stand for them.
    training_sites
        Where the model was trained.
    confidence
        Of all shares together.

    Returns
    -------
    tuple of SiteProtocol
        By site.
    """
    judged = [case for case in cases if case.status == "evaluated"]
    sites = sorted({case.site for case in judged})
    known = _known(judged, training, training_sites)
    homes = {*training_sites, *(() if training is None else training.protocols)}
    found = []
    for site in sites:
        here = [case for case in judged if case.site == site]
        home = site in homes
        stands_for = known.basis == "training sites" and site in training_sites
        found.append(_site(site, here, known, in_training=home, compared=not stands_for))
    return _settled(found, confidence)


def _known(
    judged: Sequence[CaseRecord], training: TrainingSources | None, training_sites: Sequence[str]
) -> _Known:
    if training is not None and training.protocols:
        missing: dict[str, int] = {}
        for lost in training.unrecorded.values():
            for tag, patients in lost.items():
                missing[tag] = missing.get(tag, 0) + patients
        tags = summed(training.protocols)
        most = max((sum(values.values()) for values in tags.values()), default=0)
        return _Known(
            basis="registered",
            tags=tags,
            missing=missing,
            patients=max(most, sum(training.patients.values())),
        )
    homes = [case for case in judged if case.site in training_sites]
    told = {tag: counted(homes, tag) for tag in (*TAGS, *NUMBERS)}
    unknown = {
        tag: sum(value is None for value in values_of(homes, tag).values())
        for tag, values in told.items()
        if values
    }
    return _Known(
        basis="training sites" if homes else None,
        tags={tag: values for tag, values in told.items() if values},
        missing={tag: patients for tag, patients in unknown.items() if patients},
        patients=len({case.patient for case in homes}),
    )


def _site(
    site: str, here: Sequence[CaseRecord], known: _Known, *, in_training: bool, compared: bool
) -> SiteProtocol:
    values = {tag: values_of(here, tag) for tag in (*TAGS, *NUMBERS)}
    told = {tag: [v for v in of.values() if v is not None] for tag, of in values.items()}
    both = [tag for tag in told if told[tag] and tag in known.tags] if compared else []
    never = {
        tag: {v: told[tag].count(v) for v in sorted(set(told[tag]) - set(known.tags[tag]))}
        for tag in both
        if tag in TAGS
    }
    return SiteProtocol(
        site=site,
        in_training=in_training,
        patients=len({case.patient for case in here}),
        basis=known.basis if compared else None,
        patients_against=known.patients if compared else 0,
        never={tag: found for tag, found in never.items() if found},
        beyond={tag: out for tag in both if tag in NUMBERS if (out := _beyond(told, known, tag))},
        shares=tuple(s for tag in both if tag in TAGS for s in _shares(tag, told[tag], known)),
        missing={
            tag: lost
            for tag, of in values.items()
            if (tag in known.tags or told[tag]) and (lost := len(of) - len(told[tag]))
        },
        missing_there={tag: known.missing[tag] for tag in both if tag in known.missing},
        untold=tuple(t for t in told if told[t] and t not in known.tags) if compared else (),
    )


def _beyond(told: Mapping[str, Sequence[str]], known: _Known, tag: str) -> dict[str, int]:
    """Count the patients outside of the training's range, under that range."""
    there = [float(value) for value in known.tags[tag]]
    low, high = min(there), max(there)
    outside = sum(not low <= float(value) <= high for value in told[tag])
    span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return {span: outside} if outside else {}


def _shares(tag: str, told: Sequence[str], known: _Known) -> list[TagShare]:
    """Compare the share of each value that both have, among values that the training has."""
    there = known.tags[tag]
    seen = [value for value in told if value in there]
    values = sorted(set(seen))
    if len(there) < 2:
        return []  # all are alike on both sides
    if len(there) == 2 and len(values) == 2:
        values = values[:1]  # the other is what is left
    total = sum(there.values())
    return [
        TagShare(
            tag=tag,
            value=value,
            here=seen.count(value),
            here_of=len(seen),
            there=there[value],
            there_of=total,
            p_value=_fisher(seen.count(value), len(seen), there[value], total),
        )
        for value in values
    ]


def _fisher(here: int, here_of: int, there: int, there_of: int) -> float:
    table = [[here, here_of - here], [there, there_of - there]]
    return float(stats.fisher_exact(table).pvalue)


# ---------------------------------------------------------------------------------------
# All sites


def _settled(found: Sequence[SiteProtocol], confidence: float) -> tuple[SiteProtocol, ...]:
    adjusted = iter(holm_p_values([share.p_value for one in found for share in one.shares]))
    tests = sum(len(one.shares) for one in found)
    settled = []
    for one in found:
        shares = [
            share.model_copy(update={"p_adjusted": p, "differs": p <= 1 - confidence})
            for share, p in zip(one.shares, adjusted, strict=False)
        ]
        one = one.model_copy(update={"shares": tuple(shares)})
        settled.append(one.model_copy(update={"sentence": _sentence(one, tests)}))
    return tuple(settled)


def _sentence(one: SiteProtocol, tests: int) -> str:
    who = f"{one.site} ({count(one.patients, 'patient')})"
    lost = _lost("Not recorded here", one.missing, one.patients)
    if one.basis is None:
        why = (
            "its held-out patients stand for the training's, whose protocols are not registered"
            if one.in_training
            else "nothing is known of the protocols of the training"
        )
        return f"{who}: protocols are not compared, for {why}.{lost}"
    where = _WORDS[one.basis]
    parts = [
        f"{words_of(tag, [value])} ({n} of {_told(one, tag)})"
        for tag, values in one.never.items()
        for value, n in values.items()
    ]
    parts += [
        f"{words_of(tag, [])}outside of {span}{_unit(tag)} ({n} of {_told(one, tag)})"
        for tag, spans in one.beyond.items()
        for span, n in spans.items()
    ]
    text = f"{who}: never seen {where}: {'; '.join(parts)}." if parts else ""
    moved = [
        f"{words_of(share.tag, [share.value])} in {share.here} of {share.here_of} against "
        f"{share.there} of {share.there_of} (p = {number(share.p_adjusted)})"
        for share in one.shares
        if share.differs
    ]
    if moved:
        text += f"{'' if text else f'{who}:'} In another share: {'; '.join(moved)}."
    if not text:
        text = f"{who}: no protocol tag is shown to differ from those {where}."
    if one.shares:
        text += f" Shares by Fisher's exact test, Holm over {count(tests, 'share')}."
    text += lost + _lost(f"Not recorded {where}", one.missing_there, one.patients_against)
    if one.untold:
        names = listing(some([(STRATA | NUMBERS)[tag][0] for tag in one.untold]))
        text += f" Nothing is known {where} of {names}."
    return text


def _told(one: SiteProtocol, tag: str) -> int:
    return one.patients - one.missing.get(tag, 0)


def _unit(tag: str) -> str:
    return f" {NUMBERS[tag][1]}".replace(" °", "°")


def _lost(words: str, missing: Mapping[str, int], patients: int) -> str:
    """Say of how many patients which tags are not known."""
    if not missing:
        return ""
    by_count: dict[int, list[str]] = {}
    for tag, n in missing.items():
        by_count.setdefault(n, []).append((STRATA | NUMBERS)[tag][0])
    told = [f"{listing(tags)} of {n} of {patients}" for n, tags in sorted(by_count.items())]
    return f" {words}: {'; '.join(told)}."
