"""What tests of the external family share: a specification, and a translator that is fitted."""

from __future__ import annotations

from pathlib import Path

from qa_suite.core.cohort import Cohort
from translators.base import Translator, create
from translators.spec import TranslatorSpec, parse_spec


def spec(**external: object) -> TranslatorSpec:
    blocks = {
        name: external.pop(name)
        for name in ("network", "inference", "working_spacing_mm")
        if name in external
    }
    data = {
        "family": "external",
        "name": "vendor",
        "direction": "MR->CT",
        "anatomy": "pelvis",
        "external": external,
        **blocks,
    }
    return parse_spec(data, subject="vendor")


def trusting(made: TranslatorSpec) -> Translator:
    """Make a translator that may run what its specification names."""
    code = create(made).foreign_code()
    return create(made, trust=() if code is None else (code.digest,))


def fitted(made: TranslatorSpec, cohort: Cohort, folder: Path, tmp_path: Path) -> Translator:
    translator = trusting(made)
    translator.fit(cohort, folder, workdir=tmp_path / "work")
    return translator
