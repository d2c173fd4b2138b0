"""What people write in YAML is read in one way: a file that is none is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError
from qa_suite.dose.dvh.goals import load_goals
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.machines.by_name import find_machine
from qa_suite.dose.machines.photon import load_photon_machine
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.plan.template import load_template
from qa_suite.judging.criteria import load_profile

READERS: list[Callable[[Any], Any]] = [
    load_cohort,
    load_profile,
    load_goals,
    load_hlut,
    find_machine,
    load_photon_machine,
    load_machine,
    load_template,
]
BROKEN = {
    "not a text file in UTF-8": b"\xff\xfe\x00name: \x80",
    "not a readable YAML file": b"name: [1, 2\nother: }",
    "not a readable YAML file: 'a' is there twice, in lines 1 and 3": b"a: a\nb: 1\na: c\n",
}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("sentence", BROKEN)
def test_a_file_that_is_no_yaml_is_one_sentence(tmp_path, reader, sentence):
    path = tmp_path / "mine.yaml"
    path.write_bytes(BROKEN[sentence])
    with pytest.raises(InputError, match=f"mine.yaml is {sentence}"):
        reader(path)


def test_no_module_reads_a_file_of_yaml_by_itself():
    root = Path(__file__).parent.parent / "qa_suite"
    found = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.py"))
        if "safe_load(path.read_text" in path.read_text() and path.name != "yaml_files.py"
    ]
    assert found == []
