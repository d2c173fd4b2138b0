"""Any machine by its name or path, of photons or protons: what ``--machine`` takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qa_suite.core.errors import InputError
from qa_suite.core.yaml_files import read_yaml
from qa_suite.dose.machines.photon import (
    PhotonMachine,
    load_photon_machine,
    shipped_photon_machines,
    unknown_machine,
)
from qa_suite.dose.machines.proton import ProtonMachine, load_machine, shipped_machines
from qa_suite.dose.plan.template import PlanTemplate

Machine = PhotonMachine | ProtonMachine


def all_machines() -> tuple[Machine, ...]:
    """Return every machine that comes with the suite."""
    photons = [load_photon_machine(name) for name in shipped_photon_machines()]
    return (*photons, *(load_machine(name) for name in shipped_machines()))


def find_machine(name: str | Path) -> Machine:
    """Load a machine of either kind: a shipped one, or a YAML file that says its ``modality``.

    Raises
    ------
    InputError
        If there is no such file, or it does not say of what it is a machine.
    UnknownName
        If no machine of this name is shipped.
    Problems
        With everything that is wrong in it.
    """
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        modality = _modality(path)
        return load_photon_machine(path) if modality == "photons" else load_machine(path)
    if str(name) in shipped_photon_machines():
        return load_photon_machine(name)
    if str(name) in shipped_machines():
        return load_machine(name)
    known = [*shipped_photon_machines(), *shipped_machines()]
    raise unknown_machine("machine", str(name), known)


def machine_of(template: PlanTemplate) -> Machine:
    """Load the machine that a template names; see :func:`find_machine` for what is refused."""
    if template.modality == "photons":
        return load_photon_machine(template.machine)
    return load_machine(template.machine)


def with_machine(template: PlanTemplate, names: Sequence[str]) -> PlanTemplate | None:
    """Return the template with the machine of its modality among some; None where there is none.

    Raises
    ------
    InputError
        If two of them are of its modality.
    """
    fitting = [name for name in names if find_machine(name).modality == template.modality]
    if len(fitting) > 1:
        raise InputError(
            f"--machine names {' and '.join(fitting)}, both of {template.modality}; one is enough."
        )
    return template.model_copy(update={"machine": fitting[0]}) if fitting else None


def _modality(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"There is no machine at {path}.")
    data = read_yaml(path)
    said = data.get("modality") if isinstance(data, dict) else None
    if said not in ("photons", "protons"):
        raise InputError(
            f"{path} does not say of what it is a machine: 'modality: photons' or "
            f"'modality: protons' is needed."
        )
    return str(said)
