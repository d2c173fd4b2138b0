"""Instruments whose package or weights are absent: one sentence, and nothing is downloaded."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.instruments.loading import load_extractor, load_segmenter
from qa_suite.instruments.totalsegmentator import load_totalsegmentator
from qa_suite.instruments.vision import load_vision
from tests.tiny_instruments import image


def test_absent_packages_are_named_in_one_sentence() -> None:
    if "totalsegmentator" not in sys.modules:
        with pytest.raises(InputError, match=r"not installed here; 'pip install qa-suite\["):
            load_segmenter("totalsegmentator:total")
    with pytest.raises(InputError, match="Unknown TotalSegmentator task 'liver'"):
        load_segmenter("totalsegmentator:liver")
    with pytest.raises(InputError, match="Unknown torchvision network"):
        load_extractor("torchvision:vgg")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """A package of TotalSegmentator's name that calls everything above 300 HU the left femur."""
    said: dict[str, object] = {}

    def totalsegmentator(source: Path, target: Path, **options: object) -> None:
        import os

        from qa_suite.io.images import read_image, write_image

        said.update(options)
        home = Path(os.environ["TOTALSEG_HOME_DIR"])
        said["config"] = json.loads((home / "config.json").read_text())
        said["weights"] = os.environ["TOTALSEG_WEIGHTS_PATH"]
        ct = read_image(source, "HU")
        labels = (ct.array > 300).astype(np.uint8) * 2
        write_image(Volume(array=labels, grid=ct.grid, quantity="label"), target)

    package = types.ModuleType("totalsegmentator")
    package.__spec__ = types.SimpleNamespace(name="totalsegmentator")  # type: ignore[assignment]
    api = types.ModuleType("totalsegmentator.python_api")
    api.totalsegmentator = totalsegmentator  # type: ignore[attr-defined]
    names = types.ModuleType("totalsegmentator.map_to_binary")
    names.class_map = {"total": {1: "spleen", 2: "femur_left"}}  # type: ignore[attr-defined]
    for module in (package, api, names):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    return said


def test_totalsegmentator_without_weights_says_so_and_downloads_nothing(
    stand_in: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no weights 291, 292, 293, 294, 295") as caught:
        load_totalsegmentator("totalsegmentator:total")
    assert "downloads nothing" in str(caught.value) and not stand_in


def test_totalsegmentator_stands_behind_the_same_protocol(
    stand_in: dict[str, object], tmp_path: Path
) -> None:
    file = tmp_path / "weights" / "Dataset297_x" / "fold_0" / "checkpoint_final.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    found = load_segmenter("totalsegmentator:total_fast")
    assert found.structures == ("spleen", "femur_left")
    assert found.facts.name == "totalsegmentator-total-fast"
    new = image(9)
    masks = found.segment(new.volume, new.mask)
    np.testing.assert_array_equal(masks["femur_left"], (new.volume.array > 300) & new.mask)
    assert not masks["spleen"].any()
    assert stand_in["fast"] is True and stand_in["weights"] == str(tmp_path / "weights")
    assert stand_in["config"]["send_usage_stats"] is False  # type: ignore[index]


def test_torchvision_takes_weights_from_a_file_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    if "torchvision" not in sys.modules:
        with pytest.raises(InputError, match="torchvision is not installed"):
            load_vision("torchvision:resnet18")

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 512, 8, stride=8)
            self.fc = torch.nn.Linear(512, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.fc(self.first(x).mean(dim=(2, 3)))
            return found

    package = types.ModuleType("torchvision")
    package.__spec__ = types.SimpleNamespace(name="torchvision")  # type: ignore[assignment]
    package.models = types.SimpleNamespace(resnet18=lambda weights: Small())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    with pytest.raises(InputError, match="names no weights on this machine"):
        load_vision("torchvision:resnet18")
    path = tmp_path / "resnet18.pth"
    torch.save(Small().state_dict(), path)
    found = load_extractor(f"torchvision:resnet18:{path}")
    new = image(9)
    features = found.features(new.volume, new.mask)
    assert features.shape[1] == 512 and np.isfinite(features).all()
    np.testing.assert_array_equal(features, found.features(new.volume, new.mask))
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no weights of resnet18"):
        load_vision(f"torchvision:resnet18:{path}")
