"""The step ``search_alpha``: one α for the matching sites, chosen on the calibration half."""

import copy

from torch import Tensor

from calibrate.engine.group_moments import estimate_group_moments_
from calibrate.engine.run import Run
from calibrate.engine.set_alpha import without_positions
from calibrate.nn import ExampleWeighed
from calibrate.recipe import SearchAlpha
from calibrate.search import search_alpha
from calibrate.surgery import find_sites, select, weigh_examples_

#: α = 1 forgets the running statistics; where a site sees one position only, it then puts out a constant.
LARGEST_ALPHA_WITHOUT_POSITIONS = 0.95


def search_alpha_(run: Run, step: SearchAlpha) -> None:
    """Give the matching sites the α that is best on the calibration half, if it is convincing.

    The search sets out from the α at which they compute as they were trained.
    """
    trial = estimate_group_moments_(run, copy.deepcopy(run.model), step.sites)
    sites = select(find_sites(trial), step.sites)
    maximum = step.maximum
    if maximum > LARGEST_ALPHA_WITHOUT_POSITIONS and (blind := without_positions(run, sites)):
        maximum = LARGEST_ALPHA_WITHOUT_POSITIONS
        run.find(
            "alpha-capped",
            f"α was searched up to {maximum} instead of {step.maximum:g}, because the layer {blind[0]} sees one "
            "position per channel and would put out a constant at α = 1.",
        )
    plain = 1.0 if sites[0].is_group_norm else 0.0
    trial = weigh_examples_(trial, sites, plain)
    layers = [trial.get_submodule(site.name) for site in sites]

    def weigh_(alpha: float) -> None:
        for layer in layers:
            layer.alpha = alpha  # type: ignore[assignment]

    def logits_at(alpha: float, rows: Tensor) -> Tensor:
        weigh_(alpha)
        return run.on_calibration(trial, f"search_alpha, α = {alpha:.4g} on {len(rows)} examples", rows)

    capped = step.model_copy(update={"maximum": maximum})
    found = search_alpha(logits_at, run.calibration_labels, capped, plain_alpha=plain, seed=run.seed)
    run.search = found.search
    if step.curve and not found.search.curve:
        run.find(
            "curve-not-interpolated",
            f"the curve over α shows true evaluations only, because interpolated ones were up to "
            f"{found.search.curve_error:.2g} nats off; lower `maximum` in the step search_alpha for a dense curve.",
        )
    if found.search.best_by_nll == abs(plain - maximum) and maximum < LARGEST_ALPHA_WITHOUT_POSITIONS:
        extreme = f"smallest that was tried, {1 - maximum:g}" if plain else f"largest that was tried, {maximum:g}"
        run.find(
            "alpha-at-maximum",
            f"the best α is the {extreme}; raise `maximum` in the step search_alpha.",
        )
    as_it_came = not run.changed
    came_without_alpha = not any(isinstance(site.module, ExampleWeighed) for site in find_sites(run.model))
    if found.chosen.alpha != plain or not came_without_alpha:
        weigh_(found.chosen.alpha)
        run.model = trial
    run.change_()
    run.model_calibration = found.chosen.logits
    if came_without_alpha and as_it_came:
        run.plain_calibration = found.plain.logits
