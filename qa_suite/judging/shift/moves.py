"""Which sites' images are unlike those that they are compared with.

A site is compared with each site of its comparison, and has *moved* only where it differs from
every one of them, the nearest included: a hospital that images like one of the training's is no
shift, however far the training's hospitals lie from each other. As all of those must be
rejected, the largest of their p values needs no correction for their number; Holm's procedure over
the sites (and images) of one call keeps the chance of naming any of them wrongly at
``1 - confidence``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_suite.core.records import CaseRecord, TrainingSources
from qa_suite.core.records.shift import Basis, FeatureMove, Image, ImageMove
from qa_suite.core.wording import count, listing, number, some
from qa_suite.judging.comparisons import holm_p_values
from qa_suite.judging.shift.features import IMAGES, Feature, FeatureTable, feature_table, on_scale
from qa_suite.judging.shift.two_groups import FEWEST_FREEDOM, FEWEST_PATIENTS, Contrast, contrast

_BASIS_WORDS: dict[Basis, str] = {
    "registered": "the training's images at",
    "training sites": "the held-out patients of the training site",
    "other sites": "the patients of",
}
_IMAGE_WORDS: dict[Image, str] = {
    "source": "source images",
    "reference": "reference images",
    "synthetic": "synthetic images",
}


def source_shifts(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    *,
    training: TrainingSources | None = None,
    training_sites: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[ImageMove, ...]:
    """Say which sites' source images are unlike those that the model was trained on.

    Parameters
    ----------
    measurements, cases
        The tables of an evaluation.
    training
        What the model's registration says of its training images. Without it the held-out
        patients of the training sites stand for them; those sites themselves cannot be judged
        then. Where the training sites are unknown too, each site is compared with all others.
    training_sites
        Where the model was trained.
    confidence
        Of the whole answer: the chance that any site is named wrongly is at most
        ``1 - confidence``.
    seed
        Of the drawn permutations.

    Returns
    -------
    tuple of ImageMove
        By site.
    """
    return moves_of(
        {"source": feature_table(measurements, cases, "source")},
        sorted({case.site for case in cases}),
        training=training,
        training_sites=training_sites,
        confidence=confidence,
        seed=seed,
    )


def image_moves(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    *,
    training: TrainingSources | None = None,
    training_sites: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[ImageMove, ...]:
    """Say of every site which of its images have moved: source, reference, synthetic.

    As :func:`source_shifts`, for all three images together and with Holm over all of them: the
    material of :func:`~qa_suite.judging.shift.whose.whose_shift`. References and synthetic images
    are compared within the evaluation: with the training sites, or with all others.
    """
    return moves_of(
        {image: feature_table(measurements, cases, image) for image in IMAGES},
        sorted({case.site for case in cases}),
        training=training,
        training_sites=training_sites,
        confidence=confidence,
        seed=seed,
    )


def moves_of(
    tables: Mapping[Image, FeatureTable],
    sites: Sequence[str],
    *,
    training: TrainingSources | None = None,
    training_sites: Sequence[str] = (),
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[ImageMove, ...]:
    """Say which of some images have moved at some sites, with Holm over all of them."""
    found = []
    for image, table in tables.items():
        known = training if image == "source" else None
        found += _moves(image, table, sites, known, training_sites, confidence, seed)
    return _settled(found, confidence)


# ---------------------------------------------------------------------------------------
# One image


def _moves(
    image: Image,
    table: FeatureTable,
    sites: Sequence[str],
    training: TrainingSources | None,
    training_sites: Sequence[str],
    confidence: float,
    seed: int,
) -> list[ImageMove]:
    registered = {} if training is None else registered_rows(training, table.features)
    home = frozenset(training_sites) | frozenset(registered)
    moves = []
    for site in sites:
        others = [name for name in table.site_names if name != site]
        if registered:
            basis: Basis = "registered"
            groups: Mapping[str, NDArray[np.float64]] = registered
        elif home.intersection(table.site_names) - {site}:
            basis = "training sites"
            groups = {name: table.at(name) for name in others if name in home}
        else:
            basis = "other sites"
            groups = {name: table.at(name) for name in others}
        blank = ImageMove(
            image=image,
            site=site,
            in_training=site in home,
            patients=len(table.at(site)),
            basis=basis,
        )
        if image == "source" and site in home and site not in registered:
            why = "it is a training site, and the model's registration says nothing of its images"
            moves.append(_with(blank, why=why))
            continue
        beside = [table.at(name) for name in others if basis == "registered" or name not in groups]
        moves.append(_compared(blank, table, groups, beside, confidence, seed))
    return moves


def registered_rows(
    training: TrainingSources, features: Sequence[Feature]
) -> dict[str, NDArray[np.float64]]:
    """Return the training's images, site by site, as features of this evaluation."""
    places = {name: at for at, name in enumerate(training.features)}
    found = {}
    for site, rows in training.rows.items():
        values = np.full((len(rows), len(features)), np.nan)
        for column, feature in enumerate(features):
            if feature.key in places:
                told = (row[places[feature.key]] for row in rows)
                values[:, column] = [np.nan if v is None else on_scale(feature, v) for v in told]
        found[site] = values
    return {site: values for site, values in found.items() if len(values)}


def _compared(
    blank: ImageMove,
    table: FeatureTable,
    groups: Mapping[str, NDArray[np.float64]],
    beside: Sequence[NDArray[np.float64]],
    confidence: float,
    seed: int,
) -> ImageMove:
    here = table.at(blank.site)
    groups = {name: rows for name, rows in groups.items() if len(rows) >= FEWEST_PATIENTS}
    if len(here) < FEWEST_PATIENTS:
        few = f"{count(len(here), 'patient')} of it could be described"
        return _with(blank, why=f"{few}, and {FEWEST_PATIENTS} are needed")
    if not groups:
        return _with(blank, why=f"no site to compare it with has {FEWEST_PATIENTS} patients")
    freedom = sum(max(len(rows) - 1, 0) for rows in (here, *groups.values(), *beside))
    if freedom < FEWEST_FREEDOM:
        return _with(blank, why="all sites together have too few patients to tell their spread")
    least = np.array([feature.least for feature in table.features])
    found: dict[str, Contrast] = {}
    for name, there in groups.items():
        rest = [rows for other, rows in groups.items() if other != name]
        found[name] = contrast(
            here, there, [*rest, *beside], least, confidence=confidence, seed=seed
        )
    nearest = max(found, key=lambda name: (found[name].p_value, -found[name].statistic))
    return _with(
        blank,
        against=nearest,
        patients_against=len(groups[nearest]),
        p_value=found[nearest].p_value,
        features=_features(table.features, found[nearest], here, groups[nearest]),
    )


def _with(move: ImageMove, **facts: object) -> ImageMove:
    return move.model_copy(update=facts)


def _features(
    features: Sequence[Feature],
    found: Contrast,
    here: NDArray[np.float64],
    there: NDArray[np.float64],
) -> tuple[FeatureMove, ...]:
    moves = [
        FeatureMove(
            feature=feature.name,
            difference_sd=float(found.difference[at]),
            low=float(found.low[at]),
            high=float(found.high[at]),
            p_value=float(found.p_values[at]),
            here=_mean(feature, here[:, at]),
            there=_mean(feature, there[:, at]),
        )
        for at, feature in enumerate(features)
        if np.isfinite(found.difference[at])
    ]
    return tuple(sorted(moves, key=lambda move: -abs(move.difference_sd)))


def _mean(feature: Feature, values: NDArray[np.float64]) -> float:
    mean = float(values[np.isfinite(values)].mean())
    return float(np.exp(mean)) if feature.ratio else mean


# ---------------------------------------------------------------------------------------
# All of a call


def _settled(moves: Sequence[ImageMove], confidence: float) -> tuple[ImageMove, ...]:
    """Adjust the p values of a call for each other, decide, and say it."""
    tested = [move for move in moves if move.p_value is not None]
    adjusted = holm_p_values([move.p_value for move in tested if move.p_value is not None])
    by_move = {id(move): p for move, p in zip(tested, adjusted, strict=True)}
    settled = []
    for move in moves:
        p = by_move.get(id(move))
        if p is not None:
            move = _with(move, p_adjusted=p, moved=p <= 1 - confidence)
        settled.append(_with(move, sentence=_sentence(move, confidence, len(tested))))
    return tuple(settled)


def _sentence(move: ImageMove, confidence: float, tests: int) -> str:
    what = f"The {_IMAGE_WORDS[move.image]} of {move.site}"
    if move.moved is None:
        return f"{what} cannot be told apart from others: {move.why}."
    near = f"{_BASIS_WORDS[move.basis]} {move.against}"
    sizes = f"n = {move.patients} against {move.patients_against}"
    said = f"p = {number(move.p_adjusted or 0.0)} by permutation, Holm over {count(tests, 'test')}"
    if not move.moved:
        return f"{what} are not shown to differ from {near} ({said}; {sizes})."
    told = [one for one in move.features if one.p_value <= 1 - confidence] or move.features[:1]
    words = [
        f"{one.feature} {one.difference_sd:+.1f} SD ({one.low:.1f} to {one.high:.1f})"
        for one in told
    ]
    return (
        f"{what} differ from all that they are compared with, and least from {near}: "
        f"{listing(some(words, 4))} ({said}; {sizes})."
    )
