"""What to do: recipes, fine-tunings, manifests, outputs and preprocessing. No torch here."""

from calibrate.preprocessing import InputMap, Preprocessing
from calibrate.recipe.comparison import Comparison
from calibrate.recipe.documents import as_preprocessing, as_recipe, broken_fields, loads, parse, read, read_recipe
from calibrate.recipe.finetuning import ARMS, FINE_TUNING_KINDS, FineTuning
from calibrate.recipe.manifest import Manifest, RunSettings
from calibrate.recipe.outputs import DEFAULT_OPSET, LOWEST_IR, GraphOptions, Outputs
from calibrate.recipe.placement import Placement, PlacementStep
from calibrate.recipe.recipe import ALL_STEPS, PRESETS, STEP_KINDS, Recipe, Step, words_of_training_data_use
from calibrate.recipe.yaml_text import plain

__all__ = [
    "ALL_STEPS",
    "ARMS",
    "DEFAULT_OPSET",
    "FINE_TUNING_KINDS",
    "LOWEST_IR",
    "PRESETS",
    "STEP_KINDS",
    "Comparison",
    "FineTuning",
    "GraphOptions",
    "InputMap",
    "Manifest",
    "Outputs",
    "Placement",
    "PlacementStep",
    "Preprocessing",
    "Recipe",
    "RunSettings",
    "Step",
    "as_preprocessing",
    "as_recipe",
    "broken_fields",
    "loads",
    "parse",
    "plain",
    "read",
    "read_recipe",
    "words_of_training_data_use",
]
