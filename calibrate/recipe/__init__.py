"""What to do: recipes, their steps, outputs and preprocessing. No torch here."""

from calibrate.recipe.documents import loads, parse, read, read_recipe
from calibrate.recipe.outputs import Outputs
from calibrate.recipe.preprocessing import Preprocessing
from calibrate.recipe.recipe import PRESETS, Recipe
from calibrate.recipe.steps import Measure, SearchAlpha, SetAlpha, Step, Temperature

__all__ = [
    "PRESETS",
    "Measure",
    "Outputs",
    "Preprocessing",
    "Recipe",
    "SearchAlpha",
    "SetAlpha",
    "Step",
    "Temperature",
    "loads",
    "parse",
    "read",
    "read_recipe",
]
