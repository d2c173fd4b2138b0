"""Public functions on cohorts and evaluations: ``load_cohort``, ``evaluate``, ``judge``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import PrivateAttr, ValidationError

from qa_suite.core.cohort import Cohort, manifest_path
from qa_suite.core.cohort import load_cohort as read_cohort
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.executors.crew import Crew
from qa_suite.core.names import require_name
from qa_suite.core.records import Evaluation, ModelFacts, Profile, Verdict
from qa_suite.core.store import require_folder
from qa_suite.core.trust import read_trust
from qa_suite.core.validation import describe_validation
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination
from qa_suite.evaluation.evaluate import evaluate as run_examination
from qa_suite.evaluation.models import brought_along, finished_images
from qa_suite.evaluation.profiles import load_profile
from qa_suite.evaluation.registered import find_translator, read_asked
from qa_suite.io.cases import Translate
from qa_suite.judging.judge import judge as judge_folder
from qa_suite.lab.oracles import oracle
from qa_suite.preflight import PreflightSettings


class CohortOnDisk(Cohort):
    """A cohort that knows the folder its files lie in."""

    _folder: Path = PrivateAttr()

    @property
    def folder(self) -> Path:
        """Where the manifest lies; the paths of its cases are relative to it."""
        return self._folder


def load_cohort(path: str | Path, *, check_files: bool = True) -> CohortOnDisk:
    """Read a cohort's manifest and check all of it.

    Parameters
    ----------
    path
        The manifest, or the folder that holds it; ``qa-suite import`` makes one.
    check_files
        Whether every file it names must exist.

    Returns
    -------
    CohortOnDisk
        ``cases``, ``sites``, ``direction``, ``in_split("test")``; its paths are relative to
        ``folder``.

    Raises
    ------
    Problems
        With every problem of the manifest: unknown keys, wrong values, missing files, two
        cases of one name.
    LeakageError
        If the patient sets overlap.

    Examples
    --------
    >>> from qa_suite import load_cohort
    >>> [case.case for case in load_cohort("cohorts/play").in_split("test")]
    """
    cohort = read_cohort(Path(path), check_files=check_files)
    placed = CohortOnDisk.model_construct(**dict(cohort))
    placed._folder = manifest_path(Path(path)).parent
    return placed


def evaluate(
    cohort: str | Path | CohortOnDisk,
    model: str | Path,
    *,
    out: str | Path,
    name: str = "external",
    split: str = "test",
    keep_volumes: str = "worst",
    max_misalignment_mm: float = 10.0,
    allow_leakage: bool = False,
    workers: int = 1,
    trust: Sequence[str] = (),
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Measure a translator on the held-out patients of a cohort.

    Killed at any moment, the same call carries on. Doses, instruments and the clinic's own plans
    are asked for with the command ``qa-suite evaluate``.

    Parameters
    ----------
    cohort
        From :func:`load_cohort`, or its path.
    model
        ``"models:/NAME/VERSION"`` or ``"models:/NAME@ALIAS"`` in the MLflow registry,
        ``"oracle:truth"`` or ``"oracle:twin"`` for virtual patients, or a folder of finished
        images named by case (``CASE.nii.gz``).
    out
        Folder of the record; made if needed.
    name
        Who made the finished images.
    split
        Patient set to examine.
    keep_volumes
        ``"worst"``, ``"all"`` or ``"none"``.
    max_misalignment_mm
        Preflight refuses cases whose source and reference lie further apart, in mm.
    allow_leakage
        Examine on training patients; the record is marked.
    workers
        Processes that measure; 1 is this one. The record does not depend on it.
    trust
        Digests (``"sha256:…"``) of foreign programs and pyfuncs that may be run.
    progress
        Called with (cases done, cases in all, case).

    Returns
    -------
    Evaluation
        As it stands in ``out/evaluation.json``; its tables lie beside it.

    Raises
    ------
    Problems
        If a setting cannot be.
    InputError
        If there is nothing to examine, the model cannot be loaded, or ``out`` holds another
        evaluation.
    LeakageError
        If the model was trained on an examined patient.

    Examples
    --------
    >>> from qa_suite import evaluate
    >>> evaluate("cohorts/play", "models:/play/1", out="evaluations/play").case_counts
    """
    try:
        settings = EvaluationSettings.model_validate(
            {
                "split": split,
                "keep_volumes": keep_volumes,
                "allow_leakage": allow_leakage,
                "preflight": PreflightSettings(max_misalignment_mm=max_misalignment_mm),
            }
        )
    except ValidationError as error:
        raise Problems("The settings", describe_validation(error)) from None
    crew = Crew(workers=workers)
    material = cohort if isinstance(cohort, CohortOnDisk) else load_cohort(cohort)
    facts, translate = examined(*_model_or_images(model), name, trust=trust)
    require_direction(facts, material)
    folder = Path(out)
    require_folder(folder)
    examination = Examination(
        cohort=material,
        folder=material.folder,
        model=facts,
        translate=translate,
        settings=settings,
        instruments=brought_along(material, material.folder, None),
    )
    return run_examination(examination, folder, crew=crew, progress=progress)


def judge(folder: str | Path, profile: str | Path | Profile) -> Verdict:
    """Judge an evaluation by a profile of criteria; nothing is written.

    Parameters
    ----------
    folder
        Of an evaluation.
    profile
        Name of a shipped profile (``qa-suite list criteria``), path of a YAML file, or a profile.

    Returns
    -------
    Verdict
        ``outcome`` is ``"pass"``, ``"fail"`` or ``"inconclusive"``, ``sentence`` says why, and
        ``findings`` holds estimate, interval, number of patients, bound and source of each
        criterion.

    Raises
    ------
    InputError
        If the folder is no whole evaluation, its tables were changed after measuring, or the
        profile is for another direction or anatomy.
    UnknownName
        If there is no such profile.

    Examples
    --------
    >>> from qa_suite import judge
    >>> judge("evaluations/play", "mr-to-ct-pelvis").sentence
    """
    criteria = (
        profile if isinstance(profile, Profile) else load_profile(profile, record=Path(folder))
    )
    return judge_folder(Path(folder), criteria)


def examined(
    model: str | None,
    images: Path | None,
    name: str,
    ask: Sequence[str] = (),
    trust: Sequence[str] = (),
) -> tuple[ModelFacts, Translate]:
    """Find what is examined: a registered model, an oracle, or finished images."""
    trusted = read_trust(trust)
    if images is not None:
        require_name(name, "model")
        found = finished_images(images, name)
    elif model is not None and model.startswith("oracle:"):
        found = oracle(model)
    else:
        assert model is not None
        registered = find_translator(model, read_asked(ask), trusted)
        return registered.facts, registered
    if ask:
        raise InputError(f"--ask belongs to a registered model; {found[0].uri} answers as it is.")
    return found


def require_direction(model: ModelFacts, cohort: Cohort) -> None:
    """Refuse a model that translates another way than the cohort asks for."""
    if model.direction is not None and model.direction != cohort.direction:
        raise InputError(
            f"{model.uri} translates {model.direction} and the cohort {cohort.name} is "
            f"{cohort.direction}."
        )


def _model_or_images(model: str | Path) -> tuple[str | None, Path | None]:
    """Tell the name of a model from a folder of images."""
    if isinstance(model, str) and model.startswith(("models:", "oracle:")):
        return model, None
    if not Path(model).is_dir():
        raise InputError(
            f"{model} is neither models:/NAME/VERSION nor an oracle nor a folder of images."
        )
    return None, Path(model)
