"""Faults planted by hand: where, what stands there, what is put there, and why it matters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

_LIST = Path(__file__).with_name("planted.yaml")


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One fault: ``old`` stands once in ``file`` and becomes ``new``."""

    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """The fault in one line."""
        return f"{self.file}: {self.old.strip()} -> {self.new.strip()} ({self.why})"

    def planted_in(self, source: str) -> str:
        """Return a file's text with the fault in it."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.file} holds {self.old!r} {source.count(self.old)} times")
        return source.replace(self.old, self.new)


def planted_faults() -> list[Planted]:
    """Read the list."""
    listed = yaml.safe_load(_LIST.read_text(encoding="utf-8"))
    return [
        Planted(file=group["file"], tests=tuple(group["tests"]), old=old, new=new, why=why)
        for group in listed
        for old, new, why in group["faults"]
    ]
