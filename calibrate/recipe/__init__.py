"""What to do: recipes, their steps, outputs, preprocessing and manifests. No torch here."""

from calibrate.recipe.adaptation import Adapt, ProbeAdaptation
from calibrate.recipe.adapters import METHODS, Method
from calibrate.recipe.auto import TUNING_KINDS, Auto, Candidate
from calibrate.recipe.card import Card
from calibrate.recipe.cards import CARDS
from calibrate.recipe.comparison import Comparison
from calibrate.recipe.corruptions import CORRUPTION_SETS, Corruption, CorruptionSet, c_style
from calibrate.recipe.documents import broken_fields, loads, parse, read, read_recipe
from calibrate.recipe.finetuning import ARMS, FineTuning
from calibrate.recipe.finetuning_cards import FINE_TUNING_CARDS
from calibrate.recipe.label_free import Criterion, LabelFreeAlpha
from calibrate.recipe.learning import LearnAlpha, TuneAffine
from calibrate.recipe.manifest import Manifest, RunSettings
from calibrate.recipe.method_cards import METHOD_CARDS
from calibrate.recipe.outputs import Outputs
from calibrate.recipe.placement import Placement, PlacementStep
from calibrate.recipe.preprocessing import Preprocessing
from calibrate.recipe.probes import (
    ProbeChannelHealth,
    ProbeCorruptions,
    ProbeEstimationShift,
    ProbeOutputBound,
    ProbeStatisticNoise,
)
from calibrate.recipe.recipe import PRESETS, Recipe
from calibrate.recipe.step import Probe
from calibrate.recipe.steps import STEP_KINDS, Measure, Step
from calibrate.recipe.streams import Domain, Order, Stream
from calibrate.recipe.tuning import Reestimate, SearchAlpha, SetAlpha, Temperature
from calibrate.recipe.yaml_text import plain

__all__ = [
    "ARMS",
    "CARDS",
    "CORRUPTION_SETS",
    "FINE_TUNING_CARDS",
    "METHODS",
    "METHOD_CARDS",
    "PRESETS",
    "STEP_KINDS",
    "TUNING_KINDS",
    "Adapt",
    "Auto",
    "Candidate",
    "Card",
    "Comparison",
    "Corruption",
    "CorruptionSet",
    "Criterion",
    "Domain",
    "FineTuning",
    "LabelFreeAlpha",
    "LearnAlpha",
    "Manifest",
    "Measure",
    "Method",
    "Order",
    "Outputs",
    "Placement",
    "PlacementStep",
    "Preprocessing",
    "Probe",
    "ProbeAdaptation",
    "ProbeChannelHealth",
    "ProbeCorruptions",
    "ProbeEstimationShift",
    "ProbeOutputBound",
    "ProbeStatisticNoise",
    "Recipe",
    "Reestimate",
    "RunSettings",
    "SearchAlpha",
    "SetAlpha",
    "Step",
    "Stream",
    "Temperature",
    "TuneAffine",
    "broken_fields",
    "c_style",
    "loads",
    "parse",
    "plain",
    "read",
    "read_recipe",
]
