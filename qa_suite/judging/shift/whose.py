"""Whose shift is it? Which image moved where a site's error differs from elsewhere's.

=======  =========  =========  ====================================================
source   reference  synthetic  answer
=======  =========  =========  ====================================================
no       no         no         none shown
moved    no         no or moved  source (the synthetic image may move along with it)
no       moved      no         reference
no       no         moved      synthetic
any other two or three         several
=======  =========  =========  ====================================================

*No* means not shown, never shown not to. Where an image could not be tested the answer is 'cannot
be told', unless another image moved: then that one is named, and what is unknown is said.
"""

from __future__ import annotations

from collections.abc import Sequence

from qa_suite.core.records import SiteGap
from qa_suite.core.records.shift import Answer, Image, ImageMove, WhoseShift
from qa_suite.core.wording import listing, measure_name, number, quantity, suffix
from qa_suite.judging.shift.features import IMAGES

_MOST_FEATURES = 3
_NAMES: dict[Image, str] = {
    "source": "the source",
    "reference": "the reference",
    "synthetic": "the synthetic image",
}


def whose_shift(gaps: Sequence[SiteGap], moves: Sequence[ImageMove]) -> tuple[WhoseShift, ...]:
    """Say for every gap of a site which of its images moved.

    Parameters
    ----------
    gaps
        Of error measures, as :func:`qa_suite.judging.site_gaps.site_gaps` finds them.
    moves
        Of all three images, as :func:`qa_suite.judging.shift.moves.image_moves` finds them.

    Returns
    -------
    tuple of WhoseShift
        One for each gap, in their order.
    """
    by_site: dict[str, dict[Image, ImageMove]] = {}
    for move in moves:
        by_site.setdefault(move.site, {})[move.image] = move
    return tuple(_whose(gap, by_site.get(gap.site, {})) for gap in gaps)


def answer_of(moved: Sequence[Image], unknown: Sequence[Image]) -> Answer:
    """Return the answer of the table above for a gap that is shown."""
    found = set(moved)
    if not found:
        return "cannot be told" if unknown else "none shown"
    if found in ({"source"}, {"source", "synthetic"}):
        return "source"
    return moved[0] if len(found) == 1 else "several"


def _whose(gap: SiteGap, moves: dict[Image, ImageMove]) -> WhoseShift:
    moved = tuple(i for i in IMAGES if i in moves and moves[i].moved)
    unknown = tuple(i for i in IMAGES if i not in moves or moves[i].moved is None)
    name = f"{measure_name(gap.metric, gap.region, gap.variant)} at {gap.site}"
    if gap.gap is None or gap.gap_low is None or gap.gap_high is None:
        sentence = f"{name}: no gap could be estimated, so nothing is behind it."
        answer: Answer = "cannot be told"
    elif gap.gap_low <= 0 <= gap.gap_high:
        sentence = f"{name}: no gap shown."
        answer = "no gap shown"
    else:
        answer = answer_of(moved, unknown)
        size = f"{quantity(gap.gap, gap.unit)} ({number(gap.gap_low)} to {number(gap.gap_high)}"
        sentence = f"{name} differs by {size}{suffix(gap.unit)}): {_words(answer, moved, moves)}"
        if unknown and moved:
            sentence += f" Not tested: {listing(_NAMES[i] for i in unknown)}."
    return WhoseShift(
        metric=gap.metric,
        region=gap.region,
        variant=gap.variant,
        site=gap.site,
        answer=answer,
        moved=moved,
        unknown=unknown,
        sentence=sentence,
    )


def _words(answer: Answer, moved: Sequence[Image], moves: dict[Image, ImageMove]) -> str:
    if answer == "none shown":
        return "neither source, reference nor synthetic image is shown to have moved."
    if answer == "cannot be told":
        reasons = [f"{_NAMES[i]}: {m.why}" for i, m in moves.items() if m.moved is None]
        return f"whose shift it is cannot be told ({'; '.join(reasons) or 'nothing was measured'})."
    parts = {image: f"{_NAMES[image]} moved ({_features(moves[image])})" for image in moved}
    if answer == "source" and "synthetic" in moved:
        return f"{parts['source']}, and the synthetic image with it."
    if answer == "several":
        return f"several moved, and their shares cannot be parted: {listing(parts.values())}."
    return f"{parts[moved[0]]}."


def _features(move: ImageMove) -> str:
    told = [one for one in move.features if one.low > 0 or one.high < 0] or move.features
    return listing(f"{one.feature} {one.difference_sd:+.1f} SD" for one in told[:_MOST_FEATURES])
