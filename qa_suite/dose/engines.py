"""What every dose engine can do, and the registry that finds one by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.errors import InputError
from qa_suite.core.plugins import load_plugins, plugin_names
from qa_suite.core.registry import Registry
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.dose.hlut.tables import Hlut, HlutQuantity
from qa_suite.dose.plan.plan import Mask, Plan
from qa_suite.dose.plan.template import Modality, PlanTemplate
from qa_suite.io.rt.plan.types import ImportedPlan


class EngineFacts(BaseModel):
    """The facts of one dose engine, as ``qa-suite list engines`` and the docs show them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    modality: Modality
    hlut: tuple[HlutQuantity, ...] = Field(min_length=1, description="tables that it takes")
    version: str
    devices: tuple[str, ...] = Field(default=("cpu",), description="where it can compute")
    method: str = Field(min_length=1)
    believed_for: str = Field(min_length=1, description="where its differences may be believed")
    reference: str = Field(min_length=1)


class DoseEngine(Protocol):
    """Plans on one image and computes the same plan on others.

    Densities lie on the plan's dose grid and are what the HLUT made of HU, each image with its
    own body outline: outside it the density is 0.
    """

    @property
    def sad_mm(self) -> float | None:
        """From the source that all rays diverge from to the isocentre; None: parallel rays."""
        ...

    def plan(
        self,
        density: NDArray[np.float32],
        grid: Grid,
        *,
        target: Mask,
        avoid: Mapping[str, Mask],
        isocentre_mm: Triple,
        template: PlanTemplate,
        hlut: Hlut,
        target_name: str,
    ) -> Plan:
        """Make and optimise a plan on the reference; ``avoid`` are the organs with goals."""
        ...

    def imported(
        self,
        plan: ImportedPlan,
        grid: Grid,
        *,
        target: Mask,
        target_name: str,
        template: PlanTemplate,
        hlut: Hlut,
        stand_in: bool = False,
    ) -> Plan:
        """Take a plan of the clinic as it stands; nothing in it is optimised.

        With ``stand_in`` the engine's own machine computes beams of any energy.
        """
        ...

    def recalculate(self, density: NDArray[np.float32], plan: Plan) -> Volume:
        """Compute the frozen plan on a density of the plan's grid: Gy of the whole course."""
        ...


ENGINES: Registry[EngineFacts] = Registry("dose engine")
"""Names to functions ``(machine: str) -> DoseEngine``; with ``device`` where it takes several."""


PLUGIN_GROUP = "qa_suite.engines"
"""Entry points by which other packages bring engines, each by the name of its engine."""
_ROOMS = {"photons-pydosert": "photons", "protons-range": "protons"}


def engine_of(template: PlanTemplate, device: str = "cpu") -> Any:
    """Return the engine that a template names, with its machine.

    Parameters
    ----------
    device
        ``cpu``, ``cuda`` or ``cuda:1``; an engine that cannot compute there takes the CPU.
    """
    require_modality(template)
    function = ENGINES[template.engine].function
    if device == "cpu" or not can_compute_on(template, device):
        return function(template.machine)
    return function(template.machine, device=device)


def can_compute_on(template: PlanTemplate, device: str) -> bool:
    """Whether the engine of a template can compute on a device."""
    load_engines(template.engine)
    return device.split(":")[0] in ENGINES[template.engine].facts.devices


def where_computed(templates: Sequence[PlanTemplate], device: str) -> str:
    """Say where plans are computed, for the record: ``cpu``, or the device and its name."""
    if device == "cpu" or not any(can_compute_on(template, device) for template in templates):
        return "cpu"
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


def load_engines(*names: str) -> None:
    """Register the named engines, or all; each brings its library only when it computes.

    Raises
    ------
    Problems
        If another package's engine cannot be loaded.
    InputError
        If it registers no engine of the name that its entry point has.
    """
    import importlib

    found = (*_ROOMS, *plugin_names(PLUGIN_GROUP))
    # of an unknown name all are loaded, so that the close matches can be named
    known = names and all(name in found for name in names)
    for name in names if known else found:
        if name in _ROOMS:
            importlib.import_module(f"qa_suite.dose.{_ROOMS[name]}")
        for plugin in load_plugins(PLUGIN_GROUP, name):
            if name not in ENGINES:
                raise InputError(
                    f"The package {plugin.package} {plugin.version} brings the dose engine {name} "
                    f"by its entry point and registers none of this name; mend that package."
                )


def require_modality(template: PlanTemplate) -> None:
    """Refuse a template whose engine is unknown or computes the other kind of beam."""
    load_engines(template.engine)
    does = ENGINES[template.engine].facts.modality
    if does != template.modality:
        raise InputError(
            f"The engine {template.engine} computes {does}; the plan {template.name} is one of "
            f"{template.modality}."
        )


def fitting_hluts(template: PlanTemplate, hluts: Sequence[Hlut]) -> tuple[Hlut, ...]:
    """Return the tables that a template's engine takes, in their order."""
    load_engines(template.engine)
    takes = ENGINES[template.engine].facts.hlut
    return tuple(hlut for hlut in hluts if hlut.quantity in takes)


def require_quantity(engine: str, hlut: Hlut) -> None:
    """Refuse a table of a quantity that the engine does not take."""
    load_engines(engine)
    takes: Sequence[str] = ENGINES[engine].facts.hlut
    if hlut.quantity not in takes:
        raise InputError(
            f"The engine {engine} takes {' or '.join(takes)}; the HLUT {hlut.name} gives "
            f"{hlut.quantity}."
        )
