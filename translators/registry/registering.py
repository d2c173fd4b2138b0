"""Registering a trained translator in MLflow: code to read, tensors, and whom it has seen."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.outbox.runs import TrackedRun
from qa_suite.core.volume import Grid, Volume
from qa_suite.learning.registering import image_signature, register_model
from qa_suite.learning.summary import FitSummary
from translators.base import TRAINING_FILE, Translator
from translators.data import SEEN_SPLITS
from translators.registry.card import CARD_FILE, measure_cost, model_card
from translators.registry.parent import Parent, inherited
from translators.registry.sources import training_sources
from translators.registry.tracked import shown_pairs
from translators.spec import plugin_of

ARTIFACT = "translator"
_PACKAGES = ("pyyaml", "simpleitk")


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A registered version and where it came from; without an address while it waits."""

    uri: str
    name: str
    version: str
    run_id: str
    model_id: str
    weights_sha256: str

    @staticmethod
    def nowhere() -> TrainedModel:
        """Return what a process that does not register has to give."""
        return TrainedModel(uri="", name="", version="", run_id="", model_id="", weights_sha256="")


def training_facts(translator: Translator, cohort: Cohort, weights_sha256: str) -> dict[str, Any]:
    """Say on whom a translator was trained, so that an examiner can refuse to examine on them.

    ``patients`` are the cohort's keyed hashes; ``voxel_hashes`` and ``fingerprints`` those of
    the source and reference images. Validation patients count as seen, for they chose the
    weights, and so do calibration patients where the interval was calibrated on them.
    ``loss_networks`` are the hashes of frozen networks in the loss (empty for most families).
    ``plugin`` says which other package the family comes from, if one.
    """
    plugin = plugin_of(translator.spec.family)
    seen = _seen(translator, cohort)
    return {
        "schema_version": 1,
        "cohort_name": cohort.name,
        "cohort_digest": cohort.digest,
        "data_digest": cohort.data_digest(*SEEN_SPLITS),
        "sites": sorted({case.site for case in seen}),
        "patients": sorted({case.patient for case in seen}),
        "voxel_hashes": sorted({value for case in seen for value in case.voxel_hashes.values()}),
        "fingerprints": sorted({value for case in seen for value in case.fingerprints.values()}),
        "weights_sha256": weights_sha256,
        "loss_networks": sorted(translator.loss_networks()),
        "spec": translator.spec.model_dump(mode="json"),
        **({} if plugin is None else {"plugin": plugin.model_dump(mode="json")}),
    }


def _seen(translator: Translator, cohort: Cohort) -> tuple[Case, ...]:
    """Return the cases that a translator, or the calibration of its interval, has learnt from."""
    calibrated = translator.calibration is not None
    learnt = SEEN_SPLITS if translator.learns else ()
    return cohort.in_split(*learnt, *(("calibration",) if calibrated else ()))


def signature() -> Any:
    """Return the signature: source, spacing and direction as tensors in, mean out."""
    from mlflow.types import TensorSpec

    return image_signature(
        {"source": "float32"},
        TensorSpec(np.dtype("float32"), (-1, -1, -1), "mean"),
        (
            ("steps", "long", 0),
            ("sampler", "string", ""),
            ("members", "long", 0),
            ("seed", "long", 0),
        ),
    )


def input_example(translator: Translator) -> dict[str, np.ndarray]:
    """Return a small request: a bright ellipsoid in air, on an axial grid."""
    spacing = translator.spec.working_spacing_mm or (4.0, 4.0, 4.0)
    shape = (16, 16, 8)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    source = np.where(radius < 0.8, 400.0 + 200.0 * radius, 5.0)
    return {
        "source": source.astype(np.float32),
        "spacing_mm": np.array(spacing, dtype=np.float64),
        "direction": np.eye(3).ravel(),
    }


def _example_request(translator: Translator) -> Any:
    """Return the example with its place, or None where its answers belong to some images alone."""
    example = input_example(translator)
    grid = Grid(
        shape=example["source"].shape,
        spacing_mm=tuple(example["spacing_mm"]),
        direction=tuple(example["direction"]),
    )
    volume = Volume(array=example["source"], grid=grid, quantity=translator.spec.source.quantity)
    if not translator.has_answer(volume):
        return None
    return example, {"origin_mm": list(grid.origin_mm)}


def register(
    translator: Translator,
    *,
    name: str,
    cohort: Cohort,
    folder: Path,
    run: TrackedRun,
    tags: dict[str, str],
    parent: Parent | None = None,
    summary: FitSummary | None = None,
) -> TrainedModel:
    """Register a trained translator in the run that made it, now or when the store answers.

    Parameters
    ----------
    translator
        Fitted.
    name
        Of the registered model; a new version is made if it exists.
    cohort, folder
        What it was trained on; the patients that it has seen are recorded.
    run
        Of its training.
    tags
        More tags of the model version, such as the git commit.
    parent
        The registered translator that its training began from.
    summary
        Of its training, for the model card.
    """
    with tempfile.TemporaryDirectory() as temporary:
        saved = Path(temporary) / ARTIFACT
        digest = translator.save(saved)
        facts = training_facts(translator, cohort, digest)
        if translator.learns:
            back = translator.spec.direction != cohort.direction
            cases = _seen(translator, cohort)
            sources = training_sources(cohort, folder, cases, inverse=back)
            facts["sources"] = sources.model_dump(mode="json")
        if parent is not None:
            facts = inherited(facts, parent)
        text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
        (saved / TRAINING_FILE).write_text(text + "\n")
        card = _card(translator, cohort, folder, facts, summary)
        (saved / CARD_FILE).write_text(card)
        plugin = facts.get("plugin")
        found = register_model(
            run,
            name,
            digest,
            code=Path(__file__).with_name("pyfunc_model.py"),
            artifacts={ARTIFACT: saved},
            signature=signature(),
            example=_example_request(translator),
            packages=_PACKAGES,
            plugins=() if plugin is None else (plugin["package"],),
            facts={"weights_sha256": digest, "family": translator.spec.family},
            tags=version_tags(translator, facts) | tags,
            description=card,
        )
    return TrainedModel(
        uri=found.uri,
        name=name,
        version=found.version,
        run_id=run.run_id,
        model_id=found.model_id,
        weights_sha256=digest,
    )


def _card(
    translator: Translator,
    cohort: Cohort,
    folder: Path,
    facts: dict[str, Any],
    summary: FitSummary | None,
) -> str:
    same_way = translator.spec.direction == cohort.direction
    pairs = shown_pairs(translator, cohort, folder, 1) if same_way else ()
    cost = measure_cost(translator, pairs[0]) if pairs else None
    return model_card(translator, cohort, facts, summary=summary, cost=cost)


def version_tags(translator: Translator, facts: dict[str, Any]) -> dict[str, str]:
    """Return the tags by which a model version is found."""
    spec = translator.spec
    return {
        "direction": spec.direction,
        "anatomy": spec.anatomy,
        "family": spec.family,
        "spec": spec.name,
        "spec_digest": spec.digest,
        "training_sites": ",".join(facts["sites"]),
        "training_cohort": facts["cohort_name"],
        "training_patients": str(len(facts["patients"])),
        "data_digest": facts["data_digest"],
        "weights_sha256": facts["weights_sha256"],
        **({"parent": facts["parent"]["uri"]} if "parent" in facts else {}),
        **(
            {"plugin": "{package} {version}".format(**facts["plugin"])} if "plugin" in facts else {}
        ),
    }
