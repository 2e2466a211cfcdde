"""The step ``set_alpha``: layers that weigh each example by a given α."""

from collections.abc import Sequence

from torch import nn

from calibrate.engine.handler import Given, Handler, weighed
from calibrate.engine.run import Run
from calibrate.engine.tuning.group_moments import estimate_group_moments_
from calibrate.steps import SetAlpha
from calibrate.surgery import Site, find_sites, select, weigh_examples_


def set_alpha_(run: Run, step: SetAlpha) -> None:
    """Give the matching sites the step's α."""
    run.state.model = estimate_group_moments_(run, run.state.model, step.sites)
    if not (sites := sites_to_weigh_(run, run.state.model, step.sites)):
        return
    if step.alpha == 1 and (blind := without_positions(run, sites)):
        run.add_finding_(
            "constant-output",
            f"at α = 1 the layer {blind[0]} puts out a constant, because it sees one position per channel; "
            "leave such layers out with `sites`, or lower α.",
        )
    run.state.model = weigh_examples_(run.state.model, sites, step.alpha)
    run.change_()


def sites_to_weigh_(run: Run, model: nn.Module, patterns: tuple[str, ...]) -> tuple[Site, ...]:
    """The matching sites of ``model`` that inputs reach; where there are none, that α does nothing is noted."""
    every, called = find_sites(model), run.given.look.positions
    if sites := select(every, patterns, called):
        return sites
    idle = select(every, patterns)
    which = f"{len(idle)} layers, {idle[0].name} first," if idle[1:] else f"the layer {idle[0].name}"
    working = [site for site in every if site.name in called]
    if blocked := [site for site in working if site.obstacle]:
        why = f"{blocked[0].name}, which one reaches, cannot weigh an example: {blocked[0].obstacle}"
    elif working:
        why = f"{working[0].name}, which one reaches, is not among the `sites` of the step"
    else:
        why = "no normalisation layer is called at all, as where BatchNorm is applied by a function"
    run.add_finding_(
        "alpha-unused",
        f"α does nothing here, and the network stays as it was: no input reaches {which} that could weigh an example, "
        f"and {why}. Leave α out: re-estimation and the temperature do not need it.",
    )
    return ()


def without_positions(run: Run, sites: Sequence[Site]) -> list[str]:
    """The names of those of ``sites`` that see one position only, and at α = 1 put out a constant."""
    return [site.name for site in sites if not site.is_group_norm and run.given.look.positions.get(site.name) == 1]


class SetAlphaHandler(Handler[SetAlpha]):
    """Carries out SetAlpha."""

    def check_network(self, step: SetAlpha, model: nn.Module) -> None:
        """See :meth:`Handler.check_network`."""
        select(find_sites(model), step.sites)

    def check_data(self, step: SetAlpha, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        return weighed(model, step.sites, given.look)

    def run(self, run: Run, step: SetAlpha) -> None:
        """See :meth:`Handler.run`."""
        set_alpha_(run, step)
