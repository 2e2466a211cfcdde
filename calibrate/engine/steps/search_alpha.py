"""The step ``search_alpha``: one α for the matching sites, chosen on the calibration half."""

from torch import Tensor, nn

from calibrate.engine.handler import Given, Handler, weighed
from calibrate.engine.run import Run
from calibrate.engine.tuning.alpha_sites import alpha_trial, settle_
from calibrate.metrics import require_finite
from calibrate.search import search_alpha
from calibrate.steps import SearchAlpha
from calibrate.surgery import find_sites, select


def search_alpha_(run: Run, step: SearchAlpha) -> None:
    """Give the matching sites the α that is best on the calibration half, if it is convincing.

    The search sets out from the α at which they compute as they were trained.
    """
    if (trial := alpha_trial(run, step)) is None:
        return

    def logits_at(alpha: float, rows: Tensor) -> Tensor:
        trial.weigh_(alpha)
        logits = run.on_calibration(trial.model, f"search_alpha, α = {alpha:.4g} on {len(rows)} examples", rows)
        if alpha == trial.trained:
            require_finite(logits)
        return logits

    capped = step.model_copy(update={"maximum": trial.maximum})
    found = search_alpha(logits_at, run.calibration_labels, capped, trained_alpha=trial.trained, seed=run.given.seed)
    run.add_outcome_(found.search)
    if step.curve and not found.search.curve:
        run.add_finding_(
            "curve-not-interpolated",
            f"the curve over α shows true evaluations only, because interpolated ones were up to "
            f"{found.search.curve_error:.2g} nats off; lower `maximum` in the step search_alpha for a dense curve.",
        )
    as_it_came = not run.state.changed
    settle_(run, step, trial, found.chosen.alpha, found.search.best_by_nll)
    run.state.logits = found.chosen.logits
    if trial.as_trained and as_it_came:
        run.original_logits = found.trained.logits


class SearchAlphaHandler(Handler[SearchAlpha]):
    """Carries out SearchAlpha."""

    keeps_logits = True

    def check_network(self, step: SearchAlpha, model: nn.Module) -> None:
        """See :meth:`Handler.check_network`."""
        select(find_sites(model), step.sites)

    def check_data(self, step: SearchAlpha, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        return weighed(model, step.sites, given.look)

    def expected_passes(self, step: SearchAlpha) -> float:
        """See :meth:`Handler.expected_passes`."""
        return 13.0 if step.curve else 5.0

    def run(self, run: Run, step: SearchAlpha) -> None:
        """See :meth:`Handler.run`."""
        search_alpha_(run, step)
