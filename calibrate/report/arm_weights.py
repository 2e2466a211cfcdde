"""How a comparison tells what arms do to the weights."""

from collections.abc import Sequence
from itertools import pairwise

from calibrate.page import format as fmt
from calibrate.page.section import Section
from calibrate.report.fine_tuning_figures import arm_weights
from calibrate.result import ArmResult, ComparedArms


def weights_sections(result: ComparedArms) -> tuple[Section, ...]:
    """The weights of the arms that keep histograms, against the baseline's; nothing where none does."""
    asked = [arm for arm in result.arms if arm.name != result.baseline and arm.recipe.histograms != "none"]
    if not asked:
        return ()

    compared = [arm for arm in asked if arm.layers]
    left_out = [arm.name for arm in asked if not arm.layers]
    words: tuple[str, ...] = ()
    if compared:
        words += (
            f"Weights of some layers from the first seed, each arm's after its own training: the share that would have "
            f"to change bins to lie as {result.baseline}'s; and the largest step of their variance, from one record to "
            f"the next, with that of {result.baseline} in brackets.",
            *map(_words, compared),
        )
    if left_out:
        words += (
            f"Absent: {', '.join(left_out)}, where no layer starts with {result.baseline}'s weights and is recorded as "
            "often.",
        )
    return (Section("Weights", words, figure=arm_weights(result) if compared else None),)


def _words(arm: ArmResult) -> str:
    layers = (
        f"{fmt.printable(layer.name)} {100 * layer.moved:.1f} %, {_largest_step(layer.variances):+.1e} "
        f"({_largest_step(layer.baseline_variances):+.1e})"
        for layer in arm.layers
    )
    return f"{arm.name}: {'; '.join(layers)}."


def _largest_step(variances: Sequence[float]) -> float:
    return max((after - before for before, after in pairwise(variances)), key=abs)
