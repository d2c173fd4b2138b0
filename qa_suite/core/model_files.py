"""The files of a registered model: the one way to them, held against what was registered.

The SHA-256 of every file stands in a tag of the version, so that neither weights nor
specification nor the facts of the training can be changed beside the registry. Who may change tags
and artifacts both can still change everything: see ``docs/loading-models.md``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_suite.core import store
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.json_files import parse_json
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.reach import require_artifacts
from qa_suite.core.record_names import digest_of
from qa_suite.core.wording import some

FILES_TAG = "qa.files"
"""Of a version: a JSON object of the SHA-256 of each file, by its path in the artifact."""
DIGEST_TAG = "qa.model_digest"
"""Of a version: one SHA-256 over those of all files."""
WHEELS = "wheels"
"""Folder of the packages that travel with a model; where it is, digests were kept."""
MLFLOWS_FILE = "MLmodel"
"""By which MLflow loads a model; it names the run, and is written when the model is sent."""

_WEIGHTS_TAG = "weights_sha256"
_WEIGHTS = re.compile(r"artifacts/[^/]+/weights\.safetensors")
_NOT_OURS = "registered_model_meta"  # written by MLflow at every download: name and version
_CACHE = "__pycache__"
_OTHERWISE = (
    "do not use this version but one that is whole, or train it again; 'qa-suite list {kind}' "
    "shows what is registered"
)


class NotAsRegistered(InputError):
    """Files of a model, or the tags that speak of them, that are not what was registered."""


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """The files of a model on this machine.

    Parameters
    ----------
    uri
        With the version's number, also where it was named by an alias.
    folder
        Where they are.
    version
        The registered version as MLflow tells it; None where there is none.
    registered
        SHA-256 of each file as it was registered; None where nobody kept them.
    kind
        ``models`` or ``instruments``, whose list shows it.
    """

    uri: str
    folder: Path
    version: Any
    registered: Mapping[str, str] | None
    kind: str

    @property
    def digest(self) -> str:
        """The digest of the model: see :func:`digest_over`."""
        return digest_over(self.registered or digests_in(self.folder))

    @property
    def unproven(self) -> str:
        """Say that nobody can tell whether these are the files that were registered; or nothing."""
        if self.registered is not None:
            return ""
        return (
            f"The files of {self.uri} cannot be proven to be those that were registered, since the "
            f"registry holds no digests of them: train it again to have them kept."
        )

    def require_as_registered(self) -> None:
        """Compare every file with what was registered.

        Raises
        ------
        NotAsRegistered
            With every file that differs, and both digests of it.
        """
        here = digests_in(self.folder)
        registered = self._of_then(here) if self.registered is None else self.registered
        wrong = [
            _difference(name, here.get(name), registered.get(name))
            for name in sorted({*here, *registered})
            if here.get(name) != registered.get(name)
        ]
        if wrong:
            raise NotAsRegistered(
                f"The files of {self.uri} are not those that were registered: "
                f"{'; '.join(some(wrong, 5))}; {_OTHERWISE.format(kind=self.kind)}."
            )

    def _of_then(self, here: Mapping[str, str]) -> dict[str, str]:
        """Return what is known of a version whose files' digests were not kept: its weights'."""
        tags = {} if self.version is None else self.version.tags
        weights = {name for name in here if _WEIGHTS.fullmatch(name)}
        told = {name: tags[_WEIGHTS_TAG] for name in sorted(weights) if _WEIGHTS_TAG in tags}
        return {**here, **told}

    def file(self, *names: str) -> Path | None:
        """Return a file by its path in the artifact, or None where there is none."""
        path = self.folder.joinpath(*names)
        return path if path.is_file() else None


def _difference(name: str, here: str | None, registered: str | None) -> str:
    if registered is None:
        return f"{name} (SHA-256 {here}) was not among them"
    if here is None:
        return f"{name} (registered with the SHA-256 {registered}) is missing"
    return f"{name} has the SHA-256 {here}, registered was {registered}"


def digests_in(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a model by its path, but for MLflow's and Python's notes.

    Raises
    ------
    NotAsRegistered
        If one is a link.
    InputError
        If one is no plain file.
    """
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder)
        if name.as_posix() == _NOT_OURS or _CACHE in name.parts:
            continue
        if path.is_symlink():
            raise NotAsRegistered(f"{path} is a link; the files of a model are plain files.")
        if not path.is_dir():
            found[name.as_posix()] = sha256_of(path)
    return found


def digest_over(files: Mapping[str, str]) -> str:
    """Return the digest of a model: one SHA-256 over those of its files, sorted by their paths."""
    return digest_of(dict(files))


def digest_tags(files: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that hold the digests of a model's files."""
    return {FILES_TAG: json.dumps(dict(files), sort_keys=True), DIGEST_TAG: digest_over(files)}


def with_file(tags: Mapping[str, str], name: str, path: Path) -> dict[str, str]:
    """Add a file that was written last to the digests in a version's tags, if it holds any."""
    if FILES_TAG not in tags:
        return dict(tags)
    files = parse_json(tags[FILES_TAG], FILES_TAG)
    return {**tags, **digest_tags({**files, name: sha256_of(path)})}


def open_model(uri: str, *, kind: str = "models", compare: bool = True) -> ModelFiles:
    """Fetch the files of a registered model, and compare them with what was registered.

    Nothing of them is run.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``runs:/RUN/model``.
    kind
        ``models`` or ``instruments``.
    compare
        Whether the files are compared now; who says no does so with what is returned.

    Raises
    ------
    InputError
        If there is no such model, or it cannot be read.
    NotAsRegistered
        If a file is not as it was registered, or its digests were taken out of the tags.
    """
    mlflow = store.connect()
    from mlflow.exceptions import MlflowException

    try:
        client = mlflow.MlflowClient()
        version = _version_of(client, uri)
        require_artifacts(_place_of(client, uri, version))
        exact = uri
        if version is not None and uri.startswith("models:/"):
            exact = f"models:/{version.name}/{version.version}"
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=exact))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"The {kind[:-1]} {uri} cannot be loaded, for it cannot be read from "
            f"{store.tracking_uri()} ({reason}); "
            f"'qa-suite list {kind}' shows what is registered."
        ) from None
    if version is not None:
        exact = f"models:/{version.name}/{version.version}"
    files = ModelFiles(
        uri=exact,
        folder=folder,
        version=version,
        registered=_registered(exact, version, folder, kind),
        kind=kind,
    )
    if compare:
        files.require_as_registered()
    return files


def _place_of(client: Any, uri: str, version: Any) -> str:
    """Return where the files of a model lie, as far as the store of runs says."""
    source = uri if version is None else str(version.source)
    if source.startswith("models:/m-"):  # a logged model; a version may also name files
        return str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)
    if source.startswith("runs:/"):
        return str(client.get_run(source.split("/")[1]).info.artifact_uri)
    return "" if source.startswith("models:/") else source


def _version_of(client: Any, uri: str) -> Any:
    """Return the version that a model is registered as, also where it is named by its run."""
    found = store.model_version(uri)
    if found is not None:
        return found
    scheme, _, rest = uri.partition(":/")
    name = rest.partition("/")[0]
    run = name if scheme == "runs" else client.get_logged_model(name).source_run_id
    versions = [
        one
        for one in client.search_model_versions(f"run_id = '{run}'")
        if scheme == "runs" or one.model_id == name
    ]
    return max(versions, key=lambda one: int(one.version), default=None)


def _registered(uri: str, version: Any, folder: Path, kind: str) -> dict[str, str] | None:
    """Return the digests in a version's tags, or None where it is from before they were kept."""
    tags = {} if version is None else version.tags
    if FILES_TAG not in tags:
        if version is not None and (folder / WHEELS).is_dir():
            raise NotAsRegistered(
                f"The registry holds no digests of {uri} (tag {FILES_TAG}), and did when it was "
                f"registered; {_OTHERWISE.format(kind=kind)}."
            )
        return None
    try:
        found = parse_json(tags[FILES_TAG].encode(), f"The tag {FILES_TAG} of {uri}")
    except QAError as error:
        raise NotAsRegistered(
            f"{str(error).rstrip('.')}; {_OTHERWISE.format(kind=kind)}."
        ) from None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise NotAsRegistered(f"The tag {FILES_TAG} of {uri} holds no digests of files.")
    if digest_over(found) != tags.get(DIGEST_TAG):
        raise NotAsRegistered(
            f"The tags {FILES_TAG} and {DIGEST_TAG} of {uri} contradict each other "
            f"({digest_over(found)} and {tags.get(DIGEST_TAG)}); {_OTHERWISE.format(kind=kind)}."
        )
    return found
