"""Running another's program on one image: files in a folder of its own, bounded in time."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Literal

from pydantic import Field

from qa_suite.core import processes
from qa_suite.core.errors import InputError, PassingFailure
from qa_suite.core.failures import KILLED
from qa_suite.core.trust import ForeignCode, code_of_command, named_files
from qa_suite.core.volume import Quantity, Volume
from qa_suite.io.images import read_image, write_image
from translators.spec import Block

_ENDINGS = {"nifti": ".nii.gz", "mha": ".mha"}
_TAIL = 300  # characters of its last words that an error repeats


class ExternalSpec(Block):
    """A translator that was not trained here: a command, an ONNX file, finished volumes."""

    kind: Literal["command", "container", "onnx", "folder"]
    command: tuple[str, ...] = Field(
        default=(), description="program and arguments; {source} and {output} stand for files"
    )
    image: str | None = Field(default=None, description="container: name with its digest")
    engine: Literal["docker", "podman", "apptainer"] = "docker"
    path: str | None = Field(default=None, description="onnx: the file; folder: the volumes")
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="of the program, the ONNX file"
    )
    axes: str | None = Field(
        default=None, description="onnx: order of its axes, such as bcyx or bxyc; default bcxy[z]"
    )
    timeout_s: float = Field(default=600.0, gt=0)
    file_format: Literal["nifti", "mha"] = "nifti"
    other_grid: Literal["refuse", "resample"] = Field(
        default="refuse", description="folder, program: an answer of another size or spacing"
    )


def program_arguments(settings: ExternalSpec) -> list[str]:
    """Return the command of a program, with the path at which it is found.

    Raises
    ------
    InputError
        If there is no such program.
    """
    name = settings.command[0]
    found = shutil.which(name)
    if found is None:
        raise InputError(f"There is no program {name!r} to run; give its full path.")
    # not resolved: a link may say how a program behaves
    return [str(Path(found).absolute()), *settings.command[1:]]


def code_of(settings: ExternalSpec) -> ForeignCode | None:
    """Return the foreign code that a specification has run; finished volumes and ONNX run none.

    Raises
    ------
    InputError
        If the program is not there.
    """
    if settings.kind == "command":
        command = program_arguments(settings)
        return code_of_command(command, files=named_files(command))
    if settings.kind == "container":
        image = str(settings.image)
        files = named_files([image])  # of apptainer; others name an image with its digest
        return code_of_command(settings.command, files=files, engine=settings.engine, image=image)
    return None


def container_arguments(settings: ExternalSpec) -> list[str]:
    """Return the command that runs a container without a network, up to the volume's mount.

    ``{folder}`` stands for the folder with the files, which the container sees as ``/data``;
    ``{name}`` for a name that is this call's alone, by which it can be ended.
    """
    image = str(settings.image)
    if settings.engine == "apptainer":
        return [
            "apptainer",
            "exec",
            "--containall",
            "--net",
            "--network",
            "none",
            "--nv",
            "--bind",
            "{folder}:/data",
            image,
            *settings.command,
        ]
    return [
        settings.engine,
        "run",
        "--rm",
        "--name",
        "{name}",
        "--network",
        "none",
        "--volume",
        "{folder}:/data",
        image,
        *settings.command,
    ]


def _stop_arguments(settings: ExternalSpec, name: str) -> list[str] | None:
    """Return what ends a container: it runs under a service, so ending its client does not."""
    if settings.kind != "container" or settings.engine == "apptainer":
        return None
    return [settings.engine, "rm", "--force", name]


def run_program(
    arguments: list[str],
    settings: ExternalSpec,
    source: Volume,
    quantity: Quantity,
    *,
    inner: str | None = None,
) -> Volume:
    """Write the source image, run a program and read what it wrote.

    Parameters
    ----------
    arguments
        Program and arguments; ``{source}``, ``{output}``, ``{folder}`` and ``{name}`` are
        filled in. No shell is between.
    source
        The image to translate.
    quantity
        Of its answer.
    inner
        Where the program sees the folder, in a container.

    Raises
    ------
    InputError
        If it cannot be started, fails, takes too long or writes nothing.
    """
    ending = _ENDINGS[settings.file_format]
    with tempfile.TemporaryDirectory(prefix="external-") as temporary:
        folder = Path(temporary)
        write_image(source, folder / f"source{ending}")
        seen = inner or str(folder)
        places = {
            "{source}": f"{seen}/source{ending}",
            "{output}": f"{seen}/output{ending}",
            "{folder}": str(folder),
            "{name}": f"qa-suite-{uuid.uuid4().hex}",
        }
        filled = [_filled(argument, places) for argument in arguments]
        _run(filled, settings.timeout_s, _stop_arguments(settings, places["{name}"]))
        output = folder / f"output{ending}"
        if not output.is_file():
            raise InputError(f"{filled[0]} ended well and wrote no {output.name}.")
        return read_image(output, quantity)


def _filled(argument: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        argument = argument.replace(place, value)
    return argument


def _run(arguments: list[str], timeout_s: float, stop: list[str] | None) -> None:
    try:
        done = processes.run(arguments, timeout_s=timeout_s, stop=stop)
    except processes.TimedOut:
        raise PassingFailure(
            f"{arguments[0]} did not end within {timeout_s:g} s (external.timeout_s)."
        ) from None
    except OSError as error:
        raise InputError(f"{arguments[0]} cannot be run: {error.strerror}.") from None
    if done.status in KILLED:
        raise PassingFailure(f"{arguments[0]} was ended from outside (status {done.status}).")
    if done.status != 0:
        words = " ".join((done.stderr or done.stdout).split())[-_TAIL:] or "no word"
        raise InputError(f"{arguments[0]} failed with exit status {done.status}: {words}")
