"""Every file from outside is read by one function a format, which has borders; nobody else may."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("qa_suite", "translators", "reports")
DOORS = {
    "yaml.load": {"qa_suite/core/yaml_files.py"},
    "yaml.safe_load": set(),
    "yaml.full_load": set(),
    "yaml.unsafe_load": set(),
    "yaml.load_all": set(),
    "yaml.safe_load_all": set(),
    "json.load": set(),
    "json.loads": {"qa_suite/core/json_files.py", "qa_suite/core/apart.py"},
    "csv.reader": {
        "qa_suite/core/table_files.py",
        "qa_suite/cli/options.py",  # words of the command line
    },
    "csv.DictReader": set(),
    "pickle.load": set(),
    "pickle.loads": {
        "qa_suite/imaging/compiled.py",  # kernels that this machine compiled
        "qa_suite/core/executors/on_dask.py",  # what parent and workers send each other
        "qa_suite/core/executors/processes.py",
        "qa_suite/core/executors/travel.py",
        "qa_suite/core/executors/worker.py",
    },
    "marshal.loads": set(),
    "np.load": {"qa_suite/core/tensor_files.py"},
    "np.loadtxt": set(),
    "np.genfromtxt": set(),
    "np.fromfile": set(),
    "np.memmap": set(),
    "torch.load": {"qa_suite/core/tensor_files.py"},
    "nib.load": set(),
    "sitk.ReadImage": set(),
    "sitk.ImageFileReader": set(),
    "sitk.ImageSeriesReader": set(),
    "pydicom.dcmread": {"qa_suite/io/dicom/opening.py"},
    "pydicom.read_file": set(),
    "pq.read_table": {"qa_suite/core/table_files.py"},
    "pq.ParquetFile": {"qa_suite/core/table_parts.py"},  # of a table that is being written
    "pq.read_metadata": {"qa_suite/core/table_files.py"},
    "tomllib.load": set(),
    "ElementTree.parse": set(),
}
METHODS = {
    "model_validate_json": {
        "qa_suite/core/json_files.py",
        "qa_suite/judging/criteria/reading.py",  # of what it wrote itself, for strict types
    },
    "pixel_array": {"qa_suite/io/dicom/opening.py"},
    **{f"read_{kind}": set() for kind in ("csv", "excel", "feather", "hdf", "pickle")},
}
IMPORTS = {"safetensors": {"qa_suite/core/tensor_files.py"}}
OF_OTHER_ENVIRONMENTS = {"qa_suite/lab/reference_dose/worker.py"}  # reads what the suite wrote


def files() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name not in OF_OTHER_ENVIRONMENTS:
                yield name, ast.parse(path.read_text())


def breaches(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            place = f"{ast.unparse(node.value)}.{node.attr}"
            if name not in DOORS.get(place, {name}) or name not in METHODS.get(node.attr, {name}):
                yield f"{name}:{node.lineno} {place}"
            if place == "pd.read_parquet" and name != "qa_suite/core/table_files.py":
                yield f"{name}:{node.lineno} {place}"
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            room = node.module.partition(".")[0]
            loads = {alias.name for alias in node.names} & {"load", "load_file", "safe_open"}
            if loads and name not in IMPORTS.get(room, {name}):
                yield f"{name}:{node.lineno} from {node.module}"
            if room in ("yaml", "json", "csv", "pickle", "pandas", "torch") and loads:
                yield f"{name}:{node.lineno} from {node.module}"


def test_every_format_has_one_door():
    assert [found for name, tree in files() for found in breaches(name, tree)] == []


@pytest.mark.parametrize(
    "line",
    [
        "yaml.safe_load(text)",
        "json.loads(text)",
        "pd.read_parquet(path)",
        "pd.read_csv(path)",
        "nib.load(path)",
        "sitk.ReadImage(path)",
        "pydicom.dcmread(path)",
        "torch.load(path)",
        "np.load(path)",
        "header.pixel_array",
        "Model.model_validate_json(text)",
        "from safetensors.numpy import load",
        "from json import load",
    ],
)
def test_the_rule_sees_a_second_door(line):
    assert list(breaches("qa_suite/dose/new.py", ast.parse(line)))


def test_nothing_but_a_plain_file_is_opened(tmp_path):
    from qa_suite.core.errors import InputError
    from qa_suite.core.json_files import read_json
    from qa_suite.core.plain_files import read_bytes, sha256_of
    from qa_suite.core.table_files import read_cells, read_parquet
    from qa_suite.core.tensor_files import read_arrays, read_safetensors, read_state_dict
    from qa_suite.core.yaml_files import read_yaml
    from qa_suite.io.dicom.opening import open_dicom
    from qa_suite.io.images import IMAGE_SUFFIXES, read_image

    doors = [read_json, read_bytes, sha256_of, read_cells, read_parquet, read_arrays]
    doors += [read_safetensors, read_state_dict, read_yaml, lambda p: open_dicom(p, pixels=True)]
    doors.append(lambda path: read_image(path, "HU"))
    for ending in (*IMAGE_SUFFIXES, ".yaml", ".json", ".pt", ".safetensors"):
        fifo, folder = tmp_path / f"fifo{ending}", tmp_path / f"folder{ending}"
        device, absent = tmp_path / f"device{ending}", tmp_path / f"absent{ending}"
        os.mkfifo(fifo)
        folder.mkdir()
        device.symlink_to("/dev/zero")
        for door in doors:
            for path, words in ((fifo, "pipe"), (folder, "folder"), (device, "device")):
                with pytest.raises(InputError, match=f"{words}"):
                    door(path)
            with pytest.raises(InputError):
                door(absent)


def test_a_table_whose_texts_are_none_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from qa_suite.core.errors import InputError
    from qa_suite.core.table_files import read_parquet

    texts = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xc3\x28")]
    )
    pq.write_table(pa.table({"case": texts}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="damaged"):
        read_parquet(tmp_path / "a.parquet")
