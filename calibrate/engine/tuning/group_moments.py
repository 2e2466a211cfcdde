"""The running moments of GroupNorm layers, which keep none: estimated on the calibration half."""

from torch import nn

from calibrate.engine.run import Run
from calibrate.stats import pooled_inputs
from calibrate.surgery import Site, find_sites, needs_moments, select, weigh_examples_


def estimate_group_moments_(run: Run, model: nn.Module, patterns: tuple[str, ...]) -> nn.Module:
    """Give the selected GroupNorm layers of ``model`` that keep no moments those of their inputs, at α = 1.

    The network then computes, bit for bit, what it did before. Returns it: ``model`` itself, unless it is a lone layer.

    Limits: at α < 1 a layer passes something else on, so that deeper layers see other inputs than those pooled here.
    Cost: one pass over the calibration half, and none where no moments are missing. Its logits are kept.
    """
    fresh = [
        site for site in select(find_sites(model), patterns, run.given.look.positions) if needs_moments(site.module)
    ]
    if not fresh:
        return model
    stage = "estimate the moments of GroupNorm layers"
    with pooled_inputs(site.module for site in fresh) as moments:
        if not run.given.look.is_classifier:
            run.go_through(model, stage)
        elif run.state.changed:
            run.at_work(model, stage)
        else:
            run.original_logits = run.at_work(model, stage)
    model = weigh_examples_(model, fresh, 1.0)
    for site in fresh:
        if (seen := moments.get(site.module)) is not None:
            layer = model.get_submodule(site.name).to(run.given.setting.device)
            layer.get_buffer("running_mean").copy_(seen.mean)
            layer.get_buffer("running_var").copy_(seen.variance)
    run.add_finding_("group-moments", _words(fresh, len(run.given.split.calibration)), "info")
    return model


def _words(fresh: list[Site], examples: int) -> str:
    which = f"{len(fresh)} GroupNorm layers keep" if fresh[1:] else f"the GroupNorm layer {fresh[0].name} keeps"
    return (
        f"{which} no running moments, against which α < 1 weighs an example, so they were estimated on the {examples} "
        "examples of the calibration half, in one pass of the network as it stood."
    )
