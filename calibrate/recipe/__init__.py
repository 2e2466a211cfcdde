"""What to do: recipes, their steps, outputs, preprocessing and manifests. No torch here."""

from calibrate.recipe.cards import CARDS, Card
from calibrate.recipe.documents import broken_fields, loads, parse, read, read_recipe
from calibrate.recipe.manifest import Manifest, Settings
from calibrate.recipe.outputs import Outputs
from calibrate.recipe.placement import Placement, PlacementStep
from calibrate.recipe.plain import plain
from calibrate.recipe.preprocessing import Preprocessing
from calibrate.recipe.recipe import PRESETS, Recipe
from calibrate.recipe.steps import (
    STEP_KINDS,
    Measure,
    Probe,
    ProbeEstimationShift,
    ProbeStatisticNoise,
    Reestimate,
    SearchAlpha,
    SetAlpha,
    Step,
    Temperature,
)

__all__ = [
    "CARDS",
    "PRESETS",
    "STEP_KINDS",
    "Card",
    "Manifest",
    "Measure",
    "Outputs",
    "Placement",
    "PlacementStep",
    "Preprocessing",
    "Probe",
    "ProbeEstimationShift",
    "ProbeStatisticNoise",
    "Recipe",
    "Reestimate",
    "SearchAlpha",
    "SetAlpha",
    "Settings",
    "Step",
    "Temperature",
    "broken_fields",
    "loads",
    "parse",
    "plain",
    "read",
    "read_recipe",
]
