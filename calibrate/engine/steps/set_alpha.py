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
    sites = select(find_sites(run.state.model), step.sites)
    if step.alpha == 1 and (blind := without_positions(run, sites)):
        run.add_finding_(
            "constant-output",
            f"at α = 1 the layer {blind[0]} puts out a constant, because it sees one position per channel; "
            "leave such layers out with `sites`, or lower α.",
        )
    run.state.model = weigh_examples_(run.state.model, sites, step.alpha)
    run.change_()


def without_positions(run: Run, sites: Sequence[Site]) -> list[str]:
    """The names of those of ``sites`` that see one position only, and at α = 1 put out a constant."""
    return [site.name for site in sites if not site.is_group_norm and run.given.look.positions.get(site.name) == 1]


class SetAlphaHandler(Handler[SetAlpha]):
    """Carries out SetAlpha."""

    def check_network(self, step: SetAlpha, model: nn.Module) -> None:
        """See :meth:`Handler.check_network`."""
        select(find_sites(model), step.sites)

    def check_data(self, step: SetAlpha, given: Given, model: nn.Module) -> nn.Module:  # noqa: ARG002
        """See :meth:`Handler.check_data`."""
        return weighed(model, step.sites)

    def run(self, run: Run, step: SetAlpha) -> None:
        """See :meth:`Handler.run`."""
        set_alpha_(run, step)
