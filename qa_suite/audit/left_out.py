"""Models that each left out another site, each examined at the site that it left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from qa_suite.audit.joined import Material, Source, join, read_source
from qa_suite.core.errors import raise_problems
from qa_suite.core.wording import listing


def join_left_out(folders: Sequence[Path]) -> Material:
    """Join evaluations of models that each left out one site: of each, that site alone.

    What is joined is the material of one audit: every hospital is one that its own model has
    never seen, so that the training sites are none of them.

    Raises
    ------
    Problems
        If the models are of different families, or one of them left out no examined site, or
        more than one, or two left out the same.
    """
    sources = [read_source(folder) for folder in folders]
    trained = {s.folder: frozenset(s.evaluation.model.training_sites) for s in sources}
    everywhere = frozenset().union(*trained.values())
    left_out = {
        source.folder: sorted(
            (everywhere - trained[source.folder]) & {case.site for case in source.cases}
        )
        for source in sources
    }
    raise_problems("The models that leave out a site", _problems(sources, left_out))
    told = []
    parts = []
    for source in sources:
        (site,) = left_out[source.folder]
        model = source.evaluation.model
        told.append(f"{site} by {model.uri} (trained at {listing(model.training_sites)})")
        parts.append(_at(source, site))
    found = join(parts, one_model=False)
    notice = (
        f"Each hospital is examined by a model that was trained without it: {'; '.join(told)}. "
        f"That speaks of the way of training, not of one set of weights."
    )
    return replace(found, notices=(notice, *found.notices))


def _problems(sources: Sequence[Source], left_out: dict[Path, list[str]]) -> Iterator[str]:
    if len(sources) < 2:
        yield "one evaluation is no plan of leaving out; name one a site"
    families = sorted({source.evaluation.model.family for source in sources})
    if len(families) > 1:
        yield f"they are of the families {listing(families)}; take models of one"
    by_site: dict[str, list[str]] = {}
    for source in sources:
        sites = left_out[source.folder]
        if not source.evaluation.model.training_sites:
            yield f"{source.folder}: the model does not say where it was trained"
        elif not sites:
            yield (
                f"{source.folder}: no examined site was left out in training, for the model has "
                f"seen {listing(source.evaluation.model.training_sites)}"
            )
        elif len(sites) > 1:
            yield f"{source.folder}: {listing(sites)} were left out, and one at a time is needed"
        else:
            by_site.setdefault(sites[0], []).append(str(source.folder))
    for site, folders in by_site.items():
        if len(folders) > 1:
            yield f"{listing(folders)} both left out {site}"


def _at(source: Source, site: str) -> Source:
    """Keep one site of an evaluation, as if the model had no training sites to compare with."""
    cases = tuple(case for case in source.cases if case.site == site)
    names = [case.case for case in cases]
    rows = source.measurements[source.measurements["case"].isin(names)]
    patients = {case.patient for case in cases}
    seen = tuple(p for p in source.evaluation.model.training_patients if p in patients)
    model = source.evaluation.model.model_copy(
        update={"training_sites": (), "training_patients": seen}
    )
    cohort = source.evaluation.cohort.model_copy(update={"sites": (site,)})
    evaluation = source.evaluation.model_copy(update={"model": model, "cohort": cohort})
    return replace(source, evaluation=evaluation, measurements=rows, cases=cases)
