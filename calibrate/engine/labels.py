"""Data without labels, and the steps that cannot do without."""

from calibrate.data import Source
from calibrate.errors import UsageError
from calibrate.recipe import STEP_KINDS, Recipe


def check_labels(source: Source, recipe: Recipe) -> None:
    """Raise UsageError where ``source`` has no labels and a step of ``recipe`` needs them."""
    needing = [step.kind for step in recipe.steps if step.needs_labels]
    if source.labels is not None or not needing:
        return
    if rest := tuple(step for step in recipe.steps if not step.needs_labels):
        other = (
            f"the recipe without {'them' if needing[1:] else 'it'}, {Recipe(seed=recipe.seed, steps=rest).canonical}"
        )
    else:
        other = f"a recipe of steps that need none: {', '.join(k for k, s in STEP_KINDS.items() if not s.needs_labels)}"
    raise UsageError(
        f"{source.name} has no labels, and the {'steps' if needing[1:] else 'step'} {', '.join(needing)} cannot do "
        f"without; give labelled data, or {other}."
    )
