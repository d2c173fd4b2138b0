"""The specification of a translator: plain YAML, validated, stored with the model.

A specification says everything that training and prediction need beside the data: what goes
in, what comes out and in which window, the network, the training budget and the inference. A family
adds blocks of its own.
Nothing else configures a translator, so a saved specification with its weights *is* the model.
"""

from translators.spec.families import FAMILIES, FamilyFacts, facts_of, family, plugin_of
from translators.spec.images import BodySpec, SourceSpec, TargetSpec
from translators.spec.network import NetworkSpec
from translators.spec.reading import CONFIG_FOLDER, config_names, load_spec, parse_spec
from translators.spec.strict import Axis, Block
from translators.spec.training import (
    AugmentationSpec,
    InferenceSpec,
    LossSpec,
    SearchRange,
    TrainingSpec,
    UncertaintySpec,
)
from translators.spec.translator import TranslatorSpec

__all__ = [
    "CONFIG_FOLDER",
    "FAMILIES",
    "AugmentationSpec",
    "Axis",
    "Block",
    "BodySpec",
    "FamilyFacts",
    "InferenceSpec",
    "LossSpec",
    "NetworkSpec",
    "SearchRange",
    "SourceSpec",
    "TargetSpec",
    "TrainingSpec",
    "TranslatorSpec",
    "UncertaintySpec",
    "config_names",
    "facts_of",
    "family",
    "load_spec",
    "parse_spec",
    "plugin_of",
]
