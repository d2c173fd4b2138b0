"""Families of translators: what each says of itself, and where they are found.

A family is a module of ``translators/families``, or of another package that names it in the
entry-point group ``qa_suite.translators``. It registers itself when it is imported, and is
imported when a specification names it.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module, metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model, model_validator

from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.plugins import load_plugins
from qa_suite.core.records import PluginFacts
from qa_suite.core.registry import Entry, Registry, unknown_name
from translators.spec.strict import Block
from translators.spec.translator import SHARED_BLOCKS, TranslatorSpec

PACKAGE = "translators.families"
PLUGINS = "qa_suite.translators"


class FamilyFacts(BaseModel):
    """The facts of one family.

    ``blocks`` are those of a specification that are its own, by their names. ``needs`` and
    ``takes`` name what a specification must have and may have: of the shared blocks (``network``,
    ``training``, ``inference``), which it is else refused, and of its own, which it else must
    have. ``sources_alone`` says that train cases without a reference are learnt from too.
    ``runs_code`` says that a specification may name a program, which runs for nobody who does not
    trust it. ``limits`` are sentences for the card of every such model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    paired: bool
    trained_by: str
    uncertainty: str = "none"
    reference: str
    blocks: dict[str, type[Block]] = {}
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    sources_alone: bool = False
    runs_code: bool = False
    limits: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> FamilyFacts:
        for name in self.blocks:
            if name in TranslatorSpec.model_fields or hasattr(TranslatorSpec, name):
                raise ValueError(f"a block may not be called {name!r}, as all specifications have")
        unknown = {*self.needs, *self.takes} - {*SHARED_BLOCKS, *self.blocks}
        if unknown:
            raise ValueError(f"needs or takes {sorted(unknown)}, which is no block of the family")
        return self

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of all blocks that a specification must have."""
        own = (name for name in self.blocks if name not in (*self.needs, *self.takes))
        return (*self.needs, *own)


FAMILIES: Registry[FamilyFacts] = Registry("family of translators")


def family(name: str) -> Entry[FamilyFacts]:
    """Return a family; import it, and other packages only where this one has no such family.

    Raises
    ------
    UnknownName
        If no such family is registered.
    Problems
        If a package that says it has families cannot be loaded.
    """
    if name not in FAMILIES:
        here = _modules()
        if name in here:
            import_module(f"{PACKAGE}.{name}")
        else:
            require_families()
        if name not in FAMILIES:
            known = sorted({*here, *(entry.name for entry in FAMILIES)})
            raise UnknownName(unknown_name(FAMILIES.kind, name, known))
    return FAMILIES[name]


def require_families() -> None:
    """Import every family, those of this package first: no other may take their names."""
    for name in _modules():
        import_module(f"{PACKAGE}.{name}")
    load_plugins(PLUGINS)


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(import_module(PACKAGE).__path__)]


def facts_of(name: str) -> FamilyFacts:
    """Return the facts of a family; see :func:`family`."""
    return family(name).facts


def plugin_of(name: str) -> PluginFacts | None:
    """Return which other package a family comes from; None for one of this package.

    Raises
    ------
    InputError
        If its module is neither of this package nor of one that names it as an entry point.
    """
    module: str = family(name).function.__module__
    if module.startswith(f"{PACKAGE}."):
        return None
    for entry in metadata.entry_points(group=PLUGINS):
        if entry.module.partition(".")[0] == module.partition(".")[0]:
            (facts,) = load_plugins(PLUGINS, entry.name)
            return facts
    raise InputError(
        f"Family {name} comes from {module}, which is no family of this package and of no package "
        f"with an entry point in the group {PLUGINS}; a model of it could not be loaded again."
    )


def require_same_plugin(name: str, registered: PluginFacts | None) -> None:
    """Refuse a family whose package is not the one that a model of it was registered with.

    Raises
    ------
    InputError
        If it comes from another package, another version, or from changed source.
    """
    here = plugin_of(name)
    if here != registered:
        raise InputError(
            f"A model of the family {name} was registered with {_told(registered)}, and here it "
            f"comes from {_told(here)}; install what it was registered with, or register it again."
        )


def _told(plugin: PluginFacts | None) -> str:
    if plugin is None:
        return "this suite's own code"
    return f"the package {plugin.package} {plugin.version} ({plugin.digest[:19]}…)"


def spec_type(name: str) -> type[TranslatorSpec]:
    """Return the specification of a family: the shared fields, and the blocks that are its own."""
    return _typed(tuple(sorted(facts_of(name).blocks.items())))


@cache
def _typed(blocks: tuple[tuple[str, type[Block]], ...]) -> type[TranslatorSpec]:
    fields: dict[str, Any] = {name: (kind | None, None) for name, kind in blocks}
    return create_model(
        "TranslatorSpec", __base__=TranslatorSpec, __module__=TranslatorSpec.__module__, **fields
    )


def blocks_of_all() -> frozenset[str]:
    """Return the names of the blocks that single families have."""
    require_families()
    return frozenset(name for entry in FAMILIES for name in entry.facts.blocks)


def block_problems(spec: TranslatorSpec) -> list[str]:
    """Say which blocks a specification lacks, and which its family does not take."""
    facts = facts_of(spec.family)
    known = {*facts.needed, *facts.takes}
    return [
        *(f"family {spec.family} needs '{b}'" for b in facts.needed if b not in spec.blocks),
        *(f"family {spec.family} takes no '{b}'" for b in sorted(spec.blocks - known)),
    ]
