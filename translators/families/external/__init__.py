"""Translators that were not trained here: a program, a container, an ONNX file, finished volumes.

A vendor's black box behind the same interface, so that it is examined exactly like ours. It
is bound to what was registered by SHA-256 (of the program, the image's digest, the ONNX file,
or every finished volume) and refused when that has changed. Nothing is unpickled: a network
comes as ONNX, which holds operators and numbers and no code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.answers import checked
from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.trust import ForeignCode, named_files
from qa_suite.core.volume import Volume
from qa_suite.io.identity import voxel_hash
from qa_suite.io.images import images_by_case, read_image
from qa_suite.learning.summary import FitSummary, Progress
from translators.answers import AS_SPECIFIED, Asked, Inferred
from translators.base import Translator
from translators.data import Prepared, from_unit
from translators.families.external.program import (
    ExternalSpec,
    code_of,
    container_arguments,
    program_arguments,
    run_program,
)
from translators.spec import FAMILIES, FamilyFacts, TranslatorSpec

_BEYOND = re.compile(r"\{(folder|name)\}|\{(source|output)\}.*\.\.")
_CONTAINER_IMAGE = re.compile(r"^\S+@sha256:[0-9a-f]{64}$|^\S+\.sif$")


@FAMILIES.add(
    "external",
    FamilyFacts(
        title="A program, a container, an ONNX file or finished volumes, as they are",
        paired=False,
        trained_by="its maker; not here",
        reference="ONNX: onnx.ai; own interface for programs: docs/families/external.md",
        blocks={"external": ExternalSpec},
        takes=("network", "inference"),
        runs_code=True,
    ),
)
class External(Translator):
    """Asks what was not made here; see :class:`ExternalSpec`."""

    learns = False

    @property
    def compares_places(self) -> bool:
        """Whether it must know where in the patient the image lies: all but a network."""
        return self._settings.kind != "onnx"

    def foreign_code(self) -> ForeignCode | None:
        """Return the program or container that its specification names."""
        return code_of(self._settings)

    def __init__(self, spec: TranslatorSpec) -> None:
        super().__init__(spec)
        self._settings = spec.own(ExternalSpec)
        raise_problems(f"Specification {spec.name}", _problems(spec, self._settings))
        self._bound: dict[str, NDArray[Any]] | None = None
        self._network: Any = None

    def fit(
        self,
        cohort: Cohort,
        folder: Path,
        *,
        workdir: Path,
        resume: bool = False,
        iterations: int | None = None,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> FitSummary:
        """Bind to what is there now; nothing is learnt, and no patient is looked at.

        Of a cohort only the hashes of the source images are taken, to know which finished
        volume belongs to which of them.
        """
        started = time.monotonic()
        match self._settings.kind:
            case "onnx":
                self._bound = {"onnx": np.frombuffer(self._file().read_bytes(), dtype=np.uint8)}
                self._open()
            case "folder":
                self._bound = self._finished(cohort)
            case "command":
                self.require_trust()
                self._bound = {
                    path: _bytes(digest)
                    for path, digest in named_files(program_arguments(self._settings)).items()
                }
            case "container":
                self.require_trust()
                self._bound = {"image": np.frombuffer(str(self._settings.image).encode(), np.uint8)}
        return FitSummary(
            iterations=0,
            seconds=time.monotonic() - started,
            best_iteration=0,
            best_validation=None,
            stopped_early=False,
        )

    def infer(self, prepared: Prepared, asked: Asked = AS_SPECIFIED) -> Inferred:
        """Ask for the translation of a prepared source image."""
        if self._bound is None:
            raise InputError(f"Translator {self.spec.name} was not registered yet.")
        if asked != Asked(seed=asked.seed):
            raise InputError(
                f"{self.spec.name} answers as its maker made it; steps, sampler and members "
                f"cannot be asked of it."
            )
        if self._settings.kind == "onnx":
            return self._by_onnx(prepared)
        if prepared.scan is None:
            raise InputError("An external translator needs the source image itself.")
        if self._settings.kind == "folder":
            answer, who = self._from_folder(prepared.scan)
        else:
            answer, who = self._by_program(prepared.scan)
        answer = checked(
            answer,
            prepared.scan.grid,
            who=who,
            other_grid=self._settings.other_grid,
            outside=self.spec.target.outside,
        )
        return Inferred(mean=prepared.frame.to_working(answer.array))

    def has_answer(self, source: Volume) -> bool:
        """Whether there is a finished volume of this image, where the answers are such."""
        return self._settings.kind != "folder" or self._finished_of(source) is not None

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return what the translator is bound to: the ONNX file itself, or digests."""
        if self._bound is None:
            raise InputError(f"Translator {self.spec.name} was not registered yet.")
        return self._bound

    def set_weights(self, weights: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`weights` gave."""
        expected = {"onnx": {"onnx"}, "container": {"image"}}
        kind = self._settings.kind
        if kind in expected and set(weights) != expected[kind]:
            raise InputError(
                f"The weights are not of {self.spec.name}: {kind} has "
                f"{', '.join(sorted(expected[kind]))} and they hold {', '.join(sorted(weights))}."
            )
        self._bound = dict(weights)
        if kind == "onnx":
            self._open()

    # --- finished volumes ---------------------------------------------------------------

    def _finished(self, cohort: Cohort) -> dict[str, NDArray[Any]]:
        folder = Path(str(self._settings.path))
        if not folder.is_dir():
            raise InputError(f"There is no folder of finished volumes at {folder}.")
        files = images_by_case(folder)
        known = {case.case: case.voxel_hashes.get("source") for case in cohort.cases}
        bound = {
            f"{source}|{files[case].name}": _bytes(sha256_of(files[case]))
            for case, source in known.items()
            if case in files and source is not None
        }
        if not bound:
            raise InputError(
                f"{folder} holds no volume of a case of cohort {cohort.name}; files are named by "
                f"case, such as {cohort.cases[0].case}.nii.gz."
            )
        return bound

    def _from_folder(self, source: Volume) -> tuple[Volume, str]:
        assert self._bound is not None
        found = self._finished_of(source)
        if found is None:
            raise InputError(
                f"No finished volume of {self.spec.name} belongs to this source image; register "
                f"it again with a cohort that holds the case."
            )
        path = Path(str(self._settings.path)) / found.partition("|")[2]
        if not path.is_file() or sha256_of(path) != self._bound[found].tobytes().hex():
            raise InputError(f"{path} is not the finished volume that was registered.")
        return read_image(path, self.spec.target.quantity), str(path)

    def _finished_of(self, source: Volume) -> str | None:
        """Return the key of the finished volume that belongs to a source image, if one does."""
        start = f"{voxel_hash(source)}|"
        return next((name for name in self._bound or () if name.startswith(start)), None)

    # --- programs -----------------------------------------------------------------------

    def _by_program(self, source: Volume) -> tuple[Volume, str]:
        assert self._bound is not None
        settings = self._settings
        if settings.kind == "command":
            arguments, outer = program_arguments(settings), None
            self._require_bound(named_files(arguments))
        else:
            arguments, outer = container_arguments(settings), "/data"
        self.require_trust()
        answer = run_program(arguments, settings, source, self.spec.target.quantity, inner=outer)
        return answer, arguments[0]

    def _require_bound(self, files: Mapping[str, str]) -> None:
        """Refuse a program, or what it is given, that is not what was registered."""
        assert self._bound is not None
        bound = {path: digest.tobytes().hex() for path, digest in self._bound.items()}
        if "program" in bound:  # registered before the files that it is given were bound too
            bound, files = _of_program_alone(bound, files)
        for path in sorted({*bound, *files}):
            if bound.get(path) != files.get(path):
                here = files.get(path)
                lies = "is not there" if here is None else f"has the SHA-256 {here}"
                raise InputError(
                    f"{path} is not the program that was registered, or not what it was given: it "
                    f"{lies}, and was {bound.get(path, 'not there')}; register what lies there now "
                    f"as a new version."
                )

    # --- ONNX ---------------------------------------------------------------------------

    def _file(self) -> Path:
        path = Path(str(self._settings.path))
        if not path.is_file():
            raise InputError(f"There is no ONNX file at {path}.")
        if self._settings.sha256 not in (None, sha256_of(path)):
            raise InputError(
                f"{path} has the SHA-256 {sha256_of(path)[:12]}… and the specification names "
                f"{str(self._settings.sha256)[:12]}…; it is another file."
            )
        return path

    def _open(self) -> None:
        from translators.families.external.onnx_file import open_network

        assert self._bound is not None and self.spec.network is not None
        self._network = open_network(
            self._bound["onnx"].tobytes(),
            self.spec.network,
            name=self.spec.name,
            axes=self._settings.axes or "bcxyz"[: 2 + self.spec.network.axes],
        )

    def _by_onnx(self, prepared: Prepared) -> Inferred:
        from translators.networks.sliding import slide

        assert self.spec.network is not None and self.spec.inference is not None
        count = 0

        def apply(windows: Any, noise: Any) -> Any:
            nonlocal count
            count += len(windows)
            return self._network.apply(windows)

        unit: Float32Array = slide(
            prepared.image,
            self.spec.network,
            self.spec.inference,
            apply,
            fixed=self._network.window,
        )
        return Inferred(
            mean=from_unit(unit, self.spec.target), cost={"network_evaluations": float(count)}
        )


def _problems(spec: TranslatorSpec, external: ExternalSpec) -> list[str]:
    """Say what a kind of external translator lacks or has too much."""
    problems = []
    if external.kind in ("command", "container"):
        if not external.command:
            problems.append(f"kind {external.kind} needs 'command'")
        for place in ("{source}", "{output}"):
            if external.command and not any(place in part for part in external.command):
                problems.append(f"the command has no place {place}")
        problems += [
            f"{part!r} leads from a place to another file, which no digest would cover"
            for part in external.command
            if _BEYOND.search(part)
        ]
    if external.kind == "container":
        if external.image is None:
            problems.append("kind container needs 'image'")
        elif not _CONTAINER_IMAGE.match(external.image):
            problems.append(
                f"the image must be named with its digest (NAME@sha256:…), got {external.image!r}"
            )
    if external.kind in ("onnx", "folder") and external.path is None:
        problems.append(f"kind {external.kind} needs 'path'")
    if external.kind == "onnx":
        problems += [
            f"kind onnx needs '{block}'"
            for block in ("network", "inference")
            if getattr(spec, block) is None
        ]
        if spec.network is not None and external.axes is not None:
            usual = "bcxyz"[: 2 + spec.network.axes]
            if sorted(external.axes) != sorted(usual):
                problems.append(
                    f"axes must hold the letters of {usual} in the file's order, got "
                    f"{external.axes!r}"
                )
    elif external.axes is not None:
        problems.append("axes belong to kind onnx")
    if external.kind in ("folder", "command", "container") and spec.working_spacing_mm is not None:
        problems.append(f"kind {external.kind} gets images as they are; leave the spacing out")
    return problems


def _of_program_alone(
    bound: Mapping[str, str], files: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    program = next(iter(files))
    return {program: bound["program"]}, {program: files[program]}


def _bytes(digest: str) -> NDArray[Any]:
    return np.frombuffer(bytes.fromhex(digest), dtype=np.uint8)
