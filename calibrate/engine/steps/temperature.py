"""The step ``temperature``: the temperature of the current network."""

from calibrate.engine.handler import Handler
from calibrate.engine.run import Run
from calibrate.steps import Temperature


def fit_temperature_(run: Run, step: Temperature) -> None:  # noqa: ARG001  (the step has no fields)
    """Fit the temperature of the current network on the calibration half."""
    fitted = run.model_temperature()
    if fitted.at_limit:
        run.add_finding_(
            "temperature-at-limit",
            f"the fitted temperature, {fitted.value:.3g}, is at the end of its range: (nearly) all predictions on "
            "the calibration half are right, or all wrong, and do not determine it; use more, or harder, examples.",
        )
    run.state.temperature = fitted.value


class TemperatureHandler(Handler[Temperature]):
    """Fits T on the calibration half, or on what was held back of it.

    Costs the pass that gives the logits, unless these are known.
    """

    def expected_passes(self, step: Temperature) -> float:  # noqa: ARG002 (the same for all)
        """See :meth:`Handler.expected_passes`."""
        return 1.0

    def run(self, run: Run, step: Temperature) -> None:
        """See :meth:`Handler.run`."""
        fit_temperature_(run, step)
