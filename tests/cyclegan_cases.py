"""What tests of CycleGAN share: a specification that trains in seconds."""

from __future__ import annotations

from tests.tiny_specs import changed
from translators.spec import TranslatorSpec, load_spec


def tiny(name: str = "cyclegan-demo", **changes: object) -> TranslatorSpec:
    data = load_spec(name).model_dump(mode="json")
    data["network"] |= {"channels": [8, 8, 16]}
    data["adversarial"] |= {"channels": [8, 8]}
    data["cycle"] |= {"pool": 6}
    data["training"] |= {"batch": 2, "patch": [32, 32], "iterations": 20}
    data["inference"] |= {"patch": [64, 64], "air_beyond_mm": None}
    data["working_spacing_mm"] = None
    return changed(data, changes)
