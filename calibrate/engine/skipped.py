"""The layers that a recipe left as they were, and why."""

from collections.abc import Mapping, Sequence

from calibrate.recipe import LabelFreeAlpha, LearnAlpha, SearchAlpha, SetAlpha
from calibrate.recipe.step import StepValue
from calibrate.surgery import BESIDE_BATCH_NORM, Site, needs_moments, passed_over


def skipped(sites: Sequence[Site], steps: Sequence[StepValue]) -> Mapping[str, Sequence[str]]:
    """The names of the ``sites`` of a tuned network that ``steps`` could not weigh, by the reason."""
    names: dict[str, list[str]] = {}
    for site in sites:
        if site.obstacle:
            names.setdefault(site.obstacle, []).append(site.name)
    chosen = [step.sites for step in steps if isinstance(step, SetAlpha | SearchAlpha | LabelFreeAlpha | LearnAlpha)]
    beside = {site for patterns in chosen for site in passed_over(sites, patterns) if needs_moments(site.module)}
    if beside:
        names[BESIDE_BATCH_NORM] = [site.name for site in sites if site in beside]
    return names
